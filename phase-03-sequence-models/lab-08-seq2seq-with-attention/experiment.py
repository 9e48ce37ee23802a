"""The fixed-vector bottleneck: three models reverse sequences, one may look back.

With attention, without, and without but widened to the same number of parameters, each
trained for a fixed number of steps on lengths 4 to 16. Then: whole answers right by
length, beyond training too; where in an answer the errors stand; where the decoder
looks; and what free running costs while a model learns. One CPU thread, about two
minutes; `full` trains three times as long. No figure is graded.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch._dynamo  # the first optimizer would load it, and its time be counted
from threadpoolctl import threadpool_limits

from common import plotting, seeding
from common.device import one_torch_thread
from common.results import Results

SEED = 8
TASK, SYMBOLS, SHORTEST, LONGEST = "reverse", 18, 4, 16
EMBED, HIDDEN, ATTENTION, BATCH = 32, 64, 32, 64
RATE, SETTLE, CLIP = 3e-3, 2e-4, 1.0  # Adam's rate, and the one of the last steps
MODELS = {  # steps, and of these the last ones at the lower rate
    "attention": (900, 200),
    "plain": (1300, 260),
    "wide": (1000, 200),
}
LABELS = {
    "attention": "with attention",
    "plain": "without",
    "wide": "without, widened",
}
COLOURS = dict(zip(LABELS, plotting.PALETTE, strict=False))
LENGTHS = (2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 24, 28)
TABLE = (4, 8, 12, 16, 20)


def main(lab, out: Path, quick: bool = False, full: bool = False) -> None:
    """Run the experiment.

    Args:
        lab: the module under test: the solution, or a learner's lab.py.
        out: folder for metrics.json, report.md and the four plots.
        quick: a few steps and examples; a few seconds.
        full: three times as many steps.
    """
    title = "Lab 3.8: reversing sequences through a vector, or with attention"
    results = Results(out, title, seed=SEED, steps=8, quick=quick)
    duration = "3 seconds" if quick else "6 minutes" if full else "2 minutes"
    results.say(f"Makes 4 plots, 2 tables and a report in about {duration}.")
    share = 0.003 if quick else 3.0 if full else 1.0
    examples, watched, points = (8, 8, 2) if quick else (300, 128, 30)
    lengths = LENGTHS[1::2] if quick else LENGTHS
    with threadpool_limits(1), one_torch_thread():
        untrained = build(lab, "attention", HIDDEN)
        models, curves, facts = {}, {}, {}
        for name, steps in MODELS.items():
            results.step(f"training: {LABELS[name]}")
            sizes = [max(round(share * n), 2) for n in steps]
            watch = held_out(lab, watched, SHORTEST, LONGEST), points
            models[name], curves[name], facts[name] = learn(lab, name, *sizes, *watch)
            for key, (value, unit) in facts[name].items():
                results.metric(f"{key}.{name}", value, unit)
        results.step("whole answers right, by length")
        by_length(lab, results, models, facts, lengths, examples)
        results.step("right ids, by their place in the answer")
        by_place(lab, results, models, examples)
        results.step("where the decoder looks")
        alignment(lab, results, untrained, models["attention"], examples)
        results.step("what free running costs")
        draw_gap(results, curves, facts)
    results.step("writing metrics.json and report.md")
    results.save()


# --- The models and their training ------------------------------------------------


def build(lab, name: str, hidden: int):
    """A model of that many hidden units, its weights drawn from the seed."""
    torch.manual_seed(SEED)
    vocab = lab.FIRST + SYMBOLS
    return lab.Seq2Seq(vocab, EMBED, hidden, ATTENTION, name == "attention")


def size(model) -> int:
    """How many parameters it has."""
    return sum(p.numel() for p in model.parameters())


def widened(lab) -> int:
    """Hidden units with which the plain model comes nearest to the other's size."""
    target = size(build(lab, "attention", HIDDEN))
    wider = range(HIDDEN, 2 * HIDDEN)
    return min(wider, key=lambda h: abs(size(build(lab, "wide", h)) - target))


def stream(lab) -> Iterator:
    """Endless batches; the examples of each have one length, so nothing is padded."""
    rng = seeding.torch_generator(SEED)
    while True:
        n = int(torch.randint(SHORTEST, LONGEST + 1, (), generator=rng))
        yield lab.make_batch(rng, TASK, BATCH, n, n, SYMBOLS)


def held_out(lab, count: int, shortest: int, longest: int):
    """New examples; the seed is that of the training set plus the lengths."""
    rng = seeding.torch_generator(1000 * SEED + 100 * shortest + longest)
    return lab.make_batch(rng, TASK, count, shortest, longest, SYMBOLS)


def learn(lab, name: str, steps: int, settle: int, watched, points: int):
    """Train one model and measure its gap on `watched` so many times on the way.

    The last `settle` steps have the lower rate: at the higher one the loss has spikes,
    and whether the last step falls into one is luck.

    Returns the model, (steps, gaps, losses), and {name: (value, unit)}.
    """
    hidden = widened(lab) if name == "wide" else HIDDEN
    model, batches = build(lab, name, hidden), stream(lab)
    at, gaps, spent, every = [], [], [0.0], max(steps // points, 1)

    def watch(n: int, before: int = 0) -> None:
        if (before + n) % every == 0:
            start = time.perf_counter()
            at.append(before + n)
            gaps.append(lab.exposure_gap(model, watched))
            spent[0] += time.perf_counter() - start

    start, first = time.perf_counter(), steps - settle
    losses = lab.train(model, batches, first, RATE, CLIP, watch)
    losses += lab.train(
        model, batches, settle, SETTLE, CLIP, lambda n: watch(n, before=first)
    )
    seconds = time.perf_counter() - start - spent[0]
    facts = {
        "steps": (steps, "steps"),
        "hidden": (hidden, "units"),
        "parameters": (size(model), "parameters"),
        "examples": (steps * BATCH, "examples"),
        "seconds": (seconds, "s"),
        "loss": (np.mean(losses[-settle:]), "nats"),
        "gap": (gaps[-1], "share of ids"),
        "gap_largest": (max(gaps), "share of ids"),
    }
    return model, (at, gaps, losses), facts


# --- Accuracy by length -----------------------------------------------------------


def answers(lab, batch) -> list[list[int]]:
    """The right answers as lists, without EOS."""
    rows = batch.tgt_out.tolist()
    return [row[: row.index(lab.EOS)] for row in rows]


def by_length(
    lab, results: Results, models: dict, facts: dict, lengths, examples: int
) -> None:
    """Exact match and token accuracy of what each model writes by itself."""
    exact = {name: [] for name in models}
    for name, model in models.items():
        for n in lengths:
            batch = held_out(lab, examples, n, n)
            pred = lab.greedy_decode(model, batch.src, batch.lengths, 2 * n)
            gold = answers(lab, batch)
            exact[name].append(lab.exact_match(pred, gold))
            results.metric(f"exact.{name}.{n}", exact[name][-1], "share of answers")
            tokens = lab.token_accuracy(pred, gold)
            results.metric(f"tokens.{name}.{n}", tokens, "share of ids")
    results.text(
        f"Task: {TASK} {SYMBOLS} symbols, trained on lengths {SHORTEST} to {LONGEST}, "
        f"in batches of {BATCH}. Exact match: the share of {examples} new sequences of "
        "a length whose whole answer is right, free running."
    )
    rows = []
    for name in models:
        known = facts[name]["parameters"][0], facts[name]["examples"][0]
        seconds = f"{facts[name]['seconds'][0]:.0f}"
        cells = [f"{exact[name][lengths.index(n)]:.2f}" for n in TABLE]
        rows.append((LABELS[name], *known, seconds, *cells))
    header = ["model", "parameters", "examples seen", "seconds"]
    results.table([*header, *(f"length {n}" for n in TABLE)], rows)
    longest = [
        f"{LABELS[name]} {exact[name][lengths.index(LONGEST)]:.3f}" for name in models
    ]
    results.remark(f"Exact match at length {LONGEST}: {'; '.join(longest)}.")
    draw_lengths(results, lengths, exact, facts)


def draw_lengths(results: Results, lengths, exact: dict, facts: dict) -> None:
    """A line per model; what was trained is shaded."""
    fig, ax = plotting.figure(size=(7.4, 4.2))
    ax.axvspan(SHORTEST, LONGEST, color="0.93", label="lengths in training")
    for name, values in exact.items():
        label = f"{LABELS[name]} ({facts[name]['parameters'][0]:,})"
        ax.plot(lengths, values, "o-", color=COLOURS[name], label=label)
    ax.set(xlabel="symbols in the sequence", ylabel="whole answers right (share)")
    ax.set(ylim=(-0.03, 1.03), xticks=lengths)
    ax.set_title("Reversing: exact match against length (in brackets: parameters)")
    ax.legend(fontsize="small", loc="center right")
    results.figure(fig, "lengths.png", "Exact match against length")


# --- Accuracy by place ------------------------------------------------------------


@torch.no_grad()
def by_place(lab, results: Results, models: dict, examples: int) -> None:
    """At the longest length of training: which ids of an answer are wrong."""
    fig, ax = plotting.figure(size=(7.4, 4.2))
    batch = held_out(lab, examples, LONGEST, LONGEST)
    places = np.arange(1, LONGEST + 1)
    for name, model in models.items():
        for ratio, style, how in ((1.0, "--", "taught"), (0.0, "-", "free")):
            guess = model(*batch[:3], ratio)[0].argmax(dim=-1)
            right = (guess == batch.tgt_out).double().mean(dim=0)[:LONGEST]
            for place in (1, LONGEST // 2, LONGEST):
                key = f"place.{name}.{how}.{place}"
                results.metric(key, right[place - 1], "share of ids")
            label = f"{LABELS[name]}, {how}"
            ax.plot(places, right, style, color=COLOURS[name], label=label)
    ax.axhline(1 / SYMBOLS, color="0.5", linestyle=":", label="guessing")
    ax.set(xlabel="place in the answer", ylabel="right ids (share)", ylim=(0, 1.03))
    ax.set_xticks(places)
    ax.set_title(f"Length {LONGEST}: place 1 is the symbol that was read last")
    fig.legend(fontsize="small", ncols=4, loc="outside lower center")
    results.figure(fig, "places.png", "Right ids by their place in the answer")


# --- Where the decoder looks ------------------------------------------------------


@torch.no_grad()
def alignment(lab, results: Results, untrained, model, examples: int) -> None:
    """Weights of a single example, and how much lies near the anti-diagonal."""
    fig, axes = plotting.figure(1, 3, size=(11.5, 4.1))
    panels = [
        (untrained, 12, "untrained"),
        (model, 12, "trained"),
        (model, 24, f"trained on lengths to {LONGEST} only"),
    ]
    for ax, (who, n, title) in zip(axes, panels, strict=True):
        batch = held_out(lab, 1, n, n)
        logits, weights = who(*batch[:3], 0.0)
        written = [letter(lab, i) for i in logits[0].argmax(dim=-1).tolist()]
        read = [letter(lab, i) for i in batch.src[0].tolist()]
        plotting.heat_map(
            ax, weights[0].numpy(), written, read, label="weight", limits=(0, 1)
        )
        ax.tick_params(axis="x", rotation=0)
        ax.tick_params(labelsize=8 if n < 16 else 6)
        ax.set(xlabel="source, read", ylabel="answer, written (downwards)")
        ax.set_title(title)
    results.figure(fig, "alignment.png", "Weights of each step over the source")
    rows = []
    for n in TABLE:
        batch = held_out(lab, examples, n, n)
        share = near(model(*batch[:3])[1], n)
        results.metric(f"aligned.{n}", share, "share of the weight")
        rows.append((n, f"{share:.2f}", f"{near(untrained(*batch[:3])[1], n):.2f}"))
    results.text(
        "In the picture a to r are symbols, the dot is EOS and the box PAD. The table: "
        "share of the weight that lies on the source symbol whose turn it is, or on "
        "one beside it; right ids fed, mean over the symbols."
    )
    results.table(["length", "trained", "untrained"], rows)


def near(weights: torch.Tensor, n: int) -> float:
    """Weight within one place of the anti-diagonal: step t needs source n - 1 - t."""
    total = 0.0
    for t in range(n):
        at = n - 1 - t
        total += weights[:, t, max(at - 1, 0) : at + 2].sum(dim=-1).mean().item()
    return total / n


def letter(lab, i: int) -> str:
    """The symbols are a, b, c, ...; the special ids have signs."""
    signs = {lab.PAD: "□", lab.BOS: "<", lab.EOS: "."}
    return signs.get(i) or chr(ord("a") + i - lab.FIRST)


# --- What free running costs ------------------------------------------------------


def draw_gap(results: Results, curves: dict, facts: dict) -> None:
    """Left the loss, right the exposure gap, both against examples seen."""
    fig, (left, right) = plotting.figure(1, 2, size=(9.6, 3.9))
    for name, (at, gaps, losses) in curves.items():
        seen = BATCH * np.array(at) / 1000
        left_of = [0, *at[:-1]]
        means = [np.mean(losses[a:b]) for a, b in zip(left_of, at, strict=True)]
        left.plot(seen, means, color=COLOURS[name], label=LABELS[name])
        right.plot(seen, gaps, ".-", color=COLOURS[name], label=LABELS[name])
    left.set(yscale="log", ylabel="training loss (nats per id, log scale)")
    left.set_title("the loss is always taught")
    right.set(ylabel="taught − free (share of ids)")
    right.axhline(0, color="0.5", linewidth=0.8)
    right.set_title("exposure gap on new sequences")
    for ax in (left, right):
        ax.set_xlabel("examples seen (thousands)")
    left.legend(fontsize="small")
    results.figure(fig, "gap.png", "Loss and exposure gap over training")
    last = [
        f"{LABELS[name]} {facts[name]['gap'][0]:.2f} (at most "
        f"{facts[name]['gap_largest'][0]:.2f})"
        for name in curves
    ]
    results.text(
        "Exposure gap, accuracy per id with the right ids fed minus accuracy with the "
        f"model's own, at the end of training: {'; '.join(last)}."
    )
