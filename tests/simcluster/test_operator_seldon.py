"""Seldon: version 1's Deployments beside a recording, version 2's Servers and Models."""

import pytest

SDEP, DEPLOYMENTS = "seldondeployments.machinelearning.seldon.io", "deployments.apps"
SERVER, MODEL = "servers.mlops.seldon.io", "models.mlops.seldon.io"


@pytest.fixture
async def world(opener):
    async with opener(systems=("seldon",)) as opened:
        yield opened


def component(*names, **more):
    return {"spec": {"containers": [{"name": name, "image": "x"} for name in names]}, **more}


def predictor(name="main", **more):
    graph = {"name": "classifier", "type": "MODEL"}
    return {"name": name, "graph": graph, "componentSpecs": [component("classifier")], **more}


def create(world, kind, name, spec):
    kinds = {SDEP: ("machinelearning.seldon.io/v1", "SeldonDeployment")}
    version, title = kinds.get(kind, ("mlops.seldon.io/v1alpha1", kind.partition(".")[0][:-1].title()))
    metadata = {"name": name, "namespace": "demo"}
    return world.client.create(kind, {"apiVersion": version, "kind": title, "metadata": metadata, "spec": spec})


def without_hashes(traits):
    labels = {key: value for key, value in traits["labels"].items() if key != "pod-template-hash"}
    owners = [{**owner, "name": owner["name"].rsplit("-", 1)[0]} for owner in traits["owners"]]
    return {**traits, "name": traits["name"].rsplit("-", 2)[0], "labels": labels, "owners": owners}


async def test_a_deployment_makes_what_was_recorded(world, recording, traits_of):
    recorded = recording("seldon/derived-v1-sdep-with-shadow.json")
    predictors = [{**predictor(), **each} for each in recorded.items[0]["spec"]["predictors"]]
    world.client.create(SDEP, recorded.played(predictors=predictors))
    await world.advance(20)
    made = [{**traits_of(each), "containers": []} for each in world.client.list(DEPLOYMENTS, "demo")]
    assert made == [traits_of(each) for each in recorded.of_kind("Deployment")]
    pods = [without_hashes(traits_of(pod)) for pod in world.pods()]
    assert pods == [without_hashes(traits_of(pod)) for pod in recorded.of_kind("Pod")]
    assert world.found(SDEP, "fraud")["status"]["state"] == "Available"


async def test_the_most_specific_replicas_count(world):
    predictors = [
        predictor("a", componentSpecs=[component("one", replicas=3), component("two")], replicas=2),
        predictor("b"),
    ]
    create(world, SDEP, "d", {"replicas": 0, "predictors": predictors})
    await world.advance(20)
    sizes = {each["metadata"]["name"]: each["spec"]["replicas"] for each in world.client.list(DEPLOYMENTS, "demo")}
    assert sizes == {"d-a-0-one": 3, "d-a-1-two": 2, "d-b-0-classifier": 0}


@pytest.mark.parametrize(
    ("explainer", "predictors", "size"), [({}, 3, 1), ({"replicas": 2}, 3, 2), ({"replicas": 2}, 0, 0)]
)
async def test_an_explainer_has_its_own_size_and_none_without_its_predictor(world, explainer, predictors, size):
    explained = predictor(replicas=predictors, explainer={"type": "AnchorTabular", **explainer})
    create(world, SDEP, "d", {"predictors": [explained]})
    await world.advance(20)
    [made] = [each for each in world.client.list(DEPLOYMENTS, "demo") if each["metadata"]["name"].endswith("explainer")]
    assert made["spec"]["replicas"] == size


async def test_an_engine_of_its_own_and_names_that_are_too_long(world):
    annotations = {"seldon.io/engine-separate-pod": "true"}
    create(world, SDEP, "d" * 50, {"annotations": annotations, "predictors": [predictor("p" * 20)]})
    await world.advance(20)
    names = [each["metadata"]["name"] for each in world.client.list(DEPLOYMENTS, "demo")]
    assert all(name.startswith("seldon-") and len(name) == 39 for name in names)
    engines = [
        pod for pod in world.pods() if [c["name"] for c in pod["spec"]["containers"]] == ["seldon-container-engine"]
    ]
    assert (len(names), len(engines)) == (2, 1)


async def test_a_predictor_without_an_engine(world):
    create(world, SDEP, "d", {"predictors": [predictor(annotations={"seldon.io/no-engine": "true"})]})
    await world.advance(20)
    [pod] = world.pods()
    assert [each["name"] for each in pod["spec"]["containers"]] == ["classifier"]


async def test_a_server_completes_the_containers_its_spec_changes(world):
    resources = {"limits": {"nvidia.com/gpu": "1"}}
    containers = [{"name": "mlserver", "resources": resources}]
    create(world, SERVER, "s", {"serverConfig": "mlserver", "podSpec": {"containers": containers}})
    await world.advance(20)
    assert world.pod("s-0")["spec"]["containers"][0]["image"] == "seldonio/mlserver"


async def test_a_deployment_follows_changes_and_goes_with_its_predictor(world):
    create(world, SDEP, "d", {"predictors": [predictor("a"), predictor("b")]})
    await world.advance(20)
    world.change_spec(SDEP, "d", lambda spec: spec.update(predictors=[predictor("a", replicas=2)]))
    await world.advance(0)
    assert world.found(SDEP, "d")["status"]["state"] == "Creating"
    await world.advance(30)
    assert world.found(SDEP, "d")["status"]["state"] == "Available"
    assert {pod["metadata"]["labels"]["app"] for pod in world.pods()} == {"d-a-0-classifier"}
    assert len(world.pods()) == 2


async def test_a_server_makes_what_was_recorded_and_holds_models(world, recording, traits_of):
    recorded = recording("seldon/derived-v2-server-and-model.json")
    create(world, MODEL, "iris", recorded.of_kind("Model")[0]["spec"])
    await world.advance(1)
    assert world.conditions(MODEL, "iris")["Ready"] == "False"
    world.client.create(SERVER, recorded.played())
    await world.advance(20)
    relevant = ("seldon-server-name", "app.kubernetes.io/name", "statefulset.kubernetes.io/pod-name")
    made = [traits_of(pod) for pod in world.pods()]
    made = [{**each, "labels": {name: each["labels"][name] for name in relevant}} for each in made]
    assert made == [traits_of(pod) for pod in recorded.of_kind("Pod")]
    assert world.conditions(SERVER, "mlserver")["Ready"] == "True"
    assert world.conditions(MODEL, "iris")["Ready"] == "True"
    world.change_spec(SERVER, "mlserver", lambda spec: spec.update(replicas=0))
    await world.advance(20)
    assert world.pods() == []
    assert world.conditions(MODEL, "iris")["Ready"] == "False"
