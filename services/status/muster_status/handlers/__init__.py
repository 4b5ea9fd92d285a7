"""Core and ports together: the deriver's loops, the projector's, and what answers questions."""
