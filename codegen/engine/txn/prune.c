/* prune.c — versions between two snapshots (see prune.h). */
#include "txn/prune.h"

#include "txn/entries.h"

/* ---- turns ---------------------------------------------------------------------------------- */

static void limbo_append(const aero_db *db, ae_slot *at, ae_ref ref)
{
    AE_ASSERT(ref != 0);
    ae_version *version = ae_at(&db->segment, ref);
    ae_limbo_push(&db->proc, &at->limbo_head, &at->limbo_tail, ref, &version->limbo_next);
    ae_store32_release(&at->moving, 0);
}

void ae_prune_later(aero_db *db, uint32_t slot)
{
    AE_ASSERT(slot < AE_SLOTS);
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
    AE_ASSERT(anchor != 0);
    return &db->proc.shared->prune_locks[anchor % AE_PRUNE_LOCKS];
}

static bool lock_take(const aero_db *db, uint32_t slot, ae_ref anchor)
{
    AE_ASSERT(slot < AE_SLOTS);
    ae_slot *at = ae_slot_at(&db->proc, slot);
    ae_a32 *lock = lock_of(db, anchor);
    if (ae_load32(lock) != 0)
        return false;
    /* The register first, for a reaper, who looks whether the lock is this slot's. */
    ae_store32_release(&at->prune_lock, anchor % AE_PRUNE_LOCKS + 1);
    /* Acquire: what the last holder did; pairs with lock_drop. */
    if (ae_cas32(lock, 0, slot + 1)) {
        /* Keeps V4: locked before the versions are looked at; pairs with ae_prune_waits. */
        atomic_thread_fence(memory_order_seq_cst);
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

bool ae_prune_waits(const aero_db *db, uint32_t slot, ae_ref anchor)
{
    const uint32_t holder = ae_load32_acquire(lock_of(db, anchor));
    return holder != 0 && holder != slot + 1;
}

/* ---- taking out ----------------------------------------------------------------------------- */

/* Versions looked at that do not begin before the last one: of one transaction, or of one that has
 * not stamped them; or links that nobody needs lead round in a circle. */
#define ALIKE_MOST 64u

/* Is it a version of the row, committed or with a mark?  *begin: what it was when it was one. */
static bool version_is(const ae_version *version, ae_ref anchor, uint64_t *begin)
{
    *begin = ae_load64_acquire(&version->begin);
    const bool ours = ae_load32(&version->anchor) == anchor;
    /* Acquire: the anchor was read of the version that began so. */
    atomic_thread_fence(memory_order_acquire);
    return ours && ae_load64_acquire(&version->begin) == *begin && *begin != 0 &&
           ((*begin & AE_MARK) != 0 || *begin < AE_STAMP_TAKEN);
}

/* Change the link that leads to it, and make it invisible.  False: the link has changed. */
static bool version_unlink(const aero_db *db, uint32_t slot, ae_version *before, ae_ref ref,
                           uint64_t begin)
{
    AE_ASSERT(ref != 0 && begin != 0);
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
    /* Keeps V2.  Its owner may have begun to free it: the horizon has passed it. */
    if (out)
        (void)ae_cas64(&version->begin, begin, AE_STAMP_TAKEN);
    ae_store32_release(&at->pruned, 0);
    return out;
}

/* Take out all versions of the row that no snapshot sees.  With the lock in hand, a stamped version
 * of the row that the head or another one leads to is in the chain, and stays what it is (V1, V4).
 * Only such links are changed: a write that is not stamped may be undone, and then its link becomes
 * the head. */
static void row_prune(const aero_db *db, uint32_t slot, ae_ref anchor, ae_snapshots *snapshots)
{
    AE_ASSERT(snapshots->count <= AE_SNAPSHOTS_KEPT);
    const ae_anchor *row = ae_at(&db->segment, anchor);
    const uint64_t head = ae_load64_acquire(&row->head);
    ae_version *before = ae_head_is_row(head) ? ae_at(&db->segment, ae_head_ref(head)) : NULL;
    uint64_t limit = AE_STAMP_TAKEN;
    uint64_t younger = 0;
    uint32_t alike = 0;
    while (before != NULL && version_is(before, anchor, &younger) && alike < ALIKE_MOST) {
        const ae_ref ref = ae_load32_acquire(&before->older);
        if (!ae_heap_leads(&db->heap, ref))
            return; /* a link that nobody needs, to where no versions are any more */
        ae_version *version = ae_at(&db->segment, ref);
        const uint64_t end = ae_load64_acquire(&version->end);
        uint64_t begin = 0;
        snapshots->steps--;
        if (ref == 0 || version == before || !version_is(version, anchor, &begin))
            return;
        const bool marked = (begin & AE_MARK) != 0;
        if ((younger & AE_MARK) == 0 && younger < limit)
            limit = younger;
        /* A link that nobody needs, to memory that was used again.  (What a transaction replaced
         * itself begins and ends with it.) */
        if (!marked && (begin > limit || (begin == limit && end != begin)))
            return;
        if (((younger | begin | end) & AE_MARK) == 0 && !ae_snapshots_need(snapshots, begin, end)) {
            if (!version_unlink(db, slot, before, ref, begin))
                return;
        } else {
            alike += marked || begin == limit;
            before = version;
        }
    }
}

/* Nothing leads to the limbo's head any more, or nothing that is needed: free it, and of what
 * follows in the limbo up to `most` of the same row that were taken out along with it. */
static uint32_t versions_finish(aero_db *db, uint32_t slot, ae_ref ref, uint32_t most)
{
    const ae_version *versions[AE_ENTRIES_OF_ROW];
    const uint32_t table = db->heap.pools[ae_heap_slab(&db->heap, ref)->pool].table;
    const ae_ref anchor = ae_load32(&((const ae_version *)ae_at(&db->segment, ref))->anchor);
    uint32_t count = 0;
    while (ref != 0 && count < most && count < AE_ENTRIES_OF_ROW) {
        const ae_version *version = ae_at(&db->segment, ref);
        if (ae_load64_acquire(&version->begin) != AE_STAMP_TAKEN ||
            ae_load32(&version->anchor) != anchor)
            break;
        versions[count++] = version;
        ref = ae_load32(&version->limbo_next);
    }
    AE_ASSERT(count > 0);
    const uint32_t done = ae_entries_drop(db, slot, table, versions, count);
    /* For want of memory an entry stays that leads nowhere. */
    for (uint32_t index = done; index < count; index++)
        ae_entries_abandon(db, table);
    AE_CRASH_POINT("prune.dropped");
    for (uint32_t index = 0; index < count; index++)
        (void)ae_version_reclaim(db, slot, ae_ref_of(&db->segment, versions[index]));
    return count;
}

/* The row has been deleted, and nothing is behind its last version: it was never there for an old
 * snapshot, and goes as it would behind the horizon. */
static void head_take(const aero_db *db, ae_ref anchor, ae_version *version)
{
    const ae_ref older = ae_load32_acquire(&version->older);
    const uint64_t begin = ae_load64_acquire(&version->begin);
    uint64_t behind = 0;
    if (older != 0 && ae_heap_leads(&db->heap, older) &&
        version_is(ae_at(&db->segment, older), anchor, &behind))
        return;
    (void)ae_cas64(&version->begin, begin, AE_STAMP_TAKEN);
    AE_CRASH_POINT("prune.head");
}

uint32_t ae_prune(aero_db *db, uint32_t slot, ae_ref ref, ae_snapshots *snapshots, uint32_t most)
{
    AE_ASSERT(ref != 0 && slot < AE_SLOTS && most > 0);
    ae_version *version = ae_at(&db->segment, ref);
    const ae_ref anchor = ae_load32(&version->anchor);
    const ae_anchor *row = ae_at(&db->segment, anchor);
    if (ae_load64_acquire(&version->begin) != AE_STAMP_TAKEN) {
        if (snapshots->steps <= 0 || !lock_take(db, slot, anchor))
            return 0;
        if (ae_head_ref(ae_load64_acquire(&row->head)) == ref)
            head_take(db, anchor, version);
        else
            row_prune(db, slot, anchor, snapshots);
        lock_drop(db, slot);
    }
    if (ae_load64_acquire(&version->begin) != AE_STAMP_TAKEN)
        return 0;
    return versions_finish(db, slot, ref, most);
}

void ae_prune_recover(aero_db *db, uint32_t slot)
{
    ae_slot *at = ae_slot_at(&db->proc, slot);
    const ae_ref ref = ae_load32_acquire(&at->pruned);
    if (ref != 0) {
        ae_version *version = ae_at(&db->segment, ref);
        const ae_version *before = ae_at(&db->segment, ae_load32(&at->pruned_from));
        /* The lock is held: nothing else led to it, and if the link is another one it is out of the
         * chain.  If it has been freed since, it began at another time. */
        if (ae_load32_acquire(&before->older) != ref)
            (void)ae_cas64(&version->begin, ae_load64(&at->pruned_begin), AE_STAMP_TAKEN);
    }
    ae_store32_release(&at->pruned, 0);
    lock_drop(db, slot);
}
