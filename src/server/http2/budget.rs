//! How many frames that move no request on a connection may send: as many as any client needs at once, and then as many as
//! its requests, their answers and the time give room for.

use std::time::Duration;

use super::frames::Frame;

/// PING, SETTINGS, PRIORITY and the like. A client that measures its line pings with what it is sent.
const CONTROL: Terms = Terms { at_once: 1_000, per_second: 100, per_piece: 1 };
/// Some clients send two for each piece of an answer.
const WINDOW_UPDATES: Terms = Terms { at_once: 2_000, per_second: 200, per_piece: 2 };
const WINDOW_UPDATES_PER_REQUEST: u64 = 2;
/// A client may give up many calls at once. One that was open for a while is paid for by then; those that are reset as
/// soon as they are opened are not.
const RESETS: Terms = Terms { at_once: 1_000, per_second: 50, per_piece: 0 };
/// As many calls as may wait on one connection.
const RESETS_PAID_MAX: u64 = 10_000;

/// A piece of an answer: far more than the answer to a PING.
const PIECE_BYTES: u64 = 64;

const SECOND: Duration = Duration::from_secs(1);

struct Terms {
    at_once: u64,
    per_second: u64,
    /// For each piece of what is written.
    per_piece: u64,
}

/// The budget of one connection.
#[derive(Debug)]
pub struct Budget {
    control: u64,
    window_updates: u64,
    resets: u64,
    /// The resets that calls have paid for.
    paid: u64,
    /// Calls begun in the second that began last, and in the one before it.
    opened: [u64; 2],
    second: Duration,
    written: u64,
}

impl Budget {
    pub fn new(now: Duration) -> Budget {
        Budget {
            control: CONTROL.at_once,
            window_updates: WINDOW_UPDATES.at_once,
            resets: RESETS.at_once,
            paid: 0,
            opened: [0, 0],
            second: now,
            written: 0,
        }
    }

    /// So many bytes were written to the client.
    pub fn wrote(&mut self, bytes: usize) {
        self.written = self.written.saturating_add(bytes as u64);
    }

    /// Time has passed, and answers were written.
    pub fn refill(&mut self, now: Duration) {
        let seconds = now.saturating_sub(self.second).as_secs();
        if seconds > 0 {
            self.second += SECOND * u32::try_from(seconds).unwrap_or(u32::MAX);
            let since = if seconds == 1 { 1 } else { 2 };
            self.paid = (self.paid + self.opened.iter().rev().take(since).sum::<u64>()).min(RESETS_PAID_MAX);
            self.opened = [0, if seconds == 1 { self.opened[0] } else { 0 }];
        }
        let pieces = self.written / PIECE_BYTES;
        self.written %= PIECE_BYTES;
        let more = |left: u64, terms: &Terms| {
            let earned = seconds.saturating_mul(terms.per_second).saturating_add(pieces * terms.per_piece);
            left.saturating_add(earned).min(terms.at_once.max(left))
        };
        self.control = more(self.control, &CONTROL);
        self.window_updates = more(self.window_updates, &WINDOW_UPDATES);
        self.resets = more(self.resets, &RESETS);
    }

    /// Counts a frame; `false` if it was one too many.
    pub fn admit(&mut self, frame: Frame) -> bool {
        let left = match frame {
            Frame::Data => return true,
            Frame::Headers => {
                self.opened[0] = self.opened[0].saturating_add(1);
                self.window_updates += WINDOW_UPDATES_PER_REQUEST;
                return true;
            }
            Frame::Control => &mut self.control,
            Frame::WindowUpdate => &mut self.window_updates,
            Frame::Reset if self.paid > 0 => &mut self.paid,
            Frame::Reset => &mut self.resets,
        };
        let admitted = *left > 0;
        *left = left.saturating_sub(1);
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(77);

    /// How many of these frames pass at one moment, up to a great many.
    fn pass(budget: &mut Budget, frame: Frame) -> usize {
        (0..100_000).take_while(|_| budget.admit(frame)).count()
    }

    #[test]
    fn floods_of_every_kind_exhaust_the_budget() {
        for (frame, expected) in [(Frame::Control, 1_000), (Frame::WindowUpdate, 2_000), (Frame::Reset, 1_000)] {
            assert_eq!(pass(&mut Budget::new(NOW), frame), expected, "{frame:?}");
        }
        assert_eq!(pass(&mut Budget::new(NOW), Frame::Data), 100_000);
    }

    #[test]
    fn time_and_answers_refill_the_budget() {
        let mut budget = Budget::new(NOW);
        pass(&mut budget, Frame::Control);
        budget.refill(NOW + Duration::from_millis(2_500));
        assert_eq!(pass(&mut budget, Frame::Control), 200);
        budget.wrote(6_400);
        budget.refill(NOW + Duration::from_millis(2_600));
        assert_eq!(pass(&mut budget, Frame::Control), 100);
    }

    #[test]
    fn ping_replies_do_not_refill_the_budget() {
        let mut budget = Budget::new(NOW);
        let flood = (0..100_000).take_while(|_| {
            budget.wrote(17);
            budget.refill(NOW);
            budget.admit(Frame::Control)
        });
        assert!(flood.count() < 2_000);
    }

    #[test]
    fn waiting_calls_may_all_be_reset_at_once() {
        let mut budget = Budget::new(NOW);
        for _ in 0..5_000 {
            assert!(budget.admit(Frame::Headers));
        }
        budget.refill(NOW + Duration::from_millis(2_100));
        assert_eq!(pass(&mut budget, Frame::Reset), 6_000);
    }

    #[test]
    fn immediate_resets_count_as_flood() {
        let mut budget = Budget::new(NOW);
        let pairs = (0..100_000).take_while(|_| budget.admit(Frame::Headers) && budget.admit(Frame::Reset));
        assert_eq!(pairs.count(), 1_000);
    }
}
