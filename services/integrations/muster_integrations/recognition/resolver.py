"""Which workload an object belongs to: the rules by label, and what its owners lead to.

1. A pod that a rule knows before anything else (a Spark executor, whose owner may be a notebook) is claimed by it; what
   its owners lead to is the parent.
2. The owners are followed (`walk`).
3. A pod that nobody owns, or whose owners cannot be read as far as a workload, is claimed by the labels it carries. Of
   a pod that a pod owns, that one's labels count.
4. What is left is the topmost object that could be read, or what the last reference says.

Who is claimed by name has the UID by which others name it as theirs, so that no workload is two because something
between it and some of its pods cannot be read. Everything that was looked up by name is in `names`, for whoever has to
ask again when something else is known of it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from muster_contracts.values import ParentRef

from muster_integrations.recognition.kinds import Claim, Known, Standing
from muster_integrations.recognition.pods import POD
from muster_integrations.recognition.resolution import Resolution, Root, Trail, World, root_of
from muster_integrations.recognition.table import APART, BEFORE_WALK, BY_LABEL
from muster_integrations.recognition.walk import Walk


def resolve(start: Known, world: World, trail: Trail | None = None) -> Resolution:
    """Return the workload an object belongs to."""
    trail = trail or Trail()
    if start.kind is POD and (reason := next((said for rule in APART if (said := rule(start.item))), "")):
        return Resolution(root_of(start), apart=reason)
    if (claim := _first_claim(start, BEFORE_WALK, trail)) is not None:
        trail.note(
            f"Its labels name the {claim.kind.name} {claim.name or claim.key}; its owners are at most its parent."
        )
        around = _by_owners(start, world, Trail(trail.tried, trail.passed))  # whose rule is not the one that won
        return _within(around, _claimed(start, claim, world, trail))
    return _by_owners(start, world, trail)


def _by_owners(start: Known, world: World, trail: Trail) -> Resolution:
    found = Walk(start, world, trail).go()
    speaker = _speaker(start, found)
    if speaker is not None and (claim := _first_claim(speaker, BY_LABEL, trail)) is not None:
        claimed = _claimed(start, claim, world, trail)
        names = (*claimed.names, *found.names)
        return replace(claimed, missing=claimed.missing or found.missing, kinds=found.kinds, names=names)
    trail.rule = trail.rule or f"owner: {found.root.kind.name}"
    return found


def _within(outer: Resolution, inner: Resolution) -> Resolution:
    """Return the inner of two answers, the outer as its parent if that is a workload by itself."""
    around, root = outer.root, inner.root
    if root.parent is None and around.kind is not POD and (around.kind, around.identity) != (root.kind, root.identity):
        root = replace(root, parent=ParentRef(kind=around.kind.name, name=around.name))
    return replace(inner, root=root, kinds=outer.kinds, names=(*inner.names, *outer.names))


def _first_claim(start: Known, rules: Sequence[Any], trail: Trail) -> Claim | None:
    if start.kind is not POD:
        return None
    for rule in rules:
        claim: Claim | None = rule(start.item)
        if claim is not None:
            trail.rule = f"{claim.source}: {claim.kind.name}"
            return claim
        trail.note(f"Rule {rule.__module__.rpartition('.')[2]}.{rule.__name__} does not know the pod.")
    return None


def _speaker(start: Known, found: Resolution) -> Known | None:
    """Return the pod whose labels may speak: one that nobody owns, or whose owners end, unread, below any workload.

    A reference to a workload of a system is worth more than labels; one to a step or a generic kind is not.
    """
    root = found.root
    if start.kind is not POD or found.apart:
        return None
    if root.item is not None:
        return Known(POD, root.api_version, root.item) if root.kind is POD else None
    return start if root.kind.generic or root.kind.standing is Standing.STEP else None


def _claimed(start: Known, claim: Claim, world: World, trail: Trail) -> Resolution:
    """Return the workload a pod is known by: the object of that name, and what absorbs it, if it can be read."""
    namespace = start.metadata.namespace
    if claim.finer is not None and world.finer(namespace):
        claim = claim.finer
    if not claim.object_name:
        return Resolution(_keyed(claim, namespace))
    name = (claim.kind.key, namespace, claim.object_name)
    live = world.by_name(name) or world.holder_of(name)
    if live is None:
        root = _keyed(claim, namespace, world.uid_of(name))
        known_by = f"is known by its UID {root.uid}" if root.uid else "its name is the key"
        trail.note(f"{claim.kind.name} {claim.object_name} is not there; {known_by}.")
        return Resolution(root, missing=world.may_come(claim.kind.key), names=(name,))
    found = Walk(live, world, trail).go()
    return replace(found, root=replace(found.root, source=claim.source), names=(name, *found.names))


def _keyed(claim: Claim, namespace: str, uid: str = "") -> Root:
    name, key = claim.name or claim.object_name or claim.key, "" if uid else claim.key
    return Root(claim.kind, claim.api_version, namespace, name, uid, key, source=claim.source)
