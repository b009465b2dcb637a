/* age.h — how old a commit is: which numbers had been given by which time, and rows' time to live.
 *
 * A version carries the number of its commit and no time, so that rows that never expire pay
 * nothing for those that do.  Instead there are marks: "at the time t all commits up to n had been
 * made".  A version that began at or before n was therefore written at t at the latest, and it is
 * old enough when t is long enough ago.  A row never looks older than it is.
 *
 * Marks are made by whoever sweeps, once an interval.  They are kept in levels: each level keeps
 * marks that are four times as far apart as those below it, so that the time of a commit is known
 * to 1/64 of its age, for decades, in 64 KiB.
 *
 *   level 0   | 10 ms apart |  256 marks: the last 2.5 s
 *   level 1   | 40 ms apart |  256 marks: the last 10 s
 *   …
 *
 * Times are microseconds of a steady clock that begins with the segment at the wall clock's time
 * and goes on with the monotonic one: no jump of the wall clock moves it.  Timestamps that users
 * store are times of the wall clock.  How far that was from the steady one is kept as eras, found
 * by the number of the commit that wrote the row, so that a timestamp counts as the wall clock
 * stood when it was written.  Where two eras are possible the one that lets the row live longer is
 * taken.
 *
 * Invariants
 *   E1  a mark (n, t) is true: every commit with a number <= n was made at or before t
 *   E2  era i is in force for the numbers from first(i) to confirmed(i), at least
 *
 * Concurrency: any process, any time.  Marks and eras are appended: the place is claimed by
 * compare-and-swap, and an entry that was torn by two writers, which takes one that is held up for
 * a whole lap, fails its check and counts as missing.  Progress: wait-free for readers.
 */
#ifndef AE_TXN_AGE_H
#define AE_TXN_AGE_H

#include "txn/handles.h"

#define AE_AGE_LEVELS 16u
#define AE_AGE_MARKS 256u
#define AE_AGE_LEAST_US 10000
#define AE_AGE_ERAS 16u
/* The wall clock may drift so far from an era before there is a new one: corrections of a
 * network's time stay below it. */
#define AE_AGE_DRIFT_US 20000

typedef struct ae_age_mark {
    ae_a64 number; /* and above its 51 bits a check of both words */
    ae_a64 time;
} ae_age_mark;

typedef struct ae_age_level {
    ae_a64 next; /* marks made; the place is this modulo their number.  CAS by all */
    ae_a64 last; /* time of the newest */
    ae_age_mark marks[AE_AGE_MARKS];
} ae_age_level;

typedef struct ae_age_era {
    ae_a64 first;     /* in force from this number on */
    ae_a64 confirmed; /* and up to this one, at least; raised by all */
    ae_a64 offset;    /* wall clock less steady clock, as a signed number */
    ae_a64 order;     /* which era this is, counted from 1, and a check; 0 while it is written */
} ae_age_era;

typedef struct ae_age_shared {
    int64_t wall_us;  /* constant: the wall clock when the segment was made */
    uint64_t mono_ns; /* constant: the monotonic clock then */
    ae_a64 era_count; /* CAS by all */
    ae_a64 expired;   /* rows deleted because their time had come, for statistics */
    ae_a64 due_ns;    /* monotonic: the next round of sweeping */
    ae_a64 place;     /* where the round stands (ttl/sweep.c).  CAS by all */
    ae_a64 rounds;    /* completed, for statistics */
    uint64_t _pad;
    ae_a64 ttl[AE_TABLES_MAX]; /* column + 1 << 52 | microseconds; 0: rows live for ever */
    ae_age_era eras[AE_AGE_ERAS];
    ae_age_level levels[AE_AGE_LEVELS];
} ae_age_shared;

#define AE_AGE_PLACE_IDLE UINT64_MAX

/* In a new segment, with the schema's times to live. */
aero_status ae_age_create(ae_segment *segment, const struct aero_schema *schema, ae_ref *root,
                          aero_error *error);

/* ---- clocks --------------------------------------------------------------------------------- */

/* The steady clock. */
int64_t ae_age_now(const aero_db *db);
/* Make a mark: what has been committed until now, was by now.  Looks at the wall clock, too. */
void ae_age_mark_now(aero_db *db);
/* For recovery: what has been committed until now was written by `wall_us`, or now if that lies
 * ahead. */
void ae_age_mark_at(aero_db *db, int64_t wall_us);
/* The greatest number that had been given by a time; 0 when it is not known. */
uint64_t ae_age_number(const aero_db *db, int64_t time_us);
/* When does a timestamp that the commit `number` wrote come, on the steady clock?  The latest
 * possible time. */
int64_t ae_age_steady(const aero_db *db, uint64_t number, int64_t wall_us);
/* For tests: the same with clocks of the caller's. */
void ae_age_note(aero_db *db, uint64_t number, int64_t steady_us);
void ae_age_note_wall(aero_db *db, uint64_t number, int64_t offset_us);

/* ---- times to live -------------------------------------------------------------------------- */

typedef struct ae_ttl {
    int64_t us;     /* 0: none */
    int32_t column; /* of the timestamp from which it counts; -1: the time of the last write */
} ae_ttl;

ae_ttl ae_ttl_get(const aero_db *db, uint32_t table);
void ae_ttl_set(aero_db *db, uint32_t table, ae_ttl ttl);
/* Is there a table whose rows expire, and somebody to sweep it by itself? */
bool ae_ttl_active(const aero_db *db);

#endif
