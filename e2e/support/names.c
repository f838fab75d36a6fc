/* Preloaded into a program under test: the names in E2E_NAMES (one to a line) are this computer, and what goes to port 443 here
   goes to E2E_NAMES_PORT. So addresses can be written as they are written to people. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static int is_ours(const char *name) {
    const char *names = getenv("E2E_NAMES");
    size_t length = name ? strlen(name) : 0;
    while (names && length > 0) {
        const char *end = strchrnul(names, '\n');
        if ((size_t)(end - names) == length && strncasecmp(names, name, length) == 0)
            return 1;
        names = *end ? end + 1 : NULL;
    }
    return 0;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    if (!real)
        real = dlsym(RTLD_NEXT, "getaddrinfo");
    return real(is_ours(name) ? "127.0.0.1" : name, service, hints, found);
}

int connect(int socket, const struct sockaddr *address, socklen_t length) {
    static int (*real)(int, const struct sockaddr *, socklen_t);
    if (!real)
        real = dlsym(RTLD_NEXT, "connect");
    const char *port = getenv("E2E_NAMES_PORT");
    const struct sockaddr_in *asked = (const struct sockaddr_in *)address;
    if (port && address->sa_family == AF_INET && asked->sin_port == htons(443) && asked->sin_addr.s_addr == htonl(INADDR_LOOPBACK)) {
        struct sockaddr_in here = *asked;
        here.sin_port = htons((unsigned short)atoi(port));
        return real(socket, (struct sockaddr *)&here, sizeof here);
    }
    return real(socket, address, length);
}
