"""`muster submit`: ask for a training or a workspace, from options or from a file."""

from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer

from muster_cli.failure import Exit, Failure
from muster_cli.output import Format, Output, print_data, progress, say

app = typer.Typer(help="Submit a training or a workspace.", no_args_is_help=True)

DEFAULT_IMAGE = "python:3.12-slim"

Name = Annotated[str, typer.Argument(help="What to call it; unique among the living workloads of its project.")]
Command = Annotated[list[str] | None, typer.Argument(help="What to run, after `--`.", metavar="[-- COMMAND …]")]
Project = Annotated[str, typer.Option("--project", "-p", help="Its project.", envvar="MUSTER_PROJECT")]
Image = Annotated[str, typer.Option("--image", "-i", help="The container image.")]
Gpu = Annotated[int, typer.Option("--gpu", "-g", help="GPUs for each pod.")]
Cpu = Annotated[str, typer.Option("--cpu", help="Processors for each pod: 2, 0.5 or 500m.")]
Memory = Annotated[str, typer.Option("--memory", help="Memory for each pod: 512Mi, 4Gi.")]
Environment = Annotated[list[str] | None, typer.Option("--env", "-e", help="NAME=VALUE, as often as needed.")]
Label = Annotated[list[str] | None, typer.Option("--label", help="KEY=VALUE on the pods, as often as needed.")]
Annotation = Annotated[
    list[str] | None, typer.Option("--annotation", help="KEY=VALUE on the pods, as often as needed.")
]
Pools = Annotated[list[str] | None, typer.Option("--node-pool", help="Where it may run, in order of preference.")]
BackoffLimit = Annotated[int, typer.Option("--backoff-limit", help="How often failed pods are tried again.")]
Priority = Annotated[str | None, typer.Option("--priority", help="train, interactive-preemptible, build or inference.")]
Parallelism = Annotated[int, typer.Option("--parallelism", help="Pods at once.")]
Completions = Annotated[int | None, typer.Option("--completions", help="Successes needed; default: every pod one.")]
Gang = Annotated[bool, typer.Option("--gang", help="Start all pods together or none.")]
MinMembers = Annotated[int | None, typer.Option("--min-members", help="Start at least so many together or none.")]
Key = Annotated[str | None, typer.Option("--idempotency-key", help="The same key is the same workload, however often.")]


@app.callback(invoke_without_command=True)
def from_file(
    file: Annotated[Path | None, typer.Option("--file", "-f", help="A YAML file: kind, name, project, spec.")] = None,
    project: Project = "",
    key: Key = None,
    output: Output = Format.TABLE,
) -> None:
    """Submit a training or a workspace."""
    if file is not None:
        request = _read_file(file)
        if project:
            request["project"] = project
        _submit(request, key, output)


@app.command()
def training(
    name: Name,
    command: Command = None,
    project: Project = "",
    image: Image = DEFAULT_IMAGE,
    gpu: Gpu = 0,
    cpu: Cpu = "1",
    memory: Memory = "100Mi",
    parallelism: Parallelism = 1,
    completions: Completions = None,
    gang: Gang = False,
    min_members: MinMembers = None,
    backoff_limit: BackoffLimit = 6,
    priority: Priority = None,
    env: Environment = None,
    label: Label = None,
    annotation: Annotation = None,
    node_pool: Pools = None,
    key: Key = None,
    output: Output = Format.TABLE,
) -> None:
    """Submit a training: it runs until its command is done.

    Example: muster submit training hello --project demo --gpu 1 -- python train.py
    """
    spec = _spec(image, command, gpu, cpu, memory, backoff_limit, priority, env, label, annotation, node_pool)
    spec |= {"parallelism": parallelism, "completions": completions}
    if gang or min_members is not None:
        spec["min_members"] = min_members or parallelism
    _submit({"kind": "training", "name": name, "project": project, "spec": spec}, key, output)


@app.command()
def workspace(
    name: Name,
    command: Command = None,
    project: Project = "",
    image: Image = DEFAULT_IMAGE,
    gpu: Gpu = 0,
    cpu: Cpu = "1",
    memory: Memory = "100Mi",
    backoff_limit: BackoffLimit = 6,
    priority: Priority = None,
    env: Environment = None,
    label: Label = None,
    annotation: Annotation = None,
    node_pool: Pools = None,
    key: Key = None,
    output: Output = Format.TABLE,
) -> None:
    """Submit a workspace: it runs until somebody stops it.

    Example: muster submit workspace notebook --project demo --gpu 1 -- jupyter lab
    """
    spec = _spec(image, command, gpu, cpu, memory, backoff_limit, priority, env, label, annotation, node_pool)
    _submit({"kind": "workspace", "name": name, "project": project, "spec": spec}, key, output)


def _spec(
    image: str,
    command: list[str] | None,
    gpu: int,
    cpu: str,
    memory: str,
    backoff_limit: int,
    priority: str | None,
    env: list[str] | None,
    label: list[str] | None,
    annotation: list[str] | None,
    node_pools: list[str] | None,
) -> dict[str, Any]:
    from muster_cli.quantities import cpu_cores, memory_bytes

    environment = [{"name": k, "value": v} for k, v in _pairs(env, "--env").items()]
    return {
        "image": image,
        "command": command or [],
        "environment": environment,
        "compute": {"gpu_devices": gpu, "cpu_cores": cpu_cores(cpu), "memory_bytes": memory_bytes(memory)},
        "backoff_limit": backoff_limit,
        "priority_class": priority,
        "labels": _pairs(label, "--label"),
        "annotations": _pairs(annotation, "--annotation"),
        "node_pools": node_pools or [],
    }


def _pairs(given: list[str] | None, option: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in given or []:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise Failure(Exit.INVALID, f"{option} takes KEY=VALUE, not {text!r}.")
        pairs[key] = value
    return pairs


def _read_file(file: Path) -> dict[str, Any]:
    import yaml

    try:
        request = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise Failure(Exit.NOT_FOUND, f"{file} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Failure(Exit.INVALID, f"{file} is not valid YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(request, dict) or request.get("kind") not in {"training", "workspace"}:
        raise Failure(Exit.INVALID, f"{file} does not say `kind: training` or `kind: workspace`.")
    return request


def _submit(request: dict[str, Any], key: str | None, output: Format) -> None:
    from muster_cli.client import Client
    from muster_cli.settings import CommandLineSettings

    if not request.get("project"):
        raise Failure(Exit.INVALID, "No project is named.", "Add --project NAME, or set MUSTER_PROJECT.")
    body = {**request, "idempotency_key": key or request.get("idempotency_key") or str(uuid4())}
    kind = body.pop("kind")
    with Client(CommandLineSettings.read()) as client, progress(f"Submitting {request.get('name')} …"):
        answer = client.post(f"/workloads/{kind}s", body)
        client.get(
            f"/workloads/{answer['workload_id']}", at_least=answer["position"]
        )  # so that the next command sees it
    if output is Format.TABLE:
        say(f"{kind.capitalize()} {answer['name']} is submitted to {answer['project']} as {answer['workload_id']}.")
    else:
        print_data(answer, output)
