/* tsv.c — the rest of a cursor as TSV lines, which ingest reads back as they were.
 *
 * All columns in order with a tab go through the generated encoder; anything else cell by cell: a
 * separator inside a text becomes \xHH, a text that looks like the null text begins with \e, and a
 * line of one cell is never empty (readers skip blank lines).
 */
#include <stdlib.h>
#include <string.h>

#include "query/cursor_private.h"
#include "row/convert.h"

#include "aerostore/gen.h"

/* Output is handed over in pieces of about this size. */
#define PIECE_BYTES ((size_t)64 << 10)
/* Rows taken from the cursor at once. */
#define ROWS_AT_ONCE 64u

typedef struct tsv_format {
    const aero_table *table;
    const uint32_t *columns; /* NULL: all in order */
    uint32_t column_count;
    char separator;
    bool direct;        /* by the generated encoder */
    bool empty_is_null; /* no null text of its own: an empty cell is NULL */
    const char *null_text;
    size_t null_length;
} tsv_format;

static uint32_t column_at(const tsv_format *format, uint32_t i)
{
    return format->columns == NULL ? i : format->columns[i];
}

/* As in reading: no part of a number, an escape, a line end or a UTF-8 sequence. */
static bool is_separator(char c)
{
    return c == '\t' || c == ' ' || c == '\x1e' || c == '\x1f' ||
           (c != '\0' && strchr("!\"#$%&'()*,/;<=>?@[]^`{|}~", c) != NULL);
}

static aero_status check_columns(const tsv_format *format, aero_error *error)
{
    if (format->column_count > format->table->column_count)
        return ae_fail(error, AERO_USAGE, "%s: %u columns asked for, the table has %u",
                       format->table->name, format->column_count, format->table->column_count);
    for (uint32_t i = 0; i < format->column_count; i++) {
        if (column_at(format, i) >= format->table->column_count)
            return ae_fail(error, AERO_USAGE, "%s: no column has the index %u", format->table->name,
                           column_at(format, i));
    }
    return AERO_OK;
}

static aero_status read_options(tsv_format *format, const aero_table *table,
                                const aero_tsv_options *options, aero_error *error)
{
    static const aero_tsv_options defaults = {0};
    const aero_tsv_options *from = options != NULL ? options : &defaults;
    *format = (tsv_format){.table = table, .separator = '\t', .null_text = ""};
    if (from->column_count > 0)
        format->columns = from->columns;
    format->column_count = from->column_count > 0 ? from->column_count : table->column_count;
    if (from->separator != NULL) {
        if (strlen(from->separator) != 1 || !is_separator(from->separator[0]))
            return ae_fail(error, AERO_USAGE,
                           "a separator is one punctuation character, blank or tab");
        format->separator = from->separator[0];
    }
    if (from->null_text != NULL)
        format->null_text = from->null_text;
    format->null_length = strlen(format->null_text);
    format->empty_is_null = format->null_length == 0;
    if (strchr(format->null_text, format->separator) != NULL ||
        strpbrk(format->null_text, "\r\n") != NULL)
        return ae_fail(error, AERO_USAGE, "the null text contains a separator or a line end");
    if (format->column_count == 1 && format->empty_is_null) {
        format->null_text = "\\N"; /* a line of one empty cell would be a blank line */
        format->null_length = 2;
    }
    format->direct = format->columns == NULL && format->column_count > 1 && format->empty_is_null &&
                     format->separator == '\t';
    return check_columns(format, error);
}

static void put_text(const tsv_format *format, ae_tsv_out *out, const char *data, size_t length,
                     bool nullable)
{
    static const char digits[] = "0123456789abcdef";
    if (length == 0) {
        const bool needed = (format->empty_is_null && nullable) || format->column_count == 1;
        ae_tsv_put_text(out, data, 0, needed);
        return;
    }
    if (length == format->null_length && memcmp(data, format->null_text, length) == 0)
        ae_tsv_put(out, "\\e", 2);
    while (length > 0 && format->separator != '\t') {
        const char *found = memchr(data, format->separator, length);
        if (found == NULL)
            break;
        const unsigned char byte = (unsigned char)format->separator;
        const char escape[4] = {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
        ae_tsv_put_text(out, data, (size_t)(found - data), false);
        ae_tsv_put(out, escape, sizeof escape);
        length -= (size_t)(found - data) + 1;
        data = found + 1;
    }
    if (length > 0)
        ae_tsv_put_text(out, data, length, false);
}

static void put_cell(const tsv_format *format, ae_tsv_out *out, const aero_column *column,
                     const ae_view *view)
{
    const bool nullable = column->null_index >= 0;
    aero_value value;
    column->get(view->row, view->base, &value);
    if (value.type == AERO_TYPE_NULL) {
        ae_tsv_put(out, format->null_text, format->null_length);
    } else if (value.type == AERO_TYPE_BYTES && column->kind == AERO_KIND_BYTES) {
        if (value.length == 0)
            put_text(format, out, "", 0, nullable);
        else
            ae_tsv_put_bytes(out, value.u.data, value.length, false);
    } else {
        char scratch[AE_TEXT_MAX];
        const char *text;
        size_t length;
        ae_format(column, &value, scratch, &text, &length);
        put_text(format, out, text, length, nullable);
    }
}

static void put_row(const tsv_format *format, ae_tsv_out *out, const ae_view *view)
{
    if (format->direct) {
        const size_t left = out->length < out->capacity ? out->capacity - out->length : 0;
        out->length += format->table->encode_tsv(view->row, view->base, out->data + out->length,
                                                 left);
    } else {
        for (uint32_t i = 0; i < format->column_count; i++) {
            if (i > 0)
                ae_tsv_put(out, &format->separator, 1);
            put_cell(format, out, &format->table->columns[column_at(format, i)], view);
        }
    }
    ae_tsv_put(out, "\n", 1);
}

static void put_header(const tsv_format *format, ae_tsv_out *out)
{
    for (uint32_t i = 0; i < format->column_count; i++) {
        const char *name = format->table->columns[column_at(format, i)].name;
        if (i > 0)
            ae_tsv_put(out, &format->separator, 1);
        ae_tsv_put(out, name, strlen(name));
    }
    ae_tsv_put(out, "\n", 1);
}

static aero_status flush(ae_tsv_out *out, aero_writer writer, void *context, aero_error *error)
{
    if (out->length > 0 && writer(context, out->data, out->length) != 0)
        return ae_fail(error, AERO_INTERRUPTED, "writing was stopped by its receiver");
    out->length = 0;
    return AERO_OK;
}

/* Append a row (or, with NULL, the header), with more room if it does not fit. */
static aero_status append(const tsv_format *format, ae_tsv_out *out, const ae_view *view,
                          aero_error *error)
{
    const size_t before = out->length;
    for (;;) {
        if (view != NULL)
            put_row(format, out, view);
        else
            put_header(format, out);
        if (out->length <= out->capacity)
            return AERO_OK;
        const size_t wanted = out->length + PIECE_BYTES;
        out->length = before;
        char *fresh = aei_array_resize(out->data, wanted, 1, error);
        if (fresh == NULL)
            return AERO_NO_MEMORY;
        out->data = fresh;
        out->capacity = wanted;
    }
}

static aero_status write_rows(aero_cursor *cursor, const tsv_format *format, ae_tsv_out *out,
                              aero_writer writer, void *context, uint64_t *rows, aero_error *error)
{
    ae_view views[ROWS_AT_ONCE];
    size_t count;
    while ((count = aei_cursor_take(cursor, views, ROWS_AT_ONCE)) > 0) {
        for (size_t i = 0; i < count; i++) {
            aero_status status = append(format, out, &views[i], error);
            if (status == AERO_OK && out->length >= PIECE_BYTES)
                status = flush(out, writer, context, error);
            if (status != AERO_OK)
                return status;
            (*rows)++;
            cursor->rows++;
        }
    }
    return cursor->failed != AERO_OK ? cursor->failed : flush(out, writer, context, error);
}

aero_status ae_cursor_write_tsv(aero_cursor *cursor, const aero_tsv_options *options,
                                aero_writer writer, void *context, uint64_t *rows)
{
    aero_error *error = ae_session_error_buffer(cursor->session);
    tsv_format format;
    ae_tsv_out out = {0};
    *rows = 0;
    aero_status status = read_options(&format, cursor->row.table, options, error);
    if (status == AERO_OK) {
        out.capacity = PIECE_BYTES + PIECE_BYTES / 4; /* lines mostly fit behind a full piece */
        out.data = aei_array_resize(NULL, out.capacity, 1, error);
        status = out.data == NULL ? AERO_NO_MEMORY : AERO_OK;
    }
    if (status == AERO_OK && options != NULL && options->header != 0)
        status = append(&format, &out, NULL, error);
    if (status == AERO_OK)
        status = write_rows(cursor, &format, &out, writer, context, rows, error);
    free(out.data);
    return status;
}
