/* A disk that fails once, below Python: the N-th write to a file of the home fails with EIO.

   Loaded with LD_PRELOAD, so that it meets what native code writes: SQLite's pages, the adapter,
   the merged and the quantized model. `FAILING_WRITE` names a file whose name is `MODULE@N`: a
   process that runs that module fails at its N-th write or sync of a file in `SHAMMAH_HOME`. The
   file is then renamed, and nothing fails any more. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long seen;
static long number = 0; /* 0: nothing fails in this process */
static char fault[PATH_MAX], home[PATH_MAX], logs[PATH_MAX + 8];

#define REAL(result, name, ...) \
    static result (*real_##name)(__VA_ARGS__); \
    if (!real_##name) real_##name = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void read_environment(void) {
    const char *path = getenv("FAILING_WRITE"), *folder = getenv("SHAMMAH_HOME");
    if (!path || !folder) return;
    char command[4096], *name = strrchr(path, '/'), *at;
    int file = open("/proc/self/cmdline", O_RDONLY);
    ssize_t length = file < 0 ? 0 : read(file, command, sizeof command - 1);
    if (file >= 0) close(file);
    if (length <= 0 || !name || !(at = strchr(name, '@'))) return;
    for (ssize_t i = 0; i < length; i++)
        if (!command[i]) command[i] = '\n'; /* one argument a line */
    command[length] = 0;
    char module[256];
    snprintf(module, sizeof module, "\n%.*s\n", (int)(at - name - 1), name + 1);
    snprintf(fault, sizeof fault, "%s", path);
    snprintf(home, sizeof home, "%s/", folder);
    snprintf(logs, sizeof logs, "%s/logs/", folder);
    if (strstr(command, module)) number = atol(at + 1);
}

static int strikes(int file) {
    if (!number) return 0;
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    if (strncmp(path, home, strlen(home)) || !strncmp(path, logs, strlen(logs))) return 0;
    if (atomic_fetch_add(&seen, 1) + 1 != number) return 0;
    char struck[PATH_MAX + 8];
    snprintf(struck, sizeof struck, "%s.struck", fault);
    if (rename(fault, struck)) return 0; /* another process of this module was first */
    FILE *told = fopen(struck, "w");
    if (told) {
        fprintf(told, "%s\n", path);
        fclose(told);
    }
    errno = EIO;
    return 1;
}

ssize_t write(int file, const void *data, size_t size) {
    REAL(ssize_t, write, int, const void *, size_t);
    return strikes(file) ? -1 : real_write(file, data, size);
}

ssize_t writev(int file, const struct iovec *parts, int count) {
    REAL(ssize_t, writev, int, const struct iovec *, int);
    return strikes(file) ? -1 : real_writev(file, parts, count);
}

ssize_t pwrite(int file, const void *data, size_t size, off_t at) {
    REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
    return strikes(file) ? -1 : real_pwrite(file, data, size, at);
}

ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) {
    REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
    return strikes(file) ? -1 : real_pwrite64(file, data, size, at);
}

size_t fwrite(const void *data, size_t size, size_t count, FILE *stream) {
    REAL(size_t, fwrite, const void *, size_t, size_t, FILE *);
    return strikes(fileno(stream)) ? 0 : real_fwrite(data, size, count, stream);
}

int fsync(int file) {
    REAL(int, fsync, int);
    return strikes(file) ? -1 : real_fsync(file);
}

int fdatasync(int file) {
    REAL(int, fdatasync, int);
    return strikes(file) ? -1 : real_fdatasync(file);
}
