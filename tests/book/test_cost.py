"""The counters see every matrix product once, and memory that is shared once."""

import numpy as np
import pytest
from book.cost import multiply_adds, numbers_kept


def test_every_product_with_a_watched_factor_counts():
    rng = np.random.default_rng(0)
    A, B = rng.normal(size=(2, 3)), rng.normal(size=(3, 5))
    plain = rng.normal(size=(5, 4))

    def run(trees, lengths, nothing):
        A, (B,) = trees
        assert lengths.dtype.kind == "i" and nothing is None
        C = A @ B  # 2 * 3 * 5
        C += 1.0
        out = np.empty((2, 4))
        np.matmul(np.tanh(C), plain, out=out)  # 2 * 5 * 4
        return plain @ plain.T, out  # no factor is watched

    assert multiply_adds(run, (A, (B,)), np.arange(3), None) == 30 + 40
    assert multiply_adds(lambda A: A + A, A) == 0


def test_stacked_products_count_too():
    A = np.ones((7, 2, 3))
    assert multiply_adds(lambda A: A @ np.ones((3, 5)), A) == 7 * 30
    assert multiply_adds(lambda A: np.ones((4, 2)) @ A, A) == 7 * 24
    assert multiply_adds(lambda A: A @ np.ones(3), A) == 7 * 6


def test_products_that_would_not_be_counted_are_refused():
    with pytest.raises(TypeError, match=r"np\.dot: expected products by @"):
        multiply_adds(lambda A: np.dot(A, A), np.ones((2, 2)))


def test_watching_changes_no_value_and_not_the_arrays():
    A = np.random.default_rng(0).normal(size=(3, 3))
    kept, before = [], A.copy()
    multiply_adds(lambda A: kept.append(A @ A), A)
    np.testing.assert_array_equal(kept[0], A @ A)
    np.testing.assert_array_equal(A, before)
    assert type(A) is np.ndarray


def test_shared_memory_counts_once():
    a, b = np.zeros((4, 5)), np.zeros(7)
    assert numbers_kept((a, a[1:], (a.T, None), b)) == 27
    assert numbers_kept((a[1:], b), a) == 7
    assert numbers_kept((a.copy(), b), a) == 27
