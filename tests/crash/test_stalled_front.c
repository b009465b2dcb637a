/* A call that loses the processor at the front of the commit queue, where another aborts it so as
 * not to wait, is run again, and its caller learns nothing of it.
 *
 * When the call has entered the queue, a session behind it commits.
 *
 * variants: crash
 */
#include "../unit/flights.h"
#include "txn/age.h"
#include "txn/handles.h"

enum { HOUR_US = 3600000, ROWS = 40 };

static struct {
    aero_session *other; /* NULL: nothing happens */
    uint32_t left;       /* so many times */
    uint32_t count;      /* rows that it has put */
} behind;

void ae_crash_point(const char *name);
void ae_crash_point(const char *name)
{
    aero_session *other = behind.other;
    if (other == NULL || behind.left == 0 || strcmp(name, "queue.entered") != 0)
        return;
    behind.left--;
    behind.other = NULL;
    char key[32];
    snprintf(key, sizeof key, "behind-%u", behind.count++);
    assert_ok(other, flight_insert(other, key, 1));
    behind.other = other;
}

static uint64_t stalls(const test_store *store)
{
    return ae_load64(&store->db->proc.shared->counters[AE_COUNT_CONFLICTS + AERO_CONFLICT_STALLED]);
}

/* Goal: as above, for a write and for a sweep.  Method: three times in a row. */
static void test_what_is_aborted_at_the_front_is_run_again(void **state)
{
    test_store store;
    char name[32];
    uint64_t expired = 0;
    (void)state;
    store_open(&store, 16 << 20);
    aero_session *session = store.session;
    behind.other = session_new(&store);
    behind.left = 3;
    assert_ok(session, flight_put(session, "one", 1));
    assert_int_equal(stalls(&store), 3);
    for (uint32_t row = 0; row < ROWS; row++)
        assert_ok(session, flight_put(session, flight_name(name, row), row));
    const uint64_t clock = ae_load64(&store.db->proc.shared->clock);
    ae_age_note(store.db, clock, ae_age_now(store.db) - 2 * (int64_t)HOUR_US * 1000);
    assert_ok(session, aero_ttl_set(session, FLIGHTS, (int64_t)HOUR_US * 1000, -1));
    behind.left = 3;
    assert_ok(session, aero_ttl_sweep(session, FLIGHTS, &expired));
    assert_int_equal(stalls(&store), 6);
    assert_int_equal(behind.left, 0);
    assert_int_equal(expired, ROWS + 4); /* those of the other, too */
    assert_int_equal(row_count(session, FLIGHTS), 3);
    aero_session_close(behind.other);
    behind.other = NULL;
    store_verify(session);
    store_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_what_is_aborted_at_the_front_is_run_again),
};

AE_TEST_MAIN(tests)
