/* Money moved between accounts by processes that are killed at random, over and over.
 *
 * Eight workers transfer between 1,000 accounts in serializable transactions, each of which also
 * counts up a row of the worker's own.  After every few transfers a worker sums up all accounts
 * in one snapshot, by scan; the parent does so after every kill.  The sum must be right each time.
 * What a worker was told is committed stands outside the database, in memory shared with the
 * parent: the row that counts must say the same, or one more when the worker died in between.
 * $AE_BANK_KILLS sets the number of kills (60).
 *
 * variants: plain
 */
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "flights.h"

enum { ACCOUNTS = 1000, WORKERS = 8, START_MONEY = 1000, LOOK_EVERY = 16 };
enum { WRONG_SUM = 70, WRONG_STATUS = 71, ORPHANED = 72 };

typedef struct tally {
    _Atomic uint64_t acknowledged[WORKERS];
    _Atomic uint64_t looks;
    _Atomic uint64_t conflicts;
} tally;

static const char *worker_row(char name[32], uint32_t number)
{
    snprintf(name, 32, "worker-%u", number);
    return name;
}

/* One column of one row; a status other than AERO_OK ends the worker's attempt. */
static aero_status money_of(aero_session *session, const char *key, int64_t *money)
{
    const uint32_t column = FLIGHT_ALTITUDE;
    const aero_value id = v_text(key);
    aero_value value;
    int32_t found = 0;
    const aero_status status = aero_get(session, FLIGHTS, &id, 1, &column, &value, &found);
    *money = status == AERO_OK && found ? value.u.integer : FLIGHT_NONE;
    return status == AERO_OK && !found ? AERO_NOT_FOUND : status;
}

static aero_status move(aero_session *session, uint32_t number, uint64_t dice)
{
    char from[32];
    char to[32];
    char own[32];
    int64_t here = 0;
    int64_t there = 0;
    int64_t count = 0;
    const uint32_t first = (uint32_t)(dice % ACCOUNTS);
    const uint32_t second = (first + 1 + (uint32_t)(dice >> 20) % (ACCOUNTS - 1)) % ACCOUNTS;
    aero_status status = aero_begin(session, AERO_ISOLATION_SERIALIZABLE);
    if (status != AERO_OK)
        return status;
    status = money_of(session, flight_name(from, first), &here);
    if (status == AERO_OK)
        status = money_of(session, flight_name(to, second), &there);
    if (status == AERO_OK)
        status = money_of(session, worker_row(own, number), &count);
    const int64_t amount = here == 0 ? 0 : 1 + (int64_t)((dice >> 40) % (uint64_t)here);
    if (status == AERO_OK)
        status = flight_put(session, from, here - amount);
    if (status == AERO_OK)
        status = flight_put(session, to, there + amount);
    if (status == AERO_OK)
        status = flight_put(session, own, count + 1);
    if (status == AERO_OK)
        return aero_commit(session);
    (void)aero_rollback(session);
    return status;
}

/* The sum of all accounts in one snapshot; -1 when a row is missing or there twice. */
static int64_t sum_up(aero_session *session)
{
    const uint32_t columns[] = {FLIGHT_ID, FLIGHT_ALTITUDE};
    static uint8_t seen[ACCOUNTS];
    aero_query *query = NULL;
    aero_cursor *cursor = NULL;
    const aero_row *row = NULL;
    int64_t sum = 0;
    uint32_t count = 0;
    memset(seen, 0, sizeof seen);
    aero_status status = aero_query_new(session, FLIGHTS, &query);
    if (status == AERO_OK)
        status = aero_cursor_open(query, &cursor);
    while (status == AERO_OK && (status = aero_cursor_next(cursor, &row)) == AERO_OK &&
           row != NULL) {
        aero_value values[2];
        aero_row_values(row, 2, columns, values);
        if (values[0].u.data[0] != 'f')
            continue;
        const uint32_t number = (uint32_t)strtoul(values[0].u.data + 1, NULL, 10);
        if (number >= ACCOUNTS || seen[number]++ != 0)
            status = AERO_CORRUPT;
        sum += values[1].u.integer;
        count++;
    }
    aero_cursor_close(cursor);
    aero_query_free(query);
    return status == AERO_OK && count == ACCOUNTS ? sum : -1;
}

static void work(test_store *store, tally *of, uint32_t number, uint64_t random)
{
    const pid_t parent = getppid();
    for (uint64_t turn = 0;; turn++) {
        const aero_status status = move(store->session, number, next_random(&random));
        if (status == AERO_OK)
            atomic_fetch_add_explicit(&of->acknowledged[number], 1, memory_order_release);
        else if (status == AERO_CONFLICT)
            atomic_fetch_add_explicit(&of->conflicts, 1, memory_order_relaxed);
        else
            _exit(WRONG_STATUS);
        if (turn % LOOK_EVERY != number)
            continue;
        if (sum_up(store->session) != (int64_t)ACCOUNTS * START_MONEY)
            _exit(WRONG_SUM);
        atomic_fetch_add_explicit(&of->looks, 1, memory_order_relaxed);
        if (getppid() != parent)
            _exit(ORPHANED);
    }
}

static pid_t worker_start(test_store *store, tally *of, uint32_t number, uint64_t seed)
{
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        work(store, of, number, seed);
    return child;
}

static void worker_kill(pid_t child)
{
    int status = 0;
    kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        fail_msg("a worker ended by itself with status %x", (unsigned)status);
}

/* A dead worker's row counts what it was told, or the commit it died in as well. */
static void settle(test_store *store, tally *of, uint32_t number)
{
    char name[32];
    const uint64_t told = atomic_load_explicit(&of->acknowledged[number], memory_order_acquire);
    const uint64_t there = (uint64_t)flight_get(store->session, worker_row(name, number));
    if (there != told && there != told + 1)
        fail_msg("worker %u was told of %" PRIu64 " commits, %" PRIu64 " are there", number, told,
                 there);
    atomic_store_explicit(&of->acknowledged[number], there, memory_order_release);
}

/* Goal: L2, L5.  Method: as described at the top. */
static void test_the_bank_is_right_in_every_snapshot(void **state)
{
    const char *wish = getenv("AE_BANK_KILLS");
    const uint64_t kills = wish != NULL ? strtoull(wish, NULL, 10) : 60;
    uint64_t random = test_seed("bank kills");
    tally *of = mmap(NULL, sizeof *of, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    test_store store;
    pid_t workers[WORKERS];
    char name[32];
    (void)state;
    assert_true(of != MAP_FAILED);
    store_open(&store, 64 << 20);
    for (uint32_t number = 0; number < ACCOUNTS; number++)
        assert_ok(store.session,
                  flight_insert(store.session, flight_name(name, number), START_MONEY));
    for (uint32_t number = 0; number < WORKERS; number++)
        assert_ok(store.session, flight_insert(store.session, worker_row(name, number), 0));
    for (uint32_t number = 0; number < WORKERS; number++)
        workers[number] = worker_start(&store, of, number, next_random(&random));
    for (uint64_t round = 0; round < kills; round++) {
        const uint32_t victim = (uint32_t)(next_random(&random) % WORKERS);
        /* A random instant, not a synchronisation. */
        const struct timespec span = {.tv_nsec = (long)(next_random(&random) % 60000000)};
        nanosleep(&span, NULL);
        worker_kill(workers[victim]);
        settle(&store, of, victim);
        assert_int_equal(sum_up(store.session), (int64_t)ACCOUNTS * START_MONEY);
        workers[victim] = worker_start(&store, of, victim, next_random(&random));
    }
    for (uint32_t number = 0; number < WORKERS; number++)
        worker_kill(workers[number]);
    uint64_t total = 0;
    for (uint32_t number = 0; number < WORKERS; number++) {
        settle(&store, of, number);
        total += of->acknowledged[number];
    }
    assert_int_equal(sum_up(store.session), (int64_t)ACCOUNTS * START_MONEY);
    printf("%" PRIu64 " kills, %" PRIu64 " transfers, %" PRIu64 " conflicts, %" PRIu64
           " looks of the workers\n",
           kills, total, (uint64_t)of->conflicts, (uint64_t)of->looks + kills);
    munmap(of, sizeof *of);
    store_close(&store); /* verifies */
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_the_bank_is_right_in_every_snapshot),
};

AE_TEST_MAIN(tests)
