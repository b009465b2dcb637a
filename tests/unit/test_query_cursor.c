/* Cursors: rows one by one and by column, TSV, plans in words, key look-ups, lifetimes.
 *
 * links: base shm row index/key.c !row/version* query api/api_query.c generated/market
 */
#include "harness.h"

#include "query/limits.h"
#include "query_fake.h"
#include "row/convert.h"

enum { ROWS = 1000 };

static aero_query *query_on(aero_session *session, uint32_t table, const char *compare)
{
    aero_query *query;
    assert_int_equal(aero_query_new(session, table, &query), AERO_OK);
    if (compare != NULL && aero_query_compare(query, compare, strlen(compare)) != AERO_OK)
        fail_msg("%s: %s", compare, session->error.text);
    return query;
}

static aero_cursor *cursor_on(aero_query *query)
{
    aero_cursor *cursor;
    assert_int_equal(aero_cursor_open(query, &cursor), AERO_OK);
    return cursor;
}

static aero_session *filled(uint32_t table, size_t rows, uint64_t seed)
{
    aero_session *session = fake_session();
    fake_fill(session, table, rows, &seed);
    return session;
}

/* ---- values --------------------------------------------------------------------------------- */

/* Check a value of a fetch against the row it came from. */
static void check_fetched(const aero_session *session, uint32_t table, size_t row, uint32_t column,
                          const aero_column_data *data, uint32_t at)
{
    const aero_column *about = &ae_session_table(session, table)->columns[column];
    char scratch[AE_TEXT_MAX];
    aero_value raw;
    aero_value value;
    fake_get(session, table, row, column, &raw);
    ae_present(about, &raw, scratch, &value);
    const bool null = value.type == AERO_TYPE_NULL;
    assert_int_equal(data->nulls != NULL && data->nulls[at], null);
    if (data->type == AERO_TYPE_TEXT || data->type == AERO_TYPE_BYTES) {
        const size_t length = data->offsets[at + 1] - data->offsets[at] - 1;
        assert_int_equal(length, null ? 0 : value.length);
        if (length > 0)
            assert_memory_equal(data->text + data->offsets[at], value.u.data, length);
        assert_int_equal(data->text[data->offsets[at + 1] - 1], 0);
    } else if (data->type == AERO_TYPE_DOUBLE) {
        assert_true(data->reals[at] == (null ? 0.0 : value.u.real));
    } else {
        assert_int_equal(data->integers[at], null ? 0 : value.u.integer);
    }
    if (!null && data->type != AERO_TYPE_UINT)
        assert_int_equal(data->type, value.type);
}

/* Goal: a fetch gives what the rows hold, for every kind, in batches of any size, also mixed with
 * single rows; method: compare with the rows. */
static void fetch_gives_what_rows_hold(void **state)
{
    (void)state;
    for (uint32_t table = INSTRUMENT; table <= TRADE; table++) {
        aero_session *session = filled(table, ROWS, 3);
        const uint32_t count = ae_session_table(session, table)->column_count;
        aero_query *query = query_on(session, table, NULL);
        for (uint32_t size = 1; size < 3 * ROWS; size = size * 3 + 1) {
            aero_cursor *cursor = cursor_on(query);
            uint32_t columns[64];
            aero_column_data data[64];
            uint32_t rows = 1;
            size_t seen = 0;
            for (uint32_t c = 0; c < count; c++)
                columns[c] = count - 1 - c;
            while (rows > 0) {
                assert_int_equal(aero_cursor_fetch(cursor, size, count, columns, data, &rows),
                                 AERO_OK);
                for (uint32_t c = 0; c < count; c++)
                    for (uint32_t i = 0; i < rows; i++)
                        check_fetched(session, table, seen + i, columns[c], &data[c], i);
                seen += rows;
                const aero_row *row;
                assert_int_equal(aero_cursor_next(cursor, &row), AERO_OK);
                seen += row != NULL;
                assert_int_equal(aero_cursor_rows(cursor), seen);
            }
            assert_int_equal(seen, ROWS);
            assert_int_equal(session->readers, 0); /* let go at the end, not only at close */
            aero_cursor_close(cursor);
        }
        aero_query_free(query);
        fake_close(session);
    }
}

/* Goal: a cursor that gets the memory of a closed one shows nothing of it.  Method: cursors on one
 * query are closed at any point, also two at a time in either order, sorted and limited now and
 * then, after fetches of some columns and rows; then one is read to its end and compared. */
static void cursors_in_the_memory_of_closed_ones(void **state)
{
    uint64_t random = 17;
    (void)state;
    for (uint32_t table = INSTRUMENT; table <= TRADE; table++) {
        aero_session *session = filled(table, ROWS, 5);
        const uint32_t count = ae_session_table(session, table)->column_count;
        aero_query *query = query_on(session, table, NULL);
        uint32_t columns[64];
        aero_column_data data[64];
        uint32_t rows;
        for (uint32_t turn = 0; turn < 60; turn++) {
            aero_cursor *cursors[2] = {NULL, NULL};
            if (turn % 3 == 0)
                assert_int_equal(aero_query_limit(query, (int64_t)(random_word(&random) % ROWS), 3),
                                 AERO_OK);
            for (uint32_t i = 0; i <= turn % 2; i++) {
                cursors[i] = cursor_on(query);
                for (uint32_t c = 0; c < count; c++)
                    columns[c] = (uint32_t)(random_word(&random) % count);
                const uint32_t some = (uint32_t)(random_word(&random) % count);
                const uint32_t most = turn % 7 == 0 ? ROWS
                                                    : 1 + (uint32_t)(random_word(&random) % 70);
                assert_int_equal(aero_cursor_fetch(cursors[i], most, some, columns, data, &rows),
                                 AERO_OK);
            }
            if (turn % 4 == 1)
                aero_cursor_close(cursors[0]);
            if (cursors[1] != NULL)
                aero_cursor_close(cursors[1]);
            if (turn % 4 != 1)
                aero_cursor_close(cursors[0]);
            assert_int_equal(aero_query_limit(query, -1, 0), AERO_OK);
            aero_cursor *whole = cursor_on(query);
            size_t seen = 0;
            assert_int_equal(aero_cursor_rows(whole), 0);
            for (uint32_t c = 0; c < count; c++)
                columns[c] = c;
            do {
                assert_int_equal(aero_cursor_fetch(whole, 50, count, columns, data, &rows),
                                 AERO_OK);
                for (uint32_t c = 0; c < count; c++)
                    for (uint32_t i = 0; i < rows; i += 7)
                        check_fetched(session, table, seen + i, c, &data[c], i);
                seen += rows;
            } while (rows > 0);
            assert_int_equal(seen, ROWS);
            aero_cursor_close(whole);
            assert_int_equal(session->readers, 0);
        }
        aero_query_free(query);
        fake_close(session);
    }
}

/* Goal: texts beyond the limit of a fetch come in several, none lost; method: 1,000 × 100,000
 * bytes. */
static void fetch_of_large_texts_is_cut(void **state)
{
    (void)state;
    enum { SIZE = 100000 };
    aero_session *session = filled(INSTRUMENT, ROWS, 4);
    const aero_column *logo =
        &ae_session_table(session, INSTRUMENT)->columns[fake_column(INSTRUMENT, "logo")];
    char *bytes = calloc(SIZE, 1);
    for (size_t i = 0; i < ROWS; i++)
        logo->set(fake_row(session, INSTRUMENT, i),
                  &(aero_value){.type = AERO_TYPE_BYTES, .length = SIZE, .u.data = bytes});
    aero_query *query = query_on(session, INSTRUMENT, NULL);
    aero_cursor *cursor = cursor_on(query);
    const uint32_t columns[] = {fake_column(INSTRUMENT, "logo"), fake_column(INSTRUMENT, "symbol")};
    aero_column_data data[2];
    uint32_t rows;
    size_t seen = 0;
    do {
        assert_int_equal(aero_cursor_fetch(cursor, 65536, 2, columns, data, &rows), AERO_OK);
        assert_true(data[0].text_length <= AEI_FETCH_TEXT_MAX);
        assert_true(rows == 0 || data[0].has_nul);
        assert_int_equal(data[1].has_nul, 0);
        for (uint32_t i = 0; i < rows; i += 97)
            check_fetched(session, INSTRUMENT, seen + i, columns[1], &data[1], i);
        seen += rows;
        assert_true(seen == ROWS || session->readers == 1); /* held rows are still pinned */
    } while (rows > 0);
    assert_int_equal(seen, ROWS);
    aero_cursor_close(cursor);
    aero_query_free(query);
    free(bytes);
    fake_close(session);
}

/* Goal: arguments of a fetch are checked, and checking loses no row; method: wrong ones first. */
static void fetch_arguments(void **state)
{
    (void)state;
    aero_session *session = filled(TRADE, 10, 5);
    aero_query *query = query_on(session, TRADE, NULL);
    aero_cursor *cursor = cursor_on(query);
    const uint32_t columns[] = {0, 99};
    aero_column_data data[2];
    uint32_t rows;
    assert_int_equal(aero_cursor_fetch(cursor, 0, 1, columns, data, &rows), AERO_USAGE);
    assert_int_equal(aero_cursor_fetch(cursor, 65537, 1, columns, data, &rows), AERO_USAGE);
    assert_int_equal(aero_cursor_fetch(cursor, 1, 2, columns, data, &rows), AERO_USAGE);
    assert_int_equal(aero_cursor_fetch(cursor, 1, 5000, columns, data, &rows), AERO_LIMIT);
    assert_int_equal(aero_cursor_fetch(cursor, 1, 1, NULL, data, &rows), AERO_USAGE);
    assert_int_equal(aero_cursor_fetch(cursor, 1, 1, columns, data, NULL), AERO_USAGE);
    assert_int_equal(aero_cursor_fetch(cursor, 100, 0, NULL, NULL, &rows), AERO_OK);
    assert_int_equal(rows, 10);
    aero_cursor_close(cursor);
    cursor = cursor_on(query);
    const aero_row *row;
    const uint32_t wrong = 99;
    aero_value value;
    assert_int_equal(aero_cursor_next(cursor, &row), AERO_OK);
    aero_row_values(row, 1, &wrong, &value);
    assert_int_equal(value.type, AERO_TYPE_NULL);
    assert_int_equal(aero_cursor_next(NULL, &row), AERO_USAGE);
    aero_cursor_close(NULL);
    aero_query_free(NULL);
    aero_cursor_close(cursor);
    aero_query_free(query);
    fake_close(session);
}

/* ---- TSV ------------------------------------------------------------------------------------ */

typedef struct output {
    char *data;
    size_t length;
    int32_t stop_after; /* pieces; 0: never */
    int32_t pieces;
} output;

static int32_t collect(void *context, const char *data, size_t length)
{
    output *out = context;
    out->data = realloc(out->data, out->length + length + 1);
    memcpy(out->data + out->length, data, length);
    out->length += length;
    out->data[out->length] = '\0';
    return ++out->pieces == out->stop_after;
}

static void write_tsv(aero_query *query, const aero_tsv_options *options, output *out)
{
    aero_cursor *cursor = cursor_on(query);
    uint64_t rows;
    *out = (output){0};
    assert_int_equal(aero_write_tsv(cursor, options, collect, out, &rows), AERO_OK);
    assert_int_equal(rows, aero_cursor_rows(cursor));
    aero_cursor_close(cursor);
}

static void check_tsv(aero_query *query, const aero_tsv_options *options, const char *wanted)
{
    output out;
    write_tsv(query, options, &out);
    assert_string_equal(out.data, wanted);
    free(out.data);
}

/* Goal: a line is what the options say; method: one odd row written in every way. */
static void tsv_options(void **state)
{
    (void)state;
    aero_session *session = filled(INSTRUMENT, 1, 6);
    const aero_table *table = ae_session_table(session, INSTRUMENT);
    char *row = fake_row(session, INSTRUMENT, 0);
    const uint32_t symbol = fake_column(INSTRUMENT, "symbol");
    const uint32_t title = fake_column(INSTRUMENT, "title");
    const uint32_t isin = fake_column(INSTRUMENT, "isin");
    const uint32_t logo = fake_column(INSTRUMENT, "logo");
    const uint32_t grade = fake_column(INSTRUMENT, "grade");
    const aero_value null = {.type = AERO_TYPE_NULL};
    table->columns[title].set(
        row, &(aero_value){.type = AERO_TYPE_TEXT, .length = 5, .u.data = "a,\tb\\"});
    table->columns[isin].set(row, &null);
    table->columns[grade].set(row, &(aero_value){.type = AERO_TYPE_INT, .u.integer = ','});
    table->columns[logo].set(row,
                             &(aero_value){.type = AERO_TYPE_BYTES, .length = 0, .u.data = ""});
    const uint32_t columns[] = {title, isin, logo, grade};
    aero_query *query = query_on(session, INSTRUMENT, NULL);
    aero_tsv_options options = {.column_count = 4, .columns = columns};
    check_tsv(query, &options, "a,\\tb\\\\\t\t\\e\t,\n");
    options.header = 1;
    check_tsv(query, &options, "title\tisin\tlogo\tgrade\na,\\tb\\\\\t\t\\e\t,\n");
    options.header = 0;
    options.separator = ",";
    check_tsv(query, &options, "a\\x2c\\tb\\\\,,\\e,\\x2c\n");
    options.null_text = "NULL";
    check_tsv(query, &options, "a\\x2c\\tb\\\\,NULL,,\\x2c\n");
    table->columns[title].set(row,
                              &(aero_value){.type = AERO_TYPE_TEXT, .length = 4, .u.data = "NULL"});
    check_tsv(query, &options, "\\eNULL,NULL,,\\x2c\n");
    options = (aero_tsv_options){.column_count = 1, .columns = &isin};
    check_tsv(query, &options, "\\N\n");
    table->columns[title].set(row,
                              &(aero_value){.type = AERO_TYPE_TEXT, .length = 0, .u.data = ""});
    options.columns = &title;
    check_tsv(query, &options, "\\e\n");
    options.columns = &symbol;
    check_tsv(query, &options, "S00000\n");
    aero_query_free(query);
    fake_close(session);
}

/* Goal: wrong options are refused and the receiver may stop; method: one of each. */
static void tsv_refusals(void **state)
{
    (void)state;
    aero_session *session = filled(TRADE, 5000, 7);
    aero_query *query = query_on(session, TRADE, NULL);
    const uint32_t wrong = 99;
    const aero_tsv_options options[] = {
        {.separator = ""},
        {.separator = "ab"},
        {.separator = "\n"},
        {.separator = "\\"},
        {.separator = "7"},
        {.separator = "\xc3"},
        {.null_text = "a\tb"},
        {.null_text = "a\n"},
        {.column_count = 1, .columns = &wrong},
        {.column_count = 1},
        {.column_count = 99, .columns = &wrong},
    };
    output out = {0};
    uint64_t rows;
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        aero_cursor *cursor = cursor_on(query);
        assert_int_equal(aero_write_tsv(cursor, &options[i], collect, &out, &rows), AERO_USAGE);
        aero_cursor_close(cursor);
    }
    assert_int_equal(out.length, 0);
    aero_cursor *cursor = cursor_on(query);
    out.stop_after = 2;
    assert_int_equal(aero_write_tsv(cursor, NULL, collect, &out, &rows), AERO_INTERRUPTED);
    assert_int_equal(out.pieces, 2);
    assert_true(rows > 0 && rows < 5000);
    aero_cursor_close(cursor);
    free(out.data);
    aero_query_free(query);
    fake_close(session);
}

/* Goal: cell by cell and by the generated encoder give the same bytes; method: random rows. */
static void tsv_direct_equals_by_cell(void **state)
{
    (void)state;
    for (uint32_t table = INSTRUMENT; table <= TRADE; table++) {
        aero_session *session = filled(table, ROWS, new_seed());
        aero_query *query = query_on(session, table, NULL);
        uint32_t columns[64];
        for (uint32_t c = 0; c < 64; c++)
            columns[c] = c;
        const aero_tsv_options options = {
            .column_count = ae_session_table(session, table)->column_count, .columns = columns};
        output direct;
        output by_cell;
        write_tsv(query, NULL, &direct);
        write_tsv(query, &options, &by_cell);
        assert_string_equal(direct.data, by_cell.data);
        free(direct.data);
        free(by_cell.data);
        aero_query_free(query);
        fake_close(session);
    }
}

/* ---- plans ---------------------------------------------------------------------------------- */

/* Compare the plan's text, but for its last line: what is expected. */
static void check_plan(aero_query *query, const char *wanted)
{
    const char *text;
    size_t length;
    char plan[1024];
    assert_int_equal(aero_query_explain(query, 0, &text, &length), AERO_OK);
    assert_int_equal(length, strlen(text));
    snprintf(plan, sizeof plan, "%s", text);
    char *expected = strstr(plan, "  expected: ");
    if (expected != NULL)
        *expected = '\0';
    assert_string_equal(plan, wanted);
    aero_query_free(query);
}

/* Goal: explain tells the plan that is run; method: compare texts. */
static void plans_in_words(void **state)
{
    (void)state;
    aero_session *session = filled(INSTRUMENT, ROWS, 8);
    check_plan(query_on(session, INSTRUMENT, NULL), "Instrument: scan of the table\n");
    check_plan(query_on(session, INSTRUMENT, "= ticker S00003"),
               "Instrument: key look-up, 1 key: symbol = \"S00003\"\n");
    check_plan(query_on(session, INSTRUMENT, "match_case ticker S00003"),
               "Instrument: key look-up, 1 key: symbol = \"S00003\"\n");
    check_plan(
        query_on(session, INSTRUMENT, "in symbol {S1 S2 S1 S3 S4 S5}"),
        "Instrument: key look-up, 5 keys: symbol in \"S1\" \"S2\" \"S1\" \"S3\" … (6 values)\n");
    check_plan(query_on(session, INSTRUMENT, "{in symbol {a b}} {> sector 1.5} {= symbol a}"),
               "Instrument: key look-up, 1 key: symbol = \"a\"\n"
               "  filter 1: sector > 1\n"
               "  filter 2: symbol in \"a\" \"b\"\n");
    check_plan(query_on(session, INSTRUMENT, "{> sector 3} {< sector 3}"),
               "Instrument: nothing to read, the conditions exclude every row\n"
               "  filter 1: sector > 3 and sector < 3\n");
    check_plan(query_on(session, INSTRUMENT, "= symbol S0000000000000000000000000000003"),
               "Instrument: nothing to read, the conditions exclude every row\n");
    aero_query *query = query_on(session, INSTRUMENT,
                                 "{match title *x*} {> sector 3} {notnull isin} {<= sector 9} "
                                 "{range currency a b}");
    assert_int_equal(aero_query_sort(query, fake_column(INSTRUMENT, "tick"), 1), AERO_OK);
    assert_int_equal(aero_query_sort(query, fake_column(INSTRUMENT, "symbol"), 0), AERO_OK);
    assert_int_equal(aero_query_limit(query, 50, 7), AERO_OK);
    check_plan(query, "Instrument: scan of the table\n"
                      "  filter 1: isin notnull\n"
                      "  filter 2: sector > 3 and sector <= 9\n"
                      "  filter 3: currency range \"a\" \"b\"\n"
                      "  filter 4: title match \"*x*\"\n"
                      "  sort: tick descending, symbol (only the first 57 rows are kept)\n"
                      "  offset: 7\n"
                      "  limit: 50\n");
    query = query_on(session, INSTRUMENT, "> sector -1000");
    assert_int_equal(aero_query_limit(query, 4, 2), AERO_OK);
    const char *text;
    size_t length;
    assert_int_equal(aero_query_explain(query, 1, &text, &length), AERO_OK);
    assert_non_null(strstr(text, "  actual: 8 candidates read, 4 rows given, "));
    assert_int_equal(session->readers, 0);
    aero_query_free(query);
    fake_close(session);
}

/* Goal: a long or odd constant does not spoil the plan's text; method: patterns and texts of 10,000
 * bytes, bytes, characters cut at the edge. */
static void plans_with_long_constants(void **state)
{
    (void)state;
    aero_session *session = filled(INSTRUMENT, 10, 9);
    char value[10000];
    for (size_t i = 0; i + 2 <= sizeof value; i += 2)
        memcpy(value + i, "\xc3\xa9", 2);
    for (uint32_t cut = 0; cut < 4; cut++) {
        const aero_value long_text = {
            .type = AERO_TYPE_TEXT, .length = 9000 - 2 * cut, .u.data = value};
        aero_query *query = query_on(session, INSTRUMENT, "= logo 00ff");
        const uint32_t title = fake_column(INSTRUMENT, "title");
        assert_int_equal(aero_query_clause(query, AERO_OP_EQ, title, 1, &long_text), AERO_OK);
        assert_int_equal(aero_query_clause(query, AERO_OP_MATCH, title, 1, &long_text), AERO_OK);
        const char *text;
        size_t length;
        const char *reason;
        assert_int_equal(aero_query_explain(query, 0, &text, &length), AERO_OK);
        assert_int_equal(ae_text_check(text, length, UINT32_MAX, &reason), AERO_OK);
        assert_non_null(strstr(text, "logo = 00ff"));
        assert_true(length < 600);
        aero_query_free(query);
    }
    fake_close(session);
}

/* Goal: key look-ups find just the rows asked for, each once; method: keys there and not there. */
static void key_lookups(void **state)
{
    (void)state;
    aero_session *session = filled(TRADE, ROWS, 10);
    uint64_t count;
    aero_query *query = query_on(session, TRADE,
                                 "in trade_id {5 7 5 99999 0 18446744073709551615}");
    assert_int_equal(aero_query_count(query, &count), AERO_OK);
    assert_int_equal(count, 3);
    aero_query_free(query);
    query = query_on(session, TRADE, "= trade_id 7");
    assert_int_equal(aero_query_sort(query, 3, 1), AERO_OK);
    aero_cursor *cursor = cursor_on(query);
    const aero_row *row;
    const uint32_t key = 0;
    aero_value value;
    assert_int_equal(aero_cursor_next(cursor, &row), AERO_OK);
    aero_row_values(row, 1, &key, &value);
    assert_int_equal(value.u.natural, 7);
    assert_int_equal(aero_cursor_next(cursor, &row), AERO_OK);
    assert_null(row);
    aero_cursor_close(cursor);
    aero_query_free(query);
    aero_session *texts = filled(INSTRUMENT, ROWS, 10);
    assert_int_equal(aero_query_new(texts, INSTRUMENT, &query), AERO_OK);
    assert_int_equal(aero_query_glob(query, "S00042", 6), AERO_OK);
    check_plan(query, "Instrument: key look-up, 1 key: symbol = \"S00042\"\n");
    assert_int_equal(aero_query_new(texts, INSTRUMENT, &query), AERO_OK);
    assert_int_equal(aero_query_glob(query, "S0004?", 6), AERO_OK);
    assert_int_equal(aero_query_count(query, &count), AERO_OK);
    assert_int_equal(count, 10);
    aero_query_free(query);
    fake_close(texts);
    fake_close(session);
}

/* ---- lifetimes ------------------------------------------------------------------------------ */

/* Goal: queries and cursors of a closed session answer STALE and are freed without harm, in any
 * order; method: close the session with both open. */
static void handles_outlive_their_session(void **state)
{
    (void)state;
    for (int order = 0; order < 2; order++) {
        aero_session *session = filled(TRADE, 600, 11);
        aero_query *query = query_on(session, TRADE, "> account -1000");
        aero_cursor *cursor = cursor_on(query);
        aero_cursor *untouched = cursor_on(query);
        const aero_row *row;
        uint64_t count;
        uint32_t rows;
        assert_int_equal(aero_cursor_next(cursor, &row), AERO_OK);
        assert_non_null(row);
        if (order == 0)
            aero_query_free(query); /* its cursors keep it */
        assert_int_equal(aero_cursor_next(cursor, &row), AERO_OK);
        assert_non_null(row);
        fake_close(session);
        assert_int_equal(aero_cursor_next(cursor, &row), AERO_STALE);
        assert_null(row);
        assert_int_equal(aero_cursor_fetch(cursor, 1, 0, NULL, NULL, &rows), AERO_STALE);
        if (order == 1) {
            assert_int_equal(aero_query_count(query, &count), AERO_STALE);
            assert_int_equal(aero_query_compare(query, "null x", 6), AERO_STALE);
            aero_query_free(query);
        }
        aero_cursor_close(cursor);
        aero_cursor_close(untouched);
    }
}

/* Goal: a query does not change under its cursors; method: try, then close and try again. */
static void query_is_frozen_while_cursors_are_open(void **state)
{
    (void)state;
    aero_session *session = filled(TRADE, 600, 12);
    aero_query *query = query_on(session, TRADE, NULL);
    aero_cursor *cursor = cursor_on(query);
    const aero_value one = {.type = AERO_TYPE_INT, .u.integer = 1};
    uint64_t count;
    assert_int_equal(aero_query_compare(query, "null note", 9), AERO_USAGE);
    assert_int_equal(aero_query_clause(query, AERO_OP_EQ, 0, 1, &one), AERO_USAGE);
    assert_int_equal(aero_query_glob(query, "x", 1), AERO_USAGE);
    assert_int_equal(aero_query_sort(query, 0, 0), AERO_USAGE);
    assert_int_equal(aero_query_limit(query, 1, 0), AERO_USAGE);
    assert_int_equal(aero_query_count(query, &count), AERO_OK); /* it may run beside them */
    assert_int_equal(count, 600);
    aero_cursor_close(cursor);
    assert_int_equal(aero_query_limit(query, 1, 0), AERO_OK);
    aero_query_free(query);
    fake_close(session);
}

/* Goal: a cursor whose snapshot is gone says so and gives no rows; method: the reader refuses. */
static void cursor_with_a_stale_reader(void **state)
{
    (void)state;
    aero_session *session = filled(TRADE, 600, 13);
    aero_query *query = query_on(session, TRADE, NULL);
    aero_cursor *cursor = cursor_on(query);
    const aero_row *row;
    assert_int_equal(aero_cursor_next(cursor, &row), AERO_OK);
    session->reader_stale = 1;
    assert_int_equal(aero_cursor_next(cursor, &row), AERO_STALE);
    assert_null(row);
    session->stale = 1;
    assert_int_equal(aero_cursor_next(cursor, &row), AERO_STALE);
    aero_cursor_close(cursor);
    assert_int_equal(session->readers, 0);
    aero_query_free(query);
    fake_close(session);
}

/* Goal: a transaction may ask of any row whether a search would have seen it, long after the search
 * was changed and freed; method: keep the noted filter, as a transaction does. */
static void noted_filters_outlive_their_query(void **state)
{
    (void)state;
    aero_session *session = filled(TRADE, 600, 14);
    aero_query *query = query_on(session, TRADE, "{match symbol *A*} {in amount {1 7 100}}");
    uint64_t wanted;
    uint64_t count;
    session->notes = 1;
    assert_int_equal(aero_query_count(query, &wanted), AERO_OK);
    const ae_predicate noted = session->noted;
    session->notes = 0;
    assert_int_equal(noted.table, TRADE);
    assert_int_equal(aero_query_compare(query, "null note", 9), AERO_OK);
    assert_int_equal(aero_query_count(query, &count), AERO_OK);
    aero_query_free(query);
    count = 0;
    for (size_t i = 0; i < 600; i++)
        count += noted.match(noted.context, fake_row(session, TRADE, i), NULL);
    assert_true(wanted > 0);
    assert_int_equal(count, wanted);
    noted.release(noted.context);
    fake_close(session);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(fetch_gives_what_rows_hold),
    cmocka_unit_test(cursors_in_the_memory_of_closed_ones),
    cmocka_unit_test(fetch_of_large_texts_is_cut),
    cmocka_unit_test(fetch_arguments),
    cmocka_unit_test(tsv_options),
    cmocka_unit_test(tsv_refusals),
    cmocka_unit_test(tsv_direct_equals_by_cell),
    cmocka_unit_test(plans_in_words),
    cmocka_unit_test(plans_with_long_constants),
    cmocka_unit_test(key_lookups),
    cmocka_unit_test(handles_outlive_their_session),
    cmocka_unit_test(query_is_frozen_while_cursors_are_open),
    cmocka_unit_test(cursor_with_a_stale_reader),
    cmocka_unit_test(noted_filters_outlive_their_query),
};

AE_TEST_MAIN(tests)
