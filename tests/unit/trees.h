/* trees.h — an ordered index by itself, for tests: a root in a block of its own, slots to work
 * from, and shorthands.
 *
 * Anchors are made up; the index only carries them around.  The clock is moved by writing a row, so
 * that what was retired can be used again.
 */
#ifndef AE_TEST_TREES_H
#define AE_TEST_TREES_H

#include "flights.h"
#include "index/tree.h"
#include "txn/txn.h"

typedef struct tree_place {
    ae_tree tree;
    aero_db *db;
    uint32_t member;
    uint32_t slot;
    uint32_t retired; /* when the horizon was computed last */
} tree_place;

/* The block that holds a new tree's root.  Nothing in the store leads to it: tree_drop gives it
 * back. */
static inline ae_ref tree_make(aero_db *db, uint32_t slot, uint32_t width)
{
    ae_ref ref = 0;
    ae_slot *at = ae_slot_at(&db->proc, slot);
    const uint32_t pool = ae_heap_class(&db->heap, sizeof(ae_tree_root));
    assert_int_equal(ae_heap_take(&db->heap, &at->cache, slot, pool, &ref, NULL), AERO_OK);
    ae_block *block = ae_at(&db->segment, ref);
    ae_store64_release(&block->word, AE_WORD_OWNED | 1);
    memset(block + 1, 0, sizeof(ae_tree_root));
    ae_tree_create((ae_tree_root *)(void *)(block + 1), width);
    return ref;
}

static inline bool tree_enter_as(tree_place *at, aero_db *db, uint32_t member)
{
    at->db = db;
    at->member = member;
    at->retired = 0;
    if (ae_slot_claim(&db->proc, member, member, &at->slot, NULL) != AERO_OK)
        return false;
    (void)ae_snapshot_publish(&db->proc, &ae_slot_at(&db->proc, at->slot)->snapshot);
    at->retired = ae_tree_retired(&db->proc, at->slot);
    return true;
}

static inline bool tree_open_at(tree_place *at, ae_ref root)
{
    ae_block *block = ae_at(&at->db->segment, root);
    return ae_tree_open(&at->tree, &at->db->proc, (ae_tree_root *)(void *)(block + 1), NULL) ==
           AERO_OK;
}

/* A slot under the store's own session, and a new tree. */
static inline ae_ref tree_start(tree_place *at, test_store *store, uint32_t width)
{
    assert_true(tree_enter_as(at, store->db, store->session->member));
    const ae_ref root = tree_make(store->db, at->slot, width);
    assert_true(tree_open_at(at, root));
    return root;
}

/* A newer snapshot; what was retired before the clock moved is freed. */
static inline void tree_refresh(tree_place *at)
{
    ae_proc *proc = &at->db->proc;
    (void)ae_snapshot_publish(proc, &ae_slot_at(proc, at->slot)->snapshot);
    if (ae_tree_retired(proc, at->slot) - at->retired < 16)
        return;
    at->retired = ae_tree_retired(proc, at->slot);
    (void)ae_block_reclaim(proc, at->slot, ae_horizon_compute(proc));
}

static inline void tree_tick(test_store *store, tree_place *at)
{
    assert_ok(store->session, flight_put(store->session, "tick", 1));
    tree_refresh(at);
}

static inline void tree_leave(tree_place *at)
{
    ae_slot_release(&at->db->proc, at->slot);
}

static inline void tree_drop(tree_place *at, ae_ref root)
{
    aero_error error;
    ae_heap *heap = &at->db->heap;
    if (ae_tree_destroy(&at->tree, at->slot, &error) != AERO_OK)
        fail_msg("destroy: %s", error.text);
    assert_int_equal(ae_load64(&at->tree.root->node), 0);
    ae_heap_give(heap, &ae_slot_at(&at->db->proc, at->slot)->cache, at->slot,
                 ae_heap_class(heap, sizeof(ae_tree_root)), root);
    tree_leave(at);
}

static inline void tree_put(tree_place *at, const ae_tree_key *key)
{
    aero_error error;
    if (ae_tree_put(&at->tree, at->slot, key, &error) != AERO_OK)
        fail_msg("put: %s", error.text);
}

/* Returns whether it was there. */
static inline bool tree_take_out(tree_place *at, const ae_tree_key *key)
{
    uint64_t ticket = 0;
    aero_error error;
    if (!ae_tree_find(&at->tree, key, &ticket))
        return false;
    if (ae_tree_remove(&at->tree, at->slot, key, ticket, &error) != AERO_OK)
        fail_msg("remove: %s", error.text);
    return true;
}

static inline ae_tree_shape tree_shape(const tree_place *at)
{
    ae_tree_shape shape;
    aero_error error;
    if (ae_tree_check(&at->tree, NULL, NULL, &shape, &error) != AERO_OK)
        fail_msg("check: %s", error.text);
    return shape;
}

static inline int tree_key_order(const ae_tree_key *left, const ae_tree_key *right, uint32_t width)
{
    for (uint32_t word = 0; word < width; word++)
        if (left->words[word] != right->words[word])
            return left->words[word] < right->words[word] ? -1 : 1;
    return left->anchor < right->anchor ? -1 : left->anchor > right->anchor;
}

#endif
