"""The append-only event log: a port, JetStream, and a twin in memory."""
