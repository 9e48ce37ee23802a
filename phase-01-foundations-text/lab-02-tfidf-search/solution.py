"""TF-IDF and BM25 search: which passages answer a query, in which order, and why.

You build an inverted index over thousands of passages, two ways to weigh a word, and
the command `python search.py "query"`. No stemming, no stop words, no phrases.

1 count_matrix (2)          2 idf (1)              3 TfidfIndex weights (2)
4 top_k (1)                 5 scores, search, explain (1)
6 BM25Index (2)             7 main: the command line (1)
"""

from __future__ import annotations

import argparse
import difflib
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
from scipy.sparse import csr_matrix

from common import datasets

IdfKind = Literal["textbook", "sklearn", "smooth", "bm25"]
IDF_KINDS = ("textbook", "sklearn", "smooth", "bm25")


# --- Task 1 (2 points): tokenize, count_matrix -----------------------------------


def tokenize(text: str) -> list[str]:
    """The terms of a text: lower case, words of two or more word characters.

    A word character is what `\\w` matches: letters of any script, digits, underscore.
    "Don't panic: 42 is É." gives ["don", "panic", "42", "is"]. It is scikit-learn's
    default rule.
    """
    # task 1
    return re.findall(r"\b\w\w+\b", text.lower())


def count_matrix(
    docs: Sequence[str], vocabulary: dict[str, int] | None = None
) -> tuple[dict[str, int], csr_matrix]:
    """How often each term occurs in each document.

    Args:
        docs: N texts.
        vocabulary: the column of each term, 0..V-1; other terms are ignored. None makes
            one from all terms of `docs`, in the order of the sorted strings.

    Returns:
        The vocabulary, new or as given, and the counts: a float64 csr_matrix (N, V)
        whose rows are sorted by column and hold no column twice and no zeros.

    Raises:
        TypeError: `docs` is one string instead of a series of texts.
    """
    # task 1
    if isinstance(docs, str):
        raise TypeError("docs must be a series of texts, got one string")
    # One pass over the text: a new term gets the next free column and is renumbered
    # below, so the tokens themselves are never kept.
    columns = {} if vocabulary is None else vocabulary  # not copied: it is large
    indices, indptr = [], [0]  # column of each token; where each document ends
    for doc in docs:
        for term in tokenize(doc):
            if vocabulary is None:
                indices.append(columns.setdefault(term, len(columns)))
            elif term in columns:
                indices.append(columns[term])
        indptr.append(len(indices))
    indices = np.array(indices, dtype=np.int64)
    if vocabulary is None:
        renumber = np.empty(len(columns), dtype=np.int64)
        for new, term in enumerate(sorted(columns)):
            renumber[columns[term]] = new
        indices = renumber[indices]
        columns = {term: new for new, term in enumerate(sorted(columns))}
    shape = (len(indptr) - 1, len(columns))
    counts = csr_matrix((np.ones(len(indices)), indices, indptr), shape=shape)
    counts.sum_duplicates()  # adds up the ones of a term, and sorts each row
    return columns, counts


# --- Task 2 (1 point): document_frequency, idf -----------------------------------


def document_frequency(counts: csr_matrix) -> np.ndarray:
    """In how many documents each term occurs.

    Args:
        counts: (N, V) as `count_matrix` returns it.

    Returns:
        int64 (V,).
    """
    # task 2
    df = np.bincount(counts.indices, minlength=counts.shape[1])  # one entry a document
    return df.astype(np.int64)


def idf(df: np.ndarray, n_docs: int, kind: IdfKind = "smooth") -> np.ndarray:
    """Inverse document frequency: how much a term says about a document.

    With N = n_docs and natural logarithms:
        textbook  ln(N / df)                              Spärck Jones 1972
        sklearn   ln(N / df) + 1                          smooth_idf=False
        smooth    ln((1 + N) / (1 + df)) + 1              scikit-learn's default
        bm25      ln(1 + (N - df + 0.5) / (df + 0.5))     Lucene's BM25

    Args:
        df: array-like (V,), the number of documents that hold each term.
        n_docs: N.
        kind: which formula.

    Returns:
        float64 (V,).

    Raises:
        ValueError: `kind` is none of the four; a `df` is below 0 or above N, or is 0
            where the formula divides by it (textbook, sklearn).
    """
    # task 2
    df = np.asarray(df, dtype=np.float64)
    if kind not in IDF_KINDS:
        raise ValueError(f"kind must be one of {IDF_KINDS}, got {kind!r}")
    if np.any((df < 0) | (df > n_docs)):
        raise ValueError(f"df must be between 0 and n_docs = {n_docs}")
    if kind in ("textbook", "sklearn") and np.any(df == 0):
        raise ValueError(f"df must not be 0 with kind {kind!r}, which divides by it")
    if kind == "textbook":
        return np.log(n_docs / df)
    if kind == "sklearn":
        return np.log(n_docs / df) + 1
    if kind == "smooth":
        return np.log((1 + n_docs) / (1 + df)) + 1
    return np.log(1 + (n_docs - df + 0.5) / (df + 0.5))


# --- Task 4 (1 point): top_k -----------------------------------------------------


def top_k(scores: np.ndarray, k: int) -> np.ndarray:
    """The ids of the k highest scores, best first; equal scores by rising id.

    top_k([0.2, 0.9, 0.2, 0.5], 3) gives [1, 3, 0].

    Args:
        scores: array-like (N,), finite.
        k: how many; more than N means N.

    Returns:
        int64 (min(k, N),).

    Raises:
        ValueError: `k` is below 1.
    """
    # task 4
    scores = np.asarray(scores, dtype=np.float64)
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    ids = np.arange(len(scores))
    if k < len(scores):
        # The k-th highest score in O(N). Whatever equals it may be among the k, so the
        # sort that follows has all candidates and hardly more.
        last = np.partition(scores, len(scores) - k)[len(scores) - k]
        ids = np.flatnonzero(scores >= last)
    order = np.argsort(-scores[ids], kind="stable")  # stable: ties keep their id order
    return ids[order][:k].astype(np.int64)


# --- Task 5 (1 point): scores, search, explain -----------------------------------


@dataclass(frozen=True)
class Hit:
    """One result of a search: a document's number and its score."""

    doc_id: int
    score: float


class SearchIndex:
    """Weights of terms in documents, and search over them.

    A ranking function is two sets of weights, and a score is the sum of their products
    over the terms that query and document share. Documents are weighed once, in `fit`,
    and a query when it comes, in `query_weights`; each subclass has its own formulas.

    After `fit` there are
        vocabulary  dict: term to column 0..V-1
        weights     csr_matrix (N, V): row n holds the weights of document n
        postings    csc_matrix (N, V): the same, stored by column, so that column v
                    lists the documents that hold term v: the inverted index
    """

    vocabulary: dict[str, int] | None = None

    def store(self, vocabulary: dict[str, int], weights: csr_matrix) -> None:
        """Keep the weights of all documents, by row and by column."""
        self.vocabulary = vocabulary
        self.weights = weights
        self.postings = weights.tocsc()

    def check_fitted(self) -> None:
        """RuntimeError when `fit` has not been called."""
        if self.vocabulary is None:
            raise RuntimeError("call fit(docs) before searching")

    def scores(self, query: str) -> np.ndarray:
        """The score of every document: float64 (N,), 0 where no term is shared.

        Raises:
            RuntimeError: `fit` has not been called.
        """
        # task 5
        asked = self.query_weights(query)  # (1, V), a few entries
        postings = self.postings
        scores = np.zeros(postings.shape[0])
        for column, weight in zip(asked.indices, asked.data, strict=True):
            listed = slice(postings.indptr[column], postings.indptr[column + 1])
            # += is safe: a column lists each document once
            scores[postings.indices[listed]] += weight * postings.data[listed]
        return scores

    def search(self, query: str, top: int = 5) -> list[Hit]:
        """The best documents, best first, ties by rising doc_id.

        A document with score 0 is never a hit, so there may be fewer than `top`, and
        none for a query without a known term.

        Raises:
            ValueError: `top` is below 1 (the message names `top`).
            RuntimeError: `fit` has not been called.
        """
        # task 5
        if top < 1:
            raise ValueError(f"top must be at least 1, got {top}")
        scores = self.scores(query)
        found = np.flatnonzero(scores > 0)
        best = found[top_k(scores[found], top)]
        return [Hit(int(doc_id), float(scores[doc_id])) for doc_id in best]

    def explain(self, query: str, doc_id: int) -> list[tuple[str, float]]:
        """What each term adds to a document's score, the largest first.

        Returns:
            (term, contribution) for the contributions that are not 0, equal ones by
            term in alphabetical order; they sum to `scores(query)[doc_id]`.

        Raises:
            ValueError: `doc_id` is not in 0..N-1.
            RuntimeError: `fit` has not been called.
        """
        # task 5
        asked = self.query_weights(query)
        if not 0 <= doc_id < self.weights.shape[0]:
            last = self.weights.shape[0] - 1
            raise ValueError(f"doc_id must be in 0..{last}, got {doc_id}")
        products = csr_matrix(asked.multiply(self.weights[doc_id]))  # (1, V)
        known = (t for t in tokenize(query) if t in self.vocabulary)
        term_of = {self.vocabulary[term]: term for term in known}
        added = zip(products.indices, products.data, strict=True)
        parts = [(term_of[column], float(value)) for column, value in added if value]
        return sorted(parts, key=lambda part: (-part[1], part[0]))


# --- Task 3 (2 points): TF-IDF weights -------------------------------------------


def l2_normalize_rows(M: csr_matrix) -> csr_matrix:
    """Divide each row by its Euclidean length; a row of zeros stays as it is.

    Stay sparse: 13,257 passages by 30,000 terms would be 3 GB as a dense array.

    Args:
        M: (N, V), any number type; not changed.

    Returns:
        A new float64 csr_matrix (N, V).
    """
    # task 3
    M = csr_matrix(M, dtype=np.float64, copy=True)
    norms = np.sqrt(np.asarray(M.multiply(M).sum(axis=1)).ravel())  # (N,)
    norms[norms == 0] = 1  # an empty document has no direction
    M.data /= np.repeat(norms, np.diff(M.indptr))
    return M


class TfidfIndex(SearchIndex):
    """Term frequency times inverse document frequency, compared by the cosine.

    The weight of a term that occurs tf times is tf * idf, or (1 + ln tf) * idf with
    `sublinear_tf`; then each document is divided by its Euclidean length (Manning,
    Raghavan and Schütze 2008, section 6.4). The score is the cosine of query and
    document: 1 for the same direction, 0 for no shared term.
    """

    def __init__(self, *, sublinear_tf: bool = False, idf_kind: IdfKind = "smooth"):
        if idf_kind not in IDF_KINDS:
            raise ValueError(f"idf_kind must be one of {IDF_KINDS}, got {idf_kind!r}")
        self.sublinear_tf = sublinear_tf
        self.idf_kind = idf_kind

    def fit(self, docs: Sequence[str]) -> Self:
        """Learn vocabulary and idf from documents and `store` their weights.

        Sets `idf`, float64 (V,), beside what `store` sets; `weights` are those that
        `transform` gives for the same documents. Returns the index itself.

        Raises:
            ValueError: `docs` is empty.
        """
        # task 3
        if len(docs) == 0:
            raise ValueError("docs must hold at least one document")
        vocabulary, counts = count_matrix(docs)
        self.idf = idf(document_frequency(counts), len(docs), self.idf_kind)
        self.store(vocabulary, self._weigh(counts))
        return self

    def transform(self, docs: Sequence[str]) -> csr_matrix:
        """The weights of any documents under the vocabulary and idf of `fit`.

        Returns:
            float64 csr_matrix (len(docs), V); each row has length 1, or is zero where
            a document has no known term or only terms of weight 0.

        Raises:
            RuntimeError: `fit` has not been called.
        """
        # task 3
        self.check_fitted()
        return self._weigh(count_matrix(docs, self.vocabulary)[1])

    def _weigh(self, counts: csr_matrix) -> csr_matrix:
        # task 3
        tf = 1 + np.log(counts.data) if self.sublinear_tf else counts.data
        weights = csr_matrix(
            (tf * self.idf[counts.indices], counts.indices, counts.indptr),
            shape=counts.shape,
        )
        return l2_normalize_rows(weights)

    def query_weights(self, query: str) -> csr_matrix:
        """The query as a document of its own: float64 csr_matrix (1, V).

        It is weighed as in `transform`, with the idf of the corpus.

        Raises:
            RuntimeError: `fit` has not been called.
        """
        # task 5
        return self.transform([query])


# --- Task 6 (2 points): BM25 -----------------------------------------------------


class BM25Index(SearchIndex):
    """Okapi BM25: counts that saturate, corrected for the length of the document.

    A term with count f in a document of dl terms weighs
        idf * f * (k1 + 1) / (f + k1 * (1 - b + b * dl / avgdl))
    with the idf of kind "bm25", and avgdl the mean dl of all documents (Robertson and
    Zaragoza 2009). dl counts every occurrence of every term. The query counts as it
    is: a term asked for twice counts twice.
    """

    def __init__(self, *, k1: float = 1.2, b: float = 0.75):
        """Keep `k1` and `b`.

        Raises:
            ValueError: `k1` is below 0 or not finite, or `b` is not in 0..1.
        """
        # task 6
        if not 0 <= k1 < np.inf:
            raise ValueError(f"k1 must be finite and not negative, got {k1}")
        if not 0 <= b <= 1:
            raise ValueError(f"b must be in 0..1, got {b}")
        self.k1, self.b = k1, b

    def fit(self, docs: Sequence[str]) -> Self:
        """Weigh every term of every document and `store` the weights.

        Returns the index itself.

        Raises:
            ValueError: `docs` is empty.
        """
        # task 6
        if len(docs) == 0:
            raise ValueError("docs must hold at least one document")
        vocabulary, counts = count_matrix(docs)
        rarity = idf(document_frequency(counts), len(docs), "bm25")  # (V,)
        dl = np.asarray(counts.sum(axis=1)).ravel()  # (N,)
        avgdl = dl.mean() or 1.0  # 0 when all documents are empty
        long = self.k1 * (1 - self.b + self.b * dl / avgdl)  # (N,)
        # Nothing here depends on the query, so all of it is computed once (Lù 2024).
        f = counts.data
        saturated = f * (self.k1 + 1) / (f + np.repeat(long, np.diff(counts.indptr)))
        weights = csr_matrix(
            (rarity[counts.indices] * saturated, counts.indices, counts.indptr),
            shape=counts.shape,
        )
        self.store(vocabulary, weights)
        return self

    def query_weights(self, query: str) -> csr_matrix:
        """How often each known term is asked for: float64 csr_matrix (1, V).

        Raises:
            RuntimeError: `fit` has not been called.
        """
        # task 6
        self.check_fitted()
        return count_matrix([query], self.vocabulary)[1]


# --- Task 7 (1 point): the command line ------------------------------------------

ABOUT = "Search passages for the words of a query and rank them by TF-IDF or BM25."
EXAMPLES = """\
examples:
  search.py military history of australia
  search.py "storm surge" --top 3 --method bm25 --explain
  search.py "first aid" --docs notes/           every .txt and .md file is a document
  search.py error --docs app.log --json         every line is a document

searched by default: WikiText-2 where it is on this machine, else the Python manual
exit status: 0 found something, 1 found nothing, 2 a wrong argument or file
search.py runs your lab.py; with --impl solution it runs the reference.
"""


def load_passages(path: str | None) -> list[tuple[str, str]]:
    """What to search, as (title, text).

    Args:
        path: a text file with one document per line, or a folder whose .txt and .md
            files are one document each; None takes the passages of WikiText-2 where
            they are on this machine, else those of the Python documentation.

    Raises:
        ValueError: nothing is at `path`, it cannot be read, or it holds no text.
    """
    try:
        if path is None and datasets.available("wikitext-2"):
            return datasets.wikitext2_passages()
        if path is None:
            return datasets.python_docs_passages()
        texts = datasets.user_text(path)
    except (OSError, ValueError, RuntimeError) as error:
        raise ValueError(str(error).removeprefix("path: ")) from error
    if Path(path).expanduser().is_file():
        [(name, text)] = texts
        lines = enumerate(text.split("\n"), start=1)
        texts = [(f"{name}:{number}", line) for number, line in lines]
    texts = [(title, text) for title, text in texts if text.strip()]
    if not texts:
        raise ValueError(f"{path} holds no text")
    return texts


def snippet(text: str, terms: Sequence[str], width: int = 68) -> str:
    """About `width` characters of a text around the first of `terms` that it holds."""
    text = " ".join(text.split())
    places = [text.lower().find(term) for term in terms]
    place = next((place for place in places if place >= 0), 0)
    start = max(0, min(place - width // 3, len(text) - width))
    end = start + width
    before, after = "..." * (start > 0), "..." * (end < len(text))
    return f"{before}{text[start:end].strip()}{after}"


def nothing_found(query: str, index: SearchIndex) -> str:
    """One line that says why a search came back empty, with the nearest known words."""
    terms = list(dict.fromkeys(tokenize(query)))
    if not terms:
        return "nothing found: the query has no word of two or more letters"
    near = [
        word
        for term in terms[:5]
        for word in difflib.get_close_matches(term, index.vocabulary, n=2, cutoff=0.75)
    ]
    hint = f"; near it: {', '.join(near)}" if near else ""
    n_docs = index.weights.shape[0]
    return f"nothing found for {' '.join(terms)!r} in {n_docs:,} passages{hint}"


def main(argv: Sequence[str] | None = None) -> int:
    """The command: search for the words of a query and print the best passages.

    Options: --top N (default 5), --method tfidf or bm25 (default tfidf), --docs PATH
    (for `load_passages`), --explain, --json; the query is one word or more, quoted or
    not. --help shows `ABOUT` and `EXAMPLES`. For each hit, stdout gets a line with rank
    from 1, score with 4 decimals and title, and a line with a `snippet`:
         1  0.6312  Tim Richmond
            Tim Richmond was an American race car driver from Ashland , Ohio .
    --explain adds a line with each term and its contribution, largest first:
            richmond 0.4131 + tim 0.2181
    --json prints one list instead, an object per hit with the keys rank, doc_id, score
    (not rounded), title, text, and with --explain also explain, a list of
    [term, contribution].

    Args:
        argv: the arguments; None takes those of the process.

    Returns:
        The exit status: 0 something was found; 1 nothing was, and stderr says so in one
        line (`nothing_found`; --json prints the empty list as well); 2 an argument is
        wrong (argparse's own SystemExit will do) or the documents cannot be read, which
        stderr says in one line.
    """
    # task 7
    parser = _parser()
    options = parser.parse_args(argv)
    if options.top < 1:
        parser.error(f"argument --top: must be at least 1, got {options.top}")
    query = " ".join(options.query)
    try:
        passages = load_passages(options.docs)
    except ValueError as error:
        print(f"search.py: {error}", file=sys.stderr)
        return 2
    index = BM25Index() if options.method == "bm25" else TfidfIndex()
    index.fit([text for _, text in passages])
    hits = []
    for rank, hit in enumerate(index.search(query, options.top), start=1):
        title, text = passages[hit.doc_id]
        found = {"rank": rank, "doc_id": hit.doc_id, "score": hit.score}
        found |= {"title": title, "text": text}
        hits.append(found | {"explain": index.explain(query, hit.doc_id)})
    print(_as_json(hits, options) if options.json else _as_text(hits, options), end="")
    if not hits:
        print(nothing_found(query, index), file=sys.stderr)
    return 0 if hits else 1


def _parser() -> argparse.ArgumentParser:
    # task 7
    parser = argparse.ArgumentParser(
        prog="search.py",
        description=ABOUT,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("query", nargs="+", help="what to look for")
    add("--top", type=int, default=5, metavar="N", help="how many hits (default 5)")
    add("--method", choices=["tfidf", "bm25"], default="tfidf", help="default tfidf")
    add(
        "--docs", metavar="PATH", help="search a file (a document per line) or a folder"
    )
    add("--explain", action="store_true", help="show what each word adds to a score")
    add("--json", action="store_true", help="print a JSON list for other programs")
    return parser


def _as_json(hits: list[dict], options: argparse.Namespace) -> str:
    # task 7
    if not options.explain:
        hits = [{k: v for k, v in hit.items() if k != "explain"} for hit in hits]
    return json.dumps(hits, indent=1) + "\n"


def _as_text(hits: list[dict], options: argparse.Namespace) -> str:
    # task 7
    lines = []
    for hit in hits:
        lines.append(f"{hit['rank']:2}  {hit['score']:.4f}  {hit['title']}")
        lines.append(" " * 4 + snippet(hit["text"], [t for t, _ in hit["explain"]]))
        if options.explain:
            parts = [f"{term} {value:.4f}" for term, value in hit["explain"]]
            lines.append(" " * 4 + " + ".join(parts))
    return "".join(f"{line}\n" for line in lines)
