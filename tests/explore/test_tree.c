/* The ordered index in every order: nodes that several replace at once, parents against children,
 * readers in the middle of it, nodes that are used again, and deaths.
 *
 * At the end of each run the tree holds what was put, once (T2, T4), every node is reached or free
 * (T5), and nothing is left when it is taken down.
 *
 * variants: explore_tree
 * links: tests/explore * generated/aerostore
 */
#include "tree_models.h"

typedef void body(uint32_t thread);

/* The words that each thread puts or takes out, in this order; negative: takes out. */
static int32_t work[EXPLORE_THREADS][4];

static void body_work(uint32_t thread)
{
    const uint32_t slot = slot_take(thread);
    for (uint32_t step = 0; step < 4 && work[thread][step] != 0; step++)
        if (work[thread][step] > 0)
            put(thread, slot, (uint32_t)work[thread][step]);
        else
            take_out(thread, slot, (uint32_t)-work[thread][step]);
    slot_leave(slot);
}

/* The same, and after each step what was replaced is used again as soon as it may be. */
static void body_work_and_reclaim(uint32_t thread)
{
    const uint32_t slot = slot_take(thread);
    for (uint32_t step = 0; step < 4 && work[thread][step] != 0; step++) {
        put(thread, slot, (uint32_t)work[thread][step]);
        reclaim(slot);
    }
    slot_leave(slot);
}

static bool never_orphan(void *context, ae_ref ref, uint64_t word)
{
    (void)context;
    (void)ref;
    (void)word;
    return false;
}

/* What a reaper does for the tree when thread 0 is dead, and may die of, too; the next one begins
 * from the top. */
static void body_reap(uint32_t thread)
{
    aero_db *db = world.db;
    ae_slot *at = ae_slot_at(&db->proc, 1);
    (void)thread;
    if (!explore_died(0))
        return;
    ae_limbo_repair(&db->proc, &at->block_head, &at->block_tail, offsetof(ae_block, limbo_next));
    ae_heap_recover(&db->heap, &at->cache, 1, 0, never_orphan, NULL);
    ae_tree_recover(&db->proc, 1);
}

/* ---- beginnings ----------------------------------------------------------------------------- */

/* Ascending from 10 in steps of 10: leaves of five, and what is left. */
static void fill(uint32_t slot, uint32_t count)
{
    for (uint32_t word = 10; word <= 10 * count; word += 10)
        tree_put_fixed(slot, word);
}

/* One leaf with its two appended places used up and room for more when it is rewritten. */
static void small_leaf(uint32_t slot)
{
    tree_put_fixed(slot, 20);
    tree_put_fixed(slot, 40);
}

/* One leaf that splits at the next key. */
static void full_leaf(uint32_t slot)
{
    fill(slot, 5);
}

/* As many leaves as their parent can have, of which the first two split at the next key. */
static void full_parent(uint32_t slot)
{
    fill(slot, 19);
    tree_put_fixed(slot, 15);
    tree_put_fixed(slot, 65);
    explore_assert(shape_now().leaves == 4 && shape_now().inners == 1);
}

/* As many leaves as their parent can have: the first one is rewritten at the next key, the third
 * splits. */
static void ragged_parent(uint32_t slot)
{
    static const uint8_t words[] = {50,  60, 100, 110, 150, 160, 10, 20,  200,
                                    210, 70, 80,  120, 130, 30,  40, 170, 180};
    for (uint32_t index = 0; index < sizeof words; index++)
        tree_put_fixed(slot, words[index]);
    explore_assert(shape_now().leaves == 4 && shape_now().inners == 1);
}

static void drop(uint32_t slot, uint32_t word)
{
    const ae_tree_key key = key_of(word);
    uint64_t ticket = 0;
    model.fixed[word] = false;
    explore_assert(ae_tree_find(&model.tree, &key, &ticket));
    explore_assert(ae_tree_remove(&model.tree, slot, &key, ticket, NULL) == AERO_OK);
}

static void thin(uint32_t slot, uint32_t count, const uint8_t *kept, uint32_t kept_count)
{
    fill(slot, count);
    for (uint32_t word = 10; word <= 10 * count; word += 10) {
        bool keeps = false;
        for (uint32_t index = 0; index < kept_count; index++)
            keeps |= kept[index] == word;
        if (!keeps)
            drop(slot, word);
    }
}

static void loosen(uint32_t word)
{
    model.fixed[word] = false;
    model.loose[word] = true;
}

/* Two leaves under a parent, the second with {60}, which may go. */
static void last_of_a_leaf(uint32_t slot)
{
    fill(slot, 6);
    explore_assert(shape_now().leaves == 2);
    loosen(60);
}

/* A parent whose leaves have been joined to one, {40, 60}; both may go. */
static void last_of_a_parent(uint32_t slot)
{
    static const uint8_t kept[] = {40, 60};
    thin(slot, 6, kept, 2);
    explore_assert(shape_now().leaves == 1 && shape_now().inners == 1);
    loosen(40);
    loosen(60);
}

/* Two inner nodes under the top, the second one with a single leaf, {210}, which may go. */
static void last_of_an_inner(uint32_t slot)
{
    static const uint8_t kept[] = {10, 20,  30,  40,  50,  60,  70,  80,
                                   90, 100, 110, 120, 130, 140, 150, 210};
    thin(slot, 23, kept, sizeof kept);
    explore_assert(shape_now().height == 3 && shape_now().leaves == 4 && shape_now().inners == 3);
    loosen(210);
}

/* Three leaves under a parent, {30, 40, 50}, {80, 90, 100} and {110, 120, 130}.  The first two have
 * lost two of five; who loses a third is joined with its neighbour. */
static void three_to_join(uint32_t slot)
{
    static const uint8_t kept[] = {30, 40, 50, 80, 90, 100, 110, 120, 130};
    thin(slot, 13, kept, sizeof kept);
    explore_assert(shape_now().leaves == 3 && shape_now().inners == 1);
    loosen(30);
    loosen(80);
}

/* Two inner nodes under the top, with {50, 90, 100}, {130, 140, 150} and {180, 190, 200}, {210,
 * 220, 230}: when 50 goes, the first two leaves are joined; when 180 goes, the others, and then the
 * nodes. */
static void inners_to_join(uint32_t slot)
{
    static const uint8_t gone[] = {10, 20, 60, 70, 80, 110, 120, 30, 40, 160, 170};
    fill(slot, 23);
    for (uint32_t index = 0; index < sizeof gone; index++)
        drop(slot, gone[index]);
    explore_assert(shape_now().height == 3 && shape_now().leaves == 4 && shape_now().inners == 3);
    loosen(50);
    loosen(180);
}

/* ---- searching ------------------------------------------------------------------------------ */

typedef struct plan {
    const char *name;
    void (*beginning)(uint32_t slot);
    body *bodies[EXPLORE_THREADS];
    int32_t work[EXPLORE_THREADS][4];
    uint32_t interruptions;
    uint32_t deaths;
    void (*end)(void);
    bool buffered;
} plan;

static void search(const plan *of)
{
    uint32_t threads = 0;
    tree_open();
    const uint32_t slot = slot_take(0);
    of->beginning(slot);
    slot_leave(slot);
    slot_stock(0);
    memcpy(work, of->work, sizeof work);
    while (threads < EXPLORE_THREADS && of->bodies[threads] != NULL)
        threads++;
    flights_search(&(explore_model){.name = of->name,
                                    .threads = threads,
                                    .body = {of->bodies[0], of->bodies[1], of->bodies[2]},
                                    .begin = begin_tree,
                                    .end = of->end == NULL ? end_tree : of->end,
                                    .interruptions = of->interruptions,
                                    .deaths = of->deaths,
                                    .buffered = of->buffered});
}

/* ---- leaves --------------------------------------------------------------------------------- */

/* Goal: T1, T2: of two replacements of a leaf one counts, and both keys are in. */
static void test_two_replace_a_leaf(void **state)
{
    (void)state;
    search(&(plan){.name = "tree: two replace a leaf",
                   .beginning = small_leaf,
                   .bodies = {body_work, body_work},
                   .work = {{30}, {10}},
                   .interruptions = 3});
}

/* Goal: T2: a key that two put at once has one place. */
static void test_two_put_a_key(void **state)
{
    (void)state;
    search(&(plan){.name = "tree: two put a key",
                   .beginning = small_leaf,
                   .bodies = {body_work, body_work},
                   .work = {{10, 30}, {30}},
                   .interruptions = 3});
}

/* Goal: a leaf that is the top splits once, and grows one new top, while a third looks. */
static void test_two_split_the_top(void **state)
{
    (void)state;
    search(&(plan){.name = "tree: two split the top",
                   .beginning = full_leaf,
                   .bodies = {body_work, body_work, body_find},
                   .work = {{25}, {45}},
                   .interruptions = 2});
}

/* ---- parents -------------------------------------------------------------------------------- */

/* Goal: a parent that two must replace for different children ends with both. */
static void test_two_split_under_a_parent(void **state)
{
    (void)state;
    search(&(plan){.name = "tree: two split under a parent",
                   .beginning = full_parent,
                   .bodies = {body_work, body_work},
                   .work = {{25}, {75}},
                   .interruptions = 2});
}

/* Goal: a child is replaced while its parent is: the new parent gets the new child. */
static void test_a_child_under_a_parent_that_is_replaced(void **state)
{
    (void)state;
    search(&(plan){.name = "tree: child and parent",
                   .beginning = ragged_parent,
                   .bodies = {body_work, body_work},
                   .work = {{115}, {15}},
                   .interruptions = 3});
}

/* Goal: T4: whoever walks up, or down, while nodes are replaced meets everything once. */
static void test_walking_up_beside_a_split(void **state)
{
    (void)state;
    search(&(plan){.name = "tree: walk up",
                   .beginning = full_parent,
                   .bodies = {body_work, body_walk_up},
                   .work = {{25, 75}},
                   .interruptions = 2});
}
static void test_walking_down_beside_a_split(void **state)
{
    (void)state;
    search(&(plan){.name = "tree: walk down",
                   .beginning = full_parent,
                   .bodies = {body_work, body_walk_down},
                   .work = {{25, 75}},
                   .interruptions = 2});
}

/* Goal: T5: what a reader may come to is not used again.  Method: the writer frees what it
 * replaced as soon as the horizon allows it, and takes it for the next replacement. */
static void test_walking_while_nodes_are_used_again(void **state)
{
    (void)state;
    search(&(plan){.name = "tree: walk and reuse",
                   .beginning = full_parent,
                   .bodies = {body_work_and_reclaim, body_walk_up},
                   .work = {{25, 75, 195}},
                   .interruptions = 2});
}

/* ---- giving up and beginning anew ----------------------------------------------------------- */

/* Goal: a leaf that is given up takes nothing with it that is put at the same time. */
static void test_putting_into_a_leaf_that_is_given_up(void **state)
{
    (void)state;
    search(&(plan){.name = "tree: last of a leaf",
                   .beginning = last_of_a_leaf,
                   .bodies = {body_work, body_work, body_walk_up},
                   .work = {{-60}, {65}},
                   .interruptions = 2});
}

/* Goal: the same of the whole tree, from two sides. */
static void test_putting_into_a_tree_that_is_given_up(void **state)
{
    (void)state;
    search(&(plan){.name = "tree: last of a parent",
                   .beginning = last_of_a_parent,
                   .bodies = {body_work, body_work, body_work},
                   .work = {{-40}, {-60}, {45}},
                   .interruptions = 2});
}

/* Goal: the same of an inner node: below it the right levels grow again. */
static void test_putting_into_an_inner_node_that_is_given_up(void **state)
{
    (void)state;
    search(&(plan){.name = "tree: last of an inner node",
                   .beginning = last_of_an_inner,
                   .bodies = {body_work, body_work},
                   .work = {{-210, 220}, {215}},
                   .interruptions = 3});
}

/* ---- tickets -------------------------------------------------------------------------------- */

enum { CONTESTED = 42 };

/* The last of the versions with the key goes, and its entry if nobody needs it: entries.c in
 * small. */
static void version_end(uint32_t slot, ae_ref near)
{
    const ae_tree_key key = key_of(CONTESTED);
    ae_tree_spot spot;
    aero_error error;
    ae_add64(&run.present[CONTESTED], UINT64_MAX);
    if (!ae_tree_spot_near(&model.tree, &key, near, &spot) ||
        ae_load64_acquire(&run.present[CONTESTED]) != 0)
        return;
    if (ae_tree_spot_remove(&model.tree, slot, &key, &spot, &error) != AERO_OK)
        explore_fail("remove: %s", error.text);
}

static void version_begin(uint32_t slot, ae_ref near)
{
    const ae_tree_key key = key_of(CONTESTED);
    aero_error error;
    ae_add64(&run.present[CONTESTED], 1);
    if (ae_tree_put_near(&model.tree, slot, &key, near, &error) != AERO_OK)
        explore_fail("put: %s", error.text);
}

/* Look for the key's leaf, for later. */
static ae_ref leaf_foresee(void)
{
    const ae_tree_key key = key_of(CONTESTED);
    const ae_tree_key other = key_of(CONTESTED - 1);
    ae_tree_want wants[] = {{&model.tree, &key, 0}, {&model.tree, &other, 0}};
    ae_tree_fetch(wants, 2);
    return wants[0].near;
}

static void body_free(uint32_t thread)
{
    const uint32_t slot = slot_take(thread);
    version_end(slot, 0);
    slot_leave(slot);
}

static void body_bring_back(uint32_t thread)
{
    const uint32_t slot = slot_take(thread);
    version_begin(slot, 0);
    slot_leave(slot);
}

/* Comes, goes, and comes again. */
static void body_bring_back_twice(uint32_t thread)
{
    const uint32_t slot = slot_take(thread);
    version_begin(slot, 0);
    version_end(slot, 0);
    version_begin(slot, 0);
    slot_leave(slot);
}

/* The leaf is known from before. */
static void body_free_foreseen(uint32_t thread)
{
    const uint32_t slot = slot_take(thread);
    const ae_ref near = leaf_foresee();
    version_end(slot, near);
    slot_leave(slot);
}

/* The leaf of a key that is new was looked for before it is put. */
static void body_put_foreseen(uint32_t thread)
{
    const uint32_t slot = slot_take(thread);
    const uint32_t word = (uint32_t)work[thread][0];
    const ae_tree_key key = key_of(word);
    ae_tree_want want = {&model.tree, &key, 0};
    aero_error error;
    uint64_t ticket = 0;
    run.flying[thread] = word + 1;
    ae_tree_fetch(&want, 1);
    if (ae_tree_put_near(&model.tree, slot, &key, want.near, &error) != AERO_OK)
        explore_fail("put %u: %s", word, error.text);
    run.there[word] = true;
    run.flying[thread] = 0;
    explore_assert(ae_tree_find(&model.tree, &key, &ticket));
    slot_leave(slot);
}

static void body_bring_back_foreseen(uint32_t thread)
{
    const uint32_t slot = slot_take(thread);
    const ae_ref near = leaf_foresee();
    version_begin(slot, near);
    slot_leave(slot);
}

/* The leaf is replaced, and the entry gets a new number there. */
static void body_rewrite_and_confirm(uint32_t thread)
{
    const uint32_t slot = slot_take(thread);
    put(thread, slot, CONTESTED - 1);
    put(thread, slot, CONTESTED + 1);
    version_begin(slot, 0);
    version_end(slot, 0);
    slot_leave(slot);
}

static void end_needed(void)
{
    run.there[CONTESTED] = ae_load64(&run.present[CONTESTED]) != 0;
    end_tree();
}

static void one_version_and_another_key(uint32_t slot)
{
    tree_put_fixed(slot, 40);
    tree_put_fixed(slot, CONTESTED);
    loosen(CONTESTED);
}

static void one_version(uint32_t slot)
{
    tree_put_fixed(slot, CONTESTED);
    loosen(CONTESTED);
}

/* Leaves are foreseen below an inner node.  That of the key has a free place. */
static void one_version_in_some_leaves(uint32_t slot)
{
    fill(slot, 8);
    tree_put_fixed(slot, CONTESTED);
    loosen(CONTESTED);
    explore_assert(shape_now().height == 2 && leaf_foresee() != 0);
}

static void begin_with_two(void)
{
    begin_tree();
    ae_store64(&run.present[CONTESTED], 2);
}

/* Goal: T6: an entry that is removed and put again while somebody is about to remove it stays; also
 * when its leaf is rewritten, or given up, in between. */
static void test_an_entry_comes_again_while_it_is_freed(void **state)
{
    (void)state;
    search(&(plan){.name = "tree: comes again",
                   .beginning = one_version_and_another_key,
                   .bodies = {body_free, body_bring_back_twice},
                   .end = end_needed,
                   .interruptions = 2});
}
static void test_an_entry_comes_again_while_its_leaf_is_given_up(void **state)
{
    (void)state;
    search(&(plan){.name = "tree: comes again alone",
                   .beginning = one_version,
                   .bodies = {body_free, body_bring_back_twice},
                   .end = end_needed,
                   .interruptions = 2});
}

/* Goal: the same, with a leaf in hand that was looked for before: it may have been replaced since,
 * or given up. */
static void test_a_leaf_is_replaced_after_it_was_foreseen(void **state)
{
    (void)state;
    search(&(plan){.name = "tree: foreseen to remove",
                   .beginning = one_version_in_some_leaves,
                   .bodies = {body_free_foreseen, body_rewrite_and_confirm},
                   .end = end_needed,
                   .interruptions = 2});
    search(&(plan){.name = "tree: foreseen to put",
                   .beginning = one_version_in_some_leaves,
                   .bodies = {body_bring_back_foreseen, body_rewrite_and_confirm},
                   .end = end_needed,
                   .interruptions = 2});
}

/* Goal: a leaf that was foreseen and has no free place is replaced from where it is known: of two
 * replacements one counts, both keys are in, and who dies leaves nothing half done. */
static void test_a_full_leaf_was_foreseen(void **state)
{
    (void)state;
    search(&(plan){.name = "tree: two replace a foreseen leaf",
                   .beginning = full_parent,
                   .bodies = {body_put_foreseen, body_put_foreseen},
                   .work = {{25}, {45}},
                   .interruptions = 2});
    search(&(plan){.name = "tree: a foreseen leaf beside a rival",
                   .beginning = full_parent,
                   .bodies = {body_put_foreseen, body_work},
                   .work = {{25}, {75, 45}},
                   .interruptions = 2});
    search(&(plan){.name = "tree: death in a foreseen leaf",
                   .beginning = full_parent,
                   .bodies = {body_put_foreseen, body_reap},
                   .work = {{25}},
                   .deaths = 2});
}

/* Goal: of two versions with equal words that are freed at once, one takes the entry along; not if
 * a third has it again. */
static void test_two_free_equal_words(void **state)
{
    (void)state;
    tree_open();
    const uint32_t slot = slot_take(0);
    one_version_and_another_key(slot);
    slot_leave(slot);
    flights_search(&(explore_model){.name = "tree: two free equal words",
                                    .threads = 3,
                                    .body = {body_free, body_free, body_bring_back},
                                    .begin = begin_with_two,
                                    .end = end_needed,
                                    .interruptions = 2});
}

/* ---- taking down ---------------------------------------------------------------------------- */

static void body_destroy(uint32_t thread)
{
    const uint32_t slot = slot_take(thread);
    aero_error error;
    memset(run.there, 0, sizeof run.there);
    if (ae_tree_destroy(&model.tree, slot, &error) != AERO_OK)
        explore_fail("destroy: %s", error.text);
    reclaim(slot);
    slot_leave(slot);
}

static void full_parent_to_go(uint32_t slot)
{
    full_parent(slot);
    memcpy(model.loose, model.fixed, sizeof model.loose);
    memset(model.fixed, 0, sizeof model.fixed);
}

/* Whatever is left: it is taken down again. */
static void end_destroyed(void)
{
    (void)ae_reap_all(world.db, world.observer->member);
    for (uint32_t word = 0; word < TREE_KEYS; word++) {
        const ae_tree_key key = key_of(word);
        uint64_t ticket = 0;
        run.there[word] = ae_tree_find(&model.tree, &key, &ticket);
        explore_assert(!run.there[word] || explore_died(0));
    }
    end_tree();
}

/* Goal: readers stay right in a tree that is taken down, and one who dies of it is followed. */
static void test_taking_down_beside_a_reader(void **state)
{
    (void)state;
    search(&(plan){.name = "tree: taking down",
                   .beginning = full_parent_to_go,
                   .bodies = {body_destroy, body_walk_up},
                   .end = end_destroyed,
                   .interruptions = 2});
}
static void test_taking_down_and_dying(void **state)
{
    (void)state;
    search(&(plan){.name = "tree: taking down and dying",
                   .beginning = full_parent_to_go,
                   .bodies = {body_destroy, body_reap},
                   .end = end_destroyed,
                   .deaths = 2});
}

/* ---- joining -------------------------------------------------------------------------------- */

/* Goal: of two joins that want one leaf, one is decided, and nothing is lost or met twice. */
static void test_two_join_one_leaf(void **state)
{
    (void)state;
    search(&(plan){.name = "tree: two join a leaf",
                   .beginning = three_to_join,
                   .bodies = {body_work, body_work},
                   .work = {{-30}, {-80}},
                   .interruptions = 2});
}

/* Goal: what is put into leaves that are joined is in, and who walks meets everything once. */
static void test_putting_beside_a_join(void **state)
{
    (void)state;
    search(&(plan){.name = "tree: put beside a join",
                   .beginning = three_to_join,
                   .bodies = {body_work, body_work},
                   .work = {{-30}, {45, 85}},
                   .interruptions = 2});
}
static void test_walking_up_beside_a_join(void **state)
{
    (void)state;
    search(&(plan){.name = "tree: walk up beside a join",
                   .beginning = three_to_join,
                   .bodies = {body_work, body_walk_up},
                   .work = {{-30}},
                   .interruptions = 2});
}
static void test_walking_down_beside_a_join(void **state)
{
    (void)state;
    search(&(plan){.name = "tree: walk down beside a join",
                   .beginning = three_to_join,
                   .bodies = {body_work, body_walk_down},
                   .work = {{-30}},
                   .interruptions = 2});
}

/* Goal: the leaves of an inner node are not joined while it is joined itself. */
static void test_inner_nodes_are_joined_beside_their_leaves(void **state)
{
    (void)state;
    search(&(plan){.name = "tree: inner nodes and leaves",
                   .beginning = inners_to_join,
                   .bodies = {body_work, body_work},
                   .work = {{-50}, {-180}},
                   .interruptions = 2});
}

/* ---- deaths --------------------------------------------------------------------------------- */

/* Goal: what the dead left is completed or taken back, also by a second one when the first dies of
 * it. */
static void test_dying_in_a_split_of_the_top(void **state)
{
    (void)state;
    search(&(plan){.name = "tree: death in the top",
                   .beginning = full_leaf,
                   .bodies = {body_work, body_reap},
                   .work = {{25}},
                   .deaths = 2});
}
static void test_dying_under_a_parent(void **state)
{
    (void)state;
    search(&(plan){.name = "tree: death under a parent",
                   .beginning = full_parent,
                   .bodies = {body_work, body_reap},
                   .work = {{25}},
                   .deaths = 2});
}
static void test_dying_beside_a_rival(void **state)
{
    (void)state;
    search(&(plan){.name = "tree: death beside a rival",
                   .beginning = ragged_parent,
                   .bodies = {body_work, body_work},
                   .work = {{115}, {15}},
                   .interruptions = 1,
                   .deaths = 1});
}
static void test_dying_while_two_help(void **state)
{
    (void)state;
    search(&(plan){.name = "tree: death while two help",
                   .beginning = ragged_parent,
                   .bodies = {body_work, body_work},
                   .work = {{12}, {15}},
                   .interruptions = 2,
                   .deaths = 1});
}
static void test_dying_while_giving_up(void **state)
{
    (void)state;
    search(&(plan){.name = "tree: death while giving up",
                   .beginning = last_of_a_leaf,
                   .bodies = {body_work, body_work},
                   .work = {{-60}, {65}},
                   .interruptions = 1,
                   .deaths = 1});
}

static void test_dying_while_joining(void **state)
{
    (void)state;
    search(&(plan){.name = "tree: death while joining",
                   .beginning = three_to_join,
                   .bodies = {body_work, body_reap},
                   .work = {{-30}},
                   .deaths = 2});
}
static void test_dying_while_two_join(void **state)
{
    (void)state;
    search(&(plan){.name = "tree: death while two join",
                   .beginning = three_to_join,
                   .bodies = {body_work, body_work},
                   .work = {{-30}, {-80}},
                   .interruptions = 1,
                   .deaths = 1});
}
static void test_dying_while_inner_nodes_are_joined(void **state)
{
    (void)state;
    search(&(plan){.name = "tree: death while inner nodes join",
                   .beginning = inners_to_join,
                   .bodies = {body_work, body_reap},
                   .work = {{-50, -180}},
                   .deaths = 2});
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_two_replace_a_leaf),
    cmocka_unit_test(test_two_put_a_key),
    cmocka_unit_test(test_two_split_the_top),
    cmocka_unit_test(test_two_split_under_a_parent),
    cmocka_unit_test(test_a_child_under_a_parent_that_is_replaced),
    cmocka_unit_test(test_walking_up_beside_a_split),
    cmocka_unit_test(test_walking_down_beside_a_split),
    cmocka_unit_test(test_walking_while_nodes_are_used_again),
    cmocka_unit_test(test_putting_into_a_leaf_that_is_given_up),
    cmocka_unit_test(test_putting_into_a_tree_that_is_given_up),
    cmocka_unit_test(test_putting_into_an_inner_node_that_is_given_up),
    cmocka_unit_test(test_an_entry_comes_again_while_it_is_freed),
    cmocka_unit_test(test_an_entry_comes_again_while_its_leaf_is_given_up),
    cmocka_unit_test(test_a_leaf_is_replaced_after_it_was_foreseen),
    cmocka_unit_test(test_a_full_leaf_was_foreseen),
    cmocka_unit_test(test_two_free_equal_words),
    cmocka_unit_test(test_taking_down_beside_a_reader),
    cmocka_unit_test(test_taking_down_and_dying),
    cmocka_unit_test(test_dying_in_a_split_of_the_top),
    cmocka_unit_test(test_dying_under_a_parent),
    cmocka_unit_test(test_dying_beside_a_rival),
    cmocka_unit_test(test_dying_while_two_help),
    cmocka_unit_test(test_dying_while_giving_up),
    cmocka_unit_test(test_two_join_one_leaf),
    cmocka_unit_test(test_putting_beside_a_join),
    cmocka_unit_test(test_walking_up_beside_a_join),
    cmocka_unit_test(test_walking_down_beside_a_join),
    cmocka_unit_test(test_inner_nodes_are_joined_beside_their_leaves),
    cmocka_unit_test(test_dying_while_joining),
    cmocka_unit_test(test_dying_while_two_join),
    cmocka_unit_test(test_dying_while_inner_nodes_are_joined),
};

AE_TEST_MAIN(tests)
