# common.tcl -- what the test files share: finding the packages, a database of one's own, rows.
#
# Each file opens its own database in its own folder with its own segment, and removes both.

package require Tcl 8.6
package require tcltest 2.5
namespace import -force ::tcltest::*

namespace eval ::common {
    variable root [file dirname [file dirname [file normalize [info script]]]]
    variable folders {}

    # Where the packages are: $AEROSTORE_TCL_DIR, else the checkout's tcl/; others in build/.
    variable tcl [file join $root tcl]
    if {[info exists ::env(AEROSTORE_TCL_DIR)]} {
        set tcl $::env(AEROSTORE_TCL_DIR)
    }
    variable packages [concat [list $tcl] [lsort [glob -nocomplain -type d [file join $root build *]]]]
    foreach folder $packages {
        if {$folder ni $::auto_path} {
            lappend ::auto_path $folder
        }
    }
    unset folder

    # Make a folder that [end_of_file] removes.
    proc folder {} {
        variable folders
        close [file tempfile path [file join [::tcltest::temporaryDirectory] aerostore]]
        file delete $path
        file mkdir $path
        lappend folders $path
        return $path
    }

    # Options of `init` for a database in a folder.
    proc place {folder} {
        return [list [file join $folder data] -shm_path [file join $folder segment] -size 256MiB]
    }

    # Open a fresh database for a package and return its folder.
    proc open {{package aerostore}} {
        set folder [folder]
        ${package}::close
        ${package}::init {*}[place $folder]
        return $folder
    }

    # Put rows into FlightState: key lat lon altitude gs updated_at typ dest.
    proc load_rows {rows} {
        FlightState reset
        foreach row $rows {
            lassign $row key lat lon altitude gs updated_at typ dest
            FlightState set $key lat $lat lon $lon altitude $altitude gs $gs \
                updated_at $updated_at typ $typ dest $dest
        }
    }

    # Five rows that most tests look at.
    proc sample {} {
        load_rows {
            {UAL1   37.5  -122.25 35000 450.5 1533099600 B738 KSFO}
            {UAL2   38.0  -121.0  12000 300.0 1533099601 A320 KLAX}
            {SWR3   47.25   8.5   {}    {}    1533099602 {}   LSZH}
            {DLH4   50.0    8.5    9000 250.0 1533099603.25 A320 {}}
            {kwvi5  36.9 -121.75    500 90.0  1533099604 C172 KWVI}
        }
    }

    # Keys of a search, in its order.
    proc keys {args} {
        set keys {}
        FlightState search {*}$args -key key -code {lappend keys $key}
        return $keys
    }

    # Run a script in another tclsh; what it writes is the result.
    proc other {script} {
        variable packages
        set chan [::open [list |[auto_execok tclsh8.6] 2>@1] r+]
        fconfigure $chan -encoding utf-8
        puts $chan "fconfigure stdout -encoding utf-8; set auto_path \[concat \$auto_path [list $packages]\]"
        puts $chan "package require aerostore"
        puts $chan $script
        puts $chan exit
        flush $chan
        chan close $chan write
        set out [read $chan]
        catch {::close $chan} ;# it may have been killed
        return [string trim $out]
    }

    # How many transaction slots are in use.
    proc slots {} {
        return [dict get [aerostore::stats] slots_in_use]
    }

    proc end_of_file {} {
        variable folders
        foreach package {aerostore market} {
            if {[package provide $package] ne ""} {
                ${package}::close
            }
        }
        file delete -force {*}$folders
        set folders {}
        ::tcltest::cleanupTests
    }
}

::tcltest::testConstraint tclsh [expr {[auto_execok tclsh8.6] ne ""}]
::tcltest::testConstraint market \
    [expr {[file exists [file join $::common::root build market pkgIndex.tcl]]}]

package require aerostore
