"""The checker's rules about places: room, devices, labels, taints, domains, pools and the wholeness of gangs."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from muster_contracts.events import NodeObserved
from muster_contracts.values import WHOLE_GPU, LabelRule, NodeTerm, Placement, PodFacts, PodTerm, Taint, Toleration

from muster_scheduler.core.amounts import Amounts
from muster_scheduler.core.check_facts import Facts
from muster_scheduler.core.gang import Part
from muster_scheduler.core.groups import Bound, GroupView


def wrong_places(facts: Facts) -> Iterator[str]:
    """List what is wrong with the places a plan gives."""
    yield from _strangers(facts)
    yield from _Crowding(facts, facts.snapshot.idle, {}, "now").faults(facts.plan.placements)
    if facts.plan.nominations:
        yield from _Crowding(facts, facts.later, facts.leaving, "later").faults(facts.places)
    for place in facts.places:
        if place.node in facts.rows and (pod := facts.pod_at(place)) is not None:
            node = facts.snapshot.terrain.nodes[facts.rows[place.node]]
            yield from unsuitable(node, pod)
            yield from _wrong_devices(node, pod, place)
            if node.name in facts.shunned.get(pod.pod_id, ()):
                yield f"Pod {pod.pod_id} keeps off {node.name}, where its volume was refused a moment ago."
    yield from _broken_gangs(facts)
    yield from _wrong_pools(facts)
    yield from _far_apart(facts)
    if any(pod.rules or pod.labels for _, pod in facts.waiting.values()):
        yield from _bad_company(facts)


def _strangers(facts: Facts) -> Iterator[str]:
    moved = {victim.pod_id for victim in facts.plan.victims if victim.rule == "consolidate"}
    for pod_id, count in Counter(place.pod_id for place in facts.places).items():
        if count > 1:
            yield f"Pod {pod_id} is placed {count} times."
    for place in facts.places:
        if place.node not in facts.rows:
            yield f"There is no node {place.node}."
        known = facts.waiting.get(place.pod_id)
        if place.pod_id not in moved and (known is None or known[0].id != place.pod_group_id):
            yield f"Pod {place.pod_id} does not wait in group {place.pod_group_id}."


@dataclass(frozen=True, slots=True)
class _Crowding:
    """What is free at one time, and who leaves until then, against what is given.

    A node may lack something before the plan: it shrank, or somebody bound a pod past us. Only what is given counts.
    """

    facts: Facts
    free: Amounts
    leaving: Mapping[str, Sequence[Bound]]
    when: str

    def faults(self, places: Iterable[Placement]) -> Iterator[str]:
        """List the nodes and devices that are given away more than once."""
        by_node: dict[str, list[Placement]] = defaultdict(list)
        for place in places:
            if place.node in self.facts.rows:
                by_node[place.node].append(place)
        for name, here in by_node.items():
            yield from self._too_much(name, here)
            yield from self._crowded_devices(name, here)

    def _too_much(self, name: str, here: Iterable[Placement]) -> Iterator[str]:
        row, idle = self.facts.rows[name], self.free
        free = {"thousandths of CPUs": idle.cpu[row], "bytes of memory": idle.memory[row], "pods": idle.pods[row]}
        free |= {what: column[row] for what, column in idle.extended.items()}
        left = Counter({what: int(amount) for what, amount in free.items()})
        coming = [pod for pod in map(self.facts.pod_at, here) if pod is not None]
        going = [bound.facts for bound in self.leaving.get(name, ())]
        given, freed = _amounts(coming), _amounts(going)
        for what, amount in given.items():
            lacking = amount - freed[what] - left[what]
            if amount and lacking > 0:
                yield f"Node {name} is given {lacking} {what} more than it has {self.when}."

    def _crowded_devices(self, name: str, here: Iterable[Placement]) -> Iterator[str]:
        left = Counter(dict(enumerate(self.free.devices[self.facts.rows[name]].tolist())))
        for bound in self.leaving.get(name, ()):
            left.update({share.index: share.portion_millionths for share in bound.devices})
        for place in here:
            left.subtract({share.index: share.portion_millionths for share in place.devices})
        for index in sorted({share.index for place in here for share in place.devices}):
            if left[index] < 0:
                yield f"Device {index} of {name} is given {-left[index]} too much {self.when}."


def _amounts(pods: Iterable[PodFacts]) -> Counter[str]:
    """Sum what pods take of a node, devices apart."""
    total: Counter[str] = Counter()
    for pod in pods:
        total["thousandths of CPUs"] += pod.requests.cpu_milli
        total["bytes of memory"] += pod.requests.memory_bytes
        total["pods"] += 1
        for what, count in pod.requests.extended.items():
            total[what] += count
    return total


def _wrong_devices(node: NodeObserved, pod: PodFacts, place: Placement) -> Iterator[str]:
    if len({share.index for share in place.devices}) != pod.gpu.devices:
        yield f"Pod {pod.pod_id} asks for {pod.gpu.devices} devices and gets {len(place.devices)}."
    for share in place.devices:
        if pod.gpu.memory_bytes:
            enough = share.portion_millionths * node.gpu_memory_bytes >= pod.gpu.memory_bytes * WHOLE_GPU
        else:
            enough = share.portion_millionths == pod.gpu.portion_millionths
        if not enough:
            yield f"Pod {pod.pod_id} gets another part of device {share.index} than it asks for."


def unsuitable(node: NodeObserved, pod: PodFacts) -> Iterator[str]:
    """List why a node does not take a pod, however empty it is."""
    if not node.ready or node.unschedulable:
        yield f"Node {node.name} takes no pods."
    for key, value in pod.node_selector.items():
        if node.labels.get(key) != value:
            yield f"Pod {pod.pod_id} wants a node labelled {key}={value}, which {node.name} is not."
    for taint in node.taints:
        if taint.effect != "PreferNoSchedule" and not tolerates(pod, taint):
            yield f"Pod {pod.pod_id} does not tolerate the taint {taint.key} of {node.name}."
    rules = pod.rules
    for terms in (rules.nodes, *rules.volumes) if rules else ():
        if terms and not any(holds(term, node) for term in terms):
            yield f"Pod {pod.pod_id} wants another node than {node.name}, or its volume does."


def tolerates(pod: PodFacts, taint: Taint) -> bool:
    """Say whether a pod can live with a taint."""
    return any(_suits(one, taint.key, taint.value, taint.effect) for one in pod.tolerations)


def _suits(toleration: Toleration, key: str, value: str, effect: str) -> bool:
    if toleration.effect not in ("", effect) or toleration.key not in ("", key):
        return False
    return toleration.operator == "Exists" or (toleration.key == key and toleration.value == value)


def holds(term: NodeTerm, node: NodeObserved) -> bool:
    """Say whether a term holds of a node."""
    if term.names and node.name not in term.names:
        return False
    return bool(term.names or term.rules) and all(label_suits(rule, node.labels.get(rule.key)) for rule in term.rules)


def label_suits(rule: LabelRule, value: str | None) -> bool:
    """Say whether the value of a label, None where there is none, is what a rule demands."""
    if rule.operator in ("Gt", "Lt"):
        try:
            difference = int(value or "") - int(rule.values[0])
        except ValueError:
            return False
        return difference > 0 if rule.operator == "Gt" else difference < 0
    answers = {
        "In": value in rule.values,
        "NotIn": value not in rule.values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }
    return answers[rule.operator]


def _broken_gangs(facts: Facts) -> Iterator[str]:
    """Whoever starts must be whole by what runs and what is placed; whoever is nominated, with the nominated, too."""
    started = _by_group(facts, facts.plan.placements)
    promised = _by_group(facts, facts.plan.nominations)
    for group_id, pods in started.items():
        yield from _if_broken(facts.snapshot.views[group_id], pods)
    for group_id, pods in promised.items():
        yield from _if_broken(facts.snapshot.views[group_id], pods + started.get(group_id, []))


def _by_group(facts: Facts, places: Iterable[Placement]) -> dict[UUID, list[PodFacts]]:
    groups: dict[UUID, list[PodFacts]] = defaultdict(list)
    for place in places:
        if place.pod_id in facts.waiting:
            groups[place.pod_group_id].append(facts.waiting[place.pod_id][1])
    return groups


def _if_broken(view: GroupView, pods: list[PodFacts]) -> Iterator[str]:
    there = [bound.facts for bound in view.bound if not bound.releasing] + pods
    if not is_whole_with(view, there):
        yield f"Group {view.id} is started in part: with {len(there)} pods, {view.min_members} or more are needed."


def is_whole_with(view: GroupView, there: list[PodFacts]) -> bool:
    """Say whether these pods, beside those that have finished, are enough for a gang."""
    held = Counter(pod.sub_group if view.tree.parts else "" for pod in there)
    held.update(view.finished)
    return held.total() >= view.min_members and _is_whole(view.tree, held)


def _is_whole(part: Part, held: Counter[str]) -> bool:
    if not part.parts:
        return held[part.name] >= part.minimum
    whole = [below for below in part.parts if _is_whole(below, held)]
    return len(whole) >= (len(part.parts) if part.minimum_parts is None else part.minimum_parts)


def _wrong_pools(facts: Facts) -> Iterator[str]:
    used: dict[UUID, set[str]] = defaultdict(set)
    for place in facts.places:
        if place.node in facts.rows:
            used[place.pod_group_id].add(facts.pool(place.node))
    for group_id, pools in used.items():
        view = facts.snapshot.views.get(group_id)
        if view is None:
            continue
        there = {facts.pool(bound.node) for bound in view.bound if not bound.releasing and bound.node in facts.rows}
        if len(pools | there) > 1:
            yield f"Group {group_id} is in the node pools {sorted(pools | there)} at once."
        if not there and not pools <= set(view.node_pools):
            yield f"Group {group_id} may not use the node pools {sorted(pools - set(view.node_pools))}."


def _far_apart(facts: Facts) -> Iterator[str]:
    """Check the required level of whole groups and of their leaves.

    Who is placed goes to one domain: to one where others of the group are, if they are in any. These may be in several
    if they ran before the level was asked for.
    """
    if not any(part.topology for view in facts.snapshot.groups for part in (view.tree, *view.tree.leaves())):
        return
    nodes: dict[UUID, list[tuple[str, NodeObserved]]] = defaultdict(list)
    for place in facts.places:
        if place.pod_id in facts.waiting and place.node in facts.rows:
            pod = facts.waiting[place.pod_id][1]
            nodes[place.pod_group_id].append((pod.sub_group, facts.snapshot.terrain.nodes[facts.rows[place.node]]))
    for group_id, seats in nodes.items():
        view = facts.snapshot.views[group_id]
        staying = [bound for bound in view.bound if not bound.releasing and bound.node in facts.rows]
        there = [(b.facts.sub_group, facts.snapshot.terrain.nodes[facts.rows[b.node]]) for b in staying]
        tree = view.tree
        for part in (tree, *(leaf for leaf in tree.leaves() if leaf is not tree)):
            topology = part.topology
            if topology is None or not topology.required:
                continue
            levels = topology.shared_levels
            taken, held = (
                {tuple(map(node.labels.get, levels)) for leaf, node in some if part is tree or leaf == part.name}
                for some in (seats, there)
            )
            allowed = {domain for domain in held if None not in domain} or taken
            if len(taken) > 1 or any(None in domain for domain in taken) or not taken <= allowed:
                yield f"Group {group_id} is not in one domain of {topology.required}."


def _bad_company(facts: Facts) -> Iterator[str]:
    """Check rules about other pods for everybody who is placed at once, against all who are, or will be, there."""
    there = [(bound.facts, bound.node) for _, bound in facts.bound.values() if bound.node in facts.rows]
    coming = [(one.pod, one.node.name) for one in facts.arrivals]
    company = _Company(facts, [*there, *coming])
    for pod, node in coming:
        yield from company.complaints(pod, node)


class _Company:
    """Who is where, counted by domain for every rule that somebody has."""

    def __init__(self, facts: Facts, everybody: list[tuple[PodFacts, str]]) -> None:
        self._facts = facts
        self._everybody = everybody
        self._matching: dict[tuple[str, PodTerm], Counter[str | None]] = {}
        self._keepers: dict[tuple[str, PodTerm], Counter[str | None]] = defaultdict(Counter)
        self._ports = Counter((node, port) for pod, node in everybody for port in _ports(pod))
        for pod, node in everybody:
            for term in pod.rules.apart if pod.rules else ():
                self._keepers[pod.namespace, term][self._domain(node, term)] += 1

    def complaints(self, pod: PodFacts, node: str) -> Iterator[str]:
        """List the rules that a pod breaks on a node."""
        rules = pod.rules
        for term in rules.apart if rules else ():
            if self._mates(pod, term)[self._domain(node, term)] > _speaks_of(pod.namespace, term, pod):
                yield f"Pod {pod.pod_id} is not kept apart from others."
        for (namespace, term), keepers in self._keepers.items():
            own = namespace == pod.namespace and rules is not None and term in rules.apart
            domain = self._domain(node, term)
            if _speaks_of(namespace, term, pod) and domain is not None and keepers[domain] > own:
                yield f"Pod {pod.pod_id} is not kept away from others."
        for term in rules.near if rules else ():
            if not self._mates(pod, term)[self._domain(node, term)] and not _speaks_of(pod.namespace, term, pod):
                yield f"Pod {pod.pod_id} is not near those it wants to be near."
        for port in _ports(pod):
            if self._ports[node, port] > 1:
                yield f"Pod {pod.pod_id} wants {port} of {node}, which another one has."

    def _mates(self, pod: PodFacts, term: PodTerm) -> Counter[str | None]:
        """Count those a term speaks of, by domain; nobody is in a domain without a name."""
        key = (pod.namespace, term)
        if key not in self._matching:
            mates = (
                self._domain(node, term) for other, node in self._everybody if _speaks_of(pod.namespace, term, other)
            )
            self._matching[key] = Counter(domain for domain in mates if domain is not None)
        return self._matching[key]

    def _domain(self, node: str, term: PodTerm) -> str | None:
        return self._facts.snapshot.terrain.nodes[self._facts.rows[node]].labels.get(term.topology_key)


def _speaks_of(namespace: str, term: PodTerm, other: PodFacts) -> bool:
    """Say whether a term of somebody in a namespace speaks of a pod."""
    within = other.namespace in (term.namespaces or (namespace,))
    return within and all(label_suits(rule, other.labels.get(rule.key)) for rule in term.rules)


def _ports(pod: PodFacts) -> set[str]:
    return set(pod.rules.host_ports) if pod.rules else set()
