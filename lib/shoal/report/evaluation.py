"""The page of `shoal evaluate`: titled tables."""

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from shoal.report.text import Form, render

WIDTH = 80


def tables_page(tables: Mapping[str, pd.DataFrame], form: Form) -> str:
    """Titled tables, one after the other; as ``json`` one object of lists of rows."""
    records = {title: _records(rows) for title, rows in tables.items()}
    if form == "json":
        return json.dumps(records, indent=2, default=str)
    return "\n\n".join(_one(title, rows, form) for title, rows in records.items())


def _one(title: str, rows: list[dict[str, Any]], form: Form) -> str:
    if not rows:
        return f"{title}: none"
    body = render(rows, list(rows[0]), form, width=WIDTH if form == "table" else None)
    return f"{title}\n{body}"


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): _plain(v) for k, v in row.items()} for row in rows.to_dict("records")]


def _plain(value: Any) -> Any:
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return None
    return value.item() if hasattr(value, "item") else value
