"""The one table of all language models: read from the labs' metrics.json, never typed.

An experiment enters a model with `Results.language_model`; every score is a mean over
the same 111,540 validation positions of Tiny Shakespeare. Other texts and other
measures of quality are not here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from common import labs
from common.datasets import VALID_POSITIONS

HEADER = (
    "model",
    "lab",
    "learned",
    "training",
    "nats",
    "bits",
    "perplexity",
    "200 characters of it",
)
WIDTHS = (4, 12, 7, 7, 8, 7)  # at the terminal, after the model


@dataclass(frozen=True)
class Entry:
    """One language model and its score."""

    lab: labs.Lab
    mine: bool  # from a learner's run, not the committed one
    model: str
    size: int
    size_unit: str  # "parameters" or "n-grams"
    seconds: float  # of training, wall time
    device: str  # where, in words
    positions: int
    nats: float  # per character
    sample: str

    @property
    def bits(self) -> float:
        """Bits per character."""
        return self.nats / math.log(2)

    @property
    def perplexity(self) -> float:
        """Of how many equally likely characters the choice is, on average."""
        return math.exp(self.nats)


def entries(*, mine: bool = False) -> list[Entry]:
    """The models of all labs, best first.

    Args:
        mine: those of the learner's last runs (`results/mine`) as well.
    """
    kinds = (("results", False), ("results/mine", True))[: 1 + mine]
    found = [
        entry
        for lab in labs.all_labs()
        for folder, is_mine in kinds
        for entry in _read(lab, lab.folder / folder / "metrics.json", is_mine)
        if entry.positions == VALID_POSITIONS  # a quick run's score is no score
    ]
    return sorted(found, key=lambda e: (e.nats, e.lab.id, e.model, e.mine))


def _read(lab: labs.Lab, path: Path, mine: bool) -> list[Entry]:
    if not path.is_file():
        return []
    metrics = json.loads(path.read_text(encoding="utf-8"))
    return [
        Entry(
            lab=lab,
            mine=mine,
            seconds=metric["seconds"],
            device=metric["device"],
            nats=metric["value"],
            **metric["language_model"],
        )
        for metric in metrics
        if "language_model" in metric
    ]


def markdown(found: Iterable[Entry]) -> str:
    """The table for a page at the top of the repository, one row per model."""
    lines = [
        f"| {' | '.join(HEADER)} |",
        "|---|---|---:|---:|---:|---:|---:|---|",
    ]
    for e in found:
        link = f"[{e.lab.id}]({e.lab.folder.parent.name}/{e.lab.slug}/)"
        cells = (e.model, link, *_numbers(e), f"<sub>{_in_a_cell(e.sample)}</sub>")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _numbers(e: Entry) -> tuple[str, ...]:
    return (
        f"{e.size:,} {e.size_unit}",
        f"{_time(e.seconds)}, {e.device}",
        f"{e.nats:.3f}",
        f"{e.bits:.3f}",
        f"{e.perplexity:.2f}",
    )


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds:.1f} s"


def _in_a_cell(sample: str) -> str:
    """A sample as HTML in which Markdown finds nothing to do, and no end of a line."""
    plain = " ,.:;!?'-\""
    marks = {"\n": "<br>"}
    return "".join(
        c if c.isalnum() or c in plain else marks.get(c, f"&#{ord(c)};")
        for c in sample.strip("\n")
    )


def screen(found: list[Entry], samples: bool = False) -> list[str]:
    """The table for a terminal of 80 columns, and the samples below it if asked for.

    "n" and "p" behind what a model learned are n-grams and parameters.
    """
    head = ("model", "lab", "learned", "nats", "bits", "perpl.", "time")
    rows = [
        (
            _cut(e.model, 31),
            e.lab.id,
            f"{e.size:,} {e.size_unit[0]}",
            f"{e.nats:.3f}",
            f"{e.bits:.3f}",
            f"{e.perplexity:.2f}",
            _time(e.seconds),
        )
        for e in found
    ]
    marks = ["", *(">" if e.mine else "" for e in found)]
    lines = [
        f"{mark:2}{row[0]:32}" + "".join(map(str.rjust, row[1:], WIDTHS))
        for mark, row in zip(marks, [head, *rows], strict=True)
    ]
    if samples:
        for e in found:
            lines += ["", f"{e.model} ({e.nats:.3f} nats)", *_indented(e.sample)]
    return lines


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _indented(sample: str) -> list[str]:
    return [f"    {line[:76]}" for line in sample.strip("\n").split("\n")]
