"""Word vectors made on this machine from WikiText-2: no download of their own.

Words that stand beside the same words get similar rows: neighbours are counted, each
count is weighed against chance (PPMI), and a truncated SVD keeps the directions that
matter most. Making them takes about a second, so the result is cached. Measuring how
near two vectors are is the labs' subject and is not done here.
"""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from common.datasets import fetch
from common.datasets.registry import lookup
from common.datasets.text import wikitext2

if TYPE_CHECKING:
    import numpy as np
    from scipy import sparse

# Levy, Goldberg and Dagan, "Improving Distributional Similarity with Lessons Learned
# from Word Embeddings", 2015: a narrow window finds words of the same kind, contexts
# count to the power 0.75, and the root of the singular values beats the values.
WINDOW = 2  # neighbours on each side
MIN_COUNT = 5  # rarer words have too few neighbours to say anything
SMOOTHING = 0.75
SEED = 0
_RECIPE = 1  # another number wherever the way of making them changes


def word_vectors(dim: int = 100) -> tuple[list[str], "np.ndarray"]:
    """Return words of WikiText-2 (valid and test) and one vector for each.

    The words are lower-case and of letters only, seen at least 5 times. The vectors
    come from positive pointwise mutual information in a window of 2 words on each side
    and a randomized truncated SVD with a fixed seed; they are kept in the cache folder.

    Args:
        dim: length of a vector, from 1 to the number of words less one.

    Returns:
        words: by falling frequency, ties in the order of the alphabet; 6,481 of them.
        X: float64 (number of words, dim); row i belongs to word i. It is zero where a
            word never stands beside another of them; one does ("millimetre").

    Raises:
        ValueError: `dim` is outside its range.
        TypeError: `dim` is not an integer.
        DatasetMissing: no copy of WikiText-2, and none can be downloaded.
    """
    if isinstance(dim, bool) or not hasattr(dim, "__index__"):
        raise TypeError(f"dim: expected an integer, got {dim!r}")
    if dim < 1:
        raise ValueError(f"dim: expected at least 1, got {dim}")
    made_of = parameters(dim)
    path = cached_at(dim)
    found = _read(path, made_of)
    if found is None:
        found = _build(dim)
        _store(path, made_of, *found)
    return found


def cached_at(dim: int) -> Path:
    """Return where the vectors of this length are kept."""
    return fetch.cache_folder() / "word-vectors" / f"wikitext-2-{dim}.npz"


def parameters(dim: int) -> str:
    """Return in one line all that the vectors depend on; it is stored with them."""
    sources = [file.checksum for file in lookup("wikitext-2").files]
    return (
        f"{_RECIPE} {dim} {WINDOW} {MIN_COUNT} {SMOOTHING} {SEED} {' '.join(sources)}"
    )


# --- Making them ---


def _build(dim: int) -> tuple[list[str], "np.ndarray"]:
    import numpy as np
    from sklearn.utils.extmath import randomized_svd
    from threadpoolctl import threadpool_limits

    text = wikitext2("valid") + wikitext2("test")
    lines = [line.lower().split() for line in text.split("\n")]
    words = frequent_words(lines)
    if dim >= len(words):
        raise ValueError(f"dim: expected less than {len(words)}, got {dim}")
    table = ppmi(pair_counts(lines, words))
    # One thread: on small matrices several get in each other's way (1 s against 6).
    with threadpool_limits(1):
        U, S, _ = randomized_svd(table, dim, random_state=SEED)
    return words, np.ascontiguousarray(U * np.sqrt(S))


def frequent_words(lines: list[list[str]]) -> list[str]:
    """Return the words of at least MIN_COUNT, by falling count, then alphabet."""
    from collections import Counter

    counts = Counter(word for line in lines for word in line if word.isalpha())
    kept = [word for word, count in counts.items() if count >= MIN_COUNT]
    return sorted(kept, key=lambda word: (-counts[word], word))


def pair_counts(lines: list[list[str]], words: list[str]) -> "sparse.csr_array":
    """Count how often word j stands at most WINDOW places from word i in a line.

    Returns:
        float64 (W, W), symmetric; what is no word keeps its place and is not counted.
    """
    import numpy as np
    from scipy import sparse

    ids = {word: i for i, word in enumerate(words)}
    between = [-1] * WINDOW  # so that no window reaches into the next line
    tokens = np.array([ids.get(w, -1) for line in lines for w in [*line, *between]])
    left, right = [], []
    for distance in range(1, WINDOW + 1):
        a, b = tokens[:-distance], tokens[distance:]
        both = (a >= 0) & (b >= 0)
        left += [a[both], b[both]]
        right += [b[both], a[both]]
    pairs = np.concatenate(left), np.concatenate(right)
    ones = np.ones(len(pairs[0]))
    # csr adds up the entries of the same cell
    return sparse.coo_array((ones, pairs), shape=(len(words), len(words))).tocsr()


def ppmi(counts: "sparse.csr_array") -> "sparse.csr_array":
    """Return max(0, log(P(i, j) / (P(i) P(j)))), with P(j) smoothed by SMOOTHING."""
    import numpy as np
    from scipy import sparse

    cells = counts.tocoo()
    row, col = cells.coords
    seen = counts.sum(axis=1)
    context = seen**SMOOTHING / np.sum(seen**SMOOTHING)
    pmi = np.log(cells.data / (seen[row] * context[col]))
    table = sparse.csr_array((np.maximum(pmi, 0), (row, col)), shape=counts.shape)
    table.eliminate_zeros()
    return table


# --- Keeping them ---


def _read(path: Path, made_of: str) -> tuple[list[str], "np.ndarray"] | None:
    """Return what the cache holds; None where it is absent, damaged or of another make.

    The zip format carries a checksum of every part, so a damaged file shows.
    """
    import zipfile
    import zlib

    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as file:
            if str(file["made_of"]) != made_of:
                return None
            words, X = file["words"].tolist(), file["X"]
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error):
        return None
    return words, X


def _store(path: Path, made_of: str, words: list[str], X: "np.ndarray") -> None:
    """Keep the vectors; where the folder cannot be written to, say so and go on."""
    import logging

    import numpy as np

    from common.progress import write_atomically

    data = BytesIO()
    np.savez(data, made_of=np.array(made_of), words=np.array(words), X=X)
    try:
        write_atomically(path, data.getvalue())
    except OSError as error:
        logging.getLogger("common.datasets").warning(
            f"the word vectors cannot be kept in {path.parent}: {error}"
        )
