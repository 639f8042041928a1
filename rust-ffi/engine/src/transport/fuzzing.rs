//! What holds for what a server says, whoever it is.

use bytes::BytesMut;

use super::exchange::Exchange;
use super::greeting::{Server, judge};

/// Pieces of a conversation with the SC. Each begins with a byte for who speaks, and one for how much is said; what the
/// client says goes out as it is, or not at all.
pub(crate) fn connection(data: &[u8]) {
    for server in [Server::Sc, Server::Spu] {
        let _ = judge("there", server, data);
    }
    let mut exchange = Exchange::default();
    let (mut said, mut sent) = (0, BytesMut::new());
    let mut rest = data;
    while let Some((&[who, length], after)) = rest.split_first_chunk() {
        let (piece, after) = after.split_at(usize::from(length).min(after.len()));
        rest = after;
        match who & 1 {
            0 => {
                exchange.send(piece, &mut sent);
                said += piece.len();
                assert!(sent.len() <= said);
            }
            _ => {
                let expected = exchange.expects(piece.len(), piece).is_ok();
                assert!(expected || exchange.receive(piece).is_err());
                if expected {
                    let _ = exchange.receive(piece);
                }
            }
        }
    }
}
