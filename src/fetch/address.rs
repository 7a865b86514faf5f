//! Which addresses are connected to. A config may point at private and loopback addresses on purpose; the metadata
//! services of clouds give out credentials to whoever asks from inside, so no name and no redirect leads there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Metadata services outside of the link-local ranges.
const METADATA: [IpAddr; 10] = [
    // Alibaba, Azure, Oracle's first cloud
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    // AWS, and what its pods are identified by
    IpAddr::V6(Ipv6Addr::new(0xFD00, 0xEC2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xFD00, 0xEC2, 0, 0, 0, 0, 0, 0x23)),
    // Google, Oracle, Scaleway, Akamai, Alibaba
    IpAddr::V6(Ipv6Addr::new(0xFD20, 0xCE, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xFD00, 0xC1, 0, 0, 0, 0, 0xA9FE, 0xA9FE)),
    IpAddr::V6(Ipv6Addr::new(0xFD00, 0x42, 0, 0, 0, 0, 0, 0x42)),
    IpAddr::V6(Ipv6Addr::new(0xFD00, 0xA9FE, 0xA9FE, 0, 0, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0xFD00, 0x100, 0, 0, 0, 0, 0x100, 0x200)),
];

/// An address that is not connected to.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockedAddress {
    /// Whoever leads there.
    #[error("{0} is an address that is never connected to")]
    Always(IpAddr),
    /// When a public server leads there.
    #[error("{0} is not a public address, and a public server redirected there")]
    FromPublic(IpAddr),
}

impl BlockedAddress {
    /// `address`, if it is not connected to; `public_only` is whether a public server leads there.
    pub fn of(address: IpAddr, public_only: bool) -> Option<Self> {
        if is_blocked(address) {
            return Some(Self::Always(address));
        }
        (public_only && !is_public(address)).then_some(Self::FromPublic(address))
    }
}

/// Whether `address` is link-local or a cloud's metadata service, also where IPv6 wraps an IPv4 address.
fn is_blocked(address: IpAddr) -> bool {
    let link_local = |address: &IpAddr| match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    forms(address).any(|form| link_local(&form) || METADATA.contains(&form))
}

/// Whether `address` belongs to the public internet (IANA's special-purpose registries, RFC 6890).
pub fn is_public(address: IpAddr) -> bool {
    forms(address).all(|form| match form {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            let shared = first == 100 && (64..128).contains(&second);
            let benchmark = first == 198 && (18..20).contains(&second);
            let assignments = address.octets()[..3] == [192, 0, 0];
            !(address.is_private() || address.is_loopback() || address.is_link_local() || address.is_documentation())
                && !(shared || benchmark || assignments || first == 0 || first >= 224)
        }
        IpAddr::V6(address) => {
            let documentation = address.segments()[..2] == [0x2001, 0xDB8];
            let here = address.is_loopback() || address.is_unicast_link_local() || address.is_unique_local();
            let translated = address.segments()[..3] == [0x64, 0xFF9B, 1];
            !(here || documentation || translated || address.is_unspecified() || address.is_multicast())
        }
    })
}

/// The address, and the IPv4 addresses that may be inside of it: mapped and compatible (RFC 4291), translated (SIIT, RFC
/// 2765), 6to4 (RFC 3056), a Teredo client's, which is inverted (RFC 4380), and NAT64 (RFC 6052).
fn forms(address: IpAddr) -> impl Iterator<Item = IpAddr> {
    let join = |high: u16, low: u16| u32::from(high) << 16 | u32::from(low);
    let inner = match address {
        IpAddr::V4(_) => Vec::new(),
        IpAddr::V6(address) => match address.segments() {
            [0, 0, 0, 0, 0, 0 | 0xFFFF, high, low] | [0x64, 0xFF9B, 0, 0, 0, 0, high, low] if (high, low) > (0, 1) => {
                vec![join(high, low)]
            }
            [0, 0, 0, 0, 0xFFFF, 0, high, low] | [0x2002, high, low, ..] => vec![join(high, low)],
            [0x2001, 0, .., high, low] => vec![!join(high, low)],
            [0x64, 0xFF9B, 1, ..] => translated_locally(address.octets()).to_vec(),
            _ => Vec::new(),
        },
    };
    std::iter::once(address).chain(inner.into_iter().map(|inner| Ipv4Addr::from_bits(inner).into()))
}

/// What an address of `64:ff9b:1::/48` (RFC 8215) may stand for: a network takes a part of that prefix, and behind it the
/// IPv4 address begins, its octets around the one that is kept zero (RFC 6052, section 2.2).
fn translated_locally(octets: [u8; 16]) -> [u32; 4] {
    let four = |at: [usize; 4]| u32::from_be_bytes(at.map(|at| octets[at]));
    [four([6, 7, 9, 10]), four([7, 9, 10, 11]), four([9, 10, 11, 12]), four([12, 13, 14, 15])]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn metadata_and_link_local_addresses_are_blocked_in_every_form() {
        for blocked in [
            "169.254.169.254",
            "169.254.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "fe80::1",
            "febf::1",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "fd00:c1::a9fe:a9fe",
            "fd00:42::42",
            "fd00:a9fe:a9fe::1",
            "fd00:100::100:200",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "::ffff:0:169.254.169.254",
            "64:ff9b:1::a9fe:a9fe",
            "64:ff9b:1:a9fe:a9:fe00::",
            "64:ff9b:1:a9:fe:a9fe::",
            "64:ff9b:1:0:a9:fea9:fe00:0",
            "2001:0:4136:e378:8000:63bf:5601:5601",
            "2001::5601:5601",
        ] {
            assert!(is_blocked(address(blocked)), "{blocked}");
            assert!(
                !is_public(address(blocked)) || ["100.100.100.200", "168.63.129.16"].contains(&blocked),
                "{blocked}"
            );
        }
        for fine in [
            "127.0.0.1",
            "10.0.0.1",
            "8.8.8.8",
            "100.100.100.201",
            "::1",
            "fd00::1",
            "2606:4700::1",
            "2001:0:4136:e378:8000:63bf:a9fe:a9fe",
            "2001:db8::5601:5601",
            "2002:808:808::1",
        ] {
            assert!(!is_blocked(address(fine)), "{fine}");
        }
    }

    #[test]
    fn private_loopback_and_reserved_addresses_are_not_public() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.0.1",
            "100.64.0.1",
            "0.0.0.0",
            "::1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "240.0.0.1",
            "192.0.0.1",
        ] {
            assert!(!is_public(address(private)), "{private}");
        }
        for public in ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8"] {
            assert!(is_public(address(public)), "{public}");
        }
    }
}
