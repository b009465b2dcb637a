/* checkpoint.c — writing all rows of one snapshot to a file, and cutting the log behind it.
 *
 * Order of what happens; a death after any step leaves the previous checkpoint and all of the log
 * that belongs to it, or the new one:
 *
 *   1 the log goes on in a new file: commits up to N lie before it, and are durable
 *   2 a snapshot S >= N is taken; its rows go to "<name>.new", which is synced
 *   3 the log is made durable up to S, so that the checkpoint is never ahead of it
 *   4 the new file takes the name, and the directory is synced
 *   5 files of the log that end before the one of step 1 are removed, or kept by the setting
 *
 * Replay begins with the file of step 1 and skips commits up to S.
 *
 * At most one process does this at a time: it holds a byte of the lock file.  Readers and writers
 * go on; the snapshot only keeps versions that it may still need.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc.h"
#include "base/os_file.h"
#include "durable/durable_private.h"
#include "table/table.h"
#include "txn/session.h"
#include "txn/txn.h"

/* How long a checkpoint on demand waits for another's end. */
#define CHECKPOINT_WAIT_MS 60000u
/* Between two looks whether to go on waiting. */
#define LOCK_PIECE_MS 50u
#define SCAN_ROWS 128u
/* Shorter rests cost more than they give, and would be longer than asked for. */
#define REST_LEAST_NS 1000000u
/* Who commits more seldom than this is not held up by a checkpoint. */
#define OTHERS_WITHIN_NS 20000000u

/* ---- the file ------------------------------------------------------------------------------- */

typedef struct block_out {
    const ae_checkpoint_job *job;
    aero_session *session;
    int fd;
    uint64_t offset;
    uint32_t number;
    uint32_t rows; /* in the block */
    uint8_t *data; /* header and payload */
    size_t size;   /* used */
    size_t capacity;
    uint64_t row_total;
    ae_os_pack pack; /* open when blocks are to be packed */
    uint8_t *packed; /* a packed block, of the same capacity */
    size_t packed_capacity;
    uint64_t worked_ns; /* processor time at the end of the last rest */
} block_out;

static aero_status out_fail(block_out *out, int failure, const char *what)
{
    AE_ALWAYS(failure != 0);
    return ae_fail_errno(&out->session->error,
                         failure == ENOSPC || failure == EDQUOT ? AERO_FULL : AERO_IO, failure,
                         "cannot %s the checkpoint %.500s", what, out->job->path);
}

/* Pack the rows that have been gathered.  Returns how long the block is, or 0: it stays as it is,
 * since that is no longer, or there is no memory. */
static size_t block_pack(block_out *out)
{
    const size_t front = sizeof(ae_block_head) + sizeof(ae_packed_head);
    const size_t size = out->size - sizeof(ae_block_head);
    AE_ALWAYS(out->size >= sizeof(ae_block_head) && out->size <= out->capacity);
    const ae_packed_head head = {.method = AE_PACKED_ZSTD, .length = (uint32_t)size};
    if (out->packed_capacity < out->capacity) {
        uint8_t *grown = realloc(out->packed, out->capacity);
        if (grown == NULL)
            return 0;
        out->packed = grown;
        out->packed_capacity = out->capacity;
    }
    if (out->size <= front)
        return 0;
    const size_t packed = ae_os_pack_do(&out->pack, out->packed + front, out->size - front,
                                        out->data + sizeof(ae_block_head), size);
    memcpy(out->packed + sizeof(ae_block_head), &head, sizeof head);
    AE_ALWAYS(packed <= out->size - front);
    return packed == 0 ? 0 : front + packed;
}

/* Let the others have the processor for as long as the manner says. */
static void block_rest(block_out *out)
{
    const ae_checkpoint_manner *manner = out->job->manner;
    if (manner == NULL)
        return;
    if (!manner->between(manner->context) || manner->rest_percent == 0) {
        out->worked_ns = ae_os_thread_ns();
        return;
    }
    AE_ALWAYS(manner->rest_percent < 100);
    const uint64_t worked = ae_os_thread_ns() - out->worked_ns;
    const uint64_t rest = worked * manner->rest_percent / (100 - manner->rest_percent);
    if (rest < REST_LEAST_NS)
        return;
    ae_os_sleep_ns(rest);
    out->worked_ns = ae_os_thread_ns();
}

/* Write the block that has been gathered. */
static aero_status block_write(block_out *out, enum ae_block_kind kind)
{
    AE_ALWAYS(out->fd >= 0 && out->size > sizeof(ae_block_head));
    const size_t packed = kind == AE_BLOCK_ROWS && out->pack.library != NULL ? block_pack(out) : 0;
    uint8_t *data = packed != 0 ? out->packed : out->data;
    const size_t size = packed != 0 ? packed : out->size;
    AE_ALWAYS(size >= sizeof(ae_block_head) && size <= AE_BLOCK_MAX);
    ae_block_head head = {.magic = AE_CHECKPOINT_MAGIC,
                          .length = (uint32_t)size,
                          .kind = packed != 0 ? AE_BLOCK_PACKED : kind,
                          .serial = out->job->serial,
                          .number = out->number,
                          .rows = out->rows};
    memcpy(head.store, out->job->store, sizeof head.store);
    memcpy(data, &head, sizeof head);
    head.checksum = ae_crc32c(0, data + 8, size - 8);
    memcpy(data + 4, &head.checksum, 4);
    const int failure = ae_os_file_write(out->fd, out->offset, data, size);
    if (failure != 0)
        return out_fail(out, failure, "write");
    AE_CRASH_POINT("checkpoint.block");
    out->offset += size;
    out->row_total += out->rows;
    out->number++;
    out->rows = 0;
    out->size = sizeof(ae_block_head);
    block_rest(out);
    return AERO_OK;
}

static aero_status row_put(block_out *out, uint32_t table, const ae_view *view)
{
    const aero_table *of = &out->session->db->schema->tables[table];
    const ae_image image = {view->row, view->base};
    for (;;) {
        const size_t room = out->capacity - out->size;
        AE_ASSERT(out->size >= sizeof(ae_block_head) && out->size <= out->capacity);
        const size_t size = ae_codec_encode(aei_durable_stack(out->session->db->profile_kind), of,
                                            table, AE_OP_INSERT, NULL, &image,
                                            out->data + out->size, room);
        if (size <= room) {
            out->size += size;
            out->rows++;
            return out->size >= AE_BLOCK_TARGET ? block_write(out, AE_BLOCK_ROWS) : AERO_OK;
        }
        if (out->rows > 0) {
            const aero_status status = block_write(out, AE_BLOCK_ROWS);
            if (status != AERO_OK)
                return status;
            continue;
        }
        uint8_t *grown = realloc(out->data, sizeof(ae_block_head) + size);
        if (grown == NULL)
            return ae_fail(&out->session->error, AERO_NO_MEMORY, "no memory for a checkpoint");
        out->data = grown;
        out->capacity = sizeof(ae_block_head) + size;
    }
}

static aero_status rows_write(block_out *out, ae_reader *reader)
{
    const struct aero_schema *schema = out->session->db->schema;
    ae_view views[SCAN_ROWS];
    ae_scan scan;
    aero_status status = AERO_OK;
    for (uint32_t table = 0; table < schema->table_count && status == AERO_OK; table++) {
        ae_scan_start(&scan, reader, table);
        for (size_t count;
             status == AERO_OK && (count = ae_scan_next(&scan, views, SCAN_ROWS)) > 0;)
            for (size_t index = 0; index < count && status == AERO_OK; index++)
                status = row_put(out, table, &views[index]);
        if (status == AERO_OK && out->rows > 0)
            status = block_write(out, AE_BLOCK_ROWS);
    }
    return status;
}

static aero_status head_write(block_out *out)
{
    AE_ALWAYS(out->number == 0 && out->offset == 0 && out->job->serial != 0);
    memcpy(out->data + out->size, &out->job->head, sizeof out->job->head);
    out->size += sizeof out->job->head;
    return block_write(out, AE_BLOCK_HEAD);
}

static aero_status end_write(block_out *out)
{
    AE_ALWAYS(out->rows == 0 && out->size == sizeof(ae_block_head));
    ae_checkpoint_end end = {.rows = out->row_total,
                             .bytes = out->offset + sizeof(ae_block_head) + sizeof end,
                             .blocks = (uint64_t)out->number + 1};
    memcpy(out->data + out->size, &end, sizeof end);
    out->size += sizeof end;
    return block_write(out, AE_BLOCK_END);
}

/* A snapshot that sees commits up to job->least: the clock may be a moment behind the log. */
static aero_status snapshot_open(aero_session *session, uint64_t least, ae_reader *reader)
{
    for (uint32_t attempt = 0;; attempt++) {
        const aero_status status = ae_reader_open(session, true, reader);
        if (status != AERO_OK || reader->snapshot >= least)
            return status;
        ae_reader_close(reader);
        ae_backoff(session, attempt);
    }
}

aero_status aei_checkpoint_write(aero_session *session, ae_checkpoint_job *job,
                                 ae_checkpoint_report *report)
{
    ae_reader reader;
    block_out out = {.job = job,
                     .session = session,
                     .fd = -1,
                     .size = sizeof(ae_block_head),
                     .capacity = 2 * AE_BLOCK_TARGET};
    aero_status status = snapshot_open(session, job->least, &reader);
    if (status != AERO_OK)
        return status;
    AE_ALWAYS(reader.snapshot >= job->least);
    job->head.number = reader.snapshot;
    job->head.time_us = ae_os_wall_us();
    /* Where the library has gone since the setting was made, the checkpoint matters more. */
    if (ae_load64(&session->db->settings->checkpoint_compression) != 0 &&
        ae_os_pack_open(&out.pack))
        job->head.format = AE_CHECKPOINT_FORMAT_PACKED;
    out.worked_ns = ae_os_thread_ns();
    out.data = malloc(out.capacity);
    int failure = 0;
    if (out.data == NULL)
        status = ae_fail(&session->error, AERO_NO_MEMORY, "no memory for a checkpoint");
    else if ((failure = ae_os_file_open(job->path, AE_FILE_CREATE, &out.fd)) != 0)
        status = out_fail(&out, failure, "make");
    if (status == AERO_OK)
        status = head_write(&out);
    if (status == AERO_OK)
        status = rows_write(&out, &reader);
    ae_reader_close(&reader);
    if (status == AERO_OK)
        status = end_write(&out);
    if (status == AERO_OK && (failure = ae_os_file_sync(out.fd)) != 0)
        status = out_fail(&out, failure, "sync");
    if (out.fd >= 0)
        ae_os_file_close(out.fd);
    free(out.data);
    free(out.packed);
    ae_os_pack_close(&out.pack);
    report->rows = out.row_total;
    report->bytes = out.offset;
    report->number = job->head.number;
    return status;
}

/* ---- older ones that are kept --------------------------------------------------------------- */

bool aei_checkpoint_kept(const char *directory, const char *name, uint64_t serial, char *out,
                         size_t size)
{
    char ending[32];
    snprintf(ending, sizeof ending, ".%020llu", (unsigned long long)serial);
    return aei_durable_path(directory, name, ending, out, size);
}

typedef struct older {
    const char *name;
    uint64_t below;
    uint64_t found;
} older;

static int older_found(void *context, const char *found)
{
    older *of = context;
    const size_t length = strlen(of->name);
    if (strncmp(found, of->name, length) != 0 || found[length] != '.' ||
        strspn(found + length + 1, "0123456789") != 20 || found[length + 21] != '\0')
        return 0;
    uint64_t serial = 0;
    for (const char *digit = found + length + 1; *digit != '\0'; digit++)
        if (__builtin_mul_overflow(serial, 10u, &serial) ||
            __builtin_add_overflow(serial, (uint64_t)(*digit - '0'), &serial))
            return 0;
    if (serial < of->below && serial > of->found)
        of->found = serial;
    return 0;
}

uint64_t aei_checkpoint_older(const char *directory, const char *name, uint64_t serial)
{
    AE_ALWAYS(directory != NULL && name[0] != '\0');
    older of = {.name = name, .below = serial};
    return ae_os_directory_list(directory, older_found, &of) == 0 ? of.found : 0;
}

/* Give the checkpoint that is about to be replaced a name of its own, by its own serial number,
 * when older times are kept. */
static void checkpoint_keep(const aero_db *db, const char *path)
{
    char kept[PATH_MAX];
    ae_checkpoint_file file;
    if (ae_load64(&db->settings->keep_log) == 0 ||
        aei_checkpoint_open(&file, path, NULL) != AERO_OK || file.fd < 0)
        return;
    if (aei_checkpoint_kept(db->data_dir, aei_durable_names(db->profile_kind)->checkpoint,
                            file.serial, kept, sizeof kept))
        (void)ae_os_file_name(file.fd, kept);
    aei_checkpoint_close(&file);
}

/* Where no older times are kept any more, checkpoints of before are of no use without the log. */
static void kept_remove(const aero_db *db)
{
    const char *name = aei_durable_names(db->profile_kind)->checkpoint;
    char kept[PATH_MAX];
    uint64_t serial = UINT64_MAX;
    while ((serial = aei_checkpoint_older(db->data_dir, name, serial)) != 0 &&
           aei_checkpoint_kept(db->data_dir, name, serial, kept, sizeof kept))
        (void)ae_os_file_unlink(kept);
}

/* ---- cutting the log ------------------------------------------------------------------------ */

/* Remove the files that end where `keep` begins, or before.  What cannot be removed is harmless,
 * and met again next time. */
static void log_cut(const aero_db *db, uint64_t keep)
{
    ae_log_files files;
    if (ae_load64(&db->settings->keep_log) != 0 ||
        ae_log_files_open(&files, db->data_dir, aei_durable_names(db->profile_kind)->log, NULL) !=
            AERO_OK)
        return;
    for (uint32_t index = 0; index < files.count; index++)
        if (files.files[index].end <= keep)
            (void)ae_os_file_unlink(files.files[index].path);
    ae_log_files_close(&files);
    kept_remove(db);
    (void)ae_os_directory_sync(db->data_dir);
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* The new file, durable, and the log up to what is in it. */
static aero_status checkpoint_make(aero_session *session, const char *fresh,
                                   const ae_log_position *position, uint64_t inode,
                                   const ae_checkpoint_manner *manner, ae_checkpoint_report *report)
{
    aero_db *db = session->db;
    (void)ae_os_file_unlink(fresh); /* of one who died; nobody else has the lock */
    const uint64_t serial = ae_load64_acquire(&db->settings->checkpoint_serial) + 1;
    ae_checkpoint_job job = {.path = fresh,
                             .serial = serial,
                             .least = position->number,
                             .manner = manner,
                             .head = {.format = AE_CHECKPOINT_FORMAT,
                                      .stack = aei_durable_stack(db->profile_kind),
                                      .schema = db->schema->fingerprint,
                                      .replay_lsn = position->lsn,
                                      .durable = position->lsn,
                                      .directory = inode}};
    memcpy(job.store, db->segment.header->store_id, sizeof job.store);
    snprintf(job.head.package, sizeof job.head.package, "%s", db->schema->package);
    aero_status status = aei_checkpoint_write(session, &job, report);
    AE_ALWAYS(status != AERO_OK || report->number >= position->number);
    if (status == AERO_OK)
        status = ae_log_flush(&db->log, &session->log_writer, job.head.number, AE_LOG_SYNC,
                              &session->error);
    AE_CRASH_POINT("checkpoint.written");
    if (status == AERO_OK && !ae_cas64(&db->settings->checkpoint_serial, serial - 1, serial))
        status = ae_fail(&session->error, AERO_IO,
                         "another process has written a checkpoint meanwhile: was %s removed?",
                         AE_LOCK_NAME);
    if (status != AERO_OK)
        (void)ae_os_file_unlink(fresh);
    return status;
}

/* With the lock held. */
static aero_status checkpoint_locked(aero_session *session, const ae_checkpoint_manner *manner,
                                     ae_checkpoint_report *report)
{
    aero_db *db = session->db;
    const ae_file_names *names = aei_durable_names(db->profile_kind);
    char path[PATH_MAX];
    char fresh[PATH_MAX];
    ae_log_position position;
    ae_os_file directory;
    if (!aei_durable_path(db->data_dir, names->checkpoint, "", path, sizeof path) ||
        !aei_durable_path(db->data_dir, names->checkpoint, ".new", fresh, sizeof fresh))
        return ae_fail(&session->error, AERO_IO, "the path of the checkpoint is too long");
    int failure = ae_os_stat(db->durable->directory_fd, &directory);
    if (failure != 0 || directory.links == 0)
        return ae_fail_errno(&session->error, AERO_IO, failure != 0 ? failure : ENOENT,
                             "the data directory %.500s is gone", db->data_dir);
    aero_status status = ae_log_rotate(&db->log, &session->log_writer, &position, &session->error);
    if (status != AERO_OK)
        return status;
    /* Large transactions that are still open have written to older files; should they commit after
     * the snapshot, replay needs that. */
    const uint64_t pieces = ae_log_oldest_piece(&db->log);
    AE_CRASH_POINT("checkpoint.rotated");
    status = checkpoint_make(session, fresh, &position, directory.inode, manner, report);
    if (status != AERO_OK)
        return status;
    checkpoint_keep(db, path);
    failure = ae_os_file_rename(fresh, path);
    if (failure == 0)
        failure = ae_os_directory_sync(db->data_dir);
    if (failure != 0)
        return ae_fail_errno(&session->error, AERO_IO, failure, "cannot name the checkpoint %.500s",
                             path);
    AE_CRASH_POINT("checkpoint.named");
    ae_store64(&db->settings->checkpoint_lsn, position.lsn);
    ae_store64(&db->settings->checkpoint_number, report->number);
    ae_store64(&db->settings->checkpoint_ns, ae_os_monotonic_ns());
    ae_add64(&db->settings->checkpoint_count, 1);
    AE_ALWAYS(db->durable->directory_fd >= 0);
    log_cut(db, pieces < position.lsn ? pieces : position.lsn);
    return AERO_OK;
}

/* Where somebody waits for the end: whether others are committing. */
typedef struct awaited {
    const aero_db *db;
    uint64_t clock;
    uint64_t moved_ns; /* when the clock was last seen to have moved; 0: not yet */
} awaited;

static bool awaited_between(void *context)
{
    awaited *of = context;
    const uint64_t now = ae_os_monotonic_ns();
    const uint64_t clock = ae_load64_acquire(&of->db->proc.shared->clock);
    AE_ALWAYS(clock >= of->clock);
    if (clock != of->clock)
        of->moved_ns = now;
    of->clock = clock;
    return of->moved_ns != 0 && now - of->moved_ns < OTHERS_WITHIN_NS;
}

/* Wait for another process's checkpoint, in pieces between which the session's hook is asked. */
static int lock_wait(aero_session *session, uint64_t wait_ms, int *fd)
{
    int failure = EAGAIN;
    for (uint64_t waited_ms = 0; failure == EAGAIN && waited_ms <= wait_ms;
         waited_ms += LOCK_PIECE_MS) {
        const uint64_t left_ms = wait_ms - waited_ms;
        failure = aei_lock_take(session->db->data_dir, AE_LOCK_CHECKPOINT,
                                left_ms < LOCK_PIECE_MS ? left_ms : LOCK_PIECE_MS, fd);
        if (failure == EAGAIN && !ae_session_patient(session))
            break;
    }
    AE_ALWAYS(failure != 0 || *fd >= 0);
    return failure;
}

aero_status ae_checkpoint(aero_session *session, const ae_checkpoint_manner *manner,
                          ae_checkpoint_report *report)
{
    aero_db *db = session->db;
    awaited waits = {.db = db, .clock = ae_load64_acquire(&db->proc.shared->clock)};
    const ae_checkpoint_manner patient = {
        .rest_percent = ae_load64(&db->settings->checkpoint_rest_percent),
        .between = awaited_between,
        .context = &waits};
    const uint64_t began = ae_os_monotonic_ns();
    int fd = -1;
    memset(report, 0, sizeof *report);
    if (session->txn.open)
        return ae_fail(&session->error, AERO_USAGE,
                       "a checkpoint cannot be taken inside a transaction");
    aero_status status = ae_log_directory_check(&db->log, &session->error);
    if (status != AERO_OK)
        return status;
    /* The keeper has other things to do than to wait. */
    const uint64_t wait_ms = manner == NULL ? CHECKPOINT_WAIT_MS : 0;
    const int failure = lock_wait(session, wait_ms, &fd);
    if (session->stopped)
        return ae_session_stopped(session);
    if (failure == EAGAIN)
        return ae_fail(&session->error, AERO_TIMEOUT,
                       "another process has been taking a checkpoint for %u seconds",
                       (unsigned)(wait_ms / 1000));
    if (failure != 0)
        return ae_fail_errno(&session->error, AERO_IO, failure, "cannot lock %.500s/%s",
                             db->data_dir, AE_LOCK_NAME);
    status = checkpoint_locked(session, manner != NULL ? manner : &patient, report);
    aei_lock_drop(fd, AE_LOCK_CHECKPOINT);
    report->elapsed_ms = (double)(ae_os_monotonic_ns() - began) / 1e6;
    return status;
}
