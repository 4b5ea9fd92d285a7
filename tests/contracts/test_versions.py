"""The name of code changes with every module that it depends on, and with no other."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from muster_contracts.versions import code_version

SOURCES = {
    "__init__": "",
    "rule": "from versioned import arithmetic\nfrom versioned.table import NUMBERS\n",
    "arithmetic": "import versioned.deep\nimport json\n",
    "table": "NUMBERS = (1, 2)\n",
    "deep": "FACTOR = 2\n",
    "stranger": "from versioned import rule\n",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "versioned"
    folder.mkdir()
    for name, source in SOURCES.items():
        (folder / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    code_version.cache_clear()


def name_now() -> str:
    code_version.cache_clear()
    return code_version("versioned.rule", "versioned")


@pytest.mark.parametrize("module", ["__init__", "rule", "arithmetic", "table", "deep"])
def test_a_change_of_what_is_imported_anywhere_below_changes_the_name(package: Path, module: str) -> None:
    before = name_now()
    source = package / f"{module}.py"
    source.write_text(source.read_text() + "CHANGED = True\n")
    assert name_now() != before


def test_a_change_of_what_is_not_imported_changes_nothing(package: Path) -> None:
    before = name_now()
    (package / "stranger.py").write_text("CHANGED = True\n")
    assert name_now() == before


def test_code_that_moves_to_another_module_has_another_name(package: Path) -> None:
    before = name_now()
    (package / "deep.py").write_text(SOURCES["table"])
    (package / "table.py").write_text(SOURCES["deep"])
    assert name_now() != before
