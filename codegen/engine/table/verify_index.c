/* verify_index.c — the ordered indexes against the rows.
 *
 * How it works.  The shape of a tree is its own matter (ae_tree_check); here each entry is held
 * against its row.  The entry of a row's newest version counts; as no two entries are equal, every
 * row is entered exactly once if as many count as there are rows.  Other entries belong to older
 * versions: those are looked for along the row's chain first, and what is left over among all
 * versions of the table, for the row that a dead version belonged to may be gone.
 *
 * Rows are looked at some at a time, with their memory fetched ahead.
 */
#include <stdlib.h>
#include <string.h>

#include "table/table_private.h"
#include "txn/entries.h"

#define LOOK 64u

typedef struct index_state {
    aero_db *db;
    uint32_t table;
    const ae_key_shape *shape;
    uint32_t waiting; /* entries taken, not yet looked at */
    uint64_t words[LOOK][AE_KEY_WORDS_MAX];
    ae_ref anchors[LOOK];
    uint64_t newest; /* entries of rows' newest versions */
    uint64_t *loose; /* others, as ae_key_sort takes them */
    size_t loose_count;
    size_t loose_capacity;
    ae_ref bad; /* an anchor that is none */
    bool no_memory;
} index_state;

static bool anchor_is_one(const index_state *state, ae_ref anchor)
{
    const ae_heap *heap = &state->db->heap;
    const ae_slab *slab = anchor < AE_HEAD_LEAST ? NULL : ae_heap_slab(heap, anchor);
    return slab != NULL && slab->pool == ae_heap_anchor_pool(state->table);
}

static bool version_is_one(const index_state *state, ae_ref version)
{
    const ae_heap *heap = &state->db->heap;
    const ae_slab *slab = version < AE_HEAD_LEAST ? NULL : ae_heap_slab(heap, version);
    return slab != NULL && slab->pool == ae_heap_version_pool(state->table);
}

static bool loose_add(index_state *state, const uint64_t *words, ae_ref anchor)
{
    const uint32_t width = state->shape->width;
    if (state->loose_count == state->loose_capacity) {
        const size_t capacity = state->loose_capacity == 0 ? 256 : 2 * state->loose_capacity;
        uint64_t *more = realloc(state->loose, capacity * (width + 1) * sizeof *more);
        state->no_memory = more == NULL;
        if (more == NULL)
            return false;
        state->loose = more;
        state->loose_capacity = capacity;
    }
    uint64_t *item = state->loose + state->loose_count++ * (width + 1);
    memcpy(item, words, width * sizeof *item);
    item[width] = anchor;
    return true;
}

/* One entry against its row's newest version. */
static bool entry_look(index_state *state, const uint64_t *words, ae_ref anchor)
{
    const aero_db *db = state->db;
    const ae_anchor *row = ae_at(&db->segment, anchor);
    const uint64_t head = ae_load64_acquire(&row->head);
    uint64_t own[AE_KEY_WORDS_MAX];
    if (!ae_head_is_row(head) || !version_is_one(state, ae_head_ref(head)))
        return loose_add(state, words, anchor);
    const ae_version *version = ae_at(&db->segment, ae_head_ref(head));
    const uint64_t begin = ae_load64_acquire(&version->begin);
    const bool settled = (begin & AE_MARK) == 0 && begin < AE_STAMP_INFINITY && begin != 0;
    if (!settled || ae_load64(&version->end) != AE_STAMP_INFINITY ||
        !ae_key_words_racy(&db->heap, &db->schema->tables[state->table], state->shape, version,
                           own) ||
        memcmp(own, words, state->shape->width * sizeof *own) != 0)
        return loose_add(state, words, anchor);
    state->newest++;
    return true;
}

static bool entries_look(index_state *state)
{
    const aero_db *db = state->db;
    for (uint32_t index = 0; index < state->waiting; index++) {
        if (!anchor_is_one(state, state->anchors[index])) {
            state->bad = state->anchors[index];
            return false;
        }
        __builtin_prefetch(ae_at(&db->segment, state->anchors[index]));
    }
    for (uint32_t index = 0; index < state->waiting; index++) {
        const ae_anchor *row = ae_at(&db->segment, state->anchors[index]);
        const char *version = ae_at(&db->segment, ae_head_ref(ae_load64(&row->head)));
        __builtin_prefetch(version);
        __builtin_prefetch(version + 64);
    }
    for (uint32_t index = 0; index < state->waiting; index++)
        if (!entry_look(state, state->words[index], state->anchors[index]))
            return false;
    state->waiting = 0;
    return true;
}

static bool entry_take(void *context, const uint64_t *words, ae_ref anchor)
{
    index_state *state = context;
    memcpy(state->words[state->waiting], words, state->shape->width * sizeof *words);
    state->anchors[state->waiting++] = anchor;
    return state->waiting < LOOK || entries_look(state);
}

/* The place of a key among the loose ones, or SIZE_MAX. */
static size_t loose_find(const index_state *state, const uint64_t *items, const uint64_t *words,
                         ae_ref anchor)
{
    const uint32_t width = state->shape->width;
    size_t low = 0;
    size_t high = state->loose_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const uint64_t *item = items + middle * (width + 1);
        int order = 0;
        for (uint32_t word = 0; word < width && order == 0; word++)
            order = AE_ORDER(words[word], item[word]);
        if (order == 0)
            order = AE_ORDER(anchor, ae_key_item_anchor(item, width));
        if (order == 0)
            return middle;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return SIZE_MAX;
}

/* Entries that no version of the table accounts for. */
static uint64_t loose_count_lost(index_state *state)
{
    const aero_db *db = state->db;
    const uint32_t width = state->shape->width;
    const ae_pool *pool = &db->heap.pools[ae_heap_version_pool(state->table)];
    uint64_t lost = state->loose_count;
    uint64_t *scratch = malloc(state->loose_count * (width + 1) * sizeof *scratch);
    state->no_memory = scratch == NULL;
    if (scratch == NULL)
        return 0;
    uint64_t *items = ae_key_sort(state->loose, scratch, state->loose_count, width);
    for (uint32_t index = 0; index < ae_pool_slab_count(pool); index++) {
        const ae_slab *slab = ae_pool_slab(&db->heap, pool, index);
        const uint32_t high = slab == NULL ? 0 : ae_load32_acquire(&slab->high);
        for (uint32_t object = 0; object < high; object++) {
            const ae_version *version = ae_slab_object(slab, object);
            const uint64_t begin = ae_load64_acquire(&version->begin);
            uint64_t words[AE_KEY_WORDS_MAX];
            if (begin == 0 || ((begin & AE_MARK) == 0 && begin >= AE_STAMP_INFINITY) ||
                !ae_key_words_racy(&db->heap, &db->schema->tables[state->table], state->shape,
                                   version, words))
                continue;
            const size_t at = loose_find(state, items, words, ae_load32(&version->anchor));
            if (at == SIZE_MAX || (items[at * (width + 1) + width] >> 32) != 0)
                continue;
            items[at * (width + 1) + width] |= (uint64_t)1 << 32; /* accounted for */
            lost--;
        }
    }
    free(scratch);
    return lost;
}

static aero_status index_verify(aero_db *db, uint32_t table, uint32_t number, uint64_t rows,
                                uint64_t *nodes, aero_error *error)
{
    ae_index_place *place = ae_catalog_place(&db->catalog, table, number);
    const char *name = db->schema->tables[table].name;
    const uint64_t state = ae_load64_acquire(&place->state);
    const enum ae_index_phase phase = ae_index_phase_of(state);
    const bool whole = phase == AE_INDEX_READY;
    ae_key_shape shape;
    ae_tree tree;
    ae_tree_shape found = {.nodes = 0};
    if (phase == AE_INDEX_ABSENT || phase == AE_INDEX_CLAIMED)
        return AERO_OK;
    if (phase > AE_INDEX_DESTROYING || !ae_catalog_shape(&db->catalog, table, place, &shape) ||
        !ae_catalog_tree(&db->catalog, place, &shape, &tree))
        return ae_fail(error, AERO_CORRUPT, "segment damaged: definition of index %u of %s", number,
                       name);
    index_state *look = calloc(1, sizeof *look);
    if (look == NULL)
        return ae_fail(error, AERO_NO_MEMORY, "no memory to verify an index");
    look->db = db;
    look->table = table;
    look->shape = &shape;
    aero_status status = ae_tree_check(&tree, whole ? entry_take : NULL, look, &found, error);
    if (status == AERO_OK && !entries_look(look))
        status = AERO_CORRUPT;
    const uint64_t lost = status == AERO_OK && look->loose_count > 0 ? loose_count_lost(look) : 0;
    if (look->no_memory)
        status = ae_fail(error, AERO_NO_MEMORY, "no memory to verify an index");
    else if (look->bad != 0)
        status = ae_fail(error, AERO_CORRUPT,
                         "segment damaged: index %u of %s leads to %llx, where no row is", number,
                         name, (unsigned long long)look->bad << 4);
    else if (status == AERO_OK && whole && look->newest != rows)
        status = ae_fail(error, AERO_CORRUPT,
                         "segment damaged: index %u of %s has %llu of %llu rows", number, name,
                         (unsigned long long)look->newest, (unsigned long long)rows);
    else if (status == AERO_OK && lost > ae_load64(&place->orphans))
        status = ae_fail(error, AERO_CORRUPT,
                         "segment damaged: index %u of %s has %llu entries of no version", number,
                         name, (unsigned long long)lost);
    *nodes += found.nodes;
    free(look->loose);
    free(look);
    return status;
}

aero_status ae_verify_indexes(aero_db *db, uint32_t table, uint64_t rows, uint64_t *nodes,
                              aero_error *error)
{
    aero_status status = AERO_OK;
    for (uint32_t number = 0; number < AE_INDEXES_MAX && status == AERO_OK; number++)
        status = index_verify(db, table, number, rows, nodes, error);
    return status;
}
