/* open.c — opening and closing a database with its files.
 *
 *   segment found                             attach: nothing is replayed
 *   found, but not of these files, or spoilt  nobody else attached: remove it, recover; else refuse
 *   not found                                 recover into a new one (recover.c), then name it
 *
 * Concurrency: any number of processes may open at once.  A segment is made by one that has the
 * directory alone: whoever is still attached to a segment whose name was removed would write to the
 * same log.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/os_file.h"
#include "durable/durable_private.h"
#include "txn/txn.h"

/* How long an opener waits for another's recovery. */
#define OPENING_WAIT_MS 600000u
/* How long it waits for others to let go of a segment that is of no use any more, and for a short
 * turn with the directory. */
#define LEAVING_WAIT_MS 3000u
/* How long for those who are attached to a segment whose name was removed. */
#define REMOVED_WAIT_MS 10000u

/* How often, and after what pause, files that do not fit a segment are looked at again. */
#define FIT_ROUNDS 10
#define FIT_PAUSE_NS 2000000u

typedef struct opening {
    int lock_fd; /* -1: not taken */
    bool must_exist;
    ae_recovery_teller teller;
} opening;

/* ---- the directory's lock ------------------------------------------------------------------- */

/* Does somebody hold the lock of a recovery? */
static bool recovery_goes_on(const aero_db *db)
{
    int fd = -1;
    const int failure = aei_lock_take(db->data_dir, AE_LOCK_OPENING, 0, &fd);
    aei_lock_drop(fd, AE_LOCK_OPENING);
    return failure == EAGAIN;
}

static aero_status in_use(const aero_db *db, bool exclusive, aero_error *error)
{
    return ae_fail(
        error, AERO_USAGE,
        "the database in %.500s is in use%s; one in private memory belongs to one process",
        db->data_dir, exclusive ? "" : " by a process that has it in private memory");
}

static aero_status directory_lock(aero_db *db, bool exclusive, uint64_t wait_ms, aero_error *error)
{
    AE_ALWAYS(db->durable->directory_fd >= 0);
    const uint64_t began = ae_os_monotonic_ns();
    for (;;) {
        const int failure = ae_os_directory_lock(db->durable->directory_fd, exclusive);
        if (failure == 0)
            return AERO_OK;
        if (failure != EAGAIN)
            return ae_fail_errno(error, AERO_IO, failure, "cannot lock the directory %.500s",
                                 db->data_dir);
        const uint64_t waited_ms = (ae_os_monotonic_ns() - began) / 1000000u;
        if (waited_ms >= wait_ms &&
            (exclusive || waited_ms >= OPENING_WAIT_MS || !recovery_goes_on(db)))
            return in_use(db, exclusive, error);
        ae_os_sleep_ns(1000000);
    }
}

/* ---- a segment was found -------------------------------------------------------------------- */

/* Frames behind its first one: not a leftover of a writer that died while it made the file. */
static bool is_used(const ae_log_file *file)
{
    return file->size > AE_FRAME_HEADER + sizeof(ae_file_head);
}

/* The checkpoint's store.  False: there is none, or none that can be read. */
static bool checkpoint_store(const aero_db *db, uint8_t *store)
{
    char path[PATH_MAX];
    ae_checkpoint_file file;
    if (!aei_durable_path(db->data_dir, aei_durable_names(db->profile_kind)->checkpoint, "", path,
                          sizeof path) ||
        aei_checkpoint_open(&file, path, NULL) != AERO_OK || file.fd < 0)
        return false;
    memcpy(store, file.store, sizeof file.store);
    aei_checkpoint_close(&file);
    return true;
}

/* Does the segment's current file hold what the segment has written to it?  An older copy may have
 * been put in its place: what is written next would follow a hole. */
static bool holds_written(const ae_log_file *file, const ae_log_position *written)
{
    ae_frame last;
    size_t got = 0;
    const uint64_t length = written->lsn - file->base;
    if (written->lsn < file->base || file->size < length || written->previous < file->base)
        return false;
    return ae_os_file_read(file->fd, written->previous - file->base, &last, sizeof last, &got) ==
               0 &&
           got == sizeof last &&
           ae_frame_check_header(&last, file->store, written->previous, UINT64_MAX) ==
               AE_FRAME_GOOD &&
           written->previous + ae_frame_span(last.length) == written->lsn;
}

/* Do the files of the directory belong to the segment?  Its current log file is there, there is no
 * younger one that it knows nothing of (somebody has had the files in private memory), and all are
 * of its store. */
static bool files_fit_now(const aero_db *db)
{
    const ae_file_names *names = aei_durable_names(db->profile_kind);
    const uint8_t *store = db->segment.header->store_id;
    const ae_log_position before = ae_log_written(&db->log);
    ae_log_files files;
    uint8_t other[16];
    if (ae_log_files_open(&files, db->data_dir, names->log, NULL) != AERO_OK)
        return false;
    /* Again, for others write meanwhile: what was listed is not younger than this. */
    const ae_log_position after = ae_log_written(&db->log);
    const bool known = after.base != UINT64_MAX;
    bool fits = before.base == UINT64_MAX;
    for (uint32_t index = 0; index < files.count; index++) {
        const ae_log_file *file = &files.files[index];
        fits = fits || file->base > before.base ||
               (file->base == before.base && holds_written(file, &before));
    }
    for (uint32_t index = 0; index < files.count && fits; index++) {
        const ae_log_file *file = &files.files[index];
        const bool younger = known ? file->base > after.base : file->base >= after.lsn;
        fits = !(younger && is_used(file));
    }
    /* They follow one another.  Before it has written, a copy's segment goes on from its files. */
    if (fits && files.count > 0) {
        const uint8_t *newest = files.files[files.count - 1].store;
        fits = known ? memcmp(newest, store, 16) == 0 : ae_store_follows(newest, store);
    }
    /* Recovered from files, or never written: the checkpoint tells then, if there is no log. */
    if (fits && files.count == 0)
        fits = checkpoint_store(db, other) ? ae_store_follows(other, store) : after.lsn == 0;
    ae_log_files_close(&files);
    return fits;
}

/* The same, with patience: a checkpoint may be exchanging the files. */
static bool files_fit(const aero_db *db)
{
    for (int round = 0; round < FIT_ROUNDS; round++) {
        if (files_fit_now(db))
            return true;
        ae_os_sleep_ns(FIT_PAUSE_NS);
    }
    return false;
}

/* Remove the name of a segment that is of no use, unless others are attached to it. */
static aero_status segment_discard(aero_db *db, const char *why, bool *missing, aero_error *error)
{
    AE_ALWAYS(db->shm_path != NULL && !db->durable->private);
    ae_os_file info;
    if (directory_lock(db, true, LEAVING_WAIT_MS, NULL) != AERO_OK) {
        (void)directory_lock(db, false, LEAVING_WAIT_MS, NULL);
        return ae_fail(error, AERO_MISMATCH,
                       "segment %.400s cannot be used (%s), and other processes are attached to it",
                       db->shm_path, why);
    }
    int failure = ae_os_stat(db->segment.fd, &info);
    if (failure == 0 && info.links > 0) /* it still has its name, and we found it by that */
        failure = ae_os_file_unlink(db->shm_path);
    *missing = failure == 0;
    const aero_status status = failure == 0 ? AERO_OK
                                            : ae_fail_errno(error, AERO_IO, failure,
                                                            "cannot remove %.400s", db->shm_path);
    const aero_status shared = directory_lock(db, false, LEAVING_WAIT_MS, error);
    return status != AERO_OK ? status : shared;
}

static aero_status opening_attached(void *context, aero_db *db, bool *missing, aero_error *error)
{
    (void)context;
    if (ae_log_poisoned(&db->log) != 0)
        return segment_discard(db, "writing its log has failed", missing, error);
    if (ae_load32(&db->segment.header->poisoned) != 0 || !ae_log_is_on(&db->log))
        return segment_discard(db, "it was found damaged", missing, error);
    if (!files_fit(db))
        return segment_discard(db, "the files in the data directory are not its own, or gone",
                               missing, error);
    return AERO_OK;
}

/* ---- none was found ------------------------------------------------------------------------- */

static bool segment_exists(const aero_db *db)
{
    int fd = -1;
    AE_ALWAYS(db->shm_path != NULL);
    if (ae_os_open_existing(db->shm_path, &fd) != 0)
        return false;
    ae_os_close(fd);
    return true;
}

/* Have the directory alone before a segment is made: whoever is still attached to one whose name
 * was removed writes to the same log.  *exists: somebody else has made one meanwhile. */
static aero_status opening_alone(aero_db *db, bool *exists, aero_error *error)
{
    AE_ALWAYS(!db->durable->private && db->durable->directory_fd >= 0);
    const uint64_t until = ae_os_monotonic_ns() + (uint64_t)REMOVED_WAIT_MS * 1000000u;
    const int fd = db->durable->directory_fd;
    ae_os_directory_unlock(fd);
    for (;;) {
        int failure = ae_os_directory_lock(fd, true);
        *exists = segment_exists(db);
        if (*exists)
            return directory_lock(db, false, OPENING_WAIT_MS, error);
        if (failure == 0)
            return AERO_OK;
        if (failure != EAGAIN)
            return ae_fail_errno(error, AERO_IO, failure, "cannot lock the directory %.500s",
                                 db->data_dir);
        const bool late = ae_os_monotonic_ns() >= until;
        if (late && ae_os_directory_lock(fd, false) == 0)
            return ae_fail(
                error, AERO_MISMATCH,
                "%.400s is in use, but not through the segment %.400s: that was removed, "
                "or the others have another package or shm_path; end them first",
                db->data_dir, db->shm_path);
        if (late && !recovery_goes_on(db))
            return in_use(db, false, error);
        ae_os_sleep_ns(1000000);
    }
}

static aero_status opening_fill(void *context, aero_db *db, bool *exists, aero_error *error)
{
    opening *of = context;
    const ae_recovery_goal goal = {
        .number = UINT64_MAX, .time_us = INT64_MAX, .teller = &of->teller};
    enum ae_profile found = AE_PROFILES;
    aero_status status = db->durable->private ? AERO_OK : opening_alone(db, exists, error);
    if (status == AERO_OK && !*exists)
        status = aei_durable_profile(db->data_dir, &found, error);
    if (status != AERO_OK || *exists)
        return status;
    if (found == AE_PROFILES && of->must_exist)
        return ae_fail(error, AERO_NOT_FOUND, "there is no database at %.500s", db->data_dir);
    /* Those who find the directory taken see by this that they have only to wait. */
    if (found != AE_PROFILES && !db->durable->private && of->lock_fd < 0)
        (void)aei_lock_take(db->data_dir, AE_LOCK_OPENING, 0, &of->lock_fd);
    return aei_recover(db, &goal, &db->durable->recovery, error);
}

/* ---- open and close ------------------------------------------------------------------------- */

aero_status aei_durable_attach(aero_db *db, const ae_db_boot *boot, aero_error *error)
{
    AE_ALWAYS(db->durable == NULL && boot->fill != NULL);
    db->durable = calloc(1, sizeof *db->durable);
    if (db->durable == NULL) {
        ae_db_free(db);
        return ae_fail(error, AERO_NO_MEMORY, "no memory for a database");
    }
    db->durable->directory_fd = -1;
    db->durable->private = db->shm_path == NULL;
    db->keep = aei_keeper_ensure;
    const int failure = ae_os_directory_open(db->data_dir, &db->durable->directory_fd);
    aero_status status = failure != 0
                             ? ae_fail_errno(error, AERO_IO, failure,
                                             "cannot open the directory %.500s", db->data_dir)
                             : directory_lock(db, db->durable->private, LEAVING_WAIT_MS, error);
    /* With the lock nobody is at it now; nor may a segment from before it be used any more. */
    if (status == AERO_OK)
        status = aei_repair_pending(db->data_dir, error);
    if (status == AERO_OK)
        status = ae_db_attach(db, boot, error);
    /* From here on shared, if a segment was made. */
    if (status == AERO_OK && !db->durable->private)
        status = directory_lock(db, false, LEAVING_WAIT_MS, error);
    db->durable->attached = status == AERO_OK;
    if (status != AERO_OK)
        ae_durable_close(db);
    return status;
}

aero_status ae_durable_open(const aero_open_options *options, ae_sweep *sweep, aero_db **out,
                            aero_error *error)
{
    aero_db *db = NULL;
    *out = NULL;
    aero_status status = ae_db_new(options, &db, error);
    if (status != AERO_OK)
        return status;
    db->sweep = sweep;
    opening of = {.lock_fd = -1,
                  .must_exist = options->must_exist != 0,
                  .teller = {.call = options->progress, .context = options->progress_context}};
    const ae_db_boot boot = {.context = &of,
                             .log_name = aei_durable_names(db->profile_kind)->log,
                             .stack = aei_durable_stack(db->profile_kind),
                             .fill = opening_fill,
                             .attached = opening_attached};
    status = aei_durable_attach(db, &boot, error);
    aei_lock_drop(of.lock_fd, AE_LOCK_OPENING);
    if (status == AERO_OK)
        *out = db;
    return status;
}

/* What asynchronous commits have left in memory goes to the disk before a private segment goes, and
 * before nobody may be there to do it. */
static void flush_rest(aero_db *db)
{
    aero_session *session = NULL;
    const uint64_t clock = ae_load64_acquire(&db->proc.shared->clock);
    if (!ae_log_is_on(&db->log) || ae_log_durable_number(&db->log) >= clock ||
        ae_session_new(db, &session, NULL) != AERO_OK)
        return;
    /* Refused where the log has failed. */
    (void)ae_log_flush(&db->log, &session->log_writer, clock, AE_LOG_SYNC, NULL);
    ae_session_free(session);
}

/* Was the handle opened by this process, and not by one that this is a child of? */
static bool is_openers(const aero_db *db)
{
    return atomic_load_explicit(db->fork_guard, memory_order_acquire) != 0 &&
           ae_load64_acquire(&db->fork_epoch) == AE_FORK_EPOCH_FIRST;
}

void ae_durable_close(aero_db *db)
{
    AE_ALWAYS(db->durable != NULL);
    struct ae_durable *durable = db->durable;
    /* A child of fork() has the parent's handle, but not its thread.  Not asked of the system: an
     * answer that fails would leave the thread at work on memory that goes. */
    if (durable->thread != NULL && is_openers(db)) {
        ae_store32_release(&durable->ending, 1); /* pairs with thread_body, which looks at it */
        ae_os_thread_join(durable->thread);
    }
    if (durable->attached && atomic_load_explicit(db->fork_guard, memory_order_acquire) != 0)
        flush_rest(db);
    if (durable->directory_fd >= 0)
        ae_os_close(durable->directory_fd);
    ae_db_free(db);
    free(durable);
}

const ae_recovery_report *ae_durable_recovery(const aero_db *db)
{
    return &db->durable->recovery;
}
