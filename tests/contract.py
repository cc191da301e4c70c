"""The contract as tests: what every layer must pass, in every variant and both dtypes.

A cell's test file subclasses :class:`Contract`, lists its variants, and supplies two oracles that
share no code with ``rnn_ref``: a transcription of the published equations for autograd, and the
module of ``torch.nn`` where there is one.

Nothing here is zero, constant, symmetric or square: parameters, states and upstream gradients are
all random and different, D != H, N >= 2, T >= 3. A zero bias hides a dropped bias, equal gates hide
a permutation, and ``.sum()`` as a loss hides a transposition.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given
from hypothesis import strategies as st
from torch.func import functional_call
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import rnn_ref
from rnn_ref.activations import Activation
from rnn_ref.check import numerical_gradients, relative_error
from rnn_ref.torch_module import TorchLayer
from rnn_ref.tree import map_arrays

TOLERANCE = {np.float64: 1e-10, np.float32: 2e-5}


class Case(NamedTuple):
    """Random arguments of one forward and backward pass."""

    params: Any
    x: np.ndarray
    state: Any
    d_output: np.ndarray
    d_final_state: Any


def case(layer, seed=0, dtype=np.float64, T=4, N=2) -> Case:
    """Draw a case; weights are scaled to keep the gates away from saturation."""
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return (0.7 * rng.standard_normal(shape)).astype(dtype)

    shapes = {name: [size for _, size in axes] for name, axes in layer.param_axes().items()}
    sizes = [size for _, size in layer.state_axes().values()]
    states = [layer.state_type(*(normal(N, K) for K in sizes)) for _ in range(2)]
    return Case(
        params=layer.params_type(**{name: normal(*shape) for name, shape in shapes.items()}),
        x=normal(T, N, layer.input_size),
        state=states[0],
        d_output=normal(T, N, layer.output_size),
        d_final_state=states[1],
    )


def results(layer, c: Case, lengths: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Everything that forward and backward return, by name."""
    output, final_state, cache = layer.forward(c.params, c.x, c.state, lengths)
    grads = layer.backward(c.params, cache, c.d_output, c.d_final_state)
    return {
        "output": output,
        **{f"final_{k}": v for k, v in final_state._asdict().items()},
        **named(grads),
    }


def named(grads) -> dict[str, np.ndarray]:
    """The arrays of Gradients by name."""
    found = {"d_x": grads.x}
    found |= {f"d_{k}": v for k, v in grads.params._asdict().items() if v is not None}
    found |= {f"d_{k}_0": v for k, v in grads.state._asdict().items()}
    return found


def autograd(run, c: Case) -> dict[str, np.ndarray]:
    """The same by torch in float64, from ``run(params, x, state) -> output, final_state``."""

    def leaf(v):
        return None if v is None else torch.tensor(v, dtype=torch.float64, requires_grad=True)

    params = type(c.params)(*map(leaf, c.params))
    state, x = type(c.state)(*map(leaf, c.state)), leaf(c.x)
    output, final_state = run(params, x, state)
    loss = (output * torch.tensor(c.d_output, dtype=torch.float64)).sum()
    for value, d in zip(final_state, c.d_final_state, strict=True):
        loss = loss + (value * torch.tensor(d, dtype=torch.float64)).sum()
    loss.backward()

    def grad(leaf):  # None where a leaf had no influence, as with T = 0
        return np.zeros(leaf.shape) if leaf.grad is None else leaf.grad.numpy()

    found = {"output": output.detach().numpy()}
    found |= {
        f"final_{k}": v.detach().numpy() for k, v in zip(c.state._fields, final_state, strict=True)
    }
    found |= {"d_x": grad(x)}
    found |= {f"d_{k}": grad(v) for k, v in params._asdict().items() if v is not None}
    found |= {f"d_{k}_0": grad(v) for k, v in state._asdict().items()}
    return found


def errors(layer, run, c: Case) -> dict[str, float]:
    """Relative error of each result of the layer against autograd through ``run``."""
    ours, theirs = results(layer, c), autograd(run, c)
    assert ours.keys() == theirs.keys()
    return {name: relative_error(ours[name], theirs[name]) for name in ours}


def run_torch_nn(module: torch.nn.RNNBase, lengths: np.ndarray | None = None):
    """``torch.nn.RNN``, ``LSTM`` or ``GRU`` as a function of (params, x, state)."""

    def run(params, x, state):
        T = len(x)
        if lengths is not None:
            x = pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)
        weights = {f"{k}_l0": v for k, v in params._asdict().items() if v is not None}
        initial = tuple(s[None] for s in state)
        output, final = functional_call(
            module, weights, (x, initial if len(initial) > 1 else initial[0])
        )
        final = final if isinstance(final, tuple) else (final,)
        if lengths is not None:
            output, _ = pad_packed_sequence(output, total_length=T)
        return output, [s[0] for s in final]

    return run


def assert_close(errors_by_name: dict[str, float], tolerance: float) -> None:
    """Fail with all errors shown when one is above the tolerance, or NaN."""
    bad = {name: e for name, e in errors_by_name.items() if not e <= tolerance}
    assert not bad, f"above {tolerance}: {bad}; all: {errors_by_name}"


def strided(v: np.ndarray) -> np.ndarray:
    """The same numbers as every second one of a larger array."""
    wide = np.full((*v.shape[:-1], 2 * v.shape[-1]), np.nan, v.dtype)
    wide[..., 1::2] = v
    return wide[..., 1::2]


def batch_first(v: np.ndarray) -> np.ndarray:
    """(T, N, D) that lies in memory as (N, T, D)."""
    return v.swapaxes(0, v.ndim - 2).copy().swapaxes(0, v.ndim - 2)


# Views that are not C-contiguous. The last repeats its first entry, read-only.
LAYOUTS = {
    "fortran": np.asfortranarray,
    "batch first": batch_first,
    "strided": strided,
    "reversed": lambda v: v[::-1].copy()[::-1],
    "broadcast": lambda v: np.broadcast_to(v[:1], v.shape),
}


def modules_of(layer) -> dict[str, Any]:
    """The modules of the package that the layer is from: ``rnn_ref``, or a copy of it."""
    package = type(layer).__module__.partition(".")[0]
    return {
        name.removeprefix(f"{package}."): module
        for name, module in sys.modules.items()
        if name.startswith(f"{package}.")
    }


@contextmanager
def chunks_of(steps: int, layer) -> Iterator[None]:
    """Within, the passes take that many steps at a time, and new memory is full of NaN."""
    modules = modules_of(layer)
    chunks, used = modules["cell"].chunks, []

    def short(T, size, most=0):
        used.append(chunks(T, size, steps * max(1, size)))
        return used[-1]

    def full_of_nan(new):
        def empty(*args, **kwargs):
            array = new(*args, **kwargs)
            array.fill(np.nan)
            return array

        return empty

    with pytest.MonkeyPatch.context() as patch:
        for module in modules.values():
            if hasattr(module, "chunks"):
                patch.setattr(module, "chunks", short)
        for name in ("empty", "empty_like"):
            patch.setattr(np, name, full_of_nan(getattr(np, name)))
        yield
    assert used, "nothing was cut into chunks"


both_dtypes = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])


def torch_function(choice, clip=None):
    """A choice of activation in torch's own functions."""
    choice = Activation(choice) if isinstance(choice, str) else choice
    alpha, beta = choice.alpha, choice.beta
    f = {
        "affine": lambda a: alpha * a + beta,
        "leaky_relu": lambda a: F.leaky_relu(a, alpha),
        "thresholded_relu": lambda a: F.threshold(a, alpha, 0.0),
        "scaled_tanh": lambda a: alpha * torch.tanh(beta * a),
        "hard_sigmoid": lambda a: torch.clamp(alpha * a + beta, 0.0, 1.0),
        "elu": lambda a: F.elu(a, alpha),
        "softsign": F.softsign,
        "softplus": F.softplus,
    }.get(choice.name) or getattr(torch, choice.name)
    return f if clip is None else lambda a: f(torch.clamp(a, -clip, clip))


def twin(package, original):
    """The same layer, model or activation of another copy of the package."""
    if isinstance(original, tuple):
        return tuple(twin(package, part) for part in original)
    if not dataclasses.is_dataclass(original):  # a size or a name
        return original
    fields = [f.name for f in dataclasses.fields(original) if f.init]
    choices = {name: twin(package, getattr(original, name)) for name in fields}
    return getattr(package, type(original).__name__)(**choices)


def describe(value) -> str:
    """An option's value in few characters."""
    if isinstance(value, tuple):
        return "-".join(map(describe, value))
    return value.name if isinstance(value, Activation) else str(value)


def contract_tests() -> dict[str, type[Contract]]:
    """The contract's tests of every public layer, by the name of the module that holds it.

    A layer in ``rnn_ref/gru.py`` is tested by the subclass of Contract in ``tests/test_gru.py``.
    """
    found = {}
    for layer in public_layers():
        stem = layer.__module__.rpartition(".")[2]
        tests = vars(importlib.import_module(f"test_{stem}")).values()
        (found[stem],) = (
            t
            for t in tests
            if isinstance(t, type) and issubclass(t, Contract) and t is not Contract
        )
    return found


def public_layers() -> list[type[rnn_ref.Layer]]:
    """Every cell that ``rnn_ref`` offers."""
    things = (getattr(rnn_ref, name) for name in rnn_ref.__all__)
    return [
        t
        for t in things
        if isinstance(t, type) and issubclass(t, rnn_ref.Cell) and t is not rnn_ref.Cell
    ]


class Contract:
    """Subclass as ``class TestGRU(Contract)``; ``conftest`` runs each test for every layer."""

    layers: ClassVar[list]

    @staticmethod
    def transcription(layer, params, x, state):
        """The published equations in torch operations: (output, list of final states)."""
        raise NotImplementedError

    @staticmethod
    def torch_nn(layer) -> torch.nn.RNNBase | None:
        """The same function in ``torch.nn``, float64, or None where there is none."""
        raise NotImplementedError

    @staticmethod
    def describe(layer) -> str:
        """Test id: what differs from the plain variant."""
        fields = [f for f in dataclasses.fields(layer) if not f.name.endswith("put_size")]
        options = {f.name: getattr(layer, f.name) for f in fields if f.name != "hidden_size"}
        defaults = {f.name: f.default for f in fields}
        changed = [f"{k}={describe(v)}" for k, v in options.items() if v != defaults[k]]
        return ",".join(changed) or "plain"

    @staticmethod
    def resized(layer, D, H):
        """The same variant with other sizes."""
        return dataclasses.replace(layer, input_size=D, hidden_size=H)

    def transcribed(self, layer):
        """The transcription as ``run(params, x, state)``."""
        return lambda params, x, state: self.transcription(layer, params, x, state)

    @both_dtypes
    def test_step_equals_forward(self, layer, dtype):
        """Nearer than to any other program; in float32 rounding alone makes up to 8e-7."""
        c = case(layer, dtype=dtype)
        output, final_state, _ = layer.forward(c.params, c.x, c.state)
        state = c.state
        for t, x_t in enumerate(c.x):
            state = layer.step(c.params, x_t, state)
            assert relative_error(output[t], state.h) <= TOLERANCE[dtype] / 10
        for name, value in final_state._asdict().items():
            assert relative_error(value, getattr(state, name)) <= TOLERANCE[dtype] / 10

    @both_dtypes
    def test_forward_and_all_gradients_match_autograd(self, layer, dtype):
        for seed in range(3):
            found = errors(layer, self.transcribed(layer), case(layer, seed, dtype, T=5, N=3))
            assert_close(found, TOLERANCE[dtype])

    @both_dtypes
    def test_forward_and_all_gradients_match_torch_nn(self, standard, dtype):
        run = run_torch_nn(self.torch_nn(standard))
        for seed in range(3):
            assert_close(errors(standard, run, case(standard, seed, dtype)), TOLERANCE[dtype])

    def test_transcription_is_torch_nn(self, standard):
        """The oracle of the variants, where it can be checked against torch itself."""
        c = case(standard)
        ours = autograd(self.transcribed(standard), c)
        theirs = autograd(run_torch_nn(self.torch_nn(standard)), c)
        assert_close({k: relative_error(ours[k], theirs[k]) for k in ours}, 1e-12)

    def test_gradients_match_finite_differences(self, layer):
        c = case(layer)
        _, _, cache = layer.forward(c.params, c.x, c.state)
        ours = named(layer.backward(c.params, cache, c.d_output, c.d_final_state))
        theirs = named(numerical_gradients(layer, *c))
        assert ours.keys() == theirs.keys()
        assert_close({k: relative_error(ours[k], theirs[k]) for k in ours}, 1e-9)

    @pytest.mark.parametrize("steps", [1, 2, 7])
    def test_chunks_of_steps_change_nothing(self, layer, steps):
        """Small cases fit into one chunk; here there are seven, or four of which the last is short.

        Every number is written: what is left of the memory's NaN would reach a result.
        """
        c = case(layer, T=7)
        expected = results(layer, c)
        with chunks_of(steps, layer):
            found = results(layer, c)
        assert_close({k: relative_error(v, expected[k]) for k, v in found.items()}, 1e-12)

    def test_a_batch_of_several_chunks_matches_autograd(self, layer):
        """So large a batch that the steps are cut into chunks without being told to."""
        T, N = 7, 3000
        chunks = modules_of(layer)["cell"].chunks(T, N * layer.hidden_size)
        first, *_, last = (len(range(T)[chunk]) for chunk in chunks)
        assert first > last, "several chunks wanted, the last one short: choose another N"
        assert_close(errors(layer, self.transcribed(layer), case(layer, T=T, N=N)), 1e-10)

    def test_gradcheck_through_torch(self, layer):
        c = case(layer, T=3)
        module = TorchLayer(layer, c.params)
        leaves = [torch.tensor(v, requires_grad=True) for v in (c.x, *c.state)]

        def run(x, *rest):
            names = layer.param_axes()
            weights, state = rest[: len(names)], layer.state_type(*rest[len(names) :])
            parameters = dict(zip(names, weights, strict=True))
            output, final_state = functional_call(module, parameters, (x, state))
            return output, *final_state

        weights = [p.detach().clone().requires_grad_() for p in module.parameters()]
        assert torch.autograd.gradcheck(run, (leaves[0], *weights, *leaves[1:]))

    def test_any_size(self, layer):
        """Sizes drawn at random; always among them all of 1, no steps, and no rows."""

        sizes = st.tuples(
            st.integers(0, 4), st.integers(0, 3), st.integers(1, 4), st.integers(1, 4)
        )

        @example((1, 1, 1, 1), 0)
        @example((0, 2, 1, 3), 0)
        @example((3, 0, 2, 1), 0)
        @given(sizes, st.integers(0, 99))
        def check(size, seed):
            T, N, D, H = size
            sized = self.resized(layer, D, H)
            c = case(sized, seed, T=T, N=N)
            assert_close(errors(sized, self.transcribed(sized), c), 1e-9)

        check()

    def test_no_steps_change_nothing(self, layer):
        c = case(layer, T=0)
        output, final_state, cache = layer.forward(c.params, c.x, c.state)
        grads = layer.backward(c.params, cache, c.d_output, c.d_final_state)
        assert output.shape == (0, 2, layer.output_size)
        for value, expected in zip(final_state, c.state, strict=True):
            np.testing.assert_array_equal(value, expected)
        for value, expected in zip(grads.state, c.d_final_state, strict=True):
            np.testing.assert_array_equal(value, expected)
            assert not np.shares_memory(value, expected)
        assert all(not d.any() for d in grads.params if d is not None)

    def test_defaults_are_zeros(self, layer):
        c = case(layer)
        zeros = layer.zero_state(2)
        given_zeros = c._replace(state=zeros, d_final_state=zeros)
        expected = results(layer, given_zeros)
        output, _, cache = layer.forward(c.params, c.x)
        np.testing.assert_array_equal(output, expected["output"])
        for name, value in named(layer.backward(c.params, cache, c.d_output)).items():
            np.testing.assert_array_equal(value, expected[name])

    @pytest.mark.parametrize("lengths", [(3, 5, 0, 2, 5), (1, 1, 1, 1, 1), (0, 0, 0, 0, 0)])
    def test_rows_of_different_length_are_rows_alone(self, layer, lengths):
        """Beside each row's own run, cut off at its end; the padding is NaN, also upstream."""
        c, lengths = case(layer, T=6, N=5), np.array(lengths)
        padding = np.arange(6)[:, None] >= lengths
        c.x[padding] = c.d_output[padding] = np.nan
        output, final, cache = layer.forward(c.params, c.x, c.state, lengths)
        grads = layer.backward(c.params, cache, c.d_output, c.d_final_state)
        assert not output[padding].any() and not grads.x[padding].any()
        total = {}
        for row, end in enumerate(lengths):
            n = slice(row, row + 1)
            alone = c._replace(
                x=c.x[:end, n],
                state=type(c.state)(*(s[n] for s in c.state)),
                d_output=c.d_output[:end, n],
                d_final_state=type(c.state)(*(s[n] for s in c.d_final_state)),
            )
            expected = results(layer, alone)
            ours = {"output": output[:end, n], "d_x": grads.x[:end, n]}
            ours |= {f"final_{k}": s[n] for k, s in final._asdict().items()}
            ours |= {f"d_{k}_0": s[n] for k, s in grads.state._asdict().items()}
            assert_close({k: relative_error(v, expected[k]) for k, v in ours.items()}, 1e-12)
            for name in expected.keys() - ours.keys():
                total[name] = total.get(name, 0.0) + expected[name]
        ours = named(grads)
        assert_close({k: relative_error(ours[k], v) for k, v in total.items()}, 1e-12)

    def test_rows_of_one_length_need_no_lengths(self, layer):
        c = case(layer)
        output, final, cache = layer.forward(c.params, c.x, c.state, np.array([4, 4]))
        grads = layer.backward(c.params, cache, c.d_output, c.d_final_state)
        found = {"output": output, **named(grads)}
        found |= {f"final_{k}": v for k, v in final._asdict().items()}
        expected = results(layer, c)
        assert found.keys() == expected.keys()
        for name, value in found.items():
            np.testing.assert_array_equal(value, expected[name])
            assert not any(np.shares_memory(value, given) for given in _leaves(c)), name

    def test_rows_of_different_length_match_torch_nn(self, standard):
        """``torch.nn`` with a PackedSequence, rows in any order."""
        lengths = np.array([3, 5, 1, 4])
        c = case(standard, T=6, N=4)
        theirs = autograd(run_torch_nn(self.torch_nn(standard), lengths), c)
        output, final, cache = standard.forward(c.params, c.x, c.state, lengths)
        grads = standard.backward(c.params, cache, c.d_output, c.d_final_state)
        ours = {"output": output, **named(grads)}
        ours |= {f"final_{k}": v for k, v in final._asdict().items()}
        assert ours.keys() == theirs.keys()
        assert_close({k: relative_error(ours[k], theirs[k]) for k in ours}, 1e-10)

    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("lengths", [None, (3, 5, 0, 2, 5)])
    def test_any_memory_layout(self, layer, layout, lengths):
        """What is not C-contiguous gives what its copy gives."""
        c = map_arrays(LAYOUTS[layout], case(layer, T=6, N=5))
        lengths = None if lengths is None else np.array(lengths)
        expected = results(layer, map_arrays(np.ndarray.copy, c), lengths)
        found = results(layer, c, lengths)
        assert_close({k: relative_error(v, expected[k]) for k, v in found.items()}, 1e-12)

    def test_a_cache_of_another_variant_is_refused(self, layer):
        """Its arrays would fit, and give wrong gradients."""
        c = case(layer)
        package = sys.modules[type(layer).__module__.partition(".")[0]]  # or a copy of rnn_ref
        for variant in self.layers:
            other = twin(package, variant)
            if other != layer and other.param_axes() == layer.param_axes():
                _, _, cache = other.forward(c.params, c.x, c.state)
                with pytest.raises(ValueError, match="cache: expected one made by"):
                    layer.backward(c.params, cache, c.d_output)

    @both_dtypes
    def test_types_and_dtypes_of_results(self, layer, dtype):
        c = case(layer, dtype=dtype)
        output, final_state, cache = layer.forward(c.params, c.x, c.state)
        grads = layer.backward(c.params, cache, c.d_output, c.d_final_state)
        assert type(final_state) is layer.state_type and type(cache) is layer.cache_types[0]
        assert type(grads.params) is layer.params_type and type(grads.state) is layer.state_type
        assert type(layer.step(c.params, c.x[0], c.state)) is layer.state_type
        pairs = [(output, c.d_output), (grads.x, c.x)]
        pairs += zip((*grads.params, *grads.state), (*c.params, *c.state), strict=True)
        for value, like in pairs:
            assert (value is None) == (like is None)
            if value is not None:
                assert value.dtype == dtype and value.shape == like.shape
        assert all(v.dtype == dtype for v in (*cache[1:], *final_state))
        drawn = layer.init_params(np.random.default_rng(0), dtype), layer.zero_state(2, dtype)
        assert all(v.dtype == dtype for v in (*drawn[0], *drawn[1]) if v is not None)

    def test_arguments_are_left_alone(self, layer):
        c, again = case(layer), case(layer)
        first = results(layer, c)
        for value, expected in zip(_leaves(c), _leaves(again), strict=True):
            np.testing.assert_array_equal(value, expected)
        for name, value in results(layer, c).items():
            np.testing.assert_array_equal(value, first[name])
        for name, value in first.items():
            assert not any(np.shares_memory(value, given) for given in _leaves(c)), name

    def test_a_cache_serves_twice(self, layer):
        """As with ``retain_graph``: the backward pass writes over nothing that it reads."""
        c = case(layer)
        _, _, cache = layer.forward(c.params, c.x, c.state)
        first = named(layer.backward(c.params, cache, c.d_output, c.d_final_state))
        again = named(layer.backward(c.params, cache, c.d_output, c.d_final_state))
        for name, value in again.items():
            np.testing.assert_array_equal(value, first[name])

    def test_the_final_state_is_a_copy(self, layer):
        c = case(layer)
        expected = results(layer, c)["output"]
        output, final_state, cache = layer.forward(c.params, c.x, c.state)
        for value in final_state:
            value[:] = np.nan
        np.testing.assert_array_equal(output, expected)
        grads = layer.backward(c.params, cache, c.d_output, c.d_final_state)
        assert all(np.isfinite(value).all() for value in named(grads).values())

    def test_gradients_share_no_memory(self, layer):
        """Clipping in place, bias by bias, must not scale one array twice."""
        found = list(results(layer, case(layer)).values())[1:]
        for k, value in enumerate(found):
            assert not any(np.shares_memory(value, other) for other in found[k + 1 :])

    @both_dtypes
    def test_large_inputs_give_finite_results(self, layer, dtype):
        layer = self.resized(layer, 3, 5)
        rng = np.random.default_rng(5)
        params = layer.init_params(rng, dtype)
        x = (1e4 * rng.choice([-1.0, 1.0], (6, 2, 3))).astype(dtype)
        with warnings.catch_warnings(), np.errstate(over="raise", divide="raise", invalid="raise"):
            warnings.simplefilter("error")
            output, final_state, cache = layer.forward(params, x)
            grads = layer.backward(params, cache, np.ones_like(output), final_state)
            state = layer.zero_state(2, dtype)
            for x_t in x:
                state = layer.step(params, x_t, state)
        for value in (output, *state, grads.x, *grads.params, *grads.state):
            assert value is None or np.isfinite(value).all()

    def test_init_params(self, layer):
        layer = self.resized(layer, 30, 40)
        params = layer.init_params(np.random.default_rng(3))
        for value in params:
            if value is not None:
                bound = layer.hidden_size**-0.5
                assert np.abs(value).max() <= bound
                assert abs(value.std() * 3**0.5 / bound - 1) < 0.15  # a uniform law of that width
        again = layer.init_params(np.random.default_rng(3))
        for value, expected in zip(again, params, strict=True):
            np.testing.assert_array_equal(value, expected)

    def test_wrong_arguments_are_refused(self, layer):
        c, D = case(layer), layer.input_size
        letter, H = layer.state_axes()["h"]
        _, _, cache = layer.forward(c.params, c.x, c.state)
        f32 = case(layer, dtype=np.float32)

        def forward(**change):
            return lambda: layer.forward(
                **{"params": c.params, "x": c.x, "state": c.state} | change
            )

        def backward(**change):
            arguments = {"params": c.params, "cache": cache, "d_output": c.d_output}
            return lambda: layer.backward(**arguments | change)

        short = c.state._replace(h=c.state.h[:1])
        refused = [
            (forward(x=c.x[:, :, 1:]), ValueError, rf"x: .*\(T, N, D={D}\), got \(4, 2, {D - 1}\)"),
            (forward(x=c.x[0]), ValueError, "x: expected shape"),
            (forward(x=c.x.tolist()), TypeError, "x: expected an array"),
            (forward(x=f32.x), TypeError, "x: expected float64.*got float32"),
            (forward(x=c.x.astype(int)), TypeError, "x: expected float64.*got int64"),
            (forward(params=tuple(c.params)), TypeError, "params: expected .*Params, got tuple"),
            (forward(state=c.state.h), TypeError, "state: expected .*State, got ndarray"),
            (
                forward(state=short),
                ValueError,
                rf"state.h: .*\(N=2, {letter}={H}\), got \(1, {H}\)",
            ),
            (
                forward(lengths=[3, 4]),
                TypeError,
                r"lengths: .*integers of shape \(N=2,\), got list",
            ),
            (forward(lengths=np.array([3.0, 4.0])), TypeError, "lengths: .* got float64"),
            (forward(lengths=np.array([3, 4, 4])), ValueError, r"lengths: .*got \(3,\)"),
            (forward(lengths=np.array([3, 5])), ValueError, "lengths: .*0 to T=4, got from 3 to 5"),
            (forward(lengths=np.array([-1, 4])), ValueError, "lengths: .*got from -1 to 4"),
            (
                backward(d_output=c.d_output[1:]),
                ValueError,
                rf"d_output: .*\(T=4, N=2, {letter}={H}\)",
            ),
            (backward(d_output=c.d_output[:, :1]), ValueError, "d_output"),
            (backward(d_output=f32.d_output), TypeError, "d_output"),
            (backward(d_final_state=short), ValueError, "d_final_state.h"),
            (backward(d_final_state=tuple(c.state)), TypeError, "d_final_state"),
            (backward(cache=None), TypeError, "cache: expected the .*Cache"),
            (backward(params=f32.params), TypeError, "cache.x"),
            (backward(cache=cache._replace(h=cache.h[:-1])), ValueError, r"cache.h: .*\(T\+1=5"),
            (backward(cache=cache._replace(h=cache.h[:, :, 1:])), ValueError, "cache.h"),
            (lambda: layer.step(c.params, c.x, c.state), ValueError, "x_t: expected shape"),
            (lambda: layer.step(c.params, c.x[0], short), ValueError, "state.h"),
            (lambda: layer.init_params(0), TypeError, "rng"),
            (lambda: layer.init_params(np.random.default_rng(), np.float16), TypeError, "float16"),
            (lambda: layer.init_params(np.random.default_rng(), torch.float64), TypeError, "dtype"),
            (lambda: layer.zero_state(2, int), TypeError, "dtype: expected float32 or float64"),
            (lambda: layer.zero_state(-1), ValueError, "batch_size"),
            (lambda: layer.zero_state(2.0), TypeError, "batch_size"),
            (lambda: dataclasses.replace(layer, input_size=0), ValueError, "input_size"),
            (lambda: dataclasses.replace(layer, hidden_size=5.0), TypeError, "hidden_size"),
            (lambda: dataclasses.replace(layer, hidden_size=True), TypeError, "hidden_size"),
        ]
        for name, axes in layer.param_axes().items():
            value = getattr(c.params, name)
            wrong = c.params._replace(**{name: value[1:]})
            letters = r"\(" + axes[0][0] + "="
            refused.append((forward(params=wrong), ValueError, rf"params.{name}: .*{letters}"))
            refused.append((backward(params=wrong), ValueError, f"params.{name}"))
            wrong = c.params._replace(**{name: None})
            refused.append((forward(params=wrong), TypeError, f"params.{name}: expected an array"))
        for call, error, message in refused:
            with pytest.raises(error, match=message):
                call()


def _leaves(c: Case) -> list[np.ndarray]:
    flat = [*c.params, c.x, *c.state, c.d_output, *c.d_final_state]
    return [value for value in flat if value is not None]
