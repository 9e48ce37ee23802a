"""How well and how fast the lab searches, beside scikit-learn, bm25s and rank_bm25.

On 13,257 passages of WikiText-2 and, where they are there, 10,000 Wikipedia articles:
are the scores those of the libraries, how long does a query take, how often is the
first hit right? About a minute; `full` takes 3,000 queries instead of 500. The Python
manual takes the place of what is missing; bm25s and rank_bm25 are optional.
"""

from __future__ import annotations

import importlib
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from common import datasets, plotting, seeding
from common.results import Results

SEED = 0
K1, B = 1.2, 0.75
LIMIT_MS = 8.0  # the target for the 99th percentile of a query's time
# The time of this process alone, so that other programs do not count; by the wall clock
# where the system measures that too coarsely (Windows).
FINE = time.get_clock_info("process_time").resolution < 1e-6
CLOCK = time.process_time if FINE else time.perf_counter
OPTIONAL = ("bm25s", "rank_bm25")
ENGINES = ("TF-IDF", "BM25", "scikit-learn", "raw counts", *OPTIONAL)
COLOURS = dict(zip(ENGINES, plotting.PALETTE, strict=False))
KEYS = {name: name.lower().replace("-", "").replace(" ", "_") for name in ENGINES}

# A question and the article that answers it, found by reading. The last two ask in
# other words than the article: movie for film, tombs for graves.
JUDGED = {
    "chinese poet of the tang dynasty": "Du Fu",
    "colour and claws of the european lobster": "Homarus gammarus",
    "estimate hurricane intensity from satellite images": "Dvorak technique",
    "spy film with halle berry": "Die Another Day",
    "highway junction in dallas": "High Five Interchange",
    "storm that hit florida before the war": "1933 Treasure Coast hurricane",
    "movie about a suburban father": "American Beauty ( 1999 film )",
    "who cares for the tombs of soldiers": "Commonwealth War Graves Commission",
}
EXPLAINED = (
    "chinese poet of the tang dynasty",
    "estimate hurricane intensity from satellite images",
)


class Corpus(NamedTuple):
    """Documents with their titles; what to call them in a metric and in a sentence."""

    key: str
    name: str
    titles: Sequence[str]
    docs: Sequence[str]


class Engine(NamedTuple):
    """One way to search: the scores of all documents, and the ids of the best."""

    scores: Callable[[str], np.ndarray]
    search: Callable[[str, int], Sequence[int]]
    index: object = None  # the lab's index, or the library's
    fit_s: float = 0.0


def main(lab, out: Path, quick: bool = False, full: bool = False) -> None:
    """Run the experiment.

    Args:
        lab: the module under test: the solution, or a learner's lab.py.
        out: folder for metrics.json, report.md and the four plots.
        quick: 1,500 documents of each corpus and 60 queries; a few seconds.
        full: 3,000 queries for each corpus.
    """
    title = "Lab 1.2: how well and how fast two rankings search"
    results = Results(out, title, seed=SEED, steps=10, quick=quick)
    n_queries = 60 if quick else 3000 if full else 500
    results.say(f"Makes 4 plots and a report, from {n_queries} queries per corpus.")
    libraries = optional(results)
    corpora = load(results, 1500 if quick else None)
    times, first = {}, None
    for corpus in corpora:
        results.text(f"## {corpus.name}, {len(corpus.docs):,} documents")
        engines = build(lab, results, corpus, libraries)
        same_scores(results, corpus, engines, n_queries)
        times[corpus] = latency(results, corpus, engines, n_queries)
        shares = quality(results, corpus, engines, n_queries)
        table(results, engines, times[corpus], shares)
        first = first or engines
    results.figure(draw_latency(times), "latency.png", "Time of a query, by engine")
    questions(results, corpora[0], first)
    formulas(lab, results, corpora[0], first["TF-IDF"].index)
    results.step("writing metrics.json and report.md")
    results.save()


def table(
    results: Results,
    engines: dict[str, Engine],
    times: dict[str, np.ndarray],
    shares: dict[str, list[float]],
) -> None:
    """Speed and quality of every engine, one row each."""
    rows = []
    for name, engine in engines.items():
        ms = np.percentile(times[name], (50, 95, 99))
        numbers = [engine.fit_s, *ms, *shares[name]]
        rows.append((name, *(f"{number:.2f}" for number in numbers)))
    percentiles = ["P50, ms", "P95, ms", "P99, ms"]
    header = ["engine", "index, s", *percentiles, "P@1", "P@5", "MRR@10"]
    results.table(header, rows)


# --- What is there ----------------------------------------------------------------


def load(results: Results, limit: int | None) -> list[Corpus]:
    """The corpora on this machine; the Python manual where there is none."""
    results.step("reading the documents")
    wanted = [
        ("wikitext2", "WikiText-2 passages", datasets.wikitext2_passages),
        ("wikipedia", "Wikipedia articles", datasets.wikipedia_10k),
    ]
    corpora = []
    for key, name, get in wanted:
        try:
            corpora.append(Corpus(key, name, *zip(*get()[:limit], strict=True)))
        except datasets.DatasetCorrupt:
            raise  # a broken copy is for the reader to mend, not to pass over
        except datasets.DatasetMissing:
            results.remark(f"{name}: not on this machine; left out.")
    if not corpora:
        results.remark("The Python manual takes their place.")
        pairs = datasets.python_docs_passages()[:limit]
        corpora = [Corpus("python_docs", "Python manual", *zip(*pairs, strict=True))]
    return corpora


def optional(results: Results) -> dict:
    """The optional libraries by name, without those that are not installed."""
    found = {}
    for name in OPTIONAL:
        try:
            found[name] = importlib.import_module(name)
        except ImportError:
            results.remark(f"{name}: not installed; left out.")
    return found


# --- The engines ------------------------------------------------------------------


def build(lab, results: Results, corpus: Corpus, libraries: dict) -> dict[str, Engine]:
    """Every engine with its index of the corpus, by name; fit time and size."""
    results.step(f"indexing {len(corpus.docs):,} documents: {corpus.name}")
    docs = list(corpus.docs)
    makers = {
        "TF-IDF": lambda: of_lab(lab.TfidfIndex().fit(docs)),
        "BM25": lambda: of_lab(lab.BM25Index(k1=K1, b=B).fit(docs)),
        "scikit-learn": lambda: of_sklearn(docs),
        "raw counts": lambda: of_lab(counts_index(lab, docs)),
        "bm25s": lambda: of_bm25s(lab, libraries["bm25s"], docs),
        "rank_bm25": lambda: of_rank_bm25(lab, libraries["rank_bm25"], docs),
    }
    engines = {}
    for name, make in makers.items():
        if name not in OPTIONAL or name in libraries:
            engines[name] = fitted(make, repeats=1 if name in OPTIONAL else 3)
            seconds, key = engines[name].fit_s, f"{corpus.key}.{KEYS[name]}"
            results.metric(f"{key}.fit_seconds", seconds, "s")
    ratio = engines["TF-IDF"].fit_s / engines["scikit-learn"].fit_s
    results.metric(f"{corpus.key}.fit_over_sklearn", ratio, "ratio")
    size = megabytes(engines["TF-IDF"].index)
    results.metric(f"{corpus.key}.index_mb", size, "MB")
    terms = len(engines["TF-IDF"].index.vocabulary)
    results.metric(f"{corpus.key}.documents", len(docs), "documents")
    results.metric(f"{corpus.key}.terms", terms, "terms")
    results.text(
        f"{terms:,} terms. The TF-IDF index takes {engines['TF-IDF'].fit_s:.2f} s to "
        f"build, {ratio:.2f} times scikit-learn's time, and {size:.0f} MB."
    )
    return engines


def fitted(make: Callable[[], Engine], repeats: int) -> Engine:
    """Build an engine several times; the fastest build is its `fit_s`."""
    fastest = float("inf")
    for _ in range(repeats):
        start = CLOCK()
        engine = make()
        fastest = min(fastest, CLOCK() - start)
    return engine._replace(fit_s=fastest)


def of_lab(index) -> Engine:
    """The lab's index."""
    return Engine(
        index.scores, lambda q, k: [hit.doc_id for hit in index.search(q, k)], index
    )


def counts_index(lab, docs: list[str]):
    """Cosine of plain counts: TF-IDF without the idf."""

    class Counts(lab.SearchIndex):
        def query_weights(self, query: str):
            counts = lab.count_matrix([query], self.vocabulary)[1]
            return lab.l2_normalize_rows(counts)

    vocabulary, counts = lab.count_matrix(docs)
    index = Counts()
    index.store(vocabulary, lab.l2_normalize_rows(counts))
    return index


def of_sklearn(docs: list[str]) -> Engine:
    """The usual recipe: vectorizer, sparse product, full sort."""
    vectorizer = TfidfVectorizer()
    weights = vectorizer.fit_transform(docs)

    def scores(query: str) -> np.ndarray:
        return (weights @ vectorizer.transform([query]).T).toarray().ravel()

    return Engine(scores, lambda q, k: np.argsort(scores(q))[::-1][:k], vectorizer)


def of_bm25s(lab, library, docs: list[str]) -> Engine:
    """bm25s with the lab's words and the lab's variant of BM25, in float64."""
    index = library.BM25(
        k1=K1, b=B, method="atire", idf_method="lucene", dtype="float64"
    )
    index.index([lab.tokenize(doc) for doc in docs], show_progress=False)

    def search(query: str, k: int) -> np.ndarray:
        asked = [lab.tokenize(query)]
        return index.retrieve(asked, k=k, show_progress=False).documents[0]

    return Engine(lambda q: index.get_scores(lab.tokenize(q)), search, index)


def of_rank_bm25(lab, library, docs: list[str]) -> Engine:
    """rank_bm25's Okapi with the lab's words and its own idf."""
    index = library.BM25Okapi([lab.tokenize(doc) for doc in docs], k1=K1, b=B)

    def scores(query: str) -> np.ndarray:
        return index.get_scores(lab.tokenize(query))

    return Engine(scores, lambda q, k: np.argsort(scores(q))[::-1][:k], index)


def megabytes(index) -> float:
    """Both matrices and the vocabulary of a lab's index, in 10^6 bytes."""
    stored = [index.weights, index.postings]
    size = sum(m.data.nbytes + m.indices.nbytes + m.indptr.nbytes for m in stored)
    vocabulary = index.vocabulary
    words = sum(sys.getsizeof(x) for pair in vocabulary.items() for x in pair)
    return (size + sys.getsizeof(vocabulary) + words) / 1e6


# --- The same scores --------------------------------------------------------------


def drawn_queries(corpus: Corpus, n_queries: int) -> list[str]:
    """Phrases of two to six words, each from a document drawn at random."""
    rng = seeding.rng(SEED, "queries", corpus.key)
    queries = []
    while len(queries) < n_queries:
        words = corpus.docs[rng.integers(len(corpus.docs))].split()
        length = int(rng.integers(2, 7))
        start = int(rng.integers(max(1, len(words) - length)))
        query = " ".join(words[start : start + length])
        if any(len(word) > 2 and word.isalpha() for word in query.split()):
            queries.append(query)
    return queries


def same_scores(
    results: Results, corpus: Corpus, engines: dict[str, Engine], n_queries: int
) -> None:
    """The largest difference to the scores of each library."""
    queries = drawn_queries(corpus, n_queries)
    said = []
    for ours, theirs, asked in (
        ("TF-IDF", "scikit-learn", queries),
        ("BM25", "bm25s", queries),
        ("BM25", "rank_bm25", queries[:50]),  # its scores take long
    ):
        if theirs not in engines:
            continue
        one, other = engines[ours], engines[theirs]
        with lucene_idf(other.index) if theirs == "rank_bm25" else nullcontext():
            furthest = max(np.abs(one.scores(q) - other.scores(q)).max() for q in asked)
        name = f"{corpus.key}.largest_difference.{KEYS[theirs]}"
        results.metric(name, furthest, "score")
        said.append(f"{theirs} {furthest:.1e}")
    note = ", once that has the same idf" if "rank_bm25" in engines else ""
    results.text(f"Largest difference to the scores of {', '.join(said)}{note}.")


@contextmanager
def lucene_idf(index) -> Iterator[None]:
    """Give a rank_bm25 index the idf of the lab's formula for a while.

    Its own is ln((N - df + 0.5) / (df + 0.5)), and where that is negative a quarter of
    the mean idf instead.
    """
    own, n_docs = index.idf, index.corpus_size
    df = Counter(word for doc in index.doc_freqs for word in doc)
    index.idf = {w: math.log(1 + (n_docs - n + 0.5) / (n + 0.5)) for w, n in df.items()}
    try:
        yield
    finally:
        index.idf = own


# --- Time of a query --------------------------------------------------------------


def latency(
    results: Results, corpus: Corpus, engines: dict[str, Engine], n_queries: int
) -> dict[str, np.ndarray]:
    """Milliseconds of each query for its five best, by engine.

    The fastest of three counts, because disturbances only add to a time; the engines
    take turns, so that a busy moment of the machine is not one engine's bad luck.
    """
    results.step(f"timing {n_queries} queries: {corpus.name}")
    queries = drawn_queries(corpus, n_queries)
    times: dict[str, np.ndarray] = {}
    for _ in range(3):
        for name, engine in engines.items():
            slow = name == "rank_bm25"  # reads every document for every word
            found = milliseconds(engine, queries[:100] if slow else queries)
            times[name] = np.minimum(times.get(name, np.inf), found)
    p99 = {name: float(np.percentile(ms, 99)) for name, ms in times.items()}
    p50 = {name: float(np.percentile(ms, 50)) for name, ms in times.items()}
    for name, ms in times.items():
        key = f"{corpus.key}.{KEYS[name]}"
        results.metric(f"{key}.p50", p50[name], "ms")
        results.metric(f"{key}.p95", float(np.percentile(ms, 95)), "ms")
        results.metric(f"{key}.p99", p99[name], "ms")
    for rank, found in ((50, p50), (99, p99)):
        ratio = found["scikit-learn"] / found["TF-IDF"]
        results.metric(f"{corpus.key}.sklearn_over_tfidf_p{rank}", ratio, "ratio")
    return times


def milliseconds(engine: Engine, queries: list[str]) -> np.ndarray:
    """Time of each query, after a few that warm up."""
    for query in queries[:5]:
        engine.search(query, 5)
    seconds = np.empty(len(queries))
    for i, query in enumerate(queries):
        start = CLOCK()
        engine.search(query, 5)
        seconds[i] = CLOCK() - start
    return 1000 * seconds


def draw_latency(times: dict[Corpus, dict[str, np.ndarray]]):
    """One histogram of query times per corpus, on a log axis, and the target."""
    fig, axes = plotting.figure(1, len(times), size=(8.0, 3.6))
    for ax, (corpus, found) in zip(np.atleast_1d(axes), times.items(), strict=True):
        every = np.concatenate([*found.values(), [LIMIT_MS]])
        bins = np.geomspace(every.min() * 0.9, every.max() * 1.1, 70)
        for name, ms in found.items():
            if name == "raw counts":
                continue  # the same code as TF-IDF
            label = f"{name}, P99 {np.percentile(ms, 99):.2f} ms"
            ax.hist(ms, bins, histtype="step", color=COLOURS[name], label=label, lw=1.4)
        ax.axvline(LIMIT_MS, color="grey", linestyle="--", label="target for P99, 8 ms")
        ax.set_xscale("log")
        ax.set_xticks((0.1, 1, 10), labels=("0.1", "1", "10"))
        ax.set(xlabel="time of one query (ms, log scale)", ylabel="queries")
        ax.set(
            title=f"{len(corpus.docs):,} {corpus.name}",
            ylim=(0, ax.get_ylim()[1] * 1.6),
        )
        ax.legend(fontsize="x-small", loc="upper right")
    return fig


# --- How good the hits are --------------------------------------------------------


def quality(
    results: Results, corpus: Corpus, engines: dict[str, Engine], n_queries: int
) -> dict[str, list[float]]:
    """Titles as queries; what is relevant has that title."""
    results.step(f"titles as queries: {corpus.name}")
    titles = np.array(corpus.titles)
    vocabulary = engines["TF-IDF"].index.vocabulary
    queries = [t for t in dict.fromkeys(corpus.titles) if has_known_word(t, vocabulary)]
    if len(queries) > n_queries:
        drawn = seeding.rng(SEED, "titles").permutation(len(queries))[:n_queries]
        queries = [queries[i] for i in drawn]
    shares = {}
    for name, engine in engines.items():
        found = [titles[np.asarray(engine.search(q, 10), dtype=int)] for q in queries]
        right = [hits == query for hits, query in zip(found, queries, strict=True)]
        measured = measures(right)
        shares[name] = list(measured.values())
        for key, value in measured.items():
            results.metric(f"{corpus.key}.{KEYS[name]}.{key}", value, "share")
    results.metric(f"{corpus.key}.titles", len(queries), "queries")
    per_title = np.mean([np.sum(titles == query) for query in queries])
    results.text(
        f"Times: {n_queries} phrases of 2 to 6 words (rank_bm25: at most 100), 5 hits, "
        "processor time, the fastest of 3 runs of each. P and MRR: "
        f"{len(queries)} titles as queries, {per_title:.0f} relevant document(s) each."
    )
    return shares


def has_known_word(title: str, vocabulary: dict[str, int]) -> bool:
    """Whether a title has a word of the corpus besides WikiText's <unk> marks."""
    words = "".join(c if c.isalnum() else " " for c in title.lower()).split()
    return any(word in vocabulary and word != "unk" for word in words)


def measures(right: list[np.ndarray]) -> dict[str, float]:
    """Precision of the first 1 and 5 hits, and the mean of 1 / rank of the first right.

    Args:
        right: for each query, which of its at most 10 hits are relevant, best first.
    """
    first = [np.flatnonzero(hits) for hits in right]
    return {
        "p_at_1": float(np.mean([hits[:1].sum() for hits in right])),
        "p_at_5": float(np.mean([hits[:5].sum() / 5 for hits in right])),
        "mrr": float(np.mean([1 / (1 + at[0]) if len(at) else 0.0 for at in first])),
    }


# --- Questions, judged by reading -------------------------------------------------


def questions(results: Results, corpus: Corpus, engines: dict[str, Engine]) -> None:
    """First hits of a few questions, and why the best of two came first."""
    results.step("questions, judged by reading")
    if not set(JUDGED.values()) <= set(corpus.titles):
        return results.remark("The judged questions need all of WikiText-2.")
    rows, right = [], {"TF-IDF": 0, "BM25": 0}
    for question, article in JUDGED.items():
        cells = []
        for name in right:
            hits = engines[name].search(question, 5)
            titles = [corpus.titles[i] for i in hits]
            rank = titles.index(article) + 1 if article in titles else "-"
            right[name] += rank == 1
            cells += [f"`{titles[0]}`", str(rank)]  # a bare <unk> would be HTML
        rows.append((question, *cells))
    results.text("## Eight questions, judged by reading")
    header = ["question", "first hit of TF-IDF", "rank", "first hit of BM25", "rank"]
    results.table(header, rows)
    results.text("«rank»: of the first passage of the article that answers, if in 5.")
    for name, count in right.items():
        results.metric(f"judged.{KEYS[name]}.first", count, "questions")
    fig = draw_explanations(corpus, engines)
    results.figure(fig, "explain.png", "What each word adds to the best hit's score")


def draw_explanations(corpus: Corpus, engines: dict[str, Engine]):
    """Two questions: the share of each word in the score of BM25's best hit."""
    fig, axes = plotting.figure(1, 2, size=(8.0, 3.2))
    for ax, question in zip(axes, EXPLAINED, strict=True):
        best = engines["BM25"].search(question, 1)[0]
        parts = {
            n: engines[n].index.explain(question, best) for n in ("TF-IDF", "BM25")
        }
        terms = [term for term, _ in parts["BM25"]][::-1]
        for shift, (name, found) in zip((0.2, -0.2), parts.items(), strict=True):
            total, by_term = sum(value for _, value in found), dict(found)
            shares = [100 * by_term.get(term, 0) / total for term in terms]
            places = np.arange(len(terms)) + shift
            label = f"{name}, score {total:.2f}"
            ax.barh(places, shares, 0.38, color=COLOURS[name], label=label)
        ax.set_yticks(range(len(terms)), labels=terms)
        ax.set_xlim(0, 1.6 * ax.get_xlim()[1])  # room for the legend
        ax.set(xlabel="share of the score (%)", title=f"“{question}”")
        ax.title.set_fontsize("small")
        ax.legend(
            fontsize="small", title=f"hit: {corpus.titles[best]}", loc="lower right"
        )
    return fig


# --- The formulas -----------------------------------------------------------------


def formulas(lab, results: Results, corpus: Corpus, index) -> None:
    """The four idf curves over the corpus's words, and how BM25 saturates."""
    results.step("curves of idf and BM25")
    fig = draw_idf(lab, corpus, index)
    results.figure(fig, "idf.png", "idf against document frequency, four formulas")
    fig = draw_saturation(lab)
    results.figure(fig, "bm25.png", "BM25's weight against count and length")


def draw_idf(lab, corpus: Corpus, index):
    """idf over df, with a few words of the corpus at their place."""
    n_docs = index.weights.shape[0]
    df = lab.document_frequency(index.weights)
    fig, ax = plotting.figure(size=(7.0, 4.0))
    grid = np.unique(np.geomspace(1, n_docs, 300).round().astype(int))
    for kind, style in zip(
        ("smooth", "sklearn", "textbook", "bm25"), "-:-:", strict=True
    ):
        label = "sklearn (not smooth)" if kind == "sklearn" else kind
        ax.plot(grid, lab.idf(grid, n_docs, kind), style, label=label, linewidth=2)
    words = ("lobster", "hurricane", "film", "class", "was", "the", "unk")
    for word in (w for w in words if w in index.vocabulary):
        at = int(df[index.vocabulary[word]])
        value = float(lab.idf(np.array([at]), n_docs)[0])
        ax.plot(at, value, "ko", markersize=4)
        place = (7, -13) if word == "unk" else (4, 5)  # "unk" is too near "the"
        ax.annotate(word, (at, value), xytext=place, textcoords="offset points")
    ax.set(xscale="log", title=f"Rare words weigh more: {n_docs:,} {corpus.name}")
    ax.set(xlabel="documents that hold the word (log scale)", ylabel="idf (nats)")
    ax.legend()
    return fig


def draw_saturation(lab):
    """BM25's weight over the count for a few k1, and over the length for a few b."""
    fig, (left, right) = plotting.figure(1, 2, size=(8.0, 3.6))
    counts, lengths = np.arange(0, 21), np.arange(10, 201, 5)
    by_count = [padded(f, 100) for f in counts]
    by_length = [padded(3, n) for n in lengths]
    for k1 in (0.0, 0.5, 1.2, 3.0):
        curve = cat_weights(lab, by_count, k1=k1, b=B)
        left.plot(counts, curve, label=f"k1 = {k1:g}")
    for b in (0.0, 0.4, 0.75, 1.0):
        curve = cat_weights(lab, by_length, k1=K1, b=b)
        right.plot(lengths / lengths.mean(), curve, label=f"b = {b:g}")
    left.set(xlabel="count of the word in the document", title="Counts saturate")
    left.set_xticks(range(0, 21, 5))
    right.set(xlabel="length of the document / mean length")
    right.set(title="Length is damped (k1 = 1.2, count 3)")
    for ax, top in ((left, 4.5), (right, 3.0)):
        ax.set(ylabel="weight / idf", ylim=(0, top))
        ax.legend(ncols=2, loc="upper left")
    return fig


def padded(count: int, length: int) -> str:
    """A document of `length` words, `count` of them "cat"."""
    return " ".join(["cat"] * count + ["pad"] * (length - count))


def cat_weights(lab, docs: list[str], k1: float, b: float) -> np.ndarray:
    """The weight of "cat" in each document, by the lab's index, over its idf."""
    index = lab.BM25Index(k1=k1, b=b).fit(docs)
    df = sum("cat" in doc for doc in docs)
    idf = math.log(1 + (len(docs) - df + 0.5) / (df + 0.5))
    return index.weights.toarray()[:, index.vocabulary["cat"]] / idf
