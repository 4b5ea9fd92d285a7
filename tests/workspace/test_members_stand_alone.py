"""Each member of the workspace installs with what it declares and nothing else, and every module of it imports.

A fresh environment per member, made by uv from the lock; the wheels come from uv's cache when they have been installed
once, so this needs a network only on a machine that has never built the workspace.
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
GLOBS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["uv"]["workspace"]["members"]
MEMBERS = sorted(path.parent for glob in GLOBS for path in ROOT.glob(f"{glob}/pyproject.toml"))

IMPORT_ALL = """
import importlib, json, pathlib, sys
package = sys.argv[1]
folder = pathlib.Path(importlib.import_module(package).__file__).parent
for path in sorted(folder.rglob("*.py")):
    parts = path.relative_to(folder.parent).with_suffix("").parts
    if parts[-1] != "__main__":
        importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
print(json.dumps([str(folder), sorted(files)]))
"""


def pyproject(member: Path) -> dict[str, Any]:
    return tomllib.loads((member / "pyproject.toml").read_text(encoding="utf-8"))


def package_of(member: Path) -> str:
    return str(pyproject(member)["tool"]["uv"]["build-backend"]["module-name"])


def uv() -> str:
    found = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    assert found, "uv is not here; `make` puts it into .venv"
    return found


def run(*command: str, cwd: Path, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    done = subprocess.run(command, cwd=cwd, env={**kept, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command[:4])} …\n{done.stderr[-3000:]}"
    return done.stdout


def install(member: Path, environment: Path) -> Path:
    """Install one member, as a wheel, with its dependencies into a new environment; return its interpreter."""
    fresh = [f"--reinstall-package={pyproject(each)['project']['name']}" for each in MEMBERS]  # not as built before
    only = ["--package", pyproject(member)["project"]["name"], "--no-dev", "--no-editable", "--frozen"]
    run(
        *(uv(), "sync", "--quiet", "--python", sys.executable, *only, *fresh),
        cwd=ROOT,
        UV_PROJECT_ENVIRONMENT=str(environment),
        UV_PYTHON_DOWNLOADS="never",
    )
    return environment / "bin" / "python"


def files_of(package: Path) -> list[str]:
    files = (path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return sorted(path.relative_to(package).as_posix() for path in files)


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_a_member_installs_and_imports_alone(member: Path, tmp_path: Path) -> None:
    python = install(member, tmp_path / "environment")
    imported = run(str(python), "-I", "-B", "-c", IMPORT_ALL, package_of(member), cwd=tmp_path)
    folder, installed = json.loads(imported)
    assert Path(folder).is_relative_to(tmp_path), "it was imported from somewhere else"
    assert [name for name in installed if "__pycache__" not in name] == files_of(member / package_of(member))


def test_every_package_of_the_tree_is_a_member() -> None:
    packages = {path.parent for depth in ("*", "*/*") for path in ROOT.glob(f"{depth}/pyproject.toml")}
    assert packages == set(MEMBERS)
    assert len(MEMBERS) == 11


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_a_member_says_that_it_is_typed(member: Path) -> None:
    assert (member / package_of(member) / "py.typed").exists(), "an empty file py.typed lets type checkers believe us"


def test_the_contracts_bring_their_schemas() -> None:
    assert "schemas/asyncapi.json" in files_of(ROOT / "libs" / "contracts" / "muster_contracts")
