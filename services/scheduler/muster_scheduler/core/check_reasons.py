"""The checker's rules about reasons: everybody left has one, its sentence tells its numbers, and the numbers are true.

Whether they are true `check_recounts` finds out, by counting again.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from muster_contracts.values import WHOLE_GPU

from muster_scheduler.core.check_facts import Facts
from muster_scheduler.core.check_recounts import Recount
from muster_scheduler.core.groups import GroupView
from muster_scheduler.core.reasons import Blocked

MEBIBYTE, GIBIBYTE = 1024**2, 1024**3
NUMBER = re.compile(r"\d\d:\d\d:\d\d|\d+(?:\.\d+)?(?:e[+-]?\d+)?")
TOLD: Mapping[str, tuple[str, ...]] = {
    "PodsMissing": ("needed", "present"),
    "SchedulingGated": ("pods",),
    "BindingRefused": ("pods",),
    "NodePoolUnschedulable": ("nodes",),
    "OverLimit": ("needed", "held", "bound"),
    "QuotaExceededNonPreemptible": ("needed", "held", "bound"),
    "VolumeRefused": ("nodes",),
    "NodesUnsuitable": ("nodes", "ready"),
    "NoFittingNode": ("members", "needed", "best", "closest", "held"),
    "FragmentedGPUs": ("members", "needed", "free", "best"),
    "FairShareExceeded": ("needed", "held", "fair_share"),
    "GangDoesNotFit": ("members", "needed", "free", "fitting", "largest"),
    "MinimumRunTime": ("until", "before"),
    "EvictionRefused": ("until",),
    "OtherPodsForbid": ("nodes",),
    "RoomIsBeingMade": ("places", "members"),
    "ItsTurn": ("members",),
    "BudgetExhausted": ("step_limit",),
}
"""Which numbers the sentence of each code tells, if the reason has them."""


def wrong_reasons(facts: Facts) -> Iterator[str]:
    """List groups that wait without a reason, and reasons that are not true."""
    placed = {place.pod_id for place in facts.plan.placements}
    explained = {blocked.pod_group_id for blocked in facts.plan.blocked}
    for view in facts.snapshot.groups:
        if view.id not in explained and any(pod.facts.pod_id not in placed for pod in view.waiting):
            yield f"Group {view.id} waits without a reason."
    recount = Recount(facts)
    for blocked in facts.plan.blocked:
        yield from _contradictions(blocked)
        if (known := facts.snapshot.views.get(blocked.pod_group_id)) is not None:
            yield from _untold(facts, known, blocked)
            if not recount.agrees(known, blocked):
                yield f"{blocked.pod_group_id} is told {blocked.code} with {blocked.numbers}, which is not so."


def _contradictions(blocked: Blocked) -> Iterator[str]:
    numbers = blocked.numbers
    if any(number < 0 for number in numbers.values()):
        yield f"The reason of {blocked.pod_group_id} has a negative number: {numbers}."
    for there in ("best", "closest", "present"):
        if there in numbers and numbers.get("needed", 0) <= numbers[there]:
            yield f"{blocked.pod_group_id} is said to need {numbers.get('needed')} where {numbers[there]} are {there}."
    wanted = numbers.get("members" if blocked.code == "GangDoesNotFit" else "needed", 0)
    if "largest" in numbers and wanted <= numbers["largest"]:
        yield f"{blocked.pod_group_id} is said never to find {wanted} where {numbers['largest']} would be."
    for bound in ("bound", "fair_share"):
        if bound in numbers and numbers["needed"] + numbers["held"] <= numbers[bound]:
            yield f"{blocked.pod_group_id} is said to pass {numbers[bound]} and does not."


def _untold(facts: Facts, view: GroupView, blocked: Blocked) -> Iterator[str]:
    """List numbers that are not in the sentence, in any of the units in which people are told them."""
    sentence = blocked.reason.removeprefix(view.name)
    queues = (key.partition("/")[2] for key in facts.above(view.queue))
    for name in sorted({*queues, *view.node_pools}, key=len, reverse=True):
        sentence = sentence.replace(f" {name} ", " ").replace(f" {name},", " ").replace(f" {name};", " ")
    told = NUMBER.findall(sentence)
    for name in TOLD.get(blocked.code, ()):
        if (value := blocked.numbers.get(name)) is None or _is_told_as_nothing(name, value, sentence):
            continue
        written = {_clock(value)} if name == "until" else _written(value)
        if (number := next((one for one in told if one in written), None)) is None:
            yield f"{blocked.pod_group_id} is told {blocked.reason!r}, which does not say {name}: {value}."
        else:
            told.remove(number)  # two numbers that are alike are said twice


def _is_told_as_nothing(name: str, value: int, sentence: str) -> bool:
    told = {"largest": "no node that would take it", "best": "nothing is free"}.get(name)
    return value == 0 and told is not None and told in sentence


def _written(value: int) -> set[str]:
    scaled = (value / unit for unit in (MEBIBYTE, GIBIBYTE))
    memory = (f"{amount:.4g}" if amount < 1000 else f"{amount:.0f}" for amount in scaled)
    return {str(value), f"{value / WHOLE_GPU:.15g}", f"{value / 1000:.15g}", *memory}


def _clock(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%H:%M:%S}"
