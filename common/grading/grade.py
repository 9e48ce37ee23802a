"""Grades one submission of one lab and returns the record.

Order of events: import once, then each task in a process of its own. What failed is
graded again on top of the reference's earlier tasks; what is wrong is then compared
with the reference and the known misconceptions, which run the same tests. As soon as
anything is earned the controls run. Verdicts are made here, from what the children's
tests said.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from common import stubs
from common.grading import diagnosis, record, runner
from common.labs import Lab, Task

_SOLUTION = "(solution)"  # no id of a misconception has brackets
EARNED, WRONG, NOT_STARTED = "earned", "wrong", "not started"
BROKEN, VOID = "broken", "void"


@dataclass
class TaskState:
    """What is known of one task while a run goes on."""

    task: Task
    tests: list[dict]
    verdict: str = NOT_STARTED
    result: dict | None = None
    reason: str | None = None  # why it is broken, in words
    waits_for: int | None = None  # the task whose stub it ran into
    grafted: list[int] = field(default_factory=list)
    final: bool = False
    matches: list[str] = field(default_factory=list)
    # what the reference and its wrong versions gave; None: still running
    versions: dict[str, diagnosis.Signature | None] = field(default_factory=dict)

    def events(self) -> dict[str, dict]:
        """The test records of the result in force, by test name."""
        events = self.result["events"] if self.result else []
        return {e["test"]: e for e in events if e["event"] == "test"}


class Grading:
    """One run: one submission, one lab, one seed."""

    def __init__(
        self,
        lab: Lab,
        path: Path,
        source: str,
        worker: runner.Worker | runner.SpawnWorker,
        *,
        tasks: list[int] | None = None,
        seed: int | None = None,
        controls: bool = True,
        shuffle: int | None = None,
        memory: dict | None = None,
    ) -> None:
        """
        Args:
            lab: the lab to grade.
            path: the file the source is from; tracebacks and the report name it.
            source: the submission's text.
            worker: the grading process of this lab.
            tasks: which tasks; all by default.
            seed: for the drawn inputs; a new one by default.
            controls: whether idle labs are run too, once something is earned.
            shuffle: a number that changes the order of the tests.
            memory: signatures of the reference and of its wrong versions, kept by a
                caller that grades more than once with the same seed and grader.
        """
        self.lab, self.path, self.source = lab, path, source
        self._is_reference = path == lab.file("solution.py")
        self.seed = secrets.randbelow(10_000) if seed is None else seed
        self.violations: list[str] = []
        self.void: dict | None = None
        self.import_error: dict | None = None
        self.controls: dict[str, bool] = {}
        self.imported_in_s: float | None = None
        self.skipped = [t for t in worker.tests if t["missing"]]
        self._worker, self._reference = worker, lab.source()
        self._names = stubs.task_names(self._reference)
        self._rewritten = stubs.rewritten(source, self._reference)
        self._with_controls, self._shuffle = controls, shuffle
        self._controls_started = False
        self._memory = {} if memory is None else memory
        self._then: dict[int, Callable[[dict], None]] = {}
        wanted = [t for t in lab.tasks if tasks is None or t.id in tasks]
        self.states = {t.id: TaskState(t, self._tests_of(t.id)) for t in wanted}

    def _tests_of(self, task: int) -> list[dict]:
        tests = self._worker.tests
        return [t for t in tests if t["task"] == task and not t["missing"]]

    def run(self) -> dict:
        """Grade, and return the record."""
        started = time.time()
        empty = [t for t, s in self.states.items() if not s.tests]
        if empty:
            raise runner.HarnessFault(
                f"no test decides task {empty[0]} of {self.lab.id}"
            )
        before = runner.lab_digest(self.lab)
        self._submit({"tests": []}, self._on_import)
        for result in self._worker.results():
            self._then.pop(result["id"])(result)
        self._put_back(before)
        return record.build(self, started)

    def _key(self, version: str, state: TaskState) -> tuple:
        return memory_key(version, self.seed, state.task.id)

    # jobs

    def _submit(self, job: dict, then: Callable[[dict], None]) -> None:
        base = {
            "source": self.source,
            "path": str(self.path),
            "secret": str(self.lab.file("solution.py")),
            "reference": self._reference,
            "seed": self.seed,
            "shuffle": self._shuffle,
            "limit_s": self._limit(job["tests"]),
            # the reference may read itself
            "guard": not self._is_reference,
        }
        self._then[self._worker.submit(base | job)] = then

    def _limit(self, tests: list[str]) -> float:
        """The limits of the tasks that these tests belong to, added up."""
        tasks = {
            s.task for s in self.states.values() for t in s.tests if t["name"] in tests
        }
        return sum(task.limit_s for task in tasks) or self.lab.tasks[0].limit_s

    def _task_job(self, state: TaskState) -> dict:
        idle = stubs.control(self._reference, "empty") if self._with_controls else None
        return {"tests": _names(state.tests), "idle": idle}

    def _all_tests(self) -> list[str]:
        return [name for s in self.states.values() for name in _names(s.tests)]

    def _our_job(self, source: str, tests: list[str]) -> dict:
        """A job for the reference or a wrong version of it."""
        path = str(self.lab.file("solution.py"))
        job = {"source": source, "path": path, "tests": tests}
        return job | {"guard": False, "shuffle": None}

    # what follows from a result

    def _on_import(self, result: dict) -> None:
        loaded = [e for e in result["events"] if e["event"] == "loaded"]
        if loaded:
            self.imported_in_s = loaded[0]["seconds"]
            self._note_altered(loaded[0]["altered"], "importing")
            for id, state in self.states.items():
                job = self._task_job(state)
                self._submit(job, lambda r, id=id: self._on_task(id, r))
            return
        self.import_error = import_failure(result)
        for event in result["events"]:
            self._note_violations(event.get("violations", []))
        for state in self.states.values():
            state.verdict, state.result = BROKEN, result
            state.reason = self.import_error["message"]

    def _must_pass(self, result: dict, tests: list[str]) -> None:
        """The reference's own run holds, or nothing can be said of the submission."""
        if (lost := first_lost(result, tests)) is not None:
            raise runner.HarnessFault(
                f"solution.py of {self.lab.id} does not pass its own grader ({lost})"
            )

    def _on_task(self, id: int, result: dict) -> None:
        self._take(self.states[id], result)
        self._finish_in_order()

    def _on_graft(self, id: int, result: dict) -> None:
        state = self.states[id]
        self._take(state, result)
        state.final = True
        self._settle(id, state)
        self._finish_in_order()

    def _take(self, state: TaskState, result: dict) -> None:
        state.result = result
        judge(state)
        self._note(result)
        if state.verdict == EARNED:
            self._start_controls()

    def _finish_in_order(self) -> None:
        """A task is final once all before it are, and a graft is tried where one helps.

        What waits on an earlier task's answer is decided after that answer is known.
        """
        for id, state in self.states.items():
            if state.final:
                continue
            if state.result is None or state.grafted:
                return
            unearned = [t for t in self._earlier(id) if not self._earned(t)]
            if self._graft_may_help(state, unearned):
                state.grafted = unearned
                job = self._task_job(state) | {"graft": unearned}
                self._submit(job, lambda r, id=id: self._on_graft(id, r))
                return
            state.final = True
            self._settle(id, state)

    def _earlier(self, id: int) -> list[int]:
        """The tasks before this one; those not asked for only if they are not ours."""
        before = [task.id for task in self.lab.tasks if task.id < id]
        return [t for t in before if t in self.states or t in self._rewritten]

    def _earned(self, id: int) -> bool:
        return id in self.states and self.states[id].verdict == EARNED

    def _graft_may_help(self, state: TaskState, unearned: list[int]) -> bool:
        """Whether a lost task could be lost through an earlier one."""
        if state.verdict == EARNED or not unearned:
            return False
        if state.verdict == NOT_STARTED:
            return state.waits_for not in (None, state.task.id)
        if state.result["outcome"] == "time":  # do not wait out a loop of its own twice
            return self._stood_in(state.result) != state.task.id
        return True

    def _stood_in(self, result: dict) -> int | None:
        """The task whose function was running when a process was stopped."""
        stood = result["stood"]
        if stood is None:
            return None
        owners = {name: t for t, ns in self._names.items() for name in ns}
        for name, lines in stubs.spans(self.source).items():
            if stood["line"] in lines and name in owners:
                return owners[name]
        return None

    def _settle(self, id: int, state: TaskState) -> None:
        """Once a wrong task is final: look for a misconception with its values."""
        if state.verdict != WRONG or self._is_reference:
            return
        ours = {w.id: w.edits for w in self.lab.misconceptions if w.task == id}
        ours = {_SOLUTION: (), **ours}
        state.versions = dict.fromkeys(ours)
        for version, edits in ours.items():
            if (known := self._memory.get(self._key(version, state))) is not None:
                self._compare(state, version, known)
                continue
            source = stubs.apply(self._reference, edits)
            job = self._our_job(source, _names(state.tests))
            self._submit(job, lambda r, v=version: self._on_version(state, v, r))

    def _on_version(self, state: TaskState, version: str, result: dict) -> None:
        if version == _SOLUTION:
            self._must_pass(result, _names(state.tests))
        signature = diagnosis.signature(result["events"])
        self._memory[self._key(version, state)] = signature
        self._compare(state, version, signature)

    def _compare(
        self, state: TaskState, version: str, theirs: diagnosis.Signature
    ) -> None:
        """Take one more version in; when all are there, see which fits."""
        state.versions[version] = theirs
        if None not in state.versions.values():
            wrong = dict(state.versions)
            reference = wrong.pop(_SOLUTION)
            mine = diagnosis.signature(state.result["events"])
            state.matches = diagnosis.matches(mine, reference, wrong)

    # controls

    def _start_controls(self) -> None:
        """Labs without an idea in them earn nothing, the reference everything."""
        if self._controls_started or not self._with_controls:
            return
        self._controls_started = True
        for kind in stubs.CONTROLS:
            job = {
                "replace": stubs.control(self._reference, kind),
                "tests": self._all_tests(),
                "shuffle": None,
                "first_failure": True,
            }
            self._submit(job, lambda r, k=kind: self._on_control(k, r))
        if self._is_reference:
            return
        job = {"replace": self._reference, "tests": self._all_tests(), "shuffle": None}
        self._submit(job, self._on_reference_after_import)

    def _on_control(self, kind: str, result: dict) -> None:
        passed = {e["test"] for e in result["events"] if e.get("outcome") == "passed"}
        earned = [
            id
            for id, state in self.states.items()
            if all(test["name"] in passed for test in state.tests)
        ]
        self.controls[kind] = not earned
        if earned:
            self._make_void(
                kind, f"after importing lab.py, a lab that {_IDLE[kind]} passes too"
            )

    def _on_reference_after_import(self, result: dict) -> None:
        lost = first_lost(result, self._all_tests())
        self.controls["solution"] = lost is None
        if lost is None:
            return
        self._make_void(
            "solution",
            "after importing lab.py, the reference fails too "
            f"({lost.removeprefix('test_').replace('_', ' ')})",
        )
        tests = self._all_tests()  # unless it fails by itself: then the fault is ours
        job = self._our_job(self._reference, tests)
        self._submit(job, lambda alone: self._must_pass(alone, tests))

    def _note(self, result: dict) -> None:
        if result["outcome"] == "forged":
            self._make_void("records", "lab.py wrote into the grader's records")
        for event in result["events"]:
            self._note_violations(event.get("violations", []))
            self._note_altered(event.get("altered", []), "running")
            if event["event"] == "control" and event["passed"]:
                why = f"after running lab.py, a lab that {_IDLE['empty']} passes too"
                self._make_void("empty", why)

    def _note_violations(self, tried: list[str]) -> None:
        self.violations += [v for v in tried if v not in self.violations]

    def _note_altered(self, names: list[str], when: str) -> None:
        if names:
            self._make_void("integrity", f"{when} lab.py changed {names[0]}")

    def _make_void(self, control: str, why: str) -> None:
        if self.void is None:
            self.void = {"control": control, "why": why}

    def _put_back(self, before: dict[str, bytes]) -> None:
        for name, data in runner.lab_digest(self.lab).items():
            if data != before[name]:
                self.lab.file(name).write_bytes(before[name])
                self._make_void(
                    "files", f"{name} changed while it was graded; put back"
                )


def _names(tests: list[dict]) -> list[str]:
    return [test["name"] for test in tests]


def memory_key(version: str, seed: int, task: int) -> tuple:
    """Under which key the memory of gradings keeps a version's signature of a task."""
    return version, seed, task


def first_lost(result: dict, tests: list[str]) -> str | None:
    """The first test that did not pass, or how a run ended early; None: all passed."""
    said = {e["test"]: e["outcome"] for e in result["events"] if e["event"] == "test"}
    if result["outcome"] != "done" and set(said.values()) <= {"passed"}:
        return result["outcome"]
    return next((name for name in tests if said.get(name) != "passed"), None)


_IDLE = {
    "empty": "returns nothing",
    "constant": "always returns the same",
    "echo": "returns its argument",
    "raises": "always raises",
}


def source(path: Path) -> str:
    """The text of a submission; where it is not UTF-8, a text that says so at import.

    A byte order mark, which some editors write, is left out.
    """
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        above = "\n" * data.count(b"\n", 0, error.start)
        said = f"byte {data[error.start]:#04x} is not UTF-8; save the file as UTF-8"
        return f"{above}raise SyntaxError({said!r})\n"


# --- Verdicts ---------------------------------------------------------------------


def judge(state: TaskState) -> None:
    """Set verdict, reason and waits_for from the result; the default is not earned."""
    events, result = state.events(), state.result
    outcomes = {
        t["name"]: events.get(t["name"], {}).get("outcome") for t in state.tests
    }
    state.reason = state.waits_for = None
    if set(outcomes.values()) == {"passed"} and result["outcome"] == "done":
        state.verdict = EARNED
        return
    kinds = set(outcomes.values()) - {"passed", None}
    broken = kinds - {"wrong", "error", "not started"}
    if result["outcome"] not in ("done", "forged") or broken:
        state.verdict, state.reason = BROKEN, broken_reason(state)
    elif kinds & {"wrong", "error"}:
        state.verdict = WRONG
    elif "not started" in kinds:
        state.verdict, state.waits_for = NOT_STARTED, _waits_for(events)
    else:
        state.verdict, state.reason = BROKEN, "ended before its tests were done"


def _waits_for(events: dict[str, dict]) -> int | None:
    for event in events.values():
        if event["outcome"] == "not started":
            words = event["error"]["message"].split()
            return (
                int(words[1]) if words[:1] == ["task"] and words[1].isdigit() else None
            )
    return None


_ENDS = {
    "memory": "needed more than 1 GiB of memory",
    "recursion": "recursed without end (RecursionError)",
    "output": "wrote more than 1 MB (output is cut there)",
    "exit": "called sys.exit",
    "skipped itself": "skipped itself, which earns nothing",
}


def broken_reason(state: TaskState) -> str:
    """Why a task broke off, in words."""
    result = state.result
    if result["outcome"] == "time":
        return f"stopped after {state.task.limit_s:g} s"
    if result["outcome"] == "output" or result["output"]["cut"]:
        return _ENDS["output"]
    if result["outcome"] != "done":
        return _died(result)
    for event in state.events().values():
        if event["outcome"] in _ENDS:
            return _ENDS[event["outcome"]]
        if event["outcome"] == "missing":
            return event["error"]["message"]
    return "ended before its tests were done"


_SIGNALS = {
    "SIGSEGV": "died of a segmentation fault",
    "SIGKILL": "was killed (out of memory?)",
    "SIGABRT": "aborted",
    "SIGXCPU": "used up its processor time",
}


def _died(result: dict) -> str:
    if result["signal"]:
        return _SIGNALS.get(result["signal"], f"died of {result['signal']}")
    if result["outcome"] == "fault":
        return "broke the grading process"
    code = result["exit_code"]
    return "ended early" + (f" (exit {code})" if code is not None else "")


def import_failure(result: dict) -> dict:
    """Why lab.py could not be imported: message, and the line where it stood."""
    for event in result["events"]:
        if event["event"] == "import":
            error = event["error"]
            called = {"exit": "lab.py called sys.exit", "memory": _ENDS["memory"]}
            text = called.get(error["kind"], f"{error['type']}: {error['message']}")
            return {"message": text, "line": error["line"], "error": error}
        if event["event"] == "fault":  # one of ours shows in the solution's run too
            last = event["message"].strip().splitlines()[-1]
            text = f"importing lab.py broke the grading process: {last}"
            return {"message": text, "line": None, "error": None}
    stood = result["stood"] or {}
    if result["outcome"] == "time":
        text = "importing lab.py did not end within its time"
    else:
        text = f"importing lab.py {_died(result)}"
    return {"message": text, "line": stood.get("line"), "error": None}
