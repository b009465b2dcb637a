# access.tcl -- reading rows in tclsh: three fields by key, and three columns of every row.
#
# Usage: tclsh access.tcl TCL_DIR NULL_EXTENSION FLIGHTS.TSV FOLDER ROWS OPERATIONS ROUNDS
#
# Every peer runs the same random keys in a compiled loop, in alternating order.  The empty command
# and the empty loop tell what the loop and a command call cost by themselves.  Prints one JSON
# object a measurement.

lassign $argv tclDir nullExtension flights folder rows operations rounds
lappend auto_path $tclDir
package require aerostore
load $nullExtension Benchnull
aerostore::init $folder/data -shm_path $folder/segment -size [expr {$rows * 512 + (128 << 20)}]
FlightState ingest_file $flights

set withSqlite [expr {![catch {package require sqlite3}]}]
if {$withSqlite} {
    sqlite3 db :memory:
    db eval {
        PRAGMA journal_mode = OFF;
        CREATE TABLE FlightState(flight_id TEXT PRIMARY KEY, lat REAL NOT NULL, lon REAL NOT NULL,
            altitude INTEGER, gs REAL, updated_at REAL NOT NULL, typ TEXT, dest TEXT) WITHOUT ROWID
    }
    db copy abort FlightState $flights "\t"
}

proc report {what peer round count took} {
    puts [format {{"what": "%s", "peer": "%s", "round": %d, "value": %.3f, "unit": "ns/row"}} \
        $what $peer $round [expr {double($took) / $count}]]
    flush stdout
}

# The dictionary of dictionaries that a program without a store would keep.
proc buildDict {path} {
    set all [dict create]
    set channel [open $path]
    while {[gets $channel line] >= 0} {
        lassign [split $line \t] key lat lon altitude
        dict set all $key [dict create lat [expr {double($lat)}] lon [expr {double($lon)}] \
            altitude [expr {int($altitude)}]]
    }
    close $channel
    return $all
}

# Keys as the made-up flights have them (driver.h), as fresh values: nobody profits from an object that is in its table already.
proc randomKeys {count rows} {
    set keys {}
    for {set i 0} {$i < $count} {incr i} {
        lappend keys [format %012lx [expr {int(rand() * $rows) * 28147497}]]
    }
    return $keys
}

namespace eval get {}
proc get::emptyLoop {keys} {
    foreach k $keys {}
}
proc get::emptyCommand {keys} {
    foreach k $keys {benchnull::call get $k lat lon altitude}
}
proc get::aerostore {keys} {
    foreach k $keys {FlightState get $k lat lon altitude}
}
proc get::dictGet {keys} {
    global all
    foreach k $keys {dict get $all $k}
}
proc get::sqlite {keys} {
    foreach k $keys {
        db eval {SELECT lat, lon, altitude FROM FlightState WHERE flight_id = $k}
    }
}

namespace eval fetch {}
proc fetch::get {} {
    FlightState search -fields {lat lon altitude} -get row -code {}
}
proc fetch::array {} {
    FlightState search -fields {lat lon altitude} -array row -code {}
}
proc fetch::sqlite {} {
    db eval {SELECT lat, lon, altitude FROM FlightState} {}
}
proc fetch::sqliteArray {} {
    db eval {SELECT lat, lon, altitude FROM FlightState} row {}
}

# Run each peer once per round, starting with another one each time; round 0 warms up.
proc alternate {what peers count rounds arguments} {
    for {set round 0} {$round <= $rounds} {incr round} {
        for {set turn 0} {$turn < [llength $peers]} {incr turn} {
            lassign [lindex $peers [expr {($turn + $round) % [llength $peers]}]] name command
            set start [benchnull::now]
            $command {*}$arguments
            set took [expr {[benchnull::now] - $start}]
            if {$round > 0} {
                report $what $name $round $count $took
            }
        }
    }
}

set scans {{{aerostore -get} fetch::get} {{aerostore -array} fetch::array}}
if {$withSqlite} {
    lappend scans {sqlite fetch::sqlite} {{sqlite array} fetch::sqliteArray}
}
alternate {tcl search} $scans $rows $rounds {}

set all [buildDict $flights]
expr {srand(20180801)}
set keys [randomKeys $operations $rows]
set gets {{{empty loop} get::emptyLoop} {{empty command} get::emptyCommand}
    {aerostore get::aerostore} {{dict get} get::dictGet}}
if {$withSqlite} {
    lappend gets {sqlite get::sqlite}
}
alternate {tcl get} $gets $operations $rounds [list $keys]
aerostore::close
