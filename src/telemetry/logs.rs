//! Log lines on stderr: stdout belongs to the one line that names the bound URLs.

use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
}

/// Starts logging for the whole process. A second call changes nothing.
pub fn start(level: Level, format: Format) {
    let base = fmt().with_env_filter(filter(level)).with_writer(std::io::stderr).with_target(false);
    // It fails only when logging is already set up, as in a test process.
    let _ = match format {
        Format::Text => {
            let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
            base.with_ansi(colours).try_init()
        }
        Format::Json => base.json().flatten_event(true).try_init(),
    };
}

/// Our own lines at `level`; those of the libraries only when they warn, because
/// they speak of their own insides. The consensus library warns several times a second of a node that is away: what
/// matters of it the log room says itself, once.
fn filter(level: Level) -> EnvFilter {
    let libraries = if level == Level::ERROR { "error" } else { "warn" };
    EnvFilter::new(format!("{libraries},openraft=off,latchd={}", level.as_str().to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_stay_quiet_whatever_our_own_level_is() {
        assert_eq!(filter(Level::TRACE).to_string(), "openraft=off,latchd=trace,warn");
        assert_eq!(filter(Level::ERROR).to_string(), "openraft=off,latchd=error,error");
    }
}
