"""Whose an event is, where its log does not say so: what labels know, and who held an address."""

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.features.holders import add_holder
from shoal.features.names import Names, short_host

ALIAS_LABELS = ("host", "user")
"""Labels that say which host, or which user, an address, a host or a mailbox is."""
_KNOWN_BY = {
    "host": (("source_address", "source_ip"),),
    "user": (
        ("user_id", "user_id"),
        ("host", "host_name"),
        ("source_address", "source_ip"),
        ("mailbox", "email_recipient"),
    ),
}
"""What a missing host or user is looked up by, in this order: type of entity, column of events."""
_FILLED = {"host": "host_name", "user": "account"}


def resolve_aliases(
    events: DataFrame, aliases: DataFrame | None, holders: DataFrame | None
) -> DataFrame:
    """Fill ``host_name`` and ``account`` where they are null; event in and out.

    What a log says of its own stays as it is.

    Parameters
    ----------
    events : with the columns that something is looked up by; those that it lacks are passed over
    aliases : rows of ``entity_labels`` in force, of ALIAS_LABELS, if there are any
    holders : as `shoal.features.holders.aggregate_holders` yields, if there are any; they tell
        the host where no label does
    """
    for label, sources in _KNOWN_BY.items():
        if aliases is not None:
            events = _fill_by_labels(events, label, sources, aliases)
        if holders is not None and label == "host" and "source_ip" in events.columns:
            events = add_holder(events, holders)
            host = F.coalesce("host_name", "holder")
            events = events.withColumn("host_name", host).drop("holder")
    return events


def _fill_by_labels(
    events: DataFrame, label: str, sources: Sequence[tuple[str, str]], aliases: DataFrame
) -> DataFrame:
    target = _FILLED[label]
    present = [(kind, column) for kind, column in sources if column in events.columns]
    found = [f"{label}_by_{column}" for _, column in present]
    for (kind, column), name in zip(present, found, strict=True):
        own = aliases.where((F.col("entity_type") == kind) & (F.col("label") == label))
        # One a name, as of roles: two label files that both know it must not double its events.
        known = own.groupBy(F.col("entity_id").alias(column)).agg(F.min("value").alias(name))
        events = events.join(known, [column], how="left")
    if not found:
        return events
    return events.withColumn(target, F.coalesce(target, *found)).drop(*found)


def aliases_of(labels: DataFrame, names: Names) -> DataFrame:
    """Rows of ``entity_labels`` that are aliases, hosts by their one name."""
    value = F.lower("value")
    named = F.when(F.col("label") == "host", short_host(value, names)).otherwise(value)
    is_alias = F.col("label").isin(*ALIAS_LABELS)
    return labels.where(is_alias).select("entity_type", "entity_id", "label", named.alias("value"))
