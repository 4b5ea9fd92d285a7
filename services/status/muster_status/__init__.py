"""Derives phases, keeps the read models and answers queries."""
