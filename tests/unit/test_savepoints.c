/* Savepoints: how they nest, what they undo, and that loops of them need no memory.
 *
 * variants: plain asan tsan
 */
#include "flights.h"
#include "txn/txn.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { LOOPS = 20000 };
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
enum { LOOPS = 20000 };
#else
enum { LOOPS = 200000 };
#endif
#else
enum { LOOPS = 200000 };
#endif

static aero_status savepoint(aero_session *session, const char *name)
{
    return aero_savepoint(session, name, strlen(name));
}
static aero_status rollback_to(aero_session *session, const char *name)
{
    return aero_rollback_to(session, name, strlen(name));
}
static aero_status release(aero_session *session, const char *name)
{
    return aero_release(session, name, strlen(name));
}

static void test_savepoints_nest_hide_and_go(void **state)
{
    test_store store;
    char longest[AE_NAME_MAX + 2];
    (void)state;
    store_open(&store, 16 << 20);
    aero_session *s = store.session;
    memset(longest, 'n', sizeof longest);
    assert_status(s, AERO_USAGE, savepoint(s, "outside"));
    assert_ok(s, aero_begin(s, AERO_ISOLATION_SERIALIZABLE));
    assert_ok(s, flight_put(s, "a", 1));
    assert_ok(s, savepoint(s, "one"));
    assert_ok(s, flight_put(s, "a", 2));
    assert_ok(s, savepoint(s, "two"));
    assert_ok(s, flight_put(s, "a", 3));
    assert_ok(s, savepoint(s, "one")); /* hides the older one */
    assert_ok(s, flight_put(s, "a", 4));
    assert_int_equal(aero_depth(s), 4);
    assert_ok(s, rollback_to(s, "one"));
    assert_int_equal(flight_get(s, "a"), 3);
    assert_int_equal(aero_depth(s), 4); /* it stays */
    assert_ok(s, release(s, "one"));
    assert_ok(s, rollback_to(s, "one")); /* the older one again; "two" goes with it */
    assert_int_equal(flight_get(s, "a"), 1);
    assert_int_equal(aero_depth(s), 2);
    assert_status(s, AERO_NAME, rollback_to(s, "two"));
    assert_status(s, AERO_NAME, release(s, "two"));
    assert_ok(s, aero_savepoint(s, "\0x", 2)); /* any bytes are a name */
    assert_ok(s, aero_savepoint(s, NULL, 0));
    assert_ok(s, flight_put(s, "b", 1));
    assert_status(s, AERO_NAME, aero_rollback_to(s, "\0y", 2));
    assert_ok(s, aero_rollback_to(s, "\0x", 2));
    assert_int_equal(flight_get(s, "b"), FLIGHT_NONE);
    assert_status(s, AERO_NAME, aero_release(s, NULL, 0));
    assert_status(s, AERO_LIMIT, aero_savepoint(s, longest, sizeof longest));
    assert_ok(s, aero_savepoint(s, longest, AE_NAME_MAX));
    assert_ok(s, release(s, "one"));
    assert_int_equal(aero_depth(s), 1);
    assert_ok(s, flight_put(s, "a", 5));
    assert_ok(s, aero_commit(s));
    assert_int_equal(flight_get(s, "a"), 5);
    store_close(&store);
}

/* Goal: L8, and no cost that grows.  Method: savepoint, write, roll back, many times in one
 * transaction; $AE_SAVEPOINT_LOOPS says how often. */
static void test_savepoint_loops_need_no_memory(void **state)
{
    test_store store;
    uint64_t used = 0;
    const char *given = getenv("AE_SAVEPOINT_LOOPS");
    const uint32_t loops = given != NULL ? (uint32_t)strtoul(given, NULL, 10) : LOOPS;
    (void)state;
    store_open(&store, 16 << 20);
    aero_session *s = store.session;
    assert_ok(s, flight_put(s, "old", 1));
    assert_ok(s, aero_begin(s, AERO_ISOLATION_SNAPSHOT));
    assert_ok(s, flight_put(s, "kept", 1));
    for (uint32_t loop = 0; loop < loops; loop++) {
        assert_ok(s, savepoint(s, "s"));
        switch (loop % 3) {
        case 0:
            assert_ok(s, flight_put(s, "old", 2));
            break;
        case 1:
            assert_ok(s, flight_insert(s, "new", 1));
            break;
        default:
            assert_ok(s, flight_delete(s, "kept"));
        }
        assert_ok(s, rollback_to(s, "s"));
        assert_ok(s, release(s, "s"));
        if (loop == loops / 10)
            used = ae_load64(&store.db->segment.header->used);
    }
    assert_int_equal(ae_load64(&store.db->segment.header->used), used);
    assert_ok(s, aero_commit(s));
    assert_int_equal(flight_get(s, "old"), 1);
    assert_int_equal(flight_get(s, "kept"), 1);
    assert_int_equal(flight_get(s, "new"), FLIGHT_NONE);
    assert_int_equal(row_count(s, FLIGHTS), 2);
    store_close(&store);
}

/* Goal: L8 also where each write gives indexed columns values that were not there.  Method: the
 * same with random values, beside a reader that comes and goes and one that stays for a while. */
static void test_savepoint_loops_of_many_values_need_no_memory(void **state)
{
    test_store store;
    uint64_t used = 0;
    uint64_t random = 1;
    uint32_t moves = 0; /* of the clock: where nobody else is, there is no need for any */
    const char *given = getenv("AE_SAVEPOINT_LOOPS");
    const uint32_t loops = given != NULL ? (uint32_t)strtoul(given, NULL, 10) : 3 * LOOPS;
    (void)state;
    store_open(&store, 16 << 20);
    aero_session *s = store.session;
    aero_session *reader = session_new(&store);
    for (uint32_t row = 0; row < 100; row++)
        assert_ok(s, flight_put(s, row % 2 == 0 ? "old" : "kept", row));
    assert_ok(s, aero_begin(s, AERO_ISOLATION_SERIALIZABLE));
    assert_ok(s, flight_put(s, "kept", 1));
    for (uint32_t loop = 0; loop < loops; loop++) {
        assert_ok(s, savepoint(s, "s"));
        random = random * 6364136223846793005u + 1442695040888963407u;
        assert_ok(s, flight_put(s, "old", (int64_t)(random >> 40) % 1000000));
        if (loop % 64 == 0)
            assert_ok(s, flight_put(s, "new", (int64_t)(random >> 30) % 1000000));
        assert_ok(s, rollback_to(s, "s"));
        assert_ok(s, release(s, "s"));
        if (loop % 1024 == 0)
            assert_int_equal(flight_get(reader, "kept"), 99);
        if (loop == 5000)
            assert_ok(reader, aero_begin(reader, AERO_ISOLATION_READ_ONLY));
        if (loop == 20000) {
            assert_int_equal(flight_get(reader, "old"), 98);
            assert_ok(reader, aero_rollback(reader));
        }
        if (loop == loops / 2) {
            used = ae_load64(&store.db->segment.header->used);
            moves = s->ticks;
        }
    }
    assert_int_equal(ae_load64(&store.db->segment.header->used), used);
    assert_int_equal(s->ticks, moves);
    assert_ok(s, aero_commit(s));
    assert_int_equal(flight_get(s, "old"), 98);
    assert_int_equal(flight_get(s, "kept"), 1);
    assert_int_equal(row_count(s, FLIGHTS), 2);
    aero_session_close(reader);
    store_close(&store);
}

/* Goal: as many savepoints as promised, and no more. */
static void test_a_million_savepoints_are_the_limit(void **state)
{
    test_store store;
    (void)state;
    store_open(&store, 16 << 20);
    aero_session *s = store.session;
    assert_ok(s, aero_begin(s, AERO_ISOLATION_SNAPSHOT));
    assert_ok(s, savepoint(s, "first"));
    assert_ok(s, flight_put(s, "row", 1));
    for (uint32_t count = 1; count < AE_SAVEPOINTS_MAX; count++)
        assert_ok(s, savepoint(s, "s"));
    assert_status(s, AERO_LIMIT, savepoint(s, "s"));
    assert_int_equal(flight_get(s, "row"), 1);
    assert_ok(s, rollback_to(s, "first"));
    assert_int_equal(flight_get(s, "row"), FLIGHT_NONE);
    assert_int_equal(aero_depth(s), 2);
    assert_ok(s, aero_commit(s));
    store_close(&store);
}

/* Goal: every order of writes and undoing leaves what a model says, for the writer and for others.
 * Method: all sequences of six steps out of put, delete, savepoint, roll back to it; on a row that
 * was there, one that was not, and one that had been deleted; then commit or roll back. */
static void test_every_order_of_writing_and_undoing(void **state)
{
    enum { STEPS = 6, ORDERS = 4096, STARTS = 3 };
    test_store store;
    (void)state;
    store_open(&store, 64 << 20);
    aero_session *s = store.session;
    aero_session *other = session_new(&store);
    uint32_t run = 0;
    for (uint32_t order = 0; order < ORDERS; order++)
        for (uint32_t end = 0; end < 2; end++, run++) {
            const uint32_t start = run % STARTS;
            char name[32];
            int64_t points[STEPS];
            uint32_t count = 0;
            flight_name(name, run % 40);
            (void)flight_delete(s, name);
            if (start == 0)
                assert_ok(s, flight_insert(s, name, 7));
            if (start == 2) {
                assert_ok(s, flight_insert(s, name, 7));
                assert_ok(s, flight_delete(s, name));
            }
            const int64_t before = start == 0 ? 7 : FLIGHT_NONE;
            int64_t now = before;
            assert_ok(s, aero_begin(s, AERO_ISOLATION_SNAPSHOT));
            for (uint32_t step = 0; step < STEPS; step++) {
                switch (order >> 2 * step & 3) {
                case 0:
                    now = 100 + step;
                    assert_ok(s, flight_put(s, name, now));
                    break;
                case 1:
                    assert_status(s, now == FLIGHT_NONE ? AERO_NOT_FOUND : AERO_OK,
                                  flight_delete(s, name));
                    now = FLIGHT_NONE;
                    break;
                case 2:
                    points[count++] = now;
                    assert_ok(s, savepoint(s, "p"));
                    break;
                default:
                    if (count == 0)
                        break;
                    assert_ok(s, rollback_to(s, "p"));
                    now = points[count - 1];
                    if (step % 2) {
                        assert_ok(s, release(s, "p"));
                        count--;
                    }
                }
                if (flight_get(s, name) != now)
                    fail_msg("order %x, step %u: %d, not %d", order, step, (int)flight_get(s, name),
                             (int)now);
                assert_int_equal(flight_get(other, name), before);
            }
            assert_ok(s, end == 0 ? aero_commit(s) : aero_rollback(s));
            if (flight_get(other, name) != (end == 0 ? now : before))
                fail_msg("order %x, end %u", order, end);
        }
    aero_session_close(other);
    store_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_savepoints_nest_hide_and_go),
    cmocka_unit_test(test_savepoint_loops_need_no_memory),
    cmocka_unit_test(test_savepoint_loops_of_many_values_need_no_memory),
    cmocka_unit_test(test_a_million_savepoints_are_the_limit),
    cmocka_unit_test(test_every_order_of_writing_and_undoing),
};

AE_TEST_MAIN(tests)
