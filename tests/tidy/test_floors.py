"""The engine's floors: a module includes, and calls, strictly lower floors only.

Read from the sources by their #include lines, and from the objects by the symbols they need.
"""

import re
import subprocess
from pathlib import Path

import pytest

from support import cbuild, tree
from support.paths import ENGINE, GENERATED, ROOT

FLOORS = {
    "base": 0,
    "shm": 1,
    "proc": 2,
    "row": 3, "wal": 3,
    "index": 4,
    "txn": 5,
    "table": 6,
    "query": 7, "durable": 7, "ingest": 7, "watch": 7, "ttl": 7,
    "api": 8,
}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
PUBLIC = "aerostore/"
# The one thing the engine asks of generated code by name; everything else comes by descriptor.
FROM_GENERATED = {"aero_schema"}


def module_of(path: Path) -> str:
    return path.relative_to(ENGINE).parts[0]


def modules() -> list[Path]:
    return [path for path in tree.engine_files(".c", ".h") if module_of(path) != "include"]


def test_every_module_has_a_floor():
    """Each folder of the engine is listed above, so that no module escapes the other tests."""
    assert {module_of(path) for path in modules()} <= set(FLOORS)


def test_modules_include_strictly_lower_floors_only():
    """Each quoted #include names the public headers, the own module, or a lower floor's."""
    wrong = []
    for path in modules():
        own = module_of(path)
        for name in INCLUDE.findall(path.read_text()):
            if name.startswith(PUBLIC) or (ENGINE / own / name).exists():
                continue
            other = name.split("/")[0]
            if other not in FLOORS or not (ENGINE / name).exists():
                wrong.append(f"{path.relative_to(ROOT)} includes {name}, which is nowhere")
            elif other != own and FLOORS[other] >= FLOORS[own]:
                wrong.append(f"{path.relative_to(ROOT)} (floor {FLOORS[own]}) includes {name} "
                             f"(floor {FLOORS[other]})")
            elif other != own and name.endswith("_private.h"):
                wrong.append(f"{path.relative_to(ROOT)} includes the private {name}")
    assert not wrong, "\n".join(wrong)


def test_public_headers_include_public_headers_only():
    """Users get include/ alone, so nothing in it may need the rest."""
    wrong = [f"{path.name} includes {name}" for path in (ENGINE / "include").rglob("*.h")
             for name in INCLUDE.findall(path.read_text()) if not name.startswith(PUBLIC)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("folder", ["tcl", "generated"])
def test_doors_and_generated_code_know_public_headers_only(folder):
    """The glue and generated code see the engine through include/aerostore/ alone."""
    wrong = []
    for path in tree.c_files():
        if not path.is_relative_to(ROOT / folder):
            continue
        beside = {other.name for other in path.parent.glob("*.h")} | {"aerotcl.h"}
        for name in INCLUDE.findall(path.read_text()):
            if not name.startswith(PUBLIC) and name not in beside:
                wrong.append(f"{path.relative_to(ROOT)} includes {name}")
    assert not wrong, "\n".join(wrong)


def symbols(path: Path, *options: str) -> set[str]:
    listing = subprocess.run(["nm", "-P", *options, path], capture_output=True, text=True,
                             check=True)
    return {line.split()[0] for line in listing.stdout.splitlines() if line.split()}


def test_modules_call_their_own_or_lower_floors_only():
    """What an object needs is defined on a lower floor or in its module: nothing calls upwards."""
    includes = (ENGINE / "include", ENGINE)
    needs: dict[Path, set[str]] = {}
    owner: dict[str, str] = {}
    for source in tree.engine_files(".c"):
        output = cbuild.object_file(source, "plain", includes)
        needs[source] = symbols(output, "--undefined-only")
        for name in symbols(output, "--defined-only", "--extern-only"):
            owner[name] = module_of(source)
    wrong = []
    for source, names in needs.items():
        own = module_of(source)
        for name in sorted(names):
            other = owner.get(name)
            if other is None and name.startswith(("ae_", "aero_", "aei_")):
                if name not in FROM_GENERATED:
                    wrong.append(f"{source.relative_to(ROOT)} needs {name}, defined nowhere")
            elif other is not None and other != own and FLOORS[other] >= FLOORS[own]:
                wrong.append(f"{source.relative_to(ROOT)} calls {name} of {other}")
            elif other is not None and other != own and name.startswith("aei_"):
                wrong.append(f"{source.relative_to(ROOT)} calls {name}, private to {other}")
    assert not wrong, "\n".join(wrong)


def test_generated_code_calls_row_and_base_only():
    """Generated C needs nothing of the engine beyond what gen.h and aerostore.h declare."""
    declared = "".join((ENGINE / "include" / "aerostore" / name).read_text()
                       for name in ("gen.h", "aerostore.h"))
    wrong = []
    for package in sorted(GENERATED.iterdir()):
        includes = (ENGINE / "include", ENGINE, package)
        for source in sorted(package.glob("*.c")):
            if source.stem.endswith("_tcl"):
                continue  # needs tcl.h; its few lines are seen by the include test
            output = cbuild.object_file(source, "plain", includes)
            wrong += [f"{source.name} needs {name}"
                      for name in symbols(output, "--undefined-only")
                      if name.startswith(("ae_", "aero_")) and f"{name}(" not in declared]
    assert not wrong, "\n".join(wrong)
