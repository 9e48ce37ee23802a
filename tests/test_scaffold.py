"""`labs new`: `labs verify` accepts the lab it makes, and bad asks are refused."""

from __future__ import annotations

import sys

import pytest

from common import labs, scaffold, stubs
from tests.console import Checkout, calm

if sys.platform == "win32":
    pytest.skip("drives a POSIX terminal", allow_module_level=True)


@pytest.fixture
def place(tmp_path, monkeypatch):
    return Checkout(tmp_path / "checkout", monkeypatch, ("mini",))


@pytest.fixture
def inside(place, monkeypatch):
    monkeypatch.setenv("LABS_ROOT", str(place.root))
    return place


def test_a_new_lab_is_accepted_by_verify(place):
    said = place.labs("new", "1.12", "bloom-filters")
    assert said.returncode == 0, calm(said)
    assert "phase-01-small/lab-12-bloom-filters" in said.stdout
    said = place.labs("verify", "1.12")
    assert said.returncode == 0, calm(said)
    lines = said.stdout.splitlines()
    assert lines[0] == "1.12  Bloom filters"
    checks = [line for line in lines[1:] if line.strip()]
    assert len(checks) >= 12
    assert all(line.startswith("  ✓ ") for line in checks), said.stdout
    assert any("experiment runs" in line for line in checks)


def test_verify_turns_red_for_a_broken_lab(place):
    text = place.right.replace("-counts[word], word)", "-counts[word],)")
    place.solution.write_text(text, encoding="utf-8")
    said = place.labs("verify", "1.1", "--quick")
    assert said.returncode == 1
    assert "✗ solution passes" in calm(said)


def test_a_new_lab_holds_and_knows_its_name(inside):
    made = scaffold.create("1.2", "two-words")
    lab = labs.read(made)
    assert (lab.id, lab.title, lab.points) == ("1.2", "Two words", 10)
    assert labs.problems(lab) == []
    assert sorted(path.name for path in made.iterdir()) == sorted(labs.FILES)
    for path in made.iterdir():
        text = path.read_text(encoding="utf-8")
        assert "LAB_ID" not in text and "LAB_TITLE" not in text, path.name
    stub = made.joinpath("lab.py").read_text(encoding="utf-8")
    assert stub == stubs.stub(lab.source())
    assert stub.count("raise NotImplementedError") == 3


@pytest.mark.parametrize(
    "id", ["1", "1.", "a.b", "1.1.1", "0.1", "1.0", "1.00", "1.08", "1.100", "-1.2", ""]
)
def test_a_bad_id_is_refused(inside, id):
    with pytest.raises(ValueError, match="ID"):
        scaffold.create(id, "name")
    assert len(list(inside.root.glob("phase-*/*"))) == 1


@pytest.mark.parametrize(
    "name", ["Name", "two words", "a_b", "-a", "a-", "a--b", "../a", "", "é"]
)
def test_a_bad_name_is_refused(inside, name):
    with pytest.raises(ValueError, match="NAME"):
        scaffold.create("1.2", name)
    assert len(list(inside.root.glob("phase-*/*"))) == 1


def test_the_command_says_why_it_refuses(place):
    for words, part in (
        (("1.1", "again"), "'1.1' is taken by lab-01-mini"),
        (("4.1", "again"), "there is no phase 4"),
    ):
        said = place.labs("new", *words)
        assert said.returncode == 2
        assert part in " ".join(calm(said).split())
    assert len(list(place.root.glob("phase-*/*"))) == 1
