//! Tells who waits, or was refused, that an operator has frozen the lock: until when and why.

use std::pin::pin;
use std::time::Duration;

use super::super::output_queue;
use crate::client::Client;
use crate::client::clock::Moment;

/// How long a wait has lasted when it is explained.
const NOTICE_DELAY: Duration = Duration::from_secs(1);
/// And how long after that, again and again, whoever waits asks for a freeze that has begun since.
const ASKS_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// A text for each of the locks that is frozen; the same freeze is told once. Only for messages, so errors are ignored.
pub async fn frozen(client: &Client, names: &[String]) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for name in names {
        let text = client.frozen_by(name).await.map(|freeze| freeze.text());
        texts.extend(text.filter(|text| !texts.contains(text)));
    }
    texts
}

/// Does the work, and tells of each freeze that it waits under.
pub(super) async fn telling<T>(client: &Client, names: &[String], work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let (mut delay, mut told) = (NOTICE_DELAY, Vec::new());
    loop {
        let asked = async {
            Moment::now().after(delay).wait().await;
            frozen(client, names).await
        };
        let texts = tokio::select! {
            biased;
            done = &mut work => return done,
            texts = asked => texts,
        };
        if !texts.is_empty() && texts != told {
            output_queue::note(format!("waiting: {}", texts.join("; ")));
        }
        (delay, told) = (ASKS_AGAIN_AFTER, texts);
    }
}
