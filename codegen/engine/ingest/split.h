/* split.h — a piece of TSV into lines and cells, in one pass over the bytes.
 *
 * A stretch of a few kilobytes is looked at 64 bytes at a time: comparisons turn the bytes into a
 * bit mask of separators and newlines, and the masks into a list of positions.  The cells of a line
 * are then read off the list.  Two steps, since a loop over the bits of one mask would end at
 * another place each time, which no branch predictor can know; the list is read in a pattern that
 * repeats with every line.
 *
 * Concurrency: a splitter belongs to one thread.
 */
#ifndef AE_INGEST_SPLIT_H
#define AE_INGEST_SPLIT_H

#include <stdbool.h>
#include <stdint.h>

#include "aerostore/descriptor.h"

/* Bytes in a stretch: their positions stay in the first-level cache together with the bytes. */
#define AE_SPLIT_STRETCH 4096u
/* Positions are written in groups of this many, so that most blocks need one group. */
#define AE_SPLIT_GROUP 12u

typedef struct ae_splitter {
    const char *next;    /* start of the next line */
    const char *end;     /* of the piece */
    const char *stretch; /* positions count from here */
    size_t stretch_size;
    uint32_t break_count;
    uint32_t break_index; /* of the first not handed out yet */
    bool has_escape;      /* a backslash is in the stretch */
    char separator;
    uint16_t breaks[AE_SPLIT_STRETCH + AE_SPLIT_GROUP]; /* separators and newlines */
} ae_splitter;

typedef struct ae_line {
    const char *start;
    size_t length;       /* without the newline, with a carriage return */
    uint32_t cell_count; /* in the line, also those that `cells` had no room for */
    bool has_escape;     /* a backslash is somewhere in it */
    bool complete;       /* a newline ended it, not the end of the piece */
} ae_line;

void ae_split_start(ae_splitter *splitter, const char *data, size_t length, char separator);

/* The next line and its first `capacity` cells; false when nothing is left.  The last line of a
 * piece may be incomplete. */
bool ae_split_next(ae_splitter *splitter, aero_span *cells, uint32_t capacity, ae_line *line);

#endif
