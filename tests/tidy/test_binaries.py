"""What the shared libraries show to the outside, and how they are protected: read with binutils."""

import re
import subprocess
from pathlib import Path

import pytest

from support.libraries import library
from support.paths import ENGINE

PACKAGES = ["aerostore", "market"]


def output_of(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def dynamic_symbols(path: Path, option: str) -> set[str]:
    listing = output_of("nm", "-D", "-P", option, path)
    return {line.split()[0].split("@")[0] for line in listing.splitlines()}


@pytest.mark.parametrize("package", PACKAGES)
def test_only_the_api_is_exported(package):
    """Exported are exactly the functions of aerostore.h and the entry points of Tcl's `load`."""
    header = (ENGINE / "include" / "aerostore" / "aerostore.h").read_text()
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
    declared = set(re.findall(r"^(?!typedef)[\w \*]*?\b(aero_\w+)\([^;{]*\);", text, re.M))
    name = package.capitalize()
    entries = {f"{name}_Init", f"{name}_SafeInit", f"{name}_Unload"}
    exported = dynamic_symbols(library(package), "--defined-only")
    exported -= {"_init", "_fini"}
    assert exported == declared | entries


@pytest.mark.parametrize("package", PACKAGES)
def test_no_symbol_of_tcl_or_python_is_needed(package):
    """The library loads where there is no libtcl and no libpython: Tcl comes by its stubs table."""
    needed = dynamic_symbols(library(package), "--undefined-only")
    assert not {name for name in needed if re.match(r"_?(Tcl|Tk|Py)[_A-Z]", name)}
    libraries = re.findall(r"NEEDED.*\[(.*)\]", output_of("readelf", "-dW", library(package)))
    assert {re.sub(r"\.so.*", "", name) for name in libraries} <= {
        "libc", "libm", "ld-linux-x86-64"}


@pytest.mark.parametrize("package", PACKAGES)
def test_hardening_is_on(package):
    """Relocations are read-only and bound at load, no page is writable and executable, the stack
    is guarded and the fortified forms of libc are used (hostile world, 36).
    """
    path = library(package)
    headers = output_of("readelf", "-lW", path)
    assert "GNU_RELRO" in headers
    assert re.search(r"GNU_STACK.* RW\s", headers)
    assert not re.search(r"^\s+LOAD.* RWE\s", headers, re.M)
    assert re.search(r"FLAGS.*(BIND_NOW|NOW)", output_of("readelf", "-dW", path))
    assert "TEXTREL" not in output_of("readelf", "-dW", path)
    needed = dynamic_symbols(path, "--undefined-only")
    assert "__stack_chk_fail" in needed
    assert {name for name in needed if name.endswith("_chk")}
