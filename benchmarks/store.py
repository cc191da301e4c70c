"""Where results lie, and how they are written. Standard library alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
SPEED = RESULTS / "speed.json"


def write(path: Path, result: dict[str, Any]) -> None:
    """Write a result, one row of a table on a line."""
    entries = []
    for key, value in result.items():
        text = json.dumps(value, ensure_ascii=False)
        if isinstance(value, list) and value:
            rows = [json.dumps(row, ensure_ascii=False) for row in value]
            text = "[\n    " + ",\n    ".join(rows) + "\n  ]"
        entries.append(f"  {json.dumps(key)}: {text}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{\n" + ",\n".join(entries) + "\n}\n", encoding="utf-8")
