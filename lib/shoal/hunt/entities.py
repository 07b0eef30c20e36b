"""Entities by the names that people type."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from shoal.contracts import ENTITY_FEATURES
from shoal.errors import DataError, did_you_mean
from shoal.lake import Night, Reader, fetch_published


@dataclass(frozen=True)
class KnownEntities:
    """Which of some names are entities of some nights, and of which types.

    Attributes
    ----------
    nights : by date, at least one
    kinds : name → entity types
    """

    reader: Reader
    nights: Sequence[Night]
    kinds: Mapping[str, Collection[str]]

    @classmethod
    def of(cls, reader: Reader, nights: Sequence[Night], names: Collection[str]) -> Self:
        """Look names up, all at once; case does not matter."""
        wanted = {name.lower() for name in names}
        found = fetch_published(
            reader, ENTITY_FEATURES, nights, ["entity_type", "entity_id"], entity_id=wanted
        )
        kinds: dict[str, set[str]] = {}
        for row in found.to_pylist():
            kinds.setdefault(row["entity_id"], set()).add(row["entity_type"])
        return cls(reader, nights, kinds)

    def resolve(self, name: str, entity_type: str | None) -> tuple[str, str]:
        """Type and name of an entity as the tables have it.

        Raises
        ------
        DataError
            If there is none, naming one of the last night that is spelt alike, or several types
            share the name.
        """
        known = self.kinds.get(name.lower(), ())
        kinds = sorted(kind for kind in known if entity_type in (None, kind))
        if len(kinds) == 1:
            return kinds[0], name.lower()
        if kinds:
            named = ", ".join(kinds)
            raise DataError(f"{name!r} is the name of several entities: add the type ({named})")
        wanted = {} if entity_type is None else {"entity_type": [entity_type]}
        last = self.nights[-1]
        names = fetch_published(self.reader, ENTITY_FEATURES, [last], ["entity_id"], **wanted)
        near = did_you_mean(name.lower(), set(names["entity_id"].to_pylist()))
        several = f"in the {len(self.nights)} nights up to {last.event_date}"
        when = f"on {last.event_date}" if len(self.nights) == 1 else several
        raise DataError(f"no entity {name!r} {when}{near}")
