//! Names outside, and what is pinned of them in a status.

use ipnet::Ipv4Net;
use vic_crds::Resolved;

use crate::failure::ValidateError;
use crate::kind::ObjectKey;

/// An address or a network, as a network.
#[must_use]
pub(crate) fn network(text: &str) -> Option<Ipv4Net> {
    text.parse::<Ipv4Net>()
        .ok()
        .or_else(|| text.parse::<std::net::Ipv4Addr>().ok().map(Ipv4Net::from))
}

/// What a firewall does, as `topology` says it.
#[must_use]
pub(crate) fn firewall_action(action: vic_crds::FirewallAction) -> topology::FirewallAction {
    match action {
        vic_crds::FirewallAction::Allow => topology::FirewallAction::Allow,
        vic_crds::FirewallAction::Drop => topology::FirewallAction::Drop,
        vic_crds::FirewallAction::Reject => topology::FirewallAction::Reject,
    }
}

/// The name in vSphere or NSX: the given one, or `<namespace>-<name>`; too long is refused, never cut.
///
/// # Errors
/// Where the default is too long.
pub(crate) fn display_name(
    given: Option<&str>,
    key: &ObjectKey,
    limit: usize,
) -> Result<String, ValidateError> {
    let name = given.map_or_else(|| format!("{}-{}", key.namespace, key.name), str::to_owned);
    if name.chars().count() > limit {
        let rule =
            format!("the default <namespace>-<name> is longer than {limit} characters; set spec.displayName");
        return Err(ValidateError::Invalid {
            field: "spec.displayName".to_owned(),
            rule,
        });
    }
    Ok(name)
}

/// Carries pins over: what was resolved once stays.
pub(crate) fn pin(resolved: &mut Option<Resolved>, name: &str, value: &str) {
    resolved
        .get_or_insert_default()
        .insert(name.to_owned(), value.to_owned());
}

/// A pin, if there is one.
#[must_use]
pub(crate) fn pinned<'a>(resolved: Option<&'a Resolved>, name: &str) -> Option<&'a str> {
    resolved?.get(name).map(String::as_str)
}
