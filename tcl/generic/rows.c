/* rows.c — walking the rows of a query: setting variables and running a script for each.
 *
 * The cursor looks at one snapshot, so the script may change or delete any row, this one included.
 * Values are read before the script runs and passed in variables only.
 *
 * Invariants
 *   I1  The cursor is closed on every way out: end, break, return, error, cancellation, limits,
 *       deletion of the interpreter or the command, close of the database inside the script.
 *   I2  Nothing of the walk is freed while the script runs: arguments are held by references, the
 *       session by aetcl_enter.
 */
#include "aerotcl_private.h"

#define POLL_DEFAULT 1024 /* rows between polls, as in speedtables */
#define COUNT_STEP 4096   /* rows between looks at limits when only counting */

/* What a walk needs besides its order. */
struct step {
    aetcl_walk *walk;
    aero_cursor *cursor;
    uint32_t count; /* columns fetched: those shown, and the key at the end */
    uint32_t *columns;
    aero_value *values;
    Tcl_Obj **objects;
    const aero_row *row;
    Tcl_Obj *key_object; /* of the current row, for changes; NULL if not needed */
};

int aetcl_check_limits(Tcl_Interp *interp)
{
    if (Tcl_InterpDeleted(interp))
        return aetcl_fail(interp, AERO_STALE,
                          Tcl_NewStringObj("the interpreter was deleted while a command ran", -1));
    if (Tcl_AsyncReady()) {
        const int code = Tcl_AsyncInvoke(interp, TCL_OK);
        if (code != TCL_OK)
            return code;
    }
    if (Tcl_Canceled(interp, TCL_LEAVE_ERR_MSG) == TCL_ERROR)
        return TCL_ERROR;
    if (Tcl_LimitReady(interp) && Tcl_LimitCheck(interp) != TCL_OK)
        return TCL_ERROR;
    return TCL_OK;
}

/* ---- variables --------------------------------------------------------------------------------- */

static int set_variable(Tcl_Interp *interp, Tcl_Obj *name, Tcl_Obj *element, Tcl_Obj *value)
{
    if (Tcl_ObjSetVar2(interp, name, element, value, TCL_LEAVE_ERR_MSG) == NULL)
        return aetcl_fail_tcl(interp, AERO_USAGE);
    return TCL_OK;
}

/* The columns shown, one after another, as a list of names and values. */
static Tcl_Obj *pairs_object(const struct step *step, bool with_nulls)
{
    const aetcl_walk *walk = step->walk;
    Tcl_Obj *list = Tcl_NewListObj(0, NULL);
    for (uint32_t i = 0; i < walk->column_count; i++) {
        if (!with_nulls && step->values[i].type == AERO_TYPE_NULL)
            continue;
        Tcl_ListObjAppendElement(NULL, list, walk->table->column_names[walk->columns[i]]);
        Tcl_ListObjAppendElement(NULL, list, step->objects[i]);
    }
    return list;
}

static int set_array(const struct step *step, bool with_nulls)
{
    const aetcl_walk *walk = step->walk;
    Tcl_Interp *interp = walk->table->state->interp;
    for (uint32_t i = 0; i < walk->column_count; i++) {
        Tcl_Obj *name = walk->table->column_names[walk->columns[i]];
        if (!with_nulls && step->values[i].type == AERO_TYPE_NULL) {
            (void)Tcl_UnsetVar2(interp, Tcl_GetString(walk->row_variable), Tcl_GetString(name), 0);
            continue;
        }
        if (set_variable(interp, walk->row_variable, name, step->objects[i]) != TCL_OK)
            return TCL_ERROR;
    }
    return TCL_OK;
}

static int set_row_variable(const struct step *step)
{
    const aetcl_walk *walk = step->walk;
    Tcl_Obj *value = NULL;
    switch (walk->shape) {
    case AETCL_SHAPE_NONE:
        return TCL_OK;
    case AETCL_SHAPE_ARRAY:
        return set_array(step, false);
    case AETCL_SHAPE_ARRAY_WITH_NULLS:
        return set_array(step, true);
    case AETCL_SHAPE_GET:
        value = Tcl_NewListObj((Tcl_Size)walk->column_count, step->objects);
        break;
    case AETCL_SHAPE_ARRAY_GET:
        value = pairs_object(step, false);
        break;
    case AETCL_SHAPE_ARRAY_GET_WITH_NULLS:
        value = pairs_object(step, true);
        break;
    }
    return set_variable(walk->table->state->interp, walk->row_variable, NULL, value);
}

/* Make the row's values and set the variables.  Every object made is referenced while they are set:
 * a trace on one variable may drop another. */
static int show_row(struct step *step)
{
    const aetcl_walk *walk = step->walk;
    int code = TCL_OK;
    if (step->count == 0 && walk->shape == AETCL_SHAPE_NONE)
        return TCL_OK;
    aero_row_values(step->row, step->count, step->columns, step->values);
    aetcl_objects_of(walk->table, step->count, step->columns, step->values, step->objects);
    for (uint32_t i = 0; i < step->count; i++)
        Tcl_IncrRefCount(step->objects[i]);
    if (step->count > walk->column_count) {
        Tcl_Obj *key = step->objects[step->count - 1];
        if (walk->key_variable != NULL)
            code = set_variable(walk->table->state->interp, walk->key_variable, NULL, key);
        Tcl_IncrRefCount(key);
        if (step->key_object != NULL)
            Tcl_DecrRefCount(step->key_object);
        step->key_object = key;
    }
    if (code == TCL_OK)
        code = set_row_variable(step);
    for (uint32_t i = 0; i < step->count; i++)
        Tcl_DecrRefCount(step->objects[i]);
    return code;
}

/* ---- one row -------------------------------------------------------------------------------------- */

static int run_code(const aetcl_walk *walk)
{
    Tcl_Interp *interp = walk->table->state->interp;
    const int code = Tcl_EvalObjEx(interp, walk->code, 0);
    if (code == TCL_ERROR)
        Tcl_AppendObjToErrorInfo(interp,
                                 Tcl_ObjPrintf("\n    (\"%s search\" body line %d)",
                                               walk->table->info->name, Tcl_GetErrorLine(interp)));
    return code == TCL_CONTINUE ? TCL_OK : code;
}

/* -delete and -update: the row may be gone already, by the script's hand. */
static int change_row(struct step *step)
{
    const aetcl_walk *walk = step->walk;
    aetcl_table *table = walk->table;
    aero_session *session = table->state->session;
    aetcl_pool pool = {NULL};
    aero_value key;
    int32_t found;
    if (aetcl_key_of(table, step->key_object, &pool, &key) != TCL_OK) {
        aetcl_pool_free(&pool);
        return TCL_ERROR;
    }
    const aero_status status = walk->remove
                                   ? aero_delete(session, table->index, &key, &found)
                                   : aero_update(session, table->index, &key, walk->update.count,
                                                 walk->update.columns, walk->update.values, &found);
    aetcl_pool_free(&pool);
    return status == AERO_OK ? TCL_OK : aetcl_fail_session(table->state);
}

/* Serve the event loop, or run the poll code; its errors go to the background error handler. */
static void poll(const aetcl_walk *walk)
{
    Tcl_Interp *interp = walk->table->state->interp;
    if (walk->poll_code == NULL) {
        while (Tcl_DoOneEvent(TCL_ALL_EVENTS | TCL_DONT_WAIT) != 0)
            continue;
        return;
    }
    const int code = Tcl_EvalObjEx(interp, walk->poll_code, 0);
    if (code == TCL_ERROR)
        Tcl_BackgroundException(interp, code);
    Tcl_ResetResult(interp);
}

static int visit(struct step *step)
{
    aetcl_walk *walk = step->walk;
    aetcl_state *state = walk->table->state;
    int code = show_row(step);
    if (code == TCL_OK && walk->code != NULL)
        code = run_code(walk);
    if (code == TCL_OK && walk->poll_interval > 0 &&
        walk->rows % (uint64_t)walk->poll_interval == 0)
        poll(walk);
    if ((code == TCL_OK || code == TCL_BREAK) && state->close_pending)
        return aetcl_fail_at(walk->table, NULL, AERO_STALE,
                             Tcl_NewStringObj("the database was closed inside the search", -1));
    if (code == TCL_OK && (walk->remove || walk->update.count > 0))
        code = change_row(step);
    if (code == TCL_OK)
        code = aetcl_check_limits(state->interp);
    return code;
}

/* ---- the walk ------------------------------------------------------------------------------------- */

/* Lay out the columns to fetch. */
static void prepare(struct step *step, aetcl_pool *pool)
{
    const aetcl_walk *walk = step->walk;
    const bool keyed = walk->key_variable != NULL || walk->remove || walk->update.count > 0;
    const size_t room = (size_t)walk->column_count + 1;
    step->columns = aetcl_pool_take(pool, room * sizeof *step->columns);
    step->values = aetcl_pool_take(pool, room * sizeof *step->values);
    step->objects = aetcl_pool_take(pool, room * sizeof(Tcl_Obj *));
    for (uint32_t i = 0; i < walk->column_count; i++)
        step->columns[i] = walk->columns[i];
    step->count = walk->column_count;
    if (keyed)
        step->columns[step->count++] = walk->table->info->key_column;
}

static int walk_cursor(struct step *step)
{
    aetcl_walk *walk = step->walk;
    int code = TCL_OK;
    while (code == TCL_OK) {
        if (aero_cursor_next(step->cursor, &step->row) != AERO_OK)
            return aetcl_fail_session(walk->table->state);
        if (step->row == NULL)
            return TCL_OK;
        walk->rows++;
        code = visit(step);
    }
    return code == TCL_BREAK ? TCL_OK : code;
}

int aetcl_walk_rows(aetcl_walk *walk)
{
    aetcl_state *state = walk->table->state;
    aetcl_pool pool = {NULL};
    struct step step = {.walk = walk};
    int code;
    walk->rows = 0;
    if (walk->shape == AETCL_SHAPE_NONE)
        walk->column_count = 0;
    if (walk->poll_code != NULL && walk->poll_interval == 0)
        walk->poll_interval = POLL_DEFAULT;
    prepare(&step, &pool);
    aetcl_enter(state);
    if (aero_cursor_open(walk->query, &step.cursor) != AERO_OK) {
        code = aetcl_fail_session(state);
    } else {
        code = walk_cursor(&step);
        aero_cursor_close(step.cursor);
    }
    if (step.key_object != NULL)
        Tcl_DecrRefCount(step.key_object);
    aetcl_leave(state);
    aetcl_pool_free(&pool);
    return code;
}

/* With limits on the interpreter the rows are counted in steps; without, the engine counts. */
int aetcl_count_rows(aetcl_table *table, aero_query *query, uint64_t *rows)
{
    Tcl_Interp *interp = table->state->interp;
    aero_cursor *cursor;
    int code = TCL_OK;
    if (!Tcl_LimitTypeEnabled(interp, TCL_LIMIT_TIME | TCL_LIMIT_COMMANDS)) {
        if (aero_query_count(query, rows) != AERO_OK)
            return aetcl_fail_session(table->state);
        return TCL_OK;
    }
    if (aero_cursor_open(query, &cursor) != AERO_OK)
        return aetcl_fail_session(table->state);
    const uint32_t key = table->info->key_column;
    aero_column_data data;
    uint32_t fetched = 0;
    do {
        if (aero_cursor_fetch(cursor, COUNT_STEP, 1, &key, &data, &fetched) != AERO_OK)
            code = aetcl_fail_session(table->state);
        else
            code = Tcl_LimitCheck(interp);
    } while (code == TCL_OK && fetched > 0);
    *rows = aero_cursor_rows(cursor);
    aero_cursor_close(cursor);
    return code;
}

int aetcl_add_glob(aetcl_table *table, aero_query *query, Tcl_Obj *pattern)
{
    aetcl_pool pool = {NULL};
    aetcl_text text;
    int code = aetcl_text_of(table->state->interp, pattern, &pool, &text);
    if (code == TCL_OK) {
        aero_value value = {.type = AERO_TYPE_TEXT, .length = (uint32_t)text.length};
        value.u.data = text.data;
        if (aero_query_clause(query, AERO_OP_MATCH, table->info->key_column, 1, &value) != AERO_OK)
            code = aetcl_fail_session(table->state);
    }
    aetcl_pool_free(&pool);
    return code;
}
