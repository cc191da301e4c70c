"""The finite differences, an oracle themselves, are checked where the gradient is known."""

import numpy as np
import pytest
import torch
from contract import case

from rnn_ref import (
    LSTM,
    ElmanRNN,
    gradient_errors,
    numerical_gradient,
    numerical_gradients,
    relative_error,
)


def test_gradient_of_a_known_function():
    a = np.random.default_rng(0).standard_normal((3, 4))
    found = numerical_gradient(lambda a: float(np.sum(np.sin(a) * np.arange(12).reshape(3, 4))), a)
    assert relative_error(found, np.cos(a) * np.arange(12).reshape(3, 4)) < 1e-10


def test_argument_is_left_alone():
    a = np.random.default_rng(0).standard_normal(5)
    before = a.copy()
    numerical_gradient(lambda a: float(a @ a), a)
    np.testing.assert_array_equal(a, before)


def test_error_is_of_fourth_order():
    """Halving a large step divides the error by 16: the two differences are combined rightly."""
    a = np.array([0.3])
    errors = [
        abs(numerical_gradient(lambda a: float(np.exp(a[0])), a, eps)[0] - np.exp(0.3))
        for eps in (0.2, 0.1)
    ]
    assert 15 < errors[0] / errors[1] < 17


def test_float32_is_refused():
    with pytest.raises(TypeError, match="a: expected a float64 array, got float32"):
        numerical_gradient(lambda a: 0.0, np.zeros(2, np.float32))
    c = case(ElmanRNN(3, 5), dtype=np.float32)
    with pytest.raises(TypeError, match="float32"):
        numerical_gradients(ElmanRNN(3, 5), *c)


def test_relative_error():
    expected = np.array([1.0, -4.0])
    assert relative_error(expected, expected) == 0.0
    assert relative_error(np.array([1.5, -4.0]), expected) == 0.125
    assert relative_error(np.zeros(0), np.zeros(0)) == 0.0
    assert relative_error(np.array([1.0]), np.zeros(1)) == float("inf")
    assert np.isnan(relative_error(np.array([np.nan, -4.0]), expected))
    with pytest.raises(ValueError, match=r"expected shape \(2,\), got \(1, 2\)"):
        relative_error(expected[None], expected)
    with pytest.raises(TypeError, match="expected: expected an array, got Tensor"):
        relative_error(expected, torch.tensor(expected))
    with pytest.raises(
        TypeError,
        match=r"layer: expected a rnn_ref\.Layer, got torch\.nn.*GRU; .*numerical_gradient",
    ):
        numerical_gradients(torch.nn.GRU(3, 5), None, expected, None, expected)
    with pytest.raises(TypeError, match="actual: expected an array, got ElmanParams"):
        relative_error(case(ElmanRNN(3, 5)).params, expected)


@pytest.mark.parametrize("value", [None, np.ones(2), [1.0]], ids=["None", "array", "list"])
def test_a_function_must_return_a_number(value):
    with pytest.raises(TypeError, match="f: expected to return a number, got"):
        numerical_gradient(lambda a: value, np.zeros(2))


def test_a_layer_with_passes_of_its_own_may_have_a_cache_of_its_own():
    class Own(ElmanRNN):
        def forward(self, params, x, state=None, lengths=None):
            output, final_state, cache = super().forward(params, x, state, lengths)
            return 2.0 * output, final_state, (cache, "and more")

        def backward(self, params, cache, d_output, d_final_state=None):
            return super().backward(params, cache[0], 2.0 * d_output, d_final_state)

    layer = Own(3, 5)
    c = case(layer)
    _, _, cache = layer.forward(c.params, c.x, c.state)
    derived = super(Own, layer).backward(c.params, cache[0], 2.0 * c.d_output, c.d_final_state)
    assert max(gradient_errors(derived, numerical_gradients(layer, *c)).values()) < 1e-9


def test_states_may_be_left_out():
    layer = ElmanRNN(3, 5)
    c = case(layer)
    zeros = layer.zero_state(2)
    left_out = numerical_gradients(layer, c.params, c.x, None, c.d_output)
    given = numerical_gradients(layer, c.params, c.x, zeros, c.d_output, zeros)
    assert set(gradient_errors(left_out, given).values()) == {0.0}


def test_upstream_gradients_of_the_wrong_shape_are_refused():
    layer = ElmanRNN(3, 5)
    c = case(layer)
    batch_first = c.d_output.swapaxes(0, 1)
    with pytest.raises(ValueError, match=r"d_output: expected shape \(T=4, N=2, H=5\)"):
        numerical_gradients(layer, c.params, c.x, c.state, batch_first, c.d_final_state)


def test_the_backward_under_test_has_no_say(monkeypatch):
    """One that writes into its arguments, or is not written yet, is compared with the same."""
    layer, c = ElmanRNN(3, 5), case(ElmanRNN(3, 5))
    expected = numerical_gradients(layer, *c)
    monkeypatch.setattr(ElmanRNN, "_backward", None)
    assert max(gradient_errors(numerical_gradients(layer, *c), expected).values()) == 0.0


def test_gradient_errors_name_each_array():
    layer = LSTM(3, 5, peephole=True)
    c = case(layer)
    _, _, cache = layer.forward(c.params, c.x, c.state)
    grads = layer.backward(c.params, cache, c.d_output, c.d_final_state)
    wrong = grads._replace(params=grads.params._replace(weight_ph=1.5 * grads.params.weight_ph))
    errors = gradient_errors(wrong, grads)
    assert list(errors) == [
        *(f"params.{name}" for name in layer.param_axes()), "x", "state.h", "state.c"
    ]  # fmt: skip
    assert errors.pop("params.weight_ph") == pytest.approx(0.5)
    assert set(errors.values()) == {0.0}
    with pytest.raises(TypeError, match=r"actual: expected Gradients\(.*\), got LSTMParams"):
        gradient_errors(grads.params, grads)
    other = case(ElmanRNN(3, 5))
    with pytest.raises(TypeError, match=r"actual: expected gradients of .*state\.h"):
        gradient_errors(numerical_gradients(ElmanRNN(3, 5), *other), grads)
