"""What the compiler reports: problems with their places, and the exception that carries them."""

from __future__ import annotations

from dataclasses import dataclass

from aerostore._declaration import Location


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake of a schema file: where, in what, what is wrong, what to do."""

    location: Location
    subject: str  # 'table "T"', 'column "c"' or ""
    what: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.location.file}:{self.location.line}" if self.location.line else (
            self.location.file
        )
        subject = f"{self.subject}: " if self.subject else ""
        hint = f"; {self.hint}" if self.hint else ""
        # Names come from the file and may hold anything; the report is read on terminals.
        return printable(f"{place}: {subject[:200]}{self.what[:1000]}{hint[:400]}")


class SchemaProblems(Exception):  # noqa: N818 (it is several)
    """The schema cannot be compiled; `problems` are all that is wrong with it, in file order."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (p.location.file, p.location.line)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def printable(text: str) -> str:
    """Replace what would break a line or upset a terminal by escapes."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def quoted(value: object, limit: int = 60) -> str:
    """Show a value of the user's file in a message, cut to a readable length."""
    try:
        text = repr(value)
    except Exception:  # a user's own __repr__ may fail in any way
        text = f"<{type(value).__name__}>"
    return text if len(text) <= limit else text[: limit - 1] + "…"
