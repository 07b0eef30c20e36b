"""Trims: the strangest rows are left out, whatever the order, and constants do no harm."""

import numpy as np
import pytest

from shoal.errors import ConfigError
from shoal.kernels.trimming import concentrate


def contaminated(n_strange: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    usual = rng.normal(size=(1000 - n_strange, 4))
    strange = rng.normal(6.0, 0.1, size=(n_strange, 4))
    return np.vstack([usual, strange])


@pytest.mark.parametrize("n_strange", [50, 200])
def test_a_tight_group_is_left_out_as_a_whole(n_strange):
    rows = contaminated(n_strange)
    is_kept, gaussian = concentrate(rows, trim=0.25, reg_covar=1e-3)
    assert not is_kept[-n_strange:].any()
    assert is_kept.sum() == pytest.approx(750, abs=1)
    np.testing.assert_allclose(gaussian.means[0], 0.0, atol=0.15)


def test_the_order_of_the_rows_has_no_say():
    rows = contaminated(100)
    order = np.random.default_rng(1).permutation(len(rows))
    one, _ = concentrate(rows, trim=0.1, reg_covar=1e-3)
    other, _ = concentrate(rows[order], trim=0.1, reg_covar=1e-3)
    assert (one[order] == other).all()


def test_nothing_is_trimmed_from_no_trim_or_from_rows_all_alike():
    assert concentrate(contaminated(5), trim=0.0, reg_covar=1e-3)[0].all()
    assert concentrate(np.ones((20, 3)), trim=0.25, reg_covar=1e-3)[0].all()
    assert concentrate(np.ones((1, 3)), trim=0.5, reg_covar=1e-3)[0].all()


@pytest.mark.parametrize("trim", [-0.1, 0.51, np.nan])
def test_a_trim_out_of_range_is_named(trim):
    with pytest.raises(ConfigError, match="'trim' must be in"):
        concentrate(np.ones((4, 1)), trim=trim, reg_covar=1e-3)
