/* race.c — many processes create, attach and unlink one store at the same time.
 *
 * Usage: race start DATA_DIR SEGMENT PROCESSES ROUNDS
 *        race chaos DATA_DIR SEGMENT PROCESSES MILLISECONDS
 *
 * How it works:
 *   start  each round removes the segment; all processes open it at once, each writes one row of
 *   its
 *          own.  Exactly one may say "cold", nobody may fail, and all rows must be there.
 *   chaos  every process opens, writes, reads its row back and closes, over and over, while one in
 *          eight unlinks the segment now and then.  Nobody may see anything half-made: every open
 *          succeeds and every row just written is read back.
 * Children wait for each other on a pipe, not on time.
 */
#include <stdbool.h>
#include <time.h>

#include "probe.h"

enum { SEGMENT_SIZE = 16 << 20 };

static uint64_t now_ms(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000 + (uint64_t)at.tv_nsec / 1000000;
}

/* Open, write row `number`, read it back, close.  Exit codes: 0 warm, 1 cold, 2 failed. */
static int visit(const char *data_dir, const char *segment, uint64_t number)
{
    aero_db *db = NULL;
    aero_session *session = NULL;
    aero_error error;
    char key[32];
    int32_t found = 0;
    if (store_open(data_dir, segment, SEGMENT_SIZE, &db, &session, &error) != AERO_OK) {
        printf("open: %d %s\n", error.code, error.text);
        return 2;
    }
    const int cold = strcmp(aero_boot(db), "cold") == 0;
    snprintf(key, sizeof key, "flight-%013" PRIu64, number);
    const aero_value value = value_text(key);
    aero_status status = flight_put(session, number);
    if (status == AERO_OK)
        status = aero_exists(session, 0, &value, &found);
    if (status != AERO_OK || !found) {
        printf("use: %d %s\n", status, aero_session_error(session)->text);
        return 2;
    }
    aero_session_close(session);
    if (aero_close(db, &error) != AERO_OK) {
        printf("close: %d %s\n", error.code, error.text);
        return 2;
    }
    return cold;
}

static void wait_for_start(int gate)
{
    char byte;
    while (read(gate, &byte, 1) < 0 && errno == EINTR) {}
}

/* Reap children and count how they ended. */
static void reap(uint64_t processes, uint64_t ends[3])
{
    for (uint64_t i = 0; i < processes; i++) {
        int status = 0;
        if (wait(&status) < 0)
            die("wait: %s", strerror(errno));
        if (!WIFEXITED(status) || WEXITSTATUS(status) > 2) {
            printf("a process ended with status %d\n", status);
            ends[2]++;
        } else {
            ends[WEXITSTATUS(status)]++;
        }
    }
}

static uint64_t count_rows(const char *data_dir, const char *segment)
{
    aero_db *db = NULL;
    aero_session *session = NULL;
    aero_error error;
    uint64_t rows = 0;
    uint64_t blocks = 0;
    if (store_open(data_dir, segment, SEGMENT_SIZE, &db, &session, &error) != AERO_OK)
        die("open: %s", error.text);
    if (aero_verify(session, &rows, &blocks) != AERO_OK || aero_count(session, 0, &rows) != AERO_OK)
        die("verify: %s", aero_session_error(session)->text);
    aero_session_close(session);
    if (aero_close(db, &error) != AERO_OK)
        die("close: %s", error.text);
    return rows;
}

static bool run_start(const char *data_dir, const char *segment, uint64_t processes,
                      uint64_t rounds)
{
    bool good = true;
    for (uint64_t round = 0; round < rounds; round++) {
        int gate[2];
        uint64_t ends[3] = {0, 0, 0};
        if (unlink(segment) != 0 && errno != ENOENT)
            die("unlink: %s", strerror(errno));
        if (pipe(gate) != 0)
            die("pipe: %s", strerror(errno));
        for (uint64_t i = 0; i < processes; i++) {
            fflush(NULL);
            const pid_t child = fork();
            if (child < 0)
                die("fork: %s", strerror(errno));
            if (child == 0) {
                close(gate[1]);
                alarm(PROBE_ALARM_S);
                wait_for_start(gate[0]);
                const int end = visit(data_dir, segment, i);
                fflush(NULL);
                _exit(end);
            }
        }
        close(gate[0]);
        close(gate[1]); /* opens the gate for all */
        reap(processes, ends);
        const uint64_t rows = count_rows(data_dir, segment);
        if (ends[1] != 1 || ends[2] != 0 || rows != processes) {
            printf("round %" PRIu64 ": %" PRIu64 " cold, %" PRIu64 " failed, %" PRIu64 " rows\n",
                   round, ends[1], ends[2], rows);
            good = false;
        }
    }
    return good;
}

static int chaos(const char *data_dir, const char *segment, uint64_t number, uint64_t until_ms)
{
    uint64_t random = number;
    uint64_t visits = 0;
    while (now_ms() < until_ms) {
        alarm(PROBE_ALARM_S);
        if (visit(data_dir, segment, number * 1000000 + visits) == 2)
            return 2;
        visits++;
        if (number % 8 == 0 && random_next(&random) % 4 == 0)
            (void)unlink(segment); /* somebody else may have done it */
    }
    return visits == 0 ? 2 : 0;
}

static bool run_chaos(const char *data_dir, const char *segment, uint64_t processes,
                      uint64_t milliseconds)
{
    uint64_t ends[3] = {0, 0, 0};
    const uint64_t until_ms = now_ms() + milliseconds;
    for (uint64_t i = 0; i < processes; i++) {
        fflush(NULL);
        const pid_t child = fork();
        if (child < 0)
            die("fork: %s", strerror(errno));
        if (child == 0) {
            const int end = chaos(data_dir, segment, i, until_ms);
            fflush(NULL);
            _exit(end);
        }
    }
    reap(processes, ends);
    (void)count_rows(data_dir, segment);
    return ends[2] == 0;
}

int main(int argc, char **argv)
{
    if (argc != 6)
        die("usage: race start|chaos DATA_DIR SEGMENT PROCESSES ROUNDS|MILLISECONDS");
    const uint64_t processes = parse_number(argv[4]);
    const uint64_t amount = parse_number(argv[5]);
    const bool good = strcmp(argv[1], "start") == 0
                          ? run_start(argv[2], argv[3], processes, amount)
                          : run_chaos(argv[2], argv[3], processes, amount);
    puts(good ? "good" : "bad");
    return good ? 0 : 1;
}
