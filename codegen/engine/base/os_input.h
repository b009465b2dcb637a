/* os_input.h — reading a file of the user's from its start to its end, as a stream.
 *
 * Nothing is mapped, so a file that is cut or a medium that fails while it is read is an error or a
 * shorter input, never SIGBUS.  Pipes and terminals work too.
 *
 * Concurrency: an open input belongs to one thread.
 */
#ifndef AE_BASE_OS_INPUT_H
#define AE_BASE_OS_INPUT_H

#include <stddef.h>
#include <stdint.h>

/* Open for reading; symbolic links are followed, since the path is the caller's own.  *size is the
 * number of bytes of a regular file, else 0.  0, or an errno value. */
int ae_os_input_open(const char *path, int *fd, uint64_t *size);
/* Read at most `size` bytes; *done is 0 at the end.  0, or an errno value. */
int ae_os_input_read(int fd, void *buffer, size_t size, size_t *done);
void ae_os_input_close(int fd);

#endif
