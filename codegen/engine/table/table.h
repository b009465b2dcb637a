/* table.h — rows by key, scans, and writes under a transaction: what queries, ingest and the API
 * build on.  See README.md of this module for the walk of a write and of a read.
 *
 * Concurrency: every function works on one session and is called by its thread only; sessions of
 * any number of threads and processes may run at once.
 */
#ifndef AE_TABLE_TABLE_H
#define AE_TABLE_TABLE_H

#include <stdbool.h>

#include "aerostore/descriptor.h"
#include "txn/reads.h"
#include "txn/session.h"

/* A visible row where it lies.  `row` and `base` are read through the table's generated functions;
 * they stay valid while the reader that produced them is open. */
typedef struct ae_view {
    const void *row;
    const char *base;
} ae_view;

/* What a statement sees: one snapshot, and the session's own writes made before it was opened. */
typedef struct ae_reader {
    aero_session *session;
    uint64_t snapshot;
    uint64_t
        own; /* mark of the own transaction, with the number of its writes that are seen; or 0 */
    uint64_t epoch;      /* of forks: a reader is worth nothing in a child */
    uint32_t slot;       /* pinned slot, or AE_SLOT_NONE when the transaction or member pins */
    uint64_t generation; /* of the pinned slot */
    bool pins_member;
    bool awake; /* counted among what the transaction has at work, or its slot is not resting */
    bool noted; /* what the next scan reads has been noted, finer than the whole table */
    ae_own_reader watch; /* told when writes that it sees are undone */
} ae_reader;

/* A lasting reader stays where it is in memory until it is closed.
 * Open a reader: in a transaction it shares its snapshot and sees its writes so far (not later
 * ones); outside, it takes a new snapshot.  `lasting` readers (cursors) may live while the session
 * does other things; short ones must be closed before the session's next statement begins.
 * Errors: NO_SLOT, CANCELLED. */
aero_status ae_reader_open(aero_session *session, bool lasting, ae_reader *reader);
void ae_reader_close(ae_reader *reader);
/* STALE when the reader was opened before a fork, or in a transaction that has ended; CANCELLED
 * when it was open too long: look before each use of a lasting reader. */
aero_status ae_reader_check(ae_reader *reader);
/* Until the next check nothing of what a lasting reader found is looked at: it may be cancelled. */
void ae_reader_rest(ae_reader *reader);

/* Must what is read be noted for validation?  Then look-ups note their keys by themselves, and a
 * scan notes the whole table unless its filter was given here before.  The predicate is released
 * when the transaction ends. */
bool ae_reader_notes(const ae_reader *reader);
void ae_reader_predicate(ae_reader *reader, const ae_predicate *predicate);
/* All of the table counts as read. */
void ae_reader_note_table(ae_reader *reader, uint32_t table);

/* The row whose key equals that of `key_row` (a private image of which only the key column
 * counts). */
bool ae_table_find(ae_reader *reader, uint32_t table, const void *key_row, ae_view *view);

/* Stream every visible row once, in memory order. */
typedef struct ae_scan {
    ae_reader *reader;
    uint32_t table;
    uint32_t slab_count; /* slabs when the scan began: later ones hold only what it must not see */
    uint32_t slab_index; /* next slab of the table's version pool */
    uint32_t slot_index; /* next version in it */
    uint32_t left_out;   /* slabs at the beginning that are looked at last */
    bool seeks;          /* the slab of the first row is to be noted */
} ae_scan;
void ae_scan_start(ae_scan *scan, ae_reader *reader, uint32_t table);
/* Of a scan just started: begin in the slab where the session's last such scan of the table found
 * its first row, and look last at those before it.  So who takes rows away, one search after the
 * other, does not pass all that are gone each time. */
void ae_scan_seek(ae_scan *scan);
/* Up to `max` more rows; 0 at the end. */
size_t ae_scan_next(ae_scan *scan, ae_view *views, size_t max);

/* Versions that a scan would look at, about: cheap, and no count of rows. */
uint64_t ae_table_size(const aero_session *session, uint32_t table);

/* Rows that are committed: a sum of what was counted as it changed. */
uint64_t ae_table_rows(const aero_session *session, uint32_t table);

/* Rows visible now, or in the transaction. */
aero_status ae_table_count(aero_session *session, uint32_t table, uint64_t *count);

/* ---- writes.  In a transaction they join it; outside, each call is one, retried on conflict. - */

enum ae_write_mode {
    AE_WRITE_INSERT,  /* EXISTS when the key is there */
    AE_WRITE_REPLACE, /* insert, or replace the whole row */
};

/* Write `count` private images lying `stride` bytes apart, all or none of them.  A key that occurs
 * twice is inserted, then updated.  The images' texts are copied into the segment.
 * *inserted and *updated count rows.  Errors: EXISTS, CONFLICT, FULL, LIMIT, NO_SLOT, READ_ONLY. */
aero_status ae_table_write(aero_session *session, uint32_t table, const void *rows, size_t stride,
                           size_t count, enum ae_write_mode mode, uint64_t *inserted,
                           uint64_t *updated);

/* Change one row: `change` gets a private image of the current row (or, when there is none and
 * `create` is set, a cleared image with the key of key_row) and edits it in place; texts it sets
 * must live until this call returns.  It may be called several times (retries).  A non-zero answer
 * of `change` ends the write with that status.  `given`: the values that it is going to set, as far
 * as they are known beforehand; NULL: not at all.  *outcome: 0 no such row, 1 updated, 2
 * inserted. */
typedef aero_status (*ae_row_change)(void *context, void *row, bool is_new);
typedef struct ae_row_given {
    uint32_t count;
    const uint32_t *columns;
    const aero_value *raw; /* as aero_column.set takes them */
} ae_row_given;
aero_status ae_table_change(aero_session *session, uint32_t table, const void *key_row, bool create,
                            ae_row_change change, void *context, const ae_row_given *given,
                            int32_t *outcome);

/* A change of the row with this key follows, after some other work: ask for the line of its entry
 * already. */
void ae_table_approach(const aero_session *session, uint32_t table, const void *key_row);

aero_status ae_table_delete(aero_session *session, uint32_t table, const void *key_row,
                            bool *found);
/* The same; `expired`: watchers are told that the row's time was over, as the log says it was. */
aero_status ae_table_remove(aero_session *session, uint32_t table, const void *key_row,
                            bool expired, bool *found);
/* Lock a row for the rest of the open transaction: other writers of it queue.  Errors: USAGE
 * outside a transaction, CONFLICT (LOCK: another has it and keeps it; WRITE: written since the
 * snapshot). */
aero_status ae_table_lock(aero_session *session, uint32_t table, const void *key_row, bool *found);
/* A version that was seen to be old enough: its row is deleted if it is still the newest then. */
typedef struct ae_expiring {
    uint32_t anchor;
    uint32_t version;
    uint64_t begin; /* number of the commit that wrote it */
} ae_expiring;
/* Delete rows whose time has come, in one transaction of its own that does not wait for the disk:
 * what a power failure takes back expires again.  A row that somebody else is writing or has
 * locked is left for the next time.  Watchers see `expire`.  REQUIRES: no transaction is open.
 * Errors: CONFLICT, FULL, LIMIT, NO_SLOT, IO; nothing is deleted then. */
aero_status ae_table_expire(aero_session *session, uint32_t table, const ae_expiring *rows,
                            uint32_t count, uint32_t *deleted);
/* Delete all visible rows. */
aero_status ae_table_reset(aero_session *session, uint32_t table, uint64_t *deleted);

#endif
