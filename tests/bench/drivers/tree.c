/* tree.c — the ordered index by itself against plain structures: look-ups, scans, puts, and how it
 * bears several writers.
 *
 * Usage: tree ENTRIES OPERATIONS ROUNDS DIRECTORY
 *
 * How it works: every peer holds the same random keys, put in random order.  Look-ups and scans of
 * 100 entries start at random keys, each peer in turn, and fold what they read into a checksum that
 * must agree.  The engine's internal functions are called, so this driver is linked with its
 * sources.  Writers are forked; they write a row now and then, so that what they retired is used
 * again, as in a table.
 */
#include "driver.h"
#include "plain_btree.h"

#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "aerostore/aerostore.h"
#include "index/tree.h"
#include "txn/txn.h"

enum { SCAN = 100, WRITERS = 2, SAMPLES = 200000 };

typedef struct pair {
    uint64_t key;
    uint32_t value;
} pair;

typedef struct bench {
    uint64_t entries;
    uint64_t operations;
    aero_db *db;
    aero_session *session;
    ae_tree tree;
    uint32_t slot;
    uint32_t retired;
    plain_btree plain;
    pair *array;
} bench;

/* What forked workers share. */
typedef struct board {
    _Atomic uint32_t ready;
    _Atomic uint32_t go;
    _Atomic uint32_t done;
    uint64_t started;
    uint64_t ended[WRITERS];
} board;

static uint64_t key_of(uint64_t index)
{
    uint64_t state = index;
    return random_next(&state) >> 8;
}

static void must(aero_status status, const aero_error *error)
{
    if (status != AERO_OK)
        die("%s", error->text);
}

static int by_key(const void *left, const void *right)
{
    const pair *a = left;
    const pair *b = right;
    return a->key < b->key ? -1 : a->key > b->key;
}

/* ---- the engine ----------------------------------------------------------------------------- */

static void slot_take(bench *of)
{
    uint32_t member = 0;
    aero_error error;
    must(ae_member_claim(&of->db->proc, &member, &error), &error);
    must(ae_slot_claim(&of->db->proc, member, member, &of->slot, &error), &error);
    (void)ae_snapshot_publish(&of->db->proc, &ae_slot_at(&of->db->proc, of->slot)->snapshot);
    of->retired = ae_tree_retired(&of->db->proc, of->slot);
}

static void tree_new(bench *of)
{
    ae_ref ref = 0;
    aero_error error;
    ae_slot *at = ae_slot_at(&of->db->proc, of->slot);
    must(ae_heap_take(&of->db->heap, &at->cache, of->slot, ae_heap_class(&of->db->heap, 64), &ref,
                      &error),
         &error);
    ae_block *block = ae_at(&of->db->segment, ref);
    ae_store64_release(&block->word, AE_WORD_OWNED | 1);
    memset(block + 1, 0, sizeof(ae_tree_root));
    ae_tree_create((ae_tree_root *)(void *)(block + 1), 1);
    must(ae_tree_open(&of->tree, &of->db->proc, (ae_tree_root *)(void *)(block + 1), &error),
         &error);
}

/* Let the clock move and the retired go. */
static void tidy(bench *of, uint64_t who)
{
    if (ae_tree_retired(&of->db->proc, of->slot) - of->retired < 64)
        return;
    char name[16];
    snprintf(name, sizeof name, "tick%u", (unsigned)who % 100);
    const uint32_t columns[] = {COLUMN_ID, COLUMN_LAT, COLUMN_LON, COLUMN_UPDATED_AT};
    const aero_value values[] = {
        {.type = AERO_TYPE_TEXT, .length = (uint32_t)strlen(name), .u = {.data = name}},
        {.type = AERO_TYPE_DOUBLE, .u = {.real = 1}},
        {.type = AERO_TYPE_DOUBLE, .u = {.real = 1}},
        {.type = AERO_TYPE_INT, .u = {.integer = 1}}};
    int32_t inserted = 0;
    must(aero_upsert(of->session, 0, 4, columns, values, &inserted),
         aero_session_error(of->session));
    ae_proc *proc = &of->db->proc;
    (void)ae_snapshot_publish(proc, &ae_slot_at(proc, of->slot)->snapshot);
    (void)ae_block_reclaim(proc, of->slot, ae_horizon_compute(proc));
    of->retired = ae_tree_retired(proc, of->slot);
}

static void tree_fill(bench *of, uint64_t first, uint64_t step)
{
    aero_error error;
    for (uint64_t index = first; index < of->entries; index += step) {
        const ae_tree_key key = {.words = {key_of(index)}, .anchor = (uint32_t)index + 5000};
        must(ae_tree_put(&of->tree, of->slot, &key, &error), &error);
        if (index % 64 == first)
            tidy(of, first);
    }
}

static uint64_t tree_find(bench *of, uint64_t seed)
{
    uint64_t sum = 0;
    for (uint64_t count = 0; count < of->operations; count++) {
        const uint64_t word = key_of(random_next(&seed) % of->entries);
        const ae_tree_range range = {{{word}, 0, 0}, {{word}, UINT32_MAX, 0}};
        ae_tree_cursor cursor;
        uint64_t found = 0;
        ae_ref anchor = 0;
        ae_tree_seek(&cursor, &of->tree, &range, false);
        if (ae_tree_next(&cursor, &found, &anchor, 1) == 1)
            sum = sum * 31 + anchor;
    }
    return sum;
}

static uint64_t tree_scan(bench *of, uint64_t seed)
{
    uint64_t sum = 0;
    for (uint64_t count = 0; count < of->operations / 10; count++) {
        ae_tree_range range;
        ae_tree_cursor cursor;
        uint64_t words[SCAN];
        ae_ref anchors[SCAN];
        ae_tree_range_all(&range);
        range.low.words[0] = key_of(random_next(&seed) % of->entries);
        ae_tree_seek(&cursor, &of->tree, &range, false);
        const uint32_t got = ae_tree_next(&cursor, words, anchors, SCAN);
        for (uint32_t index = 0; index < got; index++)
            sum += anchors[index];
    }
    return sum;
}

/* ---- plain peers ---------------------------------------------------------------------------- */

static uint64_t plain_find(bench *of, uint64_t seed)
{
    uint64_t sum = 0;
    for (uint64_t count = 0; count < of->operations; count++) {
        uint32_t place = 0;
        const uint64_t word = key_of(random_next(&seed) % of->entries);
        const plain_node *leaf = plain_seek(&of->plain, word, &place);
        if (place < leaf->count && leaf->keys[place] == word)
            sum = sum * 31 + leaf->values[place];
    }
    return sum;
}

static uint64_t plain_scan(bench *of, uint64_t seed)
{
    uint64_t sum = 0;
    for (uint64_t count = 0; count < of->operations / 10; count++) {
        uint32_t place = 0;
        const plain_node *leaf = plain_seek(&of->plain, key_of(random_next(&seed) % of->entries),
                                            &place);
        uint64_t words[SCAN];
        uint32_t values[SCAN];
        uint32_t got = 0;
        while (leaf != NULL && got < SCAN) {
            if (place == leaf->count) {
                leaf = leaf->next;
                place = 0;
                continue;
            }
            words[got] = leaf->keys[place];
            values[got++] = leaf->values[place++];
        }
        for (uint32_t index = 0; index < got; index++)
            sum += values[index] + (words[index] == 0);
    }
    return sum;
}

static const pair *array_seek(const bench *of, uint64_t key)
{
    const pair *at = of->array;
    uint64_t left = of->entries;
    while (left > 1) {
        const uint64_t half = left / 2;
        at += (at[half - 1].key < key) * half;
        left -= half;
    }
    return at + (left == 1 && at->key < key);
}

static uint64_t array_find(bench *of, uint64_t seed)
{
    uint64_t sum = 0;
    for (uint64_t count = 0; count < of->operations; count++) {
        const uint64_t word = key_of(random_next(&seed) % of->entries);
        const pair *at = array_seek(of, word);
        if (at < of->array + of->entries && at->key == word)
            sum = sum * 31 + at->value;
    }
    return sum;
}

static uint64_t array_scan(bench *of, uint64_t seed)
{
    uint64_t sum = 0;
    for (uint64_t count = 0; count < of->operations / 10; count++) {
        const pair *at = array_seek(of, key_of(random_next(&seed) % of->entries));
        for (uint32_t index = 0; index < SCAN && at + index < of->array + of->entries; index++)
            sum += at[index].value + (at[index].key == 0);
    }
    return sum;
}

/* ---- measuring ------------------------------------------------------------------------------ */

typedef struct peer {
    const char *name;
    uint64_t (*find)(bench *of, uint64_t seed);
    uint64_t (*scan)(bench *of, uint64_t seed);
} peer;

static void reads(bench *of, int round)
{
    static const peer peers[] = {{"aerostore", tree_find, tree_scan},
                                 {"plain B-tree", plain_find, plain_scan},
                                 {"sorted array", array_find, array_scan}};
    uint64_t found[3];
    uint64_t scanned[3];
    for (uint32_t index = 0; index < 3; index++) {
        uint64_t from = now_ns();
        found[index] = peers[index].find(of, (uint64_t)round);
        report("tree find", peers[index].name, round,
               (double)(now_ns() - from) / (double)of->operations, "ns/row");
        from = now_ns();
        scanned[index] = peers[index].scan(of, (uint64_t)round);
        report("tree scan of 100", peers[index].name, round,
               (double)(now_ns() - from) / (double)(of->operations / 10), "ns/row");
        if (found[index] != found[0] || scanned[index] != scanned[0])
            die("%s read something else", peers[index].name);
    }
}

static void child_wait(pid_t child)
{
    int status = 0;
    if (waitpid(child, &status, 0) != child || status != 0)
        die("a child ended with status %x", (unsigned)status);
}

/* Workers may run on any processor, whatever the benchmark itself is bound to. */
static void spread(void)
{
    cpu_set_t all;
    memset(&all, 0xff, sizeof all);
    (void)sched_setaffinity(0, sizeof all, &all);
}

/* Wait for all, then go at once. */
static void start_together(board *on, uint32_t workers)
{
    if (atomic_fetch_add(&on->ready, 1) + 1 == workers) {
        on->started = wall_ns();
        atomic_store(&on->go, 1);
    }
    while (atomic_load(&on->go) == 0)
        sched_yield();
}

static void session_take(bench *of)
{
    aero_error error;
    must(aero_session_open(of->db, &of->session, &error), &error);
    slot_take(of);
}

/* Put all entries by one or several forked writers; ns an entry. */
static void writers(bench *of, board *on, uint32_t count, int round, const char *name)
{
    memset(on, 0, sizeof *on);
    tree_new(of);
    pid_t children[WRITERS];
    for (uint32_t who = 0; who < count; who++) {
        children[who] = fork();
        if (children[who] != 0)
            continue;
        spread();
        session_take(of);
        start_together(on, count);
        tree_fill(of, who, count);
        on->ended[who] = wall_ns();
        ae_slot_release(&of->db->proc, of->slot);
        _exit(0);
    }
    uint64_t last = 0;
    for (uint32_t who = 0; who < count; who++) {
        child_wait(children[who]);
        last = on->ended[who] > last ? on->ended[who] : last;
    }
    report("tree put", name, round, (double)(last - on->started) / (double)of->entries, "ns/row");
    aero_error error;
    must(ae_tree_destroy(&of->tree, of->slot, &error), &error);
}

static int by_time(const void *left, const void *right)
{
    const uint32_t a = *(const uint32_t *)left;
    const uint32_t b = *(const uint32_t *)right;
    return a < b ? -1 : a > b;
}

/* The 99th percentile of look-ups, while so many writers put and remove. */
static void readers(bench *of, board *on, uint32_t count, int round, const char *name)
{
    static uint32_t took[SAMPLES];
    memset(on, 0, sizeof *on);
    pid_t children[WRITERS];
    for (uint32_t who = 0; who < count; who++) {
        children[who] = fork();
        if (children[who] != 0)
            continue;
        spread();
        session_take(of);
        uint64_t seed = who + 77;
        start_together(on, count + 1);
        for (uint64_t step = 0; atomic_load(&on->done) == 0; step++) {
            const uint64_t index = of->entries + random_next(&seed) % of->entries;
            const ae_tree_key key = {.words = {key_of(index)},
                                     .anchor = (uint32_t)index * 2 + 5000 + who};
            uint64_t ticket = 0;
            aero_error error;
            must(ae_tree_put(&of->tree, of->slot, &key, &error), &error);
            if (ae_tree_find(&of->tree, &key, &ticket))
                must(ae_tree_remove(&of->tree, of->slot, &key, ticket, &error), &error);
            if (step % 64 == 0)
                tidy(of, who);
        }
        ae_slot_release(&of->db->proc, of->slot);
        _exit(0);
    }
    start_together(on, count + 1);
    const uint64_t operations = of->operations;
    of->operations = 1;
    for (uint32_t sample = 0; sample < SAMPLES; sample++) {
        const uint64_t from = now_ns();
        (void)tree_find(of, sample + (uint64_t)round * SAMPLES);
        took[sample] = (uint32_t)(now_ns() - from);
    }
    of->operations = operations;
    atomic_store(&on->done, 1);
    for (uint32_t who = 0; who < count; who++)
        child_wait(children[who]);
    qsort(took, SAMPLES, sizeof took[0], by_time);
    report("tree find p99", name, round, took[SAMPLES / 100 * 99], "ns/row");
}

static void sorted_puts(bench *of, int round)
{
    uint64_t *words = malloc(of->entries * sizeof *words);
    ae_ref *anchors = malloc(of->entries * sizeof *anchors);
    aero_error error;
    if (words == NULL || anchors == NULL)
        die("no memory");
    for (uint64_t index = 0; index < of->entries; index++) {
        words[index] = of->array[index].key;
        anchors[index] = of->array[index].value;
    }
    tree_new(of);
    const uint64_t from = now_ns();
    for (uint64_t done = 0; done < of->entries; done += 10000) {
        const uint64_t some = of->entries - done < 10000 ? of->entries - done : 10000;
        must(ae_tree_put_sorted(&of->tree, of->slot, words + done, anchors + done, some, &error),
             &error);
        tidy(of, 9);
    }
    report("tree put", "sorted", round, (double)(now_ns() - from) / (double)of->entries, "ns/row");
    must(ae_tree_destroy(&of->tree, of->slot, &error), &error);
    free(words);
    free(anchors);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        die("usage: tree ENTRIES OPERATIONS ROUNDS DIRECTORY");
    bench of = {.entries = parse_count(argv[1]), .operations = parse_count(argv[2])};
    const uint64_t rounds = parse_count(argv[3]);
    char segment[4096];
    aero_error error;
    snprintf(segment, sizeof segment, "%s/segment", argv[4]);
    const aero_open_options options = {
        .data_dir = argv[4], .shm_path = segment, .size = (uint64_t)1 << 30};
    must(aero_open(&options, &of.db, &error), &error);
    session_take(&of);
    board *on = mmap(NULL, sizeof *on, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    of.array = malloc(of.entries * sizeof *of.array);
    if (on == MAP_FAILED || of.array == NULL)
        die("no memory");
    for (uint64_t index = 0; index < of.entries; index++) {
        of.array[index] = (pair){key_of(index), (uint32_t)index + 5000};
        plain_insert(&of.plain, key_of(index), (uint32_t)index + 5000);
    }
    qsort(of.array, of.entries, sizeof of.array[0], by_key);
    for (uint64_t round = 0; round < rounds; round++) {
        const int number = (int)round;
        writers(&of, on, 1, number, "one writer");
        writers(&of, on, 2, number, "two writers");
        sorted_puts(&of, number);
        tree_new(&of);
        tree_fill(&of, 0, 1);
        reads(&of, number);
        readers(&of, on, 0, number, "no writers");
        readers(&of, on, 2, number, "under two writers");
        ae_tree_shape shape;
        must(ae_tree_check(&of.tree, NULL, NULL, &shape, &error), &error);
        report("tree size", "aerostore", number,
               (double)(shape.leaves * 1024 + shape.inners * 2048) / (double)shape.entries,
               "bytes/row");
        must(ae_tree_destroy(&of.tree, of.slot, &error), &error);
        tidy(&of, 9);
    }
    return 0;
}
