/* cursor.c — open, step, close.
 *
 * Unsorted, rows stream: a batch of candidates is filtered, then given one by one, and the next
 * batch is read when it is used up; a limit stops the reading.  Sorted, all candidates pass when
 * the cursor opens, and entries stay.
 *
 * Invariants: I1 views are used only while the reader is open: it keeps their versions alive.  So
 *                the reader is closed not with the last row, but by the call after it.
 *             I2 a cursor counts in query->cursors from open until it is let go.
 */
#include "query/cursor.h"

#include <stdlib.h>
#include <string.h>

#include "query/cursor_private.h"
#include "row/convert.h"

/* Give back all but the handle. */
static void let_go(aero_cursor *cursor)
{
    if (cursor->query == NULL)
        return;
    aei_cursor_stop(cursor);
    aei_order_close(&cursor->order);
    aei_buffers_free(cursor);
    free(cursor->held);
    free(cursor->slots);
    free(cursor->row.scratch);
    cursor->held = NULL;
    cursor->held_at = cursor->held_count = 0;
    cursor->slots = NULL;
    cursor->row.scratch = NULL;
    cursor->left = 0;
    cursor->query->cursors--;
    aei_query_release(cursor->query);
    cursor->query = NULL;
}

static void session_closes(ae_session_child *child)
{
    aero_cursor *cursor = (aero_cursor *)(void *)((char *)child - offsetof(aero_cursor, child));
    ae_session_disown(child);
    let_go(cursor);
    cursor->session = NULL;
}

/* Room for the texts of columns whose text is not in the row. */
static aero_status prepare_row(aero_cursor *cursor, aero_error *error)
{
    const aero_table *table = cursor->query->table;
    uint32_t count = 0;
    cursor->row.table = table;
    for (uint32_t i = 0; i < table->column_count; i++)
        count += ae_is_presented(table->columns[i].kind);
    if (count == 0)
        return AERO_OK;
    cursor->slots = aei_array_resize(NULL, table->column_count, sizeof *cursor->slots, error);
    cursor->row.scratch = aei_array_resize(NULL, count, AE_TEXT_MAX, error);
    if (cursor->slots == NULL || cursor->row.scratch == NULL)
        return AERO_NO_MEMORY;
    count = 0;
    for (uint32_t i = 0; i < table->column_count; i++)
        cursor->slots[i] = ae_is_presented(table->columns[i].kind) ? count++ : 0;
    cursor->row.slots = cursor->slots;
    return AERO_OK;
}

static aero_status sort_all(aero_cursor *cursor, aero_error *error)
{
    const aero_query *query = cursor->query;
    aero_status status = AERO_OK;
    aei_order_open(&cursor->order, query->table, query->sorts, query->sort_count,
                   aei_rows_wanted(query));
    while (status == AERO_OK && aei_stream_next(&cursor->stream))
        status = aei_order_add(&cursor->order, cursor->stream.views, cursor->stream.selection,
                               cursor->stream.count, error);
    if (status == AERO_OK)
        status = aei_order_finish(&cursor->order, error);
    cursor->stream.count = cursor->stream.at = 0;
    return status;
}

static aero_status start(aero_cursor *cursor, aero_error *error)
{
    aero_query *query = cursor->query;
    aei_plan *plan;
    aero_status status = aei_plan_get(query, &plan, error);
    if (status == AERO_OK)
        status = prepare_row(cursor, error);
    if (status != AERO_OK || query->limit == 0)
        return status;
    status = ae_reader_open(query->session, true, &cursor->reader);
    if (status != AERO_OK)
        return status;
    cursor->reading = true;
    cursor->sorted = query->sort_count > 0;
    cursor->skip = (uint64_t)query->offset;
    cursor->left = query->limit < 0 ? UINT64_MAX : (uint64_t)query->limit;
    aei_source_open(&cursor->stream.source, query, plan, &cursor->reader);
    return cursor->sorted ? sort_all(cursor, error) : AERO_OK;
}

aero_status ae_cursor_open(aero_query *query, aero_cursor **cursor)
{
    aero_error *error = ae_session_error_buffer(query->session);
    *cursor = NULL;
    aero_cursor *fresh = malloc(sizeof *fresh);
    if (fresh == NULL)
        return ae_fail(error, AERO_NO_MEMORY, "no memory for a cursor");
    /* The batch at the end needs no clearing. */
    memset(fresh, 0, offsetof(aero_cursor, stream));
    fresh->stream.count = fresh->stream.at = 0;
    fresh->stream.source.seen = 0;
    fresh->query = query;
    query->cursors++;
    aei_query_hold(query);
    const aero_status status = start(fresh, error);
    if (status != AERO_OK) {
        let_go(fresh);
        free(fresh);
        return status;
    }
    fresh->session = query->session;
    fresh->child.close = session_closes;
    ae_session_adopt(query->session, &fresh->child);
    *cursor = fresh;
    return AERO_OK;
}

void ae_cursor_close(aero_cursor *cursor)
{
    if (cursor->session != NULL)
        ae_session_disown(&cursor->child);
    let_go(cursor);
    free(cursor);
}

aero_session *ae_cursor_session(const aero_cursor *cursor)
{
    return cursor->session;
}

void ae_cursor_rest(aero_cursor *cursor)
{
    if (cursor->reading)
        ae_reader_rest(&cursor->reader);
}

aero_status ae_cursor_check(aero_cursor *cursor)
{
    return cursor->reading ? ae_reader_check(&cursor->reader) : AERO_OK;
}

uint64_t ae_cursor_rows(const aero_cursor *cursor)
{
    return cursor->rows;
}

uint64_t ae_cursor_snapshot(const aero_cursor *cursor)
{
    return cursor->reader.snapshot;
}

const void *ae_row_image(const aero_row *row)
{
    return row->view.row;
}

/* Load rows that may be given; false at the end. */
static bool refill(aero_cursor *cursor)
{
    aei_stream *stream = &cursor->stream;
    if (cursor->left == 0 || !cursor->reading)
        return false;
    while (stream->at >= stream->count) {
        if (!aei_stream_next(stream))
            return false;
        const uint64_t skipped = cursor->skip < stream->count ? cursor->skip : stream->count;
        stream->at = (size_t)skipped;
        cursor->skip -= skipped;
    }
    return true;
}

static size_t take_streamed(aero_cursor *cursor, ae_view *views, size_t max)
{
    aei_stream *stream = &cursor->stream;
    size_t count = 0;
    while (count < max && (stream->at < stream->count || refill(cursor)) && cursor->left > 0) {
        views[count++] = stream->views[stream->selection[stream->at++]];
        cursor->left--;
    }
    return count;
}

static size_t take_sorted(aero_cursor *cursor, ae_view *views, size_t max)
{
    const aei_order *order = &cursor->order;
    size_t count = 0;
    if (cursor->skip > 0) {
        cursor->order_at = cursor->skip < order->count ? (size_t)cursor->skip : order->count;
        cursor->skip = 0;
    }
    while (count < max && cursor->order_at < order->count && cursor->left > 0) {
        const aei_entry *entry = aei_order_at(order, cursor->order_at++);
        if (cursor->order_at + 8 < order->count) /* rows lie anywhere: fetch ahead */
            __builtin_prefetch(aei_order_at(order, cursor->order_at + 8)->row);
        views[count++] = (ae_view){.row = entry->row, .base = entry->base};
        cursor->left--;
    }
    return count;
}

size_t aei_cursor_read(aero_cursor *cursor, ae_view *views, size_t max)
{
    return cursor->sorted ? take_sorted(cursor, views, max) : take_streamed(cursor, views, max);
}

void aei_cursor_stop(aero_cursor *cursor)
{
    if (cursor->reading)
        ae_reader_close(&cursor->reader);
    cursor->reading = false;
}

size_t aei_cursor_take(aero_cursor *cursor, ae_view *views, size_t max)
{
    size_t count = 0;
    while (count < max && cursor->held_at < cursor->held_count)
        views[count++] = cursor->held[cursor->held_at++];
    if (count < max)
        count += aei_cursor_read(cursor, views + count, max - count);
    if (count == 0)
        aei_cursor_stop(cursor); /* keeps I1: the rows given last are forgotten now */
    return count;
}

const aero_row *ae_cursor_next(aero_cursor *cursor)
{
    aei_stream *stream = &cursor->stream;
    if (!cursor->sorted && stream->at < stream->count && cursor->left > 0 &&
        cursor->held_at == cursor->held_count) {
        cursor->row.view = stream->views[stream->selection[stream->at++]];
        cursor->left--;
    } else if (aei_cursor_take(cursor, &cursor->row.view, 1) == 0) {
        return NULL;
    }
    cursor->rows++;
    return &cursor->row;
}

void ae_row_values(const aero_row *row, uint32_t count, const uint32_t *columns, aero_value *values)
{
    const aero_table *table = row->table;
    for (uint32_t i = 0; i < count; i++) {
        if (columns[i] >= table->column_count) {
            values[i] = (aero_value){.type = AERO_TYPE_NULL};
            continue;
        }
        const aero_column *column = &table->columns[columns[i]];
        column->get(row->view.row, row->view.base, &values[i]);
        if (ae_is_presented(column->kind)) {
            const aero_value raw = values[i];
            ae_present(column, &raw, row->scratch + (size_t)row->slots[columns[i]] * AE_TEXT_MAX,
                       &values[i]);
        }
    }
}
