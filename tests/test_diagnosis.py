"""Diagnosis: a version is named when the values are its values, and never else."""

import itertools

import numpy as np
import pytest

from common import labs, stubs
from common.grading import diagnosis, grade, runner, values, verify

LAB = labs.read(
    labs.root() / "phase-01-foundations-text/lab-01-tokenization-from-scratch"
)


def checked(value, *, name="", ok=True, given="f(1)", rtol=1e-6, atol=1e-9):
    """One check as a record carries it."""
    return {
        "name": name,
        "ok": ok,
        "same_input": given,
        "rtol": rtol,
        "atol": atol,
        "value": values.encode(values.plain(value)),
    }


def ended(*checks, end=("passed",)):
    """One test of a signature."""
    return {"checks": list(checks), "end": end}


def wrong(*checks):
    """A test that its last check ended."""
    *before, last = checks
    return ended(*before, last | {"ok": False}, end=("wrong",))


# --- Signatures by hand ------------------------------------------------------------


def test_a_signature_comes_from_the_tests_of_a_job():
    error = {"type": "IndexError", "message": "out of range", "line": 3}
    events = [
        {"event": "loaded", "seconds": 0.1},
        {"event": "start", "test": "a"},
        {"event": "test", "test": "a", "checks": [1], "outcome": "passed"}
        | {"error": None},
        {"event": "test", "test": "b", "checks": [], "outcome": "error"}
        | {"error": error},
        {"event": "end"},
    ]
    assert diagnosis.signature(events) == {
        "a": {"checks": [1], "end": ("passed",)},
        "b": {"checks": [], "end": ("error", "IndexError", "out of range")},
    }


@pytest.mark.parametrize(
    "other",
    [
        ended(checked(1.0), checked(2.0)),
        ended(checked(1.0), end=("error", "ValueError", "x")),
        wrong(checked(1.0)),
        ended(checked(1.1)),
        ended(checked(1)),
        ended(checked([1.0])),
        ended(checked(1.0, name="loss")),
        ended(checked(1.0, given="f(2)")),
        ended(),
    ],
)
def test_what_makes_two_tests_differ(other):
    one = {"a": ended(checked(1.0))}
    assert diagnosis.equal(one, one)
    assert not diagnosis.equal(one, {"a": other})
    assert not diagnosis.equal({"a": other}, one)


def test_errors_differ_by_type_and_message():
    def raised(*words):
        return {"a": ended(end=("error", *words))}

    assert diagnosis.equal(raised("KeyError", "x"), raised("KeyError", "x"))
    assert not diagnosis.equal(raised("KeyError", "x"), raised("KeyError", "y"))
    assert not diagnosis.equal(raised("KeyError", "x"), raised("IndexError", "x"))


def test_floats_agree_within_the_tolerance_of_their_check():
    one = {"a": ended(checked(1.0, rtol=1e-3))}
    near = {"a": ended(checked(1.0005, rtol=1e-3))}
    assert diagnosis.equal(one, near)
    exact = [{"a": ended(checked(x, rtol=0.0, atol=0.0))} for x in (1.0, 1.0005)]
    assert not diagnosis.equal(*exact)


def test_only_shared_tests_count_and_some_must_be():
    one = {"a": ended(checked(1)), "b": ended(checked(2))}
    assert diagnosis.equal(one, {"a": ended(checked(1))})
    assert not diagnosis.equal(one, {"c": ended(checked(1))})
    assert not diagnosis.equal({}, {})


REFERENCE = {"a": ended(checked(1)), "b": ended(checked(5))}


def test_a_version_with_the_same_values_is_named():
    mine = {"a": wrong(checked(2)), "b": ended(checked(5))}
    versions = {
        "right": {"a": wrong(checked(2)), "b": ended(checked(5))},
        "other": {"a": wrong(checked(3)), "b": ended(checked(5))},
        "half": {"a": wrong(checked(2)), "b": wrong(checked(6))},
    }
    assert diagnosis.matches(mine, REFERENCE, versions) == ["right"]


def test_two_versions_with_the_same_values_are_both_named():
    mine = {"a": wrong(checked(2))}
    versions = {"x": mine | {"b": ended(checked(5))}, "y": dict(mine), "z": REFERENCE}
    assert diagnosis.matches(mine, REFERENCE, versions) == ["x", "y"]


def test_what_equals_the_reference_matches_nothing():
    versions = {"same": REFERENCE, "part": {"a": REFERENCE["a"]}}
    assert diagnosis.matches(REFERENCE, REFERENCE, versions) == []
    assert diagnosis.matches({"a": REFERENCE["a"]}, REFERENCE, versions) == []


def test_agreement_where_the_version_is_right_names_nothing():
    mine = {"a": ended(checked(1)), "b": wrong(checked(9))}
    stopped_early = {"a": ended(checked(1))}
    assert diagnosis.matches(mine, REFERENCE, {"stopped": stopped_early}) == []


def test_nothing_in_common_names_nothing():
    assert diagnosis.matches({"z": wrong(checked(1))}, REFERENCE, {"x": {}}) == []


def test_a_large_value_that_differs_in_one_place_is_no_match():
    mine = np.random.default_rng(0).normal(size=(90, 80))
    theirs = mine.copy()
    theirs[41, 3] += 0.01
    versions = {"x": {"a": wrong(checked(theirs))}, "y": {"a": wrong(checked(mine))}}
    assert diagnosis.matches({"a": wrong(checked(mine))}, REFERENCE, versions) == ["y"]


def test_how_many_values_a_match_rests_on():
    assert diagnosis.n_checks({"a": ended(checked(1), checked(2)), "b": ended()}) == 2


# --- Two misconceptions at once, on a real lab -------------------------------------


def both(one, other):
    """The solution with two misconceptions, or None where the edits do not fit."""
    for first, second in [(one, other), (other, one)]:
        try:
            source = stubs.apply(LAB.source(), [*first.edits, *second.edits])
            compile(source, "both", "exec")
        except (ValueError, SyntaxError):
            continue
        return source
    return None


@pytest.fixture(scope="module")
def bench():
    """A grading process for the first lab."""
    with runner.open_worker(LAB) as worker:
        yield verify.Bench(LAB, worker)


@pytest.fixture(scope="module")
def signatures(bench):
    """Of the solution, each misconception, and each pair of one task that fits."""
    sources = {}
    for task in LAB.tasks:
        ours = [m for m in LAB.misconceptions if m.task == task.id]
        sources[task.id, ()] = LAB.source()
        for one in ours:
            sources[task.id, (one.id,)] = LAB.variant(one.id)
        for one, other in itertools.combinations(ours, 2):
            if (source := both(one, other)) is not None:
                sources[task.id, (one.id, other.id)] = source
    jobs = {
        key: bench.job(source, bench.by_task[key[0]]) for key, source in sources.items()
    }
    results = bench.run(jobs)
    return {key: diagnosis.signature(r["events"]) for key, r in results.items()}


def of_task(signatures, task):
    """The reference's signature, those of the misconceptions, those of the pairs."""
    ours = {ids: found for (id, ids), found in signatures.items() if id == task}
    versions = {ids[0]: found for ids, found in ours.items() if len(ids) == 1}
    pairs = {ids: found for ids, found in ours.items() if len(ids) == 2}
    return ours[()], versions, pairs


def same_records(a, b):
    """Whether the tests that both reached recorded the same, to the last digit."""
    return all(a[name] == b[name] for name in a.keys() & b.keys())


@pytest.mark.parametrize("task", [task.id for task in LAB.tasks])
def test_each_misconception_is_named_and_no_other(signatures, task):
    reference, versions, _ = of_task(signatures, task)
    for name, mine in versions.items():
        assert diagnosis.matches(mine, reference, versions) == [name]


@pytest.mark.parametrize("task", [task.id for task in LAB.tasks])
def test_two_misconceptions_at_once_are_not_called_one(signatures, task):
    reference, versions, pairs = of_task(signatures, task)
    for mine in pairs.values():
        honest = [name for name in versions if same_records(mine, versions[name])]
        named = diagnosis.matches(mine, reference, versions)
        assert set(named) <= set(honest)
    assert pairs or task == 1


PAIRS = [
    (2, "word-characters", "no-look-ahead"),
    (2, "no-leading-space", "contractions-any-case"),
    (3, "cutoff-exclusive", "specials-last"),
    (3, "cutoff-exclusive", "ties-unsorted"),
    (4, "unknown-hidden", "pieces-joined-by-spaces"),
    (8, "largest-pair-on-ties", "pieces-counted-once"),
]


@pytest.mark.parametrize(("task", "one", "other"), PAIRS)
def test_a_pair_whose_values_are_its_own_gets_no_name(signatures, task, one, other):
    reference, versions, pairs = of_task(signatures, task)
    mine = pairs[one, other]
    assert not diagnosis.equal(mine, reference)
    assert diagnosis.matches(mine, reference, versions) == []


def test_the_report_names_one_and_is_silent_about_two(bench):
    def graded(source, tasks):
        run = grade.Grading(
            LAB, LAB.file("lab.py"), source, bench.worker, seed=0, tasks=tasks
        )
        return {task["id"]: task for task in run.run()["tasks"]}

    by_id = {m.id: m for m in LAB.misconceptions}
    edits = [by_id[name].edits for pair in PAIRS[1:3] for name in pair[1:]]
    source = stubs.apply(LAB.source(), itertools.chain.from_iterable(edits))
    tasks = graded(source, [2, 3])
    assert [task["verdict"] for task in tasks.values()] == ["wrong", "wrong"]
    assert [task["diagnosis"] for task in tasks.values()] == [[], []]
    tasks = graded(LAB.variant("cutoff-exclusive"), [3])
    assert [found["id"] for found in tasks[3]["diagnosis"]] == ["cutoff-exclusive"]
