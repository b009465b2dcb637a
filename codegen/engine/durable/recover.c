/* recover.c — from files to the tables of a new segment: newest checkpoint, then the log.
 *
 * Recovery reads only; no file is changed, so it may be done again by another, or by several at
 * once.  The segment that is filled has no name until all of it is there.  What comes after goes to
 * a new log file that begins where recovery ended: so a torn tail is cut off without being touched.
 *
 * The rule (README.md): D is the greatest durable position that a checkpoint or any valid frame
 * names.  If the stream of good frames ends below D, what follows was on disk and is damaged:
 * refused.  If it ends at D or above, the rest was never acknowledged as durable: cut, and told.
 */
#include <errno.h>
#include <string.h>

#include "base/crc.h"
#include "base/os_file.h"
#include "base/os_store.h"
#include "durable/sink.h"
#include "table/index_build.h"
#include "table/table.h"
#include "txn/age.h"
#include "txn/txn.h"

typedef struct recovery {
    aero_db *db;
    aero_session *session;
    const ae_recovery_goal *goal;
    ae_recovery_report *report;
    ae_checkpoint_file checkpoint;
    ae_log_files files;
    ae_log_reader reader;
    ae_sink sink;
    ae_log_position end; /* where the log goes on */
    bool stopped;        /* the goal is reached */
    bool passed;         /* a checkpoint was left out: the goal lies before it */
    int64_t marked_us;   /* the wall clock of the last mark of time, and of the youngest frame */
    int64_t youngest_us;
} recovery;

/* ---- how far it is -------------------------------------------------------------------------- */

#define TELL_EVERY_NS 100000000u

aero_status aei_recovery_tell(ae_recovery_teller *teller, enum aero_recovery_phase phase,
                              uint64_t done, bool now, aero_error *error)
{
    if (teller->call == NULL)
        return AERO_OK;
    const uint64_t time_ns = ae_os_monotonic_ns();
    if (!now && time_ns - teller->told_ns < TELL_EVERY_NS)
        return AERO_OK;
    teller->told_ns = time_ns;
    const uint64_t most = done < teller->all ? done : teller->all;
    AE_ASSERT(most <= teller->all);
    if (teller->call(teller->context, (int32_t)phase, most, teller->all) == 0)
        return AERO_OK;
    return ae_fail(error, AERO_INTERRUPTED,
                   "the recovery was ended by who asked for it, after %llu of %llu bytes; nothing "
                   "was changed",
                   (unsigned long long)most, (unsigned long long)teller->all);
}

/* The beginning: what there is to read. */
static aero_status tell_first(const recovery *of)
{
    const bool has_checkpoint = of->checkpoint.fd >= 0;
    of->goal->teller->all = has_checkpoint ? of->checkpoint.size : 0;
    for (uint32_t index = 0; index < of->files.count; index++)
        of->goal->teller->all += of->files.files[index].size;
    return aei_recovery_tell(of->goal->teller,
                             has_checkpoint ? AERO_RECOVERY_CHECKPOINT : AERO_RECOVERY_LOG, 0, true,
                             &of->session->error);
}

static aero_status tell_replayed(const recovery *of)
{
    AE_ALWAYS(of->reader.file < of->files.count);
    uint64_t done = of->checkpoint.fd >= 0 ? of->checkpoint.size : 0;
    for (uint32_t index = 0; index < of->reader.file; index++)
        done += of->files.files[index].size;
    done += of->reader.lsn - of->files.files[of->reader.file].base;
    return aei_recovery_tell(of->goal->teller, AERO_RECOVERY_LOG, done, false, &of->session->error);
}

/* All is read: the indexes are left. */
static aero_status indexes_fill(const recovery *of)
{
    ae_recovery_teller *teller = of->goal->teller;
    const uint64_t all = teller->all;
    aero_error *error = &of->session->error;
    aero_status status = aei_recovery_tell(teller, AERO_RECOVERY_INDEXES, all, true, error);
    if (status == AERO_OK)
        status = aei_indexes_fill(of->session);
    return status != AERO_OK ? status
                             : aei_recovery_tell(teller, AERO_RECOVERY_INDEXES, all, true, error);
}

/* ---- times of what is recovered ------------------------------------------------------------- */

/* Rows live on for the rest of their time: what has been applied was written by `wall_us`.  Its
 * commit is made now, so that it has a number of its own, when some rows may expire and the last
 * one was some time before. */
static aero_status time_mark(recovery *of, int64_t wall_us, bool last)
{
    of->youngest_us = wall_us > of->youngest_us ? wall_us : of->youngest_us;
    if (!last && (!ae_ttl_active(of->db) || of->youngest_us - of->marked_us < AE_AGE_LEAST_US))
        return AERO_OK;
    const aero_status status = last ? AERO_OK : ae_sink_commit(&of->sink);
    if (of->youngest_us > 0)
        ae_age_mark_at(of->db, of->youngest_us);
    of->marked_us = of->youngest_us;
    return status;
}

/* ---- do the files belong together, and to us? ----------------------------------------------- */

static aero_status check_origin(const recovery *of, const char *path, uint32_t stack,
                                uint64_t fingerprint, const char *package, aero_error *error)
{
    AE_ALWAYS(path != NULL && package != NULL);
    const struct aero_schema *schema = of->db->schema;
    if (strncmp(package, schema->package, 23) != 0)
        return ae_fail(error, AERO_MISMATCH, "%.500s is of package %.23s, not %s", path, package,
                       schema->package);
    if (stack != (uint32_t)aei_durable_stack(of->db->profile_kind))
        return ae_fail(error, AERO_MISMATCH, "%.500s holds records of another profile", path);
    if (stack == AE_STACK_ROW && fingerprint != schema->fingerprint)
        return ae_fail(error, AERO_MISMATCH,
                       "%.500s was written with schema %016llx, this package has %016llx; only the "
                       "profile logical restores into a changed schema",
                       path, (unsigned long long)fingerprint,
                       (unsigned long long)schema->fingerprint);
    return AERO_OK;
}

/* The file of the log where replaying begins, or the first one. */
static const ae_log_file *file_behind(const recovery *of)
{
    const ae_log_file *found = of->files.count > 0 ? &of->files.files[0] : NULL;
    for (uint32_t index = 1; index < of->files.count; index++)
        if (of->files.files[index].base <= of->checkpoint.head.replay_lsn)
            found = &of->files.files[index];
    return found;
}

/* The identity that the store has here: its own, or one that goes on from a copy's. */
static void identity_adopt(const recovery *of)
{
    aero_db *db = of->db;
    const uint8_t *newest = of->files.count > 0      ? of->files.files[of->files.count - 1].store
                            : of->checkpoint.fd >= 0 ? of->checkpoint.store
                                                     : db->segment.header->store_id;
    if (db->durable == NULL) /* the files are looked at, and nothing will be written */
        return;
    const struct {
        uint64_t inode;
        uint64_t birth;
    } place = {db->spec.data_inode, ae_os_directory_birth(db->durable->directory_fd)};
    uint8_t store[16];
    ae_store_at(store, newest, ae_crc32c(0, &place, sizeof place));
    ae_segment_adopt(&db->segment, store);
}

static aero_status check_files(const recovery *of, aero_error *error)
{
    const ae_checkpoint_file *checkpoint = &of->checkpoint;
    const bool has_checkpoint = checkpoint->fd >= 0;
    aero_status status = AERO_OK;
    if (has_checkpoint)
        status = check_origin(of, checkpoint->path, checkpoint->head.stack, checkpoint->head.schema,
                              checkpoint->head.package, error);
    for (uint32_t index = 0; index < of->files.count && status == AERO_OK; index++) {
        const ae_log_file *file = &of->files.files[index];
        status = check_origin(of, file->path, file->head.stack, file->head.schema,
                              file->head.package, error);
    }
    if (status != AERO_OK)
        return status;
    const ae_log_file *behind = has_checkpoint ? file_behind(of) : NULL;
    const bool alone = has_checkpoint && (checkpoint->head.flags & AE_CHECKPOINT_ALONE) != 0;
    /* One that stands alone has no log of its own; what goes on from it may be elsewhere. */
    if (behind != NULL && !(alone ? ae_store_follows(checkpoint->store, behind->store)
                                  : memcmp(checkpoint->store, behind->store, 16) == 0))
        return ae_fail(error, AERO_MISMATCH,
                       "%.400s and %.400s are of different stores; nothing was changed",
                       behind->path, checkpoint->path);
    const bool from_start = of->files.count > 0 && of->files.files[0].head.after == 0;
    if (!has_checkpoint && of->passed && !from_start)
        return ae_fail(error, AERO_NOT_FOUND,
                       "the oldest checkpoint that is kept, %.500s, is younger than what is asked",
                       checkpoint->path);
    if (!has_checkpoint && of->files.count > 0 && !from_start)
        return ae_fail(error, AERO_CORRUPT,
                       "the log begins at %llu with %.500s: the checkpoint before it is missing",
                       (unsigned long long)of->files.files[0].head.after, of->files.files[0].path);
    if (has_checkpoint && of->files.count == 0 && !alone && !of->goal->lenient)
        return ae_fail(error, AERO_CORRUPT,
                       "the log that belongs to %.500s, from %llu on, is missing", checkpoint->path,
                       (unsigned long long)checkpoint->head.replay_lsn);
    return AERO_OK;
}

/* Repair: what follows is left out. */
static aero_status spoilt(recovery *of)
{
    AE_ALWAYS(of->goal->lenient);
    of->report->damage = 1;
    ae_error_clear(&of->session->error);
    return AERO_OK;
}

/* ---- the checkpoint ------------------------------------------------------------------------- */

static aero_status load_rows(recovery *of)
{
    uint64_t rows = 0;
    const aero_status status = aei_rows_load(of->session, &of->checkpoint, of->goal, &rows);
    of->sink.rows += rows;
    if (status == AERO_CORRUPT && of->goal->lenient)
        return spoilt(of);
    return status;
}

/* ---- the log -------------------------------------------------------------------------------- */

static aero_status piece_apply(void *context, const uint8_t *data, size_t size, aero_error *error)
{
    recovery *of = context;
    (void)error; /* the sink's are the session's, which this is */
    const aero_status status = ae_sink_apply(&of->sink, data, size);
    return status == AERO_OK ? ae_sink_flush(&of->sink) : status;
}

static aero_status commit_apply(recovery *of, const ae_commit *commit)
{
    AE_ALWAYS(!of->stopped && of->reader.frame != NULL);
    aero_status status = AERO_OK;
    if (commit->number <= of->end.number)
        return AERO_OK; /* the checkpoint has it */
    if (commit->number > of->goal->number || of->reader.frame->time_us > of->goal->time_us) {
        of->stopped = true;
        return AERO_OK;
    }
    if (commit->pieces > 0)
        status = ae_pieces_read(&of->files, commit->last_piece, commit->pieces, piece_apply, of,
                                &of->session->error);
    if (status == AERO_OK)
        status = ae_sink_apply(&of->sink, commit->data, commit->size);
    if (status == AERO_OK)
        of->report->commits++;
    return status;
}

static aero_status frame_apply(recovery *of)
{
    AE_ALWAYS(of->reader.frame->kind == AE_FRAME_COMMITS);
    ae_commits_head head;
    ae_commits commits;
    ae_commit commit;
    uint64_t last = of->end.number;
    ae_commits_start(&commits, of->reader.frame);
    memcpy(&head, of->reader.frame + 1, sizeof head); /* the reader has judged it */
    of->end.framed = head.upto;
    if (of->stopped)
        return AERO_OK;
    for (;;) {
        aero_status status = ae_commits_next(&commits, &commit, &of->session->error);
        if (status != AERO_OK)
            return status;
        if (commit.data == NULL || of->stopped)
            break;
        status = commit_apply(of, &commit);
        if (status != AERO_OK)
            return status;
        last = commit.number > last && !of->stopped ? commit.number : last;
    }
    AE_ALWAYS(last >= of->end.number);
    of->end.number = last;
    const aero_status status = ae_sink_flush(&of->sink);
    return status == AERO_OK ? time_mark(of, of->reader.frame->time_us, false) : status;
}

/* The stream of good frames has ended: torn there, or damaged? */
static aero_status judge_end(recovery *of)
{
    AE_ALWAYS(of->reader.frame == NULL && of->reader.fault != AE_FRAME_GOOD);
    ae_log_reader *reader = &of->reader;
    aero_error *error = &of->session->error;
    const ae_log_file *at = &of->files.files[reader->file];
    const uint64_t good = reader->lsn > at->base ? reader->lsn - at->base : 0;
    const aero_status status = ae_log_reader_beyond(reader, error);
    if (status != AERO_OK)
        return status;
    uint64_t durable = reader->durable;
    if (of->checkpoint.fd >= 0 && of->checkpoint.head.durable > durable)
        durable = of->checkpoint.head.durable;
    /* So is a stream that ends before the last file, which says that it was durable up to there. */
    const bool damaged = durable > reader->lsn;
    AE_ASSERT(damaged || reader->file + 1 == of->files.count);
    if (damaged && of->goal->lenient)
        return spoilt(of);
    if (damaged)
        return ae_fail(error, AERO_CORRUPT,
                       "log %.400s, offset %llu: %s, but the log was durable up to position %llu "
                       "(this is %llu); nothing was changed",
                       at->path, (unsigned long long)good, ae_frame_fault_text(reader->fault),
                       (unsigned long long)durable, (unsigned long long)reader->lsn);
    of->report->cut_lsn = reader->lsn;
    of->report->cut_bytes = at->size > good ? at->size - good : 0;
    return AERO_OK;
}

static aero_status replay(recovery *of)
{
    aero_error *error = &of->session->error;
    const uint64_t from = of->checkpoint.fd >= 0 ? of->checkpoint.head.replay_lsn : UINT64_MAX;
    if (of->files.count == 0) {
        of->end.framed = of->checkpoint.head.number;
        return AERO_OK;
    }
    aero_status status = ae_log_reader_start(&of->reader, &of->files, from, error);
    if (status != AERO_OK && of->goal->lenient)
        return spoilt(of);
    if (status != AERO_OK)
        return ae_fail(error, AERO_CORRUPT,
                       "no file of the log holds %llu, where replay after %.500s begins",
                       (unsigned long long)from, of->checkpoint.path);
    for (;;) {
        status = ae_log_reader_next(&of->reader, error);
        if (status != AERO_OK || of->reader.frame == NULL)
            break;
        of->sink.file = of->files.files[of->reader.file].path;
        of->end.previous = of->reader.frame->lsn;
        if (of->reader.frame->kind == AE_FRAME_COMMITS)
            status = frame_apply(of);
        else if (of->reader.frame->kind == AE_FRAME_FILE)
            of->end.framed = of->files.files[of->reader.file].head.number;
        if (status == AERO_OK)
            status = tell_replayed(of);
        if (status != AERO_OK)
            break;
    }
    if (status == AERO_CORRUPT && of->goal->lenient)
        status = spoilt(of);
    else if (status == AERO_OK)
        status = judge_end(of);
    of->end.lsn = of->reader.lsn;
    ae_log_reader_end(&of->reader);
    return status;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static aero_status recover_tables(recovery *of)
{
    AE_ALWAYS(of->session != NULL && !of->session->txn.open);
    if (of->checkpoint.fd >= 0)
        of->end = (ae_log_position){.lsn = of->checkpoint.head.replay_lsn,
                                    .previous = of->checkpoint.head.replay_lsn};
    aero_status status = ae_sink_open(&of->sink, of->session,
                                      aei_durable_stack(of->db->profile_kind));
    ae_index_defer(of->db);
    if (status == AERO_OK)
        status = tell_first(of);
    if (status == AERO_OK && of->checkpoint.fd >= 0)
        status = load_rows(of);
    if (status == AERO_OK && of->checkpoint.fd >= 0)
        status = time_mark(of, of->checkpoint.head.time_us, false);
    if (of->checkpoint.fd >= 0)
        of->end.number = of->checkpoint.head.number;
    if (status == AERO_OK && of->report->damage == 0)
        status = replay(of);
    of->report->rows = of->sink.rows;
    const aero_status closed = ae_sink_close(&of->sink, status == AERO_OK);
    (void)time_mark(of, of->youngest_us, true);
    status = status != AERO_OK ? status : closed;
    return status != AERO_OK ? status : indexes_fill(of);
}

static aero_status recover_run(recovery *of, aero_error *error)
{
    aero_status status = ae_session_new(of->db, &of->session, error);
    if (status != AERO_OK)
        return status;
    status = recover_tables(of);
    if (status != AERO_OK && error != NULL)
        *error = of->session->error;
    AE_ALWAYS(!of->session->txn.open);
    ae_session_free(of->session);
    return status;
}

/* Is the checkpoint younger than what is asked for? */
static bool is_beyond(const recovery *of)
{
    const ae_checkpoint_file *file = &of->checkpoint;
    return file->fd >= 0 &&
           (file->head.number > of->goal->number || file->head.time_us > of->goal->time_us);
}

/* The newest checkpoint that lies before the goal, of those that are kept; none, if the log reaches
 * back to the beginning. */
static aero_status checkpoint_choose(recovery *of, const char *path, aero_error *error)
{
    const ae_file_names *names = aei_durable_names(of->db->profile_kind);
    ae_checkpoint_file *file = &of->checkpoint;
    char older[PATH_MAX];
    aero_status status = aei_checkpoint_open(file, path, error);
    if (status == AERO_CORRUPT && of->goal->lenient) {
        of->report->damage = 1;
        return AERO_OK;
    }
    while (status == AERO_OK && is_beyond(of)) {
        const uint64_t serial = aei_checkpoint_older(of->db->data_dir, names->checkpoint,
                                                     file->serial);
        aei_checkpoint_close(file); /* its path stays: it may be the oldest */
        file->head = (ae_checkpoint_head){0};
        file->serial = 0;
        of->passed = true;
        if (serial == 0)
            return AERO_OK;
        if (!aei_checkpoint_kept(of->db->data_dir, names->checkpoint, serial, older, sizeof older))
            return ae_fail(error, AERO_IO, "the path of the checkpoint is too long");
        status = aei_checkpoint_open(file, older, error);
    }
    return status;
}

aero_status aei_recover(aero_db *db, const ae_recovery_goal *goal, ae_recovery_report *report,
                        aero_error *error)
{
    AE_ALWAYS(db->segment.created && goal != NULL);
    const ae_file_names *names = aei_durable_names(db->profile_kind);
    const uint64_t began = ae_os_monotonic_ns();
    enum ae_profile found = AE_PROFILES;
    char path[PATH_MAX];
    recovery of = {.db = db, .goal = goal, .report = report};
    memset(report, 0, sizeof *report);
    of.checkpoint.fd = -1;
    aero_status status = aei_durable_profile(db->data_dir, &found, error);
    if (status == AERO_OK && found != AE_PROFILES && found != db->profile_kind)
        status = ae_fail(error, AERO_MISMATCH, "%.500s holds a store of another profile than %s",
                         db->data_dir, db->profile);
    if (status == AERO_OK &&
        !aei_durable_path(db->data_dir, names->checkpoint, "", path, sizeof path))
        status = ae_fail(error, AERO_IO, "the path of the checkpoint is too long");
    if (status == AERO_OK && found != AE_PROFILES)
        status = checkpoint_choose(&of, path, error);
    if (status == AERO_OK && found != AE_PROFILES)
        status = ae_log_files_open(&of.files, db->data_dir, names->log, error);
    if (status == AERO_OK)
        status = check_files(&of, error);
    if (status == AERO_OK)
        identity_adopt(&of);
    if (status == AERO_OK && found != AE_PROFILES)
        status = recover_run(&of, error);
    if (status == AERO_OK) {
        const uint64_t clock = ae_load64(&db->proc.shared->clock);
        report->number = of.end.number; /* of the files: recovery's own commits moved the clock */
        of.end.number = of.end.number > clock ? of.end.number : clock;
        of.end.base = UINT64_MAX;
        report->lsn = of.end.lsn;
        ae_store64(&db->settings->checkpoint_serial, of.checkpoint.serial);
        ae_store64(&db->settings->checkpoint_lsn, of.checkpoint.head.replay_lsn);
        ae_store64(&db->settings->checkpoint_number, of.checkpoint.head.number);
        db->settings->recovered_rows = report->rows;
        db->settings->recovered_commits = report->commits;
        db->settings->recovered_cut_bytes = report->cut_bytes;
        db->settings->recovered_us = (ae_os_monotonic_ns() - began) / 1000;
        ae_log_start(&db->log, &of.end);
    }
    ae_log_files_close(&of.files);
    aei_checkpoint_close(&of.checkpoint);
    report->elapsed_ms = (double)(ae_os_monotonic_ns() - began) / 1e6;
    return status;
}
