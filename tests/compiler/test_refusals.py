"""What the compiler refuses: each mistake with its place, its name and what to do about it."""

import pytest

# Schema text (line 1 is line 2 of the file), and for each problem what its line contains.
TABLE = "@speedtable\nclass T:\n    k: Key\n"
CASES: dict[str, tuple[str, list[str]]] = {
    "python type": (TABLE + "    a: int\n", [
        'fleet.py:5: column "a": "int" is not a column type; use Int32 or Int64']),
    "unknown type": (TABLE + "    a: 'Int33'\n", ['fleet.py:5: column "a": type "Int33" cannot']),
    "two types": (TABLE + "    a: Int32 | Text\n", ['fleet.py:5: column "a": ']),
    "value for options": (TABLE + "    a: Int32 = 5\n", ["write column(default=…)"]),
    "no annotation": (TABLE + "    a = column()\n", ['column "a": has no type; write a: Int32']),
    "unknown option": (TABLE + "    a: Int32 = column(indexd=True)\n", [
        'unknown option "indexd"; did you mean "indexed"?']),
    "option without name": (TABLE + "    a: Int32 = column(True)\n", ["options need names"]),
    "flag is no flag": (TABLE + "    a: Int32 = column(unique=1)\n", ["unique=1; give True"]),
    "duplicate": (TABLE + "    a: Int32\n    a: Text\n", [
        'fleet.py:6: column "a": is declared twice; the other is at line 5']),
    "duplicate on one line": (TABLE + "    a: Int32; a: Int32\n", ["is declared twice"]),
    "case only": (TABLE + "    Alt: Int32\n    alt: Int32\n", ['differs from "Alt" in case only']),
    "alias is a column": (TABLE + "    a: Int32 = column(aliases=('k',))\n", [
        "alias 'k' is taken by column \"k\""]),
    "alias of two": (TABLE + "    a: Int32 = column(aliases=('x',))\n"
                     "    b: Int32 = column(aliases=('X',))\n", ["alias 'X' is taken by column"]),
    "alias is text": (TABLE + "    a: Int32 = column(aliases='x')\n", ["write aliases=('x',)"]),
    "alias is no name": (TABLE + "    a: Int32 = column(aliases=('x y',))\n", [
        "alias 'x y' is not a plain name"]),
    "too many aliases": (TABLE + "    a: Int32 = column(aliases=[f'n{i}' for i in range(17)])\n", [
        "has 17 aliases, at most 16"]),
    "no key": ("@speedtable\nclass T:\n    a: Int32\n", ['table "T": has no key']),
    "private to Python": (TABLE + "    __a: Int32\n", [
        'fleet.py:5: column "__a": begins with an underscore']),
    "two keys": (TABLE + "    j: Key\n", ['column "j": is a second key beside "k"']),
    "nullable key": ("@speedtable\nclass T:\n    k: Key | None\n", ["a key is never null"]),
    "key with default": ("@speedtable\nclass T:\n    k: Key = column(default='x')\n", [
        "a key has no default"]),
    "real key": ("@speedtable\nclass T:\n    k: Float64 = column(key=True)\n", [
        "Float64 cannot be a key"]),
    "char key": ("@speedtable\nclass T:\n    k: Char = column(key=True)\n", ["cannot be a key"]),
    "no columns": ("@speedtable\nclass T:\n    pass\n", ['table "T": has no columns']),
    "1,025 columns": (TABLE + "".join(f"    c{n}: Int8\n" for n in range(1024)), [
        "has 1,025 columns, at most 1,024 can be"]),
    "row too large": (TABLE + "".join(f"    c{n}: FixedString = column(size=4096)\n"
                                      for n in range(8)), ["a row takes 32,784 bytes"]),
    "fixed without size": (TABLE + "    a: FixedString\n", ["a FixedString needs its size"]),
    "size of zero": (TABLE + "    a: FixedString = column(size=0)\n", ["size=0; give an integer"]),
    "length too large": (TABLE + "    a: Text = column(max_length=(1 << 20) + 1)\n", [
        "max_length=1048577; give an integer from 1 to 1,048,576"]),
    "length of integer": (TABLE + "    a: Int32 = column(max_length=5)\n", [
        "max_length is no option of this type; drop it"]),
    "size of text": (TABLE + "    a: Text = column(size=5)\n", ["size is no option of this type; "
                                                               "use max_length"]),
    "notnull and None": (TABLE + "    a: Int32 | None = column(notnull=True)\n", ["contradict"]),
    "inherits": ("class B: pass\n@speedtable\nclass T(B):\n    k: Key\n", ["inherits from B"]),
    "two tables of a name": (TABLE + TABLE, ['fleet.py:6: table "T": is declared twice; the other '
                                             "is at line 3"]),
    "tables by case": (TABLE + TABLE.replace("T", "t"), ['differs from table "T" in case only']),
    "generated names clash": (
        "@speedtable\nclass A:\n    k: Key\n    b_c: Int32\n"
        "@speedtable\nclass A_b:\n    k: Key\n    c: Int32\n", [
            'column "c": its generated name A_b_c_get is also that of column "b_c" of table "A"']),
    "ttl of zero": (TABLE.replace("table", "table(ttl=0)"), ["ttl=0; give seconds from 0.001"]),
    "ttl of nan": (TABLE.replace("table", "table(ttl=float('nan'))"), ["ttl=nan"]),
    "ttl column alone": (TABLE.replace("table", "table(ttl_column='k')"), ["ttl_column without"]),
    "ttl column unknown": (TABLE.replace("table", "table(ttl=1, ttl_column='x')"), [
        "ttl_column='x' is not a column"]),
    "ttl column of text": (TABLE.replace("table", "table(ttl=1, ttl_column='k')"), [
        'ttl_column "k" is not a Timestamp']),
    "table option": (TABLE.replace("table", "table(tll=1)"), ['unknown option "tll"; did you mean '
                                                             '"ttl"?']),
    "index unknown": (TABLE.replace("table", "table(indexes=[('k', 'kk')])"), [
        "index over unknown column 'kk'; did you mean"]),
    "index twice": (TABLE.replace("table", "table(indexes=[('k',), ('k',)])"), [
        'index "k" is declared twice']),
    "index column twice": (TABLE.replace("table", "table(indexes=[('k', 'k')])"), [
        "names a column twice"]),
    "index no list": (TABLE.replace("table", "table(indexes=5)"), ["indexes=5; write indexes="]),
    "index no names": (TABLE.replace("table", "table(indexes=[7])"), ["index 7; write index("]),
    "long doc": (TABLE + f"    a: Int32 = column(doc={'x' * 5000!r})\n", [
        "documentation has 5,000"]),
    "surrogate in doc": (TABLE + "    a: Int32 = column(doc='\\ud800')\n", ["lone surrogate"]),
    "unreadable names": ("@speedtable\nclass T:\n    größe: Key\n", [
        "is not a plain name; use ASCII letters, digits and underscores"]),
}
DEFAULTS: dict[str, str] = {
    "Bool = column(default=1)": "default 1 is not True or False",
    "Int8 = column(default=128)": "default 128 is outside -128 to 127",
    "Int32 = column(default=1.0)": "default 1.0 is not an integer",
    "Int32 = column(default=True)": "default True is not an integer",
    "UInt64 = column(default=-1)": "default -1 is outside 0 to 18446744073709551615",
    "UInt64 = column(default=10**5000)": "default the number is outside",
    "Float64 = column(default=float('inf'))": "default is not a finite number",
    "Float64 = column(default=10**400)": "default is not a finite number",
    "Float64 = column(default='1')": "default '1' is not a number",
    "Float32 = column(default=1e39)": "is not in the range of 32-bit numbers",
    "Timestamp = column(default='now')": "is not Unix seconds or a datetime",
    "Timestamp = column(default=1e300)": "is not in the range of timestamps",
    "Char = column(default='ab')": "is not one character",
    "Char = column(default='\\ud800')": "holds a lone surrogate",
    "Text = column(default=5)": "default 5 is not text",
    "Text = column(default='\\ud800')": "holds a lone surrogate",
    "Text = column(default='x' * 6, max_length=5)": "default has 6 bytes, the column holds 5",
    "Text = column(default='x' * 5000)": "default has 5,000 bytes, at most 4,096 can be",
    "FixedString = column(size=2, default='\u00e9x')": "default has 3 bytes, the column holds 2",
    "FixedString = column(size=2, default='a\\0')": "ends in NUL",
    "Bytes = column(default='x')": "default 'x' is not bytes",
    "Inet = column(default='10.0.0.256')": "is not an IPv4 address",
    "Inet = column(default=5)": "is not an address",
    "IPv6 = column(default='fe80::1%eth0')": "without a zone",
    "Mac = column(default='00:1b')": "is not a MAC address",
    "Int32 = column(default=None)": "default None, but it is never null",
}
# Names that columns cannot have, and why.
COLUMN_NAMES = {
    "int": "is a word of C", "restrict": "is a word of C", "bool": "is a word of C",
    "errno": "is a word of C", "namespace": "is a word of C++", "template": "is a word of C++",
    "proc": "is a word of Tcl", "foreach": "is a word of Tcl", "search": "is a subcommand",
    "get": "is a subcommand", "nulls": "is reserved", "keys": "is reserved",
    "aero_x": "is reserved for the engine", "AE_ASSERT": "is reserved for the engine",
    "NULL": "is reserved for the engine", "INT32_MAX": "is reserved", "uint8_t": "is reserved",
    "_x": "begins with an underscore", "a__b": "two underscores", "a_": "one at its end",
    "a" * 64: "is longer than 63 characters",
}
TABLE_NAMES = {
    "string": "is a command of Tcl", "list": "is a command of Tcl", "init": "of every package",
    "transaction": "of every package", "count": "subcommand of every table", "int": "word of C",
    "virtual": "word of C++", "aero": "reserved for the engine", "X_": "one at its end",
}
PACKAGES = {
    "a/b": "is not a plain name", "..": "is not a plain name", "": "is not a plain name",
    "string": "is a command or package of Tcl", "tcl": "Tcl", "int": "is a word of C",
    "class": "is a word of C++", "aero": "is reserved", "a\n": "is not a plain name",
    "x" * 64: "is longer than 63",
}


@pytest.mark.parametrize("name", CASES)
def test_mistake_is_refused_with_its_place(problems_of, name):
    """Goal: each message.  Method: one wrong schema, all its problems looked at."""
    text, expected = CASES[name]
    problems = problems_of(text)
    assert len(problems) == len(expected), problems
    for problem, part in zip(problems, expected, strict=True):
        assert part in problem
        assert problem.startswith("fleet.py:")


@pytest.mark.parametrize("declared", DEFAULTS)
def test_default_that_does_not_fit_is_refused(problems_of, declared):
    """Goal: defaults are converted and range-checked now.  Method: one bad default a type."""
    problems = problems_of(TABLE + f"    a: {declared}\n")
    assert len(problems) == 1, problems
    assert DEFAULTS[declared] in problems[0]
    assert problems[0].startswith('fleet.py:5: column "a": ')


@pytest.mark.parametrize("name", COLUMN_NAMES)
def test_column_name_is_refused(problems_of, name):
    """Goal: taken names never reach C.  Method: a column of that name."""
    problems = problems_of(TABLE + f"    {name}: Int32\n")
    assert any(COLUMN_NAMES[name] in problem for problem in problems), problems
    assert all(problem.startswith("fleet.py:") for problem in problems)


@pytest.mark.parametrize("name", TABLE_NAMES)
def test_table_name_is_refused(problems_of, name):
    """Goal: no command is hidden.  Method: a table of that name."""
    problems = problems_of(TABLE.replace("T", name))
    assert len(problems) == 1, problems
    assert TABLE_NAMES[name] in problems[0]
    assert f'fleet.py:3: table "{name}"' in problems[0]


@pytest.mark.parametrize("name", PACKAGES)
def test_package_name_is_refused(problems_of, name):
    """Goal: file names come from a whitelist.  Method: the name as --package and as PACKAGE."""
    for problems in (problems_of(TABLE, name), problems_of(f"PACKAGE = {name!r}\n" + TABLE, None)):
        assert len(problems) == 1, problems
        assert PACKAGES[name] in problems[0]


def test_all_mistakes_of_a_file_are_reported_at_once_in_order(problems_of):
    """Goal: one run tells everything.  Method: a schema with a mistake in every second line."""
    problems = problems_of(
        "@speedtable(ttl=-1)\nclass string:\n    k: Key\n    int: Int32\n    a: float\n"
        "    b: Int8 = column(default=1000)\n@speedtable\n"
        "class U:\n    c: Char = column(key=True)\n"
        "    d: Text = column(max_length=0, unique='x')\n"
    )
    lines = [int(problem.split(":")[1]) for problem in problems]
    assert lines == sorted(lines)
    assert set(lines) == {3, 5, 6, 7, 10, 11}


@pytest.mark.parametrize(("content", "part"), [
    (b"\xff", "is not UTF-8"), (b"x = '\0'", "holds a NUL character"),
    (b"def f(:\n", "is not valid Python"), (b"(" * 5000, "is not valid Python"),
    (b"x = 1\n", "declares no table"), (b"", "declares no table"),
    (b"\n\n1 / 0\n", "fleet.py:3: running it failed: ZeroDivisionError"),
    (b"raise SystemExit(3)", "running it failed: SystemExit"),
    (b"from aerostore.schema import speedtable\n\n@speedtable()\ndef f(): pass\n",
     "fleet.py:3: running it failed: TypeError: @speedtable stands over a class"),
    (b"from aerostore.schema import speedtable\n@speedtable\ndef f(): pass\n",
     "fleet.py:2: running it failed: TypeError: @speedtable stands over a class"),
    (b"import nothing_of_this_name", "running it failed: ModuleNotFoundError"),
    (b"class E(Exception):\n    def __str__(self): 1 / 0\nraise E\n", "running it failed: E"),
])
def test_file_that_is_no_schema_is_refused(tmp_path, content, part):
    """Goal: any file gives problems, never a traceback.  Method: damaged files."""
    from aerostore_codegen.load import load_schema
    from aerostore_codegen.problems import SchemaProblems

    path = tmp_path / "fleet.py"
    path.write_bytes(content)
    with pytest.raises(SchemaProblems) as caught:
        load_schema(path)
    assert part in str(caught.value)
    assert str(path) in str(caught.value)


def test_missing_file_and_folder_are_refused(tmp_path):
    """Goal: paths that cannot be read.  Method: an absent file, a folder, a name with NUL."""
    from aerostore_codegen.load import load_schema
    from aerostore_codegen.problems import SchemaProblems

    for path in (tmp_path / "absent.py", tmp_path, "a\0b"):
        with pytest.raises(SchemaProblems, match="cannot be read"):
            load_schema(path)


def test_names_that_look_bad_but_are_fine_are_accepted(compile_text):
    """Goal: no more is refused than must be.  Method: near misses of every rule."""
    schema = compile_text(
        "@speedtable\nclass Int:\n    key: Key = column(aliases=('int', 'set', 'long', 'class'))\n"
        "    type: Int32\n    count: Int32\n    names: Int32\n    fields: Int32\n    row: Int32\n"
        "    base: Int32\n    memcpy: Int32\n    time: Int32\n    a_b_c: Int32\n    E1: Int32\n"
        f"    {'a' * 63}: Int32\n    null: Int32\n    error: Text\n    value: Text\n"
    )
    assert len(schema.tables[0].columns) == 15
