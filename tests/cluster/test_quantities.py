"""Quantities against examples of Kubernetes' own rules, and against exact fractions."""

from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from muster_cluster.quantities import to_amount, to_thousandths, to_units

SUFFIXES = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "": Fraction(1),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
    "T": Fraction(10**12),
    "P": Fraction(10**15),
    "E": Fraction(10**18),
    "Ki": Fraction(2**10),
    "Mi": Fraction(2**20),
    "Gi": Fraction(2**30),
    "Ti": Fraction(2**40),
    "Pi": Fraction(2**50),
    "Ei": Fraction(2**60),
    "e3": Fraction(1000),
    "E-2": Fraction(1, 100),
    "e+1": Fraction(10),
}
LARGEST = 2**63 - 1


def away_from_zero(number: Fraction) -> int:
    return ceil(number) if number > 0 else floor(number)


def read_or_complaint(text: str) -> int | str:
    try:
        return to_units(text)
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize(
    ("text", "thousandths", "units"),
    [
        ("0", 0, 0),
        ("1", 1000, 1),
        ("500m", 500, 1),
        ("1.5", 1500, 2),
        ("0.1", 100, 1),
        (".5", 500, 1),
        ("5.", 5000, 5),
        ("+2", 2000, 2),
        ("-1.5", -1500, -2),
        ("1n", 1, 1),
        ("100u", 1, 1),
        ("0.0005", 1, 1),
        ("2k", 2_000_000, 2000),
        ("1Ki", 1_024_000, 1024),
        ("1.5Gi", 1_610_612_736_000, 1_610_612_736),
        ("1E", 10**21, 10**18),
        ("1E3", 1_000_000, 1000),
        ("1e3", 1_000_000, 1000),
        ("1e-3", 1, 1),
        ("100E", LARGEST * 1000, LARGEST),
        ("8Ei", LARGEST * 1000, LARGEST),
    ],
)
def test_a_quantity_is_read_as_kubernetes_reads_it(text: str, thousandths: int, units: int) -> None:
    assert (to_thousandths(text), to_units(text)) == (thousandths, units)


@pytest.mark.parametrize(
    "text",
    ["", " 1", "1 ", ".", "-", "1K", "1ki", "1kk", "1e", "1e+", "1.2.3", "--1", "1mi", "Gi", "١", "1e999999999",
     "1" * 101, "nan", "inf", "0x10", "1_000"],
)  # fmt: skip
def test_what_is_no_quantity_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity") as caught:
        to_units(text)
    assert repr(text) in str(caught.value)


@given(
    sign=st.sampled_from(["", "+", "-"]),
    whole=st.integers(min_value=0, max_value=10**12),
    part=st.text("0123456789", max_size=12),
    suffix=st.sampled_from(sorted(SUFFIXES)),
)
def test_a_quantity_is_exact_and_rounded_away_from_zero(sign: str, whole: int, part: str, suffix: str) -> None:
    number = Fraction(f"{whole}.{part or 0}") * SUFFIXES[suffix] * (-1 if sign == "-" else 1)
    number = min(number, Fraction(LARGEST))
    text = f"{sign}{whole}{'.' + part if part else ''}{suffix}"
    assert to_units(text) == away_from_zero(number)
    assert to_thousandths(text) == away_from_zero(number * 1000)


@given(st.text(alphabet="0123456789.+-eEimunkKMGTP", max_size=12))
def test_any_text_is_a_quantity_or_a_value_error(text: str) -> None:
    read = read_or_complaint(text)
    assert isinstance(read, int) or repr(text) in read


def test_a_bare_number_in_a_custom_resource_is_a_quantity() -> None:
    assert to_units(8) == 8
    assert to_thousandths(0.5) == 500
    with pytest.raises(ValueError, match="True"):
        to_units(True)


def test_cpus_are_counted_in_thousandths_and_all_else_in_units() -> None:
    assert to_amount("cpu", "2") == 2000
    assert to_amount("memory", "2Ki") == 2048
    assert to_amount("nvidia.com/gpu", "8") == 8
