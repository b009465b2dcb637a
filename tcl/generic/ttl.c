/* ttl.c — time to live: reading it, changing it, sweeping on demand. */
#include "aerotcl_private.h"

#include <math.h>
#include <string.h>

/* The engine judges the bounds; this one only has to fit. */
#define SECONDS_MOST 9e12

/* Seconds and the column they count from; one element when it is the last write. */
static int ttl_show(const aetcl_table *table)
{
    int64_t ttl_us = 0;
    int32_t column = -1;
    if (aero_ttl_get(table->state->session, table->index, &ttl_us, &column) != AERO_OK)
        return aetcl_fail_session(table->state);
    Tcl_Obj *list = Tcl_NewListObj(0, NULL);
    Tcl_Obj *seconds = ttl_us % 1000000 == 0 ? Tcl_NewWideIntObj((Tcl_WideInt)(ttl_us / 1000000))
                                             : Tcl_NewDoubleObj((double)ttl_us / 1e6);
    (void)Tcl_ListObjAppendElement(NULL, list, ttl_us == 0 ? Tcl_NewStringObj("off", -1) : seconds);
    if (ttl_us == 0) {
        Tcl_IncrRefCount(seconds);
        Tcl_DecrRefCount(seconds);
    }
    if (column >= 0)
        (void)Tcl_ListObjAppendElement(NULL, list, table->column_names[column]);
    Tcl_SetObjResult(table->state->interp, list);
    return TCL_OK;
}

static int ttl_change(const aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    uint32_t column = 0;
    double seconds = 0;
    const bool off = strcmp(Tcl_GetString(arguments[2]), "off") == 0;
    if (!off && (Tcl_GetDoubleFromObj(NULL, arguments[2], &seconds) != TCL_OK || isnan(seconds) ||
                 seconds <= 0 || seconds > SECONDS_MOST))
        return aetcl_fail_at(table, NULL, AERO_TYPE,
                             Tcl_ObjPrintf("expected seconds, off or sweep, got \"%.100s\"",
                                           Tcl_GetString(arguments[2])));
    if (count == 4 && aetcl_column_of(table, arguments[3], &column) != TCL_OK)
        return TCL_ERROR;
    /* At least a microsecond: less is refused, not taken for no time to live. */
    const double us = seconds * 1e6 < 1 && !off ? 1 : seconds * 1e6;
    if (aero_ttl_set(table->state->session, table->index, off ? 0 : (int64_t)llround(us),
                     count == 4 ? (int32_t)column : -1) != AERO_OK)
        return aetcl_fail_session(table->state);
    return ttl_show(table);
}

/* Sweep one table, or all (-1): the rows that were deleted. */
static int sweep(aetcl_state *state, int32_t table)
{
    uint64_t expired = 0;
    if (aero_ttl_sweep(state->session, table, &expired) != AERO_OK)
        return aetcl_fail_session(state);
    Tcl_SetObjResult(state->interp, Tcl_NewWideIntObj((Tcl_WideInt)expired));
    return TCL_OK;
}

/* ttl ?seconds|off|sweep? ?column?: seconds and column now; of sweep, the rows deleted */
int aetcl_ttl(aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    if (count > 4 || (count == 4 && strcmp(Tcl_GetString(arguments[2]), "sweep") == 0))
        return aetcl_table_usage(table, "ttl ?seconds|off|sweep? ?column?");
    if (aetcl_session(table->state) != TCL_OK)
        return TCL_ERROR;
    if (count == 2)
        return ttl_show(table);
    if (strcmp(Tcl_GetString(arguments[2]), "sweep") == 0)
        return sweep(table->state, (int32_t)table->index);
    return ttl_change(table, count, arguments);
}

/* ttl_sweep: of all tables */
int aetcl_ttl_sweep(aetcl_state *state, int count, Tcl_Obj *const arguments[])
{
    (void)arguments;
    if (count != 1)
        return aetcl_fail(state->interp, AERO_USAGE,
                          Tcl_ObjPrintf("usage: %s::ttl_sweep", state->schema->package));
    if (aetcl_session(state) != TCL_OK)
        return TCL_ERROR;
    return sweep(state, -1);
}
