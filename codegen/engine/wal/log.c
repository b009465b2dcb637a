/* log.c — the log in the segment: making it, where it stands, and the rings of the slots.
 *
 * A record is put into its slot's ring before the transaction asks to commit, and is taken back
 * when it does not: `fill` runs ahead of `head` while the outcome is open.  Nobody but the slot's
 * holder writes a ring, and a slot keeps its holder as long as that one lives; so a process that is
 * stopped while it fills its ring harms nobody when it goes on.
 *
 * Records are contiguous.  Where one does not fit before the end of a lap, the rest of the lap is
 * skipped.
 */
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "base/os_wait.h"
#include "wal/log_private.h"

/* Every slot that ever wrote has a ring: all of them together take at most an eighth of the
 * segment.  Half a ring is what an asynchronous committer writes at once, and 128 KiB is where
 * larger writes stop being cheaper; 4 KiB is some thirty small records. */
#define RING_SHARE 2048u
#define RING_MIN ((uint64_t)4 << 10)
#define RING_MAX ((uint64_t)256 << 10)

#define INDEX_BITS 16

aero_status ae_log_create(ae_segment *segment, aero_error *error)
{
    const ae_ref root = ae_segment_carve(segment, sizeof(ae_log_shared));
    if (root == 0)
        return ae_fail(error, AERO_FULL, "no room for the log");
    segment->header->roots[AE_ROOT_LOG] = root;
    ae_log_shared *shared = ae_at(segment, root);
    uint64_t size = segment->size / RING_SHARE;
    size = size < RING_MIN ? RING_MIN : size > RING_MAX ? RING_MAX : size;
    shared->ring_size = (uint32_t)(size - sizeof(ae_block)) & ~7u;
    AE_ALWAYS(shared->ring_size % 8 == 0 && shared->ring_size >= RING_MIN / 2);
    return AERO_OK;
}

aero_status ae_log_open(ae_log *log, ae_proc *proc, const struct aero_schema *schema,
                        enum ae_stack stack, const char *directory, const char *name,
                        ae_log_owner owner, void *owner_context, aero_error *error)
{
    AE_ALWAYS(stack == AE_STACK_ROW || stack == AE_STACK_LOGICAL);
    const ae_segment *segment = proc->heap->segment;
    const ae_ref root = segment->header->roots[AE_ROOT_LOG];
    const uint64_t end = ((uint64_t)root << 4) + sizeof(ae_log_shared);
    memset(log, 0, sizeof *log);
    if (root == 0 || end > (uint64_t)segment->header->first_page << AE_PAGE_SHIFT)
        return ae_fail(error, AERO_CORRUPT, "the segment's log lies outside");
    log->proc = proc;
    log->shared = ae_at(segment, root);
    log->ring_pool = ae_heap_class(proc->heap, log->shared->ring_size);
    log->stack = stack;
    log->directory = directory;
    log->name = name;
    log->schema = schema->fingerprint;
    log->owner = owner;
    log->owner_context = owner_context;
    snprintf(log->package, sizeof log->package, "%s", schema->package);
    const uint32_t size = log->shared->ring_size;
    if (size < RING_MIN / 2 || size > RING_MAX || size % 8 != 0 ||
        ae_load32(&log->shared->on) > 1 ||
        (ae_load64(&log->shared->published) & 0xffff) >= 2 * AE_MEMBERS)
        return ae_fail(error, AERO_CORRUPT, "the segment's log is damaged");
    return AERO_OK;
}

void ae_log_start(ae_log *log, const ae_log_position *position)
{
    ae_proc_shared *proc = log->proc->shared;
    ae_log_shared *shared = log->shared;
    aei_state *state = &shared->states[0];
    ae_log_position from = *position;
    AE_ALWAYS(ae_load32(&shared->on) == 0);
    /* Alone: plain stores will do.  Numbers go on above those that are on disk. */
    if (ae_load64(&proc->clock) < from.number) {
        ae_store64(&proc->clock, from.number);
        ae_store64(&proc->tail, from.number);
        ae_store64(&proc->horizon, from.number);
    }
    from.number = ae_load64(&proc->clock);
    AE_ALWAYS(from.number >= position->number);
    ae_store64(&state->lsn, from.lsn);
    ae_store64(&state->previous, from.previous);
    ae_store64(&state->number, from.number);
    ae_store64(&state->framed, from.framed);
    ae_store64(&state->base, AEI_NO_BASE);
    ae_store64(&shared->published, 0);
    ae_store64(&shared->written_number, from.number);
    ae_store64(&shared->durable_lsn, from.lsn);
    ae_store64(&shared->durable_number, from.number);
    ae_store32_release(&shared->on, 1);
}

bool ae_log_is_on(const ae_log *log)
{
    return log->shared != NULL && ae_load32(&log->shared->on) != 0;
}

/* ---- where it stands ------------------------------------------------------------------------ */

void aei_state_read(const ae_log *log, uint64_t *word, ae_log_position *position)
{
    const ae_log_shared *shared = log->shared;
    for (;;) {
        /* Acquire: the state was filled before it was published; pairs with aei_state_publish. */
        *word = ae_load64_acquire(&shared->published);
        const uint32_t index = (uint32_t)*word & (2 * AE_MEMBERS - 1);
        const aei_state *state = &shared->states[index];
        /* Acquire, each: the second look at the word comes last. */
        position->lsn = ae_load64_acquire(&state->lsn);
        position->previous = ae_load64_acquire(&state->previous);
        position->number = ae_load64_acquire(&state->number);
        position->framed = ae_load64_acquire(&state->framed);
        position->base = ae_load64_acquire(&state->base);
        if (ae_load64_acquire(&shared->published) == *word)
            return;
    }
}

bool aei_state_publish(ae_log *log, uint32_t member, uint64_t *word,
                       const ae_log_position *position)
{
    AE_ASSERT(member < AE_MEMBERS);
    ae_log_shared *shared = log->shared;
    const uint64_t first = 2 * (uint64_t)member;
    const uint64_t index = (*word & 0xffff) == first ? first + 1 : first;
    aei_state *state = &shared->states[index];
    /* Nobody else writes these two, and the one that is published stays as it is: a process that is
     * stopped here spoils nothing when it goes on, for its compare-and-swap fails. */
    ae_store64_release(&state->lsn, position->lsn);
    ae_store64_release(&state->previous, position->previous);
    ae_store64_release(&state->number, position->number);
    ae_store64_release(&state->framed, position->framed);
    ae_store64_release(&state->base, position->base);
    AE_CRASH_POINT("log.filled");
    const uint64_t next = ((*word >> INDEX_BITS) + 1) << INDEX_BITS | index;
    /* Release: the state before its word; pairs with aei_state_read. */
    if (!ae_cas64(&shared->published, *word, next))
        return false;
    *word = next;
    ae_raise64(&shared->written_number, position->number);
    AE_CRASH_POINT("log.published");
    return true;
}

ae_log_position ae_log_written(const ae_log *log)
{
    ae_log_position position;
    uint64_t word = 0;
    aei_state_read(log, &word, &position);
    return position;
}

uint64_t ae_log_written_number(const ae_log *log)
{
    return ae_load64(&log->shared->written_number);
}

uint64_t ae_log_durable_number(const ae_log *log)
{
    return ae_load64_acquire(&log->shared->durable_number);
}

uint64_t ae_log_durable_lsn(const ae_log *log)
{
    return ae_load64_acquire(&log->shared->durable_lsn);
}

int ae_log_poisoned(const ae_log *log)
{
    return (int)ae_load32_acquire(&log->shared->poison);
}

/* ---- rings ---------------------------------------------------------------------------------- */

char *aei_ring_bytes(const ae_log *log, uint32_t slot)
{
    AE_ASSERT(slot < AE_SLOTS);
    const ae_ref block = ae_load32_acquire(&log->shared->rings[slot].block);
    return block == 0 ? NULL : (char *)ae_at(log->proc->heap->segment, block) + sizeof(ae_block);
}

ae_ref ae_log_ring_block(const ae_log *log, uint32_t slot)
{
    return log->shared == NULL ? 0 : ae_load32(&log->shared->rings[slot].block);
}

/* Is a reference to a ring's memory one of a block of its size? */
static bool ring_block_sound(const ae_log *log, ae_ref ref)
{
    const ae_heap *heap = log->proc->heap;
    const ae_slab *slab = ae_heap_slab(heap, ref);
    return slab != NULL && slab->pool == log->ring_pool;
}

aero_status ae_log_ring_make(ae_log *log, uint32_t slot, aero_error *error)
{
    AE_ALWAYS(slot < AE_SLOTS);
    ae_heap *heap = log->proc->heap;
    aei_ring *ring = &log->shared->rings[slot];
    if (ae_load32(&ring->block) != 0) /* own slot */
        return ring_block_sound(log, ae_load32(&ring->block))
                   ? AERO_OK
                   : ae_fail(error, AERO_PANIC, "the log's ring of slot %u lies nowhere", slot);
    ae_cache *cache = &ae_slot_at(log->proc, slot)->cache;
    ae_ref ref = 0;
    const aero_status status = ae_heap_take(heap, cache, slot, log->ring_pool, &ref, error);
    if (status != AERO_OK)
        return status;
    ae_block *block = ae_at(heap->segment, ref);
    /* In use before it is known: a reaper that finds it in the dead hand asks ae_log_ring_block
     * whether anything leads to it. */
    ae_store64_release(&block->word, AE_WORD_OF_SLOT(slot));
    AE_CRASH_POINT("log.ring");
    ae_store32_release(&ring->block, ref);
    ae_heap_linked(cache, ref);
    return AERO_OK;
}

size_t ae_log_record_max(const ae_log *log)
{
    /* Half of it: then there is always room for one when the ring is empty, wherever it stands. */
    return log->shared->ring_size / 2 - sizeof(aei_record);
}

uint8_t *ae_log_place(ae_log *log, uint32_t slot, size_t size, size_t *room)
{
    const aei_ring *ring = &log->shared->rings[slot];
    const uint64_t capacity = log->shared->ring_size;
    const uint64_t head = ae_load64(&ring->head); /* own slot */
    /* Acquire: the writer has read what we are about to overwrite; pairs with tails_raise. */
    const uint64_t used = head - ae_load64_acquire(&ring->tail);
    const uint64_t offset = head % capacity;
    const uint64_t lap = capacity - offset;
    const uint64_t span = aei_record_span(size);
    char *bytes = aei_ring_bytes(log, slot);
    if (bytes == NULL || used > capacity)
        return NULL;
    uint64_t place = offset;
    uint64_t free_bytes = capacity - used < lap ? capacity - used : lap;
    if (span > free_bytes) { /* not before the end of the lap: from its beginning? */
        place = 0;
        free_bytes = capacity - used > lap ? capacity - used - lap : 0;
    }
    if (span > free_bytes)
        return NULL;
    AE_ASSERT(place + free_bytes <= capacity && span <= free_bytes);
    *room = (size_t)(free_bytes - sizeof(aei_record));
    return (uint8_t *)bytes + place + sizeof(aei_record);
}

void ae_log_offer(ae_log *log, uint32_t slot, const uint8_t *place, uint64_t generation,
                  size_t size, uint32_t pieces, uint64_t last_piece)
{
    AE_ASSERT(size <= ae_log_record_max(log) && (pieces != 0 || last_piece == 0));
    aei_ring *ring = &log->shared->rings[slot];
    const uint64_t capacity = log->shared->ring_size;
    char *bytes = aei_ring_bytes(log, slot);
    uint64_t at = ae_load64(&ring->head);
    const uint64_t offset = (uint64_t)((const char *)place - bytes) - sizeof(aei_record);
    if (offset != at % capacity) { /* the rest of the lap is left out */
        AE_ALWAYS(offset == 0);
        const uint64_t lap = capacity - at % capacity;
        if (lap >= sizeof(aei_record))
            *(uint64_t *)(void *)(bytes + at % capacity) = AEI_RECORD_SKIP;
        at += lap;
    }
    AE_ALWAYS(offset + aei_record_span(size) <= capacity);
    const aei_record record = {.generation = generation & AEI_GENERATION,
                               .last_piece = last_piece,
                               .size = (uint32_t)size,
                               .pieces = pieces};
    memcpy(bytes + offset, &record, sizeof record);
    AE_CRASH_POINT("log.recorded");
    if (pieces != 0)
        ae_store64_release(&ring->piece_end, at + aei_record_span(size));
    /* Release: the record before it counts; pairs with record_find.  It does so once the slot is
     * committed (keeps W1). */
    ae_store64_release(&ring->fill, at + aei_record_span(size));
    AE_CRASH_POINT("log.offered");
}

void ae_log_ring_written(ae_log *log, uint32_t slot)
{
    aei_ring *ring = &log->shared->rings[slot];
    ae_raise64(&ring->tail, ae_load64(&ring->head)); /* keeps W5 */
}

void ae_log_settle(ae_log *log, uint32_t slot, bool committed)
{
    AE_ASSERT(slot < AE_SLOTS);
    aei_ring *ring = &log->shared->rings[slot];
    const uint64_t head = ae_load64(&ring->head);
    const uint64_t fill = ae_load64(&ring->fill);
    if (!committed && ae_load64(&ring->piece) != 0 &&
        (ae_load64(&ring->piece_end) == 0 || ae_load64(&ring->piece_end) > head))
        ae_store64_release(&ring->piece, 0);
    if (head == fill)
        return;
    /* Release: pairs with record_find, which looks here after it saw that the slot went on. */
    if (committed)
        ae_store64_release(&ring->head, fill);
    else
        ae_store64_release(&ring->fill, head);
    AE_CRASH_POINT("log.settled");
}

void ae_log_pieces_begin(ae_log *log, uint32_t slot)
{
    AE_ALWAYS(slot < AE_SLOTS);
    aei_ring *ring = &log->shared->rings[slot];
    /* No piece lies at 0, which means none: a file begins there. */
    const uint64_t written = ae_log_written(log).lsn;
    const uint64_t lsn = written == 0 ? 1 : written;
    /* Release, in this order: ae_log_oldest_piece sees an old piece as one that is still needed
     * rather than miss it. */
    ae_store64_release(&ring->piece_end, 0);
    ae_store64_release(&ring->piece, lsn);
}

uint64_t ae_log_oldest_piece(const ae_log *log)
{
    uint64_t oldest = UINT64_MAX;
    for (uint32_t slot = 0; slot < AE_SLOTS; slot++) {
        const aei_ring *ring = &log->shared->rings[slot];
        /* Acquire: pairs with ae_log_pieces_begin. */
        const uint64_t piece = ae_load64_acquire(&ring->piece);
        const uint64_t end = ae_load64_acquire(&ring->piece_end);
        if (piece != 0 && piece < oldest && (end == 0 || ae_load64_acquire(&ring->tail) < end))
            oldest = piece;
    }
    return oldest;
}

bool ae_log_presses(const ae_log *log, uint32_t slot)
{
    AE_ASSERT(slot < AE_SLOTS);
    const aei_ring *ring = &log->shared->rings[slot];
    return ae_load64(&ring->head) - ae_load64(&ring->tail) > log->shared->ring_size / 2;
}

bool ae_log_check(const ae_log *log, const char **fault)
{
    ae_log_position position;
    uint64_t word = 0;
    *fault = NULL;
    if (!ae_log_is_on(log))
        return true;
    aei_state_read(log, &word, &position);
    if (ae_log_durable_lsn(log) > position.lsn || ae_log_durable_number(log) > position.number)
        *fault = "more of the log is durable than was written";
    if (position.number > ae_load64_acquire(&log->proc->shared->clock))
        *fault = "the log is ahead of the commit queue";
    for (uint32_t slot = 0; slot < AE_SLOTS && *fault == NULL; slot++) {
        const aei_ring *ring = &log->shared->rings[slot];
        const uint64_t tail = ae_load64_acquire(&ring->tail);
        const uint64_t head = ae_load64_acquire(&ring->head);
        /* Looked at in this order, a ring in use can only seem emptier than it is. */
        if (tail > head && tail > ae_load64_acquire(&ring->fill))
            *fault = "a ring of the log has been read further than it was written";
        const ae_ref block = ae_load32_acquire(&ring->block);
        if (block != 0 && !ring_block_sound(log, block))
            *fault = "a ring of the log lies nowhere";
        if (head > tail && ae_load64_acquire(&ring->tail) == tail &&
            head - tail > log->shared->ring_size)
            *fault = "a ring of the log holds more than it can";
    }
    return *fault == NULL;
}

/* ---- figures -------------------------------------------------------------------------------- */

void ae_log_figures_take(const ae_log *log, ae_log_figures *figures)
{
    const ae_log_shared *shared = log->shared;
    const uint32_t high = ae_load32_acquire(&log->proc->shared->slot_high);
    memset(figures, 0, sizeof *figures);
    figures->syncs = ae_load64(&shared->syncs);
    figures->sync_total_ns = ae_load64(&shared->sync_total_ns);
    for (uint32_t index = 0; index < AE_LOG_SYNC_TIMES; index++)
        figures->sync_times[index] = ae_load64(&shared->sync_times[index]);
    for (uint32_t slot = 0; slot < high; slot++)
        figures->rings += ae_load32(&shared->rings[slot].block) != 0;
    figures->ring_bytes = figures->rings * log->proc->heap->pools[log->ring_pool].object_size;
    figures->fixed_bytes = sizeof *shared;
}
