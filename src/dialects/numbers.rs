//! Seconds as clients write them (JSON numbers, strings, query text) turned into whole milliseconds.

use super::failure::{Failure, Seconds};

/// Milliseconds, rounded up; 0 only for 0. Refuses what is no number from 0 to the limit, and names both.
pub fn seconds_to_ms(field: &'static str, seconds: f64, limit_ms: u64) -> Result<u64, Failure> {
    let limit_seconds = limit_ms as f64 / 1000.0;
    // A NaN is in no range.
    if (0.0..=limit_seconds).contains(&seconds) { Ok(round_up(seconds)) } else { Err(out_of_range(field, limit_ms)) }
}

/// As [`seconds_to_ms`], for text such as `30`, `2.5` or `1e3`.
pub fn text_to_ms(field: &'static str, text: &str, limit_ms: u64) -> Result<u64, Failure> {
    let seconds = text.parse::<f64>().map_err(|_| out_of_range(field, limit_ms))?;
    seconds_to_ms(field, seconds, limit_ms)
}

fn out_of_range(field: &'static str, limit_ms: u64) -> Failure {
    let detail = format!("{field} must be a number of seconds from 0 to {}", Seconds(limit_ms));
    Failure { limit: Some(limit_ms / 1000), ..Failure::field(field, detail) }
}

fn round_up(seconds: f64) -> u64 {
    let ms = seconds * 1000.0;
    // 0.07 s is 70.00000000000001 ms in binary: noise is not a part of a millisecond to round up.
    let nearest = ms.round();
    let noise = nearest * 1e-9;
    let whole = if nearest > 0.0 && (ms - nearest).abs() <= noise { nearest } else { ms.ceil() };
    whole as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;

    #[test]
    fn seconds_round_up_to_a_millisecond_and_never_to_zero() {
        for (seconds, ms) in [(0.0, 0), (-0.0, 0), (1e-9, 1), (0.07, 70), (0.0011, 2), (1.001, 1001), (86400.0, DAY)] {
            assert_eq!(seconds_to_ms("ttl", seconds, DAY), Ok(ms), "{seconds}");
        }
    }

    #[test]
    fn absurd_numbers_are_refused_with_field_and_limit() {
        let absurd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e308, 9.3e18, -1.0, 86_400.001];
        for seconds in absurd {
            let failure = seconds_to_ms("ttl", seconds, DAY).expect_err("refused");
            assert_eq!(failure.detail, "ttl must be a number of seconds from 0 to 86400");
            assert_eq!((failure.field, failure.limit), (Some("ttl"), Some(86_400)));
        }
    }

    #[test]
    fn text_is_a_decimal_number_and_nothing_else() {
        assert_eq!(text_to_ms("timeout", "1e3", DAY), Ok(1_000_000));
        assert_eq!(text_to_ms("timeout", "2.5", DAY), Ok(2_500));
        for text in ["", " 1", "1 ", "0x10", "abc", "1,5", "nan", "inf", "9223372036854775808", "1e308", "-1"] {
            assert!(text_to_ms("timeout", text, DAY).is_err(), "{text:?}");
        }
    }
}
