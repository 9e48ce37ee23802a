"""Keeps the pages in step with the labs: map, leaderboard, figures, a picture.

What is finished is read from the folders, never typed. Lab names that are only planned
come from the tables of the phase READMEs.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

from common import labs, leaderboard
from common.grading import verify

_ROW = re.compile(
    r"^\| (?P<id>\d+\.\d+) \| \[?`(?P<slug>lab-[\w-]+)`(?:\]\([^)]*\))? "
    r"\| (?P<what>.*) \| `\w+` \|$",
    re.M,
)
_MAP, _LEADERBOARD = (
    re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", re.S)
    for name in ("map", "leaderboard")
)
PICTURE = Path(".github") / "report.svg"


def phase_table(phase: Path) -> str:
    """A phase's README with links and states as the folders say."""
    text = (phase / "README.md").read_text(encoding="utf-8")

    def row(found: re.Match) -> str:
        slug, done = found["slug"], (phase / found["slug"] / "lab.toml").exists()
        name = f"[`{slug}`]({slug}/)" if done else f"`{slug}`"
        state = "ready" if done else "planned"
        return f"| {found['id']} | {name} | {found['what']} | `{state}` |"

    return _ROW.sub(row, text)


def course_map() -> str:
    """The table of all phases and labs for the top-level README."""
    lines = ["| phase | labs |", "|---|---|"]
    for phase in labs.phases():
        table = (phase / "README.md").read_text(encoding="utf-8")
        names = [_map_entry(phase, row) for row in _ROW.finditer(table)]
        link = f"[{labs.phase_title(phase)}]({phase.name}/)"
        lines.append(f"| {link} | {' · '.join(names)} |")
    return "\n".join(lines) + "\n"


def _map_entry(phase: Path, row: re.Match) -> str:
    name = re.sub(r"^lab-\d+-", "", row["slug"]).replace("-", " ")
    if not (phase / row["slug"] / "lab.toml").exists():
        return f"{row['id']} {name}"
    return f"**[{row['id']} {name}]({phase.name}/{row['slug']}/)**"


def pages() -> dict[Path, str]:
    """Each page that is partly generated, and what it should say."""
    readme = labs.root() / "README.md"
    text = readme.read_text(encoding="utf-8")
    text = _MAP.sub(lambda _: course_map(), text)
    table = leaderboard.markdown(leaderboard.entries())
    found = {readme: _LEADERBOARD.sub(lambda _: table, text)}
    for phase in labs.phases():
        found[phase / "README.md"] = _figures(phase_table(phase))
    return found


def known_figures() -> dict[str, object]:
    """The metrics of all labs, as "1.6/name"."""
    return {
        f"{lab.id}/{name}": value
        for lab in labs.all_labs()
        for name, value in verify.metrics(lab).items()
    }


def _figures(text: str) -> str:
    """A guide's figures: ``<!--=1.6/name:.2f-->`` is a metric of lab 1.6."""
    return verify.fill_figures(text, known_figures())


def refresh() -> list[Path]:
    """Write the pages that are out of step; return them."""
    changed = []
    for path, text in pages().items():
        if path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


def picture(markup: str, title: str) -> str:
    """An SVG of a report, in the fonts of the reader's machine."""
    from rich.console import Console

    console = Console(record=True, width=80, highlight=False, file=io.StringIO())
    console.print(markup)
    svg = console.export_svg(title=title, unique_id="report")
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.S)
    svg = svg.replace("<svg ", '<svg xml:space="preserve" ', 1)  # keep the columns
    return svg.replace("Fira Code", "DejaVu Sans Mono")
