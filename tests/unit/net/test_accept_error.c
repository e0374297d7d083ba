/* SPDX-License-Identifier: MIT */
#include "greetd/net/accept_error.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <string.h>

#include "greetd/base/cleanup.h"

struct class_of {
    int error;
    enum accept_error_class class;
};

ParameterizedTestParameters(accept_error, each_error_of_accept_has_its_class)
{
    static struct class_of classes[] = {
        {EAGAIN, ACCEPT_QUEUE_EMPTY},
        {EWOULDBLOCK, ACCEPT_QUEUE_EMPTY},
        {ECONNABORTED, ACCEPT_CLIENT_GONE},
        {EINTR, ACCEPT_CLIENT_GONE},
        {EPROTO, ACCEPT_CLIENT_GONE},
        {EPERM, ACCEPT_DENIED},
        {EACCES, ACCEPT_DENIED},
        {ENETDOWN, ACCEPT_CLIENT_GONE},
        {ENOPROTOOPT, ACCEPT_CLIENT_GONE},
        {EHOSTDOWN, ACCEPT_CLIENT_GONE},
        {ENONET, ACCEPT_CLIENT_GONE},
        {EHOSTUNREACH, ACCEPT_CLIENT_GONE},
        {EOPNOTSUPP, ACCEPT_CLIENT_GONE},
        {ENETUNREACH, ACCEPT_CLIENT_GONE},
        {ETIMEDOUT, ACCEPT_CLIENT_GONE},
        {EMFILE, ACCEPT_NO_RESOURCES},
        {ENFILE, ACCEPT_NO_RESOURCES},
        {ENOBUFS, ACCEPT_NO_RESOURCES},
        {ENOMEM, ACCEPT_NO_RESOURCES},
        {EBADF, ACCEPT_SOCKET_BROKEN},
        {EINVAL, ACCEPT_SOCKET_BROKEN},
        {ENOTSOCK, ACCEPT_SOCKET_BROKEN},
        {EFAULT, ACCEPT_SOCKET_BROKEN},
    };
    return cr_make_param_array(struct class_of, classes, ELEMENTSOF(classes));
}

ParameterizedTest(struct class_of *expected, accept_error, each_error_of_accept_has_its_class)
{
    cr_assert_eq(accept_error_class(expected->error), expected->class, "%s",
                 strerrorname_np(expected->error));
}

Test(accept_error, each_counted_error_has_a_number_of_its_own)
{
    for (size_t i = 0; i < ACCEPT_ERRORS_N; i++)
        cr_expect_eq(accept_error_index(accept_error_at(i)), i, "%zu", i);
    cr_expect_eq(accept_error_index(EAGAIN), ACCEPT_ERRORS_N);
    cr_expect_eq(accept_error_index(EINTR), ACCEPT_ERRORS_N);
    cr_expect_eq(accept_error_index(EBADF), ACCEPT_ERRORS_N);
}
