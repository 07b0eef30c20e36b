"""Column expressions that sources share: text of the log in, clean values out.

The text was written by whoever runs the logged machine, and Spark runs in ANSI mode: nothing here
may throw, whatever the text. What cannot be read is null.
"""

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from shoal.contracts.events import PARSED_COLUMNS

NAME_LENGTH = 256
PATH_LENGTH = 4096
COMMAND_LINE_LENGTH = 32 * 1024
RAW_TEXT_LENGTH = 8 * 1024
TYPE_LENGTH = 64
MAX_PORT = 65535
MAX_COUNT = 2**50
"""Largest bytes and packets of a record: a thousand times a thousand of them still fit a long."""
MAX_DURATION_US = 2**45
MAX_DEPTH = 1000
"""Levels of nesting that Spark's JSON reader goes down."""
NO_TEXT = "NUL characters: the file is binary, or UTF-16, to be written anew as UTF-8"

RECORD_COLUMNS = ("source_name", "source_file", "file_id", "event_id")
_TIME = (
    r"^[12]\d{3}-\d{2}-\d{2}[ T]\d{2}:\d{2}:\d{2}(\.\d{1,9})?"
    r"(Z|[+-]\d{2}:?\d{2})?$"
)
_EPOCH = r"^\d{1,12}(\.\d{1,18})?([eE]\+?\d)?$"
_HEX = "^0[xX][0-9a-fA-F]{1,15}$"
_DECIMAL = r"^\d{1,18}$"
_HUGE = r"^\d{19,20}$"
_IPV4 = r"^\d{1,3}(\.\d{1,3}){3}$"
_IPV6 = r"^[0-9a-f:.]{2,45}$"


def content_id(text: Column) -> Column:
    """Hash of a text: the first 32 hexadecimal digits of its SHA-256."""
    return F.substring(F.sha2(text.cast("binary"), 256), 1, 32)


def clean(text: Column, length: int = NAME_LENGTH) -> Column:
    """Text without blanks around it, cut at ``length`` characters; empty and ``-`` are null."""
    trimmed = F.trim(F.substring(text, 1, length))
    return F.when(~trimmed.isin("", "-"), trimmed)


def clean_lower(text: Column, length: int = NAME_LENGTH) -> Column:
    """As :func:`clean`, in lower case."""
    return F.lower(clean(text, length))


def slug(text: Column) -> Column:
    """Text fit for a type's name: lower case, other characters than a-z, 0-9 as one hyphen."""
    return F.regexp_replace(F.lower(F.substring(text, 1, TYPE_LENGTH)), "[^a-z0-9]+", "-")


def last_component(path: Column) -> Column:
    """File name of a Windows or POSIX path, in lower case; null if there is none."""
    forward = F.rtrim(F.translate(path, "\\", "/"), F.lit("/"))
    return clean(F.lower(F.substring_index(forward, "/", -1)))


def account_name(user: Column) -> Column:
    r"""``user`` of ``DOMAIN\user``, in lower case."""
    return clean_lower(F.substring_index(clean(user), "\\", -1))


def account_domain(user: Column) -> Column:
    r"""``domain`` of ``DOMAIN\user``, in lower case; null without a backslash."""
    cleaned = clean(user)
    parted = F.contains(cleaned, F.lit("\\"))
    return F.when(parted, clean_lower(F.substring_index(cleaned, "\\", 1)))


def whole_number(text: Column) -> Column:
    """Number of up to 18 digits, or hexadecimal with ``0x``, as long; null for all else."""
    trimmed = F.trim(F.substring(text, 1, 32))
    from_hex = F.conv(F.substring(trimmed, 3, 15), 16, 10).try_cast("bigint")
    return F.when(trimmed.rlike(_DECIMAL), trimmed.try_cast("bigint")).when(
        trimmed.rlike(_HEX), from_hex
    )


def port(text: Column) -> Column:
    """Port number as int; null unless from 0 to 65535."""
    number = whole_number(text)
    return F.when(number <= MAX_PORT, number.try_cast("int"))


def count(text: Column) -> Column:
    """Count of bytes or packets as long; one beyond a long is ``MAX_COUNT``."""
    is_huge = F.trim(F.substring(text, 1, 32)).rlike(_HUGE)
    return F.when(is_huge, F.lit(MAX_COUNT)).otherwise(whole_number(text))


def clipped(number: Column, largest: int) -> Column:
    """Return ``number``, at most ``largest``; null stays null, which ``least`` alone would not."""
    return F.when(number.isNotNull(), F.least(number, F.lit(largest)))


def ip_address(text: Column) -> Column:
    """IP address in one spelling; null if it doesn't look like one.

    IPv6 is in lower case, without a zone, its longest row of zero groups as ``::`` (Sysmon
    writes ``fe80:0:0:0:1:2:3:4`` where the Security log writes ``fe80::1:2:3:4``); IPv4 mapped
    into IPv6 is IPv4.
    """
    lowered = F.lower(F.trim(F.substring(text, 1, 64)))
    # An array of one and its transform: the address is computed once, not once a mention.
    ipv6 = F.get(F.transform(F.array(lowered), _ipv6), 0)
    return F.when(text.contains(":"), ipv6).otherwise(F.when(lowered.rlike(_IPV4), lowered))


def _ipv6(text: Column) -> Column:
    address = F.substring_index(text, "%", 1)
    mapped = F.regexp_extract(address, r"^(?:0:0:0:0:0|:):ffff:(\d+\.\d+\.\d+\.\d+)$", 1)
    short = address
    for length in range(2, 8):
        row = rf"^((?:[0-9a-f]+:)*?)0(?::0){{{length - 1}}}((?::[0-9a-f]+)*)$"
        joined = F.replace(F.regexp_replace(address, row, "$1:$2"), F.lit(":::"), F.lit("::"))
        short = F.when(address.rlike(row), joined).otherwise(short)
    short = F.when(address == "0:0:0:0:0:0:0:0", "::").otherwise(short)
    return F.when(mapped.rlike(_IPV4), mapped).when(address.rlike(_IPV6), short)


def utc_timestamp(text: Column) -> Column:
    """Timestamp of ``YYYY-MM-DD hh:mm:ss[.f][zone]``, UTC where no zone is written.

    Whatever else Spark's cast would take (a year alone, a time alone, which would be today's) is
    null, and so are days before 1970.
    """
    trimmed = F.trim(F.substring(text, 1, 40))
    is_zoned = trimmed.rlike(r":\d{2}(\.\d+)?(Z|[+-]\d{2}:?\d{2})$")
    zoned = F.when(is_zoned, trimmed).otherwise(F.concat(trimmed, F.lit("Z")))
    parsed = F.when(trimmed.rlike(_TIME), zoned).try_cast("timestamp")
    return F.when(F.unix_micros(parsed) >= 0, parsed)


def micros(seconds: Column) -> Column:
    """Microseconds of a decimal number of seconds as text, exact, rounded half up; else null."""
    trimmed = F.trim(F.substring(seconds, 1, 40))
    exact = F.when(trimmed.rlike(_EPOCH), trimmed).try_cast("decimal(20,6)")
    return (exact * F.lit(1_000_000).cast("decimal(7,0)")).try_cast("bigint")


def epoch_timestamp(seconds: Column) -> Column:
    """Timestamp of seconds since 1970 as decimal text; null from the year 3000 on."""
    number = micros(seconds)
    return F.when(number < 32_503_680_000_000_000, F.timestamp_micros(number))


def json_objects(text: Column, names: Sequence[str]) -> Column:
    """Fields of a JSON object by exact name, each as text, as an array for :func:`only`.

    The structs' fields are named by :func:`field_name`, for names of JSON may differ in case
    alone (``ProcessId``, ``ProcessID``) and columns of Spark may not.

    Why ``from_json`` and not ``parse_json``: the same key twice in one object makes parse_json
    refuse the record, from_json takes the last as most readers do; and from_json took 0.8 s where
    ``variant_get`` took 3.5 s (56,979 Windows records of 60 MB, 53 fields, 2 cores). Why an
    array: alone, both read ``{…}{…}`` and ``{…} junk`` as the first object and drop the rest in
    silence.
    """
    fields = T.StructType([T.StructField(name, T.StringType()) for name in names])
    renamed = T.StructType([T.StructField(field_name(name), T.StringType()) for name in names])
    options = {"allowSingleQuotes": "false", "allowUnquotedControlChars": "true"}
    trimmed = F.trim(text, F.lit(" \t\r\n"))
    is_object = F.startswith(trimmed, F.lit("{")) & F.endswith(trimmed, F.lit("}"))
    array = F.when(is_object, F.concat(F.lit("["), trimmed, F.lit("]")))
    return F.from_json(array, T.ArrayType(fields), options).cast(T.ArrayType(renamed))


def why_no_object(text: Column) -> Column:
    """Why :func:`json_objects` finds no object in a line, as far as its text tells."""
    openings = F.length(text) - F.length(F.translate(text, "[{", ""))
    too_deep = f"the line is no JSON object, or one nested more than {MAX_DEPTH:,} deep"
    return F.coalesce(
        why_no_text(text),
        F.when(openings > MAX_DEPTH, too_deep),
        F.lit("the line is not one JSON object"),
    )


def why_no_text(text: Column) -> Column:
    """Why a line is not of a text file in UTF-8; null if it looks like one."""
    is_gzip = F.startswith(text, F.lit("\x1f\ufffd\x08"))
    return F.when(is_gzip, "the file is gzip, so its name must end in .gz").when(
        F.contains(text, F.lit("\0")), NO_TEXT
    )


def only(objects: Column) -> Column:
    """Return the one element of an array; null if there are none or several.

    Take ``objects`` from a column, not from the expression that makes it: it is named twice here
    and would be computed twice.
    """
    return F.when(F.size(objects) == 1, F.get(objects, 0))


def field_name(name: str) -> str:
    """Column name that stands for a JSON name, distinct without regard to case."""
    return "f_" + name.encode().hex()


def project(records: DataFrame, *, event_fields: Mapping[str, Column]) -> DataFrame:
    """Bring records into the shape of PARSED_COLUMNS; record → record.

    ``records`` holds RECORD_COLUMNS, value, outcome, event_table, ignored_type and reason;
    ``event_fields`` gives the event columns, null for all that is no event.
    """
    is_event = F.col("outcome") == "event"
    is_quarantined = F.col("outcome") == "quarantined"
    columns = {
        **{name: F.col(name) for name in (*RECORD_COLUMNS, "outcome")},
        "event_table": F.when(is_event, F.col("event_table")),
        "ignored_type": F.when(F.col("outcome") == "ignored", F.col("ignored_type")),
        "reason": F.when(is_quarantined, F.col("reason")),
        "raw_text": F.when(is_quarantined, F.substring("value", 1, RAW_TEXT_LENGTH)),
        **{name: F.when(is_event, column) for name, column in event_fields.items()},
    }
    return records.select(
        *(
            columns.get(column.name, F.lit(None)).cast(column.type).alias(column.name)
            for column in PARSED_COLUMNS
        )
    )
