"""Every check of the register: as printed it fails, for the entry's reason; corrected it passes."""

import pytest
from book.register import register
from proofs import CHECKS, Check, check


def decided_by(proof: str) -> list[str]:
    return [entry.id for entry in register().errors if entry.proof == proof]


@pytest.mark.parametrize("id", decided_by("check"))
def test_as_printed_it_fails_and_corrected_it_passes(id):
    CHECKS[id].run()


@pytest.mark.tensorflow
@pytest.mark.parametrize("id", decided_by("tensorflow"))
def test_in_tensorflow_as_printed_it_fails_and_corrected_it_passes(id):
    CHECKS[id].run()


# A check must be able to fail.


def positive(form):
    value = form()
    assert value > 0, f"{value} is not positive"


def undefined():
    return nowhere  # noqa: F821


@pytest.mark.parametrize(
    ("printed", "corrected", "pattern", "error", "complaint"),
    [
        (lambda: 1, lambda: 2, "is not positive", AssertionError, "as printed it passes"),
        (lambda: -1, lambda: -2, "is not positive", AssertionError, "-2 is not positive"),
        (lambda: -1, lambda: 2, "is even", AssertionError, "expected 'is even'"),
        (undefined, lambda: 2, "is not positive", NameError, "nowhere"),
    ],
    ids=["printed form right", "corrected form wrong", "another reason", "another exception"],
)
def test_a_check_complains(printed, corrected, pattern, error, complaint):
    with pytest.raises(error, match=complaint):
        Check("000-00", positive, printed, corrected, (AssertionError, pattern)).run()


def test_an_entry_has_one_check():
    with pytest.raises(ValueError, match="two checks"):
        check(next(iter(CHECKS)), printed=print, corrected=print, fails="")(positive)
