//! Disks that fail or hang, and what becomes of acts meanwhile.

use super::{Act, Action, Audit, By, Counts, Destination, FileQueue, OnFailure, Outcome, Unwritten};
use crate::base::clock::process_age;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;

/// A busy machine writes within it; whoever shall wait for it in vain stops the clock of the runtime, which jumps then.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A disk that waits for leave before each line, or fails.
#[derive(Clone, Default)]
struct Disk {
    lines: Arc<Mutex<Vec<Value>>>,
}

impl Disk {
    fn take(&self, line: &[u8]) {
        assert!(line.ends_with(b"\n") && line.iter().filter(|byte| **byte < b' ').count() == 1, "one line");
        self.lines.lock().push(serde_json::from_slice(line).expect("JSON"));
    }

    fn audit(&self, on_failure: OnFailure, before: impl Fn() -> io::Result<()> + Send + 'static) -> Arc<Audit> {
        let disk = self.clone();
        let append = move |line: &[u8]| {
            before()?;
            disk.take(line);
            Ok(())
        };
        let queue = FileQueue::start(append, TIMEOUT).expect("a thread");
        Arc::new(Audit::new(7, Destination::File(queue), on_failure))
    }
}

/// From now on the clock jumps to the next timeout when nothing else is to be done.
fn stop_clock() {
    // The age of the process counts from its first question, which must not come after a jump.
    process_age();
    tokio::time::pause();
}

fn by() -> By {
    By { who: "ops\n\"x".into(), role: "admin", from: "192.0.2.7".parse().expect("an address") }
}

fn act() -> Act {
    Act::new(Action::Resize).on("lock", "a\nb\u{7}\u{2028}\"\\").on("size", 3).because("slow\r\n{}")
}

/// A disk that takes a line for each message; it hangs until then. It tells when it begins with a line.
fn hanging(disk: &Disk, on_failure: OnFailure) -> (Arc<Audit>, Sender<()>, UnboundedReceiver<()>) {
    let (leave, leaves) = channel();
    let leaves: Mutex<Receiver<()>> = Mutex::new(leaves);
    let (begins, begun) = unbounded_channel();
    let audit = disk.audit(on_failure, move || {
        begins.send(()).ok();
        leaves.lock().recv().map_err(|_| io::Error::other("gone"))
    });
    (audit, leave, begun)
}

#[tokio::test]
async fn act_has_a_line_before_and_one_after_it() {
    let disk = Disk::default();
    let audit = disk.audit(OnFailure::Refuse, || Ok(()));
    let begun = audit.begin(by(), act()).await.expect("written");
    assert_eq!(disk.lines.lock().len(), 1, "before the act");
    audit.end(begun, Outcome::Refused("not-counted")).await;
    audit.refused_credential("2001:db8::1".parse().expect("an address"), "not known", 4).await;
    let lines = disk.lines.lock();
    let [intent, outcome, refused] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((&intent["stage"], &outcome["stage"]), (&json!("intent"), &json!("outcome")));
    assert_eq!((&intent["act"], intent["act"].as_str().map(str::len)), (&outcome["act"], Some(32)));
    let told = json!({"lock": "a\nb\u{7}\u{2028}\"\\", "size": 3});
    for line in [intent, outcome] {
        assert_eq!(
            (&line["who"], &line["role"], &line["from"]),
            (&json!("ops\n\"x"), &json!("admin"), &json!("192.0.2.7"))
        );
        assert_eq!((&line["action"], &line["target"], &line["node"]), (&json!("resize"), &told, &json!(7)));
        assert_eq!(line["reason"], json!("slow\r\n{}"));
    }
    assert_eq!((&outcome["outcome"], &outcome["error"]), (&json!("refused"), &json!("not-counted")));
    assert_eq!((&refused["stage"], &refused["from"]), (&json!("refused-credential"), &json!("2001:db8::1")));
    assert_eq!((&refused["left_out"], refused.get("who")), (&json!(4), None));
    assert_eq!(audit.counts(), Counts { written: 3, ..Counts::default() });
}

#[tokio::test]
async fn act_that_panics_or_is_given_up_has_a_line_that_its_outcome_is_unknown() {
    let disk = Disk::default();
    let audit = disk.audit(OnFailure::Refuse, || Ok(()));
    let carry_out = |work: Pin<Box<dyn Future<Output = ()> + Send>>| {
        let audit = Arc::clone(&audit);
        tokio::spawn(async move {
            let begun = audit.begin(by(), act()).await.expect("written");
            work.await;
            audit.end(begun, Outcome::Done).await;
        })
    };
    assert!(carry_out(Box::pin(async { panic!("a bug") })).await.expect_err("broken off").is_panic());
    let (begins, begun) = oneshot::channel();
    let given_up = carry_out(Box::pin(async {
        begins.send(()).expect("somebody waits");
        pending().await
    }));
    begun.await.expect("it is carried out");
    given_up.abort();
    assert!(given_up.await.expect_err("given up").is_cancelled());
    // The thread writes one line after the other.
    carry_out(Box::pin(async {})).await.expect("no panic");
    let lines = disk.lines.lock();
    let told: Vec<_> = lines.iter().map(|line| (&line["stage"], &line["outcome"])).collect();
    let (intent, unknown) = ((json!("intent"), Value::Null), (json!("outcome"), json!("unknown")));
    let done = (json!("outcome"), json!("done"));
    let expected = [&intent, &unknown, &intent, &unknown, &intent, &done];
    assert_eq!(told, expected.map(|(stage, outcome)| (stage, outcome)));
    assert_eq!((&lines[0]["act"], &lines[2]["act"]), (&lines[1]["act"], &lines[3]["act"]));
    assert_eq!(audit.counts(), Counts { written: 6, ..Counts::default() });
}

#[tokio::test]
async fn full_disk_refuses_acts_or_lets_them_go_on_as_configured() {
    for (on_failure, goes_on) in [(OnFailure::Refuse, false), (OnFailure::Continue, true)] {
        let disk = Disk::default();
        let audit = disk.audit(on_failure, || Err(io::ErrorKind::StorageFull.into()));
        let begun = audit.begin(by(), act()).await;
        assert_eq!(begun.is_ok(), goes_on, "{on_failure:?}");
        assert_eq!((audit.counts().failed, audit.counts().written), (1, 0));
    }
}

#[tokio::test]
async fn disk_that_hangs_is_given_up_and_writes_nothing_of_it_later() {
    for (on_failure, goes_on) in [(OnFailure::Refuse, false), (OnFailure::Continue, true)] {
        let disk = Disk::default();
        let (audit, leave, mut begun) = hanging(&disk, on_failure);
        let first = tokio::spawn({
            let audit = Arc::clone(&audit);
            async move { audit.begin(by(), act()).await }
        });
        begun.recv().await.expect("it is with the disk");
        stop_clock();
        let first =
            tokio::time::timeout(TIMEOUT * 3 / 2, first).await.expect("it waits for one line").expect("no panic");
        // It waits behind the first.
        let second = audit.begin(by(), act()).await;
        assert_eq!([first.is_ok(), second.is_ok()], [goes_on; 2], "{on_failure:?}");
        tokio::time::resume();
        for _ in 0..8 {
            leave.send(()).expect("it waits");
        }
        let begun = audit.begin(by(), act()).await.expect("it takes lines again");
        let lines = disk.lines.lock().clone();
        let (Some(late), Some(last)) = (lines.first(), lines.last()) else { panic!("{lines:?}") };
        assert_eq!((&late["stage"], &last["stage"]), (&json!("intent"), &json!("intent")), "{on_failure:?}");
        // The intent of an act that was not begun is followed by how it ended.
        let between = lines[1..lines.len() - 1].iter().map(|line| (&line["act"], &line["outcome"], &line["error"]));
        let ended = (&late["act"], &json!("refused"), &json!("audit-unwritten"));
        assert_eq!(between.collect::<Vec<_>>(), if goes_on { Vec::new() } else { vec![ended] }, "{on_failure:?}");
        audit.end(begun, Outcome::Done).await;
    }
}

#[tokio::test]
async fn queue_of_a_hanging_disk_is_bounded() {
    let (leave, leaves) = channel::<()>();
    let (begins, mut begun) = unbounded_channel();
    let append = move |_: &[u8]| {
        begins.send(()).ok();
        leaves.recv().map_err(|_| io::Error::other("gone"))
    };
    let queue = Arc::new(FileQueue::start(append, TIMEOUT).expect("a thread"));
    let long = (1 << 20) - 1;
    let asked: Vec<_> = (0..8)
        .map(|_| {
            let queue = Arc::clone(&queue);
            tokio::spawn(async move { queue.write(vec![b'x'; long], Vec::new()).await })
        })
        .collect();
    begun.recv().await.expect("the first is with the disk");
    stop_clock();
    let mut refused = Vec::new();
    for asked in asked {
        refused.push(asked.await.expect("no panic").expect_err("it hangs"));
    }
    tokio::time::resume();
    assert_eq!(refused.iter().filter(|reason| **reason == Unwritten::QueueFull).count(), 4, "{refused:?}");
    for _ in 0..3 {
        leave.send(()).expect("it waits");
    }
    assert_eq!(queue.write(vec![b'x'; 4], Vec::new()).await, Ok(()), "there is just room for it");
    assert_eq!(queue.write(vec![b'x'; 4 << 20], Vec::new()).await, Ok(()), "all have given their room back");
    drop(leave);
    assert_eq!(queue.write(vec![b'x'], Vec::new()).await, Err(Unwritten::Failed("gone".to_owned())));
}
