"""`muster recognise`: what it prints, what programs read, what it reads, and the exit codes scripts rely on."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cli.stage import Type

MUSTER = Path(sys.executable).parent / "muster"

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: team, creationTimestamp: null, annotations: {since: 2026-11-01}}
spec:
  replicas: 2
  template:
    spec:
      containers: [{name: web, resources: {limits: {nvidia.com/gpu: 1}}}]
"""
REPLICA_SET = """\
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: web-1
  namespace: team
  ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, controller: true}]
"""
POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: web-1-a
  namespace: team
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-1, controller: true}]
spec: {containers: [{name: web}]}
status: {phase: Running}
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: team}
"""
ALL = "---\n".join((POD, SERVICE, REPLICA_SET, "\n", DEPLOYMENT))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path / "all.yaml", ALL)


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_answer_for_programs_has_every_field(types: Type, file: Path) -> None:
    typed = types("recognise", "-f", str(file), "-o", "json")
    assert (typed.code, typed.err) == (0, "")
    target = {"api_version": "apps/v1", "kind": "Deployment", "resource": "deployments"}
    target |= {"namespace": "team", "name": "web"}
    assert typed.data == {
        "workloads": [
            {
                "kind": "Deployment",
                "api_version": "apps/v1",
                "class": "kubernetes",
                "name": "web",
                "namespace": "team",
                "identity": "team/web",
                "identity_source": "name",
                "phase": "Pending",
                "parent": None,
                "attributes": {},
                "pods": [{"name": "web-1-a", "role": "replica", "pod_group": "web-1-a"}],
                "pod_groups": [{"name": "web-1-a", "min_members": 1, "sub_groups": [], "pods": ["web-1-a"]}],
                "desired_pods": 2,
                "gpus": 2,
                "supports": {"stop": True, "activate": True, "delete": True},
                "controls": {
                    "stop": [{"object": target, "resource_version": "", "body": {"spec": {"replicas": 0}}}],
                    "activate": [{"object": target, "resource_version": "", "body": {"spec": {"replicas": 2}}}],
                    "delete": [target],
                    "reason": "",
                    "warning": "",
                },
            }
        ],
        "ignored": [{"kind": "Service", "name": "web", "reason": "It is no workload, and no pod leads to it."}],
    }


def test_the_table_is_for_people(types: Type, file: Path) -> None:
    typed = types("recognise", "-f", str(file))
    header, row, _, title, ignored = typed.out.splitlines()
    assert header.split() == ["WORKLOAD", "KIND", "NAMESPACE", "PHASE", "PODS", "GPUS", "ACTIONS", "PARENT", "GANGS"]
    assert row.split() == ["web", "Deployment", "team", "Pending", "1", "of", "2", "2", "stop,", "activate,", "delete"]
    assert (title, ignored) == ("Ignored", "Service web: It is no workload, and no pod leads to it.")


def test_pods_that_have_ended_are_not_among_those_that_are_there(types: Type, file: Path) -> None:
    ended = POD.replace("web-1-a", "web-1-b").replace("Running", "Succeeded")
    written(file, "---\n".join((ALL, ended)))
    row = types("recognise", "-f", str(file)).out.splitlines()[1]
    assert row.split()[4:7] == ["1", "of", "2"]


def test_the_way_to_a_pod_is_explained(types: Type, file: Path) -> None:
    typed = types("recognise", "-f", str(file), "--explain", "team/web-1-a", "-o", "json")
    (explanation,) = typed.data["explanations"]
    assert explanation["pod"] == "team/web-1-a"
    assert explanation["workload"] == {"kind": "Deployment", "name": "web", "identity": "team/web"}
    assert explanation["rule"] == "owner: Deployment"
    walk = [sentence.partition(" (")[0] for sentence in explanation["tried"][-2:]]
    assert walk == ["Pod web-1-a is owned by ReplicaSet web-1", "ReplicaSet web-1 is owned by Deployment web"]
    assert "Deployment web" in types("recognise", "-f", str(file), "--explain", "web-1-a").out


def test_a_pod_that_is_not_there_cannot_be_explained(types: Type, file: Path) -> None:
    typed = types("recognise", "-f", str(file), "--explain", "other/web-1-a")
    assert (typed.code, typed.err) == (3, "No pod other/web-1-a is among the manifests.\n")


def test_files_directories_and_formats_give_the_same_answer(types: Type, tmp_path: Path, file: Path) -> None:
    import yaml

    objects: list[dict[str, Any]] = [
        json.loads(json.dumps(yaml.safe_load(text), default=str)) for text in (POD, SERVICE, REPLICA_SET, DEPLOYMENT)
    ]
    one = tmp_path / "one"
    (one / "below").mkdir(parents=True)
    written(one / "a.json", json.dumps({"apiVersion": "v1", "kind": "List", "items": objects[:2]}))
    written(one / "below" / "b.yml", f"{REPLICA_SET}---\n{DEPLOYMENT}")
    written(one / "notes.txt", "kind: {")
    pod = {name: value for name, value in objects[0].items() if name not in {"apiVersion", "kind"}}
    typed_list = {"apiVersion": "v1", "kind": "PodList", "items": [pod]}
    lines = written(tmp_path / "lines.json", "\n".join(map(json.dumps, [typed_list, objects[1:]])))
    expected = types("recognise", "-f", str(file), "-o", "json").data
    assert types("recognise", "-f", str(one), "-o", "json").data == expected
    assert types("recognise", "-f", str(lines), "-o", "json").data == expected
    twice = types("recognise", "-f", str(one / "a.json"), "-f", str(one / "below"), "-f", str(file), "-o", "json")
    assert twice.data == expected


def test_a_pipe_can_be_read() -> None:
    ran = subprocess.run(
        [MUSTER, "recognise", "-f", "-", "-o", "json"],
        input=ALL,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "MUSTER_URL": "http://127.0.0.1:1"},
    )
    assert [workload["name"] for workload in json.loads(ran.stdout)["workloads"]] == ["web"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "The file cannot be read: No such file or directory."),
        (b"\xff\xfe\x00", "This is not text in UTF-8."),
        (b"kind: [", "This is neither JSON nor YAML: "),
        (b"a: b\nkind: {{ .Values.kind }\n", "This is neither JSON nor YAML: "),
        (b"a: *b", "This is neither JSON nor YAML: found undefined alias in line 1."),
        (b"a: !!binary aGVsbG8=", "This is neither JSON nor YAML: could not determine a constructor "),
        (b"a: \x07", "This is neither JSON nor YAML: "),
        (b"[" * 100_000, "This is nested too deeply to be read."),
        (b"spec: &s {x: *s}", "This is nested too deeply to be read."),
        (
            b"".join(b"a%d: &a%d [%s]\n" % (n, n, b",".join([b"*a%d" % (n - 1) if n else b"x"] * 9)) for n in range(9)),
            "This is nested too deeply to be read.",
        ),
        (b"- " * 100_000, "This is nested too deeply to be read."),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(types: Type, tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "odd.yaml"
    if content is not None:
        path.write_bytes(content)
    typed = types("recognise", "-f", str(path))
    assert (typed.code, typed.out) == (2, "")
    assert typed.err.startswith(f"{path}: {says}")
    assert typed.err.count("\n") == 1


def test_files_that_cannot_be_read_do_not_hide_the_others(types: Type, tmp_path: Path, file: Path) -> None:
    good = types("recognise", "-f", str(file), "-o", "json").data
    empty = tmp_path / "empty"
    empty.mkdir()
    broken = [written(tmp_path / name, "kind: [") for name in ("a.yaml", "b.yaml")]
    typed = types("recognise", "-f", str(tmp_path), "-f", str(empty), "-o", "json")
    assert (typed.code, typed.data) == (2, good)
    assert [line.partition(": ")[0] for line in typed.err.splitlines()] == [str(path) for path in (*broken, empty)]


def test_a_pod_is_explained_beside_a_file_that_cannot_be_read(types: Type, tmp_path: Path, file: Path) -> None:
    broken = written(tmp_path / "broken.yaml", "kind: [")
    found = types("recognise", "-f", str(tmp_path), "--explain", "web-1-a")
    assert (found.code, "Deployment web" in found.out, found.err.count("\n")) == (2, True, 1)
    missing = types("recognise", "-f", str(tmp_path), "--explain", "other")
    assert (missing.code, missing.out) == (2, "")
    assert missing.err.startswith(f"{broken}: ")
    assert missing.err.endswith("No pod other is among the manifests.\n")


def test_a_template_is_told_from_what_is_merely_broken(types: Type, tmp_path: Path) -> None:
    template = written(tmp_path / "pod.yaml", "kind: Pod\nmetadata: {name: a}\nspec:\n  nodeName: {{ .Values.node }}\n")
    typed = types("recognise", "-f", str(template))
    assert typed.err.endswith(" in line 4. If it is a template, render it first, as `helm template` does.\n")


def test_a_directory_without_manifests_is_refused(types: Type, tmp_path: Path) -> None:
    typed = types("recognise", "-f", str(tmp_path))
    assert (typed.code, typed.err.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    ("content", "ignored"),
    [
        ("labels: {a: b}", ("", "odd.yaml", "It is no Kubernetes object: it has no apiVersion and kind.")),
        ("just words", ("", "odd.yaml", "It is no Kubernetes object: it has no apiVersion and kind.")),
        ("{apiVersion: v1, kind: Pod}", ("Pod", "odd.yaml", "It is no Kubernetes object: it has no metadata.")),
        ("{apiVersion: v1, kind: Pod, metadata: {}}", ("Pod", "odd.yaml", "It has no name.")),
        (
            "{apiVersion: v1, kind: Pod, metadata: {name: a, labels: {app: web, version: 1.10, since: 2.0, up: 1}}}",
            ("Pod", "a", "It cannot be read: Expected `str`, got `float` - at `$.metadata.labels[version, since]`."),
        ),
        (
            "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{resources: {limits: {cpu: []}}}]}}",
            (
                "Pod",
                "a",
                "It cannot be read: Expected `int | float | str`, got `array` - at "
                "`$.spec.containers[0].resources.limits[cpu]`.",
            ),
        ),
        (
            "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: 3}}",
            ("Pod", "a", "It cannot be read: Expected `array`, got `int` - at `$.spec.containers`."),
        ),
    ],
)
def test_what_is_no_object_is_ignored_with_the_reason(
    types: Type, tmp_path: Path, content: str, ignored: tuple[str, str, str]
) -> None:
    typed = types("recognise", "-f", str(written(tmp_path / "odd.yaml", content)), "-o", "json")
    assert typed.code == 0
    assert typed.data == {"workloads": [], "ignored": [dict(zip(("kind", "name", "reason"), ignored, strict=True))]}
