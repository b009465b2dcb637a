/* Cursors on a real table: writes under an open cursor, own writes, ends of transactions, forks.
 *
 * variants: plain asan
 */
#include "harness.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "aerostore/descriptor.h"

enum { ROWS = 3000 };

typedef struct place {
    char folder[64];
    char segment[96];
    aero_db *db;
    aero_session *session;
} place;

static int open_place(void **state)
{
    place *here = calloc(1, sizeof *here);
    aero_error error;
    strcpy(here->folder, "/tmp/aerostore-query-XXXXXX");
    assert_non_null(mkdtemp(here->folder));
    snprintf(here->segment, sizeof here->segment, "%s/segment", here->folder);
    const aero_open_options options = {
        .data_dir = here->folder, .shm_path = here->segment, .size = 256u << 20};
    if (aero_open(&options, &here->db, &error) != AERO_OK)
        fail_msg("%s", error.text);
    assert_int_equal(aero_session_open(here->db, &here->session, &error), AERO_OK);
    *state = here;
    return 0;
}

static int close_place(void **state)
{
    place *here = *state;
    aero_error error;
    aero_session_close(here->session);
    assert_int_equal(aero_close(here->db, &error), AERO_OK);
    unlink(here->segment);
    char command[160];
    snprintf(command, sizeof command, "rm -rf '%s'", here->folder);
    assert_int_equal(system(command), 0);
    free(here);
    return 0;
}

static void check(const place *here, aero_status status)
{
    if (status != AERO_OK)
        fail_msg("%s", aero_session_error(here->session)->text);
}

/* Upsert flights F0 … of an altitude; columns 0 and 3 are key and altitude, 1, 2, 5 required. */
static void put(const place *here, int first, int count, int64_t altitude)
{
    static const uint32_t columns[] = {0, 1, 2, 3, 5};
    for (int i = first; i < first + count; i++) {
        char key[16];
        const int length = snprintf(key, sizeof key, "F%d", i);
        int32_t inserted;
        const aero_value values[] = {
            {.type = AERO_TYPE_TEXT, .length = (uint32_t)length, .u.data = key},
            {.type = AERO_TYPE_DOUBLE, .u.real = i},
            {.type = AERO_TYPE_DOUBLE, .u.real = -i},
            {.type = AERO_TYPE_INT, .u.integer = altitude},
            {.type = AERO_TYPE_INT, .u.integer = 1533099600 + i},
        };
        check(here, aero_upsert(here->session, 0, 5, columns, values, &inserted));
    }
}

static aero_query *query_on(const place *here, const char *compare)
{
    aero_query *query;
    check(here, aero_query_new(here->session, 0, &query));
    if (compare != NULL)
        check(here, aero_query_compare(query, compare, strlen(compare)));
    return query;
}

static uint64_t count(const place *here, const char *compare)
{
    aero_query *query = query_on(here, compare);
    uint64_t rows;
    check(here, aero_query_count(query, &rows));
    aero_query_free(query);
    return rows;
}

/* Goal: each row is given once as it was, while the body deletes, changes and adds rows; method: do
 * so for every row, streamed and sorted. */
static void writes_under_an_open_cursor(void **state)
{
    place *here = *state;
    const uint32_t columns[] = {0, 3};
    for (int sorted = 0; sorted < 2; sorted++) {
        put(here, 0, ROWS, 1);
        aero_query *query = query_on(here, NULL);
        aero_cursor *cursor;
        const aero_row *row;
        int rows = 0;
        if (sorted)
            check(here, aero_query_sort(query, 1, 1));
        check(here, aero_cursor_open(query, &cursor));
        for (;;) {
            aero_value values[2];
            int32_t found;
            check(here, aero_cursor_next(cursor, &row));
            if (row == NULL)
                break;
            aero_row_values(row, 2, columns, values);
            assert_int_equal(values[1].u.integer, 1);
            const int number = atoi(values[0].u.data + 1);
            if (number % 3 == 0) {
                check(here, aero_delete(here->session, 0, &values[0], &found));
                assert_int_equal(found, 1);
            } else {
                put(here, number, 1, 2);
            }
            put(here, ROWS + number, 1, 3);
            aero_row_values(row, 2, columns, values); /* still the row it was */
            assert_int_equal(values[1].u.integer, 1);
            rows++;
        }
        assert_int_equal(rows, ROWS);
        aero_cursor_close(cursor);
        aero_query_free(query);
        assert_int_equal(count(here, "= altitude 1"), 0);
        assert_int_equal(count(here, "= altitude 2"), ROWS * 2 / 3);
        assert_int_equal(count(here, "= altitude 3"), ROWS);
        uint64_t deleted;
        check(here, aero_reset(here->session, 0, &deleted));
    }
}

/* Goal: in a transaction a query sees the transaction's writes made before it, and its cursor ends
 * with it; method: write, search, commit and roll back under the cursor. */
static void cursors_in_a_transaction(void **state)
{
    place *here = *state;
    aero_cursor *cursor;
    const aero_row *row;
    put(here, 0, 10, 1);
    for (int way = 0; way < 2; way++) {
        check(here, aero_begin(here->session, AERO_ISOLATION_SERIALIZABLE));
        put(here, 5, 10, 7);
        assert_int_equal(count(here, "= altitude 7"), 10);
        assert_int_equal(count(here, "= flight_id F14"), 1);
        aero_query *query = query_on(here, "= altitude 7");
        check(here, aero_cursor_open(query, &cursor));
        check(here, aero_cursor_next(cursor, &row));
        assert_non_null(row);
        check(here, way == 0 ? aero_rollback(here->session) : aero_commit(here->session));
        assert_int_equal(aero_cursor_next(cursor, &row), AERO_STALE);
        assert_null(row);
        aero_cursor_close(cursor);
        aero_query_free(query);
        assert_int_equal(count(here, "= altitude 7"), way == 0 ? 0 : 10);
    }
}

/* Goal: a fork's child cannot use the parent's cursor, but can search; the parent goes on; method:
 * fork with a cursor in the middle. */
static void cursors_and_fork(void **state)
{
    place *here = *state;
    aero_cursor *cursor;
    const aero_row *row;
    put(here, 0, ROWS, 1);
    aero_query *query = query_on(here, "= altitude 1");
    check(here, aero_cursor_open(query, &cursor));
    check(here, aero_cursor_next(cursor, &row));
    const pid_t child = fork();
    if (child == 0) {
        uint64_t rows = 0;
        const bool stale = aero_cursor_next(cursor, &row) == AERO_STALE;
        aero_cursor_close(cursor);
        const bool counted = aero_query_count(query, &rows) == AERO_OK && rows == ROWS;
        _exit(stale ? counted ? 0 : 2 : 1);
    }
    int outcome;
    assert_int_equal(waitpid(child, &outcome, 0), child);
    assert_int_equal(outcome, 0);
    int rows = 1;
    while (aero_cursor_next(cursor, &row) == AERO_OK && row != NULL)
        rows++;
    assert_int_equal(rows, ROWS);
    aero_cursor_close(cursor);
    aero_query_free(query);
}

/* Goal: closing a session lets its cursors go, and their slots; method: close with many open. */
static void session_closes_its_cursors(void **state)
{
    place *here = *state;
    aero_cursor *cursors[100];
    const aero_row *row;
    aero_error error;
    put(here, 0, 10, 1);
    for (int round = 0; round < 5; round++) {
        aero_query *query = query_on(here, NULL);
        for (int i = 0; i < 100; i++)
            check(here, aero_cursor_open(query, &cursors[i]));
        aero_session_close(here->session);
        assert_int_equal(aero_session_open(here->db, &here->session, &error), AERO_OK);
        for (int i = 0; i < 100; i++) {
            assert_int_equal(aero_cursor_next(cursors[i], &row), AERO_STALE);
            aero_cursor_close(cursors[i]);
        }
        aero_query_free(query);
    }
    assert_int_equal(count(here, NULL), 10);
}

/* Goal: too many cursors are an error that can be retried; method: open until it comes. */
static void cursors_run_out_of_slots(void **state)
{
    place *here = *state;
    enum { MANY = 400 };
    static aero_cursor *cursors[MANY];
    aero_query *query = query_on(here, NULL);
    int open = 0;
    while (open < MANY && aero_cursor_open(query, &cursors[open]) == AERO_OK)
        open++;
    assert_in_range(open, 100, 256);
    assert_int_equal(aero_session_error(here->session)->code, AERO_NO_SLOT);
    assert_int_equal(aero_session_error(here->session)->retryable, 1);
    for (int i = 0; i < open; i++)
        aero_cursor_close(cursors[i]);
    assert_int_equal(aero_cursor_open(query, &cursors[0]), AERO_OK);
    aero_cursor_close(cursors[0]);
    aero_query_free(query);
}

/* Goal: what a search through an index has read is validated at commit, phantoms too, also when the
 * constants were bound anew since; method: another session inserts inside, and outside. */
static void phantoms_of_index_reads_conflict(void **state)
{
    place *here = *state;
    static const char *const ways[] = {"scan", "index altitude", "intersection"};
    aero_error error;
    aero_session *other;
    put(here, 0, ROWS, 1);
    assert_int_equal(aero_session_open(here->db, &other, &error), AERO_OK);
    aero_session *const mine = here->session;
    const uint32_t updated = 5;
    const aero_value parameter = {.type = AERO_TYPE_PARAMETER};
    const aero_value late = {.type = AERO_TYPE_INT, .u.integer = 1533099000};
    for (int round = 0; round < 12; round++) {
        const bool inside = round / 3 % 2 == 0;
        const bool rebinds = round >= 6;
        const char *way = ways[round % 3];
        aero_query *query = query_on(here, NULL);
        check(here, aero_query_clause(query, AERO_OP_EQ, 3, 1, &parameter));
        check(here, aero_query_clause(query, AERO_OP_GE, updated, 1, &late));
        check(here, aero_query_using(query, way, strlen(way)));
        uint64_t rows;
        for (int64_t value = 500 + round; value < 1000; value += 400) {
            const aero_value altitude = {.type = AERO_TYPE_INT, .u.integer = value};
            if (value < 900)
                check(here, aero_begin(mine, AERO_ISOLATION_SERIALIZABLE));
            else if (!rebinds)
                break;
            check(here, aero_query_bind(query, 0, 1, &altitude));
            check(here, aero_query_count(query, &rows));
            assert_int_equal(rows, 0);
        }
        put(here, 2 * ROWS + round, 1, 3); /* a write, so that the commit is validated */
        here->session = other;
        put(here, ROWS + round, 1, inside ? 500 + round : 700 + round);
        here->session = mine;
        assert_int_equal(aero_commit(mine), inside ? AERO_CONFLICT : AERO_OK);
        aero_query_free(query);
    }
    aero_session_close(other);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(writes_under_an_open_cursor, open_place, close_place),
    cmocka_unit_test_setup_teardown(cursors_in_a_transaction, open_place, close_place),
    cmocka_unit_test_setup_teardown(cursors_and_fork, open_place, close_place),
    cmocka_unit_test_setup_teardown(session_closes_its_cursors, open_place, close_place),
    cmocka_unit_test_setup_teardown(cursors_run_out_of_slots, open_place, close_place),
    cmocka_unit_test_setup_teardown(phantoms_of_index_reads_conflict, open_place, close_place),
};

AE_TEST_MAIN(tests)
