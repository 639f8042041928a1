/* A connect to a server that accepts and then says nothing: cancelled, overdue, given up; always one completion. */
#include "check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define MANY 200

static char endpoint[32];

static int silent_listener(void) {
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    CHECK(listener >= 0 && bind(listener, (struct sockaddr *)&address, size) == 0 && listen(listener, 4 * MANY) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&address, &size) == 0);
    snprintf(endpoint, sizeof endpoint, "127.0.0.1:%d", ntohs(address.sin_port));
    return listener;
}

static uint64_t start(flv_queue_t *queue, uint64_t token, int64_t timeout_ms) {
    flv_client_options_t options = client_options(endpoint);
    flv_error_t *error = NULL;
    uint64_t operation = 0;
    CHECK_STATUS(flv_client_connect(&options, timeout_ms, queue, token, &operation, &error), FLV_STATUS_OK, error);
    CHECK(operation != 0);
    return operation;
}

int main(void) {
    int listener = silent_listener();
    flv_queue_t *queue = new_queue();

    /* Cancelled while it waits: one completion, with nothing to free. Cancelling again is nothing. */
    uint64_t operation = start(queue, 7, -1);
    CHECK(!readable(queue, 50));
    CHECK(counts().operations == 1);
    for (int i = 0; i < 3; i++) {
        CHECK(flv_operation_cancel(queue, operation) == FLV_STATUS_OK);
    }
    flv_completion_t completion = next(queue);
    CHECK(completion.operation == operation && completion.token == 7 && completion.kind == FLV_COMPLETION_OPERATION);
    CHECK(completion.status == FLV_STATUS_CANCELLED && completion.result == NULL);
    CHECK(flv_operation_cancel(queue, operation) == FLV_STATUS_OK);
    CHECK(flv_operation_cancel(queue, UINT64_MAX) == FLV_STATUS_OK);
    CHECK(!readable(queue, 50));

    /* Overdue: an error that names the phase. */
    operation = start(queue, 8, 100);
    completion = next(queue);
    CHECK(completion.operation == operation && completion.status == FLV_STATUS_TIMEOUT);
    flv_error_info_t info = {.struct_size = sizeof info};
    CHECK(flv_error_info(completion.result, &info) == FLV_STATUS_OK);
    CHECK(info.status == FLV_STATUS_TIMEOUT && info.phase == FLV_PHASE_CONNECT && info.message.len > 0);
    flv_completion_dispose(&completion);
    CHECK(flv_error_info(completion.result, &info) == FLV_STATUS_CLOSED);

    /* Many, cancelled at once or a little later, or overdue first: each completes once. */
    uint64_t operations[MANY];
    int completed[MANY] = {0};
    for (uint64_t i = 0; i < MANY; i++) {
        operations[i] = start(queue, i, i % 3 == 2 ? (int64_t)(i % 7) : -1);
        if (i % 3 == 0) {
            CHECK(flv_operation_cancel(queue, operations[i]) == FLV_STATUS_OK);
        }
    }
    for (int i = 0; i < MANY; i++) {
        CHECK(flv_operation_cancel(queue, operations[i]) == FLV_STATUS_OK);
    }
    for (int i = 0; i < MANY; i++) {
        completion = next(queue);
        CHECK(completion.token < MANY && completion.operation == operations[completion.token]);
        CHECK(completion.status == FLV_STATUS_CANCELLED || completion.status == FLV_STATUS_TIMEOUT);
        completed[completion.token]++;
        flv_completion_dispose(&completion);
    }
    for (int i = 0; i < MANY; i++) {
        CHECK(completed[i] == 1);
    }
    CHECK(!readable(queue, 100));

    /* The queue given up with some under way: they end by themselves, and nothing of them stays. */
    for (int i = 0; i < 10; i++) {
        start(queue, 9, 200);
    }
    CHECK(counts().operations == 10);
    flv_queue_free(queue);
    check_nothing_left();

    /* And with completions that nobody fetched. */
    queue = new_queue();
    start(queue, 9, 0);
    CHECK(readable(queue, 10000));
    flv_queue_free(queue);
    check_nothing_left();
    close(listener);
    return 0;
}
