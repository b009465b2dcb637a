"""Every block of the documentation runs and prints what stands below it; every task exists."""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from docs import blocks
from support.libraries import library
from support.paths import ROOT

PAGES = sorted((ROOT / "docs").glob("*.md"))
TEXTS = {page: page.read_text(encoding="utf-8") for page in PAGES}
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


def test_pages_name_tasks_that_exist():
    """Goal: no command that is gone.  Method: compare `invoke NAME` and its options to tasks.py."""
    sys.path.insert(0, str(ROOT))
    import tasks

    wrong = []
    pages = [*PAGES, ROOT / "README.md"]
    for page in pages:
        for name, options in re.findall(r"(?:invoke|tasks\.py) ([a-z]+)((?: --?[a-z]+)*)",
                                        page.read_text(encoding="utf-8")):
            task = getattr(tasks, name, None)
            if task is None or not hasattr(task, "body"):
                wrong.append(f"{page.name}: invoke {name}")
                continue
            known = {argument.name for argument in task.get_arguments()}
            wrong += [f"{page.name}: invoke {name} {option}" for option in options.split()
                      if option.lstrip("-") not in known]
    assert not wrong, wrong
