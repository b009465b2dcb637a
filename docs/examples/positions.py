"""A first look from Python: take positions in, search them, change one.

Usage: python positions.py [data_dir]
"""

import sys

import aerostore

FEED = b"""\
UAL123\t37.6189\t-122.3750\t31000\t452.5\t1533099600\tB738\tKJFK
SWR8\t47.4647\t8.5492\t38000\t481.0\t1533099601\tA333\tKORD
DLH400\t50.0264\t8.5431\t\t\t1533099602\tA388\tKJFK
"""

with aerostore.open(sys.argv[1] if len(sys.argv) > 1 else "positions_data") as db:
    flights = db.table("FlightState")
    report = flights.ingest_tsv(FEED)
    print(f"{report.inserted} new flights, {report.updated} known ones")

    # Everything bound for New York, highest first; what has no altitude comes last.
    for row in flights.search([("=", "dest", "KJFK")], sort=["-altitude"]):
        print(row.flight_id, row.altitude)

    # Several changes as one: all of them happen, or none.
    with db.transaction():
        flights.update("UAL123", altitude=33000, dest="KBOS")
        flights.delete("SWR8")
    print(flights["UAL123"].altitude, flights["UAL123"].dest, len(flights))
