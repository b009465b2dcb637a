/* validate.c — the reads of one transaction against the writes of those that committed since.
 *
 * A transaction takes its place in the serial order when it enters the queue.  It is right there if
 * what it read at its snapshot is what it would read at its place, that is, if nothing that was
 * decided in between bears on its reads.  Only decided positions are looked at, so what they wrote
 * no longer moves; it stays in memory because our snapshot, which is older, is published (P3).
 */
#include "txn/changes.h"

#define WRITE_BLOCK_BYTES (sizeof(ae_write_block) - sizeof(ae_block))

/* The queue's entry has no room to say that a row has expired: a block does. */
static bool writes_expired(const ae_slot *slot)
{
    return (ae_load32(&slot->intents[0].what) & AE_INTENT_EXPIRED) != 0;
}

aero_status ae_writes_reserve(aero_session *session)
{
    AE_ASSERT(session->txn.open && session->txn.slot < AE_SLOTS);
    aero_db *db = session->db;
    const uint32_t number = session->txn.slot;
    ae_slot *slot = ae_slot_at(&db->proc, number);
    if (ae_load32(&slot->write_block) != 0)
        return AERO_OK;
    const uint32_t pool = ae_heap_class(&db->heap, WRITE_BLOCK_BYTES);
    ae_ref ref = 0;
    aero_status status = ae_heap_take(&db->heap, &slot->cache, number, pool, &ref, &session->error);
    if (status == AERO_FULL && ae_reclaim_hard(session))
        status = ae_heap_take(&db->heap, &slot->cache, number, pool, &ref, &session->error);
    if (status != AERO_OK)
        return status;
    ae_write_block *block = ae_at(&db->segment, ref);
    ae_store32(&block->count, 0);
    ae_store32(&block->chunk_first, 0);
    /* The register before the word: a reaper finds a block that is in use.  Pairs with
     * block_is_orphan. */
    ae_store32_release(&slot->write_block, ref);
    ae_store64_release(&block->block.word, AE_WORD_OF_SLOT(number));
    AE_CRASH_POINT("writes.reserved");
    return AERO_OK;
}

void ae_writes_prepare(const aero_session *session)
{
    AE_ASSERT(session->txn.open && session->txn.intent_count > 0);
    const aero_db *db = session->db;
    const ae_slot *slot = ae_slot_at(&db->proc, session->txn.slot);
    const ae_ref ref = ae_load32(&slot->write_block);
    if (session->txn.intent_count < 2 && !writes_expired(slot))
        return;
    AE_ALWAYS(ref != 0);
    ae_write_block *block = ae_at(&db->segment, ref);
    ae_store32(&block->count, session->txn.intent_count);
    ae_store32(&block->chunk_first, ae_load32(&slot->chunk_first));
    for (uint32_t index = 0; index < AE_INTENTS_INLINE; index++) {
        ae_store32(&block->intents[index].anchor, ae_load32(&slot->intents[index].anchor));
        ae_store32(&block->intents[index].created, ae_load32(&slot->intents[index].created));
        ae_store32(&block->intents[index].replaced, ae_load32(&slot->intents[index].replaced));
        ae_store32(&block->intents[index].what, ae_load32(&slot->intents[index].what));
    }
    AE_CRASH_POINT("writes.copied");
}

void ae_writes_describe(aero_db *db, uint32_t slot, uint64_t position)
{
    const ae_slot *at = ae_slot_at(&db->proc, slot);
    const ae_ref created = ae_load32(&at->intents[0].created);
    const ae_ref replaced = ae_load32(&at->intents[0].replaced);
    if (ae_load32(&at->intent_count) > 1 || writes_expired(at))
        ae_queue_describe(&db->queue, position, AE_WROTE_SEVERAL, ae_load32(&at->write_block));
    else if (created == 0)
        ae_queue_describe(&db->queue, position, AE_WROTE_DELETE, replaced);
    else
        ae_queue_describe(&db->queue, position, replaced == 0 ? AE_WROTE_INSERT : AE_WROTE_UPDATE,
                          created);
    AE_CRASH_POINT("writes.described");
}

void ae_writes_retire(aero_db *db, uint32_t slot)
{
    AE_ASSERT(slot < AE_SLOTS);
    ae_slot *at = ae_slot_at(&db->proc, slot);
    const ae_ref block = ae_load32(&at->write_block);
    if (block != 0) {
        const uint64_t word = ae_load64(&((ae_block *)ae_at(&db->segment, block))->word);
        /* Else it was never in use; or it was retired before a death, perhaps not yet listed. */
        const bool unlisted = (word & ~AE_RETIRED_NUMBER) == ae_retired_word(slot, 0) &&
                              !ae_limbo_last_is(&at->block_head, &at->block_tail, block);
        if (word == AE_WORD_OF_SLOT(slot) || unlisted)
            ae_block_retire(&db->proc, slot, block);
        AE_CRASH_POINT("writes.retired");
        ae_store32_release(&at->write_block, 0);
    }
    for (ae_ref ref = ae_load32(&at->chunk_first); ref != 0; ref = ae_load32(&at->chunk_first)) {
        const ae_intent_chunk *chunk = ae_at(&db->segment, ref);
        if (!ae_limbo_last_is(&at->block_head, &at->block_tail, ref))
            ae_block_retire(&db->proc, slot, ref);
        AE_CRASH_POINT("writes.chunk_retired");
        ae_store32_release(&at->chunk_first, ae_load32(&chunk->next));
    }
    ae_store32_release(&at->chunk_last, 0);
}

/* One write against the reads. */
static int32_t write_check(void *context, ae_ref created, ae_ref replaced, uint32_t what)
{
    AE_ASSERT(created != 0 || replaced != 0);
    const aero_session *session = context;
    const aero_db *db = session->db;
    (void)what;
    const ae_slab *slab = ae_heap_slab(&db->heap, created != 0 ? created : replaced);
    AE_ALWAYS(slab != NULL);
    const uint32_t table = db->heap.pools[slab->pool].table;
    const aero_table *of = &db->schema->tables[table];
    const void *rows[2] = {NULL, NULL};
    const char *bases[2] = {NULL, NULL};
    const ae_ref refs[2] = {replaced, created};
    for (int side = 0; side < 2; side++) {
        if (refs[side] == 0)
            continue;
        const ae_version *version = ae_at(&db->segment, refs[side]);
        const ae_ref overflow = ae_load32(&version->overflow);
        rows[side] = version->row;
        bases[side] = overflow == 0 ? NULL : ae_at(&db->segment, overflow + 1);
    }
    const int any = rows[1] != NULL ? 1 : 0;
    return ae_reads_hit(&session->txn.reads, table, of->hash_key(rows[any], bases[any]), rows[0],
                        bases[0], rows[1], bases[1]);
}

int32_t ae_validate(const aero_session *session, uint64_t from, uint64_t upto)
{
    AE_ASSERT(from <= upto && session->txn.open);
    int32_t hit = AERO_CONFLICT_NONE;
    if (upto - from > session->db->queue.mask - AE_SLOTS)
        return AERO_CONFLICT_WINDOW;
    for (uint64_t position = from; position < upto && hit == AERO_CONFLICT_NONE; position++) {
        ae_changes_fetch(session->db, position, upto);
        hit = ae_changes_visit(session->db, position, write_check, (void *)(uintptr_t)session);
    }
    return hit == AE_CHANGES_LOST ? AERO_CONFLICT_WINDOW : hit;
}
