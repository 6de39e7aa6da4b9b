//! Durations and words as people read them.

use std::fmt;
use std::time::Duration;

/// A duration in its two largest units: `4 s`, `3 min 5 s`, `2 h 10 min`, `9 d 4 h`.
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
        match (days, hours, minutes) {
            (0, 0, 0) if seconds < 10 => write!(f, "{seconds}.{} s", self.0.subsec_millis() / 100),
            (0, 0, 0) => write!(f, "{seconds} s"),
            (0, 0, _) => write!(f, "{minutes} min {} s", seconds % 60),
            (0, _, _) => write!(f, "{hours} h {} min", minutes % 60),
            _ => write!(f, "{days} d {} h", hours % 24),
        }
    }
}

/// A length that somebody chooses: the second unit is left out where it is zero.
pub struct Length(pub Duration);

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = Span(self.0).to_string();
        let short = [" 0 s", " 0 min", " 0 h"].iter().find_map(|zero| text.strip_suffix(zero));
        f.write_str(short.unwrap_or(&text))
    }
}

/// A number with its noun: `1 lock`, `2 locks`.
pub struct Count(pub u64, pub &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", Grouped(self.0), self.1, if self.0 == 1 { "" } else { "s" })
    }
}

/// A number with a thin space between thousands.
pub struct Grouped(pub u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        digits.char_indices().try_for_each(|(at, digit)| {
            let starts_group = at > 0 && (digits.len() - at).is_multiple_of(3);
            if starts_group { write!(f, "\u{202f}{digit}") } else { write!(f, "{digit}") }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_show_their_two_largest_units() {
        let shown = |ms| Span(Duration::from_millis(ms)).to_string();
        assert_eq!(shown(0), "0.0 s");
        assert_eq!(shown(9_950), "9.9 s");
        assert_eq!(shown(59_999), "59 s");
        assert_eq!(shown(185_000), "3 min 5 s");
        assert_eq!(shown(7_800_000), "2 h 10 min");
        assert_eq!(shown(792_000_000), "9 d 4 h");
        let lengths = [10, 60, 900, 3_600, 5_400, 86_400].map(|s| Length(Duration::from_secs(s)).to_string());
        assert_eq!(lengths, ["10 s", "1 min", "15 min", "1 h", "1 h 30 min", "1 d"]);
    }

    #[test]
    fn numbers_are_grouped_and_nouns_agree() {
        assert_eq!(Count(1, "lock").to_string(), "1 lock");
        assert_eq!(Count(0, "lock").to_string(), "0 locks");
        assert_eq!(Grouped(999).to_string(), "999");
        assert_eq!(Grouped(1_234_567).to_string(), "1\u{202f}234\u{202f}567");
    }
}
