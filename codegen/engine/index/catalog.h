/* catalog.h — which ordered indexes each table has, in the segment, and how they come and go.
 *
 * How it works.  Every table has 64 places for indexes, each with a state word, its columns and the
 * root of its tree.  A mask beside them says which indexes writers keep up; it is looked at for
 * each write after the row's version was published, so nobody needs to be told of a new index:
 *
 *   absent ─claim▶ claimed ─▶ building ─▶ ready ─▶ closing ─▶ dropping ─▶ destroying ─▶ absent
 *                             (in the mask: these two)        at number N  N is past
 *
 * Whoever moves a place through a state with an owner names its slot and generation in the word,
 * so that a reaper finds what the dead were at: what was being made is dropped.
 *
 * Invariants
 *   C1  the definition of a place changes only while it is claimed
 *   C2  a place becomes absent after every snapshot is newer than the clearing of its bit in the
 *       mask: nobody works any more on the tree, who saw the bit
 *   C3  an index is ready for snapshots from `usable_from` on
 *
 * Concurrency: any thread of any process that holds a published snapshot; changes need a slot.
 * Progress: lock-free.
 */
#ifndef AE_INDEX_CATALOG_H
#define AE_INDEX_CATALOG_H

#include "index/key.h"
#include "index/tree.h"

#define AE_INDEXES_MAX 64u

enum ae_index_phase {
    AE_INDEX_ABSENT,
    AE_INDEX_CLAIMED,
    AE_INDEX_BUILDING,
    AE_INDEX_READY,
    AE_INDEX_CLOSING,
    AE_INDEX_DROPPING,
    AE_INDEX_DESTROYING
};

/* One place.  All words are written by the owner of the state, read by all. */
typedef struct ae_index_place {
    ae_a64 state;       /* phase << 60 | owner, or the number of a dropping one */
    ae_a64 usable_from; /* oldest snapshot that may use it (C3) */
    ae_a64 orphans;     /* entries that could not be removed for want of memory */
    ae_a32 unique;
    ae_a32 column_count;
    ae_a32 columns[AE_KEY_COLUMNS_MAX];
    ae_a32 _pad[8];
    ae_tree_root root;
} ae_index_place;
_Static_assert(sizeof(ae_index_place) == 192, "three cache lines");

typedef struct ae_catalog_table {
    ae_a64 maintained; /* bit i: writers keep index i up */
    ae_a64 epoch;      /* moves whenever an index becomes ready or stops being so */
    uint64_t _pad[6];
    ae_index_place places[AE_INDEXES_MAX];
} ae_catalog_table;

typedef struct ae_catalog_shared {
    ae_a64 untidy; /* counts indexes taken out of use.  All, by adding */
    ae_a64 tidied; /* what it was when all had been destroyed.  CAS */
    uint64_t _pad[6];
    ae_tree_root patterns[AE_TREE_WORDS_MAX]; /* empty trees of each width; never used */
    ae_catalog_table tables[];
} ae_catalog_shared;

/* A process's view. */
typedef struct ae_catalog {
    ae_proc *proc;
    const aero_table *tables;
    uint32_t table_count;
    ae_catalog_shared *shared;
    ae_tree patterns[AE_TREE_WORDS_MAX + 1]; /* views of the patterns, by width */
} ae_catalog;

/* Carve the catalogue of a new segment, with the indexes that the schema declares, ready. */
aero_status ae_catalog_create(ae_segment *segment, const aero_table *tables, uint32_t table_count,
                              aero_error *error);
/* Errors: CORRUPT. */
aero_status ae_catalog_open(ae_catalog *catalog, ae_proc *proc, const aero_table *tables,
                            uint32_t table_count, aero_error *error);

static inline enum ae_index_phase ae_index_phase_of(uint64_t state)
{
    return (enum ae_index_phase)(state >> 60);
}
static inline ae_index_place *ae_catalog_place(const ae_catalog *catalog, uint32_t table,
                                               uint32_t number)
{
    return &catalog->shared->tables[table].places[number];
}
/* Indexes that a write or the freeing of a version has to keep up.  Call it after the version was
 * published, or taken out of the chain, and ae_catalog_fence. */
static inline uint64_t ae_catalog_maintained(const ae_catalog *catalog, uint32_t table)
{
    return ae_load64_acquire(&catalog->shared->tables[table].maintained);
}
/* What was stored before is seen by a builder that the mask does not show yet; pairs with the
 * barrier in ae_catalog_building. */
static inline void ae_catalog_fence(const ae_catalog *catalog)
{
    if (catalog->proc->asymmetric)
        atomic_signal_fence(memory_order_seq_cst);
    else
        atomic_thread_fence(memory_order_seq_cst);
}
/* The columns of a place that is neither absent nor claimed.  False when they are damaged. */
bool ae_catalog_shape(const ae_catalog *catalog, uint32_t table, const ae_index_place *place,
                      ae_key_shape *shape);
/* A view of its tree.  False when the place's width does not fit the shape. */
bool ae_catalog_tree(const ae_catalog *catalog, ae_index_place *place, const ae_key_shape *shape,
                     ae_tree *tree);

/* ---- coming and going ----------------------------------------------------------------------- */

/* Claim a place for an index over these columns.  Errors: EXISTS when there is one; CONFLICT when
 * somebody is just claiming one; LIMIT. */
aero_status ae_catalog_claim(const ae_catalog *catalog, uint32_t slot, uint32_t table,
                             const ae_key_shape *shape, bool unique, uint32_t *number,
                             aero_error *error);
/* From here on writers keep the claimed index up; what they published before is visible. */
void ae_catalog_building(const ae_catalog *catalog, uint32_t slot, uint32_t table, uint32_t number);
/* All is in: the index may be used by snapshots from `usable_from` on. */
void ae_catalog_ready(const ae_catalog *catalog, uint32_t slot, uint32_t table, uint32_t number,
                      uint64_t usable_from);
/* Give up a claimed or building index of this slot. */
void ae_catalog_abandon(const ae_catalog *catalog, uint32_t slot, uint32_t table, uint32_t number);
/* Take a ready index out of use.  False when it is not ready. */
bool ae_catalog_drop(const ae_catalog *catalog, uint32_t slot, uint32_t table, uint32_t number);
/* In a segment that nobody else sees: writers leave all indexes of a table alone… */
void ae_catalog_defer(const ae_catalog *catalog, uint32_t table);
/* … until one has been filled with what snapshots from `usable_from` on see. */
void ae_catalog_resume(const ae_catalog *catalog, uint32_t table, uint32_t number,
                       uint64_t usable_from);
/* Are there dropped indexes to be destroyed? */
static inline bool ae_catalog_untidy(const ae_catalog *catalog)
{
    return ae_load64(&catalog->shared->untidy) != ae_load64(&catalog->shared->tidied);
}
/* Destroy dropped indexes that the horizon has passed.  Returns how many are still waiting. */
uint32_t ae_catalog_tend(const ae_catalog *catalog, uint32_t slot, uint64_t horizon);

/* After a death: whatever the slot's dead holder was making or taking down is dropped. */
void ae_catalog_recover(const ae_catalog *catalog, uint32_t slot);

#endif
