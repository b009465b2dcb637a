# Print the compiler flags for Tcl's headers and stub library, from this Tcl's own configuration.
set config [::tcl::pkgconfig get includedir,runtime]
set library [::tcl::pkgconfig get libdir,runtime]
puts "-I$config -I$config/tcl[info tclversion] -L$library -ltclstub[info tclversion]"
