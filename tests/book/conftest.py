"""Lets the tests import ``book``, which the chapters find beside them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "chapters"))
