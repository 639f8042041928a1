;; The head: the first module of a chain. It drops records whose offset is below the parameter `from`, so that the modules
;; behind it see nothing from before the start, although the server begins at the batch that holds it; and, if there is a
;; parameter `to`, those whose offset is not below that.
;; SPDX-License-Identifier: Apache-2.0
(module
  (import "env" "copy_records" (func $copy_records (param i32 i32)))
  (memory (export "memory") 2)
  (data (i32.const 16) "\00\1ahead: missing param `from`")          ;; a string: length (u16), text
  (data (i32.const 64) "\00\20head: param `from` is no number.")
  (data (i32.const 128) "\00\1ehead: param `to` is no number.")
  (global $from (mut i64) (i64.const 0))
  (global $to (mut i64) (i64.const 0x7fffffffffffffff))
  (global $in (mut i32) (i32.const 0))
  (global $end (mut i32) (i32.const 0))

  (func (export "alloc") (param $len i32) (result i32)
    (local $pages i32)
    (local.set $pages (i32.sub (i32.add (i32.shr_u (i32.add (local.get $len) (i32.const 1100)) (i32.const 16)) (i32.const 1)) (memory.size)))
    (if (i32.gt_s (local.get $pages) (i32.const 0))
      (then (if (i32.eq (memory.grow (local.get $pages)) (i32.const -1)) (then (unreachable)))))
    (i32.const 1024))

  (func $swap32 (param $v i32) (result i32)
    (i32.or (i32.and (i32.rotl (local.get $v) (i32.const 8)) (i32.const 0x00ff00ff))
            (i32.and (i32.rotr (local.get $v) (i32.const 8)) (i32.const 0xff00ff00))))
  (func $swap64 (param $v i64) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (call $swap32 (i32.wrap_i64 (local.get $v)))) (i64.const 32))
            (i64.extend_i32_u (call $swap32 (i32.wrap_i64 (i64.shr_u (local.get $v) (i64.const 32)))))))
  (func $be16 (param $at i32) (result i32)
    (i32.or (i32.shl (i32.load8_u (local.get $at)) (i32.const 8)) (i32.load8_u offset=1 (local.get $at))))

  ;; A number of `$n` decimal digits; -1: it is none.
  (func $number (param $at i32) (param $n i32) (result i64)
    (local $stop i32) (local $digit i32) (local $value i64)
    (if (i32.gt_u (i32.sub (local.get $n) (i32.const 1)) (i32.const 18)) (then (return (i64.const -1))))
    (local.set $stop (i32.add (local.get $at) (local.get $n)))
    (loop $digits
      (local.set $digit (i32.sub (i32.load8_u (local.get $at)) (i32.const 48)))
      (if (i32.gt_u (local.get $digit) (i32.const 9)) (then (return (i64.const -1))))
      (local.set $value (i64.add (i64.mul (local.get $value) (i64.const 10)) (i64.extend_i32_u (local.get $digit))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $digits (i32.lt_u (local.get $at) (local.get $stop))))
    (select (local.get $value) (i64.const -1) (i64.ge_s (local.get $value) (i64.const 0))))

  (func (export "init") (param $at i32) (param $len i32) (param $version i32) (result i32)
    (local $stop i32) (local $left i32) (local $key i32) (local $key_len i32) (local $value i32) (local $n i32) (local $number i64)
    (global.set $from (i64.const -1))
    (local.set $stop (i32.add (local.get $at) (local.get $len)))
    (local.set $left (call $be16 (local.get $at)))
    (local.set $at (i32.add (local.get $at) (i32.const 2)))
    (block $end
      (loop $pairs
        (br_if $end (i32.eqz (local.get $left)))
        (br_if $end (i32.ge_u (local.get $at) (local.get $stop)))
        (local.set $key_len (call $be16 (local.get $at)))
        (local.set $key (i32.add (local.get $at) (i32.const 2)))
        (local.set $value (i32.add (local.get $key) (local.get $key_len)))
        (br_if $end (i32.ge_u (local.get $value) (local.get $stop)))
        (local.set $n (call $be16 (local.get $value)))
        (local.set $value (i32.add (local.get $value) (i32.const 2)))
        (local.set $at (i32.add (local.get $value) (local.get $n)))
        (br_if $end (i32.gt_u (local.get $at) (local.get $stop)))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (local.set $number (call $number (local.get $value) (local.get $n)))
        (if (i32.and (i32.eq (local.get $key_len) (i32.const 4)) (i32.eq (i32.load (local.get $key)) (i32.const 0x6d6f7266)))  ;; "from"
          (then
            (if (i64.lt_s (local.get $number) (i64.const 0))
              (then (call $copy_records (i32.const 64) (i32.const 34)) (return (i32.const -2))))
            (global.set $from (local.get $number))))
        (if (i32.and (i32.eq (local.get $key_len) (i32.const 2)) (i32.eq (i32.load16_u (local.get $key)) (i32.const 0x6f74)))  ;; "to"
          (then
            (if (i64.lt_s (local.get $number) (i64.const 0))
              (then (call $copy_records (i32.const 128) (i32.const 32)) (return (i32.const -2))))
            (global.set $to (local.get $number))))
        (br $pairs)))
    (if (i64.ge_s (global.get $from) (i64.const 0)) (then (return (i32.const 0))))
    (call $copy_records (i32.const 16) (i32.const 28))
    (i32.const -2))

  (func $varint (result i64)
    (local $v i64) (local $shift i64) (local $byte i64)
    (loop $more
      (if (i32.ge_u (global.get $in) (global.get $end))
        (then (global.set $in (i32.add (global.get $end) (i32.const 1))) (return (i64.const 0))))
      (local.set $byte (i64.load8_u (global.get $in)))
      (global.set $in (i32.add (global.get $in) (i32.const 1)))
      (local.set $v (i64.or (local.get $v) (i64.shl (i64.and (local.get $byte) (i64.const 127)) (local.get $shift))))
      (local.set $shift (i64.add (local.get $shift) (i64.const 7)))
      (br_if $more (i32.and (i64.ge_u (local.get $byte) (i64.const 128)) (i64.lt_u (local.get $shift) (i64.const 70)))))
    (i64.xor (i64.shr_u (local.get $v) (i64.const 1)) (i64.sub (i64.const 0) (i64.and (local.get $v) (i64.const 1)))))

  ;; The output is made in the place of the input: what is kept moves down.
  (func (export "filter") (param $input i32) (param $len i32) (param $version i32) (result i32)
    (local $base i64) (local $offset i64) (local $n i32) (local $left i32) (local $kept i32) (local $out i32) (local $record i32) (local $size i32) (local $next i32)
    (local.set $base (call $swap64 (i64.load (local.get $input))))
    (local.set $n (call $swap32 (i32.load offset=8 (local.get $input))))
    (if (i32.gt_u (local.get $n) (i32.sub (local.get $len) (i32.const 12))) (then (return (i32.const -11))))
    (if (i32.lt_u (local.get $n) (i32.const 4)) (then (return (i32.const -22))))
    (local.set $out (i32.add (local.get $input) (i32.const 16)))
    (global.set $in (local.get $out))
    (global.set $end (i32.add (i32.add (local.get $input) (i32.const 12)) (local.get $n)))
    (local.set $left (call $swap32 (i32.load offset=12 (local.get $input))))
    (if (i32.and (i64.ge_s (local.get $base) (global.get $from)) (i64.eq (global.get $to) (i64.const 0x7fffffffffffffff)))
      (then (local.set $out (global.get $end)))
      (else
        (block $done
          (loop $records
            (br_if $done (i32.le_s (local.get $left) (i32.const 0)))
            (local.set $record (global.get $in))
            (local.set $size (i32.wrap_i64 (call $varint)))
            (if (i32.gt_u (global.get $in) (global.get $end)) (then (return (i32.const -22))))
            (if (i32.gt_u (local.get $size) (i32.sub (global.get $end) (global.get $in))) (then (return (i32.const -22))))
            (local.set $next (i32.add (global.get $in) (local.get $size)))
            (global.set $in (i32.add (global.get $in) (i32.const 1)))        ;; attributes
            (drop (call $varint))                                            ;; timestamp delta
            (local.set $offset (i64.add (local.get $base) (call $varint)))
            (if (i32.and (i64.ge_s (local.get $offset) (global.get $from)) (i64.lt_s (local.get $offset) (global.get $to)))
              (then
                (memory.copy (local.get $out) (local.get $record) (i32.sub (local.get $next) (local.get $record)))
                (local.set $out (i32.add (local.get $out) (i32.sub (local.get $next) (local.get $record))))
                (local.set $kept (i32.add (local.get $kept) (i32.const 1)))))
            (if (i32.gt_u (global.get $in) (local.get $next)) (then (return (i32.const -22))))
            (global.set $in (local.get $next))
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (br $records)))
        (i32.store offset=12 (local.get $input) (call $swap32 (local.get $kept)))))
    (i32.store8 (local.get $out) (i32.const 0))                              ;; no error
    (call $copy_records (i32.add (local.get $input) (i32.const 12)) (i32.sub (i32.add (local.get $out) (i32.const 1)) (i32.add (local.get $input) (i32.const 12))))
    (i32.const 0)))
