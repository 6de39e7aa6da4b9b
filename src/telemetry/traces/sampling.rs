//! Which requests are traced. A caller's decision is followed within bounds: nobody can have every request traced.

use opentelemetry::trace::{SpanContext, TraceId};
use parking_lot::Mutex;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::time::Duration;

/// Callers are counted in so many places; some share one.
const PLACES: usize = 64;

#[derive(Debug)]
pub struct Sampling {
    /// Of the traces that begin here, those whose id has lower bits below this.
    below: u64,
    per_second: u32,
    second: Mutex<Second>,
    hashed: RandomState,
}

/// What was traced in the present second.
#[derive(Debug)]
struct Second {
    number: u64,
    all: u32,
    /// Of them those that a caller asked for, and for each place those of one address.
    asked_for: u32,
    of_place: [u32; PLACES],
}

const LOWER_BITS: u64 = (1 << 56) - 1;

impl Sampling {
    /// Traces this part of the requests, from 0 to 1, and at most so many in a second.
    pub fn new(ratio: f64, per_second: u32) -> Sampling {
        let second = Second { number: 0, all: 0, asked_for: 0, of_place: [0; PLACES] };
        let below = (ratio.clamp(0.0, 1.0) * (LOWER_BITS + 1) as f64) as u64;
        Sampling { below, per_second, second: Mutex::new(second), hashed: RandomState::new() }
    }

    /// Whether a request is traced that came now, by a monotonic clock. Those that belong to a trace of their caller are
    /// traced if that trace is sampled; they take at most half of what may be traced, and one address takes a quarter.
    pub fn admits(&self, parent: Option<&SpanContext>, trace: TraceId, from: IpAddr, now: Duration) -> bool {
        let is_wanted = match parent {
            Some(parent) => parent.is_sampled(),
            None => lower_bits(trace) < self.below,
        };
        is_wanted && self.count(parent.is_some(), from, now)
    }

    fn count(&self, is_asked_for: bool, from: IpAddr, now: Duration) -> bool {
        let place = (self.hashed.hash_one(from) % PLACES as u64) as usize;
        let mut second = self.second.lock();
        if second.number != now.as_secs() {
            *second = Second { number: now.as_secs(), all: 0, asked_for: 0, of_place: [0; PLACES] };
        }
        let (half, quarter) = (self.per_second.div_ceil(2), self.per_second.div_ceil(4));
        let is_full = second.all >= self.per_second;
        if is_full || (is_asked_for && (second.asked_for >= half || second.of_place[place] >= quarter)) {
            return false;
        }
        second.all += 1;
        second.asked_for += u32::from(is_asked_for);
        second.of_place[place] += u32::from(is_asked_for);
        true
    }
}

fn lower_bits(trace: TraceId) -> u64 {
    let [.., a, b, c, d, e, f, g] = trace.to_bytes();
    u64::from_be_bytes([0, a, b, c, d, e, f, g])
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{SpanId, TraceFlags, TraceState};

    fn parent(is_sampled: bool) -> SpanContext {
        let flags = TraceFlags::new(u8::from(is_sampled));
        SpanContext::new(TraceId::from(7_u128), SpanId::from(7_u64), flags, true, TraceState::default())
    }

    fn admitted(sampling: &Sampling, parent: Option<&SpanContext>, last: u8, seconds: u64) -> usize {
        let from = IpAddr::from([192, 0, 2, last]);
        let admits = |id: u128| sampling.admits(parent, TraceId::from(id << 48), from, Duration::from_secs(seconds));
        (0..256).filter(|id| admits(*id)).count()
    }

    #[test]
    fn callers_who_ask_for_traces_get_a_part_of_them() {
        let sampling = Sampling::new(1.0, 80);
        assert_eq!(admitted(&sampling, Some(&parent(false)), 1, 0), 0, "not sampled there");
        assert_eq!(admitted(&sampling, Some(&parent(true)), 1, 0), 20, "a quarter for one address");
        let others: usize = (2..20).map(|last| admitted(&sampling, Some(&parent(true)), last, 0)).sum();
        assert_eq!(others, 20, "half for all of them");
        assert_eq!(admitted(&sampling, None, 1, 0), 40, "the rest is left for traces that begin here");
        assert_eq!(admitted(&sampling, None, 1, 1), 80, "each second");
    }

    #[test]
    fn ratio_decides_about_traces_that_begin_here_alone() {
        assert_eq!(admitted(&Sampling::new(0.25, 1_000), None, 1, 0), 64);
        let none = Sampling::new(0.0, 1_000);
        assert_eq!((admitted(&none, None, 1, 0), admitted(&none, Some(&parent(true)), 1, 0)), (0, 250));
    }
}
