"""Labs on disk: found by name, read, checked for faults, and loaded."""

import os
import sys

import pytest

from common import labs, stubs
from common.labs import LabError, UnknownLab
from common.scaffold import create


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A checkout of our own with five small labs in two phases."""
    (tmp_path / "phase-01-first-things").mkdir()
    (tmp_path / "phase-02-neural-nets").mkdir()
    monkeypatch.setenv("LABS_ROOT", str(tmp_path))
    create("1.1", "word-counts")
    create("1.2", "bloom-filters")
    create("1.10", "word-vectors")
    create("2.1", "backprop")
    create("2.2", "optimizers")
    return tmp_path


@pytest.fixture
def lab(made):
    """The folder of a small lab."""
    return made / "phase-01-first-things" / "lab-01-word-counts"


def change(path, *edits):
    """Edit a file; each text to find occurs at least once."""
    text = path.read_text(encoding="utf-8")
    for find, replace in edits:
        assert find in text
        text = text.replace(find, replace, 1)
    path.write_text(text, encoding="utf-8")


def problems(folder):
    """The faults of a lab."""
    return labs.problems(labs.read(folder))


# --- Reading -----------------------------------------------------------------------


def test_what_a_lab_holds(lab):
    read = labs.read(lab)
    assert (read.id, read.slug, read.title) == (
        "1.1",
        "lab-01-word-counts",
        "Word counts",
    )
    assert [task.points for task in read.tasks] == [4, 3, 3]
    assert (read.points, read.uses, len(read.misconceptions)) == (10, (), 5)
    assert (read.task(2).name, read.task(2).limit_s) == ("most_common", 10.0)
    with pytest.raises(UnknownLab, match=r"1\.1 has no task 4.*1\.1\.1, 1\.1\.2"):
        read.task(4)


def test_a_bonus_is_labelled_by_a_plus(lab):
    change(lab / "lab.toml", ("points = 3", "points = 0\nlimit_s = 2"))
    task = labs.read(lab).task(2)
    assert (task.label, task.points, task.limit_s) == ("+", 0, 2.0)
    assert labs.read(lab).task(1).label == "1"


def test_ids_come_from_the_folders(made):
    assert [lab.id for lab in labs.all_labs()] == ["1.1", "1.2", "1.10", "2.1", "2.2"]
    assert labs.lab_id(made / "elsewhere" / "mine") == "mine"
    assert labs.lab_id(made / "phase-03-x" / "lab-12-y") == "3.12"


def test_titles_of_phases(made):
    readme = made / "phase-02-neural-nets" / "README.md"
    readme.write_text("# Phase 2: Neural networks\n\nMore.\n")
    titles = [labs.phase_title(folder) for folder in labs.phases()]
    assert titles == ["phase-01-first-things", "Phase 2: Neural networks"]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (('title = "', "title = "), ""),
        (("[[task]]", "[[task]"), ""),
        (("points = 4", 'points = "many"'), "many"),
        (("points = 4", ""), "'points' is missing"),
        (("title", "name"), "'title' is missing"),
        (('find = "text', 'seek = "text'), "'find' is missing"),
        (('find = "text.lower().split()"', "edits = [[1, 2, 3]]"), "unpack"),
        (("[[task]]", "task = 3\n[x]"), ""),
    ],
)
def test_a_broken_toml_is_named(lab, edit, said):
    change(lab / "lab.toml", edit)
    with pytest.raises(LabError) as caught:
        labs.read(lab)
    assert str(caught.value).startswith("lab-01-word-counts/lab.toml: ")
    assert said in str(caught.value)


def test_bytes_that_are_no_text_are_named(lab):
    (lab / "lab.toml").write_bytes(b'title = "\xff"')
    with pytest.raises(LabError, match=r"lab-01-word-counts/lab\.toml"):
        labs.read(lab)


def test_a_missing_toml_is_named(lab):
    (lab / "lab.toml").unlink()
    with pytest.raises(LabError, match=r"lab-01-word-counts: lab\.toml is missing"):
        labs.read(lab)


# --- Finding -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("1.1", ("1.1", None)),
        ("1.10", ("1.10", None)),
        ("1.1.3", ("1.1", 3)),
        ("1.10.1", ("1.10", 1)),
        ("lab-01-word-counts", ("1.1", None)),
        ("bloom", ("1.2", None)),
        ("Vectors", ("1.10", None)),
        ("word-c", ("1.1", None)),
    ],
)
def test_a_name_finds_a_lab(made, name, found):
    lab, task = labs.find(name)
    assert (lab.id, task) == found


def test_a_path_finds_a_lab(made, lab, monkeypatch):
    for path in (lab, lab / "lab.py", f"{lab}/"):
        assert labs.find(str(path))[0].folder == lab.resolve()
    monkeypatch.chdir(lab)
    assert labs.find(".")[0].id == "1.1"
    assert labs.find("../lab-02-bloom-filters")[0].id == "1.2"
    assert labs.find("./solution.py")[0].id == "1.1"
    with pytest.raises(LabError, match="is missing"):
        labs.find("..")


def test_a_part_of_several_names_lists_them(made):
    with pytest.raises(UnknownLab) as caught:
        labs.find("word")
    both = "1.1 (lab-01-word-counts), 1.10 (lab-10-word-vectors)"
    assert str(caught.value) == f"'word' means several labs: {both}"


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("blom-filter", "1.2 (lab-02-bloom-filters)"),
        ("optimisers", "2.2 (lab-02-optimizers)"),
        ("2.3", "2."),
        ("3.1", "1.1"),
        ("xyzzy", "1.1 (lab-01-word-counts)"),
        ("no/such/path", "1.1 (lab-01-word-counts)"),
    ],
)
def test_an_unknown_name_lists_the_near_ones(made, name, near):
    with pytest.raises(UnknownLab) as caught:
        labs.find(name)
    assert f"There is no lab {name!r}. Near it: " in str(caught.value)
    assert near in str(caught.value)


def test_an_unknown_task_is_said(made):
    with pytest.raises(UnknownLab, match=r"1\.2 has no task 7"):
        labs.find("1.2.7")


def test_select_by_phase_lab_or_nothing(made):
    assert [lab.id for lab in labs.select("1")] == ["1.1", "1.2", "1.10"]
    assert [lab.id for lab in labs.select("2")] == ["2.1", "2.2"]
    assert [lab.id for lab in labs.select("bloom")] == ["1.2"]
    assert [lab.id for lab in labs.select("2.2")] == ["2.2"]
    assert len(labs.select(None)) == 5
    with pytest.raises(UnknownLab):
        labs.select("7")


def test_a_damaged_lab_does_not_hide_the_others(made, lab):
    change(lab / "lab.toml", ("points = 4", ""))
    assert [lab.id for lab in labs.all_labs()] == ["1.2", "1.10", "2.1", "2.2"]
    (said,) = labs.damaged()
    assert said == "lab-01-word-counts/lab.toml: 'points' is missing"
    for name in ("1.1", "lab-01-word-counts"):
        with pytest.raises(LabError, match="'points' is missing"):
            labs.find(name)
    assert labs.find("bloom")[0].id == "1.2"


def test_an_empty_checkout_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("LABS_ROOT", str(tmp_path))
    assert labs.all_labs() == []
    with pytest.raises(UnknownLab, match=r"There is no lab '1\.1'"):
        labs.find("1.1")


# --- Faults ------------------------------------------------------------------------


def test_a_new_lab_has_no_faults(made):
    assert [labs.problems(lab) for lab in labs.all_labs()] == [[]] * 5


@pytest.mark.parametrize("name", [name for name in labs.FILES if name != "lab.toml"])
def test_a_missing_file_is_found(lab, name):
    os.remove(lab / name)
    assert problems(lab) == [f"{name} is missing"]


@pytest.mark.parametrize(
    ("edits", "fault"),
    [
        ([("points = 4", "points = 5")], "points sum to 11, not 10"),
        ([("id = 2", "id = 1")], "two tasks have the same id"),
        (
            [('    "When are two words the same word?",\n', "")],
            "task 1 has no three hints",
        ),
        ([('find = "text.lower().split()"', 'find = "nowhere"')], "occurs 0 times"),
        ([('find = "text.lower().split()"', 'find = "counts"')], "case-kept: find occ"),
        (
            [('replace = "text.split()"', 'replace = "text.split("')],
            "misconception case-kept: ",
        ),
        ([("\ntask = 1", "\ntask = 9")], "misconception case-kept: unknown task 9"),
        ([("split-at-single-spaces", "case-kept")], "two misconceptions are named"),
        ([("\ntask = 3", "\ntask = 2")], "task 3 has no misconception"),
        ([("id = 3", "id = 4")], "solution.py marks nothing as task 4"),
        ([("id = 3", "id = 4")], "solution.py marks an unknown task 3"),
    ],
)
def test_a_fault_in_the_toml_is_found(lab, edits, fault):
    change(lab / "lab.toml", *edits)
    assert any(fault in found for found in problems(lab)), problems(lab)


def test_faults_in_the_solution_are_found(lab):
    source = lab / "solution.py"
    change(source, ("    # task 3\n", ""))
    assert "solution.py marks nothing as task 3" in problems(lab)
    change(source, ("def count_words(", "def count_words(("))
    assert len(problems(lab)) == 1
    assert problems(lab)[0].startswith("solution.py does not parse: ")


def test_a_task_of_private_helpers_only_is_not_marked(lab):
    change(lab / "solution.py", ("def type_token_ratio(", "def _ratio("))
    assert "solution.py marks nothing as task 3" in problems(lab)


# --- Loading -----------------------------------------------------------------------


def test_a_variant_is_the_solution_with_one_edit(lab):
    read = labs.read(lab)
    wrong = read.variant("ratio-upside-down")
    assert wrong == read.source().replace("len(counts) / total", "total / len(counts)")
    with pytest.raises(StopIteration):
        read.variant("no-such-misconception")


def test_load_runs_source_as_a_module():
    source = "import dataclasses\n@dataclasses.dataclass\nclass P:\n    x: 'int' = 2\n"
    try:
        module = labs.load(source, "here/lab.py", "loaded_by_test_labs")
        assert sys.modules["loaded_by_test_labs"] is module
        assert (module.P().x, module.__file__) == (2, "here/lab.py")
    finally:
        sys.modules.pop("loaded_by_test_labs", None)


@pytest.mark.parametrize(
    ("source", "error"),
    [("1 / 0", ZeroDivisionError), ("def f(:", SyntaxError), ("exit()", SystemExit)],
)
def test_a_module_that_fails_leaves_nothing(source, error):
    with pytest.raises(error):
        labs.load(source, "lab.py", "failed_in_test_labs")
    assert "failed_in_test_labs" not in sys.modules


def test_our_own_future_imports_do_not_reach_a_lab():
    module = labs.load("def f(x: 1 + 1): ...", "lab.py", "plain_of_test_labs")
    sys.modules.pop("plain_of_test_labs")
    assert module.f.__annotations__ == {"x": 2}


def test_a_traceback_points_into_the_file(lab):
    change(lab / "lab.py", ("# --- Task 1", "raise KeyError('here')\n# --- Task 1"))
    with pytest.raises(KeyError) as caught:
        labs.implementation(labs.read(lab))
    assert str(caught.traceback[-1].path) == str(lab / "lab.py")


def test_solution_loads_a_lab_once(made):
    first = labs.solution("bloom-filters")
    assert first.count_words("a B b") == {"a": 1, "b": 2}
    assert labs.solution("bloom-filters") is first
    with pytest.raises(UnknownLab):
        labs.solution("no-such-lab-anywhere")


def test_implementations(made, lab):
    read = labs.read(lab)
    with pytest.raises(NotImplementedError, match="task 1"):
        labs.implementation(read).count_words("a")
    assert labs.implementation(read, "solution").count_words("a") == {"a": 1}
    other = made / "mine.py"
    other.write_text("def count_words(text): return 7\n")
    assert labs.implementation(read, str(other)).count_words("a") == 7
    assert labs.impl_name(str(other)) == "submission"
    with pytest.raises(UnknownLab, match="--impl takes"):
        labs.implementation(read, "nothing.py")


def test_the_stub_of_a_lab(lab):
    read = labs.read(lab)
    assert labs.stub_text(read) == stubs.stub(read.source())
    assert (lab / "lab.py").read_text(encoding="utf-8") == labs.stub_text(read)
