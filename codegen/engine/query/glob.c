/* glob.c — patterns to pieces, and the match over pieces.
 *
 * Invariants: I1 a literal piece is compared as bytes: both sides are UTF-8, whose characters never
 *                begin inside one another.
 *             I2 the value is walked once: each piece goes on where the one before ended.
 */
#include "query/glob.h"

#include <string.h>

#include "query/fold.h"
#include "query/glob_private.h"
#include "query/limits.h"

/* The pattern while it is taken apart.  Every array has room for what `length` bytes can hold. */
typedef struct builder {
    aei_glob *glob;
    aei_glob_piece *pieces;
    aei_glob_atom *atoms;
    aei_glob_range *ranges;
    char *bytes; /* of literal pieces */
    uint32_t piece_count;
    uint32_t atom_count;
    uint32_t range_count;
    size_t byte_count;
} builder;

static uint32_t pattern_char(const builder *build, const char *pattern, size_t length, size_t *at)
{
    uint32_t character;
    *at += aei_utf8_get(pattern + *at, length - *at, &character);
    return build->glob->fold ? aei_fold_char(character) : character;
}

static void add_range(builder *build, uint32_t low, uint32_t high)
{
    build->ranges[build->range_count++] = (aei_glob_range){.low = low < high ? low : high,
                                                           .high = low < high ? high : low};
    build->atoms[build->atom_count - 1].range_count++;
}

static void add_atom(builder *build)
{
    build->atoms[build->atom_count++] = (aei_glob_atom){.range_first = build->range_count,
                                                        .range_count = 0};
}

/* Read a class whose '[' has been taken; a range may end with ']'. */
static void read_class(builder *build, const char *pattern, size_t length, size_t *at)
{
    add_atom(build);
    while (*at < length && pattern[*at] != ']') {
        const uint32_t low = pattern_char(build, pattern, length, at);
        if (*at < length && pattern[*at] == '-') {
            (*at)++;
            if (*at >= length)
                return; /* "[a-" at the end: as in Tcl the open range accepts nothing */
            add_range(build, low, pattern_char(build, pattern, length, at));
        } else {
            add_range(build, low, low);
        }
    }
    if (*at < length)
        (*at)++;
}

/* Read one piece, up to a star or the end. */
static void read_piece(builder *build, const char *pattern, size_t length, size_t *at)
{
    aei_glob_piece piece = {.literal = build->bytes + build->byte_count,
                            .atom_first = build->atom_count};
    const size_t bytes_before = build->byte_count;
    bool literal = true;
    while (*at < length && pattern[*at] != '*') {
        const char c = pattern[*at];
        if (c == '?') {
            (*at)++;
            add_atom(build);
            add_range(build, 0, 0x10ffff);
            literal = false;
            continue;
        }
        if (c == '[') {
            (*at)++;
            read_class(build, pattern, length, at);
            literal = false;
            continue;
        }
        if (c == '\\' && ++*at >= length) {
            build->glob->never = true;
            break;
        }
        const uint32_t character = pattern_char(build, pattern, length, at);
        add_atom(build);
        add_range(build, character, character);
        build->byte_count += aei_utf8_put(build->bytes + build->byte_count, character);
        if (literal && build->piece_count == 0)
            build->glob->prefix_length = build->byte_count;
    }
    piece.literal_length = build->byte_count - bytes_before;
    piece.atom_count = build->atom_count - piece.atom_first;
    if (!literal)
        piece.literal = NULL;
    build->pieces[build->piece_count++] = piece;
}

static bool builder_open(builder *build, size_t length, aei_pool *pool, aero_error *error)
{
    /* A pattern byte makes at most one piece, atom, range or, folded, one and a half bytes. */
    build->glob = aei_pool_take(pool, sizeof *build->glob, error);
    build->pieces = aei_pool_array(pool, length + 1, sizeof *build->pieces, error);
    build->atoms = aei_pool_array(pool, length + 1, sizeof *build->atoms, error);
    build->ranges = aei_pool_array(pool, length + 1, sizeof *build->ranges, error);
    build->bytes = aei_pool_take(pool, AEI_FOLD_ROOM(length), error);
    return build->glob != NULL && build->pieces != NULL && build->atoms != NULL &&
           build->ranges != NULL && build->bytes != NULL;
}

/* Tables for the pieces between stars that are not literal. */
static bool build_tables(builder *build, aei_pool *pool, aero_error *error)
{
    for (uint32_t i = 1; i + 1 < build->piece_count; i++) {
        aei_glob_piece *piece = &build->pieces[i];
        if (piece->literal != NULL)
            continue;
        piece->table = aei_glob_table_build(build->glob, piece, pool, error);
        if (piece->table == NULL)
            return false;
    }
    return true;
}

const aei_glob *aei_glob_compile(const char *pattern, size_t length, bool fold, aei_pool *pool,
                                 aero_error *error)
{
    builder build = {0};
    if (length > AEI_GLOB_BYTES_MAX) {
        (void)ae_fail(error, AERO_LIMIT, "a pattern of %zu bytes is longer than %zu", length,
                      AEI_GLOB_BYTES_MAX);
        return NULL;
    }
    if (!builder_open(&build, length, pool, error))
        return NULL;
    *build.glob = (aei_glob){.fold = fold,
                             .pieces = build.pieces,
                             .atoms = build.atoms,
                             .ranges = build.ranges,
                             .prefix = build.bytes};
    size_t at = 0;
    read_piece(&build, pattern, length, &at);
    while (at < length && !build.glob->never) {
        while (at < length && pattern[at] == '*') /* a run of stars is one star */
            at++;
        read_piece(&build, pattern, length, &at);
    }
    build.glob->piece_count = build.piece_count;
    if (!build_tables(&build, pool, error))
        return NULL;
    return build.glob;
}

static bool atom_accepts(const aei_glob *glob, const aei_glob_atom *atom, uint32_t character)
{
    for (uint32_t i = 0; i < atom->range_count; i++) {
        const aei_glob_range *range = &glob->ranges[atom->range_first + i];
        if (character >= range->low && character <= range->high)
            return true;
    }
    return false;
}

/* Match a piece at data[from]; returns the end or SIZE_MAX. */
static size_t piece_at(const aei_glob *glob, const aei_glob_piece *piece, const char *data,
                       size_t length, size_t from)
{
    if (piece->literal != NULL) {
        const size_t size = piece->literal_length;
        if (length - from < size || (size > 0 && memcmp(data + from, piece->literal, size) != 0))
            return SIZE_MAX;
        return from + size;
    }
    for (uint32_t i = 0; i < piece->atom_count; i++) {
        uint32_t character;
        if (from >= length)
            return SIZE_MAX;
        from += aei_utf8_get(data + from, length - from, &character);
        if (!atom_accepts(glob, &glob->atoms[piece->atom_first + i], character))
            return SIZE_MAX;
    }
    return from;
}

/* Match the last piece at the end of the value, not before `from`. */
static bool piece_at_end(const aei_glob *glob, const aei_glob_piece *piece, const char *data,
                         size_t length, size_t from)
{
    size_t start = length;
    if (piece->literal != NULL) {
        if (length - from < piece->literal_length)
            return false;
        start = length - piece->literal_length;
    } else {
        for (uint32_t i = 0; i < piece->atom_count; i++) {
            if (start == from)
                return false;
            start--;
            while (start > from && ((unsigned char)data[start] & 0xc0) == 0x80)
                start--;
        }
    }
    return piece_at(glob, piece, data, length, start) == length;
}

/* A pattern that is a prefix and a star needs only the start of the value in lower case: a
 * character of three bytes may become one of one, none shrinks more. */
static size_t fold_part(const aei_glob *glob, size_t length)
{
    if (glob->piece_count != 2 || glob->pieces[0].literal == NULL ||
        glob->pieces[1].atom_count != 0)
        return length;
    const size_t enough = 3 * glob->pieces[0].literal_length + 3;
    return length < enough ? length : enough;
}

bool aei_glob_match(const aei_glob *glob, const char *data, size_t length, char *scratch)
{
    if (glob->never)
        return false;
    if (glob->fold) {
        length = aei_fold_text(data, fold_part(glob, length), scratch);
        data = scratch;
    }
    const uint32_t last = glob->piece_count - 1;
    size_t at = piece_at(glob, &glob->pieces[0], data, length, 0);
    if (last == 0 || at == SIZE_MAX)
        return at == length;
    for (uint32_t i = 1; i < last; i++) {
        at = aei_glob_search(&glob->pieces[i], data, length, at);
        if (at == SIZE_MAX)
            return false;
    }
    return piece_at_end(glob, &glob->pieces[last], data, length, at);
}

bool aei_glob_literal(const aei_glob *glob, const char **data, size_t *length)
{
    if (glob->fold || glob->never || glob->piece_count != 1 || glob->pieces[0].literal == NULL)
        return false;
    aei_glob_prefix(glob, data, length);
    return true;
}

void aei_glob_prefix(const aei_glob *glob, const char **data, size_t *length)
{
    *data = glob->prefix;
    *length = glob->prefix_length;
}

bool aei_glob_folds(const aei_glob *glob)
{
    return glob->fold;
}

bool aei_glob_is_prefix(const aei_glob *glob)
{
    if (glob->fold || glob->never || glob->piece_count != 2)
        return false;
    const aei_glob_piece *first = &glob->pieces[0];
    const aei_glob_piece *last = &glob->pieces[1];
    return first->literal != NULL && first->literal_length == glob->prefix_length &&
           last->literal != NULL && last->literal_length == 0;
}
