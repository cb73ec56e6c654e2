//! The version of the results folder's format.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Version of the results folder: a reader accepts any minor of its own major.
///
/// Major: a reader of the old format would misread the new one. Minor: columns, files or keys were
/// added that an old reader can ignore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FormatVersion {
    /// Breaking changes.
    pub major: u16,
    /// Additions.
    pub minor: u16,
}

impl FormatVersion {
    /// What this build writes.
    ///
    /// Changes: 1.0, first format. 1.1, what the client knows of itself: `shared` chunks, `chunk_gap` of
    /// the summary, prewarmed connections, the records of stamps, clock, wake-ups and self-tests. 1.2, the
    /// circumstances: `gpu.parquet`, `server.parquet`, `server.log`, settings in effect, GPUs. 1.3, points that
    /// other tools measured: `imported`, `claims`; four codes of the audit; probes of
    /// searches.
    pub const CURRENT: Self = Self { major: 1, minor: 3 };

    /// Whether this build can read a folder of this version.
    ///
    /// # Errors
    /// When the folder's major version is newer or older than this build's.
    pub const fn check_readable(self) -> Result<(), UnreadableVersion> {
        if self.major == Self::CURRENT.major { Ok(()) } else { Err(UnreadableVersion(self)) }
    }
}

/// A folder that this build cannot read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "its format is {found}, this build reads {reads}.x: use a plimsoll whose format version is {needs}.x",
    found = .0, reads = FormatVersion::CURRENT.major, needs = .0.major
)]
pub struct UnreadableVersion(pub FormatVersion);

impl fmt::Display for FormatVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A text that is no format version.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is not a format version; it is written like 1.0")]
pub struct ParseVersionError(String);

impl FromStr for FormatVersion {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, ParseVersionError> {
        let wrong = || ParseVersionError(text.to_owned());
        let (major, minor) = text.split_once('.').ok_or_else(wrong)?;
        Ok(Self {
            major: major.parse().map_err(|_| wrong())?,
            minor: minor.parse().map_err(|_| wrong())?,
        })
    }
}

impl Serialize for FormatVersion {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FormatVersion {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_major_is_readable() {
        assert!(FormatVersion { major: 1, minor: 99 }.check_readable().is_ok());
        let newer = FormatVersion { major: 2, minor: 3 }.check_readable().unwrap_err().to_string();
        assert!(newer.contains("format is 2.3") && newer.contains("reads 1.x"), "{newer}");
    }

    #[test]
    fn text_form_round_trips() {
        assert_eq!("1.0".parse(), Ok(FormatVersion { major: 1, minor: 0 }));
        assert_eq!(serde_json::to_string(&FormatVersion::CURRENT).unwrap(), "\"1.3\"");
        for bad in ["", "1", "1.x", "-1.0"] {
            assert!(bad.parse::<FormatVersion>().is_err(), "{bad}");
        }
    }
}
