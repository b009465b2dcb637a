/* program.h — the conditions of a query as a straight run of small loops over row images.
 *
 * A step looks at a batch of candidates and keeps the numbers of those that pass; the next step
 * looks at these only.  Steps are specialised by storage kind and read the rows where they lie.
 *
 * Concurrency: a program is private to its query's thread (it owns scratch memory).
 */
#ifndef AE_QUERY_PROGRAM_H
#define AE_QUERY_PROGRAM_H

#include "query/query_private.h"

typedef struct aei_step aei_step;
/* Keep those of selection[0..count) whose rows pass; returns how many. */
typedef size_t (*aei_kernel)(const aei_step *step, const ae_view *views, uint16_t *selection,
                             size_t count);

/* How a column's bytes are found in a row. */
enum aei_storage {
    AEI_STORAGE_CELL,   /* aero_cell */
    AEI_STORAGE_RAW,    /* `size` bytes */
    AEI_STORAGE_GETTER, /* ask column->get: padded text */
    AEI_STORAGE_FORMAT  /* the text form, made in scratch */
};

struct aei_step {
    aei_kernel kernel;
    const aero_column *column;
    uint32_t offset;    /* of the column */
    uint32_t null_at;   /* offset of the word with its null bit */
    uint32_t null_mask; /* 0 when it is never null: the word read is then any word of the row */
    bool negate;
    uint8_t accept;  /* bit 0: less, bit 1: equal, bit 2: greater passes */
    uint8_t storage; /* enum aei_storage */
    union {
        struct {
            uint64_t low;
            uint64_t span;
        } whole; /* low <= x <= low + span, modulo 2^64 */
        struct {
            double low;
            double high;
        } real;
        struct {
            aero_cell cell; /* the same bytes as a private cell */
            const char *data;
            size_t length;
        } bytes;
        struct {
            const uint64_t *keys; /* sorted; of integer and real kinds */
            size_t count;
        } keys;
        struct {
            const aero_value *values; /* sorted; of the other kinds */
            size_t count;
        } values;
        struct {
            const aei_glob *glob;
            char *fold;   /* scratch for lower case */
            char *format; /* scratch for the text form */
            size_t room;  /* longest text they were made for */
        } glob;
    } u;
    const aei_clause *const *clauses; /* what it stands for, for explain */
    uint32_t clause_count;
};

typedef struct aei_program {
    aei_step *steps;
    uint32_t step_count;
    bool never; /* no row can pass */
} aei_program;

/* Compile clauses (without those marked in `skip`, an array over the clauses, or NULL) into the
 * pool.  Errors: LIMIT, NO_MEMORY. */
aero_status aei_program_build(aei_program *program, const aero_query *query, const uint8_t *skip,
                              aei_pool *pool, aero_error *error);
/* Fill `selection` with the numbers of views that pass; returns how many.  count <= AEI_BATCH. */
size_t aei_program_run(const aei_program *program, const ae_view *views, size_t count,
                       uint16_t *selection);

/* Sort the values of an `in` clause, each once; NULL with *error set. */
const aero_value *aei_values_sorted(uint8_t kind, const aei_clause *clause, aei_pool *pool,
                                    size_t *count, aero_error *error);

/* kernels.c */
aei_kernel aei_kernel_number(uint8_t kind); /* u.whole or u.real */
size_t aei_kernel_null(const aei_step *step, const ae_view *views, uint16_t *selection,
                       size_t count); /* is null; negate: is not */
size_t aei_kernel_keys(const aei_step *step, const ae_view *views, uint16_t *selection,
                       size_t count);
size_t aei_kernel_values(const aei_step *step, const ae_view *views, uint16_t *selection,
                         size_t count);
size_t aei_kernel_cell_equal(const aei_step *step, const ae_view *views, uint16_t *selection,
                             size_t count);
size_t aei_kernel_bytes(const aei_step *step, const ae_view *views, uint16_t *selection,
                        size_t count);
size_t aei_kernel_glob(const aei_step *step, const ae_view *views, uint16_t *selection,
                       size_t count);

#endif
