"""What a plain recurrent network learns, and what it cannot reach.

Trains a character model of 256 units on Tiny Shakespeare and enters it into the
leaderboard, with texts from three stages; measures how the gradient shrinks or grows
with the distance; trains the copy task against the delay and parity against the length;
and shows what clipping does for two optimizers. Takes about two minutes on one core;
with `full`, which has twice the training and seven seeds, about four.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from common import datasets, labs, plotting, seeding
from common.results import Results

SEED = 35
BATCH, SEQ_LEN, CLIP = 32, 64, 1.0
RADII = (0.5, 0.9, 1.0, 1.1, 1.5)
N_SYMBOLS, LENGTH = 8, 3  # of the copy task


def main(lab, out: Path, quick: bool = False, full: bool = False) -> None:
    """Run the experiment.

    Args:
        lab: the module under test: the solution, or a learner's lab.py.
        out: folder for metrics.json, report.md and the plots.
        quick: few steps, one seed, a short validation text; a few seconds.
        full: a longer training and more seeds.
    """
    title = "Lab 3.5: a recurrent network from scratch"
    results = Results(out, title, seed=SEED, steps=6, quick=quick)
    duration = "4 seconds" if quick else "4 minutes" if full else "2 minutes"
    results.say(f"Makes 4 plots, 5 tables and a report in about {duration}.")
    seeds = 7 if full else 1 if quick else 3
    with threadpool_limits(1):  # matrices this small are not worth two threads
        language_model(lab, results, 40 if quick else 9_000 if full else STEPS, quick)
        distances(lab, results, 60)
        toys(lab, results, seeds, quick)
        clipping(lab, results, 20 if quick else 200)
    results.step("writing metrics.json and report.md")
    results.save()


def float32(params: dict) -> dict:
    return {name: array.astype(np.float32) for name, array in params.items()}


# --- Shakespeare ------------------------------------------------------------------

N_HIDDEN, STEPS, STREAMS, PEAK = 256, 4500, 16, 3e-3


def language_model(lab, results: Results, steps: int, quick: bool) -> None:
    """Train, keep texts from three stages, score the whole validation text."""
    results.step(f"training on Shakespeare, {steps:,} steps of {STREAMS * SEQ_LEN:,}")
    text = datasets.shakespeare_characters()
    V = len(text.symbols)
    params = float32(lab.init_rnn(V, N_HIDDEN, V, seeding.rng(SEED, "init")))
    stages, texts = (0, steps // 10, steps), {}
    ends = text.train[-1:], text.valid[: 2000 if quick else None]
    valid = np.concatenate(ends)  # the last training character comes first

    def speak(length: int, stage: int) -> str:
        ids = lab.sample(params, text.encode("\n"), length, seeding.rng(SEED, stage))
        return text.decode(ids)

    def watched(chunks) -> Iterator:
        for step, chunk in enumerate(chunks):
            if step in stages:
                texts[step] = speak(120, step)
            yield chunk

    schedule = labs.solution("2.8").warmup_cosine_lr
    lr = partial(schedule, base=PEAK, warmup=steps // 25, total=steps, minimum=1e-5)
    chunks = watched(lab.stream_chunks(text.train, STREAMS, SEQ_LEN))
    start = time.perf_counter()
    losses = lab.train_char_rnn(params, chunks, steps, lr, CLIP)
    took = time.perf_counter() - start
    texts[steps] = speak(120, steps)
    start = time.perf_counter()
    nats = lab.evaluate_stream(params, valid)
    results.metric("char.evaluation", time.perf_counter() - start, "s")
    size = sum(array.size for array in params.values())
    results.language_model(
        model="vanilla RNN",
        size=size,
        size_unit="parameters",
        train_seconds=took,
        nats=nats,
        positions=len(valid) - 1,
        sample=speak(200, steps),
    )
    report_language_model(results, losses, nats, took, size, texts, text)
    read = memory(lab, params, valid, 100 if quick else 10)
    draw_language_model(results, losses, nats, read)


def report_language_model(results, losses, nats, took, size, texts, text) -> None:
    """Figures, and what the network writes at three stages."""
    steps, V = len(losses), len(text.symbols)
    epochs = steps * STREAMS * SEQ_LEN / len(text.train)
    last = float(np.mean(losses[-200:]))
    results.metric("char.steps", steps, "steps")
    results.metric("char.epochs", epochs, "epochs")
    results.metric("char.first_loss", losses[0], "nats")
    results.metric("char.train_loss", last, "nats")
    results.metric("char.rate", steps * STREAMS * SEQ_LEN / took, "characters/s")
    results.text(
        f"## Shakespeare, {N_HIDDEN} units, {size:,} parameters\n"
        f"{steps:,} steps of {STREAMS} streams x {SEQ_LEN} characters "
        f"({epochs:.1f} epochs) in {took:.0f} s. Loss of the first step "
        f"{losses[0]:.2f} (log {V} = {math.log(V):.2f}), mean of the last 200 "
        f"{last:.3f}; validation **{nats:.3f} nats** a character, state carried "
        f"through the whole text."
    )
    rows = [(step, said.replace("\n", " / ")) for step, said in texts.items()]
    results.table(
        ["after step", "120 characters, temperature 1, after a line end"], rows
    )


def memory(lab, params: dict, valid: np.ndarray, stride: int) -> np.ndarray:
    """Nats (64,) after 1, 2, ... characters read from a zero state; many starts."""
    starts, span = np.arange(0, len(valid) - 65, stride), np.arange(64)[:, None]
    total = np.zeros(64)
    for part in np.array_split(starts, -(-len(starts) // 500)):
        places = part + span  # (64, windows)
        xs = lab.one_hot(valid[places], len(params["by"]), np.float32)
        h0 = np.zeros((len(part), len(params["bh"])), np.float32)
        _, logits = lab.rnn_forward(xs, h0, params)
        for t in range(64):
            row = slice(t, t + 1)
            loss, _ = lab.softmax_cross_entropy(logits[row], valid[places[row] + 1])
            total[t] += loss * len(part)
    return total / len(starts)


def draw_language_model(results: Results, losses, nats: float, read) -> None:
    """Left the training, right the loss against what was read."""
    said = []
    for n in (1, 4, 16, 64):
        results.metric(f"char.read.{n}", read[n - 1], "nats")
        said.append(f"{n}: {read[n - 1]:.2f}")
    results.text(
        "What memory is worth: the same network on validation text, started from a "
        f"zero state, after so many characters (nats): {', '.join(said)}; after all of "
        f"the text before: {nats:.2f}."
    )
    fig, (left, right) = plotting.figure(1, 2, size=(8.6, 3.6))
    window = max(1, len(losses) // 60)
    smooth = np.convolve(losses, np.ones(window) / window, mode="valid")
    left.plot(losses, lw=0.5, alpha=0.4, label="each step")
    middle = np.arange(len(smooth)) + window / 2
    left.plot(middle, smooth, color=plotting.PALETTE[0], label=f"mean of {window}")
    left.set(xlabel="step", ylabel="loss (nats per character)", ylim=(1.2, 3.6))
    left.set(title="Training")
    right.semilogx(np.arange(1, 65), read, "o-", ms=3, label="from a zero state")
    right.set(xlabel="characters read", ylim=(1.2, 3.6), title="What memory is worth")
    right.set_xticks((1, 2, 4, 8, 16, 32, 64), ("1", "2", "4", "8", "16", "32", "64"))
    right.minorticks_off()
    for ax in (left, right):
        colour = plotting.PALETTE[1]
        ax.axhline(
            nats, color=colour, ls="--", label="validation, all of the text read"
        )
        ax.legend(fontsize="small")
    results.figure(fig, "training.png", "Training, and loss against characters read")


# --- Gradient against distance ----------------------------------------------------


def distances(lab, results: Results, T: int) -> None:
    """Norms of the gradient of the last state by each state before it, at the start."""
    results.step("gradient against distance")
    H, B = 64, 16
    rng = seeding.rng(SEED, "distance")
    xs = lab.one_hot(rng.integers(8, size=(T, B)), 8)
    fig, axes = plotting.figure(1, 2, size=(8.6, 3.8))
    back = np.arange(T)[::-1]  # entry t - 1 is T - t steps before the end
    rows = []
    for i, radius in enumerate(RADII):
        params = lab.init_rnn(8, H, 8, seeding.rng(SEED, "matrix"), radius)
        row = [f"{radius:g}"]
        for ax, activation in zip(axes, ("identity", "tanh"), strict=True):
            h0 = np.zeros((B, H))
            norms = lab.hidden_gradient_norms(xs, h0, params, activation)
            share = norms / norms[-1]
            ax.semilogy(back, share, color=plotting.PALETTE[i], label=f"{radius:g}")
            results.metric(f"distance.{radius:g}.{activation}", share[-21], "ratio")
            row.append(f"{share[-21]:.1e}")
        rows.append((*row, f"{radius**20:.1e}"))
    for ax, name in zip(axes, ("identity", "tanh"), strict=True):
        ax.set(xlabel="steps back from the last state", title=name, ylim=(1e-20, 1e13))
        ax.set(xlim=(0, T - 1))
    axes[0].set(ylabel="gradient norm / norm at distance 0")
    axes[0].legend(title="radius", fontsize="small", ncols=2)
    results.text(
        f"## Gradient against distance ({H} units, before training)\n"
        "Share of the gradient left 20 steps back, for orthogonal Whh of five radii."
    )
    results.table(["radius", "identity", "tanh", "radius to the power 20"], rows)
    results.figure(fig, "distance.png", "Gradient norm against distance")


# --- Copy and parity --------------------------------------------------------------


def fit(lab, make, sizes: tuple, steps: int, lr: float, radius: float, seed: int):
    """Train on fresh batches of `make(rng, batch)`; the accuracy on 1,000 new ones."""
    rng = seeding.rng(SEED, "toy", seed)
    n_in, H, n_out = sizes
    params = float32(lab.init_rnn(n_in, H, n_out, rng, radius))
    adam = lab.DictAdam(params)
    for step in range(steps):
        xs, targets, mask = make(rng, BATCH)
        xs = xs.astype(np.float32)
        hs, logits = lab.rnn_forward(xs, np.zeros((BATCH, H), np.float32), params)
        _, dlogits = lab.softmax_cross_entropy(logits, targets, mask)
        grads, _ = lab.rnn_backward(xs, hs, dlogits, params)
        grads, _ = lab.clip_global_norm(grads, CLIP)
        adam.step(grads, lr if step < 0.7 * steps else lr / 5)
    xs, targets, mask = make(rng, 1000)
    h0 = np.zeros((1000, H), np.float32)
    _, logits = lab.rnn_forward(xs.astype(np.float32), h0, params)
    return float(np.mean(logits.argmax(axis=-1)[mask] == targets[mask]))


def copy_of(lab, delay: int, rng, batch: int):
    return lab.copy_batch(rng, batch, N_SYMBOLS, LENGTH, delay)


def parity_of(lab, every: bool, length: int, rng, batch: int):
    """Parity with a target at every step, or at the last one only."""
    xs, targets, mask = lab.parity_batch(rng, batch, length)
    if not every:
        mask = np.zeros_like(mask)
        mask[-1] = True
    return xs, targets, mask


def toys(lab, results: Results, seeds: int, quick: bool) -> None:
    """Accuracy of copy against the delay, and of parity against the length."""
    delays, lengths = (
        ((5, 20), (5, 10)) if quick else ((5, 10, 20, 40), (5, 10, 20, 30))
    )
    steps = 20 if quick else 400
    results.step("the copy task against the delay")
    copied = {}
    for radius in (1.0, 0.5):
        sizes = (N_SYMBOLS + 2, 64, N_SYMBOLS)
        for delay in delays:
            copied[f"radius {radius:g}", delay] = [
                fit(lab, partial(copy_of, lab, delay), sizes, steps, 3e-3, radius, seed)
                for seed in range(seeds)
            ]
    results.step("parity against the length")
    counted = {}
    for every, name in ((True, "at every step"), (False, "at the end")):
        for n in lengths:
            make = partial(parity_of, lab, every, n)
            counted[name, n] = [
                fit(lab, make, (2, 32, 2), steps, 5e-3, 1.0, seed)
                for seed in range(seeds)
            ]
    results.text(
        f"## Two toy tasks ({seeds} seeds: mean, and lowest to highest)\n"
        f"{steps} steps of Adam on {BATCH} fresh sequences each; accuracy in % on "
        f"1,000 new ones. Copy {LENGTH} of {N_SYMBOLS} symbols, 64 units, Whh starting "
        f"with radius 1 or 0.5; guessing gives {100 / N_SYMBOLS:.1f} and a loss of log "
        f"{N_SYMBOLS} = {math.log(N_SYMBOLS):.4f}. Parity, 32 units, with a target at "
        "every step or at the end only; guessing gives 50."
    )
    report_toy(results, "copy", copied, delays, "delay")
    report_toy(results, "parity", counted, lengths, "length")
    draw_toys(results, copied, counted)


def report_toy(results: Results, task: str, found: dict, places, what: str) -> None:
    """A table with a row for each variant, and the metrics."""
    rows = []
    for name in dict.fromkeys(name for name, _ in found):
        cells = []
        for n in places:
            shares = found[name, n]
            key = f"{task}.{name.replace(' ', '_')}.{n}"
            results.metric(key, 100 * float(np.mean(shares)), "%")
            spread = f"{100 * min(shares):.0f} .. {100 * max(shares):.0f}"
            cells.append(f"{100 * np.mean(shares):.0f} ({spread})")
        rows.append((f"{task}, {name}", *cells))
    results.table(["task", *(f"{what} {n}" for n in places)], rows)


def draw_toys(results: Results, copied: dict, counted: dict) -> None:
    """Means as lines, seeds as dots."""
    fig, axes = plotting.figure(1, 2, size=(8.6, 3.6))
    for ax, found, low in zip(
        axes, (copied, counted), (1 / N_SYMBOLS, 0.5), strict=True
    ):
        for i, name in enumerate(dict.fromkeys(name for name, _ in found)):
            places = [n for kind, n in found if kind == name]
            colour = plotting.PALETTE[i]
            means = [100 * np.mean(found[name, n]) for n in places]
            ax.plot(places, means, color=colour, label=name)
            for n in places:
                dots = 100 * np.array(found[name, n])
                ax.plot([n] * len(dots), dots, "o", color=colour, ms=4, alpha=0.7)
        ax.axhline(100 * low, color="0.4", ls=":", label="guessing")
        ax.set(ylim=(0, 104), ylabel="accuracy (%)")
        ax.legend(fontsize="small")
    axes[0].set(xlabel="delay (steps)", title=f"Copy {LENGTH} of {N_SYMBOLS} symbols")
    axes[1].set(xlabel="length (bits)", title="Parity, scored ...")
    results.figure(fig, "toys.png", "Copy against delay, parity against length")


# --- Clipping ---------------------------------------------------------------------


def descend(lab, optimizer: str, clip: float, steps: int) -> tuple[list, list]:
    """Losses, and gradient norms before clipping, of a character model of 128 units."""
    text = datasets.shakespeare_characters()
    V, H, dtype = len(text.symbols), 128, np.float32
    params = float32(lab.init_rnn(V, H, V, seeding.rng(SEED, "clip")))
    adam, losses, norms = lab.DictAdam(params), [], []
    h = np.zeros((BATCH, H), dtype)
    chunks = lab.stream_chunks(text.train, BATCH, SEQ_LEN)
    for _, (x, y, _) in zip(range(steps), chunks, strict=False):
        xs = lab.one_hot(x, V, dtype)
        hs, logits = lab.rnn_forward(xs, h, params)
        loss, dlogits = lab.softmax_cross_entropy(logits, y)
        grads, _ = lab.rnn_backward(xs, hs, dlogits, params)
        grads, norm = lab.clip_global_norm(grads, clip)
        if not math.isfinite(norm):
            break  # there is no way back from here
        if optimizer == "Adam":
            adam.step(grads, 3e-3)
        else:
            for name, grad in grads.items():
                params[name] -= dtype(1.0) * grad
        h = hs[-1]
        losses.append(loss)
        norms.append(norm)
    return losses, norms


def clipping(lab, results: Results, steps: int) -> None:
    """Plain descent with a rate of 1, and Adam, each with and without clipping."""
    results.step("clipping on and off")
    fig, axes = plotting.figure(1, 2, size=(8.6, 3.6))
    rows = []
    cases = [(kind, c) for kind in ("descent", "Adam") for c in (CLIP, math.inf)]
    for i, (kind, clip) in enumerate(cases):
        losses, norms = descend(lab, kind, clip, steps)
        name = f"{kind}, {'clipped' if clip < math.inf else 'not clipped'}"
        for ax, values in zip(axes, (norms, losses), strict=True):
            ax.semilogy(values, color=plotting.PALETTE[i], lw=1, label=name)
        end, top = float(np.mean(losses[-20:])), max(norms)
        key = name.replace(", ", "_").replace(" ", "_")
        results.metric(f"clip.{key}.loss", end, "nats")
        results.metric(f"clip.{key}.largest_norm", top, "")
        over = sum(norm > CLIP for norm in norms)
        rows.append(
            (name, f"{end:.2f}", f"{top:.3g}", f"{100 * over / len(norms):.0f} %")
        )
    axes[0].axhline(CLIP, color="0.4", ls=":", lw=1)
    axes[0].set(xlabel="step", ylabel="gradient norm before clipping", ylim=(0.1, 1e3))
    axes[1].set(xlabel="step", ylabel="loss (nats per character)")
    ticks = (2, 3, 5, 10, 20, 40)
    axes[1].set_yticks(ticks, [f"{tick}" for tick in ticks])
    axes[1].minorticks_off()
    axes[1].legend(fontsize="small")
    results.text(
        f"## Clipping at {CLIP:g} (characters, 128 units, {steps} steps)\n"
        "Plain descent with rate 1 and Adam with rate 0.003, from the same weights."
    )
    header = ["", "loss, last 20", "largest norm", f"norm above {CLIP:g}"]
    results.table(header, rows)
    results.figure(
        fig, "clipping.png", "Gradient norm and loss with and without clipping"
    )
