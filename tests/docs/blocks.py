"""Run the fenced blocks of a page, one after the other, as a reader would type them.

Blocks in `python`, `tcl` and `sh` go to one Python, one tclsh and one shell, which stay until the
end of the page.  A `text` block behind one of them is what it must have printed; an ellipsis stands
for anything.  So is what stands behind an arrow in a comment: `print(1)  # → 1`.  A block that
begins with `# name.py` is a file of that name.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ARROW = re.compile(r"#\s*→\s*(.+?)\s*$", re.MULTILINE)
NAMED = re.compile(r"# (\w+\.py)\n")
END = "--- end of block ---"

PYTHON = r"""
import sys
names = {"__name__": "__main__"}
for path in sys.stdin:
    with open(path.strip(), encoding="utf-8") as file:
        exec(compile(file.read(), path.strip(), "exec"), names)
    print(sys.argv[1], flush=True)
"""
TCL = r"""
fconfigure stdout -encoding utf-8
while {[gets stdin path] >= 0} {
    uplevel #0 [list source -encoding utf-8 $path]
    puts [lindex $argv 0]
    flush stdout
}
"""
SHELL = 'set -o pipefail; while read -r path; do . "$path" || exit 1; echo "$1"; done'


@dataclass(frozen=True, slots=True)
class Block:
    """One block, with what it must print, or None where nothing is said."""

    language: str
    text: str
    promised: str | None
    line: int


def blocks(page: str) -> list[Block]:
    """Read the blocks of a page that are to run."""
    found: list[Block] = []
    for match in FENCE.finditer(page):
        language, text = match[1], match[2]
        if language in {"python", "tcl", "sh"}:
            found.append(Block(language, text, None, page.count("\n", 0, match.start()) + 1))
        elif language == "text" and found and found[-1].promised is None:
            last = found[-1]
            found[-1] = Block(last.language, last.text, text, last.line)
    return found


class Reader:
    """Somebody with a Python, a tclsh and a shell in one folder."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.programs: dict[str, subprocess.Popen[str]] = {}

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        for program in self.programs.values():
            program.communicate(timeout=60)

    def start(self, language: str) -> subprocess.Popen[str]:
        """Start the program of a language."""
        (self.folder / "run.tcl").write_text(TCL)
        command = {
            "python": [sys.executable, "-c", PYTHON, END],
            "tcl": ["tclsh8.6", "run.tcl", END],
            "sh": ["bash", "-c", SHELL, "sh", END],
        }[language]
        with (self.folder / f"{language}.errors").open("w") as errors:
            return subprocess.Popen(command, cwd=self.folder, env=self.environment, text=True,
                                    encoding="utf-8", stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, stderr=errors)

    def type(self, block: Block) -> str:
        """Run a block; return what it printed."""
        if named := NAMED.match(block.text):
            (self.folder / named[1]).write_text(block.text, encoding="utf-8")
            return ""
        program = self.programs.get(block.language) or self.start(block.language)
        self.programs[block.language] = program
        assert program.stdin is not None
        assert program.stdout is not None
        script = self.folder / f"line_{block.line}.{block.language}"
        script.write_text(block.text, encoding="utf-8")
        program.stdin.write(f"{script}\n")
        program.stdin.flush()
        printed = []
        for line in program.stdout:
            if line.rstrip("\n") == END:
                return "".join(printed)
            printed.append(line)
        errors = (self.folder / f"{block.language}.errors").read_text()
        raise AssertionError(f"line {block.line}:\n{''.join(printed)}{errors}")


def arrows(block: Block) -> list[str]:
    """Return what the comments of a block promise."""
    return ARROW.findall(block.text)


def agrees(printed: str, promised: str) -> bool:
    """Compare line by line; … stands for anything in a line."""
    got, wanted = printed.splitlines(), promised.splitlines()
    return len(got) == len(wanted) and all(
        fnmatchcase(line.rstrip(), re.sub(r"([*?[])", r"[\1]", pattern).replace("…", "*"))
        for line, pattern in zip(got, wanted, strict=True))


def command_folder(folder: Path) -> Path:
    """Make a folder with the command `aerostore` of this checkout."""
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    command = bin_folder / "aerostore"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m aerostore "$@"\n')
    command.chmod(0o755)
    return bin_folder


def path_with(folder: Path) -> str:
    """Return $PATH with a folder in front."""
    return os.pathsep.join([str(folder), os.environ["PATH"]])
