/* heap.c — taking objects and giving them back, by a slot's magazines; and what a dead slot had in
 * hand (see heap.h).
 */
#include "shm/heap_private.h"

#include <string.h>

/* ---- taking --------------------------------------------------------------------------------- */

static ae_magazine *magazine_of(const ae_heap *heap, const ae_cache *cache, uint32_t pool)
{
    AE_ASSERT(pool < heap->pool_count);
    return (ae_magazine *)ae_at(heap->segment, ae_load32(&cache->magazines)) + pool;
}

static bool pool_is_direct(const ae_heap *heap, uint32_t pool)
{
    return heap->pools[pool].object_size > AE_MAGAZINE_OBJECT_MAX;
}

/* Will the next word be claimed after this one, by somebody who fills a slab from its beginning? */
static bool word_follows(const ae_slab *slab, uint32_t word)
{
    return word * 64 + 128 <= slab->object_count && ae_load64(&slab->bits[word + 1]) != 0 &&
           ae_load32(&slab->high) < word * 64 + 64;
}

/* Ask for an object that will be claimed and filled: claiming is a locked operation, which does not
 * overlap with the next one's miss. */
static void object_fetch(const ae_slab *slab, uint32_t index)
{
    const char *object = ae_slab_object(slab, index);
    ae_fetch_to_write(object);
    if (slab->object_size > 64)
        ae_fetch_to_write(object + 64);
}

/* Claim objects of one bitmap word: all of them into the magazine, or (magazine NULL) just one. */
static uint32_t word_claim(ae_heap *heap, ae_cache *cache, uint32_t slot, ae_slab *slab,
                           uint32_t word, ae_magazine *magazine, ae_ref *one)
{
    AE_ASSERT(slot < AE_SLOTS && (magazine == NULL) != (one == NULL));
    const uint32_t kind = heap->pools[slab->pool].kind;
    const uint32_t page = ae_page_slab(heap->segment, ae_ref_of(heap->segment, slab));
    uint64_t wanted = ae_load64_acquire(&slab->bits[word]);
    if (magazine == NULL)
        wanted &= 0 - wanted;
    if (wanted == 0)
        return 0;
    /* Release: a reaper must find the word before bits disappear from it. */
    ae_store64_release(&cache->claim, ((uint64_t)page << 32 | word) + 1);
    uint64_t bits = ae_and64(&slab->bits[word], ~wanted) & wanted;
    AE_CRASH_POINT("heap.bits_taken");
    const uint32_t taken = (uint32_t)__builtin_popcountll(bits);
    AE_ASSERT(magazine != NULL || taken <= 1);
    const bool fresh = taken == 64 && word_follows(slab, word);
    uint32_t claimed = 0;
    if (bits != 0)
        ae_raise32(&slab->high, word * 64 + 64 - (uint32_t)__builtin_clzll(bits));
    while (bits != 0) { /* from the top, so that the lowest address is taken first */
        const uint32_t bit = 63 - (uint32_t)__builtin_clzll(bits);
        bits &= ~((uint64_t)1 << bit);
        ae_a64 *object = ae_slab_object(slab, word * 64 + bit);
        if (fresh)
            object_fetch(slab, word * 64 + 64 + bit);
        const ae_ref ref = ae_ref_of(heap->segment, object);
        const uint64_t seen = ae_load64_acquire(object);
        if (!ae_heap_is_free_word(kind, seen))
            continue;
        if (magazine != NULL)
            ae_store32_release(&magazine->refs[ae_load32(&magazine->count)], ref);
        else
            *one = ref;
        /* The word decides who has it, whatever the bitmap said (keeps H1, H2). */
        if (!ae_cas64(object, seen, aei_word_cached(kind, seen, slot)))
            continue;
        AE_CRASH_POINT("heap.claimed");
        claimed++;
        if (magazine != NULL)
            ae_store32_release(&magazine->count, ae_load32(&magazine->count) + 1);
    }
    ae_add32(&slab->free_hint, 0u - taken);
    ae_add32(&heap->pools[slab->pool].free_hint, 0u - taken);
    AE_ASSERT(claimed <= taken);
    if (magazine != NULL || claimed == 0)
        ae_store64_release(&cache->claim, 0);
    return claimed;
}

/* Find objects in the slabs whose hint says so; or, `thorough`, in all. */
static uint32_t pool_claim(ae_heap *heap, ae_cache *cache, uint32_t slot, uint32_t pool,
                           ae_magazine *magazine, ae_ref *one, bool thorough)
{
    AE_ASSERT(slot < AE_SLOTS && pool < heap->pool_count);
    ae_pool *of = &heap->pools[pool];
    const uint32_t count = ae_pool_slab_count(of);
    const uint32_t start = ae_load32(&of->cursor);
    for (uint32_t step = 0; step < count; step++) {
        const uint32_t index = (start + step) % count;
        ae_slab *slab = ae_pool_slab(heap, of, index);
        /* The hints are kept racily: a wrong one costs a look, or hides objects until the thorough
         * search. */
        if (slab == NULL || (!thorough && (int32_t)ae_load32(&slab->free_hint) <= 0))
            continue;
        const uint32_t words = (slab->object_count + 63) / 64;
        const uint32_t from = ae_load32(&slab->cursor) % words;
        for (uint32_t turn = 0; turn < words; turn++) {
            const uint32_t word = from + turn < words ? from + turn : from + turn - words;
            if (ae_load64(&slab->bits[word]) == 0)
                continue;
            ae_store32(&slab->cursor, word);
            const uint32_t claimed = word_claim(heap, cache, slot, slab, word, magazine, one);
            if (claimed > 0) {
                if (step != 0)
                    ae_store32(&of->cursor, index);
                if (thorough) /* the hint was wrong: look here again */
                    ae_store32(&slab->free_hint, slab->object_count);
                return claimed;
            }
        }
        ae_store32(&slab->free_hint, 0); /* no bit was left */
    }
    return 0;
}

/* Fill the magazine, or find one large object; grow the pool when nothing is free. */
static aero_status pool_refill(ae_heap *heap, ae_cache *cache, uint32_t slot, uint32_t pool,
                               ae_magazine *magazine, ae_ref *one, aero_error *error)
{
    for (;;) {
        /* Hints that fell behind must not make a pool grow for ever, so before it does all is
         * looked at: a word for 64 objects, once for each slab that is added. */
        if (pool_claim(heap, cache, slot, pool, magazine, one, false) > 0 ||
            pool_claim(heap, cache, slot, pool, magazine, one, true) > 0)
            return AERO_OK;
        const aero_status status = aei_pool_grow(heap, cache, slot, pool, error);
        if (status != AERO_OK)
            return status;
    }
}

static aero_status direct_take(ae_heap *heap, ae_cache *cache, uint32_t slot, uint32_t pool,
                               ae_ref *ref, aero_error *error)
{
    uint32_t index = 0;
    while (index < 4 && ae_load32(&cache->direct[index]) != 0)
        index++;
    AE_ALWAYS(index < 4);
    const aero_status status = pool_refill(heap, cache, slot, pool, NULL, ref, error);
    if (status == AERO_OK) {
        AE_ASSERT(*ref != 0);
        ae_store32_release(&cache->direct[index], *ref);
        ae_store64_release(&cache->claim, 0);
    }
    return status;
}

/* The slot's magazines, at its first allocation. */
static aero_status cache_prepare(ae_heap *heap, ae_cache *cache, uint32_t slot, aero_error *error)
{
    AE_ASSERT(slot < AE_SLOTS);
    ae_ref block = 0;
    const uint32_t pool = ae_heap_class(heap, heap->pool_count * sizeof(ae_magazine));
    AE_ALWAYS(pool_is_direct(heap, pool));
    const aero_status status = direct_take(heap, cache, slot, pool, &block, error);
    if (status != AERO_OK)
        return status;
    ae_block *header = ae_at(heap->segment, block);
    memset(header + 1, 0, heap->pool_count * sizeof(ae_magazine));
    ae_store64_release(&header->word, AE_WORD_OF_SLOT(slot));
    ae_store32_release(&cache->magazines, block + 1);
    ae_heap_linked(cache, block);
    return AERO_OK;
}

aero_status ae_heap_take(ae_heap *heap, ae_cache *cache, uint32_t slot, uint32_t pool, ae_ref *ref,
                         aero_error *error)
{
    AE_ASSERT(slot < AE_SLOTS);
    AE_ASSERT(pool < heap->pool_count);
    if (pool_is_direct(heap, pool))
        return direct_take(heap, cache, slot, pool, ref, error);
    if (ae_load32(&cache->magazines) == 0) {
        const aero_status status = cache_prepare(heap, cache, slot, error);
        if (status != AERO_OK)
            return status;
    }
    ae_magazine *magazine = magazine_of(heap, cache, pool);
    uint32_t count = ae_load32(&magazine->count);
    if (count == 0) {
        const aero_status status = pool_refill(heap, cache, slot, pool, magazine, NULL, error);
        if (status != AERO_OK)
            return status;
        count = ae_load32(&magazine->count);
    }
    *ref = ae_load32(&magazine->refs[count - 1]);
    /* Release: refs[count] is the crash register of what is in hand now; read by
     * ae_heap_last_taken. */
    ae_store32_release(&magazine->count, count - 1);
    AE_CRASH_POINT("heap.taken");
    return AERO_OK;
}

/* ---- giving --------------------------------------------------------------------------------- */

/* Set an object's bit; the object may have been taken again meanwhile, its word decides. */
static void object_hint(ae_heap *heap, uint32_t pool, ae_ref ref)
{
    const uint32_t page = ae_page_slab(heap->segment, ref);
    ae_slab *slab = ae_at(heap->segment, page << (AE_PAGE_SHIFT - 4));
    const uint64_t offset = ((uint64_t)ref << 4) - ((uint64_t)page << AE_PAGE_SHIFT);
    const uint32_t index = (uint32_t)((offset - slab->first_offset) / slab->object_size);
    /* Another may have offered it since, and the slab may be out of service; but it is not given
     * back while our snapshot is published. */
    AE_ALWAYS(page != 0 && slab->pool == pool && index < slab->object_count);
    ae_or64(&slab->bits[index / 64], (uint64_t)1 << (index % 64));
    ae_add32(&slab->free_hint, 1);
    ae_add32(&heap->pools[pool].free_hint, 1);
}

/* Hand an object back to its slab: the word first, then the hint. */
static void object_release(ae_heap *heap, uint32_t pool, ae_ref ref)
{
    AE_ASSERT(ref != 0 && pool < heap->pool_count);
    ae_a64 *word = ae_at(heap->segment, ref);
    /* Release: uses of the object end before it is offered; pairs with the CAS in word_claim. */
    ae_store64_release(word, aei_word_free(heap->pools[pool].kind, ae_load64(word)));
    AE_CRASH_POINT("heap.freed");
    object_hint(heap, pool, ref);
}

static void magazine_flush(ae_heap *heap, uint32_t pool, ae_magazine *magazine, uint32_t keep)
{
    AE_ASSERT(keep <= AE_MAGAZINE_MAX);
    uint32_t count = ae_load32(&magazine->count);
    while (count > keep) {
        object_release(heap, pool, ae_load32(&magazine->refs[count - 1]));
        ae_store32_release(&magazine->count, --count);
    }
}

void ae_heap_give(ae_heap *heap, ae_cache *cache, uint32_t slot, uint32_t pool, ae_ref ref)
{
    AE_ASSERT(ref != 0 && slot < AE_SLOTS && pool < heap->pool_count);
    ae_a64 *word = ae_at(heap->segment, ref);
    const uint32_t kind = heap->pools[pool].kind;
    if (pool_is_direct(heap, pool) || ae_load32(&cache->magazines) == 0) {
        object_release(heap, pool, ref);
        ae_heap_linked(cache, ref);
        return;
    }
    ae_magazine *magazine = magazine_of(heap, cache, pool);
    if (ae_load32(&magazine->count) == AE_MAGAZINE_MAX)
        magazine_flush(heap, pool, magazine, AE_MAGAZINE_MAX / 2);
    const uint32_t count = ae_load32(&magazine->count);
    /* The register first, then the word, then the count: a reaper finds the object at each step. */
    ae_store32_release(&magazine->refs[count], ref);
    if (!ae_heap_is_cached(heap, pool, ref, slot))
        ae_store64_release(word, aei_word_cached(kind, ae_load64(word), slot));
    AE_CRASH_POINT("heap.cached");
    ae_store32_release(&magazine->count, count + 1);
}

void ae_heap_register(ae_heap *heap, ae_cache *cache, uint32_t pool, ae_ref ref)
{
    AE_ASSERT(ref != 0 && pool < heap->pool_count);
    if (pool_is_direct(heap, pool))
        return;
    if (ae_load32(&cache->magazines) == 0) { /* flushed since */
        ae_store32_release(&cache->direct[1], ref);
        return;
    }
    ae_magazine *magazine = magazine_of(heap, cache, pool);
    if (ae_load32(&magazine->count) == AE_MAGAZINE_MAX)
        magazine_flush(heap, pool, magazine, AE_MAGAZINE_MAX / 2);
    ae_store32_release(&magazine->refs[ae_load32(&magazine->count)], ref);
}

void ae_heap_linked(ae_cache *cache, ae_ref ref)
{
    for (uint32_t index = 0; index < 4; index++)
        if (ae_load32(&cache->direct[index]) == ref)
            ae_store32_release(&cache->direct[index], 0);
}

/* ---- after a death -------------------------------------------------------------------------- */

static bool magazine_holds(const ae_magazine *magazine, ae_ref ref)
{
    for (uint32_t index = 0; index < ae_load32(&magazine->count); index++)
        if (ae_load32(&magazine->refs[index]) == ref)
            return true;
    return false;
}

static void magazine_recover(ae_heap *heap, uint32_t pool, ae_magazine *magazine, uint32_t slot,
                             ae_ref except, ae_heap_orphan orphan, void *context)
{
    uint32_t count = ae_load32_acquire(&magazine->count);
    const uint32_t kind = heap->pools[pool].kind;
    if (count > AE_MAGAZINE_MAX)
        count = AE_MAGAZINE_MAX;
    /* The last one may have been released to its slab just before the count went down. */
    while (count > 0 && !ae_heap_is_cached(heap, pool, ae_load32(&magazine->refs[count - 1]), slot))
        count--;
    AE_ALWAYS(count <= AE_MAGAZINE_MAX && slot < AE_SLOTS);
    ae_store32_release(&magazine->count, count);
    const ae_ref next = ae_load32(&magazine->refs[count]);
    const ae_slab *slab = next != 0 && next != except ? ae_heap_slab(heap, next) : NULL;
    if (slab == NULL || slab->pool != pool)
        return;
    const uint64_t word = ae_load64_acquire((const ae_a64 *)ae_at(heap->segment, next));
    if (magazine_holds(magazine, next))
        return; /* it was taken, and given back under another number: the register is an old one */
    if (ae_heap_is_cached(heap, pool, next, slot)) {
        if (count < AE_MAGAZINE_MAX)
            ae_store32_release(&magazine->count, count + 1);
        else
            object_release(heap, pool, next);
    } else if (ae_heap_is_free_word(kind, word)) {
        object_hint(heap, pool, next);
    } else if (kind == AE_POOL_BLOCK && orphan(context, next, word)) {
        object_release(heap, pool, next);
    }
}

static bool direct_holds(const ae_cache *cache, ae_ref ref)
{
    for (uint32_t index = 0; index < 4; index++)
        if (ae_load32(&cache->direct[index]) == ref)
            return true;
    return false;
}

bool aei_cache_holds(const ae_heap *heap, const ae_cache *cache, uint32_t pool, ae_ref ref)
{
    AE_ASSERT(ref != 0 && pool < heap->pool_count);
    if (pool_is_direct(heap, pool))
        return direct_holds(cache, ref);
    return ae_load32(&cache->magazines) != 0 && magazine_holds(magazine_of(heap, cache, pool), ref);
}

/* A large object that was in the dead hand, or was being given back. */
static void direct_recover(ae_heap *heap, ae_cache *cache, uint32_t slot, uint32_t index,
                           ae_heap_orphan orphan, void *context)
{
    AE_ALWAYS(index < 4 && slot < AE_SLOTS);
    const ae_ref ref = ae_load32(&cache->direct[index]);
    const ae_slab *slab = ae_heap_slab(heap, ref);
    if (slab == NULL || ref + 1 == ae_load32(&cache->magazines)) {
        ae_store32_release(&cache->direct[index], 0);
        return;
    }
    /* A retired block of a small class stands here too while it is given: the magazine has it. */
    if (!pool_is_direct(heap, slab->pool) && ae_load32(&cache->magazines) != 0)
        return;
    const uint64_t word = ae_load64_acquire((const ae_a64 *)ae_at(heap->segment, ref));
    if (ae_heap_is_free_word(heap->pools[slab->pool].kind, word))
        object_hint(heap, slab->pool, ref); /* its bit may not have been set yet */
    else if (ae_heap_is_cached(heap, slab->pool, ref, slot) || orphan(context, ref, word))
        object_release(heap, slab->pool, ref);
}

/* Objects of the bitmap word that the dead was claiming from. */
static void claim_recover(ae_heap *heap, ae_cache *cache, uint32_t slot)
{
    const uint64_t claim = ae_load64_acquire(&cache->claim);
    if (claim == 0)
        return;
    const uint32_t page = (uint32_t)((claim - 1) >> 32);
    const uint32_t word = (uint32_t)(claim - 1);
    ae_slab *slab = ae_at(heap->segment, page << (AE_PAGE_SHIFT - 4));
    const uint32_t pool = slab->pool;
    const uint32_t kind = heap->pools[pool].kind;
    for (uint32_t index = word * 64; index < word * 64 + 64 && index < slab->object_count;
         index++) {
        const ae_ref ref = ae_ref_of(heap->segment, ae_slab_object(slab, index));
        const ae_a64 *at = ae_at(heap->segment, ref);
        if (ae_heap_is_free_word(kind, ae_load64_acquire(at)))
            ae_or64(&slab->bits[word], (uint64_t)1 << (index % 64));
        else if (ae_heap_is_cached(heap, pool, ref, slot) &&
                 !aei_cache_holds(heap, cache, pool, ref))
            object_release(heap, pool, ref);
    }
    ae_store32(&slab->free_hint, slab->object_count); /* look again */
    ae_store64_release(&cache->claim, 0);
}

static bool page_is_slab(const void *context, uint32_t page)
{
    AE_ASSERT(page != 0);
    const ae_heap *heap = context;
    for (uint32_t pool = 0; pool < heap->pool_count; pool++) {
        const ae_pool *of = &heap->pools[pool];
        const ae_a32 *directory = ae_at(heap->segment, of->directory);
        for (uint32_t index = 0; index < of->directory_size; index++) {
            if (ae_load32_acquire(&directory[index]) == page) {
                ae_raise32(&heap->pools[pool].slab_count, index + 1);
                return true;
            }
        }
    }
    return false;
}

void ae_heap_recover(ae_heap *heap, ae_cache *cache, uint32_t slot, ae_ref except,
                     ae_heap_orphan orphan, void *context)
{
    AE_ALWAYS(slot < AE_SLOTS && orphan != NULL);
    ae_pages_recover(heap->segment, slot, page_is_slab, heap);
    const uint32_t growing = ae_load32_acquire(&cache->growing);
    /* Only a slab that is there is in a directory: it has objects yet that nobody offered. */
    if (growing != 0 && page_is_slab(heap, growing)) {
        ae_pages_settle(heap->segment, growing,
                        ((ae_slab *)ae_at(heap->segment, growing << (AE_PAGE_SHIFT - 4)))->pages);
        aei_slab_offer(heap, ae_at(heap->segment, growing << (AE_PAGE_SHIFT - 4)));
    }
    ae_store32_release(&cache->growing, 0);
    if (ae_load32(&cache->magazines) != 0)
        for (uint32_t pool = 0; pool < heap->pool_count; pool++)
            magazine_recover(heap, pool, magazine_of(heap, cache, pool), slot, except, orphan,
                             context);
    claim_recover(heap, cache, slot);
    aei_drain_recover(heap, cache, slot);
    for (uint32_t index = 0; index < 4; index++)
        if (ae_load32_acquire(&cache->direct[index]) != 0 &&
            ae_load32(&cache->direct[index]) != except)
            direct_recover(heap, cache, slot, index, orphan, context);
}

uint64_t ae_heap_flush(ae_heap *heap, ae_cache *cache, uint32_t slot)
{
    AE_ALWAYS(slot < AE_SLOTS);
    uint64_t flushed = 0;
    if (ae_load32(&cache->magazines) == 0)
        return 0;
    for (uint32_t pool = 0; pool < heap->pool_count; pool++) {
        if (pool_is_direct(heap, pool))
            continue;
        flushed += ae_load32(&magazine_of(heap, cache, pool)->count);
        magazine_flush(heap, pool, magazine_of(heap, cache, pool), 0);
    }
    /* The magazines themselves, too: in a full segment a slot that has none could not write at
     * all. */
    const ae_ref block = ae_load32(&cache->magazines) - 1;
    ae_store32_release(&cache->direct[0], block);
    ae_store32_release(&cache->magazines, 0);
    AE_CRASH_POINT("heap.unstocked");
    ae_heap_give(heap, cache, slot, ae_heap_slab(heap, block)->pool, block);
    return flushed + 1;
}

uint64_t ae_heap_stock(const ae_heap *heap, const ae_cache *cache)
{
    uint64_t stock = 0;
    if (ae_load32(&cache->magazines) == 0)
        return 0;
    for (uint32_t pool = 0; pool < heap->pool_count; pool++)
        stock += ae_load32_acquire(&magazine_of(heap, cache, pool)->count);
    return stock;
}

bool ae_heap_cache_check(const ae_heap *heap, const ae_cache *cache, uint32_t slot)
{
    AE_ASSERT(slot < AE_SLOTS);
    const ae_ref magazines = ae_load32_acquire(&cache->magazines);
    if (magazines == 0)
        return true;
    const uint64_t bytes = heap->pool_count * sizeof(ae_magazine);
    const ae_slab *home = ae_heap_slab(heap, magazines - 1);
    if (home == NULL || home->pool != ae_heap_class(heap, bytes))
        return false;
    for (uint32_t pool = 0; pool < heap->pool_count; pool++) {
        const ae_magazine *magazine = magazine_of(heap, cache, pool);
        const uint32_t count = ae_load32_acquire(&magazine->count);
        if (count > AE_MAGAZINE_MAX)
            return false;
        for (uint32_t index = 0; index < count; index++) {
            const ae_ref ref = ae_load32(&magazine->refs[index]);
            const ae_slab *slab = ae_heap_slab(heap, ref);
            if (slab == NULL || slab->pool != pool || !ae_heap_is_cached(heap, pool, ref, slot))
                return false;
        }
    }
    return true;
}
