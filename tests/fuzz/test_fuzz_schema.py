"""Fuzz the schema compiler with hostile declarations and with damaged schema files.

Strategy: (1) generate declarations whose names, texts, types and options are drawn from what is
right and from what has broken generators before (keywords, trigraphs, comment ends, huge
numbers, wrong types); (2) damage a real schema file by lines, words and characters.
Invariants: the answer is a schema or a list of problems, each with file and line, on one printable
line, within a second; what is accepted emits the same text twice, and a sample of it compiles
without warnings, trigraphs on, with both compilers.
The seed is printed on failure and can be given in $AEROSTORE_FUZZ_SEED.
"""

import os
import random
import subprocess
import time
from pathlib import Path

from aerostore_codegen.emit import emit
from aerostore_codegen.load import load_schema
from aerostore_codegen.lower import lower
from aerostore_codegen.problems import SchemaProblems
from support.cbuild import WARNINGS
from support.fuzz_items import SECONDS
from support.paths import ENGINE, ROOT

ANSWER_S = 2.0  # far above what any of these inputs needs, on a busy machine
COMPILED_MAX = 3 + SECONDS // 4  # each costs a second or so

TYPES = ["Bool", "Boolean", "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32",
         "UInt64", "Short", "Int", "Long", "Wide", "Float", "Float32", "Float64", "Double",
         "Timestamp", "Char", "FixedString", "Text", "VarString", "Bytes", "Inet", "IPv6", "Mac",
         "Key"]
WRONG_TYPES = ["int", "str", "None", "float | int", "Text | Int32", "list[Int32]", "'Text'",
               "Key | None", "object", "Optional", "3", "Text()", "..."]
NAMES = ["alpha", "beta", "gamma", "delta", "lat", "lon", "updated_at", "n1", "note", "x"]
WRONG_NAMES = ["int", "class_", "_x", "x__y", "search", "register", "X", "Lat", "inline", "NULL",
               "size_t", "a" * 70, "é", "nulls", "template", "true_", "row", "main", "INT_MAX",
               "restrict", "errno", "typeof", "asm", "get", "set", "aero_get"]
TEXTS = ["", "plain", "it's", "*/ int x; /*", "??/", "??=", "%s%n%d", "a\"b", "back\\slash\\",
         "line\nbreak", "tab\t", "\x00", "\x7f\x1b[2J", "ümläut", "日本", "\ud800", "\u202e",
         "#define x", "\\u0041", "$x [exit]", "{", "}", "'''", "x" * 5000, "//", "/* /*", "\\\n"]
VALUES = ["0", "1", "-1", "255", "256", "65536", "2**31", "2**63", "2**64", "-2**63", "10**400",
          "0.5", "-0.0", "1e308", "float('nan')", "float('inf')", "True", "False", "None", "()",
          "[]", "{}", "b''", "b'\\x00\\xff'", "'1.2.3.4'", "'::1'", "'0:0:0:0:0:0'", "'x'", "'B'",
          "object()", "lambda: 1", "'2018-08-01T05:00:00Z'", "3+4j"]
OPTIONS = ["indexed", "unique", "notnull", "default", "max_length", "size", "aliases", "key", "doc",
           "speed", "nullable"]


def pick(random_: random.Random, right: list[str], wrong: list[str], odds: float) -> str:
    return random_.choice(wrong if random_.random() < odds else right)


def text_literal(random_: random.Random) -> str:
    return ascii(random_.choice(TEXTS))


def option(random_: random.Random, odds: float) -> str:
    name = random_.choice(OPTIONS)
    if name in ("default", "doc") and random_.random() < 0.5:
        return f"{name}={text_literal(random_)}"
    if name == "aliases":
        names = [pick(random_, NAMES, WRONG_NAMES, odds) for _ in range(random_.randint(0, 3))]
        return f"aliases={tuple(names)!r}"
    if name in ("indexed", "unique") and random_.random() > odds:
        return f"{name}=True"
    if name in ("max_length", "size") and random_.random() > odds:
        return f"{name}={random_.randint(1, 300)}"
    return f"{name}={random_.choice(VALUES)}"


def declaration(random_: random.Random) -> str:
    """Write a schema file; `odds` is how hostile it is, so that many are accepted too."""
    odds = random_.choice([0.0, 0.0, 0.02, 0.1, 0.5])
    lines = ["from aerostore.schema import *", ""]
    if random_.random() < 0.5:
        lines.append("PACKAGE = " + pick(random_, ["'fleet'"], [*VALUES, "'a/../b'"], odds))
    for table in range(random_.randint(1, 3)):
        arguments = []
        if random_.random() < odds:
            arguments.append(f"ttl={random_.choice(VALUES)}")
        if random_.random() < odds:
            arguments.append(f"indexes=[({pick(random_, NAMES, WRONG_NAMES, odds)!r},)]")
        name = f"Table{table}" if random_.random() > odds else random_.choice(WRONG_NAMES)
        lines += [f"@speedtable({', '.join(arguments)})", f"class {name}:",
                  f"    {text_literal(random_)}"]
        chosen = random_.sample(NAMES, random_.randint(0 if odds else 1, 8))
        if random_.random() > odds:
            lines.append("    ident: Key")
        for column in chosen:
            name = pick(random_, [column], WRONG_NAMES, odds)
            kind = pick(random_, TYPES[:-1], WRONG_TYPES, odds)
            null = " | None" if random_.random() < 0.4 else ""
            # Half of what has no hostility at all still has options, right ones mostly.
            count = random_.randint(0, 3) if random_.random() < max(odds, 0.2) else 0
            options = ", ".join({item.split("=")[0]: item for item in
                                 (option(random_, odds) for _ in range(count))}.values())
            if kind == "FixedString" and "size=" not in options:
                options = ", ".join(filter(None, [options, "size=8"]))
            lines.append(f"    {name}: {kind}{null}" + (f" = column({options})" if options else ""))
        lines.append("")
    return "\n".join(lines)


def damaged(random_: random.Random, original: str) -> str:
    """Damage a schema file in a few places; what it runs is made of its own words only."""
    lines = original.split("\n")
    for _ in range(random_.randint(1, 4)):
        at = random_.randrange(len(lines))
        what = random_.randrange(5)
        if what == 0:
            del lines[at]
        elif what == 1:
            lines.insert(at, random_.choice(lines))
        elif what == 2 and lines[at]:
            cut = random_.randrange(len(lines[at]))
            lines[at] = lines[at][:cut] + lines[at][cut + 1:]
        elif what == 3:
            words = lines[at].split(" ")
            words[random_.randrange(len(words))] = random_.choice(TYPES + NAMES + WRONG_NAMES[:5])
            lines[at] = " ".join(words)
        else:
            lines[at] = lines[at][: random_.randint(0, len(lines[at]))]
        lines = lines or [""]
    return "\n".join(lines)


def check_problems(error: SchemaProblems, path: Path) -> None:
    assert error.problems
    for problem in error.problems:
        line = str(problem)
        assert line.startswith(str(path)), line
        assert line.isprintable(), ascii(line)
        assert len(line) < 2000, line


def check_compiles(files: dict[str, str], folder: Path) -> None:
    folder.mkdir()
    for name, text in files.items():
        assert Path(name).name == name
        (folder / name).write_text(text, encoding="utf-8")
    for source in sorted(folder.glob("*.c")):
        if source.stem.endswith("_tcl"):
            continue
        for compiler in ("gcc", "clang"):
            done = subprocess.run(
                [compiler, "-std=c11", "-D_GNU_SOURCE", *WARNINGS, "-trigraphs", "-fsyntax-only",
                 f"-I{ENGINE / 'include'}", f"-I{folder}", str(source)],
                capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr


def test_schema_compiler_survives_hostile_declarations(tmp_path):
    """Random hostile declarations and damaged files get a schema or printable problems, quickly."""
    seed = int(os.environ.get("AEROSTORE_FUZZ_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"AEROSTORE_FUZZ_SEED={seed}")
    random_ = random.Random(seed)
    originals = [path.read_text() for path in sorted((ROOT / "schemas").glob("*.py"))]
    deadline = time.monotonic() + SECONDS
    path, accepted, refused, compiled = tmp_path / "fuzzed.py", 0, 0, 0
    while time.monotonic() < deadline:
        generated = random_.random() < 0.7
        text = declaration(random_) if generated else damaged(random_, random_.choice(originals))
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        started = time.process_time()
        try:
            schema = lower(load_schema(path), "fleet")
        except SchemaProblems as error:
            check_problems(error, path)
            refused += 1
        else:
            files = emit(schema)
            assert files == emit(schema)
            accepted += 1
            if compiled < COMPILED_MAX and accepted % 3 == 1:
                check_compiles(files, tmp_path / f"accepted{accepted}")
                compiled += 1
                continue
        assert time.process_time() - started < ANSWER_S, text
    assert accepted
    assert refused
    print(f"{accepted} accepted ({compiled} compiled), {refused} refused")
