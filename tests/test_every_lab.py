"""Every lab through its proof: solution, stub, controls, misconceptions, partial labs.

The same checks as `labs verify`, one test each, so that a failure names lab and check.
The stub is the generated one: a learner's own lab.py does not break this suite.
"""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from common import datasets, labs, stubs
from common.grading import diagnosis, grade, runner, verify
from tests.support import requires, without_data

LABS = labs.all_labs()
OTHERS = sorted((Path(__file__).parent / "other_solutions").glob("lab_*.py"))


class Proof:
    """One lab with a grading process that all its tests here share."""

    def __init__(self, lab: labs.Lab, worker: runner.Worker) -> None:
        self.lab, self.worker, self.memory = lab, worker, {}

    @functools.cached_property
    def lines(self) -> dict[str, verify.Line]:
        options = {"worker": self.worker, "memory": self.memory}
        found = verify.lines(self.lab, generated_stub=True, **options)
        return {line.name: line for line in found}

    def grade(self, source, path=None, **options):
        path = path or self.lab.file("lab.py")
        options = {"seed": verify.SEEDS[0], "memory": self.memory} | options
        return grade.Grading(self.lab, path, source, self.worker, **options).run()


@pytest.fixture(scope="module", params=LABS, ids=lambda lab: lab.id)
def proof(request):
    with runner.open_worker(request.param) as worker:
        yield Proof(request.param, worker)


@pytest.mark.parametrize("name", verify.NAMES)
def test_check(proof, name):
    line = proof.lines[name]
    if line.lacks_data:
        without_data(line.text)
    assert line.ok, f"{line.text} {line.details}"


def test_solution_earns_everything(proof):
    lab = proof.lab
    record = proof.grade(lab.source(), path=lab.file("solution.py"))
    assert record["complete"] and record["points"] == 10
    assert record["controls"] == dict.fromkeys(stubs.CONTROLS, True)


def test_each_misconception_is_named(proof):
    """Run as a submission is, each gives the values of its own version and no other."""
    assert proof.lines["misconceptions die"].ok
    lab, bench = proof.lab, verify.Bench(proof.lab, proof.worker)
    submitted = {"guard": True, "path": str(lab.file("lab.py"))}
    jobs = {
        wrong.id: bench.job(lab.variant(wrong.id), bench.by_task[wrong.task])
        | submitted
        for wrong in lab.misconceptions
    }
    for task in lab.tasks:
        jobs[task.id] = bench.job(bench.source, bench.by_task[task.id])
    results = bench.run(jobs)
    mine = {key: diagnosis.signature(r["events"]) for key, r in results.items()}
    for wrong in lab.misconceptions:
        versions = {
            other.id: proof.memory[
                grade.memory_key(other.id, verify.SEEDS[0], other.task)
            ]
            for other in lab.misconceptions
            if other.task == wrong.task
        }
        named = diagnosis.matches(mine[wrong.id], mine[wrong.task], versions)
        assert named == [wrong.id]


def test_one_mistake_costs_one_task(proof):
    """The others keep their points, whatever the mistake does to them, and the report
    names it."""
    assert proof.lines["misconceptions die"].ok  # fills the memory
    for wrong in (proof.lab.misconceptions[0], proof.lab.misconceptions[-1]):
        record = proof.grade(proof.lab.variant(wrong.id))
        lost = [t for t in record["tasks"] if t["verdict"] != "earned"]
        assert [t["id"] for t in lost] == [wrong.task], wrong.id
        assert [found["id"] for found in lost[0]["diagnosis"]] == [wrong.id]
        assert not record["void"] and not record["violations"]


def test_other_ways_to_solve_it_earn_everything(proof):
    """A grader that fails one of them grades a way of writing, not an answer."""
    for path in OTHERS:
        if not path.name.startswith(f"lab_{proof.lab.id.replace('.', '_')}_"):
            continue
        record = proof.grade(path.read_text(encoding="utf-8"), path, seed=None)
        tasks = record["tasks"]
        lost = [(t["id"], t["verdict"]) for t in tasks if t["verdict"] != "earned"]
        assert lost == [], path.name
        assert record["points"] == 10 and record["complete"]
        assert record["violations"] == [] and all(record["controls"].values())


def test_no_test_waits_for_data_in_ci(proof):
    tests = proof.worker.tests
    for name in sorted({n for test in tests for n in test["missing"]}):
        requires(name)
    assert [t["name"] for t in tests if t["missing"]] == []


def test_every_other_solution_belongs_to_a_lab():
    known = {f"lab_{lab.id.replace('.', '_')}_" for lab in LABS}
    assert [
        p.name for p in OTHERS if not any(p.name.startswith(k) for k in known)
    ] == []


def test_graders_name_known_datasets():
    for lab in LABS:
        text = lab.file("test_lab.py").read_text(encoding="utf-8")
        if "needs_data(" in text:
            assert any(f'"{name}"' in text for name in datasets.names())
