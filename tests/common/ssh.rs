//! Logins over the network into a machine that runs: by a key made for the test, and by password
//! (packages openssh-client, sshpass).

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// sshd makes an address wait after failures.
const BETWEEN_TRIES: Duration = Duration::from_secs(4);
/// Of this machine's ssh: it knows nobody, and asks nothing but a password once.
const OPTIONS: [&str; 6] = [
    "StrictHostKeyChecking=no",
    "UserKnownHostsFile=/dev/null",
    "LogLevel=ERROR",
    "ConnectTimeout=60",
    "NumberOfPasswordPrompts=1",
    "IdentitiesOnly=yes",
];

/// How somebody proves to be a user.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    /// By the key of the test.
    Key,
    /// By this password.
    Password(&'static str),
}

/// A key pair made for one test, and a port of this host that leads to the machine's sshd.
pub(crate) struct Visitor {
    key: PathBuf,
    pub(crate) port: u16,
}

impl Visitor {
    /// The pair is in `directory`; it is made if it is not there.
    pub(crate) fn new(directory: &Path) -> Self {
        let key = directory.join("key");
        if !key.exists() {
            let made =
                Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
            let made = made.unwrap_or_else(|error| panic!("ssh-keygen (package openssh-client): {error}"));
            assert!(made.success());
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { key, port }
    }

    /// The public half of the key, as a blueprint takes it.
    pub(crate) fn public_key(&self) -> String {
        fs::read_to_string(self.key.with_extension("pub")).unwrap().trim().to_owned()
    }

    /// The secret half, for logins from inside the machine.
    pub(crate) fn secret_key(&self) -> String {
        fs::read_to_string(&self.key).unwrap()
    }

    /// What the command printed; `None` if it did not run.
    pub(crate) fn run(&self, user: &str, way: Way, command: &str) -> Option<String> {
        let mut program = match way {
            Way::Key => Command::new("ssh"),
            Way::Password(_) => Command::new("sshpass"),
        };
        match way {
            Way::Key => program.arg("-i").arg(&self.key).args(["-o", "BatchMode=yes"]),
            Way::Password(text) => program.args(["-p", text, "ssh", "-o", "PubkeyAuthentication=no"]),
        };
        program.args(OPTIONS.iter().flat_map(|option| ["-o", option]));
        program.args(["-p", &self.port.to_string(), &format!("{user}@127.0.0.1"), command]);
        let output = program.output();
        let output = output
            .unwrap_or_else(|error| panic!("sshpass or ssh (packages sshpass, openssh-client): {error}"));
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// As [`Self::run`], again and again until the machine lets in or the time is over.
    pub(crate) fn insist(&self, user: &str, way: Way, command: &str, deadline: Instant) -> Option<String> {
        let mut said = None;
        while said.is_none() && Instant::now() < deadline {
            thread::sleep(BETWEEN_TRIES);
            said = self.run(user, way, command);
        }
        said
    }
}
