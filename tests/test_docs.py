"""The pages say what is there: map, links, commands, and nothing of a machine."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from common import docs, labs

ROOT = labs.root()
PAGES = sorted(
    path
    for path in [
        *ROOT.glob("*.md"),
        *ROOT.glob("phase-*/**/*.md"),
        *ROOT.glob("tests/**/*.md"),
    ]
    if "mine" not in path.parts
)


def test_the_map_and_the_states_are_in_step():
    behind = [p for p, text in docs.pages().items() if p.read_text("utf-8") != text]
    assert behind == [], "labs verify --docs mends this"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), target


def test_every_lab_folder_is_in_a_phase_table():
    for lab in labs.all_labs():
        table = (lab.folder.parent / "README.md").read_text(encoding="utf-8")
        assert f"| {lab.id} | [`{lab.slug}`]({lab.slug}/) |" in table


def test_the_readme_shows_what_make_does():
    said = subprocess.run(
        ["make", "-C", str(ROOT), "help"], capture_output=True, text=True
    )
    for target in re.findall(r"`make (\w+)", (ROOT / "README.md").read_text("utf-8")):
        assert f"make {target}" in said.stdout


def test_nothing_names_this_machine_or_a_registry():
    asked = ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard"]
    listed = subprocess.run(asked, capture_output=True, text=True, check=True)
    words = ["/wo" + "rk/", "pypi." + "org", "file" + ".pythonhosted", "/ro" + "ot/"]
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix in (".png", ".gz") or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        assert [word for word in words if word in text] == [], name


def test_pictures_are_small():
    big = [p for p in ROOT.glob("phase-*/**/*.png") if p.stat().st_size > 150_000]
    assert big == []


def test_the_top_level_holds_what_the_design_names():
    asked = ["git", "-C", str(ROOT), "ls-files"]
    listed = subprocess.run(asked, capture_output=True, text=True, check=True)
    top = {Path(name).parts[0] for name in listed.stdout.splitlines()}
    usual = {".ci", ".github", ".gitignore", "CONTRIBUTING.md", "LICENSE", "Makefile"}
    usual |= {"README.md", "common", "constraints.txt", "pyproject.toml", "tests"}
    assert {n for n in top if not n.startswith("phase-")} == usual


def test_every_figure_of_a_guide_is_a_metric():
    known = docs.known_figures()
    for phase in labs.phases():
        text = (phase / "README.md").read_text(encoding="utf-8")
        named = re.findall(r"<!--=([^:>]+?)(?::[^>]*?)?-->", text)
        assert [name for name in named if name not in known] == [], phase.name


def test_no_line_of_prose_starts_with_a_mark():
    """Markdown takes a line that starts with <!-- for the end of the paragraph."""
    for page in sorted(ROOT.glob("phase-*/**/README.md")):
        for i, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
            assert not line.lstrip().startswith("<!--="), f"{page}:{i}"
