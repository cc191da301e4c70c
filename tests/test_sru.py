"""SRU in all its variants against the contract."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from contract import Contract, case

from rnn_ref import SRU, highway_alpha

ALPHA = highway_alpha(-0.7)


class TestSRU(Contract):
    """Among the variants D = H too: only there the highway takes the input as it is."""

    layers = [
        SRU(3, 5),
        SRU(3, 5, version=1),
        SRU(4, 4, alpha=ALPHA),
        SRU(4, 4, version=1, nonlinearity="tanh", alpha=ALPHA),
        SRU(3, 5, nonlinearity="tanh", alpha=ALPHA),
        SRU(3, 5, highway=False),
        SRU(3, 5, version=1, nonlinearity="tanh", highway=False),
    ]

    @staticmethod
    def transcription(layer, params, x, state):
        H = layer.hidden_size
        W, b = params.weight_ih, params.bias_ih
        zero = x.new_zeros(H)
        v_f, v_r = (zero, zero) if layer.version == 1 else params.weight_ph.chunk(2)
        (h, c), output = state, []
        for x_t in x:
            candidate = x_t @ W[:H].T
            forget = torch.sigmoid(x_t @ W[H : 2 * H].T + v_f * c + b[:H])
            reset = torch.sigmoid(x_t @ W[2 * H : 3 * H].T + v_r * c + b[H:])
            c = forget * c + (1 - forget) * candidate
            skip = 0.0
            if layer.highway:
                skip = layer.alpha * (x_t if x_t.shape[1] == H else x_t @ W[3 * H :].T)
            h = reset * (torch.tanh(c) if layer.nonlinearity == "tanh" else c) + (1 - reset) * skip
            output.append(h)
        return torch.stack(output) if output else x.new_zeros(0, *h.shape), [h, c]

    @staticmethod
    def torch_nn(layer):
        return None

    # torch.nn has no SRU; the package of its authors is compared in tests/interop.
    test_forward_and_all_gradients_match_torch_nn = None
    test_transcription_is_torch_nn = None


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"version": 3}, ValueError, r"version: expected one of \(1, 2\), got 3"),
        ({"version": True}, ValueError, r"version: expected one of \(1, 2\), got True"),
        ({"highway": 0}, ValueError, "highway: expected one of"),
        ({"nonlinearity": "relu"}, ValueError, "nonlinearity: expected one of .*'identity'"),
        ({"highway": "yes"}, ValueError, "highway: expected one of"),
        ({"alpha": 0.0}, ValueError, "alpha: expected a positive finite number, got 0.0"),
        ({"alpha": math.inf}, ValueError, "alpha: expected a positive finite number, got inf"),
        ({"alpha": "2"}, TypeError, "alpha: expected a number, got str"),
        ({"alpha": 2.0, "highway": False}, ValueError, "alpha: .*no highway term"),
    ],
)
def test_wrong_choices_are_refused(change, error, message):
    with pytest.raises(error, match=message):
        SRU(3, 5, **change)


def test_a_numpy_number_as_alpha_keeps_float32():
    layer = SRU(4, 4, alpha=np.float64(1.5))
    c = case(layer, dtype=np.float32)
    assert layer.forward(c.params, c.x, c.state)[0].dtype == np.float32


def test_weight_ph_belongs_to_version_2():
    c = case(SRU(3, 5))
    with pytest.raises(ValueError, match=r"params\.weight_ph: expected None"):
        SRU(3, 5, version=1).forward(c.params, c.x)
    bare = c.params._replace(weight_ph=None)
    with pytest.raises(TypeError, match=r"params\.weight_ph: expected an array"):
        SRU(3, 5).forward(bare, c.x)


def test_version_2_without_v_is_version_1():
    layer = SRU(3, 5)
    c = case(layer)
    bare = c.params._replace(weight_ph=np.zeros(10))
    one = dataclasses.replace(layer, version=1)
    expected = one.forward(c.params._replace(weight_ph=None), c.x, c.state)[0]
    np.testing.assert_array_equal(layer.forward(bare, c.x, c.state)[0], expected)
    assert np.abs(layer.forward(c.params, c.x, c.state)[0] - expected).max() > 0.05


def test_the_initial_h_has_no_influence():
    layer = SRU(3, 5)
    c = case(layer)
    other = c.state._replace(h=c.state.h + 1.0)
    a, b = (layer.forward(c.params, c.x, state) for state in (c.state, other))
    np.testing.assert_array_equal(a[0], b[0])
    grads = layer.backward(c.params, a[2], c.d_output, c.d_final_state)
    assert not grads.state.h.any() and grads.state.c.any()


def test_units_do_not_mix():
    """Unit k of c depends on unit k of the initial c alone: the recurrence has no matrix."""
    layer = SRU(3, 5)
    c = case(layer)
    base = layer.forward(c.params, c.x, c.state)[2].c
    for k in range(5):
        moved = c.state.c.copy()
        moved[:, k] += 1.0
        changed = layer.forward(c.params, c.x, c.state._replace(c=moved))[2].c != base
        assert changed[:, :, k].all() and changed.sum() == changed[:, :, k].sum()


def test_the_cell_of_version_1_is_an_average():
    """c never leaves the range of the initial c and the candidates, whatever the weights."""
    layer = SRU(3, 5, version=1)
    c = case(layer, T=30)
    params = c.params._replace(weight_ih=9.0 * c.params.weight_ih)
    cache = layer.forward(params, c.x, c.state)[2]
    seen = np.concatenate([c.state.c[None], cache.u])
    assert (cache.c <= np.maximum.accumulate(seen) + 1e-12).all()
    assert (cache.c >= np.minimum.accumulate(seen) - 1e-12).all()


def test_highway_alpha():
    assert highway_alpha(0.0) == math.sqrt(3.0)
    assert highway_alpha(-30.0) == pytest.approx(1.0, abs=1e-12)
    with pytest.raises(TypeError, match="bias: expected a number, got ndarray"):
        highway_alpha(np.zeros(3))
    for bias in (math.nan, math.inf, -math.inf, 701.0):
        with pytest.raises(ValueError, match="bias: expected a finite number"):
            highway_alpha(bias)
