/* database.c — the process's default database and each interpreter's session on it: init, close,
 * settings, statistics, verify.
 *
 * A process has at most one default database per package; all interpreters and threads share it.
 * The first `init`, or the first command that needs it, opens it; the last session to go closes it.
 *
 * Invariants
 *   I1  `process` is read and written under its mutex only.
 *   I2  process.db is open while process.sessions > 0.
 *   I3  While a thread opens the database it does not hold the mutex, as -progress evaluates a
 *       script; process.opener is that thread, and others wait for it.
 *   I4  After an explicit close no command opens a database again but `init`: a script must not end
 *       up in the default directory because another part closed its database.
 *
 * Concurrency: every function may be called from any thread, with its own state.
 */
#include <string.h>

#include "aerotcl_private.h"

/* Names of one table, kept for ever: Tcl caches look-ups by the address of the list. */
struct name_list {
    struct name_list *next;
    const aero_table *table;
    const char **names;
    uint32_t *columns;
};

TCL_DECLARE_MUTEX(process_lock)
static Tcl_Condition process_opened;

static struct {
    aero_db *db;
    bool opening;
    Tcl_ThreadId opener; /* while it is opening */
    uint32_t sessions;
    char profile[32]; /* as the opener asked for them, or what it got by default */
    char memory[32];
    uint64_t size;
    char shm_path[4096];
    struct name_list *lists;
} process;

/* What `init` was asked for; NULL and 0 where it was not. */
struct request {
    const char *data_dir;
    Tcl_Obj *data_dir_object;
    const char *profile, *memory, *shm_path;
    uint64_t size;
    Tcl_Obj *progress; /* a command prefix */
    bool must_exist;
};

/* ---- names ---------------------------------------------------------------------------------- */

static struct name_list *make_names(const aero_table *table)
{
    size_t count = table->column_count;
    for (uint32_t i = 0; i < table->column_count; i++)
        count += table->columns[i].alias_count;
    struct name_list *list = (struct name_list *)(void *)Tcl_Alloc(sizeof *list);
    list->table = table;
    list->names = (const char **)(void *)Tcl_Alloc((unsigned)((count + 1) * sizeof(char *)));
    list->columns = (uint32_t *)(void *)Tcl_Alloc((unsigned)((count + 1) * sizeof(uint32_t)));
    size_t at = 0;
    for (uint32_t i = 0; i < table->column_count; i++) {
        list->names[at] = table->columns[i].name;
        list->columns[at++] = i;
    }
    for (uint32_t i = 0; i < table->column_count; i++)
        for (uint32_t k = 0; k < table->columns[i].alias_count; k++) {
            list->names[at] = table->columns[i].aliases[k];
            list->columns[at++] = i;
        }
    list->names[at] = NULL;
    return list;
}

void aetcl_names_of(const aero_schema_info *schema, aetcl_table *table)
{
    const aero_table *info = &schema->tables[table->index];
    Tcl_MutexLock(&process_lock);
    struct name_list *list = process.lists;
    while (list != NULL && list->table != info)
        list = list->next;
    if (list == NULL) {
        list = make_names(info);
        list->next = process.lists;
        process.lists = list;
    }
    table->names = list->names;
    table->name_columns = list->columns;
    Tcl_MutexUnlock(&process_lock);
}

/* ---- opening and closing -------------------------------------------------------------------- */

/* Do the two paths name one directory? */
static bool same_directory(Tcl_Obj *asked, const char *native, const char *opened)
{
    if (strcmp(native, opened) == 0)
        return true;
    Tcl_Obj *other = aetcl_string(opened, strlen(opened));
    Tcl_StatBuf *left = Tcl_AllocStatBuf();
    Tcl_StatBuf *right = Tcl_AllocStatBuf();
    Tcl_IncrRefCount(other);
    const bool same = Tcl_FSStat(asked, left) == 0 && Tcl_FSStat(other, right) == 0 &&
                      Tcl_GetFSDeviceFromStat(left) == Tcl_GetFSDeviceFromStat(right) &&
                      Tcl_GetFSInodeFromStat(left) == Tcl_GetFSInodeFromStat(right);
    Tcl_Free((char *)left);
    Tcl_Free((char *)right);
    Tcl_DecrRefCount(other);
    return same;
}

/* Another `init` of an open database: it may repeat what the first one said, no more. */
static int check_request(Tcl_Interp *interp, const struct request *request)
{
    const char *opened = aero_data_dir(process.db);
    if (request->data_dir != NULL &&
        !same_directory(request->data_dir_object, request->data_dir, opened))
        return aetcl_fail(interp, AERO_USAGE,
                          Tcl_ObjPrintf("the database of this process is %s; it cannot also be %s",
                                        opened, Tcl_GetString(request->data_dir_object)));
    const struct {
        const char *option, *asked, *opened;
    } texts[] = {{"-profile", request->profile, process.profile},
                 {"-memory", request->memory, process.memory},
                 {"-shm_path", request->shm_path, process.shm_path}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i].asked != NULL && strcmp(texts[i].asked, texts[i].opened) != 0)
            return aetcl_fail(interp, AERO_USAGE,
                              Tcl_ObjPrintf("%s is open already, with %s \"%s\"; it cannot change "
                                            "to \"%s\"",
                                            opened, texts[i].option, texts[i].opened,
                                            texts[i].asked));
    if (request->size != 0 && request->size != process.size)
        return aetcl_fail(interp, AERO_USAGE,
                          Tcl_ObjPrintf("%s is open already, with -size %" TCL_LL_MODIFIER
                                        "d; it cannot change to %" TCL_LL_MODIFIER "d",
                                        opened, (Tcl_WideUInt)process.size,
                                        (Tcl_WideUInt)request->size));
    return TCL_OK;
}

static void remember(char *to, size_t size, const char *text)
{
    const size_t length = text != NULL ? strnlen(text, size - 1) : 0;
    if (length > 0)
        memcpy(to, text, length);
    to[length] = '\0';
}

struct recovering {
    aetcl_state *state;
    Tcl_Obj *command;
    int code; /* what it returned last */
};

/* Call the command with what is read, bytes done and bytes in all.  Anything but an ordinary return
 * ends the opening. */
static int32_t call_recovering(void *context, int32_t phase, uint64_t done, uint64_t all)
{
    static const char *const phases[] = {"checkpoint", "log", "indexes"};
    struct recovering *recovering = context;
    Tcl_Interp *interp = recovering->state->interp;
    Tcl_Obj *call = Tcl_DuplicateObj(recovering->command);
    const uint64_t numbers[] = {done, all};
    Tcl_IncrRefCount(call);
    recovering->code = Tcl_ListObjAppendElement(interp, call,
                                                Tcl_NewStringObj(phases[phase - 1], -1));
    for (int i = 0; i < 2 && recovering->code == TCL_OK; i++)
        recovering->code = Tcl_ListObjAppendElement(interp, call,
                                                    Tcl_NewWideIntObj((Tcl_WideInt)numbers[i]));
    if (recovering->code == TCL_OK)
        recovering->code = Tcl_EvalObjEx(interp, call, TCL_EVAL_GLOBAL);
    Tcl_DecrRefCount(call);
    if (recovering->code == TCL_OK)
        recovering->code = aetcl_check_limits(interp);
    if (recovering->code == TCL_ERROR)
        Tcl_AddErrorInfo(interp, "\n    (\"-progress\" command of init)");
    return recovering->code != TCL_OK || recovering->state->close_pending;
}

/* Open with the mutex given up: whoever comes meanwhile waits, or, inside the script of -progress,
 * is refused.  REQUIRES: process_lock, no open database, nobody opens one. */
static int open_unlocked(aetcl_state *state, aero_open_options *options, Tcl_Obj *progress)
{
    struct recovering recovering = {state, progress, TCL_OK};
    aero_db *db = NULL;
    aero_error error;
    if (progress != NULL) {
        options->progress = call_recovering;
        options->progress_context = &recovering;
    }
    process.opening = true;
    process.opener = Tcl_GetCurrentThread();
    Tcl_MutexUnlock(&process_lock);
    const aero_status status = aero_open(options, &db, &error);
    Tcl_MutexLock(&process_lock);
    process.opening = false;
    process.db = status == AERO_OK ? db : NULL;
    Tcl_ConditionNotify(&process_opened);
    if (status == AERO_OK)
        return TCL_OK;
    if (recovering.code == TCL_OK)
        return aetcl_fail_engine(state->interp, &error, NULL);
    return recovering.code == TCL_ERROR
               ? TCL_ERROR
               : aetcl_fail(
                     state->interp, AERO_INTERRUPTED,
                     Tcl_ObjPrintf("the -progress command returned code %d", recovering.code));
}

/* REQUIRES: process_lock, no open database, nobody opens one. */
static int open_database(aetcl_state *state, const struct request *request)
{
    char fallback[128];
    Tcl_Obj *name = Tcl_ObjPrintf("./%s_tcl_data", state->schema->package);
    Tcl_IncrRefCount(name);
    remember(fallback, sizeof fallback, Tcl_GetString(name));
    Tcl_DecrRefCount(name);
    aero_open_options options = {
        .data_dir = request->data_dir != NULL ? request->data_dir : fallback,
        .profile = request->profile,
        .memory = request->memory,
        .shm_path = request->shm_path,
        .size = request->size,
        .must_exist = request->must_exist,
    };
    if (open_unlocked(state, &options, request->progress) != TCL_OK)
        return TCL_ERROR;
    remember(process.profile, sizeof process.profile,
             request->profile != NULL ? request->profile : "shared");
    const bool embedded = strcmp(process.profile, "embedded") == 0;
    remember(process.memory, sizeof process.memory,
             request->memory != NULL ? request->memory : (embedded ? "private" : "shared"));
    remember(process.shm_path, sizeof process.shm_path, request->shm_path);
    process.size = request->size;
    return TCL_OK;
}

/* REQUIRES: process_lock. */
static void close_unused(void)
{
    if (process.sessions > 0 || process.db == NULL)
        return;
    (void)aero_close(process.db, NULL); /* no session of it is open: it cannot fail */
    process.db = NULL;
}

/* While a call waits: limits, cancellation, handlers of signals.  What they run finds the package's
 * commands refused, for the call's arguments lie in the state's scratch. */
static int32_t between_looks(void *context)
{
    aetcl_state *state = context;
    state->waiting = true;
    state->stopped = aetcl_check_limits(state->interp);
    state->waiting = false;
    return state->stopped != TCL_OK;
}

/* REQUIRES: process_lock, state->session == NULL. */
static int open_session(aetcl_state *state)
{
    aero_error error;
    if (aero_session_open(process.db, &state->session, &error) != AERO_OK) {
        state->session = NULL;
        close_unused();
        return aetcl_fail_engine(state->interp, &error, NULL);
    }
    (void)aero_session_waiting(state->session, between_looks, state, NULL);
    process.sessions++;
    return TCL_OK;
}

/* Remember the size and the place of the segment that an opener got without asking, so that a later
 * `init` may name them.  REQUIRES: process_lock, state->session != NULL. */
static void remember_defaults(const aetcl_state *state)
{
    const aero_stat *stats;
    uint32_t count;
    if (aero_stats(state->session, &stats, &count) != AERO_OK)
        return; /* naming a default is refused then */
    for (uint32_t i = 0; i < count; i++) {
        const aero_value *value = &stats[i].value;
        if (process.size == 0 && strcmp(stats[i].name, "segment_size") == 0)
            process.size = value->u.natural;
        if (process.shm_path[0] == '\0' && strcmp(stats[i].name, "segment_path") == 0 &&
            value->length < sizeof process.shm_path)
            remember(process.shm_path, value->length + 1, value->u.data);
    }
}

/* Wait until nobody is opening the database.  REQUIRES: process_lock. */
static int wait_opened(Tcl_Interp *interp)
{
    while (process.opening) {
        if (process.opener == Tcl_GetCurrentThread())
            return aetcl_fail(
                interp, AERO_USAGE,
                Tcl_NewStringObj("the database is being opened; the -progress command "
                                 "cannot use it",
                                 -1));
        Tcl_ConditionWait(&process_opened, &process_lock, NULL);
    }
    return TCL_OK;
}

static int attach(aetcl_state *state, const struct request *request)
{
    Tcl_MutexLock(&process_lock);
    if (wait_opened(state->interp) != TCL_OK) {
        Tcl_MutexUnlock(&process_lock);
        return TCL_ERROR;
    }
    int code = TCL_OK;
    const bool first = process.db == NULL;
    if (!first)
        code = check_request(state->interp, request);
    else if (state->safe)
        code = aetcl_fail(state->interp, AERO_PERMISSION,
                          Tcl_NewStringObj("no database is open for this safe interpreter", -1));
    else
        code = open_database(state, request);
    if (code == TCL_OK && state->session == NULL)
        code = open_session(state);
    if (code == TCL_OK && first)
        remember_defaults(state);
    if (code == TCL_OK)
        state->closed = false;
    Tcl_MutexUnlock(&process_lock);
    return code;
}

void aetcl_detach(aetcl_state *state)
{
    if (state->session == NULL)
        return;
    aetcl_watches_close(state);
    Tcl_MutexLock(&process_lock);
    aero_session_close(state->session);
    state->session = NULL;
    process.sessions--;
    close_unused();
    Tcl_MutexUnlock(&process_lock);
}

int aetcl_session(aetcl_state *state)
{
    static const struct request nothing;
    if (!state->opening && (state->close_pending || state->closed))
        return aetcl_fail(
            state->interp, AERO_STALE,
            Tcl_ObjPrintf("the database was closed; call %s::init", state->schema->package));
    if (state->session != NULL)
        return TCL_OK;
    return attach(state, &nothing);
}

void aetcl_enter(aetcl_state *state)
{
    Tcl_Preserve(state->interp);
    state->running++;
}

void aetcl_leave(aetcl_state *state)
{
    if (--state->running == 0 && state->close_pending) {
        state->close_pending = false;
        state->closed = true;
        aetcl_detach(state);
    }
    Tcl_Release(state->interp);
}

/* ---- commands ------------------------------------------------------------------------------- */

static int ready(aetcl_state *state)
{
    char fingerprint[24];
    Tcl_MutexLock(&process_lock);
    const char *dir = aero_data_dir(process.db);
    Tcl_Obj *text = Tcl_ObjPrintf("%s ready (dir=", state->schema->package);
    Tcl_Obj *path = aetcl_string(dir, strlen(dir));
    Tcl_IncrRefCount(path);
    Tcl_AppendObjToObj(text, path);
    Tcl_DecrRefCount(path);
    for (int i = 0; i < 16; i++)
        fingerprint[i] = "0123456789abcdef"[state->schema->fingerprint >> (60 - 4 * i) & 15];
    fingerprint[16] = '\0';
    Tcl_AppendPrintfToObj(text, ", occ_table=0x%s, boot=%s, procarray_orphans_cleared=%u)",
                          fingerprint, aero_boot(process.db), aero_orphans_cleared(process.db));
    Tcl_MutexUnlock(&process_lock);
    Tcl_SetObjResult(state->interp, text);
    return TCL_OK;
}

/* Read one option of `init`. */
static int init_option(aetcl_state *state, int option, Tcl_Obj *object, aetcl_pool *pool,
                       struct request *request)
{
    aetcl_text text;
    if (option == 2)
        return aetcl_size_of(state->interp, object, &request->size);
    if (option == 3)
        return aetcl_path_of(state->interp, object, &request->shm_path);
    if (option == 4) {
        request->progress = object;
        return TCL_OK;
    }
    if (option == 5) {
        bool create = true;
        const int code = aetcl_boolean_of(state->interp, object, "-create", &create);
        request->must_exist = !create;
        return code;
    }
    if (aetcl_name_of(state->interp, object, option == 0 ? "-profile" : "-memory", pool, &text) !=
        TCL_OK)
        return TCL_ERROR;
    char *copy = aetcl_pool_take(pool, text.length + 1);
    memcpy(copy, text.data, text.length);
    copy[text.length] = '\0';
    *(option == 0 ? &request->profile : &request->memory) = copy;
    return TCL_OK;
}

static int read_request(aetcl_state *state, int count, Tcl_Obj *const arguments[], aetcl_pool *pool,
                        struct request *request)
{
    static const char *const options[] = {"-profile",  "-memory", "-size", "-shm_path",
                                          "-progress", "-create", NULL};
    for (int i = 1; i < count; i++) {
        int option;
        if (Tcl_GetString(arguments[i])[0] != '-') {
            if (request->data_dir != NULL)
                return TCL_CONTINUE;
            request->data_dir_object = arguments[i];
            if (aetcl_path_of(state->interp, arguments[i], &request->data_dir) != TCL_OK)
                return TCL_ERROR;
            continue;
        }
        if (Tcl_GetIndexFromObj(NULL, arguments[i], options, "option", TCL_EXACT, &option) !=
                TCL_OK ||
            ++i == count)
            return TCL_CONTINUE;
        if (init_option(state, option, arguments[i], pool, request) != TCL_OK)
            return TCL_ERROR;
    }
    return TCL_OK;
}

/* init ?data_dir? ?-profile p? ?-memory m? ?-size n? ?-shm_path p? ?-progress cmd? ?-create b? */
int aetcl_init(aetcl_state *state, int count, Tcl_Obj *const arguments[])
{
    struct request request = {NULL, NULL, NULL, NULL, NULL, 0, NULL, false};
    aetcl_pool pool = {NULL};
    int code = TCL_ERROR;
    if (state->safe && count > 1) {
        (void)aetcl_fail(state->interp, AERO_PERMISSION,
                         Tcl_NewStringObj("a safe interpreter uses the database that its process "
                                          "has open; it cannot choose one",
                                          -1));
    } else if (state->close_pending) {
        (void)aetcl_fail(state->interp, AERO_USAGE,
                         Tcl_NewStringObj("the database closes when the commands that run now are "
                                          "done; open one after that",
                                          -1));
    } else {
        code = read_request(state, count, arguments, &pool, &request);
        aetcl_enter(state);                 /* -progress evaluates a script */
        const bool inside = state->opening; /* an init in its own -progress, to be refused */
        state->opening = inside || request.progress != NULL;
        if (code == TCL_OK)
            code = attach(state, &request);
        state->opening = inside;
        if (code == TCL_OK)
            code = ready(state);
        aetcl_leave(state);
    }
    aetcl_pool_free(&pool);
    if (code == TCL_CONTINUE) {
        Tcl_Obj *usage = Tcl_ObjPrintf("usage: %s::init ?data_dir? ?-profile p? ?-memory m? "
                                       "?-size n? ?-shm_path p? ?-progress cmd? ?-create b?",
                                       state->schema->package);
        return aetcl_fail(state->interp, AERO_USAGE, usage);
    }
    return code;
}

static int command_usage(aetcl_state *state, const char *text)
{
    return aetcl_fail(state->interp, AERO_USAGE,
                      Tcl_ObjPrintf("usage: %s::%s", state->schema->package, text));
}

/* close */
int aetcl_close(aetcl_state *state, int count, Tcl_Obj *const arguments[])
{
    (void)arguments;
    if (count != 1)
        return command_usage(state, "close");
    if (state->running > 0 && (state->session != NULL || state->opening)) {
        state->close_pending = true;
    } else {
        aetcl_detach(state);
        state->closed = true;
    }
    Tcl_SetObjResult(state->interp, Tcl_NewStringObj("ok", -1));
    return TCL_OK;
}

/* Is the key one of the engine's?  Leaves an error that lists them if not. */
static int check_key(aetcl_state *state, Tcl_Obj *object)
{
    const char *name = Tcl_GetString(object);
    const char *key;
    for (uint32_t i = 0; (key = aero_config_key(i)) != NULL; i++)
        if (strcmp(key, name) == 0)
            return TCL_OK;
    Tcl_Obj *text = Tcl_ObjPrintf("unknown config key '%.100s'; supported: ", name);
    for (uint32_t i = 0; (key = aero_config_key(i)) != NULL; i++)
        Tcl_AppendPrintfToObj(text, "%s%s", i > 0 ? ", " : "", key);
    return aetcl_fail(state->interp, AERO_NAME, text);
}

/* set_config key value */
int aetcl_set_config(aetcl_state *state, int count, Tcl_Obj *const arguments[])
{
    aetcl_pool pool = {NULL};
    aetcl_text value;
    int code = TCL_ERROR;
    if (count != 3)
        return command_usage(state, "set_config <key> <value>");
    if (check_key(state, arguments[1]) != TCL_OK || aetcl_session(state) != TCL_OK)
        return TCL_ERROR;
    if (aetcl_name_of(state->interp, arguments[2], "a setting", &pool, &value) == TCL_OK) {
        char *text = aetcl_pool_take(&pool, value.length + 1);
        memcpy(text, value.data, value.length);
        text[value.length] = '\0';
        if (aero_config_set(state->session, Tcl_GetString(arguments[1]), text) != AERO_OK)
            (void)aetcl_fail_session(state);
        else
            code = TCL_OK;
    }
    aetcl_pool_free(&pool);
    if (code == TCL_OK)
        Tcl_SetObjResult(state->interp, Tcl_NewStringObj("ok", -1));
    return code;
}

/* get_config key */
int aetcl_get_config(aetcl_state *state, int count, Tcl_Obj *const arguments[])
{
    const char *value;
    if (count != 2)
        return command_usage(state, "get_config <key>");
    if (check_key(state, arguments[1]) != TCL_OK || aetcl_session(state) != TCL_OK)
        return TCL_ERROR;
    if (aero_config_get(state->session, Tcl_GetString(arguments[1]), &value) != AERO_OK)
        return aetcl_fail_session(state);
    Tcl_SetObjResult(state->interp, aetcl_string(value, strlen(value)));
    return TCL_OK;
}

/* verify */
int aetcl_verify(aetcl_state *state, int count, Tcl_Obj *const arguments[])
{
    uint64_t rows = 0, blocks = 0;
    (void)arguments;
    if (count != 1)
        return command_usage(state, "verify");
    if (aetcl_session(state) != TCL_OK)
        return TCL_ERROR;
    if (aero_verify(state->session, &rows, &blocks) != AERO_OK)
        return aetcl_fail_session(state);
    Tcl_Obj *words[] = {Tcl_NewStringObj("rows", -1), Tcl_NewWideIntObj((Tcl_WideInt)rows),
                        Tcl_NewStringObj("blocks", -1), Tcl_NewWideIntObj((Tcl_WideInt)blocks)};
    Tcl_SetObjResult(state->interp, Tcl_NewListObj(4, words));
    return TCL_OK;
}

/* checkpoint_now */
int aetcl_checkpoint_now(aetcl_state *state, int count, Tcl_Obj *const arguments[])
{
    aero_checkpoint_report report;
    (void)arguments;
    if (count != 1)
        return command_usage(state, "checkpoint_now");
    if (aetcl_session(state) != TCL_OK)
        return TCL_ERROR;
    if (aero_checkpoint(state->session, &report) != AERO_OK)
        return aetcl_fail_session(state);
    Tcl_Obj *text = Tcl_ObjPrintf("checkpoint rows=%" TCL_LL_MODIFIER "d bytes=%" TCL_LL_MODIFIER
                                  "d elapsed_ms=",
                                  (Tcl_WideInt)report.rows, (Tcl_WideInt)report.bytes);
    Tcl_AppendObjToObj(text, Tcl_ObjPrintf("%ld.%02d", (long)report.elapsed_ms,
                                           (int)(report.elapsed_ms * 100) % 100));
    Tcl_SetObjResult(state->interp, text);
    return TCL_OK;
}
