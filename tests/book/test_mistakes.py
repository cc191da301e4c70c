"""The planted mistakes are mistakes, every one is noticed, and the engine without one is right."""

import numpy as np
import pytest
from book import mistakes, rounding
from book.mistakes import MISTAKES, Mistake, engine, error, errors, noticed

from rnn_ref import GRU, LSTM, vectors

CASES = {case.name: case for case in vectors.cases()}
ERRORS = errors(CASES.values())


def test_the_engine_without_a_mistake_is_right():
    assert max(error(case, engine()) for case in CASES.values()) < 1e-14


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: m.name)
def test_every_mistake_is_noticed_by_some_group(mistake):
    counts = noticed(ERRORS[mistake.name])
    assert any(found for found, _ in counts.values())
    assert all(found <= concerned for found, concerned in counts.values())


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: m.name)
def test_a_mistake_moves_a_case_far_or_not_at_all(mistake):
    """Nothing lies near the tolerance, so that the table is the same on every machine."""
    for name, found in ERRORS[mistake.name].items():
        assert found < 1e-13 or found > 10 * vectors.TOLERANCES["float32"], name


def test_names_are_different():
    assert len({mistake.name for mistake in MISTAKES}) == len(MISTAKES) == len(ERRORS)


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("blocks read as z, r, n (Keras, ONNX)", {"gru"}),
        ("other reset form", {"gru"}),
        ("bias_hh dropped", {"elman", "lstm", "gru"}),
        ("initial state ignored", {"elman", "lstm", "gru", "sru"}),
        ("lengths ignored", {"lengths"}),
        ("final state at step T", {"lengths"}),
        ("direction ignored", {"reverse", "bidirectional"}),
        ("layers' initial states exchanged", {"stack"}),
        ("clip ignored", {"clip"}),
    ],
)
def test_groups_notice_what_they_are_for(name, groups):
    assert groups <= {group for group, (found, _) in noticed(ERRORS[name]).items() if found}


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("initial state ignored", "zero state"),
        ("lengths ignored", "bidirectional"),
        ("peepholes dropped", "lstm"),
        ("clip ignored", "activations"),
        ("backward output first", "reverse"),
    ],
)
def test_groups_are_blind_to_what_they_do_not_have(name, group):
    assert noticed(ERRORS[name])[group][0] == 0


def test_concerned_are_the_cases_with_such_a_cell():
    assert set(noticed(ERRORS["z inverted"])) & {"elman", "lstm", "sru"} == set()
    assert noticed(ERRORS["z inverted"])["gru"] == (2, 2)


def test_an_edit_of_what_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"edits: LSTM.step has no 'U_n'"):
        engine(Mistake("none", (LSTM,), (("U_n", "U_m"),)))
    with pytest.raises(ValueError, match="edits: _run has no 'h_prev'"):
        engine(Mistake("none", edits=(("h_prev", "x_t"),), running=True))


def test_the_cells_themselves_stay_as_they_are():
    case, wrong = CASES["gru"], Mistake("", (GRU,), (("h_prev = state.h", "h_prev = -state.h"),))
    assert error(case, engine(wrong)) > 0.1
    np.testing.assert_allclose(engine()(case)[0], case.output, atol=1e-14)


def test_an_engine_that_fails_is_infinitely_far():
    stops = Mistake("", (GRU,), (("h_prev = state.h", "h_prev = state.h.T"),))
    assert error(CASES["gru"], engine(stops)) == np.inf
    assert error(CASES["gru"], lambda case: (case.output + np.nan, case.final_state)) == np.inf


# Short number formats


@pytest.mark.parametrize(("name", "dtype"), [("float16", np.float16), ("float32", np.float32)])
def test_floating_is_the_type_of_numpy(name, dtype):
    values = np.random.default_rng(0).standard_normal(2000) * 2.0 ** np.arange(-12, 8).repeat(100)
    values = np.append(values, [0.0, 1.0, -1.0, 2.0**-24, 3 * 2.0**-24, 2.0**-25, 65000.0])
    expected = values.astype(dtype).astype(np.float64)
    np.testing.assert_array_equal(rounding.FORMATS[name](np.multiply, values), expected)


def test_fixed():
    values = np.array([0.3, -0.3, 1 / 128, 3 / 128, 5.0])
    expected = np.array([19, -19, 0, 2, 320]) / 64  # ties to even
    np.testing.assert_array_equal(rounding.fixed(6)(np.multiply, values), expected)
    np.testing.assert_array_equal(rounding.fixed(6)(np.add, values), values)


@pytest.mark.parametrize(
    "name", ["lstm_three_peephole", "gru_clip", "mixed_stack_bidirectional_lengths"]
)
def test_rounding_reaches_every_operation(name):
    case = CASES[name]
    none = mistakes.engine()(rounding.rounded(case, lambda ufunc, values: values))
    np.testing.assert_allclose(np.asarray(none[0]), case.output, atol=1e-14)
    output, _ = mistakes.engine()(rounding.rounded(case, rounding.floating(5)))
    output = np.asarray(output)
    np.testing.assert_array_equal(rounding.floating(5)(np.multiply, output), output)


def test_short_operands_are_exact_in_every_format():
    for case in CASES.values():
        for name, form in rounding.FORMATS.items():
            for value in (case.x, case.d_output):
                np.testing.assert_array_equal(form(np.multiply, value), value, err_msg=name)
