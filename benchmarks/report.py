"""Tables and the plot of a result of ``python -m benchmarks``.

    python -m benchmarks.report [speed.json]

prints the tables, and renews what follows from the measurements: the summary and the plot. The
tables need the standard library alone, the plot Matplotlib.

The result is one JSON object:

``machine``, ``versions``, ``date``, ``rounds``
    What was measured with; ``machine`` and ``versions`` are objects of names and values.
``threads``
    By the number asked for ("1", "2"): what each side said it had; onnxruntime says nothing, and
    it is what it was given.
``compared``
    By cell: the module of torch.nn beside it, and how that differs from it where it does.
``cases``
    A row for each case: ``cell``, ``dtype``, ``threads``, ``pass`` ("forward" or "training", which
    is forward and backward), ``T``, ``N``, ``H`` (D = H). ``milliseconds`` holds for every
    contestant the lower quartile, median and upper quartile over the rounds, of one call; ``ratio``
    the same of ``rnn_ref`` divided by each other contestant, round by round; ``floor`` the form in
    which NumPy does each product of the floor fastest.
``memory``
    A row for each ``cell``, ``dtype``, ``T``, ``N``, ``H``: ``bytes`` held by each contestant
    between forward and backward.
``growth``
    A row for each ``cell`` and ``letter`` (T, N, H) of a sweep, one thread: ``sizes``, and by
    contestant ``milliseconds`` and ``bytes`` at each; ``exponents`` of both, over the upper half.
``summary``
    A row for each target and dtype, see ``targets``: ``figure``, ``limit``, ``verdict``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.store import SPEED, write
from benchmarks.targets import CELLS, DTYPES, geometric_mean, summary

COLUMNS = (
    "torch.nn",
    "floor",
    "TorchLayer",
    "textbook",
    "onnxruntime",
    "eager torch",
    "rnn_ref LSTM",
)
PASSES = {"training": "Training step", "forward": "Forward alone"}
# Okabe and Ito's colours, and a marker each: the lines differ without colour as well.
LOOKS = dict(
    zip(
        CELLS,
        zip(("#000000", "#0072b2", "#d55e00", "#cc79a7", "#009e73"), "osD^v", strict=True),
        strict=True,
    )
)


def tables(result: dict[str, Any]) -> str:
    """Everything, in Markdown."""
    parts = [f"{heading(result)}\n"]
    for kind, title in PASSES.items():
        for threads in result["threads"]:
            parts += [f"## {title}, threads: {threads}\n"]
            parts += ["Time of `rnn_ref` divided by that of …, geometric mean over the shapes\n"]
            parts += [means(result, kind, int(threads)), ""]
            parts += ["Milliseconds of `rnn_ref`, and divided by those of `torch.nn`\n"]
            parts += [by_shape(result, kind, int(threads)), ""]
    for title, table in (
        ("Bytes held between forward and backward, `rnn_ref` / `torch.nn`", memory_table),
        ("Growth: exponents of time and bytes, `rnn_ref` and `torch.nn`", growth_table),
        ("Targets, one thread", targets_table),
    ):
        parts += [f"## {title}\n", table(result), ""]
    return "\n".join(parts)


def heading(result: dict[str, Any]) -> str:
    """Machine, versions and date."""
    about = [f"{name}: {value}" for name, value in result["machine"].items()]
    about += [f"{name} {version}" for name, version in result["versions"].items()]
    return "; ".join([*about, result["date"], f"{result['rounds']} rounds"])


def short(result: dict[str, Any]) -> str:
    """For the README: geometric means of ``rnn_ref`` / ``torch.nn`` over the shapes, one thread."""
    columns = [(kind, dtype) for kind in PASSES for dtype in DTYPES]
    rows = []
    for cell in result["compared"]:
        of = (geometric_mean(result, cell, dtype, kind, "torch.nn") for kind, dtype in columns)
        name = f"{cell}, beside {result['compared'][cell].partition(',')[0]}"
        rows.append([name, *(f"{mean:.2f}" for mean in of)])
    return markdown(["", *(f"{PASSES[kind].lower()}, {dtype}" for kind, dtype in columns)], rows)


def means(result: dict[str, Any], kind: str, threads: int = 1) -> str:
    """``rnn_ref`` divided by every other contestant."""
    columns = [c for c in COLUMNS if any(c in r["ratio"] for r in _cases(result, kind, threads))]
    rows = []
    for cell, dtype in _kinds(result):
        of = [geometric_mean(result, cell, dtype, kind, c, threads) for c in columns]
        rows.append([cell, dtype, *map(_number, of)])
    return markdown(["cell", "dtype", *columns], rows)


def by_shape(result: dict[str, Any], kind: str, threads: int = 1) -> str:
    """A column for each shape."""
    found: dict[tuple[str, str], dict[tuple[int, int, int], str]] = {}
    for row in _cases(result, kind, threads):
        time, ratio = row["milliseconds"]["rnn_ref"][1], row["ratio"]["torch.nn"][1]
        cells = found.setdefault((row["cell"], row["dtype"]), {})
        cells[_shape(row)] = f"{_number(time)} ms, {_number(ratio)}"
    shapes = list(dict.fromkeys(_shape(row) for row in _cases(result, kind, threads)))
    rows = [[*key, *(cells.get(s, "") for s in shapes)] for key, cells in found.items()]
    return markdown(["cell", "dtype", *map(str, shapes)], rows)


def memory_table(result: dict[str, Any]) -> str:
    """Kilobytes of ours, and the ratio."""
    shapes = list(dict.fromkeys(map(_shape, result["memory"])))
    rows: dict[tuple[str, str], list[str]] = {}
    for row in result["memory"]:
        ours, theirs = row["bytes"]["rnn_ref"], row["bytes"]["torch.nn"]
        text = f"{ours / 1000:.0f} kB, {_number(ours / theirs)}"
        rows.setdefault((row["cell"], row["dtype"]), []).append(text)
    return markdown(["cell", "dtype", *map(str, shapes)], [[*k, *v] for k, v in rows.items()])


def growth_table(result: dict[str, Any]) -> str:
    """A column for each letter, of time and of bytes."""
    rows: dict[str, list[str]] = {}
    columns = []
    for quantity in ("milliseconds", "bytes"):
        for row in result["growth"]:
            exponents = row["exponents"][quantity].values()
            rows.setdefault(row["cell"], []).append(" and ".join(map(_number, exponents)))
            columns.append(f"{quantity}, {row['letter']}")
    return markdown(["cell", *dict.fromkeys(columns)], [[k, *v] for k, v in rows.items()])


def targets_table(result: dict[str, Any]) -> str:
    """Every target beside its figure."""
    rows = []
    for row in summary(result):
        sizes = [f"{k} ≥ {row[f'least_{k}']}" for k in "HN" if row[f"least_{k}"]]
        over = ", ".join([row["over"], *sizes])
        figure = f"{_number(row['figure'])} ≤ {row['limit']:g}"
        against = f"{row['quantity']} / {row['against']}"
        rows.append([row["cell"], row["dtype"], against, over, figure, row["verdict"]])
    return markdown(["cell", "dtype", "of", "over the shapes", "figure ≤ target", "verdict"], rows)


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def plot(result: dict[str, Any], path: Path) -> None:
    """Time of ``rnn_ref`` over that of ``torch.nn``, one thread: median and quartiles."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "rnn-ref", "font.size": 11}):
        figure = Figure(figsize=(9.5, 7.5), layout="constrained", facecolor="white")
        panels = figure.subplots(len(PASSES), len(DTYPES), sharex=True, sharey=True)
        for row, kind in zip(panels, PASSES, strict=True):
            for axes, dtype in zip(row, DTYPES, strict=True):
                _panel(axes, result, kind, dtype)
                axes.set_title(f"{PASSES[kind]}, {dtype}", loc="left", fontsize=11)
            row[0].set_ylabel("rnn_ref / torch.nn")
        title = "Time of rnn_ref divided by that of torch.nn: below 1, rnn_ref is faster"
        figure.suptitle(title)
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
        figure.savefig(path, metadata={"Date": None, "Title": title})


def _panel(axes: Any, result: dict[str, Any], kind: str, dtype: str) -> None:
    shapes = list(dict.fromkeys(_shape(row) for row in _cases(result, kind)))
    cells = list(result["compared"])
    for k, cell in enumerate(cells):
        rows = [r for r in _cases(result, kind) if (r["cell"], r["dtype"]) == (cell, dtype)]
        low, median, high = zip(*(r["ratio"]["torch.nn"] for r in rows), strict=True)
        bars = [
            [m - q for m, q in zip(median, low, strict=True)],
            [q - m for m, q in zip(median, high, strict=True)],
        ]
        at = [shapes.index(_shape(r)) + 0.08 * (k - (len(cells) - 1) / 2) for r in rows]
        color, marker = LOOKS[cell]
        other = result["compared"][cell].partition(",")  # what stands behind a comma differs
        label = f"{cell} (beside {other[0].removeprefix('torch.')})" if other[1] else cell
        look = {"color": color, "marker": marker, "markersize": 6, "linewidth": 1.2}
        axes.errorbar(at, median, yerr=bars, capsize=2, label=label, **look)
    axes.axhline(1.0, color="#555555", linewidth=1, zorder=0)
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xticks(range(len(shapes)), [f"T {T}\nN {N}\nH {H}" for T, N, H in shapes])
    axes.grid(axis="y", which="both", alpha=0.2)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _cases(result: dict[str, Any], kind: str, threads: int = 1) -> list[dict[str, Any]]:
    return [r for r in result["cases"] if (r["pass"], r["threads"]) == (kind, threads)]


def _kinds(result: dict[str, Any]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((row["cell"], row["dtype"]) for row in result["cases"]))


def _shape(row: dict[str, Any]) -> tuple[int, int, int]:
    return row["T"], row["N"], row["H"]


def _number(value: float | None) -> str:
    """Three digits; a dash where there is no number."""
    if value is None:
        return "–"
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Tables and plot of stored results.")
    parser.add_argument("path", type=Path, nargs="?", default=SPEED)
    path = parser.parse_args().path
    result = json.loads(path.read_text("utf-8"))
    result["summary"] = summary(result)
    write(path, result)
    plot(result, path.with_suffix(".svg"))
    print(tables(result))


if __name__ == "__main__":
    main()
