"""Watches of a session: the foreign half of `Table.watch`."""

from __future__ import annotations

from typing import Any

from aerostore._ffi.query import Plan, Query, _Handle

NOW, SNAPSHOT, POSITION = range(3)
KINDS = (None, "snapshot", "live", "insert", "update", "delete", "expire", "overflow")

_WORD = 64

Values = tuple[Any, ...]


class WatchHandle(_Handle):
    """A watch (an aero_watch) on a query's conditions."""

    _noun = "watch"

    def __init__(self, query: Query, start: int, position: int | str) -> None:
        """Open a watch; the position, a text or a commit's number, counts if `start` says so."""
        session = query.session
        ffi, lib = session.library.ffi, session.library.lib
        made = ffi.new("aero_watch **")
        arguments: tuple[Any, ...]
        if start == POSITION and isinstance(position, str):
            arguments = (query.handle, position.encode("utf-8", "replace"), made)
            super().__init__(session, lib.aero_watch_open_at, arguments, lib.aero_watch_close)
        else:
            number = position if isinstance(position, int) else 0
            arguments = (query.handle, start, number, made)
            super().__init__(session, lib.aero_watch_open, arguments, lib.aero_watch_close)
        self._query = query  # must outlive the watch
        self._table = query.plan.table
        self._decode = session.library.decoders[self._table.index]
        self._event = ffi.new("aero_event *")
        self._ready = ffi.new("int32_t *")
        text = ffi.new("char[]", lib.AERO_POSITION_SIZE)
        session.check(lib.aero_watch_position_text(self.handle, 0, text, len(text)))
        self._store = ffi.string(text).decode().partition("-")[0]

    @property
    def plan(self) -> Plan:
        """What is watched."""
        return self._query.plan

    def next(self) -> tuple[str, Values | None, Values | None, tuple[int, ...], str, int] | None:
        """Return kind, old and new values, changed columns, position and number; None if none."""
        event = self._event
        self.session.check(self.session.library.lib.aero_watch_next(self.handle, event))
        kind = KINDS[event.kind]
        if kind is None:
            return None
        changed = self._changed() if kind == "update" else ()
        old, new = self._image(event.old_row), self._image(event.new_row)
        position = f"{self._store}-{event.position:020d}"
        return kind, old, new, changed, position, int(event.number)

    def _image(self, image: Any) -> Values | None:
        if not image:
            return None
        return self._decode(self.session.library.ffi.buffer(image, self._table.row_size))

    def _changed(self) -> tuple[int, ...]:
        words = self._event.changed
        return tuple(
            column
            for column in range(len(self._table.columns))
            if words[column // _WORD] >> column % _WORD & 1
        )

    def wait(self, seconds: float) -> bool:
        """Wait for an event, at most so long; other threads run meanwhile."""
        lib = self.session.library.lib
        self.session.check(lib.aero_watch_wait(self.handle, int(seconds * 1e6), self._ready))
        return bool(self._ready[0])

    def resync(self) -> None:
        """Begin again with a snapshot."""
        self.session.check(self.session.library.lib.aero_watch_resync(self.handle))

    def descriptor(self) -> int:
        """Return the descriptor that becomes readable when there may be an event."""
        lib = self.session.library.lib
        self.session.check(lib.aero_watch_descriptor(self.handle, self._ready))
        return int(self._ready[0])
