"""Everyday tasks: `python3 tasks.py demo`, `python3 tasks.py test`, and more with `--list`.

Two halves.  The first runs under any Python >= 3.11 with nothing installed: it makes `.venv`,
installs what is missing (Debian packages only when root; otherwise it prints the line to run) and
starts itself again inside the venv.  The second half is the tasks, which `invoke` finds here too.
Both are quick when there is nothing to do.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "aerostore-stamp"

# Debian packages by the tasks that need them.  A C compiler and Tcl make the product ...
APT_BUILD = ("gcc", "libc6-dev", "make", "tcl", "tcl-dev")
# ... and the tests bring a second compiler with its sanitizers, the test library, a locale with a
# decimal comma, and Tcl's own SQLite and LMDB as peers of the benchmarks.
APT_TEST = (
    "binutils",
    "clang",
    "clang-format",
    "libclang-rt-14-dev",
    "libcmocka-dev",
    "liblmdb-dev",
    "libsqlite3-dev",
    "libsqlite3-tcl",
    "llvm",
    "locales",
    "tcllib",
)
TASKS_WITHOUT_TEST_TOOLS = {"demo", "build", "regen"}


# ---- first half: from a bare Python to the venv ------------------------------------------------


def main(arguments: list[str]) -> None:
    """Prepare the machine and the venv, then become the venv's invoke."""
    if sys.version_info < (3, 11):
        sys.exit("aerostore needs Python 3.11 or newer; this is " + sys.version.split()[0])
    os.chdir(ROOT)
    first = arguments[0] if arguments else "--list"
    with_tests = not (first.startswith("-") or first in TASKS_WITHOUT_TEST_TOOLS)
    ensure_packages(APT_BUILD + (APT_TEST if with_tests else ()))
    python = ensure_venv(with_tests)
    environment = {**os.environ, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    environment["VIRTUAL_ENV"] = str(VENV)
    environment.pop("PYTHONHOME", None)
    command = [str(python), "-m", "invoke", *(arguments or ["--list"])]
    sys.stdout.flush()
    # A shell's background job ignores the interrupt key; tests of interrupts need it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execve(command[0], command, environment)


def missing_packages(names: tuple[str, ...]) -> list[str]:
    """Tell which Debian packages are not installed; none on machines without dpkg."""
    if shutil.which("dpkg-query") is None:
        return []
    query = ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\\n", *names]
    answer = subprocess.run(query, capture_output=True, text=True, check=False).stdout
    lines = (line.split() for line in answer.splitlines())
    installed = {line[0] for line in lines if line[1:] == ["installed"]}
    return [name for name in names if name not in installed]


def ensure_packages(names: tuple[str, ...]) -> None:
    """Install missing Debian packages, or say how and stop."""
    missing = missing_packages(names)
    if not missing:
        return
    if os.geteuid() != 0:
        sys.exit("Some Debian packages are missing.  Please run:\n"
                 f"    sudo apt-get install -y {' '.join(missing)}")
    print(f"installing Debian packages: {' '.join(missing)}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing]
    for command in (["apt-get", "update", "-q"], install):
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def can(python: str, modules: str) -> bool:
    """Tell whether an interpreter imports the modules."""
    probe = subprocess.run([python, "-c", f"import {modules}"], capture_output=True, check=False)
    return probe.returncode == 0


def choose_python(with_tests: bool) -> str:
    """Choose the interpreter that makes the venv: this one if it is, or can be made, complete."""
    wanted = "venv, ensurepip" + (", tkinter" if with_tests else "")
    system = "/usr/bin/python3"
    is_system = os.path.realpath(sys.executable) == os.path.realpath(system)
    if can(sys.executable, wanted):
        return sys.executable
    if not is_system and not can(sys.executable, "venv, ensurepip, tkinter") and recent(system):
        print(f"{sys.executable} lacks one of {wanted}: using {system}", flush=True)
    elif not is_system:
        sys.exit(f"{sys.executable} lacks one of: {wanted}")
    if not can(system, wanted):
        ensure_packages(("python3-venv", "python3-tk") if with_tests else ("python3-venv",))
    if not can(system, wanted):
        sys.exit(f"{system} still lacks one of: {wanted}")
    return system


def recent(python: str) -> bool:
    """Tell whether an interpreter exists and is new enough."""
    check = "import sys; sys.exit(sys.version_info < (3, 11))"
    return Path(python).exists() and not subprocess.run([python, "-c", check],
                                                        check=False).returncode


def ensure_venv(with_tests: bool) -> Path:
    """Make or refresh `.venv` and return its Python."""
    python = VENV / "bin" / "python"
    described = (ROOT / "pyproject.toml").read_bytes() + str(ROOT).encode()
    wanted = hashlib.sha256(described).hexdigest()
    stamp = STAMP.read_text().split() if STAMP.exists() and python.exists() else []
    if stamp[:1] == [wanted] and (not with_tests or "tests" in stamp):
        return python
    if not python.exists() or (with_tests and not can(str(python), "tkinter")):
        chosen = choose_python(with_tests)
        print(f"making .venv with {chosen}", flush=True)
        subprocess.run([chosen, "-m", "venv", "--clear", str(VENV)], check=True)
    print("installing Python packages into .venv", flush=True)
    pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    extras = "[dev]" if with_tests else ""
    done = subprocess.run([*pip, "invoke>=2.2,<4", "-e", f".{extras}"], capture_output=True,
                          stdin=subprocess.DEVNULL, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"pip install failed:\n{done.stdout}{done.stderr}")
    STAMP.write_text(wanted + (" tests\n" if with_tests else "\n"))
    return python


if __name__ == "__main__":
    main(sys.argv[1:])


# ---- second half: the tasks --------------------------------------------------------------------

from invoke.context import Context
from invoke.tasks import task

sys.path[:0] = [str(ROOT / "python"), str(ROOT / "codegen")]


# A line between the sections of a C file; it ends where lines end, in column 99.
RULER = re.compile(r"^(/\* ---- [^-\n].*? -)-* \*/$", re.MULTILINE)


def run(*command: str, **environment: str) -> None:
    """Run a command from the root; a failure ends the task with the command's exit code."""
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, check=False)
    if done.returncode != 0:
        sys.exit(done.returncode if done.returncode > 0 else 128 - done.returncode)


def pytest(*arguments: str, **environment: str) -> None:
    """Run pytest on two workers, which is what small machines have."""
    run(sys.executable, "-m", "pytest", "-n", "2", *arguments, **environment)


@task(help={"variant": "release, debug, asan, tsan or coverage"})
def build(_: Context, variant: str = "release") -> None:
    """Compile the packages of generated/ into build/<package>/."""
    from aerostore_codegen import build as compiler

    for package in sorted((ROOT / "generated").iterdir()):
        if (package / "MANIFEST.json").exists():
            print(compiler.build_package(package, variant=variant))


@task
def regen(_: Context) -> None:
    """Write generated/ and the golden files again; review the difference like code."""
    from aerostore_codegen import cli

    cli.regenerate(check=False)
    run(sys.executable, "-m", "pytest", "-q", "tests/compiler", "--regen")


@task(help={"fix": "let clang-format and ruff repair what they can first"})
def check(_context: Context, fix: bool = False) -> None:
    """Check format, lint, types, floors, symbols, documentation, and that generated/ is fresh."""
    if fix:
        names = ("codegen/engine", "tcl/generic", "tests")
        sources = [path for name in names for path in (ROOT / name).rglob("*.[ch]")]
        for path in sources:
            text = path.read_text()
            if (ruled := RULER.sub(lambda found: found[1].ljust(96, "-") + " */", text)) != text:
                path.write_text(ruled)
        for _ in range(2):  # where comments move, a second pass aligns what the first left
            run("clang-format", "-i", *map(str, sources))
        run(sys.executable, "-m", "ruff", "check", "--fix", "-q", ".")
    pytest("tests/tidy")


@task(pre=[build], help={"quick": "leave the slow tests out", "only": "a pytest -k expression"})
def test(_: Context, quick: bool = False, only: str = "") -> None:
    """Run every test but those of `check`."""
    selection = (["-m", "not slow"] if quick else []) + (["-k", only] if only else [])
    pytest("--ignore=tests/tidy", *selection)


# What drives the engine: C tests, the doors, and processes that are killed.
COVERED = ("tests/unit", "tests/durable", "tests/crash", "tests/concurrency", "tests/python",
           "tests/processes", "tests_tcl", "tests/oracle", "tests/isolation")


@task(help={"missing": "files of the engine whose branches nobody took are listed, as `wal txn/db`",
            "only": "a pytest -k expression"})
def coverage(context: Context, missing: str = "", only: str = "") -> None:
    """Run the tests with counters in the engine, and print which branches they take."""
    folder = ROOT / "build" / "coverage"
    # Programs of earlier runs tell of other lines; objects that fit are linked anew.
    for old in (folder / "raw", *folder.glob("tests/*/bin"), folder / "tests" / "lib"):
        shutil.rmtree(old, ignore_errors=True)
    (folder / "raw").mkdir(parents=True)
    # %c: the counters lie in mapped files, so that those of killed processes count, too.
    environment = {**os.environ, "AEROSTORE_COVERAGE": "1", "PYTHONPATH": str(ROOT / "tests"),
                   "LLVM_PROFILE_FILE": str(folder / "raw" / "%m%c.profraw")}
    selection = "not asan" + (f" and ({only})" if only else "")
    # Slower builds miss a deadline now and then: the figures count, not the verdict.
    subprocess.run([sys.executable, "-m", "pytest", "-n", "2", "-k", selection, *COVERED],
                   cwd=ROOT, env=environment, check=False)
    build(context)
    run(sys.executable, "-m", "support.coverage", *missing.split(),
        PYTHONPATH=str(ROOT / "tests"))


@task(pre=[build], help={"seconds": "how long it flies", "feed": "replay a recorded TSV instead"})
def demo(_: Context, seconds: int = 20, feed: str = "") -> None:
    """Simulate flights: forked writers feed a shared segment while a reader searches it."""
    options = ["--seconds", str(seconds), *(["--feed", feed] if feed else [])]
    run(sys.executable, "-m", "aerostore", "demo", *options)


@task(pre=[build], help={"arguments": "passed on; try --help"})
def bench(_: Context, arguments: str = "") -> None:
    """Measure the figures of the README beside their peers."""
    run(sys.executable, "tests/bench/run.py", *arguments.split())


@task(pre=[build])
def docs(_: Context) -> None:
    """Build the documentation into build/docs, and the Tcl man page from its source."""
    run(sys.executable, "docs/build_docs.py")


@task(help={"seconds": "for each target"})
def fuzz(_: Context, seconds: int = 60) -> None:
    """Fuzz the parsers, longer than the tests do."""
    pytest("tests/fuzz", AEROSTORE_FUZZ_SECONDS=str(seconds))


@task(pre=[build], help={"row": "number of a row, such as P1; or all"})
def prove(_: Context, row: str) -> None:
    """Run the tests of one row of the reliability matrix (docs/reliability.md) alone."""
    sys.path.insert(0, str(ROOT / "tests"))
    from support import matrix

    rows = {found.number: found for found in matrix.rows()}
    if row != "all" and row not in rows:
        sys.exit(f"no row {row!r}; there are {', '.join(rows)}")
    for found in rows.values() if row == "all" else [rows[row]]:
        print(f"{found.number}: {found.guarantee}", flush=True)
        for command, environment in matrix.commands(found, sys.executable):
            run(*command, **environment)


@task(help={"rounds": "how many times longer than in `test`"})
def torture(_: Context, rounds: int = 20) -> None:
    """Kill, damage, interleave and ask at random for much longer than the tests do."""
    pytest(
        "--timeout=0", "tests/concurrency", "tests/crash", "tests/durable", "tests/explore",
        "tests/isolation", "tests/processes", "tests/oracle",
        "tests/unit/test_savepoints.c",
        AEROSTORE_PROGRAM_SECONDS="36000",
        AE_CRASH_THOROUGH="1",
        AE_EXPLORE_MORE="1",
        AE_EXPLORE_RUNS=str(5000 * rounds),
        AE_EXPLORE_SECONDS=str(10 * rounds),
        AE_WATCH_KILLS=str(300 * rounds),
        AE_KILL_ROUNDS=str(500 * rounds),
        AE_BANK_KILLS=str(10 * rounds),
        AE_CROWD_TIMES=str(rounds),
        AE_FLAT_SECONDS=str(30 * rounds),
        AE_HOT_UPDATES=str(500_000 * rounds),
        AE_SAVEPOINT_LOOPS=str(500_000 * rounds),
        AE_SURVIVOR_ROUNDS=str(50 * rounds),
        AE_POWER_STATES=str(750 * rounds),
        AEROSTORE_INTERRUPTS=str(50 * rounds),
        AEROSTORE_DAEMON_KILLS=str(8 * rounds),
        AEROSTORE_TORTURE="1",
        AEROSTORE_HISTORY_SECONDS=str(6 * rounds),
        AEROSTORE_DAMAGE_TRIALS=str(600 * rounds),
        AEROSTORE_ORACLE_QUERIES=str(300 * rounds),
    )
