"""Tokenization from scratch: text to integers and back, three ways.

You build a whitespace, a regex (GPT-2's rule) and a byte-level tokenizer, and the
report that compares them. At the end you can say what each one loses.

1 whitespace_pretokenize (1)   2 regex_pretokenize (2)   3 Vocabulary (2)
4 encode and decode (2)        5 ByteLevelTokenizer (1)  6 bytes_to_unicode (1)
7 benchmark (1)                + train_bpe (bonus)
"""

from __future__ import annotations

import functools
import itertools
import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import regex

SPECIALS = ("<pad>", "<unk>", "<bos>", "<eos>")


# --- Task 1 (1 point): whitespace_pretokenize ------------------------------------


def whitespace_pretokenize(text: str) -> list[str]:
    r"""Cut text into maximal runs of whitespace and of everything else.

    Nothing is lost: joining the pieces gives the text back. "a  b\n" gives
    ["a", "  ", "b", "\n"], and "" gives [].
    """
    # task 1
    return re.findall(r"\s+|\S+", text)


# --- Task 2 (2 points): GPT2_PAT, regex_pretokenize ------------------------------

# The alternatives of GPT-2's rule, tried from left to right at every position
# (Radford et al. 2019; OpenAI's gpt-2 repository, src/encoder.py).
GPT2_PAT = "|".join(  # task 2
    [
        r"'s|'t|'re|'ve|'m|'ll|'d",  # English contractions, lower case only
        r" ?\p{L}+",  # letters, with the space in front of them
        r" ?\p{N}+",  # digits, likewise
        r" ?[^\s\p{L}\p{N}]+",  # everything else that is not whitespace
        r"\s+(?!\S)",  # whitespace, but leave one space for the word that follows
        r"\s+",  # the whitespace that is left: a tab or newline before a word
    ]
)


def regex_pretokenize(text: str) -> list[str]:
    r"""Cut text the way GPT-2 does before it merges bytes.

    A space travels with the word that follows it; letters, digits and other signs
    never share a piece. "I've 2  cats" gives ["I", "'ve", " 2", " ", " cats"]. Joined,
    the pieces are the text.
    """
    # task 2
    return regex.findall(GPT2_PAT, text)


# --- Task 3 (2 points): Vocabulary -----------------------------------------------


@dataclass(frozen=True)
class Vocabulary:
    """A fixed list of tokens; a token's id is its place in the list.

    The first `n_specials` ids are control symbols. Text never turns into them, not even
    text that spells one: a document with the word "<bos>" in it gets an ordinary token
    of that spelling. The one exception is "<unk>", which stands for unknown pieces.
    """

    tokens: tuple[str, ...]
    n_specials: int = 0

    @classmethod
    def build(
        cls,
        tokens: Iterable[str],
        *,
        min_freq: int = 1,
        max_size: int | None = None,
        specials: Sequence[str] = SPECIALS,
    ) -> Vocabulary:
        """Count tokens and keep the frequent ones.

        Order: the specials as given, then ordinary tokens by falling count, ties in
        the order of the strings. Vocabulary.build(["b", "a", "b"], specials=["<unk>"])
        has the tokens ("<unk>", "b", "a").

        Args:
            tokens: the pieces of a corpus, in any order.
            min_freq: a token stays when it occurs at least this often.
            max_size: the most entries, specials included; None for no limit.
            specials: control symbols, all different.

        Raises:
            ValueError: `min_freq` below 1, `max_size` below the number of specials,
                or a repeated entry in `specials`.
            TypeError: `tokens` is one string instead of a series of strings.
        """
        # task 3
        if isinstance(tokens, str):
            raise TypeError("tokens must be a series of strings, got one string")
        if min_freq < 1:
            raise ValueError(f"min_freq must be at least 1, got {min_freq}")
        if len(set(specials)) != len(specials):
            raise ValueError(f"specials must all differ, got {list(specials)}")
        if max_size is not None and max_size < len(specials):
            raise ValueError(
                f"max_size must hold the {len(specials)} specials, got {max_size}"
            )
        counts = Counter(tokens)
        kept = [token for token, count in counts.items() if count >= min_freq]
        kept.sort(key=lambda token: (-counts[token], token))
        return cls((*specials, *kept)[:max_size], n_specials=len(specials))

    @functools.cached_property
    def ordinary(self) -> dict[str, int]:
        """The ids of the ordinary tokens."""
        numbered = enumerate(self.tokens)
        return {token: i for i, token in numbered if i >= self.n_specials}

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: str) -> bool:
        """Whether `token` is an ordinary token."""
        return token in self.ordinary

    def special_id(self, name: str) -> int | None:
        """The id of a special, or None where the vocabulary has no such special."""
        specials = self.tokens[: self.n_specials]
        return specials.index(name) if name in specials else None

    def token_to_id(self, token: str) -> int:
        """The id of an ordinary token; the id of "<unk>" for any other string.

        Raises:
            ValueError: `token` is unknown and the vocabulary has no "<unk>".
        """
        # task 3
        id = self.ordinary.get(token)
        if id is None:  # asked only now: most tokens are known
            id = self.special_id("<unk>")
        if id is None:
            raise ValueError(f"token {token!r} is unknown and there is no <unk>")
        return id

    def id_to_token(self, id: int) -> str:
        """The token, special or ordinary, with this id.

        Raises:
            ValueError: `id` is negative or not below the size of the vocabulary.
        """
        # task 3
        if not 0 <= id < len(self.tokens):
            raise ValueError(f"id must be in 0..{len(self.tokens) - 1}, got {id}")
        return self.tokens[id]


# --- Task 4 (2 points): encode and decode ----------------------------------------


class PieceTokenizer:
    """One id per piece. A subclass says how to `split`."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    @staticmethod
    def split(text: str) -> list[str]:
        """The pieces of a text; each subclass has its own rule."""
        raise TypeError("use WhitespaceTokenizer or RegexTokenizer")

    @classmethod
    def train(
        cls, text: str, *, min_freq: int = 1, max_size: int | None = None
    ) -> Self:
        """A tokenizer whose vocabulary comes from the pieces of `text`."""
        pieces = cls.split(text)
        return cls(Vocabulary.build(pieces, min_freq=min_freq, max_size=max_size))

    @property
    def vocab_size(self) -> int:
        """How many ids there are."""
        return len(self.vocabulary)

    @property
    def unk_id(self) -> int | None:
        """The id that stands for unknown pieces."""
        return self.vocabulary.special_id("<unk>")

    def encode(
        self, text: str, *, add_bos: bool = False, add_eos: bool = False
    ) -> list[int]:
        """One id per piece; pieces outside the vocabulary become "<unk>".

        `add_bos` puts the id of "<bos>" in front, `add_eos` that of "<eos>" behind.

        Raises:
            TypeError: `text` is not a str.
        """
        # task 4
        if not isinstance(text, str):
            raise TypeError(f"text must be a str, got {type(text).__name__}")
        id_of = self.vocabulary.token_to_id
        ids = [id_of(piece) for piece in self.split(text)]
        bos = [self.vocabulary.special_id("<bos>")] if add_bos else []
        eos = [self.vocabulary.special_id("<eos>")] if add_eos else []
        return bos + ids + eos

    def decode(self, ids: Iterable[int], *, skip_specials: bool = True) -> str:
        """The text of these ids.

        `skip_specials` leaves out "<pad>", "<bos>" and "<eos>". "<unk>" is always
        written: a loss should be visible.

        Raises:
            ValueError: an id outside the vocabulary.
        """
        # task 4
        vocabulary, unk = self.vocabulary, self.unk_id
        pieces = []
        for id in ids:
            token = vocabulary.id_to_token(id)
            if skip_specials and id < vocabulary.n_specials and id != unk:
                continue
            pieces.append(token)
        return "".join(pieces)


class WhitespaceTokenizer(PieceTokenizer):
    """Pieces are runs of whitespace and of non-whitespace."""

    @staticmethod
    def split(text: str) -> list[str]:
        """The pieces of task 1."""
        return whitespace_pretokenize(text)


class RegexTokenizer(PieceTokenizer):
    """Pieces are those of GPT-2's rule."""

    @staticmethod
    def split(text: str) -> list[str]:
        """The pieces of task 2."""
        return regex_pretokenize(text)


# --- Task 5 (1 point): ByteLevelTokenizer ----------------------------------------


class ByteLevelTokenizer:
    """The 256 byte values are the vocabulary; specials follow from id 256.

    No training, no unknown text. The price is length: one id per byte.
    """

    unk_id = None

    def __init__(self, specials: Sequence[str] = ("<|endoftext|>",)) -> None:
        self.special_ids = {name: 256 + i for i, name in enumerate(specials)}

    @property
    def vocab_size(self) -> int:
        """256 bytes and the specials."""
        return 256 + len(self.special_ids)

    def encode(self, text: str, *, allowed_special: Collection[str] = ()) -> list[int]:
        """The UTF-8 bytes of the text; allowed specials become one id each.

        A special that is not in `allowed_special` is ordinary text. Where two overlap,
        the longest one that starts there wins. "é" gives [195, 169].

        Raises:
            ValueError: `text` holds a lone surrogate, or `allowed_special` names
                something that is not a special of this tokenizer.
        """
        # task 5
        if unknown := set(allowed_special) - set(self.special_ids):
            raise ValueError(f"allowed_special has no id for {sorted(unknown)}")
        parts = [text]
        if allowed_special:  # longest first: an alternation takes the first that fits
            names = sorted(allowed_special, key=len, reverse=True)
            parts = re.split(f"({'|'.join(map(re.escape, names))})", text)
        ids: list[int] = []
        for part in parts:
            if part in allowed_special:
                ids.append(self.special_ids[part])
            else:
                ids.extend(_utf8(part))
        return ids

    def decode(self, ids: Iterable[int], *, errors: str = "replace") -> str:
        """The text of these ids: byte values and specials.

        `errors` says what becomes of broken UTF-8, as in bytes.decode: "replace" gives
        U+FFFD, "strict" raises.

        Raises:
            ValueError: an id outside the vocabulary; with "strict", broken UTF-8.
        """
        # task 5
        names = list(self.special_ids)
        data = bytearray()
        for id in ids:
            if not 0 <= id < self.vocab_size:
                raise ValueError(f"ids must be in 0..{self.vocab_size - 1}, got {id}")
            data += bytes([id]) if id < 256 else names[id - 256].encode()
        return data.decode("utf-8", errors=errors)


def _utf8(text: str) -> bytes:
    # task 5
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"text cannot be written as UTF-8: {error}") from None


# --- Task 6 (1 point): bytes_to_unicode ------------------------------------------


def bytes_to_unicode() -> dict[int, str]:
    """GPT-2's printable stand-in for each byte, so that a vocabulary fits a text file.

    Bytes whose Latin-1 character is printable and no space keep it: 33-126, 161-172
    and 174-255. The others, in rising order, get the characters from U+0100 on, so
    that the space (32) becomes "Ġ". The keys are 0..255.
    """
    # task 6
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    table, spare = {}, 256
    for byte in range(256):
        if byte in printable:
            table[byte] = chr(byte)
        else:
            table[byte] = chr(spare)
            spare += 1
    return table


# --- Task 7 (1 point): benchmark -------------------------------------------------


@dataclass(frozen=True)
class Report:
    """What `benchmark` measures."""

    name: str
    vocab_size: int
    n_tokens: int
    bytes_per_token: float  # UTF-8 bytes of the text per id
    unk_rate: float  # share of the ids that are "<unk>"
    round_trip: bool  # whether decode(encode(text)) == text
    mb_per_s: float  # 10^6 UTF-8 bytes encoded per second, best of the repeats


def benchmark(
    tokenizer,
    text: str,
    *,
    name: str,
    clock: Callable[[], float] = time.perf_counter,
    repeats: int = 3,
) -> Report:
    """Encode a text `repeats` times and report size, loss and speed.

    Args:
        tokenizer: has encode, decode, vocab_size and unk_id (None: never unknown).
        text: what to encode, not empty.
        name: the name to put into the report.
        clock: returns seconds; only differences count.
        repeats: how often to time `encode`; the fastest run counts.

    Raises:
        ValueError: `text` is empty or `repeats` is below 1.
    """
    # task 7
    if not text:
        raise ValueError("text must not be empty")
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, got {repeats}")
    fastest = float("inf")
    for _ in range(repeats):
        start = clock()
        ids = tokenizer.encode(text)
        fastest = min(fastest, clock() - start)
    n_bytes = len(text.encode("utf-8"))
    unknown = 0 if tokenizer.unk_id is None else ids.count(tokenizer.unk_id)
    return Report(
        name=name,
        vocab_size=tokenizer.vocab_size,
        n_tokens=len(ids),
        bytes_per_token=n_bytes / len(ids),
        unk_rate=unknown / len(ids),
        round_trip=tokenizer.decode(ids) == text,
        mb_per_s=n_bytes / 1e6 / fastest if fastest else float("inf"),
    )


# --- Bonus: train_bpe ------------------------------------------------------------


def train_bpe(text: str, n_merges: int) -> list[tuple[bytes, bytes]]:
    """Learn byte-pair merges: again and again, glue the most frequent pair.

    Pairs are counted inside the pieces of `regex_pretokenize`, never across them. Ids
    0-255 are the bytes and each merge gets the next id; among equally frequent pairs
    the smallest (left id, right id) is merged (Sennrich et al. 2016, on bytes).

    Args:
        text: the corpus.
        n_merges: the most merges to learn; fewer when no pair is left.

    Returns:
        The merges in order, as the bytes of their left and right part.

    Raises:
        ValueError: `n_merges` is negative.
    """
    # task 8
    if n_merges < 0:
        raise ValueError(f"n_merges must not be negative, got {n_merges}")
    pieces = Counter(regex_pretokenize(text))
    words = [(list(piece.encode("utf-8")), n) for piece, n in pieces.items()]
    spelled = {i: bytes([i]) for i in range(256)}
    merges = []
    while len(merges) < n_merges:
        pairs: Counter = Counter()
        for ids, n in words:
            for pair in itertools.pairwise(ids):
                pairs[pair] += n
        if not pairs:
            break
        left, right = min(pairs, key=lambda pair: (-pairs[pair], pair))
        new = 256 + len(merges)
        words = [(_merge(ids, left, right, new), n) for ids, n in words]
        merges.append((spelled[left], spelled[right]))
        spelled[new] = spelled[left] + spelled[right]
    return merges


def _merge(ids: list[int], left: int, right: int, new: int) -> list[int]:
    # task 8
    merged, i = [], 0
    while i < len(ids):
        if ids[i] == left and ids[i + 1 : i + 2] == [right]:
            merged.append(new)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged
