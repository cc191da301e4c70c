"""The nonlinearities against exact values, and their slopes against differences."""

import numpy as np
import pytest
import torch
from contract import torch_function

from rnn_ref import GRU, ElmanRNN
from rnn_ref.activations import (
    _KINDS,
    Activation,
    choose,
    relu,
    relu_slope,
    sigmoid,
    sigmoid_slope,
    softplus,
    tanh,
)
from rnn_ref.check import numerical_gradient

OTHERS = [
    Activation("affine", -0.7, 0.2),
    Activation("leaky_relu", 0.3),
    Activation("leaky_relu", 0.0),
    Activation("thresholded_relu", 0.4),
    Activation("thresholded_relu", -0.4),
    Activation("scaled_tanh", 1.7, -0.6),
    Activation("scaled_tanh", 0.0, 0.6),
    Activation("hard_sigmoid", 0.3, 0.4),
    Activation("elu", 0.6),
]
ALL = [*_KINDS, *OTHERS]
a = np.array([-30.0, -2.3, -0.3, 0.1, 1.7, 30.0])  # no kink of any
every = pytest.mark.parametrize("choice", ALL, ids=str)


def test_values():
    np.testing.assert_allclose(sigmoid(a), 1 / (1 + np.exp(-a)), rtol=1e-15, atol=1.2e-16)
    np.testing.assert_allclose(tanh(a), 2 / (1 + np.exp(-2 * a)) - 1, rtol=1e-14)
    np.testing.assert_array_equal(relu(a), [0, 0, 0, 0.1, 1.7, 30.0])
    np.testing.assert_allclose(softplus(a), np.logaddexp(0, a), rtol=1e-15)


@pytest.mark.parametrize("clip", [None, 1.1])
@every
def test_values_are_torch_s(choice, clip):
    f, _ = choose(choice, clip)
    expected = torch_function(choice, clip)(torch.tensor(a)).numpy()
    np.testing.assert_allclose(f(a), expected, rtol=1e-14, atol=1e-16)


@pytest.mark.parametrize("clip", [None, 1.1])
@every
def test_slope_is_a_function_of_the_value(choice, clip):
    f, slope = choose(choice, clip)
    differences = numerical_gradient(lambda a: float(f(a).sum()), a)
    np.testing.assert_allclose(slope(f(a)), differences, rtol=1e-7, atol=1e-10)


def test_what_is_cut_off_has_no_slope():
    f, slope = choose("affine", 2.0)
    np.testing.assert_array_equal(f(a), [-2, -2, -0.3, 0.1, 1.7, 2])
    np.testing.assert_array_equal(slope(f(a)), [0, 0, 1, 1, 1, 0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every
def test_dtype_extremes_and_out(choice, dtype):
    f, slope = choose(choice)
    x = np.array([-1e30, -1e4, 0.0, 1e4, 1e30], dtype)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        y = f(x)
        assert slope(f(x[1:4])).dtype == dtype
    assert y.dtype == dtype and np.isfinite(y).all()
    assert f(x, out=x) is x
    np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("f", [sigmoid, tanh, relu])
def test_infinity(f):
    with np.errstate(all="raise"):
        assert not np.isnan(f(np.array([-np.inf, np.inf]))).any()


def test_arrays_of_no_dimension():
    assert sigmoid(np.array(0.0)) == 0.5 and tanh(np.array(0.0)) == 0.0


def test_slopes_where_two_pieces_meet():
    assert relu_slope(relu(np.zeros(1)))[0] == 0.0
    assert sigmoid_slope(sigmoid(np.zeros(1)))[0] == 0.25


def test_defaults_are_onnx_s():
    assert Activation("leaky_relu").alpha == 0.01
    assert Activation("hard_sigmoid") == Activation("hard_sigmoid", 0.2, 0.5)
    assert Activation("elu").alpha == Activation("thresholded_relu").alpha == 1.0
    assert Activation("tanh").alpha is None


def test_one_function_is_one_choice():
    """Whatever way it was named: layers that are the same function compare equal."""
    plain = Activation("sigmoid"), Activation("tanh")
    assert GRU(3, 5, activations=plain) == GRU(3, 5)
    assert ElmanRNN(3, 5, Activation("elu", alpha=1.0)) == ElmanRNN(3, 5, "elu")
    assert ElmanRNN(3, 5, Activation("elu", alpha=0.9)) != ElmanRNN(3, 5, "elu")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("sine",), ValueError, "name: expected one of sigmoid, tanh, .*'sine'"),
        (("tanh", 1.0), ValueError, "alpha: expected None, tanh has none, got 1.0"),
        (("elu", 1.0, 2.0), ValueError, "beta: expected None, elu has none"),
        (("elu", -1.0), ValueError, "alpha: expected at least 0 for elu, got -1.0"),
        (("elu", np.inf), ValueError, "alpha: expected a finite number, got inf"),
        (("affine", "1"), TypeError, "alpha: expected a number, got str"),
    ],
)
def test_wrong_choices_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        Activation(*arguments)
