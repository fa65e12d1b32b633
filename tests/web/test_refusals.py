"""A refusal says what was got and what to do, to people and to programs."""

from __future__ import annotations

from veracast.web.refusals import TITLES, Refusal, not_found, wants_json


def test_a_problem_has_the_members_of_rfc_9457_and_a_remedy() -> None:
    refusal = Refusal(429, "queue-full", "20 jobs wait.", "cancel one", retry_s=60)
    assert refusal.problem() == {"type": "urn:veracast:queue-full", "title": "Too many", "status": 429, "detail": "20 jobs wait.", "remedy": "cancel one"}  # fmt: skip
    assert refusal.headers == {"Retry-After": "60"} and str(refusal) == "20 jobs wait. -> cancel one"
    assert Refusal(401, "x", "d", "r").headers == {"WWW-Authenticate": 'Bearer realm="veracast"'}
    assert all(Refusal(status, "x", "d", "r").title == title for status, title in TITLES.items())


def test_a_long_name_is_cut() -> None:
    assert not_found("run", "n" * 500, "r").detail == f"There is no run called “{'n' * 79}…”."


def test_programs_are_known_by_address_or_by_what_they_accept() -> None:
    assert wants_json("/api/v1/runs", "text/html") and wants_json("/", "application/json")
    assert not wants_json("/", "text/html,application/json") and not wants_json("/", "*/*")
