"""Each line of `labs verify` answers for one thing: one fault, one red line.

A small lab (what `labs new` makes) is broken in one way per line. Everything else must
stay green, so that a contributor is led to the fault and nowhere else.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from common import labs, scaffold, stubs
from common.grading import verify


@pytest.fixture
def lab_folder(tmp_path, monkeypatch) -> Path:
    (tmp_path / "phase-01-test").mkdir()
    monkeypatch.setenv("LABS_ROOT", str(tmp_path))
    folder = scaffold.create("1.1", "words")
    (folder / "results").mkdir()
    metrics = [{"name": "ratio", "value": 0.125, "unit": "share"}]
    (folder / "results" / "metrics.json").write_text(json.dumps(metrics))
    add(folder, "README.md", "\nRatio <!--=ratio:.2f-->0.12<!--/-->.\n")
    return folder


def edit(folder: Path, name: str, find: str, replace: str) -> None:
    path = folder / name
    text = path.read_text(encoding="utf-8")
    assert text.count(find) >= 1, find
    path.write_text(text.replace(find, replace, 1), encoding="utf-8")


def add(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def write_stub(folder: Path) -> None:
    source = (folder / "solution.py").read_text(encoding="utf-8")
    (folder / "lab.py").write_text(stubs.stub(source), encoding="utf-8")


def colours(folder: Path) -> dict[str, bool | None]:
    found = {line.name: line.ok for line in verify.lines(labs.read(folder))}
    assert list(found) == verify.NAMES
    return found


def red(folder: Path) -> list[str]:
    return [name for name, ok in colours(folder).items() if ok is False]


def test_the_template_is_green(lab_folder):
    assert all(colours(lab_folder).values())


# --- One fault per line -----------------------------------------------------------


def two_hints(folder):
    edit(folder, "lab.toml", '    "When are two words the same word?",\n', "")


def a_test_the_solution_fails(folder):
    edit(folder, "test_lab.py", '{"a": 1, "b": 3, "c": 1}', '{"a": 1, "b": 4, "c": 1}')


def a_solved_stub(folder):
    edit(
        folder,
        "lab.py",
        'raise NotImplementedError("task 3")',
        "return len(counts) / max(1, sum(counts.values()))",
    )


def another_signature(folder):
    edit(
        folder,
        "lab.py",
        "def most_common(counts: dict[str, int], k: int)",
        "def most_common(counts, k)",
    )


def a_misconception_that_is_right(folder):
    add(
        folder,
        "lab.toml",
        """
[[misconception]]
id = "no-mistake"
task = 3
find = "total = sum(counts.values())"
replace = "total = sum(list(counts.values()))"
says = "This is right."
because = "It gives the same values."
""",
    )


def two_of_a_kind(folder):
    add(
        folder,
        "lab.toml",
        """
[[misconception]]
id = "another-way-up"
task = 3
find = "return len(counts) / total if total else 0.0"
replace = "return 1 / (len(counts) / total) if total else 0.0"
says = "The ratio is upside down."
because = "It gives the same values as the other one."
""",
    )


def a_task_that_a_constant_earns(folder):
    """Every ratio that the tests ask for is what the constant lab returns."""
    text = (folder / "test_lab.py").read_text(encoding="utf-8")
    head = text[: text.index("@task(3)")]
    body = """@task(3)
def test_ratio_of_different_words(lab):
    check.close(lab.type_token_ratio({"a": 1, "b": 1}), 1.0)
"""
    (folder / "test_lab.py").write_text(head + body, encoding="utf-8")
    edit(
        folder,
        "lab.toml",
        'replace = "total / len(counts)"',
        'replace = "2 * total / len(counts)"',
    )


def a_test_that_needs_luck(folder):
    """Passes with the first seed only."""
    add(
        folder,
        "test_lab.py",
        """

@task(1)
def test_luck(lab, rng):
    check.equal(lab.count_words("a"), {"a": 1})
    check.that(int(rng.integers(1000)) == LUCKY, "the drawn number is the lucky one")


LUCKY = 0
""",
    )
    path = folder / "test_lab.py"
    lucky = draw("test_luck")
    edit(folder, path.name, "LUCKY = 0", f"LUCKY = {lucky}")


def a_misconception_that_dies_by_luck(folder):
    """The one test that catches it does so with the first seed only."""
    add(
        folder,
        "test_lab.py",
        f"""

@task(3)
def test_luck(lab, rng):
    word = "z" if int(rng.integers(1000)) == {draw("test_luck")} else "a"
    check.close(lab.type_token_ratio({{word: 4}}), 0.25)
""",
    )
    add(
        folder,
        "lab.toml",
        """
[[misconception]]
id = "afraid-of-z"
task = 3
find = "return len(counts) / total if total else 0.0"
replace = "return len(counts) / total if total and 'z' not in counts else 0.0"
says = "The letter z spoils it."
because = "Every word counts."
""",
    )


def a_test_that_needs_one_thread(folder):
    add(
        folder,
        "test_lab.py",
        """

@task(1)
def test_threads(lab):
    check.equal(lab.count_words("a"), {"a": 1})
    found = {pool["num_threads"] for pool in threadpoolctl.threadpool_info()}
    check.that(found == {1}, "one thread")


import threadpoolctl
""",
    )


def draw(test: str) -> int:
    import numpy as np

    from common.grading import plugin

    return int(np.random.default_rng([0, plugin._number(test)]).integers(1000))


def a_task_that_needs_a_later_one(folder):
    edit(
        folder,
        "solution.py",
        "    return dict(Counter(text.lower().split()))",
        "    type_token_ratio({})\n    return dict(Counter(text.lower().split()))",
    )
    write_stub(folder)


def other_points_in_the_readme(folder):
    edit(folder, "README.md", "| 2 | `most_common` | 3 |", "| 2 | `most_common` | 4 |")


def an_old_figure_in_the_readme(folder):
    edit(folder, "README.md", "-->0.12<!--/-->", "-->0.13<!--/-->")


def a_figure_nobody_measured(folder):
    add(folder, "README.md", "\nSpeed <!--=speed:.1f-->9.9<!--/-->.\n")


def a_test_of_nothing(folder):
    add(folder, "test_lab.py", "\n\n@task(2)\ndef test_nothing(lab):\n    pass\n")


def an_experiment_that_breaks(folder):
    edit(folder, "experiment.py", "results.save()", "raise RuntimeError('no disk')")


FAULTS = {
    two_hints: "folder holds",
    a_solved_stub: "stub earns nothing",
    another_signature: "one interface",
    a_misconception_that_is_right: "misconceptions die",
    two_of_a_kind: "told apart",
    a_task_that_a_constant_earns: "controls earn nothing",
    a_test_that_needs_luck: "steady",
    a_misconception_that_dies_by_luck: "steady",
    a_test_that_needs_one_thread: "steady",
    a_task_that_needs_a_later_one: "each task alone",
    other_points_in_the_readme: "README agrees",
    an_old_figure_in_the_readme: "README agrees",
    a_figure_nobody_measured: "README agrees",
    a_test_of_nothing: "idle tests",
    an_experiment_that_breaks: "experiment runs",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_turns_its_line_red(lab_folder, fault):
    fault(lab_folder)
    assert red(lab_folder) == [FAULTS[fault]]


def test_every_line_can_turn_red():
    assert {*FAULTS.values(), "solution passes"} == set(verify.NAMES)


def test_a_solution_that_fails_leaves_the_rest_unchecked(lab_folder):
    a_test_the_solution_fails(lab_folder)
    found = colours(lab_folder)
    assert found["solution passes"] is False
    assert found["misconceptions die"] is None
    assert [n for n, ok in found.items() if ok is False] == ["solution passes"]


def test_an_edit_that_fits_twice_leaves_the_versions_unchecked(lab_folder):
    first = labs.read(lab_folder).misconceptions[0]
    with (lab_folder / "solution.py").open("a", encoding="utf-8") as file:
        file.write("\n".join(f"# {line}" for line in first.edits[0][0].splitlines()))
    found = colours(lab_folder)
    assert [n for n, ok in found.items() if ok is False] == [
        "folder holds",
        "misconceptions die",
    ]
    assert [n for n, ok in found.items() if ok is None] == [
        "told apart",
        "steady",
        "idle tests",
    ]


def test_an_experiment_without_its_data_is_unchecked(lab_folder, monkeypatch, tmp_path):
    wanted = "__import__('common.datasets').datasets.path('tinyshakespeare')"
    edit(lab_folder, "experiment.py", "results.save()", wanted)
    for name in ("LABS_DATA", "LABS_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / "empty"))
    monkeypatch.setenv("LABS_OFFLINE", "1")
    line = verify.experiment(labs.read(lab_folder))
    assert line.ok is None and line.lacks_data
    assert line.text.startswith("unchecked: dataset 'tinyshakespeare' is not on this")


# --- What a folder check says -------------------------------------------------------


@pytest.mark.parametrize("name", labs.FILES)
def test_a_missing_file_is_named(lab_folder, name):
    if name == "lab.toml":
        (lab_folder / name).unlink()
        with pytest.raises(labs.LabError, match=r"lab\.toml is missing"):
            labs.read(lab_folder)
        return
    lab = labs.read(lab_folder)
    (lab_folder / name).unlink()
    line = next(iter(verify.lines(lab)))
    assert not line.ok and f"{name} is missing" in (line.text, *line.details)


def test_docs_writes_the_figures(lab_folder):
    an_old_figure_in_the_readme(lab_folder)
    assert verify.refresh_readme(labs.read(lab_folder)) == 1
    text = (lab_folder / "README.md").read_text(encoding="utf-8")
    assert "Ratio <!--=ratio:.2f-->0.12<!--/-->." in text
