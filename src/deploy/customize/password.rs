//! The password field of shadow(5).

use anyhow::{Result, anyhow};
use sha_crypt::{ROUNDS_DEFAULT, Sha512Params, sha512_crypt_b64};
use sha2::{Digest as _, Sha256};

use crate::blueprint::User;

/// The alphabet of salts (crypt(5)).
const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Longest salt that sha512crypt uses, in characters.
const SALT_LEN: usize = 16;

/// A hash as it is; plain text as sha512crypt, which every crypt(3) can verify.
pub(in crate::deploy) fn field(password: &str, user: &str, seed: &[u8; 32]) -> Result<String> {
    if User::is_hash(password) {
        return Ok(password.to_owned());
    }
    let salt = salt(user, seed);
    let params =
        Sha512Params::new(ROUNDS_DEFAULT).map_err(|error| anyhow!("hashing the password: {error:?}"))?;
    let hash = sha512_crypt_b64(password.as_bytes(), salt.as_bytes(), &params)
        .map_err(|error| anyhow!("hashing the password: {error:?}"))?;
    Ok(format!("$6${salt}${hash}"))
}

/// The same salt for the same seed and user, so that the same build gives the same bytes.
fn salt(user: &str, seed: &[u8; 32]) -> String {
    let digest =
        Sha256::new().chain_update(b"password salt\0").chain_update(seed).chain_update(user).finalize();
    digest.iter().take(SALT_LEN).map(|&byte| char::from(ALPHABET[usize::from(byte % 64)])).collect()
}
