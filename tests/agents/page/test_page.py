"""Elements, what they take, and how they are shown: by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veracast.agents.page.page import Element, Form, candidates, snippet, use

NAME = Element(7, "input", "From", "placeholder")
CLASS = Element(4, "select", "Class", "aria-label", ("Economy", "First"))
BARE = Element(5, "select", "Class", "", ("Economy", "First"))
ALERTS = Element(3, "checkbox", "Alerts", "aria-label")
SEND = Element(9, "button", "Send")


@pytest.mark.parametrize(
    ("element", "form", "shown"),
    [
        (NAME, Form(), '<input id=7 placeholder="From">'),
        (NAME, Form((("From", "Oslo"),)), '<input id=7 placeholder="From" value="Oslo">'),
        (CLASS, Form(), '<select id=4 aria-label="Class"> Economy, First </select>'),
        (BARE, Form((("Class", "First"),)), '<select id=5 value="First"> Class: Economy, First </select>'),
        (ALERTS, Form((("Alerts", "on"),)), '<input id=3 type=checkbox aria-label="Alerts" checked>'),
        (SEND, Form((("From", "Oslo"),)), "<button id=9> Send </button>"),
        (Element(1, "a", "Offers <b> & \u202e"), Form(), "<a id=1> Offers &lt;b&gt; &amp; \u202e </a>"),
        (NAME, Form((("From", '"><b>\x00' + "x" * 50),)), f'<input id=7 placeholder="From" value="&quot;&gt;&lt;b&gt; {"x" * 34}...">'),
    ],
)  # fmt: skip
def test_snippets(element: Element, form: Form, shown: str) -> None:
    assert snippet(element, form) == shown


def test_candidates_have_letters() -> None:
    assert candidates([SEND, NAME], Form()) == 'A. <button id=9> Send </button>\nB. <input id=7 placeholder="From">'


@pytest.mark.parametrize(
    ("element", "operation", "value", "values"),
    [
        (NAME, "TYPE", "Oslo", {"From": "Oslo"}),
        (NAME, "TYPE", "", {}),
        (NAME, "CLICK", "", None),
        (NAME, "SELECT", "Oslo", None),
        (CLASS, "SELECT", "First", {"Class": "First"}),
        (CLASS, "SELECT", "first", None),
        (CLASS, "SELECT", "Third", None),
        (CLASS, "TYPE", "First", None),
        (ALERTS, "CLICK", "", {"Alerts": "on"}),
        (ALERTS, "TYPE", "on", None),
        (SEND, "CLICK", "", None),
    ],
)
def test_what_an_element_takes(element: Element, operation: str, value: str, values: dict[str, str] | None) -> None:
    form = use(element, operation, value, Form())
    assert (None if form is None else dict(form.values)) == values


def test_a_checkbox_is_turned_off_again() -> None:
    once = use(ALERTS, "CLICK", "", Form())
    assert once is not None and use(ALERTS, "CLICK", "", once) == Form()


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["", "x", "y"])), max_size=8))
def test_a_form_is_the_last_of_each(changes: list[tuple[str, str]]) -> None:
    form, expected = Form(), {}
    for label, value in changes:
        form = form.filled(label, value)
        expected[label] = value
    assert dict(form.values) == {label: value for label, value in expected.items() if value}
    assert list(form.values) == sorted(form.values)
