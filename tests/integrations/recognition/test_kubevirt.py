"""KubeVirt: a machine through starts and migrations, an instance by itself, and what is no workload of its own."""

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from integrations.kube import NAMESPACE, World, container, manifest, pod, project, recorded, uid
from muster_contracts.values import Outcome, OwnerFacts, ParentRef
from muster_integrations.core.seen import SeenWorkload
from muster_integrations.recognition.places import Aside
from muster_integrations.recognition.table import written_resources

RECORDED = Path(__file__).parents[1] / "manifests" / "recorded" / "kubevirt"
RESOURCES = {resource.kind: resource for resource in written_resources()}
MIGRATION = "kubevirt.io/migrationJobUID"
TESLA = "nvidia.com/TU104GL_Tesla_T4"


def machine(name: str = "desk", *, spec: Any = None, status: Any = None, **parts: Any) -> dict[str, Any]:
    written = {"runStrategy": "Always"} if spec is None else spec
    return manifest(RESOURCES["VirtualMachine"], name, spec=written, status=status, **parts)


def instance(name: str = "desk", **parts: Any) -> dict[str, Any]:
    return manifest(RESOURCES["VirtualMachineInstance"], name, **({"spec": {}} | parts))


def launcher(owner: dict[str, Any] | None, suffix: str = "a", *, minute: int = 0, **parts: Any) -> dict[str, Any]:
    labels = {"kubevirt.io": "virt-launcher", "kubevirt.io/created-by": "x"} | parts.pop("labels", {})
    annotations = {"kubevirt.io/domain": "desk"}
    spec = {"containers": [container(name="compute"), container(name="guest-console-log")]}
    phase = {"phase": parts.pop("phase", "Running")}
    name = f"virt-launcher-desk-{suffix}"
    made = pod(name, owner=owner, labels=labels, annotations=annotations, spec=spec, status=phase, **parts)
    made["metadata"]["creationTimestamp"] = f"2026-11-01T10:{minute:02}:00Z"
    return made


def all_seen(world: World) -> list[SeenWorkload]:
    return [seen for one in world.mirror.workload_ids if (seen := world.mirror.seen_workload(one)) is not None]


def the_workload(*manifests: dict[str, Any]) -> SeenWorkload:
    world = World(project())
    world.show(*manifests)
    (found,) = all_seen(world)
    return found


def roles(found: SeenWorkload) -> dict[str, str]:
    return {one.name.removeprefix("virt-launcher-desk-"): one.role for one in found.pods.values()}


def facts(spec: Any = None, status: Any = None) -> OwnerFacts:
    return the_workload(machine(spec=spec, status=status)).owner


# ------------------------------------------------------------ identity


def test_recorded_machines_of_a_pool_are_a_workload_each() -> None:
    world = World(project())
    world.show(*recorded(RECORDED / "derived-vmpool.json"))
    found = sorted(all_seen(world), key=lambda seen: seen.name)
    assert [(one.kind, one.name) for one in found] == [("VirtualMachine", "pool-0"), ("VirtualMachine", "pool-1")]
    assert {one.parent for one in found} == {ParentRef(kind="VirtualMachinePool", name="pool")}
    assert [[pod.role for pod in one.pods.values()] for one in found] == [["virt-launcher"], ["virt-launcher"]]


def test_a_machine_stays_the_same_when_it_starts_again() -> None:
    owner = machine()
    world = World(project())
    first = instance(owner=owner)
    running = launcher(first)
    world.show(owner, first, running)
    world.write()
    world.step(running, None)
    world.step(first, None)
    world.write()
    second = instance(owner=owner, uid=uid("second"))
    world.show(second, launcher(second, "b"))
    world.write()
    (found,) = all_seen(world)
    assert (found.object_id, roles(found)) == (UUID(uid("VirtualMachine/desk")), {"b": "virt-launcher"})


def test_an_instance_that_no_machine_owns_is_a_workload_that_can_only_be_deleted() -> None:
    owner = instance(status={"phase": "Running"})
    found = the_workload(owner, launcher(owner))
    assert (found.kind, found.object_id) == ("VirtualMachineInstance", UUID(uid("VirtualMachineInstance/desk")))
    assert (found.supports.stop, found.supports.activate, found.supports.delete) == (False, False, True)
    assert [ref.kind for ref in found.controls.delete] == ["VirtualMachineInstance"]
    assert "only be deleted" in found.controls.reason


def test_an_instance_of_a_set_has_the_set_as_its_parent() -> None:
    owner = manifest(RESOURCES["VirtualMachineInstanceReplicaSet"], "desks")
    found = the_workload(owner, instance(owner=owner))
    assert (found.kind, found.parent) == (
        "VirtualMachineInstance",
        ParentRef(kind="VirtualMachineInstanceReplicaSet", name="desks"),
    )


def test_a_launcher_without_owners_is_known_by_the_full_name_in_its_annotation() -> None:
    world = World(project())
    world.show(launcher(None))
    world.give_up_owners()
    (found,) = all_seen(world)
    assert (found.kind, found.identity, found.identity_source) == (
        "VirtualMachineInstance",
        f"{NAMESPACE}/desk",
        "annotation",
    )


def test_a_launcher_without_owners_finds_the_machine_of_its_instance() -> None:
    owner = machine()
    found = the_workload(owner, instance(owner=owner), launcher(None))
    assert (found.kind, len(found.pods)) == ("VirtualMachine", 1)


# ------------------------------------------------------------ pods


def test_while_a_machine_moves_the_newer_launcher_is_the_target_and_the_size_stays_one() -> None:
    owner = machine()
    its_instance = instance(owner=owner)
    source = launcher(its_instance, "a")
    target = launcher(its_instance, "b", minute=5, labels={MIGRATION: "m1"})
    found = the_workload(owner, its_instance, source, target)
    assert roles(found) == {"a": "virt-launcher", "b": "migration-target"}
    assert (found.owner.desired_pods, found.owner.min_pods) == (1, 1)
    assert [(group.name, group.min_members) for group in found.groups.values()] == [("desk", 1)]


def test_after_it_moved_the_target_is_the_launcher_though_it_keeps_its_label() -> None:
    owner = machine()
    its_instance = instance(owner=owner)
    source = launcher(its_instance, "a", phase="Succeeded")
    target = launcher(its_instance, "b", minute=5, labels={MIGRATION: "m1"})
    found = the_workload(owner, its_instance, source, target)
    assert roles(found) == {"a": "virt-launcher", "b": "virt-launcher"}
    assert found.owner.outcome is Outcome.NONE


def test_the_second_migration_moves_from_what_the_first_moved_to() -> None:
    owner = machine()
    its_instance = instance(owner=owner)
    source = launcher(its_instance, "b", minute=5, labels={MIGRATION: "m1"})
    target = launcher(its_instance, "c", minute=9, labels={MIGRATION: "m2"})
    assert roles(the_workload(owner, its_instance, source, target)) == {"b": "virt-launcher", "c": "migration-target"}


def test_a_migration_that_failed_leaves_a_target_that_failed() -> None:
    owner = machine()
    its_instance = instance(owner=owner)
    target = launcher(its_instance, "b", minute=5, phase="Failed", labels={MIGRATION: "m1"})
    assert roles(the_workload(owner, its_instance, launcher(its_instance), target))["b"] == "migration-target"


def test_a_pod_that_holds_a_disk_is_the_machine_s_by_its_launcher() -> None:
    owner = machine()
    its_instance = instance(owner=owner)
    its_launcher = launcher(its_instance)
    disk = pod("hp-volume-x", owner=its_launcher, labels={"kubevirt.io": "hotplug-disk"})
    found = the_workload(owner, its_instance, its_launcher, disk)
    assert roles(found) == {"a": "virt-launcher", "hp-volume-x": "hotplug"}


def test_a_disk_of_a_launcher_without_owners_goes_where_the_launcher_goes() -> None:
    owner = machine()
    its_launcher = launcher(None)
    disk = pod("hp-volume-x", owner=its_launcher, labels={"kubevirt.io": "hotplug-disk"})
    assert len(the_workload(owner, instance(owner=owner), its_launcher, disk).pods) == 2


def test_the_container_in_which_the_machine_runs_decides() -> None:
    owner = instance()
    (its_pod,) = the_workload(owner, launcher(owner)).pods.values()
    assert {one.name: one.role for one in its_pod.containers} == {"compute": "main", "guest-console-log": "sidecar"}


@pytest.mark.parametrize(
    "labels",
    [
        {"kubevirt.io": "virt-handler"},
        {"kubevirt.io": "virt-controller"},
        {"kubevirt.io": "virt-exportserver"},
        {"cdi.kubevirt.io": "importer"},
        {"cdi.kubevirt.io": "cdi-upload-server"},
        {"kubevirt.io.virt-export-service": "virt-export-desk"},
    ],
)
def test_pods_of_kubevirt_itself_are_no_workloads(labels: dict[str, str]) -> None:
    world = World(project())
    written = pod("a", labels=labels)
    world.show(written)
    assert world.mirror.place_of(written["metadata"]["uid"]) is Aside.APART


# ------------------------------------------------------------ how it stands


@pytest.mark.parametrize(
    ("spec", "status", "suspended", "ready"),
    [
        ({"runStrategy": "Always"}, "Running", False, True),
        ({"runStrategy": "Always"}, "Starting", False, None),
        ({"runStrategy": "Always"}, "Migrating", False, True),
        ({"runStrategy": "Always"}, "Paused", False, None),
        ({"runStrategy": "Always"}, "CrashLoopBackOff", False, False),
        ({"runStrategy": "Always"}, "ErrorUnschedulable", False, False),
        ({"runStrategy": "Always"}, "ErrorPvcNotFound", False, False),
        ({"runStrategy": "Halted"}, "Stopping", True, None),
        ({"runStrategy": "Halted"}, "Stopped", True, None),
        ({"runStrategy": "Manual"}, "Stopped", True, None),
        ({"runStrategy": "RerunOnFailure"}, "Stopped", True, None),
        ({"running": False}, "", True, None),
        ({"running": True}, "Running", False, True),
    ],
)
def test_a_machine_serves_is_stopped_or_is_not_well(
    spec: dict[str, Any], status: str, suspended: bool, ready: bool | None
) -> None:
    found = facts(spec, {"printableStatus": status})
    assert (found.suspended, found.ready, found.serving, found.outcome) == (suspended, ready, True, Outcome.NONE)


def test_a_machine_that_is_not_well_says_why() -> None:
    failure = {"type": "Failure", "status": "True", "message": "no such image"}
    status = {"printableStatus": "ErrImagePull", "conditions": [{"type": "Ready", "status": "True"}, failure]}
    assert facts(None, status).reason == "no such image."
    assert facts(None, {"printableStatus": "ErrImagePull"}).reason == "KubeVirt says ErrImagePull."


@pytest.mark.parametrize(
    ("phase", "outcome", "ready"),
    [
        ("Running", Outcome.NONE, True),
        ("Scheduling", Outcome.NONE, None),
        ("Succeeded", Outcome.SUCCEEDED, None),
        ("Failed", Outcome.FAILED, None),
    ],
)
def test_an_instance_by_itself_ends_with_its_guest(phase: str, outcome: Outcome, ready: bool | None) -> None:
    found = the_workload(instance(status={"phase": phase})).owner
    assert (found.outcome, found.ready, found.serving) == (outcome, ready, False)


@pytest.mark.parametrize("spec", ["text", [], {"template": 7}, {"template": {"spec": {"domain": []}}}])
@pytest.mark.parametrize("status", [None, [], {"printableStatus": 7, "conditions": "none"}])
def test_a_machine_in_an_odd_shape_is_still_one(spec: Any, status: Any) -> None:
    found = the_workload(machine(spec=spec, status=status) | {"apiVersion": "kubevirt.io/v2"})
    assert (found.kind, found.api_version, found.owner.desired_pods) == ("VirtualMachine", "kubevirt.io/v2", 1)


# ------------------------------------------------------------ what it asks for


def test_a_machine_asks_for_what_its_template_says_also_while_it_is_stopped() -> None:
    devices = {"gpus": [{"deviceName": TESLA, "name": "one"}, {"deviceName": TESLA, "name": "two"}]}
    domain = {"devices": devices, "memory": {"guest": "2Gi"}, "resources": {"requests": {"cpu": "2"}}}
    spec = {"runStrategy": "Halted", "template": {"spec": {"domain": domain}}}
    found = the_workload(machine(spec=spec))
    assert (found.requests.cpu_milli, found.requests.memory_bytes) == (2000, 2 * 1024**3)
    assert (found.requests.extended, found.requests.gpu_millionths) == ({TESLA: 2}, 2_000_000)
    assert found.attributes["devices"] == f"{TESLA}, {TESLA}"


def test_a_gpu_of_any_name_counts_in_the_pod_and_is_placed_under_its_name() -> None:
    domain = {"devices": {"gpus": [{"deviceName": TESLA}], "hostDevices": [{"deviceName": "vendor.example/card"}]}}
    owner = instance(spec={"domain": domain})
    its_pod = launcher(owner)
    limits = {TESLA: "1", "vendor.example/card": "1"}
    its_pod["spec"]["containers"][0]["resources"] = {"limits": limits}
    (its_facts,) = the_workload(owner, its_pod).pods.values()
    assert (its_facts.requests.gpu_millionths, its_facts.gpu.devices) == (1_000_000, 0)
    assert its_facts.requests.extended == {TESLA: 1, "vendor.example/card": 1}


def test_the_gpus_of_an_instance_type_are_known_from_the_instance() -> None:
    owner = machine(spec={"runStrategy": "Always", "instancetype": {"name": "large"}, "template": {"spec": {}}})
    its_instance = instance(owner=owner, spec={"domain": {"devices": {"gpus": [{"deviceName": TESLA}]}}})
    its_pod = launcher(its_instance)
    its_pod["spec"]["containers"][0]["resources"] = {"limits": {TESLA: "1"}}
    found = the_workload(owner, its_instance, its_pod)
    assert (found.requests.gpu_millionths, found.owner.desired_pods) == (1_000_000, 1)


def test_a_whole_gpu_under_the_usual_name_counts_as_one() -> None:
    domain = {"devices": {"gpus": [{"deviceName": "nvidia.com/gpu", "name": "one"}]}}
    assert the_workload(instance(spec={"domain": domain})).requests.gpu_millionths == 1_000_000


def test_a_machine_of_an_instance_type_asks_for_what_its_pod_does() -> None:
    owner = machine(spec={"runStrategy": "Always", "instancetype": {"name": "large"}, "template": {"spec": {}}})
    its_instance = instance(owner=owner)
    assert the_workload(owner, its_instance, launcher(its_instance)).requests.cpu_milli == 1000


# ------------------------------------------------------------ stop and start


@pytest.mark.parametrize("strategy", ["Always", "RerunOnFailure"])
def test_a_machine_is_halted_and_goes_on_by_the_strategy_it_had(strategy: str) -> None:
    world = World(project())
    before = machine(spec={"runStrategy": strategy})
    world.show(before)
    world.write()
    (running,) = all_seen(world)
    assert [patch.body for patch in running.controls.stop] == [{"spec": {"runStrategy": "Halted"}}]
    world.step(before, machine(spec={"runStrategy": "Halted"}, version=2))
    world.write()
    (halted,) = all_seen(world)
    assert [patch.body for patch in halted.controls.activate] == [{"spec": {"runStrategy": strategy}}]
    assert halted.controls.activate[0].resource_version == "2"


def test_a_machine_that_shut_itself_down_is_stopped_before_it_is_started_again() -> None:
    world = World(project())
    shut_down = machine(spec={"runStrategy": "RerunOnFailure"}, status={"printableStatus": "Stopped"})
    world.show(shut_down)
    world.write()
    controls = all_seen(world)[0].controls
    assert [patch.body for patch in controls.stop] == [{"spec": {"runStrategy": "Halted"}}]
    assert (controls.activate, controls.reason.split(",")[0]) == ((), "Its guest shut it down")
    world.step(shut_down, machine(spec={"runStrategy": "Halted"}, version=2))
    world.write()
    assert [patch.body for patch in all_seen(world)[0].controls.activate] == [
        {"spec": {"runStrategy": "RerunOnFailure"}}
    ]


def test_a_machine_that_was_never_seen_to_run_will_always_run() -> None:
    controls = the_workload(machine(spec={"runStrategy": "Halted"})).controls
    assert [patch.body for patch in controls.activate] == [{"spec": {"runStrategy": "Always"}}]


@pytest.mark.parametrize("running", [True, False])
def test_of_the_two_switches_the_one_in_use_is_written(running: bool) -> None:
    controls = the_workload(machine(spec={"running": running})).controls
    assert [patch.body for patch in (*controls.stop, *controls.activate)] == [
        {"spec": {"running": False}},
        {"spec": {"running": True}},
    ]


@pytest.mark.parametrize("strategy", ["Manual", "Once"])
def test_a_machine_that_is_started_by_hand_is_not_pretended_to_stop(strategy: str) -> None:
    controls = the_workload(machine(spec={"runStrategy": strategy})).controls
    assert (controls.stop, controls.activate, len(controls.delete)) == ((), (), 1)
    assert "virtctl" in controls.reason
