/* intent.c — the list of a transaction's writes: appending, undoing, stamping.
 *
 * The list lives in the segment (twelve intents in the slot, the rest in chunks) and is written
 * before the writes themselves, so that a reaper can finish or undo them.  Undoing and stamping may
 * both be begun by the owner and taken up by a reaper at any point: every step looks whether it has
 * been done.
 */
#include "txn/entries.h"
#include "txn/visibility_inline.h"

ae_intent *ae_intent_at(const aero_db *db, ae_slot *slot, uint32_t index)
{
    AE_ASSERT(index < AE_WRITES_MAX);
    if (index < AE_INTENTS_INLINE)
        return &slot->intents[index];
    index -= AE_INTENTS_INLINE;
    ae_ref ref = ae_load32(&slot->chunk_first);
    for (uint32_t skip = index / AE_INTENTS_CHUNK; skip > 0; skip--)
        ref = ae_load32(&((ae_intent_chunk *)ae_at(&db->segment, ref))->next);
    ae_intent_chunk *chunk = ae_at(&db->segment, ref);
    return &chunk->intents[index % AE_INTENTS_CHUNK];
}

void ae_intent_walk_start(ae_intent_walk *walk, const aero_db *db, ae_slot *slot, uint32_t index)
{
    walk->db = db;
    walk->slot = slot;
    walk->index = index;
    walk->chunk = NULL;
    if (index >= AE_INTENTS_INLINE) {
        ae_intent *intent = ae_intent_at(db, slot, index);
        const uint32_t place = (index - AE_INTENTS_INLINE) % AE_INTENTS_CHUNK;
        walk->chunk = (ae_intent_chunk *)(void *)((char *)(intent - place) -
                                                  offsetof(ae_intent_chunk, intents));
    }
}

ae_intent *ae_intent_walk_here(const ae_intent_walk *walk)
{
    if (walk->index < AE_INTENTS_INLINE)
        return &walk->slot->intents[walk->index];
    return &walk->chunk->intents[(walk->index - AE_INTENTS_INLINE) % AE_INTENTS_CHUNK];
}

void ae_intent_walk_next(ae_intent_walk *walk)
{
    walk->index++;
    if (walk->index < AE_INTENTS_INLINE ||
        (walk->index - AE_INTENTS_INLINE) % AE_INTENTS_CHUNK != 0)
        return;
    const ae_ref ref = walk->chunk == NULL ? ae_load32(&walk->slot->chunk_first)
                                           : ae_load32(&walk->chunk->next);
    walk->chunk = ref == 0 ? NULL : ae_at(&walk->db->segment, ref);
}

static void walk_back(ae_intent_walk *walk)
{
    const uint32_t place = walk->index;
    walk->index--;
    if (place < AE_INTENTS_INLINE || (place - AE_INTENTS_INLINE) % AE_INTENTS_CHUNK != 0)
        return;
    const ae_ref ref = ae_load32(&walk->chunk->block.extra);
    walk->chunk = ref == 0 ? NULL : ae_at(&walk->db->segment, ref);
}

/* Link one more chunk to the slot's list. */
static aero_status chunk_add(aero_session *session, ae_slot *slot)
{
    aero_db *db = session->db;
    const uint32_t pool = ae_heap_class(&db->heap, sizeof(ae_intent_chunk) - sizeof(ae_block));
    ae_ref ref = 0;
    aero_status status = ae_heap_take(&db->heap, &slot->cache, session->txn.slot, pool, &ref,
                                      &session->error);
    if (status == AERO_FULL && ae_reclaim_hard(session))
        status = ae_heap_take(&db->heap, &slot->cache, session->txn.slot, pool, &ref,
                              &session->error);
    if (status != AERO_OK)
        return status;
    ae_intent_chunk *chunk = ae_at(&db->segment, ref);
    const ae_ref last = ae_load32(&slot->chunk_last);
    ae_store32(&chunk->next, 0);
    ae_store32(&chunk->block.extra, last);
    ae_store64_release(&chunk->block.word, AE_WORD_OF_SLOT(session->txn.slot));
    AE_CRASH_POINT("intent.chunk");
    if (last == 0)
        ae_store32_release(&slot->chunk_first, ref);
    else
        ae_store32_release(&((ae_intent_chunk *)ae_at(&db->segment, last))->next, ref);
    ae_store32_release(&slot->chunk_last, ref);
    return AERO_OK;
}

aero_status ae_txn_reserve(aero_session *session)
{
    ae_txn *txn = &session->txn;
    if (txn->intent_count >= AE_WRITES_MAX)
        return ae_fail(&session->error, AERO_LIMIT, "a transaction can make at most %u writes",
                       AE_WRITES_MAX);
    /* What the commit of several needs is taken with the second: to keep what fitted, no memory
     * must be needed any more. */
    if (txn->intent_count == 1) {
        const aero_status status = ae_writes_reserve(session);
        if (status != AERO_OK)
            return status;
    }
    if (ae_intent_chunks(txn->intent_count + 1) <= txn->chunk_count)
        return AERO_OK;
    const aero_status status = chunk_add(session, ae_slot_at(&session->db->proc, txn->slot));
    if (status == AERO_OK)
        txn->chunk_count++;
    return status;
}

aero_status ae_txn_intend(aero_session *session, ae_ref anchor, ae_ref created, ae_ref replaced,
                          uint32_t what)
{
    AE_ASSERT(session->txn.open && anchor != 0 && (created != 0 || replaced != 0));
    AE_ASSERT((what & 0xffu) < AE_TABLES_MAX);
    ae_slot *slot = ae_slot_at(&session->db->proc, session->txn.slot);
    const uint32_t index = session->txn.intent_count;
    AE_ALWAYS(ae_intent_chunks(index + 1) <= session->txn.chunk_count);
    ae_intent *intent = &slot->intents[index < AE_INTENTS_INLINE ? index : 0];
    if (index >= AE_INTENTS_INLINE) {
        /* The reserved chunk is the last one, and the intent is never further back than that. */
        ae_intent_chunk *chunk = ae_at(&session->db->segment, ae_load32(&slot->chunk_last));
        intent = &chunk->intents[(index - AE_INTENTS_INLINE) % AE_INTENTS_CHUNK];
    }
    ae_store32(&intent->anchor, anchor);
    ae_store32(&intent->created, created);
    ae_store32(&intent->replaced, replaced);
    ae_store32(&intent->what, what);
    /* Release: the intent is whole before it counts; read by the reaper. */
    ae_store32_release(&slot->intent_count, index + 1);
    session->txn.intent_count = index + 1;
    AE_CRASH_POINT("intent.noted");
    return AERO_OK;
}

/* Is the older version of the row, to which a write was linked that is being undone, still there?
 * A cancelled transaction has kept nothing: not even a slab may be there any more. */
static bool older_is_there(const aero_db *db, ae_ref anchor, ae_ref older)
{
    if (!ae_heap_leads(&db->heap, older))
        return false;
    const ae_version *version = ae_at(&db->segment, older);
    const uint64_t begin = ae_load64_acquire(&version->begin);
    const bool there = (begin & AE_MARK) != 0 || (begin != 0 && begin < AE_STAMP_TAKEN);
    return there && ae_load32(&version->anchor) == anchor;
}

/* After a rollback the head leads to a dead older version again, unless that has been freed: then
 * the anchor goes.  The freer makes `begin` invisible before it looks at the head, we set the head
 * before we look at `begin`: one of the two sees the other. */
static void head_restore_dead(aero_db *db, uint32_t slot, uint32_t table, ae_ref anchor,
                              ae_ref older)
{
    AE_ASSERT(anchor != 0 && table < db->schema->table_count);
    ae_anchor *row = ae_at(&db->segment, anchor);
    const uint64_t head = ae_load64_acquire(&row->head);
    atomic_thread_fence(memory_order_seq_cst); /* pairs with version_reclaim */
    if (ae_head_ref(head) != older)
        return; /* never published, or closed already */
    if (!older_is_there(db, anchor, older))
        (void)ae_anchor_close(db, slot, table, anchor, head);
}

static void intent_undo(aero_db *db, uint32_t slot, uint64_t mark, const ae_intent *intent)
{
    const uint32_t what = ae_load32(&intent->what);
    const uint32_t table = what & 0xffu;
    const ae_ref anchor = ae_load32(&intent->anchor);
    const ae_ref created = ae_load32(&intent->created);
    const ae_ref replaced = ae_load32(&intent->replaced);
    ae_anchor *row = ae_at(&db->segment, anchor);
    const ae_version *version = created == 0 ? NULL : ae_at(&db->segment, created);
    const bool mine = version != NULL && ae_load64(&version->begin) == mark;
    if (mine) {
        const uint64_t head = ae_load64_acquire(&row->head);
        const ae_ref older = ae_load32(&version->older);
        if (ae_head_ref(head) == created) {
            /* A head is followed without a look at where it leads: if what it led to is gone, it
             * must not do so for a moment. */
            if ((what & AE_INTENT_NEW_ANCHOR) != 0 ||
                (replaced == 0 && !older_is_there(db, anchor, older))) {
                (void)ae_anchor_close(db, slot, table, anchor, head);
            } else {
                (void)ae_cas64(&row->head, head, ae_head_next(head, older));
                AE_CRASH_POINT("undo.head");
            }
        }
        if (replaced == 0 && (what & AE_INTENT_NEW_ANCHOR) == 0)
            head_restore_dead(db, slot, table, anchor, older);
    }
    if (replaced != 0) {
        ae_version *old = ae_at(&db->segment, replaced);
        (void)ae_cas64(&old->end, mark, AE_STAMP_INFINITY);
        AE_CRASH_POINT("undo.end");
    }
    if (mine) {
        /* The version cannot wait: for want of memory an entry that leads nowhere stays. */
        if (ae_entries_drop(db, slot, table, &version, 1) == 0)
            ae_entries_abandon(db, table);
        ae_version_free(db, slot, ae_heap_version_pool(table), created);
    }
}

void ae_intents_undo(aero_db *db, uint32_t slot, uint32_t from, uint32_t to)
{
    AE_ASSERT(slot < AE_SLOTS);
    ae_slot *at = ae_slot_at(&db->proc, slot);
    ae_intent_walk walk;
    if (from <= to)
        return;
    ae_intent_walk_start(&walk, db, at, from - 1);
    for (;;) {
        const uint64_t mark = ae_mark(slot, ae_load64(&at->generation), walk.index);
        const ae_intent *intent = ae_intent_walk_here(&walk);
        const bool more = walk.index > to;
        intent_undo(db, slot, mark, intent);
        const uint32_t index = walk.index;
        if (more)
            walk_back(&walk);
        /* Release: undone before it stops counting. */
        ae_store32_release(&at->intent_count, index);
        if (!more)
            break;
    }
    ae_intents_trim(db, slot, to);
}

void ae_intents_trim(aero_db *db, uint32_t slot, uint32_t count)
{
    AE_ASSERT(slot < AE_SLOTS);
    ae_slot *at = ae_slot_at(&db->proc, slot);
    const uint32_t pool = ae_heap_class(&db->heap, sizeof(ae_intent_chunk) - sizeof(ae_block));
    const uint32_t keep = ae_intent_chunks(count);
    uint32_t have = 0;
    for (ae_ref ref = ae_load32(&at->chunk_first); ref != 0; have++)
        ref = ae_load32(&((ae_intent_chunk *)ae_at(&db->segment, ref))->next);
    for (; have > keep; have--) {
        /* The last one by walking: after a death `chunk_last` may be one behind. */
        ae_ref before = 0;
        ae_ref last = ae_load32(&at->chunk_first);
        const ae_ref newest = ae_load32(&at->chunk_last);
        if (newest != 0 &&
            ae_load32(&((ae_intent_chunk *)ae_at(&db->segment, newest))->next) == 0) {
            last = newest;
            before = ae_load32(&((ae_intent_chunk *)ae_at(&db->segment, last))->block.extra);
        } else {
            for (;;) {
                const ae_ref next = ae_load32(
                    &((ae_intent_chunk *)ae_at(&db->segment, last))->next);
                if (next == 0)
                    break;
                before = last;
                last = next;
            }
        }
        AE_ASSERT(last != 0 && last != before);
        ae_heap_register(&db->heap, &at->cache, pool, last);
        ae_store32_release(&at->chunk_last, before);
        if (before == 0)
            ae_store32_release(&at->chunk_first, 0);
        else
            ae_store32_release(&((ae_intent_chunk *)ae_at(&db->segment, before))->next, 0);
        AE_CRASH_POINT("intent.unchunk");
        ae_heap_give(&db->heap, &at->cache, slot, pool, last);
    }
}

/* A mark becomes the number, unless that was done before a death.  Only the slot's owner, or its
 * one reaper, changes a word that has its mark, so a look and a store will do. */
static void stamp_set(ae_a64 *stamp, uint64_t mark, uint64_t number)
{
    AE_ASSERT((mark & AE_MARK) != 0 && (number & AE_MARK) == 0);
    /* Release: pairs with the acquire in ae_version_sight; what it says was decided before. */
    if (ae_load64(stamp) == mark)
        ae_store64_release(stamp, number);
}

void ae_intents_stamp(aero_db *db, uint32_t slot, uint64_t number)
{
    AE_ASSERT(slot < AE_SLOTS && number != 0 && number < AE_STAMP_TAKEN);
    ae_slot *at = ae_slot_at(&db->proc, slot);
    const uint32_t count = ae_load32(&at->intent_count);
    const uint32_t start = ae_load32(&at->stamped);
    ae_intent_walk walk;
    if (start >= count)
        return;
    ae_intent_walk_start(&walk, db, at, start);
    for (;;) {
        const ae_intent *intent = ae_intent_walk_here(&walk);
        const uint64_t mark = ae_mark(slot, ae_load64(&at->generation), walk.index);
        const ae_ref created = ae_load32(&intent->created);
        const ae_ref replaced = ae_load32(&intent->replaced);
        if (created != 0) {
            ae_version *version = ae_at(&db->segment, created);
            stamp_set(&version->begin, mark, number);
            AE_CRASH_POINT("stamp.begin");
        }
        if (replaced != 0) {
            ae_version *old = ae_at(&db->segment, replaced);
            stamp_set(&old->end, mark, number);
            AE_CRASH_POINT("stamp.end");
            if (!ae_limbo_last_is(&at->limbo_head, &at->limbo_tail, replaced)) {
                ae_limbo_push(&db->proc, &at->limbo_head, &at->limbo_tail, replaced,
                              &old->limbo_next);
                ae_store32(&at->limbo_count, ae_load32(&at->limbo_count) + 1);
            }
        }
        ae_store32_release(&at->stamped, walk.index + 1);
        if (walk.index + 1 == count)
            break;
        ae_intent_walk_next(&walk);
    }
}
