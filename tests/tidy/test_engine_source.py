"""Habits of the C code that a machine can check: read from the text and from compiled objects."""

import re
import subprocess
import warnings

import pytest

from support import cbuild, tree
from support.paths import ENGINE, GENERATED, ROOT

BANNED = {
    r"\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|stpcpy)\s*\(": "no bound on what it writes",
    r"\b(atoi|atol|atoll|atof|sscanf|strtol|strtoul|strtoll|strtoull)\s*\(":
        "accepts garbage, or depends on the locale; see base/number.h",
    r"\b(setlocale|localeconv|strtod|strtof|toupper|tolower|isalpha|isdigit|isspace)\s*\(":
        "depends on the locale",
    r"\b(alloca|__builtin_alloca)\s*\(": "no bound on the stack",
    r"\b(abort|exit|_Exit|system|popen|signal|setjmp|longjmp)\s*\(": "not a library's to call",
    r"\b(rand|srand|random|localtime|gmtime|asctime|ctime|strerror|getpwuid)\s*\(":
        "hidden state shared by threads",
}
ALLOWED = {
    # An assertion that fails ends the process: that is what it is for.
    ("base/error.c", "abort"),
    # Numbers of /proc are the kernel's own.
    ("base/os_process.c", "strtoull"),
}
LIMITS = {".c": 700, ".h": 450, ".py": 500, ".jinja": 100}
FUNCTION_LINES_MAX = 100


def test_banned_functions_are_absent():
    """Neither engine, glue nor generated code calls what cannot be called safely."""
    wrong = []
    for path in tree.c_files():
        for pattern, reason in BANNED.items():
            for hit in tree.search(path, pattern):
                name = hit.rsplit(": ", 1)[1].rstrip("( ")
                inside = str(path.relative_to(ENGINE)) if path.is_relative_to(ENGINE) else ""
                if (inside, name) not in ALLOWED:
                    wrong.append(f"{hit}: {reason}")
    assert not wrong, "\n".join(wrong)


def test_operating_system_is_called_in_base_os_only():
    """Files, mappings, processes and clocks are touched in base/os_*.c only."""
    calls = (r"\b(open|openat|close|read|pread|write|pwrite|mmap|munmap|ftruncate|fallocate|fsync|"
             r"posix_fallocate|fdatasync|unlink|rename|stat|fstat|lstat|getpid|gettid|fork|kill|"
             r"syscall|clock_gettime|nanosleep|usleep|getenv|fopen|realpath|mkdir|madvise|"
             r"pthread_(?!self|equal)\w+)\s*\(")
    wrong = []
    for path in tree.engine_files(".c", ".h"):
        if not re.fullmatch(r"base/os(_\w+)?\.[ch]", str(path.relative_to(ENGINE))):
            # `operations->close(…)` is a call through a pointer and `static … close(` a definition
            wrong += tree.search(path, r"(?<![\w.>])(?<!->)" + calls[2:])
    assert not wrong, "\n".join(wrong)


def test_atomics_name_their_order():
    """No operation on an _Atomic takes the default order; clang knows also of plain assignments."""
    plain = r"\batomic_(load|store|exchange|fetch_\w+?|compare_exchange_\w+?)\s*\("
    wrong = [hit for path in tree.engine_files(".c", ".h") for hit in tree.search(path, plain)
             if "_explicit" not in hit]
    for source in tree.engine_files(".c"):
        command = ["clang", "-std=c11", "-D_GNU_SOURCE", f"-I{ENGINE / 'include'}", f"-I{ENGINE}",
                   "-fsyntax-only", "-Watomic-implicit-seq-cst", str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wrong += [line for line in done.stderr.splitlines() if "implicit" in line]
    assert not wrong, "\n".join(wrong)


def test_engine_has_no_mutable_file_scope_variables():
    """No symbol lies in writable data: state hangs from handles (L9).  Read from the objects."""
    wrong = []
    generated = [path for path in tree.files() if path.is_relative_to(GENERATED)
                 and path.suffix == ".c" and not path.stem.endswith("_tcl")]
    for source in [*tree.engine_files(".c"), *generated]:
        includes = [ENGINE / "include", ENGINE]
        includes += [source.parent] if source in generated else []
        output = cbuild.object_file(source, "plain", tuple(includes))
        table = subprocess.run(["objdump", "-t", output], capture_output=True, text=True,
                               check=True).stdout
        for line in table.splitlines():
            found = re.search(r"\s(\.t?(?:data|bss)[\w.]*|\*COM\*)\s+([0-9a-f]+)\s+(\S+)$", line)
            if found and int(found[2], 16) and not found[1].startswith(".data.rel.ro"):
                wrong.append(f"{source.relative_to(ROOT)}: {found[3]} in {found[1]}")
    assert not wrong, "\n".join(wrong)


def test_shared_structs_hold_no_pointers():
    """On the lower floors a struct with an atomic member is shared and holds no address (L1)."""
    wrong = []
    for path in tree.engine_files(".c", ".h"):
        if path.relative_to(ENGINE).parts[0] not in ("shm", "proc", "row", "wal", "index"):
            continue
        text = tree.code_of(path)
        for found in re.finditer(r"\bstruct\s*(\w*)\s*\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}", text):
            members = [member.strip() for member in re.split(r"[;{}]", found[2])]
            shared = [member for member in members
                      if re.match(r"(_Atomic\b|ae_a(32|64)\b)[^*]*$", member)]
            pointers = [member for member in members
                        if "*" in re.sub(r"\[[^\]]*\]", "", member)]
            if shared and pointers:
                line = text.count("\n", 0, found.start()) + 1
                wrong.append(f"{tree.place(path, line)}: {' '.join(pointers[0].split())}")
    assert not wrong, "\n".join(wrong)


def comments(text: str) -> list[tuple[int, str]]:
    """Return the comments of a C text with the line each starts on."""
    return [(text.count("\n", 0, found.start()) + 1, found[0])
            for found in tree.COMMENT_OR_STRING.finditer(text) if found[0].startswith("/")]


def test_comments_hold_no_code():
    """No line of a comment reads like a statement: what is not needed is deleted, not kept."""
    statement = re.compile(
        r"^[\s/*]*(?:(?:return|goto|break|if|for|while|else)\b.*[;{]|\}|"
        r"[A-Za-z_][\w\->.\[\]* ]*(?:=|\+=|-=)[^=].*;|[a-z_]\w*\([^)]*\);|"
        r"#\s*(?:if|include|define).*)"
        r"[\s*/]*$")
    wrong = []
    for path in tree.c_files():
        for line, comment in comments(path.read_text()):
            wrong += [f"{tree.place(path, line + offset)}: {text.strip()}"
                      for offset, text in enumerate(comment.splitlines()) if statement.match(text)]
    assert not wrong, "\n".join(wrong)


def test_files_begin_by_saying_what_they_are():
    """Each C file and header of engine and glue opens with a comment that names it."""
    wrong = []
    for path in tree.c_files():
        text = path.read_text()
        if not path.is_relative_to(GENERATED) and not text.startswith(f"/* {path.name} "):
            if path.suffix == ".def" or re.match(r"/\* .*\S", text):
                continue
            wrong.append(f"{tree.place(path, 1)}: no comment at the top")
    assert not wrong, "\n".join(wrong)


def test_files_that_publish_say_whom_they_pair_with():
    """A file that publishes by a release store names, somewhere, the reader it pairs with."""
    wrong = []
    for path in tree.engine_files(".c", ".h"):
        publishes = tree.search(path, r"\bae_store(32|64)_release\(")
        if path.name != "atomics.h" and publishes and "pairs with" not in path.read_text().lower():
            wrong += publishes
    assert not wrong, "\n".join(wrong)


def function_sizes(text: str) -> list[tuple[int, int]]:
    """Return (line, lines) of each function: from a `{` in column one to its `}`."""
    lines, start, sizes = text.splitlines(), None, []
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            sizes.append((start, number - start + 1))
            start = None
    return sizes


@pytest.mark.filterwarnings("default")
def test_report_long_files_and_functions():
    """Warn of files and functions that probably hold more than one idea; sizes are for the eye."""
    report = []
    for path in tree.files():
        if path.suffix in LIMITS and not path.is_relative_to(GENERATED):
            text = path.read_text()
            if len(text.splitlines()) > LIMITS[path.suffix]:
                report.append(f"{len(text.splitlines())} lines in {path.relative_to(ROOT)}")
            if path.suffix == ".c":
                report += [f"function of {size} lines at {tree.place(path, line)}"
                           for line, size in function_sizes(text) if size > FUNCTION_LINES_MAX]
    if report:
        warnings.warn(pytest.PytestWarning("; ".join(report)), stacklevel=1)
