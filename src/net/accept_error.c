/* SPDX-License-Identifier: MIT */
#include "greetd/net/accept_error.h"

#include <errno.h>

/* In the order in which the metrics show them: those of the server first, then those that the
 * network passes on from a client. */
static const struct {
    int error;
    enum accept_error_class class;
} errors[ACCEPT_ERRORS_N] = {
    {EMFILE, ACCEPT_NO_RESOURCES},
    {ENFILE, ACCEPT_NO_RESOURCES},
    {ENOBUFS, ACCEPT_NO_RESOURCES},
    {ENOMEM, ACCEPT_NO_RESOURCES},
    /* The client stays in the queue, so trying again at once would spin. */
    {EPERM, ACCEPT_DENIED},
    {EACCES, ACCEPT_DENIED},
    {ECONNABORTED, ACCEPT_CLIENT_GONE},
    {EPROTO, ACCEPT_CLIENT_GONE},
    {ENETDOWN, ACCEPT_CLIENT_GONE},
    {ENOPROTOOPT, ACCEPT_CLIENT_GONE},
    {EHOSTDOWN, ACCEPT_CLIENT_GONE},
    {ENONET, ACCEPT_CLIENT_GONE},
    {EHOSTUNREACH, ACCEPT_CLIENT_GONE},
    {EOPNOTSUPP, ACCEPT_CLIENT_GONE},
    {ENETUNREACH, ACCEPT_CLIENT_GONE},
    {ETIMEDOUT, ACCEPT_CLIENT_GONE},
};

size_t accept_error_index(int error)
{
    size_t i = 0;

    while (i < ACCEPT_ERRORS_N && errors[i].error != error)
        i++;
    return i;
}

int accept_error_at(size_t index)
{
    return errors[index].error;
}

enum accept_error_class accept_error_class(int error)
{
    size_t i = accept_error_index(error);

    if (error == EAGAIN)
        return ACCEPT_QUEUE_EMPTY;
    if (error == EINTR)
        return ACCEPT_CLIENT_GONE;
    return i < ACCEPT_ERRORS_N ? errors[i].class : ACCEPT_SOCKET_BROKEN;
}
