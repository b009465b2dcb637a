/* row_inline.h — reading columns of row images without a call, for the loops over batches. */
#ifndef AE_QUERY_ROW_INLINE_H
#define AE_QUERY_ROW_INLINE_H

#include <string.h>

#include "aerostore/gen.h"

/* The word that holds a null bit, and the bit: read as row[at] & mask.  A mask of 0 with at = 0
 * says never null; every row has a first word. */
static inline bool aei_row_null(const char *row, uint32_t at, uint32_t mask)
{
    uint32_t word;
    memcpy(&word, row + at, sizeof word);
    return (word & mask) != 0;
}

static inline void aei_row_null_place(const aero_column *column, uint32_t *at, uint32_t *mask)
{
    const bool never = column->null_index < 0;
    *at = never ? 0 : (uint32_t)column->null_index / 32 * 4;
    *mask = never ? 0 : (uint32_t)1 << ((uint32_t)column->null_index % 32);
}

/* AEI_WHOLE_KINDS(X) calls X(kind, C type, signed?) for kinds whose values are whole numbers. */
#define AEI_WHOLE_KINDS(X) \
    X(BOOL, uint8_t, 0) \
    X(INT8, int8_t, 1) \
    X(INT16, int16_t, 1) \
    X(INT32, int32_t, 1) \
    X(INT64, int64_t, 1) \
    X(UINT8, uint8_t, 0) \
    X(UINT16, uint16_t, 0) \
    X(UINT32, uint32_t, 0) \
    X(UINT64, uint64_t, 0) \
    X(TIMESTAMP, int64_t, 1) \
    X(CHAR, uint32_t, 0) \
    X(INET, uint32_t, 0)
#define AEI_REAL_KINDS(X) \
    X(FLOAT32, float) \
    X(FLOAT64, double)

#endif
