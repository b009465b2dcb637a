"""Everything public is documented: C functions, error codes, Tcl commands, Python names."""

import dataclasses
import inspect
import re

import aerostore
from support.paths import ENGINE, ROOT

HEADER = ENGINE / "include" / "aerostore" / "aerostore.h"
ERRORS = ENGINE / "include" / "aerostore" / "errors.def"


def declared_errors() -> list[tuple[str, int, int, str]]:
    entry = re.compile(r'^AERO_ERROR\((\w+), (\d+), ([01]), (\w+), "[^"]+"\)$', re.M)
    return [(name, int(number), int(retryable), class_name)
            for name, number, retryable, class_name in entry.findall(ERRORS.read_text())]


def test_error_numbers_are_the_published_ones():
    """errors.def agrees with the golden list: numbers never change and are never used again."""
    lines = (ROOT / "tests" / "tidy" / "error_codes.txt").read_text().splitlines()
    golden = {name: int(number) for name, number in
              (line.split() for line in lines if not line.startswith("#"))}
    declared = {name: number for name, number, _, _ in declared_errors()}
    assert declared == golden, "new errors are added to error_codes.txt too"
    assert len(set(declared.values())) == len(declared)


def test_every_error_has_its_python_class():
    """Each class of errors.def exists, is public, and knows its code and whether to retry."""
    for name, number, retryable, class_name in declared_errors():
        found = getattr(aerostore, class_name)
        assert class_name in aerostore.__all__, class_name
        assert issubclass(found, aerostore.Error)
        assert found is not aerostore.Error, name
        assert found.code in (number, name), name
        assert bool(found.retryable) == bool(retryable), name


def test_c_functions_have_a_contract():
    """In aerostore.h each function stands in a block (no blank line) that begins with a comment."""
    bare = []
    for block in re.split(r"\n\s*\n", HEADER.read_text()):
        text = re.sub(r"/\*.*?\*/", "/**/", block, flags=re.S)
        for found in re.finditer(r"^(?!typedef)[\w \*]*?\b(aero_\w+)\([^;{]*\);", text, re.M):
            if "/**/" not in text[: found.start()]:
                bare.append(found[1])
    assert not bare, bare


def test_python_names_have_docstrings():
    """Each name of `aerostore.__all__`, and each public method of its classes, has a docstring."""
    bare = []
    for name in aerostore.__all__:
        value = getattr(aerostore, name)
        if not (inspect.isclass(value) or callable(value)):
            continue
        if not inspect.getdoc(value):
            bare.append(name)
        if inspect.isclass(value):
            bare += [f"{name}.{method}" for method, body in vars(value).items()
                     if not method.startswith("_") and callable(body) and not inspect.getdoc(body)]
    assert not bare, bare


def test_python_fields_are_told():
    """Each field of a public dataclass is named in its docstring, or explained where it stands."""
    bare = []
    for name in aerostore.__all__:
        value = getattr(aerostore, name)
        if inspect.isclass(value) and dataclasses.is_dataclass(value):
            bare += [f"{name}.{field.name}" for field in dataclasses.fields(value)
                     if not re.search(rf"\b{field.name}\b", inspect.getdoc(value) or "")
                     and not field.metadata and field.name != "other"]
    assert not bare, bare


def test_python_names_are_on_their_page():
    """The site's page has each public name; errors have a page of their own, from errors.def."""
    page = (ROOT / "docs" / "python.md").read_text()
    names = [name for name in aerostore.__all__
             if not (inspect.isclass(value := getattr(aerostore, name))
                     and issubclass(value, aerostore.Error))]
    missing = [name for name in names if not re.search(rf"\baerostore\.(\w+\.)?{name}\b", page)]
    assert not missing, missing


def test_tcl_commands_are_in_the_man_page(tclsh):
    """Each exported command and each subcommand of a table has an entry in the man page."""
    answer = tclsh("""
        package require aerostore
        foreach command [lsort [info commands ::aerostore::*]] {
            set name [namespace tail $command]
            if {[regexp {^[a-z][a-z_]*$} $name]} { puts "command $name" }
        }
        aerostore::init data
        catch { FlightState no-such-subcommand } message
        puts "subcommands $message"
    """)
    commands = re.findall(r"^command (\w+)$", answer, re.M)
    listed = re.search(r"^subcommands .*expected one of: ([\w, ]*)", answer, re.M)
    assert listed, answer
    subcommands = re.findall(r"\w+", listed[1])
    pages = [path.read_text() for path in sorted((ROOT / "tcl" / "doc").glob("aerostore.*"))]
    page = re.sub(r"\\f[BIPR]", " ", "\n".join(pages)).replace("\\-", "-")
    missing = [name for name in [*commands, *subcommands]
               if not re.search(rf"\b{name}\b", page)]
    assert commands
    assert not missing, missing


def test_readme_maps_every_folder():
    """README.md names each top-level folder and both commands that do everything."""
    text = (ROOT / "README.md").read_text()
    for name in ("codegen/", "docs/", "generated/", "python/", "schemas/", "tcl/", "tests/",
                 "tests_tcl/", "python3 tasks.py demo", "python3 tasks.py test"):
        assert name in text, name
