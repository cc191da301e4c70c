"""Execute, normalise and check the book's notebooks.

    python tools/notebooks.py run chapters/*.ipynb     execute in place, normalise
    python tools/notebooks.py fix chapters/*.ipynb     normalise only
    python tools/notebooks.py check chapters/*.ipynb   fail if anything is off

``run`` twice gives the same bytes. ``check`` executes nothing: it finds what neither the book's
build nor the comparison of outputs would notice.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode, reader, v4
from nbformat.validator import iter_validate

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
CELL_METADATA = {"tags", "mystnb"}
IMAGES = {"image/svg+xml", "image/png", "image/jpeg"}
PLAYER = '<div class="player"'  # how a figure begins that is played: HTML, not an image
# Characters in one output: a page of text, a figure of a few thousand points, one that is played.
MAX_TEXT, MAX_IMAGE, MAX_PLAYER = 25_000, 400_000, 60_000
UNSTABLE = re.compile(r"0x[0-9a-f]{6,}|/(home|tmp|root|Users)/|[A-Z]:\\Users\\")
ENVIRONMENT = re.compile(
    r"^\s*\\begin\{(align|equation|gather|multline|eqnarray|alignat)\*?\}", re.M
)
MATH_BLOCK = re.compile(r"^\s*(`{3,}|:{3,})\{math\}.*?^\s*\1|\$\$.*?\$\$", re.M | re.S)


def normalise(nb: NotebookNode) -> NotebookNode:
    """Keep what the book needs and drop what changes from run to run."""
    nb.metadata = NotebookNode(kernelspec=KERNEL, language_info={"name": "python"})
    nb.nbformat, nb.nbformat_minor = 4, 5
    for number, cell in enumerate(nb.cells, 1):
        kept = {k: v for k, v in cell.metadata.items() if k in CELL_METADATA and v}
        cell.metadata = NotebookNode(kept)
        cell.source = "\n".join(line.rstrip() for line in cell.source.strip("\n").split("\n"))
        if not cell.get("id"):
            cell["id"] = f"c{number:03d}"
        if cell.cell_type == "code":
            cell.outputs = _merged(cell.outputs)
    return nb


def _merged(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join what was printed in several pieces; how many depends on timing."""
    merged: list[NotebookNode] = []
    for out in outputs:
        if out.output_type in ("display_data", "execute_result"):
            out.metadata = NotebookNode({k: v for k, v in out.metadata.items() if k == "scrapbook"})
        same = merged and out.output_type == "stream" == merged[-1].output_type
        if same and out.name == merged[-1].name:
            merged[-1].text += out.text
        else:
            merged.append(out)
    return merged


def text(nb: NotebookNode) -> str:
    return v4.writes(nb) + "\n"


def run(path: Path, timeout: int) -> list[str]:
    """Execute a notebook and write it back; one that fails stays as it was."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError

    nb = nbformat.read(path, as_version=4)
    client = NotebookClient(
        nb,
        timeout=timeout,
        kernel_name="python3",
        record_timing=False,
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(path.parent)}},
    )
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError) as error:
        return [re.sub(r"\x1b\[[0-9;]*m", "", str(error))]  # without the terminal's colours
    path.write_text(text(normalise(nb)), encoding="utf-8")
    return []


def fix(path: Path) -> list[str]:
    path.write_text(text(normalise(nbformat.read(path, as_version=4))), encoding="utf-8")
    return []


def check(path: Path) -> list[str]:
    raw = path.read_text(encoding="utf-8")
    nb = reader.reads(raw)  # nbformat.reads would mend some of what is to be found
    found = [f"invalid: {error.message}" for error in iter_validate(nb)]
    first = nb.cells[0] if nb.cells else None
    if first is None or first.cell_type != "markdown" or not first.source.startswith("# "):
        found.append("the first cell is not a level-1 heading")
    ids = [cell.get("id", "") for cell in nb.cells]
    if len(set(ids)) != len(ids):
        found.append("two cells share an id")
    executed = 0
    for number, cell in enumerate(nb.cells):
        where = f"cell {number} (id {cell.get('id')})"
        if cell.cell_type == "code":
            executed += 1
            found += [f"{where}: {problem}" for problem in _code_problems(cell, executed)]
        elif cell.cell_type == "markdown":
            outside = MATH_BLOCK.sub("", cell.source)
            for match in ENVIRONMENT.finditer(outside):
                found.append(
                    f"{where}: bare {match[0].strip()}; use a {{math}} block with a :label:"
                )
    if raw != text(normalise(nb)):
        found.append("not normalised; run: python tools/notebooks.py fix")
    return found


def _code_problems(cell: NotebookNode, expected_count: int) -> Iterator[str]:
    tags = cell.metadata.get("tags", [])
    if not cell.source.strip():
        yield "empty"
    if cell.execution_count != expected_count:
        yield f"execution_count {cell.execution_count}, expected {expected_count}; run it"
    if cell.source.rstrip().endswith(";"):
        yield "ends with ';', which a comparison of outputs does not honour"
    for out in cell.outputs:
        if out.output_type == "error" and "raises-exception" not in tags:
            yield f"stored error {out.ename}"
        if out.output_type == "stream" and out.name == "stderr":
            yield "stored stderr"
        data = out.get("data", {})
        if UNSTABLE.search(out.get("text", "") + data.get("text/plain", "")):
            yield "output shows an address or a local path"
        played = data.get("text/html", "").startswith(PLAYER)
        for kind, value in [("text", out.get("text", "")), *data.items()]:
            most = MAX_IMAGE if kind in IMAGES else MAX_PLAYER if played else MAX_TEXT
            if len(value) > most:
                yield f"output {kind} of {len(value)} characters"
        hidden = {"remove-cell", "remove-output"} & set(tags)
        if (IMAGES & set(data) or played) and not hidden:
            shown = cell.metadata.get("mystnb", {})
            # book.play asks for the alternative text itself
            if not (shown.get("image", {}).get("alt", "").strip() or played):
                yield "figure without alternative text"
            if not shown.get("figure", {}).get("caption", "").strip():
                yield "figure without caption"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["run", "fix", "check"])
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--timeout", type=int, default=600, help="seconds for one cell")
    args = parser.parse_args()
    bad = 0
    for path in args.paths:
        if args.command == "run":
            print(f"  {path} ...", end="", flush=True)
            start = time.monotonic()
            found = run(path, args.timeout)
            print(
                f" {'failed after ' if found else ''}{time.monotonic() - start:.1f} s", flush=True
            )
        else:
            found = fix(path) if args.command == "fix" else check(path)
        bad += len(found)
        for line in found:
            print(f"{path}: {line}")
    if args.command == "check":
        print(f"{len(args.paths)} notebooks, {bad} problems")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
