"""One look for every figure: the same bytes on every run, legible on a phone and in the dark."""

from __future__ import annotations

import matplotlib as mpl

INK = "#262626"

# A quantity keeps its colour through the whole book. The hues start from Okabe and Ito's; they were
# moved until all six differ clearly (CIE76 distance of at least 20) for normal sight, protanopia,
# deuteranopia and tritanopia, on paper and after the dark theme's `invert(0.9) hue-rotate(180deg)`,
# with a contrast of at least 3.5 to either ground.
COLORS = {
    "i": "#6258ff",  # input gate
    "f": "#c06812",  # forget gate
    "g": "#1f975e",  # candidate
    "o": "#a76498",  # output gate
    "c": "#023f90",  # cell state
    "h": INK,  # hidden state
}
# The GRU's letters take over the colour of what plays their part in the LSTM: z keeps as f does, r
# decides how much of the state is let out as o does, n is the candidate, m the state's share of it.
COLORS |= {"z": COLORS["f"], "r": COLORS["o"], "n": COLORS["g"], "m": COLORS["c"]}
# Whole models beside each other.
COLORS |= {"elman": INK, "lstm": COLORS["c"], "gru": COLORS["f"]}


def use_book_style() -> None:
    """Give all figures that follow the book's look; a chapter's first cell calls it."""
    mpl.rcParams.update(
        {
            # A phone shows a figure of 6 inches at 350 pixels, and then 12 points are 9 pixels.
            "figure.figsize": (6.0, 3.2),
            "figure.constrained_layout.use": True,
            "font.size": 12,
            "axes.titlesize": 12,
            "axes.titlelocation": "left",
            "legend.fontsize": 11,
            "legend.frameon": False,
            "legend.handlelength": 1.4,
            "mathtext.fontset": "cm",  # what MathJax sets the equations in
            "axes.prop_cycle": mpl.cycler(color=[COLORS[name] for name in "cfgoih"]),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.linewidth": 0.9,
            "lines.linewidth": 1.8,
            # Everything that is not data is ink, and there is no ground to clash with a theme's.
            "text.color": INK,
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "grid.color": INK,
            "grid.alpha": 0.15,
            "figure.facecolor": "none",
            "axes.facecolor": "none",
            "savefig.facecolor": "none",
            # Ids in the file come from a fixed salt, not from chance; text is drawn as outlines.
            "svg.hashsalt": "rnn-ref",
            "svg.fonttype": "path",
        }
    )
    if _in_notebook():
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg", metadata={"Date": None}, facecolor="none")


def _in_notebook() -> bool:
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return get_ipython() is not None
