/* api_watch.c — the exported functions on watches: a query's conditions, a cursor for the snapshot,
 * and the feed of changes after it, as one stream of events.
 */
#include <stdlib.h>
#include <string.h>

#include "query/cursor.h"
#include "query/match.h"
#include "row/convert.h"
#include "txn/handles.h"
#include "watch/notify.h"
#include "watch/watch.h"

#define WAIT_MOST_US ((int64_t)1000000 * 86400 * 365)

struct aero_watch {
    ae_session_child child;
    aero_session *session; /* NULL once it closed */
    aero_query *query;
    ae_matcher *matcher;
    ae_watch *feed;
    aero_cursor *cursor; /* of the snapshot while it is told */
    ae_notify *notify;   /* NULL until a descriptor was asked for */
    const aero_table *of;
    char *scratch; /* text of values whose text is made when they are read */
    uint32_t scratch_count;
};

/* Let go of all but the handle. */
static void let_go(aero_watch *watch)
{
    if (watch->session == NULL)
        return;
    const bool own = ae_watch_check(watch->feed) == AERO_OK;
    if (watch->cursor != NULL)
        ae_cursor_close(watch->cursor);
    if (watch->notify != NULL && own)
        ae_notify_free(watch->notify);
    else if (watch->notify != NULL)
        ae_notify_forget(watch->notify);
    ae_watch_close(watch->feed);
    ae_matcher_free(watch->matcher);
    ae_session_disown(&watch->child);
    free(watch->scratch);
    watch->cursor = NULL;
    watch->notify = NULL;
    watch->session = NULL;
}

static void session_closes(ae_session_child *child)
{
    let_go((aero_watch *)(void *)((char *)child - offsetof(aero_watch, child)));
}

static aero_status enter(const aero_watch *watch)
{
    if (watch == NULL)
        return AERO_USAGE;
    if (watch->session == NULL)
        return AERO_STALE;
    const aero_status status = ae_session_enter(watch->session);
    return status != AERO_OK ? status : ae_watch_check(watch->feed);
}

/* A cursor on the query, whose snapshot the feed goes on from. */
static aero_status snapshot_open(aero_query *query, aero_cursor **cursor, uint64_t *snapshot)
{
    const aero_status status = ae_cursor_open(query, cursor);
    if (status == AERO_OK)
        *snapshot = ae_cursor_snapshot(*cursor);
    return status;
}

static aero_status feed_open(aero_watch *watch, aero_session *session, int32_t start,
                             uint64_t position)
{
    const uint32_t table = ae_query_table(watch->query);
    uint64_t snapshot = 0;
    if (start == AERO_WATCH_POSITION)
        return ae_watch_resume(session, table, ae_matcher_match, watch->matcher, position,
                               &watch->feed);
    aero_status status = AERO_OK;
    if (start == AERO_WATCH_SNAPSHOT)
        status = snapshot_open(watch->query, &watch->cursor, &snapshot);
    if (status == AERO_OK)
        status = ae_watch_open(session, table, ae_matcher_match, watch->matcher, snapshot,
                               &watch->feed);
    if (status != AERO_OK && watch->cursor != NULL)
        ae_cursor_close(watch->cursor);
    return status;
}

static aero_status watch_open(aero_session *session, aero_query *query, int32_t start,
                              uint64_t position, aero_watch *watch)
{
    watch->query = query;
    watch->of = ae_session_table(session, ae_query_table(query));
    for (uint32_t column = 0; column < watch->of->column_count; column++)
        watch->scratch_count += ae_is_presented(watch->of->columns[column].kind);
    if (watch->scratch_count > 0 &&
        (watch->scratch = malloc((size_t)watch->scratch_count * AE_TEXT_MAX)) == NULL)
        return ae_fail(&session->error, AERO_NO_MEMORY, "no memory for a watch");
    aero_status status = ae_matcher_new(query, &watch->matcher);
    if (status != AERO_OK)
        return status;
    status = feed_open(watch, session, start, position);
    if (status != AERO_OK)
        ae_matcher_free(watch->matcher);
    return status;
}

aero_status aero_watch_open(aero_query *query, int32_t start, uint64_t position, aero_watch **watch)
{
    if (watch != NULL)
        *watch = NULL;
    aero_session *session = query == NULL ? NULL : ae_query_session(query);
    if (session == NULL)
        return query == NULL ? AERO_USAGE : AERO_STALE;
    aero_status status = ae_session_enter(session);
    if (status != AERO_OK)
        return status;
    if (watch == NULL || start < AERO_WATCH_NOW || start > AERO_WATCH_POSITION)
        return ae_fail(&session->error, AERO_USAGE,
                       "a watch starts now, at a snapshot or at a "
                       "position, and needs a place for its handle");
    if (session->txn.open)
        return ae_fail(&session->error, AERO_USAGE, "a watch cannot begin inside a transaction");
    aero_watch *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL)
        return ae_fail(&session->error, AERO_NO_MEMORY, "no memory for a watch");
    status = watch_open(session, query, start, position, fresh);
    if (status != AERO_OK) {
        free(fresh->scratch);
        free(fresh);
        return status;
    }
    fresh->session = session;
    fresh->child.close = session_closes;
    ae_session_adopt(session, &fresh->child);
    *watch = fresh;
    return AERO_OK;
}

void aero_watch_close(aero_watch *watch)
{
    if (watch == NULL)
        return;
    let_go(watch);
    free(watch);
}

/* The next row of the snapshot; at its end, LIVE. */
static aero_status snapshot_next(aero_watch *watch, aero_event *event)
{
    aero_status status = ae_cursor_check(watch->cursor);
    const aero_row *row = status == AERO_OK ? ae_cursor_next(watch->cursor) : NULL;
    if (status != AERO_OK)
        return status;
    event->position = event->number = ae_watch_position(watch->feed);
    event->last = row == NULL;
    event->kind = row == NULL ? AERO_EVENT_LIVE : AERO_EVENT_SNAPSHOT;
    if (row != NULL)
        return ae_watch_image(watch->feed, ae_row_image(row), &event->new_row);
    ae_cursor_close(watch->cursor);
    watch->cursor = NULL;
    return AERO_OK;
}

aero_status aero_watch_next(aero_watch *watch, aero_event *event)
{
    aero_status status = enter(watch);
    if (status != AERO_OK)
        return status;
    if (event == NULL)
        return ae_fail(&watch->session->error, AERO_USAGE, "the place for the event is missing");
    memset(event, 0, sizeof *event);
    if (watch->cursor != NULL)
        return snapshot_next(watch, event);
    ae_watch_event next;
    status = ae_watch_next(watch->feed, &next);
    if (status != AERO_OK)
        return status;
    event->kind = next.kind;
    event->last = next.last;
    event->number = next.number;
    event->position = ae_watch_position(watch->feed);
    event->old_row = next.old_row;
    event->new_row = next.new_row;
    if (next.kind == AERO_EVENT_UPDATE)
        (void)watch->of->dirty(next.old_row, NULL, next.new_row, NULL, event->changed);
    if (next.kind == AERO_EVENT_NONE && watch->notify != NULL)
        ae_notify_arm(watch->notify, event->position);
    return AERO_OK;
}

aero_status aero_watch_wait(aero_watch *watch, int64_t timeout_us, int32_t *ready)
{
    const aero_status status = enter(watch);
    if (status != AERO_OK)
        return status;
    if (ready == NULL || timeout_us < 0)
        return ae_fail(&watch->session->error, AERO_USAGE,
                       "the time to wait is negative, or the place for the answer is missing");
    const int64_t most = timeout_us < WAIT_MOST_US ? timeout_us : WAIT_MOST_US;
    *ready = watch->cursor != NULL || ae_watch_wait(watch->feed, (uint64_t)most * 1000u);
    return AERO_OK;
}

aero_status aero_watch_values(aero_watch *watch, const void *image, uint32_t count,
                              const uint32_t *columns, aero_value *values)
{
    const aero_status status = enter(watch);
    if (status != AERO_OK)
        return status;
    if (image == NULL || columns == NULL || values == NULL)
        return ae_fail(&watch->session->error, AERO_USAGE, "the image or an array is missing");
    uint32_t used = 0;
    for (uint32_t index = 0; index < count; index++) {
        if (columns[index] >= watch->of->column_count)
            return ae_fail(&watch->session->error, AERO_NAME, "%s has no column number %u",
                           watch->of->name, columns[index]);
        const aero_column *column = &watch->of->columns[columns[index]];
        aero_value raw;
        column->get(image, NULL, &raw);
        values[index] = raw;
        if (!ae_is_presented(column->kind))
            continue;
        if (used == watch->scratch_count)
            return ae_fail(&watch->session->error, AERO_USAGE, "a column is asked for twice");
        ae_present(column, &raw, watch->scratch + (size_t)used++ * AE_TEXT_MAX, &values[index]);
    }
    return AERO_OK;
}

aero_status aero_watch_resync(aero_watch *watch)
{
    aero_status status = enter(watch);
    uint64_t snapshot = 0;
    if (status != AERO_OK)
        return status;
    if (watch->session->txn.open)
        return ae_fail(&watch->session->error, AERO_USAGE,
                       "a watch cannot begin inside a transaction");
    aero_cursor *cursor = NULL;
    status = snapshot_open(watch->query, &cursor, &snapshot);
    if (status != AERO_OK)
        return status;
    if (watch->cursor != NULL)
        ae_cursor_close(watch->cursor);
    watch->cursor = cursor;
    ae_watch_rebase(watch->feed, snapshot);
    return AERO_OK;
}

aero_status aero_watch_descriptor(aero_watch *watch, int32_t *descriptor)
{
    aero_status status = enter(watch);
    if (status != AERO_OK)
        return status;
    if (descriptor == NULL)
        return ae_fail(&watch->session->error, AERO_USAGE,
                       "the place for the descriptor is missing");
    if (watch->notify == NULL) {
        status = ae_notify_new(&watch->session->db->proc, &watch->notify, &watch->session->error);
        if (status != AERO_OK)
            return status;
    }
    *descriptor = ae_notify_descriptor(watch->notify);
    /* Readable at once: what is there already is read before it is armed. */
    ae_notify_poke(watch->notify);
    return AERO_OK;
}
