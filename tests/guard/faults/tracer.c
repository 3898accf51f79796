/* Runs a program and counts the calls by which it changes files, over all of its threads and none of its children.
 *
 *   tracer LOG kill N        -- PROGRAM ARG…    kills it as it is about to make call N
 *   tracer LOG fail N C E NAME -- PROGRAM ARG…  lets calls N to N+C-1 fail with errno E; only calls called NAME, or `any`
 *   tracer LOG fail N C E thread -- …           the same for the threads that it wants to begin
 *   tracer LOG count         -- PROGRAM ARG…    only writes the log
 *
 * For a thread the log says who begins it: the first thread of the program, or a further one.
 * LOG gets a line for each call: its number, its name, the path, and the second path of a rename, separated by tabs.
 * Only calls on files and directories count: no pipes, sockets, or devices. Ends as the program does. x86-64 only.
 *
 * A seccomp filter stops the program at these calls and at no other, so that the rest of it runs at full speed. Its children
 * inherit the filter, so they are traced as well, and let through; what outlives the program is let through to its own end by
 * a process that nobody waits for.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum shape { FD, THIRD, PATH, AT, TWO, TWO_AT, OPEN, THREAD };

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
    /* No file: only counted where it is asked for by name. */
    {SYS_clone3, "thread", THREAD},
};

static FILE *out;
static pid_t leader;
static long from = -1, count = 1, seen;
static int fault_errno;
static const char *fault_name = "any";

/* Whose tasks these are: the program's own threads, or those of a child. */
static struct { pid_t id; int is_ours; } tasks[4096];

static int belongs(pid_t id) {
    char name[64], line[256];
    snprintf(name, sizeof name, "/proc/%d/status", id);
    FILE *status = fopen(name, "r");
    long group = -1;
    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "Tgid: %ld", &group) == 1) break;
    if (status) fclose(status);
    return group == leader;
}

/* The place of a task; *is_new where it has just come. */
static int slot(pid_t id, int *is_new) {
    int free = -1;
    *is_new = 0;
    for (int i = 0; i < 4096; i++) {
        if (tasks[i].id == id) return i;
        if (free < 0 && tasks[i].id == 0) free = i;
    }
    *is_new = 1;
    tasks[free].id = id;
    tasks[free].is_ours = belongs(id);
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
    int is_device = !strncmp(path, "/dev/", 5) && strncmp(path, "/dev/shm/", 9);
    return path[0] == '/' && !is_device && strncmp(path, "/proc/", 6) && strncmp(path, "/sys/", 5);
}

/* Whether a clone3 with these arguments, whose first are its flags, begins a thread and no process. */
static int begins_thread(pid_t id, unsigned long place) {
    unsigned long flags = 0;
    struct iovec here = {&flags, sizeof flags}, there = {(void *)place, sizeof flags};
    return process_vm_readv(id, &here, 1, &there, 1, 0) == sizeof flags && flags & CLONE_THREAD;
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
        case THREAD:
            if (strcmp(fault_name, "thread") || !begins_thread(id, r->rdi)) return NULL;
            strcpy(one, id == leader ? "first" : "further");
            return call;
        }
        return is_file(one) ? call : NULL;
    }
    return NULL;
}

static void enter(pid_t id) {
    static char one[2 * PATH_MAX], two[2 * PATH_MAX];
    struct user_regs_struct regs;
    if (ptrace(PTRACE_GETREGS, id, 0, &regs)) return;
    const struct call *call = look(id, &regs, one, two);
    if (!call) return;
    if (strcmp(fault_name, "any") && strcmp(fault_name, call->name)) return;
    seen++;
    fprintf(out, "%ld\t%s\t%s\t%s\n", seen, call->name, one, two);
    fflush(out);
    if (from < 0 || seen < from || seen >= from + count) return;
    if (!fault_errno) {
        kill(leader, SIGKILL);
        return;
    }
    /* No call of this number: it is passed over, and this is what it returns. */
    regs.orig_rax = -1;
    regs.rax = -fault_errno;
    ptrace(PTRACE_SETREGS, id, 0, &regs);
}

/* Stops whoever makes one of the calls, and tells the tracer. */
static void filter(void) {
    enum { COUNT = sizeof calls / sizeof *calls };
    struct sock_filter code[COUNT + 3] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
    for (int i = 0; i < COUNT; i++)
        code[i + 1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i].number, COUNT - i, 0);
    code[COUNT + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    code[COUNT + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
    struct sock_fprog program = {COUNT + 3, code};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0) return;
    /* Who is not root has to renounce first. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) _exit(125);
}

/* Sees the program to its end, tells how it ended, and stays for its children. */
static int trace(char **words, int tell) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    leader = fork();
    if (leader == 0) {
        close(tell);
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        filter();
        execv(words[0], words);
        _exit(127);
    }
    int status, is_new;
    for (int fd = 0; fd < 3; fd++) close(fd);
    waitpid(leader, &status, 0);
    slot(leader, &is_new);
    ptrace(PTRACE_SETOPTIONS, leader, 0,
           PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC |
               PTRACE_O_EXITKILL);
    ptrace(PTRACE_CONT, leader, 0, 0);
    for (;;) {
        pid_t id = waitpid(-1, &status, __WALL);
        if (id < 0) { if (errno == EINTR) continue; return 0; }
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            tasks[slot(id, &is_new)].id = 0;
            if (id != leader) continue;
            prctl(PR_SET_PDEATHSIG, 0);
            fclose(out);
            if (write(tell, &status, sizeof status) != sizeof status) return 126;
            close(tell);
            continue;
        }
        if (!WIFSTOPPED(status)) continue;
        int now = slot(id, &is_new), number = WSTOPSIG(status), event = status >> 16;
        if (event == PTRACE_EVENT_SECCOMP && tasks[now].is_ours) enter(id);
        /* A new task begins with a stop of its own; what the kernel tells of the tasks is no signal either. */
        int is_signal = !event && !(is_new && number == SIGSTOP);
        ptrace(PTRACE_CONT, id, 0, is_signal ? number : 0);
    }
}

int main(int argc, char **argv) {
    int at = 1, ends[2], status;
    if (argc < 5 || !(out = fopen(argv[at++], "we")) || pipe2(ends, O_CLOEXEC)) return 125;
    const char *mode = argv[at++];
    if (!strcmp(mode, "kill")) from = atol(argv[at++]);
    else if (!strcmp(mode, "fail")) {
        from = atol(argv[at]); count = atol(argv[at + 1]); fault_errno = atoi(argv[at + 2]); fault_name = argv[at + 3];
        at += 4;
    }
    if (fork() == 0) return trace(argv + at + 1, ends[1]);
    close(ends[1]);
    if (read(ends[0], &status, sizeof status) != sizeof status) return 126;
    if (WIFEXITED(status)) return WEXITSTATUS(status);
    signal(WTERMSIG(status), SIG_DFL);
    raise(WTERMSIG(status));
    return 126;
}
