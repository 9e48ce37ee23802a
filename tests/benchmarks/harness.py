"""How long feedback takes, beside the imports that nobody can avoid."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator

from common import labs
from common.grading import grade, verify, watch
from common.grading.runner import open_worker
from tests.benchmarks.table import Row, process_seconds, seconds


def rows() -> Iterator[Row]:
    """Shell to report, re-grading, one misconception."""
    lab, _ = labs.find("1.1")
    yield from shell(lab)
    yield regrade(lab)
    yield misconception(lab)


def imports_of(lab: labs.Lab) -> list[str]:
    """pytest and what the grader and the solution import."""
    return ["pytest", "hypothesis", "regex", "numpy", "tiktoken"]


def shell(lab: labs.Lab) -> Iterator[Row]:
    """`labs grade 1.1` beside importing pytest and the lab's libraries."""
    with tempfile.TemporaryDirectory() as state:
        env = {**os.environ, "LABS_STATE": state}
        command = [sys.executable, "-m", "common.cli", "grade", lab.id]
        names = ", ".join(imports_of(lab))
        bare = [sys.executable, "-c", f"import {names}"]
        peer = process_seconds(bare, env)
        for what, more in (("stub", []), ("solution", ["--impl", "solution"])):
            ours = process_seconds([*command, *more], env)
            yield Row(
                f"labs grade {lab.id}, {what}",
                f"{ours:.2f} s from the shell, tests included",
                f"{peer:.2f} s: import {names}",
                ours / peer,
                "x time",
                "at most 2, tests aside",
            )


def regrade(lab: labs.Lab) -> Row:
    """A save in watch mode: all tests of the lab, against the tests alone."""
    session = watch.Session(lab, seed=1)
    path = lab.file("solution.py")
    try:

        def again() -> None:
            grade.Grading(
                lab,
                path,
                lab.source(),
                session._worker,
                seed=1,
                memory=session._memory,
            ).run()

        again()
        whole = seconds(again)
        alone = _tests_alone(lab, session._worker)
    finally:
        session.close()
    return Row(
        "re-grade in watch mode",
        f"{whole:.2f} s with isolation and controls",
        f"{alone:.2f} s: the same tests in one process",
        whole - alone,
        "s more",
        "at most 0.3 s, tests aside",
    )


def _tests_alone(lab: labs.Lab, worker) -> float:
    bench = verify.Bench(lab, worker)
    job = bench.job(bench.source, bench.names, seed=1)
    return seconds(lambda: bench.run({0: job}))


def misconception(lab: labs.Lab) -> Row:
    """One wrong version in a forked child, beside a new Python with the imports."""
    with open_worker(lab) as worker:
        bench = verify.Bench(lab, worker)
        source = lab.variant("cutoff-exclusive")
        job = bench.job(source, bench.by_task[3])
        ours = seconds(lambda: bench.run({0: job}), 10)
    names = ", ".join(imports_of(lab))
    peer = process_seconds([sys.executable, "-c", f"import {names}"], dict(os.environ))
    return Row(
        "one misconception run",
        f"{ours * 1000:.0f} ms forked",
        f"{peer * 1000:.0f} ms: a new process with the imports",
        ours / peer,
        "x time",
    )
