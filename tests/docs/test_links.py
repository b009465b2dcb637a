"""Links of the pages and of the module READMEs lead somewhere, and files they name are there."""

import re
from pathlib import Path

from support.paths import ROOT

PAGES = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "codegen").rglob("*.md"),
         *(ROOT / "tests").rglob("*.md")]
# Pages of the site that `invoke docs` makes, and checks.
MADE = {"tcl.md", "c.md", "cli.md", "errors.md"}
LINK = re.compile(r"\]\(([^)\s#]*)(?:#([^)\s]+))?\)")
FILE = re.compile(r"`((?:codegen|docs|python|schemas|tcl|tests|tests_tcl)/[\w./-]+)`")


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as the site makes them."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


def test_links_lead_somewhere():
    """Goal: no dead end.  Method: look for each file and each heading that a link names."""
    wrong, seen = [], 0
    for page in PAGES:
        for name, anchor in LINK.findall(page.read_text(encoding="utf-8")):
            if "://" in name or name in MADE:
                continue
            seen += 1
            target = page.parent / name if name else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                wrong.append(f"{page.relative_to(ROOT)}: {name}#{anchor}")
    assert seen > 20
    assert not wrong, wrong


def test_files_that_are_named_exist():
    """Goal: no file that is gone.  Method: names of files and folders between backticks."""
    wrong = [f"{page.relative_to(ROOT)}: {name}" for page in PAGES
             for name in FILE.findall(page.read_text(encoding="utf-8"))
             if not (ROOT / name).exists()]
    assert not wrong, wrong
