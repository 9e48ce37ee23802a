"""What not looking at everything costs in recall, and what it saves.

Searches word vectors and 16,000 clustered vectors with the exact search and the three
indexes, over a grid of each index's knob: recall@10 against distances computed, which
do not depend on the machine, and against milliseconds. Then: why inverted lists miss,
what the choice of neighbours does to a graph, and how the cost grows with the
collection. Plain Python puts less than a thousand vectors a second into a graph, which
is why 16,000 are the most. Takes about two minutes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from common import datasets, plotting, seeding
from common.results import Results

SEED = 32
K = 10
TARGET = 0.95
COLOURS = dict(
    zip(("IVF", "HNSW", "PQ", "PQ, re-ranked", "exact"), plotting.PALETTE, strict=False)
)
STYLES = {"PQ": "s", "exact": "D"}  # the others are lines with dots
EFS = (10, 14, 20, 28, 40, 56, 80, 112, 160)
PROBES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
RERANKS = (10, 20, 40, 80, 160, 320, 640)


@dataclass(frozen=True)
class Data:
    """A collection, its queries, and the ids of their true neighbours."""

    name: str
    X: np.ndarray  # (N, d), unit rows
    Q: np.ndarray  # (nq, d), unit rows, none of them in X
    truth: np.ndarray  # (nq, K)
    n_lists: int
    blocks: tuple[int, ...]  # values of m for product quantisation
    thin: int = 1  # every how many-th value of a grid is measured


@dataclass(frozen=True)
class Setting:
    """One index with its knob set."""

    index: str
    knob: str
    search: Callable[[np.ndarray], tuple]  # queries -> ids, scores
    fixed: float  # distances that every query costs
    counter: object = None  # its `scanned` is what the last search cost beyond that


@dataclass(frozen=True)
class Point:
    """A setting, measured."""

    index: str
    setting: str
    recall: float
    share: float  # distances computed / N
    ms: float = 0.0  # median of a query; 0 where nobody looked at the clock


def main(lab, out: Path, quick: bool = False, full: bool = False) -> None:
    """Run the experiment.

    Args:
        lab: the module under test: the solution, or a learner's lab.py.
        out: folder for metrics.json, report.md and the plots.
        quick: small collections; a few seconds.
        full: 40,000 clustered vectors instead of 16,000.
    """
    results = Results(
        out, "Lab 3.2: nearest-neighbour search", seed=SEED, steps=10, quick=quick
    )
    duration = "4 seconds" if quick else "4 minutes" if full else "2 minutes"
    results.say(f"Makes 5 plots, 3 tables and a report in about {duration}.")
    with threadpool_limits(1):  # one query at a time, as a server would
        results.step("the two collections")
        sets = [words(lab, quick), clustered(lab, quick, full)]
        describe(results, sets)
        exact_latency(lab, results, quick)
        curves, graphs = {}, {}
        for data in sets:
            curves[data.name], graphs[data.name] = measure(lab, results, data)
        trade_offs(lab, results, sets, curves)
        memory(results, sets, graphs)
        borders(lab, results, sets[0])
        directions(lab, results, sets[1], 120 if quick else 3000)
        growth(lab, results, quick)
    results.step("writing metrics.json and report.md")
    results.save()


# --- The collections --------------------------------------------------------------


def words(lab, quick: bool) -> Data:
    """Word vectors of WikiText-2 (PPMI and SVD, as in lab 3.1); 200 are queries."""
    _, X = datasets.word_vectors(100)
    X = lab.normalize_rows(X[(X != 0).any(axis=1)][: 270 if quick else None])
    order = seeding.rng(SEED, "words").permutation(len(X))
    nq = 12 if quick else 200
    queries, base = order[:nq], np.sort(order[nq:])
    truth, _ = lab.exact_search(X[base], X[queries], K)
    shape = (16, (10,), 3) if quick else (64, (10, 20))
    return Data("words", X[base], X[queries], truth, *shape)


def clustered(lab, quick: bool, full: bool) -> Data:
    """Directions around 200 drawn ones, in 64 dimensions; 200 more are queries."""
    n, nq = (250, 12) if quick else (40_000 if full else 16_000, 200)
    rng = seeding.rng(SEED, "clustered")
    centres = lab.normalize_rows(rng.normal(size=(20 if quick else 200, 64)))
    near = centres[rng.integers(len(centres), size=n + nq)]
    X = lab.normalize_rows(near + rng.normal(0, 1 / 8, (n + nq, 64)))
    truth, _ = lab.exact_search(X[:n], X[n:], K)
    shape = (16, (8,), 3) if quick else (128, (8,))
    return Data("clustered", X[:n], X[n:], truth, *shape)


def describe(results: Results, sets: list[Data]) -> None:
    said = "; ".join(f"{d.name}: {len(d.X):,} x {d.X.shape[1]}" for d in sets)
    results.text(
        f"Collections: {said}; {len(sets[0].Q)} queries each that are not in them, all "
        "of length 1, float64, one query at a time. Milliseconds are those of one "
        f"processor, so other programs do not count. Recall is recall@{K}."
    )


# --- Exact search -----------------------------------------------------------------


def exact_latency(lab, results: Results, quick: bool) -> None:
    """Median and 99th percentile of a scan of 10,000 x 100."""
    results.step("latency of the exact search")
    rng = seeding.rng(SEED, "latency")
    n, nq = (1000, 50) if quick else (10_000, 1000)
    X = lab.normalize_rows(rng.normal(size=(n, 100)))
    Q = lab.normalize_rows(rng.normal(size=(nq, 100)))
    ms = []
    for q in Q:  # every query counts, the slow ones too
        start = time.process_time()
        lab.exact_search(X, q[None], K)
        ms.append(1000 * (time.process_time() - start))
    middle, slow = float(np.median(ms)), float(np.percentile(ms, 99))
    results.metric("exact.p50", middle, "ms")
    results.metric("exact.p99", slow, "ms")
    results.text(
        f"Exact search over {n:,} x 100, {nq:,} single queries: median {middle:.2f} "
        f"ms, P99 {slow:.2f} ms (design: below 8 ms)."
    )


# --- Recall against cost ----------------------------------------------------------


def measure(lab, results: Results, data: Data):
    """All settings of all indexes, and the graph that was built."""
    results.step(f"{data.name}: inverted lists and product quantisation")
    n = len(data.X)
    whole = Setting("exact", "all", lambda q: lab.exact_search(data.X, q, K), n)
    settings = [whole, *inverted_lists(lab, data)]
    for m in data.blocks:
        settings += quantised(lab, data, m)
    results.step(f"{data.name}: HNSW")
    start = time.perf_counter()
    graph = lab.HNSW(rng=seeding.rng(SEED, "hnsw", data.name))
    graph.add(data.X)
    seconds = time.perf_counter() - start
    results.metric(f"{data.name}.hnsw.build", seconds, "s", seconds)
    settings += walks(graph, data)
    ms = timed([setting.search for setting in settings], data.Q)
    points = [evaluate(lab, s, data, t) for s, t in zip(settings, ms, strict=True)]
    return points, graph


def evaluate(lab, setting: Setting, data: Data, ms: float = 0.0) -> Point:
    """Recall and cost over all queries."""
    ids, _ = setting.search(data.Q)
    cost = setting.fixed
    if setting.counter is not None:
        cost += setting.counter.scanned / len(data.Q)
    recall = lab.recall_at_k(ids, data.truth)
    return Point(setting.index, setting.knob, recall, cost / len(data.X), ms)


def timed(searches: list[Callable], Q: np.ndarray) -> list[float]:
    """Milliseconds of single queries: the median over Q for each search.

    Time of the processor, so that other programs count less; and the searches take
    turns at every query, so that a slow moment of the machine meets all of them. Each
    answers twice, and the second counts: the first fetches what others drove out of the
    cache.
    """
    ms = np.empty((len(Q), len(searches)))
    for i, row in enumerate(ms):
        for j, search in enumerate(searches):
            search(Q[i : i + 1])
            start = time.process_time()
            search(Q[i : i + 1])
            row[j] = 1000 * (time.process_time() - start)
    return np.median(ms, axis=0).tolist()


def inverted_lists(lab, data: Data) -> list[Setting]:
    """Cost: the centroids, and the vectors in the probed cells."""
    index = build_ivf(lab, data.X, data.n_lists)
    return [
        Setting("IVF", f"n_probe {p}", partial(index.search, k=K, n_probe=p), n, index)
        for n, p in ((data.n_lists, p) for p in PROBES[:: data.thin])
        if p <= n
    ]


def build_ivf(lab, X: np.ndarray, n_lists: int):
    index = lab.IVFIndex(n_lists, seeding.rng(SEED, "ivf"))
    index.train(X)
    index.add(X)
    return index


def quantised(lab, data: Data, m: int) -> list[Setting]:
    """Cost in distances of d terms: the tables are n_codes, N sums of m are N m / d."""
    n, d = data.X.shape
    pq = lab.ProductQuantizer(m, min(256, n // 8), seeding.rng(SEED, "pq", m))
    pq.fit(data.X[seeding.rng(SEED, "sample").permutation(n)[:4000]])
    codes = pq.encode(data.X)
    fixed = pq.n_codes + n * m / d
    plain = Setting("PQ", f"m {m}", lambda q: pq.search(codes, q, K), fixed)
    return [plain] + [
        Setting(
            "PQ, re-ranked",
            f"m {m}, rerank {r}",
            lambda q, r=r: pq.search(codes, q, K, r, data.X),
            fixed + r,
        )
        for r in RERANKS[:: data.thin]
        if r <= n
    ]


def walks(graph, data: Data) -> list[Setting]:
    """Cost: the distances of the walk."""
    return [
        Setting("HNSW", f"ef {ef}", partial(graph.search, k=K, ef=ef), 0, graph)
        for ef in EFS[:: data.thin]
    ]


def cheapest(points: Iterable[Point]) -> Point | None:
    """The setting with the fewest distances that reaches the target."""
    good = [p for p in points if p.recall >= TARGET]
    return min(good, key=lambda p: p.share, default=None)


def trade_offs(lab, results: Results, sets: list[Data], curves: dict) -> None:
    """Two figures, and the table of the cheapest settings."""
    results.text(
        f"## Recall against cost\nThe cheapest setting of each index with recall of "
        f"at least {TARGET:g}. Distances: a share of the collection; an IVF pays for "
        "its centroids too, a PQ for its tables and sums (in distances of d terms)."
    )
    rows = []
    for data in sets:
        points = curves[data.name]
        for index in COLOURS:
            mine = [p for p in points if p.index == index]
            best = cheapest(mine)
            key = f"{data.name}.{index.lower().replace(', re-ranked', '_rerank')}"
            for p in mine:
                last = p.setting.replace(", ", "_").replace(" ", "")
                for what, unit in (("recall", ""), ("share", ""), ("ms", "ms")):
                    value = getattr(p, what)
                    results.metric(f"{key}.{last}.{what}", value, unit)
            if best is None:
                top = max(mine, key=lambda p: p.recall)
                rows.append((data.name, index, f"none: at most {top.recall:.3f}"))
                rows[-1] += (f"{100 * top.share:.1f} %", f"{top.ms:.2f}")
                continue
            results.metric(f"{key}.cheapest", best.setting, "")
            results.metric(f"{key}.cheapest_recall", best.recall, "")
            results.metric(f"{key}.cheapest_share", 100 * best.share, "%")
            results.metric(f"{key}.cheapest_ms", best.ms, "ms")
            cells = (
                f"{best.recall:.3f} at {best.setting}",
                f"{100 * best.share:.1f} %",
            )
            rows.append((data.name, index, *cells, f"{best.ms:.2f}"))
    header = ["collection", "index", "recall", "distances", "ms a query"]
    results.table(header, rows)
    results.figure(
        draw_curves(lab, sets, curves, "share"), "distances.png", "Recall and distances"
    )
    results.figure(draw_curves(lab, sets, curves, "ms"), "time.png", "Recall and time")


def draw_curves(lab, sets: list[Data], curves: dict, x: str):
    """A panel for each collection; the grey staircase is the front of all settings."""
    fig, axes = plotting.figure(1, 2, size=(9.2, 4.2))
    for ax, data in zip(axes, sets, strict=True):
        points = curves[data.name]
        scale = 100 if x == "share" else 1
        front = lab.pareto_front([(scale * getattr(p, x), p.recall) for p in points])
        ax.step(*zip(*front, strict=True), where="post", color="0.8", lw=6, zorder=1)
        for index, colour in COLOURS.items():
            mine = [p for p in points if p.index == index]
            for kind in sorted(
                {p.setting.split(",")[0] for p in mine if "PQ" in index}
            ):
                curve(ax, [p for p in mine if p.setting.startswith(kind)], x, index)
            if "PQ" not in index:
                curve(ax, mine, x, index)
            ax.plot([], [], STYLES.get(index, "o-"), color=colour, label=index)
        ax.axhline(TARGET, color="0.4", lw=1, ls=":")
        name = "distances computed (% of N)" if x == "share" else "time a query (ms)"
        ax.set(xscale="log", xlabel=name, ylabel=f"recall@{K}")
        ax.set(title=f"{data.name}: {len(data.X):,} x {data.X.shape[1]}")
        few_ticks(ax.xaxis)
    axes[0].legend(fontsize="small", loc="lower right")
    return fig


def curve(ax, points: list[Point], x: str, index: str) -> None:
    scale = 100 if x == "share" else 1
    xs = [scale * getattr(p, x) for p in points]
    ys = [p.recall for p in points]
    ax.plot(
        xs, ys, STYLES.get(index, "o-"), color=COLOURS[index], ms=5, lw=1.5, zorder=3
    )


def few_ticks(axis) -> None:
    """1, 2, 5, 10, ... on a logarithmic axis, written as numbers."""
    from matplotlib.ticker import LogLocator, NullLocator

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter("{x:,g}")


# --- Memory -----------------------------------------------------------------------


def memory(results: Results, sets: list[Data], graphs: dict) -> None:
    """Bytes a vector in float32 with ids and links of 4 bytes."""
    results.text(
        "## Memory\nBytes a vector in float32, ids and links as 4 bytes; codebooks and "
        "centroids are left out. A PQ without re-ranking can drop the vectors."
    )
    rows = []
    for data in sets:
        d, graph = data.X.shape[1], graphs[data.name]
        links = sum(len(to) for level in graph.graph for to in level.values())
        row = {"exact": 4.0 * d, "ivf": 4.0 * d + 4}
        row["hnsw"] = 4.0 * d + 4 * links / len(data.X)
        row["pq"] = float(data.blocks[0])
        for index, size in row.items():
            results.metric(f"{data.name}.bytes.{index}", size, "bytes")
        cells = [f"{size:.0f}" for size in row.values()]
        cells[-1] = " or ".join(str(m) for m in data.blocks)
        rows.append((data.name, *cells, f"{links / len(data.X):.1f}"))
    header = ["collection", "exact", "IVF", "HNSW", "PQ", "links a vector"]
    results.table(header, rows)


# --- Why inverted lists miss ------------------------------------------------------


def borders(lab, results: Results, data: Data) -> None:
    """Recall with one probe, by how clearly the query belongs to its cell."""
    results.step("inverted lists near the borders of cells")
    index = build_ivf(lab, data.X, data.n_lists)
    two, cos = lab.exact_search(index.centroids, data.Q, 2, "cosine")
    margin = cos[:, 0] - cos[:, 1]
    cell = np.empty(len(data.X), np.int64)
    for c, ids in enumerate(index.lists):
        cell[ids] = c
    first = (cell[data.truth] == two[:, :1]).mean(axis=1)  # share in the first cell
    second = (cell[data.truth] == two[:, 1:]).mean(axis=1)
    order = np.argsort(margin)
    parts = np.array_split(order, 5)
    for name, part in (("near", parts[0]), ("far", parts[-1])):
        results.metric(f"border.{name}", float(first[part].mean()), "")
    results.text(
        "## Why inverted lists miss\nOf the fifth of the queries nearest to a border "
        "(the cosines with the two best centroids are closest to each other), "
        f"{100 * first[parts[0]].mean():.0f} % of the neighbours lie in the first "
        f"cell; of the fifth farthest from one, {100 * first[parts[-1]].mean():.0f} %."
    )
    fig, ax = plotting.figure(size=(6.6, 3.8))
    place = np.arange(5)
    tops = [[x[part].mean() for part in parts] for x in (first, second)]
    ax.bar(place, tops[0], color=COLOURS["IVF"], label="in the first cell")
    ax.bar(place, tops[1], bottom=tops[0], color="#56B4E9", label="in the second cell")
    rest = 1 - np.sum(tops, axis=0)
    ax.bar(place, rest, bottom=np.sum(tops, axis=0), color="0.85", label="elsewhere")
    names = [f"{margin[p].min():.2f} to {margin[p].max():.2f}" for p in parts]
    ax.set_xticks(place, names)
    ax.set(xlabel="cosine with the best centroid less that with the second")
    ax.set(ylabel="share of the true neighbours", ylim=(0, 1.15))
    ax.set(title=f"{data.name}: where the {K} neighbours lie, fifths of the queries")
    ax.legend(fontsize="small", loc="upper center", ncols=3, frameon=False)
    ax.grid(False)
    results.figure(fig, "borders.png", "Where the neighbours lie")


# --- Which neighbours a vector links to -------------------------------------------


def directions(lab, results: Results, data: Data, n: int) -> None:
    """Graphs whose vectors link to the nearest, and to different directions."""
    results.step("links to the nearest against links in all directions")

    class Nearest(lab.HNSW):
        """Takes the m nearest candidates, whatever their directions."""

        def select(self, candidates, m):
            return [i for _, i in candidates[:m]]

    X, truth = data.X[:n], lab.exact_search(data.X[:n], data.Q, K)[0]
    small = Data(data.name, X, data.Q, truth, 0, (), data.thin)
    fig, ax = plotting.figure(size=(6.6, 3.8))
    rows = []
    for name, kind, colour in (
        ("different directions", lab.HNSW, COLOURS["HNSW"]),
        ("the nearest", Nearest, plotting.PALETTE[3]),
    ):
        graph = kind(rng=seeding.rng(SEED, "directions"))
        graph.add(X)
        points = [evaluate(lab, setting, small) for setting in walks(graph, small)]
        by_ef = {p.setting: p.recall for p in points}
        reached = reachable(graph)
        key = f"directions.{name.split()[-1]}"
        for ef in (10, 80):
            results.metric(f"{key}.recall_ef{ef}", by_ef[f"ef {ef}"], "")
        results.metric(f"{key}.reachable", 100 * reached, "%")
        cells = (f"{by_ef['ef 10']:.3f}", f"{by_ef['ef 80']:.3f}")
        rows.append((name, *cells, f"{100 * reached:.1f} %"))
        xs, ys = [100 * p.share for p in points], [p.recall for p in points]
        ax.plot(xs, ys, "o-", color=colour, label=f"links to {name}")
    results.text(f"## Which neighbours to link to\nHNSW on {n:,} of the vectors.")
    header = ["links to", "recall, ef 10", "ef 80", "reachable on level 0"]
    results.table(header, rows)
    ax.set(xscale="log", xlabel="distances computed (% of N)", ylabel=f"recall@{K}")
    ax.set(title=f"{data.name}, {n:,} vectors: crowds need links that leave them")
    few_ticks(ax.xaxis)
    ax.legend(fontsize="small", loc="lower right")
    results.figure(fig, "directions.png", "Two ways to choose neighbours")


def reachable(graph) -> float:
    """The share of the vectors that a walk on level 0 can get to from `entry`."""
    links, seen, todo = graph.graph[0], {graph.entry}, [graph.entry]
    while todo:
        new = set(links[todo.pop()]) - seen
        seen |= new
        todo += new
    return len(seen) / len(links)


# --- How the cost grows -----------------------------------------------------------


def growth(lab, results: Results, quick: bool) -> None:
    """Distances for the target recall, in collections of growing size.

    Not the clusters: with 200 of them a small collection has fewer than ten vectors in
    each, and the task would change with N. A cloud with 12 directions in 64 does not.
    """
    results.step("cost against the size of the collection")
    sizes = [60, 120] if quick else [500, 1000, 2000, 4000, 8000]
    rng, nq = seeding.rng(SEED, "cloud"), 12 if quick else 200
    cloud = rng.normal(size=(sizes[-1] + nq, 12)) @ rng.normal(size=(12, 64))
    cloud = lab.normalize_rows(cloud)
    Q, thin = cloud[sizes[-1] :], 3 if quick else 1
    graph = lab.HNSW(rng=seeding.rng(SEED, "growth"))
    table: dict[str, list[float]] = {"exact": [], "IVF": [], "HNSW": []}
    done = 0
    for n in sizes:
        graph.add(cloud[done:n])
        done, X = n, cloud[:n]
        truth, _ = lab.exact_search(X, Q, K)
        part = Data("cloud", X, Q, truth, round(n**0.5), (), thin)
        table["exact"].append(n)
        table["IVF"].append(first_good(lab, inverted_lists(lab, part), part))
        table["HNSW"].append(first_good(lab, walks(graph, part), part))
    draw_growth(results, sizes, table)


def draw_growth(results: Results, sizes: list[int], table: dict) -> None:
    powers = {
        index: float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])
        for index, costs in table.items()
    }
    fig, ax = plotting.figure(size=(6.6, 4.0))
    for index, costs in table.items():
        label = f"{index}: grows as N to the power {powers[index]:.2f}"
        ax.plot(sizes, costs, "o-", color=COLOURS[index], label=label)
        for n, cost in zip(sizes, costs, strict=True):
            results.metric(f"growth.{index.lower()}.{n}", cost, "distances")
        results.metric(f"growth.power.{index.lower()}", powers[index], "")
    ax.set(xscale="log", yscale="log", xlabel="vectors in the collection, N")
    ax.set(ylabel=f"distances a query for recall {TARGET:g}")
    few_ticks(ax.xaxis), few_ticks(ax.yaxis)
    ax.set(title=f"a cloud: the cheapest setting that reaches {TARGET:g}")
    ax.legend(fontsize="small")
    costs = "; ".join(
        f"{index} {', '.join(f'{c:,.0f}' for c in column)}"
        for index, column in table.items()
    )
    results.text(
        f"## How the cost grows\nDistances a query for recall {TARGET:g} in a cloud of "
        f"12 directions in 64, for N = {', '.join(f'{n:,}' for n in sizes)} and √N "
        f"cells: {costs}. An IVF pays for √N centroids and for its probed cells, HNSW "
        "for a walk."
    )
    results.figure(fig, "growth.png", "Cost against the size of the collection")


def first_good(lab, settings: list[Setting], data: Data) -> float:
    """Distances of the first setting that reaches the target; all N if none does."""
    points = (evaluate(lab, setting, data) for setting in settings)
    found = next((p for p in points if p.recall >= TARGET), None)
    return len(data.X) * (found.share if found else 1.0)
