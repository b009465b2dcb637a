/* settings.h — the settings and the housekeeping words that all processes of a database share.
 *
 * Concurrency: every word is an independent atomic; the constant part is set before the segment is
 * named.
 */
#ifndef AE_TXN_SETTINGS_H
#define AE_TXN_SETTINGS_H

#include "base/atomics.h"

enum ae_profile { AE_PROFILE_SHARED, AE_PROFILE_EMBEDDED, AE_PROFILE_LOGICAL, AE_PROFILES };

/* look_due_ns never lies further ahead than this: two of the longest flush intervals and some. */
#define AE_LOOK_AHEAD_NS 130000000000u

typedef struct ae_settings {
    uint32_t profile; /* constant: enum ae_profile */
    uint32_t _pad0;
    /* Set by any process, read by all. */
    ae_a64 checkpoint_interval_secs; /* 0: no checkpoints by time */
    ae_a64 checkpoint_wal_bytes;     /* 0: none by the size of the log */
    ae_a64 flush_interval_ms;        /* the longest an asynchronous commit stays in memory only */
    ae_a64 keep_log;                 /* 1: older parts of the log are kept, for other times */
    ae_a64 ttl_sweep_interval_ms;    /* between two rounds of sweeping; 0: none by itself */
    uint32_t age;                    /* constant: reference of ae_age_shared (txn/age.h) */
    uint32_t _pad4;
    ae_a64 checkpoint_rest_percent; /* of its time, a checkpoint leaves the processor */
    /* Housekeeping.  The keeper is the process that flushes and takes checkpoints by itself. */
    ae_a64 keeper;                 /* its process's identity, 0 none; CAS by all */
    ae_a64 keeper_due_ns;          /* monotonic: not before that is another one started */
    ae_a64 checkpoint_compression; /* 1: checkpoints and backups are packed */
    ae_a64 checkpoint_ns;     /* monotonic: when the newest was complete, or the database made */
    ae_a64 checkpoint_lsn;    /* where replay after the newest begins */
    ae_a64 checkpoint_number; /* the last commit in it */
    ae_a64 checkpoint_count;  /* taken since the segment was made */
    ae_a64 checkpoint_serial; /* serial number of the newest checkpoint file */
    /* What recovery into this segment found; constant. */
    uint64_t recovered_rows;
    uint64_t recovered_commits;
    uint64_t recovered_cut_bytes;
    uint64_t recovered_us;
    ae_a64 look_due_ns; /* monotonic: who comes later sees to what the keeper has left undone */
    uint64_t _pad2[3];
} ae_settings;
_Static_assert(sizeof(ae_settings) == 192, "three cache lines");

#endif
