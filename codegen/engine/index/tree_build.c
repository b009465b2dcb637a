/* tree_build.c — what goes into a node's replacement (see tree.h): read from a frozen node, written
 * to nodes that nobody else sees.
 *
 * Where to cut.  Random keys: in the middle.  Keys that arrive in order are told by lying next to
 * each other: behind everything else (the left leaf stays nearly full, for nothing will come to it
 * any more), before everything, or, where many equal keys come in the order of their anchors, in
 * the middle: then the cut comes behind them, and the next ones find themselves at the end.
 */
#include "index/tree_node.h"

/* A single replacement has at least so many free places, or it would be rewritten at once. */
#define SLACK (AE_TREE_APPEND_MAX / 2)

/* Live entries, and the latest sequence number of those that are dropped. */
static inline uint32_t leaf_survey(const uint32_t width, const ae_tree_node *leaf, uint32_t *floor)
{
    const ae_a64 *words = aei_leaf_words(leaf, width);
    const uint32_t limit = aei_leaf_limit(leaf, width);
    uint32_t live = 0;
    *floor = leaf->floor;
    for (uint32_t place = 0; place < limit; place++) {
        const uint64_t word = ae_load64_acquire(&words[place]);
        live += aei_is_live(word);
        if (!aei_is_live(word) && aei_has_key(word))
            *floor = aei_sequence_later(*floor, aei_word_sequence(word));
    }
    AE_ASSERT(live <= limit);
    return live;
}

/* The live appended places of a leaf; returns how many. */
static inline uint32_t leaf_appended(const uint32_t width, const ae_tree_node *leaf,
                                     uint8_t places[AE_TREE_APPEND_MAX])
{
    const ae_a64 *words = aei_leaf_words(leaf, width);
    const uint32_t limit = aei_leaf_limit(leaf, width);
    uint32_t count = 0;
    for (uint32_t place = leaf->count; place < limit; place++) {
        places[count] = (uint8_t)place;
        /* Acquire: the key; pairs with the CAS in slot_fill. */
        count += aei_is_live(ae_load64_acquire(&words[place]));
    }
    return count;
}

/* How far it has come, and where the recently put ones are: in registers while a leaf is read. */
typedef struct gather_at {
    uint32_t count;
    uint32_t new_first;
    uint32_t new_end;
    uint32_t new_count;
} gather_at;

static inline __attribute__((always_inline)) gather_at gather_push(aei_gather *of, gather_at at,
                                                                   const uint64_t *key,
                                                                   uint64_t word, bool live,
                                                                   bool recent)
{
    /* What is not live is overwritten by the next one: no branch depends on it. */
    of->keys[at.count] = key;
    of->words[at.count] = word;
    at.new_first = recent && at.new_count == 0 ? at.count : at.new_first;
    at.new_end = recent ? at.count + 1 : at.new_end;
    at.new_count += recent;
    at.count += live;
    return at;
}

static inline __attribute__((always_inline)) void gather_as(const ae_tree *tree,
                                                            const uint32_t width,
                                                            const ae_tree_node *leaf,
                                                            const aei_batch *batch, aei_gather *of)
{
    AE_ASSERT(leaf->level == 0 && width <= AE_TREE_WORDS_MAX);
    const uint64_t *keys = aei_leaf_keys(leaf);
    const ae_a64 *words = aei_leaf_words(leaf, width);
    uint8_t extras[AE_TREE_APPEND_MAX];
    uint8_t order[AE_TREE_LEAF_MAX];
    const uint32_t extra_count = leaf_appended(width, leaf, extras);
    const uint32_t places = aei_leaf_merge(leaf, width, 0, leaf->count, extras, extra_count, order);
    const uint32_t live = leaf_survey(width, leaf, &of->floor);
    /* What two leaves can take, and what there is room to collect even in a damaged leaf. */
    const uint32_t most = 2 * AE_TREE_LEAF_MAX - 1 - places;
    const uint32_t room = 2 * aei_leaf_fill_most(width) - live;
    const uint32_t less = room < most ? room : most;
    const uint32_t adding = batch == NULL ? 0 : batch->count < less ? batch->count : less;
    /* A new entry's number is above all that its key had: here, or in a leaf that was given up. */
    const uint32_t fresh = aei_sequence_later(of->floor, ae_load32_acquire(&tree->root->floor)) + 1;
    gather_at at = {0, 0, 0, 0};
    uint32_t next = 0;
    uint32_t added = 0;
    AE_ALWAYS(places <= AE_TREE_LEAF_MAX && places + adding < 2 * AE_TREE_LEAF_MAX);
    do {
        const uint64_t *key = added < adding ? batch->words + (size_t)added * width : NULL;
        const ae_ref anchor = added < adding ? batch->anchors[added] : 0;
        bool same = false;
        for (; next < places && !same; next++) {
            const uint32_t place = order[next];
            const uint64_t *own = keys + (size_t)place * width;
            uint64_t word = ae_load64(&words[place]) & ~AE_TREE_FROZEN;
            if (key != NULL && !aei_below(own, (ae_ref)word, key, anchor, width)) {
                same = aei_is_live(word) && (ae_ref)word == anchor &&
                       aei_same_words(own, key, width);
                if (!same)
                    break;
                word = aei_word_live(aei_word_sequence(word) + 1, anchor);
            }
            const bool is_live = aei_is_live(word);
            at = gather_push(of, at, own, word, is_live, is_live && place >= leaf->count);
        }
        if (key != NULL && !same)
            at = gather_push(of, at, key, aei_word_live(fresh, anchor), true, true);
        added += key != NULL;
    } while (added < adding || next < places);
    of->added = added;
    of->count = at.count;
    of->new_first = at.new_first;
    of->new_end = at.new_end;
    of->new_count = at.new_count;
}

void aei_gather_leaf(const ae_tree *tree, const ae_tree_node *leaf, const aei_batch *batch,
                     aei_gather *of)
{
    if (tree->width == 1)
        gather_as(tree, 1, leaf, batch, of);
    else if (tree->width == 2)
        gather_as(tree, 2, leaf, batch, of);
    else
        gather_as(tree, tree->width, leaf, batch, of);
}

uint32_t aei_gather_split(const ae_tree *tree, const aei_gather *of)
{
    AE_ASSERT(of->count > 0 && of->new_end <= of->count && of->new_first <= of->new_end);
    const uint32_t most = aei_leaf_fill_most(tree->width);
    const uint32_t count = of->count;
    const bool run = of->new_count > 0 && of->new_end - of->new_first == of->new_count;
    uint32_t at = count / 2;
    if (count + SLACK <= aei_leaf_capacity(tree->width))
        return count;
    if (run && of->new_end == count)
        at = most;
    else if (run && of->new_first == 0)
        at = count > most ? count - most : 1;
    else if (run)
        at = of->new_end < count / 4       ? count / 4
             : of->new_end > count / 4 * 3 ? count / 4 * 3
                                           : of->new_end;
    at = at > most ? most : at;
    at = at >= count ? count - 1 : at;
    return count - at > most ? count - most : at;
}

void aei_leaf_fill(const ae_tree *tree, ae_tree_node *leaf, const aei_gather *of, uint32_t first,
                   uint32_t end)
{
    const uint32_t width = tree->width;
    const uint32_t capacity = aei_leaf_capacity(width);
    uint64_t *keys = leaf->data;
    ae_a64 *words = aei_leaf_words(leaf, width);
    AE_ALWAYS(leaf->level == 0 && first <= end && end - first <= capacity);
    leaf->count = end - first;
    leaf->floor = of->floor;
    ae_store32(&leaf->dead, 0);
    for (uint32_t place = 0; place < end - first; place++) {
        for (uint32_t word = 0; word < width; word++)
            keys[(size_t)place * width + word] = of->keys[first + place][word];
        ae_store64(&words[place], of->words[first + place]);
    }
    for (uint32_t place = end - first; place < capacity; place++)
        ae_store64(&words[place], 0);
}

/* ---- inner nodes ---------------------------------------------------------------------------- */

static void children_push(aei_children *of, aei_bound low, ae_ref child)
{
    AE_ASSERT(child != 0 || of->count == 0);
    AE_ALWAYS(of->count < AE_TREE_INNER_MAX + 1);
    of->low[of->count] = low;
    of->child[of->count] = child;
    of->count++;
}

bool aei_gather_inner(const ae_tree *tree, const ae_tree_node *inner, const ae_tree_node *child,
                      const aei_join *join, aei_children *of)
{
    AE_ASSERT(inner->level > 0);
    const uint32_t width = tree->width;
    const uint64_t *keys = aei_inner_keys(inner, width);
    const ae_ref *anchors = aei_inner_anchors(inner, width);
    const ae_a64 *children = aei_inner_children(inner);
    const ae_ref wanted = aei_tree_ref(tree, child);
    const ae_ref left_ref = aei_tree_ref(tree, join->left);
    const ae_ref right_ref = aei_tree_ref(tree, join->right);
    of->count = 0;
    of->inserted = UINT32_MAX;
    of->found = false;
    for (uint32_t index = 0; index < inner->count; index++) {
        const ae_ref ref = (ae_ref)ae_load64_acquire(&children[index]);
        const aei_bound low = {keys + (size_t)index * width, anchors[index]};
        if (ref == 0 || ref == right_ref) /* its range goes to its neighbour */
            continue;
        if (ref == left_ref) {
            if (join->fresh != 0)
                children_push(of, low, join->fresh);
            continue;
        }
        if (ref != wanted) {
            children_push(of, low, ref);
            continue;
        }
        /* Acquire: the successors are complete; pairs with node_publish. */
        const uint64_t successor = ae_load64_acquire(&child->successor);
        of->found = true;
        if (successor == AE_TREE_GONE)
            continue;
        children_push(of, low, (ae_ref)successor);
        if ((successor >> 32) == 0)
            continue;
        const ae_tree_node *right = aei_tree_node(tree, (ae_ref)(successor >> 32));
        if (right == NULL || right->level != child->level)
            return false;
        of->inserted = of->count - 1;
        children_push(of, aei_node_low(right, width), (ae_ref)(successor >> 32));
    }
    if (of->count > 0)
        of->low[0] = (aei_bound){keys, anchors[0]};
    return true;
}

uint32_t aei_children_split(const ae_tree *tree, const aei_children *of)
{
    AE_ASSERT(of->count > 0 && (of->inserted == UINT32_MAX || of->inserted + 1 < of->count));
    const uint32_t capacity = aei_inner_capacity(tree->width);
    const uint32_t most = capacity * AE_TREE_FILL_TENTHS / 10;
    if (of->count <= capacity)
        return of->count;
    if (of->inserted == of->count - 2)
        return most;
    return of->inserted == 0 ? of->count - most : of->count / 2;
}

void aei_inner_fill(const ae_tree *tree, ae_tree_node *inner, const aei_children *of,
                    uint32_t first, uint32_t end)
{
    AE_ASSERT(end <= of->count);
    const uint32_t width = tree->width;
    uint64_t *keys = inner->data + aei_inner_capacity(width);
    ae_ref *anchors = (ae_ref *)(void *)(keys + (size_t)aei_inner_capacity(width) * width);
    ae_a64 *children = aei_inner_children(inner);
    AE_ALWAYS(inner->level > 0 && first < end && end - first <= aei_inner_capacity(width));
    inner->count = end - first;
    inner->floor = 0;
    ae_store32(&inner->dead, 0);
    for (uint32_t index = 0; index < end - first; index++) {
        const aei_bound low = of->low[first + index];
        for (uint32_t word = 0; word < width; word++)
            keys[(size_t)index * width + word] = low.words[word];
        anchors[index] = low.anchor;
        ae_store64(&children[index], of->child[first + index]);
    }
}
