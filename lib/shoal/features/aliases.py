"""Whose an event is, where its log does not say so: what labels know of addresses and machines."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

ALIAS_LABELS = ("host", "user")
"""Labels that say which host, or which user, an address, a host or a mailbox is."""
_KNOWN_BY = {
    "host": (("source_address", "source_ip"),),
    "user": (
        ("host", "host_name"),
        ("source_address", "source_ip"),
        ("mailbox", "email_recipient"),
    ),
}
"""What a missing host or user is looked up by, in this order: type of entity, column of events."""
_FILLED = {"host": "host_name", "user": "account"}


def resolve_aliases(events: DataFrame, aliases: DataFrame) -> DataFrame:
    """Fill ``host_name`` and ``account`` where they are null; event in and out.

    What a log says of its own stays as it is.

    Parameters
    ----------
    events : with the columns that something is looked up by; those that it lacks are passed over
    aliases : rows of ``entity_labels`` in force, of ALIAS_LABELS
    """
    for label, sources in _KNOWN_BY.items():
        target = _FILLED[label]
        present = [(kind, column) for kind, column in sources if column in events.columns]
        found = [f"{label}_by_{column}" for _, column in present]
        for (kind, column), name in zip(present, found, strict=True):
            own = aliases.where((F.col("entity_type") == kind) & (F.col("label") == label))
            # One a name, as of roles: two label files that both know it must not double its events.
            known = own.groupBy(F.col("entity_id").alias(column)).agg(
                F.min(F.lower("value")).alias(name)
            )
            events = events.join(known, [column], how="left")
        if found:
            events = events.withColumn(target, F.coalesce(target, *found)).drop(*found)
    return events


def aliases_of(labels: DataFrame) -> DataFrame:
    """Rows of ``entity_labels`` that are aliases."""
    is_alias = F.col("label").isin(*ALIAS_LABELS)
    return labels.where(is_alias).select("entity_type", "entity_id", "label", "value")
