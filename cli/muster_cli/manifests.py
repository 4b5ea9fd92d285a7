"""Reads manifests as people keep them: files of JSON or YAML, many documents in one, whole directories, a pipe.

YAML is read as another way to write JSON, as Kubernetes reads it: a date stays text, and what JSON has no word for
(binary data, sets) is refused. What the documents mean is nobody's business here.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from muster_cli.failure import Exit, Failure, too_deep, what_is_no_yaml

if TYPE_CHECKING:
    from muster_integrations.recognition.manifests import Document

SUFFIXES: Final = (".json", ".yaml", ".yml")
"""What is read of a directory; a file that is named outright may be called as it likes."""

DEEPEST: Final = 500
"""Values within values; the schemas of custom resources have some sixty."""

MOST_VALUES: Final = 10_000_000
"""In one file of YAML, written out: a few lines of aliases can stand for more than any memory holds."""

PIPE: Final = Path("-")
_BEYOND_JSON: Final = tuple(f"tag:yaml.org,2002:{name}" for name in ("timestamp", "binary", "set", "omap", "pairs"))


def _stop(failure: Failure) -> None:
    raise failure


def read_documents(paths: Iterable[Path], refuse: Callable[[Failure], None] = _stop) -> "Iterator[Document]":
    """Yield everything that is written in files, in directories and below, or on standard input (`-`).

    A file of which a part cannot be read is refused as a whole; unless `refuse` raises, the others are read.
    """
    for path in paths:
        for file in _files(path):
            try:
                yield from _documents(file)
            except Failure as failure:
                refuse(failure)


def _files(path: Path) -> list[Path]:
    """Return a file, or those in a directory; a directory without any stands for itself, and cannot be read."""
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file()) or [path]


def _documents(file: Path) -> "list[Document]":
    from muster_integrations.recognition.manifests import Document

    source = "standard input" if file == PIPE else file.name
    return [Document(source, value) for value in _parsed(_text(file), file)]


def _text(file: Path) -> str:
    try:
        raw = sys.stdin.buffer.read() if file == PIPE else file.read_bytes()
        return raw.decode("utf-8-sig")
    except IsADirectoryError as error:
        message = f"{file}: No file in this directory ends in {', '.join(SUFFIXES)}."
        raise Failure(Exit.INVALID, message) from error
    except OSError as error:
        raise Failure(Exit.INVALID, f"{file}: The file cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise Failure(Exit.INVALID, f"{file}: This is not text in UTF-8.") from error


def _parsed(text: str, file: Path) -> list[Any]:
    """Return the documents of a file that are not empty: as JSON if they are, for that is much faster, else YAML."""
    try:
        return list(_json_documents(text))
    except RecursionError as error:
        raise too_deep(file) from error
    except ValueError:
        pass
    return [value for value in _yaml_documents(text, file) if value is not None]


def _json_documents(text: str) -> Iterator[Any]:
    decoder, position = json.JSONDecoder(), _skip_space(text, 0)
    while position < len(text):
        value, position = decoder.raw_decode(text, position)
        position = _skip_space(text, position)
        yield value


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _yaml_documents(text: str, file: Path) -> list[Any]:
    import yaml

    loader = _loader()
    try:
        if not _can_be_written_out(yaml.parse(text, loader)):
            raise too_deep(file)
        return list(yaml.load_all(text, loader))
    except (yaml.YAMLError, ValueError) as error:
        raise _not_yaml(file, what_is_no_yaml(error), text) from error


def _not_yaml(file: Path, said: str, text: str) -> Failure:
    """Return what is wrong with a file, and what it may be instead: `{{` begins what a template leaves open."""
    template = " If it is a template, render it first, as `helm template` does." if "{{" in text else ""
    return Failure(Exit.INVALID, f"{file}: This is neither JSON nor YAML: {said}.{template}")


def _can_be_written_out(events: Iterable[Any]) -> bool:
    """Say whether YAML stands for values of bounded depth and number, none of which is within itself.

    LibYAML builds values by recursion and takes the process down with it, so this is found out before.
    """
    import yaml

    named: dict[str, tuple[int, int]] = {}  # how many values an anchor stands for, and how deep they are
    open_collections: list[tuple[str | None, list[tuple[int, int]]]] = [(None, [])]
    for event in events:
        match event:
            case yaml.DocumentStartEvent():
                named.clear()
            case yaml.CollectionStartEvent():
                open_collections.append((event.anchor, []))
            case yaml.CollectionEndEvent():
                anchor, parts = open_collections.pop()
                whole = 1 + sum(size for size, _ in parts), 1 + max((depth for _, depth in parts), default=0)
                if anchor is not None:
                    named[anchor] = whole
                open_collections[-1][1].append(whole)
            case yaml.ScalarEvent():
                if event.anchor is not None:
                    named[event.anchor] = 1, 0
                open_collections[-1][1].append((1, 0))
            case yaml.AliasEvent():
                if event.anchor in {anchor for anchor, _ in open_collections}:
                    return False
                open_collections[-1][1].append(named.get(event.anchor or "", (1, 0)))
        if len(open_collections) > DEEPEST:
            return False
    return sum(size for size, _ in open_collections[0][1]) <= MOST_VALUES and all(
        depth <= DEEPEST for _, depth in open_collections[0][1]
    )


def _loader() -> type[Any]:
    import yaml

    safe: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    resolvers = {
        first: [(tag, pattern) for tag, pattern in patterns if tag not in _BEYOND_JSON]
        for first, patterns in safe.yaml_implicit_resolvers.items()
    }
    constructors = {tag: make for tag, make in safe.yaml_constructors.items() if tag not in _BEYOND_JSON}
    return type("_Loader", (safe,), {"yaml_implicit_resolvers": resolvers, "yaml_constructors": constructors})
