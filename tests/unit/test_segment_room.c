/* A segment whose file system, or whose machine, has no room.
 *
 * Strategy: the program brings its own fallocate, which gives room up to a byte, or says another
 * error, and its own mmap.  Invariants: what could not be reserved is never handed out; the error
 * is the one that the caller can do something about; the last bytes there are can be used; when
 * there is room again, the segment goes on.
 *
 * variants: plain
 * links: * generated/aerostore
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "base/os.h"
#include "shm/segment.h"
#include "shm/segment_private.h"
#include "store.h"
#include "real_calls.h"

static uint64_t room; /* bytes that a file may have */
static int failure;   /* what is said when they are used up */
static bool pretends; /* to have reserved, and takes no memory */
static int no_mapping;

int fallocate(int fd, int mode, off_t offset, off_t size)
{
    if ((uint64_t)(offset + size) > room) {
        errno = failure;
        return -1;
    }
    return pretends ? 0 : REAL(fallocate)(fd, mode, offset, size);
}

void *mmap(void *at, size_t size, int how, int flags, int fd, off_t offset)
{
    if (no_mapping == 0)
        return REAL(mmap)(at, size, how, flags, fd, offset);
    errno = no_mapping;
    return MAP_FAILED;
}

static ae_segment segment;
static ae_segment_spec spec;
static aero_error error;
static char path[128];

static int room_make(void **state)
{
    (void)state;
    test_store store;
    store_paths(&store);
    memcpy(path, store.segment, sizeof store.segment);
    spec = (ae_segment_spec){.path = path, .size = 8 << 20};
    room = UINT64_MAX;
    failure = ENOSPC;
    pretends = false;
    no_mapping = 0;
    return 0;
}

static int room_drop(void **state)
{
    (void)state;
    if (segment.base != NULL)
        ae_segment_detach(&segment);
    return 0;
}

static void refused(int32_t code, const char *words, aero_status status)
{
    if (status != code || strstr(error.text, words) == NULL)
        fail_msg("%d, not %d: %s", status, code, status == AERO_OK ? "fine" : error.text);
}

/* Goal: where no segment can be made, the answer says which of the resources is missing. */
static void test_a_segment_that_cannot_be_made(void **state)
{
    (void)state;
    static const struct {
        int failure;
        int32_t code;
    } cases[] = {{ENOSPC, AERO_FULL},
                 {EDQUOT, AERO_FULL},
                 {EACCES, AERO_PERMISSION},
                 {ENOMEM, AERO_NO_MEMORY},
                 {EIO, AERO_IO}};
    room = 0;
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        failure = cases[index].failure;
        refused(cases[index].code, path, ae_segment_create(&spec, &segment, &error));
        assert_int_equal(segment.fd, -1);
    }
    spec.path = NULL;
    no_mapping = ENOMEM;
    const aero_status status = ae_segment_create(&spec, &segment, &error);
    no_mapping = 0;
    refused(AERO_NO_MEMORY, "in private memory", status);
    /* Its header fits, and what lies behind it does not. */
    spec.path = path;
    failure = ENOSPC;
    room = 4096;
    refused(AERO_FULL, "no room for the segment's page map",
            ae_segment_create(&spec, &segment, &error));
    assert_null(segment.base);
}

/* Goal: a segment that grows is refused what there is no room for, uses the last bytes that there
 * are, and goes on when there is more. */
static void test_a_segment_that_cannot_grow(void **state)
{
    (void)state;
    static const int failures[] = {ENOSPC, EDQUOT, ENOMEM};
    assert_int_equal(ae_segment_create(&spec, &segment, &error), AERO_OK);
    uint64_t reserved = ae_load64(&segment.header->reserved);
    for (size_t index = 0; index < 3; index++) {
        room = reserved;
        failure = failures[index];
        refused(AERO_FULL, "no room to grow the segment",
                aei_segment_reserve(&segment, reserved + 100, &error));
        assert_int_equal(ae_load64(&segment.header->reserved), reserved);
        assert_int_equal(ae_load32(&segment.header->cramped), 1);
        room = reserved + 100;
        assert_int_equal(aei_segment_reserve(&segment, reserved + 100, &error), AERO_OK);
        reserved += 100;
        assert_int_equal(ae_load64(&segment.header->reserved), reserved);
        assert_int_equal(ae_load32(&segment.header->cramped), 0);
    }
    failure = EIO;
    refused(AERO_IO, "cannot grow", aei_segment_reserve(&segment, reserved + 1, &error));
    assert_int_equal(ae_load32(&segment.header->cramped), 0);
    room = UINT64_MAX;
    /* All there may be at once: no step is left to give back. */
    const uint64_t size = segment.size;
    room = reserved;
    failure = ENOSPC;
    refused(AERO_FULL, "no room to grow", aei_segment_reserve(&segment, size, &error));
    room = UINT64_MAX;
    assert_int_equal(aei_segment_reserve(&segment, size, &error), AERO_OK);
    assert_int_equal(ae_load64(&segment.header->reserved), size);
    refused(AERO_FULL, "are its maximum", aei_segment_reserve(&segment, size + 1, &error));
}

/* Goal: a segment is published only when all of its last page is there. */
static void test_a_segment_that_cannot_be_sealed(void **state)
{
    (void)state;
    room = 4096 + 8 * 1024; /* the header and the map, and not the rest of the page */
    assert_int_equal(ae_segment_create(&spec, &segment, &error), AERO_OK);
    assert_true(ae_load64(&segment.header->reserved) % AE_PAGE_SIZE != 0);
    refused(AERO_FULL, "no room to grow", ae_segment_seal(&segment, &error));
    assert_int_equal(segment.header->magic, 0);
    room = UINT64_MAX;
    assert_int_equal(ae_segment_seal(&segment, &error), AERO_OK);
    assert_int_equal(ae_load64(&segment.header->used) % AE_PAGE_SIZE, 0);
}

/* Goal: a segment grows by an eighth, within bounds: what a large one reserves at once is no
 * surprise. */
static void test_steps_are_bounded(void **state)
{
    (void)state;
    pretends = true; /* it takes no memory to look at steps */
    spec.size = (uint64_t)16 << 30;
    assert_int_equal(ae_segment_create(&spec, &segment, &error), AERO_OK);
    ae_store64(&segment.header->small, UINT64_MAX); /* no huge pages are asked for */
    for (uint64_t reserved = ae_load64(&segment.header->reserved); reserved < spec.size;) {
        assert_int_equal(aei_segment_reserve(&segment, reserved + 1, &error), AERO_OK);
        const uint64_t now = ae_load64(&segment.header->reserved);
        const uint64_t step = now - reserved;
        if (now < spec.size)
            assert_in_range(step, AE_EXTENT_MIN, AE_EXTENT_MAX + AE_PAGE_SIZE);
        if (now < spec.size && reserved / 8 > AE_EXTENT_MAX)
            assert_in_range(step, AE_EXTENT_MAX, AE_EXTENT_MAX + AE_PAGE_SIZE);
        reserved = now;
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_a_segment_that_cannot_be_made, room_make, room_drop),
    cmocka_unit_test_setup_teardown(test_a_segment_that_cannot_grow, room_make, room_drop),
    cmocka_unit_test_setup_teardown(test_a_segment_that_cannot_be_sealed, room_make, room_drop),
    cmocka_unit_test_setup_teardown(test_steps_are_bounded, room_make, room_drop),
};

AE_TEST_MAIN(tests)
