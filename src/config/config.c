/* SPDX-License-Identifier: MIT */
#include "greetd/config/config.h"

#include <errno.h>
#include <string.h>

#include "greetd/base/file.h"
#include "greetd/base/refcount.h"
#include "greetd/base/text.h"
#include "greetd/config/files.h"
#include "greetd/config/greetings.h"
#include "greetd/config/loader.h"
#include "greetd/config/section.h"
#include "greetd/config/sections.h"
#include "greetd/config/setting_table.h"
#include "greetd/config/setting_values.h"

struct listener_entry {
    struct config_listener listener;
    struct greetings greetings;
    struct networks *networks, *trusted; /* a reference each, or NULL */
};

struct config {
    struct refcount references;
    struct config_files files;      /* without their bytes */
    struct sections sections;       /* complete */
    struct listener_entry *entries; /* owned: for [Greeting], then for each [Listener NAME] */
    size_t n_entries;
    struct diagnostics remarks;
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
    for (size_t i = 0; i < config->n_entries; i++) {
        greetings_deinit(&config->entries[i].greetings);
        networks_unref(config->entries[i].networks);
        networks_unref(config->entries[i].trusted);
    }
    free(config->entries);
    diagnostics_deinit(&config->remarks);
    config_files_deinit(&config->files);
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
    return &config->sections.items[SECTIONS_SERVER].values.server;
}

const char *config_server_origin(const struct config *config, const char *name)
{
    const char *origin = setting_values_origin(&config->sections.items[SECTIONS_SERVER].values,
                                               setting_find(name, SECTION_SERVER));

    return strcmp(origin, SETTING_ORIGIN_DEFAULT) == 0 ? NULL : origin;
}

const struct limit_settings *config_limits(const struct config *config)
{
    return &config->sections.items[SECTIONS_LIMITS].values.limits;
}

const struct log_settings *config_log(const struct config *config)
{
    return &config->sections.items[SECTIONS_LOG].values.log;
}

const struct config_listener *config_default_listener(const struct config *config)
{
    return &config->entries[0].listener;
}

size_t config_n_listeners(const struct config *config)
{
    return config->n_entries - 1;
}

const struct config_listener *config_listener_at(const struct config *config, size_t index)
{
    return &config->entries[1 + index].listener;
}

const struct config_listener *config_find_listener(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config_n_listeners(config); i++)
        if (strcmp(config_listener_at(config, i)->name, name) == 0)
            return config_listener_at(config, i);
    return NULL;
}

const struct diagnostics *config_remarks(const struct config *config)
{
    return &config->remarks;
}

size_t config_n_files(const struct config *config)
{
    return config->files.n;
}

const char *config_file_at(const struct config *config, size_t index)
{
    return config->files.files[index].path;
}

int config_show(const struct config *config, FILE *stream)
{
    char header[SECTION_TEXT_MAX];

    errno = 0;
    for (size_t i = 0; i < config->sections.n; i++) {
        const struct section *section = &config->sections.items[i];
        fprintf(stream, "%s%s\n", i > 0 ? "\n" : "",
                section_format(section->kind, section->name, header));
        setting_values_print(&section->values, section->kind, stream);
    }
    if (fflush(stream) == 0 && !ferror(stream))
        return 0;
    return errno > 0 ? -errno : -EIO;
}

/* A configuration while it is loaded. */
struct load {
    struct config *config;
    struct file_report report;
};

/* The first entry, that of [Greeting], has the lists of [Limits]; a listener without lists of its
 * own shares them. */
static int compile_networks(struct load *load, struct listener_entry *entry,
                            const struct section *section)
{
    const struct limit_settings *own =
        section->kind == SECTION_GREETING ? config_limits(load->config) : &section->values.limits;

    if (section->kind != SECTION_GREETING && own->allow.n == 0 && own->deny.n == 0) {
        entry->networks = networks_ref(load->config->entries[0].networks);
        return 0;
    }
    return networks_compile(&entry->networks, &own->allow, "Allow", &own->deny, &load->report);
}

static int compile_trusted(struct load *load, struct listener_entry *entry,
                           const struct section *section)
{
    static const struct network_list none;
    const struct setting *setting = setting_find("ProxyTrustedSources", SECTION_GREETING);
    const struct section *base = &load->config->sections.items[SECTIONS_GREETING];

    if (section != base && strcmp(setting_values_origin(&section->values, setting),
                                  setting_values_origin(&base->values, setting)) == 0) {
        entry->trusted = networks_ref(load->config->entries[0].trusted);
        return 0;
    }
    return networks_compile(&entry->trusted, &section->values.greeting.proxy_trusted_sources,
                            setting->name, &none, &load->report);
}

static int add_entry(struct load *load, const struct section *section)
{
    struct config *config = load->config;
    const struct section *sections = config->sections.items;
    bool is_default = section->kind == SECTION_GREETING;
    struct listener_entry *entry = &config->entries[config->n_entries++];

    int r = greetings_compile(&entry->greetings, &section->values,
                              is_default ? NULL : &sections[SECTIONS_GREETING].values,
                              &config->entries[0].greetings, &load->report);
    if (r >= 0)
        r = compile_networks(load, entry, section);
    if (r >= 0)
        r = compile_trusted(load, entry, section);
    entry->listener = (struct config_listener){
        .name = is_default ? CONFIG_SERVER_NAME : section->name,
        .settings = section->values.greeting,
        .addresses = is_default ? sections[SECTIONS_SERVER].values.listen : section->values.listen,
        .greeting = greetings_first(&entry->greetings, &section->values),
        .stale = entry->greetings.stale,
        .stop = entry->greetings.stop,
        .refuse = entry->greetings.refuse,
        .file = greetings_source(&section->values),
        .log_silent = config_log(config)->silent_connections,
        .networks = entry->networks,
        .trusted = entry->trusted,
        .limits = &config_limits(config)->per_source,
    };
    return r;
}

static int add_entries(struct load *load)
{
    struct config *config = load->config;

    config->entries = calloc(config->sections.n - SECTIONS_GREETING, sizeof(*config->entries));
    if (!config->entries)
        return -ENOMEM;

    for (size_t i = SECTIONS_GREETING; i < config->sections.n; i++) {
        int r = add_entry(load, &config->sections.items[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_files(struct config *config, const struct config_options *options,
                      struct diagnostics *diagnostics)
{
    const char *path = options->path ? options->path : CONFIG_PATH_DEFAULT;

    int r = config_files_read(&config->files, path, options->path != NULL, diagnostics);
    for (size_t i = 0; i < config->files.n && r >= 0; i++) {
        struct config_file *file = &config->files.files[i];
        r = loader_read_file(&config->sections, file->path, file->bytes, file->size, diagnostics);
        free(file->bytes);
        file->bytes = NULL;
    }
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
    size_t n_before = diagnostics->n_errors;

    int r = sections_init(&sections);
    if (r >= 0)
        r = read_options(&sections, options, diagnostics);
    if (r < 0)
        return r;
    sections_diagnose_duplicates(&sections, diagnostics);
    return diagnostics->n_errors > n_before ? -EBADMSG : 0;
}

int config_load(struct config **ret, const struct config_options *options,
                struct diagnostics *diagnostics)
{
    _cleanup_(config_unrefp) struct config *config = NULL;
    struct load load = {.report = {.errors = diagnostics}};
    size_t n_before = diagnostics->n_errors;

    int r = config_new(&config);
    if (r >= 0)
        r = read_files(config, options, diagnostics);
    if (r >= 0)
        r = read_options(&config->sections, options, diagnostics);
    if (r >= 0)
        r = sections_complete(&config->sections);
    if (r < 0)
        return r;
    load.config = config;
    load.report.remarks = &config->remarks;
    r = add_entries(&load);
    if (r < 0)
        return r;

    sections_diagnose_duplicates(&config->sections, diagnostics);
    sections_diagnose_needs(&config->sections, diagnostics);
    size_t n_errors = diagnostics->n_errors - n_before;
    if (n_errors > 0)
        return n_errors == load.report.n_unreadable ? load.report.read_error : -EBADMSG;
    *ret = TAKE_PTR(config);
    return 0;
}
