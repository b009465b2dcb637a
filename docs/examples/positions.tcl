# positions.tcl -- a first look from Tcl: take positions in, search them, change one.
#
# Usage: tclsh positions.tcl ?data_dir?     (with the package on auto_path)

package require aerostore
aerostore::init [expr {$argc > 0 ? [lindex $argv 0] : "positions_data"}]

# Position reports as they come from a feed: tabs between cells, an empty cell is a missing value.
set feed [join {
    "UAL123\t37.6189\t-122.3750\t31000\t452.5\t1533099600\tB738\tKJFK"
    "SWR8\t47.4647\t8.5492\t38000\t481.0\t1533099601\tA333\tKORD"
    "DLH400\t50.0264\t8.5431\t\t\t1533099602\tA388\tKJFK"
} \n]
set feed [subst -nocommands -novariables $feed]
puts [FlightState ingest_tsv $feed]

# Everything bound for New York, highest first; what has no altitude comes last.
set found [FlightState search -compare {{= dest KJFK}} -sort -altitude -array row -code {
    if {[info exists row(altitude)]} {
        puts "$row(flight_id) at $row(altitude) ft"
    } else {
        puts "$row(flight_id), altitude unknown"
    }
}]
puts "$found flights to KJFK"

# Several changes as one: all of them happen, or none.
aerostore::transaction {
    FlightState set UAL123 altitude 33000 dest KBOS
    FlightState delete SWR8
}
puts [FlightState get UAL123 altitude dest]
aerostore::close
