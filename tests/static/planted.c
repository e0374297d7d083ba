/* SPDX-License-Identifier: MIT */
/* One defect in each function, each of which tests/check-static has to find. Nothing calls them. */
#include <stdlib.h>

void leaks(int condition)
{
    char *bytes = malloc(16);

    if (condition)
        return;
    free(bytes);
}

char uses_after_free(char *bytes)
{
    free(bytes);
    return bytes[0];
}

void frees_twice(char *bytes)
{
    free(bytes);
    free(bytes);
}

int dereferences_null(int condition)
{
    int *value = NULL;

    if (condition)
        value = &condition;
    return *value;
}

int reads_uninitialised(int condition)
{
    int value;

    if (condition)
        value = 1;
    return value;
}
