/* Reading a log back from files that a test writes frame by frame.
 *
 * Strategy: files with good checksums and chosen numbers, which a crash, a replaced writer, a
 * damaged disk or a stranger may leave; the program brings its own pread, which fails, or lets
 * something happen to the file, before the n-th look.  Invariants: what is given is a frame in its
 * place; everything else ends the stream with the place and the reason, or is an error that names
 * the file; no descriptor and no memory is lost.
 *
 * variants: plain asan
 */
#include <fcntl.h>
#include <limits.h>

#include "flights.h"
#include "wal/reader.h"
#include "real_calls.h"

#define NAME "test.wal"

/* ---- a system with surprises ---------------------------------------------------------------- */

static struct {
    uint32_t left; /* looks until it happens; 0: never */
    int failure;
    void (*happens)(void);
    uint64_t memory;   /* an allocation of this size fails */
    uint32_t names;    /* this many parts of the log are listed before what is there */
    const char *leads; /* where all their names lead */
    int fd;            /* of it, given to all who open one */
    uint32_t opened;
    uint32_t gone; /* so often a part of the log cannot be found */
} surprise;

ssize_t pread(int fd, void *data, size_t size, off_t at)
{
    if (surprise.left > 0 && --surprise.left == 0) {
        if (surprise.happens != NULL)
            surprise.happens();
        errno = surprise.failure;
        if (surprise.failure != 0)
            return -1;
    }
    return REAL(pread)(fd, data, size, at);
}

struct dirent *readdir(DIR *listing)
{
    static struct dirent entry;
    if (surprise.names == 0)
        return REAL(readdir)(listing);
    snprintf(entry.d_name, sizeof entry.d_name, "test.wal.%020u", surprise.names--);
    return &entry;
}

int open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    const mode_t mode = (mode_t)va_arg(more, int);
    va_end(more);
    if (surprise.gone > 0 && strstr(path, NAME) != NULL) {
        surprise.gone--;
        errno = ENOENT;
        return -1;
    }
    if (surprise.leads == NULL || strstr(path, NAME) == NULL)
        return REAL(open)(path, flags, mode);
    surprise.fd = surprise.opened++ == 0 ? REAL(open)(surprise.leads, flags) : surprise.fd;
    return surprise.fd;
}

int close(int fd)
{
    if (surprise.opened == 0 || fd != surprise.fd || --surprise.opened == 0)
        return REAL(close)(fd);
    return 0;
}

/* The address sanitizer has an allocator of its own. */
#ifdef __has_feature
#define SANITIZED __has_feature(address_sanitizer)
#else
#define SANITIZED 0
#endif
#if !SANITIZED
extern void *__libc_malloc(size_t size);
void *malloc(size_t size)
{
    if (size != surprise.memory || size == 0)
        return __libc_malloc(size);
    errno = ENOMEM;
    return NULL;
}
#endif

/* ---- writing files -------------------------------------------------------------------------- */

typedef struct written {
    char path[200];
    uint64_t base;
    uint64_t at; /* LSN of the next frame */
    uint64_t previous;
    uint64_t number; /* commits so far */
} written;

static char folder[96];
static const uint8_t identity[16] = {9, 8, 7};
static aero_error error;

static int folder_make(void **state)
{
    (void)state;
    test_store store;
    store_paths(&store);
    memcpy(folder, store.data_dir, sizeof folder);
    memset(&surprise, 0, sizeof surprise);
    return mkdir(folder, 0700);
}

static int folder_drop(void **state)
{
    (void)state;
    folder_remove(folder);
    return 0;
}

/* Put bytes at an LSN of the file. */
static void bytes_put(const written *to, uint64_t lsn, const void *data, size_t size)
{
    const int fd = open(to->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, size, (off_t)(lsn - to->base)), size);
    close(fd);
}

/* A frame of a payload at a place, as if the log had been durable up to `durable` then. */
static void frame_put(const written *to, uint64_t lsn, uint64_t previous, uint64_t durable,
                      enum ae_frame_kind kind, const void *payload, size_t size)
{
    uint8_t *bytes = calloc(1, ae_frame_span(AE_FRAME_HEADER + size));
    assert_non_null(bytes);
    ae_frame *frame = (ae_frame *)(void *)bytes;
    *frame = (ae_frame){.length = (uint32_t)(AE_FRAME_HEADER + size),
                        .kind = (uint32_t)kind,
                        .lsn = lsn,
                        .previous = previous,
                        .durable = durable};
    memcpy(frame->store, identity, sizeof identity);
    memcpy(bytes + AE_FRAME_HEADER, payload, size);
    ae_frame_seal(frame);
    bytes_put(to, lsn, bytes, ae_frame_span(frame->length));
    free(bytes);
}

/* A file whose stream begins at `base` and follows on `after`, where the frame before is at
 * `previous`. */
static void file_begin(written *to, uint64_t base, uint64_t after, uint64_t previous,
                       uint64_t durable, uint64_t number)
{
    const ae_file_head head = {.format = AE_LOG_FORMAT,
                               .stack = AE_STACK_ROW,
                               .number = number,
                               .base = base,
                               .after = after,
                               .package = "test"};
    *to = (written){.base = base, .at = base, .previous = base, .number = number};
    snprintf(to->path, sizeof to->path, "%s/" NAME ".%020" PRIu64, folder, base);
    frame_put(to, base, previous, durable, AE_FRAME_FILE, &head, sizeof head);
    to->at += AE_FRAME_HEADER + sizeof head;
}

/* One commit of `size` bytes; returns its frame's LSN. */
static uint64_t commit_put(written *to, size_t size, uint64_t durable)
{
    uint8_t *payload = calloc(1, sizeof(ae_commits_head) + 20 + size);
    const ae_commits_head head = {.after = to->number, .upto = to->number + 1};
    const uint64_t lsn = to->at;
    assert_non_null(payload);
    memcpy(payload, &head, sizeof head);
    size_t used = sizeof head;
    used += ae_varint_put(payload + used, 1 << 1);
    used += ae_varint_put(payload + used, size);
    frame_put(to, lsn, to->previous, durable, AE_FRAME_COMMITS, payload, used + size);
    free(payload);
    to->number++;
    to->previous = lsn;
    to->at += ae_frame_span(AE_FRAME_HEADER + used + size);
    return lsn;
}

static uint64_t piece_put(written *to, uint64_t before, uint32_t index, size_t size)
{
    uint8_t *payload = calloc(1, sizeof(ae_piece_head) + size);
    const ae_piece_head head = {.before = before, .index = index};
    const uint64_t lsn = to->at;
    assert_non_null(payload);
    memcpy(payload, &head, sizeof head);
    payload[sizeof head] = (uint8_t)('a' + index);
    frame_put(to, lsn, to->previous, 0, AE_FRAME_PIECE, payload, sizeof head + size);
    free(payload);
    to->previous = lsn;
    to->at += ae_frame_span(AE_FRAME_HEADER + sizeof head + size);
    return lsn;
}

/* ---- reading -------------------------------------------------------------------------------- */

static ae_log_files files;
static ae_log_reader reader;

static void read_begin(uint64_t lsn)
{
    if (ae_log_files_open(&files, folder, NAME, &error) != AERO_OK ||
        ae_log_reader_start(&reader, &files, lsn, &error) != AERO_OK)
        fail_msg("log: %s", error.text);
}

/* The next frame is good, and of this kind and place. */
static void read_frame(enum ae_frame_kind kind, uint64_t lsn)
{
    if (ae_log_reader_next(&reader, &error) != AERO_OK)
        fail_msg("log: %s", error.text);
    if (reader.frame == NULL)
        fail_msg("at %" PRIu64 ": %s", reader.lsn, ae_frame_fault_text(reader.fault));
    assert_int_equal(reader.frame->kind, kind);
    assert_int_equal(reader.frame->lsn, lsn);
}

/* The stream ends here. */
static void read_stop(uint64_t lsn, enum ae_frame_fault fault)
{
    assert_int_equal(ae_log_reader_next(&reader, &error), AERO_OK);
    assert_null(reader.frame);
    assert_int_equal(reader.lsn, lsn);
    assert_string_equal(ae_frame_fault_text(reader.fault), ae_frame_fault_text(fault));
}

static void read_end(void)
{
    ae_log_reader_end(&reader);
    ae_log_files_close(&files);
}

/* Goal: a file whose writer was replaced before it counted for anything is passed over, and who
 * starts at its end goes on in the file behind. */
static void test_a_file_that_was_given_up_is_passed_over(void **state)
{
    (void)state;
    written first;
    written given_up;
    written last;
    file_begin(&first, 0, 0, 0, 0, 0);
    const uint64_t one = commit_put(&first, 10, 0);
    const uint64_t end = first.at;
    file_begin(&given_up, end + 4096, end, one, end + 64, 1);
    (void)commit_put(&given_up, 10, 0);
    file_begin(&last, end + 8192, end, one, end, 1);
    const uint64_t two = commit_put(&last, 10, end);
    read_begin(UINT64_MAX);
    assert_int_equal(reader.durable, end + 64); /* whatever a file's first frame knows */
    read_frame(AE_FRAME_FILE, 0);
    read_frame(AE_FRAME_COMMITS, one);
    read_frame(AE_FRAME_FILE, last.base);
    read_frame(AE_FRAME_COMMITS, two);
    read_stop(last.at, AE_FRAME_END);
    read_end();
    read_begin(end);
    assert_int_equal(reader.lsn, last.base);
    read_frame(AE_FRAME_FILE, last.base);
    read_frame(AE_FRAME_COMMITS, two);
    read_end();
}

/* Goal: a place that no file holds is told with what there is. */
static void test_a_place_that_no_file_holds(void **state)
{
    (void)state;
    written to;
    assert_int_equal(ae_log_files_open(&files, folder, NAME, &error), AERO_OK);
    assert_int_equal(ae_log_reader_start(&reader, &files, 7, &error), AERO_NOT_FOUND);
    assert_string_equal(error.text, "there is no log");
    read_end();
    file_begin(&to, 4096, 4000, 4096, 0, 5);
    assert_int_equal(ae_log_files_open(&files, folder, NAME, &error), AERO_OK);
    assert_int_equal(ae_log_reader_start(&reader, &files, 8, &error), AERO_NOT_FOUND);
    assert_non_null(strstr(error.text, "the files begin at 4096"));
    assert_non_null(strstr(error.text, to.path));
    read_end();
}

enum { WINDOW = 1 << 20, LARGE = 3 << 19 };
static written target;
static uint64_t changed_lsn;

static void file_cut(void)
{
    assert_int_equal(truncate(target.path, (off_t)(changed_lsn - target.base + 200)), 0);
}

/* Another whole frame in the place of one: with its checksum, and shorter. */
static void frame_changed(void)
{
    written other = target;
    other.at = changed_lsn;
    other.number = 1;
    other.previous = target.base + AE_FRAME_HEADER + sizeof(ae_file_head);
    (void)commit_put(&other, 50, 0);
}

/* Goal: a frame is judged by what was read of it in one piece, whatever its file does meanwhile. */
static void test_a_file_that_changes_between_two_looks(void **state)
{
    (void)state;
    for (int round = 0; round < 4; round++) {
        memset(&surprise, 0, sizeof surprise);
        file_begin(&target, 0, 0, 0, 0, 0);
        /* The second commit begins inside the first window and ends outside. */
        const uint64_t one = commit_put(&target, WINDOW - 500, 0);
        changed_lsn = commit_put(&target, 9000, 0);
        assert_in_range(changed_lsn, WINDOW - 400, WINDOW - 64);
        read_begin(UINT64_MAX);
        read_frame(AE_FRAME_FILE, 0);
        read_frame(AE_FRAME_COMMITS, one);
        surprise.left = 1;
        if (round == 0) {
            read_frame(AE_FRAME_COMMITS, changed_lsn);
            surprise.left = 0;
        } else if (round == 1) {
            surprise.failure = EIO;
            assert_int_equal(ae_log_reader_next(&reader, &error), AERO_IO);
            assert_non_null(strstr(error.text, target.path));
            assert_null(reader.frame);
        } else {
            surprise.happens = round == 2 ? file_cut : frame_changed;
            read_stop(changed_lsn, round == 2 ? AE_FRAME_SHORT : AE_FRAME_CHECKSUM_BAD);
        }
        read_end();
        assert_int_equal(unlink(target.path), 0);
    }
}

/* Goal: a frame larger than the window is read whole. */
static void test_a_frame_larger_than_the_window(void **state)
{
    (void)state;
    written to;
    ae_commits commits;
    ae_commit commit;
    file_begin(&to, 0, 0, 0, 0, 0);
    const uint64_t one = commit_put(&to, LARGE, 0);
    const uint64_t two = commit_put(&to, 10, 0);
    read_begin(UINT64_MAX);
    read_frame(AE_FRAME_FILE, 0);
    read_frame(AE_FRAME_COMMITS, one);
    ae_commits_start(&commits, reader.frame);
    assert_int_equal(ae_commits_next(&commits, &commit, &error), AERO_OK);
    assert_int_equal(commit.size, LARGE);
    read_frame(AE_FRAME_COMMITS, two);
    read_stop(to.at, AE_FRAME_END);
    read_end();
}

/* How far the log is durable by what lies behind the end of the good stream. */
static uint64_t durable_beyond(void)
{
    read_begin(UINT64_MAX);
    while (ae_log_reader_next(&reader, &error) == AERO_OK && reader.frame != NULL)
        ;
    const uint64_t end = reader.lsn;
    const enum ae_frame_fault fault = reader.fault;
    assert_int_equal(ae_log_reader_beyond(&reader, &error), AERO_OK);
    assert_int_equal(reader.lsn, end);
    assert_int_equal(reader.fault, fault);
    assert_null(reader.frame);
    const uint64_t durable = reader.durable;
    read_end();
    return durable;
}

/* Goal: of what lies behind the end only good frames in their places say what was durable. */
static void test_what_lies_behind_the_end(void **state)
{
    (void)state;
    written to;
    uint8_t copy[256];
    const uint8_t nothing[64] = {0};
    const uint8_t payload[40] = {1};
    file_begin(&to, 0, 0, 0, 0, 0);
    (void)commit_put(&to, 10, 128);
    const uint64_t hole = commit_put(&to, 10, 128);
    const uint64_t beyond = to.at + 800;
    bytes_put(&to, hole, nothing, sizeof nothing);
    assert_int_equal(durable_beyond(), 128);
    /* A frame that knows less, one that is spoilt, and one of another place. */
    frame_put(&to, beyond, 7, 64, AE_FRAME_COMMITS, payload, sizeof payload);
    assert_int_equal(durable_beyond(), 128);
    frame_put(&to, beyond, 7, beyond, AE_FRAME_COMMITS, payload, sizeof payload);
    const int fd = open(to.path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, copy, 104, (off_t)beyond), 104);
    close(fd);
    copy[100] ^= 1;
    bytes_put(&to, beyond, copy, 104);
    assert_int_equal(durable_beyond(), 128);
    copy[100] ^= 1;
    bytes_put(&to, beyond, nothing, sizeof nothing);
    bytes_put(&to, beyond + 8, copy, 104);
    assert_int_equal(durable_beyond(), 128);
    bytes_put(&to, beyond, copy, 104);
    assert_int_equal(durable_beyond(), beyond);
    /* One that cannot be read is an error: nobody knows what it would say. */
    to.at = beyond;
    (void)commit_put(&to, LARGE, 128);
    read_begin(UINT64_MAX);
    while (ae_log_reader_next(&reader, &error) == AERO_OK && reader.frame != NULL)
        ;
    surprise.left = 1;
    surprise.failure = EIO;
    assert_int_equal(ae_log_reader_beyond(&reader, &error), AERO_IO);
    assert_non_null(strstr(error.text, to.path));
    read_end();
}

/* ---- pieces --------------------------------------------------------------------------------- */

static aero_status piece_seen(void *context, const uint8_t *data, size_t size, aero_error *of)
{
    char *seen = context;
    (void)of;
    assert_true(size > 0);
    seen[strlen(seen)] = (char)data[0];
    return AERO_OK;
}

static aero_status piece_refused(void *context, const uint8_t *data, size_t size, aero_error *of)
{
    (void)context;
    (void)data;
    (void)size;
    return ae_fail(of, AERO_FULL, "no more");
}

static aero_status pieces_read(uint64_t last, uint32_t count, char *seen)
{
    memset(seen, 0, 8);
    return ae_pieces_read(&files, last, count, piece_seen, seen, &error);
}

/* Goal: pieces are given in order, each from its place, or the error says which one is not. */
static void test_pieces_are_in_their_places(void **state)
{
    (void)state;
    written first;
    written to;
    char seen[8];
    file_begin(&first, 4096, 0, 4096, 0, 0);
    const uint64_t end = first.at;
    file_begin(&to, end + 4096, end, 4096, end, 0);
    const uint64_t a = piece_put(&to, 0, 0, LARGE / 2);
    const uint64_t b = piece_put(&to, a, 1, LARGE / 2);
    const uint64_t c = piece_put(&to, b, 2, LARGE / 2);
    const uint64_t commit = commit_put(&to, 10, 0);
    const uint64_t astray = piece_put(&to, commit, 1, 50);
    const uint64_t spoilt = piece_put(&to, a, 1, 50);
    bytes_put(&to, spoilt + 100, "?", 1);
    assert_int_equal(ae_log_files_open(&files, folder, NAME, &error), AERO_OK);
    assert_int_equal(pieces_read(c, 3, seen), AERO_OK);
    assert_string_equal(seen, "abc");
    const struct {
        uint64_t last;
        uint32_t count;
        const char *words;
    } wrong[] = {{c + 4, 3, "is missing"},
                 {8, 1, "is missing"},   /* before all files */
                 {end, 1, "is missing"}, /* between two */
                 {to.at + 4096, 1, "is missing"},
                 {astray, 2, "another frame is"}, /* before it lie commits */
                 {commit, 1, "another frame is"},
                 {spoilt, 2, "checksum differs"},
                 {c, 2, "piece 1 of"},
                 {c, 4, "piece 3 of"},
                 {b, 1, "piece 0 of"},
                 {c, UINT32_MAX, "more pieces than the log can hold"}};
    for (size_t index = 0; index < sizeof wrong / sizeof wrong[0]; index++) {
        assert_int_equal(pieces_read(wrong[index].last, wrong[index].count, seen), AERO_CORRUPT);
        if (strstr(error.text, wrong[index].words) == NULL)
            fail_msg("%zu: %s", index, error.text);
        assert_string_equal(seen, "");
    }
    assert_int_equal(ae_pieces_read(&files, c, 3, piece_refused, seen, &error), AERO_FULL);
    /* Every look at the file fails in turn. */
    uint32_t refused = 0;
    for (uint32_t look = 1; surprise.left == 0; look++) {
        surprise.left = look;
        surprise.failure = EIO;
        const aero_status status = pieces_read(c, 3, seen);
        assert_int_equal(status, surprise.left == 0 ? AERO_IO : AERO_OK);
        refused += status != AERO_OK;
    }
    assert_true(refused >= 6);
    surprise.left = 0;
    surprise.failure = 0;
#if !SANITIZED
    surprise.memory = 4 * sizeof(uint64_t);
    assert_int_equal(pieces_read(c, 3, seen), AERO_NO_MEMORY);
    surprise.memory = 0;
#endif
    ae_log_files_close(&files);
}

/* ---- the files ------------------------------------------------------------------------------ */

/* Goal: a directory with more parts of a log than there ever are is refused, and none stays open.
 */
static void test_more_files_than_a_log_ever_has(void **state)
{
    (void)state;
    written to;
    if (SANITIZED) /* its realloc copies all there is each time: hours */
        skip();
    file_begin(&to, 0, 0, 0, 0, 0);
    surprise.leads = to.path;
    surprise.names = 100001;
    assert_int_equal(ae_log_files_open(&files, folder, NAME, &error), AERO_CORRUPT);
    assert_non_null(strstr(error.text, "holds more than 100000 files of the log"));
    assert_non_null(strstr(error.text, folder));
    assert_int_equal(surprise.opened, 0);
    assert_int_equal(surprise.names, 0);
    assert_int_equal(files.count, 0);
}

/* Goal: a file that is listed and not found was removed meanwhile, if it is not listed again; a log
 * is never read without a file that is there. */
static void test_a_file_that_is_listed_and_not_found(void **state)
{
    (void)state;
    written to;
    file_begin(&to, 0, 0, 0, 0, 0);
    (void)commit_put(&to, 10, 0);
    surprise.gone = 3;
    assert_int_equal(ae_log_files_open(&files, folder, NAME, &error), AERO_OK);
    assert_int_equal(surprise.gone, 0);
    assert_int_equal(files.count, 1);
    ae_log_files_close(&files);
    surprise.gone = 100;
    assert_int_equal(ae_log_files_open(&files, folder, NAME, &error), AERO_IO);
    assert_non_null(strstr(error.text, to.path));
    assert_int_equal(files.count, 0);
    surprise.gone = 0;
}

/* Goal: a file whose path is longer than the system takes is told, not passed over. */
static void test_a_file_whose_path_is_too_long(void **state)
{
    (void)state;
    char deep[PATH_MAX];
    char step[128];
    int depth = 0;
    size_t length = (size_t)snprintf(deep, sizeof deep, "%s", folder);
    char *const here = realpath(".", NULL);
    memset(step, 'd', sizeof step);
    step[100] = '\0';
    assert_int_equal(chdir(folder), 0);
    while (length + 120 < sizeof deep) {
        assert_int_equal(mkdir(step, 0700), 0);
        assert_int_equal(chdir(step), 0);
        length += (size_t)snprintf(deep + length, sizeof deep - length, "/%s", step);
        depth++;
    }
    step[PATH_MAX - 10 - length] = '\0';
    assert_int_equal(mkdir(step, 0700), 0);
    assert_int_equal(chdir(step), 0);
    snprintf(deep + length, sizeof deep - length, "/%s", step);
    close(open(NAME ".00000000000000000007", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(ae_log_files_open(&files, deep, NAME, &error), AERO_IO);
    assert_non_null(strstr(error.text, "the path of test.wal.00000000000000000007 in"));
    unlink(NAME ".00000000000000000007");
    for (int level = 0; level <= depth; level++) {
        step[level == 0 ? PATH_MAX - 10 - length : 100] = '\0';
        assert_int_equal(chdir(".."), 0);
        assert_int_equal(rmdir(step), 0);
        memset(step, 'd', sizeof step);
    }
    assert_int_equal(chdir(here), 0);
    free(here);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_a_file_that_was_given_up_is_passed_over, folder_make,
                                    folder_drop),
    cmocka_unit_test_setup_teardown(test_a_place_that_no_file_holds, folder_make, folder_drop),
    cmocka_unit_test_setup_teardown(test_a_file_that_changes_between_two_looks, folder_make,
                                    folder_drop),
    cmocka_unit_test_setup_teardown(test_a_frame_larger_than_the_window, folder_make, folder_drop),
    cmocka_unit_test_setup_teardown(test_what_lies_behind_the_end, folder_make, folder_drop),
    cmocka_unit_test_setup_teardown(test_pieces_are_in_their_places, folder_make, folder_drop),
    cmocka_unit_test_setup_teardown(test_more_files_than_a_log_ever_has, folder_make, folder_drop),
    cmocka_unit_test_setup_teardown(test_a_file_whose_path_is_too_long, folder_make, folder_drop),
    cmocka_unit_test_setup_teardown(test_a_file_that_is_listed_and_not_found, folder_make,
                                    folder_drop),
};

AE_TEST_MAIN(tests)
