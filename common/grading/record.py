"""The one record of a run, `labs-result/1`, which every report is a rendering of.

Its fields are documented in CONTRIBUTING.md and fixed by `record.schema.json`.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import time
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from common import labs, stubs
from common.grading import diagnosis, runner

if TYPE_CHECKING:
    from common.grading.grade import Grading, TaskState

SCHEMA = "labs-result/1"
_CHECK_FIELDS = ("name", "ok", "input", "kind", "expected", "got", "where", "agree")


def build(run: Grading, started: float) -> dict:
    """The record of a finished run."""
    tasks = [_task(run, state) for state in run.states.values()]
    points = sum(task["earned"] for task in tasks)
    most = sum(task["points"] for task in tasks)
    return {
        "schema": SCHEMA,
        "lab": {"id": run.lab.id, "slug": run.lab.slug, "title": run.lab.title},
        "file": shown_path(run.path),
        "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        "seconds": round(time.time() - started, 3),
        "seed": run.seed,
        "grader": grader_digest(run.lab),
        "commit": _commit(),
        "machine": _machine(),
        "points": points,
        "max_points": most,
        "complete": run.void is None
        and all(
            task["verdict"] == "earned" for task in tasks if task["points"] or not most
        ),
        "void": run.void,
        "import_error": _import_error(run),
        "controls": run.controls,
        "violations": run.violations,
        "skipped": [{"test": t["name"], "missing": t["missing"]} for t in run.skipped],
        "tasks": tasks,
    }


def _task(run: Grading, state: TaskState) -> dict:
    task, void = state.task, run.void is not None
    verdict = "void" if void else state.verdict
    events = state.events()
    spans = stubs.spans(run.source)
    lines = {name: lines.start for name, lines in spans.items()}
    names = stubs.task_names(run.lab.source()).get(task.id, [])
    return {
        "id": task.id,
        "name": task.name,
        "points": task.points,
        "earned": task.points if verdict == "earned" else 0,
        "verdict": verdict,
        "reason": state.reason,
        "line": _line(state, names, lines),
        "seconds": round(state.result["seconds"], 3) if state.result else 0.0,
        "grafted": state.grafted,
        "waits_for": state.waits_for,
        "tests": [_test(test, events.get(test["name"])) for test in state.tests],
        "diagnosis": [] if void else _diagnosis(run.lab, state),
        "output": state.result["output"] if state.result else None,
    }


def _test(test: dict, event: dict | None) -> dict:
    if event is None:
        event = {"outcome": "not reached", "checks": [], "error": None, "call": None}
    return {
        "name": test["name"],
        "title": test["title"],
        "outcome": event["outcome"],
        "seconds": round(event.get("seconds", 0.0), 4),
        "call": event["call"],
        "checks": [{k: c.get(k) for k in _CHECK_FIELDS} for c in event["checks"]],
        "error": event["error"],
    }


def _diagnosis(lab: labs.Lab, state: TaskState) -> list[dict]:
    if not state.matches:
        return []
    n = diagnosis.n_checks(diagnosis.signature(state.result["events"]))
    known = {m.id: m for m in lab.misconceptions}
    return [
        {"id": id, "says": known[id].says, "because": known[id].because, "checks": n}
        for id in state.matches
    ]


def _import_error(run: Grading) -> dict | None:
    if run.import_error is None:
        return None
    return {"message": run.import_error["message"], "line": run.import_error["line"]}


def _line(state: TaskState, names: list[str], lines: dict[str, int]) -> int | None:
    """Where to look in lab.py: where it failed, else the task's first definition."""
    for event in state.events().values():
        if event["outcome"] == "missing":
            return None
        if event["error"] and event["error"]["line"]:
            return event["error"]["line"]
    if state.result and state.result["stood"]:
        return state.result["stood"]["line"]
    for event in state.events().values():
        called = (event["call"] or "").split("(")[0]
        if event["outcome"] != "passed" and called in lines:
            return lines[called]
    return next((lines[name] for name in names if name in lines), None)


def shown_path(path: Path) -> str:
    """A path as a person in the checkout would type it."""
    with suppress(ValueError):
        return path.relative_to(labs.root()).as_posix()
    return path.as_posix()


def grader_digest(lab: labs.Lab) -> str:
    """SHA-256 over the files that decide a verdict."""
    digest = hashlib.sha256()
    for data in runner.lab_digest(lab).values():
        digest.update(hashlib.sha256(data).digest())
    return digest.hexdigest()


def _commit() -> str | None:
    with suppress(OSError, subprocess.SubprocessError):
        asked = ["git", "-C", str(labs.root()), "rev-parse", "HEAD"]
        said = subprocess.run(asked, capture_output=True, text=True, timeout=2)
        return said.stdout.strip() or None
    return None


def _machine() -> dict:
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "numpy": metadata.version("numpy"),
        "torch": metadata.version("torch"),
    }
