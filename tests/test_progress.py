"""Progress: what is kept, what is never lost, and what a damaged file does.

The file is handled in this process where that is enough, and by the command where the
learner's view or two processes matter.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from common import labs, progress
from common.progress import Progress
from tests.console import Checkout, calm

if sys.platform == "win32":
    pytest.skip("drives a POSIX terminal", allow_module_level=True)


@pytest.fixture
def place(tmp_path, monkeypatch):
    return Checkout(tmp_path / "checkout", monkeypatch, ("mini", "other"))


@pytest.fixture
def inside(place, monkeypatch):
    """The checkout, also for what runs in this process."""
    monkeypatch.setenv("LABS_ROOT", str(place.root))
    monkeypatch.setenv("LABS_STATE", str(place.state))
    return place


def record(earned, lab="1.1", met=()):
    """A run's record with these tasks earned: only what progress reads."""
    tasks = [
        {
            "id": id,
            "verdict": "earned" if id in earned else "wrong",
            "points": points,
            "diagnosis": [{"id": name} for name in met] if id not in earned else [],
        }
        for id, points in ((1, 4), (2, 3), (3, 3))
    ]
    points = sum(task["points"] for task in tasks if task["id"] in earned)
    started = "2026-01-02T03:04:05+00:00"
    return {"lab": {"id": lab}, "tasks": tasks, "started": started, "points": points}


def entry(place, lab="1.1"):
    return json.loads(place.progress())["labs"][lab]


# --- What a learner sees ----------------------------------------------------------


def test_hints_deepen_stay_are_counted_and_cost_nothing(place):
    hints = labs.read(place.folder).task(2).hints
    for level, text in zip((1, 2, 3, 3), (*hints, hints[2]), strict=True):
        said = place.labs("hint", "1.1.2")
        assert said.returncode == 0
        assert f"hint {level} of 3" in said.stdout
        assert text in " ".join(calm(said).split())
    place.lab.write_text(place.right, encoding="utf-8")
    assert "10/10 points." in place.labs("grade", "1.1").stdout
    said = place.labs("progress")
    assert "Hints used: 3." in said.stdout
    assert "10/10" in said.stdout


def test_a_hint_for_a_lab_is_for_its_first_open_task(place):
    assert "1.1.1  count_words" in place.labs("hint", "1.1").stdout
    Progress(place.state / "progress.json").add(record({1}))
    assert "1.1.2  most_common" in place.labs("hint", "1.1").stdout


def test_progress_after_grading_and_after_a_worse_run(place):
    place.lab.write_text(place.right.replace("-counts[word]", "1"), encoding="utf-8")
    assert place.labs("grade", "1.1").returncode == 1
    assert "7/10  ✓○✓" in place.labs("progress").stdout
    place.lab.write_text("x = 1 +\n", encoding="utf-8")
    said = place.labs("grade", "1.1")
    assert "0/10 points." in said.stdout
    said = place.labs("progress")
    assert "7/10  ✓○✓" in said.stdout
    assert "7/20" in said.stdout.splitlines()[0]
    assert said.stdout.splitlines()[-1] == "Next: labs grade 1.1"


def test_grading_the_reference_is_no_progress(place):
    said = place.labs("grade", "1.1", "--impl", "solution")
    assert said.returncode == 0
    assert not (place.state / "progress.json").exists()


# --- What is kept -----------------------------------------------------------------


def test_points_once_earned_stay(inside):
    kept = Progress()
    kept.add(record({1, 3}))
    kept.add(record({2}))
    lab = labs.find("1.1")[0]
    again = Progress()
    assert again.best(lab) == {1: True, 2: True, 3: True}
    assert again.points(lab) == 10
    assert [points for _, points in entry(inside)["history"]] == [7, 3]


def test_misconceptions_are_named_once_in_order(inside):
    kept = Progress()
    for met in (["b"], ["a", "b"], ["c"]):
        kept.add(record({1, 2}, met=met))
    assert Progress().met() == ["b", "a", "c"]


def test_history_does_not_grow_without_end(inside):
    kept = Progress()
    for _ in range(60):
        kept.add(record(set()))
    assert len(entry(inside)["history"]) == 50


def test_current_is_the_last_lab_then_the_next_unfinished(inside):
    assert Progress().current().id == "1.1"
    Progress().add(record({1}, lab="1.2"))
    assert Progress().current().id == "1.2"
    Progress().add(record({1, 2, 3}, lab="1.2"))
    assert Progress().current().id == "1.1"
    Progress().add(record({1, 2, 3}))
    assert Progress().current().id == "1.1"


def test_labs_that_are_gone_do_no_harm(inside):
    Progress().add(record({1}, lab="9.9"))
    assert Progress().current().id == "1.1"
    said = inside.labs("progress")
    assert said.returncode == 0
    assert "9.9" not in calm(said)


# --- Damage -----------------------------------------------------------------------

GOOD = {"schema": "labs-progress/1", "current": "1.1", "labs": {}}
LAB = {"best": {"1": 4}, "hints": {}, "met": [], "history": []}


def damaged(lab):
    return json.dumps(GOOD | {"labs": {"1.1": LAB | lab}}).encode()


DAMAGE = {
    "truncated": json.dumps(GOOD).encode()[:-9],
    "empty": b"",
    "schema": json.dumps(GOOD | {"schema": "labs-progress/0"}).encode(),
    "no-schema": b"{}",
    "list": b"[1, 2]",
    "null": b"null",
    "binary": bytes(range(256)),
    "labs-list": json.dumps(GOOD | {"labs": []}).encode(),
    "best-list": damaged({"best": [1]}),
    "hints-words": damaged({"hints": {"1": "many"}}),
    "met-text": damaged({"met": "no-scale"}),
    "history-object": damaged({"history": {}}),
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("data", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_set_aside_and_said(inside, data):
    inside.state.mkdir()
    (inside.state / "progress.json").write_bytes(data)
    kept = Progress()
    assert kept.notice is not None
    (aside,) = inside.state.glob("progress.damaged-*.json")
    assert aside.name in kept.notice
    assert aside.read_bytes() == data
    kept.add(record({1}))
    again = Progress()
    assert again.notice is None
    assert again.points(labs.find("1.1")[0]) == 4


def test_a_good_file_is_not_set_aside(inside):
    """The other side of the test above: its entries are what a run writes."""
    inside.state.mkdir()
    (inside.state / "progress.json").write_bytes(damaged({}))
    kept = Progress()
    assert kept.notice is None
    assert kept.points(labs.find("1.1")[0]) == 4


def test_a_folder_in_its_place_is_set_aside(place):
    (place.state / "progress.json" / "inner").mkdir(parents=True)
    said = place.labs("progress")
    assert said.returncode == 0
    assert "progress.damaged-" in calm(said)
    assert place.labs("hint", "1.1.1").returncode == 0
    assert not place.labs("progress").stderr


def test_state_that_cannot_be_kept_does_not_cost_the_report(place):
    place.state.write_text("a file where a folder should be", encoding="utf-8")
    said = place.labs("grade", "1.1")
    assert said.returncode == 1
    assert "Progress is not kept" in calm(said)
    assert "0/10 points." in said.stdout
    assert place.labs("hint", "1.1.1").returncode == 0


class Crash(BaseException):
    """A process that ends here."""


def test_a_crash_while_writing_leaves_the_old_file_whole(inside, monkeypatch):
    Progress().add(record({1}))
    before = inside.progress()

    def crash(*_):
        raise Crash

    for step in ("replace", "fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(progress.os, step, crash)
            with pytest.raises(Crash):
                Progress().add(record({1, 2, 3}))
        assert inside.progress() == before
    assert sorted(p.name for p in inside.state.iterdir()) == [".lock", "progress.json"]


def test_a_full_disk_leaves_the_old_file_whole_and_says_so(inside, monkeypatch):
    Progress().add(record({1}))
    before = inside.progress()

    def full(_):
        raise OSError(28, "No space left on device")

    kept = Progress()
    monkeypatch.setattr(progress.os, "fsync", full)
    kept.add(record({1, 2, 3}))
    assert "No space left" in kept.notice
    assert inside.progress() == before


# --- Two at once ------------------------------------------------------------------


def test_a_long_session_does_not_undo_what_another_process_kept(inside):
    watching = Progress()
    Progress().add(record({1, 2, 3}, lab="1.2"))
    Progress().add(record({2}))
    watching.add(record({1}))
    after = Progress()
    assert after.points(labs.find("1.2")[0]) == 10
    assert after.points(labs.find("1.1")[0]) == 7


WRITER = """
import sys
from types import SimpleNamespace
from common.progress import Progress

kept = Progress()
for task in range(40):
    kept.add_hint(SimpleNamespace(id=sys.argv[1]), task, 1)
"""


def test_two_processes_writing_lose_nothing(inside):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, name], env=inside.env())
        for name in ("a", "b")
    ]
    assert [writer.wait(30) for writer in writers] == [0, 0]
    assert Progress().total_hints() == 80
    assert not list(inside.state.glob("*damaged*"))


def test_keep_aside_copies_and_never_overwrites(inside):
    lab = labs.find("1.1")[0]
    kept = []
    for text in ("a", "b", "c"):
        inside.lab.write_text(text, encoding="utf-8")
        kept.append(progress.keep_aside(inside.lab, lab))
    assert [path.read_text(encoding="utf-8") for path in kept] == ["a", "b", "c"]
    assert len(set(kept)) == 3
    inside.lab.unlink()
    assert progress.keep_aside(inside.lab, lab) is None


def test_state_lives_where_the_variable_says(inside, monkeypatch):
    assert progress.folder() == inside.state
    monkeypatch.delenv("LABS_STATE")
    assert progress.folder() == inside.root / ".labs"
    assert os.environ["LABS_ROOT"] == str(inside.root)
