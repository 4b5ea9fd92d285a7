"""The HTTP API: decode, ask a handler, answer."""
