"""A market-data table with a declaration of its own: best prices per venue, and across venues.

    aerostore compile quotes.py -o build-quotes
    python market_data.py [data_dir] [package_dir]

A feed process writes quotes; this one watches them and keeps the best bid and offer of each symbol.
"""

import multiprocessing
import os
import sys

import aerostore

DATA = sys.argv[1] if len(sys.argv) > 1 else "market_data"
PACKAGE = sys.argv[2] if len(sys.argv) > 2 else "build-quotes"

INSTRUMENTS = b"ACME\tAcme Explosives\tUSD\nGLOBX\tGlobex\tEUR\n"
QUOTES = [
    ("ACME", "XNYS", 41.10, 300, 41.14, 200, 1700000000.0),
    ("ACME", "XNAS", 41.11, 100, 41.13, 500, 1700000000.25),
    ("GLOBX", "XETR", 88.20, 50, None, 0, 1700000001.0),
    ("ACME", "XNYS", 41.12, 200, 41.15, 100, 1700000001.5),
    ("GLOBX", "XETR", 88.20, 50, 88.40, 70, 1700000002.0),
]
COLUMNS = ("symbol", "venue", "bid", "bid_size", "ask", "ask_size", "quoted_at")


def feed(database: aerostore.Database) -> None:
    """Write the quotes, as a process of its own would from the exchange's line."""
    quotes = database.table("Quote")
    for values in QUOTES:
        quote = dict(zip(COLUMNS, values, strict=True))
        quotes.upsert({"quote_id": f"{quote['symbol']}@{quote['venue']}", **quote})


def best(database: aerostore.Database, symbol: str) -> tuple[float | None, float | None]:
    """Return the best bid and offer of a symbol over all venues, as of one moment."""
    quotes = database.table("Quote")
    with database.transaction(isolation="read_only"):
        of_symbol = [("=", "symbol", symbol)]
        bid = quotes.search([*of_symbol, ("notnull", "bid")], sort=["-bid"], limit=1).first()
        ask = quotes.search([*of_symbol, ("notnull", "ask")], sort=["ask"], limit=1).first()
    return bid and bid.bid, ask and ask.ask


def main() -> None:
    """Load the instruments, follow the feed, show the book."""
    with aerostore.open(DATA, package=PACKAGE, size="64MiB") as database:
        instruments = database.table("Instrument")
        instruments.ingest_tsv(INSTRUMENTS)
        with database.table("Quote").watch(timeout=30) as events:
            writer = multiprocessing.get_context("fork").Process(target=feed, args=(database,))
            writer.start()
            for number, event in enumerate(events, 1):
                symbol = event.new.symbol
                bid, ask = best(database, symbol)
                if number == len(QUOTES):
                    print(f"{symbol}: bid {bid} ask {ask}, changed {' '.join(event.columns)}")
                    break
            writer.join()
        for row in instruments.search(sort=["symbol"]):
            bid, ask = best(database, row.symbol)
            print(f"{row.symbol:6} {row.currency} {bid} / {ask}")
    sys.exit(writer.exitcode or os.EX_OK)


if __name__ == "__main__":
    main()
