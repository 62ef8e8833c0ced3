use std::{
    fs,
    io::Write as _,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio_postgres::NoTls;

/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// Faster than a server in earnest, and as safe from crashes of its own: only the machine must not
/// crash.
const SETTINGS: [&str; 7] = [
    "fsync=off",
    "max_connections=150",
    "shared_buffers=64MB",
    "log_min_messages=warning",
    "wal_level=replica",
    "max_wal_senders=4",
    "autovacuum_naptime=5s",
];

/// Starts the server, and kills it once standard input ends: that is when the test says so, or
/// dies. Removes its directory, unless it was told to keep that.
const WATCHED: &str = r#"
directory=$1; shift
"$@" & server=$!
read -r word || :
kill -QUIT $server 2>/dev/null
wait $server
[ "$word" = keep ] || rm -rf "$directory"
"#;

/// A running server.
#[derive(Debug)]
pub(crate) struct PostgresServer {
    pub(crate) port: u16,
    binaries: PathBuf,
    directory: PathBuf,
    args: Vec<String>,
    process: Child,
}

impl PostgresServer {
    /// Starts a server of the system's version, with an empty database.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// Returns a server that all tests share which do it no harm, and have tables of their own.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<PostgresServer> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Starts a server with these settings too: `name=value`.
    pub(crate) fn with(settings: &[&str]) -> Self {
        Self::of(&binaries(), settings)
    }

    /// Starts a server of every version there is: the system's, and those in the directories that
    /// `POSTGRES_BINARIES` names, with colons between.
    pub(crate) fn of_every_version() -> impl Iterator<Item = Self> {
        let others = std::env::var("POSTGRES_BINARIES").unwrap_or_default();
        let others: Vec<_> = others
            .split(':')
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
            .collect();
        std::iter::once(binaries())
            .chain(others)
            .map(|binaries| Self::of(&binaries, &[]))
    }

    fn of(binaries: &Path, settings: &[&str]) -> Self {
        let directory = new_directory();
        let data = directory.join("data");
        if binaries == self::binaries() {
            copy(template(), &data);
        } else {
            make_data(binaries, &data);
        }
        Self::start_in(binaries, directory, settings)
    }

    /// Starts a standby that follows this server, asynchronously.
    pub(crate) fn standby(&self) -> Self {
        let directory = new_directory();
        let data = directory.join("data").display().to_string();
        let port = self.port.to_string();
        succeed(as_server(&self.binaries.join("pg_basebackup")).args([
            "-D",
            &data,
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-U",
            "postgres",
            "-R",
            "-X",
            "stream",
            "-c",
            "fast",
        ]));
        Self::start_in(&self.binaries, directory, &[])
    }

    /// Makes a standby a server that writes.
    pub(crate) fn promote(&self) {
        let data = self.data();
        succeed(as_server(&self.binaries.join("pg_ctl")).args(["promote", "-w", "-D", &data]));
    }

    fn start_in(binaries: &Path, directory: PathBuf, settings: &[&str]) -> Self {
        // Somebody may take a free port before the server does.
        for _ in 0..10 {
            let port = free_port();
            let args = arguments(port, &directory, settings);
            if let Some(process) = spawn(binaries, &args, port) {
                return Self {
                    port,
                    binaries: binaries.to_owned(),
                    directory,
                    args,
                    process,
                };
            }
        }
        panic!(
            "{} does not start in {}",
            binaries.display(),
            directory.display()
        );
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    pub(crate) fn version(&self) -> String {
        let output = Command::new(self.binaries.join("postgres"))
            .arg("--version")
            .output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    }

    fn data(&self) -> String {
        self.directory.join("data").display().to_string()
    }

    /// Stops the server as if the power had failed: no connection is told.
    pub(crate) fn kill(&mut self) {
        stop(&mut self.process);
    }

    /// Starts a stopped server again, on the same port and with the same files.
    pub(crate) fn restart(&mut self) {
        stop(&mut self.process);
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(process) = spawn(&self.binaries, &self.args, self.port) {
                self.process = process;
                return;
            }
            // What is left of its processes may have its memory yet.
            thread::sleep(Duration::from_millis(50));
        }
        panic!("the server does not start again on port {}", self.port);
    }

    /// Opens a connection of the test's own.
    pub(crate) async fn connect(&self) -> tokio_postgres::Client {
        let (client, connection) = tokio_postgres::connect(&self.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// Runs statements on a connection of their own.
    pub(crate) async fn run(&self, script: &str) {
        self.connect().await.batch_execute(script).await.unwrap();
    }

    /// Runs a statement that returns one number.
    pub(crate) async fn number(&self, statement: &str) -> i64 {
        let row = self.connect().await.query_one(statement, &[]).await;
        row.unwrap().get(0)
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// Where the newest of the distribution's versions is.
fn binaries() -> PathBuf {
    let mut versions: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .collect();
    versions.sort_unstable();
    let newest = versions
        .pop()
        .expect("PostgreSQL is installed: install postgresql, or run tests/run.sh");
    format!("/usr/lib/postgresql/{newest}/bin").into()
}

/// An empty database, made once and copied for each server; gone with the test's process.
fn template() -> &'static Path {
    static TEMPLATE: OnceLock<(PathBuf, Child)> = OnceLock::new();
    let (data, _) = TEMPLATE.get_or_init(|| {
        let data = new_directory().join("template");
        make_data(&binaries(), &data);
        let watcher = as_server(Path::new("sh"))
            .args(["-c", "read -r _; rm -rf \"$1\"", "watcher"])
            .arg(data.parent().expect("it is in a directory"))
            .stdin(Stdio::piped())
            .spawn();
        (data, watcher.expect("there is a shell"))
    });
    data
}

fn make_data(binaries: &Path, data: &Path) {
    let path = data.display().to_string();
    succeed(as_server(&binaries.join("initdb")).args([
        "-D",
        &path,
        "-U",
        "postgres",
        "-A",
        "trust",
        "-N",
        "--locale=C",
        "-E",
        "UTF8",
    ]));
}

fn copy(from: &Path, to: &Path) {
    succeed(as_server(Path::new("cp")).arg("-a").arg(from).arg(to));
}

/// Makes a command that runs as whom a server may run as: root it refuses.
fn as_server(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
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
}

fn is_root() -> bool {
    static ROOT: OnceLock<bool> = OnceLock::new();
    *ROOT.get_or_init(|| {
        let id = Command::new("id")
            .arg("-u")
            .output()
            .expect("there is an id command");
        id.stdout.trim_ascii() == b"0"
    })
}

fn succeed(command: &mut Command) {
    let Output { status, stderr, .. } = command.current_dir("/").output().expect("it is installed");
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{command:?}: {stderr}");
}

fn arguments(port: u16, directory: &Path, settings: &[&str]) -> Vec<String> {
    let path = |name: &str| directory.join(name).display().to_string();
    let (port, data, sockets) = (port.to_string(), path("data"), path(""));
    let own = ["-D", &data, "-p", &port, "-h", "127.0.0.1", "-k", &sockets];
    let settings = SETTINGS
        .iter()
        .chain(settings)
        .flat_map(|setting| ["-c", setting]);
    own.into_iter()
        .chain(settings)
        .map(ToOwned::to_owned)
        .collect()
}

/// Starts a server and waits until it answers; none if it ended instead.
fn spawn(binaries: &Path, args: &[String], port: u16) -> Option<Child> {
    let mut process = as_server(Path::new("sh"))
        .args(["-c", WATCHED, "watched"])
        .arg(Path::new(&args[1]).parent().expect("it is in a directory"))
        .arg(binaries.join("postgres"))
        .args(args)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("there is a shell");
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let ready = Command::new(binaries.join("pg_isready"))
            .args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()])
            .status();
        if ready.expect("it is installed with the server").success() {
            return Some(process);
        }
        if !Path::new(&args[1]).join("postmaster.pid").exists()
            && start.elapsed() > Duration::from_secs(2)
        {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    stop(&mut process);
    None
}

/// Stops a server that may start again.
fn stop(process: &mut Child) {
    if let Some(mut stdin) = process.stdin.take() {
        // It may have been stopped before.
        let _ = stdin.write_all(b"keep\n");
    }
    let _ = process.wait();
}

/// Makes an empty directory that no other test uses, and that the server may write to.
fn new_directory() -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("tower-idempotency-pg-{}-{number}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    let _ = fs::remove_dir_all(&directory);
    succeed(as_server(Path::new("mkdir")).arg(&directory));
    directory
}

/// Returns a port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound address").port()
}
