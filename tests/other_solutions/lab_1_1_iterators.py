"""A correct lab 1.1 in another style: iterators, a shared mixin, numbers by NumPy.

It uses `regex` with a verbose pattern of its own, keeps ids in dictionaries of another
shape, and returns NumPy integers here and there. It must earn 10 of 10.
"""

from __future__ import annotations

import itertools
import math
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
import regex

SPECIALS = ("<pad>", "<unk>", "<bos>", "<eos>")
PIECE = regex.compile(
    r"""(?x)
    '(?: s | t | re | ve | m | ll | d )
    | [ ]? (?: \p{L}+ | \p{N}+ | [^\s\p{L}\p{N}]+ )
    | \s+ $ | \s+ (?= \s ) | \s
    """
)


def whitespace_pretokenize(text: str) -> list[str]:
    return ["".join(group) for _, group in itertools.groupby(text, key=str.isspace)]


def regex_pretokenize(text: str) -> list[str]:
    pieces = [match.group() for match in PIECE.finditer(text)]
    return pieces


class Vocabulary:
    def __init__(self, tokens, n_specials=0):
        self.tokens, self.n_specials = tuple(tokens), n_specials
        self._special = {t: i for i, t in enumerate(self.tokens[:n_specials])}
        self._word = OrderedDict(
            (t, i) for i, t in enumerate(self.tokens) if i >= n_specials
        )

    @classmethod
    def build(cls, tokens, *, min_freq=1, max_size=None, specials=SPECIALS):
        if isinstance(tokens, (str, bytes)):
            raise TypeError("tokens: give a list of strings")
        if min_freq < 1:
            raise ValueError("min_freq: at least 1")
        if max_size is None:
            max_size = math.inf
        if max_size < len(specials):
            raise ValueError("max_size: no room for the specials")
        if len(specials) != len({*specials}):
            raise ValueError("specials: one is there twice")
        counted = sorted(Counter(tokens).items(), key=itemgetter(0))
        counted.sort(key=itemgetter(1), reverse=True)
        frequent = itertools.takewhile(lambda pair: pair[1] >= min_freq, counted)
        every = itertools.chain(specials, map(itemgetter(0), frequent))
        stop = None if max_size == math.inf else max_size
        return cls(itertools.islice(every, stop), len(specials))

    def __len__(self):
        return len(self.tokens)

    def __contains__(self, token):
        return token in self._word

    def special_id(self, name):
        return self._special.get(name)

    def token_to_id(self, token):
        try:
            return self._word[token]
        except KeyError:
            if "<unk>" in self._special:
                return self._special["<unk>"]
        raise ValueError("token: not in here, and no <unk> either")

    def id_to_token(self, id):
        if id < 0 or id >= len(self.tokens):
            raise ValueError("id: no such token")
        return self.tokens[id]


class PieceTokenizer:
    def __init__(self, vocabulary):
        self.vocabulary = vocabulary
        self.unk_id = vocabulary.special_id("<unk>")
        self.vocab_size = len(vocabulary)

    @classmethod
    def train(cls, text, **options):
        return cls(Vocabulary.build(cls.split(text), **options))

    def _ids(self, text, bos, eos):
        if bos:
            yield self.vocabulary.special_id("<bos>")
        yield from map(self.vocabulary.token_to_id, self.split(text))
        if eos:
            yield self.vocabulary.special_id("<eos>")

    def encode(self, text, *, add_bos=False, add_eos=False):
        if not isinstance(text, str):
            raise TypeError("text: not a string")
        return [np.int64(i) for i in self._ids(text, add_bos, add_eos)]

    def decode(self, ids, *, skip_specials=True):
        words = [(i, self.vocabulary.id_to_token(i)) for i in ids]
        last = self.vocabulary.n_specials if skip_specials else 0
        return "".join(w for i, w in words if i >= last or i == self.unk_id)


class WhitespaceTokenizer(PieceTokenizer):
    @staticmethod
    def split(text):
        return whitespace_pretokenize(text)


class RegexTokenizer(PieceTokenizer):
    @staticmethod
    def split(text):
        return regex_pretokenize(text)


class ByteLevelTokenizer:
    unk_id = None

    def __init__(self, specials=("<|endoftext|>",)):
        self.by_name = dict(zip(specials, itertools.count(256), strict=False))
        self.vocab_size = 256 + len(self.by_name)
        self.spelled = {i: bytes([i]) for i in range(256)}
        self.spelled |= {i: name.encode() for name, i in self.by_name.items()}

    def _cut(self, text, names):
        if not names:
            return self._plain(text)
        name, *shorter = names
        between = [self._cut(part, shorter) for part in text.split(name)]
        for part in between[:-1]:
            part.append(self.by_name[name])
        return list(itertools.chain.from_iterable(between))

    def _plain(self, text):
        try:
            return np.frombuffer(text.encode(), dtype=np.uint8).tolist()
        except UnicodeError as error:
            raise ValueError(f"text: {error}") from error

    def encode(self, text, *, allowed_special=()):
        if not {*allowed_special} <= self.by_name.keys():
            raise ValueError("allowed_special: unknown name")
        return self._cut(text, sorted(allowed_special, key=len, reverse=True))

    def decode(self, ids, *, errors="replace"):
        try:
            data = b"".join(map(self.spelled.__getitem__, ids))
        except KeyError as error:
            raise ValueError(f"ids: {error} is out of range") from None
        return data.decode(errors=errors)


def bytes_to_unicode():
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = sorted({*range(256)} - {*shown})
    codes = shown + [256 + n for n in range(len(hidden))]
    return {b: chr(c) for b, c in zip(shown + hidden, codes, strict=True)}


@dataclass
class Report:
    name: str
    vocab_size: int
    n_tokens: int
    bytes_per_token: float
    unk_rate: float
    round_trip: bool
    mb_per_s: float


def benchmark(tokenizer, text, *, name, clock=time.perf_counter, repeats=3):
    if not len(text):
        raise ValueError("text: nothing to encode")
    if repeats <= 0:
        raise ValueError("repeats: at least 1")
    seconds = np.empty(repeats)
    for i in range(repeats):
        start = clock()
        ids = np.asarray(tokenizer.encode(text))
        seconds[i] = clock() - start
    n = len(text.encode())
    known = 1.0 if tokenizer.unk_id is None else np.mean(ids != tokenizer.unk_id)
    return Report(
        name=name,
        vocab_size=tokenizer.vocab_size,
        n_tokens=ids.size,
        bytes_per_token=np.float64(n) / ids.size,
        unk_rate=1.0 - known,
        round_trip=bool(tokenizer.decode(ids.tolist()) == text),
        mb_per_s=n * 1e-6 / seconds.min(),
    )


def train_bpe(text, n_merges):
    if n_merges < 0:
        raise ValueError("n_merges: not below 0")
    words = Counter(tuple(piece.encode()) for piece in regex_pretokenize(text))
    spelled, merges = [bytes([i]) for i in range(256)], []
    for new in range(256, 256 + n_merges):
        pairs = Counter()
        for word, n in words.items():
            pairs.update(
                {p: n * c for p, c in Counter(itertools.pairwise(word)).items()}
            )
        if not pairs:
            break
        best = min(pairs.items(), key=lambda item: (-item[1], item[0]))[0]
        merges.append(tuple(spelled[i] for i in best))
        spelled.append(b"".join(merges[-1]))
        words = Counter({_replace(word, best, new): n for word, n in words.items()})
    return merges


def _replace(word, pair, new):
    at = next((i for i in range(len(word) - 1) if word[i : i + 2] == pair), None)
    if at is None:
        return word
    return (*word[:at], new, *_replace(word[at + 2 :], pair, new))
