/* search.c — search and explain: reading the options and choosing the way to run.
 *
 * The engine parses -compare and makes the plan; here are the options around it.  Each option is a
 * row of a table with its own function; the table also says which options a safe interpreter has:
 * those that neither evaluate a script, nor write, nor reach a channel.
 */
#include <string.h>

#include "aerotcl_private.h"

struct search {
    aetcl_table *table;
    aetcl_pool pool;
    aetcl_walk walk;
    uint32_t field_count;
    uint32_t *fields; /* -fields; NULL: all */
    Tcl_Obj *sort;
    bool descending;
    int64_t limit, offset; /* limit < 0: none */
    bool count_only;
    const char *shape_option; /* which option chose the shape, for messages */
    Tcl_Channel channel;      /* -write_tabsep */
    aetcl_tabsep tabsep;
};

typedef int set_option(struct search *search, Tcl_Obj *value);

struct option {
    const char *name;
    set_option *set; /* NULL: the option has no value and is handled by its place */
    bool safe;
    enum aetcl_shape shape;
};

static Tcl_Interp *interp_of(const struct search *search)
{
    return search->table->state->interp;
}

/* ---- options -------------------------------------------------------------------------------- */

static int set_compare(struct search *search, Tcl_Obj *value)
{
    aetcl_text text;
    if (aetcl_text_of(interp_of(search), value, &search->pool, &text) != TCL_OK)
        return TCL_ERROR;
    if (aero_query_compare(search->walk.query, text.data, text.length) != AERO_OK)
        return aetcl_fail_session(search->table->state);
    return TCL_OK;
}

static int set_glob(struct search *search, Tcl_Obj *value)
{
    return aetcl_add_glob(search->table, search->walk.query, value);
}

static int set_sort(struct search *search, Tcl_Obj *value)
{
    search->sort = value;
    return TCL_OK;
}

static int set_limit(struct search *search, Tcl_Obj *value)
{
    return aetcl_natural_of(interp_of(search), value, "-limit", 0, &search->limit);
}

static int set_offset(struct search *search, Tcl_Obj *value)
{
    return aetcl_natural_of(interp_of(search), value, "-offset", 0, &search->offset);
}

static int set_fields(struct search *search, Tcl_Obj *value)
{
    return aetcl_columns_of(search->table, value, &search->pool, &search->field_count,
                            &search->fields);
}

static int set_code(struct search *search, Tcl_Obj *value)
{
    search->walk.code = value;
    return TCL_OK;
}

static int set_key(struct search *search, Tcl_Obj *value)
{
    search->walk.key_variable = value;
    return TCL_OK;
}

/* The options that choose a shape: get, array and so on.  Which one is in the option's row. */
static int set_shape(struct search *search, Tcl_Obj *value)
{
    search->walk.row_variable = value;
    return TCL_OK;
}

static int set_count_only(struct search *search, Tcl_Obj *value)
{
    return aetcl_boolean_of(interp_of(search), value, "-countOnly", &search->count_only);
}

static int set_write_tabsep(struct search *search, Tcl_Obj *value)
{
    return aetcl_channel_of(interp_of(search), value, TCL_WRITABLE, &search->channel);
}

static int set_tab(struct search *search, Tcl_Obj *value)
{
    return aetcl_tab_of(interp_of(search), value, &search->pool, &search->tabsep.separator);
}

static int set_null(struct search *search, Tcl_Obj *value)
{
    return aetcl_separator_of(interp_of(search), value, &search->pool, &search->tabsep.null_text);
}

static int set_quote(struct search *search, Tcl_Obj *value)
{
    return aetcl_quote_of(interp_of(search), value, &search->tabsep.quote);
}

static int set_with_field_names(struct search *search, Tcl_Obj *value)
{
    return aetcl_boolean_of(interp_of(search), value, "-with_field_names",
                            &search->tabsep.with_field_names);
}

static int set_nokeys(struct search *search, Tcl_Obj *value)
{
    return aetcl_boolean_of(interp_of(search), value, "-nokeys", &search->tabsep.no_keys);
}

static int set_delete(struct search *search, Tcl_Obj *value)
{
    return aetcl_boolean_of(interp_of(search), value, "-delete", &search->walk.remove);
}

static int set_update(struct search *search, Tcl_Obj *value)
{
    if (aetcl_pairs_of(search->table, 1, &value, false, &search->pool, &search->walk.update) !=
        TCL_OK)
        return TCL_ERROR;
    if (search->walk.update.count == 0)
        return aetcl_fail_at(search->table, NULL, AERO_USAGE,
                             Tcl_NewStringObj("-update needs a field and a value", -1));
    return TCL_OK;
}

/* A search always sees a snapshot, so -buffer has nothing to add. */
static int set_buffer(struct search *search, Tcl_Obj *value)
{
    bool ignored;
    return aetcl_boolean_of(interp_of(search), value, "-buffer", &ignored);
}

/* An index that begins with this field is to be used, if there is one. */
static int set_index(struct search *search, Tcl_Obj *value)
{
    uint32_t column;
    if (aetcl_column_of(search->table, value, &column) != TCL_OK)
        return TCL_ERROR;
    Tcl_Obj *way = Tcl_ObjPrintf("index %s", search->table->info->columns[column].name);
    Tcl_IncrRefCount(way);
    const char *text = Tcl_GetString(way);
    const aero_status status = aero_query_using(search->walk.query, text, strlen(text));
    Tcl_DecrRefCount(way);
    return status == AERO_OK ? TCL_OK : aetcl_fail_session(search->table->state);
}

static int set_poll_interval(struct search *search, Tcl_Obj *value)
{
    return aetcl_natural_of(interp_of(search), value, "-poll_interval", 1,
                            &search->walk.poll_interval);
}

static int set_poll_code(struct search *search, Tcl_Obj *value)
{
    search->walk.poll_code = value;
    return TCL_OK;
}

static const struct option options[] = {
    {"-compare", set_compare, true, 0},
    {"-sort", set_sort, true, 0},
    {"-asc", NULL, true, 0},
    {"-desc", NULL, true, 0},
    {"-limit", set_limit, true, 0},
    {"-offset", set_offset, true, 0},
    {"-fields", set_fields, true, 0},
    {"-key", set_key, true, 0},
    {"-get", set_shape, true, AETCL_SHAPE_GET},
    {"-array", set_shape, true, AETCL_SHAPE_ARRAY},
    {"-array_with_nulls", set_shape, true, AETCL_SHAPE_ARRAY_WITH_NULLS},
    {"-array_get", set_shape, true, AETCL_SHAPE_ARRAY_GET},
    {"-array_get_with_nulls", set_shape, true, AETCL_SHAPE_ARRAY_GET_WITH_NULLS},
    {"-countOnly", set_count_only, true, 0},
    {"-glob", set_glob, true, 0},
    {"-buffer", set_buffer, true, 0},
    {"-index", set_index, true, 0},
    {"-code", set_code, false, 0},
    {"-write_tabsep", set_write_tabsep, false, 0},
    {"-tab", set_tab, false, 0},
    {"-null", set_null, false, 0},
    {"-quote", set_quote, false, 0},
    {"-with_field_names", set_with_field_names, false, 0},
    {"-nokeys", set_nokeys, false, 0},
    {"-delete", set_delete, false, 0},
    {"-update", set_update, false, 0},
    {"-poll_interval", set_poll_interval, false, 0},
    {"-poll_code", set_poll_code, false, 0},
    {NULL, NULL, false, 0},
};

/* ---- reading them --------------------------------------------------------------------------- */

/* Note the shape an option chooses; there can be only one. */
static int choose_shape(struct search *search, const struct option *option)
{
    const bool writes = option->set == set_write_tabsep;
    if (option->shape == AETCL_SHAPE_NONE && !writes)
        return TCL_OK;
    if (search->shape_option != NULL)
        return aetcl_fail_at(
            search->table, NULL, AERO_USAGE,
            Tcl_ObjPrintf("%s and %s cannot be combined", search->shape_option, option->name));
    search->shape_option = option->name;
    search->walk.shape = option->shape;
    return TCL_OK;
}

static int read_option(struct search *search, int count, Tcl_Obj *const arguments[], int *at)
{
    Tcl_Obj *name = arguments[(*at)++];
    int index;
    if (Tcl_GetIndexFromObjStruct(NULL, name, options, (Tcl_Size)sizeof options[0], "option",
                                  TCL_EXACT, &index) != TCL_OK)
        return aetcl_fail_at(search->table, NULL, AERO_USAGE,
                             Tcl_ObjPrintf("unknown search option: %.100s", Tcl_GetString(name)));
    const struct option *option = &options[index];
    if (search->table->state->safe && !option->safe)
        return aetcl_fail_at(search->table, NULL, AERO_PERMISSION,
                             Tcl_ObjPrintf("search %s is not for safe interpreters", option->name));
    if (option->set == NULL) {
        search->descending = strcmp(option->name, "-desc") == 0;
        return TCL_OK;
    }
    if (*at >= count)
        return aetcl_fail_at(search->table, NULL, AERO_USAGE,
                             Tcl_ObjPrintf("missing value for %s", option->name));
    if (choose_shape(search, option) != TCL_OK)
        return TCL_ERROR;
    return option->set(search, arguments[(*at)++]);
}

/* Give the sort fields to the query: -field is descending, and so is every field with -desc. */
static int apply_sort(struct search *search)
{
    Tcl_Size count = 0;
    Tcl_Obj **fields;
    if (search->sort == NULL)
        return TCL_OK;
    if (Tcl_ListObjGetElements(interp_of(search), search->sort, &count, &fields) != TCL_OK)
        return aetcl_fail_tcl(interp_of(search), AERO_USAGE);
    for (Tcl_Size i = 0; i < count; i++) {
        const char *text = Tcl_GetString(fields[i]);
        const bool down = text[0] == '-';
        Tcl_Obj *name = down ? Tcl_NewStringObj(text + 1, -1) : fields[i];
        uint32_t column;
        Tcl_IncrRefCount(name);
        const int code = aetcl_column_of(search->table, name, &column);
        Tcl_DecrRefCount(name);
        if (code != TCL_OK)
            return TCL_ERROR;
        if (aero_query_sort(search->walk.query, column, down || search->descending) != AERO_OK)
            return aetcl_fail_session(search->table->state);
    }
    return TCL_OK;
}

/* Refuse what cannot go together, and settle what the options leave open. */
static int settle(struct search *search)
{
    aetcl_walk *walk = &search->walk;
    const bool walks = walk->code != NULL || walk->key_variable != NULL ||
                       search->shape_option != NULL || walk->remove || walk->update.count > 0;
    const char *trouble = NULL;
    if (search->count_only && walks)
        trouble = "-countOnly cannot be combined with options that do something with rows";
    else if (walk->remove && walk->update.count > 0)
        trouble = "-delete and -update cannot be combined";
    else if (search->channel != NULL && (walk->code != NULL || walk->key_variable != NULL ||
                                         walk->remove || walk->update.count > 0))
        trouble = "-write_tabsep cannot be combined with -code, -key, -delete or -update";
    if (trouble != NULL)
        return aetcl_fail_at(search->table, NULL, AERO_USAGE, Tcl_NewStringObj(trouble, -1));
    walk->column_count = search->fields != NULL ? search->field_count
                                                : search->table->info->column_count;
    walk->columns = search->fields != NULL ? search->fields : search->table->all;
    search->tabsep.column_count = search->fields != NULL ? search->field_count : 0;
    search->tabsep.columns = search->fields;
    if (apply_sort(search) != TCL_OK)
        return TCL_ERROR;
    if (aero_query_limit(walk->query, search->limit, search->offset) != AERO_OK)
        return aetcl_fail_session(search->table->state);
    return TCL_OK;
}

static int read_search(struct search *search, int count, Tcl_Obj *const arguments[], int at)
{
    aetcl_table *table = search->table;
    search->limit = -1;
    search->walk.table = table;
    if (aetcl_session(table->state) != TCL_OK)
        return TCL_ERROR;
    if (aero_query_new(table->state->session, table->index, &search->walk.query) != AERO_OK) {
        search->walk.query = NULL;
        return aetcl_fail_session(table->state);
    }
    while (at < count)
        if (read_option(search, count, arguments, &at) != TCL_OK)
            return TCL_ERROR;
    return settle(search);
}

static void end_search(struct search *search)
{
    if (search->walk.query != NULL)
        aero_query_free(search->walk.query);
    aetcl_pool_free(&search->pool);
}

/* ---- running -------------------------------------------------------------------------------- */

static int walk_work(void *context)
{
    return aetcl_walk_rows(context);
}

/* Run the search; *rows is the result. */
static int run(struct search *search, uint64_t *rows)
{
    aetcl_walk *walk = &search->walk;
    int code;
    if (search->channel != NULL)
        return aetcl_write_rows(search->table, walk->query, search->channel, &search->tabsep,
                                &search->pool, rows);
    const bool changes = walk->remove || walk->update.count > 0;
    const bool polls = walk->poll_code != NULL || walk->poll_interval > 0;
    if (walk->code == NULL && walk->key_variable == NULL && search->shape_option == NULL &&
        !changes && !polls)
        return aetcl_count_rows(search->table, walk->query, rows);
    /* Changes are all or nothing.  A script cannot be run twice unasked, so with one the
     * conflict is the caller's. */
    if (changes)
        code = aetcl_atomically(search->table->state, AERO_ISOLATION_SERIALIZABLE,
                                walk->code == NULL ? AETCL_RETRIES : 0, walk_work, walk);
    else
        code = aetcl_walk_rows(walk);
    *rows = walk->rows;
    return code;
}

/* search ?option value …? */
int aetcl_search(aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    struct search search = {.table = table};
    uint64_t rows = 0;
    aetcl_enter(table->state);
    int code = read_search(&search, count, arguments, 2);
    if (code == TCL_OK)
        code = run(&search, &rows);
    end_search(&search);
    aetcl_leave(table->state);
    if (code == TCL_OK)
        Tcl_SetObjResult(table->state->interp, Tcl_NewWideIntObj((Tcl_WideInt)rows));
    return code;
}

/* explain ?-execute? ?search options? */
int aetcl_explain(aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    struct search search = {.table = table};
    const char *text;
    size_t length;
    const bool execute = count > 2 && strcmp(Tcl_GetString(arguments[2]), "-execute") == 0;
    aetcl_enter(table->state);
    int code = read_search(&search, count, arguments, execute ? 3 : 2);
    if (code == TCL_OK) {
        if (aero_query_explain(search.walk.query, execute, &text, &length) == AERO_OK)
            Tcl_SetObjResult(table->state->interp, aetcl_string(text, length));
        else
            code = aetcl_fail_session(table->state);
    }
    end_search(&search);
    aetcl_leave(table->state);
    return code;
}
