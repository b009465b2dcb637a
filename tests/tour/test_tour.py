"""The README's five-minute tour works as printed: its marked blocks run, in order, on a new store.

A block counts when the comment `<!-- tour -->` stands above its fence.  All Tcl blocks form one
script, all Python blocks another, as a reader would type them; a line `# → text` (Python) or
`;# → text` (Tcl) after a printing line says what must appear.
"""

import os
import re
import subprocess
import sys

import pytest

from support.paths import ROOT

BLOCK = re.compile(r"<!-- tour -->\s*```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
PROMISE = re.compile(r"#\s*→\s*(.+?)\s*$", re.MULTILINE)


def blocks(language: str) -> str:
    """Return the marked blocks of a language, joined."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return "\n".join(body for name, body in BLOCK.findall(text) if name == language)


@pytest.mark.parametrize("language", ["tcl", "python"])
def test_the_tour_runs(language, aerostore_library, store, tmp_path):
    """Goal: the README tells the truth; runs its blocks in an empty folder."""
    code = blocks(language)
    assert code.strip(), f"README.md has no {language} block marked <!-- tour -->"
    script = tmp_path / f"tour.{language}"
    script.write_text(code, encoding="utf-8")
    program = {"tcl": ["tclsh8.6"], "python": [sys.executable]}[language]
    path = os.pathsep.join(str(ROOT / folder) for folder in ("python", "codegen"))
    done = subprocess.run(
        [*program, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=120,
        check=False, env={**store.environment(), "PYTHONPATH": path})
    assert done.returncode == 0, done.stdout + done.stderr
    for promise in PROMISE.findall(code):
        assert promise in done.stdout, f"the tour promises {promise!r}:\n{done.stdout}"
