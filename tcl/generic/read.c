/* read.c — subcommands that read single rows, and those that list keys.
 *
 * A row that does not exist reads as an empty result, as in speedtables; `isnull` and `null` need
 * one.
 */
#include "aerotcl_private.h"

/* How `get` and its kin show a row. */
enum form { FORM_VALUES, FORM_PAIRS, FORM_PAIRS_WITH_NULLS };

/* Columns and buffers of one read: the state's scratch.  Who asks for more fields than the table
 * has gets them out of a whole row; the buffers are the pool's then. */
struct fetch {
    uint32_t count;
    const uint32_t *columns;
    aero_value *values;
    Tcl_Obj **objects;
    bool whole;
};

static int prepare(aetcl_table *table, int count, Tcl_Obj *const names[], aetcl_pool *pool,
                   struct fetch *fetch)
{
    aetcl_state *state = table->state;
    uint32_t *columns = state->columns;
    fetch->count = count > 0 ? (uint32_t)count : table->info->column_count;
    fetch->values = state->values;
    fetch->objects = state->objects;
    fetch->whole = fetch->count > table->info->column_count;
    if (fetch->whole) {
        columns = aetcl_pool_take(pool, fetch->count * sizeof *columns);
        fetch->values = aetcl_pool_take(pool, fetch->count * sizeof *fetch->values);
        fetch->objects = aetcl_pool_take(pool, fetch->count * sizeof(Tcl_Obj *));
    }
    fetch->columns = count > 0 ? columns : table->all;
    for (int i = 0; i < count; i++)
        if (aetcl_column_of(table, names[i], &columns[i]) != TCL_OK)
            return TCL_ERROR;
    return TCL_OK;
}

/* Read the row.  *found tells whether there is one. */
static int read_row(aetcl_table *table, Tcl_Obj *key_object, const struct fetch *fetch,
                    aetcl_pool *pool, int32_t *found)
{
    aetcl_state *state = table->state;
    aero_value key;
    if (aetcl_session(state) != TCL_OK || aetcl_key_of(table, key_object, pool, &key) != TCL_OK)
        return TCL_ERROR;
    if (aero_get(state->session, table->index, &key,
                 fetch->whole ? table->info->column_count : fetch->count,
                 fetch->whole ? table->all : fetch->columns,
                 fetch->whole ? state->values : fetch->values, found) != AERO_OK)
        return aetcl_fail_session(state);
    for (uint32_t i = 0; fetch->whole && *found && i < fetch->count; i++)
        fetch->values[i] = state->values[fetch->columns[i]];
    return TCL_OK;
}

static Tcl_Obj *shape_row(const aetcl_table *table, const struct fetch *fetch, enum form form)
{
    aetcl_objects_of(table, fetch->count, fetch->columns, fetch->values, fetch->objects);
    if (form == FORM_VALUES)
        return Tcl_NewListObj((Tcl_Size)fetch->count, fetch->objects);
    Tcl_Obj *list = Tcl_NewListObj(0, NULL);
    for (uint32_t i = 0; i < fetch->count; i++) {
        if (form == FORM_PAIRS && fetch->values[i].type == AERO_TYPE_NULL)
            continue; /* its object is the state's, nothing is lost */
        Tcl_ListObjAppendElement(NULL, list, table->column_names[fetch->columns[i]]);
        Tcl_ListObjAppendElement(NULL, list, fetch->objects[i]);
    }
    return list;
}

static int get_as(aetcl_table *table, int count, Tcl_Obj *const arguments[], enum form form,
                  const char *usage)
{
    aetcl_pool pool = {NULL};
    struct fetch fetch;
    int32_t found = 0;
    if (count < 3)
        return aetcl_table_usage(table, usage);
    int code = prepare(table, count - 3, arguments + 3, &pool, &fetch);
    if (code == TCL_OK)
        code = read_row(table, arguments[2], &fetch, &pool, &found);
    if (code == TCL_OK && found)
        Tcl_SetObjResult(table->state->interp, shape_row(table, &fetch, form));
    aetcl_pool_free(&pool);
    return code;
}

/* get key ?field …? */
int aetcl_get(aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    return get_as(table, count, arguments, FORM_VALUES, "get key ?field ...?");
}

/* array_get key ?field …? */
int aetcl_array_get(aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    return get_as(table, count, arguments, FORM_PAIRS, "array_get key ?field ...?");
}

/* array_get_with_nulls key ?field …? */
int aetcl_array_get_with_nulls(aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    return get_as(table, count, arguments, FORM_PAIRS_WITH_NULLS,
                  "array_get_with_nulls key ?field ...?");
}

/* isnull key field ?field …? */
int aetcl_isnull(aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    aetcl_pool pool = {NULL};
    struct fetch fetch;
    int32_t found = 0;
    if (count < 4)
        return aetcl_table_usage(table, "isnull key field ?field ...?");
    int code = prepare(table, count - 3, arguments + 3, &pool, &fetch);
    if (code == TCL_OK)
        code = read_row(table, arguments[2], &fetch, &pool, &found);
    if (code == TCL_OK && !found)
        code = aetcl_fail_at(table, NULL, AERO_NOT_FOUND,
                             Tcl_ObjPrintf("%s: no such key", table->info->name));
    if (code == TCL_OK) {
        Tcl_Obj *list = Tcl_NewListObj(0, NULL);
        for (uint32_t i = 0; i < fetch.count; i++)
            Tcl_ListObjAppendElement(NULL, list,
                                     Tcl_NewBooleanObj(fetch.values[i].type == AERO_TYPE_NULL));
        Tcl_SetObjResult(table->state->interp, list);
    }
    aetcl_pool_free(&pool);
    return code;
}

/* exists key */
int aetcl_exists(aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    aetcl_pool pool = {NULL};
    aero_value key;
    int32_t found = 0;
    if (count != 3)
        return aetcl_table_usage(table, "exists key");
    int code = aetcl_session(table->state);
    if (code == TCL_OK)
        code = aetcl_key_of(table, arguments[2], &pool, &key);
    if (code == TCL_OK && aero_exists(table->state->session, table->index, &key, &found) != AERO_OK)
        code = aetcl_fail_session(table->state);
    aetcl_pool_free(&pool);
    if (code == TCL_OK)
        Tcl_SetObjResult(table->state->interp, Tcl_NewBooleanObj(found));
    return code;
}

/* count */
int aetcl_count(aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    uint64_t rows = 0;
    (void)arguments;
    if (count != 2)
        return aetcl_table_usage(table, "count");
    if (aetcl_session(table->state) != TCL_OK)
        return TCL_ERROR;
    if (aero_count(table->state->session, table->index, &rows) != AERO_OK)
        return aetcl_fail_session(table->state);
    Tcl_SetObjResult(table->state->interp, Tcl_NewWideIntObj((Tcl_WideInt)rows));
    return TCL_OK;
}

/* A query of all rows whose key matches the pattern (NULL: of all rows). */
static int key_query(aetcl_table *table, Tcl_Obj *pattern, aero_query **query)
{
    *query = NULL;
    if (aetcl_session(table->state) != TCL_OK)
        return TCL_ERROR;
    if (aero_query_new(table->state->session, table->index, query) != AERO_OK)
        return aetcl_fail_session(table->state);
    return pattern != NULL ? aetcl_add_glob(table, *query, pattern) : TCL_OK;
}

static int collect_keys(aetcl_table *table, aero_query *query)
{
    aetcl_state *state = table->state;
    const uint32_t column = table->info->key_column;
    const aero_row *row;
    aero_cursor *cursor;
    Tcl_Obj *list = Tcl_NewListObj(0, NULL);
    int code = TCL_OK;
    if (aero_cursor_open(query, &cursor) != AERO_OK) {
        Tcl_DecrRefCount(list);
        return aetcl_fail_session(state);
    }
    Tcl_IncrRefCount(list);
    while (code == TCL_OK) {
        aero_value value;
        if (aero_cursor_next(cursor, &row) != AERO_OK) {
            code = aetcl_fail_session(state);
            break;
        }
        if (row == NULL)
            break;
        aero_row_values(row, 1, &column, &value);
        Tcl_ListObjAppendElement(NULL, list, aetcl_object_of(table, column, &value));
        code = aetcl_check_limits(state->interp);
    }
    aero_cursor_close(cursor);
    if (code == TCL_OK)
        Tcl_SetObjResult(state->interp, list);
    Tcl_DecrRefCount(list);
    return code;
}

/* names ?pattern? */
int aetcl_names(aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    aero_query *query;
    if (count > 3)
        return aetcl_table_usage(table, "names ?pattern?");
    aetcl_enter(table->state);
    int code = key_query(table, count == 3 ? arguments[2] : NULL, &query);
    if (code == TCL_OK)
        code = collect_keys(table, query);
    if (query != NULL)
        aero_query_free(query);
    aetcl_leave(table->state);
    return code;
}

/* foreach varName ?pattern? code */
int aetcl_foreach(aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    aero_query *query;
    if (count < 4 || count > 5)
        return aetcl_table_usage(table, "foreach varName ?pattern? code");
    aetcl_enter(table->state);
    int code = key_query(table, count == 5 ? arguments[3] : NULL, &query);
    if (code == TCL_OK) {
        aetcl_walk walk = {
            .table = table,
            .query = query,
            .key_variable = arguments[2],
            .code = arguments[count - 1],
        };
        code = aetcl_walk_rows(&walk);
        if (code == TCL_OK)
            Tcl_ResetResult(table->state->interp);
    }
    if (query != NULL)
        aero_query_free(query);
    aetcl_leave(table->state);
    return code;
}
