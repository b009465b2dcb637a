# How `package require aerostore` finds the library of a checkout, built by `python3 tasks.py build`.
# Other packages have an index beside their library.
if {![package vsatisfies [package provide Tcl] 8.6-]} {return}
package ifneeded aerostore 0.1 \
    [list load [file join $dir .. build aerostore libaerostore.so] Aerostore]
