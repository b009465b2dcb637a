"""Build the C programs of this folder against the built library of a variant."""

import subprocess
from pathlib import Path

from support.cbuild import CACHE, make, sanitizer_environment
from support.libraries import library
from support.paths import ENGINE

FOLDER = Path(__file__).resolve().parent
COMPILERS = {
    "release": ("cc", "-O2"),
    "asan": ("gcc", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
}


def build(name: str, variant: str = "release") -> Path:
    """Compile `name`.c and link it with the library of the variant."""
    shared = library("aerostore", variant)
    source, output = FOLDER / f"{name}.c", CACHE / f"processes-{variant}" / name
    command = [*COMPILERS[variant], "-std=c11", "-D_GNU_SOURCE", "-g", "-Wall", "-Wextra",
               f"-I{ENGINE / 'include'}", str(source), str(shared),
               f"-Wl,-rpath,{shared.parent}", "-o", str(output)]
    headers = [*FOLDER.glob("*.h"), *(ENGINE / "include").rglob("*")]
    inputs = [source, shared, *(path for path in headers if path.is_file())]
    return make(output, command, [str(path) for path in inputs])


def run(program: Path, *arguments: object, timeout: float = 240) -> str:
    """Run a program to its end, print what it says, and return that; it must end with 0."""
    done = subprocess.run([str(program), *map(str, arguments)], capture_output=True, text=True,
                          errors="replace", timeout=timeout, check=False,
                          env=sanitizer_environment())
    print(done.stdout[-8000:], done.stderr[-8000:])
    assert done.returncode == 0, f"{program.name} ended with {done.returncode}"
    return done.stdout
