"""Listing and reading of raw files."""

import gzip
import os
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from shoal.errors import DataError
from shoal.sources.files import file_id_column, list_files, read_lines

ODD_NAMES = [
    "a b.log",
    "c#d.log",
    "conn.00:00:00-01:00:00.log",
    "e%20f.log",
    "g+h.log",
    "é.log",
    "p%.log",
    "q?.log",
    "x[1].log",
    "y{2}.log",
    "z*.log",
]


@pytest.fixture
def odd_files(tmp_path: Path) -> Path:
    for name in [*ODD_NAMES, "_hidden.log", ".hidden.log"]:
        (tmp_path / name).write_text(f"line of {name}\n", encoding="utf-8")
    (tmp_path / "day=1").mkdir()
    (tmp_path / "day=1" / "inner.log").write_text("line of inner.log\n")
    return tmp_path


def test_odd_names_are_listed_plainly_and_read_back(spark: SparkSession, odd_files: Path) -> None:
    files = list_files(spark, [str(odd_files)], source_name="s")
    names = {os.path.relpath(f.source_file.removeprefix("file:"), odd_files) for f in files}
    assert names == {*ODD_NAMES, "day=1/inner.log"}
    assert [f.source_file for f in files] == sorted(f.source_file for f in files)
    lines = read_lines(spark, files, source_name="s")
    assert lines.columns == ["source_name", "source_file", "file_id", "value", "event_id"]
    rows = {(row.source_file, row.file_id, row.value) for row in lines.collect()}
    assert rows == {
        (f.source_file, f.file_id, f"line of {Path(f.source_file).name}") for f in files
    }


def test_paths_may_be_files_folders_and_globs_and_give_each_file_once(
    spark: SparkSession, odd_files: Path
) -> None:
    paths = [str(odd_files / "a b.log"), str(odd_files / "[ae]*.log"), str(odd_files / "day=1")]
    found = [Path(f.source_file).name for f in list_files(spark, paths, source_name="s")]
    assert sorted(found) == ["a b.log", "e%20f.log", "inner.log"]


def test_a_glob_finds_names_with_a_colon(spark: SparkSession, odd_files: Path) -> None:
    files = list_files(spark, [str(odd_files / "conn*")], source_name="s")
    assert [Path(f.source_file).name for f in files] == ["conn.00:00:00-01:00:00.log"]


def test_a_pattern_chooses_by_name(spark: SparkSession, odd_files: Path) -> None:
    files = list_files(spark, [str(odd_files)], source_name="s", pattern="{conn,inner}*")
    assert [Path(f.source_file).name for f in files] == ["conn.00:00:00-01:00:00.log", "inner.log"]


def test_listing_does_not_read_content(spark: SparkSession, odd_files: Path) -> None:
    before = spark.conf.get("spark.sql.sources.binaryFile.maxLength")
    spark.conf.set("spark.sql.sources.binaryFile.maxLength", "1")  # reading more would throw
    try:
        assert len(list_files(spark, [str(odd_files)], source_name="s")) == len(ODD_NAMES) + 1
    finally:
        spark.conf.set("spark.sql.sources.binaryFile.maxLength", str(before))


def test_a_link_to_a_folder_above_gives_each_file_once(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.log").write_text("a\n")
    (tmp_path / "logs" / "b.log").symlink_to(tmp_path / "logs" / "a.log")
    (tmp_path / "logs" / "loop").symlink_to(tmp_path / "logs")
    (tmp_path / "link").symlink_to(tmp_path / "logs")
    for folder, name in (("logs", "a.log"), ("link", "a.log")):
        found = list_files(spark, [str(tmp_path / folder)], source_name="s")
        assert [file.source_file for file in found] == [f"file:{tmp_path}/{folder}/{name}"]


def test_empty_files_are_listed_too(spark: SparkSession, tmp_path: Path) -> None:
    for name in ("a b%.log", "c.log", "_hidden.log"):
        (tmp_path / name).touch()
    (tmp_path / "d.log").write_text("d\n")
    found = list_files(spark, [str(tmp_path)], source_name="s", pattern="[ad]*")
    assert [Path(file.source_file).name for file in found] == ["a b%.log", "d.log"]
    assert [file.size_bytes for file in found] == [0, 2]
    assert len({file.file_id for file in found}) == 2
    assert read_lines(spark, found, source_name="s").count() == 1


@pytest.mark.parametrize("missing", ["nowhere", "nowhere/*.gz"])
def test_a_missing_path_is_named(spark: SparkSession, odd_files: Path, missing: str) -> None:
    path = str(odd_files / missing)
    with pytest.raises(DataError, match="source 'fw'") as error:
        list_files(spark, [str(odd_files), path], source_name="fw")
    assert path in str(error.value)


def test_no_paths_is_an_error_and_an_empty_folder_is_none(
    spark: SparkSession, tmp_path: Path
) -> None:
    assert list_files(spark, [str(tmp_path)], source_name="s") == []
    with pytest.raises(DataError, match="no paths"):
        list_files(spark, [], source_name="s")


def test_the_file_id_changes_with_source_path_size_and_time(
    spark: SparkSession, tmp_path: Path
) -> None:
    path = tmp_path / "a.log"
    ids = set()
    for text, time_s, source in [("x", 1, "s"), ("xy", 1, "s"), ("xy", 2, "s"), ("xy", 2, "t")]:
        path.write_text(text)
        os.utime(path, (time_s, time_s))
        (file,) = list_files(spark, [str(tmp_path)], source_name=source)
        ids.add(file.file_id)
        row = spark.read.text(str(path)).select(file_id_column(source).alias("file_id")).first()
        assert row is not None
        assert row.file_id == file.file_id
    assert len(ids) == 4
    assert all(len(file_id) == 32 for file_id in ids)


def test_lines_plain_and_gz_without_mark_blanks_and_broken_bytes(
    spark: SparkSession, tmp_path: Path
) -> None:
    content = b'\xef\xbb\xbf{"a":1}\r\n\n  \t\r\nx\xff\nlast'
    (tmp_path / "a.log").write_bytes(content)
    (tmp_path / "b.log.gz").write_bytes(gzip.compress(content))
    files = list_files(spark, [str(tmp_path)], source_name="s")
    rows = read_lines(spark, files, source_name="s").collect()
    assert sorted(row.value for row in rows) == ["last"] * 2 + ["x\ufffd"] * 2 + ['{"a":1}'] * 2
    assert len({row.event_id for row in rows}) == 3
    sha = "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
    assert {row.event_id for row in rows if row.value == '{"a":1}'} == {sha[:32]}


def test_no_files_give_no_lines(spark: SparkSession) -> None:
    lines = read_lines(spark, [], source_name="s")
    assert lines.count() == 0
    assert lines.select(F.col("event_id")).schema[0].dataType.simpleString() == "string"
