"""Where others reach integrations: the webhook that the API server asks."""
