"""What happens inside one worker process: quarantine, import, tests, records.

The process is a fork of a server that has collected the tests (or a fresh process
where there is no fork). It writes one JSON line per event to a pipe, and ends by
`os._exit`, so that nothing a submission registered runs after the last record.
"""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import io
import json
import os
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from common import labs, stubs
from common.grading import check, plugin, values
from common.grading.boundary import Boundary, Call
from common.grading.guard import Guard, Snapshot

MEMORY_LIMIT = 1 << 30  # bytes of data on top of what the heavy imports took
OUTPUT_LIMIT = 1 << 20  # bytes that a task may print; also its largest file
NAME = "lab"  # the module name of a submission
_MOST_FRAMES = (1 << 31) - 1
_OUTCOMES = (pytest.skip.Exception, pytest.xfail.Exception, pytest.exit.Exception)
_BROKEN_AS = {  # errors that are a fault of the run, not a wrong value
    MemoryError: "memory",
    RecursionError: "recursion",
}


def run_job(job: dict, session: plugin.Plugin, send: Callable[[dict], None]) -> None:
    """Load the submission of `job`, run its tests, send a record for each."""
    scratch = Path(job["scratch"])
    guard = Guard(Path(job["path"]), NAME, Path(job["secret"]), scratch)
    plugin.seed_hypothesis(job["seed"])
    _use_threads(job["threads"])
    if job["replace"] is not None or not job["shrink"]:
        plugin.stop_shrinking(session.tests)
    before = Snapshot({test.item.module for test in session.tests})
    if job["guard"]:
        guard.install()
    started = time.monotonic()
    try:
        module = labs.load(job["source"], Path(job["path"]), NAME)
    except BaseException as error:
        record = describe_error(error, job["path"])
        send({"event": "import", "error": record, "violations": guard.violations})
        return
    seconds = time.monotonic() - started
    altered = before.changed()
    send({"event": "loaded", "altered": altered, "seconds": seconds})
    guard.active = guard.active and job["replace"] is None
    module = _replace(module, job)
    session.lab, session.seed = Boundary(module, before.look), job["seed"]
    # a crossing takes a frame too
    sys.setrecursionlimit(min(2 * sys.getrecursionlimit(), _MOST_FRAMES))
    passed = _run_tests(job, session, guard, before, send)
    if passed and job["idle"] is not None:
        passed = _idle_lab_passes(job, session, before)
        send({"event": "control", "passed": passed})


def _use_threads(count: int) -> None:
    """Let the numerical libraries use so many threads; they start with one."""
    if count == 1:
        return
    import threadpoolctl

    threadpoolctl.threadpool_limits(count)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)


def _replace(module: ModuleType, job: dict) -> ModuleType:
    """Graft reference functions in, or put another lab in the submission's place."""
    path = Path(job["secret"])
    if job["replace"] is not None:
        return labs.load(job["replace"], path, NAME)
    if job["graft"]:
        stubs.graft(module, job["reference"], str(path), job["graft"])
    return module


def _run_tests(
    job: dict,
    session: plugin.Plugin,
    guard: Guard,
    before: Snapshot,
    send: Callable[[dict], None],
) -> bool:
    wanted = set(job["tests"])
    tests = [test for test in session.tests if test.name in wanted]
    if job["shuffle"] is not None:
        random.Random(job["shuffle"]).shuffle(tests)
    lost: set[int | None] = set()
    for i, test in enumerate(tests):
        if job["first_failure"] and test.task in lost:
            continue  # a control needs no second proof
        send({"event": "start", "test": test.name})
        started = time.monotonic()
        error = session.run(test, tests[i + 1] if i + 1 < len(tests) else None)
        record = _test_record(test, error, job["path"])
        record["seconds"] = time.monotonic() - started
        record["altered"] = before.changed()
        record["violations"] = list(guard.violations)
        send(record)
        if record["outcome"] != "passed":
            lost.add(test.task)
        if record["outcome"] == "not started":  # nothing to make small
            plugin.stop_shrinking(tests)
    return bool(tests) and not lost


def _idle_lab_passes(job: dict, session: plugin.Plugin, before: Snapshot) -> bool:
    """Whether a lab of empty functions passes too, now that the submission has run."""
    tests = [test for test in session.tests if test.name in set(job["tests"])]
    plugin.stop_shrinking(tests)
    module = labs.load(job["idle"], Path(job["secret"]), NAME)
    session.lab = Boundary(module, before.look)
    following = [*tests[1:], None]
    return all(
        session.run(*pair) is None for pair in zip(tests, following, strict=True)
    )


def _test_record(
    test: plugin.Collected, error: BaseException | None, path: str
) -> dict:
    checks = [_check_record(c) for c in check.recorder.checks]
    record = {"event": "test", "test": test.name, "checks": checks, "error": None}
    if error is None:
        record["outcome"] = "passed"
    elif isinstance(error, check.CheckFailed):
        record["outcome"] = "wrong"
    else:
        record["error"] = describe_error(error, path)
        record["outcome"] = record["error"]["kind"]
    call = check.recorder.call
    record["call"] = call.text(numbers=True) if isinstance(call, Call) else None
    return record


def _check_record(found: dict) -> dict:
    given = found["input"]
    shown, same = given, given  # for readers; for the diagnosis, see Call.text
    if isinstance(given, Call):
        shown, same = given.text(numbers=True), given.text()
    value = values.encode(found["value"])
    return {**found, "input": shown, "same_input": same, "value": value}


# --- Errors -----------------------------------------------------------------------


def describe_error(error: BaseException, path: str) -> dict:
    """An exception as a record: kind, type, message, the last line in lab.py."""
    stack = [f for f in plugin.frames(error.__traceback__) if f[0] == path]
    line = stack[-1][1] if stack else None
    if isinstance(error, SyntaxError) and error.filename == path:
        line = error.lineno
    innermost = list(plugin.frames(error.__traceback__))[-1:]
    return {
        "kind": _kind(error, bool(innermost and innermost[0][0] == path)),
        "type": type(error).__name__,
        "message": _message(error),
        "line": line,
        "function": stack[-1][2] if stack else None,
        "traceback": _traceback(error, path),
    }


def _kind(error: BaseException, in_lab: bool) -> str:
    if isinstance(error, NotImplementedError) and in_lab:
        return "not started"
    for kind, word in _BROKEN_AS.items():
        if isinstance(error, kind):
            return word
    if "can't allocate memory" in str(error):  # torch says it as a RuntimeError
        return "memory"
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return "output"
    if isinstance(error, SystemExit):
        return "exit"
    if isinstance(error, _OUTCOMES):
        return "skipped itself"
    if isinstance(error, check.MissingName):
        return "missing"
    return "error"


def _message(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return error.msg
    with contextlib.suppress(Exception):
        words = " ".join(str(error).split())
        return words[:300].encode("utf-8", "backslashreplace").decode()
    return "(its message cannot be shown)"


def _traceback(error: BaseException, path: str) -> list[str]:
    """The frames from lab.py on, as a person would read them."""
    with contextlib.suppress(Exception):
        frames = traceback.extract_tb(error.__traceback__)
        first = next((i for i, f in enumerate(frames) if f.filename == path), None)
        shown = frames[first:] if first is not None else frames[-3:]
        shown = shown if len(shown) <= 12 else [*shown[:6], *shown[-6:]]
        return traceback.format_list(shown)
    return []


# --- Quarantine -------------------------------------------------------------------


class ClosedInput:
    """Stands in for stdin: nobody is at the keyboard."""

    encoding = "utf-8"

    def _refuse(self, *args: Any) -> Any:
        raise EOFError("lab.py waits for input, and nobody is at the keyboard here")

    read = readline = readlines = __iter__ = __next__ = _refuse

    def fileno(self) -> int:
        return 0

    def isatty(self) -> bool:
        return False


def quarantine(job: dict) -> None:
    """Own process group, no input, output into a file, limits, scratch folder."""
    if hasattr(os, "setsid"):
        with contextlib.suppress(OSError):
            os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    out = os.open(job["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(out, 1)
    os.dup2(out, 2)
    sys.stdin = ClosedInput()
    sys.stdout, sys.stderr = _text_to(1), _text_to(2)
    os.chdir(job["scratch"])
    os.environ["TMPDIR"] = tempfile.tempdir = job["scratch"]
    os.environ["LABS_OFFLINE"] = "1"
    _limit(job)
    trace = os.open(job["trace"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    faulthandler.enable(file=trace, all_threads=False)
    # a moment before the parent kills, note where the submission stands
    patience = max(0.1, job["limit_s"] - 0.1)
    faulthandler.dump_traceback_later(patience, file=trace, exit=job["alone"])


def _text_to(fd: int) -> io.TextIOWrapper:
    raw = io.FileIO(fd, "w", closefd=False)
    return io.TextIOWrapper(raw, "utf-8", errors="replace", write_through=True)


def _limit(job: dict) -> None:
    try:
        import resource
    except ImportError:  # Windows: the parent's clock is what is left
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (OUTPUT_LIMIT, OUTPUT_LIMIT))
    seconds = int(job["limit_s"]) + 5
    resource.setrlimit(resource.RLIMIT_CPU, (seconds * 4, seconds * 4))
    if used := data_in_use():
        bytes_ = used + MEMORY_LIMIT
        resource.setrlimit(resource.RLIMIT_DATA, (bytes_, bytes_))


def data_in_use() -> int | None:
    """VmData of this process in bytes; None where the system does not tell.

    A fixed limit would not do: torch alone maps three gigabytes of address space.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    line = next((x for x in status.splitlines() if x.startswith("VmData")), None)
    return int(line.split()[1]) * 1024 if line else None


def main(job: dict, session: plugin.Plugin, channel: int) -> None:
    """Run one job and leave the process; an "end" record says that all of it ran."""

    def send(event: dict) -> None:
        event["nonce"] = job["nonce"]
        os.write(channel, json.dumps(event).encode() + b"\n")

    code = 1
    try:
        quarantine(job)
        run_job(job, session, send)
        send({"event": "end"})
        code = 0
    except BaseException as error:
        with contextlib.suppress(BaseException):
            send(
                {
                    "event": "fault",
                    "message": "".join(traceback.format_exception(error)),
                }
            )
    finally:
        os._exit(code)
