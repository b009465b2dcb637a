# watch_latency.tcl -- tell how long events take to the callback of an event loop that was idle.
#
# watch_latency.tcl TCL_DIRECTORY DATA_DIRECTORY SEGMENT: prints "ready", then, when the row's
# altitude becomes -1, the microseconds since the time of the clock in each event's gs.

lassign $argv packages data segment
lappend auto_path $packages
package require aerostore
aerostore::init $data -shm_path $segment

proc note {event} {
    set now [clock microseconds]
    if {[dict get $event new altitude] < 0} {
        set ::done 1
        return
    }
    lappend ::spans [expr {$now - entier([dict get $event new gs])}]
}

set spans {}
FlightState watch -command note
after 0 {puts ready; flush stdout}
vwait done
puts $spans
