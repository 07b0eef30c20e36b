"""Rows for people and programs. Log text is the attacker's: every form makes it harmless."""

import csv
import io
import json
import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from shoal.log import plain

Form = Literal["table", "json", "csv", "md"]
FORMS: tuple[Form, ...] = ("table", "json", "csv", "md")
_FORMULA = ("=", "+", "-", "@")
_MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\`*_{}[]<>()#+!|~&:@"})
MOST_SHOWN = 400
"""Characters of a text that screens show; CSV, JSON and Markdown have it whole."""
_NEVER_FOLDED = 30
"""Longest cell of a column that keeps its width while others fold."""
_WWW = re.compile(r"www\.", re.IGNORECASE)


def cell(value: Any) -> str:
    """A value as text for people: numbers short, times in UTC, the rest made harmless."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, date):
        return value.isoformat()
    return plain(str(value))


def shown(text: str) -> str:
    """Log text for a screen: harmless, and cut where nobody reads on."""
    harmless = plain(text[: MOST_SHOWN + 1])
    left = len(text) - MOST_SHOWN
    return harmless if left <= 0 else f"{plain(text[:MOST_SHOWN])}… ({left:,} characters more)"


def screen_cell(value: Any) -> str:
    """As `cell`, cut as `shown` does."""
    return shown(cell(value))


def counted(count: int, noun: str) -> str:
    """``1 event``, ``1,200 events``."""
    return f"{count:,} {noun}{'s' if count != 1 else ''}"


def number(value: float) -> str:
    """A number with three or four digits that matter."""
    if math.isnan(value):
        return "unknown"
    if math.isinf(value):
        return str(value)
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def render(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    form: Form,
    *,
    width: int | None = None,
) -> str:
    """Rows in one of :data:`FORMS`; ``json`` keeps all values, the others the given columns."""
    forms: dict[str, Callable[[], str]] = {
        "json": lambda: _json(rows),
        "csv": lambda: _csv(rows, columns),
        "md": lambda: _markdown(rows, columns),
        "table": lambda: _table(rows, columns, width),
    }
    return forms[form]()


def _json(rows: Sequence[Mapping[str, Any]]) -> str:
    # ASCII only: control and bidirectional characters arrive as escapes
    values = [json_value(row) for row in rows]
    return json.dumps(values, indent=2, default=str, ensure_ascii=True, allow_nan=False)


def json_value(value: Any) -> Any:
    """The value with null for the numbers that JSON doesn't have."""
    if isinstance(value, Mapping):
        return {name: json_value(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_value(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_csv_cell(row.get(name)) for name in columns])
    return out.getvalue().rstrip("\n")


def _csv_cell(value: Any) -> Any:
    """Numbers as they are; text that a spreadsheet would run gets a quote in front."""
    if value is None or isinstance(value, (int, float)):
        return value
    text = cell(value)
    # NFKC: spreadsheets take the full-width forms of these characters for the characters.
    is_formula = unicodedata.normalize("NFKC", text).lstrip().startswith(_FORMULA)
    return f"'{text}" if is_formula else text


def _markdown(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    lines = [" | ".join(columns), " | ".join("---" for _ in columns)]
    lines += [" | ".join(_markdown_cell(row.get(name)) for name in columns) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def _markdown_cell(value: Any) -> str:
    """Text without markup, entities or links; readers link ``http:``, ``@`` and ``www.`` alone."""
    return _WWW.sub(lambda www: f"{www[0][:-1]}\\.", cell(value).translate(_MARKDOWN))


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], width: int | None) -> str:
    table = RichTable(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for name in columns:
        is_number = all(isinstance(row.get(name), (int, float, type(None))) for row in rows)
        longest = max((cell_len(screen_cell(row.get(name))) for row in rows), default=0)
        # A word a line: columns of numbers are narrow, whatever they are called.
        table.add_column(
            name.replace("_", "\n"),
            justify="right" if is_number else "left",
            vertical="top",
            overflow="fold",
            no_wrap=longest <= _NEVER_FOLDED,
        )
    for row in rows:
        table.add_row(*(Text(screen_cell(row.get(name))) for name in columns))
    return to_text(table, width)


def to_text(renderable: Any, width: int | None = None) -> str:
    """What rich would print, as plain text."""
    console = Console(width=width, file=io.StringIO(), color_system=None, highlight=False)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get().rstrip("\n")


def wrapped(text: str, width: int = 80) -> str:
    """Fold a line to ``width`` columns of a terminal, indenting what follows.

    By cells, not characters: Chinese, Japanese and Korean ones fill two.
    """
    if cell_len(text) <= width:
        return text
    body = text.lstrip()
    indent = " " * (len(text) - len(body))
    folded = Text(body, overflow="fold").wrap(Console(width=width), width - len(indent) - 2)
    return indent + f"\n{indent}  ".join(line.plain.rstrip() for line in folded)
