"""The one place that makes Spark sessions."""

import logging
import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import pyspark
from pyspark import SparkConf
from pyspark.logger import PySparkLogger
from pyspark.sql import DataFrame, SparkSession

from shoal.config import Settings

_LOG4J = Path(__file__).with_name("log4j2.properties")
_QUERY_LOGGERS = ("SQLQueryContextLogger", "DataFrameQueryContextLogger")

_ALWAYS = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.session.timeZone": "UTC",
    # A batch of many days would otherwise write (tasks x days) files a table.
    "spark.databricks.delta.optimizeWrite.enabled": "true",
}

_UNLESS_SET = {
    # Line numbers in Spark's own errors: half of all calls from Python to the JVM.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
    "spark.sql.dataFrameQueryContext.enabled": "false",
    # Longer methods, as Spark generates them for wide rows, Java never compiles: parsing raw logs
    # takes 1.4 times as long. Above this limit Spark generates shorter ones.
    "spark.sql.codegen.hugeMethodLimit": "8000",
    # Building dictionaries of what is persisted takes longer than reading it ever will.
    "spark.sql.inMemoryColumnarStorage.compressed": "false",
}

_LOCAL = {
    # Both, or a local session may advertise an address that refuses connections.
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    # Kept for a UI that is off, each with its whole plan: a long backfill would fill the heap.
    "spark.sql.ui.retainedExecutions": "20",
    "spark.ui.retainedJobs": "100",
    "spark.ui.retainedStages": "100",
    # Small tables: Delta's default of 50 partitions costs more than the work.
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.sql.files.minPartitionNum": "2",
    # One task a core is already the parallelism.
    "spark.executorEnv.OMP_NUM_THREADS": "1",
}


def start_session(settings: Settings, *, name: str = "shoal") -> SparkSession:
    """Return the session to work in: spark-submit's own if there is one, else a local one.

    Settings of the submitting platform win over the configuration's, except for those that Delta
    and Shoal's meaning need (extensions, catalog, UTC).
    """
    # Python shows collected timestamps in its own zone, whatever the session's is.
    os.environ["TZ"] = "UTC"
    time.tzset()
    is_submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    own = settings.spark
    builder = SparkSession.builder.appName(name)
    options = {**_UNLESS_SET, **own.conf}
    if own.shuffle_partitions:
        options["spark.sql.shuffle.partitions"] = str(own.shuffle_partitions)
    if is_submitted:
        given = SparkConf()
        options = {key: value for key, value in options.items() if not given.contains(key)}
    else:
        _prepare_environment()
        master = own.master or "local[*]"
        builder = builder.master(master)
        options = {**_defaults(settings, master), **options, **_delta_jars()}
    for key, value in {**options, **_ALWAYS}.items():
        builder = builder.config(key, value)
    for query_logger in _QUERY_LOGGERS:
        # It prints an analysis error with its whole stack before raising it; raising is enough.
        PySparkLogger.getLogger(query_logger).setLevel(logging.CRITICAL)
    session = builder.getOrCreate()
    if not is_submitted:
        session.sparkContext.setLogLevel("ERROR")
    return session


def _defaults(settings: Settings, master: str) -> dict[str, str]:
    """What a session of Shoal's own starts with, before ``spark.conf`` of the configuration."""
    options = dict(_LOCAL) if master.startswith("local") else {}
    options["spark.driver.extraJavaOptions"] = (
        f"-Dlog4j2.configurationFile={_LOG4J.as_uri()} -XX:+UseParallelGC"
    )
    if settings.spark.driver_memory:
        options["spark.driver.memory"] = settings.spark.driver_memory
    if settings.storage.path is not None:
        # Spark makes this folder whether it is used or not; else it lies in the working one.
        options["spark.sql.warehouse.dir"] = f"{settings.storage.path}/.spark"
    return options


def _prepare_environment() -> None:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # What set-up chose: cron and the like have no JAVA_HOME.
    chosen = Path(sys.prefix) / "shoal-env"
    if "JAVA_HOME" not in os.environ and chosen.is_file():
        for line in chosen.read_text(encoding="utf-8").splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            if name == "JAVA_HOME":
                os.environ["JAVA_HOME"] = "".join(shlex.split(value))


def _delta_jars() -> dict[str, str]:
    """Delta's jars: those set-up has put beside Spark's own, else through Spark's resolution."""
    home = os.environ.get("SPARK_HOME") or str(Path(pyspark.__file__).parent)
    found = version("delta-spark")
    if any((Path(home) / "jars").glob(f"delta-spark_*-{found}.jar")):
        return {}
    spark_line = ".".join(pyspark.__version__.split(".")[:2])
    return {"spark.jars.packages": f"io.delta:delta-spark_{spark_line}_2.13:{found}"}


@contextmanager
def persisted(frame: DataFrame) -> Iterator[DataFrame]:
    """Keep a DataFrame for several uses, and let it go afterwards."""
    kept = frame.persist()
    try:
        yield kept
    finally:
        kept.unpersist()


def settled(frame: DataFrame) -> DataFrame:
    """Compute a DataFrame now and keep its rows apart from all that they came from.

    For what is read again after tables behind it are written: to each such write Spark answers by
    computing what is persisted anew.
    """
    return frame.localCheckpoint()


@contextmanager
def described(spark: SparkSession, text: str) -> Iterator[None]:
    """Name the Spark jobs of a block, so that the Spark UI reads like the pipeline."""
    tag = "".join(ch if ch.isalnum() or ch in "-_/ " else "_" for ch in text)
    spark.addTag(tag)
    try:
        yield
    finally:
        spark.removeTag(tag)
