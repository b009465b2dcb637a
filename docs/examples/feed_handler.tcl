# feed_handler.tcl -- takes positions from TCP connections into a table, in batches.
#
# Usage: tclsh feed_handler.tcl ?data_dir? ?port? ?-once n?
#
# A line is a row, as `FlightState ingest_tsv` reads it.  Lines are gathered for a tenth of a second
# or up to 500, and go in as one transaction.  When a line is malformed nothing of its batch is
# applied; the lines are then taken one by one, and the bad ones go to rejected.tsv with the reason.
# With port 0 the system chooses one; -once n ends the program after n connections.

package require aerostore

set data_dir [expr {$argc > 0 ? [lindex $argv 0] : "feed_data"}]
set port [expr {$argc > 1 ? [lindex $argv 1] : 7001}]
set connections_left [expr {[lindex $argv 2] eq "-once" ? [lindex $argv 3] : -1}]

set pending {}
set timer {}
array set count {rows 0 batches 0 rejected 0}

proc connected {chan host port} {
    fconfigure $chan -blocking 0 -buffering line -encoding utf-8 -translation lf
    fileevent $chan readable [list readable $chan]
}

proc readable {chan} {
    global pending timer
    while {[gets $chan line] >= 0} {
        lappend pending $line
    }
    if {[eof $chan]} {
        close $chan
        disconnected
    } elseif {[llength $pending] >= 500} {
        take_in
    } elseif {$timer eq ""} {
        set timer [after 100 take_in]
    }
}

proc disconnected {} {
    global connections_left done
    take_in
    if {$connections_left > 0 && [incr connections_left -1] == 0} {
        set done 1
    }
}

proc take_in {} {
    global pending timer count
    after cancel $timer
    set timer {}
    set lines $pending
    set pending {}
    if {[llength $lines] == 0} return
    try {
        FlightState ingest_tsv [join $lines \n] 500
        incr count(rows) [llength $lines]
        incr count(batches)
    } trap {AEROSTORE} {} {
        foreach line $lines { take_one $line }
    }
}

proc take_one {line} {
    global count
    try {
        FlightState ingest_tsv $line
        incr count(rows)
    } trap {AEROSTORE} message {
        incr count(rejected)
        set chan [open rejected.tsv a]
        fconfigure $chan -encoding utf-8
        puts $chan "$line\t# $message"
        close $chan
    }
}

aerostore::init $data_dir
aerostore::set_config aerostore.synchronous_commit off  ;# a feed can be asked again for the last moment
set server [socket -server connected -myaddr 127.0.0.1 $port]
puts "listening on [lindex [fconfigure $server -sockname] 2]"
flush stdout
vwait done
puts "$count(rows) rows, $count(rejected) rejected, [FlightState count] flights"
aerostore::close
