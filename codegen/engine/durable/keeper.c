/* keeper.c — who flushes asynchronous commits and takes checkpoints by itself.
 *
 * A shared database has a daemon, `aerostored`, a small program beside the package's library; one
 * in private memory has a thread.  Both run the same loop.  The keeper shows that it is at work by
 * moving `keeper_due_ns` ahead; whoever commits after that has passed starts another one.  So a
 * keeper that is dead or stopped is replaced by whoever needs it, and an idle database has none.
 *
 * Nothing waits for a keeper: a synchronous committer flushes for itself and for the others, and
 * where no keeper can be started an asynchronous committer flushes when the interval is over.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "durable/keeper.h"

#include "base/os_file.h"
#include "durable/durable_private.h"
#include "txn/age.h"
#include "txn/txn.h"

/* The loop's step: often enough to keep a flush interval of some milliseconds, and to notice that
 * it is to end. */
#define STEP_LEAST_MS 1u
#define STEP_MOST_MS 100u
/* A keeper that has not been seen for this long (or for some intervals) is taken for lost. */
#define HEARTBEAT_MS 2000u
/* The daemon ends when it has been alone for this long: a program takes less to start again. */
#define LINGER_MS 3000u
/* How long a spawned daemon has until another is started. */
#define START_MS 3000u

static const char program_name[] = "aerostored";

/* ---- the loop ------------------------------------------------------------------------------- */

static uint64_t ms_ns(uint64_t milliseconds)
{
    return milliseconds * 1000000u;
}

static uint64_t heartbeat_ns(const aero_db *db)
{
    const uint64_t interval = ae_load64(&db->settings->flush_interval_ms);
    return ms_ns(4 * interval > HEARTBEAT_MS ? 4 * interval : HEARTBEAT_MS);
}

static bool checkpoint_is_due(const aero_db *db)
{
    const ae_settings *settings = db->settings;
    const uint64_t interval = ae_load64(&settings->checkpoint_interval_secs);
    const uint64_t bytes = ae_load64(&settings->checkpoint_wal_bytes);
    const uint64_t grown = ae_log_written(&db->log).lsn - ae_load64(&settings->checkpoint_lsn);
    const uint64_t age = ae_os_monotonic_ns() - ae_load64(&settings->checkpoint_ns);
    if (ae_load64_acquire(&db->proc.shared->clock) == ae_load64(&settings->checkpoint_number) ||
        ae_log_poisoned(&db->log) != 0)
        return false;
    return (bytes != 0 && grown > bytes) || (interval != 0 && age / 1000000000u >= interval);
}

/* What a keeper has in its hands. */
typedef struct keeping {
    aero_session *session;
    uint64_t flushed_ns; /* when it has flushed last */
    ae_segment_joining joining;
} keeping;

/* Show that it is there, and flush what is older than the interval. */
static void keeper_flush(keeping *of)
{
    AE_ALWAYS(!of->session->txn.open);
    aero_session *session = of->session;
    aero_db *db = session->db;
    const uint64_t now = ae_os_monotonic_ns();
    const uint64_t clock = ae_load64_acquire(&db->proc.shared->clock);
    const uint64_t interval = ms_ns(ae_load64(&db->settings->flush_interval_ms));
    ae_store64(&db->settings->keeper_due_ns, now + heartbeat_ns(db));
    if (now - of->flushed_ns < interval || ae_log_poisoned(&db->log) != 0)
        return;
    if (ae_log_durable_number(&db->log) < clock)
        (void)ae_log_flush(&db->log, &session->log_writer, clock, AE_LOG_SYNC, NULL);
    of->flushed_ns = now;
}

/* Between two blocks of a checkpoint, which may take longer than the interval. */
static bool keeper_between(void *context)
{
    keeping *of = context;
    keeper_flush(of);
    return ae_load32_acquire(&of->session->db->durable->ending) == 0;
}

/* One turn: flush what is older than the interval, take a checkpoint when it is due, sweep out
 * rows whose time has come.  True: there is more to sweep. */
static bool keeper_turn(keeping *of)
{
    aero_session *session = of->session;
    aero_db *db = session->db;
    const uint64_t flushed_ns = of->flushed_ns;
    const ae_checkpoint_manner manner = {
        .rest_percent = ae_load64(&db->settings->checkpoint_rest_percent),
        .between = keeper_between,
        .context = of};
    ae_checkpoint_report report;
    keeper_flush(of);
    if (of->flushed_ns != flushed_ns) {
        (void)ae_reap_all(db, session->member);
        ae_cancel_overdue(db); /* who works looks for them, too; here nobody may */
        /* One slot a turn: what its last user has replaced waits there for whoever comes by. */
        ae_reclaim_idle(session, of->flushed_ns / ms_ns(1));
    }
    if (checkpoint_is_due(db) && ae_checkpoint(session, &manner, &report) != AERO_OK)
        /* Not again at once: the disk may be full for a while. */
        ae_store64(&db->settings->checkpoint_ns, ae_os_monotonic_ns());
    ae_segment_join(&db->segment, &of->joining, ae_os_monotonic_ns());
    return db->sweep != NULL && ae_ttl_active(db) && ae_log_poisoned(&db->log) == 0 &&
           db->sweep(session);
}

static void keeper_pause(const aero_db *db)
{
    const uint64_t flush = ae_load64(&db->settings->flush_interval_ms);
    const uint64_t sweep = ae_load64(&db->settings->ttl_sweep_interval_ms);
    const uint64_t interval = ae_ttl_active(db) && sweep < flush ? sweep : flush;
    const uint64_t step = interval < STEP_LEAST_MS  ? STEP_LEAST_MS
                          : interval > STEP_MOST_MS ? STEP_MOST_MS
                                                    : interval;
    ae_os_sleep_ns(ms_ns(step));
}

/* ---- a thread, for private memory ----------------------------------------------------------- */

static void thread_body(void *context)
{
    aero_db *db = context;
    aero_session *session = NULL;
    if (ae_session_new(db, &session, NULL) != AERO_OK)
        return;
    keeping of = {.session = session};
    /* It is no session of the user's, who may close the database while it is there. */
    ae_add32(&db->sessions, 0u - 1u);
    while (ae_load32_acquire(&db->durable->ending) == 0) {
        if (!keeper_turn(&of))
            keeper_pause(db);
    }
    ae_add32(&db->sessions, 1);
    ae_session_free(session);
}

/* ---- the daemon ----------------------------------------------------------------------------- */

/* Nobody but this process has the data directory's lock. */
static bool keeper_is_alone(const aero_db *db)
{
    const int failure = ae_os_directory_lock(db->durable->directory_fd, true);
    (void)ae_os_directory_lock(db->durable->directory_fd, false);
    return failure == 0;
}

static int32_t daemon_loop(aero_session *session, const char *lock_path, int lock_fd)
{
    AE_ALWAYS(lock_fd >= 0 && lock_path[0] == '/');
    aero_db *db = session->db;
    const uint64_t me = ae_os_process_identity();
    keeping of = {.session = session};
    uint64_t alone = 0;
    for (;;) {
        ae_os_file directory;
        ae_os_file segment;
        if (ae_os_stat(db->durable->directory_fd, &directory) != 0 || directory.links == 0 ||
            ae_os_stat(db->segment.fd, &segment) != 0 || segment.links == 0)
            return AE_KEEPER_GONE;
        if (ae_load64(&db->settings->keeper) != me || !ae_os_lock_current(lock_path, lock_fd))
            return AE_KEEPER_REPLACED;
        const bool more = keeper_turn(&of);
        const uint64_t now = ae_os_monotonic_ns();
        if (!keeper_is_alone(db))
            alone = 0;
        else if (alone == 0)
            alone = now;
        else if (now - alone > ms_ns(LINGER_MS))
            return AE_KEEPER_DONE;
        if (!more)
            keeper_pause(db);
    }
}

/* The daemon attaches; it never makes a database. */
static aero_status daemon_fill(void *context, aero_db *db, bool *exists, aero_error *error)
{
    (void)context;
    (void)exists;
    return ae_fail(error, AERO_NOT_FOUND, "there is no database in memory for %.500s",
                   db->data_dir);
}

static aero_status daemon_attach(const aero_open_options *options, aero_db **out, aero_error *error)
{
    aero_db *db = NULL;
    int fd = -1;
    int failure = ae_os_directory_open(options->data_dir == NULL ? "" : options->data_dir, &fd);
    ae_os_close(fd);
    if (failure != 0)
        return ae_fail_errno(error, AERO_IO, failure, "cannot open the data directory");
    aero_status status = ae_db_new(options, &db, error);
    if (status != AERO_OK)
        return status;
    const ae_db_boot boot = {.log_name = aei_durable_names(db->profile_kind)->log,
                             .stack = aei_durable_stack(db->profile_kind),
                             .fill = daemon_fill};
    status = aei_durable_attach(db, &boot, error);
    if (status == AERO_OK)
        *out = db;
    return status;
}

aero_status ae_keeper_run(const aero_open_options *options, ae_sweep *sweep, int32_t *outcome,
                          aero_error *error)
{
    aero_db *db = NULL;
    aero_session *session = NULL;
    char path[PATH_MAX];
    int fd = -1;
    *outcome = AE_KEEPER_FAILED;
    aero_status status = daemon_attach(options, &db, error);
    if (status != AERO_OK)
        return status;
    const int failure = aei_lock_take(db->data_dir, AE_LOCK_KEEPER, 0, &fd);
    const uint64_t before = ae_load64_acquire(&db->settings->keeper);
    const bool other = before != 0 && before != ae_os_process_identity() &&
                       ae_os_process_alive(before) &&
                       ae_os_monotonic_ns() < ae_load64(&db->settings->keeper_due_ns);
    if (failure != 0 && failure != EAGAIN) {
        status = ae_fail_errno(error, AERO_IO, failure, "cannot lock %.500s/%s", db->data_dir,
                               AE_LOCK_NAME);
    } else if (failure == EAGAIN || other ||
               !ae_cas64(&db->settings->keeper, before, ae_os_process_identity())) {
        *outcome = AE_KEEPER_OTHER;
    } else if ((status = ae_session_new(db, &session, error)) == AERO_OK) {
        db->sweep = sweep;
        if (aei_durable_path(db->data_dir, AE_LOCK_NAME, "", path, sizeof path))
            *outcome = daemon_loop(session, path, fd);
        /* Whoever commits next shall not wait for the heartbeat to run out. */
        if (ae_cas64(&db->settings->keeper, ae_os_process_identity(), 0))
            ae_store64(&db->settings->keeper_due_ns, 0);
        ae_session_free(session);
    }
    aei_lock_drop(fd, AE_LOCK_KEEPER);
    ae_durable_close(db);
    return status;
}

/* ---- starting one --------------------------------------------------------------------------- */

/* The daemon lies beside the library this code is in. */
static int daemon_start(const aero_db *db)
{
    AE_ALWAYS(db->shm_path != NULL && db->data_dir[0] == '/');
    char path[PATH_MAX];
    char profile[16];
    if (!ae_os_own_path(path, sizeof path))
        return ENOENT;
    char *slash = strrchr(path, '/');
    if (slash == NULL || (size_t)(slash - path) + sizeof program_name + 1 > sizeof path)
        return ENOENT;
    memcpy(slash + 1, program_name, sizeof program_name);
    snprintf(profile, sizeof profile, "%s", db->profile);
    char *arguments[] = {path, db->data_dir, db->shm_path, profile, NULL};
    return ae_os_spawn_detached(path, arguments);
}

/* A keeper that was killed is missed only when its time is over, and by who commits then.  True to
 * one of those who find it dead before. */
static bool keeper_bury(const aero_db *db)
{
    const uint64_t keeper = ae_load64_acquire(&db->settings->keeper);
    return keeper != 0 && !ae_os_process_alive(keeper) &&
           ae_cas64(&db->settings->keeper, keeper, 0);
}

void aei_keeper_ensure(aero_session *session)
{
    aero_db *db = session->db;
    ae_settings *settings = db->settings;
    const uint64_t due = ae_load64(&settings->keeper_due_ns);
    const uint64_t now = ae_os_monotonic_ns();
    const uint64_t clock = ae_load64_acquire(&db->proc.shared->clock);
    const bool sweeps = ae_ttl_active(db);
    /* A time to live may have been set after somebody found nothing to do: a keeper that is there
     * names a later time than that one did. */
    const uint64_t soon = ms_ns(ae_load64(&settings->flush_interval_ms));
    if (ae_log_poisoned(&db->log) != 0)
        return;
    if (now < due && !(sweeps && due - now <= soon) && !keeper_bury(db))
        return;
    if (ae_log_durable_number(&db->log) >= clock && !checkpoint_is_due(db) && !sweeps &&
        !ae_segment_joinable(&db->segment)) {
        /* Nothing to do; look again soon. */
        (void)ae_cas64(&settings->keeper_due_ns, due, now + soon);
        return;
    }
    if (!ae_cas64(&settings->keeper_due_ns, due, now + ms_ns(START_MS)))
        return; /* another one sees to it */
    if (db->durable->private && db->durable->thread == NULL) {
        if (ae_os_thread_start(thread_body, db, &db->durable->thread) == 0)
            return;
    } else if (!db->durable->private && daemon_start(db) == 0) {
        return;
    }
    ae_store64(&settings->keeper_due_ns, now + soon);
    (void)ae_log_flush(&db->log, &session->log_writer, clock, AE_LOG_SYNC, NULL);
    if (sweeps && db->sweep != NULL && !session->txn.open)
        (void)db->sweep(session);
}
