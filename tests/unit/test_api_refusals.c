/* The C interface refuses what is missing: no handle, no place for an answer, no input.
 *
 * Strategy: each exported function on rows, indexes, queries, cursors, watches and ingests is
 * called with each of its pointers missing, and with numbers that no table or column has.
 * Invariants: the answer is USAGE (or what the header says), nothing is written to, outputs are
 * empty, and the session goes on.
 *
 * variants: plain asan
 */
#include <pthread.h>

#include "flights.h"
#include "txn/db.h"

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

/* Rows and indexes: inputs that are missing are told, answers that are not wanted are left out. */
static void test_rows_and_indexes_without_a_pointer(void **state)
{
    test_store store;
    const uint32_t columns[] = {0, 1, 2, 5};
    const aero_value values[] = {v_text("a"), v_real(1), v_real(2), v_int(3)};
    const aero_value *key = &values[0];
    aero_value answer;
    aero_index_info info;
    uint32_t count = 7;
    uint64_t rows = 7;
    int32_t found = 7;
    (void)state;
    store_open(&store, 8 << 20);
    aero_session *s = store.session;
    assert_status(s, AERO_USAGE, aero_insert(s, 0, 4, NULL, values));
    assert_status(s, AERO_USAGE, aero_upsert(s, 0, 4, columns, NULL, NULL));
    assert_status(s, AERO_USAGE, aero_replace(s, 0, 4, NULL, NULL, NULL));
    assert_status(s, AERO_NULL_VALUE, aero_insert(s, 0, 0, NULL, NULL)); /* no key */
    assert_ok(s, aero_insert(s, 0, 4, columns, values));
    assert_status(s, AERO_USAGE, aero_update(s, 0, key, 1, NULL, values, &found));
    assert_status(s, AERO_USAGE, aero_update(s, 0, key, 1, columns, NULL, NULL));
    assert_status(s, AERO_USAGE, aero_update(s, 0, NULL, 1, columns + 1, values + 1, NULL));
    assert_ok(s, aero_update(s, 0, key, 1, columns + 1, values + 2, NULL));
    assert_status(s, AERO_USAGE, aero_get(s, 0, key, 1, NULL, &answer, &found));
    assert_status(s, AERO_USAGE, aero_get(s, 0, key, 1, columns, NULL, &found));
    assert_ok(s, aero_get(s, 0, key, 1, columns + 1, &answer, NULL));
    assert_true(answer.u.real == 2);
    assert_status(s, AERO_USAGE, aero_get_row(s, 0, key, NULL));
    assert_ok(s, aero_exists(s, 0, key, NULL));
    assert_status(s, AERO_USAGE, aero_count(s, 0, NULL));
    assert_status(s, AERO_USAGE, aero_incr(s, 0, key, 1, NULL, &answer, &found));
    assert_ok(s, aero_incr(s, 0, key, 1, &values[3], NULL, NULL));
    assert_status(s, AERO_USAGE, aero_stats(s, NULL, &count));
    assert_status(s, AERO_USAGE, aero_index_create(s, 0, 1, NULL, 0));
    assert_status(s, AERO_USAGE, aero_index_create(s, 0, 0, columns, 0));
    assert_status(s, AERO_USAGE, aero_index_drop(s, 0, UINT32_MAX, columns));
    assert_status(s, AERO_USAGE, aero_index_drop(s, 0, 1, NULL));
    assert_status(s, AERO_NOT_FOUND, aero_index_drop(s, 0, 2, columns));
    assert_string_equal(aero_session_error(s)->field, "flight_id");
    assert_status(s, AERO_USAGE, aero_index_list(s, 0, 1, NULL, &count));
    assert_int_equal(count, 0);
    assert_status(s, AERO_USAGE, aero_index_list(s, 0, 1, &info, NULL));
    assert_ok(s, aero_index_list(s, 0, 0, NULL, &count));
    assert_true(count > 0);
    assert_status(s, AERO_USAGE, aero_index_span(s, 0, 1, NULL, &answer, &answer, &found));
    assert_status(s, AERO_USAGE, aero_index_span(s, 0, 1, columns + 3, NULL, &answer, &found));
    assert_status(s, AERO_USAGE, aero_index_span(s, 0, 1, columns + 3, &answer, &answer, NULL));
    assert_ok(s, aero_delete(s, 0, key, NULL));
    assert_ok(s, aero_reset(s, 0, NULL));
    assert_ok(s, aero_count(s, 0, &rows));
    assert_int_equal(rows, 0);
    goes_on(s);
    store_close(&store);
}

/* Everything that one can have a handle on. */
typedef struct handles {
    aero_session *session;
    aero_query *query;
    aero_cursor *cursor;
    aero_watch *watch;
    aero_ingest *ingest;
    int32_t wanted; /* what every call must answer */
} handles;

#define EACH(call_) assert_int_equal(call_, of->wanted)

static int32_t no_writer(void *context, const char *data, size_t length)
{
    (void)context;
    (void)data;
    (void)length;
    return 1;
}

static void no_news(void *context)
{
    (void)context;
}

/* Call each exported function that takes a handle. */
static void each_function(const handles *of)
{
    static const uint32_t columns[] = {FLIGHT_ID};
    const aero_value value = v_text("A");
    aero_value values[1];
    aero_checkpoint_report written;
    aero_ingest_report report;
    aero_index_info info;
    aero_column_data data[1];
    aero_event event;
    aero_query *query = NULL;
    aero_cursor *cursor = NULL;
    aero_watch *watch = NULL;
    aero_ingest *ingest = NULL;
    const aero_stat *stats;
    const aero_row *row;
    const void *image;
    const char *text;
    size_t length;
    int64_t ttl;
    uint64_t number;
    uint32_t count;
    int32_t flag;
    aero_session *session = of->session;
    EACH(aero_config_set(session, "aerostore.synchronous_commit", "on"));
    EACH(aero_config_get(session, "aerostore.synchronous_commit", &text));
    EACH(aero_stats(session, &stats, &count));
    EACH(aero_verify(session, &number, &number));
    EACH(aero_checkpoint(session, &written));
    EACH(aero_backup(session, "/nothing", &written));
    EACH(aero_begin(session, AERO_ISOLATION_SNAPSHOT));
    EACH(aero_commit(session));
    EACH(aero_rollback(session));
    EACH(aero_savepoint(session, "a", 1));
    EACH(aero_rollback_to(session, "a", 1));
    EACH(aero_release(session, "a", 1));
    EACH(aero_get(session, 0, &value, 1, columns, values, &flag));
    EACH(aero_get_row(session, 0, &value, &image));
    EACH(aero_exists(session, 0, &value, &flag));
    EACH(aero_insert(session, 0, 1, columns, &value));
    EACH(aero_upsert(session, 0, 1, columns, &value, &flag));
    EACH(aero_replace(session, 0, 1, columns, &value, &flag));
    EACH(aero_update(session, 0, &value, 1, columns, &value, &flag));
    EACH(aero_incr(session, 0, &value, FLIGHT_ALTITUDE, &value, values, &flag));
    EACH(aero_delete(session, 0, &value, &flag));
    EACH(aero_lock_row(session, 0, &value, &flag));
    EACH(aero_reset(session, 0, &number));
    EACH(aero_ttl_get(session, 0, &ttl, &flag));
    EACH(aero_ttl_set(session, 0, 0, -1));
    EACH(aero_ttl_sweep(session, 0, &number));
    EACH(aero_count(session, 0, &number));
    EACH(aero_convert(session, 0, FLIGHT_ALTITUDE, &value, values));
    EACH(aero_format(session, 0, FLIGHT_ID, &value, &text, &length));
    EACH(aero_index_create(session, 0, 1, columns, 0));
    EACH(aero_index_drop(session, 0, 1, columns));
    EACH(aero_index_list(session, 0, 1, &info, &count));
    EACH(aero_index_span(session, 0, 1, columns, values, values, &flag));
    EACH(aero_query_new(session, 0, &query));
    EACH(aero_query_compare(of->query, "", 0));
    EACH(aero_query_clause(of->query, AERO_OP_EQ, FLIGHT_ID, 1, &value));
    EACH(aero_query_glob(of->query, "*", 1));
    EACH(aero_query_sort(of->query, FLIGHT_ID, 0));
    EACH(aero_query_limit(of->query, 1, 0));
    EACH(aero_query_bind(of->query, 0, 1, &value));
    EACH(aero_query_using(of->query, "scan", 4));
    EACH(aero_query_count(of->query, &number));
    EACH(aero_query_explain(of->query, 0, &text, &length));
    EACH(aero_cursor_open(of->query, &cursor));
    EACH(aero_cursor_next(of->cursor, &row));
    EACH(aero_cursor_fetch(of->cursor, 1, 1, columns, data, &count));
    EACH(aero_write_tsv(of->cursor, NULL, no_writer, NULL, &number));
    EACH(aero_watch_open(of->query, AERO_WATCH_NOW, 0, &watch));
    EACH(aero_watch_open_at(of->query, "x", &watch));
    char position[AERO_POSITION_SIZE];
    EACH(aero_watch_position_text(of->watch, 0, position, sizeof position));
    EACH(aero_watch_next(of->watch, &event));
    EACH(aero_watch_wait(of->watch, 0, &flag));
    EACH(aero_watch_values(of->watch, &image, 1, columns, values));
    EACH(aero_watch_resync(of->watch));
    EACH(aero_watch_descriptor(of->watch, &flag));
    EACH(aero_watch_hook(of->watch, no_news, NULL));
    EACH(aero_ingest_tsv(session, 0, "", 0, NULL, &report));
    EACH(aero_ingest_file(session, 0, "/dev/null", NULL, &report));
    EACH(aero_ingest_open(session, 0, NULL, &ingest));
    EACH(aero_ingest_feed(of->ingest, "", 0));
    EACH(aero_ingest_finish(of->ingest, &report));
    assert_null(query);
    assert_null(cursor);
    assert_null(watch);
    assert_null(ingest);
}

static void *in_a_thread(void *context)
{
    each_function(context);
    return NULL;
}

/* Goal: handles belong to the thread that made them, and a segment that was found damaged takes no
 * work from anybody: each function says so, and touches nothing. */
static void test_from_another_thread_and_on_a_damaged_segment(void **state)
{
    (void)state;
    test_store store;
    pthread_t thread;
    handles of = {.wanted = AERO_STALE};
    store_open(&store, 8 << 20);
    of.session = store.session;
    assert_ok(of.session, flight_put(of.session, "A", 1));
    assert_ok(of.session, aero_query_new(of.session, 0, &of.query));
    assert_ok(of.session, aero_cursor_open(of.query, &of.cursor));
    assert_ok(of.session, aero_watch_open(of.query, AERO_WATCH_NOW, 0, &of.watch));
    assert_ok(of.session, aero_ingest_open(of.session, 0, NULL, &of.ingest));
    assert_int_equal(pthread_create(&thread, NULL, in_a_thread, &of), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    of.wanted = AERO_PANIC;
    ae_store32(&store.db->segment.header->poisoned, 1);
    each_function(&of);
    ae_store32(&store.db->segment.header->poisoned, 0);
    assert_int_equal(flight_get(of.session, "A"), 1);
    assert_int_equal(row_count(of.session, 0), 1);
    aero_ingest_free(of.ingest);
    aero_watch_close(of.watch);
    aero_cursor_close(of.cursor);
    aero_query_free(of.query);
    store_close(&store);
}

/* Goal: no table and no column is taken for another, and no number is too large to be said. */
static void test_numbers_that_nothing_has(void **state)
{
    (void)state;
    static uint32_t many[1100];
    static aero_value values[1100];
    test_store store;
    const void *image;
    const char *text = NULL;
    size_t length = 0;
    int64_t ttl;
    uint64_t number;
    uint32_t count;
    int32_t flag = 0;
    const uint32_t none = 999;
    const aero_value key = v_text("A");
    const aero_value null = {0};
    aero_value out;
    store_open(&store, 8 << 20);
    aero_session *session = store.session;
    assert_status(session, AERO_NAME, aero_get(session, none, &key, 0, NULL, NULL, &flag));
    assert_status(session, AERO_NAME, aero_get_row(session, none, &key, &image));
    assert_null(image);
    assert_status(session, AERO_NAME, aero_incr(session, none, &key, 1, &key, NULL, &flag));
    assert_status(session, AERO_NAME, aero_delete(session, none, &key, &flag));
    assert_status(session, AERO_NAME, aero_lock_row(session, none, &key, &flag));
    assert_status(session, AERO_NAME, aero_reset(session, none, &number));
    assert_status(session, AERO_NAME, aero_count(session, none, &number));
    assert_status(session, AERO_NAME, aero_ttl_get(session, none, &ttl, &flag));
    assert_status(session, AERO_NAME, aero_ttl_set(session, 0, 1000000, 999));
    assert_status(session, AERO_NAME, aero_ttl_set(session, 0, 1000000, -2));
    assert_status(session, AERO_TYPE, aero_ttl_set(session, 0, 1, -1));
    assert_status(session, AERO_TYPE, aero_ttl_set(session, 0, INT64_MAX, -1));
    assert_status(session, AERO_TYPE, aero_ttl_set(session, 0, 1000000, FLIGHT_LAT));
    assert_status(session, AERO_NAME, aero_index_list(session, none, 0, NULL, &count));
    assert_int_equal(count, 0);
    assert_status(session, AERO_NAME, aero_convert(session, none, 0, &key, &out));
    assert_status(session, AERO_NAME, aero_convert(session, 0, none, &key, &out));
    assert_status(session, AERO_NAME, aero_format(session, none, 0, &key, &text, &length));
    assert_status(session, AERO_NAME, aero_format(session, 0, none, &key, &text, &length));
    assert_status(session, AERO_NAME, aero_get(session, 0, &key, 1, &none, &out, &flag));
    assert_status(session, AERO_NAME, aero_incr(session, 0, &key, none, &key, NULL, &flag));
    assert_status(session, AERO_LIMIT, aero_get(session, 0, &key, 1100, many, values, &flag));
    assert_status(session, AERO_LIMIT, aero_insert(session, 0, 1100, many, values));
    assert_status(session, AERO_USAGE, aero_get(session, 0, NULL, 0, NULL, NULL, &flag));
    assert_status(session, AERO_NULL_VALUE, aero_get(session, 0, &null, 0, NULL, NULL, &flag));
    const aero_value endless = {.type = AERO_TYPE_TEXT, .length = UINT32_MAX, .u = {.data = "x"}};
    assert_status(session, AERO_LENGTH, aero_get(session, 0, &endless, 0, NULL, NULL, &flag));
    /* A list that has no room for all says how many there are. */
    aero_index_info infos[1];
    assert_ok(session, aero_index_list(session, 0, 0, NULL, &count));
    assert_true(count > 1);
    assert_ok(session, aero_index_list(session, 0, 1, infos, &count));
    assert_true(count > 1 && infos[0].column_count > 0);
    goes_on(session);
    store_close(&store);
}

/* Goal: each function that has an answer wants a place for it, and each that has an input that. */
static void test_without_a_place_or_an_input(void **state)
{
    (void)state;
    test_store store;
    aero_error error;
    aero_files_report report;
    const aero_value key = v_text("A");
    const aero_open_options none = {.data_dir = NULL};
    const aero_open_options empty = {.data_dir = ""};
    const char *text = NULL;
    size_t length = 0;
    int64_t ttl;
    int32_t flag = 0;
    aero_value out;
    char aside[16];
    store_open(&store, 8 << 20);
    aero_session *session = store.session;
    const aero_open_options there = {.data_dir = store.data_dir, .shm_path = store.segment};
    assert_status(session, AERO_USAGE, aero_ttl_get(session, 0, NULL, &flag));
    assert_status(session, AERO_USAGE, aero_ttl_get(session, 0, &ttl, NULL));
    assert_status(session, AERO_USAGE, aero_ttl_sweep(session, 0, NULL));
    assert_status(session, AERO_USAGE, aero_checkpoint(session, NULL));
    aero_checkpoint_report written;
    assert_status(session, AERO_USAGE, aero_backup(session, NULL, &written));
    assert_status(session, AERO_USAGE, aero_backup(session, "", &written));
    assert_status(session, AERO_USAGE, aero_backup(session, "x", NULL));
    assert_status(session, AERO_USAGE, aero_convert(session, 0, 1, NULL, &out));
    assert_status(session, AERO_USAGE, aero_convert(session, 0, 0, &key, NULL));
    assert_status(session, AERO_USAGE, aero_format(session, 0, 0, NULL, &text, &length));
    assert_status(session, AERO_USAGE, aero_format(session, 0, 0, &key, NULL, &length));
    assert_status(session, AERO_USAGE, aero_format(session, 0, 0, &key, &text, NULL));
    assert_status(session, AERO_USAGE,
                  aero_incr(session, 0, &key, FLIGHT_ALTITUDE, NULL, NULL, &flag));
    assert_status(session, AERO_NAME, aero_config_set(session, NULL, "on"));
    assert_status(session, AERO_USAGE,
                  aero_config_set(session, "aerostore.synchronous_commit", NULL));
    assert_int_equal(aero_open(&there, NULL, &error), AERO_USAGE);
    aero_db *db = NULL;
    aero_session *other = NULL;
    assert_int_equal(aero_open(NULL, &db, NULL), AERO_USAGE);
    assert_null(db);
    assert_int_equal(aero_session_open(NULL, &other, &error), AERO_USAGE);
    assert_null(other);
    assert_int_equal(aero_close(NULL, NULL), AERO_OK);
    aero_session_close(NULL);
    const aero_open_options *const options[] = {NULL, &none, &empty};
    for (size_t index = 0; index < 3; index++) {
        assert_int_equal(aero_files_verify(options[index], &report, &error), AERO_USAGE);
        assert_int_equal(aero_files_repair(options[index], aside, sizeof aside, &report, &error),
                         AERO_USAGE);
        assert_int_equal(aero_files_restore(options[index], "x", 1, 1, &report, NULL), AERO_USAGE);
    }
    assert_int_equal(aero_files_verify(&there, NULL, &error), AERO_USAGE);
    assert_int_equal(aero_files_repair(&there, NULL, 9, &report, &error), AERO_USAGE);
    assert_int_equal(aero_files_repair(&there, aside, 0, &report, &error), AERO_USAGE);
    assert_int_equal(aero_files_restore(&there, NULL, 1, 1, &report, &error), AERO_USAGE);
    assert_int_equal(aero_files_restore(&there, "", 1, 1, &report, &error), AERO_USAGE);
    assert_int_equal(aero_keep(NULL, 0, &flag, &error), AERO_USAGE);
    assert_int_equal(aero_keep(&none, 0, &flag, &error), AERO_USAGE);
    assert_int_equal(aero_keep(&there, 0, NULL, NULL), AERO_USAGE);
    goes_on(session);
    store_close(&store);
}

/* Goal: settings take what they can hold, and say what else was given. */
static void test_settings(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        const char *value;
        int32_t code;
    } cases[] = {{"synchronous_commit", "OFF", AERO_OK},
                 {"synchronous_commit", "no", AERO_OK},
                 {"synchronous_commit", "0", AERO_OK},
                 {"synchronous_commit", "yes", AERO_OK},
                 {"synchronous_commit", "maybe", AERO_TYPE},
                 {"synchronous_commit", "", AERO_TYPE},
                 {"flush_interval_ms", "60000", AERO_OK},
                 {"flush_interval_ms", "60001", AERO_TYPE},
                 {"flush_interval_ms", "", AERO_TYPE},
                 {"flush_interval_ms", "-1", AERO_TYPE},
                 {"flush_interval_ms", "1x", AERO_TYPE},
                 {"flush_interval_ms", ":", AERO_TYPE},
                 {"flush_interval_ms", "99999999999999999999999", AERO_TYPE},
                 {"checkpoint_wal_bytes", "9223372036854775807", AERO_OK},
                 {"checkpoint_wal_bytes", "9223372036854775808", AERO_TYPE},
                 {"checkpoint_wal_bytes", "18446744073709551615", AERO_TYPE},
                 {"checkpoint_wal_bytes", "18446744073709551616", AERO_TYPE},
                 {"checkpoint_wal_bytes", "92233720368547758070", AERO_TYPE},
                 {"nothing", "1", AERO_NAME}};
    test_store store;
    const char *text;
    char key[64];
    store_open(&store, 8 << 20);
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        snprintf(key, sizeof key, "aerostore.%s", cases[index].key);
        assert_status(store.session, cases[index].code,
                      aero_config_set(store.session, key, cases[index].value));
    }
    assert_ok(store.session, aero_config_get(store.session, "aerostore.synchronous_commit", &text));
    assert_string_equal(text, "on");
    assert_ok(store.session,
              aero_config_get(store.session, "aerostore.checkpoint_wal_bytes", &text));
    assert_string_equal(text, "9223372036854775807");
    uint32_t count = 0;
    while (aero_config_key(count) != NULL)
        assert_ok(store.session, aero_config_get(store.session, aero_config_key(count++), &text));
    assert_true(count > 8);
    assert_null(aero_config_key(UINT32_MAX));
    store_close(&store);
}

/* Goal: the list of errors ends, and what is no code or reason is said to be none. */
static void test_errors_by_number(void **state)
{
    (void)state;
    aero_error error;
    uint32_t count = 0;
    for (const aero_error_info *info; (info = aero_error_at(count)) != NULL; count++)
        assert_ptr_equal(aero_error_lookup(info->code), info);
    assert_true(count > 20);
    assert_null(aero_error_at(UINT32_MAX));
    assert_null(aero_error_lookup(12345));
    assert_string_equal(aero_conflict_name(0), "none");
    assert_string_equal(aero_conflict_name(7), "lock");
    assert_string_equal(aero_conflict_name(8), "unknown");
    assert_string_equal(aero_conflict_name(-1), "unknown");
    /* Without a place for it an error is its code, and a long name is cut. */
    ae_error_place(NULL, "a", "b");
    ae_error_field(NULL, "a", 1);
    assert_int_equal(ae_fail(NULL, AERO_FULL, "%d", 1), AERO_FULL);
    assert_int_equal(ae_fail_errno(NULL, AERO_IO, EIO, "%d", 1), AERO_IO);
    assert_int_equal(ae_fail_errno(&error, AERO_IO, EIO, "n %d", 1), AERO_IO);
    assert_string_equal(error.text, "n 1: Input/output error");
    char name[300];
    memset(name, 'n', sizeof name);
    ae_error_field(&error, name, sizeof name);
    assert_int_equal(strlen(error.field), sizeof error.field - 1);
    ae_error_place(&error, NULL, NULL);
    ae_error_place(&error, "t", "f");
    assert_string_equal(error.table, "t");
    assert_string_equal(error.field, "f");
}

/* Goal: a watch's position is one of its store, or refused before anything is opened. */
static void test_positions_that_are_none(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "x",
                                        "0000000000000000-0000000000000000000x",
                                        "000000000000000x-00000000000000000001",
                                        "0000000000000000+00000000000000000001",
                                        "0000000000000000-99999999999999999999",
                                        "0000000000000000-000000000000000000011"};
    test_store store;
    aero_query *query = NULL;
    aero_watch *watch = NULL;
    char position[AERO_POSITION_SIZE];
    const uint32_t none = 999;
    aero_value value;
    aero_event event;
    store_open(&store, 8 << 20);
    aero_session *session = store.session;
    assert_ok(session, aero_query_new(session, 0, &query));
    for (size_t index = 0; index < sizeof texts / sizeof texts[0]; index++) {
        assert_status(session, AERO_USAGE, aero_watch_open_at(query, texts[index], &watch));
        assert_null(watch);
    }
    assert_status(session, AERO_MISMATCH,
                  aero_watch_open_at(query, "0000000000000000-00000000000000000001", &watch));
    assert_status(session, AERO_USAGE, aero_watch_open(query, -1, 0, &watch));
    assert_status(session, AERO_USAGE, aero_watch_open(query, 99, 0, &watch));
    assert_status(session, AERO_NOT_FOUND,
                  aero_watch_open(query, AERO_WATCH_POSITION, (uint64_t)1 << 40, &watch));
    assert_ok(session, aero_watch_open(query, AERO_WATCH_NOW, 0, &watch));
    assert_status(session, AERO_USAGE,
                  aero_watch_position_text(watch, 0, position, sizeof position - 1));
    assert_ok(session, aero_watch_position_text(watch, 0, position, sizeof position));
    assert_ok(session, flight_put(session, "A", 1));
    assert_ok(session, aero_watch_next(watch, &event));
    assert_int_equal(event.kind, AERO_EVENT_INSERT);
    assert_status(session, AERO_USAGE, aero_watch_values(watch, NULL, 0, NULL, &value));
    assert_status(session, AERO_USAGE, aero_watch_values(watch, &event, 1, &none, NULL));
    assert_status(session, AERO_NAME, aero_watch_values(watch, &event, 1, &none, &value));
    assert_ok(session, aero_begin(session, AERO_ISOLATION_SNAPSHOT));
    assert_status(session, AERO_USAGE, aero_watch_resync(watch));
    assert_ok(session, aero_rollback(session));
    assert_ok(session, aero_watch_resync(watch));
    aero_watch_close(watch);
    aero_query_free(query);
    store_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_without_a_handle),
    cmocka_unit_test(test_without_an_input),
    cmocka_unit_test(test_without_a_place_for_the_answer),
    cmocka_unit_test(test_rows_and_indexes_without_a_pointer),
    cmocka_unit_test(test_from_another_thread_and_on_a_damaged_segment),
    cmocka_unit_test(test_numbers_that_nothing_has),
    cmocka_unit_test(test_without_a_place_or_an_input),
    cmocka_unit_test(test_settings),
    cmocka_unit_test(test_errors_by_number),
    cmocka_unit_test(test_positions_that_are_none),
};

AE_TEST_MAIN(tests)
