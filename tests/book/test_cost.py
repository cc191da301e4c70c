"""The counters see every matrix product once, and memory that is shared once."""

import numpy as np
import pytest
from book.cost import matrix_products, multiply_adds, numbers_kept

from rnn_ref import GRU, LSTM, SRU, ElmanRNN


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
        np.dot(C, plain, out=out)  # 2 * 5 * 4
        return plain @ plain.T, out, np.dot(plain, plain.T)  # no factor is watched

    assert multiply_adds(run, (A, (B,)), np.arange(3), None) == 30 + 40 + 40
    assert matrix_products(run, (A, (B,)), np.arange(3), None) == 3
    assert multiply_adds(lambda A: A + A, A) == 0


def test_stacked_products_count_too():
    A = np.ones((7, 2, 3))
    assert multiply_adds(lambda A: A @ np.ones((3, 5)), A) == 7 * 30
    assert multiply_adds(lambda A: np.ones((4, 2)) @ A, A) == 7 * 24
    assert multiply_adds(lambda A: np.dot(A, np.ones((3, 5))), A) == 7 * 30
    assert matrix_products(lambda A: np.ones((4, 2)) @ A, A) == 1


def test_sums_are_no_matrix_products():
    A = np.ones((7, 2, 3))
    assert multiply_adds(lambda A: A @ np.ones(3), A) == 0
    assert multiply_adds(lambda A: np.ones(2) @ A[0], A) == 0
    assert multiply_adds(lambda A: np.einsum("tnh,tnh->h", A, A), A) == 0


def test_what_is_made_of_watched_arrays_is_watched():
    A = np.ones((2, 3))
    made = {
        "a copy": lambda A: A.copy(),
        "in order": lambda A: np.ascontiguousarray(A[:, ::-1]),
        "joined": lambda A: np.concatenate([A, np.ones((2, 3))])[:2],
        "stacked": lambda A: np.stack([A, A])[0],
        "a product": lambda A: np.dot(A, np.ones((3, 3))),
    }
    for name, make in made.items():
        extra = 18 if name == "a product" else 0
        assert multiply_adds(lambda A, make=make: make(A) @ np.ones((3, 5)), A) == 30 + extra, name


@pytest.mark.parametrize(
    ("product", "message"),
    [
        (lambda A: np.tensordot(A, A, 1), r"np\.tensordot: expected products by @"),
        (lambda A: np.einsum("ij,jk->ik", A, A), r"np\.einsum: expected factors with the same"),
    ],
)
def test_products_that_would_not_be_counted_are_refused(product, message):
    with pytest.raises(TypeError, match=message):
        multiply_adds(product, np.ones((2, 2)))


@pytest.mark.parametrize(
    "layer",
    [
        ElmanRNN(3, 5),
        LSTM(3, 5, peephole=True),
        GRU(3, 5),
        SRU(3, 5),
        SRU(5, 5, nonlinearity="tanh"),
    ],
    ids=str,
)
def test_the_products_of_a_layer(layer):
    """Forward one for each weight, W with the bias as one column more; backward two, without it."""
    T, N, rng = 4, 2, np.random.default_rng(0)
    params, x = layer.init_params(rng), rng.normal(size=(T, N, layer.input_size))
    output, _, cache = layer.forward(params, x)
    W, U = params.weight_ih, getattr(params, "weight_hh", np.empty(0))
    forward = T * N * (W.size + len(W) + U.size)
    assert multiply_adds(layer.forward, params, x) == forward
    backward = 2 * T * N * (W.size + U.size)
    assert multiply_adds(layer.backward, params, cache, output) == backward


def test_watching_changes_no_value_and_not_the_arrays():
    A = np.random.default_rng(0).normal(size=(3, 3))
    kept, before = [], A.copy()
    multiply_adds(lambda A: kept.append(A @ A), A)
    np.testing.assert_array_equal(kept[0], A @ A)
    np.testing.assert_array_equal(A, before)
    assert type(A) is np.ndarray
    assert type(np.ascontiguousarray(A)) is np.ndarray


def test_shared_memory_counts_once():
    a, b = np.zeros((4, 5)), np.zeros(7)
    assert numbers_kept((a, a[1:], (a.T, None), b)) == 27
    assert numbers_kept((a[1:], b), a) == 7
    assert numbers_kept((a.copy(), b), a) == 27
