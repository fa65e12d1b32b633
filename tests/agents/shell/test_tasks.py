"""Generated tasks: kinds, splits, and that the same seed gives the same."""

from __future__ import annotations

from veracast.agents.shell.tasks import FOLDERS, KINDS, WORDS, draw, split_of


def test_tasks_of_all_kinds_in_turn() -> None:
    tasks = draw("train", 33, seed=1)
    assert (
        len({task.kind for task in tasks}) == len(KINDS) >= 8
        and draw("train", 33, seed=1) == tasks
        and draw("train", 33, seed=2) != tasks
    )
    assert len({task.id for task in tasks}) == 33 and all(task.folder in FOLDERS for task in tasks)


def test_more_tasks_do_not_reshuffle_the_first() -> None:
    assert draw("test", 10, seed=1) == draw("test", 40, seed=1)[:10]


def test_no_reference_is_in_both_splits() -> None:
    """The reference names kind and arguments; so do those of tasks of another seed."""
    train = {(task.kind, task.reference) for seed in range(3) for task in draw("train", 400, seed=seed)}
    test = {(task.kind, task.reference) for seed in range(3, 6) for task in draw("test", 400, seed=seed)}
    assert len(train) > 100 and len(test) > 40 and not train & test


def test_a_split_is_told_by_kind_and_arguments() -> None:
    sides = [split_of("kind", (word,)) for word in WORDS for _ in range(2)]
    assert sides[::2] == sides[1::2] and 0 < [split_of("k", (str(n),)) for n in range(1_000)].count("test") - 120 < 160


def test_words_are_many_but_closed() -> None:
    words = {word for seed in range(4) for task in draw("train", 300, seed=seed) for word in task.instruction.split()}
    assert len(words) < 2_000
    assert len({task.instruction.split()[0] for task in draw("train", 200, seed=0)}) > 10
