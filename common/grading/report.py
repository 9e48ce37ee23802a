"""Renders a record for a terminal: 80 columns, readable without colour.

Text comes out as rich markup; `screen` prints it. Nothing else in the harness prints.
"""

from __future__ import annotations

import sys
import textwrap
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from common import stubs
from common.grading.record import shown_path
from common.labs import Lab, Task

WIDTH = 80
MARKS = {
    "earned": ("✓", "green"),
    "wrong": ("✗", "red"),
    "broken": ("✗", "red"),
    "not started": ("○", "dim"),
    "waits": ("·", "dim"),
    "void": ("!", "magenta"),
}
_ASCII = str.maketrans(
    {
        "✓": "+",
        "✗": "x",
        "○": "o",
        "·": "-",
        "…": "...",
        "–": "-",
        "«": '"',
        "»": '"',
        "×": "x",
        "→": "->",
    }
)


class Screen:
    """One place that prints: to the terminal, in its width and its characters."""

    def __init__(self, stderr: bool = False) -> None:
        stream = sys.stderr if stderr else sys.stdout
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
        self._ascii = not _can_show(stream)
        self.console = Console(file=stream, highlight=False, soft_wrap=True)
        self.is_terminal = self.console.is_terminal
        columns = self.console.width if self.is_terminal else WIDTH
        self.width = max(40, min(WIDTH, columns))

    def __call__(self, markup: str = "") -> None:
        """Print rich markup; each line stays within the width."""
        for line in markup.split("\n"):
            for part in self._fit(Text.from_markup(line)):
                self.console.print(part, soft_wrap=True)

    def _fit(self, text: Text) -> list[Text]:
        if self._ascii:
            plain = text.plain.translate(_ASCII)
            text = (
                Text(plain) if len(plain) != len(text.plain) else _retext(text, plain)
            )
        if text.cell_len <= self.width:
            return [text]
        hang = len(text.plain) - len(text.plain.lstrip()) + 2
        first, rest = text.divide([0])[-1].wrap(self.console, self.width), []
        for i, line in enumerate(first):
            line.rstrip()
            rest.append(line if i == 0 else Text(" " * hang) + line)
        if any(line.cell_len > self.width for line in rest):
            head = rest[0]
            tail = text[len(head.plain) :]
            tail = Text(tail.plain.strip())
            more = tail.wrap(self.console, self.width - hang)
            rest = [head, *(Text(" " * hang) + line for line in more)]
        return rest

    def raw(self, text: str) -> None:
        """Print text as it is, for files and JSON."""
        self.console.file.write(text + "\n")
        self.console.file.flush()


def _retext(text: Text, plain: str) -> Text:
    copy = text.copy()
    copy.plain = plain
    return copy


def _can_show(stream: Any) -> bool:
    try:
        "✓✗○·…–«»×→".encode(getattr(stream, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


# --- One run ----------------------------------------------------------------------


def render(
    record: dict, lab: Lab, *, traceback: bool = False, following: Lab | None = None
) -> str:
    """The report of one run as rich markup."""
    seconds = f"{record['seconds']:.1f} s"
    lines = [_line(f"[bold]{lab.id}  {escape(lab.title)}[/]", seconds), ""]
    lines += [_task_line(task, record, lab) for task in record["tasks"]]
    lines.append("")
    if record["void"]:
        lines += _void(record)
    elif record["import_error"]:
        lines += _import_error(record)
    elif record["complete"] and len(record["tasks"]) == len(lab.tasks):
        lines += _complete(record, lab, following)
    elif shown := next(_worth_showing(record), None):
        lines += _details(shown, record, lab, traceback)
    lines += _notes(record)
    lines.append(_last_line(record, lab, following))
    return "\n".join(lines)


def _line(left: str, right: str, width: int = WIDTH) -> str:
    """Left text, and right text that ends at the last column."""
    gap = width - len(Text.from_markup(left).plain) - len(right)
    return f"{left}{' ' * max(2, gap)}{right}"


def _label(task: dict) -> str:
    return str(task["id"]) if task["points"] else "+"


def _file(record: dict) -> str:
    return record["file"].rsplit("/", 1)[-1]


def _task_line(task: dict, record: dict, lab: Lab) -> str:
    verdict = task["verdict"]
    waits = verdict == "not started" and task["waits_for"] not in (None, task["id"])
    mark, style = MARKS["waits" if waits else verdict]
    if not task["points"]:
        points = "bonus"
    elif verdict == "not started":
        points = f"–/{task['points']}"
    else:
        points = f"{task['earned']}/{task['points']}"
    name = escape(task["name"][:26])
    remark = _remark(task, record)
    left = f"  [{style}]{mark}[/] {_label(task):<2} {name:<26} {points}"
    return (
        f"{left}{' ' * (8 - len(points))}[dim]{escape(remark)}[/]" if remark else left
    )


def _remark(task: dict, record: dict) -> str:
    file = _file(record)
    place = f"{file}:{task['line']}" if task["line"] else ""
    if task["verdict"] == "not started":
        other = task["waits_for"]
        if other is not None and other != task["id"]:
            return f"waits for {other}"
        return "not started"
    if task["verdict"] == "earned":
        return _with_reference(task) if task["grafted"] else ""
    if record["import_error"] or task["verdict"] == "void":
        return task["verdict"]
    return place


def _with_reference(task: dict) -> str:
    which = ", ".join(str(i) for i in task["grafted"])
    return f"with the reference's {which}"


def _worth_showing(record: dict):
    """Tasks with something to say, the first unsolved one first."""
    for task in record["tasks"]:
        if task["verdict"] in ("wrong", "broken"):
            yield task


def _field(name: str, text: str, indent: int = 2, width: int = WIDTH) -> str:
    """A name in a column of its own and the text beside it, wrapped."""
    head = f"{' ' * indent}{name:<12}"
    wrapped = textwrap.wrap(
        text, width - len(head), break_long_words=True, break_on_hyphens=False
    )
    if not wrapped:
        return f"[dim]{head}[/]"
    rest = [f"{' ' * len(head)}{escape(line)}" for line in wrapped[1:]]
    return "\n".join([f"[dim]{head}[/]{escape(wrapped[0])}", *rest])


def _details(task: dict, record: dict, lab: Lab, traceback: bool) -> list[str]:
    passed = sum(test["outcome"] == "passed" for test in task["tests"])
    tests = f"{passed} of {len(task['tests'])} tests pass"
    lines = [_line(f"[bold]Task {_label(task)}   {escape(task['name'])}[/]", tests)]
    if task["grafted"]:
        lines.append(_field("graded", _with_reference(task) + " in place of yours"))
    if task["verdict"] == "broken":
        lines += _broken(task, record, lab)
    else:
        lines += _first_failure(task, record)
    if traceback:
        lines += _traceback(task)
    lines += _printed(task)
    lines.append("")
    return lines + _diagnosis(task)


def _first_failure(task: dict, record: dict) -> list[str]:
    test = next(
        t for t in task["tests"] if t["outcome"] not in ("passed", "not reached")
    )
    lines = [_field("test", test["title"])]
    failed = next((c for c in test["checks"] if not c["ok"]), None)
    if failed is None or test["error"]:
        return lines + _raised(test)
    if failed["input"]:
        lines.append(_field("called", failed["input"]))
    if failed["name"]:
        lines.append(_field("about", failed["name"]))
    if failed["where"]:
        lines.append(_field("at", failed["where"]))
    lines.append(_field("expected", failed["expected"]))
    lines.append(_field("got", failed["got"]))
    if failed["kind"] in ("type", "dtype", "shape", "nan", "length"):
        lines.append(_field("", _KINDS[failed["kind"]]))
    if failed["agree"]:
        same, total = failed["agree"]
        lines.append(_field("agrees", f"{same:,} of {total:,} values"))
    lines.append(
        _field("seed", f"{record['seed']}   (--seed {record['seed']} repeats it)")
    )
    return lines


_KINDS = {
    "type": "The type is not the one asked for; values were not compared.",
    "dtype": "The dtype differs; values were not compared.",
    "shape": "The shape differs; values were not compared.",
    "nan": "This is the first NaN; NaN agrees with nothing.",
    "length": "All before this agrees; one of the two ends here.",
}


def _raised(test: dict) -> list[str]:
    error = test["error"]
    lines = [_field("called", test["call"])] if test["call"] else []
    place = f" in line {error['line']} ({error['function']})" if error["line"] else ""
    lines.append(_field("raised", f"{error['type']}{place}"))
    lines.append(_field("", error["message"]))
    return lines


def _broken(task: dict, record: dict, lab: Lab) -> list[str]:
    usual = ("passed", "wrong", "error", "not started", "not reached")
    running = [t for t in task["tests"] if t["outcome"] not in usual]
    ended = next((t for t in task["tests"] if t["outcome"] == "not reached"), None)
    test = running[0] if running else ended
    lines = [_field("test", test["title"])] if test else []
    if test and test["call"]:
        lines.append(_field("called", test["call"]))
    place = f" at {_file(record)}:{task['line']}" if task["line"] else ""
    lines.append(_field("broken", f"{task['reason']}{place}"))
    others = [t for t in record["tasks"] if t["id"] != task["id"]]
    if others:
        lines.append(_field("", "The other tasks were graded all the same."))
    return lines


def _traceback(task: dict) -> list[str]:
    for test in task["tests"]:
        if test["error"] and test["error"]["traceback"]:
            text = "".join(test["error"]["traceback"]).rstrip()
            return ["", *(f"  [dim]{escape(line)}[/]" for line in text.splitlines())]
    return ["", "  [dim]No exception: a value was wrong, so there is no traceback.[/]"]


def _printed(task: dict) -> list[str]:
    output = task["output"]
    if not output or not output["bytes"]:
        return []
    shown = output["head"][:4]
    lines = [
        _field("printed" if i == 0 else "", line[:60]) for i, line in enumerate(shown)
    ]
    if output["cut"] or len(output["head"]) > len(shown) or output["tail"]:
        lines.append(_field("", f"… {output['bytes']:,} bytes in all"))
    return lines


def _diagnosis(task: dict) -> list[str]:
    found = task["diagnosis"]
    if not found:
        return []
    if len(found) == 1:
        first = found[0]
        checks = (
            "the check" if first["checks"] == 1 else f"all {first['checks']} checks"
        )
        return [
            _bold_field("Looks like", first["says"]),
            _field("", f"Your values equal that version's on {checks}.", indent=0),
            _field("", first["because"], indent=0),
            "",
        ]
    lines = [_bold_field("Looks like", "one of:")]
    for one in found:
        lines.append(_field("", f"{one['says']} {one['because']}", indent=0))
    return [*lines, ""]


def _bold_field(name: str, text: str) -> str:
    return _field(name, text, indent=0).replace("[dim]", "[bold]", 1)


def _void(record: dict) -> list[str]:
    return [
        _bold_field("Void", f"This run does not count: {record['void']['why']}."),
        _field(
            "", "No point is given or taken. Put it back and grade again.", indent=0
        ),
        "",
    ]


def _import_error(record: dict) -> list[str]:
    error = record["import_error"]
    file = _file(record)
    place = f"{file}:{error['line']}   " if error["line"] else f"{file}   "
    blocked = ", ".join(_label(task) for task in record["tasks"])
    return [
        _bold_field("Cannot run", f"{place}{error['message']}"),
        _field("", f"Until it can be imported, no task can be graded ({blocked}).", 0),
        "",
    ]


def _complete(record: dict, lab: Lab, following: Lab | None) -> list[str]:
    lines = [
        _field("Try it", f"labs run {lab.id}       the experiment, with your code", 0),
        _field("Read", f"labs compare {lab.id}   your code beside the reference's", 0),
        _field("Say it", "the questions under «Explain it» in README.md", 0),
    ]
    if following:
        lines.append(_field("Next lab", f"{following.id}  {following.title}", 0))
    for task in record["tasks"]:
        if task["verdict"] in ("wrong", "broken"):  # a bonus
            text = f"labs grade {lab.id}.{task['id']} says what the bonus lacks"
            lines.append(_field("Bonus", text, 0))
    return [*lines, ""]


def _notes(record: dict) -> list[str]:
    lines = []
    if record["violations"]:
        tried = "; ".join(record["violations"])
        lines.append(_field("Blocked", f"lab.py tried to {tried}.", indent=0))
    if record["skipped"]:
        missing = sorted(
            {name for test in record["skipped"] for name in test["missing"]}
        )
        text = f"{len(record['skipped'])} tests wait for data: {', '.join(missing)}."
        lines.append(_field("Skipped", text, indent=0))
    return [*lines, ""] if lines else []


def _last_line(record: dict, lab: Lab, following: Lab | None) -> str:
    score = f"[bold]{record['points']}/{record['max_points']} points.[/]"
    if record["complete"] and len(record["tasks"]) < len(lab.tasks):
        return f"{score}   Next: labs grade {lab.id}"  # the rest of this lab
    if record["complete"]:
        after = f"labs grade {following.id}" if following else f"labs run {lab.id}"
        return f"{score}   Next: {after}"
    open_ = [t for t in record["tasks"] if t["verdict"] != "earned" and t["points"]]
    shown = next(_worth_showing(record), None)
    if record["void"] or record["import_error"]:
        return f"{score}   Next: mend {_file(record)}, then labs grade {lab.id}"
    if shown is not None:
        return f"{score}   Next: labs hint {lab.id}.{shown['id']}, or README.md «Tasks»"
    first = open_[0] if open_ else record["tasks"][0]
    place = f"{_file(record)}:{first['line']}"
    return f"{score}   Next: task {first['id']}, {first['name']}, in {place}"


# --- Other screens ----------------------------------------------------------------


def overview(lab: Lab, points: int, total: int, most: int, setup: str) -> str:
    """What `labs` alone prints: where you are and what is next."""
    counts = f"{total} of {most} points"
    first = next((t for t in lab.tasks), None)
    start = f"   (task {first.id}: {first.name})" if first and not points else ""
    return "\n".join(
        [
            _line("[bold]llm-labs[/]  from raw text to LLM engineering", counts),
            "",
            _field(
                "You are at",
                f"{lab.id}  {lab.title}   {points}/{lab.points} points",
                0,
            ),
            _field("Read", shown_path(lab.file("README.md")), 0),
            _field("Edit", f"{shown_path(lab.file('lab.py'))}{start}", 0),
            "",
            _field("Set-up", setup, 0),
            "",
            f"Next: labs grade {lab.id}, or labs watch {lab.id} (grades at every save)",
        ]
    )


def progress_map(rows: list[tuple[str, list[tuple[Lab, int, list[bool]]]]]) -> str:
    """The map of `labs progress`: phases, labs, points, tasks earned."""
    lines = []
    for phase, members in rows:
        got = sum(points for _, points, _ in members)
        most = sum(lab.points for lab, _, _ in members)
        lines.append(_line(f"[bold]{escape(phase)}[/]", f"{got}/{most}"))
        for lab, points, earned in members:
            marks = "".join("✓" if e else "○" for e in earned)
            left = (
                f"  {lab.id:<5} {escape(lab.title[:44]):<44} {points:>3}/{lab.points}"
            )
            lines.append(f"{left}  {marks}")
        lines.append("")
    return "\n".join(lines)


def hint(lab: Lab, task: Task, level: int) -> str:
    """One hint, and how to get the next."""
    names = ("A question", "The idea", "The step")
    title = f"[bold]{lab.id}.{task.id}  {escape(task.name)}[/]"
    lines = [_line(title, f"hint {level} of {len(task.hints)}"), ""]
    lines.append(
        _field(names[level - 1], task.hints[level - 1], 0)
        .replace("[dim]", "", 1)
        .replace("[/]", "", 1)
    )
    more = f"labs hint {lab.id}.{task.id} goes one step deeper"
    if level == len(task.hints):
        more = (
            "this is the last one. The lab's README has the idea with a worked example"
        )
    return "\n".join([*lines, "", f"Next: {more}."])


def watch_screen(text: str, moved: str | None, records: list[dict]) -> str:
    """A report with what changed since the last save, a diary and the keys."""
    runs = "   ".join(
        f"{r['started'][11:19]} {r['points']}/{r['max_points']}" for r in records[-5:]
    )
    lines = [text, ""]
    if moved:
        lines.append(f"[bold]{escape(moved)}[/]")
    lines.append(f"[dim]{runs} (UTC)[/]")
    lines.append("Keys: h hint   n next lab   a again   q quit. Saving grades again.")
    return "\n".join(lines)


def progress_foot(hints: int, met: list[str], current: Lab) -> str:
    """What was met on the way, and where to go on."""
    named = ", ".join(escape(name.replace("-", " ")) for name in met[-8:])
    lines = [f"Hints used: {hints}."]
    if named:
        lines[0] += f"   Misconceptions met: {named}."
    return "\n".join([*lines, f"Next: labs grade {current.id}"])


def verify_line(line: Any) -> str:
    """One check of `labs verify`, and what else was found."""
    mark, style = {True: ("✓", "green"), False: ("✗", "red"), None: ("·", "dim")}[
        line.ok
    ]
    out = [f"  [{style}]{mark}[/] {line.name:<23} {escape(line.text)}"]
    shown = line.details if line.ok is False else ()
    out += [f"    {'':<23} {escape(detail)}" for detail in shown[:8]]
    if len(shown) > 8:
        out.append(f"    {'':<23} and {len(shown) - 8} more")
    return "\n".join(out)


def compare(lab: Lab, mine: str, reference: str, task: int | None = None) -> str:
    """Each task's definitions, the learner's first, then the reference's."""
    ours, theirs = stubs.definitions(mine), stubs.definitions(reference)
    lines = []
    for one in lab.tasks:
        if task is not None and one.id != task:
            continue
        for name in stubs.task_names(reference)[one.id]:
            yours, its = ours.get(name, ""), theirs[name]
            counts = (
                f"{len(yours.splitlines())} lines, reference {len(its.splitlines())}"
            )
            lines.append(_line(f"[bold]{lab.id}.{one.id}  {escape(name)}[/]", counts))
            same = yours.strip() == its.strip()
            lines += ["[dim]--- yours[/]", escape(yours.rstrip() or "(not there)")]
            lines += ["[dim]--- reference[/]"]
            lines += ["(the same)" if same else escape(its.rstrip()), ""]
    return "\n".join(lines)


def cohort(
    lab: Lab, graded: list[Any], unknown: list, named: Any, seconds: float
) -> str:
    """A table of learners and tasks, then what the mistakes have in common."""
    title = f"[bold]{lab.id}  {escape(lab.title)}[/]"
    lines = [_line(title, f"{len(graded)} learners, {seconds:.0f} s"), ""]
    heads = "".join(f"{task.label:>4}" for task in lab.tasks)
    lines.append(f"  {'':<18}{heads}   total")
    for one in graded:
        tasks = one.record["tasks"]
        cells = "".join(f"{_cell(task):>4}" for task in tasks)
        remark = _cohort_remark(one)
        row = f"  {escape(one.learner[:18]):<18}{cells}{one.record['points']:>8}"
        lines.append(f"{row}   {escape(remark)}".rstrip())
    if graded:
        mean = sum(one.record["points"] for one in graded) / len(graded)
        blank = " " * (4 * len(lab.tasks))
        lines += [f"  {'mean':<18}{blank}{mean:>8.1f}", ""]
    if named:
        counts = " · ".join(f"{n} {escape(name)}" for name, n in named.most_common())
        lines.append(_field("Mistakes", counts, 0))
    for task, learners in unknown:
        who = ", ".join(learners)
        text = f"{len(learners)} share wrong values in task {task} that no listed "
        lines.append(_field("Unknown", f"{text}misconception gives: {who}", 0))
    return "\n".join(lines)


def _cell(task: dict) -> str:
    if not task["points"]:
        return "+" if task["verdict"] == "earned" else "–"
    return "–" if task["verdict"] == "not started" else str(task["earned"])


def _cohort_remark(one: Any) -> str:
    if one.record["void"]:
        return "void"
    if one.record["import_error"]:
        return "cannot be imported"
    broken = [t["reason"] for t in one.record["tasks"] if t["verdict"] == "broken"]
    return ", ".join([*one.named(), *(reason for reason in broken[:1] if reason)])[:34]
