/* tree_recover.c — taking up a step of replacement after the death of who was at it (see
 * tree_replace.c).
 *
 * A reaper finds out whether the step was published: the node's successor is what the step made,
 * or the parent does not name the child any more; whose compare-and-swap that was does not matter,
 * since the one on the child's block word decides who retires it (T5).  New nodes that are not in
 * use are given back; one that was linked is named by its parent or, since then, has a successor.
 *
 * Nothing can be freed and used again under a reaper's eyes: the slot's snapshot is older than all
 * the retirements.
 */
#include "index/tree_node.h"

/* Does an inner node (or, without one, the root) name the child? */
static bool names(const ae_tree *tree, const ae_tree_node *inner, ae_ref ref)
{
    if (inner == NULL)
        return (ae_ref)ae_load64_acquire(&tree->root->node) == ref;
    const ae_a64 *children = aei_inner_children(inner);
    for (uint32_t index = 0; inner->level > 0 && index < inner->count; index++)
        if ((ae_ref)ae_load64_acquire(&children[index]) == ref)
            return true;
    return false;
}

/* Give a new node back if it is still in the dead hand: one with another word is not ours any more
 * (or not yet: the allocator's registers have seen to it), and one that was linked is in use. */
static void fresh_recover(const ae_tree *tree, uint32_t slot, int side, const ae_tree_node *parent,
                          bool may_be_linked)
{
    const ae_slot *at = ae_slot_at(tree->proc, slot);
    const ae_ref ref = ae_load32(&at->tree_new[side]);
    const ae_tree_node *node = aei_tree_node(tree, ref);
    if (node == NULL || ae_load64_acquire(&node->block.word) != aei_tree_word(tree, slot))
        return;
    /* Asked whether it is named before whether it has a successor: that comes first. */
    if (may_be_linked && (names(tree, parent, ref) || ae_load64_acquire(&node->successor) != 0))
        return;
    aei_node_give(tree, slot, side);
}

static void step_recover(const ae_tree *tree, uint32_t slot)
{
    const ae_slot *at = ae_slot_at(tree->proc, slot);
    const ae_ref node_ref = ae_load32(&at->tree_node);
    const ae_tree_node *node = aei_tree_node(tree, node_ref);
    ae_tree_node *child = aei_tree_node(tree, ae_load32(&at->tree_child));
    ae_tree_node *other = aei_tree_node(tree, ae_load32(&at->tree_other));
    const ae_ref left = ae_load32(&at->tree_new[0]);
    const ae_ref right = ae_load32(&at->tree_new[1]);
    const bool links = ae_load32(&at->tree_step) == AEI_STEP_LINK;
    if (node == NULL && (node_ref != 0 || !links))
        return; /* damage: nothing is touched */
    bool published = false;
    if (links)
        published = child != NULL && !names(tree, node, aei_tree_ref(tree, child));
    else
        published = ae_load64_acquire(&node->successor) ==
                    (left != 0 ? (uint64_t)right << 32 | left : AE_TREE_GONE);
    if (published && child != NULL)
        aei_node_retire(tree, slot, child);
    if (published && other != NULL)
        aei_node_retire(tree, slot, other);
    for (int side = AEI_SIDES - 1; side >= 0 && (links || !published); side--)
        fresh_recover(tree, slot, side, node, links);
}

void ae_tree_recover(ae_proc *proc, uint32_t slot)
{
    ae_slot *at = ae_slot_at(proc, slot);
    const ae_segment *segment = proc->heap->segment;
    ae_tree tree;
    const ae_ref root = ae_load32_acquire(&at->tree_root);
    if (root != 0 && ae_segment_holds(segment, root, sizeof(ae_tree_root)) &&
        ae_tree_open(&tree, proc, ae_at(segment, root), NULL) == AERO_OK)
        step_recover(&tree, slot);
    /* Release: the step is put right before its register is free; pairs with another reaper. */
    ae_store32_release(&at->tree_root, 0);
}
