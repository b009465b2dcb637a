/* error.h — how a function says what went wrong: a code to return and a sentence to read.
 *
 * Concurrency: an aero_error belongs to one thread.
 */
#ifndef AE_BASE_ERROR_H
#define AE_BASE_ERROR_H

#include <stdbool.h>

#include "aerostore/aerostore.h"

/* Set the error's code and text (printf format) and clear its line, column, table and field.
 * Returns `code`, so that `return ae_fail(error, AERO_TYPE, "…")` reads well.  `error` may be
 * NULL. */
aero_status ae_fail(aero_error *error, int32_t code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As ae_fail, with the failing call's errno spelled out at the end of the text. */
aero_status ae_fail_errno(aero_error *error, int32_t code, int number, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Name the table and column of an error already set; NULL leaves a name as it is. */
void ae_error_place(aero_error *error, const char *table, const char *field);
/* Name the column as it was written: a text without an end, cut to what fits. */
void ae_error_field(aero_error *error, const char *field, size_t length);
void ae_error_clear(aero_error *error);

/* Assertions: what must be true unless the engine itself is wrong.  Two kinds.  AE_ALWAYS holds in
 * every build, and is used where it costs a branch on values at hand; AE_ASSERT is for debug and
 * test builds (AE_DEBUG), where it may cost more or stands in the innermost loops.  A broken one
 * ends the process at once with its text, file and line, rather than let it spread into memory that
 * others share; the process counts as killed, which the others survive.
 *
 * What comes from outside is no matter for assertions: arguments of the C interface, bytes of files
 * and words of a segment that may be damaged are errors with a code.  A condition has no side
 * effects, for builds that count branches (AE_COVERAGE) leave it out: an outcome that ends the
 * process is none that a test has to take. */
_Noreturn void ae_assert_failed(const char *condition, const char *file, int line)
    __attribute__((cold));
#ifdef AE_COVERAGE
#define AE_ALWAYS(condition) ((void)0)
#else
#define AE_ALWAYS(condition) \
    (__builtin_expect(!(condition), 0) ? ae_assert_failed(#condition, __FILE__, __LINE__) : (void)0)
#endif
#ifdef AE_DEBUG
#define AE_ASSERT(condition) AE_ALWAYS(condition)
#else
#define AE_ASSERT(condition) ((void)sizeof(condition))
#endif

#endif
