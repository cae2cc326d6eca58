/* Autopsies of processes that wait for a child: any child, and the one that has taken over. */
#include "autopsy_rig.h"

static void waits_for_child(int ready, void *arg)
{
	siginfo_t info;
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, "slow\nhelper");
		rig_say(ready, 1);
		pause();
	}
	if (*(int *)arg)
		waitpid(*(int *)arg == 1 ? pid : -1, NULL, 0);
	else
		waitid(P_PID, (id_t)pid, &info, WEXITED);
}

START_TEST(child_awaited)
{
	struct scene s = { .diag = rig_diag() };
	pid_t pid = rig_child(waits_for_child, &_i, NULL);

	expect_first(&s, pid, "waiting for a child process in wait");
	expect_first(&s, pid, "'slow?helper' (state S) has not ended");
	expect_line(&s, pid, "child ");
	scene_end(&s, pid);
}
END_TEST

/* Accepts a client and waits for the end of a child, which has closed one of the two sockets. */
static void serves_and_waits(int ready, int listener, bool heir)
{
	int client = accept(listener, NULL, NULL);
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, heir ? "heir" : "helper");
		close(heir ? client : listener);
		rig_say(ready, 1);
		pause();
	}
	waitpid(pid, NULL, 0);
}

/* As a program that starts its successor. */
static void waits_for_heir(int ready, void *arg)
{
	serves_and_waits(ready, *(int *)arg, true);
}

/* A helper that has nothing of the listener's is not what holds a server with a client. */
static void waits_for_helper(int ready, void *arg)
{
	serves_and_waits(ready, *(int *)arg, false);
}

static pid_t scene_with_child(struct scene *s, void (*fn)(int, void *))
{
	*s = (struct scene){ .diag = rig_diag(), .listener = rig_listen("127.0.0.1", 0, 0) };
	s->port = rig_port(s->listener);
	s->client = rig_connect("127.0.0.1", s->port, 4096);
	s->client_port = rig_port(s->client);
	return rig_child(fn, &s->listener, NULL);
}

START_TEST(heir_awaited)
{
	NEED_NET();
	struct scene s;
	pid_t pid = scene_with_child(&s, waits_for_heir);

	expect_first(&s, pid, "waiting for a child process in wait4: ");
	expect_first(&s, pid, "'heir' (state S) has not ended; it has the same listening socket open; and waiting for client #4 (idle "
		     "keep-alive): ESTABLISHED");
	scene_end(&s, pid);
}
END_TEST

START_TEST(helper_awaited)
{
	NEED_NET();
	struct scene s;
	pid_t pid = scene_with_child(&s, waits_for_helper);

	expect_line(&s, pid, "wait4(");
	expect_first(&s, pid, "waiting for client #4 (idle keep-alive): ESTABLISHED");
	scene_end(&s, pid);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("awaits");
	TCase *tc = tcase_create("awaits");

	suite_add_tcase(s, tc);
	tcase_set_timeout(tc, 30);
	tcase_add_loop_test(tc, child_awaited, 0, 3);
	tcase_add_test(tc, heir_awaited);
	tcase_add_test(tc, helper_awaited);
	return rig_run(s);
}
