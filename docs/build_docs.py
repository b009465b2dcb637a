"""Build the documentation into build/docs: `invoke docs`.

The pages of docs/ are copied beside the pages made here from the one source each has: the C header,
errors.def, the help of the command line, and the Tcl manual.  Sphinx makes a site of them that
needs no network.  The Tcl manual's source is tcl/doc/aerostore.man (doctools of tcllib), which also
gives the man page tcl/doc/aerostore.n.
"""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import typer

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
SOURCE = ROOT / "build" / "docs-source"
SITE = ROOT / "build" / "docs"
MANUAL = ROOT / "tcl" / "doc" / "aerostore.man"
MAN_PAGE = MANUAL.with_suffix(".n")
HEADER = ROOT / "codegen" / "engine" / "include" / "aerostore" / "aerostore.h"
ERRORS = HEADER.with_name("errors.def")
RULER = re.compile(r"^/\* ---- (.+?) -+ \*/$", re.MULTILINE)
ERROR = re.compile(r'^AERO_ERROR\((\w+), (\d+), ([01]), (\w+), "(.+)"\)$', re.MULTILINE)


def doctools(form: str) -> str:
    """Return the Tcl manual as nroff or as HTML."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "page"
        subprocess.run(["dtplite", "-o", str(output), form, str(MANUAL)], check=True,
                       stdout=subprocess.DEVNULL)
        return output.read_text(encoding="utf-8")


def man_page() -> str:
    """Return the man page: nroff without the places and dates of the machine that made it."""
    text = doctools("nroff")
    made = "Made from aerostore.man by `invoke docs`. Do not edit."
    text = re.sub(r"Generated from file .*", made, text, count=1)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def tcl_page() -> str:
    """Return the Tcl manual as a page of the site."""
    body = re.search(r"<body>(.*)</body>", doctools("html"), re.DOTALL)
    if body is None:
        raise ValueError("dtplite made no body")
    text = re.sub(r"(?s)^.*?(?=<h1)", "", body[1], count=1)
    text = re.sub(r"(?s)<h1 .*?</h1>", "", text, count=1)
    text = re.sub(r"(?s)<h2[^>]*>Table Of Contents</h2>.*?</ul>\s*(?=</div>|<div)", "", text,
                  count=1)
    return ("# Tcl\n\n`package require aerostore`. The same text is the man page, "
            "`man -l tcl/doc/aerostore.n`."
            f"\n\n```{{raw}} html\n{text}\n```\n")


def c_page() -> str:
    """Return the C header, section by section."""
    parts = RULER.split(HEADER.read_text(encoding="utf-8"))
    page = ["# C\n", "The header `aerostore/aerostore.h`, section by section. A contract stands "
            "above each function; `table` and `columns` are indexes into `aero_schema()`. "
            "`docs/examples/positions.c` is a whole program.\n"]
    for title, text in zip(parts[1::2], parts[2::2], strict=True):
        shown = re.sub(r"(?m)^#(pragma|endif).*\n?", "", text).strip()
        page.append(f"## {title.capitalize()}\n\n```c\n{shown}\n```\n")
    return "\n".join(page)


def errors_page() -> str:
    """Return the table of all errors."""
    lines = ["# Errors", "",
             "Every error has one name in all languages. In Tcl, `errorCode` is the list "
             "`AEROSTORE NAME table …` and the message begins with `TCL_ERROR: `; in Python it is "
             "an exception derived from `aerostore.Error`, with `code` and `retryable`; in C it is "
             "`AERO_NAME`, with the text in `aero_session_error`. Numbers never change.", "",
             "A retryable error says that the same transaction may succeed if it is run again; "
             "`db.run` and `aerostore::transaction` do so for conflicts.", "",
             "| name | number | Python | retry | meaning |", "|---|---|---|---|---|"]
    for name, number, retry, python, text in ERROR.findall(ERRORS.read_text(encoding="utf-8")):
        lines.append(f"| {name} | {number} | `{python}` | {'yes' if retry == '1' else ''} "
                     f"| {text} |")
    return "\n".join(lines) + "\n"


def cli_page() -> str:
    """Return the help of every command."""
    from aerostore.cli import make_app

    group = typer.main.get_command(make_app())
    page = ["# Command line", "",
            "`aerostore`, or `python -m aerostore`. An error is one line on standard error, with "
            "exit code 1; wrong usage is exit code 2.", ""]
    for name, command in group.commands.items():
        context = command.context_class(command, info_name=f"aerostore {name}")
        usage = " ".join(["aerostore", name, *command.collect_usage_pieces(context)])
        page += [f"## {name}", "", f"    {usage}", "", (command.help or "").strip(), "",
                 "| | | |", "|---|---|---|"]
        for parameter in command.params:
            described = getattr(parameter, "help", None) or ""
            shown = ", ".join(f"`{word}`" for word in parameter.opts)
            default = parameter.default
            plain = default not in (None, False, "", ()) and not callable(default)
            page.append(f"| {shown} | {html.escape(described)} | "
                        f"{f'default {default}' if plain else ''} |")
        page.append("")
    return "\n".join(page)


def build() -> Path:
    """Build the site; returns its first page."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    shutil.copytree(DOCS, SOURCE, ignore=shutil.ignore_patterns("*.py[co]", "__pycache__"))
    for name, text in (("tcl.md", tcl_page()), ("c.md", c_page()), ("errors.md", errors_page()),
                       ("cli.md", cli_page())):
        (SOURCE / name).write_text(text, encoding="utf-8")
    contents = SOURCE / "index.md"
    text = contents.read_text(encoding="utf-8")
    others = [page.stem for page in sorted(SOURCE.glob("*.md"))
              if not re.search(rf"^{page.stem}$", f"{text}\nindex\n", re.MULTILINE)]
    listed = "".join(f"{name}\n" for name in others)
    contents.write_text(text.rstrip().removesuffix("```") + listed + "```\n", encoding="utf-8")
    shutil.rmtree(SITE, ignore_errors=True)
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html",
               str(SOURCE), str(SITE)]
    done = subprocess.run(command, check=False)
    if done.returncode != 0:
        sys.exit(done.returncode)
    return SITE / "index.html"


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT / "python"), str(ROOT / "codegen")]
    MAN_PAGE.write_text(man_page(), encoding="utf-8")
    print(build())
