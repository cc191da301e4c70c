"""A planted mistake is one line of the package's own _backward, and nothing else changes."""

import inspect

import numpy as np
import pytest
from book.planting import planted, show_edit

from rnn_ref import GRU, LSTM, ElmanRNN, gradient_errors, relative_error
from rnn_ref.torch_module import TorchLayer

CARRY, NO_CARRY = "np.add(dout_t, dh_next, out=dh)", "np.copyto(dh, dout_t)"


def gradients(layer, seed=0):
    rng = np.random.default_rng(seed)
    params, x = layer.init_params(rng), rng.normal(size=(4, 2, layer.input_size))
    output, final, cache = layer.forward(params, x)
    d_final = type(final)(*(rng.normal(size=s.shape) for s in final))
    return output, layer.backward(params, cache, rng.normal(size=output.shape), d_final)


@pytest.mark.parametrize("layer_type", [ElmanRNN, LSTM, GRU])
def test_backward_changes_and_forward_does_not(layer_type):
    before = layer_type._backward
    wrong = planted(layer_type, CARRY, NO_CARRY)
    assert issubclass(wrong, layer_type) and layer_type._backward is before
    (output, right), (same, other) = gradients(layer_type(3, 4)), gradients(wrong(3, 4))
    np.testing.assert_array_equal(output, same)
    errors = gradient_errors(other, right)
    assert min(errors.values()) > 1e-3


def test_the_change_is_the_one_asked_for():
    doubled = planted(ElmanRNN, "project_back(da, W)", "2.0 * project_back(da, W)")
    (_, right), (_, other) = gradients(ElmanRNN(3, 4)), gradients(doubled(3, 4))
    assert relative_error(other.x, 2.0 * right.x) == 0.0
    errors = gradient_errors(other, right)
    assert {name for name, error in errors.items() if error} == {"x"}


def test_the_wrong_line_may_name_a_nonlinearity():
    again = planted(LSTM, "sigma_slope(i)", "sigma_slope(sigmoid(i))")
    (_, right), (_, other) = gradients(LSTM(3, 4)), gradients(again(3, 4))
    assert min(gradient_errors(other, right).values()) > 1e-3


def test_a_cache_of_the_right_layer_is_refused():
    right, wrong = ElmanRNN(3, 4), planted(ElmanRNN, CARRY, NO_CARRY)(3, 4)
    params = right.init_params(np.random.default_rng(0))
    output, _, cache = right.forward(params, np.ones((4, 2, 3)))
    with pytest.raises(ValueError, match="cache: expected one made by PlantedElmanRNN"):
        wrong.backward(params, cache, output)


def test_choices_and_torch_are_kept():
    wrong = planted(LSTM, "h_by_c += p_o * h_by_ao", "pass")
    layer = wrong(3, 4, peephole=True)
    assert vars(layer) == vars(LSTM(3, 4, peephole=True))
    TorchLayer(layer, layer.init_params(np.random.default_rng(0)))


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("dh_prev", "dh", "LSTM._backward has once, got 0 of 'dh_prev'"),
        ("dh", "dc", r"got \d+ of 'dh'"),
        ("", "dh", "got 0 of ''"),
        (CARRY, CARRY, "another text"),
        (CARRY, NO_CARRY + "\n", "one line"),
    ],
)
def test_what_is_not_one_edit_is_refused(right, wrong, message):
    with pytest.raises(ValueError, match=message):
        planted(LSTM, right, wrong)


def test_one_mistake_at_a_time():
    with pytest.raises(ValueError, match="layer_type: expected a layer's own, got PlantedLSTM"):
        planted(planted(LSTM, CARRY, NO_CARRY), "dot(row_t, U,", "dot(row_t, 0 * U,")


def test_the_edit_is_shown(monkeypatch):
    shown = []
    monkeypatch.setattr("book.planting.display", lambda data, raw: shown.append(data))
    one, two = planted(LSTM, CARRY, NO_CARRY), planted(GRU, "(h_p - n)", "(n - h_p)")
    before = f"{CARRY}  # (eq-lstm-dh)"
    assert one.edit == (before, f"{NO_CARRY}  # (eq-lstm-dh)")
    assert before in inspect.getsource(LSTM._backward)
    show_edit(one, two)
    (data,) = shown
    assert data["text/plain"].startswith(f"- {before}\n+ {NO_CARRY}  # (eq-lstm-dh)\n\n- ")
    assert "rnn_ref/lstm.py: LSTM._backward, rnn_ref/gru.py: GRU._backward" in data["text/html"]
    assert '<span class="c1"># (eq-lstm-dh)</span>' in data["text/html"]
