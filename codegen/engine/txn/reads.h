/* reads.h — what a serializable transaction has read: keys and predicates, kept to be validated.
 *
 * A read by key is kept as a hash of table and key; equal hashes of different keys cost an abort
 * for nothing, about once in 2^64.  A scan is kept as its filter, a function over row images: what
 * committed since the snapshot is a conflict if the filter is true of a written row before or after
 * the write, so rows that would have appeared (phantoms) count as well as rows that changed
 * (precision locking: Jordan, Banerjee and Batman, 1981; over version deltas: Neumann, Mühlbauer
 * and Kemper, 2015).
 *
 * Concurrency: belongs to the session's thread.  Nothing of it is in the segment: the dead validate
 * nothing.
 */
#ifndef AE_TXN_READS_H
#define AE_TXN_READS_H

#include <stdbool.h>

#include "aerostore/descriptor.h"
#include "base/error.h"

/* A filter that was searched with.  `match` may be called until `release`. */
typedef struct ae_predicate {
    uint32_t table;
    bool (*match)(void *context, const void *row, const char *base);
    void (*release)(void *context);
    void *context;
} ae_predicate;

/* Rows that are remembered themselves. */
#define AE_READS_ROWS 8u

typedef struct ae_reads {
    uint64_t *keys; /* open addressing; 0 is empty */
    uint32_t key_count;
    uint32_t key_capacity;
    ae_predicate *predicates;
    uint32_t predicate_count;
    uint32_t predicate_capacity;
    uint32_t whole; /* bit per table: all of it was read */
    /* Noted keys that are not known to be those of one of `rows`. */
    uint32_t loose;
    uint32_t row_count;
    uint32_t rows[AE_READS_ROWS]; /* anchors */
} ae_reads;

/* Note a read.  More than memory or a bound allows is kept as "all of the table". */
void ae_reads_key(ae_reads *reads, uint32_t table, uint64_t hash);
/* The same of a key under which a row was found, and its anchor. */
void ae_reads_row(ae_reads *reads, uint32_t table, uint64_t hash, uint32_t anchor);
/* The row of a key that was noted without it. */
void ae_reads_settle(ae_reads *reads, uint32_t anchor);
void ae_reads_predicate(ae_reads *reads, const ae_predicate *predicate);
void ae_reads_table(ae_reads *reads, uint32_t table);
static inline bool ae_reads_any(const ae_reads *reads)
{
    return reads->key_count != 0 || reads->predicate_count != 0 || reads->whole != 0;
}
/* Forget everything; memory is kept for the next transaction unless it is much. */
void ae_reads_clear(ae_reads *reads);
void ae_reads_free(ae_reads *reads);

/* Does a write of a row of `table` bear on what was read?  AERO_CONFLICT_NONE, _READ or
 * _PREDICATE. */
int32_t ae_reads_hit(const ae_reads *reads, uint32_t table, uint64_t key_hash, const void *before,
                     const char *before_base, const void *after, const char *after_base);

#endif
