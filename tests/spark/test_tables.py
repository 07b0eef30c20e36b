"""Tables: made from contracts, by path or in a catalog, and refused where they differ."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import types as T
from tests.support.nights import QUICK

from shoal.config import validate
from shoal.contracts import NIGHTS, OUTLIERS, TABLES, UNSCORED, Column
from shoal.contracts.scores import REASONS
from shoal.contracts.table import STRING
from shoal.errors import ContractError
from shoal.lake import Night, published_nights
from shoal.spark.nights import write_nights
from shoal.spark.tables import Warehouse, apply_contracts, open_warehouse, same_type

DAY = date(2024, 3, 4)


@pytest.fixture(scope="module")
def catalog(spark: SparkSession) -> Iterator[Warehouse]:
    """All tables in a schema of the session's catalog."""
    storage = {"catalog": "spark_catalog", "schema": "shoal_test"}
    warehouse = open_warehouse(spark, validate({"storage": storage, "spark": QUICK}, origin="t"))
    apply_contracts(warehouse)
    yield warehouse
    spark.sql("DROP SCHEMA spark_catalog.shoal_test CASCADE")


def test_catalog_tables_are_made_written_and_read(catalog: Warehouse) -> None:
    assert {state for _, state in apply_contracts(catalog)} == {"unchanged"}
    write_nights(catalog, [Night(DAY, "first", "published")])
    write_nights(catalog, [Night(DAY, "second", "published")])
    assert [night.run_id for night in published_nights(catalog)] == ["second"]
    described = catalog.spark.sql(f"DESCRIBE TABLE {catalog.identifier(NIGHTS)}").collect()
    comments = {row["col_name"]: row["comment"] for row in described}
    assert comments["state"] == NIGHTS.column("state").doc


def test_a_column_added_to_a_contract_is_added_to_the_table(warehouse: Warehouse) -> None:
    grown = replace(
        UNSCORED, version=2, columns=(*UNSCORED.columns, Column("extra", STRING, "a new column"))
    )
    with pytest.raises(ContractError, match="has contract version 1, this Shoal needs version 2"):
        warehouse.read(grown)
    assert apply_contracts(warehouse, [grown]) == [(grown, "altered")]
    assert "extra" in warehouse.read(grown).columns
    with pytest.raises(ContractError, match="newer than this Shoal's 1"):
        apply_contracts(warehouse, [UNSCORED])


def test_a_field_added_within_a_column_is_added_to_the_table(warehouse: Warehouse) -> None:
    fields = [*REASONS.elementType.fields, T.StructField("more", STRING)]
    wider = tuple(
        replace(c, type=T.ArrayType(T.StructType(fields))) if c.name == "reasons" else c
        for c in OUTLIERS.columns
    )
    grown = replace(OUTLIERS, version=OUTLIERS.version + 1, columns=wider)
    assert apply_contracts(warehouse, [grown]) == [(grown, "altered")]
    assert same_type(
        warehouse.read(grown).schema["reasons"].dataType, T.ArrayType(T.StructType(fields))
    )


def test_types_never_change(warehouse: Warehouse) -> None:
    columns = tuple(
        Column(c.name, STRING, c.doc) if c.name == "event_date" else c for c in UNSCORED.columns
    )
    changed = replace(UNSCORED, version=2, columns=columns)
    with pytest.raises(ContractError, match="column event_date: type date"):
        apply_contracts(warehouse, [changed])


def test_a_frame_that_differs_from_its_contract_is_refused(warehouse: Warehouse) -> None:
    frame = warehouse.spark.createDataFrame([(1, "x")], "event_date int, typo string")
    with pytest.raises(ContractError) as caught:
        warehouse.append(frame, UNSCORED)
    assert "column reason is missing" in str(caught.value)
    assert "column typo is not in the contract" in str(caught.value)
    assert "column event_date is int, not date" in str(caught.value)


def test_without_tables_every_read_names_the_command(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> None:
    empty = Warehouse(spark, path=str(tmp_path_factory.mktemp("none")))
    for table in TABLES[:2]:
        with pytest.raises(ContractError, match=r"does not exist.*run `shoal tables apply`"):
            empty.read(table)
