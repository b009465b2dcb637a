/* crucible_mutex.h — the simplest thing that could work: a hash table and a B+-tree in memory that
 * the workers share, and one robust mutex around both.
 *
 * How it works: the memory is mapped before the workers are forked, so plain pointers would do;
 * nodes are numbered instead, to keep them small.  No transactions, no snapshots, no log; a holder
 * that dies leaves half a change behind.  Empty leaves are taken out of the tree, nodes are never
 * joined.
 *
 * Concurrency: everything under the mutex.
 */
#ifndef BENCH_CRUCIBLE_MUTEX_H
#define BENCH_CRUCIBLE_MUTEX_H

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

#include "aerostore/gen.h"
#include "crucible.h"

enum { NODE_KEYS = 62, NODES = 1 << 15, SLOTS = 1 << 17, LEVELS_MAX = 8 };

typedef struct simple_row {
    char id[ROW_KEY];
    int64_t event_ts;
    int32_t altitude;
    char payload[DIGITS];
} simple_row;

typedef struct simple_node {
    uint32_t count; /* of keys in a leaf, of children elsewhere */
    uint32_t leaf;
    uint32_t next; /* of leaves, in order */
    uint32_t back;
    int64_t keys[NODE_KEYS];    /* of child 0: anything */
    uint32_t values[NODE_KEYS]; /* rows of a leaf, children elsewhere */
} simple_node;

typedef struct simple_store {
    pthread_mutex_t lock;
    uint32_t root;
    uint32_t free_first;
    uint32_t nodes_used;
    uint32_t slots[SLOTS]; /* 1 + row */
    simple_row rows[ROWS];
    simple_node nodes[NODES];
} simple_store;

static uint32_t simple_node_new(simple_store *store, uint32_t leaf)
{
    uint32_t node = store->free_first;
    if (node != 0) {
        store->free_first = store->nodes[node].next;
    } else {
        node = ++store->nodes_used;
        if (node == NODES)
            die("simple: out of nodes");
    }
    store->nodes[node] = (simple_node){.leaf = leaf};
    return node;
}

/* The last place whose key is at most `key`; 0 when there is none. */
static uint32_t simple_place(const simple_node *node, int64_t key)
{
    uint32_t low = 0;
    uint32_t left = node->count;
    while (left > 1) {
        const uint32_t half = left / 2;
        low += (node->keys[low + half] <= key) * half;
        left -= half;
    }
    return low;
}

static void simple_put_at(simple_node *node, uint32_t place, int64_t key, uint32_t value)
{
    memmove(node->keys + place + 1, node->keys + place,
            (node->count - place) * sizeof node->keys[0]);
    memmove(node->values + place + 1, node->values + place,
            (node->count - place) * sizeof node->values[0]);
    node->keys[place] = key;
    node->values[place] = value;
    node->count++;
}

/* A full child becomes two; one that is filled from its end keeps what it has. */
static void simple_split(simple_store *store, simple_node *parent, uint32_t place, bool last)
{
    const uint32_t at = parent->values[place];
    simple_node *left = &store->nodes[at];
    const uint32_t more = simple_node_new(store, left->leaf);
    simple_node *right = &store->nodes[more];
    const uint32_t from = last ? NODE_KEYS - 1 : NODE_KEYS / 2;
    right->count = NODE_KEYS - from;
    memcpy(right->keys, left->keys + from, right->count * sizeof right->keys[0]);
    memcpy(right->values, left->values + from, right->count * sizeof right->values[0]);
    left->count = from;
    if (left->leaf) {
        right->next = left->next;
        right->back = at;
        store->nodes[right->next].back = more; /* node 0 is nobody's */
        left->next = more;
    }
    simple_put_at(parent, place + 1, right->keys[0], more);
}

static void simple_insert(simple_store *store, int64_t key, uint32_t value)
{
    if (store->nodes[store->root].count == NODE_KEYS) {
        const uint32_t top = simple_node_new(store, 0);
        simple_put_at(&store->nodes[top], 0, INT64_MIN, store->root);
        store->root = top;
        simple_split(store, &store->nodes[top], 0, true);
    }
    simple_node *node = &store->nodes[store->root];
    while (!node->leaf) {
        uint32_t place = simple_place(node, key);
        const simple_node *child = &store->nodes[node->values[place]];
        if (child->count == NODE_KEYS) {
            simple_split(store, node, place, child->keys[NODE_KEYS - 1] < key);
            place = simple_place(node, key);
        }
        node = &store->nodes[node->values[place]];
    }
    uint32_t place = simple_place(node, key);
    place += node->count > 0 && node->keys[place] < key;
    simple_put_at(node, place, key, value);
}

static void simple_take_at(simple_node *node, uint32_t place)
{
    node->count--;
    memmove(node->keys + place, node->keys + place + 1,
            (node->count - place) * sizeof node->keys[0]);
    memmove(node->values + place, node->values + place + 1,
            (node->count - place) * sizeof node->values[0]);
}

static void simple_remove(simple_store *store, int64_t key)
{
    uint32_t nodes[LEVELS_MAX];
    uint32_t places[LEVELS_MAX];
    uint32_t depth = 0;
    for (uint32_t at = store->root;; depth++) {
        const simple_node *node = &store->nodes[at];
        nodes[depth] = at;
        places[depth] = simple_place(node, key);
        if (node->leaf)
            break;
        at = node->values[places[depth]];
    }
    simple_node *leaf = &store->nodes[nodes[depth]];
    if (leaf->count == 0 || leaf->keys[places[depth]] != key)
        die("simple: a key is missing");
    simple_take_at(leaf, places[depth]);
    if (leaf->count == 0 && depth > 0) {
        store->nodes[leaf->back].next = leaf->next;
        store->nodes[leaf->next].back = leaf->back;
    }
    for (; depth > 0 && store->nodes[nodes[depth]].count == 0; depth--) {
        store->nodes[nodes[depth]].next = store->free_first;
        store->free_first = nodes[depth];
        simple_take_at(&store->nodes[nodes[depth - 1]], places[depth - 1]);
    }
}

static simple_row *simple_find(simple_store *store, const char *key)
{
    for (uint64_t at = ae_hash_bytes(key, ROW_KEY);; at++) {
        const uint32_t row = store->slots[at % SLOTS];
        if (row == 0)
            return NULL;
        if (memcmp(store->rows[row - 1].id, key, ROW_KEY) == 0)
            return &store->rows[row - 1];
    }
}

static void simple_make(crucible *all)
{
    simple_store *store = mmap(NULL, sizeof *store, PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t how;
    if (store == MAP_FAILED)
        die("no memory");
    pthread_mutexattr_init(&how);
    pthread_mutexattr_setpshared(&how, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&how, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&store->lock, &how);
    store->root = simple_node_new(store, 1);
    for (uint32_t row = 0; row < ROWS; row++) {
        char key[ROW_KEY + 1];
        row_key(row, key);
        uint64_t at = ae_hash_bytes(key, ROW_KEY);
        while (store->slots[at % SLOTS] != 0)
            at++;
        store->slots[at % SLOTS] = row + 1;
        memcpy(store->rows[row].id, key, ROW_KEY);
        memset(store->rows[row].payload, '0', DIGITS);
        store->rows[row].event_ts = row + 1;
        simple_insert(store, row + 1, row);
    }
    all->peer = store;
}

static void *simple_join(crucible *all)
{
    return all->peer;
}

static void simple_lock(simple_store *store)
{
    const int status = pthread_mutex_lock(&store->lock);
    if (status == EOWNERDEAD)
        pthread_mutex_consistent(&store->lock);
    else if (status != 0)
        die("pthread_mutex_lock: %d", status);
}

static uint32_t simple_upsert(void *mine, uint32_t number, int64_t stamp)
{
    simple_store *store = mine;
    char key[ROW_KEY + 1];
    row_key(number, key);
    simple_lock(store);
    simple_row *row = simple_find(store, key);
    if (row == NULL)
        die("simple: a row is missing");
    row->altitude++;
    digits_next(row->payload);
    simple_remove(store, row->event_ts);
    row->event_ts = stamp;
    simple_insert(store, stamp, (uint32_t)(row - store->rows));
    pthread_mutex_unlock(&store->lock);
    return 0;
}

static uint32_t simple_scan(void *mine, int64_t above)
{
    simple_store *store = mine;
    simple_row found[SCAN_ROWS];
    uint32_t count = 0;
    simple_lock(store);
    uint32_t at = store->root;
    while (!store->nodes[at].leaf)
        at = store->nodes[at].values[simple_place(&store->nodes[at], above + 1)];
    for (; at != 0 && count < SCAN_ROWS; at = store->nodes[at].next) {
        const simple_node *leaf = &store->nodes[at];
        for (uint32_t place = 0; place < leaf->count && count < SCAN_ROWS; place++) {
            if (leaf->keys[place] <= above)
                continue;
            const simple_row *row = &store->rows[leaf->values[place]];
            memcpy(found[count].id, row->id, ROW_KEY);
            found[count++].event_ts = row->event_ts;
        }
    }
    pthread_mutex_unlock(&store->lock);
    for (uint32_t row = 0; row < count; row++)
        above = scan_check(above, found[row].event_ts, found[row].id);
    return count;
}

static uint64_t simple_total(crucible *all)
{
    const simple_store *store = all->peer;
    uint64_t total = 0;
    for (uint32_t row = 0; row < ROWS; row++)
        total += (uint64_t)store->rows[row].altitude;
    return total;
}

static void simple_end(crucible *all)
{
    munmap(all->peer, sizeof(simple_store));
}

#endif
