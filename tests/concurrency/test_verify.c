/* Verify beside writers: what is in flight is never called damage.
 *
 * variants: plain asan
 */
#include <signal.h>
#include <sys/wait.h>

#include "flights.h"

enum { SEGMENT = 64 << 20, ROWS = 2000, WRITERS = 6, LOOKS = 4, STOPS = 200 };

/* Rows come, change and go until the parent does away with it. */
static void write_for_ever(aero_session *session, uint64_t random)
{
    char name[32];
    const pid_t parent = getppid();
    for (uint64_t turn = 0; turn % 64 != 0 || getppid() == parent; turn++) {
        const char *key = flight_name(name, next_random(&random) % ROWS);
        (void)(next_random(&random) % 4 == 0 ? flight_delete(session, key)
                                             : flight_put(session, key, (int64_t)turn));
    }
    _exit(0);
}

/* A store, and writers that are well under way. */
static void writers_start(test_store *store, pid_t *writers)
{
    uint64_t random = test_seed("writers");
    store_open(store, SEGMENT);
    for (uint32_t writer = 0; writer < WRITERS; writer++) {
        const uint64_t own = next_random(&random);
        fflush(NULL);
        if ((writers[writer] = fork()) == 0)
            write_for_ever(store->session, own);
        assert_true(writers[writer] > 0);
    }
    const uint64_t enough = stat_value(store->session, "commits") + 1000;
    while (stat_value(store->session, "commits") < enough)
        usleep(1000);
}

static void writers_kill(const pid_t *writers)
{
    for (uint32_t writer = 0; writer < WRITERS; writer++) {
        kill(writers[writer], SIGKILL);
        waitpid(writers[writer], NULL, 0);
    }
}

/* When they are gone it can be told that all is well. */
static void writers_end(test_store *store, const pid_t *writers)
{
    writers_kill(writers);
    store_verify(store->session);
    store_close(store);
}

/* Goal: a database in use is not called damaged.  Method: six processes write without a pause, more
 * than the machine has processors; verify says that all is well or that it cannot tell; when they
 * have been killed it can. */
static void test_what_is_in_flight_is_no_damage(void **state)
{
    test_store store;
    pid_t writers[WRITERS];
    uint64_t rows;
    uint64_t blocks;
    uint32_t untold = 0;
    (void)state;
    writers_start(&store, writers);
    for (uint32_t look = 0; look < LOOKS; look++) {
        const aero_status status = aero_verify(store.session, &rows, &blocks);
        if (status != AERO_TIMEOUT)
            assert_ok(store.session, status);
        untold += status == AERO_TIMEOUT;
    }
    printf("%u of %u could not tell\n", untold, LOOKS);
    writers_end(&store, writers);
}

/* Goal: the same of processes that are stopped in the middle of a call.  Method: all six are
 * stopped at random instants; what they have in hand may be in no account while they stand. */
static void test_what_the_stopped_have_in_hand_is_no_damage(void **state)
{
    test_store store;
    pid_t writers[WRITERS];
    uint64_t rows;
    uint64_t blocks;
    uint32_t untold = 0;
    (void)state;
    writers_start(&store, writers);
    for (uint32_t stop = 0; stop < STOPS && untold < 2; stop++) {
        int status = 0;
        for (uint32_t writer = 0; writer < WRITERS; writer++) {
            kill(writers[writer], SIGSTOP);
            assert_int_equal(waitpid(writers[writer], &status, WUNTRACED), writers[writer]);
        }
        const aero_status verdict = aero_verify(store.session, &rows, &blocks);
        if (verdict != AERO_OK && verdict != AERO_TIMEOUT) {
            writers_kill(writers); /* nobody stands when this test has failed */
            assert_ok(store.session, verdict);
        }
        untold += verdict == AERO_TIMEOUT;
        for (uint32_t writer = 0; writer < WRITERS; writer++)
            kill(writers[writer], SIGCONT);
        usleep(1000);
    }
    printf("%u could not tell\n", untold);
    writers_end(&store, writers);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_what_the_stopped_have_in_hand_is_no_damage),
    cmocka_unit_test(test_what_is_in_flight_is_no_damage),
};

AE_TEST_MAIN(tests)
