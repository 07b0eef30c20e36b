"""Sparse profiles, what an entity's events go to, as a few coordinates of a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.utils.extmath import randomized_svd

from shoal.errors import DataError
from shoal.kernels.arrays import Array, with_fixed_signs

MIN_ENTITY_SHARE = 0.01
"""Share of the entities that must show a term for it to be a dimension of its own."""

MIN_TERM_ENTITIES = 3
"""The least number of them."""

MAX_TERMS = 2000
"""Terms of a vocabulary; of more those that most entities show."""

ENTITIES_AN_AXIS = 10
"""Entities that an axis needs, as a row of parameters of a mixture does."""

AXES = "profile_"
REST = "profile_rest"
"""The coordinate of what the axes discard."""


@dataclass(frozen=True, eq=False)
class Profiles:
    """Profiles of rows, one after the other; a term is ``kind=value``, such as ``port=443``.

    Attributes
    ----------
    row_ids : ``(n_entries,)`` row of each entry
    terms : ``n_terms`` distinct terms
    term_ids : ``(n_entries,)`` place of each entry's term among them
    counts : ``(n_entries,)`` above 0
    """

    n_rows: int
    row_ids: NDArray[np.intp]
    terms: Sequence[str]
    term_ids: NDArray[np.intp]
    counts: Array

    @classmethod
    def of(
        cls, terms: Sequence[Sequence[str] | None], counts: Sequence[Sequence[int] | None]
    ) -> "Profiles":
        """Profiles of rows that each have terms and their counts; ``None`` is no profile.

        Raises
        ------
        DataError
            If a row has not as many counts as terms.
        """
        sizes = [0 if row is None else len(row) for row in terms]
        if sizes != [0 if row is None else len(row) for row in counts]:
            raise DataError("every row of a profile must have as many counts as terms")
        # The one loop over entries; all else is done once a term.
        numbers: dict[str, int] = {}
        ids = [
            numbers.setdefault(term, len(numbers))
            for row in terms
            if row is not None
            for term in row
        ]
        known = [np.asarray(row, dtype=np.float64) for row in counts if row is not None]
        return cls(
            n_rows=len(sizes),
            row_ids=np.repeat(np.arange(len(sizes)), sizes),
            terms=list(numbers),
            term_ids=np.asarray(ids, dtype=np.intp),
            counts=np.concatenate([np.empty(0), *known]),
        )

    @cached_property
    def kinds(self) -> list[str]:
        """What each distinct term is, the part before its first ``=``."""
        return [term.partition("=")[0] for term in self.terms]

    @cached_property
    def shares(self) -> Array:
        """Part ``(n_entries,)`` of each entry in its row's counts of the same kind."""
        numbers = {kind: number for number, kind in enumerate(sorted(set(self.kinds)))}
        group = self.row_ids * len(numbers) + _looked_up(self.kinds, numbers)[self.term_ids]
        totals = np.bincount(group, weights=self.counts, minlength=1)
        return np.asarray(self.counts / totals[group], dtype=np.float64)

    def share_of(self, term: str) -> Array:
        """Share ``(n_rows,)`` of one term; NaN for rows that have no term of its kind."""
        is_kind = _looked_up(self.kinds, {term.partition("=")[0]: 0}) == 0
        is_term = _looked_up(self.terms, {term: 0}) == 0
        found = np.full(self.n_rows, np.nan)
        found[self.row_ids[is_kind[self.term_ids]]] = 0.0
        own = is_term[self.term_ids]
        found[self.row_ids[own]] = self.shares[own]
        return found


@dataclass(frozen=True)
class TermShare:
    """One term's part in a profile, beside what was expected of it."""

    term: str
    share: float
    expected: float


@dataclass(frozen=True, eq=False)
class ProfileAxes:
    """The map from profiles to coordinates.

    The square roots of shares of each kind lie on a sphere, where their distance is Hellinger's
    (Rao 1995, Qüestiió 19); a truncated singular value decomposition of them keeps the directions
    in which profiles differ (Halko, Martinsson & Tropp 2011, SIAM Review 53(2)).

    Attributes
    ----------
    terms : vocabulary, in alphabetical order
    kinds : of the terms; each has a bucket for what the vocabulary lacks
    components : ``(n_axes, n_terms + n_kinds)`` orthonormal rows, buckets last
    """

    terms: tuple[str, ...]
    kinds: tuple[str, ...]
    components: Array

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the coordinates, as features of a model."""
        return (*(f"{AXES}{axis}" for axis in range(1, len(self.components) + 1)), REST)

    def coordinates(self, profiles: Profiles) -> Array:
        """Coordinates ``(n_rows, n_axes + 1)``, the length of the discarded part last.

        NaN for a row without a term of a known kind.
        """
        roots = self._roots(profiles)
        on_axes = np.asarray(roots @ self.components.T)
        squared = np.asarray(roots.multiply(roots).sum(axis=1)).ravel()
        rest = np.sqrt(np.maximum(squared - (on_axes**2).sum(axis=1), 0.0))
        found = np.column_stack([on_axes, rest])
        found[squared == 0.0] = np.nan
        return found

    def telling_term(self, profile: Profiles, expected: Array) -> TermShare:
        """The term that one row shows most beyond the coordinates expected of it.

        What it lacks is not told: shares add up to one, so that more of this is less of that.

        Parameters
        ----------
        profile : of one row, with a term of a known kind
        expected : ``(n_axes + 1,)`` coordinates
        """
        own = self._roots(profile).toarray()[0]
        roots = np.clip(expected[:-1] @ self.components, 0.0, 1.0)
        place = int(np.argmax(np.where(own > 0.0, own - roots, -np.inf)))
        if place < len(self.terms):
            return TermShare(self.terms[place], float(own[place] ** 2), float(roots[place] ** 2))
        kind = self.kinds[place - len(self.terms)]
        unseen = [
            (-share, profile.terms[number])
            for share, number in zip(profile.shares, profile.term_ids, strict=True)
            if profile.kinds[number] == kind and profile.terms[number] not in self._places
        ]
        share, term = min(unseen)
        return TermShare(term, float(-share), 0.0)

    def leading_terms(self, axis: int, top: int) -> list[tuple[str, float]]:
        """The terms that weigh most on an axis, with their loadings; buckets are ``kind=…``."""
        names = [*self.terms, *(f"{kind}=…" for kind in self.kinds)]
        loadings = self.components[axis]
        order = np.argsort(-np.abs(loadings), kind="stable")[:top]
        return [(names[place], float(loadings[place])) for place in order]

    @cached_property
    def _places(self) -> Mapping[str, int]:
        return {term: place for place, term in enumerate(self.terms)}

    def _roots(self, profiles: Profiles) -> csr_matrix:
        return _roots(profiles, self._places, self.kinds)


def fit_profile_axes(
    profiles: Profiles, groups: NDArray[np.str_], *, n_axes: int, random_state: int
) -> ProfileAxes | None:
    """Find the vocabulary and the axes of reference rows; none where they have nothing in common.

    Terms are counted by entity, and the axes are as many as the entities carry: what few show is
    unseen, whatever its count.

    Parameters
    ----------
    groups : ``(n_rows,)`` entity of each row, in an order that does not depend on chance
    n_axes : most axes; 0 is none
    """
    _, entities = np.unique(groups, return_inverse=True)
    n_entities = int(entities.max(initial=-1)) + 1
    carried = min(n_axes, n_entities // ENTITIES_AN_AXIS)
    # One of each term and entity, however many days the entity shows it on.
    showing = np.unique(profiles.term_ids * max(n_entities, 1) + entities[profiles.row_ids])
    counts = np.bincount(showing // max(n_entities, 1), minlength=len(profiles.terms))
    least = max(MIN_TERM_ENTITIES, MIN_ENTITY_SHARE * n_entities)
    common = sorted(
        (-n, term) for n, term in zip(counts, profiles.terms, strict=True) if n >= least
    )
    terms = tuple(sorted(term for _, term in common[:MAX_TERMS]))
    kinds = tuple(sorted({term.partition("=")[0] for term in terms}))
    carried = min(carried, len(terms) + len(kinds) - 1)
    if not terms or carried < 1:
        return None
    places = {term: place for place, term in enumerate(terms)}
    roots = _roots(profiles, places, kinds)
    _, _, components = randomized_svd(roots, carried, n_iter=7, random_state=random_state)
    return ProfileAxes(terms, kinds, with_fixed_signs(components))


def _roots(profiles: Profiles, places: Mapping[str, int], kinds: Sequence[str]) -> csr_matrix:
    """Square roots of shares ``(n_rows, n_terms + n_kinds)``; a kind's unseen terms share one."""
    buckets = {kind: len(places) + number for number, kind in enumerate(kinds)}
    of_terms = _looked_up(profiles.terms, places)
    columns = np.where(of_terms < 0, _looked_up(profiles.kinds, buckets), of_terms)
    columns = columns[profiles.term_ids]
    is_known = columns >= 0
    shape = (profiles.n_rows, len(places) + len(kinds))
    cells = (profiles.row_ids[is_known], columns[is_known])
    # What falls into one bucket adds up.
    shares = csr_matrix((profiles.shares[is_known], cells), shape=shape)
    return csr_matrix(shares.sqrt())


def _looked_up(names: Sequence[str], numbers: Mapping[str, int]) -> NDArray[np.intp]:
    """Number of each name, −1 of those that have none."""
    found = (numbers.get(name, -1) for name in names)
    return np.fromiter(found, dtype=np.intp, count=len(names))
