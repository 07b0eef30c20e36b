"""Contracts: one declaration, and everything derived from it."""

import pytest
from pyspark.sql import types as T

from shoal.contracts import TABLES, Table
from shoal.contracts.activity import DIMENSIONS
from shoal.contracts.attack import TECHNIQUES
from shoal.contracts.events import EVENT_TABLES, NORMALISED_COLUMNS
from shoal.contracts.features import FEATURE_BY_NAME, FEATURES
from shoal.contracts.scores import techniques_of
from shoal.contracts.table import DATE, STRING, Column
from shoal.errors import ContractError


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_table_and_column_is_documented(table: Table) -> None:
    assert table.doc.endswith(".")
    assert table.grain
    assert table.key
    for column in table.columns:
        assert column.doc, f"{table.name}.{column.name}"
        assert not column.doc.endswith(".")


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_struct_fields_are_documented(table: Table) -> None:
    def check(kind: T.DataType) -> None:
        if isinstance(kind, T.ArrayType):
            check(kind.elementType)
        if isinstance(kind, T.StructType):
            for field in kind.fields:
                assert field.metadata["comment"]
                check(field.dataType)

    for column in table.columns:
        check(column.type)


def test_night_tables_carry_their_run() -> None:
    for table in TABLES:
        assert "run_id" in table.column_names or not table.is_night
        if table.is_night:
            assert table.partition == ("event_date",)


def test_one_name_has_one_type_in_all_event_tables() -> None:
    normalised = {column.name: column.type for column in NORMALISED_COLUMNS}
    for table in EVENT_TABLES.values():
        for column in table.columns:
            assert column.type == normalised[column.name], f"{table.name}.{column.name}"


def test_feature_names_are_unique() -> None:
    names = [feature.name for feature in FEATURES]
    assert len(names) == len(set(names))


def test_a_key_must_be_declared() -> None:
    with pytest.raises(ContractError, match="not declared"):
        Table("t", "Doc.", "row", ("missing",), (Column("a", STRING, "a"),))


def test_a_column_stands_once() -> None:
    twice = (Column("a", STRING, "a"), Column("a", DATE, "b"))
    with pytest.raises(ContractError, match="repeated columns"):
        Table("t", "Doc.", "row", ("a",), twice)


def test_an_unknown_column_gets_a_near_miss() -> None:
    with pytest.raises(ContractError, match="did you mean 'event_date'"):
        TABLES[0].column("event_dat")


def test_techniques_are_those_of_the_features_and_of_a_profile_its_terms() -> None:
    reasons = [
        {"feature": "event_count", "term": None},
        {"feature": "profile_share", "term": "domain=x=y.example"},
        {"feature": "event_count", "term": None},
        {"feature": "speed_of_a_ready_table", "term": None},
        {"feature": "profile_share", "term": "user_agent=curl"},
    ]
    of_features = FEATURE_BY_NAME["event_count"].known.technique
    of_terms = {own.name: own.known.technique for own in DIMENSIONS}
    found = techniques_of(reasons)
    assert found[0] == of_features
    assert found[1] == of_terms["domain"]
    assert len(found) == len(set(found)) == len({*found, of_terms["user_agent"]})
    assert techniques_of([]) == []


def test_every_technique_has_a_name_and_so_has_what_it_is_one_of() -> None:
    known = [own.known.technique for own in (*FEATURES, *DIMENSIONS) if own.known.technique]
    assert known
    for name in known:
        assert TECHNIQUES[name]
        assert TECHNIQUES[name.partition(".")[0]]
