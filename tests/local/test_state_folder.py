"""The folder of the local stack: made once, kept, locked, private, and never another version's."""

import io
import os
import stat
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

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


def test_a_file_is_no_state_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("do not lose me")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(Refused, match=r"The data cannot be kept in .* \(Not a directory\); name another folder"):
            open_folder(path)
    assert (tmp_path / "file").read_text() == "do not lose me"


class Killed(BaseException):
    """The end of a process, wherever it happens to be."""


def killed_before_change(number: int, monkeypatch: pytest.MonkeyPatch, start: Callable[[], object]) -> bool:
    """End `start` before its change of a file with this number; False when it comes to its own end before that."""
    left = iter(range(number - 1))

    def killing(change: Callable[..., Any]) -> Callable[..., Any]:
        def change_or_end(*given: Any, **named: Any) -> Any:
            if next(left, None) is None:
                raise Killed
            return change(*given, **named)

        return change_or_end

    with monkeypatch.context() as during:
        for module, name in ((os, "mkdir"), (os, "open"), (io, "open"), (os, "fsync"), (os, "replace")):
            during.setattr(module, name, killing(getattr(module, name)))
        try:
            start()
        except Killed:
            return True
    return False


def test_a_folder_whose_making_was_killed_is_no_other_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for change in count(1):
        state = tmp_path / str(change)
        if not killed_before_change(change, monkeypatch, partial(open_folder, state)):
            break
        assert open_folder(state).logs.is_dir()
    assert change > 3


def test_passwords_are_whole_or_not_there_after_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for change in count(1):
        folder = open_folder(tmp_path / str(change))
        if not killed_before_change(change, monkeypatch, folder.secrets):
            break
        assert folder.secrets() == folder.secrets()
        assert stat.S_IMODE((folder.path / "secrets.json").stat().st_mode) == 0o600
    assert change > 3


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "5", "\xff"])
def test_broken_passwords_are_refused_with_the_way_out_and_kept(tmp_path: Path, text: str) -> None:
    folder = open_folder(tmp_path / "state")
    (folder.path / "secrets.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(Refused, match=r"secrets\.json does not hold the passwords .*; restore it, move .* away"):
        folder.secrets()
    assert (folder.path / "secrets.json").read_bytes() == text.encode("latin-1")


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
