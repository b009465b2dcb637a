/* ingest.c — one timed load of a TSV file into an empty table.
 *
 * Usage: ingest aerostore INDEXES BATCH ROWS FLIGHTS.TSV DIRECTORY   (DIRECTORY: empty, on tmpfs)
 *        ingest sqlite ROWS FLIGHTS.TSV
 *
 * How it works: one process loads once, so that every round starts from nothing for every peer; the
 * caller alternates them.  Of the four indexes that the schema declares all but INDEXES are dropped
 * first; the peers have none but the key's.  BATCH rows are a transaction, 0: as many as usual.
 * SQLite's side splits lines with memchr, converts with strtod and binds typed values to one
 * prepared insert inside one transaction.  Reports nanoseconds and, for Aerostore, bytes of segment
 * a row.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver.h"
#if BENCH_SQLITE
#include "sqlite_peer.h"
#endif

static double stat_number(aero_session *session, const char *name)
{
    const aero_stat *stats = NULL;
    uint32_t count = 0;
    need(aero_stats(session, &stats, &count), session, "stats");
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(stats[i].name, name) == 0 && stats[i].table < 0)
            return (double)stats[i].value.u.integer;
    die("no statistic named %s", name);
}

static void load_aerostore(uint32_t indexes, uint64_t batch, uint64_t rows, const char *path,
                           const char *directory)
{
    const aero_tsv_options options = {.batch_size = batch};
    aero_ingest_report got;
    char peer[80] = "aerostore";
    aero_db *db = NULL;
    aero_session *session = store_open(directory, rows * 512 + (128u << 20), &db);
    store_drop_indexes(session, indexes);
    if (indexes > 0)
        snprintf(peer, sizeof peer, "aerostore, %u indexes", indexes);
    const size_t named = strlen(peer);
    if (batch > 0)
        snprintf(peer + named, sizeof peer - named, ", batches of %" PRIu64, batch);
    const double before = stat_number(session, "segment_used");
    const uint64_t start = now_ns();
    need(aero_ingest_file(session, 0, path, &options, &got), session, "aero_ingest_file");
    const uint64_t took = now_ns() - start;
    const double used = stat_number(session, "segment_used") - before;
    if (got.inserted != rows)
        die("ingest inserted %" PRIu64, got.inserted);
    report("ingest", peer, 0, (double)took / (double)rows, "ns/row");
    report("size", peer, 0, used / (double)rows, "bytes/row");
    store_close(db, session);
}

#if BENCH_SQLITE
static double parse_real(const char *start, const char *end)
{
    char *stop = NULL;
    const double value = strtod(start, &stop);
    if (stop != end)
        die("sqlite: bad number");
    return value;
}

static void bind_line(sqlite3_stmt *insert, const char *line, const char *end)
{
    for (int cell = 0; cell < COLUMN_COUNT; cell++) {
        const char *stop = memchr(line, '\t', (size_t)(end - line));
        if (stop == NULL)
            stop = end;
        if (cell == COLUMN_ID || cell >= COLUMN_TYP)
            sqlite3_bind_text(insert, cell + 1, line, (int)(stop - line), SQLITE_STATIC);
        else if (cell == COLUMN_ALTITUDE)
            sqlite3_bind_int64(insert, cell + 1, strtoll(line, NULL, 10));
        else
            sqlite3_bind_double(insert, cell + 1, parse_real(line, stop));
        line = stop + 1;
    }
}

static void load_sqlite(uint64_t rows, const char *path)
{
    sqlite3 *db = sqlite_peer_open();
    const uint64_t start = now_ns();
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    if (file < 0 || fstat(file, &info) != 0)
        die("cannot open %s", path);
    const char *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file,
                            0);
    if (data == MAP_FAILED)
        die("cannot map %s", path);
    const char *const end = data + info.st_size;
    sqlite3_stmt *insert = sqlite_peer_prepare(db, SQLITE_PEER_INSERT);
    uint64_t seen = 0;
    sqlite_need(sqlite3_exec(db, "BEGIN", NULL, NULL, NULL), db, "begin");
    for (const char *line = data; line < end; seen++) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        if (stop == NULL)
            stop = end;
        bind_line(insert, line, stop);
        sqlite_need(sqlite3_step(insert), db, "insert");
        sqlite3_reset(insert);
        line = stop + 1;
    }
    sqlite_need(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), db, "commit");
    const uint64_t took = now_ns() - start;
    if (seen != rows)
        die("sqlite saw %" PRIu64 " rows", seen);
    report("ingest", "sqlite", 0, (double)took / (double)rows, "ns/row");
    sqlite3_finalize(insert);
    sqlite3_close(db);
    close(file);
}
#endif

int main(int argc, char **argv)
{
    if (argc == 7 && strcmp(argv[1], "aerostore") == 0) {
        load_aerostore((uint32_t)strtoul(argv[2], NULL, 10), strtoull(argv[3], NULL, 10),
                       parse_count(argv[4]), argv[5], argv[6]);
        return 0;
    }
#if BENCH_SQLITE
    if (argc == 4 && strcmp(argv[1], "sqlite") == 0) {
        load_sqlite(parse_count(argv[2]), argv[3]);
        return 0;
    }
#endif
    die("usage: ingest aerostore INDEXES BATCH ROWS FLIGHTS.TSV DIRECTORY | ingest sqlite ROWS "
        "FLIGHTS.TSV");
}
