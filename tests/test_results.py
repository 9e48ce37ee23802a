"""Results: progress fits the terminal, metrics hold, reports stay short."""

import json

import numpy as np
import pytest

from common import plotting
from common.results import MAX_LINES, Results, read_metrics


class Clock:
    """A clock that moves two seconds with every look."""

    def __init__(self):
        self.now = 50.0

    def __call__(self):
        self.now += 2.0
        return self.now


@pytest.fixture
def results(tmp_path):
    return Results(tmp_path / "out", "Cats", seed=7, steps=2, clock=Clock())


def report(results):
    results.save()
    return (results.out / "report.md").read_text(encoding="utf-8")


def test_step_counts_and_tells_the_time(results, capsys):
    results.step("counting")
    results.step("drawing")
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["[1/2]    2.0 s  counting", "[2/2]    4.0 s  drawing"]


def test_one_step_too_many_is_refused(results):
    results.step("counting")
    results.step("drawing")
    with pytest.raises(ValueError, match="steps: 2"):
        results.step("more")


def test_lines_on_the_terminal_fit_80_columns(results, capsys):
    results.step("counting " * 20)
    results.say("Makes three plots. " * 20)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 2
    assert max(map(len, lines)) <= 80


def test_metrics_keep_order_and_every_field(results):
    results.metric("zebra", 3, "tokens")
    results.metric("ant", 0.25, "MB/s", seconds=1.5)
    results.save()
    stored = json.loads((results.out / "metrics.json").read_text(encoding="utf-8"))
    assert [entry["name"] for entry in stored] == ["zebra", "ant"]
    assert stored[1].pop("device").startswith("cpu, ")
    assert stored[1] == {
        "name": "ant",
        "value": 0.25,
        "unit": "MB/s",
        "seed": 7,
        "seconds": 1.5,
    }
    assert stored[0]["seconds"] is None


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (3.7451234567, 3.74512),
        (1234567.89, 1234570.0),
        (1_234_567, 1_234_567),
        (True, True),
        ("st|raw|berry", "st|raw|berry"),
        (np.float64(0.1234567), 0.123457),
        (np.int64(5), 5),
        (np.bool_(False), False),
    ],
)
def test_values_come_back(results, value, kept):
    results.metric("x", value, "")
    results.save()
    back = read_metrics(results.out / "metrics.json")["x"]
    assert back == kept
    assert type(back) is type(kept)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32("-inf")])
def test_numbers_must_be_finite(results, value):
    with pytest.raises(ValueError, match=r"'loss'.*finite"):
        results.metric("loss", value, "nats")
    with pytest.raises(ValueError, match="finite"):
        results.metric("speed", 1.0, "MB/s", seconds=value)


@pytest.mark.parametrize("value", [None, [1, 2], {"a": 1}])
def test_other_values_are_refused(results, value):
    with pytest.raises(TypeError, match="'x'"):
        results.metric("x", value, "")


def test_a_name_is_used_once(results):
    results.metric("loss", 1.0, "nats")
    with pytest.raises(ValueError, match="'loss'"):
        results.metric("loss", 2.0, "nats")


def test_report_has_title_text_and_figure(results):
    fig, ax = plotting.figure()
    ax.plot([1, 2, 3])
    results.text("Two cats.\n")
    path = results.figure(fig, "cats.png", "How many cats")
    assert report(results) == "# Cats\n\nTwo cats.\n\n![How many cats](cats.png)\n"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_table_aligns_numbers_and_escapes_bars(results):
    rows = [["a|b", 1234, True, "2 cats"], ["c\nd", "-0.5 %", False, "3 cats"]]
    results.table(["text", "n", "same", "who"], rows)
    assert report(results).splitlines()[2:] == [
        "| text | n | same | who |",
        "| --- | ---: | --- | --- |",
        "| a\\|b | 1,234 | yes | 2 cats |",
        "| c d | -0.5 % | no | 3 cats |",
    ]


def test_table_rows_are_as_long_as_the_header(results):
    with pytest.raises(ValueError, match="rows: expected 2"):
        results.table(["a", "b"], [["1", "2"], ["3"]])


def test_table_without_rows(results):
    results.table(["a", "b"], [])
    assert report(results).endswith("| a | b |\n| --- | --- |\n")


def test_quick_run_says_so(tmp_path):
    quick = Results(tmp_path, "Cats", seed=0, steps=1, quick=True)
    assert "Quick run" in report(quick)


def test_long_report_is_refused_and_nothing_written(results):
    results.text("\n".join(["line"] * (MAX_LINES - 2)))
    assert len(report(results).splitlines()) == MAX_LINES
    (results.out / "metrics.json").unlink()
    results.metric("x", 1, "")
    results.text("one more")
    with pytest.raises(ValueError, match="at most 59 lines, got 61"):
        results.save()
    assert not (results.out / "metrics.json").exists()


def test_save_leaves_no_other_files(results):
    results.save()
    results.save()
    assert sorted(p.name for p in results.out.iterdir()) == [
        "metrics.json",
        "report.md",
    ]


def test_a_remark_is_said_and_written(tmp_path, capsys):
    results = Results(tmp_path, "Title", seed=0, steps=1)
    results.remark("WikiText-2 is left out.")
    results.step("one")
    results.save()
    assert "WikiText-2 is left out." in capsys.readouterr().out
    assert "WikiText-2 is left out." in (tmp_path / "report.md").read_text()
