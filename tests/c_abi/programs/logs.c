/*
 * Listening to the library's log: by its descriptor, by owner and by target; what is dropped is counted; close and free.
 */
#include "check.h"

static flv_logs_t *listen_to(flv_owner_t *owner, uint32_t level) {
    flv_logs_t *logs = NULL;
    flv_error_t *error = NULL;
    CHECK_STATUS(flv_logs_new(owner, level, &logs, &error), FLV_STATUS_OK, error);
    CHECK(logs != NULL && flv_logs_fd(logs) >= 0);
    return logs;
}

static int is_readable(flv_logs_t *logs, int timeout_ms) {
    struct pollfd waiting = {.fd = flv_logs_fd(logs), .events = POLLIN};
    return poll(&waiting, 1, timeout_ms) > 0;
}

static int contains(flv_view_t view, const char *text) {
    return memmem(view.data, view.len, text, strlen(text)) != NULL;
}

/* Takes entries until none is left; gives how many, and checks their numbers. */
static uint64_t take_all(flv_logs_t *logs, uint64_t *last) {
    flv_log_t entries[100];
    uint64_t taken = 0;
    size_t count = 0;
    while (flv_logs_take(logs, entries, 100, &count) == FLV_STATUS_OK) {
        for (size_t i = 0; i < count; i++) {
            CHECK(entries[i].number > *last && entries[i].time_ns > 0 && entries[i].reserved == 0);
            *last = entries[i].number;
        }
        taken += count;
    }
    CHECK(count == 0);
    return taken;
}

/* Waits for an entry with these words, about that target. */
static void wait_for(flv_logs_t *logs, uint32_t level, const char *target, const char *words) {
    for (;;) {
        flv_log_t entry;
        size_t count = 0;
        CHECK(is_readable(logs, 10000));
        if (flv_logs_take(logs, &entry, 1, &count) != FLV_STATUS_OK || !contains(entry.message, words)) {
            continue;
        }
        CHECK(entry.level == level);
        CHECK(entry.target.len == strlen(target) && memcmp(entry.target.data, target, entry.target.len) == 0);
        CHECK(entry.fields.data[0] == '{' && entry.fields.data[entry.fields.len - 1] == '}');
        CHECK(contains(entry.fields, "\"client\":") && !contains(entry.fields, "owner"));
        return;
    }
}

static void check_drops(void) {
    enum { SAID = 10000, ROOM = 4096 };
    flv_logs_t *logs = listen_to(NULL, FLV_LOG_TRACE);
    flv_error_t *error = NULL;
    uint64_t last = 0;
    CHECK(!is_readable(logs, 0));
    CHECK_STATUS(flv_debug_log(NULL, SAID, &error), FLV_STATUS_OK, error);
    CHECK(is_readable(logs, 0) && flv_logs_dropped(logs) == SAID - ROOM);
    CHECK(take_all(logs, &last) == ROOM && last == ROOM);
    CHECK(!is_readable(logs, 0));
    /* The number of the next one shows the gap. */
    CHECK_STATUS(flv_debug_log(NULL, 1, &error), FLV_STATUS_OK, error);
    CHECK(take_all(logs, &last) == 1 && last == SAID + 1);
    flv_logs_free(logs);
    CHECK(flv_logs_dropped(logs) == 0 && flv_logs_fd(logs) == -1);
}

static void check_levels_and_owners(void) {
    flv_error_t *error = NULL;
    flv_owner_t *mine = NULL, *other = NULL;
    CHECK_STATUS(flv_owner_new(&mine, &error), FLV_STATUS_OK, error);
    CHECK_STATUS(flv_owner_new(&other, &error), FLV_STATUS_OK, error);
    flv_logs_t *logs = listen_to(mine, FLV_LOG_WARN), *all = listen_to(NULL, FLV_LOG_TRACE);
    uint64_t last = 0, last_of_all = 0;
    CHECK_STATUS(flv_debug_log(mine, 3, &error), FLV_STATUS_OK, error);
    CHECK(take_all(logs, &last) == 0);
    CHECK_STATUS(flv_logs_set_level(logs, slice("connection"), FLV_LOG_TRACE, &error), FLV_STATUS_OK, error);
    CHECK_STATUS(flv_debug_log(mine, 3, &error), FLV_STATUS_OK, error);
    CHECK_STATUS(flv_debug_log(other, 5, &error), FLV_STATUS_OK, error);
    CHECK_STATUS(flv_debug_log(NULL, 7, &error), FLV_STATUS_OK, error);
    CHECK(take_all(logs, &last) == 3);
    CHECK(take_all(all, &last_of_all) == 3 + 3 + 5 + 7);
    CHECK_STATUS(flv_logs_set_level(logs, nothing, FLV_LOG_OFF, &error), FLV_STATUS_OK, error);
    CHECK_STATUS(flv_debug_log(mine, 3, &error), FLV_STATUS_OK, error);
    CHECK(take_all(logs, &last) == 0);
    /* Of a later version: ignored. */
    CHECK_STATUS(flv_logs_set_level(logs, slice("weather"), FLV_LOG_INFO, &error), FLV_STATUS_OK, error);
    CHECK_STATUS(flv_logs_set_level(logs, nothing, 6, &error), FLV_STATUS_INVALID_ARGUMENT, error);
    flv_logs_free(logs);
    CHECK_STATUS(flv_logs_new(NULL, 6, &logs, &error), FLV_STATUS_INVALID_ARGUMENT, error);
    CHECK(logs == NULL);
    flv_logs_free(all);
    flv_owner_free(mine);
    flv_owner_free(other);
}

static void check_close(void) {
    flv_log_t entry;
    size_t count = 0;
    flv_error_t *error = NULL;
    flv_logs_t *logs = listen_to(NULL, FLV_LOG_TRACE);
    CHECK_STATUS(flv_debug_log(NULL, 1, &error), FLV_STATUS_OK, error);
    flv_logs_close(logs);
    CHECK_STATUS(flv_debug_log(NULL, 1, &error), FLV_STATUS_OK, error);
    CHECK(is_readable(logs, 0));
    CHECK(flv_logs_take(logs, NULL, 1, &count) == FLV_STATUS_INVALID_ARGUMENT);
    CHECK(flv_logs_take(logs, &entry, 0, &count) == FLV_STATUS_INVALID_ARGUMENT);
    CHECK(flv_logs_take(logs, &entry, 1, &count) == FLV_STATUS_OK && count == 1);
    CHECK(contains(entry.message, "for tests client=0 number=1"));
    CHECK(flv_logs_take(logs, &entry, 1, &count) == FLV_STATUS_END && count == 0);
    CHECK(is_readable(logs, 0) && flv_logs_take(logs, &entry, 1, &count) == FLV_STATUS_END);
    flv_logs_free(logs);
    flv_logs_free(logs);
    flv_logs_free(NULL);
    CHECK(flv_logs_take(logs, &entry, 1, &count) == FLV_STATUS_CLOSED);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    check_drops();
    check_levels_and_owners();
    check_close();

    flv_logs_t *logs = listen_to(NULL, FLV_LOG_TRACE);
    flv_queue_t *queue = new_queue();
    flv_client_t *client = connect_client(queue, argv[1]);
    wait_for(logs, FLV_LOG_INFO, "cluster", "connected to the cluster");
    create_topic(queue, client, "logged");
    wait_for(logs, FLV_LOG_DEBUG, "admin", "a call was answered");
    flv_producer_t *producer = open_producer(queue, client, "logged");
    wait_for(logs, FLV_LOG_DEBUG, "producer", "a producer is open");
    flv_error_t *error = NULL;
    uint64_t operation = 0;
    submit(producer, "s3cret");
    CHECK_STATUS(flv_producer_flush(producer, 10000, queue, 1, &operation, &error), FLV_STATUS_OK, error);
    finish(queue, operation);
    wait_for(logs, FLV_LOG_TRACE, "producer", "a request was answered");
    flv_producer_free(producer);
    flv_client_free(client);
    flv_logs_free(logs);
    flv_queue_free(queue);
    check_nothing_left();
    CHECK(counts().logs == 0);
    return 0;
}
