/* Reading a checkpoint back from files that a test writes block by block.
 *
 * Strategy: blocks with good checksums and chosen numbers; the program brings its own pread, before
 * which something happens to the file, and a realloc that fails.  Invariants: what is given is a
 * block in its place, of the length that was judged; everything else is an error that names the
 * file and the offset.
 *
 * variants: plain asan
 */
#include <fcntl.h>

#include "base/crc.h"
#include "durable/durable_private.h"
#include "flights.h"
#include "real_calls.h"

/* ---- a system with surprises ---------------------------------------------------------------- */

static struct {
    uint32_t left; /* looks until it happens; 0: never */
    void (*happens)(void);
    int failure;
    uint32_t allocations; /* until one fails */
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

/* The address sanitizer has an allocator of its own. */
#ifdef __has_feature
#define SANITIZED __has_feature(address_sanitizer)
#else
#define SANITIZED 0
#endif
#if !SANITIZED
extern void *__libc_realloc(void *block, size_t size);
void *realloc(void *block, size_t size)
{
    if (surprise.allocations == 0 || --surprise.allocations > 0)
        return __libc_realloc(block, size);
    errno = ENOMEM;
    return NULL;
}
#endif

/* ---- writing a file ------------------------------------------------------------------------- */

static char path[128];
static uint64_t end;    /* of what was written */
static uint32_t number; /* of the next block */
static uint64_t last;   /* offset of the last block */
static aero_error error;
static ae_checkpoint_file file;

static int file_make(void **state)
{
    (void)state;
    test_store store;
    store_paths(&store);
    memset(&surprise, 0, sizeof surprise);
    snprintf(path, sizeof path, "%s.checkpoint", store.data_dir);
    end = number = 0;
    return 0;
}

static int file_drop(void **state)
{
    (void)state;
    return unlink(path);
}

static void bytes_put(uint64_t offset, const void *data, size_t size)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, size, (off_t)offset), size);
    close(fd);
}

static void block_put(enum ae_block_kind kind, const void *payload, size_t size, uint32_t rows)
{
    const size_t length = sizeof(ae_block_head) + size;
    uint8_t *bytes = calloc(1, length);
    assert_non_null(bytes);
    ae_block_head *head = (ae_block_head *)(void *)bytes;
    *head = (ae_block_head){.magic = AE_CHECKPOINT_MAGIC,
                            .length = (uint32_t)length,
                            .kind = (uint32_t)kind,
                            .store = {7},
                            .serial = 3,
                            .number = number++,
                            .rows = rows};
    if (payload != NULL)
        memcpy(bytes + sizeof *head, payload, size);
    head->checksum = ae_crc32c(0, bytes + 8, length - 8);
    bytes_put(end, bytes, length);
    last = end;
    end += length;
    free(bytes);
}

static void head_put(uint32_t format)
{
    const ae_checkpoint_head head = {.format = format, .package = "test"};
    block_put(AE_BLOCK_HEAD, &head, sizeof head, 0);
}

static void end_put(uint64_t rows)
{
    const ae_checkpoint_end of = {
        .rows = rows, .bytes = end + sizeof(ae_block_head) + sizeof of, .blocks = number + 1};
    block_put(AE_BLOCK_END, &of, sizeof of, 0);
}

/* ---- reading -------------------------------------------------------------------------------- */

static void opens(void)
{
    if (aei_checkpoint_open(&file, path, &error) != AERO_OK)
        fail_msg("open: %s", error.text);
    assert_true(file.fd >= 0);
}

/* The next block is refused, with its offset and these words. */
static void refused(int32_t code, const char *words)
{
    char offset[40];
    snprintf(offset, sizeof offset, "offset %" PRIu64 ":", file.offset);
    assert_int_equal(aei_checkpoint_next(&file, &error), code);
    assert_null(file.payload);
    if (strstr(error.text, words) == NULL || strstr(error.text, path) == NULL ||
        (code == AERO_CORRUPT && strstr(error.text, offset) == NULL))
        fail_msg("%s, not: %s", error.text, words);
}

/* Goal: a block of any length that rows may need is read whole, and the end is the end. */
static void test_blocks_of_all_lengths_are_read(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, AE_BLOCK_TARGET, AE_BLOCK_TARGET * 2 + 1, 5};
    head_put(AE_CHECKPOINT_FORMAT);
    for (size_t index = 0; index < 4; index++)
        block_put(AE_BLOCK_ROWS, NULL, sizes[index], 2);
    end_put(8);
    opens();
    for (size_t index = 0; index < 4; index++) {
        assert_int_equal(aei_checkpoint_next(&file, &error), AERO_OK);
        assert_non_null(file.payload);
        assert_int_equal(file.payload_size, sizes[index]);
        assert_int_equal(file.block_rows, 2);
    }
    assert_int_equal(aei_checkpoint_next(&file, &error), AERO_OK);
    assert_null(file.payload);
    assert_int_equal(file.rows, 8);
    aei_checkpoint_close(&file);
}

/* Goal: a length is held against the format and against what is left before it is used. */
static void test_a_block_out_of_bounds_is_refused(void **state)
{
    (void)state;
    const uint32_t lengths[] = {0, 47, AE_BLOCK_MAX + 1, UINT32_MAX, 200};
    head_put(AE_CHECKPOINT_FORMAT);
    block_put(AE_BLOCK_ROWS, NULL, 100, 1);
    const uint64_t short_end = end;
    for (int large = 0; large < 2; large++) {
        assert_int_equal(truncate(path, large ? 30 << 20 : (off_t)short_end), 0);
        for (size_t index = 0; index < sizeof lengths / sizeof lengths[0]; index++) {
            bytes_put(last + 8, &lengths[index], 4);
            opens();
            /* 200 bytes are there when the file is large, with another checksum. */
            const bool fits = large && lengths[index] == 200;
            refused(AERO_CORRUPT, fits ? "the block's checksum" : "the block's length");
            if (!fits) {
                char expected[64];
                snprintf(expected, sizeof expected, "expected %u",
                         large ? AE_BLOCK_MAX : (uint32_t)(short_end - last));
                assert_non_null(strstr(error.text, expected));
            }
            aei_checkpoint_close(&file);
        }
    }
    /* No block at all, or none of ours. */
    assert_int_equal(truncate(path, (off_t)last + 47), 0);
    opens();
    refused(AERO_CORRUPT, "the number of bytes left is 47, expected 48");
    aei_checkpoint_close(&file);
    assert_int_equal(truncate(path, 30 << 20), 0);
    bytes_put(last, "\1\2\3\4", 4);
    opens();
    refused(AERO_CORRUPT, "the block's mark");
    aei_checkpoint_close(&file);
}

static void file_cut(void)
{
    assert_int_equal(truncate(path, (off_t)last + 60), 0);
}

/* Another block, whole by its checksum, in the place of one. */
static void block_changed(void)
{
    end = last;
    number = 1;
    block_put(AE_BLOCK_ROWS, NULL, 20, 9);
}

/* Goal: a block is judged by what was read of it at once, whatever its file does between two
 * looks. */
static void test_a_file_that_changes_between_two_looks(void **state)
{
    (void)state;
    static void (*const changes[])(void) = {file_cut, block_changed};
    for (size_t index = 0; index < 2; index++) {
        end = number = 0;
        head_put(AE_CHECKPOINT_FORMAT);
        block_put(AE_BLOCK_ROWS, NULL, 100, 1);
        opens();
        surprise.left = 2; /* the block's head, and then all of it */
        surprise.happens = changes[index];
        refused(AERO_CORRUPT, "on the second look");
        aei_checkpoint_close(&file);
        surprise.happens = NULL;
    }
    /* A look that fails is told as what it is. */
    for (uint32_t look = 1; look <= 2; look++) {
        opens();
        surprise.left = look;
        surprise.failure = EIO;
        refused(AERO_IO, "cannot read");
        surprise.failure = 0;
        aei_checkpoint_close(&file);
    }
}

/* Goal: where there is no memory for a block, or for what it unpacks to, that is said. */
static void test_no_memory_for_a_block(void **state)
{
    (void)state;
    const struct {
        ae_packed_head head;
        uint8_t bytes[9];
    } packed = {.head = {.method = AE_PACKED_ZSTD, .length = 500}};
    head_put(AE_CHECKPOINT_FORMAT_PACKED);
    block_put(AE_BLOCK_PACKED, &packed, sizeof packed, 1);
    if (SANITIZED)
        skip();
    opens();
    surprise.allocations = 1; /* of what comes out: the block itself has the head's memory */
    refused(AERO_NO_MEMORY, "no memory");
    assert_int_equal(surprise.allocations, 0);
    aei_checkpoint_close(&file);
    surprise.allocations = 1;
    assert_int_equal(aei_checkpoint_open(&file, path, &error), AERO_NO_MEMORY);
    assert_int_equal(file.fd, -1);
    opens();
    refused(AERO_CORRUPT, "does not unpack to its length");
    aei_checkpoint_close(&file);
}

/* Goal: a path that is too long is told; a file that is not there is none. */
static void test_paths_of_checkpoints(void **state)
{
    (void)state;
    char endless[PATH_MAX + 1];
    memset(endless, 'x', sizeof endless);
    endless[PATH_MAX] = '\0';
    assert_int_equal(aei_checkpoint_open(&file, endless, &error), AERO_IO);
    assert_string_equal(error.text, "the path of the checkpoint is too long");
    assert_int_equal(aei_checkpoint_open(&file, path, &error), AERO_OK);
    assert_int_equal(file.fd, -1);
    aei_checkpoint_close(&file);
    head_put(AE_CHECKPOINT_FORMAT);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_blocks_of_all_lengths_are_read, file_make, file_drop),
    cmocka_unit_test_setup_teardown(test_a_block_out_of_bounds_is_refused, file_make, file_drop),
    cmocka_unit_test_setup_teardown(test_a_file_that_changes_between_two_looks, file_make,
                                    file_drop),
    cmocka_unit_test_setup_teardown(test_no_memory_for_a_block, file_make, file_drop),
    cmocka_unit_test_setup_teardown(test_paths_of_checkpoints, file_make, file_drop),
};

AE_TEST_MAIN(tests)
