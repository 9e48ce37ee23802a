"""Four tokenizers on real text: what each costs, what each loses, what a model sees.

Measures the lab's byte, whitespace and regex tokenizers beside tiktoken's GPT-2 on Tiny
Shakespeare and WikiText-2: size, compression, speed, unknown pieces on unseen text, the
rank-frequency law, and how GPT-2 cuts numbers and words. Takes about 10 seconds; with
`full`, which adds WikiText-2's training part (10.8 MB), about 30. Nothing
is drawn at random: only the speeds differ from run to run.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tiktoken

from common import datasets, plotting
from common.results import Results

SEED = 0  # stored with the metrics; no number here is drawn at random
QUICK_CHARS = 100_000
HELD_OUT = 0.1  # the last tenth of a text is the unseen part
MIN_FREQS = (1, 2, 3, 5, 10, 20, 50, 100)
GPT2_PREFIXES = (256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 50256)
ZIPF_RANKS = (50, 1000)  # the straight part of both texts
RANKS_IN_WORDS = "{:,} to {:,}".format(*ZIPF_RANKS)
FAMILIES = ("byte", "whitespace", "regex", "gpt2")
COLOURS = dict(zip(FAMILIES, plotting.PALETTE, strict=False))
MARKERS = "os^"  # one per corpus
UNK_MARKS = (
    "The flat start of WikiText-2 is ` the` and the three pieces of its `<unk>` marks: "
    "` <`, `unk` and `>`."
)
EMOJI = "\N{SLIGHTLY SMILING FACE}"


class Corpus(NamedTuple):
    """A text, its name in a sentence, and its name in a metric."""

    key: str
    title: str
    text: str


class Gpt2:
    """tiktoken's GPT-2 in the shape that the lab's `benchmark` takes."""

    unk_id = None

    def __init__(self, encoding: tiktoken.Encoding) -> None:
        self.encoding = encoding
        self.encode = encoding.encode_ordinary
        self.decode = encoding.decode
        self.vocab_size = encoding.n_vocab

    def pieces(self, text: str) -> list[str]:
        """The tokens of an ASCII text, spelled out."""
        return [self.decode([id]) for id in self.encode(text)]


def main(lab, out: Path, quick: bool = False, full: bool = False) -> None:
    """Run the experiment.

    Args:
        lab: the module under test: the solution, or a learner's lab.py.
        out: folder for metrics.json, report.md and the three plots.
        quick: use the first 100 kB of each text; a few seconds.
        full: add the training part of WikiText-2.
    """
    title = "Lab 1.1: what four tokenizers cost and lose"
    results = Results(out, title, seed=SEED, steps=5, quick=quick)
    duration = "3 seconds" if quick else "30 seconds" if full else "10 seconds"
    results.say(f"Makes a benchmark table, 3 plots and a report in about {duration}.")
    corpora, gpt2 = load(results, quick, full)
    compare(lab, results, corpora, gpt2)
    hold_out(lab, results, corpora)
    rank_frequency(lab, results, corpora)
    results.step("how tokenization shapes capability")
    results.text("## Tokenization shapes capability")
    if gpt2:
        numbers_and_letters(results, gpt2)
    signs(lab, results, corpora[0], gpt2)
    results.step("writing metrics.json and report.md")
    results.save()


# --- The texts --------------------------------------------------------------------


def load(results: Results, quick: bool, full: bool) -> tuple[list[Corpus], Gpt2 | None]:
    """What is on this machine or can be downloaded; what is not is said."""
    wanted = [
        ("tiny_shakespeare", "Tiny Shakespeare", datasets.tiny_shakespeare),
        ("wikitext2", "WikiText-2 valid+test", lambda: wikitext("valid", "test")),
    ]
    if full:
        wanted.append(
            ("wikitext2_train", "WikiText-2 train", lambda: wikitext("train"))
        )
    found = [
        Corpus(key, title, have(results, title, get)) for key, title, get in wanted
    ]
    corpora = [corpus for corpus in found if corpus.text is not None]
    if not corpora:
        results.remark("The Python documentation takes their place.")
        corpora = [Corpus("python_docs", "Python docs", datasets.python_docs())]
    if quick:
        corpora = [c._replace(text=c.text[:QUICK_CHARS]) for c in corpora]
    encoding = have(results, "GPT-2's vocabulary", datasets.gpt2_encoding)
    return corpora, encoding and Gpt2(encoding)


def wikitext(*splits: str) -> str:
    """Parts of WikiText-2 as one text."""
    return "".join(datasets.wikitext2(split) for split in splits)


def have(results: Results, title: str, get):
    """What `get` returns; None, and a sentence that says so, where it is missing."""
    try:
        return get()
    except datasets.DatasetCorrupt:
        raise  # a broken copy is for the reader to mend, not to pass over
    except datasets.DatasetMissing:
        results.remark(f"{title}: not on this machine and no download; left out.")
        return None


# --- Size, compression, speed -----------------------------------------------------


def compare(lab, results: Results, corpora: list[Corpus], gpt2: Gpt2 | None) -> None:
    """The benchmark table, and vocabulary size against compression."""
    results.step("benchmark of the tokenizers")
    reports = {corpus: benchmark(lab, results, corpus, gpt2) for corpus in corpora}
    results.text("## Size, compression and speed")
    results.table(
        ["text", "tokenizer", "vocabulary", "tokens", "bytes/token", "same", "MB/s"],
        [table_row(corpus, r) for corpus in corpora for r in reports[corpus]],
    )
    note = (
        "Each piece tokenizer has the vocabulary of the text itself and 4 specials. "
        "«same»: decode(encode(text)) is the text. MB/s: best of 3 on one core. "
    )
    results.text(note + (speeds(results, reports[corpora[0]]) if gpt2 else ""))
    fig = draw_compression(lab, reports, gpt2)
    caption = "Bytes per token; dotted: GPT-2's vocabulary with its first merges only"
    results.figure(fig, "vocabulary.png", caption)


def table_row(corpus: Corpus, r) -> tuple:
    """One `Report` of the lab as a line of the benchmark table."""
    ratio, speed = f"{r.bytes_per_token:.3f}", f"{r.mb_per_s:.1f}"
    return corpus.title, r.name, r.vocab_size, r.n_tokens, ratio, r.round_trip, speed


def tokenizers(lab, text: str, gpt2: Gpt2 | None) -> dict:
    """The tokenizers by name; the piece tokenizers know the pieces of `text`."""
    made = {
        "byte": lab.ByteLevelTokenizer(),
        "whitespace": lab.WhitespaceTokenizer.train(text),
        "regex": lab.RegexTokenizer.train(text),
    }
    return made | ({"gpt2": gpt2} if gpt2 else {})


def benchmark(lab, results: Results, corpus: Corpus, gpt2: Gpt2 | None) -> list:
    """One `Report` of the lab per tokenizer, and its figures as metrics."""
    text, key = corpus.text, corpus.key
    made = tokenizers(lab, text, gpt2)
    n_bytes = len(text.encode("utf-8"))
    results.metric(f"{key}.bytes", n_bytes, "bytes")
    reports = [lab.benchmark(t, text, name=name) for name, t in made.items()]
    for r in reports:
        name, seconds = f"{key}.{r.name}", n_bytes / 1e6 / r.mb_per_s
        results.metric(f"{name}.vocab_size", r.vocab_size, "tokens")
        results.metric(f"{name}.tokens", r.n_tokens, "tokens")
        results.metric(f"{name}.bytes_per_token", r.bytes_per_token, "bytes/token")
        results.metric(f"{name}.round_trip", r.round_trip, "")
        results.metric(f"{name}.speed", r.mb_per_s, "MB/s", seconds)
    rare = lab.RegexTokenizer.train(text, min_freq=2).vocab_size
    results.metric(f"{key}.regex.vocab_size_min_freq_2", rare, "tokens")
    return reports


def speeds(results: Results, reports: list) -> str:
    """The lab's speeds as multiples of tiktoken's, from the same run."""
    speed = {r.name: r.mb_per_s for r in reports}
    ratio = {name: speed[name] / speed["gpt2"] for name in FAMILIES[:3]}
    for name, value in ratio.items():
        results.metric(f"speed.{name}_over_gpt2", value, "ratio")
    found = ", ".join(f"{name} {value:.2f}x" for name, value in ratio.items())
    return (
        f"Speed as a multiple of tiktoken's `encode_ordinary`, first text: {found}; "
        "tiktoken also does the merges."
    )


def draw_compression(lab, reports: dict[Corpus, list], gpt2: Gpt2 | None):
    """Vocabulary size against bytes per token, one point per tokenizer and text."""
    fig, ax = plotting.figure(size=(7.0, 4.2))
    for (corpus, rows), marker in zip(reports.items(), MARKERS, strict=False):
        for r in rows:
            at = (r.vocab_size, r.bytes_per_token)
            ax.scatter(*at, 60, COLOURS[r.name], marker, zorder=3)
        if gpt2:
            ratios = prefix_compression(lab, corpus.text, gpt2)
            ax.plot(GPT2_PREFIXES, ratios, ":", color=COLOURS["gpt2"], linewidth=1.2)
    for r in rows:  # the legend: first the colours, then the signs
        ax.plot([], [], "o", color=COLOURS[r.name], label=r.name)
    if gpt2:
        ax.plot([], [], ":", color=COLOURS["gpt2"], label="gpt2, first merges only")
    for corpus, marker in zip(reports, MARKERS, strict=False):
        ax.plot([], [], marker, color="grey", label=corpus.title)
    size_axis(ax, (256, 1024, 4096, 16384, 65536))
    ax.set(ylabel="bytes per token", ylim=(0, None))
    ax.set(title="How a tokenizer cuts counts as much as its vocabulary size")
    ax.legend(loc="upper left", fontsize="small")
    return fig


def size_axis(ax, ticks: tuple[int, ...]) -> None:
    """Vocabulary size along x, on a log scale with round numbers."""
    ax.set_xscale("log")
    ax.set_xticks(ticks, labels=[f"{tick:,}" for tick in ticks])
    ax.minorticks_off()
    ax.set_xlabel("vocabulary size (tokens, log scale)")


def prefix_compression(lab, text: str, gpt2: Gpt2) -> list[float]:
    """Bytes per token of GPT-2's vocabulary cut off after its first ids.

    GPT-2 numbers its tokens in the order learned: 256 bytes, then one per merge.
    """
    spelled = gpt2.encoding.decode_single_token_bytes
    n_bytes, ratios = len(text.encode("utf-8")), []
    for size in GPT2_PREFIXES:
        ranks = {spelled(id): id for id in range(size)}
        cut = tiktoken.Encoding(
            f"gpt2-{size}",
            pat_str=lab.GPT2_PAT,
            mergeable_ranks=ranks,
            special_tokens={},
        )
        ratios.append(n_bytes / len(cut.encode_ordinary(text)))
    return ratios


# --- Unknown pieces ---------------------------------------------------------------


def hold_out(lab, results: Results, corpora: list[Corpus]) -> None:
    """Unknown pieces on the unseen end of a text, and on another kind of text."""
    results.step("unknown pieces on unseen text")
    corpus = corpora[0]
    kinds = {"whitespace": lab.WhitespaceTokenizer, "regex": lab.RegexTokenizer}
    curves = {name: sweep(kind, corpus.text) for name, kind in kinds.items()}
    results.text("## Unknown pieces")
    for name, curve in curves.items():
        for min_freq, (_, unknown) in zip(MIN_FREQS[:2], curve, strict=False):
            key = f"{corpus.key}.{name}.held_out_unknown_min_freq_{min_freq}"
            results.metric(key, unknown, "%")
    found = ", ".join(f"{name} {curve[0][1]:.1f} %" for name, curve in curves.items())
    results.text(
        f"{corpus.title}, vocabulary from the first 90 %, unknown in the last 10 %: "
        f"{found}, byte 0 %. `min_freq` trades vocabulary for unknowns; bytes per "
        "token stay the same, because an unknown piece is still one id."
    )
    fig = draw_unknown(corpus, curves)
    results.figure(fig, "unknown.png", "Unknown pieces, min_freq and vocabulary size")
    if len(corpora) > 1:
        other_kind(lab, results, *corpora[:2])


def sweep(kind, text: str) -> list[tuple[int, float]]:
    """(vocabulary size, unknown pieces in %) for each of `MIN_FREQS`."""
    cut = round(len(text) * (1 - HELD_OUT))
    curve = []
    for min_freq in MIN_FREQS:
        tokenizer = kind.train(text[:cut], min_freq=min_freq)
        unknown = unknown_percent(tokenizer, text[cut:])
        curve.append((tokenizer.vocab_size, unknown))
    return curve


def unknown_percent(tokenizer, text: str) -> float:
    """Share of a text's pieces that the vocabulary does not hold."""
    ids = tokenizer.encode(text)
    return 100 * ids.count(tokenizer.unk_id) / len(ids)


def other_kind(lab, results: Results, seen: Corpus, other: Corpus) -> None:
    """What a vocabulary misses of a text from another century."""
    tokenizer = lab.RegexTokenizer.train(seen.text)
    missed = unknown_percent(tokenizer, other.text)
    results.metric(f"{other.key}.regex.unknown_to_{seen.key}", missed, "%")
    results.text(
        f"The regex vocabulary of {seen.title} misses {missed:.0f} % of the pieces of "
        f"{other.title}; a byte-level tokenizer misses none."
    )


def draw_unknown(corpus: Corpus, curves: dict[str, list[tuple[int, float]]]):
    """The same unknown shares over min_freq and over the vocabulary it leaves."""
    fig, (left, right) = plotting.figure(1, 2, size=(8.0, 3.8))
    for name, curve in curves.items():
        sizes, unknown = zip(*curve, strict=True)
        left.plot(MIN_FREQS, unknown, "o-", color=COLOURS[name], label=name)
        right.plot(sizes, unknown, "o-", color=COLOURS[name], label=name)
    left.set_xscale("log")
    left.set_xticks(MIN_FREQS, labels=MIN_FREQS)
    left.minorticks_off()
    left.set_xlabel("min_freq (occurrences, log scale)")
    size_axis(right, (250, 1000, 4000, 16000))
    for ax in (left, right):
        ax.set(ylabel="unknown pieces in unseen text (%)", ylim=(0, None))
        ax.legend()
    title = f"{corpus.title}: a higher min_freq leaves fewer pieces and more unknowns"
    fig.suptitle(title, fontsize="medium")
    return fig


# --- Rank and frequency -----------------------------------------------------------


def rank_frequency(lab, results: Results, corpora: list[Corpus]) -> None:
    """Zipf's law: the r-th most frequent piece occurs about 1/r as often."""
    results.step("rank and frequency of the regex pieces")
    fig, ax = plotting.figure(size=(7.0, 4.2))
    found = []
    for corpus, colour in zip(corpora, plotting.PALETTE[4:], strict=False):
        counts = Counter(lab.regex_pretokenize(corpus.text)).values()
        frequency = np.sort(np.fromiter(counts, dtype=np.int64))[::-1]
        slope = draw_ranks(ax, corpus.title, frequency, colour)
        once = 100 * float(np.mean(frequency == 1))
        results.metric(f"{corpus.key}.zipf_slope", slope, "")
        results.metric(f"{corpus.key}.pieces_seen_once", once, "%")
        found.append(f"{corpus.title} {slope:.2f}, {once:.0f} % of its types seen once")
    ax.plot([], [], "k--", linewidth=1, label=f"fit over ranks {RANKS_IN_WORDS}")
    ax.set(xscale="log", yscale="log", title="Zipf's law on regex pieces")
    ax.set(xlabel="rank of the piece (log scale)", ylabel="occurrences (log scale)")
    ax.legend()
    results.text("## Rank and frequency")
    marks = UNK_MARKS if any(c.key == "wikitext2" for c in corpora) else ""
    results.text(f"Slope over ranks {RANKS_IN_WORDS}: {'; '.join(found)}. {marks}")
    results.figure(fig, "zipf.png", "Occurrences of a piece against its rank")


def draw_ranks(ax, title: str, frequency: np.ndarray, colour: str) -> float:
    """Draw one text's occurrences by rank with its fit; returns the fit's slope."""
    ranks, slope, level = fit(frequency)
    steps = log_spaced(1, len(frequency), 400)
    label = f"{title}, slope {slope:.2f}"
    ax.plot(steps, frequency[steps - 1], color=colour, label=label)
    ax.plot(ranks, np.exp(level) * ranks**slope, "k--", linewidth=1, zorder=3)
    return slope


def fit(frequency: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Ranks, slope and intercept of a straight line through log counts.

    The ranks are evenly spaced on the log axis, so that every decade weighs the same.
    """
    first, last = ZIPF_RANKS
    ranks = log_spaced(first, min(last, len(frequency)), 60)
    slope, level = np.polyfit(np.log(ranks), np.log(frequency[ranks - 1]), 1)
    return ranks.astype(float), float(slope), float(level)


def log_spaced(first: int, last: int, count: int) -> np.ndarray:
    """Different whole numbers from `first` to `last`, evenly spaced as logs."""
    return np.unique(np.geomspace(first, last, count).round().astype(int))


# --- What a model sees ------------------------------------------------------------


def numbers_and_letters(results: Results, gpt2: Gpt2) -> None:
    """How GPT-2 cuts numbers and one famous word."""
    texts = ("857", "858", "1234", "12345", "strawberry", " strawberry")
    rows = [(f"`{text}`", gpt2.pieces(text)) for text in texts]
    results.table(
        ["text", "GPT-2 tokens", "how many"],
        [(text, f"`{'|'.join(pieces)}`", len(pieces)) for text, pieces in rows],
    )
    results.metric("gpt2.tokens.strawberry", len(rows[-2][1]), "tokens")
    results.metric("gpt2.tokens.space_strawberry", len(rows[-1][1]), "tokens")
    three, four = number_splits(gpt2, 3), number_splits(gpt2, 4)
    for shape, count in (three | four).items():
        name = f"gpt2.digits.{shape.replace('|', '_')}"
        results.metric(name, count, "numbers")
    results.text(
        f"Of the 900 three-digit numbers {three['3']} are one token, {three['1|2']} "
        f"split 1|2 and {three['2|1']} split 2|1. Of the 9,000 four-digit numbers "
        f"{four['2|2']:,} split 2|2, {four['1|3']:,} 1|3, {four['3|1']} 3|1, and "
        f"{four['4']} are one token. Columns of digits do not line up for the model. "
        "Nor does it see the letters of a word: with a space in front, `strawberry` is "
        "one id, and how many r's it has must be learned by heart."
    )


def number_splits(gpt2: Gpt2, digits: int) -> Counter[str]:
    """How many numbers of so many digits are cut in each way, such as 1|2."""
    numbers = range(10 ** (digits - 1), 10**digits)
    return Counter("|".join(str(len(p)) for p in gpt2.pieces(str(n))) for n in numbers)


def signs(lab, results: Results, corpus: Corpus, gpt2: Gpt2 | None) -> None:
    """What becomes of signs that a corpus may not hold."""
    made = tokenizers(lab, corpus.text, gpt2)
    rows = [(name, fate(t, "é"), fate(t, EMOJI)) for name, t in made.items()]
    results.table([f"vocabulary of {corpus.title}", "é", "emoji U+1F642"], rows)
    for name, tokenizer in made.items():
        ids = tokenizer.encode(EMOJI)
        results.metric(f"{corpus.key}.{name}.emoji_tokens", len(ids), "tokens")
        kept = tokenizer.decode(ids) == EMOJI
        results.metric(f"{corpus.key}.{name}.emoji_round_trip", kept, "")


def fate(tokenizer, text: str) -> str:
    """How many ids a text becomes and whether it comes back."""
    ids = tokenizer.encode(text)
    back = tokenizer.decode(ids)
    count = f"{len(ids)} id{'s' * (len(ids) != 1)}"
    return (
        f"{count}, comes back" if back == text else f"{count}, comes back as `{back}`"
    )
