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
# # One class of flows: a flood is known, what is normal is not
#
# A back-end of charging stations was flooded with OCPP heartbeats, and its flows were labelled:
# 8,700 of the flood, 87 normal. Of one class much is known, so one Gaussian learns that class, and
# what it finds unlikely is the other. `SHOAL_FLOWS` names the labelled CSV.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import (
    ConfusionMatrixDisplay,
    PrecisionRecallDisplay,
    RocCurveDisplay,
    classification_report,
)

from shoal.models.labelled import Protocol, confusion_table, metric_table
from shoal.pipelines.labelled import TableRequest, read_table, score_with

FLOOD = "cyberattack_ocpp16_dos_flooding_heartbeat"
NO_FEATURES = ("index", "src_port", "dst_port", "flow_start_timestamp", "flow_end_timestamp")
flows = read_table(
    TableRequest(Path(os.environ["SHOAL_FLOWS"]), "label", normal=(FLOOD,), ignored=NO_FEATURES)
)
print(f"{flows.values.shape} flows and features, {flows.is_anomaly.sum()} normal flows")

# %% [markdown]
# ## Fit on 80 % of the flood, score the rest
# The threshold is the 5th percentile of the likelihood of what was fitted: one flow of the flood in
# twenty lies beyond it by construction. A one-class support vector machine stands beside it.

# %%
protocol = Protocol(is_one_class=True, seeds=range(5), alert_rate=0.05)
scored = {name: score_with(flows, name, protocol) for name in ("gaussian", "one_class_svm")}
metric_table([own for found in scored.values() for own in found])

# %%
gaussian = scored["gaussian"][0]
is_flood = ~gaussian.is_anomaly
is_taken_for_flood = gaussian.strangeness <= gaussian.threshold
names = ["normal", "flood"]
print(classification_report(is_flood, is_taken_for_flood, target_names=names))

# %% [markdown]
# ## The matrix
# Published for this table: all 87 normal flows rejected, 1,658 of 1,740 flows of the flood
# accepted. Here the normal flows are the anomalies.

# %%
confusion_table([own for found in scored.values() for own in found])

# %%
matrix = ConfusionMatrixDisplay.from_predictions(
    is_flood, is_taken_for_flood, display_labels=names, colorbar=False
)
matrix.ax_.set_title("One Gaussian of the flood, 5th percentile")

# %% [markdown]
# ## The curves

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
for name, found in scored.items():
    RocCurveDisplay.from_predictions(found[0].is_anomaly, found[0].strangeness, name=name, ax=left)
    PrecisionRecallDisplay.from_predictions(
        found[0].is_anomaly, found[0].strangeness, name=name, ax=right
    )
figure.tight_layout()

# %% [markdown]
# ## How far apart the two lie
# In −log p of the evidence, by flow.

# %%
edges = np.linspace(0.0, gaussian.strangeness.max(), 60)
figure, axes = plt.subplots(figsize=(10, 3))
for name, rows in (("flood", is_flood), ("normal", ~is_flood)):
    axes.hist(gaussian.strangeness[rows], bins=edges, label=name, log=True, alpha=0.7)
axes.axvline(gaussian.threshold, color="black", linestyle="--", label="threshold")
axes.set(xlabel="strangeness, nats", ylabel="flows")
axes.legend()
