/* kinds.c — the few things about storage kinds that clauses, programs and orders share. */
#include "aerostore/gen.h"
#include "query/query_private.h"

bool aei_kind_is_integer(uint8_t kind)
{
    return (kind >= AERO_KIND_BOOL && kind <= AERO_KIND_UINT64) || kind == AERO_KIND_TIMESTAMP ||
           kind == AERO_KIND_CHAR || kind == AERO_KIND_INET;
}

bool aei_kind_is_real(uint8_t kind)
{
    return kind == AERO_KIND_FLOAT32 || kind == AERO_KIND_FLOAT64;
}

bool aei_kind_is_text(uint8_t kind)
{
    return kind == AERO_KIND_TEXT || kind == AERO_KIND_FIXED;
}

uint64_t aei_value_key(uint8_t kind, const aero_value *value)
{
    if (aei_kind_is_real(kind))
        return ae_normal_real(value->u.real);
    if (kind == AERO_KIND_UINT64) /* INT and UINT share the bits of what is not negative */
        return value->u.natural;
    return ae_normal_int(value->u.integer);
}

int aei_value_order(uint8_t kind, const aero_value *left, const aero_value *right)
{
    if (aei_kind_is_integer(kind) || aei_kind_is_real(kind)) {
        const uint64_t a = aei_value_key(kind, left);
        const uint64_t b = aei_value_key(kind, right);
        return (a > b) - (a < b);
    }
    return ae_bytes_compare(left->u.data, left->length, right->u.data, right->length);
}
