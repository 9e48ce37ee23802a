"""What the benchmarks share: a row, a fair clock, a table."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One measurement: ours beside a peer's, as a ratio."""

    what: str
    ours: str
    peer: str
    ratio: float
    meaning: str  # "x time" or "x speed"
    wanted: str = ""  # what the design asks for, in words


def seconds(run: Callable[[], object], repeats: int = 5) -> float:
    """The shortest of several runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def side_by_side(
    what: str,
    ours: Callable[[], object],
    peer: Callable[[], object],
    name: str,
    wanted: str = "",
    *,
    rounds: int = 15,
    repeats: int = 3,
) -> Row:
    """Time two ways to do the same, in turns, so that a busy machine slows both.

    Args:
        what: the work, such as "2.8 AdamW.step, 1 M float32".
        ours, peer: called without arguments; each is called once before it is timed.
        name: what the peer is.
        wanted: the speed that the design asks for, in words.
        rounds: how often the two take turns.
        repeats: calls in a row each time; the shortest of all counts.
    """
    ours(), peer()
    own, other = [], []
    for _ in range(rounds):
        own.append(seconds(ours, repeats))
        other.append(seconds(peer, repeats))
    return speed(what, min(own), min(other), name, wanted)


def speed(what: str, ours: float, peer: float, name: str, wanted: str = "") -> Row:
    """The row for two times in seconds: how many times as fast ours is."""
    theirs = f"{shown(peer)}: {name}"
    return Row(what, shown(ours), theirs, peer / ours, "x speed", wanted)


def shown(time_s: float) -> str:
    """A time with the unit that fits, three digits: 1.53 s, 27.8 ms, 65.1 µs."""
    unit, factor = next(
        (unit, factor)
        for unit, factor in (("s", 1), ("ms", 1e3), ("µs", 1e6))
        if time_s * factor >= 1 or unit == "µs"
    )
    value = time_s * factor
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f} {unit}"


def process_seconds(command: list[str], env: dict[str, str], repeats: int = 5) -> float:
    """The shortest wall time of a command; its exit code does not matter."""

    def run() -> None:
        subprocess.run(command, env=env, capture_output=True, check=False)

    return seconds(run, repeats)


def show(rows: Iterable[Row]) -> None:
    """Print the rows as a table, with what was wanted."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Ratios beside a named peer, one process, best of several")
    for name in ("what", "ours", "peer", "ratio", "wanted"):
        table.add_column(name, justify="right" if name == "ratio" else "left")
    for row in rows:
        ratio = f"{row.ratio:.2f} {row.meaning}"
        table.add_row(row.what, row.ours, row.peer, ratio, row.wanted)
    Console(width=120).print(table)
