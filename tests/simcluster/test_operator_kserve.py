"""KServe in standard mode: Deployments beside a recording, stopping, sizes, and what the status says."""

import pytest

SERVICE, DEPLOYMENTS = "inferenceservices.serving.kserve.io", "deployments.apps"


@pytest.fixture
async def world(opener):
    async with opener(systems=("kserve",)) as opened:
        yield opened


def create(world, **spec):
    body = {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService"}
    predictor = {"minReplicas": 2, "model": {"modelFormat": {"name": "mlflow"}, "storageUri": "s3://b/m"}}
    return world.client.create(
        SERVICE, {**body, "metadata": {"name": "iris", "namespace": "demo"}, "spec": {"predictor": predictor, **spec}}
    )


def annotate(world, **annotations):
    found = world.found(SERVICE, "iris")
    world.client.update(SERVICE, {**found, "metadata": {**found["metadata"], "annotations": annotations}})


def without_hashes(traits):
    labels = {key: value for key, value in traits["labels"].items() if key != "pod-template-hash"}
    owners = [{**owner, "name": owner["name"].rsplit("-", 1)[0]} for owner in traits["owners"]]
    return {**traits, "name": traits["name"].rsplit("-", 2)[0], "labels": labels, "owners": owners}


async def test_a_service_makes_what_was_recorded(world, recording, traits_of):
    recorded = recording("kserve/derived-isvc-standard-predictor-transformer.json")
    world.client.create(SERVICE, recorded.played())
    await world.advance(20)
    made = [traits_of(each) for each in world.client.list(DEPLOYMENTS, "demo")]
    known = [traits_of(each) for each in recorded.of_kind("Deployment")]
    assert [(each["name"], each["owners"]) for each in made] == [(each["name"], each["owners"]) for each in known]
    pods = [without_hashes(traits_of(pod)) for pod in world.pods()]
    assert pods == [without_hashes(traits_of(pod)) for pod in recorded.of_kind("Pod")]
    predictor = world.pods(component="predictor")[0]
    assert [each["name"] for each in predictor["spec"]["initContainers"]] == ["storage-initializer"]


async def test_a_service_is_ready_with_its_components(world):
    create(world)
    await world.advance(0)
    assert world.conditions(SERVICE, "iris")["Ready"] == "False"
    await world.advance(20)
    conditions = world.conditions(SERVICE, "iris")
    assert conditions == {"PredictorReady": "True", "IngressReady": "True", "Ready": "True", "Stopped": "False"}
    assert world.found(SERVICE, "iris")["status"]["modelStatus"]["states"]["activeModelState"] == "Loaded"


async def test_a_stopped_service_has_no_deployments_and_comes_back(world):
    create(world)
    await world.advance(20)
    annotate(world, **{"serving.kserve.io/stop": "true"})
    await world.advance(20)
    assert (world.pods(), world.client.list(DEPLOYMENTS, "demo")) == ([], [])
    conditions = world.conditions(SERVICE, "iris")
    assert (conditions["Stopped"], conditions["Ready"]) == ("True", "False")
    annotate(world, **{"serving.kserve.io/stop": "false"})
    await world.advance(20)
    assert world.conditions(SERVICE, "iris")["Stopped"] == "False"
    assert len(world.pods()) == 2


async def test_no_replicas_is_a_size_and_not_a_stop(world):
    create(world)
    await world.advance(20)
    world.change_spec(SERVICE, "iris", lambda spec: spec["predictor"].update(minReplicas=0))
    await world.advance(20)
    assert world.pods() == []
    conditions = world.conditions(SERVICE, "iris")
    assert (conditions["Stopped"], conditions["Ready"]) == ("False", "True")


async def test_a_component_that_is_taken_out_goes(world):
    create(world, transformer={"containers": [{"name": "kserve-container", "image": "x"}]})
    await world.advance(20)
    assert len(world.client.list(DEPLOYMENTS, "demo")) == 2
    found = world.found(SERVICE, "iris")
    world.client.update(SERVICE, {**found, "spec": {"predictor": found["spec"]["predictor"]}})
    await world.advance(20)
    assert [each["metadata"]["name"] for each in world.client.list(DEPLOYMENTS, "demo")] == ["iris-predictor"]
