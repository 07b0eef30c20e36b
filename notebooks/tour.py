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
# # A tour of Shoal's tables, without Spark
#
# The tables are plain Delta, so Polars and DuckDB read them as they lie. `make demo` makes the
# warehouse that this looks at; `SHOAL_WAREHOUSE` names another.

# %%
import os
from pathlib import Path

import duckdb
import polars as pl

WAREHOUSE = Path(os.environ.get("SHOAL_WAREHOUSE", "warehouse/demo"))


def table(name: str) -> pl.DataFrame:
    return pl.read_delta(str(WAREHOUSE / name))


# %% [markdown]
# ## Only what is published
# A night becomes visible by its last commit, in `nights`. Every other table is read through it.

# %%
nights = table("nights").filter(pl.col("state") == "published").sort("event_date")
visible = nights.select("event_date", "run_id")
nights.select("event_date", "run_id", "config_hash")


# %%
def published(name: str) -> pl.DataFrame:
    return table(name).join(visible, on=["event_date", "run_id"], how="semi")


# %% [markdown]
# ## How strange was each night
# `anomaly_score` is −log10 of the share of peer nights at least as strange.

# %%
scores = published("entity_scores")
scores.group_by("event_date", "entity_type").agg(
    pl.len().alias("scored"),
    pl.col("anomaly_score").max().alias("strangest"),
    (pl.col("p_value") <= 0.05).mean().alias("share_under_0.05"),
).sort("event_date", "entity_type")

# %% [markdown]
# ## Why the strangest one is on the list
# Its own values, what peers with its other values show, and how many peers share them.

# %%
lines = published("outliers").sort("event_date", "rank")
top = lines.filter(pl.col("event_date") == pl.col("event_date").max()).head(1)
reasons = (
    top.select("entity_id", "reasons")
    .explode("reasons", empty_as_null=False, keep_nulls=False)
    .unnest("reasons")
)
reasons.select("entity_id", "feature", "value", "expected", "peers_sharing", "peers")

# %% [markdown]
# ## What it did
# `entity_activity` is the only table that reads events: here by SQL, with DuckDB over Arrow.

# %%
activity = published("entity_activity").to_arrow()
last_night = lines["event_date"].max()
duckdb.sql(
    """
    SELECT dimension, count(DISTINCT value) AS distinct_values, sum(event_count) AS events
    FROM activity
    WHERE event_date = $night AND dimension NOT IN ('total', 'category')
    GROUP BY dimension
    ORDER BY events DESC, dimension
    """,
    params={"night": last_night},
).pl()

# %% [markdown]
# ## Did the groups move
# Night against night: clusters matched by their centres, the overlap of their members.

# %%
drift = published("drift_clusters").filter(pl.col("shape") == "overall")
drift.select(
    "event_date", "entity_type", "comparison", "entities_both", "adjusted_rand",
    "null_adjusted_rand", "status",
).sort("event_date", "entity_type", "comparison")  # fmt: skip
