/* Many processes commit through one log while they are killed and stopped at random.
 *
 * Each transaction adds one to its worker's row and one to the total, so in every prefix of the
 * commits the total is the sum of the others.  Workers write down, outside the database, what was
 * acknowledged.  Read back, the log must hold all of it, show the sum right after every single
 * commit, and end with what memory shows.
 *
 * variants: plain
 */
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "logged.h"

enum { WORKERS = 6, ROUNDS = 40, ROUND_COMMITS = 60, WAIT_MS = 20000, STOPPED_MS = 150 };

typedef struct board {
    _Atomic int64_t acknowledged[WORKERS];
    _Atomic int64_t tried[WORKERS];
    _Atomic uint64_t commits;
    _Atomic bool over;
} board;

static board *common;
static log_model model;

static const char *worker_key(char name[32], uint32_t worker)
{
    snprintf(name, 32, "worker%u", worker);
    return name;
}

static aero_status add_one(aero_session *s, const char *key, int64_t *value)
{
    const aero_value name = v_text(key);
    const aero_value one = v_int(1);
    aero_value now = v_int(0);
    int32_t found = 0;
    const aero_status status = aero_incr(s, FLIGHTS, &name, FLIGHT_ALTITUDE, &one, &now, &found);
    *value = now.u.integer;
    return status;
}

static void worker_run(test_store *store, uint32_t number)
{
    char key[32];
    uint64_t random = 17 + number;
    aero_session *s = store->session;
    (void)worker_key(key, number);
    while (!atomic_load(&common->over)) {
        int64_t own = 0;
        int64_t total = 0;
        aero_status status = aero_begin(s, AERO_ISOLATION_SERIALIZABLE);
        if (status == AERO_OK) {
            s->txn.synchronous = next_random(&random) % 3 != 0;
            const bool waits = s->txn.synchronous != 0;
            status = add_one(s, "total", &total);
            if (status == AERO_OK)
                status = add_one(s, key, &own);
            if (status == AERO_OK && next_random(&random) % 16 == 0) { /* more than a ring holds */
                char row[32];
                for (uint32_t index = 0; status == AERO_OK && index < 60; index++)
                    status = flight_put(s, flight_name(row, number * 100 + index), own);
            }
            if (status == AERO_OK) {
                atomic_store(&common->tried[number], own);
                status = aero_commit(s);
                if (status == AERO_OK && waits)
                    atomic_store(&common->acknowledged[number], own);
            } else {
                (void)aero_rollback(s);
            }
        }
        if (status == AERO_OK)
            atomic_fetch_add(&common->commits, 1);
        else if (status != AERO_CONFLICT && status != AERO_NO_SLOT) {
            printf("worker %u: %d %s\n", number, status, aero_session_error(s)->text);
            fflush(NULL);
            _exit(3);
        }
    }
    _exit(0);
}

static pid_t worker_start(test_store *store, uint32_t number)
{
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        alarm(100);
        worker_run(store, number);
    }
    return child;
}

static bool commits_wait(uint64_t more, uint64_t wait_ms)
{
    const uint64_t goal = atomic_load(&common->commits) + more;
    const uint64_t deadline = now_ns() + wait_ms * 1000000;
    while (atomic_load(&common->commits) < goal) {
        if (now_ns() > deadline)
            return false;
        usleep(500);
    }
    return true;
}

static void sum_check(struct log_model *of)
{
    int64_t sum = 0;
    char key[32];
    for (uint32_t number = 0; number < WORKERS; number++)
        sum += model_get(of, worker_key(key, number));
    if (sum != model_get(of, "total"))
        fail_msg("after commit %" PRIu64 " the total is %" PRId64 ", the sum %" PRId64, of->number,
                 model_get(of, "total"), sum);
}

static void test_killed_and_stopped_writers_lose_nothing_that_was_acknowledged(void **state)
{
    test_store store;
    pid_t workers[WORKERS];
    char key[32];
    uint64_t random = test_seed("killed writers");
    (void)state;
    common = mmap(NULL, sizeof *common, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(common != MAP_FAILED);
    logged_open(&store, 16u << 20);
    assert_ok(store.session, aero_begin(store.session, AERO_ISOLATION_SNAPSHOT));
    assert_ok(store.session, flight_put(store.session, "total", 0));
    for (uint32_t number = 0; number < WORKERS; number++)
        assert_ok(store.session, flight_put(store.session, worker_key(key, number), 0));
    assert_ok(store.session, aero_commit(store.session));
    for (uint32_t number = 0; number < WORKERS; number++)
        workers[number] = worker_start(&store, number);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        const uint32_t victim = (uint32_t)(next_random(&random) % WORKERS);
        if (!commits_wait(next_random(&random) % ROUND_COMMITS, WAIT_MS))
            fail_msg("no progress for %d ms", WAIT_MS);
        if (round % 2 == 0) {
            kill(workers[victim], SIGKILL);
            assert_int_equal(waitpid(workers[victim], NULL, 0), workers[victim]);
            workers[victim] = worker_start(&store, victim);
        } else {
            kill(workers[victim], SIGSTOP);
            /* It may have the row of the total in hand: then nobody goes on. */
            (void)commits_wait(ROUND_COMMITS, STOPPED_MS);
            kill(workers[victim], SIGCONT);
        }
    }
    atomic_store(&common->over, true);
    for (uint32_t number = 0; number < WORKERS; number++)
        child_join(workers[number]);
    assert_ok(store.session, flight_put(store.session, "last", 1));
    model.each = sum_check;
    log_read_ok(&model, &store);
    for (uint32_t number = 0; number < WORKERS; number++) {
        const int64_t logged = model_get(&model, worker_key(key, number));
        assert_int_equal(logged, flight_get(store.session, key));
        assert_true(logged >= atomic_load(&common->acknowledged[number]));
    }
    assert_int_equal(model_get(&model, "total"), flight_get(store.session, "total"));
    printf("%" PRIu64 " commits in %" PRIu64 " frames\n", model.commits, model.frames);
    munmap(common, sizeof *common);
    logged_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_killed_and_stopped_writers_lose_nothing_that_was_acknowledged),
};

AE_TEST_MAIN(tests)
