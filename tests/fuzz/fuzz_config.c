/* SPDX-License-Identifier: MIT */

/* greetd.conf as a whole: load, print as --show-config does, load that: the same settings. Each
 * error names a line of the file. */

#include <errno.h>

#include "fuzz.h"
#include "fuzz_file.h"
#include "fuzz_nearest.h"
#include "fuzz_text.h"
#include "greetd/config/config.h"
#include "greetd/config/files.h"

#define PATH "f"

/* What config_files_read() finds. */
static const char *file_bytes;
static size_t file_size;

int config_files_read(struct config_files *ret, const char *path, bool required,
                      struct diagnostics *diagnostics)
{
    (void)required, (void)diagnostics;
    ret->files = calloc(1, sizeof(*ret->files));
    PROPERTY(ret->files);
    ret->n = 1;
    ret->files[0] = (struct config_file){
        .path = strdup(path), .bytes = malloc(file_size + 1), .size = file_size};
    PROPERTY(ret->files[0].path && ret->files[0].bytes);
    memcpy(ret->files[0].bytes, file_bytes, file_size);
    ret->files[0].bytes[file_size] = '\0';
    return 0;
}

/* At least as many lines as there are. */
FUZZ_UNTRACED static size_t count_lines(const char *bytes, size_t size)
{
    size_t n = 1;

    for (size_t i = 0; i < size; i++)
        n += bytes[i] == '\n' || bytes[i] == '\r';
    return n;
}

static void check_places(const struct diagnostics *diagnostics)
{
    size_t n_lines = count_lines(file_bytes, file_size);

    fuzz_check_lines(diagnostics, PATH ":");
    for (size_t i = 0; i < diagnostics->n_lines; i++) {
        char *end;
        unsigned long line = strtoul(diagnostics->lines[i] + strlen(PATH ":"), &end, 10);
        PROPERTY(line >= 1 && line <= n_lines);
        PROPERTY(strncmp(end, ": ", 2) == 0);
    }
}

/* Loads SIZE BYTES as the file. Returns NULL if they are wrong. */
static struct config *load(const char *bytes, size_t size)
{
    _cleanup_(diagnostics_deinit) struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    const struct config_options options = {.path = PATH};
    struct config *config = NULL;

    file_bytes = bytes;
    file_size = size;
    int r = config_load(&config, &options, &diagnostics);
    check_places(&diagnostics);
    PROPERTY(r == 0 || r == -EBADMSG || r == -EACCES);
    PROPERTY((r < 0) == (diagnostics.n_errors > 0));
    PROPERTY((r < 0) == !config);
    return config;
}

/* Prints CONFIG without its origins, to *RET_SIZE bytes that are the caller's. */
static char *show(const struct config *config, size_t *ret_size)
{
    char *bytes = NULL, *to;
    FILE *stream = open_memstream(&bytes, ret_size);

    PROPERTY(stream);
    PROPERTY(config_show(config, stream) == 0);
    PROPERTY(fclose(stream) == 0);
    to = bytes;
    for (const char *line = bytes, *next; line < bytes + *ret_size; line = next) {
        next = (const char *)memchr(line, '\n', *ret_size - (size_t)(line - bytes)) + 1;
        if (*line == '#')
            continue;
        memmove(to, line, (size_t)(next - line));
        to += next - line;
    }
    *ret_size = (size_t)(to - bytes);
    return bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    _cleanup_(config_unrefp) struct config *config = load((const char *)bytes, size);
    _cleanup_(config_unrefp) struct config *again = NULL;
    _cleanup_free_ char *shown = NULL, *shown_again = NULL;
    size_t shown_size, again_size;

    if (!config)
        return 0;
    check_places(config_remarks(config));
    shown = show(config, &shown_size);
    again = load(shown, shown_size);
    PROPERTY(again);
    PROPERTY(config_n_listeners(again) == config_n_listeners(config));
    shown_again = show(again, &again_size);
    PROPERTY(again_size == shown_size && memcmp(shown_again, shown, shown_size) == 0);
    return 0;
}
