"""Tell how long events take to an `async for` whose loop was idle: see watch_latency.tcl."""

import asyncio
import sys
import time

import aerostore


async def main(data_dir: str, segment: str) -> None:
    """Collect until the row's altitude becomes -1."""
    spans = []
    with aerostore.open(data_dir, shm_path=segment) as db, db["FlightState"].watch() as watch:
        print("ready", flush=True)
        async for event in watch:
            now = time.time_ns()
            if event.new.altitude < 0:
                break
            spans.append(round(now / 1000 - event.new.gs))
    print(*spans)


asyncio.run(main(*sys.argv[1:]))
