"""What the chapters share to show things: the style of figures, listings and diagrams of cells.

use_book_style()
    Give all figures that follow the book's look.
COLORS
    The colour of each quantity ("i", "f", "g", "o", "c", "h", "r", "z", "n", "m") and each model.
show_source(GRU.step, ...)
    Display the package's own source as a listing whose labels link to the equations.
draw_cell("lstm", peephole=True)
    One step of a cell, or of a variant as an edit of it.
draw_idea()
    A GRU in which one equation stands out, and in it one quantity.
draw_legend()
    The symbols of all these diagrams.
draw_unrolled("elman", steps=3, task="many-to-one")
    A cell over time, with the inputs and outputs of a task.
draw_vrnn("encoder")
    One step of the variational RNN, or one of its four parts with the rest faded.
draw_layers("bidirectional", steps=3)
    Two layers over time: one above the other, or one from each end.
draw_backward(steps=3)
    Backpropagation through time on the unrolled Elman network.
play(cache, reads, alt=...)
    A cell's diagram with the values of one step, and a slider over the steps of a sequence.
jfk_temperature()
    Times and hourly temperatures of a year at an airport, as recorded.
digit_images()
    Handwritten digits of 8 by 8 pixels.
word_list("da")
    The words of a language, the most frequent first.
adding(rng, steps, batch_size), copying, temporal_order, embedded_reber, counting
    The long-lag tasks of the literature; module book.tasks has the scores of the forgetful.
planted(LSTM, "np.add(dc_next, v,", "np.add(0.0, v,"), show_edit(...)
    A layer whose backward is the package's own with a mistake in one line, and that line.

The drawing functions return a Matplotlib figure, ``play`` returns HTML: let it be the last value of
a code cell.
"""

from .data import digit_images, jfk_temperature, word_list
from .diagrams import (
    draw_backward,
    draw_cell,
    draw_idea,
    draw_layers,
    draw_legend,
    draw_unrolled,
    draw_vrnn,
)
from .planting import planted, show_edit
from .player import play
from .source import show_source
from .style import COLORS, use_book_style
from .tasks import adding, copying, counting, embedded_reber, temporal_order

__all__ = [
    "COLORS",
    "adding",
    "copying",
    "counting",
    "digit_images",
    "draw_backward",
    "draw_cell",
    "draw_idea",
    "draw_layers",
    "draw_legend",
    "draw_unrolled",
    "draw_vrnn",
    "embedded_reber",
    "jfk_temperature",
    "planted",
    "play",
    "show_edit",
    "show_source",
    "temporal_order",
    "use_book_style",
    "word_list",
]
