/* history.c — a table in private memory that follows the log's files (see history.h).
 *
 * The files change while they are read: the writer appends, a checkpoint begins a new file and
 * removes old ones.  Only frames below the published end of the log are read, so none is half
 * written.  Where the files at hand end before that, they are listed again; files that were removed
 * meanwhile may still be read through their descriptors, and when the one that follows is gone, the
 * history is lost.
 */
#include "durable/history.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "durable/sink.h"
#include "table/index_build.h"
#include "table/index_read.h"
#include "txn/txn.h"

/* Checkpoint and log are found one after the other; a checkpoint that is taken in between may
 * remove what the older one needs.  Then it is tried again with the new one. */
#define OPEN_ROUNDS 8u

struct ae_history {
    aero_session *owner;   /* of the database that is followed */
    aero_db *db;           /* private memory */
    aero_session *session; /* on it */
    uint32_t table;
    uint64_t number; /* commits up to here have been made */
    ae_checkpoint_file checkpoint;
    ae_log_files files;
    ae_log_reader reader;
    ae_log_position written; /* of the log, when it was last looked at */
    ae_sink sink;
    bool sunk;          /* the sink is open */
    bool framed;        /* a frame of commits is being read */
    ae_commits commits; /* in it */
    ae_commit waiting;  /* read, and above what was asked for; data NULL: none */
};

/* ---- finding the files ---------------------------------------------------------------------- */

static aero_status not_kept(const ae_history *history, uint64_t number)
{
    return ae_fail(&history->owner->error, AERO_NOT_FOUND,
                   "what was committed after position %llu is not kept any more",
                   (unsigned long long)number);
}

/* Files of this schema?  Others of the same store are what an older program
 * wrote: the row stack's cannot be read. */
static bool origin_fits(const ae_history *history, uint32_t stack, uint64_t schema)
{
    const aero_db *db = history->owner->db;
    return stack == (uint32_t)db->log.stack &&
           (stack != AE_STACK_ROW || schema == db->schema->fingerprint);
}

/* Is it the store of one of the log's files, or does the first of them go on from it? */
static bool store_known(const ae_history *history, const uint8_t *store)
{
    for (uint32_t index = 0; index < history->files.count; index++)
        if (memcmp(store, history->files.files[index].store, 16) == 0)
            return true;
    return ae_store_follows(store, history->files.files[0].store);
}

/* The newest checkpoint that holds no commit above the number; fd is -1 when there is none. */
static aero_status checkpoint_find(ae_history *history, uint64_t number)
{
    const aero_db *db = history->owner->db;
    const char *name = aei_durable_names(db->profile_kind)->checkpoint;
    aero_error *error = &history->owner->error;
    ae_checkpoint_file *file = &history->checkpoint;
    char path[PATH_MAX];
    if (!aei_durable_path(db->data_dir, name, "", path, sizeof path))
        return ae_fail(error, AERO_IO, "the path of the checkpoint is too long");
    aero_status status = aei_checkpoint_open(file, path, error);
    while (status == AERO_OK && file->fd >= 0 && file->head.number > number) {
        const uint64_t serial = file->serial - 1;
        aei_checkpoint_close(file);
        file->fd = -1;
        if (serial == 0 || !aei_checkpoint_kept(db->data_dir, name, serial, path, sizeof path))
            break;
        status = aei_checkpoint_open(file, path, error);
    }
    return status;
}

static void files_close(ae_history *history)
{
    AE_ASSERT(history->checkpoint.fd >= -1);
    ae_log_reader_end(&history->reader);
    ae_log_files_close(&history->files);
    if (history->checkpoint.fd >= 0)
        aei_checkpoint_close(&history->checkpoint);
    history->checkpoint.fd = -1;
}

/* Have a checkpoint and the log behind it open.  NOT_FOUND: there is none, or no longer. */
static aero_status files_find(ae_history *history, uint64_t number)
{
    const aero_db *db = history->owner->db;
    const ae_checkpoint_file *file = &history->checkpoint;
    aero_error *error = &history->owner->error;
    aero_status status = checkpoint_find(history, number);
    if (status == AERO_OK)
        status = ae_log_files_open(&history->files, db->data_dir, db->log.name, error);
    if (status != AERO_OK)
        return status;
    if (history->files.count == 0)
        return not_kept(history, number);
    for (uint32_t index = 0; index < history->files.count; index++) {
        const ae_log_file *log = &history->files.files[index];
        if (!origin_fits(history, log->head.stack, log->head.schema))
            return not_kept(history, number);
    }
    if (!ae_store_follows(history->files.files[history->files.count - 1].store,
                          db->segment.header->store_id))
        return not_kept(history, number);
    const bool whole = file->fd >= 0 ? origin_fits(history, file->head.stack, file->head.schema) &&
                                           store_known(history, file->store)
                                     : history->files.files[0].head.after == 0;
    if (!whole)
        return not_kept(history, number);
    return ae_log_reader_start(&history->reader, &history->files,
                               file->fd >= 0 ? file->head.replay_lsn : UINT64_MAX, error);
}

/* The files again, to go on where the reader stands. */
static aero_status files_again(ae_history *history)
{
    AE_ALWAYS(history->owner != NULL);
    const aero_db *db = history->owner->db;
    aero_error *error = &history->owner->error;
    const ae_log_reader before = history->reader;
    ae_log_files files;
    aero_status status = ae_log_files_open(&files, db->data_dir, db->log.name, error);
    if (status != AERO_OK)
        return status;
    ae_log_reader_end(&history->reader);
    ae_log_files_close(&history->files);
    history->files = files;
    status = ae_log_reader_start(&history->reader, &history->files, before.lsn, error);
    history->reader.previous = before.previous;
    history->reader.framed = before.framed;
    return status == AERO_NOT_FOUND ? not_kept(history, history->number) : status;
}

/* ---- making commits ------------------------------------------------------------------------- */

/* An error of the private session becomes the owner's. */
static aero_status passed(const ae_history *history, aero_status status)
{
    if (status != AERO_OK)
        history->owner->error = history->session->error;
    return status;
}

static aero_status piece_apply(void *context, const uint8_t *data, size_t size, aero_error *error)
{
    ae_history *history = context;
    (void)error; /* the sink's are the session's, which this is */
    const aero_status status = ae_sink_apply(&history->sink, data, size);
    return status == AERO_OK ? ae_sink_flush(&history->sink) : status;
}

static aero_status commit_apply(ae_history *history, const ae_commit *commit)
{
    AE_ALWAYS(history->sunk && commit->data != NULL);
    aero_status status = AERO_OK;
    history->sink.file = history->files.files[history->reader.file].path;
    if (commit->pieces > 0)
        status = ae_pieces_read(&history->files, commit->last_piece, commit->pieces, piece_apply,
                                history, &history->session->error);
    if (status == AERO_OK)
        status = ae_sink_apply(&history->sink, commit->data, commit->size);
    /* The operations lie in the reader's window. */
    if (status == AERO_OK)
        status = ae_sink_flush(&history->sink);
    return passed(history, status);
}

/* The next frame of commits; *end: there is none below the end of the log. */
static aero_status frame_next(ae_history *history, bool *end)
{
    AE_ASSERT(!history->framed);
    aero_error *error = &history->owner->error;
    ae_log_reader *reader = &history->reader;
    *end = false;
    for (bool again = false;;) {
        if (reader->lsn >= history->written.lsn) {
            *end = true;
            return AERO_OK;
        }
        aero_status status = ae_log_reader_next(reader, error);
        if (status != AERO_OK)
            return status;
        if (reader->frame != NULL && reader->frame->kind == AE_FRAME_COMMITS) {
            ae_commits_start(&history->commits, reader->frame);
            history->framed = true;
            return AERO_OK;
        }
        if (reader->frame != NULL) {
            again = false;
            continue;
        }
        if (again) /* it is written, and it is nowhere */
            return not_kept(history, history->number);
        again = true;
        status = files_again(history);
        if (status != AERO_OK)
            return status;
    }
}

/* The next commit above those that have been made, *commit->data NULL when there is none yet. */
static aero_status commit_next(ae_history *history, ae_commit *commit)
{
    *commit = history->waiting;
    history->waiting.data = NULL;
    for (bool end = false; commit->data == NULL || commit->number <= history->number;) {
        aero_status status = AERO_OK;
        if (!history->framed)
            status = frame_next(history, &end);
        commit->data = NULL;
        if (status != AERO_OK || end)
            return status;
        status = ae_commits_next(&history->commits, commit, &history->owner->error);
        if (status != AERO_OK)
            return status;
        history->framed = commit->data != NULL;
    }
    AE_ASSERT(commit->data == NULL || commit->number > history->number);
    return AERO_OK;
}

aero_status ae_history_next(ae_history *history, uint64_t upto, uint64_t *number)
{
    ae_commit commit;
    *number = 0;
    AE_ALWAYS(history->sunk && history->session != NULL);
    aero_status status = commit_next(history, &commit);
    if (status != AERO_OK || commit.data == NULL)
        return status;
    if (commit.number > upto) {
        history->waiting = commit;
        return AERO_OK;
    }
    status = commit_apply(history, &commit); /* flushed */
    if (status == AERO_OK)
        status = passed(history, ae_sink_commit(&history->sink));
    if (status != AERO_OK)
        return status;
    AE_ALWAYS(commit.number > history->number && commit.number <= upto);
    history->number = *number = commit.number;
    return AERO_OK;
}

aero_status ae_history_reach(ae_history *history, uint64_t upto)
{
    aero_session *owner = history->owner;
    const aero_status status = ae_log_flush(&owner->db->log, &owner->log_writer, upto, AE_LOG_WRITE,
                                            &owner->error);
    history->written = ae_log_written(&owner->db->log);
    return status;
}

/* ---- opening -------------------------------------------------------------------------------- */

static aero_status checkpoint_load(ae_history *history)
{
    ae_checkpoint_file *file = &history->checkpoint;
    aero_status status = AERO_OK;
    if (file->fd < 0)
        return AERO_OK;
    history->sink.file = file->path;
    history->sink.fresh = true;
    while (status == AERO_OK) {
        status = aei_checkpoint_next(file, &history->session->error);
        if (status != AERO_OK || file->payload == NULL)
            break;
        status = ae_sink_apply(&history->sink, file->payload, file->payload_size);
        if (status == AERO_OK)
            status = ae_sink_flush(&history->sink);
    }
    history->sink.fresh = false;
    history->number = file->head.number;
    return passed(history, status);
}

/* Nobody searches the private memory, so no ordered index is kept up in it. */
static aero_status indexes_drop(ae_history *history)
{
    ae_index_info infos[AE_INDEXES_MAX];
    uint32_t columns[AE_KEY_COLUMNS_MAX];
    aero_status status = AERO_OK;
    const uint32_t count = ae_index_list(history->session, history->table, infos, AE_INDEXES_MAX);
    for (uint32_t index = 0; index < count && status == AERO_OK; index++) {
        const uint32_t used = ae_index_columns(history->session, history->table,
                                               infos[index].number, columns);
        status = ae_index_drop(history->session, history->table, columns, used);
    }
    return passed(history, status);
}

/* The table as it was after commit `number`. */
static aero_status tables_fill(ae_history *history, uint64_t number)
{
    AE_ALWAYS(history->session != NULL && !history->sunk);
    aero_status status = passed(
        history, ae_sink_open(&history->sink, history->session, history->owner->db->log.stack));
    if (status != AERO_OK)
        return status;
    history->sunk = true;
    history->sink.only = history->table;
    history->sink.filtered = true;
    status = indexes_drop(history);
    if (status == AERO_OK)
        status = checkpoint_load(history);
    if (status == AERO_OK)
        status = ae_history_reach(history, number);
    while (status == AERO_OK) {
        ae_commit commit;
        status = commit_next(history, &commit);
        if (status != AERO_OK || commit.data == NULL)
            break;
        if (commit.number > number) {
            history->waiting = commit;
            break;
        }
        status = commit_apply(history, &commit);
        history->number = commit.number;
    }
    if (status == AERO_OK)
        status = passed(history, ae_sink_commit(&history->sink));
    history->sink.whole = true; /* from here on a commit is a transaction */
    history->number = number;
    return status;
}

static aero_status memory_make(ae_history *history)
{
    const aero_db *db = history->owner->db;
    aero_error *error = &history->owner->error;
    const aero_open_options options = {.data_dir = db->data_dir,
                                       .profile = db->profile,
                                       .memory = "private",
                                       .size = AE_SEGMENT_MAX};
    /* Without a log of its own: nothing starts it. */
    const ae_db_boot boot = {.log_name = db->log.name, .stack = db->log.stack};
    aero_status status = ae_db_new(&options, &history->db, error);
    if (status == AERO_OK)
        status = ae_db_attach(history->db, &boot, error);
    if (status == AERO_OK)
        status = ae_session_new(history->db, &history->session, error);
    return status;
}

aero_status ae_history_open(aero_session *session, uint32_t table, uint64_t number,
                            ae_history **out)
{
    *out = NULL;
    ae_history *history = calloc(1, sizeof *history);
    if (history == NULL)
        return ae_fail(&session->error, AERO_NO_MEMORY, "no memory to read the log");
    history->owner = session;
    history->table = table;
    history->checkpoint.fd = -1;
    aero_status status = ae_log_is_on(&session->db->log) ? AERO_OK : not_kept(history, number);
    /* Asynchronous commits may not have made the first file yet. */
    if (status == AERO_OK)
        status = ae_history_reach(history, number);
    if (status == AERO_OK)
        status = files_find(history, number);
    for (uint32_t round = 1; status == AERO_NOT_FOUND && round < OPEN_ROUNDS; round++) {
        files_close(history);
        status = ae_log_is_on(&session->db->log) ? files_find(history, number) : AERO_NOT_FOUND;
    }
    if (status == AERO_OK)
        status = memory_make(history);
    if (status == AERO_OK)
        status = tables_fill(history, number);
    if (status == AERO_NOT_FOUND)
        status = not_kept(history, number);
    if (status == AERO_OK)
        *out = history;
    else
        ae_history_close(history);
    return status;
}

aero_session *ae_history_session(const ae_history *history)
{
    return history->session;
}

void ae_history_close(ae_history *history)
{
    if (history->sunk)
        (void)ae_sink_close(&history->sink, false);
    if (history->session != NULL)
        ae_session_free(history->session);
    if (history->db != NULL)
        ae_db_free(history->db);
    files_close(history);
    free(history);
}
