"""What every experiment shares: progress lines, metrics.json, a report and its plots.

An experiment makes one `Results`, says what it does step by step, hands over numbers,
tables and figures, and calls `save` at the end. The metrics are a JSON list, so that a
README can quote a figure by its name. What is measured is the lab's business.
"""

import json
import math
import re
import textwrap
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from common import device as devices
from common import plotting
from common.datasets import VALID_POSITIONS
from common.progress import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_LINES = 59  # a report is read in one go
SIZE_UNITS = ("parameters", "n-grams")
SAMPLE_LENGTH = 200  # characters
_COLUMNS = 80
_DIGITS = 6  # significant digits of a stored float

Value = bool | int | float | str


class Results:
    """The results of one run; `save` writes them into the folder `out`."""

    def __init__(
        self,
        out: Path,
        title: str,
        *,
        seed: int,
        steps: int,
        quick: bool = False,
        device: str = "cpu",
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Start the clock of a run.

        Args:
            out: folder for metrics.json, report.md and the plots; made where missing.
            title: heading of the report.
            seed: where the run's random numbers come from; stored with every metric.
            steps: how often `step` will be called at most.
            quick: the run uses less data; the report says so.
            device: "cpu", "cuda" or "mps"; stored in words with every metric.
            clock: returns seconds; only differences count.
        """
        self.out = Path(out)
        self._seed = seed
        self._steps = steps
        self._quick = quick
        self._done = 0
        self._device = devices.describe(device)
        self._clock = clock
        self._start = clock()
        self._metrics: dict[str, dict] = {}
        self._blocks = [f"# {title}"]
        if quick:
            self.text("Quick run on less data: not the figures to quote.")

    # --- What the person at the terminal sees ---

    def say(self, text: str) -> None:
        """Print plain text, wrapped at 80 columns."""
        print(textwrap.fill(text, _COLUMNS), flush=True)

    def remark(self, sentence: str) -> None:
        """Tell the same at the terminal and in the report."""
        self.say(sentence)
        self.text(sentence)

    def step(self, text: str) -> None:
        """Print that the next step begins: ``[2/6]    3.1 s  counting pieces``.

        Raises:
            ValueError: more steps than the run announced.
        """
        if self._done == self._steps:
            raise ValueError(
                f"steps: {self._steps} were announced, {text!r} is one more"
            )
        self._done += 1
        elapsed = self._clock() - self._start
        line = f"[{self._done}/{self._steps}] {elapsed:6.1f} s  "
        room = _COLUMNS - len(line)
        print(line + textwrap.shorten(text, room, placeholder=" ..."), flush=True)

    # --- What the run finds out ---

    def metric(
        self, name: str, value: Value, unit: str, seconds: float | None = None
    ) -> None:
        """Keep one measured value.

        Args:
            name: not used before in this run.
            value: a finite number, a bool or text; NumPy scalars are fine.
            unit: such as "bytes/token", "%", "tokens"; "" where there is none.
            seconds: how long it took to measure, where that is of interest.

        Raises:
            ValueError: `name` is used twice, or a number is NaN or infinite.
            TypeError: `value` is something else.
        """
        if name in self._metrics:
            raise ValueError(f"name: there is already a metric {name!r}")
        self._metrics[name] = {
            "name": name,
            "value": _plain(name, value),
            "unit": unit,
            "seed": self._seed,
            "device": self._device,
            "seconds": None if seconds is None else _plain(name, seconds),
        }

    def language_model(
        self,
        *,
        model: str,
        size: int,
        size_unit: str,
        train_seconds: float,
        nats: float,
        positions: int,
        sample: str,
    ) -> None:
        """Enter a language model of Tiny Shakespeare into the course's leaderboard.

        It becomes the metric ``lm.<model>``: nats per character, with the seconds of
        training. `common.leaderboard` gathers these of all labs.

        Args:
            model: its name, such as "Kneser-Ney, 6-gram".
            size: how many numbers it learned.
            size_unit: what they are: "parameters" or "n-grams".
            train_seconds: wall time of fitting it.
            nats: mean over `positions` of -ln p(character | characters before it).
            positions: all 111,540 of the validation part, except in a quick run.
            sample: 200 characters drawn from it, except in a quick run.

        Raises:
            ValueError: in a run that is not quick, other positions or another length
                of the sample; `size_unit` is another word.
        """
        if size_unit not in SIZE_UNITS:
            raise ValueError(
                f"size_unit: expected one of {SIZE_UNITS}, got {size_unit!r}"
            )
        if not self._quick and positions != VALID_POSITIONS:
            raise ValueError(
                f"positions: a score counts all {VALID_POSITIONS:,} validation "
                f"positions, got {positions:,}"
            )
        if not self._quick and len(sample) != SAMPLE_LENGTH:
            raise ValueError(
                f"sample: expected {SAMPLE_LENGTH} characters, got {len(sample)}"
            )
        name = f"lm.{model}"
        self.metric(name, nats, "nats/character", seconds=train_seconds)
        self._metrics[name]["language_model"] = {
            "model": model,
            "size": int(size),
            "size_unit": size_unit,
            "positions": int(positions),
            "sample": sample,
        }

    def figure(self, fig: "Figure", name: str, caption: str) -> Path:
        """Save a figure as `name` (it ends in .png) and show it in the report."""
        path = plotting.save(fig, self.out / name)
        self.text(f"![{caption}]({name})")
        return path

    def text(self, markdown: str) -> None:
        """Add Markdown to the report; a blank line sets it apart."""
        self._blocks.append(markdown.strip("\n").rstrip())

    def table(self, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Add a table; columns that hold numbers only are set to the right.

        Raises:
            ValueError: a row is not as long as the header.
        """
        body = [[_cell(value) for value in row] for row in rows]
        for row in body:
            if len(row) != len(header):
                raise ValueError(f"rows: expected {len(header)} cells, got {row}")
        columns = list(zip(*body, strict=True)) or [()] * len(header)
        rule = ["---:" if _all_numbers(cells) else "---" for cells in columns]
        lines = [[_cell(name) for name in header], rule, *body]
        self.text("\n".join(f"| {' | '.join(line)} |" for line in lines))

    def save(self) -> None:
        """Write metrics.json and report.md, each whole or not at all.

        Raises:
            ValueError: the report is too long; then nothing is written.
        """
        report = "\n\n".join(self._blocks) + "\n"
        if (lines := report.count("\n")) > MAX_LINES:
            raise ValueError(f"report: at most {MAX_LINES} lines, got {lines}")
        metrics = json.dumps(list(self._metrics.values()), indent=1, ensure_ascii=False)
        write_atomically(self.out / "metrics.json", f"{metrics}\n".encode())
        write_atomically(self.out / "report.md", report.encode())


def read_metrics(path: Path) -> dict[str, Value]:
    """Return name and value of every metric in a metrics.json, in its order."""
    entries = json.loads(Path(path).read_text(encoding="utf-8"))
    return {entry["name"]: entry["value"] for entry in entries}


def _plain(name: str, value: object) -> Value:
    """Return `value` as JSON can hold it, floats with 6 significant digits."""
    if hasattr(value, "item"):  # a NumPy scalar, or a tensor of one number
        value = value.item()
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"metric {name!r}: expected a finite number, got {value}")
        return float(f"{value:.{_DIGITS}g}")
    if not isinstance(value, bool | int | str):
        kind = type(value).__name__
        raise TypeError(f"metric {name!r}: expected a number, bool or text, got {kind}")
    return value


def _cell(value: object) -> str:
    """Return a value as one cell: no bar and no line end may break the table."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value).replace("|", "\\|").replace("\n", " ")


def _all_numbers(cells: Sequence[str]) -> bool:
    return bool(cells) and all(re.fullmatch(r"-?[\d,.]+( %)?", c) for c in cells)
