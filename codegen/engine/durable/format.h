/* format.h — bytes of a checkpoint file, for its writer and its reader.
 *
 *   head block │ row block │ row block │ … │ end block        nothing follows
 *
 * Every block starts with the same 48 bytes; the checksum covers the rest of them and the payload.
 * Each names the store, the checkpoint's serial number and its own number, so that a block of
 * another file, an older checkpoint or another place is not taken for one of these.  The payload
 * of a row block is a run of inserts as in the log (wal/codec.h), all of one table.  In a file of
 * format 2 that run may be packed.
 *
 * All numbers are little-endian.  Never change these offsets and numbers.
 */
#ifndef AE_DURABLE_FORMAT_H
#define AE_DURABLE_FORMAT_H

#include <stdint.h>

#define AE_CHECKPOINT_MAGIC 0x504b4345u /* "ECKP" */
#define AE_CHECKPOINT_FORMAT 1u
#define AE_CHECKPOINT_FORMAT_PACKED 2u /* may have packed blocks; else the same */
/* Blocks are ended at this size; a single large row may need a larger one. */
#define AE_BLOCK_TARGET (256u << 10)
/* No valid block is longer: the texts of the largest row (16 MiB) and what describes them. */
#define AE_BLOCK_MAX (20u << 20)

enum ae_block_kind { AE_BLOCK_HEAD = 1, AE_BLOCK_ROWS = 2, AE_BLOCK_END = 3, AE_BLOCK_PACKED = 4 };

typedef struct ae_block_head {
    uint32_t magic;    /*  0 */
    uint32_t checksum; /*  4 CRC-32C of bytes 8 to length */
    uint32_t length;   /*  8 this header and the payload */
    uint32_t kind;     /* 12 enum ae_block_kind */
    uint8_t store[16]; /* 16 identity of the store */
    uint64_t serial;   /* 32 of the checkpoint */
    uint32_t number;   /* 40 of the block, from 0 */
    uint32_t rows;     /* 44 in it */
} ae_block_head;
_Static_assert(sizeof(ae_block_head) == 48, "format");

/* Payload of the head block. */
typedef struct ae_checkpoint_head {
    uint32_t format;     /*  0 */
    uint32_t stack;      /*  4 enum ae_stack */
    uint64_t schema;     /*  8 fingerprint of the schema that wrote it */
    uint64_t replay_lsn; /* 16 replay begins here: base of a log file */
    uint64_t number;     /* 24 the last commit in it: replay skips up to this */
    uint64_t durable;    /* 32 the log was durable up to here */
    int64_t time_us;     /* 40 wall clock when its snapshot was taken */
    uint64_t directory;  /* 48 inode of the data directory that it was written in */
    char package[24];    /* 56 of the schema, padded with NUL */
    uint64_t flags;      /* 80 AE_CHECKPOINT_… */
} ae_checkpoint_head;
_Static_assert(sizeof(ae_checkpoint_head) == 88, "format");

/* A whole store by itself, as backups are: no log needs to go with it. */
#define AE_CHECKPOINT_ALONE 1u

/* In front of a packed block's payload. */
typedef struct ae_packed_head {
    uint32_t method; /*  0 AE_PACKED_ZSTD */
    uint32_t length; /*  4 of the run of inserts that comes out */
} ae_packed_head;
_Static_assert(sizeof(ae_packed_head) == 8, "format");
#define AE_PACKED_ZSTD 1u

/* Payload of the end block. */
typedef struct ae_checkpoint_end {
    uint64_t rows;   /*  0 in the whole file */
    uint64_t bytes;  /*  8 of the file with this block */
    uint64_t blocks; /* 16 with this one */
} ae_checkpoint_end;
_Static_assert(sizeof(ae_checkpoint_end) == 24, "format");

#endif
