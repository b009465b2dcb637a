/* glob.h — Tcl's `string match` patterns, compiled: * ? [a-z] \x, with or without case.
 *
 * As in Tcl there is no negation; ranges may be reversed; a class that is not closed ends with the
 * pattern; a backslash at the end matches nothing.  Without case, pattern and value are compared in
 * lower case (aei_fold_char).  A match costs time linear in the value's length, whatever the
 * pattern.
 *
 * Concurrency: a compiled pattern is constant; matching needs the caller's scratch.
 */
#ifndef AE_QUERY_GLOB_H
#define AE_QUERY_GLOB_H

#include <stdbool.h>

#include "query/pool.h"

typedef struct aei_glob aei_glob;

/* Compile into the pool.  NULL with *error set: LIMIT (too long, a piece with too many ? or [ ]),
 * NO_MEMORY. */
const aei_glob *aei_glob_compile(const char *pattern, size_t length, bool fold, aei_pool *pool,
                                 aero_error *error);
/* `scratch` has room for AEI_FOLD_ROOM(length) bytes when the pattern folds, or may be NULL. */
bool aei_glob_match(const aei_glob *glob, const char *data, size_t length, char *scratch);
/* True when only this text matches (no wildcard, not folded). */
bool aei_glob_literal(const aei_glob *glob, const char **data, size_t *length);
/* The bytes every match begins with (of its lower case, when folded). */
void aei_glob_prefix(const aei_glob *glob, const char **data, size_t *length);
bool aei_glob_folds(const aei_glob *glob);
/* True when exactly the texts that begin with the prefix match: a prefix and a star. */
bool aei_glob_is_prefix(const aei_glob *glob);

#endif
