/* A stop at every named point of the engine's protocols, while others work.
 *
 * A worker walks through a scenario and stops itself, by SIGSTOP, at a passage of a crash point.
 * While it stands there, for as long as it likes, the survivor must be able to read everything, in
 * one snapshot, to commit to rows of its own hundreds of times, so that memory is reclaimed and
 * queue and hash move on, and to try the worker's rows: a conflict is an answer there, waiting is
 * none, and a row that was written is the survivor's.  Then the worker wakes, finishes its scenario
 * as if nothing had been (a conflict ends it early), and the segment must verify.
 *
 * variants: crash
 * links: * generated/market
 */
#include <assert.h>
#include <signal.h>

#include "scenarios.h"

enum { OWN_FIRST = 700, OWN_KEYS = 50, COMMITS = 150, TRIED = 8 };
/* A step of the survivor: far above any wait of the engine, far below waiting for the stopped. */
enum { STEP_LIMIT_MS = 20000 };

static struct {
    ledger *count;
    const char *target;
    uint32_t left;
} stop;

void ae_crash_point(const char *name);
void ae_crash_point(const char *name)
{
    if (stop.count != NULL) {
        ledger *of = stop.count;
        uint32_t index = 0;
        while (index < of->name_count && strcmp(of->names[index], name) != 0)
            index++;
        assert(index < NAMES_MAX);
        if (index == of->name_count)
            snprintf(of->names[of->name_count++], sizeof of->names[0], "%s", name);
        of->passages[index]++;
    }
    if (stop.left != 0 && strcmp(stop.target, name) == 0 && --stop.left == 0)
        raise(SIGSTOP);
}

/* Rows of the survivor's own: every commit is acknowledged, every row as it was written. */
static void own_rows(aero_session *session, uint32_t *generations)
{
    for (uint32_t commit = 0; commit < COMMITS; commit++) {
        const uint32_t key = commit % OWN_KEYS;
        const uint64_t from = now_ns();
        generations[key] = commit % 11 == 10 ? 0 : generations[key] + 1;
        assert_ok(session, ledger_write(session, OWN_FIRST + key, generations[key]));
        assert_true(ledger_row_is(session, OWN_FIRST + key, generations[key]));
        assert_true(now_ns() - from < (uint64_t)STEP_LIMIT_MS * 1000000);
    }
}

/* All rows, once each, whole, whoever writes them. */
static uint32_t read_all(aero_session *session)
{
    const uint32_t columns[] = {SYMBOL, SECTOR};
    aero_query *query = NULL;
    aero_cursor *cursor = NULL;
    const aero_row *row = NULL;
    uint32_t count = 0;
    assert_ok(session, aero_query_new(session, INSTRUMENT, &query));
    assert_ok(session, aero_cursor_open(query, &cursor));
    for (;;) {
        aero_value values[2];
        assert_ok(session, aero_cursor_next(cursor, &row));
        if (row == NULL)
            break;
        aero_row_values(row, 2, columns, values);
        assert_true(values[0].length > 0);
        count++;
    }
    aero_cursor_close(cursor);
    aero_query_free(query);
    return count;
}

/* The worker's rows: written, or refused at once.  Rolled back again, so that the worker's own
 * transaction is not disturbed; what it finds may be a conflict even so. */
static uint32_t try_rows(aero_session *session)
{
    uint32_t conflicts = 0;
    for (uint32_t key = 0; key < TRIED; key++) {
        const uint64_t from = now_ns();
        assert_ok(session, aero_begin(session, AERO_ISOLATION_SERIALIZABLE));
        const aero_status status = ledger_write(session, key, 7);
        if (status == AERO_CONFLICT)
            conflicts++;
        else
            assert_status(session, AERO_OK, status);
        assert_ok(session, aero_rollback(session));
        assert_true(now_ns() - from < (uint64_t)STEP_LIMIT_MS * 1000000);
    }
    return conflicts;
}

typedef struct stops {
    uint32_t done;
    uint32_t conflicts;
    uint32_t ended_early;
} stops;

/* A worker's failed assertion ends it with 3 (ledger.h); a conflict is told apart by its text. */
static void stop_once(const scenario *what, const char *point, uint32_t passage, stops *seen)
{
    test_store store;
    static ledger fresh;
    uint32_t generations[OWN_KEYS] = {0};
    int status = 0;
    int out[2];
    char said[512] = "";
    memset(&fresh, 0, sizeof fresh);
    store_open(&store, what->size);
    fflush(NULL);
    assert_int_equal(pipe(out), 0);
    const pid_t child = fork();
    if (child == 0) {
        dup2(out[1], 1);
        stop.target = point;
        stop.left = passage;
        what->run(store.session, &fresh);
        stop.left = 0;
        _exit(0);
    }
    close(out[1]);
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    if (WIFSTOPPED(status)) {
        aero_session *session = store.session;
        own_rows(session, generations);
        (void)read_all(session);
        seen->conflicts += try_rows(session);
        own_rows(session, generations);
        (void)read_all(session);
        seen->done++;
        kill(child, SIGCONT);
        assert_int_equal(waitpid(child, &status, 0), child);
    }
    const ssize_t length = read(out[0], said, sizeof said - 1);
    close(out[0]);
    said[length > 0 ? length : 0] = '\0';
    const bool conflict = WIFEXITED(status) && WEXITSTATUS(status) == 3 &&
                          strstr(said, "conflict") != NULL;
    seen->ended_early += conflict;
    if (status != 0 && !conflict)
        fail_msg("%s, stopped at %s #%u: it ended with %x: %s", what->name, point, passage,
                 (unsigned)status, said);
    for (uint32_t key = 0; key < OWN_KEYS && seen->done > 0; key++)
        assert_true(ledger_row_is(store.session, OWN_FIRST + key, generations[key]));
    if (conflict) /* it ended with its transaction open */
        for (uint32_t key = 0; key < 40; key++)
            assert_ok(store.session, ledger_write(store.session, key, 9));
    store_close(&store);
}

static void stop_everywhere(const char *name)
{
    const bool thorough = getenv("AE_CRASH_THOROUGH") != NULL;
    const scenario *what = scenarios;
    ledger *of = ledger_new();
    uint64_t random = test_seed(name);
    stops seen = {0};
    test_store store;
    while (strcmp(what->name, name) != 0)
        what++;
    store_open(&store, what->size);
    stop.count = of;
    what->run(store.session, of);
    stop.count = NULL;
    store_close(&store);
    assert_in_range(of->name_count, 10, NAMES_MAX - 1);
    for (uint32_t index = 0; index < of->name_count; index++) {
        const uint32_t count = of->passages[index];
        const uint32_t picks = thorough ? 40 : what->slow ? 1 : 3;
        for (uint32_t pick = 0; pick < picks && pick < count; pick++)
            stop_once(what, of->names[index],
                      pick == 0 ? 1 + count / 2 : 1 + (uint32_t)(next_random(&random) % count),
                      &seen);
    }
    printf("%s: %u stops, %u rows were in the stopped one's hands, %u ended by a conflict\n", name,
           seen.done, seen.conflicts, seen.ended_early);
    assert_true(seen.done >= of->name_count / 2);
    munmap(of, sizeof *of);
}

#define STOPS(name_) \
    static void test_##name_##_stops_everywhere(void **state) \
    { \
        (void)state; \
        stop_everywhere(#name_); \
    }
STOPS(singles)
STOPS(churn)
STOPS(transactions)
STOPS(rollbacks)
STOPS(savepoints)
STOPS(growth)
STOPS(big)
STOPS(large)
STOPS(ingest)

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_singles_stops_everywhere),
    cmocka_unit_test(test_churn_stops_everywhere),
    cmocka_unit_test(test_transactions_stops_everywhere),
    cmocka_unit_test(test_rollbacks_stops_everywhere),
    cmocka_unit_test(test_savepoints_stops_everywhere),
    cmocka_unit_test(test_growth_stops_everywhere),
    cmocka_unit_test(test_big_stops_everywhere),
    cmocka_unit_test(test_large_stops_everywhere),
    cmocka_unit_test(test_ingest_stops_everywhere),
};

AE_TEST_MAIN(tests)
