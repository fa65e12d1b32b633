"""Veracast: rate how far a short video will spread, say why, and vouch for the data and the models behind the answer."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "ingest", "load_model", "load_record", "open_dataset"]

_LAZY = {
    "ingest": "veracast.data.ingest",
    "open_dataset": "veracast.data.dataset",
    "load_model": "veracast.rating.model",
    "load_record": "veracast.core.records",
}


def __getattr__(name: str) -> Any:
    """Import the public functions on first use, so that `import veracast` is instant."""
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(name)
