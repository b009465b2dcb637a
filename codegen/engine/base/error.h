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
void ae_error_clear(aero_error *error);

/* Assertions.  AE_ALWAYS holds in every build: a broken invariant ends the process at once rather
 * than spread; AE_ASSERT is for debug and test builds (AE_DEBUG). */
_Noreturn void ae_assert_failed(const char *condition, const char *file, int line);
#define AE_ALWAYS(condition) \
    (__builtin_expect(!(condition), 0) ? ae_assert_failed(#condition, __FILE__, __LINE__) : (void)0)
#ifdef AE_DEBUG
#define AE_ASSERT(condition) AE_ALWAYS(condition)
#else
#define AE_ASSERT(condition) ((void)sizeof(condition))
#endif

#endif
