"""The marking scheme of lab 1.2: what each task must do, and how we know.

Oracles: scikit-learn for tasks 1, 2, 3 and 5, a full Python sort for task 4, BM25 as a
double loop over the formula for task 6, both again for the command of task 7. Speed is
measured in the experiment and never graded.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import re
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csc_matrix, csr_matrix
from sklearn.feature_extraction.text import (
    CountVectorizer,
    TfidfTransformer,
    TfidfVectorizer,
)
from sklearn.metrics.pairwise import cosine_similarity

from common import datasets
from common.grading import check, needs_data, task

MEAN_TEXTS = [
    "Don't panic: 42 is É. A_b",
    "",
    "x",
    "É été ÉTÉ straße STRASSE",
    "state-of-the-art, e.g. x86_64 v1.2",
    "日本 日本 語 Привет мир",
    "tab\tnew\nline\u00a0no-break",
    "... --- !?",
]


def passages(count: int, every: int = 7) -> list[str]:
    """Real English passages, and an empty one among them."""
    texts = [text for _, text in datasets.python_docs_passages()]
    return [*texts[: every * count : every][: count - 1], ""]


def drawn_docs(rng, count: int) -> list[str]:
    """Documents of very different lengths over a few words of very different rarity."""
    words = np.array([f"w{i}" for i in range(23)])
    chances = 1 / np.arange(1, 24)
    sizes = rng.integers(0, 40, size=count)
    return [
        " ".join(rng.choice(words, size=size, p=chances / chances.sum()))
        for size in sizes
    ]


# --- Task 1 ----------------------------------------------------------------------


@task(1)
def test_terms_of_one_line(lab):
    expected = ["don", "panic", "42", "is", "été", "a_b"]
    check.equal(lab.tokenize("Don't panic: 42 is Été. I A_b"), expected)
    check.equal(lab.tokenize(""), [])


@task(1)
def test_counts_of_three_documents(lab):
    docs = ["the cat saw a cat", "", "Zoo: the dog"]
    vocabulary, counts = lab.count_matrix(docs)
    check.equal(vocabulary, {"cat": 0, "dog": 1, "saw": 2, "the": 3, "zoo": 4})
    dense = [[2, 0, 1, 1, 0], [0, 0, 0, 0, 0], [0, 1, 0, 1, 1]]
    check.equal(counts, csr_matrix(np.array(dense, dtype=np.float64)), name="counts")


@task(1)
def test_counts_under_a_given_vocabulary(lab):
    given = {"zoo": 0, "cat": 1, "owl": 2}
    vocabulary, counts = lab.count_matrix(["cat cat dog", "the zoo"], given)
    check.equal(vocabulary, {"zoo": 0, "cat": 1, "owl": 2})
    dense = np.array([[0, 2, 0], [1, 0, 0]], dtype=np.float64)
    check.equal(counts, csr_matrix(dense), name="counts")


@task(1)
def test_terms_of_any_text(lab):
    rule = CountVectorizer().build_analyzer()
    for text in MEAN_TEXTS:
        check.equal(lab.tokenize(text), rule(text))


@task(1)
@given(st.text(max_size=40))
def test_terms_of_drawn_text(lab, text):
    check.equal(lab.tokenize(text), CountVectorizer().build_analyzer()(text))


@task(1)
def test_counts_are_those_of_scikit_learn(lab):
    docs = [*MEAN_TEXTS, *passages(120)]
    vocabulary, counts = lab.count_matrix(docs)
    theirs = CountVectorizer(dtype=np.float64)
    expected = theirs.fit_transform(docs)
    check.equal(vocabulary, {term: int(j) for term, j in theirs.vocabulary_.items()})
    check.equal(counts, expected, name="counts")


@task(1)
def test_rows_are_sorted_without_zeros_or_duplicates(lab, rng):
    docs = drawn_docs(rng, 17)
    _, counts = lab.count_matrix(docs)
    expected = CountVectorizer(dtype=np.float64).fit_transform(docs)
    expected.sort_indices()
    check.equal(counts, expected, name="counts")
    check.equal(counts.indptr.tolist(), expected.indptr.tolist(), name="row ends")
    check.equal(counts.indices.tolist(), expected.indices.tolist(), name="columns")


@task(1)
def test_documents_that_are_one_string(lab):
    check.raises(TypeError, lambda: lab.count_matrix("the cat"), match="docs")
    vocabulary, counts = lab.count_matrix(["the cat"])
    check.equal(vocabulary, {"cat": 0, "the": 1})
    check.equal(counts, csr_matrix(np.ones((1, 2))), name="counts")


# --- Task 2 ----------------------------------------------------------------------

FOUR = np.array([[2, 1, 0], [3, 0, 1], [1, 0, 0], [1, 1, 0]], dtype=np.float64)
BY_HAND = {  # df 4, 2, 1 of 4 documents
    "textbook": [0.0, 0.693147181, 1.386294361],  # ln 1, ln 2, ln 4
    "sklearn": [1.0, 1.693147181, 2.386294361],
    "smooth": [1.0, 1.510825624, 1.916290732],  # ln 5/5, ln 5/3, ln 5/2; plus 1
    "bm25": [0.105360516, 0.693147181, 1.203972804],  # ln 10/9, ln 2, ln 10/3
}


@task(2)
def test_document_frequency_of_four_documents(lab):
    check.equal(lab.document_frequency(csr_matrix(FOUR)), np.array([4, 2, 1]))


@task(2)
def test_idf_of_three_terms(lab):
    for kind, expected in BY_HAND.items():
        got = lab.idf(np.array([4, 2, 1]), 4, kind)
        check.close(got, np.array(expected), rtol=1e-8, name=kind)
    check.close(lab.idf([4, 2, 1], 4), np.array(BY_HAND["smooth"]), name="the default")


@task(2)
def test_document_frequency_of_drawn_counts(lab, rng):
    dense = rng.poisson(0.4, size=(29, 13)) * rng.integers(1, 9, size=13)
    got = lab.document_frequency(csr_matrix(dense.astype(np.float64)))
    check.equal(got, np.count_nonzero(dense, axis=0).astype(np.int64))


@task(2)
def test_idf_of_scikit_learn(lab, rng):
    n_docs = 57
    df = rng.permutation(np.arange(1, n_docs + 1))[:31]
    dense = (np.arange(n_docs)[:, None] < df).astype(np.float64)  # df ones a column
    for kind, smooth in (("smooth", True), ("sklearn", False)):
        got = lab.idf(df, n_docs, kind)
        expected = TfidfTransformer(smooth_idf=smooth).fit(dense).idf_
        check.close(got, expected, rtol=1e-10, name=kind)


@task(2)
def test_idf_of_every_document_frequency(lab):
    df = np.arange(1, 42)
    got = lab.idf(df, 41, "textbook")
    check.close(got, -np.log(df / 41), rtol=1e-10, name="textbook")
    # 1 + (N - df + 0.5) / (df + 0.5) is (N + 1) / (df + 0.5)
    df = np.arange(0, 42)
    expected = np.array([math.log(42 / (n + 0.5)) for n in range(42)])
    check.close(lab.idf(df, 41, "bm25"), expected, rtol=1e-10, name="bm25")


@task(2)
def test_terms_that_no_document_holds(lab):
    none = np.array([3, 0])
    for kind in ("textbook", "sklearn"):
        check.raises(
            ValueError, lambda kind=kind: lab.idf(none, 5, kind), match="df", name=kind
        )
    got = lab.idf(none, 5, "smooth")
    check.close(got, np.array([math.log(6 / 4) + 1, math.log(6) + 1]), name="smooth")


@task(2)
def test_arguments_that_make_no_sense(lab):
    check.raises(ValueError, lambda: lab.idf(np.array([1]), 2, "log"), match="kind")
    check.raises(ValueError, lambda: lab.idf(np.array([3]), 2), match="df")
    check.raises(ValueError, lambda: lab.idf(np.array([-1]), 2), match="df")
    check.close(lab.idf(np.array([2]), 2), np.array([1.0]))


# --- Task 3 ----------------------------------------------------------------------


@task(3)
def test_rows_of_length_one(lab):
    M = csr_matrix(np.array([[3.0, 4.0, 1.0], [0.0, 0.0, 7.0], [5.0, 0.0, 2.0]]))
    M.data[[2, 3]] = 0  # stored zeros, as idf 0 leaves them; row 1 has nothing else
    before = M.copy()
    got = lab.l2_normalize_rows(M)
    root = math.sqrt(29)
    rows = [[0.6, 0.8, 0], [0, 0, 0], [5 / root, 0, 2 / root]]
    check.close(got, csr_matrix(np.array(rows)))
    check.equal(M, before, name="M after the call")


@task(3)
def test_rows_of_whole_numbers(lab):
    got = lab.l2_normalize_rows(csr_matrix(np.array([[0, 8, 6, 0], [0, 0, 0, 0]])))
    check.close(got, csr_matrix(np.array([[0, 0.8, 0.6, 0], [0, 0, 0, 0]])))


@task(3)
def test_weights_of_two_documents(lab):
    docs = ["cat cat dog", "dog"]
    index = lab.TfidfIndex()
    check.equal(index.fit(docs), index, name="fit returns the index")
    check.equal(index.vocabulary, {"cat": 0, "dog": 1})
    check.close(index.idf, np.array([1.405465108, 1.0]), name="idf")  # ln(3 / 2) + 1
    # 2 * 1.405465 and 1, divided by their length 2.983509
    expected = np.array([[0.942156, 0.335176], [0.0, 1.0]])
    check.close(index.weights, csr_matrix(expected), atol=1e-6, name="weights")
    check.close(index.postings, csc_matrix(expected), atol=1e-6, name="postings")


@task(3)
def test_sublinear_weights_of_two_documents(lab):
    index = lab.TfidfIndex(sublinear_tf=True).fit(["cat cat dog", "dog"])
    # (1 + ln 2) * 1.405465 = 2.379659 and 1, divided by their length 2.581236
    expected = np.array([[0.921907, 0.387411], [0.0, 1.0]])
    check.close(index.weights, csr_matrix(expected), atol=1e-6, name="weights")


@task(3)
def test_document_of_weightless_words(lab):
    # with the textbook idf a word of every document weighs ln(2 / 2) = 0
    index = lab.TfidfIndex(idf_kind="textbook").fit(["cat dog", "dog"])
    check.close(index.weights, csr_matrix(np.array([[1.0, 0.0], [0.0, 0.0]])))


@task(3)
def test_weights_are_those_of_scikit_learn(lab):
    docs = passages(150)
    for sublinear, smooth in ((False, True), (True, True), (False, False)):
        kind = "smooth" if smooth else "sklearn"
        index = lab.TfidfIndex(sublinear_tf=sublinear, idf_kind=kind).fit(docs)
        theirs = TfidfVectorizer(sublinear_tf=sublinear, smooth_idf=smooth)
        expected = theirs.fit_transform(docs)
        check.close(index.weights, expected, name=f"sublinear {sublinear}, {kind}")
        check.close(index.postings, expected.tocsc(), name="postings")


@task(3)
def test_transform_uses_what_fit_has_learned(lab):
    docs, unseen = passages(90), ["the import statement", "zyzzyva", "a b", "the the"]
    for sublinear, smooth in ((False, True), (True, False)):
        kind = "smooth" if smooth else "sklearn"
        index = lab.TfidfIndex(sublinear_tf=sublinear, idf_kind=kind).fit(docs)
        got = index.transform(unseen)
        theirs = TfidfVectorizer(sublinear_tf=sublinear, smooth_idf=smooth).fit(docs)
        check.close(got, theirs.transform(unseen), name=kind)
        check.close(index.transform(docs), theirs.transform(docs), name=f"{kind}, docs")


@task(3)
@needs_data("wikitext-2")
def test_weights_of_2000_wikipedia_passages(lab):
    docs = [text for _, text in datasets.wikitext2_passages()[:2000]]
    for sublinear in (False, True):
        for smooth in (False, True):
            kind = "smooth" if smooth else "sklearn"
            index = lab.TfidfIndex(sublinear_tf=sublinear, idf_kind=kind).fit(docs)
            theirs = TfidfVectorizer(sublinear_tf=sublinear, smooth_idf=smooth)
            expected = theirs.fit_transform(docs)
            check.equal(index.weights.shape, expected.shape, name="shape of weights")
            furthest = float(abs(index.weights - expected).max())
            check.close(furthest, 0.0, atol=1e-6, name="largest difference")


@task(3)
def test_before_and_without_documents(lab):
    check.raises(RuntimeError, lambda: lab.TfidfIndex().transform(["cat"]))
    check.raises(ValueError, lambda: lab.TfidfIndex().fit([]), match="docs")
    index = lab.TfidfIndex().fit(["cat"])
    check.close(index.transform(["cat"]), csr_matrix(np.ones((1, 1))))


# --- Task 4 ----------------------------------------------------------------------


def best(scores: list[float], k: int) -> np.ndarray:
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    return np.array(order[:k], dtype=np.int64)


@task(4)
def test_best_six_of_nine(lab):
    scores = np.array([0.2, 0.9, 0.2, 0.5, 0.9, 0.1, 0.2, 0.7, 0.3])
    check.equal(lab.top_k(scores, 6), np.array([1, 4, 7, 3, 8, 0]))


@task(4)
def test_more_than_there_are(lab):
    check.equal(lab.top_k([3.0, -1.0, 3.0], 7), np.array([0, 2, 1]))
    check.equal(lab.top_k(np.array([]), 2), np.array([], dtype=np.int64))


@task(4)
@given(st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=30), st.data())
def test_ties_go_to_the_lower_id(lab, scores, data):
    k = data.draw(st.integers(1, len(scores) + 3))
    check.equal(lab.top_k(np.array(scores), k), best(scores, k))


@task(4)
def test_many_scores_without_ties(lab, rng):
    scores = rng.permutation(701) / 8 - 40
    for k in (350, 3):
        check.equal(lab.top_k(scores, k), best(scores.tolist(), k), name=f"k = {k}")


@task(4)
def test_many_scores_with_many_ties(lab, rng):
    scores = np.round(rng.normal(size=701), 1)
    for k in (1, 2, 40, 350, 701):
        check.equal(lab.top_k(scores, k), best(scores.tolist(), k), name=f"k = {k}")


@task(4)
def test_k_below_one(lab):
    scores = np.array([1.0, 2.0])
    check.raises(ValueError, lambda: lab.top_k(scores, 0), match="k")
    check.raises(ValueError, lambda: lab.top_k(scores, -1), match="k")
    check.equal(lab.top_k(scores, 1), np.array([1]))


# --- Task 5 ----------------------------------------------------------------------


def by_hand(lab):
    """Weights that no formula has made, over four documents and three terms."""

    class Given(lab.SearchIndex):
        def query_weights(self, query):
            found = Counter(query.split())
            row = [found["ant"] * 1.0, found["bee"] * 2.0, found["cow"] * 3.0]
            return csr_matrix(np.array([row]))

    weights = [[0.5, 0.25, 0], [0, 0, 0], [0, 0.75, 0], [0, 0.125, 0.125]]
    index = Given()
    index.store({"ant": 0, "bee": 1, "cow": 2}, csr_matrix(np.array(weights)))
    return index


@task(5)
def test_scores_of_four_documents(lab):
    index = by_hand(lab)
    check.close(index.scores("ant bee"), np.array([1.0, 0.0, 1.5, 0.25]))
    check.close(index.scores("cow"), np.array([0.0, 0.0, 0.0, 0.375]))
    check.close(index.scores("elk"), np.zeros(4))


@task(5)
def test_hits_of_four_documents(lab):
    index = by_hand(lab)
    hits = [(hit.doc_id, hit.score) for hit in index.search("ant bee")]
    check.close(hits, [(2, 1.5), (0, 1.0), (3, 0.25)])
    check.close(index.search("ant bee", top=1), [lab.Hit(2, 1.5)])
    check.equal(index.search("elk"), [])


@task(5)
def test_explanation_of_one_score(lab):
    index = by_hand(lab)
    check.close(index.explain("ant bee cow", 3), [("cow", 0.375), ("bee", 0.25)])
    check.close(index.explain("bee ant", 0), [("ant", 0.5), ("bee", 0.5)], name="tie")
    check.equal(index.explain("ant bee", 1), [], name="nothing shared")


@task(5)
def test_query_is_weighed_with_the_idf_of_the_corpus(lab):
    # dog is in both documents: idf 1; cat in one: ln(3 / 2) + 1 = 1.405465
    index = lab.TfidfIndex().fit(["cat dog", "dog"])
    got = index.query_weights("dog dog cat emu")
    # 1.405465 and 2, divided by their length 2.444449
    check.close(got, csr_matrix(np.array([[0.574962, 0.818180]])), atol=1e-6)


@task(5)
def test_scores_are_cosines(lab):
    docs = passages(140)
    index = lab.TfidfIndex().fit(docs)
    theirs = TfidfVectorizer().fit(docs)
    for query in ("the class statement", "import import module", "zyzzyva", docs[30]):
        got = index.scores(query)
        expected = cosine_similarity(theirs.transform([query]), theirs.transform(docs))
        check.close(got, expected[0], name=f"scores for {query[:20]!r}")


@task(5)
def test_hits_come_in_the_order_of_their_scores(lab):
    docs = passages(140)
    index = lab.TfidfIndex(sublinear_tf=True).fit(docs)
    theirs = TfidfVectorizer(sublinear_tf=True).fit(docs)
    for query, top in (("the value of an expression", 9), ("loop", 200)):
        hits = index.search(query, top)
        cosines = cosine_similarity(theirs.transform([query]), theirs.transform(docs))
        scores = np.round(cosines[0], 9).tolist()  # equal texts tie up to rounding
        expected = [int(i) for i in best(scores, top) if scores[i] > 0]
        check.equal([hit.doc_id for hit in hits], expected, name="doc ids")
        check.close([hit.score for hit in hits], [scores[i] for i in expected])


@task(5)
def test_passage_finds_itself(lab):
    docs = passages(140)
    index = lab.TfidfIndex().fit(docs)
    for doc_id in range(3, 60, 8):
        first = docs.index(docs[doc_id])  # a passage may stand in the corpus twice
        hits = index.search(docs[doc_id], top=1)
        check.close(hits, [lab.Hit(first, 1.0)], name=f"passage {doc_id}")


@task(5)
def test_contributions_sum_to_the_score(lab):
    docs = passages(140)
    query = "the name of the module in an import statement"
    index, theirs = lab.TfidfIndex().fit(docs), TfidfVectorizer().fit(docs)
    terms = theirs.get_feature_names_out()
    asked = theirs.transform([query]).toarray()[0]
    for doc_id in (5, 70, 120):
        got = index.explain(query, doc_id)
        products = asked * theirs.transform([docs[doc_id]]).toarray()[0]
        parts = [(terms[j], products[j]) for j in np.flatnonzero(products)]
        check.close(dict(got), {str(term): float(part) for term, part in parts})
        score = float(index.scores(query)[doc_id])
        check.close(
            sum((part for _, part in got), 0.0), score, rtol=0, atol=1e-12, name="sum"
        )


@task(5)
def test_search_before_fit_and_outside_the_documents(lab):
    for call in (lab.TfidfIndex().scores, lab.TfidfIndex().search):
        check.raises(RuntimeError, lambda call=call: call("cat"))
    check.raises(RuntimeError, lambda: lab.TfidfIndex().explain("cat", 0))
    index = by_hand(lab)
    check.raises(ValueError, lambda: index.search("ant", top=0), match="top")
    for doc_id in (-1, 4):
        check.raises(
            ValueError, lambda i=doc_id: index.explain("ant", i), match="doc_id"
        )
    check.close(index.explain("ant", 0), [("ant", 0.5)])


TOPICS = [
    "Homarus gammarus",
    "Meridian , Mississippi",
    "Tim Richmond",
    "Scientology in Germany",
    "Japanese battleship Asahi",
    "Military history of Australia",
    "Ward Churchill",
    "Du Fu",
    "Dvorak technique",
    "Constant k filter",
    "Free Derry",
    "Commonwealth War Graves Commission",
]


@task(5)
@needs_data("wikitext-2")
def test_twelve_topics_find_their_article(lab):
    titles, docs = zip(*datasets.wikitext2_passages(), strict=True)
    index = lab.TfidfIndex().fit(docs)
    for topic in TOPICS:
        found = {titles[hit.doc_id] for hit in index.search(topic, top=5)}
        check.that(topic in found, f"a passage of {topic}", sorted(found), name=topic)


# --- Task 6 ----------------------------------------------------------------------


def bm25_weight(term: str, doc: list[str], docs: list[list[str]], k1, b) -> float:
    """The formula of the docstring, for one term and one document."""
    n_docs, df = len(docs), sum(term in other for other in docs)
    rarity = math.log(1 + (n_docs - df + 0.5) / (df + 0.5))
    avgdl = sum(map(len, docs)) / n_docs
    f = doc.count(term)
    return rarity * f * (k1 + 1) / (f + k1 * (1 - b + b * len(doc) / avgdl))


def bm25_matrix(docs: list[str], k1: float = 1.2, b: float = 0.75) -> csr_matrix:
    """Every weight by brute force, columns in the order of the sorted terms."""
    split = [re.findall(r"\w\w+", doc.lower()) for doc in docs]
    terms = sorted({term for doc in split for term in doc})
    column = {term: j for j, term in enumerate(terms)}
    weights = np.zeros((len(docs), len(terms)))
    for i, doc in enumerate(split):
        for term in set(doc):
            weights[i, column[term]] = bm25_weight(term, doc, split, k1, b)
    return csr_matrix(weights)


def padded(count: int, length: int, word: str = "cat") -> str:
    """A document of `length` words, `count` of them the same."""
    return " ".join([word] * count + ["pad"] * (length - count))


@task(6)
def test_weights_of_three_documents(lab):
    docs = ["cat cat dog", "dog", "dog dog dog bee owl"]  # 3, 1 and 5 words; avgdl 3
    index = lab.BM25Index()
    check.equal(index.fit(docs), index, name="fit returns the index")
    check.equal(index.vocabulary, {"bee": 0, "cat": 1, "dog": 2, "owl": 3})
    # k1 * (1 - b + b * dl / avgdl) is 1.2, 0.6, 1.8; idf is ln 8/3 once, ln 8/7 for dog
    rare, common = 0.980829253, 0.133531393
    once, thrice = rare * 2.2 / 2.8, common * 6.6 / 4.8
    rows = [
        [0, rare * 4.4 / 3.2, common * 2.2 / 2.2, 0],
        [0, 0, common * 2.2 / 1.6, 0],
        [once, 0, thrice, once],
    ]
    check.close(index.weights, csr_matrix(np.array(rows)), rtol=1e-7, name="weights")
    check.close(index.postings, csc_matrix(np.array(rows)), rtol=1e-7, name="postings")


@task(6)
def test_query_counts_as_it_is(lab):
    index = lab.BM25Index().fit(["cat dog", "dog emu"])
    got = index.query_weights("Dog cat dog zebu")
    check.equal(got, csr_matrix(np.array([[1.0, 2.0, 0.0]])))


@task(6)
def test_weights_by_brute_force(lab, rng):
    docs = drawn_docs(rng, 41)
    for k1, b in ((1.2, 0.75), (0.0, 0.75), (2.5, 0.0), (0.4, 1.0)):
        index = lab.BM25Index(k1=k1, b=b).fit(docs)
        expected = bm25_matrix(docs, k1, b)
        check.close(index.weights, expected, rtol=1e-10, name=f"k1 = {k1}, b = {b}")


@task(6)
def test_weights_of_200_passages_by_brute_force(lab):
    docs = passages(200)
    expected = bm25_matrix(docs)
    check.close(lab.BM25Index().fit(docs).weights, expected, rtol=1e-10)


@task(6)
def test_counts_saturate(lab):
    docs = [padded(f, 50) for f in range(41)]
    for k1, b in ((1.2, 0.75), (3.0, 0.3)):
        index = lab.BM25Index(k1=k1, b=b).fit(docs)
        got = index.weights.toarray()[:, 0]  # of "cat", by its count
        rises, limit = np.diff(got), math.log(1 + 1.5 / 40.5) * (k1 + 1)
        check.that(np.all(rises > 0), "weights that rise with the count", got)
        check.that(np.all(np.diff(rises) < 0), "rises that get smaller", rises)
        check.that(np.all(got < limit), f"weights below {limit:.4f}", got)
        check.close(float(got[20]), limit * 20 / (20 + k1), name="count 20")


@task(6)
def test_what_b_and_k1_switch_off(lab):
    docs = [padded(2, 5), padded(2, 30), padded(5, 9), "owl", padded(0, 3)]
    got = lab.BM25Index(b=0.0).fit(docs).weights.toarray()[:, 0]
    rarity = math.log(1 + 2.5 / 3.5)
    check.close(got[:2], np.full(2, rarity * 4.4 / 3.2), name="b = 0 ignores length")
    got = lab.BM25Index(k1=0.0).fit(docs).weights.toarray()[:, 0]
    expected = np.array([rarity, rarity, rarity, 0, 0])
    check.close(got, expected, name="k1 = 0 leaves the idf")
    got = lab.BM25Index().fit(docs).weights.toarray()[:, 0]
    check.that(got[0] > got[1], "the shorter of two equal counts first", got)


@task(6)
def test_empty_documents_and_bad_settings(lab):
    got = lab.BM25Index().fit(["", "a"]).weights
    check.equal(got, csr_matrix(np.zeros((2, 0))), name="no words at all")
    got = lab.BM25Index().fit(["", "owl"]).weights  # avgdl 0.5, so dl / avgdl is 2
    weight = math.log(2) * 2.2 / (1 + 1.2 * 1.75)
    check.close(got, csr_matrix(np.array([[0.0], [weight]])), name="one word")
    for k1 in (-0.1, math.nan):
        check.raises(ValueError, lambda k1=k1: lab.BM25Index(k1=k1), match="k1")
    for b in (-0.1, 1.1):
        check.raises(ValueError, lambda b=b: lab.BM25Index(b=b), match="b")
    check.raises(ValueError, lambda: lab.BM25Index().fit([]), match="docs")
    check.raises(RuntimeError, lambda: lab.BM25Index().query_weights("cat"))


# --- Task 7 ----------------------------------------------------------------------

LINES = [
    "The owl hunts at night.",
    "Night trains run from the north station.",
    "An owl sleeps while the owl moth flies.",
    "Nothing to see here.",
    "The station owl sits above the north door.",
]


class Command:
    """What one call of the command printed and returned."""

    def __init__(self, lab, *arguments: str):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                self.status = lab.main(list(arguments))
            except SystemExit as end:  # argparse leaves this way
                self.status = end.code or 0
            except (OSError, ValueError) as error:
                self.status = f"a traceback ({type(error).__name__})"
        self.out, self.err = out.getvalue(), err.getvalue()

    def hits(self) -> list[tuple[int, str, str]]:
        """Rank, score and title of each line that has them."""
        rule = re.compile(r"\s*(\d+)\W+(\d+\.\d+)\s+(\S.*?)\s*")
        found = [rule.fullmatch(line) for line in self.out.splitlines()]
        return [(int(m[1]), m[2], m[3]) for m in found if m]


@contextlib.contextmanager
def files(**texts: str | bytes):
    """Work in a folder of these files, lines_txt="..." for lines.txt; it goes away."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for name, text in texts.items():
            data = text if isinstance(text, bytes) else text.encode()
            Path(name.replace("_", ".")).write_bytes(data)
        yield


def tfidf_parts(query: str) -> np.ndarray:
    """(line, term): the products whose sums are the cosines."""
    theirs = TfidfVectorizer().fit(LINES)
    return theirs.transform([query]).toarray() * theirs.transform(LINES).toarray()


def bm25_scores(query: str) -> list[float]:
    split = [re.findall(r"\w\w+", line.lower()) for line in LINES]
    words = query.split()
    return [sum(bm25_weight(w, d, split, 1.2, 0.75) for w in words) for d in split]


@task(7)
def test_text_for_people(lab):
    with files(lines_txt="\n".join(LINES) + "\n"):
        ran = Command(lab, "station owl", "--docs", "lines.txt")
    check.equal(ran.status, 0, name="exit status")
    scores = tfidf_parts("station owl").sum(axis=1)
    order = [int(i) for i in best(scores.tolist(), 5) if scores[i] > 0]
    expected = [
        (rank, f"{scores[i]:.4f}", f"lines.txt:{i + 1}")
        for rank, i in enumerate(order, 1)
    ]
    check.equal(ran.hits(), expected, name="rank, score, title")
    shown = [line for line in LINES if line in ran.out]
    check.equal(shown, [LINES[i] for i in sorted(order)], name="texts")


@task(7)
def test_json_for_programs(lab):
    words = ["night", "owl", "north"]
    for method, scores in (
        ("tfidf", tfidf_parts("night owl north").sum(axis=1).tolist()),
        ("bm25", bm25_scores("night owl north")),
    ):
        with files(lines_txt="\n".join(LINES)):
            options = [
                "--docs",
                "lines.txt",
                "--method",
                method,
                "--top",
                "3",
                "--json",
            ]
            ran = Command(lab, *words, *options)
        check.equal(ran.status, 0, name="exit status")
        expected = [
            {
                "rank": rank,
                "doc_id": int(i),
                "score": scores[i],
                "title": f"lines.txt:{i + 1}",
                "text": LINES[i],
            }
            for rank, i in enumerate(best(scores, 3), 1)
        ]
        check.close(read_json(ran.out), expected, name=method)


def read_json(text: str):
    try:
        return json.loads(text)
    except ValueError:
        return f"no JSON: {text[:60]}"


@task(7)
def test_reasons(lab):
    with files(lines_txt="\n".join(LINES)):
        asked = ["station owl", "--docs", "lines.txt", "--top", "1", "--explain"]
        ran, as_json = Command(lab, *asked), Command(lab, *asked, "--json")
    parts = tfidf_parts("station owl")[4]  # line 5 has both words, station the rarer
    owl, station = sorted(float(part) for part in parts if part)
    line = next(
        (line for line in ran.out.splitlines() if " + " in line), "no such line"
    )
    check.equal(
        line.strip(), f"station {station:.4f} + owl {owl:.4f}", name="--explain"
    )
    hits = read_json(as_json.out)
    check.equal([hit["rank"] for hit in hits], [1], name="ranks")
    expected = [["station", station], ["owl", owl]]
    check.close(hits[0].get("explain"), expected, name="--explain --json")


@task(7)
def test_nothing_found(lab):
    with files(lines_txt="\n".join(LINES)):
        ran = Command(lab, "staton", "--docs", "lines.txt")
        as_json = Command(lab, "zebra", "--docs", "lines.txt", "--json")
    check.equal((ran.status, as_json.status), (1, 1), name="exit status")
    check.equal(ran.out, "", name="stdout")
    check.equal(len(ran.err.splitlines()), 1, name="lines on stderr")
    check.that("station" in ran.err, "the near word, station", ran.err)
    check.equal(read_json(as_json.out), [], name="--json")


@task(7)
def test_documents_that_cannot_be_read(lab):
    with files(empty_txt="\n\n", picture_txt=b"\x89PNG\xff\xfe"):
        for path in ("missing.txt", "empty.txt", "picture.txt"):
            ran = Command(lab, "owl", "--docs", path)
            check.equal(ran.status, 2, name="exit status")
            check.equal(ran.out, "", name="stdout")
            check.equal(len(ran.err.splitlines()), 1, name="lines on stderr")


@task(7)
def test_folder_of_texts(lab):
    owls, trains = "Two owls. One owl sleeps.", "A night train\nand an owl"
    with files(owls_md=owls, trains_txt=trains, owl_py="owl = 1"):
        ran = Command(lab, "owl", "night", "--docs", ".")
    check.equal(ran.status, 0, name="exit status")
    titles = [title for _, _, title in ran.hits()]
    check.equal(titles, ["trains.txt", "owls.md"], name="titles")


@task(7)
def test_bad_arguments_and_help(lab):
    with files(lines_txt="\n".join(LINES)):
        for wrong in (["--top", "0"], ["--top", "x"], ["--method", "lsa"], ["--no"]):
            ran = Command(lab, "owl", "--docs", "lines.txt", *wrong)
            check.equal(ran.status, 2, name=f"exit status of {' '.join(wrong)}")
            check.equal(ran.out, "", name="stdout")
        check.equal(Command(lab).status, 2, name="exit status without a query")
        check.equal(
            Command(lab, "owl", "--docs", "lines.txt").status, 0, name="exit status"
        )
    ran = Command(lab, "--help")
    check.equal(ran.status, 0, name="exit status of --help")
    for word in ("--top", "--method", "--docs", "--explain", "--json", "exit status"):
        check.that(word in ran.out, f"help that mentions {word}", ran.out[-60:])
