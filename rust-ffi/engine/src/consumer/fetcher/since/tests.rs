use proptest::prelude::*;

use super::*;

/// The times of a log's batches, from offset `begin` on.
#[derive(Debug)]
struct Batches {
    begin: i64,
    times: Vec<Vec<i64>>,
}

impl Batches {
    fn end(&self) -> i64 {
        self.begin + self.times.iter().map(|batch| batch.len() as i64).sum::<i64>()
    }

    /// The first record that is not older, by looking at all of them.
    fn scan(&self, time: i64) -> i64 {
        let found = self.times.iter().flatten().position(|each| *each >= time);
        found.map_or(self.end(), |index| self.begin + index as i64)
    }

    /// What the batch that holds an offset tells.
    fn told(&self, offset: i64, begin: i64, time: i64) -> Told {
        let mut base = self.begin;
        for batch in &self.times {
            let next = base + batch.len() as i64;
            if next > offset {
                let reached = (base..next).zip(batch).find(|(at, each)| *at >= begin && **each >= time);
                let older = |(at, each): (i64, &i64)| *each < time && reached.is_none_or(|(first, _)| at < first);
                let follows_older = (base..next).zip(batch).any(older);
                return Told { next, reached: reached.map(|(at, _)| at), follows_older };
            }
            base = next;
        }
        Told { next: base, reached: None, follows_older: false }
    }

    /// What halving finds, and how many batches it looks at.
    fn halved(&self, time: i64) -> (i64, usize) {
        let mut halving = Halving::new((self.begin, self.end()));
        let mut looks = 0;
        while let Some(probe) = halving.probe() {
            looks += 1;
            let told = self.told(probe, halving.begin, time);
            halving.note(probe, &told);
        }
        (halving.found, looks)
    }
}

fn rising() -> impl Strategy<Value = Batches> {
    let batch = proptest::collection::vec(0..5_i64, 1..20);
    (0..1000_i64, proptest::collection::vec(batch, 0..60)).prop_map(|(begin, steps)| {
        let mut now = 100;
        let mut rise = |step: i64| {
            now += step;
            now
        };
        Batches { begin, times: steps.into_iter().map(|batch| batch.into_iter().map(&mut rise).collect()).collect() }
    })
}

proptest! {
    #[test]
    fn where_times_rise_it_is_what_a_scan_finds(log in rising(), time in 0..3000_i64) {
        let (found, looks) = log.halved(time);
        prop_assert_eq!(found, log.scan(time));
        prop_assert!(looks <= 12, "{} looks", looks);
    }

    #[test]
    fn where_they_do_not_it_is_a_record_that_is_not_older(
        begin in 0..9_i64,
        times in proptest::collection::vec(proptest::collection::vec(-1..50_i64, 1..9), 0..40),
        time in 0..50_i64,
    ) {
        let log = Batches { begin, times };
        let (found, _) = log.halved(time);
        let at = usize::try_from(found - begin).unwrap();
        let times: Vec<i64> = log.times.iter().flatten().copied().collect();
        prop_assert!(times.get(at).is_none_or(|each| *each >= time));
        // None is passed over where all are older before it.
        prop_assert!(found >= log.scan(time));
    }
}
