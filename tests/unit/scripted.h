/* scripted.h — a system whose answers a test writes: calls of the C library that fail on demand.
 *
 * A program that includes this brings its own open, fstat, pread and so on.  Each asks the script;
 * if that has nothing to say, the real one is called.  `script(call, skip, times, failure)` lets
 * `times` calls of that name fail with the error after `skip` that pass.  One thread at a time.
 */
#ifndef AE_TEST_SCRIPTED_H
#define AE_TEST_SCRIPTED_H

#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SCRIPTED_MOST = 4 };
static struct {
    const char *call;
    uint32_t skip;
    uint32_t times;
    int failure;
} scripted[SCRIPTED_MOST];

static inline void script(const char *call, uint32_t skip, uint32_t times, int failure)
{
    for (uint32_t index = 0; index < SCRIPTED_MOST; index++)
        if (scripted[index].times == 0) {
            scripted[index].call = call;
            scripted[index].skip = skip;
            scripted[index].times = times;
            scripted[index].failure = failure;
            return;
        }
    abort();
}

/* All that was written has been asked for. */
static inline void script_ended(void)
{
    for (uint32_t index = 0; index < SCRIPTED_MOST; index++)
        if (scripted[index].times != 0)
            fail_msg("%s was not called", scripted[index].call);
}

static bool fails(const char *call)
{
    for (uint32_t index = 0; index < SCRIPTED_MOST; index++) {
        if (scripted[index].times == 0 || strcmp(scripted[index].call, call) != 0)
            continue;
        if (scripted[index].skip > 0) {
            scripted[index].skip--;
            return false;
        }
        scripted[index].times--;
        errno = scripted[index].failure;
        return true;
    }
    return false;
}

#include "failing_calls.h"

/* Of those that answer with the error itself. */
#define PASS_ERROR(name, parameters, arguments) \
    int name parameters \
    { \
        return fails(#name) ? errno : REAL(name) arguments; \
    }

PASS(ssize_t, readlink, (const char *path, char *text, size_t size), (path, text, size))
PASS(pid_t, fork, (void), ())
PASS(pid_t, waitpid, (pid_t child, int *status, int how), (child, status, how))
PASS(int, madvise, (void *at, size_t size, int advice), (at, size, advice))
PASS_ERROR(posix_spawn_file_actions_init, (posix_spawn_file_actions_t * actions), (actions))
PASS_ERROR(posix_spawnattr_init, (posix_spawnattr_t * attributes), (attributes))
PASS_ERROR(pthread_create,
           (pthread_t * thread, const pthread_attr_t *attributes, void *(*body)(void *),
            void *argument),
           (thread, attributes, body, argument))

#endif
