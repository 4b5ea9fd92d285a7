"""The node pool itself: nobody made it, or none of its nodes takes pods."""

import numpy as np

from muster_scheduler.core.causes.inquiry import Inquiry
from muster_scheduler.core.reasons import Cause, counted, listed
from muster_scheduler.core.terrain import DEFAULT_POOL

CODE = "NodePoolUnschedulable"


def nobody_made_it(inquiry: Inquiry) -> Cause | None:
    """Find that there is no such node pool."""
    known = {DEFAULT_POOL, *inquiry.terrain.pools}
    if inquiry.pool in known:
        return None
    nodes = int(inquiry.terrain.in_pool(inquiry.pool).sum())
    return Cause(
        CODE,
        f"waits for node pool {inquiry.pool}, which nobody has made: {nodes} nodes belong to it.",
        f"Make the node pool, or name another; there are {listed(sorted(known))}.",
        {"nodes": nodes},
    )


def no_node_is_open(inquiry: Inquiry) -> Cause | None:
    """Find that the pool has no node that takes pods."""
    if inquiry.open.any():
        return None
    rows = np.flatnonzero(inquiry.terrain.in_pool(inquiry.pool))
    here = [inquiry.terrain.nodes[row] for row in rows]
    if not here:
        return Cause(CODE, f"waits for node pool {inquiry.pool}, which has 0 nodes.", _how(inquiry), {"nodes": 0})
    closed = sum(1 for node in here if node.ready)
    states = [counted(closed, "node is cordoned", "nodes are cordoned")] if closed else []
    if down := len(here) - closed:
        states.append(counted(down, "node is not ready", "nodes are not ready"))
    return Cause(
        CODE,
        f"waits for node pool {inquiry.pool}, of whose {len(here)} nodes none takes pods: {', '.join(states)}.",
        f"Make a node of the pool ready, or uncordon one ({listed([node.name for node in here])}); or name another.",
        {"nodes": len(here)},
    )


def _how(inquiry: Inquiry) -> str:
    pool = inquiry.terrain.pools.get(inquiry.pool)
    if pool is None or not pool.label_key:
        return "Add a node, or name another pool."
    return f"Give a node the label {pool.label_key}={pool.label_value}, or name another pool."
