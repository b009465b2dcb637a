"""The commands: compile a user's schema, and regenerate what the repository keeps checked in."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from .build import BuildError, build_package, in_checkout, tcl_flags
from .bundle import write_bundle
from .emit import emit
from .load import load_schema
from .lower import lower
from .problems import SchemaProblems
from .write import ForeignFileError, differing, write_files

_CHECKOUT = Path(__file__).resolve().parents[2]


def compile_command(
    schema: Annotated[Path, typer.Argument(help="Python file with the declarations.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write to.")],
    package: Annotated[
        str | None, typer.Option("--package", help="Name of the package; else the file's own.")
    ] = None,
    bundle: Annotated[
        bool, typer.Option("--bundle", help="Write C, engine and a Makefile; build nothing.")
    ] = False,
    variant: Annotated[str, typer.Option(help="release, debug, asan, tsan or coverage.")] = (
        "release"
    ),
) -> None:
    """Turn a schema file into a package for Tcl and Python; prints the library it made.

    The folder then holds the library, pkgIndex.tcl for `package require`, and what
    `aerostore.open(dir, package=folder)` reads.
    """
    try:
        made = compile_schema(schema, output, package=package, bundle=bundle, variant=variant)
    except (SchemaProblems, BuildError, ForeignFileError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    except OSError as error:
        typer.echo(f"{error.filename or output}: {error.strerror}", err=True)
        raise typer.Exit(1) from error
    typer.echo(made)
    if not bundle and tcl_flags() is None:
        typer.echo(
            "note: Tcl's headers were not found (Debian: tcl-dev); the package serves Python and C",
            err=True,
        )


def compile_schema(
    schema: Path,
    output: Path,
    *,
    package: str | None = None,
    bundle: bool = False,
    variant: str = "release",
) -> Path:
    """Compile a schema file into a folder.

    $AEROSTORE_OBJECTS may name a folder for the objects that all packages have in common; who
    compiles many schemas then compiles the engine once.

    Args:
        schema: The file with the declarations.
        output: Folder to write to; nothing is written elsewhere.
        package: Name of the package; overrides the file's PACKAGE.
        bundle: Write sources and a Makefile instead of building.
        variant: How to build.

    Returns:
        The library, or the Makefile of a bundle.

    Raises:
        SchemaProblems: The declarations are wrong; nothing was written.
        BuildError: The C compiler is missing or refused.
        ForeignFileError: A file of somebody else is in the way.
    """
    model = lower(load_schema(schema), package)
    files = emit(model)
    if bundle:
        return write_bundle(output, model.package, model.version, files)
    write_files(output, files)
    shared = os.environ.get("AEROSTORE_OBJECTS")
    return build_package(output, output, variant=variant, cache=output / ".objects",
                         engine_cache=Path(shared).absolute() if shared else None)


def regenerate(check: bool = False) -> bool:
    """Write generated/ anew from schemas/.

    Args:
        check: Only compare; report what differs.

    Returns:
        True when generated/ was (or, without `check`, now is) what the compiler emits.

    Raises:
        SchemaProblems: A schema is wrong.
        BuildError: This is not a checkout.
    """
    if not in_checkout():
        raise BuildError("generated/ exists in the repository only")
    fresh = True
    wanted: set[str] = set()
    for schema in sorted((_CHECKOUT / "schemas").glob("*.py")):
        model = lower(load_schema(schema))
        folder = _CHECKOUT / "generated" / model.package
        wanted.add(model.package)
        files = emit(model)
        if check:
            for name in differing(folder, files):
                fresh = False
                print(f"generated/{model.package}/{name} is not what {schema.name} gives")
        else:
            for name in write_files(folder, files):
                print(f"generated/{model.package}/{name}")
    for folder in sorted((_CHECKOUT / "generated").iterdir()):
        if folder.is_dir() and folder.name not in wanted:
            fresh = False
            print(f"generated/{folder.name} belongs to no schema; delete it")
    return fresh


def regenerate_command(
    check: Annotated[bool, typer.Option("--check", help="Only compare; exit 1 if stale.")] = False,
) -> None:
    """Write generated/ anew from schemas/ (in a checkout)."""
    try:
        fresh = regenerate(check)
    except (SchemaProblems, BuildError, ForeignFileError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    if not fresh:
        raise typer.Exit(1)


def build_command(
    generated: Annotated[Path, typer.Argument(help="Folder that was generated.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder for the library.")]
    = None,
    variant: Annotated[str, typer.Option(help="release, debug, asan, tsan or coverage.")] = (
        "release"
    ),
) -> None:
    """Build a generated package (in a checkout: into build/)."""
    try:
        typer.echo(str(build_package(generated, output, variant=variant)))
    except BuildError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


def main() -> None:
    """Run `aerostore-compile`."""
    app = typer.Typer(
        help="The schema compiler of Aerostore.", no_args_is_help=True, add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.command("compile")(compile_command)
    app.command("build")(build_command)
    app.command("regen")(regenerate_command)
    app(prog_name=Path(sys.argv[0]).name)
