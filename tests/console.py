"""A small checkout in a temporary folder, and the `labs` command run there.

Shared by the tests of the command; nothing here is a test. The checkout holds labs made
by `common.scaffold`, so that a run takes half a second and nothing of ours is touched.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import uuid
from contextlib import suppress
from pathlib import Path

from common import labs, scaffold

DEADLINE_S = 15.0
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_OURS = ("LABS_", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CI", "PYTEST_")


class Checkout:
    """A folder with one phase, its labs, and the state of who works there."""

    def __init__(self, root: Path, monkeypatch, names: tuple[str, ...]) -> None:
        self.root, self.state = root, root / ".labs"
        self.mark = uuid.uuid4().hex  # every process of ours carries it
        (root / "phase-01-small").mkdir(parents=True)
        with monkeypatch.context() as patch:
            patch.setenv("LABS_ROOT", str(root))
            self.folders = [
                scaffold.create(f"1.{i}", name) for i, name in enumerate(names, 1)
            ]
            labs.all_labs()  # the cache then holds this checkout whole
        if not names:
            return
        self.folder = self.folders[0]
        self.lab, self.test = self.folder / "lab.py", self.folder / "test_lab.py"
        self.solution = self.folder / "solution.py"
        self.right = self.solution.read_text(encoding="utf-8")

    def env(self, **more: str) -> dict[str, str]:
        """An environment that knows this checkout and nothing of the caller's own."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(_OURS)}
        env |= {"LABS_ROOT": str(self.root), "LABS_STATE": str(self.state)}
        env |= {"LABS_TEST_MARK": self.mark, "TERM": "xterm", "LC_ALL": "C.UTF-8"}
        return env | more

    def command(self, *words: str) -> list[str]:
        """How the command is called."""
        return [sys.executable, "-m", "common.cli", *words]

    def labs(self, *words: str, **more: str) -> subprocess.CompletedProcess:
        """Run the command to its end, without a terminal; output as UTF-8 text."""
        return subprocess.run(
            self.command(*words),
            env=self.env(**more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
        )

    def start(self, *words: str, **more: str) -> subprocess.Popen:
        """Start the command and go on."""
        pipe = subprocess.PIPE
        return subprocess.Popen(
            self.command(*words),
            env=self.env(**more),
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
        )

    def progress(self) -> str:
        """The text of the progress file."""
        return (self.state / "progress.json").read_text(encoding="utf-8")

    def processes(self) -> list[int]:
        """The processes that carry this checkout's mark."""
        return [p for p in _pids() if self.mark.encode() in _environ(p)]

    def running(self, least: int) -> None:
        """Wait until so many processes are there."""
        end = time.monotonic() + DEADLINE_S
        while len(self.processes()) < least:
            assert time.monotonic() < end, f"never {least} processes"
            time.sleep(0.02)

    def left_behind(self, within_s: float = 1.0) -> list[int]:
        """The processes that are still there after a while."""
        end = time.monotonic() + within_s
        while (left := self.processes()) and time.monotonic() < end:
            time.sleep(0.02)
        return left


def _pids() -> list[int]:
    return [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit()]


def _environ(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_bytes()
    return b""


def plain(text: str) -> str:
    """Text without colours and carriage returns."""
    return _ESCAPES.sub("", text).replace("\r", "")


def calm(said: subprocess.CompletedProcess) -> str:
    """All that a run printed, which must hold no traceback."""
    text = said.stdout + said.stderr
    assert "Traceback" not in text, text
    return text


class Terminal:
    """The command on a terminal of its own."""

    def __init__(
        self, place: Checkout, *words: str, columns: int = 80, **more: str
    ) -> None:
        """Start the command with its input and output on a terminal so wide."""
        command, env = place.command(*words), place.env(**more)
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
            os.execve(command[0], command, env)
        self.raw = ""  # all that was printed
        self._read_to = 0
        self._status: int | None = None

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._fd)

    def send(self, keys: str) -> None:
        """Press keys."""
        os.write(self._fd, keys.encode())

    def _hear(self, seconds: float) -> bool:
        if not select.select([self._fd], [], [], seconds)[0]:
            return False
        with suppress(OSError):  # Linux says EIO when the other side has closed
            data = os.read(self._fd, 1 << 16)
            self.raw += data.decode("utf-8", "replace")
            return bool(data)
        raise EOFError

    def expect(self, text: str) -> str:
        """Wait for a text; give what was printed since the last one, up to it."""
        end = time.monotonic() + DEADLINE_S
        while True:
            new = plain(self.raw)[self._read_to :]
            if text in new:
                at = new.index(text) + len(text)
                self._read_to += at
                return new[:at]
            if time.monotonic() > end:
                raise AssertionError(f"{text!r} did not come, but: {new}")
            try:
                self._hear(0.1)
            except EOFError:
                raise AssertionError(f"ended without {text!r}: {new}") from None

    def end(self) -> int:
        """Read to the end and give the exit code."""
        with suppress(EOFError):
            stop = time.monotonic() + DEADLINE_S
            while time.monotonic() < stop:
                self._hear(0.1)
            raise AssertionError(f"still running: {plain(self.raw)}")
        _, status = os.waitpid(self.pid, 0)
        self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def lines(self) -> list[str]:
        """All lines, without colours."""
        return plain(self.raw).splitlines()
