"""Turns a solution into other versions of itself: stub, control, variant, mixture.

A comment ``# task N`` as the first line of a function body (or behind an assignment)
says who owns it. Everything here is text and syntax trees; nothing runs a lab, except
`graft`, which puts single reference functions into a learner's loaded module.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import ModuleType

_MARK = re.compile(r"#\s*task (\d+)\b")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Owned:
    """One definition that belongs to a task: a function, a method, or a constant."""

    task: int
    name: str  # "regex_pretokenize", "Vocabulary.build", "GPT2_PAT"
    node: ast.stmt
    body: range  # the lines (counted from 0) that the learner writes

    @property
    def private(self) -> bool:
        """Whether it is a helper of our own, which a stub does not show."""
        last = self.name.rsplit(".", 1)[-1]
        return last.startswith("_") and not last.startswith("__")


def owned(source: str) -> list[Owned]:
    """All marked definitions of a solution, in the order of the file."""
    lines = source.splitlines()
    found = []
    for name, node in _definitions(ast.parse(source)):
        lines_of_body = _body_lines(node, lines)
        task = _task_of(node, lines_of_body, lines)
        if task is not None:
            found.append(Owned(task, name, node, lines_of_body))
    return found


def task_names(source: str) -> dict[int, list[str]]:
    """The public names of each task: ``{3: ["Vocabulary.build"], ...}``."""
    names: dict[int, list[str]] = {}
    for item in owned(source):
        if not item.private:
            names.setdefault(item.task, []).append(item.name)
    return names


def definitions(source: str) -> dict[str, str]:
    """The text of each function, method and constant, without docstrings."""
    lines = source.splitlines()
    found = {}
    for name, node in _definitions(ast.parse(source)):
        body = _body_lines(node, lines)
        if isinstance(node, _FUNCTIONS) and _has_docstring(node):
            header = lines[node.lineno - 1 : node.body[0].lineno - 1]
            found[name] = "\n".join([*header, *lines[body.start : body.stop]])
        else:
            found[name] = "\n".join(lines[node.lineno - 1 : node.end_lineno])
    return found


def rewritten(source: str, reference: str) -> set[int]:
    """The tasks of which something is not written as in the reference."""
    try:
        theirs = definitions(source)
    except (SyntaxError, ValueError):
        return set()
    ours = definitions(reference)
    return {
        item.task
        for item in owned(reference)
        if theirs.get(item.name) != ours[item.name]
    }


def spans(source: str) -> dict[str, range]:
    """The lines (counted from 1) of each function, method and constant."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return {}
    return {
        name: range(node.lineno, node.end_lineno + 1)
        for name, node in _definitions(tree)
    }


def _definitions(tree: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            for member in node.body:
                if isinstance(member, _FUNCTIONS):
                    yield f"{node.name}.{member.name}", member
        elif isinstance(node, _FUNCTIONS):
            yield node.name, node
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and node.value is not None:
                yield target.id, node


def _has_docstring(node: ast.stmt) -> bool:
    return isinstance(node, _FUNCTIONS) and ast.get_docstring(node) is not None


def _body_lines(node: ast.stmt, lines: list[str]) -> range:
    """Lines after header and docstring; for a constant, all of its lines."""
    if not isinstance(node, _FUNCTIONS):
        return range(node.lineno - 1, node.end_lineno)
    stop = node.end_lineno
    for i in range(stop, len(lines)):  # comments behind the last statement
        text = lines[i].lstrip()
        if text and (text[0] != "#" or len(lines[i]) - len(text) <= node.col_offset):
            break
        stop = i + 1 if text else stop
    if _has_docstring(node):
        return range(node.body[0].end_lineno, stop)
    first = node.body[0].lineno - 1
    while lines[first - 1].lstrip().startswith("#"):
        first -= 1  # comments between the header and the first statement
    return range(first, stop)


def _task_of(node: ast.stmt, body: range, lines: list[str]) -> int | None:
    if not body:
        return None
    first = next((lines[i] for i in body if lines[i].strip()), "")
    if isinstance(node, _FUNCTIONS):
        first = first.strip()
        if not first.startswith("#"):
            return None
    mark = _MARK.search(first)
    return int(mark[1]) if mark else None


# --- Versions of a solution -------------------------------------------------------


def stub(source: str) -> str:
    """What the learner starts from: bodies raise, helpers of ours are gone."""
    return _rewrite(
        source, lambda item: f'raise NotImplementedError("task {item.task}")'
    )


CONTROLS = ("empty", "constant", "echo", "raises")


def control(source: str, kind: str) -> str:
    """A lab without an idea in it, which must earn nothing.

    ``empty`` returns None everywhere, ``constant`` a fixed value of the annotated type,
    ``echo`` its first argument, ``raises`` an error that names every argument.
    """
    bodies = {
        "empty": lambda item: "return None",
        "constant": _constant_body,
        "echo": _echo_body,
        "raises": _raising_body,
    }
    return _rewrite(source, bodies[kind]) + (_ALWAYS if kind == "raises" else "")


def _rewrite(source: str, body: Callable[[Owned], str]) -> str:
    lines = source.splitlines()
    for item in sorted(owned(source), key=lambda o: o.body.start, reverse=True):
        if item.private:
            start, stop = _whole(item.node, lines)
            lines[start:stop] = []
        elif isinstance(item.node, _FUNCTIONS):
            indent = " " * (item.node.col_offset + 4)
            written = [indent + line for line in body(item).splitlines()]
            lines[item.body.start : item.body.stop] = written
        else:
            header = lines[item.body.start].split("=", 1)[0].rstrip()
            lines[item.body.start : item.body.stop] = [
                f"{header} = ...  # task {item.task}"
            ]
    text = "\n".join(lines) + "\n"
    return re.sub(r"\n{4,}", "\n\n\n", text)


def _whole(node: ast.stmt, lines: list[str]) -> tuple[int, int]:
    """The lines of a definition with its decorators, comments and blank lines above."""
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
    start = first - 1
    while start and lines[start - 1].lstrip().startswith("#"):
        start -= 1
    while start and not lines[start - 1].strip():
        start -= 1
    return start, max(node.end_lineno, _body_lines(node, lines).stop)


def _parameters(item: Owned) -> list[str]:
    arguments = item.node.args
    names = [
        a.arg for a in arguments.posonlyargs + arguments.args + arguments.kwonlyargs
    ]
    return [n for n in names if n not in ("self", "cls")]


def _echo_body(item: Owned) -> str:
    names = _parameters(item)
    return f"return {names[0]}" if names else "return None"


def _constant_body(item: Owned) -> str:
    returns = item.node.returns
    kind = ast.unparse(returns).strip("'\"").split("[")[0] if returns else ""
    values = {"str": "''", "int": "1", "float": "1.0", "bool": "True", "bytes": "b''"}
    values |= {"list": "[]", "dict": "{}", "tuple": "()", "set": "set()"}
    return f"return {values.get(kind, '1.0')}"


_ALWAYS = """

class AlwaysRaised(ValueError, TypeError, RuntimeError):
    pass
"""


def _raising_body(item: Owned) -> str:
    return f'raise AlwaysRaised("{" ".join(_parameters(item))}")'


def apply(source: str, edits: Iterable[tuple[str, str]]) -> str:
    """The source with each (find, replace) done; each `find` occurs exactly once."""
    for find, replace in edits:
        if (count := source.count(find)) != 1:
            raise ValueError(f"find occurs {count} times, not once: {find!r}")
        source = source.replace(find, replace)
    return source


def keep_only(source: str, task: int) -> str:
    """The solution for one task, the stub for all others."""
    lines = source.splitlines()
    others = [o for o in owned(source) if o.task != task]
    for item in sorted(others, key=lambda o: o.body.start, reverse=True):
        if isinstance(item.node, _FUNCTIONS):
            indent = " " * (item.node.col_offset + 4)
            raising = f'{indent}raise NotImplementedError("task {item.task}")'
            lines[item.body.start : item.body.stop] = [raising]
    return "\n".join(lines) + "\n"


# --- Grafting ---------------------------------------------------------------------


def graft(module: ModuleType, source: str, filename: str, tasks: Iterable[int]) -> None:
    """Put the reference's functions of `tasks` into a learner's loaded module.

    They run in the learner's namespace, so that the learner's other functions find
    them. What they need and the learner's file lacks (imports, helpers) comes along.
    """
    tree, wanted = ast.parse(source), set(tasks)
    names = {item.name: item for item in owned(source)}
    space = vars(module)

    def run(node: ast.stmt) -> None:
        exec(compile(ast.Module([node], []), filename, "exec"), space)

    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            if isinstance(space.get(node.name), type):
                _graft_methods(space, node, names, wanted, filename)
            else:
                run(node)
        elif _should_graft(node, names, wanted, space):
            run(node)


def _should_graft(
    node: ast.stmt, names: dict[str, Owned], wanted: set[int], space: dict
) -> bool:
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        bound = [a.asname or a.name.split(".")[0] for a in node.names]
        future = getattr(node, "module", None) == "__future__"
        return not future and any(name not in space for name in bound)
    if isinstance(node, _FUNCTIONS):
        bound = [node.name]
    elif isinstance(node, (ast.Assign, ast.AnnAssign)):
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        bound = [target.id] if isinstance(target, ast.Name) else []
    else:
        return False
    return any(
        name not in space or (name in names and names[name].task in wanted)
        for name in bound
    )


def _graft_methods(
    space: dict,
    node: ast.ClassDef,
    names: dict[str, Owned],
    wanted: set[int],
    file: str,
) -> None:
    owner = space[node.name]
    for member in node.body:
        if not isinstance(member, _FUNCTIONS):
            continue
        item = names.get(f"{node.name}.{member.name}")
        if (item and item.task in wanted) or member.name not in dir(owner):
            method = _bind(member, owner, space, file)
            setattr(owner, member.name, method)
            if hasattr(type(method), "__set_name__"):  # cached_property and its like
                method.__set_name__(owner, member.name)


def _bind(member: ast.stmt, owner: type, space: dict, filename: str) -> object:
    """Compile one method so that a bare super() in it finds `owner`."""
    name = member.name  # an argument too: @name.setter needs the property there is
    maker = ast.parse(f"def _make(__class__, {name}):\n    return {name}").body[0]
    maker.body.insert(0, member)
    tree = ast.fix_missing_locations(ast.Module([maker], []))
    local: dict = {}
    exec(compile(tree, filename, "exec"), space, local)
    return local["_make"](owner, vars(owner).get(name))
