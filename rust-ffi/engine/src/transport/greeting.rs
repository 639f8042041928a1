//! Who answers at an address where a server of Fluvio is expected: told from its first bytes, before anything else
//! believes them.

use std::fmt;
use std::io;

use crate::error::{Error, ErrorKind, Result};

/// What is expected at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Server {
    Sc,
    Spu,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sc => "Fluvio SC",
            Self::Spu => "Fluvio SPU",
        })
    }
}

/// The first answer is the list of the requests that a server takes: far less.
const MOST: usize = 64 << 10;
/// After the length: the request's number, an error code, the number of entries.
const HEAD: usize = 10;
/// A request's key, the least and the greatest version.
const ENTRY: usize = 6;

/// Only the SC takes it.
const WATCH: u16 = 1004;
/// Only an SPU takes it.
const PRODUCE: u16 = 0;

/// Judges what `peer` has said first: true once that is a whole answer of the server that is expected, false while
/// there is more to come.
pub(super) fn judge(peer: &str, expected: Server, heard: &[u8]) -> Result<bool> {
    if let Some((kind, name)) = stranger(heard) {
        return Err(not_it(kind, peer, expected, name));
    }
    let Some((length, frame)) = heard.split_first_chunk::<4>() else { return Ok(false) };
    let length = u32::from_be_bytes(*length) as usize;
    let unknown = || not_it(ErrorKind::Version, peer, expected, "a server of an unknown kind");
    if !(HEAD..=MOST).contains(&length) {
        return Err(unknown());
    }
    let Some(frame) = frame.get(..length) else { return Ok(false) };
    let count = frame[6..HEAD].iter().fold(0, |count, byte| count << 8 | usize::from(*byte));
    let Some(entries) = count.checked_mul(ENTRY).and_then(|size| frame[HEAD..].get(..size)) else {
        return Err(unknown());
    };
    let takes = |key: u16| entries.chunks_exact(ENTRY).any(|entry| entry.starts_with(&key.to_be_bytes()));
    match (expected, takes(WATCH), takes(PRODUCE)) {
        (Server::Sc, false, true) => Err(not_it(ErrorKind::Version, peer, expected, "a Fluvio SPU")
            .adding("; give the address of the cluster's SC, whose public port is usually 9003")),
        (Server::Spu, true, false) => Err(not_it(ErrorKind::Version, peer, expected, "a Fluvio SC")
            .adding("; see which public endpoint the SPU was registered with")),
        _ => Ok(true),
    }
}

/// Whether `cause` is how the other side ends a connection.
pub(super) fn is_end(cause: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(cause.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

/// `error` is the end of a connection on which the other side has said nothing. `tls`: it is one with TLS.
pub(super) fn silent_end(error: Error, tls: bool) -> Error {
    error.adding(match tls {
        true => ", without an answer: so does a private port of Fluvio",
        false => ", without an answer: so does a private port of Fluvio (the SC's is usually 9004), and a server that wants TLS",
    })
}

/// `peer`, which says nothing to a TLS handshake, is what is `expected` to everybody else.
pub(super) fn plain(peer: &str, expected: Server) -> Error {
    let text = format!(
        "connection to {peer}: this is a {expected} without TLS; connect without tls=, or to its port with TLS"
    );
    Error::new(ErrorKind::Tls, text)
}

fn not_it(kind: ErrorKind, peer: &str, expected: Server, name: &str) -> Error {
    let advice = match kind {
        ErrorKind::Tls => " without TLS; connect with tls=, or to a port without",
        _ => "",
    };
    Error::new(kind, format!("connection to {peer}: this is {name}, not a {expected}{advice}"))
}

/// The kind of server that begins like that, if it is a known one.
fn stranger(heard: &[u8]) -> Option<(ErrorKind, &'static str)> {
    const KNOWN: &[(&[u8], &str)] = &[
        (b"HTTP/", "an HTTP server"),
        (b"SSH-", "an SSH server"),
        (b"AMQP", "an AMQP server"),
        (b"220 ", "an SMTP or FTP server"),
        (b"220-", "an SMTP or FTP server"),
        (b"-ERR", "a Redis server"),
        (b"-DENIED", "a Redis server"),
        (b"INFO {", "a NATS server"),
    ];
    match heard {
        // An alert, or a handshake, of any version.
        [0x15 | 0x16, 0x03, 0..=4, ..] => Some((ErrorKind::Tls, "a TLS server")),
        // The first packet of all: its length in three bytes, number 0, the version of the protocol or an error.
        [_, _, 0, 0, 10 | 0xff, ..] => Some((ErrorKind::Version, "a MySQL server")),
        _ => {
            let begins = |(mark, _): &&(&[u8], &str)| heard.starts_with(mark);
            KNOWN.iter().find(begins).map(|(_, name)| (ErrorKind::Version, *name))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn says(expected: Server, heard: &[u8]) -> String {
        judge("here:1", expected, heard).unwrap_err().message
    }

    /// The answer of a server that takes these requests.
    fn answer(keys: &[u16]) -> Vec<u8> {
        let mut frame = vec![0, 0, 0, 1, 0, 0];
        frame.extend((keys.len() as u32).to_be_bytes());
        keys.iter().for_each(|key| frame.extend([key.to_be_bytes(), [0, 0], [0, 9]].concat()));
        frame.extend([0, 5]);
        frame.extend(b"1.2.3");
        [(frame.len() as u32).to_be_bytes().to_vec(), frame].concat()
    }

    #[test]
    fn servers_of_other_kinds() {
        for (heard, name) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], "an HTTP server"),
            (b"SSH-2.0-OpenSSH_9.2p1\r\n", "an SSH server"),
            (b"J\0\0\0\n8.0.30\0", "a MySQL server"),
            (b"220 mail.example ESMTP\r\n", "an SMTP or FTP server"),
            (b"-ERR unknown command\r\n", "a Redis server"),
            (b"\x15\x03\x01\0\x02\x02\x0a", "a TLS server"),
            (b"\xff\xff\xff\xff\0\0\0\x01", "a server of an unknown kind"),
            (b"\0\0\0\x01\0", "a server of an unknown kind"),
            (b"hello", "a server of an unknown kind"),
            (b"\0\0\0\x0a\0\0\0\x01\0\0\xff\xff\xff\xff", "a server of an unknown kind"),
        ] {
            let text = says(Server::Sc, heard);
            assert!(text.contains(&format!("this is {name}, not a Fluvio SC")), "{text}");
        }
        assert_eq!(judge("", Server::Sc, b"\x15\x03\x01").unwrap_err().kind, ErrorKind::Tls);
    }

    #[test]
    fn servers_of_fluvio() {
        let (sc, spu) = (answer(&[18, 1001, WATCH]), answer(&[PRODUCE, 1, 1003]));
        for (server, whole) in [(Server::Sc, &sc), (Server::Spu, &spu)] {
            assert!(judge("", server, whole).unwrap());
            for end in 0..whole.len() {
                assert!(!judge("", server, &whole[..end]).unwrap(), "{end}");
            }
        }
        assert!(says(Server::Sc, &spu).contains("this is a Fluvio SPU, not a Fluvio SC"));
        assert!(says(Server::Spu, &sc).contains("this is a Fluvio SC, not a Fluvio SPU"));
    }
}
