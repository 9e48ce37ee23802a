"""Word vectors: counted and weighed right, the same on every run, cached with care."""

import subprocess
import sys

import numpy as np
import pytest

from common import datasets
from common.datasets import vectors
from tests.support import requires

LINES = [
    ["red", "fox", "7", "red", "dog"],
    ["fox"],
    ["dog", "fox"],
]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder; the datasets come from where they always do."""
    monkeypatch.setenv("LABS_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def built(monkeypatch):
    """How often the vectors were made instead of read."""
    calls, build = [], vectors._build

    def counting(dim):
        calls.append(dim)
        return build(dim)

    monkeypatch.setattr(vectors, "_build", counting)
    return calls


# --- The parts, by hand ---


def test_words_go_by_frequency_then_alphabet(monkeypatch):
    monkeypatch.setattr(vectors, "MIN_COUNT", 2)
    assert vectors.frequent_words(LINES) == ["fox", "dog", "red"]
    monkeypatch.setattr(vectors, "MIN_COUNT", 3)
    assert vectors.frequent_words(LINES) == ["fox"]


def test_pairs_are_counted_in_a_window_of_two_inside_a_line():
    words = ["fox", "dog", "red"]
    expected = np.array([[0, 1, 2], [1, 0, 1], [2, 1, 0]], dtype=float)
    # red fox, (fox 7), fox..red, (7 red), red dog; not red..red, which are three apart
    np.testing.assert_array_equal(vectors.pair_counts(LINES, words).toarray(), expected)


def test_ppmi_against_a_loop():
    rng = np.random.default_rng(5)
    half = rng.poisson(0.8, size=(7, 7))
    counts = (half + half.T).astype(float)
    seen = counts.sum(axis=1)
    smooth = seen**vectors.SMOOTHING
    expected = np.zeros_like(counts)
    for i in range(7):
        for j in range(7):
            if counts[i, j]:
                together = counts[i, j] / counts.sum()
                chance = seen[i] / counts.sum() * smooth[j] / smooth.sum()
                expected[i, j] = max(0.0, np.log(together / chance))
    from scipy import sparse

    got = vectors.ppmi(sparse.csr_array(counts))
    np.testing.assert_allclose(got.toarray(), expected, rtol=1e-12, atol=1e-14)
    assert (got.data > 0).all()


# --- The whole ---


def test_words_and_vectors_of_wikitext(cache):
    requires("wikitext-2")
    words, X = datasets.word_vectors(dim=20)
    assert (X.shape, X.dtype) == ((len(words), 20), np.float64)
    assert len(words) == len(set(words)) == 6481
    assert words[:4] == ["the", "of", "and", "in"]
    assert all(word == word.lower() and word.isalpha() for word in words)
    assert np.isfinite(X).all() and (np.linalg.norm(X, axis=0) > 0).all()


def test_neighbours_make_sense(cache):
    requires("wikitext-2")
    words, X = datasets.word_vectors()
    lengths = np.linalg.norm(X, axis=1, keepdims=True)
    unit = X / np.where(lengths > 0, lengths, 1)
    near = np.argsort(-unit @ unit[words.index("two")])[1:5]
    assert {words[i] for i in near} == {"three", "four", "five", "six"}


def test_the_second_call_reads_the_same_from_the_cache(cache, built):
    requires("wikitext-2")
    words, X = datasets.word_vectors(dim=9)
    again, Y = datasets.word_vectors(dim=9)
    assert built == [9]
    assert again == words and type(again[0]) is str
    np.testing.assert_array_equal(X, Y)
    assert [p.name for p in vectors.cached_at(9).parent.iterdir()] == [
        "wikitext-2-9.npz"
    ]


def test_two_builds_are_equal(cache):
    requires("wikitext-2")
    _, X = vectors._build(7)
    _, Y = vectors._build(7)
    np.testing.assert_allclose(X, Y, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text", "folder"])
def test_a_damaged_cache_is_made_anew(cache, built, damage):
    requires("wikitext-2")
    words, X = datasets.word_vectors(dim=6)
    path = vectors.cached_at(6)
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 0xFF
    path.unlink()
    if damage == "folder":
        path.mkdir()
    else:
        left = {"cut": data[:-1000], "flipped": data, "empty": b"", "text": b"hello"}
        path.write_bytes(left[damage])
    again, Y = datasets.word_vectors(dim=6)
    assert built == [6, 6]
    assert again == words
    np.testing.assert_allclose(X, Y)


def test_another_recipe_is_made_anew(cache, built, monkeypatch):
    requires("wikitext-2")
    datasets.word_vectors(dim=6)
    monkeypatch.setattr(vectors, "WINDOW", 1)
    _, X = datasets.word_vectors(dim=6)
    _, Y = datasets.word_vectors(dim=6)
    assert built == [6, 6]
    np.testing.assert_array_equal(X, Y)


def test_lengths_do_not_share_a_file(cache, built):
    requires("wikitext-2")
    datasets.word_vectors(dim=6)
    datasets.word_vectors(dim=5)
    datasets.word_vectors(dim=6)
    assert built == [6, 5]


def test_a_folder_that_cannot_be_written_is_said_and_survived(
    tmp_path, monkeypatch, caplog
):
    requires("wikitext-2")
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")
    monkeypatch.setenv("LABS_CACHE", str(in_the_way))
    words, X = datasets.word_vectors(dim=4)
    assert X.shape == (len(words), 4)
    assert "cannot be kept" in caplog.text


# --- What goes wrong ---


def test_without_wikitext_the_dataset_is_missing(tmp_path, monkeypatch):
    for variable in ("LABS_DATA", "LABS_CACHE"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setenv("LABS_OFFLINE", "1")
    with pytest.raises(datasets.DatasetMissing, match="wikitext-2"):
        datasets.word_vectors()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dim", [0, -3, 6481])
def test_a_length_out_of_range(cache, dim):
    if dim > 0:
        requires("wikitext-2")
    with pytest.raises(ValueError, match="dim"):
        datasets.word_vectors(dim)
    assert not list(cache.iterdir())


@pytest.mark.parametrize("dim", [2.5, "100", True, None])
def test_a_length_that_is_no_integer(cache, dim):
    with pytest.raises(TypeError, match="dim"):
        datasets.word_vectors(dim)


def test_importing_it_loads_nothing_heavy():
    code = (
        "import sys; from common.datasets import word_vectors\n"
        "heavy = {'numpy', 'scipy', 'sklearn', 'logging', 'zipfile'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[]"
