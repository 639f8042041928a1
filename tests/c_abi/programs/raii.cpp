// The C++ header as a program uses it.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "fluvio_cffi.hpp"

#define CHECK(condition)                                                                  \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            std::exit(1);                                                                 \
        }                                                                                 \
    } while (0)

static constexpr fluvio::Milliseconds TIME(10000);

template <typename Call> static flv_status_t status(Call call) {
    try {
        call();
    } catch (const fluvio::Error &error) {
        CHECK(error.what()[0] != 0);
        return error.status;
    }
    return FLV_STATUS_OK;
}

static void produce(fluvio::Client &client, const std::string &topic) {
    fluvio::Producer producer = client.producer(topic);
    const fluvio::Place first = producer.send("one", "key");
    CHECK(first.partition == 0 && first.offset == 0);
    // More than fits into the buffer at once.
    for (int i = 0; i < 1000; i++) producer.enqueue(std::string(100, 'x'));
    producer.flush(TIME);
    fluvio::Producer moved = std::move(producer);
    CHECK(moved.send("last").offset == 1001);
    moved.close(TIME);
    CHECK(status([&] { moved.send("late"); }) == FLV_STATUS_CLOSED);
}

static void consume(fluvio::Client &client, const std::string &topic) {
    flv_consumer_options_t options;
    flv_consumer_options_init(&options);
    options.start_kind = FLV_START_BEGINNING;
    options.stop_at_end = 1;
    options.consumer_id = fluvio::slice("raii");
    fluvio::Consumer consumer = client.consumer(topic, &options);
    std::int64_t offset = 0;
    while (auto chunk = consumer.next(TIME)) {
        for (const flv_record_t &record : *chunk) {
            CHECK(record.offset == offset++);
            if (record.offset == 0) CHECK(fluvio::value(record) == "one" && fluvio::key(record) == "key");
            if (record.offset == 1001) CHECK(fluvio::value(record) == "last" && !fluvio::key(record));
        }
    }
    CHECK(offset == 1002);
    consumer.commit(0, 1001);
    CHECK(status([&] { consumer.commit(0, 5000); }) == FLV_STATUS_OFFSET_OUT_OF_RANGE);
    // Nothing comes.
    fluvio::Consumer waiting = client.consumer(topic);
    while (waiting.next(fluvio::Milliseconds(100))) {
    }
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    const std::string topic = argv[2];
    {
        fluvio::Client client(argv[1]);
        client.create_topic(topic);
        CHECK(client.call("topics.list", "{}").find('"' + topic + '"') != std::string::npos);
        produce(client, topic);
        consume(client, topic);
        CHECK(status([&] { client.call("topics.create", "{}"); }) == FLV_STATUS_INVALID_ARGUMENT);
        CHECK(status([&] { client.producer("no-such-topic"); }) == FLV_STATUS_TOPIC_NOT_FOUND);
        // What was opened outlives its client, and its records are written.
        fluvio::Producer last = client.producer(topic);
        { fluvio::Client gone = std::move(client); }
        CHECK(last.send("after").offset == 1002);
    }
    CHECK(status([] { fluvio::Client("127.0.0.1:1"); }) == FLV_STATUS_CONNECTION);
    return 0;
}
