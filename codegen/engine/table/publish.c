/* publish.c — one row's write: judge its newest version, make a new one, publish it.
 *
 * A write looks the row up, judges its newest version against the transaction's snapshot (first
 * updater wins), makes a new version, notes the intent, and only then publishes: the old version's
 * `end` by compare-and-swap, then the anchor's head, or the hash entry of a new row; last come the
 * entries of ordered indexes (entry.c).  A failed publication undoes the intent, and the caller
 * judges again.
 */
#include <string.h>

#include "table/publish_private.h"
#include "txn/latch.h"

/* ---- judging the newest version ------------------------------------------------------------- */

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

enum row_state ae_row_judge(const row_write *write, ae_ref anchor, row_judged *judged)
{
    AE_ASSERT(anchor != 0 && write->session->txn.open);
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
        if (begin == 0 || (begin >= AE_STAMP_TAKEN && begin < AE_MARK) || owner != anchor) {
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
    AE_ASSERT(anchor != 0);
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
    AE_ASSERT(write->session->txn.open);
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
    AE_ASSERT(texts == 0 || status != AERO_OK || parts->overflow != 0);
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

/* Bytes that weigh as much as a small version, where waiting for the horizon is counted; and what a
 * version weighs that replaces one which is as recent: the row's chain is to stay short. */
#define DEBT_BYTES 256u
#define DEBT_HOT 8u

/* What one of this size that is replaced will keep until the horizon passes it. */
static void debt_note(const row_write *write, const row_parts *parts, ae_ref replaced)
{
    aero_session *session = write->session;
    const ae_pool *pools = session->db->heap.pools;
    uint32_t bytes = pools[ae_heap_version_pool(write->table)].object_size;
    bytes += parts->overflow == 0 ? 0 : pools[parts->overflow_pool].object_size;
    session->reclaim_debt += bytes / DEBT_BYTES;
    if (replaced != 0) {
        const ae_version *before = ae_at(&session->db->segment, replaced);
        if (ae_load64(&before->begin) > session->horizon)
            session->reclaim_debt += DEBT_HOT;
    }
}

/* Fill the version, note the intent, and mark the version as ours.  Until the last store all parts
 * say "cached", so a reaper finds them whatever happens. */
static aero_status version_write(const row_write *write, const row_parts *parts, const void *image,
                                 ae_ref anchor, ae_ref older, ae_ref replaced, uint32_t what)
{
    AE_ASSERT(parts->version != 0 && anchor != 0 && write->table < AE_TABLES_MAX);
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
    debt_note(write, parts, replaced);
    /* Release: the row before the mark; pairs with ae_version_sight. */
    ae_store64_release(&version->begin, mark);
    AE_CRASH_POINT("write.marked");
    /* Only now: until the version is marked, the register is all that leads a reaper to a large
     * block. */
    ae_cache *cache = &ae_slot_at(&db->proc, session->txn.slot)->cache;
    if (parts->overflow != 0)
        ae_heap_linked(cache, parts->overflow);
    /* A wide version, too: its intent and its mark lead to it from here on. */
    const ae_pool *pool = &db->heap.pools[ae_heap_version_pool(write->table)];
    if (pool->object_size > AE_MAGAZINE_OBJECT_MAX)
        ae_heap_linked(cache, parts->version);
    return AERO_OK;
}

/* ---- publishing ----------------------------------------------------------------------------- */

/* The row exists: put `image` on top of its newest version. */
aero_status ae_publish_update(const row_write *write, ae_ref anchor, const row_judged *judged,
                              const void *image, ae_hash_entry *entry, bool *again)
{
    AE_ASSERT(anchor != 0 && image != NULL);
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
    AE_ASSERT(session->txn.intent_count == before + 1);
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
    status = ae_entries_put(write, anchor, image, judged->version);
    if (status != AERO_OK)
        ae_txn_undo_to(session, before);
    else if (session->txn.tracks)
        ae_reads_settle(&session->txn.reads, anchor); /* what ae_write_start noted */
    return status;
}

/* The row was deleted, and its anchor is still here: begin a new life on top of the old one. */
aero_status ae_publish_revival(const row_write *write, ae_ref anchor, const row_judged *judged,
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
    status = ae_entries_put(write, anchor, image, NULL);
    if (status != AERO_OK)
        ae_txn_undo_to(session, before);
    return status;
}

/* No anchor has the key: make one and enter it.  *again when somebody entered the key meanwhile. */
aero_status ae_publish_insert(const row_write *write, const void *image, bool *again)
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
    const bool lost = status == AERO_OK && found != 0;
    if (status == AERO_OK && !lost)
        status = ae_entries_put(write, parts.anchor, image, NULL);
    if (status != AERO_OK || lost) {
        ae_txn_undo_to(session, before);
        *again = lost;
    }
    return status;
}

aero_status ae_publish_delete(const row_write *write, ae_ref anchor, const row_judged *judged,
                              bool *again)
{
    AE_ASSERT(anchor != 0 && judged->version != NULL);
    aero_session *session = write->session;
    const uint32_t before = session->txn.intent_count;
    const uint64_t mark = ae_txn_mark(session);
    *again = false;
    aero_status status = ae_txn_reserve(session);
    if (status == AERO_OK)
        status = ae_txn_intend(session, anchor, 0, ae_head_ref(judged->head),
                               write->table | write->what);
    if (status != AERO_OK)
        return status;
    if (!ae_cas64(&judged->version->end, AE_STAMP_INFINITY, mark)) {
        ae_txn_undo_to(session, before);
        *again = true;
    }
    AE_CRASH_POINT("write.deleted");
    return AERO_OK;
}

/* ---- finding the row ------------------------------------------------------------------------ */

aero_status ae_row_conflict(const row_write *write, ae_ref anchor, int32_t reason)
{
    AE_ASSERT(anchor != 0);
    ae_latch_conflict(write->session, write->table, write->tag, anchor);
    return ae_conflict(write->session, reason, write->of->name);
}

aero_status ae_row_search(const row_write *write, ae_ref *anchor, ae_hash_entry **entry)
{
    return ae_hash_put(write->hash, write->session->txn.slot, write->tag, key_matches,
                       (void *)(uintptr_t)write, 0, 0, anchor, entry, &write->session->error);
}

/* Find the row, in its writers' order when there is one, and judge it.  *anchor is 0 when no
 * anchor has the key. */
aero_status ae_row_locate(const row_write *write, ae_ref *anchor, ae_hash_entry **entry,
                          enum row_state *state, row_judged *judged)
{
    aero_session *session = write->session;
    for (uint32_t attempt = 0;;) {
        const aero_status status = ae_row_search(write, anchor, entry);
        if (status != AERO_OK || *anchor == 0)
            return status;
        const ae_anchor *row = ae_at(&session->db->segment, *anchor);
        const bool wanted = ae_latch_wanted(session, write->table, write->tag);
        if (__builtin_expect(wanted || ae_load32(&row->latch) != 0, 0)) {
            const enum ae_latch latch = ae_latch_meet(session, *anchor, wanted);
            if (latch == AE_LATCH_AGAIN)
                continue; /* with the new snapshot what the look-up found may be gone */
            if (latch == AE_LATCH_LATE)
                return ae_row_conflict(write, *anchor, AERO_CONFLICT_LOCK);
        }
        *state = ae_row_judge(write, *anchor, judged);
        if (*state == ROW_CONFLICT) {
            if (ae_latch_patience(session, *anchor, attempt++))
                continue;
            return ae_row_conflict(write, *anchor, AERO_CONFLICT_WRITE);
        }
        if (*state != ROW_CLOSED)
            return AERO_OK;
        ae_pause(); /* its entry is being removed, or it was reused: look again */
    }
}

void ae_write_start(row_write *write, aero_session *session, uint32_t table, const void *key_row)
{
    AE_ASSERT(table < session->db->schema->table_count && key_row != NULL);
    write->session = session;
    write->table = table;
    write->of = &session->db->schema->tables[table];
    write->hash = &session->db->hashes[table];
    write->key_row = key_row;
    write->what = 0;
    write->absent = false;
    write->batch = NULL;
    write->ahead = NULL;
    const uint64_t hash = write->of->hash_key(key_row, NULL);
    write->tag = ae_hash_tag(hash);
    /* A write looks before it acts, and its outcome tells: that is a read, also when it is
     * undone. */
    if (session->txn.tracks)
        ae_reads_key(&session->txn.reads, table, hash);
}

/* A private image of a version's row: its long texts by address. */
void ae_image_of(const aero_db *db, const aero_table *of, const ae_version *version, void *image)
{
    AE_ASSERT(version != NULL && image != NULL);
    const ae_ref overflow = ae_load32(&version->overflow);
    memcpy(image, version->row, of->row_size);
    for (uint32_t index = 0; overflow != 0 && index < of->cell_count; index++) {
        aero_cell *cell = (aero_cell *)(void *)((char *)image +
                                                of->columns[of->cells[index]].offset);
        if (cell->length > AERO_CELL_INLINE)
            cell->u.where += (uint64_t)(uintptr_t)ae_at(&db->segment, overflow + 1);
    }
}
