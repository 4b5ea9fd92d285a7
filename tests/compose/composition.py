"""`docker-compose.yml` as Compose reads it: YAML, variables filled in with their defaults."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
VARIABLE = re.compile(r"\$\{(\w+)(?::?-([^}]*))?\}")


def filled(value: Any, given: Mapping[str, str]) -> Any:
    """Return a value of the file with every variable replaced."""
    match value:
        case str():
            return VARIABLE.sub(lambda found: _value(found, given), value)
        case list():
            return [filled(each, given) for each in value]
        case dict():
            return {key: filled(each, given) for key, each in value.items()}
        case _:
            return value


def _value(found: re.Match[str], given: Mapping[str, str]) -> str:
    """Return the value of a variable: `${A-b}` takes the default only when A is not set, `${A:-b}` when it is empty."""
    empty_counts = f"{found[1]}-" in found[0]
    present = found[1] in given if empty_counts else bool(given.get(found[1]))
    return given[found[1]] if present else found[2] or ""


def raw() -> dict[str, Any]:
    """Return the file with its variables."""
    loaded = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def services(given: Mapping[str, str] | None = None) -> dict[str, dict[str, Any]]:
    """Return the services by name, with defaults or what is given in the place of variables."""
    found: dict[str, dict[str, Any]] = filled(raw()["services"], given or {})
    return found
