/* tree_join.c — two neighbouring leaves with few entries become one (see tree.h).
 *
 * Entries of both move at one instant: when the node above them gets its successor.  Before that,
 *
 *   1 the node above is frozen: its children stay what they are
 *   2 its `join` says which place is joined with the next, or that none is: whoever replaces an
 *     inner node asks for that decision first, so all who replace it build the same
 *   3 the two leaves are frozen; if they have too many entries for one, nothing is joined
 *   4 their successors say "up": the left one's, then the right one's.  If somebody had replaced
 *     the left one before, nothing is joined; if the right one, the left one is copied alone
 *   5 the joined leaf is filled, and the new node above names it instead of the two
 *
 *        inner: … │ L │ R │ …      ──successor──▶   inner: … │ L + R │ …
 *                   │   │
 *                   ▼   ▼
 *                leaf   leaf, frozen; their successor: up
 *
 * Two are joined when one that has lost half of its entries fits together with a neighbour into what
 * ascending keys would fill.  It has to lose half again before the next time, so to join and to cut
 * the same leaf in turns costs little more than to rewrite it does.
 *
 * All of it but 1 and 2 follows from words that do not change any more, so anyone may do it again,
 * and a death leaves nothing to be repaired: writers that come to a frozen node complete it.
 *
 * A reader that comes to L while the node above has no successor reads L: it is frozen, and nobody
 * can put anything elsewhere yet.  Afterwards it goes up, and down again from the successor.  It
 * keeps the bounds that led it to L, so that it meets nothing twice.
 */
#include "index/tree_node.h"

static ae_tree_node *leaf_at(const ae_tree *tree, const ae_tree_node *inner, uint64_t place)
{
    ae_tree_node *leaf = aei_tree_node(
        tree, (ae_ref)ae_load64_acquire(&aei_inner_children(inner)[place]));
    return leaf != NULL && leaf->level == 0 ? leaf : NULL;
}

static void leaf_freeze(const ae_tree *tree, const ae_tree_node *leaf)
{
    aei_words_freeze(aei_leaf_words(leaf, tree->width), aei_leaf_limit(leaf, tree->width));
}

/* Have a leaf's successor say "up"; false when it has another one. */
static bool leaf_lift(const ae_tree *tree, ae_tree_node *leaf, const ae_tree_node *inner)
{
    const uint64_t up = (uint64_t)aei_tree_ref(tree, inner) << 32 | AE_TREE_UP;
    AE_CRASH_POINT("tree.lifting");
    /* Release: the leaf is frozen, and the decision made; pairs with aei_tree_enter. */
    (void)ae_cas64(&leaf->successor, 0, up);
    AE_CRASH_POINT("tree.lifted");
    return ae_load64_acquire(&leaf->successor) == up;
}

/* Both are frozen: put the entries of the second behind those of the first. */
static void gather_append(aei_gather *of, const aei_gather *more)
{
    for (uint32_t index = 0; index < more->count; index++) {
        of->keys[of->count + index] = more->keys[index];
        of->words[of->count + index] = more->words[index];
    }
    of->count += more->count;
    of->floor = aei_sequence_later(of->floor, more->floor);
}

/* Steps 3 to 5. */
static aero_status pair_settle(ae_tree *tree, uint32_t slot, const ae_tree_node *inner,
                               uint64_t place, aei_join *join, aero_error *error)
{
    ae_tree_node *left = leaf_at(tree, inner, place - 1);
    ae_tree_node *right = leaf_at(tree, inner, place);
    aei_gather of;
    aei_gather more;
    if (left == NULL || right == NULL || left == right)
        return AERO_OK;
    leaf_freeze(tree, left);
    leaf_freeze(tree, right);
    aei_gather_leaf(tree, left, NULL, &of);
    aei_gather_leaf(tree, right, NULL, &more);
    if (of.count + more.count > aei_leaf_fill_most(tree->width) || !leaf_lift(tree, left, inner))
        return AERO_OK;
    join->left = left;
    if (leaf_lift(tree, right, inner)) {
        join->right = right;
        gather_append(&of, &more);
    }
    if (of.count == 0) {
        aei_floor_raise(tree, of.floor);
        return AERO_OK;
    }
    ae_ref fresh = ae_load32(&ae_slot_at(tree->proc, slot)->tree_new[AEI_SIDE_JOINED]);
    ae_tree_node *leaf = fresh == 0 ? NULL : ae_at(tree->proc->heap->segment, fresh);
    aero_status status = AERO_OK;
    if (leaf == NULL) /* another's wish */
        status = aei_node_take(tree, slot, 0, AEI_SIDE_JOINED, &leaf, error);
    if (status != AERO_OK)
        return status;
    aei_leaf_fill(tree, leaf, &of, 0, of.count);
    join->fresh = aei_tree_ref(tree, leaf);
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
    if (inner->level == 1 && place < inner->count)
        status = pair_settle(tree, slot, inner, place, join, error);
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

/* May the leaves in places `place` - 1 and `place` be joined?  Racy: it is settled later. */
static bool pair_suits(const ae_tree *tree, const ae_tree_node *inner, uint32_t place)
{
    const ae_tree_node *left = leaf_at(tree, inner, place - 1);
    const ae_tree_node *right = leaf_at(tree, inner, place);
    return left != NULL && right != NULL && ae_load64_acquire(&left->successor) == 0 &&
           ae_load64_acquire(&right->successor) == 0 &&
           leaf_live(tree, left) + leaf_live(tree, right) <= aei_leaf_fill_most(tree->width);
}

bool aei_leaf_join(ae_tree *tree, uint32_t slot, const aei_way *way)
{
    ae_tree_node *parent = way->parent;
    if (parent == NULL || parent->level != 1 || ae_load64_acquire(&parent->successor) != 0 ||
        ae_load64(&aei_inner_children(parent)[way->child]) != aei_tree_ref(tree, way->leaf))
        return false;
    if (leaf_live(tree, way->leaf) == 0)
        return false;
    uint32_t place = way->child + 1;
    if (place == parent->count || !pair_suits(tree, parent, place))
        place = way->child;
    if (place == 0 || !pair_suits(tree, parent, place))
        return false;
    /* Not needed for what was asked, so no memory for it is no error. */
    return aei_inner_join(tree, slot, parent, place, NULL) == AERO_OK;
}
