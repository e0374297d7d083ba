/* SPDX-License-Identifier: MIT */
#include "client/resolve.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>

#include "support/fake.h"
#include "support/fake_malloc.h"

TestSuite(resolve_allocation, .timeout = 60);

/* In place of that of the C library, which does not survive each failed allocation. */
FAKE int getaddrinfo(const char *name, const char *port, const struct addrinfo *hints,
                     struct addrinfo **ret)
{
    struct addrinfo *info = calloc(1, sizeof(*info) + sizeof(struct sockaddr_in));

    (void)name;
    (void)port;
    (void)hints;
    if (!info)
        return EAI_MEMORY;
    info->ai_addr = (struct sockaddr *)(info + 1);
    info->ai_addrlen = sizeof(struct sockaddr_in);
    info->ai_addr->sa_family = AF_INET;
    *ret = info;
    return 0;
}

FAKE void freeaddrinfo(struct addrinfo *info)
{
    free(info);
}

/* Resolves TEXT while each allocation fails in turn. Returns how many of them were errors. */
static unsigned refuse_each(const char *text)
{
    unsigned nth = 0, n_errors = 0;

    do {
        struct resolve_list list = {0};
        const char *why = NULL;

        count_from_here(++nth);
        int r = resolve(&list, text, 5000000, &why);
        count_to_here();
        n_errors += r < 0;
        cr_assert(r == 0 || r == -ENOMEM || r == -EHOSTUNREACH, "the %uth: %d", nth, r);
        cr_assert_eq(r < 0, list.n == 0, "the %uth", nth);
        cr_assert_eq(r < 0, why != NULL, "the %uth", nth);
        cr_assert(r != -ENOMEM || strcmp(why, "out of memory") == 0, "%s", why);
        resolve_deinit(&list);
    } while (counted.n >= nth);
    return n_errors;
}

Test(resolve_allocation, that_is_refused_is_an_error)
{
    if (!CAN_INTERPOSE)
        cr_skip("the sanitizer has an allocator of its own");
    cr_expect_eq(refuse_each("80"), 1);
    cr_expect_eq(refuse_each("127.0.0.1:80"), 1);
    /* The lookup, its answer, the list, and what the C library needs for its first thread. */
    for (int i = 0; i < 3; i++)
        cr_expect_geq(refuse_each("localhost:80"), 3);
}
