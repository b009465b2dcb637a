/* index_fill.c — the indexes of a new segment that nobody else sees: left alone while rows come in,
 * and each made from sorted keys when all are there.
 *
 * Keys are read as for an index of a table in use (index_build.c), and sorted in runs as large as
 * fit its memory.  All runs are kept, 8 (width + 1) bytes a row, and merged on their way into the
 * tree, which is so written from left to right and once (index/tree_fill.c).
 *
 * Progress: alone with the table; several threads fill one index each.
 */
#include <stdlib.h>
#include <string.h>

#include "table/index_build_private.h"

/* ---- runs of sorted keys -------------------------------------------------------------------- */

/* A run, of which the items from `at` on have not been taken. */
typedef struct run {
    uint64_t *items;
    size_t count;
    size_t at;
} run;

typedef struct runs {
    run *all;
    size_t count;
    size_t capacity;
} runs;

/* Sort what was read, and keep it; new memory takes its place. */
static aero_status run_keep(aei_build *of)
{
    runs *kept = of->context;
    if (of->count == 0)
        return AERO_OK;
    if (kept->count == kept->capacity) {
        const size_t capacity = kept->capacity == 0 ? 8 : 2 * kept->capacity;
        run *more = realloc(kept->all, capacity * sizeof *more);
        if (more == NULL)
            return aei_build_no_memory(of);
        kept->all = more;
        kept->capacity = capacity;
    }
    uint64_t *sorted = ae_key_sort(of->items, of->scratch, of->count, of->shape.width);
    uint64_t *other = sorted == of->items ? of->scratch : of->items;
    kept->all[kept->count++] = (run){.items = sorted, .count = of->count};
    of->items = other;
    of->scratch = aei_build_take(of);
    of->count = 0;
    AE_CRASH_POINT("fill.run");
    return of->scratch == NULL ? aei_build_no_memory(of) : AERO_OK;
}

static void runs_free(const aei_build *of, runs *kept)
{
    for (size_t index = 0; index < kept->count; index++)
        aei_build_give(of, kept->all[index].items);
    free(kept->all);
}

/* ---- merging -------------------------------------------------------------------------------- */

static const uint64_t *run_head(const run *of, size_t stride)
{
    return of->items + of->at * stride;
}

static bool run_before(const run *left, const run *right, uint32_t width)
{
    return ae_key_item_before(run_head(left, width + 1), run_head(right, width + 1), width);
}

/* Let the run at a place of the heap sink to where it belongs: the one with the least key is on
 * top. */
static void heap_sink(run *heap, size_t count, size_t place, uint32_t width)
{
    for (;;) {
        size_t least = place;
        for (size_t child = 2 * place + 1; child <= 2 * place + 2 && child < count; child++)
            if (run_before(&heap[child], &heap[least], width))
                least = child;
        if (least == place)
            return;
        const run moved = heap[place];
        heap[place] = heap[least];
        heap[least] = moved;
        place = least;
    }
}

/* Items that are merged at a time: they go into the scratch memory, and are packed from there. */
#define MERGE_PIECE (AE_BUILD_KEYS < AEI_BUILD_PIECE ? AE_BUILD_KEYS : AEI_BUILD_PIECE)

/* The next items in order, at most MERGE_PIECE, to `out`; returns how many. */
static size_t items_merge(run *heap, size_t *count, uint64_t *out, uint32_t width)
{
    const size_t stride = width + 1;
    size_t taken = 0;
    while (*count > 0 && taken < MERGE_PIECE) {
        memcpy(out + taken++ * stride, run_head(&heap[0], stride), stride * sizeof *out);
        if (++heap[0].at == heap[0].count)
            heap[0] = heap[--*count];
        heap_sink(heap, *count, 0, width);
    }
    return taken;
}

static aero_status piece_add(aei_build *of, ae_tree_fill *fill, const uint64_t *items, size_t count)
{
    const size_t packed = ae_key_pack(items, count, of->shape.width, of->words, of->anchors);
    return ae_tree_fill_add(fill, of->words, of->anchors, packed, &of->session->error);
}

/* Several runs: a heap of them, a copy of the list, so that the memory is still found. */
static aero_status runs_merge(aei_build *of, const runs *kept, ae_tree_fill *fill)
{
    const uint32_t width = of->shape.width;
    size_t count = kept->count;
    run *heap = malloc(count * sizeof *heap);
    aero_status status = AERO_OK;
    if (heap == NULL)
        return aei_build_no_memory(of);
    memcpy(heap, kept->all, count * sizeof *heap);
    for (size_t place = count / 2; place-- > 0;)
        heap_sink(heap, count, place, width);
    for (size_t taken;
         status == AERO_OK && (taken = items_merge(heap, &count, of->scratch, width)) > 0;)
        status = piece_add(of, fill, of->scratch, taken);
    free(heap);
    return status;
}

static aero_status run_add(aei_build *of, const run *only, ae_tree_fill *fill)
{
    const size_t stride = of->shape.width + 1;
    aero_status status = AERO_OK;
    for (size_t first = 0; first < only->count && status == AERO_OK; first += AEI_BUILD_PIECE) {
        const size_t left = only->count - first;
        status = piece_add(of, fill, only->items + first * stride,
                           left < AEI_BUILD_PIECE ? left : AEI_BUILD_PIECE);
    }
    return status;
}

static aero_status tree_make(aei_build *of, const runs *kept)
{
    ae_tree_fill fill;
    ae_tree_fill_start(&fill, &of->tree, of->session->txn.slot);
    aero_status status = AERO_OK;
    if (kept->count == 1)
        status = run_add(of, &kept->all[0], &fill);
    else if (kept->count > 1)
        status = runs_merge(of, kept, &fill);
    return status == AERO_OK ? ae_tree_fill_end(&fill, &of->session->error) : status;
}

void ae_index_memory_free(ae_index_memory *memory)
{
    while (memory->count > 0)
        free(memory->spares[--memory->count]);
}

/* ---- the whole ------------------------------------------------------------------------------ */

void ae_index_defer(const aero_db *db)
{
    for (uint32_t table = 0; table < db->schema->table_count; table++)
        ae_catalog_defer(&db->catalog, table);
}

bool ae_index_deferred(const aero_db *db, uint32_t table, uint32_t number)
{
    const ae_index_place *place = ae_catalog_place(&db->catalog, table, number);
    return number < AE_INDEXES_MAX &&
           ae_index_phase_of(ae_load64_acquire(&place->state)) == AE_INDEX_READY &&
           (ae_catalog_maintained(&db->catalog, table) >> number & 1) == 0;
}

static aero_status index_fill(aei_build *of, bool unique)
{
    runs kept = {.all = NULL};
    of->full = run_keep;
    of->context = &kept;
    aero_status status = aei_build_open(of);
    if (status == AERO_OK)
        status = aei_build_read(of);
    if (status == AERO_OK)
        status = tree_make(of, &kept);
    if (status == AERO_OK && unique)
        status = aei_build_check(of);
    runs_free(of, &kept);
    aei_build_close(of);
    return status;
}

aero_status ae_index_fill(aero_session *session, uint32_t table, uint32_t number,
                          ae_index_memory *memory)
{
    aero_db *db = session->db;
    const ae_index_place *place = ae_catalog_place(&db->catalog, table, number);
    aei_build of = {.session = session,
                    .db = db,
                    .of = &db->schema->tables[table],
                    .table = table,
                    .number = number,
                    .memory = memory};
    AE_ALWAYS(ae_index_deferred(db, table, number));
    if (!ae_catalog_shape(&db->catalog, table, place, &of.shape))
        return ae_fail(&session->error, AERO_CORRUPT, "index %u of %s is damaged", number,
                       of.of->name);
    aero_status status = ae_txn_begin(session, AERO_ISOLATION_SNAPSHOT, false);
    if (status != AERO_OK)
        return status;
    status = index_fill(&of, ae_load32(&place->unique) != 0);
    if (status == AERO_OK)
        ae_catalog_resume(&db->catalog, table, number, session->txn.snapshot);
    aei_build_tidy(session);
    (void)ae_txn_commit(session); /* nothing was written: this only ends it */
    return status;
}
