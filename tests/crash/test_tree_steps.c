/* The ordered index between any two of its steps: another writer comes in between, or death does.
 *
 * Interleavings: a run of work stands still at the n-th crash point that it passes, another slot's
 * run is done from end to end, and the first goes on.  So every gap between two steps is met by
 * every kind of work, without threads and chance.
 *
 * Deaths: a child is killed at its n-th passage of a point, and so is, in a second series, the
 * first who cleans up.  All but what was in flight must be there, no node may be lost, and the work
 * must go on.
 *
 * variants: crash
 */
#include <signal.h>
#include <sys/mman.h>

#include "trees.h"

enum { KEYS = 9000, FIXED_EVERY = 5, NAMES = 64, RUN = 60 };

/* ---- crash points --------------------------------------------------------------------------- */

static struct {
    void (*act)(void *context); /* done at the passage; NULL: death */
    void *context;
    const char *name; /* only points of this name, or NULL */
    uint64_t left;    /* passages until then; 0: nothing happens */
    uint64_t passed;
    char names[NAMES][32];
    uint64_t passages[NAMES];
    uint32_t name_count;
    bool counts;
    bool inside;
} point;

void ae_crash_point(const char *name);
void ae_crash_point(const char *name)
{
    if (point.inside || strncmp(name, "slot.", 5) == 0)
        return;
    point.passed++;
    for (uint32_t index = 0; point.counts && index < NAMES; index++) {
        if (index == point.name_count)
            snprintf(point.names[point.name_count++], sizeof point.names[0], "%s", name);
        if (strcmp(point.names[index], name) == 0) {
            point.passages[index]++;
            break;
        }
    }
    if (point.left == 0 || (point.name != NULL && strcmp(point.name, name) != 0))
        return;
    if (--point.left != 0)
        return;
    if (point.act == NULL)
        kill(getpid(), SIGKILL);
    point.inside = true;
    point.act(point.context);
    point.inside = false;
}

/* ---- a tree and what should be in it -------------------------------------------------------- */

/* Shared with children. */
typedef struct ledger {
    ae_tree_key keys[KEYS]; /* in order */
    bool there[KEYS];
    uint32_t flying; /* key being changed + 1; for a run [flying, flying_end) */
    uint32_t flying_end;
    uint32_t width;
} ledger;

static uint32_t sort_width;
static int by_key(const void *left, const void *right)
{
    return tree_key_order(left, right, sort_width);
}

static ledger *ledger_make(uint32_t width, uint64_t *random)
{
    ledger *of = mmap(NULL, sizeof *of, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(of != MAP_FAILED);
    of->width = width;
    for (uint32_t index = 0; index < KEYS; index++) {
        ae_tree_key *key = &of->keys[index];
        key->anchor = 5000 + index;
        const uint64_t word = index % 4 == 0 ? index % 28 * (UINT64_MAX / 27) : next_random(random);
        for (uint32_t part = 0; part < AE_TREE_WORDS_MAX; part++)
            key->words[part] = part + 1 < width && index % 3 == 0 ? 7 : word;
    }
    sort_width = width;
    qsort(of->keys, KEYS, sizeof of->keys[0], by_key);
    return of;
}

/* Fixed keys are put at the start and stay. */
static bool is_fixed(uint32_t index)
{
    return index % FIXED_EVERY == 0;
}
/* The others belong to one of two. */
static uint32_t owner_of(uint32_t index)
{
    return index % FIXED_EVERY % 2;
}

typedef struct run {
    tree_place *at;
    ledger *of;
    uint32_t who;
    uint64_t seed;
    uint32_t kind;
    uint32_t centre; /* about where it works */
    uint32_t steps;
    const char *wrong;
} run;

enum { RUN_MIXED, RUN_PUTS, RUN_REMOVES, RUN_SORTED, RUN_WALK_UP, RUN_WALK_DOWN, RUN_KINDS };

static void run_sorted(run *work, uint64_t *random)
{
    uint64_t words[RUN * AE_TREE_WORDS_MAX];
    ae_ref anchors[RUN];
    uint32_t count = 0;
    const uint32_t first = work->centre;
    uint32_t end = first;
    for (; end < KEYS && count < work->steps; end++) {
        if (is_fixed(end) || owner_of(end) != work->who || next_random(random) % 4 == 0)
            continue;
        memcpy(words + count * work->of->width, work->of->keys[end].words, work->of->width * 8);
        anchors[count++] = work->of->keys[end].anchor;
    }
    work->of->flying_end = end;
    work->of->flying = first + 1;
    if (ae_tree_put_sorted(&work->at->tree, work->at->slot, words, anchors, count, NULL) != AERO_OK)
        work->wrong = "sorted put";
    for (uint32_t index = 0, next = first; index < count; next++)
        if (work->of->keys[next].anchor == anchors[index]) {
            work->of->there[next] = true;
            index++;
        }
    work->of->flying = 0;
}

static void run_walk(run *work, bool descending)
{
    ae_tree_cursor cursor;
    ae_tree_range range;
    ae_tree_range_all(&range);
    const uint32_t low = work->centre > 400 ? work->centre - 400 : 0;
    const uint32_t high = work->centre + 400 < KEYS ? work->centre + 400 : KEYS - 1;
    uint64_t words[16 * AE_TREE_WORDS_MAX];
    ae_ref anchors[16];
    ae_tree_key last = {.anchor = 0};
    bool first = true;
    uint32_t fixed = 0;
    range.low = work->of->keys[low];
    range.high = work->of->keys[high];
    ae_tree_seek(&cursor, &work->at->tree, &range, descending);
    for (uint32_t count; (count = ae_tree_next(&cursor, words, anchors, 16)) != 0;) {
        for (uint32_t index = 0; index < count; index++) {
            ae_tree_key key = {.anchor = anchors[index]};
            memcpy(key.words, words + index * work->of->width, work->of->width * 8);
            const int order = tree_key_order(&last, &key, work->of->width);
            if (!first && (descending ? order <= 0 : order >= 0))
                work->wrong = "order of a walk";
            first = false;
            last = key;
            const ae_tree_key *found = bsearch(&key, work->of->keys, KEYS, sizeof key, by_key);
            if (found == NULL)
                work->wrong = "a walk met what was never put";
            else
                fixed += is_fixed((uint32_t)(found - work->of->keys));
        }
    }
    uint32_t expected = 0;
    for (uint32_t index = low; index < high; index++)
        expected += is_fixed(index);
    if (fixed != expected)
        work->wrong = "a walk missed entries, or met some twice";
}

static void run_one(run *work, uint64_t *random, uint32_t step)
{
    ledger *of = work->of;
    uint32_t index = 0;
    uint64_t ticket = 0;
    do /* one part of the runs goes through neighbours in order, another hops about */
        index = (work->centre +
                 (work->seed % 2 == 0 ? step * 2 : (uint32_t)next_random(random) % 300)) %
                KEYS;
    while (++step, is_fixed(index) || owner_of(index) != work->who);
    const bool puts = work->kind == RUN_PUTS ||
                      (work->kind == RUN_MIXED && next_random(random) % 2);
    of->flying_end = index + 1;
    of->flying = index + 1;
    if (puts) {
        ae_tree_want want = {&work->at->tree, &of->keys[index], 0};
        if (next_random(random) % 2 == 0)
            ae_tree_fetch(&want, 1); /* what is put next is foreseen, or is not */
        if (ae_tree_put_near(&work->at->tree, work->at->slot, want.key, want.near, NULL) != AERO_OK)
            work->wrong = "put";
    } else if (ae_tree_find(&work->at->tree, &of->keys[index], &ticket) != of->there[index]) {
        work->wrong = "find";
    } else if (of->there[index] && ae_tree_remove(&work->at->tree, work->at->slot, &of->keys[index],
                                                  ticket, NULL) != AERO_OK) {
        work->wrong = "remove";
    }
    of->there[index] = puts;
    of->flying = 0;
}

static void run_do(void *context)
{
    run *work = context;
    uint64_t random = work->seed;
    if (work->kind == RUN_SORTED)
        run_sorted(work, &random);
    else if (work->kind == RUN_WALK_UP || work->kind == RUN_WALK_DOWN)
        run_walk(work, work->kind == RUN_WALK_DOWN);
    else
        for (uint32_t step = 0; step < work->steps; step++)
            run_one(work, &random, step);
}

/* Fill the tree: the fixed keys, and of the others some. */
static void tree_fill(tree_place *at, ledger *of, uint64_t share, uint64_t *random)
{
    memset(of->there, 0, sizeof of->there);
    of->flying = 0;
    for (uint32_t index = 0; index < KEYS; index++) {
        if (!is_fixed(index) && next_random(random) % 8 >= share)
            continue;
        tree_put(at, &of->keys[index]);
        of->there[index] = true;
    }
}

/* Every node that says it is the tree's is reached from its root. */
static uint64_t nodes_owned(const tree_place *at)
{
    const ae_heap *heap = &at->db->heap;
    const uint32_t pools[] = {at->tree.leaf_pool, at->tree.inner_pool};
    uint64_t owned = 0;
    for (uint32_t which = 0; which < 2; which++) {
        if (which == 1 && pools[1] == pools[0])
            break;
        const ae_pool *pool = &heap->pools[pools[which]];
        for (uint32_t index = 0; index < ae_pool_slab_count(pool); index++) {
            const ae_slab *slab = ae_pool_slab(heap, pool, index);
            for (uint32_t object = 0; slab != NULL && object < ae_load32(&slab->high); object++)
                owned += ae_tree_owns_word(ae_load64((const ae_a64 *)ae_slab_object(slab, object)),
                                           at->tree.root_ref);
        }
    }
    return owned;
}

/* NULL when the tree holds what the ledger says, but for what was in flight. */
static const char *tree_differs(const tree_place *at, ledger *of)
{
    ae_tree_shape shape;
    aero_error error;
    uint64_t expected = 0;
    static char text[300];
    if (ae_tree_check(&at->tree, NULL, NULL, &shape, &error) != AERO_OK) {
        snprintf(text, sizeof text, "check: %s", error.text);
        return text;
    }
    for (uint32_t index = 0; index < KEYS; index++) {
        uint64_t ticket = 0;
        const bool found = ae_tree_find(&at->tree, &of->keys[index], &ticket);
        expected += found;
        if (found == of->there[index])
            continue;
        if (of->flying == 0 || index + 1 < of->flying || index >= of->flying_end) {
            snprintf(text, sizeof text, "key %u is %s", index, found ? "there" : "missing");
            return text;
        }
        of->there[index] = found;
    }
    of->flying = 0;
    if (expected != shape.entries || nodes_owned(at) != shape.nodes) {
        snprintf(text, sizeof text,
                 "%" PRIu64 " of %" PRIu64 " entries, %" PRIu64 " of %" PRIu64 " nodes",
                 shape.entries, expected, shape.nodes, nodes_owned(at));
        return text;
    }
    return NULL;
}

/* ---- interleavings -------------------------------------------------------------------------- */

static void interleave(uint32_t width, uint32_t turns)
{
    char name[64];
    test_store store;
    tree_place first;
    tree_place second;
    snprintf(name, sizeof name, "interleavings of %u words", width);
    uint64_t random = test_seed(name);
    store_open(&store, 64 << 20);
    const ae_ref root = tree_start(&first, &store, width);
    ledger *of = ledger_make(width, &random);
    uint32_t member = 0;
    uint32_t met = 0;
    assert_int_equal(ae_member_claim(&store.db->proc, &member, NULL), AERO_OK);
    assert_true(tree_enter_as(&second, store.db, member) && tree_open_at(&second, root));
    tree_fill(&first, of, 3, &random);
    for (uint32_t turn = 0; turn < turns; turn++) {
        const uint32_t centre = (uint32_t)next_random(&random) % (KEYS - 400);
        run base = {
            &first, of,  0,   next_random(&random), (uint32_t)next_random(&random) % RUN_KINDS,
            centre, RUN, NULL};
        run rival = {&second,
                     of,
                     1,
                     next_random(&random),
                     (uint32_t)next_random(&random) % RUN_KINDS,
                     centre + (uint32_t)next_random(&random) % 100,
                     RUN,
                     NULL};
        point.act = run_do;
        point.context = &rival;
        point.name = NULL;
        /* Some points are passed at every entry; those of a replacement come late. */
        point.left = 1 + next_random(&random) % (turn % 2 == 0 ? 40 : 600);
        run_do(&base);
        met += point.left == 0;
        point.left = 0;
        const char *wrong = base.wrong != NULL ? base.wrong : rival.wrong;
        wrong = wrong != NULL ? wrong : turn % 16 == 0 ? tree_differs(&first, of) : NULL;
        if (wrong != NULL)
            fail_msg("turn %u, kinds %u and %u: %s", turn, base.kind, rival.kind, wrong);
        if (turn % 8 == 0)
            tree_tick(&store, &first);
        tree_refresh(&second);
    }
    assert_true(met > turns / 3);
    const char *wrong = tree_differs(&first, of);
    if (wrong != NULL)
        fail_msg("%s", wrong);
    tree_leave(&second);
    ae_member_release(&store.db->proc, member);
    tree_drop(&first, root);
    store_close(&store);
    munmap(of, sizeof *of);
}

/* Goal: T1 to T6 in every gap.  Method: see the top. */
static void test_work_between_any_two_steps_of_one_word(void **state)
{
    (void)state;
    interleave(1, 3000);
}
static void test_work_between_any_two_steps_of_four_words(void **state)
{
    (void)state;
    interleave(4, 3000);
}

/* Goal: T4 where nodes are joined, leaves and inner ones.  Method: a tree of three levels loses its
 * entries run by run; while one slot is at a step of a replacement, another works beside it; when
 * little is left the tree is filled again. */
static void test_work_between_any_two_steps_of_joining(void **state)
{
    static const char *const steps[] = {"tree.decided", "tree.lifting", "tree.lifted",
                                        "tree.filled",  "tree.frozen",  "tree.published"};
    enum { TURNS = 6000, REFILL = 400 };
    test_store store;
    tree_place first;
    tree_place second;
    uint32_t member = 0;
    uint32_t met = 0;
    uint64_t inners_least = UINT64_MAX;
    uint64_t inners_most = 0;
    (void)state;
    uint64_t random = test_seed("joins between steps");
    store_open(&store, 64 << 20);
    const ae_ref root = tree_start(&first, &store, 4);
    ledger *of = ledger_make(4, &random);
    assert_int_equal(ae_member_claim(&store.db->proc, &member, NULL), AERO_OK);
    assert_true(tree_enter_as(&second, store.db, member) && tree_open_at(&second, root));
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        if (turn % REFILL == 0) {
            tree_fill(&first, of, 8, &random);
            const uint64_t inners = tree_shape(&first).inners;
            inners_most = inners > inners_most ? inners : inners_most;
        }
        /* On and on through all keys, now the even ones and now the odd ones. */
        const uint32_t centre = turn % REFILL * (RUN + 47) % (KEYS - 400);
        run base = {&first,      of,     0,   next_random(&random) & ~(uint64_t)1,
                    RUN_REMOVES, centre, RUN, NULL};
        run rival = {&second,
                     of,
                     1,
                     next_random(&random) & ~(uint64_t)1,
                     next_random(&random) % 4 == 0 ? (uint32_t)next_random(&random) % RUN_KINDS
                                                   : RUN_REMOVES,
                     turn % 2 == 0 ? centre : (uint32_t)next_random(&random) % (KEYS - 400),
                     RUN,
                     NULL};
        if (rival.kind == RUN_REMOVES && turn % 20 == 5)
            rival.steps = KEYS / 3; /* inner nodes beside it are joined as well */
        point.act = run_do;
        point.context = &rival;
        point.name = steps[next_random(&random) % 6];
        point.left = 1 + next_random(&random) % 4;
        run_do(&base);
        met += point.left == 0;
        if (point.left != 0) {
            point.left = 0;
            run_do(&rival);
        }
        const char *wrong = base.wrong != NULL ? base.wrong : rival.wrong;
        wrong = wrong != NULL ? wrong : turn % 16 == 0 ? tree_differs(&first, of) : NULL;
        if (wrong != NULL)
            fail_msg("turn %u at %s: %s", turn, point.name, wrong);
        if (turn % REFILL == REFILL - 1) {
            const uint64_t inners = tree_shape(&first).inners;
            inners_least = inners < inners_least ? inners : inners_least;
        }
        if (turn % 8 == 0)
            tree_tick(&store, &first);
        tree_refresh(&second);
    }
    point.name = NULL;
    printf("%u of %u met, %" PRIu64 " inner nodes down to %" PRIu64 "\n", met, TURNS, inners_most,
           inners_least);
    assert_true(met > TURNS / 20);
    assert_true(inners_least < inners_most);
    const char *wrong = tree_differs(&first, of);
    if (wrong != NULL)
        fail_msg("%s", wrong);
    tree_leave(&second);
    ae_member_release(&store.db->proc, member);
    tree_drop(&first, root);
    store_close(&store);
    munmap(of, sizeof *of);
}

/* One key, two writers. */
typedef struct duel {
    tree_place *at;
    ae_tree_key key;
    uint64_t ticket;
    bool puts;
    uint32_t others; /* keys put around it, so that its leaf is replaced */
    uint32_t found;  /* how often the rival found the key */
} duel;

static void duel_do(void *context)
{
    duel *of = context;
    uint64_t ticket = 0;
    for (uint32_t index = 0; index < of->others; index++) {
        ae_tree_key key = of->key;
        key.anchor = 100000 + of->at->slot * 1000 + index;
        tree_put(of->at, &key);
    }
    if (of->puts)
        tree_put(of->at, &of->key);
    else
        assert_int_equal(ae_tree_remove(&of->at->tree, of->at->slot, &of->key, of->ticket, NULL),
                         AERO_OK);
    of->found += ae_tree_find(&of->at->tree, &of->key, &ticket);
}

/* Goal: T2 and T6.  Method: a key that is not there, there, or removed before is put, or removed by
 * a ticket, while another writer puts the same key, or removes it by a ticket from before, at each
 * step of the first.  After two puts, or a put and a removal by an older ticket, it is there, and
 * once. */
static void test_two_writers_of_one_key_at_every_step(void **state)
{
    test_store store;
    tree_place first;
    tree_place second;
    uint32_t member = 0;
    uint32_t duels = 0;
    (void)state;
    store_open(&store, 64 << 20);
    assert_true(tree_enter_as(&first, store.db, store.session->member));
    assert_int_equal(ae_member_claim(&store.db->proc, &member, NULL), AERO_OK);
    assert_true(tree_enter_as(&second, store.db, member));
    for (uint32_t shape = 0; shape < 3 * 3 * 4 * 3 * 2; shape++) {
        const uint32_t before = shape % 3;  /* not there, there, removed */
        const uint32_t ops = shape / 3 % 3; /* put and put, put and remove, remove and put */
        const uint32_t filled = shape / 9 % 4 * 15;  /* how full the leaf is */
        const uint32_t others = shape / 36 % 3 * 31; /* what the rival puts besides */
        const uint32_t own = shape / 108 * 31;       /* what the first one puts before */
        if (before != 1 && ops != 0)
            continue; /* no ticket to be had */
        for (uint64_t passage = 1;; passage++) {
            const ae_ref root = tree_make(store.db, first.slot, 1);
            assert_true(tree_open_at(&first, root) && tree_open_at(&second, root));
            duel base = {&first, {.words = {42}, .anchor = 7}, 0, ops < 2, own, 0};
            duel rival = {&second, base.key, 0, ops != 1, others, 0};
            for (uint32_t index = 0; index < filled; index++) {
                const ae_tree_key key = {.words = {index}, .anchor = 5000};
                tree_put(&first, &key);
            }
            if (before != 0)
                tree_put(&first, &base.key);
            if (before == 2)
                assert_true(tree_take_out(&first, &base.key));
            if (ops != 0)
                assert_true(ae_tree_find(&first.tree, &base.key, &base.ticket));
            rival.ticket = base.ticket;
            point.act = duel_do;
            point.context = &rival;
            point.left = passage;
            point.name = NULL;
            duel_do(&base);
            const bool met = point.left == 0;
            point.left = 0;
            uint64_t ticket = 0;
            const bool there = met || ops != 2;
            assert_int_equal(ae_tree_find(&first.tree, &base.key, &ticket), there);
            assert_true(ops == 1 || rival.found == met);
            assert_int_equal(tree_shape(&first).entries, filled + own + there + (met ? others : 0));
            assert_int_equal(ae_tree_destroy(&first.tree, first.slot, NULL), AERO_OK);
            ae_heap_give(&store.db->heap, &ae_slot_at(&store.db->proc, first.slot)->cache,
                         first.slot, ae_heap_class(&store.db->heap, sizeof(ae_tree_root)), root);
            duels++;
            if (!met)
                break;
        }
        tree_tick(&store, &first);
        tree_refresh(&second);
    }
    printf("%u duels\n", duels);
    assert_true(duels > 2000);
    tree_leave(&second);
    ae_member_release(&store.db->proc, member);
    tree_leave(&first);
    store_close(&store);
}

/* ---- deaths --------------------------------------------------------------------------------- */

/* Returns true when the child died; what it did is in the ledger. */
static bool die_at(tree_place *at, run *work, const char *name, uint64_t passage, bool cleans)
{
    int status = 0;
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        tree_place own = {.db = at->db};
        uint32_t member = 0;
        alarm(60);
        point.act = NULL;
        point.name = name;
        if (ae_member_claim(&at->db->proc, &member, NULL) != AERO_OK)
            _exit(2);
        point.left = cleans ? passage : 0;
        if (cleans)
            (void)ae_reap_all(at->db, member);
        if (!tree_enter_as(&own, at->db, member) || !tree_open_at(&own, at->tree.root_ref - 1))
            _exit(3);
        work->at = &own;
        point.left = cleans ? point.left : passage;
        if (!cleans)
            run_do(work);
        point.left = 0;
        tree_leave(&own);
        ae_member_release(&at->db->proc, member);
        _exit(work->wrong == NULL ? 0 : 4);
    }
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return true;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("a child that was to die at %s #%" PRIu64 " ended with %x", name, passage,
                 (unsigned)status);
    return false;
}

/* The run's points and how often each is passed, found out with a run that is left alone. */
static void points_count(const run *work)
{
    run alone = *work;
    memset(point.names, 0, sizeof point.names);
    memset(point.passages, 0, sizeof point.passages);
    point.name_count = 0;
    point.counts = true;
    run_do(&alone);
    point.counts = false;
    assert_null(alone.wrong);
}

static void die_everywhere(uint32_t width, uint32_t rounds)
{
    char name[64];
    test_store store;
    tree_place at;
    snprintf(name, sizeof name, "deaths in a tree of %u words", width);
    uint64_t random = test_seed(name);
    uint32_t deaths = 0;
    uint32_t seconds = 0;
    store_open(&store, 64 << 20);
    const ae_ref root = tree_start(&at, &store, width);
    ledger *of = ledger_make(width, &random);
    tree_fill(&at, of, 3, &random);
    for (uint32_t round = 0; round < rounds; round++) {
        run work = {&at,
                    of,
                    0,
                    next_random(&random),
                    round % (RUN_SORTED + 1),
                    (uint32_t)next_random(&random) % (KEYS - 400),
                    RUN,
                    NULL};
        points_count(&work);
        for (uint32_t index = 0; index < point.name_count; index++) {
            char target[32];
            memcpy(target, point.names[index], sizeof target);
            const uint64_t passage = 1 + next_random(&random) % point.passages[index];
            work.kind = (uint32_t)next_random(&random) % (RUN_SORTED + 1);
            work.seed = next_random(&random);
            work.at = &at;
            const bool died = die_at(&at, &work, target, passage, false);
            deaths += died;
            uint64_t second = died ? next_random(&random) % 8 : 0;
            if (second > 0)
                seconds += die_at(&at, &work, NULL, second, true);
            (void)ae_reap_all(store.db, store.session->member);
            assert_int_equal(stat_value(store.session, "slots_in_use"), 1);
            const char *wrong = tree_differs(&at, of);
            if (wrong != NULL)
                fail_msg("kind %u, death at %s #%" PRIu64 ", then #%" PRIu64 ": %s", work.kind,
                         target, passage, second, wrong);
            tree_tick(&store, &at);
        }
    }
    printf("%u deaths, %u while cleaning up\n", deaths, seconds);
    assert_true(deaths > rounds * 3);
    tree_drop(&at, root);
    store_close(&store);
    munmap(of, sizeof *of);
}

/* Goal: L2.  Method: see the top; no node is lost, at the end the whole store is verified. */
static void test_death_at_any_step_of_one_word(void **state)
{
    (void)state;
    die_everywhere(1, 20);
}
static void test_death_at_any_step_of_three_words(void **state)
{
    (void)state;
    die_everywhere(3, 20);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_work_between_any_two_steps_of_one_word),
    cmocka_unit_test(test_work_between_any_two_steps_of_four_words),
    cmocka_unit_test(test_work_between_any_two_steps_of_joining),
    cmocka_unit_test(test_two_writers_of_one_key_at_every_step),
    cmocka_unit_test(test_death_at_any_step_of_one_word),
    cmocka_unit_test(test_death_at_any_step_of_three_words),
};

AE_TEST_MAIN(tests)
