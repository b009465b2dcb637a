/* A repair that dies at any of its steps: the store never opens empty, and a second repair ends it.
 *
 * Goal: a child repairs a store with a damaged log and is killed before or after its n-th call that
 * changes a file, for every n.  Until the repair has begun to replace the files, the store is as it
 * was; from then on opening is refused, also by the segment that fitted the old files, until
 * another repair has come to its end.  Then the rows are those of a repair that was left alone.
 *
 * variants: faults
 */
#include <fcntl.h>
#include <signal.h>

#include "base/os_file.h"
#include "flights.h"

enum { ROWS = 30 };

static uint32_t calls_left; /* until death; in the child */

int ae_file_hook(const ae_file_call *call)
{
    (void)call;
    if (calls_left > 0 && --calls_left == 0)
        kill(getpid(), SIGKILL);
    return 0;
}

static void path_of(const test_store *store, const char *name, char *path, size_t size)
{
    snprintf(path, size, "%s/%s", store->data_dir, name);
}

static bool has(const test_store *store, const char *name)
{
    char path[256];
    path_of(store, name, path, sizeof path);
    return access(path, F_OK) == 0;
}

/* A bit in the middle of the log is not what it was. */
static void log_spoil(const test_store *store)
{
    char path[256];
    uint8_t byte = 0;
    path_of(store, "aerostore.wal", path, sizeof path);
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    const off_t middle = lseek(fd, 0, SEEK_END) / 2;
    assert_int_equal(pread(fd, &byte, 1, middle), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, middle), 1);
    close(fd);
}

static void store_damaged(test_store *store)
{
    char name[32];
    store_open(store, 64 << 20);
    for (uint32_t number = 0; number < ROWS; number++)
        assert_ok(store->session, flight_put(store->session, flight_name(name, number), number));
    store_detach(store);
    log_spoil(store);
}

static aero_status repair(test_store *store, aero_files_report *report)
{
    char aside[4096];
    const aero_open_options options = {.data_dir = store->data_dir};
    return aero_files_repair(&options, aside, sizeof aside, report, &store->error);
}

/* True: the child was killed. */
static bool repair_dies(test_store *store, uint32_t calls)
{
    aero_files_report report;
    int status = 0;
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        calls_left = calls;
        _exit(repair(store, &report) == AERO_OK ? 0 : 1);
    }
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    if (WIFEXITED(status))
        assert_int_equal(WEXITSTATUS(status), 0);
    return WIFSIGNALED(status);
}

static aero_status try_open(test_store *store)
{
    const aero_open_options options = {.data_dir = store->data_dir, .shm_path = store->segment};
    const aero_status status = aero_open(&options, &store->db, &store->error);
    if (status == AERO_OK)
        aero_close(store->db, NULL);
    return status;
}

/* What a death has left: refused, and with the right words. */
static void check_between(test_store *store, bool segment)
{
    if (has(store, "occ_checkpoint.dat.repaired")) {
        assert_int_equal(try_open(store), AERO_CORRUPT);
        assert_non_null(strstr(store->error.text, "repair"));
        assert_non_null(strstr(store->error.text, "run it again"));
    } else if (!has(store, "occ_checkpoint.dat") && !segment) {
        assert_int_equal(try_open(store), AERO_CORRUPT);
        assert_non_null(strstr(store->error.text, "durable up to"));
    }
}

static uint64_t rows_now(test_store *store)
{
    uint64_t rows = 0;
    uint64_t blocks = 0;
    store_attach(store, 64 << 20);
    assert_ok(store->session, aero_verify(store->session, &rows, &blocks));
    store_detach(store);
    return rows;
}

static void folder_remove_all(const test_store *store)
{
    char path[512];
    DIR *listing = opendir(store->data_dir);
    assert_non_null(listing);
    for (const struct dirent *entry; (entry = readdir(listing)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", store->data_dir, entry->d_name);
        if (strncmp(entry->d_name, "damaged-", 8) == 0)
            folder_remove(path);
    }
    closedir(listing);
    unlink(store->segment);
    folder_remove(store->data_dir);
}

static uint64_t rows_left_alone(void)
{
    test_store store;
    aero_files_report report;
    store_damaged(&store);
    unlink(store.segment);
    assert_int_equal(repair(&store, &report), AERO_OK);
    assert_int_equal(report.damage, 1);
    const uint64_t rows = rows_now(&store);
    assert_in_range(rows, 1, ROWS - 1);
    folder_remove_all(&store);
    return rows;
}

static void every_death(bool segment)
{
    const uint64_t expected = rows_left_alone();
    uint32_t deaths = 0;
    uint32_t marked = 0;
    for (bool died = true; died;) {
        test_store store;
        aero_files_report report;
        store_damaged(&store);
        if (!segment)
            unlink(store.segment);
        died = repair_dies(&store, deaths + 1);
        deaths += died ? 1 : 0;
        marked += has(&store, "occ_checkpoint.dat.repaired") ? 1 : 0;
        check_between(&store, segment);
        if (repair(&store, &report) != AERO_OK)
            fail_msg("repair after death %u: %s", deaths, store.error.text);
        const uint64_t rows = rows_now(&store);
        if (rows != expected)
            fail_msg("death %u: %" PRIu64 " rows, not %" PRIu64, deaths, rows, expected);
        folder_remove_all(&store);
    }
    printf("%u deaths, %u with files half exchanged\n", deaths, marked);
    assert_in_range(deaths, 10, 1000);
    assert_in_range(marked, 5, deaths);
}

static void test_a_repair_that_dies_is_ended_by_the_next(void **state)
{
    (void)state;
    every_death(false);
}

static void test_a_segment_of_before_is_of_no_use(void **state)
{
    (void)state;
    every_death(true);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_repair_that_dies_is_ended_by_the_next),
    cmocka_unit_test(test_a_segment_of_before_is_of_no_use),
};

AE_TEST_MAIN(tests)
