"""`muster`: the command line of Muster."""
