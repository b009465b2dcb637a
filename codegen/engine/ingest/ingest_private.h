/* ingest_private.h — what the parts of the module share: the ingest itself, and decoding a line. */
#ifndef AE_INGEST_INGEST_PRIVATE_H
#define AE_INGEST_INGEST_PRIVATE_H

#include "ingest/ingest.h"
#include "ingest/scratch.h"
#include "ingest/split.h"

/* What the options say, checked and copied. */
typedef struct ae_ingest_format {
    uint32_t *columns; /* column of each cell */
    uint32_t column_count;
    bool generic; /* other columns, order or null text than the table's own: decode cell by cell */
    char *null_text; /* or NULL: "" and \N */
    size_t null_length;
    char separator;
    uint64_t batch_size;
    aero_progress progress;
    void *progress_context;
} ae_ingest_format;

struct aero_ingest {
    ae_session_child child; /* first: the session finds the ingest by it */
    aero_session *session;  /* NULL once the session is closed */
    const aero_table *table;
    uint32_t table_index;
    ae_ingest_format format;

    aero_span *cells;      /* of the current line, column_count of them */
    uint32_t *bytes_cells; /* positions of BYTES columns among the cells */
    uint32_t bytes_count;

    char *rows; /* pending images, `stride` bytes apart */
    size_t stride;
    size_t row_count;
    size_t row_capacity;
    size_t row_limit;
    size_t rows_settled; /* the first so many do not point into the caller's piece */
    ae_scratch scratch;  /* texts of pending images that are not in the caller's piece */

    char *carry; /* a line cut by the end of a piece */
    size_t carry_length;
    size_t carry_capacity;

    uint64_t lines;       /* taken so far, blank ones and the header included */
    uint64_t bytes;       /* of these lines */
    uint64_t total_bytes; /* of the input, 0 when unknown */
    bool skip_header;
    bool busy; /* inside a push: the progress callback must not push too */
    uint64_t start_ns;
    aero_ingest_report report; /* of what is committed */
    aero_status status;        /* of the push that failed */
    aero_error error;          /* and its text */
};

/* A line's place and what is wrong with it. */
typedef struct ae_line_error {
    int32_t code;
    uint32_t cell;
    const char *reason;
} ae_line_error;

/* Decode the cells of one line into a private image.  Cells are changed in place; new text goes to
 * the scratch.  AERO_OK, or a code with *error filled. */
aero_status aei_decode_line(aero_ingest *ingest, uint32_t count, bool has_escape, void *row,
                            ae_line_error *error);

/* Check the options and copy them; the caller frees columns and null_text, also on failure. */
aero_status aei_format_init(ae_ingest_format *format, const aero_table *table,
                            const aero_tsv_options *options, aero_error *error);

#endif
