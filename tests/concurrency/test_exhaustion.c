/* Whatever runs out is an error that passes: memory held by a reader, by a writer, by the dead.
 *
 * The segment is small, and somebody keeps what others retire from being freed: a reader with an
 * old snapshot, an open transaction that has written a lot, a process that died with either.  The
 * growth ends at the segment's size with FULL; what was there stays right and readable; and when
 * the one who held it back is gone, the others go on as if nothing had been.
 *
 * variants: plain asan
 */
#include <signal.h>

#include "flights.h"

enum {
    SEGMENT = 8 << 20,
    ROWS = 20000, /* more than half of the segment: a reader holds back the versions it sees */
    FEW = 200,
    WRITES_MOST = 200000,
    AFTERWARDS = 20000
};

static void rows_make(aero_session *session, uint32_t rows)
{
    char name[32];
    for (uint32_t row = 0; row < rows; row++)
        assert_ok(session, flight_insert(session, flight_name(name, row), row));
}

/* Update rows round and round, one a commit, until the segment is full; returns how many. */
static uint32_t write_until_full(aero_session *session, int64_t *newest)
{
    char name[32];
    for (uint32_t count = 0; count < WRITES_MOST; count++) {
        const uint32_t row = count % ROWS;
        const aero_status status = flight_put(session, flight_name(name, row), 1000 + count);
        if (status == AERO_FULL)
            return count;
        assert_status(session, AERO_OK, status);
        newest[row] = 1000 + count;
    }
    fail_msg("the segment is never full");
    return 0;
}

static void rows_check(aero_session *session, const int64_t *wanted, uint32_t rows)
{
    char name[32];
    for (uint32_t row = 0; row < rows; row++)
        assert_int_equal(flight_get(session, flight_name(name, row)), wanted[row]);
    assert_int_equal(row_count(session, FLIGHTS), rows);
}

/* Many more writes than the segment could hold versions for. */
static void goes_on(aero_session *session, uint32_t rows)
{
    char name[32];
    const uint64_t used = stat_value(session, "segment_used");
    for (uint32_t count = 0; count < AFTERWARDS; count++)
        assert_ok(session, flight_put(session, flight_name(name, count % rows), count));
    assert_true(stat_value(session, "segment_used") <= used);
}

/* Goal: row M12: one reader that holds the horizon.  Method: it opens a snapshot; another writes
 * until FULL; both still read what they should; the reader ends, and there is room again. */
static void test_a_reader_holds_back_no_more_than_the_segment(void **state)
{
    test_store store;
    static int64_t newest[ROWS];
    static int64_t first[ROWS];
    (void)state;
    store_open(&store, SEGMENT);
    aero_session *reader = session_new(&store);
    rows_make(store.session, ROWS);
    for (uint32_t row = 0; row < ROWS; row++)
        first[row] = newest[row] = row;
    for (int round = 0; round < 3; round++) {
        memcpy(first, newest, sizeof first);
        assert_ok(reader, aero_begin(reader, AERO_ISOLATION_READ_ONLY));
        rows_check(reader, first, ROWS);
        const uint32_t writes = write_until_full(store.session, newest);
        printf("full after %u updates\n", writes);
        assert_true(writes > 1000);
        assert_true(stat_value(store.session, "segment_used") <= SEGMENT);
        rows_check(reader, first, ROWS);
        rows_check(store.session, newest, ROWS);
        /* It stays full, but for the few that fit into what kinds of use have left over. */
        assert_in_range(write_until_full(store.session, newest), 0, writes / 8);
        rows_check(reader, first, ROWS);
        assert_ok(reader, aero_commit(reader));
        assert_ok(store.session, flight_put(store.session, "f0000000", newest[0]));
        rows_check(store.session, newest, ROWS);
    }
    aero_session_close(reader);
    goes_on(store.session, ROWS);
    store_close(&store);
}

/* Goal: the same for a reader that is killed: nobody has to be told.  Method: a child holds a
 * snapshot until the parent is full and kills it; the next writes succeed by themselves. */
static void test_room_comes_back_from_a_dead_reader(void **state)
{
    test_store store;
    static int64_t newest[ROWS];
    int gate[2];
    char byte = 0;
    (void)state;
    store_open(&store, SEGMENT);
    rows_make(store.session, ROWS);
    for (uint32_t row = 0; row < ROWS; row++)
        newest[row] = row;
    assert_int_equal(pipe(gate), 0);
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        if (aero_begin(store.session, AERO_ISOLATION_SNAPSHOT) != AERO_OK ||
            flight_get(store.session, "f0000000") != 0 || write(gate[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(gate[0], &byte, 1), 1);
    assert_true(write_until_full(store.session, newest) > 1000);
    kill(child, SIGKILL);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_ok(store.session, flight_put(store.session, "f0000000", newest[0]));
    rows_check(store.session, newest, ROWS);
    goes_on(store.session, ROWS);
    close(gate[0]);
    close(gate[1]);
    store_close(&store);
}

/* Goal: a transaction that fills the segment is intact, and can be rolled back; others read on.
 * Method: insert until FULL in one transaction; read own rows; roll back; then again, by savepoint.
 */
static void test_a_transaction_that_fills_the_segment_rolls_back(void **state)
{
    test_store store;
    char name[32];
    int64_t first[FEW];
    (void)state;
    store_open(&store, SEGMENT);
    aero_session *s = store.session;
    aero_session *other = session_new(&store);
    rows_make(s, FEW);
    for (uint32_t row = 0; row < FEW; row++)
        first[row] = row;
    for (int round = 0; round < 3; round++) {
        uint32_t count = 0;
        assert_ok(s, aero_begin(s, AERO_ISOLATION_SERIALIZABLE));
        assert_ok(s, flight_put(s, "kept", round));
        assert_ok(s, aero_savepoint(s, "full", 4));
        aero_status status = AERO_OK;
        for (; status == AERO_OK && count < WRITES_MOST; count++)
            status = flight_put(s, flight_name(name, 1000 + count), count);
        assert_status(s, AERO_FULL, status);
        assert_true(count > 1000);
        assert_int_equal(flight_get(s, flight_name(name, 1001)), 1);
        assert_int_equal(flight_get(s, "kept"), round);
        rows_check(other, first, FEW);
        if (round == 0) {
            assert_ok(s, aero_rollback(s));
        } else {
            assert_ok(s, aero_rollback_to(s, "full", 4));
            assert_int_equal(flight_get(s, flight_name(name, 1000)), FLIGHT_NONE);
            assert_ok(s, flight_delete(s, "kept"));
            assert_ok(s, aero_commit(s));
        }
        rows_check(other, first, FEW);
    }
    aero_session_close(other);
    goes_on(s, FEW);
    store_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_reader_holds_back_no_more_than_the_segment),
    cmocka_unit_test(test_room_comes_back_from_a_dead_reader),
    cmocka_unit_test(test_a_transaction_that_fills_the_segment_rolls_back),
};

AE_TEST_MAIN(tests)
