/* inspect.c — files of a store that this process has not opened: checking, repairing, copying.
 *
 * All of it is recovery into private memory: the files are only read.  What is written is a single
 * checkpoint that stands alone, with an identity of its own, so that a copy's files and the
 * original's cannot be mixed up.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os_file.h"
#include "durable/durable_private.h"
#include "table/verify.h"
#include "txn/txn.h"

/* Private memory is only reserved: as much as references reach. */
#define INSPECT_SIZE AE_SEGMENT_MAX

typedef struct inspection {
    ae_recovery_goal goal;
    ae_recovery_report *report;
    ae_recovery_teller teller;
} inspection;

static aero_status inspect_fill(void *context, aero_db *db, bool *exists, aero_error *error)
{
    inspection *of = context;
    (void)exists;
    return aei_recover(db, &of->goal, of->report, error);
}

/* Is there a store, and of which profile? */
static aero_status store_find(const aero_open_options *options, enum ae_profile *found,
                              aero_error *error)
{
    int fd = -1;
    if (options->data_dir == NULL)
        return ae_fail(error, AERO_USAGE, "a data directory is needed");
    const int failure = ae_os_directory_open(options->data_dir, &fd);
    if (failure != 0)
        return ae_fail_errno(error, failure == ENOENT ? AERO_NOT_FOUND : AERO_IO, failure,
                             "there is no database at %.500s", options->data_dir);
    ae_os_close(fd);
    aero_status status = aei_durable_profile(options->data_dir, found, error);
    if (status == AERO_OK)
        status = aei_repair_pending(options->data_dir, error);
    if (status == AERO_OK && *found == AE_PROFILES)
        status = ae_fail(error, AERO_NOT_FOUND, "there is no database at %.500s",
                         options->data_dir);
    return status;
}

/* The store's files as a database in private memory that writes nothing. */
static aero_status inspect_open(const aero_open_options *options, inspection *of, aero_db **out,
                                aero_error *error)
{
    static const char *const profiles[AE_PROFILES] = {"shared", "embedded", "logical"};
    aero_db *db = NULL;
    enum ae_profile found = AE_PROFILES;
    *out = NULL;
    of->teller = (ae_recovery_teller){.call = options->progress,
                                      .context = options->progress_context};
    of->goal.teller = &of->teller;
    aero_status status = store_find(options, &found, error);
    if (status != AERO_OK)
        return status;
    const aero_open_options private = {.data_dir = options->data_dir,
                                       .profile = profiles[found],
                                       .memory = "private",
                                       .size = options->size != 0 ? options->size : INSPECT_SIZE};
    AE_ALWAYS(found < AE_PROFILES);
    status = ae_db_new(&private, &db, error);
    if (status != AERO_OK)
        return status;
    const ae_db_boot boot = {.context = of,
                             .log_name = aei_durable_names(db->profile_kind)->log,
                             .stack = aei_durable_stack(db->profile_kind),
                             .fill = inspect_fill};
    status = ae_db_attach(db, &boot, error);
    if (status != AERO_OK)
        ae_db_free(db);
    else
        *out = db;
    return status;
}

/* Do the tables that came out hold together? */
static aero_status inspect_verify(aero_db *db, uint64_t *rows, aero_error *error)
{
    aero_session *session = NULL;
    uint64_t blocks = 0;
    aero_status status = ae_session_new(db, &session, error);
    if (status != AERO_OK)
        return status;
    status = ae_verify(session, rows, &blocks);
    if (status != AERO_OK && error != NULL)
        *error = session->error;
    ae_session_free(session);
    return status;
}

aero_status ae_durable_check(const aero_open_options *options, ae_recovery_report *report,
                             aero_error *error)
{
    inspection of = {.goal = {.number = UINT64_MAX, .time_us = INT64_MAX}, .report = report};
    aero_db *db = NULL;
    aero_status status = inspect_open(options, &of, &db, error);
    if (status != AERO_OK)
        return status;
    status = inspect_verify(db, &report->rows, error);
    ae_db_free(db);
    return status;
}

/* ---- writing a store ------------------------------------------------------------------------ */

static int any_name(void *context, const char *name)
{
    bool *any = context;
    (void)name;
    *any = true;
    return 0;
}

/* An empty directory, made if it is missing. */
static aero_status target_make(const char *target, aero_error *error)
{
    bool any = false;
    int failure = ae_os_directory_make(target);
    if (failure == EEXIST)
        failure = ae_os_directory_list(target, any_name, &any);
    if (failure != 0)
        return ae_fail_errno(error, AERO_IO, failure, "cannot use the directory %.500s", target);
    if (any)
        return ae_fail(error, AERO_USAGE, "the directory %.500s is not empty", target);
    return AERO_OK;
}

/* Write what the session sees as a store that needs no log, under the checkpoint's name with an
 * ending. */
static aero_status store_write(aero_session *session, const char *directory, const char *ending,
                               uint64_t lsn, ae_checkpoint_report *report)
{
    AE_ALWAYS(!session->txn.open);
    const aero_db *db = session->db;
    const ae_file_names *names = aei_durable_names(db->profile_kind);
    char path[PATH_MAX];
    char fresh[PATH_MAX];
    char fresh_ending[32];
    snprintf(fresh_ending, sizeof fresh_ending, "%s.new", ending);
    if (!aei_durable_path(directory, names->checkpoint, ending, path, sizeof path) ||
        !aei_durable_path(directory, names->checkpoint, fresh_ending, fresh, sizeof fresh))
        return ae_fail(&session->error, AERO_IO, "the path of the checkpoint is too long");
    (void)ae_os_file_unlink(fresh); /* of one who died; nobody else writes here now */
    ae_checkpoint_job job = {.path = fresh,
                             .serial = 1,
                             .head = {.format = AE_CHECKPOINT_FORMAT,
                                      .stack = aei_durable_stack(db->profile_kind),
                                      .schema = db->schema->fingerprint,
                                      .replay_lsn = lsn,
                                      .durable = lsn,
                                      .flags = AE_CHECKPOINT_ALONE}};
    ae_os_random(job.store, sizeof job.store);
    snprintf(job.head.package, sizeof job.head.package, "%s", db->schema->package);
    const aero_status status = aei_checkpoint_write(session, &job, report);
    if (status != AERO_OK) {
        (void)ae_os_file_unlink(fresh);
        return status;
    }
    int failure = ae_os_file_rename(fresh, path);
    if (failure == 0)
        failure = ae_os_directory_sync(directory);
    if (failure != 0)
        return ae_fail_errno(&session->error, AERO_IO, failure, "cannot name %.500s", path);
    return AERO_OK;
}

aero_status ae_durable_backup(aero_session *session, const char *target,
                              ae_checkpoint_report *report)
{
    const uint64_t began = ae_os_monotonic_ns();
    memset(report, 0, sizeof *report);
    if (session->txn.open)
        return ae_fail(&session->error, AERO_USAGE, "a backup cannot be made inside a transaction");
    aero_status status = target_make(target, &session->error);
    if (status == AERO_OK)
        status = store_write(session, target, "", ae_log_written(&session->db->log).lsn, report);
    report->elapsed_ms = (double)(ae_os_monotonic_ns() - began) / 1e6;
    return status;
}

/* Write what an inspected store holds. */
static aero_status inspected_write(aero_db *db, const char *directory, const char *ending,
                                   uint64_t lsn, aero_error *error)
{
    aero_session *session = NULL;
    ae_checkpoint_report report;
    aero_status status = ae_session_new(db, &session, error);
    if (status != AERO_OK)
        return status;
    status = store_write(session, directory, ending, lsn, &report);
    if (status != AERO_OK && error != NULL)
        *error = session->error;
    ae_session_free(session);
    return status;
}

aero_status ae_durable_restore(const aero_open_options *options, const char *target,
                               const ae_copy_goal *goal, ae_recovery_report *report,
                               aero_error *error)
{
    inspection of = {.goal = {.number = goal->number, .time_us = goal->time_us}, .report = report};
    enum ae_profile found = AE_PROFILES;
    aero_db *db = NULL;
    aero_status status = store_find(options, &found, error); /* before anything is made */
    if (status == AERO_OK)
        status = target_make(target, error);
    if (status == AERO_OK)
        status = inspect_open(options, &of, &db, error);
    if (status != AERO_OK)
        return status;
    status = inspected_write(db, target, "", report->lsn, error);
    ae_db_free(db);
    return status;
}

/* ---- repair --------------------------------------------------------------------------------- */

/* The steps: 1. what is good is written beside the files and made durable (AE_REPAIRED); 2. the
 * files go aside; 3. it gets the checkpoint's name.  A death before the end of 1 has changed
 * nothing; after it nobody opens the store until another repair has done the rest, so nothing can
 * have been committed in between. */

typedef struct move {
    const char *from;
    const char *to;
    bool any;
    int failure;
} move;

static bool is_repaired(const char *name)
{
    const size_t length = strlen(name);
    const size_t ending = strlen(AE_REPAIRED);
    return length > ending && strcmp(name + length - ending, AE_REPAIRED) == 0;
}

static int move_file(void *context, const char *name)
{
    AE_ALWAYS(name[0] != '\0');
    move *of = context;
    char from[PATH_MAX];
    char to[PATH_MAX];
    if (strcmp(name, AE_LOCK_NAME) == 0 || strncmp(name, "damaged-", 8) == 0 || is_repaired(name))
        return 0;
    of->any = true;
    if (!aei_durable_path(of->from, name, "", from, sizeof from) ||
        !aei_durable_path(of->to, name, "", to, sizeof to))
        of->failure = ENAMETOOLONG;
    else
        of->failure = ae_os_file_rename(from, to);
    return of->failure;
}

/* Move every file into a new directory beside them. */
static aero_status files_aside(const char *directory, char *aside, aero_error *error)
{
    move of = {.from = directory, .to = aside, .any = true};
    char name[64];
    snprintf(name, sizeof name, "damaged-%lld", (long long)ae_os_wall_us());
    if (!aei_durable_path(directory, name, "", aside, PATH_MAX))
        return ae_fail(error, AERO_IO, "the path of the directory is too long");
    int failure = ae_os_directory_make(aside);
    /* A file moved may be met again or another missed while the directory changes: until no more
     * are found. */
    while (failure == 0 && of.any) {
        of.any = false;
        failure = ae_os_directory_list(directory, move_file, &of);
        failure = of.failure != 0 ? of.failure : failure;
    }
    if (failure == 0)
        failure = ae_os_directory_sync(aside);
    if (failure == 0)
        failure = ae_os_directory_sync(directory);
    if (failure != 0)
        return ae_fail_errno(error, AERO_IO, failure, "cannot move files to %.500s", aside);
    return AERO_OK;
}

/* Steps 2 and 3, also after the death of who made step 1. */
static aero_status repair_finish(const char *directory, char *aside, aero_error *error)
{
    enum ae_profile found = AE_PROFILES;
    char path[PATH_MAX];
    char repaired[PATH_MAX];
    aero_status status = aei_durable_profile(directory, &found, error);
    if (status == AERO_OK && found == AE_PROFILES)
        status = ae_fail(error, AERO_NOT_FOUND, "there is no database at %.500s", directory);
    if (status != AERO_OK)
        return status;
    AE_ALWAYS(found < AE_PROFILES);
    const char *name = aei_durable_names(found)->checkpoint;
    if (!aei_durable_path(directory, name, "", path, sizeof path) ||
        !aei_durable_path(directory, name, AE_REPAIRED, repaired, sizeof repaired))
        return ae_fail(error, AERO_IO, "the path of the checkpoint is too long");
    status = files_aside(directory, aside, error);
    if (status != AERO_OK)
        return status;
    int failure = ae_os_file_rename(repaired, path);
    if (failure == 0)
        failure = ae_os_directory_sync(directory);
    if (failure != 0)
        return ae_fail_errno(error, AERO_IO, failure, "cannot name %.500s", path);
    return AERO_OK;
}

static aero_status repair_run(const aero_open_options *options, const char *directory, char *aside,
                              ae_recovery_report *report, aero_error *error)
{
    inspection of = {.goal = {.number = UINT64_MAX, .time_us = INT64_MAX, .lenient = true},
                     .report = report};
    aero_db *db = NULL;
    aero_error looked;
    aero_status status = aei_repair_pending(directory, &looked);
    const bool pending = status == AERO_CORRUPT;
    if (pending)
        status = repair_finish(directory, aside, error);
    else if (status != AERO_OK)
        return ae_fail(error, status, "%.800s", looked.text);
    if (status == AERO_OK)
        status = inspect_open(options, &of, &db, error);
    if (status == AERO_OK && !pending)
        status = inspected_write(db, directory, AE_REPAIRED, report->lsn, error);
    if (status == AERO_OK && !pending)
        status = repair_finish(directory, aside, error);
    AE_ALWAYS(status != AERO_OK || db != NULL);
    if (pending) /* what the first one left out is not known any more */
        report->damage = 1;
    if (db != NULL)
        ae_db_free(db);
    return status;
}

aero_status ae_durable_repair(const aero_open_options *options, char *aside,
                              ae_recovery_report *report, aero_error *error)
{
    ae_os_file info;
    char *directory = NULL;
    int fd = -1;
    aside[0] = '\0';
    if (options->data_dir == NULL || ae_os_directory_open(options->data_dir, &fd) != 0)
        return ae_fail(error, AERO_NOT_FOUND, "there is no such data directory");
    aero_status status = AERO_OK;
    int failure = 0;
    if (ae_os_directory_lock(fd, true) != 0)
        status = ae_fail(error, AERO_USAGE, "the store in %.500s is in use", options->data_dir);
    else if ((failure = ae_os_directory(options->data_dir, false, &directory, &info)) != 0)
        status = ae_fail_errno(error, AERO_IO, failure, "cannot use %.500s", options->data_dir);
    if (status == AERO_OK)
        status = repair_run(options, directory, aside, report, error);
    free(directory);
    ae_os_close(fd);
    return status;
}
