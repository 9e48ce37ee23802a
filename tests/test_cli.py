"""The `labs` command as a process: exit codes, output, damage, interruption.

Each test runs the command in a small checkout of its own. What the grader decides is
tested elsewhere; here it is how a person and a machine hear of it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import jsonschema
import pytest
from rich.cells import cell_len

from common import labs
from common.grading import record
from tests.console import Checkout, Terminal, calm, plain

if sys.platform == "win32":
    pytest.skip("drives a POSIX terminal", allow_module_level=True)

SCHEMA = json.loads(
    Path(record.__file__).with_name("record.schema.json").read_text(encoding="utf-8")
)
WRONG = ("(-counts[word], word)", "(counts[word], word)")


@pytest.fixture
def place(tmp_path, monkeypatch):
    return Checkout(tmp_path / "checkout", monkeypatch, ("mini", "other"))


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    """A checkout with the wrong order in task 2, for calls that change nothing."""
    with pytest.MonkeyPatch.context() as patch:
        place = Checkout(tmp_path_factory.mktemp("calls"), patch, ("mini", "other"))
    place.lab.write_text(place.right.replace(*WRONG), encoding="utf-8")
    return place


# --- Exit codes -------------------------------------------------------------------


def test_solution_earns_all_and_exits_0(calls):
    said = calls.labs("grade", "1.1", "--impl", "solution")
    assert said.returncode == 0, calm(said)
    assert "10/10 points." in said.stdout
    assert "Next: labs grade 1.2" in said.stdout.splitlines()[-1]
    assert not said.stderr


def test_stub_exits_1_and_is_not_started(place):
    said = place.labs("grade", "1.1")
    assert said.returncode == 1
    assert calm(said).count("not started") == 3
    assert "0/10 points." in said.stdout
    assert "Next: task 1, count_words, in lab.py:" in said.stdout.splitlines()[-1]


def test_wrong_answer_exits_1_with_expected_got_and_diagnosis(calls):
    said = calls.labs("grade", "lab-01-mini")
    assert said.returncode == 1
    text = calm(said)
    for part in ("7/10 points.", "expected", "got", "The rarest words come first."):
        assert part in text
    assert "labs hint 1.1.2" in text.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("grade", "1.7"), ("no lab '1.7'", "1.1 (lab-01-mini)")),
        (("grade", "minni"), ("no lab 'minni'", "1.1 (lab-01-mini)")),
        (("grade", "lab-0"), ("several labs", "lab-01-mini", "lab-02-other")),
        (("grade", "1.1.99"), ("no task 99", "1.1.1, 1.1.2, 1.1.3")),
        (("hint", "1.1.99"), ("no task 99", "1.1.1, 1.1.2, 1.1.3")),
        (("grade", "--bad"), ("No such option: --bad",)),
        (("grade", "--seed", "-1"), ("--seed",)),
        (("grade", "1.1", "1.2"), ("unexpected extra argument",)),
        (("zork",), ("No such command 'zork'",)),
        (("reset",), ("Missing argument",)),
        (("grade", "1.1", "--impl", "nowhere.py"), ("--impl", "'nowhere.py'")),
    ],
)
def test_wrong_usage_exits_2_and_says_so_on_stderr(calls, words, parts):
    said = calls.labs(*words)
    assert said.returncode == 2, calm(said)
    assert not said.stdout
    for part in parts:
        assert part in " ".join(calm(said).split())


def test_a_report_that_cannot_be_written_is_wrong_usage(calls):
    said = calls.labs("grade", "1.1", "--junit", str(calls.lab / "junit.xml"))
    assert said.returncode == 2
    assert "lab.py" in calm(said).splitlines()[-1]
    assert "7/10 points." in said.stdout  # the report came first


@pytest.mark.parametrize(
    ("file", "text", "parts"),
    [
        ("test_lab.py", "\nimport nonsuch\n", ("test_lab.py:2", "'nonsuch'")),
        ("test_lab.py", "def x(:\n", ("test_lab.py:1", "SyntaxError")),
        ("test_lab.py", "", ("holds no tests",)),
        ("solution.py", "def x(:\n", ("SyntaxError",)),
    ],
)
def test_our_fault_exits_3_in_a_line_or_two(place, file, text, parts):
    (place.folder / file).write_text(text, encoding="utf-8")
    said = place.labs("grade", "1.1")
    assert said.returncode == 3, calm(said)
    assert "our fault" in said.stderr
    assert len(calm(said).splitlines()) <= 2
    for part in parts:
        assert part in said.stderr


@pytest.mark.parametrize("spoilt", [True, False])
def test_a_solution_that_fails_its_own_grader_is_our_fault(place, spoilt):
    """Whether the submission shares the mistake of ours or is right."""
    wrong = place.right.replace("if total else", "+ 1 if total else")
    place.folder.joinpath("solution.py").write_text(wrong, encoding="utf-8")
    place.lab.write_text(wrong if spoilt else place.right, encoding="utf-8")
    said = place.labs("grade", "1.1")
    assert said.returncode == 3, calm(said)
    assert "our fault" in said.stderr
    assert "1.1 does not pass its own grader" in said.stderr
    assert len(calm(said).splitlines()) <= 2


def test_our_fault_is_shown_whole_on_request(place):
    place.test.write_text("import nonsuch\n", encoding="utf-8")
    said = place.labs("grade", "1.1", "--traceback")
    assert said.returncode == 3
    assert "import nonsuch" in said.stderr


def test_damaged_lab_toml_is_named(place):
    (place.folder / "lab.toml").write_text("title = [", encoding="utf-8")
    said = place.labs("grade", "1.1")
    assert said.returncode == 2
    assert "lab-01-mini/lab.toml" in calm(said)


def test_a_checkout_without_labs(tmp_path, monkeypatch):
    empty = Checkout(tmp_path, monkeypatch, ())
    for words in ((), ("grade",)):
        said = empty.labs(*words)
        assert said.returncode == 2
        assert "There are no labs in" in calm(said)


# --- For machines -----------------------------------------------------------------


def test_json_is_one_object_that_fits_the_schema(calls):
    said = calls.labs("grade", "1.1", "--json", "--seed", "5")
    assert said.returncode == 1
    assert len(said.stdout.splitlines()) == 1
    found = json.loads(said.stdout)
    jsonschema.validate(found, SCHEMA)
    assert (found["points"], found["max_points"], found["seed"]) == (7, 10, 5)
    assert [t["verdict"] for t in found["tasks"]] == ["earned", "wrong", "earned"]
    assert [d["id"] for d in found["tasks"][1]["diagnosis"]] == ["rarest-first"]


def values(found):
    """What the drawn inputs decide in a record."""
    return [
        (test["name"], test["outcome"], test["call"], test["checks"])
        for task in found["tasks"]
        for test in task["tests"]
    ]


def test_a_seed_repeats_the_drawn_inputs(calls):
    runs = [
        json.loads(calls.labs("grade", "1.1", "--json", "--seed", seed).stdout)
        for seed in ("3", "3", "4")
    ]
    assert values(runs[0]) == values(runs[1])
    assert values(runs[0]) != values(runs[2])


def test_one_task_alone(calls):
    said = calls.labs("grade", "1.1.3", "--json")
    found = json.loads(said.stdout)
    assert [task["id"] for task in found["tasks"]] == [3]
    assert found["complete"]
    assert said.returncode == 0


def test_all_labs_give_a_line_each_and_one_file_each(place, tmp_path):
    place.lab.write_text(place.right.replace(*WRONG), encoding="utf-8")
    junit, scope = tmp_path / "new" / "junit.xml", tmp_path / "results.json"
    said = place.labs(
        "grade", "--all", "--json", "--junit", str(junit), "--gradescope", str(scope)
    )
    assert said.returncode == 1
    found = [json.loads(line) for line in said.stdout.splitlines()]
    assert [one["lab"]["id"] for one in found] == ["1.1", "1.2"]
    for one in found:
        jsonschema.validate(one, SCHEMA)
    check_junit(ET.parse(junit).getroot())
    check_gradescope(json.loads(scope.read_text(encoding="utf-8")))


def check_junit(root):
    suites = root.findall("testsuite")
    assert [suite.get("name") for suite in suites] == ["1.1 Mini", "1.2 Other"]
    assert [suite.get("failures") for suite in suites] == ["1", "0"]
    assert [suite.get("skipped") for suite in suites] == ["0", "3"]
    cases = suites[0].findall("testcase")
    earned = [c.find("properties/property[@name='earned']") for c in cases]
    assert [e.get("value") for e in earned] == ["4", "0", "3"]
    assert "rarest words" in cases[1].find("failure").get("message")


def check_gradescope(found):
    assert found["score"] == 7
    scores = [(test["score"], test["max_score"]) for test in found["tests"]]
    assert scores == [(4, 4), (0, 3), (3, 3), (0, 4), (0, 3), (0, 3)]
    assert found["tests"][1]["status"] == "failed"


def test_github_lines_name_file_and_line(calls):
    said = calls.labs("grade", "1.1", "--github")
    assert said.returncode == 1
    line = "".join(said.stdout.splitlines())
    assert len(said.stdout.splitlines()) == 1
    place = re.match(r"::error file=([^,]+),line=(\d+),title=([^:]+)::(.+)", line)
    assert place[1] == "phase-01-small/lab-01-mini/lab.py"
    at = calls.lab.read_text(encoding="utf-8").splitlines()[int(place[2]) - 1]
    assert at.startswith("def most_common")
    assert place[3] == "1.1.2 0/3"
    assert "%0A" in place[4]


def test_damage_elsewhere_does_not_spoil_the_json(place):
    place.state.mkdir()
    (place.state / "progress.json").write_text("{", encoding="utf-8")
    said = place.labs("grade", "1.1", "--json")
    jsonschema.validate(json.loads(said.stdout), SCHEMA)
    assert "progress.damaged-" in said.stderr


# --- What learners do to lab.py ---------------------------------------------------


@pytest.mark.parametrize(
    ("data", "parts", "points"),
    [
        (b"x = 1\n\ndef f(:\n", ("lab.py:3", "SyntaxError"), 0),
        (b"x = 1\nimport nonsuch\n", ("lab.py:2", "'nonsuch'"), 0),
        (b"# one\n# caf\xe9\nx = 1\n", ("lab.py:2", "0xe9", "UTF-8"), 0),
        (b"", ("lab.py", "does not define count_words"), 6),
        (b"raise SystemExit\n", ("lab.py", "sys.exit"), 0),
        (b"x = 1\x00\n", ("lab.py", "null bytes"), 0),
    ],
)
def test_a_lab_that_cannot_run_is_said_in_a_line(place, data, parts, points):
    place.lab.write_bytes(data)
    said = place.labs("grade", "1.1")
    assert said.returncode == 1, calm(said)
    (line,) = [x for x in calm(said).splitlines() if parts[0] in x and parts[1] in x]
    for part in parts:
        assert part in line
    assert f"{points}/10 points." in said.stdout


def test_a_missing_name_costs_its_own_task_only(place):
    text = place.right.replace("def most_common", "def most_comon")
    place.lab.write_text(text, encoding="utf-8")
    said = place.labs("grade", "1.1")
    assert said.returncode == 1
    assert "does not define most_common (it has most_comon)" in calm(said)
    assert "7/10 points." in said.stdout


def test_a_byte_order_mark_and_windows_line_ends_are_fine(place):
    place.lab.write_bytes(b"\xef\xbb\xbf" + place.right.replace("\n", "\r\n").encode())
    said = place.labs("grade", "1.1")
    assert said.returncode == 0, calm(said)


@pytest.mark.parametrize("command", ["grade", "watch", "compare", "run"])
def test_a_lost_lab_is_said_with_the_way_back(place, command):
    place.lab.unlink()
    said = place.labs(command, "1.1")
    assert said.returncode == 2
    assert "1.1 has no lab.py. labs reset 1.1 --yes" in calm(said)


@pytest.mark.parametrize("command", [("compare", "--yes"), ("run", "--quick")])
@pytest.mark.parametrize("data", [b"x = 1\ndef f(:\n", b"x = 1\n# caf\xe9\n"])
def test_commands_other_than_grade_say_the_place_too(place, command, data):
    place.lab.write_bytes(data)
    said = place.labs(command[0], "1.1", *command[1:])
    assert said.returncode == 2
    assert "lab.py:2" in calm(said)


# --- Terminals and pipes ----------------------------------------------------------


def too_wide(lines, columns):
    return [line for line in lines if cell_len(line) > columns]


SHOWN = [
    (),
    ("grade", "1.1"),
    ("progress",),
    ("hint", "1.1.1"),
    ("grade", "no-such-lab-of-a-rather-long-name-" * 4),
    ("compare", "1.1", "--yes"),
    ("grade", "--help"),
]


@pytest.mark.parametrize("words", SHOWN, ids=lambda words: " ".join(words)[:20])
def test_lines_fit_60_columns(calls, words):
    with Terminal(calls, *words, columns=60) as terminal:
        terminal.end()
        lines = terminal.lines()
    assert len(lines) > 1
    assert not too_wide(lines, 60)


@pytest.mark.parametrize("words", SHOWN[:-2], ids=lambda words: " ".join(words)[:20])
def test_lines_in_a_pipe_fit_80_columns_without_colour(calls, words):
    said = calls.labs(*words)
    text = calm(said)
    assert "\x1b" not in text
    assert not too_wide(text.splitlines(), 80)


def test_wide_characters_count_twice(place):
    loud = f'raise ValueError("{"語" * 60}")'
    text = place.right.replace("return dict(Counter(text.lower().split()))", loud)
    place.lab.write_text(text, encoding="utf-8")
    said = place.labs("grade", "1.1")
    assert "語" in calm(said)
    assert not too_wide(said.stdout.splitlines(), 80)


def test_the_variable_columns_wins(calls):
    with Terminal(calls, "grade", "1.1", columns=100, COLUMNS="50") as terminal:
        terminal.end()
        assert not too_wide(terminal.lines(), 50)


def test_a_report_fits_one_screen(calls):
    """And is coloured on a terminal."""
    with Terminal(calls, "grade", "1.1") as terminal:
        terminal.end()
        assert "\x1b[32m" in terminal.raw  # green
        lines = terminal.lines()
    assert len(lines) <= 24
    assert not too_wide(lines, 80)


def test_no_colour_where_it_is_not_wanted(calls):
    with Terminal(calls, "grade", "1.1", NO_COLOR="1") as terminal:
        terminal.end()
        assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", terminal.raw)
        assert "✓" in terminal.raw


NARROW = [
    {"PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
]


@pytest.mark.parametrize("env", NARROW, ids=["ioencoding", "locale"])
def test_ascii_marks_where_there_is_only_ascii(calls, env):
    for words in ((), ("compare", "1.1", "-y")):
        assert calm(calls.labs(*words, **env)).isascii()
    said = calls.labs("grade", "1.1", **env)
    assert said.returncode == 1
    assert calm(said).isascii()
    assert "+ 1  count_words" in said.stdout
    assert "x 2  most_common" in said.stdout
    assert 'README.md "Tasks"' in said.stdout


@pytest.mark.parametrize("more", [(), ("--json",)], ids=["report", "json"])
def test_a_reader_who_leaves_gets_no_complaint(place, more):
    place.lab.write_text(place.right, encoding="utf-8")
    reading, writing = os.pipe()
    os.close(reading)  # as `| head -1` does, only sooner
    said = subprocess.run(
        place.command("grade", "1.1", *more),
        env=place.env(),
        stdout=writing,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        timeout=30,
    )
    os.close(writing)
    assert not said.stderr
    assert said.returncode == 141  # no verdict: neither 0 nor 1
    assert json.loads(place.progress())["labs"]["1.1"]["best"].keys() == set("123")


def test_help_is_there_for_every_command(calls):
    text = calls.labs("--help").stdout
    for name in ("grade", "watch", "hint", "progress", "run", "compare", "reset"):
        assert re.search(rf"^\s+{name} ", text, re.M), name


def test_overview_says_where_one_is(place):
    text = calm(place.labs())
    assert re.search(r"^You are at +1\.1  Mini   0/10 points$", text, re.M)
    assert re.search(r"^Edit +phase-01-small/lab-01-mini/lab.py", text, re.M)
    assert "Next: labs grade 1.1" in text.splitlines()[-1]
    place.lab.write_text(place.right, encoding="utf-8")
    assert place.labs("grade").returncode == 0
    assert re.search(r"^You are at +1\.2  Other", calm(place.labs()), re.M)


# --- Reset, stub, compare, run ----------------------------------------------------


def kept(place):
    return sorted((place.state / "kept").glob("*"))


def test_reset_asks_keeps_and_puts_back(place):
    stub = place.lab.read_bytes()
    mine = b"x = 1  # caf\xe9\n"
    place.lab.write_bytes(mine)
    said = place.labs("reset", "1.1")
    assert said.returncode == 2
    assert "labs reset 1.1 --yes" in " ".join(calm(said).split())
    assert place.lab.read_bytes() == mine
    assert not kept(place)
    with Terminal(place, "reset", "1.1") as terminal:
        terminal.expect("[y/N]")
        terminal.send("n\n")
        assert terminal.end() == 1
    assert place.lab.read_bytes() == mine
    with Terminal(place, "reset", "1.1") as terminal:
        terminal.expect("[y/N]")
        terminal.send("y\n")
        assert terminal.end() == 0
    assert place.lab.read_bytes() == stub
    assert [path.read_bytes() for path in kept(place)] == [mine]


def test_two_resets_in_one_second_keep_two_files(place):
    for text in ("a = 1\n", "b = 2\n"):
        place.lab.write_text(text, encoding="utf-8")
        assert place.labs("reset", "1.1", "--yes").returncode == 0
    assert sorted(p.read_text() for p in kept(place)) == ["a = 1\n", "b = 2\n"]


def test_reset_brings_a_lost_lab_back(place):
    stub = place.lab.read_bytes()
    place.lab.unlink()
    said = place.labs("reset", "1.1", "--yes")
    assert said.returncode == 0, calm(said)
    assert place.lab.read_bytes() == stub


def test_stub_never_loses_a_learners_file(place):
    stub = place.lab.read_bytes()
    assert place.labs("stub", "--check").returncode == 0
    mine = b"x = 1  # caf\xe9\n"
    place.lab.write_bytes(mine)
    said = place.labs("stub", "--check")
    assert said.returncode == 1
    assert "lab-01-mini/lab.py is not what labs stub 1.1 writes" in calm(said)
    assert "lab-02" not in said.stdout
    assert place.lab.read_bytes() == mine
    assert place.labs("stub").returncode == 0
    assert place.lab.read_bytes() == stub
    assert [path.read_bytes() for path in kept(place)] == [mine]


def test_compare_asks_before_full_marks_and_shows_both(place):
    place.lab.write_text(place.right.replace(*WRONG), encoding="utf-8")
    said = place.labs("compare", "1.1")
    assert said.returncode == 2
    assert "labs compare 1.1 --yes" in " ".join(calm(said).split())
    assert not said.stdout
    with Terminal(place, "compare", "1.1.2") as terminal:
        terminal.expect("10 points of 1.1 are still open")
        terminal.send("y\n")
        assert terminal.end() == 0
        text = "\n".join(terminal.lines())
    for part in WRONG:
        assert part in text
    assert "count_words(text" not in text  # another task
    place.lab.write_text(place.right, encoding="utf-8")
    assert place.labs("grade", "1.1").returncode == 0
    said = place.labs("compare", "1.1")  # nothing is open, so nothing is asked
    assert said.returncode == 0
    assert calm(said).count("(the same)") == 3


def test_run_writes_metrics_and_report(place, tmp_path):
    out = tmp_path / "out"
    said = place.labs("run", "1.1", "--quick", "--impl", "solution", "--out", str(out))
    assert said.returncode == 0, calm(said)
    (metric,) = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert metric["name"] == "ratio_of_all"
    assert 0 < metric["value"] < 1
    report = (out / "report.md").read_text(encoding="utf-8")
    (picture,) = re.findall(r"\((\S+\.png)\)", report)
    assert (out / picture).read_bytes().startswith(b"\x89PNG")


def test_run_with_an_unfinished_lab_names_the_task(place):
    said = place.labs("run", "1.1", "--quick")
    assert said.returncode == 2
    assert "task 1 is not written yet" in calm(said)


def test_run_with_a_wrong_lab_names_the_line(place):
    text = place.right.replace("len(counts) / total", 'len(counts) / "total"')
    place.lab.write_text(text, encoding="utf-8")
    line = 1 + text.splitlines().index(
        '    return len(counts) / "total" if total else 0.0'
    )
    said = place.labs("run", "1.1", "--quick")
    assert said.returncode == 2
    assert f"lab.py:{line}   TypeError" in calm(said)


# --- Interruption -----------------------------------------------------------------

LOOP = "def count_words(text):\n    while True:\n        pass\n"


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks into /proc")
def test_interrupted_run_leaves_no_process(place):
    place.lab.write_text(LOOP, encoding="utf-8")
    run = place.start("grade", "1.1")
    place.running(3)  # the command, its server, a child
    run.send_signal(signal.SIGINT)
    assert run.wait(5) == 130
    assert "Stopped." in (text := run.stderr.read().decode())
    assert "Traceback" not in text
    assert not place.left_behind()


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks into /proc")
def test_ctrl_c_on_the_terminal_leaves_no_process(place):
    place.lab.write_text(LOOP, encoding="utf-8")
    with Terminal(place, "grade", "1.1") as terminal:
        place.running(3)  # the command, its server, a child
        terminal.send("\x03")
        terminal.expect("Stopped.")
        assert terminal.end() == 130
        assert "Traceback" not in plain(terminal.raw)
    assert not place.left_behind()


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks into /proc")
def test_killed_run_leaves_no_process(place):
    place.lab.write_text(LOOP, encoding="utf-8")
    run = place.start("grade", "1.1")
    place.running(3)  # the command, its server, a child
    run.kill()
    run.wait(5)
    assert not place.left_behind()


def test_the_cache_of_labs_is_per_checkout(place, monkeypatch):
    """The fixtures above rely on it: no lab of this repository is graded here."""
    monkeypatch.setenv("LABS_ROOT", str(place.root))
    assert [lab.slug for lab in labs.all_labs()] == ["lab-01-mini", "lab-02-other"]
