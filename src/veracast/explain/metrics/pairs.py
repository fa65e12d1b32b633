"""Texts that were told, each beside the texts that people gave for the same item."""

from __future__ import annotations

from collections.abc import Sequence

from veracast.core.errors import ConfigError


def check_pairs(told: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    """ConfigError, with all faults, for no items, other numbers of both, an item without references, a blank reference, or one text in place of
    a list. A blank text that was told is an answer: it scores nothing."""
    if isinstance(told, str):
        raise ConfigError(["what was told is one text -> give a list of texts, one an item"])
    faults = [f"{len(told)} texts told and references for {len(references)} items -> give both for each item"] if len(told) != len(references) else []  # fmt: skip
    faults += ["no items -> give one text told, and its references, or more"] if not len(told) and not faults else []
    for k, each in enumerate(references):
        if isinstance(each, str):
            faults.append(f"references of item {k}: one text -> give a list of texts, also of one")
        elif not each:
            faults.append(f"references of item {k}: none -> give one or more, or leave the item out")
        elif any(not text.strip() for text in each):
            faults.append(f"references of item {k}: one is blank -> leave it out")
    if faults:
        raise ConfigError(faults)
