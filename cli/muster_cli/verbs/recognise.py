"""`muster recognise`: what Muster would make of manifests. Offline: no cluster, no server, nothing is changed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from muster_cli.failure import Exit, Failure
from muster_cli.output import Format, Output, plain, print_data, print_marked, print_pairs, print_table, styled_phase

if TYPE_CHECKING:
    from muster_integrations.core.seen import SeenWorkload
    from muster_integrations.recognition.manifests import Document
    from muster_integrations.recognition.offline import Picture

Manifests = Annotated[
    list[Path],
    typer.Option(
        "--filename",
        "-f",
        help="A file of manifests, JSON or YAML, or a directory of such; `-` is standard input. May be repeated.",
        show_default=False,
    ),
]
Explain = Annotated[
    str | None,
    typer.Option("--explain", metavar="POD", help="Say why a pod belongs where it does.", show_default=False),
]


def recognise(manifests: Manifests, explain: Explain = None, output: Output = Format.TABLE) -> None:
    """Say which workloads manifests make, as the service would: kind, pods, gangs, GPUs, what can be done.

    What makes no workload is listed with the reason. Exit code 2 when a file cannot be read, though all others are
    shown; 3 when the pod to explain is not among the manifests.
    """
    from muster_cli.manifests import read_documents

    failures: list[Failure] = []
    documents = list(read_documents(manifests, failures.append))
    if documents or not failures:
        try:
            _show(documents, explain, output)
        except Failure as failure:
            failures.append(failure)
    if failures:
        raise Failure(failures[0].code, "\n".join(failure.message for failure in failures))


def _show(documents: "list[Document]", explain: str | None, output: Format) -> None:
    from muster_integrations.recognition.offline import Picture

    picture = Picture(documents)
    if explain is not None:
        _explain(picture, explain, output)
    else:
        _list(picture, output)


def _list(picture: "Picture", output: Format) -> None:
    from muster_cli.recognised import recognised

    found = recognised(picture)
    if output is not Format.TABLE:
        print_data(found, output)
        return
    columns = ["WORKLOAD", "KIND", "NAMESPACE", "PHASE", "PODS", "GPUS", "ACTIONS", "PARENT", "GANGS"]
    rows = (_row(*both) for both in zip(found["workloads"], picture.workloads, strict=True))
    print_table(columns, rows, empty="No workload was recognised.")
    if found["ignored"]:
        print_marked("", "[bold]Ignored[/bold]", *map(_ignored, found["ignored"]))


def _row(workload: dict[str, Any], seen: "SeenWorkload") -> list[str]:
    parent = workload["parent"]
    present = sum(pod.phase not in {"Succeeded", "Failed"} for pod in seen.pods.values())
    return [
        plain(workload["name"]),
        plain(workload["kind"]),
        plain(workload["namespace"]),
        styled_phase(workload["phase"]),
        f"{present} of {workload['desired_pods']}",
        f"{workload['gpus']:g}",
        ", ".join(action for action, can in workload["supports"].items() if can and workload["controls"][action]),
        plain(f"{parent['kind']} {parent['name']}") if parent else "",
        plain(_gangs(workload["pod_groups"])),
    ]


def _gangs(groups: list[dict[str, Any]]) -> str:
    """Say which pods start together and how many are enough; groups of one each are nothing to speak of."""
    return ", ".join(f"{group['name']}: {group['min_members']}" for group in groups if group["min_members"] > 1)


def _ignored(one: dict[str, Any]) -> str:
    return f"{plain(' '.join(part for part in (one['kind'], one['name']) if part))}: {plain(one['reason'])}"


def _explain(picture: "Picture", pod: str, output: Format) -> None:
    from muster_cli.recognised import explained

    found = [explained(explanation) for explanation in picture.explain(pod)]
    if not found:
        raise Failure(Exit.NOT_FOUND, f"No pod {pod} is among the manifests.")
    if output is not Format.TABLE:
        print_data({"explanations": found}, output)
        return
    for one in found:
        _print_explanation(one)


def _print_explanation(one: dict[str, Any]) -> None:
    workload = one["workload"]
    print_pairs(
        [
            ("Pod", plain(one["pod"])),
            ("Workload", plain(f"{workload['kind']} {workload['name']} ({workload['identity']})") if workload else ""),
            ("Ignored", plain(one["ignored"])),
            ("Rule", plain(one["rule"])),
        ]
    )
    print_marked(*(f"  · {plain(sentence)}" for sentence in one["tried"]))
