"""The benchmarks measure what they say. How long anything takes decides no test."""

import json
import time
from functools import partial
from math import prod

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import __main__ as bench
from benchmarks import claims, classification, report, store, targets, timing, verify
from benchmarks.contestants import CELLS, contestants
from benchmarks.floor import Product, floor, forms, products
from benchmarks.growth import exponent
from benchmarks.memory import held_bytes, memory, saved_bytes
from benchmarks.textbook import TEXTBOOK

every_cell = pytest.mark.parametrize("cell", CELLS)


# Who is measured


@every_cell
def test_contestants_equal_the_layer(cell):
    """Output and every gradient; ``verify`` raises otherwise."""
    errors = verify.verify(cell)
    also = {"SRU": {"eager torch"}, "GRU before": set()}.get(cell, {"torch.nn"})
    assert errors.keys() == {"textbook", "TorchLayer"} | also
    if cell != "SRU":
        verify.verify(cell, D=3, H=5)


@every_cell
@pytest.mark.parametrize("wrong", ["output", "gradient", "name"])
def test_a_wrong_contestant_is_refused(cell, wrong, monkeypatch):
    forward, back = TEXTBOOK[cell]

    def wrong_forward(params, x):
        output, cache = forward(params, x)
        return output * (1 + 1e-8), cache

    def wrong_back(*given):
        d_params, dx = back(*given)
        if wrong == "gradient":
            d_params["bias_ih"] = d_params["bias_ih"][::-1]
        else:
            d_params["bias"] = d_params.pop("bias_ih")
        return d_params, dx

    changed = (wrong_forward, back) if wrong == "output" else (forward, wrong_back)
    monkeypatch.setitem(TEXTBOOK, cell, changed)
    with pytest.raises(ValueError, match=f"{cell}, textbook"):
        verify.verify(cell)


def test_who_is_measured_where():
    def names(cell, dtype, training):
        return set(contestants(cell, 3, 2, 4, dtype, 1, training)[0])

    everywhere = {"rnn_ref", "torch.nn", "floor", "textbook"}
    assert names("LSTM", "float32", False) == everywhere | {"onnxruntime"}
    assert names("LSTM", "float64", False) == everywhere
    assert names("GRU before", "float64", True) == everywhere | {"TorchLayer"}
    assert names("SRU", "float32", False) == everywhere | {"eager torch", "rnn_ref LSTM"}


def test_cells_have_one_list():
    assert targets.CELLS == tuple(CELLS) == tuple(TEXTBOOK)


# The floor


@every_cell
@pytest.mark.parametrize("training", [False, True])
def test_floor_does_the_multiply_adds_it_claims(cell, training, monkeypatch):
    """Counted from the operands of every product that NumPy is asked for."""
    done = []

    def counting(product, left, right, out):
        result = product(left, right, out=out)
        done.append(prod(out.shape) * left.shape[-1])
        return result

    for name in ("dot", "matmul"):
        monkeypatch.setattr(np, name, partial(counting, getattr(np, name)))
    T, N, D, H = 4, 3, 2, 5
    layer = CELLS[cell].layer(D, H)
    step, chosen = floor(layer, T, N, "float64", 1, training)
    done.clear()  # what the trial did
    step()
    needed = products(layer, T, N, training)
    state = 0 if cell == "SRU" else H
    formula = T * N * layer.gates * H * (D + state) * (3 if training else 1)
    assert sum(done) == sum(p.multiply_adds for p in needed) == formula
    assert chosen.keys() == {p.name for p in needed}


@pytest.mark.parametrize("times", [1, 7])
@pytest.mark.parametrize("axis", ["rows", "inner", "columns"])
def test_all_forms_are_one_product(times, axis):
    sizes = {"rows": 4, "inner": 5, "columns": 7} | {axis: 6}
    found = forms(Product("", times, **sizes, gates=3, axis=axis), "float64")
    assert len(found) == (5 if times == 1 else 9)
    expected = found["dot: A B"]()
    for name, form in found.items():
        result = form()
        if "B^T A^T" in name:
            result = result.T
        elif "gates" in name and axis != "inner":  # put the gates side by side again
            result = np.concatenate(list(result), axis=1 if axis == "columns" else 0)
        np.testing.assert_allclose(result, expected, rtol=1e-12, err_msg=name)


# Time


def test_turns_alternate():
    calls = []
    steps = [partial(calls.append, name) for name in "abc"]
    seconds = timing.interleaved(steps, range(4))
    assert "".join(calls) == 2 * "abc" + 4 * "abc"  # the first ones of each are not counted
    assert [len(taken) for taken in seconds] == [4, 4, 4]


def test_turns_last_alike_and_are_divided_by_their_calls(monkeypatch):
    clock, calls = [0.0], []
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])

    def step(name, takes):
        calls.append(name)
        clock[0] += takes

    steps = [partial(step, "a", 1.0), partial(step, "b", 3.0)]
    assert timing.interleaved(steps, range(2), turn=5.0) == [[1.0, 1.0], [3.0, 3.0]]
    assert "".join(calls) == "aabb" + 3 * ("aaaaa" + "bb")


def test_quartiles():
    assert timing.quartiles([5, 1, 2, 4, 3]) == [2, 3, 4]
    assert timing.quartiles([7.77777]) == [7.778] * 3


def test_threads_are_set_and_given_back():
    before = torch.get_num_threads()
    with timing.threads(1) as had:
        assert had == {"NumPy's BLAS": 1, "PyTorch": 1}
    assert torch.get_num_threads() == before


# Memory and growth


def test_shared_memory_counts_once():
    one, other = np.zeros((4, 6)), np.zeros(5)
    views = one[:2], (one.T, [one[:, 1:], "no array", None]), other[::2]
    assert held_bytes(views) == one.nbytes + other.nbytes
    assert held_bytes(views, without=(other[1:],)) == one.nbytes
    assert held_bytes(np.broadcast_to(np.zeros(()), (1000, 1000))) == 8


def test_saved_memory():
    """Of x M twice tanh: the inner value; parameters, x and output are left out, views are one."""

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.M = nn.Parameter(torch.ones(4, 4, dtype=torch.float64))

        def forward(self, x):
            y = torch.tanh(x @ self.M)
            return torch.tanh(y.T @ y)

    assert saved_bytes(Twice(), np.ones((3, 4))) == 8 * (3 * 4)


def test_the_output_counts_on_neither_side():
    T, N, H = 5, 2, 3
    held = memory("ElmanRNN", T, N, H, "float64")
    assert held["rnn_ref"] == 8 * N * H  # h_0, beside the output, which is h_1 to h_T


def test_exponent_of_a_power_law():
    sizes = [2, 4, 8, 16]
    assert exponent(sizes, [5 * s**1.5 for s in sizes]) == pytest.approx(1.5)
    assert exponent(sizes, [1, 1, 8, 16]) == pytest.approx(1.0)  # the lower half does not count


# Targets


def synthetic(factor):
    """A result in which every target's figure is its limit times ``factor``."""
    kinds = [(cell, dtype) for cell in CELLS for dtype in targets.DTYPES]
    shapes = bench.COMPLETE.shapes
    limits = {
        (row["quantity"], row["cell"], row["dtype"], row["against"]): row["limit"]
        for row in targets.summary({"cases": [], "memory": []})
    }

    def rows(quantity):
        for (cell, dtype), (T, N, H) in ((k, s) for k in kinds for s in shapes):
            about = {"cell": cell, "dtype": dtype, "T": T, "N": N, "H": H}
            of_row = {
                k[-1]: v * factor for k, v in limits.items() if k[:3] == (quantity, cell, dtype)
            }
            yield about, of_row

    cases = [
        about | {"pass": kind, "threads": 1, "ratio": {k: [0, v, 9] for k, v in ratio.items()}}
        for kind in ("training", "forward")
        for about, ratio in rows(kind)
    ]
    memory = [
        about | {"bytes": {"rnn_ref": 1e6, "torch.nn": 1e6 / ratio["torch.nn"]}}
        for about, ratio in rows("memory")
        if ratio
    ]
    return {"cases": cases, "memory": memory}


@pytest.mark.parametrize(("factor", "expected"), [(0.99, "met"), (1.01, "missed")])
def test_verdicts(factor, expected):
    assert {row["verdict"] for row in targets.summary(synthetic(factor))} == {expected}


def test_what_was_not_measured_is_neither_met_nor_missed():
    rows = targets.summary({"cases": [], "memory": []})
    assert {(row["figure"], row["verdict"]) for row in rows} == {(None, "not measured")}


def test_one_bad_shape_counts_where_it_should():
    """Inside a geometric mean it is one of five; a largest it decides, if H and N are large."""
    result = synthetic(0.5)
    for row in result["cases"]:
        if row["H"] == 32:
            row["ratio"] = {name: [0, 2 * v, 9] for name, (_, v, _) in row["ratio"].items()}
        elif row["H"] == 256:
            row["ratio"] = {name: [0, 3 * v, 9] for name, (_, v, _) in row["ratio"].items()}
    for row in targets.summary(result):
        factor = row["figure"] / row["limit"]
        expected = {"geometric mean": 0.5 * 6 ** (1 / 5), "largest": 1.5}[row["over"]]
        assert factor == pytest.approx(0.5 if row["quantity"] == "memory" else expected)


# The whole


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """The folder in which a quick run has left its result."""
    folder = tmp_path_factory.mktemp("speed")
    bench.main(["--quick", "--rounds", "2", "--out", str(folder / "quick.json")])
    return folder


def test_quick_run_has_the_documented_structure(quick):
    result = json.loads((quick / "quick.json").read_text("utf8"))
    for key in result:
        assert f"``{key}``" in report.__doc__
    plan = bench.QUICK
    assert result["rounds"] == 2
    assert set(result["threads"]) == {"1", "2"} and set(result["compared"]) == set(CELLS)
    assert len(result["cases"]) == len(CELLS) * 2 * 2 * len(plan.shapes) * 2
    for row in result["cases"]:
        assert list(row) == [
            *("cell", "dtype", "threads", "pass", "T", "N", "H"),
            *("milliseconds", "ratio", "floor"),
        ]
        assert {"rnn_ref", *row["ratio"]} == set(row["milliseconds"])
        for low, median, high in (*row["milliseconds"].values(), *row["ratio"].values()):
            assert 0 < low <= median <= high
    assert len(result["memory"]) == len(CELLS) * 2 * len(plan.shapes)
    assert all(min(row["bytes"].values()) > 0 for row in result["memory"])
    assert [row["letter"] for row in result["growth"]] == list("TNH") * len(CELLS)
    for row in result["growth"]:
        for table in (row["milliseconds"], row["bytes"]):
            assert {name: len(values) for name, values in table.items()} == {
                "rnn_ref": len(row["sizes"]),
                "torch.nn": len(row["sizes"]),
            }
    assert result["summary"] == targets.summary(result)


def test_tables_and_plot_of_a_quick_run(quick):
    result = json.loads((quick / "quick.json").read_text("utf8"))
    text = report.tables(result)
    for cell in CELLS:
        assert f"| {cell} | float32 |" in text
    assert "not measured" in text and text.count("met") + text.count("missed") > 0
    drawn = (quick / "quick.svg").read_bytes()
    report.plot(result, quick / "again.svg")
    assert drawn == (quick / "again.svg").read_bytes()


def test_the_readme_shows_what_is_stored():
    result = json.loads(store.SPEED.read_text("utf8"))
    assert report.short(result) in (store.ROOT / "README.md").read_text("utf8")


def test_only_some_cells_and_nothing_written(monkeypatch, capsys):
    written = []
    monkeypatch.setattr(store, "write", lambda *given: written.append(given))
    bench.main(["--quick", "--rounds", "1", "--only", "elman"])
    assert written == []
    text = capsys.readouterr().out
    assert "| ElmanRNN | float64 |" in text and "| GRU after | float64 | training / floor" in text
    with pytest.raises(SystemExit):
        bench.main(["--only", "no such cell"])


def test_the_stored_result_fits_the_targets():
    """``python -m benchmarks.report`` renews what follows from the times."""
    result = json.loads(store.SPEED.read_text("utf8"))
    assert result["summary"] == targets.summary(result)
    assert report.tables(result).startswith("processor: ")


# The measurements of single chapters


def same_keys(path, stored):
    new, old = (json.loads(p.read_text("utf8")) for p in (path, stored))
    assert list(new) == list(old)
    for key, value in old.items():
        if isinstance(value, list):
            assert {tuple(row) for row in new[key]} == {tuple(row) for row in value}


def test_claims_writes_what_its_chapter_reads(monkeypatch, tmp_path):
    stored = claims.RESULT
    for name, value in (("ROUNDS", 1), ("SHAPES", [(3, 2, 4)]), ("LENGTHS", [3])):
        monkeypatch.setattr(claims, name, value)
    monkeypatch.setattr(claims, "RESULT", tmp_path / "claims.json")
    claims.main()
    same_keys(tmp_path / "claims.json", stored)


def test_classification_writes_what_its_chapter_reads(monkeypatch, tmp_path):
    stored = classification.RESULT
    batch = torch.ones(3, 2, dtype=torch.int64), torch.tensor([3, 2]), torch.tensor([0.0, 1.0])
    monkeypatch.setattr(classification, "ROUNDS", 1)
    monkeypatch.setattr(classification, "training_batches", lambda pad_to: [batch])
    monkeypatch.setattr(classification, "RESULT", tmp_path / "classification.json")
    classification.main()
    same_keys(tmp_path / "classification.json", stored)
