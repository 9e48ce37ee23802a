"""Central differences and the rows of benchmarks: what graders and they lean on."""

import numpy as np
import pytest

from common.grading import differences
from tests.benchmarks.table import shown, side_by_side, speed


def test_the_derivative_of_every_entry():
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    got = differences(lambda v: np.sum(np.sin(v) * x), x)
    np.testing.assert_allclose(got, np.cos(x) * x, rtol=1e-8, atol=1e-9)
    assert got.shape == x.shape and got.dtype == np.float64


def test_some_entries_only():
    x, seen = np.arange(6.0).reshape(2, 3), []

    def cubes(v):
        seen.append(v)
        return (v**3).sum()

    got = differences(cubes, x, at=[(1, 2), (0, 1)])
    np.testing.assert_allclose(got, [75, 3], rtol=1e-8)
    assert len(seen) == 4


def test_neither_x_nor_what_f_does_to_it_matters():
    x = np.array([1, 2, 3])  # integers: the step must not be rounded away

    def spoils(v):
        total = float(v @ v)
        v[:] = 99
        return total

    np.testing.assert_allclose(differences(spoils, x), [2, 4, 6], rtol=1e-8)
    assert x.tolist() == [1, 2, 3]


def test_the_step_is_the_one_asked_for():
    assert differences(lambda v: abs(v[0]), np.array([0.5]), h=1.0) == 0.5


@pytest.mark.parametrize(
    ("time_s", "text"),
    [(1.534, "1.53 s"), (0.0278, "27.8 ms"), (0.9999, "1000 ms"), (2e-7, "0.20 µs")],
)
def test_a_time_has_the_unit_that_fits(time_s, text):
    assert shown(time_s) == text


def test_a_row_of_two_times():
    row = speed("x", 0.002, 0.003, "torch", "at least 1")
    assert (row.ours, row.peer, row.meaning) == ("2.00 ms", "3.00 ms: torch", "x speed")
    assert row.ratio == pytest.approx(1.5) and row.wanted == "at least 1"


def test_the_two_take_turns():
    order = []
    calls = [lambda name=name: order.append(name) for name in "ab"]
    row = side_by_side("x", *calls, "b", rounds=2, repeats=2)
    assert "".join(order) == "ab" + "aabb" * 2
    assert row.ratio > 0
