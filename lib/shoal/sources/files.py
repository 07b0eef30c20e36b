"""Raw files: which there are, and their lines.

Everything here reads through Spark, so that local folders and object stores are alike.
"""

import hashlib
import os
import posixpath
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from urllib.parse import unquote

from pyspark.errors import AnalysisException, IllegalArgumentException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from shoal.errors import DataError, UnreadableFileError
from shoal.sources.columns import content_id

READ_OPTIONS = {
    # Zeek names files by the hour (conn.00:00:00-01:00:00.log.gz). Hadoop's usual local file
    # system looks for a checksum file beside each and fails on a name with a colon; the raw one
    # reads it. Only the scheme file: is concerned.
    "fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
    "fs.file.impl.disable.cache": "true",
    # No folder such as day=1 becomes a column.
    "recursiveFileLookup": "true",
}
LINES_SCHEMA = "source_name string, source_file string, file_id string, value string"
_GLOB = re.compile(r"([\\{}\[\]*?])")
_DENIED = re.compile(
    r"Access(?:Denied|Control)Exception: (?:Permission denied[^\n]*?inode=\"?)?((?:\w+://)?[^\n:\"]+)"
)
_FAILED_READ = re.compile(
    r"\[(FAILED_READ_FILE|PATH_NOT_FOUND)[.\w]*\] .*?(?:reading file|does not exist:) (\S+?)\.?\s"
)
_CAUSES = {
    "EOFException": "it ends too early, as after a copy that was cut short",
    "IOException": "it is damaged, or not compressed as its name says",
    "FileNotFoundException": "it is gone",
}
"""Java's exceptions in words; those that are not here stand for themselves."""
_NO_RIGHT = "it may not be read: grant the right"
_PROBED_AT_ONCE = 64


@dataclass(frozen=True)
class RawFile:
    """One version of one raw file.

    ``source_file`` is the plain path as Spark shows it (not percent-encoded);
    ``file_id`` changes with source, path, size and time of change. Of an empty file the time is
    not known, nor does it matter.
    """

    file_id: str
    source_file: str
    size_bytes: int
    modified_ts: datetime | None


def list_files(
    spark: SparkSession,
    paths: Sequence[str],
    *,
    source_name: str,
    pattern: str | None = None,
    on_denied: Callable[[DataError], None] | None = None,
) -> list[RawFile]:
    """List the raw files under some paths, without reading them.

    Parameters
    ----------
    spark : SparkSession
    paths : sequence of str
        Files, folders (searched to any depth) or Hadoop globs. A character of ``{}[]*?`` or a
        backslash that belongs to a name is written with a backslash before it.
    source_name : str
        Name of the configured source.
    pattern : str, optional
        Hadoop glob that the file's own name must match.
    on_denied : callable, optional
        Told of each folder below a local path that may not be listed; the others are listed all
        the same. By default such a folder is an error.

    Returns
    -------
    list of RawFile
        Sorted by path, each file once, also where symbolic links give it several paths; empty
        files, too. Hidden files (``_x``, ``.x``) are left out, as everywhere in Spark.

    Raises
    ------
    DataError
        If a path doesn't exist or may not be listed, or a glob matches nothing.
    """
    if not paths:
        raise DataError(f"source {source_name!r}: no paths are configured; set its paths")
    found = [
        file
        for path in dict.fromkeys(paths)
        for file in _list_allowed(spark, path, source_name, pattern, on_denied)
    ]
    return sorted(_once(found), key=lambda file: file.source_file)


def _once(files: Sequence[RawFile]) -> list[RawFile]:
    """Each file by one path: a link to a folder above itself gives every file there dozens.

    Its own path if that is among them, else the shortest, so that the choice stays the same.
    """
    found: dict[str, RawFile] = {}
    for file in sorted(files, key=lambda file: (len(file.source_file), file.source_file)):
        local = _local_path(file.source_file)
        own = file.source_file if local is None else os.path.realpath(local)
        if own not in found or local == own:
            found[own] = file
    return list(found.values())


def _local_path(path: str) -> str | None:
    """Path on this machine's file system, ``None`` if it is on another."""
    if path.startswith("file:"):
        return re.sub(r"^file:/+", "/", path)
    return None if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", path) else path


def _list_allowed(
    spark: SparkSession,
    path: str,
    source_name: str,
    pattern: str | None,
    on_denied: Callable[[DataError], None] | None,
) -> list[RawFile]:
    """List a path; where a folder in it may not be listed, say so and list the others."""
    try:
        return _list_path(spark, path, source_name=source_name, pattern=pattern)
    except Exception as error:  # py4j's own, which Connect doesn't have
        denied = _DENIED.search(str(error))
        if denied is None:
            raise
        fault = _no_right(source_name, denied[1].strip())
        folder = _local_path(path)
        if on_denied is None or folder is None or not os.access(folder, os.R_OK | os.X_OK):
            raise fault from error
    files, closed = _walk(folder)
    for name in closed:
        on_denied(_no_right(source_name, name))
    listed = []
    for start in range(0, len(files), _PROBED_AT_ONCE):
        some = [escape_path(file) for file in files[start : start + _PROBED_AT_ONCE]]
        listed += _collect_files(spark, some, source_name=source_name, pattern=pattern)
    return listed


def _no_right(source_name: str, folder: str) -> DataError:
    return DataError(
        f"source {source_name!r}: no right to list folder {folder!r}: grant the right, or take it "
        "out of the source's paths; its files are read once it can be listed"
    )


def _walk(folder: str) -> tuple[list[str], list[str]]:
    """Files below a local folder, and the folders in it that may not be listed."""
    files, closed = [], []
    denied: list[OSError] = []
    for place, folders, names in os.walk(folder, onerror=denied.append, followlinks=False):
        folders[:] = [name for name in folders if not name.startswith(("_", "."))]
        files += [os.path.join(place, name) for name in names if not name.startswith(("_", "."))]  # noqa: PTH118
    closed = [str(error.filename) for error in denied]
    return [file for file in files if os.path.isfile(file)], sorted(closed)  # noqa: PTH113


def _list_path(
    spark: SparkSession, path: str, *, source_name: str, pattern: str | None
) -> list[RawFile]:
    try:
        return _collect_files(spark, path, source_name=source_name, pattern=pattern)
    except AnalysisException as error:
        if error.getCondition() != "PATH_NOT_FOUND":
            raise
        raise DataError(
            f"source {source_name!r}: path {path!r} does not exist or matches no file; "
            "correct the source's paths, or put the files there"
        ) from error
    except IllegalArgumentException as error:
        folder, _, name = path.rpartition("/")
        is_colon = "Relative path in absolute URI" in str(error)
        if not is_colon or not folder or pattern or "{" in folder:
            raise DataError(
                f"source {source_name!r}: cannot search path {path!r} ({error}); where names "
                "hold a colon give the folder as path and match the names by pattern"
            ) from error
    # Hadoop cannot match a glob against names with a colon, but can list their folder. To any
    # depth: otherwise Spark takes folders such as day=1 for partitions and drops what is beside.
    found = _collect_files(spark, folder, source_name=source_name, pattern=name)
    return [file for file in found if _is_in(file.source_file, folder)]


def _is_in(source_file: str, folder: str) -> bool:
    """Whether a file lies right in a folder, given as a glob, absolute or relative."""
    own = [part for part in source_file.removeprefix("file:").split("/")[:-1] if part]
    parts = re.sub(r"^file:/+", "/", posixpath.normpath(folder)).split("/")
    wanted = [part for part in parts if part not in {"", ".", ".."}]
    is_relative = "/" not in folder[:1] and ":" not in folder
    if len(own) < len(wanted) or (len(own) > len(wanted) and not is_relative):
        return False
    return all(map(fnmatchcase, own[len(own) - len(wanted) :], wanted))


def _collect_files(
    spark: SparkSession, path: str | list[str], *, source_name: str, pattern: str | None
) -> list[RawFile]:
    named = {} if pattern is None else {"pathGlobFilter": pattern}
    files = spark.read.format("binaryFile").options(**READ_OPTIONS, **named).load(path)
    # Selecting no content makes this source read no content.
    rows = files.select(
        file_id_column(source_name).alias("file_id"),
        source_file_column().alias("source_file"),
        F.col("_metadata.file_size").alias("size_bytes"),
        F.col("_metadata.file_modification_time").alias("modified_ts"),
    ).collect()
    found = [RawFile(**row.asDict()) for row in rows]
    # Spark reads no empty files, so they have no row; but it lists them.
    empty = {_plain_path(uri) for uri in files.inputFiles()} - {file.source_file for file in found}
    return found + [_empty_file(source_name, path) for path in sorted(empty)]


def _empty_file(source_name: str, source_file: str) -> RawFile:
    text = f"{source_name}\n{source_file}\n0"
    return RawFile(hashlib.sha256(text.encode()).hexdigest()[:32], source_file, 0, None)


def _plain_path(uri: str) -> str:
    """Plain path of one that Spark shows percent-encoded."""
    return re.sub("^file:/+", "file:/", unquote(uri))


def find_unreadable(error: Exception) -> UnreadableFileError | None:
    """The raw file that a failed read was about, ``None`` if it failed for another reason.

    Spark names the file in its message only: a truncated gzip, a Parquet file without a footer, a
    file that is gone. What it says beyond that quotes the file, so only the exception's name stays.
    """
    if isinstance(error, UnreadableFileError):
        return error
    match = _FAILED_READ.search(str(error))
    if match is None:
        return None
    path = _plain_path(match[2])
    causes = re.findall(r"Caused by: [\w.$]*?(\w+(?:Exception|Error))\b", str(error))
    cause = causes[-1] if causes else match[1]
    is_denied = "Permission denied" in str(error) or _DENIED.search(str(error)) is not None
    words = _NO_RIGHT if is_denied else _CAUSES.get(cause)
    reason = f"{words} ({cause})" if words else cause
    return UnreadableFileError(path, reason, is_cut=cause == "EOFException")


def find_all_unreadable(
    spark: SparkSession, files: Sequence[RawFile]
) -> dict[str, UnreadableFileError]:
    """Files whose lines cannot be read to the end, by ``source_file``.

    A failed read names one file. Here all are read again, as lines and no more, some at a time:
    one more reading finds them all, where the whole work would have to be begun anew for each.
    """
    found = {}
    for start in range(0, len(files), _PROBED_AT_ONCE):
        left = list(files[start : start + _PROBED_AT_ONCE])
        while left:
            paths = [escape_path(file.source_file) for file in left]
            try:
                spark.read.options(**READ_OPTIONS).text(paths).count()
                break
            except Exception as error:
                bad = find_unreadable(error)
                if bad is None or all(file.source_file != bad.source_file for file in left):
                    raise
                found[bad.source_file] = bad
                left = [file for file in left if file.source_file != bad.source_file]
    return found


def source_file_column() -> Column:
    """Path of the file a row was read from, plain: what ``RawFile.source_file`` holds."""
    encoded = F.replace(F.col("_metadata.file_path"), F.lit("+"), F.lit("%2B"))
    return F.regexp_replace(F.try_url_decode(encoded), "^file:///", "file:/")


def file_id_column(source_name: str) -> Column:
    """Id of the file a row was read from: what ``RawFile.file_id`` holds.

    It stands in every row by Spark's own file metadata, so no join is needed.
    """
    parts = (
        F.lit(source_name),
        source_file_column(),
        F.col("_metadata.file_size").cast("string"),
        F.unix_micros("_metadata.file_modification_time").cast("string"),
    )
    return content_id(F.concat_ws("\n", *parts))


def escape_path(path: str) -> str:
    """Return a plain path such that Spark takes no character of it for a glob."""
    return _GLOB.sub(r"\\\1", path)


def read_lines(
    spark: SparkSession, files: Sequence[RawFile], *, source_name: str, is_cut: bool = False
) -> DataFrame:
    """Read text files, plain or compressed by suffix; file → line.

    Parameters
    ----------
    spark : SparkSession
    files : sequence of RawFile
    source_name : str
    is_cut : bool
        The files are known to end too early: their whole lines are read instead of none.

    Returns
    -------
    DataFrame
        One row for each line that is not blank: source_name, source_file, file_id, value,
        event_id. A byte-order mark at the start of a file is dropped (by the reader), bytes that
        are no UTF-8 become U+FFFD. ``file_id`` is that of the file as it was when its lines were
        read: one that changed since it was listed has another.
    """
    if not files:
        return spark.createDataFrame([], LINES_SCHEMA + ", event_id string")
    paths = [escape_path(file.source_file) for file in files]
    leniency = {"ignoreCorruptFiles": "true"} if is_cut else {}
    return (
        spark.read.options(**READ_OPTIONS, **leniency)
        .text(paths)
        .where(F.col("value").rlike(r"\S"))
        .select(
            F.lit(source_name).alias("source_name"),
            source_file_column().alias("source_file"),
            file_id_column(source_name).alias("file_id"),
            F.make_valid_utf8("value").alias("value"),
            content_id(F.col("value")).alias("event_id"),
        )
    )
