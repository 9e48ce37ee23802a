"""Finds and loads labs: the one place that knows the folder layout.

A lab is a folder with `solution.py`, `lab.py`, `test_lab.py`, `lab.toml`, `README.md`
and `experiment.py`. Grading lives in `common.grading`; this module only reads.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import os
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from common import stubs

FILES = (
    "README.md",
    "lab.py",
    "solution.py",
    "test_lab.py",
    "lab.toml",
    "experiment.py",
)
TASK_LIMIT_S = 10.0


class LabError(Exception):
    """A lab folder that does not hold together; the message says which part."""


class UnknownLab(LookupError):
    """No lab of that name; the message lists the near ones."""


@dataclass(frozen=True)
class Task:
    """One task of a lab, as `lab.toml` describes it."""

    id: int
    name: str
    points: int
    hints: tuple[str, ...]
    limit_s: float = TASK_LIMIT_S

    @property
    def label(self) -> str:
        """How a report numbers it: its id, or a plus sign for a bonus."""
        return str(self.id) if self.points else "+"


@dataclass(frozen=True)
class Misconception:
    """A typical wrong version of the solution, as a textual edit of it."""

    id: str
    task: int
    edits: tuple[tuple[str, str], ...]
    says: str
    because: str


@dataclass(frozen=True)
class Lab:
    """One lab folder and what its `lab.toml` says."""

    id: str
    folder: Path
    title: str
    uses: tuple[str, ...]
    tasks: tuple[Task, ...]
    misconceptions: tuple[Misconception, ...]

    @property
    def slug(self) -> str:
        """The folder's name, which never changes."""
        return self.folder.name

    @property
    def points(self) -> int:
        """What a full solution earns (10)."""
        return sum(task.points for task in self.tasks)

    def task(self, id: int) -> Task:
        """The task with this number; LookupError names those there are."""
        for task in self.tasks:
            if task.id == id:
                return task
        there = ", ".join(f"{self.id}.{task.id}" for task in self.tasks)
        raise UnknownLab(f"{self.id} has no task {id}. Its tasks: {there}.")

    def file(self, name: str) -> Path:
        """A file of the lab by its bare name."""
        return self.folder / name

    def source(self) -> str:
        """The text of solution.py."""
        return self.file("solution.py").read_text(encoding="utf-8")

    def variant(self, id: str) -> str:
        """The solution with one misconception put in."""
        wrong = next(m for m in self.misconceptions if m.id == id)
        return stubs.apply(self.source(), wrong.edits)


def root() -> Path:
    """The folder that holds the phase folders: `$LABS_ROOT`, or this checkout."""
    return Path(os.environ.get("LABS_ROOT") or Path(__file__).resolve().parents[1])


def phases() -> list[Path]:
    """The phase folders in order."""
    return sorted(p for p in root().glob("phase-*") if p.is_dir())


def phase_title(folder: Path) -> str:
    """``Phase 2: Neural networks``, the first line of the phase's README."""
    with contextlib.suppress(OSError):
        first = (folder / "README.md").read_text(encoding="utf-8").split("\n", 1)[0]
        return first.removeprefix("# ")
    return folder.name


@functools.cache
def _scan(base: Path) -> tuple[tuple[Lab, ...], tuple[LabError, ...]]:
    """All labs below `base`, and what is wrong with those that cannot be read."""
    found, damaged = [], []
    for path in sorted(base.glob("phase-*/lab-*/")):
        try:
            found.append(read(path))
        except LabError as error:
            damaged.append(error)
    return tuple(found), tuple(damaged)


def all_labs() -> list[Lab]:
    """Every lab of the checkout that can be read, in order."""
    return list(_scan(root())[0])


def damaged() -> list[str]:
    """What is wrong with the labs that cannot be read; one line each."""
    return [str(error) for error in _scan(root())[1]]


def lab_id(folder: Path) -> str:
    """``1.2`` for ``phase-01-x/lab-02-y``; the folder's name elsewhere."""
    phase = re.match(r"phase-0*(\d+)", folder.parent.name)
    lab = re.match(r"lab-0*(\d+)", folder.name)
    return f"{phase[1]}.{lab[1]}" if phase and lab else folder.name


# --- Reading lab.toml -------------------------------------------------------------


def read(folder: Path) -> Lab:
    """Read one lab folder. LabError where `lab.toml` is missing or does not parse."""
    path = folder / "lab.toml"
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        return _lab(folder, data)
    except FileNotFoundError:
        raise LabError(f"{folder.name}: lab.toml is missing") from None
    except tomllib.TOMLDecodeError as error:
        raise LabError(f"{folder.name}/lab.toml: {error}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise LabError(f"{folder.name}/lab.toml: {_field(error)}") from None


def _field(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


def _lab(folder: Path, data: dict) -> Lab:
    tasks = tuple(
        Task(
            id=int(t["id"]),
            name=str(t["name"]),
            points=int(t["points"]),
            hints=tuple(t.get("hints", ())),
            limit_s=float(t.get("limit_s", TASK_LIMIT_S)),
        )
        for t in data.get("task", [])
    )
    wrong = tuple(
        Misconception(
            id=str(m["id"]),
            task=int(m["task"]),
            edits=_edits(m),
            says=str(m["says"]),
            because=str(m["because"]),
        )
        for m in data.get("misconception", [])
    )
    uses = tuple(data.get("uses", ()))
    return Lab(lab_id(folder), folder.resolve(), str(data["title"]), uses, tasks, wrong)


def _edits(entry: dict) -> tuple[tuple[str, str], ...]:
    if "edits" in entry:
        return tuple((find, replace) for find, replace in entry["edits"])
    return ((entry["find"], entry["replace"]),)


def problems(lab: Lab) -> list[str]:
    """What does not hold in a lab's folder and `lab.toml`; empty when all does."""
    found = [f"{name} is missing" for name in FILES if not lab.file(name).exists()]
    ids = [task.id for task in lab.tasks]
    if lab.points != 10:
        found.append(f"points sum to {lab.points}, not 10")
    if len(set(ids)) != len(ids):
        found.append("two tasks have the same id")
    found += [f"task {t.id} has no three hints" for t in lab.tasks if len(t.hints) != 3]
    for task in lab.tasks:
        if task.points and task.id not in {m.task for m in lab.misconceptions}:
            found.append(f"task {task.id} has no misconception")
    if lab.file("solution.py").exists():
        found += _source_problems(lab, set(ids))
    return found


def _source_problems(lab: Lab, ids: set[int]) -> list[str]:
    source = lab.source()
    try:
        marked = set(stubs.task_names(source))
    except SyntaxError as error:
        return [f"solution.py does not parse: {error}"]
    found = [f"solution.py marks nothing as task {i}" for i in sorted(ids - marked)]
    found += [f"solution.py marks an unknown task {i}" for i in sorted(marked - ids)]
    seen: set[str] = set()
    for wrong in lab.misconceptions:
        if wrong.id in seen:
            found.append(f"two misconceptions are named {wrong.id}")
        seen.add(wrong.id)
        if wrong.task not in ids:
            found.append(f"misconception {wrong.id}: unknown task {wrong.task}")
        try:
            compile(stubs.apply(source, wrong.edits), wrong.id, "exec")
        except (ValueError, SyntaxError) as error:
            found.append(f"misconception {wrong.id}: {error}")
    return found


# --- Finding a lab by what a person types -----------------------------------------


def find(name: str) -> tuple[Lab, int | None]:
    """The lab (and task) that `name` means: 1.1, 1.1.3, a folder's name, part, or path.

    UnknownLab lists the nearest names.
    """
    path = Path(name)
    if ("/" in name or name.startswith(".")) and path.exists():
        folder = path if path.is_dir() else path.parent
        return read(folder.resolve()), None
    labs = all_labs()
    numbered = re.fullmatch(r"(\d+\.\d+)(?:\.(\d+))?", name)
    for lab in labs:
        if numbered and lab.id == numbered[1]:
            task = int(numbered[2]) if numbered[2] else None
            return (lab, lab.task(task).id if task is not None else None)
        if name == lab.slug:
            return lab, None
    part = [lab for lab in labs if not numbered and name.lower() in lab.slug]
    if len(part) == 1:
        return part[0], None
    for folder in root().glob("phase-*/lab-*/"):
        if name in (lab_id(folder), folder.name):
            read(folder)  # says what is wrong with it
    raise UnknownLab(_near(name, labs, part))


def select(name: str | None) -> list[Lab]:
    """The labs that a phase number, a lab's name, or nothing (all) means."""
    if name is None:
        return all_labs()
    if name.isdigit():
        chosen = [lab for lab in all_labs() if lab.id.split(".")[0] == name]
        if chosen:
            return chosen
    return [find(name)[0]]


def _near(name: str, labs: list[Lab], part: list[Lab]) -> str:
    if part:
        return f"{name!r} means several labs: " + ", ".join(_called(x) for x in part)
    words = {lab.id: lab for lab in labs} | {lab.slug: lab for lab in labs}
    words |= {re.sub(r"^lab-\d+-", "", lab.slug): lab for lab in labs}
    near = difflib.get_close_matches(name, words, n=3, cutoff=0.3)
    chosen = list(dict.fromkeys(_called(words[word]) for word in near))
    if not chosen:
        chosen = [_called(lab) for lab in labs[:3]]
    return f"There is no lab {name!r}. Near it: " + ", ".join(chosen)


def _called(lab: Lab) -> str:
    return f"{lab.id} ({lab.slug})"


# --- Loading ----------------------------------------------------------------------


def load(source: str, path: Path | str, name: str) -> ModuleType:
    """Run Python source as module `name`; tracebacks point into `path`."""
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # dataclasses look their module up while it runs
    try:
        exec(compile(source, str(path), "exec", dont_inherit=True), vars(module))
    except BaseException:
        del sys.modules[name]
        raise
    return module


@functools.cache
def solution(name: str) -> ModuleType:
    """The reference solution of a lab as a module: ``labs.solution("1.1")``."""
    lab, _ = find(name)
    module_name = "solution_" + re.sub(r"\W", "_", lab.id)
    return load(lab.source(), lab.file("solution.py"), module_name)


def implementation(lab: Lab, impl: str = "lab") -> ModuleType:
    """A lab's module: its lab.py (``lab``), its ``solution``, or a Python file."""
    path = implementation_path(lab, impl)
    return load(path.read_text(encoding="utf-8-sig"), path, f"{impl_name(impl)}_module")


def implementation_path(lab: Lab, impl: str = "lab") -> Path:
    """The file that ``--impl`` names. UnknownLab where there is none."""
    path = lab.file(f"{impl}.py") if impl in ("lab", "solution") else Path(impl)
    if not path.is_file():
        raise UnknownLab(f"--impl takes lab, solution, or a Python file, not {impl!r}")
    return path.resolve()


def impl_name(impl: str) -> str:
    """A short identifier for an implementation."""
    return impl if impl in ("lab", "solution") else "submission"


def stub_text(lab: Lab) -> str:
    """What the lab's `lab.py` starts as."""
    return stubs.stub(lab.source())
