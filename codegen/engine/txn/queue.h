/* queue.h — the commit queue: it orders transactions, and its position is the commit number.
 *
 * How it works.  A ring of entries.  A committer claims the entry at the tail by compare-and-swap
 * of the entry's word, which holds lap, slot and generation; the tail follows, moved by anybody.
 * Positions are decided in order: the clock says how many are.  Whoever stands at the front turns
 * its slot from COMMITTING to COMMITTED by one compare-and-swap and moves the clock past itself; a
 * front that does not decide is aborted, by the same kind of compare-and-swap, by the one behind
 * it, dead or only slow.
 *
 *      clock                         tail
 *        ▼                             ▼
 *   … │ p: committing │ p+1 │ p+2 │ free …
 *
 * Invariants
 *   Q1  a position is decided (its slot committed or aborted) before the clock passes it
 *   Q2  the clock moves one position at a time; a transaction's number is its position + 1
 *   Q3  a slot is released after the clock has passed its position
 *
 * Why a snapshot is a prefix of the order: a snapshot S is a reading of the clock, so by Q1 every
 * transaction with a number <= S is decided, and by Q2 whoever decides later gets a number > S.  A
 * reader may therefore read past every mark that is not committed at or below its S.
 *
 * Progress: lock-free.  Nobody waits for a stopped process longer than AE_DECIDE_SPINS.
 */
#ifndef AE_TXN_QUEUE_H
#define AE_TXN_QUEUE_H

#include "proc/proc.h"

typedef struct ae_queue_entry {
    ae_a64 word; /* lap << 48 | slot << 40 | generation (low 40 bits); 0: never used */
    /* What was written, for the validation of transactions that began before: position (low 30
     * bits) << 34, kind << 32, reference.  Set by the owner or its reaper between the decision and
     * the release of the slot; until then the slot has it. */
    ae_a64 what;
    uint64_t _pad[2];
} ae_queue_entry;
_Static_assert(sizeof(ae_queue_entry) == 32, "two entries a line");

typedef struct ae_queue {
    ae_proc *proc;
    ae_queue_entry *entries;
    uint64_t mask;
    uint32_t shift; /* log2 of the entries */
} ae_queue;

aero_status ae_queue_create(ae_segment *segment, aero_error *error);
aero_status ae_queue_open(ae_queue *queue, ae_proc *proc, aero_error *error);

/* A commit is coming, near this position: bring what it will write near, before it is needed. */
static inline void ae_queue_fetch(const ae_queue *queue, uint64_t position)
{
    ae_fetch_to_write(&queue->proc->shared->clock);
    ae_fetch_to_write(&queue->entries[position & queue->mask]);
}
/* Join at the tail; the slot says COMMITTING.  Returns the position. */
uint64_t ae_queue_enter(ae_queue *queue, uint32_t slot);
/* Wait until every position before is decided.  False: somebody aborted the slot meanwhile. */
bool ae_queue_wait(ae_queue *queue, uint32_t slot, uint64_t position);
/* Decide: committed with number position + 1, or aborted when `commit` is false.  Returns whether
 * it is committed: somebody may have aborted it.  In every case the clock has passed the
 * position. */
bool ae_queue_decide(ae_queue *queue, uint32_t slot, uint64_t position, bool commit);
/* The entry of a decided position: slot and generation of its owner.  False when it has been
 * overwritten. */
bool ae_queue_owner(const ae_queue *queue, uint64_t position, uint32_t *slot, uint64_t *generation);
/* The same for the log's writer, whose context is the queue (wal/log.h). */
bool ae_queue_log_owner(void *queue, uint64_t position, uint32_t *slot, uint64_t *generation);
enum ae_queue_what {
    AE_WROTE_SEVERAL, /* reference: an ae_write_block */
    AE_WROTE_INSERT,  /* reference: the new version */
    AE_WROTE_UPDATE,  /* reference: the new version; its `older` is what it replaced */
    AE_WROTE_DELETE   /* reference: the version that was ended */
};
/* Set what was written at a position; nothing happens when it has been set, or overwritten. */
void ae_queue_describe(ae_queue *queue, uint64_t position, enum ae_queue_what what, ae_ref ref);
/* Read it; false when it is not set yet (the slot still has it) or has been overwritten. */
bool ae_queue_described(const ae_queue *queue, uint64_t position, enum ae_queue_what *what,
                        ae_ref *ref);

/* For a reaper: abort the slot's pending commit if it is not decided, and see the clock past its
 * entry if it had entered.  Returns the commit number, or 0 when it is aborted. */
uint64_t ae_queue_settle(ae_queue *queue, uint32_t slot);

/* Are clock, tail and the entries ahead such that commits can go on?  For verify. */
bool ae_queue_check(const ae_queue *queue);

#endif
