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
