/* SPDX-License-Identifier: MIT */
#include "greetd/config/files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/file.h"

#define DROP_IN_SUFFIX ".conf"

/* Takes ownership of *PATH and *BYTES on success. */
static int append(struct config_files *files, char **path, char **bytes, size_t size)
{
    struct config_file *grown = reallocarray(files->files, files->n + 1, sizeof(*grown));
    if (!grown)
        return -ENOMEM;

    files->files = grown;
    files->files[files->n++] =
        (struct config_file){.path = TAKE_PTR(*path), .bytes = TAKE_PTR(*bytes), .size = size};
    return 0;
}

static int read_one(struct config_files *files, const char *path, bool required,
                    struct diagnostics *diagnostics)
{
    _cleanup_free_ char *path_copy = strdup(path);
    _cleanup_free_ char *bytes = NULL;
    size_t size;

    if (!path_copy)
        return -ENOMEM;
    int r = file_read(&bytes, &size, path, CONFIG_FILES_SIZE_MAX);
    if (r == -ENOMEM || (r == -ENOENT && !required))
        return r == -ENOMEM ? r : 0;
    if (file_diagnose_shortage(path, r, diagnostics))
        return r;
    if (r < 0) {
        diagnostics_add(diagnostics, "%s: %s", path, file_strerror(r));
        return 0;
    }
    return append(files, &path_copy, &bytes, size);
}

static int is_drop_in(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name), suffix = strlen(DROP_IN_SUFFIX);

    return entry->d_name[0] != '.' && length > suffix &&
           strcmp(entry->d_name + length - suffix, DROP_IN_SUFFIX) == 0;
}

/* Unlike alphasort(3), independent of the locale. */
static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int read_drop_in(struct config_files *files, const char *directory, const char *name,
                        struct diagnostics *diagnostics)
{
    _cleanup_free_ char *path = NULL;

    if (asprintf(&path, "%s/%s", directory, name) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    return read_one(files, path, true, diagnostics);
}

static int read_directory(struct config_files *files, const char *directory,
                          struct diagnostics *diagnostics)
{
    struct dirent **entries;

    int n = scandir(directory, &entries, is_drop_in, compare_names);
    int r = n < 0 ? -errno : 0;
    if (r == -ENOENT)
        return 0;
    if (r == -ENOMEM || file_diagnose_shortage(directory, r, diagnostics))
        return r;
    if (r < 0) {
        diagnostics_add(diagnostics, "%s: %s", directory, strerror(-r));
        return 0;
    }

    for (int i = 0; i < n; i++) {
        if (r == 0)
            r = read_drop_in(files, directory, entries[i]->d_name, diagnostics);
        free(entries[i]);
    }
    free(entries);
    return r;
}

int config_files_read(struct config_files *ret, const char *path, bool required,
                      struct diagnostics *diagnostics)
{
    _cleanup_free_ char *directory = NULL;

    if (asprintf(&directory, "%s.d", path) < 0) {
        directory = NULL;
        return -ENOMEM;
    }
    int r = read_one(ret, path, required, diagnostics);
    return r < 0 ? r : read_directory(ret, directory, diagnostics);
}

void config_files_deinit(struct config_files *files)
{
    for (size_t i = 0; i < files->n; i++) {
        free(files->files[i].path);
        free(files->files[i].bytes);
    }
    free(files->files);
    *files = CONFIG_FILES_NULL;
}
