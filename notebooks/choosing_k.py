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
# # Choosing K: what was tried, and why one was taken
#
# Every fit keeps its candidates: K by covariance, each with BIC and AIC, likelihood on entities
# that were held out, how stable its groups are between seeds, and whether people could use it.
# `make demo` makes the warehouse that this looks at; `SHOAL_WAREHOUSE` names another.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import polars as pl

WAREHOUSE = Path(os.environ.get("SHOAL_WAREHOUSE", "warehouse/demo"))
every = pl.read_delta(str(WAREHOUSE / "model_candidates"))
last = every.sort("valid_from_date").group_by("entity_type").last().select("model_version")
tried = every.join(last, on="model_version", how="semi")
tried.select(
    "entity_type", "kind", "n_components", "covariance_type", "bic", "held_out_log_likelihood",
    "held_out_loss", "stability", "is_chosen", "reason",
).sort("entity_type", "kind", "n_components", "covariance_type")  # fmt: skip

# %% [markdown]
# ## BIC is no judge by itself
# It counts entities, not rows: of rows there are as many as there are nights, and it would take
# them for as much evidence. The choice is by held-out likelihood within one standard error, then by
# stability and what people can use; the reason stands beside it.

# %%
kinds = tried["entity_type"].unique().sort().to_list()
figure, panels = plt.subplots(2, len(kinds), figsize=(4 * len(kinds), 6), squeeze=False)
for column, kind in enumerate(kinds):
    own = tried.filter((pl.col("entity_type") == kind) & (pl.col("kind") == "mixture"))
    for row, name in enumerate(("bic", "held_out_log_likelihood")):
        axes = panels[row][column]
        for covariance in own["covariance_type"].drop_nulls().unique().sort():
            points = own.filter(pl.col("covariance_type") == covariance).sort("n_components")
            axes.plot(points["n_components"], points[name], "o", label=covariance, alpha=0.7)
        axes.set(title=kind, xlabel="K", ylabel=name)
        axes.legend()
figure.tight_layout()

# %% [markdown]
# ## How many were tried, and what became of them

# %%
tried.group_by("entity_type", "kind", "is_chosen").agg(
    pl.len().alias("candidates"), pl.col("held_out_loss").min().alias("least_loss")
).sort("entity_type", "kind", "is_chosen")

# %% [markdown]
# ## What was taken

# %%
tried.filter("is_chosen").select(
    "entity_type", "kind", "n_components", "covariance_type", "stability", "smallest_weight",
    "reason",
)  # fmt: skip

# %% [markdown]
# ## Which groups that makes

# %%
models = pl.read_delta(str(WAREHOUSE / "models")).join(last, on="model_version", how="semi")
models.select(
    "entity_type", "slice", "status", pl.col("weights").list.len().alias("components"),
    pl.col("weights").list.min().alias("smallest"), "reference_entities", "reason",
).sort("entity_type", "slice")  # fmt: skip
