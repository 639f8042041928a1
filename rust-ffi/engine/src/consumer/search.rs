//! Where a chain of SmartModules fails: an error comes after the records before it, but the server sends those
//! unfinished, or not at all.
//!
//! So what lies before the record on which the chain fails is read by streams of their own, which end before it. If the
//! server has named the record, one such stream is enough. After a trap it has not: then the range in which the chain
//! fails is halved until one record is left. A stream that does not fail has brought its records, so nothing is read
//! twice; and if none fails, because it was the memory that was used up, there was no such record.

use crate::error::Error;

/// The search for the record on which a chain fails. It is in the cursor, and begins at the cursor's place.
#[derive(Debug)]
pub(super) struct Search {
    error: Error,
    /// Reading fails before this offset, or has failed there once; `None`: before the end of the log.
    end: Option<i64>,
    /// Whether it is known to fail on the last offset before the end.
    is_named: bool,
    /// The end of the stream that is being read.
    to: Option<i64>,
}

/// How a search goes on.
#[derive(Debug)]
pub(super) enum Finding {
    /// The stream to [`Search::to`] is to be opened.
    Continue(Search),
    /// The log's bounds are to be asked for.
    AskBounds(Search),
    /// There is no record on which the chain fails.
    Nothing,
    /// It fails at the cursor's place.
    Found(Error),
}

impl Search {
    /// The chain fails on the record at `offset`; reading goes on at `next`.
    pub(super) fn named(error: Error, offset: i64, next: i64) -> Finding {
        if offset <= next {
            return Finding::Found(error.with_offset(next));
        }
        Finding::Continue(Self { error, end: offset.checked_add(1), is_named: true, to: Some(offset) })
    }

    /// The chain fails somewhere behind `next`; `earlier`: within this search.
    pub(super) fn unnamed(error: Error, next: i64, earlier: Option<Self>) -> Finding {
        match earlier.and_then(|search| search.to) {
            None => Finding::AskBounds(Self { error, end: None, is_named: false, to: None }),
            Some(end) if end <= next.saturating_add(1) => Finding::Found(error.with_offset(next)),
            Some(end) => Self { error, end: Some(end), is_named: false, to: None }.halved(next),
        }
    }

    /// The log ends at `end`. The first record is tried alone: a chain that is broken fails on any.
    pub(super) fn bounded(mut self, next: i64, end: i64) -> Finding {
        let end = *self.end.get_or_insert(end);
        if end <= next {
            return Finding::Found(self.error.with_offset(next));
        }
        self.to = self.to.or(Some(next.saturating_add(1)));
        Finding::Continue(self)
    }

    /// The stream has been read to its end, without an error; reading goes on at `next`.
    pub(super) fn read(self, next: i64) -> Finding {
        match self.end {
            Some(_) if self.is_named => Finding::Found(self.error.with_offset(next)),
            Some(end) if next < end => self.halved(next),
            _ => Finding::Nothing,
        }
    }

    fn halved(mut self, next: i64) -> Finding {
        let end = self.end.unwrap_or(next);
        self.to = Some(next.saturating_add(((end.saturating_sub(next)) / 2).max(1)));
        Finding::Continue(self)
    }

    /// The end of the stream that is to be read; `None`: that is not known before the log's bounds are.
    pub(super) fn to(&self) -> Option<i64> {
        self.to
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::ErrorKind;

    /// Reads a log of `end` records whose chain fails on `bad`, and gives where it fails, and how many streams it took.
    fn found(next: i64, end: i64, bad: Option<i64>) -> (Option<i64>, usize) {
        let fails = || Error::new(ErrorKind::SmartModule, "trap");
        let (mut next, mut streams) = (next, 1);
        let mut finding = Search::unnamed(fails(), next, None);
        loop {
            finding = match finding {
                Finding::AskBounds(search) => search.bounded(next, end),
                Finding::Continue(search) => {
                    streams += 1;
                    let to = search.to().unwrap_or(end);
                    assert!(to > next && to <= end);
                    match bad {
                        Some(bad) if (next..to).contains(&bad) => Search::unnamed(fails(), next, Some(search)),
                        _ => {
                            next = to;
                            search.read(next)
                        }
                    }
                }
                Finding::Nothing => return (None, streams),
                Finding::Found(error) => {
                    assert_eq!(error.offset, Some(next));
                    return (Some(next), streams);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn the_record_is_found(next in 0..1000_i64, count in 1..100_000_i64, at in 0..100_000_i64) {
            let bad = next + at % count;
            let (place, streams) = found(next, next + count, Some(bad));
            prop_assert_eq!(place, Some(bad));
            prop_assert!(streams <= 40, "{} streams", streams);
            prop_assert_eq!(found(next, next + count, None).0, None);
        }
    }

    #[test]
    fn a_record_that_is_named_is_read_up_to() {
        let error = || Error::new(ErrorKind::SmartModule, "no number");
        let Finding::Continue(search) = Search::named(error(), 9, 5) else { panic!("it is behind") };
        assert_eq!(search.to(), Some(9));
        let Finding::Found(error) = search.read(9) else { panic!("it is there") };
        assert_eq!(error.offset, Some(9));
        let Finding::Found(error) = Search::named(error, 3, 5) else { panic!("it is before the place") };
        assert_eq!(error.offset, Some(5), "a seek behind it must pass it");
    }
}
