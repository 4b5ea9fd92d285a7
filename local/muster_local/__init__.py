"""`muster up`: the whole of Muster on one machine."""
