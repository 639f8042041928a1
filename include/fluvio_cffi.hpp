// The C interface for C++17: owning objects, exceptions, and calls that wait. Header only; link with libfluvio_cffi.
//
//     fluvio::Client client("127.0.0.1:9003");
//     client.create_topic("greetings");
//     fluvio::Producer producer = client.producer("greetings");
//     fluvio::Place place = producer.send("hello");             // waits until it is written
//     fluvio::Consumer consumer = client.consumer("greetings"); // from the beginning
//     while (auto chunk = consumer.next(std::chrono::seconds(1)))
//         for (const flv_record_t &record : *chunk) use(fluvio::value(record));
//
// A client, and what it has opened, belong to one thread at a time. Objects own what they stand for, can be moved and not
// copied, and may be destroyed in any order. What is not here is in the C interface: `get()` gives an object's handle.
#ifndef FLUVIO_CFFI_HPP
#define FLUVIO_CFFI_HPP

#include <poll.h>
#include <cerrno>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include "fluvio_cffi.h"

namespace fluvio {

using Milliseconds = std::chrono::milliseconds;
using Key = std::optional<std::string_view>;

// What goes wrong, with what the library says of it.
class Error : public std::runtime_error {
  public:
    Error(flv_status_t status, const std::string &message, bool retriable = false, std::uint32_t outcome = 0)
        : std::runtime_error(message), status(status), retriable(retriable), outcome(outcome) {}

    // Takes the error object over.
    static Error of(flv_status_t status, flv_error_t *error) {
        const std::unique_ptr<flv_error_t, void (*)(flv_error_t *)> kept(error, flv_error_free);
        flv_error_info_t info{};
        info.struct_size = sizeof info;
        if (flv_error_info(error, &info) != FLV_STATUS_OK) return {status, "status " + std::to_string(status)};
        const std::string message(reinterpret_cast<const char *>(info.message.data), info.message.len);
        return {status, message, info.retriable != 0, info.outcome};
    }

    flv_status_t status;
    bool retriable;
    std::uint32_t outcome; // one of FLV_OUTCOME_
};

inline void check(flv_status_t status, flv_error_t *error) {
    if (status != FLV_STATUS_OK) throw Error::of(status, error);
}

// `text` as the library borrows it for a call.
inline flv_slice_t slice(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t *>(text.data()), text.size()};
}

inline std::string_view value(const flv_record_t &it) {
    return {reinterpret_cast<const char *>(it.value), it.value_len};
}

// Nothing: the record has no key.
inline Key key(const flv_record_t &it) {
    return it.key_len < 0 ? Key() : Key({reinterpret_cast<const char *>(it.key), std::size_t(it.key_len)});
}

// Where a record was written. -1: nobody knows the offset, since the topic or SmartModules drop records.
struct Place {
    std::uint32_t partition;
    std::int64_t offset;
};

namespace detail {

template <auto Free> struct Freed {
    template <typename T> void operator()(T *handle) const noexcept { Free(handle); }
};
template <typename T, auto Free> using Handle = std::unique_ptr<T, Freed<Free>>;

// The queue of a client: it waits for operations and for batches.
class Queue {
  public:
    Queue() {
        flv_queue_t *queue = nullptr;
        flv_error_t *error = nullptr;
        check(flv_queue_new(&queue, &error), error);
        queue_.reset(queue);
    }

    // Starts an operation and waits for it; `start` gets what every operation ends in. Throws its error.
    template <typename Start> flv_completion_t run(Start start) {
        const flv_completion_t completion = finish(start);
        if (completion.status == FLV_STATUS_OK) return completion;
        throw failed(completion);
    }

    // The same for one whose status the caller looks at.
    template <typename Start> flv_completion_t finish(Start start) {
        std::uint64_t operation = 0;
        flv_error_t *error = nullptr;
        check(start(queue_.get(), std::uint64_t{0}, &operation, &error), error);
        flv_completion_t completion = next();
        for (; completion.operation != operation; completion = next()) pass(completion);
        return completion;
    }

    // Waits for a batch.
    Place wait(const flv_run_t &run) {
        flv_completion_t ticket = next();
        for (; ticket.kind != FLV_COMPLETION_TICKET || ticket.token != run.ticket; ticket = next()) pass(ticket);
        if (ticket.status != FLV_STATUS_OK) throw failed(ticket);
        return {ticket.partition, ticket.value < 0 ? -1 : ticket.value + run.index};
    }

    // Runs it, and throws the first failure of a batch that nobody has waited for.
    template <typename Start> void settle(Start start) {
        run(start);
        if (auto failure = std::exchange(failure_, std::nullopt)) throw *failure;
    }
  private:
    static Error failed(const flv_completion_t &completion) {
        return Error::of(completion.status, static_cast<flv_error_t *>(completion.result));
    }

    flv_completion_t next() {
        for (;;) {
            flv_completion_t completion;
            std::size_t count = 0;
            flv_queue_drain(queue_.get(), &completion, 1, &count);
            if (count == 1) return completion;
            pollfd waiting{flv_queue_fd(queue_.get()), POLLIN, 0};
            if (poll(&waiting, 1, -1) < 0 && errno != EINTR) throw Error(FLV_STATUS_RESOURCE, "poll failed");
        }
    }

    // Nobody waits for it: of a batch only a failure counts.
    void pass(const flv_completion_t &completion) {
        const bool counts = completion.kind == FLV_COMPLETION_TICKET && completion.status != FLV_STATUS_OK;
        counts && !failure_ ? void(failure_ = failed(completion)) : flv_completion_dispose(&completion);
    }

    Handle<flv_queue_t, flv_queue_free> queue_;
    std::optional<Error> failure_;
};

} // namespace detail

// A producer of one topic. Destroyed without a close, its records get one more second in the background.
class Producer {
  public:
    // Sends a record and waits until it is written.
    Place send(std::string_view value, Key key = std::nullopt) { return queue_->wait(submit(value, key)); }

    // Hands a record over; waits for room only. `flush` and `close` throw if it could not be written.
    void enqueue(std::string_view value, Key key = std::nullopt) { submit(value, key); }

    // Waits until everything is written that was handed over.
    void flush(Milliseconds timeout = Milliseconds(30000)) {
        queue_->settle([&](auto... rest) { return flv_producer_flush(get(), timeout.count(), rest...); });
    }

    // Flushes, and takes no more records.
    void close(Milliseconds timeout = Milliseconds(30000)) {
        queue_->settle([&](auto... rest) { return flv_producer_close(get(), 1, timeout.count(), rest...); });
    }
    flv_producer_t *get() const { return producer_.get(); }
  private:
    friend class Client;
    Producer(std::shared_ptr<detail::Queue> queue, flv_producer_t *made) : queue_(std::move(queue)), producer_(made) {}

    flv_run_t submit(std::string_view value, Key key) {
        const std::string data = std::string(key.value_or("")) + std::string(value);
        const auto value_length = std::uint32_t(value.size());
        const std::int32_t key_length = key ? std::int32_t(key->size()) : -1;
        flv_records_t records{};
        records.struct_size = sizeof records;
        records.count = 1;
        records.data = reinterpret_cast<const std::uint8_t *>(data.data());
        records.data_len = data.size();
        records.value_lengths = &value_length;
        records.key_lengths = &key_length;
        flv_submission_t submission{};
        submission.struct_size = sizeof submission;
        for (;;) {
            flv_run_t run{};
            flv_error_t *error = nullptr;
            check(flv_producer_submit(get(), &records, &run, 1, &submission, &error), error);
            if (submission.accepted == 1) return run;
            const std::uint64_t room = data.size() + FLV_RECORD_OVERHEAD;
            queue_->run([&](auto... rest) { return flv_producer_wait_room(get(), room, -1, rest...); });
        }
    }
    std::shared_ptr<detail::Queue> queue_;
    detail::Handle<flv_producer_t, flv_producer_free> producer_;
};

// Records of one partition, valid until the next ones are taken.
struct Chunk : flv_chunk_t {
    const flv_record_t *begin() const { return records; }
    const flv_record_t *end() const { return records + count; }
};

// A consumer of one topic.
class Consumer {
  public:
    // The next records. Nothing: none came in time, or all that the consumer was to read was read.
    std::optional<Chunk> next(Milliseconds timeout) {
        Chunk chunk{};
        chunk.struct_size = sizeof(flv_chunk_t);
        for (;;) {
            flv_error_t *error = nullptr;
            const flv_status_t status = flv_consumer_take(get(), &chunk, &error);
            if (status == FLV_STATUS_OK) return chunk;
            if (status == FLV_STATUS_END) return std::nullopt;
            if (status != FLV_STATUS_EMPTY) check(status, error);
            const auto wait = [&](auto... rest) { return flv_consumer_wait(get(), timeout.count(), rest...); };
            if (queue_->finish(wait).status == FLV_STATUS_TIMEOUT) return std::nullopt;
        }
    }

    // Stores that everything up to this record is processed.
    void commit(std::uint32_t partition, std::int64_t offset, Milliseconds timeout = Milliseconds(10000)) {
        const flv_offset_t processed{partition, 0, offset};
        queue_->run([&](auto... rest) { return flv_consumer_commit(get(), &processed, 1, timeout.count(), rest...); });
    }
    flv_consumer_t *get() const { return consumer_.get(); }
  private:
    friend class Client;
    Consumer(std::shared_ptr<detail::Queue> queue, flv_consumer_t *made) : queue_(std::move(queue)), consumer_(made) {}
    std::shared_ptr<detail::Queue> queue_;
    detail::Handle<flv_consumer_t, flv_consumer_free> consumer_;
};

// A connection to a cluster.
class Client {
  public:
    // `given`: other options than the defaults; the endpoint comes from the first argument.
    explicit Client(std::string_view endpoint, Milliseconds timeout = Milliseconds(10000),
                    const flv_client_options_t *given = nullptr) {
        flv_client_options_t options;
        given ? void(options = *given) : flv_client_options_init(&options);
        options.endpoint = slice(endpoint);
        const auto connect = [&](auto... rest) { return flv_client_connect(&options, timeout.count(), rest...); };
        client_.reset(open<flv_client_t>(connect));
    }

    // An administrative call: docs/admin-json.md has the methods and their documents. Gives the answer, as JSON.
    std::string call(std::string_view method, std::string_view document, Milliseconds timeout = Milliseconds(30000)) {
        const auto call = [&](auto... rest) {
            return flv_admin_call(get(), slice(method), slice(document), slice(""), timeout.count(), rest...);
        };
        const detail::Handle<flv_buffer_t, flv_buffer_free> buffer(open<flv_buffer_t>(call));
        flv_view_t view{};
        flv_buffer_view(buffer.get(), &view);
        return {reinterpret_cast<const char *>(view.data), view.len};
    }

    // Creates a topic of one partition, unless there is one of that name already. The name goes into JSON as it is.
    void create_topic(const std::string &name) {
        call("topics.create", R"({"name": ")" + name + R"(", "exist_ok": true})");
    }

    Producer producer(std::string_view topic, const flv_producer_options_t *given = nullptr) {
        flv_producer_options_t options;
        flv_producer_options_init(&options);
        const auto open_it = [&](auto... rest) {
            return flv_producer_open(get(), slice(topic), given ? given : &options, 30000, rest...);
        };
        return {queue_, open<flv_producer_t>(open_it)};
    }

    // With no options: from the beginning.
    Consumer consumer(std::string_view topic, const flv_consumer_options_t *given = nullptr) {
        flv_consumer_options_t options;
        flv_consumer_options_init(&options);
        options.start_kind = FLV_START_BEGINNING;
        const auto open_it = [&](auto... rest) {
            return flv_consumer_open(get(), slice(topic), given ? given : &options, 30000, rest...);
        };
        return {queue_, open<flv_consumer_t>(open_it)};
    }

    // Closes it and what was opened with it; its producers flush. Gives how many records were dropped.
    std::int64_t close(Milliseconds timeout = Milliseconds(30000)) {
        return queue_->run([&](auto... rest) { return flv_client_close(get(), timeout.count(), rest...); }).value;
    }
    flv_client_t *get() const { return client_.get(); }
  private:
    template <typename T, typename Start> T *open(Start start) { return static_cast<T *>(queue_->run(start).result); }
    std::shared_ptr<detail::Queue> queue_ = std::make_shared<detail::Queue>();
    detail::Handle<flv_client_t, flv_client_free> client_;
};

} // namespace fluvio

#endif
