"""Plans whole gangs on GPUs and binds them."""
