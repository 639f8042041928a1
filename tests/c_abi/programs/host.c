/*
 * A library is a guest: the process keeps its signal dispositions and its mask, also when the server dies; every record is
 * accounted for and every wait ends. Prints "ready" when the server may be killed, then goes on for a while.
 */
#include "check.h"

#include <signal.h>

static void check_signals(void) {
    sigset_t mask;
    CHECK(sigprocmask(SIG_SETMASK, NULL, &mask) == 0);
    for (int number = 1; number < 32; number++) {
        struct sigaction action;
        CHECK(sigaction(number, NULL, &action) == 0);
        CHECK(action.sa_handler == SIG_DFL);
        CHECK(sigismember(&mask, number) == 0);
    }
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    /* What the parent ignores is inherited. */
    for (int number = 1; number < 32; number++) {
        if (number != SIGKILL && number != SIGSTOP) {
            CHECK(signal(number, SIG_DFL) != SIG_ERR);
        }
    }
    flv_queue_t *queue = new_queue();
    flv_client_t *client = connect_client(queue, argv[1]);
    create_topic(queue, client, "host");
    flv_producer_t *producer = open_producer(queue, client, "host");
    flv_error_t *error = NULL;
    uint64_t operation = 0;
    submit(producer, "first");
    CHECK_STATUS(flv_producer_flush(producer, 10000, queue, 1, &operation, &error), FLV_STATUS_OK, error);
    finish(queue, operation);
    check_signals();

    puts("ready");
    fflush(stdout);
    /* At full speed, so that the server dies in the middle of something; then into connections that are gone. */
    static uint8_t data[100 * 1000];
    uint32_t lengths[100];
    for (int i = 0; i < 100; i++) {
        lengths[i] = 1000;
    }
    flv_records_t records = {.struct_size = sizeof records, .count = 100, .data = data, .data_len = sizeof data,
                             .value_lengths = lengths};
    flv_run_t runs[100];
    flv_submission_t submission = {.struct_size = sizeof submission};
    uint64_t accepted = 0;
    int64_t settled = 0;
    for (int i = 0; i < 150; i++) {
        do {
            CHECK_STATUS(flv_producer_submit(producer, &records, runs, 100, &submission, &error), FLV_STATUS_OK, error);
            accepted += submission.accepted;
        } while (submission.accepted == 100);
        CHECK_STATUS(flv_admin_call(client, slice("topics.list"), slice("{}"), nothing, 50, queue, 2, &operation,
                                    &error),
                     FLV_STATUS_OK, error);
        sleep_ms(2);
    }
    check_signals();

    /* Every wait ends: the close gives up at its deadline and says how many records it dropped. */
    CHECK_STATUS(flv_client_close(client, 200, queue, 3, &operation, &error), FLV_STATUS_OK, error);
    int64_t failed = 0, dropped = -1;
    while (dropped < 0) {
        flv_completion_t completion = next(queue);
        if (completion.kind == FLV_COMPLETION_TICKET) {
            settled += completion.extra;
            failed += completion.status == FLV_STATUS_OK ? 0 : completion.extra;
        } else if (completion.operation == operation) {
            CHECK(completion.status == FLV_STATUS_OK);
            dropped = completion.value;
        }
        flv_completion_dispose(&completion);
    }
    CHECK(settled == (int64_t)accepted && failed >= dropped && dropped > 0);
    flv_producer_free(producer);
    flv_client_free(client);
    flv_queue_free(queue);
    check_nothing_left();
    return 0;
}
