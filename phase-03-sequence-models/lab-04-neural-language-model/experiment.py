"""Bengio's window model on Tiny Shakespeare, beside Kneser-Ney and mixed with it.

How a first loss comes out, how far back the window should reach, one model trained
longer with its loss and its text before and after, what its 65 embeddings look like,
and the mixture with lab 3.3's Kneser-Ney 6-gram: which of the two is right where.

20,000 ids from the middle of the training text are set aside: they decide when to stop
and how to mix, no window model learns from them, and the validation text decides
nothing. From the middle, because the end of the training text is the beginning of the
play that the validation text goes on with; what it is worth is measured. One CPU
thread; `full` trains the long model for 50,000 steps.
"""

from __future__ import annotations

import itertools
import math
import time
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from common import datasets, labs, plotting, seeding
from common.device import one_torch_thread
from common.results import Results

SEED = 4
BLUE, RED, GREEN, PURPLE, ORANGE, SKY = plotting.PALETTE[:6]
HELD = 20_000  # from the middle of the training text
D_EMBED, D_HIDDEN, BATCH = 24, 256, 512
RATE, DECAY = 1e-2, 0.03
CONTEXTS = (1, 2, 3, 5, 8, 16)
LONG = 8  # the context of the model that is trained longer
ORDER = 6
SAMPLE = 200
SEEN = [0, 1, 6, 31, 301, math.inf]  # how often a context was seen in training


class Text:
    """The parts of the text as tensors, and what is the same for all models."""

    def __init__(self, quick: bool) -> None:
        text = datasets.shakespeare_characters()
        self.symbols, self.decode, self.V = text.symbols, text.decode, len(text.symbols)
        train, valid = text.train, text.valid
        if quick:
            train, valid = train[:30_000], valid[:2_000]
        self.train, self.valid = torch.from_numpy(train), torch.from_numpy(valid)
        held = len(train) // 20 if quick else HELD
        start = (len(train) - held) // 2
        self.fit = self.train[:start], self.train[start + held :]
        self.held = self.train[start : start + held]
        self.sample = 60 if quick else SAMPLE


def main(lab, out: Path, quick: bool = False, full: bool = False) -> None:
    """Run the experiment.

    Args:
        lab: the module under test: the solution, or a learner's lab.py.
        out: folder for metrics.json, report.md and the five plots.
        quick: a piece of the text and few steps; about ten seconds.
        full: 50,000 steps for the long model.
    """
    title = "Lab 3.4: a neural language model"
    results = Results(out, title, seed=SEED, steps=6, quick=quick)
    duration = "ten seconds" if quick else "8 minutes" if full else "two minutes"
    results.say(f"Makes 5 plots, 3 tables and a report in about {duration}.")
    short, long = (25, 50) if quick else (600, 50_000 if full else 8_000)
    with threadpool_limits(1), one_torch_thread():
        text = Text(quick)
        first_losses(lab, results, text, 30 if quick else 300)
        model, nats, seconds = long_run(lab, results, text, long)
        counted = contexts(lab, results, text, short, (long, nats))
        embeddings(results, text, model)
        mixture(lab, results, text, model, counted, seconds)
    results.step("writing metrics.json and report.md")
    results.save()


def made(lab, text: Text, context: int, name: str):
    """A model with its first weights."""
    model = lab.WindowLM(text.V, context, D_EMBED, D_HIDDEN)
    lab.init_parameters_(model, generator(name))
    return model


def generator(*names) -> torch.Generator:
    """A torch generator for a purpose."""
    return torch.Generator().manual_seed(int(seeding.rng(SEED, *names).integers(2**31)))


def trained(lab, text: Text, model, steps: int, every: int):
    """Train in place; the history and the seconds."""
    windows = [lab.make_windows(part, model.context, text.V) for part in text.fit]
    X, Y = (torch.cat(parts) for parts in zip(*windows, strict=True))
    start = time.perf_counter()
    history = lab.train(
        model,
        lab.batches(X, Y, BATCH, generator("batches", model.context)),
        lambda m: lab.evaluate(m, text.held),
        steps=steps,
        lr=RATE,
        weight_decay=DECAY,
        eval_every=every,
        patience=8,
    )
    return history, time.perf_counter() - start


def written(lab, text: Text, model, name: str) -> str:
    """A sample that starts from a line end; the line end itself is not in it."""
    prompt = [text.symbols.index("\n")]
    return text.decode(lab.generate(model, prompt, text.sample, generator(name)))


def enter(results: Results, text: Text, name: str, size, seconds, nats, sample) -> None:
    """A row of the leaderboard."""
    results.language_model(
        model=name,
        size=size,
        size_unit="parameters",
        train_seconds=seconds,
        nats=nats,
        positions=len(text.valid),
        sample=sample,
    )


# --- The first loss ---------------------------------------------------------------


def first_losses(lab, results: Results, text: Text, steps: int) -> None:
    """Losses before training, for our first weights and for loud output weights."""
    results.step("the first loss")
    fig, (left, right) = plotting.figure(1, 2, size=(8.6, 3.6))
    means = {}
    for name, colour in {"σ = 0.01": BLUE, "σ = 1": RED}.items():
        model = made(lab, text, LONG, "first")
        if colour == RED:
            with torch.no_grad():
                model.output.weight *= 100
        losses = -lab.log_probs(model, text.held).numpy()
        means[name] = losses.mean()
        bins = np.linspace(0, 60, 121)
        left.hist(losses, bins, color=colour, alpha=0.7, label=f"output weights {name}")
        curve = trained(lab, text, model, steps, steps)[0].train
        right.plot(np.arange(steps), curve, color=colour, lw=1.2)
    left.axvline(math.log(text.V), color="k", ls="--", lw=1, label=f"ln {text.V}")
    left.set(xlabel="loss of a position (nats)", ylabel="positions", yscale="log")
    left.set_title("Before the first step")
    left.legend(fontsize="small")
    right.axhline(math.log(text.V), color="k", ls="--", lw=1)
    right.set(xlabel="step", ylabel="loss of a batch (nats)", yscale="log")
    right.set_yticks([2, 3, 4, 6, 10, 20], ["2", "3", "4", "6", "10", "20"])
    right.minorticks_off()
    right.set_title(f"The first {steps} steps")
    results.metric("first.quiet", means["σ = 0.01"], "nats")
    results.metric("first.loud", means["σ = 1"], "nats")
    results.metric("first.ln_v", math.log(text.V), "nats")
    results.text(
        f"## The first loss\nBefore training, mean over {len(text.held):,} held-out "
        f"positions: {means['σ = 0.01']:.3f} nats with output weights of deviation "
        f"0.01, {means['σ = 1']:.1f} with deviation 1; ln {text.V} = "
        f"{math.log(text.V):.3f}."
    )
    results.figure(fig, "first-loss.png", "The first loss, with two output layers")


# --- How far back -----------------------------------------------------------------


def contexts(lab, results: Results, text: Text, steps: int, long: tuple) -> tuple:
    """Short runs over several contexts, and Kneser-Ney looking as far back.

    Kneser-Ney of order ORDER comes back, with the seconds of its counting.
    """
    results.step(f"{len(CONTEXTS)} contexts, {steps:,} steps each")
    ngram = labs.solution("3.3")
    rows, nats, sizes, theirs, counts = [], [], [], [], []
    for context in CONTEXTS:
        model = made(lab, text, context, "sweep")
        _, seconds = trained(lab, text, model, steps, max(steps // 4, 1))
        nats.append(lab.evaluate(model, text.valid))
        sizes.append(lab.parameter_count(text.V, context, D_EMBED, D_HIDDEN))
        results.metric(f"context.{context}.nats", nats[-1], "nats/character", seconds)
        results.metric(f"context.{context}.size", sizes[-1], "parameters")
        row = [context, f"{nats[-1]:.3f}", f"{math.exp(nats[-1]):.2f}", sizes[-1]]
        if context < ORDER:
            start = time.perf_counter()
            kn = ngram.KneserNey(context + 1, text.V).fit(text.train.numpy())
            kn_seconds = time.perf_counter() - start
            theirs.append(ngram.cross_entropy(kn, text.valid.numpy()))
            counts.append(kn.size)
            results.metric(f"kn.{context}.nats", theirs[-1], "nats/character")
            results.metric(f"kn.{context}.size", counts[-1], "counts")
            row += [f"{theirs[-1]:.3f}", f"{counts[-1]:,}"]
        rows.append(row + [""] * (6 - len(row)))
        if context == 3:
            name = f"WindowLM, context 3, {steps:,} steps"
            sample = written(lab, text, model, "sweep")
            enter(results, text, name, sizes[-1], seconds, nats[-1], sample)
    results.text(
        f"## How far back\nEach window model after {steps:,} steps of {BATCH} windows, "
        "and Kneser-Ney with the same context, on all "
        f"{len(text.valid):,} validation positions. A window model grows by "
        f"{D_EMBED * D_HIDDEN:,} weights for each character of context, whatever the "
        "text; the counts grow with the text as well."
    )
    header = ["context", "nats", "perplexity", "weights", "Kneser-Ney", "counts"]
    results.table(header, rows)
    figure = draw_contexts(nats, sizes, theirs, counts, long)
    results.figure(figure, "context.png", "Loss and size against the context")
    return kn, kn_seconds  # the largest order


def draw_contexts(nats, sizes, theirs, counts, long):
    """Left losses, right sizes."""
    fig, (left, right) = plotting.figure(1, 2, size=(8.6, 3.6))
    seen = CONTEXTS[: len(theirs)]
    for ax, ours, peer in [(left, nats, theirs), (right, sizes, counts)]:
        ax.plot(CONTEXTS, ours, "o-", color=BLUE, label="window model, short runs")
        ax.plot(seen, peer, "s-", color=RED, label="Kneser-Ney")
        ax.set(xlabel="context (characters)", xscale="log")
        ax.set_xticks(CONTEXTS, [str(c) for c in CONTEXTS])
        ax.minorticks_off()
    steps, loss = long
    left.plot([LONG], [loss], "*", color=BLUE, ms=13, label=f"{steps:,} steps")
    left.set(ylabel="validation loss (nats/character)", title="Loss")
    right.set(ylabel="weights or counts", yscale="log", title="Size")
    left.legend()
    return fig


# --- One model, longer ------------------------------------------------------------


def long_run(lab, results: Results, text: Text, steps: int):
    """The model of the leaderboard, with samples before and after."""
    results.step(f"context {LONG}, {steps:,} steps")
    model = made(lab, text, LONG, "long")
    before = written(lab, text, model, "long")
    history, seconds = trained(lab, text, model, steps, max(steps // 20, 1))
    nats = lab.evaluate(model, text.valid)
    after = written(lab, text, model, "long")
    size = lab.parameter_count(text.V, LONG, D_EMBED, D_HIDDEN)
    enter(results, text, f"WindowLM, context {LONG}", size, seconds, nats, after)
    last = float(np.mean(history.train[-steps // 20 :]))
    results.metric("long.nats", nats, "nats/character", seconds)
    results.metric("long.perplexity", math.exp(nats), "")
    results.metric("long.bits", nats / math.log(2), "bits/character")
    results.metric("long.held", dict(history.val)[history.best_step], "nats/character")
    results.metric("long.train", last, "nats/character")
    results.metric("long.steps", steps, "steps")
    results.metric("long.best_step", history.best_step, "steps")
    results.metric("long.size", size, "parameters")
    results.text(
        f"## Context {LONG}, {steps:,} steps\n{size:,} weights, {seconds:.0f} s: "
        f"{nats:.3f} nats, perplexity {math.exp(nats):.2f}, on the validation text; "
        f"{last:.3f} on the last batches of training. Best step {history.best_step:,}."
    )
    results.text(f"Before training: `{one_line(before[:70])}`. After:")
    results.text(f"```\n{shown(after, 6)}\n```")
    results.figure(draw_training(history, nats), "training.png", "Loss while training")
    return model, nats, seconds


def shown(sample: str, lines: int) -> str:
    """The first lines of a sample; blank ones would end a paragraph of the report."""
    return "\n".join([line for line in sample.split("\n") if line][:lines])


def one_line(sample: str) -> str:
    """The sample with a sign for line ends, and without what would end its frame."""
    return sample.replace("\n", "⏎").replace("`", "'")


def draw_training(history, nats: float):
    """Batches, smoothed; the held-out text; the validation loss at the end."""
    fig, ax = plotting.figure(size=(7.4, 3.8))
    width = max(len(history.train) // 100, 1)
    smooth = np.convolve(history.train, np.ones(width) / width, "valid")
    steps = width / 2 + np.arange(len(smooth))
    ax.plot(steps, smooth, color=BLUE, lw=1.2, label=f"batches, mean of {width}")
    steps, values = zip(*history.val, strict=True)
    ax.plot(steps, values, "o-", color=ORANGE, ms=4, label="held-out text")
    ax.plot([history.best_step], [nats], "*", color=RED, ms=12, label="validation text")
    ax.set(
        xlabel="step", ylabel="loss (nats/character)", ylim=(smooth.min() - 0.1, 2.6)
    )
    ax.legend()
    return fig


# --- The embeddings ---------------------------------------------------------------


def embeddings(results: Results, text: Text, model) -> None:
    """The 65 rows in two dimensions, and how alike those of a kind are."""
    results.step("the embeddings")
    E = model.embedding.weight.detach().numpy()[: text.V].astype(np.float64)
    E = E - E.mean(axis=0)
    unit = E / np.linalg.norm(E, axis=1, keepdims=True)
    alike = unit @ unit.T
    place = {symbol: i for i, symbol in enumerate(text.symbols)}
    vowels = [place[c] for c in "aeiou"]
    others = [place[c] for c in "bcdfghjklmnpqrstvwxyz"]
    small, large = (
        [place[c] for c in "abcdefghijklmnopqrstuvwxyz".upper()] for _ in "ab"
    )
    small = [place[text.symbols[i].lower()] for i in large]
    inside = alike[np.ix_(vowels, vowels)][np.triu_indices(5, 1)].mean()
    across = alike[np.ix_(vowels, others)].mean()
    cases = alike[np.ix_(small, large)]
    pairs, mixed = np.diag(cases).mean(), cases[~np.eye(26, dtype=bool)].mean()
    for name, value in {
        "vowels": inside,
        "vowel_consonant": across,
        "cases": pairs,
        "other_cases": mixed,
    }.items():
        results.metric(f"embedding.{name}", value, "cosine")
    results.text(
        "## The embeddings\nMean cosine of the (centred) embeddings of two vowels: "
        f"{inside:.2f}; of a vowel and a consonant: {across:.2f}. Of a small letter "
        f"and its capital: {pairs:.2f}; and another capital: {mixed:.2f}."
    )
    results.figure(draw_embeddings(E, text), "embedding.png", "The 65 embeddings")


KINDS = {
    "vowel": (RED, lambda c: c in "aeiou"),
    "consonant": (BLUE, lambda c: c.islower()),
    "capital": (PURPLE, str.isupper),
    "other": (GREEN, lambda c: True),
}


def colour_of(symbol: str) -> str:
    """That of the first kind it belongs to."""
    return next(colour for colour, belongs in KINDS.values() if belongs(symbol))


def draw_embeddings(E: np.ndarray, text: Text):
    """Above the small letters in a plane, below the tree of all 65 symbols."""
    from scipy.cluster.hierarchy import dendrogram, linkage

    fig, (top, bottom) = plotting.figure(2, 1, size=(8.6, 7.0))
    letters = [i for i, symbol in enumerate(text.symbols) if symbol.islower()]
    rows = E[letters] - E[letters].mean(axis=0)
    U, S, _ = np.linalg.svd(rows, full_matrices=False)
    share = (S[:2] ** 2 / (S**2).sum() * 100).round().astype(int)
    for (x, y), i in zip(U[:, :2] * S[:2], letters, strict=True):
        symbol = text.symbols[i]
        style = {"ha": "center", "va": "center", "fontsize": 13}
        top.text(x, y, symbol, color=colour_of(symbol), **style)
    top.update_datalim(U[:, :2] * S[:2])
    top.autoscale_view()
    top.set(xlabel=f"first direction ({share[0]} % of the variance)")
    top.set(ylabel=f"second ({share[1]} %)", title="Small letters, vowels in red")
    names = [{"\n": "⏎", " ": "␣", "$": r"\$"}.get(c, c) for c in text.symbols]
    tree = linkage(E, "average", metric="cosine")
    found = dendrogram(
        tree, ax=bottom, labels=names, link_color_func=lambda _: "0.5", leaf_rotation=0
    )
    for label, leaf in zip(bottom.get_xticklabels(), found["leaves"], strict=True):
        label.set(color=colour_of(text.symbols[leaf]), fontsize=9)
    bottom.set(ylabel="1 - cosine", title="All symbols, the nearest joined first")
    bottom.grid(False)
    return fig


# --- The mixture ------------------------------------------------------------------


def mixture(lab, results: Results, text: Text, model, counted, seconds: float) -> None:
    """Kneser-Ney beside the model: each alone, mixed, and where each is right."""
    results.step(f"the mixture with Kneser-Ney, order {ORDER}")
    kn, kn_seconds = counted
    start = time.perf_counter()
    without = count(np.concatenate([part.numpy() for part in text.fit]), text)
    on_held = both(lab, model, without, text.held)
    weight = lab.best_mixture_weight(*on_held)
    seconds += kn_seconds + time.perf_counter() - start
    p_model, p_kn = both(lab, model, kn, text.valid)
    nats = [lab.mixture_nats(p_model, p_kn, w) for w in (1, 0, weight)]
    oracle = lab.best_mixture_weight(p_model, p_kn)
    results.metric("mixture.weight", weight, "share of WindowLM")
    results.metric("mixture.oracle_weight", oracle, "share of WindowLM")
    best = lab.mixture_nats(p_model, p_kn, oracle)
    results.metric("mixture.oracle_nats", best, "nats/character")
    scores = dict(
        zip(("WindowLM", f"Kneser-Ney {ORDER}-gram", "mixture"), nats, strict=True)
    )
    for name, value in scores.items():
        key = name.split()[0].lower()
        results.metric(f"mixture.{key}.nats", value, "nats/character")
        results.metric(f"mixture.{key}.perplexity", math.exp(value), "")
    results.metric("mixture.kn_counts", kn.size, "counts")
    size = sum(p.numel() for p in model.parameters())
    name = f"WindowLM, context {LONG} + Kneser-Ney, {ORDER}-gram"
    sample = mixed_sample(model, kn, weight, text)
    enter(results, text, name, size, seconds, nats[2], sample)
    better = "loses to" if nats[0] > nats[1] else "beats"
    results.text(
        f"## Mixed with Kneser-Ney, {ORDER}-gram\nNats (perplexity): "
        + ", ".join(f"{n} {v:.3f} ({math.exp(v):.2f})" for n, v in scores.items())
        + f". The network alone {better} the counts: {size:,} weights against "
        f"{kn.size:,} counts, one for every string of up to {ORDER} that occurred. "
        f"The weight of WindowLM, {weight:.3f}, makes the {len(text.held):,} "
        "characters set aside likeliest (EM; Kneser-Ney counted without them, for the "
        f"scores it counts all of the training text). {oracle:.3f} would have been "
        f"best for the validation text, at {best:.4f} nats instead of {nats[2]:.4f}."
    )
    where_to_set_aside(results, text, nats[1], without)
    by_count = losses_by_count(results, text, p_model, p_kn, weight)
    figure = draw_mixture(lab, on_held, (p_model, p_kn), weight, by_count)
    results.figure(figure, "mixture.png", "The weight, and the losses by count")


def count(ids: np.ndarray, text: Text):
    """Kneser-Ney of order ORDER, fitted."""
    return labs.solution("3.3").KneserNey(ORDER, text.V).fit(ids)


def both(lab, model, kn, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The probabilities that network and counts gave to each id that came."""
    theirs = labs.solution("3.3").token_probs(kn, ids.numpy())
    return lab.log_probs(model, ids).exp(), torch.from_numpy(theirs)


def where_to_set_aside(results: Results, text: Text, whole: float, without) -> None:
    """What a piece of training text is worth, from the middle and from the end."""
    score = labs.solution("3.3").cross_entropy
    cut = count(text.train[: -len(text.held)].numpy(), text)
    middle, end = (score(kn, text.valid.numpy()) - whole for kn in (without, cut))
    results.metric("aside.middle", middle, "nats/character")
    results.metric("aside.end", end, "nats/character")
    results.text(
        f"Counted without the {len(text.held):,} characters from the middle, "
        f"Kneser-Ney's loss changes by {middle:+.4f} nats; without the last "
        f"{len(text.held):,}, by {end:+.4f}: there the play begins that the validation "
        "text goes on with."
    )


@torch.no_grad()
def mixed_sample(model, kn, weight: float, text: Text) -> str:
    """Characters drawn from weight · WindowLM + (1 - weight) · Kneser-Ney."""
    rng = seeding.rng(SEED, "mixed")
    ids = [text.V] * (model.context - 1) + [text.symbols.index("\n")]
    start = len(ids)
    for _ in range(text.sample):
        ours = model(torch.tensor([ids[-model.context :]]))[0].softmax(0).double()
        history = ids[max(start - 1, len(ids) - kn.order + 1) :]
        p = weight * ours.numpy() + (1 - weight) * kn.probs(history)
        ids.append(int(rng.choice(text.V, p=p / p.sum())))
    return text.decode(ids[start:])


def losses_by_count(results: Results, text: Text, p_model, p_kn, weight: float):
    """Mean losses by how often training had the ORDER - 1 characters before."""
    reach, ids = ORDER - 1, text.valid.tolist()
    counts = labs.solution("3.3").count_ngrams(text.train.numpy(), reach)
    seen = np.array(
        [counts.get(tuple(ids[i - reach : i]), 0) for i in range(reach, len(ids))]
    )
    models = {"WindowLM": p_model, "Kneser-Ney": p_kn}
    models["mixture"] = weight * p_model + (1 - weight) * p_kn
    ahead, found = (p_model > p_kn).numpy(), {}
    results.metric("mixture.ahead", 100 * ahead.mean(), "% of positions")
    for low, high in itertools.pairwise(SEEN):
        rows = (seen >= low) & (seen < high)
        if not rows.any():  # only in a quick run
            continue
        name = str(low) if high == low + 1 else f"{low}-{high - 1}"
        name = name if high < math.inf else f"over {low - 1:,}"
        losses = [float(-p[reach:][rows].log().mean()) for p in models.values()]
        found[name] = (rows.mean(), losses, ahead[reach:][rows].mean())
        results.metric(f"seen.{low}.share", 100 * rows.mean(), "%")
        for model, loss in zip(models, losses, strict=True):
            results.metric(f"seen.{low}.{model.lower()}", loss, "nats/character")
    results.text(
        f"At {100 * ahead.mean():.0f} % of the positions the network finds what came "
        "likelier than the counts do. The losses by how often the training text has "
        f"the {reach} characters before, and the share of positions where the network "
        "is ahead:"
    )
    rows = [
        (name, f"{100 * n:.1f} %", *(f"{x:.2f}" for x in losses), f"{100 * a:.1f} %")
        for name, (n, losses, a) in found.items()
    ]
    results.table(["seen", "positions", *models, "ahead"], rows)
    return found


def draw_mixture(lab, on_held, on_valid, weight: float, by_count: dict):
    """Left the loss against the weight, right the losses by count."""
    fig, (left, right) = plotting.figure(1, 2, size=(9.2, 3.9))
    grid = np.linspace(0, 1, 41)
    for name, colour, pair in [
        ("held-out text", ORANGE, on_held),
        ("validation text", RED, on_valid),
    ]:
        losses = [lab.mixture_nats(*pair, float(w)) for w in grid]
        left.plot(grid, losses, color=colour, label=name)
    left.axvline(weight, color="k", ls="--", lw=1, label="fitted on held-out text")
    left.set(xlabel="weight of WindowLM (0: Kneser-Ney alone)")
    left.set(ylabel="loss (nats/character)", title="The weight")
    left.legend(fontsize="small")
    x = np.arange(len(by_count))
    for i, (name, colour) in enumerate(
        {"WindowLM": BLUE, "Kneser-Ney": RED, "mixture": GREEN}.items()
    ):
        heights = [losses[i] for _, losses, _ in by_count.values()]
        right.bar(x + 0.27 * (i - 1), heights, 0.25, color=colour, label=name)
    names = [f"{n}\n{100 * share:.0f} %" for n, (share, *_) in by_count.items()]
    right.set_xticks(x, names, fontsize="x-small")
    right.set(xlabel=f"times the last {ORDER - 1} characters were seen")
    right.set(ylabel="loss (nats/character)", title="By how often the context was seen")
    right.margins(y=0.25)
    right.legend(fontsize="small")
    right.grid(axis="x", visible=False)
    return fig
