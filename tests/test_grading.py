"""The path between a caller and its grading server."""

from __future__ import annotations

import pytest

from common import labs, scaffold, stubs
from common.grading import grade, runner, verify


@pytest.fixture
def lab(tmp_path, monkeypatch):
    (tmp_path / "phase-01-test").mkdir()
    monkeypatch.setenv("LABS_ROOT", str(tmp_path))
    return labs.read(scaffold.create("1.1", "words"))


def test_large_jobs_and_large_results_do_not_wait_for_each_other(lab):
    """Many jobs of megabytes in, many results of megabytes out, before one is read."""
    path = lab.file("test_lab.py")
    big = "\n\n@task(1)\ndef test_big(lab):\n    for i in range(300):\n"
    big += "        counts = lab.count_words(f'a {i}')\n"
    big += "        check.equal(counts['a'], 1, name='x' * 2000)\n"
    path.write_text(path.read_text("utf-8") + big, encoding="utf-8")
    with runner.open_worker(lab) as worker:
        bench = verify.Bench(lab, worker)
        source = bench.source + "#" * 300_000
        results = bench.run({i: bench.job(source, bench.names) for i in range(12)})
    assert len(results) == 12
    for result in results.values():
        assert set(verify.outcomes(result).values()) == {"passed"}


def test_a_server_that_dies_is_our_fault(lab):
    with runner.open_worker(lab) as worker:
        assert worker.tests
        worker._process.kill()
        with pytest.raises(runner.HarnessFault, match="ended"):
            worker.submit({"source": "", "path": "x", "secret": "y"})
            list(worker.results())


def test_a_task_asked_for_by_itself_stands_on_the_references_others():
    """`labs grade 1.1.4` with task 4 written and the others not."""
    lab = labs.find("1.1")[0]
    with runner.open_worker(lab) as worker:
        for task in lab.tasks:
            source = stubs.keep_only(lab.source(), task.id)
            options = {"tasks": [task.id], "controls": False}
            path = lab.file("lab.py")
            record = grade.Grading(lab, path, source, worker, **options).run()
            assert [t["verdict"] for t in record["tasks"]] == ["earned"], task.id
