"""What a schema file says, recorded as it stands, with the places it was written at.

Nothing is judged here: a mistake becomes part of the record, for the compiler to report.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import linecache
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar


class ColumnType:
    """A type of column; its subclasses are used as annotations only."""

    kind: ClassVar[str] = ""
    is_key: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a schema file; line 0 means that it is not known."""

    file: str
    line: int


@dataclass(frozen=True, slots=True)
class ColumnOptions:
    """What ``column()`` was called with."""

    given: Mapping[str, object]
    positional: int  # arguments without a name, which are mistakes
    location: Location


@dataclass(frozen=True, slots=True)
class IndexDeclaration:
    """An index over several columns."""

    columns: tuple[object, ...]
    unique: bool
    location: Location


@dataclass(frozen=True, slots=True)
class ColumnDeclaration:
    """One annotated name of a table class, as written."""

    name: str
    location: Location
    doc: str
    kind: str  # name of a storage kind, or "" when the annotation is not a column type
    annotation: str  # what was written, for messages
    nullable: bool
    is_key_type: bool
    options: ColumnOptions | None
    problem: str  # what is wrong with the annotation or the value, or ""


@dataclass(frozen=True, slots=True)
class TableDeclaration:
    """One class under ``@speedtable``, as written."""

    name: str
    location: Location
    doc: str
    columns: tuple[ColumnDeclaration, ...]
    options: Mapping[str, object]
    positional: int
    strays: tuple[tuple[str, Location], ...]  # names of the class that are not columns
    bases: tuple[str, ...]
    module: str


def declare(
    declared: type, decorator: Location, options: Mapping[str, object], positional: int
) -> None:
    """Attach a TableDeclaration to a class."""
    written = _find_class(decorator, declared.__name__)
    body = written.body if written is not None else []
    columns: list[ColumnDeclaration] = []
    doc_of = _docs(body)
    annotated = [
        (statement.target.id, statement.lineno)
        for statement in body
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
    ]
    # What stands in an `if`, or in a class made at run time, is known by its annotation only.
    known = {_inner(declared, name) for name, _ in annotated}
    annotated += [
        (name, decorator.line) for name in inspect.get_annotations(declared) if name not in known
    ]
    for name, line in annotated:
        location = Location(decorator.file, line)
        columns.append(_column(declared, name, location, doc_of.get((name, line), "")))
    names = {_inner(declared, name) for name, _ in annotated}
    lines = {
        target.id: statement.lineno
        for statement in body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    strays = tuple(
        (name, Location(decorator.file, lines.get(name, decorator.line)))
        for name in vars(declared)
        if name not in names and not (name.startswith("__") and name.endswith("__"))
    )
    line = written.lineno if written is not None else decorator.line
    declaration = TableDeclaration(
        name=declared.__name__,
        location=Location(decorator.file, line),
        doc=inspect.cleandoc(declared.__doc__) if isinstance(declared.__doc__, str) else "",
        columns=tuple(columns),
        options=types.MappingProxyType(dict(options)),
        positional=positional,
        strays=strays,
        bases=tuple(base.__name__ for base in declared.__bases__ if base is not object),
        module=declared.__module__,
    )
    declared.__speedtable__ = declaration  # type: ignore[attr-defined]
    home = sys.modules.get(declared.__module__)
    if home is not None:  # a second class of one name hides the first: the list keeps both
        vars(home).setdefault("__speedtables__", []).append(declaration)


def _inner(declared: type, name: str) -> str:
    # Python keeps a class's private name, __x, as _Class__x.
    bare = declared.__name__.lstrip("_")
    private = bare and name.startswith("__") and not name.endswith("__")
    return f"_{bare}{name}" if private else name


def _find_class(decorator: Location, name: str) -> ast.ClassDef | None:
    """Find the class statement below a decorator's line."""
    source = "".join(linecache.getlines(decorator.file))
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == name:
            first = min([node.lineno, *(item.lineno for item in node.decorator_list)])
            if first <= decorator.line <= node.lineno:
                return node
    return None


def _docs(body: Sequence[ast.stmt]) -> dict[tuple[str, int], str]:
    """Collect the strings that stand directly below a column."""
    found: dict[tuple[str, int], str] = {}
    for statement, following in itertools.pairwise(body):
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        value = following.value if isinstance(following, ast.Expr) else None
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            found[statement.target.id, statement.lineno] = inspect.cleandoc(value.value)
    return found


def _column(declared: type, name: str, location: Location, doc: str) -> ColumnDeclaration:
    """Record one column; a mistake becomes the declaration's `problem`."""
    annotation = declared.__annotations__.get(_inner(declared, name))
    written = annotation if isinstance(annotation, str) else _spell(annotation)
    problem = ""
    if isinstance(annotation, str):
        scope = vars(sys.modules[declared.__module__]) if declared.__module__ in sys.modules else {}
        try:
            annotation = eval(annotation, dict(scope))  # noqa: S307 (as typing does)
        except Exception as error:  # the text is the user's own code: anything may come of it
            problem, annotation = f'type "{annotation}" cannot be read: {error}', None
    kind, nullable, is_key = _read_annotation(annotation)
    if not kind and not problem:
        problem = f'"{written}" is not a column type'
    value = vars(declared).get(_inner(declared, name))
    if value is not None and not isinstance(value, ColumnOptions) and not problem:
        problem = "is given a value; write column(default=…)"
    options = value if isinstance(value, ColumnOptions) else None
    return ColumnDeclaration(
        name, location, doc, kind, written, nullable, is_key, options, problem
    )


def _spell(annotation: object) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _read_annotation(annotation: object) -> tuple[str, bool, bool]:
    """Split an annotation into kind, nullable, key; kind is "" when it is no column type."""
    nullable = False
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        parts = typing.get_args(annotation)
        nullable = type(None) in parts
        parts = tuple(part for part in parts if part is not type(None))
        annotation = parts[0] if len(parts) == 1 else None
    if isinstance(annotation, type) and issubclass(annotation, ColumnType):
        return annotation.kind, nullable, annotation.is_key
    return "", nullable, False
