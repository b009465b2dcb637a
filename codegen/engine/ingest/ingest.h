/* ingest.h — TSV into a table, in batches, from memory, from a file, or pushed piece by piece.
 *
 * Each batch is one ae_table_write: all of its rows or none.  An error names line and column,
 * applies nothing of its batch and ends the ingest; batches before it stay (or, inside a
 * transaction, are parts of it).  A batch has options->batch_size rows, fewer when its images or
 * its copied texts would take more memory than base/limits.h allows.
 *
 * Errors of all functions go to the session's buffer: PARSE, TYPE, LENGTH, NULL_VALUE (with line
 * and column), LIMIT, NO_MEMORY, IO, INTERRUPTED, STALE, USAGE, and those of ae_table_write.
 *
 * Concurrency: an ingest belongs to its session's thread.
 */
#ifndef AE_INGEST_INGEST_H
#define AE_INGEST_INGEST_H

#include <stdbool.h>

#include "aerostore/descriptor.h"
#include "txn/session.h"

/* A new ingest; checks the options and copies what they point to.  `options` may be NULL. */
aero_status ae_ingest_new(aero_session *session, uint32_t table, const aero_tsv_options *options,
                          aero_ingest **ingest);
/* The session, or NULL when it was closed since. */
aero_session *ae_ingest_session(const aero_ingest *ingest);

/* Take the next piece of input, cut anywhere.  `last` says that nothing follows: then no byte of it
 * is copied, and the last batch is written. */
aero_status ae_ingest_push(aero_ingest *ingest, const char *data, size_t length, bool last);
/* Write what is pending and report.  After a failed push: its error again, and what was
 * committed. */
aero_status ae_ingest_end(aero_ingest *ingest, aero_ingest_report *report);
/* Also after the session was closed; `ingest` may be NULL. */
void ae_ingest_release(aero_ingest *ingest);

/* All of it at once. */
aero_status ae_ingest_memory(aero_session *session, uint32_t table, const char *data, size_t length,
                             const aero_tsv_options *options, aero_ingest_report *report);
aero_status ae_ingest_path(aero_session *session, uint32_t table, const char *path,
                           const aero_tsv_options *options, aero_ingest_report *report);

#endif
