"""The nonlinearities against exact values, and their slopes against differences."""

import numpy as np
import pytest

from rnn_ref.activations import relu, relu_slope, sigmoid, sigmoid_slope, tanh, tanh_slope
from rnn_ref.check import numerical_gradient

PAIRS = [(sigmoid, sigmoid_slope), (tanh, tanh_slope), (relu, relu_slope)]
a = np.array([-30.0, -2.5, -0.3, 0.1, 1.7, 30.0])


def test_values():
    np.testing.assert_allclose(sigmoid(a), 1 / (1 + np.exp(-a)), rtol=1e-15, atol=1.2e-16)
    np.testing.assert_allclose(tanh(a), 2 / (1 + np.exp(-2 * a)) - 1, rtol=1e-14)
    np.testing.assert_array_equal(relu(a), [0, 0, 0, 0.1, 1.7, 30.0])


@pytest.mark.parametrize(("f", "slope"), PAIRS)
def test_slope_is_a_function_of_the_value(f, slope):
    differences = numerical_gradient(lambda a: float(f(a).sum()), a)
    np.testing.assert_allclose(slope(f(a)), differences, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("f", [sigmoid, tanh, relu])
def test_dtype_extremes_and_out(f, dtype):
    x = np.array([-np.inf, -1e30, -1e4, 0.0, 1e4, 1e30, np.inf], dtype)
    with np.errstate(all="raise"):
        y = f(x)
    assert y.dtype == dtype and not np.isnan(y).any()
    assert f(x, out=x) is x
    np.testing.assert_array_equal(x, y)


def test_arrays_of_no_dimension():
    assert sigmoid(np.array(0.0)) == 0.5 and tanh(np.array(0.0)) == 0.0


def test_relu_slope_at_zero_is_zero():
    assert relu_slope(relu(np.zeros(1)))[0] == 0.0
