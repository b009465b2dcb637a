/* rows.c — walking the rows of a query: showing each to a script and running it.
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
#include <string.h>

#include "aerotcl_private.h"

#define POLL_DEFAULT 1024 /* rows between polls, as in speedtables */
#define COUNT_STEP 4096   /* rows between looks at limits when only counting */

#define FETCH_ROWS 256 /* fetched at once when all columns are numbers */
#define CHECK_STEP 16  /* rows between looks at limits when no script runs */

/* What a walk needs besides its order. */
struct step {
    aetcl_walk *walk;
    aero_cursor *cursor;
    uint32_t count; /* columns fetched: those shown, and the key at the end */
    uint32_t *columns;
    aero_value *values; /* of the current row */
    aetcl_show *show;   /* NULL when nothing of a row is needed */
    bool by_column;     /* rows come in batches of numbers, not one by one */
    aero_column_data *data;
    uint32_t fetched, at;
    bool silent; /* the code is empty: there is nothing to run */
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

/* ---- the next row --------------------------------------------------------------------------- */

/* Do all columns come as plain numbers from aero_cursor_fetch?  Texts do not: a batch of long ones
 * would take memory without bound. */
static bool all_numbers(const struct step *step)
{
    const aero_column *columns = step->walk->table->info->columns;
    for (uint32_t i = 0; i < step->count; i++)
        if (columns[step->columns[i]].kind > AERO_KIND_TIMESTAMP)
            return false;
    return step->count > 0;
}

static void read_column(const aero_column_data *data, uint32_t at, aero_value *value)
{
    value->type = data->nulls != NULL && data->nulls[at] != 0 ? AERO_TYPE_NULL : data->type;
    if (data->type == AERO_TYPE_DOUBLE)
        value->u.real = data->reals[at];
    else
        value->u.integer = data->integers[at];
}

/* Step to the next row and read its values.  *more is false at the end. */
static aero_status next_row(struct step *step, bool *more)
{
    aero_status status = AERO_OK;
    if (!step->by_column) {
        const aero_row *row = NULL;
        status = aero_cursor_next(step->cursor, &row);
        *more = status == AERO_OK && row != NULL;
        if (*more && step->show != NULL)
            aero_row_values(row, step->count, step->columns, step->values);
        return status;
    }
    if (++step->at >= step->fetched) {
        step->at = 0;
        status = aero_cursor_fetch(step->cursor, FETCH_ROWS, step->count, step->columns, step->data,
                                   &step->fetched);
    }
    *more = status == AERO_OK && step->fetched > 0;
    for (uint32_t i = 0; *more && i < step->count; i++)
        read_column(&step->data[i], step->at, &step->values[i]);
    return status;
}

/* ---- one row -------------------------------------------------------------------------------- */

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
    if (aetcl_key_of(table, aetcl_show_key(step->show), &pool, &key) != TCL_OK) {
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
    int code = step->show != NULL ? aetcl_show_row(step->show, step->values) : TCL_OK;
    const bool polls = walk->poll_interval > 0 && walk->rows % (uint64_t)walk->poll_interval == 0;
    /* Scripts may take long.  A status other than OK is met by the next step, too. */
    if (code == TCL_OK && !step->by_column && (!step->silent || polls))
        (void)aero_cursor_rest(step->cursor);
    if (code == TCL_OK && !step->silent)
        code = run_code(walk);
    if (code == TCL_OK && polls)
        poll(walk);
    if ((code == TCL_OK || code == TCL_BREAK) && state->close_pending)
        return aetcl_fail_at(walk->table, NULL, AERO_STALE,
                             Tcl_NewStringObj("the database was closed inside the search", -1));
    if (code == TCL_OK && (walk->remove || walk->update.count > 0))
        code = change_row(step);
    if (code == TCL_OK && (!step->silent || walk->rows % CHECK_STEP == 1))
        code = aetcl_check_limits(state->interp);
    return code;
}

/* ---- the walk ------------------------------------------------------------------------------- */

/* Lay out the columns to fetch and what is made of them. */
static void prepare(struct step *step, aetcl_pool *pool)
{
    const aetcl_walk *walk = step->walk;
    const bool keyed = walk->key_variable != NULL || walk->remove || walk->update.count > 0;
    const size_t room = (size_t)walk->column_count + 1;
    step->columns = aetcl_pool_take(pool, room * sizeof *step->columns);
    step->values = aetcl_pool_take(pool, room * sizeof *step->values);
    memset(step->values, 0, room * sizeof *step->values);
    for (uint32_t i = 0; i < walk->column_count; i++)
        step->columns[i] = walk->columns[i];
    step->count = walk->column_count;
    if (keyed)
        step->columns[step->count++] = walk->table->info->key_column;
    if (keyed || walk->shape != AETCL_SHAPE_NONE)
        step->show = aetcl_show_new(walk, step->count, step->columns, pool);
    step->by_column = all_numbers(step);
    step->data = aetcl_pool_take(pool, room * sizeof *step->data);
    if (walk->code == NULL)
        step->silent = true;
    else if (Tcl_GetString(walk->code)[strspn(Tcl_GetString(walk->code), " \t\r\n;")] == '\0')
        step->silent = true;
}

static int walk_cursor(struct step *step)
{
    aetcl_walk *walk = step->walk;
    int code = TCL_OK;
    while (code == TCL_OK) {
        bool more;
        if (next_row(step, &more) != AERO_OK)
            return aetcl_fail_session(walk->table->state);
        if (!more)
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
    if (step.show != NULL)
        aetcl_show_free(step.show);
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
