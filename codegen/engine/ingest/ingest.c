/* The ingest machine: pieces into lines, lines into row images, images into batches.
 *
 *      piece ──split──> cells ──decode──> image ─┬─ ... batch_size images ──> ae_table_write
 *        └─ cut line ──> carry ──(completed)──────┘
 *
 * Images point into the caller's piece, so that a text is copied once, by the table.  When a piece
 * ends while images are pending, only their long texts are copied into the scratch (settle_rows).
 *
 * I1 A row is counted in the report only after the ae_table_write that holds it succeeded.
 * I2 Between pushes, no pending image points into memory of the caller.
 * I3 Memory is bounded by the limits of base/limits.h, whatever the input is.
 * I4 After a failure nothing more is decoded or written; error and report stay as they were.
 */
#include "ingest/ingest.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/os.h"
#include "ingest/ingest_private.h"
#include "table/table.h"

/* The first room for images; doubled up to the batch size. */
#define ROWS_FIRST 1024u

/* ---- life ----------------------------------------------------------------------------------- */

static void session_closed(ae_session_child *child)
{
    aero_ingest *const ingest = (aero_ingest *)child;
    ingest->session = NULL;
}

static aero_status find_bytes_cells(aero_ingest *ingest)
{
    const ae_ingest_format *const format = &ingest->format;
    ingest->bytes_cells = malloc(format->column_count * sizeof *ingest->bytes_cells);
    if (ingest->bytes_cells == NULL)
        return AERO_NO_MEMORY;
    for (uint32_t i = 0; i < format->column_count; i++) {
        if (ingest->table->columns[format->columns[i]].kind == AERO_KIND_BYTES)
            ingest->bytes_cells[ingest->bytes_count++] = i;
    }
    AE_ALWAYS(ingest->bytes_count <= format->column_count);
    return AERO_OK;
}

aero_status ae_ingest_new(aero_session *session, uint32_t table, const aero_tsv_options *options,
                          aero_ingest **ingest)
{
    aero_error *const error = ae_session_error_buffer(session);
    *ingest = NULL;
    if (table >= ae_session_table_count(session))
        return ae_fail(error, AERO_NAME, "no table has the index %u", table);
    aero_ingest *const made = calloc(1, sizeof *made);
    if (made == NULL)
        return ae_fail(error, AERO_NO_MEMORY, "no memory for an ingest");
    made->table = ae_session_table(session, table);
    made->table_index = table;
    made->start_ns = ae_os_monotonic_ns();
    made->skip_header = options != NULL && options->header != 0;
    made->stride = (made->table->row_size + (size_t)7) & ~(size_t)7;
    aero_status status = aei_format_init(&made->format, made->table, options, error);
    if (status == AERO_OK) {
        const size_t most = AE_INGEST_IMAGES_MAX / made->stride;
        made->row_limit = made->format.batch_size < most ? (size_t)made->format.batch_size : most;
        made->cells = malloc(made->format.column_count * sizeof *made->cells);
        if (made->cells == NULL || find_bytes_cells(made) != AERO_OK)
            status = ae_fail(error, AERO_NO_MEMORY, "no memory for %u cells",
                             made->format.column_count);
    }
    if (status != AERO_OK) {
        ae_ingest_release(made);
        return status;
    }
    AE_ALWAYS(made->row_limit > 0 && made->stride >= made->table->row_size);
    made->child.close = session_closed;
    made->session = session;
    ae_session_adopt(session, &made->child);
    *ingest = made;
    return AERO_OK;
}

aero_session *ae_ingest_session(const aero_ingest *ingest)
{
    return ingest->session;
}

void ae_ingest_release(aero_ingest *ingest)
{
    if (ingest == NULL)
        return;
    if (ingest->session != NULL)
        ae_session_disown(&ingest->child);
    ae_scratch_free(&ingest->scratch);
    free(ingest->format.columns);
    free(ingest->format.null_text);
    free(ingest->cells);
    free(ingest->bytes_cells);
    free(ingest->rows);
    free(ingest->carry);
    free(ingest);
}

/* ---- errors --------------------------------------------------------------------------------- */

static aero_error *error_buffer(aero_ingest *ingest)
{
    AE_ASSERT(ingest->session != NULL);
    return ae_session_error_buffer(ingest->session);
}

/* An error at a cell of the line just taken. */
static aero_status fail_at(aero_ingest *ingest, const ae_line_error *wrong)
{
    aero_error *const error = error_buffer(ingest);
    const ae_ingest_format *const format = &ingest->format;
    const uint64_t column = (uint64_t)wrong->cell + 1;
    const char *name = "";
    if (wrong->cell < format->column_count)
        name = ingest->table->columns[format->columns[wrong->cell]].name;
    ae_fail(error, wrong->code, "decode error at line %llu column %llu: %s%s%s%s",
            (unsigned long long)ingest->lines, (unsigned long long)column, wrong->reason,
            *name == '\0' ? "" : " (", name, *name == '\0' ? "" : ")");
    ae_error_place(error, ingest->table->name, name);
    error->line = (int64_t)ingest->lines;
    error->column = (int64_t)column;
    return wrong->code;
}

static aero_status fail_line_length(aero_ingest *ingest, uint64_t line)
{
    aero_error *const error = error_buffer(ingest);
    ae_fail(error, AERO_LIMIT, "line %llu is longer than %zu bytes", (unsigned long long)line,
            AE_INGEST_LINE_MAX);
    ae_error_place(error, ingest->table->name, NULL);
    error->line = (int64_t)line;
    return AERO_LIMIT;
}

/* ---- batches -------------------------------------------------------------------------------- */

static void update_elapsed(aero_ingest *ingest)
{
    ingest->report.elapsed_ms = (double)(ae_os_monotonic_ns() - ingest->start_ns) / 1e6;
}

static aero_status report_progress(aero_ingest *ingest)
{
    if (ingest->format.progress == NULL)
        return AERO_OK;
    update_elapsed(ingest);
    const int32_t stop = ingest->format.progress(ingest->format.progress_context, &ingest->report,
                                                 ingest->total_bytes);
    if (ingest->session ==
        NULL) /* the callback closed it: there is no buffer for a text any more */
        return AERO_STALE;
    if (stop != 0)
        return ae_fail(error_buffer(ingest), AERO_INTERRUPTED,
                       "the ingest was stopped after %llu rows",
                       (unsigned long long)ingest->report.rows_seen);
    return AERO_OK;
}

/* Write the pending rows. */
static aero_status flush_rows(aero_ingest *ingest)
{
    if (ingest->row_count == 0)
        return AERO_OK;
    uint64_t inserted = 0;
    uint64_t updated = 0;
    const aero_status status = ae_table_write(ingest->session, ingest->table_index, ingest->rows,
                                              ingest->stride, ingest->row_count, AE_WRITE_REPLACE,
                                              &inserted, &updated);
    if (status != AERO_OK)
        return status;
    ingest->report.rows_seen += ingest->row_count; /* keeps I1 */
    ingest->report.inserted += inserted;
    ingest->report.updated += updated;
    ingest->report.batches++;
    ingest->report.bytes = ingest->bytes;
    ingest->row_count = 0;
    ingest->rows_settled = 0;
    ae_scratch_reset(&ingest->scratch);
    return report_progress(ingest);
}

/* Make room for one more image. */
static aero_status grow_rows(aero_ingest *ingest)
{
    size_t capacity = ingest->row_capacity == 0 ? ROWS_FIRST : 2 * ingest->row_capacity;
    if (capacity > ingest->row_limit)
        capacity = ingest->row_limit;
    char *const rows = realloc(ingest->rows, capacity * ingest->stride);
    if (rows == NULL)
        return ae_fail(error_buffer(ingest), AERO_NO_MEMORY, "no memory for a batch of %zu rows",
                       capacity);
    ingest->rows = rows;
    ingest->row_capacity = capacity;
    return AERO_OK;
}

/* Copy the long texts of pending images that lie in the piece which is about to go (keeps I2). */
static aero_status settle_rows(aero_ingest *ingest, const char *data, size_t length)
{
    const aero_table *const table = ingest->table;
    const uintptr_t from = (uintptr_t)data;
    for (; ingest->rows_settled < ingest->row_count; ingest->rows_settled++) {
        char *const row = ingest->rows + ingest->rows_settled * ingest->stride;
        for (uint32_t i = 0; i < table->cell_count; i++) {
            aero_cell *const cell = (aero_cell *)(void *)(row +
                                                          table->columns[table->cells[i]].offset);
            if (cell->length <= AERO_CELL_INLINE || (uintptr_t)cell->u.where - from >= length)
                continue;
            char *const copy = ae_scratch_take(&ingest->scratch, cell->length);
            if (copy == NULL)
                return ae_fail(error_buffer(ingest), AERO_NO_MEMORY, "no memory for a text");
            memcpy(copy, (const char *)(uintptr_t)cell->u.where, cell->length);
            cell->u.where = (uint64_t)(uintptr_t)copy;
        }
    }
    return AERO_OK;
}

/* ---- lines ---------------------------------------------------------------------------------- */

/* A byte order mark before the first line is no part of it. */
static void skip_mark(aero_ingest *ingest, ae_line *line)
{
    if (line->length < 3 || memcmp(line->start, "\xef\xbb\xbf", 3) != 0)
        return;
    line->length -= 3;
    ingest->cells[0].data += 3;
    ingest->cells[0].length -= 3;
}

/* Decode one line, whose cells are split, into an image; write the batch when it is full. */
static aero_status take_line(aero_ingest *ingest, ae_line *line)
{
    const bool first = ingest->lines == 0;
    ingest->lines++;
    ingest->bytes += line->length + line->complete;
    if (line->length > AE_INGEST_LINE_MAX)
        return fail_line_length(ingest, ingest->lines);
    if (first)
        skip_mark(ingest, line);
    const uint32_t count = line->cell_count;
    if (line->length > 0 && count <= ingest->format.column_count) {
        aero_span *const last = &ingest->cells[count - 1];
        if (last->length > 0 && last->data[last->length - 1] == '\r') {
            last->length--;
            line->length--;
        }
    }
    if (ingest->skip_header) {
        ingest->skip_header = false;
        return AERO_OK;
    }
    if (line->length == 0)
        return AERO_OK;
    aero_status status = AERO_OK;
    if (ingest->row_count == ingest->row_capacity && (status = grow_rows(ingest)) != AERO_OK)
        return status;
    ae_line_error wrong;
    AE_ASSERT(ingest->row_count < ingest->row_capacity && count > 0);
    void *const row = ingest->rows + ingest->row_count * ingest->stride;
    if (aei_decode_line(ingest, count, line->has_escape, row, &wrong) != AERO_OK)
        return fail_at(ingest, &wrong);
    ingest->row_count++;
    if (ingest->row_count >= ingest->row_limit || ingest->scratch.taken > AE_INGEST_TEXTS_MAX)
        return flush_rows(ingest);
    return AERO_OK;
}

/* ---- the cut line --------------------------------------------------------------------------- */

static aero_status carry_append(aero_ingest *ingest, const char *data, size_t length)
{
    if (length > AE_INGEST_LINE_MAX || ingest->carry_length > AE_INGEST_LINE_MAX - length)
        return fail_line_length(ingest, ingest->lines + 1);
    const size_t needed = ingest->carry_length + length;
    if (needed > ingest->carry_capacity) {
        const size_t room = needed < 4096 ? 4096 : 2 * needed;
        char *const grown = realloc(ingest->carry, room);
        if (grown == NULL)
            return ae_fail(error_buffer(ingest), AERO_NO_MEMORY, "no memory for a line");
        ingest->carry = grown;
        ingest->carry_capacity = room;
    }
    AE_ASSERT(needed <= ingest->carry_capacity || length == 0);
    if (length > 0)
        memcpy(ingest->carry + ingest->carry_length, data, length);
    ingest->carry_length = needed;
    return AERO_OK;
}

/* The carried line is whole now: take it, and copy its texts before the carry is used again. */
static aero_status take_carry(aero_ingest *ingest, bool complete)
{
    AE_ASSERT(ingest->carry_length > 0);
    ae_splitter splitter;
    ae_line line = {.start = ingest->carry, .cell_count = 1, .complete = false};
    ingest->cells[0] = (aero_span){ingest->carry, 0};
    ae_split_start(&splitter, ingest->carry, ingest->carry_length, ingest->format.separator);
    ae_split_next(&splitter, ingest->cells, ingest->format.column_count, &line);
    line.complete = complete;
    aero_status status = take_line(ingest, &line);
    if (status == AERO_OK)
        status = settle_rows(ingest, ingest->carry, ingest->carry_length);
    ingest->carry_length = 0;
    return status;
}

/* ---- pieces --------------------------------------------------------------------------------- */

static aero_status push_piece(aero_ingest *ingest, const char *data, size_t length, bool last)
{
    AE_ASSERT(ingest->busy);
    const char *rest = data;
    aero_status status = AERO_OK;
    if (ingest->carry_length > 0 && length > 0) {
        const char *const newline = memchr(data, '\n', length);
        const size_t head = newline == NULL ? length : (size_t)(newline - data);
        status = carry_append(ingest, data, head);
        rest = newline == NULL ? data + length : newline + 1;
        if (status == AERO_OK && newline != NULL)
            status = take_carry(ingest, true);
    }
    ae_splitter splitter;
    ae_line line;
    ae_split_start(&splitter, rest, (size_t)(data + length - rest), ingest->format.separator);
    while (status == AERO_OK &&
           ae_split_next(&splitter, ingest->cells, ingest->format.column_count, &line)) {
        if (line.complete || last)
            status = take_line(ingest, &line);
        else
            status = carry_append(ingest, line.start, line.length);
    }
    if (status == AERO_OK && last && ingest->carry_length > 0)
        status = take_carry(ingest, false);
    if (status != AERO_OK)
        return status;
    return last ? flush_rows(ingest) : settle_rows(ingest, data, length);
}

aero_status ae_ingest_push(aero_ingest *ingest, const char *data, size_t length, bool last)
{
    if (ingest->busy)
        return ae_fail(error_buffer(ingest), AERO_USAGE,
                       "a progress callback must not feed its own ingest");
    if (ingest->status != AERO_OK)
        return ae_fail(error_buffer(ingest), AERO_USAGE, "this ingest has failed already");
    ingest->busy = true;
    const aero_status status = push_piece(ingest, data, length, last);
    AE_ASSERT(ingest->busy);
    ingest->busy = false;
    ingest->status = status; /* keeps I4 */
    if (status != AERO_OK && ingest->session != NULL)
        ingest->error = *error_buffer(ingest);
    return status;
}

aero_status ae_ingest_end(aero_ingest *ingest, aero_ingest_report *report)
{
    aero_status status = ingest->status;
    if (status == AERO_OK)
        status = ae_ingest_push(ingest, "", 0, true);
    else if (ingest->session != NULL)
        *error_buffer(ingest) = ingest->error;
    if (status == AERO_OK)
        ingest->report.bytes = ingest->bytes; /* blank lines behind the last row too */
    update_elapsed(ingest);
    if (report != NULL)
        *report = ingest->report;
    return status;
}
