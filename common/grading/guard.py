"""Watches a submission inside its own worker process.

Two parts. An audit hook (PEP 578) stops what no lab needs: processes, signals,
sockets, ctypes, frames of the caller, the reference's file, writing outside the scratch
folder. A snapshot of the grader's own functions shows whether they were replaced.

By PEP 578's own words this is no sandbox. It keeps accidents and simple tricks out; for
exams, run the whole command in a container. CONTRIBUTING.md lists what is not covered.
"""

from __future__ import annotations

import builtins
import operator
import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

_BLOCKED = {
    "os.fork": "start a process",
    "os.forkpty": "start a process",
    "os.exec": "start a process",
    "os.posix_spawn": "start a process",
    "os.spawn": "start a process",
    "os.system": "start a process",
    "os.startfile": "start a process",
    "pty.spawn": "start a process",
    "subprocess.Popen": "start a process",
    "os.kill": "send a signal",
    "os.killpg": "send a signal",
    "signal.pthread_kill": "send a signal",
    "ctypes.dlopen": "use ctypes",
    "ctypes.dlsym": "use ctypes",
    "ctypes.dlsym/handle": "use ctypes",
    "ctypes.call_function": "use ctypes",
    "ctypes.cdata": "use ctypes",
    "ctypes.string_at": "use ctypes",
    "socket.connect": "use the network",
    "socket.bind": "use the network",
    "socket.getaddrinfo": "use the network",
    "socket.gethostbyname": "use the network",
    "socket.sendto": "use the network",
    "gc.get_objects": "look into other objects",
    "gc.get_referrers": "look into other objects",
    "gc.get_referents": "look into other objects",
    "sys._current_frames": "look into its caller",
    "sys._current_exceptions": "look into its caller",
    "sys.settrace": "trace the grader",
    "sys.setprofile": "trace the grader",
    "sys.monitoring.register_callback": "trace the grader",
    "sys.addaudithook": "listen to the grader",
}
_WRITES = {
    "os.remove",
    "os.rename",
    "os.mkdir",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
    "os.chown",
    "os.utime",
    "shutil.rmtree",
    "shutil.move",
    "shutil.copyfile",
}
_FRAMES = {"tb_frame", "gi_frame", "cr_frame", "ag_frame"}
_INSIDES = {"__code__", "__defaults__", "__kwdefaults__"}  # of a function
_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Blocked(PermissionError):
    """Raised into a submission that tries what no lab needs."""


class Guard:
    """The audit hook of one worker process."""

    def __init__(
        self, submission: Path, name: str, secret: Path, scratch: Path
    ) -> None:
        """
        Args:
            submission: the file the submission's code says it comes from.
            name: the module name it runs under.
            secret: the reference's file, which it may not read.
            scratch: the one folder it may write to.
        """
        self.violations: list[str] = []
        self.active = False
        self._file, self._name = str(submission), name
        self._secret = os.path.realpath(secret)
        self._scratch = os.path.realpath(scratch)
        self._busy = threading.local()
        self._thread = threading.get_ident()

    def install(self) -> None:
        """Listen from now on; audit hooks cannot be removed."""
        sys.addaudithook(self._hook)
        self.active = True

    def _hook(self, event: str, args: tuple) -> None:
        if not self.active or event not in _EVENTS or hasattr(self._busy, "now"):
            return
        self._busy.now = True  # looking at frames raises audit events itself
        try:
            tried = self._judge(event, args)
        finally:
            del self._busy.now
        if tried:
            if tried not in self.violations:
                self.violations.append(tried)
            raise Blocked(f"lab.py tries to {tried}, which a lab does not need")

    def _judge(self, event: str, args: tuple) -> str | None:
        frame = sys._getframe(2)
        if event == "sys._getframe":
            return "look into its caller" if self._asks(frame) else None
        if event in _ATTRIBUTES:
            return self._judge_attribute(frame, event, args[1])
        if event == "open":
            return self._judge_open(frame, args)
        if event in _WRITES:
            outside = [p for p in args if isinstance(p, (str, bytes)) and self._out(p)]
            blame = outside and self._on_stack(frame)
            return (
                f"change {os.path.basename(os.fsdecode(outside[0]))}" if blame else None
            )
        return _BLOCKED[event] if self._on_stack(frame, imports=False) else None

    def _judge_attribute(self, frame: FrameType, event: str, name: str) -> str | None:
        if name in _FRAMES:
            return "look into its caller" if self._asks(frame) else None
        changes = event == "object.__setattr__" or name == "__kwdefaults__"
        if name in _INSIDES and changes and self._ours(frame):
            return "change the inside of a function"
        return None

    def _judge_open(self, frame: FrameType, args: tuple) -> str | None:
        path, mode, flags = (*args, None, None, None)[:3]
        if not isinstance(path, (str, bytes, os.PathLike)):
            return None
        writes = bool(flags and flags & _WRITE_FLAGS)
        writes |= isinstance(mode, str) and any(c in mode for c in "wax+")
        real = os.path.realpath(os.fsdecode(path))
        if writes and self._out(real) and self._on_stack(frame):
            return f"write {os.path.basename(real)}"
        if real == self._secret and self._on_stack(frame):
            return "read solution.py"
        return None

    def _out(self, path: str | bytes) -> bool:
        real = os.path.realpath(os.fsdecode(path))
        return real != os.devnull and not real.startswith(self._scratch)

    def _ours(self, frame: FrameType) -> bool:
        file = frame.f_code.co_filename
        return (
            file == self._file
            or file.startswith(self._scratch)
            or frame.f_globals.get("__name__") == self._name
        )

    def _on_stack(self, frame: FrameType | None, imports: bool = True) -> bool:
        """Whether the submission is among the callers.

        With `imports` false, a library that the submission imports may do as it likes
        while it is imported. A second thread is the submission's doing, whatever it
        runs.
        """
        while frame is not None:
            if (
                not imports
                and frame.f_code.co_filename == "<frozen importlib._bootstrap>"
            ):
                return False
            if self._ours(frame):
                return True
            frame = frame.f_back
        return threading.get_ident() != self._thread

    def _asks(self, frame: FrameType) -> bool:
        """A frame is asked for by the submission, or by a library on its behalf."""
        if self._ours(frame):
            return True
        if not frame.f_code.co_filename.endswith(("inspect.py", "traceback.py")):
            return False
        return any(self._ours(f) for f in (frame.f_back, frame.f_back.f_back) if f)


_ATTRIBUTES = ("object.__getattr__", "object.__setattr__")
_EVENTS = frozenset({*_BLOCKED, *_WRITES, *_ATTRIBUTES, "open", "sys._getframe"})


# --- Whether the grader's own functions were replaced -------------------------------

_MODULES = (
    "builtins",
    "common.labs",
    "common.stubs",
    "common.grading",
    "common.grading.boundary",
    "common.grading.check",
    "common.grading.child",
    "common.grading.guard",
    "common.grading.plugin",
    "common.grading.values",
    "_pytest.python",
    "_pytest.reports",
    "_pytest.runner",
    "_pytest.outcomes",
    "pytest",
    "pluggy._callers",
    "pluggy._hooks",
    "pluggy._manager",
    "hypothesis",
    "hypothesis.core",
    "json",
    "os",
    "re",
    "numpy",
    "numpy.linalg",
    "numpy.random",
    "numpy.testing",
    "torch",
    "torch.linalg",
    "torch.nn.functional",
    "torch.special",
    "torch.testing",
    "tiktoken",
    "regex",
)


class Snapshot:
    """The grader's functions as they were before a submission was imported."""

    def __init__(self, graders: Iterable[ModuleType]) -> None:
        """
        Args:
            graders: the modules that hold the tests; what they import is kept too.
        """
        self._saved: dict[str, tuple[Callable[[], Any], dict]] = {}
        for name in _MODULES:
            if name in sys.modules:
                self._keep(name, sys.modules[name])
        for name in ("common.grading", "_pytest.python", "_pytest.re", "pluggy._"):
            for module in [m for m in sys.modules if m.startswith(name)]:
                self._keep_classes(sys.modules[module])
        for grader in graders:
            self._keep(grader.__name__, grader)
            for value in list(vars(grader).values()):
                if isinstance(value, ModuleType):
                    self._keep(value.__name__, value)
        own = [label for label in self._saved if label.startswith("common.grading")]
        self._own = {label: self._saved[label][1] for label in own}
        self._passing: list[str] = []

    def _keep(self, label: str, owner: Any) -> None:
        self._saved[label] = (owner, dict(vars(owner)))

    def _keep_classes(self, module: Any) -> None:
        for name, value in vars(module).items():
            if isinstance(value, type) and value.__module__ == module.__name__:
                self._keep(f"{module.__name__}.{name}", value)

    def changed(self) -> list[str]:
        """Names that are no longer what they were, without the private bookkeeping.

        First of all the grader gets its `len`, `all` and the like back.
        """
        replaced = builtins.__dict__.copy()
        builtins.__dict__.update(self._saved["builtins"][1])
        found = list(self._passing)
        for label, (owner, before) in self._saved.items():
            now = replaced if owner is builtins else vars(owner)
            if not _untouched(now, before):
                found += self._differ(label, now)
        return found

    def look(self) -> None:
        """After a call: note what it replaced in this package, should it be put back.

        Cheap enough for every call; `changed` looks at all the rest after each test.
        """
        for label, before in self._own.items():
            owner = self._saved[label][0]
            if not _untouched(vars(owner), before):
                self._passing += self._differ(label, vars(owner))
                self._own[label] = dict(vars(owner))

    def _differ(self, label: str, now: Mapping[str, Any]) -> list[str]:
        return [
            f"{label}.{key}"
            for key, value in self._saved[label][1].items()
            if now.get(key, _GONE) is not value and key not in _MOVING
        ]


def _untouched(now: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """Whether the same objects stand in the same places (without id(), an event)."""
    return (
        len(now) == len(before)
        and all(map(operator.is_, now, before))
        and all(map(operator.is_, now.values(), before.values()))
    )


_GONE = object()
# module attributes that change in ordinary use
_MOVING = {
    "__doc__",
    "__warningregistry__",
    "__path__",
    "_",
    "_abc_impl",
    "_recursionlock",
    "getfile",  # of inspect: torch puts its own there when it is imported
}
