"""Step two: judge the declarations and make the model of them.

All mistakes are collected before the step fails; a column with a mistake stays out of the model,
but its name still counts, so that one mistake causes no second message.
"""

from __future__ import annotations

import re
from pathlib import PurePath

from aerostore._declaration import Location, TableDeclaration

from . import names
from .load import Loaded
from .lower_table import TableLowering
from .model import Schema
from .problems import Problem, SchemaProblems, quoted

TABLES_MAX = 32  # what the engine keeps room for in a segment


def lower(loaded: Loaded, package: str | None = None) -> Schema:
    """Check what was loaded and make the model of it.

    Args:
        loaded: The declarations.
        package: Name of the package; overrides the file's own PACKAGE.

    Raises:
        SchemaProblems: Every mistake that was found.
    """
    problems: list[Problem] = []
    file_name = PurePath(loaded.path).name
    name = _package_name(loaded, package, problems)
    version = _version(loaded, problems)
    tables = [TableLowering(declared, problems).table() for declared in loaded.tables]
    _check_table_names(loaded, problems)
    schema = Schema(name, version, file_name, tuple(table for table in tables if table))
    for table, column, generated, holder in names.clashes(schema):
        subject = f'column "{column}"' if column else f'table "{table.name}"'
        location = next((c.location for c in table.columns if c.name == column), table.location)
        problems.append(Problem(
            location, subject, f"its generated name {generated} is also that of {holder}",
            "rename one of them",
        ))
    if problems:
        raise SchemaProblems(problems)
    return schema


def _package_name(loaded: Loaded, override: str | None, problems: list[Problem]) -> str:
    given = override if override is not None else loaded.package
    location = Location(loaded.path, loaded.package_line if override is None else 0)
    if given is None:
        given = PurePath(loaded.path).stem
    if not isinstance(given, str):
        problems.append(Problem(location, "PACKAGE", f"{quoted(given)} is not text"))
        return ""
    bad = names.check_package(given)
    if bad is not None:
        problems.append(Problem(location, f"package {quoted(given)}", *bad))
    return given


def _version(loaded: Loaded, problems: list[Problem]) -> str:
    given = loaded.version if loaded.version is not None else "1.0"
    if isinstance(given, str) and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9}){0,3}", given):
        return given
    problems.append(Problem(
        Location(loaded.path, loaded.version_line), "VERSION",
        f"{quoted(given)} is not a version", 'write numbers and points, as in "1.0"',
    ))
    return ""


def _check_table_names(loaded: Loaded, problems: list[Problem]) -> None:
    if len(loaded.tables) > TABLES_MAX:
        problems.append(Problem(
            Location(loaded.path, 0), "",
            f"{len(loaded.tables)} tables, at most {TABLES_MAX} can be",
        ))
    seen: dict[str, TableDeclaration] = {}
    for table in loaded.tables:
        other = seen.setdefault(table.name.casefold(), table)
        if other is not table:
            what = "is declared twice" if other.name == table.name else (
                f'differs from table "{other.name}" in case only'
            )
            problems.append(Problem(
                table.location, f'table "{table.name}"',
                f"{what}; the other is at line {other.location.line}", "rename one of them",
            ))
