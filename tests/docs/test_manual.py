"""The Tcl manual tells all of the package, nothing that is gone, and its examples run."""

import re

from support.paths import ENGINE, ROOT

MANUAL = (ROOT / "tcl" / "doc" / "aerostore.man").read_text(encoding="utf-8")
PLAIN = re.sub(r"\[(?:cmd|arg|file) (?:\{([^}]*)\}|([^]]*))\]",
               lambda found: found[1] or found[2], MANUAL)
OPTION = re.compile(r"-[a-zA-Z][a-zA-Z_]+\b")
# Of Tcl's own commands and of the command line; orders of -sort.
FOREIGN = {"-encoding", "-code", "-package", "-field", "-altitude"}
# The headings under which the options stand that a file of the C glue understands.
PLACES = {
    "database": "aerostore::init",
    "index": "index create",
    "ingest": "ingest_file",
    "readsep": "read_tabsep channel",
    "search": '^"-|Table (search|explain)',
    "tabsep": "Table write_tabsep",
    "transaction": "aerostore::transaction",
    "watch": "Table watch",
    "write": "Table (set|store|upsert) ",
}


def parts() -> list[tuple[str, str]]:
    """Return the manual's sections and definitions, each with its heading, without markup."""
    pieces = re.split(r"^\[(?:section|subsection|def) (.+)\]$", PLAIN, flags=re.MULTILINE)
    return list(zip(pieces[1::2], pieces[2::2], strict=True))


def test_each_command_has_an_entry(tclsh):
    """Goal: nothing is left out.  Method: ask the package what it has, look for definitions."""
    answer = tclsh("""
        package require aerostore
        aerostore::init data
        puts [FlightState methods]
        puts [lmap command [info commands ::aerostore::*] {namespace tail $command}]
    """).splitlines()
    heads = " | ".join(heading for heading, _ in parts())
    without = [f"Table {name}" for name in answer[0].split()
               if not re.search(rf"\bTable {name}\b", heads)]
    listed = re.search(r"\[example_begin\].*?\[example_end\]", PLAIN, re.DOTALL)
    assert listed
    for name in set(answer[1].split()) - {"FlightState"}:
        if not re.search(rf"\b{name}\b", heads):
            without.append(f"aerostore::{name}")
        if f"aerostore::{name}" not in listed[0]:
            without.append(f"aerostore::{name} among the commands at the top")
    assert not without, without


def test_each_option_is_told_and_exists():
    """Goal: no option is secret, none is gone.  Method: the tables of the C glue, both ways."""
    known = set()
    for path in sorted((ROOT / "tcl" / "generic").glob("*.c")):
        options = set(re.findall(rf'"({OPTION.pattern})"', path.read_text()))
        if path.stem in PLACES:
            here = " ".join(heading + text for heading, text in parts()
                            if re.search(PLACES[path.stem], heading))
            assert options - set(OPTION.findall(here)) - {"-code"} == set(), path.name
        known |= options
    told = set(OPTION.findall(re.sub(r"[a-z]-[a-z]", "", PLAIN)))
    assert told - known - FOREIGN == set()


def test_each_type_and_property_of_a_field_is_told():
    """Goal: what `fieldtype` and `field` give is known.  Method: the words of the C glue."""
    source = (ROOT / "tcl" / "generic" / "table.c").read_text()
    words = set(re.findall(r'\[AERO_KIND_\w+\] = "(\w+)"|put\(properties, "(\w+)"', source))
    [text] = [text for heading, text in parts() if "fieldtype" in heading]
    [more] = [text for heading, text in parts() if "proplist" in heading]
    missing = [word for pair in words for word in pair
               if word and not re.search(rf"\b{word}\b", text + more)]
    assert len(words) > 25
    assert not missing, missing


def test_each_error_class_is_listed():
    """Goal: scripts can trap them all.  Method: compare the list with errors.def."""
    names = re.findall(r"^AERO_ERROR\((\w+),",
                       (ENGINE / "include" / "aerostore" / "errors.def").read_text(), re.MULTILINE)
    listed = re.search(r"^Classes: ([^.]+)\.", PLAIN, re.MULTILINE)
    assert listed
    assert re.findall(r"\w+", listed[1]) == names


def test_settings_have_the_defaults_that_are_told(tclsh):
    """Goal: manual and operations guide agree with the library.  Method: ask for each setting."""
    answer = tclsh("""
        package require aerostore
        aerostore::init data
        catch {aerostore::get_config none} message
        foreach key [split [lindex [split [string map {"supported: " \\n} $message] \\n] 1] ","] {
            set key [string trim $key]
            puts "$key [aerostore::get_config $key]"
        }
    """)
    real = dict(line.split() for line in answer.splitlines())
    assert len(real) > 10
    guide = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    told = {key: str(256 << 20) if value == "256 MiB" else value for key, value in
            re.findall(r"^\| `(aerostore\.\w+)` \| ([^|]+?) \|", guide, re.MULTILINE)}
    assert told == real
    missing = [key for key in real if not re.search(rf"{re.escape(key)}\b", PLAIN)]
    assert not missing, missing
    for key, value in re.findall(r"(aerostore\.[a-z_]+) \((\w+)", PLAIN):
        assert value in (real[key], "256"), key


def test_the_examples_run(tclsh):
    """Goal: the examples are right.  Method: run those at the end as they stand."""
    [examples] = [text for heading, text in parts() if "EXAMPLES" in heading]
    example = re.search(r"\[example_begin\]\n(.+?)\[example_end\]", examples, re.DOTALL)
    assert example
    script = example[1].replace("[lb]", "[").replace("[rb]", "]")
    before = "file mkdir var\n"
    printed = tclsh(before + script + "puts [FlightState get UAL1 altitude]\n")
    assert printed == "UAL1 at 35000 feet\n36100\n"


def test_the_lines_that_are_shown_have_that_form(tclsh):
    """Goal: what the manual shows is what comes.  Method: the same words and names of figures."""
    shown = re.findall(r"\[example_begin\]\n((?:aerostore ready|rows_seen).*)\n", PLAIN)
    shown += re.findall(r"checkpoint rows=[\d]+ bytes=\d+ elapsed_ms=[\d.]+", PLAIN)
    printed = tclsh(r"""
        package require aerostore
        puts [aerostore::init data]
        puts [FlightState ingest_tsv "A\t1\t2\t\t\t3\n"]
        puts [aerostore::checkpoint_now]
    """).splitlines()
    forms = [[re.sub(r"=[^\s,)]+", "=", line) for line in lines] for lines in (shown, printed)]
    assert len(shown) == 3
    assert forms[0] == forms[1]
