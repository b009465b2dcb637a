/* api_watch.c — the exported functions on watches: a query's conditions, a cursor for the snapshot,
 * and the feed of changes after it, as one stream of events.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "durable/history.h"
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
    /* While what memory no longer keeps is read from the log: commits up to `goal`, from where
     * `feed` goes on. */
    ae_history *history; /* NULL: not */
    ae_watch *past;      /* of its private memory */
    uint64_t goal;
    uint64_t number;   /* of the commit being told */
    ae_notify *notify; /* NULL until a descriptor or a hook was asked for */
    const aero_table *of;
    char *scratch; /* text of values whose text is made when they are read */
    uint32_t scratch_count;
};

static void past_close(aero_watch *watch)
{
    if (watch->past != NULL)
        ae_watch_close(watch->past);
    if (watch->history != NULL)
        ae_history_close(watch->history);
    watch->past = NULL;
    watch->history = NULL;
}

/* Let go of all but the handle. */
static void let_go(aero_watch *watch)
{
    if (watch->session == NULL)
        return;
    const bool own = ae_watch_check(watch->feed) == AERO_OK;
    if (own) /* a child of fork leaves it to its exit: the memory is a copy of the parent's */
        past_close(watch);
    if (watch->cursor != NULL)
        ae_cursor_close(watch->cursor);
    if (watch->notify != NULL && own)
        ae_notify_free(watch->notify);
    else if (watch->notify != NULL)
        ae_notify_forget(watch->notify);
    AE_ALWAYS(watch->feed != NULL && watch->matcher != NULL);
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

/* A cursor on the query, whose snapshot the feed goes on from.  In this order: what is committed
 * after the snapshot is kept by the feed's pin, which is older, and not by the snapshot. */
static aero_status snapshot_open(aero_query *query, ae_watch *feed, aero_cursor **cursor)
{
    aero_status status = ae_cursor_open(query, cursor);
    while (status == AERO_OK && !ae_watch_rebase(feed, ae_cursor_snapshot(*cursor))) {
        ae_cursor_close(*cursor);
        *cursor = NULL;
        (void)ae_watch_restart(feed);
        status = ae_cursor_open(query, cursor);
        if (status != AERO_OK)
            ae_watch_lose(feed);
    }
    return status;
}

/* Nobody keeps what came after the position in memory: it is read from the log, up to where the
 * feed, which is opened first, goes on. */
static aero_status past_open(aero_watch *watch, aero_session *session, uint64_t position)
{
    AE_ALWAYS(watch->history == NULL && watch->past == NULL);
    const uint32_t table = ae_query_table(watch->query);
    const aero_error not_kept = session->error;
    aero_status status = ae_watch_open(session, table, ae_matcher_match, watch->matcher,
                                       &watch->feed);
    if (status != AERO_OK)
        return status;
    watch->goal = ae_watch_position(watch->feed);
    if (position == watch->goal)
        return AERO_OK; /* nothing has been committed since */
    if (position > watch->goal) {
        session->error = not_kept;
        status = AERO_NOT_FOUND;
    } else {
        status = ae_history_open(session, table, position, &watch->history);
    }
    if (status == AERO_OK)
        status = ae_history_reach(watch->history, watch->goal);
    if (status == AERO_OK) {
        status = ae_watch_open(ae_history_session(watch->history), table, ae_matcher_match,
                               watch->matcher, &watch->past);
        if (status != AERO_OK)
            session->error = *aero_session_error(ae_history_session(watch->history));
    }
    if (status == AERO_OK) {
        ae_error_clear(&session->error);
        return AERO_OK;
    }
    past_close(watch);
    ae_watch_close(watch->feed);
    watch->feed = NULL;
    return status;
}

static aero_status feed_open(aero_watch *watch, aero_session *session, int32_t start,
                             uint64_t position)
{
    const uint32_t table = ae_query_table(watch->query);
    aero_status status = AERO_OK;
    if (start == AERO_WATCH_POSITION) {
        status = ae_watch_resume(session, table, ae_matcher_match, watch->matcher, position,
                                 &watch->feed);
        return status == AERO_NOT_FOUND ? past_open(watch, session, position) : status;
    }
    status = ae_watch_open(session, table, ae_matcher_match, watch->matcher, &watch->feed);
    if (status != AERO_OK || start != AERO_WATCH_SNAPSHOT)
        return status;
    status = snapshot_open(watch->query, watch->feed, &watch->cursor);
    if (status != AERO_OK)
        ae_watch_close(watch->feed);
    return status;
}

static aero_status watch_open(aero_session *session, aero_query *query, int32_t start,
                              uint64_t position, aero_watch *watch)
{
    AE_ALWAYS(watch->session == NULL && watch->feed == NULL);
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

/* ---- positions as texts --------------------------------------------------------------------- */

#define STORE_DIGITS 16u
#define NUMBER_DIGITS 20u
_Static_assert(AERO_POSITION_SIZE == STORE_DIGITS + 1 + NUMBER_DIGITS + 1, "a digit each");

/* Copies have their first bytes in common (wal/frame.h). */
static uint64_t store_of(const aero_session *session)
{
    uint64_t parts[2];
    memcpy(parts, session->db->segment.header->store_id, sizeof parts);
    return parts[0] ^ parts[1];
}

aero_status aero_watch_position_text(aero_watch *watch, uint64_t position, char *text, size_t size)
{
    const aero_status status = enter(watch);
    if (status != AERO_OK)
        return status;
    if (text == NULL || size < AERO_POSITION_SIZE)
        return ae_fail(&watch->session->error, AERO_USAGE, "a position's text takes %d bytes",
                       AERO_POSITION_SIZE);
    (void)snprintf(text, size, "%016llx-%020llu", (unsigned long long)store_of(watch->session),
                   (unsigned long long)position);
    return AERO_OK;
}

/* Digits of one base, all `count` of them.  False: another character, or too large a number. */
static bool digits_read(const char *text, uint32_t count, uint32_t base, uint64_t *number)
{
    static const char digits[] = "0123456789abcdef";
    *number = 0;
    for (uint32_t index = 0; index < count; index++) {
        const char *digit = text[index] != '\0' ? memchr(digits, text[index], base) : NULL;
        if (digit == NULL || __builtin_mul_overflow(*number, (uint64_t)base, number) ||
            __builtin_add_overflow(*number, (uint64_t)(digit - digits), number))
            return false;
    }
    return true;
}

aero_status aero_watch_open_at(aero_query *query, const char *position, aero_watch **watch)
{
    if (watch != NULL)
        *watch = NULL;
    aero_session *session = query == NULL ? NULL : ae_query_session(query);
    if (session == NULL)
        return query == NULL ? AERO_USAGE : AERO_STALE;
    const aero_status status = ae_session_enter(session);
    if (status != AERO_OK)
        return status;
    uint64_t store = 0;
    uint64_t number = 0;
    if (position == NULL || strnlen(position, AERO_POSITION_SIZE) != AERO_POSITION_SIZE - 1 ||
        !digits_read(position, STORE_DIGITS, 16, &store) || position[STORE_DIGITS] != '-' ||
        !digits_read(position + STORE_DIGITS + 1, NUMBER_DIGITS, 10, &number))
        return ae_fail(&session->error, AERO_USAGE, "%s%.60s%s is no position of a watch",
                       position == NULL ? "" : "\"", position == NULL ? "nothing" : position,
                       position == NULL ? "" : "\"");
    if (store != store_of(session))
        return ae_fail(&session->error, AERO_MISMATCH,
                       "position %s is of another store: this one's begin with %016llx", position,
                       (unsigned long long)store_of(session));
    return aero_watch_open(query, AERO_WATCH_POSITION, number, watch);
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
    AE_ASSERT(watch->cursor != NULL);
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

/* All up to the goal has been told.  Does memory keep what follows, and with time to spare?  If
 * not, the goal is moved, and more is read from the log. */
static aero_status past_end(aero_watch *watch, bool *over)
{
    AE_ASSERT(watch->history != NULL);
    const ae_proc_shared *shared = watch->session->db->proc.shared;
    const uint64_t lag = ae_load64_acquire(&shared->clock) - watch->goal;
    *over = ae_watch_holds(watch->feed) && lag <= shared->queue_size / 4;
    if (*over) {
        past_close(watch);
        return AERO_OK;
    }
    watch->goal = ae_watch_restart(watch->feed);
    return ae_history_reach(watch->history, watch->goal);
}

/* The next event of the log.  Kind NONE: the feed goes on. */
static aero_status past_next(aero_watch *watch, ae_watch_event *next)
{
    AE_ASSERT(watch->past != NULL && watch->history != NULL);
    for (;;) {
        aero_status status = ae_watch_next(watch->past, next);
        if (status != AERO_OK) {
            watch->session->error = *aero_session_error(ae_history_session(watch->history));
            return status;
        }
        if (next->kind != AERO_EVENT_NONE) {
            next->number = watch->number;
            return AERO_OK;
        }
        bool over = false;
        status = ae_history_next(watch->history, watch->goal, &watch->number);
        if (status == AERO_OK && watch->number == 0)
            status = past_end(watch, &over);
        if (over)
            return AERO_OK;
        if (status == AERO_NOT_FOUND) { /* cut off under us */
            past_close(watch);
            *next = (ae_watch_event){
                .kind = AERO_EVENT_OVERFLOW, .last = true, .number = ae_watch_restart(watch->feed)};
            return AERO_OK;
        }
        if (status != AERO_OK)
            return status;
    }
}

/* From the log, and then from memory. */
static aero_status change_next(aero_watch *watch, ae_watch_event *next, uint64_t *position)
{
    next->kind = AERO_EVENT_NONE;
    if (watch->history != NULL) {
        const aero_status status = past_next(watch, next);
        /* Of a transaction told in part, its beginning. */
        *position = next->number - (next->last ? 0 : 1);
        if (status != AERO_OK || next->kind != AERO_EVENT_NONE)
            return status;
    }
    const aero_status status = ae_watch_next(watch->feed, next);
    *position = ae_watch_position(watch->feed);
    return status;
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
    status = change_next(watch, &next, &event->position);
    if (status != AERO_OK)
        return status;
    event->kind = next.kind;
    event->last = next.last;
    event->number = next.number;
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
    *ready = watch->cursor != NULL || watch->history != NULL ||
             ae_watch_wait(watch->feed, (uint64_t)most * 1000u);
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
    if (status != AERO_OK)
        return status;
    if (watch->session->txn.open)
        return ae_fail(&watch->session->error, AERO_USAGE,
                       "a watch cannot begin inside a transaction");
    aero_cursor *cursor = NULL;
    status = snapshot_open(watch->query, watch->feed, &cursor);
    if (status != AERO_OK)
        return status;
    if (watch->cursor != NULL)
        ae_cursor_close(watch->cursor);
    watch->cursor = cursor;
    past_close(watch);
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
    if (watch->notify == NULL)
        status = ae_notify_new(&watch->session->db->proc, NULL, NULL, &watch->notify,
                               &watch->session->error);
    else if (ae_notify_descriptor(watch->notify) < 0)
        status = ae_fail(&watch->session->error, AERO_USAGE, "the watch has a hook already");
    if (status != AERO_OK)
        return status;
    *descriptor = ae_notify_descriptor(watch->notify);
    /* Readable at once: what is there already is read before it is armed. */
    ae_notify_poke(watch->notify);
    return AERO_OK;
}

aero_status aero_watch_hook(aero_watch *watch, aero_watch_news *news, void *context)
{
    aero_status status = enter(watch);
    if (status != AERO_OK)
        return status;
    if (news == NULL || watch->notify != NULL)
        return ae_fail(&watch->session->error, AERO_USAGE,
                       "the hook is missing, or the watch has one, or a descriptor, already");
    status = ae_notify_new(&watch->session->db->proc, news, context, &watch->notify,
                           &watch->session->error);
    if (status == AERO_OK)
        ae_notify_poke(watch->notify); /* what is there already is read before it is armed */
    return status;
}
