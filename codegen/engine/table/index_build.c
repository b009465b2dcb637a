/* index_build.c — making an index of a table that is in use, and taking one down.
 *
 * How it works.  A place in the catalogue is claimed and shown to writers, who from then on enter
 * what they publish (index/catalog.h).  What was published before is found by streaming the slabs
 * of versions: a version that has ended for our snapshot is left out, because only snapshots from
 * ours on will use the index; the others stay where they are while our snapshot is published, but
 * for those with a mark.  What a transaction made may be undone before its entry is put, and what
 * it ended be freed, if it has committed and was held up before it stamped; so these are looked at
 * once more afterwards: either whoever undoes or frees the version finds the entry, or we find the
 * version gone.  Keys are sorted in large pieces and put in order.
 *
 * A unique index is checked at the end, entry by entry: writers enter first and look afterwards,
 * and so do we.
 *
 * Progress: waits for nobody.  If the maker dies, the reaper takes the place back.
 */
#include "table/index_build_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "table/table_private.h"
#include "txn/entries.h"

/* Versions fetched ahead, as in a scan. */
#define BUILD_AHEAD 32u
/* How long to go on trying when others are in the way. */
#define BUILD_DEADLINE_NS 30000000000ull
/* Entries of a unique index looked at in one go. */
#define BUILD_LOOK 64u

/* In the caller's bits of a key: its version had a mark when it was read. */
#define KEY_PENDING ((uint64_t)1 << 32)

typedef aei_build build;

/* ---- putting -------------------------------------------------------------------------------- */

static aero_status piece_put(build *of, const uint64_t *items, size_t count)
{
    AE_ASSERT(count > 0 && count <= AEI_BUILD_PIECE);
    aero_session *session = of->session;
    const uint32_t slot = session->txn.slot;
    const size_t packed = ae_key_pack(items, count, of->shape.width, of->words, of->anchors);
    AE_ASSERT(packed > 0 && packed <= count);
    aero_status status = ae_tree_put_sorted(&of->tree, slot, of->words, of->anchors, packed,
                                            &session->error);
    if (status == AERO_FULL && ae_reclaim_hard(session))
        status = ae_tree_put_sorted(&of->tree, slot, of->words, of->anchors, packed,
                                    &session->error);
    AE_CRASH_POINT("build.piece");
    return status;
}

/* An entry of a version that had a mark: is it still there? */
static void pending_check(const build *of, const uint64_t *item)
{
    ae_tree_key key = {.anchor = ae_key_item_anchor(item, of->shape.width)};
    uint64_t ticket = 0;
    memcpy(key.words, item, of->shape.width * sizeof *item);
    if (!ae_tree_find(&of->tree, &key, &ticket) ||
        ae_entry_needed(of->db, of->table, &of->shape, &key))
        return;
    ae_tree tree = of->tree;
    if (ae_tree_remove(&tree, of->session->txn.slot, &key, ticket, NULL) == AERO_FULL)
        (void)ae_add64(&ae_catalog_place(&of->db->catalog, of->table, of->number)->orphans, 1);
}

static aero_status keys_put(build *of)
{
    AE_ASSERT(of->count <= AE_BUILD_KEYS);
    const size_t stride = of->shape.width + 1;
    const uint64_t *items = ae_key_sort(of->items, of->scratch, of->count, of->shape.width);
    aero_status status = AERO_OK;
    for (size_t first = 0; first < of->count && status == AERO_OK; first += AEI_BUILD_PIECE) {
        const size_t left = of->count - first;
        status = piece_put(of, items + first * stride,
                           left < AEI_BUILD_PIECE ? left : AEI_BUILD_PIECE);
    }
    atomic_thread_fence(memory_order_seq_cst); /* put before looking; pairs with ae_entries_drop */
    for (size_t at = 0; at < of->count && status == AERO_OK; at++)
        if ((items[at * stride + of->shape.width] & KEY_PENDING) != 0)
            pending_check(of, items + at * stride);
    of->count = 0;
    return status;
}

/* ---- reading -------------------------------------------------------------------------------- */

/* Take the key of one version, if anybody will look for it. */
static void version_take(build *of, const ae_version *version)
{
    const uint64_t snapshot = of->session->txn.snapshot;
    for (;;) {
        uint64_t words[AE_KEY_WORDS_MAX];
        const uint64_t end = ae_load64_acquire(&version->end);
        const uint64_t begin = ae_load64_acquire(&version->begin);
        const bool marked = (begin & AE_MARK) != 0;
        if (begin == 0 || (!marked && begin >= AE_STAMP_TAKEN) || end <= snapshot)
            return;
        const ae_ref anchor = ae_load32(&version->anchor);
        const bool read = ae_key_words_racy(&of->db->heap, of->of, &of->shape, version, words);
        /* Acquire: read before the version is seen to be still the same. */
        atomic_thread_fence(memory_order_acquire);
        if (ae_load64_acquire(&version->begin) != begin)
            continue;
        if (!read)
            return; /* it was undone and written anew by the same transaction, who enters it */
        AE_ASSERT(of->count < AE_BUILD_KEYS);
        uint64_t *item = of->items + of->count++ * (of->shape.width + 1);
        memcpy(item, words, of->shape.width * sizeof *item);
        item[of->shape.width] = anchor | (((begin | end) & AE_MARK) != 0 ? KEY_PENDING : 0);
        return;
    }
}

static aero_status slab_take(build *of, const ae_slab *slab)
{
    const uint32_t high = ae_load32_acquire(&slab->high);
    const uint32_t size = slab->object_size;
    const char *object = ae_slab_object(slab, 0);
    aero_status status = AERO_OK;
    for (uint32_t index = 0; index < high && status == AERO_OK; index++, object += size) {
        __builtin_prefetch(object + BUILD_AHEAD * size);
        __builtin_prefetch(object + BUILD_AHEAD * size + 64);
        version_take(of, (const ae_version *)(const void *)object);
        if (of->count == AE_BUILD_KEYS)
            status = of->full(of);
    }
    return status;
}

aero_status aei_build_read(aei_build *of)
{
    AE_ALWAYS(of->full != NULL && of->table < of->db->schema->table_count);
    const ae_pool *pool = &of->db->heap.pools[ae_heap_version_pool(of->table)];
    const uint32_t slabs = ae_pool_slab_count(pool);
    aero_status status = AERO_OK;
    for (uint32_t index = 0; index < slabs && status == AERO_OK; index++) {
        const ae_slab *slab = ae_pool_slab(&of->db->heap, pool, index);
        if (slab != NULL)
            status = slab_take(of, slab);
        AE_CRASH_POINT("build.slab");
    }
    return status == AERO_OK ? of->full(of) : status;
}

/* ---- unique --------------------------------------------------------------------------------- */

enum holder { HOLDER_NONE, HOLDER_IS, HOLDER_MAY_BE };

/* Does the row have these words now, for everybody?  *version: the one that has. */
static enum holder holder_judge(const build *of, ae_ref anchor, const uint64_t *words,
                                const ae_version **version)
{
    AE_ASSERT(anchor != 0);
    const ae_anchor *row = ae_at(&of->db->segment, anchor);
    for (;;) {
        uint64_t own[AE_KEY_WORDS_MAX];
        const uint64_t head = ae_load64_acquire(&row->head);
        if (!ae_head_is_row(head))
            return HOLDER_NONE;
        *version = ae_at(&of->db->segment, ae_head_ref(head));
        const uint64_t end = ae_load64_acquire(&(*version)->end);
        const uint64_t begin = ae_load64_acquire(&(*version)->begin);
        const bool ours = ae_load32(&(*version)->anchor) == anchor;
        const bool read = ae_key_words_racy(&of->db->heap, of->of, &of->shape, *version, own);
        atomic_thread_fence(memory_order_acquire);
        if (ae_load64_acquire(&(*version)->begin) != begin || ae_load64_acquire(&row->head) != head)
            continue;
        if (!ours || begin == 0 || ((begin & AE_MARK) == 0 && begin >= AE_STAMP_INFINITY))
            return HOLDER_NONE;
        if ((begin & AE_MARK) != 0)
            return HOLDER_MAY_BE; /* also if it is just moving away: that may be undone */
        if (!read || memcmp(own, words, of->shape.width * sizeof *own) != 0 ||
            (end != AE_STAMP_INFINITY && (end & AE_MARK) == 0))
            return HOLDER_NONE;
        return end == AE_STAMP_INFINITY ? HOLDER_IS : HOLDER_MAY_BE;
    }
}

/* Entries with equal words, all of them. */
typedef struct group {
    uint64_t words[AE_KEY_WORDS_MAX];
    ae_ref *anchors;
    size_t count;
    size_t capacity;
} group;

static bool group_add(group *equal, ae_ref anchor)
{
    if (equal->count == equal->capacity) {
        const size_t capacity = equal->capacity == 0 ? 16 : 2 * equal->capacity;
        ae_ref *more = realloc(equal->anchors, capacity * sizeof *more);
        if (more == NULL)
            return false;
        equal->anchors = more;
        equal->capacity = capacity;
    }
    AE_ASSERT(equal->count < equal->capacity);
    equal->anchors[equal->count++] = anchor;
    return true;
}

static const char *version_base(const aero_db *db, const ae_version *version)
{
    return (const char *)ae_at(&db->segment, ae_load32(&version->overflow) + 1);
}

static aero_status group_check(const build *of, const group *equal)
{
    aero_session *session = of->session;
    for (size_t left = 0; left + 1 < equal->count; left++)
        for (size_t right = left + 1; right < equal->count; right++) {
            const ae_version *one = NULL;
            const ae_version *other = NULL;
            const enum holder first = holder_judge(of, equal->anchors[left], equal->words, &one);
            if (first == HOLDER_NONE ||
                (first == HOLDER_IS && ae_key_has_null(of->of, &of->shape, one->row)))
                break;
            const enum holder second = holder_judge(of, equal->anchors[right], equal->words,
                                                    &other);
            if (second == HOLDER_NONE)
                continue;
            if (first == HOLDER_MAY_BE || second == HOLDER_MAY_BE)
                return ae_conflict(session, AERO_CONFLICT_WRITE, of->of->name);
            if (!ae_key_values_equal(of->of, &of->shape, one->row, version_base(of->db, one),
                                     other->row, version_base(of->db, other)))
                continue;
            char name[AE_KEY_NAME_SIZE];
            ae_key_name(of->of, of->shape.column_count, of->shape.columns, name);
            ae_fail(&session->error, AERO_EXISTS, "two rows of %s have the same %s", of->of->name,
                    name);
            ae_key_error_place(&session->error, of->of, of->shape.column_count, of->shape.columns);
            return AERO_EXISTS;
        }
    return AERO_OK;
}

/* Walk all entries, group by group. */
aero_status aei_build_check(const aei_build *of)
{
    const uint32_t width = of->shape.width;
    ae_tree_cursor cursor;
    ae_tree_range range;
    group equal = {.anchors = NULL};
    uint64_t words[BUILD_LOOK * AE_KEY_WORDS_MAX];
    ae_ref anchors[BUILD_LOOK];
    aero_status status = AERO_OK;
    ae_tree_range_all(&range);
    ae_tree_seek(&cursor, &of->tree, &range, false);
    for (uint32_t count;
         status == AERO_OK && (count = ae_tree_next(&cursor, words, anchors, BUILD_LOOK)) > 0;)
        for (uint32_t index = 0; index < count && status == AERO_OK; index++) {
            const uint64_t *key = words + (size_t)index * width;
            if (equal.count > 0 && memcmp(key, equal.words, width * sizeof *key) != 0) {
                status = group_check(of, &equal);
                equal.count = 0;
            }
            if (equal.count == 0)
                memcpy(equal.words, key, width * sizeof *key);
            if (status == AERO_OK && !group_add(&equal, anchors[index]))
                status = ae_fail(&of->session->error, AERO_NO_MEMORY,
                                 "no memory to compare rows with equal values");
        }
    if (status == AERO_OK)
        status = group_check(of, &equal);
    if (status == AERO_OK && cursor.fail != AERO_OK)
        status = ae_fail(&of->session->error, cursor.fail, "an index of %s is damaged",
                         of->of->name);
    free(equal.anchors);
    return status;
}

/* ---- create --------------------------------------------------------------------------------- */

uint64_t *aei_build_take(const aei_build *of)
{
    ae_index_memory *memory = of->memory;
    if (memory != NULL && memory->count > 0)
        return memory->spares[--memory->count];
    /* What may be used again is large enough for every index; what is not touched costs nothing. */
    const size_t stride = 1 + (memory != NULL ? AE_KEY_WORDS_MAX : of->shape.width);
    return malloc(AE_BUILD_KEYS * stride * sizeof(uint64_t));
}

void aei_build_give(const aei_build *of, uint64_t *items)
{
    ae_index_memory *memory = of->memory;
    if (memory != NULL && items != NULL && memory->count < AE_INDEX_SPARES)
        memory->spares[memory->count++] = items;
    else
        free(items);
}

aero_status aei_build_open(aei_build *of)
{
    AE_ALWAYS(of->items == NULL && of->words == NULL);
    aero_session *session = of->session;
    ae_index_place *place = ae_catalog_place(&of->db->catalog, of->table, of->number);
    if (!ae_catalog_tree(&of->db->catalog, place, &of->shape, &of->tree))
        return ae_fail(&session->error, AERO_CORRUPT, "index %u of %s is damaged", of->number,
                       of->of->name);
    of->items = aei_build_take(of);
    of->scratch = aei_build_take(of);
    of->words = malloc(AEI_BUILD_PIECE * of->shape.width * sizeof *of->words);
    of->anchors = malloc(AEI_BUILD_PIECE * sizeof *of->anchors);
    return of->items != NULL && of->scratch != NULL && of->words != NULL && of->anchors != NULL
               ? AERO_OK
               : aei_build_no_memory(of);
}

void aei_build_close(aei_build *of)
{
    aei_build_give(of, of->items);
    aei_build_give(of, of->scratch);
    free(of->words);
    free(of->anchors);
}

/* The place is claimed: fill it. */
static aero_status build_fill(build *of, bool unique)
{
    aero_status status = aei_build_open(of);
    if (status == AERO_OK) {
        ae_catalog_building(&of->db->catalog, of->session->txn.slot, of->table, of->number);
        status = aei_build_read(of);
    }
    if (status == AERO_OK && unique)
        status = aei_build_check(of);
    aei_build_close(of);
    return status;
}

/* What was replaced in a tree, and trees that were dropped, can be given back once nobody is left
 * who may be in them: often at once. */
void aei_build_tidy(aero_session *session)
{
    AE_ALWAYS(session->txn.open && session->txn.intent_count == 0);
    aero_db *db = session->db;
    const uint32_t slot = session->txn.slot;
    ae_slot *at = ae_slot_at(&db->proc, slot);
    /* Move the clock on: by a place in the commit queue that decides to abort. */
    if (!ae_cas64(&at->state, AE_STATE(AE_STATE_ACTIVE, 0), AE_STATE(AE_STATE_COMMITTING, 0)))
        return;
    const uint64_t position = ae_queue_enter(&db->queue, slot);
    (void)ae_queue_wait(&db->queue, slot, position);
    (void)ae_queue_decide(&db->queue, slot, position, false);
    (void)ae_snapshot_publish(&db->proc, &at->snapshot);
    session->horizon = ae_horizon_compute(&db->proc);
    if (ae_catalog_untidy(&db->catalog))
        (void)ae_catalog_tend(&db->catalog, slot, session->horizon);
    (void)ae_block_reclaim(&db->proc, slot, session->horizon);
}

static aero_status create_once(aero_session *session, uint32_t table, const ae_key_shape *shape,
                               bool unique)
{
    build of = {.session = session,
                .db = session->db,
                .of = &session->db->schema->tables[table],
                .table = table,
                .shape = *shape,
                .full = keys_put};
    aero_status status = ae_txn_begin(session, AERO_ISOLATION_SNAPSHOT, false);
    if (status != AERO_OK)
        return status;
    const uint32_t slot = session->txn.slot;
    ae_catalog *catalog = &session->db->catalog;
    status = ae_catalog_claim(catalog, slot, table, shape, unique, &of.number, &session->error);
    if (status == AERO_OK) {
        status = build_fill(&of, unique);
        if (status == AERO_OK)
            ae_catalog_ready(catalog, slot, table, of.number, session->txn.snapshot);
        else
            ae_catalog_abandon(catalog, slot, table, of.number);
    }
    aei_build_tidy(session);
    (void)ae_txn_commit(session); /* nothing was written: this only ends it */
    return status;
}

static aero_status columns_check(aero_session *session, uint32_t table, const uint32_t *columns,
                                 uint32_t count, ae_key_shape *shape)
{
    const aero_table *of = &session->db->schema->tables[table];
    if (session->txn.open)
        return ae_fail(&session->error, AERO_USAGE,
                       "indexes are made and dropped outside of transactions");
    if (count == 0 || count > AE_KEY_COLUMNS_MAX)
        return ae_fail(&session->error, AERO_USAGE, "an index has 1 to %u columns, not %u",
                       AE_KEY_COLUMNS_MAX, count);
    shape->column_count = count;
    for (uint32_t index = 0; index < count; index++) {
        if (columns[index] >= of->column_count)
            return ae_fail(&session->error, AERO_USAGE, "%s has no column %u", of->name,
                           columns[index]);
        for (uint32_t before = 0; before < index; before++)
            if (columns[before] == columns[index])
                return ae_fail(&session->error, AERO_USAGE, "an index names column %s twice",
                               of->columns[columns[index]].name);
        shape->columns[index] = columns[index];
    }
    AE_ALWAYS(shape->column_count > 0 && shape->column_count <= AE_KEY_COLUMNS_MAX);
    return AERO_OK;
}

aero_status ae_index_create(aero_session *session, uint32_t table, const uint32_t *columns,
                            uint32_t count, bool unique)
{
    ae_key_shape shape;
    aero_status status = columns_check(session, table, columns, count, &shape);
    if (status != AERO_OK)
        return status;
    ae_key_shape_finish(&session->db->schema->tables[table], &shape, unique);
    const uint64_t deadline = ae_os_monotonic_ns() + BUILD_DEADLINE_NS;
    for (uint32_t attempt = 0;; attempt++) {
        const bool untidy = ae_catalog_untidy(&session->db->catalog);
        status = create_once(session, table, &shape, unique);
        /* No place may be left because dropped indexes still wait for readers to leave. */
        const bool later = status == AERO_CONFLICT || status == AERO_NO_SLOT ||
                           (status == AERO_LIMIT && untidy);
        if (!later || ae_os_monotonic_ns() > deadline)
            return status;
        if (!ae_session_patient(session))
            return ae_session_stopped(session);
        ae_backoff(session, attempt);
        (void)ae_reap_all(session->db, session->member);
    }
}

/* ---- drop ----------------------------------------------------------------------------------- */

/* The ready index over just these columns, or AE_INDEXES_MAX. */
static uint32_t index_over(const aero_db *db, uint32_t table, const ae_key_shape *wanted)
{
    for (uint32_t number = 0; number < AE_INDEXES_MAX; number++) {
        const ae_index_place *place = ae_catalog_place(&db->catalog, table, number);
        ae_key_shape shape;
        if (ae_index_phase_of(ae_load64_acquire(&place->state)) == AE_INDEX_READY &&
            ae_catalog_shape(&db->catalog, table, place, &shape) &&
            shape.column_count == wanted->column_count &&
            memcmp(shape.columns, wanted->columns, shape.column_count * sizeof *shape.columns) == 0)
            return number;
    }
    return AE_INDEXES_MAX;
}

aero_status ae_index_missing(aero_session *session, uint32_t table, const uint32_t *columns,
                             uint32_t count)
{
    const aero_table *of = &session->db->schema->tables[table];
    char name[AE_KEY_NAME_SIZE];
    ae_key_name(of, count, columns, name);
    ae_fail(&session->error, AERO_NOT_FOUND, "%s has no index over these columns (%s)", of->name,
            name);
    ae_error_place(&session->error, of->name,
                   count > 0 && columns[0] < of->column_count ? of->columns[columns[0]].name : "");
    return AERO_NOT_FOUND;
}

aero_status ae_index_drop(aero_session *session, uint32_t table, const uint32_t *columns,
                          uint32_t count)
{
    aero_db *db = session->db;
    ae_key_shape shape;
    aero_status status = columns_check(session, table, columns, count, &shape);
    if (status == AERO_OK)
        status = ae_txn_begin(session, AERO_ISOLATION_SNAPSHOT, false);
    if (status != AERO_OK)
        return status;
    const uint32_t number = index_over(db, table, &shape);
    if (number == AE_INDEXES_MAX ||
        !ae_catalog_drop(&db->catalog, session->txn.slot, table, number))
        status = ae_index_missing(session, table, columns, count);
    aei_build_tidy(session);
    (void)ae_txn_commit(session); /* nothing was written: this only ends it */
    return status;
}
