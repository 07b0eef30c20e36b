"""Raw files: which there are, and their lines.

Everything here reads through Spark, so that local folders and object stores are alike.
"""

import posixpath
import re
from collections.abc import Sequence
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
_FAILED_READ = re.compile(
    r"\[(FAILED_READ_FILE|PATH_NOT_FOUND)[.\w]*\] .*?(?:reading file|does not exist:) (\S+?)\.?\s"
)


@dataclass(frozen=True)
class RawFile:
    """One version of one raw file.

    ``source_file`` is the plain path as Spark shows it (not percent-encoded);
    ``file_id`` changes with source, path, size and time of change.
    """

    file_id: str
    source_file: str
    size_bytes: int
    modified_ts: datetime


def list_files(
    spark: SparkSession, paths: Sequence[str], *, source_name: str, pattern: str | None = None
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

    Returns
    -------
    list of RawFile
        Sorted by path, each file once. Hidden files (``_x``, ``.x``) are left out, as everywhere
        in Spark. Empty if the folders are.

    Raises
    ------
    DataError
        If a path doesn't exist, or a glob matches nothing.
    """
    if not paths:
        raise DataError(f"source {source_name!r}: no paths are configured; set its paths")
    found = [
        file
        for path in dict.fromkeys(paths)
        for file in _list_path(spark, path, source_name=source_name, pattern=pattern)
    ]
    return sorted(dict.fromkeys(found), key=lambda file: file.source_file)


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
    spark: SparkSession, path: str, *, source_name: str, pattern: str | None
) -> list[RawFile]:
    named = {} if pattern is None else {"pathGlobFilter": pattern}
    # Selecting no content makes this source read no content.
    rows = (
        spark.read.format("binaryFile")
        .options(**READ_OPTIONS, **named)
        .load(path)
        .select(
            file_id_column(source_name).alias("file_id"),
            source_file_column().alias("source_file"),
            F.col("_metadata.file_size").alias("size_bytes"),
            F.col("_metadata.file_modification_time").alias("modified_ts"),
        )
        .collect()
    )
    return [RawFile(**row.asDict()) for row in rows]


def find_unreadable(error: Exception) -> UnreadableFileError | None:
    """The raw file that a failed read was about, ``None`` if it failed for another reason.

    Spark names the file in its message only: a truncated gzip, a Parquet file without a footer, a
    file that is gone. What it says beyond that quotes the file, so only its own first words stay.
    """
    if isinstance(error, UnreadableFileError):
        return error
    match = _FAILED_READ.search(str(error))
    if match is None:
        return None
    path = re.sub("^file:/+", "file:/", unquote(match[2]))
    causes = re.findall(r"Caused by: [\w.$]*?(\w+(?:Exception|Error))\b", str(error))
    return UnreadableFileError(path, causes[-1] if causes else match[1])


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


def read_lines(spark: SparkSession, files: Sequence[RawFile], *, source_name: str) -> DataFrame:
    """Read text files, plain or compressed by suffix; file → line.

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
    return (
        spark.read.options(**READ_OPTIONS)
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
