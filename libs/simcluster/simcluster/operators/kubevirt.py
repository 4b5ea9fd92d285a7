"""KubeVirt: VirtualMachines and pools of them, their instances, migrations and hotplugged volumes.

A VirtualMachine owns a VirtualMachineInstance of its name while its run strategy wants one; each start makes a new
instance. The instance owns a pod `virt-launcher-<name>-<random>`, which runs until it is told to end or the guest
shuts down (`sim.run-seconds` and `sim.exit-code` among the instance's annotations). A migration starts a second
launcher and moves the instance there; the first stays behind, Succeeded.

Starting, stopping and restarting by hand (`virtctl`) are subresources of an API server of KubeVirt's own, which is not
here; what that server does is understood: requests in `status.stateChangeRequests` of the VirtualMachine.

Not here: pausing, data volumes and their importers, snapshots, replica sets of instances.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from simcluster.client import Client
from simcluster.clock import Clock, to_timestamp
from simcluster.controllers.ownership import owner_reference, pod_from_template
from simcluster.errors import ApiError
from simcluster.kube_events import EventRecorder
from simcluster.machinery import Change, Key
from simcluster.operators.kinds import CustomKind
from simcluster.operators.operator import Operator, lasting
from simcluster.operators.system import System
from simcluster.pods import (
    condition_of,
    is_finished,
    is_ready,
    is_terminating,
    name_of,
    namespace_of,
    phase_of,
    uid_of,
    with_condition,
)
from simcluster.resources import Object, ScalePaths

_GROUP, _VERSIONS = "kubevirt.io", ("v1", "v1alpha3")
MACHINE = CustomKind(_GROUP, "VirtualMachine", "virtualmachines", _VERSIONS, ("vm", "vms"))
INSTANCE = CustomKind(_GROUP, "VirtualMachineInstance", "virtualmachineinstances", _VERSIONS, ("vmi", "vmis"))
MIGRATION = CustomKind(
    _GROUP, "VirtualMachineInstanceMigration", "virtualmachineinstancemigrations", _VERSIONS, ("vmim", "vmims")
)
POOL = CustomKind(
    "pool.kubevirt.io",
    "VirtualMachinePool",
    "virtualmachinepools",
    ("v1beta1", "v1alpha1"),
    ("vmpool", "vmpools"),
    scale=ScalePaths(),
)

_MIGRATION_UID = "kubevirt.io/migrationJobUID"
_MIGRATION_NAME = "kubevirt.io/migrationJobName"
_LONGEST_LABEL = 63
_OVER = ("Succeeded", "Failed")


class MachineOperator(Operator):
    """Starts and stops instances as run strategies and requests want it."""

    owns = (INSTANCE.key,)

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        super().__init__(MACHINE, "virtualmachine-controller", client, clock, events)

    def act(self, obj: Object) -> datetime | None:
        """Make, keep or delete the instance and say how the machine is."""
        status = dict(obj.get("status", {}))
        instances = self.owned(obj, INSTANCE.key)
        instance = instances[0] if instances else None
        requests = list(status.pop("stateChangeRequests", None) or [])
        if instance is None:
            instance = self._start(obj, requests, status)
        elif not is_terminating(instance):
            self._stop(obj, instance, requests)
            instance = self.client.get(INSTANCE.key, namespace_of(obj), name_of(instance))
        if requests:
            status["stateChangeRequests"] = requests
        self._report(obj, instance, status)
        return None

    def _start(self, machine: Object, requests: list[dict[str, Any]], status: dict[str, Any]) -> Object | None:
        asked = bool(requests) and requests[0]["action"] == "Start"
        ended = status.pop("lastInstancePhase", "")
        wanted = {
            "Always": True,
            "RerunOnFailure": ended != "Succeeded",
            "Once": not ended,
        }.get(_strategy(machine), False)
        if not wanted and not asked:
            status |= {"lastInstancePhase": ended} if ended else {}
            return None
        if asked:
            del requests[0]
        return self.create(machine, INSTANCE.key, _instance(machine))

    def _stop(self, machine: Object, instance: Object, requests: list[dict[str, Any]]) -> None:
        asked = bool(requests) and requests[0]["action"] == "Stop"
        if asked and requests[0].get("uid") in (None, uid_of(instance)):
            del requests[0]
            self._delete(machine, instance)
        elif _strategy(machine) == "Halted" or (_phase(instance) in _OVER and self._replaces(machine, instance)):
            self._delete(machine, instance)

    def _replaces(self, machine: Object, instance: Object) -> bool:
        strategy = _strategy(machine)
        return strategy == "Always" or (strategy == "RerunOnFailure" and _phase(instance) == "Failed")

    def _delete(self, machine: Object, instance: Object) -> None:
        """Delete an instance; it stays until its pods are gone, as the finalizer of KubeVirt holds it."""
        try:
            self.client.delete(
                INSTANCE.key,
                namespace_of(instance),
                name_of(instance),
                uid=uid_of(instance),
                propagation="Foreground",
            )
        except ApiError as error:
            if error.code not in {404, 409}:
                raise
        message = f"Stopped the virtual machine by deleting the virtual machine instance {uid_of(instance)}"
        self.tell(machine, "Normal", "SuccessfulDelete", message)

    def _report(self, machine: Object, instance: Object | None, status: dict[str, Any]) -> None:
        if instance is not None and _phase(instance) in _OVER:
            status["lastInstancePhase"] = _phase(instance)
        ready = instance is not None and _phase(instance) == "Running"
        reason = "" if ready else ("GuestNotRunning" if instance is not None else "VMINotExists")
        status["conditions"] = with_condition(
            status.get("conditions", []), "Ready", str(ready), self.clock.now(), reason
        )
        status["printableStatus"] = self._printable(instance)
        for field, holds in (("created", instance is not None), ("ready", ready)):
            if holds:
                status[field] = True
            else:
                status.pop(field, None)
        self.report(machine, status | {"runStrategy": _strategy(machine)})

    def _printable(self, instance: Object | None) -> str:
        if instance is None:
            return "Stopped"
        if is_terminating(instance):
            return "Stopping"
        phase = _phase(instance)
        if phase == "Running":
            return "Migrating" if _is_migrating(instance) else "Running"
        if phase in _OVER:
            return "Stopped"
        scheduled = condition_of(instance, "PodScheduled")
        if scheduled is not None and scheduled.get("reason") == "Unschedulable":
            return "ErrorUnschedulable"
        return "Starting"


class PoolOperator(Operator):
    """Keeps as many machines as a pool wants, numbered from 0."""

    owns = (MACHINE.key,)

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        super().__init__(POOL, "virtualmachinepool-controller", client, clock, events)

    def act(self, obj: Object) -> datetime | None:
        """Make the machines that are missing, delete those of the highest numbers that are too many."""
        wanted = [f"{name_of(obj)}-{number}" for number in range(int(obj["spec"].get("replicas", 1)))]
        machines = {name_of(each): each for each in self.owned(obj, MACHINE.key)}
        for name, machine in machines.items():
            if name not in wanted:
                self.delete(obj, MACHINE.key, machine)
        for name in wanted:
            if name not in machines:
                self.create(obj, MACHINE.key, _pooled(obj, name))
        ready = sum(1 for each in machines.values() if (each.get("status") or {}).get("ready"))
        self.report(obj, {"replicas": len(machines), "readyReplicas": ready})
        return None


class InstanceOperator(Operator):
    """Keeps the launcher of an instance and says in which phase the instance is."""

    owns = ("pods",)

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        super().__init__(INSTANCE, "virtualmachine-controller", client, clock, events)

    def keys(self, change: Change) -> Iterable[Key]:
        """Return the instance itself, the owner of a launcher, or the one whose volume a hotplug pod brings."""
        annotations = change.object["metadata"].get("annotations") or {}
        if change.kind == "pods" and "kubevirt.io/owner-vmi-name" in annotations:
            return [(namespace_of(change.object), annotations["kubevirt.io/owner-vmi-name"])]
        return super().keys(change)

    def act(self, obj: Object) -> datetime | None:
        """Make the launcher if there never was one, and follow it."""
        status = dict(obj.get("status", {}))
        launcher = self._launcher(obj)
        if launcher is None:
            if status.get("phase") in (None, "", "Pending"):
                self.create(obj, "pods", launcher_of(obj))
                status["phase"] = "Scheduling"
            elif status["phase"] not in _OVER:
                status["phase"] = "Failed"
        else:
            self._follow(launcher, status)
            if status["phase"] == "Running":
                self._plug(obj, launcher)
        self.report(obj, status)
        return None

    def _launcher(self, instance: Object) -> Object | None:
        """Return the pod the guest is in: that of the last migration that ended well, else the first."""
        pods = self.owned(instance, "pods")
        moved = instance.get("status", {}).get("migrationState") or {}
        if moved.get("completed") and not moved.get("failed"):
            return next((pod for pod in pods if name_of(pod) == moved["targetPod"]), None)
        return next((pod for pod in pods if _MIGRATION_UID not in _labels(pod)), None)

    def _follow(self, launcher: Object, status: dict[str, Any]) -> None:
        phase = {"Running": "Running" if is_ready(launcher) else "Scheduled"}.get(phase_of(launcher), "Scheduling")
        if is_finished(launcher):
            phase = phase_of(launcher)
        status["phase"] = phase
        if launcher["spec"].get("nodeName"):
            status["nodeName"] = launcher["spec"]["nodeName"]
            status["activePods"] = {uid_of(launcher): launcher["spec"]["nodeName"]}
        conditions = status.get("conditions", [])
        conditions = with_condition(conditions, "Ready", str(phase == "Running"), self.clock.now())
        scheduled = condition_of(launcher, "PodScheduled")
        if scheduled is not None and scheduled.get("reason") == "Unschedulable":
            facts = ("PodScheduled", "False", self.clock.now(), "Unschedulable", scheduled.get("message", ""))
            conditions = with_condition(conditions, *facts)
        else:
            conditions = [each for each in conditions if each["type"] != "PodScheduled"]
        status["conditions"] = conditions

    def _plug(self, instance: Object, launcher: Object) -> None:
        """Keep the pod that holds hotplugged volumes, as long as there are some."""
        pods = self.client.list("pods", namespace_of(instance), owner_uid=uid_of(launcher))
        wanted = [volume for volume in instance["spec"].get("volumes") or () if _is_hotplugged(volume)]
        if wanted and not pods:
            self.create(launcher, "pods", _hotplug_pod(instance, launcher))
        for pod in pods if not wanted else ():
            self.delete(launcher, "pods", pod)


class MigrationOperator(Operator):
    """Moves an instance to another launcher."""

    owns = ("pods",)

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        super().__init__(MIGRATION, "migration-controller", client, clock, events)

    def keys(self, change: Change) -> Iterable[Key]:
        """Return the migration itself, or that of a target pod."""
        name = (change.object["metadata"].get("annotations") or {}).get(_MIGRATION_NAME)
        if change.kind == "pods":
            return [(namespace_of(change.object), name)] if name else []
        return super().keys(change)

    def act(self, obj: Object) -> datetime | None:
        """Take a migration a step further."""
        if (obj.get("status") or {}).get("phase") in _OVER:
            return None
        instance = self.client.get(INSTANCE.key, namespace_of(obj), obj["spec"]["vmiName"])
        if instance is None or is_terminating(instance) or _phase(instance) in _OVER:
            self._end(obj, "Failed")
            return None
        target = next((pod for pod in self.owned(instance, "pods") if self._is_target(obj, pod)), None)
        if target is None:
            self._begin(obj, instance)
        elif is_finished(target) or is_terminating(target):
            self._abandon(obj, instance)
        elif is_ready(target):
            self._move(obj, instance, target)
        return None

    def _is_target(self, migration: Object, pod: Object) -> bool:
        return _labels(pod).get(_MIGRATION_UID) == uid_of(migration)

    def _begin(self, migration: Object, instance: Object) -> None:
        if _phase(instance) != "Running":
            self._end(migration, "Failed")
            return
        pod = launcher_of(instance)
        pod["metadata"]["labels"][_MIGRATION_UID] = uid_of(migration)
        pod["metadata"]["annotations"][_MIGRATION_NAME] = name_of(migration)
        target = self.create(instance, "pods", pod)
        state = {"migrationUid": uid_of(migration), "targetPod": name_of(target), "startTimestamp": self._now()}
        source = instance["status"].get("activePods") or {}
        self._note(instance, state | {"sourceNode": next(iter(source.values()), "")})
        self.report(migration, {"phase": "Scheduling"})

    def _move(self, migration: Object, instance: Object, target: Object) -> None:
        """Let the guest go on in the target; its old launcher ends well and stays."""
        moved = dict(instance["status"].get("migrationState") or {})
        for pod in self.owned(instance, "pods"):
            if name_of(pod) != name_of(target) and not is_finished(pod):
                annotations = {**(pod["metadata"].get("annotations") or {}), "sim.run-seconds": "0"}
                self.client.update("pods", {**pod, "metadata": {**pod["metadata"], "annotations": annotations}})
        ended = {"completed": True, "endTimestamp": self._now(), "targetNode": target["spec"].get("nodeName", "")}
        self._note(instance, moved | ended)
        self._end(migration, "Succeeded")

    def _abandon(self, migration: Object, instance: Object) -> None:
        moved = dict(instance["status"].get("migrationState") or {})
        self._note(instance, moved | {"completed": True, "failed": True, "endTimestamp": self._now()})
        self._end(migration, "Failed")

    def _note(self, instance: Object, state: Mapping[str, Any]) -> None:
        status = {**instance["status"], "migrationState": dict(state)}
        self.client.update_status(INSTANCE.key, {**instance, "status": status})

    def _end(self, migration: Object, phase: str) -> None:
        self.report(migration, {"phase": phase})

    def _now(self) -> str:
        return to_timestamp(self.clock.now())


def launcher_of(instance: Object) -> Object:
    """Return a new launcher of an instance; the instance's labels and annotations flow to it."""
    spec, name = instance["spec"], name_of(instance)
    hostname = str(spec.get("hostname") or name).partition(".")[0][:_LONGEST_LABEL]
    written = {"containers": [_compute(spec)], "restartPolicy": "Never"}
    for field in ("schedulerName", "nodeSelector", "tolerations", "priorityClassName", "terminationGracePeriodSeconds"):
        if spec.get(field) is not None:
            written[field] = spec[field]
    template = {"metadata": {"labels": instance["metadata"].get("labels") or {}}, "spec": written}
    pod = pod_from_template(instance, template, f"virt-launcher-{name}-")
    pod["metadata"]["labels"] |= {
        "kubevirt.io": "virt-launcher",
        "kubevirt.io/created-by": uid_of(instance),
        "vm.kubevirt.io/name": hostname,
        "vmi.kubevirt.io/id": name[:_LONGEST_LABEL],
    }
    pod["metadata"]["annotations"] = {
        **(instance["metadata"].get("annotations") or {}),
        "kubevirt.io/domain": name,
    }
    return lasting(pod)


def _compute(spec: Mapping[str, Any]) -> dict[str, Any]:
    domain = spec.get("domain") or {}
    resources = domain.get("resources") or {}
    limits = dict(resources.get("limits") or {})
    for gpu in (domain.get("devices") or {}).get("gpus") or ():
        device = gpu["deviceName"]
        limits[device] = str(int(limits.get(device, "0")) + 1)
    requests = resources.get("requests") or {}
    return {
        "name": "compute",
        "image": "kubevirt/virt-launcher",
        "resources": {"limits": limits, "requests": {**requests, **_counted(limits)}},
    }


def _counted(limits: Mapping[str, str]) -> dict[str, str]:
    return {name: amount for name, amount in limits.items() if "/" in name}


def _hotplug_pod(instance: Object, launcher: Object) -> Object:
    metadata = {
        "generateName": "hp-volume-",
        "labels": {"kubevirt.io": "hotplug-disk"},
        "annotations": {
            "kubevirt.io/owner-vmi-name": name_of(instance),
            "kubevirt.io/owner-vmi-uid": uid_of(instance),
        },
        "ownerReferences": [owner_reference(launcher)],
    }
    container = {"name": "hotplug-disk", "image": "kubevirt/virt-launcher"}
    spec = {"containers": [container], "restartPolicy": "Never"}
    return lasting({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


def _instance(machine: Object) -> Object:
    """Return a new instance; the labels of the machine itself do not flow, those of its template do."""
    template = machine["spec"]["template"]
    written = template.get("metadata") or {}
    metadata: dict[str, Any] = {"name": name_of(machine)}
    metadata |= {field: dict(written[field]) for field in ("labels", "annotations") if written.get(field)}
    return {
        "apiVersion": INSTANCE.api_version,
        "kind": INSTANCE.kind,
        "metadata": metadata,
        "spec": template.get("spec") or {},
    }


def _pooled(pool: Object, name: str) -> Object:
    template = pool["spec"]["virtualMachineTemplate"]
    metadata = {**(template.get("metadata") or {}), "name": name}
    return {
        "apiVersion": MACHINE.api_version,
        "kind": MACHINE.kind,
        "metadata": metadata,
        "spec": template["spec"],
    }


def _strategy(machine: Object) -> str:
    """Return the run strategy; the older boolean `running` says the same in fewer words."""
    spec = machine["spec"]
    return str(spec.get("runStrategy") or ("Always" if spec.get("running") else "Halted"))


def _phase(instance: Object) -> str:
    return str((instance.get("status") or {}).get("phase", ""))


def _is_migrating(instance: Object) -> bool:
    moving = (instance.get("status") or {}).get("migrationState") or {}
    return bool(moving) and not moving.get("completed")


def _is_hotplugged(volume: Mapping[str, Any]) -> bool:
    sources = (volume.get("persistentVolumeClaim") or {}, volume.get("dataVolume") or {})
    return any(source.get("hotpluggable") for source in sources)


def _labels(obj: Object) -> dict[str, str]:
    return dict(obj["metadata"].get("labels") or {})


SYSTEM = System(
    kinds=(MACHINE, INSTANCE, MIGRATION, POOL),
    operators=(MachineOperator, InstanceOperator, MigrationOperator, PoolOperator),
)
