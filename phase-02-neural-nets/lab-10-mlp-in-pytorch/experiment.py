"""One network in two frameworks, what a step costs, and what a restart forgets.

On scikit-learn's digits: the program `fit` over ten seeds, the same training in NumPy
(lab 2.5) and PyTorch with equal weights and batches, the time of one step against the
width, what a step is made of, dropout and decay on 150 examples, and how far a resumed
run ends from an uninterrupted one when one of its states is left out. One CPU thread,
about a minute; `full` uses three times as many seeds and times torch.compile as well.
Where there is a GPU it gets a column of its own.
"""

from __future__ import annotations

import contextlib
import copy
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch.nn.functional import cross_entropy
from torch.profiler import ProfilerActivity, profile, record_function
from torch.utils.data import DataLoader, TensorDataset

from common import datasets, labs, plotting, seeding
from common.device import one_torch_thread, pick, timeit
from common.results import Results

SEED = 10
BLUE, RED, GREEN, PURPLE, ORANGE, SKY = plotting.PALETTE[:6]
numpy_lab = labs.solution("2.5")
minibatches = labs.solution("1.5").minibatches

FIRST_SEED = 10  # the learning rate was picked on the seeds before it
RATE = 3e-3
NAMED = {  # sizes, batch, steps per timing: the table
    "64-64-10, batch 32": ((64, 64, 10), 32, 40),
    "64-128-64-10, batch 32": ((64, 128, 64, 10), 32, 20),
    "64-128-64-10, batch 256": ((64, 128, 64, 10), 256, 10),
    "64-1024-1024-10, batch 256": ((64, 1024, 1024, 10), 256, 1),
}
WIDTHS = (8, 16, 32, 64, 128, 256, 512, 1024)
PHASES = {"zero_grad": SKY, "forward": GREEN, "backward": BLUE, "optimizer": RED}
PROFILED = (32, 256, 1024)
VARIANTS = {  # dropout, weight decay, colour
    "nothing": (0.0, 0.0, RED),
    "dropout ½": (0.5, 0.0, BLUE),
    "weight decay 1": (0.0, 1.0, GREEN),
    "both": (0.5, 1.0, PURPLE),
}
LEFT_OUT = {
    "optimizer": RED,
    "scheduler": ORANGE,
    "shuffling generator": GREEN,
    "global generator": BLUE,
}


def main(lab, out: Path, quick: bool = False, full: bool = False) -> None:
    """Run the experiment.

    Args:
        lab: the module under test: the solution, or a learner's lab.py.
        out: folder for metrics.json, report.md and the five plots.
        quick: fewer seeds, epochs and widths; about four seconds.
        full: three times as many seeds, and torch.compile.
    """
    title = "Lab 2.10: the same network as a PyTorch program"
    results = Results(out, title, seed=SEED, steps=7, quick=quick)
    duration = "4 seconds" if quick else "5 minutes" if full else "a minute"
    results.say(f"Makes 5 plots, 5 tables and a report in about {duration}.")
    X, y = datasets.digits()
    if quick:
        X, y = X[:400], y[:400]
    seeds = 2 if quick else 30 if full else 10
    with threadpool_limits(1), one_torch_thread():
        program(lab, results, X, y, seeds, 1 if quick else 20)
        agreement(lab, results, X, y, 2 if quick else 15)
        speed(lab, results, quick, full)
        shares(lab, results, 5 if quick else 200)
        draws = 2 if quick else 18 if full else 6
        overfitting(lab, results, X, y, draws, 3 if quick else 96)
        resume(lab, results, X, y, *((1, 2) if quick else (4, 10)))
    results.step("writing metrics.json and report.md")
    results.save()


def show(values) -> str:
    """Mean ± standard deviation, as percent."""
    return f"{100 * np.mean(values):.2f} ± {100 * np.std(values, ddof=1):.2f}"


# --- The program ------------------------------------------------------------------


def program(lab, results: Results, X, y, seeds: int, epochs: int) -> None:
    """Held-out accuracy of `fit`; every seed has a split and weights of its own."""
    results.step("digits over several seeds")
    found = []
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        cfg = lab.Config(lr=RATE, epochs=epochs, seed=seed, device="cpu")
        found.append(lab.fit(cfg, X, y)[1].val_accuracy[-1])
    results.metric("accuracy.mean", 100 * np.mean(found), "%")
    results.metric("accuracy.std", 100 * np.std(found, ddof=1), "%")
    results.metric("accuracy.seeds", seeds, "seeds")
    results.remark(
        f"Held-out accuracy of 64-128-64-10, {epochs} epochs of AdamW at {RATE:g}: "
        f"{show(found)} % over {seeds} seeds (mean, standard deviation; a seed decides "
        "the split too). The learning rate was picked on other seeds."
    )


# --- NumPy and PyTorch agree ------------------------------------------------------


def plain(lab, sizes: tuple[int, ...], dtype=torch.float32):
    """A torch network without dropout; evaluation mode skips those layers."""
    cfg = lab.Config(hidden=sizes[1:-1], dropout=0.0)
    return lab.MLP(sizes[0], sizes[-1], cfg).to(dtype).eval()


def agreement(lab, results: Results, X, y, epochs: int) -> None:
    """The same batches through both networks, in double and in single precision."""
    results.step("NumPy and PyTorch on the same batches")
    sizes, curves = (64, 128, 64, 10), {}
    for dtype in ("float64", "float32"):
        rng = seeding.rng(SEED, "agreement")
        numpy_model = numpy_lab.mlp(sizes, rng=rng, dtype=dtype)
        model = plain(lab, sizes, getattr(torch, dtype))
        lab.load_numpy_weights(model, numpy_model)
        both = numpy_step(numpy_model, 0.1), torch_step(model, torch.optim.SGD, 0.1)
        curves[dtype] = np.array(
            [
                [step(xb, yb) for step in both]
                for _ in range(epochs)
                for xb, yb in minibatches(X.astype(dtype), y, batch_size=32, rng=rng)
            ]
        )
        apart = np.abs(curves[dtype][:, 0] - curves[dtype][:, 1])
        results.metric(f"agree.{dtype}.first", apart[0], "nats")
        results.metric(f"agree.{dtype}.largest", apart.max(), "nats")
    results.metric("agree.steps", len(apart), "steps")
    draw_agreement(results, curves)


def numpy_step(model, lr: float) -> Callable:
    """One SGD step of lab 2.5's network; returns the loss before it."""
    params, loss = model.parameters(), numpy_lab.SoftmaxCrossEntropy()

    def step(xb, yb) -> float:
        numpy_lab.zero_grad(params)
        value = loss.forward(model.forward(xb), yb)
        model.backward(loss.backward())
        numpy_lab.sgd_step(params, lr=lr)
        return value

    return step


def torch_step(model, optimizer, lr: float) -> Callable:
    """The same for a torch network, from NumPy batches."""
    optimizer = optimizer(model.parameters(), lr=lr)

    def step(xb, yb) -> float:
        optimizer.zero_grad()
        loss = cross_entropy(model(torch.from_numpy(xb)), torch.from_numpy(yb))
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def draw_agreement(results: Results, curves: dict) -> None:
    """Left both losses, one over the other; right what lies between them."""
    fig, (left, right) = plotting.figure(1, 2, size=(9.0, 3.8))
    numpy_losses, losses = curves["float32"].T
    left.plot(losses, color=SKY, linewidth=4, label="PyTorch")
    left.plot(numpy_losses, color="black", linewidth=0.7, label="NumPy, lab 2.5")
    left.set(xlabel="step", ylabel="loss of the batch (nats)", ylim=(0, None))
    left.set_title("two programs, one curve (float32)")
    left.legend()
    for (dtype, values), colour in zip(curves.items(), (BLUE, RED), strict=True):
        apart = np.abs(values[:, 0] - values[:, 1])
        apart[apart == 0] = np.nan  # no place for it on a log scale
        right.plot(apart, ".", color=colour, markersize=2.5, label=dtype)
        right.axhline(np.finfo(dtype).eps, color=colour, linestyle=":", linewidth=1)
    right.set(yscale="log", xlabel="step", ylabel="difference (nats, zeros not drawn)")
    right.set_title("rounding (dotted: spacing of floats at 1)")
    right.legend(loc="center right", markerscale=4)
    results.figure(fig, "agreement.png", "Losses of NumPy and PyTorch on each other")


# --- Speed ------------------------------------------------------------------------


def speed(lab, results: Results, quick: bool, full: bool) -> None:
    """Microseconds of one SGD step in both, for named networks and by width."""
    results.step("time of a step, by width")
    columns = ["NumPy", "PyTorch"]
    columns += ["torch.compile"] * full + ["PyTorch on the GPU"] * (pick() == "cuda")
    rounds = 1 if quick else 5
    rows = []
    for name, (sizes, batch, steps) in NAMED.items():
        us = measure(lab, sizes, batch, steps, columns, rounds)
        key = name.replace(", batch ", "_")
        for column, value in us.items():
            results.metric(f"step.{key}.{column.lower()}", value, "µs")
        ratio = us["PyTorch"] / us["NumPy"]
        results.metric(f"step.{key}.ratio", ratio, "PyTorch / NumPy")
        times = [f"{us[c]:,.0f}" if c in us else "failed" for c in columns]
        rows.append((name, *times, f"{ratio:.2f}"))
    results.text(
        "## One step of SGD\nµs, float32, one thread, best of several. Small networks "
        "are all overhead in PyTorch: each of its operations costs what it takes to "
        "find and call it."
    )
    results.table(["network", *columns, "PyTorch / NumPy"], rows)
    found = {
        w: measure(lab, (64, w, w, 10), 32, max(256 // w, 1), columns[:2], rounds)
        for w in (WIDTHS[:5] if quick else WIDTHS)
    }
    for w, us in found.items():
        results.metric(f"width.{w}.ratio", us["PyTorch"] / us["NumPy"], "")
    draw_speed(results, found)


def measure(lab, sizes, batch: int, steps: int, columns, rounds: int) -> dict:
    """µs of one step for each way to run it; where torch.compile fails, without it.

    CPU time, the ways in turn: another program then disturbs all of them or none.
    """
    rng = seeding.rng(SEED, "speed")
    X = rng.standard_normal((batch, sizes[0])).astype(np.float32)
    y = rng.integers(sizes[-1], size=batch)
    numpy_model = numpy_lab.mlp(sizes, rng=rng, dtype=np.float32)
    ways = {"NumPy": lambda: numpy_step(numpy_model, 0.01)}
    ways["PyTorch"] = lambda: torch_step(plain(lab, sizes), torch.optim.SGD, 0.01)
    ways["torch.compile"] = lambda: torch_step(
        torch.compile(plain(lab, sizes)), torch.optim.SGD, 0.01
    )
    runs = {}
    for column in columns:
        with contextlib.suppress(*([Exception] if column == "torch.compile" else [])):
            if column in ways:
                step = ways[column]()
                step(X, y)
                runs[column] = lambda s=step: [s(X, y) for _ in range(steps)]
    found = dict.fromkeys(runs, float("inf"))
    for _ in range(rounds):
        for column, run in runs.items():
            seconds = timeit(run, clock=time.process_time)
            found[column] = min(found[column], 1e6 * seconds / steps)
    if "PyTorch on the GPU" in columns:
        found["PyTorch on the GPU"] = gpu_us(lab, sizes, X, y, steps)
    return found


def gpu_us(lab, sizes, X, y, steps: int) -> float:
    """µs of one step on the GPU, with the data there already."""
    model = plain(lab, sizes).to("cuda")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    xb, yb = torch.from_numpy(X).to("cuda"), torch.from_numpy(y).to("cuda")

    def run() -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            cross_entropy(model(xb), yb).backward()
            optimizer.step()

    return 1e6 * timeit(run, device="cuda", repeats=20) / steps


def draw_speed(results: Results, found: dict) -> None:
    """Two log-log curves, and the ratio written between them."""
    fig, ax = plotting.figure(size=(7.4, 4.4))
    widths = list(found)
    curves = {
        name: [us[name] for us in found.values()] for name in ("NumPy", "PyTorch")
    }
    for (name, values), colour in zip(curves.items(), (ORANGE, BLUE), strict=True):
        ax.plot(widths, values, "o-", color=colour, label=name)
    low, high = curves["NumPy"], curves["PyTorch"]
    ax.fill_between(widths, low, high, color="0.85")
    for w, a, b in zip(widths, low, high, strict=True):
        ax.annotate(
            f"{b / a:.1f}×", (w, max(a, b)), (0, 9), textcoords="offset points",
            ha="center", fontsize="small",
        )  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel="width w of 64-w-w-10 (log scale)")
    ax.set(
        ylabel="one SGD step, batch 32 (µs, log scale)",
        ylim=(None, 2 * max(low + high)),
    )
    ax.set_xticks(widths, labels=widths)
    ax.xaxis.minorticks_off()
    ax.set_title("Small networks pay for the calls (above: PyTorch / NumPy)")
    ax.legend(loc="upper left")
    results.figure(fig, "speed.png", "Time of one step against the width")


# --- What a step is made of -------------------------------------------------------


def shares(lab, results: Results, steps: int) -> None:
    """The profiler's share of each phase of an AdamW step, and its operations."""
    results.step("profiling a step at three widths")
    found, rows = {}, []
    for width in PROFILED:
        us, operations = profiled(lab, width, steps)
        found[width] = us
        total = sum(us.values())
        for name, value in us.items():
            results.metric(f"share.{width}.{name}", 100 * value / total, "%")
        results.metric(f"operations.{width}", operations, "operations")
        cells = [f"{100 * value / total:.0f} %" for value in us.values()]
        rows.append((f"64-{width}-{width}-10", operations, f"{total:.0f}", *cells))
    results.text(
        "## Inside a step of AdamW\nBatch 32. Operations as the profiler counts them; "
        "its own cost, a few tenths of a µs for each, is in the times."
    )
    results.table(["network", "operations", "µs", *PHASES], rows)
    draw_shares(results, found)


def profiled(lab, width: int, steps: int) -> tuple[dict[str, float], int]:
    """µs of each phase in the mean step, and operations in a step."""
    model = plain(lab, (64, width, width, 10))
    optimizer = torch.optim.AdamW(lab.parameter_groups(model, 0.01), lr=1e-3)
    xb, yb = torch.randn(32, 64), torch.randint(10, (32,))

    def step() -> None:
        with record_function("zero_grad"):
            optimizer.zero_grad()
        with record_function("forward"):
            loss = cross_entropy(model(xb), yb)
        with record_function("backward"):
            loss.backward()
        with record_function("optimizer"):
            optimizer.step()

    for _ in range(5):
        step()
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        for _ in range(steps):
            step()
    # the median step: other programs disturb a few
    times: dict[str, list[float]] = {name: [] for name in PHASES}
    operations = 0
    for event in recorded.events():
        if event.name in times:
            times[event.name].append(event.cpu_time_total)
        operations += event.name.startswith("aten::")
    return {k: float(np.median(v)) for k, v in times.items()}, operations // steps


def draw_shares(results: Results, found: dict) -> None:
    """One stacked bar per width: to the left overhead, to the right arithmetic."""
    fig, ax = plotting.figure(size=(7.4, 3.2))
    names = [f"64-{w}-{w}-10\n{sum(us.values()):,.0f} µs" for w, us in found.items()]
    left = np.zeros(len(found))
    for phase, colour in PHASES.items():
        part = np.array([100 * us[phase] / sum(us.values()) for us in found.values()])
        ax.barh(names, part, left=left, color=colour, label=phase)
        for row, (start, width) in enumerate(zip(left, part, strict=True)):
            if width > 6:
                middle = start + width / 2
                ink = "white" if phase in ("backward", "optimizer") else "black"
                text = f"{width:.0f} %"
                ax.text(middle, row, text, ha="center", va="center", color=ink)
        left += part
    ax.invert_yaxis()
    ax.grid(False)
    ax.set(xlabel="share of the time of one AdamW step (%)", xlim=(0, 100))
    ax.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    results.figure(fig, "profile.png", "Where the time of a step goes")


# --- Overfitting ------------------------------------------------------------------


def overfitting(lab, results: Results, X, y, seeds: int, epochs: int) -> None:
    """150 examples, with right labels and with 20 % random ones."""
    results.step("dropout and decay on 150 examples")
    every = max(epochs // 12, 1)
    curves = {
        (noise, name): np.array(
            [
                curve(lab, X, y, noise, *variant[:2], seed, epochs, every)
                for seed in range(seeds)
            ]
        )  # (seeds, times, train loss and held-out loss and accuracy)
        for noise in (0.0, 0.2)
        for name, variant in VARIANTS.items()
    }
    rows = []
    for name in VARIANTS:
        cells = []
        for noise in (0.0, 0.2):
            last = curves[noise, name][:, -1]
            gain = last[:, 2] - curves[noise, "nothing"][:, -1, 2]
            error = gain.std(ddof=1) / np.sqrt(seeds)
            kind = "noisy" if noise else "clean"
            key = f"overfit.{kind}.{name.rstrip(' ½1').replace(' ', '_')}"
            results.metric(f"{key}.accuracy", 100 * last[:, 2].mean(), "%")
            results.metric(f"{key}.loss", last[:, 1].mean(), "nats")
            results.metric(f"{key}.gain", 100 * gain.mean(), "points")
            results.metric(f"{key}.gain_error", 100 * error, "points")
            versus = f"{100 * gain.mean():+.1f} ± {100 * error:.1f}"
            cells += [show(last[:, 2]), "" if name == "nothing" else versus]
            cells.append(f"{last[:, 1].mean():.2f}")
        rows.append((name, *cells))
    results.text(
        "## Overfitting on 150 examples\n"
        f"Held-out accuracy (%) and loss on the other {len(y) - 150:,} digits after "
        f"{epochs} epochs, {seeds} draws; ± standard deviation. The gain is against "
        "«nothing» on the same draws, ± its standard error: below twice that it is not "
        "to be told from luck. On right labels nothing helps, and too much of it costs "
        "(with dropout the loss still falls at the end, so part of that is time)."
    )
    half = ["accuracy", "gain", "loss"]
    noisy = [f"{name}, 20 % random labels" for name in half]
    results.table(["150 examples", *half, *noisy], rows)
    draw_overfitting(results, curves, every)


def curve(lab, X, y, noise, dropout, decay, seed, epochs, every) -> list:
    """(train loss, held-out loss, held-out accuracy) every few epochs."""
    rng = seeding.rng(SEED, "overfit", seed)
    order, labels = rng.permutation(len(y)), y.copy()
    wrong = order[: round(150 * noise)]
    labels[wrong] = rng.integers(10, size=len(wrong))
    inputs, targets = torch.tensor(X, dtype=torch.float32), torch.tensor(labels)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    seen, new = (
        TensorDataset(inputs[rows], targets[rows])
        for rows in (order[:150], order[150:])
    )
    train = DataLoader(seen, 32, shuffle=True, generator=generator)
    whole, held_out = DataLoader(seen, 150), DataLoader(new, 2000)
    model = lab.MLP(64, 10, lab.Config(dropout=dropout))
    groups = lab.parameter_groups(model, decay)
    optimizer = torch.optim.AdamW(groups, lr=1e-3)
    found = []
    for epoch in range(1, epochs + 1):
        lab.train_epoch(model, train, optimizer, "cpu")
        if epoch % every == 0:
            loss, _ = lab.evaluate(model, whole, "cpu")
            found.append((loss, *lab.evaluate(model, held_out, "cpu")))
    return found


def draw_overfitting(results: Results, curves: dict, every: int) -> None:
    """Left losses while learning wrong labels, right accuracies with error bars."""
    fig, (left, right) = plotting.figure(1, 2, size=(9.4, 4.2))
    for name in ("nothing", "dropout ½"):
        runs, colour = curves[0.2, name], VARIANTS[name][2]
        epochs = every * np.arange(1, runs.shape[1] + 1)
        for column, style in ((1, "-"), (0, "--")):
            mean, error = (
                runs[..., column].mean(0),
                2 * standard_error(runs[..., column]),
            )
            what = "held out" if column else "training rows"
            left.plot(epochs, mean, style, color=colour, label=f"{name}: {what}")
            left.fill_between(
                epochs, mean - error, mean + error, color=colour, alpha=0.2
            )
    left.set(xlabel="epoch", ylabel="loss (nats)", ylim=(0, None))
    left.set_title("20 % random labels: learned by heart, or not")
    left.legend(fontsize="small")
    for at, (name, (_, _, colour)) in enumerate(VARIANTS.items()):
        for noise, marker, shift in ((0.0, "o", -0.12), (0.2, "s", 0.12)):
            last = 100 * curves[noise, name][:, -1, 2]
            bar = 2 * standard_error(last)
            filled = colour if noise == 0 else "white"
            right.errorbar(
                at + shift, last.mean(), bar, fmt=marker, color=colour, capsize=4,
                markerfacecolor=filled, markersize=7,
            )  # fmt: skip
    right.plot([], [], "o", color="0.3", label="right labels")
    right.plot([], [], "s", color="0.3", markerfacecolor="white", label="20 % random")
    right.set_xticks(range(len(VARIANTS)), labels=VARIANTS)
    right.set(ylabel="held-out accuracy (%)", xlim=(-0.5, 3.5))
    right.set_title("mean ± 2 standard errors")
    right.legend(loc="center left", bbox_to_anchor=(0.0, 0.45), fontsize="small")
    results.figure(fig, "overfitting.png", "Dropout and decay on 150 examples")


def standard_error(values: np.ndarray) -> np.ndarray:
    """Of the mean over the first axis."""
    return values.std(axis=0, ddof=1) / np.sqrt(len(values))


# --- Resume -----------------------------------------------------------------------


def resume(lab, results: Results, X, y, seeds: int, epochs: int) -> None:
    """How far a resumed run is from the straight one, with one state left out."""
    results.step("leaving out one state after the other")
    stop = epochs // 2
    found = {name: [] for name in ("nothing", *LEFT_OUT)}
    scores = {name: [] for name in found}
    for seed in range(seeds):
        cfg = lab.Config(epochs=epochs, seed=seed, device="cpu")
        straight, accuracy = trained(lab, cfg, X, y)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "run.pt"
            lab.fit(cfg, X, y, checkpoint_path=path, stop_after=stop)
            for name in found:
                weights, score = trained(lab, cfg, X, y, path, name)
                pairs = zip(weights, straight[stop:], strict=True)
                apart = [float((a - b).abs().max()) for a, b in pairs]
                found[name].append(apart)
                scores[name].append(score - accuracy)
    rows = []
    for name, values in found.items():
        last = np.array(values)[:, -1]
        key = f"resume.{name.replace(' ', '_')}"
        results.metric(key, last.mean(), "largest difference of a weight")
        change = 100 * np.abs(scores[name]).max()
        results.metric(f"{key}.accuracy", change, "points")
        rows.append((name, f"{last.mean():.3g}", f"{change:.2f}"))
    results.text(
        f"## What a restart forgets\n{epochs} epochs straight against {stop} + save + "
        f"load + {epochs - stop}, {seeds} seeds. Largest difference of any weight at "
        "the end (mean), and the largest change of held-out accuracy in points. Left "
        "out: the state is not loaded. The score moves a little, as another seed would "
        "move it, and that is the trouble: no curve warns that it is another run."
    )
    results.table(["left out", "weights", "accuracy"], rows)
    draw_resume(results, found, stop)


def trained(lab, cfg, X, y, path=None, without: str = "") -> tuple[list, float]:
    """All weights in one vector at the start and after each epoch; last accuracy.

    This is `fit` with a look inside: from the checkpoint at `path`, where there is one,
    except for the state called `without`.
    """
    torch.manual_seed(cfg.seed)
    model = lab.MLP(X.shape[1], int(y.max()) + 1, cfg)
    groups = lab.parameter_groups(model, cfg.weight_decay)
    optimizer = torch.optim.AdamW(groups, lr=cfg.lr)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=cfg.epochs)
    generator = torch.Generator().manual_seed(cfg.seed)
    train, val = lab.make_loaders(X, y, cfg, generator=generator)
    done = 0
    if path is not None:
        fresh = {
            "optimizer": (
                optimizer.load_state_dict,
                copy.deepcopy(optimizer.state_dict()),
            ),
            "scheduler": (
                scheduler.load_state_dict,
                copy.deepcopy(scheduler.state_dict()),
            ),
            "shuffling generator": (generator.set_state, generator.get_state()),
            "global generator": (torch.set_rng_state, torch.get_rng_state()),
        }
        run = lab.Run(model, optimizer, scheduler, generator)
        done = lab.load_checkpoint(path, run)["epoch"]
        if without in fresh:
            put_back, state = fresh[without]
            put_back(state)
    vector = torch.nn.utils.parameters_to_vector
    weights = [vector(model.parameters()).detach()]
    accuracy = 0.0
    for _ in range(done, cfg.epochs):
        lab.train_epoch(model, train, optimizer, "cpu")
        accuracy = lab.evaluate(model, val, "cpu")[1]
        scheduler.step()
        weights.append(vector(model.parameters()).detach())
    return weights, accuracy


def draw_resume(results: Results, found: dict, stop: int) -> None:
    """One curve per state left out; with all four there is nothing to see but 0."""
    fig, ax = plotting.figure(size=(7.4, 4.2))
    for name, colour in LEFT_OUT.items():
        values = np.array(found[name])
        epochs = stop + np.arange(values.shape[1])
        ax.plot(epochs, values.mean(0), "o-", color=colour, label=f"without {name}")
        ax.fill_between(epochs, values.min(0), values.max(0), color=colour, alpha=0.15)
    exact = np.array(found["nothing"])
    label = f"with all four: {exact.max():g} at every epoch"
    ax.plot(epochs, exact.mean(0), "k-", linewidth=3, label=label, clip_on=False)
    ax.axvline(stop, color="0.5", linestyle=":", label="stopped and resumed")
    ax.set(xlabel="epoch", ylabel="largest difference of a weight", ylim=(0, None))
    ax.set_title("A resumed run against one that was never interrupted")
    ax.legend(fontsize="small", loc="upper left")
    results.figure(fig, "resume.png", "What leaving out one state does to the weights")
