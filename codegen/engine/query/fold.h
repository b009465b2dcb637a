/* fold.h — characters of UTF-8 and their lower case, the same in every locale.
 *
 * Concurrency: pure functions.
 */
#ifndef AE_QUERY_FOLD_H
#define AE_QUERY_FOLD_H

#include <stddef.h>
#include <stdint.h>

/* Simple (one to one) lower case of a character, as Tcl's `string tolower` has it. */
uint32_t aei_fold_char(uint32_t character);

/* Room aei_fold_text may need for `length` bytes (two bytes can become three). */
#define AEI_FOLD_ROOM(length) ((length) + ((length) + 1) / 2 + 8)
/* Write the lower case of a text; returns its bytes.  Bytes that are not UTF-8 are copied. */
size_t aei_fold_text(const char *data, size_t length, char *out);

/* Decode the character at data[0] (length >= 1); returns its bytes.  A byte that starts no
 * character counts as one of its own value. */
size_t aei_utf8_get(const char *data, size_t length, uint32_t *character);
/* Encode a character into up to 4 bytes; returns how many. */
size_t aei_utf8_put(char *out, uint32_t character);

#endif
