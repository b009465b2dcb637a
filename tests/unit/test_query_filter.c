/* Filters: every operator on every kind of column against a judge that knows only values; NULLs;
 * conversion of constants; merged and contradicting conditions.
 *
 * links: base shm row index/key.c !row/version* query api/api_query.c generated/market
 */
#include "harness.h"

#include "query_random.h"

enum { ROWS = 700 }; /* more than two batches */

/* Compare the rows a query gives, as a count and by a cursor, with the judge's. */
static void check(aero_session *session, uint32_t table_index, const clause *clauses, size_t count,
                  bool as_text)
{
    const aero_table *table = ae_session_table(session, table_index);
    aero_query *query;
    aero_cursor *cursor;
    const aero_row *row;
    uint64_t wanted = 0;
    uint64_t counted;
    assert_int_equal(aero_query_new(session, table_index, &query), AERO_OK);
    for (size_t i = 0; i < count; i++)
        add(session, query, table, &clauses[i], as_text);
    bool *seen = calloc(ROWS, 1);
    assert_int_equal(aero_cursor_open(query, &cursor), AERO_OK);
    const uint32_t key = table->key_column;
    while (aero_cursor_next(cursor, &row) == AERO_OK && row != NULL) {
        aero_value value;
        aero_row_values(row, 1, &key, &value);
        const size_t number = value.type == AERO_TYPE_TEXT ? strtoul(value.u.data + 1, NULL, 10)
                                                           : (size_t)value.u.integer;
        assert_true(number < ROWS && !seen[number]);
        seen[number] = true;
    }
    aero_cursor_close(cursor);
    for (size_t i = 0; i < ROWS; i++) {
        bool passes = true;
        for (size_t c = 0; c < count && passes; c++) {
            aero_value value;
            fake_get(session, table_index, i, clauses[c].column, &value);
            passes = judge(&table->columns[clauses[c].column], &value, clauses[c].op,
                           clauses[c].count, clauses[c].raw);
        }
        wanted += passes;
        if (seen[i] != passes)
            fail_msg("row %zu, first condition %s %s: we say %d", i,
                     table->columns[clauses[0].column].name,
                     (const char *[]){"", "=", "!=", "<", "<=", ">", ">=", "in", "range", "null",
                                      "notnull", "true", "false", "match", "notmatch", "match_case",
                                      "notmatch_case"}[clauses[0].op],
                     seen[i]);
    }
    assert_int_equal(aero_query_count(query, &counted), AERO_OK);
    assert_int_equal(counted, wanted);
    free(seen);
    aero_query_free(query);
}

/* ---- tests ---------------------------------------------------------------------------------- */

/* Goal: every operator means the same on every kind; method: random rows and constants, typed and
 * as text, against the judge. */
static void every_operator_on_every_kind(void **state)
{
    (void)state;
    uint64_t random = new_seed();
    for (uint32_t table = INSTRUMENT; table <= TRADE; table++) {
        aero_session *session = fake_session();
        const aero_table *about = ae_session_table(session, table);
        fake_fill(session, table, ROWS, &random);
        for (uint32_t column = 0; column < about->column_count; column++) {
            for (int32_t op = AERO_OP_EQ; op <= AERO_OP_NOTMATCH_CASE; op++) {
                if ((op == AERO_OP_TRUE || op == AERO_OP_FALSE) &&
                    !takes_truth(about->columns[column].kind))
                    continue;
                for (int round = 0; round < 12; round++) {
                    clause one;
                    random_clause(session, about, column, op, &one, &random);
                    check(session, table, &one, 1, round % 2);
                }
            }
        }
        assert_int_equal(session->readers, 0);
        fake_close(session);
    }
}

/* Goal: conditions are combined, merged and reordered without changing their meaning; method:
 * several random ones at once, often on the same column. */
static void several_conditions(void **state)
{
    (void)state;
    uint64_t random = new_seed();
    for (uint32_t table = INSTRUMENT; table <= TRADE; table++) {
        aero_session *session = fake_session();
        const aero_table *about = ae_session_table(session, table);
        fake_fill(session, table, ROWS, &random);
        for (int round = 0; round < 1500; round++) {
            clause some[5];
            const size_t count = random_word(&random) % 5 + 1;
            uint32_t column = (uint32_t)(random_word(&random) % about->column_count);
            for (size_t i = 0; i < count; i++) {
                int32_t op = (int32_t)(random_word(&random) % 16) + 1;
                if ((op == AERO_OP_TRUE || op == AERO_OP_FALSE) &&
                    !takes_truth(about->columns[column].kind))
                    op = AERO_OP_NE;
                random_clause(session, about, column, op, &some[i], &random);
                if (random_word(&random) % 2)
                    column = (uint32_t)(random_word(&random) % about->column_count);
            }
            check(session, table, some, count, round % 2);
        }
        fake_close(session);
    }
}

/* Count by a compare text on Trade; UINT64_MAX for an error. */
static uint64_t count_text(aero_session *session, uint32_t table, const char *text)
{
    aero_query *query;
    uint64_t count = UINT64_MAX;
    assert_int_equal(aero_query_new(session, table, &query), AERO_OK);
    if (aero_query_compare(query, text, strlen(text)) == AERO_OK)
        assert_int_equal(aero_query_count(query, &count), AERO_OK);
    aero_query_free(query);
    return count;
}

/* Trades whose account (INT32, never null) counts from -5 to 5, urgency (INT8) is NULL. */
static aero_session *eleven_trades(void)
{
    aero_session *session = fake_session();
    fake_add(session, TRADE, 11);
    for (int i = 0; i < 11; i++) {
        char *row = fake_row(session, TRADE, (size_t)i);
        const aero_table *table = ae_session_table(session, TRADE);
        table->columns[fake_column(TRADE, "trade_id")].set(
            row, &(aero_value){.type = AERO_TYPE_INT, .u.integer = i});
        table->columns[fake_column(TRADE, "account")].set(
            row, &(aero_value){.type = AERO_TYPE_INT, .u.integer = i - 5});
        table->columns[fake_column(TRADE, "price")].set(
            row, &(aero_value){.type = AERO_TYPE_DOUBLE, .u.real = (i - 5) / 2.0});
        table->columns[fake_column(TRADE, "placed_at")].set(
            row, &(aero_value){.type = AERO_TYPE_TIME, .u.integer = (i - 5) * 500000});
    }
    return session;
}

/* Goal: a real bound on whole numbers means what it says; method: bounds between the numbers. */
static void real_bounds_on_whole_columns(void **state)
{
    (void)state;
    aero_session *session = eleven_trades();
    assert_int_equal(count_text(session, TRADE, "> account 1.5"), 4);
    assert_int_equal(count_text(session, TRADE, ">= account 1.5"), 4);
    assert_int_equal(count_text(session, TRADE, "< account 1.5"), 7);
    assert_int_equal(count_text(session, TRADE, "<= account 1.5"), 7);
    assert_int_equal(count_text(session, TRADE, "> account -1.5"), 7);
    assert_int_equal(count_text(session, TRADE, "<= account -1.5"), 4);
    assert_int_equal(count_text(session, TRADE, "range account -1.5 1.5"), 3);
    assert_int_equal(count_text(session, TRADE, "range account -1 1"), 2);
    assert_int_equal(count_text(session, TRADE, "= account 2.0"), 1);
    assert_int_equal(count_text(session, TRADE, "= account 1e0"), 1);
    assert_int_equal(count_text(session, TRADE, "> price 0"), 5);
    assert_int_equal(count_text(session, TRADE, ">= price -0.0"), 6);
    assert_int_equal(count_text(session, TRADE, "= placed_at -0.5"), 1);
    assert_int_equal(count_text(session, TRADE, "> placed_at 1.5"), 2);
    assert_int_equal(count_text(session, TRADE, "null urgency"), 11);
    assert_int_equal(count_text(session, TRADE, "!= urgency 3"), 0);
    fake_close(session);
}

/* Goal: a constant that its column cannot hold is a TYPE error that names column and byte; method:
 * one of each sort. */
static void constants_that_do_not_convert(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "> account abc",        "= account 1.5",   "!= account 1.5",
        "in account {1 2.5}",   "= account {}",    "= account 99999999999999999999",
        "> account 3000000000", "< account 1e300", "> account nan",
        "> account inf",        "= price nan",     "> price inf",
        "= price 1e999",        "= price abc",     "= trade_id -1",
        "= placed_at tomorrow", "= gateway 1.2.3", "= gateway6 xyz",
        "= terminal 1",         "= side AB",       "true symbol",
        "false placed_at",      "= account 0x10",  "= account { 1}",
    };
    aero_session *session = eleven_trades();
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(count_text(session, TRADE, wrong[i]), UINT64_MAX);
        if (session->error.code != AERO_TYPE)
            fail_msg("%s: %d %s", wrong[i], session->error.code, session->error.text);
        assert_string_equal(session->error.table, "Trade");
        assert_true(session->error.field[0] != '\0');
        assert_true(session->error.line > 0);
        assert_non_null(strstr(session->error.text, session->error.field));
    }
    fake_close(session);
}

/* Goal: a typed NULL constant is refused, an empty `in` finds nothing; method: by clause. */
static void typed_corner_cases(void **state)
{
    (void)state;
    aero_session *session = eleven_trades();
    aero_query *query;
    uint64_t count;
    const uint32_t account = fake_column(TRADE, "account");
    const aero_value null = {.type = AERO_TYPE_NULL};
    const aero_value nan = {.type = AERO_TYPE_DOUBLE, .u.real = __builtin_nan("")};
    const aero_value half = {.type = AERO_TYPE_DOUBLE, .u.real = 0.5};
    assert_int_equal(aero_query_new(session, TRADE, &query), AERO_OK);
    assert_int_equal(aero_query_clause(query, AERO_OP_EQ, account, 1, &null), AERO_USAGE);
    assert_int_equal(aero_query_clause(query, AERO_OP_GT, account, 1, &nan), AERO_TYPE);
    assert_int_equal(aero_query_clause(query, AERO_OP_EQ, account, 1, &half), AERO_TYPE);
    assert_int_equal(aero_query_clause(query, AERO_OP_EQ, account, 2, &half), AERO_USAGE);
    assert_int_equal(aero_query_clause(query, AERO_OP_EQ, 99, 1, &half), AERO_USAGE);
    assert_int_equal(aero_query_clause(query, 0, account, 1, &half), AERO_USAGE);
    assert_int_equal(aero_query_clause(query, 17, account, 1, &half), AERO_USAGE);
    assert_int_equal(aero_query_clause(query, AERO_OP_MATCH, account, 1, &half), AERO_TYPE);
    assert_int_equal(aero_query_count(query, &count), AERO_OK);
    assert_int_equal(count, 11); /* none of those was added */
    assert_int_equal(aero_query_clause(query, AERO_OP_GT, account, 1, &half), AERO_OK);
    assert_int_equal(aero_query_count(query, &count), AERO_OK);
    assert_int_equal(count, 5);
    assert_int_equal(aero_query_clause(query, AERO_OP_IN, account, 0, NULL), AERO_OK);
    assert_int_equal(aero_query_count(query, &count), AERO_OK);
    assert_int_equal(count, 0);
    aero_query_free(query);
    fake_close(session);
}

/* Goal: a text longer than its column equals nothing and orders right; method: compare with one. */
static void texts_longer_than_the_column(void **state)
{
    (void)state;
    aero_session *session = fake_session();
    uint64_t random = 1;
    fake_fill(session, INSTRUMENT, 5, &random);
    assert_int_equal(count_text(session, INSTRUMENT, "= symbol S00000000000000000000000"), 0);
    assert_int_equal(count_text(session, INSTRUMENT, "< symbol S00002000000000000000000"), 3);
    assert_int_equal(count_text(session, INSTRUMENT, "= currency aaaaaaaaaa"), 0);
    assert_int_equal(count_text(session, INSTRUMENT, "in symbol {S00000000000000000000000 S00001}"),
                     1);
    fake_close(session);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_operator_on_every_kind), cmocka_unit_test(several_conditions),
    cmocka_unit_test(real_bounds_on_whole_columns), cmocka_unit_test(constants_that_do_not_convert),
    cmocka_unit_test(typed_corner_cases),           cmocka_unit_test(texts_longer_than_the_column),
};

AE_TEST_MAIN(tests)
