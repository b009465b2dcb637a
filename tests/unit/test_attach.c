/* Opening a database while the system, other processes and old damage get in the way.
 *
 * Strategy: a store in a few states, opened through the exported functions; the program brings its
 * own open, flock, opendir, linkat and so on, which let something happen, or fail, at a chosen
 * call, and a clock that sleeps make go on.  Invariants: an open is OK with every row, or an error
 * that says what is wrong; it waits for nobody for ever; what is of no use is replaced only when
 * nobody else is attached to it; no descriptor is lost.
 *
 * variants: plain
 */
#include <fcntl.h>
#include <stdarg.h>
#include <sys/file.h>

#include "durable/durable_private.h"
#include "flights.h"
#include "txn/db.h"
#include "wal/log_private.h"
#include "real_calls.h"

enum { SIZE = 8 << 20, ROWS = 20 };

/* ---- a system with surprises ---------------------------------------------------------------- */

static struct {
    const char *call;      /* NULL: none */
    uint32_t skip;         /* this many of it pass before */
    int failure;           /* the call's errno then, or 0: it is made */
    void (*happens)(void); /* before it; for `open` and unlocking, after it */
} surprise;
static uint64_t slept_ns; /* how far the clock is ahead */
static bool asleep;       /* sleeps take no time */
static uint32_t syncs;
static uint32_t sleeps;
/* A lock as a recovery has it, which is dropped at a time. */
static int recovery_fd = -1;
static uint64_t recovery_ends_ns;

static test_store store;

/* Is it this one's turn?  Then it does not happen again. */
static bool surprised(const char *call)
{
    if (surprise.call == NULL || strcmp(surprise.call, call) != 0)
        return false;
    if (surprise.skip > 0) {
        surprise.skip--;
        return false;
    }
    surprise.call = NULL;
    return true;
}

static bool fails(const char *call)
{
    if (!surprised(call))
        return false;
    if (surprise.happens != NULL)
        surprise.happens();
    errno = surprise.failure;
    return surprise.failure != 0;
}

int open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    const mode_t mode = (mode_t)va_arg(more, int);
    va_end(more);
    const int fd = REAL(open)(path, flags, mode);
    if (strcmp(path, store.segment) == 0)
        (void)fails("open");
    return fd;
}

int flock(int fd, int how)
{
    static const char *const names[] = {[LOCK_SH] = "share", [LOCK_EX] = "lock", [LOCK_UN] = "let"};
    const bool after = (how & LOCK_UN) != 0;
    if (!after && fails(names[how & ~LOCK_NB]))
        return -1;
    const int answer = REAL(flock)(fd, how);
    if (after)
        (void)fails(names[LOCK_UN]);
    return answer;
}

int linkat(int from, const char *old, int to, const char *name, int flags)
{
    return fails("linkat") ? -1 : REAL(linkat)(from, old, to, name, flags);
}

DIR *opendir(const char *path)
{
    return fails("opendir") ? NULL : REAL(opendir)(path);
}

int fdatasync(int fd)
{
    syncs++;
    return fails("fdatasync") ? -1 : REAL(fdatasync)(fd);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    const int answer = REAL(clock_gettime)(clock, now);
    now->tv_sec += (time_t)(slept_ns / 1000000000u);
    return answer;
}

int nanosleep(const struct timespec *span, struct timespec *left)
{
    sleeps++;
    if (!asleep)
        return REAL(nanosleep)(span, left);
    slept_ns += 500000000u; /* however short it is meant to be */
    if (recovery_ends_ns != 0 && slept_ns >= recovery_ends_ns) {
        recovery_ends_ns = 0;
        aei_lock_drop(recovery_fd, AE_LOCK_OPENING);
    }
    return 0;
}

static void surprise_at(const char *call, uint32_t skip, int failure, void (*happens)(void))
{
    surprise.skip = skip;
    surprise.failure = failure;
    surprise.happens = happens;
    surprise.call = call;
}

/* ---- the store ------------------------------------------------------------------------------ */

static uint32_t descriptors(void)
{
    DIR *folder = REAL(opendir)("/proc/self/fd");
    uint32_t count = 0;
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

static uint32_t descriptors_before;

/* A store that has been closed: its segment is there, and holds ROWS rows. */
static int store_make(void **state)
{
    (void)state;
    char name[32];
    memset(&surprise, 0, sizeof surprise);
    slept_ns = 0;
    asleep = false;
    descriptors_before = descriptors();
    store_paths(&store);
    store_attach(&store, SIZE);
    assert_ok(store.session,
              aero_config_set(store.session, "aerostore.checkpoint_interval_secs", "0"));
    for (uint32_t row = 0; row < ROWS; row++)
        assert_ok(store.session, flight_put(store.session, flight_name(name, row), row));
    store_detach(&store);
    return 0;
}

static int store_drop(void **state)
{
    (void)state;
    const bool quiet = surprise.call == NULL;
    surprise.call = NULL;
    store_attach(&store, SIZE);
    store_close(&store);
    assert_int_equal(descriptors(), descriptors_before);
    return quiet ? 0 : -1; /* else what was to happen did not */
}

static const aero_open_options *options(const char *memory)
{
    static aero_open_options of;
    of = (aero_open_options){
        .data_dir = store.data_dir, .shm_path = store.segment, .memory = memory, .size = SIZE};
    return &of;
}

/* Open, look at every row, and close; "warm" or "cold". */
static void opens(const char *boot)
{
    char name[32];
    store_attach(&store, SIZE);
    assert_string_equal(aero_boot(store.db), boot);
    for (uint32_t row = 0; row < ROWS; row++)
        assert_int_equal(flight_get(store.session, flight_name(name, row)), row);
    store_detach(&store);
}

/* The log's first file. */
static const char *log_path(void)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/aerostore.wal", store.data_dir);
    return path;
}

static void refused(const char *memory, int32_t code, const char *words)
{
    aero_db *db = NULL;
    aero_error error;
    const aero_status status = aero_open(options(memory), &db, &error);
    if (status != code || strstr(error.text, words) == NULL)
        fail_msg("%d, not %d: %s", status, code, status == AERO_OK ? "open" : error.text);
}

static void segment_unlink(void)
{
    assert_int_equal(unlink(store.segment), 0);
}

/* Change the segment while nobody has it; the words are a test's own. */
static void segment_change(void (*change)(aero_db *db))
{
    store_attach(&store, SIZE);
    change(store.db);
    aero_session_close(store.session);
    aero_error ignored;
    assert_int_equal(aero_close(store.db, &ignored), AERO_OK);
}

/* ---- segments that are of no use ------------------------------------------------------------ */

static void poison(aero_db *db)
{
    ae_store32(&db->segment.header->poisoned, 1);
}

static void log_off(aero_db *db)
{
    ae_store32(&db->log.shared->on, 0);
}

static aei_state *position_of(aero_db *db)
{
    ae_log_shared *shared = db->log.shared;
    return &shared->states[(uint32_t)ae_load64(&shared->published) & (2 * AE_MEMBERS - 1)];
}

static void end_before_the_file(aero_db *db)
{
    aei_state *state = position_of(db);
    ae_store64(&state->lsn, ae_load64(&state->base) - 8);
}

static void file_of_no_name(aero_db *db)
{
    aei_state *state = position_of(db);
    ae_store64(&state->base, ae_load64(&state->base) + 8);
}

static void end_behind_the_file(aero_db *db)
{
    ae_store64(&position_of(db)->lsn, (uint64_t)1 << 40);
}

static void last_frame_nowhere(aero_db *db)
{
    aei_state *state = position_of(db);
    ae_store64(&state->previous, ae_load64(&state->base) - 8);
}

static void last_frame_at_the_end(aero_db *db)
{
    aei_state *state = position_of(db);
    ae_store64(&state->previous, ae_load64(&state->lsn) - 8);
}

static void last_frame_elsewhere(aero_db *db)
{
    aei_state *state = position_of(db);
    ae_store64(&state->previous, ae_load64(&state->previous) - 8);
}

static void end_elsewhere(aero_db *db)
{
    aei_state *state = position_of(db);
    ae_store64(&state->lsn, ae_load64(&state->lsn) - 8);
}

/* Goal: a segment that is damaged, or does not agree with its files, is replaced by what the files
 * hold once nobody has it, and refused to newcomers before. */
static void test_a_segment_of_no_use_is_replaced_when_all_have_left(void **state)
{
    (void)state;
    static void (*const changes[])(aero_db *) = {poison,
                                                 log_off,
                                                 end_before_the_file,
                                                 file_of_no_name,
                                                 end_behind_the_file,
                                                 last_frame_nowhere,
                                                 last_frame_at_the_end,
                                                 last_frame_elsewhere,
                                                 end_elsewhere};
    for (size_t index = 0; index < sizeof changes / sizeof changes[0]; index++) {
        store_attach(&store, SIZE);
        /* What it has written is in a file that it knows, and that is not the first one. */
        aero_checkpoint_report report;
        assert_ok(store.session, aero_checkpoint(store.session, &report));
        assert_ok(store.session, flight_put(store.session, "f0000002", 2));
        changes[index](store.db);
        printf("change %zu\n", index);
        asleep = true;
        refused(NULL, AERO_MISMATCH, "other processes are attached to it");
        asleep = false;
        store_detach(&store);
        opens("cold");
        opens("warm");
    }
}

/* Goal: a log that has failed is never gone on with: not by who closes, nor by who attaches. */
static void test_a_log_that_has_failed_is_left_alone(void **state)
{
    (void)state;
    store_attach(&store, SIZE);
    assert_ok(store.session, aero_config_set(store.session, "aerostore.synchronous_commit", "off"));
    assert_ok(store.session, flight_put(store.session, "later", 1));
    assert_ok(store.session, aero_config_set(store.session, "aerostore.synchronous_commit", "on"));
    surprise_at("fdatasync", 0, EIO, NULL);
    assert_status(store.session, AERO_NOT_DURABLE, flight_put(store.session, "f0000000", 0));
    asleep = true;
    refused(NULL, AERO_MISMATCH, "writing its log has failed");
    asleep = false;
    const uint32_t before = syncs;
    store_detach(&store);
    assert_int_equal(syncs, before);
    opens("cold");
}

/* Goal: without a place for the error's text, refusals are the same. */
static void test_a_refusal_without_a_place_for_its_text(void **state)
{
    (void)state;
    aero_db *db = NULL;
    uint8_t byte = 0;
    const int fd = open(log_path(), O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    const off_t place = 300;
    assert_int_equal(pread(fd, &byte, 1, place), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, place), 1);
    segment_unlink();
    assert_int_equal(aero_open(options(NULL), &db, NULL), AERO_CORRUPT);
    assert_null(db);
    refused(NULL, AERO_CORRUPT, "offset");
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, place), 1);
    close(fd);
}

static uint32_t told;

static int32_t tell(void *context, int32_t phase, uint64_t done, uint64_t all)
{
    (void)context;
    assert_true(done <= all && phase <= AERO_RECOVERY_INDEXES);
    told++;
    slept_ns += 1000000000u; /* it was long ago when the next one is due */
    return 0;
}

/* Goal: a recovery that takes long tells so again and again, at each frame at most. */
static void test_a_long_recovery_tells_how_far_it_is(void **state)
{
    (void)state;
    aero_open_options of = *options(NULL);
    aero_db *db = NULL;
    aero_error error;
    segment_unlink();
    told = 0;
    of.progress = tell;
    assert_int_equal(aero_open(&of, &db, &error), AERO_OK);
    assert_int_equal(aero_close(db, &error), AERO_OK);
    assert_true(told > ROWS);
}

/* ---- what happens meanwhile ----------------------------------------------------------------- */

/* Goal: a segment that is removed while it is opened, or found useless and removed by another, is
 * made anew. */
static void test_a_segment_that_is_removed_meanwhile(void **state)
{
    (void)state;
    surprise_at("open", 0, 0, segment_unlink);
    opens("cold");
    segment_change(poison);
    surprise_at("lock", 0, 0, segment_unlink);
    opens("cold");
}

/* Goal: a name that was taken, and is gone again when it is looked for, is tried for again; the
 * lock that tells of a recovery is taken once. */
static void test_a_name_that_is_taken_for_a_moment(void **state)
{
    (void)state;
    segment_unlink();
    surprise_at("linkat", 0, EEXIST, NULL);
    opens("cold");
}

static aero_db *private_db;

static void private_open(void)
{
    aero_error error;
    aero_db *db = NULL;
    asleep = false;
    if (aero_open(options("private"), &db, &error) != AERO_OK)
        fail_msg("private: %s", error.text);
    private_db = db;
    asleep = true;
}

static void private_close(void)
{
    aero_error error;
    assert_int_equal(aero_close(private_db, &error), AERO_OK);
    private_db = NULL;
    asleep = false;
}

/* Goal: who wants a segment does not wait for ever for one who has the files in private memory,
 * whenever that one came; only for a recovery as long as that may take. */
static void test_nobody_waits_for_ever(void **state)
{
    (void)state;
    int fd = -1;
    segment_unlink();
    private_open();
    refused(NULL, AERO_USAGE, "by a process that has it in private memory");
    /* A recovery that goes on is waited for ten minutes. */
    assert_int_equal(aei_lock_take(store.data_dir, AE_LOCK_OPENING, 0, &fd), 0);
    const uint64_t before = slept_ns;
    refused(NULL, AERO_USAGE, "by a process that has it in private memory");
    assert_in_range((slept_ns - before) / 1000000000u, 590, 700);
    private_close();
    /* It comes between our look at the directory and our taking it. */
    surprise_at("let", 0, 0, private_open);
    const uint64_t then = slept_ns;
    aei_lock_drop(fd, AE_LOCK_OPENING);
    refused(NULL, AERO_USAGE, "by a process that has it in private memory");
    assert_in_range((slept_ns - then) / 1000000000u, 10, 60);
    private_close();
    /* The same, and a recovery goes on for a minute. */
    assert_int_equal(aei_lock_take(store.data_dir, AE_LOCK_OPENING, 0, &recovery_fd), 0);
    surprise_at("let", 0, 0, private_open);
    recovery_ends_ns = slept_ns + 60000000000u;
    const uint64_t when = slept_ns;
    refused(NULL, AERO_USAGE, "by a process that has it in private memory");
    assert_in_range((slept_ns - when) / 1000000000u, 60, 70);
    private_close();
    /* Others that have it share it; private memory does not. */
    store_attach(&store, SIZE);
    asleep = true;
    refused("private", AERO_USAGE, "belongs to one process");
    asleep = false;
    store_detach(&store);
}

static void rotate(void)
{
    aero_checkpoint_report report;
    aero_session *session = session_new(&store);
    assert_ok(session, aero_checkpoint(session, &report));
    assert_ok(session, flight_put(session, "f0000003", 3));
    aero_session_close(session);
}

/* Goal: a log that goes on in a new file while an opener looks at the old one is still the
 * segment's. */
static void test_a_log_that_is_rotated_meanwhile(void **state)
{
    (void)state;
    aero_db *db = NULL;
    aero_error error;
    store_attach(&store, SIZE);
    for (uint32_t look = 0; look < 3; look++) {
        surprise_at("opendir", look, 0, rotate);
        const uint32_t before = sleeps;
        if (aero_open(options(NULL), &db, &error) != AERO_OK)
            fail_msg("look %u: %s", look, error.text);
        assert_string_equal(aero_boot(db), "warm");
        assert_int_equal(sleeps, before); /* no second look was needed */
        assert_int_equal(aero_close(db, &error), AERO_OK);
        surprise.call = NULL;
    }
    store_detach(&store);
}

/* A log file that ends behind its first frame, as the death of who made it leaves it. */
static void leftover_make(char path[200], uint64_t above)
{
    struct {
        ae_frame frame;
        ae_file_head head;
    } first;
    store_attach(&store, SIZE);
    const ae_log_position at = ae_log_written(&store.db->log);
    store_detach(&store);
    assert_int_equal(at.base, 0);
    snprintf(path, 200, "%s/aerostore.wal.%020" PRIu64, store.data_dir, at.lsn + above);
    int fd = open(log_path(), O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, &first, sizeof first), sizeof first);
    close(fd);
    first.frame.lsn = first.head.base = at.lsn + above;
    first.frame.previous = at.previous;
    first.frame.durable = first.head.after = at.lsn;
    first.head.number = at.framed;
    ae_frame_seal(&first.frame);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, &first, sizeof first), sizeof first);
    close(fd);
}

/* Goal: a log file of one frame is no sign that somebody else has had the store; one with more is.
 */
static void test_a_file_that_a_dead_writer_left(void **state)
{
    (void)state;
    char path[200];
    leftover_make(path, 4096);
    opens("warm");
    const int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(fd, "\0\0\0\0\0\0\0\0", 8), 8);
    close(fd);
    opens("cold");
}

/* ---- closing -------------------------------------------------------------------------------- */

static int closes_in_a_child(const char *memory, bool uses)
{
    aero_db *db = NULL;
    aero_error error;
    int status = 0;
    assert_int_equal(aero_open(options(memory), &db, &error), AERO_OK);
    /* Of a commit that is not on the disk yet there is somebody to take care: a thread, for private
     * memory. */
    aero_session *early = NULL;
    assert_int_equal(aero_session_open(db, &early, &error), AERO_OK);
    assert_ok(early, aero_config_set(early, "aerostore.synchronous_commit", "off"));
    assert_ok(early, flight_put(early, "f0000001", 1));
    aero_session_close(early);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        /* One that has tried to use it before is a child all the same. */
        aero_session *own = NULL;
        if (uses && aero_session_open(db, &own, &error) == AERO_OK)
            aero_session_close(own);
        _exit(aero_close(db, &error) == AERO_OK ? 0 : 9);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    const int answer = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    aero_session *session = NULL;
    assert_int_equal(aero_session_open(db, &session, &error), AERO_OK);
    assert_ok(session, flight_put(session, "f0000001", 1));
    aero_session_close(session);
    assert_int_equal(aero_close(db, &error), AERO_OK);
    return answer;
}

/* Goal: a child that closes the handle it was born with waits for no thread of its parent's, writes
 * nothing to the log, and leaves the parent's handle whole. */
static void test_a_child_closes_what_it_was_born_with(void **state)
{
    (void)state;
    const uint32_t before = descriptors();
    for (int uses = 0; uses < 2; uses++) {
        assert_int_equal(closes_in_a_child("shared", uses), 0);
        assert_int_equal(closes_in_a_child("private", uses), 0);
    }
    assert_int_equal(descriptors(), before);
}

/* Goal: closing a handle whose log is not on any more, by damage, writes nothing. */
static void test_closing_a_segment_whose_log_went_off(void **state)
{
    (void)state;
    segment_change(log_off);
    opens("cold");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_a_segment_of_no_use_is_replaced_when_all_have_left,
                                    store_make, store_drop),
    cmocka_unit_test_setup_teardown(test_a_log_that_has_failed_is_left_alone, store_make,
                                    store_drop),
    cmocka_unit_test_setup_teardown(test_a_refusal_without_a_place_for_its_text, store_make,
                                    store_drop),
    cmocka_unit_test_setup_teardown(test_a_long_recovery_tells_how_far_it_is, store_make,
                                    store_drop),
    cmocka_unit_test_setup_teardown(test_a_segment_that_is_removed_meanwhile, store_make,
                                    store_drop),
    cmocka_unit_test_setup_teardown(test_a_name_that_is_taken_for_a_moment, store_make, store_drop),
    cmocka_unit_test_setup_teardown(test_nobody_waits_for_ever, store_make, store_drop),
    cmocka_unit_test_setup_teardown(test_a_log_that_is_rotated_meanwhile, store_make, store_drop),
    cmocka_unit_test_setup_teardown(test_a_file_that_a_dead_writer_left, store_make, store_drop),
    cmocka_unit_test_setup_teardown(test_a_child_closes_what_it_was_born_with, store_make,
                                    store_drop),
    cmocka_unit_test_setup_teardown(test_closing_a_segment_whose_log_went_off, store_make,
                                    store_drop),
};

AE_TEST_MAIN(tests)
