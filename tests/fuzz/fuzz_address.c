/* SPDX-License-Identifier: MIT */

/* Addresses of ListenStream= and of greet: text -> address -> text -> the same address. */

#include "greetd/net/address.h"

#include <errno.h>

#include "fuzz.h"
#include "fuzz_peer.h"
#include "greetd/base/cleanup.h"

static bool is_printable_ascii(const char *text)
{
    for (const char *p = text; *p; p++)
        if (*p < ' ' || *p > '~')
            return false;
    return true;
}

/* IPv4 mapped to IPv6 is written as IPv4, and so becomes another address, on the same socket. */
static bool is_mapped(const struct address *address)
{
    return address->sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address->in6.sin6_addr);
}

/* An interface that there is not, and a name that is not ASCII, are not written as they are read.
 */
static void check_round_trip(struct address *address, const char *text)
{
    struct address again;
    char buffer[ADDRESS_TEXT_MAX];
    const char *why;

    int r = address_find_interface(address);
    PROPERTY(r == 0 || r == -ENODEV);
    address_format(address, buffer);
    PROPERTY(strlen(buffer) < ADDRESS_TEXT_MAX);
    PROPERTY(is_printable_ascii(buffer));
    if (r < 0 || !is_printable_ascii(text))
        return;

    PROPERTY(address_parse(&again, buffer, &why) == 0);
    PROPERTY(address_find_interface(&again) == 0);
    PROPERTY(again.length == address->length || is_mapped(address));
    PROPERTY(address_equal_host(&again, address) || address->sa.sa_family == AF_UNIX);
    PROPERTY(address_equal(&again, address) || address_has_dynamic_port(address));
    PROPERTY(address_has_dynamic_port(&again) == address_has_dynamic_port(address));
    PROPERTY(address_is_wildcard(&again) == address_is_wildcard(address));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    _cleanup_free_ char *text = fuzz_text(bytes, size);
    struct address address;
    const char *why = NULL;
    int r = address_parse(&address, text, &why);

    if (r < 0) {
        PROPERTY(r == -EINVAL);
        PROPERTY(why && *why);
        return 0;
    }
    PROPERTY(address.length > 0 && address.length <= sizeof(address.storage));
    PROPERTY(address_has_dynamic_port(&address) || address_equal(&address, &address));
    check_round_trip(&address, text);
    return 0;
}
