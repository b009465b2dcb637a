/* Statistics: what they say of rows, transactions, watches, indexes and the log, and that nobody's
 * death makes them wrong.
 *
 * variants: plain asan tsan
 */
#include <signal.h>

#include "flights.h"

/* Find a figure: of a table or -1, of an element or -1. */
static const aero_stat *stat_find(const aero_stat *stats, uint32_t count, const char *name,
                                  int32_t table, int32_t item)
{
    for (uint32_t index = 0; index < count; index++)
        if (strcmp(stats[index].name, name) == 0 && stats[index].table == table &&
            stats[index].item == item)
            return &stats[index];
    return NULL;
}

static uint64_t figure(aero_session *session, const char *name, int32_t table, int32_t item)
{
    const aero_stat *stats = NULL;
    uint32_t count = 0;
    assert_ok(session, aero_stats(session, &stats, &count));
    const aero_stat *stat = stat_find(stats, count, name, table, item);
    if (stat == NULL)
        fail_msg("no statistic %s of table %d, element %d", name, table, item);
    assert_int_equal(stat->value.type, AERO_TYPE_INT);
    return (uint64_t)stat->value.u.integer;
}

static void figure_text(aero_session *session, const char *name, int32_t item, const char *wanted)
{
    const aero_stat *stats = NULL;
    uint32_t count = 0;
    assert_ok(session, aero_stats(session, &stats, &count));
    const aero_stat *stat = stat_find(stats, count, name, -1, item);
    if (stat == NULL)
        fail_msg("no statistic %s of element %d", name, item);
    assert_int_equal(stat->value.type, AERO_TYPE_TEXT);
    assert_int_equal(stat->value.length, strlen(wanted));
    assert_memory_equal(stat->value.u.data, wanted, strlen(wanted));
}

static bool figure_exists(aero_session *session, const char *name, int32_t item)
{
    const aero_stat *stats = NULL;
    uint32_t count = 0;
    assert_ok(session, aero_stats(session, &stats, &count));
    return stat_find(stats, count, name, -1, item) != NULL;
}

/* Goal: a name is told once for a table and an element, so that doors can make dicts of them, and
 * elements come in order.  Method: a database with everything of which there is a list. */
static void test_each_figure_is_told_once(void **state)
{
    test_store store;
    (void)state;
    store_open(&store, 8 << 20);
    aero_session *other = session_new(&store);
    aero_query *query = NULL;
    aero_watch *watch = NULL;
    assert_ok(store.session, aero_query_new(store.session, FLIGHTS, &query));
    assert_ok(store.session, aero_watch_open(query, AERO_WATCH_NOW, 0, &watch));
    assert_ok(other, aero_begin(other, AERO_ISOLATION_SERIALIZABLE));
    assert_ok(other, flight_insert(other, "a", 1));
    const aero_stat *stats = NULL;
    uint32_t count = 0;
    assert_ok(store.session, aero_stats(store.session, &stats, &count));
    for (uint32_t index = 0; index < count; index++) {
        const aero_stat *stat = &stats[index];
        assert_ptr_equal(stat_find(stats, count, stat->name, stat->table, stat->item), stat);
        assert_int_equal(stat->item >= 0, strchr(stat->name, '.') != NULL);
        if (stat->item > 0)
            assert_ptr_not_equal(stat_find(stats, index, stat->name, stat->table, stat->item - 1),
                                 NULL);
        if (stat->value.type == AERO_TYPE_INT)
            assert_true(stat->value.u.integer >= 0);
    }
    assert_ok(other, aero_rollback(other));
    aero_watch_close(watch);
    aero_query_free(query);
    aero_session_close(other);
    store_close(&store);
}

/* Goal: rows are those that are committed.  Method: all ways to make and lose some; the
 * verification at the end compares once more. */
static void test_rows_are_counted(void **state)
{
    test_store store;
    char name[32];
    (void)state;
    store_open(&store, 8 << 20);
    for (uint64_t row = 0; row < 300; row++)
        assert_ok(store.session, flight_insert(store.session, flight_name(name, row), 1));
    assert_int_equal(figure(store.session, "rows", FLIGHTS, -1), 300);
    for (uint64_t row = 0; row < 100; row++)
        assert_ok(store.session, flight_delete(store.session, flight_name(name, row)));
    for (uint64_t row = 50; row < 150; row++)
        assert_ok(store.session, flight_put(store.session, flight_name(name, row), 2));
    assert_int_equal(figure(store.session, "rows", FLIGHTS, -1), 250);
    assert_int_equal(figure(store.session, "rows", -1, -1), 250);
    assert_ok(store.session, aero_begin(store.session, AERO_ISOLATION_SERIALIZABLE));
    for (uint64_t row = 1000; row < 1400; row++)
        assert_ok(store.session, flight_insert(store.session, flight_name(name, row), 1));
    assert_ok(store.session, aero_savepoint(store.session, "s", 1));
    for (uint64_t row = 1000; row < 1100; row++)
        assert_ok(store.session, flight_delete(store.session, flight_name(name, row)));
    assert_ok(store.session, aero_rollback_to(store.session, "s", 1));
    assert_ok(store.session, flight_delete(store.session, flight_name(name, 1000)));
    assert_ok(store.session, flight_insert(store.session, flight_name(name, 1000), 2));
    assert_ok(store.session, flight_delete(store.session, flight_name(name, 60)));
    assert_int_equal(figure(store.session, "rows", FLIGHTS, -1), 250);
    assert_ok(store.session, aero_commit(store.session));
    assert_int_equal(figure(store.session, "rows", FLIGHTS, -1), 649);
    assert_int_equal(figure(store.session, "rows", FLIGHTS, -1), row_count(store.session, FLIGHTS));
    assert_ok(store.session, aero_begin(store.session, AERO_ISOLATION_SERIALIZABLE));
    assert_ok(store.session, flight_delete(store.session, flight_name(name, 200)));
    assert_ok(store.session, aero_rollback(store.session));
    assert_int_equal(figure(store.session, "rows", FLIGHTS, -1), 649);
    store_close(&store);
}

/* Goal: the oldest snapshot has an owner with pid and age, and an open transaction is seen.
 * Method: a child holds one while the parent commits. */
static void test_the_oldest_snapshot_has_an_owner(void **state)
{
    test_store store;
    int ready[2];
    (void)state;
    store_open(&store, 8 << 20);
    assert_ok(store.session, flight_insert(store.session, "a", 1));
    assert_false(figure_exists(store.session, "transactions.pid", 0));
    figure_text(store.session, "oldest_snapshot_kind", -1, "none");
    assert_int_equal(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
        aero_session *session = session_new(&store);
        assert_ok(session, aero_begin(session, AERO_ISOLATION_SERIALIZABLE));
        assert_int_equal(flight_get(session, "a"), 1);
        assert_ok(session, flight_put(session, "b", 1));
        assert_int_equal(write(ready[1], "", 1), 1);
        for (;;)
            pause();
    }
    char byte;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    for (int step = 0; step < 10; step++)
        assert_ok(store.session, flight_put(store.session, "a", step));
    figure_text(store.session, "oldest_snapshot_kind", -1, "transaction");
    assert_int_equal(figure(store.session, "oldest_snapshot_pid", -1, -1), child);
    assert_int_equal(figure(store.session, "oldest_snapshot_lag", -1, -1), 10);
    assert_true(figure(store.session, "oldest_snapshot_age_us", -1, -1) > 0);
    assert_int_equal(figure(store.session, "transactions.pid", -1, 0), child);
    assert_int_equal(figure(store.session, "transactions.lag", -1, 0), 10);
    assert_int_equal(figure(store.session, "transactions.writes", -1, 0), 1);
    assert_int_equal(figure(store.session, "transactions.resting", -1, 0), 1);
    figure_text(store.session, "transactions.state", 0, "active");
    /* Ten versions that the child's snapshot keeps (one of them it sees), and the child's own. */
    assert_true(figure(store.session, "dead_versions", -1, -1) >= 10);
    assert_true(figure(store.session, "versions", -1, -1) >= 12);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(ready[0]);
    close(ready[1]);
    store_close(&store);
}

/* Goal: a watch's place is seen from outside, also when it has been overrun or has died.  Method:
 * one that reads half, one that falls behind, one that is killed. */
static void test_watches_show_their_lag(void **state)
{
    test_store store;
    aero_query *query = NULL;
    aero_watch *watch = NULL;
    aero_event event;
    (void)state;
    store_open(&store, 8 << 20);
    assert_ok(store.session, aero_config_set(store.session, "aerostore.synchronous_commit", "off"));
    assert_ok(store.session, aero_query_new(store.session, FLIGHTS, &query));
    assert_ok(store.session, aero_watch_open(query, AERO_WATCH_NOW, 0, &watch));
    for (int step = 0; step < 10; step++)
        assert_ok(store.session, flight_put(store.session, "a", step));
    assert_int_equal(figure(store.session, "watches_open", -1, -1), 1);
    assert_int_equal(figure(store.session, "watches.lag", -1, 0), 10);
    for (int step = 0; step < 4; step++)
        assert_ok(store.session, aero_watch_next(watch, &event));
    assert_int_equal(figure(store.session, "watches.lag", -1, 0), 6);
    assert_int_equal(figure(store.session, "watches.position", -1, 0), event.position);
    assert_int_equal(figure(store.session, "watches.events", -1, 0), 4);
    assert_int_equal(figure(store.session, "watches.pid", -1, 0), getpid());
    figure_text(store.session, "watches.state", 0, "following");
    figure_text(store.session, "oldest_snapshot_kind", -1, "watch");
    for (int step = 0; step < 5000; step++)
        assert_ok(store.session, flight_put(store.session, "a", step));
    figure_text(store.session, "watches.state", 0, "overflow");
    assert_true(figure(store.session, "watches.lag", -1, 0) >= 5000);
    assert_int_equal(figure(store.session, "watches.pinned", -1, 0), 0);
    aero_watch_close(watch);
    assert_int_equal(figure(store.session, "watches_open", -1, -1), 0);
    aero_query_free(query);
    store_close(&store);
}

/* Goal: sizes of indexes and memory are near the truth.  Method: rows whose index sizes are
 * known. */
static void test_sizes_are_near(void **state)
{
    enum { ROWS = 20000 };
    test_store store;
    char name[32];
    (void)state;
    store_open(&store, 64 << 20);
    assert_ok(store.session, aero_config_set(store.session, "aerostore.synchronous_commit", "off"));
    assert_ok(store.session, aero_begin(store.session, AERO_ISOLATION_SERIALIZABLE));
    for (uint64_t row = 0; row < ROWS; row++)
        assert_ok(store.session,
                  flight_insert(store.session, flight_name(name, row), (int64_t)row));
    assert_ok(store.session, aero_commit(store.session));
    const uint64_t entries = figure(store.session, "indexes.entries", FLIGHTS, 0);
    const uint64_t bytes = figure(store.session, "indexes.bytes", FLIGHTS, 0);
    assert_in_range(entries, ROWS / 3, ROWS * 3);       /* from a few random ways down */
    assert_in_range(bytes, entries * 16, entries * 64); /* in nodes half to all full */
    assert_in_range(figure(store.session, "bytes_key_index", FLIGHTS, -1), ROWS * 16, ROWS * 64);
    const uint64_t versions = figure(store.session, "bytes_versions", FLIGHTS, -1);
    const uint64_t anchors = figure(store.session, "bytes_anchors", FLIGHTS, -1);
    const uint64_t blocks = figure(store.session, "bytes_blocks", -1, -1);
    const uint64_t fixed = figure(store.session, "bytes_fixed", -1, -1);
    assert_in_range(versions, ROWS * 100, ROWS * 200);
    assert_in_range(anchors, ROWS * 8, ROWS * 32);
    assert_int_equal(versions + anchors + blocks + fixed,
                     figure(store.session, "segment_used", -1, -1));
    assert_true(figure(store.session, "bytes_free", -1, -1) < versions + anchors + blocks);
    store_close(&store);
}

/* Goal: commits, durable ones among them, and how long syncs took.  Method: synchronous commits,
 * then asynchronous ones that nobody flushes for a while. */
static void test_the_log_shows_its_lag(void **state)
{
    test_store store;
    (void)state;
    store_open(&store, 8 << 20);
    assert_ok(store.session,
              aero_config_set(store.session, "aerostore.flush_interval_ms", "60000"));
    const uint64_t commits = figure(store.session, "commits", -1, -1);
    for (int step = 0; step < 20; step++)
        assert_ok(store.session, flight_put(store.session, "a", step));
    assert_int_equal(figure(store.session, "commits", -1, -1), commits + 20);
    assert_int_equal(figure(store.session, "log_lag_commits", -1, -1), 0);
    assert_int_equal(figure(store.session, "log_lag_bytes", -1, -1), 0);
    const uint64_t flushes = figure(store.session, "log_flushes", -1, -1);
    assert_true(flushes >= 20);
    uint64_t told = 0;
    for (int32_t item = 0; item < 24; item++)
        told += figure(store.session, "flush_latency.count", -1, item);
    assert_int_equal(told, figure(store.session, "log_flushes", -1, -1));
    assert_int_equal(figure(store.session, "flush_latency.below_us", -1, 10), 1024);
    assert_true(figure(store.session, "log_flush_total_us", -1, -1) > 0);
    store_close(&store);
}

/* Goal: conflicts are counted by their reason.  Method: two sessions write one row. */
static void test_conflicts_have_reasons(void **state)
{
    test_store store;
    (void)state;
    store_open(&store, 8 << 20);
    aero_session *other = session_new(&store);
    assert_ok(store.session, flight_insert(store.session, "a", 1));
    assert_ok(other, aero_begin(other, AERO_ISOLATION_SERIALIZABLE));
    assert_ok(other, flight_put(other, "a", 2));
    assert_ok(store.session, aero_begin(store.session, AERO_ISOLATION_SERIALIZABLE));
    assert_status(store.session, AERO_CONFLICT, flight_put(store.session, "a", 3));
    (void)aero_rollback(store.session);
    assert_ok(other, aero_commit(other));
    assert_int_equal(figure(store.session, "conflicts_write", -1, -1), 1);
    assert_int_equal(figure(store.session, "conflicts_read", -1, -1), 0);
    assert_int_equal(figure(store.session, "rollbacks", -1, -1), 1);
    aero_session_close(other);
    store_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_each_figure_is_told_once),
    cmocka_unit_test(test_rows_are_counted),
    cmocka_unit_test(test_the_oldest_snapshot_has_an_owner),
    cmocka_unit_test(test_watches_show_their_lag),
    cmocka_unit_test(test_sizes_are_near),
    cmocka_unit_test(test_the_log_shows_its_lag),
    cmocka_unit_test(test_conflicts_have_reasons),
};

AE_TEST_MAIN(tests)
