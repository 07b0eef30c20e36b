"""Groups that stray together: found where they are, rarely where they are not."""

import math

import numpy as np

from shoal.kernels.groups import find_groups

COMMON = ("program_network", "powershell.exe>198.51.0.0/16")


def by_chance(seed, n=300):
    rng = np.random.default_rng(seed)
    return {f"host-{i}": float(np.log(p)) for i, p in enumerate(rng.uniform(size=n))}


def test_a_group_of_moderately_strange_members_is_found():
    log_p = by_chance(1) | {f"host-{i}": math.log(0.03) for i in range(5)}
    sharing = {COMMON: [f"host-{i}" for i in range(5)], ("program", "x"): ["host-7", "host-8"]}
    [group] = find_groups(sharing, log_p, max_p_value=0.05)
    assert group.members == tuple(f"host-{i}" for i in range(5))
    assert group.shared == (COMMON,)
    assert group.log_p < math.log(1e-3)


def test_values_shared_by_the_same_members_make_one_group():
    log_p = by_chance(2) | {f"host-{i}": math.log(0.01) for i in range(6)}
    six = [f"host-{i}" for i in range(6)]
    sharing = {COMMON: six, ("parent_child", "a>b"): six[:5], ("port", "tcp/8088"): six[::-1]}
    [group] = find_groups(sharing, log_p, max_p_value=0.05)
    assert group.members == tuple(six)
    assert len(group.shared) == 3


def test_an_entity_is_in_one_group_only():
    log_p = {f"host-{i}": math.log(0.001) for i in range(9)}
    names = [f"host-{i}" for i in range(9)]
    sharing = {("program", "a"): names[:4], ("program", "b"): names[3:8]}
    groups = find_groups(sharing, log_p, max_p_value=0.05)
    assert len(groups) == 2
    members = [name for group in groups for name in group.members]
    assert len(members) == len(set(members)) == 8


def test_ordinary_entities_that_share_something_are_no_group():
    rng = np.random.default_rng(3)
    found = 0
    for seed in range(400):
        log_p = by_chance(seed)
        sharing = {
            ("peer_address", str(n)): rng.choice(list(log_p), size=4, replace=False).tolist()
            for n in range(10)
        }
        found += len(find_groups(sharing, log_p, max_p_value=0.05))
    # A night in twenty has one by chance, by what the threshold says.
    assert found <= 0.05 * 400 * 1.6


def test_neither_two_nor_unscored_entities_are_a_group():
    log_p = {"a": -20.0, "b": -20.0}
    assert find_groups({COMMON: ["a", "b", "gone"]}, log_p, max_p_value=0.05) == []


def test_the_order_of_what_comes_in_has_no_say():
    log_p = {f"host-{i}": math.log(0.01) for i in range(8)}
    names = list(log_p)
    sharing = {("program", "a"): names[:4], ("program", "b"): names[4:], COMMON: names[2:6]}
    backwards = {value: members[::-1] for value, members in reversed(sharing.items())}
    assert find_groups(sharing, log_p, max_p_value=0.05) == find_groups(
        backwards, log_p, max_p_value=0.05
    )
