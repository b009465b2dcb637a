/* The ordered index by itself: keys and anchors are made up, so that every shape can be forced.
 *
 * variants: plain asan tsan
 */
#include "trees.h"

enum { KEYS = 12000, STEPS = 100000, BATCH = 37 };

/* ---- against a sorted array ----------------------------------------------------------------- */

/* The model: all keys that may be there, in order, and which of them are. */
typedef struct model {
    uint32_t width;
    ae_tree_key keys[KEYS];
    bool there[KEYS];
    uint64_t count;
} model;

static uint32_t sort_width;
static int by_key(const void *left, const void *right)
{
    return tree_key_order(left, right, sort_width);
}

/* One key in three has words of its own; the others share theirs with many; the largest and the
 * smallest words are among them, and keys that differ in the last word only. */
static void model_make(model *of, uint32_t width, uint64_t *random)
{
    memset(of, 0, sizeof *of);
    of->width = width;
    for (uint32_t index = 0; index < KEYS; index++) {
        ae_tree_key *key = &of->keys[index];
        key->anchor = 5000 + index;
        for (uint32_t word = 0; word < width; word++) {
            const uint64_t pick = next_random(random);
            key->words[word] = pick % 3 == 0   ? next_random(random)
                               : pick % 3 == 1 ? pick / 3 % 5
                                               : UINT64_MAX - pick / 3 % 2;
        }
    }
    sort_width = width;
    qsort(of->keys, KEYS, sizeof of->keys[0], by_key);
}

/* First key of the model that is not below the bound. */
static uint32_t model_find(const model *of, const ae_tree_key *bound)
{
    uint32_t low = 0;
    uint32_t high = KEYS;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (tree_key_order(&of->keys[middle], bound, of->width) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* A bound: a key itself, or beside all with its words. */
static ae_tree_key bound_pick(const model *of, uint64_t *random)
{
    ae_tree_key bound = of->keys[next_random(random) % KEYS];
    const uint64_t pick = next_random(random) % 3;
    bound.anchor = pick == 0 ? bound.anchor : pick == 1 ? 0 : UINT32_MAX;
    return bound;
}

static void range_compare(const tree_place *at, const model *of, const ae_tree_range *range,
                          bool descending)
{
    ae_tree_cursor cursor;
    uint64_t words[BATCH * AE_TREE_WORDS_MAX];
    ae_ref anchors[BATCH];
    const uint32_t first = model_find(of, &range->low);
    const uint32_t end = model_find(of, &range->high);
    uint32_t next = descending ? end : first;
    uint64_t met = 0;
    ae_tree_seek(&cursor, &at->tree, range, descending);
    for (;;) {
        const uint32_t count = ae_tree_next(&cursor, words, anchors, BATCH);
        assert_in_range(count, 0, BATCH);
        for (uint32_t index = 0; index < count; index++, met++) {
            if (descending) {
                while (next > first && !of->there[next - 1])
                    next--;
                assert_true(next > first);
                next--;
            } else {
                while (next < end && !of->there[next])
                    next++;
                assert_true(next < end);
            }
            assert_int_equal(anchors[index], of->keys[next].anchor);
            assert_memory_equal(words + index * of->width, of->keys[next].words, of->width * 8);
            next += !descending;
        }
        if (count == 0)
            break;
    }
    assert_int_equal(cursor.fail, AERO_OK);
    for (; descending ? next > first : next < end; next += descending ? UINT32_MAX : 1)
        assert_false(of->there[descending ? next - 1 : next]);
    assert_int_equal(ae_tree_count(&at->tree, range), met);
}

static void model_compare(const tree_place *at, const model *of, uint64_t *random)
{
    ae_tree_range range;
    ae_tree_range_all(&range);
    assert_int_equal(tree_shape(at).entries, of->count);
    range_compare(at, of, &range, false);
    range_compare(at, of, &range, true);
    for (uint32_t turn = 0; turn < 30; turn++) {
        range.low = bound_pick(of, random);
        range.high = bound_pick(of, random);
        range_compare(at, of, &range, turn % 2 == 1);
    }
    for (uint32_t index = 0; index < KEYS; index++) {
        uint64_t ticket = 0;
        assert_int_equal(ae_tree_find(&at->tree, &of->keys[index], &ticket), of->there[index]);
    }
}

/* One random step. */
static void model_step(tree_place *at, model *of, uint64_t *random, bool growing)
{
    const uint32_t index = (uint32_t)(next_random(random) % KEYS);
    ae_tree_key *key = &of->keys[index];
    const uint64_t what = next_random(random) % 16;
    uint64_t ticket = 0;
    if (what < (growing ? 9u : 5u)) {
        tree_put(at, key);
        of->count += !of->there[index];
        of->there[index] = true;
    } else if (what < 13) {
        assert_int_equal(tree_take_out(at, key), of->there[index]);
        of->count -= of->there[index];
        of->there[index] = false;
    } else if (of->there[index]) {
        /* A ticket from before a confirmation, or from an earlier life, removes nothing. */
        assert_true(ae_tree_find(&at->tree, key, &ticket));
        if (what == 14) {
            assert_true(tree_take_out(at, key));
            for (uint32_t turn = 0; turn < next_random(random) % 3; turn++) {
                tree_put(at, key);
                assert_true(tree_take_out(at, key));
            }
        }
        tree_put(at, key);
        assert_int_equal(ae_tree_remove(&at->tree, at->slot, key, ticket, NULL), AERO_OK);
        assert_true(ae_tree_find(&at->tree, key, &ticket));
    }
}

/* A run of keys in one call, some of which are there. */
static void model_batch(tree_place *at, model *of, uint64_t *random)
{
    static uint64_t words[KEYS * AE_TREE_WORDS_MAX];
    static ae_ref anchors[KEYS];
    uint32_t count = 0;
    const uint32_t first = (uint32_t)(next_random(random) % KEYS);
    const uint32_t end = first + (uint32_t)(next_random(random) % (KEYS - first)) / 4;
    const uint64_t share = next_random(random) % 4 + 1;
    for (uint32_t index = first; index < end; index++) {
        if (next_random(random) % share != 0)
            continue;
        memcpy(words + (size_t)count * of->width, of->keys[index].words, of->width * 8);
        anchors[count++] = of->keys[index].anchor;
        of->count += !of->there[index];
        of->there[index] = true;
    }
    assert_int_equal(ae_tree_put_sorted(&at->tree, at->slot, words, anchors, count, NULL), AERO_OK);
}

static void model_run(uint32_t width)
{
    char name[32];
    static model of;
    test_store store;
    tree_place at;
    snprintf(name, sizeof name, "tree model of %u words", width);
    uint64_t random = test_seed(name);
    store_open(&store, 64 << 20);
    const ae_ref root = tree_start(&at, &store, width);
    model_make(&of, width, &random);
    model_compare(&at, &of, &random);
    for (uint32_t step = 0; step < STEPS; step++) {
        model_step(&at, &of, &random, step / 20000 % 2 == 0);
        if (step % 5000 == 2500)
            model_batch(&at, &of, &random);
        if (step % 500 == 0)
            tree_tick(&store, &at);
        if (step % 10000 == 9999)
            model_compare(&at, &of, &random);
    }
    for (uint32_t index = 0; index < KEYS; index++) {
        assert_int_equal(tree_take_out(&at, &of.keys[index]), of.there[index]);
        of.there[index] = false;
    }
    of.count = 0;
    model_compare(&at, &of, &random);
    assert_int_equal(tree_shape(&at).nodes, 0); /* what is empty is given up, to the top */
    model_batch(&at, &of, &random);
    model_compare(&at, &of, &random);
    tree_drop(&at, root);
    store_close(&store);
}

/* Goal: T2, T3, T6, order and bounds.  Method: random steps against a sorted array, for each width,
 * with removed and reused nodes. */
/* The first `count` keys of the model, put in by one fill, in pieces of different lengths. */
static void model_fill(tree_place *at, model *of, uint32_t count)
{
    static uint64_t words[KEYS * AE_TREE_WORDS_MAX];
    static ae_ref anchors[KEYS];
    ae_tree_fill fill;
    for (uint32_t index = 0; index < count; index++) {
        memcpy(words + (size_t)index * of->width, of->keys[index].words, of->width * sizeof *words);
        anchors[index] = of->keys[index].anchor;
        of->there[index] = true;
    }
    of->count = count;
    ae_tree_fill_start(&fill, &at->tree, at->slot);
    for (uint32_t done = 0, piece = 1; done < count; done += piece, piece = piece * 3 % 1000 + 1) {
        piece = piece < count - done ? piece : count - done;
        assert_int_equal(
            ae_tree_fill_add(&fill, words + (size_t)done * of->width, anchors + done, piece, NULL),
            AERO_OK);
    }
    assert_int_equal(tree_shape(at).nodes, 0); /* nobody sees it before the end */
    assert_int_equal(ae_tree_fill_end(&fill, NULL), AERO_OK);
}

/* Goal: a tree that is filled at once is as good as any.  Method: of each width and of sizes around
 * what nodes hold; compare with the model, also after it was written to, and until it is empty. */
static void test_a_tree_is_filled_at_once(void **state)
{
    static const uint32_t counts[] = {0, 1, 53, 54, 55, 109, KEYS};
    static model of;
    test_store store;
    tree_place at;
    uint64_t random = test_seed("filled trees");
    (void)state;
    store_open(&store, 64 << 20);
    for (uint32_t width = 1; width <= AE_TREE_WORDS_MAX; width++)
        for (uint32_t pick = 0; pick < sizeof counts / sizeof counts[0]; pick++) {
            const ae_ref root = tree_start(&at, &store, width);
            model_make(&of, width, &random);
            model_fill(&at, &of, counts[pick]);
            const ae_tree_shape shape = tree_shape(&at);
            assert_int_equal(shape.entries, counts[pick]);
            assert_int_equal(shape.nodes, shape.leaves + shape.inners);
            for (uint32_t step = 0; step < 1000; step++) {
                model_step(&at, &of, &random, step < 500);
                if (step % 200 == 0)
                    tree_tick(&store, &at);
            }
            model_compare(&at, &of, &random);
            for (uint32_t index = 0; index < KEYS; index++)
                assert_int_equal(tree_take_out(&at, &of.keys[index]), of.there[index]);
            assert_int_equal(tree_shape(&at).nodes, 0);
            tree_drop(&at, root);
        }
    store_close(&store);
}

static void test_one_word_agrees_with_a_model(void **state)
{
    (void)state;
    model_run(1);
}
static void test_two_words_agree_with_a_model(void **state)
{
    (void)state;
    model_run(2);
}
static void test_three_words_agree_with_a_model(void **state)
{
    (void)state;
    model_run(3);
}
static void test_four_words_agree_with_a_model(void **state)
{
    (void)state;
    model_run(4);
}

/* ---- shapes --------------------------------------------------------------------------------- */

static ae_tree_key key_of(uint64_t word, ae_ref anchor)
{
    return (ae_tree_key){.words = {word, word, word, word}, .anchor = anchor};
}

/* Put `count` keys in an order, and say how many bytes an entry takes. */
static double bytes_per_entry(const char *what, uint32_t count, uint64_t (*word)(uint32_t),
                              bool bulk)
{
    test_store store;
    tree_place at;
    store_open(&store, 64 << 20);
    const ae_ref root = tree_start(&at, &store, 1);
    if (bulk) {
        uint64_t *words = calloc(count, 8);
        ae_ref *anchors = calloc(count, sizeof *anchors);
        assert_true(words != NULL && anchors != NULL);
        for (uint32_t index = 0; index < count; index++) {
            words[index] = word(index);
            anchors[index] = 5000 + index;
        }
        assert_int_equal(ae_tree_put_sorted(&at.tree, at.slot, words, anchors, count, NULL),
                         AERO_OK);
        free(words);
        free(anchors);
    }
    for (uint32_t index = 0; index < count && !bulk; index++) {
        const ae_tree_key key = key_of(word(index), 5000 + index);
        tree_put(&at, &key);
        if (index % 1000 == 0)
            tree_tick(&store, &at);
    }
    const ae_tree_shape shape = tree_shape(&at);
    assert_int_equal(shape.entries, count);
    assert_int_equal(shape.nodes, shape.leaves + shape.inners);
    tree_drop(&at, root);
    store_close(&store);
    const double bytes = (double)(shape.leaves * 1024 + shape.inners * 2048) / count;
    printf("%s: %.1f bytes an entry\n", what, bytes);
    return bytes;
}

static uint64_t ascending(uint32_t index)
{
    return index;
}
static uint64_t descending(uint32_t index)
{
    return 1000000 - index;
}
static uint64_t scattered(uint32_t index)
{
    uint64_t state = index;
    return next_random(&state);
}
static uint64_t thirty(uint32_t index)
{
    return index * 7919ull % 30;
}
static uint64_t equal(uint32_t index)
{
    (void)index;
    return 42;
}

/* Goal: memory a row.  Method: keys in the orders that occur, counted in nodes. */
static void test_leaves_are_filled_whatever_the_order(void **state)
{
    const uint32_t count = 20000;
    (void)state;
    assert_true(bytes_per_entry("ascending", count, ascending, false) < 20);
    assert_true(bytes_per_entry("descending", count, descending, false) < 20);
    assert_true(bytes_per_entry("equal", count, equal, false) < 20);
    assert_true(bytes_per_entry("thirty", count, thirty, false) < 27);
    assert_true(bytes_per_entry("scattered", count, scattered, false) < 27);
    assert_true(bytes_per_entry("ascending, in bulk", count, ascending, true) < 20);
    assert_true(bytes_per_entry("equal, in bulk", count, equal, true) < 20);
}

/* Goal: deletes give memory back.  Method: of keys in order all but every fiftieth are removed, in
 * their order, against it, or here and there; what is left fills far fewer leaves, is found by
 * every kind of walk, and grows again. */
static void test_leaves_with_few_entries_are_joined(void **state)
{
    enum { SOME = 12000, KEPT = 50 };
    static uint32_t order[SOME];
    uint64_t random = test_seed("tree joins");
    (void)state;
    for (uint32_t kind = 0; kind < 3; kind++) {
        test_store store;
        tree_place at;
        store_open(&store, 16 << 20);
        const ae_ref root = tree_start(&at, &store, kind + 1);
        for (uint32_t index = 0; index < SOME; index++) {
            const ae_tree_key key = key_of(index, 5000 + index);
            tree_put(&at, &key);
        }
        const uint64_t before = tree_shape(&at).leaves;
        for (uint32_t index = 0; index < SOME; index++)
            order[index] = kind == 1 ? SOME - 1 - index : index;
        for (uint32_t index = SOME - 1; kind == 2 && index > 0; index--) {
            const uint32_t other = (uint32_t)(next_random(&random) % (index + 1));
            const uint32_t kept = order[index];
            order[index] = order[other];
            order[other] = kept;
        }
        for (uint32_t step = 0; step < SOME; step++) {
            const uint32_t index = order[step];
            const ae_tree_key key = key_of(index, 5000 + index);
            if (index % KEPT != 0)
                assert_true(tree_take_out(&at, &key));
            if (step % 64 == 0)
                tree_tick(&store, &at);
        }
        const ae_tree_shape shape = tree_shape(&at);
        printf("%u words: %" PRIu64 " leaves, then %" PRIu64 "\n", kind + 1, before, shape.leaves);
        assert_int_equal(shape.entries, SOME / KEPT);
        assert_in_range(shape.leaves, 1, shape.entries / 4);
        ae_tree_range all;
        ae_tree_range_all(&all);
        assert_int_equal(ae_tree_count(&at.tree, &all), shape.entries);
        for (uint32_t index = 0; index < SOME; index += KEPT) {
            uint64_t ticket = 0;
            const ae_tree_key key = key_of(index, 5000 + index);
            assert_true(ae_tree_find(&at.tree, &key, &ticket));
        }
        for (uint32_t index = 0; index < SOME; index++) {
            const ae_tree_key key = key_of(index, 5000 + index);
            tree_put(&at, &key);
        }
        assert_int_equal(tree_shape(&at).entries, SOME);
        tree_drop(&at, root);
        store_close(&store);
    }
}

/* Goal: an inner node that was given up grows again at its level.  Method: of a tree of three
 * levels all below one inner node goes, and then a key of its range comes back, beside others that
 * never left; for first nodes, middle ones and the last. */
static void test_an_inner_node_that_was_given_up_grows_again(void **state)
{
    enum { SOME = 30000 };
    test_store store;
    tree_place at;
    (void)state;
    store_open(&store, 16 << 20);
    const ae_ref root = tree_start(&at, &store, 1);
    for (uint32_t index = 0; index < SOME; index++) {
        const ae_tree_key key = key_of(index, 5000 + index);
        tree_put(&at, &key);
    }
    assert_int_equal(tree_shape(&at).height, 3);
    uint64_t lost = 0;
    for (uint32_t part = 0; part < 4; part++) {
        const uint32_t from = part * (SOME / 4);
        const uint32_t end = from + SOME / 4;
        const uint64_t inners = tree_shape(&at).inners;
        for (uint32_t index = from; index < end; index++) {
            const ae_tree_key key = key_of(index, 5000 + index);
            assert_true(tree_take_out(&at, &key));
            if (index % 64 == 0)
                tree_tick(&store, &at);
        }
        lost += inners - tree_shape(&at).inners;
        for (uint32_t index = from; index < end; index += 7) {
            const ae_tree_key key = key_of(index, 5000 + index);
            uint64_t ticket = 0;
            tree_put(&at, &key);
            assert_true(ae_tree_find(&at.tree, &key, &ticket));
        }
        assert_int_equal(tree_shape(&at).height, 3);
    }
    assert_in_range(lost, 1, SOME);
    tree_drop(&at, root);
    store_close(&store);
}

/* Goal: T6 where a leaf was given up and its range joined with its neighbour's.  Method: all keys
 * around one are removed, a split elsewhere has the parent written anew, and the key is put again,
 * as often as it takes for a number that began anew to meet the old ticket's. */
static void test_a_ticket_outlives_its_leaf(void **state)
{
    enum { SOME = 2000, FROM = 700, TO = 1100, LAPS = 9 };
    test_store store;
    tree_place at;
    uint64_t ticket = 0;
    (void)state;
    store_open(&store, 16 << 20);
    const ae_ref root = tree_start(&at, &store, 1);
    const ae_tree_key key = key_of(900, 5900);
    for (uint32_t index = 0; index < SOME; index++) {
        const ae_tree_key other = key_of(index, 5000 + index);
        tree_put(&at, &other);
    }
    for (uint32_t lap = 0; lap < LAPS / 2; lap++)
        tree_put(&at, &key);
    assert_true(ae_tree_find(&at.tree, &key, &ticket));
    for (uint32_t index = FROM; index < TO; index++) {
        const ae_tree_key other = key_of(index, 5000 + index);
        assert_true(tree_take_out(&at, &other));
    }
    const uint64_t leaves = tree_shape(&at).leaves;
    for (uint32_t index = SOME; index < SOME + 200; index++) {
        const ae_tree_key other = key_of(index, 5000 + index);
        tree_put(&at, &other);
    }
    assert_true(tree_shape(&at).leaves > leaves);
    for (uint32_t lap = 0; lap < LAPS; lap++) {
        uint64_t now = 0;
        tree_put(&at, &key);
        assert_int_equal(ae_tree_remove(&at.tree, at.slot, &key, ticket, NULL), AERO_OK);
        assert_true(ae_tree_find(&at.tree, &key, &now));
    }
    tree_drop(&at, root);
    store_close(&store);
}

/* Goal: L8.  Method: keys move on and on (a queue), come and go at random, and come and go in
 * places far from each other; the nodes stay few, and so does the memory. */
static void test_endless_churn_keeps_the_nodes_few(void **state)
{
    uint64_t random = test_seed("tree churn");
    enum { ALIVE = 300, TURNS = 60000 };
    static ae_tree_key alive[ALIVE];
    test_store store;
    tree_place at;
    uint64_t bytes = 0;
    (void)state;
    store_open(&store, 64 << 20);
    const ae_ref root = tree_start(&at, &store, 1);
    for (uint32_t kind = 0; kind < 3; kind++) {
        memset(alive, 0, sizeof alive);
        for (uint32_t turn = 0; turn < TURNS; turn++) {
            ae_tree_key *key = &alive[kind == 2 ? next_random(&random) % ALIVE : turn % ALIVE];
            if (key->anchor != 0)
                assert_true(tree_take_out(&at, key));
            *key = key_of(kind == 0   ? turn
                          : kind == 1 ? next_random(&random)
                                      : turn / 100 * 1000000ull + next_random(&random) % 3,
                          5000 + turn);
            tree_put(&at, key);
            if (turn % 64 == 0)
                tree_tick(&store, &at);
            if (turn == TURNS / 3)
                bytes = ae_pool_bytes(&store.db->heap, at.tree.leaf_pool) +
                        ae_pool_bytes(&store.db->heap, at.tree.inner_pool);
        }
        const ae_tree_shape shape = tree_shape(&at);
        assert_int_equal(shape.entries, ALIVE);
        assert_in_range(shape.leaves, 1, kind == 0 ? 20 : ALIVE);
        assert_in_range(shape.inners, 0, 20);
        assert_in_range(ae_pool_bytes(&store.db->heap, at.tree.leaf_pool) +
                            ae_pool_bytes(&store.db->heap, at.tree.inner_pool),
                        0, bytes + (1 << 19));
        for (uint32_t index = 0; index < ALIVE; index++)
            assert_true(tree_take_out(&at, &alive[index]));
        assert_int_equal(tree_shape(&at).nodes, 0);
    }
    tree_drop(&at, root);
    store_close(&store);
}

/* Goal: planners.  Method: ranges of known size over random and over equal keys. */
static void test_estimates_are_near(void **state)
{
    const uint32_t count = 100000;
    test_store store;
    tree_place at;
    uint64_t *words = calloc(count, 8);
    ae_ref *anchors = calloc(count, sizeof *anchors);
    ae_tree_sample sample;
    (void)state;
    assert_true(words != NULL && anchors != NULL);
    store_open(&store, 64 << 20);
    for (uint32_t values = 30; values <= count; values = values == 30 ? 1000 : values * 100) {
        const ae_ref root = tree_start(&at, &store, 1);
        ae_tree_sample_take(&at.tree, 1, &sample);
        assert_true(sample.empty);
        for (uint32_t index = 0; index < count; index++) {
            words[index] = (uint64_t)index * values / count;
            anchors[index] = 5000 + index;
        }
        assert_int_equal(ae_tree_put_sorted(&at.tree, at.slot, words, anchors, count, NULL),
                         AERO_OK);
        for (uint64_t low = 0; low < values; low += values / 7) {
            for (uint64_t length = 1; low + length <= values; length *= 3) {
                const ae_tree_range range = {key_of(low, 0), key_of(low + length - 1, UINT32_MAX)};
                const uint64_t real = ae_tree_count(&at.tree, &range);
                const uint64_t guess = ae_tree_estimate(&at.tree, &range);
                assert_in_range(real, length * (count / values), length * (count / values + 1));
                if (real > 200)
                    assert_in_range(guess, real / 2, real * 2);
                else
                    assert_in_range(guess, 0, real + 120);
            }
        }
        for (uint64_t seed = 1; seed < 4; seed++) {
            ae_tree_sample_take(&at.tree, seed, &sample);
            assert_false(sample.empty);
            assert_int_equal(sample.least.words[0], 0);
            assert_int_equal(sample.greatest.words[0], values - 1);
            assert_in_range(sample.entries, count / 2, count * 2);
            assert_in_range(sample.distinct, values / 3, values * 3);
            assert_in_range(sample.distinct_first, values / 3, values * 3);
        }
        tree_drop(&at, root);
    }
    store_close(&store);
    free(words);
    free(anchors);
}

/* Goal: L10.  Method: put until the segment is full; what is in stays, everything can be removed,
 * and then as much can be put again. */
static void test_a_full_segment_is_an_error_and_takes_removals(void **state)
{
    test_store store;
    tree_place at;
    aero_error error;
    uint32_t count = 0;
    enum { STUFFED = 30, STUFFING = 65000 };
    ae_ref stuffing[STUFFED];
    (void)state;
    store_open(&store, 5 << 20);
    const ae_ref root = tree_start(&at, &store, 1);
    ae_heap *heap = &store.db->heap;
    ae_cache *cache = &ae_slot_at(&store.db->proc, at.slot)->cache;
    const uint32_t pool = ae_heap_class(heap, STUFFING);
    tree_tick(&store, &at);
    for (uint32_t index = 0; index < STUFFED; index++) { /* most of the segment, to be quick */
        assert_int_equal(ae_heap_take(heap, cache, at.slot, pool, &stuffing[index], NULL), AERO_OK);
        ae_store64(&((ae_block *)ae_at(heap->segment, stuffing[index]))->word, AE_WORD_OWNED | 1);
        ae_heap_linked(cache, stuffing[index]);
    }
    for (uint32_t lap = 0; lap < 2; lap++) {
        const uint32_t earlier = count;
        aero_status status = AERO_OK;
        for (count = 0; status == AERO_OK; count++) {
            const ae_tree_key key = key_of(scattered(count), 5000 + count);
            status = ae_tree_put(&at.tree, at.slot, &key, &error);
            if (count % 64 == 0)
                tree_tick(&store, &at);
        }
        count--;
        assert_int_equal(status, AERO_FULL);
        assert_in_range(count, lap == 0 ? 2000 : earlier * 9 / 10, 1000000);
        assert_int_equal(tree_shape(&at).entries, count);
        for (uint32_t index = 0; index < count; index++) {
            const ae_tree_key key = key_of(scattered(index), 5000 + index);
            assert_true(tree_take_out(&at, &key));
            if (index % 64 == 0)
                tree_tick(&store, &at);
        }
        assert_int_equal(tree_shape(&at).entries, 0);
    }
    for (uint32_t index = 0; index < STUFFED; index++)
        ae_heap_give(heap, cache, at.slot, pool, stuffing[index]);
    tree_drop(&at, root);
    store_close(&store);
}

/* Goal: L7.  Method: references and counts of a copy of a tree's nodes are overwritten; check says
 * so or finds nothing, and reading and writing end with an error or without, but end. */
static void test_damaged_nodes_are_refused(void **state)
{
    uint64_t random = test_seed("tree damage");
    test_store store;
    tree_place at;
    (void)state;
    store_open(&store, 16 << 20);
    const ae_ref root = tree_start(&at, &store, 2);
    for (uint32_t index = 0; index < 5000; index++) {
        const ae_tree_key key = key_of(scattered(index), 5000 + index);
        tree_put(&at, &key);
    }
    uint32_t refused = 0;
    for (uint32_t turn = 0; turn < 3000; turn++) {
        /* Some word of a node's header, or a child's reference. */
        const uint32_t pool = turn % 3 == 0 ? at.tree.leaf_pool : at.tree.inner_pool;
        const ae_pool *of = &store.db->heap.pools[pool];
        const ae_slab *slab = ae_pool_slab(&store.db->heap, of,
                                           (uint32_t)next_random(&random) % ae_pool_slab_count(of));
        const uint32_t object = (uint32_t)(next_random(&random) % ae_load32(&slab->high));
        ae_a64 *words = ae_slab_object(slab, object);
        if (!ae_tree_owns_word(ae_load64(&words[0]), at.tree.root_ref) || ae_load64(&words[2]) != 0)
            continue;
        ae_a64 *at_word = &words[2 + next_random(&random) % 8];
        const uint64_t before = ae_load64(at_word);
        ae_store64(at_word, next_random(&random) >> next_random(&random) % 60 &
                                (at_word == &words[4] ? UINT64_MAX : ~((uint64_t)1 << 63)));
        ae_tree_shape shape;
        refused += ae_tree_check(&at.tree, NULL, NULL, &shape, NULL) != AERO_OK;
        ae_tree_range range;
        ae_tree_range_all(&range);
        (void)ae_tree_count(&at.tree, &range);
        (void)ae_tree_estimate(&at.tree, &range);
        ae_tree_sample sample;
        ae_tree_sample_take(&at.tree, turn, &sample);
        for (uint32_t index = 0; index < 50; index++) {
            const ae_tree_key key = key_of(scattered(index), 5000 + index);
            uint64_t ticket = 0;
            (void)ae_tree_find(&at.tree, &key, &ticket);
        }
        ae_store64(at_word, before);
    }
    assert_in_range(refused, 50, 3000);
    assert_int_equal(tree_shape(&at).entries, 5000);
    tree_drop(&at, root);
    store_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_one_word_agrees_with_a_model),
    cmocka_unit_test(test_two_words_agree_with_a_model),
    cmocka_unit_test(test_three_words_agree_with_a_model),
    cmocka_unit_test(test_four_words_agree_with_a_model),
    cmocka_unit_test(test_a_tree_is_filled_at_once),
    cmocka_unit_test(test_leaves_are_filled_whatever_the_order),
    cmocka_unit_test(test_leaves_with_few_entries_are_joined),
    cmocka_unit_test(test_an_inner_node_that_was_given_up_grows_again),
    cmocka_unit_test(test_a_ticket_outlives_its_leaf),
    cmocka_unit_test(test_endless_churn_keeps_the_nodes_few),
    cmocka_unit_test(test_estimates_are_near),
    cmocka_unit_test(test_a_full_segment_is_an_error_and_takes_removals),
    cmocka_unit_test(test_damaged_nodes_are_refused),
};

AE_TEST_MAIN(tests)
