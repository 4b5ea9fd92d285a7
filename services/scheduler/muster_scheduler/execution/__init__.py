"""The deeds of the scheduler: what a plan decided is done to the cluster, and told to the journal."""
