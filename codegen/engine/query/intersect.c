/* intersect.c — anchors that have an entry in the ranges of several indexes.
 *
 * Entries are passed over quickly, rows are not: the anchors of the narrowest index make a filter,
 * a bitmap over hashes; of the next index's entries only those that hit it are kept, and so on.
 * What the filter lets through by chance costs a row fetched for nothing: every row is tested
 * against all clauses afterwards.  The anchors that remain are sorted, which brings rows in memory
 * order and meets each once, however many entries its versions have.
 *
 * Invariants: I1 an anchor whose visible version passes the clauses is kept: it has an entry in
 *                every index as long as the snapshot lives.
 */
#include <stdlib.h>
#include <string.h>

#include "query/source.h"

/* Bits of the filter for an anchor: one in sixteen gets through by chance. */
#define FILTER_BITS 16u
#define FILTER_LEAST 1024u

typedef struct anchor_list {
    ae_ref *anchors;
    size_t count;
    size_t room;
} anchor_list;

typedef struct filter {
    uint64_t *words;
    uint32_t shift; /* a hash's top bits are the place */
} filter;

static inline uint32_t place_of(const filter *sieve, ae_ref anchor)
{
    AE_ASSERT(sieve->shift >= 2 && sieve->shift <= 22);
    return (anchor * 0x9e3779b1u) >> sieve->shift;
}

static aero_status filter_open(filter *sieve, const anchor_list *list, aero_error *error)
{
    uint32_t bits = FILTER_LEAST;
    sieve->shift = 22;
    while (bits / FILTER_BITS < list->count && sieve->shift > 2) {
        bits *= 2;
        sieve->shift--;
    }
    sieve->words = calloc(bits / 64, sizeof *sieve->words);
    if (sieve->words == NULL)
        return ae_fail(error, AERO_NO_MEMORY, "no memory for an intersection");
    for (size_t i = 0; i < list->count; i++) {
        const uint32_t at = place_of(sieve, list->anchors[i]);
        AE_ASSERT(at < bits);
        sieve->words[at / 64] |= (uint64_t)1 << (at % 64);
    }
    return AERO_OK;
}

static aero_status list_reserve(anchor_list *list, aero_error *error)
{
    if (list->count + AEI_BATCH <= list->room)
        return AERO_OK;
    const size_t room = list->room == 0 ? 1024 : 2 * list->room;
    ae_ref *fresh = aei_array_resize(list->anchors, room, sizeof *fresh, error);
    if (fresh == NULL)
        return AERO_NO_MEMORY;
    AE_ASSERT(list->count + AEI_BATCH <= room);
    list->anchors = fresh;
    list->room = room;
    return AERO_OK;
}

/* Anchors of all ranges of an access; with a filter, those it lets through. */
static aero_status list_fill(anchor_list *list, aei_source *source, const aei_access *access,
                             const filter *sieve, bool *gone, aero_error *error)
{
    ae_index_read *read = &source->read;
    if (!ae_index_read_open(read, source->reader, source->table, access->info.number,
                            &access->ranges[0].words, false)) {
        *gone = true;
        return AERO_OK;
    }
    for (size_t range = 0;;) {
        aero_status status = list_reserve(list, error);
        if (status != AERO_OK)
            return status;
        ae_ref *batch = list->anchors + list->count;
        const size_t count = ae_index_read_anchors(read, batch, AEI_BATCH);
        AE_ASSERT(count <= AEI_BATCH && list->count + count <= list->room);
        if (count == 0) {
            status = ae_index_read_status(read);
            if (status != AERO_OK || ++range >= access->range_count)
                return status;
            ae_index_read_seek(read, &access->ranges[range].words);
            continue;
        }
        size_t kept = 0;
        for (size_t i = 0; i < count; i++) {
            const uint32_t at = sieve == NULL ? 0 : place_of(sieve, batch[i]);
            const bool passes = sieve == NULL || (sieve->words[at / 64] >> (at % 64) & 1) != 0;
            batch[kept] = batch[i];
            kept += passes;
        }
        list->count += kept;
    }
}

/* Sort by digits of eleven bits, then drop repetitions. */
static aero_status list_settle(anchor_list *list, aero_error *error)
{
    enum { BITS = 11, VALUES = 1 << BITS };
    if (list->count == 0)
        return AERO_OK;
    ae_ref *from = list->anchors;
    ae_ref *to = aei_array_resize(NULL, list->count, sizeof *to, error);
    if (to == NULL)
        return AERO_NO_MEMORY;
    for (uint32_t shift = 0; shift < 32; shift += BITS) {
        size_t places[VALUES] = {0};
        size_t sum = 0;
        for (size_t i = 0; i < list->count; i++)
            places[from[i] >> shift & (VALUES - 1)]++;
        for (size_t value = 0; value < VALUES; value++) {
            const size_t here = places[value];
            places[value] = sum;
            sum += here;
        }
        for (size_t i = 0; i < list->count; i++)
            to[places[from[i] >> shift & (VALUES - 1)]++] = from[i];
        ae_ref *swap = from;
        from = to;
        to = swap;
    }
    AE_ASSERT(to != from);
    free(to);
    size_t kept = 1;
    for (size_t i = 1; i < list->count; i++) {
        if (from[i] != from[kept - 1])
            from[kept++] = from[i];
    }
    AE_ASSERT(kept <= list->count);
    list->anchors = from;
    list->count = kept;
    return AERO_OK;
}

aero_status aei_intersect(aei_source *source, bool *gone, aero_error *error)
{
    AE_ASSERT(source->plan->access_count > 1);
    const aei_plan *plan = source->plan;
    anchor_list list = {0};
    aero_status status = AERO_OK;
    for (uint32_t i = 0; i < plan->access_count && status == AERO_OK && !*gone; i++) {
        filter sieve = {0};
        anchor_list next = {0};
        if (i > 0)
            status = filter_open(&sieve, &list, error);
        if (status == AERO_OK)
            status = list_fill(&next, source, &plan->accesses[i], i > 0 ? &sieve : NULL, gone,
                               error);
        free(sieve.words);
        free(list.anchors);
        list = next;
    }
    if (status == AERO_OK && !*gone)
        status = list_settle(&list, error);
    source->anchors = list.anchors;
    source->anchor_count = list.count;
    return status;
}
