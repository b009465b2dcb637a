/* queue.c — entering and deciding (see queue.h). */
#include "txn/queue.h"

#define GENERATION_BITS 40
#define GENERATION_MASK (((uint64_t)1 << GENERATION_BITS) - 1)

aero_status ae_queue_create(ae_segment *segment, aero_error *error)
{
    const ae_proc_shared *proc = ae_at(segment, segment->header->roots[AE_ROOT_PROC]);
    const ae_ref root = ae_segment_carve(segment, proc->queue_size * sizeof(ae_queue_entry));
    if (root == 0)
        return ae_fail(error, AERO_FULL, "no room for the commit queue");
    segment->header->roots[AE_ROOT_QUEUE] = root;
    return AERO_OK;
}

aero_status ae_queue_open(ae_queue *queue, ae_proc *proc, aero_error *error)
{
    const ae_segment *segment = proc->heap->segment;
    const uint64_t size = proc->shared->queue_size;
    const uint64_t end = ((uint64_t)segment->header->roots[AE_ROOT_QUEUE] << 4) + size * 32;
    if (end > (uint64_t)segment->header->first_page << AE_PAGE_SHIFT)
        return ae_fail(error, AERO_CORRUPT, "the segment's commit queue lies outside");
    AE_ALWAYS(size > AE_SLOTS && (size & (size - 1)) == 0);
    queue->proc = proc;
    queue->entries = ae_at(segment, segment->header->roots[AE_ROOT_QUEUE]);
    queue->mask = size - 1;
    queue->shift = (uint32_t)__builtin_ctzll(size);
    return AERO_OK;
}

static uint64_t entry_word(const ae_queue *queue, uint64_t position, uint32_t slot,
                           uint64_t generation)
{
    AE_ASSERT(slot < AE_SLOTS);
    const uint64_t lap = (position >> queue->shift) + 1;
    return (lap & 0xffff) << 48 | (uint64_t)slot << GENERATION_BITS |
           (generation & GENERATION_MASK);
}

static bool entry_is_lap(const ae_queue *queue, uint64_t word, uint64_t position)
{
    return word != 0 && word >> 48 == (((position >> queue->shift) + 1) & 0xffff);
}

uint64_t ae_queue_enter(ae_queue *queue, uint32_t slot)
{
    AE_ASSERT(slot < AE_SLOTS);
    ae_proc_shared *shared = queue->proc->shared;
    const uint64_t generation = ae_load64(&ae_slot_at(queue->proc, slot)->generation);
    for (;;) {
        const uint64_t tail = ae_load64_acquire(&shared->tail);
        ae_queue_entry *entry = &queue->entries[tail & queue->mask];
        const uint64_t seen = ae_load64_acquire(&entry->word);
        bool mine = false;
        /* Held up between the two loads, we may see an entry of a later lap: only while the tail
         * stands is the entry free, and only if it is still what was seen is it taken. */
        if (ae_load64_acquire(&shared->tail) != tail)
            continue;
        if (!entry_is_lap(queue, seen, tail))
            /* The word names its owner at once, so a claim is never anonymous. */
            mine = ae_cas64(&entry->word, seen, entry_word(queue, tail, slot, generation));
        AE_CRASH_POINT("queue.entered");
        (void)ae_cas64(&shared->tail, tail, tail + 1);
        if (mine)
            return tail;
    }
}

/* Move the clock past the front position if it is decided; when `force`, abort it first.  Returns
 * false when it is still undecided. */
static bool front_advance(ae_queue *queue, uint64_t front, bool force)
{
    ae_proc_shared *shared = queue->proc->shared;
    const ae_queue_entry *entry = &queue->entries[front & queue->mask];
    const uint64_t word = ae_load64_acquire(&entry->word);
    if (!entry_is_lap(queue, word, front))
        return ae_load64_acquire(&shared->clock) != front;
    ae_slot *slot = ae_slot_at(queue->proc, (uint32_t)(word >> GENERATION_BITS) & 0xffu);
    const uint64_t state = ae_load64_acquire(&slot->state);
    if ((ae_load64_acquire(&slot->generation) & GENERATION_MASK) != (word & GENERATION_MASK))
        return true; /* released since, so by Q3 the clock is past it */
    if (ae_state_of(state) == AE_STATE_COMMITTING) {
        if (!force)
            return false;
        /* Either the owner's CAS to COMMITTED wins or this one does.  Should the slot be committing
         * its next transaction by now, that one is aborted for nothing: safe, and it is run
         * again. */
        if (ae_load64_acquire(&shared->clock) == front)
            (void)ae_cas64(&slot->state, state, AE_STATE(AE_STATE_ABORTED, 0));
        return false;
    }
    AE_CRASH_POINT("queue.decided");
    /* Release: the decision before the clock (keeps Q1); pairs with ae_snapshot_publish. */
    (void)ae_cas64(&shared->clock, front, front + 1);
    return true;
}

bool ae_queue_wait(ae_queue *queue, uint32_t slot, uint64_t position)
{
    AE_ASSERT(slot < AE_SLOTS);
    ae_proc_shared *shared = queue->proc->shared;
    uint32_t spins = 0;
    uint64_t watched = 0;
    for (;;) {
        const uint64_t clock = ae_load64_acquire(&shared->clock);
        if (clock >= position)
            break;
        spins = clock == watched ? spins + 1 : 0;
        watched = clock;
        if (!front_advance(queue, clock, spins > AE_DECIDE_SPINS))
            ae_pause();
    }
    return ae_state_of(ae_load64_acquire(&ae_slot_at(queue->proc, slot)->state)) ==
           AE_STATE_COMMITTING;
}

bool ae_queue_decide(ae_queue *queue, uint32_t slot, uint64_t position, bool commit)
{
    AE_ASSERT(slot < AE_SLOTS);
    ae_proc_shared *shared = queue->proc->shared;
    ae_slot *at = ae_slot_at(queue->proc, slot);
    /* Acquire-release: the writes of the transaction come before its commit; pairs with the readers
     * that resolve its marks. */
    const uint64_t outcome = commit ? AE_STATE(AE_STATE_COMMITTED, position + 1)
                                    : AE_STATE(AE_STATE_ABORTED, 0);
    const bool decided = ae_cas64(&at->state, AE_STATE(AE_STATE_COMMITTING, 0), outcome);
    AE_CRASH_POINT("queue.committed");
    while (ae_load64_acquire(&shared->clock) <= position)
        (void)front_advance(queue, position, false);
    return decided && commit;
}

bool ae_queue_owner(const ae_queue *queue, uint64_t position, uint32_t *slot, uint64_t *generation)
{
    const uint64_t word = ae_load64_acquire(&queue->entries[position & queue->mask].word);
    *slot = (uint32_t)(word >> GENERATION_BITS) & 0xffu;
    *generation = word & GENERATION_MASK;
    return entry_is_lap(queue, word, position);
}

bool ae_queue_log_owner(void *queue, uint64_t position, uint32_t *slot, uint64_t *generation)
{
    return ae_queue_owner(queue, position, slot, generation);
}

#define WHAT_SHIFT 34
#define WHAT_POSITION(position) ((position) << WHAT_SHIFT)

void ae_queue_describe(ae_queue *queue, uint64_t position, enum ae_queue_what what, ae_ref ref)
{
    /* No block: a reaper comes again after it was retired, to what has been described. */
    AE_ASSERT(what <= AE_WROTE_DELETE && (ref != 0 || what == AE_WROTE_SEVERAL));
    ae_queue_entry *entry = &queue->entries[position & queue->mask];
    const uint64_t mine = WHAT_POSITION(position) | (uint64_t)what << 32 | ref;
    for (;;) {
        const uint64_t seen = ae_load64_acquire(&entry->what);
        if (seen >> WHAT_SHIFT == mine >> WHAT_SHIFT ||
            !entry_is_lap(queue, ae_load64_acquire(&entry->word), position))
            return;
        /* One word, by compare-and-swap: whoever was stopped here for a whole lap of the ring can
         * at worst set an outdated value, which its successor replaces. */
        if (ae_cas64(&entry->what, seen, mine))
            return;
    }
}

bool ae_queue_described(const ae_queue *queue, uint64_t position, enum ae_queue_what *what,
                        ae_ref *ref)
{
    const ae_queue_entry *entry = &queue->entries[position & queue->mask];
    /* Acquire: what the reference leads to; pairs with ae_queue_describe. */
    const uint64_t seen = ae_load64_acquire(&entry->what);
    *what = (enum ae_queue_what)(seen >> 32 & 3u);
    *ref = (ae_ref)seen;
    return *ref != 0 && seen >> WHAT_SHIFT == WHAT_POSITION(position) >> WHAT_SHIFT;
}

uint64_t ae_queue_settle(ae_queue *queue, uint32_t slot)
{
    AE_ALWAYS(slot < AE_SLOTS);
    ae_proc_shared *shared = queue->proc->shared;
    ae_slot *at = ae_slot_at(queue->proc, slot);
    const uint64_t generation = ae_load64(&at->generation) & GENERATION_MASK;
    uint64_t state = ae_load64_acquire(&at->state);
    while (ae_state_of(state) == AE_STATE_COMMITTING || ae_state_of(state) == AE_STATE_ACTIVE) {
        (void)ae_cas64(&at->state, state, AE_STATE(AE_STATE_ABORTED, 0));
        state = ae_load64_acquire(&at->state);
    }
    /* Did it enter?  Its entry would be among the undecided ones (one more than the tail says: the
     * tail may not have been moved). */
    const uint64_t end = ae_load64_acquire(&shared->tail) + 1;
    for (uint64_t position = ae_load64_acquire(&shared->clock); position < end; position++) {
        const uint64_t word = ae_load64_acquire(&queue->entries[position & queue->mask].word);
        if (!entry_is_lap(queue, word, position) || (word & GENERATION_MASK) != generation ||
            ((word >> GENERATION_BITS) & 0xffu) != slot)
            continue;
        if (position + 1 == end)
            (void)ae_cas64(&shared->tail, position, position + 1);
        uint32_t spins = 0;
        uint64_t watched = 0;
        for (;;) { /* see the clock past it (keeps Q3) */
            const uint64_t clock = ae_load64_acquire(&shared->clock);
            if (clock > position)
                break;
            spins = clock == watched ? spins + 1 : 0;
            watched = clock;
            (void)front_advance(queue, clock, spins > AE_DECIDE_SPINS);
        }
        break;
    }
    return ae_state_of(state) == AE_STATE_COMMITTED ? ae_state_number(state) : 0;
}

bool ae_queue_check(const ae_queue *queue)
{
    const uint64_t clock = ae_load64_acquire(&queue->proc->shared->clock);
    const uint64_t tail = ae_load64_acquire(&queue->proc->shared->tail);
    if (tail < clock || tail - clock > AE_SLOTS)
        return false;
    /* From the tail on, one entry may be claimed already; an entry further on would stop the
     * queue. */
    for (uint64_t position = tail + 1; position < tail + queue->mask; position++)
        if (entry_is_lap(queue, ae_load64_acquire(&queue->entries[position & queue->mask].word),
                         position))
            return ae_load64_acquire(&queue->proc->shared->tail) != tail;
    return true;
}
