//! Reads the keys of `access.keys_file` at the start and again while the server runs. A file that cannot be used changes
//! nothing: the keys in use stay, the log says so, and `latchd_keys_file_stale` is 1.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::bounded_credentials::BoundedCredentials;
use super::key_ends::KeyEnds;
use crate::access::{Access, ApiKey, CertificateRule};
use crate::config::Config;
use crate::config::keys_file::{KeysFile, read};
use crate::telemetry::Metrics;

/// A file that has changed must stay the same for so long: a program may be writing it still.
const SETTLE: Duration = Duration::from_millis(250);

/// The keys cannot be read at the start.
#[derive(Debug, thiserror::Error)]
#[error("access.keys_file: {path} cannot be used ({reason}); `latchd keys new NAME --file {path}` makes one")]
pub struct KeysFileError {
    path: PathBuf,
    reason: String,
}

/// The file behind the keys in use.
pub struct WatchedKeys {
    access: Arc<Access>,
    metrics: Arc<Metrics>,
    file: Option<Place>,
    interval: Duration,
    bounded: BoundedCredentials,
    /// What the keys in use were read from.
    in_use: Vec<u8>,
    /// What was told of last, so that it is told once.
    told: Option<String>,
}

#[derive(Clone)]
struct Place {
    path: PathBuf,
    bytes_max: u64,
    client_ca: Option<PathBuf>,
}

impl Place {
    fn of(config: &Config) -> Option<Place> {
        let path = config.access.keys_file()?.to_owned();
        let client_ca = config.tls.client_ca().map(ToOwned::to_owned);
        Some(Place { path, bytes_max: config.access.keys_file_bytes_max, client_ca })
    }

    fn read(&self) -> Result<Vec<u8>, String> {
        read(&self.path, self.bytes_max)
    }

    /// Puts what was read to use.
    fn reload(&self, access: &Access, contents: &[u8]) -> Result<(), String> {
        let KeysFile { keys, certificates } = KeysFile::parse_for(contents, self.client_ca.as_deref())?;
        let (keys, rules) = (keys.iter().map(ApiKey::from), certificates.iter().map(CertificateRule::from));
        access.reload(keys.collect(), rules.collect()).map_err(|error| error.to_string())
    }
}

/// Reads the keys for the first time; what was read goes to [`WatchedKeys::new`].
pub fn load(config: &Config, access: &Access) -> Result<Vec<u8>, KeysFileError> {
    let Some(place) = Place::of(config) else { return Ok(Vec::new()) };
    let failed = |reason| KeysFileError { path: place.path.clone(), reason };
    let contents = place.read().map_err(failed)?;
    place.reload(access, &contents).map_err(failed)?;
    Ok(contents)
}

impl WatchedKeys {
    pub fn new(config: &Config, access: Arc<Access>, metrics: Arc<Metrics>, in_use: Vec<u8>) -> WatchedKeys {
        let (file, interval) = (Place::of(config), config.access.reload_interval);
        let bounded = BoundedCredentials::of(config);
        WatchedKeys { access, metrics, file, interval, bounded, in_use, told: None }
    }

    /// Looks at the file and at the ends of all keys every interval, whenever it is asked to and when a key ends, for as long
    /// as the process lives. Contents are compared, not times, as those of certificates are.
    pub async fn watch(mut self, mut requests: watch::Receiver<()>) {
        let mut ends = KeyEnds::default();
        loop {
            if ends.look(&self.access.keys(), &self.metrics) {
                self.access.look_again();
            }
            let pause = ends.next().map_or(self.interval, |next| next.min(self.interval));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                Ok(()) = requests.changed() => self.told = None,
            }
            if let Some(place) = self.file.clone() {
                let looked = self.look(&place).await;
                self.tell(&place, looked);
            }
        }
    }

    /// Takes the keys of a file that has changed, and is whole; whether there were any to take.
    async fn look(&mut self, place: &Place) -> Result<bool, String> {
        let path = &place.path;
        let reading = |place: Place| async move {
            let read = tokio::task::spawn_blocking(move || place.read()).await;
            read.unwrap_or_else(|_| Err("the process ends".to_owned()))
        };
        let mut contents = reading(place.clone()).await?;
        while contents != self.in_use {
            tokio::time::sleep(SETTLE).await;
            let settled = reading(place.clone()).await?;
            if settled == contents {
                let (access, taken, place) = (Arc::clone(&self.access), contents.clone(), place.clone());
                // Thousands of keys take their time.
                let taken = tokio::task::spawn_blocking(move || place.reload(&access, &taken)).await;
                taken.unwrap_or_else(|_| Err("the process ends".to_owned()))?;
                let (count, path) = (self.access.keys().len(), path.display());
                tracing::info!(count, "the keys of {path} are in use now: {count} with those of the configuration");
                self.bounded.warn(&self.access);
                self.in_use = contents;
                return Ok(true);
            }
            contents = settled;
        }
        Ok(false)
    }

    fn tell(&mut self, place: &Place, looked: Result<bool, String>) {
        let was_stale = self.metrics.keys_file_stale.set(looked.is_err().into()) == 1;
        let path = place.path.display();
        if looked == Ok(false) && was_stale {
            tracing::info!("access.keys_file: {path} can be used again, and has the keys that are in use");
        }
        let told = looked.err();
        if told != self.told
            && let Some(reason) = &told
        {
            tracing::error!("access.keys_file: {path} cannot be used ({reason}); the keys that were read before stay");
        }
        self.told = told;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Verdict, hash_key};
    use crate::base::clock::Stopwatch;
    use crate::base::named_file::make_pipe;
    use crate::config::Inputs;
    use crate::server::compose;
    use std::path::Path;

    fn entry(name: &str) -> String {
        let digest = hash_key(&format!("key of {name}"));
        format!("[[keys]]\nname = \"{name}\"\nsha256 = \"{digest}\"\nrole = \"client\"\n")
    }

    struct Rig {
        path: PathBuf,
        access: Arc<Access>,
        metrics: Arc<Metrics>,
        reload: watch::Sender<()>,
        _home: tempfile::TempDir,
    }

    impl Rig {
        fn start(text: &str) -> Rig {
            let home = tempfile::tempdir().expect("a directory");
            let path = home.path().join("keys.toml");
            std::fs::write(&path, text).expect("written");
            let config = config(&path);
            let access = Arc::new(compose::access(&config).expect("sound"));
            let read = load(&config, &access).expect("sound");
            let (metrics, reload) = (Arc::new(Metrics::default()), watch::Sender::new(()));
            let watched = WatchedKeys::new(&config, Arc::clone(&access), Arc::clone(&metrics), read);
            tokio::spawn(watched.watch(reload.subscribe()));
            Rig { path, access, metrics, reload, _home: home }
        }

        fn opens(&self, name: &str) -> bool {
            let from = [192, 0, 2, 1].into();
            let verdict = self.access.check_fast(&[&format!("key of {name}")], from, Duration::ZERO);
            matches!(verdict, Some(Verdict::Granted(_)))
        }

        fn is_stale(&self) -> bool {
            self.metrics.keys_file_stale.get() == 1
        }

        async fn until(&self, what: impl Fn(&Rig) -> bool) {
            let begun = Stopwatch::start();
            while !what(self) {
                assert!(begun.age() < Duration::from_secs(60), "it does not come");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }

    fn config(path: &Path) -> Config {
        let mut inputs = Inputs::default();
        let setting = |name: &str, value: String| (format!("LATCHD_ACCESS_{name}"), value);
        inputs.env = vec![
            setting("KEYS_FILE", path.display().to_string()),
            setting("KEYS_FILE_BYTES_MAX", "4MiB".to_owned()),
            setting("RELOAD_INTERVAL", "20ms".to_owned()),
        ];
        Config::load(inputs).expect("a configuration")
    }

    #[tokio::test]
    async fn file_that_is_cut_gone_or_half_written_ends_no_key() {
        let both = entry("a") + &entry("b");
        let rig = Rig::start(&both);
        assert!(rig.opens("a") && rig.opens("b") && !rig.is_stale());
        let half = &both[..both.len() - 20];
        let twice = both.clone() + &entry("a");
        let too_long = "#".repeat(5 << 20);
        let certificates = both.clone() + "[[certificates]]\nname = \"c\"\nsan = [\"DNS:c\"]\nrole = \"client\"\n";
        let reserved = both.clone() + &entry("password-1");
        for broken in ["", half, "keys = 7\n", &twice, &too_long, &certificates, &reserved] {
            std::fs::write(&rig.path, broken).expect("written");
            rig.until(Rig::is_stale).await;
            assert!(rig.opens("a") && rig.opens("b"), "{} bytes", broken.len());
            std::fs::write(&rig.path, &both).expect("written");
            rig.until(|rig| !rig.is_stale()).await;
        }
        std::fs::remove_file(&rig.path).expect("removed");
        rig.until(Rig::is_stale).await;
        assert!(rig.opens("a"));
        std::fs::write(&rig.path, entry("b")).expect("written");
        rig.until(|rig| !rig.opens("a") && !rig.is_stale()).await;
        assert!(rig.opens("b"));
        std::fs::write(&rig.path, "keys = []\n").expect("written");
        rig.until(|rig| !rig.opens("b")).await;
        assert!(!rig.access.is_open());
    }

    #[tokio::test]
    async fn file_that_became_a_pipe_or_a_directory_is_told_at_once_and_ends_no_key() {
        let rig = Rig::start(&entry("a"));
        let kinds: [fn(&Path); 2] = [make_pipe, |path| std::fs::create_dir(path).expect("made")];
        for (make, remove) in
            kinds.into_iter().zip([|path| std::fs::remove_file(path), |path| std::fs::remove_dir(path)])
        {
            std::fs::remove_file(&rig.path).expect("removed");
            make(&rig.path);
            rig.until(Rig::is_stale).await;
            assert!(rig.opens("a"));
            let refused = load(&config(&rig.path), &rig.access).expect_err("at a start").to_string();
            assert!(refused.contains("it is not a regular file"), "{refused}");
            remove(&rig.path).expect("removed");
            std::fs::write(&rig.path, entry("a")).expect("written");
            rig.until(|rig| !rig.is_stale()).await;
        }
    }

    #[tokio::test]
    async fn ten_thousand_keys_start_quickly_and_one_is_removed_by_a_reload() {
        let all: String = (0..10_000).map(|n| entry(&format!("n{n}"))).collect();
        // A busy machine may hold up one start.
        let starts = (0..3).map(|_| {
            let begun = Stopwatch::start();
            (Rig::start(&all), begun.age())
        });
        let (rig, _) = starts.into_iter().find(|(_, took)| *took < Duration::from_secs(10)).expect("a quick start");
        assert!(rig.opens("n0") && rig.opens("n9999"));
        let last = entry("n9999");
        std::fs::write(&rig.path, all.strip_suffix(&last).expect("it is the last")).expect("written");
        rig.reload.send_replace(());
        rig.until(|rig| !rig.opens("n9999")).await;
        assert!(rig.opens("n0"));
    }

    #[test]
    fn start_with_certificates_and_no_authority_or_with_a_reserved_name_is_refused() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("keys.toml");
        let config = config(&path);
        let access = compose::access(&config).expect("sound");
        let refused = |text: &str| {
            std::fs::write(&path, text).expect("written");
            load(&config, &access).expect_err("refused").to_string()
        };
        let rule = |name: &str| {
            format!("keys = []\n[[certificates]]\nname = \"{name}\"\nsan = [\"DNS:c\"]\nrole = \"client\"\n")
        };
        assert!(refused(&rule("ci")).contains("[[certificates]] needs tls.client_ca"), "{}", refused(&rule("ci")));
        assert!(refused(&entry("oidc:repo")).contains("may be named `oidc:repo`"));
        let broken = refused(&entry("ci\\n2026 ERROR"));
        assert!(broken.contains("the name \"ci\\n2026 ERROR\" of an API key"), "{broken}");
    }

    #[test]
    fn start_without_the_file_is_refused_with_the_way_out() {
        let config = config(Path::new("/nowhere/keys.toml"));
        let access = compose::access(&config).expect("sound");
        let refused = load(&config, &access).expect_err("refused").to_string();
        assert!(refused.contains("/nowhere/keys.toml") && refused.contains("`latchd keys new NAME"), "{refused}");
    }
}
