/* os_file.h — files of the data directory: the log, checkpoints, and what stands beside them.
 *
 * Every change of a file on disk goes through here, so that a test can record what was written,
 * synced and renamed, build the states that a power failure may leave, and fail any call.
 *
 * Files are opened without following links and judged by descriptor: regular, ours, 0600.
 * Functions return 0 or an errno value; none changes errno for its caller.  Interrupted and short
 * writes are continued inside.
 *
 * Concurrency: any thread; one descriptor may be used by several.
 */
#ifndef AE_BASE_OS_FILE_H
#define AE_BASE_OS_FILE_H

#include "base/os.h"

#define AE_FILE_READ 0u   /* read only; the file exists */
#define AE_FILE_WRITE 1u  /* read and write; the file exists */
#define AE_FILE_CREATE 2u /* read and write; EEXIST when the name is taken; mode 0600 */

/* Open a file.  ELOOP for a link, EPERM for what is no regular file of ours with mode 0600 and one
 * name (reading does not ask for owner and mode), else as open(2). */
int ae_os_file_open(const char *path, uint32_t how, int *fd);
/* A new file without a name in the directory of `path`; ae_os_file_name gives it one.  Where the
 * file system cannot make such files it has a name that begins with `path` until then. */
int ae_os_file_unnamed(const char *path, int *fd);
/* EEXIST when the name is taken. */
int ae_os_file_name(int fd, const char *path);
void ae_os_file_close(int fd);

/* Write all of it at an offset. */
int ae_os_file_write(int fd, uint64_t offset, const void *data, size_t size);
/* Read up to `size` bytes; *done is less only at the end of the file. */
int ae_os_file_read(int fd, uint64_t offset, void *data, size_t size, size_t *done);
/* fdatasync.  After a failure what was written is lost or kept, nobody knows: never call it again
 * in the hope of a better answer. */
int ae_os_file_sync(int fd);
int ae_os_file_truncate(int fd, uint64_t size);
/* Size, and how many names the file has: 0 when it was removed. */
int ae_os_file_state(int fd, uint64_t *size, uint32_t *names);

int ae_os_file_rename(const char *from, const char *to);
int ae_os_file_unlink(const char *path);
/* Make the names in a directory durable. */
int ae_os_directory_sync(const char *path);
/* Make one directory, 0700; EEXIST when the name is taken. */
int ae_os_directory_make(const char *path);
/* Call `visit` with each name in a directory but "." and ".."; ends at its first non-zero
 * answer. */
int ae_os_directory_list(const char *path, int (*visit)(void *context, const char *name),
                         void *context);

/* ---- for tests ------------------------------------------------------------------------------ */

#ifdef AE_FILE_HOOK
/* Called before each changing call with its name ("write", "sync", "truncate", "rename", "unlink",
 * "open", "name", "dirsync", "mkdir"); a non-zero answer is returned instead of doing it.  After a
 * call that was done it is called again with `done` set.  The test program brings it along. */
typedef struct ae_file_call {
    const char *name;
    const char *path; /* of names; NULL for calls on descriptors */
    const char *other;
    int fd;
    uint64_t offset;
    const void *data;
    size_t size;
    bool done;
} ae_file_call;
int ae_file_hook(const ae_file_call *call);
#endif

#endif
