/* The header alone, twice, in every dialect; each name can be used. */
#include "fluvio_cffi.h"
#include "fluvio_cffi.h"

typedef char frozen[sizeof(flv_completion_t) == 56 ? 1 : -1];

static void on_completion(void *ctx, const flv_completion_t *completion) {
    (void)ctx;
    flv_completion_dispose(completion);
}

int main(void) {
    flv_queue_t *queue = 0;
    flv_status_t status = flv_queue_new_callback(on_completion, 0, 0, &queue, 0);
    flv_queue_free(queue);
    return status == FLV_STATUS_OK && sizeof(frozen) == 1 && flv_abi_version() != 0 ? 0 : 1;
}
