"""What can be known of docker-compose.yml without an engine: it fits the services, the edge, and itself."""

import importlib.util
import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from compose.composition import FILE, ROOT, VARIABLE, raw, services
from muster_chassis.metrics import GAUGES
from muster_chassis.settings import ServiceSettings, variable
from muster_contracts.subjects import Writer
from muster_integrations.settings import IntegrationsSettings
from muster_journal.__main__ import container_settings, main, password_variable
from muster_journal.permissions import server_configuration
from muster_local.edge import COMMAND_PATHS, QUERIES
from muster_scheduler.settings import SchedulerSettings
from muster_status.settings import StatusSettings
from muster_submitter.settings import SubmitterSettings
from simcluster.settings import read_settings

SETTINGS: dict[str, type[ServiceSettings]] = {
    "submitter": SubmitterSettings,
    "scheduler": SchedulerSettings,
    "status": StatusSettings,
    "integrations": IntegrationsSettings,
}
KEYS = {
    *("profiles", "image", "build", "command", "entrypoint", "user", "restart", "read_only", "tmpfs", "cap_drop"),
    *("security_opt", "privileged", "scale", "environment", "ports", "volumes", "healthcheck", "depends_on"),
}
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
DOCKERFILE = (ROOT / "deploy/docker/Dockerfile").read_text(encoding="utf-8")
CADDYFILE = (ROOT / "deploy/docker/Caddyfile").read_text(encoding="utf-8")
EVERY = services()
by_service = pytest.mark.parametrize("name", SETTINGS)
by_container = pytest.mark.parametrize("name", EVERY)


def settings_of(name: str) -> ServiceSettings:
    return SETTINGS[name].from_environment(name, EVERY[name]["environment"])


def health_address(name: str) -> str:
    (address,) = re.findall(r"http://[^'\"]+", " ".join(EVERY[name]["healthcheck"]["test"]))
    return str(address)


def mounts(name: str) -> list[tuple[str, str]]:
    """Return what is mounted where."""
    pairs = [volume.split(":") for volume in EVERY[name].get("volumes", [])]
    return [(pair[0], pair[1]) for pair in pairs]


def dependencies(name: str) -> dict[str, str]:
    wanted = EVERY[name].get("depends_on", {})
    if isinstance(wanted, list):
        return dict.fromkeys(wanted, "service_started")
    return {other: each["condition"] for other, each in wanted.items()}


def stage(target: str) -> str:
    """Return the lines of one stage of the Dockerfile."""
    stages: list[str] = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
    (found,) = [text for text in stages if text.splitlines()[0].endswith(f" AS {target}")]
    return found


# ---------------------------------------------------------------- the file by itself


def test_the_file_has_the_parts_a_compose_file_has() -> None:
    assert {key for key in raw() if not key.startswith("x-")} == {"services", "volumes"}
    assert {"nats", "postgres", "cluster", "edge", *SETTINGS} <= set(EVERY)


@by_container
def test_a_container_says_only_what_compose_1_29_reads(name: str) -> None:
    assert set(EVERY[name]) <= KEYS
    assert "image" in EVERY[name]
    assert all(condition in CONDITIONS for condition in dependencies(name).values())


@by_container
def test_every_image_is_a_variable_with_a_default(name: str) -> None:
    image = raw()["services"][name]["image"]
    assert VARIABLE.match(image), image
    assert all(default for _, default in VARIABLE.findall(image))
    assert re.fullmatch(r"[a-z0-9/-]+:[\w.-]+", EVERY[name]["image"])


def test_every_variable_has_a_default_the_same_wherever_it_stands() -> None:
    defaults: dict[str, set[str]] = {}
    for variable_name, default in VARIABLE.findall(FILE.read_text(encoding="utf-8")):
        defaults.setdefault(variable_name, set()).add(default)
    assert {name: values for name, values in defaults.items() if len(values) > 1 or values == {""}} == {}


def test_every_variable_is_explained() -> None:
    page = (ROOT / "docs/compose.md").read_text(encoding="utf-8")
    named = {name for name, _ in VARIABLE.findall(FILE.read_text(encoding="utf-8"))}
    assert {name for name in named if f"`{name}`" not in page} == set()


@by_container
def test_every_path_exists_and_every_volume_is_declared(name: str) -> None:
    for source, target in mounts(name):
        assert target.startswith("/")
        if source.startswith("./"):
            assert (ROOT / source).exists(), source
        else:
            assert source in raw()["volumes"]


def test_every_declared_volume_is_used() -> None:
    used = {source for name in EVERY for source, _ in mounts(name)}
    used |= {source for source in k3s_variables().values() if source in raw()["volumes"]}
    assert set(raw()["volumes"]) <= used


@by_container
def test_a_container_waits_only_for_what_will_come(name: str) -> None:
    for other, condition in dependencies(name).items():
        ends = EVERY[other].get("restart") is None
        assert set(EVERY[other].get("profiles", [])) <= set(EVERY[name].get("profiles", [])), "it may not be started"
        assert (condition == "service_completed_successfully") == ends
        assert condition != "service_healthy" or "healthcheck" in EVERY[other]


@by_container
def test_what_stays_is_started_again_and_watched(name: str) -> None:
    if name in {"nats-configuration", "streams", "k3s-node"}:
        assert "healthcheck" not in EVERY[name]
    else:
        assert EVERY[name]["restart"] == "unless-stopped"
        assert EVERY[name]["healthcheck"]["test"][0] == "CMD"


def test_nothing_is_published_beyond_this_machine_unless_somebody_says_so() -> None:
    published = [port for name in EVERY for port in EVERY[name].get("ports", [])]
    assert len(published) == 3
    assert all(port.startswith("127.0.0.1:") for port in published)


# ---------------------------------------------------------------- against the services' own settings


@by_service
def test_every_variable_of_a_service_is_one_of_its_settings(name: str) -> None:
    fields = SETTINGS[name].model_fields
    known = {variable(name, field) for field in fields} | {f"MUSTER_{field}".upper() for field in fields}
    assert set(EVERY[name]["environment"]) <= known


@by_service
def test_a_service_is_told_what_the_local_stack_tells_it(name: str) -> None:
    told = {field for field in SETTINGS[name].model_fields if is_told(name, field)} - {"log_level"}
    own = {
        "status": {"postgres_dsn", "neighbours"},
        "integrations": {"admission_target", "admission_host", "admission_port", "submitter_user"},
    }
    common = {"nats_url", "nats_password", "kubeconfig", "listen_host", "listen_port"}
    assert told == common | own.get(name, set())


def test_the_cluster_finds_the_webhook_where_it_listens() -> None:
    settings = settings_of("integrations")
    assert isinstance(settings, IntegrationsSettings)
    assert settings.admission_host == "0.0.0.0"
    assert settings.admission_target == f"https://integrations:{settings.admission_port}"
    off = services({"MUSTER_ADMISSION_TARGET": ""})["integrations"]["environment"]
    assert off["MUSTER_INTEGRATIONS_ADMISSION_TARGET"] == ""


def is_told(name: str, field: str) -> bool:
    return bool({variable(name, field), f"MUSTER_{field}".upper()} & set(EVERY[name]["environment"]))


@by_service
def test_ports_and_health_checks_agree_with_the_settings(name: str) -> None:
    settings = settings_of(name)
    assert settings.listen_host == "0.0.0.0"
    assert health_address(name) == f"http://127.0.0.1:{settings.listen_port}/healthz"
    image = stage("service")
    assert f"MUSTER_LISTEN_HOST=0.0.0.0 MUSTER_LISTEN_PORT={settings.listen_port}" in image
    assert f"EXPOSE {settings.listen_port}\n" in image
    assert health_address(name) in image


@by_service
def test_a_service_finds_its_kubeconfig_and_the_cluster_behind_it(name: str) -> None:
    kubeconfig = settings_of(name).kubeconfig
    assert kubeconfig is not None
    (folder,) = [source for source, target in mounts(name) if target == str(kubeconfig.parent)]
    config = yaml.safe_load((ROOT / folder / kubeconfig.name).read_text(encoding="utf-8"))
    module, arguments = EVERY["cluster"]["command"][2], EVERY["cluster"]["command"][3:]
    simulated = read_settings(arguments)
    assert module == "simcluster"
    assert simulated.host == "0.0.0.0"
    assert config["clusters"][0]["cluster"]["server"] == f"http://cluster:{simulated.port}"
    assert health_address("cluster") == f"http://127.0.0.1:{simulated.port}/readyz"
    assert ("cluster-data", str(simulated.data)) in mounts("cluster")
    assert json.dumps(EVERY["cluster"]["command"]) in stage("cluster"), "the image does the same by itself"


@by_service
def test_a_service_signs_in_with_the_password_the_server_knows(name: str) -> None:
    server = container_settings(EVERY["nats-configuration"]["environment"])
    assert settings_of(name).nats_password == server.service_passwords[Writer(name)]
    assert settings_of(name).nats_url == f"nats://nats:{server.port}"
    others = {password_variable(user) for user in ("administrator", *SETTINGS) if user != name}
    assert not others & set(EVERY[name]["environment"]), "it knows its own password alone"


def test_the_administrator_configures_the_server_that_is_started(tmp_path: Path) -> None:
    environment = EVERY["nats-configuration"]["environment"]
    settings = container_settings(environment)
    command, file = EVERY["nats-configuration"]["command"]
    assert EVERY["nats"]["command"][:2] == ["--config", file]
    assert EVERY["nats"]["command"][2:] == ["--http_port", str(port_of(health_address("nats")))]
    assert ("nats-data", settings.store_directory) in mounts("nats")
    assert main([command, str(tmp_path / "server.conf")], environment) == 0
    assert (tmp_path / "server.conf").read_text(encoding="utf-8") == server_configuration(settings)
    assert (tmp_path / "server.conf").stat().st_mode & 0o777 == 0o600


def test_the_streams_are_made_by_the_administrator_of_that_server() -> None:
    environment, variable_name = EVERY["streams"]["environment"], password_variable("administrator")
    assert EVERY["streams"]["command"] == ["provision"]
    assert environment["MUSTER_NATS_URL"] == settings_of("submitter").nats_url
    assert environment[variable_name] == EVERY["nats-configuration"]["environment"][variable_name]


def test_the_administrator_refuses_to_leave_a_user_without_a_password(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = EVERY["nats-configuration"]["environment"] | {"MUSTER_STATUS_NATS_PASSWORD": ""}
    assert main(["configure", str(tmp_path / "server.conf")], environment) == 2
    assert "MUSTER_STATUS_NATS_PASSWORD is not set" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_read_models_are_in_the_database_that_is_made() -> None:
    settings, made = settings_of("status"), EVERY["postgres"]["environment"]
    assert isinstance(settings, StatusSettings)
    user, password, database = made["POSTGRES_USER"], made["POSTGRES_PASSWORD"], made["POSTGRES_DB"]
    assert settings.postgres_dsn == f"postgresql://{user}:{password}@postgres:5432/{database}"


def test_the_status_service_asks_its_three_neighbours_how_they_are() -> None:
    settings = settings_of("status")
    assert isinstance(settings, StatusSettings)
    assert settings.neighbour_addresses == {name: address_of(name) for name in SETTINGS if name != "status"}


def address_of(name: str) -> str:
    return f"http://{name}:{settings_of(name).listen_port}"


def port_of(address: str) -> int:
    return int(urlsplit(address).port or 0)


# ---------------------------------------------------------------- the edge


def test_the_edge_sends_requests_where_the_local_edge_sends_them() -> None:
    (commands,) = re.findall(r"@commands path (.+)", CADDYFILE)
    (queries,) = re.findall(r"@queries method (.+)", CADDYFILE)
    assert commands.split() == [f"{path}*" for path in COMMAND_PATHS]
    assert set(queries.split()) == QUERIES
    targets = re.findall(r"handle ?(@\w+)? ?\{\s+reverse_proxy ([\w:]+)", CADDYFILE)
    submitter, status = (address_of(name).removeprefix("http://") for name in ("submitter", "status"))
    assert targets == [("@commands", submitter), ("@queries", status), ("", submitter)]


def test_the_edge_listens_where_its_port_and_its_health_check_say() -> None:
    (inside,) = re.findall(r"^:(\d+) \{", CADDYFILE, re.MULTILINE)
    assert [port.rsplit(":", 1)[1] for port in EVERY["edge"]["ports"]] == [inside]
    assert health_address("edge") == f"http://127.0.0.1:{inside}/healthz"
    assert ("./deploy/docker/Caddyfile", EVERY["edge"]["command"][3]) in mounts("edge")


def test_a_service_that_is_away_looks_alike_at_both_edges() -> None:
    (body,) = re.findall(r"respond `(.+)` 503", CADDYFILE)
    assert json.loads(body) == {
        "code": 503,
        "message": "The service is starting. Please try again.",
        "details": "Unavailable",
        "compliance_issues": [],
    }


# ---------------------------------------------------------------- the images


BUILT = {name: service["build"] for name, service in EVERY.items() if "build" in service}


@pytest.mark.parametrize("name", BUILT)
def test_an_image_is_built_from_a_member_of_the_workspace(name: str) -> None:
    build = BUILT[name]
    arguments = build["args"]
    members = {manifest(path)["name"]: path.parent for path in ROOT.glob("*/*/pyproject.toml")}
    assert build["dockerfile"] == "deploy/docker/Dockerfile"
    assert arguments["PACKAGE"] in members
    assert set(arguments) <= set(re.findall(r"^ARG (\w+)", DOCKERFILE, re.MULTILINE))
    assert f"ARG PYTHON_IMAGE={arguments['PYTHON_IMAGE']}\n" in DOCKERFILE
    if build["target"] == "service":
        assert arguments["PACKAGE"] == f"muster-{arguments['MEMBER']}" == f"muster-{name}"
        assert importlib.util.find_spec(f"muster_{name}.__main__")


def manifest(path: Path) -> Any:
    return tomllib.loads(path.read_text(encoding="utf-8"))["project"]


@pytest.mark.parametrize("target", ["journal", "cluster", "service"])
def test_an_image_does_not_run_as_root(target: str) -> None:
    users = re.findall(r"^USER (\S+)", stage("runtime") + stage(target), re.MULTILINE)
    assert users[-1] == "65532:65532"


@by_service
def test_a_service_cannot_write_or_gain_rights(name: str) -> None:
    assert EVERY[name]["read_only"] is True
    assert EVERY[name]["cap_drop"] == ["ALL"]
    assert EVERY[name]["security_opt"] == ["no-new-privileges:true"]


def test_images_are_built_with_the_uv_of_the_makefile() -> None:
    (ours,) = re.findall(r"uv==([\d.]+)", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert f"ARG UV_VERSION={ours}\n" in DOCKERFILE


def test_the_build_context_has_every_member_and_nothing_private() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"}
    for path in (*ROOT.glob("*/*/pyproject.toml"), *ROOT.glob("*/pyproject.toml")):
        inside = path.relative_to(ROOT)
        assert let_in & {inside.as_posix(), inside.parts[0]}, inside
    assert all((ROOT / path).exists() for path in let_in)


# ---------------------------------------------------------------- profiles


def k3s_variables() -> dict[str, str]:
    text = (ROOT / "deploy/docker/k3s/k3s.env").read_text(encoding="utf-8")
    return dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))


def test_k3s_takes_the_place_of_the_simulated_cluster() -> None:
    chosen = services(k3s_variables())
    assert EVERY["k3s"]["profiles"] == EVERY["k3s-node"]["profiles"] == [k3s_variables()["COMPOSE_PROFILES"]]
    assert (EVERY["cluster"]["scale"], chosen["cluster"]["scale"]) == ("1", "0")
    for name in SETTINGS:
        assert chosen[name]["volumes"] == ["k3s-access:/etc/muster/cluster:ro"]
    assert ("k3s-access", "/access") in mounts("k3s-node")


def test_the_node_of_k3s_gets_gpus_and_the_services_a_kubeconfig() -> None:
    script = ROOT / "deploy/docker/k3s/node.sh"
    text = script.read_text(encoding="utf-8")
    assert subprocess.run(["sh", "-n", script], check=False).returncode == 0
    assert "https://k3s:6443" in text
    assert "--subresource status" in text
    assert f"mv /access/{kubeconfig_name()}.new /access/{kubeconfig_name()}" in text
    assert EVERY["k3s"]["environment"]["K3S_KUBECONFIG_OUTPUT"] in text
    assert "--tls-san k3s" in " ".join(EVERY["k3s"]["command"])
    assert set(re.findall(r"\$\{(K3S_\w+)\}", text)) == set(EVERY["k3s-node"]["environment"])


def kubeconfig_name() -> str:
    kubeconfig = settings_of("submitter").kubeconfig
    assert kubeconfig is not None
    return kubeconfig.name


def test_prometheus_reads_every_service_and_grafana_reads_prometheus() -> None:
    config = yaml.safe_load((ROOT / "deploy/docker/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    ours = next(job for job in config["scrape_configs"] if job["job_name"] == "muster")
    assert set(ours["static_configs"][0]["targets"]) == {address_of(name).removeprefix("http://") for name in SETTINGS}
    grafana = ROOT / "deploy/docker/grafana"
    (source,) = yaml.safe_load((grafana / "provisioning/datasources/prometheus.yml").read_text(encoding="utf-8"))[
        "datasources"
    ]
    assert source["url"] == f"http://prometheus:{port_of(health_address('prometheus'))}"
    (provider,) = yaml.safe_load((grafana / "provisioning/dashboards/muster.yml").read_text(encoding="utf-8"))[
        "providers"
    ]
    assert ("./deploy/docker/grafana/dashboards", provider["options"]["path"]) in mounts("grafana")


def test_the_dashboard_asks_for_what_the_services_tell() -> None:
    for path in (ROOT / "deploy/docker/grafana/dashboards").glob("*.json"):
        panels = json.loads(path.read_text(encoding="utf-8"))["panels"]
        assert {panel["datasource"]["uid"] for panel in panels} == {"prometheus"}
        asked = {each for panel in panels for each in re.findall(r"muster_\w+", panel["targets"][0]["expr"])}
        assert asked == set(GAUGES)
