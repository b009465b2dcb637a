/* tree_fill.c — a whole tree of entries that come in order (see tree.h).
 *
 * Each level has one node that is being filled.  A full one goes to the node above it, which is
 * begun when the second node of a level is.  So every node is written once and none is replaced;
 * put in order by ae_tree_put_sorted, each leaf is written twice, and the one above it once for
 * each of its leaves.
 *
 *        level 2:                    ╭ being filled
 *        level 1:  full ── full ── being filled
 *        level 0:  … full ── full ── full ── being filled
 *
 * Nobody else sees the tree before the end, when the top is named, so stores need no order and
 * nothing has to be found by a reaper: after a death the segment is gone.
 */
#include <string.h>

#include "index/tree_node.h"

void ae_tree_fill_start(ae_tree_fill *fill, const ae_tree *tree, uint32_t slot)
{
    AE_ALWAYS(ae_load64(&tree->root->node) == 0);
    memset(fill, 0, sizeof *fill);
    fill->tree = *tree;
    fill->slot = slot;
}

static aero_status node_begin(ae_tree_fill *fill, uint32_t level, ae_tree_node **node,
                              aero_error *error)
{
    const ae_tree *tree = &fill->tree;
    /* A register of a tree step names it; as no step has begun, nobody goes by that. */
    const aero_status status = aei_node_take(tree, fill->slot, level, 0, node, error);
    if (status != AERO_OK)
        return status;
    (*node)->floor = level == 0 ? ae_load32(&tree->root->floor) : 0;
    ae_store32(&(*node)->dead, 0);
    AE_CRASH_POINT("fill.node");
    return AERO_OK;
}

/* Behind the last child of an inner node; its least key is where it begins.  The first nodes of a
 * tree begin before every key. */
static void child_append(const ae_tree *tree, ae_tree_node *inner, const ae_tree_node *child,
                         bool first)
{
    static const uint64_t least[AE_TREE_WORDS_MAX];
    const uint32_t width = tree->width;
    const aei_bound low = first ? (aei_bound){least, 0} : aei_node_low(child, width);
    uint64_t *keys = inner->data + aei_inner_capacity(width);
    ae_ref *anchors = (ae_ref *)(void *)(keys + (size_t)aei_inner_capacity(width) * width);
    const uint32_t at = inner->count++;
    memcpy(keys + (size_t)at * width, low.words, width * sizeof *keys);
    anchors[at] = low.anchor;
    ae_store64(&aei_inner_children(inner)[at], aei_tree_ref(tree, child));
}

/* A node is full, or the last of its level: it goes to the one above, and so on. */
static aero_status child_add(ae_tree_fill *fill, const ae_tree_node *child, aero_error *error)
{
    const uint32_t most = aei_inner_fill_most(fill->tree.width);
    for (uint32_t level = child->level + 1u;; level++) {
        AE_ALWAYS(level < AE_TREE_HEIGHT_MAX);
        ae_tree_node *full = fill->nodes[level];
        if (full != NULL && full->count < most) {
            child_append(&fill->tree, full, child, false);
            return AERO_OK;
        }
        ae_tree_node *fresh = NULL;
        const aero_status status = node_begin(fill, level, &fresh, error);
        if (status != AERO_OK)
            return status;
        child_append(&fill->tree, fresh, child, full == NULL);
        fill->nodes[level] = fresh;
        if (full == NULL)
            return AERO_OK;
        child = full;
    }
}

/* Entries [0, count) behind those of the leaf. */
static void entries_append(ae_tree_fill *fill, ae_tree_node *leaf, const uint64_t *words,
                           const ae_ref *anchors, uint32_t count)
{
    const uint32_t width = fill->tree.width;
    ae_a64 *at = aei_leaf_words(leaf, width) + leaf->count;
    memcpy(leaf->data + (size_t)leaf->count * width, words, count * width * sizeof *words);
    for (uint32_t index = 0; index < count; index++)
        ae_store64(&at[index], aei_word_live(leaf->floor + 1, anchors[index]));
    leaf->count += count;
}

/* The places behind the sorted part are free; what was in the memory before is not an entry. */
static void leaf_end(const ae_tree *tree, ae_tree_node *leaf)
{
    ae_a64 *words = aei_leaf_words(leaf, tree->width);
    for (uint32_t place = leaf->count; place < aei_leaf_capacity(tree->width); place++)
        ae_store64(&words[place], 0);
}

aero_status ae_tree_fill_add(ae_tree_fill *fill, const uint64_t *words, const ae_ref *anchors,
                             size_t count, aero_error *error)
{
    const uint32_t width = fill->tree.width;
    const uint32_t most = aei_leaf_fill_most(width);
    while (count > 0) {
        ae_tree_node *leaf = fill->nodes[0];
        if (leaf == NULL || leaf->count == most) {
            ae_tree_node *fresh = NULL;
            aero_status status = node_begin(fill, 0, &fresh, error);
            if (status == AERO_OK && leaf != NULL) {
                leaf_end(&fill->tree, leaf);
                status = child_add(fill, leaf, error);
            }
            if (status != AERO_OK)
                return status;
            fill->nodes[0] = leaf = fresh;
        }
        const uint32_t room = most - leaf->count;
        const uint32_t some = count < room ? (uint32_t)count : room;
        AE_ASSERT(leaf->count == 0 ||
                  aei_below(leaf->data + (size_t)(leaf->count - 1) * width,
                            (ae_ref)ae_load64(&aei_leaf_words(leaf, width)[leaf->count - 1]), words,
                            anchors[0], width));
        entries_append(fill, leaf, words, anchors, some);
        words += (size_t)some * width;
        anchors += some;
        count -= some;
    }
    return AERO_OK;
}

aero_status ae_tree_fill_end(ae_tree_fill *fill, aero_error *error)
{
    const ae_tree *tree = &fill->tree;
    uint32_t top = 0;
    if (fill->nodes[0] == NULL)
        return AERO_OK;
    leaf_end(tree, fill->nodes[0]);
    for (; fill->nodes[top + 1] != NULL; top++) {
        const aero_status status = child_add(fill, fill->nodes[top], error);
        if (status != AERO_OK)
            return status;
    }
    AE_CRASH_POINT("fill.topped");
    /* Release: all nodes are complete before anyone comes to the top; pairs with
     * aei_tree_descend. */
    const bool named = ae_cas64(&tree->root->node, 0, aei_tree_ref(tree, fill->nodes[top]));
    AE_ALWAYS(named);
    return AERO_OK;
}
