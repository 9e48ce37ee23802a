"""The marking scheme of the target: small, drawn from `rng`, with oracles of its own.

Oracles: groupby for task 1, scipy for task 2, a dictionary built by hand for task 3,
plain joining for task 4.
"""

from __future__ import annotations

from itertools import groupby

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from common.grading import check, task

# --- Task 1 ----------------------------------------------------------------------


@task(1)
def test_runs_of_a_short_list(lab):
    check.equal(lab.run_lengths([7, 7, 3, 7]), ["2x7", "1x3", "1x7"])


@task(1)
def test_runs_of_drawn_numbers(lab, rng):
    items = rng.integers(0, 4, size=int(rng.integers(20, 60))).tolist()
    got = lab.run_lengths(items)
    check.equal(got, [f"{len(list(run))}x{item}" for item, run in groupby(items)])


# --- Task 2 ----------------------------------------------------------------------


@task(2)
def test_two_rows_by_hand(lab):
    got = lab.softmax(np.array([[0.0, np.log(3.0)], [1000.0, 0.0]]))
    check.close(got, np.array([[0.25, 0.75], [1.0, 0.0]]), rtol=1e-12)


@task(2)
def test_softmax_of_drawn_rows(lab, rng):
    B, C = (int(n) for n in rng.integers(3, 9, size=2))
    logits = rng.normal(scale=30.0, size=(B, C)) + 1000.0 * rng.permutation(B)[:, None]
    got = lab.softmax(logits)
    check.close(got, special.softmax(logits, axis=1), rtol=1e-9)


# --- Task 3 ----------------------------------------------------------------------


@task(3)
def test_two_pairs_by_hand(lab):
    check.equal(lab.parse_pairs("a=1, b=2"), {"a": 1, "b": 2})


@task(3)
def test_a_pair_without_a_sign(lab):
    check.raises(ValueError, lambda: lab.parse_pairs("a=1, b"), match="text")


@task(3)
def test_a_name_that_comes_twice(lab):
    check.raises(ValueError, lambda: lab.parse_pairs("a=1, a=2"), match="text")


@task(3)
@given(st.dictionaries(st.text("abcdef", min_size=1), st.integers(), min_size=1))
def test_pairs_as_they_were_written(lab, pairs):
    text = ", ".join(f"{name}={number}" for name, number in pairs.items())
    check.equal(lab.parse_pairs(text), pairs, input=f"parse_pairs({text!r})")


# --- Task 4 ----------------------------------------------------------------------


@task(4)
def test_two_names_by_hand(lab):
    check.equal(lab.Greeter("Hi").greet(["Ann", "Bo"]), "Hi, Ann and Bo")


@task(4)
def test_one_name_has_no_and(lab):
    check.equal(lab.Greeter("Hi").greet(["Ann"]), "Hi, Ann")


@task(4)
def test_greeting_of_drawn_names(lab, rng):
    n = int(rng.integers(3, 8))
    names = ["".join(rng.choice(list("abcdef"), size=4)) for _ in range(n)]
    got = lab.Greeter("Hello").greet(names)
    check.equal(got, "Hello, " + ", ".join(names[:-1]) + " and " + names[-1])
