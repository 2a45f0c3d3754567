//! A profile that assumes a role: `role_arn` with `source_profile`,
//! `credential_source` or `web_identity_token_file`, in the files of the AWS
//! tools. Left out: codes of a second factor, for which somebody must be asked.

use std::{collections::BTreeMap, path::PathBuf};

use ini::Ini;
use reqsign_aws_v4::{
    AssumeRoleCredentialProvider as AssumeRole, AssumeRoleWithWebIdentityCredentialProvider as WebIdentity,
    Credential, ECSCredentialProvider, EnvCredentialProvider, IMDSv2CredentialProvider,
    ProcessCredentialProvider, ProfileCredentialProvider, RequestSigner,
};
use reqsign_core::{Context, Error, ProvideCredential, ProvideCredentialChain, Result, Signer};

/// Roles that assume roles, in a row.
const DEPTH: u8 = 4;
const SESSION: &str = "diskwright";
const DEFAULT_REGION: &str = "us-east-1";

type Chain = ProvideCredentialChain<Credential>;

/// Credentials of the role that a profile names.
#[derive(Debug)]
pub(super) struct Role {
    /// `None` leaves it to the environment.
    pub(super) profile: Option<String>,
    /// Roles that wait for this one.
    pub(super) depth: u8,
}

impl ProvideCredential for Role {
    type Credential = Credential;

    /// `None` if the profile names no role.
    async fn provide_credential(&self, context: &Context) -> Result<Option<Credential>> {
        let named = self.profile.clone().or_else(|| context.env_var("AWS_PROFILE"));
        let name = named.unwrap_or_else(|| "default".to_owned());
        let settings = Settings::read(context, &name).await;
        let Some(arn) = settings.get("role_arn") else { return Ok(None) };
        if self.depth >= DEPTH {
            return Err(Error::config_invalid(format!("profile {name}: more than {DEPTH} roles in a row")));
        }
        if let Some(file) = settings.get("web_identity_token_file") {
            let role = WebIdentity::with_config(arn, PathBuf::from(file));
            let session = settings.get("role_session_name").unwrap_or_else(|| SESSION.to_owned());
            return role.with_role_session_name(session).provide_credential(context).await;
        }
        let region = settings.get("region").or_else(|| context.env_var("AWS_REGION"));
        let region = region.unwrap_or_else(|| DEFAULT_REGION.to_owned());
        let signer = RequestSigner::new("sts", &region);
        let signer = Signer::new(context.clone(), self.source(&name, &settings)?, signer);
        let role = settings.role(arn, signer).with_region(region).with_regional_sts_endpoint();
        // A boxed future: roles may wait for roles.
        Box::pin(role.provide_credential(context)).await
    }
}

impl Role {
    /// Where the credentials that assume the role come from.
    fn source(&self, name: &str, settings: &Settings) -> Result<Chain> {
        if let Some(profile) = settings.get("source_profile") {
            let chain = Chain::new();
            // A profile may name itself: then its own keys are meant.
            let role = Self { profile: Some(profile.clone()), depth: self.depth + 1 };
            let chain = if profile == name { chain } else { chain.push(role) };
            let keys = ProfileCredentialProvider::new().with_profile(profile.clone());
            return Ok(chain.push(keys).push(ProcessCredentialProvider::new().with_profile(profile)));
        }
        match settings.get("credential_source").as_deref() {
            Some("Environment") => Ok(Chain::new().push(EnvCredentialProvider::new())),
            Some("EcsContainer") => Ok(Chain::new().push(ECSCredentialProvider::new())),
            Some("Ec2InstanceMetadata") => Ok(Chain::new().push(IMDSv2CredentialProvider::new())),
            Some(other) => Err(Error::config_invalid(format!("profile {name}: credential_source {other}"))),
            None => {
                let what = "role_arn without source_profile, credential_source or web_identity_token_file";
                Err(Error::config_invalid(format!("profile {name}: {what}")))
            }
        }
    }
}

/// What both files say of a profile.
struct Settings(BTreeMap<String, String>);

impl Settings {
    /// A file that is not there says nothing.
    async fn read(context: &Context, profile: &str) -> Self {
        let in_config = if profile == "default" { profile.to_owned() } else { format!("profile {profile}") };
        let files = [
            ("AWS_CONFIG_FILE", "~/.aws/config", in_config.as_str()),
            ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials", profile),
        ];
        let mut settings = BTreeMap::new();
        for (variable, usual, section) in files {
            let path = context.env_var(variable).unwrap_or_else(|| usual.to_owned());
            let Some(path) = context.expand_home_dir(&path) else { continue };
            let Ok(text) = context.file_read_as_string(&path).await else { continue };
            let Ok(file) = Ini::load_from_str(&text) else { continue };
            let found = file.section(Some(section)).into_iter().flat_map(ini::Properties::iter);
            settings.extend(found.map(|(key, value)| (key.to_owned(), value.to_owned())));
        }
        Self(settings)
    }

    fn get(&self, key: &str) -> Option<String> {
        self.0.get(key).filter(|value| !value.is_empty()).cloned()
    }

    fn role(&self, arn: String, signer: Signer<Credential>) -> AssumeRole {
        let session = self.get("role_session_name").unwrap_or_else(|| SESSION.to_owned());
        let role = AssumeRole::new(arn, signer).with_role_session_name(session);
        let seconds = self.get("duration_seconds").and_then(|seconds| seconds.parse().ok());
        let role = match seconds {
            Some(seconds) => role.with_duration_seconds(seconds),
            None => role,
        };
        match self.get("external_id") {
            Some(id) => role.with_external_id(id),
            None => role,
        }
    }
}
