/* publish_private.h — one row's write, between the files of the table module.
 */
#ifndef AE_TABLE_PUBLISH_PRIVATE_H
#define AE_TABLE_PUBLISH_PRIVATE_H

#include "table/table_private.h"

struct ae_entry_batch;

/* Keys of a row's indexes, and their leaves, as far as they are known before the row is found. */
#define AE_AHEAD_MOST 8u
typedef struct ae_entries_ahead {
    uint32_t count;
    uint32_t numbers[AE_AHEAD_MOST];
    ae_tree trees[AE_AHEAD_MOST];
    ae_tree_key keys[AE_AHEAD_MOST];
    ae_tree_want wants[AE_AHEAD_MOST];
} ae_entries_ahead;

/* One write in hand. */
typedef struct row_write {
    aero_session *session;
    const aero_table *of;
    ae_hash *hash;
    uint32_t table;
    uint32_t tag;
    uint32_t what; /* AE_INTENT_… that its intents carry besides */
    bool absent;   /* the key was looked for just now, and no row had its tag */
    const void *key_row;
    struct ae_entry_batch
        *batch; /* where index entries are collected; NULL: they are put at once */
    const ae_entries_ahead *ahead; /* what was foreseen of them, or NULL */
} row_write;

enum row_state {
    ROW_LIVE,     /* `version` is the row for this transaction, and the newest */
    ROW_DEAD,     /* the newest version ended before the snapshot */
    ROW_CONFLICT, /* somebody wrote it since, or is about to */
    ROW_CLOSED,   /* the anchor has left the hash */
};

typedef struct row_judged {
    uint64_t head;
    ae_version *version;
} row_judged;

/* A statement that writes, and its context. */
typedef aero_status (*ae_statement)(aero_session *session, void *context);
/* In the open transaction: all of the statement or nothing of it. */
aero_status ae_statement_join(aero_session *session, ae_statement body, void *context);

/* Begin a write of the row whose key `key_row` has; notes the key as read. */
void ae_write_start(row_write *write, aero_session *session, uint32_t table, const void *key_row);
/* Find the row's anchor by the key, 0 when there is none. */
aero_status ae_row_search(const row_write *write, ae_ref *anchor, ae_hash_entry **entry);
/* Find the row and judge it: live, dead or closed.  *anchor is 0 when no anchor has the key.
 * Errors: CONFLICT. */
aero_status ae_row_locate(const row_write *write, ae_ref *anchor, ae_hash_entry **entry,
                          enum row_state *state, row_judged *judged);
/* A write lost the row to another: AERO_CONFLICT, and its writers queue when it happens often. */
aero_status ae_row_conflict(const row_write *write, ae_ref anchor, int32_t reason);
/* Judge the newest version of the row behind an anchor. */
enum row_state ae_row_judge(const row_write *write, ae_ref anchor, row_judged *judged);
/* A private image of a version's row: its long texts by address. */
void ae_image_of(const aero_db *db, const aero_table *of, const ae_version *version, void *image);
/* The row exists: put `image` on top of its newest version.  *again: judge it anew.
 * Errors: FULL, LIMIT. */
aero_status ae_publish_update(const row_write *write, ae_ref anchor, const row_judged *judged,
                              const void *image, ae_hash_entry *entry, bool *again);
/* The row was deleted, and its anchor is still here: a new life on top of the old one. */
aero_status ae_publish_revival(const row_write *write, ae_ref anchor, const row_judged *judged,
                               const void *image, ae_hash_entry *entry, bool *again);
/* No anchor has the key: make one and enter it.  *again when somebody entered it meanwhile. */
aero_status ae_publish_insert(const row_write *write, const void *image, bool *again);
/* ---- index entries (entry.c) ---------------------------------------------------------------- */

/* The version of `image` has been published: enter its keys into the indexes, but for those that
 * the replaced version (NULL: none) has as well.  Errors: FULL, CORRUPT, EXISTS, CONFLICT; the
 * caller undoes the write then. */
aero_status ae_entries_put(const row_write *write, ae_ref anchor, const void *image,
                           const ae_version *replaced);
/* Values that the row will be given are known, the row is not: fetch what its new keys need.
 * False: nothing was found. */
bool ae_entries_foresee(const row_write *write, const ae_row_given *given, ae_entries_ahead *ahead);
/* The leaf of a key that was foreseen, for ae_tree_put_near; 0 when it was not. */
ae_ref ae_entry_near(const ae_entries_ahead *ahead, uint32_t number, const ae_tree_key *key);
/* Collect the entries of many writes of one table; NULL when there is no memory, or no index. */
struct ae_entry_batch *ae_entry_batch_start(aero_session *session, uint32_t table);
/* Enter what was collected, in order; before the statement ends.  Errors as ae_entries_put. */
aero_status ae_entry_batch_flush(struct ae_entry_batch *batch);

/* End the newest version. */
aero_status ae_publish_delete(const row_write *write, ae_ref anchor, const row_judged *judged,
                              bool *again);

#endif
