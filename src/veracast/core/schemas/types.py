"""What a schema is made of."""

from __future__ import annotations

import polars as pl

TIME = pl.Datetime("us", "UTC")
Schema = dict[str, pl.DataType | type[pl.DataType]]
