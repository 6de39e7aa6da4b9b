//! Log lines on stderr or in a file: stdout belongs to the one line that names the bound URLs.

use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::MakeWriter;

use super::lines::{self, Destination, LineQueue};
use crate::base::FLUSH_TARGET;
use crate::base::clock;
use crate::base::config_value::LogFormat;
use crate::base::request_id;

/// What is logged, how, and where to.
#[derive(Clone, Copy, Debug)]
pub struct Logging<'a> {
    pub level: Level,
    pub format: LogFormat,
    /// `None` for stderr.
    pub file: Option<&'a Path>,
    /// Whether a terminal gets colours.
    pub colours: bool,
}

/// The target of the lines on stdout.
const ON_STDOUT: &str = "latchd::on_stdout";

struct Outputs {
    log: Arc<LineQueue>,
    stdout: Arc<LineQueue>,
    format: LogFormat,
}

static OUTPUTS: OnceLock<Outputs> = OnceLock::new();

/// Starts logging for the whole process. A second call changes nothing.
pub fn start(logging: Logging<'_>) -> io::Result<()> {
    if OUTPUTS.get().is_some() {
        return Ok(());
    }
    let destination = match logging.file {
        Some(path) => Destination::at(path)?,
        None => Destination::stderr()?,
    };
    let colours = logging.colours && destination.is_terminal();
    let log = lines::start("latchd-log", destination)?;
    let stdout = lines::start("latchd-stdout", Destination::stdout()?)?;
    let outputs = OUTPUTS.get_or_init(|| Outputs { log, stdout, format: logging.format });
    let base = fmt().with_env_filter(filter(logging.level)).with_writer(outputs).with_target(false);
    let base = base.log_internal_errors(false);
    // It fails only when logging is already set up, as in a test process.
    let _ = match logging.format {
        LogFormat::Text => base.with_ansi(colours).try_init(),
        LogFormat::Json => base.json().flatten_event(true).try_init(),
    };
    Ok(())
}

/// Writes a panic as a log line: what Rust does by itself would wait for the reader of stderr.
pub fn tell_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let message = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let backtrace = std::backtrace::Backtrace::capture();
        let backtrace = match backtrace.status() {
            std::backtrace::BacktraceStatus::Captured => format!("\n{backtrace}"),
            _ => String::new(),
        };
        // Elsewhere it is caught, or followed by last words; only the main thread ends the process with it.
        match std::thread::current().name() {
            Some("main") => tracing::error!(target: FLUSH_TARGET, place, "a panic at {place}: {message}{backtrace}"),
            _ => tracing::error!(place, "a panic at {place}: {message}{backtrace}"),
        }
    }));
}

/// Says on stdout which URLs are bound.
pub fn announce(urls: &str) {
    let version = env!("CARGO_PKG_VERSION");
    let line = format!("latchd {version} listening on {urls}");
    match OUTPUTS.get() {
        Some(Outputs { format: LogFormat::Json, .. }) => tracing::info!(target: ON_STDOUT, version, urls, "{line}"),
        Some(Outputs { stdout, .. }) => {
            stdout.push(format!("{line}\n").as_bytes());
        }
        None => {}
    }
}

/// Tells why nothing is served, after which the process ends.
pub fn tell_failure(message: &str) {
    match OUTPUTS.get() {
        Some(Outputs { format: LogFormat::Json, .. }) => tracing::error!(target: FLUSH_TARGET, "{message}"),
        Some(Outputs { log, .. }) => {
            log.push(format!("latchd: {message}\n").as_bytes());
        }
        None => {}
    }
}

/// Writes a line of the audit log among the others, whatever the level of the log is; `json` is an object. Returns whether the
/// line was taken: `false` when the reader of the log has taken none for long.
pub fn push_audit(json: &str) -> bool {
    let Some(Outputs { log, format, .. }) = OUTPUTS.get() else { return true };
    let time = clock::rfc3339_ms(clock::unix_time());
    let line = match format {
        LogFormat::Text => format!("{time}  INFO audit {json}\n"),
        LogFormat::Json => {
            format!("{{\"timestamp\":\"{time}\",\"level\":\"INFO\",\"message\":\"audit\",\"audit\":{json}}}\n")
        }
    };
    log.push(line.as_bytes())
}

/// Waits until the last lines of the process are written, as long as their reader takes them.
pub fn finish() {
    if let Some(Outputs { log, stdout, .. }) = OUTPUTS.get() {
        log.flush();
        stdout.flush();
    }
}

/// Lines that their reader did not take in time, or that could not be written.
pub fn lost_lines() -> u64 {
    OUTPUTS.get().map_or(0, |outputs| outputs.log.lost() + outputs.stdout.lost())
}

/// Opens the log file anew, also where stderr is one.
pub fn reopen() {
    if let Some(outputs) = OUTPUTS.get() {
        outputs.log.reopen();
    }
}

/// Our own lines at `level`; those of the libraries only when they warn, because
/// they speak of their own insides. The consensus library warns several times a second of a node that is away: what
/// matters of it the log room says itself, once.
fn filter(level: Level) -> EnvFilter {
    let libraries = if level == Level::ERROR { "error" } else { "warn" };
    let ours = level.as_str().to_lowercase();
    EnvFilter::new(format!("{libraries},openraft=off,latchd={ours},{ON_STDOUT}=info"))
}

/// Puts what one event says into a queue.
struct Writer<'a> {
    queue: &'a LineQueue,
    format: LogFormat,
    settles: bool,
}

impl<'a> MakeWriter<'a> for &'static Outputs {
    type Writer = Writer<'a>;

    fn make_writer(&'a self) -> Writer<'a> {
        Writer { queue: &self.log, format: self.format, settles: false }
    }

    fn make_writer_for(&'a self, about: &Metadata<'_>) -> Writer<'a> {
        let queue = if about.target() == ON_STDOUT { &self.stdout } else { &self.log };
        Writer { queue, format: self.format, settles: about.target() == FLUSH_TARGET }
    }
}

impl io::Write for Writer<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match request_id::current() {
            Some(id) => self.queue.push(&with_request_id(line, self.format, &id)),
            None => self.queue.push(line),
        };
        if self.settles {
            self.queue.flush();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The line of a request with the request's id. A span would say it too, but every request would pay for one.
fn with_request_id(line: &[u8], format: LogFormat, id: &str) -> Vec<u8> {
    let (end, field) = match format {
        LogFormat::Text => ("\n", format!(" request_id={id}")),
        LogFormat::Json => ("}\n", format!(",\"request_id\":\"{id}\"")),
    };
    let begin = line.strip_suffix(end.as_bytes()).unwrap_or(line);
    [begin, field.as_bytes(), end.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_id_is_the_last_field_of_a_line() {
        let line =
            |line: &str, format| String::from_utf8(with_request_id(line.as_bytes(), format, "a-1")).expect("UTF-8");
        assert_eq!(line("INFO hello who=you\n", LogFormat::Text), "INFO hello who=you request_id=a-1\n");
        assert_eq!(line("{\"level\":\"INFO\"}\n", LogFormat::Json), "{\"level\":\"INFO\",\"request_id\":\"a-1\"}\n");
    }

    #[test]
    fn libraries_stay_quiet_whatever_our_own_level_is() {
        let shown = |level| filter(level).to_string();
        assert_eq!(shown(Level::TRACE), "latchd::on_stdout=info,openraft=off,latchd=trace,warn");
        assert_eq!(shown(Level::ERROR), "latchd::on_stdout=info,openraft=off,latchd=error,error");
    }
}
