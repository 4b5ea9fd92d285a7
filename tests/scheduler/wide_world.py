"""A world by chance in which everything is that a scheduler can be asked for: everybody in it but the planner.

A turn is a plan that is carried out, as `execution` does it and as it comes back through the journal: bound or
released, evicted or refused. Then time passes, and those go who were told to. Whoever is evicted is replaced by a pod
that waits, so nobody leaves because he was taken from. `live` lets people, nodes, quotas and volumes do as they like.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

from muster_contracts import events as e
from muster_contracts.values import BoundPod, Caller, ClaimChoice, Placement, PlacementRules, PodFacts, PodPhase, Victim
from muster_contracts.wire import Envelope, Recorded
from muster_scheduler.core.devices import format_devices
from muster_scheduler.core.plan import Limits, Plan, plan
from muster_scheduler.core.snapshot import Snapshot, take_snapshot
from muster_scheduler.core.state import State
from scheduler.draws import POOLS, Draws, with_ready, with_volume_on
from scheduler.worlds import GIBIBYTE, START, belongs, gone, group, id_of, node, plan_made, pod, pool, project

ROUND = timedelta(seconds=10)
LONG = timedelta(hours=1)
DEPARTMENTS = {"top": "", "middle": "top", "low": "middle", "lowest": "low", "beside": ""}
ADMIN = Caller(name="admin")
UNHURRIED = Limits(stale_gang_seconds=0)
Judge = Callable[[Snapshot, Plan, Limits, int], None]


class WideWorld:
    """Everybody but the planner. While it is `busy`, deeds fail now and then, and leaving takes its time."""

    def __init__(self, seed: int) -> None:
        self.state = State()
        self.seed, self.evicted, self.busy = seed, 0, True
        self._chance = Random(seed)
        self._draws = Draws(self._chance)
        self._now = START
        self._pods: dict[UUID, PodFacts] = {}
        self._names: dict[UUID, str] = {}
        self._nodes: dict[str, e.NodeObserved] = {}
        self._volumes: dict[str, int] = {}
        self._claimed: dict[str, str] = {}  # on which node the volume of a claim is
        self._projects = [f"p{number}" for number in range(self._chance.randint(2, 4))]
        self._tell(*(pool(name, gpu_placement=self._chance.choice(("bin-pack", "spread"))) for name in POOLS))
        self._tell(*map(self._department, DEPARTMENTS), *map(self._project, self._projects))
        for number in range(self._chance.randint(2, 5)):
            self._see_node(f"n{number}")

    def turn(self, judge: Judge) -> Plan:
        """Plan, have the plan judged, carry it out, and let those go who were told to."""
        limits = self._draws.limits() if self.busy else UNHURRIED
        snapshot = take_snapshot(self.state)
        made = plan(snapshot, limits)
        judge(snapshot, made, limits, self.seed)
        self._carry_out(made)
        self._settle()
        return made

    def live(self, number: int) -> None:
        """Let workloads come and go, nodes come, close and vanish, strangers use them, and quotas change."""
        chance = self._chance
        for count in range(chance.randint(2, 7)):
            self._come(f"w{number}-{count}")
        for name in dict.fromkeys(self._names.values()):
            if chance.random() < 0.1:
                self._leave(name)
        self._change_pods()
        self._change_nodes(number)
        if chance.random() < 0.4:
            self._let_a_stranger_come(f"stranger{number}")
        self._tell(*(self._project(name) for name in self._projects if chance.random() < 0.1))

    def wait_long(self) -> None:
        """Let so much time pass that every pause and every protection is over."""
        self._now += LONG
        self._tick()

    # ------------------------------------------------------------ the organisation

    def _department(self, name: str) -> e.DepartmentChanged:
        draws, bounded = self._draws, self._chance.random() < 0.7
        return e.DepartmentChanged(
            department_id=id_of(name),
            name=name,
            parent=DEPARTMENTS[name],
            quotas=tuple(draws.quota(each, 6) for each in POOLS) if bounded else (),
            changed_by=ADMIN,
            **draws.patience(0.1),
        )

    def _project(self, name: str) -> e.ProjectChanged:
        chance, draws = self._chance, self._draws
        bounded = chance.random() < 0.9
        quotas = tuple(draws.quota(each, 3) for each in POOLS if chance.random() < 0.9) if bounded else ()
        department = chance.choice((*DEPARTMENTS, ""))
        return project(name, department=department).model_copy(update={"quotas": quotas, **draws.patience(0.3)})

    # ------------------------------------------------------------ nodes

    def _see_node(self, name: str) -> None:
        self._nodes[name] = node(name, **self._draws.node(name, len(self._nodes)))
        self._volumes[name] = self._chance.choice((0, 0, 1, 3))
        self._tell(self._nodes[name])

    def _change_nodes(self, number: int) -> None:
        chance = self._chance
        if chance.random() < 0.2:
            self._see_node(f"late{number}")
        for name, seen in list(self._nodes.items()):
            if chance.random() < 0.06:
                self._lose_node(name)
            elif chance.random() < 0.1:
                change = chance.choice(({"unschedulable": not seen.unschedulable}, {"ready": not seen.ready}))
                self._nodes[name] = seen.model_copy(update=change)
                self._tell(self._nodes[name])

    def _lose_node(self, name: str) -> None:
        """Let a node go, with all that is on it."""
        lost = self._nodes.pop(name)
        self._volumes.pop(name)
        self._tell(e.NodeGone(node_id=lost.node_id, name=name))
        for facts in [facts for facts in self._pods.values() if facts.node == name]:
            self._replace(facts)
        self._tell_of_volumes()

    def _let_a_stranger_come(self, name: str) -> None:
        """Let another scheduler put a pod where there is room for it."""
        snapshot = take_snapshot(self.state)
        idle = snapshot.idle
        rooms = zip(snapshot.terrain.nodes, idle.cpu.tolist(), idle.memory.tolist(), idle.pods.tolist(), strict=True)
        fitting = [one.name for one, cpu, memory, pods in rooms if cpu >= 1000 and memory >= GIBIBYTE and pods]
        if fitting:
            more = {"node": fitting[0], "phase": PodPhase.RUNNING, "scheduler_name": "default-scheduler"}
            facts = pod(name, name, gpus=0, **more).model_copy(update={"pod_group_id": None})
            self._tell(e.PodObserved(workload_id=id_of(f"workload/{name}"), pods=(facts,)))

    # ------------------------------------------------------------ workloads

    def _come(self, name: str) -> None:
        chance, draws = self._chance, self._draws
        size = chance.choice((1, 1, 2, 3, 4))
        with_parts = size > 1 and chance.random() < 0.3
        parts = ["head", *["workers"] * (size - 1)] if with_parts else [""] * size
        demands, gates = draws.demands(name, self._volumes), ("wait",) if chance.random() < 0.08 else ()
        pods = [
            pod(f"{name}-{n}", name, sub_group=part, scheduling_gates=gates, created_at=self._now, **each, **demands)
            for n, (part, each) in enumerate(zip(parts, self._asked(parts), strict=True))
        ]
        if chance.random() < 0.5:
            pods = [_with_claims_of_its_own(facts) for facts in pods]
        self._names[id_of(f"group/{name}")] = name
        self._pods |= {facts.pod_id: facts for facts in pods}
        self._tell(
            belongs(name, chance.choice(self._projects)), *group(name, pods, **draws.shape(size, with_parts=with_parts))
        )

    def _asked(self, parts: Iterable[str]) -> list[dict[str, Any]]:
        """Return what pods ask for; all of a part the same."""
        asked: dict[str, dict[str, Any]] = {}
        for part in parts:
            if part not in asked:
                gpu = self._draws.gpu()
                asked[part] = {"gpu": gpu, "requests": self._draws.requests(gpu)}
        return [asked[part] for part in parts]

    def _change_pods(self) -> None:
        """Let pods that are held back go on, and some that run come to their end."""
        for facts in list(self._pods.values()):
            if facts.scheduling_gates and self._chance.random() < 0.4:
                self._see(facts.model_copy(update={"scheduling_gates": ()}))
            elif facts.node and not facts.terminating and self._chance.random() < 0.03:
                self._see(facts.model_copy(update={"phase": PodPhase.SUCCEEDED}))

    def _leave(self, name: str) -> None:
        """Let a workload go with all its pods."""
        for facts in [facts for facts in self._pods.values() if self._name_of(facts) == name]:
            del self._pods[facts.pod_id]
            self._tell(gone(facts.name, name))
        del self._names[id_of(f"group/{name}")]
        self._tell(e.WorkloadGone(workload_id=id_of(f"workload/{name}"), end_seen=True))

    def _replace(self, facts: PodFacts) -> None:
        """Let a pod go, and another wait in its stead unless it had done its part."""
        del self._pods[facts.pod_id]
        self._tell(gone(facts.name, self._name_of(facts)))
        if facts.phase is not PodPhase.SUCCEEDED:
            name = f"{facts.name}x"
            left = {"node": "", "gpus": "", "terminating": False, "phase": PodPhase.PENDING, "created_at": self._now}
            self._see(facts.model_copy(update={"pod_id": id_of(f"pod/{name}"), "name": name, **left}))

    # ------------------------------------------------------------ carrying out

    def _carry_out(self, made: Plan) -> None:
        plan_id = id_of(f"plan/{self.state.position}")
        self._tell(plan_made(made, self.state.position))
        gangs: dict[UUID, list[Placement]] = defaultdict(list)
        for place in made.placements:
            gangs[place.pod_group_id].append(place)
        for places in gangs.values():
            if self.busy and self._chance.random() < 0.1:
                self._release(places, plan_id)
            else:
                self._bind(places, plan_id)
        self._tell_of_volumes()
        for victim in made.victims:
            self._evict(victim, plan_id)

    def _bind(self, places: list[Placement], plan_id: UUID) -> None:
        bound = tuple(BoundPod(pod_id=one.pod_id, name=one.name, node=one.node, devices=one.devices) for one in places)
        first = places[0]
        self._tell(
            e.PodScheduled(workload_id=first.workload_id, pod_group_id=first.pod_group_id, plan_id=plan_id, pods=bound)
        )
        for place in places:
            facts = self._pods[place.pod_id]
            self._claim(facts, place.node)
            change = {"node": place.node, "gpus": format_devices(place.devices), "phase": PodPhase.RUNNING}
            self._see(facts.model_copy(update=change))

    def _release(self, places: list[Placement], plan_id: UUID) -> None:
        """Give a whole gang up: its binding is refused, or the volume of its first pod cannot be where it is to be."""
        first = places[0]
        rules = self._pods[first.pod_id].rules
        misplaced = (first.pod_id,) if rules is not None and rules.claims_waiting else ()
        self._tell(
            e.PlacementReleased(
                workload_id=first.workload_id,
                pod_group_id=first.pod_group_id,
                plan_id=plan_id,
                pod_ids=tuple(place.pod_id for place in places),
                reason="It was refused.",
                misplaced=misplaced,
            )
        )
        for place in places:
            facts = self._pods[place.pod_id]
            self._see(facts.model_copy(update={"resource_version": f"{facts.resource_version}1"}))

    def _evict(self, victim: Victim, plan_id: UUID) -> None:
        """Tell a pod to go, unless a disruption budget forbids it."""
        group_id = self._pods[victim.pod_id].pod_group_id
        assert group_id is not None
        about: dict[str, Any] = {
            "workload_id": victim.workload_id,
            "plan_id": plan_id,
            "pod_ids": (victim.pod_id,),
            "reason": "A disruption budget forbids it.",
        }
        if self.busy and self._chance.random() < 0.2:
            self._tell(e.PlacementReleased(pod_group_id=group_id, **about))
        else:
            self.evicted += 1
            self._tell(e.PodPreempted(rule=victim.rule, **about))
            self._see(self._pods[victim.pod_id].model_copy(update={"terminating": True}))

    def _settle(self) -> None:
        """Let time pass, and those go who are on their way; one or the other may take longer."""
        self._now += ROUND
        for facts in [facts for facts in self._pods.values() if facts.terminating]:
            if not self.busy or self._chance.random() < 0.8:
                self._replace(facts)
        self._tick()

    def _tick(self) -> None:
        """Tell nothing new, at a later time."""
        self._tell(pool("default", gpu_placement=self.state.node_pools["default"].gpu_placement))

    # ------------------------------------------------------------ volumes that lie ready

    def _claim(self, facts: PodFacts, host: str) -> None:
        """Let a pod's claims take volumes where it goes; those that it shares may have done so already."""
        for choice in facts.rules.claims_choosing if facts.rules else ():
            if choice.claim not in self._claimed:
                self._volumes[host] -= 1
                self._claimed[choice.claim] = host
                assert self._volumes[host] >= 0, f"seed {self.seed}: more claims than volumes on {host}"

    def _tell_of_volumes(self) -> None:
        """Tell pods with claims that choose what lies ready by now, or where their volumes are."""
        for facts in list(self._pods.values()):
            if facts.rules is not None and facts.rules.claims_choosing:
                rules = self._rules_now(facts.rules)
                if rules != facts.rules:
                    self._see(facts.model_copy(update={"rules": rules}))

    def _rules_now(self, rules: PlacementRules) -> PlacementRules:
        host = self._claimed.get(rules.claims_choosing[0].claim)
        return with_ready(rules, self._volumes) if host is None else with_volume_on(rules, host)

    # ------------------------------------------------------------ the journal

    def _see(self, facts: PodFacts) -> None:
        self._pods[facts.pod_id] = facts
        self._tell(e.PodObserved(workload_id=id_of(f"workload/{self._name_of(facts)}"), pods=(facts,)))

    def _name_of(self, facts: PodFacts) -> str:
        assert facts.pod_group_id is not None
        return self._names[facts.pod_group_id]

    def _tell(self, *events: e.AnyEvent) -> None:
        for event in events:
            position = self.state.position + 1
            self.state.apply(Recorded(position, Envelope(id_of(f"event/{position}"), self._now), event))


def _with_claims_of_its_own(facts: PodFacts) -> PodFacts:
    """Return a pod whose claims nobody shares, as those of a stateful set."""
    if facts.rules is None or not facts.rules.claims_choosing:
        return facts
    choosing = tuple(_renamed(choice, facts.name) for choice in facts.rules.claims_choosing)
    change = {"claims_choosing": choosing, "claims_waiting": tuple(choice.claim for choice in choosing)}
    return facts.model_copy(update={"rules": facts.rules.model_copy(update=change)})


def _renamed(choice: ClaimChoice, pod_name: str) -> ClaimChoice:
    return choice.model_copy(update={"claim": f"{choice.claim}-{pod_name}"})
