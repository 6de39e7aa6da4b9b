//! Names to addresses, by the system's resolver on a thread for each question. Where the system gives no thread that is
//! an error as any other; the resolver of the HTTP library would end the process.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::oneshot;

pub(super) struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move { Ok(Box::new(lookup(name.as_str().to_owned()).await?.into_iter()) as Addrs) })
    }
}

async fn lookup(name: String) -> io::Result<Vec<SocketAddr>> {
    let (tell, told) = oneshot::channel();
    let ask = move || {
        let found = (name.as_str(), 0).to_socket_addrs().map(Iterator::collect);
        // Whoever asked may have given up.
        let _ = tell.send(found);
    };
    let unstarted = |error| io::Error::other(format!("no thread can be started to look its name up: {error}"));
    std::thread::Builder::new().name("resolver".to_owned()).spawn(ask).map_err(unstarted)?;
    told.await.unwrap_or_else(|_| Err(io::Error::other("the lookup of its name broke off")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_is_looked_up_and_an_unknown_one_is_an_error() {
        let found = lookup("localhost".to_owned()).await.expect("an address");
        assert!(!found.is_empty() && found.iter().all(|address| address.ip().is_loopback()), "{found:?}");
        lookup("no-such-host.invalid".to_owned()).await.expect_err("no address");
    }
}
