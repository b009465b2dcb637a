/* proc.c — members, slots, snapshots and the horizon (see proc.h). */
#include "proc/proc.h"

#include <string.h>

#include "base/os.h"
#include "proc/feed.h"

aero_status ae_proc_create(ae_segment *segment, aero_error *error)
{
    const ae_ref root = ae_segment_carve(segment, sizeof(ae_proc_shared));
    if (root == 0)
        return ae_fail(error, AERO_FULL, "no room for the process table");
    segment->header->roots[AE_ROOT_PROC] = root;
    ae_proc_shared *shared = ae_at(segment, root);
    ae_store64(&shared->clock, 1);
    ae_store64(&shared->tail, 1);
    ae_store64(&shared->horizon, 1);
#if defined(AE_TSAN)
    shared->asymmetric = 0; /* the sanitizer must see the fences */
#else
    shared->asymmetric = ae_os_barrier_register() ? 1 : 0;
#endif
    uint64_t size = segment->size / 4096; /* 32 bytes an entry: under one percent of the segment */
    size = size < AE_QUEUE_MIN ? AE_QUEUE_MIN : size > AE_QUEUE_MAX ? AE_QUEUE_MAX : size;
    shared->queue_size = AE_QUEUE_MIN;
    while (shared->queue_size * 2 <= size)
        shared->queue_size *= 2;
    AE_ALWAYS((shared->queue_size & (shared->queue_size - 1)) == 0 && shared->queue_size <= size);
    return AERO_OK;
}

aero_status ae_proc_open(ae_proc *proc, ae_heap *heap, aero_error *error)
{
    ae_segment *segment = heap->segment;
    proc->heap = heap;
    proc->shared = ae_at(segment, segment->header->roots[AE_ROOT_PROC]);
    const uint32_t queue = proc->shared->queue_size;
    if (queue < AE_QUEUE_MIN || queue > AE_QUEUE_MAX || (queue & (queue - 1)) != 0 ||
        proc->shared->asymmetric > 1 || ae_load64(&proc->shared->clock) == 0 ||
        ae_load32(&proc->shared->slot_high) > AE_SLOTS ||
        ae_load32(&proc->shared->feed_high) > AE_FEEDS ||
        ae_load32(&proc->shared->member_high) > AE_MEMBERS)
        return ae_fail(error, AERO_CORRUPT, "the segment's process table is damaged");
    proc->asymmetric = proc->shared->asymmetric == 1;
    if (proc->asymmetric && !ae_os_barrier_register())
        return ae_fail(
            error, AERO_MISMATCH,
            "the segment's users rely on membarrier(2), which this process may not call");
    return AERO_OK;
}

/* ---- members -------------------------------------------------------------------------------- */

bool ae_member_alive(const ae_proc *proc, uint32_t member)
{
    if (member >= AE_MEMBERS)
        return true; /* a damaged owner: nobody may judge it, verify reports it */
    const ae_member *line = &proc->shared->members[member];
    const uint64_t identity = ae_load64_acquire(&line->identity);
    const uint64_t name_space = ae_load64(&line->name_space);
    if (identity == 0)
        return false;
    if (name_space != 0 && name_space != ae_os_pid_namespace())
        return true; /* its pids mean nothing here: only its own namespace may judge */
    return ae_os_process_alive(identity);
}

static bool member_owns_slot(const ae_proc *proc, uint32_t member)
{
    const uint32_t high = ae_load32_acquire(&proc->shared->slot_high);
    for (uint32_t slot = 0; slot < high; slot++)
        if ((uint32_t)ae_load64_acquire(&ae_slot_at(proc, slot)->owner) == member + 1)
            return true;
    return false;
}

bool ae_member_bury(ae_proc *proc, uint32_t member)
{
    if (member >= AE_MEMBERS) /* of a damaged word */
        return false;
    ae_member *line = &proc->shared->members[member];
    const uint64_t identity = ae_load64_acquire(&line->identity);
    if (identity == 0 || ae_member_alive(proc, member) || member_owns_slot(proc, member))
        return false;
    ae_feed_orphan(proc, member, identity);
    /* The line becomes ours before it is cleared: somebody who is held up here must not clear the
     * pin of a living member that has claimed the line since. */
    if (!ae_cas64(&line->identity, identity, ae_os_process_identity()))
        return false;
    AE_CRASH_POINT("member.burying");
    ae_store64_release(&line->pin, 0); /* the dead cannot publish again */
    ae_store64(&line->name_space, 0);
    /* Release: the line is clean before it can be claimed. */
    ae_store64_release(&line->identity, 0);
    ae_count(proc, AE_COUNT_REAPED_MEMBERS);
    return true;
}

void ae_member_sweep(ae_proc *proc, uint64_t turn)
{
    const uint32_t few = 4; /* some 10 microseconds each */
    const uint32_t high = ae_load32_acquire(&proc->shared->member_high);
    for (uint32_t step = 0; step < few && step < high; step++)
        (void)ae_member_bury(proc, (uint32_t)((turn * few + step) % high));
}

aero_status ae_member_claim(ae_proc *proc, uint32_t *member, aero_error *error)
{
    const uint64_t identity = ae_os_process_identity();
    AE_ALWAYS(identity != 0);
    for (int round = 0; round < 2; round++) {
        for (uint32_t index = 0; index < AE_MEMBERS; index++) {
            ae_member *line = &proc->shared->members[index];
            if (ae_load64_acquire(&line->identity) != 0) {
                /* The second round looks for the dead; the first is quick. */
                if (round == 0 || !ae_member_bury(proc, index))
                    continue;
            }
            if (!ae_cas64(&line->identity, 0, identity))
                continue;
            AE_CRASH_POINT("member.claimed");
            ae_store64_release(&line->pin, 0);
            ae_store64(&line->name_space, ae_os_pid_namespace());
            ae_raise32(&proc->shared->member_high, index + 1);
            *member = index;
            return AERO_OK;
        }
    }
    return ae_fail(error, AERO_LIMIT, "%u sessions are attached already", AE_MEMBERS);
}

void ae_member_release(ae_proc *proc, uint32_t member)
{
    AE_ALWAYS(member < AE_MEMBERS);
    ae_member *line = &proc->shared->members[member];
    ae_store64_release(&line->pin, 0);
    ae_store64(&line->name_space, 0);
    ae_store64_release(&line->identity, 0);
}

/* ---- horizon -------------------------------------------------------------------------------- */

/* The least snapshot that is published, but for one slot's; at most the clock and `beyond`. */
static uint64_t horizon_but(ae_proc *proc, uint32_t but, uint64_t beyond)
{
    ae_proc_shared *shared = proc->shared;
    uint64_t horizon = ae_load64_acquire(&shared->clock) + beyond;
    /* The clock was read before; now every reader's publication is either visible or comes after a
     * look at a clock at least that high.  Pairs with ae_snapshot_publish. */
    if (proc->asymmetric && !ae_os_barrier())
        return ae_load64_acquire(
            &shared->horizon); /* no memory for it: what was known still holds */
    atomic_thread_fence(memory_order_seq_cst);
    const uint32_t slots = ae_load32_acquire(&shared->slot_high);
    for (uint32_t slot = 0; slot < slots; slot++) {
        const uint64_t snapshot = ae_load64_acquire(&shared->slots[slot].snapshot);
        /* The snapshot was loaded first: a newer one is published after `cancel` was taken back. */
        if (snapshot != 0 && snapshot < horizon && slot != but &&
            !ae_slot_void(&shared->slots[slot]))
            horizon = snapshot;
    }
    const uint32_t members = ae_load32_acquire(&shared->member_high);
    for (uint32_t index = 0; index < members; index++) {
        ae_member *line = &shared->members[index];
        const uint64_t pin = ae_load64_acquire(&line->pin);
        if (pin == 0 || pin >= horizon)
            continue;
        /* A short read that holds the horizon: still running, stopped, or dead. */
        if (horizon - pin > AE_QUEUE_MIN && !ae_member_alive(proc, index)) {
            (void)ae_member_bury(proc, index);
            continue;
        }
        horizon = pin;
    }
    const uint64_t clock = ae_load64(&shared->clock);
    const uint64_t known = horizon < clock ? horizon : clock;
    const uint64_t kept = ae_feed_horizon(proc, clock, known);
    return kept < known ? kept : horizon;
}

uint64_t ae_horizon_compute(ae_proc *proc)
{
    const uint64_t horizon = horizon_but(proc, AE_SLOTS, 0);
    ae_raise64(&proc->shared->horizon, horizon);
    return horizon;
}

uint64_t ae_horizon_of_others(ae_proc *proc, uint32_t slot)
{
    AE_ASSERT(slot < AE_SLOTS);
    return horizon_but(proc, slot, 1);
}

static void lower(uint64_t *least, uint64_t value)
{
    if (value < *least)
        *least = value;
}

/* A snapshot that needs what it sees, and no more.  Of those that are too many, or hardly older
 * than the clock, the least is taken for one from which on all is needed. */
static void sight_note(ae_snapshots *snapshots, uint64_t clock, uint64_t snapshot)
{
    AE_ASSERT(snapshot != 0 && snapshot < clock);
    AE_ASSERT(snapshots->count <= AE_SNAPSHOTS_KEPT);
    if (clock - snapshot <= AE_PRUNE_LAG / 2) {
        lower(&snapshots->recent, snapshot);
        return;
    }
    if (snapshots->count < AE_SNAPSHOTS_KEPT) {
        snapshots->at[snapshots->count++] = snapshot;
        return;
    }
    uint32_t newest = 0;
    for (uint32_t index = 1; index < snapshots->count; index++)
        newest = snapshots->at[index] > snapshots->at[newest] ? index : newest;
    if (snapshots->at[newest] > snapshot) {
        lower(&snapshots->recent, snapshots->at[newest]);
        snapshots->at[newest] = snapshot;
    } else {
        lower(&snapshots->recent, snapshot);
    }
}

/* One slot's snapshot: kept as one that only sees, or as one from which on all is needed. */
static void snapshot_note(const ae_proc *proc, const ae_slot *slot, uint64_t clock,
                          ae_snapshots *snapshots)
{
    /* Loaded first: if the slot has changed hands since, its snapshot is at least `clock`. */
    const uint64_t snapshot = ae_load64_acquire(&slot->snapshot);
    if (snapshot == 0 || snapshot >= clock || ae_slot_void(slot))
        return;
    const uint32_t resting = ae_load32_acquire(&slot->resting);
    /* A serializable transaction compares its reads with all that was written since, unless that
     * is a lap of the queue: then it is refused.  One at rest will find out when it wakes, for it
     * wakes to a clock that is at least ours. */
    const bool late = clock - snapshot > proc->shared->queue_size && resting != 0;
    const bool sees = ae_load32_acquire(&slot->plain) != 0 || late;
    if (sees)
        sight_note(snapshots, clock, snapshot);
    else
        lower(&snapshots->recent, snapshot);
    if (!sees || resting == 0)
        lower(&snapshots->in_use, snapshot);
}

void ae_snapshots_take(ae_proc *proc, ae_snapshots *snapshots)
{
    ae_proc_shared *shared = proc->shared;
    const uint64_t clock = ae_load64_acquire(&shared->clock);
    snapshots->recent = snapshots->in_use = clock;
    snapshots->count = 0;
    /* As ae_horizon_compute, which this pairs with in nothing but the barrier: also for `resting`,
     * whose owner clears it before it looks at anything. */
    if (proc->asymmetric && !ae_os_barrier()) {
        snapshots->recent = snapshots->in_use = ae_load64_acquire(&shared->horizon);
        return;
    }
    atomic_thread_fence(memory_order_seq_cst);
    const uint32_t slots = ae_load32_acquire(&shared->slot_high);
    for (uint32_t slot = 0; slot < slots; slot++)
        snapshot_note(proc, &shared->slots[slot], clock, snapshots);
    const uint32_t members = ae_load32_acquire(&shared->member_high);
    for (uint32_t index = 0; index < members; index++) {
        const uint64_t pin = ae_load64_acquire(&shared->members[index].pin);
        if (pin == 0 || pin >= clock)
            continue;
        sight_note(snapshots, clock, pin); /* of a short read */
        lower(&snapshots->in_use, pin);
    }
    snapshots->recent = ae_feed_horizon(proc, clock, snapshots->recent);
    lower(&snapshots->in_use, snapshots->recent);
    AE_ASSERT(snapshots->in_use <= snapshots->recent && snapshots->recent <= clock);
}

/* ---- slots ---------------------------------------------------------------------------------- */

static bool slot_try(ae_proc *proc, uint32_t slot, uint32_t member)
{
    AE_ASSERT(slot < AE_SLOTS && member < AE_MEMBERS);
    ae_slot *at = ae_slot_at(proc, slot);
    if (ae_load64(&at->owner) != 0)
        return false;
    /* Before the claim: horizons and reapers look at slots below the mark only. */
    ae_raise32(&proc->shared->slot_high, slot + 1);
    /* The word is of this claim alone, so that a reaper which judged an earlier owner dead and was
     * held up cannot seize the slot from a later one of the same line. */
    const uint64_t owner = AE_OWNER(ae_load64_acquire(&at->generation) + 1, member);
    /* Acquire: what the last holder left (limbo, magazines) is ours; pairs with ae_slot_release. */
    if (!ae_cas64(&at->owner, 0, owner))
        return false;
    AE_CRASH_POINT("slot.claimed");
    /* Before the generation: who cancels looks at it first, and must not take the age and the rest
     * of an earlier owner for this one's; pairs with slot_cancel. */
    ae_store64(&at->began_ns, 0);
    ae_store32(&at->resting, 0);
    ae_store64_release(&at->generation, ae_load64(&at->generation) + 1);
    ae_store32(&at->intent_count, 0);
    ae_store32(&at->stamped, 0);
    ae_store32(&at->plain, 0);
    /* Release: the generation is new before the state says active; readers of marks look at
     * both. */
    ae_store64_release(&at->state, AE_STATE(AE_STATE_ACTIVE, 0));
    return true;
}

aero_status ae_slot_claim_at(ae_proc *proc, uint32_t member, uint32_t wanted, uint32_t *slot)
{
    if (!slot_try(proc, wanted, member))
        return AERO_NO_SLOT;
    *slot = wanted;
    return AERO_OK;
}

aero_status ae_slot_claim(ae_proc *proc, uint32_t member, uint32_t hint, uint32_t *slot,
                          aero_error *error)
{
    if (hint < AE_SLOTS && slot_try(proc, hint, member)) {
        *slot = hint;
        return AERO_OK;
    }
    for (uint32_t index = 0; index < AE_SLOTS; index++) {
        if (!slot_try(proc, index, member))
            continue;
        *slot = index;
        return AERO_OK;
    }
    return ae_fail(error, AERO_NO_SLOT, "all %u transaction slots are in use", AE_SLOTS);
}

void ae_slot_release(ae_proc *proc, uint32_t slot)
{
    AE_ASSERT(slot < AE_SLOTS);
    ae_slot *at = ae_slot_at(proc, slot);
    AE_ASSERT(ae_load32(&at->intent_count) == 0);
    ae_store64_release(&at->state, AE_STATE(AE_STATE_IDLE, 0));
    ae_store64_release(&at->snapshot, 0);
    AE_CRASH_POINT("slot.idle");
    /* Release: everything done under the slot is done; pairs with slot_try. */
    ae_store64_release(&at->owner, 0);
}

bool ae_slot_dead(const ae_proc *proc, uint32_t slot)
{
    AE_ASSERT(slot < AE_SLOTS);
    const uint64_t owner = ae_load64_acquire(&ae_slot_at(proc, slot)->owner);
    return owner != 0 && !ae_member_alive(proc, (uint32_t)owner - 1);
}

bool ae_slot_seize(ae_proc *proc, uint32_t slot, uint32_t member)
{
    AE_ALWAYS(slot < AE_SLOTS && member < AE_MEMBERS);
    ae_slot *at = ae_slot_at(proc, slot);
    const uint64_t owner = ae_load64_acquire(&at->owner);
    if (owner == 0 || ae_member_alive(proc, (uint32_t)owner - 1))
        return false;
    if (!ae_cas64(&at->owner, owner, (owner & AE_OWNER_CLAIM) | AE_OWNER_REAPING | (member + 1)))
        return false;
    /* The dead may not have come to count its claim.  Then the next one would have the same word,
     * and whoever has judged the dead and is held up could seize the slot from a living owner.  (A
     * claim that was long in coming has an older number, and its marks the generation as it is.) */
    const uint64_t generation = ae_load64(&at->generation);
    if ((generation + 1) << 33 == (owner & AE_OWNER_CLAIM))
        ae_store64_release(&at->generation, generation + 1);
    return true;
}

/* ---- limbo ---------------------------------------------------------------------------------- */

void ae_limbo_push(const ae_proc *proc, ae_a32 *head, ae_a32 *tail, ae_ref ref, ae_a32 *link)
{
    AE_ASSERT(ref != 0);
    const ptrdiff_t offset = (char *)link - (char *)ae_at(proc->heap->segment, ref);
    AE_ASSERT(offset >= 0 && offset < 64 && offset % 4 == 0);
    ae_store32(link, 0);
    if (ae_load32(head) == 0) {
        ae_store32_release(tail, ref);
        AE_CRASH_POINT("limbo.first");
        ae_store32_release(head, ref);
        return;
    }
    ae_a32 *last = (ae_a32 *)((char *)ae_at(proc->heap->segment, ae_load32(tail)) + offset);
    ae_store32_release(last, ref);
    AE_CRASH_POINT("limbo.linked");
    ae_store32_release(tail, ref);
}

void ae_limbo_repair(const ae_proc *proc, const ae_a32 *head, ae_a32 *tail, size_t link_offset)
{
    AE_ALWAYS(link_offset < 64 && link_offset % 4 == 0);
    if (ae_load32(head) == 0)
        return;
    const ae_a32 *link =
        (const ae_a32 *)((const char *)ae_at(proc->heap->segment, ae_load32(tail)) + link_offset);
    if (ae_load32(link) != 0)
        ae_store32_release(tail, ae_load32(link));
}

void ae_block_retire(ae_proc *proc, uint32_t slot, ae_ref ref)
{
    AE_ASSERT(ref != 0 && slot < AE_SLOTS);
    ae_slot *at = ae_slot_at(proc, slot);
    ae_block *block = ae_at(proc->heap->segment, ref);
    ae_store64_release(&block->word,
                       ae_retired_word(slot, ae_load64_acquire(&proc->shared->clock)));
    ae_limbo_push(proc, &at->block_head, &at->block_tail, ref, &block->limbo_next);
}

void ae_slab_retire(ae_proc *proc, uint32_t slot, ae_ref ref)
{
    ae_slot *at = ae_slot_at(proc, slot);
    ae_store32(&((ae_block *)ae_at(proc->heap->segment, ref))->extra, 0);
    ae_block_retire(proc, slot, ref);
    AE_CRASH_POINT("drain.retired");
    ae_store32_release(&at->cache.draining, 0);
}

/* Take the head of the list, a slab whose time has come, off it, and give it back. */
static void slab_return(ae_proc *proc, uint32_t slot, ae_slab *slab)
{
    AE_ASSERT(slot < AE_SLOTS);
    ae_slot *at = ae_slot_at(proc, slot);
    const ae_ref ref = ae_ref_of(proc->heap->segment, &slab->block);
    const ae_ref next = ae_load32(&slab->block.limbo_next);
    ae_store32_release(&at->cache.draining, ref >> (AE_PAGE_SHIFT - 4));
    ae_store64_release(&slab->block.word, ae_slab_word_returning(slot));
    AE_CRASH_POINT("drain.returning");
    if (ae_load32(&at->block_head) == ref)
        ae_store32_release(&at->block_head, next);
    AE_CRASH_POINT("drain.off");
    ae_heap_return(proc->heap, &at->cache, slot, slab);
}

void ae_slab_recover(ae_proc *proc, uint32_t slot)
{
    AE_ALWAYS(slot < AE_SLOTS);
    ae_slot *at = ae_slot_at(proc, slot);
    const uint32_t page = ae_load32_acquire(&at->cache.draining);
    if (page == 0)
        return;
    ae_slab *slab = ae_at(proc->heap->segment, page << (AE_PAGE_SHIFT - 4));
    const ae_ref ref = ae_ref_of(proc->heap->segment, &slab->block);
    const uint64_t word = ae_load64_acquire(&slab->block.word);
    if (word == ae_slab_word_returning(slot)) {
        slab_return(proc, slot, slab);
    } else if (word == ae_slab_word_drained(slot)) {
        ae_heap_unlist(proc->heap, slab);
        atomic_thread_fence(memory_order_seq_cst); /* as in ae_heap_drain */
        ae_slab_retire(proc, slot, ref);
    } else if ((word & ~AE_RETIRED_NUMBER) == ae_retired_word(slot, 0) &&
               ae_load32(&at->block_head) != ref &&
               !ae_limbo_last_is(&at->block_head, &at->block_tail, ref)) {
        ae_slab_retire(proc, slot, ref); /* it had its word, but is not in the list */
    }
    ae_store32_release(&at->cache.draining, 0);
}

/* The head of the list, a slab, waits once more, at the end: what is behind it has waited long
 * enough. */
static void slab_wait_again(ae_proc *proc, uint32_t slot, ae_slab *slab)
{
    ae_slot *at = ae_slot_at(proc, slot);
    const ae_ref ref = ae_ref_of(proc->heap->segment, &slab->block);
    const ae_ref next = ae_load32(&slab->block.limbo_next);
    ae_store32_release(&at->cache.draining, ref >> (AE_PAGE_SHIFT - 4));
    /* The number before it counts as the second one: a death in between only makes it wait more. */
    ae_store64_release(&slab->block.word,
                       ae_retired_word(slot, ae_load64_acquire(&proc->shared->clock)));
    AE_CRASH_POINT("drain.again");
    if (next != 0) {
        ae_store32_release(&at->block_head, next);
        AE_CRASH_POINT("drain.moved");
    }
    ae_store32_release(&slab->block.extra, 1);
    if (next != 0)
        ae_limbo_push(proc, &at->block_head, &at->block_tail, ref, &slab->block.limbo_next);
    ae_store32_release(&at->cache.draining, 0);
}

uint64_t ae_block_reclaim(ae_proc *proc, uint32_t slot, uint64_t horizon)
{
    AE_ASSERT(slot < AE_SLOTS);
    ae_slot *at = ae_slot_at(proc, slot);
    ae_ref again = 0; /* the first slab whose second wait began just now */
    for (uint64_t freed = 0;;) {
        const ae_ref ref = ae_load32(&at->block_head);
        if (ref == 0)
            return freed;
        ae_block *block = ae_at(proc->heap->segment, ref);
        const uint64_t word = ae_load64(&block->word);
        const ae_ref next = ae_load32(&block->limbo_next);
        const ae_slab *slab = ae_heap_slab(proc->heap, ref);
        if ((word & AE_RETIRED_NUMBER) >= horizon)
            return freed;
        if (slab == NULL) {
            ae_slab *drained = ae_heap_drained(proc->heap, ref);
            AE_ALWAYS(drained != NULL);
            const bool twice = ae_load32(&drained->block.extra) != 0;
            /* For the second wait the snapshots are looked at anew: a horizon beyond the clock
             * (ae_horizon_of_others) would end it at once. */
            if (ref == again)
                return freed;
            again = again == 0 && !twice ? ref : again;
            (twice ? slab_return : slab_wait_again)(proc, slot, drained);
            freed += twice;
            continue;
        }
        /* Off the list first: a block that dies here is found by nobody but is only retired memory,
         * and the direct register below still names it. */
        const uint32_t pool = slab->pool;
        ae_store32_release(&at->cache.direct[3], ref);
        ae_store32_release(&at->block_head, next);
        AE_CRASH_POINT("limbo.block_off");
        ae_heap_give(proc->heap, &at->cache, slot, pool, ref);
        ae_heap_linked(&at->cache, ref);
        freed++;
    }
}
