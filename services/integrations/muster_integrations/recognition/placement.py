"""What a pod demands of its node beside room: affinities, spread and host ports from its spec, and what its volumes do.

Most pods demand nothing, and of them nothing is said. What a pod only prefers of other pods is left out, for nobody
plans by it. Two things of Kubernetes have no word here: a selector of namespaces (only those that are named count), and
a term without any selector (it means no pod). What volumes demand is not in the pod; `storage` finds it.

Pitfall: affinities are read as they are written, and any part may be missing or odd; such a part is passed over.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from muster_cluster.objects import Pod
from muster_contracts.values import (
    ClaimChoice,
    LabelRule,
    NodePreference,
    NodeTerm,
    PlacementRules,
    PodTerm,
    SpreadRule,
)

from muster_integrations.recognition.fields import Raw, entries, field, mapping, number, text

Operator = Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]

_OPERATORS: Final[dict[str, Operator]] = {operator: operator for operator in get_args(Operator)}
_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"
_HOST_NAME: Final = "kubernetes.io/hostname"
_NOTHING: Final = PlacementRules()


@dataclass(frozen=True, slots=True)
class Demands:
    """What the volumes of one pod demand, as `PlacementRules` have it."""

    volumes: tuple[tuple[NodeTerm, ...], ...] = ()
    claims_waiting: tuple[str, ...] = ()
    claims_unbound: tuple[str, ...] = ()
    claims_choosing: tuple[ClaimChoice, ...] = ()


NO_DEMANDS: Final = Demands()


def rules_of(pod: Pod, demands: Demands = NO_DEMANDS) -> PlacementRules | None:
    """Return what a pod and its volumes demand; None when that is nothing."""
    ports = _host_ports(pod)
    if not ports and not _speaks_of_places(pod) and demands == NO_DEMANDS:
        return None
    affinity = pod.spec.affinity
    rules = PlacementRules(
        nodes=node_terms(field(affinity, "nodeAffinity", _REQUIRED)),
        preferred_nodes=tuple(_preferences(entries(affinity, "nodeAffinity", _PREFERRED))),
        near=tuple(_pod_terms(pod, entries(affinity, "podAffinity", _REQUIRED))),
        apart=tuple(_pod_terms(pod, entries(affinity, "podAntiAffinity", _REQUIRED))),
        spread=tuple(_spread(pod)),
        volumes=demands.volumes,
        host_ports=ports,
        claims_waiting=demands.claims_waiting,
        claims_unbound=demands.claims_unbound,
        claims_choosing=demands.claims_choosing,
    )
    return None if rules == _NOTHING else rules


def asked_labels(pod: Pod) -> frozenset[str]:
    """Return the labels that the rules of a pod ask of pods."""
    rules = rules_of(pod) if _speaks_of_places(pod) else None
    if rules is None:
        return frozenset()
    selectors = [term.rules for term in (*rules.near, *rules.apart)] + [spread.rules for spread in rules.spread]
    return frozenset(rule.key for selector in selectors for rule in selector)


def _speaks_of_places(pod: Pod) -> bool:
    return bool(pod.spec.affinity or pod.spec.topology_spread_constraints)


# ------------------------------------------------------------ nodes


def node_terms(selector: Any) -> tuple[NodeTerm, ...]:
    """Return the terms of a selector of nodes, one of which must hold."""
    return tuple(_node_term(term) for term in entries(selector, "nodeSelectorTerms"))


def topology_terms(topologies: Sequence[Raw]) -> tuple[NodeTerm, ...]:
    """Return the topologies that a storage class allows as terms, one of which must hold."""
    return tuple(NodeTerm(rules=tuple(_labels_in(one))) for one in topologies)


def _labels_in(topology: Raw) -> Iterator[LabelRule]:
    for expression in entries(topology, "matchLabelExpressions"):
        if key := text(expression, "key"):
            yield LabelRule(key=key, values=_texts(expression, "values"))


def _node_term(term: Raw) -> NodeTerm:
    """Return a term. Of the fields of a node only its name can be asked for; that it is another is asked of a label."""
    named = [one for one in entries(term, "matchFields") if text(one, "key") == "metadata.name"]
    names = tuple(name for one in named if text(one, "operator") == "In" for name in _texts(one, "values"))
    unwanted = tuple(name for one in named if text(one, "operator") == "NotIn" for name in _texts(one, "values"))
    rules = tuple(_label_rules(entries(term, "matchExpressions")))
    if unwanted:
        rules = (*rules, LabelRule(key=_HOST_NAME, operator="NotIn", values=unwanted))
    return NodeTerm(rules=rules, names=names)


def _preferences(preferred: Sequence[Raw]) -> Iterator[NodePreference]:
    for one in preferred:
        if weight := number(one, "weight"):
            yield NodePreference(weight=weight, term=_node_term(mapping(one, "preference")))


def _label_rules(expressions: Sequence[Raw]) -> Iterator[LabelRule]:
    for expression in expressions:
        operator = _OPERATORS.get(text(expression, "operator"))
        if operator is not None and (key := text(expression, "key")):
            yield LabelRule(key=key, operator=operator, values=_texts(expression, "values"))


def _texts(raw: Any, name: str) -> tuple[str, ...]:
    written = field(raw, name)
    return tuple(one for one in written if isinstance(one, str)) if isinstance(written, Sequence) else ()


# ------------------------------------------------------------ other pods


def _pod_terms(pod: Pod, terms: Sequence[Raw]) -> Iterator[PodTerm]:
    for term in terms:
        if isinstance(field(term, "labelSelector"), Mapping) and (key := text(term, "topologyKey")):
            yield PodTerm(topology_key=key, rules=_selected(pod, term), namespaces=_texts(term, "namespaces"))


def _spread(pod: Pod) -> Iterator[SpreadRule]:
    for rule in pod.spec.topology_spread_constraints:
        if isinstance(field(rule, "labelSelector"), Mapping) and (key := text(rule, "topologyKey")):
            yield SpreadRule(
                topology_key=key,
                max_skew=number(rule, "maxSkew") or 1,
                rules=_selected(pod, rule),
                required=text(rule, "whenUnsatisfiable") != "ScheduleAnyway",
                min_domains=number(rule, "minDomains") or 1,
                honours_affinity=text(rule, "nodeAffinityPolicy") != "Ignore",
                honours_taints=text(rule, "nodeTaintsPolicy") == "Honor",
            )


def _selected(pod: Pod, term: Raw) -> tuple[LabelRule, ...]:
    """Return the rules of a selector, and those that make the pod's own values of some labels count."""
    own = pod.metadata.labels
    alike = [LabelRule(key=name, values=(own[name],)) for name in _texts(term, "matchLabelKeys") if name in own]
    unlike = [
        LabelRule(key=name, operator="NotIn", values=(own[name],))
        for name in _texts(term, "mismatchLabelKeys")
        if name in own
    ]
    return (*selected(field(term, "labelSelector")), *alike, *unlike)


def selected(selector: Any) -> tuple[LabelRule, ...]:
    """Return the rules of a selector of labels."""
    labels = mapping(selector, "matchLabels")
    exact = (LabelRule(key=name, values=(value,)) for name, value in labels.items() if isinstance(value, str))
    return (*exact, *_label_rules(entries(selector, "matchExpressions")))


# ------------------------------------------------------------ ports


def _host_ports(pod: Pod) -> tuple[str, ...]:
    """Return the ports a pod takes on its node itself, as `TCP/8080`; init containers have ended before they matter."""
    containers = (*pod.spec.containers, *(one for one in pod.spec.init_containers if one.is_sidecar))
    taken = {f"{port.protocol}/{port.host_port}" for one in containers for port in one.ports if port.host_port}
    return tuple(sorted(taken))
