/* tree_estimate.c — how many entries a range has, about, for planners (see tree.h).
 *
 * Two ways down, to the range's ends, part at some node.  What lies between them there is counted
 * in children, and what lies beside them further down likewise; a child's entries are estimated by
 * the fan-outs met on both ways.  For the whole tree a few random ways are taken, and the mean of
 * the products of their fan-outs is an unbiased estimate (Knuth: Estimating the Efficiency of
 * Backtrack Programs, 1975).
 */
#include "index/tree_node.h"

#define SAMPLE_WAYS 16u

typedef struct estimate_way {
    const ae_tree_node *nodes[AE_TREE_HEIGHT_MAX + 1]; /* by level */
    uint32_t index[AE_TREE_HEIGHT_MAX + 1]; /* the child taken; in the leaf, entries below */
    uint32_t count[AE_TREE_HEIGHT_MAX + 1]; /* children; entries */
    uint32_t top;                           /* level of the first node */
    bool empty;
} estimate_way;

/* The newest of a node's successors that answers for the bound. */
static const ae_tree_node *node_now(const ae_tree *tree, ae_ref ref, aei_bound bound)
{
    const ae_tree_node *node = aei_tree_node(tree, ref);
    for (uint32_t hop = 0; node != NULL && hop < AE_TREE_HEIGHT_MAX; hop++) {
        const uint64_t successor = ae_load64_acquire(&node->successor);
        AE_CRASH_POINT("tree.estimating");
        if (successor == 0 || aei_up_of(successor) != 0) /* joined since: near enough */
            return node;
        if (successor == AE_TREE_GONE)
            return NULL;
        const ae_tree_node *right = aei_tree_node(tree, (ae_ref)(successor >> 32));
        const ae_tree_node *left = aei_tree_node(tree, (ae_ref)successor);
        if (right != NULL) {
            const aei_bound low = aei_node_low(right, tree->width);
            if (!aei_below(bound.words, bound.anchor, low.words, low.anchor, tree->width))
                left = right;
        }
        node = left != NULL && left->level == node->level ? left : NULL;
    }
    return NULL; /* what a replaced node leads to may be gone */
}

static uint32_t leaf_live(const ae_tree *tree, const ae_tree_node *leaf, uint32_t first,
                          uint32_t end)
{
    const ae_a64 *words = aei_leaf_words(leaf, tree->width);
    uint32_t live = 0;
    for (uint32_t place = first; place < end; place++)
        live += aei_is_live(ae_load64(&words[place]));
    return live;
}

/* Live entries of the leaf below the bound. */
static uint32_t leaf_live_below(const ae_tree *tree, const ae_tree_node *leaf, aei_bound bound)
{
    static const uint64_t least[AE_TREE_WORDS_MAX];
    uint8_t extras[AE_TREE_APPEND_MAX];
    return leaf_live(tree, leaf, 0, aei_leaf_below(leaf, tree->width, bound)) +
           aei_leaf_extras(leaf, tree->width, (aei_bound){least, 0}, bound, extras);
}

static void way_take(const ae_tree *tree, aei_bound bound, estimate_way *way)
{
    const ae_tree_node *node = node_now(tree, (ae_ref)ae_load64_acquire(&tree->root->node), bound);
    way->empty = node == NULL;
    way->top = node == NULL ? 0 : node->level;
    for (uint32_t level = 0; level <= way->top; level++) {
        way->nodes[level] = NULL;
        way->index[level] = way->count[level] = 0;
    }
    while (node != NULL) {
        const uint32_t level = node->level;
        way->nodes[level] = node;
        if (level == 0) {
            way->count[0] = leaf_live(tree, node, 0, aei_leaf_limit(node, tree->width));
            way->index[0] = leaf_live_below(tree, node, bound);
            return;
        }
        if (node->count == 0)
            return;
        way->count[level] = node->count;
        way->index[level] = aei_inner_search(node, tree->width, bound, false);
        const ae_ref child = (ae_ref)ae_load64_acquire(
            &aei_inner_children(node)[way->index[level]]);
        node = child == 0 ? NULL : node_now(tree, child, bound);
        if (node != NULL && node->level + 1u != level)
            return;
    }
}

uint64_t ae_tree_estimate(const ae_tree *tree, const ae_tree_range *range)
{
    estimate_way low;
    estimate_way high;
    way_take(tree, aei_bound_of(&range->low), &low);
    way_take(tree, aei_bound_of(&range->high), &high);
    if (low.empty || high.empty)
        return 0;
    uint32_t level = low.top < high.top ? low.top : high.top;
    /* Down to where the ways part; where the top has changed in between, the old one is read on. */
    while (level > 0 && low.nodes[level] == high.nodes[level] &&
           low.index[level] == high.index[level])
        level--;
    if (level == 0)
        return high.index[0] > low.index[0] ? high.index[0] - low.index[0] : 0;
    double size = ((double)low.count[0] + high.count[0]) / 2; /* of a subtree, level by level */
    double right = (double)low.count[0] - low.index[0];
    double left = high.index[0];
    for (uint32_t at = 1; at < level; at++) {
        const uint32_t after = low.count[at] > low.index[at] ? low.count[at] - low.index[at] - 1
                                                             : 0;
        right += size * after;
        left += size * high.index[at];
        size *= ((double)low.count[at] + high.count[at]) / 2;
    }
    const uint32_t from = low.index[level];
    const uint32_t to = high.index[level];
    const double between = low.nodes[level] == high.nodes[level] && to > from ? to - from - 1 : 0;
    if (low.nodes[level] == high.nodes[level] && to < from)
        return 0;
    return (uint64_t)(right + left + between * size);
}

/* ---- the whole tree ------------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *state)
{
    AE_ASSERT(*state != 0);
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Neighbours in order that differ: in all words, and in the first. */
typedef struct borders {
    double pairs;
    double all;
    double first;
} borders;

static void borders_count(const uint64_t *keys, uint32_t first, uint32_t count, uint32_t width,
                          borders *of)
{
    AE_ASSERT(width >= 1 && width <= AE_TREE_WORDS_MAX);
    for (uint32_t index = first + 1; index < count; index++) {
        const uint64_t *key = keys + (size_t)index * width;
        of->pairs += 1;
        of->all += !aei_same_words(key - width, key, width);
        of->first += key[0] != key[-(ptrdiff_t)width];
    }
}

/* A random child that is there, and how many there are; NULL when there is none. */
static const ae_tree_node *child_random(const ae_tree *tree, const ae_tree_node *inner,
                                        uint64_t *random, uint32_t *count)
{
    ae_ref there[AE_TREE_INNER_MAX];
    const ae_a64 *children = aei_inner_children(inner);
    const uint64_t *keys = aei_inner_keys(inner, tree->width);
    const ae_ref *anchors = aei_inner_anchors(inner, tree->width);
    uint32_t index[AE_TREE_INNER_MAX];
    *count = 0;
    for (uint32_t at = 0; at < inner->count; at++) {
        const ae_ref ref = (ae_ref)ae_load64_acquire(&children[at]);
        index[*count] = at;
        there[*count] = ref;
        *count += ref != 0;
    }
    if (*count == 0)
        return NULL;
    const uint32_t pick = (uint32_t)(next_random(random) % *count);
    const uint32_t at = index[pick];
    return node_now(tree, there[pick], (aei_bound){keys + (size_t)at * tree->width, anchors[at]});
}

/* One random way: the product of its fan-outs, and the borders met at each level. */
static void way_sample(const ae_tree *tree, uint64_t *random, double *entries, double *nodes,
                       borders *met)
{
    static const uint64_t least[AE_TREE_WORDS_MAX];
    const uint32_t width = tree->width;
    const ae_tree_node *node = node_now(tree, (ae_ref)ae_load64_acquire(&tree->root->node),
                                        (aei_bound){least, 0});
    double product = 1;
    while (node != NULL && node->level <= AE_TREE_HEIGHT_MAX) {
        const uint32_t level = node->level;
        nodes[level] += product;
        if (level == 0) {
            *entries += product * leaf_live(tree, node, 0, aei_leaf_limit(node, width));
            borders_count(aei_leaf_keys(node), 0, node->count, width, &met[0]);
            return;
        }
        uint32_t count = 0;
        borders_count(aei_inner_keys(node, width), 1, node->count, width, &met[level]);
        node = child_random(tree, node, random, &count);
        product *= count;
        if (node != NULL && node->level + 1u != level)
            return;
    }
}

static bool end_take(const ae_tree *tree, bool descending, ae_tree_key *key)
{
    ae_tree_cursor cursor;
    ae_tree_range all;
    ae_tree_range_all(&all);
    *key = all.low;
    ae_tree_seek(&cursor, tree, &all, descending);
    return ae_tree_next(&cursor, key->words, &key->anchor, 1) == 1;
}

/* Different values: the share of neighbours that differ, times how many neighbours there are, at
 * the level that tells most.  In a leaf of equal keys there is nothing to be seen; the separators
 * above it are further apart. */
static uint64_t distinct_of(const double *nodes, const borders *met, double entries, bool first)
{
    AE_ASSERT(entries >= 0);
    double most = 0;
    for (uint32_t level = 0; level <= AE_TREE_HEIGHT_MAX; level++) {
        const double pairs = level == 0 ? entries : nodes[level - 1];
        const double differ = first ? met[level].first : met[level].all;
        const double found = met[level].pairs > 0 ? pairs * differ / met[level].pairs : 0;
        most = found > most ? found : most;
    }
    return (uint64_t)most + 1;
}

void ae_tree_sample_take(const ae_tree *tree, uint64_t seed, ae_tree_sample *sample)
{
    double entries = 0;
    double nodes[AE_TREE_HEIGHT_MAX + 1] = {0};
    borders met[AE_TREE_HEIGHT_MAX + 1] = {{0}};
    uint64_t random = seed * 0x9e3779b97f4a7c15ull + 1;
    random += random == 0;
    sample->entries = sample->distinct = sample->distinct_first = sample->bytes = 0;
    sample->empty = !end_take(tree, false, &sample->least) ||
                    !end_take(tree, true, &sample->greatest);
    if (sample->empty)
        return;
    for (uint32_t way = 0; way < SAMPLE_WAYS; way++)
        way_sample(tree, &random, &entries, nodes, met);
    entries /= SAMPLE_WAYS;
    for (uint32_t level = 0; level <= AE_TREE_HEIGHT_MAX; level++)
        nodes[level] /= SAMPLE_WAYS;
    double bytes = nodes[0] * aei_leaf_bytes(tree->width);
    for (uint32_t level = 1; level <= AE_TREE_HEIGHT_MAX; level++)
        bytes += nodes[level] * aei_inner_bytes(tree->width);
    AE_ASSERT(bytes >= 0 && entries >= 0);
    sample->bytes = (uint64_t)bytes;
    sample->entries = entries < 1 ? 1 : (uint64_t)(entries + 0.5);
    const uint64_t all = distinct_of(nodes, met, entries, false);
    const uint64_t first = distinct_of(nodes, met, entries, true);
    sample->distinct = all < sample->entries ? all : sample->entries;
    sample->distinct_first = first < sample->entries ? first : sample->entries;
}
