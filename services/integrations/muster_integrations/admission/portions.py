"""Which portion of a GPU a pod asks for, in all the ways people ask.

A quoted part of a GPU among the limits (`nvidia.com/gpu: "0.5"`), the annotations `gpu-fraction`, `gpu-memory` and
`gpu-fraction-num-devices`, Muster's own, and the variable `RUNAI_GPU_FRACTION` all mean one `Portion`, or make no sense
and are answered by one sentence. What is done about it is said in `portion_rules`.

Pitfall: the API server shows a limit of `0.5` in its own spelling, `500m`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from muster_cluster.objects import Container, Pod, PodTemplate
from muster_cluster.quantities import to_millionths
from muster_contracts.names import (
    GPU_DEVICES,
    GPU_DEVICES_NAMES,
    GPU_FRACTION,
    GPU_FRACTION_NAMES,
    GPU_FRACTION_VARIABLE,
    GPU_MEMORY,
    GPU_MEMORY_NAMES,
    GPU_RESOURCE,
)
from muster_contracts.values import WHOLE_GPU

WAYS: Final = (*GPU_FRACTION_NAMES, *GPU_MEMORY_NAMES, *GPU_DEVICES_NAMES)
_PORTION: Final = re.compile(r"0?\.(\d{1,6})0*", re.ASCII)
_LONGEST_QUOTED: Final = 40
_COUNT: Final = re.compile(r"[1-9]\d{0,8}", re.ASCII)


class Nonsense(ValueError):
    """What is asked for cannot be given; the text is the sentence for whoever asks."""


@dataclass(frozen=True, slots=True)
class Portion:
    """A part of each of so many GPUs: by share in millionths, or by memory in MiB."""

    millionths: int = 0
    memory_mebibytes: int = 0
    devices: int = 1

    @property
    def annotations(self) -> Mapping[str, str]:
        """How Muster writes it."""
        devices = {GPU_DEVICES: str(self.devices)} if self.devices > 1 else {}
        if self.memory_mebibytes:
            return {GPU_MEMORY: str(self.memory_mebibytes)} | devices
        return {GPU_FRACTION: f"{self.millionths / WHOLE_GPU:.6f}".rstrip("0")} | devices


@dataclass(frozen=True, slots=True)
class _Asked:
    where: str
    text: str
    millionths: int


def read_portion(template: Pod | PodTemplate) -> Portion | None:
    """Return which portion is asked for, in whatever way; None when none is. Raises Nonsense."""
    fractions = list(_fractions(template))
    memory, devices = _count_of(template, GPU_MEMORY_NAMES), _count_of(template, GPU_DEVICES_NAMES)
    _check_fractions(fractions)
    if not fractions and not memory:
        if devices:
            raise Nonsense(f"{devices} GPUs are asked for, but no portion of them: add the annotation gpu-fraction.")
        return None
    if fractions and memory:
        raise Nonsense(
            f"A portion of a GPU is a share ({fractions[0].where}) or an amount of memory, not both at once."
        )
    _check_wholes(template)
    return Portion(fractions[0].millionths if fractions else 0, memory, devices or 1)


def asks_for_portion(pod: Pod | PodTemplate) -> bool:
    """Say whether a pod asks for a portion of a GPU, be it in a way that makes sense or not."""
    return bool(ways_of(pod))


def ways_of(template: Pod | PodTemplate) -> Sequence[str]:
    """Return every place where a portion is asked for, be it in a way that makes sense or not."""
    annotated = [f"the annotation {name}" for name in WAYS if name in template.metadata.annotations]
    try:
        return [*annotated, *(asked.where for asked in _fractions(template))]
    except Nonsense as nonsense:
        return [*annotated, str(nonsense)]


def _fractions(template: Pod | PodTemplate) -> Iterator[_Asked]:
    """Yield every share that is asked for."""
    for name in GPU_FRACTION_NAMES:
        if name in template.metadata.annotations:
            yield _read_share(f"the annotation {name}", template.metadata.annotations[name])
    for container in template.spec.containers:
        yield from _limit_of(container)
        for variable in container.env:
            if variable.name == GPU_FRACTION_VARIABLE and variable.value_from is None:
                yield _read_share(f"the variable {variable.name} of the container {container.name}", variable.value)
    for container in template.spec.init_containers:
        for asked in _limit_of(container):
            raise Nonsense(f"An init container gets no portion of a GPU: take it away from {asked.where}.")


def _limit_of(container: Container) -> Iterator[_Asked]:
    """Yield the share among the limits of a container, or among its requests where it has no limit."""
    resources = container.resources
    written = resources.limits.get(GPU_RESOURCE, resources.requests.get(GPU_RESOURCE))
    if not is_part(written):
        return
    millionths = _amount(written)
    where = f"{GPU_RESOURCE} of the container {container.name}"
    if millionths > WHOLE_GPU:
        raise Nonsense(
            f"{millionths / WHOLE_GPU:g} GPUs cannot be given ({where}): ask for whole ones, or for a portion of one."
        )
    yield _Asked(where, f"{millionths / WHOLE_GPU:g}", millionths)


def is_part(amount: Any) -> bool:
    """Say whether so much of `nvidia.com/gpu` is no whole number of them; None is none."""
    return bool(_amount(amount) % WHOLE_GPU)


def _amount(written: Any) -> int:
    if written is None:
        return 0
    try:
        return max(0, to_millionths(written))
    except ValueError:
        return 0  # the API server will say what is wrong with it


def _read_share(where: str, text: str) -> _Asked:
    match = _PORTION.fullmatch(text.strip())
    millionths = int(match[1].ljust(6, "0")) if match else 0
    if not millionths:
        raise Nonsense(
            f"{_shortened(text)!r} is no portion of a GPU ({where}): write a number between 0 and 1 with at most six "
            "decimals, as 0.5."
        )
    return _Asked(where, text, millionths)


def _count_of(template: Pod | PodTemplate, known: Sequence[str]) -> int:
    """Return what is written under these annotations as a positive number; 0 when none is there."""
    written = {name: template.metadata.annotations[name] for name in known if name in template.metadata.annotations}
    counts = {name: _read_count(name, text) for name, text in written.items()}
    if len(set(counts.values())) > 1:
        said = " and ".join(f"{count} (the annotation {name})" for name, count in counts.items())
        raise Nonsense(f"Two numbers are given for one thing, {said}: leave one.")
    return next(iter(counts.values()), 0)


def _read_count(name: str, text: str) -> int:
    if _COUNT.fullmatch(text.strip()):
        return int(text)
    unit = "a number of MiB" if name in GPU_MEMORY_NAMES else "a number of GPUs"
    raise Nonsense(
        f"{_shortened(text)!r} is not {unit} (the annotation {name}): write a whole number from 1 to 999999999."
    )


def _shortened(text: str) -> str:
    """Return what somebody wrote, short enough for a sentence."""
    return text if len(text) <= _LONGEST_QUOTED else f"{text[:_LONGEST_QUOTED]}…"


def _check_fractions(asked: Sequence[_Asked]) -> None:
    """Raise Nonsense when shares contradict each other, or several containers want one each."""
    for other in asked[1:]:
        if other.millionths != asked[0].millionths:
            raise Nonsense(
                f"Two portions of a GPU are asked for, {asked[0].text} ({asked[0].where}) and {other.text} "
                f"({other.where}): leave one."
            )
    limited = [each for each in asked if each.where.startswith(GPU_RESOURCE)]
    if len(limited) > 1:
        raise Nonsense(f"One container of a pod gets a portion of a GPU, not {len(limited)}: leave it to one of them.")


def _check_wholes(template: Pod | PodTemplate) -> None:
    """Raise Nonsense when whole GPUs are asked for beside the portion."""
    for container in (*template.spec.containers, *template.spec.init_containers):
        if _amount(container.resources.limits.get(GPU_RESOURCE)) >= WHOLE_GPU:
            raise Nonsense(
                f"The container {container.name} asks for whole GPUs and the pod for a portion: leave one of them."
            )
