"""The adversarial suite: each file in tests/attacks is a hostile lab and its verdict.

The header of a file says what it does, what it must get and what the record must say.
The suite looks at the verdict, and at what an attack leaves behind: processes, files,
memory, and a grading server that grades an honest lab as before.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from common import labs
from common.grading import grade, runner

HERE = Path(__file__).parent / "attacks"
FILES = {path.stem: path for path in sorted(HERE.glob("[0-9][0-9]_*.py"))}
ON_FILES = [name for name in FILES if name[:2] in ("22", "23")]  # they write ours
TASKS = (1, 2, 3, 4)
LIMIT_S = 1.5  # of each task, in the target's lab.toml
MARK = "LABS_TEST_MARK"
SPAWNED = (
    "01_loop",
    "07_exit_in_call",
    "08_exit_at_import",
    "14_patched_comparison",
    "28_segfault",
    "31_reads_stdin",
)


@dataclass(frozen=True)
class Expected:
    """The header of an attack, read."""

    verdicts: dict[int, str]
    says: str
    seed: int  # the seed that a table of answers was made for
    in_time: bool  # whether it runs into the limit of a task

    @property
    def earned(self) -> list[int]:
        return [task for task, verdict in self.verdicts.items() if verdict == "earned"]


def read_header(path: Path) -> Expected:
    """What the comment lines at the top of an attack ask for."""
    text = path.read_text(encoding="utf-8")
    found = dict(re.findall(r"^# (attack \d+|expect|says|seed): (.+)$", text, re.M))
    assert f"attack {int(path.stem[:2])}" in found, f"{path.name} has no title"
    verdicts: dict[int, str] = {}
    for part in found["expect"].split(", "):
        which, verdict = part.split(" ", 1)
        first, _, last = which.partition("-")
        chosen = TASKS if which == "all" else range(int(first), int(last or first) + 1)
        verdicts |= dict.fromkeys(chosen, verdict)
    assert tuple(verdicts) == TASKS, f"{path.name} does not expect one verdict a task"
    says = found.get("says", "")
    return Expected(
        verdicts, says, int(found.get("seed", 1)), says.startswith("stopped")
    )


# --- The target and its server ----------------------------------------------------


@pytest.fixture
def target(tmp_path: Path) -> labs.Lab:
    """A copy of the target that an attack may damage."""
    folder = tmp_path / "target"
    shutil.copytree(HERE / "target", folder, ignore=shutil.ignore_patterns("__*"))
    return labs.read(folder)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One grading server for the whole module, marked so that its children show."""
    folder = tmp_path_factory.mktemp("server") / "target"
    scratch = tmp_path_factory.mktemp("jobs")
    shutil.copytree(HERE / "target", folder, ignore=shutil.ignore_patterns("__*"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MARK, str(os.getpid()))
        patch.setenv("TMPDIR", str(scratch))  # the folders of its jobs, and no others
        with Server(labs.read(folder), scratch) as running:
            yield running


class Server:
    """A worker and the lab it serves."""

    def __init__(self, lab: labs.Lab, scratch: Path | None = None) -> None:
        self.lab, self.worker = lab, runner.open_worker(lab)
        self.scratch = scratch
        self._files = files_of(lab)
        _ = self.worker.tests

    def grade(self, source: str, seed: int = 3, **options: object) -> dict:
        path = self.lab.file("lab.py")
        grading = grade.Grading(
            self.lab, path, source, self.worker, seed=seed, **options
        )
        return grading.run()

    def untouched(self) -> bool:
        """Whether the lab's folder holds what it held at the start."""
        return files_of(self.lab) == self._files

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.worker.close()


def files_of(lab: labs.Lab) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in lab.folder.iterdir()}


# --- What an attack may leave behind ----------------------------------------------


def marked_processes() -> set[int]:
    """Processes that carry the mark of this module in their environment."""
    mark, found = f"{MARK}={os.getpid()}".encode(), set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.add(int(entry.name))
        except OSError:  # gone, or another user's
            continue
    return found


def left_running(before: set[int], patience_s: float = 1.0) -> set[int]:
    """Marked processes that are new and still there after a second."""
    end = time.monotonic() + patience_s
    while left := marked_processes() - before:
        if time.monotonic() > end:
            return left
        time.sleep(0.02)
    return set()


def resident_mb(pids: set[int]) -> float:
    """The memory that these processes hold."""
    total = 0
    for pid in pids:
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
        total += int(found[1]) if found else 0
    return total / 1024


def said(record: dict) -> str:
    """Everything that a record says of what went wrong."""
    words = [*record["violations"]]
    words += [record["void"]["why"]] if record["void"] else []
    words += [record["import_error"]["message"]] if record["import_error"] else []
    for task in record["tasks"]:
        words += [task["reason"] or ""]
        for test in task["tests"]:
            words += [test["error"]["message"]] if test["error"] else []
            words += [f"{check['kind']} {check['got']}" for check in test["checks"]]
    return "\n".join(words)


def verdicts(record: dict) -> dict[int, str]:
    return {task["id"]: task["verdict"] for task in record["tasks"]}


def check_record(lab: labs.Lab, record: dict, expected: Expected) -> None:
    """The verdicts, the points that follow from them, and the words."""
    assert verdicts(record) == expected.verdicts, said(record)
    assert record["points"] == sum(lab.task(task).points for task in expected.earned)
    assert expected.says in said(record)


# --- The suite --------------------------------------------------------------------

linux = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="looks at processes through /proc"
)


def test_the_target_is_a_sound_lab(server: Server) -> None:
    """The solution earns all, the stub nothing, a misconception all but its task."""
    lab = server.lab
    assert labs.problems(lab) == []
    assert lab.file("lab.py").read_text(encoding="utf-8") == labs.stub_text(lab)
    assert server.grade(lab.source())["points"] == 10
    assert server.grade(labs.stub_text(lab))["points"] == 0
    for wrong in lab.misconceptions:
        record = server.grade(lab.variant(wrong.id))
        lost = [
            task for task, verdict in verdicts(record).items() if verdict != "earned"
        ]
        assert lost == [wrong.task]
        assert [d["id"] for d in record["tasks"][wrong.task - 1]["diagnosis"]] == [
            wrong.id
        ]


@linux
@pytest.mark.parametrize("name", [name for name in FILES if name not in ON_FILES])
def test_attack(server: Server, name: str) -> None:
    expected = read_header(FILES[name])
    source = FILES[name].read_text(encoding="utf-8")
    before = marked_processes()
    memory = resident_mb({*before, os.getpid()})
    started = time.monotonic()
    # a table of answers must not know the inputs: never grade with its own seed
    record = server.grade(source, seed=expected.seed + 1)
    wall_s = time.monotonic() - started
    check_record(server.lab, record, expected)
    assert left_running(before) == set()
    assert list(server.scratch.iterdir()) == []
    assert resident_mb({*before, os.getpid()}) < memory + 100
    assert server.untouched()
    if expected.in_time:
        assert wall_s < LIMIT_S + 1
    honest = server.grade(server.lab.source(), controls=False)
    assert honest["points"] == 10


@pytest.mark.parametrize("name", ON_FILES)
def test_second_run_finds_the_grader_as_it_was(target: labs.Lab, name: str) -> None:
    """A new server, which reads test_lab.py anew, comes to the same verdict."""
    expected = read_header(FILES[name])
    before = files_of(target)
    for _ in range(2):
        with Server(target) as again:
            record = again.grade(FILES[name].read_text(encoding="utf-8"))
        check_record(target, record, expected)
        assert files_of(target) == before


def test_table_of_answers_is_a_live_one(server: Server) -> None:
    """With the seed it was made for, the table does earn its task."""
    name = "33_table_of_answers"
    expected = read_header(FILES[name])
    record = server.grade(FILES[name].read_text("utf-8"), seed=expected.seed)
    assert verdicts(record) == dict.fromkeys(TASKS, "earned")


def test_temporary_files_are_allowed(server: Server) -> None:
    """What the guard lets through: a lab may use the folder for temporary files."""
    source = server.lab.source() + (
        "\nimport tempfile\nfile = tempfile.TemporaryFile()\nfile.write(bytes(1000))\n"
    )
    record = server.grade(source)
    assert (record["points"], record["violations"]) == (10, [])


@pytest.mark.parametrize("name", SPAWNED)
def test_attack_without_fork(
    target: labs.Lab, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same verdicts where every job is a new process."""
    monkeypatch.setenv("LABS_START_METHOD", "spawn")
    expected = read_header(FILES[name])
    source = FILES[name].read_text(encoding="utf-8")
    with Server(target) as alone:
        record = alone.grade(source, tasks=[1, 3], controls=False)
    assert verdicts(record) == {task: expected.verdicts[task] for task in (1, 3)}
    assert expected.says in said(record)
