//! Which children of an index are wanted.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// `os/architecture` or `os/architecture/variant` (image-spec, image-index.md, "platform").
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(in crate::cli) struct Platform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: Option<String>,
}

impl Platform {
    /// Whether a child of this platform is what `self` asks for. Without a variant, every variant is.
    pub(super) fn takes(&self, child: &Self) -> bool {
        let variant = |platform: &Self| match platform.variant.as_deref() {
            // The only variant of arm64 is hardly ever written.
            None | Some("") if platform.architecture == "arm64" => Some("v8".to_owned()),
            None | Some("") => None,
            Some(variant) => Some(variant.to_owned()),
        };
        self.os == child.os
            && self.architecture == child.architecture
            && (variant(self).is_none() || variant(self) == variant(child))
    }
}

impl FromStr for Platform {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split('/').map(str::to_owned);
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(os), Some(architecture), variant, None)
                if !os.is_empty() && !architecture.is_empty() && variant.as_deref() != Some("") =>
            {
                Ok(Self { os, architecture, variant })
            }
            _ => Err("a platform is written os/architecture or os/architecture/variant, as in linux/amd64".to_owned()),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match self.variant.as_deref() {
            None | Some("") => Ok(()),
            Some(variant) => write!(f, "/{variant}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        for (wanted, child, takes) in [
            ("linux/amd64", "linux/amd64", true),
            ("linux/amd64", "linux/arm64", false),
            ("linux/amd64", "windows/amd64", false),
            ("linux/arm", "linux/arm/v7", true),
            ("linux/arm/v6", "linux/arm/v7", false),
            ("linux/arm64/v8", "linux/arm64", true),
            ("linux/arm64", "linux/arm64/v8", true),
        ] {
            let [wanted, child]: [Platform; 2] = [wanted, child].map(|text| text.parse().unwrap());
            assert_eq!(wanted.takes(&child), takes, "{wanted} {child}");
        }
        for bad in ["", "linux", "linux/", "/amd64", "linux/arm/", "a/b/c/d"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }
}
