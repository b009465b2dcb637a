/* Transactions and cursors that are open too long: cancelled, told so, and no longer in the way.
 *
 * variants: plain asan tsan
 */
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>

#include "flights.h"
#include "txn/txn.h"

enum { ACCOUNTS = 16, MONEY = 100 };
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { LOOKS = 400 };
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
enum { LOOKS = 400 };
#else
enum { LOOKS = 6000 };
#endif
#else
enum { LOOKS = 6000 };
#endif

/* Look as if it were an hour later. */
static void let_an_hour_pass(aero_db *db)
{
    ae_cancel_overdue_at(db, now_ns() + 3600000000000u);
}

static aero_status try_get(aero_session *session, const char *key, int64_t *altitude)
{
    const uint32_t column = FLIGHT_ALTITUDE;
    const aero_value value = v_text(key);
    aero_value got;
    int32_t found = 0;
    const aero_status status = aero_get(session, FLIGHTS, &value, 1, &column, &got, &found);
    *altitude = status == AERO_OK && found ? got.u.integer : FLIGHT_NONE;
    return status;
}

/* Goal: an idle transaction that is too old no longer holds the horizon; its owner is told at its
 * next call, whichever that is, and its writes are undone.  Method: each call in turn. */
static void test_an_idle_transaction_is_cancelled_and_told(void **state)
{
    (void)state;
    for (int call = 0; call < 6; call++) {
        test_store store;
        int64_t altitude = 0;
        store_open(&store, 16 << 20);
        aero_session *s = store.session;
        aero_session *old = session_new(&store);
        assert_ok(s, aero_config_set(s, "aerostore.transaction_timeout_secs", "600"));
        assert_ok(s, flight_put(s, "row", 1));
        assert_ok(s, flight_put(s, "other", 1));
        assert_ok(old, aero_begin(old, AERO_ISOLATION_SERIALIZABLE));
        assert_int_equal(flight_get(old, "row"), 1);
        assert_ok(old, flight_put(old, "mine", 5));
        assert_ok(old, aero_savepoint(old, "s", 1));
        assert_ok(s, flight_put(s, "row", 2));
        ae_cancel_overdue(store.db); /* not old enough */
        assert_int_equal(ae_horizon_compute(&store.db->proc), old->txn.snapshot);
        let_an_hour_pass(store.db);
        assert_int_equal(stat_value(s, "cancelled"), 1);
        assert_true(ae_horizon_compute(&store.db->proc) > old->txn.snapshot);
        for (int64_t change = 3; change < 300; change++)
            assert_ok(s, flight_put(s, "row", change));
        assert_true(stat_value(s, "dead_versions") < 200);
        switch (call) {
        case 0:
            assert_status(old, AERO_CANCELLED, try_get(old, "row", &altitude));
            break;
        case 1:
            assert_status(old, AERO_CANCELLED, flight_put(old, "mine", 6));
            break;
        case 2:
            assert_status(old, AERO_CANCELLED, aero_rollback_to(old, "s", 1));
            break;
        case 3:
            assert_status(old, AERO_CANCELLED, aero_commit(old));
            assert_int_equal(aero_depth(old), 0);
            break;
        case 4:
            assert_status(old, AERO_CANCELLED, try_get(old, "row", &altitude));
            assert_status(old, AERO_CANCELLED, flight_put(old, "row", 6)); /* again and again */
            assert_status(old, AERO_CANCELLED, aero_commit(old));
            assert_int_equal(aero_depth(old), 0);
            break;
        default:
            assert_ok(old, aero_rollback(old));
        }
        if (aero_depth(old) > 0) {
            assert_int_equal(call < 3, aero_session_error(old)->aborted);
            assert_ok(old, aero_rollback(old));
        }
        assert_int_equal(flight_get(old, "mine"), FLIGHT_NONE);
        assert_ok(old, flight_put(old, "mine", 7));
        assert_int_equal(flight_get(s, "mine"), 7);
        aero_session_close(old);
        store_close(&store);
    }
}

/* Goal: without the setting nothing is cancelled. */
static void test_by_default_nothing_is_cancelled(void **state)
{
    test_store store;
    (void)state;
    store_open(&store, 16 << 20);
    aero_session *s = store.session;
    assert_ok(s, flight_put(s, "row", 1));
    assert_ok(s, aero_begin(s, AERO_ISOLATION_SNAPSHOT));
    assert_int_equal(flight_get(s, "row"), 1);
    let_an_hour_pass(store.db);
    assert_ok(s, flight_put(s, "row", 2));
    assert_ok(s, aero_commit(s));
    assert_int_equal(stat_value(s, "cancelled"), 0);
    store_close(&store);
}

/* Goal: a row in the reader's hands stays what it was, and the next call says that the snapshot is
 * too old; a cursor at rest between two batches lets go at once.  Method: cursors by row and by
 * batch, in a transaction and outside. */
static void test_cursors_are_cancelled_between_two_calls(void **state)
{
    (void)state;
    for (int way = 0; way < 4; way++) {
        const bool inside = way % 2 != 0;
        const bool by_row = way / 2 != 0;
        const uint32_t column = FLIGHT_ALTITUDE;
        test_store store;
        aero_query *query = NULL;
        aero_cursor *cursor = NULL;
        const aero_row *row = NULL;
        aero_column_data data;
        aero_value value;
        uint32_t rows = 0;
        char name[32];
        store_open(&store, 16 << 20);
        aero_session *s = store.session;
        aero_session *old = session_new(&store);
        assert_ok(s, aero_config_set(s, "aerostore.transaction_timeout_secs", "600"));
        for (uint32_t number = 0; number < 500; number++)
            assert_ok(s, flight_put(s, flight_name(name, number), 1));
        if (inside)
            assert_ok(old, aero_begin(old, AERO_ISOLATION_SNAPSHOT));
        assert_ok(old, aero_query_new(old, FLIGHTS, &query));
        assert_ok(old, aero_cursor_open(query, &cursor));
        if (by_row)
            assert_ok(old, aero_cursor_next(cursor, &row));
        else
            assert_ok(old, aero_cursor_fetch(cursor, 10, 1, &column, &data, &rows));
        const uint64_t before = ae_horizon_compute(&store.db->proc);
        for (uint32_t number = 0; number < 500; number++)
            assert_ok(s, flight_put(s, flight_name(name, number), 2));
        let_an_hour_pass(store.db);
        assert_int_equal(ae_horizon_compute(&store.db->proc) == before, by_row);
        for (uint32_t number = 0; number < 500; number++)
            assert_ok(s, flight_put(s, flight_name(name, number), 3));
        if (by_row) {
            aero_row_values(row, 1, &column, &value);
            assert_int_equal(value.u.integer, 1);
            while (aero_cursor_next(cursor, &row) == AERO_OK && row != NULL) {
                aero_row_values(row, 1, &column, &value);
                assert_int_equal(value.u.integer, 1);
            }
        } else {
            assert_status(old, AERO_CANCELLED,
                          aero_cursor_fetch(cursor, 10, 1, &column, &data, &rows));
        }
        aero_cursor_close(cursor);
        aero_query_free(query);
        if (inside)
            assert_ok(old, aero_rollback(old));
        aero_session_close(old);
        store_close(&store);
    }
}

/* Goal: row P6: a stopped process costs what the setting allows, and is told when it goes on.
 * Method: a child reads in a transaction and is stopped; rows are rewritten for a while. */
static void test_a_stopped_reader_is_cancelled(void **state)
{
    test_store store;
    int ready[2];
    int go[2];
    char byte = 0;
    int status = 0;
    (void)state;
    store_open(&store, 512 << 20); /* a second of writes */
    aero_session *s = store.session;
    assert_ok(s, aero_config_set(s, "aerostore.transaction_timeout_secs", "1"));
    assert_ok(s, flight_put(s, "row", 1));
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(go), 0);
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int64_t altitude = 0;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (aero_begin(s, AERO_ISOLATION_SERIALIZABLE) != AERO_OK ||
            try_get(s, "row", &altitude) != AERO_OK || altitude != 1 ||
            write(ready[1], "x", 1) != 1 || read(go[0], &byte, 1) != 1)
            _exit(1);
        _exit(try_get(s, "row", &altitude) == AERO_CANCELLED ? 0 : 2);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    kill(child, SIGSTOP);
    const uint64_t end = now_ns() + 60000000000u;
    int64_t change = 2;
    while (stat_value(s, "cancelled") == 0 && now_ns() < end)
        assert_ok(s, flight_put(s, "row", change++));
    /* What has piled up goes with the next writes, some at each. */
    while (stat_value(s, "dead_versions") > 500 && now_ns() < end)
        assert_ok(s, flight_put(s, "row", change++));
    assert_true(stat_value(s, "dead_versions") <= 500);
    assert_int_equal(write(go[1], "x", 1), 1);
    kill(child, SIGCONT);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    for (int end_of = 0; end_of < 2; end_of++) {
        close(ready[end_of]);
        close(go[end_of]);
    }
    store_close(&store);
}

typedef struct runner {
    aero_db *db;
    _Atomic uint32_t *over;
    uint64_t seed;
    uint32_t cancelled;
    const char *wrong;
    pthread_t thread;
} runner;

static void *move_money(void *context)
{
    runner *work = context;
    aero_session *session = NULL;
    aero_error error;
    char from[32];
    char to[32];
    if (aero_session_open(work->db, &session, &error) != AERO_OK)
        return (void)(work->wrong = "session"), NULL;
    while (atomic_load_explicit(work->over, memory_order_acquire) == 0) {
        int64_t a = 0;
        int64_t b = 0;
        const uint64_t first = next_random(&work->seed) % ACCOUNTS;
        flight_name(from, first);
        flight_name(to, (first + 1 + next_random(&work->seed) % (ACCOUNTS - 1)) % ACCOUNTS);
        aero_status status = aero_begin(session, AERO_ISOLATION_SERIALIZABLE);
        if (status == AERO_OK)
            status = try_get(session, from, &a);
        if (status == AERO_OK)
            status = try_get(session, to, &b);
        if (status == AERO_OK)
            status = flight_put(session, from, a - 1);
        if (next_random(&work->seed) % 64 == 0)
            let_an_hour_pass(work->db);
        if (status == AERO_OK)
            status = flight_put(session, to, b + 1);
        if (status == AERO_OK)
            status = aero_commit(session);
        if (status != AERO_OK && status != AERO_CONFLICT && status != AERO_CANCELLED)
            work->wrong = "transfer";
        work->cancelled += status == AERO_CANCELLED;
        if (aero_depth(session) > 0 && aero_rollback(session) != AERO_OK)
            work->wrong = "rollback";
    }
    aero_session_close(session);
    return NULL;
}

static void *cancel_all(void *context)
{
    runner *work = context;
    while (atomic_load_explicit(work->over, memory_order_acquire) == 0)
        let_an_hour_pass(work->db);
    return NULL;
}

/* Goal: a cancelled reader gets an error and never wrong rows, and cancelled writers leave nothing.
 * Method: everything is cancelled at once and all the time, while money is moved and counted. */
static void test_cancelled_transactions_never_see_wrong_rows(void **state)
{
    test_store store;
    _Atomic uint32_t over = 0;
    runner runners[3];
    char name[32];
    uint32_t whole = 0;
    uint32_t cut = 0;
    (void)state;
    uint64_t random = test_seed("cancel");
    store_open(&store, 32 << 20);
    aero_session *s = store.session;
    assert_ok(s, aero_config_set(s, "aerostore.transaction_timeout_secs", "1800"));
    for (uint32_t number = 0; number < ACCOUNTS; number++)
        assert_ok(s, flight_put(s, flight_name(name, number), MONEY));
    for (uint32_t number = 0; number < 3; number++) {
        runners[number] = (runner){.db = store.db, .over = &over, .seed = next_random(&random)};
        assert_int_equal(pthread_create(&runners[number].thread, NULL,
                                        number == 2 ? cancel_all : move_money, &runners[number]),
                         0);
    }
    for (uint32_t look = 0; look < LOOKS; look++) {
        int64_t sum = 0;
        uint32_t seen = 0;
        assert_ok(s, aero_begin(s, (int32_t)(look % 3)));
        for (; seen < ACCOUNTS; seen++) {
            int64_t altitude = 0;
            if (next_random(&random) % 64 == 0) /* whoever else is at rest, too */
                let_an_hour_pass(store.db);
            const aero_status status = try_get(s, flight_name(name, seen), &altitude);
            if (status == AERO_CANCELLED)
                break;
            assert_int_equal(status, AERO_OK);
            sum += altitude;
        }
        if (seen == ACCOUNTS)
            assert_int_equal(sum, ACCOUNTS * MONEY);
        whole += seen == ACCOUNTS;
        cut += seen != ACCOUNTS;
        assert_ok(s, aero_rollback(s));
    }
    atomic_store_explicit(&over, 1, memory_order_release);
    for (uint32_t number = 0; number < 3; number++) {
        pthread_join(runners[number].thread, NULL);
        if (runners[number].wrong != NULL)
            fail_msg("%s", runners[number].wrong);
    }
    printf("%u looks whole, %u cancelled, %u transfers cancelled\n", whole, cut,
           runners[0].cancelled + runners[1].cancelled);
    store_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_an_idle_transaction_is_cancelled_and_told),
    cmocka_unit_test(test_by_default_nothing_is_cancelled),
    cmocka_unit_test(test_cursors_are_cancelled_between_two_calls),
    cmocka_unit_test(test_a_stopped_reader_is_cancelled),
    cmocka_unit_test(test_cancelled_transactions_never_see_wrong_rows),
};
AE_TEST_MAIN(tests)
