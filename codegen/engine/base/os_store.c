/* os_store.c — locks, a detached helper, a thread (see os_store.h).
 *
 * Locks are those of open file descriptions: they die with their holder, whichever way it goes, and
 * two handles of one process exclude each other like two processes.
 */
#include "base/os_store.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"

int ae_os_lock_open(const char *path, int *fd)
{
    *fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
    if (*fd < 0)
        return errno;
    struct stat info;
    if (fstat(*fd, &info) == 0 && S_ISREG(info.st_mode))
        return 0;
    close(*fd);
    *fd = -1;
    return EINVAL;
}

bool ae_os_lock_current(const char *path, int fd)
{
    struct stat named;
    struct stat opened;
    return fstat(fd, &opened) == 0 && lstat(path, &named) == 0 && named.st_ino == opened.st_ino &&
           named.st_dev == opened.st_dev;
}

static int lock_set(int fd, uint64_t place, short type)
{
    AE_ALWAYS(fd >= 0 && (type == F_WRLCK || type == F_UNLCK));
    struct flock what = {.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)place, .l_len = 1};
    int result;
    do
        result = fcntl(fd, F_OFD_SETLK, &what);
    while (result != 0 && errno == EINTR);
    if (result == 0)
        return 0;
    return errno == EACCES ? EAGAIN : errno;
}

int ae_os_lock_take(int fd, uint64_t place)
{
    return lock_set(fd, place, F_WRLCK);
}

void ae_os_lock_drop(int fd, uint64_t place)
{
    (void)lock_set(fd, place, F_UNLCK);
}

int ae_os_directory_open(const char *path, int *fd)
{
    *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *fd < 0 ? errno : 0;
}

uint64_t ae_os_directory_birth(int fd)
{
    struct statx found;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &found) != 0 ||
        (found.stx_mask & STATX_BTIME) == 0)
        return 0;
    return (uint64_t)found.stx_btime.tv_sec * 1000000000u + found.stx_btime.tv_nsec;
}

int ae_os_directory_lock(int fd, bool exclusive)
{
    AE_ALWAYS(fd >= 0);
    int result;
    do
        result = flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB);
    while (result != 0 && errno == EINTR);
    return result == 0 ? 0 : errno == EWOULDBLOCK ? EAGAIN : errno;
}

void ae_os_directory_unlock(int fd)
{
    (void)flock(fd, LOCK_UN);
}

/* ---- a helper process ------------------------------------------------------------------------
 * posix_spawn starts it without copying the user's interpreter.  The program forks once as its
 * first act and lets its first half end, which is waited for: so the other half is nobody's child
 * here, and no zombie stays. */

int ae_os_spawn_detached(const char *program, char *const arguments[])
{
    AE_ALWAYS(program != NULL && arguments[0] != NULL);
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t signals;
    int failure = posix_spawn_file_actions_init(&actions);
    if (failure != 0)
        return failure;
    failure = posix_spawnattr_init(&attributes);
    if (failure != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return failure;
    }
    (void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    (void)posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    (void)posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    (void)posix_spawn_file_actions_addchdir_np(&actions, "/");
    (void)sigemptyset(&signals);
    (void)posix_spawnattr_setsigmask(&attributes, &signals);
    (void)sigfillset(&signals);
    (void)posix_spawnattr_setsigdefault(&attributes, &signals);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                    POSIX_SPAWN_SETSID);
    pid_t child = 0;
    failure = posix_spawn(&child, program, &actions, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (failure != 0)
        return failure;
    int status = 0;
    /* ECHILD when the user's program reaps its children by itself. */
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return 0;
}

void ae_os_detach(void)
{
    const pid_t child = fork();
    if (child > 0)
        _exit(0);
}

bool ae_os_own_path(char *path, size_t size)
{
    AE_ALWAYS(path != NULL && size > 0);
    Dl_info info;
    if (dladdr((const void *)(uintptr_t)ae_os_own_path, &info) == 0 || info.dli_fname == NULL)
        return false;
    char *real = realpath(info.dli_fname, NULL);
    const bool fits = real != NULL && strlen(real) < size;
    if (fits)
        memcpy(path, real, strlen(real) + 1);
    free(real);
    return fits;
}

/* ---- a thread ------------------------------------------------------------------------------- */

struct ae_os_thread {
    pthread_t thread;
    void (*body)(void *context);
    void *context;
};

static void *thread_main(void *argument)
{
    const ae_os_thread *thread = argument;
    thread->body(thread->context);
    return NULL;
}

int ae_os_thread_start(void (*body)(void *context), void *context, ae_os_thread **out)
{
    AE_ALWAYS(body != NULL);
    ae_os_thread *thread = malloc(sizeof *thread);
    sigset_t all;
    sigset_t kept;
    *out = NULL;
    if (thread == NULL)
        return ENOMEM;
    thread->body = body;
    thread->context = context;
    /* Signals of the program are for its own threads. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &kept);
    const int failure = pthread_create(&thread->thread, NULL, thread_main, thread);
    (void)pthread_sigmask(SIG_SETMASK, &kept, NULL);
    if (failure != 0) {
        free(thread);
        return failure;
    }
    *out = thread;
    return 0;
}

void ae_os_thread_join(ae_os_thread *thread)
{
    if (thread == NULL)
        return;
    (void)pthread_join(thread->thread, NULL);
    free(thread);
}
