"""Amounts, times and settings as people type them; moments, ages and tables as people read them."""

import getpass
import io
import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from muster_cli import output
from muster_cli.failure import Exit, Failure
from muster_cli.moments import read_moment
from muster_cli.output import Format, age, gpus, memory, moment, plain, print_data, print_pairs, print_table
from muster_cli.quantities import cpu_cores, gpu_millionths, memory_bytes
from muster_cli.settings import DEFAULT_URL, CommandLineSettings, state_folder

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "amount"),
    [("512Mi", 512 * 2**20), ("4Gi", 4 * 2**30), ("1.5Gi", 3 * 2**29), ("2G", 2 * 10**9), ("1k", 1000), ("7", 7)],
)
def test_memory_is_read_with_its_unit(text: str, amount: int) -> None:
    assert memory_bytes(text) == amount


@pytest.mark.parametrize(("text", "cores"), [("2", 2.0), ("0.5", 0.5), ("500m", 0.5), ("1500m", 1.5)])
def test_processors_are_read_whole_or_in_thousandths(text: str, cores: float) -> None:
    assert cpu_cores(text) == cores


@pytest.mark.parametrize("text", ["", "5Q", "-1Gi", "Gi", "4 Gi", "1e3", "٣Gi2", "２Gi", "4Gi\n", "nan", "0x10"])
def test_what_is_no_amount_of_memory_is_said_with_how_to_write_it(text: str) -> None:
    with pytest.raises(Failure, match="is not an amount of memory") as raised:
        memory_bytes(text)
    assert raised.value.code is Exit.INVALID
    assert "512Mi" in raised.value.next_step


@pytest.mark.parametrize("text", ["", "5G", "-1", "one", "1,5", "inf", "２", "٣m"])
def test_what_is_no_number_of_processors_is_said_with_how_to_write_it(text: str) -> None:
    with pytest.raises(Failure, match="is not a number of processors") as raised:
        cpu_cores(text)
    assert "500m" in raised.value.next_step


@pytest.mark.parametrize(("text", "millionths"), [("2", 2_000_000), ("0.5", 500_000), (".25", 250_000), ("0", 0)])
def test_gpus_are_read_to_six_decimals(text: str, millionths: int) -> None:
    assert gpu_millionths(text) == millionths


@pytest.mark.parametrize("text", ["", "２", "0.５", "1e1", "1_0", " 2", "-1", "nan", "2G", "0.0000001", "9" * 40])
def test_what_is_no_number_of_gpus_is_said_with_how_to_write_it(text: str) -> None:
    with pytest.raises(Failure, match="is not a number of GPUs") as raised:
        gpu_millionths(text)
    assert "0.5" in raised.value.next_step


@pytest.mark.parametrize(
    ("then", "shown"),
    [
        (None, ""),
        ("2026-03-01T12:00:05Z", "0s"),
        ("2026-03-01T11:59:25.123456Z", "34s"),
        ("2026-03-01T11:48:00Z", "12m"),
        ("2026-03-01T09:00:00+00:00", "3h"),
        ("2026-02-20T12:00:00Z", "9d"),
    ],
)
def test_an_age_has_one_unit(then: str | None, shown: str) -> None:
    assert age(then, now=NOW) == shown


def test_a_moment_is_local_and_has_its_date_unless_it_is_of_today() -> None:
    today = NOW.replace(minute=5, second=8, microsecond=7)
    assert moment(today.isoformat(), now=NOW) == f"{today.astimezone():%H:%M:%S}"
    long_ago = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert moment(long_ago.isoformat(), now=NOW) == f"{long_ago.astimezone():%Y-%m-%d %H:%M:%S}"
    assert moment(None) == ""


@pytest.fixture(params=["UTC", "Asia/Kolkata", "America/Los_Angeles"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize("seconds_ago", [0, 1, 3600, 7 * 3600, 86_399, 3 * 86_400, 200 * 86_400])
def test_a_moment_that_was_printed_can_be_typed_and_means_all_of_its_second(seconds_ago: int) -> None:
    then = NOW - timedelta(seconds=seconds_ago)
    typed = read_moment(moment(then.isoformat(), now=NOW), now=NOW)
    assert typed == then + timedelta(microseconds=999_999)


@pytest.mark.usefixtures("zone")
def test_a_time_of_day_that_is_still_to_come_is_of_yesterday() -> None:
    soon, now = NOW + timedelta(seconds=1), NOW.replace(microsecond=5)
    typed = read_moment(f"{soon.astimezone():%H:%M:%S}", now=now)
    assert typed == soon - timedelta(days=1) + timedelta(microseconds=999_999)
    assert read_moment("12:00:01Z", now=now) == typed


def test_a_time_with_a_fraction_or_a_zone_is_meant_as_it_stands() -> None:
    assert read_moment("2026-02-28T23:00:00.25+02:00", now=NOW) == datetime(2026, 2, 28, 21, 0, 0, 250_000, tzinfo=UTC)
    assert read_moment("4711", now=NOW) == 4711


@pytest.mark.parametrize("text", ["2026-03-01T12:00:01Z", "2030-01-01", "9999-12-31T23:59:59Z"])
def test_a_time_to_come_is_refused(text: str) -> None:
    with pytest.raises(Failure, match="lies ahead") as failed:
        read_moment(text, now=NOW)
    assert failed.value.code is Exit.INVALID


@pytest.mark.parametrize("text", ["", "yesterday", "-1", "25:00:00", "2026-02-30", "1.5", "４711"])
def test_what_is_neither_a_position_nor_a_time_is_refused(text: str) -> None:
    with pytest.raises(Failure, match="neither a position nor a time"):
        read_moment(text, now=NOW)


def test_amounts_are_shown_without_needless_zeros() -> None:
    assert [gpus(amount) for amount in (0, 500_000, 1_000_000, 8_000_000)] == ["0", "0.5", "1", "8"]
    sizes = [0, 1, 1023, 1024, 100 * 2**20, 3 * 2**29, 2**70]
    assert [memory(size) for size in sizes] == [
        "0 bytes",
        "1 bytes",
        "1023 bytes",
        "1 KiB",
        "100 MiB",
        "1.5 GiB",
        "1.04858e+06 PiB",
    ]


def test_settings_have_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MUSTER_URL", "MUSTER_PROJECT", "MUSTER_USER", "MUSTER_STATE"):
        monkeypatch.setenv(name, "")
    assert CommandLineSettings.read() == CommandLineSettings(DEFAULT_URL, "", getpass.getuser())
    assert state_folder() == Path(".muster")


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"URL": "https://muster.example/", "PROJECT": "demo", "USER": "ada", "STATE": "/data"}.items():
        monkeypatch.setenv(f"MUSTER_{name}", value)
    assert CommandLineSettings.read() == CommandLineSettings("https://muster.example", "demo", "ada")
    assert state_folder() == Path("/data")


def test_a_user_without_a_name_is_called_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise OSError("No username set in the environment")

    monkeypatch.delenv("MUSTER_USER", raising=False)
    monkeypatch.setattr(getpass, "getuser", nameless)
    assert CommandLineSettings.read().user.startswith("uid-")


@pytest.mark.parametrize("url", ["nonsense", "ftp://somewhere", "127.0.0.1:8080"])
def test_a_url_that_is_none_is_said_with_how_to_write_it(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("MUSTER_URL", url)
    with pytest.raises(Failure, match="MUSTER_URL is") as raised:
        CommandLineSettings.read()
    assert DEFAULT_URL in raised.value.next_step


DATA: dict[str, Any] = {"name": "größe", "at": "2026-03-01T10:00:00Z", "none": None, "list": [1, {"a": True}]}


def test_json_and_yaml_hold_the_same_data(capsys: pytest.CaptureFixture[str]) -> None:
    print_data(DATA, Format.JSON)
    assert json.loads(capsys.readouterr().out) == DATA
    print_data(DATA, Format.YAML)
    assert yaml.safe_load(capsys.readouterr().out) == DATA


STYLE = re.compile(r"\x1b\[[0-9;]*m")


class Terminal(io.TextIOWrapper):
    """Standard output of somebody who looks."""

    def isatty(self) -> bool:
        return True


def lines_printed(monkeypatch: pytest.MonkeyPatch, *, columns: int | None, message: str) -> list[str]:
    """Return a table as printed: in a terminal of so many columns, or in a pipe."""
    kept = io.BytesIO()
    stream = io.TextIOWrapper(kept) if columns is None else Terminal(kept)
    monkeypatch.setenv("COLUMNS", str(columns or 20))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdout", stream)
    print_table(["NAME", "MESSAGE"], [["hello", plain(message)], ["x", ""]], empty="None.")
    return [STYLE.sub("", line).rstrip() for line in kept.getvalue().decode().splitlines()]


MESSAGE = "it needs 100 GPUs on one node; the best has 8 GPUs free"


def test_in_a_pipe_a_row_is_one_line_without_blanks_at_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["NAME", "MESSAGE"], [["hello", MESSAGE * 5], ["x", ""]], empty="None.")
    assert capsys.readouterr().out == f"NAME   MESSAGE\nhello  {MESSAGE * 5}\nx\n"


def test_in_a_wide_terminal_a_row_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lines_printed(monkeypatch, columns=100, message=MESSAGE) == ["NAME   MESSAGE", f"hello  {MESSAGE}", "x"]


def test_in_a_narrow_terminal_the_last_column_is_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = lines_printed(monkeypatch, columns=40, message=MESSAGE)
    assert lines == ["NAME   MESSAGE", "hello  it needs 100 GPUs on one node;", "       the best has 8 GPUs free", "x"]


def test_in_a_very_narrow_terminal_the_last_column_goes_below_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = lines_printed(monkeypatch, columns=34, message=MESSAGE)
    assert lines[:4] == ["NAME", "    MESSAGE", "hello", "    it needs 100 GPUs on one node;"]
    assert lines[-1] == "x"


def test_a_table_without_rows_is_a_sentence_that_is_no_answer(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["NAME"], [], empty="There are none.")
    assert capsys.readouterr() == ("", "There are none.\n")


def test_foreign_text_neither_colours_nor_moves_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    print_pairs([("Message", plain("[red]\x1b[2J\nno[/red]")), ("Empty", "")])
    assert capsys.readouterr().out == "Message: [red] [2J no[/red]\n"


def test_progress_is_silent_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with output.progress("Waiting …") as show:
        show("Still waiting …")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("millionths", "shown"), [(0, "0"), (2_000_000, "2"), (500_000, "0.5"), (751_107, "0.751")])
def test_gpus_are_written_in_thousandths_at_most(millionths: int, shown: str) -> None:
    assert gpus(millionths) == shown
