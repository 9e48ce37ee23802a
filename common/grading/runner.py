"""Starts the process that grades a lab and talks to it: jobs out, results in.

`Worker` keeps a forking server; `SpawnWorker` is the slow way for systems without fork
(one new process per job), with the same two methods. Neither judges anything.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

from common.grading import worker
from common.labs import Lab

_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_DEFAULTS = {
    "source": "",
    "path": "",
    "secret": "",
    "reference": "",
    "replace": None,
    "idle": None,
    "alone": False,
    "graft": [],
    "tests": [],
    "seed": 0,
    "limit_s": 10.0,
    "guard": True,
    "shuffle": None,
    "first_failure": False,
    "shrink": True,
    "threads": 1,
}


class HarnessFault(Exception):
    """Something on our side: the grader cannot be collected, the server died."""


def environment() -> dict[str, str]:
    """What a grading process sees: one thread per library, UTF-8, repeatable hashes."""
    env = {
        name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"
    }
    env |= {name: "1" for name in _ONE_THREAD}
    return env | {"PYTHONUTF8": "1", "PYTHONHASHSEED": "0", "PYTHONSAFEPATH": "1"}


def parallel() -> int:
    """How many children run at once: the cores, four at most."""
    return max(1, min(4, os.cpu_count() or 1))


def open_worker(lab: Lab) -> Worker | SpawnWorker:
    """The worker that this system allows; `$LABS_START_METHOD=spawn` asks for spawn."""
    spawn = os.environ.get("LABS_START_METHOD") == "spawn" or not hasattr(os, "fork")
    return SpawnWorker(lab) if spawn else Worker(lab)


class Worker:
    """A grading server in a process of its own.

    A thread takes its results in as they come: were both ends to write into full
    pipes, each would wait for the other forever. Its stderr is a file for that reason.
    """

    def __init__(self, lab: Lab) -> None:
        module = [sys.executable, "-m", "common.grading.worker"]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (close() does it)
        self._process = subprocess.Popen(
            [*module, str(lab.folder), str(parallel())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment(),
            start_new_session=True,
        )
        self._numbers = itertools.count()
        self._pending = 0
        self._tests: list[dict] | None = None
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def _listen(self) -> None:
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(b"")  # the end

    @property
    def tests(self) -> list[dict]:
        """The grader's tests; waits until the server has collected them."""
        if self._tests is None:
            self._tests = _tests_of(self._read())
        return self._tests

    def submit(self, job: dict) -> int:
        """Queue a job; its result carries the number returned here."""
        _ = self.tests
        job = _DEFAULTS | job | {"id": next(self._numbers)}
        try:
            self._process.stdin.write(json.dumps(job).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise self._died() from None
        self._pending += 1
        return job["id"]

    def results(self) -> Iterator[dict]:
        """Results as they come, until every submitted job has one."""
        while self._pending:
            result = self._read()
            self._pending -= 1
            yield result

    def _read(self) -> dict:
        line = self._lines.get()
        if not line:
            self._lines.put(line)  # still the end for whoever asks next
            raise self._died()
        return json.loads(line)

    def _died(self) -> HarnessFault:
        self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().decode("utf-8", "replace").strip()
        return HarnessFault(
            f"the grading process ended: {said[-2000:] or 'no message'}"
        )

    def close(self) -> None:
        """End the server; it kills what still runs."""
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(2)
            self._process.kill()
        self._process.wait()
        self._reader.join()
        self._process.stdout.close()
        self._errors.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _tests_of(hello: dict) -> list[dict]:
    if hello["event"] == "fault":
        raise HarnessFault(hello["message"])
    return hello["tests"]


class SpawnWorker:
    """A new process for every job: seconds slower, for systems without fork."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._pool = ThreadPoolExecutor(parallel())
        self._done: queue.Queue = queue.Queue()
        self._numbers = itertools.count()
        self._pending = 0
        self._tests: list[dict] | None = None
        self._live: set[subprocess.Popen] = set()
        self._lock = threading.Lock()

    @property
    def tests(self) -> list[dict]:
        """The grader's tests, collected in a process of their own."""
        if self._tests is None:
            process = self._launch()
            said, errors = process.communicate(b'{"id": "collect"}\n')
            if not said:
                raise HarnessFault(errors.decode("utf-8", "replace")[-2000:])
            self._tests = _tests_of(json.loads(said.splitlines()[-1]))
        return self._tests

    def submit(self, job: dict) -> int:
        """Queue a job; its result carries the number returned here."""
        job = _DEFAULTS | job | {"id": next(self._numbers)}
        self._pending += 1
        self._pool.submit(lambda: self._done.put(self._run(job)))
        return job["id"]

    def results(self) -> Iterator[dict]:
        """Results as they come, until every submitted job has one."""
        while self._pending:
            result = self._done.get()
            self._pending -= 1
            yield result

    def _launch(self) -> subprocess.Popen:
        module = [sys.executable, "-m", "common.grading.worker", "--once"]
        return subprocess.Popen(
            [*module, str(self._lab.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            start_new_session=True,
        )

    def _run(self, job: dict) -> dict:
        worker.prepare(job)
        job["alone"] = True  # it keeps its own clock, as start-up takes its time
        started = time.monotonic()
        process = self._launch()
        with self._lock:
            self._live.add(process)
        start_up_s = 20.0  # importing pytest and the lab's libraries comes on top
        outcome, said = "done", b""
        try:
            line = json.dumps(job).encode() + b"\n"
            said, _ = process.communicate(line, timeout=job["limit_s"] + start_up_s)
        except subprocess.TimeoutExpired:
            outcome = "time"
        finally:
            _kill_tree(process)
        if outcome == "time":
            said, _ = process.communicate()
        run = SimpleNamespace(job=job, events=[], forged=False, started=started)
        run.forged = not all([worker.accept(run, x) for x in said.splitlines()])
        if outcome == "done":
            outcome = worker.ended(run) or worker.stopped(job)
        status = process.returncode if outcome == "ended early" else None
        result = worker.summary(run, outcome, status)
        worker.forget(job)
        with self._lock:
            self._live.discard(process)
        return result

    def close(self) -> None:
        """End everything that still runs."""
        with self._lock:
            for process in self._live:
                _kill_tree(process)
        self._pool.shutdown(wait=True, cancel_futures=True)

    __enter__ = Worker.__enter__
    __exit__ = Worker.__exit__


def _kill_tree(process: subprocess.Popen) -> None:
    if hasattr(os, "killpg"):
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(OSError):
        process.kill()


def lab_digest(lab: Lab) -> dict[str, bytes]:
    """The bytes of the files that decide a verdict; none for a file that is gone."""
    names = ("test_lab.py", "solution.py", "lab.toml")
    files = {name: lab.file(name) for name in names}
    return {n: f.read_bytes() if f.is_file() else b"" for n, f in files.items()}
