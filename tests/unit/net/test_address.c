/* SPDX-License-Identifier: MIT */
#include "greetd/net/address.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <string.h>

#include "greetd/base/cleanup.h"
#include "support/net.h"

/* Criterion copies a row into the process of its test, but not the memory a pointer points to. */
struct row {
    char text[112];
    char expected[160]; /* the result of address_format(), or a part of the error */
};

/* Returns the address TEXT with the index of its interface. */
static struct address address_here(const char *text)
{
    struct address address = net_address(text);

    cr_assert_eq(address_find_interface(&address), 0, "%s", text);
    return address;
}

ParameterizedTestParameters(address, parses_every_form_of_ListenStream)
{
    static struct row rows[] = {
        {"80", "[::]:80"},
        {"0", "[::]:0"},
        {"65535", "[::]:65535"},
        {"127.0.0.1:12345", "127.0.0.1:12345"},
        {"0.0.0.0:0", "0.0.0.0:0"},
        {"[::1]:80", "[::1]:80"},
        {"[2001:DB8:0:0::1]:65535", "[2001:db8::1]:65535"},
        {"[::ffff:192.0.2.1]:80", "192.0.2.1:80"},
        {"[fe80::1%lo]:80", "[fe80::1%lo]:80"},
        {"[fe80::1]:80%lo", "[fe80::1%lo]:80"},
        {"[fe80::1]:80%1", "[fe80::1%lo]:80"},
        {"[fe80::1%4000000000]:80", "[fe80::1%4000000000]:80"},
        {"/run/greetd.sock", "/run/greetd.sock"},
        {"/run/with space:and=more", "/run/with space:and=more"},
        {"/\xc3\xa4", "/\\xc3\\xa4"},
        {"@greetd", "@greetd"},
        {"@@", "@@"},
        {"vsock:3:1024", "vsock:3:1024"},
        {"vsock::1024", "vsock::1024"},
        {"vsock:4294967295:4294967295", "vsock::4294967295"},
    };
    return cr_make_param_array(struct row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct row *row, address, parses_every_form_of_ListenStream)
{
    struct address address = address_here(row->text);
    char text[ADDRESS_TEXT_MAX];

    cr_expect_str_eq(address_format(&address, text), row->expected);
}

ParameterizedTestParameters(address, explains_a_text_that_is_no_address)
{
    static struct row rows[] = {
        {"", "an address is PORT"},
        {"http", "an address is PORT"},
        {" 80", "an address is PORT"},
        {"80 ", "an address is PORT"},
        {"+80", "an address is PORT"},
        {"-1", "an address is PORT"},
        {"0x50", "an address is PORT"},
        {"65536", "from 0 to 65535"},
        {"99999999999999999999999", "from 0 to 65535"},
        {"080", "leading zeros"},
        {"127.0.0.1", "the port is missing"},
        {"127.0.0.1:", "from 0 to 65535"},
        {"127.0.0.1:65536", "from 0 to 65535"},
        {"127.0.0.1:80 ", "from 0 to 65535"},
        {"127.0.0.1:http", "from 0 to 65535"},
        {"127.1:80", "not an IPv4 address"},
        {"256.0.0.1:80", "not an IPv4 address"},
        {":80", "not an IPv4 address"},
        {"localhost:80", "names are not looked up"},
        {"*:80", "not an IPv4 address"},
        {"::1:80", "in brackets"},
        {"[::1:80", "closing bracket"},
        {"[::1]", "the port is missing"},
        {"[::1]80", "the port is missing"},
        {"[::1]:", "from 0 to 65535"},
        {"[]:80", "not an IPv6 address"},
        {"[127.0.0.1]:80", "not an IPv6 address"},
        {"[::1 ]:80", "not an IPv6 address"},
        {"[1:2:3:4:5:6:7:8:9:10:11:12:13:14:15:16:17:18:19:20]:80", "not an IPv6 address"},
        {"[::1]:80%lo", "only a link-local"},
        {"[fe80::1%]:80", "a network interface has"},
        {"[fe80::1%0]:80", "a network interface has"},
        {"[fe80::1]:80%a:b", "a network interface has"},
        {"[fe80::1]:80%lo%lo", "a network interface has"},
        {"[fe80::1%a%d]:80", "a network interface has"},
        {"[fe80::1]:80%a\nb", "a network interface has"},
        {"[fe80::1]:80%sixteen-letters.", "a network interface has"},
        {"[fe80::1%lo]:80%lo", "given twice"},
        {"run/greetd.sock", "must be absolute"},
        {"./greetd.sock", "must be absolute"},
        {"@", "needs a name"},
        {"/", "the root directory"},
        {"/run/tab\tbed", "control characters"},
        {"@line\nbreak", "control characters"},
        {"/run/greetd.sock ", "end in a space or a backslash"},
        {"/run/greetd.sock\\", "end in a space or a backslash"},
        {"vsock:", "vsock:CID:PORT"},
        {"vsock:3", "vsock:CID:PORT"},
        {"vsock:3:", "a vsock port"},
        {"vsock:3:4:5", "a vsock port"},
        {"vsock:host:4", "a vsock CID"},
        {"vsock:4294967296:4", "a vsock CID"},
        {"vsock:3:4294967296", "a vsock port"},
    };
    return cr_make_param_array(struct row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct row *row, address, explains_a_text_that_is_no_address)
{
    struct address address, untouched;
    const char *why = NULL;

    memset(&address, 0xa5, sizeof(address));
    untouched = address;
    cr_assert_eq(address_parse(&address, row->text, &why), -EINVAL);
    cr_assert_neq(why, NULL);
    cr_expect_neq(strstr(why, row->expected), NULL, "%s: %s", row->text, why);
    cr_expect_eq(memcmp(&address, &untouched, sizeof(address)), 0);
}

Test(address, fills_in_the_sockaddr)
{
    struct address in = net_address("192.0.2.1:80");
    cr_expect_eq(in.in.sin_family, AF_INET);
    cr_expect_eq(ntohs(in.in.sin_port), 80);
    cr_expect_eq(ntohl(in.in.sin_addr.s_addr), 0xc0000201);
    cr_expect_eq(in.length, sizeof(struct sockaddr_in));

    struct address in6 = net_address("[fe80::1%7]:80");
    cr_expect_eq(in6.in6.sin6_family, AF_INET6);
    cr_expect_eq(ntohs(in6.in6.sin6_port), 80);
    cr_expect_eq(in6.in6.sin6_scope_id, 7);
    cr_expect_eq(in6.length, sizeof(struct sockaddr_in6));

    struct address vm = net_address("vsock::7");
    cr_expect_eq(vm.vm.svm_family, AF_VSOCK);
    cr_expect_eq(vm.vm.svm_cid, VMADDR_CID_ANY);
    cr_expect_eq(vm.vm.svm_port, 7);
    cr_expect_eq(vm.length, sizeof(struct sockaddr_vm));

    struct address path = net_address("/a");
    cr_expect_eq(path.un.sun_family, AF_UNIX);
    cr_expect_str_eq(path.un.sun_path, "/a");
    cr_expect_eq(path.length, offsetof(struct sockaddr_un, sun_path) + 3);

    struct address abstract = net_address("@ab");
    cr_expect_eq(memcmp(abstract.un.sun_path, "\0ab", 3), 0);
    cr_expect_eq(abstract.length, offsetof(struct sockaddr_un, sun_path) + 3);
}

Test(address, finds_an_existing_interface)
{
    struct address named = net_address("[fe80::1]:80%lo"), numbered = net_address("[fe80::1%1]:80");
    struct address none = net_address("[fe80::1%no-such]:80");

    cr_expect_eq(address_find_interface(&named), 0);
    cr_expect(address_equal(&named, &numbered));
    cr_expect_eq(address_find_interface(&none), -ENODEV);
    cr_expect_eq(address_find_interface(&numbered), 0);
    cr_expect_eq(numbered.in6.sin6_scope_id, 1);
}

Test(address, is_dual_stack_only_as_a_bare_port)
{
    cr_expect(net_address("80").dual_stack);
    cr_expect_not(net_address("[::]:80").dual_stack);
    cr_expect_not(net_address("0.0.0.0:80").dual_stack);
}

ParameterizedTestParameters(address, accepts_unix_names_of_up_to_107_bytes)
{
    static char first[] = {'/', '@'};
    return cr_make_param_array(char, first, ELEMENTSOF(first));
}

ParameterizedTest(char *first, address, accepts_unix_names_of_up_to_107_bytes)
{
    /* The @ does not count as a byte of the name, the / does. */
    size_t longest = *first == '@' ? 108 : 107;
    char text[110] = {*first}, formatted[ADDRESS_TEXT_MAX];
    struct address address;
    const char *why;

    memset(text + 1, 'a', longest - 1);
    address = net_address(text);
    cr_expect_eq(address.length, sizeof(struct sockaddr_un));
    cr_expect_str_eq(address_format(&address, formatted), text);

    text[longest] = 'a';
    cr_expect_eq(address_parse(&address, text, &why), -EINVAL);
    cr_expect_str_eq(why, "the name of a Unix socket must not be longer than 107 bytes");
}

struct pair {
    char a[32], b[32];
    bool equal;
};

ParameterizedTestParameters(address, compares_two_addresses)
{
    static struct pair pairs[] = {
        {"80", "80", true},
        {"80", "[::]:80", true},
        {"80", "0.0.0.0:80", false},
        {"80", "81", false},
        {"127.0.0.1:80", "127.0.0.1:80", true},
        {"127.0.0.1:80", "127.0.0.2:80", false},
        {"127.0.0.1:80", "127.0.0.1:81", false},
        {"127.0.0.1:80", "[::ffff:127.0.0.1]:80", true},
        {"127.0.0.1:0", "127.0.0.1:0", false},
        {"[::1]:80", "[0:0::1]:80", true},
        {"[::1]:0", "[::1]:0", false},
        {"[fe80::1%eth9]:80", "[fe80::1]:80%eth9", true},
        {"[fe80::1%eth9]:80", "[fe80::1%eth8]:80", false},
        {"[fe80::1%1]:80", "[fe80::1%lo]:80", false},
        {"[fe80::1%1]:80", "[fe80::1%2]:80", false},
        {"[fe80::1%1]:80", "[fe80::1]:80", false},
        {"/run/a", "/run/a", true},
        {"/run/a", "/run/ab", false},
        {"@a", "@a", true},
        {"@a", "@ab", false},
        {"@/a", "/a", false},
        {"vsock:3:4", "vsock:3:4", true},
        {"vsock:3:4", "vsock::4", false},
        {"vsock:3:4", "vsock:3:5", false},
        {"vsock:3:4294967295", "vsock:3:4294967295", false},
        {"vsock:3:80", "127.0.0.1:80", false},
    };
    return cr_make_param_array(struct pair, pairs, ELEMENTSOF(pairs));
}

ParameterizedTest(struct pair *pair, address, compares_two_addresses)
{
    struct address a = net_address(pair->a), b = net_address(pair->b);

    cr_expect_eq(address_equal(&a, &b), pair->equal, "%s %s", pair->a, pair->b);
    cr_expect_eq(address_equal(&b, &a), pair->equal, "%s %s", pair->b, pair->a);
}

Test(address, formats_addresses_that_only_the_kernel_returns)
{
    char text[ADDRESS_TEXT_MAX];
    struct address unnamed = {.un = {.sun_family = AF_UNIX}, .length = sizeof(sa_family_t)};
    cr_expect_str_eq(address_format(&unnamed, text), "unix");

    /* A path that fills sun_path has no '\0' at its end (unix(7)). */
    struct address full = {.un = {.sun_family = AF_UNIX}, .length = sizeof(full.un)};
    memset(full.un.sun_path, 0xff, sizeof(full.un.sun_path));
    cr_expect_eq(strlen(address_format(&full, text)), 4 * sizeof(full.un.sun_path));

    struct address zeros = {.un = {.sun_family = AF_UNIX, .sun_path = "\0a\0b"},
                            .length = offsetof(struct sockaddr_un, sun_path) + 4};
    cr_expect_str_eq(address_format(&zeros, text), "@a\\x00b");

    struct address other = {.sa = {.sa_family = AF_APPLETALK}, .length = sizeof(other.sa)};
    cr_expect_str_eq(address_format(&other, text), "unknown");
    cr_expect_str_eq(address_format(&(struct address){0}, text), "unknown");
}

struct peer_row {
    char text[32], host[32], whole[32];
};

ParameterizedTestParameters(address, formats_a_peer_with_and_without_its_port)
{
    static struct peer_row rows[] = {
        {"192.0.2.1:54321", "192.0.2.1", "192.0.2.1:54321"},
        {"[2001:db8::1]:54321", "2001:db8::1", "[2001:db8::1]:54321"},
        {"[::ffff:192.0.2.1]:54321", "192.0.2.1", "192.0.2.1:54321"},
        {"[fe80::1%lo]:54321", "fe80::1%lo", "[fe80::1%lo]:54321"},
        {"vsock:3:1024", "vsock:3", "vsock:3:1024"},
        {"/run/greetd.sock", "unix", "unix"},
    };
    return cr_make_param_array(struct peer_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct peer_row *row, address, formats_a_peer_with_and_without_its_port)
{
    struct address address = address_here(row->text);
    struct peer peer = peer_from_sockaddr(&address.sa, address.length);
    char text[ADDRESS_TEXT_MAX];

    cr_expect_str_eq(peer_format_host(&peer, text), row->host);
    cr_expect_str_eq(peer_format(&peer, text), row->whole);
}

Test(address, formats_the_credentials_of_a_unix_peer)
{
    struct peer peer = {.family = AF_UNIX, .un = {.pid = 7, .uid = 4294967295}};
    char text[ADDRESS_TEXT_MAX];

    cr_expect_str_eq(peer_format(&peer, text), "unix:pid=7,uid=4294967295");
    peer.un.uid = 65534;
    cr_expect_str_eq(peer_format(&peer, text), "unix:pid=7");
    peer.un.pid = 0;
    cr_expect_str_eq(peer_format(&peer, text), "unix");
    peer.un.uid = 0;
    cr_expect_str_eq(peer_format(&peer, text), "unix:uid=0");
}

Test(address, takes_a_peer_with_a_truncated_address_for_unknown)
{
    static const char *const texts[] = {"192.0.2.1:1", "[::1]:1", "vsock:3:1"};
    char text[ADDRESS_TEXT_MAX];

    for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
        struct address address = net_address(texts[i]);
        struct peer peer = peer_from_sockaddr(&address.sa, address.length - 1);
        cr_expect_eq(peer.family, AF_UNSPEC, "%s", texts[i]);
        cr_expect_str_eq(peer_format(&peer, text), "unknown");
    }
    cr_expect_eq(peer_from_sockaddr(&(struct sockaddr){.sa_family = AF_UNIX}, 0).family, AF_UNSPEC);
    cr_expect_eq(
        peer_from_sockaddr(&(struct sockaddr){.sa_family = AF_INET6}, sizeof(struct sockaddr_in))
            .family,
        AF_UNSPEC);
}

/* unix(7): the length that the kernel returns may count a byte behind a name that fills it. */
Test(address, formats_a_unix_name_that_is_longer_than_its_room)
{
    struct address address = {.length = sizeof(address.un) + 1, .un.sun_family = AF_UNIX};
    char text[ADDRESS_TEXT_MAX];

    memset(address.un.sun_path, 'a', sizeof(address.un.sun_path));
    address_format(&address, text);
    cr_expect_eq(strlen(text), sizeof(address.un.sun_path));
    cr_expect_eq(strspn(text, "a"), sizeof(address.un.sun_path));
}

Test(address, without_a_name_equals_no_other)
{
    const struct address unnamed = {.length = sizeof(sa_family_t), .un.sun_family = AF_UNIX};

    cr_expect_not(address_equal(&unnamed, &unnamed));
}

Test(address, keeps_a_peer_in_24_bytes)
{
    cr_expect_eq(sizeof(struct peer), 24);
}

Test(address, is_a_wildcard_if_clients_may_have_connected_to_any)
{
    static const struct {
        const char *text;
        bool wildcard;
    } rows[] = {
        {"0.0.0.0:80", true},
        {"[::]:80", true},
        {"80", true},
        {"vsock::1024", true},
        {"[::ffff:0.0.0.0]:1", true},
        {"127.0.0.1:80", false},
        {"[::1]:80", false},
        {"vsock:3:1024", false},
        {"/run/greetd.sock", false},
        {"@greetd", false},
    };

    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        struct address address = net_address(rows[i].text);
        cr_expect_eq(address_is_wildcard(&address), rows[i].wildcard, "%s", rows[i].text);
    }
    cr_expect_not(address_is_wildcard(&(struct address){0}));
}
