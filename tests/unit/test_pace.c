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

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_small_writes_take_what_they_free),
};

AE_TEST_MAIN(tests)
