/* descriptor.h — how a compiled schema describes itself to the engine and to the doors.
 *
 * Everything here is constant data in the library, written by the schema compiler; nothing of it
 * lives in shared memory.  A table is a row struct, its columns, its indexes and a handful of small
 * generated functions over the struct.
 *
 * A row image is one instance of the generated struct.  It lives in one of two places, told apart
 * by `base`:
 *   private  base is 0; a long text's `where` is the address of its bytes in this process
 *   shared   base is the address of the version's overflow block; `where` is an offset in it
 * so `base + where` is the address in both, and one function serves both.
 *
 * Read by cffi: typedefs, enums, structs and integer macros only.
 */
#ifndef AEROSTORE_DESCRIPTOR_H
#define AEROSTORE_DESCRIPTOR_H

#include <stddef.h>
#include <stdint.h>

#include "aerostore/aerostore.h"

#define AERO_CODEGEN_ABI 1
#define AERO_CELL_INLINE 12

/* Storage types.  Numbers are part of fingerprints and of the log: never change them. */
enum aero_kind {
    AERO_KIND_BOOL = 1,  /* uint8_t 0 or 1 */
    AERO_KIND_INT8 = 2,  /* int8_t, and so on */
    AERO_KIND_INT16 = 3, /* speedtables short */
    AERO_KIND_INT32 = 4, /* int */
    AERO_KIND_INT64 = 5, /* long, wide */
    AERO_KIND_UINT8 = 6,
    AERO_KIND_UINT16 = 7,
    AERO_KIND_UINT32 = 8,
    AERO_KIND_UINT64 = 9,
    AERO_KIND_FLOAT32 = 10,   /* float, finite */
    AERO_KIND_FLOAT64 = 11,   /* double, finite; -0.0 is stored as 0.0 */
    AERO_KIND_TIMESTAMP = 12, /* int64_t microseconds since 1970 UTC */
    AERO_KIND_CHAR = 13,      /* one Unicode character as uint32_t code point */
    AERO_KIND_FIXED =
        14, /* exactly `size` bytes of UTF-8 text in the row, shorter padded with NUL */
    AERO_KIND_TEXT = 15,  /* aero_cell, UTF-8 (varstring, key) */
    AERO_KIND_BYTES = 16, /* aero_cell, any bytes */
    AERO_KIND_INET = 17,  /* IPv4, uint32_t host order */
    AERO_KIND_IPV6 = 18,  /* 16 bytes, network order */
    AERO_KIND_MAC = 19    /* 6 bytes */
};

enum aero_column_flag {
    AERO_COLUMN_NULLABLE = 1,
    AERO_COLUMN_KEY = 2,
    AERO_COLUMN_INDEXED = 4,
    AERO_COLUMN_UNIQUE = 8,
    AERO_COLUMN_DEFAULT = 16
};

/* A text or bytes column, 16 bytes.  Up to 12 bytes are inline: prefix and tail are one array of
 * 12, unused bytes are 0.  Longer: prefix holds the first four, `where` says where all of them
 * are. */
typedef struct aero_cell {
    uint32_t length;
    char prefix[4];
    union {
        char tail[8];
        uint64_t where;
    } u;
} aero_cell;

/* A piece of a TSV line, unescaped.  data is a NULL pointer for an explicit \N. */
typedef struct aero_span {
    const char *data;
    size_t length;
} aero_span;

/* What a decode function found wrong. */
typedef struct aero_cell_error {
    int32_t code;       /* aero_code */
    uint32_t cell;      /* 0-based */
    const char *reason; /* constant text: "invalid integer", "missing column" … */
} aero_cell_error;

typedef struct aero_column {
    const char *name;
    const char *doc; /* "" if none */
    const char *const *aliases;
    uint16_t alias_count;
    uint8_t kind;        /* enum aero_kind */
    uint8_t flags;       /* enum aero_column_flag */
    int32_t null_index;  /* bit number in the struct's null words (uint32_t each), -1: never null */
    uint32_t offset;     /* in the row struct */
    uint32_t size;       /* bytes in the row struct */
    uint32_t max_length; /* bytes, of TEXT, BYTES, FIXED; else 0 */
    aero_value fallback; /* the default, of the column's natural value type; type NULL if none */
    /* Read the column as a raw value; NULL-typed for a null.  Raw is what the struct holds: BOOL;
     * INT or UINT for integers; DOUBLE; TIME; CHAR and INET as INT; TEXT for FIXED (up to its
     * padding) and TEXT; BYTES for BYTES, IPV6 (16) and MAC (6).  TEXT and BYTES point into the
     * image. */
    void (*get)(const void *row, const char *base, aero_value *value);
    /* Store a raw value that was converted to the column (or NULL) into a private image. */
    void (*set)(void *row, const aero_value *value);
    /* Order of two non-null values: negative, 0, positive.  Text compares as unsigned bytes. */
    int32_t (*compare)(const void *left, const char *left_base, const void *right,
                       const char *right_base);
    /* Order-preserving 8-byte key of a non-null value: a < b implies key(a) <= key(b); equal keys
     * of TEXT, BYTES, FIXED, IPV6 need `compare` to decide. */
    uint64_t (*normalize)(const void *row, const char *base);
} aero_column;

typedef struct aero_index {
    const char *name;
    const uint32_t *columns; /* in order */
    uint32_t column_count;
    int32_t unique;
} aero_index;

typedef struct aero_table {
    const char *name; /* "FlightState" */
    const char *doc;
    const aero_column *columns;
    uint32_t column_count;
    uint32_t key_column;
    uint32_t row_size;     /* sizeof the generated struct */
    uint32_t null_words;   /* uint32_t words at the start of the struct */
    const uint32_t *cells; /* columns of kind TEXT and BYTES, in column order */
    uint32_t cell_count;
    uint32_t index_count;
    const aero_index *indexes; /* secondary ones */
    int64_t ttl_us;            /* 0: none */
    int32_t ttl_column;        /* Timestamp column, or -1 for the time of the last write */
    int32_t _reserved;
    uint64_t fingerprint; /* of names, kinds, order, offsets: equal layouts have equal values */

    uint64_t (*hash_key)(const void *row, const char *base);
    int32_t (*key_equal)(const void *left, const char *left_base, const void *right,
                         const char *right_base);
    /* Make a private image with every default, and every other column null or zero. */
    void (*clear)(void *row);
    /* Decode the cells of one line into a private image (texts keep pointing at the cells).
     * Trailing nullable columns may be missing.  0, or a code with *error filled. */
    aero_status (*decode_tsv)(const aero_span *cells, uint32_t count, void *row,
                              aero_cell_error *error);
    /* Append the row as a TSV line without the newline.  Returns the bytes it takes, which may
     * exceed `capacity`: then nothing of use was written, call again with more. */
    size_t (*encode_tsv)(const void *row, const char *base, char *out, size_t capacity);
    /* Columns in which two images differ: sets bit c of mask[c / 64]; returns how many. */
    uint32_t (*dirty)(const void *old_row, const char *old_base, const void *new_row,
                      const char *new_base, uint64_t *mask);
    /* Encode the columns of `mask`: for each in column order u16 column (bit 15: null), then the
     * value little-endian, or u32 length and bytes.  Returns bytes as encode_tsv does. */
    size_t (*encode_delta)(const void *row, const char *base, const uint64_t *mask, uint8_t *out,
                           size_t capacity);
    /* Apply a delta to a private image (texts keep pointing at `data`).  0, or CORRUPT. */
    aero_status (*apply_delta)(void *row, const uint8_t *data, size_t length);
} aero_table;


struct aero_schema {
    int32_t codegen_abi;
    uint32_t table_count;
    const char *package; /* "aerostore": Tcl namespace and package name */
    const char *version; /* of the package, "1.0" */
    const char *compiler_version;
    const aero_table *tables;
    uint64_t fingerprint; /* of all tables */
};
typedef struct aero_schema aero_schema_info;

#endif
