"""The grading server of one lab: collects its tests once, then forks a child per job.

Started by `runner.Worker` as ``python -m common.grading.worker FOLDER``. Jobs come in
as JSON lines on stdin, results go out as JSON lines. The server imports the heavy
libraries and never uses their thread pools, so that a fork of it is safe and takes
milliseconds. It keeps the clock, kills what runs too long, and outlives its children.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import importlib
import json
import os
import re
import secrets
import selectors
import shutil
import signal
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from common import labs
from common.grading import child, plugin

LONGEST = 1 << 26  # bytes of one record; a longer one is no record of ours
GRACE_S = 0.1  # after the limit; the child notes where it stands just before
SLOW_S = 2.0
_MOST_AT_ONCE = 8
_SHOWN_LINES = 20


@dataclass
class Running:
    """One child process and what it has said so far."""

    job: dict
    pid: int
    channel: int
    deadline: float
    started: float
    buffer: bytearray = field(default_factory=bytearray)
    events: list[dict] = field(default_factory=list)
    forged: bool = False


class Server:
    """Runs jobs in forked children, a few at a time."""

    def __init__(self, session: plugin.Plugin, out: int, at_once: int) -> None:
        self._session, self._out, self._at_once = session, out, at_once
        self._waiting: deque[dict] = deque()
        self._running: dict[int, Running] = {}
        self._input = b""
        self._open = True
        self._select = selectors.DefaultSelector()
        self._select.register(0, selectors.EVENT_READ)

    def serve(self) -> None:
        """Until stdin closes: take jobs, run them, send results."""
        while self._open or self._running or self._waiting:
            while self._waiting and self._busy() < self._at_once:
                self._start(self._waiting.popleft())
            for key, _ in self._select.select(self._patience()):
                if key.fd == 0:
                    self._take_jobs()
                else:
                    self._hear(self._running[key.fd])
            now = time.monotonic()
            for run in [r for r in self._running.values() if now > r.deadline]:
                self._finish(run, "time")

    def stop(self, *_: object) -> None:
        """Leave nothing behind: kill every child and go."""
        for run in self._running.values():
            _kill(run.pid)
            forget(run.job)
        os._exit(0)

    def _busy(self) -> int:
        """Children that hold a place; a slow one gives its place up, so that a loop
        in two tasks does not keep the others waiting until it is killed."""
        if len(self._running) >= _MOST_AT_ONCE:
            return self._at_once
        now = time.monotonic()
        return sum(now - run.started < SLOW_S for run in self._running.values())

    def _patience(self) -> float | None:
        if not self._running:
            return None
        now = time.monotonic()
        times = [run.deadline for run in self._running.values()]
        if self._waiting:
            slow = (run.started + SLOW_S for run in self._running.values())
            times += [t for t in slow if t > now]
        return max(0.0, min(times) - now) + 0.01

    def _take_jobs(self) -> None:
        data = os.read(0, 1 << 20)
        if not data:
            self.stop()  # whoever asked is gone
        self._input += data
        *lines, self._input = self._input.split(b"\n")
        for line in lines:
            self._waiting.append(json.loads(line))

    def _start(self, job: dict) -> None:
        prepare(job)
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._close_own(reading)
            _die_with_parent()
            child.main(job, self._session, writing)
        os.close(writing)
        now = time.monotonic()
        deadline = now + job["limit_s"] + GRACE_S
        self._running[reading] = Running(job, pid, reading, deadline, now)
        self._select.register(reading, selectors.EVENT_READ)

    def _close_own(self, reading: int) -> None:
        """In a child: let go of all that belongs to the server."""
        self._select.close()
        for fd in (reading, self._out, *self._running):
            os.close(fd)

    def _hear(self, run: Running) -> None:
        data = os.read(run.channel, 1 << 16)
        if not data:
            self._finish(run, "ended early")
            return
        run.buffer += data
        lines: list[bytearray] = []
        if b"\n" in data:
            *lines, run.buffer = run.buffer.split(b"\n")
        for line in lines:
            if not accept(run, line):
                run.forged = True
                break
            if (outcome := ended(run)) is not None:
                self._finish(run, outcome)
                return
        if run.forged or len(run.buffer) > LONGEST:
            run.forged = True
            self._finish(run, "forged")

    def _finish(self, run: Running, outcome: str) -> None:
        self._select.unregister(run.channel)
        del self._running[run.channel]
        os.close(run.channel)
        status = _status(run.pid) if outcome == "ended early" else None
        _kill(run.pid)
        self._kill_orphans()
        result = summary(run, outcome, status)
        forget(run.job)
        say(self._out, result)

    def _kill_orphans(self) -> None:
        """Children of children land here; none of them is ours to keep."""
        ours = {run.pid for run in self._running.values()}
        with contextlib.suppress(OSError):
            children = Path(f"/proc/self/task/{os.getpid()}/children")
            # a killed orphan leaves its own children here
            while orphans := set(map(int, children.read_text().split())) - ours:
                for pid in orphans:
                    _kill(pid)


def say(out: int, message: dict) -> None:
    """Send one JSON line to whoever started this process."""
    data = json.dumps(message).encode() + b"\n"
    while data:
        data = data[os.write(out, data) :]


def prepare(job: dict) -> None:
    """Give a job its own folder and the word that marks its records as its own."""
    folder = tempfile.mkdtemp(prefix="labs-")
    job["folder"], job["scratch"] = folder, os.path.join(folder, "scratch")
    os.mkdir(job["scratch"])
    job["output"] = os.path.join(folder, "output")
    job["trace"] = os.path.join(folder, "trace")
    job["nonce"] = secrets.token_hex(8)


def forget(job: dict) -> None:
    """Remove the folder of a job."""
    shutil.rmtree(job["folder"], ignore_errors=True)


def accept(run: Running, line: bytes | bytearray) -> bool:
    """Keep one record of a child; false for one it could not have sent itself."""
    try:
        event = json.loads(line)
        known = {(e["event"], e.get("test")) for e in run.events}
        if event.pop("nonce") != run.job["nonce"]:
            return False
        if (event["event"], event.get("test")) in known:
            return False
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    run.events.append(event)
    return True


def ended(run: Running) -> str | None:
    """How a job ended that has said its last word; None while it goes on."""
    last = run.events[-1]["event"] if run.events else None
    return {"end": "done", "import": "done", "fault": "fault"}.get(last)


def stopped(job: dict) -> str:
    """How a process ended that kept its own clock and did not say its last word."""
    with contextlib.suppress(OSError):
        if Path(job["trace"]).read_bytes().startswith(b"Timeout ("):
            return "time"
    return "ended early"


def summary(run: Running, outcome: str, status: int | None) -> dict:
    """What became of a job: its events, how it ended, where it stood, its output."""
    signal_ = -status if status is not None and status < 0 else None
    if signal_ == signal.SIGXFSZ:
        outcome = "output"
    return {
        "id": run.job["id"],
        "outcome": "forged" if run.forged else outcome,
        "signal": signal.Signals(signal_).name if signal_ else None,
        "exit_code": status if status is not None and status >= 0 else None,
        "events": run.events,
        "stood": _where(run.job),
        "output": _output(Path(run.job["output"])),
        "seconds": time.monotonic() - run.started,
    }


def _where(job: dict) -> dict | None:
    """The line of lab.py that was running when the child was stopped or crashed."""
    try:
        trace = Path(job["trace"]).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    for line in trace.splitlines():  # most recent call first
        found = re.match(r'\s*File "(.+)", line (\d+) in (\S+)', line)
        if found and found[1] == job["path"]:
            return {"line": int(found[2]), "function": found[3]}
    return None


def _output(path: Path) -> dict:
    """First and last lines of what a submission printed."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(4000)
            file.seek(max(len(head), size - 4000))
            tail = file.read()
    except OSError:
        return {"head": [], "tail": [], "bytes": 0, "cut": False}
    lines = head.decode("utf-8", "replace").splitlines()
    rest = tail.decode("utf-8", "replace").splitlines()
    return {
        "head": [line[:200] for line in lines[:_SHOWN_LINES]],
        "tail": [line[:200] for line in rest[-_SHOWN_LINES:]],
        "bytes": size,
        "cut": size >= child.OUTPUT_LIMIT,
    }


# --- Processes --------------------------------------------------------------------


def _kill(pid: int) -> None:
    """SIGKILL to a child and its group, and take its status."""
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(OSError):
            kill(pid, signal.SIGKILL)
    with contextlib.suppress(OSError):
        os.waitpid(pid, 0)


def _status(pid: int) -> int | None:
    """How a child that closed its channel ended; negative: the signal."""
    for _ in range(50):
        with contextlib.suppress(OSError):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    return None


_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _die_with_parent() -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


# --- Start ------------------------------------------------------------------------


def import_what_solution_needs(lab: labs.Lab) -> None:
    """Import in the server what every child would import again."""
    for node in ast.walk(ast.parse(lab.source())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        for name in names:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)


def _warm_up(session: plugin.Plugin) -> None:
    """Do once what every child would do again, and share its memory with all."""
    importlib.import_module("numpy.random")
    if any(hasattr(test.item.obj, "hypothesis") for test in session.tests):
        plugin.warm_up_hypothesis()
    gc.collect()
    gc.freeze()  # a child's garbage collector then leaves these pages alone


def describe(session: plugin.Plugin) -> dict:
    """What a grader holds: its tests, or why it cannot be used."""
    if session.faults:
        return {"event": "fault", "message": "\n".join(session.faults)}
    if not session.tests:
        return {"event": "fault", "message": "test_lab.py holds no tests"}
    tests = [
        {"name": t.name, "title": t.title, "task": t.task, "missing": t.missing}
        for t in session.tests
    ]
    return {"event": "ready", "tests": tests}


def main(folder: str, at_once: int) -> None:
    """Collect the lab's tests, announce them, and serve until stdin closes."""
    sys.dont_write_bytecode = True
    out = os.dup(1)
    os.dup2(2, 1)  # nothing a library prints may reach the channel
    lab = labs.read(Path(folder))
    import_what_solution_needs(lab)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)

    def serve(session: plugin.Plugin) -> None:
        say(out, describe(session))
        if not session.faults and session.tests:
            _warm_up(session)
            server = Server(session, out, at_once)
            signal.signal(signal.SIGTERM, server.stop)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            server.serve()

    session = plugin.collect(lab.file("test_lab.py"), serve)
    if not session.tests:
        say(out, describe(session))


def once(folder: str) -> None:
    """Where there is no fork: run the one job that stdin holds in this process."""
    out = os.dup(1)
    job = json.loads(sys.stdin.readline())
    lab = labs.read(Path(folder))

    def serve(session: plugin.Plugin) -> None:
        if job["id"] == "collect":
            say(out, describe(session))
        else:
            child.main(job, session, out)

    plugin.collect(lab.file("test_lab.py"), serve)


if __name__ == "__main__":
    if sys.argv[1] == "--once":
        once(sys.argv[2])
    else:
        main(sys.argv[1], int(sys.argv[2]))
