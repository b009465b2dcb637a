/* transaction.c — transactions and savepoints.
 *
 * `transaction` is written in C although it could be a Tcl procedure: evaluated by a command in C,
 * a script sees the caller's variables and its `return -code … -level …` without any imitation, and
 * the command is there in every package, in safe interpreters and after a bare `load`.
 *
 * The outermost transaction retries; an inner one is a savepoint, since what it read belongs to the
 * whole and only the whole can be run again.
 *
 * Invariants
 *   I1  When aetcl_atomically returns, the session is as deep in transactions as it was before.
 *   I2  A transaction is committed only if its work said so and the database was not closed by it.
 *
 * Progress: backs off with jitter between attempts, at most 16 ms each.
 */
#include <string.h>

#include "aerotcl_private.h"

#define BACKOFF_MS_MAX 16

/* xorshift: good enough to keep two retrying processes apart. */
static uint32_t random_below(aetcl_state *state, uint32_t limit)
{
    uint64_t x = state->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    state->random = x;
    return (uint32_t)((x >> 32) * limit >> 32);
}

static void back_off(aetcl_state *state, int64_t attempt)
{
    const uint32_t ceiling = attempt < 4 ? (uint32_t)1 << attempt : BACKOFF_MS_MAX;
    Tcl_Sleep((int)random_below(state, ceiling + 1));
}

/* Did the work ask to keep what it did?  `return -code error` did not: what its caller is going to
 * see is an error. */
static bool keeps(Tcl_Interp *interp, int code)
{
    if (code == TCL_RETURN) {
        Tcl_Obj *options = Tcl_GetReturnOptions(interp, code);
        Tcl_Obj *key = Tcl_NewStringObj("-code", -1);
        Tcl_Obj *value = NULL;
        Tcl_IncrRefCount(options);
        Tcl_IncrRefCount(key);
        if (Tcl_DictObjGet(NULL, options, key, &value) != TCL_OK || value == NULL ||
            Tcl_GetIntFromObj(NULL, value, &code) != TCL_OK)
            code = TCL_ERROR;
        Tcl_DecrRefCount(key);
        Tcl_DecrRefCount(options);
    }
    return code == TCL_OK || code == TCL_RETURN || code == TCL_BREAK || code == TCL_CONTINUE;
}

static int closed_inside(aetcl_state *state)
{
    return aetcl_fail(state->interp, AERO_STALE,
                      Tcl_NewStringObj("the database was closed inside the transaction, which is "
                                       "rolled back",
                                       -1));
}

/* One attempt.  *again is set when the failure may be cured by another. */
static int attempt_once(aetcl_state *state, int32_t isolation, aetcl_work *work, void *context,
                        bool *again)
{
    *again = false;
    if (aero_begin(state->session, isolation) != AERO_OK) {
        *again = aero_session_error(state->session)->retryable != 0;
        return aetcl_fail_session(state);
    }
    state->isolation = isolation;
    int code = work(context);
    if (Tcl_InterpDeleted(state->interp)) {
        code = aetcl_check_limits(state->interp);
    } else if (keeps(state->interp, code) && !state->close_pending) {
        if (aero_commit(state->session) == AERO_OK)
            return code;
        *again = aero_session_error(state->session)->retryable != 0;
        code = aetcl_fail_session(state);
    } else if (keeps(state->interp, code)) {
        code = closed_inside(state);
    } else {
        *again = (code == TCL_ERROR || code == TCL_RETURN) && !state->close_pending &&
                 aetcl_retryable(state->interp, code);
    }
    /* A failed commit has rolled back; where it has not, this does. */
    if (aero_depth(state->session) > 0)
        (void)aero_rollback(state->session);
    return code;
}

/* Run the work between a savepoint and its release.  Its name is used once and begins with NUL:
 * a savepoint of a script cannot hide it, and if the work ended it (by releasing one around it),
 * no other is released in its place. */
static int nested(aetcl_state *state, aetcl_work *work, void *context)
{
    aero_session *session = state->session;
    struct aetcl_mark mark = {.outer = state->marks};
    char *const name = mark.name;
    memcpy(name + 1, &state->savepoints, sizeof state->savepoints);
    state->savepoints++;
    if (aero_savepoint(session, name, sizeof mark.name) != AERO_OK)
        return aetcl_fail_session(state);
    mark.depth = aero_depth(session);
    state->marks = &mark;
    const int code = work(context);
    state->marks = mark.outer;
    if (state->close_pending)
        return keeps(state->interp, code) ? closed_inside(state) : code;
    if (!keeps(state->interp,
               code)) { /* fails when the whole transaction is lost; its end will tell */
        (void)aero_rollback_to(session, name, sizeof mark.name);
        (void)aero_release(session, name, sizeof mark.name);
        return code;
    }
    if (aero_release(session, name, sizeof mark.name) != AERO_OK &&
        aero_session_error(session)->code != AERO_NAME)
        return aetcl_fail_session(state);
    return code;
}

int aetcl_atomically(aetcl_state *state, int32_t isolation, int64_t retries, aetcl_work *work,
                     void *context)
{
    int code;
    aetcl_enter(state);
    if (aero_depth(state->session) > 0) {
        code = nested(state, work, context);
        aetcl_leave(state);
        return code;
    }
    for (int64_t attempt = 0;; attempt++) {
        bool again;
        code = attempt_once(state, isolation, work, context, &again);
        if (!again || attempt >= retries || Tcl_InterpDeleted(state->interp))
            break;
        Tcl_ResetResult(state->interp);
        back_off(state, attempt);
        if (aetcl_check_limits(state->interp) != TCL_OK) {
            code = TCL_ERROR;
            break;
        }
    }
    aetcl_leave(state);
    return code;
}

/* ---- commands ------------------------------------------------------------------------------- */

static int command_usage(aetcl_state *state, const char *text)
{
    return aetcl_fail(state->interp, AERO_USAGE,
                      Tcl_ObjPrintf("usage: %s::%s", state->schema->package, text));
}

struct script {
    aetcl_state *state;
    Tcl_Obj *body;
};

static int run_script(void *context)
{
    struct script *script = context;
    Tcl_Interp *interp = script->state->interp;
    const int code = Tcl_EvalObjEx(interp, script->body, 0);
    if (code == TCL_ERROR)
        Tcl_AppendObjToErrorInfo(interp, Tcl_ObjPrintf("\n    (\"%s::transaction\" body line %d)",
                                                       script->state->schema->package,
                                                       Tcl_GetErrorLine(interp)));
    return code;
}

static const char *const isolation_names[] = {"serializable", "snapshot", "read_only", NULL};

/* Read -isolation and -retries.  *isolation stays -1 when it is not given. */
static int read_options(aetcl_state *state, int count, Tcl_Obj *const arguments[], int *isolation,
                        int64_t *retries)
{
    static const char *const options[] = {"-isolation", "-retries", NULL};
    for (int i = 1; i < count - 1; i += 2) {
        int option;
        if (Tcl_GetIndexFromObj(NULL, arguments[i], options, "option", TCL_EXACT, &option) !=
            TCL_OK)
            return aetcl_fail(
                state->interp, AERO_USAGE,
                Tcl_ObjPrintf("unknown transaction option: %.100s", Tcl_GetString(arguments[i])));
        if (i + 1 == count - 1)
            return TCL_CONTINUE;
        if (option == 1) {
            if (aetcl_natural_of(state->interp, arguments[i + 1], "-retries", 0, retries) != TCL_OK)
                return TCL_ERROR;
        } else if (Tcl_GetIndexFromObj(NULL, arguments[i + 1], isolation_names, "isolation",
                                       TCL_EXACT, isolation) != TCL_OK) {
            return aetcl_fail(state->interp, AERO_USAGE,
                              Tcl_ObjPrintf("isolation must be serializable, snapshot or "
                                            "read_only, not \"%.100s\"",
                                            Tcl_GetString(arguments[i + 1])));
        }
    }
    return TCL_OK;
}

/* transaction ?-isolation i? ?-retries n? script */
int aetcl_transaction(aetcl_state *state, int count, Tcl_Obj *const arguments[])
{
    int isolation = -1;
    int64_t retries = AETCL_RETRIES;
    int code = count < 2 ? TCL_CONTINUE
                         : read_options(state, count, arguments, &isolation, &retries);
    if (code == TCL_CONTINUE)
        return command_usage(state, "transaction ?-isolation serializable|snapshot|read_only? "
                                    "?-retries n? script");
    if (code != TCL_OK || aetcl_session(state) != TCL_OK)
        return TCL_ERROR;
    if (isolation >= 0 && aero_depth(state->session) > 0 && isolation != state->isolation)
        return aetcl_fail(state->interp, AERO_USAGE,
                          Tcl_ObjPrintf("the transaction around this one is %s; a part of it "
                                        "cannot be %s",
                                        isolation_names[state->isolation],
                                        isolation_names[isolation]));
    struct script script = {state, arguments[count - 1]};
    Tcl_IncrRefCount(script.body);
    code = aetcl_atomically(state, isolation < 0 ? AERO_ISOLATION_SERIALIZABLE : isolation, retries,
                            run_script, &script);
    Tcl_DecrRefCount(script.body);
    return code;
}

/* The three savepoint commands differ in the function they call. */
static int savepoint_command(aetcl_state *state, int count, Tcl_Obj *const arguments[],
                             const char *usage,
                             aero_status (*call)(aero_session *, const char *, size_t))
{
    aetcl_pool pool = {NULL};
    aetcl_text name;
    if (count != 2)
        return command_usage(state, usage);
    if (aetcl_session(state) != TCL_OK)
        return TCL_ERROR;
    int code = aetcl_name_of(state->interp, arguments[1], "the name of a savepoint", &pool, &name);
    if (code == TCL_OK && call(state->session, name.data, name.length) != AERO_OK)
        code = aetcl_fail_session(state);
    aetcl_pool_free(&pool);
    return code;
}

/* savepoint name */
int aetcl_savepoint(aetcl_state *state, int count, Tcl_Obj *const arguments[])
{
    return savepoint_command(state, count, arguments, "savepoint name", aero_savepoint);
}

/* Set the savepoints of inner transactions again that a rollback to one around them has ended, the
 * outermost first: what they do from here on is their own part still, and goes with their error. */
static int marks_renew(aetcl_state *state)
{
    for (;;) {
        struct aetcl_mark *lost = NULL;
        for (struct aetcl_mark *mark = state->marks; mark != NULL; mark = mark->outer)
            if (mark->depth > aero_depth(state->session))
                lost = mark;
        if (lost == NULL)
            return TCL_OK;
        if (aero_savepoint(state->session, lost->name, sizeof lost->name) != AERO_OK)
            return aetcl_fail_session(state);
        lost->depth = aero_depth(state->session);
    }
}

/* rollback_to name */
int aetcl_rollback_to(aetcl_state *state, int count, Tcl_Obj *const arguments[])
{
    const int code = savepoint_command(state, count, arguments, "rollback_to name",
                                       aero_rollback_to);
    return code == TCL_OK ? marks_renew(state) : code;
}

/* release name */
int aetcl_release(aetcl_state *state, int count, Tcl_Obj *const arguments[])
{
    return savepoint_command(state, count, arguments, "release name", aero_release);
}
