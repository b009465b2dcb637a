/* The pause between two attempts of a statement or a transaction.
 *
 * variants: plain
 */
#include "base/os.h"
#include "flights.h"
#include "txn/handles.h"
#include "txn/txn.h"

enum { FIRST_NS = 500, LONGEST_NS = 1024000, LAST_DOUBLING = 11 };

/* Goal: pauses double and are truncated.  Method: the nominal pause of each attempt. */
static void test_pauses_double_and_are_truncated(void **state)
{
    (void)state;
    assert_int_equal(ae_backoff_nominal_ns(0), FIRST_NS);
    for (uint32_t attempt = 1; attempt <= LAST_DOUBLING; attempt++)
        assert_int_equal(ae_backoff_nominal_ns(attempt), 2 * ae_backoff_nominal_ns(attempt - 1));
    for (uint32_t attempt = LAST_DOUBLING; attempt < 200; attempt++)
        assert_int_equal(ae_backoff_nominal_ns(attempt), LONGEST_NS);
    assert_int_equal(ae_backoff_nominal_ns(UINT32_MAX), LONGEST_NS);
}

/* Goal: each pause is half to one and a half of the nominal one.  Method: the clock before and
 * after; a busy machine adds to it, so of many pauses the shortest shows the upper bound. */
static void test_pauses_are_near_the_nominal_one(void **state)
{
    enum { PAUSES = 40 };
    aero_session session = {.random = test_seed("pauses") | 1};
    (void)state;
    for (uint32_t attempt = 0; attempt < LAST_DOUBLING + 3; attempt++) {
        const uint64_t nominal = ae_backoff_nominal_ns(attempt);
        uint64_t shortest = UINT64_MAX;
        for (int turn = 0; turn < PAUSES; turn++) {
            const uint64_t before = ae_os_monotonic_ns();
            ae_backoff(&session, attempt);
            const uint64_t took = ae_os_monotonic_ns() - before;
            assert_true(took >= nominal / 2);
            shortest = took < shortest ? took : shortest;
        }
        assert_in_range(shortest, nominal / 2, 3 * nominal / 2 + 200000);
    }
}

/* Goal: two that met do not meet again.  Method: what two sessions draw from different beginnings
 * differs, and what one draws twice from one beginning does not. */
static void test_pauses_of_two_sessions_differ(void **state)
{
    enum { DRAWS = 16 };
    const uint64_t begin = test_seed("draws") | 1;
    aero_session one = {.random = begin};
    aero_session same = {.random = begin};
    aero_session other = {.random = begin + 2};
    uint32_t equal = 0;
    (void)state;
    for (uint32_t draw = 0; draw < DRAWS; draw++) {
        ae_backoff(&one, 0);
        ae_backoff(&same, 0);
        ae_backoff(&other, 0);
        assert_int_equal(one.random, same.random);
        equal += one.random % FIRST_NS == other.random % FIRST_NS;
    }
    assert_in_range(equal, 0, DRAWS / 4);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_pauses_double_and_are_truncated),
    cmocka_unit_test(test_pauses_are_near_the_nominal_one),
    cmocka_unit_test(test_pauses_of_two_sessions_differ),
};

AE_TEST_MAIN(tests)
