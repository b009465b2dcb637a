/* The C interface refuses what is missing: no handle, no place for an answer, no input.
 *
 * Strategy: each exported function of queries, cursors, watches, ingests and values is called with
 * each of its pointers missing, and with numbers that no table or column has.  Invariants: the
 * answer is USAGE (or what the header says), nothing is written to, outputs are empty, and the
 * session goes on.
 *
 * variants: plain asan
 */
#include "flights.h"

/* The session is sound after a refusal. */
static void goes_on(aero_session *session)
{
    aero_query *query = NULL;
    uint64_t rows = 7;
    assert_ok(session, aero_query_new(session, 0, &query));
    assert_ok(session, aero_query_count(query, &rows));
    assert_int_equal(rows, 0);
    aero_query_free(query);
}

static void test_without_a_handle(void **state)
{
    aero_query *query = (aero_query *)(void *)state;
    aero_cursor *cursor = (aero_cursor *)(void *)state;
    aero_watch *watch = (aero_watch *)(void *)state;
    aero_ingest *ingest = (aero_ingest *)(void *)state;
    aero_ingest_report report;
    aero_event event;
    const aero_row *row;
    uint64_t rows;
    int32_t ready;
    assert_int_equal(aero_query_new(NULL, 0, &query), AERO_USAGE);
    assert_null(query);
    assert_int_equal(aero_query_compare(NULL, "", 0), AERO_USAGE);
    assert_int_equal(aero_query_count(NULL, &rows), AERO_USAGE);
    assert_int_equal(aero_query_limit(NULL, 1, 0), AERO_USAGE);
    assert_int_equal(aero_cursor_open(NULL, &cursor), AERO_USAGE);
    assert_null(cursor);
    assert_int_equal(aero_cursor_next(NULL, &row), AERO_USAGE);
    assert_int_equal(aero_watch_open(NULL, AERO_WATCH_NOW, 0, &watch), AERO_USAGE);
    assert_null(watch);
    assert_int_equal(aero_watch_open_at(NULL, "x", &watch), AERO_USAGE);
    assert_int_equal(aero_watch_open(NULL, AERO_WATCH_NOW, 0, NULL), AERO_USAGE);
    assert_int_equal(aero_watch_open_at(NULL, "x", NULL), AERO_USAGE);
    assert_int_equal(aero_watch_next(NULL, &event), AERO_USAGE);
    assert_int_equal(aero_watch_wait(NULL, 0, &ready), AERO_USAGE);
    assert_int_equal(aero_ingest_tsv(NULL, 0, "", 0, NULL, &report), AERO_USAGE);
    assert_int_equal(aero_ingest_file(NULL, 0, "x", NULL, &report), AERO_USAGE);
    assert_int_equal(aero_ingest_open(NULL, 0, NULL, &ingest), AERO_USAGE);
    assert_null(ingest);
    assert_int_equal(aero_ingest_feed(NULL, "", 0), AERO_USAGE);
    assert_int_equal(aero_ingest_finish(NULL, &report), AERO_USAGE);
    aero_query_free(NULL);
    aero_cursor_close(NULL);
    aero_watch_close(NULL);
    aero_ingest_free(NULL);
}

static void test_without_an_input(void **state)
{
    test_store store;
    aero_query *query = NULL;
    aero_ingest *ingest = NULL;
    aero_watch *watch = NULL;
    aero_ingest_report report;
    (void)state;
    store_open(&store, 8 << 20);
    aero_session *session = store.session;
    assert_ok(session, aero_query_new(session, 0, &query));
    assert_status(session, AERO_USAGE, aero_query_glob(query, NULL, 3));
    assert_status(session, AERO_USAGE, aero_query_using(query, NULL, 3));
    assert_ok(session, aero_query_using(query, NULL, 0));
    assert_status(session, AERO_USAGE, aero_query_compare(query, NULL, 3));
    assert_status(session, AERO_USAGE, aero_query_clause(query, AERO_OP_EQ, 0, 1, NULL));
    assert_status(session, AERO_USAGE, aero_query_bind(query, 0, 1, NULL));
    assert_status(session, AERO_USAGE, aero_watch_open_at(query, NULL, &watch));
    assert_status(session, AERO_USAGE, aero_ingest_tsv(session, 0, NULL, 3, NULL, &report));
    assert_ok(session, aero_ingest_tsv(session, 0, NULL, 0, NULL, &report));
    assert_status(session, AERO_USAGE, aero_ingest_file(session, 0, NULL, NULL, &report));
    assert_ok(session, aero_ingest_open(session, 0, NULL, &ingest));
    assert_status(session, AERO_USAGE, aero_ingest_feed(ingest, NULL, 3));
    assert_ok(session, aero_ingest_feed(ingest, NULL, 0));
    aero_ingest_free(ingest);
    aero_query_free(query);
    goes_on(session);
    store_close(&store);
}

static void test_without_a_place_for_the_answer(void **state)
{
    test_store store;
    aero_query *query = NULL;
    aero_cursor *cursor = NULL;
    aero_watch *watch = NULL;
    const char *text;
    size_t length;
    (void)state;
    store_open(&store, 8 << 20);
    aero_session *session = store.session;
    assert_status(session, AERO_USAGE, aero_query_new(session, 0, NULL));
    assert_status(session, AERO_USAGE, aero_ingest_open(session, 0, NULL, NULL));
    assert_ok(session, aero_query_new(session, 0, &query));
    assert_status(session, AERO_USAGE, aero_query_count(query, NULL));
    assert_status(session, AERO_USAGE, aero_query_explain(query, 0, NULL, &length));
    assert_status(session, AERO_USAGE, aero_query_explain(query, 0, &text, NULL));
    assert_status(session, AERO_USAGE, aero_cursor_open(query, NULL));
    assert_ok(session, aero_cursor_open(query, &cursor));
    assert_status(session, AERO_USAGE, aero_cursor_next(cursor, NULL));
    assert_status(session, AERO_USAGE, aero_write_tsv(cursor, NULL, NULL, NULL, NULL));
    aero_cursor_close(cursor);
    assert_status(session, AERO_USAGE, aero_watch_open(query, AERO_WATCH_NOW, 0, NULL));
    assert_ok(session, aero_watch_open(query, AERO_WATCH_NOW, 0, &watch));
    assert_status(session, AERO_USAGE, aero_watch_next(watch, NULL));
    assert_status(session, AERO_USAGE, aero_watch_wait(watch, 0, NULL));
    assert_status(session, AERO_USAGE, aero_watch_descriptor(watch, NULL));
    assert_status(session, AERO_USAGE, aero_watch_position_text(watch, 0, NULL, 38));
    aero_watch_close(watch);
    aero_query_free(query);
    goes_on(session);
    store_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_without_a_handle),
    cmocka_unit_test(test_without_an_input),
    cmocka_unit_test(test_without_a_place_for_the_answer),
};

AE_TEST_MAIN(tests)
