"""Dates as GNU date reads and writes them."""

from __future__ import annotations

import pytest

from tests.agents.shell.replay import differences, flags, out
from veracast.agents.shell.dates import from_ns, parse_date, strftime, to_ns
from veracast.agents.shell.faults import CommandFault
from veracast.agents.shell.tree import NOW_NS


def test_it_answers_as_gnu_did() -> None:
    assert differences("dates") == []


def test_the_clock_stands_on_a_friday() -> None:
    assert strftime("%A %F %T", NOW_NS) == "Friday 2024-03-01 12:00:00" and to_ns(from_ns(NOW_NS)) == NOW_NS
    assert out(
        "date; date -d '3 days ago' +%F; date -d 'last friday' +%F; date -d monday +%F; date -d yesterday +%s"
    ) == ("Fri Mar  1 12:00:00 UTC 2024\n2024-02-27\n2024-02-23\n2024-03-04\n1709208000\n")


@pytest.mark.parametrize(
    "text", ["x", "2024-02-30", "1 2 3 4", "99:99", "@", "12/40/2024", "a" * 1_000, "2024-01-01 2 parsecs"]
)
def test_what_is_no_date(text: str) -> None:
    with pytest.raises(CommandFault):
        parse_date(text, NOW_NS)


def test_sleep_moves_the_clock() -> None:
    assert (
        out("a=$(date +%s); sleep 90; b=$(date +%s); echo $((b-a)); touch f; sleep 1h; find . -name f -mmin +59")
        == "90\n./f\n"
    )
    assert (
        flags("TZ=Asia/Tokyo date")
        and flags("date -s now")
        and flags("date +%+4Y")
        and flags("date +%q")
        and flags("date +%#Z")
    )
