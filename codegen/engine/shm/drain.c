/* drain.c — a slab whose objects are all free goes out of service, and its pages back (see heap.h).
 *
 * A segment that was full of one kind of thing is then of use for another.  Who takes a slab out of
 * service takes all of its objects first, as any taker would: the bits, then the words.  If one is
 * in another hand, all are given back.  A slab whose objects are all in one hand can be taken from
 * no more (H4); it leaves its directory and is retired as a block is (proc.h): whoever came to it
 * before may go on looking, under the snapshot that it holds.  Later its pages become a hole.
 *
 * The word of the slab's block
 *   0                        in service
 *   AE_WORD_CACHED | slot    all objects are in the slot's hand
 *   AE_WORD_RETIRED …        in the slot's list of retired blocks
 *   AE_WORD_OF_SLOT(slot)    leaving the list, to be given back
 *
 * After a death, `draining` names the page: a slab in service gets its objects back; one that is
 * retired, or to be given back, goes on from there (ae_slab_recover).  The claim in the page map
 * follows the register, and is cleared up by ae_pages_recover.
 *
 * Anchors keep their slabs.  Indexes may lead to anchors of rows that are gone for any time, and
 * each must find an anchor there.
 *
 * Concurrency: any thread of any process with a slot and a published snapshot.
 */
#include "shm/heap_private.h"
#include "shm/segment_private.h"

static uint32_t slab_page(const ae_heap *heap, const ae_slab *slab)
{
    return ae_ref_of(heap->segment, slab) >> (AE_PAGE_SHIFT - 4);
}

static uint32_t slab_words(const ae_slab *slab)
{
    return (slab->object_count + 63) / 64;
}

/* The bits of a word of the bitmap when all of its objects are offered. */
static uint64_t word_full(const ae_slab *slab, uint32_t word)
{
    AE_ASSERT(word < slab_words(slab));
    const uint32_t rest = slab->object_count - word * 64;
    return rest >= 64 ? UINT64_MAX : ((uint64_t)1 << rest) - 1;
}

static bool slab_is_whole(const ae_slab *slab)
{
    for (uint32_t word = 0; word < slab_words(slab); word++)
        if (ae_load64(&slab->bits[word]) != word_full(slab, word))
            return false;
    return true;
}

/* Offer what the slot took of the slab.  Also of a dead slot, at any step. */
static void slab_untake(ae_heap *heap, ae_cache *cache, uint32_t slot, ae_slab *slab)
{
    AE_ASSERT(slot < AE_SLOTS);
    const uint32_t kind = heap->pools[slab->pool].kind;
    for (uint32_t index = 0; index < slab->object_count; index++) {
        ae_a64 *object = ae_slab_object(slab, index);
        const ae_ref ref = ae_ref_of(heap->segment, object);
        if (ae_heap_is_cached(heap, slab->pool, ref, slot) &&
            !aei_cache_holds(heap, cache, slab->pool, ref))
            /* Release: pairs with the CAS of takers. */
            ae_store64_release(object, aei_word_free(kind, ae_load64(object)));
    }
    aei_slab_offer(heap, slab);
}

/* All objects of a slab, or none. */
static bool slab_take(ae_heap *heap, ae_cache *cache, uint32_t slot, ae_slab *slab)
{
    AE_ASSERT(slot < AE_SLOTS);
    const uint32_t kind = heap->pools[slab->pool].kind;
    bool all = true;
    for (uint32_t word = 0; word < slab_words(slab) && all; word++) {
        const uint64_t bits = ae_and64(&slab->bits[word], 0);
        const uint32_t taken = (uint32_t)__builtin_popcountll(bits);
        AE_CRASH_POINT("drain.bits");
        ae_add32(&slab->free_hint, 0u - taken);
        ae_add32(&heap->pools[slab->pool].free_hint, 0u - taken);
        all = bits == word_full(slab, word);
        for (uint32_t bit = 0; bit < 64 && all && word * 64 + bit < slab->object_count; bit++) {
            ae_a64 *object = ae_slab_object(slab, word * 64 + bit);
            const uint64_t seen = ae_load64_acquire(object);
            /* The word decides, whatever the bitmap said (keeps H2, H4): one who took the bit long
             * ago may come for it yet. */
            all = ae_heap_is_free_word(kind, seen) &&
                  ae_cas64(object, seen, aei_word_cached(kind, seen, slot));
        }
        AE_CRASH_POINT("drain.word");
    }
    if (!all)
        slab_untake(heap, cache, slot, slab);
    return all;
}

void ae_heap_unlist(ae_heap *heap, ae_slab *slab)
{
    const ae_pool *of = &heap->pools[slab->pool];
    const uint32_t page = slab_page(heap, slab);
    ae_a32 *directory = ae_at(heap->segment, of->directory);
    for (uint32_t index = 0; index < of->directory_size; index++)
        if (ae_load32(&directory[index]) == page && ae_cas32(&directory[index], page, 0))
            break;
}

ae_ref ae_heap_drain(ae_heap *heap, ae_cache *cache, uint32_t slot, uint32_t *pool, uint32_t *index)
{
    AE_ALWAYS(slot < AE_SLOTS);
    for (; *pool < heap->pool_count; (*pool)++, *index = 0) {
        const ae_pool *of = &heap->pools[*pool];
        while (of->kind != AE_POOL_ANCHOR && *index < ae_pool_slab_count(of)) {
            ae_slab *slab = ae_pool_slab(heap, of, (*index)++);
            if (slab == NULL || !slab_is_whole(slab))
                continue;
            ae_store32_release(&cache->draining, slab_page(heap, slab));
            AE_CRASH_POINT("drain.named");
            if (!slab_take(heap, cache, slot, slab)) {
                ae_store32_release(&cache->draining, 0);
                continue;
            }
            aei_count_up(&heap->segment->header->returned);
            /* Out of service before the clock is read at which it is retired: whoever publishes a
             * newer snapshot finds no way to it.  Pairs with ae_heap_slab and ae_heap_leads. */
            ae_store64_release(&slab->block.word, ae_slab_word_drained(slot));
            AE_CRASH_POINT("drain.drained");
            ae_heap_unlist(heap, slab);
            atomic_thread_fence(memory_order_seq_cst);
            AE_CRASH_POINT("drain.unlisted");
            return ae_ref_of(heap->segment, &slab->block);
        }
    }
    return 0;
}

ae_slab *ae_heap_drained(const ae_heap *heap, ae_ref ref)
{
    if (!ae_segment_holds(heap->segment, ref, sizeof(ae_block)))
        return NULL;
    const uint32_t page = ref >> (AE_PAGE_SHIFT - 4);
    ae_slab *slab = ae_at(heap->segment, page << (AE_PAGE_SHIFT - 4));
    if (ae_page_slab(heap->segment, ref) != page || ref != ae_ref_of(heap->segment, &slab->block) ||
        ae_load64_acquire(&slab->block.word) == 0)
        return NULL;
    /* Its length is about to be believed. */
    const ae_ref last = (page + slab->pages - 1) << (AE_PAGE_SHIFT - 4);
    const bool whole = slab->pages > 0 && slab->pages < 0x8000u &&
                       ae_segment_holds(heap->segment, last, AE_PAGE_SIZE) &&
                       ae_page_slab(heap->segment, last) == page;
    return whole ? slab : NULL;
}

bool ae_heap_drains(const ae_heap *heap)
{
    const ae_segment *segment = heap->segment;
    const uint32_t end = (uint32_t)(ae_load64_acquire(&segment->header->used) >> AE_PAGE_SHIFT);
    for (uint32_t page = segment->header->first_page; page < end; page++) {
        const ae_ref ref = page << (AE_PAGE_SHIFT - 4);
        const ae_slab *slab = ae_at(segment, ref);
        if (ae_page_slab(segment, ref) == page && ae_load64_acquire(&slab->block.word) != 0)
            return true;
    }
    return false;
}

void ae_heap_return(ae_heap *heap, ae_cache *cache, uint32_t slot, ae_slab *slab)
{
    AE_ALWAYS(slot < AE_SLOTS);
    const uint32_t page = slab_page(heap, slab);
    const uint32_t pages = slab->pages;
    ae_pages_unsettle(heap->segment, page, pages, slot);
    ae_store32_release(&cache->draining, 0);
    ae_pages_offer(heap->segment, page, pages);
    aei_count_up(&heap->segment->header->given);
}

void aei_drain_recover(ae_heap *heap, ae_cache *cache, uint32_t slot)
{
    const uint32_t page = ae_load32_acquire(&cache->draining);
    const ae_ref ref = page << (AE_PAGE_SHIFT - 4);
    if (page == 0)
        return;
    ae_slab *slab = ae_at(heap->segment, ref);
    if (ae_page_slab(heap->segment, ref) != page) { /* it was a claim, and is a hole by now */
        ae_store32_release(&cache->draining, 0);
    } else if (ae_load64_acquire(&slab->block.word) == 0) {
        slab_untake(heap, cache, slot, slab);
        ae_store32_release(&cache->draining, 0);
    }
}
