"""The tests are tested: each mutant is one plausible mistake, and some test must fail on it.

A mutant is a copy of the package with a few strings replaced, everywhere in one file. The
contract's tests are then called on its layers, those of ``test_torch_module`` on its modules, those
of ``test_vrnn`` on its models; the mutant is killed by the first that fails. Most of the list are mistakes found in public hand-written code.
"""

from __future__ import annotations

import importlib
import inspect
import itertools
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple

import contract
import pytest
import test_torch_module
import test_vrnn
from contract import contract_tests, twin

import rnn_ref

PACKAGE = Path(rnn_ref.__file__).parent
TESTS = contract_tests()
VRNN_FILES = ("vrnn", "mlp", "distributions")


class Mutant(NamedTuple):
    """One mistake: in ``rnn_ref/<file>.py`` each key of ``edits`` becomes its value."""

    name: str
    file: str
    edits: dict[str, str]
    cells: tuple[str, ...] = ()  # whose tests see it, if not the file's own


def exchanged(file: str, k: int, m: int) -> dict[str, str]:
    """Edits: two of all gate blocks exchanged in step, forward and backward alike."""
    blocks, cell = {"lstm": (4, "LSTM"), "gru": (3, "GRU")}[file]
    grads = {"lstm": "dW, dU, db, db.copy(), dp, dW_r", "gru": "dW, dU, db_ih, db_hh"}[file]
    exchange = f"""    def _exchanged(self, params):
        order = list(range({blocks}))
        order[{k}], order[{m}] = order[{m}], order[{k}]
        if self.gates != {blocks}:
            return params
        return params._replace(**{{
            name: np.concatenate([np.split(getattr(params, name), {blocks})[k] for k in order])
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }})

    def step("""
    return {
        "    def step(": exchange,
        "(params, x_t, state)\n": "(params, x_t, state)\n        params = self._exchanged(params)\n",
        "        (T, N, _), H": "        params = self._exchanged(params)\n        (T, N, _), H",
        f"{cell}Params({grads})": f"self._exchanged({cell}Params({grads}))",
    }


CHUNK = {  # where the backward pass goes through its chunks
    "elman": "        for chunk in reversed(chunks(T, N * self.hidden_size)):\n",
    **dict.fromkeys(("gru", "lstm", "sru"), "        for chunk in reversed(chunks(T, N * H)):\n"),
}

MUTANTS = [
    # Layout of the parameters, consistently wrong in step, forward and backward.
    Mutant("lstm: blocks i and f exchanged", "lstm", exchanged("lstm", 0, 1)),
    Mutant("lstm: blocks g and o exchanged", "lstm", exchanged("lstm", 2, 3)),
    Mutant("gru: blocks r and z exchanged", "gru", exchanged("gru", 0, 1)),
    Mutant("elman: bias_hh dropped", "elman", {"params.bias_ih + params.bias_hh": "params.bias_ih"}),
    Mutant("lstm: bias_ih dropped", "lstm", {"params.bias_ih + params.bias_hh": "params.bias_hh"}),
    Mutant("gru: b_m dropped", "gru", {"U_n.T + b_m": "U_n.T", "np.add(u_n, b_m,": "np.add(u_n, 0.0,"}),
    Mutant("lstm: peepholes p_i and p_o exchanged", "lstm", {"return p[0], p[1] if self._learns_f else p[0][:0], p[-1]": "return p[-1], p[1] if self._learns_f else p[0][:0], p[0]", "np.delete(s, G - 2, 0)": "np.delete(s, G - 2, 0)\n            p = p[::-1]", "for d, s in seen]": "for d, s in seen[::-1]]"}),
    # The equations.
    Mutant("gru: reset form swapped", "gru", {'self.reset == "after"': 'self.reset == "before"'}),
    Mutant(
        "gru: z inverted",
        "gru",
        {
            "(1.0 - z) * n + z * h_prev": "z * n + (1.0 - z) * h_prev",
            "h_t *= z_t": "h_t *= 1.0 - z_t",
            "h_by_an = (1.0 - z)": "h_by_an = z",
            "(h_p - n) * sig": "(n - h_p) * sig",
            "dh *= z_t": "dh *= 1.0 - z_t",
        },
    ),
    Mutant(
        "lstm: the output peephole sees c_prev",
        "lstm",
        {
            "p_o * c + b": "p_o * c_prev + b",
            "p[-1] * c_t": "p[-1] * c_p",
            "(da_o, c)": "(da_o, c_prev)",
        },
    ),
    Mutant("lstm: f = i when coupled", "lstm", {"f = 1.0 - i": "f = i", "subtract(1.0, i": "multiply(1.0, i"}),
    Mutant("lstm: forgets in 1997", "lstm", {"np.ones(()": "0.9 * np.ones(()", "ones_like(i)": "ones_like(i) * 0.9"}),
    Mutant("elman: relu in place of tanh", "elman", {"        f, _ = choose(self.nonlinearity": '        f, _ = choose("relu"', "squash_blocks([self.nonlinearity]": 'squash_blocks(["relu"]'}),
    Mutant("sigmoid: slope of the gate wrong by 2", "activations", {"out *= 0.5\n    out += 0.5": "out += 1.0\n    out *= 0.25", "scale = s *": "scale = s * s *", "shift = 1.0 - scale": "shift = scale * (1.0 / s - 1.0)"}),
    # Forward over time.
    *[
        Mutant(f"{cell}: initial state ignored", cell, {"h[0] = state.h": "h[0] = 0.0 * state.h"})
        for cell in ("elman", "gru")
    ],
    Mutant("lstm: initial cell state ignored", "lstm", {"h[0], c[0] = state": "h[0], c[0] = state.h, 0.0"}),
    Mutant("lstm: final h and c exchanged", "lstm", {"LSTMState(h[T].copy(), c[T].copy())": "LSTMState(c[T].copy(), h[T].copy())"}),
    *[
        Mutant(f"{cell}: last step dropped", "cell", {"return zip(*arrays,": "return zip(*(a[:-1] for a in arrays),"}, (cell,))
        for cell in CHUNK
    ],
    Mutant("gru: first step seen twice", "cell", {".swapaxes(0, 1)\n    return a": ".swapaxes(0, 1)\n    a[1:] = a[:-1].copy()\n    return a"}, ("gru",)),
    # Backward: the classic mistakes.
    *[
        Mutant(f"{cell}: dh_next not carried", cell, {"np.add(dout_t, dh_next, out=dh)": "np.copyto(dh, dout_t)"})
        for cell in ("elman", "lstm", "gru")
    ],
    Mutant("lstm: dc_next not carried", "lstm", {"np.add(dc_next, v, out=dc)": "np.copyto(dc, v)"}),
    *[
        Mutant(f"{cell}: transpose of U dropped", cell, {old + ", out": old + ".T, out"})
        for cell, old in [("elman", "np.dot(da_t, U"), ("gru", "np.matmul(da_n_t, U[2 * H :]")]
    ],
    Mutant("lstm: transpose of U dropped, block by block", "lstm", {"np.dot(row_t, U, out=dh_next)": "dh_next[...] = sum(d @ u.T for d, u in zip(np.split(row_t, G, axis=1), np.split(U, G)))"}),
    Mutant("gru: transpose of U dropped, block by block", "gru", {"np.matmul(du_t, U, out=dh_next)": "dh_next[...] = sum(d @ u.T for d, u in zip(np.split(du_t, 3, axis=1), np.split(U, 3)))"}),
    *[
        Mutant(f"{cell}: d_final_state ignored", "cell", {"d_output, map_arrays(np.ndarray.copy, d_final_state)": "d_output, map_arrays(np.zeros_like, d_final_state)"}, (cell,))
        for cell in CHUNK
    ],
    Mutant("elman: dx without the later steps", "elman", {"project_back(da, W)": "project_back(d_output * slope_of(h), W)"}),
    Mutant("lstm: dx of the last step only", "cell", {"(da.reshape(T * N, GH) @ W).reshape(T, N, W.shape[1])": "np.concatenate([np.zeros((T - 1, N, W.shape[1]), da.dtype), da[-1:] @ W])"}, ("lstm",)),
    Mutant("lstm: c_prev and c exchanged in df", "lstm", {"c_by_af = c_p": "c_by_af = c[chunk]"}),
    Mutant("lstm: c_prev and c exchanged in dp", "lstm", {"[*((d, c_prev) for d in da_if), (da_o, c)]": "[*((d, c) for d in da_if), (da_o, c_prev)]"}),
    Mutant("lstm: the path of c through o's peephole dropped", "lstm", {"h_by_c += p_o * h_by_ao": "h_by_c += 0.0"}),
    Mutant("lstm: the path of c_prev through i's peephole dropped", "lstm", {"f + p_i * c_by_ai": "f + 0.0"}),
    Mutant("lstm: the path of c_prev through f's peephole dropped", "lstm", {"c_by_c_prev += p_f * c_by_af": "c_by_c_prev += 0.0"}),
    Mutant("lstm: coupled i forgets that it is also 1 - f", "lstm", {"g - c_p if self.coupled else g": "g"}),
    Mutant("lstm: tanh' taken of c, not of tanh c", "lstm", {"psi_slope(tanh_c)": "psi_slope(c[chunk])"}),
    Mutant("lstm: sigma' applied twice", "lstm", {"tanh_c * sigma_slope(o)": "tanh_c * sigma_slope(self._functions[0][0](o))"}),
    Mutant("gru: h_prev and n exchanged in dz", "gru", {"(h_p - n) * sig": "(n - h_p) * sig"}),
    Mutant("gru: r missing before U_n", "gru", {"h_by_m = h_by_an * r": "h_by_m = h_by_an"}),
    Mutant("gru: r missing in dU_n, reset before", "gru", {"sum_outer(da_n, cache.r * h_prev)": "sum_outer(da_n, h_prev)"}),
    Mutant("gru: both biases get one gradient", "gru", {"db[: 3 * H].copy()": "np.concatenate([db[: 2 * H], db[-H:]])"}),
    Mutant("gru: m and h_prev exchanged in dr", "gru", {"m if after else h_p": "h_p if after else m"}),
    *[
        Mutant(f"{cell}: dU from the new state", cell, {"h_prev)  #": "cache.h[1:])  #"})
        for cell in ("elman", "lstm")
    ],
    Mutant("elman: slope of relu at tanh", "elman", {"slope_of = choose(self.nonlinearity, self.clip)": 'slope_of = choose("relu", self.clip)'}),
    Mutant("weight gradients averaged, not summed", "cell", {"return da.T @ v if": "return da.T @ v / len(v) if"}, ("elman", "lstm", "gru")),
    # The SRU: its layout, its equations, its gradient.
    Mutant("sru: blocks u and f exchanged", "sru", {"W_u, W_f, W_r": "W_f, W_u, W_r", "        u, f, r, *s_of_W =": "        f, u, r, *s_of_W =", "[1.0, 0.5, 0.5, 1.0]": "[0.5, 1.0, 0.5, 1.0]", "[H : 3 * H]": "[[*range(H), *range(2 * H, 3 * H)]]", "(du, da_f, da_r, *da_s)": "(da_f, du, da_r, *da_s)"}),
    Mutant("sru: b_f and b_r exchanged", "sru", {"b_f, b_r =": "b_r, b_f =", "] = params.bias_ih": "] = np.roll(params.bias_ih, H)", "sum_steps(da)[H : 3 * H]": "np.roll(sum_steps(da)[H : 3 * H], H)"}),
    Mutant("sru: v_f and v_r exchanged", "sru", {"v_f, v_r = np": "v_r, v_f = np", "for d in (da_f, da_r)]": "for d in (da_r, da_f)]"}),
    Mutant("sru: the versions exchanged", "sru", {"self.version == 1:  # f waits": "self.version == 2:  # f waits", "self.version == 2:\n                    np": "self.version == 1:\n                    np", "self.version == 2:\n                r_now": "self.version == 1:\n                r_now"}),
    Mutant("sru: the candidate has a bias", "sru", {"b[H : 3 * H]": "b[: 2 * H]"}),
    Mutant("sru: r fed c_t", "sru", {"        r = sigmoid(x_t @ W_r.T + v_r * c_prev + b_r)  # (eq-sru-reset)\n": "", "(1.0 - f) * u  # (eq-sru-cell)\n": "(1.0 - f) * u\n        r = sigmoid(x_t @ W_r.T + v_r * c + b_r)\n", "v_r * c[:-1]": "v_r * c[1:]"}),
    Mutant("sru: f fed c_t's predecessor only in the first step", "sru", {"np.multiply(v_f, c_p,": "np.multiply(v_f, c[0],"}),
    Mutant("sru: f inverted", "sru", {"f * c_prev + (1.0 - f) * u": "(1.0 - f) * c_prev + f * u", "c_t *= f_t": "c_t *= 1.0 - f_t"}),
    Mutant("sru: the candidate unscaled", "sru", {"(1.0 - f) * u": "u", "np.subtract(c_p, u_t, out=c_t)": "np.copyto(c_t, c_p)", "np.multiply(dc, 1.0 - f, out=du[chunk])": "np.copyto(du[chunk], dc)", "(c_p - u) * sig": "c_p * sig"}),
    Mutant("sru: r and 1 - r exchanged", "sru", {"r * g_c + (1.0 - r) * s": "(1.0 - r) * g_c + r * s", "h_now *= r_now": "h_now *= 1.0 - r_now"}),
    Mutant("sru: alpha dropped", "sru", {"self.alpha * ": ""}),
    Mutant("sru: alpha dropped in dx", "sru", {"dx[chunk] += self.alpha * ds": "dx[chunk] += ds"}),
    Mutant("sru: alpha dropped in dW_s", "sru", {"da_s[0][chunk] = self.alpha * ds": "da_s[0][chunk] = ds"}),
    Mutant("sru: alpha on the whole output", "sru", {"            h_now += s_now\n": "            h_now += s_now\n            h_now *= self.alpha\n"}),
    Mutant("sru: a highway where none is wanted", "sru", {"if not self.highway:": "if False:"}),
    Mutant("sru: the highway dropped in dx", "sru", {"dx[chunk] += self.alpha * ds": "dx[chunk] += 0.0 * ds"}),
    Mutant("sru: tanh in place of the identity", "sru", {'nonlinearity == "tanh" else c': 'nonlinearity != "tanh" else c', 'nonlinearity == "tanh":\n': 'nonlinearity != "tanh":\n'}),
    Mutant("sru: tanh' taken of c", "sru", {"tanh_slope(g_c)": "tanh_slope(cache.c[1:][chunk])"}),
    Mutant("sru: dc_next not carried", "sru", {"dc_t += dc_next": "dc_t += 0.0"}),
    Mutant("sru: the path through f dropped", "sru", {"f + v_f * c_by_af": "f"}),
    Mutant("sru: the path through r dropped", "sru", {"through_r = v_r": "through_r = 0.0"}),
    Mutant("sru: c_prev and c exchanged in dv", "sru", {'"tnh,tnh->h", d, c_prev': '"tnh,tnh->h", d, cache.c[1:]'}),
    Mutant("sru: u and c_prev exchanged in df", "sru", {"(c_p - u) * sig": "(u - c_p) * sig"}),
    Mutant("sru: sigma' of r forgotten", "sru", {"np.multiply(ds * r, g_c": "np.multiply(dh, g_c"}),
    Mutant("sru: s missing in dr", "sru", {"g_c - s, out": "g_c, out"}),
    Mutant("sru: gradient of the final h ignored", "sru", {"dh[-1:] + dh_next": "dh[-1:]"}),
    Mutant("sru: gradient of the final h handed to the initial h", "sru", {"dh_next = np.zeros_like(dh_next)": "pass"}),
    Mutant("sru: initial c ignored", "sru", {"h[0], c[0] = state": "h[0], c[0] = state.h, 0.0"}),
    # All gates at once: one tanh for every sigmoid, whose halves go into the weights.
    *[
        Mutant(f"{cell}: U not scaled", cell, {"(params.weight_hh, s, T)": "(params.weight_hh, np.ones_like(s), T)"})
        for cell in ("lstm", "gru")
    ],
    *[
        Mutant(f"{cell}: {name}", "cell", edits, (cell,))
        for cell in ("lstm", "gru", "sru")
        for name, edits in {
            "W and b not scaled": {"axis=1), s, ": "axis=1), np.ones_like(s), "},
            "b not scaled": {"b[:, None]": "np.concatenate(b.reshape(len(s), -1, 1) / s)"},
            "b forgotten": {"x_1 = np.ones(": "x_1 = np.zeros("},
        }.items()
    ],
    Mutant("elman: b forgotten", "cell", {"x_1 = np.ones(": "x_1 = np.zeros("}, ("elman",)),
    *[
        Mutant(f"gates: {name}", "activations", edits, ("lstm",))
        for name, edits in {
            "the outer half dropped": {"        a *= scale\n": ""},
            "the shift 1 - s dropped": {"shift = 1.0 - scale": "shift = 0.0 * scale"},
            "only the first sigmoid halved": {'s[[choice == "sigmoid" for choice in choices]] = 0.5': 's[choices.index("sigmoid")] = 0.5'},
            "tanh halved as well": {'s[[choice == "sigmoid" for choice in choices]] = 0.5': "s[:] = 0.5"},
            "in the reversed order": {"zip(functions, a, out,": "zip(functions[::-1], a, out,"},
        }.items()
    ],
    Mutant("elman: other functions taken for tanh", "activations", {'if clip is not None or not {*choices} <= {"sigmoid", "tanh"}:': "if clip is not None:"}, ("elman",)),
    Mutant("elman: not clipped where one tanh serves all", "activations", {"if clip is not None or not": "if not"}, ("elman",)),
    Mutant("lstm: the peepholes not scaled", "lstm", {" * np.delete(s, G - 2, 0)": ""}),
    Mutant("lstm: o's peephole scaled as g", "lstm", {"np.delete(s, G - 2, 0)": "np.delete(s, G - 1, 0)"}),
    Mutant("lstm: o squashed before its peephole", "lstm", {"E = G - 1 if peephole else G": "E = G"}),
    Mutant("lstm: o without its own scale", "lstm", {"np.concatenate([s, s_o])": "np.concatenate([s, np.ones_like(s_o)])"}),
    Mutant("lstm: i's peephole used for f", "lstm", {"p[:-1] * c_p": "p[:1] * c_p"}),
    Mutant("lstm: the functions of g and f exchanged", "lstm", {"[*[sigma] * (G - 2), phi, sigma]": "[sigma, phi, *[sigma] * (G - 2)]"}),
    Mutant("gru: n scaled as a gate", "gru", {"np.ones_like(s[:1])": "s[:1]"}),
    Mutant("gru: b_m counted twice", "gru", {"b[: 2 * H] += params.bias_hh[: 2 * H]": "b += params.bias_hh"}),
    Mutant("gru: bias_hh dropped in the gates", "gru", {"b[: 2 * H] += params.bias_hh[: 2 * H]": "pass", "np.split(params.bias_ih + params.bias_hh, 3)": "np.split(params.bias_ih, 3)"}),
    Mutant("gru: bias_ih overwritten", "gru", {"params.bias_ih.copy()": "params.bias_ih"}),
    Mutant("gru: the gates' product used for the candidate, reset before", "gru", {"np.dot(v, U_n_T,": "np.dot(h_prev, U_n_T,"}),
    Mutant("gru: r squashed, z not", "gru", {"squash(u_rz, rz_t)": "squash(u_rz[:1], rz_t[:1])"}),
    Mutant("sru: v not halved", "sru", {"(half * v for v in self._peepholes(params))": "self._peepholes(params)"}),
    Mutant("sru: s halved as a gate", "sru", {"[1.0, 0.5, 0.5, 1.0]": "[1.0, 0.5, 0.5, 0.5]"}),
    Mutant("sru: r's weights not halved", "sru", {"[1.0, 0.5, 0.5, 1.0]": "[1.0, 0.5, 1.0, 1.0]"}),
    Mutant("sru: the gates' shift dropped", "sru", {"            a += half\n": ""}),
    Mutant("sru: f squashed twice in version 1", "sru", {"    f_t += v\n                    squash(f_t)": "    f_t += v\n                squash(f_t)"}),
    Mutant("elman: U not transposed", "elman", {"transposed(params.weight_hh, s, T)[0]": "params.weight_hh * s[0]"}),
    *[
        Mutant(f"{cell}: U not transposed", cell, {"transposed(params.weight_hh, s, T)": "(params.weight_hh.reshape(len(s), H, -1) * s)"})
        for cell in ("lstm", "gru")
    ],
    Mutant("lstm: gates and steps mixed up", "cell", {"_project(x[chunk], W_b).swapaxes(0, 1)": "_project(x[chunk], W_b).reshape(a[chunk].shape)"}, ("lstm",)),
    Mutant("weight gradients reshaped, not transposed", "cell", {"da.T @ v if": "(v.T @ da).reshape(da.shape[1], v.shape[1]) if"}, ("elman", "lstm", "gru", "sru")),
    Mutant("weight gradients of many terms reshaped, not transposed", "cell", {"np.ascontiguousarray((v.T @ da).T)": "(v.T @ da).reshape(da.shape[1], v.shape[1])"}, ("elman", "lstm", "gru", "sru")),
    *[
        Mutant(f"{cell}: bias gradient averaged", "cell", {"np.ones(len(da), da.dtype) @ da": "np.ones(len(da), da.dtype) @ da / len(da)"}, (cell,))
        for cell in CHUNK
    ],
    # Buffers that serve every step.
    Mutant("lstm: v and dc_next share a buffer", "lstm", {"np.empty_like(dc_next), np.empty_like(dc_next)\n": "np.empty_like(dc_next), dc_next\n"}),
    Mutant("lstm: dc handed on before it is used", "lstm", {"np.multiply(by_a, dc, out=da_t)": "np.multiply(by_a, dc_next, out=da_t)"}),
    Mutant("lstm: what the projection reads is not kept", "lstm", {"dh_t[...] = dh": "pass"}),
    Mutant("lstm: backward writes into the cache", "lstm", {"c_by_c_prev = f + p_i * c_by_ai": "c_by_c_prev = f if self._learns_f else f.copy()\n                c_by_c_prev += p_i * c_by_ai"}),
    Mutant("gru: dh and dh_next share a buffer", "gru", {"dh, ds = np.empty_like(dh_next)": "dh, ds = dh_next"}),
    Mutant("gru: dh and ds share a buffer", "gru", {"dh, ds = np.empty_like(dh_next), np.empty_like(dh_next)": "dh = ds = np.empty_like(dh_next)"}),
    Mutant("gru: dh times z before it is used", "gru", {"                np.multiply(h_by_t, dh, out=d_t)  # (eq-gru-da-n), (eq-gru-da-z)\n": "", "                if after:\n                    np.matmul(du_t": "                np.multiply(h_by_t, dh, out=d_t)\n                if after:\n                    np.matmul(du_t"}),
    Mutant("gru: ds times r before it is used", "gru", {"np.multiply(ds, by_ar_t, out=da_r_t)": "np.multiply(np.multiply(ds, r_t, out=ds), by_ar_t, out=da_r_t)"}),
    Mutant("gru: the path through z dropped", "gru", {"dh_next += dh  #": "pass  #"}),
    Mutant("gru: the path through r dropped, reset before", "gru", {"dh += ds  #": "pass  #"}),
    Mutant("gru: m and a_n exchanged among the blocks", "gru", {"[h_by_ar, h_by_az, h_by_m, h_by_an]": "[h_by_ar, h_by_az, h_by_an, h_by_m]"}),
    Mutant("gru: du in place of da in dW", "gru", {"np.concatenate([sum_outer(da_rz, x), sum_outer(da_n, x)])": "sum_outer(du, x)"}),
    Mutant("gru: du in place of da in dx", "gru", {"project_back(da_n, W[2 * H :])": "project_back(du[..., -H:], W[2 * H :])"}),
    Mutant("gru: da in place of du in dh", "gru", {"np.matmul(du_t, U, out=dh_next)": "np.matmul(da_rz_t, U[: 2 * H], out=dh_next)\n                    np.add(dh_next, da_n_t @ U[2 * H :], out=dh_next)"}),
    Mutant("lstm: i and g exchanged in the gradient, f not learned", "lstm", {"else [c_by_ai, c_by_ag]": "else [c_by_ag, c_by_ai]"}),
    Mutant("lstm: f and g exchanged in the gradient", "lstm", {"[c_by_ai, c_by_af, c_by_ag] if": "[c_by_ai, c_by_ag, c_by_af] if"}),
    Mutant("sru: the path through r dropped within a chunk", "sru", {"dc[:-1] += through_r[1:]": "pass"}),
    Mutant("sru: the caller's d_output overwritten", "sru", {"dh = np.concatenate([dh[:-1], dh[-1:] + dh_next])": "dh[-1] += dh_next"}),
    *[
        Mutant(f"{cell}: the caller's d_final_state overwritten", "cell", {"d_output, map_arrays(np.ndarray.copy, d_final_state)": "d_output, d_final_state"}, (cell,))
        for cell in CHUNK
    ],
    *[
        Mutant(f"{cell}: a buffer in Fortran's order", "cell", {"d_output, map_arrays(np.ndarray.copy, d_final_state)": "d_output, map_arrays(np.copy, d_final_state)"}, (cell,))
        for cell in ("elman", "lstm")
    ],
    # Chunks of steps.
    *[
        Mutant(f"{cell}: chunks forwards in time", cell, {CHUNK[cell]: CHUNK[cell].replace("reversed(", "(")})
        for cell in CHUNK
    ],
    *[
        Mutant(f"{cell}: steps of a chunk forwards in time", "cell", {"a[::-1] for a in arrays": "a for a in arrays"}, (cell,))
        for cell in CHUNK
    ],
    *[
        Mutant(f"{cell}: {d} not carried from chunk to chunk", cell, {CHUNK[cell]: CHUNK[cell] + f"            {d} *= chunk.stop == T\n"})
        for cell, d in [("elman", "dh_next"), ("gru", "dh_next"), ("lstm", "dh_next"), ("lstm", "dc_next"), ("sru", "dc_next")]
    ],
    *[
        Mutant(f"{cell}: {name}", "cell", edits, (cell,))
        for cell in CHUNK
        for name, edits in {
            "last chunk one step short": {"min(start + length, T)": "min(start + length, T - 1)"},
            "a step between two chunks left out": {"range(0, T, length)": "range(0, T, length + 1)"},
            "a step between two chunks taken twice": {"min(start + length, T)": "min(start + length + 1, T)"},
        }.items()
    ],
    Mutant("chunks of no step where one step is large", "cell", {"length = max(1, most // max(1, size))": "length = most // max(1, size)"}, ("elman",)),
    *[
        Mutant(f"{cell}: inputs of the first chunk in every chunk", "cell", {"_project(x[chunk], W_b)": "_project(x[: len(a[chunk])], W_b)"}, (cell,))
        for cell in ("elman", "lstm", "gru")
    ],
    *[
        Mutant(f"{cell}: gates of the first chunk in every chunk", cell, {"[chunk] for a in (*cache[2:6]": "[: chunk.stop - chunk.start] for a in (*cache[2:6]"} if cell == "lstm" else {"[chunk] for v in (*cache[2:6]": "[: chunk.stop - chunk.start] for v in (*cache[2:6]"})
        for cell in ("lstm", "gru", "sru")
    ],
    Mutant("elman: slopes of the first chunk in every chunk", "elman", {"slope_of(h[chunk])": "slope_of(h[: chunk.stop - chunk.start])"}),
    *[
        Mutant(f"{cell}: d_output of the first chunk in every chunk", cell, {"d_output[chunk]": "d_output[: chunk.stop - chunk.start]"})
        for cell in ("elman", "sru")
    ],
    Mutant("sru: the path through r dropped between chunks", "sru", {"dc_next += through_r[0]": "dc_next += through_r[0] * (chunk.start == 0)"}),
    Mutant("sru: the path through r dropped at the first step", "sru", {"dc_next += through_r[0]": "dc_next += through_r[0] * (chunk.start > 0)"}),
    Mutant("sru: the final h's gradient in another chunk", "sru", {"if chunk.stop == T:": "if chunk.start == 0:"}),
    Mutant("sru: f of the first chunk in every chunk, version 1", "sru", {"squash(f[chunk])": "squash(f[: chunk.stop - chunk.start])"}),
    Mutant("sru: outputs of the first chunk only", "sru", {"h_now = r[chunk], s[chunk], h[1:][chunk]": "h_now = r[chunk], s[chunk], h[1:][: chunk.stop - chunk.start]"}),
    Mutant("sru: dx of the first chunk only", "sru", {"dx[chunk] = project_back(da[chunk], W)": "dx[: chunk.stop - chunk.start] = project_back(da[chunk], W)"}),
    # Projection, activations, clipping.
    Mutant("lstm: the projection's transpose", "lstm", {"np.matmul(dh, W_r, out=dm)": "np.matmul(dh, W_r.T.reshape(W_r.shape), out=dm)"}),
    Mutant("lstm: the projection's gradient from h", "lstm", {"sum_outer(dh_all, cache.m)": "sum_outer(d_output, cache.m)"}),
    Mutant("lstm: psi clipped", "lstm", {"choose(psi)": "choose(psi, self.clip)"}),
    Mutant("lstm: phi not clipped", "lstm", {"choose(phi, self.clip)": "choose(phi)", "squash_blocks(kinds[:E], self.clip, N, H, x.dtype)": "squash_blocks(kinds[:E], self.clip, N, H, x.dtype) if self.clip is None else (np.ones((E, 1, 1), x.dtype), lambda a, out: [choose(k, self.clip if k == sigma else None)[0](v, out=w) for k, v, w in zip(kinds, a, out)])"}),
    Mutant("lstm: phi and psi exchanged", "lstm", {"sigma, phi, psi = self.activations": "sigma, psi, phi = self.activations", "(sigma, phi, _), (psi, _) = self": "(sigma, _, phi), (psi, _) = self"}),
    Mutant("gru: nothing clipped", "gru", {"choose(choice, self.clip)": "choose(choice)", "[sigma, sigma], self.clip": "[sigma, sigma], None"}),
    Mutant("elman: clipped without a flat slope", "activations", {"return slope(y) * inside": "return slope(y)"}),
    Mutant("activations: alpha dropped", "activations", {"given = {name: getattr(choice, name) for name": "given = {name: kind.defaults[name] for name"}),
    Mutant("activations: elu's slope without alpha", "activations", {"np.where(y > 0.0, 1.0, y + alpha)": "np.where(y > 0.0, 1.0, y + 1.0)"}),
    Mutant("activations: hard sigmoid not flat at its ends", "activations", {"(alpha * ((y > 0.0) & (y < 1.0)))": "np.full_like(y, alpha)"}),
    # Rows of different length.
    *[
        Mutant(f"lengths: {name}", "cell", edits)
        for name, edits in {
            "rows run to the end": {"np.flatnonzero(lengths >= end)": "np.arange(len(lengths))"},
            "a row stops one step early": {"np.flatnonzero(lengths >= end)": "np.flatnonzero(lengths > end)"},
            "the final state is not kept": {"        _set_rows(current, rows, after)\n": ""},
            "a span starts anew": {"before = _of_rows(current, rows)": "before = _of_rows(state, rows)"},
            "the gradient of the final state is not handed on": {"        _set_rows(d_state, rows, grads.state)\n": ""},
            "weights of the last span only": {"d_params = map_arrays(np.add, d_params, grads.params)": "d_params = grads.params"},
            "spans forwards in time": {"in reversed(cache.spans)": "in cache.spans"},
            "a span's gradient at the wrong steps": {"dx[steps, rows] = grads.x": "dx[: steps.stop - steps.start, rows] = grads.x"},
            "the caller's state overwritten": {"current = map_arrays(np.copy, state)": "current = state"},
        }.items()
    ],
    Mutant("lengths: any length taken", "checks", {"0 <= lengths.min() <= lengths.max() <= T": "True"}),
    Mutant("a cache of another variant is taken", "layer", {"if made_by != self:": "if False:"}),
    # Types and memory.
    Mutant("lstm: float32 becomes float64", "lstm", {"np.empty((K, N, H), x.dtype)": "np.empty((K, N, H))"}),
    Mutant("sru: float32 becomes float64", "sru", {"1.0][:G], x.dtype)": "1.0][:G])"}),
    Mutant("bias gradients of float32 become float64", "cell", {"np.ones(len(da), da.dtype)": "np.ones(len(da))"}, ("elman", "lstm", "gru", "sru")),
    Mutant("elman: one array for both bias gradients", "elman", {"db.copy()": "db"}),
    Mutant("gru: initial state overwritten", "gru", {"        h[0] = state.h\n": "        h[0] = state.h\n        state.h[:] = 0\n"}),
    Mutant("gates overflow", "activations", {"    np.multiply(a, 0.5, out=out)\n    np.tanh(out, out=out)\n    out *= 0.5\n    out += 0.5\n    return out": "    np.negative(a, out=out)\n    np.exp(out, out=out)\n    out += 1.0\n    return np.divide(1.0, out, out=out)", "        np.tanh(a, out=a)\n": "        np.exp(-2.0 * a, out=a)\n        np.subtract(2.0 / (1.0 + a), 1.0, out=a)\n"}, ("lstm", "gru")),
    Mutant("state of the wrong batch size taken", "cell", {'(("N", batch_size)': '(("N", None)'}, ("elman", "gru")),
    # The torch module.
    Mutant("torch: gradients of state and parameters exchanged", "torch_module", {"return [grads.x, *flat(grads.params), *flat(grads.state)]": "return [grads.x, *flat(grads.state), *flat(grads.params)]"}),
    Mutant("torch: no gradient of the input", "torch_module", {"return [grads.x, *flat": "return [0 * grads.x, *flat"}),
    Mutant("torch: gradient of the final state ignored", "torch_module", {"cache, d_output, d_final)": "cache, d_output)"}),
    Mutant("torch: writing into shared memory goes unseen", "torch_module", {"        _ = ctx.saved_tensors  # raises if one of them was modified in place\n": ""}),
    Mutant("torch: the output is not among what is watched", "torch_module", {"ctx.save_for_backward(*flat, results[0])": "ctx.save_for_backward(*flat)"}),
    Mutant("torch: a Hessian of zeros", "torch_module", {"if torch.is_grad_enabled():": "if False:"}),
    Mutant("torch: parameters share the caller's memory", "torch_module", {"nn.Parameter(torch.tensor(value))": "nn.Parameter(torch.from_numpy(value))"}),
    Mutant("torch: params() shares the module's memory", "torch_module", {"np.array(w.detach().numpy())": "w.detach().numpy()"}),
    Mutant("torch: any device taken", "torch_module", {'if tensor.device.type != "cpu":': "if False:"}),
    Mutant("torch: d_kl and d_nll exchanged", "torch_module", {"params, cache, d_kl, d_nll, d_final": "params, cache, d_nll, d_kl, d_final"}),
    Mutant("torch: the VRNN's final state has no gradient", "torch_module", {"d_kl, d_nll, d_final)": "d_kl, d_nll)"}),
    Mutant("torch: the VRNN's x has no gradient", "torch_module", {"return [grads.x, None": "return [0 * grads.x, None"}),
    # The bound.
    Mutant("vrnn: KL in the reversed direction", "vrnn", {"gaussian_kl(mu_z, sigma_z, mu_0, sigma_0)": "gaussian_kl(mu_0, sigma_0, mu_z, sigma_z)", "d_mu_z, d_sigma_z, d_mu_0, d_sigma_0 = (": "d_mu_0, d_sigma_0, d_mu_z, d_sigma_z = (", "gaussian_kl_slopes(c.mu_z, c.sigma_z, c.mu_0, c.sigma_0)": "gaussian_kl_slopes(c.mu_0, c.sigma_0, c.mu_z, c.sigma_z)"}),
    Mutant("vrnn: the half of the KL dropped", "distributions", {"0.5 * (ratio * ratio + shift * shift - 1.0)": "(ratio * ratio + shift * shift - 1.0)"}),
    Mutant("vrnn: the one of the KL dropped", "distributions", {"shift * shift - 1.0) - np": "shift * shift) - np"}),
    Mutant("vrnn: the half of the NLL dropped", "distributions", {"0.5 * e * e": "e * e", "(1.0 - e * e)": "(1.0 - 2.0 * e * e)", "by_x = e / sigma": "by_x = 2.0 * e / sigma"}),
    Mutant("vrnn: log 2 pi dropped", "distributions", {"0.5 * math.log(2.0 * math.pi) + ": ""}),
    Mutant("vrnn: variance for the standard deviation of x", "distributions", {"e = (x - mu) / sigma": "e = (x - mu) / np.sqrt(sigma)", "np.log(sigma)": "0.5 * np.log(sigma)", "by_x = e / sigma": "by_x = e / np.sqrt(sigma)", "(1.0 - e * e) / sigma": "0.5 * (1.0 - e * e) / sigma"}),
    Mutant("vrnn: variance for the standard deviation of z", "vrnn", {"sigma_z * noise_t": "sigma_z**2 * noise_t", "sigma_z[t] * noise[t]": "sigma_z[t]**2 * noise[t]", "dz * c.noise[t]": "2 * dz * c.sigma_z[t] * c.noise[t]"}),
    Mutant("vrnn: logits taken for probabilities", "distributions", {"softplus(logit) - x * logit": "softplus(sigmoid(logit)) - x * sigmoid(logit)"}),
    Mutant("vrnn: Bernoulli's slope with the wrong sign", "distributions", {"sigmoid(logit) - x": "x - sigmoid(logit)"}),
    Mutant("vrnn: means in place of sums", "vrnn", {".sum(-1)": ".mean(-1)"}),
    Mutant("vrnn: the bound is a mean over time", "vrnn", {"-(kl + nll).sum(0)": "-(kl + nll).mean(0)"}),
    Mutant("vrnn: the floor dropped", "vrnn", {"softplus(s) + self.std_floor": "softplus(s)", "sigma - self.std_floor": "sigma"}),
    Mutant("vrnn: the slope of softplus at sigma with its floor", "vrnn", {"softplus_slope(sigma - self.std_floor)": "softplus_slope(sigma)"}),
    Mutant("vrnn: the slope of softplus of the value", "activations", {"return -np.expm1(-y)": "return sigmoid(y)"}, ("vrnn",)),
    # What sees what.
    Mutant("vrnn: the prior fed h_t", "vrnn", {"nets.prior.forward(params.prior, h[:-1])": "nets.prior.forward(params.prior, h[1:])"}),
    Mutant("vrnn: the decoder fed h_t", "vrnn", {"_beside(phi_z, h[:-1])": "_beside(phi_z, h[1:])"}),
    Mutant("vrnn: conditions on the cell state", "vrnn", {"h[0] = state.h": "h[0] = state[-1]", "h[t + 1] = state.h": "h[t + 1] = state[-1]", "h_prev = self.networks, state.h": "h_prev = self.networks, state[-1]"}),
    Mutant("vrnn: the recurrence does not see z", "vrnn", {"_beside(phi_x[t], phi_z[t])": "_beside(phi_x[t], 0 * phi_z[t])", "_beside(phi_x, phi_z)": "_beside(phi_x, 0 * phi_z)", "dphi_z[t] + du[:, F:]": "dphi_z[t]"}),
    Mutant("vrnn: features exchanged in the recurrence", "vrnn", {"_beside(phi_x[t], phi_z[t])": "_beside(phi_z[t], phi_x[t])", "_beside(phi_x, phi_z)": "_beside(phi_z, phi_x)", "dphi_z[t] + du[:, F:]": "dphi_z[t] + du[:, :F]", "du[:, :F] + d_in[:, :F]": "du[:, F:] + d_in[:, :F]"}),
    Mutant("vrnn: features without rectifier", "vrnn", {"relu_output=True": "relu_output=False"}),
    Mutant("vrnn: the final state is the one before", "vrnn", {"            _, state, cache = self": "            last, (_, state, cache) = state, self", "Elbo(bound, kl, nll, state, held)": "Elbo(bound, kl, nll, last, held)"}),
    # Its gradient.
    Mutant("vrnn: noise missing in the gradient of sigma", "vrnn", {"dz * c.noise[t]": "dz"}),
    Mutant("vrnn: no gradient through z", "vrnn", {"d_mu = d_mu_z[t] + dz": "d_mu = d_mu_z[t]"}),
    Mutant("vrnn: the decoder's path to z dropped", "vrnn", {"dphi_z[t] + du[:, F:]": "du[:, F:]"}),
    Mutant("vrnn: the recurrence's path to z dropped", "vrnn", {"dphi_z[t] + du[:, F:]": "dphi_z[t]"}),
    Mutant("vrnn: h detached between steps", "vrnn", {"d_state = grads.state._replace(h=dh_t)": "d_state = self.layer.zero_state(c.x.shape[1], c.x.dtype)"}),
    Mutant("vrnn: the encoder's path to h dropped", "vrnn", {" + dh[t] + d_in[:, F:]": " + dh[t]"}),
    Mutant("vrnn: the prior's path to h dropped", "vrnn", {"dh + d_in[..., F:]": "d_in[..., F:]"}),
    Mutant("vrnn: the decoder's path to h dropped", "vrnn", {"dh + d_in[..., F:]": "dh"}),
    Mutant("vrnn: the KL's gradient stops at the prior", "vrnn", {"_gaussian_back(d_mu_0, d_sigma_0": "_gaussian_back(0 * d_mu_0, 0 * d_sigma_0"}),
    Mutant("vrnn: the encoder's path to x dropped", "vrnn", {"du[:, :F] + d_in[:, :F]": "du[:, :F]"}),
    Mutant("vrnn: the likelihood's own gradient of x dropped", "vrnn", {"dx + d_in": "d_in"}),
    Mutant("vrnn: weights of the last step only", "vrnn", {"d_encoder = map_arrays(np.add, d_encoder, d)": "d_encoder = d"}),
    Mutant("vrnn: the KL's slope in sigma_p", "distributions", {"(1.0 - ratio * ratio - shift * shift)": "(1.0 - ratio * ratio)"}),
    Mutant("vrnn: the KL's slope in sigma_q", "distributions", {"sigma_q / sigma_p / sigma_p - 1.0 / sigma_q": "sigma_q / sigma_p / sigma_p"}),
    Mutant("mlp: rectifier's slope dropped", "mlp", {"d * relu_slope(cache[k + 1])": "d"}),
    Mutant("mlp: biases dropped", "mlp", {"@ W.T + b": "@ W.T"}),
    Mutant("mlp: bias gradient of one step", "mlp", {"da.sum(tuple(range(da.ndim - 1)))": "da.reshape(-1, da.shape[-1])[:1].sum(0)"}),
    # Samples and importance weights.
    Mutant("vrnn: samples around the prior's mean", "vrnn", {"z[t] = mu_0 + sigma_0 * rng": "z[t] = mu_0 + 0.0 * rng"}),
    Mutant("vrnn: samples of x with the variance", "vrnn", {"sigma_x * rng": "sigma_x**2 * rng"}),
    Mutant("vrnn: means fed back in place of samples", "vrnn", {"nets.phi_x.forward(params.phi_x, x[t])": "nets.phi_x.forward(params.phi_x, mu_x[t])"}),
    Mutant("vrnn: weights without q", "vrnn", {"- run.nll - log_q": "- run.nll"}),
    Mutant("vrnn: weights with the analytic KL", "vrnn", {"(log_p - run.nll - log_q)": "(-run.kl - run.nll)"}),
    Mutant("vrnn: draws and rows mixed up", "vrnn", {"np.tile(x, (1, K, 1))": "np.repeat(x, K, 1)"}),
    Mutant("vrnn: mean of the logarithms", "vrnn", {"largest + np.log(mean)": "log_w.mean(0)"}),
    Mutant("vrnn: weights underflow", "vrnn", {"largest = log_w.max(0)": "largest = 0.0 * log_w[0]"}),
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
    """Name of the first test that fails on the package: a cell's, the module's or the model's."""
    tests = {"torch_module": module_tests, "vrnn": model_tests}
    for name in names:
        for test, run in tests[name](package) if name in tests else cell_tests(package, name):
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
                    if "model" in more:
                        more["model"] = twin(package, more["model"])
                    yield name, partial(test, **chosen, **more)


def model_tests(package):
    """The tests of the VRNN, which see the package's classes, on its models."""
    slow = {"test_any_size", "test_table_of_errors"}  # and the rest sees all they see
    for name, test in inspect.getmembers(test_vrnn, inspect.isfunction):
        if name.startswith("test_") and name not in slow:
            for more in parametrized(test):
                if "model" in more:
                    more["model"] = twin(package, more["model"])
                if "record_property" in inspect.signature(test).parameters:
                    more["record_property"] = lambda name, value: None
                yield name, partial(test, **more)


def parametrized(test) -> list[dict]:
    """The arguments that marks add to a test, every combination."""
    marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
    choices = [[{mark.args[0]: value} for value in mark.args[1]] for mark in marks]
    return [
        {name: value for choice in chosen for name, value in choice.items()}
        for chosen in itertools.product(*choices)
    ]


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
    for name in ("TorchLayer", "TorchVRNN"):
        monkeypatch.setattr(test_torch_module, name, getattr(module, name))
    # Where the tests use the package by name, they are given the copy.
    copies = {name: getattr(package, name) for name in package.__all__}
    copies |= dict(inspect.getmembers(package.distributions, inspect.isfunction))
    for tests in (contract, test_torch_module, test_vrnn):
        for name in vars(tests).keys() & copies.keys():
            if getattr(tests, name).__module__.startswith("rnn_ref"):
                monkeypatch.setattr(tests, name, copies[name])
    for tests in (test_torch_module, test_vrnn):
        monkeypatch.setattr(tests, "MODELS", [twin(package, model) for model in tests.MODELS])
    return first_failure(package, names)


def test_the_unmutated_copy_passes(importable, monkeypatch):
    """Otherwise the tests below would prove nothing."""
    names = (*TESTS, "torch_module", "vrnn")
    assert load_and_test(importable, monkeypatch, "rnn_ref_copy", None, names) is None


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_is_killed(mutant, importable, monkeypatch):
    name = f"rnn_ref_{MUTANTS.index(mutant)}"
    own = (mutant.file,) if mutant.file in (*TESTS, "torch_module") else tuple(TESTS)
    own = ("vrnn",) if mutant.file in VRNN_FILES else own
    killer = load_and_test(importable, monkeypatch, name, mutant, mutant.cells or own)
    assert killer is not None, "no test fails on this mutant"
    print(f"killed by {killer}")
