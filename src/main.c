/* SPDX-License-Identifier: MIT */

/* The command line and the exit status. HACKING.md follows a start, a reload and a stop. */

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/diagnostics.h"
#include "greetd/cli/options.h"
#include "greetd/cli/terminal.h"
#include "greetd/config/config.h"
#include "greetd/control/control.h"
#include "greetd/control/signals.h"
#include "greetd/journal/sink.h"
#include "greetd/listen/activation.h"

/* The default of glibc. */
#define MMAP_THRESHOLD (128 * 1024)

enum action { ACTION_SERVE, ACTION_CHECK, ACTION_SHOW_CONFIG, ACTION_HELP, ACTION_VERSION };

struct arguments {
    enum action action;
    struct config_options options; /* options.listen is owned, what it points to is argv's */
};

static void arguments_deinit(struct arguments *arguments)
{
    free(arguments->options.listen);
}

static void print_help(void)
{
    puts("Usage: greetd [OPTION...]\n"
         "Greet every client that connects.\n"
         "\n"
         "  -c, --config=PATH      configuration file (default " CONFIG_PATH_DEFAULT ")\n"
         "  -l, --listen=ADDRESS   listen here instead of [Server] ListenStream= (repeatable)\n"
         "  -m, --message=TEXT     greet with TEXT instead of [Greeting] Message=\n"
         "      --check            report every mistake in the configuration, exit 0 or 78\n"
         "      --show-config      print the settings in force and where each came from\n"
         "  -h, --help             show this help\n"
         "      --version          show the version\n"
         "\n"
         "Exit status: 0 stopped cleanly, 2 bad command line, 71 refused by the system,\n"
         "78 bad configuration.\n"
         "\n"
         "Errors have colors on a terminal, unless NO_COLOR is set.");
}

static int complain_usage(const char *text)
{
    terminal_print_program("greetd");
    fprintf(stderr, "%s\n", text);
    options_suggest_help("greetd");
    return CONTROL_EXIT_USAGE;
}

static int complain_memory(void)
{
    terminal_print_program("greetd");
    fputs("out of memory\n", stderr);
    return EX_OSERR;
}

static int add_listen(struct config_options *options, const char *address)
{
    const char **listen = reallocarray(options->listen, options->n_listen + 1, sizeof(*listen));

    if (!listen)
        return complain_memory();
    options->listen = listen;
    options->listen[options->n_listen++] = address;
    return 0;
}

static int parse_option(struct arguments *arguments, int option)
{
    switch (option) {
    case 'c':
        arguments->options.path = optarg;
        return 0;
    case 'l':
        return add_listen(&arguments->options, optarg);
    case 'm':
        arguments->options.message = optarg;
        return 0;
    case 'h':
        arguments->action = ACTION_HELP;
        return 0;
    case 'V':
        arguments->action = ACTION_VERSION;
        return 0;
    case 'K':
        arguments->action = ACTION_CHECK;
        return 0;
    case 'S':
        arguments->action = ACTION_SHOW_CONFIG;
        return 0;
    default: /* options_next() has printed the error */
        return CONTROL_EXIT_USAGE;
    }
}

/* Returns 0, or the exit status after printing what is wrong. */
static int parse_arguments(struct arguments *arguments, int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},  {"listen", required_argument, NULL, 'l'},
        {"message", required_argument, NULL, 'm'}, {"check", no_argument, NULL, 'K'},
        {"show-config", no_argument, NULL, 'S'},   {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},       {0},
    };
    int option, r = 0;

    while (r == 0 && (option = options_next("greetd", argc, argv, ":c:l:m:h", options)) >= 0)
        r = parse_option(arguments, option);
    if (r == 0 && optind < argc)
        r = complain_usage("there are no arguments besides options");
    return r;
}

static void print_diagnostics(const struct diagnostics *diagnostics, enum terminal_style style)
{
    for (size_t i = 0; i < diagnostics->n_lines; i++)
        terminal_print_diagnostic(style, diagnostics->lines[i]);
}

/* Checks the options as far as that needs no file. Returns 0 or the exit status. */
static int check_options(const struct arguments *arguments)
{
    _cleanup_(diagnostics_deinit) struct diagnostics diagnostics = DIAGNOSTICS_NULL;

    int r = config_check_options(&arguments->options, &diagnostics);

    if (r == -ENOMEM)
        return complain_memory();
    print_diagnostics(&diagnostics, TERMINAL_ERROR);
    if (r < 0)
        return CONTROL_EXIT_USAGE;
    if (arguments->action == ACTION_SERVE && arguments->options.n_listen > 0 &&
        activation_any_passed())
        return complain_usage("--listen= can't be combined with sockets passed by systemd");
    return 0;
}

/* Flushes stdout after a result of R. Returns the exit status. */
static int finish_output(int r)
{
    if (r >= 0 && fflush(stdout) != 0)
        r = -errno;
    if (r >= 0)
        return EXIT_SUCCESS;
    fprintf(stderr, "Failed to write the output: %s\n", strerrordesc_np(-r));
    return EX_OSERR;
}

/* Prints to a terminal which files were read. In a script, or in ExecReload=, only errors matter.
 */
static void print_files(const struct config *config)
{
    size_t n = config_n_files(config);

    if (terminal_columns(stdout) == 0)
        return;
    for (size_t i = 0; i < n; i++) {
        const char *file = config_file_at(config, i);

        terminal_print_text(stdout, file, strlen(file));
        printf(": %sok%s\n", terminal_style(stdout, TERMINAL_GOOD),
               terminal_style(stdout, TERMINAL_PLAIN));
    }
    if (n == 0)
        puts("There is no configuration file; the defaults are in force.");
}

/* Takes over a reference to CONFIG, which is NULL if loading it has failed with ERROR. Returns the
 * exit status. */
static int serve(struct config *config, const struct config_options *options,
                 const struct diagnostics *diagnostics, int error)
{
    static struct sink sink; /* a stuck thread uses it beyond this function */
    bool stuck;

    sink_init(&sink, STDERR_FILENO);
    int status = config ? control_run(config, options, &sink, &stuck)
                        : control_reject(&sink, diagnostics, error, &stuck);
    /* exit(3) would free memory that a stuck thread uses. */
    if (stuck)
        _exit(status);
    return status;
}

/* Returns the exit status. */
static int act(const struct arguments *arguments)
{
    _cleanup_(config_unrefp) struct config *config = NULL;
    _cleanup_(diagnostics_deinit) struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    int r = config_load(&config, &arguments->options, &diagnostics);

    if (r == -ENOMEM)
        return complain_memory();
    if (arguments->action == ACTION_SERVE)
        return serve(TAKE_PTR(config), &arguments->options, &diagnostics, r);
    if (r < 0) {
        print_diagnostics(&diagnostics, TERMINAL_ERROR);
        /* For --check a missing file is an error of the configuration. */
        return r == -EMFILE || r == -ENFILE ? EX_OSERR : EX_CONFIG;
    }
    if (arguments->action == ACTION_SHOW_CONFIG)
        return finish_output(config_show(config, stdout));
    print_diagnostics(config_remarks(config), TERMINAL_WARNING);
    print_files(config);
    return finish_output(0);
}

/* Returns the exit status. */
static int run(struct arguments *arguments, int argc, char **argv)
{
    int status = parse_arguments(arguments, argc, argv);

    if (status != 0)
        return status;
    switch (arguments->action) {
    case ACTION_HELP:
        print_help();
        return finish_output(0);
    case ACTION_VERSION:
        puts("greetd " GREETD_VERSION);
        return finish_output(0);
    default:
        status = check_options(arguments);
        return status == 0 ? act(arguments) : status;
    }
}

/* Without standard streams a socket would take their numbers, and the log would be written to it.
 */
static void fill_standard_streams(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    safe_close(fd);
}

/* Once, before there is a worker: as long as TZ stays the same, tzset(3), which strftime(3) calls,
 * too, looks at no file again. Without TZ it would look at this one each time. */
static void read_time_zone(void)
{
    (void)setenv("TZ", ":/etc/localtime", 0);
    tzset();
}

int main(int argc, char **argv)
{
    _cleanup_(arguments_deinit) struct arguments arguments = {.action = ACTION_SERVE};

    fill_standard_streams();
    /* A client or a reader of the log that closes makes write(2) fail; it must not end the process.
     */
    signal(SIGPIPE, SIG_IGN);

    /* glibc raises this limit with each large block that is freed, and then keeps the next ones: of
     * a large greeting that was replaced, or the text of its slow readers (mallopt(3)). */
    (void)mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD);

    signals_defer_reload();
    read_time_zone();

    /* Before control_run(), which removes the variables that announce the sockets. */
    bool passed_sockets = activation_any_passed();
    int status = run(&arguments, argc, argv);

    if (status != 0 && passed_sockets && arguments.action == ACTION_SERVE)
        signals_slow_down();
    return status;
}
