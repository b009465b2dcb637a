/* driver.h — what every benchmark driver in C shares: a clock, a random number generator, the
 * made-up flights, and the one-line-per-measurement output that run.py reads.
 *
 * How it works: flight i is a pure function of i, so every peer loads equal rows without sharing
 * memory.  Keys grow with i: the best case for the peers that keep a sorted tree.
 *
 * Concurrency: one thread.
 */
#ifndef BENCH_DRIVER_H
#define BENCH_DRIVER_H

#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "aerostore/descriptor.h"

/* Column numbers of FlightState, in the order of its TSV. */
enum flight_column {
    COLUMN_ID,
    COLUMN_LAT,
    COLUMN_LON,
    COLUMN_ALTITUDE,
    COLUMN_GS,
    COLUMN_UPDATED_AT,
    COLUMN_TYP,
    COLUMN_DEST,
    COLUMN_COUNT
};

enum { KEY_LENGTH = 12, CODE_LENGTH = 4 };
/* Spreads ten million keys over twelve hexadecimal digits: the strings hash well everywhere, which
 * decimal counters do not (Tcl's table would walk chains). */
#define KEY_STEP 28147497u

/* A flight as plain data; typ and dest are exactly four letters, not terminated. */
typedef struct flight {
    char key[12];
    int32_t altitude;
    double lat;
    double lon;
    double gs;
    int64_t updated_us;
    char typ[CODE_LENGTH];
    char dest[CODE_LENGTH];
} flight;

static inline _Noreturn void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

/* For what several processes time together, where a process's own clock says nothing. */
static inline uint64_t wall_ns(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static inline void wait_ms(uint64_t milliseconds)
{
    const struct timespec pause = {(time_t)(milliseconds / 1000),
                                   (long)(milliseconds % 1000) * 1000000};
    nanosleep(&pause, NULL);
}

/* Run on all cores: run.py has pinned us to one. */
static inline void unpin(void)
{
    cpu_set_t all;
    CPU_ZERO(&all);
    for (long core = 0; core < sysconf(_SC_NPROCESSORS_CONF); core++)
        CPU_SET((size_t)core, &all);
    (void)sched_setaffinity(0, sizeof all, &all);
}

/* Wall time; with BENCH_CLOCK=cpu the processor time of this process, kernel included, which a busy
 * neighbour disturbs less. */
static inline uint64_t now_ns(void)
{
    struct timespec at;
    const char *name = getenv("BENCH_CLOCK");
    const bool cpu = name != NULL && strcmp(name, "cpu") == 0;
    clock_gettime(cpu ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

/* splitmix64 (Steele, Lea, Flood 2014): every seed gives a full-period, well mixed sequence. */
static inline uint64_t random_next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static inline void flight_key(uint64_t index, char key[KEY_LENGTH])
{
    uint64_t number = index * KEY_STEP;
    for (int place = KEY_LENGTH - 1; place >= 0; place--) {
        key[place] = "0123456789abcdef"[number % 16];
        number /= 16;
    }
}

static inline void flight_make(uint64_t index, flight *out)
{
    static const char types[][5] = {"A319", "A320", "A321", "B738", "B77W", "CRJ9", "E190", "C172"};
    static const char ports[][5] = {"KJFK", "KSFO", "EGLL", "LFPG", "EDDF", "LSZH", "RJTT", "YSSY"};
    uint64_t state = index * 2 + 1;
    const uint64_t a = random_next(&state);
    const uint64_t b = random_next(&state);
    const uint64_t c = random_next(&state);
    flight_key(index, out->key);
    /* Seven decimals: what position reports carry. */
    out->lat = (double)((int64_t)(a % 1800000000u) - 900000000) / 1e7;
    out->lon = (double)((int64_t)(b % 3600000000u) - 1800000000) / 1e7;
    out->altitude = (int32_t)(c % 45000u);
    out->gs = (double)((c >> 20) % 6000u) / 10.0;
    out->updated_us = 1533099600000000 + (int64_t)((a >> 32) % 1000000u) * 1000 +
                      (int64_t)index * 1000;
    memcpy(out->typ, types[(b >> 40) % 8], CODE_LENGTH);
    memcpy(out->dest, ports[(b >> 50) % 8], CODE_LENGTH);
}

/* One measurement: read by core.py.  `unit` is "ns/row" (less is better) or "bytes/row". */
static inline void report(const char *what, const char *peer, int round, double value,
                          const char *unit)
{
    printf(
        "{\"what\": \"%s\", \"peer\": \"%s\", \"round\": %d, \"value\": %.4f, \"unit\": \"%s\"}\n",
        what, peer, round, value, unit);
    fflush(stdout);
}

/* A checksum every read value flows into, so that no peer's reads are optimised away. */
static inline uint64_t consume_real(uint64_t sum, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return sum * 31 + bits;
}

static inline uint64_t consume_text(uint64_t sum, const char *data, size_t length)
{
    for (size_t i = 0; i < length; i++)
        sum = sum * 31 + (uint8_t)data[i];
    return sum;
}

static inline uint64_t parse_count(const char *text)
{
    char *end = NULL;
    const unsigned long long value = strtoull(text, &end, 10);
    if (end == text || *end != '\0' || value == 0)
        die("not a positive count: %s", text);
    return value;
}

/* ---- Aerostore ------------------------------------------------------------------------------ */

static inline void need(aero_status status, aero_session *session, const char *what)
{
    if (status != AERO_OK)
        die("%s: %s", what, aero_session_error(session)->text);
}

/* Open a database.  Commits are asynchronously durable: the peers do not wait for a disk either. */
static inline aero_session *store_open_as(const aero_open_options *options, aero_db **db)
{
    aero_error error;
    aero_session *session = NULL;
    if (aero_open(options, db, &error) != AERO_OK)
        die("aero_open: %s", error.text);
    if (aero_session_open(*db, &session, &error) != AERO_OK)
        die("aero_session_open: %s", error.text);
    need(aero_config_set(session, "aerostore.synchronous_commit", "off"), session, "config");
    return session;
}

/* Open a database of its own under `directory`, which the caller's script removes. */
static inline aero_session *store_open(const char *directory, uint64_t size, aero_db **db)
{
    char shm_path[4096];
    if (snprintf(shm_path, sizeof shm_path, "%s/segment", directory) >= (int)sizeof shm_path)
        die("path too long: %s", directory);
    const aero_open_options options = {.data_dir = directory, .shm_path = shm_path, .size = size};
    return store_open_as(&options, db);
}

static inline void store_close(aero_db *db, aero_session *session)
{
    aero_error error;
    aero_session_close(session);
    if (aero_close(db, &error) != AERO_OK)
        die("aero_close: %s", error.text);
}

static inline void store_ingest(aero_session *session, const char *path, uint64_t rows)
{
    aero_ingest_report got;
    need(aero_ingest_file(session, 0, path, NULL, &got), session, "aero_ingest_file");
    if (got.rows_seen != rows || got.inserted != rows)
        die("ingest saw %" PRIu64 " rows, inserted %" PRIu64, got.rows_seen, got.inserted);
}

/* One statistic of the database as a whole. */
static inline uint64_t store_stat(aero_session *session, const char *name)
{
    const aero_stat *stats = NULL;
    uint32_t count = 0;
    need(aero_stats(session, &stats, &count), session, "stats");
    for (uint32_t index = 0; index < count; index++)
        if (stats[index].table < 0 && stats[index].item < 0 && strcmp(stats[index].name, name) == 0)
            return stats[index].value.u.natural;
    die("no statistic %s", name);
}

/* Drop the indexes that the schema declares, but the first `kept` ones. */
static inline void store_drop_indexes(aero_session *session, uint32_t kept)
{
    static const uint32_t declared[] = {COLUMN_ALTITUDE, COLUMN_UPDATED_AT, COLUMN_TYP,
                                        COLUMN_DEST};
    for (uint32_t index = kept; index < sizeof declared / sizeof declared[0]; index++)
        need(aero_index_drop(session, 0, 1, &declared[index]), session, "drop");
}

static inline aero_value value_text(const char *data, size_t length)
{
    return (aero_value){.type = AERO_TYPE_TEXT, .length = (uint32_t)length, .u.data = data};
}

static inline aero_value value_int(int64_t integer)
{
    return (aero_value){.type = AERO_TYPE_INT, .u.integer = integer};
}

static inline aero_value value_real(double real)
{
    return (aero_value){.type = AERO_TYPE_DOUBLE, .u.real = real};
}

static inline aero_value value_time(int64_t microseconds)
{
    return (aero_value){.type = AERO_TYPE_TIME, .u.integer = microseconds};
}

/* ---- the plain peers ------------------------------------------------------------------------ */

/* A row of the same 88 bytes as the generated struct: the plain loop and the plain hash move as
 * much memory as the engine's rows take. */
typedef struct plain_row {
    uint32_t nulls;
    int32_t altitude;
    double lat;
    double lon;
    double gs;
    int64_t updated_us;
    aero_cell id;
    aero_cell typ;
    aero_cell dest;
} plain_row;
_Static_assert(sizeof(plain_row) == 88, "as large as a FlightState row");

/* Null bits of a plain row, by nullable column in order: altitude, gs, typ, dest. */
enum { PLAIN_NULL_ALTITUDE = 1, PLAIN_NULL_GS = 2 };

static inline void plain_cell(aero_cell *cell, const char *data, uint32_t length)
{
    memset(cell, 0, sizeof *cell);
    cell->length = length;
    memcpy(cell->prefix, data, length);
}

static inline void plain_fill(plain_row *row, const flight *from)
{
    row->nulls = 0;
    row->altitude = from->altitude;
    row->lat = from->lat;
    row->lon = from->lon;
    row->gs = from->gs;
    row->updated_us = from->updated_us;
    plain_cell(&row->id, from->key, KEY_LENGTH);
    plain_cell(&row->typ, from->typ, CODE_LENGTH);
    plain_cell(&row->dest, from->dest, CODE_LENGTH);
}

static inline uint64_t plain_consume(uint64_t sum, const plain_row *row)
{
    sum = consume_real(sum, row->lat);
    sum = consume_real(sum, row->lon);
    sum = sum * 31 + (uint64_t)row->altitude;
    sum = consume_real(sum, row->gs);
    sum = sum * 31 + (uint64_t)row->updated_us;
    sum = consume_text(sum, row->typ.prefix, row->typ.length);
    return consume_text(sum, row->dest.prefix, row->dest.length);
}

#endif
