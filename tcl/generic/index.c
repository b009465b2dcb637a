/* index.c — the subcommand `index`: making, dropping and looking at a table's ordered indexes.
 *
 * Searches use the indexes by themselves; nothing here is needed to read faster.  An index is named
 * by the list of its fields.
 */
#include <string.h>

#include "aerotcl_private.h"

#define INDEXES_MAX 64

typedef int index_action(aetcl_table *table, uint32_t count, const uint32_t *columns, bool unique);

/* Find the index over just these columns; NOT_FOUND is an error. */
static int look_up(aetcl_table *table, uint32_t count, const uint32_t *columns,
                   aero_index_info *info)
{
    aero_index_info infos[INDEXES_MAX];
    uint32_t found;
    if (aero_index_list(table->state->session, table->index, INDEXES_MAX, infos, &found) != AERO_OK)
        return aetcl_fail_session(table->state);
    for (uint32_t i = 0; i < found && i < INDEXES_MAX; i++) {
        *info = infos[i];
        if (info->column_count == count &&
            memcmp(info->columns, columns, count * sizeof *columns) == 0)
            return TCL_OK;
    }
    return aetcl_fail_at(table, table->info->columns[columns[0]].name, AERO_NOT_FOUND,
                         Tcl_NewStringObj("there is no index over just these fields", -1));
}

static int index_create(aetcl_table *table, uint32_t count, const uint32_t *columns, bool unique)
{
    if (aero_index_create(table->state->session, table->index, count, columns, unique) != AERO_OK)
        return aetcl_fail_session(table->state);
    return TCL_OK;
}

static int index_drop(aetcl_table *table, uint32_t count, const uint32_t *columns, bool unique)
{
    (void)unique;
    if (aero_index_drop(table->state->session, table->index, count, columns) != AERO_OK)
        return aetcl_fail_session(table->state);
    return TCL_OK;
}

/* How many rows the index leads to: every row is in it once. */
static int index_count(aetcl_table *table, uint32_t count, const uint32_t *columns, bool unique)
{
    aero_index_info info;
    uint64_t rows;
    (void)unique;
    if (look_up(table, count, columns, &info) != TCL_OK)
        return TCL_ERROR;
    if (aero_count(table->state->session, table->index, &rows) != AERO_OK)
        return aetcl_fail_session(table->state);
    Tcl_SetObjResult(table->state->interp, Tcl_NewWideIntObj((Tcl_WideInt)rows));
    return TCL_OK;
}

/* The least and the greatest value of the first field; an empty list when all are null. */
static int index_span(aetcl_table *table, uint32_t count, const uint32_t *columns, bool unique)
{
    aero_value ends[2];
    int32_t found;
    (void)unique;
    if (aero_index_span(table->state->session, table->index, count, columns, &ends[0], &ends[1],
                        &found) != AERO_OK)
        return aetcl_fail_session(table->state);
    Tcl_Obj *list = Tcl_NewListObj(0, NULL);
    for (int i = 0; i < 2 && found; i++)
        Tcl_ListObjAppendElement(NULL, list, aetcl_object_of(table, columns[0], &ends[i]));
    Tcl_SetObjResult(table->state->interp, list);
    return TCL_OK;
}

/* With `fields`: names that begin an index, each once.  Else the fields of each index. */
static int show_indexes(aetcl_table *table, bool fields)
{
    aero_index_info infos[INDEXES_MAX];
    uint32_t count;
    if (aero_index_list(table->state->session, table->index, INDEXES_MAX, infos, &count) != AERO_OK)
        return aetcl_fail_session(table->state);
    Tcl_Obj *all = Tcl_NewListObj(0, NULL);
    for (uint32_t i = 0; i < count && i < INDEXES_MAX; i++) {
        bool seen = false;
        for (uint32_t k = 0; k < i; k++)
            seen = seen || infos[k].columns[0] == infos[i].columns[0];
        if (fields && !seen)
            Tcl_ListObjAppendElement(NULL, all, table->column_names[infos[i].columns[0]]);
        if (fields)
            continue;
        Tcl_Obj *names = Tcl_NewListObj(0, NULL);
        for (uint32_t k = 0; k < infos[i].column_count; k++)
            Tcl_ListObjAppendElement(NULL, names, table->column_names[infos[i].columns[k]]);
        Tcl_ListObjAppendElement(NULL, all, names);
    }
    Tcl_SetObjResult(table->state->interp, all);
    return TCL_OK;
}

static const struct action {
    const char *name;
    index_action *act; /* NULL: without fields */
    bool safe;
} actions[] = {
    {"create", index_create, false}, {"drop", index_drop, false}, {"count", index_count, true},
    {"span", index_span, true},      {"list", NULL, true},        {"indexed", NULL, true},
    {"indexable", NULL, true},       {NULL, NULL, false},
};

/* index create fields ?-unique boolean? | drop fields | count fields | span fields | list |
 * indexed | indexable */
int aetcl_index(aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    static const char usage[] = "index create fields ?-unique boolean? | drop fields | "
                                "count fields | span fields | list | indexed | indexable";
    aetcl_pool pool = {NULL};
    uint32_t column_count = 0;
    uint32_t *columns = NULL;
    bool unique = false;
    int which;
    if (count < 3 ||
        Tcl_GetIndexFromObjStruct(NULL, arguments[2], actions, (Tcl_Size)sizeof actions[0],
                                  "action", TCL_EXACT, &which) != TCL_OK)
        return aetcl_table_usage(table, usage);
    const struct action *action = &actions[which];
    const bool creates = action->act == index_create;
    if (count != (action->act == NULL ? 3 : creates && count > 4 ? 6 : 4))
        return aetcl_table_usage(table, usage);
    if (table->state->safe && !action->safe)
        return aetcl_fail_at(table, NULL, AERO_PERMISSION,
                             Tcl_ObjPrintf("index %s is not for safe interpreters", action->name));
    if (aetcl_session(table->state) != TCL_OK)
        return TCL_ERROR;
    if (strcmp(action->name, "indexable") == 0)
        return aetcl_fields(table, 2, arguments);
    if (action->act == NULL)
        return show_indexes(table, strcmp(action->name, "indexed") == 0);
    int code = TCL_OK;
    if (count == 6 && strcmp(Tcl_GetString(arguments[4]), "-unique") != 0)
        code = aetcl_table_usage(table, usage);
    else if (count == 6)
        code = aetcl_boolean_of(table->state->interp, arguments[5], "-unique", &unique);
    if (code == TCL_OK)
        code = aetcl_columns_of(table, arguments[3], &pool, &column_count, &columns);
    if (code == TCL_OK && column_count == 0)
        code = aetcl_fail_at(table, NULL, AERO_USAGE,
                             Tcl_NewStringObj("an index needs a field", -1));
    if (code == TCL_OK)
        code = action->act(table, column_count, columns, unique);
    aetcl_pool_free(&pool);
    return code;
}
