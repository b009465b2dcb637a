/* probe.h — what the programs of this folder share: opening a store, using it a little, and running
 * an attempt in a child whose end is judged.
 *
 * Concurrency: one thread a process.
 */
#ifndef PROBE_H
#define PROBE_H

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "aerostore/descriptor.h"

enum { PROBE_ALARM_S = 120 }; /* an attempt takes milliseconds; this long is a hang */

/* How an attempt in a child ended. */
enum probe_end {
    PROBE_REFUSED = 10, /* the attach, or the verification, found the damage */
    PROBE_ERROR = 11,   /* an operation returned an error code */
    PROBE_FINE = 12,    /* everything worked: the damage hit nothing that matters */
    PROBE_CRASHED = 13,
    PROBE_HUNG = 14
};

static inline _Noreturn void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static inline uint64_t random_next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static inline uint64_t parse_number(const char *text)
{
    char *end = NULL;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0)
        die("not a number: %s", text);
    return value;
}

static inline aero_value value_text(const char *data)
{
    return (aero_value){.type = AERO_TYPE_TEXT, .length = (uint32_t)strlen(data), .u.data = data};
}

/* Insert or replace a flight whose texts are long enough to need an overflow block. */
static inline aero_status flight_put(aero_session *session, uint64_t number)
{
    static const uint32_t columns[] = {0, 1, 2, 3, 5, 6};
    char key[32];
    int32_t inserted = 0;
    snprintf(key, sizeof key, "flight-%013" PRIu64, number);
    const aero_value values[] = {
        value_text(key),
        {.type = AERO_TYPE_DOUBLE, .u.real = (double)number / 7},
        {.type = AERO_TYPE_DOUBLE, .u.real = -(double)number / 3},
        {.type = AERO_TYPE_INT, .u.integer = (int64_t)(number % 45000)},
        {.type = AERO_TYPE_TIME, .u.integer = (int64_t)number},
        value_text("B738"),
    };
    return aero_upsert(session, 0, 6, columns, values, &inserted);
}

static inline aero_status store_open(const char *data_dir, const char *segment, uint64_t size,
                                     aero_db **db, aero_session **session, aero_error *error)
{
    const aero_open_options options = {.data_dir = data_dir, .shm_path = segment, .size = size};
    const aero_status status = aero_open(&options, db, error);
    return status != AERO_OK ? status : aero_session_open(*db, session, error);
}

/* Read every row through a cursor; the values flow into a sum, so that all of them are touched. */
static inline aero_status scan_all(aero_session *session, uint64_t *sum)
{
    static const uint32_t columns[] = {0, 1, 2, 3, 4, 5, 6, 7};
    aero_query *query = NULL;
    aero_cursor *cursor = NULL;
    aero_status status = aero_query_new(session, 0, &query);
    if (status == AERO_OK)
        status = aero_cursor_open(query, &cursor);
    while (status == AERO_OK) {
        const aero_row *row = NULL;
        aero_value values[8];
        status = aero_cursor_next(cursor, &row);
        if (status != AERO_OK || row == NULL)
            break;
        aero_row_values(row, 8, columns, values);
        for (int column = 0; column < 8; column++)
            if (values[column].type == AERO_TYPE_TEXT)
                for (uint32_t at = 0; at < values[column].length; at++)
                    *sum += (uint8_t)values[column].u.data[at];
            else
                *sum += values[column].u.natural;
    }
    aero_cursor_close(cursor);
    aero_query_free(query);
    return status;
}

/* Tell where it hangs or crashed, then die of the signal as anybody would. */
static inline void probe_trace(int number)
{
    void *frames[32];
    const int count = backtrace(frames, 32);
    backtrace_symbols_fd(frames, count, STDERR_FILENO);
    signal(number, SIG_DFL);
    raise(number);
}

/* Run `attempt` in a child and tell how it ended.  Its output goes to our standard error. */
static inline enum probe_end probe_run(enum probe_end (*attempt)(const void *context),
                                       const void *context, int *status)
{
    fflush(NULL);
    const pid_t child = fork();
    if (child < 0)
        die("fork: %s", strerror(errno));
    if (child == 0) {
        signal(SIGALRM, probe_trace);
#ifndef __SANITIZE_ADDRESS__ /* which tells more by itself */
        signal(SIGSEGV, probe_trace);
        signal(SIGBUS, probe_trace);
        signal(SIGABRT, probe_trace);
#endif
        alarm(PROBE_ALARM_S);
        _exit((int)attempt(context));
    }
    while (waitpid(child, status, 0) < 0)
        if (errno != EINTR)
            die("waitpid: %s", strerror(errno));
    if (WIFSIGNALED(*status))
        return WTERMSIG(*status) == SIGALRM ? PROBE_HUNG : PROBE_CRASHED;
    const int code = WEXITSTATUS(*status);
    return code >= PROBE_REFUSED && code <= PROBE_FINE ? (enum probe_end)code : PROBE_CRASHED;
}

#endif
