/* frame.c — sealing and judging frames (see frame.h). */
#include "wal/frame.h"

#include <string.h>

#include "base/crc.h"
#include "base/error.h"

#define CHECKED_FROM offsetof(ae_frame, length)

_Static_assert(offsetof(ae_frame, length) == 8 && offsetof(ae_frame, kind) == 12 &&
                   offsetof(ae_frame, store) == 16 && offsetof(ae_frame, lsn) == 32 &&
                   offsetof(ae_frame, previous) == 40 && offsetof(ae_frame, durable) == 48 &&
                   offsetof(ae_frame, time_us) == 56,
               "format");
_Static_assert(offsetof(ae_file_head, after) == 32 && offsetof(ae_file_head, package) == 40,
               "format");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the structs are the bytes of the file");

/* Bytes of an identity. */
#define STORE_PARENT 8u
#define STORE_PLACE 12u
#define STORE_SIZE sizeof((ae_frame *)NULL)->store

void ae_store_at(uint8_t *store, const uint8_t *before, uint32_t place)
{
    uint8_t made[STORE_SIZE];
    const uint32_t parent = ae_crc32c(0, before, STORE_SIZE);
    memcpy(made, before, STORE_SIZE);
    if (memcmp(before + STORE_PLACE, &place, sizeof place) != 0) {
        memcpy(made + STORE_PARENT, &parent, sizeof parent);
        memcpy(made + STORE_PLACE, &place, sizeof place);
    }
    memcpy(store, made, STORE_SIZE);
}

bool ae_store_follows(const uint8_t *before, const uint8_t *after)
{
    uint8_t made[STORE_SIZE];
    uint32_t place = 0;
    memcpy(&place, after + STORE_PLACE, sizeof place);
    ae_store_at(made, before, place);
    return memcmp(made, after, STORE_SIZE) == 0;
}

static uint32_t frame_sum(const ae_frame *frame)
{
    AE_ASSERT(frame->length >= AE_FRAME_HEADER && frame->length <= AE_FRAME_MAX);
    return ae_crc32c(0, (const uint8_t *)frame + CHECKED_FROM, frame->length - CHECKED_FROM);
}

void ae_frame_seal(ae_frame *frame)
{
    AE_ALWAYS(frame->length > AE_FRAME_HEADER && frame->length <= AE_FRAME_MAX);
    frame->magic = AE_FRAME_MAGIC;
    frame->checksum = frame_sum(frame);
}

bool ae_frame_check_sum(const ae_frame *frame)
{
    return frame->checksum == frame_sum(frame);
}

const char *ae_frame_fault_text(enum ae_frame_fault fault)
{
    static const char *const texts[] = {"good",
                                        "nothing follows",
                                        "the file ends inside a frame",
                                        "no frame begins here",
                                        "a frame's length is out of bounds",
                                        "a frame is of no known kind",
                                        "a frame is of another store",
                                        "a frame is not in its place",
                                        "a frame's checksum differs"};
    AE_ALWAYS((size_t)fault < sizeof texts / sizeof texts[0]);
    return texts[fault];
}

static bool length_fits(const ae_frame *frame)
{
    AE_ASSERT(frame->kind >= AE_FRAME_FILE && frame->kind <= AE_FRAME_PIECE);
    uint32_t least = AE_FRAME_HEADER;
    if (frame->kind == AE_FRAME_FILE)
        return frame->length == AE_FRAME_HEADER + sizeof(ae_file_head);
    least += frame->kind == AE_FRAME_COMMITS ? (uint32_t)sizeof(ae_commits_head)
                                             : (uint32_t)sizeof(ae_piece_head);
    return frame->length > least && frame->length <= AE_FRAME_MAX;
}

enum ae_frame_fault ae_frame_check_header(const ae_frame *frame, const uint8_t *store, uint64_t lsn,
                                          uint64_t previous)
{
    static const uint8_t zeros[AE_FRAME_HEADER] = {0};
    if (memcmp(frame, zeros, sizeof zeros) == 0)
        return AE_FRAME_END;
    if (frame->magic != AE_FRAME_MAGIC)
        return AE_FRAME_MAGIC_BAD;
    if (frame->kind < AE_FRAME_FILE || frame->kind > AE_FRAME_PIECE)
        return AE_FRAME_KIND_BAD;
    if (!length_fits(frame))
        return AE_FRAME_LENGTH_BAD;
    if (store != NULL && memcmp(frame->store, store, sizeof frame->store) != 0)
        return AE_FRAME_STORE_BAD;
    if (frame->lsn != lsn || (previous != UINT64_MAX && frame->previous != previous) ||
        frame->durable > lsn)
        return AE_FRAME_PLACE_BAD;
    return AE_FRAME_GOOD;
}
