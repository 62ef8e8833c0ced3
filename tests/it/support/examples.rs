//! The examples, as processes.

use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{self, Output, Stdio},
    sync::OnceLock,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use super::sockets::{Client, PATIENCE, Version};

/// Returns where programs are, once they are built: cargo does not build them for one test binary,
/// nor tell it where they are. All at once, so that they share what they depend on.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let test = env::current_exe().unwrap();
        let profile_dir = test.ancestors().nth(2).expect("TARGET/PROFILE/deps/test");
        let profile = match profile_dir.file_name().and_then(|name| name.to_str()) {
            Some("debug") => "dev",
            Some(profile) => profile,
            None => panic!("{} is in no profile's directory", test.display()),
        };
        let mut cargo = process::Command::new(env!("CARGO"));
        // What cargo tells a test of its package makes build scripts run again that look at that.
        let told = env::vars_os().map(|(name, _)| name).filter(|name| {
            let name = name.to_string_lossy();
            name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PKG_")
        });
        for name in told {
            cargo.env_remove(name);
        }
        let built = cargo
            .args([
                "build",
                "--workspace",
                "--bins",
                "--examples",
                "--all-features",
                "--profile",
                profile,
            ])
            .arg("--target-dir")
            .arg(profile_dir.parent().unwrap())
            .arg("--manifest-path")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
            .output()
            .expect("cargo runs");
        assert!(
            built.status.success(),
            "`cargo build --workspace --bins --examples --all-features` failed:\n{}",
            String::from_utf8_lossy(&built.stderr)
        );
        profile_dir.to_owned()
    })
}

fn command(name: &str, args: &[&str]) -> Command {
    program(built().join("examples").join(name), args)
}

fn program(path: PathBuf, args: &[&str]) -> Command {
    let mut command = Command::new(path);
    command.args(args).env_remove("RUST_BACKTRACE");
    command.stdin(Stdio::null()).kill_on_drop(true);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs an example to its end, which may take half a minute where nothing is optimised.
pub(crate) async fn run(name: &str, args: &[&str]) -> Output {
    let output = timeout(PATIENCE * 6, command(name, args).output()).await;
    output.expect("an end in time").unwrap()
}

/// An example that serves, until it is dropped.
pub(crate) struct Serving {
    #[cfg(unix)]
    _leash: super::leash::Leash,
    process: Child,
    output: Lines<BufReader<ChildStdout>>,
    pub(crate) address: SocketAddr,
}

impl Serving {
    /// Starts an example, which says where it listens.
    pub(crate) async fn start(name: &str, args: &[&str]) -> Self {
        Self::spawn(command(name, args), name).await
    }

    /// Starts an example that is a package of its own.
    #[cfg(all(unix, feature = "postgres"))]
    pub(crate) async fn start_package(name: &str, args: &[&str]) -> Self {
        Self::spawn(program(built().join(name), args), name).await
    }

    async fn spawn(mut command: Command, name: &str) -> Self {
        let mut process = command.spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = timeout(PATIENCE, output.next_line())
            .await
            .unwrap()
            .unwrap();
        let address = first.as_deref().and_then(|line| {
            let address = line.strip_prefix("listening on http://")?;
            address.parse().ok()
        });
        Self {
            address: address.unwrap_or_else(|| panic!("{name} began with {first:?}")),
            #[cfg(unix)]
            _leash: super::leash::Leash::on(process.id().expect("it runs")),
            process,
            output,
        }
    }

    pub(crate) async fn connect(&self, version: Version) -> Client {
        Client::connect(self.address, version).await
    }

    /// Returns the next line on its standard output.
    pub(crate) async fn line(&mut self) -> String {
        let line = timeout(PATIENCE, self.output.next_line()).await;
        line.expect("a line in time").unwrap().expect("a line")
    }

    #[cfg(unix)]
    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Sends a signal: `-STOP`, say.
    #[cfg(unix)]
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.process.id().expect("it runs").to_string();
        let sent = process::Command::new("kill").args([signal, &id]).status();
        assert!(sent.unwrap().success(), "kill {signal} {id}");
    }

    /// Returns how much memory it takes.
    #[cfg(target_os = "linux")]
    #[allow(dead_code, reason = "only a server whose store is gone is measured")]
    pub(crate) fn resident_kib(&self) -> u64 {
        let id = self.process.id().expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.expect("a size").trim().strip_suffix(" kB");
        kib.expect("a size in kB").parse().unwrap()
    }

    /// Kills it, and returns once it is gone.
    #[allow(dead_code, reason = "only a shared store outlives a server")]
    pub(crate) async fn kill(&mut self) {
        self.process.kill().await.unwrap();
    }

    /// Waits for its end.
    pub(crate) async fn end(self) -> Output {
        let output = timeout(PATIENCE, self.process.wait_with_output()).await;
        output.expect("an end in time").unwrap()
    }
}
