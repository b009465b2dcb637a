/* Counters near the end of their bits: positions and laps of the commit queue, generations of
 * slots, numbers of commits.  Nothing but time brings them there, so the test sets them in a fresh
 * segment.
 *
 * variants: plain asan
 */
#include <signal.h>

#include "flights.h"
#include "txn/txn.h"
#include "wal/log_private.h"

enum { STEPS = 1500, KEYS = 7, BEFORE = 5 };

/* A fresh database whose clock stands at `number` and whose slots were claimed `generation` times.
 */
static void store_open_at(test_store *store, uint64_t number, uint64_t generation)
{
    store_open(store, 8 << 20);
    ae_proc_shared *shared = store->db->proc.shared;
    ae_store64(&shared->clock, number);
    ae_store64(&shared->tail, number);
    ae_store64(&shared->horizon, number);
    /* The log goes on where the clock stands. */
    ae_log_shared *log = store->db->log.shared;
    assert_int_equal(ae_load64(&log->published) & 0xffff, 0);
    ae_store64(&log->states[0].number, number);
    ae_store64(&log->states[0].framed, number);
    ae_store64(&log->written_number, number);
    ae_store64(&log->durable_number, number);
    for (uint32_t slot = 0; slot < AE_SLOTS; slot++)
        ae_store64(&shared->slots[slot].generation, generation);
}

static aero_status commit_after(aero_session *session, aero_status status)
{
    if (status == AERO_OK)
        return aero_commit(session);
    assert_ok(session, aero_rollback(session));
    return status;
}

/* Write skew of two transactions: one must fail. */
static void skew(aero_session *s, aero_session *o, int64_t step)
{
    assert_ok(s, aero_begin(s, AERO_ISOLATION_SERIALIZABLE));
    assert_ok(o, aero_begin(o, AERO_ISOLATION_SERIALIZABLE));
    (void)flight_get(s, "left");
    (void)flight_get(o, "right");
    assert_ok(s, flight_put(s, "right", step));
    assert_ok(o, flight_put(o, "left", step));
    assert_ok(s, aero_commit(s));
    assert_status(o, AERO_CONFLICT, aero_commit(o));
}

/* Everything against a model: own writes, snapshots of others, conflicts, savepoints, locks. */
static void live_through(test_store *store)
{
    aero_session *s = store->session;
    aero_session *o = session_new(store);
    aero_session *old = session_new(store);
    int64_t now[KEYS];
    int64_t then[KEYS];
    char name[32];
    for (uint32_t key = 0; key < KEYS; key++) {
        now[key] = key;
        assert_ok(s, flight_put(s, flight_name(name, key), key));
    }
    assert_ok(s, flight_put(s, "left", 0));
    assert_ok(s, flight_put(s, "right", 0));
    for (int64_t step = 1; step <= STEPS; step++) {
        const uint32_t key = (uint32_t)(step % KEYS);
        flight_name(name, key);
        if (step % 50 == 1) {
            if (aero_depth(old) > 0) {
                char other[32];
                for (uint32_t each = 0; each < KEYS; each++)
                    assert_int_equal(flight_get(old, flight_name(other, each)), then[each]);
                assert_ok(old, aero_commit(old));
            }
            assert_ok(old, aero_begin(old, AERO_ISOLATION_READ_ONLY));
            assert_int_equal(flight_get(old, name), now[key]);
            memcpy(then, now, sizeof then);
        }
        assert_ok(s, aero_begin(s, (int32_t)(step % 2)));
        assert_int_equal(flight_get(s, name), now[key]);
        assert_ok(s, flight_put(s, name, 1000 + step));
        assert_ok(s, aero_savepoint(s, "s", 1));
        assert_ok(s, flight_delete(s, name));
        assert_ok(s, aero_rollback_to(s, "s", 1));
        assert_int_equal(flight_get(o, name), now[key]);
        assert_ok(o, aero_begin(o, AERO_ISOLATION_SNAPSHOT));
        assert_status(o, AERO_CONFLICT, commit_after(o, flight_put(o, name, 1)));
        if (step % 3 == 0) {
            assert_ok(s, aero_rollback(s));
        } else {
            assert_ok(s, aero_commit(s));
            now[key] = 1000 + step;
        }
        assert_int_equal(flight_get(o, name), now[key]);
        if (step % 100 == 0)
            skew(s, o, step);
    }
    assert_ok(old, aero_rollback(old));
    aero_session_close(old);
    aero_session_close(o);
}

/* A child dies with a transaction open, and its row is free again. */
static void bury(test_store *store)
{
    int status = 0;
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        if (aero_begin(store->session, AERO_ISOLATION_SERIALIZABLE) != AERO_OK ||
            flight_put(store->session, "left", 77) != AERO_OK)
            _exit(1);
        kill(getpid(), SIGKILL);
    }
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    assert_true(WIFSIGNALED(status));
    assert_int_not_equal(flight_get(store->session, "left"), 77);
    assert_ok(store->session, flight_put(store->session, "left", 78));
}

/* Goal: order and visibility are right when positions pass the bits that anything keeps of them:
 * 16 of the lap, 30 in an entry, 32, 40, 48. */
static void test_positions_pass_the_ends_of_their_bits(void **state)
{
    (void)state;
    const uint32_t bits[] = {16, 26, 30, 32, 40, 48};
    for (size_t index = 0; index < sizeof bits / sizeof bits[0]; index++) {
        test_store store;
        store_open_at(&store, ((uint64_t)1 << bits[index]) - BEFORE, 0);
        live_through(&store);
        bury(&store);
        assert_true(ae_load64(&store.db->proc.shared->clock) > (uint64_t)1 << bits[index]);
        store_close(&store);
    }
}

/* Goal: the same for generations of slots: 21 bits in latches, 27 in marks, 31 in owners, 40 in the
 * queue. */
static void test_generations_pass_the_ends_of_their_bits(void **state)
{
    (void)state;
    const uint32_t bits[] = {21, 27, 31, 32, 40};
    for (size_t index = 0; index < sizeof bits / sizeof bits[0]; index++) {
        test_store store;
        store_open_at(&store, 1, ((uint64_t)1 << bits[index]) - BEFORE);
        live_through(&store);
        bury(&store);
        store_close(&store);
    }
}

/* Goal: at the last number there is a clean stop.  Method: three commits before it. */
static void test_the_last_commit_number_is_a_clean_stop(void **state)
{
    test_store store;
    (void)state;
    store_open_at(&store, AE_COMMITS_MAX - 3, 9);
    aero_session *s = store.session;
    for (int64_t commit = 1; commit <= 3; commit++)
        assert_ok(s, flight_put(s, "row", commit));
    assert_status(s, AERO_LIMIT, flight_put(s, "row", 4));
    assert_ok(s, aero_begin(s, AERO_ISOLATION_SERIALIZABLE));
    assert_ok(s, flight_put(s, "row", 5));
    assert_status(s, AERO_LIMIT, aero_commit(s));
    assert_int_equal(aero_depth(s), 0);
    assert_int_equal(flight_get(s, "row"), 3);
    assert_int_equal(row_count(s, FLIGHTS), 1);
    store_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_positions_pass_the_ends_of_their_bits),
    cmocka_unit_test(test_generations_pass_the_ends_of_their_bits),
    cmocka_unit_test(test_the_last_commit_number_is_a_clean_stop),
};
AE_TEST_MAIN(tests)
