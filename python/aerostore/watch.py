"""Watches: a table's changes as they are committed, by whichever process.

A watch reads behind the commits and never holds a writer up.  One that falls behind by most of the
commit queue is told so by an event of kind "overflow"; what it missed is in the table, from where
`Watch.resync` takes it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from aerostore._ffi.query import Plan, Query
from aerostore._ffi.watch import NOW, POSITION, SNAPSHOT, WatchHandle
from aerostore.errors import UsageError
from aerostore.rows import Row, row_class

if TYPE_CHECKING:
    from aerostore._ffi.session import Session

# Waiting goes in steps, so that Ctrl-C and other signals are served between them.
_STEP = 0.1


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a watch.

    Attributes:
        kind: "snapshot" (a row that was there), "live" (the snapshot is complete), "insert",
            "update", "delete", "expire" (deleted by its time to live), or "overflow" (the watch
            fell behind; what was committed up to `position` was missed).
        key: the row's key; None for live and overflow.
        old: the row before its transaction, or None.
        new: the row after it, or None.
        columns: names of the columns an update changed.
        position: where to go on: `watch(start=position)` repeats nothing that came before, and
            misses nothing.  Until the last event of a transaction it is the transaction's start.
        number: of the commit; events of one transaction have the same.
    """

    kind: str
    key: object
    old: Row | None
    new: Row | None
    columns: tuple[str, ...]
    position: int
    number: int


class Watch:
    """A stream of events.  Made by `Table.watch`; iterate it with `for` or `async for`.

    It belongs to the thread that made it, and ends with `close`, with its `with` block or with the
    database.  A `with` block or `close` gives its place back at once; 64 watches can be open.

    Example:
        >>> with flights.watch([(">", "altitude", 30000)], start="snapshot") as events:
        ...     for event in events: ...
    """

    def __init__(
        self,
        session: Callable[[], Session],
        plan: Plan,
        start: str | int,
        timeout: float | None,
    ) -> None:
        words = {"now": (NOW, 0), "snapshot": (SNAPSHOT, 0)}
        if not isinstance(start, int) and start not in words:
            raise UsageError(f'start is "now", "snapshot" or a position, not {start!r}')
        if isinstance(start, int) and not 0 <= start < 2**64:
            raise UsageError(f"no event has the position {start}")
        if timeout is not None and not timeout >= 0:
            raise UsageError(f"the timeout is a number of seconds, not {timeout!r}")
        how, position = words[start] if isinstance(start, str) else (POSITION, start)
        self._handle = WatchHandle(Query(session(), plan), how, position)
        self._table = plan.table
        self._row = row_class(plan.table, tuple(range(len(plan.table.columns))))
        self._timeout = timeout
        self._position: int | None = None
        self._reading: tuple[asyncio.AbstractEventLoop, int] | None = None

    @property
    def position(self) -> int | None:
        """Position of the last event, None before the first."""
        return self._position

    def poll(self) -> Event | None:
        """Return the next event if there is one now, else None."""
        told = self._handle.next()
        if told is None:
            return None
        kind, old_values, new_values, changed, position, number = told
        old = None if old_values is None else self._row(old_values)
        new = None if new_values is None else self._row(new_values)
        row = new if new is not None else old
        self._position = position
        columns = tuple(self._table.columns[index].name for index in changed)
        key = None if row is None else row[self._table.key.name]
        return Event(kind, key, old, new, columns, position, number)

    def resync(self) -> None:
        """Begin again with a snapshot: its rows, "live", then changes.

        Raises:
            UsageError: inside a transaction.
        """
        self._handle.resync()

    def close(self) -> None:
        """End the watch; a second time does nothing."""
        self._unhook()
        self._handle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # ---- for ----

    def __iter__(self) -> Iterator[Event]:
        """Yield events; ends when none came for `timeout` seconds."""
        while True:
            event = self.poll()
            if event is None and not self._wait():
                return
            if event is not None:
                yield event

    def _wait(self) -> bool:
        until = None if self._timeout is None else time.monotonic() + self._timeout
        while True:
            step = _STEP if until is None else min(_STEP, until - time.monotonic())
            if self._handle.wait(max(step, 0)):
                return True
            if until is not None and time.monotonic() >= until:
                return False

    # ---- async for ----

    async def __aiter__(self) -> AsyncIterator[Event]:
        """Yield events without blocking the event loop; ends like the other iterator."""
        loop = asyncio.get_running_loop()
        news = asyncio.Event()
        descriptor = self._handle.descriptor()
        self._unhook()
        loop.add_reader(descriptor, news.set)
        self._reading = (loop, descriptor)
        try:
            while True:
                news.clear()
                while (event := self.poll()) is not None:
                    yield event
                try:
                    await asyncio.wait_for(news.wait(), self._timeout)
                except TimeoutError:
                    return
        finally:
            self._unhook()

    def _unhook(self) -> None:
        if self._reading is not None:
            loop, descriptor = self._reading
            self._reading = None
            if not loop.is_closed():
                loop.remove_reader(descriptor)
