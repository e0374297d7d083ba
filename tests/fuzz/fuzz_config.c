/* SPDX-License-Identifier: MIT */

/* greetd.conf as a whole, and --message: load, print as --show-config does, load that: the same
 * settings. Each error names a line of the file, or the command line. */

#include <errno.h>

#include "fuzz.h"
#include "fuzz_file.h"
#include "fuzz_nearest.h"
#include "fuzz_text.h"
#include "greetd/config/config.h"
#include "greetd/config/files.h"

#define PATH "f"

/* The text of --message stands between these at the beginning of the input, if there is one. */
#define MESSAGE_BEGIN 1
#define MESSAGE_END   2

static const char command_line[] = "command line: --message=";

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

/* Whether LINE begins with the place of an error. */
static bool has_place(const char *line, bool has_message)
{
    char *end;

    if (has_message && strncmp(line, command_line, strlen(command_line)) == 0)
        return true;
    if (strncmp(line, PATH ":", strlen(PATH ":")) != 0)
        return false;
    unsigned long number = strtoul(line + strlen(PATH ":"), &end, 10);
    return number >= 1 && number <= count_lines(file_bytes, file_size) &&
           strncmp(end, ": ", 2) == 0;
}

static void check_places(const struct diagnostics *diagnostics, bool has_message)
{
    fuzz_check_lines(diagnostics, "");
    for (size_t i = 0; i < diagnostics->n_lines; i++)
        PROPERTY(has_place(diagnostics->lines[i], has_message));
}

/* Whether ERROR is one of fuzz_file.h, which config_load() returns if nothing else is wrong. */
static bool is_file_error(int error)
{
    return error == -ENOENT || error == -EACCES || error == -EISDIR;
}

/* Loads SIZE BYTES as the file, and MESSAGE, which may be NULL. Returns NULL if they are wrong. */
static struct config *load(const char *bytes, size_t size, const char *message)
{
    _cleanup_(diagnostics_deinit) struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    const struct config_options options = {.path = PATH, .message = message};
    struct config *config = NULL;

    file_bytes = bytes;
    file_size = size;
    int r = config_load(&config, &options, &diagnostics);
    check_places(&diagnostics, message);
    PROPERTY(r == 0 || r == -EBADMSG || is_file_error(r));
    PROPERTY((r < 0) == (diagnostics.n_errors > 0));
    PROPERTY((r < 0) == !config);
    if (config)
        check_places(config_remarks(config), message);
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
    struct fuzz_input input = {bytes, size};
    bool has_message = size > 0 && bytes[0] == MESSAGE_BEGIN && fuzz_take_number(&input, 1);
    _cleanup_free_ char *message = has_message ? fuzz_take_text(&input, MESSAGE_END) : NULL;
    _cleanup_(config_unrefp) struct config *again = NULL, *config = load((const char *)input.bytes,
                                                                         input.size, message);
    _cleanup_free_ char *shown = NULL, *shown_again = NULL;
    size_t shown_size, again_size;

    if (!config)
        return 0;
    shown = show(config, &shown_size);
    again = load(shown, shown_size, NULL);
    PROPERTY(again);
    PROPERTY(config_n_listeners(again) == config_n_listeners(config));
    shown_again = show(again, &again_size);
    PROPERTY(again_size == shown_size && memcmp(shown_again, shown, shown_size) == 0);
    return 0;
}
