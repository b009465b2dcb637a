/* All processes killed at once at a random instant, over and over, then opened again: every other
 * time from the segment that is left, every other time from the files alone.
 *
 * Synchronous: three workers and one who takes checkpoints; a ledger outside the database knows
 * what was acknowledged, and exactly that must be there, or the whole transaction in flight too.
 *
 * Asynchronous: each worker counts in two rows and copies into a third what it reads of its
 * neighbour's.  After recovery the two are equal (no half transaction), at most what was written
 * (nothing invented), and what was copied is there at the neighbour (closed under "read from").
 *
 * $AE_KILL_ROUNDS sets the number of rounds (30 of each kind).  SIGKILL spares the page cache:
 * what a power failure may leave is test_power.c's matter.
 *
 * variants: plain
 * links: * generated/market
 */
#include <signal.h>

#include "../crash/ledger.h"

enum { WORKERS = 3, SHARE = 40 };

static uint64_t rounds_wanted(void)
{
    const char *wish = getenv("AE_KILL_ROUNDS");
    return wish != NULL ? strtoull(wish, NULL, 10) : 30;
}

static void commit(aero_session *session, ledger *of)
{
    ledger_announce(of);
    const aero_status status = aero_commit(session);
    if (status != AERO_CONFLICT)
        must(session, status);
    ledger_settle(of, status == AERO_OK);
}

/* Keys [first, first + SHARE) are the worker's. */
static void work(aero_session *session, ledger *of, uint32_t first, uint64_t random)
{
    for (;;) {
        const uint64_t what = next_random(&random);
        const uint32_t key = (uint32_t)(what >> 8) % SHARE;
        const uint32_t generation = 1 + (uint32_t)(what >> 24) % 20000;
        if (what % 4 != 0) {
            must(session, ledger_single(session, of, first + key, what % 16 == 1 ? 0 : generation));
            continue;
        }
        ledger_begin(session, of);
        for (uint32_t count = 0; count < 2 + what % 64 / 8; count++)
            ledger_change(session, of, first + (key + count * 7) % SHARE,
                          count % 5 == 1 ? 0 : generation + count);
        commit(session, of);
    }
}

typedef void (*body)(test_store *store, void *context, uint32_t number, uint64_t seed);

static pid_t start(test_store *store, body what, void *context, uint32_t number, uint64_t seed)
{
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child != 0)
        return child;
    alarm(120);
    store_attach(store, 64 << 20);
    what(store, context, number, seed);
    _exit(4);
}

static void end(pid_t child)
{
    int status = 0;
    kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        fail_msg("a worker ended by itself with status %x", (unsigned)status);
}

static void pause_for(uint64_t nanoseconds)
{
    const struct timespec span = {.tv_nsec = (long)nanoseconds};
    nanosleep(&span, NULL);
}

/* Give the workers some commits' time: until the log has grown, or ended by the random instant. */
static void let_work(uint64_t *random)
{
    pause_for(5000000 + next_random(random) % 30000000);
}

static void work_body(test_store *store, void *context, uint32_t number, uint64_t seed)
{
    ledger *of = ((ledger **)context)[number];
    work(store->session, of, number * SHARE, seed);
}

static void checkpoint_body(test_store *store, void *context, uint32_t number, uint64_t seed)
{
    aero_checkpoint_report report;
    (void)context;
    (void)number;
    for (;;) {
        pause_for(next_random(&seed) % 3000000);
        must(store->session, aero_checkpoint(store->session, &report));
    }
}

/* Goal: nothing acknowledged is lost, nothing half done is seen. */
static void test_synchronous_commits_survive_the_death_of_all(void **state)
{
    uint64_t random = test_seed("deaths of all");
    const uint64_t rounds = rounds_wanted();
    ledger *ledgers[WORKERS];
    pid_t workers[WORKERS + 1];
    test_store store;
    (void)state;
    store_paths(&store);
    for (uint32_t number = 0; number < WORKERS; number++)
        ledgers[number] = ledger_new();
    for (uint64_t round = 0; round < rounds; round++) {
        for (uint32_t number = 0; number < WORKERS; number++)
            workers[number] = start(&store, work_body, ledgers, number, next_random(&random));
        workers[WORKERS] = start(&store, checkpoint_body, NULL, WORKERS, next_random(&random));
        let_work(&random);
        for (uint32_t number = 0; number <= WORKERS; number++)
            end(workers[number]);
        if (round % 2 == 1)
            unlink(store.segment);
        store_attach(&store, 64 << 20);
        store_verify(store.session);
        uint64_t expected = 0;
        for (uint32_t number = 0; number < WORKERS; number++) {
            ledger *of = ledgers[number];
            const uint32_t *truth = ledger_truth(store.session, of);
            if (truth == of->pending && of->in_flight == 0)
                fail_msg("round %" PRIu64 ": uncommitted rows are visible", round);
            for (uint32_t key = number * SHARE; key < (number + 1) * SHARE; key++) {
                expected += truth[key] != 0;
                if (!ledger_row_is(store.session, key, truth[key]))
                    fail_msg("round %" PRIu64 ": key %u is not of generation %u", round, key,
                             truth[key]);
            }
            if (truth != of->committed)
                memcpy(of->committed, truth, sizeof of->committed);
            atomic_store_explicit(&of->in_flight, 0, memory_order_release);
        }
        assert_int_equal(row_count(store.session, INSTRUMENT), expected);
        store_detach(&store);
    }
    for (uint32_t number = 0; number < WORKERS; number++)
        munmap(ledgers[number], sizeof(ledger));
    store_attach(&store, 64 << 20);
    store_close(&store);
}

/* ---- asynchronous --------------------------------------------------------------------------- */

/* Highest count each worker has tried; outside the database. */
typedef struct counts {
    _Atomic uint32_t tried[WORKERS];
} counts;

static void row_name(char name[32], uint32_t number, uint32_t which)
{
    snprintf(name, 32, "counter-%u-%u", number, which);
}

static uint32_t read_count(aero_session *session, uint32_t number, uint32_t which)
{
    const uint32_t column = SECTOR;
    char name[32];
    aero_value value;
    int32_t found = 0;
    row_name(name, number, which);
    const aero_value key = v_text(name);
    must(session, aero_get(session, INSTRUMENT, &key, 1, &column, &value, &found));
    return found ? (uint32_t)value.u.integer : 0;
}

static void write_count(aero_session *session, uint32_t number, uint32_t which, uint32_t count)
{
    const uint32_t columns[] = {SYMBOL, SECTOR};
    char name[32];
    int32_t flag = 0;
    row_name(name, number, which);
    const aero_value values[] = {v_text(name), v_int(count)};
    must(session, aero_upsert(session, INSTRUMENT, 2, columns, values, &flag));
}

static void count_body(test_store *store, void *context, uint32_t number, uint64_t seed)
{
    counts *of = context;
    aero_session *session = store->session;
    aero_checkpoint_report report;
    must(session, aero_config_set(session, "aerostore.synchronous_commit", "off"));
    must(session, aero_config_set(session, "aerostore.flush_interval_ms", "5"));
    for (uint32_t count = read_count(session, number, 0) + 1; count < 30000; count++) {
        atomic_store_explicit(&of->tried[number], count, memory_order_release);
        must(session, aero_begin(session, AERO_ISOLATION_SNAPSHOT));
        write_count(session, number, 0, count);
        write_count(session, number, 2, read_count(session, (number + 1) % WORKERS, 0));
        write_count(session, number, 1, count);
        const aero_status status = aero_commit(session);
        if (status == AERO_CONFLICT) {
            count--;
            continue;
        }
        must(session, status);
        if (number == 0 && next_random(&seed) % 400 == 0)
            must(session, aero_checkpoint(session, &report));
    }
    for (;;)
        pause_for(1000000);
}

/* Goal: a prefix of the commits, closed under "read from", none of them half. */
static void test_asynchronous_commits_leave_a_prefix(void **state)
{
    uint64_t random = test_seed("deaths of all, asynchronous");
    const uint64_t rounds = rounds_wanted();
    counts *of = mmap(NULL, sizeof *of, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t workers[WORKERS];
    test_store store;
    (void)state;
    assert_true(of != MAP_FAILED);
    store_paths(&store);
    for (uint64_t round = 0; round < rounds; round++) {
        for (uint32_t number = 0; number < WORKERS; number++)
            workers[number] = start(&store, count_body, of, number, next_random(&random));
        let_work(&random);
        for (uint32_t number = 0; number < WORKERS; number++)
            end(workers[number]);
        if (round % 2 == 1)
            unlink(store.segment);
        store_attach(&store, 64 << 20);
        store_verify(store.session);
        for (uint32_t number = 0; number < WORKERS; number++) {
            const uint32_t count = read_count(store.session, number, 0);
            const uint32_t copied = read_count(store.session, number, 2);
            if (count != read_count(store.session, number, 1))
                fail_msg("round %" PRIu64 ": half a transaction of %u", round, number);
            if (count > of->tried[number])
                fail_msg("round %" PRIu64 ": %u was never counted", round, count);
            if (copied > read_count(store.session, (number + 1) % WORKERS, 0))
                fail_msg("round %" PRIu64 ": what %u read is gone", round, number);
        }
        store_detach(&store);
    }
    munmap(of, sizeof *of);
    store_attach(&store, 64 << 20);
    store_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_synchronous_commits_survive_the_death_of_all),
    cmocka_unit_test(test_asynchronous_commits_leave_a_prefix),
};

AE_TEST_MAIN(tests)
