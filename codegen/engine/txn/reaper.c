/* reaper.c — finishing or undoing what the dead left (law L2).
 *
 * Whoever needs a slot, a row or memory and finds its owner dead seizes the slot by
 * compare-and-swap and cleans it up; a reaper that dies half-way is itself found and the work taken
 * up again, for every step looks whether it has been done.  Order matters:
 *
 *   1 settle the commit queue, so that the outcome is known: after the decision it is finished,
 *   else undone
 *   2 repair lists that a store tore, and the allocator's registers, before anything is given back
 *   3 finish a split of the hash, a step of a tree, then a half-freed version: their registers are
 *     needed next
 *   4 keep the log record or take it back, then finish or undo the intents
 *   5 give back what the slot kept at hand and what nobody sees any more
 */
#include "index/tree.h"
#include "proc/feed.h"
#include "txn/prune.h"
#include "txn/txn.h"

typedef struct reap_context {
    aero_db *db;
    uint32_t slot;
} reap_context;

/* A block that was in the dead hand: does anything lead to it? */
static bool block_is_orphan(void *context, ae_ref ref, uint64_t word)
{
    AE_ALWAYS(ref != 0);
    const reap_context *reap = context;
    aero_db *db = reap->db;
    ae_slot *at = ae_slot_at(&db->proc, reap->slot);
    if ((word >> 61) != AE_WORD_OWNED >> 61)
        return false;
    const ae_ref owner = (ae_ref)word;
    if (owner == 0) { /* an intent chunk, a copy of intents, or the magazines themselves */
        if (word != AE_WORD_OF_SLOT(reap->slot))
            return false; /* the register is an old one, and the block another slot's by now */
        for (ae_ref chunk = ae_load32(&at->chunk_first); chunk != 0;
             chunk = ae_load32(&((ae_intent_chunk *)ae_at(&db->segment, chunk))->next))
            if (chunk == ref)
                return false;
        return ref + 1 != ae_load32(&at->cache.magazines) && ref != ae_load32(&at->write_block) &&
               ref != ae_log_ring_block(&db->log, reap->slot);
    }
    const ae_slab *slab = ae_heap_slab(&db->heap, owner);
    if (slab == NULL || db->heap.pools[slab->pool].kind != AE_POOL_VERSION)
        return false;
    /* The owner counts only when it was marked as in use, which is done after the block. */
    return ae_heap_is_cached(&db->heap, slab->pool, owner, reap->slot);
}

bool ae_reap_slot(aero_db *db, uint32_t slot, uint32_t member)
{
    AE_ALWAYS(slot < AE_SLOTS && member < AE_MEMBERS);
    ae_slot *at = ae_slot_at(&db->proc, slot);
    const uint64_t owner = ae_load64_acquire(&at->owner);
    if (!ae_slot_seize(&db->proc, slot, member))
        return false;
    AE_CRASH_POINT("reap.seized");
    /* Awake, like its owner at a call: what is unlinked from now on stays; pairs with
     * ae_snapshots_take. */
    ae_store32_release(&at->resting, 0);
    atomic_thread_fence(memory_order_seq_cst);
    /* It may have died before it had one, or while giving it up; cleaning walks the hash.  (Where a
     * reaper died before it had replaced a void one, that will do: what is met from now on is
     * retired from now on.) */
    if (ae_cancel_over(at) || ae_load64(&at->snapshot) == 0)
        (void)ae_snapshot_publish(&db->proc, &at->snapshot);
    const bool worked = ae_state_of(ae_load64_acquire(&at->state)) != AE_STATE_IDLE;
    const uint64_t number = worked ? ae_queue_settle(&db->queue, slot) : 0;
    /* Its snapshot stays published until the end: what its registers name must not be reused. */
    ae_limbo_repair(&db->proc, &at->limbo_head, &at->limbo_tail, offsetof(ae_version, limbo_next));
    ae_prune_moved(db, slot);
    ae_limbo_repair(&db->proc, &at->block_head, &at->block_tail, offsetof(ae_block, limbo_next));
    reap_context context = {db, slot};
    ae_heap_recover(&db->heap, &at->cache, slot, ae_load32(&at->limbo_head), block_is_orphan,
                    &context);
    ae_slab_recover(&db->proc, slot);
    for (uint32_t table = 0; table < db->schema->table_count; table++)
        ae_hash_recover(&db->hashes[table], slot);
    ae_tree_recover(&db->proc, slot);
    ae_catalog_recover(&db->catalog, slot);
    /* Before the intents: undoing them uses the same registers for other rows. */
    ae_reclaim_recover(db, slot);
    if (ae_log_is_on(&db->log))
        ae_log_settle(&db->log, slot, number != 0);
    if (number != 0 && ae_load32(&at->intent_count) != 0)
        ae_writes_describe(db, slot, number - 1);
    if (number != 0) {
        ae_intents_stamp(db, slot, number);
        ae_writes_count(db, slot);
    } else {
        ae_intents_undo(db, slot, ae_load32(&at->intent_count), 0);
    }
    ae_writes_retire(db, slot);
    if (number != 0)
        ae_feed_notify(&db->proc); /* the dead may not have come to it */
    /* Release: finished before it stops counting; pairs with the reaper of this reaper, here. */
    ae_store32_release(&at->intent_count, 0);
    AE_CRASH_POINT("reap.cleaned");
    ae_reclaim_dead(db, slot);
    ae_count(&db->proc, AE_COUNT_REAPED_SLOTS);
    ae_slot_release(&db->proc, slot);
    /* Its line, too: low numbers are used again, so slots with stock are. */
    (void)ae_member_bury(&db->proc, (uint32_t)owner - 1);
    return true;
}

uint32_t ae_reap_all(aero_db *db, uint32_t member)
{
    uint32_t reaped = 0;
    const uint32_t high = ae_load32_acquire(&db->proc.shared->slot_high);
    for (uint32_t slot = 0; slot < high; slot++)
        reaped += ae_slot_dead(&db->proc, slot) && ae_reap_slot(db, slot, member);
    return reaped;
}
