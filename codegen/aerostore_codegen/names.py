"""Which names a schema may use: words taken by C, C++, Tcl and the doors, and clashes among names.

A column's name becomes a member of a C struct, part of C function names, a word of Tcl option lists
and a Python attribute; a table's name becomes a Tcl command as well.  Nothing that is not a plain
identifier ever reaches a template.
"""

from __future__ import annotations

import re

from .model import Schema, Table

# aero_error has room for 63 bytes of a table's and of a column's name.
NAME_MAX = 63


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

C_WORDS = _words("""
    auto break case char const continue default do double else enum extern float for goto if
    inline int long register restrict return short signed sizeof static struct switch typedef
    union unsigned void volatile while alignas alignof bool complex constexpr false imaginary
    noreturn nullptr static_assert thread_local true typeof typeof_unqual asm fortran linux
    unix i386 errno
""")

CPP_WORDS = _words("""
    and and_eq atomic_cancel atomic_commit atomic_noexcept bitand bitor catch char8_t char16_t
    char32_t class co_await co_return co_yield compl concept consteval constinit const_cast
    decltype delete dynamic_cast explicit export friend mutable namespace new noexcept not
    not_eq operator or or_eq private protected public reflexpr reinterpret_cast requires
    static_cast synchronized template this throw try typeid typename using virtual wchar_t xor
    xor_eq
""")

PYTHON_WORDS = _words("""
    False None True and as assert async await break class continue def del elif else except
    finally for from global if import in is lambda nonlocal not or pass raise return try while
    with yield
""")

# Words that steer a Tcl script: columns may not have these names.
TCL_WORDS = _words("""
    break catch continue else elseif expr for foreach global if namespace proc return set
    switch then throw try unset uplevel upvar variable while
""")

# Commands of Tcl 8.6 and 9, Tk's loader among them: a table must not hide one.
TCL_COMMANDS = TCL_WORDS | _words("""
    error eval rename source after append apply array binary cd chan clock close concat const
    coroutine coroinject coroprobe dict encoding eof exec exit fblocked fconfigure fcopy file
    fileevent flush format fpclassify gets glob history incr info interp join lappend lassign
    ledit lindex linsert list llength load lmap lpop lrange lremove lrepeat lreplace lreverse
    lsearch lseq lset lsort memory my next nextto oo open package pid puts pwd read regexp
    regsub scan seek self socket split string subst tailcall tell time timerate tk tcl tcltest
    trace unknown unload update vwait yield yieldto zipfs zlib auto_execok auto_import
    auto_load auto_mkindex auto_qualify auto_reset bgerror parray tclLog tcl_findLibrary
""")

# Commands in the namespace of every package.
PACKAGE_COMMANDS = _words("""
    init set_config get_config checkpoint_now checkpoint close verify stats transaction
    savepoint rollback_to rollback release begin commit retry tables schema config version
    repair
""")

# What a table's command can do; the verbs are no names for columns either.
TABLE_VERBS = _words("""
    search ingest_tsv ingest_file get set store upsert delete exists incr foreach array_get
    array_get_with_nulls isnull read_tabsep write_tabsep reset watch explain methods fieldtype
""")
TABLE_SUBCOMMANDS = TABLE_VERBS | _words("""
    count names fields type null
""")

# A member of generated structs, and methods of Python's rows.
COLUMN_RESERVED = _words("""
    nulls get keys values items as_tuple
""")

# Prefixes of the engine's own names, and macros of the C headers that generated code includes.
_ENGINE_NAME = re.compile(r"(aero|aei?)(_.*)?", re.IGNORECASE)
_C_MACRO = re.compile(
    r"NULL|EOF|offsetof|u?int(ptr|max|(_least|_fast)?[0-9]+)_t|"
    r"(U?INT(PTR|MAX|(_LEAST|_FAST)?[0-9]+)|PTRDIFF|SIZE|SIG_ATOMIC|WCHAR|WINT)_(MIN|MAX|C|WIDTH)"
)


def check_identifier(name: str) -> tuple[str, str] | None:
    """Judge a name as such: what is wrong with it and what to do, or None."""
    if not _IDENTIFIER.fullmatch(name):
        if name.startswith("_"):
            return "begins with an underscore", "such names are reserved; begin with a letter"
        return "is not a plain name", "use ASCII letters, digits and underscores"
    if len(name) > NAME_MAX:
        return f"is longer than {NAME_MAX} characters", "shorten it"
    if "__" in name or name.endswith("_"):
        return (
            "has two underscores in a row or one at its end",
            "such names are reserved; use single underscores inside",
        )
    return None


def check_c_name(name: str) -> tuple[str, str] | None:
    """Judge a name that becomes a name in C, Tcl and Python."""
    bad = check_identifier(name)
    if bad is not None:
        return bad
    for words, language in ((C_WORDS, "C"), (CPP_WORDS, "C++"), (PYTHON_WORDS, "Python")):
        if name in words:
            return f"is a word of {language}", ""
    if _ENGINE_NAME.fullmatch(name) or _C_MACRO.fullmatch(name):
        return "is reserved for the engine and its headers", ""
    return None


def check_column(name: str) -> tuple[str, str] | None:
    """Judge the name of a column."""
    bad = check_c_name(name)
    if bad is None and name in TCL_WORDS:
        bad = "is a word of Tcl", ""
    if bad is None and name in TABLE_VERBS:
        bad = "is a subcommand of every table", ""
    if bad is None and name in COLUMN_RESERVED:
        bad = "is reserved for generated code and for methods of rows", ""
    if bad is not None and not bad[1]:
        return bad[0], f'rename it; column(aliases=("{name}",)) keeps the old name usable'
    return bad


def check_table(name: str) -> tuple[str, str] | None:
    """Judge the name of a table."""
    bad = check_c_name(name)
    if bad is None and name in TCL_COMMANDS:
        bad = "is a command of Tcl", ""
    if bad is None and name in PACKAGE_COMMANDS:
        bad = "is a command of every package", ""
    if bad is None and name in TABLE_SUBCOMMANDS:
        bad = "is a subcommand of every table", ""
    if bad is not None and not bad[1]:
        return bad[0], f"rename it, for example {name.capitalize()}Row"
    return bad


def check_package(name: str) -> tuple[str, str] | None:
    """Judge the name of a package, which also names files and a Tcl namespace."""
    # The engine's own package is the one that may be called after it.
    bad = check_identifier(name) if name == "aerostore" else check_c_name(name)
    if bad is None and (name in TCL_COMMANDS or name in {"tk", "sqlite3", "tdbc", "thread"}):
        bad = "is a command or package of Tcl", ""
    if bad is not None and not bad[1]:
        return bad[0], "give another one with PACKAGE = \"…\" or --package"
    return bad


def row_struct(package: str, table: Table) -> str:
    """Return the C name of a table's row struct, and the prefix of the accessors in the header."""
    return f"{package}_{table.name}"


def c_names(package: str, table: Table) -> list[tuple[str, str]]:
    """Return every file-scope C name generated for a table, with the column it stems from."""
    name, public = table.name, row_struct(package, table)
    found = [(public, "")]
    found += [(f"{name}_{part}", "") for part in (
        "columns", "cells", "indexes", "hash_key", "same_key", "clear", "decode_tsv",
        "encode_tsv", "dirty", "encode_delta", "apply_delta",
    )]
    for column in table.columns:
        own = f"{name}_{column.name}"
        found += [(f"{own}_{part}", column.name) for part in (
            "get", "set", "compare", "normalize", "equal", "read", "write", "take", "aliases",
            "default",
        )]
        found += [(f"{public}_{part}_{column.name}", column.name) for part in (
            "get", "set", "is_null", "set_null",
        )]
    found += [(f"{name}_index_{number}", "") for number in range(len(table.indexes))]
    return found


def clashes(schema: Schema) -> list[tuple[Table, str, str, str]]:
    """Find generated names that two tables or columns would share.

    Returns:
        For each: the later table, its column ("" for the table itself), the name, and what holds
        the name already.
    """
    owner: dict[str, str] = {}
    found: list[tuple[Table, str, str, str]] = []
    for table in schema.tables:
        reported: set[str] = set()
        for name, column in c_names(schema.package, table):
            holder = f'column "{column}" of table "{table.name}"' if column else (
                f'table "{table.name}"'
            )
            if name not in owner:
                owner[name] = holder
            elif owner[name] != holder and column not in reported:
                reported.add(column)
                found.append((table, column, name, owner[name]))
    return found
