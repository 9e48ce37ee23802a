"""The marking scheme of lab 1.1: what each task must do, and how we know.

Oracles: groupby for task 1, the published pattern and tiktoken for task 2, Counter for
task 3, str.encode for task 5, str.isprintable for task 6, a clock of our own for task
7, a slow second BPE for the bonus. Speed is never graded.
"""

from __future__ import annotations

from collections import Counter
from itertools import groupby, pairwise

import regex
from hypothesis import given
from hypothesis import strategies as st

from common import datasets
from common.grading import check, needs_data, task

# Left out, because correct solutions may differ there: U+001C to U+001F, whitespace for
# `re` and not for `regex`, and code points that this Python's tables do not know.
TEXT = st.text(
    st.characters(
        exclude_categories=["Cs", "Cn"], exclude_characters="\x1c\x1d\x1e\x1f"
    )
)
SPACED = st.text(alphabet=" \t\n\r\u00a0\u3000ab\u00e9.", max_size=30)

# --- Task 1 ----------------------------------------------------------------------


@task(1)
def test_pieces_of_a_short_text(lab):
    check.equal(lab.whitespace_pretokenize("a  b\n"), ["a", "  ", "b", "\n"])


@task(1)
def test_empty_text_has_no_pieces(lab):
    check.equal(lab.whitespace_pretokenize(""), [])


@task(1)
@given(st.one_of(TEXT, SPACED))
def test_runs_of_space_and_of_non_space(lab, text):
    got = lab.whitespace_pretokenize(text)
    check.equal(got, ["".join(run) for _, run in groupby(text, str.isspace)])


# --- Task 2 ----------------------------------------------------------------------

# As published: openai/gpt-2, src/encoder.py.
PUBLISHED = regex.compile(
    r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
)

ADVERSARIAL = [
    "x_1 __init__ _ a_b",
    "abc123def 3rd 1st 4x4",
    "1,234.56 -7 3e10 0x1F",
    "²³¼ Ⅷ ٣٤ 一二",
    "\tindented\n\t\ttwice",
    "a\t b \tc",
    "word     five spaces",
    "   three in front",
    "three behind   ",
    "\n\n\nlines\n\n",
    "carriage\r\nreturn\r\n\r\n",
    " \n \n x",
    "don't I'll we've they're I'm he'd it's",
    "DON'T I'LL WE'VE",
    "don’t it’s",
    "'quoted' 'tis 'sup",
    "rock'n'roll o'clock",
    "'s't're",
    "e\u0301 n\u0303 combining",
    "naïve café Ωmega",
    "Привет, мир!",
    "日本語のテキスト。",
    "한국어 텍스트",
    "שלום עולם",
    "हिन्दी पाठ",
    "👍🏽 👨‍👩‍👧‍👦 🇩🇪",
    "a👍b 👍 1👍",
    "!?... --> ***",
    "http://a.b/c?d=e&f#g",
    "user@example.org",
    "f(x)=x**2;",
    "{'key': [1, 2]}",
    "C++ and C#",
    "\u00a0no-break\u00a0space",
    "\u3000ideographic\u3000space",
    "\u200bzero\u200bwidth",
    "a\u0085b\u2028c\u2029d",
    "\x00\x01control\x7f",
    "$100 €50 £5",
    "<|endoftext|> <unk>",
]


@task(2)
def test_pieces_of_one_line(lab):
    got = lab.regex_pretokenize("I've 2  cats\n x_1 DON'T")
    expected = ["I", "'ve", " 2", " ", " cats", "\n", " x", "_", "1", " DON", "'", "T"]
    check.equal(got, expected)


@task(2)
def test_strings_that_break_simple_rules(lab):
    for text in ADVERSARIAL:
        got = lab.regex_pretokenize(text)
        check.equal(got, PUBLISHED.findall(text))


@task(2)
@given(st.one_of(TEXT, SPACED, st.text(alphabet="aB1_' \n'sdtrem.\u00e9\u2019")))
def test_any_text(lab, text):
    check.equal(lab.regex_pretokenize(text), PUBLISHED.findall(text))


@task(2)
@needs_data("gpt2")
def test_gpt2_never_merges_across_pieces(lab):
    cut = [lab.regex_pretokenize(text) for text in ADVERSARIAL]
    encode = datasets.gpt2_encoding().encode_ordinary
    for text, pieces in zip(ADVERSARIAL, cut, strict=True):
        check.equal([i for piece in pieces for i in encode(piece)], encode(text))


@task(2)
@needs_data("gpt2", "tinyshakespeare", "wikitext-2")
def test_gpt2_never_merges_across_pieces_of_real_text(lab):
    for source in (datasets.tiny_shakespeare(), datasets.wikitext2("valid")):
        text = source[:200_000]
        pieces = lab.regex_pretokenize(text)
        encode = datasets.gpt2_encoding().encode_ordinary
        check.equal([i for piece in pieces for i in encode(piece)], encode(text))


@task(2)
@needs_data("tinyshakespeare")
def test_number_of_pieces_in_tiny_shakespeare(lab):
    pieces = lab.regex_pretokenize(datasets.tiny_shakespeare())
    check.equal(len(pieces), 297_833)


# --- Task 3 ----------------------------------------------------------------------


@task(3)
def test_vocabulary_of_eight_tokens(lab):
    tokens = ["d", "a", "c", "a", "b", "a", "d", "b"]
    built = lab.Vocabulary.build(
        tokens, min_freq=2, max_size=4, specials=["<pad>", "<unk>"]
    )
    check.equal(built.tokens, ("<pad>", "<unk>", "a", "b"))


@task(3)
def test_cutoff_and_order_follow_the_counts(lab, rng):
    words = [f"w{i}" for i in range(40)]
    tokens = [words[i] for i in rng.geometric(0.15, size=300) % 40]
    for min_freq, max_size in [(1, None), (2, None), (3, 17), (1, 4), (999, None)]:
        built = lab.Vocabulary.build(tokens, min_freq=min_freq, max_size=max_size)
        pairs = sorted(Counter(tokens).items(), key=lambda pair: (-pair[1], pair[0]))
        kept = [token for token, count in pairs if count >= min_freq]
        specials = ["<pad>", "<unk>", "<bos>", "<eos>"]
        check.equal(built.tokens, tuple([*specials, *kept][:max_size]))
        check.equal(built.n_specials, 4)


@task(3)
def test_order_of_the_corpus_does_not_matter(lab, rng):
    tokens = list("the quick brown fox jumps over the lazy dog")
    shuffled = [tokens[i] for i in rng.permutation(len(tokens))]
    ours, theirs = lab.Vocabulary.build(tokens), lab.Vocabulary.build(iter(shuffled))
    check.equal(theirs.tokens, ours.tokens)


@task(3)
def test_text_that_spells_a_special_is_ordinary(lab):
    built = lab.Vocabulary.build(["<bos>", "x", "<bos>"], specials=["<unk>", "<bos>"])
    check.equal(built.tokens, ("<unk>", "<bos>", "<bos>", "x"))
    check.equal(built.token_to_id("<bos>"), 2)


@task(3)
def test_look_ups(lab):
    vocabulary = lab.Vocabulary(("<pad>", "<unk>", "a", "b"), n_specials=2)
    check.equal([vocabulary.token_to_id(t) for t in ["b", "a", "zzz"]], [3, 2, 1])
    check.equal(
        [vocabulary.id_to_token(i) for i in range(4)], ["<pad>", "<unk>", "a", "b"]
    )
    for id in (-1, 4):
        check.raises(ValueError, lambda id=id: vocabulary.id_to_token(id), match="id")
    without = lab.Vocabulary(("a",), n_specials=0)
    check.raises(ValueError, lambda: without.token_to_id("b"), match="token")


@task(3)
def test_arguments_that_make_no_sense(lab):
    build = lab.Vocabulary.build
    check.raises(ValueError, lambda: build(["a"], min_freq=0), match="min_freq")
    check.raises(ValueError, lambda: build(["a"], max_size=3), match="max_size")
    twice = ["<unk>", "<unk>"]
    check.raises(ValueError, lambda: build(["a"], specials=twice), match="specials")
    check.raises(TypeError, lambda: build("a string"), match="tokens")
    check.equal(build([], max_size=4).tokens, ("<pad>", "<unk>", "<bos>", "<eos>"))


# --- Task 4 ----------------------------------------------------------------------

SPECIALS = ("<pad>", "<unk>", "<bos>", "<eos>")


def whitespace_tokenizer(lab):
    return lab.WhitespaceTokenizer(lab.Vocabulary((*SPECIALS, " ", "a", "b"), 4))


@task(4)
def test_ids_of_a_short_text(lab):
    tokenizer = whitespace_tokenizer(lab)
    check.equal(tokenizer.encode("a x  b"), [5, 4, 1, 1, 6])
    check.equal(tokenizer.encode("b", add_bos=True, add_eos=True), [2, 6, 3])
    check.equal(tokenizer.encode("b", add_eos=True), [6, 3])


@task(4)
def test_text_of_a_few_ids(lab):
    tokenizer = whitespace_tokenizer(lab)
    check.equal(tokenizer.decode([2, 5, 4, 1, 4, 6, 3, 0]), "a <unk> b")
    check.equal(tokenizer.decode([2, 5, 0], skip_specials=False), "<bos>a<pad>")
    check.equal(tokenizer.decode(iter([])), "")


@task(4)
def test_pieces_of_the_regex_rule(lab):
    vocabulary = lab.Vocabulary((*SPECIALS, "I", "'m", " here", "."), 4)
    tokenizer = lab.RegexTokenizer(vocabulary)
    check.equal(tokenizer.encode("I'm here."), [4, 5, 6, 7])
    check.equal(tokenizer.decode([4, 5, 6, 7]), "I'm here.")


@task(4)
@given(st.text(alphabet="ab \nxy", max_size=12))
def test_round_trip_exactly_when_every_piece_is_known(lab, text):
    tokenizer = whitespace_tokenizer(lab)
    pieces = ["".join(run) for _, run in groupby(text, str.isspace)]
    known = all(piece in (" ", "a", "b") for piece in pieces)
    check.equal(tokenizer.decode(tokenizer.encode(text)) == text, known)
    check.equal(len(tokenizer.encode(text)), len(pieces))


@task(4)
def test_round_trip_on_the_text_it_was_trained_on(lab):
    text = datasets.python_docs()[:20_000] + "\n<bos> <unk> <pad>"
    for tokenizer in (
        lab.WhitespaceTokenizer.train(text),
        lab.RegexTokenizer.train(text),
    ):
        check.equal(tokenizer.decode(tokenizer.encode(text, add_bos=True)), text)


@task(4)
def test_input_that_is_no_text_or_no_id(lab):
    tokenizer = whitespace_tokenizer(lab)
    check.raises(TypeError, lambda: tokenizer.encode(b"a"), match="text")
    check.raises(ValueError, lambda: tokenizer.decode([5, 7]), match="id")
    check.raises(ValueError, lambda: tokenizer.decode([-1]), match="id")
    check.equal(tokenizer.encode(""), [])


# --- Task 5 ----------------------------------------------------------------------


@task(5)
def test_bytes_of_a_short_text(lab):
    tokenizer = lab.ByteLevelTokenizer()
    check.equal(tokenizer.encode("aé日"), [97, 195, 169, 230, 151, 165])
    check.equal(tokenizer.decode([97, 195, 169, 230, 151, 165]), "aé日")


@task(5)
@given(TEXT, TEXT)
def test_utf8_and_back(lab, first, second):
    tokenizer = lab.ByteLevelTokenizer()
    got = tokenizer.encode(first)
    check.equal(got, list(first.encode("utf-8")))
    check.equal(tokenizer.decode(got), first)
    check.equal(tokenizer.encode(first + second), got + tokenizer.encode(second))


@task(5)
@given(st.lists(st.integers(0, 256), max_size=12))
def test_any_ids_decode(lab, ids):
    tokenizer = lab.ByteLevelTokenizer()
    data = b"".join(b"<|endoftext|>" if i == 256 else bytes([i]) for i in ids)
    check.equal(tokenizer.decode(ids), data.decode("utf-8", errors="replace"))


@task(5)
def test_a_special_is_text_unless_it_is_allowed(lab):
    tokenizer = lab.ByteLevelTokenizer()
    text = "a<|endoftext|>b"
    check.equal(tokenizer.encode(text), list(text.encode()))
    ids = tokenizer.encode(text, allowed_special={"<|endoftext|>"})
    check.equal(ids, [97, 256, 98])
    check.equal(tokenizer.decode(ids), text)


@task(5)
def test_the_longest_of_overlapping_specials(lab):
    names = ["<|a|>", "<|a|><|b|>", "."]
    tokenizer = lab.ByteLevelTokenizer(names)
    got = tokenizer.encode("<|a|><|b|><|a|>x.", allowed_special=names)
    check.equal(got, [257, 256, 120, 258])


@task(5)
def test_what_bytes_cannot_hold(lab):
    tokenizer = lab.ByteLevelTokenizer()
    check.raises(ValueError, lambda: tokenizer.encode("\ud800"), match="text")
    allowed = {"<|other|>"}
    check.raises(
        ValueError,
        lambda: tokenizer.encode("x", allowed_special=allowed),
        match="allowed_special",
    )
    check.raises(ValueError, lambda: tokenizer.decode([257]), match="ids")
    check.raises(ValueError, lambda: tokenizer.decode([-1]), match="ids")
    check.raises(ValueError, lambda: tokenizer.decode([255], errors="strict"))
    check.equal(tokenizer.decode([195, 169], errors="strict"), "é")


# --- Task 6 ----------------------------------------------------------------------


@task(6)
def test_a_few_stand_ins(lab):
    table = lab.bytes_to_unicode()
    got = {byte: table.get(byte) for byte in (10, 32, 65, 127, 160, 173, 255)}
    expected = {10: "Ċ", 32: "Ġ", 65: "A", 127: "ġ", 160: "ł", 173: "Ń", 255: "ÿ"}
    check.equal(got, expected)


@task(6)
def test_the_whole_table(lab):
    table = lab.bytes_to_unicode()
    keep = [b for b in range(256) if chr(b).isprintable() and b != 32]
    move = [b for b in range(256) if b not in keep]
    expected = {b: chr(b) for b in keep} | {b: chr(256 + i) for i, b in enumerate(move)}
    check.equal(dict(sorted(table.items())), dict(sorted(expected.items())))


# --- Task 7 ----------------------------------------------------------------------


class Clock:
    """Stands still, except while a `Letters` tokenizer encodes."""

    def __init__(self):
        self.now = 50.0

    def __call__(self):
        return self.now


class Letters:
    """One id per character, 1 for q; each encode takes the next of `times` seconds."""

    vocab_size = 300
    unk_id = 1

    def __init__(self, clock, times):
        self.clock, self.times = clock, iter(times)

    def encode(self, text):
        self.clock.now += next(self.times, 100.0)
        return [1 if character == "q" else ord(character) for character in text]

    def decode(self, ids):
        return "".join("?" if i == 1 else chr(i) for i in ids)


class Knows(Letters):
    """Never unknown, and says so."""

    unk_id = None


@task(7)
def test_report_of_four_characters(lab):
    clock = Clock()
    tokenizer = Letters(clock, [0.5, 0.25, 1.0])
    report = lab.benchmark(tokenizer, "日qq本", name="letters", clock=clock)
    check.equal((report.name, report.vocab_size, report.n_tokens), ("letters", 300, 4))
    check.close(report.bytes_per_token, 2.0, name="bytes per token")
    check.close(report.unk_rate, 0.5, name="unk rate")
    check.equal(report.round_trip, False, name="round trip")
    check.close(report.mb_per_s, 8e-6 / 0.25, name="MB per second")


@task(7)
def test_report_of_text_without_unknowns(lab):
    clock = Clock()
    tokenizer = Knows(clock, [0.125, 0.5])
    report = lab.benchmark(tokenizer, "aé" * 500, name="x", clock=clock, repeats=2)
    check.close(report.bytes_per_token, 1.5, name="bytes per token")
    check.close(report.unk_rate, 0.0, name="unk rate")
    check.equal(report.round_trip, True, name="round trip")
    check.close(report.mb_per_s, 1500e-6 / 0.125, name="MB per second")


@task(7)
def test_nothing_to_measure(lab):
    clock = Clock()
    tokenizer = Letters(clock, [1.0])
    check.raises(
        ValueError, lambda: lab.benchmark(tokenizer, "", name="x"), match="text"
    )
    check.raises(
        ValueError,
        lambda: lab.benchmark(tokenizer, "a", name="x", repeats=0),
        match="repeats",
    )


# --- Bonus -----------------------------------------------------------------------


def slow_bpe(pieces, n_merges):
    """The same rule on lists of byte strings, one piece at a time."""
    words = [[bytes([b]) for b in piece.encode("utf-8")] for piece in pieces]
    order = [bytes([b]) for b in range(256)]
    merges = []
    while len(merges) < n_merges:
        pairs = Counter(pair for word in words for pair in pairwise(word))
        if not pairs:
            break
        most = max(pairs.values())
        best = [pair for pair, count in pairs.items() if count == most]
        left, right = min(best, key=lambda p: (order.index(p[0]), order.index(p[1])))
        for word in words:
            for i in range(len(word) - 1):
                if word[i : i + 2] == [left, right]:
                    word[i : i + 2] = [left + right]
        merges.append((left, right))
        order.append(left + right)
    return merges


@task(8)
def test_merges_of_a_few_words(lab):
    got = lab.train_bpe("low low low lower newest newest widest aaaa", 4)
    expected = [(b"l", b"o"), (b"lo", b"w"), (b" ", b"low"), (b"a", b"a")]
    check.equal(got, expected)


@task(8)
def test_merges_equal_a_slow_second_version(lab, rng):
    words = ["".join(rng.choice(list("abcé"), size=n)) for n in (2, 3, 4, 5, 6, 7)]
    text = " ".join(words[i] for i in rng.integers(0, 6, size=60))
    got = lab.train_bpe(text, 25)
    check.equal(got, slow_bpe(PUBLISHED.findall(text), 25))


@task(8)
def test_merges_end_when_nothing_is_left(lab):
    check.equal(lab.train_bpe("ab ab", 99), [(b"a", b"b"), (b" ", b"ab")])
    check.equal(lab.train_bpe("", 3), [])
    check.raises(ValueError, lambda: lab.train_bpe("ab", -1), match="n_merges")
