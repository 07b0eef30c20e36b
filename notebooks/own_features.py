# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Bringing your own features
#
# A table that already is one row an entity and day needs no events: a source of kind `features`
# takes it as it is, CSV, Parquet or Delta. Here are 60 pumps over two days, one of which runs
# hot on the second; nights are run on them as on any logs, in a folder of their own.

# %%
import tempfile
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from shoal.cli import main

folder = Path(tempfile.mkdtemp())
rng = np.random.default_rng(7)
first = date(2026, 3, 2)
rows = [
    {
        "pump": f"pump-{number:02d}",
        "day": first + timedelta(days=day),
        "site": "north" if number % 2 else "south",
        "flow": rng.normal(120 + 30 * (number % 2), 6),
        "pressure": rng.normal(4.0, 0.2),
        "temperature": rng.normal(58, 1.5) + (14 if (number, day) == (11, 1) else 0),
        "starts": rng.poisson(3),
    }
    for day in range(2)
    for number in range(60)
]
table = pd.DataFrame(rows)
table.to_csv(folder / "pumps.csv", index=False)
table.tail()

# %% [markdown]
# ## The configuration
# Which column is the entity, which its day, which its group of peers; every other numeric column is
# a feature.

# %%
settings = {
    "storage": {"path": str(folder / "tables")},
    "sources": [
        {
            "name": "pumps", "kind": "features", "paths": [str(folder / "pumps.csv")],
            "entity_type": "pump", "id_column": "pump", "date_column": "day",
            "slice_column": "site",
        }
    ],
    "entities": [],
    "fit": {"candidates": [1, 2]},
    "spark": {"master": "local[2]", "shuffle_partitions": 1},
    "log": {"level": "WARNING"},
}  # fmt: skip
conf = folder / "pumps.yaml"
conf.write_text(yaml.safe_dump(settings))
print(conf.read_text())

# %% [markdown]
# ## Two nights

# %%
days = ["--start", str(first), "--end", str(first + timedelta(days=1))]
commands = (["tables", "apply"], ["nightly", *days])
[main([*command, "--conf", str(conf)]) for command in commands]

# %% [markdown]
# ## The list of the last, and why

# %%
main(["outliers", "--conf", str(conf), "--top", "2"])

# %%
import polars as pl

scores = pl.read_delta(str(folder / "tables/entity_scores"))
scores.filter(pl.col("event_date") == pl.col("event_date").max()).sort(
    "anomaly_score", descending=True
).select("entity_id", "slice", "anomaly_score", "p_value", "reference_entities").head()

# %% [markdown]
# ## The same in one process, without tables
# For a table that is seen once there is the estimator, with scikit-learn's interface.

# %%
from shoal import PeerOutlierDetector

features = ["flow", "pressure", "temperature", "starts"]
past, last = table[table["day"] < table["day"].max()], table[table["day"] == table["day"].max()]
detector = PeerOutlierDetector(random_state=0).fit(past[features])
strangest = np.argsort(detector.score_samples(last[features]))[:3]
[
    (last["pump"].iloc[place], detector.explain(last[features].iloc[[place]], top=1)[0][0])
    for place in strangest
]
