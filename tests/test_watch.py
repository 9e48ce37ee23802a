"""`labs watch` on a terminal: saves, keys, damage, and the end; latency is printed."""

from __future__ import annotations

import os
import sys
import time

import pytest

from common import labs
from common.grading import grade, watch
from tests.console import Checkout, Terminal, plain

if sys.platform == "win32":
    pytest.skip("drives a POSIX terminal", allow_module_level=True)

KEYS = "q quit. Saving grades again."
WRONG = ("(-counts[word], word)", "(counts[word], word)")


@pytest.fixture
def place(tmp_path, monkeypatch):
    return Checkout(tmp_path / "checkout", monkeypatch, ("mini", "other"))


def save(place, text):
    """Save as editors do: a new file in the place of the old one."""
    new = place.folder / ".lab.py.new"
    new.write_text(text, encoding="utf-8")
    os.replace(new, place.lab)


def graded(terminal):
    """The next report, and how long it took to come."""
    started = time.monotonic()
    report = terminal.expect(KEYS)
    return report, time.monotonic() - started


@pytest.mark.parametrize("poll", [{}, {"LABS_POLL": "1"}], ids=["events", "polling"])
def test_a_session_from_stub_to_full_marks(place, poll):
    times = []
    with Terminal(place, "watch", "1.1", **poll) as terminal:
        first, start_s = graded(terminal)
        assert "0/10 points." in first
        for text, parts in (
            (place.right.replace(*WRONG), ("7/10 points.", "The rarest words")),
            ("x = 1\ndef f(:\n", ("0/10 points.", "lab.py:2", "SyntaxError")),
            (place.right, ("10/10 points.",)),
        ):
            save(place, text)
            report, seconds = graded(terminal)
            for part in parts:
                assert part in report
            times.append(seconds)
        terminal.send("q")
        assert terminal.end() == 0
        assert "Traceback" not in plain(terminal.raw)
    assert not place.left_behind()
    assert '"current": "1.1"' in place.progress()
    shown = ", ".join(f"{seconds:.2f}" for seconds in times)
    print(f"first report {start_s:.2f} s, then {shown} s after each save")


def test_keys(place):
    hints = labs.read(place.folder).task(1).hints
    with Terminal(place, "watch", "1.1") as terminal:
        graded(terminal)
        terminal.send("h")
        assert hints[0] in terminal.expect("goes one step deeper.")
        terminal.send("H")
        assert hints[1] in terminal.expect("goes one step deeper.")
        terminal.send("a")
        assert "1.1  Mini" in graded(terminal)[0]
        terminal.send("n")
        assert "1.2  Other" in graded(terminal)[0]
        terminal.send("n")
        terminal.expect("This is the last lab.")
        terminal.send("x")  # means nothing
        other = place.folders[1] / "lab.py"
        other.write_text(place.right, encoding="utf-8")
        report, _ = graded(terminal)
        assert "1.2  Other" in report and "10/10 points." in report
        terminal.send("h")  # nothing is open: no hint, no harm
        terminal.send("q")
        assert terminal.end() == 0
    assert not place.left_behind()
    assert "Hints used: 2." in place.labs("progress").stdout


def test_a_key_pressed_while_the_first_run_goes_on_counts(place):
    place.lab.write_text("while True:\n    pass\n", encoding="utf-8")
    toml = place.folder / "lab.toml"
    text = toml.read_text(encoding="utf-8")
    toml.write_text(text.replace("points = 4", "points = 4\nlimit_s = 1"), "utf-8")
    with Terminal(place, "watch", "1.1") as terminal:
        place.running(3)
        terminal.send("q")
        graded(terminal)
        assert terminal.end() == 0


def test_one_task_is_watched_alone(place):
    with Terminal(place, "watch", "1.1.2") as terminal:
        assert "count_words" not in graded(terminal)[0]
        save(place, place.right)
        report, _ = graded(terminal)
        assert "3/3 points." in report and "count_words" not in report
        terminal.send("q")
        assert terminal.end() == 0


def test_ctrl_c_ends_it_and_leaves_no_process(place):
    with Terminal(place, "watch", "1.1") as terminal:
        graded(terminal)
        terminal.send("\x03")
        terminal.expect("Stopped.")
        assert terminal.end() == 130
        assert "Traceback" not in plain(terminal.raw)
    assert not place.left_behind()


def test_a_file_that_goes_and_comes_back(place):
    with Terminal(place, "watch", "1.1") as terminal:
        graded(terminal)
        place.lab.unlink()
        time.sleep(0.3)
        place.lab.write_text(place.right, encoding="utf-8")
        assert "10/10 points." in graded(terminal)[0]
        terminal.send("q")
        assert terminal.end() == 0


def test_a_changed_grader_is_taken_in(place):
    place.lab.write_text(place.right, encoding="utf-8")
    with Terminal(place, "watch", "1.1") as terminal:
        assert "10/10 points." in graded(terminal)[0]
        text = place.test.read_text(encoding="utf-8")
        text = text.replace('lab.most_common({"a": 1}, 0)', "int('x')")
        text = text.replace('match="k"', 'match="invalid"')
        place.test.write_text(text, encoding="utf-8")
        terminal.send("a")
        assert "10/10 points." in graded(terminal)[0]
        place.test.write_text("import nonsuch\n", encoding="utf-8")
        terminal.send("a")
        terminal.expect("our fault")
        assert terminal.end() == 3
        assert "Traceback" not in plain(terminal.raw)
    assert not place.left_behind()


def test_damaged_progress_is_said_on_the_screen(place):
    place.state.mkdir()
    (place.state / "progress.json").write_text("{", encoding="utf-8")
    with Terminal(place, "watch", "1.1") as terminal:
        graded(terminal)
        terminal.expect("The progress file was damaged.")
        terminal.send("q")
        assert terminal.end() == 0


# --- The session, in this process -------------------------------------------------


@pytest.fixture
def session(place):
    made = watch.Session(labs.read(place.folder), seed=3)
    yield made
    made.close()


def test_a_save_while_grading_is_not_lost(place, session, monkeypatch):
    monkeypatch.setenv("LABS_POLL", "1")
    session.grade()
    save(place, place.right)  # before anyone listens
    events = watch.events(session, lambda: "a key, for want of a save")
    assert next(events) == "save"
    assert session.grade()["complete"]
    assert session.graded == watch._stamp(place.lab)
    events.close()


def test_seed_stays_and_runs_are_kept(place, session):
    first = session.grade()
    save(place, place.right)
    second = session.grade()
    assert (first["seed"], second["seed"]) == (3, 3)
    assert [r["points"] for r in session.records] == [0, 10]


def run(name, agree):
    """A record with one failing check, which so many values pass."""
    check = {"name": "", "ok": False, "agree": agree}
    return {"tasks": [{"tests": [{"name": name, "checks": [check]}]}]}


@pytest.mark.parametrize(
    ("now", "before", "said"),
    [
        (run("t", [71, 80]), None, None),
        (run("t", [71, 80]), run("t", [16, 80]), "closer: 71 of 80"),
        (run("t", [16, 80]), run("t", [71, 80]), "further: 16 of 80"),
        (run("t", [16, 80]), run("t", [16, 80]), None),
        (run("t", [16, 80]), run("t", [16, 90]), None),
        (run("t", [16, 80]), run("u", [7, 80]), None),
        (run("t", None), run("t", [7, 80]), None),
        ({"tasks": []}, run("t", [7, 80]), None),
    ],
)
def test_closer_compares_like_with_like(now, before, said):
    text = watch.closer(now, before)
    assert text is None if said is None else text.startswith(said)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"x = 1\r\n", "x = 1\r\n"),
        (b"\xef\xbb\xbfx = 1\n", "x = 1\n"),
        ("x = 'é'\n".encode(), "x = 'é'\n"),
    ],
)
def test_source_is_the_text_of_the_file(tmp_path, data, text):
    (tmp_path / "lab.py").write_bytes(data)
    assert grade.source(tmp_path / "lab.py") == text


def test_source_that_is_not_utf8_fails_on_its_line(tmp_path):
    (tmp_path / "lab.py").write_bytes(b"a = 1\nb = 2\nc = '\xe9'\n")
    with pytest.raises(SyntaxError, match="0xe9 is not UTF-8") as error:
        exec(compile(grade.source(tmp_path / "lab.py"), "lab.py", "exec"))
    assert error.traceback[-1].lineno + 1 == 3
