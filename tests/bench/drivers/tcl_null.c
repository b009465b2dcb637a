/* tcl_null.c — two Tcl commands for benchmarks, in C.
 *
 * `benchnull::call ?arg …?` accepts anything and does nothing: what a command call costs by itself.
 * `benchnull::now` is the time in nanoseconds by the clock that BENCH_CLOCK names (driver.h).
 */
#include <stdlib.h>
#include <string.h>
#include <tcl.h>
#include <time.h>

static int now_command(ClientData data, Tcl_Interp *interp, int count, Tcl_Obj *const objects[])
{
    struct timespec at;
    const char *name = getenv("BENCH_CLOCK");
    const int cpu = name != NULL && strcmp(name, "cpu") == 0;
    (void)data;
    (void)count;
    (void)objects;
    clock_gettime(cpu ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &at);
    Tcl_SetObjResult(interp, Tcl_NewWideIntObj((Tcl_WideInt)at.tv_sec * 1000000000 + at.tv_nsec));
    return TCL_OK;
}

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
    Tcl_CreateObjCommand(interp, "benchnull::now", now_command, NULL, NULL);
    return Tcl_PkgProvide(interp, "benchnull", "1.0");
}
