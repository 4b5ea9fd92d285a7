"""Kubernetes as Muster needs it: a port, an adapter for the official client, a reflector."""
