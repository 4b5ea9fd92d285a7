"""The scheduler's decisions as plain functions: fold, snapshot, plan, check. No clock, no chance, no I/O."""
