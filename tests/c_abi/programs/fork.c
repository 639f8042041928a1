/* A child of a process that had connected: every call says FORKED or does nothing, nothing of the parent's is touched. */
#include "check.h"

#include <fcntl.h>
#include <sys/wait.h>

static void expect_exit(pid_t child, int wanted) {
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == wanted);
}

static void in_child(flv_queue_t *queue, int fd, flv_client_t *client, flv_producer_t *producer, const char *endpoint) {
    flv_error_t *error = (flv_error_t *)&error; /* not NULL: must be overwritten */
    flv_queue_t *another = NULL;
    flv_completion_t completion;
    flv_view_t view;
    size_t count = 0;
    uint64_t operation = 0, records = 1, bytes = 1;
    flv_fork_child(); /* as a host without pthread_atfork would; again is fine */
    flv_client_options_t options = client_options(endpoint);
    CHECK(flv_client_connect(&options, 1000, queue, 1, &operation, &error) == FLV_STATUS_FORKED);
    CHECK(error == NULL && operation == 0);
    CHECK(flv_queue_new(&another, &error) == FLV_STATUS_FORKED && another == NULL && error == NULL);
    CHECK(flv_queue_drain(queue, &completion, 1, &count) == FLV_STATUS_FORKED);
    CHECK(flv_operation_cancel(queue, 1) == FLV_STATUS_FORKED);
    CHECK(flv_producer_flush(producer, 1000, queue, 1, &operation, &error) == FLV_STATUS_FORKED && error == NULL);
    CHECK(flv_client_close(client, 1000, queue, 1, &operation, &error) == FLV_STATUS_FORKED && error == NULL);
    CHECK(flv_client_endpoint(client, &view) == FLV_STATUS_FORKED);
    CHECK(flv_queue_fd(queue) == -1 && flv_producer_room(producer) == 0);
    CHECK(flv_client_state(client) == FLV_CLIENT_STATE_UNKNOWN);
    /* What cannot fail still fills in what it is asked for. */
    flv_producer_pending(producer, &records, &bytes);
    CHECK(records == 0 && bytes == 0);
    flv_version(&view);
    CHECK(view.len > 0);
    records = 1;
    flv_runtime_shutdown(100, &records);
    CHECK(records == 0);
    CHECK(flv_abi_version() != 0);
    /* The inherited descriptors are closed, so that the parent's connections end when the parent ends them. */
    CHECK(fcntl(fd, F_GETFD) == -1 && errno == EBADF);
    flv_producer_free(producer);
    flv_client_free(client);
    flv_queue_free(queue);
    _exit(42);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    /* Before the first connect a fork is no matter: parent and child connect, each with a queue of its own. */
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        flv_queue_t *queue = new_queue();
        flv_client_t *client = connect_client(queue, argv[1]);
        flv_client_free(client);
        flv_queue_free(queue);
        check_nothing_left();
        _exit(41);
    }
    expect_exit(child, 41);

    flv_queue_t *queue = new_queue();
    flv_client_t *client = connect_client(queue, argv[1]);
    create_topic(queue, client, "fork");
    flv_producer_t *producer = open_producer(queue, client, "fork");
    submit(producer, "before");
    int fd = flv_queue_fd(queue);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        in_child(queue, fd, client, producer, argv[1]);
    }
    expect_exit(child, 42);

    /* The parent goes on. */
    flv_error_t *error = NULL;
    uint64_t operation = 0;
    submit(producer, "after");
    CHECK_STATUS(flv_producer_close(producer, 1, 10000, queue, 4, &operation, &error), FLV_STATUS_OK, error);
    CHECK(finish(queue, operation) == NULL);
    flv_producer_free(producer);
    flv_client_free(client);
    flv_queue_free(queue);
    check_nothing_left();
    return 0;
}
