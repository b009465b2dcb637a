/* watch.c — watching a table from the event loop: a command for each watch, and its callback.
 *
 * Each watch is an event source.  The engine's hook, called in a thread of the engine's, wakes the
 * interpreter's thread, so a watch costs nothing while nothing is committed, and a commit does not
 * go by Tcl's own thread for files.  Each event is a dict, appended to the callback as its last
 * argument.
 *
 * Invariants
 *   W1  a watch is closed before its session is; the hook is not called after that
 *   W2  its memory lives while a callback of it runs or is queued (Tcl_Preserve)
 */
#include <stdatomic.h>
#include <string.h>

#include "aerotcl_private.h"

/* Events told before the event loop has its turn again. */
#define EVENTS_A_TURN 100

struct aetcl_watch {
    struct aetcl_watch *next; /* of the state's */
    aetcl_table *table;
    Tcl_Command command;
    Tcl_Obj *callback;
    aero_query *query;
    aero_watch *watch; /* NULL once closed */
    Tcl_ThreadId thread;
    atomic_bool news;  /* set by the hook and by this thread */
    bool queued;       /* an event of Tcl's queue will read them */
    Tcl_Obj *position; /* of the last event, or where it started */
};

static void source_setup(ClientData data, int flags);
static void source_check(ClientData data, int flags);

static void watch_close(struct aetcl_watch *watch)
{
    if (watch->watch == NULL)
        return;
    aero_watch_close(watch->watch);
    Tcl_DeleteEventSource(source_setup, source_check, watch);
    aero_query_free(watch->query);
    watch->watch = NULL;
    struct aetcl_watch **at = &watch->table->state->watches;
    while (*at != watch)
        at = &(*at)->next;
    *at = watch->next;
}

static void watch_free(char *memory)
{
    Tcl_Free(memory);
}

/* The command is gone, whoever removed it. */
static void command_deleted(ClientData data)
{
    struct aetcl_watch *watch = data;
    watch_close(watch);
    Tcl_DecrRefCount(watch->callback);
    Tcl_DecrRefCount(watch->position);
    Tcl_EventuallyFree(watch, watch_free);
}

void aetcl_watches_close(aetcl_state *state)
{
    while (state->watches != NULL)
        watch_close(state->watches);
}

/* ---- events --------------------------------------------------------------------------------- */

static void put(Tcl_Obj *dict, const char *name, Tcl_Obj *value)
{
    (void)Tcl_DictObjPut(NULL, dict, Tcl_NewStringObj(name, -1), value);
}

/* A row as a dict of its columns that are not null; empty for no row. */
static Tcl_Obj *image_dict(struct aetcl_watch *watch, const void *image)
{
    aetcl_table *table = watch->table;
    aetcl_state *state = table->state;
    const uint32_t count = table->info->column_count;
    Tcl_Obj *dict = Tcl_NewDictObj();
    if (image == NULL ||
        aero_watch_values(watch->watch, image, count, table->all, state->values) != AERO_OK)
        return dict;
    for (uint32_t column = 0; column < count; column++)
        if (state->values[column].type != AERO_TYPE_NULL)
            (void)Tcl_DictObjPut(NULL, dict, table->column_names[column],
                                 aetcl_object_of(table, column, &state->values[column]));
    return dict;
}

static void position_set(struct aetcl_watch *watch, uint64_t number)
{
    char text[AERO_POSITION_SIZE] = "";
    (void)aero_watch_position_text(watch->watch, number, text, sizeof text);
    Tcl_DecrRefCount(watch->position);
    watch->position = Tcl_NewStringObj(text, -1);
    Tcl_IncrRefCount(watch->position);
}

static Tcl_Obj *event_dict(struct aetcl_watch *watch, const aero_event *event)
{
    static const char *const kinds[] = {"none",   "snapshot", "live",   "insert",
                                        "update", "delete",   "expire", "overflow"};
    const aetcl_table *table = watch->table;
    Tcl_Obj *dict = Tcl_NewDictObj();
    Tcl_Obj *old = image_dict(watch, event->old_row);
    Tcl_Obj *new = image_dict(watch, event->new_row);
    Tcl_Obj *columns = Tcl_NewListObj(0, NULL);
    Tcl_Obj *key = NULL;
    (void)Tcl_DictObjGet(NULL, event->new_row != NULL ? new : old,
                         table->column_names[table->info->key_column], &key);
    for (uint32_t column = 0; column < table->info->column_count; column++)
        if ((event->changed[column / 64] >> column % 64 & 1) != 0)
            Tcl_ListObjAppendElement(NULL, columns, table->column_names[column]);
    put(dict, "kind", Tcl_NewStringObj(kinds[event->kind], -1));
    put(dict, "key", key != NULL ? key : Tcl_NewObj());
    put(dict, "old", old);
    put(dict, "new", new);
    put(dict, "columns", columns);
    position_set(watch, event->position);
    put(dict, "position", watch->position);
    put(dict, "number", Tcl_NewWideIntObj((Tcl_WideInt)event->number));
    return dict;
}

/* Run the callback with one event; an error is the background's. */
static void event_tell(struct aetcl_watch *watch, const aero_event *event)
{
    Tcl_Interp *interp = watch->table->state->interp;
    Tcl_Obj *script = Tcl_DuplicateObj(watch->callback);
    Tcl_IncrRefCount(script);
    (void)Tcl_ListObjAppendElement(NULL, script, event_dict(watch, event));
    const int code = Tcl_EvalObjEx(interp, script, TCL_EVAL_GLOBAL);
    if (code != TCL_OK && code != TCL_RETURN)
        Tcl_BackgroundException(interp, code);
    Tcl_DecrRefCount(script);
}

/* Tell what there is, a turn's worth of it. */
static void news_tell(struct aetcl_watch *watch)
{
    aetcl_state *state = watch->table->state;
    Tcl_Interp *interp = state->interp;
    bool all = false;
    Tcl_Preserve(interp);
    aetcl_enter(state);
    for (int turn = 0; turn < EVENTS_A_TURN && watch->watch != NULL && !state->close_pending &&
                       !Tcl_InterpDeleted(interp);
         turn++) {
        aero_event event;
        if (aero_watch_next(watch->watch, &event) != AERO_OK) {
            (void)aetcl_fail_session(state);
            Tcl_BackgroundException(interp, TCL_ERROR);
            watch_close(watch);
            break;
        }
        all = event.kind == AERO_EVENT_NONE;
        if (all)
            break;
        event_tell(watch, &event);
    }
    if (!all) /* the next turn reads on */
        atomic_store_explicit(&watch->news, true, memory_order_relaxed);
    aetcl_leave(state);
    Tcl_Release(interp);
}

/* ---- the event source ----------------------------------------------------------------------- */

struct news_event {
    Tcl_Event header;
    struct aetcl_watch *watch; /* preserved */
};

/* The engine's hook, in the engine's thread. */
static void news_come(void *data)
{
    struct aetcl_watch *watch = data;
    atomic_store_explicit(&watch->news, true, memory_order_release); /* pairs with source_check */
    Tcl_ThreadAlert(watch->thread);
}

static int news_event(Tcl_Event *event, int flags)
{
    struct aetcl_watch *watch = ((struct news_event *)(void *)event)->watch;
    if ((flags & TCL_FILE_EVENTS) == 0)
        return 0; /* later */
    watch->queued = false;
    if (watch->watch != NULL) {
        /* Before reading: what comes meanwhile is news again. */
        atomic_store_explicit(&watch->news, false, memory_order_relaxed);
        news_tell(watch);
    }
    Tcl_Release(watch);
    return 1;
}

static void source_setup(ClientData data, int flags)
{
    static const Tcl_Time at_once = {0, 0};
    const struct aetcl_watch *watch = data;
    if ((flags & TCL_FILE_EVENTS) != 0 && atomic_load_explicit(&watch->news, memory_order_acquire))
        Tcl_SetMaxBlockTime(&at_once);
}

static void source_check(ClientData data, int flags)
{
    struct aetcl_watch *watch = data;
    if ((flags & TCL_FILE_EVENTS) == 0 || watch->queued ||
        !atomic_load_explicit(&watch->news, memory_order_acquire))
        return;
    struct news_event *event = (struct news_event *)(void *)Tcl_Alloc((unsigned)sizeof *event);
    event->header.proc = news_event;
    event->watch = watch;
    Tcl_Preserve(watch);
    watch->queued = true;
    Tcl_QueueEvent(&event->header, TCL_QUEUE_TAIL);
}

/* ---- the command of a watch ----------------------------------------------------------------- */

/* $watch close | position | resync */
static int watch_command(ClientData data, Tcl_Interp *interp, int count, Tcl_Obj *const arguments[])
{
    static const char *const verbs[] = {"close", "position", "resync", NULL};
    struct aetcl_watch *watch = data;
    int verb;
    if (count != 2 ||
        Tcl_GetIndexFromObj(NULL, arguments[1], verbs, "verb", TCL_EXACT, &verb) != TCL_OK)
        return aetcl_usage(interp, "$watch close|position|resync");
    if (verb == 0) {
        Tcl_DeleteCommandFromToken(interp, watch->command);
        return TCL_OK;
    }
    if (watch->watch == NULL)
        return aetcl_fail(interp, AERO_STALE, Tcl_NewStringObj("the watch is closed", -1));
    if (verb == 1) {
        Tcl_SetObjResult(interp, watch->position);
        return TCL_OK;
    }
    if (aero_watch_resync(watch->watch) != AERO_OK)
        return aetcl_fail_session(watch->table->state);
    atomic_store_explicit(&watch->news, true, memory_order_relaxed);
    return TCL_OK;
}

/* ---- making one ----------------------------------------------------------------------------- */

struct settings {
    Tcl_Obj *callback;
    int32_t start;
    int64_t number;   /* of a commit: an earlier way to say a position */
    const char *text; /* NULL: the number counts */
};

static int start_of(Tcl_Interp *interp, Tcl_Obj *value, struct settings *settings)
{
    const char *text = Tcl_GetString(value);
    settings->start = strcmp(text, "now") == 0        ? AERO_WATCH_NOW
                      : strcmp(text, "snapshot") == 0 ? AERO_WATCH_SNAPSHOT
                                                      : AERO_WATCH_POSITION;
    settings->text = settings->start == AERO_WATCH_POSITION && strchr(text, '-') > text ? text
                                                                                        : NULL;
    return settings->start != AERO_WATCH_POSITION || settings->text != NULL
               ? TCL_OK
               : aetcl_natural_of(interp, value, "-start (now, snapshot or a position)", 0,
                                  &settings->number);
}

static int read_option(struct aetcl_watch *watch, Tcl_Obj *name, Tcl_Obj *value, aetcl_pool *pool,
                       struct settings *settings)
{
    static const char *const options[] = {"-command", "-compare", "-glob", "-start", NULL};
    Tcl_Interp *interp = watch->table->state->interp;
    Tcl_Size ignored;
    aetcl_text text;
    int option;
    if (Tcl_GetIndexFromObj(NULL, name, options, "option", TCL_EXACT, &option) != TCL_OK)
        return aetcl_fail_at(watch->table, NULL, AERO_USAGE,
                             Tcl_ObjPrintf("unknown option %.100s; there are -command, -compare, "
                                           "-glob and -start",
                                           Tcl_GetString(name)));
    switch (option) {
    case 0:
        settings->callback = value;
        return Tcl_ListObjLength(interp, value, &ignored) == TCL_OK
                   ? TCL_OK
                   : aetcl_fail_tcl(interp, AERO_USAGE);
    case 1:
        if (aetcl_text_of(interp, value, pool, &text) != TCL_OK)
            return TCL_ERROR;
        return aero_query_compare(watch->query, text.data, text.length) == AERO_OK
                   ? TCL_OK
                   : aetcl_fail_session(watch->table->state);
    case 2:
        return aetcl_add_glob(watch->table, watch->query, value);
    default:
        return start_of(interp, value, settings);
    }
}

static int read_options(struct aetcl_watch *watch, int count, Tcl_Obj *const arguments[],
                        struct settings *settings)
{
    aetcl_pool pool = {NULL};
    int code = TCL_OK;
    for (int at = 2; at < count && code == TCL_OK; at += 2)
        code = read_option(watch, arguments[at], arguments[at + 1], &pool, settings);
    aetcl_pool_free(&pool);
    return code;
}

/* Make the watch and its command, whose name is the result. */
static int watch_start(struct aetcl_watch *watch, const struct settings *settings)
{
    aetcl_state *state = watch->table->state;
    const aero_status status = settings->text != NULL
                                   ? aero_watch_open_at(watch->query, settings->text, &watch->watch)
                                   : aero_watch_open(watch->query, settings->start,
                                                     (uint64_t)settings->number, &watch->watch);
    if (status != AERO_OK)
        return aetcl_fail_session(state);
    watch->thread = Tcl_GetCurrentThread();
    if (aero_watch_hook(watch->watch, news_come, watch) != AERO_OK) {
        aero_watch_close(watch->watch);
        return aetcl_fail_session(state);
    }
    watch->callback = settings->callback;
    Tcl_IncrRefCount(watch->callback);
    watch->position = settings->text != NULL ? Tcl_NewStringObj(settings->text, -1)
                                             : Tcl_NewWideIntObj((Tcl_WideInt)settings->number);
    Tcl_IncrRefCount(watch->position);
    watch->next = state->watches;
    state->watches = watch;
    Tcl_Obj *name = Tcl_ObjPrintf("::%s::watch%lu", state->schema->package,
                                  (unsigned long)++state->watch_count);
    watch->command = Tcl_CreateObjCommand(state->interp, Tcl_GetString(name), watch_command, watch,
                                          command_deleted);
    Tcl_CreateEventSource(source_setup, source_check, watch);
    Tcl_SetObjResult(state->interp, name);
    return TCL_OK;
}

/* watch ?-compare clauses? ?-glob pattern? ?-start now|snapshot|position? -command prefix */
int aetcl_watch(aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    static const char usage[] =
        "watch ?-compare clauses? ?-glob pattern? ?-start now|snapshot|position? -command prefix";
    struct settings settings = {.start = AERO_WATCH_NOW};
    if (count % 2 != 0)
        return aetcl_table_usage(table, usage);
    if (aetcl_session(table->state) != TCL_OK)
        return TCL_ERROR;
    struct aetcl_watch *watch = (struct aetcl_watch *)(void *)Tcl_Alloc((unsigned)sizeof *watch);
    memset(watch, 0, sizeof *watch);
    watch->table = table;
    if (aero_query_new(table->state->session, table->index, &watch->query) != AERO_OK) {
        Tcl_Free((char *)watch);
        return aetcl_fail_session(table->state);
    }
    int code = read_options(watch, count, arguments, &settings);
    if (code == TCL_OK && settings.callback == NULL)
        code = aetcl_table_usage(table, usage);
    if (code == TCL_OK)
        code = watch_start(watch, &settings);
    if (code != TCL_OK) {
        aero_query_free(watch->query);
        Tcl_Free((char *)watch);
    }
    return code;
}
