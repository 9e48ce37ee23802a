"""A folder of submissions: gradebook, shared mistakes, and files nobody can mix up."""

from __future__ import annotations

import csv
import json

import pytest
from rich.text import Text

from common import labs, scaffold
from common.grading import cohort, report


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    root = tmp_path_factory.mktemp("checkout")
    (root / "phase-01-test").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABS_ROOT", str(root))
        lab = labs.read(scaffold.create("1.1", "words"))
    folder = tmp_path_factory.mktemp("submissions")
    good = lab.source()
    odd = good.replace("len(counts) / total", "len(counts) / (total + 1)")
    texts = {
        "ada": good,
        "bo": lab.variant("rarest-first"),
        "cy": odd,
        "di": odd.replace("type_token", "type_token"),
        "eve": "import sys\nsys.exit(0)\n",
    }
    for name, text in texts.items():
        if name == "ada":
            (folder / f"{name}.py").write_text(text)
        else:
            (folder / name).mkdir()
            (folder / name / "lab.py").write_text(text)
    (folder / "notes.txt").write_text("not a submission")
    files = cohort.submissions(folder)
    heard: list[str] = []
    return lab, cohort.run(lab, files, 5, heard.append), heard


def test_every_submission_is_graded_in_order(graded):
    _, runs, heard = graded
    assert heard == ["ada", "bo", "cy", "di", "eve"]
    assert [run.record["points"] for run in runs] == [10, 7, 7, 7, 0]
    assert {run.record["seed"] for run in runs} == {5}


def test_mistakes_are_counted_and_unknown_ones_grouped(graded):
    _, runs, _ = graded
    assert cohort.misconceptions(runs) == {"rarest-first": 1}
    assert cohort.unknown(runs) == [(3, ["cy", "di"])]


def test_gradebook_has_a_row_per_task(graded):
    _, runs, _ = graded
    rows = list(csv.DictReader(cohort.gradebook(runs).splitlines()))
    assert len(rows) == 15
    bo = [row for row in rows if row["learner"] == "bo"]
    assert [row["earned"] for row in bo] == ["4", "0", "3"]
    assert bo[1]["misconception"] == "rarest-first"
    assert {row["verdict"] for row in rows if row["learner"] == "eve"} == {"broken"}


def test_files_are_written(graded, tmp_path):
    _, runs, _ = graded
    cohort.write(runs, tmp_path)
    assert json.loads((tmp_path / "records" / "bo.json").read_text())["points"] == 7
    assert json.loads((tmp_path / "gradescope" / "eve.json").read_text())["score"] == 0
    assert (tmp_path / "junit.xml").read_text().count("<testsuite ") == 5


def test_table_fits_and_names(graded):
    lab, runs, _ = graded
    text = report.cohort(
        lab, runs, cohort.unknown(runs), cohort.misconceptions(runs), 2.0
    )
    assert "rarest-first" in text and "cannot be imported" in text
    assert "2 share wrong values in task 3" in text
    plain = Text.from_markup(text).plain
    assert max(map(len, plain.splitlines())) <= report.WIDTH
