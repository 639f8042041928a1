//! Requests and replies of one connection to the SC, as the `fluvio` crate sends and is to get them.
//!
//! The crate believes every reply. So what it sends is noted here, and what it is given is checked: whether anybody
//! waits for it, and whether the official decoders can be given it.

use std::collections::HashMap;

use bytes::BytesMut;
use fluvio_protocol::api::Request;
use fluvio_sc_schema::objects::ObjectApiWatchRequest;

use super::FRAME_LIMIT;
use crate::replies::Answer;

/// Length, key, version and number of a request.
const HEAD: usize = 12;

/// The first watches of a connection, by their numbers, are those of a cache of the crate's that nobody reads: of all
/// topics, partitions and SPUs. They are not sent.
const OWN_WATCHES: std::ops::RangeInclusive<i32> = 1..=3;

/// Bytes of what the SC has done, and of which versions it speaks.
const MOST_OF_A_STATUS: usize = 1 << 20;
/// Bytes of the first answer to a watch, which has everything, and of later ones, of which the crate holds ten.
const MOST_OF_ALL: usize = 64 << 20;
const MOST_OF_NEWS: usize = 16 << 20;

/// What a request waits for.
#[derive(Debug, Clone, Copy)]
struct Awaited {
    answer: Answer,
    version: i16,
    /// Bytes that it may have.
    most: usize,
}

/// What is under way on a connection to the SC.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    /// The beginning of a request of which not enough is here to know what it is.
    head: Vec<u8>,
    /// Bytes of the current request that are still to come.
    left: usize,
    /// Whether they are sent.
    sent: bool,
    /// By the numbers of the requests.
    awaited: HashMap<i32, Awaited>,
}

impl Exchange {
    /// The crate sends `bytes`. What of them is to go out is appended to `out`.
    pub(super) fn send(&mut self, mut bytes: &[u8], out: &mut BytesMut) {
        while !bytes.is_empty() {
            if self.left == 0 {
                let (head, rest) = bytes.split_at(bytes.len().min(HEAD - self.head.len()));
                self.head.extend_from_slice(head);
                bytes = rest;
                if let Ok(head) = self.head[..].try_into() {
                    self.begin(head);
                    if self.sent {
                        out.extend_from_slice(&self.head);
                    }
                    self.head.clear();
                }
            } else {
                let (body, rest) = bytes.split_at(bytes.len().min(self.left));
                self.left -= body.len();
                bytes = rest;
                if self.sent {
                    out.extend_from_slice(body);
                }
            }
        }
    }

    fn begin(&mut self, head: [u8; HEAD]) {
        let [a, b, c, d, k, l, v, w, n @ ..] = head;
        let (length, number) = (u32::from_be_bytes([a, b, c, d]) as usize, i32::from_be_bytes(n));
        let (key, version) = (u16::from_be_bytes([k, l]), i16::from_be_bytes([v, w]));
        self.left = (length + 4).saturating_sub(HEAD);
        self.sent = key != ObjectApiWatchRequest::API_KEY || !OWN_WATCHES.contains(&number);
        if let Some(answer) = Answer::to(key).filter(|_| self.sent) {
            let most = match answer {
                Answer::Versions | Answer::Status => MOST_OF_A_STATUS,
                Answer::List => FRAME_LIMIT,
                Answer::Watch => MOST_OF_ALL,
            };
            self.awaited.insert(number, Awaited { answer, version, most });
        }
    }

    /// Whether the reply of `length` bytes that begins with `begun`, its number first, is one that somebody waits for;
    /// `Ok` if that cannot be known yet.
    pub(super) fn expects(&self, length: usize, begun: &[u8]) -> Result<(), String> {
        let Some(number) = begun.first_chunk().map(|number| i32::from_be_bytes(*number)) else { return Ok(()) };
        match self.awaited.get(&number) {
            None => Err(format!("an answer to request {number}, which nobody waits for")),
            Some(Awaited { answer, most, .. }) if length > *most => {
                Err(format!("{length} bytes as the answer to request {number}: a {answer:?} has {most} at most"))
            }
            Some(_) => Ok(()),
        }
    }

    /// A reply is here: whether the crate can be given it.
    pub(super) fn receive(&mut self, reply: &[u8]) -> Result<(), String> {
        self.expects(reply.len(), reply)?;
        let Some((number, body)) = reply.split_first_chunk() else { return Err("a frame without a number".to_owned()) };
        let number = i32::from_be_bytes(*number);
        let Some(awaited) = self.awaited.get_mut(&number) else { return Ok(()) };
        let Awaited { answer, version, .. } = *awaited;
        answer.check(body, version).map_err(|cause| format!("an answer that cannot be read: {cause}"))?;
        match answer {
            Answer::Watch => awaited.most = MOST_OF_NEWS,
            _ => drop(self.awaited.remove(&number)),
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A request as the crate sends it.
    fn request(key: u16, number: i32, body: usize) -> Vec<u8> {
        let length = 8 + body as u32;
        let head = [&length.to_be_bytes()[..], &key.to_be_bytes(), &19_i16.to_be_bytes(), &number.to_be_bytes()];
        [&head.concat()[..], &vec![7; body]].concat()
    }

    const CREATE: u16 = 1001;
    const LIST: u16 = 1003;
    const WATCH: u16 = 1004;

    /// What goes out of what the crate sends in pieces of `size`.
    fn sent(exchange: &mut Exchange, bytes: &[u8], size: usize) -> Vec<u8> {
        let mut out = BytesMut::new();
        bytes.chunks(size).for_each(|piece| exchange.send(piece, &mut out));
        out.to_vec()
    }

    #[test]
    fn everything_goes_out_but_the_watches_of_the_crates_own_cache() {
        let requests = [
            request(18, 1, 20),
            request(WATCH, 1, 20),
            request(WATCH, 2, 0),
            request(WATCH, 3, 300),
            request(WATCH, 4, 20),
            request(LIST, 5, 9),
            request(CREATE, 2, 100_000),
        ];
        for size in [1, 2, 5, 12, 13, 1000, 200_000] {
            let mut exchange = Exchange::default();
            let out = sent(&mut exchange, &requests.concat(), size);
            assert_eq!(out, [&requests[0][..], &requests[4], &requests[5], &requests[6]].concat());
            let mut awaited: Vec<_> = exchange.awaited.keys().copied().collect();
            awaited.sort_unstable();
            assert_eq!(awaited, [1, 2, 4, 5]);
        }
    }

    #[test]
    fn a_reply_is_given_on_once_and_only_to_who_asked() {
        let mut exchange = Exchange::default();
        sent(&mut exchange, &[request(CREATE, 7, 9), request(WATCH, 8, 9)].concat(), 1000);
        let status = [&7_i32.to_be_bytes()[..], &[0, 1, b't', 0, 0, 0]].concat();
        let watch = [&8_i32.to_be_bytes()[..], &[0, 5], b"Topic", &[0, 0, 0, 16], &[0; 16]].concat();
        assert!(exchange.expects(4, &9_i32.to_be_bytes()).is_err());
        assert!(exchange.expects(1 << 30, &status[..3]).is_ok());
        assert!(exchange.expects(2 << 20, &status).is_err());
        assert!(exchange.expects(40 << 20, &watch).is_ok());
        assert!(exchange.receive(&[]).is_err());
        assert!(exchange.receive(&watch[..watch.len() - 1]).is_err());
        for _ in 0..3 {
            exchange.receive(&watch).unwrap();
        }
        assert!(exchange.expects(40 << 20, &watch).is_err());
        exchange.receive(&status).unwrap();
        assert!(exchange.receive(&status).is_err());
    }
}
