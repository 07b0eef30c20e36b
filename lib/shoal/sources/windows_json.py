"""Windows events as JSON lines: Sysmon and the Security log.

Three shapes are read: flat (NXLog), nested in ``event_data`` (winlogbeat) and the cloud table
form with ``EventData`` as JSON or XML text. Names are matched by case: ``ProcessId`` and
``ProcessID`` both occur and differ.

=============  =======  ==========  ===============================================
record         table    action      of whom, on what
=============  =======  ==========  ===============================================
sysmon-1       process              Image, User
sysmon-3       network              Image, User
sysmon-7       file     loaded      Image, User: the library, its hash and signature
sysmon-11      file                 Image, User: the file
sysmon-22      dns                  Image, User: the name asked for
security-4624  auth                 target user, ProcessName
security-4625  auth                 as 4624, refused
security-4634  auth     logged_off  target user
security-4648  auth     explicit    subject, ProcessName: the server logged on to
security-4672  auth     privileged  subject
security-4688  process              target user if there is one, else the subject
security-4698  process  scheduled   subject: the task, and what it starts
security-5140  file     shared      subject: the share
security-5156  network              Application
=============  =======  ==========  ===============================================
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.sources import columns as c
from shoal.sources.json_text import add_object, field_name, why_no_object
from shoal.sources.mapping import parse_events
from shoal.sources.windows_fields import RECORD_TYPES, WORDS, rules
from shoal.sources.windows_values import add_parts

HOST = ("Hostname", "computer_name", "Computer")
PROVIDER = ("SourceName", "source_name", "Provider", "EventSourceName", "ProviderName")
CHANNEL = ("Channel", "log_name", "channel")
EVENT_NUMBER = ("EventID", "event_id")
TIME = ("@timestamp", "TimeGenerated", "TimeCreated")
NESTED = ("event_data", "EventData")
DATA = (
    "UtcTime",
    "SourceModuleType",
    "ProcessId",
    "ProcessID",
    "NewProcessId",
    "Image",
    "NewProcessName",
    "ProcessName",
    "Application",
    "CommandLine",
    "ParentProcessId",
    "ParentImage",
    "ParentProcessName",
    "User",
    "SubjectUserName",
    "SubjectDomainName",
    "TargetUserName",
    "TargetDomainName",
    "TargetFilename",
    "SourceIp",
    "SourceAddress",
    "SourcePort",
    "DestinationIp",
    "DestAddress",
    "DestinationPort",
    "DestPort",
    "Protocol",
    "Direction",
    "Initiated",
    "IpAddress",
    "IpPort",
    "WorkstationName",
    "LogonType",
    "AuthenticationPackageName",
    "SubjectUserSid",
    "TargetUserSid",
    "TargetServerName",
    "OriginalFileName",
    "ImageLoaded",
    "Hashes",
    "Signed",
    "SignatureStatus",
    "QueryName",
    "QueryStatus",
    "QueryResults",
    "TaskName",
    "TaskContent",
    "ShareName",
)
TOP = (*HOST, *PROVIDER, *CHANNEL, *EVENT_NUMBER, *TIME, *NESTED, *DATA)
MAX_EVENT_NUMBER = 65535
_PROVIDERS = {
    "microsoft-windows-sysmon": "sysmon",
    "microsoft-windows-security-auditing": "security",
}
_CHANNELS = {"microsoft-windows-sysmon/operational": "sysmon", "security": "security"}
_XML_SCHEMA = "Data array<struct<_Name string, _VALUE string>>"


def parse_windows_json(lines: DataFrame) -> DataFrame:
    """Normalise Windows events; line → record, in the shape of PARSED_COLUMNS.

    Parameters
    ----------
    lines : DataFrame
        As :func:`shoal.sources.files.read_lines` yields.
    """
    return (
        lines.transform(_add_layers)
        .transform(_add_fields)
        .transform(_add_record_type)
        .transform(add_parts)
        .transform(parse_events, rules(), fault=_fault(), words=WORDS)
    )


def _add_layers(lines: DataFrame) -> DataFrame:
    """Add ``top``, the record's own fields, and ``data``, those nested in it."""
    nested = F.coalesce(*(_top(name) for name in NESTED))
    is_xml = F.startswith(F.ltrim("nested"), F.lit("<"))
    return (
        lines.transform(add_object, "top", F.col("value"), TOP)
        .withColumn("nested", nested)
        .withColumn(
            "nested", F.when(is_xml, _json_of_xml(F.col("nested"))).otherwise(F.col("nested"))
        )
        .transform(add_object, "data", F.col("nested"), DATA)
    )


def _json_of_xml(text: Column) -> Column:
    """Items ``<Data Name="…">…</Data>`` as a JSON object; null if it is no XML.

    Spark's XML reader knows no document types, so entities of one's own are not expanded.
    """
    items = F.from_xml(text, _XML_SCHEMA, {"ignoreSurroundingSpaces": "false"})["Data"]
    named = F.filter(items, lambda item: item["_Name"].isNotNull())
    members = F.transform(
        named, lambda item: F.concat(_quoted(item["_Name"]), F.lit(":"), _quoted(item["_VALUE"]))
    )
    return F.concat(F.lit("{"), F.array_join(members, ","), F.lit("}"))


def _quoted(text: Column) -> Column:
    """Text as JSON: what to_json puts between the brackets of an array of one."""
    return F.regexp_replace(F.to_json(F.array(text)), r"(?s)^\[(.*)\]$", "$1")


def _add_fields(records: DataFrame) -> DataFrame:
    """Add each field of DATA by its field name: the nested one, else the record's own."""
    names = [field_name(name) for name in DATA]
    return records.withColumns(
        {name: F.coalesce(F.col("data")[name], F.col("top")[name]) for name in names}
    )


def _add_record_type(records: DataFrame) -> DataFrame:
    """Add provider, event_number, record_type (``sysmon-1``), host and time, as text.

    The provider decides, so that event 1 of another provider is no Sysmon event; the channel
    stands in where no provider is written. Sysmon's own UtcTime goes before the other times: they
    may be hours away from it.
    """
    provider = F.lower(F.trim(_first(PROVIDER)))
    channel = F.lower(F.trim(_first(CHANNEL)))
    family = F.when(provider.isNotNull(), c.named(provider, _PROVIDERS)).otherwise(
        c.named(channel, _CHANNELS)
    )
    number = c.whole_number(_first(EVENT_NUMBER))
    own_time = F.when(F.col("provider") == "sysmon", F.col(field_name("UtcTime")))
    times = (own_time, *(_top(name) for name in TIME))
    return (
        records.withColumn("provider", F.coalesce(family, c.slug(F.coalesce(provider, channel))))
        .withColumn("event_number", F.when(number <= MAX_EVENT_NUMBER, number))
        .withColumn("record_type", F.concat_ws("-", "provider", "event_number"))
        .withColumn("host", F.coalesce(*(c.domain_name(_top(name)) for name in HOST)))
        .withColumn("time", F.coalesce(*(F.when(_is_time(time), time) for time in times)))
    )


def _is_time(text: Column) -> Column:
    return c.utc_timestamp(text).isNotNull()


def _fault() -> Column:
    """Why a record cannot be read: no JSON, of unknown type, or of a known one and no host's."""
    lacks_host = F.col("record_type").isin(*RECORD_TYPES) & F.col("host").isNull()
    return (
        F.when(F.col("top").isNull(), why_no_object(F.col("value")))
        .when(F.col("event_number").isNull(), "no event id (EventID, event_id) from 0 to 65535")
        .when(F.col("provider").isNull(), "neither provider nor channel, so its type is unknown")
        .when(lacks_host, f"no {WORDS['host_name']}")
    )


def _top(name: str) -> Column:
    return F.col("top")[field_name(name)]


def _first(names: tuple[str, ...]) -> Column:
    return F.coalesce(*(c.clean(_top(name)) for name in names))
