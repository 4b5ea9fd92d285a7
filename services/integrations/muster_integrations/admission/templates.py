"""Pod templates inside other objects: whoever writes one hears at once why its pods would be refused.

An operator that may not make its pods tells so in an event that nobody reads, and its object waits without a word. So
every object is searched for what has the shape of a pod template, whatever its kind calls it. Kinds that write pods in
another shape (Argo's templates, Spark's driver) are not understood here; their pods are still reviewed.

Neighbours: `portion_rules` changes the templates of Kubernetes' own kinds, and refuses what makes no sense in them.
"""

from collections.abc import Iterator
from typing import Final

from muster_cluster.objects import PodTemplate, Raw
from muster_contracts.names import OWN_LABELS

from muster_integrations.admission.answers import NOTHING, Answer, Context, group_of, part, read
from muster_integrations.admission.portions import Nonsense, read_portion

KUBERNETES_OWN: Final = frozenset({"", "apps", "batch"})
"""Groups of the kinds whose templates `portion_rules` judges."""


def guard_templates(written: Raw, context: Context) -> Answer:
    """Refuse a new object whose pods would be refused for Muster's own labels; warn of one that is there already."""
    name = next(_foreign_labels(written), "") if context.user != context.submitter else ""
    if not name:
        return NOTHING
    said = (
        f"The label {name} is written by Muster alone, so the pods of this template will be refused: take it away from "
        "the template; the project of a pod is named by the label project."
    )
    return Answer(refusal=said) if context.created else Answer(warnings=(said,))


def warn_of_portions(written: Raw, context: Context) -> Answer:
    """Warn of a new custom resource whose pods will be refused because of the portion of a GPU they ask for."""
    if not context.created or not context.project or group_of(written) in KUBERNETES_OWN:
        return NOTHING
    nonsense = dict.fromkeys(filter(None, map(_nonsense, pod_templates(written))))
    return Answer(warnings=tuple(f"The pods of this template will be refused: {said}" for said in nonsense))


def pod_templates(written: Raw) -> Iterator[PodTemplate]:
    """Yield everything below the spec of an object that has the shape of a pod template."""
    left: list[object] = [written.get("spec")]
    while left:
        found = left.pop()
        if isinstance(found, list):
            left.extend(reversed(found))
        elif isinstance(found, dict):
            if "containers" in part(found, "spec") and (template := read(found, PodTemplate)) is not None:
                yield template
            left.extend(reversed(found.values()))


def _foreign_labels(written: Raw) -> Iterator[str]:
    """Yield Muster's own labels that a template has and the object has not: no controller may pass these on."""
    carried = part(written, "metadata", "labels")
    for template in pod_templates(written):
        labels = template.metadata.labels
        yield from (name for name in sorted(OWN_LABELS) if name in labels and labels[name] != carried.get(name))


def _nonsense(template: PodTemplate) -> str:
    try:
        read_portion(template)
    except Nonsense as nonsense:
        return str(nonsense)
    return ""
