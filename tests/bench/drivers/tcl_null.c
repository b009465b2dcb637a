/* tcl_null.c — a Tcl command that does nothing, in C: what one command call costs by itself.
 *
 * `benchnull::call ?arg …?` accepts anything and returns the empty result.
 */
#include <tcl.h>

static int null_command(ClientData data, Tcl_Interp *interp, int count, Tcl_Obj *const objects[])
{
    (void)data;
    (void)interp;
    (void)count;
    (void)objects;
    return TCL_OK;
}

__attribute__((visibility("default"))) int Benchnull_Init(Tcl_Interp *interp)
{
    if (Tcl_InitStubs(interp, "8.6-", 0) == NULL)
        return TCL_ERROR;
    Tcl_CreateObjCommand(interp, "benchnull::call", null_command, NULL, NULL);
    return Tcl_PkgProvide(interp, "benchnull", "1.0");
}
