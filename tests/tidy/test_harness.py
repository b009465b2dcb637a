"""The harness itself: what is broken is reported as broken, by every kind of item.

Small programs with one known fault each are written to a scratch folder and run by a pytest of
their own, with the same collectors the real folders use.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT

C_TEST = """
/* variants: {variant} */
/* links: base */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include "harness.h"
static int shared;
__attribute__((unused)) static void *add(void *unused) {{ shared++; return unused; }}
static void works(void **state) {{ (void)state; assert_int_equal(1, 1); }}
static void fault(void **state)
{{
    (void)state;
    {fault}
}}
#define HIDDEN(name) cmocka_unit_test(name)
static const struct CMUnitTest tests[] = {{
    cmocka_unit_test(works), cmocka_unit_test(fault) {more}}};
AE_TEST_MAIN(tests)
"""
FAULTS = {
    "assertion": ("plain", "assert_int_equal(1, 2);"),
    "signal": ("plain", "raise(SIGKILL);"),
    "overflow": ("asan", "volatile int top = 2147483647; top = top + 1;"),
    "stray": ("asan", "volatile char *at = malloc(8); at[8] = 1; free((void *)at);"),
    "leak": ("asan", "char *volatile at = malloc(8); at = NULL; assert_null(at);"),
    "race": ("tsan", "pthread_t other; pthread_create(&other, NULL, add, NULL); shared++;"
                     " pthread_join(other, NULL);"),
}
TCL_TEST = "package require tcltest\nnamespace import ::tcltest::*\n{body}\n"
TCL_FAULTS = {
    "wrong": "test a {} -body {expr 1} -result 2\ncleanupTests",
    "ends early": "test a {} -body {expr 1} -result 1\nexit 0",
    "raises": "test a {} -body {expr 1} -result 1\nerror oops",
    "empty": "cleanupTests",
}


def pytest_says(folder: Path, collector: str) -> str:
    """Run pytest on a folder and return its output."""
    (folder / "conftest.py").write_text(
        f"from support import {collector}\n"
        "def pytest_collect_file(file_path, parent):\n"
        f"    return {collector}.collect(parent, file_path)\n")
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "-q", "-rA",
               "-p", "no:cacheprovider", "-o", "addopts=", str(folder)]
    environment = {name: value for name, value in os.environ.items() if "XDIST" not in name}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True,
                          check=False)
    return done.stdout


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_c_are_reported(fault, tmp_path):
    """One test of a file has a fault: that one fails, the other passes."""
    variant, text = FAULTS[fault]
    source = C_TEST.format(variant=variant, fault=text, more="")
    (tmp_path / "test_fault.c").write_text(source)
    answer = pytest_says(tmp_path, "c_items")
    assert f"test_fault.c::works[{variant}]" in answer, answer
    assert "1 failed, 1 passed" in answer, answer


def test_a_c_test_that_pytest_cannot_see_is_an_error(tmp_path):
    """A program that lists a test its source does not show is refused as a whole."""
    source = C_TEST.format(variant="plain", fault="assert_true(1);", more=", HIDDEN(works)")
    (tmp_path / "test_fault.c").write_text(source)
    assert "2 passed" not in pytest_says(tmp_path, "c_items")


@pytest.mark.parametrize("fault", TCL_FAULTS)
def test_faults_of_tcl_are_reported(fault, tmp_path):
    """A Tcl file with a fault fails under every host, also when it ends with exit code 0."""
    (tmp_path / "fault.test").write_text(TCL_TEST.format(body=TCL_FAULTS[fault]))
    answer = pytest_says(tmp_path, "tcl_items")
    assert "passed" not in answer.splitlines()[-1], answer
    assert "3 failed" in answer, answer


def test_a_finding_of_a_fuzzer_is_reported(tmp_path):
    """A fuzz target that breaks on its first inputs fails, and its finding is kept."""
    (tmp_path / "fuzz_fault.c").write_text("""
/* links: base */
#include <stddef.h>
#include <stdint.h>
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    volatile uint8_t last = size > 1 ? data[size] : 0;
    (void)last;
    return 0;
}
""")
    answer = pytest_says(tmp_path, "fuzz_items")
    assert "1 failed" in answer, answer
    assert "heap-buffer-overflow" in answer, answer
