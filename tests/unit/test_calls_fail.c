/* Calls of the system that fail while a database is opened, each in turn, with each error.
 *
 * Method: the program brings its own open, fstat, pread, flock, mmap and so on, which count and let
 * the n-th call fail, or the n-th and all of its kind that follow.  A store with a checkpoint and a
 * log is opened from its files, and then from its segment; n grows until none is left.  Invariants:
 * an open answers OK with every row, or an error that says something; no file of the store is
 * changed; no descriptor is lost; without the fault it opens.
 *
 * variants: plain
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/mman.h>

#include "flights.h"

/* Recovery has threads: under a lock. */
static struct {
    bool armed;
    bool lasting;
    int failure;
    uint32_t left; /* calls until it fails */
    uint32_t calls;
    uint32_t failed;
    const char *kind; /* of the one that failed */
} fault;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool fails(const char *kind)
{
    bool now = false;
    pthread_mutex_lock(&lock);
    if (fault.armed) {
        fault.calls++;
        now = fault.left != 0 && --fault.left == 0;
        if (now)
            fault.kind = kind;
        now = now || (fault.lasting && fault.kind != NULL && strcmp(fault.kind, kind) == 0);
        fault.failed += now;
    }
    pthread_mutex_unlock(&lock);
    if (now)
        errno = fault.failure;
    return now;
}

#define REAL(name) ((__typeof__(&(name)))(uintptr_t)dlsym(RTLD_NEXT, #name))
#define PASS(result, name, parameters, arguments) \
    result name parameters \
    { \
        return fails(#name) ? (result)-1 : REAL(name) arguments; \
    }

int open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    const mode_t mode = (mode_t)va_arg(more, int);
    va_end(more);
    return fails("open") ? -1 : REAL(open)(path, flags, mode);
}

int fcntl(int fd, int command, ...)
{
    va_list more;
    va_start(more, command);
    void *argument = va_arg(more, void *);
    va_end(more);
    return fails("fcntl") ? -1 : REAL(fcntl)(fd, command, argument);
}

PASS(int, fstat, (int fd, struct stat *info), (fd, info))
PASS(int, stat, (const char *path, struct stat *info), (path, info))
PASS(int, lstat, (const char *path, struct stat *info), (path, info))
PASS(int, fchmod, (int fd, mode_t mode), (fd, mode))
PASS(int, ftruncate, (int fd, off_t size), (fd, size))
PASS(int, fallocate, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size))
PASS(int, flock, (int fd, int how), (fd, how))
PASS(int, unlink, (const char *path), (path))
PASS(int, linkat, (int from, const char *old, int to, const char *name, int flags),
     (from, old, to, name, flags))
PASS(ssize_t, pread, (int fd, void *data, size_t size, off_t at), (fd, data, size, at))
PASS(void *, mmap, (void *at, size_t size, int how, int flags, int fd, off_t offset),
     (at, size, how, flags, fd, offset))

char *realpath(const char *path, char *out)
{
    return fails("realpath") ? NULL : REAL(realpath)(path, out);
}

DIR *opendir(const char *path)
{
    return fails("opendir") ? NULL : REAL(opendir)(path);
}

struct dirent *readdir(DIR *folder)
{
    return fails("readdir") ? NULL : REAL(readdir)(folder);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *),
                   void *argument)
{
    return fails("pthread_create") ? EAGAIN
                                   : REAL(pthread_create)(thread, attributes, body, argument);
}

/* ---- the store ------------------------------------------------------------------------------ */

enum { ROWS = 40, SIZE = 8 << 20 };

static void store_make(test_store *store)
{
    char name[32];
    aero_checkpoint_report report;
    store_paths(store);
    store_attach(store, SIZE);
    assert_ok(store->session,
              aero_config_set(store->session, "aerostore.checkpoint_interval_secs", "0"));
    for (uint32_t row = 0; row < ROWS; row++) {
        assert_ok(store->session, flight_put(store->session, flight_name(name, row), row));
        if (row == ROWS / 2)
            assert_ok(store->session, aero_checkpoint(store->session, &report));
    }
    store_detach(store);
}

/* Sizes and names of the store's files, in one number. */
static uint64_t files_sum(const test_store *store)
{
    DIR *folder = opendir(store->data_dir);
    uint64_t sum = 0;
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[512];
        struct stat info;
        uint64_t hash = 1469598103934665603ull;
        if (entry->d_name[0] == '.' || strcmp(entry->d_name, "aerostore.lock") == 0)
            continue;
        for (const char *at = entry->d_name; *at != '\0'; at++)
            hash = (hash ^ (uint8_t)*at) * 1099511628211ull;
        snprintf(path, sizeof path, "%s/%s", store->data_dir, entry->d_name);
        assert_int_equal(stat(path, &info), 0);
        sum += hash * ((uint64_t)info.st_size + 1);
    }
    closedir(folder);
    return sum;
}

static uint32_t descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    uint32_t count = 0;
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

/* Open with or without a fault and look at every row; false: it was refused. */
static bool open_once(const test_store *store, const char *what)
{
    const aero_open_options options = {
        .data_dir = store->data_dir, .shm_path = store->segment, .size = SIZE};
    aero_db *db = NULL;
    aero_session *session = NULL;
    aero_error error;
    char name[32];
    aero_status status = aero_open(&options, &db, &error);
    if (status == AERO_OK) {
        status = aero_session_open(db, &session, &error);
        fault.armed = false;
        for (uint32_t row = 0; status == AERO_OK && row < ROWS; row++)
            assert_int_equal(flight_get(session, flight_name(name, row)), row);
        if (session != NULL)
            aero_session_close(session);
        aero_error ignored;
        assert_int_equal(aero_close(db, &ignored), AERO_OK);
    }
    fault.armed = false;
    if (status != AERO_OK && (error.text[0] == '\0' || fault.failed == 0))
        fail_msg("%s, call %u (%s, %s): %d %s", what, fault.calls, fault.kind,
                 strerror(fault.failure), status, error.text);
    return status == AERO_OK;
}

static void fault_set(uint32_t passage, int failure, bool lasting)
{
    fault.lasting = lasting;
    fault.failure = failure;
    fault.left = passage;
    fault.calls = fault.failed = 0;
    fault.kind = NULL;
    fault.armed = true;
}

/* Let every call fail in turn while the store is opened, without its segment or with it. */
static void every_call(const test_store *store, bool warm, int failure, bool lasting)
{
    const char *const what = warm ? "warm" : "cold";
    const uint64_t files = files_sum(store);
    uint32_t refused = 0;
    uint32_t passage = 1;
    if (warm)
        assert_true(open_once(store, what));
    const uint32_t before = descriptors();
    for (;; passage++) {
        if (!warm)
            (void)unlink(store->segment);
        fault_set(passage, failure, lasting);
        refused += !open_once(store, what);
        if (fault.failed == 0)
            break;
        if (files_sum(store) != files || descriptors() != before)
            fail_msg("%s, call %u (%s, %s): files or descriptors differ", what, passage, fault.kind,
                     strerror(failure));
        fault.failed = 0;
        if (warm)
            assert_true(open_once(store, what));
    }
    assert_true(refused > 0);
    assert_true(open_once(store, what));
    printf("%s, %s%s: %u calls, %u opens refused\n", what, strerror(failure),
           lasting ? " for good" : "", passage - 1, refused);
}

static void each_call_fails(bool warm)
{
    static const int failures[] = {EIO,    EINTR,  ENOSPC, EACCES, ENOMEM,
                                   ENOENT, EDQUOT, EPERM,  ELOOP,  ENXIO};
    test_store store;
    store_make(&store);
    for (size_t index = 0; index < sizeof failures / sizeof failures[0]; index++)
        every_call(&store, warm, failures[index], false);
    every_call(&store, warm, EIO, true);
    every_call(&store, warm, EDQUOT, true);
    store_attach(&store, SIZE);
    store_close(&store);
}

/* Goal: no failed call while the files are recovered does harm. */
static void test_calls_fail_while_the_files_are_recovered(void **state)
{
    (void)state;
    each_call_fails(false);
}

/* Goal: no failed call while the segment is attached does harm. */
static void test_calls_fail_while_the_segment_is_attached(void **state)
{
    (void)state;
    each_call_fails(true);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_calls_fail_while_the_files_are_recovered),
    cmocka_unit_test(test_calls_fail_while_the_segment_is_attached),
};

AE_TEST_MAIN(tests)
