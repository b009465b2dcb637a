"""Build a generated package into a library that Tcl and Python load.

A package is the engine's C, the Tcl door's C and the generated C, compiled together.  The engine
and the Tcl door are data of this compiler: they lie beside it in an installation, or in the
repository.
"""

from __future__ import annotations

import functools
import json
import re
import shutil
import tempfile
from pathlib import Path

from .emit import init_prefix
from .toolchain import BuildError, Unit, compile_units, link, link_program, run
from .write import MANIFEST, refuse_foreign, write_file

__all__ = [
    "BuildError", "build_installed", "build_package", "daemon_dir", "engine_dir", "engine_objects",
    "tcl_dir",
]

_HERE = Path(__file__).resolve().parent
_CHECKOUT = _HERE.parent.parent
DAEMON = "aerostored"


def in_checkout() -> bool:
    """Tell whether this compiler runs from its repository."""
    return (_HERE.parent / "engine").is_dir() and not (_HERE / "_engine").is_dir()


def engine_dir() -> Path:
    """Return the folder of the engine's sources."""
    return _HERE.parent / "engine" if in_checkout() else _HERE / "_engine"


def tcl_dir() -> Path:
    """Return the folder of the Tcl door."""
    return _CHECKOUT / "tcl" if in_checkout() else _HERE / "_tcl"


def daemon_dir() -> Path:
    """Return the folder of the daemon's source."""
    return _HERE.parent / "daemon" if in_checkout() else _HERE / "_daemon"


def build_package(generated: Path, out: Path | None = None, *, variant: str = "release",
                  cache: Path | None = None, engine_cache: Path | None = None,
                  strict: bool | None = None) -> Path:
    """Compile a generated package: its library, and the daemon beside it.

    Args:
        generated: Folder the compiler wrote (it holds MANIFEST.json).
        out: Where the library goes; in a checkout `build/<package>`, or
            `build/<variant>/<package>` for variants other than release.
        variant: release, debug, asan, tsan or coverage.
        cache: Folder for objects; `build/objects` in a checkout, else inside `out`.
        engine_cache: Folder for those that all packages have in common: the engine's, the Tcl
            door's and the daemon's.  By default `cache`.
        strict: Treat warnings as errors; in a checkout by default.

    Returns:
        The library.

    Raises:
        BuildError: No generated package is there, or a tool failed.
    """
    package, version = read_manifest(generated)
    if out is None:
        if not in_checkout():
            raise BuildError("say where the library goes")
        build = _CHECKOUT / "build"
        out = build / package if variant == "release" else build / variant / package
    if cache is None:
        cache = _CHECKOUT / "build" / "objects" if in_checkout() else out / ".objects"
    flags = tcl_flags()
    common, own = _units(generated, package, flags)
    is_strict = in_checkout() if strict is None else strict
    objects = compile_units(common, (engine_cache or cache) / variant, variant, is_strict)
    objects[:-1] += compile_units(own, cache / variant, variant, is_strict)
    out.mkdir(parents=True, exist_ok=True)
    library = out / f"lib{package}.so"
    *objects, daemon = objects
    link(objects, [*(flags[1] if flags else ()), "-lm", "-pthread"], library, variant)
    link_program([daemon], library, out / DAEMON, variant)
    if out.resolve() != generated.resolve():
        for name in (f"{package}.cdef.h", f"{package}.pyi", MANIFEST):
            write_file(out / name, (generated / name).read_text())
    if flags is not None:
        refuse_foreign(out / "pkgIndex.tcl")
        write_file(out / "pkgIndex.tcl", tcl_index(package, version))
    return library


def engine_objects(generated: Path) -> list[Path]:
    """Compile a checkout's engine and package as they are shipped; return the objects.

    For programs that measure the engine's internals: what libraries hide, they can call.
    """
    package, _ = read_manifest(generated)
    common, own = _units(generated, package, None)
    return compile_units([*common[:-1], *own], _CHECKOUT / "build" / "objects" / "release",
                         "release", strict=True)


def build_installed(generated: Path, out: Path) -> Path:
    """Compile the default package into the folder an installed `aerostore` loads it from."""
    with tempfile.TemporaryDirectory() as cache:
        library = build_package(generated, out, cache=Path(cache), strict=False)
    for note in [*out.glob(".*.json"), *out.glob(".*.lock")]:
        note.unlink()
    return library


def read_manifest(generated: Path) -> tuple[str, str]:
    """Return name and version of a generated package.

    Raises:
        BuildError: The folder holds none.
    """
    try:
        content = json.loads((generated / MANIFEST).read_text())
        package, version = content["package"], content["version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BuildError(f"{generated} holds no generated package: {error}") from error
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", str(package)):
        raise BuildError(f"{generated / MANIFEST} names no package")
    return str(package), str(version)


@functools.cache
def tcl_flags() -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Find Tcl's headers and stub library: compile and link flags, or None where Tcl is missing."""
    for config in _tcl_configs():
        text = config.read_text(errors="replace")
        found = dict(re.findall(r"^(TCL_[A-Z_]+)='([^']*)'", text, re.MULTILINE))
        include, stub = found.get("TCL_INCLUDE_SPEC"), found.get("TCL_STUB_LIB_SPEC")
        if include and stub:
            header = Path(include.removeprefix("-I")) / "tcl.h"
            if header.is_file():
                return (include, "-DUSE_TCL_STUBS"), tuple(stub.split())
    return None


def _tcl_configs() -> list[Path]:
    """Return candidates for tclConfig.sh, the one of the tclsh on PATH first."""
    places: list[Path] = []
    if shutil.which("tclsh"):
        with tempfile.NamedTemporaryFile("w", suffix=".tcl") as script:
            script.write("puts [file join [tcl::pkgconfig get libdir,runtime] tclConfig.sh]\n")
            script.flush()
            try:
                places.append(Path(run(["tclsh", script.name]).strip()))
            except BuildError:  # a broken tclsh is no better than none
                places.clear()
    for pattern in ("*/tcl*/tclConfig.sh", "tcl*/tclConfig.sh", "tclConfig.sh"):
        for root in ("/usr/lib", "/usr/local/lib", "/usr/lib64", "/opt/homebrew/lib"):
            places += sorted(Path(root).glob(pattern), reverse=True)
    return [place for place in places if place.is_file()]


def _units(
    generated: Path, package: str, tcl: tuple[tuple[str, ...], tuple[str, ...]] | None
) -> tuple[list[Unit], list[Unit]]:
    """Return what all packages have in common, the daemon last, and what is this one's own."""
    engine, door = engine_dir(), tcl_dir() / "generic"
    # Assertions name their file; they should not tell where this machine keeps it.
    base = (
        f"-I{engine / 'include'}", f"-I{engine}",
        f"-fmacro-prefix-map={engine}=engine", f"-fmacro-prefix-map={door}=tcl",
    )
    common = [
        Unit(source, f"engine/{source.relative_to(engine).with_suffix('')}", base)
        for source in sorted(engine.rglob("*.c"))
    ]
    # -iquote: a package may have the name of a system header, which must stay reachable.
    beside = (*base, f"-iquote{generated}")
    own: list[Unit] = []
    for source in sorted(generated.glob("*.c")):
        name = f"{package}/{source.stem}"
        if not source.name.endswith("_tcl.c"):
            own.append(Unit(source, name, beside))
        elif tcl is not None:
            own.append(Unit(source, name, (*beside, f"-I{door}", *tcl[0])))
    if tcl is not None:
        flags = (*base, f"-I{door}", *tcl[0])
        common += [
            Unit(source, f"tcl/{source.stem}", flags) for source in sorted(door.glob("*.c"))
        ]
    source = daemon_dir() / f"{DAEMON}.c"
    return [*common, Unit(source, f"daemon/{DAEMON}", base)], own


def tcl_index(package: str, version: str) -> str:
    """Return the text of a package's pkgIndex.tcl."""
    return (
        "# How `package require` finds this package; written by aerostore-compile.\n"
        "if {![package vsatisfies [package provide Tcl] 8.6-]} {return}\n"
        f"package ifneeded {package} {version} "
        f"[list load [file join $dir lib{package}.so] {init_prefix(package)}]\n"
    )
