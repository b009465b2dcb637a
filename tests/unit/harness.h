/* harness.h — the `main` of a C test program, so that pytest can list and run its tests one by one.
 *
 *   program            run every test
 *   program --list     print the names, one per line
 *   program NAME       run the tests whose name matches NAME (* and ? as wildcards)
 *
 * A file ends with AE_TEST_MAIN(tests) over its array of CMUnitTest.  Two comments near the top of
 * the file tell how it is built; both may be left out:
 *   variants: plain asan tsan     default: plain asan
 *   links: base ingest/tsv.c      engine folders and files; generated/NAME adds a package's C,
 *                                 tests/NAME what a folder of tests shares, and a word with !
 *                                 before it leaves sources out again; default: the whole engine
 *                                 and generated/aerostore
 * Assertions of the engine (AE_ASSERT) are on in every variant.
 */
#ifndef AE_TEST_HARNESS_H
#define AE_TEST_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static inline int ae_test_main_with(int argc, char **argv, const struct CMUnitTest *tests,
                                    size_t count, CMFixtureFunction setup,
                                    CMFixtureFunction teardown)
{
    if (argc > 1 && strcmp(argv[1], "--list") == 0) {
        for (size_t i = 0; i < count; i++)
            printf("%s\n", tests[i].name);
        return 0;
    }
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return _cmocka_run_group_tests(argv[0], tests, count, setup, teardown);
}

static inline int ae_test_main(int argc, char **argv, const struct CMUnitTest *tests, size_t count)
{
    return ae_test_main_with(argc, argv, tests, count, NULL, NULL);
}

/* `tests` is an array in scope.  The second form runs a fixture once around all tests. */
#define AE_TEST_MAIN(tests) AE_TEST_MAIN_WITH(tests, NULL, NULL)
#define AE_TEST_MAIN_WITH(tests, setup, teardown) \
    int main(int argc, char **argv) \
    { \
        return ae_test_main_with(argc, argv, tests, sizeof(tests) / sizeof((tests)[0]), setup, \
                                 teardown); \
    }

#endif
