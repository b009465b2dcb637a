/* reader.h — reading log files: frames in order across files, with nothing trusted.
 *
 * A set of files is ordered by base LSN; each counts up to where the next one begins.  Where the
 * last one stops making sense the stream ends; whether that is a torn tail or damage is decided by
 * the greatest durable LSN that any valid frame, before or after, or a checkpoint names (design:
 * section 5, recovery).
 *
 * Concurrency: one thread a reader.
 */
#ifndef AE_WAL_READER_H
#define AE_WAL_READER_H

#include "base/error.h"
#include "wal/codec.h"
#include "wal/frame.h"

/* One log file whose first frame is good. */
typedef struct ae_log_file {
    char *path; /* owned */
    int fd;
    uint64_t size;
    uint64_t base;
    uint64_t end; /* the stream in this file ends here: `after` of the next one, or UINT64_MAX */
    uint8_t store[16];
    ae_file_head head;
    uint64_t durable; /* of its first frame */
} ae_log_file;

typedef struct ae_log_files {
    ae_log_file *files; /* by base */
    uint32_t count;
} ae_log_files;

/* Find the files of a log in a directory: `name`, and "<name>." and 20 digits.  A file is named
 * only after its first frame is on disk, so one whose first frame is not good is CORRUPT, with its
 * name.  MISMATCH when files are of different stores or of another format.  Nothing is changed. */
aero_status ae_log_files_open(ae_log_files *files, const char *directory, const char *name,
                              aero_error *error);
void ae_log_files_close(ae_log_files *files);

typedef struct ae_log_reader {
    const ae_log_files *files;
    uint32_t file;
    uint64_t lsn;          /* of the next frame */
    uint64_t previous;     /* of the frame before; UINT64_MAX: not known */
    uint64_t framed;       /* commits up to here lie before; UINT64_MAX: not known */
    uint64_t durable;      /* greatest that a valid frame named, or that a later file tells */
    const ae_frame *frame; /* the current one, payload behind it */
    /* Where the stream ended, and why. */
    enum ae_frame_fault fault;
    /* A part of the current file. */
    uint8_t *window;
    size_t window_capacity;
    size_t window_size;
    uint64_t window_offset;
    uint32_t window_file;
} ae_log_reader;

/* Start at an LSN that is a frame's or the end of the stream, or at UINT64_MAX for the beginning of
 * the first file.  NOT_FOUND when no file holds it. */
aero_status ae_log_reader_start(ae_log_reader *reader, const ae_log_files *files, uint64_t lsn,
                                aero_error *error);
/* The next frame: reader->frame, good in itself and in its place; FILE frames are given, too.  NULL
 * with OK at the end of what makes sense: reader->lsn is where, reader->fault why, and when that is
 * below reader->durable, something that was durable is damaged.  Errors: IO, NO_MEMORY. */
aero_status ae_log_reader_next(ae_log_reader *reader, aero_error *error);
/* After the end: raise reader->durable by what valid frames behind it name; they are looked for at
 * every place of the file.  So damage in the middle is told from a torn tail. */
aero_status ae_log_reader_beyond(ae_log_reader *reader, aero_error *error);
void ae_log_reader_end(ae_log_reader *reader);

/* ---- what is in a COMMITS frame ------------------------------------------------------------- */

typedef struct ae_commit {
    uint64_t number;
    uint32_t pieces;     /* frames of kind PIECE that come before its own operations */
    uint64_t last_piece; /* LSN of the last */
    const uint8_t *data; /* operations: ae_ops */
    size_t size;
} ae_commit;
typedef struct ae_commits {
    const uint8_t *data;
    size_t left;
    uint64_t number;
    uint64_t upto;
} ae_commits;
void ae_commits_start(ae_commits *commits, const ae_frame *frame);
/* OK with commit->data NULL at the end; CORRUPT when the payload contradicts itself. */
aero_status ae_commits_next(ae_commits *commits, ae_commit *commit, aero_error *error);

/* Read the pieces of a large transaction in order: each a frame, `visit` gets its operations.
 * CORRUPT when the chain is broken. */
typedef aero_status (*ae_piece_visit)(void *context, const uint8_t *data, size_t size,
                                      aero_error *error);
aero_status ae_pieces_read(const ae_log_files *files, uint64_t last_piece, uint32_t pieces,
                           ae_piece_visit visit, void *context, aero_error *error);

#endif
