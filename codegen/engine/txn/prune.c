/* prune.c — versions between two snapshots (see prune.h). */
#include "txn/prune.h"

#include "txn/entries.h"

/* ---- turns ---------------------------------------------------------------------------------- */

static void limbo_append(const aero_db *db, ae_slot *at, ae_ref ref)
{
    ae_version *version = ae_at(&db->segment, ref);
    ae_limbo_push(&db->proc, &at->limbo_head, &at->limbo_tail, ref, &version->limbo_next);
    ae_store32_release(&at->moving, 0);
}

void ae_prune_later(aero_db *db, uint32_t slot)
{
    ae_slot *at = ae_slot_at(&db->proc, slot);
    const ae_ref ref = ae_load32(&at->limbo_head);
    const ae_ref next = ae_load32(&((const ae_version *)ae_at(&db->segment, ref))->limbo_next);
    if (next == 0)
        return; /* it is the last one */
    /* The register first: between the two lists nothing else leads to it. */
    ae_store32_release(&at->moving, ref);
    AE_CRASH_POINT("prune.moving");
    ae_store32_release(&at->limbo_head, next);
    AE_CRASH_POINT("prune.moved");
    limbo_append(db, at, ref);
}

void ae_prune_moved(aero_db *db, uint32_t slot)
{
    ae_slot *at = ae_slot_at(&db->proc, slot);
    const ae_ref ref = ae_load32_acquire(&at->moving);
    if (ref == 0)
        return;
    if (ae_load32(&at->limbo_head) == ref || ae_load32(&at->limbo_tail) == ref)
        ae_store32_release(&at->moving, 0); /* not begun, or done */
    else
        limbo_append(db, at, ref);
}

/* ---- the lock ------------------------------------------------------------------------------- */

static ae_a32 *lock_of(const aero_db *db, ae_ref anchor)
{
    return &db->proc.shared->prune_locks[anchor % AE_PRUNE_LOCKS];
}

static bool lock_take(const aero_db *db, uint32_t slot, ae_ref anchor)
{
    ae_slot *at = ae_slot_at(&db->proc, slot);
    ae_a32 *lock = lock_of(db, anchor);
    if (ae_load32(lock) != 0)
        return false;
    /* The register first, for a reaper, who looks whether the lock is this slot's. */
    ae_store32_release(&at->prune_lock, anchor % AE_PRUNE_LOCKS + 1);
    /* Acquire: what the last holder did; pairs with lock_drop. */
    if (ae_cas32(lock, 0, slot + 1)) {
        AE_CRASH_POINT("prune.locked");
        return true;
    }
    ae_store32_release(&at->prune_lock, 0);
    return false;
}

static void lock_drop(const aero_db *db, uint32_t slot)
{
    ae_slot *at = ae_slot_at(&db->proc, slot);
    const uint32_t held = ae_load32(&at->prune_lock);
    if (held == 0)
        return;
    ae_a32 *lock = &db->proc.shared->prune_locks[held - 1];
    if (ae_load32(lock) == slot + 1)
        ae_store32_release(lock, 0);
    AE_CRASH_POINT("prune.unlocked");
    ae_store32_release(&at->prune_lock, 0);
}

/* ---- taking out ----------------------------------------------------------------------------- */

/* Is it a committed and stamped version of the row? */
static bool is_version_of(const ae_version *version, ae_ref anchor)
{
    const uint64_t begin = ae_load64_acquire(&version->begin);
    return begin != 0 && begin < AE_STAMP_TAKEN && ae_load32(&version->anchor) == anchor;
}

/* The same, or one that was committed by somebody who has not come to stamp it. */
static bool may_be_version_of(const ae_version *version, ae_ref anchor)
{
    const uint64_t begin = ae_load64_acquire(&version->begin);
    return ((begin & AE_MARK) != 0 || (begin != 0 && begin < AE_STAMP_TAKEN)) &&
           ae_load32(&version->anchor) == anchor;
}

/* Change the link that leads to it, and make it invisible.  False: the link has changed. */
static bool version_unlink(const aero_db *db, uint32_t slot, ae_version *before, ae_ref ref,
                           uint64_t begin)
{
    ae_slot *at = ae_slot_at(&db->proc, slot);
    ae_version *version = ae_at(&db->segment, ref);
    ae_store32_release(&at->pruned_from, ae_ref_of(&db->segment, before));
    ae_store64_release(&at->pruned_begin, begin);
    ae_store32_release(&at->pruned, ref);
    AE_CRASH_POINT("prune.named");
    /* Acquire-release: the new link before the old version is made invisible; pairs with
     * ae_step_holds. */
    const bool out = ae_cas32(&before->older, ref, ae_load32_acquire(&version->older));
    AE_CRASH_POINT("prune.unlinked");
    /* Keeps V2.  Behind the horizon its owner may be freeing it, or have used it again. */
    if (out)
        (void)ae_cas64(&version->begin, begin, AE_STAMP_TAKEN);
    ae_store32_release(&at->pruned, 0);
    return out;
}

/* Take out all versions of the row that no snapshot sees.  What is followed may be freed behind the
 * horizon at any time: each step looks whether it still stands on the row, as readers do. */
static void row_prune(const aero_db *db, uint32_t slot, ae_ref anchor,
                      const ae_snapshots *snapshots)
{
    const ae_anchor *row = ae_at(&db->segment, anchor);
    const uint64_t head = ae_load64_acquire(&row->head);
    ae_version *before = ae_head_is_row(head) ? ae_at(&db->segment, ae_head_ref(head)) : NULL;
    while (before != NULL && may_be_version_of(before, anchor)) {
        const uint64_t younger = ae_load64_acquire(&before->begin);
        const ae_ref ref = ae_load32_acquire(&before->older);
        ae_version *version = ae_at(&db->segment, ref);
        const uint64_t end = ae_load64_acquire(&version->end);
        const uint64_t begin = ae_load64_acquire(&version->begin);
        if (ref == 0 || !may_be_version_of(version, anchor))
            return;
        /* A write that is not stamped may be undone, and its link becomes the head. */
        const bool stamped = (younger & AE_MARK) == 0 && is_version_of(version, anchor);
        if (stamped && begin >= younger)
            return; /* a link that nobody needs, to memory that was used again */
        if (!stamped || (end & AE_MARK) != 0 || ae_snapshots_need(snapshots, begin, end))
            before = version;
        else if (!version_unlink(db, slot, before, ref, begin))
            return;
    }
}

/* Nothing leads to the limbo's head any more, or nothing that is needed: free it. */
static void version_finish(aero_db *db, uint32_t slot, ae_ref ref)
{
    const uint32_t table = db->heap.pools[ae_heap_slab(&db->heap, ref)->pool].table;
    /* For want of memory an entry stays that leads nowhere. */
    if (!ae_entries_drop(db, slot, table, ae_at(&db->segment, ref)))
        ae_entries_abandon(db, table);
    AE_CRASH_POINT("prune.dropped");
    ae_version_reclaim(db, slot, ref);
}

bool ae_prune(aero_db *db, uint32_t slot, ae_ref ref, const ae_snapshots *snapshots)
{
    ae_version *version = ae_at(&db->segment, ref);
    const ae_ref anchor = ae_load32(&version->anchor);
    const ae_anchor *row = ae_at(&db->segment, anchor);
    const ae_ref older = ae_load32_acquire(&version->older);
    const uint64_t begin = ae_load64_acquire(&version->begin);
    if (begin != AE_STAMP_TAKEN && ae_head_ref(ae_load64_acquire(&row->head)) == ref) {
        /* The row has been deleted.  Nothing behind it: the row was never there for an old
         * snapshot, and goes as it would behind the horizon. */
        if (older != 0 && may_be_version_of(ae_at(&db->segment, older), anchor))
            return false;
        (void)ae_cas64(&version->begin, begin, AE_STAMP_TAKEN);
        AE_CRASH_POINT("prune.head");
    } else if (begin != AE_STAMP_TAKEN) {
        if (!lock_take(db, slot, anchor))
            return false;
        row_prune(db, slot, anchor, snapshots);
        lock_drop(db, slot);
    }
    if (ae_load64_acquire(&version->begin) != AE_STAMP_TAKEN)
        return false;
    version_finish(db, slot, ref);
    return true;
}

void ae_prune_recover(aero_db *db, uint32_t slot)
{
    ae_slot *at = ae_slot_at(&db->proc, slot);
    const ae_ref ref = ae_load32_acquire(&at->pruned);
    if (ref != 0) {
        ae_version *version = ae_at(&db->segment, ref);
        const ae_version *before = ae_at(&db->segment, ae_load32(&at->pruned_from));
        /* Nothing else led to it: if the link is another one, or its memory another version's, it
         * is out of the chain.  If it has been freed since, it began at another time. */
        if (ae_load32_acquire(&before->older) != ref)
            (void)ae_cas64(&version->begin, ae_load64(&at->pruned_begin), AE_STAMP_TAKEN);
    }
    ae_store32_release(&at->pruned, 0);
    lock_drop(db, slot);
}
