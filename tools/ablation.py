"""What the lists of a fleet find with a family of features left out, for each family.

The fleet has been run: its activity and its features are taken from its tables as they are, under
the identity that each night has with the other setting. Only models, scores and lists are made
anew, in tables of their own that are removed when they have been held against the truth.
"""

import argparse
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from unittest.mock import patch

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from shoal.config import load_settings
from shoal.contracts import ENTITY_ACTIVITY, ENTITY_FEATURES, ENTITY_LABELS, INGEST_FILES
from shoal.contracts.features import FEATURES
from shoal.log import set_up_logging
from shoal.pipelines import evaluate as evaluate_module
from shoal.pipelines import nightly as nightly_module
from shoal.pipelines.context import Context, open_context
from shoal.pipelines.dates import Dates
from shoal.pipelines.span import Span, begin_writing, count_entities
from shoal.report.pages import tables_page
from shoal.spark.nights import Night, published_nights, read_published
from shoal.spark.session import start_session
from shoal.spark.tables import Warehouse, apply_contracts, open_warehouse


def main() -> int:
    """Run every family that occurs and is not there yet; print each with its number of features."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--conf", required=True, help="configuration of the fleet")
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--last", type=int, default=14, help="nights held against the truth")
    parser.add_argument("--out", type=Path, required=True, help="folder of FAMILY.json")
    parser.add_argument("--family", nargs="*", help="only these; `none` leaves nothing out")
    asked = parser.parse_args()
    settings = load_settings(asked.conf)
    set_up_logging(settings.log.level, settings.log.format)
    spark = start_session(settings, name="shoal ablation")
    asked.out.mkdir(parents=True, exist_ok=True)
    source = open_warehouse(spark, settings)
    nights = published_nights(source)
    occurring = families_of(source, nights)
    for family in asked.family or sorted(occurring):
        done = asked.out / f"{family}.json"
        if not done.exists():
            told = told_without(family, spark, asked, source, nights)
            done.write_text(told, encoding="utf-8")
        print(f"{family} {occurring.get(family, 0)}", flush=True)
    spark.stop()
    return 0


def families_of(source: Warehouse, nights: Sequence[Night]) -> dict[str, int]:
    """Number of modelled features of each family that are not the same for all entity-nights."""
    names = [feature.name for feature in FEATURES if feature.is_modelled]
    rows = read_published(source, ENTITY_FEATURES, nights)
    [found] = rows.agg(*((F.min(n) < F.max(n)).alias(n) for n in names)).collect()
    counts: dict[str, int] = defaultdict(int)
    for feature in FEATURES:
        if feature.is_modelled and found[feature.name]:
            counts[feature.known.family] += 1
    return dict(counts)


def told_without(
    family: str,
    spark: SparkSession,
    asked: argparse.Namespace,
    source: Warehouse,
    nights: Sequence[Night],
) -> str:
    """What `shoal evaluate` says of the fleet with the family left out, as JSON."""
    folder = asked.out / f"{family}.tables"
    shutil.rmtree(folder, ignore_errors=True)
    left_out = "" if family == "none" else family
    overrides = [f"storage.path={folder}", f"fit.leave_out=[{left_out}]"]
    context = open_context(spark, load_settings(asked.conf, overrides))
    apply_contracts(context.warehouse)
    for table in (INGEST_FILES, ENTITY_LABELS):
        context.warehouse.append(source.read(table), table)
    first, last = nights[0].event_date, nights[-1].event_date
    with patch.multiple(
        nightly_module, ingest=nothing_to_read, build_features=taken_from(source, nights)
    ):
        nightly_module.nightly(context, Dates(first, last, is_range=True))
    # The rules beside the lists know no models: nothing about them changes.
    with patch.object(evaluate_module, "_trivial_lists", lambda *_: {}):
        found = evaluate_module.evaluate(context, asked.truth, last=asked.last)
    shutil.rmtree(folder)
    return tables_page(found, "json")


def nothing_to_read(context: Context, window: object) -> None:
    """Stand in for the ingest: the ledger has been copied."""


def taken_from(source: Warehouse, nights: Sequence[Night]) -> Callable[[Context, Span], Span]:
    """A step in place of `build_features` that takes its rows from where they have been made."""
    known = {night.event_date: night for night in nights}

    def take(context: Context, span: Span) -> Span:
        with context.night_step("features", span.run_ids, subject=str(span)) as rows:
            begin_writing(context, span)
            own: list[date] = span.days
            for table in (ENTITY_ACTIVITY, ENTITY_FEATURES):
                frame = read_published(source, table, [known[day] for day in own])
                renamed = frame.withColumn("run_id", span.run_id_column())
                context.warehouse.replace_days(renamed, table, own)
            entities = count_entities(context, span)
            for day, count in entities.items():
                rows[day]["entities"] = count
        return replace(span, entities=entities)

    return take


if __name__ == "__main__":
    sys.exit(main())
