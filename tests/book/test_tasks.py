"""The long-lag tasks: each question has its answer in x, and no short window has it."""

import re

import numpy as np
import pytest
from book import tasks
from book.tasks import (
    ADDING_BASELINE,
    ADDING_WITHOUT_FIRST,
    ORDER_BASELINE,
    ORDER_SYMBOLS,
    ORDER_WITHOUT_FIRST,
    REBER_BASELINE,
    REBER_SYMBOLS,
    adding,
    copying,
    copying_baseline,
    counting,
    embedded_reber,
    temporal_order,
)

N = 4000
DRAWN = {
    "adding": lambda rng: adding(rng, 21, 30),
    "copying": lambda rng: copying(rng, 7, 30),
    "temporal_order": lambda rng: temporal_order(rng, 20, 30),
    "embedded_reber": lambda rng: embedded_reber(rng, 30),
    "counting": lambda rng: counting(range(1, 9)),
}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("name", DRAWN)
def test_shapes_and_types(name):
    made = DRAWN[name](np.random.default_rng(3))
    T, N, _ = made.x.shape
    assert made.x.dtype == np.float64
    assert made.counts.dtype == bool and made.counts.shape == (T, N)
    assert made.target.shape[:2] == (T, N)
    assert made.counts.any(axis=0).all(), "every sequence is asked something"
    assert not made.target[~made.counts].any()


@pytest.mark.parametrize("name", DRAWN)
def test_the_generator_decides(name):
    first, again, other = (DRAWN[name](np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    same = first.x.shape == other.x.shape and np.array_equal(first.x, other.x)
    assert same == (name == "counting")


@pytest.mark.parametrize("steps", [2, 3, 20, 51])
def test_adding_is_solved_by_adding(rng, steps):
    made = adding(rng, steps, N)
    numbers, markers = np.moveaxis(made.x, -1, 0)
    assert np.allclose((numbers * markers).sum(0), made.target[-1], rtol=0, atol=1e-15)
    assert made.counts[-1].all() and not made.counts[:-1].any()
    assert numbers.min() >= 0 and numbers.max() < 1
    assert ((markers == 0) | (markers == 1)).all()
    assert (markers[: steps // 2].sum(0) == 1).all() and (markers[steps // 2 :].sum(0) == 1).all()
    assert (markers.sum(1) > 0).all(), "every place gets marked"


def test_adding_without_memory(rng):
    made = adding(rng, 20, 200_000)
    answer = made.target[-1]
    assert abs(answer.mean() - 1) < 0.01
    assert abs(np.mean((answer - 1) ** 2) - ADDING_BASELINE) < 0.002
    # The best answer from the second half knows the second number and nothing of the first.
    numbers, markers = np.moveaxis(made.x[10:], -1, 0)
    second = (numbers * markers).sum(0)
    assert abs(np.mean((answer - second - 0.5) ** 2) - ADDING_WITHOUT_FIRST) < 0.001
    # What is left is independent of all that a window of the second half shows.
    seen = np.concatenate([numbers, markers])
    left = answer - second
    gap = max(abs(np.corrcoef(left, row)[0, 1]) for row in seen)
    assert gap < 0.012  # five standard deviations


@pytest.mark.parametrize(("lag", "length", "symbols"), [(1, 10, 8), (30, 10, 8), (5, 3, 2)])
def test_copying_is_solved_by_copying(rng, lag, length, symbols):
    made = copying(rng, lag, 200, length, symbols)
    assert len(made.x) == 2 * length + lag
    assert np.array_equal(made.x.sum(-1), np.ones(made.target.shape))
    codes = made.x.argmax(-1)
    signal = (codes == symbols + 1).argmax(0)
    assert (signal == length + lag - 1).all() and ((codes == symbols + 1).sum(0) == 1).all()
    expected = np.full_like(codes, symbols)
    for k in range(200):
        expected[signal[k] + 1 :, k] = codes[:length, k]
    assert np.array_equal(expected, made.target)
    assert (codes[length : length + lag - 1] == symbols).all()
    assert (codes[-length:] == symbols).all(), "nothing to copy from while it answers"
    assert set(np.unique(codes[:length])) == set(range(symbols))
    assert made.counts.all()
    # The k-th letter of the word is asked for length + lag steps after it was shown.
    assert np.array_equal(made.target[length + lag :], codes[:length])


def test_copying_without_memory(rng):
    """The cross-entropy of the memoryless answer, computed on a batch."""
    for lag, length, symbols in ((100, 10, 8), (5, 3, 2)):
        made = copying(rng, lag, 50, length, symbols)
        answer = np.zeros((*made.target.shape, symbols + 1))
        answer[:-length, :, symbols] = 1
        answer[-length:, :, :symbols] = 1 / symbols
        right = np.take_along_axis(answer, made.target[..., None], axis=-1)
        assert np.isclose(-np.log(right).mean(), copying_baseline(lag, length, symbols))
    assert np.isclose(copying_baseline(100), 10 * np.log(8) / 120)
    # Uniform is the best there: letters are equally frequent and independent of each other.
    word = copying(rng, 4, 50_000).x[:10].argmax(-1)
    pair = np.bincount(8 * word[0] + word[9], minlength=64) / 50_000
    assert np.abs(pair - 1 / 64).max() < 5 * np.sqrt(1 / 64 / 50_000)


@pytest.mark.parametrize("steps", [10, 37, 100])
def test_temporal_order_is_solved_by_reading(rng, steps):
    made = temporal_order(rng, steps, N)
    assert np.array_equal(made.x.sum(-1), np.ones((steps, N)))
    codes = made.x.argmax(-1)
    strings = ["".join(ORDER_SYMBOLS[c] for c in row) for row in codes.T]
    classes = ["XX", "XY", "YX", "YY"]
    found = [classes.index(re.sub("[^XY]", "", s)) for s in strings]
    assert np.array_equal(found, made.target[-1])
    assert all(re.fullmatch("E[abcdXY]*B", s) for s in strings)
    places = np.array([[m.start() for m in re.finditer("[XY]", s)] for s in strings])
    assert places.min(0).tolist() == [steps // 10, steps // 2]
    assert places.max(0).tolist() == [steps // 5, 3 * steps // 5]
    assert made.counts[-1].all() and not made.counts[:-1].any()


def test_temporal_order_has_the_places_of_1997(rng):
    is_sign = temporal_order(rng, 100, N).x[..., 6:].any(axis=(1, 2))
    assert np.array_equal(np.flatnonzero(is_sign), [*range(10, 21), *range(50, 61)])


def test_temporal_order_without_memory(rng):
    """Each half of the string leaves two classes, and they are equally likely."""
    made = temporal_order(rng, 20, 40_000)
    share = np.bincount(made.target[-1], minlength=4) / 40_000
    bound = 5 * np.sqrt(0.25 / 40_000)
    assert np.abs(share - ORDER_BASELINE).max() < bound
    second = made.x[10:, :, 7].any(axis=0)
    for is_y in (False, True):
        first = made.target[-1, second == is_y] // 2
        assert abs(first.mean() - ORDER_WITHOUT_FIRST) < 2 * bound
    # No symbol of the second half goes with the first sign.
    left = made.target[-1] // 2
    inside = made.x[10:19].reshape(-1, 40_000, 8)[..., 2:]
    for t in range(9):
        for code in range(6):
            there = inside[t, :, code] > 0
            if there.any():
                assert abs(left[there].mean() - 0.5) < 5 * 0.5 / np.sqrt(there.sum())


# Reber's grammar again, as a regular expression: the upper and the lower half of the graph.
# From the middle node 2 one leaves by V to 4; from 4 by V out, or by P to 3; from 3 by S out, or
# by X to 2. "M" is all that can happen from node 2 on.
MIDDLE = "T*V(PXT*V)*(V|PS)"
REBER = f"B(TS*X(S|X{MIDDLE})|P{MIDDLE})E"
EMBEDDED = re.compile(f"B([TP]){REBER}\\1E")
# Printed examples, https://cnl.salk.edu/~schraudo/teach/NNcourse/reber.html
GOOD = ["BTSSXXTVVE", "BPVVE", "BTXXVPSE", "BPVPXVPXVPXVVE", "BTSXXVPSE"]
BAD = ["BTSSPXSE", "BPTVVB", "BTXXVVSE", "BPVSPSE", "BTSSSE"]


def as_strings(made):
    """The strings again, their last symbol taken from the target."""
    ends, x = made.counts.sum(0), made.x.argmax(-1)
    for k, end in enumerate(ends):
        codes = [*x[:end, k], made.target[end - 1, k]]
        yield "".join(REBER_SYMBOLS[c] for c in codes)


def test_the_judge_of_the_grammar():
    assert all(re.fullmatch(REBER, s) for s in GOOD)
    assert not any(re.fullmatch(REBER, s) for s in BAD)


def test_reber_strings_belong_to_the_grammar(rng):
    strings = list(as_strings(embedded_reber(rng, N)))
    assert all(EMBEDDED.fullmatch(s) for s in strings)
    assert min(map(len, strings)) == 9
    inner = {s[2:-2] for s in strings}
    assert {"BTXSE", "BPVVE", *GOOD} - {"BPVPXVPXVPXVVE"} <= inner
    # And a swapped frame, or any two different neighbours exchanged in it, does not.
    for s in strings[:300]:
        other = "T" if s[-2] == "P" else "P"
        assert not EMBEDDED.fullmatch(f"{s[:-2]}{other}E")
        assert not EMBEDDED.fullmatch(f"{s[0]}{other}{s[2:]}")
        assert not EMBEDDED.fullmatch(f"{s[1]}{s[0]}{s[2:]}")
        assert not EMBEDDED.fullmatch(f"{s[:-2]}{s[-1]}{s[-2]}")


def test_reber_targets_and_legal_symbols(rng):
    made = embedded_reber(rng, 500)
    strings = list(as_strings(made))
    pool = set(as_strings(embedded_reber(rng, 20_000)))
    continues = {}
    for s in pool | set(strings):
        for t in range(1, len(s)):
            continues.setdefault(s[:t], set()).add(s[t])
    for k, s in enumerate(strings):
        for t in range(len(s) - 1):
            legal = {REBER_SYMBOLS[c] for c in np.flatnonzero(made.legal[t, k])}
            assert s[t + 1] in legal
            assert continues[s[: t + 1]] <= legal
            if t < 6:  # frequent beginnings have shown all of their continuations
                assert continues[s[: t + 1]] == legal
            assert made.target[t, k] == REBER_SYMBOLS.index(s[t + 1])
    ends = made.counts.sum(0)
    assert (made.counts == (np.arange(len(made.x))[:, None] < ends)).all()
    assert np.array_equal(made.x.sum(-1), made.counts)
    assert np.array_equal(made.outer.sum(0), np.ones(500))
    assert np.array_equal(made.outer.argmax(0), ends - 2)
    assert np.array_equal(made.legal[made.outer].sum(-1), np.ones(500))


def test_reber_forks_are_fair(rng):
    made = embedded_reber(rng, N)
    forks = made.counts & (made.legal.sum(-1) == 2)
    assert made.legal[made.counts].sum(-1).max() == 2
    chosen = made.target[forks]
    first_legal = made.legal[forks].argmax(-1)
    assert abs((chosen == first_legal).mean() - 0.5) < 5 * 0.5 / np.sqrt(forks.sum())


def test_reber_without_memory(rng):
    """The inner string says nothing about the frame."""
    made = embedded_reber(rng, 20_000)
    strings = list(as_strings(made))
    asked = made.target[made.outer]
    assert set(np.unique(asked)) == {REBER_SYMBOLS.index("T"), REBER_SYMBOLS.index("P")}
    frame = np.array([s[1] == "T" for s in strings])
    assert [REBER_SYMBOLS[c] for c in made.target.T[made.outer.T]] == [s[-2] for s in strings]
    inner = np.array([s[2:-2] for s in strings])
    for common, number in zip(*np.unique(inner, return_counts=True), strict=True):
        if number > 200:
            share = frame[inner == common].mean()
            assert abs(share - REBER_BASELINE) < 5 * 0.5 / np.sqrt(number)


def test_reber_bounds(rng):
    lengths = [len(s) - 4 for s in as_strings(embedded_reber(rng, 500, shortest=8, longest=9))]
    assert set(lengths) == {8, 9}
    with pytest.raises(ValueError, match="longest: expected at least 5, got 4"):
        embedded_reber(rng, 3, longest=4)
    with pytest.raises(ValueError, match="longest: expected at least 9, got 8"):
        embedded_reber(rng, 3, shortest=9, longest=8)


def legal_next(prefix, letters):
    """What may follow, found by trying out every string of the language."""
    words = ["".join(letter * n for letter in letters) + "T" for n in range(1, 15)]
    return {w[len(prefix)] for w in words if w.startswith(prefix)}


@pytest.mark.parametrize("letters", ["ab", "abc"])
def test_counting_names_all_legal_symbols(letters):
    numbers = [3, 1, 10, 7]
    made = counting(numbers, letters)
    symbols = letters + "T"
    for k, n in enumerate(numbers):
        word = "".join(letter * n for letter in letters)
        end = len(word) + 1
        assert made.counts[:, k].tolist() == [t < end for t in range(len(made.x))]
        read = ["S", *word]
        for t in range(end):
            assert "".join((letters + "S")[c] for c in np.flatnonzero(made.x[t, k])) == read[t]
            named = {symbols[c] for c in np.flatnonzero(made.target[t, k])}
            assert named == legal_next(word[:t], letters)
        assert not made.x[end:, k].any()


@pytest.mark.parametrize("window", [1, 2, 5])
def test_counting_without_memory(window):
    """Whoever sees ``window`` symbols accepts no string with a longer run: two sets fit."""
    numbers = range(1, 11)
    made = counting(numbers)
    asked = {}
    for k, n in enumerate(numbers):
        for t in range(2 * n + 1):
            seen = made.x[max(0, t + 1 - window) : t + 1, k].tobytes()
            asked.setdefault(seen, set()).add((n, made.target[t, k].tobytes()))
    torn = [pairs for pairs in asked.values() if len({answer for _, answer in pairs}) > 1]
    spoiled = {n for pairs in torn for n, _ in pairs}
    assert torn and spoiled >= set(range(window + 1, 11))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda rng: adding(rng, 1, 3), "steps: expected at least 2, got 1"),
        (lambda rng: copying(rng, 0, 3), "lag: expected at least 1, got 0"),
        (lambda rng: temporal_order(rng, 9, 3), "steps: expected at least 10, got 9"),
        (lambda rng: counting([]), r"numbers: expected one or more, all 1 or larger, got \[\]"),
        (lambda rng: counting([2, 0]), r"numbers: .* got \[2, 0\]"),
    ],
)
def test_bad_sizes_are_refused(rng, call, message):
    with pytest.raises(ValueError, match=message):
        call(rng)


def test_every_public_name_is_exported():
    import book

    public = {name for name in vars(tasks) if name in dir(book)}
    assert {"adding", "copying", "temporal_order", "embedded_reber", "counting"} <= public
