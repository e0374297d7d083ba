/* SPDX-License-Identifier: MIT */
#include "greetd/config/config.h"

#include <errno.h>
#include <string.h>

#include "greetd/base/file.h"
#include "greetd/base/refcount.h"
#include "greetd/base/text.h"
#include "greetd/config/files.h"
#include "greetd/config/loader.h"
#include "greetd/config/section.h"
#include "greetd/greeting/template.h"

struct listener_entry {
    struct config_listener view; /* what others see of it */
    struct greeting *greeting;   /* owned; NULL if it is the first entry's */
};

struct config {
    struct refcount references;
    struct sections sections;       /* complete, and never changed again */
    struct listener_entry *entries; /* owned: for [Greeting], then for each [Listener NAME] */
    size_t n_entries;
    size_t n_refused; /* of the mistakes, files that the system did not let us read */
    int refusal;      /* why not, of the last one: a negative errno */
};

static int config_new(struct config **ret)
{
    _cleanup_(config_unrefp) struct config *config = calloc(1, sizeof(*config));
    if (!config)
        return -ENOMEM;
    refcount_init(&config->references);

    int r = sections_init(&config->sections);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(config);
    return 0;
}

static void config_free(struct config *config)
{
    for (size_t i = 0; i < config->n_entries; i++)
        greeting_free(config->entries[i].greeting);
    free(config->entries);
    sections_deinit(&config->sections);
    free(config);
}

struct config *config_ref(struct config *config)
{
    refcount_take(&config->references);
    return config;
}

void config_unref(struct config *config)
{
    if (config && refcount_drop(&config->references))
        config_free(config);
}

const struct server_settings *config_server(const struct config *config)
{
    return &config->sections.sections[SECTIONS_SERVER].values.server;
}

const char *config_server_origin(const struct config *config, const char *name)
{
    const char *origin = setting_origin(&config->sections.sections[SECTIONS_SERVER].values,
                                        setting_find(name, SECTION_SERVER));

    return strcmp(origin, SETTING_ORIGIN_DEFAULT) == 0 ? NULL : origin;
}

const struct log_settings *config_log(const struct config *config)
{
    return &config->sections.sections[SECTIONS_LOG].values.log;
}

const struct config_listener *config_default_listener(const struct config *config)
{
    return &config->entries[0].view;
}

size_t config_n_listeners(const struct config *config)
{
    return config->n_entries - 1;
}

const struct config_listener *config_listener_at(const struct config *config, size_t index)
{
    return &config->entries[1 + index].view;
}

const struct config_listener *config_find_listener(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config_n_listeners(config); i++)
        if (strcmp(config_listener_at(config, i)->name, name) == 0)
            return config_listener_at(config, i);
    return NULL;
}

int config_show(const struct config *config, FILE *stream)
{
    char header[SECTION_TEXT_MAX];

    errno = 0;
    for (size_t i = 0; i < config->sections.n; i++) {
        const struct section *section = &config->sections.sections[i];
        fprintf(stream, "%s%s\n", i > 0 ? "\n" : "",
                section_format(section->kind, section->name, header));
        setting_values_print(&section->values, section->kind, stream);
    }
    if (fflush(stream) == 0 && !ferror(stream))
        return 0;
    return errno > 0 ? -errno : -EIO;
}

/* The setting that the greeting of VALUES is made of. */
static const struct setting *message_of(const struct setting_values *values)
{
    return setting_find(values->greeting.message_file ? "MessageFile" : "Message",
                        SECTION_GREETING);
}

/* Whether both have their greeting from the same line, so that it is one and the same. */
static bool same_message(const struct setting_values *a, const struct setting_values *b)
{
    const struct setting *message = message_of(a);

    return message == message_of(b) && a->greeting.expand == b->greeting.expand &&
           strcmp(setting_origin(a, message), setting_origin(b, message)) == 0;
}

/* A message whose bad escapes have been reported. */
static int compile_text(struct greeting **ret, const struct setting_values *values,
                        struct diagnostics *diagnostics)
{
    const char *text = values->greeting.message, *why;
    const char *origin = setting_origin(values, message_of(values));
    bool is_option = strcmp(origin, SETTING_ORIGIN_COMMAND_LINE) == 0;
    size_t offset;

    if (!values->greeting.expand)
        return template_compile_escapes(ret, text, &why, &offset);
    return template_compile(ret, text, origin, is_option ? "--message" : "Message", diagnostics);
}

/* What is wrong with the file itself, as file_read() has it. All else is the system's refusal. */
static bool is_bad_file(int error)
{
    return error == -EINVAL || error == -EISDIR || error == -EFBIG;
}

static int compile_file(struct greeting **ret, struct config *config,
                        const struct setting_values *values, struct diagnostics *diagnostics)
{
    const char *path = values->greeting.message_file;
    const char *origin = setting_origin(values, message_of(values));
    _cleanup_(greeting_freep) struct greeting *greeting = NULL;

    int r = greeting_new_from_file(&greeting, path);
    if (file_diagnose_shortage(path, r, diagnostics))
        return r;
    if (r < 0 && r != -ENOMEM) {
        char excerpt[TEXT_EXCERPT_MAX];
        diagnostics_add(diagnostics, "%s: MessageFile=%s: %s", origin, text_excerpt(path, excerpt),
                        file_strerror(r));
        if (!is_bad_file(r)) {
            config->n_refused++;
            config->refusal = r;
        }
        return -EINVAL;
    }
    if (r >= 0 && values->greeting.expand)
        r = template_expand(&greeting, path, origin, "MessageFile", diagnostics);
    if (r >= 0)
        *ret = TAKE_PTR(greeting);
    return r;
}

/* Compiles the greeting of VALUES. What is wrong with it is a mistake of the line that has it; *RET
 * is NULL then. */
static int compile_greeting(struct greeting **ret, struct config *config,
                            const struct setting_values *values, struct diagnostics *diagnostics)
{
    *ret = NULL;
    int r = values->greeting.message_file ? compile_file(ret, config, values, diagnostics)
                                          : compile_text(ret, values, diagnostics);
    return r == -EINVAL || r == -EFBIG ? 0 : r;
}

static int add_entry(struct config *config, const struct section *section,
                     struct diagnostics *diagnostics)
{
    const struct section *sections = config->sections.sections;
    bool is_default = section->kind == SECTION_GREETING;
    struct listener_entry *entry = &config->entries[config->n_entries];

    if (is_default || !same_message(&section->values, &sections[SECTIONS_GREETING].values)) {
        int r = compile_greeting(&entry->greeting, config, &section->values, diagnostics);
        if (r < 0)
            return r;
    }
    entry->view = (struct config_listener){
        .name = is_default ? CONFIG_SERVER_NAME : section->name,
        .settings = section->values.greeting,
        .addresses = is_default ? sections[SECTIONS_SERVER].values.listen : section->values.listen,
        .greeting = entry->greeting ? entry->greeting : config->entries[0].greeting,
    };
    config->n_entries++;
    return 0;
}

static int add_entries(struct config *config, struct diagnostics *diagnostics)
{
    config->entries = calloc(config->sections.n - SECTIONS_GREETING, sizeof(*config->entries));
    if (!config->entries)
        return -ENOMEM;

    for (size_t i = SECTIONS_GREETING; i < config->sections.n; i++) {
        int r = add_entry(config, &config->sections.sections[i], diagnostics);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_files(struct sections *sections, const struct config_options *options,
                      struct diagnostics *diagnostics)
{
    _cleanup_(config_files_deinit) struct config_files files = CONFIG_FILES_NULL;
    const char *path = options->path ? options->path : CONFIG_PATH_DEFAULT;

    int r = config_files_read(&files, path, options->path != NULL, diagnostics);
    for (size_t i = 0; i < files.n && r >= 0; i++)
        r = loader_read_file(sections, files.files[i].path, files.files[i].bytes,
                             files.files[i].size, diagnostics);
    return r;
}

static int read_options(struct sections *sections, const struct config_options *options,
                        struct diagnostics *diagnostics)
{
    return loader_read_options(sections, options->listen, options->n_listen, options->message,
                               diagnostics);
}

int config_check_options(const struct config_options *options, struct diagnostics *diagnostics)
{
    _cleanup_(sections_deinit) struct sections sections = SECTIONS_NULL;
    size_t n_errors = diagnostics->n_errors;

    int r = sections_init(&sections);
    if (r >= 0)
        r = read_options(&sections, options, diagnostics);
    if (r < 0)
        return r;
    sections_find_duplicates(&sections, diagnostics);
    return diagnostics->n_errors > n_errors ? -EBADMSG : 0;
}

int config_load(struct config **ret, const struct config_options *options,
                struct diagnostics *diagnostics)
{
    _cleanup_(config_unrefp) struct config *config = NULL;
    size_t n_errors = diagnostics->n_errors;

    int r = config_new(&config);
    if (r >= 0)
        r = read_files(&config->sections, options, diagnostics);
    if (r >= 0)
        r = read_options(&config->sections, options, diagnostics);
    if (r >= 0)
        r = sections_complete(&config->sections);
    if (r >= 0)
        r = add_entries(config, diagnostics);
    if (r < 0)
        return r;

    sections_find_duplicates(&config->sections, diagnostics);
    n_errors = diagnostics->n_errors - n_errors;
    if (n_errors > 0)
        return n_errors == config->n_refused ? config->refusal : -EBADMSG;
    *ret = TAKE_PTR(config);
    return 0;
}
