"""Quotas as people type and read them.

`muster project set` and `muster department set` change the quota of one node pool and keep the rest as it is, while the
API takes everything whole: what is typed is laid over what was read.
"""

from collections.abc import Callable
from typing import Annotated, Any

import typer
from muster_contracts.weights import OverQuotaWeight

from muster_cli.output import gpus, memory
from muster_cli.quantities import cpu_cores, gpu_millionths, memory_bytes

UNLIMITED = "unlimited"

Pool = Annotated[str, typer.Option("--node-pool", help="The node pool the quota is for.")]
Gpu = Annotated[str | None, typer.Option("--gpu", help="GPUs that are its due: 3, 0.5, unlimited.")]
GpuLimit = Annotated[str | None, typer.Option("--gpu-limit", help="GPUs it never holds more of.")]
Cpu = Annotated[str | None, typer.Option("--cpu", help="Processors that are its due: 64, 500m, unlimited.")]
CpuLimit = Annotated[str | None, typer.Option("--cpu-limit", help="Processors it never holds more of.")]
Memory = Annotated[str | None, typer.Option("--memory", help="Memory that is its due: 512Gi, unlimited.")]
MemoryLimit = Annotated[str | None, typer.Option("--memory-limit", help="Memory it never holds more of.")]
OverQuota = Annotated[
    OverQuotaWeight | None, typer.Option("--weight", help="How much of unused GPUs it gets beside others.")
]
Priority = Annotated[int | None, typer.Option("--priority", help="Served before those of lower priority.")]
NoQuota = Annotated[bool, typer.Option("--no-quota", help="Take the quota of this node pool away.")]
PreemptMinimum = Annotated[
    int | None, typer.Option("--preempt-minimum-seconds", min=0, help="So long nothing of it is preempted.")
]
ReclaimMinimum = Annotated[
    int | None, typer.Option("--reclaim-minimum-seconds", min=0, help="So long nothing of it is taken by others.")
]


def typed_quota(
    *,
    gpu: str | None,
    gpu_limit: str | None,
    cpu: str | None,
    cpu_limit: str | None,
    memory: str | None,
    memory_limit: str | None,
    weight: OverQuotaWeight | None,
    priority: int | None,
) -> dict[str, Any]:
    """Return the fields of a quota that were typed, as the API has them. Raises Failure for what is no amount."""
    amounts: dict[str, tuple[str | None, Callable[[str], int]]] = {
        "gpu_millionths": (gpu, gpu_millionths),
        "gpu_limit_millionths": (gpu_limit, gpu_millionths),
        "cpu_milli": (cpu, _cpu_milli),
        "cpu_limit_milli": (cpu_limit, _cpu_milli),
        "memory_bytes": (memory, memory_bytes),
        "memory_limit_bytes": (memory_limit, memory_bytes),
    }
    typed: dict[str, Any] = {
        name: None if text == UNLIMITED else read(text) for name, (text, read) in amounts.items() if text is not None
    }
    if weight is not None:
        typed["over_quota_weight"] = weight.number
    if priority is not None:
        typed["priority"] = priority
    return typed


def edited(quotas: list[dict[str, Any]], pool: str, typed: dict[str, Any], *, clear: bool) -> list[dict[str, Any]]:
    """Return quotas with what was typed of one pool, laid over what it has or (`clear`) over nothing."""
    before = next((quota for quota in quotas if quota["node_pool"] == pool), {"node_pool": pool})
    if not typed:
        return [quota for quota in quotas if not clear or quota is not before]
    after = {**({"node_pool": pool} if clear else before), **typed}
    if before not in quotas:
        return [*quotas, after]
    return [after if quota is before else quota for quota in quotas]


def shown(quotas: list[dict[str, Any]]) -> str:
    """Write quotas on one line: `3 of default, weight high; …`."""
    return "; ".join(_shown_one(quota) for quota in quotas) or "not limited"


def _shown_one(quota: dict[str, Any]) -> str:
    names = {weight.number: weight.value for weight in OverQuotaWeight}
    due = UNLIMITED if quota["gpu_millionths"] is None else gpus(quota["gpu_millionths"])
    parts = [f"{quota['node_pool']}: {due} GPU"]
    if quota["cpu_milli"] is not None:
        parts.append(f"{quota['cpu_milli'] / 1000:g} CPU")
    if quota["memory_bytes"] is not None:
        parts.append(memory(quota["memory_bytes"]))
    if quota["gpu_limit_millionths"] is not None:
        parts.append(f"at most {gpus(quota['gpu_limit_millionths'])} GPU")
    weight = quota["over_quota_weight"]
    return ", ".join(parts if weight is None else [*parts, f"weight {names.get(weight, weight)}"])


def _cpu_milli(text: str) -> int:
    return round(cpu_cores(text) * 1000)
