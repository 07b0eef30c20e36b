"""The built-in features: each declared once, in the units of the log.

Column docs, the README's dictionary, the log transform of the models and the wording of
reasons all derive from this list. It is only ever added to.
"""

import math
import re
from dataclasses import dataclass

from shoal.contracts.activity import (
    DIMENSIONS,
    FLAGS,
    HORIZONS,
    KINDS,
    LASTING_DIMENSIONS,
    PROGRAM_PAIRS,
    WINDOWED_DIMENSIONS,
    Knowledge,
)

_BOUNDS = {
    "share": (0.0, 1.0),
    "0 to 1": (0.0, 1.0),
    "circle": (-1.0, 1.0),
    "hours": (0.0, 24.0),
    # Of a byte: 256 equally frequent values at most.
    "bits": (0.0, 8.0),
    "doublings": (-math.inf, math.inf),
}
_COUNT_BOUNDS = (0.0, math.inf)
_WINDOW = re.compile("_({})d$".format("|".join(str(days) for days in HORIZONS)))
NOTHING = Knowledge("volume")


@dataclass(frozen=True)
class Feature:
    """One numeric feature of an entity's day.

    ``is_count`` marks heavy-tailed, non-negative measures that preparation may log; shares and
    positions on a circle are left alone. ``is_modelled`` is false of what the models know already:
    the share of one count in another is their difference once both are logged; and of what depends
    on how full a window is, which makes everybody strange while that of a young fleet fills.
    """

    name: str
    unit: str
    doc: str
    is_count: bool = True
    known: Knowledge = NOTHING
    is_modelled: bool = True

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest possible value; what has no bound of its own counts something."""
        return _BOUNDS.get(self.unit, _COUNT_BOUNDS)

    @property
    def measure(self) -> str:
        """What it measures, over whichever of the windows."""
        return _WINDOW.sub("", self.name)

    @property
    def is_amount(self) -> bool:
        """Whether less of it is less done: not so of means, and of places on a circle."""
        is_mean = any(part in self.name for part in ("_mean", "_sd_"))
        return not is_mean and self.unit != "circle"


_KNOWN = {kind.name: kind.known for kind in KINDS}
_VOLUME = Knowledge("volume", "doing much", "easy", "T1020")
_RHYTHM = Knowledge("rhythm", "working at other hours, bursts", "easy", "T1029")
_BEACON = Knowledge("network", "calling home at regular times", "costly", "T1071")
_NETWORK = _KNOWN["network"]

_TOTALS = (
    Feature("event_count", "events", "events of every kind", known=_VOLUME),
    *(Feature(f"{kind.name}_count", kind.unit, kind.doc, known=kind.known) for kind in KINDS),
    *(
        Feature(f"{kind.name}_share", "share", f"share of all events that are {kind.doc}", False,
            kind.known, is_modelled=False)
        for kind in KINDS
    ),
    Feature("logon_failed_count", "logons", "logons refused", known=_KNOWN["auth"]),
    *(
        Feature(
            kind.failed_share, "share",
            f"share of {kind.unit} that failed", False, kind.known,
        )
        for kind in KINDS
        if kind.has_failures
    ),
    Feature(
        "bytes_out_sum", "bytes", "payload sent by the side that opened the connections",
        known=Knowledge("network", "sending data out", "costly", "T1048"),
    ),
    Feature("bytes_in_sum", "bytes", "payload sent back", known=_NETWORK),
    Feature(
        "bytes_out_share", "share", "bytes out over all bytes", False,
        Knowledge("network", "sending data out", "costly", "T1048"),
    ),
    Feature("packet_sum", "packets", "packets both ways", known=_NETWORK),
    Feature("packet_bytes_mean", "bytes", "mean payload of a packet", known=_NETWORK),
    Feature("duration_mean_s", "seconds", "mean duration of a connection", known=_NETWORK),
    Feature("duration_sd_s", "seconds", "standard deviation of the durations", known=_NETWORK),
    Feature("active_hours", "hours", "hours of the day with an event", False, _RHYTHM),
    Feature(
        "hour_top_share", "share", "share of the day's events in its busiest hour", False, _RHYTHM
    ),
    Feature(
        "hour_cos", "circle", "mean hour of the events on a circle, cosine", False, _RHYTHM
    ),
    Feature("hour_sin", "circle", "mean hour of the events on a circle, sine", False, _RHYTHM),
)  # fmt: skip

TEXTS = {"process": "command_line", "dns": "dns_name", "web": "url_path", "email": "link_path"}
"""Name of the text that events of a kind have."""

_TEXTS = tuple(
    feature
    for kind in KINDS
    if kind.text
    for feature in (
        Feature(
            f"{TEXTS[kind.name]}_length_mean", "characters", f"mean length of {kind.text}",
            known=kind.known,
        ),
        Feature(
            f"{TEXTS[kind.name]}_entropy_mean", "bits", f"mean entropy of {kind.text}, a byte",
            False, kind.known,
        ),
    )
)  # fmt: skip

_UNITS = {kind.name: kind.unit for kind in KINDS}

_FLAGS = (
    *(
        feature
        for flag in FLAGS
        for feature in (
            Feature(f"{flag.name}_count", "events", flag.doc, known=flag.known),
            Feature(
                f"{flag.name}_share", "share", f"share of {_UNITS[flag.kind]}: {flag.doc}", False,
                flag.known, is_modelled=False,
            ),
        )
    ),
    Feature(
        "external_peer_share", "share",
        "share of connections with addresses outside the home networks", False, _NETWORK,
    ),
)  # fmt: skip

_DISTINCT = tuple(
    Feature(
        f"{dimension.name}_distinct",
        dimension.plural,
        f"distinct {dimension.plural}{' ' if dimension.of else ''}{dimension.of}",
        known=dimension.known,
    )
    for dimension in DIMENSIONS
)

TOP_DIMENSIONS = {
    "program": "events by the commonest program",
    "peer_address": "connections with one address",
    "port": "connections to the commonest port",
    "domain": "names asked for in one domain",
    "syscall": "system calls of the commonest name",
}
"""Dimensions whose commonest value's share is told, and what it is a share of."""

_REGULARITY = (
    "1 minus the normalised entropy of the gaps of 1 s and more, times the share of such gaps "
    "among all, times the share of the day's hours it was seen in; 0 below 24 gaps"
)

_CONCENTRATION = (
    *(
        Feature(f"{dimension.name}_top_share", "share",
            f"share of {TOP_DIMENSIONS[dimension.name]}", False, dimension.known)
        for dimension in DIMENSIONS
        if dimension.name in TOP_DIMENSIONS
    ),
    Feature(
        "beacon_regularity_max", "0 to 1",
        "how regular and how lasting the most regular traffic with one peer address is: "
        + _REGULARITY,
        False, _BEACON,
    ),
    Feature(
        "web_beacon_regularity_max", "0 to 1",
        "how regular and how lasting the most regular web requests to one address are: "
        + _REGULARITY,
        False, Knowledge("web", "calling home over HTTP", "costly", "T1071.001"),
    ),
)  # fmt: skip

_NOVEL = tuple(
    Feature(
        f"new_{dimension.name}_count",
        dimension.plural,
        f"{dimension.plural} not seen for the entity in the novelty window; null without a past",
        known=dimension.known,
    )
    for dimension in DIMENSIONS
)

_RARE = tuple(
    Feature(
        f"rare_{dimension.name}_count",
        dimension.plural,
        f"{dimension.plural} that few or no peers showed in the novelty window or this day",
        known=dimension.known,
    )
    for dimension in DIMENSIONS
)

_SURPRISE = "−log2 of the share of peers that showed it in the novelty window or this day"

_SURPRISES = tuple(
    Feature(name, "bits of surprise", doc, known=dimension.known)
    for dimension in DIMENSIONS
    for name, doc in (
        (
            f"{dimension.name}_surprise_sum",
            f"sum over the {dimension.plural} of {_SURPRISE}",
        ),
        (
            f"{dimension.name}_surprise_max",
            f"largest, over the {dimension.plural}, {_SURPRISE}",
        ),
        (
            f"new_{dimension.name}_surprise_sum",
            f"sum over the {dimension.plural} not seen for the entity in the novelty window of "
            f"{_SURPRISE}; null without a past",
        ),
    )
)

_EXCESSES = tuple(
    Feature(
        f"{dimension.name}_excess_surprise_{aggregate}",
        "bits of surprise",
        f"{of} the {dimension.plural} of the surprise of the pair beyond that of its program: "
        "an unusual pair of a usual program",
        known=dimension.known,
    )
    for dimension in DIMENSIONS
    if dimension.name in PROGRAM_PAIRS
    for aggregate, of in (("sum", "sum over"), ("max", "largest over"))
)

_FEW_PEERS = "addresses that few peers had to do with in the novelty window or this day"

_RARE_PEERS = (
    Feature(
        "rare_peer_bytes_out_sum", "bytes", f"bytes out with {_FEW_PEERS}",
        known=Knowledge("network", "sending data to a new place", "hard", "T1048"),
    ),
    Feature(
        "rare_peer_beacon_regularity_max", "0 to 1", f"beacon_regularity_max of {_FEW_PEERS}",
        False, _BEACON,
    ),
)  # fmt: skip

_CHANGE = Knowledge("history", "changing one's ways", "costly", "T1020")
_SLOW = Knowledge("history", "spreading over weeks what would stand out in a day", "costly")
_ABSENCE = Knowledge("history", "stopping or removing programs and agents", "hard", "T1562.001")
_WHOSE = {
    "new": "the entity has not shown before; null without a past",
    "peer_new": "none of its slice has shown before; null if there was none",
    "fleet_new": "none of its type has shown before; null if there was none",
}
_LONGEST = HORIZONS[-1]

_WINDOWS = (
    *(
        Feature(
            f"{whose}_value_count_{days}d", "values",
            f"values of all dimensions that within {days} days {doc}", known=_CHANGE,
        )
        for whose, doc in _WHOSE.items()
        for days in HORIZONS
    ),
    Feature(
        "rare_day_value_count", "values",
        "values of all dimensions that any of its type showed on few of the days looked back on, "
        "or on this day alone", known=_CHANGE,
    ),
    *(
        Feature(
            f"{dimension.name}_distinct_{days}d", dimension.plural,
            f"distinct {dimension.plural} within {days} days, the day included", known=_SLOW,
            is_modelled=False,
        )
        for dimension in DIMENSIONS
        if dimension.name in WINDOWED_DIMENSIONS
        for days in HORIZONS
    ),
    *(
        Feature(
            f"lost_{dimension.name}_count", dimension.plural,
            f"{dimension.plural} seen on the same weekday of both weeks before, not on the day; "
            "null for who was not there on both",
            known=_ABSENCE, is_modelled=False,
        )
        for dimension in DIMENSIONS
        if dimension.name in LASTING_DIMENSIONS
    ),
    *(
        Feature(
            f"missing_{dimension.name}_count", dimension.plural,
            f"{dimension.plural} that nine in ten of its slice showed within 7 days and it did "
            "not; null for who was not there a week ago, or has fewer than nine peers",
            known=_ABSENCE,
        )
        for dimension in DIMENSIONS
        if dimension.name in LASTING_DIMENSIONS
    ),
    *(
        feature
        for days in HORIZONS
        for feature in (
            Feature(f"active_days_{days}d", "days",
                f"days with activity among {days}, the day included", False, _RHYTHM,
                is_modelled=False),
            Feature(f"event_count_mean_{days}d", "events",
                f"mean events of the days with activity among {days}, the day included",
                known=_SLOW, is_modelled=False),
            Feature(f"bytes_out_mean_{days}d", "bytes",
                f"mean bytes out of the days with activity among {days}, the day included",
                known=_SLOW, is_modelled=False),
        )
    ),
    *(
        feature
        for name, of in (("event_count", "events"), ("bytes_out", "bytes out"))
        for feature in (
            Feature(f"{name}_change_{_LONGEST}d", "doublings",
                f"log2 of the day's {of} over the mean of the days with activity in the "
                f"{_LONGEST} days before; null without one", False, _CHANGE),
            Feature(f"{name}_change_weekday", "doublings",
                f"log2 of the day's {of} over the mean of the same weekday in the {_LONGEST} days "
                "before; null without one", False, _CHANGE),
        )
    ),
)  # fmt: skip

_TRAVEL = (
    Feature(
        "travel_speed_max_kmh", "km/h",
        "fastest travel between places that the user logged on from, one after the other, taken as "
        "an hour at least; 0 within 100 km, null if the address databases place none",
        known=Knowledge("logon", "credentials used in two places", "costly", "T1078"),
    ),
)  # fmt: skip

FEATURES: tuple[Feature, ...] = (
    *_TOTALS, *_TEXTS, *_FLAGS, *_DISTINCT, *_CONCENTRATION, *_NOVEL, *_RARE, *_SURPRISES,
    *_EXCESSES, *_RARE_PEERS, *_WINDOWS, *_TRAVEL,
)  # fmt: skip
FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)
FEATURE_BY_NAME: dict[str, Feature] = {feature.name: feature for feature in FEATURES}
