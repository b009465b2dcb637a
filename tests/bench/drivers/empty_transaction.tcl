# empty_transaction.tcl -- what an empty transaction costs in tclsh, beside an empty command.
#
# Usage: tclsh empty_transaction.tcl TCL_DIR NULL_EXTENSION FOLDER OPERATIONS ROUNDS

lassign $argv tclDir nullExtension folder operations rounds
lappend auto_path $tclDir
package require aerostore
load $nullExtension Benchnull
aerostore::init $folder/data -shm_path $folder/segment -size [expr {64 << 20}]

proc emptyCommand {operations} {
    for {set i 0} {$i < $operations} {incr i} {benchnull::call {}}
}
proc emptyTransaction {operations} {
    for {set i 0} {$i < $operations} {incr i} {aerostore::transaction {}}
}

set ways {{empty command} emptyCommand aerostore emptyTransaction}
for {set round 0} {$round <= $rounds} {incr round} {
    foreach {peer way} $ways {
        set start [benchnull::now]
        $way $operations
        set took [expr {double([benchnull::now] - $start) / $operations}]
        if {$round > 0} {
            puts [format {{"what": "tcl transaction", "peer": "%s", "round": %d, "value": %.3f, "unit": "ns/row"}} \
                $peer $round $took]
        }
    }
    set ways [list {*}[lrange $ways 2 end] {*}[lrange $ways 0 1]]
}
