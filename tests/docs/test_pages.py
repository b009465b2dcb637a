"""Every block of the documentation runs and prints what stands below it; every task exists."""

import itertools
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
import typer

from aerostore.cli import make_app
from docs import blocks
from support.libraries import library
from support.paths import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {page: page.read_text(encoding="utf-8") for page in PAGES}
HARMLESS = re.compile(r"invoke |python3 tasks\.py |aerostore |/\* |F\d  |schemas/|(key hash|tree) ")
# Where the command line may be named: between backticks, in a line of a block, in the manual.
COMMAND = re.compile(r"`(aerostore [^`]+)`|^ *(aerostore [a-z]+ .*)$|cmd \{(aerostore [^}]+)\}",
                     re.MULTILINE)
# `aerostore init` in Tcl, and how what it returns begins.
TCL_WORDS = {"init", "ready"}
WITH_BLOCKS = [
    pytest.param(page, id=page.stem,
                 marks=[pytest.mark.slow] if "aerostore compile" in text else [])
    for page, text in TEXTS.items() if blocks.blocks(text)]


@pytest.fixture
def reader(tmp_path):
    """Somebody in an empty folder but for the declaration that the pages show."""
    shutil.copy(ROOT / "docs" / "examples" / "market" / "quotes.py", tmp_path)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AEROSTORE_")}
    paths = [str(ROOT / "python"), str(ROOT / "codegen")]
    environment = {
        **kept,
        "PATH": blocks.path_with(blocks.command_folder(tmp_path)),
        "TCLLIBPATH": str(library("aerostore").parent),
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONWARNINGS": "error",
    }
    with blocks.Reader(tmp_path, environment) as somebody:
        yield somebody
    for folder in filter(Path.is_dir, tmp_path.iterdir()):
        # The segment of a directory is named after its device and inode.
        named = folder.stat()
        for segment in Path("/dev/shm").glob(f"aerostore-*-{named.st_dev:x}-{named.st_ino:x}"):
            segment.unlink()


@pytest.mark.parametrize("page", WITH_BLOCKS)
def test_the_blocks_of_a_page_run(page, reader):
    """Goal: the documentation tells the truth.  Method: type it, compare what is printed."""
    for block in blocks.blocks(TEXTS[page]):
        printed = reader.type(block)
        if block.promised is not None:
            assert blocks.agrees(printed, block.promised), \
                f"{page.name}:{block.line} printed\n{printed}\nnot\n{block.promised}"
        for promise in blocks.arrows(block):
            assert promise in printed, f"{page.name}:{block.line} did not print {promise!r}"


def test_no_block_escapes():
    """Goal: what looks like something to type is typed.  Method: the languages of all fences; what
    is indented is a picture, or names tasks or commands, which the tests below look up."""
    wrong = []
    for page, text in TEXTS.items():
        known = {"python", "tcl", "sh", "text", "c", ""}
        for fence in re.findall(r"^ *```+ *(\S*)", text, re.MULTILINE):
            if fence not in known and not fence.startswith("{"):
                wrong.append(f"{page.name}: ```{fence}")
        outside = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
        wrong += [f"{page.name}: {line}" for line in re.findall(r"^ {4,}(\S.*)$", outside,
                  re.MULTILINE) if not HARMLESS.match(line)]
        languages = [found[1] for found in blocks.FENCE.finditer(text)]
        for before, language in zip([None, *languages], languages, strict=False):
            if language == "text" and before not in {"python", "tcl", "sh"}:
                wrong.append(f"{page.name}: a text block promises the output of nothing")
    assert not wrong, wrong


def test_pages_name_commands_that_exist():
    """Goal: no command and no option that is gone.  Method: compare `aerostore NAME --option …` in
    all pages and in the Tcl manual to the command line."""
    commands = typer.main.get_command(make_app()).commands
    manual = ROOT / "tcl" / "doc" / "aerostore.man"
    wrong = []
    for page, text in [*TEXTS.items(), (manual, manual.read_text(encoding="utf-8"))]:
        for place in filter(None, itertools.chain.from_iterable(COMMAND.findall(text))):
            for name, rest in re.findall(r"\baerostore ([a-z]+)\b([^`\n#}|]*)", place):
                if name in TCL_WORDS and page == manual:
                    continue
                if name not in commands:
                    wrong.append(f"{page.name}: aerostore {name}")
                    continue
                known = {word for parameter in commands[name].params
                         for word in (*parameter.opts, *parameter.secondary_opts)}
                named = set(re.findall(r"(?<![\w-])(?:--[a-z-]+|-[a-z]\b)", rest))
                wrong += [f"{page.name}: aerostore {name} {option}" for option in named - known]
    assert not wrong, wrong


def test_pages_name_tasks_that_exist():
    """Goal: no command that is gone.  Method: compare `invoke NAME` and its options to tasks.py."""
    sys.path.insert(0, str(ROOT))
    import tasks

    wrong = []
    for page, text in TEXTS.items():
        for name, options in re.findall(r"(?:invoke|tasks\.py) ([a-z]+)((?: --?[a-z]+)*)", text):
            task = getattr(tasks, name, None)
            if task is None or not hasattr(task, "body"):
                wrong.append(f"{page.name}: invoke {name}")
                continue
            known = {argument.name for argument in task.get_arguments()}
            wrong += [f"{page.name}: invoke {name} {option}" for option in options.split()
                      if option.lstrip("-") not in known]
    assert not wrong, wrong
