"""Texts as Python strings: the downloaded corpora and the reader's own files.

Each loader finds or downloads its dataset through `fetch.py` and decodes it; line ends
and `<unk>` marks stay as they are in the file. Tokenizing and counting are the labs'
subject and are not done here.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from common.datasets import fetch

if TYPE_CHECKING:
    import tiktoken

_SPLITS = ("train", "valid", "test")
_TEXT_ENDINGS = (".txt", ".md")


def tiny_shakespeare() -> str:
    """Return Tiny Shakespeare: 1,115,394 ASCII characters in 40,000 lines.

    Raises:
        DatasetMissing: no copy, and none can be downloaded.
    """
    return fetch.path("tinyshakespeare").read_bytes().decode("utf-8")


def wikitext2(split: str) -> str:
    """Return one part of WikiText-2: Wikipedia text with spaces between all tokens.

    Args:
        split: "train", "valid" or "test".

    Raises:
        ValueError: `split` is none of the three.
        DatasetMissing: no copy, and none can be downloaded.
    """
    if split not in _SPLITS:
        raise ValueError(f"split: expected one of {_SPLITS}, got {split!r}")
    return fetch.path(f"wikitext-2-{split}").read_bytes().decode("utf-8")


def wikitext2_passages(max_words: int = 40) -> list[tuple[str, str]]:
    """Return the paragraphs of WikiText-2 valid and test, cut into short passages.

    Each paragraph is one line of the file and is cut every `max_words` words, so its
    last passage may be short. Headings of sections are left out.

    Args:
        max_words: greatest number of whitespace-separated words in a passage.

    Returns:
        (article title, passage) in the order of the files; 13,257 pairs from 120
        articles at 40 words.

    Raises:
        ValueError: `max_words` is below 1.
        DatasetMissing: no copy, and none can be downloaded.
    """
    return [
        (title, passage)
        for split in ("valid", "test")
        for title, paragraph in _paragraphs(wikitext2(split))
        for passage in split_words(paragraph, max_words)
    ]


def split_words(text: str, max_words: int) -> list[str]:
    """Cut `text` after every `max_words` words; words are joined by one space.

    Raises:
        ValueError: `max_words` is below 1.
    """
    if max_words < 1:
        raise ValueError(f"max_words: expected at least 1, got {max_words}")
    words = text.split()
    starts = range(0, len(words), max_words)
    return [" ".join(words[start : start + max_words]) for start in starts]


def _paragraphs(text: str) -> Iterator[tuple[str, str]]:
    """Yield (article title, paragraph) from text in WikiText's layout.

    ` = Title = ` opens an article and ` = = Section = = ` a section. An article's title
    stands between blank lines; without that condition two formulas in the middle of an
    article, which also start and end with `=`, would become titles.
    """
    lines = [line.strip() for line in text.split("\n")]
    title = ""
    for before, line, after in zip(["", *lines], lines, [*lines[1:], ""], strict=False):
        if line.startswith("= ") and line.endswith(" ="):
            if not (before or after or line.startswith("= =")):
                title = line[2:-2]
        elif line:
            yield title, line


def wikipedia_10k() -> list[tuple[str, str]]:
    """Return 10,000 English Wikipedia articles of 80 to 600 words as (title, text).

    Raises:
        DatasetMissing: no copy; this dataset has no public address.
    """
    import gzip
    import json

    with gzip.open(fetch.path("wikipedia-10k"), "rt", encoding="utf-8") as lines:
        articles = [json.loads(line) for line in lines]
    return [(article["title"], article["text"]) for article in articles]


def gpt2_encoding() -> "tiktoken.Encoding":
    """Return GPT-2's tokenizer from tiktoken: 50,257 tokens.

    The two files come from `$TIKTOKEN_CACHE_DIR`, `$LABS_DATA/tiktoken`, the cache
    folder or the public address, in this order.

    Raises:
        DatasetMissing: no copy, and none can be downloaded.
    """
    folder = fetch.path("gpt2")
    import tiktoken

    with _environment("TIKTOKEN_CACHE_DIR", str(folder)):
        return tiktoken.get_encoding("gpt2")


@contextmanager
def _environment(variable: str, value: str) -> Iterator[None]:
    """Set an environment variable for a `with` block, then put back what was there."""
    before = os.environ.get(variable)
    os.environ[variable] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before


def user_text(path: str | Path) -> list[tuple[str, str]]:
    """Return the reader's own text as (name, text), one pair per file.

    Args:
        path: a UTF-8 text file with any ending, or a folder whose .txt and .md files
            are read in the order of their names, those of its subfolders too.

    Returns:
        The name is the file's name, or its path below the folder with `/` between.

    Raises:
        FileNotFoundError: nothing is at `path`.
        ValueError: a file is not UTF-8, or the folder has no .txt or .md file.
        PermissionError: a file may not be read.
    """
    path = Path(path).expanduser()
    if path.is_file():
        return [(path.name, _read_utf8(path))]
    if not path.is_dir():
        raise FileNotFoundError(f"path: there is no file or folder {path}")
    files = sorted(
        found
        for found in path.rglob("*")
        if found.suffix.lower() in _TEXT_ENDINGS and found.is_file()
    )
    if not files:
        raise ValueError(f"path: the folder {path} has no .txt or .md file")
    return [(file.relative_to(path).as_posix(), _read_utf8(file)) for file in files]


def _read_utf8(file: Path) -> str:
    """Return a file's text; every error names the file."""
    try:
        # utf-8-sig drops the mark that Windows editors put before the first letter.
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"path: {file} is not UTF-8 text (byte {error.start} is "
            f"0x{error.object[error.start]:02x}); save it as UTF-8"
        ) from error
    except PermissionError as error:
        raise PermissionError(f"path: {file} may not be read") from error
