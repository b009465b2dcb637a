"""The site builds without a warning, needs no network, and the man page is fresh."""

import html
import importlib.util
import re
import shutil
from urllib.parse import unquote

import pytest

from support.paths import ROOT


def builder():
    """Load docs/build_docs.py."""
    where = ROOT / "docs" / "build_docs.py"
    spec = importlib.util.spec_from_file_location("build_docs", where)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def dead_links(site, pages):
    """Return the links of a site that lead to no file or no place in one."""
    places = {name: set(re.findall(r'\bid="([^"]+)"', text)) for name, text in pages.items()}
    dead = []
    for name, text in pages.items():
        for link in map(html.unescape, re.findall(r'href="([^"]+)"', text)):
            file, _, place = link.partition("#")
            file = unquote(file.partition("?")[0]) or name
            if "://" in link or ((site / file).is_file() and not place):
                continue
            if file not in places or unquote(place) not in places[file]:
                dead.append(f"{name}: {link}")
    return dead


def test_the_man_page_is_made_from_its_source():
    """Goal: one source.  Method: make aerostore.n again; `invoke docs` writes it."""
    if shutil.which("dtplite") is None:
        pytest.skip("dtplite of tcllib is not installed")
    made = builder()
    assert made.MAN_PAGE.read_text(encoding="utf-8") == made.man_page()


def test_the_site_builds_and_needs_no_network(tmp_path, monkeypatch):
    """Goal: a site for machines without a network.  Method: build, look for foreign addresses."""
    if importlib.util.find_spec("sphinx") is None or shutil.which("dtplite") is None:
        pytest.skip("sphinx or dtplite is not installed")
    made = builder()
    monkeypatch.setattr(made, "SOURCE", tmp_path / "source")
    monkeypatch.setattr(made, "SITE", tmp_path / "site")
    first = made.build()
    pages = {page.name: page.read_text(encoding="utf-8") for page in first.parent.glob("*.html")}
    assert {"index.html", "tcl.html", "c.html", "cli.html", "reliability.html"} <= set(pages)
    foreign = {name: found for name, text in pages.items()
               if (found := re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="https?://', text))}
    assert not foreign, foreign
    assert dead_links(first.parent, pages) == []
    assert "aero_commit" in pages["c.html"]
    assert "&gt; altitude 10000'" in pages["cli.html"], "quotes that a shell does not know"
    assert "lock_for_update" in pages["tcl.html"]
    assert "SerializationFailure" in pages["errors.html"]
