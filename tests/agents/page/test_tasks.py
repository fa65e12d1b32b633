"""Tasks say all that they want; their pages hold it; splits go by the task and not by its wording."""

from __future__ import annotations

from dataclasses import replace

from veracast.agents.page.sites import SITES
from veracast.agents.page.tasks import MAX_STEPS, PageTask, draw_task, pages_of, site_of, split_of
from veracast.core.seeds import stream


def drawn(count: int = 1_000) -> list[PageTask]:
    rng = stream(0, "test")
    return [draw_task(rng) for _ in range(count)]


def test_an_instruction_names_every_value_and_button() -> None:
    for task in drawn():
        site = site_of(task)
        tags = {field.label: field.tag for field in site.fields}
        assert all(value in task.instruction for label, value in task.wants if tags[label] != "checkbox")
        (button,) = (button for button in site.buttons if button.label == task.button)
        assert task.instruction.startswith(button.asks)
        assert 2 <= len(task.wants) + 1 + bool(site.menu) <= MAX_STEPS


def test_one_instruction_never_means_two_tasks() -> None:
    meaning: dict[str, str] = {}
    for task in drawn(5_000):
        assert meaning.setdefault(task.instruction, task.key) == task.key
    assert {task.kind for task in drawn()} == {site.name for site in SITES}


def test_pages_hold_what_is_wanted_under_distinct_ids() -> None:
    for task in drawn(300):
        pages = pages_of(task)
        every = (*pages.menu, *pages.form, pages.promotion)
        assert len({element.id for element in every}) == len(every) and all(1 <= e.id <= 99 for e in every)
        by_label = {element.label: element for element in pages.form}
        assert task.button in by_label
        for label, value in task.wants:
            assert by_label[label].tag != "select" or value in by_label[label].options
        assert pages == pages_of(task)


def test_a_split_goes_by_the_task() -> None:
    tasks = drawn()
    assert all(split_of(replace(task, instruction="x", id="y")) == split_of(task) for task in tasks)
    assert 0.1 < sum(split_of(task) == "test" for task in tasks) / len(tasks) < 0.3


def test_a_flight_never_ends_where_it_begins() -> None:
    for task in drawn(3_000):
        wants = dict(task.wants)
        assert task.kind != "travel" or len(set(wants.values())) == len(wants)
