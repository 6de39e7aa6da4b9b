//! Seconds as clients write them (JSON numbers, strings, query text) turned into whole milliseconds.

use super::failure::{Failure, Seconds};
use crate::domain::{Field, Limits};

/// A duration as a request names it.
#[derive(Clone, Copy)]
pub struct DurationField {
    pub name: &'static str,
    pub zero: bool,
    pub limit_ms: u64,
    /// The key of `config.toml` that sets the limit.
    pub config_key: &'static str,
}

impl DurationField {
    /// A lease greater than 0.
    pub const fn lease(name: &'static str, limits: &Limits) -> DurationField {
        DurationField { name, zero: false, limit_ms: limits.lease_ms_max, config_key: Field::Lease.config_key() }
    }

    /// A wait; 0 tries once.
    pub const fn wait(name: &'static str, limits: &Limits) -> DurationField {
        DurationField { name, zero: true, limit_ms: limits.wait_ms_max, config_key: Field::Wait.config_key() }
    }

    /// A delay of the next grant; 0: none.
    pub const fn lock_delay(name: &'static str, limits: &Limits) -> DurationField {
        let (limit_ms, config_key) = (limits.lock_delay_ms_max, Field::LockDelay.config_key());
        DurationField { name, zero: true, limit_ms, config_key }
    }

    /// Milliseconds, rounded up. The refusal of anything outside the bounds names field and bounds.
    pub fn ms(self, seconds: f64) -> Result<u64, Failure> {
        let limit_seconds = self.limit_ms as f64 / 1000.0;
        // A NaN is in no range.
        let fits = (0.0..=limit_seconds).contains(&seconds) && (self.zero || seconds > 0.0);
        if fits { Ok(round_up(seconds)) } else { Err(self.out_of_range()) }
    }

    /// Whether this is a plausible number of seconds that only exceeds the limit. Beyond an int32 it is not a plausible
    /// number of seconds.
    pub fn is_beyond(self, seconds: f64) -> bool {
        (self.limit_ms as f64 / 1000.0) < seconds && seconds <= f64::from(i32::MAX)
    }

    /// As [`DurationField::ms`], for text such as `30`, `2.5` or `1e3`.
    pub fn ms_of_text(self, text: &str) -> Result<u64, Failure> {
        self.ms(text.parse::<f64>().map_err(|_| self.out_of_range())?)
    }

    pub fn out_of_range(self) -> Failure {
        let (name, limit) = (self.name, Seconds(self.limit_ms));
        let from = if self.zero { "from 0" } else { "greater than 0, up" };
        let detail = format!("{name} must be a number of seconds {from} to {limit}");
        Failure::field(name, detail).with_limit(self.limit_ms / 1000).set_by(self.config_key)
    }
}

fn round_up(seconds: f64) -> u64 {
    let ms = seconds * 1000.0;
    // 0.07 s is 70.00000000000001 ms in binary: such noise is not rounded up.
    let nearest = ms.round();
    let noise = nearest * 1e-9;
    let whole = if nearest > 0.0 && (ms - nearest).abs() <= noise { nearest } else { ms.ceil() };
    whole as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;
    const WAIT: DurationField =
        DurationField { name: "timeout", zero: true, limit_ms: DAY, config_key: "locks.wait_max" };
    const LEASE: DurationField = DurationField { name: "ttl", zero: false, config_key: "locks.lease_max", ..WAIT };

    #[test]
    fn seconds_round_up_to_a_millisecond() {
        for (seconds, ms) in [(0.0, 0), (-0.0, 0), (1e-9, 1), (0.07, 70), (0.0011, 2), (1.001, 1001), (86400.0, DAY)] {
            assert_eq!(WAIT.ms(seconds), Ok(ms), "{seconds}");
        }
    }

    #[test]
    fn out_of_range_numbers_are_refused_with_field_and_limit() {
        let absurd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e308, 9.3e18, -1.0, 86_400.001];
        for seconds in absurd {
            let failure = LEASE.ms(seconds).expect_err("refused");
            assert_eq!(failure.detail, "ttl must be a number of seconds greater than 0, up to 86400 (locks.lease_max)");
            assert_eq!((failure.field, failure.limit), (Some("ttl"), Some(86_400)));
        }
        assert!(LEASE.ms(0.0).is_err() && LEASE.ms(1e-9) == Ok(1));
        let negative = WAIT.ms(-1.0).expect_err("refused");
        assert_eq!(negative.detail, "timeout must be a number of seconds from 0 to 86400 (locks.wait_max)");
    }

    #[test]
    fn text_must_be_a_decimal_number() {
        assert_eq!(WAIT.ms_of_text("1e3"), Ok(1_000_000));
        assert_eq!(WAIT.ms_of_text("2.5"), Ok(2_500));
        for text in ["", " 1", "1 ", "0x10", "abc", "1,5", "nan", "inf", "9223372036854775808", "1e308", "-1"] {
            assert!(WAIT.ms_of_text(text).is_err(), "{text:?}");
        }
    }
}
