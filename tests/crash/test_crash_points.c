/* Death at every named point of the engine's protocols, and again while the dead are cleaned up.
 *
 * Each scenario is run once in a child that is left alone, which counts how often each crash point
 * is passed.  Then, for each point, children die by SIGKILL at the first, the second, some middle
 * and the last passage.  The survivor, which had the database open all along, must find all or
 * nothing of the transaction in flight, must be able to write the same rows at once, and must find
 * the segment without a contradiction or a lost object.  In a second series the first who comes to
 * clean up dies, too, at its n-th point.  Others die while they make a store, attach to one, or
 * recover one from its files.
 *
 * The points are found by passing them, so a last test compares with the engine's sources: a new
 * point that no scenario passes is an error.
 *
 * $AE_CRASH_THOROUGH=1 takes every passage up to 200 of each point.
 *
 * variants: crash
 * links: * generated/market
 */
#include <sched.h>
#include <signal.h>

#include "scenarios.h"

enum { OPERATION_LIMIT_MS = 100, SECOND_DEATHS = 4 };

/* ---- dying ---------------------------------------------------------------------------------- */

static struct {
    ledger *count;      /* count passages here */
    const char *target; /* die at a point of this name, or of any when it is empty */
    uint32_t left;      /* passages until then; 0: live */
} crash;

void ae_crash_point(const char *name);
void ae_crash_point(const char *name)
{
    if (crash.count != NULL) {
        ledger *of = crash.count;
        uint32_t index = 0;
        of->passed++;
        while (index < of->name_count && strcmp(of->names[index], name) != 0)
            index++;
        if (index == of->name_count && index < NAMES_MAX) {
            snprintf(of->names[index], sizeof of->names[index], "%s", name);
            of->name_count++;
        }
        of->passages[index < NAMES_MAX ? index : 0]++;
    }
    if (crash.left == 0 || (crash.target[0] != '\0' && strcmp(crash.target, name) != 0))
        return;
    if (--crash.left == 0)
        kill(getpid(), SIGKILL);
}

/* ---- one death ------------------------------------------------------------------------------ */

typedef struct death {
    const scenario *what;
    const char *point; /* NULL: none */
    uint32_t passage;
    uint32_t
        second; /* passage of any point at which the first survivor dies; 0: it does not come */
} death;

#define complain(death_, ...) \
    do { \
        printf("scenario %s, death at %s #%u, then #%u: ", (death_)->what->name, \
               (death_)->point == NULL ? "-" : (death_)->point, (death_)->passage, \
               (death_)->second); \
        printf(__VA_ARGS__); \
        printf("\n"); \
        fflush(stdout); \
        failures++; \
        return; \
    } while (0)

static uint32_t failures;
static uint32_t deaths;
static uint64_t slow_ms; /* the survivor's slowest write */

/* Returns the wait status of a child that ran the scenario, or (writes only) came after a death. */
static int child_run(test_store *store, ledger *of, const death *how, bool cleans)
{
    int status = 0;
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        alarm(240);
        if (cleans ? how->second == 0 : how->point == NULL)
            crash.count = of;
        const uint32_t *truth = ledger_truth(store->session, of);
        crash.target = cleans ? "" : how->point == NULL ? "" : how->point;
        crash.left = cleans ? how->second : how->point == NULL ? 0 : how->passage;
        if (!cleans) {
            how->what->run(store->session, of);
        } else {
            for (uint32_t key = 0; key < 40; key++) /* what it meets belongs to the dead */
                must(store->session, ledger_write(store->session, key, truth[key]));
        }
        crash.count = NULL;
        _exit(0);
    }
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    return status;
}

/* What the survivor does with the rows that the dead may have had in hand. */
static void survive(test_store *store, ledger *of, const death *how)
{
    aero_session *session = store->session;
    uint32_t where = 0;
    uint32_t other = 0;
    const bool flying = atomic_load_explicit(&of->in_flight, memory_order_acquire) != 0;
    const uint32_t *truth = of->committed;
    if (!ledger_shows(session, truth, &where)) {
        truth = of->pending;
        if (!flying || !ledger_shows(session, truth, &other))
            complain(how, "rows differ at key %u (in flight: %d, then at %u)", where, flying,
                     other);
    }
    uint32_t now[LEDGER_KEYS];
    memcpy(now, truth, sizeof now);
    uint64_t slowest_ns = 0;
    for (uint32_t key = 0; key < LEDGER_KEYS; key++) {
        if (key >= 40 && of->committed[key] == of->pending[key])
            continue;
        const uint64_t from = now_ns();
        /* In a full segment a row may grow no more; but it can always go. */
        uint32_t generation = now[key] == 0 ? 1 : now[key] + 1;
        aero_status status = ledger_write(session, key, generation);
        if (status == AERO_FULL) {
            generation = 0;
            status = ledger_write(session, key, 0);
        }
        const uint64_t took = now_ns() - from;
        slowest_ns = took > slowest_ns ? took : slowest_ns;
        if (status != AERO_OK)
            complain(how, "write of key %u: %d %s", key, status, aero_session_error(session)->text);
        now[key] = generation;
    }
    uint64_t rows = 0;
    uint64_t blocks = 0;
    if (aero_verify(session, &rows, &blocks) != AERO_OK)
        complain(how, "verify: %s", aero_session_error(session)->text);
    if (!ledger_shows(session, now, &where))
        complain(how, "own writes differ at key %u", where);
    if (stat_value(session, "slots_in_use") != 0)
        complain(how, "%" PRIu64 " slots are still in use", stat_value(session, "slots_in_use"));
    slow_ms = slowest_ns / 1000000;
}

static bool die_and_survive(const death *how, ledger *of)
{
    test_store store;
    memset(of->committed, 0, sizeof of->committed);
    memset(of->pending, 0, sizeof of->pending);
    atomic_store_explicit(&of->in_flight, 0, memory_order_relaxed);
    of->passed = 0;
    store_open(&store, how->what->size);
    const int status = child_run(&store, of, how, false);
    const bool died = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    if (!died && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
        printf("scenario %s, %s #%u: the worker ended with %x\n", how->what->name,
               how->point == NULL ? "-" : how->point, how->passage, (unsigned)status);
        failures++;
    }
    bool reached = died;
    if (died && how->second != 0) {
        const int second = child_run(&store, of, how, true);
        reached = WIFSIGNALED(second) && WTERMSIG(second) == SIGKILL;
        if (!reached && !(WIFEXITED(second) && WEXITSTATUS(second) == 0)) {
            printf("scenario %s, %s #%u, then #%u: the first survivor ended with %x\n",
                   how->what->name, how->point, how->passage, how->second, (unsigned)second);
            failures++;
        }
        /* It wrote generations that are committed already. */
    }
    survive(&store, of, how);
    deaths++;
    aero_session_close(store.session);
    (void)aero_close(store.db, NULL);
    unlink(store.segment);
    folder_remove(store.data_dir);
    return reached;
}

/* Returns false when the point was not reached.  A slow write is an error if it is slow each time:
 * once, it may be the machine's. */
static bool die_once(const death *how, ledger *of)
{
    bool reached = false;
    for (int attempt = 0; attempt < 4; attempt++) {
        slow_ms = 0;
        reached = die_and_survive(how, of);
        if (slow_ms <= OPERATION_LIMIT_MS || how->point == NULL)
            return reached;
    }
    printf("scenario %s, death at %s #%u, then #%u: a write took %" PRIu64 " ms, four times\n",
           how->what->name, how->point == NULL ? "-" : how->point, how->passage, how->second,
           slow_ms);
    failures++;
    return reached;
}

/* As die_once.  What is cleaned up by the clock is not passed equally often in each run: a passage
 * that this run does not come to is looked for earlier. */
static bool die_about(const death *how, ledger *of)
{
    death earlier = *how;
    while (!die_once(&earlier, of)) {
        if (earlier.passage == 1)
            return false;
        earlier.passage /= 2;
    }
    return true;
}

static const scenario *scenario_named(const char *name)
{
    const scenario *what = scenarios;
    while (strcmp(what->name, name) != 0)
        what++;
    return what;
}

/* ---- all deaths of a scenario --------------------------------------------------------------- */

static void die_everywhere(const char *name)
{
    const bool thorough = getenv("AE_CRASH_THOROUGH") != NULL;
    ledger *of = ledger_new();
    ledger *points = ledger_new();
    uint64_t random = test_seed(name);
    death how = {.what = scenario_named(name)};
    uint32_t missed = 0;
    failures = deaths = 0;
    assert_false(die_once(&how, of)); /* left alone: counts */
    memcpy(points, of, sizeof *points);
    assert_in_range(points->name_count, 10, NAMES_MAX - 1);
    for (uint32_t index = 0; index < points->name_count; index++) {
        const uint32_t count = points->passages[index];
        how.point = points->names[index];
        const uint32_t passages[] = {
            1, 2, 7, count / 2, 1 + (uint32_t)(next_random(&random) % count), count};
        for (uint32_t pick = 0; pick < 6 && !thorough; pick++) {
            if (how.what->slow && (pick == 1 || pick == 2 || pick == 3))
                continue;
            how.passage = passages[pick];
            if (how.passage != 0 && how.passage <= count &&
                (pick == 0 || pick > 3 || how.passage > passages[pick - 1]))
                missed += !die_about(&how, of);
        }
        for (how.passage = 1; how.passage <= count && how.passage <= 200 && thorough; how.passage++)
            missed += !die_about(&how, of);
        for (uint32_t pick = 0; pick < (how.what->slow ? 2 : SECOND_DEATHS); pick++) {
            how.passage = 1 + (uint32_t)(next_random(&random) % count);
            how.second = 1 + (uint32_t)(next_random(&random) % 12);
            (void)die_once(&how, of);
        }
        how.second = 0;
    }
    printf("%s: %u points, %u deaths, %u missed, %u failures\n", name, points->name_count, deaths,
           missed, failures);
    munmap(of, sizeof *of);
    munmap(points, sizeof *points);
    assert_int_equal(failures, 0);
    assert_true(missed * 20 < deaths);
}

/* ---- making and attaching ------------------------------------------------------------------- */

/* In a child that dies at the n-th point it passes: open the store, write, close.  Returns whether
 * it died. */
static bool die_in_opening(const test_store *of, uint32_t nth, ledger *points)
{
    int status = 0;
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        test_store store = *of;
        alarm(240);
        crash.count = points;
        crash.target = "";
        crash.left = nth;
        store_attach(&store, 8 << 20);
        must(store.session, ledger_write(store.session, 0, 4));
        aero_session_close(store.session);
        crash.count = NULL;
        _exit(aero_close(store.db, NULL) != AERO_OK);
    }
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    if (!WIFSIGNALED(status) && status != 0)
        fail_msg("opening to die at point #%u ended with %x", nth, (unsigned)status);
    return WIFSIGNALED(status);
}

/* Opens the store, finds row 0 whole or not at all, writes, verifies. */
static void open_after(test_store *store)
{
    store_attach(store, 8 << 20);
    assert_true(ledger_row_is(store->session, 0, 4) || ledger_row_is(store->session, 0, 0));
    assert_ok(store->session, ledger_write(store->session, 0, 5));
    assert_ok(store->session, ledger_write(store->session, 1, 10));
    assert_true(ledger_row_is(store->session, 0, 5));
    assert_int_equal(stat_value(store->session, "slots_in_use"), 0);
    store_verify(store->session);
}

/* Goal: whoever dies while it makes a store leaves none, or a whole one.  Method: every point. */
static void test_making_a_store_dies_everywhere(void **state)
{
    ledger *points = ledger_new();
    uint32_t nth = 0;
    bool died = true;
    (void)state;
    while (died) {
        test_store store;
        store_paths(&store);
        died = die_in_opening(&store, ++nth, points);
        open_after(&store);
        store_close(&store);
    }
    printf("%u deaths\n", nth - 1);
    assert_true(nth > 5);
    munmap(points, sizeof *points);
}

/* Goal: the same for attaching to a store in which a transaction of the dead lies. */
static void test_attaching_dies_everywhere(void **state)
{
    ledger *points = ledger_new();
    uint32_t nth = 0;
    bool died = true;
    (void)state;
    while (died) {
        test_store store;
        store_open(&store, 8 << 20);
        fflush(NULL);
        const pid_t child = fork();
        if (child == 0) {
            must(store.session, aero_begin(store.session, AERO_ISOLATION_SNAPSHOT));
            for (uint32_t key = 0; key < 20; key++)
                must(store.session, ledger_write(store.session, key, 8));
            _exit(0); /* without a word */
        }
        child_join(child);
        store_detach(&store);
        died = die_in_opening(&store, ++nth, points);
        open_after(&store);
        store_close(&store);
    }
    printf("%u deaths\n", nth - 1);
    assert_true(nth > 20);
    munmap(points, sizeof *points);
}

/* ---- recovering ----------------------------------------------------------------------------- */

enum { RECOVERED_ROWS = 700, RECOVERED_LATER = 60 };

static uint32_t recovered_generation(uint32_t key)
{
    return key % 9 == 8 ? 0 : key < RECOVERED_LATER ? 3 : 2;
}

/* Files of a store without a segment: rows of a checkpoint, so many that shards are made for them,
 * and a log after it. */
static void files_make(test_store *store)
{
    aero_checkpoint_report report;
    store_open(store, 16 << 20);
    assert_ok(store->session, aero_begin(store->session, AERO_ISOLATION_SNAPSHOT));
    for (uint32_t key = 0; key < RECOVERED_ROWS; key++)
        assert_ok(store->session, ledger_write(store->session, key, 2));
    assert_ok(store->session, aero_commit(store->session));
    assert_ok(store->session, aero_checkpoint(store->session, &report));
    for (uint32_t key = 0; key < RECOVERED_ROWS; key++)
        if (recovered_generation(key) != 2)
            assert_ok(store->session, ledger_write(store->session, key, recovered_generation(key)));
    store_detach(store);
    assert_int_equal(unlink(store->segment), 0);
}

/* In a child: recover, and die at a passage of a point, if it has a name.  With one thread, so that
 * the n-th passage is the same in every run.  Returns whether it died. */
static bool die_in_recovery(const test_store *of, const char *point, uint32_t passage,
                            ledger *points)
{
    int status = 0;
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        test_store store = *of;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(sched_getcpu(), &one);
        (void)sched_setaffinity(0, sizeof one, &one);
        alarm(240);
        crash.count = points;
        crash.target = point;
        crash.left = passage;
        store_attach(&store, 16 << 20);
        _exit(0);
    }
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    if (!WIFSIGNALED(status) && status != 0)
        fail_msg("recovering to die at %s #%u ended with %x", point, passage, (unsigned)status);
    return WIFSIGNALED(status);
}

/* Opens the store, finds all of its rows, and verifies. */
static void recover_after(test_store *store, bool writes)
{
    store_attach(store, 16 << 20);
    for (uint32_t key = 0; key < RECOVERED_ROWS; key++)
        if (!ledger_row_is(store->session, key, recovered_generation(key)))
            fail_msg("row %u is not what it was", key);
    for (uint32_t key = 0; key < 20 && writes; key++)
        assert_ok(store->session, ledger_write(store->session, key, 5));
    store_verify(store->session);
    store_detach(store);
    assert_int_equal(unlink(store->segment), 0);
}

/* Goal: a recovery may die anywhere, also while it makes the indexes: the next one gives the same
 * rows.  Method: the first, second, a middle and the last passage of every point. */
static void test_recovering_dies_everywhere(void **state)
{
    ledger *points = ledger_new();
    test_store store;
    uint32_t missed = 0;
    uint32_t fills = 0;
    (void)state;
    files_make(&store);
    assert_false(die_in_recovery(&store, "", 0, points));
    recover_after(&store, false);
    for (uint32_t index = 0; index < points->name_count; index++) {
        const char *point = points->names[index];
        const uint32_t count = points->passages[index];
        const uint32_t passages[] = {1, 2, (count + 1) / 2, count};
        fills += strncmp(point, "fill.", 5) == 0;
        for (uint32_t pick = 0; pick < 4; pick++) {
            if (passages[pick] > count || (pick > 0 && passages[pick] <= passages[pick - 1]))
                continue;
            missed += !die_in_recovery(&store, point, passages[pick], NULL);
            recover_after(&store, false);
            deaths++;
        }
    }
    printf("%u points, %u of them in filling trees, %u deaths, %u missed\n", points->name_count,
           fills, deaths, missed);
    recover_after(&store, true);
    store_attach(&store, 16 << 20);
    store_close(&store);
    munmap(points, sizeof *points);
    assert_int_equal(missed, 0);
    assert_int_equal(fills, 3);
}

/* ---- no point is left out ------------------------------------------------------------------- */

/* Goal: every crash point of the engine is met by a scenario.  Method: count while all scenarios,
 * opening, and cleaning after deaths run; compare with the names in the sources. */
static void test_every_point_is_met(void **state)
{
    static const struct {
        const char *scenario;
        const char *point;
    } ends[] = {{"transactions", "txn.committing"},
                {"transactions", "queue.committed"},
                {"growth", "hash.filled"},
                {"singles", "write.pushed"},
                {"churn", "reclaim.unseen"}};
    ledger *of = ledger_new();
    test_store store;
    char command[1200];
    char name[64];
    uint32_t known = 0;
    uint32_t missing = 0;
    (void)state;
    for (uint32_t index = 0; index < sizeof scenarios / sizeof scenarios[0]; index++) {
        const death how = {.what = &scenarios[index]};
        assert_false(die_once(&how, of));
    }
    for (uint32_t index = 0; index < sizeof ends / sizeof ends[0]; index++) {
        const death how = {
            .what = scenario_named(ends[index].scenario), .point = ends[index].point, .passage = 1};
        memset(of->committed, 0, sizeof of->committed);
        memset(of->pending, 0, sizeof of->pending);
        store_open(&store, how.what->size);
        assert_true(WIFSIGNALED(child_run(&store, of, &how, false)));
        assert_int_equal(child_run(&store, of, &how, true), 0);
        store_close(&store);
    }
    store_paths(&store);
    assert_false(die_in_opening(&store, 0, of));
    open_after(&store);
    store_close(&store);
    files_make(&store);
    assert_false(die_in_recovery(&store, "", 0, of));
    recover_after(&store, false);
    store_attach(&store, 16 << 20);
    store_close(&store);
    const char *end = strstr(__FILE__, "tests/crash/");
    assert_non_null(end);
    snprintf(command, sizeof command,
             "grep -rhoE 'AE_CRASH_POINT\\(\"[^\"]+' %.*scodegen/engine --include=*.[ch] | "
             "sed 's/.*\"//'",
             (int)(end - __FILE__), __FILE__);
    FILE *names = popen(command, "r");
    assert_non_null(names);
    while (fscanf(names, "%63s", name) == 1) {
        uint32_t index = 0;
        while (index < of->name_count && strcmp(of->names[index], name) != 0)
            index++;
        if (index == of->name_count) {
            printf("no scenario comes to the crash point %s\n", name);
            missing++;
        }
        known++;
    }
    assert_int_equal(pclose(names), 0);
    printf("%u points\n", known);
    assert_int_equal(missing, 0);
    assert_true(known >= 50);
    assert_int_equal(of->name_count, known);
    munmap(of, sizeof *of);
}

#define DIES(name_) \
    static void test_##name_##_dies_everywhere(void **state) \
    { \
        (void)state; \
        die_everywhere(#name_); \
    }
DIES(singles)
DIES(churn)
DIES(transactions)
DIES(rollbacks)
DIES(savepoints)
DIES(locks)
DIES(cancels)
DIES(watches)
DIES(adoptions)
DIES(expiry)
DIES(pruning)
DIES(growth)
DIES(big)
DIES(large)
DIES(ingest)
DIES(full)
DIES(rounds)
DIES(checkpoints)
DIES(moves)
DIES(indexes)

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_singles_dies_everywhere),
    cmocka_unit_test(test_churn_dies_everywhere),
    cmocka_unit_test(test_transactions_dies_everywhere),
    cmocka_unit_test(test_rollbacks_dies_everywhere),
    cmocka_unit_test(test_savepoints_dies_everywhere),
    cmocka_unit_test(test_locks_dies_everywhere),
    cmocka_unit_test(test_cancels_dies_everywhere),
    cmocka_unit_test(test_watches_dies_everywhere),
    cmocka_unit_test(test_adoptions_dies_everywhere),
    cmocka_unit_test(test_expiry_dies_everywhere),
    cmocka_unit_test(test_pruning_dies_everywhere),
    cmocka_unit_test(test_growth_dies_everywhere),
    cmocka_unit_test(test_big_dies_everywhere),
    cmocka_unit_test(test_large_dies_everywhere),
    cmocka_unit_test(test_ingest_dies_everywhere),
    cmocka_unit_test(test_full_dies_everywhere),
    cmocka_unit_test(test_rounds_dies_everywhere),
    cmocka_unit_test(test_checkpoints_dies_everywhere),
    cmocka_unit_test(test_moves_dies_everywhere),
    cmocka_unit_test(test_indexes_dies_everywhere),
    cmocka_unit_test(test_making_a_store_dies_everywhere),
    cmocka_unit_test(test_attaching_dies_everywhere),
    cmocka_unit_test(test_recovering_dies_everywhere),
    cmocka_unit_test(test_every_point_is_met),
};

AE_TEST_MAIN(tests)
