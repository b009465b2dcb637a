"""What an empty transaction costs in Python, beside an empty context manager of the same shape.

Usage: empty_transaction.py FOLDER OPERATIONS ROUNDS
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "codegen")]

import aerostore  # noqa: E402  the path above makes it importable

now_ns = time.process_time_ns if os.environ.get("BENCH_CLOCK") == "cpu" else time.perf_counter_ns


class Nothing:
    """A context manager that does nothing."""

    def __enter__(self) -> "Nothing":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None


def spent(make: Callable[[], object], times: int) -> float:
    start = now_ns()
    for _ in range(times):
        with make():  # type: ignore[attr-defined]
            pass
    return (now_ns() - start) / times


def main(folder: Path, operations: int, rounds: int) -> None:
    database = aerostore.open(folder / "data", shm_path=folder / "segment", size="64MiB")
    ways: list[tuple[str, Callable[[], object]]] = [
        ("empty manager", Nothing), ("aerostore", database.transaction),
    ]
    for turn in range(rounds + 1):
        for step in range(2):
            peer, make = ways[(turn + step) % 2]
            took = spent(make, operations)
            if turn > 0:
                print(json.dumps({"what": "python transaction", "peer": peer, "round": turn,
                                  "value": took, "unit": "ns/row"}))
    database.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
