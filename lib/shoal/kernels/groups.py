"""Entities that stray together: groups that share what nobody showed before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import gamma

Value = tuple[str, str]

MIN_MEMBERS = 3
ALIKE = 0.5
"""Share of the smaller group's members in the larger one from which both are one."""


@dataclass(frozen=True)
class Group:
    """Entities that stray together.

    Attributes
    ----------
    members : names, sorted
    shared : (dimension, value) pairs that they share, sorted
    log_p : log probability that any of the night's groups would be as strange by chance
    """

    members: tuple[str, ...]
    shared: tuple[Value, ...]
    log_p: float


def find_groups(
    sharing: Mapping[Value, Sequence[str]], log_p: Mapping[str, float], *, max_p_value: float
) -> list[Group]:
    """Groups whose members are stranger together than chance allows, strangest first.

    The members' −log p add up to a gamma variable if they are no stranger than others (Fisher
    1932, section 21.1: twice the sum is chi-squared with two degrees of freedom a member); the
    number of groups looked at pays for the choice (Bonferroni). Each entity is in one group only.

    Parameters
    ----------
    sharing : entities that share each value
    log_p : log p-value of each entity; one without counts for nothing
    """
    values: dict[tuple[str, ...], list[Value]] = {}
    for value, names in sharing.items():
        members = tuple(sorted({name for name in names if name in log_p}))
        if len(members) >= MIN_MEMBERS:
            values.setdefault(members, []).append(value)
    tried = [
        Group(members, tuple(sorted(shared)), _joint_log_p(members, log_p, len(values)))
        for members, shared in values.items()
    ]
    found: list[Group] = []
    for group in sorted(tried, key=lambda group: (round(group.log_p, 6), group.members)):
        if group.log_p > np.log(max_p_value):
            break
        found = _joined(found, group)
    return found


def _joint_log_p(members: Sequence[str], log_p: Mapping[str, float], n_groups: int) -> float:
    total = -sum(log_p[name] for name in members)
    return min(float(gamma.logsf(total, len(members)) + np.log(n_groups)), 0.0)


def _joined(found: list[Group], group: Group) -> list[Group]:
    """The groups with one more, or with what it shares where its members are mostly another's."""
    members = set(group.members)
    for place, known in enumerate(found):
        common = members & set(known.members)
        if len(common) >= ALIKE * min(len(members), len(known.members)):
            shared = tuple(sorted({*known.shared, *group.shared}))
            joined = Group(known.members, shared, known.log_p)
            return [*found[:place], joined, *found[place + 1 :]]
        members -= common
    if len(members) < MIN_MEMBERS:
        return found
    return [*found, Group(tuple(sorted(members)), group.shared, group.log_p)]
