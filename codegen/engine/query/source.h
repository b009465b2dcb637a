/* source.h — reading what a plan says: candidates in batches, and those that pass the filters.
 *
 * Concurrency: private to the query's thread; a source ends with its reader.
 */
#ifndef AE_QUERY_SOURCE_H
#define AE_QUERY_SOURCE_H

#include "query/plan.h"

typedef struct aei_source {
    size_t (*next)(struct aei_source *source, ae_view *views, size_t max);
    aei_plan *plan; /* a reference; NULL when closed */
    ae_reader *reader;
    uint32_t table;
    ae_scan scan;
    ae_index_read read;
    bool reading;    /* `read` is open */
    size_t at;       /* next key, range or anchor */
    ae_ref *anchors; /* of an intersection, in order, each once */
    size_t anchor_count;
    uint64_t seen; /* candidates handed out */
    aero_status failed;
} aei_source;

/* Start reading.  In a serializable transaction this notes what is read: the keys looked up (the
 * table does), or all clauses as a predicate, which keeps query and plan until the transaction
 * ends.  *gone: an index of the plan cannot be read by this reader; nothing is open then.  Errors:
 * NO_MEMORY. */
aero_status aei_source_open(aei_source *source, aero_query *query, aei_plan *plan,
                            ae_reader *reader, bool *gone, aero_error *error);
/* Up to `max` more candidates; 0 at the end, or where it failed: then source->failed is CORRUPT. */
size_t aei_source_next(aei_source *source, ae_view *views, size_t max);
/* The reader is going to rest: what its snapshot does not see may be gone when it wakes. */
void aei_source_rest(aei_source *source);
void aei_source_close(aei_source *source);

/* intersect.c: the anchors met in every access of the plan; those of `source`, which frees them. */
aero_status aei_intersect(aei_source *source, bool *gone, aero_error *error);

/* Candidates through the program, a batch at a time. */
typedef struct aei_stream {
    aei_source source;
    size_t most; /* candidates of the next batch: few at first, if few rows are wanted */
    ae_view views[AEI_BATCH];
    uint16_t selection[AEI_BATCH]; /* numbers of views that passed */
    size_t count;
    size_t at; /* taken by the caller */
} aei_stream;

/* Plan if need be and start; `reader` is open.  An index that went away meanwhile means another
 * plan. */
aero_status aei_stream_open(aei_stream *stream, aero_query *query, ae_reader *reader, bool counting,
                            aero_error *error);
/* Load the next batch in which some row passed; false at the end, or with source.failed. */
bool aei_stream_next(aei_stream *stream);
/* Close, and let the plan know how far off it was. */
void aei_stream_close(aei_stream *stream);

#endif
