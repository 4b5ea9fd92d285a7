"""The import contracts in `pyproject.toml` hold, and the kind of contract that is ours can be broken."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]


def lint(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = "import sys; from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", program, "--no-logo", "--no-cache", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_every_import_contract_is_kept() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def small_world(tmp_path: Path) -> Path:
    """A package with a core that imports what is allowed, and the contract that says what is."""
    (tmp_path / "lamp" / "core").mkdir(parents=True)
    (tmp_path / "lamp" / "__init__.py").write_text("")
    (tmp_path / "lamp" / "core" / "__init__.py").write_text("import json\nfrom pydantic import BaseModel\n")
    (tmp_path / "lamp" / "app.py").write_text("import httpx\nfrom lamp import core\n")
    contract = 'name = "core"\ntype = "allowed"\nmodules = ["lamp.core"]\nallowed = ["pydantic"]\n'
    (tmp_path / "pyproject.toml").write_text(
        '[tool.importlinter]\nroot_packages = ["lamp"]\ninclude_external_packages = true\n'
        'contract_types = ["allowed: tests.workspace.import_contracts.Allowed"]\n'
        f"[[tool.importlinter.contracts]]\n{contract}"
    )
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    return tmp_path


def test_a_core_may_import_what_is_listed(small_world: Path) -> None:
    done = lint(small_world)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("line", ["import httpx", "from lamp import app", "import pydantic_core"])
def test_a_core_may_import_nothing_else(small_world: Path, line: str) -> None:
    (small_world / "lamp" / "core" / "plan.py").write_text(f"{line}\n")
    done = lint(small_world)
    assert done.returncode == 1
    assert "lamp.core.plan imports" in done.stdout


def test_every_contract_says_in_a_sentence_what_it_is_for() -> None:
    assert len({contract["id"] for contract in CONTRACTS}) == len(CONTRACTS)
    assert all(len(contract["name"].split()) > 3 for contract in CONTRACTS)
