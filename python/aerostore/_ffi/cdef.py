"""Make cffi declarations out of the engine's public headers.

The headers are the only statement of the C interface; this reads them instead of repeating them.
They keep to what cffi can parse (typedefs, enums, structs, prototypes, integer macros), so all that
is left is to drop preprocessor lines and to expand the list of errors inside its enum.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from aerostore.errors import SchemaError

_HEADERS = ("aerostore.h", "descriptor.h")
_INTEGER_MACRO = re.compile(r"#define \w+ \d+\s*$")
_ERROR_LINE = re.compile(r"^AERO_ERROR\((\w+), (\d+),", re.MULTILINE)


def include_dir() -> Path:
    """Return the folder of the engine's public headers: installed, or in a checkout."""
    places = []
    # find_spec does not import the compiler, which would cost a template engine at each start.
    spec = importlib.util.find_spec("aerostore_codegen")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        places += [Path(location) / "_engine", Path(location).parent / "engine"]
    places.append(Path(__file__).resolve().parents[3] / "codegen" / "engine")
    for place in places:
        include = place / "include" / "aerostore"
        if (include / _HEADERS[0]).is_file():
            return include
    looked = ", ".join(str(place) for place in places)
    raise SchemaError(f"the engine's headers are not installed (looked in {looked})")


def engine_declarations(include: Path) -> str:
    """Return cffi declarations of the engine's C interface."""
    errors = (include / "errors.def").read_text(encoding="utf-8")
    codes = "".join(f"AERO_{name} = {number},\n" for name, number in _ERROR_LINE.findall(errors))
    lines = []
    for header in _HEADERS:
        for line in (include / header).read_text(encoding="utf-8").splitlines():
            if line.startswith('#include "aerostore/errors.def"'):
                lines.append(codes)
            elif not line.startswith("#") or _INTEGER_MACRO.match(line):
                lines.append(line)
    return "\n".join(lines)


def row_declarations(text: str) -> str:
    """Return a package's row structs (its .cdef.h file) without preprocessor lines."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("#"))
