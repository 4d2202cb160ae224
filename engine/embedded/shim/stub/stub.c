// The last step before a container's command. It runs before Go's runtime starts, in a process that has one thread.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SELF_FD = 3, CONFIG_FD = 4, STATUS_FD = 5 };
static const char marker[] = "/proc/self/fd/3"; // Path in stub.go

// The layout is that of Config.encode in stub.go.
struct config {
	uint32_t magic, flags;
	uint64_t drop_bounding, effective, permitted, inheritable, ambient;
	uint32_t filter_len, filter_flags;
	struct sock_filter filter[];
};

enum { MAGIC = 0x73746b32, FLAG_CAPS = 1, FLAG_INIT = 2 };
enum stage { STAGE_CONFIG = 1, STAGE_SECCOMP, STAGE_CAPS, STAGE_FORK, STAGE_EXEC }; // stages in stub.go

static void fail(enum stage stage, int err)
{
	uint32_t report[2] = { stage, (uint32_t)err };
	if (write(STATUS_FD, report, sizeof report) < 0)
		err = EIO;
	_exit(err == ENOENT ? 127 : 126);
}

static struct config *read_config(void)
{
	off_t size = lseek(CONFIG_FD, 0, SEEK_END);
	if (size < (off_t)sizeof(struct config))
		fail(STAGE_CONFIG, EINVAL);
	struct config *c = malloc(size);
	if (!c || pread(CONFIG_FD, c, size, 0) != size)
		fail(STAGE_CONFIG, EIO);
	if (c->magic != MAGIC || size != (off_t)(sizeof *c + c->filter_len * sizeof c->filter[0]))
		fail(STAGE_CONFIG, EINVAL);
	return c;
}

static void load_filter(struct config *c)
{
	if (c->filter_len == 0)
		return;
	struct sock_fprog prog = { .len = c->filter_len, .filter = c->filter };
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, c->filter_flags, &prog) < 0)
		fail(STAGE_SECCOMP, errno);
}

// Loading a filter wants capabilities that the command must not have. The filter may forbid anything but what is used
// from here to the execve, so nothing but prctl and capset is.
static void set_capabilities(struct config *c)
{
	if (!(c->flags & FLAG_CAPS))
		return;
	for (int i = 0; i < 64; i++)
		if (c->drop_bounding >> i & 1 && prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0)
			fail(STAGE_CAPS, errno);
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		fail(STAGE_CAPS, errno);

	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct now[2], data[2];
	if (syscall(SYS_capget, &header, now) < 0)
		fail(STAGE_CAPS, errno);
	for (int i = 0; i < 2; i++) {
		data[i].permitted = (uint32_t)(c->permitted >> 32 * i) & now[i].permitted;
		data[i].effective = (uint32_t)(c->effective >> 32 * i) & data[i].permitted;
		data[i].inheritable = (uint32_t)(c->inheritable >> 32 * i);
	}
	if (syscall(SYS_capset, &header, data) < 0)
		fail(STAGE_CAPS, errno);
	for (int i = 0; i < 64; i++)
		if (c->ambient >> i & 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) < 0)
			fail(STAGE_CAPS, errno);
}

// Of several directories with a file of that name, the first that can be executed counts; if none can, a file that is
// there but cannot be executed is the better explanation.
static int search(char **argv, char **envp)
{
	if (strchr(argv[0], '/')) {
		execve(argv[0], argv, envp);
		return errno;
	}
	const char *path = getenv("PATH");
	if (!path || !*argv[0])
		return ENOENT;
	int found = ENOENT;
	size_t name = strlen(argv[0]);
	for (const char *end; ; path = end + 1) {
		end = strchrnul(path, ':');
		char file[PATH_MAX];
		size_t dir = end - path;
		if (dir + name + 2 <= sizeof file) {
			memcpy(file, path, dir);
			if (dir)
				file[dir++] = '/';
			memcpy(file + dir, argv[0], name + 1);
			execve(file, argv, envp);
			if (errno != ENOENT && errno != ENOTDIR)
				found = errno;
		}
		if (!*end)
			return found;
	}
}

static void reap(pid_t child)
{
	for (int status;;) {
		pid_t pid = waitpid(-1, &status, WNOHANG);
		if (pid <= 0)
			return;
		if (pid == child)
			_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
	}
}

// PID 1 of a container with "init": it passes on every signal and buries what nobody else does. The command begins when PID 1
// has closed what is the engine's, since it can open what PID 1 has; the pipe tells it so.
static void be_init(int gate[2], char **argv, char **envp)
{
	sigset_t all, old;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	pid_t child = fork();
	if (child < 0)
		fail(STAGE_FORK, errno);
	if (child == 0) {
		char none;
		close(gate[1]);
		while (read(gate[0], &none, 1) < 0 && errno == EINTR)
			;
		setpgid(0, 0);
		if (isatty(0))
			tcsetpgrp(0, getpgrp());
		sigprocmask(SIG_SETMASK, &old, NULL);
		fail(STAGE_EXEC, search(argv, envp));
	}
	for (int fd = 0; fd <= STATUS_FD; fd++)
		close(fd);
	close(gate[0]);
	close(gate[1]);
	for (siginfo_t info;;) {
		int sig = sigwaitinfo(&all, &info);
		if (sig == SIGCHLD)
			reap(child);
		else if (sig > 0 && sig != SIGTTOU && sig != SIGTTIN)
			kill(child, sig);
	}
}

// The priority puts it before every other constructor, so that no variable of the container's environment means
// anything to them.
__attribute__((constructor(101))) static void stub(int argc, char **argv, char **envp)
{
	if (argc < 2 || strcmp(argv[0], marker) != 0)
		return;
	for (int fd = SELF_FD; fd <= STATUS_FD; fd++)
		if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
			_exit(126);
	struct config *c = read_config();
	int gate[2];
	if ((c->flags & FLAG_INIT) && pipe2(gate, O_CLOEXEC) < 0)
		fail(STAGE_FORK, errno);
	load_filter(c);
	set_capabilities(c);
	if (c->flags & FLAG_INIT) {
		strncpy(argv[0], "/sbin/init", sizeof marker - 1);
		prctl(PR_SET_NAME, "init", 0, 0, 0);
		be_init(gate, argv + 1, envp);
	}
	fail(STAGE_EXEC, search(argv + 1, envp));
}
