/* Versions between snapshots: what an old snapshot needs stays, what nobody needs goes.
 *
 * variants: plain asan tsan
 */
#include <pthread.h>

#include "flights.h"
#include "txn/txn.h"

static uint64_t dead(aero_session *session)
{
    const aero_stat *stats = NULL;
    uint32_t count = 0;
    assert_ok(session, aero_stats(session, &stats, &count));
    for (uint32_t index = 0; index < count; index++)
        if (strcmp(stats[index].name, "dead_versions") == 0)
            return (uint64_t)stats[index].value.u.integer;
    fail_msg("no statistic dead_versions");
    return 0;
}

/* Goal: a hot row keeps a handful of versions, with and without an idle old snapshot, which still
 * sees what it saw.  Method: some thousand updates of one key; what waits for the next look at the
 * horizon is a constant. */
static void test_a_hot_row_keeps_a_handful(void **state)
{
    enum { UPDATES = 20000, HANDFUL = 2 * 512 + 16 };
    test_store store;
    (void)state;
    store_open(&store, 64 << 20);
    aero_session *session = store.session;
    aero_session *holder = session_new(&store);
    assert_ok(session, flight_insert(session, "hot", 1));
    for (int64_t turn = 2; turn < UPDATES; turn++)
        assert_ok(session, flight_put(session, "hot", turn));
    assert_in_range(dead(session), 0, HANDFUL);
    assert_ok(holder, aero_begin(holder, AERO_ISOLATION_SNAPSHOT));
    assert_int_equal(flight_get(holder, "hot"), UPDATES - 1);
    uint64_t most = 0;
    for (int64_t turn = UPDATES; turn < 3 * UPDATES; turn++) {
        assert_ok(session, flight_put(session, "hot", turn));
        if (turn % 500 == 0) {
            const uint64_t now = dead(session);
            most = now > most ? now : most;
        }
    }
    assert_in_range(most, 1, HANDFUL);
    assert_int_equal(flight_get(holder, "hot"), UPDATES - 1);
    assert_int_equal(flight_get(session, "hot"), 3 * UPDATES - 1);
    store_verify(session);
    assert_ok(holder, aero_commit(holder));
    aero_session_close(holder);
    store_close(&store);
}

/* Goal: rows that come and go behind an old snapshot leave nothing.  Method: inserts, updates,
 * deletes of ever new keys; a row that the snapshot sees is deleted, too. */
static void test_rows_that_came_and_went_leave_nothing(void **state)
{
    enum { ROUNDS = 8000, HANDFUL = 3 * 512 + 64 };
    test_store store;
    char name[32];
    (void)state;
    store_open(&store, 64 << 20);
    aero_session *session = store.session;
    aero_session *holder = session_new(&store);
    assert_ok(session, flight_insert(session, "seen", 1));
    assert_ok(holder, aero_begin(holder, AERO_ISOLATION_READ_ONLY));
    assert_int_equal(flight_get(holder, "seen"), 1);
    assert_ok(session, flight_delete(session, "seen"));
    for (uint64_t round = 0; round < ROUNDS; round++) {
        flight_name(name, round);
        assert_ok(session, flight_insert(session, name, 1));
        assert_ok(session, flight_put(session, name, 2));
        assert_ok(session, flight_delete(session, name));
    }
    assert_in_range(dead(session), 1, HANDFUL);
    assert_int_equal(flight_get(holder, "seen"), 1);
    assert_int_equal(flight_get(session, "seen"), FLIGHT_NONE);
    assert_ok(holder, aero_commit(holder));
    aero_session_close(holder);
    store_close(&store);
}

/* Goal: a serializable transaction still finds out what was written since it read (V3).  Method: a
 * row that it has read is written, and pushed behind by many other writes of other rows. */
static void test_history_is_kept_for_validation(void **state)
{
    test_store store;
    (void)state;
    store_open(&store, 64 << 20);
    aero_session *session = store.session;
    aero_session *reader = session_new(&store);
    assert_ok(session, flight_insert(session, "read", 1));
    assert_ok(session, flight_insert(session, "other", 1));
    assert_ok(reader, aero_begin(reader, AERO_ISOLATION_SERIALIZABLE));
    assert_int_equal(flight_get(reader, "read"), 1);
    for (int64_t turn = 2; turn < 3000; turn++)
        assert_ok(session, flight_put(session, turn % 100 == 0 ? "read" : "other", turn));
    assert_in_range(dead(session), 2990, 3000); /* the versions that it will be compared with */
    assert_int_equal(flight_get(reader, "read"), 1);
    assert_ok(reader, flight_insert(reader, "new", 1));
    assert_status(reader, AERO_CONFLICT, aero_commit(reader));
    aero_session_close(reader);
    store_close(&store);
}

/* Goal: so is one that is a lap of the queue behind, which is refused, and then it keeps nothing.
 * Method: more commits than the queue has entries. */
static void test_who_is_a_lap_behind_keeps_its_snapshot_only(void **state)
{
    test_store store;
    (void)state;
    store_open(&store, 16 << 20); /* a queue of 4,096 */
    aero_session *session = store.session;
    aero_session *reader = session_new(&store);
    assert_ok(session, flight_insert(session, "read", 1));
    assert_ok(reader, aero_begin(reader, AERO_ISOLATION_SERIALIZABLE));
    assert_int_equal(flight_get(reader, "read"), 1);
    for (int64_t turn = 2; turn < 20000; turn++)
        assert_ok(session, flight_put(session, "read", turn));
    assert_in_range(dead(session), 1, 2 * 512);
    assert_int_equal(flight_get(reader, "read"), 1);
    assert_ok(reader, flight_insert(reader, "new", 1));
    assert_status(reader, AERO_CONFLICT, aero_commit(reader));
    aero_session_close(reader);
    store_close(&store);
}

/* Goal: a watch that lags needs all that was replaced since its pin, not one version a row; what an
 * older snapshot leaves room for between itself and the pin goes.  Method: an old snapshot, many
 * updates of one row before the watch is opened and after; each of the later ones is told. */
static void test_a_lagging_watch_is_told_everything(void **state)
{
    enum { BEFORE = 2000, AFTER = 2000 };
    const uint32_t altitude = FLIGHT_ALTITUDE;
    test_store store;
    aero_query *query = NULL;
    aero_watch *watch = NULL;
    aero_event event;
    aero_value value;
    (void)state;
    store_open(&store, 16 << 20); /* a queue of 4,096: the pin is not revoked */
    aero_session *session = store.session;
    aero_session *holder = session_new(&store);
    aero_session *watcher = session_new(&store);
    assert_ok(session, flight_insert(session, "hot", 0));
    assert_ok(holder, aero_begin(holder, AERO_ISOLATION_READ_ONLY));
    assert_int_equal(flight_get(holder, "hot"), 0);
    for (int64_t turn = 1; turn <= BEFORE; turn++)
        assert_ok(session, flight_put(session, "hot", turn));
    assert_in_range(dead(session), 1, 2 * 512 + 16);
    assert_ok(watcher, aero_query_new(watcher, FLIGHTS, &query));
    assert_ok(watcher, aero_watch_open(query, AERO_WATCH_NOW, 0, &watch));
    for (int64_t turn = BEFORE + 1; turn <= BEFORE + AFTER; turn++)
        assert_ok(session, flight_put(session, "hot", turn));
    for (int64_t turn = BEFORE + 1; turn <= BEFORE + AFTER; turn++) {
        assert_ok(watcher, aero_watch_next(watch, &event));
        assert_int_equal(event.kind, AERO_EVENT_UPDATE);
        assert_int_equal(aero_watch_values(watch, event.old_row, 1, &altitude, &value), AERO_OK);
        assert_int_equal(value.u.integer, turn - 1);
        assert_int_equal(aero_watch_values(watch, event.new_row, 1, &altitude, &value), AERO_OK);
        assert_int_equal(value.u.integer, turn);
    }
    assert_int_equal(flight_get(holder, "hot"), 0);
    aero_watch_close(watch);
    aero_query_free(query);
    assert_ok(holder, aero_commit(holder));
    aero_session_close(watcher);
    aero_session_close(holder);
    store_close(&store);
}

/* ---- several at once ------------------------------------------------------------------------ */

enum { KEYS = 12, WRITERS = 2, HOLDERS = 2, STEPS = 4000 };

typedef struct crowd {
    test_store *store;
    uint64_t random;
    _Atomic uint32_t *writing;
    uint32_t faults;
    uint32_t looks;
} crowd;

static void *writer_run(void *context)
{
    crowd *of = context;
    aero_session *session = NULL;
    aero_error error;
    char name[32];
    if (aero_session_open(of->store->db, &session, &error) != AERO_OK) {
        of->faults++;
        return NULL;
    }
    for (uint32_t step = 0; step < STEPS; step++) {
        flight_name(name, next_random(&of->random) % KEYS);
        aero_status status = AERO_OK;
        if (next_random(&of->random) % 8 == 0)
            status = flight_delete(session, name);
        else
            status = flight_put(session, name, (int64_t)(next_random(&of->random) % 9));
        of->faults += status != AERO_OK && status != AERO_NOT_FOUND;
    }
    aero_session_close(session);
    atomic_fetch_sub_explicit(of->writing, 1, memory_order_release);
    return NULL;
}

/* What a snapshot saw first it sees to the end, by key and by scan. */
static void *holder_run(void *context)
{
    crowd *of = context;
    aero_session *session = NULL;
    aero_error error;
    int64_t first[KEYS];
    char name[32];
    if (aero_session_open(of->store->db, &session, &error) != AERO_OK) {
        of->faults++;
        return NULL;
    }
    while (atomic_load_explicit(of->writing, memory_order_acquire) > 0) {
        uint64_t there = 0;
        of->faults += aero_begin(session, AERO_ISOLATION_SNAPSHOT) != AERO_OK;
        for (uint64_t key = 0; key < KEYS; key++) {
            first[key] = flight_get(session, flight_name(name, key));
            there += first[key] != FLIGHT_NONE;
        }
        const uint32_t turns = 1 + (uint32_t)(next_random(&of->random) % 400);
        for (uint32_t turn = 0; turn < turns; turn++) {
            const uint64_t key = next_random(&of->random) % KEYS;
            uint64_t rows = 0;
            of->faults += flight_get(session, flight_name(name, key)) != first[key];
            if (turn % 16 == 0)
                of->faults += aero_count(session, FLIGHTS, &rows) != AERO_OK || rows != there + 1;
            of->looks++;
        }
        of->faults += aero_commit(session) != AERO_OK;
    }
    aero_session_close(session);
    return NULL;
}

/* Goal: no snapshot loses a row while others prune around it.  Method: writers of few keys, readers
 * that hold snapshots for a while and compare what they see with what they saw. */
static void test_snapshots_hold_still(void **state)
{
    test_store store;
    pthread_t threads[WRITERS + HOLDERS];
    crowd crowds[WRITERS + HOLDERS];
    uint64_t random = test_seed("test_snapshots_hold_still");
    _Atomic uint32_t writing = WRITERS;
    (void)state;
    store_open(&store, 64 << 20);
    aero_session *old = session_new(&store);
    assert_ok(store.session, flight_insert(store.session, "old", 5));
    assert_ok(old, aero_begin(old, AERO_ISOLATION_READ_ONLY));
    assert_int_equal(flight_get(old, "old"), 5);
    for (int each = 0; each < WRITERS + HOLDERS; each++) {
        crowds[each] = (crowd){
            .store = &store, .random = next_random(&random), .writing = &writing};
        assert_int_equal(pthread_create(&threads[each], NULL,
                                        each < WRITERS ? writer_run : holder_run, &crowds[each]),
                         0);
    }
    for (int each = 0; each < WRITERS + HOLDERS; each++) {
        assert_int_equal(pthread_join(threads[each], NULL), 0);
        assert_int_equal(crowds[each].faults, 0);
    }
    assert_int_equal(flight_get(old, "old"), 5);
    store_verify(store.session);
    assert_ok(old, aero_commit(old));
    aero_session_close(old);
    store_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_hot_row_keeps_a_handful),
    cmocka_unit_test(test_rows_that_came_and_went_leave_nothing),
    cmocka_unit_test(test_history_is_kept_for_validation),
    cmocka_unit_test(test_who_is_a_lap_behind_keeps_its_snapshot_only),
    cmocka_unit_test(test_a_lagging_watch_is_told_everything),
    cmocka_unit_test(test_snapshots_hold_still),
};

AE_TEST_MAIN(tests)
