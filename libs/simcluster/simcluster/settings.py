"""What a simulated cluster is started with, read once in `__main__`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simcluster.operators import SYSTEMS, USUAL, conflict_among


@dataclass(frozen=True)
class Settings:
    """One cluster. Without a data folder it forgets everything when it ends."""

    host: str = "127.0.0.1"
    port: int = 0  # 0: a free one, told in the line printed when ready
    data: Path | None = None
    nodes: Path | None = None  # None: eight nodes of eight GPUs in two pools
    kubeconfig: Path | None = None
    seed: int | None = None  # of uids, generated names and whatever else is left to chance; None: another each time
    history_changes: int = 10_000  # kept per kind; a watch from further back is told 410
    operators: tuple[str, ...] = USUAL  # systems whose custom kinds are served and brought to life
    rbac: bool = False  # whether Roles and their bindings say who may do what; otherwise everybody may do everything


def read_settings(arguments: Sequence[str] | None = None) -> Settings:
    """Read the command line; exits with a usage message when it cannot be read."""
    parser = _parser()
    given = parser.parse_args(arguments)
    host, separator, port = given.listen.rpartition(":")
    if not separator or not port.isdigit():
        parser.error(f"--listen takes HOST:PORT, not {given.listen!r}")
    if given.history < 1:
        parser.error("--history takes at least 1")
    return Settings(
        host=host or "127.0.0.1",
        port=int(port),
        data=given.data,
        nodes=given.nodes,
        kubeconfig=given.kubeconfig,
        seed=given.seed,
        history_changes=given.history,
        operators=_systems(given.operators, parser),
        rbac=given.authorization_mode == "RBAC",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="simcluster", description="A small Kubernetes for one machine.")
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT", help="port 0 takes a free one")
    parser.add_argument("--data", type=Path, metavar="DIR", help="keep state here across restarts")
    parser.add_argument("--nodes", type=Path, metavar="FILE", help="YAML list of groups of nodes")
    parser.add_argument("--kubeconfig", type=Path, metavar="FILE", help="write a kubeconfig here")
    parser.add_argument("--seed", type=int, help="make uids and generated names repeatable")
    parser.add_argument("--history", type=int, default=10_000, metavar="CHANGES", help="changes kept per kind")
    parser.add_argument(
        "--operators", default="all", metavar="SYSTEMS", help=f"all, none, or some of {','.join(SYSTEMS)}"
    )
    parser.add_argument(
        "--authorization-mode",
        default="AlwaysAllow",
        choices=("AlwaysAllow", "RBAC"),
        help="whether Roles and their bindings say who may do what",
    )
    return parser


def _systems(text: str, parser: argparse.ArgumentParser) -> tuple[str, ...]:
    if text in ("all", "none"):
        return USUAL if text == "all" else ()
    systems = tuple(name.strip() for name in text.split(",") if name.strip())
    if unknown := [name for name in systems if name not in SYSTEMS]:
        parser.error(f"--operators takes some of {','.join(SYSTEMS)}, not {','.join(unknown)}")
    if kind := conflict_among(systems):
        parser.error(f"--operators takes one system only that serves {kind}")
    return systems
