/* kernels.c — the loops of filter steps: one per storage kind for numbers, a few for bytes.
 *
 * Each keeps its selection in place: the number is always written, the count moves on only when the
 * row passes.  So there is no branch to mispredict in the loops over numbers.
 *
 * Invariants: I1 a NULL passes no step but `null`.
 *             I2 selection[kept] is written at or before the place being read.
 */
#include "query/program.h"
#include "query/row_inline.h"
#include "row/convert.h"

#define ROW_OF(at) ((const char *)views[at].row)

/* x lies in an interval, or (negate) outside of it: one subtraction and one comparison, because
 * distances from `low` are unsigned. */
#define WHOLE_KERNEL(kind, type, is_signed) \
    static size_t whole_##kind(const aei_step *step, const ae_view *views, uint16_t *selection, \
                               size_t count) \
    { \
        const uint32_t offset = step->offset, null_at = step->null_at, mask = step->null_mask; \
        const uint64_t low = step->u.whole.low, span = step->u.whole.span; \
        const bool negate = step->negate; \
        size_t kept = 0; \
        for (size_t i = 0; i < count; i++) { \
            const uint16_t at = selection[i]; \
            const char *row = ROW_OF(at); \
            type value; \
            memcpy(&value, row + offset, sizeof value); \
            const uint64_t wide = is_signed ? (uint64_t)(int64_t)value : (uint64_t)value; \
            selection[kept] = at; \
            kept += (size_t)(((wide - low <= span) != negate) & \
                             !aei_row_null(row, null_at, mask)); \
        } \
        return kept; \
    }

#define REAL_KERNEL(kind, type) \
    static size_t real_##kind(const aei_step *step, const ae_view *views, uint16_t *selection, \
                              size_t count) \
    { \
        const uint32_t offset = step->offset, null_at = step->null_at, mask = step->null_mask; \
        const double low = step->u.real.low, high = step->u.real.high; \
        const bool negate = step->negate; \
        size_t kept = 0; \
        for (size_t i = 0; i < count; i++) { \
            const uint16_t at = selection[i]; \
            const char *row = ROW_OF(at); \
            type value; \
            memcpy(&value, row + offset, sizeof value); \
            const bool inside = ((double)value >= low) & ((double)value <= high); \
            selection[kept] = at; \
            kept += (size_t)((inside != negate) & !aei_row_null(row, null_at, mask)); \
        } \
        return kept; \
    }

AEI_WHOLE_KINDS(WHOLE_KERNEL)
AEI_REAL_KINDS(REAL_KERNEL)

#define WHOLE_CASE(kind, type, is_signed) \
    case AERO_KIND_##kind: \
        return whole_##kind;
#define REAL_CASE(kind, type) \
    case AERO_KIND_##kind: \
        return real_##kind;

aei_kernel aei_kernel_number(uint8_t kind)
{
    switch (kind) {
        AEI_WHOLE_KINDS(WHOLE_CASE)
        AEI_REAL_KINDS(REAL_CASE)
    default:
        return NULL;
    }
}

size_t aei_kernel_null(const aei_step *step, const ae_view *views, uint16_t *selection,
                       size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        const uint16_t at = selection[i];
        selection[kept] = at;
        kept += (size_t)(aei_row_null(ROW_OF(at), step->null_at, step->null_mask) != step->negate);
    }
    return kept;
}

#define WHOLE_KEY(kind, type, is_signed) \
    case AERO_KIND_##kind: { \
        type value; \
        memcpy(&value, at, sizeof value); \
        return is_signed || AERO_KIND_##kind != AERO_KIND_UINT64 ? ae_normal_int((int64_t)value) \
                                                                 : (uint64_t)value; \
    }
#define REAL_KEY(kind, type) \
    case AERO_KIND_##kind: { \
        type value; \
        memcpy(&value, at, sizeof value); \
        return ae_normal_real((double)value); \
    }

/* As aei_value_key, of a column where it lies. */
static uint64_t key_at(uint8_t kind, const char *at)
{
    switch (kind) {
        AEI_WHOLE_KINDS(WHOLE_KEY)
        AEI_REAL_KINDS(REAL_KEY)
    default:
        return 0;
    }
}

size_t aei_kernel_keys(const aei_step *step, const ae_view *views, uint16_t *selection,
                       size_t count)
{
    AE_ASSERT(step->u.keys.count > 0 && count <= AEI_BATCH);
    const uint64_t *keys = step->u.keys.keys;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        const uint16_t at = selection[i];
        const char *row = ROW_OF(at);
        if (aei_row_null(row, step->null_at, step->null_mask))
            continue;
        const uint64_t key = key_at(step->column->kind, row + step->offset);
        const uint64_t *first = keys;
        size_t left = step->u.keys.count;
        while (left > 1) { /* the last key not above `key`, without branches */
            const size_t half = left / 2;
            first += first[half] <= key ? half : 0;
            left -= half;
        }
        selection[kept] = at;
        kept += (size_t)(*first == key);
    }
    return kept;
}

/* The bytes of a column where they lie, or its text form in scratch. */
static inline void load_bytes(const aei_step *step, const ae_view *view, char *format,
                              const char **data, size_t *length)
{
    const char *row = view->row;
    if (step->storage == AEI_STORAGE_CELL) {
        const aero_cell *cell = (const aero_cell *)(const void *)(row + step->offset);
        *data = ae_cell_data(cell, view->base);
        *length = cell->length;
    } else if (step->storage == AEI_STORAGE_RAW) {
        *data = row + step->offset;
        *length = step->column->size;
    } else {
        aero_value value;
        step->column->get(row, view->base, &value);
        if (step->storage == AEI_STORAGE_FORMAT) {
            if (value.type == AERO_TYPE_BYTES && value.length > step->u.glob.room)
                value.length = 0; /* only a damaged row: keep the scratch whole */
            ae_format(step->column, &value, format, data, length);
        } else {
            *data = value.u.data;
            *length = value.length;
        }
    }
}

size_t aei_kernel_values(const aei_step *step, const ae_view *views, uint16_t *selection,
                         size_t count)
{
    AE_ASSERT(step->u.values.count > 0 && count <= AEI_BATCH);
    const aero_value *values = step->u.values.values;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        const uint16_t at = selection[i];
        if (aei_row_null(ROW_OF(at), step->null_at, step->null_mask))
            continue;
        const char *data;
        size_t length;
        load_bytes(step, &views[at], NULL, &data, &length);
        size_t low = 0;
        size_t high = step->u.values.count;
        int32_t order = 1;
        while (low < high && order != 0) {
            const size_t middle = (low + high) / 2;
            order = ae_bytes_compare(data, length, values[middle].u.data, values[middle].length);
            if (order < 0)
                high = middle;
            else
                low = middle + 1;
        }
        selection[kept] = at;
        kept += (size_t)(order == 0);
    }
    return kept;
}

size_t aei_kernel_cell_equal(const aei_step *step, const ae_view *views, uint16_t *selection,
                             size_t count)
{
    AE_ASSERT(step->storage == AEI_STORAGE_CELL);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        const uint16_t at = selection[i];
        const char *row = ROW_OF(at);
        const aero_cell *cell = (const aero_cell *)(const void *)(row + step->offset);
        const bool equal = ae_cell_equal(cell, views[at].base, &step->u.bytes.cell, NULL);
        selection[kept] = at;
        kept += (size_t)((equal != step->negate) &
                         !aei_row_null(row, step->null_at, step->null_mask));
    }
    return kept;
}

size_t aei_kernel_bytes(const aei_step *step, const ae_view *views, uint16_t *selection,
                        size_t count)
{
    AE_ASSERT(step->accept != 0 && step->accept < 8);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        const uint16_t at = selection[i];
        if (aei_row_null(ROW_OF(at), step->null_at, step->null_mask))
            continue;
        const char *data;
        size_t length;
        load_bytes(step, &views[at], NULL, &data, &length);
        const int32_t order = ae_bytes_compare(data, length, step->u.bytes.data,
                                               step->u.bytes.length);
        selection[kept] = at;
        kept += (size_t)(step->accept >> (order + 1) & 1);
    }
    return kept;
}

size_t aei_kernel_glob(const aei_step *step, const ae_view *views, uint16_t *selection,
                       size_t count)
{
    AE_ASSERT(step->u.glob.glob != NULL && count <= AEI_BATCH);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        const uint16_t at = selection[i];
        if (aei_row_null(ROW_OF(at), step->null_at, step->null_mask))
            continue;
        const char *data;
        size_t length;
        load_bytes(step, &views[at], step->u.glob.format, &data, &length);
        if (length > step->u.glob.room)
            continue; /* longer than the column allows: only a damaged row */
        selection[kept] = at;
        kept += (size_t)(aei_glob_match(step->u.glob.glob, data, length, step->u.glob.fold) !=
                         step->negate);
    }
    return kept;
}
