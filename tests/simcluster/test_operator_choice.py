"""Which operators a cluster runs: what is chosen on the command line, and what is there then."""

import pytest
from simcluster.clock import ManualClock
from simcluster.cluster import Cluster
from simcluster.operators import SYSTEMS, USUAL
from simcluster.operators.kinds import DEFINITIONS
from simcluster.settings import Settings, read_settings


@pytest.mark.parametrize(
    ("given", "systems"),
    [
        ([], USUAL),
        (["--operators", "all"], USUAL),
        (["--operators", "none"], ()),
        (["--operators", "training, mpi-v1"], ("training", "mpi-v1")),
    ],
)
def test_operators_are_chosen_by_system(given, systems):
    assert read_settings(given).operators == systems


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("training,volcano", "not volcano"),
        ("mpi,mpi-v1", "one system only that serves mpijobs.kubeflow.org"),
    ],
)
def test_a_choice_that_cannot_be_is_refused_with_the_reason(given, told, capsys):
    with pytest.raises(SystemExit):
        read_settings(["--operators", given])
    assert told in capsys.readouterr().err


async def test_a_cluster_serves_the_kinds_of_its_systems_and_no_others():
    async with Cluster(Settings(operators=("training",)), ManualClock()) as cluster:
        served = {definition["metadata"]["name"] for definition in cluster.client.list(DEFINITIONS)}
    assert served == {kind.key for kind in SYSTEMS["training"].kinds}


async def test_a_cluster_without_operators_has_no_custom_kinds():
    async with Cluster(Settings(operators=()), ManualClock()) as cluster:
        assert cluster.client.list(DEFINITIONS) == []


async def test_every_system_runs_beside_the_others():
    async with Cluster(Settings(), clock := ManualClock()) as cluster:
        definitions = cluster.client.list(DEFINITIONS)
        await clock.advance(60)
        assert all(definition["status"]["conditions"] for definition in definitions)
        assert len(definitions) == sum(len(SYSTEMS[name].kinds) for name in USUAL)


async def test_a_definition_somebody_changed_outlives_a_restart(tmp_path):
    settings = Settings(data=tmp_path, operators=("notebook",))
    async with Cluster(settings, ManualClock()) as cluster:
        (definition,) = cluster.client.list(DEFINITIONS)
        names = {**definition["spec"]["names"], "shortNames": ["nb"]}
        cluster.client.update(DEFINITIONS, {**definition, "spec": {**definition["spec"], "names": names}})
    async with Cluster(settings, ManualClock()) as cluster:
        (definition,) = cluster.client.list(DEFINITIONS)
        assert definition["spec"]["names"]["shortNames"] == ["nb"]
