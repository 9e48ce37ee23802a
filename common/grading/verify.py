"""The contributor's gate: one line per thing that makes a lab trustworthy.

Each check answers for one thing only, so that one fault turns one line red. What cannot
be checked because the solution does not pass is said to be unchecked.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import itertools
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from common import datasets, labs, stubs
from common.grading import diagnosis, grade, runner

SEEDS = (0, 1, 2)
LIMIT_S = 15.0  # what one lab's grader may take against its solution
QUICK_LIMIT_S = 180.0  # what an experiment may take with --quick


@dataclass(frozen=True)
class Line:
    """One check: whether it holds (None: could not be checked) and what was found."""

    name: str
    ok: bool | None
    text: str
    details: tuple[str, ...] = ()
    lacks_data: bool = False  # not checked because a data set is not here


class Bench:
    """Runs versions of one lab's solution and remembers what they did."""

    def __init__(
        self,
        lab: labs.Lab,
        worker: runner.Worker | runner.SpawnWorker,
        generated_stub: bool = False,
        memory: dict | None = None,
    ) -> None:
        self.lab, self.worker = lab, worker
        self.source = lab.source()
        written = lab.file("lab.py").read_text(encoding="utf-8")
        self.stub = stubs.stub(self.source) if generated_stub else written
        self.path = lab.file("solution.py")
        self.by_task: dict[int, list[str]] = {task.id: [] for task in lab.tasks}
        for test in worker.tests:
            if not test["missing"]:
                self.by_task.setdefault(test["task"], []).append(test["name"])
        self.names = [name for names in self.by_task.values() for name in names]
        self.versions: dict[str, diagnosis.Signature] = {}
        self.killer: dict[str, str] = {}  # the quickest test that fails each version
        self.memory = {} if memory is None else memory
        self.controls: dict[str, dict[str, str]] = {}

    def of_version(self) -> dict[str, list[str]]:
        """The tests of each misconception's task."""
        return {m.id: self.by_task[m.task] for m in self.lab.misconceptions}

    def job(self, source: str, tests: list[str], **more: object) -> dict:
        """A job for one version of the solution."""
        limit = sum(task.limit_s for task in self.lab.tasks)
        base = {"source": source, "path": str(self.path), "secret": str(self.path)}
        base |= {"reference": self.source, "tests": tests, "guard": False}
        return base | {"limit_s": limit} | more

    def run(self, jobs: dict) -> dict:
        """Run jobs by key; give their results by key."""
        keys = {self.worker.submit(job): key for key, job in jobs.items()}
        return {keys[result["id"]]: result for result in self.worker.results()}

    def earned(self, result: dict) -> list[int]:
        """The tasks of which a job passed every test."""
        said = outcomes(result)
        return [
            task.id
            for task in self.lab.tasks
            if all(said.get(name) == "passed" for name in self.by_task[task.id])
        ]

    def grade(self, source: str, path: Path, **options: object) -> dict:
        """Grade a source as a submission."""
        options |= {"seed": SEEDS[0], "memory": self.memory}
        return grade.Grading(self.lab, path, source, self.worker, **options).run()


def outcomes(result: dict) -> dict[str, str]:
    """How each test of a job ended."""
    return {e["test"]: e["outcome"] for e in result["events"] if e["event"] == "test"}


def lines(
    lab: labs.Lab,
    *,
    quick: bool = False,
    generated_stub: bool = False,
    worker: runner.Worker | runner.SpawnWorker | None = None,
    memory: dict | None = None,
) -> Iterator[Line]:
    """Every check of a lab, in order.

    Args:
        lab: which lab.
        quick: leave the experiment out.
        generated_stub: look at what the generator writes instead of the committed
            lab.py, which a learner may have filled in.
        worker: a grading process of this lab that the caller keeps.
        memory: filled with what the misconceptions gave, as `grade.Grading` takes it,
            for gradings with the seed `SEEDS[0]`.
    """
    yield folder(lab)
    if any(not lab.file(name).exists() for name in labs.FILES):
        return
    pool = ThreadPoolExecutor(1)
    try:
        # beside the other checks, which leave a part of the second core idle
        running = None if quick else pool.submit(experiment, lab)
        yield from _grader_lines(lab, generated_stub, worker, memory)
        if running:
            yield running.result()
    finally:
        pool.shutdown()


def _grader_lines(
    lab: labs.Lab,
    generated_stub: bool,
    worker: runner.Worker | runner.SpawnWorker | None,
    memory: dict | None,
) -> Iterator[Line]:
    try:
        kept = contextlib.nullcontext(worker) if worker else runner.open_worker(lab)
        with kept as worker:
            bench = Bench(lab, worker, generated_stub, memory)
            first = solution_passes(bench)
            yield first
            all_run = len(lab.misconceptions)
            for name, check in _CHECKS:
                if not first.ok and name not in _INDEPENDENT:
                    yield Line(name, None, "unchecked: the solution does not pass")
                elif name in _OF_VERSIONS and len(bench.versions) < all_run:
                    yield Line(name, None, "unchecked: a misconception cannot be built")
                else:
                    yield _guarded(name, check, bench)
    except runner.HarnessFault as fault:
        yield Line("solution passes", False, str(fault).splitlines()[-1])


def _guarded(name: str, check: Callable[[Bench], Line], bench: Bench) -> Line:
    try:
        return check(bench)
    except (runner.HarnessFault, ValueError, SyntaxError) as error:
        return Line(name, False, str(error))


# --- The checks -------------------------------------------------------------------


def folder(lab: labs.Lab) -> Line:
    """Files are there and `lab.toml` holds."""
    found = labs.problems(lab)
    text = (
        f"{len(lab.tasks)} tasks, {len(lab.misconceptions)} misconceptions, 10 points"
    )
    return Line(
        "folder holds", not found, found[0] if found else text, tuple(found[1:])
    )


def solution_passes(bench: Bench) -> Line:
    """The reference passes every test, within the limit for a grader."""
    result = bench.run({0: bench.job(bench.source, bench.names)})[0]
    said = outcomes(result)
    failed = [name for name in bench.names if said.get(name) != "passed"]
    untested = [str(id) for id, names in bench.by_task.items() if not names]
    if untested:
        return Line("solution passes", False, f"no test for task {', '.join(untested)}")
    if failed:
        return Line("solution passes", False, f"fails {failed[0]}", tuple(failed[1:]))
    seconds = result["seconds"]
    text = (
        f"{len(bench.names)} tests of {len(bench.lab.tasks)} tasks in {seconds:.1f} s"
    )
    return Line("solution passes", seconds < LIMIT_S, f"{text} (limit {LIMIT_S:g} s)")


def stub_earns_nothing(bench: Bench) -> Line:
    """Every task of the committed lab.py is not started; none is wrong."""
    path = bench.lab.file("lab.py")
    record = bench.grade(bench.stub, path)
    other = [t for t in record["tasks"] if t["verdict"] != "not started"]
    name = "stub earns nothing"
    if other:
        return Line(name, False, f"task {other[0]['id']} is {other[0]['verdict']}")
    n = len(record["tasks"])
    return Line(name, True, f"{n} of {n} not started, none wrong")


def one_interface(bench: Bench) -> Line:
    """lab.py and solution.py have the same names, signatures and docstrings."""
    ours = interface(bench.source)
    theirs = interface(bench.stub)
    found = [f"{n} is not in lab.py" for n in ours if n not in theirs]
    found += [f"{n} is only in lab.py" for n in theirs if n not in ours]
    for name in ours.keys() & theirs.keys():
        if ours[name] != theirs[name]:
            found.append(f"{name} differs between lab.py and solution.py")
        elif not ours[name][1] and name in _task_functions(bench.source):
            found.append(f"{name} has no docstring")
    found.sort()
    text = f"{len(ours)} names: signatures and docstrings are the same"
    return Line(
        "one interface", not found, found[0] if found else text, tuple(found[1:])
    )


def _task_functions(source: str) -> set[str]:
    tree = {item.name for item in stubs.owned(source) if not item.private}
    return {name for name in tree if not name.isupper()}


def interface(source: str) -> dict[str, tuple[str, str | None]]:
    """Public functions and methods of a file: (signature, docstring) by name."""
    found: dict[str, tuple[str, str | None]] = {}
    for node in ast.parse(source).body:
        members = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
        for member in members:
            if not isinstance(member, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            if member.name.startswith("_") and not member.name.startswith("__"):
                continue
            returns = ast.unparse(member.returns) if member.returns else ""
            signature = f"({ast.unparse(member.args)}) -> {returns}"
            found[prefix + member.name] = signature, ast.get_docstring(member)
    return found


def misconceptions_die(bench: Bench) -> Line:
    """Each wrong version fails a test of its own task, by a value and not by time."""
    tests = bench.of_version()
    jobs = {id: bench.job(bench.lab.variant(id), names) for id, names in tests.items()}
    results = bench.run(jobs)
    found = []
    for wrong in bench.lab.misconceptions:
        result = results[wrong.id]
        signature = diagnosis.signature(result["events"])
        bench.versions[wrong.id] = signature
        bench.memory[grade.memory_key(wrong.id, SEEDS[0], wrong.task)] = signature
        ran = [e for e in result["events"] if e["event"] == "test"]
        failed = [e for e in ran if e["outcome"] != "passed"]
        if failed:
            quickest = min(failed, key=lambda e: e["seconds"])
            bench.killer[wrong.id] = quickest["test"]
        if result["outcome"] != "done" or not ran:
            found.append(f"{wrong.id} does not end ({result['outcome']})")
        elif not failed:
            found.append(f"{wrong.id} passes task {wrong.task}")
    n = len(bench.lab.misconceptions)
    text = f"{n} of {n}, each at its own task"
    name = "misconceptions die"
    return Line(name, not found, found[0] if found else text, tuple(found[1:]))


def told_apart(bench: Bench) -> Line:
    """Every two versions of a task give different values."""
    found, pairs = [], 0
    for task in bench.lab.tasks:
        ids = [m.id for m in bench.lab.misconceptions if m.task == task.id]
        for a, b in itertools.combinations(ids, 2):
            pairs += 1
            if diagnosis.equal(bench.versions[a], bench.versions[b]):
                found.append(f"{a} and {b} give the same values")
    text = f"{pairs} of {pairs} pairs differ on their task's inputs"
    return Line("told apart", not found, found[0] if found else text, tuple(found[1:]))


def controls_earn_nothing(bench: Bench) -> Line:
    """Labs without an idea in them earn no task."""
    jobs = {
        kind: bench.job(stubs.control(bench.source, kind), bench.names, shrink=False)
        for kind in stubs.CONTROLS
    }
    found = []
    for kind, result in bench.run(jobs).items():
        bench.controls[kind] = outcomes(result)
        for task in bench.earned(result):
            found.append(f"the {kind} lab earns task {task}")
    text = " · ".join(stubs.CONTROLS)
    name = "controls earn nothing"
    return Line(name, not found, found[0] if found else text, tuple(found[1:]))


def steady(bench: Bench) -> Line:
    """The same verdicts for three seeds, three orders, one and two threads."""
    jobs: dict = {}
    for seed in SEEDS:
        options = {"seed": seed, "shuffle": seed or None, "threads": 1 + (seed == 0)}
        jobs[seed] = bench.job(bench.source, bench.names, **options)
    found = []
    for seed, result in bench.run(jobs).items():
        if lost := grade.first_lost(result, bench.names):
            found.append(f"the solution fails with seed {seed} ({lost})")
    # what killed a version comes first; all of the task's tests only where that fails
    quickest = {id: [test] for id, test in bench.killer.items()}
    left = _survivors(bench, itertools.product(quickest, SEEDS[1:]), quickest)
    for id, seed in _survivors(bench, left, bench.of_version()):
        found.append(f"{id} passes with seed {seed}")
    text = "same verdicts for 3 seeds, 3 orders, 1 and 2 threads"
    return Line("steady", not found, found[0] if found else text, tuple(found[1:]))


def _survivors(
    bench: Bench, pairs: Iterable[tuple[str, int]], tests: dict[str, list[str]]
) -> list[tuple[str, int]]:
    """The (wrong version, seed) of these whose tests all pass."""
    jobs = {}
    for id, seed in pairs:
        more = {"seed": seed, "shuffle": seed, "first_failure": True, "shrink": False}
        jobs[id, seed] = bench.job(bench.lab.variant(id), tests[id], **more)
    results = bench.run(jobs)
    return [p for p, ran in results.items() if not grade.first_lost(ran, tests[p[0]])]


def each_task_alone(bench: Bench) -> Line:
    """Solving one task earns it on the reference's earlier ones, and no other."""
    ids = [task.id for task in bench.lab.tasks]
    alone = {id: stubs.keep_only(bench.source, id) for id in ids}
    jobs = {}
    for id in ids:
        before = [other for other in ids if other < id]
        jobs[id, "own"] = bench.job(alone[id], bench.by_task[id], graft=before)
        more = {"first_failure": True, "shrink": False}
        jobs[id, "all"] = bench.job(alone[id], bench.names, **more)
    results = bench.run(jobs)
    found = []
    for id in ids:
        if lost := grade.first_lost(results[id, "own"], bench.by_task[id]):
            found.append(f"task {id} cannot be earned alone ({lost})")
        for other in bench.earned(results[id, "all"]):
            if other != id:
                found.append(f"solving task {id} earns task {other} too")
    text = f"each of {len(ids)} tasks on the reference's others"
    return Line(
        "each task alone", not found, found[0] if found else text, tuple(found[1:])
    )


def idle_tests(bench: Bench) -> Line:
    """Tests that no misconception and no control fails are questioned."""
    killed_by: dict[str, int] = dict.fromkeys(bench.names, 0)
    for version in bench.versions.values():
        for name, test in version.items():
            killed_by[name] += test["end"] != ("passed",)
    controlled = {
        name
        for said in bench.controls.values()
        for name, outcome in said.items()
        if outcome != "passed"
    }
    idle = [n for n, count in killed_by.items() if not count and n not in controlled]
    only_controls = [
        n for n, count in killed_by.items() if not count and n in controlled
    ]
    if idle:
        text = f"{idle[0]} fails for nothing we know"
        return Line("idle tests", False, text, tuple(idle[1:]))
    text = "none"
    if only_controls:
        text = f"none; {len(only_controls)} fail for controls only"
    return Line("idle tests", True, text, tuple(only_controls))


# --- README and experiment ---------------------------------------------------------

_FIGURE = re.compile(r"<!--=([^:<>]+?)(?::([^>]*?))?-->(.*?)<!--/-->", re.S)


def readme(bench: Bench) -> Line:
    """The README has the points of lab.toml and the figures of metrics.json."""
    lab, name = bench.lab, "README agrees"
    text = lab.file("README.md").read_text(encoding="utf-8")
    found = []
    for task in lab.tasks:
        label, points = (
            (str(task.id), str(task.points)) if task.points else ("+", "bonus")
        )
        row = rf"^\|\s*{re.escape(label)}\s*\|.*\|\s*{points}\s*\|"
        if not re.search(row, text, re.M):
            found.append(f"no table row gives task {label} {points} points")
    figures = list(_FIGURE.finditer(text))
    known = metrics(lab)
    for figure in figures:
        wanted = rendered(figure, known)
        if wanted is None:
            found.append(f"metrics.json has no {figure[1]}")
        elif wanted != figure[3]:
            found.append(f"{figure[1]} is {wanted}, README says {figure[3]}")
    said = f"points = 10, {len(figures)} figures = results/metrics.json"
    return Line(name, not found, found[0] if found else said, tuple(found[1:]))


def metrics(lab: labs.Lab) -> dict[str, object]:
    """The values of the lab's committed metrics.json, by name."""
    path = lab.folder / "results" / "metrics.json"
    if not path.exists():
        return {}
    entries = json.loads(path.read_text(encoding="utf-8"))
    return {entry["name"]: entry["value"] for entry in entries}


def rendered(figure: re.Match, known: dict[str, object]) -> str | None:
    """What a figure of the README should say: its value in its format."""
    if figure[1] not in known:
        return None
    return format(known[figure[1]], figure[2] or "")


def fill_figures(text: str, known: dict[str, object]) -> str:
    """A page with every figure whose metric is known written anew."""

    def fill(figure: re.Match) -> str:
        value = rendered(figure, known)
        if value is None:
            return figure[0]
        return figure[0].replace(f"-->{figure[3]}<!--", f"-->{value}<!--")

    return _FIGURE.sub(fill, text)


def refresh_readme(lab: labs.Lab) -> int:
    """Write the metrics of the last experiment into the README; return how many."""
    path = lab.file("README.md")
    text = path.read_text(encoding="utf-8")
    path.write_text(fill_figures(text, metrics(lab)), encoding="utf-8")
    return len(_FIGURE.findall(text))


_LACKING = datasets.DatasetMissing  # as a traceback names it:
_MISSING = f"{_LACKING.__module__}.{_LACKING.__qualname__}: "


def experiment(lab: labs.Lab) -> Line:
    """`experiment.py` runs with --quick and writes its metrics and report.

    Without the data that it needs it cannot be checked.
    """
    name, started = "experiment runs", time.monotonic()
    code = (
        "import sys; from pathlib import Path; from common.grading import verify;"
        "verify.run_experiment(sys.argv[1], 'solution', Path(sys.argv[2]), quick=True)"
    )
    with tempfile.TemporaryDirectory() as out:
        asked = [sys.executable, "-c", code, str(lab.folder), out]
        env = runner.environment() | {"MPLBACKEND": "Agg"}
        options = {"env": env, "cwd": labs.root(), "timeout": QUICK_LIMIT_S}
        try:
            said = subprocess.run(asked, capture_output=True, text=True, **options)
        except subprocess.TimeoutExpired:
            return Line(name, False, f"--quick is not done after {QUICK_LIMIT_S:g} s")
        written = {path.name for path in Path(out).iterdir()}
    if said.returncode:
        lines = said.stderr.strip().splitlines() or ["no message"]
        for text in lines:
            if text.startswith(_MISSING):
                why = text.removeprefix(_MISSING)
                return Line(name, None, f"unchecked: {why}", lacks_data=True)
        return Line(name, False, f"--quick fails: {lines[-1]}")
    missing = {"metrics.json", "report.md"} - written
    if missing:
        return Line(name, False, f"--quick writes no {sorted(missing)[0]}")
    seconds = time.monotonic() - started
    pictures = sum(n.endswith(".png") for n in written)
    return Line(name, True, f"--quick in {seconds:.1f} s, {pictures} pictures")


def run_experiment(
    name: str, impl: str, out: Path, *, quick: bool = False, full: bool = False
) -> None:
    """Run a lab's experiment with one of its implementations."""
    folder = Path(name)
    lab = labs.read(folder) if (folder / "lab.toml").exists() else labs.find(name)[0]
    spec = importlib.util.spec_from_file_location(
        "experiment", lab.file("experiment.py")
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["experiment"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    module.main(labs.implementation(lab, impl), out, quick=quick, full=full)


_CHECKS: list[tuple[str, Callable[[Bench], Line]]] = [
    ("stub earns nothing", stub_earns_nothing),
    ("one interface", one_interface),
    ("misconceptions die", misconceptions_die),
    ("told apart", told_apart),
    ("controls earn nothing", controls_earn_nothing),
    ("steady", steady),
    ("each task alone", each_task_alone),
    ("README agrees", readme),
    ("idle tests", idle_tests),
]
_INDEPENDENT = {"one interface", "README agrees"}
_OF_VERSIONS = {"told apart", "steady", "idle tests"}  # need all wrong versions to run
NAMES = ["folder holds", "solution passes", *(n for n, _ in _CHECKS), "experiment runs"]
