"""What a learner has earned so far, kept in `.labs/progress.json` of the checkout.

Writing is atomic. A damaged file is set aside and said, never fatal. Points are the
best ever earned: nothing is taken away by a later run.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from common import labs

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None

SCHEMA = "labs-progress/1"
_HISTORY = 50  # runs kept per lab
_DAMAGED = (ValueError, LookupError, TypeError, AttributeError, OSError, RecursionError)


def folder() -> Path:
    """Where state lives: `$LABS_STATE`, or `.labs` in the checkout."""
    return Path(os.environ.get("LABS_STATE") or labs.root() / ".labs")


class Progress:
    """The progress file, read at the start and again before every change."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or folder() / "progress.json"
        self.notice: str | None = None  # what happened to a damaged file
        self._data = self._read()

    def _read(self) -> dict:
        empty = {"schema": SCHEMA, "current": None, "labs": {}}
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
            if data["schema"] != SCHEMA:
                raise ValueError(data["schema"])
            for entry in data["labs"].values():
                _ = {str(k): int(v) for k, v in entry["best"].items()}
                _ = {str(k): int(v) for k, v in entry["hints"].items()}
                _ = entry["met"] + entry["history"] + []
            return empty | data
        except FileNotFoundError:
            return empty
        except _DAMAGED:
            return self._set_aside(empty)

    def _set_aside(self, empty: dict) -> dict:
        kept = self.path.with_name(f"progress.damaged-{time.time_ns()}.json")
        try:
            os.replace(self.path, kept)
            self.notice = f"The progress file was damaged. It is kept as {kept.name}."
        except OSError as error:
            self.notice = f"The progress file cannot be read ({error.strerror})."
        return empty

    def _change(self, edit: Callable[[], None]) -> None:
        """Edit the data as another `labs` left it, alone, and write it.

        Where it cannot be written, a notice says so and the run goes on.
        """
        try:
            with _alone(self.path.with_name(".lock")):
                self._data = self._read()
                edit()
                write_atomically(self.path, json.dumps(self._data, indent=1).encode())
        except OSError as error:
            self.notice = f"Progress is not kept ({error.strerror})."

    def _lab(self, id: str) -> dict:
        new = {"best": {}, "hints": {}, "met": [], "history": []}
        return self._data["labs"].setdefault(id, new)

    # reading

    def best(self, lab: labs.Lab) -> dict[int, bool]:
        """Which tasks were ever earned."""
        best = self._data["labs"].get(lab.id, {}).get("best", {})
        return {task.id: str(task.id) in best for task in lab.tasks}

    def points(self, lab: labs.Lab) -> int:
        """The points ever earned in a lab."""
        earned = self.best(lab)
        return sum(task.points for task in lab.tasks if earned[task.id])

    def hints(self, lab: labs.Lab, task: int) -> int:
        """How many hints of a task were shown."""
        return self._data["labs"].get(lab.id, {}).get("hints", {}).get(str(task), 0)

    def total_hints(self) -> int:
        """How many hints were shown in all labs."""
        return sum(
            sum(entry["hints"].values()) for entry in self._data["labs"].values()
        )

    def met(self) -> list[str]:
        """The misconceptions that were named, in order, each once."""
        named = [m for entry in self._data["labs"].values() for m in entry["met"]]
        return list(dict.fromkeys(named))

    def current(self) -> labs.Lab:
        """The lab last worked on, or the first unfinished one from there on."""
        every = labs.all_labs()
        if not every:
            raise labs.UnknownLab(f"There are no labs in {labs.root()}")
        ids = [lab.id for lab in every]
        start = ids.index(c) if (c := self._data["current"]) in ids else 0
        for lab in every[start:] + every[:start]:
            if self.points(lab) < lab.points:
                return lab
        return every[start]

    # writing

    def add(self, record: dict) -> None:
        """Take a run's record in."""
        self._change(lambda: self._take(record))

    def _take(self, record: dict) -> None:
        entry = self._lab(record["lab"]["id"])
        self._data["current"] = record["lab"]["id"]
        for task in record["tasks"]:
            if task["verdict"] == "earned":
                entry["best"][str(task["id"])] = task["points"]
            entry["met"] += [
                d["id"] for d in task["diagnosis"] if d["id"] not in entry["met"]
            ]
        entry["history"].append([record["started"], record["points"]])
        entry["history"] = entry["history"][-_HISTORY:]

    def add_hint(self, lab: labs.Lab, task: int, level: int) -> None:
        """Note that a hint was shown."""
        self._change(lambda: self._lab(lab.id)["hints"].update({str(task): level}))


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Let one process at a time in, where the system has file locks."""
    if fcntl is None:
        yield
        return
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a crash leaves the old one or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def keep_aside(path: Path, lab: labs.Lab) -> Path | None:
    """Copy a learner's file to `.labs/kept`; None where there is nothing to keep."""
    if not path.exists():
        return None
    stamp = time.strftime("%Y%m%d-%H%M%S")
    kept = folder() / "kept" / f"{lab.id}-{stamp}-{path.name}"
    number = 1
    while kept.exists():
        kept = kept.with_name(f"{lab.id}-{stamp}-{number}-{path.name}")
        number += 1
    write_atomically(kept, path.read_bytes())
    return kept
