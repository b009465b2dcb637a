/* The segment file and its pages, without anything that lives in them.
 *
 * links: * generated/aerostore
 */
#include <fcntl.h>
#include <pthread.h>

#include "base/crc.h"
#include "base/os.h"
#include "shm/segment.h"
#include "store.h"

enum { SIZE = 8 << 20, HEADER = 128 };

typedef struct made {
    char path[160];
    ae_segment segment;
    ae_segment_spec spec;
    aero_error error;
} made;

static void path_make(made *of, const char *name)
{
    const char *root = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    memset(of, 0, sizeof *of);
    snprintf(of->path, sizeof of->path, "%s/aerostore-segment-%d-%s", root, (int)getpid(), name);
    unlink(of->path);
    of->spec = (ae_segment_spec){of->path, SIZE, 11, 22, 33, 44};
}

/* A published segment whose roots lie somewhere in the fixed part. */
static void segment_publish(made *of)
{
    bool exists = true;
    assert_int_equal(ae_segment_create(&of->spec, &of->segment, &of->error), AERO_OK);
    for (int root = 0; root < AE_ROOT_COUNT; root++)
        of->segment.header->roots[root] = ae_segment_carve(&of->segment, 100);
    assert_int_equal(ae_segment_seal(&of->segment, &of->error), AERO_OK);
    assert_int_equal(ae_segment_name(&of->segment, &of->spec, &exists, &of->error), AERO_OK);
    assert_false(exists);
}

static void segment_make(made *of, const char *name)
{
    path_make(of, name);
    segment_publish(of);
}

static void segment_drop(made *of)
{
    if (of->segment.base != NULL)
        ae_segment_detach(&of->segment);
    unlink(of->path);
}

static aero_status attach(const ae_segment_spec *spec, aero_error *error)
{
    ae_segment segment;
    bool missing = false;
    const aero_status status = ae_segment_attach(spec, &segment, &missing, error);
    if (status == AERO_OK)
        ae_segment_detach(&segment);
    return status;
}

/* Goal: what one makes another sees.  Method: create, publish, attach, write on one side. */
static void test_an_attached_segment_is_the_same_memory(void **state)
{
    made of;
    ae_segment other;
    bool missing = true;
    struct stat info;
    (void)state;
    segment_make(&of, "same");
    assert_int_equal(ae_segment_attach(&of.spec, &other, &missing, &of.error), AERO_OK);
    assert_false(missing);
    assert_false(other.created);
    assert_int_equal(other.size, SIZE);
    char *here = ae_at(&of.segment, of.segment.header->roots[2]);
    const char *there = ae_at(&other, other.header->roots[2]);
    assert_ptr_not_equal(here, there);
    snprintf(here, 32, "written on one side");
    assert_string_equal(there, "written on one side");
    assert_int_equal(stat(of.path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    ae_segment_detach(&other);
    segment_drop(&of);
}

/* Goal: nobody meets a half-made header, one is first.  Method: the path is missing until publish;
 * a second publish says that it exists and leaves the first alone. */
static void test_only_the_first_publisher_gives_the_name(void **state)
{
    made of;
    ae_segment second;
    ae_segment probe;
    bool flag = false;
    (void)state;
    path_make(&of, "first");
    assert_int_equal(ae_segment_create(&of.spec, &of.segment, &of.error), AERO_OK);
    assert_int_equal(ae_segment_create(&of.spec, &second, &of.error), AERO_OK);
    (void)ae_segment_attach(&of.spec, &probe, &flag, &of.error);
    assert_true(flag); /* missing */
    for (int root = 0; root < AE_ROOT_COUNT; root++)
        of.segment.header->roots[root] = second.header->roots[root] = ae_segment_carve(&of.segment,
                                                                                       64);
    assert_int_equal(ae_segment_seal(&of.segment, &of.error), AERO_OK);
    assert_int_equal(ae_segment_name(&of.segment, &of.spec, &flag, &of.error), AERO_OK);
    assert_false(flag);
    assert_int_equal(ae_segment_seal(&second, &of.error), AERO_OK);
    assert_int_equal(ae_segment_name(&second, &of.spec, &flag, &of.error), AERO_OK);
    assert_true(flag);
    ae_segment_detach(&second);
    assert_int_equal(attach(&of.spec, &of.error), AERO_OK);
    segment_drop(&of);
}

/* Goal: L7.  Method: each bit of the constant part is flipped in the file; each time attach
 * refuses. */
static void test_every_flipped_bit_of_the_header_is_refused(void **state)
{
    made of;
    (void)state;
    segment_make(&of, "bits");
    unsigned char *bytes = (unsigned char *)of.segment.base;
    for (uint32_t bit = 0; bit < HEADER * 8; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        const aero_status status = attach(&of.spec, &of.error);
        if (status != AERO_MISMATCH && status != AERO_CORRUPT)
            fail_msg("bit %u of byte %u: %d", bit % 8, bit / 8, status);
        assert_true(of.error.text[0] != '\0');
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    assert_int_equal(attach(&of.spec, &of.error), AERO_OK);
    segment_drop(&of);
}

/* Goal: the mutable words are not believed either.  Method: sizes that contradict each other. */
static void test_impossible_sizes_are_refused(void **state)
{
    made of;
    (void)state;
    segment_make(&of, "sizes");
    ae_segment_header *header = of.segment.header;
    const uint64_t used = ae_load64(&header->used);
    const uint64_t reserved = ae_load64(&header->reserved);
    const uint64_t wrong[][2] = {{reserved + AE_PAGE_SIZE, reserved},
                                 {used + 1, reserved},
                                 {0, reserved},
                                 {used, SIZE + AE_PAGE_SIZE},
                                 {used, 0},
                                 {UINT64_MAX, UINT64_MAX},
                                 {UINT64_MAX - 65535, UINT64_MAX}};
    for (size_t index = 0; index < sizeof wrong / sizeof wrong[0]; index++) {
        ae_store64(&header->used, wrong[index][0]);
        ae_store64(&header->reserved, wrong[index][1]);
        assert_int_equal(attach(&of.spec, &of.error), AERO_CORRUPT);
    }
    ae_store64(&header->used, used);
    ae_store64(&header->reserved, reserved);
    assert_int_equal(attach(&of.spec, &of.error), AERO_OK);
    segment_drop(&of);
}

/* Goal: a header whose checksum is right is not believed for that.  Method: one field at a time,
 * and the checksum made anew. */
static void test_a_crafted_header_is_refused(void **state)
{
    made of;
    (void)state;
    segment_make(&of, "crafted");
    ae_segment_header *header = of.segment.header;
    const ae_segment_header good = *header;
    const uint32_t beyond = header->first_page << (AE_PAGE_SHIFT - 4);
    for (int field = 0; field < 6; field++) {
        memcpy(header, &good, offsetof(ae_segment_header, used));
        if (field == 0)
            header->boot_id++;
        if (field == 1)
            header->first_page = 0;
        if (field == 2)
            header->roots[3] = beyond;
        if (field == 3)
            header->roots[3]++;
        if (field == 4)
            header->page_map = beyond;
        if (field == 5)
            header->format++;
        header->checksum = ae_crc32c(0, (const uint8_t *)header + 8,
                                     offsetof(ae_segment_header, checksum) - 8);
        const aero_status status = attach(&of.spec, &of.error);
        assert_int_equal(status, field == 0 || field == 5 ? AERO_MISMATCH : AERO_CORRUPT);
    }
    memcpy(header, &good, offsetof(ae_segment_header, used));
    ae_store32(&header->poisoned, 2);
    assert_int_equal(attach(&of.spec, &of.error), AERO_CORRUPT);
    ae_store32(&header->poisoned, 0);
    assert_int_equal(attach(&of.spec, &of.error), AERO_OK);
    segment_drop(&of);
}

/* Goal: what lies in a segment lies in it wholly. */
static void test_a_reference_holds_what_was_handed_out(void **state)
{
    made of;
    (void)state;
    segment_make(&of, "holds");
    const uint64_t used = ae_load64(&of.segment.header->used);
    const ae_ref last = (ae_ref)((used - 64) >> 4);
    assert_false(ae_segment_holds(&of.segment, 0, 16));
    assert_false(ae_segment_holds(&of.segment, 4095 / 16, 16));
    assert_true(ae_segment_holds(&of.segment, 4096 / 16, 16));
    assert_true(ae_segment_holds(&of.segment, last, 64));
    assert_false(ae_segment_holds(&of.segment, last, 65));
    assert_false(ae_segment_holds(&of.segment, (ae_ref)(used >> 4) + 1, 0));
    assert_false(ae_segment_holds(&of.segment, UINT32_MAX, 16));
    segment_drop(&of);
    /* More than there is cannot be carved. */
    path_make(&of, "carved");
    assert_int_equal(ae_segment_create(&of.spec, &of.segment, &of.error), AERO_OK);
    assert_int_equal(ae_segment_carve(&of.segment, SIZE + 1), 0);
    assert_int_equal(ae_segment_carve(&of.segment, SIZE - 4096), 0);
    assert_int_not_equal(ae_segment_carve(&of.segment, 64), 0);
    segment_drop(&of);
}

/* Goal: a shorter or longer file is refused before it is mapped.  Method: ftruncate. */
static void test_a_file_of_another_size_is_refused(void **state)
{
    made of;
    (void)state;
    segment_make(&of, "cut");
    ae_segment_detach(&of.segment);
    const off_t sizes[] = {SIZE - 1, SIZE - AE_PAGE_SIZE, SIZE + 1, 4096, 4095, 128, 127, 1, 0};
    for (size_t index = 0; index < sizeof sizes / sizeof sizes[0]; index++) {
        assert_int_equal(truncate(of.path, sizes[index]), 0);
        assert_int_equal(attach(&of.spec, &of.error), AERO_CORRUPT);
    }
    segment_drop(&of);
}

/* Goal: L7 with another program.  Method: attach with one thing wished otherwise at a time. */
static void test_another_schema_engine_or_directory_is_refused(void **state)
{
    made of;
    (void)state;
    segment_make(&of, "other");
    ae_segment_spec spec = of.spec;
    spec.schema_fingerprint++;
    assert_int_equal(attach(&spec, &of.error), AERO_MISMATCH);
    assert_non_null(strstr(of.error.text, "000000000000000b")); /* both are named */
    assert_non_null(strstr(of.error.text, "000000000000000c"));
    spec = of.spec;
    spec.layout_fingerprint++;
    assert_int_equal(attach(&spec, &of.error), AERO_MISMATCH);
    spec = of.spec;
    spec.data_device++;
    assert_int_equal(attach(&spec, &of.error), AERO_MISMATCH);
    spec = of.spec;
    spec.data_inode++;
    assert_int_equal(attach(&spec, &of.error), AERO_MISMATCH);
    segment_drop(&of);
}

/* Goal: rows F1 to F3.  Method: plant what is no safe file at the segment's name; nothing is
 * opened, followed or changed, and nothing hangs. */
static void test_what_is_no_safe_file_is_refused(void **state)
{
    made of;
    made target;
    char link_path[200];
    (void)state;
    segment_make(&of, "safe");
    assert_int_equal(chmod(of.path, 0666), 0);
    assert_int_equal(attach(&of.spec, &of.error), AERO_PERMISSION);
    assert_int_equal(chmod(of.path, 0600), 0);
    snprintf(link_path, sizeof link_path, "%s-second", of.path);
    unlink(link_path);
    assert_int_equal(link(of.path, link_path), 0);
    assert_int_equal(attach(&of.spec, &of.error), AERO_PERMISSION);
    unlink(link_path);
    if (geteuid() == 0) {
        assert_int_equal(chown(of.path, 65534, (gid_t)-1), 0);
        assert_int_equal(attach(&of.spec, &of.error), AERO_PERMISSION);
        assert_non_null(strstr(of.error.text, "65534"));
        assert_int_equal(chown(of.path, 0, (gid_t)-1), 0);
    }
    assert_int_equal(attach(&of.spec, &of.error), AERO_OK);
    path_make(&target, "planted");
    assert_int_equal(symlink(of.path, target.path), 0);
    assert_int_equal(attach(&target.spec, &of.error), AERO_PERMISSION);
    unlink(target.path);
    assert_int_equal(mkfifo(target.path, 0600), 0);
    assert_int_equal(attach(&target.spec, &of.error), AERO_PERMISSION);
    unlink(target.path);
    assert_int_equal(mkdir(target.path, 0700), 0);
    assert_int_equal(attach(&target.spec, &of.error), AERO_PERMISSION);
    rmdir(target.path);
    target.spec.path = "/dev/null";
    assert_int_equal(attach(&target.spec, &of.error), AERO_PERMISSION);
    segment_drop(&of);
}

/* Goal: a planted link is not written through either.  Method: create where a dangling link lies.
 */
static void test_creation_does_not_follow_a_link(void **state)
{
    made of;
    char target[200];
    bool exists = false;
    (void)state;
    path_make(&of, "dangling");
    snprintf(target, sizeof target, "%s-target", of.path);
    unlink(target);
    assert_int_equal(symlink(target, of.path), 0);
    assert_int_equal(ae_segment_create(&of.spec, &of.segment, &of.error), AERO_OK);
    assert_int_equal(ae_segment_seal(&of.segment, &of.error), AERO_OK);
    assert_int_equal(ae_segment_name(&of.segment, &of.spec, &exists, &of.error), AERO_OK);
    assert_true(exists);
    assert_int_not_equal(access(target, F_OK), 0);
    segment_drop(&of);
}

static void test_sizes_out_of_bounds_are_refused(void **state)
{
    made of;
    (void)state;
    path_make(&of, "bounds");
    const uint64_t sizes[] = {0, 1, AE_SEGMENT_MIN - 1, AE_SEGMENT_MAX + AE_PAGE_SIZE, UINT64_MAX};
    for (size_t index = 0; index < sizeof sizes / sizeof sizes[0]; index++) {
        of.spec.size = sizes[index];
        assert_int_equal(ae_segment_create(&of.spec, &of.segment, &of.error), AERO_USAGE);
    }
}

/* ---- pages ---------------------------------------------------------------------------------- */

/* Goal: I1, I2.  Method: take runs of all sizes until FULL; they do not overlap, storage lies
 * behind each. */
static void test_runs_of_pages_do_not_overlap(void **state)
{
    made of;
    bool taken[SIZE >> AE_PAGE_SHIFT] = {false};
    uint32_t total = 0;
    (void)state;
    segment_make(&of, "runs");
    for (uint32_t turn = 0;; turn++) {
        uint32_t page = 0;
        const uint32_t count = 1 + turn % 7;
        const aero_status status = ae_pages_take(&of.segment, count, turn % AE_SLOTS, &page,
                                                 &of.error);
        if (status != AERO_OK) {
            assert_int_equal(status, AERO_FULL);
            break;
        }
        for (uint32_t at = page; at < page + count; at++) {
            assert_in_range(at, of.segment.header->first_page, (SIZE >> AE_PAGE_SHIFT) - 1);
            assert_false(taken[at]);
            taken[at] = true;
        }
        total += count;
        assert_true(((uint64_t)(page + count) << AE_PAGE_SHIFT) <=
                    ae_load64(&of.segment.header->reserved));
        memset(of.segment.base + ((size_t)page << AE_PAGE_SHIFT), 0x5a,
               (size_t)count << AE_PAGE_SHIFT);
        ae_pages_settle(&of.segment, page, count);
        for (uint32_t at = page; at < page + count; at++)
            assert_int_equal(ae_page_slab(&of.segment, at << (AE_PAGE_SHIFT - 4)), page);
    }
    assert_in_range(total, (SIZE >> AE_PAGE_SHIFT) - of.segment.header->first_page - 7,
                    (SIZE >> AE_PAGE_SHIFT) - of.segment.header->first_page);
    segment_drop(&of);
}

/* Goal: a segment that grows from small pages to huge ones loses nothing, another process's mapping
 * stays the same memory, and all that is reserved has storage.  Method: pages are taken to beyond
 * the size where huge ones are asked for, while the kernel can give them and once it is known that
 * they are not to be had; each is written by one mapping and read by another that was there before;
 * the file has as much storage as is reserved. */
static void test_growing_into_huge_pages_keeps_everything(void **state)
{
    const uint64_t size = 6 * AE_HUGE_LEAST + 3 * AE_PAGE_SIZE;
    (void)state;
    for (uint32_t small = 0; small < 2; small++) {
        made of;
        ae_segment other;
        bool missing = true;
        bool exists = true;
        path_make(&of, "huge");
        of.spec.size = size;
        assert_int_equal(ae_segment_create(&of.spec, &of.segment, &of.error), AERO_OK);
        for (int root = 0; root < AE_ROOT_COUNT; root++)
            of.segment.header->roots[root] = ae_segment_carve(&of.segment, 100);
        assert_int_equal(ae_segment_seal(&of.segment, &of.error), AERO_OK);
        assert_int_equal(ae_segment_name(&of.segment, &of.spec, &exists, &of.error), AERO_OK);
        assert_int_equal(ae_segment_attach(&of.spec, &other, &missing, &of.error), AERO_OK);
        assert_int_equal((uintptr_t)of.segment.base % AE_OS_HUGE_SIZE, 0);
        assert_int_equal((uintptr_t)other.base % AE_OS_HUGE_SIZE, 0);
        ae_store64(&of.segment.header->small, small == 0 ? 0 : size);
        const uint64_t first = ae_load64(&of.segment.header->used);
        uint32_t page = 0;
        while (ae_pages_take(&of.segment, 5, 1, &page, &of.error) == AERO_OK) {
            const uint64_t reserved = ae_load64(&of.segment.header->reserved);
            assert_true(reserved <= size);
            struct stat info;
            assert_int_equal(fstat(of.segment.fd, &info), 0);
            assert_true((uint64_t)info.st_blocks * 512 >= reserved);
            memset(of.segment.base + ((size_t)page << AE_PAGE_SHIFT), (int)(page % 251),
                   5u << AE_PAGE_SHIFT);
        }
        assert_int_equal(of.error.code, AERO_FULL);
        const uint64_t used = ae_load64(&other.header->used);
        assert_true(used > size - 5 * AE_PAGE_SIZE);
        for (uint64_t at = first; at < used; at += 4096) {
            const uint64_t run = first + (at - first) / (5 * AE_PAGE_SIZE) * (5 * AE_PAGE_SIZE);
            assert_int_equal((unsigned char)other.base[at], (run >> AE_PAGE_SHIFT) % 251);
        }
        ae_segment_detach(&other);
        segment_drop(&of);
    }
}

/* KiB of the mapping that begins at `base` that are mapped by huge pages. */
static uint64_t huge_kib(const void *base)
{
    char line[512];
    char start[32];
    unsigned long kib = 0;
    bool inside = false;
    snprintf(start, sizeof start, "%lx-", (unsigned long)base);
    FILE *maps = fopen("/proc/self/smaps", "re");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps) != NULL) {
        if (line[0] < 'A' || line[0] > 'Z')
            inside = strncmp(line, start, strlen(start)) == 0;
        else if (inside && sscanf(line, "ShmemPmdMapped: %lu", &kib) == 1)
            break;
    }
    assert_int_equal(fclose(maps), 0);
    return kib;
}

/* Adds one to a word of each page, again and again; ends when told. */
typedef struct counting {
    ae_segment *segment;
    uint64_t from, to;
    ae_a32 end;
    uint32_t laps;
} counting;

static void *count_in_pages(void *context)
{
    counting *of = context;
    do {
        for (uint64_t at = of->from; at < of->to; at += 4096)
            ae_add32((ae_a32 *)(void *)(of->segment->base + at), 1);
        of->laps++;
    } while (ae_load32_acquire(&of->end) == 0);
    return NULL;
}

/* Goal: small pages become huge ones, by and by and once the segment has stopped growing, and
 * nothing that is written to them meanwhile is lost.  Method: a segment that believes that huge
 * pages are dear is filled; a thread counts all over it through a second mapping, as another
 * process would, while pages are joined with a clock that the test moves. */
static void test_small_pages_are_joined_under_writers(void **state)
{
    const uint64_t second = 1000000000;
    made of;
    ae_segment other;
    bool missing = true;
    uint32_t page = 0;
    struct stat before;
    struct stat after;
    ae_segment_joining way = {0};
    pthread_t thread;
    (void)state;
    path_make(&of, "join");
    of.spec.size = 2 * AE_HUGE_LEAST + 3 * AE_PAGE_SIZE;
    segment_publish(&of);
    ae_store64(&of.segment.header->small, of.spec.size);
    assert_false(ae_segment_joinable(&of.segment));
    assert_int_equal(ae_segment_attach(&of.spec, &other, &missing, &of.error), AERO_OK);
    const uint64_t from = ae_load64(&of.segment.header->used);
    while (ae_pages_take(&of.segment, 1, 1, &page, &of.error) == AERO_OK)
        continue;
    assert_true(ae_segment_joinable(&of.segment));
    assert_int_equal(fstat(of.segment.fd, &before), 0);
    counting count = {.segment = &other, .from = from, .to = (uint64_t)page << AE_PAGE_SHIFT};
    assert_int_equal(pthread_create(&thread, NULL, count_in_pages, &count), 0);
    ae_segment_join(&of.segment, &way, second);
    ae_segment_join(&of.segment, &way, 2 * second - 1);
    assert_int_equal(ae_load32(&of.segment.header->joined), 0); /* it grew a moment ago */
    uint64_t now = 2 * second;
    for (uint32_t turns = 0; ae_segment_joinable(&of.segment); turns++) {
        const uint32_t at = ae_load32(&of.segment.header->joined);
        ae_segment_join(&of.segment, &way, now);
        assert_true(ae_load32(&of.segment.header->joined) > at);
        assert_true(way.resume_ns >= now && turns < of.spec.size / AE_OS_HUGE_SIZE);
        if (way.resume_ns > now && ae_segment_joinable(&of.segment)) { /* a rest is one */
            const uint32_t there = ae_load32(&of.segment.header->joined);
            ae_segment_join(&of.segment, &way, way.resume_ns - 1);
            assert_int_equal(ae_load32(&of.segment.header->joined), there);
        }
        now = way.resume_ns;
    }
    ae_store32_release(&count.end, 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(ae_load32(&of.segment.header->joined), of.spec.size / AE_OS_HUGE_SIZE);
    assert_int_equal(fstat(of.segment.fd, &after), 0);
    assert_int_equal(after.st_blocks, before.st_blocks);
    for (uint64_t at = from; at < count.to; at += 4096)
        assert_int_equal(ae_load32((ae_a32 *)(void *)(of.segment.base + at)), count.laps);
    uint64_t took = 0;
    if (ae_os_huge_join(other.base, &took) == 0) /* the kernel knows how */
        assert_true(huge_kib(of.segment.base) >= of.spec.size / 2048);
    ae_segment_detach(&other);
    segment_drop(&of);
}

static bool page_is(const void *context, uint32_t page)
{
    return page == *(const uint32_t *)context;
}

/* Goal: pages of the dead come back.  Method: runs claimed by two takers are never settled; one is
 * "dead": its slab is settled, the rest become holes that are taken again; the living one's stay.
 */
static void test_runs_of_the_dead_become_holes(void **state)
{
    made of;
    uint32_t pages[6];
    (void)state;
    segment_make(&of, "holes");
    for (uint32_t turn = 0; turn < 6; turn++)
        assert_int_equal(ae_pages_take(&of.segment, 4, turn % 2 ? 9 : 3, &pages[turn], &of.error),
                         AERO_OK);
    const uint64_t used = ae_load64(&of.segment.header->used);
    ae_pages_recover(&of.segment, 3, page_is, &pages[2]);
    assert_int_equal(ae_page_slab(&of.segment, (pages[2] + 3) << (AE_PAGE_SHIFT - 4)), pages[2]);
    for (uint32_t turn = 0; turn < 6; turn += 2)
        if (turn != 2)
            assert_int_equal(ae_page_slab(&of.segment, pages[turn] << (AE_PAGE_SHIFT - 4)), 0);
    for (uint32_t turn = 0; turn < 2; turn++) {
        uint32_t page = 0;
        assert_int_equal(ae_pages_take(&of.segment, 4, 5, &page, &of.error), AERO_OK);
        assert_true(page == pages[0] || page == pages[4]);
    }
    assert_int_equal(ae_load64(&of.segment.header->used), used);
    uint32_t page = 0;
    assert_int_equal(ae_pages_take(&of.segment, 4, 5, &page, &of.error), AERO_OK);
    assert_int_equal((uint64_t)page << AE_PAGE_SHIFT, used); /* no hole is left */
    ae_pages_recover(&of.segment, 200, page_is, &pages[0]);  /* nothing of its own */
    assert_int_equal(ae_load64(&of.segment.header->used), used + 4 * AE_PAGE_SIZE);
    segment_drop(&of);
}

static void fill(const made *of, uint32_t page, uint32_t count)
{
    memset(of->segment.base + ((size_t)page << AE_PAGE_SHIFT), 0x5a,
           (size_t)count << AE_PAGE_SHIFT);
}

static bool is_zero(const made *of, uint32_t page, uint32_t count)
{
    const char *bytes = of->segment.base + ((size_t)page << AE_PAGE_SHIFT);
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, ((size_t)count << AE_PAGE_SHIFT) - 1) == 0;
}

static uint64_t pages_free(const made *of)
{
    uint64_t all = 0;
    return ae_pages_free(&of->segment, &all);
}

static void give_back(made *of, uint32_t page, uint32_t count)
{
    ae_pages_unsettle(&of->segment, page, count, 3);
    ae_pages_offer(&of->segment, page, count);
}

/* Goal: G1, and that pages that came back serve runs of any length.  Method: the whole segment is
 * taken in runs of two and given back in a mixed order; then all of it is had again in runs of
 * three, zeroed, and no page twice. */
static void test_holes_are_joined_and_cut(void **state)
{
    made of;
    uint32_t pages[SIZE >> AE_PAGE_SHIFT];
    bool taken[SIZE >> AE_PAGE_SHIFT] = {false};
    uint32_t count = 0;
    uint32_t page = 0;
    (void)state;
    segment_make(&of, "joined");
    const uint64_t all = pages_free(&of);
    while (ae_pages_take(&of.segment, 2, 3, &page, &of.error) == AERO_OK) {
        fill(&of, page, 2);
        ae_pages_settle(&of.segment, page, 2);
        pages[count++] = page;
    }
    assert_int_equal(pages_free(&of), all - 2 * count);
    for (uint32_t turn = 0; turn < count; turn++) {
        const uint32_t at = (turn * 7) % count; /* all of them, if 7 does not divide the count */
        if (count % 7 == 0)
            give_back(&of, pages[turn], 2);
        else
            give_back(&of, pages[at], 2);
        assert_int_equal(pages_free(&of), all - 2 * count + 2 * (turn + 1));
    }
    uint32_t again = 0;
    while (ae_pages_take(&of.segment, 3, 5, &page, &of.error) == AERO_OK) {
        assert_true(is_zero(&of, page, 3));
        fill(&of, page, 3);
        for (uint32_t at = page; at < page + 3; at++) {
            assert_false(taken[at]);
            taken[at] = true;
        }
        again += 3;
    }
    assert_true(again + 3 > 2 * count);
    assert_int_equal(pages_free(&of), all - again);
    segment_drop(&of);
}

/* Goal: a death between any two steps of joining and cutting holes loses no page and doubles none.
 * Method: the words of each step are written by hand, then the reaper comes. */
static void test_joining_cut_short_is_undone(void **state)
{
    (void)state;
    for (uint32_t step = 0; step < 5; step++) {
        made of;
        uint32_t page = 0;
        const uint32_t none = 0;
        segment_make(&of, "steps");
        const uint64_t all = pages_free(&of);
        assert_int_equal(ae_pages_take(&of.segment, 4, 5, &page, &of.error), AERO_OK);
        ae_pages_recover(&of.segment, 5, page_is, &none);
        ae_a32 *map = of.segment.page_map;
        /* Two holes side by side, of which three pages are wanted. */
        ae_store32(&map[page], 0x40000000u | 2u << 8);
        ae_store32(&map[page + 2], 0x40000000u | 2u << 8);
        if (step > 0)
            ae_store32(&map[page], 0x80000000u | 2u << 8 | 5);
        if (step > 1)
            ae_store32(&map[page + 2], 0x80000000u | 2u << 8 | 5);
        if (step > 2)
            ae_store32(&map[page + 3], 0x80000000u | 1u << 8 | 5);
        if (step > 3)
            ae_store32(&map[page], 0x80000000u | 3u << 8 | 5);
        ae_pages_recover(&of.segment, 5, page_is, &none);
        assert_int_equal(pages_free(&of), all);
        uint32_t first = 0;
        uint32_t second = 0;
        assert_int_equal(ae_pages_take(&of.segment, 3, 6, &first, &of.error), AERO_OK);
        assert_int_equal(ae_pages_take(&of.segment, 1, 6, &second, &of.error), AERO_OK);
        assert_int_equal(first, page);
        assert_int_equal(second, page + 3);
        segment_drop(&of);
    }
}

/* Goal: a claim at the frontier is finished by the next who comes.  Method: make one by hand. */
static void test_a_claim_cut_short_is_completed(void **state)
{
    made of;
    uint32_t page = 0;
    const uint32_t none = 0;
    (void)state;
    segment_make(&of, "short");
    const uint32_t frontier = (uint32_t)(ae_load64(&of.segment.header->used) >> AE_PAGE_SHIFT);
    ae_store32(&of.segment.page_map[frontier], 0x80000000u | 3u << 8 | 77);
    assert_int_equal(ae_pages_take(&of.segment, 2, 5, &page, &of.error), AERO_OK);
    assert_int_equal(page, frontier + 3);
    ae_pages_recover(&of.segment, 77, page_is, &none);
    assert_int_equal(ae_pages_take(&of.segment, 3, 5, &page, &of.error), AERO_OK);
    assert_int_equal(page, frontier);
    segment_drop(&of);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_an_attached_segment_is_the_same_memory),
    cmocka_unit_test(test_only_the_first_publisher_gives_the_name),
    cmocka_unit_test(test_every_flipped_bit_of_the_header_is_refused),
    cmocka_unit_test(test_impossible_sizes_are_refused),
    cmocka_unit_test(test_a_crafted_header_is_refused),
    cmocka_unit_test(test_a_reference_holds_what_was_handed_out),
    cmocka_unit_test(test_a_file_of_another_size_is_refused),
    cmocka_unit_test(test_another_schema_engine_or_directory_is_refused),
    cmocka_unit_test(test_what_is_no_safe_file_is_refused),
    cmocka_unit_test(test_creation_does_not_follow_a_link),
    cmocka_unit_test(test_sizes_out_of_bounds_are_refused),
    cmocka_unit_test(test_runs_of_pages_do_not_overlap),
    cmocka_unit_test(test_growing_into_huge_pages_keeps_everything),
    cmocka_unit_test(test_small_pages_are_joined_under_writers),
    cmocka_unit_test(test_runs_of_the_dead_become_holes),
    cmocka_unit_test(test_holes_are_joined_and_cut),
    cmocka_unit_test(test_joining_cut_short_is_undone),
    cmocka_unit_test(test_a_claim_cut_short_is_completed),
};

AE_TEST_MAIN(tests)
