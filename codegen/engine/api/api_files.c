/* api_files.c — the exported functions on files: checkpoints, backups, and stores that are not
 * open. */
#include <limits.h>
#include <stddef.h>
#include <stdio.h>

#include "base/os_store.h"
#include "durable/durable.h"
#include "durable/keeper.h"
#include "ttl/ttl.h"

static aero_checkpoint_report checkpoint_report(const ae_checkpoint_report *done)
{
    return (aero_checkpoint_report){.rows = done->rows,
                                    .bytes = done->bytes,
                                    .number = done->number,
                                    .elapsed_ms = done->elapsed_ms};
}

aero_status aero_checkpoint(aero_session *session, aero_checkpoint_report *report)
{
    ae_checkpoint_report done = {0};
    aero_status status = ae_session_enter(session);
    if (status == AERO_OK && report == NULL)
        return ae_fail(&session->error, AERO_USAGE, "no place for the report");
    if (status == AERO_OK)
        status = ae_checkpoint(session, NULL, &done);
    if (status == AERO_OK)
        *report = checkpoint_report(&done);
    return status;
}

aero_status aero_keep(const aero_open_options *options, int32_t detach, int32_t *outcome,
                      aero_error *error)
{
    if (error != NULL)
        ae_error_clear(error);
    if (options == NULL || options->shm_path == NULL || outcome == NULL)
        return ae_fail(error, AERO_USAGE, "data directory, segment and outcome are needed");
    if (detach)
        ae_os_detach();
    return ae_keeper_run(options, ae_ttl_step, outcome, error);
}

aero_status aero_backup(aero_session *session, const char *target, aero_checkpoint_report *report)
{
    ae_checkpoint_report done = {0};
    aero_status status = ae_session_enter(session);
    if (status == AERO_OK && (target == NULL || target[0] == '\0' || report == NULL))
        return ae_fail(&session->error, AERO_USAGE, "a directory and a place for the report");
    if (status == AERO_OK)
        status = ae_durable_backup(session, target, &done);
    if (status == AERO_OK)
        *report = checkpoint_report(&done);
    return status;
}

/* ---- stores that are not open --------------------------------------------------------------- */

static aero_status files_enter(const aero_open_options *options, const aero_files_report *report,
                               aero_error *error)
{
    if (error != NULL)
        ae_error_clear(error);
    if (options == NULL || report == NULL || options->data_dir == NULL ||
        options->data_dir[0] == '\0')
        return ae_fail(error, AERO_USAGE, "a data directory and a place for the report are needed");
    return AERO_OK;
}

static aero_files_report files_report(const ae_recovery_report *done)
{
    return (aero_files_report){.rows = done->rows,
                               .commits = done->commits,
                               .number = done->number,
                               .lsn = done->lsn,
                               .cut_bytes = done->cut_bytes,
                               .damage = done->damage,
                               .elapsed_ms = done->elapsed_ms};
}

aero_status aero_files_verify(const aero_open_options *options, aero_files_report *report,
                              aero_error *error)
{
    ae_recovery_report done = {0};
    aero_status status = files_enter(options, report, error);
    if (status == AERO_OK)
        status = ae_durable_check(options, &done, error);
    if (status == AERO_OK)
        *report = files_report(&done);
    return status;
}

aero_status aero_files_repair(const aero_open_options *options, char *aside, size_t aside_size,
                              aero_files_report *report, aero_error *error)
{
    ae_recovery_report done = {0};
    char place[PATH_MAX];
    aero_status status = files_enter(options, report, error);
    if (status == AERO_OK && (aside == NULL || aside_size == 0))
        return ae_fail(error, AERO_USAGE, "no place for the name of the directory");
    if (status == AERO_OK)
        status = ae_durable_repair(options, place, &done, error);
    if (status == AERO_OK) {
        *report = files_report(&done);
        snprintf(aside, aside_size, "%s", place);
    }
    return status;
}

aero_status aero_files_restore(const aero_open_options *options, const char *target,
                               uint64_t number, int64_t time_us, aero_files_report *report,
                               aero_error *error)
{
    const ae_copy_goal goal = {.number = number, .time_us = time_us};
    ae_recovery_report done = {0};
    aero_status status = files_enter(options, report, error);
    if (status == AERO_OK && (target == NULL || target[0] == '\0'))
        return ae_fail(error, AERO_USAGE, "a directory to restore into is needed");
    if (status == AERO_OK)
        status = ae_durable_restore(options, target, &goal, &done, error);
    if (status == AERO_OK)
        *report = files_report(&done);
    return status;
}
