"""What is done about portions of GPUs: written in the one way Muster reads, kept once written, refused for machines.

Whatever way a pod asks in (`portions`), it gets Muster's annotations, and a part among its limits is taken away:
Kubernetes counts GPUs in wholes and refuses the pod otherwise. It does so after the webhooks, also for templates of its
own kinds; those of custom resources it does not look into, so their pods are soon enough.

A new pod has no GPUs, whatever it says. Once a pod is made, what it asks of a GPU is settled, as its other requests
are: its place was chosen by it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from muster_cluster.objects import AnyObject, Pod, PodTemplate, Raw
from muster_contracts.names import GPU_RESOURCE, GPUS

from muster_integrations.admission.answers import NOTHING, Answer, Context, Patch, add, is_kind, part, read, remove
from muster_integrations.admission.portions import WAYS, Nonsense, Portion, is_part, read_portion, ways_of

_SETTLED: Final = (*WAYS, GPUS)
_TEMPLATE: Final = ("spec", "template")
_TEMPLATES: Final = {
    ("batch", "CronJob"): ("spec", "jobTemplate", *_TEMPLATE),
    ("batch", "Job"): _TEMPLATE,
    **{("apps", kind): _TEMPLATE for kind in ("Deployment", "ReplicaSet", "StatefulSet")},
}
_LAUNCHER: Final = ("kubevirt.io", "virt-launcher")
_NO_MACHINE: Final = (
    "A virtual machine of KubeVirt gets whole GPUs: take away what asks for a portion of one ({where})."
)


def write_portions(written: Raw, context: Context) -> Answer:
    """Write what a new pod, or a template, asks of a GPU as Muster's annotations; refuse what makes no sense."""
    place, path = _template_in(written, context)
    template = read(place, PodTemplate)
    if template is None or not context.project:
        return NOTHING
    try:
        portion = read_portion(template)
    except Nonsense as nonsense:
        return Answer(refusal=str(nonsense))
    if portion is None:
        return NOTHING
    if _is_launcher(template):
        return Answer(refusal=_NO_MACHINE.format(where=ways_of(template)[0]))
    if "metadata" not in place:  # a template need not have any
        return Answer((add({"annotations": portion.annotations}, *path, "metadata"), *_without_limits(template, path)))
    return Answer((*_annotated(template, portion, path), *_without_limits(template, path)))


def refuse_machines(written: Raw, context: Context) -> Answer:
    """Refuse a virtual machine that asks for a portion of a GPU, before there is a pod of it."""
    if not context.project or not is_kind(written, "kubevirt.io", "VirtualMachine", "VirtualMachineInstance"):
        return NOTHING
    annotations = {**_annotations(written), **_annotations(part(written, "spec", "template"))}
    asked = next((f"the annotation {name}" for name in WAYS if name in annotations), "")
    return Answer(refusal=_NO_MACHINE.format(where=asked)) if asked else NOTHING


def keep_portions(written: Raw, context: Context) -> Answer:
    """Refuse that a pod which is made already asks for another portion, or is said to have other GPUs."""
    if context.created or not context.project or not is_kind(written, "", "Pod"):
        return NOTHING
    before, now = _annotations(context.old or {}), _annotations(written)
    changed = next((name for name in _SETTLED if before.get(name) != now.get(name)), "")
    if not changed:
        return NOTHING
    return Answer(
        refusal=f"The annotation {changed} is settled once a pod is made, for its place was chosen by it: leave it as "
        "it is, or make another pod."
    )


def forget_devices(written: Raw, context: Context) -> Answer:
    """Take from a new pod what it says of its GPUs: the scheduler writes that, when the pod gets its place."""
    if not context.created or not context.project or not is_kind(written, "", "Pod"):
        return NOTHING
    if GPUS not in _annotations(written):
        return NOTHING
    return Answer(
        (remove("metadata", "annotations", GPUS),),
        warnings=(f"The annotation {GPUS} is written by Muster's scheduler alone: it is taken away.",),
    )


def _template_in(written: Raw, context: Context) -> tuple[Raw, tuple[str, ...]]:
    """Return the pod that is new, or the template of a kind of Kubernetes' own, and where it stands; else nothing."""
    if is_kind(written, "", "Pod"):
        return (written if context.created else {}), ()
    for (group, kind), path in _TEMPLATES.items():
        if is_kind(written, group, kind):
            return part(written, *path), path
    return {}, ()


def _is_launcher(template: Pod | PodTemplate) -> bool:
    return template.metadata.labels.get(_LAUNCHER[0]) == _LAUNCHER[1]


def _annotations(written: Raw) -> Mapping[str, str]:
    found = read(written, AnyObject)
    return found.metadata.annotations if found is not None else {}


def _annotated(template: Pod | PodTemplate, portion: Portion, path: Sequence[str]) -> Iterator[Patch]:
    present = template.metadata.annotations
    missing = {name: text for name, text in portion.annotations.items() if present.get(name) != text}
    if missing and not present:
        yield add(missing, *path, "metadata", "annotations")
        return
    for name, text in missing.items():
        yield add(text, *path, "metadata", "annotations", name)


def _without_limits(template: Pod | PodTemplate, path: Sequence[str]) -> Iterator[Patch]:
    for index, container in enumerate(template.spec.containers):
        for field, amounts in (("limits", container.resources.limits), ("requests", container.resources.requests)):
            if is_part(amounts.get(GPU_RESOURCE)):
                yield remove(*path, "spec", "containers", index, "resources", field, GPU_RESOURCE)
