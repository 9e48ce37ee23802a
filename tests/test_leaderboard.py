"""The leaderboard: every row comes from a metrics.json, and only full scores count."""

import html
import json
import math
import re

import pytest

from common import datasets, docs, labs, leaderboard
from common.results import Results
from tests.console import Checkout

SAMPLE = "\nJULIET:\nO *Romeo*, | <b>Romeo</b>! & $3; [a](b) `x` _y_ ~~z~~\n".ljust(
    200, "o"
)
ROW = {
    "model": "Twogram",
    "size": 1_380,
    "size_unit": "n-grams",
    "train_seconds": 0.25,
    "nats": 2.4812,
    "positions": datasets.VALID_POSITIONS,
    "sample": SAMPLE,
}


def write(folder, quick=False, **changes):
    results = Results(folder, "Rows", seed=3, steps=1, quick=quick)
    results.metric("other", 1.0, "nats")
    results.language_model(**ROW | changes)
    results.save()


@pytest.fixture
def place(tmp_path, monkeypatch):
    made = Checkout(tmp_path / "checkout", monkeypatch, ("mini", "other"))
    monkeypatch.setenv("LABS_ROOT", str(made.root))
    return made


@pytest.fixture
def board(place):
    """The two labs of the checkout, with one model each and one of the learner's."""
    one, two = place.folders
    write(one / "results")
    write(two / "results", model="Better", nats=1.75, size_unit="parameters")
    write(two / "results/mine", model="Better", nats=1.8)
    return place


# --- Entering a model -------------------------------------------------------------


def test_a_model_is_a_metric_with_its_row(tmp_path):
    write(tmp_path)
    stored = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))[1]
    assert stored["name"] == "lm.Twogram"
    assert (stored["value"], stored["unit"]) == (2.4812, "nats/character")
    assert (stored["seconds"], stored["seed"]) == (0.25, 3)
    assert stored["language_model"] == {
        key: ROW[key] for key in ("model", "size", "size_unit", "positions", "sample")
    }


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"positions": 111_539}, "positions: .*111,540.*111,539"),
        ({"sample": "short"}, "sample: .*200.*5"),
        ({"size_unit": "counts"}, "size_unit: .*counts"),
        ({"nats": math.nan}, "lm.Twogram"),
    ],
)
def test_what_could_not_stand_in_one_table_is_refused(tmp_path, change, names):
    with pytest.raises(ValueError, match=names):
        write(tmp_path, **change)


def test_a_quick_run_may_look_at_less_and_is_no_score(place):
    write(place.folder / "results", quick=True, positions=500, sample="short")
    assert leaderboard.entries() == []


# --- The table --------------------------------------------------------------------


def test_best_first_and_the_learners_runs_only_on_request(board):
    assert [(e.model, e.mine) for e in leaderboard.entries()] == [
        ("Better", False),
        ("Twogram", False),
    ]
    both = leaderboard.entries(mine=True)
    assert [e.nats for e in both] == [1.75, 1.8, 2.4812]
    assert [e.mine for e in both] == [False, True, False]


def test_bits_and_perplexity(board):
    worst = leaderboard.entries()[-1]
    assert worst.bits == pytest.approx(2.4812 / 0.6931471805599453)
    assert worst.perplexity == pytest.approx(2.718281828459045**2.4812)


def test_a_sample_breaks_no_table_and_comes_back_whole(board):
    rows = leaderboard.markdown(leaderboard.entries()).splitlines()
    assert len(rows) == 4
    for row in rows:
        assert row.count("|") == 9
    cell = re.search(r"<sub>(.*)</sub>", rows[-1])[1]
    assert set(re.findall(r"<[^>]+>", cell)) == {"<br>"}
    assert not set("*_`[]~$") & set(cell)
    assert html.unescape(cell.replace("<br>", "\n")) == SAMPLE.strip("\n")


def test_the_page_is_made_from_the_metrics(board):
    readme = labs.root() / "README.md"
    readme.write_text(
        "top\n<!-- leaderboard -->\nstale\n<!-- /leaderboard -->\nend\n",
        encoding="utf-8",
    )
    (readme.parent / "phase-01-small" / "README.md").write_text("# Small\n")
    text = docs.pages()[readme]
    assert "stale" not in text and text.startswith("top\n") and text.endswith("end\n")
    assert "| Better | [1.2]" in text and "| 2.481 | 3.580 | 11.96 |" in text


def test_at_the_terminal(board):
    said = board.labs("leaderboard", "--samples")
    assert said.returncode == 0, said.stderr
    lines = said.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    mine = [line for line in lines if line.startswith("> ") and "Better" in line]
    assert len(mine) == 1 and "1.800" in mine[0] and mine[0].endswith(" s")
    assert any(line.endswith("time") for line in lines)
    assert any("1,380 n" in line and "11.96" in line for line in lines)
    assert "JULIET:" in said.stdout
    assert "JULIET:" not in board.labs("leaderboard").stdout


def test_an_empty_board_says_how_to_fill_it(place):
    said = place.labs("leaderboard")
    assert said.returncode == 0
    assert "labs run 3.3" in said.stdout
