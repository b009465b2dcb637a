/* result.c — errors as Tcl sees them: a result that begins with "TCL_ERROR: " and an errorCode
 * list.
 *
 * errorCode is AEROSTORE CLASS ?table? ?field? ?line? ?column?, where CLASS is a name of
 * errors.def, so that scripts can `try … trap {AEROSTORE CONFLICT}`.  A place that is known makes
 * those before it present, as empty elements if need be.  CONFLICT is followed by table and reason.
 * EXISTS of an index over several fields has all of them as a list, last, after line and column.
 */
#include <string.h>

#include "aerotcl_private.h"

static const char *code_name(int32_t code)
{
    const aero_error_info *info = aero_error_lookup(code);
    return info != NULL ? info->name : "PANIC";
}

/* Set the result and errorCode from a text and the elements after AEROSTORE. */
static int leave(Tcl_Interp *interp, Tcl_Obj *text, Tcl_Obj *detail)
{
    Tcl_Obj *result = Tcl_NewStringObj("TCL_ERROR: ", -1);
    Tcl_IncrRefCount(text);
    Tcl_AppendObjToObj(result, text);
    Tcl_DecrRefCount(text);
    Tcl_ResetResult(interp);
    Tcl_SetObjResult(interp, result);
    Tcl_SetObjErrorCode(interp, detail);
    return TCL_ERROR;
}

static Tcl_Obj *detail_of(int32_t code)
{
    Tcl_Obj *detail = Tcl_NewListObj(0, NULL);
    Tcl_ListObjAppendElement(NULL, detail, Tcl_NewStringObj("AEROSTORE", -1));
    Tcl_ListObjAppendElement(NULL, detail, Tcl_NewStringObj(code_name(code), -1));
    return detail;
}

static void add_word(Tcl_Obj *detail, const char *word)
{
    Tcl_ListObjAppendElement(NULL, detail, aetcl_string(word, strlen(word)));
}

int aetcl_fail(Tcl_Interp *interp, int32_t code, Tcl_Obj *text)
{
    return leave(interp, text, detail_of(code));
}

int aetcl_fail_at(const aetcl_table *table, const char *field, int32_t code, Tcl_Obj *text)
{
    Tcl_Obj *detail = detail_of(code);
    add_word(detail, table->info->name);
    if (field != NULL)
        add_word(detail, field);
    return leave(table->state->interp, text, detail);
}

/* The fields that must be unique together, after line and column. */
static void add_fields(Tcl_Obj *detail, const aero_error *error)
{
    const aero_schema_info *schema = aero_schema();
    Tcl_Obj *fields = Tcl_NewListObj(0, NULL);
    for (uint32_t table = 0; table < schema->table_count; table++)
        for (uint32_t i = 0; i < error->column_count; i++)
            if (strcmp(schema->tables[table].name, error->table) == 0)
                add_word(fields, schema->tables[table].columns[error->columns[i]].name);
    Tcl_Size count;
    for (Tcl_ListObjLength(NULL, detail, &count); count < 6; count++)
        Tcl_ListObjAppendElement(NULL, detail, Tcl_NewObj());
    Tcl_ListObjAppendElement(NULL, detail, fields);
}

int aetcl_fail_engine(Tcl_Interp *interp, const aero_error *error, Tcl_Obj *more)
{
    Tcl_Obj *detail = detail_of(error->code);
    const bool placed = error->line >= 0 || error->column >= 0;
    if (error->code == AERO_CONFLICT) {
        add_word(detail, error->table);
        add_word(detail, aero_conflict_name(error->reason));
    } else if (placed || error->table[0] != '\0' || error->field[0] != '\0') {
        add_word(detail, error->table);
        if (placed || error->field[0] != '\0')
            add_word(detail, error->field);
        if (placed)
            Tcl_ListObjAppendElement(NULL, detail, Tcl_NewWideIntObj(error->line));
        if (error->column >= 0)
            Tcl_ListObjAppendElement(NULL, detail, Tcl_NewWideIntObj(error->column));
    }
    if (error->column_count > 1)
        add_fields(detail, error);
    Tcl_Obj *text = aetcl_string(error->text, strnlen(error->text, sizeof error->text));
    if (more != NULL) {
        Tcl_IncrRefCount(more);
        if (Tcl_IsShared(text))
            text = Tcl_DuplicateObj(text);
        Tcl_AppendObjToObj(text, more);
        Tcl_DecrRefCount(more);
    }
    return leave(interp, text, detail);
}

int aetcl_fail_session(aetcl_state *state)
{
    const int stopped = state->stopped;
    state->stopped = TCL_OK;
    if (stopped != TCL_OK && aero_session_error(state->session)->code == AERO_INTERRUPTED)
        return stopped; /* what ended the wait has left its own result */
    return aetcl_fail_engine(state->interp, aero_session_error(state->session), NULL);
}

int aetcl_fail_waiting(aetcl_state *state)
{
    return aetcl_fail(state->interp, AERO_USAGE,
                      Tcl_NewStringObj("a command waits for another transaction; what runs "
                                       "meanwhile cannot use the database",
                                       -1));
}

int aetcl_usage(Tcl_Interp *interp, const char *text)
{
    return aetcl_fail(interp, AERO_USAGE, Tcl_ObjPrintf("usage: %s", text));
}

int aetcl_table_usage(const aetcl_table *table, const char *arguments)
{
    return aetcl_fail_at(table, NULL, AERO_USAGE,
                         Tcl_ObjPrintf("usage: %s %s", table->info->name, arguments));
}

int aetcl_fail_tcl(Tcl_Interp *interp, int32_t code)
{
    Tcl_Obj *text = Tcl_GetObjResult(interp);
    Tcl_IncrRefCount(text);
    (void)aetcl_fail(interp, code, text);
    Tcl_DecrRefCount(text);
    return TCL_ERROR;
}

/* True when errorCode says AEROSTORE and a retryable class. */
static bool code_retryable(Tcl_Obj *error_code)
{
    Tcl_Size count;
    Tcl_Obj **words;
    if (Tcl_ListObjGetElements(NULL, error_code, &count, &words) != TCL_OK || count < 2)
        return false;
    if (strcmp(Tcl_GetString(words[0]), "AEROSTORE") != 0)
        return false;
    const char *name = Tcl_GetString(words[1]);
    const aero_error_info *info;
    for (uint32_t i = 0; (info = aero_error_at(i)) != NULL; i++)
        if (strcmp(info->name, name) == 0)
            return info->retryable != 0;
    return false;
}

bool aetcl_retryable(Tcl_Interp *interp, int code)
{
    Tcl_Obj *options = Tcl_GetReturnOptions(interp, code);
    Tcl_Obj *key = Tcl_NewStringObj("-errorcode", -1);
    Tcl_Obj *error_code = NULL;
    Tcl_IncrRefCount(options);
    Tcl_IncrRefCount(key);
    (void)Tcl_DictObjGet(NULL, options, key, &error_code);
    const bool retryable = error_code != NULL && code_retryable(error_code);
    Tcl_DecrRefCount(key);
    Tcl_DecrRefCount(options);
    return retryable;
}
