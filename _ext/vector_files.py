"""The test vectors, written into ``_static/vectors``, and once more as one archive."""

from __future__ import annotations

import importlib
import zipfile
from pathlib import Path

from sphinx.application import Sphinx


def write_vectors(app: Sphinx, error: Exception | None) -> None:
    """Write the files that chapter ``vectors`` links to; the same bytes in every build.

    Computing them takes nine seconds: only where the package is newer than what is there.
    """
    if error is not None or app.builder.format != "html":
        return
    folder = Path(app.outdir) / "_static" / "vectors"
    target, vectors = folder / "vectors.zip", importlib.import_module("rnn_ref.vectors")
    sources = [Path(__file__), *Path(vectors.__file__).parent.rglob("*.py")]
    if target.exists() and target.stat().st_mtime > max(p.stat().st_mtime for p in sources):
        return
    files = vectors.write(folder)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in files:
            entry = zipfile.ZipInfo(f"vectors/{path.name}", (1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, path.read_bytes())


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", write_vectors)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
