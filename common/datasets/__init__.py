"""The data the labs use, each set under one name.

    from common import datasets

    text = datasets.tiny_shakespeare()
    X, y = datasets.toy.moons(200, rng=rng)

This file only gathers the public names; `registry.py` says what each set is, `fetch.py`
finds or downloads it, `text.py`, `characters.py`, `bundled.py`, `vectors.py` and
`toy.py` hand it over. Importing it is cheap: NumPy and the libraries behind single sets
load when a function needs them.
"""

from typing import TYPE_CHECKING

from common.datasets.bundled import digits, python_docs, python_docs_passages
from common.datasets.characters import (
    VALID_POSITIONS,
    CharacterText,
    shakespeare_characters,
)
from common.datasets.fetch import DatasetCorrupt, DatasetMissing, available, path
from common.datasets.registry import DATASETS, Dataset, File, UnknownDataset, names
from common.datasets.text import (
    gpt2_encoding,
    tiny_shakespeare,
    user_text,
    wikipedia_10k,
    wikitext2,
    wikitext2_passages,
)
from common.datasets.vectors import word_vectors

if TYPE_CHECKING:
    from types import ModuleType

    from common.datasets import toy

__all__ = [
    "DATASETS",
    "VALID_POSITIONS",
    "CharacterText",
    "Dataset",
    "DatasetCorrupt",
    "DatasetMissing",
    "File",
    "UnknownDataset",
    "available",
    "digits",
    "gpt2_encoding",
    "names",
    "path",
    "python_docs",
    "python_docs_passages",
    "shakespeare_characters",
    "tiny_shakespeare",
    "toy",
    "user_text",
    "wikipedia_10k",
    "wikitext2",
    "wikitext2_passages",
    "word_vectors",
]


def __getattr__(name: str) -> "ModuleType":
    """Load `datasets.toy` when it is first asked for, because it imports NumPy."""
    if name != "toy":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return importlib.import_module("common.datasets.toy")
