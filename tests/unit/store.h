/* store.h — a database of a test's own, and short ways to say what tests do with rows.
 *
 * The data directory and the segment lie on tmpfs under a name of this process's; store_close
 * verifies the segment from end to end before it removes both.  Values are built by v_…(); a call
 * that must succeed is wrapped in assert_ok, which prints the session's error text when it does
 * not.
 */
#ifndef AE_TEST_STORE_H
#define AE_TEST_STORE_H

#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "aerostore/aerostore.h"
#include "aerostore/descriptor.h"

typedef struct test_store {
    char data_dir[96];
    char segment[96];
    aero_db *db;
    aero_session *session;
    aero_error error;
} test_store;

#define assert_status(session_, wanted_, call_) \
    do { \
        const aero_status got_ = (call_); \
        if (got_ != (wanted_)) \
            fail_msg("%s: %d, not %d: %s", #call_, got_, (wanted_), \
                     aero_session_error(session_)->text); \
    } while (0)
#define assert_ok(session_, call_) assert_status(session_, AERO_OK, call_)

static inline aero_value v_text(const char *text)
{
    return (aero_value){
        .type = AERO_TYPE_TEXT, .length = (uint32_t)strlen(text), .u = {.data = text}};
}
static inline aero_value v_data(int32_t type, const void *data, size_t length)
{
    return (aero_value){.type = type, .length = (uint32_t)length, .u = {.data = data}};
}
static inline aero_value v_int(int64_t value)
{
    return (aero_value){.type = AERO_TYPE_INT, .u = {.integer = value}};
}
static inline aero_value v_real(double value)
{
    return (aero_value){.type = AERO_TYPE_DOUBLE, .u = {.real = value}};
}

static inline uint64_t now_ns(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

/* Seed of a random test: $AE_TEST_SEED, or the time; always printed. */
static inline uint64_t test_seed(const char *name)
{
    const char *given = getenv("AE_TEST_SEED");
    const uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : now_ns();
    printf("%s: AE_TEST_SEED=%" PRIu64 "\n", name, seed);
    fflush(stdout);
    return seed;
}

/* splitmix64 (Steele, Lea, Flood, 2014). */
static inline uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ull);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static inline void store_paths(test_store *store)
{
    const char *root = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    static int count;
    count++;
    memset(store, 0, sizeof *store);
    /* With the time, because a failing test leaves its files and pids come again. */
    snprintf(store->data_dir, sizeof store->data_dir, "%s/aerostore-test-%d-%d-%x", root,
             (int)getpid(), count, (unsigned)(now_ns() >> 10));
    snprintf(store->segment, sizeof store->segment, "%s.segment", store->data_dir);
}

static inline void store_attach(test_store *store, uint64_t size)
{
    const aero_open_options options = {
        .data_dir = store->data_dir, .shm_path = store->segment, .size = size};
    if (aero_open(&options, &store->db, &store->error) != AERO_OK ||
        aero_session_open(store->db, &store->session, &store->error) != AERO_OK)
        fail_msg("open: %s", store->error.text);
}

static inline void store_open(test_store *store, uint64_t size)
{
    store_paths(store);
    store_attach(store, size);
}

static inline void store_verify(aero_session *session)
{
    uint64_t rows = 0;
    uint64_t blocks = 0;
    assert_ok(session, aero_verify(session, &rows, &blocks));
}

static inline aero_session *session_new(test_store *store)
{
    aero_session *session = NULL;
    if (aero_session_open(store->db, &session, &store->error) != AERO_OK)
        fail_msg("session: %s", store->error.text);
    return session;
}

static inline void store_detach(test_store *store)
{
    aero_session_close(store->session);
    store->session = NULL;
    if (aero_close(store->db, &store->error) != AERO_OK)
        fail_msg("close: %s", store->error.text);
    store->db = NULL;
}

/* Remove a directory and the files in it. */
static inline void folder_remove(const char *folder)
{
    char path[512];
    DIR *listing = opendir(folder);
    if (listing == NULL)
        return;
    for (const struct dirent *entry; (entry = readdir(listing)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.')
            unlink(path);
    }
    closedir(listing);
    rmdir(folder);
}

static inline void store_close(test_store *store)
{
    store_verify(store->session);
    store_detach(store);
    unlink(store->segment);
    folder_remove(store->data_dir);
}

static inline uint64_t stat_value(aero_session *session, const char *name)
{
    const aero_stat *stats = NULL;
    uint32_t count = 0;
    assert_ok(session, aero_stats(session, &stats, &count));
    for (uint32_t index = 0; index < count; index++)
        if (strcmp(stats[index].name, name) == 0)
            return (uint64_t)stats[index].value.u.integer;
    fail_msg("no statistic %s", name);
    return 0;
}

static inline uint64_t row_count(aero_session *session, uint32_t table)
{
    uint64_t count = 0;
    assert_ok(session, aero_count(session, table, &count));
    return count;
}

/* Wait for a child that must end by itself with code 0. */
static inline void child_join(pid_t child)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("a child ended with status %x", (unsigned)status);
}

#endif
