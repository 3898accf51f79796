//! Which addresses a notice may go to: what is looked at is the address that is connected to, not the name.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// What an address is to a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// On the open internet.
    Public,
    /// This machine, or a private network: only with `allow_private`.
    Private,
    /// Never a receiver: link-local (where clouds serve their credentials), unspecified, multicast, reserved.
    Never,
}

/// The standing of an address. One that carries another inside (mapped, translated, 6to4) has that one's.
#[must_use]
pub fn standing(address: IpAddr) -> Standing {
    match address {
        IpAddr::V4(address) => of_four(address),
        IpAddr::V6(address) => of_six(address),
    }
}

fn of_four(address: Ipv4Addr) -> Standing {
    let [first, second, ..] = address.octets();
    if address.is_loopback() || address.is_private() || (first == 100 && second & 0xc0 == 64) {
        return Standing::Private;
    }
    let is_none =
        first == 0 || first >= 224 || address.is_link_local() || (first == 192 && address.octets()[1..3] == [0, 0]);
    if is_none { Standing::Never } else { Standing::Public }
}

fn of_six(address: Ipv6Addr) -> Standing {
    if address.is_loopback() {
        return Standing::Private;
    }
    let parts = address.segments();
    let inner = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match parts {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            of_four(inner(high, low))
        }
        [first, ..] if first & 0xfe00 == 0xfc00 => Standing::Private,
        [first, ..] if first & 0xe000 == 0x2000 => Standing::Public,
        _ => Standing::Never,
    }
}

/// The receiver's address is one that no notice goes to; found again in the chain of an error.
#[derive(Debug)]
pub(super) struct Forbidden(pub(super) IpAddr);

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match standing(self.0) {
            Standing::Never => write!(f, "{} is an address that no notice goes to", self.0),
            _ => write!(f, "{} is a private address; `allow_private = true` permits it", self.0),
        }
    }
}

impl std::error::Error for Forbidden {}

/// Whether an address may be connected to.
pub(super) fn check(address: IpAddr, allows_private: bool) -> Result<(), Forbidden> {
    match standing(address) {
        Standing::Public => Ok(()),
        Standing::Private if allows_private => Ok(()),
        Standing::Private | Standing::Never => Err(Forbidden(address)),
    }
}

/// The address that a URL names without a name; such a one is never resolved, so it has to be looked at by itself.
pub(super) fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

/// The system's resolver, less the addresses that no notice goes to: a name cannot lead where it must not.
pub(super) struct Resolver {
    pub(super) allows_private: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allows_private = self.allows_private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let mut forbidden = None;
            let permitted: Vec<SocketAddr> = found
                .filter(|address| {
                    check(address.ip(), allows_private)
                        .map_err(|error| forbidden = Some(error))
                        .is_ok()
                })
                .collect();
            match forbidden {
                Some(error) if permitted.is_empty() => Err(error.into()),
                _ => {
                    let permitted: Addrs = Box::new(permitted.into_iter());
                    Ok(permitted)
                }
            }
        })
    }
}
