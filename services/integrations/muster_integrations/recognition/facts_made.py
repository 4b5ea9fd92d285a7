"""The facts that were made of pods, kept so that a pod's are made again only when what they come from changed.

Labels are facts as far as the rules of some pod ask for them (`placement`), so they depend on what all pods ask for;
and what the volumes of a pod demand depends on its claims (`storage`).
"""

from dataclasses import dataclass, replace
from uuid import UUID

from muster_cluster.objects import Pod
from muster_contracts.values import PodFacts

from muster_integrations.core.decide import same_pod
from muster_integrations.recognition.agenda import Agenda
from muster_integrations.recognition.knowledge import Knowledge
from muster_integrations.recognition.placement import Demands, asked_labels
from muster_integrations.recognition.pod_facts import Membership, facts_of, has_ended
from muster_integrations.recognition.storage import Storage


@dataclass(frozen=True, slots=True)
class _Made:
    """Facts, and what they were made from."""

    pod: Pod
    membership: Membership
    asked: frozenset[str]
    demands: Demands
    facts: PodFacts


class FactsMade:
    """The facts of every pod that was ever described, by its UID."""

    def __init__(self, knowledge: Knowledge, storage: Storage, agenda: Agenda) -> None:
        self._knowledge = knowledge
        self._storage = storage
        self._agenda = agenda
        self._made: dict[str, _Made] = {}
        self._asked: frozenset[str] = frozenset()

    def heed(self, pod: Pod) -> bool:
        """Note which labels the rules of a pod ask for. When one is new, return True: all pods have to show it."""
        asked = asked_labels(pod)
        if asked <= self._asked:
            return False
        self._asked |= asked
        return True

    def facts(self, pod: Pod, membership: Membership) -> PodFacts:
        """Return the facts of a pod; the very object that is written already, while nothing that matters changed."""
        made, demands = self._made.get(pod.metadata.uid), self._storage.demands_of(pod)
        if made is not None and made.pod is pod and _alike(made, membership, self._asked, demands):
            return made.facts
        facts = facts_of(pod, membership, self._asked, demands)
        known = self._written(facts)
        if known is not None and same_pod(known, facts):
            facts = known
        self._made[pod.metadata.uid] = _Made(pod, membership, self._asked, demands, facts)
        return facts

    def renew(self, workload_id: UUID, new: Pod, old: Pod) -> None:
        """Have compared what a change of a pod shows in: its workload, itself alone, or nothing after a heartbeat."""
        made = self._made.get(new.metadata.uid)
        if made is None or made.pod is not old or outline_of(new) != outline_of(old):
            self._agenda.compare(workload_id)
            return
        demands = self._storage.demands_of(new)
        wants = made.facts.requests, made.facts.gpu  # as before: they come of the outline
        facts = facts_of(new, made.membership, self._asked, demands, wants)
        if same_pod(made.facts, facts):
            facts = made.facts
        else:
            self._agenda.retell(workload_id, facts)
        self._made[new.metadata.uid] = replace(made, pod=new, asked=self._asked, demands=demands, facts=facts)

    def forget(self, uid: str) -> None:
        """Forget a pod that is gone."""
        self._made.pop(uid, None)

    def _written(self, facts: PodFacts) -> PodFacts | None:
        home = self._knowledge.home_of(facts.pod_id)
        folded = self._knowledge.workload(home) if home is not None else None
        return folded.pods.get(facts.pod_id) if folded is not None else None


def _alike(made: _Made, membership: Membership, asked: frozenset[str], demands: Demands) -> bool:
    return made.asked is asked and made.demands == demands and made.membership == membership


def outline_of(pod: Pod) -> tuple[object, ...]:
    """Return all of a pod that is shown in more than its own facts: what recognisers may look at.

    Whether it is ready or where it runs is its own affair; how it ended is not, nor what it asks for.
    """
    metadata, spec, status = pod.metadata, pod.spec, pod.status
    ended = (status.phase, status.message) if has_ended(pod) else ()
    return (
        (metadata.labels, metadata.annotations, metadata.deletion_timestamp),
        (spec.containers, spec.init_containers, spec.resources, spec.overhead, spec.priority_class_name),
        ended,
        [(one.name, one.state.terminated) for one in status.container_statuses if one.state.terminated],
    )
