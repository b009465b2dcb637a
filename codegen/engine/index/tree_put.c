/* tree_put.c — putting entries (see tree.h; removing them: tree_remove.c).
 *
 * Two writers of the same key (words and anchor) never make two places of it: places are claimed in
 * order, each claim says its anchor, and a writer that looks for a free place looks at all before
 * it.  One that meets a claim of its own anchor cannot see the key yet; it makes the claim void,
 * and the other starts again.
 */
#include "index/tree_node.h"

/* A writer that starts over this often is in a damaged tree. */
#define TURNS_MAX 10000000u

aero_status aei_tree_settle(ae_tree *tree, uint32_t slot, aei_bound bound, aei_way *way,
                            aero_error *error)
{
    const uint32_t width = tree->width;
    for (uint32_t turn = 0; turn < TURNS_MAX; turn++) {
        ae_a64 *place = &tree->root->node;
        ae_tree_node *parent = NULL;
        way->high.words = NULL;
        for (;;) {
            /* Acquire: the node is filled; pairs with the CAS in aei_tree_help. */
            const uint64_t word = ae_load64_acquire(place);
            aero_status status = AERO_OK;
            if ((word & AE_TREE_FROZEN) != 0) { /* the parent is being replaced, or has been */
                status = aei_inner_replace(tree, slot, parent, NULL, error);
                if (status != AERO_OK)
                    return status;
                break;
            }
            way->parent = parent;
            way->place = place;
            way->leaf = NULL;
            if ((ae_ref)word == 0)
                return AERO_OK;
            ae_tree_node *node = aei_tree_node(tree, (ae_ref)word);
            if (node == NULL || (parent != NULL && node->level + 1u != parent->level) ||
                (node->level > 0 && node->count == 0))
                return aei_tree_damaged(tree, error);
            if (ae_load64_acquire(&node->successor) != 0) {
                status = aei_tree_help(tree, slot, parent, place, node, error);
                if (status != AERO_OK)
                    return status;
                break;
            }
            way->leaf = node;
            if (node->level == 0)
                return AERO_OK;
            const uint32_t child = aei_inner_search(node, width, bound, false);
            parent = node;
            place = &aei_inner_children(node)[child];
            aei_node_fetch(tree, (ae_ref)ae_load64(place), node->level - 1u);
            if (child + 1 < node->count)
                way->high = (aei_bound){aei_inner_keys(node, width) + (size_t)(child + 1) * width,
                                        aei_inner_anchors(node, width)[child + 1]};
        }
    }
    return aei_tree_damaged(tree, error);
}

/* ---- one entry ------------------------------------------------------------------------------ */

enum put_result { PUT_DONE, PUT_AGAIN, PUT_REPLACE };

/* The key has a place: make it live, with a new number. */
static enum put_result place_confirm(ae_tree_node *leaf, ae_a64 *at)
{
    const uint64_t word = ae_load64_acquire(at);
    AE_CRASH_POINT("tree.confirming");
    if ((word & AE_TREE_FROZEN) != 0)
        return PUT_REPLACE;
    /* Release: what the caller published before stands before the entry; pairs with the loads in
     * ae_tree_next and ae_tree_find. */
    if (!ae_cas64(at, word, aei_word_live(aei_word_sequence(word) + 1, (ae_ref)word)))
        return PUT_AGAIN;
    if (!aei_is_live(word))
        (void)ae_add32(&leaf->dead, UINT32_MAX);
    AE_CRASH_POINT("tree.confirmed");
    return PUT_DONE;
}

/* Claim an empty place and fill it. */
static enum put_result slot_fill(const ae_tree *tree, ae_tree_node *leaf, uint32_t place,
                                 const ae_tree_key *key)
{
    ae_a64 *at = &aei_leaf_words(leaf, tree->width)[place];
    const uint64_t claim = AE_TREE_CLAIMED | key->anchor;
    AE_CRASH_POINT("tree.claiming");
    if (!ae_cas64(at, 0, claim))
        return PUT_AGAIN;
    AE_CRASH_POINT("tree.claimed");
    for (uint32_t word = 0; word < tree->width; word++)
        ae_store64((ae_a64 *)(void *)&leaf->data[(size_t)place * tree->width + word],
                   key->words[word]);
    /* Read after the leaf was found under a place that its predecessor had left: the floor is above
     * the numbers of a leaf that was given up there; pairs with floor_raise. */
    const uint32_t floor = aei_sequence_later(leaf->floor, ae_load32_acquire(&tree->root->floor));
    /* Release: the key before the word; pairs with aei_leaf_find.  Fails when the claim was frozen
     * or made void. */
    const bool done = ae_cas64(at, claim, aei_word_live(floor + 1, key->anchor));
    AE_CRASH_POINT("tree.entered");
    return done ? PUT_DONE : PUT_AGAIN;
}

static inline __attribute__((always_inline)) enum put_result leaf_put_as(const ae_tree *tree,
                                                                         const uint32_t width,
                                                                         ae_tree_node *leaf,
                                                                         const ae_tree_key *key)
{
    AE_ASSERT(leaf->level == 0);
    const uint64_t *keys = aei_leaf_keys(leaf);
    ae_a64 *words = aei_leaf_words(leaf, width);
    const uint32_t below = aei_leaf_below(leaf, width, aei_bound_of(key));
    if (below < leaf->count && (ae_ref)ae_load64(&words[below]) == key->anchor &&
        aei_same_words(keys + (size_t)below * width, key->words, width))
        return place_confirm(leaf, &words[below]);
    const uint32_t limit = aei_leaf_limit(leaf, width);
    for (uint32_t place = leaf->count; place < limit; place++) {
        /* Acquire: the key of a live place; pairs with slot_fill. */
        const uint64_t word = ae_load64_acquire(&words[place]);
        if ((word & AE_TREE_FROZEN) != 0)
            return PUT_REPLACE;
        if (word == 0)
            return slot_fill(tree, leaf, place, key);
        if ((ae_ref)word != key->anchor)
            continue;
        if ((word & AE_TREE_STATE) == AE_TREE_CLAIMED) {
            (void)ae_cas64(&words[place], word, AE_TREE_VOID);
            return PUT_AGAIN;
        }
        if (aei_has_key(word) && aei_same_words(keys + (size_t)place * width, key->words, width))
            return place_confirm(leaf, &words[place]);
    }
    return PUT_REPLACE;
}

static enum put_result leaf_put(const ae_tree *tree, ae_tree_node *leaf, const ae_tree_key *key)
{
    return tree->width == 1 ? leaf_put_as(tree, 1, leaf, key)
                            : leaf_put_as(tree, tree->width, leaf, key);
}

/* Replace the leaf, with the key in it; *added says whether it is.  The leaf was found under its
 * parent, not behind a node that it replaced, so what came before it is unlinked, and it may be
 * replaced without another way down: until it has a successor it answers for the key (T3). */
static aero_status leaf_replace_with(ae_tree *tree, uint32_t slot, ae_tree_node *leaf,
                                     const uint64_t *words, const ae_ref *anchor, uint32_t *added,
                                     aero_error *error)
{
    const aei_batch one = {words, anchor, 1};
    AE_CRASH_POINT("tree.full");
    return aei_leaf_replace(tree, slot, leaf, &one, added, error);
}

aero_status ae_tree_put_near(ae_tree *tree, uint32_t slot, const ae_tree_key *key, ae_ref near,
                             aero_error *error)
{
    ae_tree_node *leaf = aei_leaf_near(tree, near);
    uint32_t added = 0;
    aei_way way;
    AE_ASSERT(key->anchor != 0 && key->anchor != UINT32_MAX);
    const enum put_result result = leaf == NULL ? PUT_AGAIN : leaf_put(tree, leaf, key);
    if (result == PUT_DONE)
        return AERO_OK;
    if (result == PUT_REPLACE) {
        const aero_status status = leaf_replace_with(tree, slot, leaf, key->words, &key->anchor,
                                                     &added, error);
        if (status != AERO_OK)
            return status;
    }
    if (added == 0)
        return ae_tree_put(tree, slot, key, error);
    (void)aei_tree_settle(tree, slot, aei_bound_of(key), &way, NULL); /* as in ae_tree_put */
    return AERO_OK;
}

aero_status ae_tree_put(ae_tree *tree, uint32_t slot, const ae_tree_key *key, aero_error *error)
{
    AE_ASSERT(slot < AE_SLOTS);
    const aei_bound bound = aei_bound_of(key);
    const aei_batch one = {key->words, &key->anchor, 1};
    aei_way way;
    AE_ASSERT(key->anchor != 0 && key->anchor != UINT32_MAX);
    for (uint32_t turn = 0; turn < TURNS_MAX; turn++) {
        aero_status status = aei_tree_settle(tree, slot, bound, &way, error);
        if (status != AERO_OK)
            return status;
        if (way.leaf == NULL) {
            status = aei_leaf_first(tree, slot, way.parent, way.place, error);
            if (status != AERO_OK)
                return status;
            continue;
        }
        AE_CRASH_POINT("tree.settled");
        const enum put_result result = leaf_put(tree, way.leaf, key);
        if (result == PUT_DONE)
            return AERO_OK;
        if (result == PUT_AGAIN)
            continue;
        uint32_t added = 0;
        status = aei_leaf_replace(tree, slot, way.leaf, &one, &added, error);
        if (status != AERO_OK)
            return status;
        if (added == 1) { /* it is in; that its parent lags behind is put right if possible */
            (void)aei_tree_settle(tree, slot, bound, &way, NULL);
            return AERO_OK;
        }
    }
    return aei_tree_damaged(tree, error);
}

/* ---- many entries --------------------------------------------------------------------------- */

/* For fewer, a leaf is not rewritten as long as it has free places. */
#define BATCH_FEW 4u

/* How many keys from the first on are below the leaf's upper fence; no more than `most`. */
static uint32_t batch_length(const ae_tree *tree, const aei_way *way, const uint64_t *words,
                             const ae_ref *anchors, size_t count, uint32_t most)
{
    AE_ASSERT(count > 0 && most > 0);
    const uint32_t width = tree->width;
    uint32_t high = count < most ? (uint32_t)count : most;
    uint32_t low = 1; /* the first one led here */
    if (way->high.words == NULL)
        return high;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (aei_below(words + (size_t)middle * width, anchors[middle], way->high.words,
                      way->high.anchor, width))
            low = middle + 1;
        else
            high = middle;
    }
    AE_ASSERT(low >= 1 && low <= count);
    return low;
}

/* Keys whose leaves are looked for, and fetched, together. */
#define GUESS_KEYS 16u

/* The child of an inner node that leads to a key, if the node is current; else 0.  A parent may lag
 * behind, for want of memory for as long as one likes, and lead to a node that was replaced; and
 * what that leads to may have been freed. */
static inline __attribute__((always_inline)) ae_ref child_guess(const uint32_t width,
                                                                const ae_tree_node *node,
                                                                aei_bound bound, uint32_t *child)
{
    *child = aei_inner_search(node, width, bound, false);
    const ae_ref ref = (ae_ref)ae_load64_acquire(&aei_inner_children(node)[*child]);
    /* Acquire, and after the child: while the node is current its children are; what is replaced
     * from now on our snapshot keeps. */
    return ae_load64_acquire(&node->successor) != 0 ? 0 : ref;
}

/* The inner node above a key's leaf, if the way to it is quiet; else 0.  It is not touched, unless
 * it is the top.  *high: where it ends. */
static inline __attribute__((always_inline)) ae_ref inner_guess_as(const ae_tree *tree,
                                                                   const uint32_t width,
                                                                   aei_bound bound, aei_bound *high)
{
    /* Acquire: the node is filled; pairs with the CAS in aei_tree_help. */
    ae_ref ref = (ae_ref)ae_load64_acquire(&tree->root->node);
    high->words = NULL;
    for (uint32_t level = 0; level < AE_TREE_HEIGHT_MAX && ref != 0; level++) {
        ae_tree_node *node = aei_tree_node(tree, ref);
        if (node == NULL || node->level == 0 || node->count == 0)
            return 0;
        if (node->level == 1)
            return ref;
        uint32_t child = 0;
        ref = child_guess(width, node, bound, &child);
        if (child + 1 < node->count)
            *high = (aei_bound){aei_inner_keys(node, width) + (size_t)(child + 1) * width,
                                aei_inner_anchors(node, width)[child + 1]};
        if (node->level == 2)
            return ref;
    }
    return 0;
}

static ae_ref inner_guess(const ae_tree *tree, aei_bound bound, aei_bound *high)
{
    return tree->width == 1 ? inner_guess_as(tree, 1, bound, high)
                            : inner_guess_as(tree, tree->width, bound, high);
}

/* Bring some nodes near, all at once.  The first line of each is read, not prefetched: where the
 * translation of its page is missing as well, processors drop a prefetch. */
static void nodes_fetch(const ae_tree *tree, const ae_ref *refs, uint32_t count, uint32_t bytes)
{
    const ae_segment *segment = tree->proc->heap->segment;
    uint32_t replaced = 0;
    for (uint32_t at = 0; at < count; at++)
        if (refs[at] != 0 && (at == 0 || refs[at] != refs[at - 1]) &&
            ((uint64_t)refs[at] << 4) + sizeof(ae_tree_node) <= segment->size) {
            const ae_tree_node *node = ae_at(segment, refs[at]);
            replaced += ae_load64(&node->successor) != 0;
        }
    for (uint32_t at = 0; at < count && replaced < count; at++)
        if (refs[at] != 0 && (at == 0 || refs[at] != refs[at - 1]))
            for (uint32_t line = 64; line < bytes; line += 64)
                __builtin_prefetch((const char *)ae_at(tree->proc->heap->segment, refs[at]) + line);
}

/* The leaves of the next keys, or 0 where it is not so simple: first the nodes above them, then
 * they are fetched.  A leaf that is found answers for the key for as long as it is not frozen (T3).
 * Returns for how many. */
static inline __attribute__((always_inline)) uint32_t leaves_guess(
    const ae_tree *tree, const uint32_t width, const uint64_t *words, const ae_ref *anchors,
    size_t count, ae_ref refs[GUESS_KEYS])
{
    AE_ASSERT(count > 0);
    const uint32_t some = count < GUESS_KEYS ? (uint32_t)count : GUESS_KEYS;
    aei_bound high = {.words = NULL};
    for (uint32_t at = 0; at < some; at++) {
        const aei_bound bound = {words + (size_t)at * width, anchors[at]};
        if (at > 0 && high.words != NULL &&
            aei_below(bound.words, bound.anchor, high.words, high.anchor, width))
            refs[at] = refs[at - 1];
        else
            refs[at] = inner_guess_as(tree, width, bound, &high);
    }
    nodes_fetch(tree, refs, some, aei_inner_bytes(width));
    for (uint32_t at = 0; at < some; at++) {
        const aei_bound bound = {words + (size_t)at * width, anchors[at]};
        ae_tree_node *node = refs[at] == 0 ? NULL : aei_tree_node(tree, refs[at]);
        refs[at] = 0;
        if (node == NULL || node->level != 1 || node->count == 0)
            continue;
        uint32_t child = 0;
        refs[at] = child_guess(width, node, bound, &child);
    }
    nodes_fetch(tree, refs, some, aei_leaf_bytes(width));
    return some;
}

void ae_tree_fetch(ae_tree_want *wants, uint32_t count)
{
    ae_ref refs[AE_TREE_WANTS_MAX];
    const uint32_t some = count < AE_TREE_WANTS_MAX ? count : AE_TREE_WANTS_MAX;
    if (some == 0)
        return;
    for (uint32_t at = 0; at < some; at++) {
        aei_bound high;
        refs[at] = wants[at].near != 0
                       ? 0
                       : inner_guess(wants[at].tree, aei_bound_of(wants[at].key), &high);
    }
    nodes_fetch(wants[0].tree, refs, some, aei_inner_bytes(1));
    for (uint32_t at = 0; at < some; at++) {
        const ae_tree *tree = wants[at].tree;
        ae_tree_node *node = refs[at] == 0 ? NULL : aei_tree_node(tree, refs[at]);
        refs[at] = 0;
        if (node == NULL || node->level != 1 || node->count == 0)
            continue;
        uint32_t child = 0;
        const aei_bound bound = aei_bound_of(wants[at].key);
        refs[at] = tree->width == 1 ? child_guess(1, node, bound, &child)
                                    : child_guess(tree->width, node, bound, &child);
        wants[at].near = refs[at];
    }
    nodes_fetch(wants[0].tree, refs, some, aei_leaf_bytes(1));
}

/* Put one key into the leaf that was guessed for it; *leaf: that one, if it is current. */
static enum put_result guess_put(const ae_tree *tree, ae_ref ref, const uint64_t *words,
                                 ae_ref anchor, ae_tree_node **leaf)
{
    *leaf = aei_leaf_near(tree, ref);
    ae_tree_key key = {.anchor = anchor};
    if (*leaf == NULL)
        return PUT_AGAIN;
    for (uint32_t word = 0; word < tree->width; word++)
        key.words[word] = words[word];
    return leaf_put(tree, *leaf, &key);
}

/* Rewrite the leaf of the first key together with those of the others that belong there; *added of
 * them are in. */
static aero_status batch_put(ae_tree *tree, uint32_t slot, const uint64_t *words,
                             const ae_ref *anchors, size_t count, uint32_t *added,
                             aero_error *error)
{
    AE_ASSERT(count > 0 && slot < AE_SLOTS);
    aei_batch batch = {words, anchors, 0};
    const aei_bound bound = {words, anchors[0]};
    aei_way way;
    aero_status status = aei_tree_settle(tree, slot, bound, &way, error);
    *added = 0;
    if (status != AERO_OK)
        return status;
    if (way.leaf == NULL)
        return aei_leaf_first(tree, slot, way.parent, way.place, error);
    batch.count = batch_length(tree, &way, words, anchors, count, 2 * AE_TREE_LEAF_MAX);
    if (batch.count <= BATCH_FEW) {
        const enum put_result result = guess_put(tree, aei_tree_ref(tree, way.leaf), words,
                                                 anchors[0], &way.leaf);
        *added = result == PUT_DONE;
        if (result != PUT_REPLACE)
            return AERO_OK;
    }
    return aei_leaf_replace(tree, slot, way.leaf, &batch, added, error);
}

aero_status ae_tree_put_sorted(ae_tree *tree, uint32_t slot, const uint64_t *words,
                               const ae_ref *anchors, size_t count, aero_error *error)
{
    AE_ASSERT(slot < AE_SLOTS);
    const uint32_t width = tree->width;
    ae_ref leaves[GUESS_KEYS];
    size_t first = 0;
    size_t end = 0;
    uint32_t turn = 0;
    for (size_t done = 0; done < count && turn < TURNS_MAX; turn++) {
        const uint64_t *key = words + done * width;
        uint32_t added = 0;
        AE_ASSERT(anchors[done] != 0 && anchors[done] != UINT32_MAX);
        AE_ASSERT(done == 0 ||
                  aei_below(key - width, anchors[done - 1], key, anchors[done], width));
        if (done >= end) {
            first = done;
            end = done +
                  (width == 1
                       ? leaves_guess(tree, 1, key, anchors + done, count - done, leaves)
                       : leaves_guess(tree, width, key, anchors + done, count - done, leaves));
        }
        AE_ASSERT(done >= first && done < end && end - first <= GUESS_KEYS);
        const ae_ref leaf = leaves[done - first];
        const bool crowd = done + BATCH_FEW < end && leaves[done + BATCH_FEW - first] == leaf;
        const bool alone = done + 1 < end && leaves[done + 1 - first] != leaf;
        ae_tree_node *node = NULL;
        const enum put_result result = crowd ? PUT_AGAIN
                                             : guess_put(tree, leaf, key, anchors[done], &node);
        if (result == PUT_DONE) {
            done++;
            turn = 0;
            continue;
        }
        const aero_status status = result == PUT_REPLACE && alone
                                       ? leaf_replace_with(tree, slot, node, key, &anchors[done],
                                                           &added, error)
                                       : batch_put(tree, slot, key, anchors + done, count - done,
                                                   &added, error);
        if (status != AERO_OK)
            return status;
        AE_ASSERT(added <= count - done);
        done += added;
        turn = added > 0 ? 0 : turn;
    }
    if (turn == TURNS_MAX)
        return aei_tree_damaged(tree, error);
    if (count > 0) {
        const aei_bound last = {words + (count - 1) * width, anchors[count - 1]};
        aei_way way;
        (void)aei_tree_settle(tree, slot, last, &way, NULL);
    }
    return AERO_OK;
}
