/* segment.h — the one file all processes map: its header, references into it, and its pages.
 *
 *   0            header (constant part with checksum, then the few mutable words)
 *   4 KiB        page map: one word per 64 KiB page
 *   …            fixed structures carved at creation: processes, commit queue, pools, key
 *   directories
 *   …            pages, taken in runs by pools as slabs, and given back when all of one is free
 *
 * How it works.  Nothing here is an address: a reference counts 16-byte units from the start (law
 * L1). Space is reserved from the file system before it is handed out, so that touching it cannot
 * raise SIGBUS (L10).  A run of pages is taken by first claiming its head word in the page map,
 * with the run's length and the taker's number in the claim, and then moving `used` past it;
 * whoever finds a claim at the frontier moves `used` for its owner.  So every page below `used` has
 * an owner that can be found after a crash.  What is given back becomes a hole, full of zeros;
 * holes side by side are taken together, and of a long one only what is needed.
 *
 * Invariants
 *   I1  every run below `used` starts with a claim, a hole, or a slab's page number
 *   I2  bytes below `reserved` have storage; `used` <= `reserved` <= size
 *   I3  the constant part of the header never changes after the file got its name
 *
 * Concurrency: any thread of any process, lock-free.
 */
#ifndef AE_SHM_SEGMENT_H
#define AE_SHM_SEGMENT_H

#include "base/atomics.h"
#include "base/error.h"
#include "base/limits.h"

/* A place in the segment in units of 16 bytes; 0 is none. */
typedef uint32_t ae_ref;

enum ae_root {
    AE_ROOT_PROC,
    AE_ROOT_QUEUE,
    AE_ROOT_POOLS,
    AE_ROOT_TABLES,
    AE_ROOT_INDEXES,
    AE_ROOT_LOG,
    AE_ROOT_SETTINGS,
    AE_ROOT_COUNT = 8
};

/* Byte offsets are part of the format: never change these numbers. */
typedef struct ae_segment_header {
    /* Constant after the file got its name; `checksum` covers bytes 8 up to its own place. */
    uint64_t magic;                /*   0 */
    uint32_t format;               /*   8 */
    uint32_t machine;              /*  12 byte order, pointer width, page size */
    uint64_t size;                 /*  16 bytes of the file, the most it can hold */
    uint64_t schema_fingerprint;   /*  24 */
    uint64_t layout_fingerprint;   /*  32 sizes of the engine's own structs and constants */
    uint64_t boot_id;              /*  40 process identities mean nothing after a reboot */
    uint64_t data_device;          /*  48 which data directory this belongs to */
    uint64_t data_inode;           /*  56 */
    uint8_t store_id[16];          /*  64 random, shared with the files on disk */
    uint32_t roots[AE_ROOT_COUNT]; /* 80 references of the fixed structures */
    uint32_t page_map;             /* 112 reference */
    uint32_t first_page;           /* 116 pages below hold fixed structures */
    uint32_t checksum;             /* 120 */
    uint32_t _pad0;                /* 124 */
    /* Mutable. */
    ae_a64 used;     /* 128 bytes handed out, whole pages; raised by takers */
    ae_a64 reserved; /* 136 bytes with storage behind them */
    ae_a32 poisoned; /* 144 set once an invariant is seen broken; nothing is written from then on */
    ae_a32 holes;    /* 148 runs that became holes: counts up, 0 while there never was one */
    ae_a64 small;    /* 152 up to this size no huge pages are asked for: they were dear.  A hint */
    ae_a32 returned; /* 160 slabs taken out of service: counts up, 0 while none ever was */
    ae_a32 given;    /* 164 of them, those whose pages are back: about, where somebody died */
    ae_a32 cramped;  /* 168 the file system had no room beyond `reserved`, when last asked */
    ae_a32 joined;   /* 172 how many huge pages from the start ae_segment_join has been through */
} ae_segment_header;

typedef struct ae_segment {
    char *base;
    uint64_t size;
    int fd; /* -1: private memory */
    bool created;
    ae_segment_header *header;
    ae_a32 *page_map;
} ae_segment;

/* What a segment must agree with. */
typedef struct ae_segment_spec {
    const char *path; /* NULL: private memory */
    uint64_t size;    /* of a new one */
    uint64_t schema_fingerprint;
    uint64_t layout_fingerprint;
    uint64_t data_device;
    uint64_t data_inode;
} ae_segment_spec;

static inline void *ae_at(const ae_segment *segment, ae_ref ref)
{
    return segment->base + ((size_t)ref << 4);
}

static inline ae_ref ae_ref_of(const ae_segment *segment, const void *address)
{
    return (ae_ref)((size_t)((const char *)address - segment->base) >> 4);
}

/* Make a segment that nobody else can see yet.  Errors: FULL, IO, NO_MEMORY, USAGE. */
aero_status ae_segment_create(const ae_segment_spec *spec, ae_segment *segment, aero_error *error);
/* Take zeroed fixed space, 64-byte aligned, during creation only.  0 when it does not fit. */
ae_ref ae_segment_carve(ae_segment *segment, uint64_t bytes);
/* Seal the header: the fixed structures are complete, pages may be taken; still nobody else sees
 * it. */
aero_status ae_segment_seal(ae_segment *segment, aero_error *error);
/* Give the sealed segment the identity of the store whose files filled it, before it is named. */
void ae_segment_adopt(ae_segment *segment, const uint8_t *store_id);
/* Give the file its name.  *exists is set, and nothing kept, when somebody else was first: attach
 * then. */
aero_status ae_segment_name(ae_segment *segment, const ae_segment_spec *spec, bool *exists,
                            aero_error *error);
/* Attach an existing segment.  *missing: there is no such file.  Errors: PERMISSION, MISMATCH,
 * CORRUPT, IO. */
aero_status ae_segment_attach(const ae_segment_spec *spec, ae_segment *segment, bool *missing,
                              aero_error *error);
void ae_segment_detach(ae_segment *segment);

/* What somebody who joins pages remembers; zeros at first. */
typedef struct ae_segment_joining {
    uint64_t reserved;  /* what was reserved when last looked at ... */
    uint64_t since_ns;  /* ... and since when */
    uint64_t resume_ns; /* not before this time: to rest */
} ae_segment_joining;
/* Are there whole huge pages, reserved, that nobody has been through? */
bool ae_segment_joinable(const ae_segment *segment);
/* Go on making huge pages of small ones, for a millisecond and one page at most: what was too dear
 * while somebody waited for the memory is done by and by, in a tenth of the time, once the segment
 * has stopped growing.  Takes no memory. */
void ae_segment_join(const ae_segment *segment, ae_segment_joining *way, uint64_t now_ns);

/* True when [ref, ref + bytes) lies inside the part that has been handed out. */
bool ae_segment_holds(const ae_segment *segment, ae_ref ref, uint64_t bytes);

/* ---- pages ---------------------------------------------------------------------------------- */

/* Take a run of `count` zeroed pages for taker number `owner` (a transaction slot).  Errors: FULL,
 * IO. */
aero_status ae_pages_take(ae_segment *segment, uint32_t count, uint32_t owner, uint32_t *page,
                          aero_error *error);
/* The run belongs to a slab now: every page of it names the run's first page. */
void ae_pages_settle(ae_segment *segment, uint32_t page, uint32_t count);
/* Give back the run of a slab that nobody refers to; from the first step on it is a claim of
 * `owner`, so ae_pages_recover finishes it. */
void ae_pages_unsettle(ae_segment *segment, uint32_t page, uint32_t count, uint32_t owner);
void ae_pages_offer(ae_segment *segment, uint32_t page, uint32_t count);
/* Pages in holes; *claimed (may be NULL): those that somebody is about to make a slab of, or a
 * hole. */
uint64_t ae_pages_holes(const ae_segment *segment, uint64_t *claimed);
/* Pages that can be taken as far as is known: in holes, and beyond `used` as far as the file system
 * has room.  *all: so many could be taken if none were. */
uint64_t ae_pages_free(const ae_segment *segment, uint64_t *all);
/* May `count` pages be taken by somebody who has to leave the last ones to others? */
bool ae_pages_spare(ae_segment *segment, uint32_t count);
/* In the page map: a page inside of a hole, or of what somebody claims (pages.c). */
#define AE_PAGE_INNER 0x20000000u
/* First page of the slab that covers a reference, or 0. */
static inline uint32_t ae_page_slab(const ae_segment *segment, ae_ref ref)
{
    const uint32_t word = ae_load32_acquire(&segment->page_map[ref >> (AE_PAGE_SHIFT - 4)]);
    return word & (0xc0000000u | AE_PAGE_INNER) ? 0 : word;
}
/* Runs claimed but never settled by a dead taker: settled when `is_slab` knows them, else they
 * become holes, to be taken again. */
void ae_pages_recover(ae_segment *segment, uint32_t owner,
                      bool (*is_slab)(const void *context, uint32_t page), const void *context);

#endif
