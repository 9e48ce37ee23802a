"""Grades a folder of submissions of one lab and writes the gradebook.

A submission is `DIR/ada.py` or `DIR/ada/lab.py`; the name is the learner's. All are
graded with one seed by one warm process, none sees another. Wrong answers that agree
with each other and with no listed misconception are the next one to write: they are
grouped under «unknown».
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common.grading import diagnosis, exports, grade, runner
from common.labs import Lab
from common.progress import write_atomically


@dataclass
class Graded:
    """One learner's run, and the values behind it."""

    learner: str
    record: dict
    signatures: dict[int, diagnosis.Signature]

    def named(self) -> list[str]:
        """The misconceptions this run shows."""
        return [d["id"] for task in self.record["tasks"] for d in task["diagnosis"]]


def submissions(folder: Path) -> dict[str, Path]:
    """The files to grade by learner, in order of the names."""
    found = {path.stem: path for path in folder.glob("*.py")}
    found |= {path.parent.name: path for path in folder.glob("*/lab.py")}
    return dict(sorted(found.items()))


def run(
    lab: Lab, files: dict[str, Path], seed: int, tell: Callable[[str], None]
) -> list[Graded]:
    """Grade every file; `tell` hears each learner's name before the run."""
    graded, memory = [], {}
    with runner.open_worker(lab) as worker:
        for learner, path in files.items():
            tell(learner)
            source = grade.source(path)
            one = grade.Grading(
                lab, path.resolve(), source, worker, seed=seed, memory=memory
            )
            record = one.run()
            signatures = {
                id: diagnosis.signature(state.result["events"])
                for id, state in one.states.items()
                if state.verdict == grade.WRONG and state.result
            }
            graded.append(Graded(learner, record, signatures))
    return graded


def unknown(graded: list[Graded]) -> list[tuple[int, list[str]]]:
    """(task, learners) who share wrong values that no misconception explains."""
    groups: list[tuple[int, diagnosis.Signature, list[str]]] = []
    for one in graded:
        for task in one.record["tasks"]:
            mine = one.signatures.get(task["id"])
            if mine is None or task["diagnosis"]:
                continue
            for id, theirs, learners in groups:
                if id == task["id"] and diagnosis.equal(mine, theirs):
                    learners.append(one.learner)
                    break
            else:
                groups.append((task["id"], mine, [one.learner]))
    return [(id, learners) for id, _, learners in groups if len(learners) > 1]


def misconceptions(graded: list[Graded]) -> Counter:
    """How many learners show each listed misconception."""
    return Counter(name for one in graded for name in one.named())


def gradebook(graded: list[Graded]) -> str:
    """CSV: learner, lab, task, points, earned, verdict, misconception."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["learner", "lab", "task", "points", "earned", "verdict", "misconception"]
    )
    for one in graded:
        for task in one.record["tasks"]:
            named = " ".join(d["id"] for d in task["diagnosis"])
            cells = [task["id"], task["points"], task["earned"], task["verdict"], named]
            writer.writerow([one.learner, one.record["lab"]["id"], *cells])
    return text.getvalue()


def write(graded: list[Graded], out: Path) -> list[str]:
    """Write gradebook, records, Gradescope and JUnit files; return their names."""
    records = [one.record for one in graded]
    files = {"gradebook.csv": gradebook(graded), "junit.xml": exports.junit(records)}
    for one in graded:
        files[f"records/{one.learner}.json"] = json.dumps(one.record, indent=1)
        files[f"gradescope/{one.learner}.json"] = exports.gradescope([one.record])
    for name, text in files.items():
        write_atomically(out / name, text.encode("utf-8", "backslashreplace"))
    return ["gradebook.csv", "junit.xml", "records/", "gradescope/"]
