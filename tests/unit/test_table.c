/* Tables: cursors and what they see, counts, reset, texts that live outside the row, memory of long
 * runs.
 *
 * links: * generated/market
 */
#include "store.h"

enum { INSTRUMENT = 0, TRADE = 1, SYMBOL = 0, TITLE = 2, SECTOR = 3, LOGO = 8 };
enum { TRADE_ID = 0, TRADE_SYMBOL = 1, AMOUNT = 3, ACCOUNT = 9, PLACED_AT = 10 };
#if defined(__SANITIZE_ADDRESS__)
enum { CHURN = 30000 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { CHURN = 30000 };
#else
enum { CHURN = 300000 };
#endif
#else
enum { CHURN = 300000 };
#endif

static aero_status trade_put(aero_session *session, uint64_t id, int64_t amount)
{
    const uint32_t columns[] = {TRADE_ID, TRADE_SYMBOL, AMOUNT, ACCOUNT, PLACED_AT};
    /* Placed in a time to come: trades expire. */
    const aero_value values[] = {v_int((int64_t)id), v_text("X"), v_int(amount), v_int(7),
                                 v_int(4102444800)};
    int32_t inserted = 0;
    return aero_upsert(session, TRADE, 5, columns, values, &inserted);
}

static aero_status trade_delete(aero_session *session, uint64_t id)
{
    const aero_value key = v_int((int64_t)id);
    int32_t found = 0;
    const aero_status status = aero_delete(session, TRADE, &key, &found);
    return status == AERO_OK && !found ? AERO_NOT_FOUND : status;
}

static int64_t trade_amount(aero_session *session, uint64_t id)
{
    const aero_value key = v_int((int64_t)id);
    const uint32_t column = AMOUNT;
    aero_value value;
    int32_t found = 0;
    assert_ok(session, aero_get(session, TRADE, &key, 1, &column, &value, &found));
    return found ? value.u.integer : INT64_MIN;
}

static aero_cursor *cursor_open(aero_session *session, aero_query **query)
{
    aero_cursor *cursor = NULL;
    assert_ok(session, aero_query_new(session, TRADE, query));
    assert_ok(session, aero_cursor_open(*query, &cursor));
    return cursor;
}

/* ---- cursors -------------------------------------------------------------------------------- */

/* Goal: a cursor shows what was there when it was opened, each row once.  Method: for each row that
 * it shows, update that row, delete another, insert a new one, and (inside) do the same in a
 * savepoint that is rolled back; in a transaction and outside; a second session writes, too, when
 * outside. */
static void cursor_amid_writes(bool inside)
{
    enum { ROWS = 3000 };
    static bool seen[ROWS];
    static const uint32_t columns[] = {TRADE_ID, AMOUNT};
    test_store store;
    aero_query *query = NULL;
    const aero_row *row = NULL;
    uint32_t count = 0;
    store_open(&store, 32 << 20);
    aero_session *s = store.session;
    aero_session *other = session_new(&store);
    memset(seen, 0, sizeof seen);
    for (uint32_t id = 0; id < ROWS; id++)
        assert_ok(s, trade_put(s, id, 1));
    if (inside) {
        assert_ok(s, aero_begin(s, AERO_ISOLATION_SNAPSHOT));
        for (uint32_t id = 0; id < ROWS; id += 2)
            assert_ok(s, trade_put(s, id, 2)); /* own writes before: seen */
    }
    aero_cursor *cursor = cursor_open(s, &query);
    for (;;) {
        aero_value values[2];
        assert_ok(s, aero_cursor_next(cursor, &row));
        if (row == NULL)
            break;
        aero_row_values(row, 2, columns, values);
        const uint64_t id = values[0].u.natural;
        assert_true(id < ROWS);
        assert_false(seen[id]);
        seen[id] = true;
        assert_int_equal(values[1].u.integer, inside && id % 2 == 0 ? 2 : 1);
        aero_session *writer = !inside && count % 3 == 0 ? other : s;
        if (inside && count % 5 == 0)
            assert_ok(s, aero_savepoint(s, "p", 1));
        assert_ok(writer, trade_put(writer, id, 50));
        (void)trade_delete(writer, (id * 7 + 1) % ROWS);
        assert_ok(writer, trade_put(writer, ROWS + count, 60));
        if (inside && count % 5 == 0)
            assert_ok(s, aero_rollback_to(s, "p", 1));
        count++;
    }
    assert_int_equal(count, ROWS);
    assert_int_equal(aero_cursor_rows(cursor), ROWS);
    aero_cursor_close(cursor);
    aero_query_free(query);
    if (inside)
        assert_ok(s, aero_commit(s));
    aero_session_close(other);
    store_close(&store);
}

static void test_a_cursor_does_not_see_later_writes(void **state)
{
    (void)state;
    cursor_amid_writes(false);
}

static void test_a_cursor_in_a_transaction_does_not_see_its_later_writes(void **state)
{
    (void)state;
    cursor_amid_writes(true);
}

/* Goal: a cursor is not fooled when a savepoint is rolled back under it and as much written anew.
 */
static void test_a_cursor_goes_stale_with_the_writes_it_saw(void **state)
{
    test_store store;
    aero_query *query = NULL;
    const aero_row *row = NULL;
    (void)state;
    store_open(&store, 16 << 20);
    aero_session *s = store.session;
    assert_ok(s, aero_begin(s, AERO_ISOLATION_SNAPSHOT));
    assert_ok(s, trade_put(s, 1, 1));
    assert_ok(s, aero_savepoint(s, "p", 1));
    assert_ok(s, trade_put(s, 2, 1));
    aero_cursor *cursor = cursor_open(s, &query);
    assert_ok(s, aero_rollback_to(s, "p", 1));
    assert_ok(s, trade_put(s, 3, 1));
    assert_status(s, AERO_STALE, aero_cursor_next(cursor, &row));
    aero_cursor_close(cursor);
    aero_query_free(query);
    cursor = cursor_open(s, &query); /* this one began after what is undone now */
    assert_ok(s, aero_savepoint(s, "q", 1));
    assert_ok(s, trade_put(s, 4, 1));
    assert_ok(s, aero_rollback_to(s, "q", 1));
    assert_ok(s, aero_cursor_next(cursor, &row));
    assert_non_null(row);
    assert_ok(s, aero_commit(s));
    assert_status(s, AERO_STALE, aero_cursor_next(cursor, &row));
    aero_cursor_close(cursor);
    aero_query_free(query);
    store_close(&store);
}

/* ---- counts and reset ----------------------------------------------------------------------- */

static void test_counts_follow_writes_and_snapshots(void **state)
{
    test_store store;
    uint64_t deleted = 0;
    (void)state;
    store_open(&store, 16 << 20);
    aero_session *s = store.session;
    aero_session *other = session_new(&store);
    assert_int_equal(row_count(s, TRADE), 0);
    for (uint32_t id = 0; id < 1000; id++)
        assert_ok(s, trade_put(s, id, 1));
    assert_ok(other, aero_begin(other, AERO_ISOLATION_SNAPSHOT));
    assert_int_equal(row_count(other, TRADE), 1000);
    assert_ok(s, aero_begin(s, AERO_ISOLATION_SERIALIZABLE));
    assert_ok(s, trade_put(s, 5000, 1));
    assert_ok(s, aero_reset(s, TRADE, &deleted));
    assert_int_equal(deleted, 1001);
    assert_int_equal(row_count(s, TRADE), 0);
    assert_ok(s, trade_put(s, 1, 9));
    assert_int_equal(row_count(s, TRADE), 1);
    assert_ok(s, aero_rollback(s));
    assert_int_equal(row_count(s, TRADE), 1000);
    assert_int_equal(trade_amount(s, 1), 1);
    assert_ok(s, aero_reset(s, TRADE, &deleted));
    assert_int_equal(deleted, 1000);
    assert_int_equal(row_count(s, TRADE), 0);
    assert_int_equal(row_count(other, TRADE), 1000);
    assert_status(other, AERO_CONFLICT, aero_reset(other, TRADE, &deleted));
    assert_int_equal(deleted, 0);
    assert_ok(other, aero_rollback(other));
    assert_ok(s, aero_reset(s, TRADE, &deleted));
    assert_int_equal(deleted, 0);
    assert_ok(s, trade_put(s, 1, 2));
    assert_int_equal(trade_amount(s, 1), 2);
    assert_int_equal(row_count(s, INSTRUMENT), 0); /* tables do not mix */
    aero_session_close(other);
    store_close(&store);
}

/* Goal: a statement that fails leaves its transaction as it was.  Method: an ingest whose last line
 * is wrong, after rows of its own. */
static void test_a_failing_statement_is_undone_alone(void **state)
{
    static const uint32_t columns[] = {TRADE_ID, TRADE_SYMBOL, AMOUNT, ACCOUNT, PLACED_AT};
    const aero_tsv_options options = {.column_count = 5, .columns = columns};
    static const char lines[] = "1\tX\t5\t7\t1\n2\tX\t5\t7\t1\n3\tX\tnonsense\t7\t1\n";
    test_store store;
    aero_ingest_report report;
    (void)state;
    store_open(&store, 16 << 20);
    aero_session *s = store.session;
    assert_ok(s, trade_put(s, 1, 1));
    assert_ok(s, aero_begin(s, AERO_ISOLATION_SERIALIZABLE));
    assert_ok(s, trade_put(s, 9, 9));
    assert_int_not_equal(aero_ingest_tsv(s, TRADE, lines, sizeof lines - 1, &options, &report),
                         AERO_OK);
    assert_int_equal(trade_amount(s, 1), 1);
    assert_int_equal(trade_amount(s, 2), INT64_MIN);
    assert_int_equal(trade_amount(s, 9), 9);
    assert_ok(s, aero_commit(s));
    assert_int_equal(row_count(s, TRADE), 2);
    store_close(&store);
}

/* ---- texts ---------------------------------------------------------------------------------- */

static void fill(char *text, size_t length, uint32_t seed)
{
    for (size_t at = 0; at < length; at++)
        text[at] = (char)('a' + (seed + at * (1 + seed % 7)) % 26);
}

static void instrument_check(aero_session *session, const char *symbol, const char *title,
                             size_t title_length, const char *logo, size_t logo_length)
{
    const uint32_t columns[] = {TITLE, LOGO};
    const aero_value key = v_text(symbol);
    aero_value values[2];
    int32_t found = 0;
    assert_ok(session, aero_get(session, INSTRUMENT, &key, 2, columns, values, &found));
    assert_true(found);
    assert_int_equal(values[0].length, title_length);
    assert_int_equal(values[1].length, logo_length);
    assert_memory_equal(values[0].u.data, title, title_length);
    assert_memory_equal(values[1].u.data, logo, logo_length);
}

/* Goal: texts of any size come back, also when another column changes.  Method: sizes around each
 * boundary; updates of one text keep the other; all is read back after each step. */
static void test_texts_of_all_sizes_come_back(void **state)
{
    static const size_t sizes[] = {0,    1,    11,   12,    13,    15,    16,    17,    31,
                                   32,   33,   100,  255,   256,   999,   1000,  4079,  4080,
                                   4081, 4096, 8192, 65519, 65520, 65521, 99999, 100000};
    enum { SIZES = sizeof sizes / sizeof sizes[0] };
    static char title[1000];
    static char logo[100000];
    test_store store;
    (void)state;
    store_open(&store, 64 << 20);
    aero_session *s = store.session;
    for (uint32_t turn = 0; turn < 3; turn++)
        for (uint32_t index = 0; index < SIZES; index++) {
            const size_t title_length = sizes[(index * 5 + turn) % 16];
            const uint32_t columns[] = {SYMBOL, TITLE, LOGO};
            char symbol[32];
            int32_t flag = 0;
            snprintf(symbol, sizeof symbol, "%s%u", index % 2 ? "a-long-symbol" : "s", index);
            fill(title, title_length, index + turn);
            fill(logo, sizes[index], index + turn + 1);
            const aero_value values[] = {v_text(symbol),
                                         v_data(AERO_TYPE_TEXT, title, title_length),
                                         v_data(AERO_TYPE_BYTES, logo, sizes[index])};
            assert_ok(s, aero_upsert(s, INSTRUMENT, 3, columns, values, &flag));
            instrument_check(s, symbol, title, title_length, logo, sizes[index]);
            const uint32_t sector = SECTOR;
            const aero_value number = v_int(index);
            assert_ok(s, aero_update(s, INSTRUMENT, &values[0], 1, &sector, &number, &flag));
            instrument_check(s, symbol, title, title_length, logo, sizes[index]);
            const size_t shorter = title_length / 2;
            const uint32_t only_title = TITLE;
            const aero_value half = v_data(AERO_TYPE_TEXT, title, shorter);
            assert_ok(s, aero_update(s, INSTRUMENT, &values[0], 1, &only_title, &half, &flag));
            instrument_check(s, symbol, title, shorter, logo, sizes[index]);
            const void *image = NULL;
            assert_ok(s, aero_get_row(s, INSTRUMENT, &values[0], &image));
            assert_non_null(image);
        }
    assert_int_equal(row_count(s, INSTRUMENT), SIZES);
    store_close(&store);
}

/* ---- memory of long runs -------------------------------------------------------------------- */

/* Goal: L8.  Method: one row is updated very often; then rows come and go; the segment does not
 * grow after the first tenth. */
static void test_updates_of_a_hot_row_need_no_memory(void **state)
{
    test_store store;
    uint64_t used = 0;
    (void)state;
    store_open(&store, 16 << 20);
    aero_session *s = store.session;
    for (uint32_t turn = 0; turn < CHURN; turn++) {
        assert_ok(s, trade_put(s, 1, turn));
        if (turn == CHURN / 10)
            used = stat_value(s, "segment_used");
    }
    /* Nodes of the indexes may still need one page more. */
    assert_in_range(stat_value(s, "segment_used"), used, used + (64 << 10));
    assert_int_equal(trade_amount(s, 1), CHURN - 1);
    store_close(&store);
}

static void test_rows_that_come_and_go_need_no_memory(void **state)
{
    test_store store;
    uint64_t used = 0;
    (void)state;
    store_open(&store, 16 << 20);
    aero_session *s = store.session;
    for (uint32_t turn = 0; turn < CHURN; turn++) {
        assert_ok(s, trade_put(s, turn, turn));
        if (turn >= 100)
            assert_ok(s, trade_delete(s, turn - 100));
        if (turn == CHURN / 5)
            used = stat_value(s, "segment_used");
    }
    /* Nodes of the indexes, and what is on its way back, may still need two pages more. */
    assert_in_range(stat_value(s, "segment_used"), used, used + (128 << 10));
    assert_int_equal(row_count(s, TRADE), 100);
    store_close(&store);
}

/* Goal: as above where every row has a text outside, of changing size. */
static void test_changing_texts_need_no_memory(void **state)
{
    static char logo[9000];
    const uint32_t columns[] = {SYMBOL, LOGO};
    test_store store;
    uint64_t used = 0;
    (void)state;
    store_open(&store, 32 << 20);
    aero_session *s = store.session;
    for (uint32_t turn = 0; turn < CHURN / 4; turn++) {
        char symbol[16];
        int32_t flag = 0;
        snprintf(symbol, sizeof symbol, "s%u", turn % 50);
        const aero_value values[] = {v_text(symbol),
                                     v_data(AERO_TYPE_BYTES, logo, turn * 37 % 9000)};
        assert_ok(s, aero_upsert(s, INSTRUMENT, 2, columns, values, &flag));
        if (turn == CHURN / 8)
            used = stat_value(s, "segment_used");
    }
    assert_int_equal(stat_value(s, "segment_used"), used);
    store_close(&store);
}

/* Goal: what a session's transactions left behind is freed although the session has gone, and long
 * before the segment is full.  Method: sessions update many rows in one transaction and close, one
 * after another, on slots of their own; a last one does small things only. */
static void test_idle_slots_give_up_what_they_kept(void **state)
{
    test_store store;
    aero_session *sessions[8];
    (void)state;
    store_open(&store, 64 << 20);
    for (uint32_t index = 0; index < 8; index++) {
        sessions[index] = session_new(&store);
        aero_session *s = sessions[index];
        assert_ok(s, aero_begin(s, AERO_ISOLATION_SNAPSHOT));
        for (uint32_t id = 0; id < 3000; id++)
            assert_ok(s, trade_put(s, id, index));
        assert_ok(s, aero_commit(s));
    }
    for (uint32_t index = 0; index < 8; index++)
        aero_session_close(sessions[index]);
    const uint64_t deadline = now_ns() + 120000000000u;
    uint64_t rows = 0;
    uint64_t objects = UINT64_MAX;
    while (objects > 10000 && now_ns() < deadline) {
        for (uint32_t turn = 0; turn < 500; turn++)
            assert_ok(store.session, trade_put(store.session, 1, turn));
        assert_ok(store.session, aero_verify(store.session, &rows, &objects));
    }
    assert_int_equal(rows, 3000);
    assert_in_range(objects, 6000, 10000); /* a version and an anchor each, and stock */
    store_close(&store);
}

/* Goal: of a batch that brings a key again and again, the last row stays, and each is counted as
 * what it was; also when the first of them is still on its way into the table.  Method: batches of
 * random keys of a few, against a model; some keys are deleted between batches, and some batches
 * are rolled back, so that keys come back over their old rows or without any. */
static void test_a_batch_with_keys_again_and_again(void **state)
{
    enum { KEYS_MAX = 300, LINES = 400, TURNS = 60 };
    const uint32_t columns[] = {SYMBOL, TITLE};
    const aero_tsv_options options = {.column_count = 2, .columns = columns, .batch_size = LINES};
    static char text[LINES * 32];
    int model[KEYS_MAX];
    test_store store;
    uint64_t random = test_seed("again and again");
    (void)state;
    store_open(&store, 32 << 20);
    aero_session *s = store.session;
    memset(model, 0xff, sizeof model); /* -1: not there */
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        const uint32_t keys = turn % 3 == 0 ? 7 : turn % 3 == 1 ? 40 : KEYS_MAX;
        const bool undone = turn % 5 == 4;
        int after[KEYS_MAX];
        uint64_t inserted = 0;
        size_t length = 0;
        aero_ingest_report report;
        memcpy(after, model, sizeof after);
        for (uint32_t line = 0; line < LINES; line++) {
            const uint32_t key = (uint32_t)(next_random(&random) % keys);
            inserted += after[key] < 0;
            after[key] = (int)(turn * LINES + line);
            length += (size_t)snprintf(text + length, 32, "K%u\tT%d\n", key, after[key]);
        }
        if (undone)
            assert_ok(s, aero_begin(s, AERO_ISOLATION_SERIALIZABLE));
        assert_ok(s, aero_ingest_tsv(s, INSTRUMENT, text, length, &options, &report));
        assert_int_equal(report.inserted, inserted);
        assert_int_equal(report.updated, LINES - inserted);
        if (undone)
            assert_ok(s, aero_rollback(s));
        else
            memcpy(model, after, sizeof model);
        for (uint32_t key = 0; key < KEYS_MAX; key++) {
            char name[16];
            char title[16];
            aero_value value;
            int32_t found = 0;
            snprintf(name, sizeof name, "K%u", key);
            const aero_value id = v_text(name);
            assert_ok(s, aero_get(s, INSTRUMENT, &id, 1, &columns[1], &value, &found));
            assert_int_equal(found, model[key] >= 0);
            if (!found)
                continue;
            snprintf(title, sizeof title, "T%d", model[key]);
            assert_int_equal(value.length, strlen(title));
            assert_memory_equal(value.u.data, title, value.length);
            if (next_random(&random) % 4 == 0) {
                assert_ok(s, aero_delete(s, INSTRUMENT, &id, &found));
                model[key] = -1;
            }
        }
        store_verify(s);
    }
    store_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_cursor_does_not_see_later_writes),
    cmocka_unit_test(test_a_cursor_in_a_transaction_does_not_see_its_later_writes),
    cmocka_unit_test(test_a_cursor_goes_stale_with_the_writes_it_saw),
    cmocka_unit_test(test_counts_follow_writes_and_snapshots),
    cmocka_unit_test(test_a_failing_statement_is_undone_alone),
    cmocka_unit_test(test_a_batch_with_keys_again_and_again),
    cmocka_unit_test(test_texts_of_all_sizes_come_back),
    cmocka_unit_test(test_updates_of_a_hot_row_need_no_memory),
    cmocka_unit_test(test_rows_that_come_and_go_need_no_memory),
    cmocka_unit_test(test_changing_texts_need_no_memory),
    cmocka_unit_test(test_idle_slots_give_up_what_they_kept),
};

AE_TEST_MAIN(tests)
