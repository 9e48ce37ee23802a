"""LAB_TITLE: one sentence on what the learner builds.

1 count_words (4)   2 most_common (3)   3 type_token_ratio (3)
"""

from __future__ import annotations

from collections import Counter

# --- Task 1 (4 points): count_words -----------------------------------------------


def count_words(text: str) -> dict[str, int]:
    """How often each word occurs, in lower case; words are split at whitespace.

    count_words("a B b") is {"a": 1, "b": 2}.

    Args:
        text: any string.

    Returns:
        Counts by word, in the order in which the words first occur.
    """
    # task 1
    return dict(Counter(text.lower().split()))


# --- Task 2 (3 points): most_common -----------------------------------------------


def most_common(counts: dict[str, int], k: int) -> list[str]:
    """The `k` most frequent words, ties in alphabetical order.

    Args:
        counts: words and how often they occur.
        k: how many words; fewer where there are not so many.

    Raises:
        ValueError: `k` is below 1.
    """
    # task 2
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    return sorted(counts, key=lambda word: (-counts[word], word))[:k]


# --- Task 3 (3 points): type_token_ratio -------------------------------------------


def type_token_ratio(counts: dict[str, int]) -> float:
    """Different words divided by all words; 0.0 for an empty text.

    Args:
        counts: words and how often they occur.
    """
    # task 3
    total = sum(counts.values())
    return len(counts) / total if total else 0.0
