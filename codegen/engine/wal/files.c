/* files.c — the writer's files: finding the current one, making the next one.
 *
 * A file is made without a name, gets its first frame, is synced, and then named; a name that is
 * taken is never taken over.  So whoever was stopped while making one does no harm when it goes on:
 * its file gets a name of its own or none, and nothing of it counts unless its base was published.
 * Names are labels.  A file's base stands in its first frame, and it counts up to where the next
 * one says that the stream before it ended.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os_file.h"
#include "wal/log_private.h"

/* The first frame: header and head. */
#define FIRST_FRAME (AE_FRAME_HEADER + sizeof(ae_file_head))
/* How often a file is looked for under its two names, which a checkpoint may be exchanging. */
#define OPEN_TRIES 16
#define NAME_TRIES 4096

void ae_log_writer_init(ae_log_writer *writer, uint32_t member)
{
    memset(writer, 0, sizeof *writer);
    writer->fd = -1;
    writer->base = AEI_NO_BASE;
    writer->member = member;
}

void ae_log_writer_free(ae_log_writer *writer)
{
    ae_os_file_close(writer->fd);
    free(writer->buffer);
    ae_log_writer_init(writer, writer->member);
}

void ae_log_part_name(const ae_log *log, uint64_t base, char *out, size_t capacity)
{
    snprintf(out, capacity, "%s.%020llu", log->name, (unsigned long long)base);
}

static int path_of(const ae_log *log, uint64_t base, bool plain, char *path)
{
    char name[256];
    ae_log_part_name(log, base, name, sizeof name);
    const int length = snprintf(path, PATH_MAX, "%s/%s", log->directory, plain ? log->name : name);
    return length > 0 && length < PATH_MAX ? 0 : ENAMETOOLONG;
}

aero_status aei_file_fail(const ae_log *log, int failure, const char *what, aero_error *error)
{
    AE_ALWAYS(failure != 0 && what != NULL);
    const bool full = failure == ENOSPC || failure == EDQUOT || failure == EFBIG;
    return ae_fail_errno(error, full ? AERO_FULL : AERO_IO, failure, "cannot %s the log %s/%s",
                         what, log->directory, log->name);
}

aero_status ae_log_directory_check(const ae_log *log, aero_error *error)
{
    const ae_segment_header *header = log->proc->heap->segment->header;
    ae_os_file found;
    const int failure = ae_os_stat_path(log->directory, &found);
    if (failure == 0 && found.inode == header->data_inode && found.device == header->data_device)
        return AERO_OK;
    return ae_fail_errno(error, AERO_IO, failure != 0 ? failure : ESTALE,
                         "the data directory %.500s was moved, removed or replaced while in use",
                         log->directory);
}

/* Is the open file the one with this base? */
static bool file_is(const ae_log *log, int fd, uint64_t base)
{
    union {
        ae_frame frame;
        uint8_t bytes[FIRST_FRAME];
    } first;
    size_t got = 0;
    return ae_os_file_read(fd, 0, first.bytes, sizeof first.bytes, &got) == 0 &&
           got == sizeof first.bytes &&
           ae_frame_check_header(&first.frame, aei_store(log), base, UINT64_MAX) == AE_FRAME_GOOD &&
           first.frame.kind == AE_FRAME_FILE && ae_frame_check_sum(&first.frame);
}

aero_status aei_file_open(ae_log *log, ae_log_writer *writer, uint64_t base, aero_error *error)
{
    AE_ALWAYS(base != AEI_NO_BASE);
    char path[PATH_MAX];
    int failure = ENOENT;
    if (writer->fd >= 0 && writer->base == base)
        return AERO_OK;
    ae_os_file_close(writer->fd);
    writer->fd = -1;
    const aero_status status = ae_log_directory_check(log, error);
    if (status != AERO_OK)
        return status;
    for (int round = 0; round < OPEN_TRIES; round++) {
        const int bad = path_of(log, base, round % 2 != 0, path);
        if (bad != 0)
            return aei_file_fail(log, bad, "find", error);
        const int opened = ae_os_file_open(path, AE_FILE_WRITE, &writer->fd);
        if (opened == 0 && file_is(log, writer->fd, base)) {
            writer->base = base;
            return AERO_OK;
        }
        if (opened != ENOENT && opened != 0)
            failure = opened;
        if (opened == 0)
            ae_os_file_close(writer->fd);
        writer->fd = -1;
    }
    return aei_file_fail(log, failure, "find the current file of", error);
}

/* Write the first frame of a file whose base is position->lsn; `after` is where the stream before
 * it ends. */
static int first_write(ae_log *log, int fd, const ae_log_position *position, uint64_t after)
{
    AE_ALWAYS(fd >= 0);
    union {
        ae_frame frame;
        uint8_t bytes[FIRST_FRAME];
    } first = {.bytes = {0}};
    ae_file_head head = {.format = AE_LOG_FORMAT,
                         .stack = (uint32_t)log->stack,
                         .schema = log->schema,
                         .number = position->framed,
                         .base = position->lsn,
                         .after = after};
    memcpy(head.package, log->package, sizeof head.package);
    aei_frame_start(log, &first.frame, AE_FRAME_FILE, position);
    first.frame.length = sizeof first.bytes;
    memcpy(first.bytes + AE_FRAME_HEADER, &head, sizeof head);
    ae_frame_seal(&first.frame);
    const int failure = ae_os_file_write(fd, 0, first.bytes, sizeof first.bytes);
    return failure != 0 ? failure : ae_os_file_sync(fd);
}

/* Name a file: plainly when that name is free, in a new directory and after a checkpoint, else by
 * its base.  EEXIST when that is taken, or the plain one has the same base. */
static int file_name(const ae_log *log, int fd, uint64_t base)
{
    AE_ALWAYS(fd >= 0);
    char path[PATH_MAX];
    int other = -1;
    int failure = path_of(log, base, true, path);
    if (failure == 0)
        failure = ae_os_file_name(fd, path);
    if (failure != EEXIST)
        return failure;
    const bool opened = ae_os_file_open(path, AE_FILE_READ, &other) == 0;
    const bool same = opened && file_is(log, other, base);
    ae_os_file_close(other);
    if (same)
        return EEXIST;
    failure = path_of(log, base, false, path);
    return failure != 0 ? failure : ae_os_file_name(fd, path);
}

aero_status aei_file_make(ae_log *log, ae_log_writer *writer, uint64_t holder,
                          ae_log_position *position, bool avoid, aero_error *error)
{
    const uint64_t after = position->lsn;
    char path[PATH_MAX];
    ae_log_position from = *position;
    int fd = -1;
    const aero_status status = ae_log_directory_check(log, error);
    if (status != AERO_OK)
        return status;
    int failure = path_of(log, from.lsn, true, path);
    if (failure == 0)
        failure = ae_os_file_unnamed(path, &fd);
    if (failure != 0)
        return aei_file_fail(log, failure, "make a file of", error);
    AE_CRASH_POINT("log.file_made");
    failure = EEXIST;
    for (int round = 0; round < NAME_TRIES && failure == EEXIST; round++) {
        /* A base that nobody else uses, not even who is stopped here. */
        if (avoid || round > 0)
            from.lsn = after + AE_FRAME_ALIGN * (ae_add64(&log->shared->tries, 1) + 1);
        /* Nor is it above the base of whoever replaced us: it took its number later, or we see that
         * the word is not ours any more.  Its file would seem to end where ours begins. */
        failure = ae_load64_acquire(&log->shared->holder) == holder
                      ? first_write(log, fd, &from, after)
                      : ECANCELED;
        if (failure == 0)
            failure = file_name(log, fd, from.lsn);
    }
    AE_CRASH_POINT("log.file_named");
    if (failure == 0)
        failure = ae_os_directory_sync(log->directory);
    if (failure != 0) {
        ae_os_file_close(fd);
        return aei_file_fail(log, failure, "make a file of", error);
    }
    AE_ALWAYS(fd >= 0 && fd != writer->fd);
    ae_os_file_close(writer->fd);
    writer->fd = fd;
    writer->base = from.lsn;
    position->base = from.lsn;
    position->previous = from.lsn;
    position->lsn = from.lsn + FIRST_FRAME;
    return AERO_OK;
}
