/* Fuzz target: any bytes as TSV.
 *
 * Strategy: the first byte of the input chooses the table (a wide one with a column of nearly every
 * kind, or a narrow one), the size of the pieces and the options; the rest is ingested.  What is
 * ingested goes to a stand-in of the table, which keeps each row as its encoder writes it: that is
 * the export.  The export is ingested again.
 *
 * Invariants:
 *   - no input crashes, reads outside its bytes or leaks, and each ends with AERO_OK or an error
 *     that has a code of errors.def and, for malformed cells, a line and a column;
 *   - pieces cut anywhere give what the whole gives, errors and their places included;
 *   - what was exported is accepted, and exports to the same bytes again: export(import(x)) == x;
 *   - a text that is written never changes by it: cells of both exports are equal byte for byte.
 *
 * links: base row/text.c row/timestamp.c row/convert.c row/present.c ingest generated/market
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/ingest.h"
#include "table/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            abort(); \
        } \
    } while (0)

struct aero_session {
    aero_error error;
    ae_session_child *child;
    char *lines;
    size_t length;
    size_t capacity;
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
    session->child = child;
}

void ae_session_disown(ae_session_child *child)
{
    (void)child;
}

aero_status ae_table_write(aero_session *session, uint32_t table, const void *rows, size_t stride,
                           size_t count, enum ae_write_mode mode, uint64_t *inserted,
                           uint64_t *updated)
{
    (void)mode;
    const aero_table *const described = ae_session_table(session, table);
    for (size_t i = 0; i < count; i++) {
        const void *const row = (const char *)rows + i * stride;
        const size_t needed = described->encode_tsv(row, NULL, NULL, 0) + 1;
        if (session->capacity - session->length < needed) {
            session->capacity = 2 * session->capacity + needed;
            session->lines = realloc(session->lines, session->capacity);
            CHECK(session->lines != NULL);
        }
        char *const at = session->lines + session->length;
        CHECK(described->encode_tsv(row, NULL, at, needed) == needed - 1);
        at[needed - 1] = '\n';
        session->length += needed;
    }
    *inserted = count;
    *updated = 0;
    return AERO_OK;
}

/* Ingest in pieces of `piece` bytes (0: whole), each in memory of its own size. */
static aero_status ingest(aero_session *session, uint32_t table, const aero_tsv_options *options,
                          const char *data, size_t size, size_t piece, aero_ingest_report *report)
{
    memset(session, 0, sizeof *session);
    if (piece == 0)
        return ae_ingest_memory(session, table, data, size, options, report);
    aero_ingest *made = NULL;
    aero_status status = ae_ingest_new(session, table, options, &made);
    CHECK(status == AERO_OK);
    for (size_t at = 0; at < size && status == AERO_OK; at += piece) {
        const size_t part = size - at < piece ? size - at : piece;
        char *const copy = malloc(part);
        CHECK(copy != NULL);
        memcpy(copy, data + at, part);
        status = ae_ingest_push(made, copy, part, false);
        free(copy);
    }
    status = ae_ingest_end(made, report);
    ae_ingest_release(made);
    return status;
}

static void check_error(const aero_session *session, aero_status status)
{
    CHECK(session->error.code == status);
    CHECK(session->error.text[0] != '\0');
    CHECK(memchr(session->error.text, '\0', sizeof session->error.text) != NULL);
    if (status != AERO_LIMIT)
        CHECK(session->error.line > 0 && session->error.column > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    static const uint32_t order[] = {4, 0, 2, 8, 1};
    const uint8_t choice = data[0];
    const uint32_t table = choice & 1;
    aero_tsv_options options = {.batch_size = 3};
    if (choice & 2)
        options.null_text = "NULL";
    if (choice & 4)
        options.separator = ";";
    if ((choice & 8) && table == 0) {
        options.columns = order;
        options.column_count = sizeof order / sizeof *order;
    }
    const size_t piece = 1 + (choice >> 4) * 5u;
    const char *const text = (const char *)data + 1;

    aero_session whole, pieces;
    aero_ingest_report report, pieces_report;
    const aero_status status = ingest(&whole, table, &options, text, size - 1, 0, &report);
    const aero_status pieces_status = ingest(&pieces, table, &options, text, size - 1, piece,
                                             &pieces_report);
    CHECK(status == pieces_status);
    CHECK(whole.length == pieces.length && report.rows_seen == pieces_report.rows_seen);
    CHECK(report.batches == pieces_report.batches && report.bytes == pieces_report.bytes);
    CHECK(whole.length == 0 || memcmp(whole.lines, pieces.lines, whole.length) == 0);
    if (status != AERO_OK) {
        check_error(&whole, status);
        CHECK(strcmp(whole.error.text, pieces.error.text) == 0);
    }

    aero_session again;
    aero_ingest_report again_report;
    CHECK(ingest(&again, table, NULL, whole.length == 0 ? "" : whole.lines, whole.length, 0,
                 &again_report) == AERO_OK);
    CHECK(again.length == whole.length && again_report.rows_seen == report.rows_seen);
    CHECK(whole.length == 0 || memcmp(whole.lines, again.lines, whole.length) == 0);
    free(whole.lines);
    free(pieces.lines);
    free(again.lines);
    return 0;
}
