/* stats.c — statistics of the engine as a dict: name → value, and for each table a dict of its own
 * under the table's name.
 */
#include <string.h>

#include "aerotcl_private.h"

static Tcl_Obj *plain_object(const aero_value *value)
{
    switch (value->type) {
    case AERO_TYPE_DOUBLE:
        return Tcl_NewDoubleObj(value->u.real);
    case AERO_TYPE_TEXT:
        return aetcl_string(value->u.data, value->length);
    case AERO_TYPE_NULL:
        return Tcl_NewObj();
    default: /* counters stay below 2^63 */
        return Tcl_NewWideIntObj(value->u.integer);
    }
}

/* stats */
int aetcl_stats(aetcl_state *state, int count, Tcl_Obj *const arguments[])
{
    const aero_stat *stats;
    uint32_t stat_count;
    (void)arguments;
    if (count != 1)
        return aetcl_fail(state->interp, AERO_USAGE,
                          Tcl_ObjPrintf("usage: %s::stats", state->schema->package));
    if (aetcl_session(state) != TCL_OK)
        return TCL_ERROR;
    if (aero_stats(state->session, &stats, &stat_count) != AERO_OK)
        return aetcl_fail_session(state);
    Tcl_Obj *all = Tcl_NewDictObj();
    for (uint32_t i = 0; i < stat_count; i++) {
        Tcl_Obj *path[2];
        int depth = 0;
        if (stats[i].table >= 0 && (uint32_t)stats[i].table < state->schema->table_count)
            path[depth++] = Tcl_NewStringObj(state->schema->tables[stats[i].table].name, -1);
        path[depth++] = Tcl_NewStringObj(stats[i].name, -1);
        (void)Tcl_DictObjPutKeyList(NULL, all, depth, path, plain_object(&stats[i].value));
        for (int k = 0; k < depth; k++) { /* the dict has its own reference if it kept the name */
            Tcl_IncrRefCount(path[k]);
            Tcl_DecrRefCount(path[k]);
        }
    }
    Tcl_SetObjResult(state->interp, all);
    return TCL_OK;
}
