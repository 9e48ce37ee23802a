"""A line fitted three ways, and where the time and the memory of a training step go.

Compares the losses of `fit_manual` and `fit_module` with the closed form, finds the
learning rate at which descent turns into ascent, times a step from small to large data
and from a narrow to a wide network, profiles one step, and counts the bytes that a
graph keeps. Takes 5 to 30 seconds on the CPU; a GPU, where there is one, is timed
beside it. The data come from a seed; only the times differ from run to run.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from common import device as devices
from common import plotting, seeding
from common.results import Results

SEED = 0
N, D, NOISE = 200, 5, 0.3
STEPS = 500
RATES = (0.01, 0.03, 0.1, 0.3)
ABOVE_LIMIT = 1.02  # a learning rate 2 % above what converges
SIZES = ((100, 10), (1000, 10), (1000, 100), (10_000, 100), (10_000, 1000))
WIDTHS = (16, 32, 64, 128, 256, 512, 1024, 2048)
PROFILED = (64, 512, 2048)
PROFILED_STEPS = 9
BATCH, CLASSES = 64, 10
TOP = 3  # operations in the table of a profile
NO_GPU = (
    "No GPU on this machine: all times below are the CPU's. Where there is one, the "
    "same steps are timed on it too, and this report names the size at which it wins."
)


def main(lab, out: Path, quick: bool = False, full: bool = False) -> None:
    """Run the experiment.

    Args:
        lab: the module under test: the solution, or a learner's lab.py.
        out: folder for metrics.json, report.md and the two plots.
        quick: narrow networks and few repeats; a few seconds.
        full: twice the width and ten times the data, for a GPU.
    """
    seeding.seed_everything(SEED)  # layers draw their weights from the global generator
    device = devices.pick()
    title = "Lab 1.4: a line three ways, and the price of a step"
    results = Results(out, title, seed=SEED, steps=5, quick=quick, device=device)
    duration = "3 seconds" if quick else "2 minutes" if full else "15 seconds"
    results.say(f"Makes 2 plots, 3 tables and a report in about {duration}.")
    if device == "cpu":
        results.say(NO_GPU)
    fits(lab, results)
    used = ["cpu"] if device == "cpu" else ["cpu", device]
    with devices.one_torch_thread():
        sizes = by_size(lab, results, used, quick, full)
        widths = by_width(lab, results, used, quick, full)
        profiles(lab, results, used, widths["cpu"])
    draw_times(results, sizes, widths)
    graph_memory(lab, results)
    results.save()


# --- A line, three ways -----------------------------------------------------------


def fits(lab, results: Results) -> None:
    """Losses of both fits, their distance to the closed form, and the largest lr."""
    results.step("fitting a line: by hand, as a module, by algebra")
    generator = seeding.torch_generator(SEED)
    X, y, weight, bias = lab.make_regression(N, D, NOISE, generator=generator)
    best = Line(*lab.closed_form(X, y))
    runs = {lr: lab.fit_manual(X, y, lr=lr, steps=STEPS) for lr in RATES}
    model = lab.LinearRegression(D).double()
    module = lab.fit_module(model, X, y, lr=0.1, steps=STEPS)
    limit = largest_rate(X)
    above = lab.fit_manual(X, y, lr=ABOVE_LIMIT * limit, steps=STEPS).losses

    lowest = best.loss(X, y)
    pairs = zip(module, runs[0.1].losses, strict=True)
    results.metric("fits.differ", max(abs(a - b) for a, b in pairs), "squared error")
    results.metric("fits.lowest_loss", lowest, "squared error")
    results.metric("fits.largest_rate", limit, "")
    results.metric("fits.loss_above_limit", above[-1], "squared error")
    results.metric("gap.truth", best.gap(weight, bias), "")
    rows = []
    for lr, fit in runs.items():
        gap = best.gap(fit.weight, fit.bias)
        results.metric(f"gap.manual_lr_{lr:g}".replace("0.", "0_"), gap, "")
        rows.append((f"`fit_manual`, lr {lr:g}", fit.losses[-1], gap))
    gap = best.gap(model.weight.detach(), model.bias.detach())
    results.metric("gap.module", gap, "")
    rows.append(("`fit_module`, lr 0.1", module[-1], gap))
    write_fits(results, rows, lowest, limit)
    draw_losses(results, runs, module, above, lowest, limit)


class Line(NamedTuple):
    """The fitted line that others are compared with."""

    weight: torch.Tensor
    bias: torch.Tensor

    def loss(self, X: torch.Tensor, y: torch.Tensor) -> float:
        """Its mean squared error."""
        return float(((X @ self.weight + self.bias - y) ** 2).mean())

    def gap(self, weight: torch.Tensor, bias: float) -> float:
        """The largest difference of any parameter to that of another line."""
        farthest = float((weight - self.weight).abs().max())
        return max(farthest, abs(float(bias - self.bias)))


def largest_rate(X: torch.Tensor) -> float:
    """The learning rate above which descent on the mean squared error diverges.

    2 over the largest curvature, the top eigenvalue of (2/N) AᵀA, A = X and ones.
    """
    design = torch.cat([X, X.new_ones(len(X), 1)], dim=1)
    curvature = 2 * design.T @ design / len(X)
    return 2 / float(torch.linalg.eigvalsh(curvature)[-1])


def write_fits(results: Results, rows: list, lowest: float, limit: float) -> None:
    """The table of the fits."""
    results.text("## A line, three ways")
    results.table(
        [f"fit, {STEPS} steps", "last loss", "farthest parameter from the closed form"],
        [(name, f"{loss:.6f}", f"{gap:.1e}") for name, loss, gap in rows],
    )
    results.text(
        f"{N} examples, {D} features, noise {NOISE}, float64. The closed form has the "
        f"loss {lowest:.6f}; no line is below that. Both fits at lr 0.1 give the same "
        f"losses. Descent diverges above lr {limit:.3f}, which is 2 over the largest "
        "curvature."
    )


def draw_losses(results: Results, runs, module, above, lowest: float, limit: float):
    """How far each loss lies above the lowest one, on a log scale."""
    fig, ax = plotting.figure(size=(7.0, 4.2))
    label = f"fit_manual, lr {ABOVE_LIMIT * limit:.3f} (too large)"
    ax.plot([x - lowest for x in above], "--", color=plotting.PALETTE[4], label=label)
    for (lr, fit), colour in zip(runs.items(), plotting.PALETTE, strict=False):
        excess = [x - lowest for x in fit.losses]
        ax.plot(excess, color=colour, label=f"fit_manual, lr {lr:g}")
    excess = [x - lowest for x in module]
    ax.plot(excess, "k:", linewidth=2, label="fit_module, lr 0.1")
    ax.set(yscale="log", ylim=(1e-13, 1e5), xlim=(0, STEPS))
    ax.set(xlabel="step", ylabel="loss above the closed form's (squared error)")
    ax.set(title="Gradient descent closes in on the closed form at a constant rate")
    ax.legend(fontsize="small", loc="upper right")
    results.figure(fig, "loss.png", "Loss above the lowest possible one, per step")


# --- What a step costs -------------------------------------------------------------

Times = dict[str, dict[int, float]]  # seconds by device and size


def by_size(lab, results: Results, used: list[str], quick: bool, full: bool) -> Times:
    """Seconds of one step of linear regression, by the number of entries in X."""
    results.step("timing a step of linear regression")
    sizes = SIZES[:3] if quick else (*SIZES, (100_000, 1000)) if full else SIZES
    repeats = 5 if quick else 20
    times: Times = {device: {} for device in used}
    for device in used:
        for n, d in sizes:
            step = line_step(lab, n, d, device)
            seconds = timed(lab, step, device, repeats)
            times[device][n * d] = seconds
            results.metric(f"line.{device}.{n}x{d}.ms", 1e3 * seconds, "ms", seconds)
    results.text("## What a step costs")
    if used == ["cpu"]:
        results.text(NO_GPU)
    results.table(
        ["N", "D", "N·D", *(f"ms on {device}" for device in used), "GB/s on cpu"],
        [(n, d, n * d, *line_row(times, n * d)) for n, d in sizes],
    )
    cpu = times["cpu"]
    results.metric("line.cpu.1e5_over_1e3", cpu[100_000] / cpu[1000], "ratio")
    results.text(
        "One step: predict, loss, backward, update, in float32. X is read twice, once "
        f"forward and once backward. {crossover(results, times)}".rstrip()
    )
    return times


def timed(lab, step: Callable[[], None], device: str, repeats: int) -> float:
    """Median seconds of a step; on the CPU without what other programs take.

    A clock that counts this process alone is too coarse on some systems.
    """
    fine = time.get_clock_info("process_time").resolution <= 1e-6
    clock = time.process_time if device == "cpu" and fine else time.perf_counter
    return lab.time_step(step, device=device, repeats=repeats, clock=clock)


def line_row(times: Times, entries: int) -> list[str]:
    """Milliseconds on each device, and how fast the CPU reads X."""
    read = 2 * 4 * entries  # bytes: forward and backward, float32
    ms = [f"{1e3 * seconds[entries]:.3f}" for seconds in times.values()]
    return [*ms, f"{read / times['cpu'][entries] / 1e9:.1f}"]


def line_step(lab, n: int, d: int, device: str) -> Callable[[], None]:
    """One training step of a line on n examples of d features."""
    generator = seeding.torch_generator(SEED)
    X = torch.randn(n, d, generator=generator)
    X, y = lab.to_device((X, X.sum(dim=1)), device)
    model = lab.LinearRegression(d).to(device)
    return training_step(model, X, y, nn.functional.mse_loss, torch.optim.SGD, 1e-4)


def training_step(model, X, y, loss_fn, optimizer, lr: float) -> Callable[[], None]:
    """Clear, forward, backward, update, as a function of nothing."""
    optimizer = optimizer(model.parameters(), lr=lr)

    def step() -> None:
        optimizer.zero_grad()
        loss_fn(model(X), y).backward()
        optimizer.step()

    return step


def crossover(results: Results, times: Times) -> str:
    """The size from which the GPU is faster, in words; nothing without a GPU."""
    others = [device for device in times if device != "cpu"]
    if not others:
        return ""
    gpu, cpu = times[others[0]], times["cpu"]
    largest = max(cpu)
    results.metric("line.gpu_speedup_at_largest", cpu[largest] / gpu[largest], "ratio")
    wins = [size for size in cpu if gpu[size] < cpu[size]]
    if not wins:
        return "The GPU is slower at every size here."
    results.metric("line.gpu_wins_from", min(wins), "entries")
    return f"The GPU is faster from N·D = {min(wins):,} on."


def by_width(lab, results: Results, used: list[str], quick: bool, full: bool) -> Times:
    """Seconds of one AdamW step of a two-layer network, by its width."""
    results.step("timing a step of networks from narrow to wide")
    widths = WIDTHS[:6] if quick else (*WIDTHS, 4096) if full else WIDTHS
    repeats = 5 if quick else 20
    times: Times = {device: {} for device in used}
    for device in used:
        for width in widths:
            step = network_step(lab, width, device)
            seconds = timed(lab, step, device, repeats)
            times[device][width] = seconds
            name = f"network.{device}.width_{width}.ms"
            results.metric(name, 1e3 * seconds, "ms", seconds)
    cpu = times["cpu"]
    results.metric("network.cpu.64_over_16", cpu[64] / cpu[16], "ratio")
    results.metric("network.cpu.widest_over_64", cpu[widths[-1]] / cpu[64], "ratio")
    return times


def network_step(lab, width: int, device: str) -> Callable[[], None]:
    """One AdamW step of a width-width-10 network on a batch of 64."""
    layers = nn.Linear(width, width), nn.ReLU(), nn.Linear(width, CLASSES)
    model = nn.Sequential(*layers).to(device)
    X, y = torch.randn(BATCH, width), torch.randint(CLASSES, (BATCH,))
    X, y = lab.to_device((X, y), device)
    return training_step(
        model, X, y, nn.functional.cross_entropy, torch.optim.AdamW, 1e-3
    )


def draw_times(results: Results, sizes: Times, widths: Times) -> None:
    """Both timings: flat while overhead decides, rising with the work after that."""
    fig, (left, right) = plotting.figure(1, 2, size=(8.6, 3.8))
    for ax, times in ((left, sizes), (right, widths)):
        ax.set(xscale="log", yscale="log", ylabel="time of one step (ms, log scale)")
        ax.yaxis.set_major_formatter(lambda ms, _: f"{ms:g}")
        for device, seconds in times.items():
            ms = [1e3 * s for s in seconds.values()]
            ax.plot(list(seconds), ms, "o-", label=device)
            ax.axhline(min(ms), color="grey", linestyle=":", linewidth=1)
        ax.plot([], [], ":", color="grey", label="fastest step")
        ax.legend()
    left.set(xlabel="entries of X (N·D, log scale)", title="A line, SGD")
    ticks = [width for width in (16, 64, 256, 1024, 4096) if width in widths["cpu"]]
    right.set_xticks(ticks, labels=ticks)
    right.xaxis.minorticks_off()
    title = f"Two layers, AdamW, batch of {BATCH}"
    right.set(xlabel="width of the network (log scale)", title=title)
    caption = "Time of one step: flat while calls cost more than their work"
    results.figure(fig, "overhead.png", caption)


# --- Inside a step -----------------------------------------------------------------


def profiles(lab, results: Results, used: list[str], seconds: dict[int, float]) -> None:
    """What the profiler records in one AdamW step, at three widths."""
    results.step("profiling one step at three widths")
    rows, profiled = [], [width for width in PROFILED if width in seconds]
    for width in profiled:
        operations, top, share = profiled_step(network_step(lab, width, "cpu"))
        each = 1e6 * seconds[width] / operations
        name = f"profile.width_{width}"
        results.metric(f"{name}.operations", operations, "operations")
        results.metric(f"{name}.top_3_share", 100 * share, "%")
        results.metric(f"{name}.us_per_operation", each, "µs")
        row = (width, operations, f"{1e3 * seconds[width]:.2f}", f"{each:.1f}")
        rows.append((*row, f"{100 * share:.0f} %", ", ".join(top)))
    results.text("## Inside a step")
    header = ["width", "operations", "ms", "µs each", f"share of top {TOP}", "which"]
    results.table(header, rows)
    results.text(
        "The network does the same operations at every width. In a narrow one they "
        "cost what it takes to call them; in a wide one, what they compute. One CPU "
        "thread; times without the profiler, shares with it."
    )
    if "cuda" in used:
        launches(lab, results, profiled)


def profiled_step(step: Callable[[], None]) -> tuple[int, list[str], float]:
    """Operations of one step, its costliest ones, and their share of the time."""
    step()
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        for _ in range(PROFILED_STEPS):
            step()
    spent: dict[str, list[float]] = defaultdict(list)
    for event in sorted(recorded.events(), key=lambda e: e.time_range.start):
        spent[event.name].append(event.self_cpu_time_total)
    costs = {name: per_step(times) for name, times in spent.items()}
    top = sorted(costs, key=costs.get, reverse=True)[:TOP]
    share = sum(costs[name] for name in top) / sum(costs.values())
    names = [f"`{name.split('#')[0].removeprefix('aten::')}`" for name in top]
    return sum(map(len, spent.values())) // PROFILED_STEPS, names, share


def per_step(times: list[float]) -> float:
    """The time of an operation in the median step: other programs disturb a few."""
    calls = len(times) // PROFILED_STEPS
    starts = range(0, len(times), calls or 1)
    return statistics.median(sum(times[i : i + calls]) for i in starts)


def launches(lab, results: Results, widths: list[int]) -> None:
    """CPU time to launch a step against the time its kernels run, on CUDA."""
    both = [ProfilerActivity.CPU, ProfilerActivity.CUDA]
    rows = []
    for width in widths:
        step = network_step(lab, width, "cuda")
        step()
        with profile(activities=both) as recorded:
            step()
            devices.synchronize("cuda")
        events = recorded.key_averages()
        cpu = sum(e.self_cpu_time_total for e in events) / 1e3
        kernels = sum(e.self_device_time_total for e in events) / 1e3
        results.metric(f"launch.width_{width}.cpu_ms", cpu, "ms")
        results.metric(f"launch.width_{width}.kernels_ms", kernels, "ms")
        rows.append((width, f"{cpu:.3f}", f"{kernels:.3f}"))
    results.table(["width", "CPU time to launch (ms)", "kernels run (ms)"], rows)


# --- What a graph keeps ------------------------------------------------------------


def graph_memory(lab, results: Results) -> None:
    """Bytes kept for backward() with a graph, and in `evaluate`."""
    results.step("counting what a graph keeps")
    width, rows = 512, 4096
    layers = nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
    model = nn.Sequential(*layers, nn.Linear(width, CLASSES))
    X, y = torch.randn(rows, width), torch.randint(CLASSES, (rows,))
    loss_fn = nn.functional.cross_entropy
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    own.add(X.untyped_storage().data_ptr())
    with_graph = kept_bytes(lambda: loss_fn(model(X), y), own) / 1e6
    without = kept_bytes(lambda: lab.evaluate(model, X, y, loss_fn), own) / 1e6
    results.metric("graph.training_mb", with_graph, "MB")
    results.metric("graph.evaluate_mb", without, "MB")
    results.text("## What a graph keeps")
    results.text(
        f"A forward pass of {rows:,} rows through three layers of width {width} keeps "
        f"{with_graph:.1f} MB for backward(), besides weights and data; `evaluate` "
        f"keeps {without:.1f} MB."
    )


def kept_bytes(run: Callable[[], object], own: set[int]) -> int:
    """Bytes of the storages that autograd saves while `run` runs, `own` left out."""
    saved: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        kept = run()  # held here, or the first storage could be freed and used again
    del kept
    return sum(size for place, size in saved.items() if place not in own)
