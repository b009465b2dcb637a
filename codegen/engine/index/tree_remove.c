/* tree_remove.c — removing entries, and taking a whole tree down (see tree.h).
 *
 * An entry is removed by one compare-and-swap on its word.  While that word is not frozen its leaf
 * is current (T3), however long ago it was found, so who has just found an entry need not come down
 * the tree once more.  What a removal leaves may be too little for a leaf: that is looked at after
 * it, with a new way down.
 */
#include "index/tree_node.h"

/* A writer that starts over this often is in a damaged tree. */
#define TURNS_MAX 10000000u

/* ---- removing ------------------------------------------------------------------------------- */

/* Of the only leaf of a tree so many may be dead: keys that come and go in one long transaction
 * would have it rewritten each time, and the old ones kept for as long. */
#define ONLY_LEAF_DEAD (AE_TREE_APPEND_MAX / 2)

/* Enough is dead that the leaf should be rewritten, or given up. */
static bool leaf_is_stale(const ae_tree *tree, const ae_tree_node *leaf, uint32_t dead, bool only)
{
    const ae_a64 *words = aei_leaf_words(leaf, tree->width);
    const uint32_t limit = aei_leaf_limit(leaf, tree->width);
    uint32_t used = leaf->count;
    if (dead * 2 < used || (only && dead < ONLY_LEAF_DEAD))
        return false;
    while (used < limit && ae_load64(&words[used]) != 0)
        used++;
    return dead * 2 >= used;
}

/* An entry of the leaf has been removed: rewrite, join or give up a leaf that has become stale.
 * Not needed for what was asked, so no memory for it is no error. */
static void leaf_tidy(ae_tree *tree, uint32_t slot, aei_bound bound, ae_tree_node *leaf)
{
    AE_ASSERT(slot < AE_SLOTS && leaf->level == 0);
    const bool only = (ae_ref)ae_load64_acquire(&tree->root->node) == aei_tree_ref(tree, leaf);
    const uint32_t dead = ae_add32(&leaf->dead, 1) + 1;
    uint32_t added = 0;
    aei_way way;
    if (!leaf_is_stale(tree, leaf, dead, only) || !aei_tree_descend(tree, bound, false, &way) ||
        way.leaf != leaf)
        return; /* or somebody has replaced it meanwhile */
    if (!aei_leaf_join(tree, slot, &way))
        (void)aei_leaf_replace(tree, slot, way.leaf, NULL, &added, NULL);
    (void)aei_tree_settle(tree, slot, bound, &way, NULL);
    aei_inners_join(tree, slot, bound);
}

/* Remove what is still as it was when the ticket was read. */
static bool word_kill(ae_a64 *at, uint64_t ticket)
{
    AE_ASSERT(aei_is_live(ticket) && (ticket & AE_TREE_FROZEN) == 0);
    AE_CRASH_POINT("tree.removing");
    /* Acquire-release: the caller looked at the row's versions before; pairs with place_confirm,
     * which comes after a new version. */
    const bool done = ae_cas64(at, ticket, ticket | AE_TREE_DEAD);
    if (done)
        AE_CRASH_POINT("tree.removed");
    return done;
}

aero_status ae_tree_remove(ae_tree *tree, uint32_t slot, const ae_tree_key *key, uint64_t ticket,
                           aero_error *error)
{
    AE_ASSERT(slot < AE_SLOTS);
    const aei_bound bound = aei_bound_of(key);
    aei_way way;
    uint32_t added = 0;
    AE_ASSERT(aei_is_live(ticket) && (ae_ref)ticket == key->anchor);
    for (uint32_t turn = 0; turn < TURNS_MAX; turn++) {
        if (!aei_tree_descend(tree, bound, false, &way))
            return aei_tree_damaged(tree, error);
        const uint32_t place = way.leaf == NULL ? UINT32_MAX
                                                : aei_leaf_find(way.leaf, tree->width, key);
        if (place == UINT32_MAX)
            return AERO_OK;
        ae_a64 *at = &aei_leaf_words(way.leaf, tree->width)[place];
        const uint64_t word = ae_load64_acquire(at);
        if ((word & ~AE_TREE_FROZEN) != ticket)
            return AERO_OK;
        if ((word & AE_TREE_FROZEN) != 0) { /* its copy has the same word */
            const bool replaced = ae_load64_acquire(&way.leaf->successor) != 0;
            const aero_status status = replaced ? aei_tree_settle(tree, slot, bound, &way, error)
                                                : aei_leaf_replace(tree, slot, way.leaf, NULL,
                                                                   &added, error);
            if (status != AERO_OK)
                return status;
            continue;
        }
        if (!word_kill(at, ticket))
            continue;
        leaf_tidy(tree, slot, bound, way.leaf);
        return AERO_OK;
    }
    return aei_tree_damaged(tree, error);
}

aero_status ae_tree_spot_remove(ae_tree *tree, uint32_t slot, const ae_tree_key *key,
                                const ae_tree_spot *spot, aero_error *error)
{
    AE_ASSERT(spot->leaf != NULL && spot->place < AE_TREE_LEAF_MAX);
    ae_tree_node *leaf = spot->leaf;
    AE_ASSERT(aei_is_live(spot->ticket) && (ae_ref)spot->ticket == key->anchor);
    if (!word_kill(&aei_leaf_words(leaf, tree->width)[spot->place], spot->ticket))
        return ae_tree_remove(tree, slot, key, spot->ticket, error); /* frozen, or put again */
    leaf_tidy(tree, slot, aei_bound_of(key), leaf);
    return AERO_OK;
}

/* ---- taking down ---------------------------------------------------------------------------- */

/* The leaf under the first reference that is not 0, whatever is below it settled. */
static aero_status leaf_first_of(ae_tree *tree, uint32_t slot, aei_way *way, bool *again,
                                 aero_error *error)
{
    ae_a64 *place = &tree->root->node;
    ae_tree_node *parent = NULL;
    *way = (aei_way){.leaf = NULL};
    *again = false;
    for (;;) {
        const uint64_t word = ae_load64_acquire(place);
        ae_tree_node *node = aei_tree_node(tree, (ae_ref)word);
        if ((ae_ref)word == 0)
            return AERO_OK;
        if (node == NULL || (parent != NULL && node->level + 1u != parent->level))
            return aei_tree_damaged(tree, error);
        *again = true;
        if ((word & AE_TREE_FROZEN) != 0)
            return aei_inner_replace(tree, slot, parent, NULL, error);
        if (ae_load64_acquire(&node->successor) != 0)
            return aei_tree_help(tree, slot, parent, place, node, error);
        *again = false;
        way->leaf = node;
        way->parent = parent;
        way->place = place;
        if (node->level == 0)
            return AERO_OK;
        uint32_t child = 0;
        while (child < node->count && (ae_ref)ae_load64(&aei_inner_children(node)[child]) == 0)
            child++;
        if (child == node->count) { /* a death came before it was given up */
            *again = true;
            return aei_inner_replace(tree, slot, node, NULL, error);
        }
        parent = node;
        place = &aei_inner_children(node)[child];
    }
}

aero_status ae_tree_destroy(ae_tree *tree, uint32_t slot, aero_error *error)
{
    for (;;) {
        aei_way way;
        bool again = false;
        aero_status status = leaf_first_of(tree, slot, &way, &again, error);
        if (status == AERO_OK && !again && way.leaf == NULL)
            return AERO_OK;
        if (status == AERO_OK && !again) {
            aei_leaf_abandon(tree, way.leaf);
            status = aei_tree_help(tree, slot, way.parent, way.place, way.leaf, error);
        }
        if (status != AERO_OK)
            return status;
    }
}
