//! What a child process writes, gathered while it runs.

use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the pipe of an ended process may stay open.
const PATIENCE: Duration = Duration::from_secs(30);

/// The output of a child, gathered by a thread of its own so that a full pipe never stops the child.
pub struct Captured {
    text: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

impl Captured {
    pub fn of(pipe: impl Read + Send + 'static) -> Self {
        Self::spawn(move |text| copy(pipe, &text))
    }

    pub fn spawn(read: impl FnOnce(Arc<Mutex<String>>) + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let shared = Arc::clone(&text);
        Self { text, reader: std::thread::spawn(move || read(shared)) }
    }

    pub fn text(&self) -> MutexGuard<'_, String> {
        self.text.lock().expect("no reader panics")
    }

    /// Everything, once the child has closed its end.
    pub fn finish(&self) -> String {
        let deadline = Instant::now() + PATIENCE;
        while !self.reader.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.text().clone()
    }
}

/// Appends all that a pipe delivers, until it ends.
pub fn copy(mut from: impl Read, to: &Mutex<String>) {
    let mut chunk = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        to.lock().expect("no reader panics").push_str(&String::from_utf8_lossy(&chunk[..count]));
    }
}
