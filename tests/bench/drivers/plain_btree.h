/* plain_btree.h — a plain B+-tree in one process's memory, what an ordered index is compared with.
 *
 * Keys are 64-bit numbers, values 32-bit ones; nodes are split in place, nothing is shared, nothing
 * is ever removed.
 *
 * Concurrency: one thread.
 */
#ifndef BENCH_PLAIN_BTREE_H
#define BENCH_PLAIN_BTREE_H

#include "driver.h"

enum { PLAIN_KEYS = 62 };

typedef struct plain_node {
    uint32_t count;
    uint32_t level; /* 0: a leaf */
    uint64_t keys[PLAIN_KEYS];
    union {
        struct {
            uint32_t values[PLAIN_KEYS];
            struct plain_node *next;
        };
        struct plain_node *children[PLAIN_KEYS + 1]; /* child i: keys below keys[i] */
    };
} plain_node;

typedef struct plain_btree {
    plain_node *root;
} plain_btree;

static inline plain_node *plain_node_new(uint32_t level)
{
    plain_node *node = aligned_alloc(64, (sizeof(plain_node) + 63) & ~(size_t)63);
    if (node == NULL)
        die("no memory");
    memset(node, 0, sizeof *node);
    node->level = level;
    return node;
}

/* How many keys are below `key` (or, `equal`, at most it). */
static inline uint32_t plain_below(const plain_node *node, uint64_t key, bool equal)
{
    const uint64_t *at = node->keys;
    uint32_t left = node->count;
    const uint64_t limit = key + equal;
    while (left > 1) {
        const uint32_t half = left / 2;
        at += (at[half - 1] < limit) * half;
        left -= half;
    }
    return (uint32_t)(at - node->keys) + (left == 1 && *at < limit);
}

static inline const plain_node *plain_seek(const plain_btree *tree, uint64_t key, uint32_t *place)
{
    const plain_node *node = tree->root;
    while (node->level > 0) {
        node = node->children[plain_below(node, key, true)];
        for (uint32_t line = 0; node->level == 0 && line < 8; line++)
            __builtin_prefetch((const char *)node + 64 * line);
    }
    *place = plain_below(node, key, false);
    return node;
}

/* Make room in a child that is full. */
static inline void plain_split(plain_node *parent, uint32_t at)
{
    plain_node *left = parent->children[at];
    plain_node *right = plain_node_new(left->level);
    const uint32_t half = left->count / 2;
    const uint32_t from = left->level == 0 ? half : half + 1;
    right->count = left->count - from;
    memcpy(right->keys, left->keys + from, right->count * sizeof right->keys[0]);
    if (left->level == 0) {
        memcpy(right->values, left->values + from, right->count * sizeof right->values[0]);
        right->next = left->next;
        left->next = right;
    } else {
        memcpy(right->children, left->children + from,
               (right->count + 1) * sizeof right->children[0]);
    }
    left->count = half;
    memmove(parent->keys + at + 1, parent->keys + at,
            (parent->count - at) * sizeof parent->keys[0]);
    memmove(parent->children + at + 2, parent->children + at + 1,
            (parent->count - at) * sizeof parent->children[0]);
    parent->keys[at] = left->level == 0 ? right->keys[0] : left->keys[half];
    parent->children[at + 1] = right;
    parent->count++;
}

static inline void plain_insert(plain_btree *tree, uint64_t key, uint32_t value)
{
    if (tree->root == NULL)
        tree->root = plain_node_new(0);
    if (tree->root->count == PLAIN_KEYS) {
        plain_node *top = plain_node_new(tree->root->level + 1);
        top->children[0] = tree->root;
        tree->root = top;
        plain_split(top, 0);
    }
    plain_node *node = tree->root;
    while (node->level > 0) {
        uint32_t child = plain_below(node, key, true);
        if (node->children[child]->count == PLAIN_KEYS) {
            plain_split(node, child);
            child = plain_below(node, key, true);
        }
        node = node->children[child];
    }
    const uint32_t at = plain_below(node, key, false);
    memmove(node->keys + at + 1, node->keys + at, (node->count - at) * sizeof node->keys[0]);
    memmove(node->values + at + 1, node->values + at, (node->count - at) * sizeof node->values[0]);
    node->keys[at] = key;
    node->values[at] = value;
    node->count++;
}

#endif
