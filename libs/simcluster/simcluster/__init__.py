"""A small Kubernetes for one machine: API server, controllers and kubelets."""
