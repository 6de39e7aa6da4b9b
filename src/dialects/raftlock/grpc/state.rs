//! The state of this service, with how fast locks come and go, measured over the last minute.

use crate::engine::{Engine, Stats};
use crate::http::AppState;
use crate::http::grpc::unary;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

const INTERVAL: Duration = Duration::from_secs(5);
const WINDOW: usize = 12;

/// Searches of GetLocks that run at once: one may cost far more than it answers.
const SEARCHES_AT_ONCE: usize = 2;

pub struct RaftLock {
    pub app: AppState,
    pub searches: Semaphore,
    /// How fast locks come and go.
    pub rates: watch::Receiver<Rates>,
}

pub type Call<'a> = unary::Call<'a, Arc<RaftLock>>;

impl RaftLock {
    /// Needs a runtime: it follows the engine.
    pub fn new(app: &AppState) -> RaftLock {
        RaftLock {
            app: AppState::clone(app),
            searches: Semaphore::new(SEARCHES_AT_ONCE),
            rates: Rates::follow(app.engine.clone()),
        }
    }
}

/// The measured rates; zero in the first seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// `None` where no hold has ended.
    pub average_hold: Option<Duration>,
    pub acquisitions_per_second: f64,
    pub releases_per_second: f64,
    pub expired: u64,
}

/// The holds at a moment, and what had happened until then.
type Sample = (u64, Stats);

impl Rates {
    /// Measures until all receivers are dropped.
    pub fn follow(engine: Engine) -> watch::Receiver<Rates> {
        let (sender, receiver) = watch::channel(Rates::default());
        tokio::spawn(async move {
            let mut samples = VecDeque::with_capacity(WINDOW + 1);
            while !sender.is_closed() {
                let overview = engine.overview();
                samples.push_back((overview.counts.holds, overview.stats));
                if samples.len() > WINDOW + 1 {
                    samples.pop_front();
                }
                sender.send_replace(measured(&samples));
                tokio::time::sleep(INTERVAL).await;
            }
        });
        receiver
    }
}

fn measured(samples: &VecDeque<Sample>) -> Rates {
    let (Some((_, first)), Some((_, last)), 2..) = (samples.front(), samples.back(), samples.len()) else {
        return Rates::default();
    };
    let seconds = INTERVAL.as_secs_f64() * (samples.len() - 1) as f64;
    let per_second = |count: u64| count as f64 / seconds;
    let ended = ended(last) - ended(first);
    // Little's law: as many holds as there are on average take as long as it takes for so many to end.
    let holds = samples.iter().map(|(holds, _)| *holds as f64).sum::<f64>() / samples.len() as f64;
    let average_hold = (ended > 0).then(|| Duration::from_secs_f64(holds / per_second(ended)));
    Rates {
        average_hold,
        acquisitions_per_second: per_second(last.grants - first.grants),
        releases_per_second: per_second(last.releases - first.releases),
        expired: last.expirations - first.expirations,
    }
}

fn ended(stats: &Stats) -> u64 {
    stats.releases + stats.expirations + stats.forced_releases + stats.session_releases + stats.undelivered_grants
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(holds: u64, grants: u64, releases: u64, expirations: u64) -> Sample {
        (holds, Stats { grants, releases, expirations, ..Stats::default() })
    }

    #[test]
    fn average_hold_follows_from_holds_and_ends() {
        let rates = measured(&VecDeque::from([sample(20, 100, 50, 0), sample(20, 200, 140, 10)]));
        assert_eq!(rates.average_hold, Some(Duration::from_secs(1)), "20 holds, 100 ends in 5 s");
        assert_eq!((rates.acquisitions_per_second, rates.releases_per_second, rates.expired), (20.0, 18.0, 10));
    }

    #[test]
    fn rates_are_zero_before_two_samples() {
        assert_eq!(measured(&VecDeque::new()), Rates::default());
        assert_eq!(measured(&VecDeque::from([sample(1, 1, 1, 1)])), Rates::default());
        let idle = measured(&VecDeque::from([sample(3, 9, 6, 0), sample(3, 9, 6, 0)]));
        assert_eq!(idle.average_hold, None);
    }
}
