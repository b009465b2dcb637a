/* aerotcl.h — the Tcl door of a compiled package: what generated initialisers call.
 *
 * The generated P_tcl.c is three functions of one line each, P_Init, P_SafeInit and P_Unload, which
 * pass the package's schema on.  Everything else about Tcl is written once, in this directory, over
 * descriptors; no table is named here.
 *
 * The library is built with Tcl's stubs: it carries no Tcl symbol, so Python can load it too.
 *
 * Concurrency: an interpreter belongs to one thread; interpreters of several threads may be
 * initialised at once.
 */
#ifndef AEROTCL_H
#define AEROTCL_H

/* Without it tcl.h makes the mutexes nothing.  A Tcl that has no threads has functions that do
 * nothing. */
#ifndef TCL_THREADS
#define TCL_THREADS 1
#endif
#include <tcl.h>

struct aero_schema;

/* Make the package's commands in an interpreter: the namespace ::P with its commands, one command a
 * table, and imports of the tables into the global namespace where their names are free.  May be
 * called again.  TCL_ERROR with a message when the library and its schema do not fit together. */
int AeroTcl_Init(Tcl_Interp *interp, const struct aero_schema *schema);

/* The same for a safe interpreter: the commands that only read, on the process's database. */
int AeroTcl_SafeInit(Tcl_Interp *interp, const struct aero_schema *schema);

/* Take the commands away and close the interpreter's session.  TCL_ERROR while one of the commands
 * runs.  `flags` are those of Tcl's `unload`. */
int AeroTcl_Unload(Tcl_Interp *interp, int flags, const struct aero_schema *schema);

#endif
