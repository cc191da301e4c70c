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
    Mutant("elman: relu in place of tanh", "elman", {'f, _ = choose(self.nonlinearity': 'f, _ = choose("relu"'}),
    Mutant("sigmoid: slope of the gate wrong by 2", "activations", {"out *= 0.5\n    out += 0.5": "out += 1.0\n    out *= 0.25"}),
    # Forward over time.
    *[
        Mutant(f"{cell}: initial state ignored", cell, {old: old.replace("state", "0.0 * state")})
        for cell, old in [("elman", "h[0] = state.h"), ("gru", "= state.h, self._functions")]
    ],
    Mutant("lstm: initial cell state ignored", "lstm", {"h[0], c[0] = state": "h[0], c[0] = state.h, 0.0"}),
    Mutant("lstm: final h and c exchanged", "lstm", {"LSTMState(h[T].copy(), c[T].copy())": "LSTMState(c[T].copy(), h[T].copy())"}),
    *[
        Mutant(f"{cell}: last step dropped", cell, {"range(T):": "range(T - 1):"}) for cell in TESTS
    ],
    Mutant("gru: first step seen twice", "cell", {"return a.reshape(T, N, W.shape[0])": "a = a.reshape(T, N, W.shape[0])\n    a[1:] = a[:-1].copy()\n    return a"}, ("gru",)),
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
        Mutant(f"{cell}: d_final_state ignored", "cell", {"d_output, map_arrays(np.copy, d_final_state)": "d_output, map_arrays(np.zeros_like, d_final_state)"}, (cell,))
        for cell in TESTS
    ],
    Mutant("elman: dx without the later steps", "elman", {"project_back(da, W)": "project_back(d_output * slope, W)"}),
    Mutant("lstm: dx of the last step only", "cell", {"(da.reshape(T * N, GH) @ W).reshape(T, N, W.shape[1])": "np.concatenate([np.zeros((T - 1, N, W.shape[1]), da.dtype), da[-1:] @ W])"}, ("lstm",)),
    Mutant("lstm: c_prev and c exchanged in df", "lstm", {"c_by_af = c_prev": "c_by_af = c"}),
    Mutant("lstm: c_prev and c exchanged in dp", "lstm", {"[(da_i, c_prev), (da_f, c_prev), (da_o, c)]": "[(da_i, c), (da_f, c), (da_o, c_prev)]"}),
    Mutant("lstm: the path of c through o's peephole dropped", "lstm", {" + p_o * da_o[t]  #": "  #"}),
    Mutant("lstm: the path of c_prev through i's peephole dropped", "lstm", {" + p_i * da_i[t]  #": "  #"}),
    Mutant("lstm: the path of c_prev through f's peephole dropped", "lstm", {"dc_next += p_f * da_f[t]  #": "dc_next += 0.0  #"}),
    Mutant("lstm: coupled i forgets that it is also 1 - f", "lstm", {"g - c_prev if self.coupled else g": "g"}),
    Mutant("lstm: tanh' taken of c, not of tanh c", "lstm", {"psi_slope(tanh_c)": "psi_slope(c)"}),
    Mutant("lstm: sigma' applied twice", "lstm", {"tanh_c * sigma_slope(o)": "tanh_c * sigma_slope(self._functions[0][0](o))"}),
    Mutant("gru: h_prev and n exchanged in dz", "gru", {"(h_prev - n) * sig": "(n - h_prev) * sig"}),
    Mutant("gru: r missing before U_n", "gru", {"da_n[t] * r[t]  #": "da_n[t]  #"}),
    Mutant("gru: r missing in dU_n, reset before", "gru", {"sum_outer(da_n, r * h_prev)": "sum_outer(da_n, h_prev)"}),
    Mutant("gru: both biases get one gradient", "gru", {"da.sum((0, 1)), du.sum((0, 1))": "da.sum((0, 1)), da.sum((0, 1))"}),
    Mutant("gru: m and h_prev exchanged in dr", "gru", {"m if after else h_prev": "h_prev if after else m"}),
    *[
        Mutant(f"{cell}: dU from the new state", cell, {"h_prev)  #": "cache.h[1:])  #"})
        for cell in ("elman", "lstm")
    ],
    Mutant("elman: slope of relu at tanh", "elman", {"choose(self.nonlinearity, self.clip)[1]": 'choose("relu", self.clip)[1]'}),
    Mutant("weight gradients averaged, not summed", "cell", {"@ v.reshape(-1, v.shape[-1])": "@ v.reshape(-1, v.shape[-1]) / len(v)"}, ("elman", "lstm", "gru")),
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
    # Projection, activations, clipping.
    Mutant("lstm: the projection's transpose", "lstm", {"dh = dh @ W_r": "dh = dh @ W_r * 0.5"}),
    Mutant("lstm: the projection's gradient from h", "lstm", {"sum_outer(dh_all, m)": "sum_outer(d_output, m)"}),
    Mutant("lstm: psi clipped", "lstm", {"choose(psi)": "choose(psi, self.clip)"}),
    Mutant("lstm: phi not clipped", "lstm", {"choose(phi, self.clip)": "choose(phi)"}),
    Mutant("lstm: phi and psi exchanged", "lstm", {"sigma, phi, psi = self.activations": "sigma, psi, phi = self.activations"}),
    Mutant("gru: nothing clipped", "gru", {"choose(choice, self.clip)": "choose(choice)"}),
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
    Mutant("lstm: float32 becomes float64", "lstm", {"np.empty((T, N, H), x.dtype)": "np.empty((T, N, H))"}),
    Mutant("elman: one array for both bias gradients", "elman", {"db.copy()": "db"}),
    Mutant("gru: initial state overwritten", "gru", {"for t in range(T):": "state.h[:] = 0\n        for t in range(T):"}),
    Mutant("gates overflow", "activations", {"    np.multiply(a, 0.5, out=out)\n    np.tanh(out, out=out)\n    out *= 0.5\n    out += 0.5\n    return out": "    np.negative(a, out=out)\n    np.exp(out, out=out)\n    out += 1.0\n    return np.divide(1.0, out, out=out)"}, ("lstm", "gru")),
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
