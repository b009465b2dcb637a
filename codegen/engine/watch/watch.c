/* watch.c — from queue positions to events (see watch.h).
 *
 * Invariants
 *   W1  pin <= next: what positions from `next` on replaced is kept
 *   W2  an event is given only if what it is made of was still kept after it was copied (P4)
 *   W3  a transaction's rows are told once each, by their state before and after all of it
 */
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "proc/feed.h"
#include "watch/watch_private.h"

/* Positions read between two moves of the pin: each is a store to a line that reclaimers read. */
#define PIN_EVERY 64u
/* The pin stays this far behind what has been told, at most: who is killed after some events may
 * come back with a position a little older than the last one. */
#define TRAIL_MOST 1024u
/* A watch that was just busy naps before it sleeps, so that writers at full rate need not wake it
 * for each commit: naps of this length, this many. */
#define NAP_NS 50000u
#define NAPS 20u

/* ---- life ----------------------------------------------------------------------------------- */

static bool in_own_process(const ae_watch *watch)
{
    return watch->session != NULL && watch->epoch == watch->session->fork_epoch;
}

/* Give back all but the handle. */
static void let_go(ae_watch *watch)
{
    if (watch->session == NULL)
        return;
    if (in_own_process(watch)) /* in a child the line is the parent's */
        ae_feed_release(&watch->session->db->proc, watch->line);
    ae_session_disown(&watch->child);
    watch->session = NULL;
}

static void session_closes(ae_session_child *child)
{
    let_go((ae_watch *)(void *)((char *)child - offsetof(ae_watch, child)));
}

static ae_watch *watch_new(aero_session *session, uint32_t table, ae_watch_match match,
                           void *context)
{
    ae_watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL)
        return NULL;
    watch->of = ae_session_table(session, table);
    watch->old_image.row = malloc(watch->of->row_size);
    watch->new_image.row = malloc(watch->of->row_size);
    if (watch->old_image.row == NULL || watch->new_image.row == NULL) {
        ae_watch_close(watch);
        return NULL;
    }
    watch->table = table;
    watch->match = match;
    watch->context = context;
    watch->epoch = session->fork_epoch;
    return watch;
}

static void watch_start(ae_watch *watch, aero_session *session, uint64_t pin, uint64_t next)
{
    AE_ALWAYS(watch->session == NULL && next >= pin);
    const uint64_t eighth = session->db->proc.shared->queue_size / 8;
    watch->session = session;
    watch->trail = eighth < TRAIL_MOST ? eighth : TRAIL_MOST;
    watch->pin = pin;
    watch->next = next;
    watch->child.close = session_closes;
    ae_session_adopt(session, &watch->child);
}

aero_status ae_watch_open(aero_session *session, uint32_t table, ae_watch_match match,
                          void *context, ae_watch **watch)
{
    uint64_t pin = 0;
    *watch = watch_new(session, table, match, context);
    if (*watch == NULL)
        return ae_fail(&session->error, AERO_NO_MEMORY, "no memory for a watch");
    const aero_status status = ae_feed_claim(&session->db->proc, session->member, &(*watch)->line,
                                             &pin, &session->error);
    if (status == AERO_OK) {
        watch_start(*watch, session, pin, pin);
        return AERO_OK;
    }
    ae_watch_close(*watch);
    *watch = NULL;
    return status;
}

aero_status ae_watch_resume(aero_session *session, uint32_t table, ae_watch_match match,
                            void *context, uint64_t position, ae_watch **watch)
{
    ae_proc *proc = &session->db->proc;
    uint64_t pin = 0;
    *watch = watch_new(session, table, match, context);
    if (*watch == NULL)
        return ae_fail(&session->error, AERO_NO_MEMORY, "no memory for a watch");
    if (position <= ae_load64_acquire(&proc->shared->clock) &&
        ae_feed_adopt(proc, session->member, position, &(*watch)->line, &pin)) {
        watch_start(*watch, session, pin, position);
        return AERO_OK;
    }
    ae_watch_close(*watch);
    *watch = NULL;
    return ae_fail(&session->error, AERO_NOT_FOUND,
                   "what was committed after position %llu is not kept any more",
                   (unsigned long long)position);
}

void ae_watch_close(ae_watch *watch)
{
    let_go(watch);
    free(watch->changes);
    free(watch->old_image.row);
    free(watch->old_image.text);
    free(watch->new_image.row);
    free(watch->new_image.text);
    free(watch);
}

aero_status ae_watch_check(const ae_watch *watch)
{
    if (watch->session == NULL)
        return AERO_STALE;
    if (!in_own_process(watch))
        return ae_fail(&watch->session->error, AERO_STALE,
                       "the watch belongs to the parent process");
    return AERO_OK;
}

aero_session *ae_watch_session(const ae_watch *watch)
{
    return watch->session;
}

uint64_t ae_watch_position(const ae_watch *watch)
{
    AE_ASSERT(watch->change_at <= watch->change_count);
    /* Told in part, a transaction is told again from its beginning. */
    return watch->change_at < watch->change_count ? watch->next - 1 : watch->next;
}

/* ---- gathering a transaction ---------------------------------------------------------------- */

/* The version behind a reference that may be stale, if it is one of the watch's table. */
static const ae_version *version_of(ae_watch *watch, ae_ref ref)
{
    const aero_db *db = watch->session->db;
    const ae_pool *home = ae_heap_home(&db->heap, ref);
    if (home == NULL || home->kind != AE_POOL_VERSION) {
        watch->torn = true;
        return NULL;
    }
    return home->table == watch->table ? ae_at(&db->segment, ref) : NULL;
}

/* Is what the transaction at `position` replaced still kept? */
static bool kept(const ae_watch *watch, uint64_t position)
{
    return ae_feed_holds(&watch->session->db->proc, watch->line, position);
}

static int32_t change_gather(void *context, ae_ref created, ae_ref replaced, uint32_t what)
{
    ae_watch *watch = context;
    const ae_version *version = version_of(watch, created != 0 ? created : replaced);
    if (version == NULL)
        return watch->torn;
    if (watch->change_count == watch->change_room) {
        /* What was reused meanwhile may be a list without an end. */
        watch->torn = !kept(watch, watch->next);
        if (watch->torn)
            return 1;
        const size_t room = watch->change_room == 0 ? 64 : 2 * watch->change_room;
        watch_change *grown = realloc(watch->changes, room * sizeof *grown);
        watch->failed = grown == NULL;
        if (watch->failed)
            return 1;
        watch->changes = grown;
        watch->change_room = room;
    }
    AE_ASSERT(watch->change_count < watch->change_room);
    watch->changes[watch->change_count] = (watch_change){.anchor = ae_load32(&version->anchor),
                                                         .created = created,
                                                         .replaced = replaced,
                                                         .what = what,
                                                         .place = (uint32_t)watch->change_count};
    watch->change_count++;
    return 0;
}

static int by_row(const void *left, const void *right)
{
    const watch_change *a = left;
    const watch_change *b = right;
    if (a->anchor != b->anchor)
        return a->anchor < b->anchor ? -1 : 1;
    return a->place < b->place ? -1 : 1;
}

static int by_place(const void *left, const void *right)
{
    return ((const watch_change *)left)->place < ((const watch_change *)right)->place ? -1 : 1;
}

/* One change a row: what was there before the transaction, and what is there after it (W3). */
static void changes_join(ae_watch *watch)
{
    size_t kept = 0;
    qsort(watch->changes, watch->change_count, sizeof *watch->changes, by_row);
    for (size_t index = 0; index < watch->change_count;) {
        watch_change whole = watch->changes[index++];
        while (index < watch->change_count && watch->changes[index].anchor == whole.anchor) {
            whole.created = watch->changes[index].created;
            whole.what = watch->changes[index++].what;
        }
        if (whole.created != 0 || whole.replaced != 0)
            watch->changes[kept++] = whole;
    }
    AE_ASSERT(kept <= watch->change_count);
    watch->change_count = kept;
    qsort(watch->changes, kept, sizeof *watch->changes, by_place);
}

/* ---- telling -------------------------------------------------------------------------------- */

bool ae_watch_holds(const ae_watch *watch)
{
    return kept(watch, ae_watch_position(watch));
}

/* Say how far we are: for statistics, and for who needs memory. */
static void told_note(ae_watch *watch)
{
    AE_ASSERT(watch->line < AE_FEEDS);
    /* Release: what has been told was read before; pairs with ae_feed_squeeze. */
    ae_store64_release(&watch->session->db->proc.shared->feeds[watch->line].told,
                       ae_watch_position(watch));
}

uint64_t ae_watch_restart(ae_watch *watch)
{
    AE_ASSERT(watch->session != NULL && watch->line < AE_FEEDS);
    watch->pin = ae_feed_restart(&watch->session->db->proc, watch->line);
    watch->next = watch->pin;
    watch->change_count = watch->change_at = 0;
    told_note(watch);
    return watch->pin;
}

/* The pin was revoked, or the ring has come round. */
static void overflow_tell(ae_watch *watch, ae_watch_event *event)
{
    *event = (ae_watch_event){
        .kind = AERO_EVENT_OVERFLOW, .last = true, .number = ae_watch_restart(watch)};
}

/* Move the pin after what has been told.  False when it was revoked. */
static bool pin_move(ae_watch *watch)
{
    const uint64_t told = ae_watch_position(watch);
    const uint64_t to = told > watch->trail ? told - watch->trail : 0;
    told_note(watch);
    if (to <= watch->pin)
        return kept(watch, told);
    return ae_feed_advance(&watch->session->db->proc, watch->line, to, &watch->pin) &&
           watch->pin <= told;
}

/* Copy the images of a change.  *wanted: it is of interest. */
static enum image_result change_copy(ae_watch *watch, const watch_change *change,
                                     ae_watch_event *event, bool *wanted)
{
    AE_ASSERT(change->replaced != 0 || change->created != 0);
    const aero_db *db = watch->session->db;
    watch_image *images[2] = {&watch->old_image, &watch->new_image};
    const ae_ref refs[2] = {change->replaced, change->created};
    *wanted = watch->match == NULL;
    for (int side = 0; side < 2; side++) {
        if (refs[side] == 0)
            continue;
        const ae_version *version = version_of(watch, refs[side]);
        if (version == NULL)
            return IMAGE_TORN;
        const enum image_result result = ae_image_copy(db, watch->of, version, images[side]);
        if (result != IMAGE_COPIED)
            return result;
        *wanted = *wanted || watch->match(watch->context, images[side]->row, NULL);
    }
    event->old_row = change->replaced != 0 ? watch->old_image.row : NULL;
    event->new_row = change->created != 0 ? watch->new_image.row : NULL;
    return IMAGE_COPIED;
}

static int32_t change_kind(const watch_change *change)
{
    if (change->replaced == 0)
        return AERO_EVENT_INSERT;
    if (change->created != 0)
        return AERO_EVENT_UPDATE;
    return (change->what & AE_INTENT_EXPIRED) != 0 ? AERO_EVENT_EXPIRE : AERO_EVENT_DELETE;
}

static aero_status no_memory(ae_watch *watch)
{
    return ae_fail(&watch->session->error, AERO_NO_MEMORY, "no memory for a transaction's changes");
}

static aero_status torn(ae_watch *watch)
{
    return ae_fail(&watch->session->error, AERO_CORRUPT,
                   "a committed version of %s does not hold together", watch->of->name);
}

/* Tell the next interesting change of the transaction in hand; kind NONE when there is none. */
static aero_status change_tell(ae_watch *watch, ae_watch_event *event)
{
    AE_ASSERT(watch->session != NULL);
    while (watch->change_at < watch->change_count) {
        const watch_change *change = &watch->changes[watch->change_at];
        bool wanted = false;
        const enum image_result result = change_copy(watch, change, event, &wanted);
        if (result == IMAGE_NO_MEMORY)
            return no_memory(watch);
        if (!kept(watch, watch->next - 1)) { /* keeps W2 */
            overflow_tell(watch, event);
            return AERO_OK;
        }
        if (result == IMAGE_TORN)
            return torn(watch);
        watch->change_at++;
        if (!wanted) {
            memset(event, 0, sizeof *event);
            continue;
        }
        event->kind = change_kind(change);
        event->last = watch->change_at == watch->change_count;
        event->number = watch->next;
        return AERO_OK;
    }
    return AERO_OK;
}

/* Keep what is of interest, so that the last event of a transaction is known when it is told. */
static void changes_filter(ae_watch *watch)
{
    ae_watch_event event;
    size_t kept = 0;
    for (size_t index = 0; index < watch->change_count; index++) {
        bool wanted = false;
        const watch_change change = watch->changes[index];
        const enum image_result result = change_copy(watch, &change, &event, &wanted);
        watch->failed |= result == IMAGE_NO_MEMORY;
        watch->torn |= result == IMAGE_TORN;
        if (wanted)
            watch->changes[kept++] = change;
    }
    watch->change_count = kept;
}

/* Gather the next position's transaction.  False: lost. */
static bool position_read(ae_watch *watch)
{
    const aero_db *db = watch->session->db;
    ae_changes_fetch(db, watch->next, watch->clock);
    watch->change_count = watch->change_at = 0;
    watch->failed = watch->torn = false;
    const int32_t answer = ae_changes_visit(db, watch->next, change_gather, watch);
    if (answer == AE_CHANGES_LOST || !kept(watch, watch->next))
        return false;
    if (watch->change_count > 1)
        changes_join(watch);
    if (watch->change_count > 1 && watch->match != NULL)
        changes_filter(watch);
    return kept(watch, watch->next);
}

aero_status ae_watch_next(ae_watch *watch, ae_watch_event *event)
{
    const ae_proc_shared *shared = watch->session->db->proc.shared;
    ae_feed_line *line = &watch->session->db->proc.shared->feeds[watch->line];
    memset(event, 0, sizeof *event);
    for (;;) {
        const aero_status status = change_tell(watch, event);
        if (status != AERO_OK)
            return status;
        if (event->kind != AERO_EVENT_NONE) {
            ae_store64(&line->delivered, ae_load64(&line->delivered) + 1);
            told_note(watch);
            return AERO_OK;
        }
        /* The line of the clock is wanted by every commit: it is looked at when it must be. */
        if (watch->next >= watch->clock)
            watch->clock = ae_load64_acquire(&shared->clock);
        const bool idle = watch->next >= watch->clock;
        if ((idle || watch->next - watch->pin >= watch->trail + PIN_EVERY) && !pin_move(watch)) {
            overflow_tell(watch, event);
            return AERO_OK;
        }
        if (idle)
            return AERO_OK;
        if (!position_read(watch)) {
            overflow_tell(watch, event);
            return AERO_OK;
        }
        if (watch->failed || watch->torn) {
            watch->change_count = 0;
            return watch->torn ? torn(watch) : no_memory(watch);
        }
        watch->next++;
        watch->busy = true;
    }
}

bool ae_watch_wait(ae_watch *watch, uint64_t timeout_ns)
{
    ae_proc *proc = &watch->session->db->proc;
    const uint64_t until = ae_os_monotonic_ns() + timeout_ns;
    if (watch->change_at < watch->change_count)
        return true;
    for (uint32_t nap = 0;; nap++) {
        if (ae_load64_acquire(&proc->shared->clock) > watch->next)
            return true;
        const uint64_t now = ae_os_monotonic_ns();
        if (now >= until)
            return false;
        if (watch->busy && nap < NAPS)
            ae_os_sleep_ns(NAP_NS < until - now ? NAP_NS : until - now);
        else
            ae_feed_sleep(proc, watch->next, until - now);
        watch->busy = watch->busy && nap < NAPS;
    }
}

bool ae_watch_rebase(ae_watch *watch, uint64_t snapshot)
{
    /* The pin, which is older, has kept what came after the snapshot; it may have been revoked. */
    if (!ae_feed_advance(&watch->session->db->proc, watch->line, snapshot, &watch->pin) ||
        watch->pin > snapshot)
        return false;
    watch->next = snapshot;
    watch->change_count = watch->change_at = 0;
    told_note(watch);
    return true;
}

void ae_watch_lose(ae_watch *watch)
{
    ae_store64_release(&watch->session->db->proc.shared->feeds[watch->line].pin, AE_PIN_REVOKED);
}

aero_status ae_watch_image(ae_watch *watch, const void *row, const void **image)
{
    const ae_version *version = (const ae_version *)(const void *)((const char *)row -
                                                                   offsetof(ae_version, row));
    *image = watch->new_image.row;
    switch (ae_image_copy(watch->session->db, watch->of, version, &watch->new_image)) {
    case IMAGE_COPIED:
        return AERO_OK;
    case IMAGE_NO_MEMORY:
        return no_memory(watch);
    case IMAGE_TORN:
        break;
    }
    return torn(watch);
}
