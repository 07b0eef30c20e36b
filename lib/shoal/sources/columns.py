"""Column expressions that sources share: text of the log in, clean values out.

The text was written by whoever runs the logged machine, and Spark runs in ANSI mode: nothing here
may throw, whatever the text. What cannot be read is null.
"""

from collections.abc import Callable, Mapping

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from shoal.contracts.events import PARSED_COLUMNS

NAME_LENGTH = 256
PATH_LENGTH = 4096
COMMAND_LINE_LENGTH = 32 * 1024
RAW_TEXT_LENGTH = 8 * 1024
TYPE_LENGTH = 64
MAX_PORT = 65535
_FIRST_ERROR_STATUS = 400
MAX_COUNT = 2**50
"""Largest bytes and packets of a record: a thousand times a thousand of them still fit a long."""
MAX_DURATION_US = 2**45
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
_BEFORE_AT = r"(?s)^(.+?)(?:@[^@]*)?$"
_WITH_AT = r"^[^@].*@[^@]+$"
_URL = r"^(?:[A-Za-z][A-Za-z0-9+.-]*://)?(?:[^/?#@]*@)?(\[[^\]]*\]|[^/?#:@]+)(?::\d*)?([/?#].*)?$"
_IPV4 = r"^\d{1,3}(\.\d{1,3}){3}$"
_LEADING_ZEROS = "(^|:)0{1,3}(?=[0-9a-f]+(?::|$))"
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
    r"""``user`` of ``DOMAIN\user`` or ``user@domain``, in lower case."""
    cleaned = clean(user)
    parted = F.contains(cleaned, F.lit("\\"))
    name = F.when(parted, F.substring_index(cleaned, "\\", -1)).otherwise(
        F.regexp_extract(cleaned, _BEFORE_AT, 1)
    )
    return clean_lower(name)


def account_domain(user: Column) -> Column:
    r"""``domain`` of ``DOMAIN\user`` or ``user@domain``, in lower case; null without one."""
    cleaned = clean(user)
    parted = F.contains(cleaned, F.lit("\\"))
    return F.when(parted, clean_lower(F.substring_index(cleaned, "\\", 1))).when(
        cleaned.rlike(_WITH_AT), clean_lower(F.substring_index(cleaned, "@", -1))
    )


def domain_name(text: Column) -> Column:
    """Name of a machine or domain, in lower case, without a dot at its end."""
    return clean_lower(F.rtrim(clean(text), F.lit(".")))


def url_domain(text: Column) -> Column:
    """Host of a web address, with or without a scheme, in lower case; null if there is none."""
    host = F.regexp_extract(F.substring(text, 1, PATH_LENGTH), _URL, 1)
    return domain_name(F.regexp_replace(host, r"^\[|\]$", ""))


def url_path(text: Column) -> Column:
    """Path and query of a web address, with or without a scheme; null if there is none."""
    return clean(F.regexp_extract(F.substring(text, 1, PATH_LENGTH), _URL, 2), PATH_LENGTH)


def named(key: Column, names: Mapping[str, str]) -> Column:
    """What a key stands for; null for one that is not among ``names``."""
    pairs = (F.lit(text) for pair in names.items() for text in pair)
    return F.try_element_at(F.create_map(*pairs), key)


def is_error_status(status: Column) -> Column:
    """Whether a status of HTTP, as text, says that the request failed."""
    return whole_number(status) >= _FIRST_ERROR_STATUS


def flag(text: Column) -> Column:
    """Boolean of true, t, yes, 1 and their opposites; null for all else."""
    lowered = F.lower(F.trim(F.substring(text, 1, 16)))
    return F.when(lowered.isin("true", "t", "yes", "1"), True).when(
        lowered.isin("false", "f", "no", "0"), False
    )


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

    IPv6 is in lower case, without a zone and without zeros before a group's digits (Suricata,
    osquery and auditd write all four), its longest row of zero groups as ``::`` (Sysmon
    writes ``fe80:0:0:0:1:2:3:4`` where the Security log writes ``fe80::1:2:3:4``); IPv4 mapped
    into IPv6 is IPv4.
    """
    lowered = F.lower(F.trim(F.substring(text, 1, 64)))
    ipv6 = once(lowered, _ipv6)
    return F.when(text.contains(":"), ipv6).otherwise(F.when(lowered.rlike(_IPV4), lowered))


def _ipv6(text: Column) -> Column:
    address = F.regexp_replace(F.substring_index(text, "%", 1), _LEADING_ZEROS, "$1")
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


def once(text: Column, function: Callable[[Column], Column]) -> Column:
    """``function`` of a text that it names more than once, as one that names it once.

    An array of one and its transform. Else the text is computed once a mention, and where Spark
    follows a key of a join through projections, each mention brings the whole of what is below:
    that has filled a heap of 2 GB.
    """
    return F.get(F.transform(F.array(text), function), 0)


def any_timestamp(text: Column) -> Column:
    """Timestamp of a date and time, or of a number since 1970.

    Of the number's size its unit is told: seconds up to 11 digits before the point (the year
    5138), then milliseconds, microseconds and nanoseconds.
    """
    return once(F.trim(F.substring(text, 1, 40)), _any_timestamp)


def _any_timestamp(trimmed: Column) -> Column:
    whole = F.when(trimmed.rlike(r"^\d{12,19}$"), trimmed)
    digits = F.length(whole)
    shift = F.when(digits <= 14, 3).when(digits <= 17, 6).when(digits <= 19, 9)
    seconds = F.concat(
        F.call_function("left", whole, digits - shift),
        F.lit("."),
        F.call_function("right", whole, shift),
    )
    return F.coalesce(epoch_timestamp(F.coalesce(seconds, trimmed)), utc_timestamp(trimmed))


def no_records(spark: SparkSession) -> DataFrame:
    """No record, in the shape of PARSED_COLUMNS."""
    fields = [T.StructField(column.name, column.type) for column in PARSED_COLUMNS]
    return spark.createDataFrame([], T.StructType(fields))


def why_no_text(text: Column) -> Column:
    """Why a line is not of a text file in UTF-8; null if it looks like one."""
    is_gzip = F.startswith(text, F.lit("\x1f\ufffd\x08"))
    return F.when(is_gzip, "the file is gzip, so its name must end in .gz").when(
        F.contains(text, F.lit("\0")), NO_TEXT
    )


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
