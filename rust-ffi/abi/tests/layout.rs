//! Sizes and offsets of the structures of the interface, against `tests/c_abi/layout.json`, with which the tests in
//! Python compare the header and the binding.
#![cfg(target_pointer_width = "64")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::Write;
use std::mem::offset_of;

use fluvio_cffi::*;

macro_rules! structures {
    ($($name:ident { $($field:ident),* $(,)? })*) => {{
        let mut out = String::new();
        $(
            let fields: &[(&str, usize)] = &[$((stringify!($field), offset_of!($name, $field))),*];
            structure(&mut out, stringify!($name), size_of::<$name>(), fields);
        )*
        format!("{{\n{}\n}}\n", out.trim_end_matches(['\n', ',']))
    }};
}

fn structure(out: &mut String, name: &str, size: usize, fields: &[(&str, usize)]) {
    let fields: Vec<String> = fields.iter().map(|(field, offset)| format!("\"{field}\": {offset}")).collect();
    write!(out, "  \"{name}\": {{\n    \"size\": {size},\n    \"fields\": {{{}}}\n  }},\n", fields.join(", ")).unwrap();
}

#[test]
fn structures_lie_in_memory_as_ever() {
    let layout = structures! {
        flv_slice_t { data, len }
        flv_view_t { data, len }
        flv_error_info_t {
            struct_size, status, code, has_code, retriable, outcome, phase, partition, offset, next_available, message,
            topic, module, hint, key, has_key, os_error, module_kind, value, has_value, record_index,
        }
        flv_completion_t { token, operation, status, kind, result, value, extra, partition, reserved }
        flv_counts_t {
            struct_size, queues, operations, clients, producers, consumers, errors, buffers, inner_clients,
            inner_producers, inner_consumers, connections, descriptors, watches, events, owners, arrows,
            arrow_readers, logs, reserved,
        }
        flv_client_options_t {
            struct_size, use_spu_local_address, endpoint, profile, client_id, request_timeout_ms, admin_timeout_ms,
            tls_policy, reserved, tls_domain, tls_ca, tls_cert, tls_key, probe_ms, wait,
            reserved2, owner,
        }
        flv_producer_options_t {
            struct_size, max_in_flight, batch_size, max_request_size, buffer_size, linger_us, delivery_timeout_ms,
            isolation, delivery, compression, reserved, smartmodules, smartmodules_len,
        }
        flv_records_t {
            struct_size, flags, count, data, data_len, value_lengths, key_lengths, partitions, timestamps,
        }
        flv_run_t { ticket, index, count }
        flv_submission_t { struct_size, reserved, accepted, runs, room, timestamp }
        flv_start_t { partition, kind, value }
        flv_consumer_options_t {
            struct_size, format, partitions, partitions_len, starts, starts_len, start_kind, stop_at_end, start_value,
            isolation, max_bytes, prefetch, consumer_id, auto_commit_ms, probe_ms, skip_evicted, resume, smartmodules,
            smartmodules_len, group, instance, session_timeout_ms, rebalance_timeout_ms, processing_timeout_ms, group_log,
            group_log_replication, revoke_waits,
        }
        flv_parameter_t { name, value }
        flv_smartmodule_t {
            struct_size, kind, name, wasm, parameters, parameters_len, initial, lookback_last, lookback_age_ms,
            has_lookback, reserved,
        }
        flv_record_t { offset, timestamp, key, key_len, value_len, value }
        flv_chunk_t {
            struct_size, partition, count, seeks, first_offset, next_offset, bytes, data, len, records,
            shares_offsets, reserved, epoch,
        }
        flv_position_t { partition, seeks, position, end }
        flv_event_t { struct_size, kind, number, partition, leader, topic, reason, group }
        flv_arrow_part_t { arrow, start, count }
        flv_log_t { time_ns, number, level, reserved, target, message, fields }
        flv_metrics_t {
            struct_size, reserved, records_produced, bytes_produced, records_consumed, bytes_consumed, requests, retries,
            duplicates_possible, reordered, reconnects, records_buffered, bytes_buffered, requests_in_flight, lag, errors,
            rebalances, commits_fenced, signs, evictions,
        }
        flv_topic_metrics_t { topic, records_produced, bytes_produced, records_consumed, bytes_consumed }
        flv_bounds_t { partition, reserved, begin, end }
        flv_offset_t { partition, reserved, offset }
        flv_epoch_offset_t { partition, reserved, offset, epoch }
        flv_group_change_t { struct_size, kind, number, partitions, epochs, count }
        flv_group_member_t { struct_size, state, generation, id }
        flv_group_slots_t { struct_size, reserved, lease, changes, came_back, unchanged, unchanged_count }
    };
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/c_abi/layout.json");
    if std::env::var_os("FLUVIO_CFFI_WRITE_LAYOUT").is_some() {
        std::fs::write(path, &layout).unwrap();
    }
    let table = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        table == layout,
        "tests/c_abi/layout.json differs from the library's structures:\n{layout}\nFields are only added, at the end \
         of structures with struct_size (docs/c-abi.md, Versions). If that is what happened, run this test with \
         FLUVIO_CFFI_WRITE_LAYOUT=1 and look at the difference."
    );
}
