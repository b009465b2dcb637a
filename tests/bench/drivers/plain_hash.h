/* plain_hash.h — the plain peer of keyed access: open addressing, the key inline in its slot, the
 * row in an array beside it.  No transactions, no versions, no sharing: what a C programmer would
 * write for one thread.
 *
 * Concurrency: one thread.
 */
#ifndef BENCH_PLAIN_HASH_H
#define BENCH_PLAIN_HASH_H

#include "aerostore/gen.h"
#include "driver.h"

typedef struct plain_slot {
    char key[24]; /* as long as FlightState's keys may be */
    uint32_t length;
    uint32_t row; /* 1 + index; 0 is an empty slot */
} plain_slot;

typedef struct plain_hash {
    plain_slot *slots;
    uint64_t mask;
    plain_row *rows;
    uint32_t count;
} plain_hash;

static inline void plain_hash_init(plain_hash *hash, uint64_t rows)
{
    uint64_t capacity = 16;
    while (capacity < rows * 2) /* at most half full: short probes */
        capacity *= 2;
    hash->slots = calloc(capacity, sizeof *hash->slots);
    hash->rows = calloc(rows, sizeof *hash->rows);
    hash->mask = capacity - 1;
    hash->count = 0;
    if (hash->slots == NULL || hash->rows == NULL)
        die("plain hash: out of memory");
}

static inline plain_slot *plain_hash_slot(const plain_hash *hash, const char *key, uint32_t length)
{
    uint64_t at = ae_hash_bytes(key, length) & hash->mask;
    for (;;) {
        plain_slot *slot = &hash->slots[at];
        if (slot->row == 0)
            return slot;
        if (slot->length == length && memcmp(slot->key, key, length) == 0)
            return slot;
        at = (at + 1) & hash->mask;
    }
}

static inline plain_row *plain_hash_find(const plain_hash *hash, const char *key, uint32_t length)
{
    const plain_slot *slot = plain_hash_slot(hash, key, length);
    return slot->row == 0 ? NULL : &hash->rows[slot->row - 1];
}

static inline void plain_hash_add(plain_hash *hash, const flight *one)
{
    plain_slot *slot = plain_hash_slot(hash, one->key, KEY_LENGTH);
    if (slot->row == 0) {
        memcpy(slot->key, one->key, KEY_LENGTH);
        slot->length = KEY_LENGTH;
        slot->row = ++hash->count;
    }
    plain_fill(&hash->rows[slot->row - 1], one);
}

#endif
