//! The default partitioner, identical to the official client's: by the hash of the key, or round robin without one.

use std::hash::Hasher;

use siphasher::sip::SipHasher24;

/// The partition of a keyed record: SipHash-2-4 with zero keys over the key's length (u64, little-endian) and the key,
/// modulo the number of partitions, online or not.
pub(crate) fn keyed(key: &[u8], partitions: u32) -> u32 {
    let mut hasher = SipHasher24::new();
    hasher.write(&(key.len() as u64).to_le_bytes());
    hasher.write(key);
    (hasher.finish() % u64::from(partitions.max(1))) as u32
}

#[cfg(test)]
mod tests {
    use super::keyed;

    #[test]
    fn the_official_clients_partitions() {
        let hundred = [b'x'; 100];
        let golden: [(&[u8], u32, u32, u32); 8] = [
            (b"", 2, 3, 7),
            (b"a", 1, 2, 11),
            (b"o-1", 0, 3, 3),
            (b"key", 2, 6, 10),
            (b"customer-42", 1, 0, 7),
            ("schlüssel".as_bytes(), 1, 2, 0),
            (b"\x00\xff\x01", 0, 4, 15),
            (&hundred, 0, 3, 8),
        ];
        for (key, of_3, of_7, of_16) in golden {
            assert_eq!((keyed(key, 3), keyed(key, 7), keyed(key, 16)), (of_3, of_7, of_16), "{key:?}");
        }
    }
}
