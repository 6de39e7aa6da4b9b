//! `latchd health`: asks whether the service is ready, for containers and probes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::connect::{Connect, block_on, explain};
use super::{Failure, output_queue, serve};
use crate::client::clock::Moment;
use crate::client::{Client, ClientError, Trust, printable};
use crate::config::{Config, Inputs, ListenUrl, Scheme};

const RETRY_DELAY: Duration = Duration::from_millis(200);
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Health {
    /// Ask the server of this machine where its configuration (--config, LATCHD_CONFIG, the LATCHD_* variables) says that
    /// it listens: server.probe_listen, else listen
    #[arg(long, conflicts_with_all = ["url", "ca", "api_key", "password"])]
    local: bool,
    /// The configuration file of that server; implies --local
    #[arg(long, value_name = "FILE", conflicts_with_all = ["url", "ca", "api_key", "password"])]
    config: Option<PathBuf>,
    #[command(flatten)]
    connect: Connect,
    /// Asks again until it is ready, for so long
    #[arg(long, value_name = "DURATION", value_parser = super::lock::duration)]
    wait: Option<Duration>,
}

const EXAMPLES: &str = "Asks for /readyz, which is `ready` while the node takes part in the service and can do what it is asked. Of several
URLs one has to be ready: the first that is, in their order, is named. To know of each node, ask each by itself.

Examples:
  latchd health
  latchd health --local                           in a container, beside its server
  latchd health --wait 60s
  latchd health --url https://locks.example.org:8443 --ca /etc/ssl/ours.pem
  LATCHD_URL=http://127.0.0.1:8080 latchd health";

impl Health {
    pub fn run(self) -> Result<(), Failure> {
        // Probes know good and bad; other exit codes have other meanings to some of them.
        let bad = |failure: Failure| Failure::from(failure.message);
        let (client, hint) = if self.local || self.config.is_some() {
            self.of_this_machine().map_err(bad)?
        } else {
            (self.connect.client(TIMEOUT).map_err(bad)?, "")
        };
        let url = block_on(until_ready(&client, self.wait.unwrap_or_default(), hint))?;
        output_queue::report(format!("{url} is ready\n"));
        Ok(())
    }

    /// A client without a credential, which may accept any certificate.
    fn of_this_machine(&self) -> Result<(Client, &'static str), Failure> {
        let inputs = Inputs { file: self.config.clone(), env: serve::environment(), ..Inputs::default() };
        let config = Config::read(inputs).map_err(Failure::from_error)?;
        let url = url_of(&config)?;
        let builder = self.connect.probe(&url)?.trust(Trust::Any).timeout(TIMEOUT);
        let hint = match config.tls.client_ca() {
            Some(_) if url.starts_with("https:") => {
                "; where tls.client_ca asks for a certificate, set server.probe_listen, which asks for none"
            }
            _ => "",
        };
        Ok((builder.build().map_err(Failure::from_error)?, hint))
    }
}

/// The URL of the first node that is ready.
async fn until_ready(client: &Client, wait: Duration, hint: &str) -> Result<String, Failure> {
    let end = Moment::now().after(wait);
    let mut last = match client.ready().await {
        Ok(url) => return Ok(url),
        Err(error) => error,
    };
    let again = async {
        loop {
            tokio::time::sleep(RETRY_DELAY).await;
            match client.ready().await {
                Ok(url) => return url,
                Err(error) => last = error,
            }
        }
    };
    let in_time = tokio::time::timeout(end.left(), again).await;
    in_time.map_err(|_| Failure::from(format!("{}{hint}", not_ready(client, last))))
}

/// The node's own message if it says that it is not ready.
fn not_ready(client: &Client, error: ClientError) -> String {
    if client.urls() > 1 {
        return format!("no node is ready: {}", client.last_errors().replace(": not ready: ", ": "));
    }
    let message = match &error {
        ClientError::Refused { url, body, .. } => body.trim().strip_prefix("not ready: ").map(|why| (url, why)),
        _ => None,
    };
    match message {
        Some((url, why)) => format!("{} is not ready: {}", url.trim_end_matches("/readyz"), printable(why)),
        None => format!("not ready: {}", explain(error).message),
    }
}

/// A URL of the configured server that its own machine can reach.
fn url_of(config: &Config) -> Result<String, Failure> {
    let mut direct = direct(config);
    let plain = direct.clone().find(|url| url.scheme == Scheme::Http);
    let listens = config.server.probe_listen.as_ref().or(plain).or_else(|| direct.next());
    let listens =
        listens.ok_or_else(|| "no URL in listen can be asked without a proxy: set server.probe_listen".to_owned())?;
    reached_here(listens)
}

/// The listeners that can be asked without a proxy.
pub(super) fn direct(config: &Config) -> impl Iterator<Item = &ListenUrl> + Clone {
    config.listen.iter().filter(|url| !url.proxy_protocol && !url.scheme.is_redis())
}

/// Where this machine reaches a listener.
pub(super) fn reached_here(listens: &ListenUrl) -> Result<String, Failure> {
    if listens.port == 0 {
        return Err(format!("{listens} names no port: set one, or server.probe_listen, or give --url").into());
    }
    let host = match listens.host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
        Ok(IpAddr::V6(ip)) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.to_string(),
        _ => listens.host.clone(),
    };
    Ok(ListenUrl { host, ..listens.clone() }.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(settings: &[(&str, &str)]) -> Result<String, Failure> {
        let variable = |(key, value): &(&str, &str)| (crate::config::env::variable(key), (*value).to_owned());
        let env = settings.iter().map(variable).collect();
        url_of(&Config::read(Inputs { env, ..Inputs::default() }).expect("a configuration"))
    }

    #[test]
    fn health_asks_the_configured_address() {
        let asked = |settings: &[(&str, &str)]| url(settings).expect("a URL");
        assert_eq!(asked(&[]), "https://127.0.0.1:8443");
        assert_eq!(asked(&[("listen", "https://0.0.0.0:9000")]), "https://127.0.0.1:9000");
        assert_eq!(asked(&[("listen", "https://[::]:9000")]), "https://[::1]:9000");
        assert_eq!(asked(&[("listen", "https://10.0.0.7:9000,http://10.0.0.7:80")]), "http://10.0.0.7:80");
        let both = [("listen", "https://0.0.0.0:9000"), ("server.probe_listen", "http://0.0.0.0:8081")];
        assert_eq!(asked(&both), "http://127.0.0.1:8081");
        let proxied = "https://10.0.0.7:9000?proxy_protocol";
        let mixed = format!("redis://10.0.0.7:1,{proxied},https://10.0.0.7:9001");
        assert_eq!(asked(&[("listen", &mixed)]), "https://10.0.0.7:9001");
        assert!(url(&[("listen", proxied)]).unwrap_err().message.contains("set server.probe_listen"));
        assert!(url(&[("listen", "https://127.0.0.1:0")]).unwrap_err().message.contains("names no port"));
    }
}
