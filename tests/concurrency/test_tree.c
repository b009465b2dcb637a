/* The ordered index under many writers and readers: threads on one handle, and forked processes.
 *
 * Writers keep entries as the table will: an entry must be there while anybody needs it, and goes
 * with the last who did.  Readers walk up and down meanwhile: what is there for good is met exactly
 * once, in order.  The main thread writes rows, so that the clock moves and nodes are used again.
 *
 * variants: plain asan tsan
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "trees.h"

enum { WRITERS = 4, READERS = 2, WORKERS = WRITERS + READERS, SHARED_KEYS = 48, OWN_KEYS = 700 };
enum { FIXED = 1500 };
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SLOW 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SLOW 1
#endif
#endif
#ifdef SLOW
enum { STEPS = 6000 };
#else
enum { STEPS = 40000 };
#endif

/* Shared by all workers, also by processes. */
typedef struct board {
    _Atomic uint32_t needed[SHARED_KEYS]; /* how many writers need the entry */
    _Atomic uint32_t done;                /* workers that are finished */
    _Atomic uint32_t wrong;
    char text[200];
    bool there[WRITERS][OWN_KEYS]; /* what each left */
} board;

typedef struct worker {
    aero_db *db;
    board *on;
    ae_ref root;
    uint32_t number;
    uint32_t width;
    uint64_t seed;
} worker;

#define WRONG(work_, ...) \
    do { \
        if (atomic_fetch_add_explicit(&(work_)->on->wrong, 1, memory_order_relaxed) == 0) \
            snprintf((work_)->on->text, sizeof(work_)->on->text, __VA_ARGS__); \
        goto done; \
    } while (0)

/* Keys that are there for good, keys that all writers share, and keys of one writer lie mixed; many
 * have equal words. */
static ae_tree_key key_make(uint64_t number, uint32_t kind)
{
    ae_tree_key key = {.anchor = 10000 + kind * 100000 + (uint32_t)number};
    uint64_t state = number * 31 + (number % 3 == 0 ? 0 : kind);
    const uint64_t word = number % 5 == 0 ? number % 7 : next_random(&state);
    for (uint32_t index = 0; index < AE_TREE_WORDS_MAX; index++)
        key.words[index] = index % 2 == 0 && number % 2 == 0 ? 5 : word;
    return key;
}
static ae_tree_key key_fixed(uint64_t number)
{
    return key_make(number, 0);
}
static ae_tree_key key_shared(uint64_t number)
{
    return key_make(number, 1);
}
static ae_tree_key key_own(uint64_t number, uint32_t who)
{
    return key_make(number, 2 + who);
}

/* Hold a shared entry for a moment: it must be there all the while; the last one removes it. */
static const char *hold_shared(worker *work, tree_place *at, uint64_t *random)
{
    const uint64_t number = next_random(random) % SHARED_KEYS;
    const ae_tree_key key = key_shared(number);
    _Atomic uint32_t *needed = &work->on->needed[number];
    uint64_t ticket = 0;
    atomic_fetch_add_explicit(needed, 1, memory_order_seq_cst);
    if (ae_tree_put(&at->tree, at->slot, &key, NULL) != AERO_OK)
        return "put failed";
    for (uint64_t turn = next_random(random) % 4; turn > 0; turn--)
        if (!ae_tree_find(&at->tree, &key, &ticket))
            return "a needed entry is missing";
    atomic_fetch_sub_explicit(needed, 1, memory_order_seq_cst);
    if (!ae_tree_find(&at->tree, &key, &ticket))
        return NULL;
    if (atomic_load_explicit(needed, memory_order_seq_cst) == 0 &&
        ae_tree_remove(&at->tree, at->slot, &key, ticket, NULL) != AERO_OK)
        return "remove failed";
    return NULL;
}

/* Change an entry that is this writer's alone. */
static const char *change_own(worker *work, tree_place *at, uint64_t *random)
{
    const uint64_t number = next_random(random) % OWN_KEYS;
    const ae_tree_key key = key_own(number, work->number);
    bool *there = &work->on->there[work->number][number];
    uint64_t ticket = 0;
    if (ae_tree_find(&at->tree, &key, &ticket) != *there)
        return *there ? "an own entry is missing" : "a removed entry is there";
    if (!*there || next_random(random) % 8 == 0) {
        if (ae_tree_put(&at->tree, at->slot, &key, NULL) != AERO_OK)
            return "put failed";
        *there = true;
    } else {
        if (ae_tree_remove(&at->tree, at->slot, &key, ticket, NULL) != AERO_OK)
            return "remove failed";
        *there = false;
    }
    return NULL;
}

/* A run of own keys in one call. */
static const char *put_run(worker *work, tree_place *at, uint64_t *random)
{
    enum { RUN = 120 };
    ae_tree_key keys[RUN];
    uint64_t words[RUN * AE_TREE_WORDS_MAX];
    ae_ref anchors[RUN];
    const uint64_t from = next_random(random) % (OWN_KEYS - RUN);
    for (uint32_t index = 0; index < RUN; index++) {
        keys[index] = key_own(from + index, work->number);
        for (uint32_t other = index;
             other > 0 && tree_key_order(&keys[other], &keys[other - 1], work->width) < 0;
             other--) {
            const ae_tree_key key = keys[other];
            keys[other] = keys[other - 1];
            keys[other - 1] = key;
        }
        work->on->there[work->number][from + index] = true;
    }
    for (uint32_t index = 0; index < RUN; index++) {
        memcpy(words + index * work->width, keys[index].words, work->width * 8);
        anchors[index] = keys[index].anchor;
    }
    return ae_tree_put_sorted(&at->tree, at->slot, words, anchors, RUN, NULL) == AERO_OK
               ? NULL
               : "sorted put failed";
}

static void *write_entries(void *context)
{
    worker *work = context;
    tree_place at = {.db = work->db};
    uint64_t random = work->seed;
    uint32_t member = 0;
    if (ae_member_claim(&work->db->proc, &member, NULL) != AERO_OK ||
        !tree_enter_as(&at, work->db, member) || !tree_open_at(&at, work->root))
        WRONG(work, "no slot");
    for (uint32_t step = 0; step < STEPS; step++) {
        const uint64_t what = next_random(&random) % 200;
        const char *wrong = what == 0   ? put_run(work, &at, &random)
                            : what < 90 ? hold_shared(work, &at, &random)
                                        : change_own(work, &at, &random);
        if (wrong != NULL)
            WRONG(work, "writer %u, step %u: %s", work->number, step, wrong);
        if (step % 32 == 0)
            tree_refresh(&at);
    }
    tree_leave(&at);
    ae_member_release(&work->db->proc, member);
done:
    atomic_fetch_add_explicit(&work->on->done, 1, memory_order_release);
    return NULL;
}

/* One walk: in order, nothing twice, and everything that is there for good. */
static const char *walk(const worker *work, const tree_place *at, bool descending, uint32_t batch)
{
    ae_tree_cursor cursor;
    ae_tree_range range;
    uint64_t words[64 * AE_TREE_WORDS_MAX];
    ae_ref anchors[64];
    ae_tree_key last = {.anchor = 0};
    uint32_t fixed = 0;
    bool first = true;
    ae_tree_range_all(&range);
    ae_tree_seek(&cursor, &at->tree, &range, descending);
    for (uint32_t count; (count = ae_tree_next(&cursor, words, anchors, batch)) != 0;) {
        for (uint32_t index = 0; index < count; index++) {
            ae_tree_key key = {.anchor = anchors[index]};
            memcpy(key.words, words + index * work->width, work->width * 8);
            const int order = tree_key_order(&last, &key, work->width);
            if (!first && (descending ? order <= 0 : order >= 0))
                return "entries out of order";
            first = false;
            last = key;
            fixed += key.anchor >= 10000 && key.anchor < 10000 + FIXED;
        }
    }
    if (cursor.fail != AERO_OK)
        return "a cursor failed";
    return fixed == FIXED ? NULL : "entries that are there for good were not met once each";
}

static void *read_entries(void *context)
{
    worker *work = context;
    tree_place at = {.db = work->db};
    uint64_t random = work->seed;
    uint32_t member = 0;
    uint32_t laps = 0;
    if (ae_member_claim(&work->db->proc, &member, NULL) != AERO_OK ||
        !tree_enter_as(&at, work->db, member) || !tree_open_at(&at, work->root))
        WRONG(work, "no slot");
    while (atomic_load_explicit(&work->on->done, memory_order_acquire) < WRITERS || laps == 0) {
        const char *wrong = walk(work, &at, laps % 2 == 1, 1 + next_random(&random) % 64);
        if (wrong != NULL)
            WRONG(work, "reader %u, lap %u: %s", work->number, laps, wrong);
        for (uint32_t turn = 0; turn < 50; turn++) {
            const ae_tree_key key = key_fixed(next_random(&random) % FIXED);
            uint64_t ticket = 0;
            if (!ae_tree_find(&at.tree, &key, &ticket))
                WRONG(work, "reader %u: an entry that is there for good is missing", work->number);
        }
        tree_refresh(&at);
        laps++;
    }
    tree_leave(&at);
    ae_member_release(&work->db->proc, member);
done:
    return NULL;
}

/* What is left must be what the writers remember; readers' keys besides. */
static void board_check(const board *on, const tree_place *at)
{
    uint64_t expected = FIXED;
    uint64_t ticket = 0;
    if (on->wrong != 0)
        fail_msg("%u wrong; first: %s", on->wrong, on->text);
    for (uint32_t who = 0; who < WRITERS; who++) {
        for (uint32_t number = 0; number < OWN_KEYS; number++) {
            const ae_tree_key key = key_own(number, who);
            assert_int_equal(ae_tree_find(&at->tree, &key, &ticket), on->there[who][number]);
            expected += on->there[who][number];
        }
    }
    for (uint32_t number = 0; number < SHARED_KEYS; number++) {
        const ae_tree_key key = key_shared(number);
        assert_int_equal(on->needed[number], 0);
        assert_false(ae_tree_find(&at->tree, &key, &ticket));
    }
    assert_int_equal(tree_shape(at).entries, expected);
}

static void many(uint32_t width, bool processes)
{
    char name[64];
    test_store store;
    tree_place at;
    worker workers[WORKERS];
    pthread_t threads[WORKERS];
    pid_t children[WORKERS];
    board *on = mmap(NULL, sizeof *on, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(on != MAP_FAILED);
    snprintf(name, sizeof name, "%s on a tree of %u words", processes ? "processes" : "threads",
             width);
    uint64_t random = test_seed(name);
    store_open(&store, 256 << 20);
    const ae_ref root = tree_start(&at, &store, width);
    for (uint32_t number = 0; number < FIXED; number++) {
        const ae_tree_key key = key_fixed(number);
        tree_put(&at, &key);
    }
    for (uint32_t number = 0; number < WORKERS; number++) {
        workers[number] = (worker){store.db, on, root, number, width, next_random(&random)};
        void *(*run)(void *) = number < WRITERS ? write_entries : read_entries;
        if (!processes) {
            assert_int_equal(pthread_create(&threads[number], NULL, run, &workers[number]), 0);
            continue;
        }
        fflush(NULL);
        children[number] = fork();
        if (children[number] == 0) {
            (void)run(&workers[number]);
            _exit(0);
        }
    }
    while (atomic_load_explicit(&on->done, memory_order_acquire) < WRITERS) {
        tree_tick(&store, &at);
        sched_yield();
    }
    for (uint32_t number = 0; number < WORKERS; number++) {
        if (processes)
            child_join(children[number]);
        else
            pthread_join(threads[number], NULL);
    }
    board_check(on, &at);
    tree_drop(&at, root);
    store_close(&store);
    munmap(on, sizeof *on);
}

/* Goal: T2 to T6, and what cursors promise.  Method: see the top; threads, so that the sanitizers
 * see all. */
static void test_threads_keep_what_is_needed(void **state)
{
    (void)state;
    many(1, false);
    many(3, false);
}

/* Goal: the same with processes. */
static void test_processes_keep_what_is_needed(void **state)
{
    (void)state;
    many(1, true);
    many(2, true);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_threads_keep_what_is_needed),
    cmocka_unit_test(test_processes_keep_what_is_needed),
};

AE_TEST_MAIN(tests)
