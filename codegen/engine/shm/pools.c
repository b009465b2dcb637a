/* pools.c — what kinds of objects a segment has, where they are, and how their slabs are made (see
 * heap.h).
 *
 * The rest of an object's life is elsewhere: taking and giving in heap.c, the end of a slab in
 * drain.c.
 */
#include "shm/heap_private.h"

#include <string.h>

#define CLASS_MIN 32u
#define CLASS_HALVES 22u /* 32, 48, 64, 96 … 65,536 - 1 step: two per doubling */
#define CLASS_WHOLES 10u /* 64 KiB … 32 MiB: one per doubling */

_Static_assert(CLASS_HALVES + CLASS_WHOLES + 2 * AE_TABLES_MAX < 128, "pools fit a byte");

uint32_t ae_heap_class_count(void)
{
    return CLASS_HALVES + CLASS_WHOLES;
}

static uint32_t class_size(uint32_t index)
{
    AE_ASSERT(index < ae_heap_class_count());
    if (index < CLASS_HALVES)
        return (index % 2 ? 3u * (CLASS_MIN / 2) : CLASS_MIN) << (index / 2);
    return (64u << 10) << (index - CLASS_HALVES);
}

uint32_t ae_heap_class(const ae_heap *heap, uint64_t bytes)
{
    const uint64_t need = bytes + sizeof(ae_block);
    for (uint32_t index = 0; index < ae_heap_class_count(); index++)
        if (class_size(index) >= need)
            return heap->class_first + index;
    return UINT32_MAX;
}

/* ---- words ---------------------------------------------------------------------------------- */

bool ae_heap_is_free_word(uint32_t kind, uint64_t word)
{
    return kind == AE_POOL_ANCHOR ? (uint32_t)word == 0 : word == 0;
}

bool ae_heap_is_cached_word(uint32_t kind, uint64_t word, uint32_t *slot)
{
    if (kind == AE_POOL_ANCHOR) {
        *slot = (uint32_t)word - AE_ANCHOR_CACHED;
        return (uint32_t)word >= AE_ANCHOR_CACHED && (uint32_t)word < AE_ANCHOR_CACHED + AE_SLOTS;
    }
    *slot = (uint32_t)(word & 0xffu);
    return (word & ~(uint64_t)0xff) == AE_WORD_CACHED;
}

/* The word of an object that changes hands; an anchor's counter moves so that a stale CAS fails. */
uint64_t aei_word_cached(uint32_t kind, uint64_t word, uint32_t slot)
{
    AE_ASSERT(slot < AE_SLOTS);
    if (kind == AE_POOL_ANCHOR)
        return ((word >> 32) + 1) << 32 | (AE_ANCHOR_CACHED + slot);
    return AE_WORD_CACHED | slot;
}

uint64_t aei_word_free(uint32_t kind, uint64_t word)
{
    return kind == AE_POOL_ANCHOR ? ((word >> 32) + 1) << 32 : 0;
}

bool ae_heap_is_cached(const ae_heap *heap, uint32_t pool, ae_ref ref, uint32_t slot)
{
    AE_ASSERT(pool < heap->pool_count);
    uint32_t by = 0;
    const ae_a64 *word = ae_at(heap->segment, ref);
    return ae_heap_is_cached_word(heap->pools[pool].kind, ae_load64_acquire(word), &by) &&
           by == slot;
}

/* ---- creation ------------------------------------------------------------------------------- */

static aero_status pool_create(ae_segment *segment, ae_pool *pool, uint32_t kind, uint32_t table,
                               uint32_t object_size, aero_error *error)
{
    AE_ALWAYS(object_size >= AE_UNIT && object_size % AE_UNIT == 0);
    AE_ALWAYS(kind >= AE_POOL_VERSION && kind <= AE_POOL_BLOCK);
    const uint64_t largest = (uint64_t)AE_SLAB_PAGES_MAX << AE_PAGE_SHIFT;
    pool->kind = kind;
    pool->table = table;
    pool->object_size = object_size;
    /* Slabs may be smaller than they would like to be where pages come back one by one. */
    const uint64_t all = segment->size >> AE_PAGE_SHIFT;
    const uint64_t small = all < AE_SLABS_SMALL ? all : AE_SLABS_SMALL;
    pool->directory_size = (uint32_t)(segment->size / largest + 8 * AE_SLABS_PER_SIZE + 8 + small);
    pool->directory = ae_segment_carve(segment, (uint64_t)pool->directory_size * sizeof(ae_a32));
    if (pool->directory == 0)
        return ae_fail(error, AERO_FULL, "no room for a pool's directory");
    return AERO_OK;
}

aero_status ae_heap_create(ae_segment *segment, uint32_t tables, const uint32_t *version_sizes,
                           aero_error *error)
{
    AE_ALWAYS(tables <= AE_TABLES_MAX && version_sizes != NULL);
    const uint32_t classes = ae_heap_class_count();
    const ae_ref root = ae_segment_carve(segment, (2 * tables + classes) * sizeof(ae_pool));
    if (root == 0)
        return ae_fail(error, AERO_FULL, "no room for the pools");
    segment->header->roots[AE_ROOT_POOLS] = root;
    ae_pool *pools = ae_at(segment, root);
    aero_status status = AERO_OK;
    for (uint32_t table = 0; table < tables && status == AERO_OK; table++) {
        status = pool_create(segment, &pools[2 * table], AE_POOL_VERSION, table,
                             version_sizes[table], error);
        if (status == AERO_OK)
            status = pool_create(segment, &pools[2 * table + 1], AE_POOL_ANCHOR, table, AE_UNIT,
                                 error);
    }
    for (uint32_t index = 0; index < classes && status == AERO_OK; index++)
        status = pool_create(segment, &pools[2 * tables + index], AE_POOL_BLOCK, UINT32_MAX,
                             class_size(index), error);
    return status;
}

aero_status ae_heap_open(ae_heap *heap, ae_segment *segment, uint32_t tables,
                         const uint32_t *version_sizes, aero_error *error)
{
    AE_ALWAYS(tables <= AE_TABLES_MAX && version_sizes != NULL);
    heap->segment = segment;
    heap->pools = ae_at(segment, segment->header->roots[AE_ROOT_POOLS]);
    heap->class_first = 2 * tables;
    heap->pool_count = 2 * tables + ae_heap_class_count();
    const uint64_t first = (uint64_t)segment->header->first_page << AE_PAGE_SHIFT;
    for (uint32_t index = 0; index < heap->pool_count; index++) {
        const ae_pool *pool = &heap->pools[index];
        const bool block = index >= heap->class_first;
        const uint32_t size = block            ? class_size(index - heap->class_first)
                              : index % 2 == 0 ? version_sizes[index / 2]
                                               : AE_UNIT;
        const uint32_t kind = block            ? AE_POOL_BLOCK
                              : index % 2 == 0 ? AE_POOL_VERSION
                                               : AE_POOL_ANCHOR;
        const uint64_t end = ((uint64_t)pool->directory << 4) + 4ull * pool->directory_size;
        if (pool->object_size != size || pool->kind != kind || end > first ||
            pool->directory == 0 || ae_load32(&pool->slab_count) > pool->directory_size)
            return ae_fail(error, AERO_CORRUPT, "pool %u of the segment is damaged", index);
        const uint32_t pages = (uint32_t)(segment->size >> AE_PAGE_SHIFT);
        const ae_a32 *directory = ae_at(segment, pool->directory);
        for (uint32_t slab = 0; slab < ae_load32(&pool->slab_count); slab++) {
            const uint32_t page = ae_load32(&directory[slab]);
            if (page != 0 && (page < segment->header->first_page || page >= pages))
                return ae_fail(error, AERO_CORRUPT, "slab %u of pool %u lies outside the segment",
                               slab, index);
        }
    }
    return AERO_OK;
}

uint64_t ae_pool_bytes(const ae_heap *heap, uint32_t pool)
{
    AE_ASSERT(pool < heap->pool_count);
    const ae_pool *of = &heap->pools[pool];
    const uint32_t slabs = ae_pool_slab_count(of);
    uint64_t pages = 0;
    for (uint32_t index = 0; index < slabs; index++) {
        const ae_slab *slab = ae_pool_slab(heap, of, index);
        pages += slab == NULL ? 0 : slab->pages;
    }
    return pages << AE_PAGE_SHIFT;
}

/* The slab a reference leads into, and its pool: what of the header is believed is read once. */
static const ae_slab *slab_look(const ae_heap *heap, ae_ref ref, uint32_t *pool)
{
    if (!ae_segment_holds(heap->segment, ref, AE_UNIT))
        return NULL;
    const uint32_t page = ae_page_slab(heap->segment, ref);
    if (page < heap->segment->header->first_page ||
        ((uint64_t)page << AE_PAGE_SHIFT) >= heap->segment->size)
        return NULL;
    const ae_slab *slab = ae_at(heap->segment, page << (AE_PAGE_SHIFT - 4));
    /* Acquire: the page led to a slab in service after our snapshot was published, so the header
     * that is read from here on stays: for its pages to change hands, the slab would have to be
     * retired after that snapshot.  Looked at in this order, and before the header: a slab that was
     * leaving when the page was read first is out of service, or no page leads to it any more, or
     * another one is complete in its place.  Pairs with ae_heap_drain, ae_pages_offer and
     * ae_pages_settle. */
    if (ae_load64_acquire(&slab->block.word) != 0 || ae_page_slab(heap->segment, ref) != page)
        return NULL;
    const uint64_t offset = ((uint64_t)ref << 4) - ((uint64_t)page << AE_PAGE_SHIFT);
    const uint32_t size = slab->object_size;
    *pool = slab->pool;
    if (*pool >= heap->pool_count || size == 0 || offset < slab->first_offset ||
        size != heap->pools[*pool].object_size)
        return NULL;
    const uint64_t index = (offset - slab->first_offset) / size;
    const bool starts = (offset - slab->first_offset) % size == 0;
    return starts && index < slab->object_count ? slab : NULL;
}

const ae_slab *ae_heap_slab(const ae_heap *heap, ae_ref ref)
{
    uint32_t pool = 0;
    return slab_look(heap, ref, &pool);
}

const ae_pool *ae_heap_home(const ae_heap *heap, ae_ref ref)
{
    uint32_t pool = 0;
    const bool leads = slab_look(heap, ref, &pool) != NULL;
    AE_CRASH_POINT("heap.home");
    return leads ? &heap->pools[pool] : NULL;
}

/* ---- growing -------------------------------------------------------------------------------- */

static uint32_t slab_pages(const ae_pool *pool, uint32_t index)
{
    const uint32_t doublings = index / AE_SLABS_PER_SIZE;
    const uint32_t wanted = doublings < 7 ? 1u << doublings : AE_SLAB_PAGES_MAX;
    const uint64_t least = ((uint64_t)pool->object_size + 128 + AE_PAGE_SIZE - 1) >> AE_PAGE_SHIFT;
    return wanted > least ? wanted : (uint32_t)least;
}

/* Lay out a slab in fresh pages: the header, bitmap of zeros, objects from a cache line on. */
static void slab_format(ae_slab *slab, uint32_t pool, uint32_t object_size, uint32_t pages)
{
    const uint64_t bytes = (uint64_t)pages << AE_PAGE_SHIFT;
    uint64_t count = (bytes - sizeof *slab) / object_size;
    uint64_t first;
    do {
        first = (sizeof *slab + (count + 63) / 64 * 8 + 63) & ~(uint64_t)63;
        if (first + count * object_size <= bytes)
            break;
        count--;
    } while (count > 0);
    AE_ALWAYS(count > 0 && first % 64 == 0 && first + count * object_size <= bytes);
    memset(slab, 0, (size_t)first);
    slab->pool = pool;
    slab->object_count = (uint32_t)count;
    slab->first_offset = (uint32_t)first;
    slab->pages = pages;
    slab->object_size = object_size;
}

void aei_slab_offer(ae_heap *heap, ae_slab *slab)
{
    const uint32_t kind = heap->pools[slab->pool].kind;
    uint32_t offered = 0;
    for (uint32_t word = 0; word * 64 < slab->object_count; word++) {
        uint64_t bits = 0;
        for (uint32_t bit = 0; bit < 64 && word * 64 + bit < slab->object_count; bit++) {
            const ae_a64 *object = ae_slab_object(slab, word * 64 + bit);
            if (word * 64 + bit >= ae_load32(&slab->high) ||
                ae_heap_is_free_word(kind, ae_load64_acquire(object)))
                bits |= (uint64_t)1 << bit;
        }
        offered += (uint32_t)__builtin_popcountll(bits & ~ae_load64(&slab->bits[word]));
        /* Release: the words were seen free before; pairs with the fetch-and in magazine_refill. */
        ae_or64(&slab->bits[word], bits);
    }
    ae_add32(&slab->free_hint, offered);
    ae_add32(&heap->pools[slab->pool].free_hint, offered);
}

/* Pages for a slab.  Rows leave the last ones to blocks: an insert takes its version first, so a
 * segment that is full of rows has blocks left to delete with, to commit with, and to rewrite key
 * shards with. */
static aero_status run_take(ae_heap *heap, const ae_pool *of, uint32_t slot, uint32_t pages,
                            uint32_t *page, aero_error *error)
{
    AE_ALWAYS(pages > 0 && slot < AE_SLOTS);
    /* A row needs up to three times as much in blocks: near the end rows take page by page, or the
     * last slab of theirs would leave nothing for what belongs to them. */
    const bool least = pages == slab_pages(of, 0);
    if (of->kind != AE_POOL_BLOCK && !ae_pages_spare(heap->segment, least ? pages : 4 * pages))
        return ae_fail(error, AERO_FULL, "the segment is full: %llu bytes are its maximum",
                       (unsigned long long)heap->segment->size);
    return ae_pages_take(heap->segment, pages, slot, page, error);
}

/* The first entry of a directory that has no slab. */
static uint32_t directory_room(const ae_pool *of, const ae_a32 *directory)
{
    uint32_t index = 0;
    while (index < of->directory_size && ae_load32(&directory[index]) != 0)
        index++;
    return index;
}

aero_status aei_pool_grow(ae_heap *heap, ae_cache *cache, uint32_t slot, uint32_t pool,
                          aero_error *error)
{
    AE_ALWAYS(slot < AE_SLOTS && pool < heap->pool_count);
    ae_pool *of = &heap->pools[pool];
    ae_a32 *directory = ae_at(heap->segment, of->directory);
    uint32_t index = directory_room(of, directory);
    if (index >= of->directory_size)
        return ae_fail(error, AERO_FULL, "a pool has its most slabs (%u)", index);
    uint32_t page = 0;
    uint32_t pages = slab_pages(of, ae_load32_acquire(&of->slab_count));
    const uint32_t least = slab_pages(of, 0);
    aero_status status = run_take(heap, of, slot, pages, &page, error);
    while (status == AERO_FULL && pages > least) { /* the last pages of a segment are used too */
        pages = pages / 2 > least ? pages / 2 : least;
        status = run_take(heap, of, slot, pages, &page, error);
    }
    if (status != AERO_OK)
        return status;
    if (error != NULL)
        ae_error_clear(error);
    AE_ALWAYS(page != 0 && pages >= least);
    ae_store32_release(&cache->growing, page);
    ae_slab *slab = ae_at(heap->segment, page << (AE_PAGE_SHIFT - 4));
    slab_format(slab, pool, of->object_size, pages);
    AE_CRASH_POINT("heap.formatted");
    /* Acquire-release: the header before the entry (keeps H3); pairs with ae_pool_slab. */
    while (index < of->directory_size && !ae_cas32(&directory[index], 0, page))
        index++;
    if (index >= of->directory_size) { /* others were faster */
        ae_store32_release(&cache->growing, 0);
        ae_pages_offer(heap->segment, page, pages);
        return ae_fail(error, AERO_FULL, "a pool has its most slabs (%u)", index);
    }
    ae_raise32(&of->slab_count, index + 1);
    AE_CRASH_POINT("heap.listed");
    ae_pages_settle(heap->segment, page, pages);
    AE_CRASH_POINT("heap.settled");
    aei_slab_offer(heap, slab);
    ae_store32(&of->cursor, index);
    ae_store32_release(&cache->growing, 0);
    return AERO_OK;
}
