"""Linux audit logs: lines brought together, raw and enriched, hostile records."""

from collections import Counter
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from tests.support.records import assert_golden, parse_folder, parse_lines

from shoal.sources.auditd_fields import folder_host
from shoal.sources.columns import NO_TEXT, content_id

SAMPLE = Path(__file__).parents[2] / "data" / "auditd"
NO_RECORD = "the line does not start with type= and msg=audit(time:serial)"
START = "arch=c000003e syscall=59 success=yes"
CONNECT = 'arch=c000003e syscall=42 success=yes exe="/bin/nc"'


def record(serial: int, body: str, *, type: str = "SYSCALL", time: str = "1714557600.5") -> str:
    return f"type={type} msg=audit({time}:{serial}): {body}"


def test_the_sample_is_read_as_recorded(spark: SparkSession) -> None:
    rows = parse_folder(spark, "auditd", SAMPLE)
    assert_golden(rows, SAMPLE.parent / "auditd.golden.jsonl")


def test_whatever_the_text_each_record_has_an_outcome(spark: SparkSession, tmp_path: Path) -> None:
    lines = {
        "hello": {NO_RECORD: 2},
        "type=SYSCALL msg=audit(1714557600.5": {NO_RECORD: 1},
        "type=SYSCALL msg=audit(05/01/2024 10:00:00.5:1) : " + START: {NO_RECORD: 1},
        '{"type":"SYSCALL"}': {NO_RECORD: 1},
        "type=\x00\x01": {NO_TEXT: 1},
        record(1, START + ' exe="/bin/x"', time="9" * 20 + ".1"): {
            "no usable time in msg=audit(time:serial)": 1
        },
        record(2, START): {"no usable exe": 1},
        record(3, START + " exe=(null)"): {"no usable exe": 1},
        record(4, START + ' exe=""'): {"no usable exe": 1},
        record(5, 'exe="/bin/x" pid=1'): {"no usable syscall": 1},
        record(6, ""): {"no usable syscall": 1},
        record(7, CONNECT): {"no usable saddr": 5},
        record(8, CONNECT) + "\n" + record(8, "saddr=0200", type="SOCKADDR"): {},
        record(9, CONNECT) + "\n" + record(9, "saddr=XYZ", type="SOCKADDR"): {},
        record(10, CONNECT) + "\n" + record(10, "saddr=0A0000500000", type="SOCKADDR"): {},
        record(11, CONNECT) + "\n" + record(11, "saddr=02000050GGGGGGGG", type="SOCKADDR"): {},
        record(12, CONNECT) + "\n" + record(12, "saddr=10000000", type="SOCKADDR"): {
            "auditd-connect-other": 1
        },
        record(13, "x", type="CONNECT"): {"auditd-connect-alone": 1},
        record(14, "x", type="X;'%"): {"auditd-x": 1},
        record(15, "cwd=1", type="CWD") + "\n" + record(15, "item=0", type="PATH"): {
            "auditd-cwd": 1
        },
        record(16, "", type="USER_LOGIN"): {"event": 4},
        # A name that looks like other fields; numbers that are none; bytes that are no UTF-8.
        record(17, START + ' pid=x ppid=-1 comm="x\'exe=/bin/ls" exe=2F78FF00'): {},
        # Places beyond all numbers, an odd number of digits, a piece without its first one.
        record(18, START + ' exe="/bin/cat"')
        + "\n"
        + record(18, f'a{"9" * 30}="x" a1=ABC a0="cat" a2[7]=41 a3= a4="" a5', type="EXECVE"): {},
        record(19, 'arch=zz syscall=openat exe="/bin/cat" success=maybe'): {},
    }
    texts = ["hello", *lines]
    (tmp_path / "h1" / "var" / "log" / "audit").mkdir(parents=True)
    # An event whose lines lie in two files; the same event of another file.
    parts = {
        "h1/audit.log.1": [record(30, START)],
        "h1/audit.log": [record(30, 'a0="late"', type="EXECVE")],
    }
    own = "h1/var/log/audit/audit.log"
    rows = parse_lines(spark, "auditd", tmp_path, {own: texts, **parts})
    expected = Counter({"auditd-execve-alone": 1, "no usable exe": 1})
    for counts in lines.values():
        expected.update(counts)
    outcomes = Counter(row.reason or row.ignored_type or row.outcome for row in rows)
    assert outcomes == expected
    assert {row.raw_text for row in rows if row.reason == NO_TEXT} == {"type=\x00\x01"}
    events = {row.process_path: row for row in rows if row.outcome == "event"}
    assert {row.host_name for row in events.values()} == {"h1"}
    hostile = events["/x\ufffd"]
    assert (hostile.process_pid, hostile.process_parent_pid) == (None, None)
    started = [row for row in rows if row.event_code == "auditd-execve" and row.outcome == "event"]
    assert {row.process_command_line for row in started} == {None, "x cat ABCA"}
    names = {row.syscall_name for row in rows if row.event_table == "syscall"}
    assert names == {"openat"}


def test_an_event_does_not_depend_on_the_order_of_its_lines(
    spark: SparkSession, tmp_path: Path
) -> None:
    first = record(1, START + ' exe="/bin/cat"')
    second = record(1, 'a0="cat"', type="EXECVE")
    (row, same) = parse_lines(
        spark, "auditd", tmp_path, {"a.log": [first, second], "b.log": [second, first]}
    )
    assert row.event_id == same.event_id
    ids = sorted(content(spark, text) for text in (first, second))
    assert row.event_id == content(spark, "\n".join(ids))
    assert row.process_command_line == same.process_command_line == "cat"


def content(spark: SparkSession, text: str) -> str:
    row = spark.range(1).select(content_id(F.lit(text)).alias("id")).first()
    assert row is not None
    return str(row.id)


def test_folders_that_every_machine_has_are_no_host(spark: SparkSession) -> None:
    paths = {
        "file:/var/log/audit/audit.log": None,
        "file:/logs/web1/audit.log": "web1",
        "file:/logs/web1/var/log/audit/audit.log.1": "web1",
        "s3a://bucket/web1/audit.log": "web1",
    }
    files = spark.createDataFrame([(path,) for path in paths], "path string")
    found = files.select("path", folder_host(F.col("path")).alias("host")).collect()
    assert {row.path: row.host for row in found} == paths
