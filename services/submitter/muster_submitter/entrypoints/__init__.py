"""The doors of the submitter: HTTP and the bus. They decode, call a handler and map errors, no more."""
