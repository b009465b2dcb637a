/* segment.c — creating, naming, checking and mapping the segment file (see segment.h). */
#include "shm/segment.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/crc.h"
#include "base/os.h"
#include "shm/segment_private.h"

#define SEGMENT_MAGIC 0x3147455345524541ull /* "AERESEG1" */
#define SEGMENT_FORMAT 1u
#define HEADER_BYTES 4096u

_Static_assert(sizeof(ae_segment_header) <= HEADER_BYTES, "header fits its page");
_Static_assert(offsetof(ae_segment_header, checksum) == 120, "format");
_Static_assert(offsetof(ae_segment_header, used) == 128, "format");
_Static_assert(sizeof(ae_a64) == 8 && sizeof(ae_a32) == 4, "atomics add nothing");

/* Byte order, pointer width and page size of this machine in one word. */
static uint32_t machine_tag(void)
{
    const uint32_t probe = 0x01020304u;
    uint8_t first;
    memcpy(&first, &probe, 1);
    return (uint32_t)first << 24 | (uint32_t)sizeof(void *) << 16 |
           (uint32_t)(sysconf(_SC_PAGESIZE) >> 10);
}

static uint32_t header_checksum(const ae_segment_header *header)
{
    return ae_crc32c(0, (const uint8_t *)header + 8, offsetof(ae_segment_header, checksum) - 8);
}

aero_status aei_segment_reserve(ae_segment *segment, uint64_t end, aero_error *error)
{
    ae_segment_header *header = segment->header;
    const uint64_t reserved = ae_load64_acquire(&header->reserved);
    if (end <= reserved)
        return AERO_OK;
    if (end > segment->size)
        return ae_fail(error, AERO_FULL, "the segment is full: %llu bytes are its maximum",
                       (unsigned long long)segment->size);
    uint64_t step = reserved / 8;
    step = step < AE_EXTENT_MIN ? AE_EXTENT_MIN : step > AE_EXTENT_MAX ? AE_EXTENT_MAX : step;
    uint64_t goal = reserved + step > end ? reserved + step : end;
    goal = (goal + AE_PAGE_SIZE - 1) & ~(uint64_t)(AE_PAGE_SIZE - 1);
    const bool huge = goal >= AE_HUGE_LEAST && goal > ae_load64(&header->small);
    if (huge)
        goal = (goal + AE_OS_HUGE_SIZE - 1) & ~(AE_OS_HUGE_SIZE - 1);
    goal = goal > segment->size ? segment->size : goal;
    AE_ALWAYS(goal >= end && goal > reserved && goal <= segment->size);
    /* Before the reservation, which then finds nothing left to do.  The first time what is there
     * already becomes huge, too. */
    const uint64_t from = reserved < AE_HUGE_LEAST ? 0 : reserved;
    if (huge && !ae_os_huge(segment->fd, segment->base, from, goal - from))
        ae_store64(&header->small, 2 * goal); /* then perhaps there are some */
    if (segment->fd >= 0) {
        int failure = ae_os_reserve(segment->fd, reserved, goal - reserved);
        if (failure != 0 && goal > end) {
            goal = end; /* the last bytes of a nearly full file system are still usable */
            failure = ae_os_reserve(segment->fd, reserved, goal - reserved);
        }
        if (failure == ENOSPC || failure == EDQUOT || failure == ENOMEM)
            ae_store32(&header->cramped, 1);
        if (failure == ENOSPC || failure == EDQUOT || failure == ENOMEM)
            return ae_fail_errno(error, AERO_FULL, failure,
                                 "no room to grow the segment from %llu to %llu bytes",
                                 (unsigned long long)reserved, (unsigned long long)goal);
        if (failure != 0)
            return ae_fail_errno(error, AERO_IO, failure, "cannot grow the segment");
    }
    if (ae_load32(&header->cramped) != 0)
        ae_store32(&header->cramped, 0);
    AE_CRASH_POINT("segment.reserved");
    /* Release: storage exists before anybody relies on it; pairs with the acquire above. */
    ae_raise64(&header->reserved, goal);
    return AERO_OK;
}

aero_status ae_segment_create(const ae_segment_spec *spec, ae_segment *segment, aero_error *error)
{
    const uint64_t size = spec->size & ~(uint64_t)(AE_PAGE_SIZE - 1);
    memset(segment, 0, sizeof *segment);
    segment->fd = -1;
    if (size < AE_SEGMENT_MIN || size > AE_SEGMENT_MAX)
        return ae_fail(error, AERO_USAGE, "segment size %llu is outside %llu..%llu bytes",
                       (unsigned long long)spec->size, (unsigned long long)AE_SEGMENT_MIN,
                       (unsigned long long)AE_SEGMENT_MAX);
    int failure = 0;
    if (spec->path != NULL) {
        failure = ae_os_create_unnamed(spec->path, size, &segment->fd);
        if (failure == 0)
            failure = ae_os_reserve(segment->fd, 0, HEADER_BYTES);
    }
    void *base = NULL;
    if (failure == 0)
        failure = ae_os_map(segment->fd, size, &base);
    if (failure != 0) {
        ae_os_close(segment->fd);
        segment->fd = -1;
        const int code = failure == ENOSPC || failure == EDQUOT ? AERO_FULL
                         : failure == EACCES                    ? AERO_PERMISSION
                         : failure == ENOMEM                    ? AERO_NO_MEMORY
                                                                : AERO_IO;
        return ae_fail_errno(error, code, failure, "cannot create the segment %s",
                             spec->path != NULL ? spec->path : "in private memory");
    }
    segment->base = base;
    AE_ALWAYS(base != NULL && (uintptr_t)base % 64 == 0);
    segment->size = size;
    segment->created = true;
    segment->header = base;
    ae_segment_header *header = segment->header;
    header->format = SEGMENT_FORMAT;
    header->machine = machine_tag();
    header->size = size;
    header->schema_fingerprint = spec->schema_fingerprint;
    header->layout_fingerprint = spec->layout_fingerprint;
    header->boot_id = ae_os_boot_id();
    header->data_device = spec->data_device;
    header->data_inode = spec->data_inode;
    ae_os_random(header->store_id, sizeof header->store_id);
    /* Private memory needs no reservation. */
    ae_store64(&header->reserved, HEADER_BYTES);
    ae_store64(&header->used, HEADER_BYTES);
    const ae_ref map = ae_segment_carve(segment, (size >> AE_PAGE_SHIFT) * sizeof(ae_a32));
    if (map == 0) {
        ae_segment_detach(segment);
        return ae_fail(error, AERO_FULL, "no room for the segment's page map");
    }
    header->page_map = map;
    segment->page_map = ae_at(segment, map);
    return AERO_OK;
}

ae_ref ae_segment_carve(ae_segment *segment, uint64_t bytes)
{
    AE_ALWAYS(bytes > 0);
    ae_segment_header *header = segment->header;
    const uint64_t start = (ae_load64(&header->used) + 63) & ~(uint64_t)63;
    AE_ALWAYS(segment->created && header->magic == 0);
    if (bytes > segment->size || aei_segment_reserve(segment, start + bytes, NULL) != AERO_OK)
        return 0;
    ae_store64(&header->used, start + bytes); /* alone until published */
    return (ae_ref)(start >> 4);
}

aero_status ae_segment_seal(ae_segment *segment, aero_error *error)
{
    ae_segment_header *header = segment->header;
    const uint64_t used = (ae_load64(&header->used) + AE_PAGE_SIZE - 1) &
                          ~(uint64_t)(AE_PAGE_SIZE - 1);
    AE_ALWAYS(segment->created && header->magic == 0);
    const aero_status status = aei_segment_reserve(segment, used, error);
    if (status != AERO_OK)
        return status;
    AE_ALWAYS(used % AE_PAGE_SIZE == 0 && used <= segment->size);
    AE_ALWAYS(header->page_map != 0);
    ae_store64(&header->used, used);
    header->first_page = (uint32_t)(used >> AE_PAGE_SHIFT);
    header->checksum = header_checksum(header);
    header->magic = SEGMENT_MAGIC;
    AE_CRASH_POINT("segment.sealed");
    return AERO_OK;
}

void ae_segment_adopt(ae_segment *segment, const uint8_t *store_id)
{
    AE_ALWAYS(store_id != NULL);
    ae_segment_header *header = segment->header;
    AE_ALWAYS(segment->created && header->magic == SEGMENT_MAGIC);
    memcpy(header->store_id, store_id, sizeof header->store_id);
    header->checksum = header_checksum(header);
}

aero_status ae_segment_name(ae_segment *segment, const ae_segment_spec *spec, bool *exists,
                            aero_error *error)
{
    *exists = false;
    AE_ALWAYS(segment->created && segment->header->magic == SEGMENT_MAGIC);
    if (segment->fd < 0)
        return AERO_OK;
    AE_ALWAYS(spec->path != NULL);
    /* The name appears with the content complete: nobody can see a half-made header. */
    const int failure = ae_os_link(segment->fd, spec->path);
    *exists = failure == EEXIST;
    if (failure != 0 && !*exists)
        return ae_fail_errno(error, AERO_IO, failure, "cannot name the segment %s", spec->path);
    return AERO_OK;
}

/* Is the opened file one that only its owner, and we are the owner, could have made? */
static aero_status attach_check_file(const ae_segment_spec *spec, const ae_os_file *info,
                                     aero_error *error)
{
    if (!info->regular)
        return ae_fail(error, AERO_PERMISSION, "%s is not a regular file", spec->path);
    if (info->owner != ae_os_user())
        return ae_fail(error, AERO_PERMISSION, "%s belongs to user %u, not to user %u", spec->path,
                       info->owner, ae_os_user());
    if (info->mode != 0600)
        return ae_fail(error, AERO_PERMISSION, "%s has mode %04o; only 0600 is safe", spec->path,
                       info->mode);
    if (info->links != 1)
        return ae_fail(error, AERO_PERMISSION, "%s has %u names; only one is safe", spec->path,
                       info->links);
    return AERO_OK;
}

static aero_status mismatch(aero_error *error, const ae_segment_spec *spec, const char *what,
                            uint64_t found, uint64_t wanted)
{
    return ae_fail(error, AERO_MISMATCH, "segment %s: %s is %016llx, expected %016llx", spec->path,
                   what, (unsigned long long)found, (unsigned long long)wanted);
}

/* Judge a copy of the header before anything is mapped or believed (law L7). */
static aero_status attach_check_header(const ae_segment_spec *spec, const ae_segment_header *header,
                                       uint64_t file_size, aero_error *error)
{
    if (header->magic != SEGMENT_MAGIC)
        return mismatch(error, spec, "magic", header->magic, SEGMENT_MAGIC);
    if (header->format != SEGMENT_FORMAT)
        return mismatch(error, spec, "format version", header->format, SEGMENT_FORMAT);
    if (header->machine != machine_tag())
        return mismatch(error, spec, "machine type", header->machine, machine_tag());
    if (header->checksum != header_checksum(header) || header->_pad0 != 0)
        return ae_fail(error, AERO_CORRUPT, "segment %s: header checksum is %08x, expected %08x",
                       spec->path, header->checksum, header_checksum(header));
    if (header->size != file_size)
        return ae_fail(error, AERO_CORRUPT,
                       "segment %s: the file has %llu bytes, its header says %llu", spec->path,
                       (unsigned long long)file_size, (unsigned long long)header->size);
    if (header->layout_fingerprint != spec->layout_fingerprint)
        return mismatch(error, spec, "engine layout", header->layout_fingerprint,
                        spec->layout_fingerprint);
    if (header->schema_fingerprint != spec->schema_fingerprint)
        return mismatch(error, spec, "schema fingerprint", header->schema_fingerprint,
                        spec->schema_fingerprint);
    if (header->data_device != spec->data_device || header->data_inode != spec->data_inode)
        return ae_fail(error, AERO_MISMATCH, "segment %s belongs to another data directory",
                       spec->path);
    if (header->boot_id != ae_os_boot_id())
        return ae_fail(error, AERO_MISMATCH,
                       "segment %s was made before the machine's last start; remove it",
                       spec->path);
    const uint64_t used = ae_load64(&header->used);
    const uint64_t reserved = ae_load64(&header->reserved);
    if (used > reserved || reserved > header->size || used % AE_PAGE_SIZE != 0 ||
        used < (uint64_t)header->first_page << AE_PAGE_SHIFT || header->first_page == 0)
        return ae_fail(error, AERO_CORRUPT,
                       "segment %s: sizes contradict each other (used %llu, reserved %llu)",
                       spec->path, (unsigned long long)used, (unsigned long long)reserved);
    if (ae_load32(&header->poisoned) > 1)
        return ae_fail(error, AERO_CORRUPT, "segment %s: header words are damaged", spec->path);
    for (uint32_t root = 0; root <= AE_ROOT_COUNT; root++) {
        const uint64_t at =
            (uint64_t)(root < AE_ROOT_COUNT ? header->roots[root] : header->page_map) << 4;
        if (at >= (uint64_t)header->first_page << AE_PAGE_SHIFT || at % 64 != 0)
            return ae_fail(error, AERO_CORRUPT, "segment %s: root %u points outside", spec->path,
                           root);
    }
    return AERO_OK;
}

aero_status ae_segment_attach(const ae_segment_spec *spec, ae_segment *segment, bool *missing,
                              aero_error *error)
{
    AE_ALWAYS(spec->path != NULL);
    memset(segment, 0, sizeof *segment);
    *missing = false;
    int failure = ae_os_open_existing(spec->path, &segment->fd);
    if (failure != 0) {
        *missing = failure == ENOENT;
        const bool refused = failure == EACCES || failure == ELOOP || failure == ENXIO ||
                             failure == EISDIR || failure == EPERM;
        return ae_fail_errno(error, refused ? AERO_PERMISSION : AERO_IO, failure,
                             "cannot open the segment %s", spec->path);
    }
    ae_os_file info;
    ae_segment_header header;
    size_t got = 0;
    void *base = NULL;
    aero_status status = AERO_OK;
    failure = ae_os_stat(segment->fd, &info);
    if (failure != 0)
        status = ae_fail_errno(error, AERO_IO, failure, "cannot look at %s", spec->path);
    if (status == AERO_OK && info.links == 0) { /* removed since it was opened */
        *missing = true;
        status = ae_fail(error, AERO_IO, "segment %s was removed", spec->path);
    }
    if (status == AERO_OK)
        status = attach_check_file(spec, &info, error);
    if (status == AERO_OK) {
        failure = ae_os_read_at(segment->fd, 0, &header, sizeof header, &got);
        if (failure != 0 || got < sizeof header)
            status = ae_fail(error, AERO_CORRUPT,
                             "segment %s: only %zu bytes of its header are there", spec->path, got);
    }
    if (status == AERO_OK)
        status = attach_check_header(spec, &header, info.size, error);
    if (status == AERO_OK) {
        failure = ae_os_map(segment->fd, header.size, &base);
        if (failure != 0)
            status = ae_fail_errno(error, AERO_NO_MEMORY, failure, "cannot map %s", spec->path);
    }
    if (status != AERO_OK) {
        ae_os_close(segment->fd);
        segment->fd = -1;
        return status;
    }
    segment->base = base;
    AE_ALWAYS(base != NULL && (uintptr_t)base % 64 == 0);
    segment->size = header.size;
    segment->header = base;
    segment->page_map = ae_at(segment, header.page_map);
    return AERO_OK;
}

void ae_segment_detach(ae_segment *segment)
{
    ae_os_unmap(segment->base, segment->size);
    ae_os_close(segment->fd);
    memset(segment, 0, sizeof *segment);
    segment->fd = -1;
}

/* A load reserves again and again; a second without is a pause. */
#define JOIN_QUIET_NS 1000000000u
#define JOIN_TURN_NS 1000000u
#define JOIN_REST 9u /* times as long as it took */

/* How many whole huge pages are reserved; 0 where the segment is too small to have any. */
static uint64_t whole_pages(const ae_segment *segment)
{
    const uint64_t reserved = ae_load64_acquire(&segment->header->reserved);
    const uint64_t end = reserved < segment->size ? reserved : segment->size;
    return segment->fd < 0 || end < AE_HUGE_LEAST ? 0 : end / AE_OS_HUGE_SIZE;
}

bool ae_segment_joinable(const ae_segment *segment)
{
    return ae_load32(&segment->header->joined) < whole_pages(segment);
}

void ae_segment_join(const ae_segment *segment, ae_segment_joining *way, uint64_t now_ns)
{
    const uint64_t reserved = ae_load64(&segment->header->reserved);
    const uint64_t pages = whole_pages(segment);
    if (reserved != way->reserved)
        *way = (ae_segment_joining){.reserved = reserved, .since_ns = now_ns};
    if (now_ns - way->since_ns < JOIN_QUIET_NS || now_ns < way->resume_ns)
        return;
    uint64_t spent = 0;
    uint32_t at = ae_load32(&segment->header->joined);
    for (; at < pages && spent < JOIN_TURN_NS; at++) {
        uint64_t took = 0;
        /* Small ones that cannot be joined, now or at all, stay as they are. */
        (void)ae_os_huge_join(segment->base + at * AE_OS_HUGE_SIZE, &took);
        spent += took;
        /* Two who are at it go through some twice. */
        ae_store32(&segment->header->joined, at + 1);
    }
    way->resume_ns = now_ns + spent + JOIN_REST * spent;
}

bool ae_segment_holds(const ae_segment *segment, ae_ref ref, uint64_t bytes)
{
    const uint64_t start = (uint64_t)ref << 4;
    const uint64_t used = ae_load64_acquire(&segment->header->used);
    return start >= HEADER_BYTES && start <= used && bytes <= used - start;
}
