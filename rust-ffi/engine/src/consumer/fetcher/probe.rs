//! What the answer to a probe says of the streams: whether one of them keeps back what is in its log.

use std::collections::HashMap;

use fluvio_protocol::link::ErrorCode;
use fluvio_spu_schema::server::fetch_offset::FetchOffsetPartitionResponse;

/// Quiet streams that something was wrong with at the last probe, by partition, and the offset that each expected then.
#[derive(Debug, Default)]
pub(super) struct Suspects(HashMap<u32, i64>);

/// What is to become of a quiet stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes on.
    Keep,
    /// It is opened again: its partition cannot be served here, or it keeps something back.
    Reopen,
    /// It fails: the log ends at `log_end` now, so the records up to `end`, where it ended when reading began, will not
    /// come.
    Truncated { log_end: i64, end: i64 },
}

impl Suspects {
    /// Judges a quiet stream that expects offset `next` and reads to `end`, by the bounds of its log. A stream that
    /// does not move is only suspected at first, since a reply may be on its way; `before` has what was suspected at
    /// the last probe.
    pub(super) fn judge(
        &mut self,
        before: &Self,
        bounds: &FetchOffsetPartitionResponse,
        next: i64,
        end: Option<i64>,
    ) -> Verdict {
        let FetchOffsetPartitionResponse { partition_index: partition, last_stable_offset: log_end, .. } = *bounds;
        if bounds.error_code != ErrorCode::None {
            return Verdict::Reopen;
        }
        let truncated = end.filter(|end| *end > log_end);
        if log_end <= next && truncated.is_none() {
            return Verdict::Keep;
        }
        if before.0.get(&partition) != Some(&next) {
            self.0.insert(partition, next);
            return Verdict::Keep;
        }
        match truncated {
            Some(end) => Verdict::Truncated { log_end, end },
            None => Verdict::Reopen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(partition_index: u32, log_end: i64) -> FetchOffsetPartitionResponse {
        FetchOffsetPartitionResponse { partition_index, last_stable_offset: log_end, ..Default::default() }
    }

    /// The verdicts of probes one after the other: the end of the log, and what the stream expects.
    fn verdicts(end: Option<i64>, probes: &[(i64, i64)]) -> Vec<Verdict> {
        let mut suspects = Suspects::default();
        let probes = probes.iter().map(|(log_end, next)| {
            let before = std::mem::take(&mut suspects);
            suspects.judge(&before, &bounds(0, *log_end), *next, end)
        });
        probes.collect()
    }

    #[test]
    fn a_stream_that_has_all_of_its_log_is_kept() {
        assert_eq!(verdicts(None, &[(5, 5), (5, 5), (5, 5)]), [Verdict::Keep, Verdict::Keep, Verdict::Keep]);
    }

    #[test]
    fn a_stream_that_keeps_something_back_twice_in_a_row_is_opened_again() {
        assert_eq!(verdicts(None, &[(9, 5), (9, 5)]), [Verdict::Keep, Verdict::Reopen]);
        assert_eq!(verdicts(None, &[(9, 5), (9, 7)]), [Verdict::Keep, Verdict::Keep], "it moves");
        assert_eq!(verdicts(None, &[(9, 5), (5, 5), (9, 5)]), [Verdict::Keep, Verdict::Keep, Verdict::Keep]);
    }

    #[test]
    fn a_log_that_stays_too_short_fails_the_stream() {
        let truncated = Verdict::Truncated { log_end: 5, end: 9 };
        assert_eq!(verdicts(Some(9), &[(5, 5), (5, 5)]), [Verdict::Keep, truncated]);
        assert_eq!(verdicts(Some(9), &[(9, 5), (9, 5)]), [Verdict::Keep, Verdict::Reopen], "it is long enough");
    }

    #[test]
    fn a_partition_that_cannot_be_served_is_opened_again_at_once() {
        let refused = FetchOffsetPartitionResponse { error_code: ErrorCode::NotLeaderForPartition, ..bounds(0, 5) };
        assert_eq!(Suspects::default().judge(&Suspects::default(), &refused, 5, None), Verdict::Reopen);
    }
}
