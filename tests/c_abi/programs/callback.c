/*
 * A queue in callback mode: each operation and each ticket once, on a thread of the library, never inside the call that
 * submits; the finalizer once, after the last of them.
 */
#include "check.h"

#include <pthread.h>

#define OPERATIONS 200
#define TOKENS (OPERATIONS + 100)

typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int calls[TOKENS];
    int operations;
    int tickets;
    int finalized;
    int late;
    void *result;
    uint64_t operation;
    flv_status_t status;
    pthread_t submitter;
    int inside;
} seen_t;

/* Set while the submitting thread is inside a call: a callback on that very thread would see it. */
static __thread int submitting;

static void on_completion(void *ctx, const flv_completion_t *completion) {
    seen_t *seen = ctx;
    pthread_mutex_lock(&seen->mutex);
    seen->late += seen->finalized;
    seen->inside += submitting || pthread_equal(pthread_self(), seen->submitter);
    if (completion->kind == FLV_COMPLETION_TICKET) {
        seen->tickets++;
        CHECK(completion->status == FLV_STATUS_OK && completion->result == NULL);
    } else {
        CHECK(completion->token < TOKENS);
        seen->calls[completion->token]++;
        seen->operations++;
        seen->operation = completion->operation;
        seen->status = completion->status;
        if (completion->token < 100) {
            seen->result = completion->result;
        } else {
            flv_completion_dispose(completion); /* one of the functions that may be called here */
        }
    }
    pthread_cond_broadcast(&seen->changed);
    pthread_mutex_unlock(&seen->mutex);
}

static void on_end(void *ctx) {
    seen_t *seen = ctx;
    pthread_mutex_lock(&seen->mutex);
    seen->finalized++;
    pthread_cond_broadcast(&seen->changed);
    pthread_mutex_unlock(&seen->mutex);
}

static void wait_until(seen_t *seen, const int *number, int wanted) {
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 10;
    pthread_mutex_lock(&seen->mutex);
    while (*number < wanted) {
        CHECK(pthread_cond_timedwait(&seen->changed, &seen->mutex, &deadline) == 0);
    }
    pthread_mutex_unlock(&seen->mutex);
}

static seen_t *new_seen(void) {
    seen_t *seen = calloc(1, sizeof *seen);
    CHECK(seen != NULL);
    pthread_mutex_init(&seen->mutex, NULL);
    pthread_cond_init(&seen->changed, NULL);
    seen->submitter = pthread_self();
    return seen;
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    flv_error_t *error = NULL;
    flv_queue_t *queue = NULL;
    seen_t *seen = new_seen();

    /* A queue that is not made takes nothing: the context stays the caller's. */
    CHECK_STATUS(flv_queue_new_callback(NULL, seen, on_end, &queue, &error), FLV_STATUS_INVALID_ARGUMENT, error);
    CHECK_STATUS(flv_queue_new_callback(on_completion, seen, on_end, NULL, &error), FLV_STATUS_INVALID_ARGUMENT, error);
    CHECK(seen->finalized == 0);

    CHECK_STATUS(flv_queue_new_callback(on_completion, seen, on_end, &queue, &error), FLV_STATUS_OK, error);
    CHECK(flv_queue_fd(queue) == -1);

    flv_client_options_t options = client_options(argv[1]);
    uint64_t operation = 0;
    submitting = 1;
    CHECK_STATUS(flv_client_connect(&options, 10000, queue, 1, &operation, &error), FLV_STATUS_OK, error);
    submitting = 0;
    wait_until(seen, &seen->operations, 1);
    CHECK(seen->operation == operation && seen->status == FLV_STATUS_OK);
    flv_client_t *client = seen->result;

    submitting = 1;
    CHECK_STATUS(flv_admin_call(client, slice("topics.create"), slice("{\"name\": \"callback\", \"exist_ok\": true}"),
                                nothing, 10000, queue, 2, &operation, &error),
                 FLV_STATUS_OK, error);
    submitting = 0;
    wait_until(seen, &seen->operations, 2);
    CHECK(seen->operation == operation && seen->status == FLV_STATUS_OK);
    flv_buffer_free(seen->result);

    flv_producer_options_t producing;
    flv_producer_options_init(&producing);
    CHECK_STATUS(flv_producer_open(client, slice("callback"), &producing, 10000, queue, 3, &operation, &error),
                 FLV_STATUS_OK, error);
    wait_until(seen, &seen->operations, 3);
    CHECK(seen->status == FLV_STATUS_OK);
    flv_producer_t *producer = seen->result;
    submit(producer, "one");
    wait_until(seen, &seen->tickets, 1);

    /* Many at once, half of them cancelled. */
    for (uint64_t i = 0; i < OPERATIONS; i++) {
        CHECK_STATUS(flv_producer_flush(producer, 10000, queue, 100 + i, &operation, &error), FLV_STATUS_OK, error);
        if (i % 2 == 0) {
            CHECK(flv_operation_cancel(queue, operation) == FLV_STATUS_OK);
        }
    }
    wait_until(seen, &seen->operations, 3 + OPERATIONS);
    for (uint64_t i = 0; i < OPERATIONS; i++) {
        CHECK(seen->calls[100 + i] == 1);
    }

    CHECK_STATUS(flv_producer_close(producer, 1, 10000, queue, 4, &operation, &error), FLV_STATUS_OK, error);
    wait_until(seen, &seen->operations, 4 + OPERATIONS);
    CHECK(seen->finalized == 0);

    /* Given up with a client and a producer alive: the producer's tickets still need it, so it ends with the producer. */
    flv_queue_free(queue);
    sleep_ms(50);
    CHECK(seen->finalized == 0);
    CHECK_STATUS(flv_client_close(client, 10000, queue, 5, &operation, &error), FLV_STATUS_CLOSED, error);
    flv_producer_free(producer);
    flv_client_free(client);
    wait_until(seen, &seen->finalized, 1);
    check_nothing_left();
    CHECK(seen->operations == 4 + OPERATIONS && seen->tickets == 1);
    CHECK(seen->finalized == 1 && seen->late == 0 && seen->inside == 0);

    /* Without any operation the finalizer runs in the free. */
    seen_t *unused = new_seen();
    CHECK_STATUS(flv_queue_new_callback(on_completion, unused, on_end, &queue, &error), FLV_STATUS_OK, error);
    flv_queue_free(queue);
    CHECK(unused->finalized == 1);
    flv_queue_free(queue);
    CHECK(unused->finalized == 1);
    free(unused);
    free(seen);
    return 0;
}
