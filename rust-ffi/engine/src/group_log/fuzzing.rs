//! What holds for what is read of a log of groups, whoever wrote it.

use super::reader::Reader;
use crate::sealing::{offset, sealed};

/// A reply, the first byte says where reading begins: records from there on, or an error that moves nothing.
pub(crate) fn reply(data: &[u8]) {
    let Some((&start, bytes)) = data.split_first() else { return };
    let _ = super::link::written(bytes.to_vec().into());
    let start = offset(start);
    let mut reader = Reader::new("log", 0, start, 1 << 20);
    match reader.split(&sealed(bytes)) {
        Ok(items) => {
            assert!(reader.next >= start);
            assert!(items.iter().all(|item| (start..reader.next).contains(&item.offset)));
        }
        Err(_) => assert_eq!(reader.next, start),
    }
}
