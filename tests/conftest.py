"""Runs every test of a :class:`contract.Contract` once for each layer that its class lists."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the arrays are tiny: threads would only wait

import pytest
from hypothesis import settings

settings.register_profile("book", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("book")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Fill the arguments ``layer`` and ``torch_layer`` from the class attribute ``layers``."""
    layers = getattr(metafunc.cls, "layers", None)
    if layers is None:
        return
    if "layer" in metafunc.fixturenames:
        metafunc.parametrize("layer", layers, ids=metafunc.cls.describe)
    if "standard" in metafunc.fixturenames:
        standard = [layer for layer in layers if metafunc.cls.torch_nn(layer) is not None]
        metafunc.parametrize("standard", standard, ids=metafunc.cls.describe)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what tests recorded as "table", and the count of mutants; works under xdist too."""
    passed = terminalreporter.stats.get("passed", [])
    for report in passed:
        for name, value in report.user_properties:
            if name == "table":
                terminalreporter.write_line(f"\n{value}")
    killed = [report for report in passed if "test_mutant_is_killed" in report.nodeid]
    failed = terminalreporter.stats.get("failed", [])
    alive = [report for report in failed if "test_mutant_is_killed" in report.nodeid]
    if killed or alive:
        total = len(killed) + len(alive)
        terminalreporter.write_line(f"\nmutants of rnn_ref killed: {len(killed)} of {total}")
