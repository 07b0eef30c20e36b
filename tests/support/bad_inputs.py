"""Everything that arrives broken: each case declared once, run as users do, and looked up.

Cases run through :func:`shoal.cli.main` in the session of the caller, most of them together in one
command: beside each other and beside good files, so that every case also shows that no other is
lost. What needs a process of its own (rights, a full disk) is in :mod:`tests.support.confined`.
"""

import gzip
import json
import math
import re
import shutil
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from pyspark.sql import SparkSession
from tests.support.commands import shoal_here
from tests.support.confined import confined, write_closed
from tests.support.equality import differences
from tests.support.nights import QUICK

from shoal.contracts import TABLES

DAY = date(2024, 3, 4)
EMPTY_DAY = DAY + timedelta(days=1)
LAST_DAY = DAY + timedelta(days=2)
_TABLE_BY_NAME = {table.name: table for table in TABLES}


@dataclass(frozen=True)
class Case:
    """A fault, and where it must be found.

    Attributes
    ----------
    what : the fault, in words
    says : regular expression that the row or the message must match
    run : the run that it is part of, a property of :class:`BadInputs`
    where : ``message``, or the table that a row must be in
    column : column of that table that must match ``says``
    exit_code : what the command leaves with
    """

    what: str
    says: str
    run: str
    where: str = "message"
    column: str = ""
    exit_code: int = 0


@dataclass(frozen=True)
class FileCase(Case):
    """A broken file among good ones.

    Attributes
    ----------
    name : of the file, below the folder of its source
    write : writes it
    good : its records that must arrive whole, by program, responder's port or entity
    """

    run: str = "files"
    where: str = "quarantine"
    column: str = "reason"
    name: str = ""
    write: Callable[[Path], object] = Path.touch
    good: tuple[str, ...] = ()


@dataclass(frozen=True)
class EntityCase(Case):
    """A night whose entities are odd.

    Attributes
    ----------
    entity_type : of the rows looked at
    scored, unscored : entities of the type on the last night, by what became of them
    """

    run: str = "nights"
    entity_type: str = ""
    scored: int = 0
    unscored: int = 0


@dataclass(frozen=True)
class Outcome:
    """What a real run left: place, text and exit code."""

    where: str
    text: str
    exit_code: int


@dataclass(frozen=True)
class Ran:
    """One command that has run.

    Attributes
    ----------
    said : what it printed, by line; of a line of log the message
    """

    exit_code: int
    said: list[str]
    warehouse: Path = field(default_factory=Path)


# --- good records, of the formats that ingest reads ------------------------------------------


def event(program: str, **changes: Any) -> str:
    """A Sysmon process event as one line; a field set to ``None`` is left out."""
    record = {
        "EventID": 1,
        "SourceName": "Microsoft-Windows-Sysmon",
        "Hostname": "ws1",
        "UtcTime": f"{DAY} 12:00:00.000",
        "Image": f"C:\\{program}",
    }
    kept = {name: value for name, value in (record | changes).items() if value is not None}
    return json.dumps(kept, ensure_ascii=False)


CONN = (
    "#separator \\x09",
    "#path\tconn",
    "#fields\tts\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto",
)


def connection(port: int) -> str:
    """A line of Zeek's conn.log, by the header above."""
    seconds = int(datetime(DAY.year, DAY.month, DAY.day, 12, tzinfo=UTC).timestamp())
    return f"{seconds}.5\t10.0.0.1\t50000\t10.1.0.1\t{port}\ttcp"


def text(*lines: str, encoding: str = "utf-8", end: str = "\n") -> Callable[[Path], object]:
    """Write lines."""
    content = "".join(line + end for line in lines).encode(encoding, errors="surrogatepass")
    return lambda path: path.write_bytes(content)


def raw(content: bytes) -> Callable[[Path], object]:
    """Write bytes."""
    return lambda path: path.write_bytes(content)


def packed(*lines: str) -> bytes:
    """Lines as gzip."""
    return gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0)


def in_folder(path: Path) -> None:
    """A folder named like a file, with a file in it."""
    path.mkdir()
    text(event("folder.exe"))(path / "inner.json")


def loop(path: Path) -> None:
    """A link to the folder it lies in."""
    path.symlink_to(path.parent, target_is_directory=True)


_LONG = packed(*(event(f"t{number}.exe", RecordNumber=number * 7919) for number in range(2000)))
_CUT = _LONG[: len(_LONG) * 3 // 4]
_BEFORE_CUT = zlib.decompressobj(31).decompress(_CUT).decode(errors="replace").split("\n")[:-1]
_DAMAGED = _LONG[:-8] + bytes(8)  # other checksum and length than the content has
_DEEP = '{"a":' * 5000 + "1" + "}" * 5000

FILE_CASES = (
    FileCase(
        "gz cut short", "ends too early.*the records before that are read", name="cut.json.gz",
        write=raw(_CUT), good=tuple(json.loads(line)["Image"][3:] for line in _BEFORE_CUT),
    ),
    FileCase(
        "gz cut short, of a feature table", "ends too early", name="things/cut.csv.gz",
        write=raw(packed("id,day,a", *(f"x{n},{DAY},{n * 7919 % 1013}" for n in range(999)))[:999]),
    ),
    FileCase(
        "gz with a wrong checksum", "cannot be read: it is damaged", name="damaged.json.gz",
        write=raw(_DAMAGED),
    ),
    FileCase(
        ".gz that is no gzip", "not compressed as its name says", name="plain.json.gz",
        write=text(event("no.exe")),
    ),
    FileCase(
        "gzip not named .gz", "must end in .gz", name="hidden.json",
        write=raw(packed(event("no.exe"))),
    ),
    FileCase(
        "gz of two members", "^member", where="events_process", column="process_name",
        name="members.json.gz",
        write=raw(packed(event("member1.exe")) + packed(event("member2.exe"))),
        good=("member1.exe", "member2.exe"),
    ),
    FileCase(
        "half a JSON line", "not one JSON object", name="half.json",
        write=text(event("half1.exe"), event("no.exe")[:50], event("half2.exe")),
        good=("half1.exe", "half2.exe"),
    ),
    FileCase(
        "binary file", "the file is binary", name="binary.json", write=raw(bytes(range(256)) * 40)
    ),
    FileCase(
        "empty file", "^0$", where="ingest_files", column="read_count", name="empty.json",
    ),
    FileCase(
        "empty gz", "^0$", where="ingest_files", column="read_count", name="empty.json.gz",
        write=raw(packed()),
    ),
    FileCase(
        "header only", "^0$", where="ingest_files", column="read_count",
        name="zeek/conn.header.log", write=text(*CONN),
    ),
    FileCase(
        "header only, of a feature table", "^0$", where="ingest_files", column="read_count",
        name="things/header.csv", write=text("id,day,a"),
    ),
    FileCase(
        "wrong encoding: UTF-16", "UTF-16", name="utf16.json",
        write=text(event("no.exe"), encoding="utf-16"),
    ),
    FileCase(
        "wrong encoding: UTF-16, Zeek", "UTF-16", name="zeek/conn.utf16.log",
        write=text(*CONN, connection(1), encoding="utf-16"),
    ),
    FileCase(
        "wrong encoding: Latin-1", "^caf\ufffd$", where="events_process",
        column="process_command_line", name="latin.json",
        write=text(event("latin.exe", CommandLine="caf\xe9"), encoding="latin-1"),
        good=("latin.exe",),
    ),
    FileCase(
        "byte-order mark", "^bom1", where="events_process", column="process_name", name="bom.json",
        write=text("\ufeff" + event("bom1.exe"), event("bom2.exe")), good=("bom1.exe", "bom2.exe"),
    ),
    FileCase(
        "no time", "no usable time", name="time.json",
        write=text(event("no.exe", UtcTime=None), event("time.exe")), good=("time.exe",),
    ),
    FileCase(
        "no host", "no host name", name="host.json",
        write=text(event("no.exe", Hostname=None), event("host.exe")), good=("host.exe",),
    ),
    FileCase(
        "no address", "no usable id.orig_h", name="zeek/conn.address.log",
        write=text(*CONN, connection(1).replace("10.0.0.1", "-"), connection(444)), good=("444",),
    ),
    FileCase(
        "time in 1970", "event day 1970-01-01 is outside", name="1970.json",
        write=text(event("no.exe", UtcTime="1970-01-01 00:00:00.000"), event("then.exe")),
        good=("then.exe",),
    ),
    FileCase(
        "time in 2099", "event day 2099-01-01 is outside", name="2099.json",
        write=text(event("no.exe", UtcTime="2099-01-01 00:00:00.000"), event("later.exe")),
        good=("later.exe",),
    ),
    FileCase(
        "command line of 1 MB", "^x{32768}$", where="events_process",
        column="process_command_line", name="long.json",
        write=text(event("long1.exe", CommandLine="x" * 2**20), event("long2.exe")),
        good=("long1.exe", "long2.exe"),
    ),
    FileCase(
        "deep JSON", "nested more than 1,000 deep", name="deep.json",
        write=text(event("no.exe")[:-1] + f', "a": {_DEEP}}}', event("deep.exe")),
        good=("deep.exe",),
    ),
    FileCase(
        "emoji", "\U0001f600", where="events_process", column="process_name", name="emoji.json",
        write=text(event("\U0001f600.exe"), event("\U0001f468\u200d\U0001f469.exe")),
        good=("\U0001f600.exe", "\U0001f468\u200d\U0001f469.exe"),
    ),
    FileCase(
        "control characters, ANSI escapes", "\x1b\\[31m", where="events_process",
        column="process_command_line", name="ansi.json",
        write=text(event("ansi.exe", CommandLine="\x1b[31mred\x1b]0;title\x07\x00\x08")),
        good=("ansi.exe",),
    ),
    FileCase(
        "ProcessId and ProcessID", "^77$", where="events_process", column="process_pid",
        name="spelling.json", write=text(event("both.exe", ProcessId="77", ProcessID="88")),
        good=("both.exe",),
    ),
    FileCase(
        "a key twice", "^second.exe$", where="events_process", column="process_name",
        name="twice.json", write=text(event("first.exe")[:-1] + ', "Image": "C:\\\\second.exe"}'),
        good=("second.exe",),
    ),
    FileCase(
        "numbers as text", "^5$", where="events_process", column="process_pid",
        name="number.json", write=text(event("number.exe", EventID=" 1 ", ProcessId="0x5")),
        good=("number.exe",),
    ),
    FileCase(
        "line ends of Windows, none at the end", "^crlf", where="events_process",
        column="process_name", name="crlf.json",
        write=raw(f"{event('crlf1.exe')}\r\n{event('crlf2.exe')}".encode()),
        good=("crlf1.exe", "crlf2.exe"),
    ),
    FileCase(
        "a NUL byte in a line", "NUL characters", name="nul.json",
        write=text(event("no.exe").replace(",", "\0,", 1), event("nul.exe")), good=("nul.exe",),
    ),
    FileCase(
        "one JSON array instead of lines", "not one JSON object", name="array.json",
        write=text(f"[{event('no.exe')}, {event('no.exe')}]"),
    ),
    FileCase(
        "folder named like a file", "^folder.exe$", where="events_process", column="process_name",
        name="folder.json", write=in_folder, good=("folder.exe",),
    ),
    FileCase(
        "link to its own folder", "^good", where="events_process", column="process_name",
        name="loop", write=loop,
    ),
    FileCase(
        "Zeek without a header", "no #fields header", name="zeek/conn.bare.log",
        write=text(connection(1)),
    ),
    FileCase(
        "Zeek with two headers", "two different headers", name="zeek/conn.two.log",
        write=text(*CONN, connection(1), CONN[-1].replace("proto", "service"), connection(1)),
    ),
    FileCase(
        "half a Zeek line", "cells where the header has 6", name="zeek/conn.half.log",
        write=text(*CONN, connection(445), connection(1)[:28]), good=("445",),
    ),
    FileCase(
        "feature table with other columns", "has no column 'id', 'day'", name="things/other.csv",
        write=text("id;day;a", f"no;{DAY};1"),
    ),
    FileCase(
        "a feature that is no number", "not a number in column a", name="things/word.csv",
        write=text("id,day,a", f"no,{DAY},many", f"thing,{DAY},1"), good=("thing",),
    ),
)  # fmt: skip

MESSAGE_CASES = (
    Case("missing path", r"path '.*gone' does not exist", run="files"),
    Case("missing path, --strict", "faults were recorded: .*gone' does not", "strict", exit_code=3),
    Case("missing path, no other source", "gone' does not exist", "only_missing", exit_code=3),
    Case("folder without rights", "no right to list folder '.*closed'", run="rights"),
    Case("folder without rights in a folder", "no right to list folder '.*inner'", run="rights"),
    Case(
        "file without rights", "it may not be read: grant the right", run="rights",
        where="quarantine", column="reason",
    ),
    Case("unknown key", "fitt: unknown key; did you mean 'fit'", "unknown_key", exit_code=2),
    Case("wrong type", "fit.n_components: .*integer.*got 'six'", "wrong_type", exit_code=2),
    Case("configuration that is no YAML", "is not YAML", "no_yaml", exit_code=2),
    Case("configuration in UTF-16", "cannot be read", "utf16_yaml", exit_code=2),
    Case("configuration that is missing", "did you mean 'mine.yaml'", "no_conf", exit_code=2),
    Case("no tables yet", "does not exist.*run `shoal tables apply`", "no_tables", exit_code=2),
    Case("empty day, --date", f"no events from {EMPTY_DAY}", "empty_day", exit_code=3),
    Case(
        "empty day in a range", "published", run="nights", where="nights", column="state",
    ),
    Case(
        "disk full", "^shoal: (No space left on device|File too large): make", "full", exit_code=4
    ),
    Case("disk with room again", "published", "room", where="nights", column="state"),
)  # fmt: skip

ENTITIES = 30
ENTITY_CASES = (
    EntityCase(
        "day of one entity", "no_model", where="unscored", column="reason",
        entity_type="alone", unscored=1,
    ),
    EntityCase(
        "one entity with half of all events", "^host0$", where="outliers", column="entity_id",
        entity_type="host", scored=ENTITIES,
    ),
    EntityCase(
        "all entities equal", "^0.967", where="entity_scores", column="p_value",
        entity_type="equal", scored=ENTITIES,
    ),
    EntityCase(
        "a feature that is constant", r"^\d", where="entity_scores", column="anomaly_score",
        entity_type="odd", scored=ENTITIES, unscored=2,
    ),
    EntityCase(
        "a feature that is not finite", "non_finite", where="unscored", column="reason",
        entity_type="odd", scored=ENTITIES, unscored=2,
    ),
    Case("ANSI escapes on the list", r"\\x1b\[31mred\\x07", run="printed"),
)  # fmt: skip

CASES: tuple[Case, ...] = (*FILE_CASES, *MESSAGE_CASES, *ENTITY_CASES)


class BadInputs:
    """The runs behind the cases, each made when its first case asks for it."""

    def __init__(self, spark: SparkSession, empty_tables: Path, folder: Path) -> None:
        self._spark = spark
        self._empty = empty_tables
        self._folder = folder

    def check(self, case: Case) -> Outcome:
        """Look a case up in its run.

        Raises
        ------
        AssertionError
            If the fault is not where it was declared, or anything beside it was lost.
        """
        ran: Ran = getattr(self, case.run)
        assert ran.exit_code == case.exit_code, f"exit {ran.exit_code}\n" + "\n".join(ran.said)
        is_told = any(line.startswith("shoal: ") for line in ran.said)
        assert is_told == (case.exit_code != 0), ran.said
        if isinstance(case, FileCase):
            self._check_file(case, ran)
        if isinstance(case, EntityCase):
            self._check_entities(case, ran)
        if case.where == "message":
            found = [line for line in ran.said if re.search(case.says, line)]
            assert found, f"no line says {case.says!r}:\n" + "\n".join(ran.said)
        else:
            found = self._rows(case, ran)
            assert found, f"no row of {case.where}"
            found = [value for value in found if re.search(case.says, value)]
            assert found, f"no {case.column} of {case.where} is {case.says!r}"
        return Outcome(case.where, found[-1], ran.exit_code)

    def _rows(self, case: Case, ran: Ran) -> list[str]:
        """Values of the column that a case looks at, in its own rows."""
        rows = self._read(ran, case.where)
        if isinstance(case, FileCase) and case.write is not loop:
            rows = [row for row in rows if f"/logs/{case.name}" in row["source_file"]]
        if isinstance(case, EntityCase):
            rows = [row for row in rows if row["entity_type"] == case.entity_type]
            rows = [row for row in rows if row["event_date"] == LAST_DAY]
        return [str(row[case.column]) for row in rows]

    def _check_file(self, case: FileCase, ran: Ran) -> None:
        """Whether a file's good records, and those of the good files, are events and no others."""
        arrived = self._arrived[
            case.name.partition("/")[0] if case.write is in_folder else case.name
        ]
        assert arrived == Counter(case.good), case.name
        good = {name: records for name, records in self._arrived.items() if "good" in name}
        assert good == {name: Counter(records) for name, records in GOOD.items()}
        ledger = [row for row in self._read(ran, "ingest_files") if row["status"] != "unreadable"]
        kinds = ("event_count", "duplicate_count", "ignored_count", "quarantined_count")
        assert all(row["read_count"] == sum(row[kind] for kind in kinds) for row in ledger)

    def _check_entities(self, case: EntityCase, ran: Ran) -> None:
        """Whether every entity of a type has a finite score, or a row that says why not."""
        for table, count in (("entity_scores", case.scored), ("unscored", case.unscored)):
            rows = [
                row
                for row in self._read(ran, table)
                if (row["entity_type"], row["event_date"]) == (case.entity_type, LAST_DAY)
            ]
            assert len(rows) == count, (table, len(rows), rows[:3])
            numbers = [value for row in rows for value in row.values() if isinstance(value, float)]
            assert all(math.isfinite(value) for value in numbers), rows

    @cached_property
    def _arrived(self) -> dict[str, Counter[str]]:
        """Records that became events, by file."""
        found: dict[str, Counter[str]] = {}
        columns = {
            "events_process": "process_name",
            "events_network": "destination_port",
            "feature_rows": "entity_id",
        }
        for table, column in columns.items():
            for row in self._read(self.files, table):
                name = row["source_file"].partition("/logs/")[2]
                name = name.removesuffix("/inner.json")
                found.setdefault(name, Counter())[str(row[column])] += 1
        return found | {case.name: Counter() for case in FILE_CASES if case.name not in found}

    def _read(self, ran: Ran, table: str) -> list[dict[str, Any]]:
        path = str(ran.warehouse / table)
        names = _TABLE_BY_NAME[table].column_names
        rows = self._spark.read.format("delta").load(path).select(*names).collect()
        return [row.asDict() for row in rows]

    # --- runs --------------------------------------------------------------------------------

    @cached_property
    def files(self) -> Ran:
        """All broken files and some good ones, in one ingest."""
        logs = self._folder / "logs"
        for folder in (logs / "zeek", logs / "things"):
            folder.mkdir(parents=True)
        for case in FILE_CASES:
            case.write(logs / case.name)
        _write_good(logs)
        return self._shoal("ingest", "--conf", str(self._conf("files")), "--date", str(DAY))

    @cached_property
    def strict(self) -> Ran:
        """The same once more: all files are known, and the missing one is still missing."""
        return self._shoal(
            "ingest", "--conf", str(self._conf_after("files")), "--date", str(DAY), "--strict"
        )

    @cached_property
    def only_missing(self) -> Ran:
        """A missing path and nothing else."""
        gone = f"[{{name: gone, kind: zeek, paths: [{self._folder}/gone]}}]"
        conf = str(self._conf_after("files"))
        return self._shoal("ingest", "--conf", conf, "--set", f"sources={gone}")

    @cached_property
    def empty_day(self) -> Ran:
        """A night of a day without events."""
        conf = str(self._conf_after("nights"))
        return self._shoal("nightly", "--conf", conf, "--date", str(EMPTY_DAY))

    @cached_property
    def nights(self) -> Ran:
        """A range of three days, the one in the middle empty, with odd entities."""
        folder = self._folder / "odd"
        folder.mkdir()
        _write_odd_days(folder)
        ran = self._shoal(
            "nightly", "--conf", str(self._conf("nights")),
            "--start", str(DAY), "--end", str(LAST_DAY),
        )  # fmt: skip
        days = {row["event_date"] for row in self._read(ran, "nights")}
        assert days == {DAY, LAST_DAY}, ran.said
        return ran

    @cached_property
    def printed(self) -> Ran:
        """The list with an entity on it whose name would turn the terminal red."""
        ran = self._shoal("outliers", "--conf", str(self._conf_after("nights")), "--type", "odd")
        assert not any("\x1b" in line or "\x07" in line for line in ran.said)
        return ran

    @cached_property
    def _confined(self) -> tuple[Ran, Ran, Ran]:
        folder = self._folder / "rights"
        closed = write_closed(folder, self._warehouse("rights"), event)
        conf, before, after = self._conf("disk"), self._folder / "before", self._folder / "after"
        shutil.copytree(self._empty, before)
        _write_good(self._folder / "disk")
        whole = self._shoal("nightly", "--conf", str(conf), "--date", str(DAY))
        assert whole.exit_code == 0, whole.said
        for path in closed:
            path.chmod(0)
        try:
            ended = confined(
                self._folder, rights=folder / "rights.yaml", conf=conf, fresh=before, after=after,
                day=DAY,
            )  # fmt: skip
        finally:
            for path in closed:
                path.chmod(0o700)
        ran = ((ended.rights, self._warehouse("rights")), (ended.full, after))
        rights, full = (Ran(code, _messages(said), place) for (code, said), place in ran)
        room = self._shoal(
            "nightly", "--conf", str(conf), "--set", f"storage.path={after}", "--date", str(DAY)
        )
        assert differences(whole.warehouse, after) == []
        return rights, full, replace(room, warehouse=after)

    @cached_property
    def rights(self) -> Ran:
        """Folders and files that may not be read, beside some that may."""
        ran = self._confined[0]
        programs = Counter(row["process_name"] for row in self._read(ran, "events_process"))
        assert programs == Counter(["beside.exe", "above.exe", "open.exe"]), ran.said
        return ran

    @cached_property
    def full(self) -> Ran:
        """A night on a disk that fills up."""
        return self._confined[1]

    @cached_property
    def room(self) -> Ran:
        """The same command on those tables where there is room: equal to an undisturbed night."""
        return self._confined[2]

    @cached_property
    def unknown_key(self) -> Ran:
        """A section that there is not."""
        return self._with_yaml(yaml.safe_dump({"storage": {"path": "x"}, "fitt": {"tol": 1}}))

    @cached_property
    def wrong_type(self) -> Ran:
        """A word for a number."""
        return self._with_yaml("storage: {path: x}\nfit: {n_components: six}\n")

    @cached_property
    def no_yaml(self) -> Ran:
        """A bracket that stays open."""
        return self._with_yaml("storage: {path: [x}\n")

    @cached_property
    def utf16_yaml(self) -> Ran:
        """Another encoding."""
        return self._with_yaml("storage: {path: x}\n", encoding="utf-16")

    @cached_property
    def no_conf(self) -> Ran:
        """A name mistyped."""
        self._with_yaml("storage: {path: x}\n")
        return self._shoal("ingest", "--conf", str(self._folder / "yaml" / "mein.yaml"))

    @cached_property
    def no_tables(self) -> Ran:
        """A warehouse that nobody has set up."""
        return self._with_yaml(yaml.safe_dump({"storage": {"path": str(self._folder / "nowhere")}}))

    def _with_yaml(self, content: str, *, encoding: str = "utf-8") -> Ran:
        path = self._folder / "yaml" / "mine.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding=encoding)
        return self._shoal("ingest", "--conf", str(path))

    def _shoal(self, *arguments: str) -> Ran:
        """Run a command in the session there is."""
        code, said = shoal_here(*arguments)
        name = Path(arguments[2]).stem
        return Ran(code, _messages(said), self._folder / f"{name}-tables")

    def _warehouse(self, name: str) -> Path:
        path = self._folder / f"{name}-tables"
        return path if path.exists() else Path(shutil.copytree(self._empty, path))

    def _conf(self, name: str) -> Path:
        """The configuration of a run; its warehouse is made if there is none."""
        sections: dict[str, Any] = {
            "storage": {"path": str(self._warehouse(name))},
            "spark": QUICK,
            "log": {"format": "json"},
            **SECTIONS[name],
        }
        path = self._folder / f"{name}.yaml"
        content = yaml.safe_dump(sections).replace("FOLDER", str(self._folder))
        path.write_text(content, encoding="utf-8")
        return path

    def _conf_after(self, name: str) -> Path:
        getattr(self, name)
        return self._folder / f"{name}.yaml"


GOOD = {
    "good.json": tuple(f"good{number}.exe" for number in range(20)),
    "zeek/conn.good.log": tuple(str(8000 + number) for number in range(20)),
    "things/good.csv": tuple(f"good{number}" for number in range(20)),
}
MAKERS: dict[str, tuple[Callable[[str], str], Sequence[str]]] = {
    "good.json": (event, ()),
    "zeek/conn.good.log": (lambda port: connection(int(port)), CONN),
    "things/good.csv": (lambda name: f"{name},{DAY},1", ("id,day,a",)),
}
_READY = {"kind": "features", "id_column": "id", "date_column": "day"}
_ODD_TYPES = ("alone", "equal", "odd")
SECTIONS: dict[str, dict[str, Any]] = {
    "files": {
        "entities": ["host"],
        "sources": [
            {
                "name": "windows", "kind": "windows_json", "paths": ["FOLDER/logs"],
                "pattern": "*.json*",
            },
            {"name": "zeek", "kind": "zeek", "paths": ["FOLDER/logs/zeek"]},
            {"name": "things", "paths": ["FOLDER/logs/things"], "entity_type": "thing", **_READY},
            {"name": "gone", "kind": "zeek", "paths": ["FOLDER/gone"]},
        ],
    },
    "nights": {
        "entities": ["host"],
        "fit": {"n_components": 2, "min_entities": 5, "min_rows": 10},
        "outliers": {"max_p_value": 0.5},
        "sources": [
            {"name": "hosts", "kind": "windows_json", "paths": ["FOLDER/odd"], "pattern": "*.json"},
            *(
                {"name": name, "paths": [f"FOLDER/odd/{name}.csv"], "entity_type": name, **_READY}
                for name in _ODD_TYPES
            ),
        ],
    },
    "disk": {
        "entities": ["host"],
        "sources": [
            {"name": "windows", "kind": "windows_json", "paths": ["FOLDER/disk/good.json"]},
        ],
    },
}  # fmt: skip


def _write_good(folder: Path) -> None:
    """Write the good files."""
    for name, records in GOOD.items():
        make, header = MAKERS[name]
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        text(*header, *(make(record) for record in records))(folder / name)


def _write_odd_days(folder: Path) -> None:
    """Two days of hosts and of ready tables, odd on the last.

    Then one host makes half of all events; of the table ``odd`` one feature is constant, one row
    far out, with a name that would turn a terminal red, and two are not finite.
    """
    rows: dict[str, list[str]] = {name: ["id,day,a,b,c"] for name in _ODD_TYPES}
    lines = []
    for day in (DAY, LAST_DAY):
        counts = [8 + host % 5 for host in range(ENTITIES)]
        counts[0] = sum(counts[1:]) if day == LAST_DAY else counts[0]
        for host, count in enumerate(counts):
            for number in range(count):
                at = f"{day} {number % 24:02}:{host:02}:{number // 24:02}.000"
                changes = {"Hostname": f"host{host}", "UtcTime": at}
                lines.append(event(f"p{number % 7}.exe", **changes))
        rows["alone"].append(f"only,{day},1,2,3")
        for number in range(ENTITIES):
            wave = 10 + 3 * math.sin(number + day.toordinal())
            rows["equal"].append(f"e{number},{day},5,6,7")
            is_far = number == 0 and day == LAST_DAY
            name, value = ("\x1b[31mred\x07", 1e6) if is_far else (f"e{number}", wave)
            rows["odd"].append(f"{name},{day},{value:.4f},{wave * wave:.4f},7")
        rows["odd"] += [f"up,{day},inf,100,7", f"none,{day},10,nan,7"]
    for name, own in rows.items():
        text(*own)(folder / f"{name}.csv")
    text(*lines)(folder / "hosts.json")


def _messages(said: str) -> list[str]:
    """Lines that were printed; of JSON lines of the log the message."""
    found = []
    for line in said.splitlines():
        try:
            found.append(str(json.loads(line)["message"]))
        except (ValueError, TypeError, KeyError):
            found.append(line)
    return found
