/* glob_private.h — what a compiled pattern is made of: pieces between stars.
 *
 *   UAL*[0-9]?x   →   "UAL", star, "[0-9]?x"
 *
 * The first piece is anchored to the start of the value, the last to its end (they may be empty);
 * those between are searched for, leftmost first.  As pieces have a fixed number of characters, the
 * leftmost choice never has to be taken back.
 */
#ifndef AE_QUERY_GLOB_PRIVATE_H
#define AE_QUERY_GLOB_PRIVATE_H

#include <stdint.h>

#include "query/glob.h"

typedef struct aei_glob_range {
    uint32_t low;
    uint32_t high;
} aei_glob_range;

/* One character of a piece: any of a few ranges. */
typedef struct aei_glob_atom {
    uint32_t range_first;
    uint32_t range_count;
} aei_glob_atom;

/* For searching a piece with ? or [ ]: characters fall into classes between `bounds`; bit i of a
 * class's mask says that atom i accepts it. */
typedef struct aei_glob_table {
    uint32_t class_count; /* class c holds bounds[c - 1] <= character < bounds[c] */
    uint32_t words;       /* of a mask */
    const uint32_t *bounds;
    const uint64_t *masks;
    uint16_t ascii[128];
} aei_glob_table;

typedef struct aei_glob_piece {
    const char *literal; /* the bytes to find, or NULL when the piece has ? or [ ] */
    size_t literal_length;
    uint32_t atom_first; /* used when literal is NULL */
    uint32_t atom_count;
    const aei_glob_table *table; /* of a piece between two stars */
} aei_glob_piece;

struct aei_glob {
    bool fold;
    bool never;           /* matches nothing */
    uint32_t piece_count; /* 1: no star */
    const aei_glob_piece *pieces;
    const aei_glob_atom *atoms;
    const aei_glob_range *ranges;
    const char *prefix; /* literal start of the first piece */
    size_t prefix_length;
};

/* glob_search.c: build a piece's table; NULL with *error set. */
const aei_glob_table *aei_glob_table_build(const aei_glob *glob, const aei_glob_piece *piece,
                                           aei_pool *pool, aero_error *error);
/* The end of the leftmost match of a piece in data[from..length), or SIZE_MAX. */
size_t aei_glob_search(const aei_glob_piece *piece, const char *data, size_t length, size_t from);

#endif
