/* stats.c — statistics of the engine as a dict: name → value, what there are several of as a list
 * of dicts, and under `tables` a dict for each table; it is also found under the table's own name,
 * unless a figure has that name.
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

/* Set a key of a dict that nobody else has. */
static void dict_put(Tcl_Obj *dict, const char *name, Tcl_Size length, Tcl_Obj *value)
{
    (void)Tcl_DictObjPut(NULL, dict, Tcl_NewStringObj(name, length), value);
}

/* The value of a key; when it is missing it becomes what `make` makes, or, when that is NULL,
 * `other`. */
static Tcl_Obj *dict_get(Tcl_Obj *dict, const char *name, Tcl_Size length, Tcl_Obj *(*make)(void),
                         Tcl_Obj *other)
{
    Tcl_Obj *key = Tcl_NewStringObj(name, length);
    Tcl_Obj *value = NULL;
    Tcl_IncrRefCount(key);
    (void)Tcl_DictObjGet(NULL, dict, key, &value);
    if (value == NULL) {
        value = make != NULL ? make() : other;
        (void)Tcl_DictObjPut(NULL, dict, key, value);
    }
    Tcl_DecrRefCount(key);
    return value;
}

static Tcl_Obj *empty_list(void)
{
    return Tcl_NewListObj(0, NULL);
}

/* "list.field" of the item-th element: elements come in order. */
static void item_put(Tcl_Obj *dict, const aero_stat *stat)
{
    const char *point = strchr(stat->name, '.');
    Tcl_Obj *list = dict_get(dict, stat->name, (Tcl_Size)(point - stat->name), empty_list, NULL);
    Tcl_Obj *element = NULL;
    (void)Tcl_ListObjIndex(NULL, list, stat->item, &element);
    if (element == NULL) {
        element = Tcl_NewDictObj();
        (void)Tcl_ListObjAppendElement(NULL, list, element);
    }
    dict_put(element, point + 1, -1, plain_object(&stat->value));
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
    Tcl_Obj *tables = Tcl_NewDictObj();
    for (uint32_t i = 0; i < stat_count; i++) {
        const aero_stat *stat = &stats[i];
        Tcl_Obj *dict = all;
        if (stat->table >= 0 && (uint32_t)stat->table < state->schema->table_count)
            dict = dict_get(tables, state->schema->tables[stat->table].name, -1, Tcl_NewDictObj,
                            NULL);
        if (stat->item >= 0 && strchr(stat->name, '.') != NULL)
            item_put(dict, stat);
        else
            dict_put(dict, stat->name, -1, plain_object(&stat->value));
    }
    for (uint32_t i = 0; i < state->schema->table_count; i++) {
        const char *name = state->schema->tables[i].name;
        (void)dict_get(all, name, -1, NULL, dict_get(tables, name, -1, Tcl_NewDictObj, NULL));
    }
    dict_put(all, "tables", -1, tables);
    Tcl_SetObjResult(state->interp, all);
    return TCL_OK;
}
