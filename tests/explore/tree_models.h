/* tree_models.h — what models of the ordered index share: a tree of one word by itself, threads
 * with a slot each, and the check at the end of each run that it holds what was put, no more, and
 * that no node is lost.
 *
 * Leaves have six entries here and inner nodes four children.  A key's anchor follows from its
 * word.
 */
#ifndef AE_TEST_TREE_MODELS_H
#define AE_TEST_TREE_MODELS_H

#include "flight_models.h"
#include "index/tree_node.h"

enum { TREE_KEYS = 256, TREE_GET = 2 /* entries a cursor is asked for at once */ };

static struct {
    ae_ref root;
    ae_tree tree;          /* everybody's: it does not change */
    bool fixed[TREE_KEYS]; /* there from the beginning, and nobody touches it */
    bool loose[TREE_KEYS]; /* there in the beginning; threads may remove it */
} model;

static struct {
    bool there[TREE_KEYS];
    uint32_t flying[EXPLORE_THREADS]; /* key + 1: whether it is there is open */
    ae_a64 present[TREE_KEYS];        /* versions that have the key, where bodies count them */
} run;

static inline ae_tree_key key_of(uint32_t word)
{
    return (ae_tree_key){.words = {word}, .anchor = 1000 + word};
}

/* ---- what threads do ------------------------------------------------------------------------ */

static inline uint32_t slot_take(uint32_t thread)
{
    ae_proc *proc = &world.db->proc;
    const aero_session *session = thread < EXPLORE_THREADS ? world.sessions[thread]
                                                           : world.observer;
    uint32_t slot = 0;
    if (ae_slot_claim_at(proc, session->member, (thread + 1) % AE_SLOTS, &slot) != AERO_OK)
        explore_fail("slot %u is not free", (thread + 1) % AE_SLOTS);
    (void)ae_snapshot_publish(proc, &ae_slot_at(proc, slot)->snapshot);
    return slot;
}

static inline void slot_leave(uint32_t slot)
{
    ae_slot_release(&world.db->proc, slot);
}

static inline void put(uint32_t thread, uint32_t slot, uint32_t word)
{
    const ae_tree_key key = key_of(word);
    aero_error error;
    uint64_t ticket = 0;
    run.flying[thread] = word + 1;
    if (ae_tree_put(&model.tree, slot, &key, &error) != AERO_OK)
        explore_fail("put %u: %s", word, error.text);
    run.there[word] = true;
    run.flying[thread] = 0;
    explore_assert(ae_tree_find(&model.tree, &key, &ticket));
}

/* By a ticket of its own; it must be there. */
static inline void take_out(uint32_t thread, uint32_t slot, uint32_t word)
{
    const ae_tree_key key = key_of(word);
    aero_error error;
    ae_tree_spot spot;
    explore_assert(ae_tree_spot_find(&model.tree, &key, &spot));
    run.flying[thread] = word + 1;
    if (ae_tree_spot_remove(&model.tree, slot, &key, &spot, &error) != AERO_OK)
        explore_fail("remove %u: %s", word, error.text);
    run.there[word] = false;
    run.flying[thread] = 0;
    explore_assert(!ae_tree_spot_find(&model.tree, &key, &spot));
}

/* A commit somewhere: what has been retired so far is free once nobody's snapshot is older. */
static inline void tick(void)
{
    ae_proc_shared *shared = world.db->proc.shared;
    ae_add64(&shared->tail, 1);
    ae_add64(&shared->clock, 1);
}

static inline void reclaim(uint32_t slot)
{
    ae_proc *proc = &world.db->proc;
    tick();
    (void)ae_snapshot_publish(proc, &ae_slot_at(proc, slot)->snapshot);
    (void)ae_block_reclaim(proc, slot, ae_horizon_compute(proc));
}

/* Every fixed key is found. */
static inline void find_all(void)
{
    for (uint32_t word = 0; word < TREE_KEYS; word++) {
        const ae_tree_key key = key_of(word);
        uint64_t ticket = 0;
        if (model.fixed[word])
            explore_assert(ae_tree_find(&model.tree, &key, &ticket));
    }
}

/* Whoever walks meets every fixed key once, and all in order. */
static inline void walk(bool descending)
{
    ae_tree_range all;
    ae_tree_cursor cursor;
    uint64_t words[TREE_GET];
    ae_ref anchors[TREE_GET];
    bool met[TREE_KEYS] = {false};
    uint64_t last = descending ? TREE_KEYS : 0;
    ae_tree_range_all(&all);
    ae_tree_seek(&cursor, &model.tree, &all, descending);
    for (uint32_t got; (got = ae_tree_next(&cursor, words, anchors, TREE_GET)) > 0;)
        for (uint32_t index = 0; index < got; index++) {
            const uint64_t word = words[index];
            explore_assert(word > 0 && word < TREE_KEYS && anchors[index] == 1000 + word);
            if (descending ? word >= last : word <= last)
                explore_fail("%" PRIu64 " after %" PRIu64, word, last);
            met[word] = true;
            last = word;
        }
    explore_assert(cursor.fail == AERO_OK);
    for (uint32_t word = 0; word < TREE_KEYS; word++)
        if (model.fixed[word] && !met[word])
            explore_fail("%u is not met", word);
}

static inline void body_find(uint32_t thread)
{
    const uint32_t slot = slot_take(thread);
    find_all();
    slot_leave(slot);
}

static inline void body_walk_up(uint32_t thread)
{
    const uint32_t slot = slot_take(thread);
    walk(false);
    slot_leave(slot);
}

static inline void body_walk_down(uint32_t thread)
{
    const uint32_t slot = slot_take(thread);
    walk(true);
    slot_leave(slot);
}

/* ---- checking ------------------------------------------------------------------------------- */

static inline ae_tree_shape shape_now(void)
{
    ae_tree_shape shape;
    aero_error error;
    if (ae_tree_check(&model.tree, NULL, NULL, &shape, &error) != AERO_OK)
        explore_fail("check: %s", error.text);
    return shape;
}

/* Blocks that say they are the tree's. */
static inline uint64_t nodes_owned(void)
{
    const ae_heap *heap = &world.db->heap;
    const uint32_t pools[] = {model.tree.leaf_pool, model.tree.inner_pool};
    uint64_t owned = 0;
    for (uint32_t which = 0; which < (pools[0] == pools[1] ? 1u : 2u); which++) {
        const ae_pool *pool = &heap->pools[pools[which]];
        for (uint32_t index = 0; index < ae_pool_slab_count(pool); index++) {
            const ae_slab *slab = ae_pool_slab(heap, pool, index);
            for (uint32_t object = 0; slab != NULL && object < ae_load32(&slab->high); object++)
                owned += ae_tree_owns_word(ae_load64((const ae_a64 *)ae_slab_object(slab, object)),
                                           model.tree.root_ref);
        }
    }
    return owned;
}

static inline bool is_open(uint32_t word)
{
    for (uint32_t thread = 0; thread < EXPLORE_THREADS; thread++)
        if (explore_died(thread) && run.flying[thread] == word + 1)
            return true;
    return false;
}

/* The tree holds what was put, once; every node is reached; and taken down it leaves nothing. */
static inline void end_tree(void)
{
    aero_db *db = world.db;
    aero_error error;
    uint64_t rows = 0;
    uint64_t blocks = 0;
    uint64_t entries = 0;
    (void)ae_reap_all(db, world.observer->member);
    const ae_tree_shape shape = shape_now();
    for (uint32_t word = 0; word < TREE_KEYS; word++) {
        const ae_tree_key key = key_of(word);
        uint64_t ticket = 0;
        const bool found = ae_tree_find(&model.tree, &key, &ticket);
        entries += found;
        if (found != (run.there[word] || model.fixed[word]) && !is_open(word))
            explore_fail("%u is %s", word, found ? "there" : "missing");
    }
    explore_assert(shape.entries == entries);
    if (nodes_owned() != shape.nodes)
        explore_fail("%" PRIu64 " nodes, of which %" PRIu64 " are reached", nodes_owned(),
                     shape.nodes);
    const uint32_t slot = slot_take(EXPLORE_THREADS);
    if (ae_tree_destroy(&model.tree, slot, &error) != AERO_OK)
        explore_fail("destroy: %s", error.text);
    explore_assert(nodes_owned() == 0);
    ae_heap_give(&db->heap, &ae_slot_at(&db->proc, slot)->cache, slot,
                 ae_heap_class(&db->heap, sizeof(ae_tree_root)), model.root);
    slot_leave(slot);
    if (aero_verify(world.observer, &rows, &blocks) != AERO_OK)
        explore_fail("verify: %s", aero_session_error(world.observer)->text);
}

/* ---- beginning ------------------------------------------------------------------------------ */

/* Each slot has nodes at hand, so that taking one is quiet. */
static inline void slot_stock(uint32_t thread)
{
    ae_heap *heap = &world.db->heap;
    const uint32_t slot = slot_take(thread);
    ae_cache *cache = &ae_slot_at(&world.db->proc, slot)->cache;
    const uint32_t pools[] = {model.tree.leaf_pool, model.tree.inner_pool,
                              ae_heap_class(heap, sizeof(ae_tree_root))};
    for (uint32_t which = 0; which < 3; which++) {
        ae_ref ref = 0;
        if (ae_heap_take(heap, cache, slot, pools[which], &ref, NULL) != AERO_OK)
            explore_fail("no memory to begin with");
        ae_heap_give(heap, cache, slot, pools[which], ref);
    }
    slot_leave(slot);
}

/* An empty tree. */
static inline void tree_open(void)
{
    flights_open();
    ae_heap *heap = &world.db->heap;
    memset(&model, 0, sizeof model);
    memset(&run, 0, sizeof run);
    const uint32_t slot = slot_take(0);
    if (ae_heap_take(heap, &ae_slot_at(&world.db->proc, slot)->cache, slot,
                     ae_heap_class(heap, sizeof(ae_tree_root)), &model.root, NULL) != AERO_OK)
        explore_fail("no memory to begin with");
    ae_block *block = ae_at(&world.db->segment, model.root);
    ae_store64_release(&block->word, AE_WORD_OWNED | 1);
    memset(block + 1, 0, sizeof(ae_tree_root));
    ae_tree_create((ae_tree_root *)(void *)(block + 1), 1);
    if (ae_tree_open(&model.tree, &world.db->proc, (ae_tree_root *)(void *)(block + 1), NULL) !=
        AERO_OK)
        explore_fail("no tree");
    slot_leave(slot);
    for (uint32_t thread = 0; thread <= EXPLORE_THREADS; thread++)
        slot_stock(thread);
}

static inline void tree_put_fixed(uint32_t slot, uint32_t word)
{
    const ae_tree_key key = key_of(word);
    if (ae_tree_put(&model.tree, slot, &key, NULL) != AERO_OK)
        explore_fail("no memory to begin with");
    model.fixed[word] = true;
}

static inline void begin_tree(void)
{
    memset(&run, 0, sizeof run);
    memcpy(run.there, model.loose, sizeof run.there);
    for (uint32_t word = 0; word < TREE_KEYS; word++)
        ae_store64(&run.present[word], model.loose[word]);
}

#endif
