"""The boundary: calls are named, arguments guarded, and classes keep working."""

import contextlib
import sys

import numpy as np
import pytest
import torch

from common import labs
from common.grading import check, grade, runner
from common.grading.boundary import Boundary
from common.grading.check import CheckFailed, MissingName
from common.scaffold import create

SOURCE = """
from __future__ import annotations

import dataclasses
import enum
import functools
from typing import NamedTuple

import torch

LIMIT = 3
lookup = {"a": 1}


def add(a, b=1):
    return double(a) // 2 + b


def double(xs):
    return xs * 2


def sort(xs, reverse=False):
    xs.sort()
    return xs


def put(table, value):
    table["new"] = value


def scale(x):
    x *= 2
    return x


def behind_the_counter(x):
    x.data.add_(1)
    return x


def inner(pair):
    pair[0][0] = 99


def late(xs):
    for x in xs:
        yield x + 1


def fail(xs):
    xs.append(1)
    raise ValueError("xs")


async def wait():
    return 1


class Counter:
    made = 0

    def __init__(self, start=0):
        self.start = start
        self._log = []
        Counter.made += 1

    def __len__(self):
        return self.start

    def __call__(self, n):
        return self.count(n)

    def count(self, n):
        return 0 if n == 0 else 1 + self.count(n - 1)

    @classmethod
    def of(cls, start):
        return cls(start)

    @staticmethod
    def rule(n):
        return n + 1

    @property
    def next(self):
        return self.rule(self.start)

    @functools.cached_property
    def square(self):
        return self.start**2

    def each(self):
        yield from range(self.start)

    def fill(self, xs):
        xs.append(self.start)


class Loud(Counter):
    def __init__(self, start=0):
        super().__init__(start + 100)

    def count(self, n):
        return super().count(n) + 1


Alias = Counter


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: int = 2

    def norm(self):
        return self.x**2 + self.y**2


class Pair(NamedTuple):
    left: int
    right: int

    def swap(self):
        return Pair(self.right, self.left)


class Color(enum.Enum):
    RED = 1

    def lower(self):
        return self.name.lower()


class Net(torch.nn.Module):
    def __init__(self, n):
        super().__init__()
        self.w = torch.nn.Parameter(torch.ones(n))

    def forward(self, x):
        return self.scaled(x).sum()

    def scaled(self, x):
        return self.w * x
"""


AFTER = []  # emptied after each call across the boundary


@pytest.fixture
def lab():
    """A submission behind its boundary."""
    check.recorder.start()
    yield Boundary(labs.load(SOURCE, "lab.py", "lab_of_test_boundary"), AFTER.clear)
    check.recorder.start()
    sys.modules.pop("lab_of_test_boundary", None)


def called():
    """The text of the last recorded call."""
    return check.recorder.call.text()


# --- Calls -------------------------------------------------------------------------


def test_calls_carry_their_arguments(lab):
    assert lab.add(3, b=4) == 7
    assert called() == "add(3, b=4)"
    lab.double(np.zeros((2, 3)))
    assert called() == "double(float64 array of shape (2, 3))"
    assert check.recorder.call.text(numbers=True) == (
        "double(array([[0, 0, 0], [0, 0, 0]]))"
    )
    lab.double("x" * 1000)
    assert len(called()) < 70
    lab.Counter.rule(1)
    assert called() == "Counter.rule(1)"


def test_something_is_done_after_each_outer_call(lab):
    for call in (lambda: lab.add(1), lambda: lab.double(None)):
        AFTER.append("before")
        with contextlib.suppress(TypeError):
            call()
        assert AFTER == []


def test_functions_as_arguments_are_named(lab):
    with pytest.raises(TypeError):
        lab.add(len, SystemExit)
    assert called() == "add(<builtin_function_or_method>, SystemExit)"
    with pytest.raises(TypeError):
        lab.add(called)
    assert called() == "add(called)"


def test_inner_calls_are_not_recorded(lab):
    lab.add(3)
    assert called() == "add(3)"
    lab.Counter(2)(3)
    assert called() == "Counter.__call__(3)"
    lab.Loud(1)
    assert called() == "Loud(1)"


def test_after_an_error_the_next_call_is_recorded(lab):
    with pytest.raises(TypeError):
        lab.double(None)
    lab.add(1)
    assert called() == "add(1)"


def test_constants_and_classes_are_what_they_are(lab):
    assert lab.LIMIT == 3
    assert lab.lookup == {"a": 1}
    assert isinstance(lab.Counter(1), lab.Counter)
    assert lab.Alias is lab.Counter
    assert lab.add.__name__ == "add"


def test_a_missing_name_suggests_a_near_one(lab):
    with pytest.raises(MissingName, match=r"does not define doubl \(it has double\)"):
        lab.doubl  # noqa: B018
    with pytest.raises(MissingName) as caught:
        lab.zebra  # noqa: B018
    assert str(caught.value) == "lab.py does not define zebra"
    assert not hasattr(lab, "zebra")


# --- Arguments changed in place ----------------------------------------------------


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda lab: lab.sort([3, 1, 2]), "xs"),
        (lambda lab: lab.sort(xs=[3, 1, 2]), "xs"),
        (lambda lab: lab.put({"a": 1}, 2), "table"),
        (lambda lab: lab.put({"new": 1}, 2), "table"),
        (lambda lab: lab.scale(np.ones(2)), "x"),
        (lambda lab: lab.scale(np.array(1.0)), "x"),
        (lambda lab: lab.scale(torch.ones(2)), "x"),
        (lambda lab: lab.behind_the_counter(torch.ones(2)), "x"),
        (lambda lab: lab.behind_the_counter(torch.nn.Parameter(torch.ones(2))), "x"),
        (lambda lab: lab.inner([[1], 2]), "pair"),
        (lambda lab: lab.inner(([1], 2)), "pair"),
        (lambda lab: lab.inner((np.ones(2), 2)), "pair"),
        (lambda lab: lab.inner([torch.ones(2), 2]), "pair"),
        (lambda lab: lab.inner([bytearray(b"a"), 2]), "pair"),
        (lambda lab: lab.fail([]), "xs"),
        (lambda lab: lab.Counter(3).fill([]), "xs"),
    ],
)
def test_a_changed_argument_is_named(lab, call, argument):
    with pytest.raises(CheckFailed, match=f"{argument} changed in place"):
        call(lab)
    record = check.recorder.checks[-1]
    assert (record["ok"], record["kind"]) == (False, "input")
    assert "99" not in record["input"]
    lab.may_mutate = True
    check.recorder.start()
    with contextlib.suppress(ValueError):
        call(lab)
    assert check.recorder.checks == []


def test_arguments_left_alone_are_no_fault(lab):
    lab.may_mutate = False
    lab.add(1)
    lab.double([3, 1])
    lab.double(np.array([np.nan, 1.0]))
    lab.double(torch.tensor([float("nan")], requires_grad=True))
    with torch.inference_mode():
        lab.double(torch.ones(2))
    lab.put.__wrapped__({}, 1)
    cycle = []
    cycle.append(cycle)
    lab.double([cycle, object(), iter([1]), {torch.nn.Parameter(torch.ones(1)): 1}])
    assert check.recorder.checks == []


def test_the_report_shows_the_argument_as_it_was_given(lab):
    with pytest.raises(CheckFailed):
        lab.sort([3, 1, 2], reverse=True)
    assert check.recorder.checks[-1]["input"] == "sort([3, 1, 2], reverse=True)"
    with pytest.raises(CheckFailed):
        lab.scale(x=torch.ones(2))
    text = check.recorder.checks[-1]["input"]
    assert text == "scale(x=tensor([1, 1], float32))"


def test_a_frozen_array_refuses_by_itself(lab):
    frozen = np.ones(2)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        lab.scale(frozen)
    assert check.recorder.checks == []


def test_a_wrong_argument_that_is_changed_by_an_inner_call_is_the_outer_ones(lab):
    with pytest.raises(CheckFailed):
        lab.Loud(3).fill([1, 2])
    assert check.recorder.checks[-1]["input"] == "Counter.fill([1, 2])"


# --- Classes -----------------------------------------------------------------------


def test_methods_of_every_kind(lab):
    counter = lab.Counter.of(4)
    assert called() == "Counter.of(4)"
    assert (len(counter), counter.count(5), counter(3)) == (4, 5, 3)
    assert (counter.rule(1), lab.Counter.rule(2)) == (2, 3)
    assert (counter.next, counter.square, list(counter.each())) == (5, 16, [0, 1, 2, 3])
    assert (lab.Loud(1).start, lab.Loud(1).count(3), lab.Loud.of(1).start) == (
        101,
        7,
        101,
    )
    assert isinstance(lab.Loud(), lab.Counter)
    assert lab.Counter.made == 5


def test_dataclass_named_tuple_and_enum(lab):
    assert lab.Point(3) == lab.Point(3, 2)
    assert (lab.Point(3).norm(), hash(lab.Point(1))) == (13, hash(lab.Point(1, 2)))
    assert called() == "Point(1, 2)"
    assert lab.Pair(1, 2).swap() == (2, 1)
    assert lab.Color.RED.lower() == "red"
    assert lab.Color(1) is lab.Color.RED


def test_a_torch_module(lab):
    net = lab.Net(3)
    loss = net(torch.arange(3.0))
    assert called() == "Net.forward(float32 tensor of shape (3,))"
    loss.backward()
    assert net.w.grad.tolist() == [0.0, 1.0, 2.0]
    assert [name for name, _ in net.named_parameters()] == ["w"]
    assert net.state_dict().keys() == {"w"}


def test_generators_and_coroutines(lab):
    assert list(lab.late([1, 2])) == [2, 3]
    with pytest.raises(StopIteration) as caught:
        lab.wait().send(None)
    assert caught.value.value == 1


def test_recursion_of_a_method_in_a_worker(tmp_path, monkeypatch):
    (tmp_path / "phase-01-x").mkdir()
    monkeypatch.setenv("LABS_ROOT", str(tmp_path))
    lab = labs.read(create("1.1", "words"))
    deep = "return (Deep().go(800) == 800) / 2 if len(counts) == 2 else 0.0"
    source = lab.source().replace("return len(counts) / total if total else 0.0", deep)
    source += """

class Deep:
    def go(self, n):
        return 1 + self.go(n - 1) if n else 0


class Outside:
    pass
"""
    with runner.open_worker(lab) as worker:
        run = grade.Grading(lab, lab.file("lab.py"), source, worker, seed=0, tasks=[3])
        (task,) = run.run()["tasks"]
    outcomes = {test["name"]: test["outcome"] for test in task["tests"]}
    assert outcomes["test_ratio_of_four_words"] == "passed"
    assert outcomes["test_ratio_of_drawn_words"] == "wrong"
