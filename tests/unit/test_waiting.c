/* The hook of a session that waits: when it is called, what it may do, and what is left when it
 * ends the wait.
 *
 * variants: plain asan tsan
 */
#include "flights.h"

typedef struct hook {
    aero_session *session;
    const int32_t *waits;
    uint64_t last_ns;
    uint32_t calls;
    uint32_t stop_after; /* calls; 0: never */
} hook;

/* Asks of the session what it may not, and stops the wait when it is time. */
static int32_t looks(void *context)
{
    hook *at = context;
    const aero_value key = v_text("a");
    int32_t found = 7;
    const uint64_t now = now_ns();
    assert_true(at->last_ns == 0 || now - at->last_ns >= 50000000u);
    at->last_ns = now;
    at->calls++;
    assert_int_equal(*at->waits, 1);
    assert_int_equal(aero_exists(at->session, FLIGHTS, &key, &found), AERO_USAGE);
    assert_int_equal(aero_commit(at->session), AERO_USAGE);
    aero_session_close(at->session);
    return at->stop_after != 0 && at->calls >= at->stop_after;
}

static void hook_set(hook *at, aero_session *session, uint32_t stop_after)
{
    *at = (hook){.session = session, .stop_after = stop_after};
    assert_ok(session, aero_session_waiting(session, looks, at, &at->waits));
    assert_int_equal(*at->waits, 0);
}

/* A row "a", the session `one` with a lock timeout, and another one. */
static void rivals_open(test_store *store, const char *timeout_ms, aero_session **one,
                        aero_session **other)
{
    store_open(store, 16 << 20);
    *one = store->session;
    *other = session_new(store);
    assert_ok(*one, flight_put(*one, "a", 1));
    assert_ok(*one, aero_config_set(*one, "aerostore.lock_timeout_ms", timeout_ms));
}

static void rivals_close(test_store *store, aero_session *other)
{
    aero_session_close(other);
    store_verify(store->session);
    store_close(store);
}

/* Goal: a write outside a transaction and a lock inside one end when the hook says so, with nothing
 * done, and the session and its transaction go on.  Method: another session has the row. */
static void test_the_hook_ends_a_wait(void **state)
{
    test_store store;
    hook at;
    const aero_value key = v_text("a");
    int32_t found = 0;
    aero_session *one;
    aero_session *other;
    (void)state;
    rivals_open(&store, "60000", &one, &other);
    assert_ok(other, aero_begin(other, AERO_ISOLATION_SNAPSHOT));
    assert_ok(other, aero_lock_row(other, FLIGHTS, &key, &found));
    assert_ok(other, flight_put(other, "a", 2));
    hook_set(&at, one, 3);
    assert_status(one, AERO_INTERRUPTED, flight_put(one, "a", 3));
    assert_int_equal(at.calls, 3);
    assert_int_equal(*at.waits, 0);
    assert_int_equal(aero_depth(one), 0);
    assert_int_equal(flight_get(one, "a"), 1);
    assert_ok(one, aero_begin(one, AERO_ISOLATION_SERIALIZABLE));
    at.calls = 0;
    assert_status(one, AERO_INTERRUPTED, aero_lock_row(one, FLIGHTS, &key, &found));
    assert_int_equal(at.calls, 3);
    assert_int_equal(found, 0);
    assert_int_equal(aero_session_error(one)->aborted, 0);
    assert_ok(one, flight_put(one, "b", 5));
    assert_ok(one, aero_commit(one));
    assert_int_equal(flight_get(other, "b"), FLIGHT_NONE);
    assert_ok(other, aero_commit(other));
    assert_ok(one, flight_put(one, "a", 4)); /* nobody in the way: the hook is not asked */
    assert_int_equal(flight_get(other, "a"), 4);
    assert_int_equal(flight_get(other, "b"), 5);
    rivals_close(&store, other);
}

/* Goal: without a hook, or with one that says nothing, a wait takes as long as it did.  Method: the
 * shortest wait that a setting allows, with and without. */
static void test_a_silent_hook_changes_nothing(void **state)
{
    test_store store;
    hook at;
    const aero_value key = v_text("a");
    int32_t found = 0;
    aero_session *one;
    aero_session *other;
    (void)state;
    rivals_open(&store, "300", &one, &other);
    assert_ok(other, aero_begin(other, AERO_ISOLATION_SERIALIZABLE));
    assert_ok(other, aero_lock_row(other, FLIGHTS, &key, &found));
    for (uint32_t turn = 0; turn < 2; turn++) {
        const uint64_t began = now_ns();
        if (turn == 0)
            hook_set(&at, one, 0);
        else
            assert_ok(one, aero_session_waiting(one, NULL, NULL, NULL));
        assert_ok(one, aero_begin(one, AERO_ISOLATION_SERIALIZABLE));
        assert_status(one, AERO_CONFLICT, aero_lock_row(one, FLIGHTS, &key, &found));
        assert_int_equal(aero_session_error(one)->aborted, 1);
        assert_true(now_ns() - began >= 300000000u);
        assert_ok(one, aero_rollback(one));
    }
    assert_in_range(at.calls, 1, 6);
    assert_ok(other, aero_rollback(other));
    rivals_close(&store, other);
}

/* Goal: also a transaction that queues for a hot row before it begins is stopped as a whole, and
 * the stop is not held against a later call.  Method: conflicts until the session queues; then
 * checkpoints, which look for a stop, too. */
static void test_the_hook_ends_a_begin(void **state)
{
    test_store store;
    hook at;
    aero_checkpoint_report made;
    const aero_value key = v_text("a");
    int32_t found = 0;
    aero_session *one;
    aero_session *other;
    (void)state;
    rivals_open(&store, "60000", &one, &other);
    for (int turn = 0; turn < 4; turn++) {
        assert_ok(one, aero_begin(one, AERO_ISOLATION_SNAPSHOT));
        assert_int_equal(flight_get(one, "a"), turn + 1);
        assert_ok(other, flight_put(other, "a", turn + 2));
        assert_status(one, AERO_CONFLICT, flight_put(one, "a", 9));
        assert_ok(one, aero_rollback(one));
    }
    assert_ok(other, aero_begin(other, AERO_ISOLATION_SNAPSHOT));
    assert_ok(other, aero_lock_row(other, FLIGHTS, &key, &found));
    hook_set(&at, one, 3);
    assert_status(one, AERO_INTERRUPTED, aero_begin(one, AERO_ISOLATION_SNAPSHOT));
    assert_int_equal(at.calls, 3);
    assert_int_equal(aero_depth(one), 0);
    assert_ok(one, aero_checkpoint(one, &made));
    assert_ok(other, aero_rollback(other));
    assert_ok(one, aero_checkpoint(one, &made));
    assert_ok(one, flight_put(one, "a", 9));
    assert_int_equal(flight_get(one, "a"), 9);
    rivals_close(&store, other);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_the_hook_ends_a_wait),
    cmocka_unit_test(test_the_hook_ends_a_begin),
    cmocka_unit_test(test_a_silent_hook_changes_nothing),
};

AE_TEST_MAIN(tests)
