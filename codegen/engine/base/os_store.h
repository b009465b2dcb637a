/* os_store.h — what a directory with a store's files needs of the system beyond reading and
 * writing: locks that die with their holder, a helper process, a thread.
 *
 * Functions return 0 or an errno value, unless they say otherwise.
 */
#ifndef AE_BASE_OS_STORE_H
#define AE_BASE_OS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Open (making it if it is missing, 0600, never through a link) a file that serves as a lock. */
int ae_os_lock_open(const char *path, int *fd);
/* Does the path still name the opened file?  Somebody may have removed it. */
bool ae_os_lock_current(const char *path, int fd);
/* Take byte `place` of the file exclusively for this open file, without waiting: EAGAIN when
 * another has it.  Children of fork() share the lock; the kernel drops it with the last of them. */
int ae_os_lock_take(int fd, uint64_t place);
void ae_os_lock_drop(int fd, uint64_t place);
/* The directory itself, shared by the many or exclusively by one; EAGAIN when it is taken. */
int ae_os_directory_open(const char *path, int *fd);
/* What tells this directory from a copy of it: 0 when the system does not say. */
uint64_t ae_os_directory_birth(int fd);
int ae_os_directory_lock(int fd, bool exclusive);
void ae_os_directory_unlock(int fd);

/* Start a program that outlives us: own session, no descriptor of ours, standard ones on
 * /dev/null.  Neither waits for it nor leaves a zombie. */
int ae_os_spawn_detached(const char *program, char *const arguments[]);
/* In such a program: go on in a child that is nobody's, and end the process that was started. */
void ae_os_detach(void);
/* Path of the file that this code was loaded from; false when the system does not tell. */
bool ae_os_own_path(char *path, size_t size);

/* One thread that runs `body(context)`. */
typedef struct ae_os_thread ae_os_thread;
int ae_os_thread_start(void (*body)(void *context), void *context, ae_os_thread **thread);
void ae_os_thread_join(ae_os_thread *thread);

#endif
