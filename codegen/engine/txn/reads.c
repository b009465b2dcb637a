/* reads.c — the set of reads (see reads.h). */
#include "txn/reads.h"

#include <stdlib.h>
#include <string.h>

#include "aerostore/gen.h"
#include "base/limits.h"

/* Beyond this many single keys the reads of a table are kept as a whole: 16 MiB of set, and
 * validating finer would not pay. */
#define READ_KEYS_MAX (1u << 20)
#define READ_PREDICATES_MAX 1024u
/* A set that grew beyond this is given back at the end of the transaction. */
#define READ_KEYS_KEPT 4096u

static uint64_t read_key(uint32_t table, uint64_t hash)
{
    const uint64_t key = ae_hash_fold(hash ^ 0x2d358dccaa6c78a5ull, table + 0x8bb84b93962eacc9ull);
    return key == 0 ? 1 : key;
}

static uint32_t place_of(const ae_reads *reads, uint64_t key)
{
    uint32_t place = (uint32_t)key & (reads->key_capacity - 1);
    while (reads->keys[place] != 0 && reads->keys[place] != key)
        place = (place + 1) & (reads->key_capacity - 1);
    return place;
}

static bool keys_grow(ae_reads *reads)
{
    ae_reads larger = *reads;
    larger.key_capacity = reads->key_capacity == 0 ? 64 : 2 * reads->key_capacity;
    larger.keys = calloc(larger.key_capacity, sizeof *larger.keys);
    if (larger.keys == NULL)
        return false;
    for (uint32_t index = 0; index < reads->key_capacity; index++)
        if (reads->keys[index] != 0)
            larger.keys[place_of(&larger, reads->keys[index])] = reads->keys[index];
    AE_ASSERT(2 * reads->key_count <= larger.key_capacity);
    free(reads->keys);
    *reads = larger;
    return true;
}

void ae_reads_table(ae_reads *reads, uint32_t table)
{
    AE_ASSERT(table < AE_TABLES_MAX);
    reads->whole |= (uint32_t)1 << table;
}

static void key_note(ae_reads *reads, uint32_t table, uint64_t hash)
{
    if ((reads->whole >> table & 1u) != 0)
        return;
    if (reads->key_count >= READ_KEYS_MAX ||
        (2 * reads->key_count >= reads->key_capacity && !keys_grow(reads))) {
        ae_reads_table(reads, table);
        return;
    }
    AE_ASSERT(reads->key_count < reads->key_capacity);
    const uint64_t key = read_key(table, hash);
    const uint32_t place = place_of(reads, key);
    if (reads->keys[place] == 0) {
        reads->keys[place] = key;
        reads->key_count++;
    }
}

static void row_note(ae_reads *reads, uint32_t anchor)
{
    AE_ASSERT(anchor != 0);
    for (uint32_t index = 0; index < reads->row_count; index++)
        if (reads->rows[index] == anchor)
            return;
    if (reads->row_count < AE_READS_ROWS)
        reads->rows[reads->row_count++] = anchor;
    else
        reads->loose++;
}

void ae_reads_key(ae_reads *reads, uint32_t table, uint64_t hash)
{
    reads->loose++;
    key_note(reads, table, hash);
}

void ae_reads_row(ae_reads *reads, uint32_t table, uint64_t hash, uint32_t anchor)
{
    row_note(reads, anchor);
    key_note(reads, table, hash);
}

void ae_reads_settle(ae_reads *reads, uint32_t anchor)
{
    AE_ASSERT(reads->loose > 0);
    reads->loose--;
    row_note(reads, anchor);
}

void ae_reads_predicate(ae_reads *reads, const ae_predicate *predicate)
{
    AE_ASSERT(predicate->table < AE_TABLES_MAX && predicate->match != NULL);
    if (reads->predicate_count == reads->predicate_capacity &&
        reads->predicate_count < READ_PREDICATES_MAX) {
        const uint32_t capacity = reads->predicate_capacity == 0 ? 8
                                                                 : 2 * reads->predicate_capacity;
        ae_predicate *more = realloc(reads->predicates, capacity * sizeof *more);
        if (more != NULL) {
            reads->predicates = more;
            reads->predicate_capacity = capacity;
        }
    }
    if ((reads->whole >> predicate->table & 1u) != 0 ||
        reads->predicate_count == reads->predicate_capacity) {
        ae_reads_table(reads, predicate->table);
        predicate->release(predicate->context);
        return;
    }
    reads->predicates[reads->predicate_count++] = *predicate;
}

void ae_reads_clear(ae_reads *reads)
{
    while (reads->predicate_count > 0) {
        const ae_predicate *predicate = &reads->predicates[--reads->predicate_count];
        predicate->release(predicate->context);
    }
    if (reads->key_capacity > READ_KEYS_KEPT) {
        free(reads->keys);
        reads->keys = NULL;
        reads->key_capacity = 0;
    } else if (reads->key_count > 0) {
        memset(reads->keys, 0, reads->key_capacity * sizeof *reads->keys);
    }
    AE_ASSERT(reads->predicate_count == 0);
    reads->key_count = 0;
    reads->whole = 0;
    reads->loose = 0;
    reads->row_count = 0;
}

void ae_reads_free(ae_reads *reads)
{
    ae_reads_clear(reads);
    free(reads->keys);
    free(reads->predicates);
    memset(reads, 0, sizeof *reads);
}

int32_t ae_reads_hit(const ae_reads *reads, uint32_t table, uint64_t key_hash, const void *before,
                     const char *before_base, const void *after, const char *after_base)
{
    AE_ASSERT(table < AE_TABLES_MAX && (before != NULL || after != NULL));
    if ((reads->whole >> table & 1u) != 0)
        return AERO_CONFLICT_PREDICATE;
    if (reads->key_count > 0) {
        const uint64_t key = read_key(table, key_hash);
        if (reads->keys[place_of(reads, key)] == key)
            return AERO_CONFLICT_READ;
    }
    for (uint32_t index = 0; index < reads->predicate_count; index++) {
        const ae_predicate *predicate = &reads->predicates[index];
        if (predicate->table == table &&
            ((before != NULL && predicate->match(predicate->context, before, before_base)) ||
             (after != NULL && predicate->match(predicate->context, after, after_base))))
            return AERO_CONFLICT_PREDICATE;
    }
    return AERO_CONFLICT_NONE;
}
