/* TSV into batches of row images, without a table underneath: this file stands in for the session
 * and for ae_table_write, which here keeps each row as the line its table's encoder makes of it.
 *
 * links: base row/text.c row/timestamp.c row/convert.c row/present.c ingest generated/market
 */
#include "harness.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "ingest/ingest.h"
#include "ingest/split.h"
#include "table/table.h"

enum { INSTRUMENT = 0, TRADE = 1 };

/* ---- what stands in for the engine ---------------------------------------------------------- */

struct aero_session {
    aero_error error;
    ae_session_child *child;
    char *lines; /* rows written so far, encoded, a newline after each */
    size_t length;
    size_t capacity;
    uint64_t writes;  /* calls of ae_table_write */
    uint64_t fail_at; /* the call that is FULL, from 1; 0: none */
    size_t most_rows; /* in one call */
};

aero_error *ae_session_error_buffer(aero_session *session)
{
    return &session->error;
}

const aero_table *ae_session_table(const aero_session *session, uint32_t table)
{
    (void)session;
    return &aero_schema()->tables[table];
}

uint32_t ae_session_table_count(const aero_session *session)
{
    (void)session;
    return aero_schema()->table_count;
}

void ae_session_adopt(aero_session *session, ae_session_child *child)
{
    child->next = session->child;
    child->back = &session->child;
    if (child->next != NULL)
        child->next->back = &child->next;
    session->child = child;
}

void ae_session_disown(ae_session_child *child)
{
    *child->back = child->next;
    if (child->next != NULL)
        child->next->back = child->back;
}

static void keep_row(aero_session *session, const aero_table *table, const void *row)
{
    for (;;) {
        const size_t room = session->capacity - session->length;
        char *const at = room == 0 ? NULL : session->lines + session->length;
        const size_t size = room == 0 ? 1 : table->encode_tsv(row, NULL, at, room - 1);
        if (room > size) {
            at[size] = '\n';
            session->length += size + 1;
            return;
        }
        session->capacity = 2 * session->capacity + size + 4096;
        session->lines = realloc(session->lines, session->capacity);
        assert_non_null(session->lines);
    }
}

aero_status ae_table_write(aero_session *session, uint32_t table, const void *rows, size_t stride,
                           size_t count, enum ae_write_mode mode, uint64_t *inserted,
                           uint64_t *updated)
{
    assert_int_equal(mode, AE_WRITE_REPLACE);
    assert_true(count > 0);
    session->writes++;
    if (session->writes == session->fail_at)
        return ae_fail(&session->error, AERO_FULL, "the segment is full");
    for (size_t i = 0; i < count; i++)
        keep_row(session, ae_session_table(session, table), (const char *)rows + i * stride);
    if (count > session->most_rows)
        session->most_rows = count;
    *inserted = count - count / 2; /* distinct numbers, to see that both are summed */
    *updated = count / 2;
    return AERO_OK;
}

static void session_reset(aero_session *session)
{
    assert_null(session->child); /* every ingest was released */
    free(session->lines);
    *session = (aero_session){0};
}

/* ---- helpers -------------------------------------------------------------------------------- */

#define TEXT(literal) literal, sizeof(literal) - 1

/* Ingest a text whole and compare what arrived. */
static void check_rows(uint32_t table, const aero_tsv_options *options, const char *data,
                       size_t length, const char *expected)
{
    aero_session session = {0};
    aero_ingest_report report;
    if (ae_ingest_memory(&session, table, data, length, options, &report) != AERO_OK)
        fail_msg("%s", session.error.text);
    if (session.length != strlen(expected) ||
        memcmp(session.length == 0 ? "" : session.lines, expected, session.length) != 0)
        fail_msg("got\n%.*sinstead of\n%s", (int)session.length, session.lines, expected);
    assert_int_equal(report.bytes, length);
    session_reset(&session);
}

/* Ingest a text whole; the error must be at the line and column, and nothing may have arrived. */
static void check_error(uint32_t table, const aero_tsv_options *options, const char *data,
                        size_t length, int32_t code, int64_t line, int64_t column, const char *part)
{
    aero_session session = {0};
    aero_ingest_report report;
    const aero_status status = ae_ingest_memory(&session, table, data, length, options, &report);
    if (status != code || session.error.code != code || session.error.line != line ||
        session.error.column != column || strstr(session.error.text, part) == NULL)
        fail_msg("%d at %" PRId64 ":%" PRId64 ": %s", status, session.error.line,
                 session.error.column, session.error.text);
    if (line > 0 && column > 0) {
        char place[100];
        snprintf(place, sizeof place, "decode error at line %" PRId64 " column %" PRId64 ": ", line,
                 column);
        assert_ptr_equal(strstr(session.error.text, place), session.error.text);
    }
    assert_int_equal(report.rows_seen, 0);
    assert_int_equal(session.length, 0);
    session_reset(&session);
}

/* ---- lines and cells ------------------------------------------------------------------------ */

/* Goal: splitting is right at every offset of the blocks; method: random bytes from a small
 * alphabet, compared with a loop over single bytes. */
static void splitting_against_a_plain_loop(void **state)
{
    (void)state;
    uint64_t random = (uint64_t)time(NULL);
    print_message("seed %" PRIu64 "\n", random);
    for (int round = 0; round < 20000; round++) {
        char exact[300];
        random = random * 6364136223846793005ull + 1442695040888963407ull;
        const size_t length = (random >> 33) % sizeof exact;
        char *const data = malloc(length + 1); /* exact size: reading past it is seen */
        for (size_t i = 0; i < length; i++) {
            random = random * 6364136223846793005ull + 1442695040888963407ull;
            data[i] = "abcdefghijkl\t\t\n\\"[(random >> 40) % 16];
        }
        ae_splitter splitter;
        aero_span cells[4];
        ae_line line;
        ae_split_start(&splitter, data, length, '\t');
        size_t at = 0;
        while (at < length) {
            assert_true(ae_split_next(&splitter, cells, 4, &line));
            assert_ptr_equal(line.start, data + at);
            const size_t start = at;
            size_t cell = at;
            uint32_t count = 0;
            bool escape = false;
            for (;; at++) {
                if (at < length && data[at] != '\n' && data[at] != '\t') {
                    escape = escape || data[at] == '\\';
                    continue;
                }
                if (count < 4) {
                    assert_ptr_equal(cells[count].data, data + cell);
                    assert_int_equal(cells[count].length, at - cell);
                }
                count++;
                cell = at + 1;
                if (at == length || data[at] == '\n')
                    break;
            }
            assert_int_equal(line.cell_count, count);
            assert_int_equal(line.length, at - start);
            assert_int_equal(line.has_escape, escape);
            assert_int_equal(line.complete, at < length);
            at++;
        }
        assert_false(ae_split_next(&splitter, cells, 4, &line));
        free(data);
    }
}

/* Goal: line ends of every sort, blank lines, a byte order mark and a missing newline are taken;
 * method: small inputs. */
static void line_ends_and_marks(void **state)
{
    (void)state;
    static const char row[] = "A\t\t\t-1\tEUR\t0.01\t\t1\t\n";
    check_rows(INSTRUMENT, NULL, TEXT("A\n"), row);
    check_rows(INSTRUMENT, NULL, TEXT("A"), row);
    check_rows(INSTRUMENT, NULL, TEXT("A\r\n"), row);
    check_rows(INSTRUMENT, NULL, TEXT("A\r"), row);
    check_rows(INSTRUMENT, NULL, TEXT("\n\r\n\nA\n\n\r\n"), row);
    check_rows(INSTRUMENT, NULL,
               TEXT("\xef\xbb\xbf"
                    "A\n"),
               row);
    check_rows(INSTRUMENT, NULL, TEXT("\xef\xbb\xbf\nA\n"), row);
    check_rows(INSTRUMENT, NULL, TEXT(""), "");
    check_rows(INSTRUMENT, NULL, TEXT("\n"), "");
    check_rows(INSTRUMENT, NULL, TEXT("\xef\xbb\xbf"), "");
    const aero_tsv_options header = {.header = 1};
    check_rows(INSTRUMENT, &header, TEXT("\xef\xbb\xbfsymbol\tisin\nA\n"), row);
    check_rows(INSTRUMENT, &header, TEXT("symbol"), "");
}

/* Goal: escapes, NULLs and empty texts are told apart; method: one cell of each. */
static void escapes_and_nulls(void **state)
{
    (void)state;
    check_rows(INSTRUMENT, NULL, TEXT("a\\tb\\nc\\rd\\\\e\\0f\tABC\t\\e\n"),
               "a\\tb\\nc\\rd\\\\e\\0f\tABC\t\t-1\tEUR\t0.01\t\t1\t\n");
    check_rows(INSTRUMENT, NULL, TEXT("A\t\\N\tx\t5\tUSD\t1\t\\N\t0\t\\N\n"),
               "A\t\tx\t5\tUSD\t1.0\t\t0\t\n");
    check_rows(INSTRUMENT, NULL, TEXT("A\t\\e\tx\t5\tUSD\t1\t\\t\t0\t\\e\n"),
               "A\t\\e\tx\t5\tUSD\t1.0\t\\t\t0\t\\e\n");
    check_rows(INSTRUMENT, NULL, TEXT("A\t\t\t5\t\\x55SD\t1\t\\xc3\\xa9\t0\t00fFeE\n"),
               "A\t\t\t5\tUSD\t1.0\té\t0\t00ffee\n");
    check_rows(INSTRUMENT, NULL, TEXT("\\e\xef\xbb\xbfmark\n"),
               "\\e\xef\xbb\xbfmark\t\t\t-1\tEUR\t0.01\t\t1\t\n");
    check_rows(INSTRUMENT, NULL, TEXT("nul\0in key\n"), "nul\\0in key\t\t\t-1\tEUR\t0.01\t\t1\t\n");
    check_rows(INSTRUMENT, NULL, TEXT("a\rb\n"), "a\\rb\t\t\t-1\tEUR\t0.01\t\t1\t\n");
}

/* Goal: each kind of damage is an error with its line and column, and nothing is applied; method: a
 * good line before, the bad line after a blank one. */
static void errors_name_line_and_column(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int32_t code;
        int64_t column;
        const char *part;
    } bad[] = {
        {"B\t\tx\t40000", AERO_TYPE, 4, "integer out of range (sector)"},
        {"B\t\tx\tabc", AERO_TYPE, 4, "invalid integer (sector)"},
        {"B\t\tx\t", AERO_NULL_VALUE, 4, "not nullable (sector)"},
        {"B\t\t\\N", AERO_NULL_VALUE, 3, "not nullable (title)"},
        {"B\t\tx\t1\tEURO", AERO_LENGTH, 5, "longer than the column allows (currency)"},
        {"B\t\tx\t1\tEUR\tnan", AERO_TYPE, 6, "not a finite number"},
        {"B\t\tx\t1\tEUR\t-inf", AERO_TYPE, 6, "not a finite number"},
        {"B\t\tx\t1\tEUR\t 1", AERO_TYPE, 6, "invalid number"},
        {"B\t\tx\t1\tEUR\t1\tab", AERO_TYPE, 7, "not one character"},
        {"B\t\tx\t1\tEUR\t1\t\tmaybe", AERO_TYPE, 8, "invalid boolean"},
        {"B\t\tx\t1\tEUR\t1\t\t1\t0", AERO_TYPE, 9, "invalid hexadecimal"},
        {"B\t\tx\t1\tEUR\t1\t\t1\t00\tmore", AERO_PARSE, 10, "unexpected extra columns"},
        {"B\t\tx\\q", AERO_PARSE, 3, "invalid escape"},
        {"B\t\tx\\", AERO_PARSE, 3, "invalid escape"},
        {"B\t\tx\\xg0", AERO_PARSE, 3, "invalid escape"},
        {"B\t\tx\\N", AERO_PARSE, 3, "invalid escape"},
        {"B\t\t\xff", AERO_TYPE, 3, "invalid UTF-8"},
        {"\xc0\x80", AERO_TYPE, 1, "invalid UTF-8"},
        {"\\xc0\\x80", AERO_TYPE, 1, "invalid UTF-8"},
        {"12345678901234567", AERO_LENGTH, 1, "longer than the column allows (symbol)"},
        {"B\t\tx\t1\tA\\0", AERO_TYPE, 5, "NUL"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char data[200];
        const int length = snprintf(data, sizeof data, "A\n\n%s\nC\n", bad[i].line);
        check_error(INSTRUMENT, NULL, data, (size_t)length, bad[i].code, 3, bad[i].column,
                    bad[i].part);
    }
    check_error(TRADE, NULL, TEXT("1\tA\t1"), AERO_PARSE, 1, 4, "missing column (amount)");
}

/* Goal: a line of a million cells and a field of 100 MB are errors in bounded memory; method: whole
 * and in pieces. */
static void lines_that_are_too_long(void **state)
{
    (void)state;
    const size_t size = (size_t)100 << 20;
    char *const data = malloc(size);
    assert_non_null(data);
    memset(data, '\t', 1000000);
    data[1000000] = '\n';
    check_error(INSTRUMENT, NULL, data, 1000001, AERO_PARSE, 1, 10, "unexpected extra columns");
    memset(data, 'x', size);
    memcpy(data, "A\n", 2);
    check_error(INSTRUMENT, NULL, data, size, AERO_LIMIT, 2, -1, "line 2 is longer than");
    aero_session session = {0};
    aero_ingest *ingest = NULL;
    assert_int_equal(ae_ingest_new(&session, INSTRUMENT, NULL, &ingest), AERO_OK);
    size_t fed = 0;
    aero_status status = AERO_OK;
    for (; status == AERO_OK && fed < size; fed += 65536)
        status = ae_ingest_push(ingest, data + fed, 65536, false);
    assert_int_equal(status, AERO_LIMIT);
    assert_true(fed <= AE_INGEST_LINE_MAX + 2 * 65536);
    assert_int_equal(session.error.line, 2);
    ae_ingest_release(ingest);
    session_reset(&session);
    free(data);
}

/* ---- options -------------------------------------------------------------------------------- */

/* Goal: columns in another order, some left out, fill the rest with defaults; method: compare. */
static void columns_chosen_by_the_caller(void **state)
{
    (void)state;
    static const uint32_t some[] = {3, 0, 8, 1};
    const aero_tsv_options options = {.column_count = 4, .columns = some};
    check_rows(INSTRUMENT, &options, TEXT("7\tA\t00ff\tISIN\n8\tB\n9\tC\t\\e\t\\e\n"),
               "A\tISIN\t\t7\tEUR\t0.01\t\t1\t00ff\n"
               "B\t\t\t8\tEUR\t0.01\t\t1\t\n"
               "C\t\\e\t\t9\tEUR\t0.01\t\t1\t\\e\n");
    check_error(INSTRUMENT, &options, TEXT("x\tA\n"), AERO_TYPE, 1, 1, "invalid integer (sector)");
    check_error(INSTRUMENT, &options, TEXT("\tA\n"), AERO_NULL_VALUE, 1, 1, "empty cell");
    check_error(INSTRUMENT, &options, TEXT("7\n"), AERO_PARSE, 1, 2, "missing column (symbol)");
    check_error(INSTRUMENT, &options, TEXT("7\tA\t\t\tx\n"), AERO_PARSE, 1, 5, "extra");
}

/* Goal: a null text of the caller's is the only NULL, so that empty texts need no escape; method:
 * texts around it, another separator. */
static void null_text_and_separator(void **state)
{
    (void)state;
    const aero_tsv_options options = {.null_text = "NULL", .separator = ";"};
    check_rows(INSTRUMENT, &options, TEXT("A;NULL;;1;EUR;1;NULL;1;NULL\n"),
               "A\t\t\t1\tEUR\t1.0\t\t1\t\n");
    check_rows(INSTRUMENT, &options, TEXT("A;;\\eNULL;1;EUR;1;x;1;\n"),
               "A\t\\e\tNULL\t1\tEUR\t1.0\tx\t1\t\\e\n");
    check_rows(INSTRUMENT, &options, TEXT("a\\x3bb\tc\n"), "a;b\\tc\t\t\t-1\tEUR\t0.01\t\t1\t\n");
    check_error(INSTRUMENT, &options, TEXT("NULL\n"), AERO_NULL_VALUE, 1, 1, "null in a column");
}

/* Goal: options that make no sense are refused before anything is read; method: one of each. */
static void options_that_are_refused(void **state)
{
    (void)state;
    static const uint32_t twice[] = {0, 3, 3};
    static const uint32_t keyless[] = {1, 2};
    static const uint32_t outside[] = {0, 9};
    static const uint32_t trade_key[] = {0};
    const struct {
        uint32_t table;
        aero_tsv_options options;
        int32_t code;
        const char *part;
    } bad[] = {
        {INSTRUMENT, {.column_count = 3, .columns = twice}, AERO_USAGE, "2 times"},
        {INSTRUMENT, {.column_count = 2, .columns = keyless}, AERO_NULL_VALUE, "symbol"},
        {INSTRUMENT, {.column_count = 2, .columns = outside}, AERO_USAGE, "index 9"},
        {INSTRUMENT, {.column_count = 2000000}, AERO_USAGE, "not given"},
        {INSTRUMENT, {.column_count = 2000000, .columns = twice}, AERO_USAGE, "the table has"},
        {TRADE, {.column_count = 1, .columns = trade_key}, AERO_NULL_VALUE, "symbol"},
        {INSTRUMENT, {.separator = ""}, AERO_USAGE, "separator"},
        {INSTRUMENT, {.separator = "::"}, AERO_USAGE, "separator"},
        {INSTRUMENT, {.separator = "\\"}, AERO_USAGE, "separator"},
        {INSTRUMENT, {.separator = "\n"}, AERO_USAGE, "separator"},
        {INSTRUMENT, {.separator = "5"}, AERO_USAGE, "separator"},
        {INSTRUMENT, {.separator = "."}, AERO_USAGE, "separator"},
        {INSTRUMENT, {.separator = "\xc3"}, AERO_USAGE, "separator"},
        {INSTRUMENT, {.null_text = "a\tb"}, AERO_USAGE, "null text"},
        {INSTRUMENT, {.null_text = "a\n"}, AERO_USAGE, "null text"},
        {INSTRUMENT, {.batch_size = 1000001}, AERO_LIMIT, "1000000"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check_error(bad[i].table, &bad[i].options, TEXT("A\n"), bad[i].code, -1, -1, bad[i].part);
    check_error(2, NULL, TEXT("A\n"), AERO_NAME, -1, -1, "index 2");
}

/* ---- batches -------------------------------------------------------------------------------- */

static int32_t stop_at(void *context, const aero_ingest_report *report, uint64_t total)
{
    assert_int_equal(total, 25 * 3);
    assert_true(report->elapsed_ms >= 0);
    return report->batches == *(uint64_t *)context;
}

static void make_lines(char *data, int count)
{
    for (int i = 0; i < count; i++)
        memcpy(data + 3 * i, (char[]){(char)('a' + i % 26), (char)('a' + i / 26), '\n'}, 3);
}

/* Goal: batches, counts and progress add up, and an error loses only its own batch; method: 25
 * lines in batches of 10, undisturbed, stopped, with a bad line, and with a full table. */
static void batches_and_reports(void **state)
{
    (void)state;
    char data[25 * 3];
    make_lines(data, 25);
    aero_session session = {0};
    aero_ingest_report report;
    uint64_t stop = 99;
    const aero_tsv_options options = {
        .batch_size = 10, .progress = stop_at, .progress_context = &stop};
    assert_int_equal(ae_ingest_memory(&session, INSTRUMENT, data, sizeof data, &options, &report),
                     AERO_OK);
    assert_int_equal(report.rows_seen, 25);
    assert_int_equal(report.inserted, 5 + 5 + 3);
    assert_int_equal(report.updated, 5 + 5 + 2);
    assert_int_equal(report.batches, 3);
    assert_int_equal(report.bytes, 75);
    assert_int_equal(session.writes, 3);
    session_reset(&session);

    stop = 2;
    assert_int_equal(ae_ingest_memory(&session, INSTRUMENT, data, sizeof data, &options, &report),
                     AERO_INTERRUPTED);
    assert_int_equal(report.rows_seen, 20);
    assert_non_null(strstr(session.error.text, "after 20 rows"));
    session_reset(&session);

    stop = 99;
    session.fail_at = 2;
    assert_int_equal(ae_ingest_memory(&session, INSTRUMENT, data, sizeof data, &options, &report),
                     AERO_FULL);
    assert_int_equal(report.rows_seen, 10);
    assert_int_equal(report.bytes, 30);
    assert_string_equal(session.error.text, "the segment is full");
    session_reset(&session);

    data[24 * 3] = (char)0xff;
    assert_int_equal(ae_ingest_memory(&session, INSTRUMENT, data, sizeof data, &options, &report),
                     AERO_TYPE);
    assert_int_equal(session.error.line, 25);
    assert_int_equal(session.error.column, 1);
    assert_int_equal(report.rows_seen, 20);
    assert_int_equal(report.batches, 2);
    session_reset(&session);
}

typedef struct reentry {
    aero_ingest *ingest;
    aero_session *session;
    aero_status status;
    int closes;
} reentry;

static int32_t call_back_in(void *context, const aero_ingest_report *report, uint64_t total)
{
    (void)report;
    (void)total;
    reentry *const from = context;
    if (from->closes) {
        ae_session_child *const child = from->session->child;
        ae_session_disown(child);
        child->close(child);
    } else {
        from->status = ae_ingest_push(from->ingest, "x\n", 2, false);
    }
    return 0;
}

/* Goal: a progress callback that feeds its own ingest, or closes its session, gets an error and
 * does no harm; method: do it. */
static void progress_that_calls_back_in(void **state)
{
    (void)state;
    aero_session session = {0};
    reentry from = {.session = &session};
    const aero_tsv_options options = {
        .batch_size = 1, .progress = call_back_in, .progress_context = &from};
    assert_int_equal(ae_ingest_new(&session, INSTRUMENT, &options, &from.ingest), AERO_OK);
    assert_int_equal(ae_ingest_push(from.ingest, TEXT("A\n"), false), AERO_OK);
    assert_int_equal(from.status, AERO_USAGE);
    from.closes = 1;
    assert_int_equal(ae_ingest_push(from.ingest, TEXT("B\nC\n"), false), AERO_STALE);
    assert_null(ae_ingest_session(from.ingest));
    ae_ingest_release(from.ingest);
    session_reset(&session);
}

/* Goal: after a failure nothing more is taken, and the end repeats the error; method: push on. */
static void pushing_after_a_failure(void **state)
{
    (void)state;
    aero_session session = {0};
    aero_ingest *ingest = NULL;
    aero_ingest_report report;
    const aero_tsv_options options = {.batch_size = 1};
    assert_int_equal(ae_ingest_new(&session, INSTRUMENT, &options, &ingest), AERO_OK);
    assert_int_equal(ae_ingest_push(ingest, TEXT("A\n\xff\nC\n"), false), AERO_TYPE);
    assert_int_equal(ae_ingest_push(ingest, TEXT("D\n"), false), AERO_USAGE);
    assert_int_equal(ae_ingest_end(ingest, &report), AERO_TYPE);
    assert_int_equal(session.error.line, 2);
    assert_int_equal(report.rows_seen, 1);
    assert_int_equal(session.writes, 1);
    ae_ingest_release(ingest);
    session_reset(&session);
}

/* ---- pieces --------------------------------------------------------------------------------- */

/* A text with all that pieces could cut: a mark, CRLF, escapes, long and short texts, blank
 * lines. */
static char *make_input(size_t *length)
{
    char *const data = malloc(40000);
    assert_non_null(data);
    size_t at = (size_t)snprintf(data, 100, "\xef\xbb\xbf");
    for (int i = 0; i < 60; i++) {
        const char *const end = i % 3 == 0 ? "\r\n" : i % 7 == 0 ? "\n\n" : "\n";
        at += (size_t)snprintf(data + at, 600,
                               "key%d\tISIN%d\ta title of some length, number %d, é\\t\\\\ %0*d\t%d"
                               "\tEUR\t%d.25\tx\tyes\t%0*x%s",
                               i, i, i, 1 + i * 3, 7, i, i, 2 * (1 + i), i, end);
    }
    *length = at - 1; /* the last newline is missing */
    return data;
}

/* Goal: it does not matter where pieces are cut, nor that the caller's memory goes; method: the
 * same input whole, cut at every place, and in pieces of every small size, each freed after its
 * push. */
static void pieces_cut_anywhere(void **state)
{
    (void)state;
    size_t length = 0;
    char *const data = make_input(&length);
    aero_session whole = {0}, session = {0};
    aero_ingest_report expected, report;
    const aero_tsv_options options = {.batch_size = 7};
    assert_int_equal(ae_ingest_memory(&whole, INSTRUMENT, data, length, &options, &expected),
                     AERO_OK);
    assert_int_equal(expected.rows_seen, 60);
    for (size_t size = 1; size < length; size += size < 200 ? 1 : 97) {
        aero_ingest *ingest = NULL;
        assert_int_equal(ae_ingest_new(&session, INSTRUMENT, &options, &ingest), AERO_OK);
        for (size_t at = 0; at < length; at += size) {
            const size_t part = length - at < size ? length - at : size;
            char *const piece = malloc(part);
            assert_non_null(piece);
            memcpy(piece, data + at, part);
            if (ae_ingest_push(ingest, piece, part, false) != AERO_OK)
                fail_msg("pieces of %zu: %s", size, session.error.text);
            memset(piece, '#', part);
            free(piece);
        }
        assert_int_equal(ae_ingest_end(ingest, &report), AERO_OK);
        ae_ingest_release(ingest);
        assert_int_equal(report.rows_seen, expected.rows_seen);
        assert_int_equal(report.batches, expected.batches);
        assert_int_equal(report.bytes, length);
        assert_int_equal(session.length, whole.length);
        assert_memory_equal(session.lines, whole.lines, whole.length);
        session_reset(&session);
    }
    session_reset(&whole);
    free(data);
}

/* Goal: a file gives what its bytes give, and a missing one or a folder is an I/O error that
 * names it; method: a temporary file with lines across the reading chunks. */
static void files(void **state)
{
    (void)state;
    char path[] = "/tmp/aerostore_ingest_XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *const file = fdopen(fd, "w");
    assert_non_null(file);
    for (int i = 0; i < 60000; i++)
        fprintf(file, "key%d\t\ta title long enough to be pointed at %d\n", i, i);
    assert_int_equal(fclose(file), 0);
    aero_session session = {0};
    aero_ingest_report report;
    assert_int_equal(ae_ingest_path(&session, INSTRUMENT, path, NULL, &report), AERO_OK);
    assert_int_equal(report.rows_seen, 60000);
    assert_int_equal(report.batches, 59);
    const char *at = session.lines;
    for (int i = 0; i < 60000; i++) {
        char expected[100];
        const int length = snprintf(expected, sizeof expected,
                                    "key%d\t\ta title long enough to be pointed at %d\t", i, i);
        assert_memory_equal(at, expected, (size_t)length);
        at = strchr(at, '\n') + 1;
    }
    session_reset(&session);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(ae_ingest_path(&session, INSTRUMENT, path, NULL, &report), AERO_IO);
    assert_non_null(strstr(session.error.text, path));
    assert_int_equal(ae_ingest_path(&session, INSTRUMENT, "/", NULL, &report), AERO_IO);
    session_reset(&session);
}

/* Goal: a batch ends early when its texts take too much memory; method: one batch of 200 MB of long
 * titles through pieces, so that the texts must be copied. */
static void batches_of_bounded_memory(void **state)
{
    (void)state;
    aero_session session = {0};
    aero_ingest *ingest = NULL;
    aero_ingest_report report;
    const aero_tsv_options options = {.batch_size = 1000000};
    assert_int_equal(ae_ingest_new(&session, INSTRUMENT, &options, &ingest), AERO_OK);
    char line[1200];
    const int length = snprintf(line, sizeof line, "k\t\t%01000d\n", 0);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(ae_ingest_push(ingest, line, (size_t)length, false), AERO_OK);
    assert_int_equal(ae_ingest_end(ingest, &report), AERO_OK);
    ae_ingest_release(ingest);
    assert_int_equal(report.rows_seen, 100000);
    assert_int_equal(report.batches, 2);
    assert_true(session.most_rows * 1000 < AE_INGEST_TEXTS_MAX + 2000);
    session_reset(&session);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(splitting_against_a_plain_loop),
    cmocka_unit_test(line_ends_and_marks),
    cmocka_unit_test(escapes_and_nulls),
    cmocka_unit_test(errors_name_line_and_column),
    cmocka_unit_test(lines_that_are_too_long),
    cmocka_unit_test(columns_chosen_by_the_caller),
    cmocka_unit_test(null_text_and_separator),
    cmocka_unit_test(options_that_are_refused),
    cmocka_unit_test(batches_and_reports),
    cmocka_unit_test(progress_that_calls_back_in),
    cmocka_unit_test(pushing_after_a_failure),
    cmocka_unit_test(pieces_cut_anywhere),
    cmocka_unit_test(files),
    cmocka_unit_test(batches_of_bounded_memory),
};

AE_TEST_MAIN(tests)
