/* ingest.c — ingest_tsv and ingest_file: whole tables in.
 *
 * The report is one line of text: "rows_seen=3 inserted=3 updated=0 batches=1 elapsed_ms=1.829".
 * When a line is malformed, the error says how much was committed before, or, in a transaction,
 * written.
 */
#include <string.h>

#include "aerotcl_private.h"

static Tcl_Obj *report_object(const aero_ingest_report *report)
{
    /* Not %f: a host may have set a locale with a decimal comma. */
    const double bounded = report->elapsed_ms < 1e15 ? report->elapsed_ms : 1e15;
    const uint64_t microseconds = bounded > 0 ? (uint64_t)(bounded * 1000.0) : 0;
    return Tcl_ObjPrintf("rows_seen=%ld inserted=%ld updated=%ld batches=%ld elapsed_ms=%ld.%03ld",
                         (long)report->rows_seen, (long)report->inserted, (long)report->updated,
                         (long)report->batches, (long)(microseconds / 1000),
                         (long)(microseconds % 1000));
}

int aetcl_fail_ingest(aetcl_table *table, const aero_ingest_report *report)
{
    const bool open = aero_depth(table->state->session) > 0;
    if (table->state->stopped != TCL_OK)
        return aetcl_fail_session(table->state);
    Tcl_Obj *more = Tcl_ObjPrintf(" (%s before it: rows_seen=%ld inserted=%ld updated=%ld "
                                  "batches=%ld)",
                                  open ? "written in the open transaction" : "committed",
                                  (long)report->rows_seen, (long)report->inserted,
                                  (long)report->updated, (long)report->batches);
    return aetcl_fail_engine(table->state->interp, aero_session_error(table->state->session), more);
}

static int batch_of(aetcl_table *table, Tcl_Obj *object, aero_tsv_options *options)
{
    int64_t size;
    if (aetcl_natural_of(table->state->interp, object, "batch size", 1, &size) != TCL_OK)
        return TCL_ERROR;
    options->batch_size = (uint64_t)size;
    return TCL_OK;
}

/* ingest_tsv data ?batch_size? */
int aetcl_ingest_tsv(aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    aetcl_pool pool = {NULL};
    aetcl_text data;
    aero_tsv_options options = {0};
    aero_ingest_report report = {0};
    if (count < 3 || count > 4)
        return aetcl_table_usage(table, "ingest_tsv <tsv_data> ?batch_size?");
    int code = aetcl_session(table->state);
    if (code == TCL_OK && count == 4)
        code = batch_of(table, arguments[3], &options);
    if (code == TCL_OK)
        code = aetcl_text_of(table->state->interp, arguments[2], &pool, &data);
    if (code == TCL_OK && aero_ingest_tsv(table->state->session, table->index, data.data,
                                          data.length, &options, &report) != AERO_OK)
        code = aetcl_fail_ingest(table, &report);
    aetcl_pool_free(&pool);
    if (code == TCL_OK)
        Tcl_SetObjResult(table->state->interp, report_object(&report));
    return code;
}

/* ---- files ---------------------------------------------------------------------------------- */

struct progress {
    aetcl_state *state;
    Tcl_Obj *command; /* a command prefix */
    int code;         /* what it returned last */
};

/* Call the command with rows seen, bytes read and bytes in all (0 if unknown).  Anything but an
 * ordinary return stops the ingest. */
static int32_t call_progress(void *context, const aero_ingest_report *report, uint64_t total_bytes)
{
    struct progress *progress = context;
    Tcl_Interp *interp = progress->state->interp;
    Tcl_Obj *call = Tcl_DuplicateObj(progress->command);
    const uint64_t numbers[] = {report->rows_seen, report->bytes, total_bytes};
    Tcl_IncrRefCount(call);
    progress->code = TCL_OK;
    for (int i = 0; i < 3 && progress->code == TCL_OK; i++)
        progress->code = Tcl_ListObjAppendElement(interp, call,
                                                  Tcl_NewWideIntObj((Tcl_WideInt)numbers[i]));
    if (progress->code == TCL_OK)
        progress->code = Tcl_EvalObjEx(interp, call, TCL_EVAL_GLOBAL);
    Tcl_DecrRefCount(call);
    if (progress->code == TCL_OK)
        progress->code = aetcl_check_limits(interp);
    if (progress->code == TCL_ERROR)
        Tcl_AddErrorInfo(interp, "\n    (\"-progress\" command of ingest_file)");
    return progress->code != TCL_OK || progress->state->close_pending;
}

static int ingest_path(aetcl_table *table, Tcl_Obj *path, Tcl_Obj *command,
                       aero_tsv_options *options, aero_ingest_report *report)
{
    aetcl_state *state = table->state;
    struct progress progress = {state, command, TCL_OK};
    const char *native;
    if (aetcl_path_of(state->interp, path, &native) != TCL_OK)
        return TCL_ERROR;
    if (command != NULL) {
        options->progress = call_progress;
        options->progress_context = &progress;
    }
    const aero_status status = aero_ingest_file(state->session, table->index, native, options,
                                                report);
    if (status == AERO_OK || progress.code == TCL_BREAK)
        return TCL_OK;
    if (progress.code != TCL_OK)
        return progress.code == TCL_ERROR
                   ? TCL_ERROR
                   : aetcl_fail_at(
                         table, NULL, AERO_INTERRUPTED,
                         Tcl_ObjPrintf("the -progress command returned code %d", progress.code));
    return aetcl_fail_ingest(table, report);
}

/* ingest_file path ?batch_size? ?-progress command? */
int aetcl_ingest_file(aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    static const char usage[] = "ingest_file path ?batch_size? ?-progress command?";
    static const char *const names[] = {"-progress", NULL};
    aero_tsv_options options = {0};
    aero_ingest_report report = {0};
    Tcl_Obj *command = NULL;
    int at = 3, option;
    if (count < 3)
        return aetcl_table_usage(table, usage);
    if (at < count && strcmp(Tcl_GetString(arguments[at]), names[0]) != 0) {
        if (batch_of(table, arguments[at], &options) != TCL_OK)
            return TCL_ERROR;
        at++;
    }
    if (at + 2 == count &&
        Tcl_GetIndexFromObj(NULL, arguments[at], names, "option", TCL_EXACT, &option) == TCL_OK) {
        command = arguments[at + 1];
        at += 2;
    }
    if (at != count)
        return aetcl_table_usage(table, usage);
    if (aetcl_session(table->state) != TCL_OK)
        return TCL_ERROR;
    aetcl_enter(table->state);
    const int code = ingest_path(table, arguments[2], command, &options, &report);
    aetcl_leave(table->state);
    if (code == TCL_OK)
        Tcl_SetObjResult(table->state->interp, report_object(&report));
    return code;
}
