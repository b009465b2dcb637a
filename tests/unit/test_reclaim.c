/* How often the horizon is looked at, and the lives of those who hold it back: as often as is worth
 * its price, and no more often.
 *
 * variants: plain asan
 */
#include "base/os.h"
#include "flights.h"
#include "txn/txn.h"

enum {
    LAG = 1100,   /* commits after which the life of a snapshot's owner is looked at, and some */
    LIMIT_MS = 8, /* ... no more often than this, by all together */
    BATCH = 512,  /* what waits weighs so much before the horizon is computed again */
    COMMITS = 4000
};

/* Nobody looks for the dead, or empties idle slots, during the next call. */
static void nothing_is_due(const test_store *store)
{
    ae_store64(&store->db->proc.shared->reap_due_ns, ae_os_coarse_ns() + AE_REAP_INTERVAL_NS);
}

/* ---- laggards ------------------------------------------------------------------------------- */

/* Commits without a look at the horizon. */
static void commit_blindly(const test_store *store, uint32_t count)
{
    for (uint32_t turn = 0; turn < count; turn++) {
        nothing_is_due(store);
        store->session->reclaim_debt = 0;
        assert_ok(store->session, flight_put(store->session, "one", turn));
    }
}

static uint32_t slots_owned(const test_store *store)
{
    uint32_t owned = 0;
    for (uint32_t slot = 0; slot < AE_SLOTS; slot++)
        owned += ae_load64(&ae_slot_at(&store->db->proc, slot)->owner) != 0;
    return owned;
}

/* One commit of a session that has not looked yet, and looks now.  Returns whether the dead owner
 * was found. */
static bool look_once(test_store *store)
{
    aero_session *session = session_new(store);
    nothing_is_due(store);
    session->reclaim_debt = 1000;
    assert_ok(session, flight_put(session, "two", 1));
    aero_session_close(session);
    return slots_owned(store) == 0;
}

/* Goal: the lives of those who hold the horizon back are looked at once for all within some
 * milliseconds, then again; and what another time namespace wrote there stops nobody.  Method: a
 * process dies with a snapshot; somebody has just looked, or not. */
static void test_laggards_are_looked_at_once_for_all(void **state)
{
    test_store store;
    (void)state;
    store_open(&store, 16 << 20);
    ae_a64 *place = &store.db->proc.shared->lag_due_ns;
    const uint64_t limit = (uint64_t)LIMIT_MS * 1000000;
    for (uint32_t turn = 0; turn < 3; turn++) {
        assert_ok(store.session, flight_put(store.session, "one", 1));
        fflush(NULL);
        const pid_t child = fork();
        if (child == 0) {
            aero_session *session = session_new(&store);
            uint64_t rows = 0;
            if (aero_begin(session, AERO_ISOLATION_READ_ONLY) != AERO_OK ||
                aero_count(session, FLIGHTS, &rows) != AERO_OK)
                _exit(1);
            _exit(0);
        }
        child_join(child);
        commit_blindly(&store, LAG);
        assert_int_equal(slots_owned(&store), 1);
        if (turn == 0) {
            /* As somebody leaves it who has just looked: nobody else does, unless the machine took
             * so long that it is time. */
            const uint64_t due = ae_os_coarse_ns() + 2 * limit;
            ae_store64(place, due);
            const bool found = look_once(&store);
            assert_true(!found || ae_os_coarse_ns() >= due);
            if (!found) {
                ae_store64(place, 0);
                assert_true(look_once(&store));
            }
            assert_true(ae_load64(place) >= ae_os_coarse_ns() - 1000000000);
            assert_true(ae_load64(place) <= ae_os_coarse_ns() + limit);
        } else {
            ae_store64(place, turn == 1 ? 0 : ae_os_coarse_ns() + 3600ull * 1000000000);
            assert_true(look_once(&store));
        }
    }
    store_verify(store.session);
    store_close(&store);
}

/* ---- the horizon ---------------------------------------------------------------------------- */

/* How often the horizon was computed during commits that each replace a row of some.  */
static uint32_t looks(const test_store *store, uint32_t rows)
{
    char name[32];
    uint32_t count = 0;
    uint64_t known = ae_load64(&store->db->proc.shared->horizon);
    for (uint32_t turn = 0; turn < COMMITS; turn++) {
        nothing_is_due(store);
        assert_ok(store->session,
                  flight_put(store->session, flight_name(name, turn % rows), turn / rows % 2));
        const uint64_t now = ae_load64(&store->db->proc.shared->horizon);
        count += now != known;
        known = now;
    }
    return count;
}

/* Goal: a barrier for everybody is passed once for many versions that wait, and some, not once for
 * each; and sooner where they are of one row.  Method: the commits between two changes of the
 * horizon are counted. */
static void test_the_horizon_is_computed_once_for_many(void **state)
{
    test_store store;
    (void)state;
    store_open(&store, 32 << 20);
    (void)looks(&store, COMMITS / 2);
    const uint32_t cold = looks(&store, COMMITS / 2);
    const uint32_t hot = looks(&store, 1);
    printf("%d commits, %u looks at the horizon; of one row, %u\n", COMMITS, cold, hot);
    /* One weighs one, and more by the nodes of indexes that are rewritten with it. */
    assert_in_range(cold, COMMITS / BATCH, 8 * COMMITS / BATCH);
    /* Each weighs nine, but for the first after a look. */
    assert_in_range(hot, 8 * COMMITS / BATCH, 10 * COMMITS / BATCH + 2);
    store_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_laggards_are_looked_at_once_for_all),
    cmocka_unit_test(test_the_horizon_is_computed_once_for_many),
};

AE_TEST_MAIN(tests)
