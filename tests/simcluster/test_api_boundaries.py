"""The simulated cluster is a product of its own: it knows nothing of what runs on it."""

import ast
import importlib.util
from pathlib import Path

import pytest

PACKAGE = Path(importlib.util.find_spec("simcluster").submodule_search_locations[0])
SOURCES = sorted(PACKAGE.rglob("*.py"))
STRANGERS = ("muster_", "muster.")


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_module_imports_or_names_anything_of_the_control_plane(path):
    text = path.read_text(encoding="utf-8")
    assert not [name for name in imported(ast.parse(text)) if name.startswith(STRANGERS)]
    assert "muster" not in text.lower()


def test_there_are_modules_to_look_at():
    assert {"api.py", "kubelet.py", "store.py"} <= {path.name for path in SOURCES}
