"""Stubs, controls, variants and grafts: the text that comes out, and what it does."""

import ast
import sys

import pytest

from common import labs, stubs
from common.grading.verify import interface
from common.scaffold import TEMPLATE

FIRST_LAB = labs.read(
    labs.root() / "phase-01-foundations-text/lab-01-tokenization-from-scratch"
)
REAL = {
    "1.1": FIRST_LAB.source(),
    "template": (TEMPLATE / "solution.py").read_text(encoding="utf-8"),
}

SOURCE = '''"""A lab with one of each."""

from __future__ import annotations

import functools
import math
from collections import Counter

LIMIT: int = 5  # task 1
TABLE = {  # task 2
    "a": 1,
}
GIVEN = 3


# What the helper is for.
def _helper(x):
    # task 1
    return x + 1


@functools.cache
def _cached(x):
    """A private helper with a decorator."""
    # task 1
    return x


_SECRET = 4  # task 1


def bare(x):
    # task 1
    # more about it
    return [_helper(y) for y in x]


def outer(x: int, *, k: int = 2) -> int:
    """Doc of outer."""
    # task 2

    def nested():
        # task 9
        return 1

    return nested() + x


@functools.cache
def decorated(x):
    """Doc of decorated."""
    # task 2
    return x


async def waits(x):
    """Doc of waits."""
    # task 3
    return x


def given(x):
    """Not a task; a comment inside says task 2."""
    y = outer(x)  # task 2 is used here
    return y


class Thing:
    """A thing."""

    rate = 2

    def __init__(self, n: int) -> None:
        # task 3
        self.n = n

    def _private(self):
        # task 3
        return 1

    @property
    def twice(self) -> int:
        """Doc of twice."""
        # task 3
        return self.n * 2

    def after(self):
        """Doc of after."""
        # task 4
        return math.sqrt(self.n)
        # a last word


# The end of the file.
'''

STUB = '''"""A lab with one of each."""

from __future__ import annotations

import functools
import math
from collections import Counter

LIMIT: int = ...  # task 1
TABLE = ...  # task 2
GIVEN = 3


def bare(x):
    raise NotImplementedError("task 1")


def outer(x: int, *, k: int = 2) -> int:
    """Doc of outer."""
    raise NotImplementedError("task 2")


@functools.cache
def decorated(x):
    """Doc of decorated."""
    raise NotImplementedError("task 2")


async def waits(x):
    """Doc of waits."""
    raise NotImplementedError("task 3")


def given(x):
    """Not a task; a comment inside says task 2."""
    y = outer(x)  # task 2 is used here
    return y


class Thing:
    """A thing."""

    rate = 2

    def __init__(self, n: int) -> None:
        raise NotImplementedError("task 3")

    @property
    def twice(self) -> int:
        """Doc of twice."""
        raise NotImplementedError("task 3")

    def after(self):
        """Doc of after."""
        raise NotImplementedError("task 4")


# The end of the file.
'''


@pytest.fixture
def module():
    """Makes a module of source text, and forgets it afterwards."""
    made = []

    def load(source):
        made.append(f"lab_of_test_stubs_{len(made)}")
        return labs.load(source, "lab.py", made[-1])

    yield load
    for name in made:
        sys.modules.pop(name, None)


# --- Marks and stubs ---------------------------------------------------------------


def test_the_whole_stub():
    assert stubs.stub(SOURCE) == STUB


def test_marks_and_names():
    assert stubs.task_names(SOURCE) == {
        1: ["LIMIT", "bare"],
        2: ["TABLE", "outer", "decorated"],
        3: ["waits", "Thing.__init__", "Thing.twice"],
        4: ["Thing.after"],
    }
    private = [item.name for item in stubs.owned(SOURCE) if item.private]
    assert private == ["_helper", "_cached", "_SECRET", "Thing._private"]


@pytest.mark.parametrize("source", [SOURCE, *REAL.values()], ids=["made", *REAL])
def test_a_stub_keeps_the_interface_and_is_its_own_stub(source):
    stub = stubs.stub(source)
    assert interface(stub) == interface(source)
    assert stubs.stub(stub) == stub
    kept = [ast.unparse(node) for node in ast.parse(stub).body if _is_import(node)]
    assert kept == [ast.unparse(n) for n in ast.parse(source).body if _is_import(n)]
    assert "\n\n\n\n" not in stub and not stub.endswith("\n\n")
    for item in stubs.owned(source):
        assert (f'NotImplementedError("task {item.task}")' in stub) or item.private


def _is_import(node):
    return isinstance(node, (ast.Import, ast.ImportFrom))


def test_committed_stubs_are_what_the_generator_writes():
    assert FIRST_LAB.file("lab.py").read_text(encoding="utf-8") == labs.stub_text(
        FIRST_LAB
    )


@pytest.mark.parametrize(
    "line",
    ["# Task 1", "# task", "# subtask 1", "x = 1  # task 1", "'# task 1'"],
)
def test_what_is_no_mark(line):
    assert stubs.owned(f"def f():\n    {line}\n    return 1\n") == []


def test_a_mark_that_is_not_the_first_line_marks_nothing():
    assert stubs.owned("def f():\n    x = 1\n    # task 1\n    return x\n") == []


def test_a_raw_docstring_and_blank_lines_before_the_mark():
    source = 'def f(x):\n    r"""A \\s+ rule."""\n\n    # task 7\n    return x\n'
    wanted = 'def f(x):\n    r"""A \\s+ rule."""\n    raise NotImplementedError'
    assert stubs.stub(source) == wanted + '("task 7")\n'


def test_definitions_leave_docstrings_out():
    found = stubs.definitions(SOURCE)
    assert "Doc of outer" not in found["outer"]
    assert found["outer"].startswith("def outer(x: int, *, k: int = 2) -> int:\n")
    assert "return nested() + x" in found["outer"]
    assert found["TABLE"] == 'TABLE = {  # task 2\n    "a": 1,\n}'
    assert found["Thing.after"].startswith("    def after(self):")


def test_spans_are_lines_from_one():
    lines = SOURCE.splitlines()
    spans = stubs.spans(SOURCE)
    assert lines[spans["bare"].start - 1] == "def bare(x):"
    assert lines[spans["bare"].stop - 2] == "    return [_helper(y) for y in x]"
    assert spans["Thing.twice"].start in range(1, len(lines))
    assert stubs.spans("def f(:\n") == {}


# --- Controls ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", stubs.CONTROLS)
@pytest.mark.parametrize("source", [SOURCE, *REAL.values()], ids=["made", *REAL])
def test_controls_compile_and_keep_the_signatures(source, kind):
    text = stubs.control(source, kind)
    assert interface(text) == interface(source)
    compile(text, kind, "exec")


def test_what_controls_return(module):
    lab = {k: module(stubs.control(REAL["1.1"], k)) for k in stubs.CONTROLS}
    assert lab["empty"].whitespace_pretokenize("ab") is None
    assert lab["constant"].whitespace_pretokenize("ab") == []
    assert lab["constant"].bytes_to_unicode() == {}
    assert lab["echo"].whitespace_pretokenize("ab") == "ab"
    assert lab["echo"].bytes_to_unicode() is None
    for wanted in (ValueError, TypeError, RuntimeError):
        with pytest.raises(wanted, match=r"\bn_merges\b"):
            lab["raises"].train_bpe("ab", 3)
    vocabulary = lab["echo"].Vocabulary(("a",))
    assert vocabulary.id_to_token(7) == 7
    with pytest.raises(ValueError, match="max_size") as caught:
        lab["raises"].Vocabulary.build([])
    assert not {"self", "cls"} & set(str(caught.value).split())


def test_constant_fits_the_annotation(module):
    kinds = ["str", "int", "float", "bool", "bytes", "list[int]", "dict", "tuple", "X"]
    source = "from __future__ import annotations\n"
    for i, kind in enumerate(kinds):
        source += f"def f{i}(x) -> {kind}:\n    # task 1\n    return x\n"
    lab = module(stubs.control(source, "constant"))
    got = [getattr(lab, f"f{i}")(9) for i in range(len(kinds))]
    assert got == ["", 1, 1.0, True, b"", [], {}, (), 1.0]
    assert [type(x) for x in got[:4]] == [str, int, float, bool]


# --- apply and keep_only -----------------------------------------------------------


def test_apply_wants_each_find_once():
    assert stubs.apply("a b c", [("b", "x"), ("c", "y")]) == "a x y"
    assert stubs.apply("a", []) == "a"
    with pytest.raises(ValueError, match="occurs 2 times"):
        stubs.apply("a b a", [("a", "x")])
    with pytest.raises(ValueError, match=r"occurs 0 times.*'z'"):
        stubs.apply("a b a", [("z", "x")])
    with pytest.raises(ValueError, match="occurs 0 times"):
        stubs.apply("a b", [("a", "x"), ("a", "y")])


def test_keep_only_solves_one_task(module):
    lab = module(stubs.keep_only(SOURCE, 2))
    assert (lab.outer(3), lab.decorated(4), lab.TABLE) == (4, 4, {"a": 1})
    for call, task in [(lambda: lab.bare([1]), 1), (lambda: lab.Thing(1), 3)]:
        with pytest.raises(NotImplementedError, match=f"^task {task}$"):
            call()
    assert interface(stubs.keep_only(SOURCE, 2)) == interface(SOURCE)


@pytest.mark.parametrize("task", [task.id for task in FIRST_LAB.tasks])
def test_keep_only_on_the_first_lab(task):
    kept = stubs.definitions(stubs.keep_only(REAL["1.1"], task))
    ours = stubs.definitions(REAL["1.1"])
    functions = [
        i for i in stubs.owned(REAL["1.1"]) if not isinstance(i.node, ast.Assign)
    ]
    for item in functions:
        assert (kept[item.name] == ours[item.name]) == (item.task == task)


# --- graft -------------------------------------------------------------------------

REFERENCE = """
from __future__ import annotations

import functools
import math
from collections import Counter
from dataclasses import dataclass

SCALE = 2.0  # task 1


def _helper(x):
    # task 1
    return x * SCALE


def first(x):
    # task 1
    return _helper(x)


def second(x):
    # task 2
    return first(x) + math.pi


def words(text):
    # task 2
    return Counter(text)


class Base:
    def __init__(self, n):
        self.n = n

    def grow(self, k):
        return self.n + k


class Thing(Base):
    def __init__(self, n):
        # task 3
        super().__init__(n + 1)

    def grow(self, k):
        # task 3
        return super().grow(k) * 10 + self._extra()

    def _extra(self):
        # task 3
        return first(1.0)

    @classmethod
    def of(cls, n):
        # task 3
        return cls(n)

    @staticmethod
    def rule(n):
        # task 3
        return second(n)

    @property
    def size(self):
        # task 3
        return self.n

    @size.setter
    def size(self, n):
        # task 3
        self.n = n

    @functools.cached_property
    def square(self):
        # task 3
        return self.n**2

    def own(self):
        # task 4
        return "reference"


@dataclass(frozen=True)
class Point:
    x: int

    @classmethod
    def origin(cls) -> Point:
        # task 5
        return cls(0)

    def moved(self, by: int) -> Point:
        # task 5
        return Point(self.x + by)
"""


def grafted(learner, tasks):
    """A learner's module with the reference's `tasks` in it."""
    stubs.graft(learner, REFERENCE, "solution.py", tasks)
    return learner


def test_graft_on_the_stub_earns_all(module):
    lab = grafted(module(stubs.stub(REFERENCE)), [1, 2, 3, 4, 5])
    assert lab.second(1.0) == pytest.approx(2 + 3.14159265)
    thing = lab.Thing.of(3)
    assert (thing.n, thing.grow(1), thing.rule(0)) == (4, 52.0, lab.second(0))
    assert (thing.square, thing.square, vars(thing)["square"]) == (16, 16, 16)
    thing.size = 9
    assert (thing.size, thing.own()) == (9, "reference")
    assert lab.Point.origin().moved(2) == lab.Point(2)
    assert isinstance(thing, lab.Base)


def test_graft_takes_only_the_tasks_asked_for(module):
    lab = grafted(module(stubs.stub(REFERENCE)), [1])
    assert lab.first(3.0) == 6.0
    for call in (lambda: lab.second(1), lambda: lab.Thing(1), lab.Point.origin):
        with pytest.raises(NotImplementedError):
            call()


def test_grafted_functions_use_the_learners_other_names(module):
    lab = grafted(module("def first(x):\n    return 100\n"), [2])
    assert lab.second(1) == pytest.approx(103.14159265)
    assert lab.words("aab") == {"a": 2, "b": 1}
    assert lab.SCALE == 2.0


def test_missing_imports_helpers_and_classes_come_along(module):
    lab = grafted(module("x = 1\n"), [2])
    assert lab.second(2.0) == pytest.approx(4 + 3.14159265)
    assert lab.Thing(2).grow(1) == 42.0
    assert lab.Point(1).moved(1) == lab.Point(2)
    assert lab.x == 1


def test_what_the_learner_has_stays(module):
    source = "SCALE = 7.0\ndef _helper(x):\n    return 'mine'\nmath = None\n"
    lab = grafted(module(source), [2])
    assert (lab.SCALE, lab.math, lab.first(1)) == (7.0, None, "mine")
    lab = grafted(lab, [1])
    assert (lab.SCALE, lab.first(1)) == (2.0, 2.0)


def test_a_learners_class_keeps_its_own_methods(module):
    learner = """
class Base:
    def __init__(self, n):
        self.n = -n

    def grow(self, k):
        return 0


class Thing(Base):
    def own(self):
        return "learner"

    def another(self):
        return self.grow(1)
"""
    lab = module(learner)
    before = lab.Thing
    lab = grafted(lab, [3])
    assert lab.Thing is before
    thing = lab.Thing(3)
    assert (thing.n, thing.own(), thing.another()) == (-4, "learner", 2.0)


def test_a_renamed_class_is_replaced_by_the_references(module):
    learner = "class Things:\n    pass\n"
    lab = grafted(module(learner), [3, 4])
    assert (lab.Thing(1).own(), lab.Things.__name__) == ("reference", "Things")


def test_a_learners_dataclass_gets_the_method(module):
    learner = """
from dataclasses import dataclass

@dataclass
class Point:
    x: int
    note: str = "mine"

    def moved(self, by):
        raise NotImplementedError("task 5")
"""
    lab = grafted(module(learner), [5])
    assert lab.Point(1).moved(4) == lab.Point(5, "mine")
    assert lab.Point.origin().x == 0


def test_lines_of_grafted_code_are_the_references(module):
    lab = grafted(module(""), [1])
    code = lab.first.__code__
    assert code.co_filename == "solution.py"
    assert REFERENCE.splitlines()[code.co_firstlineno - 1] == "def first(x):"


def raised(call, *args, **kwargs):
    """The type of error that a call ends with."""
    with pytest.raises(Exception) as caught:
        call(*args, **kwargs)
    return caught.type


@pytest.mark.parametrize("task", [task.id for task in FIRST_LAB.tasks])
def test_graft_on_the_first_labs_stub(module, task):
    lab = module(stubs.stub(REAL["1.1"]))
    stubs.graft(lab, REAL["1.1"], "solution.py", [task])
    calls = {
        1: lambda: lab.whitespace_pretokenize("a b") == ["a", " ", "b"],
        2: lambda: lab.regex_pretokenize("a b") == ["a", " b"],
        3: lambda: lab.Vocabulary.build(["a"], specials=[]).tokens == ("a",),
        4: lambda: raised(lab.PieceTokenizer(None).encode, b"a") is TypeError,
        5: lambda: lab.ByteLevelTokenizer().encode("é") == [195, 169],
        6: lambda: lab.bytes_to_unicode()[32] == "Ġ",
        7: lambda: raised(lab.benchmark, None, "", name="x") is ValueError,
        8: lambda: raised(lab.train_bpe, "ab", -1) is ValueError,
    }
    assert calls[task]()
    for other in set(calls) - {task}:
        try:
            assert not calls[other]()
        except NotImplementedError:
            continue


def test_what_is_rewritten():
    source = labs.find("1.1")[0].source()
    assert stubs.rewritten(source, source) == set()
    others = stubs.rewritten(stubs.keep_only(source, 3), source)
    assert others == {item.task for item in stubs.owned(source)} - {3}
    assert stubs.rewritten("def broken(:", source) == set()
