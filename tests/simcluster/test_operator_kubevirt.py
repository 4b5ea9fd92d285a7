"""KubeVirt: launchers beside a recording, run strategies, restarts, migration, hotplug."""

import re

import pytest

VM, VMI = "virtualmachines.kubevirt.io", "virtualmachineinstances.kubevirt.io"
POOL = "virtualmachinepools.pool.kubevirt.io"
VMIM = "virtualmachineinstancemigrations.kubevirt.io"


@pytest.fixture
async def world(opener):
    async with opener(systems=("kubevirt",)) as opened:
        yield opened


def create(world, name="vm", annotations=None, volumes=(), **spec):
    domain = {"devices": {"gpus": [{"name": "gpu1", "deviceName": "nvidia.com/gpu"}]}}
    template = {
        "metadata": {"labels": {"team": "ml"}, "annotations": {f"sim.{k}": v for k, v in (annotations or {}).items()}},
        "spec": {"domain": domain, "volumes": list(volumes), "terminationGracePeriodSeconds": 0},
    }
    body = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": {"name": name, "namespace": "demo"}}
    return world.client.create(VM, {**body, "spec": {"template": template, **(spec or {"runStrategy": "Always"})}})


def printed(world, name="vm"):
    return world.found(VM, name).get("status", {}).get("printableStatus")


async def test_machines_make_what_was_recorded(world, recording, traits_of):
    recorded = recording("kubevirt/derived-vmpool.json")
    machine = create(world, "pattern", runStrategy="Halted")["spec"] | {"runStrategy": "Always"}
    world.client.delete(VM, "demo", "pattern")
    world.client.create(POOL, recorded.played(replicas=2, virtualMachineTemplate={"spec": machine}))
    await world.advance(10)
    machines = [traits_of(each) for each in world.client.list(VM, "demo")]
    assert machines == [traits_of(each) for each in recorded.of_kind("VirtualMachine")]
    assert world.found(POOL, "pool")["status"] == {"replicas": 2, "readyReplicas": 2}

    def comparable(pod):
        traits = traits_of(pod)
        labels = {name: value for name, value in traits["labels"].items() if name != "team"}
        labels["kubevirt.io/created-by"] = "<the instance>"
        return {**traits, "name": re.sub(r"-[a-z0-9]{5}$", "", traits["name"]), "labels": labels}

    assert [comparable(pod) for pod in world.pods()] == [comparable(pod) for pod in recorded.of_kind("Pod")]
    instances = [traits_of(each) for each in world.client.list(VMI, "demo")]
    known = [traits_of(each) for each in recorded.of_kind("VirtualMachineInstance")]
    assert [each["owners"] for each in instances] == [each["owners"] for each in known]
    by_instance = {each["metadata"]["name"]: each["metadata"]["uid"] for each in world.client.list(VMI, "demo")}
    for pod in world.pods():
        name = pod["metadata"]["annotations"]["kubevirt.io/domain"]
        assert pod["metadata"]["labels"]["kubevirt.io/created-by"] == by_instance[name]
        assert pod["spec"]["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": "1"}


async def test_a_machine_starts_runs_and_is_halted(world):
    create(world)
    await world.advance(0)
    assert printed(world) == "Starting"
    await world.advance(10)
    assert (printed(world), world.conditions(VM, "vm")["Ready"]) == ("Running", "True")
    first = world.found(VMI, "vm")["metadata"]["uid"]
    world.change_spec(VM, "vm", lambda spec: spec.update(runStrategy="Halted"))
    await world.advance(10)
    assert (printed(world), world.pods(), world.client.list(VMI, "demo")) == ("Stopped", [], [])
    world.change_spec(VM, "vm", lambda spec: spec.update(runStrategy="Always"))
    await world.advance(10)
    assert printed(world) == "Running"
    assert world.found(VMI, "vm")["metadata"]["uid"] != first


async def test_the_older_field_says_the_same(world):
    create(world, running=True)
    await world.advance(10)
    assert printed(world) == "Running"
    world.change_spec(VM, "vm", lambda spec: spec.update(running=False))
    await world.advance(10)
    assert printed(world) == "Stopped"


@pytest.mark.parametrize(
    ("strategy", "code", "runs_again"),
    [
        ("Always", "0", True),
        ("Always", "1", True),
        ("RerunOnFailure", "0", False),
        ("RerunOnFailure", "1", True),
        ("Once", "1", False),
    ],
)
async def test_what_follows_a_guest_that_shut_down(world, strategy, code, runs_again):
    create(world, annotations={"run-seconds": "10", "exit-code": code}, runStrategy=strategy)
    await world.advance(8)
    first = world.found(VMI, "vm")["metadata"]["uid"]
    await world.advance(10)
    instance = world.found(VMI, "vm")
    assert (instance["metadata"]["uid"] != first) == runs_again
    if not runs_again:
        assert instance["status"]["phase"] == ("Failed" if code == "1" else "Succeeded")
        assert printed(world) == "Stopped"
        world.client.delete(VMI, "demo", "vm")
        await world.advance(10)
        assert world.client.list(VMI, "demo") == [], "it has had its run"


async def test_a_machine_is_restarted_by_request(world):
    machine = create(world)
    await world.advance(10)
    first = world.found(VMI, "vm")["metadata"]["uid"]
    machine = world.found(VM, "vm")
    requests = [{"action": "Stop", "uid": first}, {"action": "Start"}]
    world.client.update_status(VM, {**machine, "status": {**machine["status"], "stateChangeRequests": requests}})
    await world.advance(10)
    assert world.found(VMI, "vm")["metadata"]["uid"] != first
    assert (printed(world), "stateChangeRequests" in world.found(VM, "vm")["status"]) == ("Running", False)


async def test_a_manual_machine_starts_by_request_alone(world):
    create(world, runStrategy="Manual")
    await world.advance(10)
    assert printed(world) == "Stopped"
    machine = world.found(VM, "vm")
    status = {**machine["status"], "stateChangeRequests": [{"action": "Start"}]}
    world.client.update_status(VM, {**machine, "status": status})
    await world.advance(10)
    assert printed(world) == "Running"


async def test_a_machine_that_fits_nowhere_says_so(world):
    create(world)
    world.client.delete(VM, "demo", "vm")
    await world.advance(30)
    domain = {"resources": {"requests": {"memory": "1000Ti"}}}
    body = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": {"name": "big", "namespace": "demo"}}
    spec = {"runStrategy": "Always", "template": {"spec": {"domain": domain}}}
    world.client.create(VM, {**body, "spec": spec})
    await world.advance(10)
    assert printed(world, "big") == "ErrorUnschedulable"


async def test_a_migration_moves_the_machine_to_a_second_launcher(world):
    create(world)
    await world.advance(10)
    [source] = world.pods()
    body = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstanceMigration"}
    metadata = {"name": "move", "namespace": "demo"}
    world.client.create(VMIM, {**body, "metadata": metadata, "spec": {"vmiName": "vm"}})
    await world.advance(0)
    assert printed(world) == "Migrating"
    await world.advance(10)
    assert world.found(VMIM, "move")["status"]["phase"] == "Succeeded"
    phases = {pod["metadata"]["name"]: pod["status"]["phase"] for pod in world.pods()}
    assert phases.pop(source["metadata"]["name"]) == "Succeeded"
    [(target, phase)] = phases.items()
    assert phase == "Running"
    assert world.pod(target)["metadata"]["annotations"]["kubevirt.io/migrationJobName"] == "move"
    assert printed(world) == "Running"
    assert world.found(VMI, "vm")["status"]["phase"] == "Running"


async def test_a_hotplugged_volume_has_a_pod_owned_by_the_launcher(world):
    create(world)
    await world.advance(10)
    [launcher] = world.pods()
    volume = {"name": "more", "persistentVolumeClaim": {"claimName": "c", "hotpluggable": True}}
    world.change_spec(VMI, "vm", lambda spec: spec.update(volumes=[volume]))
    await world.advance(10)
    [plug] = [pod for pod in world.pods() if pod["metadata"]["labels"]["kubevirt.io"] == "hotplug-disk"]
    assert plug["metadata"]["ownerReferences"][0]["uid"] == launcher["metadata"]["uid"]
    world.change_spec(VMI, "vm", lambda spec: spec.update(volumes=[]))
    await world.advance(60)
    assert [pod["metadata"]["name"] for pod in world.pods()] == [launcher["metadata"]["name"]]


async def test_a_pool_shrinks_from_its_end(world):
    machine = {"runStrategy": "Halted", "template": {"spec": {}}}
    body = {"apiVersion": "pool.kubevirt.io/v1beta1", "kind": "VirtualMachinePool"}
    spec = {"replicas": 3, "virtualMachineTemplate": {"spec": machine}}
    world.client.create(POOL, {**body, "metadata": {"name": "p", "namespace": "demo"}, "spec": spec})
    await world.advance(1)
    world.change_spec(POOL, "p", lambda spec: spec.update(replicas=1))
    await world.advance(5)
    assert [each["metadata"]["name"] for each in world.client.list(VM, "demo")] == ["p-0"]


async def test_an_instance_without_a_machine_runs_once(world):
    body = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance"}
    metadata = {"name": "lone", "namespace": "demo", "annotations": {"sim.run-seconds": "5"}}
    world.client.create(VMI, {**body, "metadata": metadata, "spec": {"domain": {}}})
    await world.advance(20)
    assert world.found(VMI, "lone")["status"]["phase"] == "Succeeded"
    assert len(world.pods()) == 1
