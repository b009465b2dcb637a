/* write.c — statements that write: rows one by one, in batches, and all of a table.
 *
 * Outside a transaction each call is one: it begins, writes, commits, and starts over on a conflict
 * with back-off, until a deadline.  How a single row is published: publish.c.
 */
#include <string.h>

#include "base/os.h"
#include "table/publish_private.h"

/* How long a call outside a transaction goes on trying. */
#define RETRY_DEADLINE_NS 30000000000ull
/* Rows of a batch whose memory is fetched ahead together: enough to overlap the misses, few enough
 * to stay in the first-level cache. */
#define PREFETCH_ROWS 16u
/* From this many rows on index entries are collected and sorted. */
#define BATCH_LEAST 32u

/* ---- one row -------------------------------------------------------------------------------- */

static aero_status exists_error(const row_write *write)
{
    aero_session *session = write->session;
    ae_fail(&session->error, AERO_EXISTS, "%s has a row with this key already", write->of->name);
    ae_key_error_place(&session->error, write->of, 1, &write->of->key_column);
    return AERO_EXISTS;
}

/* Insert or replace one row.  *outcome: 1 updated, 2 inserted. */
static aero_status row_put(const row_write *write, const void *image, enum ae_write_mode mode,
                           int32_t *outcome)
{
    for (bool absent = write->absent;; absent = false) {
        ae_ref anchor = 0;
        ae_hash_entry *entry = NULL;
        enum row_state state = ROW_LIVE;
        row_judged judged;
        bool again = false;
        /* Entering a key looks for it too: one that was just not there is entered at once. */
        aero_status status = absent ? AERO_OK
                                    : ae_row_locate(write, &anchor, &entry, &state, &judged);
        if (status != AERO_OK)
            return status;
        *outcome = 2;
        AE_ASSERT(write->session->txn.open);
        if (anchor == 0)
            status = ae_publish_insert(write, image, &again);
        else if (state == ROW_DEAD)
            status = ae_publish_revival(write, anchor, &judged, image, entry, &again);
        else if (mode == AE_WRITE_INSERT)
            return exists_error(write);
        else {
            *outcome = 1;
            status = ae_publish_update(write, anchor, &judged, image, entry, &again);
        }
        if (status != AERO_OK || !again)
            return status;
    }
}

typedef struct change_body {
    uint32_t table;
    const void *key_row;
    bool create;
    ae_row_change change;
    void *context;
    const ae_row_given *given;
    int32_t outcome;
} change_body;

static aero_status row_change(aero_session *session, void *context)
{
    change_body *body = context;
    row_write write;
    ae_entries_ahead ahead;
    ae_write_start(&write, session, body->table, body->key_row);
    const uint64_t snapshot = session->txn.snapshot;
    if (body->given != NULL && ae_entries_foresee(&write, body->given, &ahead))
        write.ahead = &ahead;
    for (;;) {
        ae_ref anchor = 0;
        ae_hash_entry *entry = NULL;
        enum row_state state = ROW_LIVE;
        row_judged judged;
        bool again = false;
        aero_status status = ae_row_locate(&write, &anchor, &entry, &state, &judged);
        if (status != AERO_OK)
            return status;
        if (session->txn.snapshot != snapshot)
            write.ahead = NULL; /* it has queued for the row, with no snapshot that keeps leaves */
        const bool live = anchor != 0 && state == ROW_LIVE;
        body->outcome = live ? 1 : body->create ? 2 : 0;
        if (body->outcome == 0)
            return AERO_OK;
        if (live) {
            ae_image_of(session->db, write.of, judged.version, session->row);
        } else {
            aero_value key;
            const aero_column *column = &write.of->columns[write.of->key_column];
            write.of->clear(session->row);
            column->get(body->key_row, NULL, &key);
            column->set(session->row, &key);
        }
        AE_ASSERT(body->outcome == 1 || body->outcome == 2);
        status = body->change(body->context, session->row, !live);
        if (status != AERO_OK)
            return status;
        if (live)
            status = ae_publish_update(&write, anchor, &judged, session->row, entry, &again);
        else if (anchor != 0)
            status = ae_publish_revival(&write, anchor, &judged, session->row, entry, &again);
        else
            status = ae_publish_insert(&write, session->row, &again);
        if (status != AERO_OK || !again)
            return status;
    }
}

static aero_status row_delete(const row_write *write, bool *found)
{
    AE_ASSERT(write->session->txn.open);
    for (;;) {
        ae_ref anchor = 0;
        ae_hash_entry *entry = NULL;
        enum row_state state = ROW_LIVE;
        row_judged judged;
        bool again = false;
        const aero_status status = ae_row_locate(write, &anchor, &entry, &state, &judged);
        if (status != AERO_OK)
            return status;
        *found = anchor != 0 && state == ROW_LIVE;
        if (!*found)
            return AERO_OK;
        const aero_status outcome = ae_publish_delete(write, anchor, &judged, &again);
        if (outcome != AERO_OK || !again)
            return outcome;
    }
}

/* ---- statements ----------------------------------------------------------------------------- */

aero_status ae_statement_join(aero_session *session, ae_statement body, void *context)
{
    AE_ASSERT(session->txn.open);
    ae_txn *txn = &session->txn;
    if (txn->doomed)
        return ae_txn_doomed(session);
    if (txn->isolation == AERO_ISOLATION_READ_ONLY)
        return ae_fail(&session->error, AERO_READ_ONLY, "the transaction is read-only");
    aero_status status = ae_txn_wake(session);
    if (status != AERO_OK)
        return status;
    ae_txn_look(session);
    const uint32_t before = txn->intent_count;
    status = body(session, context);
    if (status != AERO_OK && txn->intent_count > before)
        ae_txn_undo_to(session, before);
    if (session->stopped && status != AERO_OK)
        status = ae_session_stopped(session); /* not lost: it only did not get its turn */
    session->stopped = false;
    if (status == AERO_CONFLICT) {
        txn->doomed = true;
        session->error.aborted = 1;
    }
    ae_txn_rest(session);
    return status;
}

static aero_status statement(aero_session *session, ae_statement body, void *context)
{
    if (session->txn.open)
        return ae_statement_join(session, body, context);
    uint64_t deadline = 0;
    const uint32_t ticks = session->ticks;
    for (uint32_t attempt = 0;; attempt++) {
        aero_status status = ae_txn_begin(session, AERO_ISOLATION_SERIALIZABLE, false);
        if (status == AERO_OK) {
            status = body(session, context);
            if (status == AERO_OK)
                status = ae_txn_commit(session);
            else
                ae_txn_rollback(session);
        }
        if (status == AERO_FULL && attempt == 0 && session->ticks != ticks)
            continue; /* what others, or we, retired just now may be free for a new snapshot */
        if (status != AERO_CONFLICT && status != AERO_NO_SLOT)
            return status;
        const uint64_t now = ae_os_monotonic_ns();
        deadline = deadline == 0 ? now + RETRY_DEADLINE_NS : deadline;
        if (now > deadline)
            return status;
        if (!ae_session_patient(session))
            return ae_session_stopped(session);
        ae_count(&session->db->proc, AE_COUNT_RETRIES);
        ae_backoff(session, attempt);
    }
}

typedef struct write_body {
    uint32_t table;
    const char *rows;
    size_t stride;
    size_t count;
    enum ae_write_mode mode;
    uint64_t inserted;
    uint64_t updated;
} write_body;

/* A batch goes through three stages, a group of rows at a time and each group one stage behind the
 * next, so that what a stage needs has been on its way while another group was worked on: hash the
 * keys and fetch the hash lines; look into them and fetch the rows they name; write. */
typedef struct batch {
    aero_session *session;
    write_body *body;
    struct ae_entry_batch *entries;
    size_t groups;
    row_write writes[3][PREFETCH_ROWS];
} batch;

static size_t group_size(const batch *rows, size_t group)
{
    AE_ASSERT(group < rows->groups);
    const size_t left = rows->body->count - group * PREFETCH_ROWS;
    return left < PREFETCH_ROWS ? left : PREFETCH_ROWS;
}

static void group_start(batch *rows, size_t group)
{
    AE_ASSERT(group < rows->groups);
    row_write *writes = rows->writes[group % 3];
    const char *row = rows->body->rows + group * PREFETCH_ROWS * rows->body->stride;
    const size_t count = group_size(rows, group);
    for (size_t index = 0; index < count; index++, row += rows->body->stride) {
        ae_write_start(&writes[index], rows->session, rows->body->table, row);
        writes[index].batch = rows->entries;
        __builtin_prefetch(ae_hash_place(writes[index].hash, writes[index].tag));
    }
    for (size_t index = 0; index < count; index++)
        ae_hash_prefetch(writes[index].hash, writes[index].tag);
}

static void group_fetch(batch *rows, size_t group)
{
    const aero_db *db = rows->session->db;
    row_write *writes = rows->writes[group % 3];
    const size_t count = group_size(rows, group);
    for (size_t index = 0; index < count; index++) {
        ae_hash_walk walk;
        uint64_t word = 0;
        ae_hash_walk_start(&walk, writes[index].hash, writes[index].tag);
        const ae_hash_entry *entry = ae_hash_walk_next(&walk, &word);
        writes[index].absent = entry == NULL;
        if (entry == NULL)
            continue;
        const char *hint = ae_at(&db->segment, ae_load32(&entry->hint));
        __builtin_prefetch(ae_at(&db->segment, ae_hash_anchor(word)), 1);
        __builtin_prefetch(hint, 1);
        __builtin_prefetch(hint + 64);
    }
}

static aero_status group_write(batch *rows, size_t group)
{
    const row_write *writes = rows->writes[group % 3];
    const size_t count = group_size(rows, group);
    AE_ASSERT(count > 0 && count <= PREFETCH_ROWS);
    for (size_t index = 0; index < count; index++) {
        int32_t outcome = 0;
        const aero_status status = row_put(&writes[index], writes[index].key_row, rows->body->mode,
                                           &outcome);
        if (status != AERO_OK)
            return status;
        rows->body->inserted += outcome == 2;
        rows->body->updated += outcome == 1;
    }
    return AERO_OK;
}

static aero_status rows_write(aero_session *session, void *context)
{
    batch rows = {.session = session, .body = context};
    rows.body->inserted = 0;
    rows.body->updated = 0;
    rows.groups = (rows.body->count + PREFETCH_ROWS - 1) / PREFETCH_ROWS;
    if (rows.body->count >= BATCH_LEAST)
        rows.entries = ae_entry_batch_start(session, rows.body->table);
    aero_status status = AERO_OK;
    for (size_t step = 0; step < rows.groups + 2 && status == AERO_OK; step++) {
        if (step < rows.groups)
            group_start(&rows, step);
        if (step >= 1 && step - 1 < rows.groups)
            group_fetch(&rows, step - 1);
        if (step >= 2)
            status = group_write(&rows, step - 2);
    }
    AE_ASSERT(status != AERO_OK || rows.body->inserted + rows.body->updated == rows.body->count);
    if (status == AERO_OK && rows.entries != NULL)
        status = ae_entry_batch_flush(rows.entries);
    return status;
}

aero_status ae_table_write(aero_session *session, uint32_t table, const void *rows, size_t stride,
                           size_t count, enum ae_write_mode mode, uint64_t *inserted,
                           uint64_t *updated)
{
    AE_ASSERT(table < session->db->schema->table_count && (rows != NULL || count == 0));
    write_body body = {table, rows, stride, count, mode, 0, 0};
    const aero_status status = statement(session, rows_write, &body);
    *inserted = status == AERO_OK ? body.inserted : 0;
    *updated = status == AERO_OK ? body.updated : 0;
    return status;
}

void ae_table_approach(const aero_session *session, uint32_t table, const void *key_row)
{
    const aero_db *db = session->db;
    const uint64_t hash = db->schema->tables[table].hash_key(key_row, NULL);
    ae_hash_approach(&db->hashes[table], ae_hash_tag(hash));
}

/* The entry's line has come: ask for the row it leads to, its anchor and its newest version at
 * once, while the transaction begins. */
static void row_fetch(const aero_session *session, uint32_t table, const void *key_row)
{
    const aero_db *db = session->db;
    const uint64_t hash = db->schema->tables[table].hash_key(key_row, NULL);
    ae_a64 *pin = &db->proc.shared->members[session->member].pin;
    ae_hash_walk walk;
    uint64_t word = 0;
    AE_ASSERT(ae_load64(pin) == 0);
    (void)ae_snapshot_publish(&db->proc, pin);
    ae_hash_walk_start(&walk, &db->hashes[table], ae_hash_tag(hash));
    const ae_hash_entry *entry = ae_hash_walk_next(&walk, &word);
    if (entry != NULL) {
        const char *version = ae_at(&db->segment, ae_load32(&entry->hint));
        ae_fetch_to_write(ae_at(&db->segment, ae_hash_anchor(word)));
        ae_fetch_to_write(version);
        __builtin_prefetch(version + 64);
    }
    /* Release: the looks are over; pairs with ae_horizon_compute. */
    ae_store64_release(pin, 0);
}

aero_status ae_table_change(aero_session *session, uint32_t table, const void *key_row, bool create,
                            ae_row_change change, void *context, const ae_row_given *given,
                            int32_t *outcome)
{
    AE_ASSERT(table < session->db->schema->table_count && change != NULL);
    change_body body = {table, key_row, create, change, context, given, 0};
    if (!session->txn.open)
        row_fetch(session, table, key_row);
    const aero_status status = statement(session, row_change, &body);
    *outcome = status == AERO_OK ? body.outcome : 0;
    return status;
}

typedef struct delete_body {
    uint32_t table;
    const void *key_row;
    bool expired;
    bool found;
} delete_body;

static aero_status delete_one(aero_session *session, void *context)
{
    delete_body *body = context;
    row_write write;
    ae_write_start(&write, session, body->table, body->key_row);
    if (body->expired) {
        /* A single one takes a block as several do. */
        const aero_status status = ae_writes_reserve(session);
        if (status != AERO_OK)
            return status;
        write.what = AE_INTENT_EXPIRED;
    }
    return row_delete(&write, &body->found);
}

aero_status ae_table_remove(aero_session *session, uint32_t table, const void *key_row,
                            bool expired, bool *found)
{
    delete_body body = {table, key_row, expired, false};
    const aero_status status = statement(session, delete_one, &body);
    *found = status == AERO_OK && body.found;
    return status;
}

aero_status ae_table_delete(aero_session *session, uint32_t table, const void *key_row, bool *found)
{
    return ae_table_remove(session, table, key_row, false, found);
}

typedef struct reset_body {
    uint32_t table;
    uint64_t deleted;
} reset_body;

static aero_status delete_all(aero_session *session, void *context)
{
    reset_body *body = context;
    ae_reader reader;
    ae_scan scan;
    ae_view views[64];
    row_write write = {.session = session,
                       .of = &session->db->schema->tables[body->table],
                       .hash = &session->db->hashes[body->table],
                       .table = body->table};
    body->deleted = 0;
    /* "Every row" is a predicate: a row that is inserted meanwhile must not survive before us in
     * the order. */
    session->txn.tracks = session->txn.isolation == AERO_ISOLATION_SERIALIZABLE;
    aero_status status = ae_reader_open(session, false, &reader);
    if (status != AERO_OK)
        return status;
    AE_ASSERT(session->txn.open);
    ae_scan_start(&scan, &reader, body->table);
    for (size_t count; status == AERO_OK && (count = ae_scan_next(&scan, views, 64)) > 0;) {
        for (size_t index = 0; index < count && status == AERO_OK; index++) {
            const ae_version *version =
                (const ae_version *)(const void *)((const char *)views[index].row -
                                                   offsetof(ae_version, row));
            const ae_ref anchor = ae_load32(&version->anchor);
            row_judged judged;
            bool again = true;
            while (again && status == AERO_OK) {
                /* A row that is seen cannot be closed or dead; it can only have been written
                 * since. */
                if (ae_row_judge(&write, anchor, &judged) != ROW_LIVE)
                    status = ae_conflict(session, AERO_CONFLICT_WRITE, write.of->name);
                else
                    status = ae_publish_delete(&write, anchor, &judged, &again);
            }
            body->deleted++;
        }
    }
    ae_reader_close(&reader);
    return status;
}

aero_status ae_table_reset(aero_session *session, uint32_t table, uint64_t *deleted)
{
    AE_ASSERT(table < session->db->schema->table_count);
    reset_body body = {table, 0};
    const aero_status status = statement(session, delete_all, &body);
    *deleted = status == AERO_OK ? body.deleted : 0;
    return status;
}
