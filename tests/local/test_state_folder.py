"""The folder of the local stack: made once, kept, locked, private, and never another version's."""

import stat
from pathlib import Path

import pytest
from muster_contracts.errors import Refused
from muster_contracts.subjects import Writer
from muster_local.folder import open_folder


def test_an_empty_folder_becomes_ours_and_stays_it(tmp_path: Path) -> None:
    first = open_folder(tmp_path / "new" / "state")
    assert first.logs.is_dir()
    assert open_folder(tmp_path / "new" / "state") == first


def test_a_folder_of_another_layout_is_refused(tmp_path: Path) -> None:
    open_folder(tmp_path / "state")
    (tmp_path / "state" / "version").write_text("0")
    with pytest.raises(Refused, match=r"another version of Muster \(layout 0"):
        open_folder(tmp_path / "state")


def test_a_folder_with_something_else_in_it_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("do not lose me")
    with pytest.raises(Refused, match="--state"):
        open_folder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_only_one_can_use_a_folder_at_a_time(tmp_path: Path) -> None:
    folder = open_folder(tmp_path / "state")
    with folder.lock(), pytest.raises(Refused, match="Another `muster up`"):
        folder.lock()
    with folder.lock() as again:
        assert not again.closed


def test_secrets_are_made_once_and_readable_by_their_owner_alone(tmp_path: Path) -> None:
    folder = open_folder(tmp_path / "state")
    made = folder.secrets()
    assert stat.S_IMODE((folder.path / "secrets.json").stat().st_mode) == 0o600
    assert folder.secrets() == made
    every = [made.administrator, made.postgres, *made.services.values()]
    assert set(made.services) == set(Writer)
    assert len(set(every)) == len(every)
