//! Where services answer: `AWS_ENDPOINT_URL_EC2` and the like, then
//! `AWS_ENDPOINT_URL`, then AWS's own names.

use anyhow::{Context, Result, ensure};
use reqwest::Url;

use crate::error::ErrorKind;

/// A service of AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    Ebs,
    Ec2,
}

impl Service {
    /// The name in host names, policies and signatures.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ebs => "ebs",
            Self::Ec2 => "ec2",
        }
    }
}

/// The address of a service in a region, without a slash at the end.
pub(super) fn of(service: Service, region: &str) -> Result<String> {
    let Some((variable, url)) = asked_for(service.name()) else {
        return Ok(format!("https://{}.{region}.{}", service.name(), domain(region)));
    };
    let parsed = || {
        let parsed = Url::parse(&url)?;
        ensure!(matches!(parsed.scheme(), "http" | "https"), "it begins with neither http nor https");
        ensure!(parsed.host_str().is_some(), "it names no host");
        Ok(())
    };
    parsed().with_context(|| format!("{variable}={url}")).context(ErrorKind::Usage)?;
    Ok(url.trim_end_matches('/').to_owned())
}

/// The address of a request to the token service, of which the library knows AWS's own only.
pub(super) fn of_token_service(url: &str) -> String {
    let rest = url.strip_prefix("https://sts.").and_then(|rest| rest.split_once('/'));
    match (rest, asked_for("sts")) {
        (Some((_, path)), Some((_, own))) => format!("{}/{path}", own.trim_end_matches('/')),
        _ => url.to_owned(),
    }
}

fn asked_for(service: &str) -> Option<(String, String)> {
    let names = [format!("AWS_ENDPOINT_URL_{}", service.to_uppercase()), "AWS_ENDPOINT_URL".to_owned()];
    let find = |name: String| {
        let value = std::env::var(&name).ok().filter(|value| !value.is_empty())?;
        Some((name, value))
    };
    names.into_iter().find_map(find)
}

/// The part of AWS that a region is in, as resource names call it.
pub(super) fn partition(region: &str) -> &'static str {
    match region.split('-').collect::<Vec<_>>()[..] {
        ["cn", ..] => "aws-cn",
        ["us", "gov", ..] => "aws-us-gov",
        _ => "aws",
    }
}

fn domain(region: &str) -> &'static str {
    if partition(region) == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_have_their_names() {
        for (region, partition) in
            [("eu-central-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]
        {
            assert_eq!(super::partition(region), partition);
        }
        assert_eq!(domain("cn-north-1"), "amazonaws.com.cn");
    }
}
