/* utf8.h — is this UTF-8, and what are its characters?
 *
 * UTF-8 here is RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.  NUL is an
 * ordinary character of one byte.
 *
 * Concurrency: pure functions.
 */
#ifndef AE_BASE_UTF8_H
#define AE_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AE_UTF8_MAX 4 /* bytes of the longest character */

/* Is all of text[0..length) UTF-8?  ASCII is checked eight bytes at a time. */
bool ae_utf8_valid(const char *text, size_t length);

/* Bytes of the character at text[0], or 0 if none starts there or it is cut off. */
size_t ae_utf8_read(const char *text, size_t length, uint32_t *code_point);

/* Write a character, up to AE_UTF8_MAX bytes; returns how many, 0 for a number that is none. */
size_t ae_utf8_write(uint32_t code_point, char *out);

#endif
