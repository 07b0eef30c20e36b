"""The data dictionary, made from the contracts."""

from shoal.contracts import TABLES, Table


def data_dictionary() -> str:
    """Every table and column as Markdown; the README holds exactly this."""
    return "\n\n".join(_table(table) for table in TABLES)


def _table(table: Table) -> str:
    key = ", ".join(f"`{name}`" for name in table.key)
    kept = f" Meant to be kept {table.retention_days} days." if table.retention_days else ""
    lines = [
        f"<details><summary><code>{table.name}</code>: {table.grain}</summary>",
        "",
        f"{table.doc} Key: {key}.{kept}",
        "",
        "| column | type | what it holds |",
        "| --- | --- | --- |",
    ]
    for column in table.columns:
        kind = column.type.simpleString().replace("|", "\\|")
        short = kind if len(kind) <= 40 else f"{kind[:37]}…"
        lines.append(f"| `{column.name}` | `{short}` | {column.doc} |")
    return "\n".join([*lines, "", "</details>"])
