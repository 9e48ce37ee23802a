"""What gates buy: on Shakespeare, on a task of pure memory, and in the gradients.

Four models read the same characters of Tiny Shakespeare in the same order: a vanilla
RNN, one with as many parameters as the LSTM, a GRU, an LSTM. Then the copy task over 30
steps with three cells and several biases, the length of its gradient with and without
clipping, and how far back gradients reach in the models of text. torch's own layers do
the work where they equal the lab's, which is measured first; otherwise the lab's layers
do. One CPU thread, about two minutes; `full` takes 256 units and 3.9 million
characters, about half an hour.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import nn

from common import datasets, labs, plotting, seeding
from common.device import one_torch_thread
from common.results import Results

SEED = 36
D_EMBED, BATCH, SEQ_LEN = 64, 16, 64
CLIP = 1.0
BLUE, RED, GREEN, PURPLE, ORANGE, SKY = plotting.PALETTE[:6]
TORCH_LAYERS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
NAMES = {"rnn": "RNN", "wide": "wide RNN", "gru": "GRU", "lstm": "LSTM"}
# Each model at its best of 0.004, 0.008, 0.016, 0.032 by training loss, 128 units.
RATES = {"rnn": 8e-3, "wide": 8e-3, "gru": 8e-3, "lstm": 16e-3}
COLOURS = {"rnn": RED, "wide": ORANGE, "gru": GREEN, "lstm": BLUE}


@dataclass(frozen=True)
class Size:
    """How large the run is."""

    hidden: int = 128
    steps: int = 1500  # of BATCH * SEQ_LEN characters
    slower: float = 1.0  # what the rates are divided by
    valid: int | None = None  # positions; None for all
    letters: int = 200  # of a sample
    norm_steps: int = 300
    norm_seeds: int = 4
    copy_steps: int = 500
    seeds: int = 2
    distance: int = 100


QUICK = Size(16, 6, 1.0, 300, 20, 4, 1, 25, 1, 20)
FULL = Size(
    hidden=256, steps=3800, slower=2.0, norm_steps=400, copy_steps=2000, seeds=4
)


def main(lab, out: Path, quick: bool = False, full: bool = False) -> None:
    """Run the experiment.

    Args:
        lab: the module under test: the solution, or a learner's lab.py.
        out: folder for metrics.json, report.md and the plots.
        quick: tiny models, some steps, a part of the validation text.
        full: 256 units, 3.9 million characters, four seeds of the copy task.
    """
    results = Results(out, "Lab 3.6: LSTM and GRU", seed=SEED, quick=quick, steps=9)
    size = QUICK if quick else FULL if full else Size()
    duration = "4 seconds" if quick else "half an hour" if full else "2 minutes"
    results.say(f"Makes 4 plots, 3 tables and a report in about {duration}.")
    text = datasets.shakespeare_characters()
    with one_torch_thread(), threadpool_limits(1):
        equal = beside_torch(lab, results)
        models = shakespeare(lab, results, text, size, equal)
        copying(lab, results, size, equal)
        norms(lab, results, size, equal)
        reach(lab, results, text, size, models)
    results.step("writing metrics.json and report.md")
    results.save()


# --- The lab's layers beside torch's ----------------------------------------------


def beside_torch(lab, results: Results) -> bool:
    """Outputs and gradients over 64 steps in float64; whether torch may stand in."""
    results.step("the lab's layers beside torch's, outputs and gradients")
    largest = 0.0
    for kind, ours in (("gru", lab.GRU), ("lstm", lab.LSTM)):
        torch.manual_seed(SEED)
        layer = ours(D_EMBED, 32).double()
        peer = lab.TorchLayer(TORCH_LAYERS[kind](D_EMBED, 32, batch_first=True))
        peer = copied(layer, peer.double())
        x = torch.randn(8, SEQ_LEN, D_EMBED, dtype=torch.float64)
        found = [run(x) for run in (layer, peer)]
        for out, _ in found:
            out.square().sum().backward()
        pairs = [(found[0][0].detach(), found[1][0].detach())]
        pairs += [
            (getattr(layer, name).grad, getattr(peer.layer, f"{name}_l0").grad)
            for name, _ in layer.named_parameters()
        ]
        largest = max(largest, *(float((a - b).abs().max()) for a, b in pairs))
    equal = largest < 1e-9
    results.metric("beside_torch.largest", largest, "largest difference, float64")
    results.remark(
        f"LSTM and GRU over {SEQ_LEN} steps differ from torch's by {largest:.0e} at "
        "most, outputs and gradients, float64"
        + (": torch's layers train below." if equal else ": the lab's layers train.")
    )
    return equal


@torch.no_grad()
def copied(ours: nn.Module, peer: nn.Module) -> nn.Module:
    """`peer`, a TorchLayer, with the weights of the lab's layer."""
    for name, p in ours.named_parameters():
        getattr(peer.layer, f"{name}_l0").copy_(p)
    return peer


def recurrent(lab, kind, n_in, hidden, seed, equal, forget_bias=1.0) -> nn.Module:
    """A layer as `init_gated_` starts it; the plain RNN starts in the same way."""
    rng = seeding.torch_generator(seed)
    peer = lab.TorchLayer(TORCH_LAYERS[kind](n_in, hidden, batch_first=True))
    if kind == "rnn":
        nn.init.xavier_uniform_(peer.layer.weight_ih_l0, generator=rng)
        nn.init.orthogonal_(peer.layer.weight_hh_l0, generator=rng)
        nn.init.zeros_(peer.layer.bias_ih_l0), nn.init.zeros_(peer.layer.bias_hh_l0)
        return peer
    layer = {"gru": lab.GRU, "lstm": lab.LSTM}[kind](n_in, hidden)
    lab.init_gated_(layer, rng, forget_bias)
    return copied(layer, peer) if equal else layer


# --- Shakespeare ------------------------------------------------------------------


def char_model(lab, kind: str, hidden: int, equal: bool) -> nn.Module:
    """A CharRNN of 65 symbols with a fresh start."""
    torch.manual_seed(SEED)
    model = lab.CharRNN(65, kind, D_EMBED, hidden)
    model.layer = recurrent(lab, kind, D_EMBED, hidden, SEED, equal)
    return model


def count(model: nn.Module) -> int:
    """Number of parameters."""
    return sum(p.numel() for p in model.parameters())


def matched_width(lab, wanted: int) -> int:
    """Units of the RNN whose number of parameters is nearest to `wanted`."""
    sizes = {
        hidden: hidden * (D_EMBED + hidden + 2) + 65 * (D_EMBED + hidden + 1)
        for hidden in range(8, 1000)
    }
    return min(sizes, key=lambda hidden: abs(sizes[hidden] - wanted))


def shakespeare(lab, results: Results, text, size: Size, equal: bool) -> dict:
    """Four models over the same characters; they are returned by name."""
    lstm = char_model(lab, "lstm", size.hidden, equal)
    widths = dict.fromkeys(("rnn", "gru", "lstm"), size.hidden)
    widths["wide"] = matched_width(lab, count(lstm))
    found, rows, samples = {}, [], []
    for name in NAMES:
        hidden = widths[name]
        label = f"{'RNN' if name == 'wide' else NAMES[name]}, {hidden} units"
        results.step(f"Shakespeare: {label}")
        kind = "rnn" if name == "wide" else name
        model = char_model(lab, kind, hidden, equal)
        before = spoken(lab, model, text, size)
        rate = RATES[name] / size.slower
        start = time.perf_counter()
        history = lab.train_char(
            model,
            labs.solution("3.5").stream_chunks(text.train, BATCH, SEQ_LEN),
            size.steps,
            lambda k, rate=rate: rate * (1 - k / size.steps),
            CLIP,
        )
        seconds = time.perf_counter() - start
        nats, positions = validated(lab, model, text, size)
        after = spoken(lab, model, text, size)
        results.language_model(
            model=label, size=count(model), size_unit="parameters",
            train_seconds=seconds, nats=nats, positions=positions, sample=after,
        )  # fmt: skip
        results.metric(f"text.{name}.nats", nats, "nats/character", seconds)
        results.metric(f"text.{name}.parameters", count(model), "parameters")
        results.metric(f"text.{name}.units", hidden, "units")
        results.metric(f"text.{name}.rate", rate, "")
        results.metric(f"text.{name}.seconds", seconds, "seconds")
        results.metric(f"text.{name}.bits", nats / math.log(2), "bits/character")
        found[name] = (model, history, nats, label)
        last = float(np.mean(history.loss[-50:]))
        rows.append(
            (label, count(model), f"{rate:g}", f"{seconds:.0f}", f"{last:.3f}",
             f"{nats:.3f}", f"{math.exp(nats):.2f}")
        )  # fmt: skip
        samples += [(label, "before", before)] if name == "lstm" else []
        samples += [(label, "after", after)] if name in ("rnn", "lstm") else []
    report_text(results, size, found, rows, samples)
    return {name: entry[0] for name, entry in found.items()}


def validated(lab, model, text, size: Size) -> tuple[float, int]:
    """Nats per character of the validation text after the last training character."""
    ids = np.concatenate([text.train[-1:], text.valid[: size.valid]])
    return lab.evaluate_stream(model, ids, 2000), len(ids) - 1


def spoken(lab, model, text, size: Size) -> str:
    """A sample that begins after a newline."""
    rng = seeding.torch_generator(SEED)
    return text.decode(lab.sample(model, [0], size.letters, rng, 1.0))


def report_text(results: Results, size: Size, found, rows, samples) -> None:
    """Table, differences, curves, samples."""
    seen = size.steps * BATCH * SEQ_LEN
    results.metric("text.characters", seen, "characters")
    results.metric("text.epochs", seen / 1_003_854, "epochs")
    nats = {name: entry[2] for name, entry in found.items()}
    for name in ("wide", "gru", "lstm"):
        results.metric(f"text.{name}.gain", nats["rnn"] - nats[name], "nats/character")
    results.metric("text.matched.gain", nats["wide"] - nats["lstm"], "nats/character")
    results.text(
        f"## Shakespeare, {seen:,} characters each\n"
        f"Batches of {BATCH} streams, chunks of {SEQ_LEN}, Adam with a rate that "
        f"falls in a straight line to 0, gradients clipped at {CLIP:g}. The first rate "
        "is the best of a grid by training loss, for each model. The same characters "
        "in the same order for all four. Training loss: mean of the last 50 chunks; "
        "validation: one stream with carried state."
    )
    header = [
        "model",
        "parameters",
        "rate",
        "seconds",
        "training",
        "validation",
        "perplexity",
    ]
    results.table(header, rows)
    results.text(
        f"LSTM against the RNN of equal width: {nats['lstm'] - nats['rnn']:+.3f} nats; "
        f"against the RNN of equal size: {nats['lstm'] - nats['wide']:+.3f}; against "
        f"the GRU: {nats['lstm'] - nats['gru']:+.3f}. The course's leaderboard has "
        "n-grams and other networks beside them. Samples are drawn at temperature 1, "
        "from a newline; ↵ is a newline."
    )
    results.figure(draw_curves(found, size), "curves.png", "Loss of four models")
    quoted = [
        (label, when, "`" + said.replace("\n", "↵") + "`")
        for label, when, said in samples
    ]
    results.table(["model", "training", "sample"], quoted)


def smooth(values, width: int) -> np.ndarray:
    """The mean of the last `width` values, from the first full window on."""
    return np.convolve(values, np.ones(width) / width, "valid")


def draw_curves(found: dict, size: Size):
    """Training loss against characters, and the validation loss as a mark."""
    fig, (left, right) = plotting.figure(1, 2, size=(9.4, 4.2))
    width = max(1, size.steps // 20)
    million = BATCH * SEQ_LEN / 1e6
    for name, (model, history, nats, label) in found.items():
        line = smooth(history.loss, width)
        at = million * (np.arange(len(line)) + width)
        left.plot(at, line, color=COLOURS[name], label=label)
        at = (count(model) / 1e3, nats)
        right.plot(*at, "o", color=COLOURS[name], ms=9)
        side = -1 if name == "gru" else 1  # the LSTM has a neighbour
        right.annotate(
            f"{label}: {nats:.3f}", at, xytext=(9 * side, 0), fontsize="small",
            textcoords="offset points", va="center", ha="left" if side > 0 else "right",
        )  # fmt: skip
    left.set(xlabel="characters read (millions)", ylabel="training loss (nats)")
    left.set_title(f"Mean of {width} chunks while learning")
    left.legend(fontsize="small")
    right.set(xlabel="parameters (thousands)", ylabel="validation loss (nats)")
    right.set_title("After the last step")
    right.margins(y=0.15)
    right.set_xlim(0, 1.7 * max(count(entry[0]) for entry in found.values()) / 1e3)
    return fig


# --- The copy task ----------------------------------------------------------------

COPY = {  # kind, bias of the gate that keeps (None: torch's start), colour, line
    "RNN, torch's start": ("rnn", None, ORANGE, "--"),
    "RNN, orthogonal": ("rnn", 0.0, RED, "-"),
    "GRU, update bias 0": ("gru", 0.0, SKY, "--"),
    "GRU, update bias 3": ("gru", 3.0, GREEN, "-"),
    "LSTM, forget bias 0": ("lstm", 0.0, "0.5", "--"),
    "LSTM, forget bias 1": ("lstm", 1.0, PURPLE, "--"),
    "LSTM, forget bias 3": ("lstm", 3.0, BLUE, "-"),
}
SYMBOLS, LENGTH, DELAY, UNITS, COPY_BATCH, COPY_RATE = 8, 1, 30, 64, 32, 3e-3
WINDOW = 25  # steps over which accuracy is averaged


def copying(lab, results: Results, size: Size, equal: bool) -> None:
    """Accuracy while learning, fresh sequences in every step."""
    results.step(f"copy task, {DELAY} steps of delay")
    found = {
        name: [
            copy_curve(lab, kind, bias, size.copy_steps, seed, equal)
            for seed in range(size.seeds)
        ]
        for name, (kind, bias, *_) in COPY.items()
    }
    rows = []
    for name, curves in found.items():
        last = [100 * float(np.mean(curve[-WINDOW:])) for curve in curves]
        results.metric(f"copy.{short(name)}.accuracy", np.mean(last), "%")
        results.metric(f"copy.{short(name)}.worst", min(last), "%")
        steps = [first_above(curve, 0.9) for curve in curves]
        cells = ", ".join("never" if s is None else f"{s:,}" for s in steps)
        rows.append((name, ", ".join(f"{v:.0f}" for v in last), cells))
    results.metric("copy.steps", size.copy_steps, "steps")
    results.text(
        f"## Copy task, delay {DELAY}\nOne symbol of {SYMBOLS}, {DELAY} steps, then "
        f"the answer. {UNITS} units, batches of {COPY_BATCH} fresh sequences, Adam at "
        f"{COPY_RATE:g}, at most {size.copy_steps:,} steps, a figure for each of "
        f"{size.seeds} seed(s). Guessing gives {100 / SYMBOLS:.1f} %."
    )
    header = ["cell", f"% right, last {WINDOW} steps", "steps to 90 %"]
    results.table(header, rows)
    results.figure(draw_copy(found), "copy.png", "Accuracy on the copy task")


def short(name: str) -> str:
    """ "LSTM, forget bias 3" as lstm3, for the name of a metric."""
    name = name.replace(", forget bias ", "").replace(", update bias ", "")
    return name.replace(", torch's start", ".torch").replace(", ", ".").lower()


@torch.no_grad()
def keep(layer: nn.Module, hidden: int, bias: float) -> None:
    """Give the update gate of a GRU, its second block, a bias of its own."""
    inner = getattr(layer, "layer", layer)
    name = "bias_ih_l0" if hasattr(inner, "bias_ih_l0") else "bias_ih"
    getattr(inner, name)[hidden : 2 * hidden] = bias


def copy_run(
    lab, kind, bias, seed, equal, make=torch.optim.Adam, rate=COPY_RATE, clip=CLIP
) -> Iterator[tuple[float, float, float]]:
    """Train without end; of each step share of right symbols, loss, gradient norm."""
    torch.manual_seed(seed)
    head = nn.Linear(UNITS, SYMBOLS)
    layer = lab.TorchLayer(nn.RNN(SYMBOLS + 2, UNITS, batch_first=True))
    if bias is not None:
        layer = recurrent(lab, kind, SYMBOLS + 2, UNITS, seed, equal, bias)
    if kind == "gru":
        keep(layer, UNITS, bias)
    params = [*layer.parameters(), *head.parameters()]
    optimizer = make(params, lr=rate)
    rng = seeding.rng(SEED, "copy", seed)
    while True:
        xs, targets, _ = labs.solution("3.5").copy_batch(
            rng, COPY_BATCH, SYMBOLS, LENGTH, DELAY
        )
        x = torch.tensor(xs, dtype=torch.float32).transpose(0, 1)
        y = torch.tensor(targets[-LENGTH:]).T
        logits = head(layer(x)[0][:, -LENGTH:])
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        norm = lab.clip_global_norm_(params, clip)
        optimizer.step()
        yield float((logits.argmax(-1) == y).float().mean()), loss.item(), float(norm)


def copy_curve(lab, kind, bias, steps, seed, equal) -> np.ndarray:
    """Share of right symbols in each step's batch, before the step.

    It ends early when a whole window of steps is all but perfect.
    """
    found: list[float] = []
    for right, _, _ in copy_run(lab, kind, bias, seed, equal):
        found.append(right)
        done = len(found) >= WINDOW and np.mean(found[-WINDOW:]) > 0.995
        if done or len(found) == steps:
            break
    return np.array(found)


def first_above(curve: np.ndarray, level: float) -> int | None:
    """The first step whose last WINDOW steps are above the level on average."""
    if len(curve) < WINDOW:
        return None
    above = np.flatnonzero(smooth(curve, WINDOW) > level)
    return int(above[0]) + WINDOW if len(above) else None


def draw_copy(found: dict):
    """One line per seed, smoothed; a dot where a run was done early."""
    fig, ax = plotting.figure(size=(7.8, 4.4))
    longest = max(len(curve) for curves in found.values() for curve in curves)
    for name, curves in found.items():
        _, _, colour, style = COPY[name]
        for seed, curve in enumerate(curves):
            width = min(WINDOW, len(curve))
            line = 100 * smooth(curve, width)
            at = np.arange(len(line)) + width
            label = name if seed == 0 else None
            ax.plot(at, line, style, color=colour, label=label, lw=1.6)
            if len(curve) < longest:
                ax.plot(at[-1], line[-1], "o", color=colour, ms=5)
    ax.axhline(100 / SYMBOLS, color="0.3", ls=":", label="guessing")
    ax.set(xlabel="step", ylabel="symbols right (%)", ylim=(0, 103))
    ax.set_title(f"One symbol over {DELAY} steps; a line per seed, a dot where done")
    ax.legend(fontsize="small", loc="center right")
    return fig


# --- The length of the gradient ---------------------------------------------------

CLIPPING = {"RNN, orthogonal": "rnn", "LSTM, forget bias 3": "lstm"}
OPTIMIZERS = {"SGD": (torch.optim.SGD, 0.1), "Adam": (torch.optim.Adam, 0.01)}
CLIPS = {"clipped": CLIP, "free": math.inf}


def norms(lab, results: Results, size: Size, equal: bool) -> None:
    """The copy task once more at bold rates, with and without clipping."""
    results.step("gradient norms with and without clipping")
    drawn, said = {}, []
    for optimizer, name in product(OPTIMIZERS, CLIPPING):
        ends = []
        for how, clip in CLIPS.items():
            history = bold_runs(lab, name, optimizer, clip, size, equal)
            if optimizer == "SGD":
                drawn[name, how] = history
            last = history[:, -max(1, size.norm_steps // 5) :, 1].mean(axis=1)
            over = 100 * float((history[:, :, 2] > CLIP).mean())
            prefix = f"norm.{optimizer.lower()}.{CLIPPING[name]}.{how}"
            results.metric(f"{prefix}.loss", float(last.mean()), "nats")
            results.metric(f"{prefix}.over", over, "% of steps")
            results.metric(f"{prefix}.largest", float(history[:, :, 2].max()), "")
            ends.append(f"{how} {last.min():.2f} to {last.max():.2f}")
        rate = OPTIMIZERS[optimizer][1]
        said.append(f"{optimizer} at {rate:g}, {name}: {', '.join(ends)}")
    results.metric("norm.seeds", size.norm_seeds, "seeds")
    results.text(
        f"## Clipping\nThe copy task at bold rates, {size.norm_steps} steps, gradients "
        f"clipped at {CLIP:g} or left free, {size.norm_seeds} seeds. Where the loss "
        f"ends (mean of the last fifth, lowest to highest seed; guessing has "
        f"{math.log(SYMBOLS):.2f}): {'; '.join(said)}."
    )
    results.figure(draw_norms(drawn), "norms.png", "Gradient norms and losses")


def bold_runs(lab, name, optimizer, clip, size: Size, equal: bool) -> np.ndarray:
    """Accuracy, loss and norm of each step of each seed: (seeds, steps, 3)."""
    kind, bias, *_ = COPY[name]
    make, rate = OPTIMIZERS[optimizer]
    runs = [
        copy_run(lab, kind, bias, seed, equal, make, rate, clip)
        for seed in range(size.norm_seeds)
    ]
    return np.array([[next(run) for _ in range(size.norm_steps)] for run in runs])


def draw_norms(histories: dict):
    """SGD: above the norms, below the losses; left the RNN, right the LSTM."""
    fig, axes = plotting.figure(2, 2, size=(9.4, 5.2))
    labels = {"free": "left free", "clipped": f"clipped at {CLIP:g}"}
    for (name, how), history in histories.items():
        column = list(CLIPPING).index(name)
        look = {"color": RED if how == "free" else BLUE, "lw": 0.9, "alpha": 0.75}
        for seed, run in enumerate(history):
            label = labels[how] if seed == 0 else None
            axes[0, column].plot(smooth(run[:, 2], 5), label=label, **look)
            axes[1, column].plot(smooth(run[:, 1], 5), label=label, **look)
        axes[0, column].set(title=f"{name}, SGD", yscale="log")
        axes[1, column].set(xlabel="step")
    for ax in axes[0]:
        ax.axhline(CLIP, color="0.3", ls=":", lw=1)
    axes[0, 0].set_ylabel("gradient norm before clipping")
    axes[1, 0].set_ylabel("loss (nats)")
    fig.supxlabel("a line per seed, mean of 5 steps", fontsize="small")
    axes[0, 0].legend(fontsize="small")
    for row in axes:  # one scale for both columns
        low = min(ax.get_ylim()[0] for ax in row)
        high = max(ax.get_ylim()[1] for ax in row)
        for ax in row:
            ax.set_ylim(low, high)
    return fig


# --- How far back gradients reach -------------------------------------------------


def reach(lab, results: Results, text, size: Size, models: dict) -> None:
    """The gradient of the last state by earlier ones, before and after training."""
    results.step("how far back gradients reach")
    T, n = size.distance, 16
    ids = torch.as_tensor(text.valid[: n * (T + 1)].copy()).view(n, T + 1)
    fresh = char_model(lab, "lstm", size.hidden, True)
    lines = {}
    for name, kind, bias, model in (
        ("RNN, at the start", "rnn", 1.0, None),
        ("RNN, trained", "rnn", 1.0, models["rnn"]),
        ("LSTM, at the start, forget bias 0", "lstm", 0.0, None),
        ("LSTM, at the start, forget bias 1", "lstm", 1.0, None),
        ("LSTM, trained", "lstm", 1.0, models["lstm"]),
    ):
        layer = model.layer if model else None
        if layer is None:
            layer = recurrent(lab, kind, D_EMBED, size.hidden, SEED, True, bias)
        embedded = (model or fresh).embed(ids).detach()
        lines[name], gates = state_gradients(lab, kind, layer, embedded)
    paths = torch.stack([lab.cell_path_gradient(f) for f in gates.unbind(1)])
    kept = paths.mean(dim=0).flip(0).numpy()  # (T, H), distance 0 first
    report_reach(results, size, lines, kept)


def layer_weights(layer: nn.Module) -> list:
    """W_ih, W_hh, b_ih, b_hh of the lab's layer or of a TorchLayer."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    if hasattr(layer, "layer"):
        return [getattr(layer.layer, f"{name}_l0").detach() for name in names]
    return [getattr(layer, name).detach() for name in names]


def state_gradients(lab, kind: str, layer, embedded) -> tuple:
    """Mean norm of d(sum of the last h)/d(state t), distance 0 first, and forget gates.

    The state is h in an RNN and c in an LSTM; norms are divided by the one at distance
    0. Forget gates (T, B, H) come from the LSTM alone.
    """
    W_ih, W_hh, b_ih, b_hh = layer_weights(layer)
    n, hidden = len(embedded), W_hh.shape[1]
    h, c = torch.zeros(n, hidden), torch.zeros(n, hidden)
    states, gates = [], []
    for x in embedded.unbind(1):
        if kind == "rnn":
            h = torch.tanh(x @ W_ih.T + b_ih + h @ W_hh.T + b_hh).requires_grad_()
            states.append(h)
            continue
        summed = x @ W_ih.T + b_ih + h @ W_hh.T + b_hh
        gates.append(torch.sigmoid(summed.detach()[:, hidden : 2 * hidden]))
        h, c = lab.lstm_step(x, h, c.requires_grad_(), W_ih, W_hh, b_ih, b_hh)
        states.append(c)
    found = torch.autograd.grad(h.sum(), states)
    sizes = torch.stack([g.norm(dim=1).mean() for g in found]).flip(0)
    return (sizes / sizes[0]).numpy(), torch.stack(gates) if gates else None


def report_reach(results: Results, size: Size, lines: dict, kept: np.ndarray) -> None:
    """Figures at two distances, and the half-lives of the trained cells."""
    near, far = size.distance // 5, size.distance - 1
    rows = []
    for name, line in lines.items():
        key = name.lower().replace(", at the start", ".start").replace(", ", ".")
        key = key.replace(".forget bias ", "")
        results.metric(f"reach.{key}.near", float(line[near]), "of distance 0")
        results.metric(f"reach.{key}.far", float(line[far]), "of distance 0")
        rows.append((name, f"{line[near]:.1e}", f"{line[far]:.1e}"))
    lives = [int((unit > 0.5).sum()) for unit in kept.T]
    long = 100 * float(np.mean(np.array(lives) > 10))
    results.metric("reach.half_life.median", float(np.median(lives)), "characters")
    results.metric("reach.half_life.longest", max(lives), "characters")
    results.metric("reach.half_life.above_ten", long, "% of units")
    results.text(
        "## How far back gradients reach\nGradient of the last h by an earlier state "
        "(h in the RNN, c in the LSTM) on validation text, as a share of the one at "
        "distance 0. Along the cell alone, the product of forget gates: half of a cell "
        f"of the trained LSTM is left after {np.median(lives):.0f} characters (median "
        f"of the units); {long:.0f} % of them keep half for more than 10, the longest "
        f"for {max(lives)}{' or more' if max(lives) == size.distance else ''}."
    )
    results.table(["layer", f"{near} steps back", f"{far} steps back"], rows)
    results.figure(draw_reach(lines, kept), "reach.png", "How far gradients reach")


def draw_reach(lines: dict, kept: np.ndarray):
    """Left all the gradient, right what goes along the cell."""
    fig, (left, right) = plotting.figure(1, 2, size=(9.8, 4.2))
    colours = (ORANGE, RED, SKY, GREEN, BLUE)
    for (name, line), colour in zip(lines.items(), colours, strict=True):
        left.plot(line, color=colour, label=name)
    left.set(yscale="log", xlabel="steps back", ylim=(1e-12, 10))
    left.set(ylabel="gradient norm / norm at distance 0", title="The whole gradient")
    left.legend(fontsize="x-small")
    order = np.sort(kept, axis=1)
    for share, colour in ((1.0, BLUE), (0.95, SKY), (0.75, GREEN), (0.5, "0.4")):
        at = min(int(share * kept.shape[1]), kept.shape[1] - 1)
        label = "largest" if share == 1 else f"{100 * share:.0f} % of the units below"
        right.plot(order[:, at], color=colour, label=label)
    right.set(xlabel="steps back", ylabel="product of forget gates", ylim=(0, 1.02))
    right.set_title("Trained LSTM: what is left of a cell")
    right.legend(fontsize="x-small")
    return fig
