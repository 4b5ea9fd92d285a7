"""`muster submit`: ask for a training or a workspace, from options or from a file."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer

from muster_cli.completing import project_names
from muster_cli.failure import Exit, Failure, too_deep, what_is_no_yaml
from muster_cli.output import Format, Output, print_data, progress, say

app = typer.Typer(help="Submit a training or a workspace.", no_args_is_help=True)

DEFAULT_IMAGE = "python:3.12-slim"

Name = Annotated[str, typer.Argument(help="What to call it; unique among the living workloads of its project.")]
Command = Annotated[list[str] | None, typer.Argument(help="What to run, after `--`.", metavar="[-- COMMAND …]")]
Project = Annotated[
    str,
    typer.Option("--project", "-p", help="Its project.", envvar="MUSTER_PROJECT", autocompletion=project_names),
]
Image = Annotated[str, typer.Option("--image", "-i", help="The container image.")]
Gpu = Annotated[
    str, typer.Option("--gpu", "-g", help="GPUs for each pod: 8, a part of one, 0.5, or of several, 2x0.5.")
]
GpuMemory = Annotated[str | None, typer.Option("--gpu-memory", help="Instead of a part of a GPU: memory of it, 20Gi.")]
Cpu = Annotated[str, typer.Option("--cpu", help="Processors for each pod: 2, 0.5 or 500m.")]
Memory = Annotated[str, typer.Option("--memory", help="Memory for each pod: 512Mi, 4Gi.")]
Environment = Annotated[list[str] | None, typer.Option("--env", "-e", help="NAME=VALUE, as often as needed.")]
Label = Annotated[list[str] | None, typer.Option("--label", help="KEY=VALUE on the pods, as often as needed.")]
Annotation = Annotated[
    list[str] | None, typer.Option("--annotation", help="KEY=VALUE on the pods, as often as needed.")
]
Pools = Annotated[
    list[str] | None,
    typer.Option("--node-pool", help="A node pool to try; repeat for more, in order."),
]
BackoffLimit = Annotated[int, typer.Option("--backoff-limit", help="How often failed pods are tried again.")]
Priority = Annotated[str | None, typer.Option("--priority", help="train, interactive-preemptible, build or inference.")]
Parallelism = Annotated[int, typer.Option("--parallelism", help="Pods at once.")]
Completions = Annotated[int | None, typer.Option("--completions", help="Successes needed; default: every pod one.")]
Gang = Annotated[bool, typer.Option("--gang", help="Start all pods together or none.")]
MinMembers = Annotated[int | None, typer.Option("--min-members", help="Start at least so many together or none.")]
Terminate = Annotated[
    bool, typer.Option("--terminate-after-preemption", help="Fail when a pod is preempted, instead of waiting again.")
]
Key = Annotated[str | None, typer.Option("--idempotency-key", help="The same key is the same workload, however often.")]


@app.callback(invoke_without_command=True)
def from_file(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="A YAML file with kind, name, project, spec; - for standard input."),
    ] = None,
    project: Annotated[
        str, typer.Option("--project", "-p", help="Instead of the file's project.", autocompletion=project_names)
    ] = "",
    key: Key = None,
    output: Output = Format.TABLE,
) -> None:
    """Submit a training or a workspace, from options or from a file.

    Example: muster submit -f training.yaml
    """
    if context.invoked_subcommand is None:
        if file is None:
            raise Failure(Exit.INVALID, "Nothing is named to submit.", "Try --file FILE, or `muster submit training`.")
        request = _read_file(file)
        _submit(request | ({"project": project} if project else {}), key, output)
    elif file is not None:
        raise Failure(Exit.INVALID, "A file says itself what kind it is.", "Write `muster submit -f FILE`.")
    elif project or key or output is not Format.TABLE:
        kind = context.invoked_subcommand
        raise Failure(Exit.INVALID, f"Options belong after {kind}.", f"Write `muster submit {kind} NAME --project …`.")


@app.command()
def training(
    name: Name,
    command: Command = None,
    project: Project = "",
    image: Image = DEFAULT_IMAGE,
    gpu: Gpu = "0",
    gpu_memory: GpuMemory = None,
    cpu: Cpu = "1",
    memory: Memory = "100Mi",
    parallelism: Parallelism = 1,
    completions: Completions = None,
    gang: Gang = False,
    min_members: MinMembers = None,
    backoff_limit: BackoffLimit = 6,
    priority: Priority = None,
    terminate_after_preemption: Terminate = False,
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
    compute = _compute(gpu, gpu_memory, cpu, memory)
    spec = _spec(image, command, compute, backoff_limit, priority, env, label, annotation, node_pool)
    spec |= {"parallelism": parallelism, "completions": completions}
    spec |= {"terminate_after_preemption": terminate_after_preemption}
    if gang or min_members is not None:
        spec["min_members"] = parallelism if min_members is None else min_members
    _submit({"kind": "training", "name": name, "project": project, "spec": spec}, key, output)


@app.command()
def workspace(
    name: Name,
    command: Command = None,
    project: Project = "",
    image: Image = DEFAULT_IMAGE,
    gpu: Gpu = "0",
    gpu_memory: GpuMemory = None,
    cpu: Cpu = "1",
    memory: Memory = "100Mi",
    backoff_limit: BackoffLimit = 6,
    priority: Priority = None,
    terminate_after_preemption: Terminate = False,
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
    compute = _compute(gpu, gpu_memory, cpu, memory)
    spec = _spec(image, command, compute, backoff_limit, priority, env, label, annotation, node_pool)
    spec |= {"terminate_after_preemption": terminate_after_preemption}
    _submit({"kind": "workspace", "name": name, "project": project, "spec": spec}, key, output)


def _compute(gpu: str, gpu_memory: str | None, cpu: str, memory: str) -> dict[str, Any]:
    from muster_cli.quantities import asked_gpus, cpu_cores, memory_bytes

    return {**asked_gpus(gpu, gpu_memory), "cpu_cores": cpu_cores(cpu), "memory_bytes": memory_bytes(memory)}


def _spec(
    image: str,
    command: list[str] | None,
    compute: dict[str, Any],
    backoff_limit: int,
    priority: str | None,
    env: list[str] | None,
    label: list[str] | None,
    annotation: list[str] | None,
    node_pools: list[str] | None,
) -> dict[str, Any]:
    environment = [{"name": k, "value": v} for k, v in _pairs(env, "--env").items()]
    return {
        "image": image,
        "command": command or [],
        "environment": environment,
        "compute": compute,
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
        request = yaml.safe_load(sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8"))
    except OSError as error:
        raise Failure(Exit.NOT_FOUND, f"{file} cannot be read: {error.strerror}.") from error
    except RecursionError as error:
        raise too_deep(file) from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: no UTF-8, or a date like 2026-13-45
        raise Failure(Exit.INVALID, f"{file} is not valid YAML: {what_is_no_yaml(error)}.") from error
    if not isinstance(request, dict) or request.get("kind") not in ("training", "workspace"):  # it may be unhashable
        raise Failure(
            Exit.INVALID,
            f"{file} does not say `kind: training` or `kind: workspace`.",
            "Objects of Kubernetes itself are applied with kubectl; Muster finds them in a project's namespace.",
        )
    return request


def _submit(request: dict[str, Any], key: str | None, output: Format) -> None:
    from muster_cli.client import Client
    from muster_cli.settings import CommandLineSettings

    settings = CommandLineSettings.read()
    project = request.get("project") or settings.project
    if not project:
        raise Failure(Exit.INVALID, "No project is named.", "Add --project NAME, or set MUSTER_PROJECT.")
    key = key or request.get("idempotency_key") or str(uuid4())
    body = {**request, "project": project, "idempotency_key": key}
    _refuse_what_json_cannot_say(body)
    kind = body.pop("kind")
    with Client(settings) as client, progress(f"Submitting {request.get('name')} …"):
        answer = client.post(f"/workloads/{kind}s", body)
        client.settle(f"/workloads/{answer['workload_id']}", answer["position"])
    if output is Format.TABLE:
        say(f"{kind.capitalize()} {answer['name']} is submitted to {answer['project']} as {answer['workload_id']}.")
    else:
        print_data(answer, output)


def _refuse_what_json_cannot_say(body: dict[str, Any]) -> None:
    """YAML knows dates, sets, not-a-number and lists inside themselves; a shell, text that is no UTF-8."""
    try:
        json.dumps(body, allow_nan=False, ensure_ascii=False, default=_name_what_it_is).encode()
    except (TypeError, ValueError, RecursionError) as error:
        message = f"The request cannot be sent as JSON: {error}."
        raise Failure(Exit.INVALID, message, "Put a value in quotes where text is meant.") from error


def _name_what_it_is(value: Any) -> Any:
    raise TypeError(f"{value} is a {type(value).__name__}")
