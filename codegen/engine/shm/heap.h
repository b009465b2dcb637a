/* heap.h — objects of equal size in slabs: versions, anchors, and blocks in size classes.
 *
 * How it works.  A pool is a list of slabs; a slab is a run of pages holding equal objects.  The
 * first eight bytes of every object, its word, say what it is: free, cached by a slot, or in use.
 * The word is the truth and changes by compare-and-swap; a bitmap in the slab's header only hints
 * at free objects, so setting or clearing a bit twice does no harm and a crash between two steps
 * can always be repaired by looking at the words.  Each transaction slot keeps a magazine of
 * objects per pool, filled from one bitmap word at a time, so the usual allocation is a plain array
 * access and the most recently freed object is reused first.
 *
 *   slab: | header | bitmap words | object 0 | object 1 | …
 *   magazine: refs[0 .. count) cached; refs[count] is the one last taken: a crash register
 *
 * Words
 *   version, block   0 free; AE_WORD_CACHED | slot cached; anything else in use
 *   anchor           low 32 bits: 0 free; 256 + slot cached; else in use (high 32 bits: a counter)
 *
 * Invariants
 *   H1  an object in a magazine has the word "cached by" that slot
 *   H2  an object with a free word is in no structure
 *   H3  a slab is in its pool's directory before one of its objects is handed out
 *   H4  a slab that is out of service has all its objects in the hand that took it out, for good
 *
 * Concurrency: a cache belongs to the holder of its slot; everything else is open to all,
 * lock-free.
 */
#ifndef AE_SHM_HEAP_H
#define AE_SHM_HEAP_H

#include "shm/segment.h"

#define AE_WORD_CACHED ((uint64_t)1 << 62)
#define AE_WORD_OWNED ((uint64_t)1 << 61) /* block in use by the object whose reference is below */
#define AE_WORD_RETIRED ((uint64_t)1 << 60) /* block unlinked; the retirement number is below */
/* Word of a block in use that belongs to a slot itself: its reaper must know it from those of
 * others. */
#define AE_WORD_OF_SLOT(slot) (AE_WORD_OWNED | ((uint64_t)(slot) + 1) << 32)
#define AE_ANCHOR_CACHED 256u /* + slot, in an anchor's reference part */

enum ae_pool_kind { AE_POOL_VERSION = 1, AE_POOL_ANCHOR = 2, AE_POOL_BLOCK = 3 };

/* Shared; constant after creation but for the atomics. */
typedef struct ae_pool {
    uint32_t object_size;
    uint32_t kind;
    uint32_t table;          /* of versions and anchors */
    uint32_t directory_size; /* entries */
    ae_ref directory;        /* ae_a32 page numbers of slabs */
    ae_a32 slab_count;       /* entries in use */
    ae_a32 cursor;           /* where objects were found last: a hint */
    ae_a32 free_hint;        /* about how many objects have their bit set */
    uint32_t _pad[8];
} ae_pool;
_Static_assert(sizeof(ae_pool) == 64, "one cache line");

/* Every block begins with this. */
typedef struct ae_block {
    ae_a64 word;
    ae_a32 limbo_next;
    ae_a32 extra; /* for the owner's use */
} ae_block;
_Static_assert(sizeof(ae_block) == 16, "format");

/* The first 32 bytes are constant, but for the hints, until the pages are given back. */
typedef struct ae_slab {
    uint32_t pool;
    uint32_t object_count;
    uint32_t first_offset; /* bytes from the slab's start to object 0 */
    uint32_t pages;
    ae_a32 free_hint;
    ae_a32 high; /* objects at or above were never handed out */
    uint32_t object_size;
    ae_a32 cursor;  /* bitmap word where bits were found last: a hint */
    ae_block block; /* word 0: in service; else see drain.c.  Its taker writes */
    ae_a64 bits[];
} ae_slab;
_Static_assert(offsetof(ae_slab, bits) == 48, "format");

typedef struct ae_magazine {
    ae_a32 count;
    ae_a32 refs[AE_MAGAZINE_MAX + 1];
} ae_magazine;

/* A slot's private stock and crash registers; written by the slot's holder, read by its reaper. */
typedef struct ae_cache {
    ae_a64 claim;     /* slab page << 32 | bitmap word being taken from, + 1; 0 none */
    ae_a32 growing;   /* page of a slab being added; 0 none */
    ae_a32 direct[4]; /* objects of large pools taken and not yet linked */
    ae_a32 magazines; /* ae_magazine[pool_count]; 0: none.  Verify reads it racily */
    ae_a32 draining;  /* page of a slab that is being taken out of service, or given back; 0 none */
    uint32_t _pad;
} ae_cache;

/* A process's view of the heap. */
typedef struct ae_heap {
    ae_segment *segment;
    ae_pool *pools;
    uint32_t pool_count;
    uint32_t class_first; /* pools [class_first, pool_count) are the block classes, ascending */
} ae_heap;

/* ---- creation: before the segment is published ---------------------------------------------- */

/* Number of block size classes. */
uint32_t ae_heap_class_count(void);
/* Carve pools for `tables` tables (two each) and the block classes; `version_sizes` in bytes. */
aero_status ae_heap_create(ae_segment *segment, uint32_t tables, const uint32_t *version_sizes,
                           aero_error *error);
/* Set up a view; CORRUPT when the pools contradict what the schema says. */
aero_status ae_heap_open(ae_heap *heap, ae_segment *segment, uint32_t tables,
                         const uint32_t *version_sizes, aero_error *error);

static inline uint32_t ae_heap_version_pool(uint32_t table)
{
    return 2 * table;
}
static inline uint32_t ae_heap_anchor_pool(uint32_t table)
{
    return 2 * table + 1;
}
/* Pool of the smallest class that holds `bytes` after the block header, or UINT32_MAX. */
uint32_t ae_heap_class(const ae_heap *heap, uint64_t bytes);

/* ---- taking and giving ---------------------------------------------------------------------- */

/* Take an object.  Its word still says cached: the caller sets it when the object is filled, or
 * calls ae_heap_give to return it.  Errors: FULL. */
aero_status ae_heap_take(ae_heap *heap, ae_cache *cache, uint32_t slot, uint32_t pool, ae_ref *ref,
                         aero_error *error);
/* Return an object to the slot's stock.  The caller has unlinked it. */
void ae_heap_give(ae_heap *heap, ae_cache *cache, uint32_t slot, uint32_t pool, ae_ref ref);
/* Name an object in the magazine's crash register, before the last other trace of it goes; it must
 * say "cached" already, and ae_heap_give must follow. */
void ae_heap_register(ae_heap *heap, ae_cache *cache, uint32_t pool, ae_ref ref);
/* Forget a direct (large) object: it is linked now. */
void ae_heap_linked(ae_cache *cache, ae_ref ref);

/* Pool and slab of a reference to an object; NULL when it leads nowhere, not to an object's start,
 * or into a slab that is out of service.  Whoever holds a published snapshot may go on reading the
 * slab that it got. */
const ae_slab *ae_heap_slab(const ae_heap *heap, ae_ref ref);
/* The pool alone, for who holds no snapshot, as a follower of the commits whose pin may be revoked:
 * the pages may change hands as soon as the slab has been looked at, the pools never move. */
const ae_pool *ae_heap_home(const ae_heap *heap, ae_ref ref);
/* Is there a version behind a reference that may be older than the caller's snapshot?  One that was
 * read from where there is a snapshot to protect it needs no look.  (Of another table, it does not
 * name an anchor of the row's: anchors keep their places.) */
static inline bool ae_heap_leads(const ae_heap *heap, ae_ref ref)
{
    /* Relaxed: who does not see the first slab go is seen by whoever gives it back (drain.c). */
    if (ae_load32(&heap->segment->header->returned) == 0)
        return true;
    const ae_slab *slab = ae_heap_slab(heap, ref);
    return slab != NULL && heap->pools[slab->pool].kind == AE_POOL_VERSION;
}

/* True when the object's word says this slot caches it. */
bool ae_heap_is_cached(const ae_heap *heap, uint32_t pool, ae_ref ref, uint32_t slot);
bool ae_heap_is_free_word(uint32_t kind, uint64_t word);
bool ae_heap_is_cached_word(uint32_t kind, uint64_t word, uint32_t *slot);

/* After the slot's holder died: make the magazines whole again (keeps H1).  An object that was in
 * the dead hand, `except` left alone, goes back unless it is in use.  A block in use that may have
 * been in the hand is shown to `orphan`, whose true means that nothing leads to it. */
typedef bool (*ae_heap_orphan)(void *context, ae_ref ref, uint64_t word);
void ae_heap_recover(ae_heap *heap, ae_cache *cache, uint32_t slot, ae_ref except,
                     ae_heap_orphan orphan, void *context);
/* Give all cached objects, and the magazines, back to the bitmaps for others to take; returns how
 * many. */
uint64_t ae_heap_flush(ae_heap *heap, ae_cache *cache, uint32_t slot);

/* Are the cache's magazines where they can be, and does each hold objects of its pool that the slot
 * caches? For verify. */
bool ae_heap_cache_check(const ae_heap *heap, const ae_cache *cache, uint32_t slot);
/* Objects in the cache's magazines. */
uint64_t ae_heap_stock(const ae_heap *heap, const ae_cache *cache);

/* ---- taking slabs out of service: drain.c --------------------------------------------------- */

/* Take a slab out of service all of whose objects are free: of pool *pool from entry *index on,
 * which move on.  Returns the reference of its block, to be retired with ae_slab_retire, or 0 when
 * there is none.  REQUIRES: a published snapshot, and nothing in hand. */
ae_ref ae_heap_drain(ae_heap *heap, ae_cache *cache, uint32_t slot, uint32_t *pool,
                     uint32_t *index);
/* The slab whose block it is, or NULL. */
ae_slab *ae_heap_drained(const ae_heap *heap, ae_ref ref);
/* Is it in no directory any more, though it was when its drainer died? Looks, and sees to it. */
void ae_heap_unlist(ae_heap *heap, ae_slab *slab);
/* Give back the pages of a slab that is out of service and that nobody can still look at. */
void ae_heap_return(ae_heap *heap, ae_cache *cache, uint32_t slot, ae_slab *slab);
/* Is any slab out of service, and its pages not on their way back yet?  Looks at all pages. */
bool ae_heap_drains(const ae_heap *heap);
/* Words of a slab's block while it is in no list. */
static inline uint64_t ae_slab_word_drained(uint32_t slot)
{
    return AE_WORD_CACHED | slot;
}
static inline uint64_t ae_slab_word_returning(uint32_t slot)
{
    return AE_WORD_OF_SLOT(slot);
}

/* ---- walking -------------------------------------------------------------------------------- */

static inline uint32_t ae_pool_slab_count(const ae_pool *pool)
{
    return ae_load32_acquire(&pool->slab_count);
}
/* The i-th slab, or NULL while it is being added. */
static inline ae_slab *ae_pool_slab(const ae_heap *heap, const ae_pool *pool, uint32_t index)
{
    const ae_a32 *directory = ae_at(heap->segment, pool->directory);
    const uint32_t page = ae_load32_acquire(&directory[index]);
    return page == 0 ? NULL : ae_at(heap->segment, page << (AE_PAGE_SHIFT - 4));
}
static inline void *ae_slab_object(const ae_slab *slab, uint32_t index)
{
    return (char *)(uintptr_t)slab + slab->first_offset + (size_t)index * slab->object_size;
}
/* Bytes of segment pages a pool holds. */
uint64_t ae_pool_bytes(const ae_heap *heap, uint32_t pool);

#endif
