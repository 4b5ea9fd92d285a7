"""The command side of Muster: accepts, applies, suspends and deletes workloads."""
