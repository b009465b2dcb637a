"""The generated text: compiles everywhere without a warning, is the same everywhere, is kept."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from aerostore_codegen.build import engine_dir
from aerostore_codegen.cli import regenerate
from aerostore_codegen.emit import emit
from aerostore_codegen.escape import c_comment, c_string
from aerostore_codegen.load import load_schema
from aerostore_codegen.lower import lower
from aerostore_codegen.write import write_files
from support.paths import ROOT

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "fleet"
FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wconversion", "-Wshadow",
         "-Wstrict-prototypes", "-Wvla", "-Wformat=2", "-Werror", "-trigraphs"]
# What has broken generators: ends of literals and comments, trigraphs, splices, controls.
HOSTILE = ['"', "\\", "\\\\", "??/", "??=", "???/", "*/", "/*", "*/ int x; /*", "%s%n", "\n",
           "\\\n",
           "\r\n", "\0", "\x7f", "\x1b[2J", "\t", "é", "日本", "\u202e\u2066", "\U0001f600",
           "a" * 300,
           "'); exit(1); /*", "$x [exit] {", "{{ 7 * 7 }}", "{% raw %}", "#include <x>", "\\u0041",
           "12", "7" * 20, "//", "\\x41F", "??/\n"]


def compiles(files: dict[str, str], folder: Path, package: str) -> None:
    write_files(folder, files)
    (folder / "user.c").write_text(f'#include "{package}.h"\n')
    for compiler in ("gcc", "clang"):
        for name in (f"{package}.c", "user.c"):
            done = subprocess.run(
                [compiler, *FLAGS, "-fsyntax-only", f"-I{engine_dir() / 'include'}",
                 f"-iquote{folder}", str(folder / name)],
                capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr[:3000]


def test_hostile_texts_stay_inside_their_literals(compile_text, tmp_path):
    """Goal: no text of a schema becomes C.  Method: hostile docs and defaults, both compilers."""
    lines = ["@speedtable", "class T:", f"    {'*/ ??/ ' + HOSTILE[8]!a}", "    k: Key"]
    for at, text in enumerate(HOSTILE):
        lines.append(f"    c{at}: Text = column(default={text!a}, doc={text!a})")
        given = f"default={text.encode()!a}, doc={text * 9!a}"
        lines.append(f"    b{at}: Bytes | None = column({given})")
    schema = compile_text("\n".join(lines) + "\n")
    files = emit(schema)
    compiles(files, tmp_path / "out", "fleet")
    for name, text in files.items():
        assert text.isascii() or name.endswith((".h", ".c")), name
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text), name
    compile(files["fleet.pyi"], "fleet.pyi", "exec")


@pytest.mark.parametrize("text", HOSTILE)
def test_c_literal_is_read_back_to_the_byte(text, tmp_path):
    """Goal: escapes are right.  Method: compile and run a program that prints the literal."""
    source = tmp_path / "print.c"
    source.write_text(
        "#include <stdio.h>\n"
        f"static const char text[] = {c_string(text)} \"1\";\n"
        "int main(void) { return fwrite(text, 1, sizeof text - 2, stdout) != sizeof text - 2; }\n")
    program = tmp_path / "print"
    subprocess.run(["gcc", "-std=c11", "-trigraphs", "-Wall", "-Werror", str(source), "-o",
                    str(program)], check=True)
    assert subprocess.run([program], capture_output=True, check=True).stdout == text.encode()


@pytest.mark.parametrize("text", [*HOSTILE, "x *", "/", "*", "word " * 60, "*" * 200, "?" * 50])
def test_c_comment_is_one_comment(text):
    """Goal: a doc cannot leave its comment.  Method: look for ends and starts inside."""
    lines = c_comment(text, 60, "/* ", " * ")
    whole = "\n".join(lines)
    assert whole.startswith("/*")
    assert whole.endswith("*/")
    assert whole.count("*/") == 1
    assert whole.count("/*") == 1
    assert "??" not in whole
    assert all(len(line) <= 60 for line in lines)


def test_most_columns_and_longest_names_compile(compile_text, tmp_path):
    """Goal: the limits themselves work.  Method: 1,024 nullable columns; names of 63 letters."""
    kinds = ["Int8", "Float64", "Text", "Mac", "Inet", "Char", "UInt16", "Bool"]
    columns = "".join(f"    c{at}: {kinds[at % 8]} | None\n" for at in range(1023))
    schema = compile_text("@speedtable\nclass T:\n    k: Key\n" + columns)
    compiles(emit(schema), tmp_path / "wide", "fleet")
    name = "n" * 63
    schema = compile_text(
        f"@speedtable(indexes=[('{name}', 'k')])\nclass {'T' * 63}:\n    k: Key\n"
        f"    {name}: Text | None = column(indexed=True, aliases=('{'a' * 63}',))\n", "p" * 63)
    compiles(emit(schema), tmp_path / "long", "p" * 63)


def test_one_column_is_enough(compile_text, tmp_path):
    """Goal: the smallest table.  Method: a key alone, of each kind of struct."""
    for at, kind in enumerate(("Key", "Int8 = column(key=True)", "Mac = column(key=True)")):
        schema = compile_text(f"@speedtable\nclass T:\n    k: {kind}\n")
        compiles(emit(schema), tmp_path / str(at), "fleet")


def test_package_named_like_a_system_header_compiles(compile_text, tmp_path):
    """Goal: P.h does not hide <P.h>.  Method: packages stdint, stddef, wchar."""
    for package in ("stdint", "stddef", "wchar"):
        schema = compile_text("@speedtable\nclass T:\n    k: Key\n", package)
        compiles(emit(schema), tmp_path / package, package)


def test_macros_of_the_headers_are_refused_or_harmless(compile_text, tmp_path):
    """Goal: no column name is eaten by a macro.  Method: every object-like macro there is."""
    source = tmp_path / "all.c"
    source.write_text('#include "aerostore/gen_row.h"\n')
    words = set()
    for compiler in ("gcc", "clang"):
        done = subprocess.run(
            [compiler, "-std=c11", "-D_GNU_SOURCE", "-dM", "-E", f"-I{engine_dir() / 'include'}",
             str(source)], capture_output=True, text=True, check=True)
        words |= set(re.findall(r"^#define ([A-Za-z][A-Za-z0-9_]*) \S", done.stdout, re.MULTILINE))
    from aerostore_codegen.names import check_column

    fine = sorted({word for word in words if check_column(word) is None})
    seen: dict[str, str] = {}
    fine = [seen.setdefault(word.casefold(), word) for word in fine
            if word.casefold() not in seen and word.casefold() != "k"]
    columns = "".join(f"    {word}: Int8\n" for word in fine[:1000])
    schema = compile_text("@speedtable\nclass T:\n    k: Key\n" + columns)
    compiles(emit(schema), tmp_path / "out", "fleet")


def test_output_is_the_same_in_any_surroundings(tmp_path):
    """Goal: equal bytes anywhere.  Method: other hash seeds, locales, folders and paths."""
    script = (
        "import sys, hashlib\n"
        "from aerostore_codegen.load import load_schema\n"
        "from aerostore_codegen.lower import lower\n"
        "from aerostore_codegen.emit import emit\n"
        "for path in sys.argv[1:]:\n"
        "    files = emit(lower(load_schema(path)))\n"
        "    print([(name, hashlib.sha256(text.encode()).hexdigest())"
        " for name, text in files.items()])\n"
    )
    schemas = ["tests/compiler/schemas/kinds.py", "schemas/market.py"]
    outputs = set()
    places = [("0", "C", ROOT, schemas), ("1", "de_DE.UTF-8", ROOT, [f"./{s}" for s in schemas]),
              ("77", "tr_TR.UTF-8", tmp_path, [str(ROOT / s) for s in schemas])]
    for seed, locale, folder, paths in places:
        environment = {**os.environ, "PYTHONHASHSEED": seed, "LC_ALL": locale,
                       "PYTHONPATH": f"{ROOT / 'python'}:{ROOT / 'codegen'}"}
        outputs.add(subprocess.run([sys.executable, "-c", script, *paths], cwd=folder, text=True,
                                   env=environment, capture_output=True, check=True).stdout)
    assert len(outputs) == 1


def test_golden_text_is_what_is_emitted(request):
    """Goal: changes of generated text are seen and reviewed.  Method: compare with the files."""
    files = emit(lower(load_schema(GOLDEN / "fleet.py")))
    if request.config.getoption("--regen", default=False):
        for name, text in files.items():
            (GOLDEN / f"{name}.golden").write_text(text)
    for name, text in files.items():
        kept = (GOLDEN / f"{name}.golden").read_text()
        assert kept == text, f"{name}: pytest tests/compiler --regen rewrites it"
    assert {path.name for path in GOLDEN.glob("*.golden")} == {f"{name}.golden" for name in files}


def test_generated_folder_is_fresh(capsys):
    """Goal: generated/ is what schemas/ give.  Method: emit again and compare."""
    assert regenerate(check=True), capsys.readouterr().out


def test_banner_tells_source_and_fingerprint_but_no_place():
    """Goal: no date, host or path in the text.  Method: look for them."""
    files = emit(lower(load_schema(GOLDEN / "fleet.py")))
    for name, text in files.items():
        assert "aerostore-compile" in text, name
        assert str(ROOT) not in text
        assert "tests/golden" not in text
    assert "from fleet.py" in files["fleet.c"]


def test_fingerprints_change_with_layout_and_with_nothing_else(compile_text):
    """Goal: equal layouts have equal fingerprints.  Method: small changes, each judged."""
    from aerostore_codegen.layout import schema_fingerprint

    def of(columns: str, options: str = "") -> int:
        return schema_fingerprint(compile_text(f"@speedtable({options})\nclass T:\n{columns}"), 1)

    base = of("    k: Key\n    a: Int32\n    b: Text | None\n")
    assert of("    k: Key\n    a: Int32 = column(doc='x', aliases=('y',), default=5)\n"
              "    b: Text | None\n", "ttl=5") == base
    different = ["    k: Key\n    a: UInt32\n    b: Text | None\n",
                 "    k: Key\n    b: Text | None\n    a: Int32\n",
                 "    k: Key\n    a: Int32 | None\n    b: Text | None\n",
                 "    k: Key\n    c: Int32\n    b: Text | None\n",
                 "    k: Key\n    a: Int32\n    b: Bytes | None\n",
                 "    k: Key\n    a: Int32\n    b: Text | None = column(max_length=9)\n",
                 "    k: Key\n    a: Int32 = column(indexed=True)\n    b: Text | None\n"]
    found = {of(columns) for columns in different} | {base}
    assert len(found) == len(different) + 1


def test_flight_state_takes_88_bytes():
    """Goal: the layout packs.  Method: the size of the contract's own table."""
    from aerostore_codegen.layout import lay_out

    table = lower(load_schema(ROOT / "schemas" / "flight_state.py")).tables[0]
    layout = lay_out(table)
    assert layout.size == 88
    assert layout.padding == 0
    assert [column.name for column in table.columns] == [
        "flight_id", "lat", "lon", "altitude", "gs", "updated_at", "typ", "dest"]
