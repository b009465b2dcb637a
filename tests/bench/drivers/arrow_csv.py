"""Read the flights with pyarrow's CSV reader on one thread, typed; print one measurement.

Usage: arrow_csv.py FLIGHTS.TSV
"""

import json
import os
import sys
import time

import pyarrow as pa
from pyarrow import csv

NAMES = ["flight_id", "lat", "lon", "altitude", "gs", "updated_at", "typ", "dest"]
TYPES = {
    "flight_id": pa.string(), "lat": pa.float64(), "lon": pa.float64(), "altitude": pa.int32(),
    "gs": pa.float64(), "updated_at": pa.float64(), "typ": pa.string(), "dest": pa.string(),
}
now_ns = time.process_time_ns if os.environ.get("BENCH_CLOCK") == "cpu" else time.perf_counter_ns


def main(path: str) -> None:
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    start = now_ns()
    table = csv.read_csv(
        path,
        read_options=csv.ReadOptions(use_threads=False, column_names=NAMES),
        parse_options=csv.ParseOptions(delimiter="\t", quote_char=False),
        convert_options=csv.ConvertOptions(column_types=TYPES),
    )
    took = now_ns() - start
    print(json.dumps({"what": "ingest", "peer": "pyarrow", "unit": "ns/row",
                      "value": took / table.num_rows}))


main(sys.argv[1])
