"""The tests are tested: each mutant is one plausible mistake, and some test must fail on it.

A mutant is a copy of the package with a few strings replaced, everywhere in one file. The
contract's tests are then called on its layers, or those of ``test_torch_module`` on its module; the
mutant is killed by the first that fails. Most of the list are mistakes found in public hand-written code.
"""

from __future__ import annotations

import importlib
import inspect
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
import test_torch_module
from contract import contract_tests

import rnn_ref

PACKAGE = Path(rnn_ref.__file__).parent
TESTS = contract_tests()


class Mutant(NamedTuple):
    """One mistake: in ``rnn_ref/<file>.py`` each key of ``edits`` becomes its value."""

    name: str
    file: str
    edits: dict[str, str]
    cells: tuple[str, ...] = ()  # whose tests see it, if not the file's own


MUTANTS = [
    # Layout of the parameters, consistently wrong in step, forward and backward.
    Mutant("lstm: blocks i and f exchanged", "lstm", {"i, f, g, o = blocks": "f, i, g, o = blocks"}),
    Mutant("lstm: blocks g and o exchanged", "lstm", {"i, f, g, o = blocks": "i, f, o, g = blocks"}),
    Mutant(
        "gru: blocks r and z exchanged",
        "gru",
        {
            "W_r, W_z, W_n =": "W_z, W_r, W_n =",
            "U_r, U_z, U_n =": "U_z, U_r, U_n =",
            "b_r, b_z, _ =": "b_z, b_r, _ =",
            "(r, z, n)": "(z, r, n)",
            "da_r, da_z, da_n =": "da_z, da_r, da_n =",
        },
    ),
    Mutant("elman: bias_hh dropped", "elman", {"params.bias_ih + params.bias_hh": "params.bias_ih"}),
    Mutant("lstm: bias_ih dropped", "lstm", {"params.bias_ih + params.bias_hh": "params.bias_hh"}),
    Mutant(
        "gru: b_m dropped",
        "gru",
        {"U_n.T + b_m": "U_n.T", "U_n_T + b_m": "U_n_T", "u = h[t] @ U_T + b_hh": "u = h[t] @ U_T"},
    ),
    Mutant("lstm: peepholes p_i and p_o exchanged", "lstm", {"return p[0], p[1] if self._learns_f else p[0][:0], p[-1]": "return p[-1], p[1] if self._learns_f else p[0][:0], p[0]"}),
    # The equations.
    Mutant(
        "gru: reset form swapped",
        "gru",
        {'self.reset == "after"': 'self.reset == "before"'},
    ),
    Mutant(
        "gru: z inverted",
        "gru",
        {
            "(1.0 - z) * n + z * h_prev": "z * n + (1.0 - z) * h_prev",
            "h[t + 1] *= z[t]": "h[t + 1] *= 1.0 - z[t]",
            "h_by_an = (1.0 - z)": "h_by_an = z",
            "(h_prev - n) * sig": "(n - h_prev) * sig",
            "dh * z[t]": "dh * (1.0 - z[t])",
        },
    ),
    Mutant(
        "lstm: the output peephole sees c_prev",
        "lstm",
        {
            "p_o * c + b": "p_o * c_prev + b",
            "p_o * c[t + 1]": "p_o * c[t]",
            "(da_o, c)": "(da_o, c_prev)",
        },
    ),
    Mutant("lstm: f = i when coupled", "lstm", {"f = 1.0 - i": "f = i", "subtract(1.0, i": "multiply(1.0, i"}),
    Mutant("lstm: forgets in 1997", "lstm", {"np.ones(()": "0.9 * np.ones(()", "ones_like(i)": "ones_like(i) * 0.9"}),
    Mutant("elman: relu in place of tanh", "elman", {'nonlinearity == "tanh"': 'nonlinearity == "relu"'}),
    Mutant("sigmoid: slope of the gate wrong by 2", "activations", {"out *= 0.5\n    out += 0.5": "out += 1.0\n    out *= 0.25"}),
    # Forward over time.
    *[
        Mutant(f"{cell}: initial state ignored", cell, {old: old.replace("state", "0.0 * state")})
        for cell, old in [("elman", "h[0] = state.h"), ("gru", "h[0] = state.h")]
    ],
    Mutant("lstm: initial cell state ignored", "lstm", {"h[0], c[0] = state": "h[0], c[0] = state.h, 0.0"}),
    Mutant("lstm: final h and c exchanged", "lstm", {"LSTMState(h[T].copy(), c[T].copy())": "LSTMState(c[T].copy(), h[T].copy())"}),
    *[
        Mutant(f"{cell}: last step dropped", cell, {"range(T):": "range(T - 1):"}) for cell in TESTS
    ],
    Mutant("gru: first step seen twice", "layer", {"return a.reshape(T, N, W.shape[0])": "a = a.reshape(T, N, W.shape[0])\n    a[1:] = a[:-1].copy()\n    return a"}, ("gru",)),
    # Backward: the classic mistakes.
    *[
        Mutant(f"{cell}: dh_next not carried", cell, {"dh = d_output[t] + dh_next": "dh = d_output[t]"})
        for cell in ("elman", "lstm", "gru")
    ],
    Mutant("lstm: dc_next not carried", "lstm", {"dc = dc_next + dh": "dc = dh"}),
    *[
        Mutant(f"{cell}: transpose of U dropped", cell, {old: old + ".T"}, (cell,))
        for cell, old in [("elman", "dh_next = da[t] @ U"), ("gru", "da_n[t] @ U_n")]
    ],
    Mutant("lstm: transpose of U dropped, block by block", "lstm", {"dh_next = da[t] @ U  #": "dh_next = sum(d @ u.T for d, u in zip(np.split(da[t], self.gates, axis=1), np.split(U, self.gates)))  #"}),
    Mutant("gru: transpose of U dropped, block by block", "gru", {"du[t] @ U  #": "sum(d @ u.T for d, u in zip(np.split(du[t], 3, axis=1), np.split(U, 3)))  #"}),
    *[
        Mutant(f"{cell}: d_final_state ignored", "layer", {"d.copy() for d in d_final_state": "0 * d for d in d_final_state"}, (cell,))
        for cell in TESTS
    ],
    Mutant("elman: dx without the later steps", "elman", {"project_back(da, W)": "project_back(d_output * slope, W)"}),
    Mutant("lstm: dx of the last step only", "layer", {"(da.reshape(T * N, GH) @ W).reshape(T, N, W.shape[1])": "np.concatenate([np.zeros((T - 1, N, W.shape[1]), da.dtype), da[-1:] @ W])"}, ("lstm",)),
    Mutant("lstm: c_prev and c exchanged in df", "lstm", {"c_by_af = c_prev": "c_by_af = c"}),
    Mutant("lstm: c_prev and c exchanged in dp", "lstm", {"[(da_i, c_prev), (da_f, c_prev), (da_o, c)]": "[(da_i, c), (da_f, c), (da_o, c_prev)]"}),
    Mutant("lstm: the path of c through o's peephole dropped", "lstm", {" + p_o * da_o[t]  #": "  #"}),
    Mutant("lstm: the path of c_prev through i's peephole dropped", "lstm", {" + p_i * da_i[t]  #": "  #"}),
    Mutant("lstm: the path of c_prev through f's peephole dropped", "lstm", {"dc_next += p_f * da_f[t]  #": "dc_next += 0.0  #"}),
    Mutant("lstm: coupled i forgets that it is also 1 - f", "lstm", {"g - c_prev if self.coupled else g": "g"}),
    Mutant("lstm: tanh' taken of c, not of tanh c", "lstm", {"tanh_slope(tanh_c)": "tanh_slope(c)"}),
    Mutant("lstm: sigma' applied twice", "lstm", {"tanh_c * sigmoid_slope(o)": "tanh_c * sigmoid_slope(sigmoid(o))"}),
    Mutant("gru: h_prev and n exchanged in dz", "gru", {"(h_prev - n) * sig": "(n - h_prev) * sig"}),
    Mutant("gru: r missing before U_n", "gru", {"da_n[t] * r[t]  #": "da_n[t]  #"}),
    Mutant("gru: r missing in dU_n, reset before", "gru", {"sum_outer(da_n, r * h_prev)": "sum_outer(da_n, h_prev)"}),
    Mutant("gru: both biases get one gradient", "gru", {"da.sum((0, 1)), du.sum((0, 1))": "da.sum((0, 1)), da.sum((0, 1))"}),
    Mutant("gru: m and h_prev exchanged in dr", "gru", {"m if after else h_prev": "h_prev if after else m"}),
    *[
        Mutant(f"{cell}: dU from the new state", cell, {"h_prev)  #": "cache.h[1:])  #"})
        for cell in ("elman", "lstm")
    ],
    Mutant("elman: slope of relu at tanh", "elman", {"tanh_slope(h) if": "relu_slope(h) if"}),
    Mutant("weight gradients averaged, not summed", "layer", {"@ v.reshape(-1, v.shape[-1])": "@ v.reshape(-1, v.shape[-1]) / len(v)"}, ("elman", "lstm", "gru")),
    # The SRU: its layout, its equations, its gradient.
    Mutant("sru: blocks u and f exchanged", "sru", {"W_u, W_f, W_r": "W_f, W_u, W_r", "        u, f, r, *s_of_W = np": "        f, u, r, *s_of_W = np", "b[H : 3 * H]": "b[[*range(H), *range(2 * H, 3 * H)]]", "[du, da_f, da_r] +": "[da_f, du, da_r] +"}),
    Mutant("sru: b_f and b_r exchanged", "sru", {"b_f, b_r =": "b_r, b_f =", "] = params.bias_ih": "] = np.roll(params.bias_ih, H)", "for d in (da_f, da_r)])  # (eq-sru-db)": "for d in (da_r, da_f)])"}),
    Mutant("sru: v_f and v_r exchanged", "sru", {"v_f, v_r = np": "v_r, v_f = np", "for d in (da_f, da_r)])  # (eq-sru-dv)": "for d in (da_r, da_f)])"}),
    Mutant("sru: the versions exchanged", "sru", {"self.version == 1": "self.version == 2", "self.version == 2:\n                f[t]": "self.version == 1:\n                f[t]"}),
    Mutant("sru: the candidate has a bias", "sru", {"b[H : 3 * H]": "b[: 2 * H]"}),
    Mutant("sru: r fed c_t", "sru", {"        r = sigmoid(x_t @ W_r.T + v_r * c_prev + b_r)  # (eq-sru-reset)\n": "", "(1.0 - f) * u  # (eq-sru-cell)\n": "(1.0 - f) * u\n        r = sigmoid(x_t @ W_r.T + v_r * c + b_r)\n", "r += v_r * c[:-1]": "r += v_r * c[1:]"}),
    Mutant("sru: f fed c_t's predecessor only in the first step", "sru", {"f[t] += v_f * c[t]": "f[t] += v_f * c[0]"}),
    Mutant("sru: f inverted", "sru", {"f * c_prev + (1.0 - f) * u": "(1.0 - f) * c_prev + f * u", "c[t + 1] *= f[t]": "c[t + 1] *= 1.0 - f[t]"}),
    Mutant("sru: the candidate unscaled", "sru", {"(1.0 - f) * u": "u", "c[t + 1] *= f[t]\n": "c[t + 1] = f[t] * c[t]\n", "dc * (1.0 - f)": "dc", "(c_prev - u) * sig": "c_prev * sig"}),
    Mutant("sru: r and 1 - r exchanged", "sru", {"r * g_c + (1.0 - r) * s": "(1.0 - r) * g_c + r * s", "h[1:] *= r": "h[1:] *= 1.0 - r"}),
    Mutant("sru: alpha dropped", "sru", {"self.alpha * ": ""}),
    Mutant("sru: alpha dropped in dx", "sru", {"dx += self.alpha * ds": "dx += ds"}),
    Mutant("sru: alpha dropped in dW_s", "sru", {"[self.alpha * ds]": "[ds]"}),
    Mutant("sru: alpha on the whole output", "sru", {"        h[1:] += s\n": "        h[1:] += s\n        h[1:] *= self.alpha\n"}),
    Mutant("sru: a highway where none is wanted", "sru", {"if not self.highway:": "if False:"}),
    Mutant("sru: the highway dropped in dx", "sru", {"dx += self.alpha * ds": "dx += 0.0 * ds"}),
    Mutant("sru: tanh in place of the identity", "sru", {'nonlinearity == "tanh" else c': 'nonlinearity != "tanh" else c'}),
    Mutant("sru: tanh' taken of c", "sru", {"tanh_slope(g_c)": "tanh_slope(c[1:])"}),
    Mutant("sru: dc_next not carried", "sru", {"dc[t] += dc_next": "dc[t] += 0.0"}),
    Mutant("sru: the path through f dropped", "sru", {"f + v_f * c_by_af": "f"}),
    Mutant("sru: the path through r dropped", "sru", {" + through_r[t]": ""}),
    Mutant("sru: c_prev and c exchanged in dv", "sru", {"(d * c_prev).sum": "(d * c[1:]).sum"}),
    Mutant("sru: u and c_prev exchanged in df", "sru", {"(c_prev - u) * sig": "(u - c_prev) * sig"}),
    Mutant("sru: sigma' of r forgotten", "sru", {"(g_c - s) * sigmoid_slope(r)": "(g_c - s)"}),
    Mutant("sru: s missing in dr", "sru", {"dh * (g_c - s)": "dh * g_c"}),
    Mutant("sru: gradient of the final h ignored", "sru", {"dh[-1] += dh_next": "dh[-1] += 0.0"}),
    Mutant("sru: gradient of the final h handed to the initial h", "sru", {"dh_next = np.zeros_like(dh_next)": "pass"}),
    Mutant("sru: initial c ignored", "sru", {"h[0], c[0] = state": "h[0], c[0] = state.h, 0.0"}),
    # Types and memory.
    Mutant("lstm: float32 becomes float64", "lstm", {"np.empty((T, N, self.hidden_size), x.dtype)": "np.empty((T, N, self.hidden_size))"}),
    Mutant("elman: one array for both bias gradients", "elman", {"db.copy()": "db"}),
    Mutant("gru: initial state overwritten", "gru", {"h[0] = state.h": "h[0] = state.h; state.h[:] = 0"}),
    Mutant("gates overflow", "activations", {"    np.multiply(a, 0.5, out=out)\n    np.tanh(out, out=out)\n    out *= 0.5\n    out += 0.5\n    return out": "    np.negative(a, out=out)\n    np.exp(out, out=out)\n    out += 1.0\n    return np.divide(1.0, out, out=out)"}, ("lstm", "gru")),
    Mutant("state of the wrong batch size taken", "layer", {'(("N", batch_size)': '(("N", None)'}, ("elman", "gru")),
    # The torch module.
    Mutant("torch: gradients of state and parameters exchanged", "torch_module", {"(*grads.params, *grads.state)": "(*grads.state, *grads.params)"}),
    Mutant("torch: no gradient of the input", "torch_module", {"return None, torch.from_numpy(grads.x)": "return None, torch.from_numpy(0 * grads.x)"}),
    Mutant("torch: gradient of the final state ignored", "torch_module", {"d_output.numpy(), d_final)": "d_output.numpy())"}),
    Mutant("torch: writing into shared memory goes unseen", "torch_module", {"        _ = ctx.saved_tensors  # raises if one of them was modified in place\n": ""}),
    Mutant("torch: the output is not among what is watched", "torch_module", {"ctx.save_for_backward(x, *flat, results[0])": "ctx.save_for_backward(x, *flat)"}),
    Mutant("torch: a Hessian of zeros", "torch_module", {"if torch.is_grad_enabled():": "if False:"}),
    Mutant("torch: parameters share the caller's memory", "torch_module", {"nn.Parameter(torch.tensor(getattr(params, name)))": "nn.Parameter(torch.from_numpy(getattr(params, name)))"}),
    Mutant("torch: params() shares the module's memory", "torch_module", {"np.array(getattr(self, name).detach().numpy())": "getattr(self, name).detach().numpy()"}),
    Mutant("torch: any device taken", "torch_module", {'if tensor.device.type != "cpu":': "if False:"}),
]  # fmt: skip


def load(tmp_path: Path, name: str, mutant: Mutant | None):
    """Import a copy of the package, mutated, under a name of its own."""
    shutil.copytree(PACKAGE, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    if mutant is not None:
        path = tmp_path / name / f"{mutant.file}.py"
        source = path.read_text("utf8")
        for old, new in mutant.edits.items():
            assert old in source, f"{mutant.name}: {old!r} is not in {path.name}; mend the mutant"
            source = source.replace(old, new)
        path.write_text(source, "utf8")
    return importlib.import_module(name)


def first_failure(package, names: tuple[str, ...]) -> str | None:
    """Name of the first test that fails on the package: the contract's, or the module's."""
    for name in names:
        for test, run in (
            module_tests(package) if name == "torch_module" else cell_tests(package, name)
        ):
            try:
                run()
            except BaseException as error:  # pytest's Failed is not an Exception
                if isinstance(error, KeyboardInterrupt | SystemExit):
                    raise
                return f"{name}: {test}"
    return None


def cell_tests(package, cell: str):
    """The contract's tests on the package's layers, as (name, call without arguments)."""
    tests = TESTS[cell]
    slow = {"test_any_size", "test_gradcheck_through_torch"}  # and the rest sees all they see
    for original in tests.layers:
        layer = twin(package, original)
        for name, test in inspect.getmembers(tests, inspect.isfunction):
            if not name.startswith("test_") or name in slow:
                continue
            wanted = inspect.signature(test).parameters
            if "standard" in wanted and tests.torch_nn(layer) is None:
                continue
            chosen = {"standard" if "standard" in wanted else "layer": layer}
            for more in parametrized(test):
                yield name, partial(test, tests(), **chosen, **more)


def module_tests(package):
    """The tests of TorchLayer, which have been given the package's one, on its layers."""
    for original in test_torch_module.LAYERS:
        for name, test in inspect.getmembers(test_torch_module, inspect.isfunction):
            if name.startswith("test_"):
                wanted = inspect.signature(test).parameters
                chosen = {"layer": twin(package, original)} if "layer" in wanted else {}
                for more in parametrized(test):
                    yield name, partial(test, **chosen, **more)


def twin(package, layer):
    """The same layer of another copy of the package."""
    return getattr(package, type(layer).__name__)(**vars(layer))


def parametrized(test) -> list[dict]:
    """The arguments that a mark adds to a test, or none."""
    marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
    return [{marks[0].args[0]: value} for value in marks[0].args[1]] if marks else [{}]


@pytest.fixture
def importable(tmp_path, monkeypatch):
    """A folder to import from, forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("rnn_ref_"):
            del sys.modules[name]


def load_and_test(importable, monkeypatch, name: str, mutant: Mutant | None, names) -> str | None:
    package = load(importable, name, mutant)
    module = importlib.import_module(f"{name}.torch_module")
    monkeypatch.setattr(test_torch_module, "TorchLayer", module.TorchLayer)
    return first_failure(package, names)


def test_the_unmutated_copy_passes(importable, monkeypatch):
    """Otherwise the tests below would prove nothing."""
    names = (*TESTS, "torch_module")
    assert load_and_test(importable, monkeypatch, "rnn_ref_copy", None, names) is None


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_is_killed(mutant, importable, monkeypatch):
    name = f"rnn_ref_{MUTANTS.index(mutant)}"
    own = (mutant.file,) if mutant.file in (*TESTS, "torch_module") else tuple(TESTS)
    killer = load_and_test(importable, monkeypatch, name, mutant, mutant.cells or own)
    assert killer is not None, "no test fails on this mutant"
    print(f"killed by {killer}")
