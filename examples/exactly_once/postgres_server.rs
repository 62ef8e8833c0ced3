use std::{
    error::Error,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::process::{Child, Command};

/// A PostgreSQL server of the example's own, gone with this.
pub(crate) struct PostgresServer {
    port: u16,
    directory: PathBuf,
    process: Child,
}

impl PostgresServer {
    pub(crate) async fn start() -> Result<Self, Box<dyn Error>> {
        let binaries = binaries().ok_or("no PostgreSQL is installed: name the URL of one")?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let directory = std::env::temp_dir().join(format!("exactly-once-{}", std::process::id()));
        let data = directory.display().to_string();
        let made = unprivileged(&binaries.join("initdb"))
            .args(["-D", &data, "-U", "postgres", "-A", "trust"])
            .output()
            .await?;
        if !made.status.success() {
            return Err(String::from_utf8_lossy(&made.stderr).into_owned().into());
        }
        let process = unprivileged(&binaries.join("postgres"))
            .args([
                "-D",
                &data,
                "-h",
                "127.0.0.1",
                "-p",
                &port.to_string(),
                "-k",
                &data,
            ])
            .stderr(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let server = Self {
            port,
            directory,
            process,
        };
        server.answers().await?;
        Ok(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    async fn answers(&self) -> Result<(), Box<dyn Error>> {
        for _ in 0..600 {
            if tokio_postgres::connect(&self.url(), tokio_postgres::NoTls)
                .await
                .is_ok()
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err("PostgreSQL does not start".into())
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        let Some(id) = self.process.id() else { return };
        // Has all its processes end at once.
        let _ = std::process::Command::new("kill")
            .args(["-QUIT", &id.to_string()])
            .status();
        for _ in 0..100 {
            if !matches!(self.process.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The newest version that a distribution has installed.
fn binaries() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let versions =
        versions.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let newest = versions.max()?;
    Some(format!("/usr/lib/postgresql/{newest}/bin").into())
}

/// PostgreSQL does not run as root.
fn unprivileged(program: &Path) -> Command {
    let is_root = fs::metadata("/proc/self").is_ok_and(|owner| is_roots(&owner));
    let mut command = if is_root {
        let mut command = Command::new("setpriv");
        command.args([
            "--reuid",
            "postgres",
            "--regid",
            "postgres",
            "--clear-groups",
        ]);
        command.arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir("/");
    command
}

#[cfg(unix)]
fn is_roots(owner: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;

    owner.uid() == 0
}

#[cfg(not(unix))]
fn is_roots(_: &fs::Metadata) -> bool {
    false
}
