/* read.c — readers, look-ups by key, and scans (see table.h). */
#include "table/table_private.h"

#include "base/os.h"

/* ---- readers -------------------------------------------------------------------------------- */

aero_status ae_reader_open(aero_session *session, bool lasting, ae_reader *reader)
{
    AE_ASSERT(session->member < AE_MEMBERS);
    aero_db *db = session->db;
    reader->session = session;
    reader->slot = AE_SLOT_NONE;
    reader->pins_member = false;
    reader->noted = false;
    reader->watch.back = NULL;
    reader->watch.stale = false;
    reader->own = 0;
    reader->awake = false;
    reader->epoch = session->fork_epoch;
    if (session->txn.open) {
        if (session->txn.doomed)
            return ae_txn_doomed(session);
        const aero_status awake = ae_txn_wake(session);
        if (awake != AERO_OK)
            return awake;
        reader->awake = true;
        ae_txn_look(session);
        reader->snapshot = session->txn.snapshot;
        reader->own = ae_txn_mark(session);
        if (lasting)
            ae_txn_watch(session, &reader->watch);
        return AERO_OK;
    }
    if (!lasting) {
        ae_member *member = &db->proc.shared->members[session->member];
        AE_ASSERT(ae_load64(&member->pin) == 0);
        reader->pins_member = true;
        reader->snapshot = ae_snapshot_publish(&db->proc, &member->pin);
        return AERO_OK;
    }
    aero_status status = ae_slot_claim(&db->proc, session->member, session->slot_hint + 1,
                                       &reader->slot, &session->error);
    if (status == AERO_NO_SLOT && ae_reap_all(db, session->member) > 0)
        status = ae_slot_claim(&db->proc, session->member, session->slot_hint + 1, &reader->slot,
                               &session->error);
    if (status != AERO_OK)
        return status;
    ae_slot *slot = ae_slot_at(&db->proc, reader->slot);
    ae_store64_release(&slot->began_ns, ae_os_monotonic_ns());
    ae_store32_release(&slot->plain, 1);
    reader->generation = ae_load64(&slot->generation);
    reader->awake = true;
    reader->snapshot = ae_snapshot_publish(&db->proc, &slot->snapshot);
    return AERO_OK;
}

/* Is the reader's transaction still the session's? */
static bool transaction_goes_on(const ae_reader *reader)
{
    const ae_txn *txn = &reader->session->txn;
    return txn->open && ae_mark_same(reader->own, ae_mark(txn->slot, txn->generation, 0));
}

void ae_reader_rest(ae_reader *reader)
{
    if (!reader->awake)
        return;
    reader->awake = false;
    if (reader->slot != AE_SLOT_NONE)
        ae_slot_rest(&reader->session->db->proc, reader->slot);
    else if (transaction_goes_on(reader))
        ae_txn_rest(reader->session);
}

/* To work again after a rest. */
static aero_status reader_wake(ae_reader *reader)
{
    AE_ASSERT(!reader->awake || reader->session->fork_epoch == reader->epoch);
    aero_session *session = reader->session;
    if (reader->awake)
        return AERO_OK;
    if (reader->slot == AE_SLOT_NONE) {
        const aero_status status = session->txn.doomed ? ae_txn_doomed(session)
                                                       : ae_txn_wake(session);
        reader->awake = status == AERO_OK;
        return status;
    }
    reader->awake = ae_slot_wake(&session->db->proc, reader->slot, reader->generation);
    return reader->awake ? AERO_OK : ae_txn_cancelled(session);
}

aero_status ae_reader_check(ae_reader *reader)
{
    aero_session *session = reader->session;
    if (reader->epoch != session->fork_epoch)
        return ae_fail(&session->error, AERO_STALE, "the cursor belongs to the parent process");
    if (reader->own != 0 && !transaction_goes_on(reader))
        return ae_fail(&session->error, AERO_STALE, "the cursor's transaction has ended");
    if (reader->watch.stale)
        return ae_fail(&session->error, AERO_STALE,
                       "the cursor is newer than the savepoint that was rolled back to");
    return reader_wake(reader);
}

void ae_reader_close(ae_reader *reader)
{
    AE_ASSERT(!(reader->pins_member && reader->slot != AE_SLOT_NONE));
    aero_session *session = reader->session;
    aero_db *db = session->db;
    ae_txn_unwatch(&reader->watch);
    if (reader->epoch != session->fork_epoch)
        return; /* what it holds is the parent's */
    if (reader->own != 0)
        ae_reader_rest(reader);
    if (reader->pins_member)
        /* Release: the reads are over; pairs with ae_horizon_compute. */
        ae_store64_release(&db->proc.shared->members[session->member].pin, 0);
    else if (reader->slot != AE_SLOT_NONE)
        ae_slot_release(&db->proc, reader->slot);
    reader->pins_member = false;
    reader->slot = AE_SLOT_NONE;
}

bool ae_reader_notes(const ae_reader *reader)
{
    return reader->own != 0 && reader->session->txn.tracks;
}

void ae_reader_predicate(ae_reader *reader, const ae_predicate *predicate)
{
    AE_ASSERT(ae_reader_notes(reader));
    ae_reads_predicate(&reader->session->txn.reads, predicate);
    reader->noted = true;
}

void ae_reader_note_table(ae_reader *reader, uint32_t table)
{
    AE_ASSERT(table < reader->session->db->schema->table_count);
    ae_reads_table(&reader->session->txn.reads, table);
}

/* ---- look-ups ------------------------------------------------------------------------------- */

static inline void view_fill(const aero_db *db, ae_view *view, ae_version *version)
{
    /* Without an overflow block no text is long, and the base is never used. */
    const ae_ref overflow = ae_load32(&version->overflow);
    view->row = version->row;
    view->base = (const char *)ae_at(&db->segment, overflow + 1);
}

/* Walk a row's chain from its newest version.  What is met may be reused at any moment unless the
 * reader sees it, so each step checks that it still stands on the row: the version names the
 * anchor, and begins never rise along the chain.  A dangling `older` is harmless: nobody who is
 * still here needs it. */
ae_version *ae_chain_find(const ae_reader *reader, ae_ref anchor)
{
    AE_ASSERT(anchor != 0);
    const aero_db *db = reader->session->db;
    const ae_anchor *row = ae_at(&db->segment, anchor);
    for (;;) {
        const uint64_t head = ae_load64_acquire(&row->head);
        if (!ae_head_is_row(head))
            return NULL;
        ae_ref ref = ae_head_ref(head);
        ae_step step = {NULL, 0};
        uint64_t limit = UINT64_MAX;
        ae_ref tortoise = 0; /* Brent's cycle detection over equal begins of one transaction */
        uint32_t steps = 0;
        uint32_t lap = 1;
        bool again = false;
        while (ref != 0) {
            /* A link that nobody needs may lead to where no versions are any more. */
            if (ref != ae_head_ref(head) && !ae_heap_leads(&db->heap, ref)) {
                again = ae_load64_acquire(&row->head) != head;
                break;
            }
            ae_version *version = ae_at(&db->segment, ref);
            const uint64_t begin = ae_load64_acquire(&version->begin);
            const enum ae_sight sight = ae_version_sight(&db->proc, reader->snapshot, reader->own,
                                                         version);
            const ae_ref older = ae_load32(&version->older);
            const bool ours = ae_load32(&version->anchor) == anchor;
            if (sight == AE_SEEN && ours)
                return version;
            /* Acquire on the second look: the fields between were read from one life of the
             * version. */
            atomic_thread_fence(memory_order_acquire);
            if (ours && ae_load64_acquire(&version->begin) != begin) {
                again = true; /* it was being stamped or undone */
                break;
            }
            if (!ae_step_holds(&step, ref)) {
                again = true; /* it was taken out of the chain */
                break;
            }
            /* No version, another row's, or a younger one: at the head the row is just being freed,
             * further down it is a link nobody needs; unless the chain has changed under us. */
            const bool marked = (begin & AE_MARK) != 0;
            if (!ours || sight == AE_NOTHING || (!marked && begin > limit)) {
                again = ae_load64_acquire(&row->head) != head;
                break;
            }
            if (sight == AE_ENDED || ref == tortoise)
                break;
            if (++steps == lap) {
                tortoise = ref;
                lap *= 2;
                steps = 0;
            }
            /* A mark is no number: its owner may have committed, and be stopped before it stamps,
             * while the row went on: younger versions are stamped then, and this one is not. */
            if (!marked)
                limit = begin;
            step = (ae_step){version, begin};
            ref = older;
        }
        /* "No row" is believed only of a chain that has not changed: a version that is undone and
         * reused with the same mark between the two looks at its `begin` lends its new `older` to
         * its old row. */
        if (!again && ae_load64_acquire(&row->head) == head)
            return NULL;
        ae_pause();
    }
}

bool ae_table_find(ae_reader *reader, uint32_t table, const void *key_row, ae_view *view)
{
    AE_ASSERT(table < reader->session->db->schema->table_count);
    const aero_db *db = reader->session->db;
    const aero_table *of = &db->schema->tables[table];
    ae_hash_walk walk;
    uint64_t word = 0;
    const uint64_t hash = of->hash_key(key_row, NULL);
    const bool notes = ae_reader_notes(reader);
    ae_hash_approach(&db->hashes[table], ae_hash_tag(hash));
    ae_hash_walk_start(&walk, &db->hashes[table], ae_hash_tag(hash));
    for (;;) {
        const ae_hash_entry *entry = ae_hash_walk_next(&walk, &word);
        if (entry == NULL) {
            if (notes)
                ae_reads_key(&reader->session->txn.reads, table, hash);
            return false;
        }
        /* Racy: a stale hint fails one of the three tests below. */
        const ae_ref hint = ae_load32(&entry->hint);
        const bool leads = hint != 0 && ae_heap_leads(&db->heap, hint);
        ae_version *version = leads ? ae_at(&db->segment, hint) : NULL;
        /* The second line of the row comes along with the first; and the anchor, where the row may
         * be written next. */
        __builtin_prefetch((const char *)ae_at(&db->segment, hint) + 64);
        if (notes)
            __builtin_prefetch(ae_at(&db->segment, ae_hash_anchor(word)));
        if (version == NULL ||
            ae_version_sight(&db->proc, reader->snapshot, reader->own, version) != AE_SEEN ||
            ae_load32(&version->anchor) != ae_hash_anchor(word))
            version = ae_chain_find(reader, ae_hash_anchor(word));
        if (version == NULL)
            continue;
        view_fill(db, view, version);
        if (!of->key_equal(view->row, view->base, key_row, NULL))
            continue;
        if (notes)
            ae_reads_row(&reader->session->txn.reads, table, hash, ae_hash_anchor(word));
        return true;
    }
}

/* Versions fetched ahead of the one looked at: some 4 KiB, as far as the next page, where the
 * processor's own prefetching stops. */
#define SCAN_AHEAD 32u

/* ---- scans ---------------------------------------------------------------------------------- */

void ae_scan_start(ae_scan *scan, ae_reader *reader, uint32_t table)
{
    AE_ASSERT(table < reader->session->db->schema->table_count);
    const ae_heap *heap = &reader->session->db->heap;
    if (ae_reader_notes(reader) && !reader->noted)
        ae_reads_table(&reader->session->txn.reads, table);
    reader->noted = false;
    scan->reader = reader;
    scan->table = table;
    scan->slab_count = ae_pool_slab_count(&heap->pools[ae_heap_version_pool(table)]);
    scan->slab_index = 0;
    scan->slot_index = 0;
    scan->left_out = 0;
    scan->seeks = false;
}

void ae_scan_seek(ae_scan *scan)
{
    AE_ASSERT(scan->slab_index == 0 && scan->slot_index == 0);
    const aero_session *session = scan->reader->session;
    scan->seeks = true;
    if (session->scan_table != scan->table || session->scan_slab >= scan->slab_count)
        return;
    scan->slab_index = session->scan_slab;
    scan->left_out = session->scan_slab;
}

/* The end was reached: go on with what was left out at the beginning. */
static bool scan_wrap(ae_scan *scan)
{
    AE_ASSERT(scan->slab_index >= scan->slab_count && scan->left_out <= scan->slab_count);
    if (scan->left_out == 0)
        return false;
    scan->slab_count = scan->left_out;
    scan->slab_index = 0;
    scan->slot_index = 0;
    scan->left_out = 0;
    return true;
}

/* Look at objects of a slab from `index` on until `max` rows are found or `high` is reached;
 * returns how many were found.  The usual case, a version with plain stamps, is decided without a
 * branch: the place is always written, and counts only if the version is seen. */
static size_t slab_scan(const ae_scan *scan, const ae_slab *slab, uint32_t *index, uint32_t high,
                        ae_view *views, size_t max)
{
    AE_ASSERT(*index < high && max > 0);
    const aero_db *db = scan->reader->session->db;
    const uint64_t snapshot = scan->reader->snapshot;
    const uint64_t own = scan->reader->own;
    const char *base = db->segment.base;
    const uint32_t size = slab->object_size;
    char *object = ae_slab_object(slab, *index);
    size_t count = 0;
    uint32_t at = *index;
    for (; at < high && count < max; at++, object += size) {
        ae_version *version = (ae_version *)(void *)object;
        __builtin_prefetch(object + SCAN_AHEAD * size);
        __builtin_prefetch(object + SCAN_AHEAD * size + 64);
        /* `end` first (see row/version.h); acquire as in ae_version_sight. */
        const uint64_t end = ae_load64_acquire(&version->end);
        const uint64_t begin = ae_load64_acquire(&version->begin);
        const ae_ref overflow = ae_load32(&version->overflow);
        views[count].row = version->row;
        views[count].base = base + ((size_t)overflow << 4) + sizeof(ae_block);
        if (__builtin_expect(((begin | end) & AE_MARK) != 0, 0))
            count += ae_version_sight_slow(&db->proc, snapshot, own, version) == AE_SEEN;
        else
            count += (begin - 1 < snapshot) & (end > snapshot);
    }
    AE_ASSERT(count <= max && at <= high);
    *index = at;
    return count;
}

size_t ae_scan_next(ae_scan *scan, ae_view *views, size_t max)
{
    const aero_db *db = scan->reader->session->db;
    const ae_pool *pool = &db->heap.pools[ae_heap_version_pool(scan->table)];
    size_t count = 0;
    while (count < max && (scan->slab_index < scan->slab_count || scan_wrap(scan))) {
        const ae_slab *slab = ae_pool_slab(&db->heap, pool, scan->slab_index);
        const uint32_t high = slab == NULL ? 0 : ae_load32_acquire(&slab->high);
        if (scan->slot_index < high)
            count += slab_scan(scan, slab, &scan->slot_index, high, views + count, max - count);
        if (count > 0 && scan->seeks) {
            scan->reader->session->scan_table = scan->table;
            scan->reader->session->scan_slab = scan->slab_index;
            scan->seeks = false;
        }
        if (scan->slot_index >= high) {
            scan->slab_index++;
            scan->slot_index = 0;
        }
    }
    AE_ASSERT(count <= max);
    return count;
}

uint64_t ae_table_size(const aero_session *session, uint32_t table)
{
    AE_ASSERT(table < session->db->schema->table_count);
    const ae_heap *heap = &session->db->heap;
    const ae_pool *pool = &heap->pools[ae_heap_version_pool(table)];
    const uint32_t slabs = ae_pool_slab_count(pool);
    uint64_t size = 0;
    /* Slabs grow every AE_SLABS_PER_SIZE, eight times: one of a size tells for all of it. */
    const bool regular = ae_load32(&heap->segment->header->returned) == 0;
    for (uint32_t index = 0; index < slabs;) {
        const uint32_t alike = !regular ? 1
                               : index < 7 * AE_SLABS_PER_SIZE && slabs - index > AE_SLABS_PER_SIZE
                                   ? AE_SLABS_PER_SIZE
                                   : slabs - index;
        const ae_slab *slab = ae_pool_slab(heap, pool, index);
        size += slab == NULL ? 0 : (uint64_t)slab->object_count * alike;
        index += alike;
    }
    const ae_slab *last = slabs == 0 ? NULL : ae_pool_slab(heap, pool, slabs - 1);
    return last == NULL ? size : size - last->object_count + ae_load32(&last->high);
}

uint64_t ae_table_rows(const aero_session *session, uint32_t table)
{
    return ae_rows_counted(session->db, table);
}

aero_status ae_table_count(aero_session *session, uint32_t table, uint64_t *count)
{
    ae_reader reader;
    ae_scan scan;
    ae_view views[256];
    const aero_status status = ae_reader_open(session, false, &reader);
    *count = 0;
    if (status != AERO_OK)
        return status;
    ae_scan_start(&scan, &reader, table);
    for (size_t got; (got = ae_scan_next(&scan, views, 256)) > 0;)
        *count += got;
    ae_reader_close(&reader);
    return AERO_OK;
}
