/* version.h — anchors and versions: where rows live.
 *
 *   hash, indexes → anchor ──head──▶ version ──older──▶ version ──older──▶ …
 *                                     │ begin, end stamps │ row struct │ overflow ─▶ block of long
 *                                     texts
 *
 * An anchor is a row's stable place, 16 bytes.  A version is one state of the row: a 32-byte header
 * and the generated struct.  Versions of a table fill slabs of one pool, and the header alone
 * decides whether a snapshot sees it, so that a scan reads memory in order.
 *
 * Stamps.  A stamp is a commit number, or a mark: bit 63, slot, generation and sequence number of
 * the write of a transaction that has not been stamped yet.  `begin` of an object that is no
 * version says free or cached (shm/heap.h), both invisible.  `end` is infinity while nothing
 * replaced the version.
 *
 * Reading order.  A version may be reused while it is looked at, so `end` is read before `begin`:
 * whoever reuses it makes `begin` invisible before it touches `end`, and sets `begin` last.  Once
 * `begin` and `end` say that snapshot S sees the version, it stays as long as S is published (P3).
 */
#ifndef AE_ROW_VERSION_H
#define AE_ROW_VERSION_H

#include "aerostore/gen.h"
#include "shm/heap.h"

#define AE_STAMP_INFINITY (AE_WORD_CACHED - 1)
/* `begin` of a version that was taken out of its row's chain before the horizon came (txn/prune.h),
 * and of one that is being freed behind it: above all numbers, so that nobody sees them. */
#define AE_STAMP_TAKEN ((uint64_t)1 << 60)
#define AE_STAMP_DEAD (AE_STAMP_TAKEN + 1)
#define AE_MARK ((uint64_t)1 << 63)
#define AE_MARK_SEQUENCE_BITS 28
#define AE_MARK_SEQUENCE (((uint64_t)1 << AE_MARK_SEQUENCE_BITS) - 1)
#define AE_MARK_GENERATION_BITS 27
#define AE_MARK_GENERATION (((uint64_t)1 << AE_MARK_GENERATION_BITS) - 1)

typedef struct ae_version {
    ae_a64 begin;      /* 0; writer, then stamper */
    ae_a64 end;        /* 8; CAS by the writer that replaces it, then stamper */
    ae_a32 older;      /* 16; constant once begin is set; may dangle when nobody needs it */
    ae_a32 anchor;     /* 20; constant */
    ae_a32 overflow;   /* 24; block with the long texts, 0 none; constant */
    ae_a32 limbo_next; /* 28; link of the limbo its replacer's slot keeps */
    char row[];        /* 32 */
} ae_version;
_Static_assert(sizeof(ae_version) == 32, "the header is half a cache line");

/* Special references in an anchor's head (all below the first page). */
#define AE_HEAD_CLOSED 512u /* + slot that closed it: the row is gone for good */
#define AE_HEAD_LEAST 4096u /* real references are at least this */

typedef struct ae_anchor {
    ae_a64 head;  /* reference, and above it a counter that moves with every change */
    ae_a32 tag;   /* of the key's hash; constant from taking to giving back */
    ae_a32 latch; /* who may write next (txn/latch.h), 0 anybody; CAS by all */
} ae_anchor;
_Static_assert(sizeof(ae_anchor) == AE_UNIT, "an anchor is one unit");

static inline ae_ref ae_head_ref(uint64_t head)
{
    return (ae_ref)head;
}
static inline uint64_t ae_head_next(uint64_t head, ae_ref ref)
{
    return ((head >> 32) + 1) << 32 | ref;
}
static inline bool ae_head_is_row(uint64_t head)
{
    return (ae_ref)head >= AE_HEAD_LEAST;
}

static inline uint64_t ae_mark(uint32_t slot, uint64_t generation, uint64_t sequence)
{
    return AE_MARK | (uint64_t)slot << 55 |
           (generation & AE_MARK_GENERATION) << AE_MARK_SEQUENCE_BITS | sequence;
}
static inline uint32_t ae_mark_slot(uint64_t mark)
{
    return (uint32_t)(mark >> 55) & 0xffu;
}
static inline uint64_t ae_mark_generation(uint64_t mark)
{
    return mark >> AE_MARK_SEQUENCE_BITS & AE_MARK_GENERATION;
}
/* Do two marks belong to the same transaction? */
static inline bool ae_mark_same(uint64_t left, uint64_t right)
{
    return ((left ^ right) & ~AE_MARK_SEQUENCE) == 0;
}

static inline uint32_t ae_version_size(const aero_table *table)
{
    return ((uint32_t)sizeof(ae_version) + table->row_size + AE_UNIT - 1) & ~(AE_UNIT - 1);
}

/* The bytes a row's long texts need together. */
uint64_t ae_row_overflow_size(const aero_table *table, const void *row, const char *base);
/* Copy an image into a version's row, its long texts into `overflow` (offsets from `overflow` are
 * kept). */
void ae_row_settle(const aero_table *table, const void *row, const char *base, void *to,
                   char *overflow);

#endif
