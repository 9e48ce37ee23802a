"""How far counting gets on Tiny Shakespeare: every smoothing, orders 1 to 8.

Scores add-k, interpolation and Kneser-Ney on all validation characters, shows where the
loss sits and how it falls with more training text, and enters the models into the
course's leaderboard. What has to be chosen (the weights of the interpolation, the order
and discount of the last entry) is chosen on the end of the training text, which the
counts have not seen, never on the validation text. About two minutes; `full` sweeps
more discounts and sizes.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np

from common import datasets, plotting, seeding
from common.results import Results

SEED = 33
V = 65
ORDERS = range(1, 9)
TOP = ORDERS[-1]
KS = (1.0, 0.1, 0.01, 0.001)
DISCOUNTS = (0.75, 0.9, "estimate")
HELD_OUT = 30_000  # characters at the end of the training part
TITLES = {
    **{f"addk_{k:g}": f"add-k, k = {k:g}" for k in KS},
    "interpolated": "interpolated, weights by EM",
    "kn_0.75": "Kneser-Ney, D = 0.75",
    "kn_0.9": "Kneser-Ney, D = 0.9",
    "kn_estimate": "Kneser-Ney, D estimated",
}
COLOURS = dict(
    zip(
        TITLES,
        [*(plotting.PALETTE[i] for i in (3, 4, 5)), "0.6"]
        + [plotting.PALETTE[i] for i in (2, 0, 1, 7)],
        strict=True,
    )
)


def main(lab, out: Path, quick: bool = False, full: bool = False) -> None:
    """Run the experiment.

    Args:
        lab: the module under test: the solution, or a learner's lab.py.
        out: folder for metrics.json, report.md and the plots.
        quick: a sixtieth of the text; a few seconds.
        full: more discounts and more sizes of the training text.
    """
    title = "Lab 3.3: n-gram language model"
    results = Results(out, title, seed=SEED, steps=8, quick=quick)
    duration = "4 seconds" if quick else "4 minutes" if full else "2 minutes"
    results.say(f"Makes 4 plots, 2 tables and a report in about {duration}.")
    text = datasets.shakespeare_characters()
    train, valid, held_out = text.train, text.valid, HELD_OUT
    if quick:
        train, valid, held_out = train[-15_000:], valid[:1_000], 800
    weights, best = held_out_choices(lab, results, train, held_out, full)
    results.step(f"counting {len(train):,} characters, orders 1 to {TOP}")
    raw = lab.Interpolated(TOP, V).fit(train)
    types = lab.KneserNey(TOP, V).fit(train)
    probs = score_all(lab, results, raw, types, valid, weights)
    chosen = orders(results, raw, probs, train)
    where_the_loss_sits(results, raw, probs, valid)
    del types
    training_size(lab, results, probs, train, valid, full)
    order, k, mixed = chosen
    D = best[1]
    models = {
        "uniform": ("uniform", lab.AddK(1, 0.0, V)),
        "unigram": ("unigram", lab.AddK(1, 1.0, V)),
        "addk": (f"add-k, {order}-gram, k = {k:g}", lab.AddK(order, k, V)),
        "mixed": (
            f"interpolated, {mixed}-gram",
            lab.Interpolated(mixed, V, weights[mixed]),
        ),
        "kn4": ("Kneser-Ney, 4-gram", lab.KneserNey(4, V)),
        "kn6": ("Kneser-Ney, 6-gram", lab.KneserNey(6, V)),
        "best": (
            f"Kneser-Ney, {best[0]}-gram, D = {D:g}",
            lab.KneserNey(best[0], V, D),
        ),
    }
    leaderboard(lab, results, models, text, train, valid, quick)
    results.step("writing metrics.json and report.md")
    results.save()


def borrow(model, raw, types=None):
    """Give a model the counts of fitted ones of order 8, which hold all that it needs.

    `raw` has plain counts; `types` a Kneser-Ney model's, for the shorter contexts.
    """
    low = (types or raw).tables[: model.order - 1]
    model.tables = [*low, raw.tables[model.order - 1]]
    return model


def kneser_ney(lab, order: int, discount, raw, types):
    """A Kneser-Ney model of a lower order, from borrowed counts."""
    model = borrow(lab.KneserNey(order, V), raw, types)
    model.set_discount(discount)
    return model


def nats(p: np.ndarray) -> float:
    return float(-np.log(p).mean())


# --- What is chosen, on held-out training text -------------------------------------


def held_out_choices(lab, results: Results, train, size: int, full: bool) -> tuple:
    """Weights for each order, and the best (order, discount) of Kneser-Ney."""
    results.step(f"weights and discounts on {size:,} held-out characters")
    head, tail = train[:-size], train[-size:]
    raw = lab.Interpolated(TOP, V).fit(head)
    types = lab.KneserNey(TOP, V).fit(head)
    weights, seen = {}, {}
    for n in ORDERS:
        for kept, text in ((weights, tail), (seen, head[-size:])):
            model = borrow(lab.Interpolated(n, V), raw)
            model.fit_lambdas(text, iters=30)
            kept[n] = np.array(model.lambdas)
        results.metric(f"lambda.held_out.{n}", weights[n][n], "weight of the longest")
        results.metric(f"lambda.training.{n}", seen[n][n], "weight of the longest")
        if n == 6:
            honest = borrow(lab.Interpolated(n, V, weights[n]), raw)
            vain = borrow(lab.Interpolated(n, V, seen[n]), raw)
            for key, model in (("held_out", honest), ("training", vain)):
                value = lab.perplexity(lab.cross_entropy(model, tail))
                results.metric(f"lambda.{key}.perplexity.6", value, "")
    Ds = np.linspace(0.5, 1.0, 11) if full else (0.65, 0.75, 0.85, 0.9, 0.95)
    sweep = {}
    for n in range(4, TOP + 1):
        for D in Ds:
            model = kneser_ney(lab, n, float(D), raw, types)
            sweep[n, float(D)] = lab.cross_entropy(model, tail)
    best = min(sweep, key=sweep.get)
    results.metric("best.order", best[0], "")
    results.metric("best.discount", best[1], "")
    results.text(
        "## Chosen on held-out training text\n"
        f"{size:,} characters that were not counted. Kneser-Ney is best at order "
        f"{best[0]} and discount {best[1]:g}. The weight of the longest context in the "
        f"interpolation of order 6 is {weights[6][6]:.2f} there, but {seen[6][6]:.2f} "
        "if it is fitted on text that was counted."
    )
    results.figure(draw_choices(weights, seen, sweep), "choices.png", "What is chosen")
    return weights, best


def draw_choices(weights: dict, seen: dict, sweep: dict):
    """Weights by order, fitted on two texts, and the loss against the discount."""
    fig, axes = plotting.figure(1, 3, size=(9.6, 3.6))
    shades = [plotting.PALETTE[7 - i] for i in range(8)]
    for ax, found, name in (
        (axes[0], weights, "Weights by EM: held-out text"),
        (axes[1], seen, "Weights by EM: training text"),
    ):
        bottom = np.zeros(len(ORDERS))
        for part in range(TOP + 1):
            height = [found[n][part] if part <= n else 0 for n in ORDERS]
            colour = "0.8" if part == 0 else shades[part - 1]
            label = "uniform" if part == 0 else f"{part}"
            ax.bar(ORDERS, height, bottom=bottom, color=colour, label=label, width=0.8)
            bottom += height
        ax.set(xlabel="order of the model", title=name, ylim=(0, 1), xticks=ORDERS)
        ax.grid(False)
    axes[0].set(ylabel="weight of each order")
    axes[1].legend(
        title="order", fontsize="x-small", loc="center left", bbox_to_anchor=(1, 0.5)
    )
    for i, n in enumerate(sorted({n for n, _ in sweep})):
        curve = sorted((D, loss) for (order, D), loss in sweep.items() if order == n)
        D, loss = zip(*curve, strict=True)
        colour = plotting.PALETTE[i]
        axes[2].plot(D, np.exp(loss), "o-", ms=3, color=colour, label=f"order {n}")
    axes[2].set(xlabel="discount D", ylabel="perplexity, held-out text")
    axes[2].set(title="Kneser-Ney: the discount")
    axes[2].legend(fontsize="x-small")
    return fig


# --- All models on the validation text ---------------------------------------------


def score_all(lab, results: Results, raw, types, valid, weights) -> dict:
    """{(family, order): the probability of each validation character}."""
    results.step(f"{len(TITLES) * len(ORDERS)} models on {len(valid):,} characters")
    probs = {}
    for n in ORDERS:
        models = {f"addk_{k:g}": borrow(lab.AddK(n, k, V), raw) for k in (*KS, 0.0)}
        models["interpolated"] = borrow(lab.Interpolated(n, V, weights[n]), raw)
        for D in DISCOUNTS:
            models[f"kn_{D}"] = kneser_ney(lab, n, D, raw, types)
        for family, model in models.items():
            start = time.perf_counter()
            p = probs[family, n] = lab.token_probs(model, valid)
            seconds = time.perf_counter() - start
            if family == "addk_0":  # maximum likelihood: its zeros are all that counts
                results.metric(f"zeros.{n}", 100 * float(np.mean(p == 0)), "%")
                continue
            results.metric(f"nats.{family}.{n}", nats(p), "nats/character", seconds)
            value = lab.perplexity(nats(p))
            results.metric(f"perplexity.{family}.{n}", value, "")
    return probs


def best_of(probs: dict, prefix: str) -> tuple[str, int]:
    """Family and order with the lowest loss among families of that prefix."""
    found = [key for key in probs if key[0].startswith(prefix) and key[0] in TITLES]
    return min(found, key=lambda key: nats(probs[key]))


def orders(results: Results, raw, probs: dict, train) -> tuple[int, float, int]:
    """Perplexity against order, and how many n-grams there are.

    Returns order and k of the best add-k, and the order of the best interpolation.
    """
    results.step("perplexity against order")
    rows = []
    for family, title in TITLES.items():
        cells = [f"{math.exp(nats(probs[family, n])):.2f}" for n in ORDERS]
        rows.append((title, *cells))
    distinct = [sum(len(f) for f, _ in table.values()) for table in raw.tables]
    for n, count in zip(ORDERS, distinct, strict=True):
        results.metric(f"ngrams.{n}", count, "n-grams")
    rows.append(("different n-grams", *distinct))
    add_k, mixed = best_of(probs, "addk"), best_of(probs, "interpolated")
    k = float(add_k[0].split("_")[1])
    kn6, reference = nats(probs["kn_0.75", 6]), nats(probs[add_k])
    results.metric("best_addk.perplexity", math.exp(reference), "")
    results.metric("best_addk.order", add_k[1], "")
    results.metric("best_addk.k", k, "")
    results.metric("best_interpolated.perplexity", math.exp(nats(probs[mixed])), "")
    results.metric("best_interpolated.order", mixed[1], "")
    below = 100 * (1 - math.exp(kn6 - reference))
    results.metric("kn6.below_addk", below, "%")
    results.metric("kn6.bits", kn6 / math.log(2), "bits/character")
    results.text(
        "## Perplexity on the validation text\n"
        f"Counts of {len(train):,} characters; 65 symbols, so that a uniform guess has "
        f"a perplexity of 65. Kneser-Ney of order 6, D = 0.75: {math.exp(kn6):.3f} "
        f"({kn6:.4f} nats, {kn6 / math.log(2):.3f} bits per character), {below:.1f} % "
        f"below the best add-k ({math.exp(reference):.3f}, order {add_k[1]}, "
        f"{TITLES[add_k[0]][7:]})."
    )
    results.table(["model", *[f"order {n}" for n in ORDERS]], rows)
    results.figure(draw_orders(probs, distinct), "orders.png", "Perplexity by order")
    return add_k[1], k, mixed[1]


def draw_orders(probs: dict, distinct: list[int]):
    """All families, the good ones from close by, and the number of n-grams."""
    fig, (left, middle, right) = plotting.figure(1, 3, size=(10.4, 3.9))
    for family, colour in COLOURS.items():
        dashed = "--" if family == "kn_estimate" else "-"
        look = {"color": colour, "ls": dashed, "ms": 3.5}
        y = [math.exp(nats(probs[family, n])) for n in ORDERS]
        left.plot(ORDERS, y, "o", label=TITLES[family], **look)
        middle.plot(ORDERS[3:], y[3:], "o", **look)
    left.set(yscale="log", xlabel="order n", ylabel="perplexity, validation text")
    left.set(title="More context, if it was seen", xticks=ORDERS, ylim=(4, 65))
    ticks = [5, 6, 8, 10, 15, 20, 30, 50]
    left.set_yticks(ticks, [str(t) for t in ticks])
    left.minorticks_off()
    left.legend(fontsize="xx-small", loc="upper center")
    middle.set(xlabel="order n", ylabel="perplexity, validation text")
    middle.set(title="From close by", xticks=ORDERS[3:], ylim=(4.4, 6.6))
    right.bar(ORDERS, distinct, color=plotting.PALETTE[5])
    for n, count in zip(ORDERS, distinct, strict=True):
        right.text(n, count * 1.15, f"{count:,}", ha="center", fontsize="xx-small")
    right.set(yscale="log", xlabel="order n", ylabel="different n-grams in training")
    right.set(title="What has to be stored", xticks=ORDERS, ylim=(30, 2e6))
    return fig


# --- Where the loss sits -----------------------------------------------------------


def where_the_loss_sits(results: Results, raw, probs: dict, valid) -> None:
    """The loss by the longest context that the training text has."""
    results.step("where the loss sits")
    ids, reach = valid.tolist(), np.zeros(len(valid), int)
    for i in range(len(ids)):
        for m in range(min(i, TOP - 1), 0, -1):
            if tuple(ids[i - m : i]) in raw.tables[m]:
                reach[i] = m
                break
    shares = [100 * float(np.mean(reach >= m)) for m in range(TOP)]
    for m in range(TOP):
        results.metric(f"context_seen.{m}", shares[m], "%")
    zeros = [100 * float(np.mean(probs["addk_0", n] == 0)) for n in ORDERS]
    results.text(
        "## Where the loss sits\n"
        f"The five characters before it were seen in training for {shares[5]:.1f} % of "
        f"the positions, the seven before it for {shares[7]:.1f} %. Maximum likelihood "
        f"of order 6 calls {zeros[5]:.1f} % of the characters impossible, one of which "
        "would be enough for an infinite loss."
    )
    fig = draw_reach(shares, zeros, reach, probs)
    results.figure(fig, "reach.png", "Contexts known, and the loss by their length")


def draw_reach(shares, zeros, reach, probs: dict):
    """Left what was seen, right the loss for each length of known context."""
    fig, (left, right) = plotting.figure(1, 2, size=(9.2, 3.8))
    unseen = [100 - share for share in shares]
    left.plot(ORDERS, unseen, "o-", label="context never seen")
    left.plot(ORDERS, zeros, "s-", label="context seen, but this symbol never after it")
    left.set(xlabel="order n", ylabel="share of validation positions (%)")
    left.set(title="What maximum likelihood cannot know", xticks=ORDERS, ylim=(0, None))
    left.legend(fontsize="x-small")
    lengths = [m for m in range(TOP) if (reach == m).sum() >= 50]
    width = 0.27
    for i, (family, n) in enumerate((("addk_0.01", 5), ("kn_0.75", 4), ("kn_0.9", 8))):
        loss = [nats(probs[family, n][reach == m]) for m in lengths]
        x = np.array(lengths) + (i - 1) * width
        right.bar(x, loss, width, label=f"{TITLES[family]}, order {n}")
    share = {m: 100 * np.mean(reach == m) for m in lengths}
    names = [f"{m}\n{share[m]:.1f} %" for m in lengths]
    right.set_xticks(lengths, names)
    right.set(xlabel="longest known context (characters), share of positions")
    right.set(ylabel="loss (nats per character)", title="The longer, the easier")
    right.legend(fontsize="x-small")
    return fig


# --- More text ----------------------------------------------------------------------


def training_size(lab, results: Results, probs, train, valid, full: bool) -> None:
    """Loss against the length of the training text (its end), for three orders."""
    results.step("loss against the length of the training text")
    shares = (1, 2, 4, 8, 16, 32, 64, 128) if full else (4, 16, 64)
    curves = {n: {len(train): nats(probs["kn_0.75", n])} for n in (2, 4, 6)}
    for n, curve in curves.items():
        for share in shares[1:] if full else shares:
            size = len(train) // share
            model = lab.KneserNey(n, V).fit(train[-size:])
            curve[size] = lab.cross_entropy(model, valid)
            results.metric(f"size.{n}.{share}", curve[size], "nats/character")
    slopes = {}
    for n, curve in curves.items():
        size, loss = zip(*sorted(curve.items()), strict=True)
        slopes[n] = (loss[-1] - loss[-2]) / math.log2(size[-1] / size[-2])
        results.metric(f"slope.{n}", slopes[n], "nats per doubling")
    results.text(
        "## More text\n"
        "At the end of the curves, twice the training text changes the loss by "
        + ", ".join(f"{slope:.3f} (order {n})" for n, slope in slopes.items())
        + " nats per character."
    )
    fig, ax = plotting.figure(size=(6.4, 3.6))
    for n, curve in curves.items():
        size, loss = zip(*sorted(curve.items()), strict=True)
        ax.plot(size, loss, "o-", label=f"Kneser-Ney, order {n}")
    ax.set(xscale="log", xlabel="characters of training text")
    ax.set(ylabel="loss (nats per character)", title="Long contexts need much text")
    ax.legend(fontsize="small")
    results.figure(fig, "size.png", "Loss against the length of the training text")


# --- The leaderboard ----------------------------------------------------------------


def leaderboard(lab, results, models: dict, text, train, valid, quick: bool) -> None:
    """Fit each model as anybody would, time it, score it, let it write."""
    results.step("the leaderboard's models, fitted one by one")
    corpus, rows = text.decode(train), []
    for key, (name, model) in models.items():
        start = time.perf_counter()
        model.fit([] if key == "uniform" else train)
        seconds = time.perf_counter() - start
        start = time.perf_counter()
        p = lab.token_probs(model, valid)
        scoring = time.perf_counter() - start
        newline = text.encode("\n")
        drawn = lab.sample(model, seeding.rng(SEED, key), 40 if quick else 200, newline)
        sample = text.decode(drawn)
        results.language_model(
            model=name,
            size=model.size,
            size_unit="n-grams",
            train_seconds=seconds,
            nats=nats(p),
            positions=len(valid),
            sample=sample,
        )
        results.metric(f"speed.{key}", len(valid) / scoring, "characters/second")
        results.metric(f"fit_seconds.{key}", seconds, "s")
        results.metric(f"lm_nats.{key}", nats(p), "nats/character")
        results.metric(f"lm_perplexity.{key}", lab.perplexity(nats(p)), "")
        results.metric(f"stored.{key}", model.size, "n-grams")
        copied = longest_copy(sample, corpus)
        results.metric(f"copied.{key}", copied, "characters")
        rows.append((name, f"{nats(p):.3f}", copied, sample[:72].replace("\n", " / ")))
    results.text(
        "## On the leaderboard\n"
        "Nats per character, the longest run of a 200-character sample that stands in "
        "the training text, and the sample's beginning (/ is a line end)."
    )
    results.table(["model", "nats", "copied", "sample"], rows)


def longest_copy(sample: str, corpus: str) -> int:
    """Length of the longest part of `sample` that the corpus contains."""
    length = 0
    for start in range(len(sample)):
        while start + length < len(sample) and (
            sample[start : start + length + 1] in corpus
        ):
            length += 1
    return length
