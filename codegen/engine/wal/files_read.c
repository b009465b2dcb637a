/* files_read.c — finding the files of a log and judging their first frames (see reader.h). */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os_file.h"
#include "wal/reader.h"

#define FIRST_FRAME (AE_FRAME_HEADER + sizeof(ae_file_head))
#define PART_DIGITS 20u
/* Far more than a log ever has: each is ended at a gigabyte or by a checkpoint. */
#define FILES_MAX 100000u
/* A checkpoint removes files once; another one seconds later. */
#define LIST_ROUNDS 5u

typedef struct search {
    ae_log_files *files;
    const char *directory;
    const char *name;
    aero_error *error;
    aero_status status;
    bool gone; /* a name that was listed leads nowhere */
    bool last; /* ... which is not taken for a removal again */
} search;

/* Is it the log's plain name, or that of a part? */
static bool name_fits(const char *name, const char *found)
{
    const size_t length = strlen(name);
    if (strncmp(found, name, length) != 0)
        return false;
    if (found[length] == '\0')
        return true;
    return found[length] == '.' && strlen(found + length + 1) == PART_DIGITS &&
           strspn(found + length + 1, "0123456789") == PART_DIGITS;
}

static aero_status first_corrupt(const ae_log_file *file, const char *why, aero_error *error)
{
    return ae_fail(error, AERO_CORRUPT,
                   "%s: at offset 0 a log file's first frame is expected, but %s", file->path, why);
}

static aero_status first_read(ae_log_file *file, aero_error *error)
{
    AE_ALWAYS(file->fd >= 0 && file->path != NULL);
    union {
        ae_frame frame;
        uint8_t bytes[FIRST_FRAME];
    } first = {.bytes = {0}};
    size_t got = 0;
    uint32_t names = 0;
    int failure = ae_os_file_state(file->fd, &file->size, &names);
    if (failure == 0)
        failure = ae_os_file_read(file->fd, 0, first.bytes, sizeof first.bytes, &got);
    if (failure != 0)
        return ae_fail_errno(error, AERO_IO, failure, "cannot read %s", file->path);
    if (got < sizeof first.bytes)
        return first_corrupt(file, "the file is shorter", error);
    const enum ae_frame_fault fault = ae_frame_check_header(&first.frame, NULL, first.frame.lsn,
                                                            UINT64_MAX);
    if (fault != AE_FRAME_GOOD)
        return first_corrupt(file, ae_frame_fault_text(fault), error);
    if (first.frame.kind != AE_FRAME_FILE)
        return first_corrupt(file, "it is a frame of another kind", error);
    if (!ae_frame_check_sum(&first.frame))
        return first_corrupt(file, ae_frame_fault_text(AE_FRAME_CHECKSUM_BAD), error);
    memcpy(&file->head, first.bytes + AE_FRAME_HEADER, sizeof file->head);
    if (file->head.format == 0 || file->head.format > AE_LOG_FORMAT)
        return ae_fail(error, AERO_MISMATCH, "%s: the log has format %u, this engine reads 1 to %u",
                       file->path, file->head.format, AE_LOG_FORMAT);
    if (file->head.base != first.frame.lsn || file->head.after > file->head.base ||
        file->head.base % AE_FRAME_ALIGN != 0)
        return first_corrupt(file, "its numbers contradict each other", error);
    memcpy(file->store, first.frame.store, sizeof file->store);
    file->base = file->head.base;
    file->end = UINT64_MAX;
    file->durable = first.frame.durable;
    return AERO_OK;
}

/* One more file, its first frame judged. */
static aero_status file_add(search *of, const char *name)
{
    ae_log_files *files = of->files;
    char path[PATH_MAX];
    const int length = snprintf(path, sizeof path, "%s/%s", of->directory, name);
    if ((size_t)length >= sizeof path)
        return ae_fail(of->error, AERO_IO, "the path of %.40s in %.400s is too long", name,
                       of->directory);
    if (files->count >= FILES_MAX)
        return ae_fail(of->error, AERO_CORRUPT, "%.500s holds more than %u files of the log",
                       of->directory, FILES_MAX);
    ae_log_file *more = realloc(files->files, (files->count + 1) * sizeof *more);
    if (more == NULL)
        return ae_fail(of->error, AERO_NO_MEMORY, "no memory to look at %s", of->directory);
    files->files = more;
    ae_log_file *file = &more[files->count];
    memset(file, 0, sizeof *file);
    file->path = strdup(path);
    if (file->path == NULL)
        return ae_fail(of->error, AERO_NO_MEMORY, "no memory to look at %s", of->directory);
    const int failure = ae_os_file_open(path, AE_FILE_READ, &file->fd);
    if (failure == 0) {
        files->count++;
        return first_read(file, of->error);
    }
    free(file->path);
    if (failure == ENOENT && !of->last) { /* a checkpoint may have removed it since it was listed */
        of->gone = true;
        return AERO_OK;
    }
    const bool refused = failure == EACCES || failure == EPERM || failure == ELOOP;
    return ae_fail_errno(of->error, refused ? AERO_PERMISSION : AERO_IO, failure, "cannot open %s",
                         path);
}

static int file_found(void *context, const char *name)
{
    search *of = context;
    if (!name_fits(of->name, name))
        return 0;
    of->status = file_add(of, name);
    return of->status == AERO_OK ? 0 : EINVAL;
}

static int by_base(const void *left, const void *right)
{
    const uint64_t a = ((const ae_log_file *)left)->base;
    const uint64_t b = ((const ae_log_file *)right)->base;
    return (a > b) - (a < b);
}

static aero_status files_order(ae_log_files *files, aero_error *error)
{
    AE_ALWAYS(files->count > 0);
    qsort(files->files, files->count, sizeof *files->files, by_base);
    for (uint32_t index = 1; index < files->count; index++) {
        ae_log_file *before = &files->files[index - 1];
        const ae_log_file *file = &files->files[index];
        AE_ALWAYS(before->base <= file->base);
        if (before->base == file->base)
            return ae_fail(error, AERO_CORRUPT, "%s and %s both hold the log from position %llu on",
                           before->path, file->path, (unsigned long long)file->base);
        /* One that ends where it begins, or before, was left by a writer that was replaced. */
        before->end = file->head.after;
        while (before > files->files && before->end <= before->base)
            before--;
        if (!ae_store_follows(before->store, file->store))
            return ae_fail(error, AERO_MISMATCH, "%s and %s belong to different stores",
                           before->path, file->path);
    }
    return AERO_OK;
}

aero_status ae_log_files_open(ae_log_files *files, const char *directory, const char *name,
                              aero_error *error)
{
    *files = (ae_log_files){NULL, 0};
    search of = {.files = files, .directory = directory, .name = name, .error = error};
    /* What was removed is not listed again; what is listed still, and cannot be found, is no
     * removal. */
    for (uint32_t round = 1; round == 1 || of.gone; round++) {
        ae_log_files_close(files);
        of.gone = false;
        of.last = round == LIST_ROUNDS;
        const int failure = ae_os_directory_list(directory, file_found, &of);
        if (failure != 0 && of.status == AERO_OK)
            of.status = ae_fail_errno(error, AERO_IO, failure, "cannot list %s", directory);
        if (of.status != AERO_OK)
            break;
    }
    if (of.status == AERO_OK && files->count > 0)
        of.status = files_order(files, error);
    if (of.status != AERO_OK)
        ae_log_files_close(files);
    return of.status;
}

void ae_log_files_close(ae_log_files *files)
{
    for (uint32_t index = 0; index < files->count; index++) {
        ae_os_file_close(files->files[index].fd);
        free(files->files[index].path);
    }
    free(files->files);
    *files = (ae_log_files){NULL, 0};
}
