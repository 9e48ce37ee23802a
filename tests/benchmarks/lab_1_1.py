"""Lab 1.1's tokenizers beside tiktoken's GPT-2 `encode_ordinary`."""

from __future__ import annotations

from collections.abc import Iterator

from common import datasets, labs
from tests.benchmarks.table import Row, seconds


def rows() -> Iterator[Row]:
    """MB of text encoded per second; tiktoken does the merges as well."""
    lab = labs.solution("1.1")
    text = datasets.tiny_shakespeare()
    size = len(text.encode()) / 1e6
    gpt2 = datasets.gpt2_encoding()
    peer = size / seconds(lambda: gpt2.encode_ordinary(text))
    ours = {
        "regex": (lab.RegexTokenizer.train(text), "at least 0.5"),
        "byte-level": (lab.ByteLevelTokenizer(), "at least 10"),
        "whitespace": (lab.WhitespaceTokenizer.train(text), "at least 1"),
    }
    for name, (tokenizer, wanted) in ours.items():
        speed = size / seconds(lambda t=tokenizer: t.encode(text))
        yield Row(
            f"1.1 {name} encode",
            f"{speed:.1f} MB/s",
            f"{peer:.1f} MB/s: tiktoken gpt2",
            speed / peer,
            "x speed",
            wanted,
        )
