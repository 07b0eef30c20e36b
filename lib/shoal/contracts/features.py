"""The built-in features: each declared once, in the units of the log.

Column docs, the README's dictionary, the log transform of the models and the wording of
reasons all derive from this list. It is only ever added to.
"""

import math
from dataclasses import dataclass

_BOUNDS = {
    "share": (0.0, 1.0),
    "0 to 1": (0.0, 1.0),
    "circle": (-1.0, 1.0),
    "hours": (0.0, 24.0),
    # Of a byte: 256 equally frequent values at most.
    "bits": (0.0, 8.0),
}
_COUNT_BOUNDS = (0.0, math.inf)


@dataclass(frozen=True)
class Feature:
    """One numeric feature of an entity's day.

    ``is_count`` marks heavy-tailed, non-negative measures that preparation may log; shares and
    positions on a circle are left alone.
    """

    name: str
    unit: str
    doc: str
    is_count: bool = True

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest possible value; what has no bound of its own counts something."""
        return _BOUNDS.get(self.unit, _COUNT_BOUNDS)


NOVEL_DIMENSIONS = (
    "program",
    "parent_child",
    "peer_address",
    "port",
    "program_port",
    "program_network",
)
"""Dimensions whose values are counted as new for the entity, and as rare among its peers."""

SURPRISE_DIMENSIONS = (*NOVEL_DIMENSIONS, "user", "logon_source", "peer_network")
"""Dimensions whose values are weighed by how few peers show them."""

PROGRAM_PAIRS = ("parent_child", "program_port", "program_network")
"""Dimensions of pairs with a program: the child of a parent, the one that talks."""

_PROGRAM_EVENTS = "launches, connections and created files"

_TOTALS = (
    Feature("event_count", "events", "events of every kind"),
    Feature("process_count", "launches", "programs started"),
    Feature("network_count", "connections", "connections opened or accepted"),
    Feature("file_count", "files", "files created"),
    Feature("auth_count", "logons", "logons, successful and refused"),
    Feature("logon_failed_count", "logons", "logons refused"),
    Feature("network_failed_share", "share", "share of connections that failed", False),
    Feature("bytes_out_sum", "bytes", "payload sent by the side that opened the connections"),
    Feature("bytes_in_sum", "bytes", "payload sent back"),
    Feature("bytes_out_share", "share", "bytes out over all bytes", False),
    Feature("packet_sum", "packets", "packets both ways"),
    Feature("duration_mean_s", "seconds", "mean duration of a connection"),
    Feature("duration_sd_s", "seconds", "standard deviation of the durations"),
    Feature("active_hours", "hours", "hours of the day with an event", False),
    Feature("hour_top_share", "share", "share of the day's events in its busiest hour", False),
    Feature("hour_cos", "circle", "mean hour of the events on a circle, cosine", False),
    Feature("hour_sin", "circle", "mean hour of the events on a circle, sine", False),
    Feature("command_line_length_mean", "characters", "mean length of a command line"),
    Feature("command_line_entropy_mean", "bits", "mean entropy of a command line", False),
)

_DISTINCT = tuple(
    Feature(f"{name}_distinct", label, f"distinct {label}{behind}")
    for name, label, behind in (
        ("program", "programs", f" behind {_PROGRAM_EVENTS}"),
        ("parent_child", "parent and child pairs", " of launches"),
        ("user", "users", ""),
        ("host", "hosts", ""),
        ("peer_address", "peer addresses", ""),
        ("peer_network", "peer networks", ""),
        ("port", "service ports", ""),
        ("program_port", "program and port pairs", ""),
        ("program_network", "program and network pairs", ""),
    )
)

_CONCENTRATION = (
    Feature(
        "program_top_share", "share", f"share of {_PROGRAM_EVENTS} by the commonest program", False
    ),
    Feature("peer_address_top_share", "share", "share of connections with one address", False),
    Feature("port_top_share", "share", "share of connections to the commonest port", False),
    Feature(
        "beacon_regularity_max",
        "0 to 1",
        "how regular and how lasting the most regular traffic with one peer address is: "
        "1 minus the normalised entropy of the gaps of 1 s and more, times the share of such gaps "
        "among all, times the share of the day's hours it was seen in; 0 below 24 gaps",
        False,
    ),
)

_NOVEL = tuple(
    Feature(
        f"new_{dimension}_count",
        "values",
        f"values of {dimension} not seen for the entity in the novelty window; null without a past",
    )
    for dimension in NOVEL_DIMENSIONS
)

_RARE = tuple(
    Feature(
        f"rare_{dimension}_count",
        "values",
        f"values of {dimension} that few or no peers showed in the novelty window or this day",
    )
    for dimension in NOVEL_DIMENSIONS
)

_SURPRISE = "−log2 of the share of peers that showed it in the novelty window or this day"

_SURPRISES = tuple(
    Feature(name, "bits of surprise", doc)
    for dimension in SURPRISE_DIMENSIONS
    for name, doc in (
        (f"{dimension}_surprise_sum", f"sum over the values of {dimension} of {_SURPRISE}"),
        (f"{dimension}_surprise_max", f"largest, over the values of {dimension}, {_SURPRISE}"),
        (
            f"new_{dimension}_surprise_sum",
            f"sum over the values of {dimension} not seen for the entity in the novelty window of "
            f"{_SURPRISE}; null without a past",
        ),
    )
)

_EXCESSES = tuple(
    Feature(
        f"{dimension}_excess_surprise_{aggregate}",
        "bits of surprise",
        f"{of} the values of {dimension} of the surprise of the pair beyond that of its program: "
        "an unusual pair of a usual program",
    )
    for dimension in PROGRAM_PAIRS
    for aggregate, of in (("sum", "sum over"), ("max", "largest over"))
)

_FEW_PEERS = "addresses that few peers had to do with in the novelty window or this day"

_RARE_PEERS = (
    Feature("rare_peer_bytes_out_sum", "bytes", f"bytes out with {_FEW_PEERS}"),
    Feature(
        "rare_peer_beacon_regularity_max",
        "0 to 1",
        f"beacon_regularity_max of {_FEW_PEERS}",
        False,
    ),
)

FEATURES: tuple[Feature, ...] = (
    *_TOTALS, *_DISTINCT, *_CONCENTRATION, *_NOVEL, *_RARE, *_SURPRISES, *_EXCESSES,
    *_RARE_PEERS,
)  # fmt: skip
FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)
FEATURE_BY_NAME: dict[str, Feature] = {feature.name: feature for feature in FEATURES}
