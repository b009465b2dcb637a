/* pages.c — runs of pages: taken by pools, and given back (see segment.h).
 *
 * A page map word is 0 (never taken), a claim, a hole, inner, or the first page of the slab that
 * covers it.
 *   claim  bit 31, count in bits 8..23, owner in bits 0..7
 *   hole   bit 30, count in bits 8..23
 *   inner  bit 29: a page that was taken, inside of a hole or of a claim
 *
 * Only the first word of a run counts; a claim's owner may write the words inside of it, which is
 * how a long hole is cut and neighbours are joined: first all heads are claimed, then the first
 * claim gets its new length, and each state between is one or two runs of the owner's that a reaper
 * turns into holes again.
 *
 * Invariants
 *   G1  the pages of a hole, and those never taken, are zeros but for a slab's header
 *   G2  the word of the first page of a run is never 0 again: who has read `used` long ago, and
 *       claims what began there, gets nothing
 *
 * Concurrency: any thread of any process.  Progress: lock-free.
 */
#include <string.h>

#include "shm/heap.h"
#include "shm/segment_private.h"

#define PAGE_CLAIM 0x80000000u
#define PAGE_HOLE 0x40000000u

/* Others may take a hole that was found; then it is looked for again, so often. */
#define HOLE_TRIES 8u

/* Pages that are left to those who may take the last ones, at least: rows need blocks of some four
 * kinds beside their own memory, and each takes a page at a time. */
#define RESERVE_LEAST 4u

static uint32_t word_count(uint32_t word)
{
    return word >> 8 & 0xffffu;
}

static uint32_t word_claim(uint32_t count, uint32_t owner)
{
    AE_ASSERT(count <= 0xffffu && owner < AE_SLOTS);
    return PAGE_CLAIM | count << 8 | owner;
}

static uint32_t pages_used(const ae_segment *segment)
{
    return (uint32_t)(ae_load64_acquire(&segment->header->used) >> AE_PAGE_SHIFT);
}

/* ---- holes ---------------------------------------------------------------------------------- */

/* The first page of `count` pages in holes side by side, or 0. */
static uint32_t holes_find(const ae_segment *segment, uint32_t count)
{
    AE_ASSERT(count > 0);
    const uint32_t end = pages_used(segment);
    uint32_t start = 0;
    uint32_t total = 0;
    for (uint32_t at = segment->header->first_page; at < end;) {
        const uint32_t word = ae_load32_acquire(&segment->page_map[at]);
        const uint32_t run = (word & PAGE_HOLE) != 0 ? word_count(word) : 0;
        if (run == 0) {
            total = 0;
            at++;
            continue;
        }
        start = total == 0 ? at : start;
        total += run;
        if (total >= count)
            return start;
        at += run;
    }
    return 0;
}

/* Claim holes from `start` on until they hold `count` pages; returns how many pages they hold, 0
 * when somebody was faster. */
static uint32_t holes_claim(ae_segment *segment, uint32_t start, uint32_t count, uint32_t owner)
{
    AE_ALWAYS(start >= segment->header->first_page && count > 0);
    uint32_t total = 0;
    while (total < count) {
        ae_a32 *head = &segment->page_map[start + total];
        const uint32_t word = ae_load32_acquire(head);
        /* Acquire-release: the hole's words are ours from here; pairs with ae_pages_offer. */
        if ((word & PAGE_HOLE) == 0 || !ae_cas32(head, word, word_claim(word_count(word), owner)))
            break;
        AE_CRASH_POINT("pages.hole_claimed");
        total += word_count(word);
    }
    if (total >= count)
        return total;
    for (uint32_t at = start; at < start + total;) {
        const uint32_t run = word_count(ae_load32(&segment->page_map[at]));
        /* Release: as in ae_pages_offer; nothing was written inside. */
        ae_store32_release(&segment->page_map[at], PAGE_HOLE | run << 8);
        at += run;
    }
    return 0;
}

static bool holes_take(ae_segment *segment, uint32_t count, uint32_t owner, uint32_t *page)
{
    uint32_t total = 0;
    uint32_t start = 0;
    for (uint32_t tries = 0; tries < HOLE_TRIES && total == 0; tries++) {
        start = holes_find(segment, count);
        if (start == 0)
            return false;
        total = holes_claim(segment, start, count, owner);
    }
    if (total == 0)
        return false;
    ae_a32 *map = segment->page_map;
    AE_ALWAYS(total >= count);
    const uint32_t rest = total - count;
    if (rest > 0)
        ae_store32_release(&map[start + count], word_claim(rest, owner));
    AE_CRASH_POINT("pages.cut");
    /* Release: the rest has its claim; pairs with ae_pages_recover. */
    ae_store32_release(&map[start], word_claim(count, owner));
    for (uint32_t inner = start + 1; inner < start + count; inner++)
        ae_store32(&map[inner], AE_PAGE_INNER); /* keeps G2 */
    AE_CRASH_POINT("pages.joined");
    if (rest > 0) {
        for (uint32_t inner = start + count + 1; inner < start + total; inner++)
            ae_store32(&map[inner], AE_PAGE_INNER);
        /* Release: pairs with holes_claim. */
        ae_store32_release(&map[start + count], PAGE_HOLE | rest << 8);
    }
    *page = start;
    return true;
}

/* ---- taking and giving ---------------------------------------------------------------------- */

aero_status ae_pages_take(ae_segment *segment, uint32_t count, uint32_t owner, uint32_t *page,
                          aero_error *error)
{
    ae_segment_header *header = segment->header;
    AE_ALWAYS(count > 0 && count < 0x8000u && owner < AE_SLOTS);
    if (ae_load32(&header->holes) != 0 && holes_take(segment, count, owner, page))
        return AERO_OK;
    for (;;) {
        const uint64_t used = ae_load64_acquire(&header->used);
        const uint32_t at = (uint32_t)(used >> AE_PAGE_SHIFT);
        const uint64_t end = used + ((uint64_t)count << AE_PAGE_SHIFT);
        const aero_status status = aei_segment_reserve(segment, end, error);
        if (status != AERO_OK)
            return status;
        /* The claim comes first: it tells a reaper whose run this is (keeps I1).  Only at the end
         * of what is used is a word 0 that a run has begun or will begin with (G2).  Pairs with the
         * same operation in other takers. */
        const bool mine = ae_cas32(&segment->page_map[at], 0, word_claim(count, owner));
        AE_CRASH_POINT("pages.claimed");
        const uint32_t word = ae_load32_acquire(&segment->page_map[at]);
        const uint32_t run = word & (PAGE_CLAIM | PAGE_HOLE) ? word_count(word) : 0;
        if (run > 0) /* move `used` for whoever claimed the frontier */
            (void)ae_cas64(&header->used, used, used + ((uint64_t)run << AE_PAGE_SHIFT));
        if (mine) {
            *page = at;
            return AERO_OK;
        }
    }
}

void ae_pages_settle(ae_segment *segment, uint32_t page, uint32_t count)
{
    AE_ALWAYS(page != 0);
    for (uint32_t at = page + count; at-- > page;) /* the head last: it carries the claim */
        /* Release: the slab's header is complete before a page leads to it; pairs with
         * ae_page_slab. */
        ae_store32_release(&segment->page_map[at], page);
}

void ae_pages_unsettle(ae_segment *segment, uint32_t page, uint32_t count, uint32_t owner)
{
    AE_ALWAYS(owner < AE_SLOTS);
    AE_ASSERT(ae_load32(&segment->page_map[page]) == page);
    /* Release: whoever finds the claim finds the slab out of its directory; pairs with
     * ae_pages_recover. */
    ae_store32_release(&segment->page_map[page], word_claim(count, owner));
    AE_CRASH_POINT("pages.unsettled");
}

void ae_pages_offer(ae_segment *segment, uint32_t page, uint32_t count)
{
    AE_ALWAYS(page != 0);
    for (uint32_t inner = page + 1; inner < page + count; inner++)
        ae_store32(&segment->page_map[inner], AE_PAGE_INNER); /* keeps G2 */
    /* No page leads to the slab before its header goes: whoever reads the header under a stale
     * reference looks at the page map again.  Pairs with ae_heap_slab. */
    atomic_thread_fence(memory_order_seq_cst);
    memset(segment->base + ((size_t)page << AE_PAGE_SHIFT), 0, (size_t)count << AE_PAGE_SHIFT);
    AE_CRASH_POINT("pages.zeroed");
    aei_count_up(&segment->header->holes);
    /* Release: the pages are clean before the run is offered; pairs with holes_claim. */
    ae_store32_release(&segment->page_map[page], PAGE_HOLE | count << 8);
}

uint64_t ae_pages_holes(const ae_segment *segment, uint64_t *claimed)
{
    const uint32_t end = pages_used(segment);
    uint64_t holes = 0;
    uint64_t taken = 0;
    uint32_t at = segment->header->first_page;
    if (claimed == NULL && ae_load32(&segment->header->holes) == 0)
        at = end;
    while (at < end) {
        const uint32_t word = ae_load32_acquire(&segment->page_map[at]);
        const uint32_t run = (word & (PAGE_HOLE | PAGE_CLAIM)) != 0 ? word_count(word) : 0;
        *((word & PAGE_HOLE) != 0 ? &holes : &taken) += run;
        at += run == 0 ? 1 : run;
    }
    if (claimed != NULL)
        *claimed = taken;
    return holes;
}

uint64_t ae_pages_free(const ae_segment *segment, uint64_t *all)
{
    const ae_segment_header *header = segment->header;
    const uint64_t reach = ae_load32(&header->cramped) != 0 ? ae_load64_acquire(&header->reserved)
                                                            : segment->size;
    const uint64_t used = pages_used(segment);
    *all = reach >> AE_PAGE_SHIFT;
    return ae_pages_holes(segment, NULL) + (*all > used ? *all - used : 0);
}

bool ae_pages_spare(ae_segment *segment, uint32_t count)
{
    AE_ASSERT(count > 0);
    /* Storage for the last pages, too, while there is some: a file system that somebody else fills
     * is not to be full when they are needed. */
    const uint64_t wanted = ((uint64_t)pages_used(segment) + count + RESERVE_LEAST)
                            << AE_PAGE_SHIFT;
    (void)aei_segment_reserve(segment, wanted < segment->size ? wanted : segment->size, NULL);
    uint64_t all = 0;
    const uint64_t free = ae_pages_free(segment, &all);
    const uint64_t share = all / AE_RESERVE_SHARE;
    return count + (share < RESERVE_LEAST ? RESERVE_LEAST : share) <= free;
}

void ae_pages_recover(ae_segment *segment, uint32_t owner,
                      bool (*is_slab)(const void *context, uint32_t page), const void *context)
{
    AE_ALWAYS(owner < AE_SLOTS && is_slab != NULL);
    const uint32_t end = (uint32_t)(segment->size >> AE_PAGE_SHIFT);
    const uint32_t used = pages_used(segment);
    for (uint32_t at = segment->header->first_page; at <= used && at < end;) {
        const uint32_t word = ae_load32_acquire(&segment->page_map[at]);
        const uint32_t count = word_count(word);
        if ((word & PAGE_CLAIM) == 0 || (word & 0xffu) != owner || count == 0 || count > end - at) {
            at++;
            continue;
        }
        if (at < used && is_slab(context, at)) {
            ae_pages_settle(segment, at, count);
        } else {
            if (at == used)
                (void)ae_cas64(&segment->header->used, (uint64_t)at << AE_PAGE_SHIFT,
                               (uint64_t)(at + count) << AE_PAGE_SHIFT);
            ae_pages_offer(segment, at, count);
        }
        at += count; /* a claim inside of another is where holes were joined, or one was cut */
    }
}
