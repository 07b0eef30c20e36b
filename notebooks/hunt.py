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
# # A hunt, from the list to the raw event
#
# What the command line does, step by step in Python, without Spark: the list of a night, why its
# first line is on it, who behaves like it, and the events behind it. `make demo` makes the
# warehouse that this looks at; `SHOAL_WAREHOUSE` names another.

# %%
import os

import matplotlib.pyplot as plt
import polars as pl

from shoal.hunt.events import events_behind
from shoal.hunt.explain import explain_entity
from shoal.hunt.lists import list_outliers
from shoal.hunt.peers import nearest_peers
from shoal.hunt.timeline import entity_timeline
from shoal.lake import FolderLake
from shoal.report.lines import evidence_text, reason_text

lake = FolderLake(os.environ.get("SHOAL_WAREHOUSE", "warehouse/demo"))

# %% [markdown]
# ## The list of the last night
# Ranked; `expected_by_chance` says how many entities chance alone would put at or above a line.

# %%
found = list_outliers(lake, None)
lines = pl.DataFrame(
    [
        {
            "rank": line["rank"],
            "entity": f"{line['entity_type']} {line['entity_id']}",
            "score": round(line["anomaly_score"], 2),
            "by_chance": line["expected_by_chance"],
            "lane": line["lane"],
            "why": reason_text(line["reasons"][0]) if line["reasons"] else "",
        }
        for line in found.lines
    ]
)
lines

# %% [markdown]
# ## Why the first line is on it
# Each reason says what was seen, what peers with the entity's other values show, how many of them
# share it, and by how much the squared distance would drop were it as expected.

# %%
first = found.lines[0]
who = {"entity_type": first["entity_type"]}
_, explained = explain_entity(lake, first["entity_id"], None, top=5, **who)
pl.DataFrame(explained["reasons"]).select(
    "feature", "term", "value", "expected", "unit", "contribution", "peers_sharing", "peers"
)

# %% [markdown]
# ## Is it new, or always so?

# %%
nights = entity_timeline(lake, first["entity_id"], **who)
figure, axes = plt.subplots(figsize=(9, 2.5))
axes.bar(
    [f"{night['event_date']:%m-%d}" for night in nights],
    [night["anomaly_score"] or 0.0 for night in nights],
)
axes.set(ylabel="anomaly score", title=first["entity_id"])

# %% [markdown]
# ## Who behaves most like it, and are they what it is?

# %%
peers = nearest_peers(lake, first["entity_id"], None, top=5, **who)
print(peers.verdict)
pl.DataFrame(peers.nearest)

# %% [markdown]
# ## The evidence, and the raw events behind it
# Evidence is the activity that fewest entities share; each row keeps ids of a few of its events.

# %%
for item in first["evidence"]:
    print(evidence_text(item))

# %%
events = events_behind(lake, first["entity_id"], None, **who)
pl.DataFrame(events, infer_schema_length=None).select(
    "event_ts", "kind", "dimension", "value", "source_file"
)

# %% [markdown]
# What comes of the hunt is said by `shoal verdict`: it changes tomorrow's list.
