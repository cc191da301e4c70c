"""The worst relative error against PyTorch of every result of every variant, as one table."""

from __future__ import annotations

import numpy as np
import pytest
from contract import TOLERANCE, assert_close, case, contract_tests, errors, run_torch_nn

SEEDS, T, N = 20, 7, 3


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
def test_table_of_errors(dtype, record_property):
    """All variants, 20 random cases each; the table stands at the end of pytest's output."""
    rows = []
    for tests in contract_tests().values():
        for layer in tests.layers:
            runs = {"autograd": tests().transcribed(layer)}
            if module := tests.torch_nn(layer):
                runs["torch.nn"] = run_torch_nn(module)
            for oracle, run in runs.items():
                worst: dict[str, float] = {}
                for seed in range(SEEDS):
                    found = errors(layer, run, case(layer, seed, dtype, T, N))
                    assert_close(found, TOLERANCE[dtype])  # NaN included, which max would lose
                    worst = {name: max(worst.get(name, 0.0), e) for name, e in found.items()}
                rows.append((_name(layer), oracle, worst))
    record_property("table", _table(rows, dtype))


def _name(layer) -> str:
    """The class, the sizes, and the choices that differ from the defaults."""
    defaults = type(layer)(layer.input_size, layer.hidden_size)
    words = [f"{type(layer).__name__}({layer.input_size}, {layer.hidden_size})"]
    for name, value in vars(layer).items():
        if value != getattr(defaults, name):
            words.append(f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}")
    return " ".join(words)


def _table(rows, dtype) -> str:
    columns = list(dict.fromkeys(name for _, _, worst in rows for name in worst))
    lines = [
        f"worst relative error against PyTorch in {np.dtype(dtype)}; "
        f"{SEEDS} random cases each, T={T}, N={N}; D and H in brackets",
        f"{'layer':52} {'against':9}" + "".join(f"{name:>13}" for name in columns),
    ]
    for layer, oracle, worst in rows:
        cells = (f"{worst[name]:13.0e}" if name in worst else f"{'':>13}" for name in columns)
        lines.append(f"{layer:52} {oracle:9}" + "".join(cells))
    return "\n".join(lines)
