"""The long-lag tasks of the literature: what they give, what they ask, and what forgetting earns.

Each generator returns an :class:`Episodes`. Each comes with the score of the best answer that does
not remember, because a score says nothing without it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np


class Episodes(NamedTuple):
    """A batch of sequences with their questions; only ``target[counts]`` is asked for.

    Attributes
    ----------
    x
        Input, float64, shape (T, N, D).
    target
        The answer, shape (T, N) for a number (float64) or one class (int64), or (T, N, K) for a set
        of classes (bool). 0 or False where nothing is asked.
    counts
        Where the answer counts, bool, shape (T, N).
    """

    x: np.ndarray
    target: np.ndarray
    counts: np.ndarray


class Strings(NamedTuple):
    """Strings of a grammar, a symbol a step; what :func:`embedded_reber` returns.

    Attributes
    ----------
    x, target, counts
        As in :class:`Episodes`; the target is the index of the next symbol. Shorter strings are
        filled up with zeros at the end, where nothing counts.
    legal
        The symbols that the grammar allows next, bool, shape (T, N, 7).
    outer
        The one step of each string where the answer lies before the inner string, bool, (T, N).
    """

    x: np.ndarray
    target: np.ndarray
    counts: np.ndarray
    legal: np.ndarray
    outer: np.ndarray


def adding(rng: np.random.Generator, steps: int, batch_size: int) -> Episodes:
    """The adding problem: the sum of the two marked numbers, asked after the last step.

    Hochreiter and Schmidhuber (1997), in the form used since (Le et al. 2015, Arjovsky et al.
    2016): numbers uniform in [0, 1), markers 0 or 1, one in each half, the sum itself as target,
    one length. The form of 1997 draws numbers from [-1, 1], marks one of the first ten pairs and
    another of the first T/2 - 1, puts -1 at both ends, asks for 0.5 + sum / 4, varies the length by
    a tenth, and counts an answer as correct within 0.04.

    The first number is at least ``steps - steps // 2`` steps before the end: whoever sees only
    that many of the last steps errs by :data:`ADDING_WITHOUT_FIRST` at best.

    Returns
    -------
    Episodes
        D = 2, the number and the marker. A target of shape (T, N) that counts at the last step.
    """
    if steps < 2:
        raise ValueError(f"steps: expected at least 2, got {steps}")
    half, rows = steps // 2, np.arange(batch_size)
    numbers = rng.uniform(0, 1, (steps, batch_size))
    first = rng.integers(0, half, batch_size)
    second = rng.integers(half, steps, batch_size)
    markers = np.zeros((steps, batch_size))
    markers[first, rows] = markers[second, rows] = 1
    answer = numbers[first, rows] + numbers[second, rows]
    return _asked_last(np.stack([numbers, markers], axis=-1), answer)


#: Mean squared error of the best constant answer to :func:`adding`, 1: the variance of a sum of two
#: uniform numbers. Printed in the literature as 0.167 and as 0.1767.
ADDING_BASELINE = 1 / 6
#: The best that is possible in :func:`adding` without the first number.
ADDING_WITHOUT_FIRST = 1 / 12


def copying(
    rng: np.random.Generator, lag: int, batch_size: int, length: int = 10, symbols: int = 8
) -> Episodes:
    """The copy task: repeat a word when the signal comes, ``lag`` steps after its end.

    The form of Arjovsky et al. (2016): a word of ``length`` random symbols, ``lag - 1`` blanks, a
    signal, then ``length`` blanks while the network answers; 2 ``length`` + ``lag`` steps. The
    target is blank at all steps but the last ``length``, then the word. The signal is the input one
    step before the first letter is due. Every step counts; the word alone is asked for where
    ``target < symbols``.

    Returns
    -------
    Episodes
        D = symbols + 2, one-hot: the symbols, the blank, the signal. The target is an index, and
        the blank's is ``symbols``.
    """
    if lag < 1:
        raise ValueError(f"lag: expected at least 1, got {lag}")
    steps = 2 * length + lag
    word = rng.integers(0, symbols, (length, batch_size))
    codes = np.full((steps, batch_size), symbols)
    codes[:length] = word
    codes[length + lag - 1] = symbols + 1
    target = np.full((steps, batch_size), symbols)
    target[-length:] = word
    return Episodes(np.eye(symbols + 2)[codes], target, np.full(target.shape, True))


def copying_baseline(lag: int, length: int = 10, symbols: int = 8) -> float:
    """Cross-entropy a step of the best answer to :func:`copying` that does not remember the word.

    It knows when the word is due, and there gives each symbol the same probability:
    length log(symbols) / (2 length + lag), in nats.
    """
    return length * float(np.log(symbols)) / (2 * length + lag)


#: The symbols of :func:`temporal_order`, in the order of its inputs.
ORDER_SYMBOLS = "EBabcdXY"
#: Share of right answers to :func:`temporal_order` without either of the two symbols.
ORDER_BASELINE = 1 / 4
#: And with the second symbol only.
ORDER_WITHOUT_FIRST = 1 / 2


def temporal_order(rng: np.random.Generator, steps: int, batch_size: int) -> Episodes:
    """Temporal order: which of XX, XY, YX, YY occurred in a long row of other letters.

    Hochreiter and Schmidhuber (1997), experiment 6a: E, then letters drawn from a, b, c, d,
    and B at the end; an X or a Y at a place t1 and another at t2. There the length is 100 to 110,
    t1 is 10 to 20 and t2 is 50 to 60. Here the length is fixed and the places keep its proportions:
    t1 in [T/10, T/5] and t2 in [T/2, 3T/5], counted from 0, ends rounded down. So the second symbol
    is at least 2T/5 - 1 steps before the end, the first at least 4T/5 - 1.

    Returns
    -------
    Episodes
        D = 8, one-hot in the order of :data:`ORDER_SYMBOLS`. The target, 2 [first is Y] + [second
        is Y], counts at the last step.
    """
    if steps < 10:
        raise ValueError(f"steps: expected at least 10, got {steps}")
    rows = np.arange(batch_size)
    codes = rng.integers(2, 6, (steps, batch_size))
    codes[0], codes[-1] = 0, 1
    first = rng.integers(steps // 10, steps // 5 + 1, batch_size)
    second = rng.integers(steps // 2, 3 * steps // 5 + 1, batch_size)
    is_y = rng.integers(0, 2, (2, batch_size))
    codes[first, rows] = 6 + is_y[0]
    codes[second, rows] = 6 + is_y[1]
    return _asked_last(np.eye(8)[codes], 2 * is_y[0] + is_y[1])


#: The symbols of :func:`embedded_reber`, in the order of its inputs and classes.
REBER_SYMBOLS = "BTPSXVE"
#: Share of right answers at the step ``outer`` of :func:`embedded_reber` without the second symbol.
REBER_BASELINE = 1 / 2
# A node of Reber's graph, between B and E: what may follow, and where it leads; 5 is the last node.
_REBER = ({"T": 1, "P": 2}, {"S": 1, "X": 3}, {"T": 2, "V": 4}, {"X": 2, "S": 5}, {"P": 3, "V": 5})


def embedded_reber(
    rng: np.random.Generator, batch_size: int, shortest: int = 0, longest: int | None = None
) -> Strings:
    """Strings of the embedded Reber grammar: predict the next symbol.

    Hochreiter and Schmidhuber (1997), experiment 1, after Cleeremans et al. (1989): B, then T or P,
    then a whole string of Reber's own grammar (B ... E, at least 5 symbols), then the same T or P
    again, then E. Where the graph forks, both ways have probability 1/2. At most two symbols are
    legal at a step, and the last three symbols tell which, except at the step ``outer``: it asks
    for the second symbol of the string. There 1997 counts a string as right if at every step the
    legal symbols are the ones with the highest outputs.

    Parameters
    ----------
    rng
        Where the strings come from; each is drawn anew, so a batch can hold equal ones.
    batch_size
        N.
    shortest, longest
        Bounds of the inner string's length: others are drawn again. Its length is the number of
        steps between the second symbol and the question for it.
    """
    if longest is not None and longest < max(shortest, 5):
        raise ValueError(f"longest: expected at least {max(shortest, 5)}, got {longest}")
    drawn = []
    while len(drawn) < batch_size:
        inner, ways = _reber(rng)
        if shortest <= len(inner) and (longest is None or len(inner) <= longest):
            frame = "TP"[rng.integers(2)]
            outer = ["TP", "B", *ways, frame, "E", ""]  # legal after each symbol
            drawn.append((f"B{frame}{inner}{frame}E", outer))
    steps = max(len(string) for string, _ in drawn) - 1  # nothing follows the last symbol
    x = np.zeros((steps, batch_size, 7))
    target = np.zeros((steps, batch_size), np.int64)
    counts, outer = np.zeros((2, steps, batch_size), bool)
    legal = np.zeros((steps, batch_size, 7), bool)
    for k, (string, after) in enumerate(drawn):
        codes = [REBER_SYMBOLS.index(symbol) for symbol in string]
        end = len(codes) - 1
        x[np.arange(end), k, codes[:-1]] = 1
        target[:end, k] = codes[1:]
        counts[:end, k] = True
        outer[end - 2, k] = True
        for t in range(end):
            legal[t, k, [REBER_SYMBOLS.index(symbol) for symbol in after[t]]] = True
    return Strings(x, target, counts, legal, outer)


def _reber(rng: np.random.Generator) -> tuple[str, list[str]]:
    """A string of Reber's grammar, and the symbols that are legal after each but the last."""
    string, ways, node = "B", [], 0
    while node < 5:
        legal = "".join(_REBER[node])
        ways.append(legal)
        string += legal[rng.integers(2)]
        node = _REBER[node][string[-1]]
    return string + "E", [*ways, "E"]


def counting(numbers: Iterable[int], letters: Literal["ab", "abc"] = "ab") -> Episodes:
    r"""The language :math:`a^n b^n`, or :math:`a^n b^n c^n`: which symbols may come next.

    Gers and Schmidhuber (2001): a string is preceded by the symbol S and followed by T, and at each
    step the network names all legal next symbols. After S that is a (here n is at least 1), after
    an a it is a or b, after a b it is b, until as many as the a's were read: then c, or T. A string
    is accepted if no step is wrong. Training there uses small n, such as 1 to 10, testing larger n.
    Nothing is random, so there is no ``rng``.

    Parameters
    ----------
    numbers
        The n of each string, one or more, 1 or larger.
    letters
        "ab" or "abc".

    Returns
    -------
    Episodes
        D = letters + 1, one-hot: the letters, then S. The target is a set, K = letters + 1: the
        letters, then T. Strings shorter than the longest are followed by zeros that do not count.
    """
    numbers = np.array(list(numbers))
    if numbers.size == 0 or numbers.min() < 1:
        raise ValueError(f"numbers: expected one or more, all 1 or larger, got {numbers.tolist()}")
    K = len(letters)
    steps = K * numbers.max() + 1
    x = np.zeros((steps, len(numbers), K + 1))
    target = np.zeros(x.shape, bool)
    counts = np.arange(steps)[:, None] <= K * numbers
    for k, n in enumerate(numbers):
        codes = np.repeat(np.arange(K), n)
        x[0, k, K] = 1
        x[np.arange(1, K * n + 1), k, codes] = 1
        target[np.arange(K * n), k, codes] = True
        target[1 : n + 1, k, :2] = True  # after an a: another, or the first b
        target[K * n, k, K] = True
    return Episodes(x, target, counts)


def _asked_last(x: np.ndarray, answer: np.ndarray) -> Episodes:
    """One question, after the last step."""
    target, counts = np.zeros(x.shape[:2], answer.dtype), np.zeros(x.shape[:2], bool)
    target[-1], counts[-1] = answer, True
    return Episodes(x, target, counts)
