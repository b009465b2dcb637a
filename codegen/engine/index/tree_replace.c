/* tree_replace.c — freezing, replacing and retiring nodes (see tree.h; joining leaves: tree_join.c;
 * after a death: tree_recover.c).
 *
 * A step of replacement names what it has in hand in its slot's registers: the tree, the node that
 * is replaced (or whose child is), the new nodes, and the child that nothing leads to afterwards.
 *
 *   step                      published by                              `tree_child`
 *   leaf → 0, 1 or 2 leaves   CAS of the leaf's successor               none
 *   inner → 0, 1 or 2 inners  CAS of the inner's successor              the one substituted
 *   child → its successor     CAS of the parent's (or root's) reference the one replaced
 *   top → inner with two      CAS of the root's reference               the old top
 *   0 → an empty leaf         CAS of the parent's (or root's) reference none
 *   inner, two leaves joined  CAS of the inner's successor              the two (`tree_other`)
 *
 * Nothing can be freed and used again under a reaper's (or a late helper's) eyes: the slot's
 * snapshot is older than all the retirements.
 */
#include "index/tree_node.h"

/* ---- registers and nodes in hand ------------------------------------------------------------ */

static void step_begin(const ae_tree *tree, uint32_t slot, enum aei_step kind, ae_ref node,
                       ae_ref child)
{
    AE_ASSERT(slot < AE_SLOTS && (kind == AEI_STEP_REPLACE || kind == AEI_STEP_LINK));
    ae_slot *at = ae_slot_at(tree->proc, slot);
    AE_ASSERT(ae_load32(&at->tree_root) == 0);
    ae_store32(&at->tree_step, kind);
    ae_store32(&at->tree_node, node);
    ae_store32(&at->tree_child, child);
    ae_store32(&at->tree_other, 0);
    for (int side = 0; side < AEI_SIDES; side++)
        ae_store32(&at->tree_new[side], 0);
    /* Release: the others before the one that says they count; pairs with ae_tree_recover. */
    ae_store32_release(&at->tree_root, tree->root_ref);
}

static void step_end(const ae_tree *tree, uint32_t slot)
{
    ae_store32_release(&ae_slot_at(tree->proc, slot)->tree_root, 0);
}

/* Take a node and name it in register `side`. */
aero_status aei_node_take(const ae_tree *tree, uint32_t slot, uint32_t level, int side,
                          ae_tree_node **node, aero_error *error)
{
    AE_ASSERT(slot < AE_SLOTS && side >= 0 && side < AEI_SIDES);
    AE_ASSERT(level <= AE_TREE_HEIGHT_MAX);
    ae_slot *at = ae_slot_at(tree->proc, slot);
    ae_ref ref = 0;
    const aero_status status = ae_heap_take(tree->proc->heap, &at->cache, slot,
                                            level == 0 ? tree->leaf_pool : tree->inner_pool, &ref,
                                            error);
    *node = NULL;
    if (status != AERO_OK)
        return status;
    ae_tree_node *made = ae_at(tree->proc->heap->segment, ref);
    ae_store64(&made->successor, 0);
    ae_store64(&made->join, 0);
    made->level = (uint16_t)level;
    made->width = (uint16_t)tree->width;
    made->count = 0;
    /* Release: what a reaper reads of it; until its word is set the allocator's own register has
     * it.  Pairs with ae_tree_recover. */
    ae_store32_release(&at->tree_new[side], ref);
    ae_store64_release(&made->block.word, aei_tree_word(tree, slot));
    AE_CRASH_POINT("tree.taken");
    *node = made;
    return AERO_OK;
}

void aei_node_give(const ae_tree *tree, uint32_t slot, int side)
{
    AE_ASSERT(side >= 0 && side < AEI_SIDES);
    ae_slot *at = ae_slot_at(tree->proc, slot);
    const ae_ref ref = ae_load32(&at->tree_new[side]);
    const ae_tree_node *node = ref == 0 ? NULL : ae_at(tree->proc->heap->segment, ref);
    if (node == NULL)
        return;
    ae_heap_give(tree->proc->heap, &at->cache, slot,
                 node->level == 0 ? tree->leaf_pool : tree->inner_pool, ref);
    AE_CRASH_POINT("tree.given");
    ae_store32_release(&at->tree_new[side], 0);
}

static void nodes_give(const ae_tree *tree, uint32_t slot)
{
    for (int side = AEI_SIDES - 1; side >= 0; side--)
        aei_node_give(tree, slot, side);
}

static aero_status nodes_take(const ae_tree *tree, uint32_t slot, uint32_t level,
                              ae_tree_node **fresh, aero_error *error)
{
    for (int side = 0; side < 2; side++) {
        const aero_status status = aei_node_take(tree, slot, level, side, &fresh[side], error);
        if (status != AERO_OK) {
            nodes_give(tree, slot);
            return status;
        }
    }
    return AERO_OK;
}

/* Nothing leads to the node any more: its memory is free when the horizon has passed (keeps T5). */
void aei_node_retire(const ae_tree *tree, uint32_t slot, ae_tree_node *node)
{
    AE_ASSERT(node != NULL && slot < AE_SLOTS);
    ae_slot *at = ae_slot_at(tree->proc, slot);
    const ae_ref ref = aei_tree_ref(tree, node);
    /* Unlinked before the clock is read: whoever has a newer snapshot does not find it.  Pairs with
     * ae_snapshot_publish. */
    atomic_thread_fence(memory_order_seq_cst);
    const uint64_t word = ae_load64_acquire(&node->block.word);
    const uint64_t clock = ae_load64_acquire(&tree->proc->shared->clock);
    const uint64_t retired = ae_retired_word(slot, clock);
    const bool ours = (word & ~AE_RETIRED_NUMBER) == ae_retired_word(slot, 0);
    if (ours) { /* the death that is being repaired came after the word was set */
        if (ae_limbo_last_is(&at->block_head, &at->block_tail, ref))
            return;
    } else if (!ae_tree_owns_word(word, tree->root_ref) ||
               !ae_cas64(&node->block.word, word, retired)) {
        return;
    }
    AE_CRASH_POINT("tree.retiring");
    ae_limbo_push(tree->proc, &at->block_head, &at->block_tail, ref, &node->block.limbo_next);
    AE_CRASH_POINT("tree.retired");
    ae_store32(&at->tree_retired, ae_load32(&at->tree_retired) + 1);
}

/* Make the new nodes the successor of the old one; false when somebody was first. */
static bool node_publish(ae_tree_node *node, uint64_t successor)
{
    AE_ASSERT(successor != 0);
    AE_CRASH_POINT("tree.filled");
    /* Release: the new nodes are complete before anyone follows; pairs with aei_tree_enter. */
    const bool won = ae_cas64(&node->successor, 0, successor);
    AE_CRASH_POINT("tree.published");
    return won;
}

static uint64_t pair_of(const ae_tree *tree, const ae_tree_node *left, const ae_tree_node *right)
{
    AE_ASSERT(left != NULL);
    return (uint64_t)aei_tree_ref(tree, right) << 32 | aei_tree_ref(tree, left);
}

void aei_words_freeze(ae_a64 *words, uint32_t count)
{
    for (uint32_t index = 0; index < count; index++) {
        if ((ae_load64(&words[index]) & AE_TREE_FROZEN) == 0)
            /* From here on nobody changes it (keeps T1). */
            (void)ae_or64(&words[index], AE_TREE_FROZEN);
        if (index % 16 == 0)
            AE_CRASH_POINT("tree.freezing");
    }
    AE_CRASH_POINT("tree.frozen");
}

/* ---- leaves --------------------------------------------------------------------------------- */

static bool leaf_is_dead(const ae_tree *tree, const ae_tree_node *leaf)
{
    const ae_a64 *words = aei_leaf_words(leaf, tree->width);
    const uint32_t limit = aei_leaf_limit(leaf, tree->width);
    for (uint32_t place = 0; place < limit; place++)
        if (aei_is_live(ae_load64(&words[place])))
            return false;
    return true;
}

/* Raise the tree's floor, above which the numbers of entries begin that come to the leaf's range
 * again. */
void aei_floor_raise(const ae_tree *tree, uint32_t floor)
{
    uint32_t seen = ae_load32_acquire(&tree->root->floor);
    while (aei_sequence_later(seen, floor) != seen && !ae_cas32(&tree->root->floor, seen, floor))
        seen = ae_load32_acquire(&tree->root->floor);
}

void aei_leaf_abandon(ae_tree *tree, ae_tree_node *leaf)
{
    const ae_a64 *words = aei_leaf_words(leaf, tree->width);
    const uint32_t limit = aei_leaf_limit(leaf, tree->width);
    uint32_t floor = leaf->floor;
    aei_words_freeze(aei_leaf_words(leaf, tree->width), limit);
    for (uint32_t place = 0; place < limit; place++) {
        const uint64_t word = ae_load64(&words[place]);
        if (aei_has_key(word))
            floor = aei_sequence_later(floor, aei_word_sequence(word));
    }
    aei_floor_raise(tree, floor);
    (void)node_publish(leaf, AE_TREE_GONE);
}

static aero_status leaf_step(ae_tree *tree, uint32_t slot, ae_tree_node *leaf,
                             const aei_batch *batch, uint32_t *added, aero_error *error)
{
    AE_ASSERT(leaf->level == 0);
    ae_tree_node *fresh[2] = {NULL, NULL};
    aei_gather of;
    aero_status status = AERO_OK;
    /* Memory first: a leaf that is frozen and cannot be replaced takes no write any more.  But one
     * without entries needs none, and in a full segment it must be possible to give it up. */
    const bool empties = batch == NULL && leaf_is_dead(tree, leaf);
    if (!empties)
        status = nodes_take(tree, slot, 0, fresh, error);
    if (status != AERO_OK)
        return status;
    aei_words_freeze(aei_leaf_words(leaf, tree->width), aei_leaf_limit(leaf, tree->width));
    aei_gather_leaf(tree, leaf, batch, &of);
    if (of.count == 0) {
        nodes_give(tree, slot);
        aei_leaf_abandon(tree, leaf);
        return AERO_OK;
    }
    if (empties) /* somebody has put an entry in between */
        status = nodes_take(tree, slot, 0, fresh, error);
    if (status != AERO_OK)
        return status;
    const uint32_t cut = aei_gather_split(tree, &of);
    AE_ASSERT(cut > 0 && cut <= of.count);
    aei_leaf_fill(tree, fresh[0], &of, 0, cut);
    if (cut < of.count) {
        aei_leaf_fill(tree, fresh[1], &of, cut, of.count);
    } else {
        aei_node_give(tree, slot, 1);
        fresh[1] = NULL;
    }
    if (node_publish(leaf, pair_of(tree, fresh[0], fresh[1])))
        *added = of.added;
    else
        nodes_give(tree, slot);
    return AERO_OK;
}

aero_status aei_leaf_replace(ae_tree *tree, uint32_t slot, ae_tree_node *leaf,
                             const aei_batch *batch, uint32_t *added, aero_error *error)
{
    *added = 0;
    if (ae_load64_acquire(&leaf->successor) != 0)
        return AERO_OK;
    step_begin(tree, slot, AEI_STEP_REPLACE, aei_tree_ref(tree, leaf), 0);
    const aero_status status = leaf_step(tree, slot, leaf, batch, added, error);
    step_end(tree, slot);
    return status;
}

/* Fill a node that has nothing below it: a leaf, or, where a whole inner node had been given up,
 * one with a single place that says 0. */
static void first_fill(const ae_tree *tree, ae_tree_node *node, const ae_tree_node *parent,
                       const ae_a64 *place)
{
    static const aei_gather none = {.count = 0};
    aei_children of = {.count = 1, .inserted = UINT32_MAX};
    if (node->level == 0) {
        aei_leaf_fill(tree, node, &none, 0, 0);
        node->floor = ae_load32_acquire(&tree->root->floor);
        return;
    }
    const size_t child = (size_t)(place - aei_inner_children(parent));
    of.low[0] = (aei_bound){aei_inner_keys(parent, tree->width) + child * tree->width,
                            aei_inner_anchors(parent, tree->width)[child]};
    of.child[0] = 0;
    aei_inner_fill(tree, node, &of, 0, 1);
}

aero_status aei_leaf_first(ae_tree *tree, uint32_t slot, ae_tree_node *parent, ae_a64 *place,
                           aero_error *error)
{
    ae_tree_node *node = NULL;
    const uint32_t level = parent == NULL ? 0 : parent->level - 1u;
    step_begin(tree, slot, AEI_STEP_LINK, aei_tree_ref(tree, parent), 0);
    const aero_status status = aei_node_take(tree, slot, level, 0, &node, error);
    if (status == AERO_OK) {
        AE_ASSERT(node->level == level);
        first_fill(tree, node, parent, place);
        AE_CRASH_POINT("tree.first");
        /* Release: the node is complete; pairs with aei_tree_enter.  Fails when there is one, or
         * when the parent is frozen. */
        if (!ae_cas64(place, 0, aei_tree_ref(tree, node)))
            nodes_give(tree, slot);
        AE_CRASH_POINT("tree.linked");
    }
    step_end(tree, slot);
    return status;
}

/* ---- inner nodes ---------------------------------------------------------------------------- */

static bool inner_is_empty(const ae_tree_node *inner)
{
    const ae_a64 *children = aei_inner_children(inner);
    for (uint32_t index = 0; index < inner->count; index++)
        if ((ae_ref)ae_load64(&children[index]) != 0)
            return false;
    return true;
}

/* What comes after the frozen inner node: 0, 1 or 2. */
static aero_status inner_rebuild(ae_tree *tree, uint32_t slot, ae_tree_node *inner,
                                 const ae_tree_node *child, const aei_join *join,
                                 ae_tree_node *fresh[2], aei_children *of, aero_error *error)
{
    if (!aei_gather_inner(tree, inner, child, join, of))
        return aei_tree_damaged(tree, error);
    if (of->count == 0) {
        nodes_give(tree, slot);
        fresh[0] = fresh[1] = NULL;
        return AERO_OK;
    }
    aero_status status = AERO_OK;
    if (fresh[0] == NULL) /* it was empty when looked at first */
        status = nodes_take(tree, slot, inner->level, fresh, error);
    if (status != AERO_OK)
        return status;
    const uint32_t cut = aei_children_split(tree, of);
    AE_ASSERT(cut > 0 && cut <= of->count);
    aei_inner_fill(tree, fresh[0], of, 0, cut);
    if (cut < of->count) {
        aei_inner_fill(tree, fresh[1], of, cut, of->count);
    } else {
        aei_node_give(tree, slot, 1);
        fresh[1] = NULL;
    }
    return AERO_OK;
}

static aero_status inner_step(ae_tree *tree, uint32_t slot, ae_tree_node *inner,
                              ae_tree_node *child, uint64_t wish, aero_error *error)
{
    AE_ASSERT(inner->level > 0);
    ae_slot *at = ae_slot_at(tree->proc, slot);
    ae_tree_node *fresh[2] = {NULL, NULL};
    aei_children of = {.found = false};
    aei_join join = {NULL, NULL, 0};
    aero_status status = AERO_OK;
    if (!inner_is_empty(inner))
        status = nodes_take(tree, slot, inner->level, fresh, error);
    if (status == AERO_OK && wish != AE_TREE_APART) {
        ae_tree_node *joined = NULL; /* before anything is frozen: what is begun can be ended */
        status = aei_node_take(tree, slot, inner->level - 1u, AEI_SIDE_JOINED, &joined, error);
    }
    if (status == AERO_OK) {
        aei_words_freeze(aei_inner_children(inner), inner->count);
        status = aei_join_settle(tree, slot, inner, wish, &join, error);
    }
    if (join.left != NULL)
        child = NULL; /* one at a time: the node does not grow while two of its leaves are one */
    if (status == AERO_OK)
        status = inner_rebuild(tree, slot, inner, child, &join, fresh, &of, error);
    if (status != AERO_OK) {
        nodes_give(tree, slot);
        return status;
    }
    ae_tree_node *left = join.left != NULL ? join.left : of.found ? child : NULL;
    ae_store32_release(&at->tree_other, aei_tree_ref(tree, join.right));
    ae_store32_release(&at->tree_child, aei_tree_ref(tree, left));
    if (!node_publish(inner, of.count == 0 ? AE_TREE_GONE : pair_of(tree, fresh[0], fresh[1]))) {
        nodes_give(tree, slot);
        return AERO_OK;
    }
    if (left != NULL)
        aei_node_retire(tree, slot, left);
    if (join.right != NULL)
        aei_node_retire(tree, slot, join.right);
    return AERO_OK;
}

static aero_status inner_do(ae_tree *tree, uint32_t slot, ae_tree_node *inner, ae_tree_node *child,
                            uint64_t wish, aero_error *error)
{
    if (ae_load64_acquire(&inner->successor) != 0)
        return AERO_OK;
    step_begin(tree, slot, AEI_STEP_REPLACE, aei_tree_ref(tree, inner), 0);
    const aero_status status = inner_step(tree, slot, inner, child, wish, error);
    step_end(tree, slot);
    return status;
}

aero_status aei_inner_replace(ae_tree *tree, uint32_t slot, ae_tree_node *inner,
                              ae_tree_node *child, aero_error *error)
{
    return inner_do(tree, slot, inner, child, AE_TREE_APART, error);
}

aero_status aei_inner_join(ae_tree *tree, uint32_t slot, ae_tree_node *inner, uint32_t place,
                           aero_error *error)
{
    AE_ASSERT(inner->level > 0 && place > 0 && place < inner->count);
    return inner_do(tree, slot, inner, NULL, place, error);
}

/* The top became two: a new top above them. */
static aero_status top_grow(ae_tree *tree, uint32_t slot, ae_tree_node *top, uint64_t successor,
                            aero_error *error)
{
    ae_tree_node *inner = NULL;
    static const uint64_t least[AE_TREE_WORDS_MAX];
    const ae_tree_node *right = aei_tree_node(tree, (ae_ref)(successor >> 32));
    if (right == NULL || right->level != top->level || top->level >= AE_TREE_HEIGHT_MAX)
        return aei_tree_damaged(tree, error);
    step_begin(tree, slot, AEI_STEP_LINK, 0, aei_tree_ref(tree, top));
    const aero_status status = aei_node_take(tree, slot, top->level + 1u, 0, &inner, error);
    if (status == AERO_OK) {
        aei_children of = {.count = 2, .inserted = UINT32_MAX};
        of.low[0] = (aei_bound){least, 0};
        of.child[0] = (ae_ref)successor;
        of.low[1] = aei_node_low(right, tree->width);
        of.child[1] = (ae_ref)(successor >> 32);
        AE_ASSERT(inner->level == top->level + 1u);
        aei_inner_fill(tree, inner, &of, 0, 2);
        AE_CRASH_POINT("tree.grown");
        /* Release: the new top is complete; pairs with aei_tree_descend. */
        if (ae_cas64(&tree->root->node, aei_tree_ref(tree, top), aei_tree_ref(tree, inner))) {
            AE_CRASH_POINT("tree.topped");
            aei_node_retire(tree, slot, top);
        } else {
            nodes_give(tree, slot);
        }
    }
    step_end(tree, slot);
    return status;
}

aero_status aei_tree_help(ae_tree *tree, uint32_t slot, ae_tree_node *parent, ae_a64 *place,
                          ae_tree_node *node, aero_error *error)
{
    const uint64_t successor = ae_load64_acquire(&node->successor);
    const ae_ref ref = aei_tree_ref(tree, node);
    AE_ASSERT(successor != 0);
    if (aei_up_of(successor) != 0) { /* what is above it is being replaced, or has been */
        ae_tree_node *above = aei_tree_node(tree, aei_up_of(successor));
        return above == NULL || above->level != node->level + 1u
                   ? aei_tree_damaged(tree, error)
                   : aei_inner_replace(tree, slot, above, NULL, error);
    }
    if ((successor >> 32) != 0)
        return parent == NULL ? top_grow(tree, slot, node, successor, error)
                              : aei_inner_replace(tree, slot, parent, node, error);
    step_begin(tree, slot, AEI_STEP_LINK, aei_tree_ref(tree, parent), ref);
    AE_CRASH_POINT("tree.swinging");
    /* Release: hands on the acquire of `successor`; pairs with aei_tree_enter.  Fails when it has
     * been done, or when the parent is frozen: then the parent's successor is what must follow. */
    if (ae_cas64(place, ref, successor == AE_TREE_GONE ? 0 : successor)) {
        AE_CRASH_POINT("tree.swung");
        aei_node_retire(tree, slot, node);
    }
    step_end(tree, slot);
    if (parent != NULL && successor == AE_TREE_GONE && inner_is_empty(parent))
        return aei_inner_replace(tree, slot, parent, NULL, error);
    return AERO_OK;
}
