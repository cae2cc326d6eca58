/* The autopsy's first line must name the suspect, in each of the ways in which a process outlives its grace. */
#include <poll.h>
#include <pthread.h>

#include "autopsy_rig.h"
#include "target/autopsy_look.h"

START_TEST(stopped)
{
	struct scene s = { .diag = rig_diag() };
	pid_t pid = rig_child(waits, NULL, NULL);

	kill(pid, SIGSTOP);
	expect_first(&s, pid, "it is stopped (state T");
	scene_end(&s, pid);
}
END_TEST

START_TEST(zombie)
{
	struct scene s = { .diag = rig_diag() };
	pid_t pid = rig_child(waits, NULL, NULL);

	kill(pid, SIGKILL);
	expect_first(&s, pid, "it has exited already (zombie): its parent");
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_ptr_nonnull(strstr(first_line(&s, pid), "is gone"));
	scene_end(&s, rig_child(waits, NULL, NULL));
}
END_TEST

/* The parent of a vfork() is uninterruptible until its child execs: the D state that needs no broken disk. */
static void vforks(int ready, void *arg)
{
	(void)arg;
	rig_say(ready, 1);
	pid_t pid = vfork();

	if (!pid) {
		pause();
		_exit(0);
	}
}

START_TEST(uninterruptible)
{
	struct scene s = { .diag = rig_diag() };

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid_t pid = rig_child(vforks, NULL, NULL);

	expect_first(&s, pid, "is uninterruptible (state D)");
	kill(-pid, SIGKILL);
	scene_end(&s, pid);
}
END_TEST

static void blocks_term(int ready, void *arg)
{
	sigset_t set;

	(void)arg;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	rig_say(ready, 1);
	pause();
}

START_TEST(blocked_signal)
{
	struct scene s = { .diag = rig_diag() };
	pid_t pid = rig_child(blocks_term, NULL, NULL);

	kill(pid, SIGTERM);
	expect_first(&s, pid, "SIGTERM is pending but blocked (SigBlk)");
	expect_line(&s, pid, "SIGTERM default blocked PENDING");
	scene_end(&s, pid);
}
END_TEST

static void ignores_term(int ready, void *arg)
{
	int fd = rig_listen("127.0.0.1", 0, 0);

	(void)arg;
	signal(SIGTERM, SIG_IGN);
	rig_say(ready, rig_port(fd));
	accept(fd, NULL, NULL);
}

START_TEST(ignored_signal)
{
	NEED_NET();
	struct scene s = { .diag = rig_diag() };
	pid_t pid = rig_child(ignores_term, NULL, NULL);

	expect_first(&s, pid, "SIGTERM is ignored (SigIgn), and it still listens");
	scene_end(&s, pid);
}
END_TEST

enum reads { IDLE, FILLS, HALF_CLOSES, BACKEND, LISTENS };

struct server {
	enum reads what;
	int fd, client;
	uint16_t backend;
};

static void serves(int ready, void *arg)
{
	const struct server *sv = arg;
	int c = accept(sv->fd, NULL, NULL);
	char bytes[16];

	rig_say(ready, 1);
	close(sv->client);
	if (sv->what != LISTENS)
		close(sv->fd);
	if (sv->what == FILLS)
		for (;;)
			if (write(c, bytes, sizeof bytes) < 0)
				_exit(1);
	if (sv->what == HALF_CLOSES)
		shutdown(c, SHUT_WR);
	if (sv->what == BACKEND || sv->what == LISTENS)
		close(c);
	if (sv->what == BACKEND)
		c = rig_connect("127.0.0.1", sv->backend, 0);
	struct pollfd p = { .fd = sv->what == LISTENS ? sv->fd : c, .events = POLLPRI };

	if (sv->what == BACKEND)
		(void)!read(c, bytes, sizeof bytes);
	for (;;)        /* an event loop that is not interested in the client's end of file */
		poll(&p, 1, -1);
}

/* One client against a server of that kind; the connection is made before the child accepts it. */
static pid_t scene_of(struct scene *s, enum reads what)
{
	struct server sv = { .what = what };

	*s = (struct scene){ .diag = rig_diag() };
	sv.fd = s->listener = rig_listen("127.0.0.1", 0, 0);
	sv.backend = s->port = rig_port(s->listener);
	s->client = rig_connect("127.0.0.1", s->port, 4096);
	s->client_port = rig_port(s->client);
	sv.client = s->client;
	return rig_child(serves, &sv, NULL);
}

START_TEST(idle_client)
{
	struct scene s;

	NEED_NET();
	pid_t pid = scene_of(&s, IDLE);

	expect_first(&s, pid, "waiting for client #4 (idle keep-alive): ESTABLISHED, both queues empty");
	expect_line(&s, pid, "poll(fd ");
	expect_line(&s, pid, "<- client #4 (idle keep-alive)");
	ck_assert_int_eq(write(s.client, "half a request", 14), 14);
	expect_first(&s, pid, "ESTABLISHED, 14 bytes unread");
	scene_end(&s, pid);
}
END_TEST

START_TEST(zero_window)
{
	struct scene s;

	NEED_NET();
	pid_t pid = scene_of(&s, FILLS);

	expect_first(&s, pid, "write blocked by client #4 (idle keep-alive): zero window");
	expect_line(&s, pid, "write(fd ");
	expect_line(&s, pid, "bytes unacknowledged, zero window");
	scene_end(&s, pid);
}
END_TEST

START_TEST(client_never_closes)
{
	struct scene s;

	NEED_NET();
	pid_t pid = scene_of(&s, HALF_CLOSES);

	expect_first(&s, pid, "to close: it closed its own side: FIN-WAIT-2");
	scene_end(&s, pid);
}
END_TEST

START_TEST(server_never_closes)
{
	struct scene s;

	NEED_NET();
	pid_t pid = scene_of(&s, IDLE);

	close(s.client);
	s.client = -1;
	expect_first(&s, pid, "not closing client #4 (idle keep-alive), which has closed its side: CLOSE-WAIT");
	scene_end(&s, pid);
}
END_TEST

START_TEST(backend_awaited)
{
	struct scene s;

	NEED_NET();
	pid_t pid = scene_of(&s, BACKEND);

	expect_first(&s, pid, "is blocked in read(fd ");
	expect_first(&s, pid, "= connection to 127.0.0.1:");
	scene_end(&s, pid);
}
END_TEST

START_TEST(still_listening)
{
	struct scene s;

	NEED_NET();
	pid_t pid = scene_of(&s, LISTENS);

	expect_first(&s, pid, "it still listens and waits for connections as if no signal had come: main thread");
	expect_line(&s, pid, "listening socket 127.0.0.1:");
	ck_assert_int_eq(autopsy_watches(pid, s.listener), 1);
	ck_assert_int_eq(autopsy_watches(pid, 0), 0);
	scene_end(&s, pid);
}
END_TEST

/* A master holds the listener for its workers, and waits for these alone. */
static void listens_for_others(int ready, void *arg)
{
	int fd = rig_listen("127.0.0.1", 0, 0), pipes[2];

	(void)arg;
	ck_assert_int_eq(pipe(pipes), 0);
	rig_say(ready, rig_port(fd));
	poll(&(struct pollfd){ .fd = pipes[0], .events = POLLIN }, 1, -1);
}

START_TEST(listens_without_looking)
{
	NEED_NET();
	struct scene s = { .diag = rig_diag() };
	pid_t pid = rig_child(listens_for_others, NULL, NULL);

	expect_first(&s, pid, "main thread 'test_target_aut' in poll(fd ");
	ck_assert_ptr_null(strstr(first_line(&s, pid), "as if no signal"));
	expect_line(&s, pid, " listens on 127.0.0.1:");
	scene_end(&s, pid);
}
END_TEST

static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;

static void *in_futex(void *arg)
{
	prctl(PR_SET_NAME, arg);
	pthread_mutex_lock(&held);
	return NULL;
}

static void *in_sleep(void *arg)
{
	prctl(PR_SET_NAME, arg);
	nanosleep(&(struct timespec){ .tv_sec = 3600 }, NULL);
	return NULL;
}

/* Main joins worker-3, which waits for a lock; worker-1 and worker-2 do as well. */
static void joins(int ready, void *arg)
{
	static char *const names[] = { "worker-1", "worker-2", "worker-3" };
	pthread_t t[3];

	(void)arg;
	pthread_mutex_lock(&held);
	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, in_futex, names[i]);
	rig_say(ready, 1);
	pthread_join(t[2], NULL);
}

START_TEST(thread_joined)
{
	struct scene s = { .diag = rig_diag() };
	pid_t pid = rig_child(joins, NULL, NULL);

	expect_first(&s, pid, "thread 'worker-3' (");
	expect_first(&s, pid, "in futex(");
	expect_first(&s, pid, "no client socket open; the main thread is in futex(joins thread");
	scene_end(&s, pid);
}
END_TEST

/* Main has ended, one thread sleeps: /proc/PID shows a zombie, which it is not. */
static void leaves_thread(int ready, void *arg)
{
	pthread_t t;
	int fd = rig_listen("127.0.0.1", 0, 0);

	(void)arg;
	pthread_create(&t, NULL, in_sleep, "flusher");
	rig_say(ready, rig_port(fd));
	pthread_exit(NULL);
}

START_TEST(thread_left)
{
	NEED_NET();
	struct scene s = { .diag = rig_diag() };
	pid_t pid = rig_child(leaves_thread, NULL, NULL);

	expect_first(&s, pid, "thread 'flusher' (");
	expect_first(&s, pid, "in clock_nanosleep(3600s); no client socket open");
	expect_line(&s, pid, " listens on 127.0.0.1:");
	expect_line(&s, pid, "state S, 2 threads");
	scene_end(&s, pid);
}
END_TEST

static void spins(int ready, void *arg)
{
	volatile unsigned n = 0;

	(void)arg;
	prctl(PR_SET_NAME, "spinner");
	rig_say(ready, 1);
	for (;;)
		n++;
}

START_TEST(spinning)
{
	struct scene s = { .diag = rig_diag() };
	pid_t pid = rig_child(spins, NULL, NULL);

	expect_first(&s, pid, "'spinner' is busy: it ran ");
	expect_line(&s, pid, "state R, running");
	scene_end(&s, pid);
}
END_TEST

START_TEST(sleeping_alone)
{
	struct scene s = { .diag = rig_diag() };
	pid_t pid = rig_child(waits, NULL, NULL);

	expect_first(&s, pid, "main thread '");
	expect_first(&s, pid, "; no client socket open");
	ck_assert_ptr_null(autopsy_runtime(pid));
	scene_end(&s, pid);
}
END_TEST

/* Without sock_diag, and as a stranger: less is seen, and that is said. */
START_TEST(seen_by_a_stranger)
{
	struct scene s = {0};
	pid_t pid = rig_child(waits, NULL, NULL);

	if (getuid()) {
		printf("seen_by_a_stranger: skipped, needs root\n");
	} else {
		ck_assert(!seteuid(65534));
		autopsy_process(pid, NULL, NULL, NULL, &s.out);
		ck_assert_ptr_nonnull(strstr(s.out.p, "open files not visible"));
		ck_assert(!seteuid(0));
	}
	rig_kill(pid);
	buf_free(&s.out);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("autopsy");
	TCase *tc = tcase_create("autopsy");

	suite_add_tcase(s, tc);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, stopped);
	tcase_add_test(tc, zombie);
	tcase_add_test(tc, uninterruptible);
	tcase_add_test(tc, blocked_signal);
	tcase_add_test(tc, ignored_signal);
	tcase_add_test(tc, idle_client);
	tcase_add_test(tc, zero_window);
	tcase_add_test(tc, client_never_closes);
	tcase_add_test(tc, server_never_closes);
	tcase_add_test(tc, backend_awaited);
	tcase_add_test(tc, still_listening);
	tcase_add_test(tc, listens_without_looking);
	tcase_add_test(tc, thread_joined);
	tcase_add_test(tc, thread_left);
	tcase_add_test(tc, spinning);
	tcase_add_test(tc, sleeping_alone);
	tcase_add_test(tc, seen_by_a_stranger);
	return rig_run(s);
}
