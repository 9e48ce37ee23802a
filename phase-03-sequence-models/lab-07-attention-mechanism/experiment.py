"""What attention looks at: in a list, in Shakespeare, and in a cloud of points.

One head learns to look a letter up in a list; one head becomes a small language model
of Tiny Shakespeare, whose weights are drawn over a line it has never seen; the width d
with and without its square root; what attention costs beside recurrence; and kernel
regression, which turns out to be attention. One CPU thread, about a minute and a half;
`full` trains four times as long. Where there is a GPU it is timed too.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from common import datasets, plotting, seeding
from common.device import one_torch_thread, pick, timeit
from common.results import Results

SEED = 37
BLUE, RED, GREEN, PURPLE, ORANGE, SKY = plotting.PALETTE[:6]
LETTERS, DIGITS, PAIRS = "abcdefghijkl", "0123456789", 8
WINDOW, WIDTH = 32, 64
WIDTHS = (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
LENGTHS = (16, 32, 64, 128, 256, 512, 1024, 2048)


def main(lab, out: Path, quick: bool = False, full: bool = False) -> None:
    """Run the experiment.

    Args:
        lab: the module under test: the solution, or a learner's lab.py.
        out: folder for metrics.json, report.md and the five plots.
        quick: short trainings and few sizes; about eight seconds.
        full: trainings four times as long.
    """
    title = "Lab 3.7: what attention looks at"
    results = Results(out, title, seed=SEED, steps=7, quick=quick)
    duration = "8 seconds" if quick else "5 minutes" if full else "a minute and a half"
    results.say(f"Makes 5 plots, 4 tables and a report in about {duration}.")
    more = 4 if full else 1
    with one_torch_thread():
        look_up(lab, results, 40 if quick else 1500 * more)
        shakespeare(lab, results, 20 if quick else 1500 * more, quick)
        widths(lab, results, WIDTHS[:5] if quick else WIDTHS)
        cost(lab, results, LENGTHS[:4] if quick else LENGTHS, 1 if quick else 7)
        kernel(lab, results)
    results.step("writing metrics.json and report.md")
    results.save()


def fit(model: nn.Module, batch: Callable, steps: int, lr: float) -> float:
    """AdamW with a warm-up and a cosine on batches (inputs, targets); seconds."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=lr)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, lr, total_steps=steps, pct_start=0.1
    )
    start = time.perf_counter()
    for _ in range(steps):
        inputs, targets = batch()
        logits = model(inputs).flatten(0, -2)
        optimizer.zero_grad()
        cross_entropy(logits, targets.flatten()).backward()
        optimizer.step()
        schedule.step()
    return time.perf_counter() - start


def make_uniform(attention: nn.Module) -> None:
    """Take the choice away: scores of 0, so that all keys get the same weight."""
    attention.q_proj.weight.requires_grad_(False).zero_()


# --- A list to look things up in --------------------------------------------------


class Lookup(nn.Module):
    """Letters with digits, then one letter with a question mark: which digit is it?

    There are no positions: a token is the sum of a vector for its letter and one for
    its digit (10 is the question mark). Only attention brings tokens together.
    """

    def __init__(self, lab) -> None:
        super().__init__()
        self.letter = nn.Embedding(len(LETTERS), 32)
        self.digit = nn.Embedding(len(DIGITS) + 1, 32)
        self.attention = lab.SelfAttention(32, 16, causal=False)
        self.head = nn.Linear(32, len(DIGITS))

    def attend(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """ids (B, T, 2) -> what attention gives back (B, T, 32), weights (B, T, T)."""
        x = self.letter(ids[..., 0]) + self.digit(ids[..., 1])
        return self.attention(x, return_weights=True)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits of the digit, (B, 10), from the last token, which asks."""
        return self.head(self.attend(ids)[0][:, -1])


def lists(generator, count: int, pairs: int = PAIRS) -> tuple[Tensor, Tensor, Tensor]:
    """Ids (count, pairs + 1, 2), the right digits, and where they stand."""
    drawn = torch.rand(count, len(LETTERS), generator=generator)
    letters = drawn.argsort(dim=1)[:, :pairs]  # all different
    digits = torch.randint(len(DIGITS), (count, pairs), generator=generator)
    at = torch.randint(pairs, (count, 1), generator=generator)
    asked = letters.gather(1, at)
    letters = torch.cat([letters, asked], dim=1)
    marks = torch.cat([digits, torch.full_like(asked, len(DIGITS))], dim=1)
    return torch.stack([letters, marks], dim=-1), digits.gather(1, at)[:, 0], at[:, 0]


@torch.no_grad()
def looked_up(model: Lookup, pairs: int, count: int) -> tuple[float, float]:
    """Share of right digits, and mean weight on the pair that was asked for."""
    ids, digits, at = lists(seeding.torch_generator(SEED + 1), count, pairs)
    right = (model(ids).argmax(dim=1) == digits).float().mean()
    weights = model.attend(ids)[1][:, -1]
    return right.item(), weights.gather(1, at[:, None]).mean().item()


def look_up(lab, results: Results, steps: int) -> None:
    """One head before and after training, and the same head without a choice."""
    results.step("one head learns to look things up")
    torch.manual_seed(SEED)
    model, uniform = Lookup(lab), Lookup(lab)
    make_uniform(uniform.attention)
    generator = seeding.torch_generator(SEED)
    ids, _, _ = lists(generator, 1)
    maps = {"before training": asked_for_all(model, ids)}
    count, rows = 4000 if steps > 100 else 200, []

    def batch() -> tuple[Tensor, Tensor]:
        ids, digits, _ = lists(generator, 64)
        return ids, digits

    def measure(name: str, key: str, network: Lookup) -> None:
        found = [x for n in (PAIRS, len(LETTERS)) for x in looked_up(network, n, count)]
        kinds = ("accuracy", "weight", "longer.accuracy", "longer.weight")
        for kind, value in zip(kinds, found, strict=True):
            results.metric(f"lookup.{key}.{kind}", value, "share")
        rows.append((name, *(f"{value:.3f}" for value in found)))

    measure("before training", "before", model)
    for network in (model, uniform):
        fit(network, batch, steps, 5e-3)
    measure("after training", "after", model)
    measure("trained, but all weights equal", "uniform", uniform)
    maps["after training"] = asked_for_all(model, ids)
    results.text(
        f"## Looking up\n{PAIRS} letters with a digit each, and one letter to look up. "
        "Share of right digits and mean weight on the right pair; then with lists of "
        f"{len(LETTERS)}, longer than any in training."
    )
    longer = f"{len(LETTERS)} pairs"
    head = ["right digit", "weight", f"right digit, {longer}", f"weight, {longer}"]
    results.table(["one head", *head], rows)
    draw_look_up(results, maps, ids)


@torch.no_grad()
def asked_for_all(model: Lookup, ids: Tensor) -> np.ndarray:
    """Weights (pairs, pairs) on one list if each of its letters is asked for."""
    asking = ids.repeat(PAIRS, 1, 1)
    asking[:, -1, 0] = ids[0, :-1, 0]
    return model.attend(asking)[1][:, -1, :-1].numpy()


def draw_look_up(results: Results, maps: dict, ids: Tensor) -> None:
    """Rows ask, columns are the list."""
    fig, axes = plotting.figure(1, 2, size=(9.4, 4.1))
    pairs = ids[0, :-1].tolist()
    columns = [LETTERS[letter] + DIGITS[digit] for letter, digit in pairs]
    asked = [LETTERS[letter] + "?" for letter, _ in pairs]
    for ax, (name, weights) in zip(axes, maps.items(), strict=True):
        plotting.heat_map(ax, weights, asked, columns, label="weight", limits=(0, 1))
        ax.tick_params(axis="x", rotation=0)
        ax.set(title=name, xlabel="key: a pair of the list", ylabel="query: the letter")
    results.figure(fig, "lookup.png", "Weights of one head on a list, before and after")


# --- Shakespeare ------------------------------------------------------------------


class OneHead(nn.Module):
    """A language model in which one head is all that brings characters together."""

    def __init__(self, lab, n_symbols: int) -> None:
        super().__init__()
        self.lab = lab
        self.symbol = nn.Embedding(n_symbols, WIDTH)
        self.position = nn.Embedding(WINDOW, WIDTH)
        self.attention = lab.SelfAttention(WIDTH, WIDTH, causal=True)
        self.mix = nn.Sequential(
            nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 256), nn.ReLU(), nn.Linear(256, WIDTH)
        )
        self.head = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, n_symbols))

    def embed(self, ids: Tensor) -> Tensor:
        """ids (..., T) -> (..., T, WIDTH), T at most WINDOW."""
        return self.symbol(ids) + self.position.weight[: ids.shape[-1]]

    def forward(self, ids: Tensor, blocked: Tensor | None = None) -> Tensor:
        """ids (..., T) -> logits (..., T, n_symbols) of the character after each.

        Keys where `blocked` (..., T) is True cannot be looked at.
        """
        x = self.embed(ids)
        x = x + (self.attention(x) if blocked is None else self.without(x, blocked))
        return self.head(x + self.mix(x))

    def without(self, x: Tensor, blocked: Tensor) -> Tensor:
        """What the layer gives back if some keys are not there."""
        layer = self.attention
        causal = self.lab.causal_mask(x.shape[-2])
        mask = self.lab.combine_masks(causal, ~blocked.unsqueeze(-2))
        q, k, v = layer.q_proj(x), layer.k_proj(x), layer.v_proj(x)
        mixed, _ = self.lab.scaled_dot_product_attention(q, k, v, mask)
        return layer.out_proj(mixed)

    @torch.no_grad()
    def weights(self, ids: Tensor) -> Tensor:
        """Attention weights (..., T, T)."""
        return self.attention(self.embed(ids), return_weights=True)[1]


def shakespeare(lab, results: Results, steps: int, quick: bool) -> None:
    """Train the head and its twin with equal weights; compare with counting."""
    results.step("one head reads Shakespeare")
    text = datasets.shakespeare_characters()
    train, valid = torch.from_numpy(text.train), torch.from_numpy(text.valid)
    if quick:
        valid = valid[:2000]
    line = valid[3 : 3 + WINDOW]
    stream = torch.cat([train[-1:], valid])
    scores, trained, samples, maps = {}, {}, {}, {}
    for name in ("uniform", "learned"):
        if name == "learned":
            results.step("the same head, now free to choose")
        torch.manual_seed(SEED)
        model = OneHead(lab, len(text.symbols))
        if name == "uniform":
            make_uniform(model.attention)
        else:
            maps["before training"] = model.weights(line)
            samples["before"] = sample(model, text)
        generator = seeding.torch_generator(SEED)
        seconds = fit(model, lambda g=generator: windows(train, g), steps, 5e-3)
        scores[name] = evaluate(model, stream)
        trained[name] = seconds
        results.metric(f"text.{name}", scores[name], "nats/character", seconds=seconds)
    maps["after training"] = model.weights(line)
    samples["after"] = sample(model, text)
    size = sum(p.numel() for p in model.parameters())
    results.language_model(
        model=f"One attention head, {WINDOW} characters",
        size=size,
        size_unit="parameters",
        train_seconds=trained["learned"],
        nats=scores["learned"],
        positions=len(valid),
        sample=samples["after"],
    )
    counts = {n: counted(text.train, stream.numpy(), n) for n in (2, 3, 4)}
    report_text(lab, results, text, model, scores, counts, steps)
    report_line(lab, results, text.decode(line.numpy()), maps, samples)
    after_commas(results, model, text, valid)


def windows(train: Tensor, generator) -> tuple[Tensor, Tensor]:
    """64 windows and the characters that follow each of their characters."""
    start = torch.randint(len(train) - WINDOW, (64, 1), generator=generator)
    rows = train[start + torch.arange(WINDOW + 1)]
    return rows[:, :-1], rows[:, 1:]


@torch.no_grad()
def evaluate(model: nn.Module, stream: Tensor) -> float:
    """Mean nats of every character after the first, in half-overlapping windows.

    A character has 17 to 32 before it, except for the first ones of the stream.
    """
    n = len(stream) - 1
    starts = [*range(0, n - WINDOW, WINDOW // 2), n - WINDOW]
    nats = torch.empty(n)
    at = torch.tensor(starts)[:, None] + torch.arange(WINDOW)
    rows = torch.cat(
        [
            cross_entropy(model(stream[a]).mT, stream[a + 1], reduction="none")
            for a in at.split(512)
        ]
    )
    # from the end: where two windows overlap, the one with more context is written last
    for start, row in zip(reversed(starts), reversed(rows.unbind()), strict=True):
        nats[start : start + WINDOW] = row
    return nats.double().mean().item()


def counted(train: np.ndarray, stream: np.ndarray, n: int) -> float:
    """Nats of an n-gram with 0.1 added to every count, on the same characters."""
    size = 65 ** np.arange(n)[::-1]

    def grams(ids: np.ndarray) -> np.ndarray:
        return np.lib.stride_tricks.sliding_window_view(ids, n) @ size

    seen = grams(train)
    counts = np.bincount(seen, minlength=65**n)
    contexts = np.bincount(seen // 65, minlength=65 ** (n - 1))
    begin = train[len(train) - n + 1 : -1]  # the stream has the last one
    asked = grams(np.concatenate([begin, stream]))
    p = (counts[asked] + 0.1) / (contexts[asked // 65] + 6.5)
    return float(-np.log(p).mean())


@torch.no_grad()
def sample(model: nn.Module, text, length: int = 200) -> str:
    """Characters drawn one after the other, from a new line on."""
    generator = seeding.torch_generator(SEED)
    ids = torch.from_numpy(text.encode("\n"))
    for _ in range(length):
        p = model(ids[-WINDOW:])[-1].softmax(dim=-1)
        ids = torch.cat([ids, torch.multinomial(p, 1, generator=generator)])
    return text.decode(ids[1:].numpy())


def report_text(lab, results, text, model, scores, counts, steps) -> None:
    """A table of losses, and where the weight goes by distance."""
    for n, value in counts.items():
        results.metric(f"text.{n}gram", value, "nats/character")
    rows = [(f"{n}-gram, 0.1 added to each count", counts[n]) for n in counts]
    rows += [("one head, all weights equal", scores["uniform"])]
    rows += [("one head", scores["learned"])]
    rows.sort(key=lambda row: -row[1])
    ids = torch.from_numpy(text.valid[: 1000 * WINDOW]).view(-1, WINDOW)
    last = model.weights(ids)[:, -1].mean(dim=0).flip(0)  # by distance, 0 is itself
    shares = {
        "itself": last[0],
        "the previous one": last[1],
        "the one before": last[2],
        "3 to 7 back": last[3:8].sum(),
        "8 to 31 back": last[8:].sum(),
    }
    for name, value in shares.items():
        results.metric(f"text.weight.{name.replace(' ', '_')}", value, "share")
    parts = ", ".join(f"{name} {value:.2f}" for name, value in shares.items())
    results.text(
        f"## Shakespeare\n{steps:,} steps of 64 windows of {WINDOW} characters. Nats "
        "per character on the validation part (lower is better), beside counting. "
        f"Where a window's last character looks, mean weights: {parts}."
    )
    table = [(name, f"{x:.3f}", f"{math.exp(x):.2f}") for name, x in rows]
    results.table(["model", "nats", "perplexity"], table)


@torch.no_grad()
def after_commas(results: Results, model: OneHead, text, valid: Tensor) -> None:
    """What the next character costs after a comma if some keys are not there."""
    comma, end = text.encode(",\n")
    rows = valid[:-1].unfold(0, WINDOW, 1)
    target = valid[WINDOW:]
    chosen = (rows[:, -1] == int(comma)) & (rows == int(end)).any(dim=1)
    rows, target = rows[chosen], target[chosen]
    ends = rows == int(end)
    before = (torch.arange(WINDOW) == WINDOW - 2).expand(rows.shape)
    nats = {}
    for name, blocked in (
        ("all_keys", None),
        ("no_line_ends", ends),
        ("no_previous_one", before),
    ):
        loss = cross_entropy(model(rows, blocked)[:, -1], target)
        nats[name] = loss.item()
        results.metric(f"text.comma.{name}", nats[name], "nats/character")
    results.text(
        f"Does the comma need what it looks at? The character after {len(rows):,} "
        f"commas costs {nats['all_keys']:.3f} nats, {nats['no_line_ends']:.3f} if line "
        f"ends are masked, {nats['no_previous_one']:.3f} if the character before it is."
    )


def shown(characters: str) -> list[str]:
    """Labels for characters, spaces and line ends made visible."""
    return [{"\n": "↵", " ": "␣"}.get(c, c) for c in characters]


def report_line(lab, results, line: str, maps: dict, samples: dict) -> None:
    """Two heat maps of one line, some of it in words, and text before and after."""
    labels = shown(line)
    fig, axes = plotting.figure(1, 2, size=(12.6, 5.6))
    for ax, (name, weights) in zip(axes, maps.items(), strict=True):
        plotting.heat_map(ax, weights, labels, labels, label="weight", limits=(0, 1))
        ax.tick_params(axis="both", labelsize=8, length=0)
        ax.tick_params(axis="x", rotation=0)
        ax.set(title=name, xlabel="key: a character so far", ylabel="query")
    results.figure(fig, "sentence.png", "One head over a line of the validation text")
    where = [f"{label} ({i})" for i, label in enumerate(labels)]
    words = lab.describe_attention(maps["after training"], where, where, 3)
    chosen = [6, 9, 19]
    results.text("The map in words (`describe_attention`; the place in brackets):")
    rows = [
        (query, ", ".join(f"{key} {weight:.2f}" for key, weight in pairs))
        for query, pairs in (words[i] for i in chosen)
    ]
    results.table(["query", "looks at"], rows)
    drawn = [f"{when} training `{one_line(s[:110])}`" for when, s in samples.items()]
    results.text(f"Drawn {', '.join(drawn)}.")


def one_line(drawn: str) -> str:
    """A text with its line ends made visible."""
    return " ".join(drawn.replace("`", "'").replace("\n", " ↵ ").split())


# --- The square root of the width -------------------------------------------------


def widths(lab, results: Results, sizes: tuple[int, ...]) -> None:
    """64 normal keys, 1000 normal queries: how sharp are the weights?"""
    results.step("why the square root")
    generator = seeding.torch_generator(SEED)
    found = {}
    for d in sizes:
        q, k = (torch.randn(n, d, generator=generator) for n in (1000, 64))
        for scaled in (False, True):
            found[d, scaled] = lab.score_statistics(q, k, scaled)
            name = "scaled" if scaled else "unscaled"
            for key, value in found[d, scaled].items():
                results.metric(f"width.{d}.{name}.{key}", value, "")
    d = sizes[-2]
    pairs = {
        key: " and ".join(f"{found[d, scaled][key]:.3g}" for scaled in (False, True))
        for key in found[d, False]
    }
    results.text(
        "## Width and scale\n64 keys and 1,000 queries of normal numbers, without and "
        f"with 1/√d, at d = {d}: variance of the scores {pairs['variance']}, entropy "
        f"{pairs['entropy']} nats (equal weights: {math.log(64):.3g}), largest weight "
        f"{pairs['max_weight']}, mean of p (1 − p) {pairs['jacobian_diagonal']}."
    )
    draw_widths(results, found, sizes)


def draw_widths(results: Results, found: dict, sizes: tuple[int, ...]) -> None:
    """Entropy on the left, the gradient on the right."""
    fig, axes = plotting.figure(1, 2, size=(9.4, 4.0))
    for scaled, colour in ((False, RED), (True, BLUE)):
        label = "divided by √d" if scaled else "not scaled"
        for ax, key in zip(axes, ("entropy", "jacobian_diagonal"), strict=True):
            values = [found[d, scaled][key] for d in sizes]
            ax.plot(sizes, values, "o-", color=colour, label=label)
    uniform = {"color": "0.4", "linestyle": ":", "label": "all weights equal"}
    axes[0].axhline(math.log(64), **uniform)
    axes[1].axhline(1 / 64 * 63 / 64, **uniform)
    axes[0].set(ylabel="entropy of the weights (nats)", ylim=(0, None))
    axes[0].set_title("how many keys share the weight")
    axes[1].set(ylabel="mean of p (1 − p)", yscale="log")
    axes[1].set_title("how much a weight follows its score")
    for ax in axes:
        ax.set(xscale="log", xlabel="width d of queries and keys (log scale)")
        ax.set_xticks(sizes, labels=sizes)
        ax.xaxis.minorticks_off()
    axes[1].set_yticks(ticks := (0.001, 0.002, 0.005, 0.01, 0.02), labels=ticks)
    axes[1].yaxis.minorticks_off()
    axes[0].legend(loc="center right")
    axes[1].legend(loc="lower left")
    results.figure(fig, "scale.png", "Weights and their gradient against the width")


# --- What it costs ----------------------------------------------------------------


def cost(lab, results: Results, lengths: tuple[int, ...], repeats: int) -> None:
    """Count operations of one layer, and time it beside torch's RNN."""
    results.step("what it costs beside a recurrent layer")
    rows = []
    for t in (128, 8192):
        attention = 4 * t * WIDTH**2 + 2 * t * t * WIDTH
        recurrent = 2 * t * WIDTH**2
        kept = 5 * t * WIDTH + t * t, t * WIDTH
        pairs = ((1, t), (attention / 1e6, recurrent / 1e6), (kept[0], kept[1]))
        cells = [" · ".join(f"{x:,.0f}" for x in pair) for pair in pairs]
        rows.append((f"{t:,}", *cells))
        results.metric(f"cost.{t}.ratio", attention / recurrent, "attention / RNN")
    results.text(
        f"## Cost\nOne layer, width {WIDTH}, T positions, attention · RNN. Attention: "
        "four projections, T·T scores, T·T weighted values; the RNN: two products per "
        "step. Kept for backward: weights and five vectors, or one state, per position."
    )
    head = ["waits in a row", "million multiply-adds", "numbers kept"]
    results.table(["T", *head], rows)
    devices = ["cpu"] + ["cuda"] * (pick() == "cuda")
    times = {d: timed(lab, lengths, repeats, d) for d in devices}
    for device, found in times.items():
        for (name, t), seconds in found.items():
            results.metric(f"time.{device}.{name}.{t}", 1e3 * seconds, "ms")
    draw_cost(results, times, lengths)


@torch.no_grad()
def timed(lab, lengths: tuple[int, ...], repeats: int, device: str) -> dict:
    """Seconds of a forward pass of each layer over a sequence, the two in turn."""
    torch.manual_seed(SEED)
    layers = {
        "attention": lab.SelfAttention(WIDTH, WIDTH, causal=True).to(device),
        "rnn": nn.RNN(WIDTH, WIDTH, batch_first=True).to(device),
    }
    # other programs take turns on a CPU: count this process alone
    clock = time.process_time if device == "cpu" else time.perf_counter
    found = {}
    for t in lengths:
        x = torch.randn(1, t, WIDTH, device=device)
        for name in layers:
            found[name, t] = math.inf
        for _ in range(repeats):
            for name, layer in layers.items():
                seconds = timeit(
                    lambda f=layer, x=x: f(x), device=device, repeats=3, clock=clock
                )
                found[name, t] = min(found[name, t], seconds)
    return found


def draw_cost(results: Results, times: dict, lengths: tuple[int, ...]) -> None:
    """Left what is counted, right what is measured."""
    fig, (left, right) = plotting.figure(1, 2, size=(9.4, 4.0))
    t = np.array(lengths)
    projections, scores = 4 * t * WIDTH**2, 2 * t * t * WIDTH
    left.plot(t, (projections + scores) / 1e6, color=BLUE, label="attention")
    left.plot(t, projections / 1e6, ":", color=BLUE, label="… its projections, T·d²")
    left.plot(t, scores / 1e6, "--", color=BLUE, label="… scores and sums, T²·d")
    left.plot(t, 2 * t * WIDTH**2 / 1e6, color=ORANGE, label="RNN")
    left.set(ylabel="million multiply-adds (log scale)", title="counted")
    for device, found in times.items():
        style = "o-" if device == "cpu" else "s--"
        where = "one CPU thread" if device == "cpu" else "GPU"
        for name, colour in (("attention", BLUE), ("rnn", ORANGE)):
            values = [1e3 * found[name, n] for n in lengths]
            label = f"{name if name == 'attention' else 'RNN'}, {where}"
            right.plot(t, values, style, color=colour, label=label)
    right.set(ylabel="forward pass (ms, log scale)", title="measured")
    for ax in (left, right):
        ax.set(xscale="log", yscale="log", xlabel="positions T (log scale)")
        ax.set_xticks(lengths, labels=lengths)
        ax.xaxis.minorticks_off()
        ax.legend(fontsize="small")
    results.figure(fig, "cost.png", f"Attention and recurrence, width {WIDTH}")


# --- Kernel regression ------------------------------------------------------------


def kernel(lab, results: Results) -> None:
    """Nadaraya-Watson regression on noisy points, by attention and by its formula.

    A Gaussian kernel is exp(-(x - x_i)² / 2h²). Multiplied out, x² is the same for all
    points and cancels in the softmax, and (x, 1) · (x_i, -x_i²/2) / h² is left: queries
    (x, 1), keys (x_i, -x_i²/2), scale 1/h².
    """
    results.step("kernel regression is attention")
    rng = seeding.rng(SEED, "kernel")
    x = np.sort(rng.uniform(0, 3, 120))
    y = curve(x) + rng.normal(0, 0.3, len(x))
    grid, bandwidths = np.linspace(0, 3, 301), np.geomspace(0.01, 2, 41)
    apart, left_out, error = 0.0, [], []
    not_itself = ~torch.eye(len(x), dtype=torch.bool)
    for h in bandwidths:
        smooth = attend(lab, grid, x, y, h)
        apart = max(apart, float(np.abs(smooth - nadaraya_watson(grid, x, y, h)).max()))
        error.append(np.sqrt(np.mean((smooth - curve(grid)) ** 2)))
        held = attend(lab, x, x, y, h, not_itself)
        left_out.append(np.sqrt(np.mean((held - y) ** 2)))
    best = float(bandwidths[int(np.argmin(left_out))])
    results.metric("kernel.apart", apart, "largest difference")
    results.metric("kernel.best_h", best, "")
    results.metric("kernel.error", error[int(np.argmin(left_out))], "")
    results.text(
        "## Kernel regression\n120 noisy points. Attention with queries (x, 1), keys "
        "(x of a point, −x²/2), values y and scale 1/h² against the Nadaraya-Watson "
        f"formula: at most {apart:.0e} apart over {len(bandwidths)} bandwidths. Each "
        "point predicted from the others, by a mask without the diagonal, picks "
        f"h = {best:.2f}."
    )
    scores = {"each point from the others": left_out, "against the true curve": error}
    draw_kernel(lab, results, (x, y, grid), bandwidths, scores, best)


def curve(x: np.ndarray) -> np.ndarray:
    """What the points scatter around."""
    return np.sin(2 * x) + 0.5 * x


def attend(lab, x, points, y, h: float, mask=None) -> np.ndarray:
    """The smoothed values at x, by the lab's attention."""
    q = torch.from_numpy(np.stack([x, np.ones_like(x)], axis=1))
    k = torch.from_numpy(np.stack([points, -(points**2) / 2], axis=1))
    v = torch.from_numpy(y)[:, None]
    out, _ = lab.scaled_dot_product_attention(q, k, v, mask, scale=1 / h**2)
    return out[:, 0].numpy()


def nadaraya_watson(x, points, y, h: float) -> np.ndarray:
    """The mean of y, weighted by a Gaussian of the distance."""
    log_kernel = -((x[:, None] - points) ** 2) / (2 * h**2)
    # far from all points at a small h every kernel is 0: only ratios are needed
    weights = np.exp(log_kernel - log_kernel.max(axis=1, keepdims=True))
    return weights @ y / weights.sum(axis=1)


def draw_kernel(lab, results, data, bandwidths, scores: dict, best: float) -> None:
    """Three bandwidths on the left, the choice between them on the right."""
    x, y, grid = data
    fig, (left, right) = plotting.figure(1, 2, size=(9.4, 4.0))
    left.plot(x, y, ".", color="0.6", label="points: keys x, values y")
    left.plot(grid, curve(grid), "k:", label="true curve")
    for h, colour, name in [
        (0.02, RED, "sharp"), (best, BLUE, "picked"), (1.0, GREEN, "flat")
    ]:  # fmt: skip
        smooth = attend(lab, grid, x, y, h)
        left.plot(grid, smooth, color=colour, label=f"h = {h:.2f}, {name}")
    left.set(xlabel="x", ylabel="y", title="attention as a smoother")
    left.legend(fontsize="small", ncols=2, loc="lower left")
    left.set_ylim(min(y.min() - 1.2, -1.5), None)
    for (name, values), colour in zip(scores.items(), (BLUE, "black"), strict=True):
        right.plot(bandwidths, values, color=colour, label=name)
    right.axvline(best, color=BLUE, linestyle=":")
    right.set(
        xscale="log", xlabel="bandwidth h, scale 1/h² (log scale)", ylim=(0, None)
    )
    right.set(ylabel="root mean squared error", title="from one neighbour to the mean")
    right.legend(fontsize="small", loc="upper left")
    results.figure(fig, "kernel.png", "Kernel regression by attention")
