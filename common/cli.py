"""The `labs` command: what a person types, and what it prints.

Commands only parse, call, and render; grading, progress and reports live elsewhere.
Exit codes: 0 every asked task earned, 1 not yet, 2 wrong usage, 3 a fault of ours.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import sys
import traceback as tracebacks
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from common import labs
from common.progress import Progress, keep_aside, write_atomically

app = typer.Typer(
    add_completion=False,
    no_args_is_help=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Graded lab exercises, from raw text to LLM engineering.",
)

LabName = Annotated[
    str | None,
    typer.Argument(
        metavar="[LAB]",
        show_default=False,
        help="1.1, 1.1.3 (a task), a folder's name, a part of it, or a path. "
        "Default: the lab you are on.",
    ),
]
Impl = Annotated[
    str, typer.Option(help="What to take: lab, solution, or a Python file.")
]


def screen():
    """The one printer; made late, because rich is slow to import."""
    from common.grading.report import Screen

    return Screen()


class Usage(Exception):
    """A mistake of the person at the keyboard; one clear line, exit code 2."""


def main() -> None:
    """Entry point: run a command, turn known exceptions into exit codes."""
    from common.datasets import DatasetMissing, UnknownDataset
    from common.grading.runner import HarnessFault

    try:
        code = app(standalone_mode=False)  # what typer.Exit carries, or None
        if code == 130:  # typer's answer to Ctrl-C
            _say_on_stderr("Stopped.", code)
    except (Usage, labs.UnknownLab, UnknownDataset, labs.LabError) as mistake:
        code = _say_on_stderr(str(mistake.args[0]), 2)
    except DatasetMissing as missing:
        code = _say_on_stderr(str(missing), 2)
    except HarnessFault as fault:
        said = str(fault) if "--traceback" in sys.argv else _in_one_line(str(fault))
        code = _say_on_stderr(f"This is our fault, not yours: {said}", 3)
    except (KeyboardInterrupt, typer.Abort):
        code = _say_on_stderr("Stopped.", 130)
    except SystemExit as end:
        if not isinstance(end.__context__, BrokenPipeError):
            raise  # typer and rich would exit with 1, which means "not yet"
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # our reader has gone
        code = 141  # as the shell says it for other programs
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        code = _say_on_stderr(f"{error.strerror or error}{where}", 2)
    except Exception as error:
        if hasattr(error, "exit_code"):  # click's own usage errors
            error.show()
            code = error.exit_code
        else:
            tracebacks.print_exc()  # what a report of this fault needs
            code = _say_on_stderr("This is our fault, not yours. Please report it.", 3)
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
    sys.exit(code if isinstance(code, int) else 0)


def _say_on_stderr(text: str, code: int) -> int:
    from rich.markup import escape

    from common.grading.report import Screen

    Screen(stderr=True)(escape(text))
    return code


def _in_one_line(fault: str) -> str:
    """The last line of a fault, and where in the grader it stood."""
    *before, last = fault.strip().splitlines() or [""]
    last = re.sub(r"^E\s+", "", last)  # how pytest marks it
    places = re.findall(r'((?:test_lab|solution)\.py)(?::|", line )(\d+)', fault)
    return f"{':'.join(places[-1])}   {last}" if before and places else last


def _find(name: str | None, progress: Progress) -> tuple[labs.Lab, int | None]:
    return labs.find(name) if name else (progress.current(), None)


def _progress() -> Progress:
    progress = Progress()
    _notice(progress)
    return progress


def _notice(progress: Progress) -> None:
    """Say once what happened to the progress file; stdout may be for a machine."""
    if progress.notice:
        _say_on_stderr(progress.notice, 0)
        progress.notice = None


def _following(lab: labs.Lab) -> labs.Lab | None:
    every = labs.all_labs()
    ids = [other.id for other in every]
    here = ids.index(lab.id) if lab.id in ids else len(every)
    return every[here + 1] if here + 1 < len(every) else None


# --- For learners -----------------------------------------------------------------


@app.callback(invoke_without_command=True)
def overview(ctx: typer.Context) -> None:
    """Without a command: where you are, what is next, what is missing."""
    if ctx.invoked_subcommand is not None:
        return
    from common.grading import report

    say = screen()
    progress = _progress()
    lab, every = progress.current(), labs.all_labs()
    total = sum(progress.points(each) for each in every)
    most = sum(each.points for each in every)
    say(report.overview(lab, progress.points(lab), total, most, _setup()))


def _setup() -> str:
    from common import datasets

    have = [name for name in datasets.names() if datasets.available(name)]
    python = f"Python {platform.python_version()} ✓"
    torch = f"torch {metadata.version('torch')} ✓"
    cores = os.cpu_count() or 1
    data = f"data {len(have)} of {len(datasets.names())} sets"
    return f"{python}   {torch}   {cores} core{'s' * (cores > 1)}   {data}"


@app.command()
def grade(
    lab: LabName = None,
    impl: Impl = "lab",
    as_json: Annotated[bool, typer.Option("--json", help="Print the record.")] = False,
    seed: Annotated[
        int | None, typer.Option(help="Repeat a run with its drawn inputs.", min=0)
    ] = None,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Show where an exception came from.")
    ] = False,
    all_: Annotated[bool, typer.Option("--all", help="Grade every lab.")] = False,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML.")] = None,
    gradescope: Annotated[
        Path | None, typer.Option(help="Write Gradescope's results.json.")
    ] = None,
    github: Annotated[
        bool, typer.Option("--github", help="Print annotations for GitHub Actions.")
    ] = False,
) -> None:
    """Grade a lab, or one task of it."""
    progress = _progress()
    asked = (
        [(each, None) for each in labs.all_labs()] if all_ else [_find(lab, progress)]
    )
    records = []
    for one, task in asked:
        record = _grade(one, impl, [task] if task else None, seed)
        from common.grading import exports, report  # not before the run: see _grade

        say = screen()
        records.append(record)
        if impl == "lab":
            progress.add(record)
        if as_json:
            say.raw(json.dumps(record, ensure_ascii=True))
        elif github:
            say.raw("\n".join(exports.github(record)))
        else:
            say(
                report.render(
                    record, one, traceback=traceback, following=_following(one)
                )
            )
    for path, render in ((junit, exports.junit), (gradescope, exports.gradescope)):
        if path:
            write_atomically(path, render(records).encode("utf-8"))
    _notice(progress)
    raise typer.Exit(0 if all(record["complete"] for record in records) else 1)


def _grade(lab: labs.Lab, impl: str, tasks: list[int] | None, seed: int | None) -> dict:
    from common.grading import runner

    path = _path(lab, impl)
    with runner.open_worker(lab) as worker:
        # imported while the server starts, on the other core
        from common.grading import grade as grading
        from common.grading import report  # noqa: F401

        source = grading.source(path)
        return grading.Grading(lab, path, source, worker, tasks=tasks, seed=seed).run()


def _path(lab: labs.Lab, impl: str = "lab") -> Path:
    """The file to take; a lost lab.py is said as that."""
    if impl == "lab" and not lab.file("lab.py").is_file():
        raise Usage(
            f"{lab.id} has no lab.py. labs reset {lab.id} --yes puts the stub there."
        )
    return labs.implementation_path(lab, impl)


@app.command()
def watch(lab: LabName = None) -> None:
    """Grade again at every save. Keys: h hint, n next lab, a again, q quit."""
    from common.grading import watch as watching

    say = screen()
    progress = Progress()
    chosen, task = _find(lab, progress)
    _path(chosen)
    session = watching.Session(chosen)
    try:
        with watching.keys() as pressed:  # from the start: no key is lost
            _show_watch(say, session, progress, task)
            for event in watching.events(session, pressed):
                if event == "q":
                    break
                if event == "h":
                    _next_hint(say, session, progress)
                elif event == "n":
                    if following := _following(session.lab):
                        session.move_to(following)
                        task = None
                        _show_watch(say, session, progress, task)
                    else:
                        say("This is the last lab.")
                elif event in ("save", "a"):
                    _show_watch(say, session, progress, task)
    finally:
        session.close()


def _show_watch(say, session, progress: Progress, task: int | None) -> None:
    from common.grading import report
    from common.grading import watch as watching

    before = session.records[-1] if session.records else None
    record = session.grade([task] if task else None)
    progress.add(record)
    if say.is_terminal:
        say.console.clear()
    text = report.render(record, session.lab, following=_following(session.lab))
    say(report.watch_screen(text, watching.closer(record, before), session.records))
    _notice(progress)


def _next_hint(say, session, progress: Progress) -> None:
    open_ = [t for t in session.records[-1]["tasks"] if t["verdict"] != "earned"]
    if open_:
        _show_hint(say, session.lab, open_[0]["id"], progress)


@app.command()
def hint(
    lab: Annotated[str, typer.Argument(metavar="LAB.TASK", help="For example 1.1.3.")],
) -> None:
    """The next hint for a task: a question, the idea, the step. Free of points."""
    say = screen()
    progress = _progress()
    chosen, task = labs.find(lab)
    if task is None:
        earned = progress.best(chosen)
        task = next(
            (t.id for t in chosen.tasks if not earned[t.id]), chosen.tasks[0].id
        )
    _show_hint(say, chosen, task, progress)


def _show_hint(say, lab: labs.Lab, task: int, progress: Progress) -> None:
    from common.grading import report

    chosen = lab.task(task)
    level = min(progress.hints(lab, task) + 1, len(chosen.hints))
    progress.add_hint(lab, task, level)
    say(report.hint(lab, chosen, level))
    _notice(progress)


@app.command()
def progress() -> None:
    """The map: every lab, its points, its tasks."""
    from common.grading import report

    say = screen()
    kept = _progress()
    rows = []
    for phase in labs.phases():
        members = [
            lab for lab in labs.all_labs() if lab.folder.parent == phase.resolve()
        ]
        entries = [
            (lab, kept.points(lab), list(kept.best(lab).values())) for lab in members
        ]
        if members:
            rows.append((labs.phase_title(phase), entries))
    say(report.progress_map(rows))
    say(report.progress_foot(kept.total_hints(), kept.met(), kept.current()))


@app.command()
def leaderboard(
    samples: Annotated[
        bool, typer.Option("--samples", help="200 characters of each.")
    ] = False,
) -> None:
    """All language models on one text, yours among them."""
    from rich.markup import escape

    from common import leaderboard as board

    say = screen()
    found = board.entries(mine=True)
    say("[bold]Tiny Shakespeare, mean over all 111,540 validation characters[/]\n")
    for line in board.screen(found, samples):
        say(escape(line))
    say("")
    say("Learned: n-grams (n) or parameters (p). Nats: loss per character; less is")
    say("better. Bits = nats / ln 2, perplexity = exp(nats). Time: of training.")
    yours = any(e.mine for e in found)
    say("> marks your own runs." if yours else "labs run 3.3 adds your own model.")


@app.command()
def run(
    lab: LabName = None,
    impl: Impl = "lab",
    quick: Annotated[bool, typer.Option("--quick", help="A small version.")] = False,
    full: Annotated[bool, typer.Option("--full", help="More data, more time.")] = False,
    out: Annotated[Path | None, typer.Option(help="Where to write.")] = None,
) -> None:
    """Run a lab's experiment with your code, or with the reference's."""
    from rich.markup import escape

    from common.grading import verify
    from common.grading.record import shown_path

    say = screen()
    chosen, _ = _find(lab, _progress())
    path = _path(chosen, impl)
    _parsed(path)
    default = "results" if impl == "solution" and not quick else "results/mine"
    out = (out or chosen.folder / default).resolve()
    out.mkdir(parents=True, exist_ok=True)
    try:
        verify.run_experiment(str(chosen.folder), impl, out, quick=quick, full=full)
    except NotImplementedError as stub:
        raise Usage(
            f"The experiment needs all of {path.name}, and {stub} is not written yet. "
            f"With the reference: labs run {chosen.id} --impl solution"
        ) from None
    except (labs.UnknownLab, OSError):
        raise
    except Exception as error:
        place = _place(error, path)
        if impl == "solution":
            raise
        if place is None:  # it broke on what lab.py returned
            raise Usage(
                f"The experiment stops on what {path.name} returns "
                f"({type(error).__name__}: {error}). First: labs grade {chosen.id}"
            ) from None
        raise Usage(f"{place}   {type(error).__name__}: {_said(error)}") from None
    say(f"\nWritten to {escape(shown_path(out))}   Read report.md there first.")


def _said(error: Exception) -> str:
    return error.msg if isinstance(error, SyntaxError) else str(error)


def _place(error: Exception, path: Path) -> str | None:
    """The last line of a file that an exception came through; None: it did not."""
    frames = tracebacks.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    if isinstance(error, SyntaxError) and error.filename == str(path):
        lines.append(error.lineno)
    return f"{path.name}:{lines[-1]}" if lines else None


@app.command()
def compare(
    lab: LabName = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Your code beside the reference's, task by task."""
    from common.grading import report

    say = screen()
    kept = _progress()
    chosen, task = _find(lab, kept)
    mine = _parsed(_path(chosen))
    if kept.points(chosen) < chosen.points and not yes:
        missing = chosen.points - kept.points(chosen)
        _confirm(
            f"{missing} points of {chosen.id} are still open, and this shows the "
            "answers. Go on?",
            f"compare {chosen.id}",
        )
    say(report.compare(chosen, mine, chosen.source(), task))


def _parsed(path: Path) -> str:
    """The text of a file that Python can read."""
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
        compile(text, str(path), "exec", dont_inherit=True)
    except UnicodeDecodeError as error:
        line = 1 + data.count(b"\n", 0, error.start)
        raise Usage(f"{path.name}:{line}   not UTF-8. Save it as UTF-8.") from None
    except (SyntaxError, ValueError) as error:
        place = _place(error, path) or path.name
        raise Usage(f"{place}   {_said(error)}. Mend it first.") from None
    return text


def _confirm(question: str, command: str) -> None:
    if not sys.stdin.isatty():
        raise Usage(f"{question} There is no terminal to answer: labs {command} --yes")
    if not typer.confirm(question):
        raise typer.Exit(1)


@app.command()
def reset(
    lab: Annotated[str, typer.Argument(metavar="LAB", help="Which lab.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Put the stub back. Your file is kept aside first."""
    from rich.markup import escape

    from common.grading.record import shown_path

    say = screen()
    chosen, _ = labs.find(lab)
    path = chosen.file("lab.py")
    if not yes:
        _confirm(
            f"Put the stub of {chosen.id} back? Your file is kept.", f"reset {lab}"
        )
    kept = keep_aside(path, chosen)
    write_atomically(path, labs.stub_text(chosen).encode("utf-8"))
    if kept:
        say(f"Your file is kept as {escape(shown_path(kept))}")
    say(f"{escape(shown_path(path))} is the stub again.   Next: labs grade {chosen.id}")


# --- For instructors --------------------------------------------------------------


@app.command()
def cohort(
    submissions: Annotated[
        Path, typer.Argument(metavar="DIR", help="The submissions.")
    ],
    lab: LabName = None,
    seed: Annotated[
        int | None, typer.Option(help="Of the drawn inputs, for all.", min=0)
    ] = None,
    out: Annotated[Path, typer.Option(help="Where to write.")] = Path("cohort"),
) -> None:
    """Grade DIR/NAME.py or DIR/NAME/lab.py of all learners; write a gradebook."""
    import secrets
    import time

    from rich.markup import escape

    from common.grading import cohort as cohorts
    from common.grading import report

    say = screen()
    chosen, _ = _find(lab, _progress())
    files = cohorts.submissions(submissions) if submissions.is_dir() else {}
    if not files:
        raise Usage(f"{submissions} holds no NAME.py and no NAME/lab.py")
    started = time.monotonic()
    seed = secrets.randbelow(10_000) if seed is None else seed
    graded = cohorts.run(chosen, files, seed, lambda name: _say_on_stderr(name, 0))
    seconds = time.monotonic() - started
    alike, named = cohorts.unknown(graded), cohorts.misconceptions(graded)
    say(report.cohort(chosen, graded, alike, named, seconds))
    written = "  ".join(cohorts.write(graded, out))
    say(f"\nWritten to {escape(str(out))}: {written}   (seed {seed})")
    raise typer.Exit(0 if all(one.record["complete"] for one in graded) else 1)


# --- For contributors -------------------------------------------------------------


@app.command()
def stub(
    lab: LabName = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only say which stubs are out of step.")
    ] = False,
) -> None:
    """Write lab.py from solution.py (all labs by default)."""
    from rich.markup import escape

    from common.grading.record import shown_path

    say = screen()
    behind = 0
    for one in labs.select(lab):
        path, text = one.file("lab.py"), labs.stub_text(one)
        if path.exists() and path.read_text("utf-8", errors="replace") == text:
            continue
        behind += 1
        if check:
            say(f"{escape(shown_path(path))} is not what labs stub {one.id} writes")
            continue
        kept = keep_aside(path, one)
        write_atomically(path, text.encode("utf-8"))
        aside = f" (the old one is {escape(shown_path(kept))})" if kept else ""
        say(f"wrote {escape(shown_path(path))}{aside}")
    if check and behind:
        raise typer.Exit(1)
    if not behind:
        say("All stubs are in step.")


@app.command()
def verify(
    lab: LabName = None,
    docs: Annotated[
        bool, typer.Option("--docs", help="Write metrics.json's figures into READMEs.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave the experiment out.")
    ] = False,
) -> None:
    """The gate for a lab, a phase, or all: one line per check."""
    from common.grading import report
    from common.grading import verify as gate

    say = screen()
    green = True
    if docs:
        from common.docs import refresh

        for path in refresh():
            say(f"{path.parent.name}/{path.name} is in step again")
    for one in labs.select(lab):
        if docs:
            say(f"{one.id}: {gate.refresh_readme(one)} figures in README.md")
        say(f"[bold]{one.id}  {one.title}[/]")
        for line in gate.lines(one, quick=quick):
            green &= bool(line.ok)
            say(report.verify_line(line))
        say("")
    for problem in [] if lab else labs.damaged():
        green = False
        say(report.verify_line(gate.Line("folder holds", False, problem)))
    raise typer.Exit(0 if green else 1)


@app.command()
def new(
    id: Annotated[str, typer.Argument(metavar="ID", help="For example 1.8.")],
    name: Annotated[str, typer.Argument(help="For example bloom-filters.")],
) -> None:
    """Start a lab: a folder that `labs verify` accepts, ready to be replaced."""
    from rich.markup import escape

    from common.grading.record import shown_path
    from common.scaffold import create

    say = screen()
    try:
        made = create(id, name)
    except ValueError as error:
        raise Usage(str(error)) from None
    say(f"Made {escape(shown_path(made))} with a small working example in it.")
    say(f"Next: write solution.py, then labs stub {id} and labs verify {id}")


if __name__ == "__main__":
    main()
