/* Preloaded into a process, makes one sync fail with EIO, once, as the kernel reports a lost page: the next succeeds.
 *
 * The file that SYNC_FAULT names says which: "FUNCTION COUNT FOLDER" is the COUNT-th call of FUNCTION from now on, on
 * a path that begins with FOLDER. The file is removed when that call has failed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fails(const char *function, int fd) {
    char order[4096] = "", wanted[64] = "", folder[4096] = "", link[64], path[4096] = "";
    int count = 0;
    const char *name = getenv("SYNC_FAULT");
    int file = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) return 0;
    ssize_t size = read(file, order, sizeof order - 1);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (size > 0 && sscanf(order, "%63s %d %4095s", wanted, &count, folder) == 3 && !strcmp(wanted, function)
        && readlink(link, path, sizeof path - 1) > 0 && !strncmp(path, folder, strlen(folder))) {
        if (count > 1) {
            int length = snprintf(order, sizeof order, "%s %d %s", wanted, count - 1, folder);
            if (ftruncate(file, 0) || pwrite(file, order, length, 0) != length) abort();
            count = 0;
        }
    } else count = 0;
    close(file);
    if (count != 1 || unlink(name)) return 0;
    errno = EIO;
    return 1;
}

int sync_file_range(int fd, off64_t offset, off64_t size, unsigned int flags) {
    int (*real)(int, off64_t, off64_t, unsigned int) = dlsym(RTLD_NEXT, "sync_file_range");
    return fails("sync_file_range", fd) ? -1 : real(fd, offset, size, flags);
}

int fdatasync(int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync");
    return fails("fdatasync", fd) ? -1 : real(fd);
}

int fsync(int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
    return fails("fsync", fd) ? -1 : real(fd);
}
