"""Turns what is seen in a cluster into events of workloads."""
