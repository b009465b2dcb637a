/* Sorting: against a plain stable sort, NULLs last, top rows equal the full sort's first, windows.
 *
 * links: base shm row index/key.c !row/version* query api/api_query.c generated/market
 */
#include "harness.h"

#include "query_fake.h"

enum { ROWS = 6000 };

typedef struct key {
    uint32_t column;
    bool descending;
} key;

/* What a plain sort needs; it is given as an argument of the comparison. */
typedef struct judge {
    const aero_session *session;
    const aero_table *table;
    uint32_t table_index;
    const key *keys;
    size_t key_count;
} judge;

static int judge_order(const void *left, const void *right, void *context)
{
    const judge *about = context;
    const size_t a = *(const size_t *)left;
    const size_t b = *(const size_t *)right;
    const char *row_a = fake_row(about->session, about->table_index, a);
    const char *row_b = fake_row(about->session, about->table_index, b);
    for (size_t i = 0; i < about->key_count; i++) {
        const aero_column *column = &about->table->columns[about->keys[i].column];
        aero_value value_a;
        aero_value value_b;
        column->get(row_a, NULL, &value_a);
        column->get(row_b, NULL, &value_b);
        const int nulls = (value_a.type == AERO_TYPE_NULL) - (value_b.type == AERO_TYPE_NULL);
        if (nulls != 0)
            return nulls;
        if (value_a.type == AERO_TYPE_NULL)
            continue;
        const int order = column->compare(row_a, NULL, row_b, NULL);
        if (order != 0)
            return about->keys[i].descending ? -order : order;
    }
    return (a > b) - (a < b); /* stable */
}

/* The keys of a query's rows, as numbers of rows. */
static size_t run(aero_session *session, uint32_t table_index, const key *keys, size_t key_count,
                  int64_t limit, int64_t offset, size_t *out)
{
    const aero_table *table = ae_session_table(session, table_index);
    aero_query *query;
    aero_cursor *cursor;
    const aero_row *row;
    size_t count = 0;
    assert_int_equal(aero_query_new(session, table_index, &query), AERO_OK);
    for (size_t i = 0; i < key_count; i++)
        assert_int_equal(aero_query_sort(query, keys[i].column, keys[i].descending), AERO_OK);
    assert_int_equal(aero_query_limit(query, limit, offset), AERO_OK);
    assert_int_equal(aero_cursor_open(query, &cursor), AERO_OK);
    while (aero_cursor_next(cursor, &row) == AERO_OK && row != NULL) {
        aero_value value;
        aero_row_values(row, 1, &table->key_column, &value);
        assert_true(count < ROWS);
        out[count++] = value.type == AERO_TYPE_TEXT ? strtoul(value.u.data + 1, NULL, 10)
                                                    : (size_t)value.u.integer;
    }
    assert_int_equal(aero_cursor_rows(cursor), count);
    aero_cursor_close(cursor);
    uint64_t counted;
    assert_int_equal(aero_query_count(query, &counted), AERO_OK);
    assert_int_equal(counted, count);
    aero_query_free(query);
    return count;
}

static void check_windows(judge *about, aero_session *session, uint64_t *random)
{
    static const int64_t limits[] = {-1,   0,    1,    2,    49,   50,   1000,
                                     1024, 1025, 3000, 5999, 6000, 9000, INT64_MAX};
    size_t *wanted = calloc(ROWS, sizeof *wanted);
    size_t *got = calloc(ROWS, sizeof *got);
    for (size_t i = 0; i < ROWS; i++)
        wanted[i] = i;
    qsort_r(wanted, ROWS, sizeof *wanted, judge_order, about);
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        const int64_t limit = limits[i];
        const int64_t offset = (int64_t)(random_word(random) % 3 * (random_word(random) % 6500));
        const size_t first = offset < ROWS ? (size_t)offset : ROWS;
        const size_t left = ROWS - first;
        const size_t size = limit >= 0 && (uint64_t)limit < left ? (size_t)limit : left;
        const size_t count = run(session, about->table_index, about->keys, about->key_count, limit,
                                 offset, got);
        assert_int_equal(count, size);
        for (size_t r = 0; r < size; r++) {
            if (got[r] != wanted[first + r])
                fail_msg("limit %" PRId64 " offset %" PRId64 " first column %s%s: row %zu is %zu, "
                         "not %zu",
                         limit, offset, about->table->columns[about->keys[0].column].name,
                         about->keys[0].descending ? " descending" : "", r, got[r],
                         wanted[first + r]);
        }
    }
    free(wanted);
    free(got);
}

/* Goal: any columns, any direction, any window give what a plain sort gives; method: random rows
 * and sorts. */
static void sort_agrees_with_a_plain_sort(void **state)
{
    (void)state;
    uint64_t random = new_seed();
    for (uint32_t table = INSTRUMENT; table <= TRADE; table++) {
        aero_session *session = fake_session();
        const aero_table *about = ae_session_table(session, table);
        fake_fill(session, table, ROWS, &random);
        for (uint32_t column = 0; column < about->column_count; column++) {
            key keys[4] = {{.column = column, .descending = random_word(&random) % 2}};
            const size_t count = random_word(&random) % 4 + 1;
            for (size_t i = 1; i < count; i++)
                keys[i] = (key){.column = (uint32_t)((column + i * 3) % about->column_count),
                                .descending = random_word(&random) % 2};
            judge plain = {.session = session,
                           .table = about,
                           .table_index = table,
                           .keys = keys,
                           .key_count = count};
            check_windows(&plain, session, &random);
        }
        assert_int_equal(session->readers, 0);
        fake_close(session);
    }
}

/* Goal: rows that come in the worst order (each better than all before) are handled; method: sort
 * rows down that were inserted upwards. */
static void top_rows_of_the_worst_order(void **state)
{
    (void)state;
    aero_session *session = fake_session();
    size_t *got = calloc(ROWS, sizeof *got);
    uint64_t random = 1;
    fake_fill(session, TRADE, ROWS, &random);
    const key down = {.column = fake_column(TRADE, "trade_id"), .descending = true};
    assert_int_equal(run(session, TRADE, &down, 1, 100, 0, got), 100);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(got[i], ROWS - 1 - i);
    free(got);
    fake_close(session);
}

/* Goal: windows without a sort stop early and count right; method: every corner. */
static void windows_without_sort(void **state)
{
    (void)state;
    static const int64_t windows[][3] = {
        {-1, 0, ROWS},
        {0, 0, 0},
        {1, 0, 1},
        {300, 0, 300},
        {-1, ROWS, 0},
        {-1, ROWS - 1, 1},
        {10, ROWS - 5, 5},
        {256, 256, 256},
        {INT64_MAX, INT64_MAX, 0},
        {INT64_MAX, 1, ROWS - 1},
        {-5, 7, ROWS - 7},
    };
    aero_session *session = fake_session();
    size_t *got = calloc(ROWS, sizeof *got);
    uint64_t random = 2;
    fake_fill(session, TRADE, ROWS, &random);
    for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++) {
        const int64_t *window = windows[i];
        const size_t count = run(session, TRADE, NULL, 0, window[0], window[1], got);
        assert_int_equal(count, window[2]);
        for (size_t r = 0; r < count; r++)
            assert_int_equal(got[r], r + (size_t)window[1]);
    }
    aero_query *query;
    assert_int_equal(aero_query_new(session, TRADE, &query), AERO_OK);
    assert_int_equal(aero_query_limit(query, 1, -1), AERO_USAGE);
    for (uint32_t i = 0; i < 15; i++) {
        assert_int_equal(aero_query_sort(query, i, 0), AERO_OK);
        assert_int_equal(aero_query_sort(query, i, 1), AERO_OK); /* the first mention counts */
    }
    assert_int_equal(aero_query_sort(query, 15, 0), AERO_USAGE);
    aero_query_free(query);
    free(got);
    fake_close(session);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(sort_agrees_with_a_plain_sort),
    cmocka_unit_test(top_rows_of_the_worst_order),
    cmocka_unit_test(windows_without_sort),
};

AE_TEST_MAIN(tests)
