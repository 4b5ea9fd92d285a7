"""Watches that tell of the same objects in every order: each kind in its own, the kinds among each other as one likes.

A *life* is the states of one object, one after another, None when it is gone; a *feed* tells the lives of one kind.
"""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from integrations.kube import World
from muster_contracts.base import Event

Manifest = dict[str, Any]
Lives = dict[str, list[list[Manifest | None]]]
"""By kind."""


class Feed:
    """What one reflector tells: the lives of its objects, woven into one order."""

    def __init__(self, lives_of_kind: list[list[Manifest | None]]) -> None:
        self.steps = list(self._weave(lives_of_kind))
        self.present: dict[str, Manifest] = {}

    def _weave(self, lives_of_kind: list[list[Manifest | None]]) -> Iterator[tuple[Manifest | None, Manifest | None]]:
        for index in range(max(map(len, lives_of_kind))):
            for one in lives_of_kind:
                if index < len(one):
                    yield (one[index - 1] if index else None, one[index])

    def tell(self, world: World) -> None:
        old, new = self.steps.pop(0)
        identity = (new or old or {})["metadata"]["uid"]
        if new is None:
            del self.present[identity]
        else:
            self.present[identity] = new
        world.step(old, new)

    def repeat(self, world: World) -> None:
        for present in self.present.values():
            world.step(present, present)


def restarted(world: World, feeds: dict[str, Feed]) -> World:
    again = World(*world.events)
    for feed in feeds.values():
        again.show(*feed.present.values())
    again.write_everybody()
    return again


def plain(event: Event | None) -> Any:
    return without_versions(event.model_dump(mode="json")) if event else None


def without_versions(value: Any) -> Any:
    """A value without resource versions: which of several heartbeats was the last one written may differ."""
    if isinstance(value, dict):
        return {name: without_versions(part) for name, part in value.items() if name != "resource_version"}
    return [without_versions(part) for part in value] if isinstance(value, list | tuple) else value


def outcome(world: World) -> Any:
    """Everything that is said of what is still there."""
    workloads = {
        workload_id: (
            plain(workload.discovered),
            {key: plain(group) for key, group in workload.groups.items()},
            {key: without_versions(facts.model_dump(mode="json")) for key, facts in workload.pods.items()},
        )
        for workload_id, workload in world.fold.workloads.items()
    }
    return workloads, {name: plain(node) for name, node in world.fold.nodes.items()}, world.fold.homes


def finish(world: World, feeds: dict[str, Feed], heard: list[Any], lies: tuple[UUID, ...] = ()) -> World:
    """Tell the rest, and write it."""
    while heard:
        world.hear(heard.pop(0))
    for feed in feeds.values():
        while feed.steps:
            feed.tell(world)
    for lie in lies:
        world.mirror.doubt_is_over(lie)
    world.give_up_owners()
    world.write_everybody()
    return world


def tell(lives: Lives, heard: list[Any], actions: list[str], lies: tuple[UUID, ...] = ()) -> World:
    """Let everything arrive as the actions say; the rest at the end."""
    world, feeds = World(), {kind: Feed(of_kind) for kind, of_kind in lives.items()}
    for action in actions:
        world = act(world, action, feeds, heard)
    return finish(world, feeds, heard, lies)


def act(world: World, action: str, feeds: dict[str, Feed], heard: list[Any]) -> World:
    if action in feeds and feeds[action].steps:
        feeds[action].tell(world)
    elif action == "hear" and heard:
        world.hear(heard.pop(0))
    elif action == "write":
        world.write()
        assert world.write_everybody() == [], "what is due is all that is missing"
    elif action == "repeat":
        for feed in feeds.values():
            feed.repeat(world)
    elif action == "give up":
        world.give_up_owners()
    elif action == "restart":
        return restarted(world, feeds)
    return world


def actions_of(lives: Lives) -> list[str]:
    """What may happen, the more likely more often."""
    return [*sorted(lives) * 2, "pods", "pods", "hear", "write", "repeat", "give up", "restart"]
