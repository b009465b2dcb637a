/* damage.c — attach damaged copies of a segment, in children, and see that nobody crashes or hangs.
 *
 * Usage: damage header   DATA_DIR SEGMENT COPY FIRST_BYTE END_BYTE
 *        damage truncate DATA_DIR SEGMENT COPY
 *        damage words    DATA_DIR SEGMENT COPY SEED TRIALS
 *
 * How it works: a store with some hundred rows is made and left; each trial writes a damaged copy
 * of its segment beside it and attaches that in a child, which verifies it, reads everything and
 * writes.
 *   header    every bit of the given bytes flipped in turn
 *   truncate  the copy cut to telling sizes
 *   words     one to eight words anywhere in use overwritten: random, zero, another word's value,
 *   ±1
 * Prints one line a trial that crashed or hung, and a last line with the counts.
 *
 * Progress: each trial ends within PROBE_ALARM_S.
 */
#include "probe.h"

enum { ROWS = 400, SEGMENT_SIZE = 5 << 20 };

typedef struct image {
    const char *data_dir;
    const char *copy;
    uint8_t *bytes; /* the undamaged segment */
    size_t size;
    size_t used;  /* bytes that hold anything */
    size_t *busy; /* offsets of the words that are not zero */
    size_t busy_count;
} image;

static uint64_t counts[PROBE_HUNG + 1];

/* What a survivor does with the copy. */
static enum probe_end attempt(const void *context)
{
    const image *of = context;
    aero_db *db = NULL;
    aero_session *session = NULL;
    aero_error error;
    uint64_t rows = 0;
    uint64_t blocks = 0;
    uint64_t sum = 0;
    if (store_open(of->data_dir, of->copy, 0, &db, &session, &error) != AERO_OK)
        return PROBE_REFUSED;
    if (aero_verify(session, &rows, &blocks) != AERO_OK)
        return PROBE_REFUSED;
    aero_status status = scan_all(session, &sum);
    for (uint64_t i = 0; status == AERO_OK && i < 64; i++)
        status = flight_put(session, ROWS - 32 + i);
    for (uint64_t i = 0; status == AERO_OK && i < 16; i++) {
        char key[32];
        int32_t found = 0;
        snprintf(key, sizeof key, "flight-%013" PRIu64, i);
        const aero_value value = value_text(key);
        status = aero_delete(session, 0, &value, &found);
    }
    if (status == AERO_OK)
        status = aero_count(session, 0, &rows);
    return status == AERO_OK ? PROBE_FINE : PROBE_ERROR;
}

static void make_store(const char *data_dir, const char *segment)
{
    aero_db *db = NULL;
    aero_session *session = NULL;
    aero_error error;
    if (store_open(data_dir, segment, SEGMENT_SIZE, &db, &session, &error) != AERO_OK)
        die("open: %s", error.text);
    for (uint64_t i = 0; i < ROWS * 2; i++) /* every row has been updated once */
        if (flight_put(session, i % ROWS) != AERO_OK)
            die("put: %s", aero_session_error(session)->text);
    aero_session_close(session);
    if (aero_close(db, &error) != AERO_OK)
        die("close: %s", error.text);
}

static void read_image(const char *segment, image *out)
{
    struct stat info;
    const int fd = open(segment, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0)
        die("%s: %s", segment, strerror(errno));
    out->size = (size_t)info.st_size;
    out->bytes = malloc(out->size);
    if (out->bytes == NULL || pread(fd, out->bytes, out->size, 0) != (ssize_t)out->size)
        die("%s: cannot be read whole", segment);
    close(fd);
    out->used = out->size;
    while (out->used > 4096 && out->bytes[out->used - 1] == 0)
        out->used--;
    out->used = (out->used + 7) & ~(size_t)7;
    out->busy = calloc(out->used / 8, sizeof *out->busy);
    if (out->busy == NULL)
        die("out of memory");
    for (size_t at = 0; at < out->used; at += 8) {
        uint64_t word;
        memcpy(&word, out->bytes + at, sizeof word);
        if (word != 0)
            out->busy[out->busy_count++] = at;
    }
}

/* A fresh file each time: what an earlier child did to its copy must not matter. */
static void write_copy(const image *of, const uint8_t *bytes, size_t size)
{
    unlink(of->copy);
    const int fd = open(of->copy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        die("%s: %s", of->copy, strerror(errno));
    const size_t dense = size < of->used ? size : of->used;
    if (pwrite(fd, bytes, dense, 0) != (ssize_t)dense || ftruncate(fd, (off_t)size) != 0 ||
        fallocate(fd, 0, 0, (off_t)(size > 0 ? size : 1)) != 0 || ftruncate(fd, (off_t)size) != 0)
        die("%s: %s", of->copy, strerror(errno));
    close(fd);
}

static enum probe_end judge(const image *of, const char *what, uint64_t place)
{
    int status = 0;
    const enum probe_end end = probe_run(attempt, of, &status);
    counts[end]++;
    if (end == PROBE_CRASHED || end == PROBE_HUNG)
        printf("%s %s at %" PRIu64 " (status %d)\n", end == PROBE_HUNG ? "HUNG" : "CRASHED", what,
               place, status);
    return end;
}

static void run_header(const image *of, size_t first, size_t end)
{
    for (size_t bit = first * 8; bit < end * 8; bit++) {
        of->bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        write_copy(of, of->bytes, of->size);
        if (judge(of, "bit", bit) != PROBE_REFUSED)
            printf("ACCEPTED byte %zu bit %zu\n", bit / 8, bit % 8);
        of->bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
}

static void run_truncate(const image *of)
{
    const size_t sizes[] = {0,    1,    7,     8,     127,          128,
                            4095, 4096, 65535, 65536, of->size / 2, of->size - 1};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        write_copy(of, of->bytes, sizes[i]);
        if (judge(of, "size", sizes[i]) != PROBE_REFUSED)
            printf("ACCEPTED size %zu\n", sizes[i]);
    }
    write_copy(of, of->bytes, of->size + 65536);
    if (judge(of, "size", of->size + 65536) != PROBE_REFUSED)
        printf("ACCEPTED a longer file\n");
}

/* Three in four hit a word that holds something; most of a young segment is zero. */
static void damage_word(const image *of, uint8_t *bytes, uint64_t *random)
{
    uint64_t word;
    uint64_t other;
    size_t at = (size_t)(random_next(random) % (of->used / 8)) * 8;
    if (random_next(random) % 4 != 0)
        at = of->busy[random_next(random) % of->busy_count];
    memcpy(&word, bytes + at, sizeof word);
    memcpy(&other, of->bytes + of->busy[random_next(random) % of->busy_count], sizeof other);
    switch (random_next(random) % 6) {
    case 0:
        word = random_next(random);
        break;
    case 1:
        word = 0;
        break;
    case 2:
        word = other;
        break;
    case 3:
        word += random_next(random) % 2 ? 1 : UINT64_MAX;
        break;
    case 4:
        word ^= (uint64_t)1 << (random_next(random) % 64);
        break;
    default: /* half a word: a reference of somewhere else */
        word = (word & 0xffffffff00000000u) | (other & 0xffffffffu);
        break;
    }
    memcpy(bytes + at, &word, sizeof word);
}

static void run_words(const image *of, uint64_t seed, uint64_t trials)
{
    uint8_t *bytes = malloc(of->size);
    if (bytes == NULL)
        die("out of memory");
    for (uint64_t trial = 0; trial < trials; trial++) {
        uint64_t random = seed + trial; /* a trial can be repeated by itself */
        memcpy(bytes, of->bytes, of->size);
        const uint64_t count = 1 + random_next(&random) % 8;
        for (uint64_t i = 0; i < count; i++)
            damage_word(of, bytes, &random);
        write_copy(of, bytes, of->size);
        (void)judge(of, "seed", seed + trial);
    }
    free(bytes);
}

int main(int argc, char **argv)
{
    if (argc < 5)
        die("usage: damage header|truncate|words DATA_DIR SEGMENT COPY …");
    image of = {.data_dir = argv[2], .copy = argv[4]};
    make_store(argv[2], argv[3]);
    read_image(argv[3], &of);
    write_copy(&of, of.bytes, of.size);
    int status = 0;
    if (probe_run(attempt, &of, &status) != PROBE_FINE)
        die("the undamaged copy does not work (status %d)", status);
    if (strcmp(argv[1], "header") == 0 && argc == 7)
        run_header(&of, parse_number(argv[5]), parse_number(argv[6]));
    else if (strcmp(argv[1], "truncate") == 0)
        run_truncate(&of);
    else if (strcmp(argv[1], "words") == 0 && argc == 7)
        run_words(&of, parse_number(argv[5]), parse_number(argv[6]));
    else
        die("unknown mode or arguments: %s", argv[1]);
    printf("refused=%" PRIu64 " error=%" PRIu64 " fine=%" PRIu64 " crashed=%" PRIu64
           " hung=%" PRIu64 "\n",
           counts[PROBE_REFUSED], counts[PROBE_ERROR], counts[PROBE_FINE], counts[PROBE_CRASHED],
           counts[PROBE_HUNG]);
    free(of.bytes);
    free(of.busy);
    return counts[PROBE_CRASHED] + counts[PROBE_HUNG] == 0 ? 0 : 1;
}
