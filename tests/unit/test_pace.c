/* Freeing at the pace of small writes.
 *
 * In a slow build the keeper empties the slot in every stretch of updates that is measured.
 *
 * variants: plain
 */
#include "flights.h"
#include "txn/txn.h"

/* Goal: what small writes free, the next ones take, so that no version goes by its slab, where each
 * costs several locked operations.  Method: single updates of many rows; what the pool says of free
 * objects stands still but for a few, and no more wait than before.  The keeper may empty the slot
 * when it is idle, so the stillest of several stretches counts; each is longer than the time from
 * one look at the horizon to the next. */
static void test_small_writes_take_what_they_free(void **state)
{
    enum { ROWS = 20000, STRETCH = 600, STRETCHES = 25, WARM_UP = 5, MOVES = STRETCH / 10 };
    test_store store;
    char name[32];
    uint64_t random = test_seed("small writes");
    (void)state;
    store_open(&store, 64 << 20);
    aero_session *session = store.session;
    const ae_pool *pool = &session->db->heap.pools[ae_heap_version_pool(FLIGHTS)];
    for (uint64_t row = 0; row < ROWS; row++)
        assert_ok(session, flight_insert(session, flight_name(name, row), 1));
    uint32_t least = UINT32_MAX;
    uint32_t before = 0;
    uint64_t most = 0;
    for (int64_t stretch = 0; stretch < STRETCHES; stretch++) {
        uint32_t moves = 0;
        for (int64_t turn = 0; turn < STRETCH; turn++) {
            flight_name(name, next_random(&random) % ROWS);
            assert_ok(session, flight_put(session, name, stretch * STRETCH + turn));
            const uint32_t now = ae_load32(&pool->free_hint);
            moves += now != before;
            before = now;
        }
        least = stretch >= WARM_UP && moves < least ? moves : least;
        const uint64_t wait = stat_value(session, "dead_versions");
        most = stretch >= WARM_UP && wait > most ? wait : most;
    }
    assert_in_range(least, 0, MOVES);
    assert_in_range(most, 1, 2 * 512 + 16);
    store_close(&store);
}

/* Goal: entries of a hot row are removed at a bounded cost each, however long its chain is.
 * Method: an indexed column of one row is changed while two transactions, in turns, hold the
 * horizon back by thousands of commits; all versions that were looked at are counted. */
static void test_a_hot_row_is_not_walked_for_each_version(void **state)
{
    enum { UPDATES = 40000, HELD = 4000, WALK_MOST = 128 };
    static const uint32_t column = FLIGHT_ALTITUDE;
    test_store store;
    aero_session *holders[2];
    aero_error error;
    const aero_value key = v_text("hot");
    uint64_t walked = 0;
    (void)state;
    store_open(&store, 64 << 20);
    aero_session *session = store.session;
    for (int index = 0; index < 2; index++)
        assert_int_equal(aero_session_open(store.db, &holders[index], &error), AERO_OK);
    assert_ok(session, flight_insert(session, "hot", 1));
    for (int64_t turn = 0; turn < UPDATES; turn++) {
        if (turn % HELD == 0) {
            aero_session *next = holders[turn / HELD % 2];
            aero_session *last = holders[(turn / HELD + 1) % 2];
            aero_value altitude;
            int32_t found = 0;
            assert_ok(next, aero_begin(next, AERO_ISOLATION_SERIALIZABLE));
            assert_ok(next, aero_get(next, FLIGHTS, &key, 1, &column, &altitude, &found));
            if (turn > 0)
                assert_ok(last, aero_rollback(last));
        }
        const ae_slot *at = ae_slot_at(&session->db->proc, session->slot_hint);
        const uint32_t waits = ae_load32(&at->limbo_count);
        assert_ok(session, flight_put(session, "hot", 2 + turn));
        if (ae_load32(&at->limbo_count) <= waits) /* some have been freed */
            walked += ae_load32(&at->walked);
    }
    assert_in_range(walked / UPDATES, 0, WALK_MOST);
    for (int index = 0; index < 2; index++)
        aero_session_close(holders[index]);
    store_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_hot_row_is_not_walked_for_each_version),
    cmocka_unit_test(test_small_writes_take_what_they_free),
};

AE_TEST_MAIN(tests)
