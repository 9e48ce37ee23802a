"""`labs new`: a folder with a small lab that passes `labs verify`, to be replaced.

The example is a lab of three small tasks rather than empty files, because a contributor
learns the form faster from something that runs.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from common import labs, stubs

TEMPLATE = Path(__file__).parent / "template"


def create(id: str, name: str) -> Path:
    """Make the folder of lab `id` (``1.8``) called `name` (``bloom-filters``).

    Raises:
        ValueError: `id` is no phase.lab number, `name` is not kebab case, the phase
            does not exist, or the number is taken.
    """
    numbers = re.fullmatch(r"([1-9])\.([1-9][0-9]?)", id)
    if not numbers:
        raise ValueError(f"ID must look like 1.8, got {id!r}")
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise ValueError(f"NAME must look like bloom-filters, got {name!r}")
    prefix = f"phase-{int(numbers[1]):02d}-"
    phase = next((p for p in labs.phases() if p.name.startswith(prefix)), None)
    if phase is None:
        raise ValueError(f"ID {id!r}: there is no phase {numbers[1]}")
    number = f"lab-{int(numbers[2]):02d}-"
    if taken := [p.name for p in phase.iterdir() if p.name.startswith(number)]:
        raise ValueError(f"ID {id!r} is taken by {taken[0]}")
    folder = phase / f"{number}{name}"
    shutil.copytree(TEMPLATE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    _fill_in(folder, id, name)
    return folder


def _fill_in(folder: Path, id: str, name: str) -> None:
    title = name.replace("-", " ").capitalize()
    for path in folder.iterdir():
        if path.suffix in (".py", ".md", ".toml"):
            text = path.read_text(encoding="utf-8")
            text = text.replace("LAB_ID", id).replace("LAB_TITLE", title)
            path.write_text(text, encoding="utf-8")
    source = (folder / "solution.py").read_text(encoding="utf-8")
    (folder / "lab.py").write_text(stubs.stub(source), encoding="utf-8")
