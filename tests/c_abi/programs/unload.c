/* dlopen, a connect under way, dlclose, fork: the code of the library's threads and of its fork handler stays. */
#include "check.h"

#include <dlfcn.h>
#include <sys/wait.h>

#define FIND(name) (*(void **)&(name) = dlsym(library, "flv_" #name))

int main(int argc, char **argv) {
    CHECK(argc == 2);
    CHECK(dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD) == NULL);
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    CHECK(library != NULL);
    flv_status_t (*queue_new)(flv_queue_t **, flv_error_t **);
    void (*client_options_init)(flv_client_options_t *, size_t);
    flv_status_t (*client_connect)(const flv_client_options_t *, int64_t, flv_queue_t *, uint64_t, uint64_t *,
                                   flv_error_t **);
    CHECK(FIND(queue_new) && FIND(client_options_init) && FIND(client_connect));
    flv_queue_t *queue = NULL;
    flv_client_options_t options;
    uint64_t operation = 0;
    CHECK(queue_new(&queue, NULL) == FLV_STATUS_OK);
    client_options_init(&options, sizeof options);
    options.endpoint = slice("127.0.0.1:1");
    CHECK(client_connect(&options, 200, queue, 1, &operation, NULL) == FLV_STATUS_OK);
    CHECK(dlclose(library) == 0);
    sleep_ms(300);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        _exit(42);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 42);
    CHECK(dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD) != NULL);
    return 0;
}
