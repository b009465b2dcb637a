/* limits.h — every bound of a query, once, with its reason.  Meeting one is AERO_LIMIT.
 */
#ifndef AE_QUERY_LIMITS_H
#define AE_QUERY_LIMITS_H

#include "base/limits.h"

/* Each clause is a pass over every candidate; nobody writes a thousand by hand. */
#define AEI_CLAUSES_MAX 1000u
/* Values of all clauses together: an `in` list of a million keys is a batch look-up, more is a
 * join. */
#define AEI_VALUES_MAX 4000000u
/* One -compare text.  A million quoted values take some 20 MB. */
#define AEI_COMPARE_BYTES_MAX ((size_t)64 << 20)
/* Private memory for the constants of one query. */
#define AEI_POOL_BYTES_MAX ((size_t)192 << 20)
/* Sort columns: a NULL bit for each fits the 32-bit mask of a sort entry. */
#define AEI_SORTS_MAX 32u
/* A glob pattern; longer ones have no meaning that `=` does not have. */
#define AEI_GLOB_BYTES_MAX ((size_t)16 << 10)
/* Characters of a piece between two stars that holds ? or [ ]: searching for it costs one word
 * operation per 64 of them and character of the value, so this bounds the cost of a character. */
#define AEI_GLOB_PIECE_MAX 512u
/* Ranges in the classes of such a piece: bounds its table to 128 KiB. */
#define AEI_GLOB_RANGES_MAX 1024u
/* Candidates looked at in one go: their row pointers (6 KiB) and marks stay in the first cache. */
#define AEI_BATCH 64u
/* Rows of one aero_cursor_fetch, as its contract says. */
#define AEI_FETCH_MAX 65536u
/* Text of one column in one aero_cursor_fetch; offsets have 32 bits, memory should stay small. */
#define AEI_FETCH_TEXT_MAX ((size_t)64 << 20)
/* Up to this many rows wanted, the rows kept while sorting are twice as many, but at least this. */
#define AEI_TOP_SLACK 1024u
/* Ranges of one index: each costs a descent, and beyond this many a scan is hardly worse. */
#define AEI_RANGES_MAX ((size_t)65536)
/* Indexes of a table that are looked at, as many as a table may have. */
#define AEI_INDEXES_MAX 64u
/* Indexes that are intersected: a fourth has little left to exclude. */
#define AEI_INTERSECT_MAX 3u
/* Runs of a prepared search until its plan is weighed again against the table as it is. */
#define AEI_RUNS_MAX 64u
/* Parameters of a prepared search. */
#define AEI_PARAMETERS_MAX 256u
/* A constant is shown by explain up to this many bytes. */
#define AEI_EXPLAIN_VALUE_MAX 60u
#define AEI_EXPLAIN_VALUES_MAX 4u

#endif
