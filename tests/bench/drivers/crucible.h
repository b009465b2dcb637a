/* crucible.h — what the peers of the Crucible share: sizes, the board in shared memory, and what
 * each of them has to be able to do.
 *
 * Concurrency: the board's `stamp` is everybody's; a worker's line is written by that worker alone.
 */
#ifndef BENCH_CRUCIBLE_H
#define BENCH_CRUCIBLE_H

#include <stdatomic.h>

#include "driver.h"

enum {
    ROWS = 50000,
    HOT_ROWS = 256,   /* the first ones */
    HOT_EVERY = 20,   /* one upsert of so many picks a hot row */
    UPSERTS = 80,     /* a turn of a worker: so many upserts ... */
    SCANS = 20,       /* ... then so many scans */
    SCAN_ROWS = 64,   /* a scan takes so many rows ... */
    SCAN_BACK = 4096, /* ... stamped less than so long ago */
    DIGITS = 32,
    ROW_KEY = 8,
    WORKERS_MAX = 64,
    /* Times in nanoseconds fall into buckets 1/16 of a power of two wide: 4 % apart at most. */
    FINE = 16,
    BUCKETS = 40 * FINE
};

enum kind { KIND_UPSERT, KIND_SCAN, KIND_COUNT };

typedef struct worker_line {
    _Alignas(64) _Atomic uint64_t done;
    _Atomic uint64_t upserts; /* from the very first, warming up included */
    _Atomic uint64_t conflicts;
    uint64_t short_scans;
    uint64_t cpu_ns; /* spent while it counted */
    uint64_t spent[KIND_COUNT][BUCKETS];
} worker_line;

typedef struct board {
    _Alignas(64) _Atomic int64_t stamp;
    _Alignas(64) _Atomic uint32_t ready;
    _Atomic uint32_t state; /* 0 wait, 1 warm up, 2 count, 3 end */
    worker_line of[WORKERS_MAX];
} board;

typedef struct crucible {
    board *shared;
    const char *directory; /* on a disk */
    const char *server;    /* what libpq connects to */
    char segment[4096];
    uint64_t segment_size;
    void *peer;
} crucible;

typedef struct peer {
    const char *name;
    void (*make)(crucible *all);  /* the rows; before the workers are forked */
    void *(*join)(crucible *all); /* in a worker */
    /* Add one to altitude and payload, set event_ts; returns how often it began anew. */
    uint32_t (*upsert)(void *mine, uint32_t row, int64_t stamp);
    /* Ids and stamps of the first SCAN_ROWS rows above a stamp, in order; how many. */
    uint32_t (*scan)(void *mine, int64_t above);
    uint64_t (*total)(crucible *all); /* of all altitudes, at the end */
    uint64_t (*used)(crucible *all);  /* bytes in use; may be NULL */
    void (*end)(crucible *all);
} peer;

static inline void row_key(uint32_t row, char key[ROW_KEY + 1])
{
    key[0] = 'K';
    for (int place = ROW_KEY - 1; place > 0; place--, row /= 10)
        key[place] = (char)('0' + row % 10);
    key[ROW_KEY] = '\0';
}

/* Add one to a number of DIGITS digits. */
static inline void digits_next(char *digits)
{
    for (int place = DIGITS - 1; place >= 0; place--) {
        if (digits[place] != '9') {
            digits[place]++;
            return;
        }
        digits[place] = '0';
    }
}

/* Rows of a scan come in order, and none that was not asked for; their keys are looked at. */
static inline int64_t scan_check(int64_t last, int64_t stamp, const char *id)
{
    uint64_t bytes;
    memcpy(&bytes, id, sizeof bytes);
    if (stamp <= last || (bytes & 0xff) != 'K')
        die("a scan gave %.8s at %" PRId64 " after %" PRId64, id, stamp, last);
    return stamp;
}

#endif
