"""Aerostore: transactional tables in shared memory, for Python and Tcl.

>>> import aerostore
>>> with aerostore.open("var/flights") as db:
...     flights = db.table("FlightState")
...     flights.ingest_tsv("positions.tsv")
...     for row in flights.search([(">", "altitude", 30000)], sort=["-altitude"], limit=10):
...         print(row.flight_id, row.altitude)
"""

from aerostore._model import Column, Index, Parameter
from aerostore.database import (
    CheckpointReport,
    Database,
    VerifyReport,
    open,  # noqa: A004 - the contract's name
)
from aerostore.errors import (
    AccessDenied,
    CorruptionError,
    Error,
    InternalError,
    Interrupted,
    LayoutMismatch,
    LimitExceeded,
    LockTimeout,
    NotDurable,
    NotNullViolation,
    OutOfMemory,
    ParseError,
    ReadOnlyError,
    RowNotFound,
    SchemaError,
    SerializationFailure,
    StaleHandle,
    StorageError,
    StorageFull,
    TooManyTransactions,
    TransactionCancelled,
    TypeMismatch,
    UniqueViolation,
    UnknownName,
    UsageError,
    ValueTooLong,
)
from aerostore.files import FilesReport, repair, restore, verify_files
from aerostore.ingest import IngestReport
from aerostore.query import PreparedSearch, SearchResult
from aerostore.rows import Row
from aerostore.stats import Statistics
from aerostore.table import Table
from aerostore.transaction import Transaction
from aerostore.ttl import Ttl
from aerostore.watch import Event, Watch

__version__ = "0.1.0"

__all__ = [
    "AccessDenied",
    "CheckpointReport",
    "Column",
    "CorruptionError",
    "Database",
    "Error",
    "Event",
    "FilesReport",
    "Index",
    "IngestReport",
    "InternalError",
    "Interrupted",
    "LayoutMismatch",
    "LimitExceeded",
    "LockTimeout",
    "NotDurable",
    "NotNullViolation",
    "OutOfMemory",
    "Parameter",
    "ParseError",
    "PreparedSearch",
    "ReadOnlyError",
    "Row",
    "RowNotFound",
    "SchemaError",
    "SearchResult",
    "SerializationFailure",
    "StaleHandle",
    "Statistics",
    "StorageError",
    "StorageFull",
    "Table",
    "TooManyTransactions",
    "Transaction",
    "TransactionCancelled",
    "Ttl",
    "TypeMismatch",
    "UniqueViolation",
    "UnknownName",
    "UsageError",
    "ValueTooLong",
    "VerifyReport",
    "Watch",
    "open",
    "repair",
    "restore",
    "verify_files",
]
