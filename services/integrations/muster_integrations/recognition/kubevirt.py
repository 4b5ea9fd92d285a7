"""KubeVirt: a virtual machine is a workload, and so is an instance that no machine owns.

A machine that is started gets a new instance (the object `VirtualMachineInstance`), which has a pod in which it runs,
`virt-launcher`. Both are new with every start, so the machine alone is what stays. While it moves to another node it
has two such pods; the newer is the target until the older has ended, and it keeps its labels for good. Pods that hold
hot-plugged disks are owned by the launcher.

A machine serves: that its guest shut down, or that an old launcher succeeded, is no completion. Pods of KubeVirt
itself, and those that fill or hand out disks, belong to no workload.
"""

from collections.abc import Mapping
from typing import Any, Final

from muster_cluster.objects import Container, Pod, PodSpec, Resources
from muster_contracts.names import GPU_RESOURCE
from muster_contracts.values import Controls, Outcome, OwnerFacts, Supports

from muster_integrations.recognition.controls import by_switch, delete_only
from muster_integrations.recognition.fields import entries, field, holding, mapping, sentence, text
from muster_integrations.recognition.kinds import (
    Claim,
    Handle,
    Kind,
    Members,
    Sight,
    Standing,
    System,
    Watch,
    together,
)
from muster_integrations.recognition.pod_facts import has_ended

GROUP: Final = "kubevirt.io"
POOL_GROUP: Final = "pool.kubevirt.io"
API_VERSION: Final = "kubevirt.io/v1"

COMPONENT: Final = "kubevirt.io"
LAUNCHER: Final = "virt-launcher"
HOTPLUG: Final = "hotplug-disk"
MIGRATION: Final = "kubevirt.io/migrationJobUID"
DOMAIN: Final = "kubevirt.io/domain"
COMPUTE: Final = "compute"

HALTED: Final = "Halted"
_BY_HAND: Final = frozenset({"Manual", "Once"})
_WRONG: Final = frozenset(
    {
        "CrashLoopBackOff",
        "ErrorUnschedulable",
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrorPvcNotFound",
        "DataVolumeError",
    }
)
_HEALTH: Final = {"Running": True, "Migrating": True} | dict.fromkeys(_WRONG, False)
_DEVICE_LISTS: Final = ("gpus", "hostDevices")
_MAKERS_OF_GPUS: Final = ("nvidia.com/", "amd.com/")
_INSTANCE_OUTCOMES: Final = {"Succeeded": Outcome.SUCCEEDED, "Failed": Outcome.FAILED}
_MOVES_DISKS: Final = frozenset({"cdi.kubevirt.io", "kubevirt.io.virt-export-service"})
"""Labels of the pods that import, upload and export disks."""

_BOOLEAN: Final = by_switch("spec", "running", stopped=False, running=True)
_DELETE_MACHINE: Final = delete_only(
    "A virtual machine that is started by hand is started and stopped with virtctl, not by its run strategy."
)
_DELETE_INSTANCE: Final = delete_only(
    "An instance without a virtual machine cannot be started again; it can only be deleted."
)
_SHUT_DOWN: Final = "Its guest shut it down, and its run strategy does not start it again: start it with virtctl."
_RUN_STRATEGY: Final = "run_strategy"


# ------------------------------------------------------------ pods


def claim(pod: Pod) -> Claim | None:
    """Return the instance of a launcher that nobody owns; the annotation has its name, labels only a part of it."""
    name = pod.metadata.annotations.get(DOMAIN, "")
    if pod.metadata.labels.get(COMPONENT) != LAUNCHER or not name:
        return None
    return Claim(INSTANCE, API_VERSION, name, source="annotation", object_name=name)


def apart(pod: Pod) -> str:
    """Say of a pod of KubeVirt itself, or of one that fills or hands out a disk, that it is nobody's workload."""
    component = pod.metadata.labels.get(COMPONENT, "")
    if component.startswith("virt-") and component != LAUNCHER:
        return "It is a part of KubeVirt itself."
    if _MOVES_DISKS & pod.metadata.labels.keys():
        return "It moves the data of a virtual machine's disk."
    return ""


def role(pod: Pod, sight: Sight) -> str:
    """Tell the pod a machine runs in from the one it moves to, and from those that hold disks."""
    if pod.metadata.labels.get(COMPONENT) == HOTPLUG:
        return "hotplug"
    if MIGRATION in pod.metadata.labels and any(_is_source(other, pod) for other in sight.pods):
        return "migration-target"
    return LAUNCHER


def _is_source(other: Pod, pod: Pod) -> bool:
    """Say whether a machine still runs in another launcher, which was there before."""
    launcher = other.metadata.labels.get(COMPONENT) == LAUNCHER and not has_ended(other)
    return launcher and other is not pod and _age(other) < _age(pod)


def _age(pod: Pod) -> tuple[str, bool, str]:
    """Return what orders launchers: of two of the same second the one without a migration was first."""
    created = pod.metadata.creation_timestamp
    return created.isoformat() if created else "", MIGRATION in pod.metadata.labels, pod.metadata.name


def main_containers(pod: Pod) -> frozenset[str] | None:
    """Return the container in which the machine runs."""
    names = {container.name for container in pod.spec.containers}
    return frozenset({COMPUTE}) if COMPUTE in names else None


# ------------------------------------------------------------ machines


def machine_owner(sight: Sight) -> OwnerFacts:
    """Return what a machine says. One whose guest shut down is as stopped as one that is told to."""
    status = text(sight.status, "printableStatus")
    ready = _HEALTH.get(status)
    return OwnerFacts(
        suspended=_is_halted(sight.spec) or status == "Stopped",
        deleting=sight.deleting,
        serving=True,
        ready=ready,
        reason=_reason(sight.status, status) if ready is False else "",
    )


def machine_members(sight: Sight) -> tuple[Members, ...] | None:
    """Return the one launcher, also while it moves."""
    return (Members(LAUNCHER, 1, 1, _launcher_spec(field(sight.spec, "template", "spec"))),)


def machine_attributes(sight: Sight) -> Mapping[str, str]:
    """Return how it is run, how KubeVirt says it stands, and its devices."""
    facts = {
        _RUN_STRATEGY: text(sight.spec, "runStrategy"),
        "status": text(sight.status, "printableStatus"),
        "devices": _devices(field(sight.spec, "template", "spec")),
    }
    return {name: value for name, value in facts.items() if value}


def machine_gpus(sight: Sight) -> frozenset[str]:
    """Return what its GPUs are called: every model, and every way to share one, is a resource by itself.

    Those of an instance type only the instance has; when that cannot be read, its launcher.
    """
    template = field(sight.spec, "template", "spec")
    instances = [one.spec for one in sight.parts_of("VirtualMachineInstance")]
    named = frozenset[str]().union(*map(_gpu_names, (template, *instances)))
    return named if instances else named | _launchers_gpus(sight) - {*_device_names(template, "hostDevices")}


def machine_controls(sight: Sight, handle: Handle | None, remembered: Controls) -> Controls:
    """Halt a machine, and let it run again by the strategy it had; both switches at once are forbidden."""
    if isinstance(field(sight.spec, "running"), bool):
        return _BOOLEAN(sight, handle, remembered)
    strategy = text(sight.spec, "runStrategy")
    if strategy in _BY_HAND:
        return _DELETE_MACHINE(sight, handle, remembered)
    before = strategy if strategy not in {"", HALTED} else _strategy_before(sight, remembered)
    controls = by_switch("spec", "runStrategy", stopped=HALTED, running=before)(sight, handle, remembered)
    if _has_shut_down(sight, strategy):
        return controls.model_copy(update={"activate": (), "reason": _SHUT_DOWN})
    return controls


def _has_shut_down(sight: Sight, strategy: str) -> bool:
    """Say whether its guest ended it. Writing the strategy that it has would start nothing."""
    return strategy == "RerunOnFailure" and text(sight.status, "printableStatus") == "Stopped"


def _is_halted(spec: Any) -> bool:
    return field(spec, "running") is False or text(spec, "runStrategy") == HALTED


def _strategy_before(sight: Sight, remembered: Controls) -> str:
    """Return the strategy from before the stop; `Always` when nobody ever saw another."""
    said = [text(patch.body, "spec", "runStrategy") for patch in remembered.activate]
    shown = sight.remembered.get(_RUN_STRATEGY, "")
    return next(filter(None, [*said, shown if shown != HALTED else ""]), "Always")


def _reason(status: Any, printable: str) -> str:
    failure = next(holding(status, "Failure"), None)
    return (sentence(failure) if failure else "") or f"KubeVirt says {printable}."


# ------------------------------------------------------------ instances


def instance_owner(sight: Sight) -> OwnerFacts:
    """Return what an instance that no machine owns says: it ends with its guest."""
    phase = text(sight.status, "phase")
    outcome = _INSTANCE_OUTCOMES.get(phase, Outcome.NONE)
    return OwnerFacts(deleting=sight.deleting, outcome=outcome, ready=True if phase == "Running" else None)


def instance_members(sight: Sight) -> tuple[Members, ...] | None:
    """Return its one launcher."""
    return (Members(LAUNCHER, 1, 1, _launcher_spec(sight.spec)),)


def instance_controls(sight: Sight, handle: Handle | None, remembered: Controls) -> Controls:
    """Offer deletion; of one that cannot be read nobody knows whether a machine would start it again."""
    return _DELETE_INSTANCE(sight, handle, remembered) if sight.item is not None else Controls()


def instance_attributes(sight: Sight) -> Mapping[str, str]:
    """Return its devices."""
    devices = _devices(sight.spec)
    return {"devices": devices} if devices else {}


def instance_gpus(sight: Sight) -> frozenset[str]:
    """Return what its GPUs are called, by its launcher if it cannot be read."""
    return _gpu_names(sight.spec) if sight.item is not None else _launchers_gpus(sight)


def _launcher_spec(instance: Any) -> PodSpec | None:
    """Return what the launcher will ask for, as far as the instance says: amounts, and its devices one each.

    None when it leaves the amounts to an instance type: then the pod tells.
    """
    requests = {**mapping(instance, "domain", "resources", "requests")}
    memory = text(instance, "domain", "memory", "guest")
    if memory:
        requests.setdefault("memory", memory)
    amounts = {name: value for name, value in requests.items() if isinstance(value, str | int | float)}
    devices: dict[str, str | int | float] = {}
    for name in _device_names(instance, *_DEVICE_LISTS):
        devices[name] = int(devices.get(name, 0)) + 1
    if not amounts and not devices:
        return None
    return PodSpec(containers=(Container(name=COMPUTE, resources=Resources(requests=amounts, limits=devices)),))


def _gpu_names(instance: Any) -> frozenset[str]:
    """Return the resources of a machine's GPUs but for the one that everybody counts."""
    return frozenset(_device_names(instance, "gpus")) - {GPU_RESOURCE}


def _launchers_gpus(sight: Sight) -> frozenset[str]:
    """Return what its launchers ask for that only a GPU can be: a device of a maker of GPUs."""
    containers = (one for pod in sight.pods for one in pod.spec.containers if one.name == COMPUTE)
    devices = frozenset(name for one in containers for name in one.resources.limits)
    return frozenset(name for name in devices if name.startswith(_MAKERS_OF_GPUS)) - {GPU_RESOURCE}


def _device_names(instance: Any, *lists: str) -> list[str]:
    devices = mapping(instance, "domain", "devices")
    names = (text(one, "deviceName") for name in lists for one in entries(devices, name))
    return sorted(name for name in names if name)


def _devices(instance: Any) -> str:
    return ", ".join(_device_names(instance, *_DEVICE_LISTS))


# ------------------------------------------------------------ the system


MACHINE = Kind(
    group=GROUP,
    name="VirtualMachine",
    watch=Watch("virtualmachines", versions=("v1", "v1alpha3")),
    absorbs=frozenset({(GROUP, "VirtualMachineInstance")}),
    holds=lambda machine: [((GROUP, "VirtualMachineInstance"), machine.metadata.name)],
    supports=Supports(stop=True, activate=True, delete=True),
    owner=machine_owner,
    members=machine_members,
    groups=together,
    role=role,
    main_containers=main_containers,
    gpu_names=machine_gpus,
    attributes=machine_attributes,
    controls=machine_controls,
)

INSTANCE = Kind(
    group=GROUP,
    name="VirtualMachineInstance",
    watch=Watch("virtualmachineinstances", versions=("v1", "v1alpha3")),
    supports=Supports(stop=False, activate=False, delete=True),
    owner=instance_owner,
    members=instance_members,
    groups=together,
    role=role,
    main_containers=main_containers,
    gpu_names=instance_gpus,
    attributes=instance_attributes,
    controls=instance_controls,
)

INSTANCE_SET = Kind(
    group=GROUP,
    name="VirtualMachineInstanceReplicaSet",
    standing=Standing.PARENT,
    watch=Watch("virtualmachineinstancereplicasets", versions=("v1", "v1alpha3")),
)

POOL = Kind(
    group=POOL_GROUP,
    name="VirtualMachinePool",
    standing=Standing.PARENT,
    watch=Watch("virtualmachinepools", versions=("v1beta1", "v1alpha1")),
)

SYSTEM = System(kinds=(MACHINE, INSTANCE, INSTANCE_SET, POOL), by_label=(claim,), apart=(apart,))
