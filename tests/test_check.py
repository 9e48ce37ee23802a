"""`check`: what each comparison records, and what it raises."""

import numpy as np
import pytest
import torch

from common.grading import check
from common.grading.boundary import Call
from common.grading.check import CheckFailed, MissingName
from common.grading.values import Difference


@pytest.fixture(autouse=True)
def records():
    """The recorder of the running test, empty at first."""
    check.recorder.start()
    yield check.recorder.checks
    check.recorder.start()


def fail(error=ValueError, text="n must be positive"):
    raise error(text)


# --- equal and close ---------------------------------------------------------------


def test_what_holds_is_recorded_with_its_value(records):
    check.equal([1, 2], [1, 2], name="ids")
    check.close(0.5, 0.5 + 1e-9, rtol=1e-3, atol=1e-4)
    first, second = records
    assert (first["name"], first["ok"], first["value"]) == ("ids", True, [1, 2])
    assert (first["rtol"], first["atol"]) == (0.0, 0.0)
    assert (second["ok"], second["rtol"], second["atol"]) == (True, 1e-3, 1e-4)
    assert "kind" not in first


def test_what_does_not_hold_is_recorded_and_raised(records):
    with pytest.raises(CheckFailed, match=r"expected 2\.0, got 1\.0"):
        check.equal(np.array([1.0, 3.0]), np.array([2.0, 3.0]), name="loss")
    (record,) = records
    assert (record["ok"], record["kind"], record["where"]) == (False, "value", "[0]")
    assert (record["expected"], record["got"]) == ("2.0", "1.0")
    assert (record["agree"], record["name"]) == ([1, 2], "loss")
    assert record["value"].tolist() == [1.0, 3.0]


def test_a_failed_check_ends_the_test(records):
    with pytest.raises(CheckFailed):
        check.equal(1, 2)
    assert issubclass(CheckFailed, AssertionError)
    assert len(records) == 1 and records[0]["agree"] is None


def test_equal_is_exact_and_close_is_not():
    check.close(1.0 + 1e-9, 1.0)
    with pytest.raises(CheckFailed):
        check.equal(1.0 + 1e-9, 1.0)
    with pytest.raises(CheckFailed):
        check.close(1.0 + 1e-5, 1.0)
    with pytest.raises(CheckFailed):
        check.close(1, 1.0)
    with pytest.raises(CheckFailed):
        check.close(5.0, float("inf"))


def test_a_value_is_recorded_as_it_was(records):
    given = [1, 2]
    check.equal(given, [1, 2])
    given.append(3)
    assert records[0]["value"] == [1, 2]


def test_numpy_scalars_count_as_python_numbers():
    check.equal(np.int64(3), 3)
    check.equal(0.5, np.float64(0.5))


def test_an_object_that_equals_everything_fails():
    class Liar:
        def __eq__(self, other):
            return True

    for expected in (1, "x", [1], None):
        with pytest.raises(CheckFailed):
            check.equal(Liar(), expected)
        with pytest.raises(CheckFailed):
            check.close([Liar()], [expected])


def test_an_expected_value_that_cannot_be_compared_never_passes():
    with pytest.raises(CheckFailed):
        check.equal(iter([1]), iter([1]))


def test_records_carry_the_call_or_the_input_given(records):
    check.recorder.call = Call("encode", ("a b",), {"add_bos": True})
    check.equal(1, 1)
    check.equal(1, 1, input="the second row")
    check.that(True, "holds")
    check.raises(ValueError, fail)
    assert records[0]["input"].text() == "encode('a b', add_bos=True)"
    assert records[1]["input"] == "the second row"
    assert records[2]["input"] is records[3]["input"] is records[0]["input"]


# --- that --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "holds",
    [True, np.True_, np.array([1, 2]).all(), torch.tensor(True), np.array(True)],
)
def test_a_property_that_holds(holds, records):
    check.that(holds, "rows sum to one", got=0.5)
    assert (records[0]["ok"], records[0]["value"]) == (True, 0.5)


@pytest.mark.parametrize(
    "holds",
    [False, np.False_, torch.tensor(False), None, 1, "yes", [0], object(), len],
)
def test_only_true_is_true(holds, records):
    with pytest.raises(CheckFailed, match="expected rows sum to one, got 7"):
        check.that(holds, "rows sum to one", got=7)
    assert (records[0]["expected"], records[0]["got"]) == ("rows sum to one", "7")


def test_the_truth_of_a_submission_is_not_asked():
    class Yes:
        def __bool__(self):
            return True

    with pytest.raises(CheckFailed):
        check.that(Yes(), "holds")


# --- raises ------------------------------------------------------------------------


def test_the_right_error_passes(records):
    check.raises(ValueError, fail)
    check.raises(ValueError, fail, match="n", name="negative n")
    check.raises((TypeError, ValueError), fail, match="positive")
    check.raises(Exception, fail)
    assert [r["value"] for r in records] == ["as asked"] * 4
    assert [r["ok"] for r in records] == [True] * 4
    assert records[1]["name"] == "negative n"


def test_a_subclass_of_the_error_passes():
    check.raises(ValueError, lambda: "\ud800".encode("utf-8"))


def test_the_wording_is_free_and_not_recorded(records):
    check.raises(ValueError, lambda: fail(text="n: 3 is not enough"), match="n")
    check.raises(ValueError, lambda: fail(text="bad n"), match="n")
    assert records[0]["value"] == records[1]["value"]


@pytest.mark.parametrize("text", ["must not be negative", "min_n", "n_max", "", "N"])
def test_match_is_a_whole_word(text, records):
    with pytest.raises(CheckFailed):
        check.raises(ValueError, lambda: fail(text=text), match="n")
    assert records[0]["kind"] == "raises"
    assert records[0]["expected"] == "ValueError that names n"
    got = records[0]["got"].strip("'\"")
    assert got == f"ValueError: {text}   (the word n is not in it)"


@pytest.mark.parametrize("text", ["Seed must be 0", "seed", "bad SEED"])
def test_a_long_name_may_be_written_in_either_case(text):
    check.raises(ValueError, lambda: fail(text=text), match="seed")


def test_a_plural_may_stand_as_its_singular(records):
    check.raises(ValueError, lambda: fail(text="id 9 is unknown"), match="ids")
    with pytest.raises(CheckFailed):
        check.raises(ValueError, lambda: fail(text="idle"), match="ids")


@pytest.mark.parametrize("text", ["n", "'n'", "`n`", "n=3", "(n)", "got 3 for n."])
def test_match_may_stand_in_punctuation(text):
    check.raises(ValueError, lambda: fail(text=text), match="n")


def test_another_error_fails(records):
    with pytest.raises(CheckFailed):
        check.raises((ValueError, TypeError), lambda: fail(KeyError), match="n")
    assert records[0]["expected"] == "ValueError or TypeError that names n"
    assert records[0]["value"] == "KeyError"
    assert "KeyError" in records[0]["got"]


def test_no_error_fails_and_shows_what_came(records):
    with pytest.raises(CheckFailed):
        check.raises(ValueError, lambda: [1, 2])
    assert "no error; returned [1, 2]" in records[0]["got"]
    assert records[0]["value"] == [1, 2]


def test_returning_an_error_is_not_raising_it():
    with pytest.raises(CheckFailed):
        check.raises(ValueError, lambda: ValueError("n"), match="n")


@pytest.mark.parametrize("kind", [NotImplementedError, MissingName, CheckFailed])
def test_what_says_something_else_is_passed_on(kind, records):
    for wanted in (ValueError, Exception, (RuntimeError, AttributeError)):
        with pytest.raises(kind, match="task 2"):
            check.raises(wanted, lambda: fail(kind, "task 2"))
    assert records == []


def test_the_end_of_the_process_is_passed_on():
    for kind in (SystemExit, KeyboardInterrupt):
        with pytest.raises(kind):
            check.raises(ValueError, lambda kind=kind: fail(kind, "0"))


# --- the recorder ------------------------------------------------------------------


def test_start_forgets_checks_and_call():
    check.recorder.call = Call("f", (), {})
    check.equal(1, 1)
    check.recorder.start()
    assert (check.recorder.checks, check.recorder.call) == ([], None)


@pytest.mark.parametrize(
    ("change", "got"),
    [
        (Difference("length", "2", "3"), "xs changed in place"),
        (Difference("value", "1", "5", "[0]"), "xs changed in place: 1 became 5"),
        (
            Difference("value", "0.3", "0.3", "[0]"),
            "xs changed in place: 0.3 changed by rounding",
        ),
    ],
)
def test_a_changed_input_is_a_failed_check(records, change, got):
    with pytest.raises(CheckFailed):
        check.changed_input("f([1])", "xs", change)
    (record,) = records
    assert (record["kind"], record["input"]) == ("input", "f([1])")
    assert (record["got"], record["where"]) == (got, change.where)
