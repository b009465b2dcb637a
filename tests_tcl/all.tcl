# all.tcl -- run every test file: tclsh tests_tcl/all.tcl ?tcltest options?

package require Tcl 8.6
package require tcltest 2.5
::tcltest::configure -testdir [file dirname [file normalize [info script]]] {*}$argv
exit [::tcltest::runAllTests]
