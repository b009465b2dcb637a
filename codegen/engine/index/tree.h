/* tree.h — the ordered index: from key words to rows' anchors, in order, shared and lock-free.
 *
 * How it works.  A B+-tree of blocks whose nodes are replaced, never split in place (in the spirit
 * of Levandoski, Lomet, Sengupta: The Bw-Tree, 2013, and of index/hash.h).  A leaf has entries in
 * order and, behind them, a few slots that writers append to; an entry comes, goes, and comes again
 * by compare-and-swap on its own word.  A leaf without a free slot is frozen word by word, its
 * live entries are copied to one or two leaves that nobody else sees, and one compare-and-swap on
 * its `successor` makes them current.  Then the parent's reference is swung over, or, where one
 * child became two, the parent is replaced in the same way.  Whoever comes to a replaced node goes
 * on to its successor; writers also complete what was left half done.  An empty leaf's reference
 * becomes 0; leaves with few entries are joined with a neighbour, when the node above them is
 * replaced (tree_join.c).
 *
 *             root ──▶ inner ──▶ leaf: | k0 … kn sorted, in order | appended, not in order | free |
 *                       │  └───▶ 0 (nothing there)
 *                       └──────▶ leaf, frozen ──successor──▶ leaf, leaf
 *
 * A key is 1 to 4 words, compared as unsigned numbers, and an anchor that comes last: no two
 * entries are equal, and entries with equal words are ordered by their anchors.  What the words
 * mean, and whether equal words are equal values, is the caller's matter.
 *
 * Invariants
 *   T1  a frozen word never changes; a node has a successor only when all its words are frozen
 *   T2  in a leaf a key (words and anchor) has at most one place, from the leaf's filling to its
 *       end; places of the sorted part are in order and hold every key they ever held
 *   T3  a leaf that is not frozen is current: it answers for every key that leads to it
 *   T4  live entries move along successors only, a leaf's own or those of the node above it,
 *       never to a neighbour that others read already
 *   T5  a node is retired by whoever's compare-and-swap on its block word succeeds, after nothing
 *       leads to it any more
 *   T6  an entry's sequence number is larger than at any time before that it was live
 *
 * Concurrency: any thread of any process that holds a published snapshot (a cursor: the same one
 * from its opening to its last use); putting, removing and what cleans up need a transaction slot.
 * Progress: reading is wait-free but for following successors, the rest lock-free.
 */
#ifndef AE_INDEX_TREE_H
#define AE_INDEX_TREE_H

#include "proc/proc.h"

#define AE_TREE_WORDS_MAX 4u
/* Levels of inner nodes and the leaves: even at 4 children a node 2^32 nodes do not need more. */
#define AE_TREE_HEIGHT_MAX 16u
/* Slots of a leaf behind its sorted part: what a reader has to look through one by one. */
#ifdef AE_TREE_SMALL /* nodes of a few entries where interleavings are explored */
#define AE_TREE_APPEND_MAX 2u
#else
#define AE_TREE_APPEND_MAX 16u
#endif
/* Above every leaf's capacity, so that a set of its places is one word. */
#define AE_TREE_LEAF_MAX 64u

/* Words beyond the tree's width are ignored. */
typedef struct ae_tree_key {
    uint64_t words[AE_TREE_WORDS_MAX];
    ae_ref anchor; /* 0 and UINT32_MAX are no rows: bounds before and behind all of equal words */
    uint32_t _pad;
} ae_tree_key;

/* Shared; 64 bytes anywhere in the segment that stay for as long as the tree is used. */
typedef struct ae_tree_root {
    ae_a64 node;    /* the top node's reference; 0: an empty tree.  CAS by all */
    uint32_t width; /* words of a key; constant */
    ae_a32 floor;   /* sequence numbers of entries put where a leaf was given up begin above */
    uint64_t _pad[6];
} ae_tree_root;
_Static_assert(sizeof(ae_tree_root) == 64, "one cache line");

/* A process's view of one tree. */
typedef struct ae_tree {
    ae_proc *proc;
    ae_tree_root *root;
    ae_ref root_ref;
    uint32_t width;
    uint32_t leaf_pool;
    uint32_t inner_pool;
} ae_tree;

/* Make an empty tree in memory that nobody else uses; 1 <= width <= AE_TREE_WORDS_MAX. */
void ae_tree_create(ae_tree_root *root, uint32_t width);
/* Set up a view.  CORRUPT when the root cannot be one. */
aero_status ae_tree_open(ae_tree *tree, ae_proc *proc, ae_tree_root *root, aero_error *error);

/* ---- writing -------------------------------------------------------------------------------- */

/* Make sure that the entry is there, and that no ticket read before this call removes it: an entry
 * that is live gets a new sequence number.  Errors: FULL (nothing was put), CORRUPT. */
aero_status ae_tree_put(ae_tree *tree, uint32_t slot, const ae_tree_key *key, aero_error *error);
/* The same, for a key that has been fetched. */
aero_status ae_tree_put_near(ae_tree *tree, uint32_t slot, const ae_tree_key *key, ae_ref near,
                             aero_error *error);

/* Put many, in ascending order without repetitions: words[i * width] … and anchors[i].  A leaf is
 * rewritten once for all of its keys, so this is the way to fill a tree; others may use it
 * meanwhile.  On FULL or CORRUPT, a part is in: the caller removes or destroys. */
aero_status ae_tree_put_sorted(ae_tree *tree, uint32_t slot, const uint64_t *words,
                               const ae_ref *anchors, size_t count, aero_error *error);

/* A whole tree of entries in ascending order without repetitions: three times as fast as
 * ae_tree_put_sorted, and it throws nothing away.  From the start to the end the tree is empty, and
 * nobody else may use it: it lies in a new segment that has no name yet.  Errors: FULL; then the
 * nodes are lost, and the segment has to be given up. */
typedef struct ae_tree_fill {
    ae_tree tree;
    uint32_t slot;
    struct ae_tree_node *nodes[AE_TREE_HEIGHT_MAX + 1]; /* by level: the one that is being filled */
} ae_tree_fill;
void ae_tree_fill_start(ae_tree_fill *fill, const ae_tree *tree, uint32_t slot);
aero_status ae_tree_fill_add(ae_tree_fill *fill, const uint64_t *words, const ae_ref *anchors,
                             size_t count, aero_error *error);
aero_status ae_tree_fill_end(ae_tree_fill *fill, aero_error *error);

/* Keys that will be put, found or removed next, in one tree or several: bring their leaves near,
 * all at once, and say which they are, so that the way down is gone once.  `near` is a hint,
 * and good for as long as the snapshot stays published; who has one passes it, else 0. */
typedef struct ae_tree_want {
    const ae_tree *tree;
    const ae_tree_key *key;
    ae_ref near;
} ae_tree_want;
#define AE_TREE_WANTS_MAX 16u
void ae_tree_fetch(ae_tree_want *wants, uint32_t count);

/* Is the entry live?  Then *ticket is the word it had, for ae_tree_remove. */
bool ae_tree_find(const ae_tree *tree, const ae_tree_key *key, uint64_t *ticket);

/* Remove the entry if nobody has put it again since the ticket was read; otherwise nothing happens,
 * and that is no error.  Errors: FULL when the leaf is being replaced and there is no memory to
 * complete that: the entry stays, try again later; CORRUPT. */
aero_status ae_tree_remove(ae_tree *tree, uint32_t slot, const ae_tree_key *key, uint64_t ticket,
                           aero_error *error);

/* Where an entry was found, and its ticket: good for as long as the snapshot stays published under
 * which it was found. */
typedef struct ae_tree_spot {
    uint64_t ticket;
    void *leaf;
    uint32_t place;
} ae_tree_spot;
/* As ae_tree_find and ae_tree_remove, with one way down for both. */
bool ae_tree_spot_find(const ae_tree *tree, const ae_tree_key *key, ae_tree_spot *spot);
/* For a key that has been fetched. */
bool ae_tree_spot_near(const ae_tree *tree, const ae_tree_key *key, ae_ref near,
                       ae_tree_spot *spot);
aero_status ae_tree_spot_remove(ae_tree *tree, uint32_t slot, const ae_tree_key *key,
                                const ae_tree_spot *spot, aero_error *error);

/* Take the tree down: afterwards it is empty and all its nodes are retired.  Needs no memory.
 * Nobody may put any more; readers may still be in it.  A caller that died is followed by another
 * that calls it again.  Errors: CORRUPT (what cannot be read is left alone). */
aero_status ae_tree_destroy(ae_tree *tree, uint32_t slot, aero_error *error);

/* Replaced nodes wait for the horizon in the slot's list of blocks: whoever puts or removes has to
 * see to it that the horizon is computed and ae_block_reclaim called now and then.  This many were
 * retired under the slot since it was made; it only grows (modulo 2^32). */
static inline uint32_t ae_tree_retired(const ae_proc *proc, uint32_t slot)
{
    return ae_load32(&ae_slot_at(proc, slot)->tree_retired);
}

/* ---- reading -------------------------------------------------------------------------------- */

/* A range of keys, from `low` on and before `high`.  Bounds are keys: anchor 0 stands before every
 * entry with equal words, UINT32_MAX behind it.  Of several columns, where only the first ones are
 * bound, the words of the others are 0 below, and ~0 with anchor UINT32_MAX above. */
typedef struct ae_tree_range {
    ae_tree_key low;
    ae_tree_key high;
} ae_tree_range;

/* Everything. */
static inline void ae_tree_range_all(ae_tree_range *range)
{
    for (uint32_t word = 0; word < AE_TREE_WORDS_MAX; word++) {
        range->low.words[word] = 0;
        range->high.words[word] = UINT64_MAX;
    }
    range->low.anchor = 0;
    range->high.anchor = UINT32_MAX;
}

/* A walk over the live entries of a range, up or down.  Its fields are the cursor's own; it holds
 * no memory and needs no closing. */
typedef struct ae_tree_cursor {
    const ae_tree *tree;
    ae_tree_range left; /* what is still to be visited: shrinks leaf by leaf */
    bool descending;
    bool done;        /* no further leaf */
    aero_status fail; /* CORRUPT when a reference led nowhere */
    /* The innermost inner node on the way, which may have the next leaf, and its bounds. */
    const void *parent;
    bool parent_low_set;
    bool parent_high_set;
    ae_tree_key parent_low;
    ae_tree_key parent_high;
    /* The leaf being read: its places from `next` on (descending: before `end`), or, where
     * appended ones lie between the sorted ones, what stands there in `order`. */
    const void *leaf;
    uint32_t next;
    uint32_t end;
    bool merged;
    uint8_t order[AE_TREE_LEAF_MAX];
} ae_tree_cursor;

/* Start before the first (descending: behind the last) entry of the range. */
void ae_tree_seek(ae_tree_cursor *cursor, const ae_tree *tree, const ae_tree_range *range,
                  bool descending);
/* The next entries, at most `most`, in the cursor's order: words[i * width] … and anchors[i].
 * Returns how many; 0 at the end (or, with cursor->fail set, at damage).  An entry is given at
 * most once.  What was live from the publication of the snapshot on is given; what came or went
 * meanwhile may be. */
uint32_t ae_tree_next(ae_tree_cursor *cursor, uint64_t *words, ae_ref *anchors, uint32_t most);

/* About how many entries the range has, from the way to its two ends; exact when they lie in one
 * leaf. */
uint64_t ae_tree_estimate(const ae_tree *tree, const ae_tree_range *range);

/* What a planner asks of the whole tree, from a few random ways down. */
typedef struct ae_tree_sample {
    uint64_t entries;        /* about how many */
    uint64_t distinct;       /* about how many different words (all columns together) */
    uint64_t distinct_first; /* … of the first word alone */
    uint64_t bytes;          /* about how many its current nodes take */
    ae_tree_key least;       /* exact when they were read; meaningless when empty */
    ae_tree_key greatest;
    bool empty;
} ae_tree_sample;
void ae_tree_sample_take(const ae_tree *tree, uint64_t seed, ae_tree_sample *sample);

/* Count the live entries of a range by walking its leaves, without copying them. */
uint64_t ae_tree_count(const ae_tree *tree, const ae_tree_range *range);

/* ---- after a death, and checking ------------------------------------------------------------ */

/* Finish or undo the step in a tree that the slot's dead holder was at, whichever tree it was;
 * after ae_limbo_repair and ae_heap_recover, while the dead one's snapshot is still published.
 * Safe to repeat. */
void ae_tree_recover(ae_proc *proc, uint32_t slot);

/* Does a block's word say that it is a node of the tree with this root? */
static inline bool ae_tree_owns_word(uint64_t word, ae_ref root)
{
    return (word & ~((uint64_t)0x1ff << 32)) == (AE_WORD_OWNED | root);
}

typedef struct ae_tree_shape {
    uint64_t entries; /* live */
    uint64_t dead;    /* removed and not yet swept out */
    uint64_t leaves;
    uint64_t inners;
    uint64_t nodes; /* all blocks that the tree leads to, replaced ones included */
    uint32_t height;
} ae_tree_shape;

/* Called for each live entry, in order; false means that it is wrong. */
typedef bool (*ae_tree_see)(void *context, const uint64_t *words, ae_ref anchor);

/* Walk the whole tree, believing nothing: references, levels, order, bounds, one place a key.
 * `see` may be NULL.  CORRUPT at the first damage.  For verify; on a tree in use a replaced node
 * may be met twice or not at all in `nodes`. */
aero_status ae_tree_check(const ae_tree *tree, ae_tree_see see, void *context, ae_tree_shape *shape,
                          aero_error *error);

#endif
