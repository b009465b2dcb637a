/* One line's cells into a row image.
 *
 * Usually the cells go to the table's generated decode_tsv as they are.  Lines with a backslash are
 * unescaped first, cells of BYTES columns turned from hexadecimal into bytes; and when the options
 * ask for other columns, another order or another null text, cells are converted one by one through
 * the column descriptors, by the same rules.
 *
 * Escapes: \t \n \r \\ as usual, \0 for NUL, \xHH for any byte, \e for nothing at all (so a cell of
 * just \e is the empty text where an empty cell would be NULL); \N alone is NULL.
 */
#include <string.h>

#include "ingest/ingest_private.h"
#include "row/convert.h"
#include "row/hex.h"

/* The data of a cell that is an explicit empty text. */
static const char explicit_empty[1] = "";

static aero_status fail(ae_line_error *error, int32_t code, uint32_t cell, const char *reason)
{
    AE_ASSERT(code != AERO_OK && reason != NULL);
    *error = (ae_line_error){code, cell, reason};
    return code;
}

/* Unescape text into `out`, which has as much room; returns the end, or NULL for a bad escape. */
static char *unescape(const char *text, const char *end, char *out)
{
    while (text < end) {
        const char c = *text++;
        if (c != '\\') {
            *out++ = c;
            continue;
        }
        if (text == end)
            return NULL;
        switch (*text++) {
        case 't':
            *out++ = '\t';
            break;
        case 'n':
            *out++ = '\n';
            break;
        case 'r':
            *out++ = '\r';
            break;
        case '\\':
            *out++ = '\\';
            break;
        case '0':
            *out++ = '\0';
            break;
        case 'e':
            break;
        case 'x':
            if (end - text < 2 || !ae_hex_decode(text, 2, out))
                return NULL;
            out++;
            text += 2;
            break;
        default:
            return NULL;
        }
    }
    return out;
}

static bool is_null_text(const ae_ingest_format *format, const aero_span *cell)
{
    return format->null_text != NULL && cell->length == format->null_length &&
           memcmp(cell->data, format->null_text, cell->length) == 0;
}

/* Resolve null texts, \N and escapes of all cells. */
static aero_status resolve_escapes(aero_ingest *ingest, uint32_t count, ae_line_error *error)
{
    for (uint32_t i = 0; i < count; i++) {
        aero_span *const cell = &ingest->cells[i];
        if (cell->data == NULL || cell->length == 0 ||
            memchr(cell->data, '\\', cell->length) == NULL)
            continue;
        if (cell->length == 2 && memcmp(cell->data, "\\N", 2) == 0) {
            *cell = (aero_span){NULL, 0};
            continue;
        }
        char *const copy = ae_scratch_take(&ingest->scratch, cell->length);
        if (copy == NULL)
            return fail(error, AERO_NO_MEMORY, i, "no memory");
        const char *const end = unescape(cell->data, cell->data + cell->length, copy);
        AE_ASSERT(end == NULL || (size_t)(end - copy) < cell->length);
        if (end == NULL)
            return fail(error, AERO_PARSE, i, "invalid escape");
        cell->length = (size_t)(end - copy);
        cell->data = cell->length == 0 ? explicit_empty : copy;
    }
    return AERO_OK;
}

/* Hexadecimal digits of the BYTES columns to bytes. */
static aero_status decode_bytes(aero_ingest *ingest, uint32_t count, ae_line_error *error)
{
    for (uint32_t i = 0; i < ingest->bytes_count; i++) {
        const uint32_t position = ingest->bytes_cells[i];
        AE_ASSERT(position < ingest->format.column_count);
        if (position >= count)
            break;
        aero_span *const cell = &ingest->cells[position];
        if (cell->data == NULL || cell->length == 0)
            continue;
        char *const bytes = ae_scratch_take(&ingest->scratch, cell->length / 2);
        if (bytes == NULL)
            return fail(error, AERO_NO_MEMORY, position, "no memory");
        if (!ae_hex_decode(cell->data, cell->length, bytes))
            return fail(error, AERO_TYPE, position, "invalid hexadecimal");
        *cell = (aero_span){bytes, cell->length / 2};
    }
    return AERO_OK;
}

static bool holds_text(const aero_column *column)
{
    return column->kind == AERO_KIND_TEXT || column->kind == AERO_KIND_FIXED ||
           column->kind == AERO_KIND_BYTES;
}

/* Convert one cell by its column's descriptor. */
static aero_status decode_cell(aero_ingest *ingest, uint32_t i, void *row, ae_line_error *error)
{
    AE_ASSERT(i < ingest->format.column_count);
    const aero_column *const column = &ingest->table->columns[ingest->format.columns[i]];
    const aero_span *const cell = &ingest->cells[i];
    const bool nullable = (column->flags & AERO_COLUMN_NULLABLE) != 0;
    /* With a null text of its own, an input can have empty texts without saying \e. */
    const bool empty = cell->length == 0 && cell->data != NULL && cell->data != explicit_empty &&
                       (ingest->format.null_text == NULL || !holds_text(column));
    aero_value in = {.type = AERO_TYPE_NULL};
    if (empty && !nullable && !holds_text(column))
        return fail(error, AERO_NULL_VALUE, i, "empty cell in a column that is not nullable");
    if (cell->data != NULL && !(empty && nullable)) {
        in.type = column->kind == AERO_KIND_BYTES ? AERO_TYPE_BYTES : AERO_TYPE_TEXT;
        in.length = (uint32_t)cell->length; /* a line is shorter than 4 GiB */
        in.u.data = cell->data;
    }
    char scratch[AE_TEXT_MAX]; /* enough: only addresses are converted into it, BYTES are bytes */
    aero_value out;
    const char *reason = "";
    const aero_status status = ae_convert_value(column, &in, scratch, &out, &reason);
    if (status != AERO_OK)
        return fail(error, status, i, reason);
    column->set(row, &out);
    return AERO_OK;
}

static aero_status decode_generic(aero_ingest *ingest, uint32_t count, void *row,
                                  ae_line_error *error)
{
    AE_ASSERT(count <= ingest->format.column_count);
    const ae_ingest_format *const format = &ingest->format;
    ingest->table->clear(row);
    for (uint32_t i = 0; i < count; i++) {
        const aero_status status = decode_cell(ingest, i, row, error);
        if (status != AERO_OK)
            return status;
    }
    for (uint32_t i = count; i < format->column_count; i++) {
        const uint8_t flags = ingest->table->columns[format->columns[i]].flags;
        if ((flags & (AERO_COLUMN_NULLABLE | AERO_COLUMN_DEFAULT)) == 0)
            return fail(error, AERO_PARSE, i, "missing column");
    }
    return AERO_OK;
}

/* By the generated decoder; explicit empty texts afterwards, since it cannot tell them from
 * NULL. */
static aero_status decode_direct(aero_ingest *ingest, uint32_t count, bool has_escape, void *row,
                                 ae_line_error *error)
{
    AE_ASSERT(count <= ingest->table->column_count);
    aero_cell_error wrong = {.code = AERO_OK};
    const aero_status status = ingest->table->decode_tsv(ingest->cells, count, row, &wrong);
    AE_ASSERT(status == AERO_OK || wrong.reason != NULL);
    if (status != AERO_OK)
        return fail(error, status, wrong.cell, wrong.reason);
    for (uint32_t i = 0; has_escape && i < count; i++) {
        if (ingest->cells[i].data != explicit_empty)
            continue;
        const aero_status set = decode_cell(ingest, i, row, error);
        if (set != AERO_OK)
            return set;
    }
    return AERO_OK;
}

aero_status aei_decode_line(aero_ingest *ingest, uint32_t count, bool has_escape, void *row,
                            ae_line_error *error)
{
    if (count > ingest->format.column_count)
        return fail(error, AERO_PARSE, ingest->format.column_count, "unexpected extra columns");
    if (ingest->format.null_text != NULL) {
        for (uint32_t i = 0; i < count; i++) {
            if (is_null_text(&ingest->format, &ingest->cells[i]))
                ingest->cells[i] = (aero_span){NULL, 0};
        }
    }
    if (has_escape) {
        const aero_status status = resolve_escapes(ingest, count, error);
        if (status != AERO_OK)
            return status;
    }
    if (ingest->bytes_count > 0) {
        const aero_status status = decode_bytes(ingest, count, error);
        if (status != AERO_OK)
            return status;
    }
    if (ingest->format.generic)
        return decode_generic(ingest, count, row, error);
    return decode_direct(ingest, count, has_escape, row, error);
}
