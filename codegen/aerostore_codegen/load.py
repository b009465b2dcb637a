"""Step one: run a schema file and collect the tables it declares.

A schema file is Python which its owner runs on purpose; it is run in a module of its own that is
forgotten afterwards.  Whatever goes wrong in it is reported with its line.
"""

from __future__ import annotations

import ast
import linecache
import sys
import traceback
import types
from dataclasses import dataclass
from pathlib import Path

from aerostore._declaration import Location, TableDeclaration

from .problems import Problem, SchemaProblems, printable

# A declaration takes some 60 bytes a column; a larger file is not a schema.
FILE_SIZE_MAX = 16 << 20
_MODULE = "_aerostore_schema"


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a schema file holds."""

    path: str  # as given
    package: object  # PACKAGE of the file, or None
    version: object  # VERSION of the file, or None
    package_line: int
    version_line: int
    tables: tuple[TableDeclaration, ...]


def load_schema(path: Path | str) -> Loaded:
    """Run a schema file.

    Raises:
        SchemaProblems: The file cannot be read or run, or declares no table.
    """
    shown = str(path)
    source = _read(shown)
    code, lines = _compile(source, shown)
    module = types.ModuleType(_MODULE)
    module.__file__ = shown
    hidden = sys.modules.get(_MODULE)
    sys.modules[_MODULE] = module
    # The declarations look their own source up by this name, wherever the file came from.
    linecache.cache[shown] = (len(source), None, source.splitlines(keepends=True), shown)
    try:
        exec(code, module.__dict__)  # noqa: S102 (running the file is what this step is for)
    except (Exception, SystemExit) as error:
        raise SchemaProblems([_failure(error, shown)]) from error
    finally:
        del sys.modules[_MODULE]
        if hidden is not None:
            sys.modules[_MODULE] = hidden
        linecache.cache.pop(shown, None)
    return Loaded(
        path=shown,
        package=module.__dict__.get("PACKAGE"),
        version=module.__dict__.get("VERSION"),
        package_line=lines.get("PACKAGE", 1),
        version_line=lines.get("VERSION", 1),
        tables=_tables(module, shown),
    )


def _read(shown: str) -> str:
    try:
        with Path(shown).open("rb") as file:
            data = file.read(FILE_SIZE_MAX + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise _refusal(shown, 0, f"cannot be read: {reason}") from error
    if len(data) > FILE_SIZE_MAX:
        raise _refusal(shown, 0, f"is larger than {FILE_SIZE_MAX:,} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _refusal(shown, line, f"is not UTF-8: {error.reason}", "save it as UTF-8") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise _refusal(shown, line, "holds a NUL character", "remove it")
    return text


def _compile(source: str, shown: str) -> tuple[types.CodeType, dict[str, int]]:
    try:
        tree = ast.parse(source, shown)
        # dont_inherit: this module's own __future__ imports are not the file's.
        code = compile(source, shown, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise _refusal(shown, error.lineno or 1, f"is not valid Python: {error.msg}") from error
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        raise _refusal(shown, 1, f"is not valid Python: {error or 'nested too deeply'}") from error
    lines = {
        target.id: statement.lineno
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    return code, lines


def _failure(error: BaseException, shown: str) -> Problem:
    """Describe an exception of the file's own code at the file's innermost line."""
    line = 1
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename == shown and frame.lineno:
            line = frame.lineno
    try:
        text = str(error)
    except Exception:  # the exception class may be the user's own
        text = ""
    what = f"running it failed: {type(error).__name__}" + (f": {text}" if text else "")
    return Problem(Location(shown, line), "", printable(what)[:500])


def _tables(module: types.ModuleType, shown: str) -> tuple[TableDeclaration, ...]:
    # Tables of this file are in its list; imported ones are found by their classes.
    listed = module.__dict__.get("__speedtables__")
    candidates = list(listed) if isinstance(listed, list) else []
    for value in module.__dict__.values():
        if isinstance(value, type):
            candidates.append(vars(value).get("__speedtable__"))
    found = {id(item): item for item in candidates if isinstance(item, TableDeclaration)}
    if not found:
        raise _refusal(
            shown, 0, "declares no table", "put @speedtable over a class with one column a line"
        )
    return tuple(sorted(found.values(), key=lambda table: table.location.line))


def _refusal(shown: str, line: int, what: str, hint: str = "") -> SchemaProblems:
    return SchemaProblems([Problem(Location(shown, line), "", what, hint)])
