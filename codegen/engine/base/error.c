/* error.c — filling an aero_error, the table of all codes, and failed assertions. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const aero_error_info ae_error_table[] = {
#define AERO_ERROR(name, number, retryable, python_class, sentence) \
    {number, retryable, #name, #python_class, sentence},
#include "aerostore/errors.def"
#undef AERO_ERROR
};

const aero_error_info *aero_error_at(uint32_t index)
{
    return index < sizeof ae_error_table / sizeof ae_error_table[0] ? &ae_error_table[index] : NULL;
}

const aero_error_info *aero_error_lookup(int32_t code)
{
    const aero_error_info *info = NULL;
    for (uint32_t index = 0; (info = aero_error_at(index)) != NULL; index++)
        if (info->code == code)
            return info;
    return NULL;
}

const char *aero_conflict_name(int32_t reason)
{
    static const char *const names[] = {"none",    "write",  "read",      "predicate",
                                        "stalled", "window", "cancelled", "lock"};
    return reason >= 0 && (size_t)reason < sizeof names / sizeof names[0] ? names[reason]
                                                                          : "unknown";
}

void ae_error_clear(aero_error *error)
{
    error->code = AERO_OK;
    error->retryable = 0;
    error->line = -1;
    error->column = -1;
    error->aborted = 0;
    error->reason = 0;
    error->table[0] = '\0';
    error->field[0] = '\0';
    error->text[0] = '\0';
    error->column_count = 0;
}

static void error_fill(aero_error *error, int32_t code, const char *format, va_list arguments)
{
    const aero_error_info *info = aero_error_lookup(code);
    AE_ASSERT(info != NULL && format != NULL);
    ae_error_clear(error);
    error->code = code;
    error->retryable = info != NULL ? info->retryable : 0;
    vsnprintf(error->text, sizeof error->text, format, arguments);
}

aero_status ae_fail(aero_error *error, int32_t code, const char *format, ...)
{
    AE_ASSERT(code != AERO_OK);
    if (error != NULL) {
        va_list arguments;
        va_start(arguments, format);
        error_fill(error, code, format, arguments);
        va_end(arguments);
    }
    return code;
}

aero_status ae_fail_errno(aero_error *error, int32_t code, int number, const char *format, ...)
{
    AE_ASSERT(code != AERO_OK && number != 0);
    if (error != NULL) {
        va_list arguments;
        va_start(arguments, format);
        error_fill(error, code, format, arguments);
        va_end(arguments);
        const size_t used = strlen(error->text);
        char reason[128];
        /* The GNU form of strerror_r returns the text, which need not be in the buffer. */
        snprintf(error->text + used, sizeof error->text - used, ": %s",
                 strerror_r(number, reason, sizeof reason));
    }
    return code;
}

static void place_copy(char *to, size_t size, const char *from, size_t length)
{
    AE_ASSERT(size > 0 && from != NULL);
    const size_t kept = length < size ? length : size - 1;
    memcpy(to, from, kept);
    to[kept] = '\0';
}

void ae_error_place(aero_error *error, const char *table, const char *field)
{
    if (error == NULL)
        return;
    if (table != NULL)
        place_copy(error->table, sizeof error->table, table, strlen(table));
    if (field != NULL)
        place_copy(error->field, sizeof error->field, field, strlen(field));
}

void ae_error_field(aero_error *error, const char *field, size_t length)
{
    if (error != NULL)
        place_copy(error->field, sizeof error->field, field, length);
}

_Noreturn void ae_assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "aerostore: invariant broken: %s (%s:%d)\n", condition, file, line);
    fflush(stderr);
    __builtin_trap();
}
