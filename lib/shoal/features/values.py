"""Values of dimensions: pairs, networks, folders, and their length."""

from pyspark.sql import Column
from pyspark.sql import functions as F

VALUE_LENGTH = 256
_SEPARATOR = ">"
_ESCAPE = "\\"


def joined(left: Column, right: Column) -> Column:
    r"""``left>right``, null if either is; ``>`` and ``\`` within a part are escaped by ``\``.

    Doubling the separator would not do: ``a>`` with ``b`` and ``a`` with ``>b`` look the same.
    """
    return F.concat(escaped(left), F.lit(_SEPARATOR), escaped(right))


def program_of_pair(dimension: Column, value: Column) -> Column:
    """The program of a joined pair, as :func:`joined` escapes it: the child, or who talks."""
    part = r"((?:\\.|[^\\>])*)"
    child = F.regexp_extract(value, f">{part}$", 1)
    return F.when(dimension == "parent_child", child).otherwise(
        F.regexp_extract(value, f"^{part}>", 1)
    )


def escaped(text: Column) -> Column:
    """A part of a pair, so that no two pairs are joined to one value."""
    for special in (_ESCAPE, _SEPARATOR):
        text = F.replace(text, F.lit(special), F.lit(_ESCAPE + special))
    return text


def peer_network(address: Column) -> Column:
    """The /16 of an IPv4 address, the /32 of an IPv6 address in its short spelling."""
    v4 = F.concat(F.substring_index(address, ".", 2), F.lit(".0.0/16"))
    groups = F.substring_index(address, ":", 2)
    # fe80:: and fe80:0:1:: lie in one network, written fe80::/32.
    v6 = F.concat(F.regexp_replace(groups, ":0*$", ""), F.lit("::/32"))
    return F.when(address.contains(":"), v6).otherwise(v4)


_UNIQUE_PART = (
    r"^(\{?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\}?|[0-9a-f]{16,}|s-1-5-21-.*|\d{4,})$"
)


def folder(path: Column) -> Column:
    """Folder of a path, in lower case; null of a bare name.

    Whose names are made up anew each time (GUIDs, hashes, numbers) and of whom (a user's own
    folder) is left open as ``*``, so that the same place is the same value on every machine.
    """
    parts = F.split(F.lower(F.replace(path, F.lit("/"), F.lit("\\"))), r"\\")
    place = F.slice(parts, 1, F.greatest(F.size(parts) - 1, F.lit(0)))
    plain = F.transform(
        place,
        lambda part, i: F.when(
            part.rlike(_UNIQUE_PART)
            | ((i > 0) & F.get(place, i - 1).isin("users", "home", "documents and settings")),
            "*",
        ).otherwise(part),
    )
    return F.when(F.size(parts) > 1, F.array_join(plain, "/"))


def top_level_domain(name: Column) -> Column:
    """Last label of a name; null of an address and of a bare name."""
    return F.nullif(F.regexp_extract(name, r"\.([a-z][a-z0-9-]*)$", 1), F.lit(""))


def cut(value: Column) -> Column:
    """Bound a value's length; what is cut off stays told apart by its hash."""
    digest = F.lower(F.hex(F.xxhash64(value)))
    short = F.concat(F.substring(value, 1, VALUE_LENGTH - 20), F.lit("#"), digest)
    return F.when(F.length(value) > VALUE_LENGTH, short).otherwise(value)
