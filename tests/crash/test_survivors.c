/* What a death, or a stop, costs those who live on: the next commit, the horizon, their progress.
 *
 * A victim works until it is killed, or stopped, from outside at a random instant; the survivor
 * then does the one thing that is measured.  The bars are times on a machine that has time: each
 * measure is taken again, up to five times, when a crowded machine spoils it, and what belongs to
 * the engine would spoil all five.  $AE_SURVIVOR_ROUNDS sets the deaths of a measure (150).
 *
 * variants: plain
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "flights.h"

enum { ATTEMPTS = 5, ROUNDS_MOST = 20000, VICTIM_ROWS = 20 };
#define MS 1000000u

typedef struct sign {
    _Atomic uint64_t turns; /* of the victim */
    _Atomic uint32_t wrong;
} sign;

static sign *sign_new(void)
{
    sign *of = mmap(NULL, sizeof *of, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(of != MAP_FAILED);
    return of;
}

static uint32_t rounds_wanted(void)
{
    const char *wish = getenv("AE_SURVIVOR_ROUNDS");
    const unsigned long rounds = wish != NULL ? strtoul(wish, NULL, 10) : 150;
    return rounds < ROUNDS_MOST ? (uint32_t)rounds : ROUNDS_MOST;
}

typedef void (*victim_turn)(aero_session *session, uint64_t dice);

static pid_t victim_start(test_store *store, sign *of, victim_turn turn, uint64_t random)
{
    atomic_store_explicit(&of->turns, 0, memory_order_relaxed);
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child != 0)
        return child;
    const pid_t parent = getppid();
    while (getppid() == parent) {
        turn(store->session, next_random(&random));
        atomic_fetch_add_explicit(&of->turns, 1, memory_order_relaxed);
    }
    _exit(0);
}

/* Let the victim come to work, then wait for a random instant. */
static void victim_ripen(const sign *of, uint64_t *random)
{
    const uint64_t deadline = now_ns() + 60000ull * MS;
    while (atomic_load_explicit(&of->turns, memory_order_relaxed) < 2)
        assert_true(now_ns() < deadline);
    const uint64_t until = now_ns() + next_random(random) % 300000;
    while (now_ns() < until)
        ;
}

static void victim_wait(pid_t child)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static int compare_times(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left;
    const uint64_t b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

/* Sorts.  True when 99 of 100 are within `most_p99` and all within `most`. */
static bool within(const char *what, uint64_t *times, uint32_t count, uint64_t most_p99,
                   uint64_t most)
{
    qsort(times, count, sizeof *times, compare_times);
    const uint64_t p99 = times[count - 1 - count / 100];
    printf("%s: %u deaths, median %" PRIu64 " us, p99 %" PRIu64 " us, most %" PRIu64 " us\n", what,
           count, times[count / 2] / 1000, p99 / 1000, times[count - 1] / 1000);
    return p99 <= most_p99 && times[count - 1] <= most;
}

/* ---- the next commit ------------------------------------------------------------------------ */

/* Killing is asking: the victim is dead when it has been on a processor once more, and till then it
 * holds what it holds.  A thread notes when that is. */
typedef struct watch {
    int pidfd;
    uint64_t dead_ns;
} watch;

static void *watch_death(void *context)
{
    watch *of = context;
    struct pollfd wait = {.fd = of->pidfd, .events = POLLIN};
    while (poll(&wait, 1, -1) < 0 && errno == EINTR)
        ;
    of->dead_ns = now_ns();
    return NULL;
}

/* Writes the hot row and others: alone, in a transaction, or in one that is rolled back. */
static void write_hot(aero_session *session, uint64_t dice)
{
    char name[32];
    const int32_t isolation = dice & 8 ? AERO_ISOLATION_SERIALIZABLE : AERO_ISOLATION_SNAPSHOT;
    if ((dice & 3) == 0) {
        (void)flight_put(session, "hot", (int64_t)(dice >> 40));
        return;
    }
    if (aero_begin(session, isolation) != AERO_OK)
        return;
    aero_status status = flight_put(session, "hot", (int64_t)(dice >> 40));
    for (uint64_t row = 0; row < (dice >> 8) % VICTIM_ROWS && status == AERO_OK; row++)
        status = flight_put(session, flight_name(name, row), (int64_t)(dice >> 40));
    if (status == AERO_OK && (dice & 3) != 3)
        (void)aero_commit(session);
    else
        (void)aero_rollback(session);
}

static bool next_commits(const char *row, const char *what)
{
    static uint64_t times[ROUNDS_MOST];
    static uint64_t since_kill[ROUNDS_MOST];
    const uint32_t rounds = rounds_wanted();
    uint64_t random = test_seed(what);
    test_store store;
    sign *of = sign_new();
    store_open(&store, 32 << 20);
    assert_ok(store.session, flight_put(store.session, "hot", 1));
    assert_ok(store.session, flight_put(store.session, "other", 1));
    for (uint32_t round = 0; round < rounds; round++) {
        const pid_t child = victim_start(&store, of, write_hot, next_random(&random));
        watch death = {.pidfd = (int)syscall(SYS_pidfd_open, child, 0)};
        pthread_t watcher;
        assert_true(death.pidfd >= 0);
        assert_int_equal(pthread_create(&watcher, NULL, watch_death, &death), 0);
        victim_ripen(of, &random);
        kill(child, SIGKILL);
        const uint64_t from = now_ns();
        assert_ok(store.session, flight_put(store.session, row, round));
        const uint64_t until = now_ns();
        pthread_join(watcher, NULL);
        close(death.pidfd);
        victim_wait(child);
        since_kill[round] = until - from;
        const uint64_t start = death.dead_ns > from ? death.dead_ns : from;
        times[round] = until > start ? until - start : 0;
        assert_int_equal(flight_get(store.session, row), round);
    }
    bool good = within(what, since_kill, rounds, 10 * MS, 100 * MS);
    if (strcmp(row, "hot") == 0)
        good = within("  since it is dead", times, rounds, 10 * MS, 100 * MS);
    munmap(of, sizeof *of);
    store_close(&store);
    return good;
}

/* Goal: a death disturbs nobody.  Method: the commit of another row right after the kill. */
static void test_the_next_commit_after_a_kill(void **state)
{
    (void)state;
    for (uint32_t attempt = 0; attempt < ATTEMPTS; attempt++)
        if (next_commits("other", "the next commit"))
            return;
    fail_msg("more than 10 ms (p99) or 100 ms after a kill, five times");
}

/* Goal: what the dead held is free at once.  Method: the commit of the row it was writing. */
static void test_the_next_commit_of_the_same_row(void **state)
{
    (void)state;
    for (uint32_t attempt = 0; attempt < ATTEMPTS; attempt++)
        if (next_commits("hot", "the next commit of the row that the dead wrote"))
            return;
    fail_msg("more than 10 ms (p99) or 100 ms after a kill, five times");
}

/* ---- the dead reader ------------------------------------------------------------------------ */

/* Takes a snapshot and keeps it: in a transaction, or by a cursor. */
static void read_and_keep(aero_session *session, uint64_t dice)
{
    static aero_query *query;
    static aero_cursor *cursor;
    const aero_row *row = NULL;
    if (aero_depth(session) > 0 || cursor != NULL)
        return;
    if ((dice & 1) == 0) {
        if (aero_begin(session, AERO_ISOLATION_READ_ONLY) != AERO_OK ||
            flight_get(session, "other") == FLIGHT_NONE)
            _exit(5);
        return;
    }
    if (aero_query_new(session, FLIGHTS, &query) != AERO_OK ||
        aero_cursor_open(query, &cursor) != AERO_OK || aero_cursor_next(cursor, &row) != AERO_OK ||
        row == NULL)
        _exit(6);
}

/* Reads by key all the time: its snapshots stand in its session's line. */
static void read_shortly(aero_session *session, uint64_t dice)
{
    char name[32];
    (void)flight_get(session, flight_name(name, dice % VICTIM_ROWS));
}

static bool horizon_follows(victim_turn turn, const char *what)
{
    static uint64_t times[ROUNDS_MOST];
    const uint32_t rounds = 1 + rounds_wanted() / 4;
    uint64_t random = test_seed(what);
    test_store store;
    sign *of = sign_new();
    char name[32];
    store_open(&store, 32 << 20);
    for (uint32_t row = 0; row < VICTIM_ROWS; row++)
        assert_ok(store.session, flight_put(store.session, flight_name(name, row), row));
    assert_ok(store.session, flight_put(store.session, "other", 1));
    for (uint32_t round = 0; round < rounds; round++) {
        const pid_t child = victim_start(&store, of, turn, next_random(&random));
        victim_ripen(of, &random);
        assert_ok(store.session, flight_put(store.session, "other", round)); /* it is behind now */
        kill(child, SIGKILL);
        const uint64_t from = now_ns();
        const uint64_t clock = stat_value(store.session, "commit_clock");
        while (stat_value(store.session, "horizon") < clock) {
            if (now_ns() - from > 20000ull * MS)
                fail_msg("the horizon stands still behind a dead reader");
            for (uint32_t turns = 0; turns < 16; turns++)
                assert_ok(store.session, flight_put(store.session, "other", turns));
        }
        times[round] = now_ns() - from;
        victim_wait(child);
    }
    const bool good = within(what, times, rounds, 100 * MS, 100 * MS);
    munmap(of, sizeof *of);
    store_close(&store);
    return good;
}

/* Goal: the horizon is free again within 100 ms of work, unasked.  Method: kill one that holds a
 * transaction or a cursor; commit until the horizon has passed the clock of its death. */
static void test_a_dead_reader_lets_the_horizon_go(void **state)
{
    (void)state;
    for (uint32_t attempt = 0; attempt < ATTEMPTS; attempt++)
        if (horizon_follows(read_and_keep, "the horizon after a reader's death"))
            return;
    fail_msg("a dead reader held the horizon for more than 100 ms, five times");
}

/* Goal: the same for reads outside a transaction. */
static void test_a_dead_lookup_lets_the_horizon_go(void **state)
{
    (void)state;
    for (uint32_t attempt = 0; attempt < ATTEMPTS; attempt++)
        if (horizon_follows(read_shortly, "the horizon after a death in a look-up"))
            return;
    fail_msg("a dead reader held the horizon for more than 100 ms, five times");
}

/* ---- the stopped ---------------------------------------------------------------------------- */

/* Reads all of its rows in one snapshot, twice, and writes them all alike. */
static void write_alike(aero_session *session, uint64_t dice)
{
    char name[32];
    if (aero_begin(session, AERO_ISOLATION_SERIALIZABLE) != AERO_OK)
        return;
    const int64_t first = flight_get(session, flight_name(name, 0));
    for (uint32_t row = 0; row < VICTIM_ROWS; row++)
        if (flight_get(session, flight_name(name, row)) != first)
            _exit(7);
    aero_status status = AERO_OK;
    for (uint32_t row = 0; row < VICTIM_ROWS && status == AERO_OK; row++)
        status = flight_put(session, flight_name(name, row), (int64_t)(dice >> 40));
    for (uint32_t row = 0; row < VICTIM_ROWS && status == AERO_OK; row++)
        if (flight_get(session, flight_name(name, row)) != (int64_t)(dice >> 40))
            _exit(8);
    if (status == AERO_OK)
        status = aero_commit(session);
    else
        (void)aero_rollback(session);
    if (status != AERO_OK && status != AERO_CONFLICT)
        _exit(9);
}

/* Everything that others may do while one is stopped; each step counted in *slowest_ns. */
static void go_on(aero_session *session, uint32_t commits, uint64_t *slowest_ns)
{
    char name[32];
    for (uint32_t step = 0; step < commits; step++) {
        const uint64_t from = now_ns();
        assert_ok(session, flight_put(session, "other", step));
        assert_int_equal(flight_get(session, "other"), step);
        const int64_t value = flight_get(session, flight_name(name, step % VICTIM_ROWS));
        assert_true(value != FLIGHT_NONE);
        const uint64_t took = now_ns() - from;
        *slowest_ns = took > *slowest_ns ? took : *slowest_ns;
    }
}

/* Goal: L3, row P3.  Method: stop the victim at random instants; the survivor commits and reads
 * thousands of times, also what the victim is writing; the victim wakes, has seen nothing wrong,
 * and works on.  What piles up meanwhile goes again. */
static void test_others_go_on_while_one_is_stopped(void **state)
{
    const uint32_t rounds = 1 + rounds_wanted() / 10;
    uint64_t random = test_seed("stopped");
    test_store store;
    sign *of = sign_new();
    char name[32];
    uint64_t slowest_ns = 0;
    uint64_t used = 0;
    (void)state;
    store_open(&store, 64 << 20);
    for (uint32_t row = 0; row < VICTIM_ROWS; row++)
        assert_ok(store.session, flight_put(store.session, flight_name(name, row), 0));
    const pid_t child = victim_start(&store, of, write_alike, next_random(&random));
    for (uint32_t round = 0; round < rounds; round++) {
        int status = 0;
        victim_ripen(of, &random);
        kill(child, SIGSTOP);
        assert_int_equal(waitpid(child, &status, WUNTRACED), child);
        if (!WIFSTOPPED(status))
            fail_msg("the victim ended with %x", (unsigned)status);
        const uint64_t turns = atomic_load_explicit(&of->turns, memory_order_relaxed);
        go_on(store.session, 3000, &slowest_ns);
        assert_int_equal(atomic_load_explicit(&of->turns, memory_order_relaxed), turns);
        kill(child, SIGCONT);
        const uint64_t deadline = now_ns() + 60000ull * MS;
        while (atomic_load_explicit(&of->turns, memory_order_relaxed) < turns + 2)
            assert_true(now_ns() < deadline);
        go_on(store.session, 1000, &slowest_ns);
        const uint64_t now = stat_value(store.session, "segment_used");
        if (round == rounds / 2)
            used = now;
        if (round > rounds / 2)
            assert_in_range(now, used, used + (4 << 20));
    }
    printf("%u stops, slowest step of the others %" PRIu64 " us\n", rounds, slowest_ns / 1000);
    kill(child, SIGKILL);
    victim_wait(child);
    munmap(of, sizeof *of);
    store_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_the_next_commit_after_a_kill),
    cmocka_unit_test(test_the_next_commit_of_the_same_row),
    cmocka_unit_test(test_a_dead_reader_lets_the_horizon_go),
    cmocka_unit_test(test_a_dead_lookup_lets_the_horizon_go),
    cmocka_unit_test(test_others_go_on_while_one_is_stopped),
};

AE_TEST_MAIN(tests)
