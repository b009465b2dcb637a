/* number.h — numbers from text and to text, exactly and without a locale.
 *
 * Reading a double gives what strtod gives in the C locale, to the bit (round to nearest, ties to
 * even); printing gives the shortest text that reads back to the same bits, and among those the
 * one nearest to the value.  Neither allocates, and both are bounded: reading is linear in the
 * text's length, printing is constant.
 *
 * Concurrency: pure functions.
 */
#ifndef AE_BASE_NUMBER_H
#define AE_BASE_NUMBER_H

#include <stddef.h>
#include <stdint.h>

enum ae_number_result {
    AE_NUMBER_OK = 0,
    AE_NUMBER_INVALID = 1,    /* not a number at all, or something follows it */
    AE_NUMBER_RANGE = 2,      /* a number, but too large for the type */
    AE_NUMBER_NOT_FINITE = 3, /* nan, inf or infinity, in any case and with any sign */
};

/* Decimal integers: an optional sign, then digits and nothing else; leading zeros are fine and do
 * not mean octal.  *value is set only on AE_NUMBER_OK. */
enum ae_number_result ae_number_read_int(const char *text, size_t length, int64_t *value);
enum ae_number_result ae_number_read_uint(const char *text, size_t length, uint64_t *value);

/* [+-] digits [. digits] [e [+-] digits], with at least one digit before the exponent.  Too small
 * becomes a denormal or zero, as in strtod; too large is AE_NUMBER_RANGE.  "-0" is -0.0. */
enum ae_number_result ae_number_read_double(const char *text, size_t length, double *value);
/* The same to single precision, rounded once (not through double). */
enum ae_number_result ae_number_read_float(const char *text, size_t length, float *value);

/* Printing: bytes written; `out` has room for AE_NUMBER_TEXT_MAX; no NUL is added. */
#define AE_NUMBER_TEXT_MAX 32
size_t ae_number_write_uint(uint64_t value, char *out);
size_t ae_number_write_int(int64_t value, char *out);
/* "438.0", "46.679232", "1e+300", "1e-05": an exponent below 1e-4 and from 1e16 on, with a sign and
 * at least two digits; else a point with a digit on both sides.  Also "nan", "inf" and "-inf". */
size_t ae_number_write_double(double value, char *out);
size_t ae_number_write_float(float value, char *out);

#endif
