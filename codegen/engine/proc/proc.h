/* proc.h — who is here: sessions (members), transaction slots, the commit clock, and the horizon.
 *
 * A member is one attached session.  Its line holds its process's identity and a pin: the snapshot
 * of a short read outside any transaction.  A slot is claimed for the length of a transaction (or
 * of a lasting cursor) and holds what a reaper needs to finish or undo it.
 *
 * The clock counts decided positions of the commit queue.  A transaction at position p that commits
 * has the number p + 1; a snapshot S is a reading of the clock and sees the numbers <= S.
 *
 * The horizon is the oldest snapshot anybody holds: what ended at or before it is seen by nobody.
 * A reader publishes its snapshot and then looks at the clock again; a reclaimer reads the clock,
 * passes a barrier and then looks at the snapshots.  So either the reclaimer sees the snapshot, or
 * the reader sees a clock that is at least the reclaimer's and publishes a newer one.  The barrier
 * on the reader's side costs nothing: reclaimers, which are rare, run membarrier(2) for both sides.
 *
 * Invariants
 *   P1  a slot's owner is 0, a living or dead member, or a reaper; only the owner writes the slot
 *   P2  a member's line is given back only after all slots it owned
 *   P3  no object is reused while a published snapshot may still need it
 *
 * Concurrency: any thread of any process.  Progress: lock-free; a slot claim is one
 * compare-and-swap.
 */
#ifndef AE_PROC_PROC_H
#define AE_PROC_PROC_H

#include "shm/heap.h"

#define AE_SLOT_NONE UINT32_MAX
#define AE_OWNER_REAPING ((uint64_t)1 << 32)
/* Above it, which claim of the slot this is: the low bits of its generation. */
#define AE_OWNER_CLAIM (~(uint64_t)0 << 33)
#define AE_OWNER(generation, member) ((uint64_t)(generation) << 33 | ((uint64_t)(member) + 1))

/* One write of a transaction; enough to undo it or to finish it. */
typedef struct ae_intent {
    ae_a32 anchor;
    ae_a32 created;  /* the new version, 0 for a delete */
    ae_a32 replaced; /* the version it ends, 0 for an insert */
    ae_a32 what;     /* table in bits 0..7, AE_INTENT_… in bits 8.. */
} ae_intent;
#define AE_INTENT_NEW_ANCHOR 0x100u /* the anchor was made by this write */
#define AE_INTENT_EXPIRED 0x200u    /* the row was deleted because its time had come */

#define AE_INTENTS_INLINE 12u
#define AE_INTENTS_CHUNK 254u
typedef struct ae_intent_chunk {
    ae_block block; /* block.extra: the previous chunk */
    ae_a32 next;
    uint32_t _pad[3];
    ae_intent intents[AE_INTENTS_CHUNK];
} ae_intent_chunk;
_Static_assert(sizeof(ae_intent_chunk) <= 4096, "a chunk is one 4 KiB block");

/* State word of a slot: what it does in the top two bits, a number below.  Written by the owner;
 * from COMMITTING on also, by compare-and-swap, by whoever must not wait for it. */
#define AE_STATE_SHIFT 61
#define AE_STATE_IDLE 0u
#define AE_STATE_ACTIVE 1u
#define AE_STATE_COMMITTING 2u
#define AE_STATE_COMMITTED 3u /* number: the commit number */
#define AE_STATE_ABORTED 4u
#define AE_STATE(what, number) ((uint64_t)(what) << AE_STATE_SHIFT | (number))
static inline uint32_t ae_state_of(uint64_t word)
{
    return (uint32_t)(word >> AE_STATE_SHIFT);
}
static inline uint64_t ae_state_number(uint64_t word)
{
    return word & (((uint64_t)1 << AE_STATE_SHIFT) - 1);
}

/* What a committed transaction leaves for validators: its first intents (the chunks hold the
 * rest). */
typedef struct ae_write_block {
    ae_block block;
    ae_a32 count;
    ae_a32 chunk_first;
    uint64_t _pad;
    ae_intent intents[AE_INTENTS_INLINE];
} ae_write_block;

/* How far the cancelling of a slot's generation is.  It only goes on: who cancels and was held up
 * must not meet again what it saw. */
#define AE_CANCEL_TOLD 0u /* the owner will learn it */
#define AE_CANCEL_VOID 1u /* its snapshot does not count */
#define AE_CANCEL_OVER 2u /* it has come back, or is being reaped: its snapshot counts again */
#define AE_CANCEL(generation, how) ((generation) << 2 | (how))
#define AE_CANCEL_GENERATION(word) ((word) >> 2)

typedef struct ae_slot {
    ae_a64 owner;        /* AE_OWNER, also of the reaper (AE_OWNER_REAPING); 0 free.  CAS by all */
    ae_a64 state;        /* see above */
    ae_a64 generation;   /* counts claims; part of the marks in versions.  Owner writes */
    ae_a64 snapshot;     /* 0: none.  Owner writes, reclaimers read */
    ae_a64 began_ns;     /* monotonic, of a transaction or cursor; 0 of a statement on its own */
    ae_a32 intent_count; /* owner writes, after the intent itself */
    ae_a32 stamped;      /* intents already stamped after the commit; all + 1: and counted */
    ae_a32 chunk_first;  /* intents beyond the inline ones */
    ae_a32 chunk_last;
    ae_a64 cancel; /* generation to be cancelled << 2 | AE_CANCEL_…: txn/cancel.c.  CAS by all */
    /* Second line on: what survives from claim to claim. */
    ae_a32 limbo_head; /* dead versions, oldest first, linked by limbo_next */
    ae_a32 limbo_tail;
    ae_a32 block_head; /* retired blocks, likewise */
    ae_a32 block_tail;
    ae_a32 limbo_count;
    ae_a32 split_old; /* directory shard being split: crash registers of the hash */
    ae_a32 split_new[2];
    ae_a32 closing; /* anchor being closed and removed from the hash */
    ae_a32 split_table;
    ae_cache cache;
    ae_a32 write_block; /* for a copy of the inline intents, for validators; 0 before the second */
    ae_a32 resting;     /* 1: see ae_slot_rest; owner writes */
    ae_a64 commits;     /* since the segment was made; owner writes, for statistics */
    ae_a32 tree_root;   /* crash registers of the ordered index: the tree at work, 0 none */
    ae_a32 tree_node;   /* the node being replaced, or whose child is */
    ae_a32 tree_child;  /* the node that nothing will lead to afterwards */
    ae_a32 tree_other;  /* and a second one */
    ae_a32 tree_new[3];
    ae_a32 tree_retired; /* counts nodes retired */
    ae_a32 tree_step;    /* what kind of step it is */
    ae_a32 plain; /* 1: the owner reads at its snapshot and never asks what was written since */
    ae_intent intents[AE_INTENTS_INLINE];
    /* Crash registers of pruning (txn/prune.c). */
    ae_a32 moving;       /* version on its way to the end of the limbo */
    ae_a32 pruned;       /* version being taken out of its row's chain */
    ae_a32 pruned_from;  /* the younger one that leads to it */
    ae_a32 prune_lock;   /* 1 + the lock that is held, 0 none */
    ae_a64 pruned_begin; /* what it began with */
    ae_a32 walked;       /* versions of rows looked at when entries were last removed */
    uint32_t _pad4[7];
} ae_slot;
_Static_assert(sizeof(ae_slot) == 448, "seven cache lines");
_Static_assert(offsetof(ae_slot, limbo_head) == 64, "the second line");

typedef struct ae_member {
    ae_a64 identity;   /* process; 0 free.  CAS by all */
    ae_a64 pin;        /* snapshot of a short read, 0 none.  Member writes, reclaimers read */
    ae_a64 name_space; /* pid namespace; 0 until known */
    ae_a64 reaping;    /* a reaper's member + 1 */
    uint64_t _pad[4];
} ae_member;
_Static_assert(sizeof(ae_member) == 64, "one cache line");

/* One who follows the commits: see feed.h. */
typedef struct ae_feed_line {
    ae_a64 owner;     /* AE_OWNER; in its low half 0 when free.  CAS by all */
    ae_a64 pin;       /* numbers up to it have been read; 0 none.  CAS by all (feed.h) */
    ae_a64 delivered; /* events handed out, for statistics; like the next two: owner writes */
    ae_a64 told;      /* commits up to this number have been told */
    ae_a64 settled;   /* 1: the pin was published to the end, so it holds what it says */
    uint64_t _pad[3];
} ae_feed_line;
_Static_assert(sizeof(ae_feed_line) == 64, "one cache line");
#define AE_PIN_REVOKED UINT64_MAX

enum ae_counter {
    AE_COUNT_COMMITS, /* those of slots are added to it: a shared word would cost each commit */
    AE_COUNT_ROLLBACKS,
    AE_COUNT_CONFLICTS, /* + reason, AERO_CONFLICT_… */
    AE_COUNT_RETRIES = AE_COUNT_CONFLICTS + 8,
    AE_COUNT_LATCHES, /* taken, by escalation or by lock_for_update */
    AE_COUNT_CANCELLED,
    AE_COUNT_REAPED_SLOTS,
    AE_COUNT_REAPED_MEMBERS,
    AE_COUNTERS
};

typedef struct ae_proc_shared {
    ae_a64 clock; /* read by every reader, written by every commit */
    ae_a64 tail;  /* next free position of the commit queue: written by every commit, just before
                     the clock, so one line that changes hands is cheaper than two */
    uint64_t _pad0[14];
    ae_a64 horizon;   /* highest computed so far */
    ae_a32 slot_high; /* slots at or above were never claimed */
    ae_a32 member_high;
    uint32_t asymmetric; /* constant: readers rely on membarrier */
    uint32_t queue_size; /* constant: entries, a power of two */
    ae_a64 reap_due_ns;  /* monotonic, coarse: when somebody shall look for dead owners of slots */
    ae_a64 transaction_timeout_secs; /* cancel what is open longer; 0: never */
    ae_a64 lag_due_ns; /* likewise: when the holders of a horizon far behind may be looked at */
    uint64_t _pad2[2];
    ae_a64 counters[AE_COUNTERS + (8 - AE_COUNTERS % 8) % 8];
    /* Followers of the commits: written when one falls asleep and when it is woken. */
    ae_a32 feed_waiting; /* 1: somebody sleeps on feed_event */
    ae_a32 feed_event;   /* futex */
    ae_a32 feed_high;    /* lines at or above were never claimed */
    uint32_t _pad5[13];
    /* Who relinks the chain of a row: slot + 1 of the holder, by the row's anchor; 0 nobody.  CAS.
     * Only ever tried, never waited for. */
    ae_a32 prune_locks[AE_PRUNE_LOCKS];
    ae_feed_line feeds[AE_FEEDS];
    ae_slot slots[AE_SLOTS];
    ae_member members[AE_MEMBERS];
} ae_proc_shared;
_Static_assert(offsetof(ae_proc_shared, slots) % 64 == 0, "slots are aligned to lines");

/* A process's view. */
typedef struct ae_proc {
    ae_proc_shared *shared;
    ae_heap *heap;
    bool asymmetric;
} ae_proc;

aero_status ae_proc_create(ae_segment *segment, aero_error *error);
aero_status ae_proc_open(ae_proc *proc, ae_heap *heap, aero_error *error);

static inline ae_slot *ae_slot_at(const ae_proc *proc, uint32_t slot)
{
    return &proc->shared->slots[slot];
}
static inline void ae_count(const ae_proc *proc, uint32_t counter)
{
    ae_add64(&proc->shared->counters[counter], 1);
}

/* ---- members -------------------------------------------------------------------------------- */

/* Register a session of this process.  LIMIT when 1,024 living sessions are attached. */
aero_status ae_member_claim(ae_proc *proc, uint32_t *member, aero_error *error);
void ae_member_release(ae_proc *proc, uint32_t member);
/* False when the member's process has ended. */
bool ae_member_alive(const ae_proc *proc, uint32_t member);
/* Free the line of a dead member that owns no slot any more (keeps P2). */
bool ae_member_bury(ae_proc *proc, uint32_t member);
/* Look at a few lines whether their members are dead; `turn` counts up, so that each has its
 * turn. */
void ae_member_sweep(ae_proc *proc, uint64_t turn);

/* ---- snapshots ------------------------------------------------------------------------------ */

/* Publish the clock in `place` (a member's pin or a slot's snapshot) and return it. */
static inline uint64_t ae_snapshot_publish(const ae_proc *proc, ae_a64 *place)
{
    uint64_t snapshot = ae_load64_acquire(&proc->shared->clock);
    for (;;) {
        ae_store64_release(place, snapshot);
        /* The publication must not pass the second look; pairs with ae_horizon_compute.  With
         * membarrier the compiler is all that needs to be held. */
        if (proc->asymmetric)
            atomic_signal_fence(memory_order_seq_cst);
        else
            atomic_thread_fence(memory_order_seq_cst);
        const uint64_t now = ae_load64_acquire(&proc->shared->clock);
        if (now == snapshot)
            return snapshot;
        snapshot = now;
    }
}

/* The owner of a slot enters the engine.  False: it was cancelled, and what it read may be gone. */
static inline bool ae_slot_wake(const ae_proc *proc, uint32_t slot, uint64_t generation)
{
    ae_slot *at = ae_slot_at(proc, slot);
    ae_store32(&at->resting, 0);
    /* Awake before the look at `cancel`; pairs with slot_cancel, which has run a barrier for us. */
    if (proc->asymmetric)
        atomic_signal_fence(memory_order_seq_cst);
    else
        atomic_thread_fence(memory_order_seq_cst);
    return AE_CANCEL_GENERATION(ae_load64_acquire(&at->cancel)) != generation;
}
/* It leaves, with nothing in its hands but versions that its snapshot sees: whatever else it looks
 * at next it looks up anew. */
static inline void ae_slot_rest(const ae_proc *proc, uint32_t slot)
{
    /* Release: its reads are over; pairs with slot_cancel and ae_snapshots_take. */
    ae_store32_release(&ae_slot_at(proc, slot)->resting, 1);
}
/* Was the slot cancelled, and its snapshot given up? */
static inline bool ae_slot_void(const ae_slot *slot)
{
    const uint64_t cancel = ae_load64_acquire(&slot->cancel);
    return cancel == AE_CANCEL(ae_load64_acquire(&slot->generation), AE_CANCEL_VOID);
}

/* Compute the horizon: the least published snapshot, at most the clock.  Pins of dead processes
 * found on the way are dropped when they hold it back. */
uint64_t ae_horizon_compute(ae_proc *proc);
/* The same without the slot's own snapshot: what its owner has retired before it is in nobody's
 * hands but perhaps its own.  When nobody has a snapshot it lies beyond the clock: who publishes
 * one from now on does not come to what is unlinked already. */
uint64_t ae_horizon_of_others(ae_proc *proc, uint32_t slot);

/* What the published snapshots need, for reclaiming between them when an old one is held.  True for
 * ever, because snapshots published later are at least `recent`. */
#define AE_SNAPSHOTS_KEPT 62u
typedef struct ae_snapshots {
    uint64_t recent; /* what ended after it is needed, or may be asked for */
    uint64_t in_use; /* blocks retired before it are in nobody's hands */
    int64_t steps;   /* the caller's: what walks along rows may still cost (txn/prune.h) */
    uint32_t count;
    uint32_t _pad;
    uint64_t at[AE_SNAPSHOTS_KEPT]; /* older snapshots: each needs what it sees, and no more */
} ae_snapshots;
void ae_snapshots_take(ae_proc *proc, ae_snapshots *snapshots);
/* Does one of them see what began and ended so? */
static inline bool ae_snapshots_need(const ae_snapshots *snapshots, uint64_t begin, uint64_t end)
{
    bool need = end > snapshots->recent;
    for (uint32_t index = 0; index < snapshots->count; index++)
        need |= begin <= snapshots->at[index] && snapshots->at[index] < end;
    return need;
}

/* ---- slots ---------------------------------------------------------------------------------- */

/* Claim a slot, `hint` first.  A new generation begins; state ACTIVE; no snapshot yet.
 * NO_SLOT when all are in use by the living. */
aero_status ae_slot_claim(ae_proc *proc, uint32_t member, uint32_t hint, uint32_t *slot,
                          aero_error *error);
/* Claim just this slot; NO_SLOT when it is in use. */
aero_status ae_slot_claim_at(ae_proc *proc, uint32_t member, uint32_t wanted, uint32_t *slot);
/* Give it back: the transaction is over and stamped or undone. */
void ae_slot_release(ae_proc *proc, uint32_t slot);
/* Take a slot whose owner is dead, to clean it up; false when its owner lives or another reaper has
 * it. */
bool ae_slot_seize(ae_proc *proc, uint32_t slot, uint32_t member);
/* True when the owner of the slot (if any) has ended. */
bool ae_slot_dead(const ae_proc *proc, uint32_t slot);

/* ---- limbo: what waits for the horizon ------------------------------------------------------ */

/* A FIFO through a 32-bit link in each element, that a reaper can repair after any store. */
void ae_limbo_push(const ae_proc *proc, ae_a32 *head, ae_a32 *tail, ae_ref ref, ae_a32 *link);
/* After a death: complete a push that was cut short.  `link_offset`: of the link in an element. */
void ae_limbo_repair(const ae_proc *proc, const ae_a32 *head, ae_a32 *tail, size_t link_offset);
/* Was `ref` the last one pushed? */
static inline bool ae_limbo_last_is(const ae_a32 *head, const ae_a32 *tail, ae_ref ref)
{
    return ae_load32(head) != 0 && ae_load32(tail) == ref;
}

/* The word of a retired block: by which slot, and at which clock. */
#define AE_RETIRED_NUMBER (((uint64_t)1 << 52) - 1)
static inline uint64_t ae_retired_word(uint32_t slot, uint64_t clock)
{
    return AE_WORD_RETIRED | (uint64_t)slot << 52 | (clock & AE_RETIRED_NUMBER);
}
/* Retire a block: unlinked now, reusable when every snapshot is newer. */
void ae_block_retire(ae_proc *proc, uint32_t slot, ae_ref ref);
/* Retire a slab that ae_heap_drain has taken out of service.  It waits for the horizon twice.  A
 * reference to one of its objects may have been met, by a reader with a newer snapshot than the
 * retirement's, where a transaction with an older one had put it for a moment (a head that leads to
 * a freed version until it is undone): once is for the transaction, the second time for the
 * reader. */
void ae_slab_retire(ae_proc *proc, uint32_t slot, ae_ref ref);
/* After a death: go on with the slab that was being retired or given back. */
void ae_slab_recover(ae_proc *proc, uint32_t slot);
/* Free retired blocks of the slot that the horizon has passed; returns how many. */
uint64_t ae_block_reclaim(ae_proc *proc, uint32_t slot, uint64_t horizon);

#endif
