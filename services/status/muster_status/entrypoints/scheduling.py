"""Questions about scheduling over HTTP; the scheduler answers them, and we pass its answers on as they are.

Where no scheduler answers it is a 503: an older answer would be wrong, and nobody else estimates.
"""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from muster_chassis.http import refused_as_invalid
from muster_contracts.phases import PriorityClass
from muster_contracts.questions import (
    MOST_NODES,
    Answer,
    Fit,
    Holdings,
    NodeHoldings,
    Waits,
    WhatNodesHold,
    WhoHoldsWhat,
    WhyDoesItWait,
    WouldItFit,
)
from muster_contracts.values import WHOLE_GPU
from pydantic import ValidationError

from muster_status.handlers.questions import Questions


def asked_to_fit(
    project: str,
    pods: int = 1,
    gpu_devices: Annotated[int, Query(description="Devices of each pod.")] = 0,
    gpu_portion_millionths: Annotated[int, Query(description="The part of each device that it takes.")] = WHOLE_GPU,
    gpu_memory_bytes: Annotated[int | None, Query(description="Instead of a part: bytes of each device.")] = None,
    cpu_milli: int = 1000,
    memory_bytes: int = 100 * 1024 * 1024,
    priority_class: PriorityClass = PriorityClass.TRAIN,
    node_pool: Annotated[
        list[str] | None, Query(description="Pools to try, in order; else those of the project.")
    ] = None,
) -> WouldItFit:
    """Read what is asked for; amounts are of each pod. Raises Refused."""
    fields: dict[str, Any] = {
        "project": project,
        "pods": pods,
        "gpu_devices": gpu_devices,
        "gpu_portion_millionths": gpu_portion_millionths,
        "gpu_memory_bytes": gpu_memory_bytes,
        "cpu_milli": cpu_milli,
        "memory_bytes": memory_bytes,
        "priority_class": priority_class,
        "node_pools": tuple(node_pool or ()),
    }
    try:
        return WouldItFit(**fields)
    except ValidationError as error:
        raise refused_as_invalid(error) from error


def scheduling_routes(routes: APIRouter, questions: Questions) -> None:
    """Add the routes of everything that only the scheduler knows."""

    @routes.get("/scheduling/fits", response_model=Fit, tags=["scheduling"])
    async def would_it_fit(question: Annotated[WouldItFit, Depends(asked_to_fit)]) -> Answer:
        """Say whether so many equal pods would find places together now: `now`, `after-evictions` or `no`, and why."""
        return await questions.ask_scheduler(question)

    @routes.get("/scheduling/queues", response_model=Holdings, tags=["scheduling"])
    async def who_holds_what() -> Answer:
        """Return quota, fair share, what is held and what waits, by node pool, department and project."""
        return await questions.ask_scheduler(WhoHoldsWhat())

    @routes.get("/scheduling/nodes", response_model=NodeHoldings, tags=["scheduling"])
    async def what_nodes_hold(
        after: Annotated[str, Query(max_length=253)] = "", limit: Annotated[int, Query(ge=1, le=MOST_NODES)] = 100
    ) -> Answer:
        """Return a map of the GPUs of nodes, with parts and owners; `next` is the `after` to go on with."""
        return await questions.ask_scheduler(WhatNodesHold(after=after, limit=limit))

    @routes.get("/workloads/{workload_id}/waiting", response_model=Waits, tags=["workloads"])
    async def why_does_it_wait(workload_id: UUID) -> Answer:
        """Say why its pods wait now: the reason, the place in the queue, who holds the capacity, what would free it."""
        return await questions.why_it_waits(WhyDoesItWait(workload_id=workload_id))
