"""The dictionaries of tables and of features, made from the contracts."""

from shoal.contracts import TABLES, Table
from shoal.contracts.features import FEATURES, Feature


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


def feature_dictionary() -> str:
    """Every built-in feature as Markdown, by family; the README holds exactly this."""
    families = dict.fromkeys(feature.known.family for feature in FEATURES)
    return "\n\n".join(_family(family) for family in families)


def _family(family: str) -> str:
    features = [feature for feature in FEATURES if feature.known.family == family]
    lines = [
        f"<details><summary>{family}: {len(features)} features</summary>",
        "",
        "| feature | unit | what it is | raised by | to forge | ATT&CK |",
        "| --- | --- | --- | --- | --- | --- |",
        *map(_feature, features),
    ]
    return "\n".join([*lines, "", "</details>"])


def _feature(feature: Feature) -> str:
    known = feature.known
    cells = [f"`{feature.name}`", feature.unit, feature.doc, known.raised_by, known.forging]
    return f"| {' | '.join([*cells, known.technique])} |"
