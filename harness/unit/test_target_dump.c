/* What a Go runtime prints on SIGQUIT: which goroutines are told, in which order. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "target/go_dump.h"

#define FRAME(function, place) function "\n\t/src/" place " +0x21 fp=0x7ffc sp=0x7ffc pc=0x49\n"
#define PARK FRAME("runtime.gopark(0x0?, 0x1?)", "runtime/proc.go:462")
#define EXIT FRAME("runtime.goexit({})", "runtime/asm_amd64.s:1771")

static const char dump[] =
	"SIGQUIT: quit\nPC=0x490a01 m=0 sigcode=0\n\n"
	"goroutine 0 gp=0xed6800 m=0 mp=0xed79e0 [idle]:\n" FRAME("runtime.futex(0xed7b38)", "runtime/sys.s:569") "\n"
	"goroutine 5 [finalizer wait]:\n" PARK FRAME("runtime.runFinalizers()", "runtime/mfinal.go:210") EXIT
	"created by runtime.createfing in goroutine 1\n\truntime/mfinal.go:172 +0x3d\n\n"
	"goroutine 6 [syscall]:\n" FRAME("os/signal.signal_recv()", "runtime/sigqueue.go:152")
	FRAME("os/signal.loop()", "os/signal/signal_unix.go:23") EXIT "\n"
	"goroutine 33 [IO wait]:\n" PARK FRAME("internal/poll.(*FD).Read(0x1, {0x2, 0x3})", "internal/poll/fd.go:1")
	FRAME("net/http.(*conn).serve(0xc000, {0x7, 0x8})", "net/http/server.go:2000") EXIT "\n"
	"goroutine 8 [select]:\n" PARK FRAME("google.golang.org/grpc.(*Server).Serve(0x1)", "grpc/server.go:9") EXIT "\n"
	"goroutine 17 [chan receive, 2 minutes]:\n" PARK FRAME("main.(*pool).work(0xc0, 0x1)", "app/pool.go:40")
	FRAME("main.main.func1()", "app/main.go:9") EXIT "created by main.main in goroutine 1\n\tapp/main.go:8 +0x1\n\n"
	"goroutine 18 [chan receive]:\n" PARK FRAME("main.(*pool).work(0xc0, 0x2)", "app/pool.go:40") EXIT "\n"
	"goroutine 1 gp=0x18996df7a1e0 m=nil [sync.WaitGroup.Wait]:\n" PARK
	FRAME("sync.(*WaitGroup).Wait(0x18)", "sync/waitgroup.go:206") FRAME("main.main()", "app/main.go:142") EXIT
	"\nrax    0xca\nrip    0x490a01\n";

START_TEST(goroutines_of_the_program)
{
	struct buf out = {0};

	ck_assert_uint_eq(go_dump(dump, sizeof dump - 1, &out), 7);
	ck_assert_str_eq(out.p,
			 "goroutine 1 [sync.WaitGroup.Wait] in main.main (main.go:142)\n"
			 "goroutine 17 [chan receive, 2 minutes] in main.(*pool).work (pool.go:40), and 1 more so\n"
			 "goroutine 8 [select] in google.golang.org/grpc.(*Server).Serve (server.go:9)\n"
			 "goroutine 33 [IO wait] in net/http.(*conn).serve (server.go:2000)\n");
	buf_free(&out);
}
END_TEST

/* What is cut anywhere is still read, and nothing beyond its end. */
START_TEST(cut_anywhere)
{
	for (size_t n = 0; n < sizeof dump; n++) {
		char *part = strndup(dump, n);
		struct buf out = {0};

		ck_assert_uint_le(go_dump(part, n, &out), 7);
		buf_free(&out);
		free(part);
	}
}
END_TEST

START_TEST(no_dump)
{
	static const char *const texts[] = {"", "\n\n", "goroutine", "goroutine x [y]:", "goroutine 1 []:\n", "goroutine 1 [a\nmain.main()"};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct buf out = {0};

		go_dump(texts[i], strlen(texts[i]), &out);
		ck_assert_msg(!out.n || !strstr(out.p, "main"), "%s", texts[i]);
		buf_free(&out);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("dump");
	TCase *tc = tcase_create("dump");
	SRunner *sr = srunner_create(s);

	suite_add_tcase(s, tc);
	tcase_add_test(tc, goroutines_of_the_program);
	tcase_add_test(tc, cut_anywhere);
	tcase_add_test(tc, no_dump);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);

	srunner_free(sr);
	return failed != 0;
}
