"""Correct solutions written differently from ours earn everything.

Each file in `other_solutions` is named after its lab. A grader that fails one of them
grades a way of writing, not an answer.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from common import labs
from common.grading import grade, runner

FILES = sorted((Path(__file__).parent / "other_solutions").glob("lab_*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_another_way_earns_everything(path):
    phase, number = re.match(r"lab_(\d+)_(\d+)_", path.name).groups()
    lab = labs.find(f"{phase}.{number}")[0]
    with runner.open_worker(lab) as worker:
        source = path.read_text(encoding="utf-8")
        record = grade.Grading(lab, path, source, worker).run()
    lost = [
        (t["id"], t["verdict"]) for t in record["tasks"] if t["verdict"] != "earned"
    ]
    assert lost == []
    assert record["points"] == 10 and record["complete"]
    assert record["violations"] == [] and all(record["controls"].values())
