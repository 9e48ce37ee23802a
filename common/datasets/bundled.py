"""Data that is already on every machine: no download, no file of our own.

The documentation that the Python interpreter carries is an English technical corpus;
scikit-learn carries small images of digits. Both change a little between versions of
their owner, so no grader may rest on an exact count.
"""

from typing import TYPE_CHECKING

from common.datasets.text import split_words

if TYPE_CHECKING:
    import numpy as np


def _topics() -> list[str]:
    """Return the texts of the Python documentation, in the order of topic names."""
    from pydoc_data.topics import topics

    return [topics[name] for name in sorted(topics)]


def python_docs() -> str:
    """Return the Python language reference as one English text of about 0.5 MB.

    It is what `help("topic")` shows in the interpreter, all topics one after the other
    with a blank line between; it differs a little between versions of Python.
    """
    return "\n\n".join(text.strip("\n") for text in _topics())


def python_docs_passages(max_words: int = 40) -> list[tuple[str, str]]:
    """Return the paragraphs of the Python documentation, cut into short passages.

    Args:
        max_words: greatest number of whitespace-separated words in a passage.

    Returns:
        (heading of the topic, passage), in the order of topic names.

    Raises:
        ValueError: `max_words` is below 1.
    """
    return [
        (text.strip().partition("\n")[0], passage)
        for text in _topics()
        for paragraph in text.split("\n\n")
        if not _is_heading(paragraph)
        for passage in split_words(paragraph, max_words)
    ]


def _is_heading(paragraph: str) -> bool:
    """Tell whether a paragraph is a line with a line of one repeated sign below it."""
    lines = paragraph.strip().split("\n")
    return len(lines) == 2 and len(lines[1]) > 2 and set(lines[1]) <= set("*=-~^")


def digits() -> tuple["np.ndarray", "np.ndarray"]:
    """Return scikit-learn's handwritten digits, 8 by 8 pixels each.

    Returns:
        X: float64 (1797, 64), brightness from 0 to 1, row by row.
        y: int64 (1797,), the digit from 0 to 9.
    """
    import numpy as np
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return X / 16.0, y.astype(np.int64)  # the file counts brightness from 0 to 16
