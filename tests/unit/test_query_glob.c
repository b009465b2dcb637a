/* Glob patterns and lower case: Tcl's rules, a plain matcher and Tcl itself as judges, linear time.
 *
 * links: base shm row index/key.c !row/version* query api/api_query.c generated/market
 */
#include "harness.h"

#include <unistd.h>

#include "base/os.h"
#include "query/fold.h"
#include "query/glob.h"
#include "query_fake.h"

static bool matches(const char *pattern, size_t pattern_length, const char *text, size_t length,
                    bool fold)
{
    aei_pool pool = {0};
    aero_error error;
    char *scratch = malloc(AEI_FOLD_ROOM(length));
    char *copy = malloc(length + 1); /* just as long as it is, for the sanitizer's sake */
    memcpy(copy, text, length);
    const aei_glob *glob = aei_glob_compile(pattern, pattern_length, fold, &pool, &error);
    assert_non_null(glob);
    const bool answer = aei_glob_match(glob, copy, length, scratch);
    free(scratch);
    free(copy);
    aei_pool_free(&pool);
    return answer;
}

static bool glob(const char *pattern, const char *text)
{
    return matches(pattern, strlen(pattern), text, strlen(text), false);
}

static bool glob_fold(const char *pattern, const char *text)
{
    return matches(pattern, strlen(pattern), text, strlen(text), true);
}

/* Goal: each kind of pattern means what it means in Tcl; method: examples. */
static void glob_examples(void **state)
{
    (void)state;
    assert_true(glob("", "") && !glob("", "a") && glob("*", "") && glob("**", "abc"));
    assert_true(glob("UAL*", "UAL1") && !glob("UAL*", "ual1") && !glob("UAL*", "UA"));
    assert_true(glob("*1", "UAL1") && glob("*A*1*", "UAL1x") && !glob("*A*1", "UAL1x"));
    assert_true(glob("U?L", "UAL") && glob("U?L", "U\xc3\xa9L") && !glob("U?L", "UL"));
    assert_true(glob("?", "\xf0\x9f\x98\x80") && !glob("??", "\xc3\xa9"));
    assert_true(glob("[a-c]x", "bx") && glob("[c-a]x", "bx") && !glob("[a-c]x", "dx"));
    assert_true(glob("[abc]", "c") && !glob("[]", "]") && !glob("[]a]", "a]"));
    assert_true(glob("[^a]", "^") && !glob("[^a]", "b")); /* no negation in Tcl */
    assert_true(glob("[a", "a") && glob("x[ab", "xb") && !glob("[", "["));
    assert_true(glob("[a-", "a") == false && glob("[xa-", "x"));
    assert_true(glob("\\*", "*") && !glob("\\*", "a") && glob("a\\?b", "a?b"));
    assert_true(glob("\\[a]", "[a]") && glob("[\\]", "\\") && glob("a\\\\b", "a\\b"));
    assert_false(glob("a\\", "a") || glob("a\\", "a\\") || glob("*\\", "x\\"));
    assert_true(glob("[\xc3\xa0-\xc3\xaf]*", "\xc3\xa9t\xc3\xa9"));
    assert_true(glob("*a?c*", "xxabcxx") && glob("*a?c*", "aabcx") && !glob("*a?c", "abcd"));
    assert_true(glob("*[0-9][0-9]*", "LX1a23") && !glob("*[0-9][0-9]*", "1a2b3"));
}

/* Goal: without case, also beyond ASCII, and whatever the locale; method: examples. */
static void glob_without_case(void **state)
{
    (void)state;
    assert_true(glob_fold("ual*", "UAL1") && glob_fold("UAL*", "ual1"));
    assert_true(glob_fold("*Z\xc3\x9cRICH*", "in z\xc3\xbcrich hb"));
    assert_true(glob_fold("[A-C]*", "bx") && glob_fold("[a-c]*", "Bx"));
    assert_true(glob_fold("\xce\xa9*", "\xcf\x89mega") && glob_fold("k", "\xe2\x84\xaa"));
    assert_true(glob_fold("\xe2\x84\xaa*", "kx") && glob_fold("K*", "\xe2\x84\xaa\xe2\x84\xaa"));
    assert_true(glob_fold("\xc8\xba*", "\xe2\xb1\xa5")); /* lower case is longer */
    assert_false(glob_fold("ual?", "UAL"));
    assert_true(glob_fold("i", "I") && !glob_fold("\xc4\xb1", "I")); /* no Turkish rules */
    assert_true(glob_fold("abcdefghijk*", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"));
}

/* Goal: NUL and invalid UTF-8 in a value do no harm; method: match counted bytes. */
static void glob_odd_bytes(void **state)
{
    (void)state;
    assert_true(matches("a*c", 3, "a\0c", 3, false) && !matches("a*c", 3, "a\0cd", 4, false));
    assert_true(matches("a\0b", 3, "a\0b", 3, true) && !matches("a\0b", 3, "a", 1, true));
    for (int byte = 0x80; byte < 0x100; byte++) {
        const char text[] = {'a', (char)byte, 'b', (char)byte};
        (void)matches("*?b*[x-z]", 9, text, sizeof text, true);
        (void)matches("?*?", 3, text, sizeof text, false);
        (void)matches(text, sizeof text, text, sizeof text, true);
    }
}

/* The definition of matching, by trying everything: for short texts of single bytes. */
static bool plain(const char *pattern, const char *text)
{
    if (*pattern == '\0')
        return *text == '\0';
    if (*pattern == '*')
        return plain(pattern + 1, text) || (*text != '\0' && plain(pattern, text + 1));
    if (*text == '\0')
        return false;
    if (*pattern == '?')
        return plain(pattern + 1, text + 1);
    if (*pattern == '[') {
        bool in = false;
        for (pattern++; *pattern != ']' && *pattern != '\0';) {
            const char low = *pattern++;
            char high = low;
            if (*pattern == '-') {
                if (pattern[1] == '\0')
                    return in && plain(pattern + 1, text + 1);
                high = pattern[1];
                pattern += 2;
            }
            in = in || (*text >= low && *text <= high) || (*text >= high && *text <= low);
        }
        return in && plain(*pattern == ']' ? pattern + 1 : pattern, text + 1);
    }
    if (*pattern == '\\' && *++pattern == '\0')
        return false;
    return *pattern == *text && plain(pattern + 1, text + 1);
}

static void random_text(uint64_t *random, const char *letters, size_t most, char *out)
{
    const size_t length = random_word(random) % (most + 1);
    for (size_t i = 0; i < length; i++)
        out[i] = letters[random_word(random) % strlen(letters)];
    out[length] = '\0';
}

/* Goal: the compiled matcher agrees with the definition; method: random patterns and texts. */
static void glob_agrees_with_the_definition(void **state)
{
    (void)state;
    uint64_t random = new_seed();
    char pattern[16];
    char text[16];
    char lower[16];
    for (int round = 0; round < 400000; round++) {
        random_text(&random, round % 2 ? "ab*?[]-\\c" : "ab*?*", 9, pattern);
        random_text(&random, round % 2 ? "abc]-" : "ab", 10, text);
        if (glob(pattern, text) != plain(pattern, text))
            fail_msg("pattern \"%s\", text \"%s\": we %d", pattern, text, glob(pattern, text));
        for (size_t i = 0; i <= strlen(text); i++) {
            lower[i] = text[i];
            text[i] = text[i] == 'a' ? 'A' : text[i] == 'b' && i % 2 ? 'B' : text[i];
        }
        if (glob_fold(pattern, text) != plain(pattern, lower))
            fail_msg("without case: pattern \"%s\", text \"%s\"", pattern, text);
    }
}

static const char judge[] =
    "proc text {hex} { encoding convertfrom utf-8 [binary decode hex $hex] }\n"
    "while {[gets stdin line] >= 0} {\n"
    "    lassign $line pattern text\n"
    "    set p [text $pattern]; set t [text $text]\n"
    "    puts [string match $p $t][string match -nocase $p $t]\n"
    "}\n";

static void put_hex(FILE *out, const char *text)
{
    fputs(*text == '\0' ? "{}" : "", out);
    for (; *text != '\0'; text++)
        fprintf(out, "%02x", (unsigned char)*text);
}

/* Goal: as Tcl's `string match`, with and without -nocase; method: random texts through tclsh.
 * Left out: a range that ends with ']', where Tcl's answer depends on what matched before it. */
static void glob_agrees_with_tcl(void **state)
{
    (void)state;
    static const char *const letters[] = {"a", "B", "b", "*", "?", "[", "]", "a-c", "\\", "é",
                                          "É", "1", "ß", "Σ", "σ", "Ж", "ж", "c",   "*",  "?"};
    enum { ROUNDS = 20000 };
    char(*texts)[2][64] = calloc(ROUNDS, sizeof *texts);
    char folder[] = "/tmp/aerostore-glob-XXXXXX";
    char path[64];
    char command[160];
    uint64_t random = new_seed();
    if (system("command -v tclsh >/dev/null 2>&1") != 0)
        skip();
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/judge.tcl", folder);
    FILE *script = fopen(path, "w");
    assert_non_null(script);
    fputs(judge, script);
    fclose(script);
    snprintf(command, sizeof command, "tclsh %s/judge.tcl >%s/out", folder, folder);
    FILE *tclsh = popen(command, "w");
    assert_non_null(tclsh);
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t part = 0; part < 2; part++) {
            for (uint64_t i = random_word(&random) % 8; i > 0; i--)
                strcat(texts[round][part],
                       letters[random_word(&random) % (sizeof letters / sizeof letters[0])]);
            put_hex(tclsh, texts[round][part]);
            fputc(part == 0 ? ' ' : '\n', tclsh);
        }
    }
    assert_int_equal(pclose(tclsh), 0);
    snprintf(path, sizeof path, "%s/out", folder);
    FILE *answers = fopen(path, "r");
    assert_non_null(answers);
    for (int round = 0; round < ROUNDS; round++) {
        char theirs[16];
        const char *pattern = texts[round][0];
        const char *text = texts[round][1];
        assert_non_null(fgets(theirs, sizeof theirs, answers));
        if (glob(pattern, text) != (theirs[0] == '1') ||
            glob_fold(pattern, text) != (theirs[1] == '1'))
            fail_msg("pattern \"%s\", text \"%s\": Tcl %.2s, we %d%d", pattern, text, theirs,
                     glob(pattern, text), glob_fold(pattern, text));
    }
    fclose(answers);
    unlink(path);
    snprintf(path, sizeof path, "%s/judge.tcl", folder);
    unlink(path);
    rmdir(folder);
    free(texts);
}

/* Milliseconds of one match. */
static double time_match(const char *pattern, size_t pattern_length, const char *text,
                         size_t length, bool fold, bool wanted)
{
    aei_pool pool = {0};
    aero_error error;
    char *scratch = malloc(AEI_FOLD_ROOM(length));
    const aei_glob *compiled = aei_glob_compile(pattern, pattern_length, fold, &pool, &error);
    assert_non_null(compiled);
    const uint64_t begin = ae_os_monotonic_ns();
    assert_int_equal(aei_glob_match(compiled, text, length, scratch), wanted);
    const double elapsed_ms = (double)(ae_os_monotonic_ns() - begin) / 1e6;
    free(scratch);
    aei_pool_free(&pool);
    return elapsed_ms;
}

/* Goal: no pattern costs more than a few passes over the value; method: the worst known patterns
 * against a megabyte.  The bound is wide, for slow and sanitized builds: exponential and quadratic
 * matchers miss it by hours. */
static void glob_takes_linear_time(void **state)
{
    (void)state;
    enum { SIZE = 1 << 20, STARS = 300 };
    const double bound_ms = 1000;
    char *text = malloc(SIZE);
    char pattern[2 * 8000 + 8];
    memset(text, 'a', SIZE);
    for (int fold = 0; fold < 2; fold++) {
        size_t length = 0;
        for (int i = 0; i < STARS; i++) {
            pattern[length++] = '*';
            pattern[length++] = 'a';
        }
        pattern[length++] = '*';
        pattern[length++] = 'b';
        assert_true(time_match(pattern, length, text, SIZE, fold, false) < bound_ms);
        length = 0;
        for (int i = 0; i < 8000; i++) {
            pattern[length++] = i % 250 ? '?' : '*';
            pattern[length++] = 'a';
        }
        pattern[length++] = 'b';
        assert_true(time_match(pattern, length, text, SIZE, fold, false) < bound_ms);
        length = 0; /* one long piece that nearly matches everywhere */
        pattern[length++] = '*';
        for (int i = 0; i < 510; i++)
            pattern[length++] = i % 2 ? '?' : 'a';
        memcpy(pattern + length, "b*", 2);
        assert_true(time_match(pattern, length + 2, text, SIZE, fold, false) < bound_ms);
        memset(pattern, 'a', 8000); /* a long literal that nearly matches everywhere */
        pattern[0] = '*';
        pattern[7998] = 'b';
        pattern[7999] = '*';
        assert_true(time_match(pattern, 8000, text, SIZE, fold, false) < bound_ms);
    }
    for (size_t i = 0; i + 1 < SIZE; i += 2)
        memcpy(text + i, "\xc3\xa9", 2);
    assert_true(time_match("*\xc3\xa9?[\xc3\xa0-\xc3\xa8]*", 11, text, SIZE, true, false) <
                bound_ms);
    free(text);
}

/* Goal: patterns beyond the limits are refused; method: one past each. */
static void glob_limits(void **state)
{
    (void)state;
    aei_pool pool = {0};
    aero_error error;
    char *pattern = malloc(20000);
    memset(pattern, '?', 20000);
    assert_non_null(aei_glob_compile(pattern, 16384, false, &pool, &error)); /* not searched for */
    assert_null(aei_glob_compile(pattern, 16385, false, &pool, &error));
    assert_int_equal(error.code, AERO_LIMIT);
    pattern[0] = pattern[600] = '*';
    assert_null(aei_glob_compile(pattern, 601, false, &pool, &error));
    assert_int_equal(error.code, AERO_LIMIT);
    free(pattern);
    aei_pool_free(&pool);
}

/* Goal: literals and prefixes are known for what they are; method: examples. */
static void glob_literals(void **state)
{
    (void)state;
    aei_pool pool = {0};
    aero_error error;
    const char *data;
    size_t length;
    const aei_glob *literal = aei_glob_compile("a\\*b", 4, false, &pool, &error);
    assert_true(aei_glob_literal(literal, &data, &length));
    assert_int_equal(length, 3);
    assert_memory_equal(data, "a*b", 3);
    const aei_glob *prefix = aei_glob_compile("ab?c*", 5, false, &pool, &error);
    assert_false(aei_glob_literal(prefix, &data, &length));
    aei_glob_prefix(prefix, &data, &length);
    assert_int_equal(length, 2);
    assert_memory_equal(data, "ab", 2);
    assert_false(aei_glob_literal(aei_glob_compile("ab", 2, true, &pool, &error), &data, &length));
    aei_pool_free(&pool);
}

/* Goal: the table of lower case is sound; method: fold every character, by itself and in text. */
static void fold_of_every_character(void **state)
{
    (void)state;
    size_t changed = 0;
    for (uint32_t c = 0; c < 0x110000; c++) {
        if (c >= 0xd800 && c < 0xe000)
            continue;
        const uint32_t lower = aei_fold_char(c);
        char in[4];
        char out[AEI_FOLD_ROOM(4)];
        char wanted[4];
        changed += lower != c;
        assert_int_equal(aei_fold_char(lower), lower);
        const size_t size = aei_utf8_put(in, c);
        const size_t folded = aei_fold_text(in, size, out);
        assert_int_equal(folded, aei_utf8_put(wanted, lower));
        assert_memory_equal(out, wanted, folded);
        assert_true(folded <= size + 1);
    }
    assert_int_equal(changed, 1433);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(glob_examples),
    cmocka_unit_test(glob_without_case),
    cmocka_unit_test(glob_odd_bytes),
    cmocka_unit_test(glob_agrees_with_the_definition),
    cmocka_unit_test(glob_agrees_with_tcl),
    cmocka_unit_test(glob_takes_linear_time),
    cmocka_unit_test(glob_limits),
    cmocka_unit_test(glob_literals),
    cmocka_unit_test(fold_of_every_character),
};

AE_TEST_MAIN(tests)
