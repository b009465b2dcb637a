/* Searches along an index that is damaged: they say so, and never end as if there were no more
 * rows.
 *
 * variants: plain asan
 */
#include "flights.h"
#include "index/catalog.h"
#include "txn/handles.h"

enum { ROWS = 3000, FEW = 2500 };

static aero_query *query_along(aero_session *session, const char *way)
{
    static const char compare[] = "{>= altitude 0} {>= updated_at 0}";
    aero_query *query = NULL;
    assert_ok(session, aero_query_new(session, FLIGHTS, &query));
    assert_ok(session, aero_query_compare(query, compare, sizeof compare - 1));
    assert_ok(session, aero_query_using(query, way, strlen(way)));
    return query;
}

/* Rows that a cursor gives, by fetches or one by one; what it ends with. */
static aero_status rows_read(aero_session *session, aero_query *query, bool one_by_one,
                             uint64_t *rows)
{
    static const uint32_t column = FLIGHT_ID;
    aero_cursor *cursor = NULL;
    aero_status status = aero_cursor_open(query, &cursor);
    *rows = 0;
    for (bool more = status == AERO_OK; more;) {
        const aero_row *row = NULL;
        aero_column_data data;
        uint32_t count = 0;
        status = one_by_one ? aero_cursor_next(cursor, &row)
                            : aero_cursor_fetch(cursor, 100, 1, &column, &data, &count);
        count += row != NULL;
        *rows += count;
        more = status == AERO_OK && count > 0;
    }
    if (status != AERO_OK)
        assert_non_null(strstr(aero_session_error(session)->text, "index of FlightState"));
    aero_cursor_close(cursor);
    return status;
}

/* All ways to walk along an index give all rows, or all say CORRUPT. */
static void ways_check(aero_session *session, aero_status expected)
{
    static const char *const ways[] = {"index altitude", "intersection"};
    static const uint32_t altitude = FLIGHT_ALTITUDE;
    static const uint32_t sorts[] = {FLIGHT_ALTITUDE, FLIGHT_LAT};
    aero_value low;
    aero_value high;
    int32_t found = 0;
    uint64_t rows = 0;
    for (int way = 0; way < 2; way++)
        for (int sorted = 0; sorted < 4; sorted++) /* not, along the index, by another, by both */
            for (int one_by_one = 0; one_by_one < 2; one_by_one++) {
                aero_query *query = query_along(session, ways[way]);
                for (int by = 0; by < 2; by++)
                    if ((sorted & 1 << by) != 0)
                        assert_ok(session, aero_query_sort(query, sorts[by], 0));
                assert_int_equal(rows_read(session, query, one_by_one != 0, &rows), expected);
                assert_int_equal(rows, expected == AERO_OK ? ROWS : 0);
                assert_int_equal(aero_query_count(query, &rows), expected);
                if (expected == AERO_OK)
                    assert_int_equal(rows, ROWS);
                aero_query_free(query);
            }
    assert_int_equal(aero_index_span(session, FLIGHTS, 1, &altitude, &low, &high, &found),
                     expected);
}

/* Goal: a reference that leads nowhere is CORRUPT, whichever way a search goes.  Method: the top of
 * an index leads to the head of the segment, beyond its end, and back. */
static void test_a_reference_that_leads_nowhere_is_told(void **state)
{
    static const uint64_t nowhere[] = {3, UINT32_MAX};
    char name[32];
    test_store store;
    (void)state;
    store_open(&store, 32 << 20);
    for (uint64_t row = 0; row < ROWS; row++)
        assert_ok(store.session, flight_put(store.session, flight_name(name, row), (int64_t)row));
    ae_a64 *top = &ae_catalog_place(&store.db->catalog, FLIGHTS, 0)->root.node;
    const uint64_t right = ae_load64(top);
    ways_check(store.session, AERO_OK);
    for (size_t wrong = 0; wrong < 2; wrong++) {
        ae_store64(top, nowhere[wrong]);
        ways_check(store.session, AERO_CORRUPT);
    }
    ae_store64(top, right);
    ways_check(store.session, AERO_OK);
    store_close(&store);
}

/* Goal: the same of damage that a search meets when it goes on after a rest: it gives rows before,
 * and then says so.  Method: unsorted, in the order of the index, and sorted group by group. */
static void test_damage_after_a_rest_is_told(void **state)
{
    static const uint32_t column = FLIGHT_ID;
    static const uint32_t sorts[] = {FLIGHT_ALTITUDE, FLIGHT_LAT};
    char name[32];
    test_store store;
    (void)state;
    store_open(&store, 32 << 20);
    for (uint64_t row = 0; row < ROWS; row++)
        assert_ok(store.session,
                  flight_put(store.session, flight_name(name, row), (int64_t)row / 5));
    ae_a64 *top = &ae_catalog_place(&store.db->catalog, FLIGHTS, 0)->root.node;
    const uint64_t right = ae_load64(top);
    for (uint32_t by = 0; by < 3; by++) {
        aero_query *query = query_along(store.session, "index altitude");
        aero_cursor *cursor = NULL;
        aero_column_data data;
        aero_status status = AERO_OK;
        uint32_t count = 0;
        uint32_t rows = 10;
        for (uint32_t sort = 0; sort < by; sort++)
            assert_ok(store.session, aero_query_sort(query, sorts[sort], 0));
        assert_ok(store.session, aero_query_limit(query, FEW, 0));
        assert_ok(store.session, aero_cursor_open(query, &cursor));
        assert_ok(store.session, aero_cursor_fetch(cursor, 10, 1, &column, &data, &count));
        assert_int_equal(count, 10);
        ae_store64(top, 3);
        for (; status == AERO_OK && count > 0; rows += count)
            status = aero_cursor_fetch(cursor, 100, 1, &column, &data, &count);
        assert_int_equal(status, AERO_CORRUPT);
        assert_true(rows >= 10 && rows < FEW);
        ae_store64(top, right);
        aero_cursor_close(cursor);
        aero_query_free(query);
    }
    store_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_damage_after_a_rest_is_told),
    cmocka_unit_test(test_a_reference_that_leads_nowhere_is_told),
};

AE_TEST_MAIN(tests)
