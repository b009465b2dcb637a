/* Row latches: locking a row, queueing for a hot one, and what happens when the owner dies, stops,
 * or waits in a circle.
 *
 * variants: plain asan tsan
 */
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>

#include "flights.h"
#include "txn/latch.h"

enum { DEADLINE_MS = 60000 };
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { ADDS = 150 };
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
enum { ADDS = 150 };
#else
enum { ADDS = 2000 };
#endif
#else
enum { ADDS = 2000 };
#endif

static aero_status lock_row(aero_session *session, const char *key)
{
    const aero_value value = v_text(key);
    int32_t found = 0;
    const aero_status status = aero_lock_row(session, FLIGHTS, &value, &found);
    return status == AERO_OK && !found ? AERO_NOT_FOUND : status;
}

static aero_status add_one(aero_session *session, const char *key)
{
    const aero_value value = v_text(key);
    const aero_value one = v_int(1);
    int32_t found = 0;
    const aero_status status = aero_incr(session, FLIGHTS, &value, FLIGHT_ALTITUDE, &one, NULL,
                                         &found);
    return status == AERO_OK && !found ? AERO_NOT_FOUND : status;
}

/* The latch of the only row there is. */
static ae_a32 *only_latch(const test_store *store)
{
    const ae_heap *heap = &store->db->heap;
    const ae_slab *slab = ae_pool_slab(heap, &heap->pools[ae_heap_anchor_pool(FLIGHTS)], 0);
    for (uint32_t index = 0; index < ae_load32(&slab->high); index++) {
        ae_anchor *anchor = ae_slab_object(slab, index);
        if (ae_head_is_row(ae_load64(&anchor->head)))
            return &anchor->latch;
    }
    fail_msg("no row");
    return NULL;
}

static void wait_until_somebody_waits(const ae_a32 *latch)
{
    const uint64_t end = now_ns() + (uint64_t)DEADLINE_MS * 1000000;
    while ((ae_load32_acquire(latch) & AE_LATCH_WAITS) == 0) {
        const struct timespec moment = {0, 100000};
        if (now_ns() > end)
            fail_msg("nobody waits");
        nanosleep(&moment, NULL);
    }
}

typedef struct other {
    aero_db *db;
    bool locks;
    aero_status status;
    pthread_t thread;
} other;

/* Another writer of "row": by a statement, or by a transaction that locks, reads and writes. */
static void *write_row(void *context)
{
    other *work = context;
    aero_session *session = NULL;
    aero_error error;
    work->status = aero_session_open(work->db, &session, &error);
    if (work->status != AERO_OK)
        return NULL;
    if (!work->locks) {
        work->status = add_one(session, "row");
    } else {
        work->status = aero_begin(session, AERO_ISOLATION_SERIALIZABLE);
        if (work->status == AERO_OK)
            work->status = lock_row(session, "row");
        if (work->status == AERO_OK)
            work->status = flight_put(session, "row", flight_get(session, "row") + 1);
        if (work->status == AERO_OK)
            work->status = aero_commit(session);
    }
    aero_session_close(session);
    return NULL;
}

/* Goal: who locks a row first reads and writes it without a conflict; others wait, statements as
 * well as transactions, and see what it wrote; readers see nothing of it.  Method: another thread
 * writes once it is seen waiting. */
static void test_writers_wait_for_the_lock_and_readers_do_not(void **state)
{
    (void)state;
    for (int locks = 0; locks < 2; locks++) {
        test_store store;
        store_open(&store, 16 << 20);
        aero_session *s = store.session;
        aero_session *reader = session_new(&store);
        /* A slow machine must not turn waiting into giving up. */
        assert_ok(s, aero_config_set(s, "aerostore.lock_timeout_ms", "60000"));
        assert_ok(s, flight_put(s, "row", 1));
        other work = {.db = store.db, .locks = locks != 0};
        assert_ok(s, aero_begin(s, AERO_ISOLATION_SERIALIZABLE));
        assert_ok(s, lock_row(s, "row"));
        assert_ok(s, lock_row(s, "row")); /* again: nothing changes */
        assert_status(s, AERO_NOT_FOUND, lock_row(s, "no such row"));
        assert_int_equal(pthread_create(&work.thread, NULL, write_row, &work), 0);
        wait_until_somebody_waits(only_latch(&store));
        assert_int_equal(flight_get(reader, "row"), 1);
        assert_int_equal(row_count(reader, FLIGHTS), 1);
        assert_ok(s, flight_put(s, "row", flight_get(s, "row") + 10));
        assert_ok(s, aero_commit(s));
        pthread_join(work.thread, NULL);
        assert_int_equal(work.status, AERO_OK);
        assert_int_equal(flight_get(s, "row"), 12);
        assert_int_equal(stat_value(s, "conflicts_write") + stat_value(s, "conflicts_lock"), 0);
        aero_session_close(reader);
        store_close(&store);
    }
}

static void test_a_lock_needs_a_transaction_that_may_write(void **state)
{
    test_store store;
    (void)state;
    store_open(&store, 16 << 20);
    aero_session *s = store.session;
    assert_ok(s, flight_put(s, "row", 1));
    assert_status(s, AERO_USAGE, lock_row(s, "row"));
    assert_ok(s, aero_begin(s, AERO_ISOLATION_READ_ONLY));
    assert_status(s, AERO_READ_ONLY, lock_row(s, "row"));
    assert_ok(s, aero_rollback(s));
    assert_ok(s, aero_begin(s, AERO_ISOLATION_SNAPSHOT));
    assert_ok(s, lock_row(s, "row"));
    assert_ok(s, aero_rollback(s));
    assert_int_equal(ae_load32(only_latch(&store)), 0);
    store_close(&store);
}

/* Goal: what a lock is too late for is a conflict at once, not a wait.  Method: the row is written
 * after the transaction has looked; then it is locked by another. */
static void test_a_late_lock_is_a_conflict(void **state)
{
    test_store store;
    (void)state;
    store_open(&store, 16 << 20);
    aero_session *s = store.session;
    aero_session *o = session_new(&store);
    assert_ok(s, flight_put(s, "row", 1));
    assert_ok(s, aero_begin(s, AERO_ISOLATION_SERIALIZABLE));
    assert_int_equal(flight_get(s, "row"), 1);
    assert_ok(o, add_one(o, "row"));
    assert_status(s, AERO_CONFLICT, lock_row(s, "row"));
    assert_int_equal(aero_session_error(s)->reason, AERO_CONFLICT_WRITE);
    assert_int_equal(aero_session_error(s)->aborted, 1);
    assert_ok(s, aero_rollback(s));
    /* Looked already, so waiting would only end in a conflict: a write does not wait. */
    assert_ok(o, aero_begin(o, AERO_ISOLATION_SERIALIZABLE));
    assert_ok(o, lock_row(o, "row"));
    assert_ok(s, aero_begin(s, AERO_ISOLATION_SERIALIZABLE));
    assert_int_equal(flight_get(s, "row"), 2);
    assert_status(s, AERO_CONFLICT, add_one(s, "row"));
    assert_int_equal(aero_session_error(s)->reason, AERO_CONFLICT_LOCK);
    assert_string_equal(aero_conflict_name(AERO_CONFLICT_LOCK), "lock");
    assert_ok(s, aero_rollback(s));
    assert_ok(o, aero_rollback(o));
    assert_int_equal(stat_value(s, "conflicts_lock"), 1);
    aero_session_close(o);
    store_close(&store);
}

typedef struct crossing {
    aero_db *db;
    pthread_barrier_t *both;
    const char *first;
    const char *second;
    aero_status status;
    pthread_t thread;
} crossing;

static void *lock_two(void *context)
{
    crossing *work = context;
    aero_session *session = NULL;
    aero_error error;
    work->status = aero_session_open(work->db, &session, &error);
    if (work->status == AERO_OK)
        work->status = aero_begin(session, AERO_ISOLATION_SNAPSHOT);
    if (work->status == AERO_OK)
        work->status = lock_row(session, work->first);
    pthread_barrier_wait(work->both);
    if (work->status == AERO_OK)
        work->status = lock_row(session, work->second);
    if (work->status == AERO_OK)
        work->status = aero_commit(session);
    aero_session_close(session);
    return NULL;
}

/* Goal: two rows locked in opposite order never last (K3): one of the two gives way at once, and
 * the other gets both.  Method: two threads, many times, with a timeout that nobody may need. */
static void test_opposite_orders_do_not_deadlock(void **state)
{
    test_store store;
    (void)state;
    store_open(&store, 16 << 20);
    aero_session *s = store.session;
    assert_ok(s, aero_config_set(s, "aerostore.lock_timeout_ms", "3600000"));
    assert_ok(s, flight_put(s, "a", 1));
    assert_ok(s, flight_put(s, "b", 1));
    for (int round = 0; round < 40; round++) {
        pthread_barrier_t both;
        pthread_barrier_init(&both, NULL, 2);
        crossing ways[2] = {{.db = store.db, .both = &both, .first = "a", .second = "b"},
                            {.db = store.db, .both = &both, .first = "b", .second = "a"}};
        for (int way = 0; way < 2; way++)
            assert_int_equal(pthread_create(&ways[way].thread, NULL, lock_two, &ways[way]), 0);
        for (int way = 0; way < 2; way++)
            pthread_join(ways[way].thread, NULL);
        pthread_barrier_destroy(&both);
        assert_int_equal((ways[0].status == AERO_OK) + (ways[1].status == AERO_OK), 1);
        assert_int_equal(ways[0].status + ways[1].status, AERO_CONFLICT);
    }
    store_close(&store);
}

/* A child that locks "row" (or takes its latch as a retry does) and then does nothing. */
static pid_t child_holding(test_store *store, bool as_user)
{
    int ready[2];
    char byte = 0;
    assert_int_equal(pipe(ready), 0);
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        aero_session *s = store->session;
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failing test leaves nobody behind */
        if (as_user) {
            if (aero_begin(s, AERO_ISOLATION_SERIALIZABLE) != AERO_OK ||
                lock_row(s, "row") != AERO_OK)
                _exit(1);
        } else {
            (void)flight_get(s, "row"); /* the first call in a child begins anew */
            const ae_a32 *latch = only_latch(store);
            const ae_anchor *anchor = (const ae_anchor *)(const void *)((const char *)latch -
                                                                        offsetof(ae_anchor, latch));
            s->hot = (ae_hot){
                .table = FLIGHTS,
                .tag = ae_load32(&anchor->tag),
                .anchor = (ae_ref)(((const char *)anchor - store->db->segment.base) / AE_UNIT),
                .heat = 1,
                .retry = true};
            if (aero_begin(s, AERO_ISOLATION_SERIALIZABLE) != AERO_OK)
                _exit(1);
        }
        if (write(ready[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    assert_int_not_equal(ae_load32(only_latch(store)), 0);
    return child;
}

static void child_end(pid_t child)
{
    int status = 0;
    kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
}

/* Goal: K1, K2: a latch dies with its owner.  Method: the child is killed while a thread waits. */
static void test_the_lock_dies_with_its_owner(void **state)
{
    test_store store;
    (void)state;
    store_open(&store, 16 << 20);
    assert_ok(store.session,
              aero_config_set(store.session, "aerostore.lock_timeout_ms", "3600000"));
    assert_ok(store.session, flight_put(store.session, "row", 1));
    for (int locks = 0; locks < 2; locks++) {
        other work = {.db = store.db, .locks = locks != 0};
        const pid_t child = child_holding(&store, true);
        assert_int_equal(pthread_create(&work.thread, NULL, write_row, &work), 0);
        wait_until_somebody_waits(only_latch(&store));
        child_end(child);
        pthread_join(work.thread, NULL);
        assert_int_equal(work.status, AERO_OK);
    }
    assert_int_equal(flight_get(store.session, "row"), 3);
    store_close(&store);
}

/* Goal: a stopped owner delays others for a bounded time.  Method: the child is stopped; a lock of
 * its user is respected until the timeout, a latch of the engine's own is taken away. */
static void test_a_stopped_owner_delays_others_for_a_bounded_time(void **state)
{
    (void)state;
    for (int as_user = 0; as_user < 2; as_user++) {
        test_store store;
        store_open(&store, 16 << 20);
        aero_session *s = store.session;
        assert_ok(s, aero_config_set(s, "aerostore.lock_timeout_ms", "300"));
        assert_ok(s, flight_put(s, "row", 1));
        const pid_t child = child_holding(&store, as_user != 0);
        kill(child, SIGSTOP);
        assert_ok(s, aero_begin(s, AERO_ISOLATION_SERIALIZABLE));
        const uint64_t from = now_ns();
        const aero_status status = add_one(s, "row");
        const uint64_t took_ms = (now_ns() - from) / 1000000;
        if (as_user) {
            assert_int_equal(status, AERO_CONFLICT);
            assert_int_equal(aero_session_error(s)->reason, AERO_CONFLICT_LOCK);
            assert_true(took_ms >= 300);
            assert_ok(s, aero_rollback(s));
        } else {
            assert_int_equal(status, AERO_OK);
            assert_ok(s, aero_commit(s));
        }
        assert_int_equal(flight_get(s, "row"), as_user ? 1 : 2);
        child_end(child);
        assert_ok(s, add_one(s, "row"));
        store_close(&store);
    }
}

/* ---- escalation ----------------------------------------------------------------------------- */

enum { PROCESSES = 6 };

/* Read "row", write something else, then the row: long enough that others come between. */
static aero_status count_slowly(aero_session *session, uint32_t number)
{
    char own[32];
    aero_status status = aero_begin(session, AERO_ISOLATION_SERIALIZABLE);
    if (status != AERO_OK)
        return status;
    const int64_t now = flight_get(session, "row");
    sched_yield();
    status = flight_put(session, flight_name(own, number), now);
    if (status == AERO_OK)
        status = flight_put(session, "row", now + 1);
    sched_yield();
    if (status == AERO_OK)
        return aero_commit(session);
    (void)aero_rollback(session);
    return status;
}

/* Goal: writers of a hot row queue, nobody starves, nothing is lost; with the switch off nobody
 * queues.  Method: processes count one row up by transactions. */
static void test_writers_of_a_hot_row_take_turns(void **state)
{
    (void)state;
    for (int queues = 0; queues < 2; queues++) {
        test_store store;
        pid_t children[PROCESSES];
        store_open(&store, 16 << 20);
        aero_session *s = store.session;
        assert_ok(s, aero_config_set(s, "aerostore.escalate_after", queues ? "1" : "0"));
        assert_ok(s, flight_put(s, "row", 0));
        for (uint32_t number = 0; number < PROCESSES; number++) {
            fflush(NULL);
            children[number] = fork();
            assert_true(children[number] >= 0);
            if (children[number] == 0) {
                for (uint32_t done = 0; done < ADDS / 4;) {
                    const aero_status status = count_slowly(s, number);
                    if (status != AERO_OK && status != AERO_CONFLICT)
                        _exit(1);
                    done += status == AERO_OK;
                }
                for (uint32_t done = 0; done < ADDS; done++)
                    if (add_one(s, "row") != AERO_OK)
                        _exit(2);
                _exit(0);
            }
        }
        for (uint32_t number = 0; number < PROCESSES; number++)
            child_join(children[number]);
        assert_int_equal(flight_get(s, "row"), PROCESSES * (ADDS + ADDS / 4));
        const uint64_t conflicts = stat_value(s, "conflicts_write");
        if (!queues)
            assert_int_equal(stat_value(s, "row_latches"), 0);
        else if (conflicts != 0)
            assert_true(stat_value(s, "row_latches") > 0);
        store_close(&store);
    }
}

/* Goal: a word that names an earlier claim of a slot holds nobody up.  Method: one is left. */
static void test_a_latch_of_an_earlier_claim_has_lapsed(void **state)
{
    test_store store;
    (void)state;
    store_open(&store, 16 << 20);
    aero_session *s = store.session;
    assert_ok(s, aero_config_set(s, "aerostore.lock_timeout_ms", "3600000"));
    assert_ok(s, flight_put(s, "row", 1));
    ae_a32 *latch = only_latch(&store);
    for (uint32_t flags = 0; flags < 8; flags++) {
        ae_store32(latch, flags << 21 | 7u << AE_LATCH_SLOT_SHIFT | 5u);
        assert_ok(s, add_one(s, "row"));
        assert_ok(s, aero_begin(s, AERO_ISOLATION_SERIALIZABLE));
        assert_ok(s, lock_row(s, "row"));
        assert_ok(s, aero_commit(s));
        assert_int_equal(ae_load32(latch) & ~(AE_LATCH_FLAGS), 0);
    }
    store_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_writers_wait_for_the_lock_and_readers_do_not),
    cmocka_unit_test(test_a_lock_needs_a_transaction_that_may_write),
    cmocka_unit_test(test_a_late_lock_is_a_conflict),
    cmocka_unit_test(test_opposite_orders_do_not_deadlock),
    cmocka_unit_test(test_the_lock_dies_with_its_owner),
    cmocka_unit_test(test_a_stopped_owner_delays_others_for_a_bounded_time),
    cmocka_unit_test(test_writers_of_a_hot_row_take_turns),
    cmocka_unit_test(test_a_latch_of_an_earlier_claim_has_lapsed),
};
AE_TEST_MAIN(tests)
