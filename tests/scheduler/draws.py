"""What worlds by chance are made of: quotas, nodes, pods and what pods demand, drawn one by one from one source.

Nothing here knows who is in the world; `wide_world` puts it together. Whatever a scheduler can be asked for belongs
here, rare enough that most worlds have room for something else as well.
"""

from collections.abc import Mapping
from random import Random
from typing import Any

from muster_contracts.values import (
    WHOLE_GPU,
    ClaimChoice,
    GpuRequest,
    LabelRule,
    NodePreference,
    NodeTerm,
    PlacementRules,
    PodTerm,
    PoolQuota,
    ReadyVolumes,
    Resources,
    SpreadRule,
    SubGroup,
    Taint,
    Toleration,
    TopologyConstraint,
)
from muster_scheduler.core.plan import Limits
from scheduler.worlds import GIBIBYTE

POOLS = ("default", "blue", "green")
LISTS = (
    (("default",),),
    (("default",), ("blue",), ("default", "blue"), ("blue", "default")),
    (("default",), ("blue",), ("default", "green"), ("green", "blue", "default")),
)
"""What workloads may ask for in a world of one, two or three pools."""
CLASSES = ("train", "train", "train", "interactive-preemptible", "interactive-preemptible", "build", "inference")
APPS = ("web", "db")
CARD = "example.com/card"
RESERVED = Taint(key="reserved", effect="NoSchedule")
RACK = TopologyConstraint(levels=("zone", "rack"), required="rack")
NEAR = (
    RACK,
    TopologyConstraint(levels=("zone", "rack"), required="zone", preferred="rack"),
    TopologyConstraint(levels=("zone", "rack"), preferred="rack"),
)
PARTS = (SubGroup(name="head", min_members=1), SubGroup(name="workers", min_members=1))
NESTED = (
    SubGroup(name="head", min_members=1),
    SubGroup(name="crew", min_members=0),
    SubGroup(name="workers", min_members=1, parent="crew", topology=RACK),
)
SCRATCH, LOCAL = "scratch", "local"
NO_HOST = NodeTerm(rules=(LabelRule(key="host", values=("none",)),))


def on_host(name: str) -> NodeTerm:
    """Return the term of one node."""
    return NodeTerm(rules=(LabelRule(key="host", values=(name,)),))


def with_ready(rules: PlacementRules, volumes: Mapping[str, int]) -> PlacementRules:
    """Return rules as they are while so many volumes lie ready on each node for the claims that choose one."""
    ready = tuple(ReadyVolumes(free=free, nodes=(on_host(host),)) for host, free in volumes.items() if free)
    reach = tuple(on_host(host) for host, free in volumes.items() if free) or (NO_HOST,)
    choices = tuple(one.model_copy(update={"ready": ready}) for one in rules.claims_choosing)
    return rules.model_copy(update={"claims_choosing": choices, "volumes": tuple(reach for _ in choices)})


def with_volume_on(rules: PlacementRules, host: str) -> PlacementRules:
    """Return rules as they are when the claims that were to choose have their volumes on a node."""
    reach = tuple((on_host(host),) for _ in rules.claims_choosing)
    return rules.model_copy(update={"claims_choosing": (), "claims_waiting": (), "volumes": reach})


class Draws:
    """One source of chance, asked for one thing after the other."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._pools = chance.choice((1, 2, 2, 3))

    def limits(self) -> Limits:
        return Limits(stale_gang_seconds=0, step_limit=self._chance.choice((10, 100, 100_000)))

    # ------------------------------------------------------------ the organisation

    def quota(self, name: str, most: int) -> PoolQuota:
        chance = self._chance
        gpus = chance.randint(0, most)
        return PoolQuota(
            node_pool=name,
            gpu_millionths=chance.choice((gpus, gpus, gpus, None)) and gpus * WHOLE_GPU,
            gpu_limit_millionths=(gpus + 1) * WHOLE_GPU if chance.random() < 0.1 else None,
            cpu_milli=chance.choice((None, None, None, 2000, 6000)),
            cpu_limit_milli=9000 if chance.random() < 0.1 else None,
            memory_bytes=chance.choice((None, None, None, None, 4 * GIBIBYTE)),
            over_quota_weight=chance.choice((None, 0, 1, 2, 3)),
            priority=chance.choice((0, 0, 0, 1)),
        )

    def patience(self, seldom: float) -> dict[str, int]:
        """Return the minimum run times that a queue grants, seldom any."""
        seconds = (0, 25, 400)
        return {
            "preempt_minimum_seconds": self._chance.choice(seconds) if self._chance.random() < seldom else 0,
            "reclaim_minimum_seconds": self._chance.choice(seconds) if self._chance.random() < seldom else 0,
        }

    # ------------------------------------------------------------ nodes

    def node(self, name: str, number: int) -> dict[str, Any]:
        chance = self._chance
        pool = ({}, {"pool": "blue"}, {"pool": "green"})[number % self._pools]
        place = {"zone": f"z{number // 3}", "rack": f"r{number // 2}"} if chance.random() < 0.9 else {}
        gpus, cpu = chance.choice((0, 2, 4, 4)), chance.choice((4, 16))
        cards = {CARD: chance.randint(1, 2)} if chance.random() < 0.3 else {}
        return {
            "gpus": gpus,
            "labels": {**pool, **place, "host": name},
            "gpu_memory_bytes": chance.choice((40, 80, 80, 0)) * GIBIBYTE,
            "taints": (RESERVED,) if chance.random() < 0.1 else (),
            "max_pods": chance.choice((110, 110, 110, 3)),
            "allocatable": Resources(
                cpu_milli=cpu * 1000, memory_bytes=16 * GIBIBYTE, gpu_millionths=gpus * WHOLE_GPU, extended=cards
            ),
        }

    # ------------------------------------------------------------ pods

    def gpu(self) -> GpuRequest:
        chance = self._chance
        if chance.random() < 0.15:
            return GpuRequest(devices=chance.choice((1, 1, 2)), memory_bytes=chance.choice((10, 20, 60)) * GIBIBYTE)
        if chance.random() < 0.3:
            portion = chance.choice((300_000, 500_000, 700_000))
            return GpuRequest(devices=chance.choice((1, 1, 1, 2)), portion_millionths=portion)
        return GpuRequest(devices=chance.choice((0, 1, 1, 1, 2, 4)))

    def requests(self, gpu: GpuRequest) -> Resources:
        """Return processors, with the overhead of a runtime now and then, memory, and a card that few nodes have."""
        chance = self._chance
        return Resources(
            cpu_milli=chance.choice((0, 1000, 1000, 3000)) + chance.choice((0, 0, 0, 250)),
            memory_bytes=chance.choice((1, 1, 2)) * GIBIBYTE,
            gpu_millionths=gpu.devices * WHOLE_GPU,
            extended={CARD: 1} if chance.random() < 0.05 else {},
        )

    def shape(self, size: int, *, with_parts: bool) -> dict[str, Any]:
        chance = self._chance
        return {
            "min_members": chance.choice((1, size, chance.randint(1, size))),
            "priority": chance.choice(CLASSES),
            "node_pools": chance.choice(LISTS[self._pools - 1]),
            "sub_groups": chance.choice((PARTS, PARTS, NESTED)) if with_parts else (),
            "min_sub_groups": chance.choice((None, None, 1)) if with_parts else None,
            "topology": chance.choice(NEAR) if chance.random() < 0.2 else None,
            "preemptible": chance.choice((None, None, None, True, True, False)),
        }

    def demands(self, name: str, volumes: Mapping[str, int]) -> dict[str, Any]:
        """Return what the pods of a workload demand beside room; `volumes` lie ready on the nodes."""
        chance = self._chance
        more: dict[str, Any] = {}
        if chance.random() < 0.4:
            more["labels"] = {"app": chance.choice(APPS)}
        if chance.random() < 0.1:
            more["node_selector"] = {"zone": chance.choice(("z0", "z1"))}
        if chance.random() < 0.3:
            more["tolerations"] = (Toleration(key="reserved", operator="Exists"),)
        if chance.random() < 0.4:
            more["rules"] = self._rules(name, volumes)
        return more

    def _rules(self, name: str, volumes: Mapping[str, int]) -> PlacementRules:
        chance = self._chance
        kind = chance.choice(("nodes", "volumes", "consumer", "local", "local", "company", "company", "ports"))
        match kind:
            case "nodes":
                wish = NodePreference(weight=50, term=self._zone())
                return PlacementRules(nodes=(self._zone(),), preferred_nodes=(wish,))
            case "volumes":
                return PlacementRules(volumes=((self._zone(), self._zone()),))
            case "consumer":
                reach = ((self._zone(), self._zone()),) if chance.random() < 0.7 else ()
                return PlacementRules(volumes=reach, claims_waiting=(SCRATCH,))
            case "local":
                claims = tuple(f"{name}-{n}" for n in range(chance.choice((1, 1, 2))))
                choosing = tuple(ClaimChoice(claim=claim, storage_class=LOCAL) for claim in claims)
                return with_ready(PlacementRules(claims_choosing=choosing, claims_waiting=claims), volumes)
            case "ports":
                return PlacementRules(host_ports=(chance.choice(("TCP/80", "TCP/81")),))
        return self._company()

    def _company(self) -> PlacementRules:
        chance = self._chance
        return PlacementRules(
            near=(self._term(),) if chance.random() < 0.3 else (),
            apart=(self._term(),) if chance.random() < 0.4 else (),
            spread=tuple(self._spread() for _ in range(chance.choice((0, 1, 2)))),
        )

    def _zone(self) -> NodeTerm:
        return NodeTerm(rules=(LabelRule(key="zone", values=(self._chance.choice(("z0", "z1")),)),))

    def _term(self) -> PodTerm:
        return PodTerm(topology_key=self._chance.choice(("zone", "host")), rules=self._selector())

    def _spread(self) -> SpreadRule:
        chance = self._chance
        return SpreadRule(
            topology_key=chance.choice(("zone", "host")),
            max_skew=chance.randint(1, 2),
            rules=self._selector(),
            required=chance.random() < 0.7,
            min_domains=chance.choice((1, 1, 2)),
            honours_affinity=chance.random() < 0.7,
            honours_taints=chance.random() < 0.4,
        )

    def _selector(self) -> tuple[LabelRule, ...]:
        if self._chance.random() < 0.1:
            return ()
        operator = self._chance.choice(("In", "In", "In", "NotIn"))
        return (LabelRule(key="app", operator=operator, values=(self._chance.choice(APPS),)),)
