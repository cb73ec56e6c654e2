//! `server-restarted`: the server was another process at the end of the window than at its start.
//!
//! **What.** The server was another process at the end of the window than at its start. **Error.**
//! **Why.** Half of the point was measured on a server that died and half on a cold one, and differences of
//! counters that began again are nothing.
//! **Evidence.** A counter that fell, or another start time on the metrics page.
//! **Remedy.** Read the server's log for why it died; measure again.

use plimsoll_records::{Finding, FindingCode, Severity};

use super::{Evidence, finding};

/// Believes the counters: one that fell, or another start time, is another process.
pub(super) fn check(evidence: &Evidence<'_>) -> Option<Finding> {
    if !evidence.point.server.restarted {
        return None;
    }
    Some(finding(
        FindingCode::ServerRestarted,
        Severity::Error,
        "the server was started anew during the point: its counters began again".to_owned(),
        &[("server_start", f64::from(evidence.point.server_start.number))],
        "read the server's log for why it died, and measure the point again; two servers, one of \
         them cold, are no point",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;

    #[test]
    fn a_restart_voids_the_point() {
        let mut fixture = Fixture::clean();
        assert_eq!(fixture.find(FindingCode::ServerRestarted), None);
        fixture.point.server.restarted = true;
        let found = fixture.find(FindingCode::ServerRestarted).unwrap();
        assert_eq!(found.severity, Severity::Error);
    }
}
