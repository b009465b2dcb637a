"""Texts of a schema inside generated files: none ever leaves its literal or comment."""

from __future__ import annotations

import textwrap

# Characters of a C literal that stand for themselves; `?` does not, because of trigraphs.
_PLAIN = frozenset(range(0x20, 0x7F)) - frozenset(b'"\\?')


def c_string(data: bytes | str) -> str:
    """Spell bytes (text: UTF-8) as a C string literal on one line.

    Octal escapes have three digits at most, so the next character cannot join them.
    """
    raw = data.encode() if isinstance(data, str) else data
    return '"' + "".join(chr(byte) if byte in _PLAIN else f"\\{byte:03o}" for byte in raw) + '"'


def c_comment(text: str, width: int, first: str, rest: str) -> list[str]:
    """Spell text as the lines of a block comment.

    Args:
        text: What to say; may hold anything.
        width: Columns a line may take.
        first: What the first line begins with, `/* ` included.
        rest: What the others begin with.
    """
    safe = "".join(char if char.isprintable() else " " for char in text)
    # Ends and starts of comments, trigraphs and line splices are pulled apart.
    while "??" in safe:
        safe = safe.replace("??", "? ?")
    for old, new in (("*/", "* /"), ("/*", "/ *"), ("\\", "\\ ")):
        safe = safe.replace(old, new)
    lines = textwrap.wrap(
        safe, width - 3, initial_indent=first, subsequent_indent=rest, break_long_words=True,
        break_on_hyphens=False,
    ) or [first]
    return [*lines[:-1], lines[-1].rstrip() + " */"]


def python_string(text: str) -> str:
    """Spell text as a Python string literal of ASCII characters."""
    return ascii(text)
