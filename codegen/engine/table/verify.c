/* verify.c — the invariants of the segment, checked from end to end (see the headers that number
 * them).
 *
 * How it works.  First the shape, believing nothing: slabs, then objects, references looked up in
 * the page map before they are followed.  Then the accounts: every object that is not free must be
 * reached from somewhere: a cached one from its slot's magazine, a dead version from a limbo, a
 * block from its version, directory, slot or limbo, an anchor from the hash.
 *
 * On a database in use the accounts may be off by what is in flight: verify_rounds.c tells that
 * from damage.
 */
#include "table/verify.h"

#include <string.h>

#include "table/table_private.h"

/* What was counted, against what was reached. */
typedef struct verify_state {
    aero_session *session;
    aero_db *db;
    aero_error *error;
    uint64_t cached[AE_SLOTS]; /* objects whose word names the slot */
    uint64_t dead_versions;
    uint64_t live_rows;
    uint64_t rows[AE_TABLES_MAX]; /* of them, by table */
    uint64_t anchors[AE_TABLES_MAX];
    uint64_t owned_overflow;
    uint64_t owned_other;
    uint64_t retired;
    uint64_t objects;
    uint64_t marks; /* versions that a transaction is at */
    uint64_t pages; /* in slabs, in service or not */
    bool accounts;  /* shapes are right so far; what is compared now changes with each write */
} verify_state;

static aero_status broken(verify_state *state, const char *what, uint64_t where, uint64_t found)
{
    return ae_fail(state->error, AERO_CORRUPT, "segment damaged: %s at %llx (found %llx)", what,
                   (unsigned long long)where << 4, (unsigned long long)found);
}

/* The slab of a reference if it belongs to the given pool. */
static const ae_slab *slab_in(const verify_state *state, ae_ref ref, uint32_t pool)
{
    const ae_slab *slab = ref < AE_HEAD_LEAST ? NULL : ae_heap_slab(&state->db->heap, ref);
    return slab != NULL && slab->pool == pool ? slab : NULL;
}

static aero_status slab_shape(verify_state *state, uint32_t pool, const ae_slab *slab)
{
    const ae_heap *heap = &state->db->heap;
    const ae_ref at = ae_ref_of(heap->segment, slab);
    const uint64_t bytes = (uint64_t)slab->pages << AE_PAGE_SHIFT;
    if (slab->pool != pool || slab->object_size != heap->pools[pool].object_size ||
        slab->pages == 0 || !ae_segment_holds(heap->segment, at, bytes) ||
        slab->first_offset % 64 != 0 ||
        slab->first_offset < sizeof *slab + (slab->object_count + 63) / 64 * 8 ||
        slab->first_offset + (uint64_t)slab->object_count * slab->object_size > bytes ||
        ae_load32(&slab->high) > slab->object_count)
        return broken(state, "slab header", at, slab->pool);
    const uint32_t page = at >> (AE_PAGE_SHIFT - 4);
    state->pages += slab->pages;
    for (uint32_t step = 0; step < slab->pages; step++)
        if (ae_page_slab(heap->segment, (page + step) << (AE_PAGE_SHIFT - 4)) != page)
            return broken(state, "page map", at, page + step);
    return AERO_OK;
}

/* ---- rows ----------------------------------------------------------------------------------- */

static aero_status cells_check(verify_state *state, uint32_t table, const ae_version *version)
{
    const aero_table *of = &state->db->schema->tables[table];
    const ae_heap *heap = &state->db->heap;
    const ae_ref at = ae_ref_of(heap->segment, version);
    const ae_ref block = ae_load32(&version->overflow);
    uint64_t room = 0;
    if (block != 0) {
        const ae_slab *slab = ae_heap_slab(heap, block);
        if (slab == NULL || heap->pools[slab->pool].kind != AE_POOL_BLOCK ||
            ae_load64(&((ae_block *)ae_at(heap->segment, block))->word) != (AE_WORD_OWNED | at))
            return broken(state, "overflow block", at, block);
        room = slab->object_size - sizeof(ae_block);
        state->owned_overflow++;
    }
    for (uint32_t index = 0; index < of->cell_count; index++) {
        const aero_column *column = &of->columns[of->cells[index]];
        const aero_cell *cell = (const aero_cell *)(const void *)(version->row + column->offset);
        if (cell->length > column->max_length ||
            (cell->length > AERO_CELL_INLINE &&
             (cell->u.where > room || cell->length > room - cell->u.where)))
            return broken(state, "text", at, cell->length);
    }
    return AERO_OK;
}

static aero_status version_check(verify_state *state, uint32_t table, const ae_version *version)
{
    aero_db *db = state->db;
    const aero_table *of = &db->schema->tables[table];
    const ae_ref at = ae_ref_of(&db->segment, version);
    const uint64_t end = ae_load64_acquire(&version->end);
    const uint64_t begin = ae_load64_acquire(&version->begin);
    const ae_ref anchor = ae_load32(&version->anchor);
    const ae_ref older = ae_load32(&version->older);
    /* A link that nobody needs may lead to where no versions are any more. */
    if (older != 0 && slab_in(state, older, ae_heap_version_pool(table)) == NULL &&
        ae_load32(&db->segment.header->returned) == 0)
        return broken(state, "older version", at, older);
    if ((begin & AE_MARK) != 0 || (end & AE_MARK) != 0) {
        uint64_t number = 0;
        const uint64_t mark = (begin & AE_MARK) != 0 ? begin : end;
        if (ae_mark_resolve(&db->proc, mark, &number) == AE_MARK_STALE &&
            ae_load64_acquire(&version->begin) == begin && ae_load64_acquire(&version->end) == end)
            return broken(state, "mark of no transaction", at, mark);
        state->marks++;
        return AERO_OK; /* a transaction is at it */
    }
    const uint64_t clock = ae_load64_acquire(&db->proc.shared->clock);
    /* What leaves a row's chain has been replaced. */
    const bool leaving = (begin == AE_STAMP_TAKEN || begin == AE_STAMP_DEAD) &&
                         end != AE_STAMP_INFINITY;
    if ((begin > clock && !leaving) ||
        (end != AE_STAMP_INFINITY && (end > clock || (end < begin && !leaving))))
        return broken(state, "stamps", at, begin);
    if (slab_in(state, anchor, ae_heap_anchor_pool(table)) == NULL)
        return broken(state, "anchor reference", at, anchor);
    const aero_status status = cells_check(state, table, version);
    if (status != AERO_OK)
        return status;
    if (end != AE_STAMP_INFINITY) {
        state->dead_versions++;
        return AERO_OK;
    }
    state->live_rows++;
    state->rows[table]++;
    const ae_anchor *row = ae_at(&db->segment, anchor);
    const ae_ref overflow = ae_load32(&version->overflow);
    const char *base = overflow == 0 ? NULL : ae_at(&db->segment, overflow + 1);
    if (ae_head_ref(ae_load64(&row->head)) != at && ae_load64_acquire(&version->end) == end)
        return broken(state, "head of a live row", at, ae_load64(&row->head));
    if (ae_hash_tag(of->hash_key(version->row, base)) != ae_load32(&row->tag))
        return broken(state, "tag of a row's key", at, ae_load32(&row->tag));
    return AERO_OK;
}

static aero_status anchor_check(verify_state *state, uint32_t table, const ae_anchor *row)
{
    const aero_db *db = state->db;
    const ae_ref at = ae_ref_of(&db->segment, row);
    const uint64_t head = ae_load64_acquire(&row->head);
    if (!ae_head_is_row(head))
        return AERO_OK;
    const ae_slab *slab = slab_in(state, ae_head_ref(head), ae_heap_version_pool(table));
    if (slab == NULL)
        return broken(state, "head reference", at, head);
    const ae_version *version = ae_at(&db->segment, ae_head_ref(head));
    if (ae_load32(&version->anchor) != at && ae_load64_acquire(&row->head) == head)
        return broken(state, "version of an anchor", at, ae_load32(&version->anchor));
    state->anchors[table]++;
    return AERO_OK;
}

static aero_status block_check(verify_state *state, const ae_block *block)
{
    const aero_db *db = state->db;
    const uint64_t word = ae_load64_acquire(&block->word);
    const ae_ref at = ae_ref_of(&db->segment, block);
    if ((word & AE_WORD_RETIRED) != 0 && (word & AE_WORD_OWNED) == 0) {
        state->retired++;
        return AERO_OK;
    }
    if ((word & AE_WORD_OWNED) == 0)
        return broken(state, "block word", at, word);
    const ae_ref owner = (ae_ref)word;
    const ae_slab *slab = owner == 0 ? NULL : ae_heap_slab(&db->heap, owner);
    if (slab != NULL && db->heap.pools[slab->pool].kind == AE_POOL_VERSION) {
        const ae_version *version = ae_at(&db->segment, owner);
        if ((ae_load64(&version->begin) & AE_MARK) != 0 ||
            (ae_load64(&version->end) & AE_MARK) != 0)
            return AERO_OK;
        uint32_t slot = 0;
        const uint64_t begin = ae_load64_acquire(&version->begin);
        const bool in_use = !ae_heap_is_free_word(AE_POOL_VERSION, begin) &&
                            !ae_heap_is_cached_word(AE_POOL_VERSION, begin, &slot);
        if (!in_use || ae_load32(&version->overflow) != at)
            return broken(state, "owner of a block", at, owner);
        return AERO_OK;
    }
    state->owned_other++;
    return AERO_OK;
}

static aero_status object_check(verify_state *state, uint32_t pool, const void *object)
{
    const ae_pool *of = &state->db->heap.pools[pool];
    const uint64_t word = ae_load64_acquire((const ae_a64 *)object);
    uint32_t slot = 0;
    if (ae_heap_is_free_word(of->kind, word))
        return AERO_OK;
    state->objects++;
    if (ae_heap_is_cached_word(of->kind, word, &slot)) {
        state->cached[slot]++;
        return AERO_OK;
    }
    if (of->kind == AE_POOL_VERSION)
        return version_check(state, of->table, object);
    if (of->kind == AE_POOL_ANCHOR)
        return anchor_check(state, of->table, object);
    return block_check(state, object);
}

static aero_status pools_check(verify_state *state)
{
    const ae_heap *heap = &state->db->heap;
    aero_status status = AERO_OK;
    for (uint32_t pool = 0; pool < heap->pool_count && status == AERO_OK; pool++) {
        const ae_pool *of = &heap->pools[pool];
        for (uint32_t index = 0; index < ae_pool_slab_count(of) && status == AERO_OK; index++) {
            const ae_slab *slab = ae_pool_slab(heap, of, index);
            if (slab == NULL)
                continue;
            status = slab_shape(state, pool, slab);
            /* One that is just going is in both places for a moment. */
            const uint64_t word = ae_load64_acquire(&slab->block.word);
            if (status == AERO_OK && word != 0 && (word & ~(uint64_t)0xff) != AE_WORD_CACHED)
                status = broken(state, "slab out of service", ae_ref_of(heap->segment, slab), word);
            const uint32_t high = status == AERO_OK ? ae_load32_acquire(&slab->high) : 0;
            for (uint32_t object = 0; object < high && status == AERO_OK; object++)
                status = object_check(state, pool, ae_slab_object(slab, object));
        }
    }
    return status;
}

/* ---- accounts ------------------------------------------------------------------------------- */

/* A slab that waits to be given back: nothing in it is in use, and no directory has it. */
static aero_status drained_check(verify_state *state, const ae_slab *slab)
{
    const ae_heap *heap = &state->db->heap;
    const ae_ref at = ae_ref_of(heap->segment, slab);
    const uint32_t pool = slab->pool;
    if (pool >= heap->pool_count || heap->pools[pool].kind == AE_POOL_ANCHOR)
        return broken(state, "pool of a slab out of service", at, pool);
    const aero_status status = slab_shape(state, pool, slab);
    if (status != AERO_OK)
        return status;
    const ae_pool *of = &heap->pools[pool];
    uint32_t slot = 0;
    for (uint32_t index = 0; index < ae_pool_slab_count(of); index++)
        if (ae_pool_slab(heap, of, index) == slab)
            return broken(state, "slab out of service in a directory", at, index);
    for (uint32_t object = 0; object < slab->object_count; object++) {
        const uint64_t word = ae_load64_acquire((const ae_a64 *)ae_slab_object(slab, object));
        if (!ae_heap_is_cached_word(of->kind, word, &slot))
            return broken(state, "object of a slab out of service", at, word);
    }
    return AERO_OK;
}

/* Length of a limbo list; its links and its end are checked. */
static aero_status limbo_count(verify_state *state, uint32_t slot, const ae_a32 *head,
                               bool versions, uint64_t *count)
{
    const ae_heap *heap = &state->db->heap;
    const uint64_t most = state->objects + state->pages + 1; /* a slab is a page at least */
    uint64_t length = 0;
    for (ae_ref ref = ae_load32_acquire(head); ref != 0; length++) {
        const ae_slab *slab = ref < AE_HEAD_LEAST ? NULL : ae_heap_slab(heap, ref);
        const uint32_t kind = versions ? AE_POOL_VERSION : AE_POOL_BLOCK;
        const ae_slab *drained = slab == NULL && !versions ? ae_heap_drained(heap, ref) : NULL;
        if (drained != NULL && length <= most) {
            const aero_status status = drained_check(state, drained);
            if (status != AERO_OK)
                return status;
            state->retired++;
            ref = ae_load32(&drained->block.limbo_next);
            continue;
        }
        if (slab == NULL || heap->pools[slab->pool].kind != kind || length > most)
            return broken(state, "limbo list of slot", slot, ref);
        const void *object = ae_at(heap->segment, ref);
        ref = versions ? ae_load32(&((const ae_version *)object)->limbo_next)
                       : ae_load32(&((const ae_block *)object)->limbo_next);
    }
    *count += length;
    return AERO_OK;
}

/* What must hold of the process table before anything in it is followed: also before the dead are
 * reaped. */
static aero_status proc_check(verify_state *state)
{
    aero_db *db = state->db;
    const uint32_t chunks = ae_heap_class(&db->heap, sizeof(ae_intent_chunk) - sizeof(ae_block));
    const char *fault = NULL;
    if (!ae_queue_check(&db->queue))
        return broken(state, "commit queue", 0, ae_load64(&db->proc.shared->tail));
    if (!ae_log_check(&db->log, &fault))
        return broken(state, fault, 0, 0);
    for (uint32_t index = 0; index < AE_SLOTS; index++) {
        const ae_slot *slot = ae_slot_at(&db->proc, index);
        const uint64_t owner = ae_load64_acquire(&slot->owner);
        const ae_ref chunk = ae_load32(&slot->chunk_first);
        const ae_ref block = ae_load32(&slot->write_block);
        /* The claim is set before the generation, and both only move on (a racy reading may be one
         * behind). */
        const uint64_t generation = ae_load64_acquire(&slot->generation);
        const uint64_t claims = (owner >> 33) - (generation & (UINT32_MAX >> 1));
        if ((uint32_t)owner > AE_MEMBERS || (owner != 0 && (uint32_t)owner == 0) ||
            (owner != 0 && claims + 1 > 2 && ae_load64_acquire(&slot->owner) == owner) ||
            (owner == 0 && ae_load64(&slot->snapshot) != 0 && ae_load64_acquire(&slot->owner) == 0))
            return broken(state, "owner of slot", index, owner);
        if (owner == 0 && !ae_heap_cache_check(&db->heap, &slot->cache, index) &&
            ae_load64_acquire(&slot->owner) == 0 &&
            ae_load64_acquire(&slot->generation) == generation)
            return broken(state, "magazines of slot", index, 0);
        if ((chunk != 0 && slab_in(state, chunk, chunks) == NULL) ||
            (block != 0 && ae_heap_slab(&db->heap, block) == NULL))
            return broken(state, "writes of slot", index, chunk);
    }
    return AERO_OK;
}

static aero_status slots_check(verify_state *state)
{
    aero_db *db = state->db;
    uint64_t dead = 0;
    uint64_t retired = 0;
    uint64_t shards = 0;
    uint64_t others = 0;
    for (uint32_t index = 0; index < AE_SLOTS; index++) {
        ae_slot *slot = ae_slot_at(&db->proc, index);
        aero_status status = limbo_count(state, index, &slot->limbo_head, true, &dead);
        if (status == AERO_OK)
            status = limbo_count(state, index, &slot->block_head, false, &retired);
        if (status != AERO_OK)
            return status;
        state->accounts = true;
        const uint64_t stock = ae_heap_stock(&db->heap, &slot->cache);
        if (stock != state->cached[index])
            return broken(state, "stock of slot", index, state->cached[index]);
        others += ae_load32_acquire(&slot->cache.magazines) != 0;
        others += ae_log_ring_block(&db->log, index) != 0;
        for (ae_ref chunk = ae_load32(&slot->chunk_first); chunk != 0; others++)
            chunk = slab_in(state, chunk,
                            ae_heap_class(&db->heap, sizeof(ae_intent_chunk) - sizeof(ae_block))) ==
                            NULL
                        ? 0
                        : ae_load32(&((ae_intent_chunk *)ae_at(&db->segment, chunk))->next);
    }
    for (uint32_t table = 0; table < db->schema->table_count; table++) {
        uint64_t count = 0;
        uint64_t entries = 0;
        const aero_status status = ae_verify_hash(db, table, &entries, &count, state->error);
        if (status != AERO_OK)
            return status;
        if (entries != state->anchors[table])
            return broken(state, "key entries of table", table, entries);
        shards += count;
        const aero_status indexes = ae_verify_indexes(db, table, state->rows[table], &others,
                                                      state->error);
        if (indexes != AERO_OK)
            return indexes;
    }
    if (dead != state->dead_versions)
        return broken(state, "dead versions outside limbo", dead, state->dead_versions);
    uint64_t claimed = 0;
    const uint64_t pages = ae_pages_holes(&db->segment, &claimed) + state->pages;
    if (pages + claimed + db->segment.header->first_page !=
        ae_load64_acquire(&db->segment.header->used) >> AE_PAGE_SHIFT)
        return broken(state, "pages that nothing leads to", pages, claimed);
    if (retired != state->retired)
        return broken(state, "retired blocks outside limbo", retired, state->retired);
    if (shards + others != state->owned_other)
        return broken(state, "blocks that nothing leads to", shards + others, state->owned_other);
    return AERO_OK;
}

typedef struct hash_context {
    const aero_db *db;
    uint32_t table;
} hash_context;

static bool entry_leads_to_row(void *context, uint32_t tag, ae_ref anchor, ae_ref hint)
{
    const hash_context *hash = context;
    const ae_slab *hinted = hint < AE_HEAD_LEAST ? NULL : ae_heap_slab(&hash->db->heap, hint);
    if (hint != 0 && (hinted == NULL || hinted->pool != ae_heap_version_pool(hash->table)) &&
        ae_load32(&hash->db->segment.header->returned) == 0)
        return false;
    const ae_slab *slab = anchor < AE_HEAD_LEAST ? NULL : ae_heap_slab(&hash->db->heap, anchor);
    if (slab == NULL || slab->pool != ae_heap_anchor_pool(hash->table))
        return false;
    const ae_anchor *row = ae_at(&hash->db->segment, anchor);
    return ae_load32(&row->tag) == tag && ae_head_is_row(ae_load64_acquire(&row->head));
}

aero_status ae_verify_hash(const aero_db *db, uint32_t table, uint64_t *entries, uint64_t *shards,
                           aero_error *error)
{
    hash_context context = {db, table};
    return ae_hash_check(&db->hashes[table], entry_leads_to_row, &context, entries, shards, error);
}

static aero_status accounts_check(verify_state *state)
{
    const aero_status status = pools_check(state);
    return status == AERO_OK ? slots_check(state) : status;
}

/* Under a snapshot: slabs, replaced shards and nodes stay while they are walked. */
static aero_status accounts_check_pinned(verify_state *state)
{
    ae_reader reader;
    if (state->session->txn.open) {
        ae_txn_look(state->session);
        return accounts_check(state);
    }
    aero_status status = ae_reader_open(state->session, false, &reader);
    if (status == AERO_OK) {
        status = accounts_check(state);
        ae_reader_close(&reader);
    }
    return status;
}

/* Is each table's number of rows what was found?  Nothing is said while somebody commits. */
static aero_status counts_check(verify_state *state, uint64_t clock)
{
    const aero_db *db = state->db;
    uint64_t counted[AE_TABLES_MAX];
    uint64_t busy = state->marks;
    for (uint32_t table = 0; table < db->schema->table_count; table++)
        counted[table] = ae_rows_counted(db, table);
    for (uint32_t index = 0; index < AE_SLOTS; index++)
        busy += ae_load32_acquire(&ae_slot_at(&db->proc, index)->intent_count) != 0;
    if (busy > 0 || ae_load64_acquire(&db->proc.shared->clock) != clock)
        return AERO_OK;
    for (uint32_t table = 0; table < db->schema->table_count; table++)
        if (counted[table] != state->rows[table])
            return broken(state, "number of rows of table", table, counted[table]);
    return AERO_OK;
}

aero_status aei_verify_walk(aero_session *session, uint64_t *rows, uint64_t *blocks, bool *accounts)
{
    verify_state state;
    memset(&state, 0, sizeof state);
    state.session = session;
    state.db = session->db;
    state.error = &session->error;
    aero_status status = proc_check(&state);
    /* What the dead had in hand is in no account until it has been cleared away. */
    if (status == AERO_OK)
        (void)ae_reap_all(session->db, session->member);
    const uint64_t before = ae_load64_acquire(&session->db->proc.shared->clock);
    if (status == AERO_OK)
        status = accounts_check_pinned(&state);
    if (status == AERO_OK)
        status = counts_check(&state, before);
    if (rows != NULL)
        *rows = state.live_rows;
    if (blocks != NULL)
        *blocks = state.objects;
    *accounts = state.accounts;
    return status;
}
