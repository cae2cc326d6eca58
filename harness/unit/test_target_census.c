/* Census: who belongs to a target, however it forked, and what it holds. */
#include <pthread.h>
#include <sys/mount.h>

#include "target/census.h"
#include "target_rig.h"

static int listener_at(struct diag *diag, const char *ip, uint16_t port, struct diag_row *row)
{
	struct sockaddr_storage ss = rig_addr(ip, port);

	return diag_listener(diag, (struct sockaddr *)&ss, row);
}

static void handler(int signo)
{
	(void)signo;
}

static void named_child(int ready, void *arg)
{
	struct sigaction act = { .sa_handler = SIG_IGN };
	sigset_t set;

	prctl(PR_SET_NAME, arg);
	sigaction(SIGHUP, &act, NULL);
	act.sa_handler = handler;
	sigaction(SIGTERM, &act, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGUSR1);
	rig_say(ready, 1);
	pause();
}

static uint64_t bit(int signo)
{
	return UINT64_C(1) << (signo - 1);
}

START_TEST(census_reads_one)
{
	static const char *const names[] = { "plain", "a) S 1 (b", ")", "((", "new\nline\tx", ") Z 1 1 1" };
	pid_t pid = rig_child(named_child, (void *)names[_i], NULL);
	struct buf json = {0};
	struct proc p;

	ck_assert_int_eq(census_one(pid, true, &p), 0);
	ck_assert_str_eq(p.comm, names[_i]);
	ck_assert_int_eq(p.pid, pid);
	ck_assert_int_eq(p.ppid, getpid());
	ck_assert_int_eq(p.pgid, pid);
	ck_assert_int_eq(p.sid, getsid(0));
	ck_assert_int_eq(p.threads, 1);
	ck_assert(p.fds >= 3 && p.fds < 100);
	ck_assert(p.rss_kib > 0 && p.starttime > 0 && !p.exiting && !p.pid1);
	ck_assert(p.sigign & bit(SIGHUP) && p.sigcgt & bit(SIGTERM) && p.sigblk & bit(SIGUSR1));
	ck_assert(p.sigpnd & bit(SIGUSR1) && !(p.sigcgt & bit(SIGHUP)));
	AWAIT(!census_one(pid, false, &p) && p.state == 'S');
	census_json(&p, &json);
	ck_assert_ptr_nonnull(strstr(json.p, "\"state\":\"S\""));
	ck_assert_ptr_nonnull(strstr(json.p, "\"fds\":null"));
	ck_assert_ptr_null(strchr(json.p, '\n'));
	buf_free(&json);
	kill(pid, SIGKILL);
	AWAIT(!census_one(pid, true, &p) && p.state == 'Z');
	ck_assert_int_eq(p.fds, 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_int_eq(census_one(pid, true, &p), -ESRCH);
}
END_TEST

static void *fork_in_thread(void *arg)
{
	(void)arg;
	if (!fork()) {
		prctl(PR_SET_NAME, "of-a-thread");
		pause();
	}
	pause();
	return NULL;
}

/* root: one child of its main thread (with a child of its own), one of another thread, one zombie,
 * and one that double-forked into a session of its own. */
static void forest(int ready, void *arg)
{
	pthread_t thread;
	int done[2];

	(void)arg;
	prctl(PR_SET_PDEATHSIG, 0);
	if (pipe(done))
		_exit(1);
	if (!fork()) {
		prctl(PR_SET_NAME, "child");
		if (!fork()) {
			prctl(PR_SET_NAME, "grandchild");
			rig_say(done[1], 1);
			pause();
		}
		pause();
	}
	pthread_create(&thread, NULL, fork_in_thread, NULL);
	if (!fork()) {
		setsid();
		if (!fork()) {
			prctl(PR_SET_NAME, "daemon");
			rig_say(done[1], 1);
			pause();
		}
		_exit(0);       /* the daemon's parent is gone, and stays a zombie: root never waits */
	}
	uint16_t word;

	for (int i = 0; i < 2; i++)
		if (read(done[0], &word, sizeof word) != sizeof word)
			_exit(1);
	rig_say(ready, 1);
	pause();
}

static const struct proc *named(const struct proc *v, size_t n, const char *comm)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(v[i].comm, comm))
			return &v[i];
	return NULL;
}

static bool all_there(const struct proc *v, size_t n)
{
	static const char *const comms[] = { "child", "grandchild", "of-a-thread", "daemon" };
	size_t zombies = 0;

	for (size_t i = 0; i < sizeof comms / sizeof *comms; i++)
		if (!named(v, n, comms[i]))
			return false;
	for (size_t i = 0; i < n; i++)
		zombies += v[i].state == 'Z';
	return zombies == 1;
}

static void kill_all(const struct proc *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		kill(v[i].pid, SIGKILL);
	while (wait(NULL) > 0)
		;
}

START_TEST(census_finds_the_whole_tree)
{
	struct proc v[16], few[2];
	size_t n = 0;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid_t root = rig_child(forest, NULL, NULL);

	AWAIT((n = census_tree(root, false, false, v, 16)) == 6 && all_there(v, n));
	ck_assert_int_eq(v[0].pid, root);
	ck_assert_int_eq(v[0].threads, 2);
	const struct proc *daemon = named(v, n, "daemon");

	ck_assert_int_eq(daemon->ppid, getpid());
	ck_assert_int_ne(daemon->sid, getsid(0));
	ck_assert_int_eq(named(v, n, "grandchild")->ppid, named(v, n, "child")->pid);
	ck_assert_int_eq(census_tree(root, false, true, few, 2), 6);
	/* the root is gone: what it left is still found, since it came to us */
	rig_kill(root);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	size_t left = 0;

	AWAIT((left = census_tree(root, false, false, v, 16)) == 4);
	kill_all(v, left);
	ck_assert_int_eq(census_tree(root, false, false, v, 16), 0);
}
END_TEST

static int first_in_namespace(void)
{
	struct proc v[16];
	size_t n = 0;

	if (mount("proc", "/proc", "proc", 0, NULL))
		return 77;
	pid_t root = rig_child(forest, NULL, NULL);

	for (int i = 0; i < 50000 && !(n == 6 && all_there(v, n)); i++)
		n = census_tree(root, true, false, v, 16);
	return n == 6 && all_there(v, n) && v[0].pid == root && !v[0].pid1 ? 0 : 1;
}

START_TEST(census_of_a_pid_namespace)
{
	pid_t pid = fork();
	int status = 0;

	if (!pid) {     /* once its first process is gone the namespace is dead: no place for a test to go on in */
		if (unshare(CLONE_NEWPID | CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
			_exit(77);
		pid = fork();
		if (!pid)
			_exit(first_in_namespace());
		_exit(waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (WEXITSTATUS(status) == 77)
		printf("census_of_a_pid_namespace: skipped, no PID namespace to be had\n");
	else
		ck_assert_int_eq(status, 0);
}
END_TEST

static void holds_two(int ready, void *arg)
{
	int fd = *(int *)arg;

	if (fcntl(fd, F_DUPFD, 100) != 100)
		_exit(1);
	rig_say(ready, 1);
	pause();
}

START_TEST(census_names_holders)
{
	struct diag_row row;
	struct holder h[4];

	NEED_NET();
	struct diag *diag = rig_diag();
	int fd = rig_listen("127.0.0.1", 0, 0);
	pid_t child = rig_child(holds_two, &fd, NULL), pids[2] = { getpid(), child };

	ck_assert_int_eq(listener_at(diag, "127.0.0.1", rig_port(fd), &row), 1);
	ck_assert_int_eq(census_socket_holders(pids, 2, row.inode, h, 4), 3);
	ck_assert(h[0].pid == getpid() && h[0].fd == fd && h[0].cloexec);
	ck_assert(h[2].pid == child && h[2].fd == 100 && !h[2].cloexec);
	ck_assert_int_eq(census_socket_holders(pids, 2, row.inode, h, 1), 3);
	ck_assert_int_eq(census_socket_holders(pids, 2, 0, h, 4), 0);
	rig_kill(child);
	ck_assert_int_eq(census_socket_holders(&child, 1, row.inode, h, 4), 0);
	if (!getuid()) {        /* somebody else's table */
		pid_t pid1 = 1;

		ck_assert(!seteuid(65534));
		ck_assert_int_eq(census_socket_holders(&pid1, 1, row.inode, h, 4), -EACCES);
		ck_assert(!seteuid(0));
	}
	close(fd);
	diag_close(diag);
}
END_TEST

static const char *slurp(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void *lives_on(void *arg)
{
	(void)arg;
	pause();
	return NULL;
}

static void leader_ends(int ready, void *arg)
{
	pthread_t t;

	(void)arg;
	pthread_create(&t, NULL, lives_on, NULL);
	rig_say(ready, 1);
	pthread_exit(NULL);
}

/* The main thread has ended, another lives: /proc/PID is a zombie's without fds, the process is neither. */
START_TEST(census_looks_past_a_dead_leader)
{
	struct holder h[4];
	struct diag_row row;
	struct proc p;
	char stat[64], text[512] = "";

	NEED_NET();
	struct diag *diag = rig_diag();
	int fd = rig_listen("127.0.0.1", 0, 0);
	pid_t pid = rig_child(leader_ends, NULL, NULL);

	snprintf(stat, sizeof stat, "/proc/%d/stat", pid);
	AWAIT(strstr(slurp(stat, text, sizeof text), ") Z "));
	ck_assert_int_eq(census_one(pid, true, &p), 0);
	ck_assert(p.state == 'S' || p.state == 'R');
	ck_assert(p.fds > 2 && p.rss_kib && !p.exiting);
	ck_assert_int_eq(listener_at(diag, "127.0.0.1", rig_port(fd), &row), 1);
	ck_assert_int_eq(census_socket_holders(&pid, 1, row.inode, h, 4), 1);
	ck_assert(h[0].pid == pid && h[0].fd == fd && h[0].cloexec);
	rig_kill(pid);
	close(fd);
	diag_close(diag);
}
END_TEST

/* Printed, not judged: a slow machine is no fault. */
/* One thread spins until it may not any more; the other sleeps from the beginning. */
static void *spin(void *arg)
{
	while (!__atomic_load_n((int *)arg, __ATOMIC_RELAXED))
		;
	return NULL;
}

START_TEST(census_says_who_had_the_cpus)
{
	struct cpu_share then = {0}, now = {0};
	pthread_t thread;
	int enough = 0;

	ck_assert_int_eq(pthread_create(&thread, NULL, spin, &enough), 0);
	census_cpu(getpid(), &then);
	ck_assert(then.runnable && census_runs(getpid()));
	AWAIT((now = (struct cpu_share){0}, census_cpu(getpid(), &now), now.ran > then.ran + 10 * NSEC_PER_MSEC));
	__atomic_store_n(&enough, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);

	pid_t pid = rig_child(named_child, "sleeper", NULL);

	AWAIT(!census_runs(pid));
	now = (struct cpu_share){0};
	census_cpu(pid, &now);
	then = now;
	now = (struct cpu_share){0};
	census_cpu(pid, &now);
	ck_assert(!now.runnable && now.ran > 0 && now.ran == then.ran && now.waited == then.waited);
	rig_kill(pid);
	now = (struct cpu_share){0};
	census_cpu(pid, &now);
	ck_assert(!now.runnable && !now.ran && !census_runs(pid));
}
END_TEST

START_TEST(speed)
{
	enum { TIMES = 5000 };
	struct proc p[8];
	nsec_t t = clock_now();

	for (int i = 0; i < TIMES; i++)
		census_one(getpid(), true, p);
	printf("census: one process %.1f us", (double)(clock_now() - t) / TIMES / 1000);
	t = clock_now();
	for (int i = 0; i < TIMES; i++)
		census_tree(getpid(), false, true, p, 8);
	printf(", a tree of one %.1f us\n", (double)(clock_now() - t) / TIMES / 1000);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("census");
	TCase *tc = tcase_create("census");

	suite_add_tcase(s, tc);
	tcase_set_timeout(tc, 30);
	tcase_add_loop_test(tc, census_reads_one, 0, 6);
	tcase_add_test(tc, census_finds_the_whole_tree);
	tcase_add_test(tc, census_of_a_pid_namespace);
	tcase_add_test(tc, census_names_holders);
	tcase_add_test(tc, census_looks_past_a_dead_leader);
	tcase_add_test(tc, census_says_who_had_the_cpus);
	tcase_add_test(tc, speed);
	return rig_run(s);
}
