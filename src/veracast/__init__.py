"""Veracast: rate how far a short video will spread, say why, and vouch for the data and the models behind the answer."""

from __future__ import annotations

import os
from typing import Any

# polars' allocator keeps what was freed for half a second or more: as long as a whole step of ingest. A tenth of a second
# costs 1 % of the time and takes a quarter off the peak. It is read when polars is loaded; who has set it keeps his own.
os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:100,muzzy_decay_ms:0")
# torch's products of matrices keep a compiled kernel and its scratch space for every shape they met, 1,024 of them: about 18 MB a
# length of row in bf16, gigabytes in a training on rows of all lengths. With 128 a step takes no longer. Read when torch is loaded.
for _cache in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
    os.environ.setdefault(_cache, "128")

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
