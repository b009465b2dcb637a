/* keeper.c — who flushes asynchronous commits and takes checkpoints by itself.
 *
 * A shared database has a daemon, `aerostored`, a small program beside the package's library; one
 * in private memory has a thread.  Both run the same loop.  The keeper shows that it is at work by
 * moving two times ahead.  Whoever commits, or begins, after `look_due_ns` flushes what the keeper
 * has left in memory for too long; it starts another one if the keeper is dead or stopped, or if
 * `keeper_due_ns` has passed, too.  So a keeper is replaced by whoever needs it, and an idle
 * database has none: both times are 0 then, and the first asynchronous commit starts one.
 *
 * Nothing waits for a keeper: a synchronous committer flushes for itself and for the others, and
 * an asynchronous one when the keeper is late, however alive it is.
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
/* What a keeper may be late, beyond a whole interval, until others flush in its place: its turns on
 * a busy machine. */
#define LATE_MS 20u
/* When others flush, and somebody is at it already, they look again after this time. */
#define AGAIN_MS 10u
/* How long a daemon waits for the lock of one that is about to take over, or to end. */
#define SEIZE_MS 200u
/* After a checkpoint that failed, the keeper's next one: each takes a new file of the log. */
#define RETRY_LEAST_MS 5000u
#define RETRY_MOST_MS 320000u

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

/* When others shall look after what the keeper does. */
static uint64_t look_ns(const aero_db *db, uint64_t now)
{
    const uint64_t interval = ae_load64(&db->settings->flush_interval_ms);
    return now + ms_ns(2 * interval + LATE_MS);
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
    uint64_t retry_ms;   /* after the next checkpoint that fails; 0: the last one did not */
    uint64_t retry_ns;   /* not before that is one taken */
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
    ae_store64(&db->settings->look_due_ns, look_ns(db, now));
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

static void keeper_checkpoint(keeping *of)
{
    aero_db *db = of->session->db;
    const ae_checkpoint_manner manner = {
        .rest_percent = ae_load64(&db->settings->checkpoint_rest_percent),
        .between = keeper_between,
        .context = of};
    ae_checkpoint_report report;
    if (ae_os_monotonic_ns() < of->retry_ns || !checkpoint_is_due(db))
        return;
    if (ae_checkpoint(of->session, &manner, &report) == AERO_OK) {
        of->retry_ms = 0;
        return;
    }
    /* The disk may be full for a while, or somebody stopped who has the lock. */
    of->retry_ms = of->retry_ms == 0              ? RETRY_LEAST_MS
                   : of->retry_ms < RETRY_MOST_MS ? 2 * of->retry_ms
                                                  : RETRY_MOST_MS;
    of->retry_ns = ae_os_monotonic_ns() + ms_ns(of->retry_ms);
}

/* One turn: flush what is older than the interval, take a checkpoint when it is due, sweep out
 * rows whose time has come.  True: there is more to sweep. */
static bool keeper_turn(keeping *of)
{
    aero_session *session = of->session;
    aero_db *db = session->db;
    const uint64_t flushed_ns = of->flushed_ns;
    keeper_flush(of);
    if (of->flushed_ns != flushed_ns) {
        (void)ae_reap_all(db, session->member);
        ae_cancel_overdue(db); /* who works looks for them, too; here nobody may */
        /* One slot a turn: what its last user has replaced waits there for whoever comes by. */
        ae_reclaim_idle(session, of->flushed_ns / ms_ns(1));
    }
    keeper_checkpoint(of);
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

/* Have the lock, which one that was stopped when we took over may give back any time.  False: it is
 * not what its name leads to. */
static bool daemon_locked(const aero_db *db, const char *lock_path, int *lock_fd)
{
    AE_ALWAYS(lock_path[0] == '/');
    if (*lock_fd >= 0)
        return ae_os_lock_current(lock_path, *lock_fd);
    (void)aei_lock_take(db->data_dir, AE_LOCK_KEEPER, 0, lock_fd);
    return true;
}

static int32_t daemon_loop(aero_session *session, const char *lock_path, int *lock_fd)
{
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
        if (ae_load64(&db->settings->keeper) != me || !daemon_locked(db, lock_path, lock_fd))
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
    aero_open_options there = *options;
    there.must_exist = 1; /* a directory that was taken away meanwhile does not come back */
    aero_status status = ae_db_new(&there, &db, error);
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

/* Is there a keeper that gets on?  One that is stopped goes on some day, and ends when it finds
 * itself replaced. */
static bool keeper_runs(uint64_t keeper)
{
    return keeper != 0 && ae_os_process_alive(keeper) && !ae_os_process_stopped(keeper);
}

/* Become the keeper: by the lock, or, where one that is stopped has that, by the word alone.
 * EAGAIN: there is another one. */
static int daemon_seize(const aero_db *db, int *lock_fd)
{
    const uint64_t until = ae_os_monotonic_ns() + ms_ns(SEIZE_MS);
    for (;;) {
        const uint64_t before = ae_load64_acquire(&db->settings->keeper);
        const int failure = aei_lock_take(db->data_dir, AE_LOCK_KEEPER, 0, lock_fd);
        if (failure != 0 && failure != EAGAIN)
            return failure;
        if (failure == EAGAIN && keeper_runs(before))
            return EAGAIN;
        if (failure == 0 || ae_os_monotonic_ns() >= until)
            return ae_cas64(&db->settings->keeper, before, ae_os_process_identity()) ? 0 : EAGAIN;
        ae_os_sleep_ns(ms_ns(1)); /* whoever has the lock may not have said yet who it is */
    }
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
    const int failure = daemon_seize(db, &fd);
    if (failure != 0 && failure != EAGAIN) {
        status = ae_fail_errno(error, AERO_IO, failure, "cannot lock %.500s/%s", db->data_dir,
                               AE_LOCK_NAME);
    } else if (failure == EAGAIN) {
        *outcome = AE_KEEPER_OTHER;
    } else if ((status = ae_session_new(db, &session, error)) == AERO_OK) {
        db->sweep = sweep;
        if (aei_durable_path(db->data_dir, AE_LOCK_NAME, "", path, sizeof path))
            *outcome = daemon_loop(session, path, &fd);
        /* Whoever commits next shall not wait for the heartbeat to run out. */
        if (ae_cas64(&db->settings->keeper, ae_os_process_identity(), 0)) {
            ae_store64(&db->settings->keeper_due_ns, 0);
            ae_store64(&db->settings->look_due_ns, 0);
        }
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

/* A keeper that was killed or stopped is missed when it is late.  True to one of those who find it
 * so before it is given up. */
static bool keeper_bury(const aero_db *db)
{
    const uint64_t keeper = ae_load64_acquire(&db->settings->keeper);
    return keeper != 0 && !keeper_runs(keeper) && ae_cas64(&db->settings->keeper, keeper, 0);
}

/* See that there is a keeper.  False: there is none, and none can be started. */
static bool keeper_there(aero_db *db, uint64_t now, bool *started)
{
    ae_settings *settings = db->settings;
    const uint64_t due = ae_load64(&settings->keeper_due_ns);
    const bool thread = db->durable->private && db->durable->thread != NULL;
    *started = false;
    if (thread || (now < due && !keeper_bury(db)))
        return true;
    if (!ae_cas64(&settings->keeper_due_ns, due, now + ms_ns(START_MS)))
        return true; /* another one sees to it */
    *started = db->durable->private ? ae_os_thread_start(thread_body, db, &db->durable->thread) == 0
                                    : daemon_start(db) == 0;
    if (!*started)
        ae_store64(&settings->keeper_due_ns, now);
    return *started;
}

void aei_keeper_ensure(aero_session *session)
{
    aero_db *db = session->db;
    ae_settings *settings = db->settings;
    const uint64_t now = ae_os_monotonic_ns();
    const uint64_t clock = ae_load64_acquire(&db->proc.shared->clock);
    const bool behind = ae_log_durable_number(&db->log) < clock;
    const bool sweeps = ae_ttl_active(db);
    uint64_t look = ae_load64(&settings->look_due_ns);
    bool started = false;
    /* Where there is nothing to do, nobody is told to look later: the next commit may be an
     * asynchronous one, and the last for long. */
    if (ae_log_poisoned(&db->log) != 0 ||
        (!behind && !sweeps && !checkpoint_is_due(db) && !ae_segment_joinable(&db->segment)))
        return;
    const bool late = look - now - 1 >= AE_LOOK_AHEAD_NS;
    if (late && !ae_cas64(&settings->look_due_ns, look, look_ns(db, now)))
        return; /* another one sees to it */
    look = look_ns(db, now);
    const bool there = keeper_there(db, now, &started);
    if (late && behind && !started) {
        const aero_status status = ae_log_flush(&db->log, &session->log_writer, clock,
                                                AE_LOG_TRY_SYNC, NULL);
        if (status == AERO_OK && ae_log_durable_number(&db->log) < clock)
            (void)ae_cas64(&settings->look_due_ns, look, now + ms_ns(AGAIN_MS));
    }
    if (there)
        return;
    (void)ae_cas64(&settings->look_due_ns, look,
                   now + ms_ns(ae_load64(&settings->flush_interval_ms)));
    if (sweeps && db->sweep != NULL && !session->txn.open)
        (void)db->sweep(session);
}
