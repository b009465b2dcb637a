/* frame.h — the unit of a log file: a header with its checksum, then a payload (see FORMAT.md).
 *
 * A log sequence number (LSN) is the position of a byte in the endless stream of frames; a file
 * holds a piece of that stream, starting with a frame of kind FILE at the file's base LSN.  So a
 * frame lies at offset lsn - base.  All numbers are little-endian.
 *
 * Never change these offsets and numbers.
 */
#ifndef AE_WAL_FRAME_H
#define AE_WAL_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AE_FRAME_MAGIC 0x574f5245u /* "EROW" */
#define AE_FRAME_HEADER 64u
#define AE_FRAME_ALIGN 8u
/* Frames of commits are cut at this size; a single row's operation may need a larger one. */
#define AE_FRAME_TARGET (256u << 10)
/* No valid frame is longer: the texts of the largest row (16 MiB) and what describes them. */
#define AE_FRAME_MAX (20u << 20)

enum ae_frame_kind {
    AE_FRAME_FILE = 1,    /* first of a file: who wrote it, and where the stream stands */
    AE_FRAME_COMMITS = 2, /* a run of committed transactions, in commit order */
    AE_FRAME_PIECE = 3    /* operations of a large transaction that may commit later */
};

/* Offsets in a file; the struct is the same bytes on a little-endian machine, which is asserted. */
typedef struct ae_frame {
    uint32_t magic;    /*  0 */
    uint32_t checksum; /*  4 CRC-32C of bytes 8 to length */
    uint32_t length;   /*  8 header and payload; the next frame starts at the next multiple of 8 */
    uint32_t kind;     /* 12 enum ae_frame_kind */
    uint8_t store[16]; /* 16 identity of the store */
    uint64_t lsn;      /* 32 of this frame */
    uint64_t previous; /* 40 LSN of the frame before; equal to lsn in the first of a store */
    uint64_t durable;  /* 48 the stream was durable up to here when this was written */
    int64_t time_us;   /* 56 wall clock when it was written; never used for order */
} ae_frame;
_Static_assert(sizeof(ae_frame) == AE_FRAME_HEADER, "format");

/* Bytes a frame of this length takes in the stream. */
static inline uint64_t ae_frame_span(uint64_t length)
{
    return (length + AE_FRAME_ALIGN - 1) & ~(uint64_t)(AE_FRAME_ALIGN - 1);
}

/* Payload of a FILE frame. */
#define AE_LOG_FORMAT 2u /* 1 is read too: it tells an expired row as a deleted one */
typedef struct ae_file_head {
    uint32_t format;  /*  0 AE_LOG_FORMAT */
    uint32_t stack;   /*  4 enum ae_stack */
    uint64_t schema;  /*  8 fingerprint of the schema that wrote it */
    uint64_t number;  /* 16 commits up to this number lie before this file */
    uint64_t base;    /* 24 LSN of this frame, once more */
    uint64_t after;   /* 32 the stream before this file ends here, at or below base: what older
                               files hold above is not part of it */
    char package[24]; /* 40 of the schema, cut, padded with NUL */
} ae_file_head;
_Static_assert(sizeof(ae_file_head) == 64, "format");

/* Payload of a COMMITS frame: these 16 bytes, then for each commit
 *   varint  (number - the number before) << 1 | has pieces
 *   varint  LSN of its last piece, varint how many pieces: only when it has
 *   varint  size, and so many bytes of operations (codec.h) */
typedef struct ae_commits_head {
    uint64_t after; /*  0 commits up to this number lie before this frame */
    uint64_t upto;  /*  8 and up to this one, with it */
} ae_commits_head;
_Static_assert(sizeof(ae_commits_head) == 16, "format");

/* Payload of a PIECE frame: these 16 bytes, then operations. */
typedef struct ae_piece_head {
    uint64_t before; /*  0 LSN of the transaction's piece before, 0 in its first */
    uint32_t index;  /*  8 which piece of the transaction, from 0 */
    uint32_t _zero;  /* 12 */
} ae_piece_head;
_Static_assert(sizeof(ae_piece_head) == 16, "format");

/* Fill in magic and checksum.  The payload follows the header in memory. */
void ae_frame_seal(ae_frame *frame);

/* Why a frame is not one. */
enum ae_frame_fault {
    AE_FRAME_GOOD,
    AE_FRAME_END,   /* nothing there: the file ends here, or zeros to its end */
    AE_FRAME_SHORT, /* the file ends inside it */
    AE_FRAME_MAGIC_BAD,
    AE_FRAME_LENGTH_BAD,
    AE_FRAME_KIND_BAD,
    AE_FRAME_STORE_BAD, /* another store's */
    AE_FRAME_PLACE_BAD, /* its LSN is not the one of its place, or the chain is broken */
    AE_FRAME_CHECKSUM_BAD
};
const char *ae_frame_fault_text(enum ae_frame_fault fault);

/* ---- identities of stores -------------------------------------------------------------------
 * 8 random bytes that copies have in common, 4 of the identity it was copied from, and 4 of the
 * place where it was made.  Whoever opens files whose newest identity is of another place has a
 * copy, and goes on under an identity of its own. */

/* The identity under which a store goes on at `place`, from the one that its files have: that, if
 * it is of this place. */
void ae_store_at(uint8_t *store, const uint8_t *before, uint32_t place);
/* Is `after` the same store, or one that goes on from `before` elsewhere? */
bool ae_store_follows(const uint8_t *before, const uint8_t *after);

/* Judge the header alone, of which 64 bytes are there: magic, length, kind, store (unless NULL) and
 * place.  `previous` UINT64_MAX: not known. */
enum ae_frame_fault ae_frame_check_header(const ae_frame *frame, const uint8_t *store, uint64_t lsn,
                                          uint64_t previous);
/* Judge the checksum; `frame->length` bytes are there. */
bool ae_frame_check_sum(const ae_frame *frame);

#endif
