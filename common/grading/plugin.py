"""The pytest plugin of a grading process: collect once, then run tests on request.

`collect` starts a pytest session for one `test_lab.py` and hands its tests to a
function in place of pytest's own loop. Nothing here reads a submission.
"""

from __future__ import annotations

import functools
import hashlib
import os
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from common import datasets
from common.grading import check
from common.grading.boundary import Boundary

MAX_EXAMPLES = 50  # hypothesis examples per test, unless the test says otherwise


class Collected:
    """One test of a grader."""

    def __init__(self, item: pytest.Item) -> None:
        mark = item.get_closest_marker("task")
        self.item = item
        self.name = item.name
        self.task: int | None = mark.args[0] if mark else None
        self.mutates: bool = bool(mark and mark.kwargs.get("mutates"))
        needs = [n for m in item.iter_markers("needs_data") for n in m.args]
        self.missing = [name for name in needs if not datasets.available(name)]

    @property
    def title(self) -> str:
        """The test's name in words."""
        return self.name.removeprefix("test_").replace("_", " ")


class Plugin:
    """Fixtures and hooks of a grading session."""

    def __init__(self, serve: Callable[[Plugin], None]) -> None:
        self._serve = serve
        self.tests: list[Collected] = []
        self.faults: list[str] = []
        self.lab: Boundary | None = None
        self.seed = 0
        self._error: BaseException | None = None

    # fixtures

    @pytest.fixture(name="lab", scope="session")
    def lab_fixture(self) -> Boundary:
        """The submission, behind its boundary."""
        return self.lab

    @pytest.fixture(name="rng")
    def rng_fixture(self, request: pytest.FixtureRequest) -> Any:
        """A NumPy generator of its own for each test, drawn from the run's seed."""
        import numpy as np

        return np.random.default_rng([self.seed, _number(request.node.name)])

    # hooks

    def pytest_configure(self, config: pytest.Config) -> None:
        config.addinivalue_line("markers", "task(number, mutates): the task decided")
        config.addinivalue_line("markers", "needs_data(name, ...): datasets it needs")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.faults.append(str(report.longrepr))

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.tests = [Collected(item) for item in session.items]
        for test in self.tests:
            if test.task is None:
                self.faults.append(f"{test.name} carries no @task(n)")
            _start_each_example_anew(test.item)
        self._serve(self)
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(
        self, item: Any, call: pytest.CallInfo
    ) -> pytest.TestReport | None:
        """Keep the error; pytest's own report of a failure is not for our readers.

        Writing it, with the source of each frame, would take ten times as long as
        most of the tests.
        """
        if call.excinfo is None:
            return None
        if self._error is None:
            self._error = call.excinfo.value
        about = item.nodeid, item.location, {}, "failed", None, call.when
        return pytest.TestReport(*about)

    def run(self, test: Collected, following: Collected | None) -> BaseException | None:
        """Run one test; return what it raised, or None when it passed."""
        self._error = None
        _seed_everything(self.seed, test.name)
        check.recorder.start()
        self.lab.may_mutate = test.mutates
        hook = test.item.config.hook.pytest_runtest_protocol
        try:
            hook(item=test.item, nextitem=following and following.item)
        except BaseException as error:  # pytest.exit passes through its own runner
            return error
        return self._error


def collect(test_file: Path, serve: Callable[[Plugin], None]) -> Plugin:
    """Collect a grader's tests and call `serve` with them in hand."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    _prepare_hypothesis(test_file)
    plugin = Plugin(serve)
    options = ["-s", "--assert=plain", "--noconftest", "--import-mode=importlib"]
    for name in ("cacheprovider", "terminal", "faulthandler", "logging", "junitxml"):
        options += ["-p", f"no:{name}"]
    options += ["-c", os.devnull, "--rootdir", str(test_file.parent), str(test_file)]
    pytest.main(options, plugins=[plugin])
    return plugin


def _start_each_example_anew(item: Any) -> None:
    """Let the recorder forget the checks of earlier hypothesis examples."""
    handle = getattr(getattr(item, "obj", None), "hypothesis", None)
    if handle is None:
        return
    inner = handle.inner_test

    @functools.wraps(inner)
    def one_example(*args: Any, **kwargs: Any) -> Any:
        check.recorder.start()
        return inner(*args, **kwargs)

    handle.inner_test = one_example


def _number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")


def _seed_everything(seed: int, name: str) -> None:
    number = (seed + _number(name)) % 2**32
    random.seed(number)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(number)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(number)


def _prepare_hypothesis(test_file: Path) -> None:
    """The profile of all graders: no deadline, no database, one failure a test.

    A test takes its settings when it is decorated, so this comes before collecting.
    """
    if "hypothesis" not in test_file.read_text(encoding="utf-8"):
        return
    import hypothesis

    hypothesis.settings.register_profile(
        "grading",
        deadline=None,
        database=None,
        max_examples=MAX_EXAMPLES,
        phases=set(hypothesis.Phase) - {hypothesis.Phase.explain},
        report_multiple_bugs=False,
        print_blob=False,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    hypothesis.settings.load_profile("grading")
    _forget_local_constants()


def _forget_local_constants() -> None:
    """Let examples depend on the seed alone.

    Newer versions of hypothesis also draw the constants they find in local source
    files, so a submission and a misconception would meet different inputs.
    """
    providers = sys.modules.get("hypothesis.internal.conjecture.providers")
    if hasattr(providers, "_get_local_constants"):
        none_found = providers._local_constants
        providers._get_local_constants = lambda: none_found


def warm_up_hypothesis() -> None:
    """Run one small property, which loads tables of characters and the engine."""
    import hypothesis

    anything = hypothesis.strategies.text() | hypothesis.strategies.floats()

    @hypothesis.settings(max_examples=5)
    @hypothesis.given(hypothesis.strategies.lists(anything))
    def nothing(_values: list) -> None:
        pass

    core = sys.modules["hypothesis.core"]
    core.global_force_seed = 0
    nothing()


def seed_hypothesis(seed: int) -> None:
    """Let the run's seed decide every example."""
    if "hypothesis" in sys.modules:
        sys.modules["hypothesis.core"].global_force_seed = seed


def stop_shrinking(tests: list[Collected]) -> None:
    """Do not make failures small from now on: for runs that nobody reads."""
    for test in tests:
        inside = getattr(test.item.obj, "_hypothesis_internal_use_settings", None)
        if inside is not None:  # no public way exists once a test is decorated
            phases = [p for p in inside.phases if p.name != "shrink"]
            import hypothesis

            changed = hypothesis.settings(inside, phases=phases)
            test.item.obj._hypothesis_internal_use_settings = changed


def frames(trace: TracebackType | None) -> Iterator[tuple[str, int, str]]:
    """(file, line, function) of each frame of a traceback, outermost first."""
    while trace is not None:
        code = trace.tb_frame.f_code
        yield code.co_filename, trace.tb_lineno, code.co_name
        trace = trace.tb_next
