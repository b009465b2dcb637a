"""Watches: a table's changes as they are committed, by whichever process.

A watch reads behind the commits and never holds a writer up.  One that falls behind by most of the
commit queue is told so by an event of kind "overflow"; what it missed is in the table, from where
`Watch.resync` takes it.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from aerostore import _arguments
from aerostore._ffi.query import Plan, Query
from aerostore._ffi.watch import NOW, POSITION, SNAPSHOT, WatchHandle
from aerostore.errors import UsageError
from aerostore.rows import Row, row_class

if TYPE_CHECKING:
    from aerostore._ffi.session import Session

# Waiting goes in steps, so that Ctrl-C and other signals are served between them.
_STEP = 0.1
# Events told to an `async for` before the loop's other tasks have a turn.
_EVENTS_A_TURN = 100


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
            A text that names the store too: another store refuses it.  Texts of one store stand in
            the order of their positions.  Before "live" it is the snapshot's: whoever goes on from
            there misses the rows that had not been told, and begins with "snapshot" instead.
        number: of the commit; events of one transaction have the same.
    """

    kind: str
    key: object
    old: Row | None
    new: Row | None
    columns: tuple[str, ...]
    position: str
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
        words = {"now": NOW, "snapshot": SNAPSHOT}
        if not isinstance(start, (int, str)):
            raise UsageError(f'start is "now", "snapshot" or a position, not {start!r}')
        if isinstance(start, int) and not 0 <= start < 2**64:
            raise UsageError(f"no commit has the number {start}")
        timeout = None if timeout is None else _arguments.seconds("timeout", timeout)
        how = words.get(start, POSITION) if isinstance(start, str) else POSITION
        self._handle = WatchHandle(Query(session(), plan), how, start)
        self._table = plan.table
        self._row = row_class(plan.table, tuple(range(len(plan.table.columns))))
        self._timeout = timeout
        self._position: str | None = None
        self._descriptor: _Descriptor | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._hooked: asyncio.AbstractEventLoop | None = None

    @property
    def position(self) -> str | None:
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
        """End the watch; a second time does nothing.  A task that waits for it gets StaleHandle."""
        self._handle.close()
        self._unhook()
        self._wake()
        if self._descriptor is not None:
            self._descriptor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _until(self) -> float:
        return math.inf if self._timeout is None else time.monotonic() + self._timeout

    # ---- for ----

    def __iter__(self) -> Iterator[Event]:
        """Yield events; ends when none came for `timeout` seconds."""
        until = self._until()
        while True:
            event = self.poll()
            if event is not None:
                yield event
                until = self._until()
            elif not self._wait(until):
                return

    def _wait(self, until: float) -> bool:
        while (left := until - time.monotonic()) > 0:
            if self._handle.wait(min(_STEP, left)):
                return True
        return False

    # ---- async for ----

    async def __aiter__(self) -> AsyncIterator[Event]:
        """Yield events without blocking the event loop; ends like the other iterator.

        Raises:
            UsageError: another task waits for this watch already.
            StaleHandle: the watch or the database was closed.
        """
        loop = asyncio.get_running_loop()
        if self._descriptor is None:
            self._descriptor = _Descriptor(self._handle.descriptor())
        until = self._until()
        told = 0
        try:
            while True:
                while (event := self.poll()) is not None:
                    yield event
                    until = self._until()
                    told += 1
                    if told % _EVENTS_A_TURN == 0:
                        await asyncio.sleep(0)
                if not await self._news(loop, self._descriptor.number, until):
                    return
        finally:
            if self._waiting is None:  # no other task
                self._unhook()

    async def _news(
        self, loop: asyncio.AbstractEventLoop, descriptor: int, until: float
    ) -> bool:
        """Sleep until there may be an event.  False: it is time to end."""
        if self._waiting is not None:
            raise UsageError("another task waits for this watch already")
        self._waiting = loop.create_future()
        # The hook stays from one wait to the next: taking it away and putting it back would cost
        # more than telling an event does.
        if self._hooked is not loop:
            self._unhook()
            loop.add_reader(descriptor, self._readable)
            self._hooked = loop
        try:
            if until == math.inf:
                await self._waiting
            else:
                async with asyncio.timeout(until - time.monotonic()):
                    await self._waiting
        except TimeoutError:
            return False
        finally:
            self._waiting = None
        return True

    def _readable(self) -> None:
        # The descriptor stays readable as long as events are there: while the caller is busy with
        # one, the loop would spin.
        if self._waiting is None:
            self._unhook()
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _unhook(self) -> None:
        loop, self._hooked = self._hooked, None
        if loop is not None and self._descriptor is not None and not loop.is_closed():
            loop.remove_reader(self._descriptor.number)


class _Descriptor:
    """A descriptor of our own for the engine's event.

    The engine's may be closed, and its number used again, while the event loop knows it.
    """

    def __init__(self, number: int) -> None:
        self.number = os.dup(number)

    def close(self) -> None:
        """Close it; a second time does nothing."""
        number, self.number = self.number, -1
        if number >= 0:
            os.close(number)

    def __del__(self) -> None:
        if hasattr(self, "number"):
            self.close()
