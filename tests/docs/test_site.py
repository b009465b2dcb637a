"""The site builds without a warning, needs no network, and the man page is fresh."""

import importlib.util
import re
import shutil

import pytest

from support.paths import ROOT


def builder():
    """Load docs/build_docs.py."""
    where = ROOT / "docs" / "build_docs.py"
    spec = importlib.util.spec_from_file_location("build_docs", where)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
    assert "aero_commit" in pages["c.html"]
    assert "lock_for_update" in pages["tcl.html"]
    assert "SerializationFailure" in pages["errors.html"]
