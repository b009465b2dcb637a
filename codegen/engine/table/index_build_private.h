/* index_build_private.h — what making an index of a table in use (index_build.c) and filling one of
 * a new segment (index_fill.c) share: reading the keys of all versions.
 */
#ifndef AE_TABLE_INDEX_BUILD_PRIVATE_H
#define AE_TABLE_INDEX_BUILD_PRIVATE_H

#include "table/index_build.h"
#include "table/table_private.h"

/* Keys put in one call. */
#define AEI_BUILD_PIECE 16384u

typedef struct aei_build {
    aero_session *session;
    aero_db *db;
    const aero_table *of;
    uint32_t table;
    uint32_t number;
    ae_key_shape shape;
    ae_tree tree;
    /* Does something with the items that were read, and sets their count to 0: when there is no
     * more room for them, and at the end. */
    aero_status (*full)(struct aei_build *of);
    void *context;           /* its own */
    ae_index_memory *memory; /* NULL: none is kept */
    uint64_t *items;         /* AE_BUILD_KEYS, unsorted */
    uint64_t *scratch;
    size_t count;
    uint64_t *words; /* AEI_BUILD_PIECE keys, packed */
    ae_ref *anchors;
} aei_build;

/* Memory for AE_BUILD_KEYS items, or NULL; and back. */
uint64_t *aei_build_take(const aei_build *of);
void aei_build_give(const aei_build *of, uint64_t *items);
/* The tree of the place, and memory. */
aero_status aei_build_open(aei_build *of);
void aei_build_close(aei_build *of);
static inline aero_status aei_build_no_memory(const aei_build *of)
{
    return ae_fail(&of->session->error, AERO_NO_MEMORY, "no memory to sort the keys of an index");
}
/* Take the keys of all versions that snapshots from the session's on can see. */
aero_status aei_build_read(aei_build *of);
/* Of a unique index: does any value occur twice?  EXISTS, CONFLICT. */
aero_status aei_build_check(const aei_build *of);
/* Let what was replaced or dropped be given back. */
void aei_build_tidy(aero_session *session);

#endif
