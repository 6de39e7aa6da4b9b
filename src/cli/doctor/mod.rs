//! `latchd doctor`: checks what a server would be started with, its machine, and the nodes of a running service. It changes
//! nothing. Each check says what it found and what to do; one that cannot be made says why.

mod answers;
mod certificates;
mod clocks;
mod collector;
mod exposition;
mod finding;
mod issuers;
mod keys;
mod log_files;
mod machine;
mod nodes;
mod serving;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use futures_util::future::join_all;

use super::connect::{Connect, block_on};
use super::output::Output;
use super::{Failure, exit, output, serve};
use crate::config::env::CONFIG;
use crate::config::{Config, Inputs};
use crate::server::inspection;
use finding::{Finding, Findings, Level};

/// Of each answer.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct Doctor {
    /// Configuration file of the server (also LATCHD_CONFIG)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Fails on warnings too, and on checks that cannot be made
    #[arg(long)]
    strict: bool,
    /// How the findings are printed
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    connect: Connect,
}

const HELP: &str = "\
Reads the configuration that `latchd serve` would read without flags, and looks at its certificates and keys, the data
directory, the disk, the files of the audit log and of the log, the limits of open files and memory, and the clock.
Then it asks the running service, at --url or where that configuration listens: whether each node is ready, quorum and
lag of the members, versions, clocks, certificates, full disks. With --url and without a configuration file it only
asks. It changes nothing, and shows no secret. Run it as the user of the service, who may read its files.

Each finding is `ok`, `warn` (it works, and will not for ever), `error`, or `unknown`: the check cannot be made. The exit
code is 1 if there is an error, with --strict also for `warn` and `unknown`, else 0.

With --output json: {\"result\": the worst level, \"findings\": [{\"level\", \"check\", \"finding\", \"advice\"}]}; `advice` is null
where all is well. Fields are added at times, none is taken away.

Examples:
  latchd doctor
  latchd doctor --config /etc/latchd/config.toml --strict
  latchd doctor --url https://10.0.0.1:8443,https://10.0.0.2:8443 --ca ca.pem --api-key-file key
  latchd doctor --output json | jq -r '.findings[] | select(.level == \"error\") | .advice'";

impl Doctor {
    pub fn run(self) -> Result<u8, Failure> {
        let (mut findings, config) = if self.only_asks() { (Vec::new(), None) } else { self.configuration() };
        let now = inspection::unix_time().as_secs();
        if let Some(config) = &config {
            let user = rustix::process::geteuid().as_raw();
            findings.extend(certificates::check(config, now, user));
            findings.extend(keys::check(config, now));
            findings.extend(issuers::check(config));
            findings.extend(collector::check(config, now));
            findings.extend(machine::check(config, user));
            findings.extend(log_files::check(config));
        }
        findings.extend(block_on(self.service(config.as_ref(), now))?);
        let findings = Findings::new(findings);
        let text = match self.output {
            Output::Table => findings.to_string(),
            Output::Json => {
                output::escaped(serde_json::to_string_pretty(&findings).map_err(Failure::from_error)?) + "\n"
            }
        };
        output::write(&text)?;
        let bad = if self.strict { Level::Unknown } else { Level::Error };
        Ok(if findings.result >= bad { exit::FAILURE } else { exit::SUCCESS })
    }

    /// Whoever names a service, and no configuration, may be on another machine than its server.
    fn only_asks(&self) -> bool {
        let named = self.config.is_some() || std::env::var_os(CONFIG).is_some_and(|path| !path.is_empty());
        self.connect.names_url() && !named
    }

    /// A configuration whose parts do not go together is still looked at.
    fn configuration(&self) -> (Vec<Finding>, Option<Config>) {
        let inputs = || Inputs { file: self.config.clone(), env: serve::environment(), ..Inputs::default() };
        let refused = |error: crate::config::ConfigError| {
            let advice =
                "correct it; config.toml of the source shows every key. Flags of `latchd serve` are not seen here";
            Finding::error("configuration", error.to_string(), advice)
        };
        let config = match Config::load(inputs()) {
            Ok(config) => config,
            Err(error) => return (vec![refused(error)], Config::read(inputs()).ok()),
        };
        let mut findings: Vec<Finding> =
            config.warnings().into_iter().map(|warning| Finding::of("configuration", warning)).collect();
        if findings.is_empty() {
            findings.push(Finding::ok("configuration", "it can be used, and opens the service to nobody by mistake"));
        }
        (findings, Some(config))
    }

    fn may_show_certificate(&self) -> bool {
        self.connect.names_url() || self.connect.has_client_certificate().unwrap_or(true)
    }

    /// Whatever answers, or why it was not asked.
    async fn service(&self, config: Option<&Config>, now: u64) -> Result<Vec<Finding>, Failure> {
        let own = config.map(|config| (serving::url(config), certificates::trusted_file(config)));
        let demands = config.is_some_and(|config| config.tls.client_ca().is_some());
        let own = match own {
            Some((Ok(url), _)) if demands && url.starts_with("https:") && !self.may_show_certificate() => {
                let what = format!("{url} asks for a client certificate (tls.client_ca)");
                return Ok(vec![Finding::unknown("service", what, "give --client-cert and --client-key")]);
            }
            // Where the service listens stands in a configuration that cannot be read.
            None if !self.only_asks() && !self.connect.names_url() => {
                let what = "it was not asked: the configuration does not say where it listens";
                return Ok(vec![Finding::unknown("service", what, "correct the configuration, or give --url")]);
            }
            Some((Err(why), _)) if !self.connect.names_url() => {
                return Ok(vec![Finding::unknown("service", why, "give --url")]);
            }
            Some((Ok(url), file)) => Some((url, file)),
            _ => None,
        };
        let clients = match self.connect.each(own.as_ref().map(|(url, file)| (url.as_str(), file.clone())), TIMEOUT) {
            Ok(clients) => clients,
            Err(failure) => {
                let advice = "correct the settings of the connection (--url, --ca, --api-key-file, or their variables)";
                return Ok(vec![Finding::error("service", failure.message, advice)]);
            }
        };
        let reports = join_all(clients.into_iter().map(|(url, client)| nodes::ask(url, client, TIMEOUT))).await;
        let mut findings = nodes::judge(&reports, now);
        if let Some(config) = config {
            findings.extend(serving::check(config, TIMEOUT).await);
        }
        Ok(findings)
    }
}
