"""Grades again at every save, with one warm grading process.

Saves are noticed by watchfiles; where file events fail (network drives, some
containers) or `$LABS_POLL` is set, the file's time stamp is polled instead.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from common import labs
from common.grading import grade, runner

TICK_S = 0.05


class Session:
    """A warm worker for one lab at a time, and the runs of this session."""

    def __init__(self, lab: labs.Lab, seed: int | None = None) -> None:
        self.lab, self.seed = lab, seed
        self.records: list[dict] = []
        self._memory: dict = {}
        self.graded: tuple[int, int] | None = None  # the stamp of what was graded
        self._worker = runner.open_worker(lab)
        self._digest = runner.lab_digest(lab)

    def grade(self, tasks: list[int] | None = None) -> dict:
        """Grade lab.py as it is now; the seed stays the same all session."""
        if runner.lab_digest(self.lab) != self._digest:
            self.move_to(labs.read(self.lab.folder))
        path = self.lab.file("lab.py")
        self.graded = _stamp(path)
        run = grade.Grading(
            self.lab,
            path,
            grade.source(path),
            self._worker,
            tasks=tasks,
            seed=self.seed,
            memory=self._memory,
        )
        self.seed = run.seed
        record = run.run()
        self.records.append(record)
        return record

    def move_to(self, lab: labs.Lab) -> None:
        """Go on with another lab, or with a changed grader of this one."""
        self._worker.close()
        self.__init__(lab, self.seed)

    def close(self) -> None:
        """End the worker."""
        self._worker.close()


def closer(record: dict, before: dict | None) -> str | None:
    """How the first failing check of a task moved since the last run."""
    if before is None:
        return None
    now, then = _first_wrong(record), _first_wrong(before)
    if now is None or then is None or now[0] != then[0]:
        return None
    (_, a), (_, b) = now, then
    if not a.get("agree") or not b.get("agree") or a["agree"][1] != b["agree"][1]:
        return None
    if a["agree"][0] == b["agree"][0]:
        return None
    agree, total = a["agree"]
    earlier = b["agree"][0]
    word = "closer" if agree > earlier else "further"
    return f"{word}: {agree} of {total} values agree, {earlier} before"


def _first_wrong(record: dict) -> tuple[str, dict] | None:
    for task in record["tasks"]:
        for test in task["tests"]:
            for check in test["checks"]:
                if not check["ok"]:
                    return f"{test['name']} {check['name']}", check
    return None


# --- Events: saves and keys ---------------------------------------------------------


def events(session: Session, pressed: Callable[[], str | None]) -> Iterator[str]:
    """Yields "save" when lab.py is not what was graded last, or the key pressed.

    The session may move to another lab meanwhile; a save while it grades is not lost.
    """
    while True:
        lab = session.lab
        for event in _one_file(session, pressed):
            yield event
            if session.lab != lab:
                break


def _one_file(session: Session, pressed: Callable[[], str | None]) -> Iterator[str]:
    target = session.lab.file("lab.py")
    changes = _by_polling(target)
    if not os.environ.get("LABS_POLL"):
        with contextlib.suppress(ImportError):
            changes = _by_events(target)
    while True:
        try:
            next(changes)
        except (OSError, RuntimeError, StopIteration):
            changes = _by_polling(target)  # no file events here
        if _stamp(target) not in (None, session.graded):
            yield "save"
        while key := pressed():
            yield key


def _by_events(target: Path) -> Iterator[None]:
    import watchfiles

    steps = {"debounce": 200, "step": int(TICK_S * 1000)}
    wait = {"rust_timeout": int(TICK_S * 1000), "yield_on_timeout": True}
    for _ in watchfiles.watch(
        target.parent, recursive=False, raise_interrupt=True, **steps, **wait
    ):
        yield


def _by_polling(target: Path) -> Iterator[None]:
    while True:
        time.sleep(TICK_S)
        yield


def _stamp(path: Path) -> tuple[int, int] | None:
    """What changes when a file is saved; None while an editor swaps it."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


@contextlib.contextmanager
def keys() -> Iterator[Callable[[], str | None]]:
    """A function that returns a pressed key at once, or None."""
    if os.name != "posix" or sys.stdin is None or sys.stdin.closed:
        yield lambda: None  # Ctrl-C still ends the session
        return
    fd = sys.stdin.fileno()
    open_ = True

    def pressed() -> str | None:
        nonlocal open_
        if not open_ or not select.select([fd], [], [], 0)[0]:
            return None
        data = os.read(fd, 1)
        open_ = bool(data)
        return data.decode("ascii", "ignore").lower() or None

    with _single_keys(fd):
        yield pressed


@contextlib.contextmanager
def _single_keys(fd: int) -> Iterator[None]:
    """Let the terminal hand over each key without Enter; put it back afterwards."""
    if not os.isatty(fd):
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(fd)
    tty.setcbreak(fd)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
