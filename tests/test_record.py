"""The JSON record holds its schema, and CONTRIBUTING.md documents every field."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

from common import labs
from common.grading import grade, record, runner

SCHEMA = json.loads(
    Path(record.__file__).with_name("record.schema.json").read_text(encoding="utf-8")
)
GUIDE = (labs.root() / "CONTRIBUTING.md").read_text(encoding="utf-8")
LAB = labs.find("1.1")[0]


@pytest.fixture(scope="module")
def worker():
    with runner.open_worker(LAB) as worker:
        yield worker


def solution_with(find: str, replace: str) -> str:
    source = LAB.source()
    assert source.count(find) == 1
    return source.replace(find, replace)


SUBMISSIONS = {
    "solution": LAB.source(),
    "stub": labs.stub_text(LAB),
    "wrong": LAB.variant("cutoff-exclusive"),
    "error": solution_with("counts = Counter(tokens)", "counts = Counter(tokens)[0:1]"),
    "missing": solution_with("def bytes_to_unicode(", "def bytes_to_unikode("),
    "syntax": "def f(:\n",
    "exit": "import sys\nsys.exit(0)\n",
    "empty": "",
    "prints": LAB.source() + "\nprint('hello \\ud800')\n",
    "void": LAB.source() + "\nimport hypothesis\nhypothesis.given = None\n",
    "tries": LAB.source() + "\ntry:\n    open('/tmp/x', 'w')\nexcept OSError: pass\n",
}


@pytest.mark.parametrize("name", SUBMISSIONS)
def test_every_kind_of_run_holds_the_schema(worker, name):
    path = LAB.file("lab.py")
    made = grade.Grading(LAB, path, SUBMISSIONS[name], worker, seed=3).run()
    as_read = json.loads(json.dumps(made))
    jsonschema.validate(as_read, SCHEMA)
    assert as_read["complete"] == (name in ("solution", "prints", "tries"))
    assert (as_read["void"] is not None) == (name == "void")
    assert (as_read["import_error"] is not None) == (name in ("syntax", "exit"))
    assert bool(as_read["violations"]) == (name == "tries")


def test_the_schema_refuses_what_is_not_documented(worker):
    path = LAB.file("solution.py")
    made = grade.Grading(LAB, path, LAB.source(), worker, tasks=[6]).run()
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(made | {"extra": 1}, SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(made | {"points": "2"}, SCHEMA)


def documented(heading: str, end: str) -> set[str]:
    """The field names in the first column of a table of CONTRIBUTING.md."""
    table = GUIDE.split(heading)[1].split(end)[0]
    rows = re.findall(r"^\| (`.*?`(?:, `.*?`)*) \|", table, re.M)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def test_every_field_is_documented():
    assert documented("| field | type |", "| field of a task") == set(
        SCHEMA["required"]
    )
    task = SCHEMA["$defs"]["task"]
    assert documented("| field of a task |", "A check has") == set(task["required"])
    assert set(task["properties"]) == set(task["required"])
    assert set(SCHEMA["properties"]) == set(SCHEMA["required"])


def test_checks_and_errors_are_documented():
    text = GUIDE.split("A check has")[1].split("##")[0]
    test = SCHEMA["$defs"]["test"]["properties"]
    fields = [
        *test["checks"]["items"]["required"],
        *test["error"]["oneOf"][1]["required"],
    ]
    for field in fields:
        assert f"`{field}`" in text, field
