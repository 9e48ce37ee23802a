"""Exports: JUnit, Gradescope and GitHub lines hold whatever a record holds."""

from __future__ import annotations

import copy
import json
import re
import xml.etree.ElementTree as ET

import pytest

from common.grading import exports

TASK = {
    "id": 1,
    "name": "count_words",
    "points": 4,
    "earned": 4,
    "verdict": "earned",
    "reason": None,
    "line": 24,
    "seconds": 0.25,
    "tests": [],
    "diagnosis": [],
}
NASTY = "a\x00b\x1b[31m\ud800 <&>\"' 100%, c: ]]>\r\nnext ✓"


def task(id, verdict, **more):
    earned = {"earned": 4 if verdict == "earned" else 0}
    return copy.deepcopy(TASK) | {"id": id, "verdict": verdict} | earned | more


def failing(**check):
    check = {"ok": False, "input": "f(1)", "expected": "2", "got": "3"} | check
    test = {"title": "two of two", "checks": [check], "error": None}
    return task(2, "wrong", tests=[test])


def record(*tasks, **more):
    base = {
        "lab": {"id": "1.1", "slug": "lab-01-mini", "title": "Mini"},
        "file": "phase-01-small/lab-01-mini/lab.py",
        "started": "2026-01-02T03:04:05+00:00",
        "seconds": 1.5,
        "points": sum(t["earned"] for t in tasks),
        "void": None,
        "import_error": None,
        "tasks": list(tasks),
    }
    return base | more


MIXED = record(
    task(1, "earned"),
    failing(),
    task(3, "not started"),
    task(4, "broken", reason="stopped after 10 s", line=None),
)


def test_junit_counts_and_points():
    (suite,) = ET.fromstring(exports.junit([MIXED]).encode()).findall("testsuite")
    counts = {k: suite.get(k) for k in ("tests", "failures", "skipped", "time")}
    assert counts == {"tests": "4", "failures": "2", "skipped": "1", "time": "1.5"}
    found = []
    for case in suite.findall("testcase"):
        kinds = [child.tag for child in case if child.tag != "properties"]
        values = {p.get("name"): p.get("value") for p in case.iter("property")}
        found.append((case.get("name"), values["points"], values["earned"], kinds))
    assert found == [
        ("task 1: count_words", "4", "4", []),
        ("task 2: count_words", "4", "0", ["failure"]),
        ("task 3: count_words", "4", "0", ["skipped"]),
        ("task 4: count_words", "4", "0", ["failure"]),
    ]
    assert suite.findall("testcase")[3].find("failure").text == "stopped after 10 s"


def test_junit_survives_any_character():
    text = exports.junit([record(failing(got=NASTY))])
    (failure,) = ET.fromstring(text.encode("utf-8")).iter("failure")
    assert "a?b?[31m? <&>\"' 100%, c: ]]>" in failure.text
    assert "next ✓" in failure.text


def test_gradescope_scores_every_task_and_the_whole():
    found = json.loads(exports.gradescope([MIXED, record(task(1, "earned"))]))
    assert found["score"] == 8
    names = [test["name"] for test in found["tests"]]
    assert names == [f"1.1.{i} count_words" for i in (1, 2, 3, 4, 1)]
    assert [test["score"] for test in found["tests"]] == [4, 0, 0, 0, 4]
    assert [test["max_score"] for test in found["tests"]] == [4] * 5
    kinds = [test["status"] for test in found["tests"]]
    assert kinds == ["passed", "failed", "failed", "failed", "passed"]
    assert found["tests"][1]["output"] == "two of two: f(1)\nexpected 2, got 3"


def test_gradescope_survives_any_character():
    text = exports.gradescope([record(failing(got=NASTY))])
    text.encode("utf-8")
    assert NASTY in json.loads(text)["tests"][0]["output"]


def test_github_names_file_and_line_of_lost_tasks_only():
    lines = exports.github(MIXED)
    place = "::error file=phase-01-small/lab-01-mini/lab.py,line="
    assert lines == [
        f"{place}24,title=1.1.2 0/4::two of two: f(1)%0Aexpected 2, got 3",
        f"{place}1,title=1.1.4 0/4::stopped after 10 s",
    ]


def test_github_escapes_what_would_end_the_line_or_a_property():
    odd = record(failing(got=NASTY), file="a,b:c%/lab.py")
    (line,) = exports.github(odd)
    assert "\n" not in line and "\r" not in line
    assert line.startswith("::error file=a%2Cb%3Ac%25/lab.py,line=24,")
    assert re.search(r"100%25, c: \]\]>%0D%0Anext", line)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"void": {"control": "echo", "why": "it changed numpy"}}, "it changed numpy"),
        (
            {"import_error": {"message": "E: no", "line": 3}},
            "cannot be imported: E: no",
        ),
    ],
)
def test_void_and_import_errors_say_why(more, said):
    lost = record(task(1, "void" if "void" in more else "broken"), **more)
    assert said in exports.junit([lost])
    assert said in json.loads(exports.gradescope([lost]))["tests"][0]["output"]
    assert said in exports.github(lost)[0]


def test_an_exception_and_a_diagnosis_are_in_the_summary():
    error = {"type": "KeyError", "message": "'b'"}
    test = {"title": "two of two", "checks": [], "error": error}
    found = {"says": "Ties are dropped.", "because": "There are two."}
    lost = task(2, "wrong", tests=[test], diagnosis=[found])
    text = exports.summary(lost, record(lost))
    assert text == (
        "two of two: KeyError\n'b'\nLooks like: Ties are dropped. There are two."
    )


def test_nothing_lost_gives_no_annotation():
    assert exports.github(record(task(1, "earned"), task(2, "not started"))) == []
