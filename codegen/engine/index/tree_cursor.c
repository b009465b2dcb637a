/* tree_cursor.c — walking along an ordered index, up or down (see tree.h).
 *
 * A cursor visits one leaf after the other.  Its place is a key, not a node: the fence between what
 * it has seen and what is left.  It remembers the innermost inner node as a short cut to the next
 * leaf.  That node may have been replaced meanwhile; its frozen references still lead to everything
 * that was there when the cursor's snapshot was published, since entries move along successors only
 * (T4) and nothing retired since then is used again.  Each leaf is read between the fences that led
 * to it, so that nothing is met twice where ranges have been joined.
 */
#include "index/tree_node.h"

static void key_copy(ae_tree_key *key, aei_bound bound, uint32_t width)
{
    for (uint32_t word = 0; word < width; word++)
        key->words[word] = bound.words[word];
    key->anchor = bound.anchor;
}

void ae_tree_seek(ae_tree_cursor *cursor, const ae_tree *tree, const ae_tree_range *range,
                  bool descending)
{
    cursor->tree = tree;
    cursor->left = *range;
    cursor->descending = descending;
    cursor->done = false;
    cursor->fail = AERO_OK;
    cursor->parent = NULL;
    cursor->leaf = NULL;
}

/* On from the remembered inner node; false when it is of no use. */
static bool way_from_parent(const ae_tree_cursor *cursor, aei_bound bound, aei_way *way, bool *fine)
{
    const ae_tree *tree = cursor->tree;
    const uint32_t width = tree->width;
    const ae_tree_node *parent = cursor->parent;
    if (parent == NULL)
        return false;
    way->parent_low.words = cursor->parent_low_set ? cursor->parent_low.words : NULL;
    way->parent_low.anchor = cursor->parent_low.anchor;
    way->parent_high.words = cursor->parent_high_set ? cursor->parent_high.words : NULL;
    way->parent_high.anchor = cursor->parent_high.anchor;
    /* Is there something left of what it answers for? */
    const aei_bound end = cursor->descending ? way->parent_low : way->parent_high;
    if (end.words != NULL &&
        (cursor->descending ? !aei_below(end.words, end.anchor, bound.words, bound.anchor, width)
                            : !aei_below(bound.words, bound.anchor, end.words, end.anchor, width)))
        return false;
    const uint32_t child = aei_inner_search(parent, width, bound, cursor->descending);
    ae_a64 *place = &aei_inner_children(parent)[child];
    /* Acquire: the child is filled; pairs with the CAS in aei_tree_help. */
    const ae_ref ref = (ae_ref)ae_load64_acquire(place);
    const uint64_t *keys = aei_inner_keys(parent, width);
    const ae_ref *anchors = aei_inner_anchors(parent, width);
    way->low = child == 0 ? way->parent_low
                          : (aei_bound){keys + (size_t)child * width, anchors[child]};
    way->high = child + 1 == parent->count
                    ? way->parent_high
                    : (aei_bound){keys + (size_t)(child + 1) * width, anchors[child + 1]};
    way->place = place;
    way->parent = (ae_tree_node *)(uintptr_t)parent;
    way->child = child;
    *fine = aei_tree_enter(tree, bound, cursor->descending, ref, way);
    return true;
}

/* Remember the way for the next leaf, and ask for that leaf's memory. */
static void way_keep(ae_tree_cursor *cursor, const aei_way *way)
{
    const ae_tree_node *parent = way->parent;
    const uint32_t width = cursor->tree->width;
    if (parent == NULL)
        return;
    if (parent != cursor->parent) {
        cursor->parent_low_set = way->parent_low.words != NULL;
        cursor->parent_high_set = way->parent_high.words != NULL;
        if (cursor->parent_low_set)
            key_copy(&cursor->parent_low, way->parent_low, width);
        if (cursor->parent_high_set)
            key_copy(&cursor->parent_high, way->parent_high, width);
        cursor->parent = parent;
    }
    if (cursor->descending ? way->child == 0 : way->child + 1 >= parent->count)
        return;
    const uint32_t next = cursor->descending ? way->child - 1 : way->child + 1;
    const ae_ref ref = (ae_ref)ae_load64(&aei_inner_children(parent)[next]);
    aei_node_fetch(cursor->tree, ref, 0);
}

/* Where the sorted part of [from, to) ends, which begins at `first`: mostly it is short, or goes on
 * to the end. */
static inline uint32_t base_end(const ae_tree_node *leaf, uint32_t width, uint32_t first,
                                aei_bound to)
{
    const uint64_t *keys = aei_leaf_keys(leaf);
    const ae_a64 *words = aei_leaf_words(leaf, width);
    const uint32_t count = leaf->count;
    for (uint32_t place = first; place < first + 3; place++)
        if (place == count ||
            !aei_below(keys + (size_t)place * width, (ae_ref)ae_load64(&words[place]), to.words,
                       to.anchor, width))
            return place;
    if (aei_below(keys + (size_t)(count - 1) * width, (ae_ref)ae_load64(&words[count - 1]),
                  to.words, to.anchor, width))
        return count;
    const uint32_t below = aei_leaf_below(leaf, width, to);
    return below > first ? below : first; /* less where the order is damaged */
}

/* Read what is in [from, to) of a leaf. */
static inline __attribute__((always_inline)) void leaf_enter(ae_tree_cursor *cursor,
                                                             const ae_tree_node *leaf,
                                                             uint32_t width, aei_bound from,
                                                             aei_bound to)
{
    uint8_t extras[AE_TREE_APPEND_MAX];
    const uint32_t extra_count = aei_leaf_extras(leaf, width, from, to, extras);
    cursor->leaf = leaf;
    cursor->next = aei_leaf_below(leaf, width, from);
    cursor->end = base_end(leaf, width, cursor->next, to);
    cursor->merged = extra_count > 0;
    if (!cursor->merged)
        return;
    cursor->end = aei_leaf_merge(leaf, width, cursor->next, cursor->end, extras, extra_count,
                                 cursor->order);
    cursor->next = 0;
}

/* Find the next leaf; cursor->leaf stays NULL where nothing is.  False at the end. */
static inline __attribute__((always_inline)) bool leaf_open_as(ae_tree_cursor *cursor,
                                                               uint32_t width)
{
    const ae_tree *tree = cursor->tree;
    const aei_bound low = aei_bound_of(&cursor->left.low);
    const aei_bound high = aei_bound_of(&cursor->left.high);
    const aei_bound bound = cursor->descending ? high : low;
    aei_way way;
    bool fine = true;
    if (cursor->done || !aei_below(low.words, low.anchor, high.words, high.anchor, width))
        return false;
    AE_CRASH_POINT("tree.walking");
    if (!way_from_parent(cursor, bound, &way, &fine))
        fine = aei_tree_descend(tree, bound, cursor->descending, &way);
    if (!fine ||
        (way.low.words != NULL && way.high.words != NULL &&
         !aei_below(way.low.words, way.low.anchor, way.high.words, way.high.anchor, width))) {
        cursor->fail = AERO_CORRUPT;
        cursor->done = true;
        return false;
    }
    /* What this leaf answers for, of what is left. */
    const bool cut_low = way.low.words != NULL &&
                         aei_below(low.words, low.anchor, way.low.words, way.low.anchor, width);
    const bool cut_high = way.high.words != NULL && aei_below(way.high.words, way.high.anchor,
                                                              high.words, high.anchor, width);
    const aei_bound from = cut_low ? way.low : low;
    const aei_bound to = cut_high ? way.high : high;
    cursor->done = cursor->descending ? !cut_low : !cut_high;
    if (way.leaf != NULL)
        leaf_enter(cursor, way.leaf, width, from, to);
    if (cursor->done)
        return true;
    way_keep(cursor, &way);
    if (cursor->descending)
        key_copy(&cursor->left.high, from, width);
    else
        key_copy(&cursor->left.low, to, width);
    return true;
}

static bool leaf_open(ae_tree_cursor *cursor)
{
    return cursor->tree->width == 1 ? leaf_open_as(cursor, 1)
                                    : leaf_open_as(cursor, cursor->tree->width);
}

static inline __attribute__((always_inline)) uint32_t leaf_read(ae_tree_cursor *cursor,
                                                                uint32_t width, uint64_t *words,
                                                                ae_ref *anchors, uint32_t most)
{
    const ae_tree_node *leaf = cursor->leaf;
    const uint64_t *keys = aei_leaf_keys(leaf);
    const ae_a64 *entries = aei_leaf_words(leaf, width);
    const bool down = cursor->descending;
    uint32_t next = cursor->next;
    uint32_t end = cursor->end;
    uint32_t count = 0;
    while (count < most && next < end) {
        const uint32_t at = down ? --end : next++;
        const uint32_t place = cursor->merged ? cursor->order[at] : at;
        /* Acquire: the version that the entry was put for; pairs with slot_fill and
         * place_confirm. */
        const uint64_t word = ae_load64_acquire(&entries[place]);
        for (uint32_t index = 0; index < width; index++)
            words[(size_t)count * width + index] = keys[(size_t)place * width + index];
        anchors[count] = (ae_ref)word;
        count += aei_is_live(word);
    }
    cursor->next = next;
    cursor->end = end;
    if (next == end)
        cursor->leaf = NULL;
    return count;
}

uint32_t ae_tree_next(ae_tree_cursor *cursor, uint64_t *words, ae_ref *anchors, uint32_t most)
{
    const uint32_t width = cursor->tree->width;
    uint32_t count = 0;
    while (count < most) {
        if (cursor->leaf == NULL) {
            if (!leaf_open(cursor))
                break;
            continue;
        }
        count += width == 1 ? leaf_read(cursor, 1, words + count, anchors + count, most - count)
                            : leaf_read(cursor, width, words + (size_t)count * width,
                                        anchors + count, most - count);
    }
    return count;
}

uint64_t ae_tree_count(const ae_tree *tree, const ae_tree_range *range)
{
    ae_tree_cursor cursor;
    uint64_t count = 0;
    ae_tree_seek(&cursor, tree, range, false);
    while (leaf_open(&cursor)) {
        if (cursor.leaf == NULL)
            continue;
        const ae_a64 *words = aei_leaf_words(cursor.leaf, tree->width);
        for (uint32_t at = cursor.next; at < cursor.end; at++)
            count += aei_is_live(ae_load64(&words[cursor.merged ? cursor.order[at] : at]));
        cursor.leaf = NULL;
    }
    return count;
}
