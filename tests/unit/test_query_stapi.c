/* The -compare text: both forms, every message with its byte, all or nothing, limits in bounded
 * time.
 *
 * links: base shm row index/key.c !row/version* query api/api_query.c generated/market
 */
#include "harness.h"

#include <sys/resource.h>

#include "base/os.h"
#include "query/limits.h"
#include "query_fake.h"

static aero_status compare(aero_session *session, aero_query *query, const char *text)
{
    (void)session;
    return aero_query_compare(query, text, strlen(text));
}

static void accepts(aero_session *session, const char *text, uint64_t wanted)
{
    aero_query *query;
    uint64_t count;
    assert_int_equal(aero_query_new(session, INSTRUMENT, &query), AERO_OK);
    if (compare(session, query, text) != AERO_OK)
        fail_msg("%s: %s", text, session->error.text);
    assert_int_equal(aero_query_count(query, &count), AERO_OK);
    if (count != wanted)
        fail_msg("%s: %" PRIu64 " rows", text, count);
    aero_query_free(query);
}

static void refuses(aero_session *session, const char *text, int32_t code, const char *message)
{
    aero_query *query;
    uint64_t count;
    assert_int_equal(aero_query_new(session, INSTRUMENT, &query), AERO_OK);
    assert_int_equal(compare(session, query, text), code);
    assert_string_equal(session->error.text, message);
    const char *place = strstr(message, "(at byte ");
    assert_int_equal(session->error.line, place == NULL ? -1 : atol(place + 9));
    assert_int_equal(aero_query_count(query, &count), AERO_OK);
    assert_int_equal(count, session->row_count[INSTRUMENT]); /* nothing of it was added */
    aero_query_free(query);
}

/* Ten instruments S00000 … S00009, sector 0 … 9, title "T{i}". */
static aero_session *ten_instruments(void)
{
    aero_session *session = fake_session();
    const aero_table *table = ae_session_table(session, INSTRUMENT);
    fake_add(session, INSTRUMENT, 10);
    for (int i = 0; i < 10; i++) {
        char text[16];
        char *row = fake_row(session, INSTRUMENT, (size_t)i);
        aero_value value = {.type = AERO_TYPE_TEXT,
                            .length = (uint32_t)snprintf(text, sizeof text, "S%05d", i)};
        value.u.data = text;
        table->columns[fake_column(INSTRUMENT, "symbol")].set(row, &value);
        value.length = (uint32_t)snprintf(text, sizeof text, "T{%d", i);
        table->columns[fake_column(INSTRUMENT, "title")].set(row, &value);
        value = (aero_value){.type = AERO_TYPE_INT, .u.integer = i};
        table->columns[fake_column(INSTRUMENT, "sector")].set(row, &value);
    }
    return session;
}

/* Goal: both forms, any white space, aliases, names of operators in any case; method: examples. */
static void texts_that_are_fine(void **state)
{
    (void)state;
    aero_session *session = ten_instruments();
    accepts(session, "{> sector 3}", 6);
    accepts(session, "> sector 3", 6);
    accepts(session, "{> sector 3} {< sector 6}", 2);
    accepts(session, "{> sector 3} {match ticker s*4}", 1);
    accepts(session, "\n {> sector 3}\t{MATCH ticker s*4}\n", 1);
    accepts(session, "in symbol {S00001 S00003 none}", 2);
    accepts(session, "in sector {1 2 2 1}", 2);
    accepts(session, "{In sector 7}", 1);
    accepts(session, "range sector 2 5", 3);
    accepts(session, "range sector 5 2", 0);
    accepts(session, "null isin", 10);
    accepts(session, "{NotNull isin}", 0);
    accepts(session, "= title T\\{4", 1);
    accepts(session, "= title \"T{4\"", 1);
    accepts(session, "{= title T\\{4} {= sector 4}", 1);
    accepts(session, "match_case symbol S*", 10);
    accepts(session, "notmatch symbol *4", 9);
    accepts(session, "notmatch_case symbol s*", 10);
    accepts(session, "== sector 4", 1);
    accepts(session, "<> sector 4", 9);
    accepts(session, "= title {}", 0);
    accepts(session, "= symbol {[exec touch x]}", 0);
    accepts(session, "true open_for_trade", 10);
    accepts(session, "false sector", 1);
    fake_close(session);
}

/* Goal: every mistake has its own message, which names the byte; method: one of each. */
static void texts_that_are_refused(void **state)
{
    (void)state;
    aero_session *session = ten_instruments();
    refuses(session, "", AERO_PARSE, "parse error: compare list cannot be empty (at byte 0)");
    refuses(session, " \n", AERO_PARSE, "parse error: compare list cannot be empty (at byte 0)");
    refuses(session, "{}", AERO_PARSE, "parse error: a comparison cannot be empty (at byte 1)");
    refuses(session, "> sector", AERO_PARSE,
            "parse error: operator '>' expects exactly 3 items, got 2 (at byte 0)");
    refuses(session, "{null isin} {> sector 1 2}", AERO_PARSE,
            "parse error: operator '>' expects exactly 3 items, got 4 (at byte 13)");
    refuses(session, "null isin x y z 1 2 3", AERO_PARSE,
            "parse error: operator 'null' expects exactly 2 items, got at least 5 (at byte 0)");
    refuses(session, "range sector 1", AERO_PARSE,
            "parse error: operator 'range' expects exactly 4 items, got 3 (at byte 0)");
    refuses(session, "{{> sector 3}}", AERO_PARSE,
            "parse error: unsupported compare operator '> sector 3' (at byte 2)");
    refuses(session, "{like symbol x}", AERO_PARSE,
            "parse error: unsupported compare operator 'like' (at byte 1)");
    refuses(session, "like symbol x", AERO_PARSE,
            "parse error: unsupported compare operator 'like' (at byte 0)");
    refuses(session, "in symbol {}", AERO_PARSE,
            "parse error: operator 'in' expects at least one value in the third argument "
            "(at byte 11)");
    refuses(session, "in symbol {a {b}", AERO_PARSE,
            "parse error: unmatched open brace in list (at byte 10)");
    refuses(session, "{> sector 1} {= foo 1}", AERO_NAME, "unknown field 'foo' (at byte 16)");
    refuses(session, "{> sector 1} {= Sector 1}", AERO_NAME, "unknown field 'Sector' (at byte 16)");
    refuses(session, "{> sector 1", AERO_PARSE,
            "parse error: unmatched open brace in list (at byte 0)");
    refuses(session, "{> sector 1}x", AERO_PARSE,
            "parse error: list element in braces followed by \"x\" instead of space (at byte 12)");
    refuses(session, "{null isin} {= title {a}b}", AERO_PARSE,
            "parse error: list element in braces followed by \"b\" instead of space (at byte 24)");
    refuses(session, "= title \\udc00", AERO_PARSE,
            "parse error: the escape \\uDC00 is half of a character (at byte 8)");
    refuses(session, "= title \xff", AERO_TYPE, "column \"title\": invalid UTF-8 (at byte 8)");
    refuses(session, "match title a\xc3", AERO_TYPE,
            "column \"title\": a pattern must be a text: invalid UTF-8 (at byte 12)");
    fake_close(session);
}

/* Goal: NUL in a value is data, and the text's length counts; method: compare with a NUL. */
static void texts_with_nul(void **state)
{
    (void)state;
    aero_session *session = ten_instruments();
    aero_query *query;
    uint64_t count;
    const char value[] = "a\0b";
    const char text[] = "= title a\0b";
    ae_session_table(session, INSTRUMENT)
        ->columns[fake_column(INSTRUMENT, "title")]
        .set(fake_row(session, INSTRUMENT, 3),
             &(aero_value){.type = AERO_TYPE_TEXT, .length = 3, .u.data = value});
    assert_int_equal(aero_query_new(session, INSTRUMENT, &query), AERO_OK);
    assert_int_equal(aero_query_compare(query, text, sizeof text - 1), AERO_OK);
    assert_int_equal(aero_query_count(query, &count), AERO_OK);
    assert_int_equal(count, 1);
    aero_query_free(query);
    accepts(session, "= title a\\u0000b", 1);
    fake_close(session);
}

static double elapsed_ms(uint64_t begin)
{
    return (double)(ae_os_monotonic_ns() - begin) / 1e6;
}

/* Goal: a million terms of any sort are an error or an answer, soon; method: clauses, words,
 * values, braces.  The bound is wide, for sanitized builds. */
static void huge_texts_in_bounded_time(void **state)
{
    (void)state;
    enum { TERMS = 1000000 };
    aero_session *session = ten_instruments();
    aero_query *query;
    uint64_t count;
    char *text = malloc(TERMS * 20);
    size_t length = 0;
    const uint64_t begin = ae_os_monotonic_ns();
    for (int i = 0; i < TERMS; i++)
        length += (size_t)sprintf(text + length, "{> sector %d} ", i % 10);
    assert_int_equal(aero_query_new(session, INSTRUMENT, &query), AERO_OK);
    assert_int_equal(aero_query_compare(query, text, length), AERO_LIMIT);
    memset(text, 'x', length);
    for (size_t i = 1; i < length; i += 2)
        text[i] = ' ';
    assert_int_equal(aero_query_compare(query, text, length), AERO_PARSE);
    text[0] = '>';
    assert_int_equal(aero_query_compare(query, text, length), AERO_PARSE);
    length = (size_t)sprintf(text, "in symbol {");
    for (int i = 0; i < TERMS; i++)
        length += (size_t)sprintf(text + length, "\"S%05d\" ", i);
    text[length++] = '}';
    assert_int_equal(aero_query_compare(query, text, length), AERO_OK);
    length = (size_t)sprintf(text, "in sector {");
    for (int i = 0; i < TERMS; i++)
        length += (size_t)sprintf(text + length, "%d ", i % 20000);
    text[length++] = '}';
    assert_int_equal(aero_query_compare(query, text, length), AERO_OK);
    memset(text, '{', 10000);
    memset(text + 10000, '}', 10000);
    assert_int_equal(aero_query_compare(query, text, 20000), AERO_PARSE);
    assert_int_equal(aero_query_compare(query, text, 10000), AERO_PARSE);
    assert_true(elapsed_ms(begin) < 10000);
    session->row_count[INSTRUMENT] = 0; /* the fake's look-up is a scan: a million would be slow */
    assert_int_equal(aero_query_count(query, &count), AERO_OK);
    aero_query_free(query);
    free(text);
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    print_message("%.0f ms, %ld MB at most\n", elapsed_ms(begin), usage.ru_maxrss / 1024);
    fake_close(session);
}

/* Goal: a long `in` filters by look-up, not by trying all values; method: 30,000 values on rows. */
static void long_in_lists_filter_fast(void **state)
{
    (void)state;
    enum { VALUES = 30000, ROWS = 20000 };
    aero_session *session = fake_session();
    uint64_t random = 5;
    fake_fill(session, INSTRUMENT, ROWS, &random);
    char *text = malloc(VALUES * 12);
    size_t length = (size_t)sprintf(text, "{in sector {");
    for (int i = 0; i < VALUES; i++)
        length += (size_t)sprintf(text + length, "%d ", i);
    length += (size_t)sprintf(text + length, "}} {in title {");
    aero_query *query;
    uint64_t count;
    for (int i = 0; i < VALUES / 4; i++)
        length += (size_t)sprintf(text + length, "a%d ", i);
    length += (size_t)sprintf(text + length, "{}}}");
    assert_int_equal(aero_query_new(session, INSTRUMENT, &query), AERO_OK);
    assert_int_equal(aero_query_compare(query, text, length), AERO_OK);
    const uint64_t begin = ae_os_monotonic_ns();
    assert_int_equal(aero_query_count(query, &count), AERO_OK);
    assert_true(elapsed_ms(begin) < 1000);
    assert_true(count > 0);
    aero_query_free(query);
    free(text);
    fake_close(session);
}

/* Goal: the bounds on clauses and text are errors, and the query goes on; method: meet them. */
static void limits_of_a_query(void **state)
{
    (void)state;
    aero_session *session = ten_instruments();
    aero_query *query;
    uint64_t count;
    assert_int_equal(aero_query_new(session, INSTRUMENT, &query), AERO_OK);
    for (uint32_t i = 0; i < AEI_CLAUSES_MAX; i++)
        assert_int_equal(compare(session, query, "!= sector 3"), AERO_OK);
    assert_int_equal(compare(session, query, "!= sector 3"), AERO_LIMIT);
    assert_int_equal(aero_query_count(query, &count), AERO_OK);
    assert_int_equal(count, 9);
    assert_int_equal(aero_query_compare(query, "x", AEI_COMPARE_BYTES_MAX + 1), AERO_LIMIT);
    assert_int_equal(aero_query_compare(query, NULL, 3), AERO_USAGE);
    assert_int_equal(aero_query_compare(query, NULL, 0), AERO_PARSE);
    aero_query_free(query);
    assert_int_equal(aero_query_new(session, 2, &query), AERO_USAGE);
    assert_null(query);
    fake_close(session);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(texts_that_are_fine),
    cmocka_unit_test(texts_that_are_refused),
    cmocka_unit_test(texts_with_nul),
    cmocka_unit_test(huge_texts_in_bounded_time),
    cmocka_unit_test(long_in_lists_filter_fast),
    cmocka_unit_test(limits_of_a_query),
};

AE_TEST_MAIN(tests)
