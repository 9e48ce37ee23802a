"""The record in other people's formats: JUnit, Gradescope, GitHub annotations.

Pure functions from a record to text; `cli` writes the files.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterable


def junit(records: Iterable[dict]) -> str:
    """JUnit XML: a suite per lab, a case per task, points as properties."""
    root = ET.Element("testsuites", name="llm-labs")
    for record in records:
        tasks = record["tasks"]
        failed = sum(task["verdict"] in ("wrong", "broken", "void") for task in tasks)
        waiting = sum(task["verdict"] == "not started" for task in tasks)
        suite = ET.SubElement(
            root,
            "testsuite",
            name=f"{record['lab']['id']} {record['lab']['title']}",
            tests=str(len(tasks)),
            failures=str(failed),
            skipped=str(waiting),
            time=str(record["seconds"]),
            timestamp=record["started"],
        )
        for task in tasks:
            _junit_case(suite, record, task)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _junit_case(suite: ET.Element, record: dict, task: dict) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        classname=record["lab"]["slug"],
        name=f"task {task['id']}: {task['name']}",
        time=str(task["seconds"]),
    )
    properties = ET.SubElement(case, "properties")
    for name in ("points", "earned", "verdict"):
        ET.SubElement(properties, "property", name=name, value=str(task[name]))
    if task["verdict"] == "not started":
        ET.SubElement(case, "skipped", message="not started")
    elif task["verdict"] != "earned":
        failure = ET.SubElement(case, "failure", message=_clean(summary(task, record)))
        failure.text = _clean(summary(task, record))


def _clean(text: str) -> str:
    """Without characters that XML 1.0 forbids."""
    allowed = "\t\n\r"
    return "".join(
        c
        if c in allowed or (c.isprintable() and not 0xD800 <= ord(c) <= 0xDFFF)
        else "?"
        for c in text
    )


def gradescope(records: Iterable[dict]) -> str:
    """Gradescope's results.json: one entry per task, and a score in any case."""
    records = list(records)
    tests = [
        {
            "name": f"{record['lab']['id']}.{task['id']} {task['name']}",
            "score": task["earned"],
            "max_score": task["points"],
            "status": "passed" if task["verdict"] == "earned" else "failed",
            "output": summary(task, record),
            "visibility": "visible",
        }
        for record in records
        for task in record["tasks"]
    ]
    score = sum(record["points"] for record in records)
    return json.dumps({"score": score, "tests": tests}, indent=1) + "\n"


def github(record: dict) -> list[str]:
    """Workflow commands that put each lost task on its line of a pull request."""
    lines = []
    for task in record["tasks"]:
        if task["verdict"] in ("earned", "not started"):
            continue
        title = f"{record['lab']['id']}.{task['id']} {task['earned']}/{task['points']}"
        place = f"file={_property(record['file'])},line={task['line'] or 1}"
        text = _message(summary(task, record))
        lines.append(f"::error {place},title={_property(title)}::{text}")
    return lines


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")


def summary(task: dict, record: dict) -> str:
    """What went wrong in a task, in a few lines."""
    if record["void"]:
        return f"This run does not count: {record['void']['why']}."
    if record["import_error"]:
        return (
            f"{record['file']} cannot be imported: {record['import_error']['message']}"
        )
    if task["verdict"] in ("earned", "not started"):
        return task["verdict"]
    lines = [task["reason"]] if task["reason"] else []
    for test in task["tests"]:
        failed = next((c for c in test["checks"] if not c["ok"]), None)
        if failed:
            lines.append(f"{test['title']}: {failed['input'] or ''}")
            lines.append(f"expected {failed['expected']}, got {failed['got']}")
            break
        if test["error"]:
            lines.append(f"{test['title']}: {test['error']['type']}")
            lines.append(test["error"]["message"])
            break
    lines += [
        f"Looks like: {one['says']} {one['because']}" for one in task["diagnosis"]
    ]
    return "\n".join(lines)
