/* Death and sleep at every point of writing the log.
 *
 * A child commits, in small and large transactions, rolls back, and begins new files.  It is run
 * once and left alone, which counts the points it passes.  Then children die by SIGKILL at a
 * passage of each; the survivor must commit at once, memory must show all or nothing of what was in
 * flight, and the log, read from the start, exactly what memory shows.  In a second series they are
 * stopped there instead, are overtaken, and go on: nothing they still do may hurt the log.
 *
 * variants: crash
 */
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "logged.h"

enum { NAMES_MAX = 96, STEPS = 24, BIG_ROWS = 300, COMMIT_LIMIT_MS = 2000 };

typedef struct shared {
    char names[NAMES_MAX][32];
    uint32_t passages[NAMES_MAX];
    uint32_t name_count;
    _Atomic int64_t acknowledged; /* of "small" and "row…" */
    _Atomic int64_t trying;
    _Atomic int64_t big_acknowledged;
    _Atomic int64_t big_trying;
} shared;

static shared *common;
static log_model model;

static struct {
    bool counts;
    const char *target;
    uint32_t left;
    int signal;
} crash;

void ae_crash_point(const char *name);
void ae_crash_point(const char *name)
{
    if (crash.counts) {
        uint32_t index = 0;
        while (index < common->name_count && strcmp(common->names[index], name) != 0)
            index++;
        if (index == common->name_count && index < NAMES_MAX - 1)
            snprintf(common->names[common->name_count++], sizeof common->names[0], "%s", name);
        common->passages[index]++;
    }
    if (crash.left == 0 || strcmp(crash.target, name) != 0)
        return;
    if (--crash.left == 0)
        kill(getpid(), crash.signal);
}

/* In a child: an assertion would return into the parent's test. */
static void must(aero_session *session, aero_status status, const char *what)
{
    if (status == AERO_OK)
        return;
    printf("%s: %d %s\n", what, status, aero_session_error(session)->text);
    fflush(NULL);
    _exit(3);
}

static void child_step(test_store *store, int64_t step)
{
    aero_session *s = store->session;
    aero_error error;
    char name[32];
    aero_status status;
    if (step % 6 == 5) {
        atomic_store(&common->big_trying, step);
        do {
            must(s, aero_begin(s, AERO_ISOLATION_SNAPSHOT), "begin");
            for (uint32_t row = 0; row < BIG_ROWS; row++)
                must(s, flight_put(s, flight_name(name, row), step), "put");
            status = aero_commit(s);
        } while (status == AERO_CONFLICT); /* aborted while it was stopped */
        must(s, status, "commit of a large transaction");
        atomic_store(&common->big_acknowledged, step);
        return;
    }
    if (step % 6 == 3) {
        must(s, aero_begin(s, AERO_ISOLATION_SNAPSHOT), "begin");
        must(s, flight_put(s, "small", -1), "put");
        must(s, aero_rollback(s), "rollback");
    }
    if (step % 8 == 7) {
        ae_log_position position;
        must(s, ae_log_rotate(&store->db->log, &s->log_writer, &position, &s->error), "rotate");
    }
    if (step % 8 == 4) { /* asynchronous ones, which press */
        ae_store32(&store->db->synchronous_commit, 0);
        for (uint32_t round = 0; round < 60; round++)
            must(s, flight_put(s, "many", round), "put");
        must(s,
             ae_log_flush(&store->db->log, &s->log_writer,
                          ae_load64(&store->db->proc.shared->clock), AE_LOG_WRITE, &error),
             "flush");
        ae_store32(&store->db->synchronous_commit, 1);
    }
    atomic_store(&common->trying, step);
    must(s, flight_put(s, "small", step), "put");
    atomic_store(&common->acknowledged, step);
}

static pid_t child_start(test_store *store, const char *point, uint32_t passage, int signal)
{
    fflush(NULL);
    const pid_t child = fork();
    if (child != 0)
        return child;
    alarm(60);
    crash.counts = point == NULL;
    crash.target = point;
    crash.left = point == NULL ? 0 : passage;
    crash.signal = signal;
    for (int64_t step = 1; step <= STEPS; step++)
        child_step(store, step);
    _exit(0);
}

static void store_begin(test_store *store)
{
    atomic_store(&common->acknowledged, FLIGHT_NONE);
    atomic_store(&common->trying, FLIGHT_NONE);
    atomic_store(&common->big_acknowledged, FLIGHT_NONE);
    atomic_store(&common->big_trying, FLIGHT_NONE);
    logged_open(store, 8u << 20);
    char name[32];
    for (uint32_t row = 0; row < BIG_ROWS; row += 100) /* some exist, others are new */
        assert_ok(store->session, flight_put(store->session, flight_name(name, row), 0));
    assert_ok(store->session, flight_put(store->session, "many", 0));
}

/* Does the log show what memory shows? */
static void log_compare(test_store *store)
{
    char name[32];
    log_read_ok(&model, store);
    assert_int_equal(model_get(&model, "small"), flight_get(store->session, "small"));
    assert_int_equal(model_get(&model, "many"), flight_get(store->session, "many"));
    for (uint32_t row = 0; row < BIG_ROWS; row++) {
        (void)flight_name(name, row);
        assert_int_equal(model_get(&model, name), flight_get(store->session, name));
    }
}

/* The survivor writes, and compares. */
static void survive(test_store *store, int64_t round)
{
    const uint64_t from = now_ns();
    assert_ok(store->session, flight_put(store->session, "survivor", round));
    const uint64_t took_ms = (now_ns() - from) / 1000000;
    if (took_ms > COMMIT_LIMIT_MS)
        fail_msg("a commit took %" PRIu64 " ms", took_ms);
    log_compare(store);
    assert_int_equal(model_get(&model, "survivor"), round);
}

static void die_once(const char *point, uint32_t passage)
{
    test_store store;
    int status = 0;
    char name[32];
    store_begin(&store);
    const pid_t child = child_start(&store, point, passage, SIGKILL);
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    if (point == NULL)
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    else if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        fail_msg("%s #%u: the child ended with %x", point, passage, (unsigned)status);
    printf("%s #%u\n", point == NULL ? "left alone" : point, passage);
    survive(&store, 1);
    const int64_t small = flight_get(store.session, "small");
    assert_true(small == atomic_load(&common->acknowledged) ||
                small == atomic_load(&common->trying));
    const int64_t big = flight_get(store.session, flight_name(name, 1));
    assert_true(big == atomic_load(&common->big_acknowledged) ||
                big == atomic_load(&common->big_trying));
    for (uint32_t row = 1; row < BIG_ROWS; row++)
        if (row % 100 != 0)
            assert_int_equal(flight_get(store.session, flight_name(name, row)), big);
    ae_log_position position;
    aero_error error;
    store_verify(store.session); /* clears away the dead, whose pieces are kept until then */
    assert_int_equal(ae_log_rotate(&store.db->log, &store.session->log_writer, &position, &error),
                     AERO_OK);
    assert_true(ae_log_oldest_piece(&store.db->log) == UINT64_MAX);
    survive(&store, 2);
    logged_close(&store);
}

/* Stopped at the point, overtaken, and let go again. */
static void sleep_once(const char *point, uint32_t passage)
{
    test_store store;
    int status = 0;
    store_begin(&store);
    const pid_t child = child_start(&store, point, passage, SIGSTOP);
    while (waitpid(child, &status, WUNTRACED) < 0)
        assert_int_equal(errno, EINTR);
    if (!WIFSTOPPED(status))
        fail_msg("%s #%u: the child ended with %x", point, passage, (unsigned)status);
    printf("%s #%u, stopped\n", point, passage);
    for (int64_t round = 1; round <= 3; round++)
        survive(&store, round);
    kill(child, SIGCONT);
    for (int64_t round = 4; round <= 6; round++)
        assert_ok(store.session, flight_put(store.session, "survivor", round));
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("%s #%u: the child went on and ended with %x", point, passage, (unsigned)status);
    survive(&store, 7);
    assert_int_equal(flight_get(store.session, "small"), atomic_load(&common->acknowledged));
    logged_close(&store);
}

/* Points of the log and of the transaction around it. */
static bool point_matters(const char *name)
{
    return strncmp(name, "log.", 4) == 0 || strncmp(name, "record.", 7) == 0 ||
           strncmp(name, "queue.", 6) == 0 || strncmp(name, "txn.", 4) == 0;
}

static void points_count(void)
{
    common = mmap(NULL, sizeof *common, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(common != MAP_FAILED);
    die_once(NULL, 0);
    assert_in_range(common->name_count, 20, NAMES_MAX - 2);
}

static void test_death_at_every_point_of_the_log_loses_nothing(void **state)
{
    uint64_t random = test_seed("death in the log");
    const bool thorough = getenv("AE_CRASH_THOROUGH") != NULL;
    uint32_t deaths = 0;
    (void)state;
    points_count();
    for (uint32_t index = 0; index < common->name_count; index++) {
        const uint32_t count = common->passages[index];
        if (!point_matters(common->names[index]))
            continue;
        const uint32_t passages[] = {1, 2, 1 + (uint32_t)(next_random(&random) % count), count};
        for (uint32_t pick = 0; pick < 4 && !thorough; pick++, deaths++)
            if (passages[pick] <= count)
                die_once(common->names[index], passages[pick]);
        for (uint32_t passage = 1; passage <= count && thorough; passage++, deaths++)
            die_once(common->names[index], passage);
    }
    assert_in_range(deaths, 60, UINT32_MAX);
    munmap(common, sizeof *common);
}

static void test_who_is_stopped_in_the_log_is_overtaken_and_does_no_harm(void **state)
{
    uint64_t random = test_seed("sleep in the log");
    const bool thorough = getenv("AE_CRASH_THOROUGH") != NULL;
    (void)state;
    points_count();
    for (uint32_t index = 0; index < common->name_count; index++) {
        const uint32_t count = common->passages[index];
        if (!point_matters(common->names[index]))
            continue;
        sleep_once(common->names[index], 1);
        sleep_once(common->names[index], 1 + (uint32_t)(next_random(&random) % count));
        for (uint32_t passage = 2; passage <= count && passage < 40 && thorough; passage++)
            sleep_once(common->names[index], passage);
    }
    munmap(common, sizeof *common);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_death_at_every_point_of_the_log_loses_nothing),
    cmocka_unit_test(test_who_is_stopped_in_the_log_is_overtaken_and_does_no_harm),
};

AE_TEST_MAIN(tests)
