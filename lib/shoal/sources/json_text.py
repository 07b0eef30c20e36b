"""Fields of JSON lines by path, each as text."""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from shoal.sources.columns import why_no_text

MAX_DEPTH = 1000
"""Levels of nesting that Spark's JSON reader goes down."""
_LEVEL = "/"
_ELEMENT = "0"
_JSON = "json"


def add_json(lines: DataFrame, paths: Sequence[str]) -> DataFrame:
    """Add what :func:`json_field` reads: the fields of each line's JSON object; line → line.

    A path names an object's members from the outside in, parted by ``/``; a number is a place in
    an array: ``process/args/0``. What is not there, or is of another shape, is null.
    """
    return add_object(lines, _JSON, F.col("value"), paths)


def add_object(records: DataFrame, name: str, text: Column, paths: Sequence[str]) -> DataFrame:
    """Add column ``name``, the struct of a JSON object's fields; null if the text is not one."""
    # Two projections, for a reader of the one element names the array twice.
    return records.withColumn(name, json_objects(text, paths)).withColumn(name, only(F.col(name)))


def json_field(path: str) -> Column:
    """Text of a field that :func:`add_json` was asked for; objects and arrays as JSON."""
    return _at(F.col(_JSON), path)


def is_json() -> Column:
    """Whether the line is one JSON object."""
    return F.col(_JSON).isNotNull()


def _at(column: Column, path: str) -> Column:
    for part in path.split(_LEVEL):
        column = F.get(column, int(part)) if part.isdigit() else column[field_name(part)]
    return column


def json_objects(text: Column, paths: Sequence[str]) -> Column:
    """Fields of a JSON object by exact name, each as text, as an array for :func:`only`.

    The structs' fields are named by :func:`field_name`, for names of JSON may differ in case
    alone (``ProcessId``, ``ProcessID``) and columns of Spark may not.

    Why ``from_json`` and not ``parse_json``: the same key twice in one object makes parse_json
    refuse the record, from_json takes the last as most readers do; and from_json took 0.8 s where
    ``variant_get`` took 3.5 s (56,979 Windows records of 60 MB, 53 fields, 2 cores). Why an
    array: alone, both read ``{…}{…}`` and ``{…} junk`` as the first object and drop the rest in
    silence.
    """
    options = {"allowSingleQuotes": "false", "allowUnquotedControlChars": "true"}
    trimmed = F.trim(text, F.lit(" \t\r\n"))
    is_object = F.startswith(trimmed, F.lit("{")) & F.endswith(trimmed, F.lit("}"))
    array = F.when(is_object, F.concat(F.lit("["), trimmed, F.lit("]")))
    tree = _tree(paths)
    return F.from_json(array, T.ArrayType(_type(tree, is_renamed=False)), options).cast(
        T.ArrayType(_type(tree, is_renamed=True))
    )


_Tree = dict[str, "_Tree"]


def _tree(paths: Sequence[str]) -> _Tree:
    tree: _Tree = {}
    for path in paths:
        place = tree
        for part in path.split(_LEVEL):
            place = place.setdefault(_ELEMENT if part.isdigit() else part, {})
    return tree


def _type(tree: _Tree, *, is_renamed: bool) -> T.DataType:
    """Type of what a tree of names holds; a leaf is text."""
    if not tree:
        return T.StringType()
    types = {name: _type(own, is_renamed=is_renamed) for name, own in tree.items()}
    if _ELEMENT in types:
        return T.ArrayType(types[_ELEMENT])
    return T.StructType(
        [T.StructField(field_name(n) if is_renamed else n, type_) for n, type_ in types.items()]
    )


def only(objects: Column) -> Column:
    """Return the one element of an array; null if there are none or several.

    Take ``objects`` from a column, not from the expression that makes it: it is named twice here
    and would be computed twice.
    """
    return F.when(F.size(objects) == 1, F.get(objects, 0))


def field_name(name: str) -> str:
    """Column name that stands for a JSON name, distinct without regard to case."""
    return "f_" + name.encode().hex()


def why_no_object(text: Column) -> Column:
    """Why :func:`json_objects` finds no object in a line, as far as its text tells."""
    openings = F.length(text) - F.length(F.translate(text, "[{", ""))
    too_deep = f"the line is no JSON object, or one nested more than {MAX_DEPTH:,} deep"
    return F.coalesce(
        why_no_text(text),
        F.when(openings > MAX_DEPTH, too_deep),
        F.lit("the line is not one JSON object"),
    )
