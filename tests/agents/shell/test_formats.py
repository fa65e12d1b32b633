"""printf's formats by hand."""

from __future__ import annotations

import pytest

from veracast.agents.shell.faults import LimitReached
from veracast.agents.shell.formats import SPEC, escaped, number, padded, sized


@pytest.mark.parametrize(("spec", "value", "shown"), [("%d", -5, "-5"), ("%05d", -5, "-0005"), ("%-5d|", 5, "5    |"), ("%+d", 5, "+5"), ("%x", 255, "ff"), ("%#o", 8, "010"), ("%.3d", 5, "005"), ("%8.2f", 3.14159, "    3.14"), ("%e", 12345.678, "1.234568e+04"), ("%g", 0.0001, "0.0001"), ("%G", 1e10, "1E+10"), ("%x", -1, "f" * 16), ("%.0f", 2.5, "2")])  # fmt: skip
def test_numbers(spec: str, value: float, shown: str) -> None:
    match = SPEC.search(spec)
    assert match is not None
    assert number(value, match[4], *sized(match, [])) + spec[match.end() :] == shown


def test_escapes() -> None:
    assert escaped(r"a\n\101\x41\q\\") == (b"a\nAA\\q\\", False) and escaped(r"a\cb") == (b"a", True)
    assert escaped(r"\0101\101", echo=True) == (b"A\\101", False)


def test_widths_have_a_limit() -> None:
    for width in (10**9, -(10**9)):
        with pytest.raises(LimitReached):
            padded("x", "", abs(width))
    with pytest.raises(LimitReached):
        number(1.0, "f", "", 0, 10**9)
