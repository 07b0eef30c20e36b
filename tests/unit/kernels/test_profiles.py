"""Sparse profiles: shares, vocabulary, axes, and the term that tells."""

import numpy as np
import pytest

from shoal.errors import DataError
from shoal.kernels.profiles import MIN_TERM_ENTITIES, ProfileAxes, Profiles, fit_profile_axes


def profiles_of(*rows: dict[str, int] | None) -> Profiles:
    return Profiles.of(
        [None if row is None else list(row) for row in rows],
        [None if row is None else list(row.values()) for row in rows],
    )


def two_roles(n_entities: int = 40, seed: int = 0) -> tuple[list[dict[str, int]], np.ndarray]:
    """Servers and desktops, two days each; what they run differs, each has a program of its own."""
    rng = np.random.default_rng(seed)
    mixes = ({"nginx": 0.8, "cron": 0.2}, {"word": 0.5, "chrome": 0.4, "cron": 0.1})
    rows, names = [], []
    for number in range(n_entities):
        for _ in range(2):
            counts = {
                f"program={p}": int(rng.poisson(200 * s)) for p, s in mixes[number % 2].items()
            }
            rows.append({**counts, f"program=own-{number}": 2, "port=443": 50, "port=53": 50})
            names.append(f"host-{number:03}")
    return rows, np.asarray(names)


def fitted(n_axes: int = 5) -> tuple[ProfileAxes, list[dict[str, int]], np.ndarray]:
    rows, names = two_roles()
    axes = fit_profile_axes(profiles_of(*rows), names, n_axes=n_axes, random_state=0)
    assert axes is not None
    return axes, rows, names


def test_shares_are_of_the_terms_of_a_kind():
    profiles = profiles_of({"program=a": 3, "program=b": 1, "port=443": 7}, None, {"port=1": 5})
    np.testing.assert_array_equal(profiles.shares, [0.75, 0.25, 1.0, 1.0])
    np.testing.assert_array_equal(profiles.share_of("program=b"), [0.25, np.nan, np.nan])
    np.testing.assert_array_equal(profiles.share_of("port=443"), [1.0, np.nan, 0.0])
    np.testing.assert_array_equal(profiles.share_of("user=nobody"), [np.nan] * 3)


def test_a_vocabulary_holds_what_enough_entities_show_whatever_its_count():
    axes, *_ = fitted()
    wanted = {f"program={name}" for name in ("nginx", "cron", "word", "chrome")}
    assert set(axes.terms) == wanted | {"port=443", "port=53"}
    assert axes.kinds == ("port", "program")
    # A thousand launches by two entities on many days are still of two entities.
    rows, names = two_roles()
    few = [
        {**row, "program=loud": 1000} if name < "host-002" else row
        for row, name in zip(rows, names, strict=True)
    ]
    assert MIN_TERM_ENTITIES == 3
    loud = fit_profile_axes(profiles_of(*few), names, n_axes=5, random_state=0)
    assert loud is not None
    assert "program=loud" not in loud.terms


def test_coordinates_keep_the_distances_of_the_roots_and_what_they_discard():
    axes, rows, _ = fitted()
    profiles = profiles_of(*rows)
    found = axes.coordinates(profiles)
    places = {term: place for place, term in enumerate(axes.terms)}
    for row, own in zip(rows[:6], found[:6], strict=True):
        roots = np.zeros(len(axes.terms) + len(axes.kinds))
        for kind in axes.kinds:
            counts = {t: c for t, c in row.items() if t.startswith(f"{kind}=")}
            total = sum(counts.values())
            unseen = sum(c for t, c in counts.items() if t not in places) / total
            roots[len(places) + axes.kinds.index(kind)] = np.sqrt(unseen)
            for term in set(counts) & set(places):
                roots[places[term]] = np.sqrt(counts[term] / total)
        assert np.linalg.norm(roots) ** 2 == pytest.approx(len(axes.kinds))
        on_axes = axes.components @ roots
        np.testing.assert_allclose(own[:-1], on_axes, atol=1e-12)
        rest = np.linalg.norm(roots - on_axes @ axes.components)
        assert own[-1] == pytest.approx(rest, abs=1e-7)
    np.testing.assert_allclose(axes.components @ axes.components.T, np.eye(4), atol=1e-9)
    # Both roles are told apart, and all of what they share is in few axes.
    servers, desktops = found[::4].mean(axis=0), found[2::4].mean(axis=0)
    assert np.linalg.norm(servers - desktops) > 0.5
    assert np.median(found[:, -1]) < 0.1


def test_axes_are_as_many_as_entities_carry():
    rows, names = two_roles(n_entities=25)
    profiles = profiles_of(*rows)
    few = fit_profile_axes(profiles, names, n_axes=10, random_state=0)
    assert few is not None
    assert few.components.shape == (2, 8)
    assert few.names == ("profile_1", "profile_2", "profile_rest")
    assert fit_profile_axes(profiles, names, n_axes=0, random_state=0) is None
    nobody = profiles_of(*[None] * len(names))
    assert fit_profile_axes(nobody, names, n_axes=10, random_state=0) is None
    apart = profiles_of(*({f"program={number}": 1} for number in range(len(names))))
    assert fit_profile_axes(apart, names, n_axes=10, random_state=0) is None


def test_rows_without_a_known_kind_have_no_coordinates():
    axes, *_ = fitted()
    found = axes.coordinates(profiles_of(None, {}, {"syscall=read": 9}, {"program=never seen": 1}))
    assert np.isnan(found[:3]).all()
    assert np.isfinite(found[3]).all()
    # All of it is in the bucket of the unseen, which hardly an axis holds.
    assert found[3, -1] > 0.9


@pytest.mark.parametrize(
    ("row", "term", "share"),
    [
        ({"program=nginx": 100, "program=word": 100}, "program=word", 0.5),
        ({"program=nginx": 90, "program=x": 60, "program=y": 50}, "program=x", 0.3),
        ({"program=cron": 100, "program=nginx": 0}, "program=cron", 1.0),
    ],
)
def test_the_term_shown_most_beyond_what_is_expected_tells(
    row: dict[str, int], term: str, share: float
):
    axes, rows, _ = fitted()
    expected = axes.coordinates(profiles_of(*rows))[::4].mean(axis=0)
    counts = {t: c for t, c in row.items() if c} | {"port=443": 50, "port=53": 50}
    told = axes.telling_term(profiles_of(counts), expected)
    assert (told.term, told.share) == (term, pytest.approx(share))
    assert told.expected == pytest.approx(0.2 if term == "program=cron" else 0.0, abs=0.05)


def test_axes_depend_on_nothing_but_the_rows():
    rows, names = two_roles()
    one, two = (
        fit_profile_axes(profiles_of(*rows), names, n_axes=5, random_state=0) for _ in range(2)
    )
    assert one is not None
    assert two is not None
    assert (one.components == two.components).all()
    # The order of a row's terms is no information.
    turned = [dict(reversed(row.items())) for row in rows]
    other = fit_profile_axes(profiles_of(*turned), names, n_axes=5, random_state=0)
    assert other is not None
    np.testing.assert_allclose(other.components, one.components, atol=1e-9)
    loadings = one.leading_terms(0, top=3)
    assert len(loadings) == 3
    assert max(loadings, key=lambda item: abs(item[1]))[1] > 0


def test_terms_and_counts_belong_together():
    with pytest.raises(DataError, match="as many counts as terms"):
        Profiles.of([["program=a"]], [[1, 2]])
