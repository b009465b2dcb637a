"""Transactions as context managers, and the loop that runs one until it commits."""

from __future__ import annotations

import contextlib
import inspect
import os
import random
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from aerostore import _arguments
from aerostore._ffi.session import Session
from aerostore.errors import Error, StaleHandle, UsageError

if TYPE_CHECKING:
    from aerostore.database import Database

_ISOLATIONS = {"serializable": 0, "snapshot": 1, "read_only": 2}

_RETRIES = 16

# The first pause is about one short transaction; the longest is what a person does not notice.
_PAUSE_FIRST = 0.0005
_PAUSE_LONGEST = 0.05


class Transaction:
    """A transaction, or a savepoint when one is open already.  Made by `Database.transaction`.

    Leaving the block commits; leaving it by an exception rolls back.  It belongs to the thread and
    the process that entered it.

    An interrupt (Ctrl-C) may come while the block is being entered or left, where Python calls no
    `__exit__`, or does not finish it.  What is open then is rolled back when this object goes: with
    the exception, unless the block named it by `as`.
    """

    __slots__ = ("_database", "_depth", "_isolation", "_owner", "_savepoint", "_session")

    def __init__(self, database: Database, isolation: str | None) -> None:
        self._session: Session | None = None  # set while it may be open
        isolation = _arguments.text("isolation", isolation, "serializable")
        if isolation not in _ISOLATIONS:
            raise UsageError(f"unknown isolation {isolation!r}; there are {', '.join(_ISOLATIONS)}")
        self._database = database
        self._isolation = isolation
        self._savepoint: bytes | None = None
        self._owner = 0  # process; the thread is the session's
        self._depth = 0

    @property
    def isolation(self) -> str:
        """The isolation asked for: "serializable", "snapshot" or "read_only"."""
        return self._isolation

    def __enter__(self) -> Transaction:
        if self._session is not None:
            raise UsageError("this transaction was entered already; make another one")
        session = self._database._session()
        # Without a block around this one nothing is open, which saves asking.
        depth = session.depth() if session.blocks else 0
        self._owner = os.getpid()
        self._depth = depth
        self._session = session  # before anything is open: see __del__
        session.blocks += 1
        try:
            if depth == 0:
                session.begin(_ISOLATIONS[self._isolation])
            else:
                # Savepoints of one name hide each other, so the depth alone makes a good name.
                name = b"python %d" % depth
                self._savepoint = name
                session.savepoint(name)
        except Error:
            self._leave(session)
            raise
        return self

    def _leave(self, session: Session) -> None:
        self._session = None
        session.blocks -= 1

    def _is_elsewhere(self, session: Session) -> bool:
        return self._owner != os.getpid() or session.thread != threading.get_ident()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        session = self._session
        if session is None:
            raise UsageError("this transaction is not open")
        try:
            if kind is not None:
                self._undo(session)
            elif self._savepoint is None:
                self._commit(session)
            else:
                session.release(self._savepoint)
        except Error:
            # In another thread or in a child of fork nothing of it is open, and this tells so.  The
            # thread that entered it may still leave it.
            elsewhere = self._is_elsewhere(session)
            if not elsewhere or self._owner != os.getpid():
                self._leave(session)
            if kind is not None:
                return  # the exception under way is the one to tell
            if elsewhere:
                raise StaleHandle(
                    "the transaction belongs to another thread or process"
                ) from None
            raise
        self._session = None
        session.blocks -= 1

    def __del__(self) -> None:
        session = self._session
        if session is None or self._is_elsewhere(session):
            return
        with contextlib.suppress(Error):
            if session.depth() > self._depth:
                self._undo(session)
        self._leave(session)

    def _commit(self, session: Session) -> None:
        try:
            session.commit()
        except Error:
            # A conflict has rolled back already; after any other failure it must not stay open.
            with contextlib.suppress(Error):
                session.rollback()
            raise

    def _undo(self, session: Session) -> None:
        if self._savepoint is None:
            session.rollback()
            return
        session.rollback_to(self._savepoint)
        session.release(self._savepoint)


def run(database: Database, function: Callable[..., Any], retries: int | None) -> Any:
    """Run a function in a transaction until it commits; see Database.run."""
    retries = _arguments.count("retries", retries, _RETRIES)
    if not callable(function):
        raise UsageError(f"run takes a function, not {function!r}")
    arguments = (database,) if _wants_argument(function) else ()
    nested = database._session().depth() > 0
    attempt = 0
    while True:
        try:
            with database.transaction():
                return function(*arguments)
        except Error as error:
            # Inside another transaction the conflict is that one's to repeat.
            if not error.retryable or nested or attempt >= retries:
                raise
        time.sleep(random.uniform(0, min(_PAUSE_LONGEST, _PAUSE_FIRST * 2**attempt)))
        attempt += 1


def _wants_argument(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(
        each.default is each.empty
        and each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
        for each in parameters
    )
