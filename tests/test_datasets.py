"""The data: found, downloaded, verified, stored, and read as promised.

Downloads go to a server of the test's own on 127.0.0.1, which can misbehave on demand.
"""

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from common import datasets
from common.datasets import characters, fetch, registry, text, toy
from tests.support import requires

BODY = b"To be, or not to be.\n" * 20_000  # 420 kB: more than a socket buffers
QUICK = {"timeout": 0.25, "pause": 0.01}


class Server:
    """A server that answers each request with the next of `plan`, then with "whole"."""

    def __init__(self):
        self.plan, self.served, self.stop = [], [], threading.Event()
        self.meeting = threading.Barrier(2)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                act = outer.plan.pop(0) if outer.plan else "whole"
                outer.served.append(act)
                getattr(outer, act)(self)

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/file.txt"
        threading.Thread(
            target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()

    def close(self):
        self.stop.set()
        self.http.shutdown()
        self.http.server_close()

    def _head(self, handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(BODY)))
        handler.end_headers()

    def whole(self, handler):
        self._head(handler)
        handler.wfile.write(BODY)

    def corrupt(self, handler):
        self._head(handler)
        handler.wfile.write(BODY[:-1] + b"?")

    def closes(self, handler):
        self._head(handler)
        handler.wfile.write(BODY[: len(BODY) // 2])

    def stalls(self, handler):
        self.closes(handler)
        self.stop.wait(5)

    def absent(self, handler):
        handler.send_error(404)

    def fails(self, handler):
        handler.send_error(503)

    def waits_for_two(self, handler):
        self.meeting.wait(8)
        self.whole(handler)


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch, request):
    """Give each test an empty LABS_DATA and cache, except those on the real data."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    if "real" in request.fixturenames:
        return
    for variable in ("LABS_DATA", "LABS_CACHE"):
        (tmp_path / variable).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / variable))
    for variable in ("LABS_OFFLINE", "TIKTOKEN_CACHE_DIR"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def real():
    """Asked for by tests that read the datasets of this machine."""


@pytest.fixture
def play(server):
    return play_at(server.url)


def play_at(url, **change):
    """Return a dataset of one file with the content BODY."""
    sha = "sha256:" + hashlib.sha256(BODY).hexdigest()
    file = registry.File("file.txt", **{"checksum": sha, "url": url, **change})
    return registry.Dataset("play", "play", (file,), "public domain", "a test")


def files_below(folder):
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file()
    )


# --- Names ---


def test_names_are_those_of_the_design():
    assert datasets.names() == [
        "tinyshakespeare",
        "wikitext-2",
        "wikitext-2-valid",
        "wikitext-2-test",
        "wikitext-2-train",
        "gpt2",
        "wikipedia-10k",
    ]


@pytest.mark.parametrize("ask", [datasets.path, datasets.available])
def test_an_unknown_name_names_the_nearest(ask):
    with pytest.raises(datasets.UnknownDataset, match=r"'shakespear'.*tinyshakespeare"):
        ask("shakespear")


def test_a_name_near_nothing_lists_all():
    with pytest.raises(ValueError, match=r"the names are: tinyshakespeare.*10k"):
        datasets.path("qqq")


@pytest.mark.parametrize("dataset", datasets.DATASETS.values(), ids=datasets.names())
def test_every_file_is_pinned(dataset):
    for file in dataset.files:
        kind, _, value = file.checksum.partition(":")
        assert len(value) == {"sha256": 64, "git-blob": 40}[kind]
        if file.url and "github" in file.url:
            commit = file.url.split("/")[5]
            assert len(commit) == 40 and set(commit) <= set("0123456789abcdef")


def test_gpt2_files_have_the_names_tiktoken_looks_for():
    for file in datasets.DATASETS["gpt2"].files:
        assert file.name == hashlib.sha1(file.url.encode()).hexdigest()


# --- Download ---


def test_a_download_is_stored_once_and_reused(server, play, tmp_path):
    first = fetch.fetch(play)
    assert first == tmp_path / "LABS_CACHE" / "play" / "file.txt"
    assert first.read_bytes() == BODY
    assert fetch.fetch(play) == first
    assert server.served == ["whole"]
    assert files_below(tmp_path) == ["LABS_CACHE/play/file.txt"]


@pytest.mark.parametrize(
    ("act", "says"),
    [
        ("corrupt", r"420,000 bytes came with sha256:\w+, not sha256:"),
        ("closes", r"closed after 210,000 of 420,000 bytes"),
        ("stalls", r"timed out"),
        ("fails", r"answered 503"),
    ],
)
def test_a_bad_download_leaves_nothing_and_says_why(server, play, tmp_path, act, says):
    server.plan = [act] * 3
    with pytest.raises(datasets.DatasetMissing, match=says):
        fetch.fetch(play, **QUICK)
    assert server.served == [act] * 3
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("act", ["corrupt", "closes", "stalls", "fails"])
def test_one_bad_try_is_followed_by_another(server, play, act):
    server.plan = [act]
    assert fetch.fetch(play, **QUICK).read_bytes() == BODY
    assert server.served == [act, "whole"]


def test_what_the_server_does_not_have_is_asked_for_once(server, play):
    server.plan = ["absent"] * 3
    with pytest.raises(datasets.DatasetMissing, match="answered 404"):
        fetch.fetch(play, **QUICK)
    assert server.served == ["absent"]


def test_a_machine_without_network(tmp_path, server):
    server.close()  # its port now refuses connections
    with pytest.raises(datasets.DatasetMissing, match="refused"):
        fetch.fetch(play_at(server.url), **QUICK)
    assert files_below(tmp_path) == []


def test_a_failure_while_writing_leaves_nothing(play, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(datasets.DatasetMissing, match="No space left"):
        fetch.fetch(play)
    assert files_below(tmp_path) == []


def test_a_git_blob_checksum_is_verified(server, tmp_path):
    blob = hashlib.sha1(b"blob 420000\0" + BODY).hexdigest()
    dataset = play_at(server.url, checksum=f"git-blob:{blob}")
    server.plan = ["corrupt"]
    assert fetch.fetch(dataset, **QUICK).read_bytes() == BODY
    assert server.served == ["corrupt", "whole"]


def test_git_agrees_with_our_blob_id():
    git = subprocess.run(
        ["git", "hash-object", "--stdin"], input=BODY, capture_output=True, check=True
    )
    assert fetch.checksum(BODY, "git-blob") == "git-blob:" + git.stdout.decode().strip()


def test_two_processes_that_start_together_both_get_a_whole_file(server, tmp_path):
    server.plan = ["waits_for_two"] * 2
    code = (
        "import sys; from common.datasets import fetch, registry\n"
        "f = registry.File('file.txt', sys.argv[1], url=sys.argv[2])\n"
        "d = registry.Dataset('play', 'play', (f,), '', '')\n"
        "sys.stdout.buffer.write(fetch.fetch(d).read_bytes())"
    )
    arguments = [play_at(server.url).files[0].checksum, server.url]
    both = [
        subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=-1)
        for _ in range(2)
    ]
    assert [process.communicate(timeout=20)[0] for process in both] == [BODY, BODY]
    assert server.served == ["waits_for_two"] * 2
    assert files_below(tmp_path) == ["LABS_CACHE/play/file.txt"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_a_bar_is_drawn_on_a_terminal_only(play, monkeypatch, stream):
    monkeypatch.setattr(sys, "stderr", stream())
    if stream is not Terminal:
        monkeypatch.setitem(sys.modules, "rich.progress", None)  # may not be imported
    fetch.fetch(play)
    assert ("file.txt" in sys.stderr.getvalue()) == (stream is Terminal)


# --- Where a copy is looked for ---


def put(folder, data=BODY):
    path = folder / "play" / "file.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_labs_data_comes_before_the_cache(server, play, tmp_path):
    cached, own = put(tmp_path / "LABS_CACHE"), put(tmp_path / "LABS_DATA")
    assert fetch.fetch(play) == own
    own.unlink()
    assert fetch.fetch(play) == cached
    assert server.served == []


def test_a_wrong_file_in_labs_data_is_an_error_and_stays(server, play, tmp_path):
    own = put(tmp_path / "LABS_DATA", b"something else")
    put(tmp_path / "LABS_CACHE")
    with pytest.raises(datasets.DatasetCorrupt, match=r"LABS_DATA/play/file\.txt"):
        fetch.fetch(play)
    assert own.read_bytes() == b"something else"
    assert server.served == []


def test_a_file_that_changes_after_it_was_verified_is_noticed(play, tmp_path):
    own = put(tmp_path / "LABS_DATA")
    assert fetch.fetch(play) == own
    own.write_bytes(b"?" + BODY[1:])
    os.utime(own, ns=(1, 1))  # the clock of some file systems is too coarse to move
    with pytest.raises(datasets.DatasetCorrupt):
        fetch.fetch(play)


def test_a_file_is_verified_once_in_a_process(play, tmp_path, monkeypatch):
    put(tmp_path / "LABS_DATA")
    fetch.fetch(play)
    monkeypatch.setattr(fetch, "checksum", None)  # a second look would call None
    fetch.fetch(play)


def test_a_corrupt_cached_file_is_repaired_in_one_line(server, play, tmp_path, caplog):
    cached = put(tmp_path / "LABS_CACHE", BODY[:-1])
    assert fetch.fetch(play) == cached
    assert cached.read_bytes() == BODY
    assert server.served == ["whole"]
    (line,) = caplog.messages
    assert "play/file.txt is corrupt" in line and "\n" not in line


def test_without_a_variable_the_cache_is_the_users(monkeypatch):
    monkeypatch.delenv("LABS_CACHE")
    assert fetch.cache_folder().name == "datasets"
    assert "llm-labs" in fetch.cache_folder().parts


def test_several_files_give_their_folder_and_all_are_needed(server, tmp_path):
    one = play_at(server.url).files[0]
    other = registry.File("other.txt", one.checksum, url=server.url)
    both = registry.Dataset("play", "play", (one, other), "", "")
    put(tmp_path / "LABS_DATA")  # one of two is not the dataset
    assert fetch.find(both) is None
    assert fetch.fetch(both) == tmp_path / "LABS_CACHE" / "play"
    assert files_below(tmp_path / "LABS_CACHE") == ["play/file.txt", "play/other.txt"]


# --- Offline ---


def test_labs_offline_forbids_a_download(server, play, tmp_path, monkeypatch):
    monkeypatch.setenv("LABS_OFFLINE", "1")
    with pytest.raises(datasets.DatasetMissing) as caught:
        fetch.fetch(play)
    message = str(caught.value)
    for part in ("'play'", "file.txt", "LABS_OFFLINE", "LABS_DATA", server.url):
        assert part in message
    assert str(tmp_path / "LABS_DATA" / "play") in message
    assert str(tmp_path / "LABS_CACHE" / "play") in message
    assert server.served == []


def test_labs_offline_0_allows_a_download(play, monkeypatch):
    monkeypatch.setenv("LABS_OFFLINE", "0")
    assert fetch.fetch(play).read_bytes() == BODY


def test_the_message_says_that_labs_data_is_not_set(monkeypatch):
    monkeypatch.delenv("LABS_DATA")
    with pytest.raises(datasets.DatasetMissing, match="LABS_DATA is not set"):
        datasets.path("wikipedia-10k")


def test_offline_a_corrupt_copy_is_named(play, tmp_path, monkeypatch):
    monkeypatch.setenv("LABS_OFFLINE", "1")
    cached = put(tmp_path / "LABS_CACHE", b"half")
    with pytest.raises(datasets.DatasetMissing, match=f"{cached} is corrupt"):
        fetch.fetch(play)


@pytest.mark.parametrize("name", datasets.names())
def test_available_is_false_without_a_copy(name, tmp_path):
    assert datasets.available(name) is False
    assert files_below(tmp_path) == []


def test_available_is_false_for_a_wrong_file(tmp_path):
    (tmp_path / "LABS_DATA" / "wikipedia-10k.jsonl.gz").write_bytes(b"not a gz")
    assert datasets.available("wikipedia-10k") is False


def test_gpt2_without_network_and_without_a_copy(monkeypatch):
    monkeypatch.setenv("LABS_OFFLINE", "1")
    with pytest.raises(datasets.DatasetMissing, match="'gpt2'"):
        datasets.gpt2_encoding()


# --- Loaders that need no data ---


@pytest.mark.parametrize("split", ["dev", "", None])
def test_an_unknown_split_is_named(split):
    with pytest.raises(ValueError, match="split"):
        datasets.wikitext2(split)


WIKITEXT = """\x20
 = First article =\x20
\x20
 one two three four five\x20
\x20
 = = Section = =\x20
\x20
 where\x20
 = k + 1 =\x20
 six\x20
\x20
 = <unk> =\x20
\x20
 seven\x20
"""


def test_passages_by_hand(monkeypatch):
    monkeypatch.setattr(text, "wikitext2", {"valid": WIKITEXT, "test": ""}.get)
    assert datasets.wikitext2_passages(2) == [
        ("First article", "one two"),
        ("First article", "three four"),
        ("First article", "five"),
        ("First article", "where"),
        ("First article", "six"),
        ("<unk>", "seven"),
    ]


@pytest.mark.parametrize(
    "cut", [datasets.python_docs_passages, lambda n: text.split_words("a b", n)]
)
def test_max_words_is_at_least_one(cut):
    with pytest.raises(ValueError, match="max_words"):
        cut(0)


def test_python_docs_are_english_in_a_fixed_order():
    docs = datasets.python_docs()
    assert len(docs) > 300_000
    assert docs.startswith('The "assert" statement\n')
    assert docs.index('The "assert" statement') < docs.index('The "yield" statement')
    assert docs.count(" the ") > 3_000


def test_python_docs_passages_cover_the_text_without_headings():
    passages = datasets.python_docs_passages(30)
    assert len(passages) > 2_000
    assert passages[0][0] == 'The "assert" statement'
    assert passages[0][1].startswith("Assert statements are a convenient way")
    sizes = [len(passage.split()) for _, passage in passages]
    assert max(sizes) == 30 and min(sizes) >= 1
    assert sum(sizes) > 0.95 * len(datasets.python_docs().split())
    assert not any(passage.endswith("****") for _, passage in passages)


def test_digits():
    X, y = datasets.digits()
    assert (X.shape, X.dtype) == ((1797, 64), np.float64)
    assert (y.shape, y.dtype) == ((1797,), np.int64)
    assert (X.min(), X.max()) == (0.0, 1.0)
    assert np.bincount(y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_characters_by_hand():
    text = characters.split_characters("banana, \nand on")
    assert text.symbols == "\n ,abdno"
    assert text.train.tolist() == [4, 3, 6, 3, 6, 3, 2, 1, 0, 3, 6, 5, 1]
    assert text.valid.tolist() == [7, 6]
    assert text.train.dtype == text.valid.dtype == np.int64
    assert text.encode("nob\n").tolist() == [6, 7, 4, 0]
    assert text.decode(text.encode("a dab")) == "a dab"
    assert text.encode("").shape == (0,) and text.decode([]) == ""
    with pytest.raises(ValueError, match=r"text: .*'x'"):
        text.encode("axe")
    for bad in (-1, 8):
        with pytest.raises(ValueError, match="ids: expected 0 to 7"):
            text.decode([0, bad])


def test_the_split_of_all_language_models(real):
    requires("tinyshakespeare")
    text = datasets.shakespeare_characters()
    assert len(text.symbols) == 65 and text.symbols[0] == "\n"
    assert len(text.train) == 1_003_854
    assert len(text.valid) == datasets.VALID_POSITIONS == 111_540
    whole = text.decode(text.train) + text.decode(text.valid)
    assert whole == datasets.tiny_shakespeare()


def test_wikipedia_10k_is_read_as_title_and_text(tmp_path, monkeypatch):
    packed = tmp_path / "articles.gz"
    articles = [{"id": "7", "title": "Été", "text": "a\nb"}, {"title": "T", "text": ""}]
    lines = "\n".join(json.dumps(article) for article in articles)
    packed.write_bytes(gzip.compress(lines.encode()))
    monkeypatch.setattr(fetch, "path", lambda name: packed)
    assert datasets.wikipedia_10k() == [("Été", "a\nb"), ("T", "")]


# --- The reader's own text ---


def test_user_text_from_one_file(tmp_path):
    file = tmp_path / "notes.log"
    file.write_bytes("\ufeffcafé\r\n".encode())
    assert datasets.user_text(file) == [("notes.log", "café\r\n")]
    assert datasets.user_text(str(file)) == datasets.user_text(file)


def test_user_text_from_a_folder(tmp_path):
    folder = tmp_path / "own"
    (folder / "b").mkdir(parents=True)
    (folder / "z.txt").write_text("last")
    (folder / "b" / "A.MD").write_text("first")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    assert datasets.user_text(folder) == [("b/A.MD", "first"), ("z.txt", "last")]


def test_user_text_from_nowhere(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"path: .*gone\.txt"):
        datasets.user_text(tmp_path / "gone.txt")


def test_user_text_from_an_empty_folder(tmp_path):
    with pytest.raises(ValueError, match=r"path: .*has no .txt or .md file"):
        datasets.user_text(tmp_path)


def test_user_text_names_the_file_that_is_not_utf8(tmp_path):
    (tmp_path / "a.txt").write_text("fine")
    (tmp_path / "b.txt").write_bytes("caf\xe9".encode("latin-1"))
    with pytest.raises(ValueError, match=r"b\.txt is not UTF-8 .*byte 3 is 0xe9"):
        datasets.user_text(tmp_path)


def test_user_text_names_the_file_that_may_not_be_read(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("secret")

    def refuse(path):  # root may read everything, so permissions alone show nothing
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    with pytest.raises(PermissionError, match=r"a\.txt may not be read"):
        datasets.user_text(tmp_path)


# --- Drawn sets ---

PLANE = {
    "blobs": toy.blobs,
    "moons": toy.moons,
    "circles": toy.circles,
    "spirals": toy.spirals,
    "xor": toy.xor,
}


@pytest.mark.parametrize("name", PLANE)
def test_toy_shapes_balance_and_seed(name):
    X, y = PLANE[name](101, rng=np.random.default_rng(3))
    assert (X.shape, X.dtype) == ((101, 2), np.float64)
    assert (y.shape, y.dtype) == ((101,), np.int64)
    counts = np.bincount(y)
    assert len(counts) == (3 if name in ("blobs", "spirals") else 2)
    assert counts.max() - counts.min() <= 1
    assert (np.diff(y) != 0).sum() > 20  # shuffled, neither sorted ...
    assert (np.diff(y) != 0).sum() < 90  # ... nor in turns
    again, _ = PLANE[name](101, rng=np.random.default_rng(3))
    other, _ = PLANE[name](101, rng=np.random.default_rng(4))
    assert np.array_equal(X, again) and not np.array_equal(X, other)


@pytest.mark.parametrize("make", [*PLANE.values(), toy.sine], ids=[*PLANE, "sine"])
def test_toy_bad_arguments_are_named(make):
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"^n: "):
        make(0, rng=rng)
    noise = "spread" if make is toy.blobs else "noise"
    for bad in (-0.1, float("nan")):
        with pytest.raises(ValueError, match=f"^{noise}: "):
            make(5, rng=rng, **{noise: bad})


def test_toy_bad_classes_and_factor_are_named():
    rng = np.random.default_rng(0)
    for make in (toy.blobs, toy.spirals):
        with pytest.raises(ValueError, match=r"^classes: "):
            make(5, classes=0, rng=rng)
    with pytest.raises(ValueError, match=r"^factor: "):
        toy.circles(5, factor=1.0, rng=rng)


def test_toy_noise_free_points_lie_where_the_docstrings_say():
    rng = np.random.default_rng(5)
    X, y = toy.blobs(30, classes=4, spread=0.0, rng=rng)
    centres = np.array([[2, 0], [0, 2], [-2, 0], [0, -2]])
    assert np.allclose(X, centres[y])
    X, y = toy.moons(50, noise=0.0, rng=rng)
    centres = np.array([[0.0, 0.0], [1.0, 0.5]])
    assert np.allclose(np.linalg.norm(X - centres[y], axis=1), 1)
    assert ((X[:, 1] >= centres[y, 1]) == (y == 0)).all()
    X, y = toy.circles(50, noise=0.0, factor=0.3, rng=rng)
    assert np.allclose(np.linalg.norm(X, axis=1), np.where(y == 0, 1, 0.3))
    X, y = toy.spirals(50, classes=2, noise=0.0, rng=rng)
    radius = np.linalg.norm(X, axis=1)
    assert radius.min() >= 0.1 and radius.max() <= 1
    turns = np.arctan2(X[:, 1], X[:, 0]) / (2 * np.pi) - radius - y / 2
    assert np.allclose(turns, turns.round())
    X, y = toy.xor(50, noise=0.0, rng=rng)
    assert (np.abs(X) == 1).all() and ((X.prod(axis=1) < 0) == (y == 1)).all()
    assert len(np.unique(X, axis=0)) == 4
    x, y = toy.sine(50, noise=0.0, rng=rng)
    assert x.shape == y.shape == (50,) and np.array_equal(y, np.sin(x))
    assert -np.pi <= x.min() < -2 and 2 < x.max() <= np.pi


def test_toy_noise_has_the_spread_that_is_asked_for():
    rng = np.random.default_rng(6)
    x, y = toy.sine(10_000, noise=0.2, rng=rng)
    # standard error of a standard deviation: 0.2 / sqrt(2 n) = 0.0014
    assert abs((y - np.sin(x)).std() - 0.2) < 5 * 0.0015
    X, y = toy.blobs(10_000, classes=1, spread=0.7, rng=rng)
    assert np.abs(X.std(axis=0) - 0.7).max() < 5 * 0.005


# --- The import is cheap ---


def test_importing_datasets_loads_nothing_heavy():
    code = (
        "import sys; from common import datasets; datasets.python_docs()\n"
        "heavy = {'numpy', 'sklearn', 'torch', 'tiktoken', 'rich', 'matplotlib',"
        " 'urllib.request', 'platformdirs'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "datasets.toy.moons; print('numpy' in sys.modules, 'sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.decode().splitlines() == ["[]", "True False"]


def test_an_unknown_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = datasets.no_such_name


# --- The helper for tests on real data ---


def test_requires_skips_at_home_and_fails_in_ci(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"gpt2; set LABS_DATA"):
        requires("gpt2")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"gpt2; set LABS_DATA"):
        requires("gpt2")


# --- The real data ---


@pytest.mark.usefixtures("real")
class TestRealData:
    """Sizes and counts of the published files."""

    def test_tiny_shakespeare(self):
        requires("tinyshakespeare")
        play = datasets.tiny_shakespeare()
        assert len(play) == 1_115_394 and play.count("\n") == 40_000
        assert play.startswith("First Citizen:\nBefore we proceed any further")

    @pytest.mark.parametrize("split", ["valid", "test"])
    def test_wikitext2(self, split):
        requires(f"wikitext-2-{split}")
        size = {"valid": 1_121_681, "test": 1_256_449}[split]
        assert len(datasets.wikitext2(split).encode()) == size
        assert datasets.path(f"wikitext-2-{split}").stat().st_size == size

    @pytest.mark.parametrize("name", datasets.names())
    def test_sizes_in_the_registry(self, name):
        if name == "wikitext-2-train":
            assert datasets.DATASETS[name].files[0].size is None
            return
        requires(name)
        place, files = datasets.path(name), datasets.DATASETS[name].files
        folder = place if len(files) > 1 else place.parent
        assert [(folder / file.name).stat().st_size for file in files] == [
            file.size for file in files
        ]

    def test_the_wikitext2_family_is_a_folder(self):
        requires("wikitext-2")
        folder = datasets.path("wikitext-2")
        assert (folder / "valid.txt").is_file() and (folder / "test.txt").is_file()

    def test_wikitext2_passages(self):
        requires("wikitext-2")
        passages = datasets.wikitext2_passages()
        assert len(passages) == 13_257
        assert max(len(passage.split()) for _, passage in passages) == 40
        titles = [title for title, _ in passages]
        starts = [
            now for old, now in zip(["", *titles], titles, strict=False) if old != now
        ]
        assert len(starts) == 120
        assert starts[0] == "Homarus gammarus"
        assert passages[0][1].startswith("Homarus gammarus , known as the European")

    def test_gpt2_encoding(self, monkeypatch):
        requires("gpt2")
        monkeypatch.setenv("LABS_OFFLINE", "1")
        before = os.environ.get("TIKTOKEN_CACHE_DIR")
        encoding = datasets.gpt2_encoding()
        assert os.environ.get("TIKTOKEN_CACHE_DIR") == before
        assert encoding.n_vocab == 50_257
        assert encoding.encode("strawberry") == [301, 1831, 8396]

    def test_gpt2_encoding_from_labs_data_alone(self, monkeypatch):
        folder = os.path.join(os.environ.get("LABS_DATA", ""), "tiktoken")
        if not os.path.isdir(folder):
            requires("gpt2")
            pytest.skip("gpt2 is not below LABS_DATA here")
        monkeypatch.delenv("TIKTOKEN_CACHE_DIR", raising=False)
        monkeypatch.setenv("LABS_OFFLINE", "1")
        code = (
            "from common import datasets\n"
            "print(datasets.gpt2_encoding().decode([15496, 995]))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True)
        assert done.stdout == b"Hello world\n", done.stderr

    def test_wikipedia_10k(self):
        requires("wikipedia-10k")
        articles = datasets.wikipedia_10k()
        assert len(articles) == 10_000
        sizes = [len(text.split()) for _, text in articles]
        assert min(sizes) >= 80 and max(sizes) <= 600
        assert all(title for title, _ in articles)
