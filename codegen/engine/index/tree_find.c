/* tree_find.c — the way down an ordered index, without writing (see tree.h).
 *
 * A node without a successor when a reader comes to it is current at that instant, and answers for
 * the key.  Whatever its references say then, or later when they are frozen, was linked then or
 * later: it had not been retired when the reader's snapshot was published, so it stays.  What is
 * put elsewhere after that instant need not be seen.
 *
 * The same holds for a node that was lifted (tree_join.c).  The reader passed the node above it
 * when that had no successor, and only after that got one could anything be put elsewhere: what is
 * missing from the frozen node was put after that instant.
 */
#include "index/tree_node.h"

/* More replacements of one node than this while a reader passes are damage, not contention. */
#define FOLLOW_MAX 100000u

void ae_tree_create(ae_tree_root *root, uint32_t width)
{
    AE_ALWAYS(width >= 1 && width <= AE_TREE_WORDS_MAX);
    root->width = width;
    ae_store32(&root->floor, 0);
    ae_store64_release(&root->node, 0); /* pairs with aei_tree_descend */
}

aero_status ae_tree_open(ae_tree *tree, ae_proc *proc, ae_tree_root *root, aero_error *error)
{
    const ae_segment *segment = proc->heap->segment;
    const uint32_t width = root->width;
    if (width < 1 || width > AE_TREE_WORDS_MAX)
        return ae_fail(error, AERO_CORRUPT, "an ordered index has keys of %u words", width);
    tree->proc = proc;
    tree->root = root;
    tree->root_ref = ae_ref_of(segment, root);
    tree->width = width;
    tree->leaf_pool = ae_heap_class(proc->heap, aei_leaf_bytes(width) - sizeof(ae_block));
    tree->inner_pool = ae_heap_class(proc->heap, aei_inner_bytes(width) - sizeof(ae_block));
    return AERO_OK;
}

aero_status aei_tree_damaged(const ae_tree *tree, aero_error *error)
{
    return ae_fail(error, AERO_CORRUPT, "segment damaged: the ordered index at %llx",
                   (unsigned long long)tree->root_ref << 4);
}

/* The successor that answers for the bound; *gone when nobody does. */
static ae_tree_node *follow(const ae_tree *tree, uint64_t successor, uint32_t level,
                            aei_bound bound, bool before, aei_way *way, bool *gone)
{
    *gone = successor == AE_TREE_GONE;
    if (*gone)
        return NULL;
    ae_tree_node *left = aei_tree_node(tree, (ae_ref)successor);
    if ((successor >> 32) == 0)
        return left != NULL && left->level == level ? left : NULL;
    ae_tree_node *right = aei_tree_node(tree, (ae_ref)(successor >> 32));
    if (left == NULL || right == NULL || left->level != level || right->level != level)
        return NULL;
    const aei_bound low = aei_node_low(right, tree->width);
    const bool goes_left = before ? !aei_below(low.words, low.anchor, bound.words, bound.anchor,
                                               tree->width)
                                  : aei_below(bound.words, bound.anchor, low.words, low.anchor,
                                              tree->width);
    if (goes_left)
        way->high = low;
    else
        way->low = low;
    return goes_left ? left : right;
}

static inline __attribute__((always_inline)) bool enter(const ae_tree *tree, uint32_t width,
                                                        aei_bound bound, bool before, ae_ref ref,
                                                        aei_way *way)
{
    uint32_t level = UINT32_MAX;
    uint32_t hops = 0;
    way->leaf = NULL;
    while (ref != 0) {
        ae_tree_node *node = aei_tree_node(tree, ref);
        if (node == NULL || (level != UINT32_MAX && node->level + 1u != level))
            return false;
        level = node->level;
        for (;;) {
            /* Acquire: the replacements are complete; pairs with the CAS in node_publish. */
            uint64_t successor = ae_load64_acquire(&node->successor);
            if (aei_up_of(successor) != 0)
                successor = 0; /* joined with its neighbour: as good as current, see the top */
            if (successor != 0) {
                bool gone = false;
                node = follow(tree, successor, level, bound, before, way, &gone);
                if (gone)
                    return true;
                if (node == NULL || ++hops > FOLLOW_MAX)
                    return false;
                continue;
            }
            AE_CRASH_POINT("tree.passing");
            if (level == 0) {
                way->leaf = node;
                return true;
            }
            if (node->count == 0)
                return false;
            const uint32_t child = aei_inner_search(node, width, bound, before);
            way->place = &aei_inner_children(node)[child];
            /* Acquire: the child is filled; pairs with the CAS in aei_tree_help. */
            ref = (ae_ref)ae_load64_acquire(way->place);
            aei_node_fetch(tree, ref, level - 1);
            way->parent = node;
            way->child = child;
            way->parent_low = way->low;
            way->parent_high = way->high;
            const uint64_t *keys = aei_inner_keys(node, width);
            const ae_ref *anchors = aei_inner_anchors(node, width);
            if (child > 0)
                way->low = (aei_bound){keys + (size_t)child * width, anchors[child]};
            if (child + 1 < node->count)
                way->high = (aei_bound){keys + (size_t)(child + 1) * width, anchors[child + 1]};
            break;
        }
    }
    return true;
}

bool aei_tree_enter(const ae_tree *tree, aei_bound bound, bool before, ae_ref ref, aei_way *way)
{
    if (tree->width == 1)
        return enter(tree, 1, bound, before, ref, way);
    return enter(tree, tree->width, bound, before, ref, way);
}

bool aei_tree_descend(const ae_tree *tree, aei_bound bound, bool before, aei_way *way)
{
    AE_ASSERT(bound.words != NULL);
    way->parent = NULL;
    way->child = 0;
    way->place = &tree->root->node;
    way->low.words = NULL;
    way->high.words = NULL;
    way->parent_low.words = NULL;
    way->parent_high.words = NULL;
    /* Acquire: the top is filled; pairs with the CAS in aei_tree_help. */
    return aei_tree_enter(tree, bound, before, (ae_ref)ae_load64_acquire(&tree->root->node), way);
}

static inline __attribute__((always_inline)) uint32_t leaf_find(const ae_tree_node *leaf,
                                                                const uint32_t width,
                                                                const ae_tree_key *key)
{
    AE_ASSERT(leaf->level == 0 && key->anchor != 0);
    const uint64_t *keys = aei_leaf_keys(leaf);
    const ae_a64 *words = aei_leaf_words(leaf, width);
    const uint32_t below = aei_leaf_below(leaf, width, aei_bound_of(key));
    if (below < leaf->count && (ae_ref)ae_load64(&words[below]) == key->anchor &&
        aei_same_words(keys + (size_t)below * width, key->words, width))
        return below;
    const uint32_t limit = aei_leaf_limit(leaf, width);
    for (uint32_t place = leaf->count; place < limit; place++) {
        /* Acquire: the key is written before its word says so; pairs with the CAS in slot_fill. */
        const uint64_t word = ae_load64_acquire(&words[place]);
        if ((word & ~AE_TREE_FROZEN) == 0)
            break; /* places are claimed in order */
        if ((ae_ref)word == key->anchor && aei_has_key(word) &&
            aei_same_words(keys + (size_t)place * width, key->words, width))
            return place;
    }
    return UINT32_MAX;
}

uint32_t aei_leaf_find(const ae_tree_node *leaf, uint32_t width, const ae_tree_key *key)
{
    return width == 1 ? leaf_find(leaf, 1, key) : leaf_find(leaf, width, key);
}

/* The key's spot in the leaf that answers for it. */
static bool leaf_spot(const ae_tree *tree, ae_tree_node *leaf, const ae_tree_key *key,
                      ae_tree_spot *spot)
{
    const uint32_t place = aei_leaf_find(leaf, tree->width, key);
    if (place == UINT32_MAX)
        return false;
    const uint64_t word = ae_load64_acquire(&aei_leaf_words(leaf, tree->width)[place]);
    if (!aei_is_live(word))
        return false;
    *spot = (ae_tree_spot){word & ~AE_TREE_FROZEN, leaf, place};
    return true;
}

bool ae_tree_spot_find(const ae_tree *tree, const ae_tree_key *key, ae_tree_spot *spot)
{
    aei_way way;
    AE_ASSERT(key->anchor != 0 && key->anchor != UINT32_MAX);
    return aei_tree_descend(tree, aei_bound_of(key), false, &way) && way.leaf != NULL &&
           leaf_spot(tree, way.leaf, key, spot);
}

ae_tree_node *aei_leaf_near(const ae_tree *tree, ae_ref near)
{
    ae_tree_node *leaf = near == 0 ? NULL : aei_tree_node(tree, near);
    /* Acquire: as in `enter`, before its words are looked at. */
    return leaf == NULL || leaf->level != 0 || ae_load64_acquire(&leaf->successor) != 0 ? NULL
                                                                                        : leaf;
}

bool ae_tree_spot_near(const ae_tree *tree, const ae_tree_key *key, ae_ref near, ae_tree_spot *spot)
{
    ae_tree_node *leaf = aei_leaf_near(tree, near);
    AE_ASSERT(key->anchor != 0 && key->anchor != UINT32_MAX);
    return leaf == NULL ? ae_tree_spot_find(tree, key, spot) : leaf_spot(tree, leaf, key, spot);
}

bool ae_tree_find(const ae_tree *tree, const ae_tree_key *key, uint64_t *ticket)
{
    ae_tree_spot spot;
    if (!ae_tree_spot_find(tree, key, &spot))
        return false;
    *ticket = spot.ticket;
    return true;
}
