/* reclaim.c — freeing dead versions, and the anchors of rows that are gone.
 *
 * A version that was replaced or deleted waits in the limbo of the slot that did it until the
 * horizon has passed its `end`.  Freeing is a sequence that a reaper can take up at any step:
 *
 *   0 its entries are removed from the ordered indexes, where no other version needs them
 *   1 the version's word says dead, and, unless somebody relinks the row just now (prune.h), cached
 *     (nobody sees it any more; it is still the limbo's head)
 *   2 if it is its anchor's head, the row is deleted: close the anchor, take it out of the hash,
 *   give it
 *   3 its overflow block is given
 *   4 it is named in the magazine's register, then taken off the limbo
 *   5 it counts as stock
 *
 * When that is done, and for whom, is vacuum.c.
 */
#include "txn/entries.h"
#include "txn/prune.h"
#include "txn/reclaim_private.h"
#include "txn/visibility_inline.h"

bool ae_anchor_close(aero_db *db, uint32_t slot, uint32_t table, ae_ref anchor, uint64_t head)
{
    AE_ASSERT(slot < AE_SLOTS && anchor != 0 && table < db->schema->table_count);
    ae_slot *at = ae_slot_at(&db->proc, slot);
    ae_anchor *row = ae_at(&db->segment, anchor);
    ae_store32_release(&at->closing, anchor);
    if (!ae_cas64(&row->head, head, ae_head_next(head, AE_HEAD_CLOSED + slot))) {
        ae_store32_release(&at->closing, 0);
        return false;
    }
    AE_CRASH_POINT("anchor.closed");
    /* Removing can fail only for want of memory for a split; then the entry stays and leads to a
     * closed anchor, which must not be given back. */
    if (ae_hash_remove(&db->hashes[table], slot, ae_load32(&row->tag), anchor, NULL) == AERO_OK) {
        AE_CRASH_POINT("anchor.removed");
        ae_heap_give(&db->heap, &at->cache, slot, ae_heap_anchor_pool(table), anchor);
    }
    ae_store32_release(&at->closing, 0);
    return true;
}

/* Give the block of a version's long texts, if it is still the version's. */
static void overflow_free(aero_db *db, uint32_t slot, ae_ref ref, const ae_version *version)
{
    AE_ASSERT(ref != 0);
    const ae_ref block = ae_load32(&version->overflow);
    if (block == 0)
        return;
    ae_slot *at = ae_slot_at(&db->proc, slot);
    const ae_slab *slab = ae_heap_slab(&db->heap, block);
    const ae_a64 *word = ae_at(&db->segment, block);
    if (slab == NULL || ae_load64(word) != (AE_WORD_OWNED | ref))
        return; /* done before the death that we repair */
    ae_heap_give(&db->heap, &at->cache, slot, slab->pool, block);
    AE_CRASH_POINT("version.overflow_freed");
}

void ae_version_free(aero_db *db, uint32_t slot, uint32_t pool, ae_ref ref)
{
    AE_ASSERT(slot < AE_SLOTS && ref != 0 && pool < db->heap.class_first);
    ae_slot *at = ae_slot_at(&db->proc, slot);
    overflow_free(db, slot, ref, ae_at(&db->segment, ref));
    ae_heap_give(&db->heap, &at->cache, slot, pool, ref);
}

/* Steps 1 to 5 for the limbo's head. */
bool ae_version_reclaim(aero_db *db, uint32_t slot, ae_ref ref)
{
    AE_ASSERT(slot < AE_SLOTS && ref != 0);
    ae_slot *at = ae_slot_at(&db->proc, slot);
    ae_version *version = ae_at(&db->segment, ref);
    const ae_slab *slab = ae_heap_slab(&db->heap, ref);
    AE_ALWAYS(slab != NULL && db->heap.pools[slab->pool].kind == AE_POOL_VERSION);
    const uint32_t pool = slab->pool;
    const uint32_t table = db->heap.pools[pool].table;
    const ae_ref next = ae_load32(&version->limbo_next);
    const ae_ref anchor = ae_load32(&version->anchor);
    const uint64_t begin = ae_load64(&version->begin);
    const bool alone = begin == AE_STAMP_TAKEN || begin == (AE_WORD_CACHED | slot);
    if (!alone)
        ae_store64_release(&version->begin, AE_STAMP_DEAD);
    /* Pairs with head_restore_dead, and with lock_take in prune.c. */
    atomic_thread_fence(memory_order_seq_cst);
    AE_CRASH_POINT("reclaim.unseen");
    if (!alone && ae_prune_waits(db, slot, anchor))
        return false;
    ae_store64_release(&version->begin, AE_WORD_CACHED | slot);
    AE_CRASH_POINT("reclaim.cached");
    ae_anchor *row = ae_at(&db->segment, anchor);
    const uint64_t head = ae_load64_acquire(&row->head);
    if (ae_head_ref(head) == ref)
        (void)ae_anchor_close(db, slot, table, anchor, head);
    overflow_free(db, slot, ref, version);
    ae_heap_register(&db->heap, &at->cache, pool, ref);
    AE_CRASH_POINT("reclaim.registered");
    ae_store32_release(&at->limbo_head, next);
    if (ae_load32(&at->limbo_count) > 0)
        ae_store32(&at->limbo_count, ae_load32(&at->limbo_count) - 1);
    AE_CRASH_POINT("reclaim.off");
    ae_heap_give(&db->heap, &at->cache, slot, pool, ref);
    return true;
}

/* Versions between the one that is freed and one that is being fetched. */
#define FETCH_AHEAD AE_ENTRIES_TOGETHER

/* Ask for what freeing will read next: the version that `far` names, the row of the one before it,
 * and, to compare keys, the version that the row of the one before that has now.  Where somebody
 * holds the horizon back, all of that was touched long ago; one after the other the misses would
 * cost as much as the commit.  By prefetches, since the locked operations and fences of freeing
 * wait for every load before them. */
static void limbo_fetch(const aero_db *db, bool indexed, const ae_ref ahead[3])
{
    if (indexed && ahead[0] != 0) {
        const ae_version *near = ae_at(&db->segment, ahead[0]);
        const uint64_t head = ae_load64(
            &((const ae_anchor *)ae_at(&db->segment, ae_load32(&near->anchor)))->head);
        if (ae_head_is_row(head)) {
            const ae_version *newest = ae_at(&db->segment, ae_head_ref(head));
            __builtin_prefetch(newest);
            __builtin_prefetch(&newest->row[64]);
        }
    }
    if (ahead[1] != 0) {
        const ae_version *middle = ae_at(&db->segment, ahead[1]);
        __builtin_prefetch(ae_at(&db->segment, ae_load32(&middle->anchor)));
    }
    if (ahead[2] != 0) {
        const ae_version *far = ae_at(&db->segment, ahead[2]);
        /* A watch may have read it: then it is in another processor's cache, too. */
        ae_fetch_to_write(far);
        ae_fetch_to_write(&far->row[64]);
    }
}

/* The one behind it in the limbo. */
static ae_ref limbo_next(const aero_db *db, ae_ref ref)
{
    return ref == 0 ? 0 : ae_load32(&((const ae_version *)ae_at(&db->segment, ref))->limbo_next);
}

/* The first versions of the limbo that nobody sees, at most `most`, all of one table: a few, or as
 * many as there are of one row; returns how many. */
static uint32_t limbo_group(const aero_db *db, uint32_t slot, uint64_t horizon, uint32_t most,
                            const ae_version *versions[AE_ENTRIES_OF_ROW], uint32_t *table)
{
    uint32_t count = 0;
    bool one_row = true;
    ae_ref ref = ae_load32(&ae_slot_at(&db->proc, slot)->limbo_head);
    for (; ref != 0 && count < most && count < AE_ENTRIES_OF_ROW; ref = limbo_next(db, ref)) {
        const ae_version *version = ae_at(&db->segment, ref);
        if (ae_load64(&version->end) > horizon)
            break;
        one_row = one_row &&
                  (count == 0 || ae_load32(&version->anchor) == ae_load32(&versions[0]->anchor));
        if (count >= AE_ENTRIES_TOGETHER && !one_row)
            break;
        const ae_slab *slab = ae_heap_slab(&db->heap, ref);
        AE_ALWAYS(slab != NULL);
        const uint32_t of = db->heap.pools[slab->pool].table;
        if (count > 0 && of != *table)
            break;
        *table = of;
        versions[count++] = version;
    }
    AE_ASSERT(count <= most && count <= AE_ENTRIES_OF_ROW);
    return count;
}

/* Free up to `most` versions of the slot's limbo that ended at or before the horizon. */
static uint32_t limbo_reclaim_dead(aero_db *db, uint32_t slot, uint64_t horizon, uint32_t most)
{
    const ae_version *versions[AE_ENTRIES_OF_ROW];
    ae_ref ahead[3] = {0, 0, 0};
    uint32_t table = 0;
    uint32_t freed = 0;
    uint32_t count = limbo_group(db, slot, horizon, most, versions, &table);
    if (count > 0)
        ahead[0] = ae_ref_of(&db->segment, versions[0]);
    for (uint32_t step = 0; step < FETCH_AHEAD; step++)
        ahead[0] = limbo_next(db, ahead[0]);
    ahead[1] = limbo_next(db, ahead[0]);
    ahead[2] = limbo_next(db, ahead[1]);
    while (count > 0) {
        const bool indexed = ae_catalog_maintained(&db->catalog, table) != 0;
        const uint32_t done = ae_entries_drop(db, slot, table, versions, count);
        AE_ASSERT(done <= count);
        for (uint32_t index = 0; index < done; index++) {
            limbo_fetch(db, indexed, ahead);
            ahead[0] = ahead[1];
            ahead[1] = ahead[2];
            ahead[2] = limbo_next(db, ahead[2]);
            if (!ae_version_reclaim(db, slot, ae_ref_of(&db->segment, versions[index])))
                return freed; /* its row is being relinked */
            freed++;
        }
        if (done < count)
            break; /* no memory: they wait */
        count = limbo_group(db, slot, horizon, most - freed, versions, &table);
    }
    return freed;
}

uint32_t aei_limbo_reclaim(aero_db *db, uint32_t slot, uint64_t horizon, ae_snapshots *snapshots,
                           uint32_t most)
{
    AE_ASSERT(slot < AE_SLOTS && most > 0);
    const ae_slot *at = ae_slot_at(&db->proc, slot);
    uint32_t freed = limbo_reclaim_dead(db, slot, horizon, most);
    if (snapshots == NULL)
        return freed;
    uint32_t looks = ae_load32(&at->limbo_count) + 1; /* each of them once */
    looks = looks < most ? looks : most;
    for (; freed < most && looks > 0; looks--) {
        const ae_ref ref = ae_load32(&at->limbo_head);
        const ae_version *version = ae_at(&db->segment, ref);
        const uint64_t end = ref == 0 ? UINT64_MAX : ae_load64(&version->end);
        if (end > snapshots->recent)
            break;
        /* A mark: who wrote it has committed, and not come to stamp it.  Dead: somebody was in the
         * way of one who knew a later horizon. */
        const uint64_t begin = ae_load64_acquire(&version->begin);
        if (begin == AE_STAMP_DEAD)
            break;
        if (end <= horizon) { /* it was behind one that is not */
            const uint32_t some = limbo_reclaim_dead(db, slot, horizon, most - freed);
            if (some == 0)
                break;
            freed += some;
        } else {
            const bool needed = (begin & AE_MARK) != 0 || ae_snapshots_need(snapshots, begin, end);
            const uint32_t some = needed ? 0 : ae_prune(db, slot, ref, snapshots, most - freed);
            if (some == 0)
                ae_prune_later(db, slot);
            freed += some;
        }
    }
    return freed;
}

void ae_reclaim_recover(aero_db *db, uint32_t slot)
{
    ae_slot *at = ae_slot_at(&db->proc, slot);
    const ae_ref anchor = ae_load32_acquire(&at->closing);
    if (anchor != 0) {
        const ae_slab *slab = ae_heap_slab(&db->heap, anchor);
        const ae_anchor *row = ae_at(&db->segment, anchor);
        if (slab != NULL && ae_head_ref(ae_load64(&row->head)) == AE_HEAD_CLOSED + slot) {
            const uint32_t table = db->heap.pools[slab->pool].table;
            if (ae_hash_remove(&db->hashes[table], slot, ae_load32(&row->tag), anchor, NULL) ==
                AERO_OK)
                ae_heap_give(&db->heap, &at->cache, slot, slab->pool, anchor);
        }
        ae_store32_release(&at->closing, 0);
    }
    ae_prune_recover(db, slot);
    const ae_ref ref = ae_load32_acquire(&at->limbo_head);
    if (ref != 0 &&
        ae_load64(&((ae_version *)ae_at(&db->segment, ref))->begin) == (AE_WORD_CACHED | slot))
        (void)ae_version_reclaim(db, slot, ref);
    const ae_ref block = ae_load32_acquire(&at->cache.direct[3]);
    if (block != 0 && block != ae_load32(&at->block_head)) {
        const ae_slab *slab = ae_heap_slab(&db->heap, block);
        const ae_block *header = ae_at(&db->segment, block);
        if (slab != NULL &&
            (ae_load64(&header->word) & ~AE_RETIRED_NUMBER) == ae_retired_word(slot, 0))
            ae_heap_give(&db->heap, &at->cache, slot, slab->pool, block);
    }
    for (uint32_t index = 0; index < 4; index++)
        ae_store32_release(&at->cache.direct[index], 0);
}
