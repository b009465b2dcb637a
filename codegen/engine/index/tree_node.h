/* tree_node.h — the nodes of an ordered index, and searching in them; for the module's own files.
 *
 *   leaf (level 0):  | header | key words, `capacity` times the width | entry words |
 *                    places [0, count) are the sorted part; up to AE_TREE_APPEND_MAX more are
 *                    appended to, in order of claiming
 *   inner:           | header | children | separators' words | separators' anchors |
 *                    separator i is the least key that child i answers for; separator 0 is what it
 *                    was when the node was made, and is not looked at in a search
 *
 *   entry word:      frozen 1 | state 2 | sequence 29 | anchor 32
 *   child:           frozen 1 | … | reference 32 (0: nothing there)
 *
 * A place goes from EMPTY to CLAIMED (its key is being written) to LIVE, and then between LIVE and
 * DEAD; or from CLAIMED to VOID, when another writer of the same anchor would not wait.  Keys of
 * the sorted part are constant; an appended one is constant once its word says LIVE.
 */
#ifndef AE_INDEX_TREE_NODE_H
#define AE_INDEX_TREE_NODE_H

#include "index/tree.h"

#define AE_TREE_FROZEN ((uint64_t)1 << 63)
#define AE_TREE_STATE ((uint64_t)3 << 61)
#define AE_TREE_CLAIMED ((uint64_t)1 << 61)
#define AE_TREE_LIVE ((uint64_t)2 << 61)
#define AE_TREE_DEAD ((uint64_t)3 << 61)
#define AE_TREE_VOID AE_TREE_DEAD /* with neither sequence nor anchor */
#define AE_TREE_SEQUENCE ((1u << 29) - 1u)
/* Successor of a node that had nothing left. */
#define AE_TREE_GONE ((uint64_t)1)
/* Successor of a node that is joined with its neighbour: the node above it (in the upper half),
 * whose successor leads on.  While that has none, the node is current. */
#define AE_TREE_UP ((uint64_t)2)

typedef struct ae_tree_node {
    ae_block block;
    ae_a64 successor; /* 0, AE_TREE_GONE, AE_TREE_UP with a node, or one or two nodes (left,
                         right << 32).  CAS, once */
    uint16_t level;   /* constant, like all below but `dead` and `join` */
    uint16_t width;
    uint32_t count; /* sorted entries, or children */
    uint32_t floor; /* leaf: no sequence number that a dropped entry of its keys had is above */
    ae_a32 dead;    /* leaf: removed entries; all writers, relaxed, a hint */
    ae_a64 join;    /* frozen inner node: 0, AE_TREE_APART, or the place + 1 of the child that is
                         joined with the next one.  CAS, once */
    uint64_t data[];
} ae_tree_node;
_Static_assert(sizeof(ae_tree_node) == 48, "format");

/* Bytes of nodes by width: about 60 entries a leaf and 70 to 100 children an inner node.  Rewriting
 * a leaf costs its size for every 16 entries, searching one the logarithm, memory at a miss the
 * lines that are touched. */
#ifdef AE_TREE_SMALL /* leaves of six entries, inner nodes of four */
#define AEI_LEAF_BYTES(width) ((uint32_t)sizeof(ae_tree_node) + 6u * (8u * (width) + 8u))
#define AEI_INNER_BYTES(width) ((uint32_t)sizeof(ae_tree_node) + 4u * (8u * (width) + 12u))
#else
#define AEI_LEAF_BYTES(width) ((width) == 1 ? 1024u : (width) == 2 ? 1536u : 2048u)
#define AEI_INNER_BYTES(width) ((width) <= 2 ? 2048u : 3072u)
#endif
static inline uint32_t aei_leaf_bytes(uint32_t width)
{
    return AEI_LEAF_BYTES(width);
}
static inline uint32_t aei_inner_bytes(uint32_t width)
{
    return AEI_INNER_BYTES(width);
}
/* Entries of a leaf and children of an inner node: divided once for each width, not where a node is
 * looked at. */
#define AEI_LEAF_CAPACITY(width) \
    ((AEI_LEAF_BYTES(width) - (uint32_t)sizeof(ae_tree_node)) / (8u * (width) + 8u))
#define AEI_INNER_CAPACITY(width) \
    ((AEI_INNER_BYTES(width) - (uint32_t)sizeof(ae_tree_node)) / (8u * (width) + 12u))
static inline __attribute__((always_inline)) uint32_t aei_leaf_capacity(uint32_t width)
{
    static const uint8_t of[AE_TREE_WORDS_MAX + 1] = {0, AEI_LEAF_CAPACITY(1), AEI_LEAF_CAPACITY(2),
                                                      AEI_LEAF_CAPACITY(3), AEI_LEAF_CAPACITY(4)};
    return of[width];
}
/* Of ten: how full is the leaf that is left behind by ascending keys. */
#define AE_TREE_FILL_TENTHS 9u
static inline uint32_t aei_leaf_fill_most(uint32_t width)
{
    return aei_leaf_capacity(width) * AE_TREE_FILL_TENTHS / 10;
}
static inline __attribute__((always_inline)) uint32_t aei_inner_capacity(uint32_t width)
{
    static const uint8_t of[AE_TREE_WORDS_MAX + 1] = {0, AEI_INNER_CAPACITY(1),
                                                      AEI_INNER_CAPACITY(2), AEI_INNER_CAPACITY(3),
                                                      AEI_INNER_CAPACITY(4)};
    return of[width];
}
static inline uint32_t aei_inner_fill_most(uint32_t width)
{
    return aei_inner_capacity(width) * AE_TREE_FILL_TENTHS / 10;
}
#define AE_TREE_INNER_MAX 104u /* above every inner capacity */

static inline const uint64_t *aei_leaf_keys(const ae_tree_node *leaf)
{
    return leaf->data;
}
static inline ae_a64 *aei_leaf_words(const ae_tree_node *leaf, uint32_t width)
{
    return (ae_a64 *)(uintptr_t)(leaf->data + (size_t)aei_leaf_capacity(width) * width);
}
/* Places behind the sorted part end here. */
static inline uint32_t aei_leaf_limit(const ae_tree_node *leaf, uint32_t width)
{
    const uint32_t capacity = aei_leaf_capacity(width);
    const uint32_t limit = leaf->count + AE_TREE_APPEND_MAX;
    return limit < capacity ? limit : capacity;
}
static inline ae_a64 *aei_inner_children(const ae_tree_node *inner)
{
    return (ae_a64 *)(uintptr_t)inner->data;
}
static inline const uint64_t *aei_inner_keys(const ae_tree_node *inner, uint32_t width)
{
    return inner->data + aei_inner_capacity(width);
}
static inline const ae_ref *aei_inner_anchors(const ae_tree_node *inner, uint32_t width)
{
    return (const ae_ref *)(const void *)(aei_inner_keys(inner, width) +
                                          (size_t)aei_inner_capacity(width) * width);
}

#define AE_TREE_APART UINT64_MAX

/* The node above that a joined leaf's successor names, or 0. */
static inline ae_ref aei_up_of(uint64_t successor)
{
    return (ae_ref)successor == AE_TREE_UP ? (ae_ref)(successor >> 32) : 0;
}

/* ---- references ----------------------------------------------------------------------------- */

/* The node of a reference, or NULL when it cannot be one of this tree (keeps L7). */
static inline ae_tree_node *aei_tree_node(const ae_tree *tree, ae_ref ref)
{
    const ae_segment *segment = tree->proc->heap->segment;
    if (((uint64_t)ref << 4) + aei_leaf_bytes(tree->width) > segment->size || ref == 0)
        return NULL;
    ae_tree_node *node = ae_at(segment, ref);
    const bool leaf = node->level == 0;
    const uint32_t most = leaf ? aei_leaf_capacity(tree->width) : aei_inner_capacity(tree->width);
    if (!leaf && ((uint64_t)ref << 4) + aei_inner_bytes(tree->width) > segment->size)
        return NULL;
    if (node->width != tree->width || node->level > AE_TREE_HEIGHT_MAX || node->count > most)
        return NULL;
    return node;
}
static inline ae_ref aei_tree_ref(const ae_tree *tree, const ae_tree_node *node)
{
    return node == NULL ? 0 : ae_ref_of(tree->proc->heap->segment, node);
}
/* A node's block word says whose it is and which slot made it. */
static inline uint64_t aei_tree_word(const ae_tree *tree, uint32_t slot)
{
    return AE_WORD_OWNED | ((uint64_t)slot + 1) << 32 | tree->root_ref;
}

/* Bring the lines of a node near that a search may need, all at once: they are then one miss, not
 * one after another.  The first one is read, not prefetched: where the translation of the page is
 * not at hand, a prefetch is dropped.  How many lines does not depend on what is in the node, so
 * that nothing here waits for it. */
static inline void aei_node_fetch(const ae_tree *tree, ae_ref ref, uint32_t level)
{
    const ae_segment *segment = tree->proc->heap->segment;
    const uint32_t width = tree->width;
    /* Of an inner node all but the anchors, which are hardly ever looked at. */
    const uint32_t bytes = level == 0 ? aei_leaf_bytes(width)
                                      : (uint32_t)sizeof(ae_tree_node) +
                                            aei_inner_capacity(width) * 8 * (width + 1);
    if (ref == 0 || ((uint64_t)ref << 4) + bytes > segment->size)
        return;
    const char *at = ae_at(segment, ref);
    (void)ae_load64((const ae_a64 *)(const void *)at);
    for (uint32_t line = 64; line < bytes; line += 64)
        __builtin_prefetch(at + line);
}

/* ---- order ---------------------------------------------------------------------------------- */

/* A place between entries: key words and an anchor. */
typedef struct aei_bound {
    const uint64_t *words;
    ae_ref anchor;
} aei_bound;

static inline aei_bound aei_bound_of(const ae_tree_key *key)
{
    return (aei_bound){key->words, key->anchor};
}

static inline bool aei_below(const uint64_t *left, ae_ref left_anchor, const uint64_t *right,
                             ae_ref right_anchor, uint32_t width)
{
    for (uint32_t word = 0; word < width; word++)
        if (left[word] != right[word])
            return left[word] < right[word];
    return left_anchor < right_anchor;
}
static inline bool aei_same_words(const uint64_t *left, const uint64_t *right, uint32_t width)
{
    for (uint32_t word = 0; word < width; word++)
        if (left[word] != right[word])
            return false;
    return true;
}

/* How many of `count` first words are below `wanted`.  No branch depends on the keys, and the only
 * multiplication is by what does not depend on them: a step waits for its load and little else. */
static inline __attribute__((always_inline)) uint32_t aei_run_below(const uint64_t *keys,
                                                                    uint32_t count, size_t width,
                                                                    uint64_t wanted)
{
    size_t at = 0;
    uint32_t left = count;
    while (left > 1) {
        const uint32_t half = left / 2;
        const size_t step = half * width;
        at += step & (0 - (size_t)(keys[at + step - width] < wanted));
        left -= half;
    }
    return (uint32_t)(at / width) + (left == 1 && keys[at] < wanted);
}
static inline uint32_t aei_words_below(const uint64_t *keys, uint32_t count, uint32_t width,
                                       uint64_t wanted)
{
    return width == 1   ? aei_run_below(keys, count, 1, wanted)
           : width == 2 ? aei_run_below(keys, count, 2, wanted)
                        : aei_run_below(keys, count, width, wanted);
}

/* The anchor of an entry of a leaf, or of a separator: one of the two is given. */
static inline ae_ref aei_anchor_at(const ae_a64 *words, const ae_ref *anchors, uint32_t place)
{
    return words != NULL ? (ae_ref)ae_load64(&words[place]) : anchors[place];
}

/* How many anchors of [low, high) are below the wanted one, `low` included in the count.  No branch
 * depends on them. */
static inline uint32_t aei_anchors_below(const ae_a64 *words, const ae_ref *anchors, uint32_t low,
                                         uint32_t high, ae_ref wanted)
{
    uint32_t left = high - low;
    while (left > 1) {
        const uint32_t half = left / 2;
        low += half & (0 - (uint32_t)(aei_anchor_at(words, anchors, low + half - 1) < wanted));
        left -= half;
    }
    return low + (left == 1 && aei_anchor_at(words, anchors, low) < wanted);
}

/* How many keys of a run in order are below the bound; `words` or `anchors` names their anchors. */
static inline uint32_t aei_keys_below(const uint64_t *keys, const ae_a64 *words,
                                      const ae_ref *anchors, uint32_t count, uint32_t width,
                                      aei_bound bound)
{
    uint32_t low = aei_words_below(keys, count, width, bound.words[0]);
    if (low == count || keys[(size_t)low * width] != bound.words[0])
        return low;
    /* Equal first words: the rest decides.  Mostly there is one such key. */
    uint32_t high = low + 1;
    if (high < count && keys[(size_t)high * width] == bound.words[0])
        high = bound.words[0] == UINT64_MAX
                   ? count
                   : low + aei_words_below(keys + (size_t)low * width, count - low, width,
                                           bound.words[0] + 1);
    if (width == 1)
        return aei_anchors_below(words, anchors, low, high, bound.anchor);
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (aei_below(keys + (size_t)middle * width, aei_anchor_at(words, anchors, middle),
                      bound.words, bound.anchor, width))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static inline uint32_t aei_leaf_below(const ae_tree_node *leaf, uint32_t width, aei_bound bound)
{
    return aei_keys_below(aei_leaf_keys(leaf), aei_leaf_words(leaf, width), NULL, leaf->count,
                          width, bound);
}

/* The child that answers for the key; or, `before`, for what comes just before it. */
static inline uint32_t aei_inner_search(const ae_tree_node *inner, uint32_t width, aei_bound bound,
                                        bool before)
{
    const uint64_t *keys = aei_inner_keys(inner, width) + width;
    const ae_ref *anchors = aei_inner_anchors(inner, width) + 1;
    const uint32_t count = inner->count - 1;
    const uint32_t below = aei_keys_below(keys, NULL, anchors, count, width, bound);
    /* At most one separator is equal to the key. */
    const bool equal = !before && below < count && anchors[below] == bound.anchor &&
                       aei_same_words(keys + (size_t)below * width, bound.words, width);
    return below + equal;
}

/* The least key of the right one of two successors. */
static inline aei_bound aei_node_low(const ae_tree_node *node, uint32_t width)
{
    if (node->level == 0)
        return (aei_bound){aei_leaf_keys(node), (ae_ref)ae_load64(aei_leaf_words(node, width))};
    return (aei_bound){aei_inner_keys(node, width), aei_inner_anchors(node, width)[0]};
}

/* The later of two sequence numbers: they go round, and are never half of the circle apart. */
static inline uint32_t aei_sequence_later(uint32_t left, uint32_t right)
{
    return ((left - right) & AE_TREE_SEQUENCE) <= AE_TREE_SEQUENCE / 2 ? left : right;
}
static inline uint32_t aei_word_sequence(uint64_t word)
{
    return (uint32_t)(word >> 32) & AE_TREE_SEQUENCE;
}
static inline uint64_t aei_word_live(uint32_t sequence, ae_ref anchor)
{
    return AE_TREE_LIVE | (uint64_t)(sequence & AE_TREE_SEQUENCE) << 32 | anchor;
}
static inline bool aei_is_live(uint64_t word)
{
    return (word & AE_TREE_STATE) == AE_TREE_LIVE;
}
/* The place holds a key: live or dead, neither empty, claimed nor void. */
static inline bool aei_has_key(uint64_t word)
{
    return (word & AE_TREE_LIVE) != 0 && (ae_ref)word != 0;
}

/* ---- appended places ------------------------------------------------------------------------ */

/* A key word of a place behind the sorted part: whoever claimed it may be writing it. */
static inline uint64_t aei_extra_word(const ae_tree_node *leaf, uint32_t width, uint32_t place)
{
    const ae_a64 *cells = (const ae_a64 *)(const void *)leaf->data;
    return ae_load64(&cells[(size_t)place * width]);
}

/* The appended places of a leaf with live keys in [from, to); returns how many. */
static inline __attribute__((always_inline)) uint32_t aei_leaf_extras(const ae_tree_node *leaf,
                                                                      uint32_t width,
                                                                      aei_bound from, aei_bound to,
                                                                      uint8_t *places)
{
    const uint64_t *keys = aei_leaf_keys(leaf);
    const ae_a64 *words = aei_leaf_words(leaf, width);
    const uint32_t first = leaf->count;
    const uint32_t limit = aei_leaf_limit(leaf, width);
    /* First by the first word alone, without a branch; few places pass. */
    uint32_t mask = 0;
    for (uint32_t place = first; place < limit; place++) {
        /* Acquire: the key; pairs with the CAS in slot_fill. */
        const bool live = aei_is_live(ae_load64_acquire(&words[place]));
        const uint64_t word = aei_extra_word(leaf, width, place);
        mask |= (uint32_t)(live & (word >= from.words[0]) & (word <= to.words[0]))
                << (place - first);
    }
    uint32_t count = 0;
    for (; mask != 0; mask &= mask - 1) {
        const uint32_t place = first + (uint32_t)__builtin_ctz(mask);
        const uint64_t *key = keys + (size_t)place * width;
        const ae_ref anchor = (ae_ref)ae_load64(&words[place]);
        places[count] = (uint8_t)place;
        count += !aei_below(key, anchor, from.words, from.anchor, width) &&
                 aei_below(key, anchor, to.words, to.anchor, width);
    }
    return count;
}

/* Sorted places [base, end) and the given appended ones, in order of their keys; returns how many.
 * Each appended place goes to where its rank says, and the sorted ones fill the gaps. */
static inline __attribute__((always_inline)) uint32_t aei_leaf_merge(
    const ae_tree_node *leaf, uint32_t width, uint32_t base, uint32_t end, const uint8_t *extras,
    uint32_t extra_count, uint8_t *order)
{
    const uint64_t *keys = aei_leaf_keys(leaf);
    const ae_a64 *words = aei_leaf_words(leaf, width);
    const uint32_t count = end - base + extra_count;
    uint32_t ranks[AE_TREE_APPEND_MAX];
    uint64_t taken = 0;
    AE_ASSERT(base <= end && count <= AE_TREE_LEAF_MAX);
    for (uint32_t index = 0; index < extra_count; index++) {
        const uint64_t *key = keys + (size_t)extras[index] * width;
        const ae_ref anchor = (ae_ref)ae_load64(&words[extras[index]]);
        uint32_t rank = aei_keys_below(keys + (size_t)base * width, words + base, NULL, end - base,
                                       width, (aei_bound){key, anchor});
        for (uint32_t other = 0; other < index; other++) {
            const uint64_t *than = keys + (size_t)extras[other] * width;
            const ae_ref than_anchor = (ae_ref)ae_load64(&words[extras[other]]);
            const uint32_t below = width == 1
                                       ? (uint32_t)((*than < *key) |
                                                    ((*than == *key) & (than_anchor < anchor)))
                                       : aei_below(than, than_anchor, key, anchor, width);
            rank += below;
            ranks[other] += 1 - below;
        }
        ranks[index] = rank;
    }
    for (uint32_t index = 0; index < extra_count; index++) {
        order[ranks[index]] = extras[index];
        taken |= (uint64_t)1 << ranks[index];
    }
    for (uint32_t at = 0; at < count; at++) {
        const bool is_taken = (taken >> at & 1) != 0;
        order[at] = is_taken ? order[at] : (uint8_t)(base < end ? base : 0); /* 0: damage */
        base += !is_taken;
    }
    return count;
}

/* ---- the module's functions ----------------------------------------------------------------- */

/* Where a way down ended. */
typedef struct aei_way {
    ae_tree_node *leaf;   /* NULL: nothing there */
    ae_tree_node *parent; /* NULL: the leaf is the top */
    uint32_t child;
    ae_a64 *place; /* what refers to the leaf */
    aei_bound low; /* words NULL: unbounded */
    aei_bound high;
    aei_bound parent_low;
    aei_bound parent_high;
} aei_way;

/* The way to the leaf that answers for the bound (`before`: for what comes just before it).  False
 * when a reference leads nowhere. */
bool aei_tree_descend(const ae_tree *tree, aei_bound bound, bool before, aei_way *way);
/* On from a child of a known parent. */
bool aei_tree_enter(const ae_tree *tree, aei_bound bound, bool before, ae_ref ref, aei_way *way);
/* The place of a key in a leaf, or UINT32_MAX. */
uint32_t aei_leaf_find(const ae_tree_node *leaf, uint32_t width, const ae_tree_key *key);

/* The leaf that ae_tree_fetch found for a key, if it is still current; else NULL.  It was below
 * nodes that were current then, and answers for the key until it has a successor (T3). */
ae_tree_node *aei_leaf_near(const ae_tree *tree, ae_ref near);

/* Keys to be added to a leaf while it is rewritten, in order. */
typedef struct aei_batch {
    const uint64_t *words;
    const ae_ref *anchors;
    uint32_t count;
} aei_batch;

/* What a leaf's replacement will hold. */
typedef struct aei_gather {
    const uint64_t *keys[2 * AE_TREE_LEAF_MAX];
    uint64_t words[2 * AE_TREE_LEAF_MAX];
    uint32_t count;
    uint32_t added;     /* keys of the batch among them */
    uint32_t new_first; /* the recently put ones lie in [new_first, new_end) */
    uint32_t new_end;
    uint32_t new_count;
    uint32_t floor;
} aei_gather;

/* Collect the live entries of a frozen leaf, and of the batch as many as two leaves can take. */
void aei_gather_leaf(const ae_tree *tree, const ae_tree_node *leaf, const aei_batch *batch,
                     aei_gather *of);
/* How many of them the first of two leaves gets; all of them when one is enough. */
uint32_t aei_gather_split(const ae_tree *tree, const aei_gather *of);
/* Write entries [first, end) into a new leaf. */
void aei_leaf_fill(const ae_tree *tree, ae_tree_node *leaf, const aei_gather *of, uint32_t first,
                   uint32_t end);

/* What an inner node's replacement will hold. */
typedef struct aei_children {
    aei_bound low[AE_TREE_INNER_MAX + 1];
    ae_ref child[AE_TREE_INNER_MAX + 1];
    uint32_t count;
    uint32_t inserted; /* where one child became two; UINT32_MAX: nowhere */
    bool found;        /* the child that was to be substituted */
} aei_children;
/* Two neighbouring children that become one. */
typedef struct aei_join {
    ae_tree_node *left;  /* NULL: none are joined */
    ae_tree_node *right; /* NULL: somebody else replaced it, and the left one is copied alone */
    ae_ref fresh;        /* 0: they have no entries */
} aei_join;
bool aei_gather_inner(const ae_tree *tree, const ae_tree_node *inner, const ae_tree_node *child,
                      const aei_join *join, aei_children *of);
uint32_t aei_children_split(const ae_tree *tree, const aei_children *of);
void aei_inner_fill(const ae_tree *tree, ae_tree_node *inner, const aei_children *of,
                    uint32_t first, uint32_t end);

/* What a slot's registers say it is at. */
enum aei_step { AEI_STEP_REPLACE = 1, AEI_STEP_LINK = 2 };
/* New nodes that a step may have in hand: two inner ones or leaves, and a joined leaf. */
enum { AEI_SIDES = 3, AEI_SIDE_JOINED = 2 };
aero_status aei_node_take(const ae_tree *tree, uint32_t slot, uint32_t level, int side,
                          ae_tree_node **node, aero_error *error);
void aei_node_give(const ae_tree *tree, uint32_t slot, int side);
/* Nothing leads to the node any more: its memory is free when the horizon has passed (keeps T5). */
void aei_node_retire(const ae_tree *tree, uint32_t slot, ae_tree_node *node);
/* Set the frozen bit of words. */
void aei_words_freeze(ae_a64 *words, uint32_t count);
void aei_floor_raise(const ae_tree *tree, uint32_t floor);

/* Replace a leaf, with the batch merged into it if this call's replacement is the one that counts:
 * *added tells how many of the batch are in. */
aero_status aei_leaf_replace(ae_tree *tree, uint32_t slot, ae_tree_node *leaf,
                             const aei_batch *batch, uint32_t *added, aero_error *error);
/* Freeze a leaf and give it up with all its entries. */
void aei_leaf_abandon(ae_tree *tree, ae_tree_node *leaf);
/* Replace an inner node, `child` by its successors. */
aero_status aei_inner_replace(ae_tree *tree, uint32_t slot, ae_tree_node *inner,
                              ae_tree_node *child, aero_error *error);
/* The same, and join the children in places `place` - 1 and `place` if nobody decided otherwise. */
aero_status aei_inner_join(ae_tree *tree, uint32_t slot, ae_tree_node *inner, uint32_t place,
                           aero_error *error);
/* What becomes of a frozen inner node's children (tree_join.c): decide what is joined, if nobody
 * has, and settle it for good. */
aero_status aei_join_settle(ae_tree *tree, uint32_t slot, ae_tree_node *inner, uint64_t wish,
                            aei_join *join, aero_error *error);
/* A leaf has few entries left: join it with a neighbour if that has few as well.  False: nothing
 * was done. */
bool aei_leaf_join(ae_tree *tree, uint32_t slot, const aei_way *way);
/* Something on the way to the bound was joined or given up: do the same with the first inner node
 * that is half empty now. */
void aei_inners_join(ae_tree *tree, uint32_t slot, aei_bound bound);
/* The node under `place` has a successor: make the place, or the parent, follow. */
aero_status aei_tree_help(ae_tree *tree, uint32_t slot, ae_tree_node *parent, ae_a64 *place,
                          ae_tree_node *node, aero_error *error);
/* Put an empty node of the level that belongs there under a place that says 0: a leaf, or an inner
 * node, below which there is a place that says 0. */
aero_status aei_leaf_first(ae_tree *tree, uint32_t slot, ae_tree_node *parent, ae_a64 *place,
                           aero_error *error);
/* As aei_tree_descend, completing what was left half done on the way; the leaf has no successor. */
aero_status aei_tree_settle(ae_tree *tree, uint32_t slot, aei_bound bound, aei_way *way,
                            aero_error *error);

aero_status aei_tree_damaged(const ae_tree *tree, aero_error *error);

#endif
