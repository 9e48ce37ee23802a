"""What each dataset is: its files, where they come from, how to tell them apart.

One entry per name. Every file carries the checksum of the bytes the labs were measured
with, and its address is pinned to a commit, so a lab reads the same text in ten years.
This file opens nothing and downloads nothing; `fetch.py` does.
"""

from dataclasses import dataclass

_SHAKESPEARE = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/"
    "6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/tinyshakespeare/"
)
_WIKITEXT = (
    "https://raw.githubusercontent.com/pytorch/examples/"
    "77f55b912142e11fcfdf5b530231fb9c52f181e8/word_language_model/data/wikitext-2/"
)
_GPT2 = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/"


class UnknownDataset(ValueError):
    """No dataset has this name; the message lists the nearest names."""


@dataclass(frozen=True)
class File:
    """One file of a dataset.

    Attributes:
        name: file name inside the dataset's folder.
        checksum: `sha256:<hex>` of the bytes, or `git-blob:<hex>`, the SHA-1 that git
            gives them: SHA-1 of `blob <size>`, a zero byte, and the bytes.
        size: length in bytes, or None where it is not known.
        url: public address of exactly these bytes, or None.
    """

    name: str
    checksum: str
    size: int | None = None
    url: str | None = None


@dataclass(frozen=True)
class Dataset:
    """One named dataset.

    Attributes:
        name: what labs and learners call it.
        folder: its folder below `$LABS_DATA` and below the cache; "" for no subfolder.
        files: one file or several; the dataset is there when all of them are.
        licence: under which terms the text may be used.
        about: one line for a reader who chooses a dataset.
        variable: an environment variable of another tool that may point to a folder
            with these files; it is looked at first.
    """

    name: str
    folder: str
    files: tuple[File, ...]
    licence: str
    about: str
    variable: str | None = None


_VALID = File(
    "valid.txt",
    "sha256:f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8",
    1_121_681,
    _WIKITEXT + "valid.txt",
)
_TEST = File(
    "test.txt",
    "sha256:d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0",
    1_256_449,
    _WIKITEXT + "test.txt",
)
_TRAIN = File(
    "train.txt",
    "git-blob:2d84b35af79e411d73ea7cae83c73964c6ac83b4",
    None,  # about 10.8 MB
    _WIKITEXT + "train.txt",
)


def _wikitext(name: str, files: tuple[File, ...], about: str) -> Dataset:
    return Dataset(name, "wikitext-2", files, "CC BY-SA 3.0", about)


_ALL = (
    Dataset(
        "tinyshakespeare",
        "tinyshakespeare",
        (
            File(
                "input.txt",
                "sha256:86c4e6aa9db7c042ec79f339dcb96d42"
                "b0075e16b8fc2e86bf0ca57e2dc565ed",
                1_115_394,
                _SHAKESPEARE + "input.txt",
            ),
        ),
        "public domain text",
        "40,000 lines from Shakespeare's plays, one file of 1.1 MB",
    ),
    _wikitext(
        "wikitext-2", (_VALID, _TEST), "120 Wikipedia articles: valid and test together"
    ),
    _wikitext("wikitext-2-valid", (_VALID,), "60 Wikipedia articles, tokenized"),
    _wikitext("wikitext-2-test", (_TEST,), "60 other Wikipedia articles, tokenized"),
    _wikitext("wikitext-2-train", (_TRAIN,), "the training part, about 10.8 MB"),
    Dataset(
        "gpt2",
        "tiktoken",
        # tiktoken looks for a file under the SHA-1 of its address, so these names
        # are what makes a folder with the two files work as tiktoken's own cache.
        (
            File(
                "6d1cbeee0f20b3d9449abfede4726ed8212e3aee",
                "sha256:1ce1664773c50f3e0cc8842619a93edc"
                "4624525b728b188a9e0be33b7726adc5",
                456_318,
                _GPT2 + "vocab.bpe",
            ),
            File(
                "6c7ea1a7e38e3a7f062df639a5b80947f075ffe6",
                "sha256:196139668be63f3b5d6574427317ae82"
                "f612a97c5d1cdaf36ed2256dbf636783",
                1_042_301,
                _GPT2 + "encoder.json",
            ),
        ),
        "MIT",
        "GPT-2's merges and vocabulary: 50,257 tokens",
        variable="TIKTOKEN_CACHE_DIR",
    ),
    Dataset(
        "wikipedia-10k",
        "",
        (
            File(
                "wikipedia-10k.jsonl.gz",
                "sha256:6c3a00f3f694db970e6455b71180ce93"
                "5548336b3ce951c665745012f556aad4",
                5_892_292,
            ),
        ),
        "CC BY-SA 3.0, authors: Wikipedia contributors",
        "10,000 English Wikipedia articles of 80 to 600 words",
    ),
)

DATASETS: dict[str, Dataset] = {dataset.name: dataset for dataset in _ALL}


def names() -> list[str]:
    """Return the names of all datasets, in the order of the registry."""
    return list(DATASETS)


def lookup(name: str) -> Dataset:
    """Return the dataset called `name`.

    Raises:
        UnknownDataset: no dataset has this name; the message gives the nearest ones.
    """
    if name in DATASETS:
        return DATASETS[name]
    import difflib

    near = difflib.get_close_matches(name, DATASETS, n=3, cutoff=0.4)
    choices = ", ".join(near or DATASETS)
    lead = "did you mean" if near else "the names are"
    raise UnknownDataset(f"name: there is no dataset {name!r}; {lead}: {choices}")
