/* tree_check.c — the shape of an ordered index, checked without believing anything (see tree.h).
 *
 * Levels fall by one from a node to its child, so the walk ends; a chain of successors is followed
 * for as long as no more nodes are met than the pools have, and not too deep.
 */
#include "index/tree_node.h"

/* Levels, and pairs of successors that wait for a writer to pass: a few at most. */
#define DEPTH_MAX (8u * AE_TREE_HEIGHT_MAX)

typedef struct check {
    const ae_tree *tree;
    ae_tree_see see;
    void *context;
    ae_tree_shape *shape;
    aero_error *error;
    uint64_t nodes_max;
} check;

static aero_status broken(const check *of, const char *what, ae_ref where)
{
    return ae_fail(of->error, AERO_CORRUPT,
                   "segment damaged: %s of a node at %llx of the ordered index at %llx", what,
                   (unsigned long long)where << 4, (unsigned long long)of->tree->root_ref << 4);
}

/* The node of a reference if it is a block of the right pool that says it belongs to the tree. */
static const ae_tree_node *node_of(const check *of, ae_ref ref)
{
    const ae_heap *heap = of->tree->proc->heap;
    const ae_slab *slab = ae_heap_slab(heap, ref);
    if (slab == NULL || (slab->pool != of->tree->leaf_pool && slab->pool != of->tree->inner_pool))
        return NULL;
    const ae_tree_node *node = aei_tree_node(of->tree, ref);
    if (node == NULL ||
        slab->pool != (node->level == 0 ? of->tree->leaf_pool : of->tree->inner_pool) ||
        !ae_tree_owns_word(ae_load64_acquire(&node->block.word), of->tree->root_ref))
        return NULL;
    return node;
}

static bool within(const check *of, aei_bound key, aei_bound low, aei_bound high)
{
    const uint32_t width = of->tree->width;
    return (low.words == NULL || !aei_below(key.words, key.anchor, low.words, low.anchor, width)) &&
           (high.words == NULL || aei_below(key.words, key.anchor, high.words, high.anchor, width));
}

/* Order, bounds and one place a key; then the live entries are shown in order. */
static aero_status leaf_check(check *of, const ae_tree_node *leaf, aei_bound low, aei_bound high)
{
    const uint32_t width = of->tree->width;
    const ae_ref ref = aei_tree_ref(of->tree, leaf);
    const uint64_t *keys = aei_leaf_keys(leaf);
    const ae_a64 *words = aei_leaf_words(leaf, width);
    const uint32_t limit = aei_leaf_limit(leaf, width);
    aei_bound places[AE_TREE_LEAF_MAX];
    uint64_t seen[AE_TREE_LEAF_MAX];
    uint32_t count = 0;
    for (uint32_t place = 0; place < limit; place++) {
        const uint64_t word = ae_load64_acquire(&words[place]);
        const aei_bound key = {keys + (size_t)place * width, (ae_ref)word};
        if (!aei_has_key(word)) {
            if (place < leaf->count)
                return broken(of, "an entry's word", ref);
            continue;
        }
        if (key.anchor == UINT32_MAX || !within(of, key, low, high))
            return broken(of, "a key outside the bounds", ref);
        uint32_t at = count++;
        for (; at > 0 && !aei_below(places[at - 1].words, places[at - 1].anchor, key.words,
                                    key.anchor, width);
             at--) {
            if (place < leaf->count)
                return broken(of, "the order", ref);
            places[at] = places[at - 1];
            seen[at] = seen[at - 1];
        }
        places[at] = key;
        seen[at] = word;
    }
    for (uint32_t at = 0; at < count; at++) {
        if (at > 0 && !aei_below(places[at - 1].words, places[at - 1].anchor, places[at].words,
                                 places[at].anchor, width))
            return broken(of, "a key with two places", ref);
        of->shape->dead += !aei_is_live(seen[at]);
        of->shape->entries += aei_is_live(seen[at]);
        if (aei_is_live(seen[at]) && of->see != NULL &&
            !of->see(of->context, places[at].words, places[at].anchor))
            return broken(of, "an entry that leads to no row", ref);
    }
    of->shape->leaves++;
    return AERO_OK;
}

static aero_status node_check(check *of, ae_ref ref, uint32_t level, uint32_t depth, aei_bound low,
                              aei_bound high);

static aero_status inner_check(check *of, const ae_tree_node *inner, uint32_t depth, aei_bound low,
                               aei_bound high)
{
    const uint32_t width = of->tree->width;
    const ae_ref ref = aei_tree_ref(of->tree, inner);
    const uint64_t *keys = aei_inner_keys(inner, width);
    const ae_ref *anchors = aei_inner_anchors(inner, width);
    if (inner->count == 0)
        return broken(of, "the count", ref);
    of->shape->inners++;
    for (uint32_t index = 0; index < inner->count; index++) {
        const aei_bound from = index == 0
                                   ? low
                                   : (aei_bound){keys + (size_t)index * width, anchors[index]};
        const aei_bound to = index + 1 == inner->count
                                 ? high
                                 : (aei_bound){keys + (size_t)(index + 1) * width,
                                               anchors[index + 1]};
        if (index > 0 &&
            (!within(of, from, low, high) ||
             (index > 1 && !aei_below(keys + (size_t)(index - 1) * width, anchors[index - 1],
                                      from.words, from.anchor, width))))
            return broken(of, "a separator", ref);
        const ae_ref child = (ae_ref)ae_load64_acquire(&aei_inner_children(inner)[index]);
        const aero_status status = child == 0 ? AERO_OK
                                              : node_check(of, child, inner->level - 1u, depth + 1,
                                                           from, to);
        if (status != AERO_OK)
            return status;
    }
    return AERO_OK;
}

/* Recursion: along the levels, and along successors that nobody has swung to. */
static aero_status node_check(check *of, ae_ref ref, uint32_t level, uint32_t depth, aei_bound low,
                              aei_bound high)
{
    for (;;) {
        const ae_tree_node *node = node_of(of, ref);
        if (node == NULL || (level != UINT32_MAX && node->level != level))
            return broken(of, "the reference", ref);
        level = node->level;
        if (++of->shape->nodes > of->nodes_max || depth > DEPTH_MAX)
            return broken(of, "a circle", ref);
        const uint64_t successor = ae_load64_acquire(&node->successor);
        const ae_ref up = aei_up_of(successor);
        if (up != 0 && (node_of(of, up) == NULL || node_of(of, up)->level != level + 1))
            return broken(of, "a successor", ref);
        if (successor == 0 || up != 0) /* to be joined, or just joined: whole as it is */
            return level == 0 ? leaf_check(of, node, low, high)
                              : inner_check(of, node, depth, low, high);
        if (successor == AE_TREE_GONE)
            return AERO_OK;
        ref = (ae_ref)successor;
        if ((successor >> 32) == 0)
            continue;
        const ae_tree_node *right = node_of(of, (ae_ref)(successor >> 32));
        if (right == NULL || right->level != level || right->count == 0)
            return broken(of, "a successor", ref);
        const aei_bound cut = aei_node_low(right, of->tree->width);
        if (!within(of, cut, low, high))
            return broken(of, "the cut between successors", ref);
        const aero_status status = node_check(of, ref, level, depth + 1, low, cut);
        if (status != AERO_OK)
            return status;
        ref = (ae_ref)(successor >> 32);
        low = cut;
    }
}

aero_status ae_tree_check(const ae_tree *tree, ae_tree_see see, void *context, ae_tree_shape *shape,
                          aero_error *error)
{
    const ae_heap *heap = tree->proc->heap;
    const aei_bound none = {NULL, 0};
    check of = {tree, see, context, shape, error, 0};
    *shape = (ae_tree_shape){.height = 0};
    of.nodes_max = ae_pool_bytes(heap, tree->leaf_pool) / aei_leaf_bytes(tree->width) +
                   ae_pool_bytes(heap, tree->inner_pool) / aei_inner_bytes(tree->width);
    const ae_ref top = (ae_ref)ae_load64_acquire(&tree->root->node);
    if (top == 0)
        return AERO_OK;
    const ae_tree_node *node = node_of(&of, top);
    if (node == NULL)
        return broken(&of, "the reference", top);
    shape->height = node->level + 1u;
    return node_check(&of, top, UINT32_MAX, 0, none, none);
}
