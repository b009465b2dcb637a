/* gather.c — the writer's walk over the commit queue: from rings to frames.
 *
 * Positions from the published number up to the clock are decided.  Each names a slot and a
 * generation.  If the slot still is of that generation, its state word tells whether it committed,
 * and its record lies between `head` and `fill`, or below `head` already.  If it went on, the
 * record lies below `head` when it committed, and nowhere when it did not.  Records of one slot lie
 * in the order of their positions, so the search begins where the last one ended; older ones found
 * there were written by a writer that died before it moved the tail.
 *
 * What is read here is frozen, unless this process was stopped, replaced, and reads what has been
 * written anew since.  Then the copy is nonsense, and is thrown away when publishing fails; so
 * lengths are checked before they are used, and nothing else is believed either.
 */
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "wal/log_private.h"

/* One write takes at most so much: the size at which a disk's throughput stops growing. */
#define BATCH_TARGET (1u << 20)
/* gap and size of a commit, with two more numbers when it has pieces. */
#define COMMIT_HEAD_MAX (4 * AE_VARINT_MAX)

bool aei_buffer_room(ae_log_writer *writer, size_t size)
{
    if (size <= writer->capacity)
        return true;
    size_t capacity = writer->capacity == 0 ? (size_t)64 << 10 : writer->capacity;
    while (capacity < size)
        capacity *= 2;
    uint8_t *grown = realloc(writer->buffer, capacity);
    if (grown == NULL)
        return false;
    writer->buffer = grown;
    writer->capacity = capacity;
    AE_ASSERT(capacity >= size);
    return true;
}

void aei_frame_start(const ae_log *log, ae_frame *frame, enum ae_frame_kind kind,
                     const ae_log_position *position)
{
    const uint64_t durable = ae_log_durable_lsn(log);
    *frame = (ae_frame){
        .kind = (uint32_t)kind,
        .lsn = position->lsn,
        .previous = position->previous,
        /* Others have gone on when we were replaced: no frame knows of its future. */
        .durable = durable < position->lsn ? durable : position->lsn,
        .time_us = ae_os_wall_us()};
    memcpy(frame->store, aei_store(log), sizeof frame->store);
}

/* Copy from a ring whose bytes may be written anew meanwhile, if we are a writer that was replaced.
 * The thread sanitizer must not see it. */
#if defined(AE_TSAN)
__attribute__((no_sanitize("thread"), noinline))
#endif
static void
ring_copy(void *to, const void *from, size_t size)
{
#if defined(AE_TSAN)
    volatile char *out = to;
    const volatile char *in = from;
    for (; size > 0; size--)
        *out++ = *in++;
#else
    memcpy(to, from, size);
#endif
}

typedef struct gathering {
    ae_log *log;
    ae_log_writer *writer;
    aei_batch *batch;
    size_t frame;      /* offset in the buffer of the frame being filled; its header comes last */
    uint64_t previous; /* number of the commit before, in the frame */
    bool open;         /* a frame is being filled */
} gathering;

/* ---- frames --------------------------------------------------------------------------------- */

static void frame_open(gathering *at)
{
    AE_ASSERT(!at->open);
    at->frame = at->batch->size;
    at->batch->size += AE_FRAME_HEADER + sizeof(ae_commits_head);
    at->previous = at->batch->position.framed;
    at->open = true;
}

static void frame_close(gathering *at, uint64_t number)
{
    ae_log_position *position = &at->batch->position;
    if (!at->open)
        return;
    const ae_commits_head head = {.after = position->framed, .upto = number};
    uint8_t *bytes = at->writer->buffer + at->frame;
    ae_frame *frame = (ae_frame *)(void *)bytes;
    aei_frame_start(at->log, frame, AE_FRAME_COMMITS, position);
    memcpy(bytes + AE_FRAME_HEADER, &head, sizeof head);
    frame->length = (uint32_t)(at->batch->size - at->frame);
    AE_ALWAYS(frame->length > AE_FRAME_HEADER && frame->length <= AE_FRAME_MAX);
    ae_frame_seal(frame);
    const uint64_t span = ae_frame_span(frame->length);
    AE_ALWAYS(at->frame + span <= at->writer->capacity);
    memset(bytes + frame->length, 0, (size_t)(span - frame->length));
    at->batch->size = at->frame + (size_t)span;
    position->previous = position->lsn;
    position->lsn += span;
    position->number = number;
    position->framed = number;
    at->open = false;
}

/* Append a committed transaction.  False: no memory. */
static bool commit_append(gathering *at, uint64_t number, const aei_record *record,
                          const char *operations)
{
    const size_t most = at->batch->size + AE_FRAME_HEADER + sizeof(ae_commits_head) +
                        COMMIT_HEAD_MAX + record->size + AE_FRAME_ALIGN;
    if (!aei_buffer_room(at->writer, most))
        return false;
    if (!at->open)
        frame_open(at);
    uint8_t *out = at->writer->buffer + at->batch->size;
    size_t size = ae_varint_put(out, (number - at->previous) << 1 | (record->pieces != 0));
    if (record->pieces != 0) {
        size += ae_varint_put(out + size, record->last_piece);
        size += ae_varint_put(out + size, record->pieces);
    }
    size += ae_varint_put(out + size, record->size);
    ring_copy(out + size, operations, record->size);
    at->batch->size += size + record->size;
    AE_ASSERT(size <= COMMIT_HEAD_MAX);
    AE_ALWAYS(at->batch->size <= at->writer->capacity);
    at->previous = number;
    return true;
}

/* ---- records -------------------------------------------------------------------------------- */

static uint64_t *tail_of(gathering *at, uint32_t slot)
{
    uint64_t *touched = &at->batch->touched[slot / 64];
    if ((*touched >> (slot % 64) & 1) == 0) {
        *touched |= (uint64_t)1 << (slot % 64);
        at->batch->tails[slot] = ae_load64_acquire(&at->log->shared->rings[slot].tail);
    }
    return &at->batch->tails[slot];
}

/* Look from *tail up to `limit` for the record of a generation.  Found: *tail moves past it. */
static bool record_search(const gathering *at, uint32_t slot, uint64_t generation, uint64_t limit,
                          uint64_t *tail, aei_record *record, const char **operations)
{
    const uint64_t capacity = at->log->shared->ring_size;
    const char *bytes = aei_ring_bytes(at->log, slot);
    uint64_t place = *tail;
    if (bytes == NULL || limit - place > capacity) /* also when the tail is beyond */
        return false;
    while (place < limit) {
        const uint64_t offset = place % capacity;
        const uint64_t lap = capacity - offset;
        memset(record, 0, sizeof *record);
        if (lap >= sizeof *record)
            ring_copy(record, bytes + offset, sizeof *record);
        if (lap < sizeof *record || record->generation == AEI_RECORD_SKIP) {
            place += lap;
            continue;
        }
        const uint64_t span = aei_record_span(record->size);
        if (span > lap || span > limit - place)
            return false;
        place += span;
        if (record->generation == generation) {
            *operations = bytes + offset + sizeof *record;
            *tail = place;
            return true;
        }
    }
    return false;
}

enum found { FOUND, FOUND_NONE, FOUND_LOST };

/* The record of a decided position, if it committed. */
static enum found record_find(gathering *at, uint64_t position, aei_record *record,
                              const char **operations)
{
    ae_log *log = at->log;
    uint32_t slot = 0;
    uint64_t generation = 0;
    if (!log->owner(log->owner_context, position, &slot, &generation))
        return FOUND_LOST;
    const ae_slot *owner = ae_slot_at(log->proc, slot);
    const aei_ring *ring = &log->shared->rings[slot];
    uint64_t *tail = tail_of(at, slot);
    /* Acquire, in this order: the state is of the generation that is seen after it as well. */
    const uint64_t state = ae_load64_acquire(&owner->state);
    const bool present = (ae_load64_acquire(&owner->generation) & AEI_GENERATION) == generation;
    if (present && ae_state_of(state) == AE_STATE_ABORTED)
        return FOUND_NONE;
    if (present && ae_state_of(state) == AE_STATE_COMMITTED)
        /* Acquire: what was filled before it committed; pairs with ae_log_offer. */
        return record_search(at, slot, generation, ae_load64_acquire(&ring->fill), tail, record,
                             operations)
                   ? FOUND
                   : FOUND_LOST;
    /* It went on: what committed lies below the head.  Acquire: pairs with ae_log_settle. */
    return record_search(at, slot, generation, ae_load64_acquire(&ring->head), tail, record,
                         operations)
               ? FOUND
               : FOUND_NONE;
}

aero_status aei_gather(ae_log *log, ae_log_writer *writer, const ae_log_position *from,
                       uint64_t upto, aei_batch *batch, aero_error *error)
{
    gathering at = {.log = log, .writer = writer, .batch = batch};
    uint64_t number = from->number;
    memset(batch->touched, 0, sizeof batch->touched);
    batch->size = 0;
    batch->start = from->lsn;
    batch->position = *from;
    batch->more = false;
    for (; number < upto; number++) {
        aei_record record;
        const char *operations = NULL;
        const enum found found = record_find(&at, number, &record, &operations);
        if (found == FOUND_LOST)
            return ae_fail(error, AERO_PANIC, "the log lost the record of commit %llu",
                           (unsigned long long)number + 1);
        if (found == FOUND && !commit_append(&at, number + 1, &record, operations))
            return ae_fail(error, AERO_NO_MEMORY, "no memory to write the log");
        if (at.open && batch->size - at.frame >= AE_FRAME_TARGET)
            frame_close(&at, number + 1);
        if (batch->size >= BATCH_TARGET) {
            batch->more = true;
            number++;
            break;
        }
    }
    frame_close(&at, number);
    AE_ASSERT(!at.open && batch->size % AE_FRAME_ALIGN == 0);
    batch->position.number = number;
    return AERO_OK;
}
