"""Where things are: the repository, scratch space, and the recorded data some tests need."""

import os
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENGINE = ROOT / "codegen" / "engine"
GENERATED = ROOT / "generated"
BUILD = ROOT / "build"


def shared_data() -> Path | None:
    """Find the folder of recorded positions, or None.

    It is `$AEROSTORE_TEST_DATA`, else `../shared/data` beside the repository.
    """
    named = os.environ.get("AEROSTORE_TEST_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    return folder if folder.is_dir() else None


def memory_folder() -> Path:
    """Return a folder for segments: on tmpfs where there is one, as in real life."""
    tmpfs = Path("/dev/shm")
    usable = tmpfs.is_dir() and os.access(tmpfs, os.W_OK)
    return tmpfs if usable else Path(tempfile.gettempdir())
