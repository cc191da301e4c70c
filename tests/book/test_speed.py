"""All versions of the staircase compute what the cell does, and calls are counted as they are."""

import json

import numpy as np
import pytest
from book.speed import STAIRS, calls_a_step, numpy_calls
from sources import ROOT

from rnn_ref import GRU, LSTM, SRU, ElmanRNN, GRUState, relative_error
from rnn_ref import gru as module


def problem(T=6, N=3, D=4, H=5, dtype=np.float64):
    rng = np.random.default_rng(0)
    params = GRU(D, H).init_params(rng, dtype)
    x, h0, d_output = (rng.normal(size=s).astype(dtype) for s in ((T, N, D), (N, H), (T, N, H)))
    return params, x, h0, d_output


@pytest.mark.parametrize("version", STAIRS)
def test_every_version_is_the_cell(version):
    params, x, h0, d_output = problem()
    forward, backward = STAIRS[version]
    layer = GRU(4, 5)
    _, _, cache = layer.forward(params, x, GRUState(h0))
    expected = layer.backward(params, cache, d_output)
    kept = forward(params, x, h0)
    d_params, dx, dh0 = backward(params, x, kept, d_output)
    pairs = [*zip(kept, cache[2:], strict=True), (dx, expected.x), (dh0, expected.state.h)]
    pairs += zip(d_params, expected.params, strict=True)
    assert max(relative_error(a, b) for a, b in pairs) < 1e-13


@pytest.mark.parametrize("version", STAIRS)
def test_every_version_keeps_float32(version):
    params, x, h0, d_output = problem(dtype=np.float32)
    forward, backward = STAIRS[version]
    kept = forward(params, x, h0)
    d_params, dx, dh0 = backward(params, x, kept, d_output)
    assert {v.dtype for v in (*kept, *d_params, dx, dh0)} == {np.dtype(np.float32)}


def test_versions_differ_in_one_pass_or_name_both():
    """A rung changes the pass that it is about; only these three change both."""
    pairs = list(STAIRS.values())
    changed = {
        name
        for name, a, b in zip(list(STAIRS)[1:], pairs, pairs[1:], strict=False)
        if a[0] is not b[0] and a[1] is not b[1]
    }
    assert changed == {"stacked", "in place", "package"}


def test_no_version_saves_a_multiply_add():
    params, x, h0, d_output = problem()
    T, N, D = x.shape
    H = 5
    for forward, backward in STAIRS.values():
        done = numpy_calls(forward, params, x, h0)
        done += numpy_calls(backward, params, x, forward(params, x, h0), d_output)
        more = sum(call.multiply_adds for call in done) - 9 * (H * D + H * H) * T * N
        assert 0 <= more <= 7 * T * N * H


def test_calls_are_seen_in_their_order():
    def run(a, trees):
        b, (c,) = trees
        d = np.stack([a + b, c])[0]
        d -= 1.0
        np.multiply(d, 2, out=d)
        np.dot(d, d.T)
        d[0] = 3.0  # not a call that computes
        return d.reshape(-1) @ d.ravel()

    one = np.ones((2, 2))
    calls = numpy_calls(run, one, (one, (one,)))
    names = ["add", "stack", "subtract", "multiply", "dot", "matmul"]
    assert [call.name for call in calls] == names
    assert [call.multiply_adds for call in calls] == [0, 0, 0, 0, 8, 4]
    assert type(one) is np.ndarray


def test_arrays_made_in_the_modules_tell_too():
    params, x, h0, _ = problem(T=1)
    names = [call.name for call in numpy_calls(STAIRS["in place"][0], params, x, h0)]
    assert names.count("tanh") == 2 and names.count("empty_like") == 0
    assert module.np is np, "the module has its NumPy again"


def test_counting_changes_no_value():
    params, x, h0, _ = problem()
    found = []
    numpy_calls(lambda *given: found.extend(STAIRS["package"][0](*given)), params, x, h0)
    for a, b in zip(found, STAIRS["package"][0](params, x, h0), strict=True):
        assert np.array_equal(a, b)


def test_modules_are_whole_after_an_error():
    with pytest.raises(ZeroDivisionError):
        numpy_calls(lambda a: 1 / 0, np.ones(1))
    assert module.np is np


def test_calls_a_step():
    def run(x):
        for x_t in x:
            x_t += np.tanh(x_t)
        return x.sum()

    assert calls_a_step(run, lambda T: (np.ones((T, 2)),)) == 2
    with pytest.raises(ValueError, match="the same number of calls"):
        calls_a_step(lambda x: [x + 1 for _ in x[:15]], lambda T: (np.ones((T, 2)),))


@pytest.mark.parametrize("layer", [ElmanRNN(2, 3), LSTM(2, 3), GRU(2, 3), SRU(2, 3)])
def test_the_passes_of_every_cell_have_calls_in_each_step(layer):
    params = layer.init_params(np.random.default_rng(0))
    assert calls_a_step(layer.forward, lambda T: (params, np.ones((T, 2, 2)))) > 0


def test_the_stored_staircase_has_these_versions():
    stored = json.loads((ROOT / "benchmarks/results/stairs.json").read_text("utf-8"))
    for row in stored["stairs"]:
        assert list(row["training"]) == list(STAIRS)
        assert list(row["forward"]) == ["step", *STAIRS]
