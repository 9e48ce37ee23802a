"""Tiny Shakespeare as numbers: the one split that every language model is scored on.

Symbols become ids in sorted order. The first 90 % of the text are for training, the
last 10 % for validation; scores of different labs stand in one table because all of
them are means over all of these validation positions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from common.datasets.text import tiny_shakespeare

if TYPE_CHECKING:
    import numpy as np

VALID_POSITIONS = 111_540  # what a score on the leaderboard is the mean of


class CharacterText(NamedTuple):
    """A text as ids, in two parts; the id of a symbol is its place in `symbols`."""

    symbols: str  # distinct, sorted
    train: np.ndarray  # int64
    valid: np.ndarray  # int64

    def encode(self, text: str) -> np.ndarray:
        """Return the ids of `text`, int64 of its length.

        Raises:
            ValueError: `text` has a symbol that is not in `symbols`.
        """
        import numpy as np

        places = {symbol: place for place, symbol in enumerate(self.symbols)}
        unknown = sorted(set(text) - set(places))
        if unknown:
            raise ValueError(f"text: unknown symbols {unknown}")
        return np.array([places[symbol] for symbol in text], dtype=np.int64)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text that `ids` stand for.

        Raises:
            ValueError: an id is outside 0..len(symbols) - 1.
        """
        ids = [int(i) for i in ids]
        if ids and not 0 <= min(ids) <= max(ids) < len(self.symbols):
            raise ValueError(f"ids: expected 0 to {len(self.symbols) - 1}")
        return "".join(self.symbols[i] for i in ids)


def shakespeare_characters() -> CharacterText:
    """Return Tiny Shakespeare: 65 symbols, 1,003,854 ids to train on, 111,540 to score.

    "\\n" has the id 0.

    Raises:
        DatasetMissing: no copy, and none can be downloaded.
    """
    return split_characters(tiny_shakespeare())


def split_characters(text: str) -> CharacterText:
    """Return `text` with the first nine tenths, rounded down, as the training part."""
    whole = CharacterText("".join(sorted(set(text))), None, None).encode(text)
    cut = len(text) * 9 // 10
    return CharacterText("".join(sorted(set(text))), whole[:cut], whole[cut:])
