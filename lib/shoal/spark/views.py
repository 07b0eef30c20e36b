"""The views of analysts, in Spark."""

from collections.abc import Sequence

from shoal.contracts import TABLES
from shoal.contracts.views import VIEWS, View
from shoal.spark.tables import Warehouse, quote_identifier, quote_literal


def view_statement(warehouse: Warehouse, view: View) -> str:
    """SQL that creates a view: kept in the schema, or of a session where tables are folders."""
    if warehouse.schema is not None:
        prefix = ".".join(quote_identifier(part) for part in warehouse.schema.split("."))
        keyword = f"VIEW {prefix}.{view.name}"
    else:
        keyword = f"TEMP VIEW {view.name}"
    known = {table.name: table for table in TABLES}
    named = ",\n".join(
        f"{name} AS (SELECT * FROM {warehouse.identifier(known[name])})" for name in view.tables
    )
    comment = "" if warehouse.schema is None else f" COMMENT {quote_literal(view.doc)}"
    return f"CREATE OR REPLACE {keyword}{comment} AS\nWITH {named}\n{view.query}"


def create_views(warehouse: Warehouse, views: Sequence[View] = VIEWS) -> None:
    """Create the views; where tables are folders they last as long as the session."""
    for view in views:
        warehouse.spark.sql(view_statement(warehouse, view))
