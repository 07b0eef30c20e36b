"""What a list finds with a family of features left out, for each family, as a Markdown table.

For each family one model a type of entity is fitted on the nights before those that are judged; a
list are the strangest of hosts and addresses together, ``outliers.capacity`` a night, by the score
alone. It takes features from the tables of a fleet that has been run, and writes nothing.
"""

import argparse
import csv
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.config import Settings, load_settings
from shoal.contracts import ENTITY_FEATURES
from shoal.contracts.features import FEATURE_BY_NAME
from shoal.lake import Night, published_nights
from shoal.models.fit import fit_models
from shoal.models.peer_models import PeerModels, peer_model
from shoal.models.scoring import judge_entities
from shoal.models.vectors import add_vector
from shoal.pipelines.fit import fit_request, reference_rows
from shoal.report.text import render
from shoal.spark.nights import read_published
from shoal.spark.session import start_session
from shoal.spark.tables import open_warehouse


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--conf", required=True, help="configuration of the fleet")
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--last", type=int, default=14, help="nights that are judged")
    asked = parser.parse_args()
    settings = load_settings(asked.conf)
    spark = start_session(settings, name="shoal ablation")
    warehouse = open_warehouse(spark, settings)
    nights = published_nights(warehouse)
    planted = read_planted(asked.truth)

    def features_of(of: Sequence[Night]) -> DataFrame:
        return read_published(warehouse, ENTITY_FEATURES, of).persist()

    before, judged = features_of(nights[: -asked.last]), features_of(nights[-asked.last :])
    days = {night.event_date for night in nights[-asked.last :]}
    listed, families = lists_of(settings, before, judged, days)
    rows = [{"left out": "nothing", "features": 0, **recall(listed, planted, days)}]
    for family in sorted(families):
        listed, _ = lists_of(without(settings, family), before, judged, days)
        found = recall(listed, planted, days)
        rows.append({"left out": family, "features": families[family], **found})
    spark.stop()
    print(render(rows, list(rows[0]), "md"))
    return 0


def without(settings: Settings, family: str) -> Settings:
    """The settings with a family left out."""
    left_out = [*settings.fit.leave_out, family]
    return settings.model_copy(
        update={"fit": settings.fit.model_copy(update={"leave_out": left_out})}
    )


def lists_of(
    settings: Settings, before: DataFrame, judged: DataFrame, days: set[date]
) -> tuple[set[tuple[date, str]], Counter[str]]:
    """(night, entity) of every list, and how many features of each family the models had."""
    scored, features = [], set()
    for kind in ("host", "source_address"):
        own = before.where(F.col("entity_type") == kind)
        rows, names, feature_set = reference_rows(own, settings, kind)
        fitted = fit_models(rows, fit_request(settings, kind, feature_set, names))
        models = PeerModels.of(
            [peer_model({**row, "model_version": kind}) for row in fitted.models]
        )
        [model] = models.of_types()
        features |= set(model.feature_names)
        vectors = add_vector(
            judged.where(F.col("entity_type") == kind),
            [model.vector_rule(F.col("entity_type") == kind)],
        )
        scored.append(
            judge_entities(
                vectors, dict.fromkeys(days, models), min_events=settings.score.min_events
            )
            .where(F.col("anomaly_score").isNotNull())
            .select("event_date", "entity_id", "anomaly_score")
            .toPandas()
        )
    both = pd.concat(scored).sort_values(["anomaly_score", "entity_id"], ascending=[False, True])
    top = both.groupby("event_date").head(settings.outliers.capacity)
    families = Counter(
        FEATURE_BY_NAME[name].known.family if name in FEATURE_BY_NAME else "profile"
        for name in features
    )
    families.pop("profile", None)
    return set(zip(top["event_date"], top["entity_id"], strict=True)), families


def read_planted(path: Path) -> list[dict[str, str]]:
    """Rows of the truth that are intrusions."""
    with path.open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["is_planted"] == "true"]


def recall(
    listed: set[tuple[date, str]], planted: Sequence[dict[str, str]], nights: set[date]
) -> dict[str, float]:
    """Share of planted host-nights whose host or address was listed: of all, and by kind."""
    hits: dict[str, list[bool]] = defaultdict(list)
    for row in planted:
        night = date.fromisoformat(row["event_date"])
        if night in nights:
            names = (row["host"], row["source_address"])
            hits[row["kind"]].append(any((night, name) in listed for name in names))
    every = [hit for own in hits.values() for hit in own]
    shares = {kind: sum(own) / len(own) for kind, own in sorted(hits.items())}
    return {
        kind: round(share, 3) for kind, share in ({"all": sum(every) / len(every)} | shares).items()
    }


if __name__ == "__main__":
    sys.exit(main())
