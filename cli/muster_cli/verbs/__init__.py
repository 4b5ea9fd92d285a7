"""The verbs of `muster`, one file each."""
