/* handles.h — what a database handle and a session hold; for the modules of floors 5 to 8.
 *
 * Concurrency: an aero_db is constant after open but for its counters; an aero_session belongs to
 * the thread that opened it.
 */
#ifndef AE_TXN_HANDLES_H
#define AE_TXN_HANDLES_H

#include <pthread.h>

#include "index/catalog.h"
#include "index/hash.h"
#include "txn/queue.h"
#include "txn/reads.h"
#include "txn/session.h"
#include "txn/settings.h"
#include "wal/log.h"

#define AE_FORK_EPOCH_FIRST 1u

struct ae_age_shared;
/* A step of sweeping out rows whose time has come, at most some milliseconds, if it is due.  True:
 * there is more to do at once. */
typedef bool ae_sweep(aero_session *session);

struct ae_durable;

struct aero_db {
    ae_segment segment;
    ae_segment_spec spec; /* what was asked for */
    ae_heap heap;
    ae_proc proc;
    ae_queue queue;
    ae_settings *settings;     /* in the segment */
    struct ae_age_shared *age; /* likewise */
    ae_log log;
    const struct aero_schema *schema;
    ae_hash *hashes;    /* one a table */
    ae_hash_near *near; /* likewise */
    ae_a64 *row_counts; /* in the segment: count.c */
    ae_catalog catalog;
    _Atomic(struct ae_index_name *) index_names; /* of the table module; freed with the handle */
    char *data_dir;
    char *shm_path;
    const char *profile;
    enum ae_profile profile_kind;
    uint32_t orphans_cleared;
    /* Reads 0 in a child of fork() that has not used the handle yet. */
    _Atomic uint64_t *fork_guard;
    ae_a64 fork_epoch; /* moves in each generation of children */
    ae_a32 sessions;
    ae_a32 synchronous_commit;
    ae_a64 escalate_after;      /* conflicts on a row until its writers queue; 0: never */
    ae_a64 lock_timeout_ms;     /* longest wait for a locked row */
    struct ae_durable *durable; /* the files' side (floor 7) */
    /* See that what is in memory only gets to the disk, and that a due checkpoint is taken: called
     * when settings->look_due_ns has passed.  NULL: nobody does that here. */
    void (*keep)(aero_session *session);
    ae_sweep *sweep; /* NULL: nobody does that here */
};

/* A name of an index that was asked for: it lives as long as the handle. */
typedef struct ae_index_name {
    struct ae_index_name *next;
    char text[];
} ae_index_name;

typedef struct ae_savepoint {
    char *name;
    size_t name_length;
    uint32_t intent_count;
} ae_savepoint;

typedef struct ae_txn {
    bool open;      /* a transaction is running (explicit, or of one statement) */
    bool explicit;  /* the user began it */
    bool doomed;    /* can only be rolled back */
    bool cancelled; /* because it was open too long */
    uint32_t awake; /* calls and cursors at work; 0: the slot says that we rest */
    int32_t isolation;
    uint32_t slot;
    uint64_t generation;
    uint64_t snapshot;
    uint32_t intent_count;
    uint32_t chunk_count;  /* of intents, beyond the inline ones */
    uint32_t tree_retired; /* the slot's count of tree nodes when they were last asked for */
    ae_savepoint *savepoints;
    uint32_t savepoint_count;
    uint32_t savepoint_capacity;
    ae_own_reader *readers;
    bool fresh;          /* nothing was read or written yet: the snapshot may still be renewed */
    bool logged;         /* its record may be in the slot's ring */
    int32_t synchronous; /* waits for the disk at commit: 1, 0, or -1 as the database is set */
    bool tracks;         /* reads are noted, to be validated at commit */
    ae_reads reads;
} ae_txn;

/* A row that the session's writes met conflicts on, and the latches it holds (latch.h). */
typedef struct ae_hot {
    uint32_t table;
    uint32_t tag;
    ae_ref anchor;
    uint32_t conflicts; /* in a row */
    uint32_t heat;      /* writes for which the row's queue is still used; 0: the row is not hot */
    bool retry;         /* the last transaction failed on it: queue before the next one looks */
} ae_hot;

struct aero_session {
    uint64_t magic;
    aero_db *db;
    pthread_t thread;
    uint64_t fork_epoch;
    uint32_t member;
    uint32_t slot_hint;
    uint64_t horizon;       /* last seen; may lag */
    uint64_t in_use;        /* likewise, of blocks (ae_snapshots) */
    ae_snapshots snapshots; /* what is needed beyond the horizon; recent 0: it does not lag */
    uint32_t reclaim_debt;  /* weight of what was retired since the horizon was computed */
    uint32_t reclaim_waits; /* versions that waited when the horizon was computed ... */
    uint32_t reclaim_freed; /* ... and freed since */
    uint32_t tree_retired;  /* of the slot's count of tree nodes, seen so far */
    bool full;              /* the transaction found the segment full */
    uint32_t ticks;         /* times the clock was moved for what was retired: ae_reclaim_tick */
    uint64_t lag_looked;    /* clock when the holders of a horizon far behind were looked at */
    uint64_t random;        /* xorshift state of back-off jitter */
    ae_txn txn;
    ae_hot hot;
    ae_ref latches[AE_LATCHES_KEPT]; /* anchors whose latch the transaction may hold */
    uint32_t latch_count;
    ae_log_writer log_writer;
    aero_error error;
    aero_waiting waiting; /* see aero_session_waiting; NULL: no hook */
    void *waiting_context;
    uint64_t waiting_ns; /* when it was last called */
    int32_t waits;       /* 1: it runs */
    bool stopped;        /* it said so, and the statement has not ended yet */
    ae_session_child *children;
    /* Scratch for row images: the row, and text of values while a statement runs. */
    void *row;
    void *key_row;
    char *text;
    size_t text_capacity;
    char *key_text;
    size_t key_text_capacity;
    char config_text[64];
    aero_stat *stats;
    uint32_t stats_capacity;
    /* Of the table module: the indexes (by number) whose keys the last write of a single row moved,
     * and its table; keys collected by a statement, and how they are freed. */
    uint64_t moved;
    uint32_t moved_table;
    /* Likewise: where the last scan for few rows found the first one (ae_scan_seek). */
    uint32_t scan_table;
    uint32_t scan_slab;
    struct ae_entry_batch *entry_batch;
    void (*entry_batch_free)(struct ae_entry_batch *batch);
};

#define AE_SESSION_MAGIC 0x4145524f53455353ull

/* Clear, then say why a write found the row taken. */
aero_status ae_conflict(aero_session *session, int32_t reason, const char *table);

#endif
