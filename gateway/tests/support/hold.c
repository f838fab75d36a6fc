/* Preloaded into the gateway: fsync and fdatasync wait while the file HOLD_WHILE is there,
   and note in HOLD_COUNT that they were called. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static void wait_while_held(void) {
    const char *gate = getenv("HOLD_WHILE");
    const char *count = getenv("HOLD_COUNT");
    if (!gate || access(gate, F_OK) != 0)
        return;
    if (count) {
        int file = open(count, O_WRONLY | O_APPEND);
        if (file >= 0) {
            if (write(file, ".", 1) < 0) { /* the reader waits in vain then */
            }
            close(file);
        }
    }
    while (access(gate, F_OK) == 0)
        usleep(1000);
}

int fdatasync(int file) {
    static int (*real)(int);
    if (!real)
        real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    wait_while_held();
    return real(file);
}

int fsync(int file) {
    static int (*real)(int);
    if (!real)
        real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    wait_while_held();
    return real(file);
}
