/* tree_join.c — two neighbouring nodes with few entries become one (see tree.h).
 *
 * What both hold moves at one instant: when the node above them gets its successor.  Before that,
 *
 *   1 the node above is frozen: its children stay what they are
 *   2 its `join` says which place is joined with the next, or that none is: whoever replaces an
 *     inner node asks for that decision first, so all who replace it build the same
 *   3 the two nodes are frozen; if they have too many entries for one, or if children of one of
 *     them are to be joined themselves, nothing is joined
 *   4 their successors say "up": the left one's, then the right one's.  If somebody had replaced
 *     the left one before, nothing is joined; if the right one, the left one is copied alone
 *   5 the joined node is filled, and the new node above names it instead of the two
 *
 *        inner: … │ L │ R │ …      ──successor──▶   inner: … │ L + R │ …
 *                   │   │
 *                   ▼   ▼
 *                leaf   leaf, frozen; their successor: up
 *
 * Two leaves are joined when one that has lost half of its entries fits together with a neighbour into
 * what ascending keys would fill.  It has to lose half again before the next time, so to join and to
 * cut the same leaf in turns costs little more than to rewrite it does.  Inner nodes are looked at
 * when something below them was joined or given up.
 *
 * All of it but 1 and 2 follows from words that do not change any more, so anyone may do it again,
 * and a death leaves nothing to be repaired: writers that come to a frozen node complete it.
 *
 * A reader that comes to L reads it: either nobody can have put anything elsewhere yet, or only after
 * the reader passed the node above (tree_find.c).  A writer completes what it finds, and starts over.
 */
#include "index/tree_node.h"

static ae_tree_node *child_at(const ae_tree *tree, const ae_tree_node *inner, uint64_t place)
{
    ae_tree_node *node = aei_tree_node(
        tree, (ae_ref)ae_load64_acquire(&aei_inner_children(inner)[place]));
    return node != NULL && node->level + 1u == inner->level ? node : NULL;
}

/* The bound where a place begins. */
static aei_bound place_low(const ae_tree *tree, const ae_tree_node *inner, uint64_t place)
{
    return (aei_bound){aei_inner_keys(inner, tree->width) + (size_t)place * tree->width,
                       aei_inner_anchors(inner, tree->width)[place]};
}

/* What can still move below a node stops moving.  False: two children of it are to be joined, and
 * that comes first. */
static bool child_freeze(const ae_tree *tree, ae_tree_node *node)
{
    if (node->level == 0) {
        aei_words_freeze(aei_leaf_words(node, tree->width), aei_leaf_limit(node, tree->width));
        return true;
    }
    aei_words_freeze(aei_inner_children(node), node->count);
    (void)ae_cas64(&node->join, 0, AE_TREE_APART);
    return ae_load64_acquire(&node->join) == AE_TREE_APART;
}

/* Have a node's successor say "up"; false when it has another one. */
static bool child_lift(const ae_tree *tree, ae_tree_node *node, const ae_tree_node *inner)
{
    const uint64_t up = (uint64_t)aei_tree_ref(tree, inner) << 32 | AE_TREE_UP;
    AE_CRASH_POINT("tree.lifting");
    /* Release: the node is frozen, and the decision made; pairs with aei_tree_enter. */
    (void)ae_cas64(&node->successor, 0, up);
    AE_CRASH_POINT("tree.lifted");
    return ae_load64_acquire(&node->successor) == up;
}

/* The node that a step joins two into: taken at its beginning, or now, when it was another's
 * wish. */
static aero_status joined_take(const ae_tree *tree, uint32_t slot, uint32_t level,
                               ae_tree_node **node, aero_error *error)
{
    const ae_ref ref = ae_load32(&ae_slot_at(tree->proc, slot)->tree_new[AEI_SIDE_JOINED]);
    *node = ref == 0 ? NULL : ae_at(tree->proc->heap->segment, ref);
    return ref != 0 ? AERO_OK : aei_node_take(tree, slot, level, AEI_SIDE_JOINED, node, error);
}

/* Steps 3 to 5 for leaves. */
static aero_status leaves_settle(const ae_tree *tree, uint32_t slot, const ae_tree_node *inner,
                                 ae_tree_node *left, ae_tree_node *right, aei_join *join,
                                 aero_error *error)
{
    ae_tree_node *fresh = NULL;
    aei_gather of;
    aei_gather more;
    aei_gather_leaf(tree, left, NULL, &of);
    aei_gather_leaf(tree, right, NULL, &more);
    if (of.count + more.count > aei_leaf_fill_most(tree->width) || !child_lift(tree, left, inner))
        return AERO_OK;
    join->left = left;
    if (child_lift(tree, right, inner)) {
        join->right = right;
        for (uint32_t index = 0; index < more.count; index++) {
            of.keys[of.count + index] = more.keys[index];
            of.words[of.count + index] = more.words[index];
        }
        of.count += more.count;
        of.floor = aei_sequence_later(of.floor, more.floor);
    }
    if (of.count == 0) {
        aei_floor_raise(tree, of.floor);
        return AERO_OK;
    }
    const aero_status status = joined_take(tree, slot, 0, &fresh, error);
    if (status != AERO_OK)
        return status;
    aei_leaf_fill(tree, fresh, &of, 0, of.count);
    join->fresh = aei_tree_ref(tree, fresh);
    return AERO_OK;
}

/* Steps 3 to 5 for inner nodes. */
static aero_status inners_settle(const ae_tree *tree, uint32_t slot, const ae_tree_node *inner,
                                 uint64_t place, ae_tree_node *left, ae_tree_node *right,
                                 aei_join *join, aero_error *error)
{
    const aei_join none = {NULL, NULL, 0};
    ae_tree_node *fresh = NULL;
    aei_children of;
    aei_children more;
    if (!aei_gather_inner(tree, left, NULL, &none, &of) ||
        !aei_gather_inner(tree, right, NULL, &none, &more))
        return aei_tree_damaged(tree, error);
    if (of.count + more.count > aei_inner_fill_most(tree->width) || !child_lift(tree, left, inner))
        return AERO_OK;
    join->left = left;
    of.low[0] = place_low(tree, inner, place - 1);
    if (child_lift(tree, right, inner)) {
        join->right = right;
        for (uint32_t index = 0; index < more.count; index++) {
            of.low[of.count + index] = index == 0 && of.count > 0 ? place_low(tree, inner, place)
                                       : index == 0               ? of.low[0]
                                                                  : more.low[index];
            of.child[of.count + index] = more.child[index];
        }
        of.count += more.count;
    }
    if (of.count == 0)
        return AERO_OK;
    const aero_status status = joined_take(tree, slot, left->level, &fresh, error);
    if (status != AERO_OK)
        return status;
    aei_inner_fill(tree, fresh, &of, 0, of.count);
    join->fresh = aei_tree_ref(tree, fresh);
    return AERO_OK;
}

aero_status aei_join_settle(ae_tree *tree, uint32_t slot, ae_tree_node *inner, uint64_t wish,
                            aei_join *join, aero_error *error)
{
    aero_status status = AERO_OK;
    *join = (aei_join){NULL, NULL, 0};
    AE_ASSERT(wish != 0);
    /* The node is frozen: what was decided is decided about these children. */
    if (ae_load64_acquire(&inner->join) == 0)
        (void)ae_cas64(&inner->join, 0, wish);
    AE_CRASH_POINT("tree.decided");
    const uint64_t place = ae_load64_acquire(&inner->join);
    if (place < inner->count) {
        ae_tree_node *left = child_at(tree, inner, place - 1);
        ae_tree_node *right = child_at(tree, inner, place);
        /* All that this asks for is constant, so everybody has the same answer. */
        if (left != NULL && right != NULL && left != right && child_freeze(tree, left) &&
            child_freeze(tree, right))
            status = left->level == 0
                         ? leaves_settle(tree, slot, inner, left, right, join, error)
                         : inners_settle(tree, slot, inner, place, left, right, join, error);
    }
    if (join->fresh == 0)
        aei_node_give(tree, slot, AEI_SIDE_JOINED);
    return status;
}

/* ---- who begins ----------------------------------------------------------------------------- */

static uint32_t leaf_live(const ae_tree *tree, const ae_tree_node *leaf)
{
    const ae_a64 *words = aei_leaf_words(leaf, tree->width);
    const uint32_t limit = aei_leaf_limit(leaf, tree->width);
    uint32_t live = 0;
    for (uint32_t place = 0; place < limit; place++)
        live += aei_is_live(ae_load64(&words[place]));
    return live;
}

/* How full a node is, and how full a joined one may be. */
static uint32_t node_use(const ae_tree *tree, const ae_tree_node *node)
{
    return node->level == 0 ? leaf_live(tree, node) : node->count;
}
static uint32_t node_most(const ae_tree *tree, const ae_tree_node *node)
{
    return node->level == 0 ? aei_leaf_fill_most(tree->width) : aei_inner_fill_most(tree->width);
}

/* May the children in places `place` - 1 and `place` be joined?  Racy: it is settled later. */
static bool pair_suits(const ae_tree *tree, const ae_tree_node *inner, uint32_t place)
{
    if (place == 0 || place >= inner->count)
        return false;
    const ae_tree_node *left = child_at(tree, inner, place - 1);
    const ae_tree_node *right = child_at(tree, inner, place);
    return left != NULL && right != NULL && ae_load64_acquire(&left->successor) == 0 &&
           ae_load64_acquire(&right->successor) == 0 &&
           node_use(tree, left) + node_use(tree, right) <= node_most(tree, left);
}

/* Join the child in a place with the next one or the one before. */
static bool child_join(ae_tree *tree, uint32_t slot, ae_tree_node *inner, uint32_t child)
{
    const uint32_t place = pair_suits(tree, inner, child + 1) ? child + 1 : child;
    /* Not needed for what was asked, so no memory for it is no error. */
    return pair_suits(tree, inner, place) &&
           aei_inner_join(tree, slot, inner, place, NULL) == AERO_OK;
}

bool aei_leaf_join(ae_tree *tree, uint32_t slot, const aei_way *way)
{
    ae_tree_node *parent = way->parent;
    if (parent == NULL || ae_load64_acquire(&parent->successor) != 0 ||
        ae_load64(&aei_inner_children(parent)[way->child]) != aei_tree_ref(tree, way->leaf) ||
        leaf_live(tree, way->leaf) == 0)
        return false;
    return child_join(tree, slot, parent, way->child);
}

void aei_inners_join(ae_tree *tree, uint32_t slot, aei_bound bound)
{
    const uint32_t width = tree->width;
    /* Acquire: the node is filled; pairs with the CAS in aei_tree_help. */
    ae_tree_node *node = aei_tree_node(tree, (ae_ref)ae_load64_acquire(&tree->root->node));
    while (node != NULL && node->level > 1 && node->count > 0 &&
           ae_load64_acquire(&node->successor) == 0) {
        const uint32_t child = aei_inner_search(node, width, bound, false);
        ae_tree_node *below = child_at(tree, node, child);
        if (below != NULL && below->count <= aei_inner_capacity(width) / 2 &&
            child_join(tree, slot, node, child))
            return;
        node = below;
    }
}
