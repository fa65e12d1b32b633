"""Explain one row of a scikit-learn pipeline on mixed columns: a caption and three numbers. `python examples/explain_sklearn.py`"""

import numpy as np
import polars as pl
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from veracast.explain.item import explain_item
from veracast.explain.told import lines
from veracast.explain.units import Numbers, Words

NUMBERS = ["ln_followers", "duration_s", "hour"]


def data(rows: int = 600, seed: int = 0) -> tuple[pl.DataFrame, np.ndarray]:
    """Views follow followers and the words sale and cat; duration and hour are decoys."""
    rng = np.random.default_rng(seed)
    captions = [rng.choice(["sale", "cat", "today", "new", "my", "look"], 4, replace=False) for _ in range(rows)]
    numbers = [rng.normal(8, 1, rows), rng.uniform(5, 60, rows), rng.integers(0, 24, rows).astype(float)]
    table = pl.DataFrame({"caption": [" ".join(one) for one in captions], **dict(zip(NUMBERS, numbers, strict=True))})
    law = [0.8 * ("cat" in one) - 1.5 * ("sale" in one) for one in captions]
    return table, numbers[0] + law + rng.normal(0, 0.1, rows)


def main() -> list[str]:
    table, views = data()
    columns = make_column_transformer((CountVectorizer(), "caption"), (StandardScaler(), NUMBERS))
    model = make_pipeline(columns, Ridge(alpha=0.1)).fit(table, views)

    def score(items):
        return model.predict(pl.DataFrame([{"caption": one["text"], **one["numbers"]} for one in items])) if items else []  # fmt: skip

    item = {"text": "my new cat today", "numbers": table.select(NUMBERS).row(0, named=True)}
    medians = table.select(NUMBERS).median().row(0, named=True)
    return list(lines(explain_item(score, item, [Words(), Numbers(medians)], unit="ln views")))


if __name__ == "__main__":
    print("\n".join(main()))
