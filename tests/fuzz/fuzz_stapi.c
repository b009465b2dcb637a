/* The query parser and everything behind it, on arbitrary texts.
 *
 * Strategy: the first byte chooses the table and what is done; the rest is a -compare text (or a
 * glob). It is added to a query on a few rows of nearly every kind; when it is accepted, the query
 * is planned, with and without indexes, explained, counted and read, sorted and not.
 *
 * Invariants: a refusal has one of four codes, a text, and a position inside the input, and leaves
 * the query as it was; what is accepted counts as many rows as it gives, and can be explained; time
 * and memory are bounded by libFuzzer's options.
 *
 * links: base shm row index/key.c !row/version* query api/api_query.c generated/market
 */
#include "query_fake.h"

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "broken: %s (%s)\n", #condition, session->error.text); \
            abort(); \
        } \
    } while (0)

enum { ROWS = 40 };

static void check_refusal(aero_session *session, aero_query *query, size_t length)
{
    const aero_error *error = &session->error;
    uint64_t count;
    CHECK(error->code == AERO_PARSE || error->code == AERO_NAME || error->code == AERO_TYPE ||
          error->code == AERO_LIMIT);
    CHECK(error->text[0] != '\0' && memchr(error->text, '\0', sizeof error->text) != NULL);
    CHECK(error->line >= -1 && error->line <= (int64_t)length);
    CHECK(aero_query_count(query, &count) == AERO_OK && count == ROWS);
}

static void check_answer(aero_session *session, aero_query *query, uint32_t choice)
{
    uint64_t count;
    uint64_t rows = 0;
    const char *text;
    size_t length;
    aero_cursor *cursor;
    const aero_row *row;
    if (choice & 4)
        CHECK(aero_query_sort(query, choice >> 3, (choice & 2) != 0) != AERO_LIMIT);
    CHECK(aero_query_explain(query, (choice & 8) != 0, &text, &length) == AERO_OK && length > 0);
    CHECK(aero_query_count(query, &count) == AERO_OK && count <= ROWS);
    CHECK(aero_cursor_open(query, &cursor) == AERO_OK);
    while (aero_cursor_next(cursor, &row) == AERO_OK && row != NULL)
        rows++;
    CHECK(rows == count);
    aero_cursor_close(cursor);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const uint32_t choice = data[0];
    const char *text = (const char *)data + 1;
    const size_t length = size - 1;
    aero_session *session = fake_session();
    uint64_t random = 1;
    aero_query *query;
    aero_status status;
    fake_fill(session, choice & 1, ROWS, &random);
    if (choice & 0x40) {
        static const char *const indexes[2][3] = {{"title", "sector currency", "isin"},
                                                  {"price", "symbol price", "gateway6"}};
        for (int i = 0; i < 3; i++)
            fake_index_make(session, choice & 1, indexes[choice & 1][i]);
    }
    CHECK(aero_query_new(session, choice & 1, &query) == AERO_OK);
    if (choice >= 0xf0)
        status = aero_query_glob(query, text, length);
    else
        status = aero_query_compare(query, text, length);
    if (status != AERO_OK)
        check_refusal(session, query, length);
    else
        check_answer(session, query, choice);
    aero_query_free(query);
    fake_close(session);
    return 0;
}
