"""Names the code behind something that was written down: a plan, or a checkpoint of a fold.

What a function gives depends on its own module and on all that this imports. So the name is a digest of their sources:
whoever changes a rule need not remember to raise a number, and what other code wrote is never taken for one's own. A
comment changes the name as well; the worst that follows is that something is judged more mildly, or worked out anew.
"""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

NAME_CHARACTERS = 12


@cache
def code_version(module: str, package: str) -> str:
    """Return the name of the code of a module and of all it imports whose names begin with that of `package`."""
    digest = hashlib.sha256()
    for name, source in sorted(sources_of(module, package).items()):
        digest.update(f"{name}\n{len(source)}\n".encode() + source)
    return digest.hexdigest()[:NAME_CHARACTERS]


def sources_of(module: str, package: str) -> dict[str, bytes]:
    """Return the source of every module that is reached, by name."""
    found: dict[str, bytes] = {}
    open_ones = [module]
    while open_ones:
        name = open_ones.pop()
        if name not in found and (source := _source(name)) is not None:
            found[name] = source
            open_ones += (imported for imported in _imports(source) if imported.startswith(package))
    return found


def _source(module: str) -> bytes | None:
    """Return the source of a module, without importing it; None for what is imported from one and is none itself."""
    package, *path = module.split(".")
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations if spec else None) or ():
        place = Path(folder, *path)
        for file in (place / "__init__.py", place.with_suffix(".py")):
            if file.is_file():
                return file.read_bytes()
    return None


def _imports(source: bytes) -> Iterator[str]:
    """Yield the names of modules that a source may import: `from a import b` may mean `a.b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
