/* write.c — inserting, updating and deleting rows.
 *
 * A write looks the row up, judges its newest version against the transaction's snapshot (first
 * updater wins), makes a new version, notes the intent, and only then publishes: the old version's
 * `end` by compare-and-swap, then the anchor's head, or the hash entry of a new row.  A failed
 * publication undoes the intent and judges again.
 *
 * Outside a transaction each call is one: it begins, writes, commits, and starts over on a conflict
 * with back-off, until a deadline.
 */
#include <string.h>

#include "base/os.h"
#include "table/table_private.h"

/* How long a call outside a transaction goes on trying. */
#define RETRY_DEADLINE_NS 30000000000ull
/* Rows of a batch whose memory is fetched ahead together: enough to overlap the misses, few enough
 * to stay in the first-level cache. */
#define PREFETCH_ROWS 16u

/* One write in hand. */
typedef struct row_write {
    aero_session *session;
    const aero_table *of;
    ae_hash *hash;
    uint32_t table;
    uint32_t tag;
    const void *key_row;
} row_write;

/* ---- judging the newest version ------------------------------------------------------------- */

enum row_state {
    ROW_LIVE,     /* `version` is the row for this transaction, and the newest */
    ROW_DEAD,     /* the newest version ended before the snapshot */
    ROW_CONFLICT, /* somebody wrote it since, or is about to */
    ROW_CLOSED,   /* the anchor has left the hash */
};

typedef struct row_judged {
    uint64_t head;
    ae_version *version;
} row_judged;

/* What a stamp that may be a mark means to this transaction. */
enum stamp_meaning { STAMP_PAST, STAMP_FUTURE, STAMP_OWN, STAMP_RUNNING, STAMP_AGAIN };

static enum stamp_meaning stamp_judge(const row_write *write, uint64_t stamp)
{
    const ae_txn *txn = &write->session->txn;
    aero_db *db = write->session->db;
    uint64_t number = stamp;
    if ((stamp & AE_MARK) != 0) {
        if (ae_mark_same(stamp, ae_mark(txn->slot, txn->generation, 0)))
            return STAMP_OWN;
        const enum ae_mark_state state = ae_mark_resolve(&db->proc, stamp, &number);
        if (state == AE_MARK_STALE)
            return STAMP_AGAIN;
        if (state == AE_MARK_RUNNING) {
            const uint32_t slot = ae_mark_slot(stamp);
            if (ae_slot_dead(&db->proc, slot) && ae_reap_slot(db, slot, write->session->member))
                return STAMP_AGAIN;
            return STAMP_RUNNING;
        }
        /* Committed after our snapshot, and dead perhaps before it moved the clock: then a new
         * snapshot would be no newer, and the row would stay out of reach. */
        if (number > txn->snapshot && ae_slot_dead(&db->proc, ae_mark_slot(stamp)))
            (void)ae_reap_slot(db, ae_mark_slot(stamp), write->session->member);
    }
    return number <= txn->snapshot ? STAMP_PAST : STAMP_FUTURE;
}

static enum row_state row_judge(const row_write *write, ae_ref anchor, row_judged *judged)
{
    const aero_db *db = write->session->db;
    const ae_anchor *row = ae_at(&db->segment, anchor);
    for (;;) {
        judged->head = ae_load64_acquire(&row->head);
        if (!ae_head_is_row(judged->head))
            return ROW_CLOSED;
        judged->version = ae_at(&db->segment, ae_head_ref(judged->head));
        const uint64_t end = ae_load64_acquire(&judged->version->end);
        const uint64_t begin = ae_load64_acquire(&judged->version->begin);
        const ae_ref owner = ae_load32_acquire(&judged->version->anchor);
        if (ae_load64_acquire(&row->head) != judged->head)
            continue;
        /* Or it has been reused, and an undo has led the head back to it: see head_restore_dead. */
        if (begin == 0 || (begin & ~(uint64_t)0xff) == AE_WORD_CACHED || owner != anchor) {
            /* A dead row whose last version is being freed: close the anchor for the freer, who may
             * be stopped, rather than wait. */
            (void)ae_anchor_close(write->session->db, write->session->txn.slot, write->table,
                                  anchor, judged->head);
            return ROW_CLOSED;
        }
        switch (stamp_judge(write, begin)) {
        case STAMP_AGAIN:
            continue;
        case STAMP_FUTURE:
        case STAMP_RUNNING:
            return ROW_CONFLICT;
        case STAMP_OWN:
        case STAMP_PAST:
            break;
        }
        if (end == AE_STAMP_INFINITY)
            return ROW_LIVE;
        switch (stamp_judge(write, end)) {
        case STAMP_AGAIN:
            continue;
        case STAMP_FUTURE:
        case STAMP_RUNNING:
            return ROW_CONFLICT;
        case STAMP_OWN:
        case STAMP_PAST:
            return ROW_DEAD;
        }
    }
}

/* Compare memory that may change under our eyes; whoever calls finds out afterwards whether it did.
 * The thread sanitizer, which would report it, must not see it. */
#if defined(AE_TSAN)
__attribute__((no_sanitize("thread"), noinline))
#endif
static bool
racy_equal(const void *shared, const void *own, size_t length)
{
#if defined(AE_TSAN)
    const volatile char *left = shared;
    const volatile char *right = own;
    while (length > 0 && *left == *right) {
        length--;
        left++;
        right++;
    }
    return length == 0;
#else
    return memcmp(shared, own, length) == 0;
#endif
}

/* Does the row behind an anchor have the key?  The newest version may be recycled while it is
 * compared, so nothing of it is believed before the head was seen unchanged, and a long text is
 * read only inside the block that holds it. */
#if defined(AE_TSAN)
__attribute__((no_sanitize("thread")))
#endif
static bool
key_matches(void *context, ae_ref anchor)
{
    const row_write *write = context;
    const aero_db *db = write->session->db;
    const ae_anchor *row = ae_at(&db->segment, anchor);
    const aero_column *key = &write->of->columns[write->of->key_column];
    for (;;) {
        const uint64_t head = ae_load64_acquire(&row->head);
        if (!ae_head_is_row(head))
            return false;
        const ae_version *version = ae_at(&db->segment, ae_head_ref(head));
        bool equal = false;
        if (key->kind != AERO_KIND_TEXT && key->kind != AERO_KIND_BYTES) {
            /* Values of these kinds are equal when their bytes are: no NaN, no -0, padded with
             * NUL. */
            equal = racy_equal(version->row + key->offset,
                               (const char *)write->key_row + key->offset, key->size);
        } else {
            aero_cell cell;
            const aero_cell *wanted =
                (const aero_cell *)(const void *)((const char *)write->key_row + key->offset);
            memcpy(&cell, version->row + key->offset, sizeof cell);
            const ae_ref block = ae_load32(&version->overflow);
            const ae_slab *slab = cell.length > AERO_CELL_INLINE ? ae_heap_slab(&db->heap, block)
                                                                 : NULL;
            if (cell.length != wanted->length)
                equal = false;
            else if (cell.length <= AERO_CELL_INLINE)
                equal = memcmp(&cell, wanted, sizeof cell) == 0;
            else if (slab != NULL && cell.u.where <= slab->object_size &&
                     cell.length + sizeof(ae_block) <= slab->object_size - cell.u.where)
                equal = racy_equal((const char *)ae_at(&db->segment, block + 1) + cell.u.where,
                                   ae_cell_data(wanted, NULL), cell.length);
        }
        equal = equal && ae_load32(&version->anchor) == anchor;
        atomic_thread_fence(memory_order_acquire);
        if (ae_load64_acquire(&row->head) == head)
            return equal;
    }
}

/* ---- making a version ----------------------------------------------------------------------- */

static aero_status take(const row_write *write, uint32_t pool, ae_ref *ref)
{
    aero_session *session = write->session;
    aero_db *db = session->db;
    ae_cache *cache = &ae_slot_at(&db->proc, session->txn.slot)->cache;
    return ae_heap_take(&db->heap, cache, session->txn.slot, pool, ref, &session->error);
}

static void give(const row_write *write, uint32_t pool, ae_ref ref)
{
    aero_session *session = write->session;
    if (ref != 0)
        ae_heap_give(&session->db->heap, &ae_slot_at(&session->db->proc, session->txn.slot)->cache,
                     session->txn.slot, pool, ref);
}

/* What a write needs of the heap, taken before anything is noted or published. */
typedef struct row_parts {
    ae_ref version;
    ae_ref overflow;
    ae_ref anchor;
    uint32_t overflow_pool;
} row_parts;

static void parts_give(const row_write *write, const row_parts *parts)
{
    give(write, ae_heap_anchor_pool(write->table), parts->anchor);
    give(write, parts->overflow_pool, parts->overflow);
    give(write, ae_heap_version_pool(write->table), parts->version);
}

/* All of them, or none. */
static aero_status parts_take_once(const row_write *write, uint64_t texts, bool anchor,
                                   row_parts *parts)
{
    memset(parts, 0, sizeof *parts);
    aero_status status = take(write, ae_heap_version_pool(write->table), &parts->version);
    if (status == AERO_OK && texts > 0) {
        parts->overflow_pool = ae_heap_class(&write->session->db->heap, texts);
        AE_ALWAYS(parts->overflow_pool != UINT32_MAX);
        status = take(write, parts->overflow_pool, &parts->overflow);
    }
    if (status == AERO_OK && anchor)
        status = take(write, ae_heap_anchor_pool(write->table), &parts->anchor);
    if (status != AERO_OK)
        parts_give(write, parts);
    return status;
}

static aero_status parts_take(const row_write *write, const void *image, bool anchor,
                              row_parts *parts)
{
    aero_session *session = write->session;
    const uint64_t texts = ae_row_overflow_size(write->of, image, NULL);
    /* The intent's memory first: nothing may be taken from the heap while parts are in hand. */
    aero_status status = ae_txn_reserve(session);
    if (status != AERO_OK)
        return status;
    if (texts > AE_OVERFLOW_MAX)
        return ae_fail(&session->error, AERO_LIMIT,
                       "the texts of one row of %s take %llu bytes; %u is the limit",
                       write->of->name, (unsigned long long)texts, AE_OVERFLOW_MAX);
    status = parts_take_once(write, texts, anchor, parts);
    /* Reclaiming gives objects to the magazines, whose registers name what is in hand: so it is
     * done with empty hands, and all parts are taken anew. */
    if (status == AERO_FULL && ae_reclaim_hard(session))
        status = parts_take_once(write, texts, anchor, parts);
    return status;
}

/* Fill the version, note the intent, and mark the version as ours.  Until the last store all parts
 * say "cached", so a reaper finds them whatever happens. */
static aero_status version_write(const row_write *write, const row_parts *parts, const void *image,
                                 ae_ref anchor, ae_ref older, ae_ref replaced, uint32_t what)
{
    aero_session *session = write->session;
    aero_db *db = session->db;
    ae_version *version = ae_at(&db->segment, parts->version);
    char *texts = parts->overflow == 0 ? NULL : (char *)ae_at(&db->segment, parts->overflow + 1);
    ae_store64(&version->end, AE_STAMP_INFINITY);
    ae_store32(&version->older, older);
    ae_store32(&version->anchor, anchor);
    ae_store32(&version->overflow, parts->overflow);
    ae_store32(&version->limbo_next, 0);
    ae_row_settle(write->of, image, NULL, version->row, texts);
    const uint64_t mark = ae_txn_mark(session);
    const aero_status status = ae_txn_intend(session, anchor, parts->version, replaced,
                                             write->table | what);
    if (status != AERO_OK) {
        parts_give(write, parts);
        return status;
    }
    if (parts->overflow != 0) {
        ae_block *block = ae_at(&db->segment, parts->overflow);
        ae_store64_release(&block->word, AE_WORD_OWNED | parts->version);
        AE_CRASH_POINT("write.overflow");
    }
    /* Release: the row before the mark; pairs with ae_version_sight. */
    ae_store64_release(&version->begin, mark);
    AE_CRASH_POINT("write.marked");
    /* Only now: until the version is marked, the register is all that leads a reaper to a large
     * block. */
    if (parts->overflow != 0)
        ae_heap_linked(&ae_slot_at(&db->proc, session->txn.slot)->cache, parts->overflow);
    return AERO_OK;
}

/* ---- publishing ----------------------------------------------------------------------------- */

/* The row exists: put `image` on top of its newest version. */
static aero_status publish_update(const row_write *write, ae_ref anchor, const row_judged *judged,
                                  const void *image, ae_hash_entry *entry, bool *again)
{
    aero_session *session = write->session;
    aero_db *db = session->db;
    row_parts parts;
    const uint32_t before = session->txn.intent_count;
    const ae_ref old = ae_head_ref(judged->head);
    *again = false;
    aero_status status = parts_take(write, image, false, &parts);
    if (status != AERO_OK)
        return status;
    const uint64_t mark = ae_txn_mark(session);
    status = version_write(write, &parts, image, anchor, old, old, 0);
    if (status != AERO_OK)
        return status;
    ae_anchor *row = ae_at(&db->segment, anchor);
    /* Acquire-release: first updater wins; pairs with the same operation in other writers. */
    if (!ae_cas64(&judged->version->end, AE_STAMP_INFINITY, mark)) {
        ae_txn_undo_to(session, before);
        *again = true;
        return AERO_OK;
    }
    AE_CRASH_POINT("write.ended");
    /* We own the row now: nobody else may push or close.  The head is read again, as its counter
     * has moved if another writer came and was undone meanwhile; undoing restores the head before
     * the `end`. */
    const uint64_t head = ae_load64_acquire(&row->head);
    AE_ALWAYS(ae_head_ref(head) == old);
    const bool pushed = ae_cas64(&row->head, head, ae_head_next(head, parts.version));
    AE_ALWAYS(pushed);
    AE_CRASH_POINT("write.pushed");
    if (entry != NULL)
        ae_store32(&entry->hint, parts.version);
    return AERO_OK;
}

/* The row was deleted, and its anchor is still here: begin a new life on top of the old one. */
static aero_status publish_revival(const row_write *write, ae_ref anchor, const row_judged *judged,
                                   const void *image, ae_hash_entry *entry, bool *again)
{
    aero_session *session = write->session;
    row_parts parts;
    const uint32_t before = session->txn.intent_count;
    *again = false;
    aero_status status = parts_take(write, image, false, &parts);
    if (status != AERO_OK)
        return status;
    status = version_write(write, &parts, image, anchor, ae_head_ref(judged->head), 0, 0);
    if (status != AERO_OK)
        return status;
    ae_anchor *row = ae_at(&session->db->segment, anchor);
    if (!ae_cas64(&row->head, judged->head, ae_head_next(judged->head, parts.version))) {
        ae_txn_undo_to(session, before);
        *again = true;
        return AERO_OK;
    }
    AE_CRASH_POINT("write.revived");
    if (entry != NULL)
        ae_store32(&entry->hint, parts.version);
    return AERO_OK;
}

/* No anchor has the key: make one and enter it.  *again when somebody entered the key meanwhile. */
static aero_status publish_insert(const row_write *write, const void *image, bool *again)
{
    aero_session *session = write->session;
    aero_db *db = session->db;
    row_parts parts;
    const uint32_t before = session->txn.intent_count;
    *again = false;
    aero_status status = parts_take(write, image, true, &parts);
    if (status != AERO_OK)
        return status;
    ae_anchor *row = ae_at(&db->segment, parts.anchor);
    ae_store32(&row->tag, write->tag);
    ae_store32(&row->latch, 0);
    status = version_write(write, &parts, image, parts.anchor, 0, 0, AE_INTENT_NEW_ANCHOR);
    if (status != AERO_OK)
        return status;
    /* Release: the version before the head. */
    ae_store64_release(&row->head, ae_head_next(ae_load64(&row->head), parts.version));
    AE_CRASH_POINT("write.anchored");
    ae_ref found = 0;
    ae_hash_entry *entry = NULL;
    status = ae_hash_put(write->hash, session->txn.slot, write->tag, key_matches,
                         (void *)(uintptr_t)write, parts.anchor, parts.version, &found, &entry,
                         &session->error);
    if (status == AERO_FULL && ae_reclaim_hard(session))
        status = ae_hash_put(write->hash, session->txn.slot, write->tag, key_matches,
                             (void *)(uintptr_t)write, parts.anchor, parts.version, &found, &entry,
                             &session->error);
    AE_CRASH_POINT("write.entered");
    if (status != AERO_OK || found != 0) {
        ae_txn_undo_to(session, before);
        *again = status == AERO_OK;
    }
    return status;
}

static aero_status publish_delete(const row_write *write, ae_ref anchor, const row_judged *judged,
                                  bool *again)
{
    aero_session *session = write->session;
    const uint32_t before = session->txn.intent_count;
    const uint64_t mark = ae_txn_mark(session);
    *again = false;
    aero_status status = ae_txn_reserve(session);
    if (status == AERO_OK)
        status = ae_txn_intend(session, anchor, 0, ae_head_ref(judged->head), write->table);
    if (status != AERO_OK)
        return status;
    if (!ae_cas64(&judged->version->end, AE_STAMP_INFINITY, mark)) {
        ae_txn_undo_to(session, before);
        *again = true;
    }
    AE_CRASH_POINT("write.deleted");
    return AERO_OK;
}

/* ---- one row -------------------------------------------------------------------------------- */

/* Find the row and judge it.  *anchor is 0 when no anchor has the key. */
static aero_status row_locate(const row_write *write, ae_ref *anchor, ae_hash_entry **entry,
                              enum row_state *state, row_judged *judged)
{
    aero_session *session = write->session;
    for (;;) {
        const aero_status status = ae_hash_put(write->hash, session->txn.slot, write->tag,
                                               key_matches, (void *)(uintptr_t)write, 0, 0, anchor,
                                               entry, &session->error);
        if (status != AERO_OK || *anchor == 0)
            return status;
        *state = row_judge(write, *anchor, judged);
        if (*state != ROW_CLOSED)
            return AERO_OK;
        ae_pause(); /* its entry is being removed, or it was reused: look again */
    }
}

static void write_start(row_write *write, aero_session *session, uint32_t table,
                        const void *key_row)
{
    write->session = session;
    write->table = table;
    write->of = &session->db->schema->tables[table];
    write->hash = &session->db->hashes[table];
    write->key_row = key_row;
    const uint64_t hash = write->of->hash_key(key_row, NULL);
    write->tag = ae_hash_tag(hash);
    /* A write looks before it acts, and its outcome tells: that is a read, also when it is
     * undone. */
    if (session->txn.tracks)
        ae_reads_key(&session->txn.reads, table, hash);
}

static aero_status exists_error(const row_write *write)
{
    aero_session *session = write->session;
    ae_fail(&session->error, AERO_EXISTS, "%s has a row with this key already", write->of->name);
    ae_error_place(&session->error, write->of->name,
                   write->of->columns[write->of->key_column].name);
    return AERO_EXISTS;
}

/* Insert or replace one row.  *outcome: 1 updated, 2 inserted. */
static aero_status row_put(const row_write *write, const void *image, enum ae_write_mode mode,
                           int32_t *outcome)
{
    for (;;) {
        ae_ref anchor = 0;
        ae_hash_entry *entry = NULL;
        enum row_state state = ROW_LIVE;
        row_judged judged;
        bool again = false;
        aero_status status = row_locate(write, &anchor, &entry, &state, &judged);
        if (status != AERO_OK)
            return status;
        *outcome = 2;
        if (anchor == 0)
            status = publish_insert(write, image, &again);
        else if (state == ROW_CONFLICT)
            return ae_conflict(write->session, AERO_CONFLICT_WRITE, write->of->name);
        else if (state == ROW_DEAD)
            status = publish_revival(write, anchor, &judged, image, entry, &again);
        else if (mode == AE_WRITE_INSERT)
            return exists_error(write);
        else {
            *outcome = 1;
            status = publish_update(write, anchor, &judged, image, entry, &again);
        }
        if (status != AERO_OK || !again)
            return status;
    }
}

/* A private image of a version's row: its long texts by address. */
static void image_of(const aero_db *db, const aero_table *of, const ae_version *version,
                     void *image)
{
    const ae_ref overflow = ae_load32(&version->overflow);
    memcpy(image, version->row, of->row_size);
    for (uint32_t index = 0; overflow != 0 && index < of->cell_count; index++) {
        aero_cell *cell = (aero_cell *)(void *)((char *)image +
                                                of->columns[of->cells[index]].offset);
        if (cell->length > AERO_CELL_INLINE)
            cell->u.where += (uint64_t)(uintptr_t)ae_at(&db->segment, overflow + 1);
    }
}

typedef struct change_body {
    uint32_t table;
    const void *key_row;
    bool create;
    ae_row_change change;
    void *context;
    int32_t outcome;
} change_body;

static aero_status row_change(aero_session *session, void *context)
{
    change_body *body = context;
    row_write write;
    write_start(&write, session, body->table, body->key_row);
    for (;;) {
        ae_ref anchor = 0;
        ae_hash_entry *entry = NULL;
        enum row_state state = ROW_LIVE;
        row_judged judged;
        bool again = false;
        aero_status status = row_locate(&write, &anchor, &entry, &state, &judged);
        if (status != AERO_OK)
            return status;
        if (anchor != 0 && state == ROW_CONFLICT)
            return ae_conflict(session, AERO_CONFLICT_WRITE, write.of->name);
        const bool live = anchor != 0 && state == ROW_LIVE;
        body->outcome = live ? 1 : body->create ? 2 : 0;
        if (body->outcome == 0)
            return AERO_OK;
        if (live) {
            image_of(session->db, write.of, judged.version, session->row);
        } else {
            aero_value key;
            const aero_column *column = &write.of->columns[write.of->key_column];
            write.of->clear(session->row);
            column->get(body->key_row, NULL, &key);
            column->set(session->row, &key);
        }
        status = body->change(body->context, session->row, !live);
        if (status != AERO_OK)
            return status;
        if (live)
            status = publish_update(&write, anchor, &judged, session->row, entry, &again);
        else if (anchor != 0)
            status = publish_revival(&write, anchor, &judged, session->row, entry, &again);
        else
            status = publish_insert(&write, session->row, &again);
        if (status != AERO_OK || !again)
            return status;
    }
}

static aero_status row_delete(const row_write *write, bool *found)
{
    for (;;) {
        ae_ref anchor = 0;
        ae_hash_entry *entry = NULL;
        enum row_state state = ROW_LIVE;
        row_judged judged;
        bool again = false;
        const aero_status status = row_locate(write, &anchor, &entry, &state, &judged);
        if (status != AERO_OK)
            return status;
        if (anchor != 0 && state == ROW_CONFLICT)
            return ae_conflict(write->session, AERO_CONFLICT_WRITE, write->of->name);
        *found = anchor != 0 && state == ROW_LIVE;
        if (!*found)
            return AERO_OK;
        const aero_status outcome = publish_delete(write, anchor, &judged, &again);
        if (outcome != AERO_OK || !again)
            return outcome;
    }
}

/* ---- statements ----------------------------------------------------------------------------- */

typedef aero_status (*statement_body)(aero_session *session, void *context);

/* In the open transaction: all of the statement or nothing of it. */
static aero_status statement_join(aero_session *session, statement_body body, void *context)
{
    ae_txn *txn = &session->txn;
    if (txn->doomed)
        return ae_fail(&session->error, AERO_USAGE,
                       "the transaction met a conflict and can only be rolled back");
    if (txn->isolation == AERO_ISOLATION_READ_ONLY)
        return ae_fail(&session->error, AERO_READ_ONLY, "the transaction is read-only");
    ae_txn_look(session);
    const uint32_t before = txn->intent_count;
    const aero_status status = body(session, context);
    if (status != AERO_OK && txn->intent_count > before)
        ae_txn_undo_to(session, before);
    if (status == AERO_CONFLICT) {
        txn->doomed = true;
        session->error.aborted = 1;
    }
    return status;
}

static aero_status statement(aero_session *session, statement_body body, void *context)
{
    if (session->txn.open)
        return statement_join(session, body, context);
    uint64_t deadline = 0;
    for (uint32_t attempt = 0;; attempt++) {
        aero_status status = ae_txn_begin(session, AERO_ISOLATION_SERIALIZABLE, false);
        if (status == AERO_OK) {
            status = body(session, context);
            if (status == AERO_OK)
                status = ae_txn_commit(session);
            else
                ae_txn_rollback(session);
        }
        if (status != AERO_CONFLICT && status != AERO_NO_SLOT)
            return status;
        const uint64_t now = ae_os_monotonic_ns();
        deadline = deadline == 0 ? now + RETRY_DEADLINE_NS : deadline;
        if (now > deadline)
            return status;
        ae_count(&session->db->proc, AE_COUNT_RETRIES);
        ae_backoff(session, attempt);
    }
}

typedef struct write_body {
    uint32_t table;
    const char *rows;
    size_t stride;
    size_t count;
    enum ae_write_mode mode;
    uint64_t inserted;
    uint64_t updated;
} write_body;

/* A batch goes through three stages, a group of rows at a time and each group one stage behind the
 * next, so that what a stage needs has been on its way while another group was worked on: hash the
 * keys and fetch the hash lines; look into them and fetch the rows they name; write. */
typedef struct batch {
    aero_session *session;
    write_body *body;
    size_t groups;
    row_write writes[3][PREFETCH_ROWS];
} batch;

static size_t group_size(const batch *rows, size_t group)
{
    const size_t left = rows->body->count - group * PREFETCH_ROWS;
    return left < PREFETCH_ROWS ? left : PREFETCH_ROWS;
}

static void group_start(batch *rows, size_t group)
{
    row_write *writes = rows->writes[group % 3];
    const char *row = rows->body->rows + group * PREFETCH_ROWS * rows->body->stride;
    const size_t count = group_size(rows, group);
    for (size_t index = 0; index < count; index++, row += rows->body->stride) {
        write_start(&writes[index], rows->session, rows->body->table, row);
        ae_hash_prefetch(writes[index].hash, writes[index].tag);
    }
}

static void group_fetch(batch *rows, size_t group)
{
    const aero_db *db = rows->session->db;
    const row_write *writes = rows->writes[group % 3];
    const size_t count = group_size(rows, group);
    for (size_t index = 0; index < count; index++) {
        ae_hash_walk walk;
        uint64_t word = 0;
        ae_hash_walk_start(&walk, writes[index].hash, writes[index].tag);
        const ae_hash_entry *entry = ae_hash_walk_next(&walk, &word);
        if (entry == NULL)
            continue;
        const char *hint = ae_at(&db->segment, ae_load32(&entry->hint));
        __builtin_prefetch(ae_at(&db->segment, ae_hash_anchor(word)), 1);
        __builtin_prefetch(hint, 1);
        __builtin_prefetch(hint + 64);
    }
}

static aero_status group_write(batch *rows, size_t group)
{
    const row_write *writes = rows->writes[group % 3];
    const size_t count = group_size(rows, group);
    for (size_t index = 0; index < count; index++) {
        int32_t outcome = 0;
        const aero_status status = row_put(&writes[index], writes[index].key_row, rows->body->mode,
                                           &outcome);
        if (status != AERO_OK)
            return status;
        rows->body->inserted += outcome == 2;
        rows->body->updated += outcome == 1;
    }
    return AERO_OK;
}

static aero_status rows_write(aero_session *session, void *context)
{
    batch rows = {.session = session, .body = context};
    rows.body->inserted = 0;
    rows.body->updated = 0;
    rows.groups = (rows.body->count + PREFETCH_ROWS - 1) / PREFETCH_ROWS;
    aero_status status = AERO_OK;
    for (size_t step = 0; step < rows.groups + 2 && status == AERO_OK; step++) {
        if (step < rows.groups)
            group_start(&rows, step);
        if (step >= 1 && step - 1 < rows.groups)
            group_fetch(&rows, step - 1);
        if (step >= 2)
            status = group_write(&rows, step - 2);
    }
    return status;
}

aero_status ae_table_write(aero_session *session, uint32_t table, const void *rows, size_t stride,
                           size_t count, enum ae_write_mode mode, uint64_t *inserted,
                           uint64_t *updated)
{
    write_body body = {table, rows, stride, count, mode, 0, 0};
    const aero_status status = statement(session, rows_write, &body);
    *inserted = status == AERO_OK ? body.inserted : 0;
    *updated = status == AERO_OK ? body.updated : 0;
    return status;
}

aero_status ae_table_change(aero_session *session, uint32_t table, const void *key_row, bool create,
                            ae_row_change change, void *context, int32_t *outcome)
{
    change_body body = {table, key_row, create, change, context, 0};
    const aero_status status = statement(session, row_change, &body);
    *outcome = status == AERO_OK ? body.outcome : 0;
    return status;
}

typedef struct delete_body {
    uint32_t table;
    const void *key_row;
    bool found;
} delete_body;

static aero_status delete_one(aero_session *session, void *context)
{
    delete_body *body = context;
    row_write write;
    write_start(&write, session, body->table, body->key_row);
    return row_delete(&write, &body->found);
}

aero_status ae_table_delete(aero_session *session, uint32_t table, const void *key_row, bool *found)
{
    delete_body body = {table, key_row, false};
    const aero_status status = statement(session, delete_one, &body);
    *found = status == AERO_OK && body.found;
    return status;
}

typedef struct reset_body {
    uint32_t table;
    uint64_t deleted;
} reset_body;

static aero_status delete_all(aero_session *session, void *context)
{
    reset_body *body = context;
    ae_reader reader;
    ae_scan scan;
    ae_view views[64];
    row_write write = {.session = session,
                       .of = &session->db->schema->tables[body->table],
                       .hash = &session->db->hashes[body->table],
                       .table = body->table};
    body->deleted = 0;
    /* "Every row" is a predicate: a row that is inserted meanwhile must not survive before us in
     * the order. */
    session->txn.tracks = session->txn.isolation == AERO_ISOLATION_SERIALIZABLE;
    aero_status status = ae_reader_open(session, false, &reader);
    if (status != AERO_OK)
        return status;
    ae_scan_start(&scan, &reader, body->table);
    for (size_t count; status == AERO_OK && (count = ae_scan_next(&scan, views, 64)) > 0;) {
        for (size_t index = 0; index < count && status == AERO_OK; index++) {
            const ae_version *version =
                (const ae_version *)(const void *)((const char *)views[index].row -
                                                   offsetof(ae_version, row));
            const ae_ref anchor = ae_load32(&version->anchor);
            row_judged judged;
            bool again = true;
            while (again && status == AERO_OK) {
                /* A row that is seen cannot be closed or dead; it can only have been written
                 * since. */
                if (row_judge(&write, anchor, &judged) != ROW_LIVE)
                    status = ae_conflict(session, AERO_CONFLICT_WRITE, write.of->name);
                else
                    status = publish_delete(&write, anchor, &judged, &again);
            }
            body->deleted++;
        }
    }
    ae_reader_close(&reader);
    return status;
}

aero_status ae_table_reset(aero_session *session, uint32_t table, uint64_t *deleted)
{
    reset_body body = {table, 0};
    const aero_status status = statement(session, delete_all, &body);
    *deleted = status == AERO_OK ? body.deleted : 0;
    return status;
}
