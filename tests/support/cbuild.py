"""Compile C for tests: objects are cached by the content of all they read, and shared by workers.

An object's key is a digest of its command and of every file its compilation read (the compiler's
own list).  A lock per output lets several pytest workers build different objects at once and wait
for each other's.
"""

import fcntl
import fnmatch
import functools
import hashlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from support import coverage
from support.paths import BUILD, ENGINE, GENERATED, ROOT

CACHE = coverage.CACHE if coverage.FOLDER else BUILD / "tests"
WARNINGS = (
    "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wstrict-prototypes", "-Wvla", "-Wformat=2",
    "-fno-strict-aliasing",
    "-Werror",
)
# Rows of tests are as old as they like: nothing sweeps by itself unless a test asks for it.
BASE = ("-std=c11", "-D_GNU_SOURCE", "-DAE_DEBUG", "-DAE_TTL_SWEEP_INTERVAL_MS=0u", "-g", "-fPIC",
        *WARNINGS)
# clang asks for a format attribute also on helpers that take a va_list; gcc does not.
CLANG = ("clang", *BASE, "-Wno-format-nonliteral", "-O1", "-fno-omit-frame-pointer")
UNDEFINED = "-fsanitize=undefined,float-divide-by-zero,implicit-conversion,nullability"

# Both compilers see all the code: gcc makes what is shipped, clang has the better sanitizers.
# Conversions that the code writes as casts are no finding; hash arithmetic is unsigned on purpose.
VARIANTS: dict[str, tuple[str, ...]] = {
    "plain": ("gcc", *BASE, "-O1", "-D_FORTIFY_SOURCE=2", "-fstack-protector-strong"),
    "asan": (*CLANG, "-fsanitize=address", UNDEFINED, "-fno-sanitize-recover=all"),
    # The test program brings ae_crash_point() along: base/atomics.h.  Few rows are several runs of
    # an index that is filled.
    "crash": ("gcc", *BASE, "-O1", "-DAE_CRASH_POINTS", "-DAE_BUILD_KEYS=64u"),
    "tsan": (*CLANG, "-fsanitize=thread"),
    # Every atomic access asks the scheduler of tests/explore, and what bounds a protocol is small.
    "explore": ("gcc", *BASE, "-O1", "-DAE_EXPLORE", "-DAE_SLOTS=4u", "-DAE_QUEUE_MIN=8u",
                "-DAE_QUEUE_MAX=8u", "-DAE_DECIDE_SPINS=2u", "-DAE_HASH_LINES=3u",
                "-include", "tests/explore/explored_atomics.h"),
    "fuzz": (*CLANG, "-fsanitize=fuzzer-no-link,address", UNDEFINED, "-fno-sanitize-recover=all"),
}
# Models of the ordered index itself split and join nodes of a few entries; in the others that would
# only be more to explore.
VARIANTS["explore_tree"] = (*VARIANTS["explore"], "-DAE_TREE_SMALL")
# The test program brings ae_file_hook() along: base/os_file.h.
VARIANTS["faults"] = (*VARIANTS["plain"], "-DAE_FILE_HOOK")
# A variant that is another one and a definition: most sources know nothing of that, and are shared.
DERIVED = {"explore_tree": ("explore", "AE_TREE_SMALL"), "faults": ("plain", "AE_FILE_HOOK")}
LINKS: dict[str, tuple[str, ...]] = {
    "plain": ("gcc",),
    "asan": ("clang", "-fsanitize=address", UNDEFINED),
    "tsan": ("clang", "-fsanitize=thread"),
    "crash": ("gcc",),
    # Its operating system comes first and wins.
    "explore": ("gcc", "-Wl,-z,muldefs"),
    "explore_tree": ("gcc", "-Wl,-z,muldefs"),
    "faults": ("gcc",),
    "fuzz": ("clang", "-fsanitize=fuzzer,address", UNDEFINED),
}
if coverage.FOLDER:  # the variants without a sanitizer, with counters
    COUNTED = ("plain", "crash", "faults")
    VARIANTS = {name: ("clang", *VARIANTS[name][1:], "-Wno-error", "-w", *coverage.FLAGS)
                for name in COUNTED}
    LINKS = dict.fromkeys(COUNTED, ("clang", "-fprofile-instr-generate"))

# The engine knows no package and no test: its objects are the same for all of them.
INCLUDES = (ENGINE / "include", ENGINE)

# Tests may convert numbers, cut texts and reuse names freely, and name engine folders as `base/*`,
# which looks like the start of a comment.
LENIENT = {
    "gcc": ("-Wno-comment", "-Wno-conversion", "-Wno-shadow", "-Wno-format-truncation"),
    "clang": ("-Wno-comment", "-Wno-conversion", "-Wno-shadow",
              "-fno-sanitize=implicit-conversion"),
}


class BuildError(Exception):
    """A compiler or linker refused; the text is its output."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of an output file while it is looked at or made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{path}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(command: Sequence[str]) -> None:
    """Run a compiler from the root."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def digest(command: Sequence[str], files: Sequence[str]) -> str:
    """Digest a command and the files it reads; a file that is gone changes the digest."""
    total = hashlib.sha256(repr(list(command)).encode())
    for name in files:
        path = ROOT / name
        total.update(path.read_bytes() if path.exists() else b"gone")
    return total.hexdigest()


def dependencies(listing: Path) -> list[str]:
    """Read the files a compiler says it read."""
    words = listing.read_text().replace("\\\n", " ").split()
    return [word for word in words if not word.endswith(":")]


def make(output: Path, command: Sequence[str], inputs: Sequence[str] | None = None) -> Path:
    """Run `command` unless `output` is what it would make.  Inputs: given, or in `output`.d."""
    listing, key = Path(f"{output}.d"), Path(f"{output}.key")
    with locked(output):
        if output.exists() and key.exists() and (inputs is not None or listing.exists()):
            files = inputs if inputs is not None else dependencies(listing)
            if key.read_text() == digest(command, files):
                return output
        run(command)
        files = inputs if inputs is not None else dependencies(listing)
        key.write_text(digest(command, files))
    return output


@functools.cache
def object_file(source: Path, variant: str, includes: tuple[Path, ...]) -> Path:
    """Compile one source for a variant, or take its object of the variant that makes the same."""
    if variant in DERIVED and includes == INCLUDES:
        usual, definition = DERIVED[variant]
        shared = object_file(source, usual, includes)
        if not any(mentions(ROOT / file, definition) for file in dependencies(Path(f"{shared}.d"))):
            return shared
    name = source.relative_to(ROOT) if source.is_relative_to(ROOT) else Path(*source.parts[1:])
    folders = hashlib.sha256(repr(includes).encode()).hexdigest()[:8]
    output = CACHE / variant / folders / f"{name}.o"
    # -iquote: a folder may hold a file with the name of a system header.
    flags = [f"-I{folder}" if folder in (ENGINE, ENGINE / "include") else f"-iquote{folder}"
             for folder in includes]
    strict = source.is_relative_to(ENGINE) or source.is_relative_to(GENERATED)
    lenient = [] if strict else list(LENIENT[VARIANTS[variant][0]])
    command = [*VARIANTS[variant], *lenient, *flags, "-MD", "-MF", f"{output}.d", "-c",
               str(source), "-o", str(output)]
    return make(output, command)


@functools.cache
def mentions(file: Path, word: str) -> bool:
    """Tell whether a file has a word in it."""
    return word in file.read_text(errors="replace")


def engine_sources(words: Sequence[str]) -> list[Path]:
    """Expand a `links:` comment to sources."""
    chosen: list[Path] = []
    for word in words:
        if word.startswith("generated/"):
            package = GENERATED / word.removeprefix("generated/")
            chosen += [path for path in sorted(package.glob("*.c")) if "_tcl" not in path.name]
            continue
        if word.startswith("tests/"):
            chosen += [path for path in sorted((ROOT / word).glob("*.c"))
                       if not path.name.startswith("test_")]
            continue
        pattern = word.lstrip("!")
        pattern = pattern if pattern.endswith((".c", "*")) else f"{pattern}/*"
        found = [path for path in sorted(ENGINE.rglob("*.c"))
                 if fnmatch.fnmatchcase(str(path.relative_to(ENGINE)), pattern)]
        if word.startswith("!"):
            chosen = [path for path in chosen if path not in found]
        else:
            chosen += [path for path in found if path not in chosen]
    return chosen


def program(test: Path, variant: str, links: Sequence[str],
            libraries: Sequence[str] = (), changed: Path | None = None) -> Path:
    """Build a test program from its file and the sources it links.

    `changed` is a folder with other versions of some engine files, at the same places in it; they
    are taken instead.  Of changed headers, the sources that are to see them must be there too, but
    for the test's own file.
    """
    words = links or ("*", "generated/aerostore")
    packages = [word for word in words if word.startswith("generated/")]
    includes = (*INCLUDES, ROOT / "tests" / "unit", *(ROOT / word for word in packages))
    objects = []
    for source in [test, *engine_sources(words)]:
        chosen, folders = source, INCLUDES if source.is_relative_to(ENGINE) else includes
        if changed is not None and source.is_relative_to(ENGINE):
            other = changed / source.relative_to(ENGINE)
            chosen = other if other.exists() else source
        if changed is not None and (chosen != source or
                                    (source == test and any(changed.rglob("*.h")))):
            folders = (changed, *folders)
        objects.append(str(object_file(chosen, variant, folders)))
    place = repr((test.parent, changed)) if changed is not None else str(test.parent)
    folder = hashlib.sha256(place.encode()).hexdigest()[:8]
    output = CACHE / variant / "bin" / folder / test.stem
    command = [*LINKS[variant], *objects, *libraries, "-lm", "-lpthread", "-o", str(output)]
    return make(output, command, objects)


def sanitizer_environment() -> dict[str, str]:
    """Return the environment in which sanitized programs run: every finding ends them."""
    return {
        **os.environ,
        "ASAN_OPTIONS": "abort_on_error=0:detect_leaks=1:detect_stack_use_after_return=1:"
                        "allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
    }
