"""Raw fields → event columns: one way for every source.

A source says which raw text fills which column of which type of record (:class:`EventRule`); how
text becomes a clean value is the column's own affair, and the same for all sources.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from shoal.contracts.events import EVENT_TABLES, NORMALISED_COLUMNS
from shoal.errors import did_you_mean
from shoal.sources import columns as c

TARGET_USER = "user"
r"""Stands for user_name and user_domain together: ``DOMAIN\user``, ``user@domain`` or ``user``."""
TARGET_DURATION = "duration_s"
"""Stands for duration_us, in seconds."""
TARGET_URL = "url"
"""Stands for url_domain and url_path together: an address with or without its scheme."""
WHO = ("host_name", "user_name", "source_ip", "container_id", "container_image", "email_recipient")
"""Of these an event needs one: it is somebody's."""

_SHORT = 64
_NOT_MAPPED = {
    "event_date", "event_id", "event_code", "source_name", "source_file", "file_id", "ingest_ts",
    "event_action",
}  # fmt: skip
"""Columns that Shoal fills itself."""


@dataclass(frozen=True)
class EventRule:
    """What one type of record becomes.

    Attributes
    ----------
    table : key of ``EVENT_TABLES``
    texts : text by what it fills: an event column, or one of the three targets that stand for two
    action : ``event_action``; None for the usual thing of the table
    needs : columns without which there is no event, beside the time and somebody (``WHO``)
    """

    table: str
    texts: Mapping[str, Column]
    action: str | None = None
    needs: Sequence[str] = field(default=())


def _whole(text: Column) -> Column:
    return c.whole_number(text).try_cast("int")


def _size(text: Column) -> Column:
    return c.clipped(c.count(text), c.MAX_COUNT)


def _path(text: Column) -> Column:
    return c.clean(text, c.PATH_LENGTH)


def _short(text: Column) -> Column:
    return c.clean_lower(text, _SHORT)


_BY_TYPE: Mapping[T.DataType, Callable[[Column], Column]] = {
    T.StringType(): c.clean,
    T.IntegerType(): _whole,
    T.LongType(): c.whole_number,
    T.BooleanType(): c.flag,
    T.TimestampType(): c.any_timestamp,
}
_BY_NAME: Mapping[str, Callable[[Column], Column]] = {
    **dict.fromkeys(
        ("host_name", "source_host_name", "target_host_name", "dns_question_name", "url_domain"),
        c.domain_name,
    ),
    "tls_server_name": c.domain_name,
    "user_name": c.account_name,
    **dict.fromkeys(
        ("user_domain", "user_id", "container_image", "email_sender", "email_reply_to"),
        c.clean_lower,
    ),
    **dict.fromkeys(("email_recipient", "package_name", "file_hash", "source_mac"), c.clean_lower),
    **dict.fromkeys(("process_path", "process_parent_path", "file_path", "url_path"), _path),
    **dict.fromkeys(
        ("process_name", "process_parent_name", "process_original_name", "file_name"),
        c.last_component,
    ),
    "process_command_line": lambda text: c.clean(text, c.COMMAND_LINE_LENGTH),
    **dict.fromkeys(("source_ip", "destination_ip"), c.ip_address),
    **dict.fromkeys(("source_port", "destination_port"), c.port),
    **dict.fromkeys(
        ("bytes_out", "bytes_in", "packets_out", "packets_in", "file_size"), _size
    ),
    "duration_us": lambda text: c.clipped(c.whole_number(text), c.MAX_DURATION_US),
    **dict.fromkeys(
        (
            "network_transport", "network_protocol", "network_direction", "auth_package",
            "dns_question_type", "dns_response_code", "http_request_method", "tls_version",
            "package_type", "syscall_name",
        ),
        _short,
    ),
}  # fmt: skip
_TYPES = {column.name: column.type for column in NORMALISED_COLUMNS}
_NAMES_OF_PATHS = {
    "process_name": "process_path",
    "process_parent_name": "process_parent_path",
    "file_name": "file_path",
}
"""Names that a path gives where the log has no other."""


def convert(column: str, text: Column) -> Column:
    """Clean value of an event column from the text of a log; null if it is no such value."""
    return _BY_NAME.get(column, _BY_TYPE[_TYPES[column]])(text)


def check_targets(table: str, columns: Sequence[str]) -> list[str]:
    """Why a map cannot fill a table of events, each fault in words; none if it can."""
    tables = [name for name in EVENT_TABLES if name != "feature"]
    if table not in tables:
        return [f"table {table!r} is none of {', '.join(tables)}{did_you_mean(table, tables)}"]
    known = _targets_of(table)
    faults = [
        f"events_{table} has no column {name!r}{did_you_mean(name, known)}; it has "
        f"{', '.join(known)}"
        for name in columns
        if name not in known
    ]
    if "event_ts" not in columns:
        faults.append(f"events_{table} needs event_ts, the time of the event")
    if not {*WHO, TARGET_USER} & set(columns):
        faults.append(f"events_{table} needs one of {', '.join((*WHO, TARGET_USER))}")
    return faults


def _targets_of(table: str) -> list[str]:
    """What a map may fill of a table."""
    own = {column.name for column in EVENT_TABLES[table].columns} - _NOT_MAPPED
    if "url_domain" in own:
        own.add(TARGET_URL)
    if "duration_us" in own:
        own.add(TARGET_DURATION)
    return sorted({*own, TARGET_USER})


def parse_events(
    records: DataFrame,
    rules: Mapping[str, EventRule],
    *,
    fault: Column,
    words: Mapping[str, str],
) -> DataFrame:
    """Bring records into the shape of PARSED_COLUMNS; record → record.

    A record whose type has no rule is ignored by that type.

    Parameters
    ----------
    records : RECORD_COLUMNS, ``value``, ``record_type``, and what the rules' texts are made of
    rules : by record type
    fault : why a record cannot be read at all, null if it can
    words : what the log calls a column, for the reason of a record that lacks it
    """
    values = _values(rules)
    known = {name: F.col(_value(name)) for name in values}
    fields = {"event_code": F.col("record_type"), **known, "event_action": F.col("action")}
    return (
        records.withColumn("fault", fault)
        .transform(_add_texts, rules)
        .withColumns({_value(name): value for name, value in values.items()})
        .transform(_add_outcome, rules, words, list(known))
        .transform(c.project, event_fields=fields)
    )


def _targets(rules: Mapping[str, EventRule]) -> list[str]:
    return sorted({target for rule in rules.values() for target in rule.texts})


def _add_texts(records: DataFrame, rules: Mapping[str, EventRule]) -> DataFrame:
    """Add the text of each target, by the type of the record.

    A projection of its own, so that a text is found once, however often its value names it.
    """
    texts = {
        _text(target): _by_type({name: rule.texts.get(target) for name, rule in rules.items()})
        for target in _targets(rules)
    }
    tables = {name: F.lit(rule.table) for name, rule in rules.items()}
    actions = {name: F.lit(rule.action) for name, rule in rules.items() if rule.action}
    return records.withColumns(
        {**texts, "event_table": _by_type(tables), "action": _by_type(actions)}
    )


def _by_type(columns: Mapping[str, Column | None]) -> Column:
    """Column that fits the record's type; types that share one are asked for together."""
    shared: dict[str, tuple[Column, list[str]]] = {}
    for name, column in columns.items():
        if column is not None:
            shared.setdefault(str(column), (column, []))[1].append(name)
    # One flat chain: nested ones are as deep as there are types, and Spark walks them by recursion.
    chosen: Column | None = None
    for column, names in shared.values():
        fits = F.col("record_type").isin(names)
        chosen = F.when(fits, column) if chosen is None else chosen.when(fits, column)
    return F.lit(None).cast("string") if chosen is None else chosen


def _text(target: str) -> str:
    return f"text_{target}"


def _value(column: str) -> str:
    return f"value_{column}"


def _values(rules: Mapping[str, EventRule]) -> dict[str, Column]:
    """Event columns that some rule fills, from the texts of :func:`_add_texts`."""
    given = {name: F.col(_text(name)) for name in _targets(rules)}
    values = {name: convert(name, text) for name, text in given.items() if name in _TYPES}

    def fill(column: str, value: Column) -> None:
        values[column] = F.coalesce(values[column], value) if column in values else value

    if TARGET_USER in given:
        fill("user_name", c.account_name(given[TARGET_USER]))
        fill("user_domain", c.account_domain(given[TARGET_USER]))
    if TARGET_DURATION in given:
        fill("duration_us", c.clipped(c.micros(given[TARGET_DURATION]), c.MAX_DURATION_US))
    if TARGET_URL in given:
        fill("url_domain", c.url_domain(given[TARGET_URL]))
        fill("url_path", c.url_path(given[TARGET_URL]))
    for name, path in _NAMES_OF_PATHS.items():
        if path in given:
            fill(name, c.last_component(given[path]))
    return values


def _add_outcome(
    records: DataFrame,
    rules: Mapping[str, EventRule],
    words: Mapping[str, str],
    filled: Sequence[str],
) -> DataFrame:
    """Add outcome, ignored_type and reason, from the values of the columns ``filled``."""
    known = F.col("event_table").isNotNull()
    someone = [F.col(_value(name)) for name in WHO if name in filled]
    reason = F.when(F.col("fault").isNotNull(), F.col("fault")).when(
        known & F.col(_value("event_ts")).isNull(), f"no usable {words.get('event_ts', 'time')}"
    )
    for name, rule in rules.items():
        for column in rule.needs:
            lacks = (F.col("record_type") == name) & F.col(_value(column)).isNull()
            reason = reason.when(lacks, f"no usable {words.get(column, column)}")
    names = ", ".join(words.get(name, name) for name in WHO if name in filled)
    nobody = reduce(lambda left, right: left & right, [one.isNull() for one in someone])
    reason = reason.when(known & nobody, f"nobody's: no usable {names}")
    return records.withColumns({"reason": reason, "ignored_type": F.col("record_type")}).withColumn(
        "outcome",
        F.when(F.col("reason").isNotNull(), "quarantined")
        .when(~known, "ignored")
        .otherwise("event"),
    )
