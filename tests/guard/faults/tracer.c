/* Runs a program and counts the calls by which it changes files, over all of its threads and none of its children.
 *
 *   tracer LOG kill N        -- PROGRAM ARG…    kills it as it is about to make call N
 *   tracer LOG fail N C E NAME -- PROGRAM ARG…  lets calls N to N+C-1 fail with errno E; only calls called NAME, or `any`
 *   tracer LOG count         -- PROGRAM ARG…    only writes the log
 *
 * LOG gets a line for each call: its number, its name, the path, and the second path of a rename, separated by tabs.
 * Only calls on files and directories count: no pipes, sockets, or devices. Ends as the program does. x86-64 only.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum shape { FD, THIRD, PATH, AT, TWO, TWO_AT, OPEN };

static const struct call { long number; const char *name; enum shape shape; } calls[] = {
    {SYS_write, "write", FD}, {SYS_pwrite64, "pwrite64", FD}, {SYS_writev, "writev", FD},
    {SYS_fsync, "fsync", FD}, {SYS_syncfs, "syncfs", FD}, {SYS_fdatasync, "fdatasync", FD}, {SYS_ftruncate, "ftruncate", FD},
    {SYS_fallocate, "fallocate", FD}, {SYS_fchmod, "fchmod", FD}, {SYS_fchown, "fchown", FD},
    {SYS_copy_file_range, "copy_file_range", THIRD}, {SYS_sendfile, "sendfile", FD},
    {SYS_utimensat, "utimensat", AT}, {SYS_fchmodat, "fchmodat", AT}, {SYS_fchownat, "fchownat", AT},
    {SYS_chmod, "chmod", PATH}, {SYS_lchown, "lchown", PATH}, {SYS_chown, "chown", PATH},
    {SYS_mkdir, "mkdir", PATH}, {SYS_mkdirat, "mkdirat", AT}, {SYS_rmdir, "rmdir", PATH},
    {SYS_unlink, "unlink", PATH}, {SYS_unlinkat, "unlinkat", AT},
    {SYS_rename, "rename", TWO}, {SYS_renameat, "renameat", TWO_AT}, {SYS_renameat2, "renameat2", TWO_AT},
    {SYS_link, "link", TWO}, {SYS_linkat, "linkat", TWO_AT}, {SYS_symlink, "symlink", TWO},
    {SYS_openat, "openat", OPEN},
};

static FILE *out;
static pid_t leader;
static long from = -1, count = 1, seen;
static int fault_errno;
static const char *fault_name = "any";

/* Which threads are inside a call, and whether that call is to fail. */
static struct { pid_t id; int inside, failing; } threads[4096];

static int slot(pid_t id) {
    int free = -1;
    for (int i = 0; i < 4096; i++) {
        if (threads[i].id == id) return i;
        if (free < 0 && threads[i].id == 0) free = i;
    }
    threads[free].id = id;
    threads[free].inside = threads[free].failing = 0;
    return free;
}

static void text(pid_t id, unsigned long place, char *to) {
    struct iovec here = {to, PATH_MAX - 1}, there = {(void *)place, 0};
    /* Up to the end of the page first: what is behind it may not be there. */
    there.iov_len = here.iov_len = 4096 - place % 4096 < PATH_MAX - 1 ? 4096 - place % 4096 : PATH_MAX - 1;
    ssize_t got = process_vm_readv(id, &here, 1, &there, 1, 0);
    if (got < 0) got = 0;
    to[got] = 0;
    if (strlen(to) == (size_t)got && got > 0 && got < PATH_MAX - 1) {
        here = (struct iovec){to + got, PATH_MAX - 1 - got};
        there = (struct iovec){(void *)(place + got), PATH_MAX - 1 - got};
        ssize_t more = process_vm_readv(id, &here, 1, &there, 1, 0);
        to[got + (more > 0 ? more : 0)] = 0;
    }
}

static void of_link(const char *link, char *to) {
    ssize_t got = readlink(link, to, PATH_MAX - 1);
    to[got > 0 ? got : 0] = 0;
}

static void of_fd(pid_t id, long fd, char *to) {
    char link[64];
    snprintf(link, sizeof link, "/proc/%d/fd/%ld", id, fd);
    of_link(link, to);
}

static void of_path(pid_t id, long fd, unsigned long place, char *to) {
    char name[PATH_MAX], base[PATH_MAX], link[64];
    text(id, place, name);
    if (name[0] == '/') { strcpy(to, name); return; }
    if ((int)fd == AT_FDCWD) { snprintf(link, sizeof link, "/proc/%d/cwd", id); of_link(link, base); }
    else of_fd(id, fd, base);
    if (name[0] == 0) strcpy(to, base);
    else snprintf(to, 2 * PATH_MAX, "%s/%s", base, name);
}

static int is_file(const char *path) {
    return path[0] == '/' && strncmp(path, "/dev/", 5) && strncmp(path, "/proc/", 6) && strncmp(path, "/sys/", 5);
}

/* Looks at a call that is about to be made; nonzero where it counts. */
static const struct call *look(pid_t id, struct user_regs_struct *r, char *one, char *two) {
    one[0] = two[0] = 0;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        const struct call *call = &calls[i];
        if (call->number != (long)r->orig_rax) continue;
        switch (call->shape) {
        case FD: of_fd(id, r->rdi, one); break;
        case THIRD: of_fd(id, r->rdx, one); break;
        case PATH: of_path(id, AT_FDCWD, r->rdi, one); break;
        case AT: of_path(id, r->rdi, r->rsi, one); break;
        case TWO: of_path(id, AT_FDCWD, r->rdi, one); of_path(id, AT_FDCWD, r->rsi, two); break;
        case TWO_AT: of_path(id, r->rdi, r->rsi, one); of_path(id, r->rdx, r->r10, two); break;
        case OPEN:
            if (!(r->rdx & (O_CREAT | O_TRUNC | O_WRONLY | O_RDWR))) return NULL;
            of_path(id, r->rdi, r->rsi, one);
            break;
        }
        return is_file(one) ? call : NULL;
    }
    return NULL;
}

static void enter(pid_t id, int at) {
    static char one[2 * PATH_MAX], two[2 * PATH_MAX];
    struct user_regs_struct regs;
    if (ptrace(PTRACE_GETREGS, id, 0, &regs)) return;
    const struct call *call = look(id, &regs, one, two);
    if (!call) return;
    int counts = !strcmp(fault_name, "any") || !strcmp(fault_name, call->name);
    if (!counts) return;
    seen++;
    fprintf(out, "%ld\t%s\t%s\t%s\n", seen, call->name, one, two);
    fflush(out);
    if (from < 0 || seen < from || seen >= from + count) return;
    if (!fault_errno) {
        kill(leader, SIGKILL);
        return;
    }
    regs.orig_rax = -1;
    if (!ptrace(PTRACE_SETREGS, id, 0, &regs)) threads[at].failing = 1;
}

static void leave(pid_t id, int at) {
    struct user_regs_struct regs;
    if (!threads[at].failing || ptrace(PTRACE_GETREGS, id, 0, &regs)) return;
    regs.rax = -fault_errno;
    ptrace(PTRACE_SETREGS, id, 0, &regs);
    threads[at].failing = 0;
}

int main(int argc, char **argv) {
    int at = 1;
    if (argc < 5 || !(out = fopen(argv[at++], "w"))) return 125;
    const char *mode = argv[at++];
    if (!strcmp(mode, "kill")) from = atol(argv[at++]);
    else if (!strcmp(mode, "fail")) {
        from = atol(argv[at]); count = atol(argv[at + 1]); fault_errno = atoi(argv[at + 2]); fault_name = argv[at + 3];
        at += 4;
    }
    at++;
    leader = fork();
    if (leader == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        execv(argv[at], argv + at);
        _exit(127);
    }
    int status;
    waitpid(leader, &status, 0);
    ptrace(PTRACE_SETOPTIONS, leader, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL);
    ptrace(PTRACE_SYSCALL, leader, 0, 0);
    for (;;) {
        pid_t id = waitpid(-1, &status, __WALL);
        if (id < 0) { if (errno == EINTR) continue; return 126; }
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (id != leader) { threads[slot(id)].id = 0; continue; }
            if (WIFEXITED(status)) return WEXITSTATUS(status);
            signal(WTERMSIG(status), SIG_DFL);
            raise(WTERMSIG(status));
            return 126;
        }
        if (!WIFSTOPPED(status)) continue;
        int now = slot(id), signal_number = WSTOPSIG(status), pass = 0;
        if (signal_number == (SIGTRAP | 0x80)) {
            if ((threads[now].inside = !threads[now].inside)) enter(id, now);
            else leave(id, now);
        } else if (signal_number == SIGTRAP && status >> 16) {
            /* A clone or an exec of ours: an event, no signal. After an exec the call's end is still to come. */
        } else if (signal_number == SIGSTOP) {
            /* The first stop of a new thread. */
        } else pass = signal_number;
        ptrace(PTRACE_SYSCALL, id, 0, pass);
    }
}
