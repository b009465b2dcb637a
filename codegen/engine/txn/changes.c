/* changes.c — finding what was written at a position (see changes.h). */
#include "txn/changes.h"

/* Positions, or writes, between asking for memory and needing it: some hundred nanoseconds. */
#define FETCH_AHEAD 4u

typedef struct visitor {
    const aero_db *db;
    ae_change_visit visit;
    void *context;
} visitor;

static int32_t intent_visit(const visitor *to, const ae_intent *intent)
{
    return to->visit(to->context, ae_load32(&intent->created), ae_load32(&intent->replaced),
                     ae_load32(&intent->what));
}

static void version_fetch(const aero_db *db, ae_ref ref)
{
    const char *version = ae_at(&db->segment, ref);
    __builtin_prefetch(version);
    __builtin_prefetch(version + 64);
}

static bool is_chunk(const aero_db *db, ae_ref ref)
{
    const ae_pool *home = ae_heap_home(&db->heap, ref);
    return home != NULL && home->kind == AE_POOL_BLOCK &&
           home->object_size >= sizeof(ae_intent_chunk);
}

/* Several writes: the first from `inlined`, the rest from chunks. */
static int32_t intents_visit(const visitor *to, const ae_intent *inlined, uint32_t count,
                             ae_ref chunk)
{
    int32_t answer = 0;
    for (uint32_t index = 0; index < count && answer == 0; index++) {
        if (index < AE_INTENTS_INLINE) {
            answer = intent_visit(to, &inlined[index]);
            continue;
        }
        const uint32_t place = (index - AE_INTENTS_INLINE) % AE_INTENTS_CHUNK;
        /* A follower whose pin was revoked may read here what is something else by now. */
        AE_ASSERT(place < AE_INTENTS_CHUNK);
        if (place == 0 && !is_chunk(to->db, chunk))
            return AE_CHANGES_LOST;
        const ae_intent_chunk *at = ae_at(&to->db->segment, chunk);
        if (place + FETCH_AHEAD < AE_INTENTS_CHUNK && index + FETCH_AHEAD < count) {
            version_fetch(to->db, ae_load32(&at->intents[place + FETCH_AHEAD].created));
            version_fetch(to->db, ae_load32(&at->intents[place + FETCH_AHEAD].replaced));
        }
        answer = intent_visit(to, &at->intents[place]);
        if (place == AE_INTENTS_CHUNK - 1)
            chunk = ae_load32(&at->next);
    }
    return answer;
}

static int32_t described_visit(const visitor *to, enum ae_queue_what what, ae_ref ref)
{
    const ae_version *version = ae_at(&to->db->segment, ref);
    const ae_write_block *block = ae_at(&to->db->segment, ref);
    switch (what) {
    case AE_WROTE_INSERT:
        return to->visit(to->context, ref, 0, 0);
    case AE_WROTE_UPDATE:
        return to->visit(to->context, ref, ae_load32(&version->older), 0);
    case AE_WROTE_DELETE:
        return to->visit(to->context, 0, ref, 0);
    case AE_WROTE_SEVERAL:
        break;
    }
    return intents_visit(to, block->intents, ae_load32(&block->count),
                         ae_load32(&block->chunk_first));
}

/* Copy what the slot says it wrote.  True when the slot is still the position's, and committed, and
 * nothing of it has been described: then the copy is whole. */
static bool slot_copy(const aero_db *db, uint64_t position, uint32_t slot, uint64_t generation,
                      ae_intent *inlined, uint32_t *count, ae_ref *chunk)
{
    const ae_slot *at = ae_slot_at(&db->proc, slot);
    const uint64_t mask = ((uint64_t)1 << 40) - 1;
    enum ae_queue_what what = AE_WROTE_SEVERAL;
    ae_ref ref = 0;
    const uint64_t state = ae_load64_acquire(&at->state);
    *count = ae_load32_acquire(&at->intent_count);
    *chunk = ae_load32(&at->chunk_first);
    for (uint32_t index = 0; index < AE_INTENTS_INLINE; index++) {
        ae_store32(&inlined[index].created, ae_load32(&at->intents[index].created));
        ae_store32(&inlined[index].replaced, ae_load32(&at->intents[index].replaced));
        ae_store32(&inlined[index].what, ae_load32(&at->intents[index].what));
    }
    /* Acquire: all of it was read before the slot is seen to be still the position's. */
    atomic_thread_fence(memory_order_acquire);
    return (ae_load64_acquire(&at->generation) & mask) == generation &&
           ae_state_of(state) == AE_STATE_COMMITTED &&
           !ae_queue_described(&db->queue, position, &what, &ref);
}

int32_t ae_changes_visit(const aero_db *db, uint64_t position, ae_change_visit visit, void *context)
{
    AE_ASSERT(visit != NULL);
    const visitor to = {db, visit, context};
    ae_intent inlined[AE_INTENTS_INLINE];
    enum ae_queue_what what = AE_WROTE_SEVERAL;
    ae_ref ref = 0;
    uint32_t count = 0;
    uint32_t slot = 0;
    uint64_t generation = 0;
    if (ae_queue_described(&db->queue, position, &what, &ref))
        return described_visit(&to, what, ref);
    if (!ae_queue_owner(&db->queue, position, &slot, &generation))
        return AE_CHANGES_LOST;
    if (slot_copy(db, position, slot, generation, inlined, &count, &ref))
        return intents_visit(&to, inlined, count, ref);
    /* Described meanwhile; or aborted, and that is all, provided that the entry is still the
     * position's. */
    if (ae_queue_described(&db->queue, position, &what, &ref))
        return described_visit(&to, what, ref);
    return ae_queue_owner(&db->queue, position, &slot, &generation) ? 0 : AE_CHANGES_LOST;
}

void ae_changes_fetch(const aero_db *db, uint64_t position, uint64_t upto)
{
    enum ae_queue_what what = AE_WROTE_SEVERAL;
    ae_ref ref = 0;
    if (position + 2 * FETCH_AHEAD < upto &&
        ae_queue_described(&db->queue, position + 2 * FETCH_AHEAD, &what, &ref)) {
        version_fetch(db, ref);
    }
    if (position + FETCH_AHEAD < upto &&
        ae_queue_described(&db->queue, position + FETCH_AHEAD, &what, &ref) &&
        what == AE_WROTE_UPDATE) {
        const ae_version *version = ae_at(&db->segment, ref);
        version_fetch(db, ae_load32(&version->older));
    }
}
