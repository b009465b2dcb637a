"""A locale with a decimal comma, for the tests that show that locales change nothing.

Fresh machines have none.  It is made below build/ and found by $LOCPATH, which programs started by
tests inherit; without `localedef` or its sources the tests in question skip themselves.
"""

import locale
import os
import shutil
import subprocess

from support.cbuild import locked
from support.paths import BUILD

NAME = "de_DE.UTF-8"


def exists() -> bool:
    """Tell whether the C library finds the locale."""
    before = locale.setlocale(locale.LC_NUMERIC)
    try:
        locale.setlocale(locale.LC_NUMERIC, NAME)
    except locale.Error:
        return False
    locale.setlocale(locale.LC_NUMERIC, before)
    return True


def provide() -> None:
    """Make the locale if the machine has none, and let this process and its children find it."""
    if exists() or shutil.which("localedef") is None:
        return
    folder = BUILD / "locales"
    target = folder / NAME
    with locked(target):
        if not (target / "LC_NUMERIC").exists():
            subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", str(target)],
                           capture_output=True, check=False)
    if (target / "LC_NUMERIC").exists():
        os.environ["LOCPATH"] = str(folder)
