/* version.c — moving row images into the segment. */
#include "row/version.h"

uint64_t ae_row_overflow_size(const aero_table *table, const void *row, const char *base)
{
    uint64_t bytes = 0;
    (void)base;
    for (uint32_t index = 0; index < table->cell_count; index++) {
        const aero_column *column = &table->columns[table->cells[index]];
        const aero_cell *cell = (const aero_cell *)(const void *)((const char *)row +
                                                                  column->offset);
        if (cell->length > AERO_CELL_INLINE)
            bytes += cell->length;
    }
    return bytes;
}

void ae_row_settle(const aero_table *table, const void *row, const char *base, void *to,
                   char *overflow)
{
    AE_ASSERT(row != to);
    uint64_t used = 0;
    memcpy(to, row, table->row_size);
    if (overflow == NULL)
        return;
    for (uint32_t index = 0; index < table->cell_count; index++) {
        const aero_column *column = &table->columns[table->cells[index]];
        const aero_cell *cell = (const aero_cell *)(const void *)((const char *)row +
                                                                  column->offset);
        aero_cell *copy = (aero_cell *)(void *)((char *)to + column->offset);
        if (cell->length <= AERO_CELL_INLINE)
            continue;
        memcpy(overflow + used, ae_cell_data(cell, base), cell->length);
        copy->u.where = used;
        used += cell->length;
    }
}
