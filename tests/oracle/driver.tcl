# driver.tcl -- run a file of searches in one tclsh and print what each finds.
#
# Usage: tclsh driver.tcl PACKAGE_DIR PACKAGE TABLE DATA_DIR SHM_PATH REQUESTS
#
# A request is a line holding a Tcl list: mode, fields, and the search options or arguments.  The
# answer is one line a row, cells joined with tabs (\N: the variable was not set), and a line with a
# record separator and the command's result.

lassign $argv packageDir package table dataDir shmPath requests
lappend auto_path $packageDir
package require $package
${package}::init $dataDir -shm_path $shmPath
chan configure stdout -encoding utf-8 -translation lf

proc escape {value} {
    string map [list \\ \\\\ \t \\t \n \\n \r \\r] $value
}

proc emit {cells} {
    puts [join [lmap cell $cells {escape $cell}] \t]
}

namespace eval mode {}

proc mode::array {table fields options} {
    $table search {*}$options -fields $fields -array row -code {
        puts [join [lmap field $fields {
            if {[info exists row($field)]} {escape $row($field)} else {string cat \\N}
        }] \t]
    }
}
proc mode::array_with_nulls {table fields options} {
    $table search {*}$options -fields $fields -array_with_nulls row -code {
        emit [lmap field $fields {set row($field)}]
    }
}
proc mode::get {table fields options} {
    $table search {*}$options -fields $fields -get row -code {emit $row}
}
proc mode::array_get {table fields options} {
    $table search {*}$options -fields $fields -array_get row -code {
        puts [join [lmap field $fields {
            if {[dict exists $row $field]} {escape [dict get $row $field]} else {string cat \\N}
        }] \t]
    }
}
proc mode::array_get_with_nulls {table fields options} {
    $table search {*}$options -fields $fields -array_get_with_nulls row -code {
        emit [lmap field $fields {dict get $row $field}]
    }
}
proc mode::key {table fields options} {
    $table search {*}$options -key key -code {emit [list $key]}
}
proc mode::count {table fields options} {
    $table search {*}$options -countOnly 1
}
proc mode::tabsep {table fields options} {
    $table search {*}$options -fields $fields -write_tabsep stdout
}
proc mode::tabsep_nokeys {table fields options} {
    $table search {*}$options -fields $fields -nokeys 1 -write_tabsep stdout
}
proc mode::get_key {table fields options} {
    emit [$table get [lindex $options 0] {*}$fields]
    $table exists [lindex $options 0]
}
proc mode::rows {table fields options} {
    $table count
}
proc mode::dump {table fields options} {
    $table write_tabsep stdout
}

set channel [open $requests]
chan configure $channel -encoding utf-8 -translation lf
while {[gets $channel line] >= 0} {
    lassign $line mode fields options
    if {[catch {mode::$mode $table $fields $options} result]} {
        set result "ERROR $::errorCode $result"
    }
    puts "\x1e$result"
}
close $channel
${package}::close
