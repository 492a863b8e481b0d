//! The public port of a database: lets in whom the trusted sources name, by their addresses, and leads to the server that
//! has its name now. It stays where it is when that server is another one. Sessions that are open stay open.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::ports::address;

/// A port that is listened on.
#[derive(Debug)]
pub(super) struct Door {
    address: SocketAddr,
    way: Arc<Mutex<Way>>,
    _serving: JoinSet<()>,
}

/// Where it leads, and for whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Way {
    /// The server; none where there is nothing.
    pub(super) to: Option<SocketAddr>,
    /// None for everybody.
    pub(super) trusted: Option<Vec<IpAddr>>,
}

impl Door {
    /// Listens at a free port of an address; leads nowhere yet.
    pub(super) fn open(host: IpAddr) -> Result<Self> {
        let address = address(host)?;
        let listener = std::net::TcpListener::bind(address)
            .with_context(|| format!("cannot listen at {address}"))?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let way = Arc::new(Mutex::new(Way::default()));
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, Arc::clone(&way)));
        Ok(Self {
            address,
            way,
            _serving: serving,
        })
    }

    /// Where it is.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Leads elsewhere from now on.
    pub(super) fn lead(&self, way: Way) {
        *self.way.lock().unwrap_or_else(PoisonError::into_inner) = way;
    }
}

impl Way {
    /// The server, for a visitor who may see it.
    fn of(&self, visitor: IpAddr) -> Option<SocketAddr> {
        let known = self.trusted.as_ref();
        let trusted = known.is_none_or(|known| known.contains(&visitor));
        self.to.filter(|_| trusted)
    }
}

async fn serve(listener: TcpListener, way: Arc<Mutex<Way>>) {
    // Its visitors go with it.
    let mut visits = JoinSet::new();
    while let Ok((mut visitor, from)) = listener.accept().await {
        let to = way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .of(from.ip());
        // Nobody there, or not for them: the connection closes without a word.
        let Some(to) = to else { continue };
        visits.spawn(async move {
            if let Ok(mut server) = TcpStream::connect(to).await {
                drop(copy_bidirectional(&mut visitor, &mut server).await);
            }
        });
        while visits.try_join_next().is_some() {}
    }
}
