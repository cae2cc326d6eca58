/* drainspec port PORT: who holds it, in which state, and would a bind succeed. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "target/diag.h"
#include "target/port.h"

static const char usage[] =
	"usage: drainspec port [-o text|json] PORT\n"
	"Say who holds a TCP port of this network namespace, in which state, and what to do about it.\n"
	"  -o, --format text|json  how to print it (text)\n"
	"  -h, --help              this text\n"
	"Exit: 0 a bind with SO_REUSEADDR would succeed, 1 it would not, 3 cannot be looked at, 4 usage.\n";

static int usage_error(const char *what, const char *word)
{
	fprintf(stderr, "drainspec port: %s%s\n%s", what, word, usage);
	return EXIT_USAGE;
}

static int port_number(const char *word)
{
	char *end;

	errno = 0;
	long n = strtol(word, &end, 10);

	return errno || end == word || *end || n < 1 || n > 65535 ? -1 : (int)n;
}

static int examine(uint16_t port, bool json)
{
	struct diag *diag = NULL;
	struct port_report report;
	struct buf out = {0};
	struct err err = {0};
	char text[1024];

	if (diag_open(&diag, &err) < 0 || port_examine_for(diag, port, 0, &report, &err) < 0) {
		fprintf(stderr, "drainspec port: %s\n", err_text(&err, text, sizeof text));
		diag_close(diag);
		return EXIT_HARNESS;
	}
	(json ? port_report_json : port_report_text)(&report, &out);
	size_t written = fwrite(out.p, 1, out.n, stdout);
	int status = report.errno_reuse ? EXIT_FAILED : EXIT_OK;

	if (written != out.n || fflush(stdout)) {
		perror("drainspec port: standard output");
		status = EXIT_HARNESS;
	}
	buf_free(&out);
	port_report_free(&report);
	diag_close(diag);
	return status;
}

int cmd_port(int argc, char **argv)
{
	static const struct option options[] = {
		{ "format", required_argument, NULL, 'o' }, { "help", no_argument, NULL, 'h' }, { 0 },
	};
	bool json = false;
	int c;

	optind = 0;     /* start afresh: the caller may have used getopt for itself */
	while ((c = getopt_long(argc, argv, ":o:h", options, NULL)) != -1) {
		if (c == 'h')
			return fputs(usage, stdout) < 0 ? EXIT_HARNESS : EXIT_OK;
		if (c != 'o')
			return usage_error(c == ':' ? "an option lacks its value: " : "unknown option: ", argv[optind - 1]);
		json = !strcmp(optarg, "json");
		if (!json && strcmp(optarg, "text"))
			return usage_error("no such format here (text, json): ", optarg);
	}
	if (argc - optind != 1)
		return usage_error(argc == optind ? "which port?" : "one port at a time", "");
	int port = port_number(argv[optind]);

	if (port < 0)
		return usage_error("not a port number (1 to 65535): ", argv[optind]);
	return examine((uint16_t)port, json);
}
