/* Death at every crash point of a checkpoint, and at each while the next one is taken.
 *
 * A child that is left alone counts the points it passes in: commit, checkpoint, commit.  Then, for
 * each passage, a child dies there by SIGKILL.  From the files alone, without the segment, all that
 * was acknowledged must come back, whole; a checkpoint must be possible at once; and what that
 * leaves must come back, too.  Recovery itself is killed at its points likewise.  Of many passages
 * a part is taken; $AE_CRASH_THOROUGH=1 takes all.
 *
 * variants: crash
 * links: * generated/market
 */
#include <signal.h>

#include "../crash/ledger.h"

enum { KEYS = 60 };

/* Shared with the children: passages left until death, and passages counted. */
static struct {
    _Atomic uint32_t left;
    _Atomic uint32_t passed;
} * crash;

void ae_crash_point(const char *name);
void ae_crash_point(const char *name)
{
    (void)name;
    if (crash == NULL)
        return;
    atomic_fetch_add_explicit(&crash->passed, 1, memory_order_relaxed);
    if (atomic_load_explicit(&crash->left, memory_order_relaxed) != 0 &&
        atomic_fetch_sub_explicit(&crash->left, 1, memory_order_relaxed) == 1)
        kill(getpid(), SIGKILL);
}

static void crash_arm(uint32_t left)
{
    atomic_store_explicit(&crash->passed, 0, memory_order_relaxed);
    atomic_store_explicit(&crash->left, left, memory_order_relaxed);
}

typedef void (*body)(test_store *store, ledger *of);

/* Returns true when the child came to its end. */
static bool run(test_store *store, ledger *of, body what)
{
    int status = 0;
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(120);
        what(store, of);
        _exit(0);
    }
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    crash_arm(0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        fail_msg("a child ended with status %x", (unsigned)status);
    return false;
}

static uint32_t deaths_left; /* set before the fork; armed by the child when it has attached */

static void checkpoint_between_commits(test_store *store, ledger *of)
{
    aero_checkpoint_report report;
    store_attach(store, 64 << 20);
    crash_arm(deaths_left);
    must(store->session, ledger_single(store->session, of, 1, 1 + of->committed[1]));
    must(store->session, aero_checkpoint(store->session, &report));
    must(store->session, ledger_single(store->session, of, 2, 1 + of->committed[2]));
}

static void only_open(test_store *store, ledger *of)
{
    (void)of;
    crash_arm(deaths_left);
    store_attach(store, 64 << 20);
}

/* From the files alone: what the ledger says; then a checkpoint, and once more. */
static void check(test_store *store, ledger *of, uint32_t passage)
{
    aero_checkpoint_report report;
    uint32_t where = 0;
    for (int again = 0; again < 2; again++) {
        unlink(store->segment);
        store_attach(store, 64 << 20);
        const uint32_t *truth = ledger_truth(store->session, of);
        if (truth == of->pending && of->in_flight == 0)
            fail_msg("passage %u: uncommitted rows are visible", passage);
        if (!ledger_shows(store->session, truth, &where))
            fail_msg("passage %u: key %u differs", passage, where);
        if (truth != of->committed)
            memcpy(of->committed, truth, sizeof of->committed);
        memcpy(of->pending, of->committed, sizeof of->pending);
        atomic_store_explicit(&of->in_flight, 0, memory_order_release);
        store_verify(store->session);
        if (again == 0)
            assert_ok(store->session, aero_checkpoint(store->session, &report));
        store_detach(store);
    }
}

static void every_passage(body what, uint32_t *deaths)
{
    const bool thorough = getenv("AE_CRASH_THOROUGH") != NULL;
    test_store store;
    ledger *of = ledger_new();
    crash = mmap(NULL, sizeof *crash, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true((void *)crash != MAP_FAILED);
    store_paths(&store);
    store_attach(&store, 64 << 20);
    for (uint32_t key = 0; key < KEYS; key++)
        assert_ok(store.session, ledger_single(store.session, of, key, 3 + key));
    store_detach(&store);
    for (deaths_left = 1;; deaths_left += deaths_left < 60 || thorough ? 1 : 29) {
        unlink(store.segment);
        const bool ended = run(&store, of, what);
        check(&store, of, deaths_left);
        if (ended)
            break;
        (*deaths)++;
    }
    munmap((void *)crash, sizeof *crash);
    crash = NULL;
    munmap(of, sizeof *of);
    store_attach(&store, 64 << 20);
    store_close(&store);
}

static void test_a_death_in_a_checkpoint_costs_nothing(void **state)
{
    uint32_t deaths = 0;
    (void)state;
    every_passage(checkpoint_between_commits, &deaths);
    printf("%u deaths\n", deaths);
    assert_in_range(deaths, 20, 100000);
}

static void test_a_death_in_recovery_costs_nothing(void **state)
{
    uint32_t deaths = 0;
    (void)state;
    every_passage(only_open, &deaths);
    printf("%u deaths\n", deaths);
    assert_in_range(deaths, 20, 100000);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_death_in_a_checkpoint_costs_nothing),
    cmocka_unit_test(test_a_death_in_recovery_costs_nothing),
};

AE_TEST_MAIN(tests)
