/* Calls of the system that are interrupted, or do a part of what they were asked for.
 *
 * Method: the program brings its own pread, pwrite and read, which answer EINTR every third
 * time and otherwise do half of it; a signal that restarts nothing comes every millisecond.  A
 * store then does what stores do, and is opened again from its files: nothing may differ.
 *
 * variants: plain
 */
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "flights.h"

static struct {
    bool on;
    uint32_t calls;
    uint32_t interrupted;
    uint32_t shortened;
} system_calls;

static volatile sig_atomic_t alarms;

static void alarm_rings(int number)
{
    (void)number;
    alarms++;
}

/* How many bytes a call may do now; 0: it is interrupted. */
static size_t part_of(size_t size)
{
    if (!system_calls.on || size == 0)
        return size;
    if (++system_calls.calls % 3 == 0) {
        system_calls.interrupted++;
        errno = EINTR;
        return 0;
    }
    system_calls.shortened += size > 1;
    return (size + 1) / 2;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    const size_t part = part_of(size);
    return part == 0 && size > 0 ? -1 : syscall(SYS_pwrite64, fd, data, part, offset);
}

ssize_t pread(int fd, void *data, size_t size, off_t offset)
{
    const size_t part = part_of(size);
    return part == 0 && size > 0 ? -1 : syscall(SYS_pread64, fd, data, part, offset);
}

ssize_t read(int fd, void *data, size_t size)
{
    const size_t part = part_of(size);
    return part == 0 && size > 0 ? -1 : syscall(SYS_read, fd, data, part);
}

static void trouble_begins(void)
{
    const struct sigaction action = {.sa_handler = alarm_rings}; /* without SA_RESTART */
    const struct itimerval each_ms = {{0, 1000}, {0, 1000}};
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &each_ms, NULL), 0);
    memset(&system_calls, 0, sizeof system_calls);
    system_calls.on = true;
}

static void trouble_ends(void)
{
    const struct itimerval never = {{0, 0}, {0, 0}};
    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
    system_calls.on = false;
}

enum { ROWS = 400, LONG_TEXT = 20000 };

static void rows_write(aero_session *session, int64_t altitude)
{
    static char text[LONG_TEXT];
    char name[32];
    const uint32_t columns[] = {FLIGHT_ID, FLIGHT_LAT, FLIGHT_LON, FLIGHT_UPDATED, FLIGHT_DEST};
    memset(text, 'x', sizeof text);
    for (uint32_t row = 0; row < ROWS; row++)
        assert_ok(session, flight_put(session, flight_name(name, row), altitude + row));
    const aero_value values[] = {v_text("long"), v_real(1), v_real(2), v_int(3),
                                 v_data(AERO_TYPE_TEXT, text, sizeof text)};
    int32_t flag = 0;
    assert_ok(session, aero_upsert(session, FLIGHTS, 5, columns, values, &flag));
}

static void rows_check(aero_session *session, int64_t altitude)
{
    char name[32];
    assert_int_equal(row_count(session, FLIGHTS), ROWS + 3);
    for (uint32_t row = 0; row < ROWS; row++)
        assert_int_equal(flight_get(session, flight_name(name, row)), altitude + row);
}

/* Goal: short writes and EINTR change nothing. */
static void test_short_and_interrupted_calls_change_nothing(void **state)
{
    test_store store;
    char file[128];
    aero_checkpoint_report report;
    aero_ingest_report ingested;
    (void)state;
    store_paths(&store);
    snprintf(file, sizeof file, "%s.tsv", store.data_dir);
    FILE *lines = fopen(file, "w");
    assert_non_null(lines);
    assert_true(fputs("a1\t1\t2\t3\t\t5\na2\t1\t2\t3\t\t5\n", lines) > 0);
    assert_int_equal(fclose(lines), 0);

    trouble_begins();
    store_attach(&store, 64 << 20);
    rows_write(store.session, 100);
    assert_ok(store.session, aero_checkpoint(store.session, &report));
    rows_write(store.session, 200);
    assert_ok(store.session, aero_ingest_file(store.session, FLIGHTS, file, NULL, &ingested));
    assert_int_equal(ingested.rows_seen, 2);
    rows_check(store.session, 200);
    store_verify(store.session);
    store_detach(&store);

    /* Warm, then from the files alone. */
    store_attach(&store, 64 << 20);
    assert_string_equal(aero_boot(store.db), "warm");
    rows_check(store.session, 200);
    store_detach(&store);
    assert_int_equal(unlink(store.segment), 0);
    store_attach(&store, 64 << 20);
    assert_string_equal(aero_boot(store.db), "cold");
    rows_check(store.session, 200);
    trouble_ends();

    printf("%u calls, %u interrupted, %u shortened, %d alarms\n", system_calls.calls,
           system_calls.interrupted, system_calls.shortened, (int)alarms);
    assert_true(system_calls.interrupted > 500 && system_calls.shortened > 500);
    unlink(file);
    store_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_short_and_interrupted_calls_change_nothing),
};

AE_TEST_MAIN(tests)
