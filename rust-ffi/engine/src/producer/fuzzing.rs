//! What holds for every answer to a produce request, whoever wrote it.

use super::sender::answers_of;

/// A reply to as many batches as the first byte says: an answer to each, or an error.
pub(crate) fn replies(data: &[u8]) {
    let Some((&batches, body)) = data.split_first() else { return };
    if let Ok(count) = answers_of(body.to_vec().into(), batches.into()) {
        assert_eq!(count, usize::from(batches));
    }
}
