/* cursor.c — open, step, close.
 *
 * Unsorted, or in the order of an index, rows stream: a batch of candidates is filtered, then given
 * one by one, and the next batch is read when it is used up; a limit stops reading.  Sorted, all
 * candidates pass when the cursor opens, and entries stay.  Between the two are rows that come in
 * groups (order.h of this module sorts one at a time): a group is complete when a row with other
 * words is met.
 *
 * Invariants: I1 views are used only while the reader is open: it keeps their versions alive.  So
 *                the reader is closed not with the last row, but by the call after it.
 *             I2 a cursor counts in query->cursors from open until it is let go.
 *             I3 a spare cursor is all zeros but for its arrays, which are its table's.
 */
#include "query/cursor.h"

#include <stdlib.h>
#include <string.h>

#include "query/cursor_private.h"
#include "row/convert.h"

/* What a closed cursor's arrays may take for it to be kept: a look-up's do, and a program may have
 * many prepared searches. */
#define SPARE_BYTES ((size_t)16 << 10)

static void free_arrays(aero_cursor *cursor)
{
    aei_buffers_free(cursor);
    free(cursor->held);
    free(cursor->slots);
    free(cursor->row.scratch);
    cursor->held = NULL;
    cursor->held_room = 0;
    cursor->slots = NULL;
    cursor->row.scratch = NULL;
}

/* Let go of the query, but keep the arrays. */
static void finish(aero_cursor *cursor)
{
    AE_ASSERT(cursor->query->cursors > 0);
    aei_cursor_stop(cursor);
    aei_order_close(&cursor->order);
    cursor->held_at = cursor->held_count = 0;
    cursor->left = 0;
    cursor->query->cursors--;
    aei_query_release(cursor->query);
    cursor->query = NULL;
}

/* Give back all but the handle. */
static void let_go(aero_cursor *cursor)
{
    if (cursor->query == NULL)
        return;
    finish(cursor);
    free_arrays(cursor);
}

/* ---- memory --------------------------------------------------------------------------------- */

void aei_cursor_discard(aero_cursor *spare)
{
    if (spare == NULL)
        return;
    free_arrays(spare);
    free(spare);
}

/* The memory of a cursor that was closed, with its arrays (keeps I3), or new; NULL: there is
 * none. */
static aero_cursor *cursor_take(aero_query *query)
{
    aero_cursor *cursor = query->spare;
    query->spare = NULL;
    if (cursor == NULL) {
        cursor = malloc(sizeof *cursor);
        if (cursor == NULL)
            return NULL;
        /* The batch at the end needs no clearing. */
        memset(cursor, 0, offsetof(aero_cursor, stream));
    }
    AE_ASSERT(query->spare == NULL && cursor->query == NULL);
    cursor->stream.count = cursor->stream.at = 0;
    cursor->stream.source.plan = NULL;
    cursor->stream.source.anchors = NULL;
    cursor->stream.source.seen = 0;
    return cursor;
}

/* Keep a closed cursor's memory with its query.  False: it is to be freed. */
static bool cursor_keep(aero_cursor *cursor)
{
    aero_query *query = cursor->query;
    if (query == NULL || query->freed || query->spare != NULL ||
        aei_buffers_bytes(cursor) + cursor->held_room * sizeof *cursor->held > SPARE_BYTES)
        return false;
    finish(cursor);
    uint32_t *slots = cursor->slots;
    char *scratch = cursor->row.scratch;
    ae_view *held = cursor->held;
    aei_buffer *buffers = cursor->buffers;
    const size_t held_room = cursor->held_room;
    const uint32_t buffer_count = cursor->buffer_count;
    memset(cursor, 0, offsetof(aero_cursor, stream));
    cursor->slots = slots;
    cursor->row.scratch = scratch;
    cursor->held = held;
    cursor->held_room = held_room;
    cursor->buffers = buffers;
    cursor->buffer_count = buffer_count;
    AE_ASSERT(query->spare == NULL && !query->freed);
    query->spare = cursor;
    return true;
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
    cursor->row.slots = cursor->slots;
    if (cursor->slots != NULL) /* from a cursor of the same query, so for the same table */
        return AERO_OK;
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
    AE_ASSERT(cursor->ordered && !cursor->grouped);
    aero_status status = AERO_OK;
    while (status == AERO_OK && aei_stream_next(&cursor->stream))
        status = aei_order_add(&cursor->order, cursor->stream.views, cursor->stream.selection,
                               cursor->stream.count, error);
    if (status == AERO_OK)
        status = cursor->stream.source.failed;
    if (status == AERO_OK)
        status = aei_order_finish(&cursor->order, error);
    cursor->stream.count = cursor->stream.at = 0;
    return status;
}

/* ---- groups --------------------------------------------------------------------------------- */

/* Have a row in the stream that is not taken; false at the end. */
static bool stream_ready(aei_stream *stream)
{
    return stream->at < stream->count || aei_stream_next(stream);
}

/* The words of the next row, and how many of them tell its group from others. */
static uint32_t group_words(const aero_cursor *cursor, const aei_access *access, uint64_t *words)
{
    AE_ASSERT(cursor->stream.at < cursor->stream.count);
    const aei_stream *stream = &cursor->stream;
    const ae_view *view = &stream->views[stream->selection[stream->at]];
    ae_index_words(cursor->query->table, &access->info, view->row, view->base, words);
    return aei_access_group(cursor->query->table, access, words);
}

/* Bring the next rows in order: one group that has to be sorted, or as many rows of the batch as
 * are in order already.  At the end there are none. */
static aero_status load_group(aero_cursor *cursor, aero_error *error)
{
    AE_ASSERT(cursor->grouped && cursor->reading);
    aei_stream *stream = &cursor->stream;
    uint64_t first[AE_INDEX_WORDS];
    uint64_t words[AE_INDEX_WORDS];
    aero_status status = AERO_OK;
    aei_order_clear(&cursor->order, cursor->skip > UINT64_MAX - cursor->left
                                        ? UINT64_MAX
                                        : cursor->skip + cursor->left);
    cursor->order_at = 0;
    if (!stream_ready(stream))
        return stream->source.failed;
    const aei_access *access = stream->source.plan->accesses;
    const uint32_t group = group_words(cursor, access, first);
    do {
        if (group_words(cursor, access, words) != group || memcmp(first, words, 8 * group) != 0)
            break;
        status = aei_order_add(&cursor->order, stream->views, &stream->selection[stream->at], 1,
                               error);
        stream->at++;
    } while (status == AERO_OK && (group > 0 ? stream_ready(stream) : stream->at < stream->count));
    if (status == AERO_OK)
        status = stream->source.failed;
    return status == AERO_OK && group > 0 ? aei_order_finish(&cursor->order, error) : status;
}

/* ---- opening -------------------------------------------------------------------------------- */

static aero_status start(aero_cursor *cursor, aero_error *error)
{
    AE_ASSERT(!cursor->reading && cursor->query->cursors > 0);
    aero_query *query = cursor->query;
    aero_status status = prepare_row(cursor, error);
    if (status != AERO_OK || query->limit == 0)
        return status;
    status = ae_reader_open(query->session, true, &cursor->reader);
    if (status != AERO_OK)
        return status;
    cursor->reading = true;
    cursor->skip = (uint64_t)query->offset;
    cursor->left = query->limit < 0 ? UINT64_MAX : (uint64_t)query->limit;
    status = aei_stream_open(&cursor->stream, query, &cursor->reader, false, error);
    if (status != AERO_OK)
        return status;
    const enum aei_sorting sorting = cursor->stream.source.plan->sorting;
    cursor->ordered = sorting != AEI_SORTING_NONE;
    cursor->grouped = sorting == AEI_SORTING_GROUP;
    if (cursor->ordered)
        aei_order_open(&cursor->order, query->table, query->sorts, query->sort_count,
                       aei_rows_wanted(query));
    return sorting == AEI_SORTING_ALL ? sort_all(cursor, error) : AERO_OK;
}

aero_status ae_cursor_open(aero_query *query, aero_cursor **cursor)
{
    aero_error *error = ae_session_error_buffer(query->session);
    *cursor = NULL;
    aero_cursor *fresh = cursor_take(query);
    if (fresh == NULL)
        return ae_fail(error, AERO_NO_MEMORY, "no memory for a cursor");
    fresh->query = query;
    query->cursors++;
    aei_query_hold(query);
    const aero_status status = start(fresh, error);
    if (status != AERO_OK) {
        let_go(fresh);
        free(fresh);
        return status;
    }
    AE_ASSERT(fresh->session == NULL);
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
    if (cursor_keep(cursor))
        return;
    let_go(cursor);
    free(cursor);
}

aero_session *ae_cursor_session(const aero_cursor *cursor)
{
    return cursor->session;
}

void ae_cursor_rest(aero_cursor *cursor)
{
    if (!cursor->reading)
        return;
    aei_source_rest(&cursor->stream.source);
    ae_reader_rest(&cursor->reader);
}

aero_status ae_cursor_check(aero_cursor *cursor)
{
    return cursor->reading ? ae_reader_check(&cursor->reader) : AERO_OK;
}

aero_status ae_cursor_status(const aero_cursor *cursor)
{
    return cursor->failed;
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
        if (!aei_stream_next(stream)) {
            cursor->failed = stream->source.failed;
            return false;
        }
        AE_ASSERT(stream->count > 0 && stream->count <= AEI_BATCH);
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
    AE_ASSERT(count <= max && stream->at <= stream->count);
    return count;
}

/* Have a row in the order that is not to be skipped; false at the end, or without memory for a
 * group: cursor->failed tells. */
static bool order_ready(aero_cursor *cursor)
{
    AE_ASSERT(cursor->order_at <= cursor->order.count);
    const aei_order *order = &cursor->order;
    for (;;) {
        if (cursor->skip > 0) {
            const size_t there = order->count - cursor->order_at;
            const size_t skipped = cursor->skip < there ? (size_t)cursor->skip : there;
            cursor->order_at += skipped;
            cursor->skip -= skipped;
        }
        if (cursor->order_at < order->count)
            return true;
        if (!cursor->grouped || !cursor->reading || cursor->failed != AERO_OK)
            return false;
        cursor->failed = load_group(cursor, ae_session_error_buffer(cursor->session));
        if (cursor->failed != AERO_OK || order->count == 0)
            return false;
    }
}

static size_t take_sorted(aero_cursor *cursor, ae_view *views, size_t max)
{
    const aei_order *order = &cursor->order;
    size_t count = 0;
    while (count < max && cursor->left > 0 && order_ready(cursor)) {
        const aei_entry *entry = aei_order_at(order, cursor->order_at++);
        if (cursor->order_at + 8 < order->count) /* rows lie anywhere: fetch ahead */
            __builtin_prefetch(aei_order_at(order, cursor->order_at + 8)->row);
        views[count++] = (ae_view){.row = entry->row, .base = entry->base};
        cursor->left--;
    }
    AE_ASSERT(count <= max);
    return count;
}

size_t aei_cursor_read(aero_cursor *cursor, ae_view *views, size_t max)
{
    return cursor->ordered ? take_sorted(cursor, views, max) : take_streamed(cursor, views, max);
}

void aei_cursor_stop(aero_cursor *cursor)
{
    if (cursor->reading) {
        aei_stream_close(&cursor->stream);
        ae_reader_close(&cursor->reader);
    }
    cursor->reading = false;
}

size_t aei_cursor_take(aero_cursor *cursor, ae_view *views, size_t max)
{
    AE_ASSERT(cursor->held_at <= cursor->held_count && cursor->held_count <= cursor->held_room);
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
    if (!cursor->ordered && stream->at < stream->count && cursor->left > 0 &&
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
