"""The C compiler as this project uses it: flags, variants, and objects that are compiled only once.

Objects are kept beside a note of the command and of the content of every file the compiler read, so
that a build repeats exactly what changed.  Results appear by rename: several builds may run at once
in one folder.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

JOBS = 2  # small machines have two cores, and compilers are hungry

WARNINGS = (
    "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wstrict-prototypes", "-Wvla", "-Wformat=2",
    "-fno-strict-aliasing",
)
_COMMON = ("-std=c11", "-D_GNU_SOURCE", "-g", "-fPIC", "-fvisibility=hidden")
_HARDENED = ("-fstack-protector-strong", "-D_FORTIFY_SOURCE=2")
_SANITIZED = ("-O1", "-fno-omit-frame-pointer", "-DAE_DEBUG")

VARIANTS: dict[str, tuple[str, ...]] = {
    "release": ("-O3", *_HARDENED),
    "debug": ("-O1", "-DAE_DEBUG", *_HARDENED),
    "asan": (*_SANITIZED, "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    "tsan": (*_SANITIZED, "-fsanitize=thread"),
    # Counters lie in a mapped file (LLVM_PROFILE_FILE with %c), so that those of a killed process
    # count; assertions are left out, for what ends the process is no branch to be taken.
    "coverage": ("-O1", "-DAE_DEBUG", "-DAE_COVERAGE", "-fprofile-instr-generate",
                 "-fcoverage-mapping", "-mllvm", "-runtime-counter-relocation", "-w"),
}
LINK_FLAGS = ("-shared", "-Wl,-Bsymbolic", "-Wl,-z,relro,-z,now,-z,nodelete")


class BuildError(Exception):
    """A tool is missing or refused; the text says what it said."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One source to compile."""

    source: Path
    name: str  # relative path of its object in the cache
    flags: tuple[str, ...]


def compiler(variant: str = "release") -> str:
    """Return the C compiler: $CC, gcc, clang or cc; clang first where it must be.

    gcc refuses fences in code under ThreadSanitizer, and counts branches of its own making.

    Raises:
        BuildError: There is none.
    """
    usual = ("clang", "gcc", "cc") if variant in ("tsan", "coverage") else ("gcc", "clang", "cc")
    for name in (os.environ.get("CC"), *usual):
        if name and shutil.which(name.split()[0]):
            return name
    raise BuildError("no C compiler found; install gcc or clang, or set CC")


def variant_flags(variant: str) -> tuple[str, ...]:
    """Return the flags of a variant.

    Raises:
        BuildError: There is no such variant.
    """
    if variant not in VARIANTS:
        raise BuildError(f'there is no variant "{variant}"; there are {", ".join(VARIANTS)}')
    return VARIANTS[variant]


def _runtime_flags(variant: str) -> list[str]:
    """Return the flags of a variant that bring a runtime library along: linking needs them too."""
    return [flag for flag in variant_flags(variant)
            if flag.startswith(("-fsanitize", "-fprofile"))]


def compile_units(units: Sequence[Unit], cache: Path, variant: str, strict: bool) -> list[Path]:
    """Compile sources, two at a time, reusing what is unchanged.

    Args:
        units: What to compile.
        cache: Folder of the objects.
        variant: A key of VARIANTS.
        strict: Warnings are errors: for our own builds, not for a user's unknown compiler.

    Raises:
        BuildError: A compiler refused; the text holds the output of all that failed.
    """
    tool = compiler(variant).split()
    # clang wants a format attribute also on functions that take a va_list; gcc does not.
    calmed = ["-Wno-format-nonliteral"] if "clang" in tool[0] else []
    command = [
        *tool, *_COMMON, *WARNINGS, *calmed, *(["-Werror"] if strict else []),
        *variant_flags(variant),
    ]
    failures: list[str] = []

    def one(unit: Unit) -> Path:
        target = cache / f"{unit.name}.o"
        try:
            with _locked(target):
                _compile([*command, *unit.flags], unit.source, target)
        except BuildError as error:
            failures.append(str(error))
        return target

    with ThreadPoolExecutor(JOBS) as pool:
        objects = list(pool.map(one, units))
    if failures:
        raise BuildError("\n".join(failures))
    return objects


def link(objects: Sequence[Path], libraries: Sequence[str], target: Path, variant: str) -> None:
    """Link a shared library; it replaces the old one at once."""
    sanitize = _runtime_flags(variant)
    # Sanitizers leave their own symbols to the program; nothing else may stay open.
    defined = [] if sanitize else ["-Wl,-z,defs"]
    command = [*compiler(variant).split(), *LINK_FLAGS, *defined, *sanitize]
    note = target.with_name(f".{target.name}.json")
    inputs = {str(path): _digest(path) for path in objects}
    wanted = {"command": [*command, *libraries], "inputs": inputs}
    with _locked(target):
        if target.exists() and _read_note(note) == wanted:
            return
        with _aside(target) as aside:
            run([*command, "-o", str(aside), *map(str, objects), *libraries])
            aside.replace(target)
        note.write_text(json.dumps(wanted))


def link_program(objects: Sequence[Path], library: Path, target: Path, variant: str) -> None:
    """Link a program that lies beside its library and finds it there."""
    sanitize = _runtime_flags(variant)
    command = [
        *compiler(variant).split(), "-pie", "-Wl,-z,relro,-z,now", "-Wl,-rpath,$ORIGIN", *sanitize,
    ]
    note = target.with_name(f".{target.name}.json")
    inputs = {str(path): _digest(path) for path in objects}
    # Only the library's name is kept in the program, so a new library asks for no new program.
    wanted = {"command": [*command, str(library)], "inputs": inputs}
    with _locked(target):
        if target.exists() and _read_note(note) == wanted:
            return
        with _aside(target) as aside:
            names = [f"-L{library.parent}", f"-l:{library.name}"]
            run([*command, "-o", str(aside), *map(str, objects), *names])
            aside.replace(target)
        note.write_text(json.dumps(wanted))


def run(command: Sequence[str]) -> str:
    """Run a tool and return what it printed.

    Raises:
        BuildError: It failed.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise BuildError(f"{command[0]} cannot be run: {error.strerror}") from error
    if done.returncode != 0:
        raise BuildError(f"{' '.join(command)}\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    """Let one build at a time look at and make a target."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(f".{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _compile(command: Sequence[str], source: Path, target: Path) -> None:
    note = target.with_suffix(".json")
    old = _read_note(note)
    if target.exists() and isinstance(old, dict) and old.get("command") == list(command):
        inputs = old.get("inputs")
        if isinstance(inputs, dict) and all(
            digest == _digest(Path(name)) for name, digest in inputs.items()
        ):
            return
    note.unlink(missing_ok=True)
    with _aside(target) as aside:
        started = time.time_ns()
        depends = Path(f"{aside}.d")
        run([*command, "-MD", "-MF", str(depends), "-c", str(source), "-o", str(aside)])
        names = _dependencies(depends)
        inputs = {name: _digest(Path(name)) for name in names}
        changed = any(Path(name).stat().st_mtime_ns >= started for name in names)
        depends.unlink()
        aside.replace(target)
    if not changed:  # what was edited meanwhile is compiled again next time
        note.write_text(json.dumps({"command": list(command), "inputs": inputs}))


def _dependencies(listing: Path) -> list[str]:
    text = listing.read_text().replace("\\\n", " ")
    _, _, names = text.partition(": ")
    return [name.replace("\\ ", " ") for name in re.split(r"(?<!\\)\s+", names.strip()) if name]


def _read_note(path: Path) -> object:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _digest(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return "gone"
    return _digest_of(str(path), status.st_mtime_ns, status.st_size, status.st_ino)


@functools.lru_cache(maxsize=4096)
def _digest_of(name: str, _mtime: int, _size: int, _inode: int) -> str:
    return hashlib.sha256(Path(name).read_bytes()).hexdigest()


class _aside:  # noqa: N801 (used like a function)
    """A temporary name beside a target, removed when it was not used."""

    def __init__(self, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=target.suffix)
        os.close(handle)
        mask = os.umask(0)
        os.umask(mask)
        self.path = Path(name)
        self.path.chmod(0o777 & ~mask)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.path.unlink(missing_ok=True)
        Path(f"{self.path}.d").unlink(missing_ok=True)
