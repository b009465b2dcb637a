/* aerostore.h — the C API of an Aerostore package: what Tcl, Python (cffi) and C programs call.
 *
 * Handles.  An aero_db is one attached database; it may be used from several threads.  An
 * aero_session is one thread's way into it: it carries the open transaction, the text of the last
 * error and scratch memory, and only the thread that opened it may use it (AERO_STALE otherwise).
 * After fork() the child may use both as they are; it starts without a transaction, and one that
 * the parent had open answers AERO_STALE once, then the session is clean.
 *
 * Errors.  Functions that can fail return AERO_OK (0) or a code of errors.def.  Calls on a session
 * leave the text in aero_session_error(); aero_open leaves it in the caller's aero_error.
 *
 * Transactions.  Outside aero_begin/aero_commit every call is its own transaction, retried inside
 * on conflicts.  Inside, calls see the transaction's own writes and a conflict is AERO_CONFLICT.
 *
 * Memory.  Unless a comment says otherwise, pointers handed out (text values, rows, batches, error
 * text) belong to the session or cursor and live until the next call on it.  Pointers handed in
 * are only read, and only during the call.
 *
 * This header is read by cffi too: typedefs, enums, structs, prototypes and integer macros only,
 * preprocessor lines begin in column one and each macro is one line.
 */
#ifndef AEROSTORE_H
#define AEROSTORE_H

#include <stddef.h>
#include <stdint.h>

/* The library is compiled with hidden symbols; what this header declares is what it exports. */
#pragma GCC visibility push(default)

#define AERO_OK 0
#define AERO_ABI 1
#define AERO_ERROR_TEXT_MAX 1024
#define AERO_INDEX_COLUMNS 16

typedef int32_t aero_status;

enum aero_code {
    AERO_NO_ERROR = 0,
#define AERO_ERROR(name, number, retryable, python_class, sentence) AERO_##name = number,
#include "aerostore/errors.def"
#undef AERO_ERROR
    AERO_CODE_MAX = 999
};

/* One row of errors.def, for doors that map codes to names. */
typedef struct aero_error_info {
    int32_t code;
    int32_t retryable;
    const char *name;         /* "CONFLICT" */
    const char *python_class; /* "SerializationFailure" */
    const char *sentence;
} aero_error_info;

typedef struct aero_error {
    int32_t code;
    int32_t retryable;
    int64_t line;    /* 1-based line of a TSV input, 0-based byte of a query text, else -1 */
    int64_t column;  /* 1-based column of a TSV line, else -1 */
    int32_t aborted; /* 1: the open transaction can only be rolled back now */
    int32_t reason;  /* enum aero_conflict when code is AERO_CONFLICT */
    char table[64];  /* table and column concerned, or "" */
    char field[64];
    char text[1024]; /* a sentence, UTF-8, always NUL-terminated */
    /* Of EXISTS, those whose values must be unique together: the key's, or a unique index's, whose
     * name is their names with commas between; `field` is the first of them. */
    uint32_t column_count;
    uint32_t columns[AERO_INDEX_COLUMNS];
    int32_t _reserved;
} aero_error;

/* Why a transaction was aborted; each is counted in the statistics. */
enum aero_conflict {
    AERO_CONFLICT_NONE = 0,
    AERO_CONFLICT_WRITE = 1,     /* another transaction updated the row first */
    AERO_CONFLICT_READ = 2,      /* a row that was read has changed */
    AERO_CONFLICT_PREDICATE = 3, /* a row entered or left a range or filter that was read */
    AERO_CONFLICT_STALLED = 4,   /* stopped between entering the commit queue and deciding */
    AERO_CONFLICT_WINDOW = 5,    /* the snapshot is older than the commit queue remembers */
    AERO_CONFLICT_CANCELLED = 6,
    AERO_CONFLICT_LOCK = 7 /* the row is locked by another transaction */
};

enum aero_isolation {
    AERO_ISOLATION_SERIALIZABLE = 0,
    AERO_ISOLATION_SNAPSHOT = 1,
    AERO_ISOLATION_READ_ONLY = 2 /* a consistent snapshot; writes are AERO_READ_ONLY errors */
};

/* ---- values --------------------------------------------------------------------------------- */

/* The type of a value in flight; a column's storage type is its aero_kind (descriptor.h). */
enum aero_type {
    AERO_TYPE_NULL = 0,
    AERO_TYPE_BOOL = 1,     /* u.integer is 0 or 1 */
    AERO_TYPE_INT = 2,      /* u.integer */
    AERO_TYPE_UINT = 3,     /* u.natural; only for values above INT64_MAX or of unsigned columns */
    AERO_TYPE_DOUBLE = 4,   /* u.real; never NaN or infinite in a row */
    AERO_TYPE_TEXT = 5,     /* u.data, length bytes of UTF-8, may hold NUL, not NUL-terminated */
    AERO_TYPE_BYTES = 6,    /* u.data, length bytes */
    AERO_TYPE_TIME = 7,     /* u.integer: microseconds since 1970-01-01 UTC */
    AERO_TYPE_PARAMETER = 8 /* only in clauses of a query: u.natural, see aero_query_bind */
};

typedef struct aero_value {
    int32_t type;    /* enum aero_type */
    uint32_t length; /* of TEXT and BYTES, in bytes */
    union {
        int64_t integer;
        uint64_t natural;
        double real;
        const char *data;
    } u;
} aero_value;

/* ---- opaque handles ------------------------------------------------------------------------- */

typedef struct aero_db aero_db;
typedef struct aero_session aero_session;
typedef struct aero_query aero_query;
typedef struct aero_cursor aero_cursor;
typedef struct aero_ingest aero_ingest;
typedef struct aero_row aero_row;
struct aero_schema; /* descriptor.h */

/* ---- library -------------------------------------------------------------------------------- */

/* AERO_ABI of the library; doors compare it before anything else. */
int32_t aero_abi(void);
/* The compiled-in schema (descriptor.h), constant. */
const struct aero_schema *aero_schema(void);
/* Information on a code, or NULL.  aero_error_at walks errors.def by index, NULL at its end. */
const aero_error_info *aero_error_lookup(int32_t code);
const aero_error_info *aero_error_at(uint32_t index);
/* Text of a conflict reason: "write", "read", … */
const char *aero_conflict_name(int32_t reason);

/* ---- databases and sessions ----------------------------------------------------------------- */

enum aero_recovery_phase {
    AERO_RECOVERY_CHECKPOINT = 1, /* its rows are read */
    AERO_RECOVERY_LOG = 2,        /* commits after it are */
    AERO_RECOVERY_INDEXES = 3     /* all is read; the ordered indexes are made */
};
/* How far a recovery is, in bytes of its files.  Called in the thread that opens, at the beginning,
 * before the indexes, at the end, and between these at most every 100 ms; `done` never shrinks and
 * ends at `all`.  Not called when there is nothing to recover.  Non-zero ends the opening with
 * INTERRUPTED; no file is changed. */
typedef int32_t (*aero_recovering)(void *context, int32_t phase, uint64_t done, uint64_t all);

typedef struct aero_open_options {
    const char *data_dir; /* made if missing; names the store */
    const char *profile;  /* "shared" (default when NULL), "embedded", "logical" */
    const char *memory;   /* "shared", "private", or NULL for the profile's */
    const char *shm_path; /* NULL: $AEROSTORE_SHM_PATH, else a name from data_dir on /dev/shm */
    uint64_t size; /* most bytes the segment may grow to; 0: 1 GiB, or what the segment has */
    aero_recovering progress; /* may be NULL */
    void *progress_context;
    int32_t must_exist; /* 1: where there is no database none is made, and NOT_FOUND the answer */
    int32_t _reserved;
} aero_open_options;

/* Create or attach.  Errors: USAGE, NOT_FOUND, IO, PERMISSION, MISMATCH, CORRUPT, FULL, NO_MEMORY,
 * INTERRUPTED. */
aero_status aero_open(const aero_open_options *options, aero_db **db, aero_error *error);
/* Close: USAGE while sessions are open.  The segment stays for others. */
aero_status aero_close(aero_db *db, aero_error *error);
/* "warm" when an existing segment was attached, "cold" when one was made. */
const char *aero_boot(const aero_db *db);
/* Absolute path of the data directory. */
const char *aero_data_dir(const aero_db *db);
/* How many dead processes' transactions the attach cleared away. */
uint32_t aero_orphans_cleared(const aero_db *db);

/* Open a session for the calling thread.  Errors: STALE, LIMIT, NO_MEMORY. */
aero_status aero_session_open(aero_db *db, aero_session **session, aero_error *error);
/* Rolls back an open transaction; cursors of the session must be closed before (they are
 * closed). */
void aero_session_close(aero_session *session);
/* Called in the session's thread while a call of it waits for other transactions or tries again, at
 * most every 50 ms.  Non-zero ends the call with INTERRUPTED: outside a transaction nothing of it
 * is done, inside one the transaction is as it was before the call.  The hook cannot use the
 * session: calls answer USAGE, closing it does nothing.  NULL: no hook.  Waits for the disk are not
 * ended.  What `waits` points to lives as long as the session and is not 0 while the hook runs. */
typedef int32_t (*aero_waiting)(void *context);
aero_status aero_session_waiting(aero_session *session, aero_waiting waiting, void *context,
                                 const int32_t **waits);
/* The last error of the session; valid until its next failing call. */
const aero_error *aero_session_error(const aero_session *session);

/* Settings; keys as in the contract ("aerostore.synchronous_commit" …), values as text.
 * NAME for an unknown key, TYPE for a value that does not fit; nothing changes then. */
aero_status aero_config_set(aero_session *session, const char *key, const char *value);
aero_status aero_config_get(aero_session *session, const char *key, const char **value);
/* The i-th key, or NULL. */
const char *aero_config_key(uint32_t index);

/* Statistics, a flat list of name and value.  `table` is -1, or the index of the table that a
 * figure is about.  `item` is -1, or which element of a list: the name is then "list.field".  The
 * names and what they mean are in docs/statistics.md.
 *
 * Cheap enough to be asked for at any time: what would need a walk is counted as it changes (rows,
 * bytes of pools, commits, syncs), or sampled (entries and bytes of indexes: mostly within a
 * third).  Each number is read in one piece, but not all of them at the same instant.  The
 * session's open transaction has no part in it: rows are those that are committed. */
typedef struct aero_stat {
    const char *name; /* a constant of the library */
    int32_t table;
    int32_t item;
    aero_value value;
} aero_stat;
/* The list belongs to the session and lives until its next call.  Errors: STALE, NO_MEMORY. */
aero_status aero_stats(aero_session *session, const aero_stat **stats, uint32_t *count);

/* Walk every structure of the segment and account for every block.  CORRUPT with the first
 * contradiction that lasts.  Meant for a quiet database; concurrent writers are waited out, not
 * stopped: after two seconds and more in which they left no moment's peace, TIMEOUT. */
aero_status aero_verify(aero_session *session, uint64_t *rows, uint64_t *blocks);

/* ---- files ---------------------------------------------------------------------------------- */

typedef struct aero_checkpoint_report {
    uint64_t rows;
    uint64_t bytes;
    uint64_t number; /* commits up to this one are in it */
    double elapsed_ms;
} aero_checkpoint_report;

/* Write all rows to a new checkpoint, online, and cut the log.  Errors: USAGE in a transaction, IO,
 * FULL when the disk is, TIMEOUT when another process has been at it for a minute. */
aero_status aero_checkpoint(aero_session *session, aero_checkpoint_report *report);

/* Make a store of its own in the directory `target` (made, or empty) of what is there now, online.
 * Errors: USAGE in a transaction or when the directory is not empty, IO, FULL. */
aero_status aero_backup(aero_session *session, const char *target, aero_checkpoint_report *report);

/* What came out of a store's files. */
typedef struct aero_files_report {
    uint64_t rows;      /* of all tables */
    uint64_t commits;   /* of the log after the checkpoint */
    uint64_t number;    /* the last commit */
    uint64_t lsn;       /* where the log ends */
    uint64_t cut_bytes; /* of a torn tail, never acknowledged as durable */
    uint64_t damage;    /* repair: 1 when acknowledged commits may have been left out */
    double elapsed_ms;
} aero_files_report;

/* Stores that need not be open; of the options only data_dir, size (of private memory, 0: as much
 * as it takes) and progress count.  Errors: NOT_FOUND without a store, CORRUPT and MISMATCH as
 * recovery, INTERRUPTED. */
/* Read all files as recovery would, and walk what comes out of them.  Nothing is changed. */
aero_status aero_files_verify(const aero_open_options *options, aero_files_report *report,
                              aero_error *error);
/* Make a damaged store usable with what is good of it.  Its files are moved into a new directory
 * inside, whose path is put into `aside`.  USAGE while it is in use. */
aero_status aero_files_repair(const aero_open_options *options, char *aside, size_t aside_size,
                              aero_files_report *report, aero_error *error);
/* Make a store in `target` (made, or empty) as of a commit number (UINT64_MAX: the last) and a time
 * (microseconds since 1970, INT64_MAX: now); the report's number is the last commit taken, which is
 * the store's last for what lies after it.  NOT_FOUND when that is older than what is kept. */
aero_status aero_files_restore(const aero_open_options *options, const char *target,
                               uint64_t number, int64_t time_us, aero_files_report *report,
                               aero_error *error);

/* Keep a database that is in memory: flush what asynchronous commits leave, take checkpoints when
 * they are due, and return when nobody else uses it.  What the program aerostored does; `detach`:
 * go on in a child that belongs to nobody, while this process ends.  *outcome: 0 done, 1 failed
 * (with the error), 3 another one is at work, 4 directory or segment gone, 5 replaced. */
aero_status aero_keep(const aero_open_options *options, int32_t detach, int32_t *outcome,
                      aero_error *error);

/* ---- transactions --------------------------------------------------------------------------- */

/* Begin a transaction (enum aero_isolation).  Errors: USAGE inside one, NO_SLOT, INTERRUPTED by the
 * hook of aero_session_waiting. */
aero_status aero_begin(aero_session *session, int32_t isolation);
/* CONFLICT: rolled back already.  So it is with every other error, IO and FULL of the log included,
 * but for NOT_DURABLE: the transaction is committed and everybody sees it, but writing the log
 * failed just then, and it is not known to be on the disk.  When the disk was full, it is written
 * as soon as there is room.  Otherwise the log is poisoned: what follows is refused with IO, and
 * reads go on, until the database is opened anew; then it holds every commit that was acknowledged,
 * and may hold this one.  Calls outside a transaction answer the same. */
aero_status aero_commit(aero_session *session);
/* Rolls back; AERO_OK also when the transaction was aborted before. */
aero_status aero_rollback(aero_session *session);
/* 0 outside a transaction, else 1 + the number of savepoints open. */
int32_t aero_depth(const aero_session *session);
/* Savepoints nest; a name may be used again and then hides the older one. */
aero_status aero_savepoint(aero_session *session, const char *name, size_t name_length);
aero_status aero_rollback_to(aero_session *session, const char *name, size_t name_length);
aero_status aero_release(aero_session *session, const char *name, size_t name_length);

/* ---- rows ----------------------------------------------------------------------------------- */
/* `table` and `columns` are indexes into aero_schema().  Values are converted to the columns'
 * types: TEXT is parsed as in TSV (but an empty text is an empty text), numbers are range-checked.
 * `found`, `inserted`, `deleted` and `result` may be NULL; other pointers that are missing are
 * USAGE.
 * Errors: TYPE, NULL_VALUE, LENGTH, CONFLICT (in a transaction), FULL, LIMIT, NO_SLOT. */

/* Read columns of the row with this key.  *found is 0 or 1; values are left alone when 0. */
aero_status aero_get(aero_session *session, uint32_t table, const aero_value *key, uint32_t count,
                     const uint32_t *columns, aero_value *values, int32_t *found);
/* The whole row as a private image: the generated struct of the table with `base` 0, or NULL when
 * there is none.  Lives until the session's next call. */
aero_status aero_get_row(aero_session *session, uint32_t table, const aero_value *key,
                         const void **row);
aero_status aero_exists(aero_session *session, uint32_t table, const aero_value *key,
                        int32_t *found);

/* Insert a row, EXISTS if its key is there.  The key must be among the columns; missing columns
 * take their default, or NULL, or NULL_VALUE is the error. */
aero_status aero_insert(aero_session *session, uint32_t table, uint32_t count,
                        const uint32_t *columns, const aero_value *values);
/* Insert, or change just the given columns of the row that is there. *inserted is 0 or 1. */
aero_status aero_upsert(aero_session *session, uint32_t table, uint32_t count,
                        const uint32_t *columns, const aero_value *values, int32_t *inserted);
/* Insert, or replace the whole row (missing columns fall back to default or NULL). */
aero_status aero_replace(aero_session *session, uint32_t table, uint32_t count,
                         const uint32_t *columns, const aero_value *values, int32_t *inserted);
/* Change columns of the row with this key; *found is 0 when there is none.  The key cannot
 * change. */
aero_status aero_update(aero_session *session, uint32_t table, const aero_value *key,
                        uint32_t count, const uint32_t *columns, const aero_value *values,
                        int32_t *found);
/* Add to a numeric column; TYPE on overflow.  *result is the new value.  A NULL counts as 0. */
aero_status aero_incr(aero_session *session, uint32_t table, const aero_value *key, uint32_t column,
                      const aero_value *delta, aero_value *result, int32_t *found);
aero_status aero_delete(aero_session *session, uint32_t table, const aero_value *key,
                        int32_t *found);
/* Lock a row until the open transaction ends; *found is 0, and nothing is locked, when there is no
 * such row.  Other writers of the row wait, each at most aerostore.lock_timeout_ms; readers do not
 * notice.  As the first statement of a transaction it waits, too, and the transaction then sees the
 * row as its last writer left it, and can write it without a conflict.  (Almost: who writes without
 * locking, and was already past the look at the lock when it was taken, may come first once; then
 * the write answers CONFLICT as any other may.  Among those who lock the row there is none.)  Later
 * in a transaction it waits for younger transactions only, so that nobody waits in a circle.  The
 * lock dies with its process.  Errors: USAGE outside a transaction, READ_ONLY, CONFLICT (reason
 * LOCK or WRITE). */
aero_status aero_lock_row(aero_session *session, uint32_t table, const aero_value *key,
                          int32_t *found);
/* Delete every row, in one transaction. */
aero_status aero_reset(aero_session *session, uint32_t table, uint64_t *deleted);
/* ---- time to live --------------------------------------------------------------------------- */
/* A row with a time to live is deleted when that is over: never early, and within two intervals of
 * sweeping (aerostore.ttl_sweep_interval_ms; at least 1/64 of the time to live when it counts from
 * the last write).  Watches tell of it as `expire`.  What is set here holds for all processes until
 * the segment is made anew from its files; then the schema's declaration holds again. */

/* *ttl_us: microseconds, 0 for ever; *column: of the Timestamp it counts from, -1: the last
 * write. */
aero_status aero_ttl_get(aero_session *session, uint32_t table, int64_t *ttl_us, int32_t *column);
/* Errors: TYPE for a time that is no such time or a column that is no Timestamp, NAME. */
aero_status aero_ttl_set(aero_session *session, uint32_t table, int64_t ttl_us, int32_t column);
/* Delete what is due now, of one table or (-1) of all.  Errors: USAGE in a transaction. */
aero_status aero_ttl_sweep(aero_session *session, int32_t table, uint64_t *expired);

/* Rows visible now.  Exact: counted under a snapshot. */
aero_status aero_count(aero_session *session, uint32_t table, uint64_t *count);

/* Convert a value to a column's type, without storing it: what a write would store. */
aero_status aero_convert(aero_session *session, uint32_t table, uint32_t column,
                         const aero_value *value, aero_value *converted);
/* The text of a value of this column, as in TSV but unescaped.  Not NUL-terminated; lives until the
 * session's next call. */
aero_status aero_format(aero_session *session, uint32_t table, uint32_t column,
                        const aero_value *value, const char **text, size_t *length);

/* ---- ordered indexes ------------------------------------------------------------------------ */
/* Searches use them by themselves.  Those that the schema declares are there from the beginning;
 * others are made and dropped while the table is in use by any number of processes.  They are not
 * kept when the segment is made anew. */

typedef struct aero_index_info {
    const char *name; /* its columns' names, with commas between; lives as long as the handle */
    uint32_t column_count;
    int32_t unique;
    uint32_t columns[AERO_INDEX_COLUMNS];
    uint64_t entries;  /* about: one a row, and some that older snapshots need */
    uint64_t distinct; /* different keys, about */
} aero_index_info;

/* Make an index.  Errors: USAGE in a transaction or for wrong columns; EXISTS when there is one
 * over these columns, or, of a unique one, when two rows have one value; CONFLICT, FULL, LIMIT. */
aero_status aero_index_create(aero_session *session, uint32_t table, uint32_t count,
                              const uint32_t *columns, int32_t unique);
/* Take one down.  Errors: USAGE in a transaction, NOT_FOUND. */
aero_status aero_index_drop(aero_session *session, uint32_t table, uint32_t count,
                            const uint32_t *columns);
/* The first `max` indexes that searches can use now; *count is how many there are. */
aero_status aero_index_list(aero_session *session, uint32_t table, uint32_t max,
                            aero_index_info *infos, uint32_t *count);
/* Least and greatest value of the index's first column that are not null; *found is 0 when there
 * is none.  Texts live until the session's next call.  Errors: NOT_FOUND. */
aero_status aero_index_span(aero_session *session, uint32_t table, uint32_t count,
                            const uint32_t *columns, aero_value *low, aero_value *high,
                            int32_t *found);

/* ---- queries -------------------------------------------------------------------------------- */

enum aero_operator {
    AERO_OP_EQ = 1,
    AERO_OP_NE = 2,
    AERO_OP_LT = 3,
    AERO_OP_LE = 4,
    AERO_OP_GT = 5,
    AERO_OP_GE = 6,
    AERO_OP_IN = 7,
    AERO_OP_RANGE = 8, /* two values: low <= x < high */
    AERO_OP_NULL = 9,
    AERO_OP_NOTNULL = 10,
    AERO_OP_TRUE = 11,
    AERO_OP_FALSE = 12,
    AERO_OP_MATCH = 13, /* case-insensitive glob: * ? [a-z] \x */
    AERO_OP_NOTMATCH = 14,
    AERO_OP_MATCH_CASE = 15,
    AERO_OP_NOTMATCH_CASE = 16
};

/* A query is built once, privately; it may be run many times, by the session that made it. */
aero_status aero_query_new(aero_session *session, uint32_t table, aero_query **query);
void aero_query_free(aero_query *query);
/* Add the clauses of a STAPI -compare text (a Tcl list of clauses, or one bare clause).  PARSE
 * errors carry the position in `line`. */
aero_status aero_query_compare(aero_query *query, const char *text, size_t length);
/* Add one clause by values; they are converted to the column's type now. */
aero_status aero_query_clause(aero_query *query, int32_t op, uint32_t column, uint32_t count,
                              const aero_value *values);
/* Add a glob on the key (-glob). */
aero_status aero_query_glob(aero_query *query, const char *pattern, size_t length);
/* Append a sort column. */
aero_status aero_query_sort(aero_query *query, uint32_t column, int32_t descending);
/* limit < 0: none. */
aero_status aero_query_limit(aero_query *query, int64_t limit, int64_t offset);
/* A value of a clause may be a parameter (AERO_TYPE_PARAMETER, u.natural is its number, below 256):
 * the search is prepared once and run with many values.  Bind gives it a value, several where `in`
 * has it as its only value.  Other parameters keep theirs; after an error this one may have none,
 * and the search answers USAGE until it has.  A running cursor is USAGE. */
aero_status aero_query_bind(aero_query *query, uint32_t parameter, uint32_t count,
                            const aero_value *values);
/* Ask for a way to the rows: "scan", "key", "index COLUMN", "intersection"; "" leaves it to the
 * planner, which also chooses where there is no such way.  The rows are the same. */
aero_status aero_query_using(aero_query *query, const char *way, size_t length);
/* Number of rows matched, after offset and limit. */
aero_status aero_query_count(aero_query *query, uint64_t *count);
/* The plan as text, for people; with `execute`, actual rows and time too. */
aero_status aero_query_explain(aero_query *query, int32_t execute, const char **text,
                               size_t *length);

/* Open a cursor: one snapshot for all of it, rows sorted, or in no specified order.  It stays valid
 * while the session writes, also to the rows it is looking at; it does not see writes made after it
 * was opened.  Outside a transaction the cursor holds a transaction slot until it is closed or has
 * given its last row.  It ends with its transaction, and at a fork: AERO_STALE.  When its session
 * is closed it lets go of all but its handle, which aero_cursor_close frees; so with queries. */
aero_status aero_cursor_open(aero_query *query, aero_cursor **cursor);
void aero_cursor_close(aero_cursor *cursor);
/* The next row or NULL at the end; the row lives until the next call on the cursor. */
aero_status aero_cursor_next(aero_cursor *cursor, const aero_row **row);
/* The row of aero_cursor_next is not looked at any more.  Until the next call the cursor keeps no
 * memory but for the rows that it has yet to give, and can be cancelled (see
 * aerostore.transaction_timeout_secs): for a program that does something else in between.  Cheap;
 * aero_cursor_fetch and aero_write_tsv leave the cursor so.  Errors: those of aero_cursor_next. */
aero_status aero_cursor_rest(aero_cursor *cursor);
/* Read columns of the cursor's row.  TEXT points into the row: same lifetime. */
void aero_row_values(const aero_row *row, uint32_t count, const uint32_t *columns,
                     aero_value *values);
/* Number of rows the cursor has handed out. */
uint64_t aero_cursor_rows(const aero_cursor *cursor);

/* Many rows at once, by column.  All arrays have `rows` entries and live until the next call. */
typedef struct aero_column_data {
    int32_t type;            /* enum aero_type: which of the arrays is set */
    int32_t null_count;      /* number of NULLs; their entries hold 0 or an empty text */
    const uint8_t *nulls;    /* 1 byte a row: 1 is NULL; NULL pointer when null_count is 0 */
    const int64_t *integers; /* BOOL, INT, UINT (as two's complement), TIME (microseconds) */
    const double *reals;     /* DOUBLE */
    const char *text;        /* TEXT, BYTES: all values, each followed by one NUL byte */
    const uint32_t *offsets; /* rows + 1 entries; value i is text[offsets[i] .. offsets[i+1]-1) */
    uint64_t text_length;    /* bytes in text, with the NULs between and after */
    int32_t has_nul;         /* 1 when some value itself holds a NUL byte */
    int32_t _reserved;
} aero_column_data;

/* Fetch up to `max_rows` (1..65,536) rows; *rows is 0 at the end.  `data` has `count` entries. */
aero_status aero_cursor_fetch(aero_cursor *cursor, uint32_t max_rows, uint32_t count,
                              const uint32_t *columns, aero_column_data *data, uint32_t *rows);

/* ---- watching ------------------------------------------------------------------------------- */

typedef struct aero_watch aero_watch;

enum aero_watch_start {
    AERO_WATCH_NOW = 0,      /* what commits from now on */
    AERO_WATCH_SNAPSHOT = 1, /* every row that matches, LIVE, then what commits after that */
    AERO_WATCH_POSITION = 2  /* what committed after a position, as long as it is kept: in memory
                                for the place of a watch that died, else in the log's files */
};

enum aero_event_kind {
    AERO_EVENT_NONE = 0, /* nothing is there at present */
    AERO_EVENT_SNAPSHOT = 1,
    AERO_EVENT_LIVE = 2, /* the snapshot is complete */
    AERO_EVENT_INSERT = 3,
    AERO_EVENT_UPDATE = 4,
    AERO_EVENT_DELETE = 5,
    AERO_EVENT_EXPIRE = 6,
    AERO_EVENT_OVERFLOW = 7 /* the watch fell behind: what was committed up to `position` is lost to
                               it, unless it takes a new snapshot (aero_watch_resync) */
};

/* One event.  Row images are private ones (descriptor.h, base 0) and live until the watch's next
 * call; NULL where there was or is no row. */
typedef struct aero_event {
    int32_t kind;      /* enum aero_event_kind */
    int32_t last;      /* 1: the last of its transaction */
    uint64_t position; /* to go on from here: of a transaction told in part, its beginning */
    uint64_t number;   /* commit number; events of one transaction have the same */
    const void *old_row;
    const void *new_row;
    uint64_t changed[16]; /* of an UPDATE: bit c % 64 of word c / 64, the column c changed */
} aero_event;

/* Watch the rows that match a query's conditions, before a change or after it; sorting and limit do
 * not count.  The query cannot change while it is watched.  Events come in commit order, each
 * transaction's rows once, with their state before and after all of it.  `position` counts for
 * AERO_WATCH_POSITION only: what memory no longer keeps is read from the log, back to the newest
 * checkpoint (all of it under the setting aerostore.keep_log), which takes private memory for the
 * table and the time of a recovery.  A watch never holds a writer up: when it falls behind by most
 * of the commit queue, or is stopped that long, it is told OVERFLOW.
 * Errors: USAGE (inside a transaction), LIMIT (64 watches), NOT_FOUND (the position is not kept),
 * NO_SLOT, NO_MEMORY. */
aero_status aero_watch_open(aero_query *query, int32_t start, uint64_t position,
                            aero_watch **watch);
/* A position as a text that also names its store: 16 hexadecimal digits, a hyphen, 20 decimal ones.
 * Texts of one store stand in the order of their positions.  The size counts the NUL. */
#define AERO_POSITION_SIZE 38
aero_status aero_watch_position_text(aero_watch *watch, uint64_t position, char *text, size_t size);
/* Watch what committed after such a position.  Errors: USAGE (the text is none), MISMATCH (it is of
 * another store); else as above. */
aero_status aero_watch_open_at(aero_query *query, const char *position, aero_watch **watch);
void aero_watch_close(aero_watch *watch);
/* The next event without waiting; kind NONE when there is none yet. */
aero_status aero_watch_next(aero_watch *watch, aero_event *event);
/* Wait until there may be an event, at most so long; *ready is 0 when the time was over. */
aero_status aero_watch_wait(aero_watch *watch, int64_t timeout_us, int32_t *ready);
/* Columns of an image of the last event. */
aero_status aero_watch_values(aero_watch *watch, const void *image, uint32_t count,
                              const uint32_t *columns, aero_value *values);
/* Begin again with a snapshot, for instance after an OVERFLOW: its rows, LIVE, then changes. */
aero_status aero_watch_resync(aero_watch *watch);
/* A descriptor that becomes readable when there may be an event, for event loops; it belongs to the
 * watch.  After aero_watch_next answered NONE it is armed again. */
aero_status aero_watch_descriptor(aero_watch *watch, int32_t *descriptor);
/* For loops that are woken otherwise: `news` is called when there may be an event, from a thread of
 * the watch, which it must not hold up, and where no function of this library may be called; for
 * the first time at once.  After aero_watch_next answered NONE it is armed again; it is never
 * called once aero_watch_close has returned.  USAGE when the watch has a descriptor or a hook. */
typedef void aero_watch_news(void *context);
aero_status aero_watch_hook(aero_watch *watch, aero_watch_news *news, void *context);

/* ---- TSV in and out ------------------------------------------------------------------------- */

typedef struct aero_ingest_report {
    uint64_t rows_seen;
    uint64_t inserted;
    uint64_t updated;
    uint64_t batches;
    uint64_t bytes;
    double elapsed_ms;
} aero_ingest_report;

/* Called after each batch with the report so far and the input's size in bytes (0: unknown);
 * non-zero stops with INTERRUPTED, what is committed stays. */
typedef int32_t (*aero_progress)(void *context, const aero_ingest_report *report,
                                 uint64_t total_bytes);

/* Table-shaped options of reading and writing TSV. */
typedef struct aero_tsv_options {
    uint32_t column_count;   /* 0: all columns in declaration order */
    const uint32_t *columns; /* order of the cells */
    const char *null_text;   /* NULL pointer: "" and \N read as NULL, "" written */
    const char *separator;   /* NULL pointer: a tab */
    const char *key_prefix;  /* reserved, NULL */
    int32_t header;          /* read: skip the first line; write: names first */
    int32_t _reserved;
    uint64_t batch_size;    /* rows a transaction, 0: 1024 */
    aero_progress progress; /* may be NULL */
    void *progress_context;
} aero_tsv_options;

/* Ingest from memory or from a file.  On error the report tells what was committed before; nothing
 * of the failing batch is applied; in a transaction the batches are parts of it. */
aero_status aero_ingest_tsv(aero_session *session, uint32_t table, const char *data, size_t length,
                            const aero_tsv_options *options, aero_ingest_report *report);
aero_status aero_ingest_file(aero_session *session, uint32_t table, const char *path,
                             const aero_tsv_options *options, aero_ingest_report *report);
/* Push form: feed pieces cut anywhere, finish, free.  After an error only free is allowed. */
aero_status aero_ingest_open(aero_session *session, uint32_t table, const aero_tsv_options *options,
                             aero_ingest **ingest);
aero_status aero_ingest_feed(aero_ingest *ingest, const char *data, size_t length);
aero_status aero_ingest_finish(aero_ingest *ingest, aero_ingest_report *report);
void aero_ingest_free(aero_ingest *ingest);

/* Receives pieces of output; non-zero stops with INTERRUPTED. */
typedef int32_t (*aero_writer)(void *context, const char *data, size_t length);
/* Write the cursor's remaining rows as TSV. */
aero_status aero_write_tsv(aero_cursor *cursor, const aero_tsv_options *options, aero_writer writer,
                           void *context, uint64_t *rows);

/* ---- handshake ------------------------------------------------------------------------------ */

/* sizeof of each public struct by name, ended by a NULL name: compared by foreign-function
 * doors. */
typedef struct aero_layout_entry {
    const char *name;
    uint32_t size;
    uint32_t align;
} aero_layout_entry;
const aero_layout_entry *aero_layout(void);

#pragma GCC visibility pop

#endif
