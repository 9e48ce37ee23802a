"""Every lab through its proof: solution, stub, controls, misconceptions, partial labs.

The same checks as `labs verify`, one test each, so that a failure names lab and check.
The stub is the generated one: a learner's own lab.py does not break this suite.
"""

from __future__ import annotations

import functools

import pytest

from common import datasets, labs, stubs
from common.grading import grade, runner, verify
from tests.support import requires

LABS = labs.all_labs()
IDS = [lab.id for lab in LABS]


@functools.cache
def checks(id: str) -> dict[str, verify.Line]:
    lab = labs.find(id)[0]
    return {line.name: line for line in verify.lines(lab, generated_stub=True)}


@pytest.mark.parametrize("name", verify.NAMES)
@pytest.mark.parametrize("id", IDS)
def test_check(id, name):
    line = checks(id)[name]
    assert line.ok, f"{line.text} {line.details}"


@pytest.fixture(scope="module", params=IDS)
def lab_and_worker(request):
    lab = labs.find(request.param)[0]
    with runner.open_worker(lab) as worker:
        yield lab, worker


def run(lab, worker, source, path=None, **options):
    path = path or lab.file("lab.py")
    return grade.Grading(lab, path, source, worker, seed=7, **options).run()


def test_solution_earns_everything(lab_and_worker):
    lab, worker = lab_and_worker
    record = run(lab, worker, lab.source(), path=lab.file("solution.py"))
    assert record["complete"] and record["points"] == 10
    assert record["controls"] == dict.fromkeys(stubs.CONTROLS, True)


def test_each_misconception_is_named(lab_and_worker):
    """A learner's file with a known mistake loses its task and is told which one."""
    lab, worker = lab_and_worker
    memory: dict = {}
    for wrong in lab.misconceptions:
        options = {"tasks": [wrong.task], "controls": False, "memory": memory}
        record = run(lab, worker, lab.variant(wrong.id), **options)
        assert record["tasks"][0]["verdict"] != "earned", wrong.id
        named = [found["id"] for found in record["tasks"][0]["diagnosis"]]
        assert named == [wrong.id]


def test_one_mistake_costs_one_task(lab_and_worker):
    """The others keep their points, whatever the mistake does to them."""
    lab, worker = lab_and_worker
    for wrong in (lab.misconceptions[0], lab.misconceptions[-1]):
        record = run(lab, worker, lab.variant(wrong.id))
        lost = [t["id"] for t in record["tasks"] if t["verdict"] != "earned"]
        assert lost == [wrong.task], wrong.id
        assert not record["void"] and not record["violations"]


def test_no_test_waits_for_data_in_ci(lab_and_worker):
    _, worker = lab_and_worker
    for name in sorted({n for test in worker.tests for n in test["missing"]}):
        requires(name)
    assert [t["name"] for t in worker.tests if t["missing"]] == []


def test_graders_name_known_datasets():
    for lab in LABS:
        text = lab.file("test_lab.py").read_text(encoding="utf-8")
        if "needs_data(" in text:
            assert any(f'"{name}"' in text for name in datasets.names())
