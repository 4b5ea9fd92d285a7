"""Spark's properties, as spark-submit hands them to a driver in a ConfigMap: what executors are to be like.

The operator writes them for an application, the driver reads them, whoever wrote them. They are in Java's format, of
which lines `key=value` with backslashes before `:` and `=` are all that spark-submit writes.
"""

import re
from collections.abc import Mapping
from typing import Any

from simcluster.resources import Object

_GPU = "spark.executor.resource.gpu"
_LABEL = "spark.kubernetes.executor.label."
_ANNOTATION = "spark.kubernetes.executor.annotation."
_SELECTOR = "spark.kubernetes.executor.node.selector."
_SCHEDULER = "spark.kubernetes.executor.scheduler.name"
_LINE = re.compile(r"^\s*(spark\.[^\s=]+?)\s*[= ]\s*(.*?)\s*$")
_MEBIBYTES = {"k": 1 / 1024, "m": 1, "g": 1024, "t": 1024 * 1024}
_LEAST_OVERHEAD_MEBIBYTES, _OVERHEAD = 384, 0.1


def parse(config: Object) -> dict[str, str]:
    """Return the properties in a ConfigMap, empty when there are none in it."""
    lines = (line for text in (config.get("data") or {}).values() for line in text.splitlines())
    found = (_LINE.match(line) for line in lines)
    return {match[1]: re.sub(r"\\(.)", r"\1", match[2]) for match in found if match is not None}


def of_application(spec: Mapping[str, Any]) -> dict[str, str]:
    """Return the properties with which the operator submits an application."""
    executor = spec.get("executor") or {}
    properties = {str(key): str(value) for key, value in (spec.get("sparkConf") or {}).items()}
    properties["spark.executor.instances"] = str(executor.get("instances", 1))
    for field in ("cores", "memory"):
        if executor.get(field) is not None:
            properties[f"spark.executor.{field}"] = str(executor[field])
    if executor.get("gpu"):
        vendor, _, _ = executor["gpu"]["name"].partition("/")
        properties |= {f"{_GPU}.amount": str(executor["gpu"]["quantity"]), f"{_GPU}.vendor": vendor}
    for prefix, field in ((_LABEL, "labels"), (_ANNOTATION, "annotations"), (_SELECTOR, "nodeSelector")):
        properties |= {f"{prefix}{key}": str(value) for key, value in (executor.get(field) or {}).items()}
    scheduler = executor.get("schedulerName") or spec.get("batchScheduler")
    return properties | ({_SCHEDULER: scheduler} if scheduler else {})


def to_text(properties: Mapping[str, str]) -> str:
    """Write properties as spark-submit does."""
    escaped = {key: re.sub(r"([\\:=])", r"\\\1", value) for key, value in properties.items()}
    return "".join(f"{key}={value}\n" for key, value in sorted(escaped.items()))


def labels_of(properties: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that executors bear beside Spark's own."""
    return _under(properties, _LABEL)


def annotations_of(properties: Mapping[str, str]) -> dict[str, str]:
    """Return the annotations of executors."""
    return _under(properties, _ANNOTATION)


def pod_fields_of(properties: Mapping[str, str]) -> dict[str, Any]:
    """Return what executors have in their spec beside the container."""
    fields: dict[str, Any] = {}
    if _under(properties, _SELECTOR):
        fields["nodeSelector"] = _under(properties, _SELECTOR)
    if _SCHEDULER in properties:
        fields["schedulerName"] = properties[_SCHEDULER]
    return fields


def resources_of(properties: Mapping[str, str]) -> dict[str, Any]:
    """Return the requests and limits of executors, memory with Spark's overhead on top."""
    cores = properties.get("spark.kubernetes.executor.request.cores") or properties.get("spark.executor.cores", "1")
    resources = resources_for(cores, properties.get("spark.executor.memory", "1g"))
    if f"{_GPU}.amount" in properties:
        vendor = properties.get(f"{_GPU}.vendor", "nvidia.com")
        resources["limits"][f"{vendor}/gpu"] = properties[f"{_GPU}.amount"]
    return resources


def resources_for(cores: str, memory: str) -> dict[str, Any]:
    """Return the requests and limits of a pod of Spark's that is to have so many cores and so much memory."""
    amount = f"{_with_overhead(memory)}Mi"
    return {"limits": {"memory": amount}, "requests": {"cpu": cores, "memory": amount}}


def _with_overhead(memory: str) -> int:
    """Return Spark's amount of memory (`512m`, `2g`) in MiB, with what Spark adds for itself."""
    match = re.fullmatch(r"(\d+)([kmgt])?b?", memory.strip().lower())
    if match is None:
        raise ValueError(f"{memory!r} is no amount of memory")
    mebibytes = int(match[1]) * _MEBIBYTES[match[2] or "m"]
    return int(mebibytes + max(mebibytes * _OVERHEAD, _LEAST_OVERHEAD_MEBIBYTES))


def _under(properties: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {key.removeprefix(prefix): value for key, value in properties.items() if key.startswith(prefix)}
