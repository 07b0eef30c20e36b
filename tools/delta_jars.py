"""Put Delta's jars beside Spark's own, so that every session has them: `delta_jars.py LISTING`.

Spark resolves them once, from Maven Central or Ivy's cache. From then on nothing asks the network,
session start is seconds shorter and silent, and a plain `spark-submit` has Delta too. Runs in
`.venv`'s Python, from setup.py.
"""

import json
import os
import shutil
import sys
import tempfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import pyspark
from delta import configure_spark_with_delta_pip
from pyspark.sql import SparkSession

SPARK_JARS = Path(pyspark.__file__).parent / "jars"


def main(listing: Path) -> None:
    versions = {name: version(name) for name in ("pyspark", "delta-spark")}
    earlier = json.loads(listing.read_text()) if listing.exists() else {"versions": {}, "jars": []}
    is_there = all(Path(jar).is_file() for jar in earlier["jars"])
    if earlier["versions"] == versions and is_there:
        print("the jars are there")
        return
    for jar in earlier["jars"]:
        Path(jar).unlink(missing_ok=True)
    # Ivy prefixes the group: io.delta_delta-spark_….jar
    jars = {
        str(SPARK_JARS / jar.name.partition("_")[2]): jar
        for jar in missing_from(SPARK_JARS, resolve())
    }
    # Without versions until all is done: a run that stops here is cleared away by the next.
    write_listing(listing, {}, list(jars))
    for target, jar in jars.items():
        shutil.copyfile(jar, target)
    check()
    write_listing(listing, versions, list(jars))


def write_listing(listing: Path, versions: dict[str, str], jars: list[str]) -> None:
    listing.write_text(json.dumps({"versions": versions, "jars": jars}, indent=1))


def session_builder() -> SparkSession.Builder:
    os.environ["PYSPARK_PYTHON"] = sys.executable
    return (
        SparkSession.builder.master("local[1]")
        .appName("shoal set-up")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.databricks.delta.snapshotPartitions", "1")
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config(
            "spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog"
        )
    )


def resolve() -> list[Path]:
    """All jars that Spark resolves for the installed delta-spark."""
    spark = configure_spark_with_delta_pip(session_builder()).getOrCreate()
    found = spark.sparkContext.getConf().get("spark.jars") or ""
    stop(spark)
    return [Path(jar.removeprefix("file://").removeprefix("file:")) for jar in found.split(",")]


def missing_from(folder: Path, jars: list[Path]) -> list[Path]:
    """The jars of which `folder` has nothing: the rest are other versions of Spark's own."""
    there: set[str] = set()
    for jar in folder.glob("*.jar"):
        there |= class_names(jar)
    return [jar for jar in jars if not class_names(jar) & there]


def class_names(jar: Path) -> set[str]:
    with zipfile.ZipFile(jar) as archive:
        names = archive.namelist()
    return {
        name
        for name in names
        if name.endswith(".class") and not name.startswith("META-INF/") and "-info" not in name
    }


def check() -> None:
    """Write and read a Delta table as every later session will: without asking for packages."""
    spark = session_builder().getOrCreate()
    with tempfile.TemporaryDirectory() as folder:
        spark.range(3).coalesce(1).write.format("delta").save(f"{folder}/t")
        rows = spark.read.format("delta").load(f"{folder}/t").count()
    stop(spark)
    if rows != 3:
        sys.exit(f"a Delta table of 3 rows came back with {rows}")


def stop(spark: SparkSession) -> None:
    """End the session and its JVM, so that the next one starts with its own settings."""
    context = type(spark.sparkContext)
    spark.stop()
    gateway = context._gateway
    if gateway is not None:
        gateway.shutdown()
        gateway.proc.stdin.close()
        gateway.proc.wait()
    context._gateway = None
    context._jvm = None


if __name__ == "__main__":
    main(Path(sys.argv[1]))
