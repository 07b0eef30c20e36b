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
# # Reading drift: individuals, the population, the data, or the model
#
# Individuals stray on any night; that is what lists are for. Here it is asked whether whole groups
# moved, and whether that is the machines, the logs or the model. `make demo` makes the warehouse
# that this looks at; `SHOAL_WAREHOUSE` names another.

# %%
import os

import duckdb
import matplotlib.pyplot as plt
import polars as pl
from deltalake import DeltaTable

from shoal.contracts.views import VIEWS

WAREHOUSE = os.environ.get("SHOAL_WAREHOUSE", "warehouse/demo")
connection = duckdb.connect()
for name in sorted({name for view in VIEWS for name in view.tables}):
    connection.register(name, DeltaTable(f"{WAREHOUSE}/{name}").to_pyarrow_table())
for view in VIEWS:
    connection.execute(f"CREATE VIEW {view.name} AS {view.query}")

# %% [markdown]
# ## Each night in one word

# %%
connection.sql(
    "SELECT event_date, entity_type, verdict FROM v_drift_summary WHERE verdict IS NOT NULL "
    "ORDER BY event_date, entity_type"
).pl()

# %% [markdown]
# ## How many comparisons drift, by table
# `insufficient_data` is no zero: too few quiet pairs of nights are known to judge by.

# %%
connection.sql(
    "SELECT drift_table, sum(drifting) AS drifting, sum(steady) AS steady, "
    "sum(undecided) AS undecided FROM v_drift_summary GROUP BY drift_table ORDER BY drift_table"
).pl()

# %% [markdown]
# ## Did clusters move more than their own halves differ?
# Beside each night's agreement with another stands that of its own halves: groups that don't even
# agree with themselves say nothing of drift.

# %%
clusters = connection.sql(
    """
    SELECT event_date, entity_type, comparison, reference_date, adjusted_rand, null_adjusted_rand,
      status, detail
    FROM drift_clusters WHERE shape = 'overall' ORDER BY event_date, entity_type, comparison
    """
).pl()
clusters

# %%
figure, axes = plt.subplots(figsize=(9, 3))
for name in ("adjusted_rand", "null_adjusted_rand"):
    values = clusters[name].fill_null(float("nan"))
    axes.plot(range(len(clusters)), values, "o-", label=name)
axes.set(xlabel="comparison", ylabel="adjusted Rand", ylim=(-0.1, 1.1))
axes.legend()

# %% [markdown]
# ## Which features moved, in their own units
# Wasserstein distances in the feature's units, judged against quiet pairs of the same weekdays. PSI
# stands beside them because people know it; it judges nothing.

# %%
features = pl.read_delta(f"{WAREHOUSE}/drift_features")
features.sort("wasserstein", descending=True, nulls_last=True).select(
    "event_date", "entity_type", "slice", "feature", "comparison", "wasserstein", "psi", "status"
).head(12)

# %% [markdown]
# ## What was installed or lost

# %%
changes = pl.read_delta(f"{WAREHOUSE}/config_changes")
changes.group_by("event_date", "entity_type", "dimension", "change", "is_rollout").agg(
    pl.len().alias("changes"), pl.col("entity_id").n_unique().alias("entities")
).sort("event_date", "entity_type", "dimension", "change")
