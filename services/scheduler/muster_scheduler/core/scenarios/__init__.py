"""Scenarios: small clusters written down as JSON, played against the real planner, and judged."""
