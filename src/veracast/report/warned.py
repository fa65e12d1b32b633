"""What cards found of the model behind a record, said on every page that uses it.

A card cites the head of the model that it speaks of, and so does what rated with that model or explains its ratings. Looked for among the finished runs
beside the record: nothing that is written is ever edited, so a page that was drawn earlier learns of a later card by `veracast report RUN`; the
application asks its own index.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from veracast.core.errors import InputError
from veracast.core.files import sha256_file
from veracast.core.records import Record, load_record
from veracast.report import text

HEAD = "model.json"
KINDS = ("run", "rate", "explain", "explain-overall")
"""Of records whose pages say what a model says."""


class Warned(NamedTuple):
    """words: verdict of a card with findings; place: of the card, as a link from the page."""

    words: str
    place: str


def warned(record: Record) -> list[Warned]:
    """From the folder in which the record's own stands, newest card first."""
    folder = Path(record.run)
    heads = model_heads(record)
    if record.kind not in KINDS or not heads:
        return []
    found = []
    for path in folder.parent.glob("*/record.json"):
        try:
            card = load_record(path.parent, verify=False)
        except InputError:
            continue  # a damaged record says nothing
        if card.kind == "card" and card.status == "findings" and heads & {str(one.get("sha256")) for one in card.inputs}:  # fmt: skip
            found.append((card.ended_at, Warned(text.clean(card.verdict), f"../{path.parent.name}/report.html")))
    return [one for _, one in sorted(found, reverse=True)]


def model_heads(record: Record) -> set[str]:
    """Digests of the heads of models that a record used, or kept."""
    own = Path(record.run) / "model" / HEAD
    kept = {sha256_file(own)} if record.kind == "run" and own.is_file() else set()
    return kept | {str(one["sha256"]) for one in record.inputs if one.get("name") == HEAD and one.get("sha256")}
