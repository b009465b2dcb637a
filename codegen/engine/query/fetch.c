/* fetch.c — many rows by column: what a caller in another language reads with one call.
 *
 * Rows are taken first; then each column is one loop over them.  Texts of a column are laid one
 * after another with a NUL behind each; when they would exceed AEI_FETCH_TEXT_MAX, fewer rows are
 * given and the rest is held for the next call.
 *
 * Invariants: I1 arrays are as long as the rows given, and live in the cursor's buffers.
 *             I2 no row is lost: rows taken but not given stay in cursor->held.
 */
#include <stdlib.h>
#include <string.h>

#include "query/cursor_private.h"
#include "query/row_inline.h"
#include "row/convert.h"

/* Columns of one fetch; a table has 1,024 at most, and asking for each four times is odd enough. */
#define FETCH_COLUMNS_MAX 4096u
/* Room behind the text for copying short cells as a whole. */
#define TEXT_SLACK 16u

/* ---- numbers -------------------------------------------------------------------------------- */

/* One loop a kind: the value or 0, and 1 for a NULL. */
#define FETCH_LOOP(type, out_type, convert) \
    do { \
        out_type *out = buffer->numbers; \
        for (size_t i = 0; i < count; i++) { \
            const char *row = views[i].row; \
            type value; \
            memcpy(&value, row + column->offset, sizeof value); \
            const bool null = aei_row_null(row, null_at, null_mask); \
            out[i] = null ? 0 : (out_type)convert(value); \
            buffer->nulls[i] = null; \
            nulls += null; \
        } \
    } while (0)

#define SAME(value) (value)
#define WHOLE_FETCH(kind, type, is_signed) \
    case AERO_KIND_##kind: \
        FETCH_LOOP(type, int64_t, SAME); \
        break;
#define REAL_FETCH(kind, type) \
    case AERO_KIND_##kind: \
        FETCH_LOOP(type, double, SAME); \
        break;

/* Whole numbers into int64_t (unsigned ones above its range as two's complement), reals into
 * double.  Returns how many are NULL. */
static int32_t fill_numbers(const aero_column *column, const ae_view *views, size_t count,
                            aei_buffer *buffer)
{
    uint32_t null_at;
    uint32_t null_mask;
    int32_t nulls = 0;
    aei_row_null_place(column, &null_at, &null_mask);
    switch (column->kind) {
        AEI_WHOLE_KINDS(WHOLE_FETCH)
        AEI_REAL_KINDS(REAL_FETCH)
    default:
        break;
    }
    return nulls;
}

static int32_t number_type(uint8_t kind)
{
    if (aei_kind_is_real(kind))
        return AERO_TYPE_DOUBLE;
    if (kind == AERO_KIND_BOOL)
        return AERO_TYPE_BOOL;
    if (kind == AERO_KIND_TIMESTAMP)
        return AERO_TYPE_TIME;
    return kind >= AERO_KIND_UINT8 && kind <= AERO_KIND_UINT64 ? AERO_TYPE_UINT : AERO_TYPE_INT;
}

/* Kinds that are given as numbers; CHAR and INET are whole numbers but given as text. */
static bool is_given_as_number(uint8_t kind)
{
    return kind <= AERO_KIND_TIMESTAMP;
}

/* ---- texts ---------------------------------------------------------------------------------- */

static bool is_cell(const aero_column *column)
{
    return column->kind == AERO_KIND_TEXT || column->kind == AERO_KIND_BYTES;
}

/* Longest text of a column that is no cell. */
static size_t text_bound(const aero_column *column)
{
    return column->kind == AERO_KIND_FIXED ? column->size : AE_TEXT_MAX;
}

static size_t cell_length(const aero_column *column, const ae_view *view, uint32_t null_at,
                          uint32_t null_mask)
{
    const char *row = view->row;
    const aero_cell *cell = (const aero_cell *)(const void *)(row + column->offset);
    return aei_row_null(row, null_at, null_mask) ? 0 : cell->length;
}

/* How many of the rows' texts, with their NULs, fit AEI_FETCH_TEXT_MAX: at least one.  *bytes is
 * what they take at most. */
static size_t fit_texts(const aero_column *column, const ae_view *views, size_t count,
                        size_t *bytes)
{
    size_t fitting = 0;
    *bytes = 0;
    if (!is_cell(column)) {
        const size_t each = text_bound(column) + 1;
        const size_t most = AEI_FETCH_TEXT_MAX / each;
        fitting = count < most ? count : most;
        *bytes = fitting * each;
        return fitting;
    }
    uint32_t null_at;
    uint32_t null_mask;
    aei_row_null_place(column, &null_at, &null_mask);
    for (; fitting < count; fitting++) {
        const size_t length = cell_length(column, &views[fitting], null_at, null_mask) + 1;
        if (fitting > 0 && *bytes + length > AEI_FETCH_TEXT_MAX)
            break;
        *bytes += length;
    }
    return fitting;
}

/* Append the text of a cell and a NUL. */
static inline char *put_cell(char *out, const aero_cell *cell, const char *base)
{
    if (cell->length <= AERO_CELL_INLINE)
        memcpy(out, cell->prefix, AERO_CELL_INLINE); /* the slack allows copying all twelve */
    else
        memcpy(out, ae_cell_data(cell, base), cell->length);
    out += cell->length;
    *out = '\0';
    return out + 1;
}

static char *put_value(char *out, const aero_column *column, const ae_view *view)
{
    char scratch[AE_TEXT_MAX];
    aero_value raw;
    aero_value shown;
    column->get(view->row, view->base, &raw);
    ae_present(column, &raw, scratch, &shown);
    if (shown.type == AERO_TYPE_TEXT && shown.length > 0) {
        memcpy(out, shown.u.data, shown.length);
        out += shown.length;
    }
    *out = '\0';
    return out + 1;
}

static int32_t fill_texts(const aero_column *column, const ae_view *views, size_t count,
                          aei_buffer *buffer)
{
    const bool cells = is_cell(column);
    uint32_t null_at;
    uint32_t null_mask;
    int32_t nulls = 0;
    char *out = buffer->text;
    aei_row_null_place(column, &null_at, &null_mask);
    for (size_t i = 0; i < count; i++) {
        const char *row = views[i].row;
        const bool null = aei_row_null(row, null_at, null_mask);
        buffer->offsets[i] = (uint32_t)(out - buffer->text);
        buffer->nulls[i] = null;
        nulls += null;
        if (null)
            *out++ = '\0';
        else if (cells)
            out = put_cell(out, (const aero_cell *)(const void *)(row + column->offset),
                           views[i].base);
        else
            out = put_value(out, column, &views[i]);
    }
    buffer->offsets[count] = (uint32_t)(out - buffer->text);
    return nulls;
}

/* Every row adds one NUL; more of them lie inside values. */
static bool has_inner_nul(const char *text, size_t length, size_t rows)
{
    size_t zeros = 0;
    for (size_t i = 0; i < length; i++)
        zeros += text[i] == '\0';
    AE_ASSERT(zeros >= rows);
    return zeros > rows;
}

/* ---- buffers -------------------------------------------------------------------------------- */

/* Make an array at least `wanted` items long; what it held is gone. */
static aero_status reserve(void **array, size_t *room, size_t wanted, size_t size,
                           aero_error *error)
{
    if (wanted <= *room)
        return AERO_OK;
    free(*array);
    *room = 0;
    *array = aei_array_resize(NULL, wanted, size, error);
    if (*array == NULL)
        return AERO_NO_MEMORY;
    AE_ASSERT(size > 0 && *array != NULL);
    *room = wanted;
    return AERO_OK;
}

static aero_status reserve_column(aei_buffer *buffer, const aero_column *column, size_t rows,
                                  size_t text_bytes, aero_error *error)
{
    void *nulls = buffer->nulls;
    aero_status status = reserve(&nulls, &buffer->null_room, rows, 1, error);
    buffer->nulls = nulls;
    if (status != AERO_OK)
        return status;
    if (is_given_as_number(column->kind)) {
        _Static_assert(sizeof(int64_t) == sizeof(double), "one array serves both");
        return reserve(&buffer->numbers, &buffer->number_room, rows, sizeof(int64_t), error);
    }
    void *offsets = buffer->offsets;
    status = reserve(&offsets, &buffer->offset_room, rows + 1, sizeof *buffer->offsets, error);
    buffer->offsets = offsets;
    if (status != AERO_OK)
        return status;
    void *text = buffer->text;
    status = reserve(&text, &buffer->text_room, text_bytes + TEXT_SLACK, 1, error);
    buffer->text = text;
    return status;
}

size_t aei_buffers_bytes(const aero_cursor *cursor)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < cursor->buffer_count; i++) {
        const aei_buffer *buffer = &cursor->buffers[i];
        bytes += sizeof *buffer + buffer->number_room * sizeof(int64_t) + buffer->null_room +
                 buffer->offset_room * sizeof *buffer->offsets + buffer->text_room;
    }
    return bytes;
}

void aei_buffers_free(aero_cursor *cursor)
{
    for (uint32_t i = 0; i < cursor->buffer_count; i++) {
        free(cursor->buffers[i].numbers);
        free(cursor->buffers[i].nulls);
        free(cursor->buffers[i].offsets);
        free(cursor->buffers[i].text);
    }
    free(cursor->buffers);
    cursor->buffers = NULL;
    cursor->buffer_count = 0;
}

static aero_status more_buffers(aero_cursor *cursor, uint32_t count, aero_error *error)
{
    if (count <= cursor->buffer_count)
        return AERO_OK;
    aei_buffer *fresh = aei_array_resize(cursor->buffers, count, sizeof *fresh, error);
    if (fresh == NULL)
        return AERO_NO_MEMORY;
    memset(fresh + cursor->buffer_count, 0, (count - cursor->buffer_count) * sizeof *fresh);
    AE_ASSERT(count <= FETCH_COLUMNS_MAX);
    cursor->buffers = fresh;
    cursor->buffer_count = count;
    return AERO_OK;
}

/* ---- the fetch ------------------------------------------------------------------------------ */

static aero_status check(const aero_cursor *cursor, uint32_t max_rows, uint32_t count,
                         const uint32_t *columns, aero_error *error)
{
    const aero_table *table = cursor->row.table;
    if (max_rows == 0 || max_rows > AEI_FETCH_MAX)
        return ae_fail(error, AERO_USAGE, "a fetch takes 1 to %u rows, not %u", AEI_FETCH_MAX,
                       max_rows);
    if (count > FETCH_COLUMNS_MAX)
        return ae_fail(error, AERO_LIMIT, "a fetch takes %u columns at most", FETCH_COLUMNS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        if (columns[i] >= table->column_count)
            return ae_fail(error, AERO_USAGE, "table %s has no column number %u", table->name,
                           columns[i]);
    }
    return AERO_OK;
}

/* Have `max_rows` rows in cursor->held, if there are as many. */
static aero_status hold_rows(aero_cursor *cursor, size_t max_rows, aero_error *error)
{
    AE_ASSERT(cursor->held_at <= cursor->held_count);
    if (cursor->held_at > 0) {
        cursor->held_count -= cursor->held_at;
        memmove(cursor->held, cursor->held + cursor->held_at,
                cursor->held_count * sizeof *cursor->held);
        cursor->held_at = 0;
    }
    if (max_rows > cursor->held_room) {
        ae_view *fresh = aei_array_resize(cursor->held, max_rows, sizeof *fresh, error);
        if (fresh == NULL)
            return AERO_NO_MEMORY;
        cursor->held = fresh;
        cursor->held_room = max_rows;
    }
    if (cursor->held_count < max_rows) {
        const size_t before = cursor->held_count;
        cursor->held_count += aei_cursor_read(cursor, cursor->held + before, max_rows - before);
    }
    AE_ASSERT(cursor->held_count <= cursor->held_room);
    if (cursor->held_count == 0)
        aei_cursor_stop(cursor);
    return cursor->held_count == 0 ? cursor->failed : AERO_OK;
}

static void fill_column(const aero_column *column, const ae_view *views, size_t rows,
                        aei_buffer *buffer, aero_column_data *data)
{
    AE_ASSERT(rows <= buffer->null_room || rows == 0);
    memset(data, 0, sizeof *data);
    if (is_given_as_number(column->kind)) {
        data->type = number_type(column->kind);
        data->null_count = fill_numbers(column, views, rows, buffer);
        data->integers = data->type == AERO_TYPE_DOUBLE ? NULL : buffer->numbers;
        data->reals = data->type == AERO_TYPE_DOUBLE ? buffer->numbers : NULL;
    } else {
        data->type = column->kind == AERO_KIND_BYTES ? AERO_TYPE_BYTES : AERO_TYPE_TEXT;
        data->null_count = fill_texts(column, views, rows, buffer);
        data->text = buffer->text;
        data->offsets = buffer->offsets;
        data->text_length = buffer->offsets[rows];
        data->has_nul = has_inner_nul(buffer->text, data->text_length, rows);
    }
    data->nulls = data->null_count > 0 ? buffer->nulls : NULL;
}

aero_status ae_cursor_fetch(aero_cursor *cursor, uint32_t max_rows, uint32_t count,
                            const uint32_t *columns, aero_column_data *data, uint32_t *rows)
{
    aero_error *error = ae_session_error_buffer(cursor->session);
    *rows = 0;
    aero_status status = check(cursor, max_rows, count, columns, error);
    if (status == AERO_OK)
        status = more_buffers(cursor, count, error);
    if (status == AERO_OK)
        status = hold_rows(cursor, max_rows, error);
    if (status != AERO_OK)
        return status;
    const aero_table *table = cursor->row.table;
    size_t given = cursor->held_count < max_rows ? cursor->held_count : max_rows;
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!is_given_as_number(table->columns[columns[i]].kind))
            given = fit_texts(&table->columns[columns[i]], cursor->held, given, &bytes);
    }
    for (uint32_t i = 0; i < count; i++) {
        const aero_column *column = &table->columns[columns[i]];
        if (!is_given_as_number(column->kind))
            (void)fit_texts(column, cursor->held, given, &bytes);
        status = reserve_column(&cursor->buffers[i], column, given, bytes, error);
        if (status != AERO_OK)
            return status; /* the rows are still held: keeps I2 */
        fill_column(column, cursor->held, given, &cursor->buffers[i], &data[i]);
    }
    AE_ASSERT(given <= cursor->held_count && given <= max_rows);
    cursor->held_at = given;
    cursor->rows += given;
    *rows = (uint32_t)given;
    return AERO_OK;
}
