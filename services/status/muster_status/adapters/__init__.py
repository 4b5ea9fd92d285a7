"""PostgreSQL and the neighbours over HTTP, as the handlers need them."""
