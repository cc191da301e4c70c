"""The test vectors: right, complete, the same bytes everywhere, and hiding no mistake."""

import dataclasses
import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from decimal import Decimal, localcontext

import numpy as np
import pytest
import torch
from contract import Case, assert_close, autograd, contract_tests, run_torch_nn

import rnn_ref
from rnn_ref import GRU, LSTM, SRU, Activation, ElmanRNN, Layer, Stack, vectors
from rnn_ref.activations import _KINDS
from rnn_ref.tree import map_arrays, named_arrays

CASES = {case.name: case for case in vectors.cases()}
CELLS = {name: case for name, case in CASES.items() if isinstance(case.layer, rnn_ref.Cell)}
# SHA-256 of all files but the manifest, one after the other. It is the same on every machine, and
# changes only when a case is changed or added.
DIGEST = "ef2363d2fde4a0c819653c1e86bce55bbd216f30b97e12958248bfb7f2d1961b"

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("vectors")
    vectors.write(path)
    return path


def manifest_of(folder):
    return json.loads((folder / "manifest.json").read_text("utf8"))


def error(actual, expected):
    """As the manifest defines it."""
    return np.abs(actual - expected).max(initial=0.0) / max(1.0, np.abs(expected).max(initial=0.0))


def computed(case, dtype=np.float64):
    """What ``forward`` and ``backward`` make of a case, by the names in its file."""

    def cast(tree):
        return None if tree is None else map_arrays(lambda a: a.astype(dtype), tree)

    params = cast(case.params)
    output, final, cache = case.layer.forward(params, cast(case.x), cast(case.state), case.lengths)
    grads = case.layer.backward(params, cache, cast(case.d_output), cast(case.d_final_state))
    found = {"output": output} | named_arrays(final, "final_state.")
    return found | named_arrays(grads, "grads.")


# Right


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@every_case
def test_forward_and_backward_are_within_a_tenth_of_the_tolerance(case, dtype):
    expected, found = vectors._arrays(case), computed(case, dtype)
    errors = {name: error(value, expected[name]) for name, value in found.items()}
    assert_close(errors, vectors.TOLERANCES[np.dtype(dtype).name] / 10)
    given = {"x", "lengths", "d_output"}
    rest = {n for n in expected if n not in given and not n.startswith(("params.", "state.", "d_"))}
    assert rest == found.keys()


@pytest.mark.parametrize("case", CELLS.values(), ids=CELLS.keys())
def test_the_transcriptions_of_the_contract_agree(case):
    """Autograd through the published equations, row by row where lengths differ."""
    stem = type(case.layer).__module__.rpartition(".")[2]
    run = contract_tests()[stem]().transcribed(case.layer)
    T, N, _ = case.x.shape
    lengths = np.full(N, T) if case.lengths is None else case.lengths
    zeros = case.layer.zero_state(N)
    state = zeros if case.state is None else case.state
    total = 0
    for n, end in enumerate(lengths):
        one = slice(n, n + 1)
        row = [map_arrays(lambda a: a[one], tree) for tree in (state, case.d_final_state)]  # noqa: B023
        given = Case(case.params, case.x[:end, one], row[0], case.d_output[:end, one], row[1])
        theirs = autograd(run, given)
        assert error(case.output[:end, one], theirs["output"]) < 1e-14
        assert not case.output[end:, n].any() and not case.grads.x[end:, n].any()
        assert error(case.grads.x[:end, one], theirs["d_x"]) < 1e-14
        for k in zeros._fields:
            assert error(getattr(case.final_state, k)[one], theirs[f"final_{k}"]) < 1e-14
            assert error(getattr(case.grads.state, k)[one], theirs[f"d_{k}_0"]) < 1e-14
        names = [k for k, v in case.params._asdict().items() if v is not None]
        total = total + np.concatenate([theirs[f"d_{k}"].ravel() for k in names])
    ours = np.concatenate([v.ravel() for v in case.grads.params if v is not None])
    assert error(ours, total) < 1e-14


@pytest.mark.parametrize("case", CELLS.values(), ids=CELLS.keys())
def test_torch_nn_agrees_where_it_has_the_cell(case):
    stem = type(case.layer).__module__.rpartition(".")[2]
    module = contract_tests()[stem].torch_nn(case.layer)
    if module is None or (case.lengths is not None and 0 in case.lengths):
        return  # torch refuses rows of no steps
    zeros = case.layer.zero_state(case.x.shape[1])
    state = zeros if case.state is None else case.state
    given = Case(case.params, case.x, state, case.d_output, case.d_final_state)
    theirs = autograd(run_torch_nn(module, case.lengths), given)
    assert error(case.output, theirs["output"]) < 1e-14
    assert error(case.grads.x, theirs["d_x"]) < 1e-14
    for k, value in case.final_state._asdict().items():
        assert error(value, theirs[f"final_{k}"]) < 1e-14
    for k, value in case.grads.params._asdict().items():
        assert value is None or error(value, theirs[f"d_{k}"]) < 1e-14


def test_torch_nn_is_asked_about_every_cell_it_has():
    stems = {c.layer: contract_tests()[type(c.layer).__module__[8:]] for c in CELLS.values()}
    asked = {layer for layer, tests in stems.items() if tests.torch_nn(layer) is not None}
    assert {type(layer) for layer in asked} == {ElmanRNN, LSTM, GRU}
    assert ElmanRNN(3, 4, nonlinearity="relu") in asked and LSTM(3, 6, proj_size=4) in asked


@pytest.mark.parametrize("name", ["lstm_stack", "gru_stack", "elman_stack"])
def test_torch_nn_agrees_on_stacks(name):
    """And the bidirectional ones: as a stack of one layer."""
    kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "elman": torch.nn.RNN}[name.split("_")[0]]
    for case in (CASES[name], CASES[name.replace("stack", "bidirectional")]):
        stack = isinstance(case.layer, Stack)
        depth = len(case.layer.layers) if stack else 1
        module = kind(3, 4, depth, bidirectional=not stack).double()
        params = named_arrays(case.params)
        states = named_arrays(case.state)
        with torch.no_grad():
            for key, value in params.items():
                part, field = key.split(".")
                where = f"_l{part}" if stack else "_l0" + "_reverse" * (part == "backward_layer")
                getattr(module, field + where).copy_(torch.tensor(value))
            h, c = (
                torch.tensor(np.array([v for k, v in states.items() if k.endswith(end)] or [[]]))
                for end in (".h", ".c")
            )
            initial = (h, c) if c.numel() else h
            output, final = module(torch.tensor(case.x), initial)
        finals = named_arrays(case.final_state)
        assert error(case.output, output.numpy()) < 1e-14
        final = final if isinstance(final, tuple) else (final,)
        for end, value in zip((".h", ".c"), final, strict=False):
            ours = np.array([v for k, v in finals.items() if k.endswith(end)])
            assert error(ours, value.numpy()) < 1e-14


def test_the_functions_of_exact_numbers():
    """Beside Python's floats; the derivative beside a difference quotient in 50 digits."""
    with localcontext(vectors._context()):
        eps = Decimal("1e-20")
        for value in ("-1.375", "-0.015625", "0.5", "2.25"):
            for name in ("exp", "expm1", "tanh", "log1p", "__abs__", "__neg__"):
                if name == "log1p" and value.startswith("-1"):
                    continue
                tape = []
                a = vectors._Number(Decimal(value), tape)
                b = getattr(a, name)()
                f = getattr(np, {"__abs__": "abs", "__neg__": "negative"}.get(name, name))
                assert float(b.value) == pytest.approx(float(f(float(value))), rel=1e-15)
                up, down = (
                    getattr(vectors._Number(Decimal(value) + d), name)().value for d in (eps, -eps)
                )
                assert abs(b.parts[0][1] - (up - down) / (2 * eps)) < Decimal("1e-25")


# Complete


def test_every_layer_and_every_option_occurs():
    seen, layers = {}, set()

    def walk(layer):
        layers.add(type(layer))
        for field in dataclasses.fields(layer):
            value = getattr(layer, field.name)
            for part in value if isinstance(value, tuple) else (value,):
                if isinstance(part, Layer):
                    walk(part)
                else:
                    seen.setdefault((type(layer), field.name), set()).add(part)

    for case in CASES.values():
        walk(case.layer)
    public = {getattr(rnn_ref, name) for name in rnn_ref.__all__}
    public = {t for t in public if isinstance(t, type) and issubclass(t, Layer)}
    assert layers == {t for t in public if not getattr(t, "__abstractmethods__", None)}
    for cell, field in [(LSTM, "peephole"), (LSTM, "coupled"), (LSTM, "forget_gate")]:
        assert seen[cell, field] == {True, False}
    assert seen[SRU, "highway"] == {True, False} and seen[SRU, "version"] == {1, 2}
    assert seen[SRU, "nonlinearity"] == {"identity", "tanh"} and len(seen[SRU, "alpha"]) == 2
    assert seen[GRU, "reset"] == {"after", "before"}
    assert seen[LSTM, "proj_size"] == {0, 4}
    functions = {f if isinstance(f, str) else f.name for f in seen[ElmanRNN, "nonlinearity"]}
    assert functions == set(_KINDS)
    with_parameters = {name for name, kind in _KINDS.items() if kind.defaults}
    own = {f.name for f in seen[ElmanRNN, "nonlinearity"] if f != getattr(f, "name", f)}
    assert with_parameters <= own
    for cell in (ElmanRNN, LSTM, GRU):
        assert None in seen[cell, "clip"] and len(seen[cell, "clip"]) == 2
    options = {(cell, f.name) for cell in layers for f in dataclasses.fields(cell)}
    tested = "peephole coupled forget_gate highway version nonlinearity alpha reset proj_size clip"
    structure = "input_size hidden_size layer layers forward_layer backward_layer activations"
    assert {name for _, name in options} == {*tested.split(), *structure.split()}


def test_lengths_are_there_for_every_kind_of_layer():
    ragged = [case for case in CASES.values() if case.lengths is not None]
    assert {type(case.layer).__name__ for case in ragged} == {
        "ElmanRNN", "LSTM", "GRU", "SRU", "Reverse", "Bidirectional", "Stack"
    }  # fmt: skip
    for case in ragged:
        assert case.lengths.dtype == np.int64 and len(set(case.lengths)) > 3
        assert (np.diff(case.lengths) > 0).any() and (np.diff(case.lengths) < 0).any()
    assert any(0 in case.lengths and max(case.lengths) < len(case.x) for case in ragged)


def test_groups():
    names = [name for group in vectors.GROUPS.values() for name in group]
    assert names == list(CASES) and len(set(names)) == len(names)
    kinds = "elman,lstm,lstm variants,projection,gru,sru,activations,clip,zero state,reverse"
    assert list(vectors.GROUPS) == [*kinds.split(","), "bidirectional", "stack", "lengths"]
    assert [case.name for case in vectors.cases("gru")] == ["gru", "gru_reset_before"]
    with pytest.raises(ValueError, match=r"group: expected one of elman, .*, got 'rnn'"):
        vectors.cases("rnn")


# Nothing hides a mistake


@every_case
def test_operands_are_short_different_and_not_zero(case):
    arrays = vectors._arrays(case)
    operands = {k: v for k, v in arrays.items() if k.startswith(("params.", "x", "state.", "d_"))}
    for name, value in operands.items():
        assert np.array_equal(value * 64, np.round(value * 64)), name
        assert np.abs(value).min() >= 4 / 64 and np.abs(value).max() <= 1, name
        assert value.min() < 0 < value.max(), name
        rows = value.reshape(-1, value.shape[-1])
        assert rows.shape[1] < 3 or len(np.unique(rows, axis=0)) == len(rows), name
        if value.ndim > 1 and value.shape[-1] == value.shape[-2]:
            assert not np.array_equal(value, value.swapaxes(-1, -2)), name
    assert ("state" in " ".join(operands)) or case.group == "zero state"
    everything = [v.tobytes() for v in operands.values()]
    assert len(set(everything)) == len(everything)


@pytest.mark.parametrize("case", CELLS.values(), ids=CELLS.keys())
def test_blocks_differ(case):
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        stacked = getattr(case.params, name, None)
        if stacked is not None:
            blocks = [
                b.tobytes() for b in np.split(stacked, len(stacked) // case.layer.hidden_size)
            ]
            assert len(set(blocks)) == len(blocks)


@every_case
def test_results_are_not_constant(case):
    for name, value in vectors._arrays(case).items():
        if name.startswith(("output", "final_state", "grads.")):
            dead = "grads.state" in name and name.endswith("h") and "sru" in case.name
            dead |= "mixed" in case.name and "grads.state" in name  # there is an SRU in it
            assert dead or len(np.unique(value)) > 2, name


@pytest.mark.parametrize("case", CELLS.values(), ids=CELLS.keys())
def test_gates_are_not_saturated(case):
    """Of those that are smooth; the others have to meet each of their pieces."""
    _, _, cache = case.layer.forward(case.params, case.x, case.state)
    for name in set(cache._fields) & set("ifozr"):
        gate = getattr(cache, name)
        smooth = getattr(case.layer, "activations", "sigmoid")[0] != "hard_sigmoid"
        if smooth and not (name == "f" and not getattr(case.layer, "forget_gate", True)):
            kept = 1.0 - np.maximum(gate, 1.0 - gate).max()  # the distance from 0 and from 1
            assert kept > 0.005 and np.ptp(gate) > (
                0.2 if getattr(case.layer, "clip", None) else 0.3
            ), name


@pytest.mark.parametrize(
    "case", [c for c in CELLS.values() if isinstance(c.layer, ElmanRNN)], ids=lambda c: c.name
)
def test_every_piece_of_a_function_is_met(case):
    choice, clip = case.layer.nonlinearity, case.layer.clip
    f = choice if isinstance(choice, Activation) else Activation(choice)
    h = case.output[case.output != 0] if case.lengths is not None else case.output
    if clip is not None:
        at_end = np.isclose(np.abs(h), np.tanh(clip))
        assert 0.1 < at_end.mean() < 0.9
    if f.name in ("relu", "leaky_relu", "thresholded_relu", "elu"):
        positive = (h > 0).mean()
        assert 0.1 < positive < 0.95
    if f.name == "hard_sigmoid" and f.alpha != 0.2:
        assert (h == 0).any() or (h == 1).any()


# The same bytes everywhere


def test_the_digest():
    """Not a golden file: every byte of every case's file, on whatever machine this runs."""
    digest = hashlib.sha256()
    for case in CASES.values():
        digest.update(vectors._npz(vectors._arrays(case)))
    assert digest.hexdigest() == DIGEST


def test_other_arithmetic_gives_the_same_bytes(folder, tmp_path):
    """NumPy without the processor's newer instructions, and Python's decimal without C."""
    code = (
        "import sys; sys.modules['_decimal'] = None\n"
        "import hashlib, decimal\n"
        "from rnn_ref import vectors\n"
        "assert 'pydecimal' in decimal.Decimal.exp.__code__.co_filename\n"
        "for case in vectors.cases('gru'):\n"
        "    print(hashlib.sha256(vectors._npz(vectors._arrays(case))).hexdigest())\n"
    )
    env = {"NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4", "OPENBLAS_CORETYPE": "Nehalem"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | env,
    )
    entries = {case["name"]: case["sha256"] for case in manifest_of(folder)["cases"]}
    assert done.stdout.split() == [entries["gru"], entries["gru_reset_before"]], done.stderr


def test_files_are_read_by_numpy(folder):
    for case in CASES.values():
        with np.load(folder / f"{case.name}.npz") as file:
            expected = vectors._arrays(case)
            assert list(file) == list(expected)
            for name, value in expected.items():
                np.testing.assert_array_equal(file[name], value)
                assert file[name].dtype == value.dtype


def test_files_are_what_numpy_would_write_but_for_the_time(folder):
    file = io.BytesIO()
    np.savez(file, **vectors._arrays(CASES["lstm_peephole"]))
    with zipfile.ZipFile(file) as theirs, zipfile.ZipFile(folder / "lstm_peephole.npz") as ours:
        assert theirs.namelist() == ours.namelist()
        assert all(theirs.read(name) == ours.read(name) for name in ours.namelist())


def test_headers_are_of_one_length(folder):
    """As the manifest promises to those who read the numbers without NumPy."""
    assert "header of 128 bytes" in manifest_of(folder)["conventions"]["numbers"]
    for case in CASES.values():
        for array in vectors._arrays(case).values():
            assert len(vectors._npy(array)) == 128 + array.nbytes and array.itemsize == 8


def test_no_time_of_day_and_no_system(folder):
    with zipfile.ZipFile(folder / "gru.npz") as file:
        for entry in file.infolist():
            assert entry.date_time == (1980, 1, 1, 0, 0, 0) and entry.create_system == 3
            assert entry.compress_type == zipfile.ZIP_STORED


def test_twice_the_same_and_through_the_command(folder, tmp_path, capsys):
    assert vectors.main([str(tmp_path / "new" / "folder")]) == 0
    assert capsys.readouterr().out.startswith(f"{len(CASES)} cases and manifest.json in ")
    written = {path.name: path.read_bytes() for path in (tmp_path / "new" / "folder").iterdir()}
    assert written == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(written) == {f"{name}.npz" for name in CASES} | {"manifest.json"}
    assert b"\r" not in written["manifest.json"]


# The manifest


def test_one_changed_bit_is_noticed(folder, tmp_path, capsys):
    vectors.write(tmp_path)
    assert vectors.check(tmp_path) == [] and vectors.main(["--check", str(tmp_path)]) == 0
    data = bytearray((tmp_path / "gru.npz").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "gru.npz").write_bytes(data)
    (tmp_path / "lstm.npz").unlink()
    problems = ["lstm.npz: missing", "gru.npz: not the file that the manifest describes"]
    assert vectors.check(tmp_path) == problems
    assert vectors.main(["--check", str(tmp_path)]) == 1
    assert "gru.npz: not" in capsys.readouterr().out


def test_wrong_arguments(capsys):
    for arguments in ([], ["--wrong"], ["a", "b"]):
        assert vectors.main(arguments) == 2
        assert "usage: " in capsys.readouterr().err


def test_the_manifest_describes_every_array(folder):
    manifest = manifest_of(folder)
    assert manifest["package_version"] == rnn_ref.__version__
    assert [entry["name"] for entry in manifest["cases"]] == list(CASES)
    for entry in manifest["cases"]:
        case, sizes = CASES[entry["name"]], entry["sizes"]
        arrays = vectors._arrays(case)
        assert list(entry["arrays"]) == list(arrays)
        for name, about in entry["arrays"].items():
            value = arrays[name]
            assert about["shape"] == list(value.shape) and about["dtype"] == str(value.dtype)
            assert len(about["axes"]) == value.ndim and about["meaning"]
            if isinstance(case.layer, rnn_ref.Cell):
                for letters, size in zip(about["axes"], value.shape, strict=True):
                    factor, letter = letters[:-1], letters[-1]
                    assert int(factor or 1) * sizes[letter] == size, (name, letters)


def rebuilt(described):
    """The layer from the manifest's words for it."""
    if isinstance(described, list):
        return tuple(map(rebuilt, described))
    if not isinstance(described, dict):
        return described
    options = {name: rebuilt(value) for name, value in described.items() if name != "class"}
    return getattr(rnn_ref, described.get("class", "Activation"))(**options)


def test_the_manifest_describes_the_layer(folder):
    """Built from it alone, the layer does what the file says."""
    for entry in manifest_of(folder)["cases"]:
        case, layer = CASES[entry["name"]], rebuilt(entry["layer"])
        assert type(layer) is type(case.layer)
        ours = layer.forward(case.params, case.x, case.state, case.lengths)[0]
        assert error(ours, case.output) < 1e-14


def test_meanings_name_the_blocks(folder):
    found = {
        e["name"]: {k: a["meaning"] for k, a in e["arrays"].items()}
        for e in manifest_of(folder)["cases"]
    }
    assert found["lstm"]["params.weight_hh"] == "U_i, U_f, U_g, U_o stacked"
    assert found["lstm_coupled_peephole"]["params.weight_ih"] == "W_i, W_g, W_o stacked"
    assert found["lstm_coupled_peephole"]["params.weight_ph"] == "p_i, p_o stacked"
    assert found["gru"]["params.bias_ih"] == "b_r, b_z, b_n stacked, of the input side"
    assert found["elman"]["params.weight_ih"] == "W"
    assert found["sru"]["params.weight_ih"] == "W_u, W_f, W_r, W_s stacked"
    assert found["sru_square"]["params.weight_ih"] == "W_u, W_f, W_r stacked"
